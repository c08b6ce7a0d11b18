#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The second reader of the format, which judges the crash enumerator's states:
# it refuses what must be refused, and shows what the others show. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/image/lib.sh
. "$top/tests/image/lib.sh"

mkvhdx --list-bad >list
while read -r name _; do
	mkvhdx --bad "$name" "$name" >out
done <list
sed 's/ .*//' list | xargs replay.py >said 2>err
while read -r name must _; do
	if [ "$must" = opens ]; then
		grep "^$name:" said >err
		mkvhdx --bad "$name" --verify "$name.raw" 2>>err
		ok "opens: $name" $?
	else
		grep "^$name:" said >err
		grep -q "^$name: refused" err
		ok "is refused: $name" $?
	fi
done <list

# made NAME OPTION...: the tests' own writer, what it says that it has written
made() {
	name=$1
	shift
	rm -f m.vhdx.raw
	mkvhdx "$@" m.vhdx 2>err
	replay.py m.vhdx >>err 2>&1 && mkvhdx "$@" --verify m.vhdx.raw 2>>err
	ok "made: $name" $?
}

made 'chunk ends' --size 9G --block 1M --blocks 4095,4096,4097,8191,8192 --data 64K --shuffle --seed 3
made 'sectors of 4096 bytes' --size 40G --sector 4096 --block 4M --data 64K --blocks 0,8191,8192,10239 --shuffle
made 'states' --size 16M --blocks 0,1:1,2:2,3:3,5

# Others' images; one with a log that QEMU left dirty.
for name in iotest-dirtylog-10G-4M iotest-dynamic-1G lvm2; do
	sample=$top/../shared/images/$name.vhdx.xz
	if [ -e "$sample" ]; then
		xz -dc "$sample" >s.vhdx
		vhdxcat s.vhdx ours.raw 2>err && replay.py s.vhdx >>err 2>&1 &&
			qemu-img compare -f raw -F raw ours.raw s.vhdx.raw >>err 2>&1
		ok "$name" $?
	else
		skip "$name" 'no ../shared/images'
	fi
done

sample=$top/../shared/images/child.vhdx.xz
if [ -e "$sample" ]; then
	xz -dc "$sample" >child.vhdx
	xz -dc "$top/../shared/images/parent.vhdx.xz" >parent.vhdx
	vhdxcat -p parent.vhdx child.vhdx ours.raw 2>err && replay.py -p parent.vhdx child.vhdx >>err 2>&1 &&
		cmp ours.raw child.vhdx.raw >>err 2>&1
	ok 'child above parent' $?
	7zz x -so -tvhdx child.vhdx 2>err | cmp - ours.raw >>err 2>&1
	ok 'child, to 7zz' $?
else
	skip 'child above parent' 'no ../shared/images'
fi

finish
