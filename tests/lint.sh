#!/bin/sh
# How the code looks, and what tools say of it. Prints "file:line: what is wrong
# and what to do"; exit status 1 if there is any but warnings.
#
# Who may include and call what keeps the layers apart: the pure files decide,
# the hook collects, a backend teaches, the runner alone runs.
#
# shellcheck disable=SC2046,SC2086 # lists of file names are words here
set -u

cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
lint=$BUILD/lint
# from the Makefile
dovecot_include='' dovecot_ldflags='' cppflags=''

# Output: file:line: text
fail() {
	echo "$*" | tee -a "$lint/failures"
}

# Lines of grep -Hn, each with this text in place of what was found.
fail_found() {
	awk -F: -v text="$1" '{ print $1 ":" $2 ": " text }' |
		tee -a "$lint/failures"
}

tracked() {
	{
		git ls-files -co --exclude-standard -- "$@" 2>/dev/null ||
			find . -path ./.git -prune -o -path "./$BUILD" \
				-prune -o -type f -print | sed 's,^\./,,'
	} | while read -r file; do
		[ ! -f "$file" ] || echo "$file"
	done
}

needed() {
	command -v "$1" >/dev/null && return 0
	fail "tests/lint.sh:1: $1 is missing: make deps"
	return 1
}

# Text

# The code of a C file, line by line: comments are gone, strings are empty, and
# a // comment has become LINE_COMMENT.
code_only() {
	LC_ALL=C awk '
	function blank(line,    out, c, two) {
		out = ""
		while (line != "") {
			c = substr(line, 1, 1)
			two = substr(line, 1, 2)
			if (comment) {
				if (two == "*/") {
					comment = 0
					line = substr(line, 2)
				}
			} else if (quote != "") {
				if (c == "\\")
					line = substr(line, 2)
				else if (c == quote) {
					quote = ""
					out = out c
				}
			} else if (two == "/*") {
				comment = 1
				line = substr(line, 2)
			} else if (two == "//") {
				return out "LINE_COMMENT"
			} else {
				if (c == "\"" || c == "\047")
					quote = c
				out = out c
			}
			line = substr(line, 2)
		}
		quote = ""
		return out
	}
	!comment && /^#[ \t]*include/ { print; next }
	{ print blank($0) }' "$1"
}

prepare_code() {
	for file in $c_files; do
		mkdir -p "$lint/code/${file%/*}"
		code_only "$file" >"$lint/code/$file"
	done
}

# forbid REGEX TEXT FILE...: in code.
forbid() {
	regex=$1 text=$2
	shift 2
	[ $# -gt 0 ] || return 0
	(cd "$lint/code" && grep -HnE -e "$regex" "$@") | fail_found "$text"
}

# Those of $c_files that match the first pattern and not the others.
c_files_but() {
	wanted=$1
	shift
	for file in $c_files; do
		for pattern; do
			# shellcheck disable=SC2254 # patterns
			case $file in
			$pattern) continue 2 ;;
			esac
		done
		# shellcheck disable=SC2254 # a pattern
		case $file in
		$wanted) echo "$file" ;;
		esac
	done
}

# Layers. An own header is one that src/ or backends/ has.

own_include='^#[[:space:]]*include[[:space:]]+"(antispam-|runner-|trainer-)'
storage_include='^#[[:space:]]*include[[:space:]]+["<](mail-(storage|user|namespace|index|cache|search|copy)|index-|mailbox-|mailbox\.|master-service)'

