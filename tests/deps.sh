#!/bin/sh
# What building and testing need. It installs what is missing, as root on
# Debian 12 or 13; it never removes a package and never starts a service, and
# what it brings in does not start at the next boot either.
#
# deps.sh [GROUP...]          install build, demo, lint, check (default), bench,
#                             ci, or a filter: bogofilter, crm114, spamassassin,
#                             spamd, rspamd
# deps.sh unpack PACKAGE...   what listens or conflicts: download it and what it
#                             depends on, and unpack it below
#                             $BUILD/pkg/PACKAGE/ (BUILD: build)
# deps.sh compiler CC DIR     can this compiler compile against DIR's Dovecot?
# deps.sh unowned FILE...     stop if a package owns one of the files
set -eu

policy=/usr/sbin/policy-rc.d
policy_saved=$policy.antispam-saved
policy_mark='antispam: no service starts while tests/deps.sh installs'

policy_denies=no
work=

die() {
	echo "deps: $*" >&2
	exit 1
}

# Runs at every exit.
clean_up() {
	[ "$policy_denies" = no ] || policy_restore
	[ -z "$work" ] || rm -rf "$work"
}

set_up() {
	trap clean_up EXIT
	trap 'exit 130' INT TERM HUP
	work=$(mktemp -d "${TMPDIR:-/tmp}/antispam-deps.XXXXXX")
}

# Packages

packages_of() {
	case $1 in
	build) echo gcc libc6-dev dovecot-dev libpcre2-dev ;;
	bogofilter | crm114 | spamassassin) echo "$1" ;;
	spamd) echo spamassassin spamc spamd ;;
	rspamd) echo redis-server redis-tools rspamd ;;
	demo) packages_of build && echo bogofilter dovecot-core \
		dovecot-imapd python3 ;;
	lint) packages_of build && echo binutils clang cppcheck git mandoc \
		perl python3 shellcheck "$(clang_format)" ;;
	check) packages_of demo && packages_of lint && packages_of spamd &&
		packages_of rspamd && echo valgrind crm114 inotify-tools \
		libclang-rt-dev mount procps strace ;;
	bench) packages_of demo && echo e2fsprogs mount ;;
	ci) echo debootstrap git ;;
	*) die "there is no group '$1': build, demo, lint, check, bench, ci," \
		"bogofilter, crm114, spamassassin, spamd, rspamd" ;;
	esac
}

# .clang-format is written for version 14; Debian 13 has none.
clang_format() {
	if grep -qx 'VERSION_ID="12"' /etc/os-release; then
		echo clang-format-14
	fi
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = \
		installed ]
}

missing() {
	for package; do
		is_installed "$package" || echo "$package"
	done | sort -u | tr '\n' ' '
}

# Installing

apt() {
	DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
	APT_LISTCHANGES_FRONTEND=none LC_ALL=C apt-get -q \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
		-o APT::Sandbox::User=root "$@" </dev/null
}

# The steps of an installation, to standard output; nothing is changed.
simulate() {
	apt -s --no-install-recommends install "$@" 2>&1
}

# Refuse what would remove a package or change a running server.
check_plan() {
	removed=$(echo "$1" | awk '$1 == "Remv" { print $2 }' | tr '\n' ' ')
	[ -z "$removed" ] ||
		die "installing $packages would remove $removed:" \
			"nothing was changed; decide what to keep, and" \
			"install or remove by hand"
	if echo "$1" | grep -q '^Inst dovecot-core \[' && dovecot_runs; then
		die "a Dovecot runs here, and dovecot-dev needs a newer" \
			"version of it: nothing was changed; upgrade it" \
			"first: apt-get install dovecot-core"
	fi
}

dovecot_runs() {
	for process in $(processes); do
		case $(readlink "/proc/$process/exe") in
		/usr/sbin/dovecot*) return 0 ;;
		esac
	done
	return 1
}

