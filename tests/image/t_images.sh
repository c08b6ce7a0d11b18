#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The layers below the tool on images in files: real ones (where they lie beside
# the project), qemu-img's and the tests' own. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
samples=$top/../shared/images
# shellcheck source=tests/image/lib.sh
. "$top/tests/image/lib.sh"

hash_of() { sha256sum | cut -d' ' -f1; }

# oracle NAME [-p PARENT]: NAME.vhdx shows what NAME.oracle says, and stays as it is
oracle() {
	name=$1
	shift
	before=$(hash_of <"$name.vhdx")
	rm -f ours.raw
	lines=
	vhdxcat "$@" "$name.vhdx" ours.raw 2>err && lines=$(oracle.py ours.raw "$samples/$name.oracle" 2>err)
	ok "$name: size and $lines lines of its oracle" $?
	# By themselves, at both ends of the list.
	wrong=0
	for line in 2 \$; do
		sed -n "${line}p" "$samples/$name.oracle" | {
			read -r offset length hash
			[ "$(vhdxcat "$@" "$name.vhdx" "$offset" "$length" 2>err | hash_of)" = "$hash" ]
		} || wrong=1
	done
	ok "$name: two of them alone" $wrong
	[ "$(hash_of <"$name.vhdx")" = "$before" ]
	ok "$name: the file is as it was" $?
}

for name in iotest-dynamic-1G iotest-dirtylog-10G-4M lvm2; do
	if [ -e "$samples/$name.vhdx.xz" ]; then
		xz -dc "$samples/$name.vhdx.xz" >"$name.vhdx"
		oracle "$name"
	else
		skip "$name" 'no ../shared/images'
	fi
done
if [ -e "$samples/child.vhdx.xz" ]; then
	xz -dc "$samples/child.vhdx.xz" >child.vhdx
	xz -dc "$samples/parent.vhdx.xz" >parent.vhdx
	oracle child -p parent.vhdx
	! vhdxcat child.vhdx 0 512 >out 2>err && grep -q 'has a parent' err
	ok 'child: is not read without its parent' $?
else
	skip child 'no ../shared/images'
fi

# same NAME IMAGE: the layers and qemu-img see the same disk
same() {
	rm -f ours.raw
	vhdxcat "$2" ours.raw 2>err && [ "$(vhdxcat "$2")" = "$(stat -c %s ours.raw)" ] &&
		qemu-img compare -f vhdx -F raw "$2" ours.raw >err 2>&1
	ok "$1" $?
}

# Writes over block ends, at both ends of the disk, twice to one place.
fill() {
	qemu-io -f vhdx -c 'write -P 0x11 0 64k' -c 'write -P 0x22 1048064 1024' \
		-c 'write -P 0x33 33554176 512k' -c 'write -P 0x44 100m 3m' \
		-c 'write -P 0x55 101m 4k' -c 'write -P 0x66 299m 1m' \
		-c 'write -P 0x77 160m 17m' -c 'write -z 161m 2m' "$1" >out 2>&1
}

for format in dynamic fixed; do
	for block in 1M 8M 64M 256M; do
		qemu-img create -q -f vhdx -o subformat=$format,block_size=$block,log_size=1M q.vhdx 300M
		same "qemu-img, $format, blocks of $block: empty" q.vhdx
		fill q.vhdx
		same "qemu-img, $format, blocks of $block: written" q.vhdx
	done
done
qemu-img create -q -f vhdx -o block_size=16M,log_size=64M q.vhdx 300M
fill q.vhdx
same 'qemu-img, a log of 64 MiB' q.vhdx
# QEMU goes through all of it.
if thorough; then
	qemu-img create -q -f vhdx -o block_size=1M,block_state_zero=off q.vhdx 12G
	qemu-io -f vhdx -c 'write -P 1 0 4k' -c 'write -P 2 4294963200 8k' -c 'write -P 3 8589930496 8k' \
		-c 'write -P 4 12884897792 4k' q.vhdx >out 2>&1
	same 'qemu-img, three chunks' q.vhdx
fi

# Dirty logs of the tests' own writer: qemu-img replays one and sees the same. (It
# reads no entry of more than 126 descriptors and no run that wraps.)
for name in log-one-entry log-metadata log-region-tables log-zero-then-data; do
	mkvhdx --bad $name b.vhdx >out
	qemu-img check -q -f vhdx -r all b.vhdx >err 2>&1
	qemu-img convert -f vhdx -O raw b.vhdx theirs.raw 2>>err && mkvhdx --bad $name --verify theirs.raw 2>>err
	ok "$name: replayed by qemu-img" $?
done

# The tests' own writer, read by both. qemu-img knows no sectors of 4096 bytes.
made() {
	name=$1
	shift
	mkvhdx "$@" m.vhdx 2>err
	rm -f ours.raw
	vhdxcat m.vhdx ours.raw 2>err && mkvhdx "$@" --verify ours.raw 2>err
	ok "made: $name" $?
	case " $* " in *' --sector 4096 '*) return ;; esac
	qemu-img convert -f vhdx -O raw m.vhdx theirs.raw 2>err && mkvhdx "$@" --verify theirs.raw 2>err
	ok "made: $name, to qemu-img" $?
}

made 'blocks of 256 MiB' --size 1G --block 256M --data 64K --blocks 0,3 --shuffle
made 'chunk ends' --size 9G --block 1M --blocks 4095,4096,4097,8191,8192 --shuffle --seed 3
made 'fixed' --size 20M --fixed --block 2M --seed 4
made 'sectors of 4096 bytes' --size 40G --sector 4096 --block 4M --blocks 0,8191,8192,10239 --shuffle
made 'states' --size 16M --blocks 0,1:1,2:2,3:3,5

# Images that look bad and are not, through the file operations of the tool.
for name in $(mkvhdx --list-bad | sed -n 's/ opens.*//p'); do
	mkvhdx --bad "$name" b.vhdx >out
	rm -f ours.raw
	vhdxcat b.vhdx ours.raw 2>err && mkvhdx --bad "$name" --verify ours.raw 2>err
	ok "opens: $name" $?
done

finish
