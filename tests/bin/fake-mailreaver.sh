#!/bin/sh
# crm114's mailreaver.crm for the tests, as far as retraining goes. As the real
# one does, it exits with status 0 whatever happens, finds its cache below the
# working directory or that of -u, and puts the id that it is given into a
# shell's command as it stands. Its words are those of the real one.
#
# It keeps its calls, one directory each: calls/N/{argv,env,stdin,cwd,done}, argv
# and env NUL-separated, N counting from 1. Files beside this program control it: "readonly" (it can't write what it learns),
# "mute" (it says nothing on stdout), "sleep" (seconds), "status" (exit status).
# lessons gets a line "CLASS ID" for each lesson learned.
dir=${0%/*}

n=1
while ! mkdir "$dir/calls/$n" 2>/dev/null; do
	n=$((n + 1))
done
call=$dir/calls/$n
printf '%s\000' "$0" "$@" >"$call/argv"
cat "/proc/$$/environ" >"$call/env"
pwd -P >"$call/cwd"
cat >"$call/stdin"

class='' prefix=''
while [ $# -gt 0 ]; do
	case $1 in
	--spam) class=spam ;;
	--good) class=${class:-good} ;;
	--fileprefix=*) prefix=${1#*=} ;;
	-u)
		shift
		cd "$1" || exit 1
		;;
	esac
	shift
done

finish() {
	status=0
	[ ! -e "$dir/status" ] || status=$(cat "$dir/status")
	echo "$status" >"$call/done"
	exit "$status"
}

[ ! -e "$dir/sleep" ] || sleep "$(cat "$dir/sleep")"
[ ! -e "$dir/mute" ] || finish

found=$(sed -n 's/^X-CRM114-CacheID: //p' "$call/stdin" | head -n 1)
echo "X-CRM114-CacheID: $found"
if ! [ -e "${prefix}mailfilter.cf" ]; then
	printf '\n ERROR: maillib.crm broke.  Here'\''s the error\\: \n' >&2
	printf ' Aw, crud.  maillib.crm broke.  Here'\''s the error: \n'
	finish
fi
if [ -z "$class" ]; then
	printf 'X-CRM114-Status: UNSURE (   0.00  )\n\n'
	finish
fi
id=${found#sfid-}
text=$(sh -c "/bin/ls reaver_cache/texts/$id")
if [ -z "$text" ]; then
	printf '\n-----\n  Problem: couldn'\''t find the cached text.\n'
	printf '  Perhaps you'\''ve already trained it?  \n No action taken.\n\n'
	finish
fi
case $class in
spam) word=SPAM ;;
*) word=GOOD ;;
esac
mkdir -p "reaver_cache/known_$class"
/bin/ln "reaver_cache/texts/$id" "reaver_cache/known_$class/$id"
echo "X-CRM114-Action: LEARNED AND CACHED $word"
if [ -e "$dir/readonly" ]; then
	printf '\n ERROR: %sspam.css: \n Permission denied\n' "$prefix" >&2
	finish
fi
echo "$class $id" >>"$dir/lessons"
finish