policy_is_ours() {
	grep -qs "$policy_mark" "$policy"
}

# One that was killed has left its own.
policy_left() {
	[ "$(id -u)" -eq 0 ] || return 0
	lock
	! policy_is_ours || policy_restore
}

lock() {
	exec 9>/run/antispam-deps.lock
	flock 9
}

policy_deny() {
	if policy_is_ours; then
		: # left by one that was killed
	elif [ -e "$policy" ] || [ -L "$policy" ]; then
		mv "$policy" "$policy_saved"
	fi
	policy_denies=yes
	printf '#!/bin/sh\n# %s\nexit 101\n' "$policy_mark" >"$policy"
	chmod 755 "$policy"
}

policy_restore() {
	policy_denies=no
	rm -f "$policy"
	if [ -e "$policy_saved" ] || [ -L "$policy_saved" ]; then
		mv "$policy_saved" "$policy"
	fi
}

# Those with our root directory, by their id.
processes() {
	stat -L -c '%d:%i %n' /proc/[0-9]*/root 2>/dev/null |
		awk -v root="$(stat -c %d:%i /)" -F'[ /]' '
			$1 == root { print $4 }'
}

# A Dovecot that is here for the tests' sake alone is nobody's mail server, and
# so with the filters' daemons.
boot_disable() {
	for package in dovecot-core redis-server rspamd spamd; do
		grep -qx "$package" "$work/new" || continue
		service=${package%-core}
		update-rc.d "$service" disable >/dev/null 2>&1 ||
			die "can't keep $service from starting at the next" \
				"boot: update-rc.d $service disable failed"
		echo "deps: $service was not started and will not start at" \
			"boot; to use it: update-rc.d $service enable"
	done
}

# spamassassin's installation leaves a gpg-agent with its own keys behind.
gpg_agent_stop() {
	grep -qx spamassassin "$work/new" || return 0
	command -v gpgconf >/dev/null || return 0
	runuser -u debian-spamd -- gpgconf --homedir \
		/var/lib/spamassassin/sa-update-keys --kill gpg-agent \
		>/dev/null 2>&1 || :
}

# What runs now and has come with a package, or belongs to a user who has, is
# one process too many.
check_started() {
	processes | sort >"$work/processes.after"
	sort "$work/processes" |
		comm -13 - "$work/processes.after" >"$work/processes.new"
	while read -r process; do
		exe=$(readlink "/proc/$process/exe") || continue
		user=$(stat -c %U "/proc/$process" 2>/dev/null) || continue
		owner=$(dpkg-query -S "$exe" 2>/dev/null | cut -d: -f1)
		if [ "$owner" != "" ] && grep -qx "$owner" "$work/new" ||
			! grep -q "^$user:" "$work/passwd"; then
			die "installing $packages has started $exe (process" \
				"$process of $user), against $policy: stop it" \
				"by hand"
		fi
	done <"$work/processes.new"
}

install_now() {
	plan=$(simulate "$@") || return 1
	check_plan "$plan"
	echo "$plan" | awk '$1 == "Inst" && $3 ~ /^\(/ { print $2 }' \
		>"$work/new"
	processes >"$work/processes"
	cp /etc/passwd "$work/passwd"
	policy_deny
	status=0
	apt -y --no-remove --no-install-recommends \
		-o Dpkg::Options::=--force-confdef \
		-o Dpkg::Options::=--force-confold \
		install "$@" >"$work/log" 2>&1 || status=$?
	boot_disable
	gpg_agent_stop
	check_started
	policy_restore
	return "$status"
}

update() {
	echo "deps: apt-get update"
	apt update >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		die "apt-get update failed: see above"
	}
}

