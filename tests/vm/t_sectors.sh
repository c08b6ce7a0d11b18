#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Sector sizes, block sizes, layouts and the largest disks, from the tests' own
# writer. What attaching them takes is printed. Prints TAP.
# long: 6.12
# also: 6.1
# vm: -m 1280 -x build/mkvhdx
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"

memory() { sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
now() { date +%s%N; }

# disk NAME SECTOR PHYSICAL BLOCK-SECTORS MKVHDX-OPTION...
disk() {
	name=$1 sector=$2 physical=$3 chunk=$4
	shift 4
	file=/scratch/d.vhdx
	rm -f $file
	mkvhdx "$@" $file 2>/tmp/err
	sync
	# the BAT that is written is 512 MiB of zeros: the rest will do
	hash=$(head -c 16M $file | sha256sum)
	echo 3 >/proc/sys/vm/drop_caches
	before=$(memory) start=$(now)
	dev=$(vhdxctl attach -r $file 2>/tmp/err)
	status=$? end=$(now) after=$(memory)
	ok "$name: attaches" $status
	[ $status = 0 ] || return
	echo "# $name: $(((end - start) / 1000000)) ms, $((before - after)) KiB"
	[ "$(blockdev --getss "$dev")" = "$sector" ] && [ "$(blockdev --getpbsz "$dev")" = "$physical" ]
	ok "$name: sector sizes" $?
	[ "$(cat "/sys/block/${dev#/dev/}/queue/chunk_sectors")" = "$chunk" ] &&
		[ "$(cat "/sys/block/${dev#/dev/}/ro")" = 1 ]
	ok "$name: chunk_sectors, read-only" $?
	mkvhdx "$@" --verify "$dev" 2>/tmp/err
	ok "$name: reads right" $?
	# once more, nothing of it in the page cache, large and small reads
	blockdev --flushbufs "$dev"
	dd if="$dev" of=/dev/null bs=4M count=16 iflag=direct status=none 2>/tmp/err &&
		dd if="$dev" of=/dev/null bs="$sector" count=100 iflag=direct status=none 2>/tmp/err
	ok "$name: direct reads" $?
	vhdxctl detach "$dev" 2>/tmp/err
	ok "$name: detaches" $?
	[ "$(head -c 16M $file | sha256sum)" = "$hash" ]
	ok "$name: the file is as it was" $?
}

disk '512, blocks of 1 MiB' 512 4096 2048 --size 40M --shuffle --seed 1 \
	--blocks 0,1,2:2,3:3,4:1,5:5,20,21,39
disk '512 and 512' 512 512 2048 --size 20M --physical 512 --fixed --seed 2
disk '4096, blocks of 4 MiB' 4096 4096 8192 --size 60M --sector 4096 --block 4M --shuffle --seed 3 \
	--blocks 0,1,7,14
disk '4096, physical 512' 4096 4096 2048 --size 20M --sector 4096 --physical 512 --blocks 0,19 --seed 4
disk '512, blocks of 256 MiB' 512 4096 524288 --size 1100M --block 256M --shuffle --seed 5 \
	--blocks 0,3,4 --data 1M
disk '4096, blocks of 256 MiB' 4096 4096 524288 --size 40G --sector 4096 --block 256M --shuffle --seed 6 \
	--blocks 0,3,127,128,159 --data 1M
disk 'chunk ends' 512 4096 2048 --size 13G --shuffle --seed 7 \
	--blocks 4094,4095,4096,8191,8192,12287,12288,13311
disk 'chunk ends, 4096' 4096 4096 65536 --size 100G --sector 4096 --block 32M --shuffle --seed 8 \
	--blocks 1023,1024,2047,2048,3199 --data 1M
disk 'size no multiple of the block' 512 4096 4096 --size 5243392 --block 2M --seed 9 --blocks 0,2

disk '64 TiB, the BAT a hole' 512 4096 2048 --size 64T --blocks 0,4095,4096,33554432,67108863
disk '64 TiB, an empty BAT written' 512 4096 2048 --size 64T --bat-written --blocks 67108863
disk '64 TiB, 4096' 4096 4096 524288 --size 64T --sector 4096 --block 256M --blocks 0,262143 --data 64K

finish
