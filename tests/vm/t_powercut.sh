#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The power fails: all writes below an image are logged while it is written, and
# disks are made of that log as a cut could leave them: at each flush and at
# points between, with any part of the writes since the last flush left out. Each
# must attach and show what was promised. Prints TAP.
# long: 6.12
# vm: -m 64 -x build/mkvhdx -x build/powercut
# more: -e POINTS=200
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"

seed=${SEED:-1}
rounds=${ROUNDS:-10}
points=${POINTS:-80}
echo "# seed $seed, $rounds rounds, $points points"

modprobe -a loop dm_log_writes
mkdir -p /tmp/host
# shellcheck disable=SC2046 # three words
set -- $(powercut size)
size=$1 area=$2 others=$3

# memory_disk NAME MIB: sets disk
memory_disk() {
	dir=/sys/kernel/config/nullb/$1
	mkdir "$dir"
	for set in size="$2" memory_backed=1 discard=1 cache_size=8 blocksize=512 power=1; do
		echo "${set#*=}" >"$dir/${set%%=*}" || return 1
	done
	disk=/dev/nullb$(cat "$dir/index")
	[ -b "$disk" ] || disk=/dev/$1
}

# load IMAGE FROM TO: one attach, one part of the load, fio beside it
load() {
	vhdx=$(vhdxctl attach "$1") || return 1
	fio --name=others --filename="$vhdx" --offset="$area" --size="$others" \
		--rw=randwrite --bs=4k --direct=1 --ioengine=psync --numjobs=2 \
		--number_ios=24 --fsync=8 --buffer_pattern=0xa5 --scramble_buffers=0 \
		--randseed="$seed" --output=/tmp/fio &
	fio=$!
	powercut load "$seed" "$rounds" "$2" "$3" "$vhdx" logged
	status=$?
	wait $fio || status=1
	vhdxctl detach "$vhdx" || status=1
	[ $status != 0 ] || dmsetup message logged 0 mark "stable-$3"
	return $status
}

# cut HOST [OPTION]...: logs the load and cuts it
cut() {
	host=$1 image=/tmp/host/image.vhdx
	shift
	dd if="$data" of=/tmp/base bs=1M conv=sparse status=none
	dmsetup create logged --noudevsync --table \
		"0 $(blockdev --getsz "$data") log-writes $data $log" >/dev/null
	ok "$host: the log begins" $?
	logged=/dev/$(dmsetup info -c --noheadings -o blkdevname logged)
	[ "$host" = ext4 ] || image=$logged
	[ "$host" != ext4 ] || mount -o noatime,noinit_itable,discard "$logged" /tmp/host
	status=0
	{ load "$image" 1 $((rounds / 3)) &&
		load "$image" $((rounds / 3 + 1)) "$rounds"; } 2>/tmp/err || status=1
	ok "$host: the load is written" $status
	[ "$host" != ext4 ] || umount /tmp/host
	dmsetup remove --noudevsync logged

	powercut cuts "$@" "$seed" "$rounds" "$points" /tmp/base "$log" 2>/tmp/err
	status=$?
	ok "$host: each state attaches, replays and shows what was promised" $status
	# for the one who looks for the reason
	[ $status = 0 ] || {
		cp /tmp/base "/results/$host.base"
		dd if="$log" of="/results/$host.log" bs=1M conv=sparse status=none
	}
	blkdiscard -f "$log"
}

# Both steps are small, so that the file grows often.
echo 4 >/sys/module/vhdx/parameters/growth_mib

memory_disk log 768 && log=$disk && memory_disk data 96 && data=$disk
ok 'disks' $?

mkfs.ext4 -q -J size=4 -E lazy_itable_init=0,lazy_journal_init=0 "$data"
mount "$data" /tmp/host
mkvhdx --size "$size" --block 1M --log 1M --blocks '' /tmp/host/image.vhdx
umount /tmp/host
cut ext4 -i image.vhdx

blkdiscard -f "$data"
mkvhdx --size "$size" --block 1M --log 1M --blocks '' /tmp/image.vhdx
dd if=/tmp/image.vhdx of="$data" bs=1M conv=sparse,notrunc status=none
cut device

finish
