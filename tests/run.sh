#!/bin/sh
# Runs the tests and counts them; "make check" is this.
#
# run.sh [unit|fuzz|it|lint [PATTERN]]
#
# unit  build/tests/test-*: one test for each line that lib-test prints, under
#       valgrind
# fuzz  tests/fuzz-*.c: one test each, FUZZ_SECS (10) long
# it    tests/it/NN-name.py: one test for each TAP line
# lint  tests/lint.sh: one test
# PATTERN picks the files whose names contain it.
#
# What ran is in $BUILD/log (BUILD: build). The last line printed is
# "N passed, N failed, N skipped"; exit status 1 if any failed or none ran.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
export BUILD="${BUILD:-build}"
case $BUILD in
/*) build=$BUILD ;;
*) build=$top/$BUILD ;;
esac
export ANTISPAM_BUILD="$build"
log=$build/log
what=${1-all}
pattern=${2-}
fuzz_secs=${FUZZ_SECS:-10}
# A file that takes longer than this hangs.
limit_secs=600
child=

# Results

# One line in $log/LANE.results for each file: passed failed skipped name.
report() {
	lane=$1 passed=$2 failed=$3 skipped=$4 name=$5
	echo "$passed $failed $skipped $name" >>"$log/$lane.results"
	text="$passed passed"
	[ "$failed" -eq 0 ] || text="$text, $failed FAILED"
	[ "$skipped" -eq 0 ] || text="$text, $skipped skipped"
	echo "$name: $text"
}

# Why a file failed: the log's lines that say so, and its end.
show_log() {
	grep -E -e "$2" "$1" | head -n 40 | sed 's/^/    /'
	echo "    ... the end of $1, without backtraces:"
	grep -v -E '^==[0-9]+==( |$)' "$1" | tail -n 25 | sed 's/^/    | /'
}

count() {
	grep -c -E -e "$1" "$2"
}

# Run a command with a time limit: run LOG COMMAND... Killed with us.
run() {
	run_log=$1
	shift
	timeout -k 10 "$limit_secs" "$@" >"$run_log" 2>&1 </dev/null &
	child=$!
	# The shell would say "Aborted" itself.
	{ wait "$child"; } 2>/dev/null
	status=$?
	child=
	[ "$status" -ne 124 ] || echo "took longer than $limit_secs s" \
		>>"$run_log"
	return "$status"
}

lane_stop() {
	[ -z "$child" ] || kill "$child" 2>/dev/null
	[ -z "$scratch" ] || rm -rf "$scratch"
	exit 130
}

picked() {
	case $what in
	all | "$1") ;;
	*) return 1 ;;
	esac
	case $2 in
	*"$pattern"*) ;;
	*) return 1 ;;
	esac
}

# Unit tests

# Dovecot's test storage makes .test-home in the current directory.
unit_one() {
	name=unit/${1#tests/test-}
	name=${name%.c}
	file=$log/$(echo "$name" | tr / -).log
	if ! prepared "$BUILD/${1%.c}" "$file"; then
		report unit 0 1 0 "$name"
		return
	fi
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/antispam-unit.XXXXXX")
	supp=$top/tests/valgrind.supp
	[ -e "$supp" ] && supp=--suppressions=$supp || supp=
	# shellcheck disable=SC2086 # nothing, or one option
	run "$file" env -C "$scratch" TMPDIR="$scratch" valgrind -q --error-exitcode=99 \
		--leak-check=full --child-silent-after-fork=yes $supp \
		"$build/${1%.c}"
	status=$?
	rm -rf "$scratch"
	scratch=
	passed=$(count ' : ok$' "$file")
	failed=$(count ' : FAILED' "$file")
	# A crash, an error that valgrind found, an end before its time.
	if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ] ||
		! grep -q -E '^[0-9]+ / [0-9]+ tests failed' "$file" ||
		[ "$passed" -eq 0 ]; then
		failed=$((failed + 1))
		echo "ended with status $status" >>"$file"
	fi
	report unit "$passed" "$failed" 0 "$name"
	[ "$failed" -eq 0 ] ||
		show_log "$file" 'Assert|FAILED|Panic|==[0-9]+== [A-Z]'
}

unit() {
	for source in tests/test-*.c; do
		[ -e "$source" ] && picked unit "$source" && unit_one "$source"
	done
}

# The program of a file is there, if it could be built.
prepared() {
	[ "$built" != yes ] || return 0
	# shellcheck disable=SC2086 # words
	run "$2" $make "$1"
}

# Fuzzing

fuzz_one() {
	name=${1#tests/}
	name=fuzz/${name#fuzz-}
	name=${name%.c}
	file=$log/$(echo "$name" | tr / -).log
	corpus=$build/fuzz/${name#fuzz/}
	mkdir -p "$corpus"
	set -- "${1%.c}"
	if ! prepared "$BUILD/$1" "$file"; then
		report fuzz 0 1 0 "$name"
		show_log "$file" 'error'
		return
	fi
	program=$build/$1
	dict=
	[ ! -e "$1.dict" ] || dict=-dict=$1.dict
	# shellcheck disable=SC2086 # nothing, or one option
	if run "$file" "$program" $dict -max_total_time="$fuzz_secs" \
		-timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$corpus." "$corpus" &&
		grep -q 'number_of_executed_units: *[1-9]' "$file"; then
		report fuzz 1 0 0 "$name"
	else
		report fuzz 0 1 0 "$name"
		show_log "$file" 'ERROR:|runtime error|SUMMARY|Panic|Test unit'
	fi
}

fuzz() {
	for source in tests/fuzz-*.c; do
		[ -e "$source" ] && picked fuzz "$source" && fuzz_one "$source"
	done
}

# Integration tests

it_one() {
	name=it/$(basename "$1" .py)
	file=$log/$(echo "$name" | tr / -).log
	run "$file" python3 -B "$1"
	status=$?
	skipped=$(count '^ok .*# [Ss][Kk][Ii][Pp]' "$file")
	passed=$(($(count '^ok( |$)' "$file") - skipped))
	failed=$(count '^not ok( |$)' "$file")
	plan=$(sed -n 's/^1\.\.\([0-9][0-9]*\).*/\1/p' "$file" | head -n 1)
	ran=$((passed + failed + skipped))
	if [ "$plan" = 0 ] && [ "$ran" -eq 0 ] && [ "$status" -eq 0 ]; then
		# "1..0 # SKIP why"
		skipped=1
	elif [ "$plan" != "$ran" ]; then
		failed=$((failed + 1))
		echo "planned ${plan:-nothing}, ran $ran," \
			"ended with status $status" >>"$file"
	elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		failed=1
		echo "ended with status $status" >>"$file"
	fi
	report it "$passed" "$failed" "$skipped" "$name"
	[ "$skipped" -eq 0 ] || sed -n 's/^ok .*# [Ss][Kk][Ii][Pp]/skipped:/p' \
		"$file" | sort | uniq -c
	[ "$failed" -eq 0 ] || show_log "$file" '^not ok|^Traceback|^planned'
}