install_packages() {
	packages=$(missing "$@")
	[ -n "$packages" ] || ! policy_is_ours || policy_left
	[ -n "$packages" ] || return 0
	[ "$(id -u)" -eq 0 ] || die "missing packages; as root:" \
		"apt-get install --no-install-recommends $packages"
	set_up
	lock
	# Another one may have installed them meanwhile.
	packages=$(missing "$@")
	[ -n "$packages" ] || return 0
	# shellcheck disable=SC2086 # a word for each package
	set -- $packages
	echo "deps: installing $*"
	install_now "$@" && return 0
	# The lists of packages are absent, or too old.
	update
	install_now "$@" && return 0
	simulate "$@" | tail -n 20 >&2
	tail -n 20 "$work/log" >&2
	die "apt-get install $* failed: see above"
}

# Unpacking

# Also what is installed is unpacked if it is named itself: tests rely on it.
unpack_package() {
	dir=$pkg_dir/$1
	[ ! -e "$dir" ] || return 0
	rm -rf "$dir.new" "$dir.deb"
	mkdir -p "$dir.new" "$dir.deb"
	simulate "$1" >"$work/plan" || {
		cp "$work/plan" "$dir.deb/log"
		return 1
	}
	# shellcheck disable=SC2046 # a word for each package
	(cd "$dir.deb" && apt download "$1" $(awk -v named="$1" \
		'$1 == "Inst" && $3 ~ /^\(/ && $2 != named {
			print $2 "=" substr($3, 2) }' "$work/plan")) \
		>"$dir.deb/log" 2>&1 || return 1
	for deb in "$dir.deb"/*.deb; do
		dpkg -x "$deb" "$dir.new" || return 1
	done
	# What lies there is nobody's set-user-ID program.
	find "$dir.new" -type f -perm /6000 -exec chmod a-s {} +
	rm -r "$dir.deb"
	mv "$dir.new" "$dir"
}

unpack() {
	set_up
	mkdir -p "${BUILD:-build}/pkg"
	pkg_dir=$(cd "${BUILD:-build}/pkg" && pwd)
	exec 9>"$pkg_dir/.lock"
	flock 9
	for package; do
		unpack_package "$package" && continue
		update
		unpack_package "$package" || {
			cat "$pkg_dir/$package.deb/log" >&2 || :
			die "can't download $package: see above"
		}
	done
}

# For the Makefile

compiler() {
	lacks=
	# shellcheck disable=SC2086 # CC may be "ccache gcc"
	if ! command -v ${1%% *} >/dev/null; then
		lacks="$lacks gcc"
		[ -e /usr/include/stdlib.h ] || lacks="$lacks libc6-dev"
		[ -e /usr/include/pcre2.h ] || lacks="$lacks libpcre2-dev"
	else
		echo '#include <stdlib.h>' | $1 -E - >/dev/null 2>&1 ||
			lacks="$lacks libc6-dev"
		printf '%s\n' '#define PCRE2_CODE_UNIT_WIDTH 8' \
			'#include <pcre2.h>' | $1 -E - >/dev/null 2>&1 ||
			lacks="$lacks libpcre2-dev"
	fi
	[ -e "$2/config.h" ] || lacks="$lacks dovecot-dev"
	[ -z "$lacks" ] || die "to build the plugin, these packages are" \
		"missing:$lacks. Install them, or as root: make deps"
}

unowned() {
	command -v dpkg-query >/dev/null || return 0
	for file; do
		owner=$(dpkg-query -S "$file" 2>/dev/null | grep -v '^diversion') ||
			continue
		owner=${owner%%:*}
		die "$file belongs to the package $owner: nothing was" \
			"installed or removed; remove the package first:" \
			"apt-get remove $owner"
	done
}

case ${1-check} in
unpack | compiler | unowned)
	"$@"
	;;
*)
	command -v dpkg-query >/dev/null ||
		die "this is no Debian: install what README names by hand"
	[ $# -gt 0 ] || set -- check
	wanted=
	for group; do
		wanted="$wanted $(packages_of "$group")"
	done
	# shellcheck disable=SC2086 # a word for each package
	install_packages $wanted
	;;
esac
