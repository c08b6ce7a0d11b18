#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The table of bad inputs through the driver: what is refused is refused with the
# right errno and names structure and place; what opens reads right; the file
# stays as it is. Prints TAP.
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

# All of them on one kernel, each fifth on the others.
step=5
[ "${VM_KERNEL-}" != 6.12 ] || step=1
mkvhdx --list-bad | sed -n "1~${step}p" >/tmp/list
while read -r name kind _; do
	file=/scratch/$name.vhdx
	mkvhdx --bad "$name" "$file" >/tmp/wanted
	hash=$(sha256sum <"$file")
	rawctl attach "$file" >/tmp/seen 2>&1
	status=$?
	if [ "$kind" = opens ] && grep -q 'differencing' /tmp/seen; then
		ok "$name: refused as differencing" 0
	elif [ "$kind" = opens ]; then
		[ $status = 0 ] && mkvhdx --bad "$name" --verify "/dev/vhdx$(cat /tmp/seen)" 2>/tmp/wanted
		ok "$name: opens and reads right" $?
		rawctl detach "$(cat /tmp/seen)" >/tmp/wanted || ok "$name: detaches" 1
	else
		[ $status = 1 ] && said
		ok "$name: $kind" $?
	fi
	if [ "$(sha256sum <"$file")" != "$hash" ] || [ -e /dev/vhdx0 ]; then
		ok "$name: file and devices are as they were" 1
	fi
	rm "$file"
done </tmp/list
[ "$(wc -l </tmp/list)" = $n ] && [ $((n * step)) -gt 150 ]
ok "each ${step}. row of the table" $?

finish