it() {
	for source in tests/it/[0-9]*.py; do
		[ -e "$source" ] && picked it "$source" && it_one "$source"
	done
}

# Lint

lint() {
	picked lint lint || return 0
	if run "$log/lint.log" sh tests/lint.sh; then
		report lint 1 0 0 lint
	else
		report lint 0 1 0 lint
		grep -E '^[^ ]+: ' "$log/lint.log" |
			grep -v ': warning: .*, aim at [0-9]*$' |
			head -n 60 | sed 's/^/    /'
	fi
}

# All

# Build whatever can be built; what can't be is tried again, and reported, by
# the test that it belongs to.
build_all() {
	echo "building"
	built=yes
	targets=all
	picked unit "$pattern" && targets="$targets unit-tests"
	picked fuzz "$pattern" && targets="$targets fuzzers"
	# shellcheck disable=SC2086 # words
	if ! $make -k $targets >"$log/build.log" 2>&1; then
		built=no
		if ! $make all >"$log/build.log" 2>&1; then
			report build 0 1 0 build
			show_log "$log/build.log" 'error|warning'
			return 1
		fi
	fi
	[ ! -s "$log/build.log" ] || grep -E 'warning' "$log/build.log"
	return 0
}

# Two at a time: the integration tests mostly wait.
lanes() {
	(trap lane_stop INT TERM; it) &
	lane1=$!
	(trap lane_stop INT TERM; unit; fuzz; lint) &
	lane2=$!
	trap 'kill $lane1 $lane2 2>/dev/null; wait; exit 130' INT TERM
	wait "$lane1"
	wait "$lane2"
}

summary() {
	cat "$log"/*.results 2>/dev/null | awk '
		{ passed += $1; failed += $2; skipped += $3 }
		END {
			printf "%d passed, %d failed, %d skipped\n",
				passed, failed, skipped
			exit failed > 0 || passed == 0
		}'
}

case $what in
all | unit | fuzz | it | lint) ;;
*)
	echo "run.sh: there is no '$what': unit, fuzz, it, lint" >&2
	exit 2
	;;
esac
mkdir -p "$log"
rm -f "$log"/*.results
scratch=
make="${MAKE:-make} BUILD=$BUILD"
case ${MAKEFLAGS-} in
*-j*) ;;
*) make="$make -j$(nproc)" ;;
esac
! build_all || lanes
summary
