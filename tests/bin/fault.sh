#!/bin/sh
# A filter for the tests that goes wrong in the way that its directory is named
# after. Each run leaves its line of /proc/PID/stat, and those of what it starts,
# in starts/N/stat; N counts from 1. What learns is "fake" beside it: record.sh,
# fake-dspam.sh or fake-mailreaver.sh.
dir=${0%/*}

count() {
	echo $#
}

# Near the right number; those that start at the same time sort it out.
n=1
if [ -e "$dir/starts/1" ]; then
	n=$(($(count "$dir"/starts/*) + 1))
fi
while ! mkdir "$dir/starts/$n" 2>/dev/null; do
	n=$((n + 1))
done

note() {
	cat "/proc/$1/stat" >>"$dir/starts/$n/stat"
}

# A child and its child.
family() {
	(
		sleep 60 &
		note $!
		wait
	) &
	note $!
}

flood() {
	yes flood | head -c 100000000
}

# What must not say a word to have learned has not.
exit_if_speech_is_failure() {
	case ${0##*/} in
	filter) ;;
	*) exit 0 ;;
	esac
}

note $$
case ${dir##*/} in
exits-1*)
	exit 1
	;;
exits-75)
	exit 75
	;;
complains)
	echo "output is not what the log is to show"
	printf '\n \033[31mred\033[0m\007 \377 first\r\nsecond\n' >&2
	exit 1
	;;
dies)
	kill -9 $$
	;;
closes-stdin)
	exec 0<&-
	exit 0
	;;
floods-stdout)
	flood
	exit_if_speech_is_failure
	;;
floods-stderr)
	flood >&2
	exit_if_speech_is_failure
	;;
hangs)
	family
	wait
	exit 0
	;;
ignores-term)
	trap '' TERM
	family
	wait
	exit 0
	;;
leaves-a-child)
	sleep 60 &
	note $!
	;;
fails-third*)
	[ "$n" -lt 3 ] || exit 1
	;;
waits*)
	# 30 s at most
	tries=0
	while [ ! -e "$dir/go" ] && [ $tries -lt 1500 ]; do
		tries=$((tries + 1))
		sleep 0.02
	done
	;;
esac
exec "$dir/fake" "$@"