lint_pure() {
	files=
	for name in antispam-folder antispam-transition antispam-settings \
		antispam-settings-names antispam-queue-job \
		antispam-queue-state trainer-plan trainer-report; do
		for file in src/$name.c src/$name.h; do
			[ ! -e "$file" ] || files="$files $file"
		done
	done
	files="$files $(c_files_but 'backends/*-reply.[ch]')"
	forbid "$storage_include" \
		'a pure file includes no mail storage: pass it what it needs' \
		$files
	forbid '^#[[:space:]]*include[[:space:]]+["<]((ioloop|iostream|istream|ostream|net|fd-util|fdpass|mkdir-parents|write-full|read-full|safe-mkstemp|lib-event|lib-signals|child-wait|hostpid|time-util|utc-mktime|fcntl|unistd|time|signal|dirent|stdio|poll)\.h|(istream|ostream|iostream|file|nfs|eacces|program-client|sys/))' \
		'a pure file does no I/O and asks no clock: move that to its caller' \
		$files
	forbid '\b([ei]_(error|warning|info|debug|fatal)|i_close_fd|open(at)?|close|read|write|f?stat|unlink|rename|time|gettimeofday|clock_gettime|getenv|i_gettimeofday|i_rand[a-z_]*)[[:space:]]*\(|\bioloop_time' \
		'a pure file does no I/O, asks no clock and does not log: return error_r' \
		$files
}

