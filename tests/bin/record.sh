#!/bin/sh
# A filter for the tests: keeps what it is called with, one directory a call:
# calls/N/{argv,stdin}, argv NUL-separated. N counts from 1 in the order of the
# starts; calls/N/done appears at the end. Files beside this program control it:
# "detail" (keep env, NUL-separated, cwd, fds and stat too), "sleep" (seconds),
# "output" and "errors" (text for stdout and stderr), "noread" (leave stdin
# alone), "status" (exit status), and "fail-from" (fail with status 1 from that
# call on).
dir=${0%/*}

count() {
	echo $#
}

# Near the right number; those that start at the same time sort it out.
n=1
if [ -e "$dir/calls/1" ]; then
	n=$(($(count "$dir"/calls/*) + 1))
fi
while ! mkdir "$dir/calls/$n" 2>/dev/null; do
	n=$((n + 1))
done
call=$dir/calls/$n

printf '%s\000' "$0" "$@" >"$call/argv"
if [ -e "$dir/detail" ]; then
	cat "/proc/$$/environ" >"$call/env"
	pwd -P >"$call/cwd"
	cat "/proc/$$/stat" >"$call/stat"
	# Of ls itself, which opens 3; those of this shell are its own affair.
	ls -l /proc/self/fd >"$call/fds"
fi
if [ ! -e "$dir/noread" ]; then
	cat >"$call/stdin"
fi

if [ -e "$dir/sleep" ]; then
	sleep "$(cat "$dir/sleep")"
fi
if [ -e "$dir/output" ]; then
	cat "$dir/output"
fi
if [ -e "$dir/errors" ]; then
	cat "$dir/errors" >&2
fi
status=0
if [ -e "$dir/status" ]; then
	status=$(cat "$dir/status")
fi
if [ -e "$dir/fail-from" ] && [ "$n" -ge "$(cat "$dir/fail-from")" ]; then
	status=1
fi
echo "$status" >"$call/done"
exit "$status"
