#!/bin/sh
# dspam's retraining for the tests. As the real one does, it exits with status 0
# and says nothing to a signature that it does not know; it takes the signature
# for a file name; and only --deliver=summary --stdout has it say that it has
# learned.
#
# It keeps its calls, one directory each: calls/N/{argv,env,stdin,cwd,done}, argv
# and env NUL-separated, N counting from 1. Files beside this program control it: signatures/NAME (it knows NAME), "output" and
# "errors" (text for stdout and stderr), "sleep" (seconds), "status".
# lessons gets a line "CLASS USER SIGNATURE" for each lesson learned.
dir=${0%/*}

n=1
while ! mkdir "$dir/calls/$n" 2>/dev/null; do
	n=$((n + 1))
done
call=$dir/calls/$n
printf '%s\000' "$0" "$@" >"$call/argv"
cat "/proc/$$/environ" >"$call/env"
pwd -P >"$call/cwd"

user='' class='' signature='' summary=no stdout=no source=''
while [ $# -gt 0 ]; do
	case $1 in
	--user)
		shift
		user=${1-}
		;;
	--class=*) class=${1#*=} ;;
	--signature=*) signature=${1#*=} ;;
	--source=*) source=${1#*=} ;;
	--stdout) stdout=yes ;;
	--deliver=*)
		case ,${1#*=}, in
		*,summary,*) summary=yes ;;
		esac
		;;
	esac
	shift
done
# The real one reads no message if it is given a signature.
[ -n "$signature" ] || cat >"$call/stdin"

finish() {
	echo "$1" >"$call/done"
	exit "$1"
}

[ ! -e "$dir/sleep" ] || sleep "$(cat "$dir/sleep")"
[ ! -e "$dir/output" ] || cat "$dir/output"
[ ! -e "$dir/errors" ] || cat "$dir/errors" >&2
[ ! -e "$dir/status" ] || finish "$(cat "$dir/status")"

# What these are about stands in its own log alone.
case $class in
spam | innocent) ;;
*) finish 1 ;;
esac
[ -n "$user" ] || finish 1
[ "$source" = error ] || finish 1
[ -e "$dir/signatures/$signature" ] || finish 0

echo "$class $user $signature" >>"$dir/lessons"
if [ "$summary" = yes ] && [ "$stdout" = yes ]; then
	case $class in
	spam) word=Spam ;;
	*) word=Innocent ;;
	esac
	printf 'X-DSPAM-Result: %s; result="%s"; class="%s"; ' \
		"$user" "$word" "$word"
	printf 'probability=1.0000; confidence=1.00; signature=%s\n' \
		"$signature"
fi
finish 0
