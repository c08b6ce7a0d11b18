# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# TAP from a sh script: source this, call ok for each check, end with finish. What
# why prints follows a failure; a script may have its own.

n=0
bad=0

why() {
	[ ! -e /tmp/err ] || cat /tmp/err
}

# ok NAME STATUS
ok() {
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n - $1"
	else
		bad=1
		echo "not ok $n - $1"
		why | sed 's/^/# /'
	fi
}

# skip NAME REASON
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# all_well PID...: each ends with status 0; why tells what they left in /tmp/errN
all_well() {
	all_status=0
	for all_pid; do
		wait "$all_pid" || all_status=1
	done
	cat /tmp/err[0-9-]* >/tmp/err
	return $all_status
}

finish() {
	echo "1..$n"
	exit $bad
}
