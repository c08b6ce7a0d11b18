# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What a script leaves out where all of it would take long and say little more: to be
# read by it. tests/check sets VHDX_QUICK where not everything is asked for.

thorough() {
	[ -z "${VHDX_QUICK-}" ]
}

# some N WORD...: prints all of them, or the first N
some() {
	some_count=$1
	shift
	! thorough || some_count=$#
	while [ "$some_count" -gt 0 ]; do
		printf '%s\n' "$1"
		shift
		some_count=$((some_count - 1))
	done
}

# every N: passes on all lines, or one of N
every() {
	if thorough; then cat; else awk "(NR - 1) % $1 == 0"; fi
}