lint_backends() {
	for file in $(c_files_but 'backends/*' backends/backends.c); do
		backend=${file#backends/}
		backend=${backend%%[-.]*}
		(cd "$lint/code" && grep -HnE "$own_include" "$file") |
			grep -vE '"antispam-(backend|daemon|job|program|runner|settings)\.h"' |
			fail_found \
				'a backend includes antispam-{backend,daemon,job,program,runner,settings}.h alone'
		for other in backends/*.h; do
			other=${other#backends/}
			case $other in
			"$backend"[-.]*) ;;
			*) forbid "include[[:space:]]+\"$other\"" \
				'a backend includes no file of another one' \
				"$file" ;;
			esac
		done
	done
	forbid "$storage_include" \
		'a backend knows no mail storage: what it needs is in the job' \
		$(c_files_but 'backends/*')
}

lint_layers() {
	forbid 'include[[:space:]]+"mail-storage-private\.h"' \
		'only antispam-hook.c and -place.c know how a storage works inside' \
		$(c_files_but 'src/*' src/antispam-hook.c \
			src/antispam-place.c 'src/compat/*')
	# Right of the hook: transition, job, backend, runner.
	forbid 'include[[:space:]]+"antispam-(hook|user|plugin|dispatch)\.h"' \
		'this layer is below the hook and the dispatcher: pass it what it needs' \
		$(c_files_but 'src/*' 'src/antispam-hook.*' \
			'src/antispam-user.*' 'src/antispam-plugin.*' \
			'src/antispam-dispatch.*' 'src/antispam-collect.*' \
			'src/trainer-*' \
			src/doveadm-antispam.c 'src/compat/*')
	forbid 'include[[:space:]]+"antispam-(job|backend|folder|transition|signature|queue)\.h"' \
		'the runner knows programs, and nothing of lessons' \
		$(c_files_but 'src/runner-*')
	forbid '\b(v?fork|exec(l|le|lp|v|ve|vp|vpe)|fexecve|posix_spawnp?|wait(pid|id|3|4)?|kill(pg)?|popen|system|program_client_[a-z_]+)[[:space:]]*\(' \
		'processes are the runner'\''s business (src/runner-exec.c): call antispam_run_many()' \
		$(c_files_but 'src/*' 'src/runner-*' src/trainer-child.c \
			src/trainer-run.c src/doveadm-child.c) \
		$(c_files_but 'backends/*')
	forbid '\b(connect|net_connect_[a-z_]+)[[:space:]]*\(' \
		'connections are the runner'\''s business (src/runner-net.c)' \
		$(c_files_but 'src/*' 'src/runner-*' src/trainer-client.c) \
		$(c_files_but 'backends/*')
	forbid '\bDOVECOT_(PREREQ|VERSION_(MAJOR|MINOR|MICRO))\b' \
		'the version is asked in src/compat/ alone: let it hide the difference' \
		$(c_files_but 'src/*' 'src/compat/*') \
		$(c_files_but 'backends/*')
	askers=$(cd "$lint/code" && grep -lE 'DOVECOT_(PREREQ|VERSION_M)' \
		$(c_files_but 'tests/*') /dev/null)
	set -- $askers
	[ $# -le 1 ] || fail "$2:1: the version is asked in one helper of" \
		"the tests alone: use $1"
}

# Habits

lint_text() {
	forbid 'LINE_COMMENT' 'a // comment: write /* */' $c_files
	forbid '\bgoto\b' 'goto: let x_try() do and x() clean up' $c_files
	all_files=$(tracked)
	grep -HnIE '\b(TOD[O]|FIXM[E]|XX[X])\b' $all_files |
		fail_found \
			'a note to do something: do it, or leave it out'
	grep -HnIE '(^|[^A-Za-z0-9_.}*])/(wor[k]|far[m]|roo[t])(/|[^A-Za-z0-9_.-]|$)' \
		$all_files | grep -v '^COPYING:' |
		fail_found \
			'a path of one machine: name none'
	grep -HniIE '\b[i]ssues? *#|\b[i]ssues? [0-9]' $all_files |
		fail_found \
			'the number of an issue: say what it is about'
	grep -HnIE '[[:space:]]+$' $all_files | grep -v '^COPYING:' |
		fail_found \
			'blanks at the end of the line: remove them'
	for file in $(c_files_but '*.c'); do
		head -n 1 "$file" | grep -qF "/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */" ||
			fail "$file:1: the first line is not the copyright line" \
				"of the other files"
	done
}

# Columns, functions and files, in C. A tab goes to the next multiple of 8; a
# UTF-8 character is one column.
lint_size() {
	LC_ALL=C awk '
	function columns(line,    n, i, c) {
		gsub(/[\200-\277]/, "", line)
		n = 0
		for (i = 1; i <= length(line); i++) {
			c = substr(line, i, 1)
			n += c == "\t" ? 8 - n % 8 : 1
		}
		return n
	}
	{
		n = length($0) > 12 ? columns($0) : 0
		if (n > 100)
			printf "%s:%d: fail: %d columns, at most 100: wrap it\n",
				FILENAME, FNR, n
		else if (n > 80)
			printf "%s:%d: warning: %d columns, aim at 80\n",
				FILENAME, FNR, n
	}
	FNR == 601 {
		printf "%s:601: fail: more than 600 lines: split the file\n",
			FILENAME
	}' $c_files
	(cd "$lint/code" && awk '
	/^{/ { start = FNR }
	/^}/ && start > 0 {
		n = FNR - start + 1
		if (n > 100)
			printf "%s:%d: fail: a function of %d lines, at most 100: split it\n",
				FILENAME, start, n
		else if (n > 60)
			printf "%s:%d: warning: a function of %d lines, aim at 15\n",
				FILENAME, start, n
		start = 0
	}' $c_files)
}

lint_sizes() {
	lint_size >"$lint/sizes"
	grep ': warning: ' "$lint/sizes"
	sed -n 's/: fail: /: /p' "$lint/sizes" | tee -a "$lint/failures"
}

# Tools. Each prints where and what by itself.

# tool NAME TEXT COMMAND...: prints what the command said if it failed.
tool() {
	name=$1 text=$2
	shift 2
	"$@" >"$lint/$name.log" 2>&1 && return 0
	cat "$lint/$name.log"
	fail "$name: $text"
}

lint_build() {
	tool build 'does not build without warnings: see above' \
		${MAKE:-make} -s -k BUILD="$lint" EXTRA_CFLAGS=-Werror \
		all unit-tests
}

# What goes into every process that loads a module, and what it takes from
# there.
lint_symbols() {
	for module in "$lint"/*.so; do
		[ -e "$module" ] || continue
		name=${module##*/}
		nm -D --defined-only "$module" | awk '{ print $NF }' |
			grep -vE '^(doveadm_)?antispam_' |
			sed "s/^/$name:0: exports /; s/\$/: make it static, or call it antispam_*/" |
			tee -a "$lint/failures"
		libs="-ldovecot-storage -ldovecot -lpcre2-8"
		case $name in
		libantispam_settings.so) libs=-ldovecot ;;
		*doveadm*) continue ;;
		esac
			${CC:-gcc} -o "$lint/symbols" -x c - -x none "$module" \
			-Wl,--no-as-needed $dovecot_ldflags $libs \
			-Wl,--unresolved-symbols=report-all \
			>"$lint/symbols.log" 2>&1 <<-'C'
			int main(void)
			{
				return 0;
			}
		C
		sed -n 's/.*undefined reference to `\(.*\)'\''.*/\1/p' \
			"$lint/symbols.log" | sort -u |
			sed "s/^/$name:0: /; s/\$/ is in none of $libs: the module could not be loaded/" |
			tee -a "$lint/failures"
	done
}

