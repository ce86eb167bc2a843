#!/bin/sh
# What the plugin costs, beside no plugin and its peers: tests/bench/bench.py.
# As root, after "make"; some minutes.
#
# BENCH      parts of it ("inline queue throughput scale")
# ROUNDS     how often all is measured (10)
# SIZES      messages that are moved at a time ("1 10 100 1000")
# BENCH_DIR  where the image of the file system lies (TMPDIR or /var/tmp)
#
# It measures on a file system of its own, a journaled ext4 in an image: other
# ones differ too much in what a sync and a new file cost. The mount is seen by
# these processes alone, and ends with them.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
: "${ROUNDS:=10}" "${SIZES:=1 10 100 1000}"
: "${BENCH:=inline queue throughput scale}"
export ROUNDS SIZES BENCH
BUILD=${BUILD:-$top/build}
case $BUILD in
/*) ;;
*) BUILD=$top/$BUILD ;;
esac
export BUILD ANTISPAM_BUILD="$BUILD"

die() {
	echo "bench: $*" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || die "must be run as root: it mounts a file system" \
	"and starts private Dovecots"
if [ -z "${BENCH_UNSHARED-}" ]; then
	export BENCH_UNSHARED=1
	exec unshare -m --propagation private sh "$top/tests/bench.sh"
fi

work=
python=

# Runs at every exit.
# shellcheck disable=SC2317 # it is called by the trap
clean_up() {
	status=$?
	trap '' INT TERM
	if [ -n "$python" ]; then
		kill "$python" 2>/dev/null || :
		wait "$python" || :
	fi
	if [ -n "$work" ]; then
		! mountpoint -q "$work/fs" || umount -R "$work/fs" ||
			umount -R -l "$work/fs"
		rm -rf "$work"
	fi
	exit "$status"
}

# Direct I/O spares a second copy of everything in the page cache.
loop_device() {
	losetup --find --show --direct-io=on "$1" 2>"$work/log" ||
		losetup --find --show "$1" 2>"$work/log" ||
		die "loop devices are not possible here, and figures of another" \
			"file system would mean nothing: $(cat "$work/log")"
}

# A round leaves some 400 MB of spooled messages, and one of a queue the same,
# which nobody deletes before the end: deleting would slow down what is measured
# next. What waits in a long queue needs 200000 inodes.
mount_image() {
	megabytes=$((4500 + 800 * ROUNDS))
	fallocate -l "${megabytes}M" "$work/image" 2>"$work/log" ||
		die "no $megabytes MB for the bench: $(cat "$work/log");" \
			"set BENCH_DIR, or ROUNDS to less than $ROUNDS"
	mkfs.ext4 -q -F -m 0 -i 8192 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard \
		"$work/image"
	mkdir "$work/fs"
	device=$(loop_device "$work/image")
	if ! mount -t ext4 "$device" "$work/fs" 2>"$work/log"; then
		losetup -d "$device"
		die "can't mount a loop device here, and figures of another" \
			"file system would mean nothing: $(cat "$work/log")"
	fi
	# It goes when the mount goes.
	losetup -d "$device"
}

trap clean_up EXIT
trap 'exit 130' INT TERM
dir=${BENCH_DIR:-${TMPDIR:-/var/tmp}}
work=$(mktemp -d "$dir/antispam-bench.XXXXXX")
chmod 755 "$work"
mount_image
BENCH_FS=$work/fs TMPDIR=$work/fs \
	python3 -B "$top/tests/bench/bench.py" &
python=$!
status=0
wait "$python" || status=$?
python=
exit "$status"
