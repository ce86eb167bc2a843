#!/bin/sh
# The plugin at work, for people to watch: tests/demo/demo.py. As root, after
# "make"; FILTER=bogofilter (default), spamassassin, spamd, rspamd or crm114. It
# installs the filter if that is missing, leaves nothing else behind, and exits
# with 0 only if the filter has really learned.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
case ${FILTER:=bogofilter} in
bogofilter) program=bogofilter ;;
spamassassin) program=sa-learn ;;
spamd) program=spamd ;;
rspamd) program=rspamd ;;
crm114) program=crm ;;
*)
	echo "demo: FILTER=$FILTER: there are bogofilter, spamassassin," \
		"spamd, rspamd, crm114" >&2
	exit 2
	;;
esac
if [ "$(id -u)" -ne 0 ]; then
	echo "demo: must be run as root: it starts a private Dovecot that" \
		"gives mail to another user" >&2
	exit 1
fi
command -v "$program" >/dev/null || sh "$top/tests/deps.sh" "$FILTER"
export FILTER
exec python3 -B "$top/tests/demo/demo.py"