lint_format() {
	format=
	for name in clang-format-14 clang-format; do
		if command -v $name >/dev/null &&
			$name --version | grep -q 'version 14\.'; then
			format=$name
			break
		fi
	done
	if [ -z "$format" ]; then
		echo "clang-format 14 is not here: the format is not checked"
		return
	fi
	for file in $c_files; do
		$format "$file" | perl -0pe 's/\}\n\s*T_END\s*;/} T_END;/g' |
			diff -u --label "$file" --label "$file (make format)" \
				"$file" - >"$lint/format.diff" && continue
		line=$(sed -n 's/^@@ -\([0-9]*\).*/\1/p' "$lint/format.diff" |
			head -n 1)
		fail "$file:$((line + 3)): not in our format: make format"
		head -n 30 "$lint/format.diff"
	done
}

# Dovecot's headers only confuse cppcheck; its loops it needs to be told.
lint_analyze() {
	! needed cppcheck || tool cppcheck 'complains: see above' \
		cppcheck -q -j 2 --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability \
		--suppress=normalCheckLevelMaxBranches \
		--template='{file}:{line}: {message} ({id})' \
		-D'array_foreach(a, e)=while (next(a, &(e)))' \
		-D'array_foreach_elem(a, e)=while (next(a, &(e)))' \
		-D'array_foreach_modifiable(a, e)=while (next(a, &(e)))' \
		-DT_BEGIN= -DT_END= -DATTR_UNUSED= -D'DOVEADM_CMD_PARAM(a, b, c, d)=' \
		-Isrc -Isrc/compat -Ibackends $cppflags \
		$(c_files_but '*.c' 'tests/*')
	! needed clang || for file in $(c_files_but '*.c' 'tests/*'); do
		case $file in
		src/compat/*) [ -e "$lint/${file%.c}.o" ] || continue ;;
		esac
		tool analyze "$file: see above" clang --analyze \
			--analyzer-output text -Xclang -analyzer-werror \
			-Xclang -analyzer-disable-checker=deadcode \
			-std=gnu11 -DHAVE_CONFIG_H $cppflags -Isrc -Isrc/compat \
			-isystem "$dovecot_include" "$file"
	done
}

lint_scripts() {
	! needed shellcheck || tool shellcheck 'complains: see above' \
		shellcheck -f gcc $(tracked '*.sh' '.ci/run' |
			grep -E '\.sh$|^\.ci/run$')
	tool python 'does not compile: see above' \
		env PYTHONPYCACHEPREFIX="$lint/pycache" \
		python3 -m py_compile $(tracked '*.py' | grep '\.py$')
	for page in *.[1-8]; do
		[ -e "$page" ] || continue
		! needed mandoc || tool mandoc "$page: see above" \
			mandoc -Tlint -W warning "$page"
	done
}

mkdir -p "$lint"
rm -rf "$lint/code" "$lint/failures"
touch "$lint/failures"
c_files=$(tracked '*.c' '*.h' | grep -E '^(src|backends|tests)/.*\.[ch]$')
vars=$(${MAKE:-make} -s --no-print-directory lint-vars) || exit 1
eval "$vars"
prepare_code
lint_pure
lint_backends
lint_layers
lint_text
lint_sizes
lint_build
lint_symbols
lint_format
lint_analyze
lint_scripts
if [ -s "$lint/failures" ]; then
	echo "lint: $(wc -l <"$lint/failures") to mend"
	exit 1
fi
echo "lint: clean"
