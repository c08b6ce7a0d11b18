#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The table of bad inputs through the driver: what is refused is refused with the
# right errno and names structure and place; what opens reads right; the file
# stays as it is. Prints TAP.
# long: 6.12
# also: 6.1 debug
# vm: -m 128 -x build/mkvhdx -x build/rawctl
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"

why() {
	sed 's/^/wanted: /' /tmp/wanted
	sed 's/^/seen: /' /tmp/seen
}

# said: each line that is wanted is in what was seen, the errno is the first line
said() {
	[ "$(head -n 1 /tmp/wanted)" = "$(head -n 1 /tmp/seen)" ] || return 1
	while read -r part; do
		grep -qF -- "$part" /tmp/seen || return 1
	done </tmp/wanted
}

# refused WHAT CHAIN...: rawctl will not attach it, and says what is wanted
refused() {
	what=$1
	shift
	rawctl attach "$@" >/tmp/seen 2>&1
	[ $? = 1 ] && said
	ok "$name: $what" $?
}

# shows WHAT CHAIN...: it attaches and reads as the row should; sets size and sector
shows() {
	what=$1
	shift
	rawctl attach "$@" >/tmp/seen 2>&1 || {
		ok "$name: $what" 1
		return
	}
	disk=/dev/vhdx$(cat /tmp/seen)
	size=$(blockdev --getsize64 "$disk") sector=$(blockdev --getss "$disk")
	mkvhdx --bad "$name" --verify "$disk" 2>/tmp/wanted
	ok "$name: $what" $?
	rawctl detach "${disk#/dev/vhdx}" >/tmp/wanted || ok "$name: detaches" 1
}

# All of them on one kernel, each fifth on the others.
step=5
[ "${VM_KERNEL-}" != 6.12 ] || step=1
mkvhdx --list-bad | sed -n "1~${step}p" >/tmp/list
cd /scratch || exit 1
mkvhdx --size 8M --blocks '' --differencing child
while read -r name kind _; do
	mkvhdx --bad "$name" row >/tmp/wanted
	cp --sparse=always row same
	if [ "$kind" = opens ]; then
		shows 'opens and reads right' row
		mkvhdx --size "$size" --sector "$sector" --blocks '' --differencing above
		shows 'is a parent that reads right' above row
		rm above
	else
		refused "$kind" row
		refused "$kind as a parent" child row
	fi
	if ! cmp -s row same || [ -e /dev/vhdx0 ]; then
		ok "$name: file and devices are as they were" 1
	fi
	rm row same
done </tmp/list
[ "$(wc -l </tmp/list)" = $((n / 2)) ] && [ $((n * step)) -gt 300 ]
ok "each ${step}. row of the table, twice" $?

finish
