# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The debug kernel's fault injection, for scripts that take pieces of it.

debugfs=/sys/kernel/debug

# fault NAME PROBABILITY TIMES [INTERVAL]: begins to inject, with this probability
# (in percent) into every INTERVAL-th
fault() {
	cd "$debugfs/$1" || return 1
	echo 0 >verbose
	echo "${4-1}" >interval
	echo 0 >space
	echo N >task-filter
	echo "$3" >./times
	echo "$2" >probability
	cd /tmp || return 1
}
no_fault() { echo 0 >"$debugfs/$1/probability"; }

# fault_code DEPTH [FUNCTION]: only allocations of the driver, or of what this function
# of it calls, that are at most so many calls below
fault_code() {
	awk '$4 == "[vhdx]" && $2 ~ /[tT]/ { print "0x" $1, $3 }' /proc/kallsyms | sort >/tmp/code
	if [ $# = 1 ]; then
		sed -n '1p;$p' /tmp/code
	else
		grep -A 1 " $2\$" /tmp/code
	fi | cut -d ' ' -f 1 | {
		read -r code_start
		read -r code_end
		echo "$code_start" >$debugfs/failslab/require-start
		echo "$code_end" >$debugfs/failslab/require-end
	}
	echo "$1" >$debugfs/failslab/stacktrace-depth
	echo N >$debugfs/failslab/ignore-gfp-wait
}
