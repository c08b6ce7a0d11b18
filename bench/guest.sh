#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The measuring half of bench/run, in the VM. usage: guest.sh ROUNDS MIB
#
# Makes the same MIB of data as a raw file and as a VHDX file, both written in
# full, and again as a hole, attaches them through every peer, and runs each row
# on each target in turn, round after round, so that what else the machine does
# hits all of them alike. A sample a line goes to /results/samples:
# round, row, target, KiB/s.
set -eu

rounds=$1
mib=$2
cd /scratch

# Random, so that no writer finds zeros to leave out.
dd if=/dev/urandom of=full.raw bs=1M count="$mib" oflag=direct status=none
qemu-img convert -q -f raw -O vhdx -o subformat=dynamic,block_size=1M \
	full.raw full.vhdx
truncate -s "${mib}M" hole.raw
qemu-img create -q -f vhdx -o subformat=dynamic,block_size=1M hole.vhdx "${mib}M"
sync

modprobe nbd nbds_max=2
for state in full hole; do
	eval "loop_$state=$(losetup --find --show --read-only --direct-io=on $state.raw)"
	eval "vhdx_$state=$(vhdxctl attach -r $state.vhdx)"
done
qemu-nbd -r -c /dev/nbd0 --cache=none --aio=native -f vhdx full.vhdx
qemu-nbd -r -c /dev/nbd1 --cache=none --aio=native -f vhdx hole.vhdx

# target STATE TARGET: what fio reads
target() {
	case $2 in
	file) echo "/scratch/$1.raw" ;;
	loop | vhdx) eval "echo \$$2_$1" ;;
	qemu_nbd) if [ "$1" = full ]; then echo /dev/nbd0; else echo /dev/nbd1; fi ;;
	esac
}

for state in full hole; do
	for t in loop vhdx qemu_nbd; do
		[ "$(blockdev --getsize64 "$(target $state $t)")" = $((mib << 20)) ]
		cmp "$(target $state $t)" $state.raw
	done
done

# row NAME STATE FIO-ARGUMENT...: one sample of each target. Terse field 7 is
# the bandwidth of reads in KiB/s, of all jobs together.
row() {
	name=$1 state=$2
	shift 2
	for t in file loop vhdx qemu_nbd; do
		kib=$(fio --minimal --name=row --filename="$(target "$state" $t)" \
			--readonly --direct=1 --ioengine=io_uring \
			--group_reporting --randrepeat=1 --norandommap \
			--allow_file_create=0 "$@" | cut -d';' -f7)
		[ "$kib" -gt 0 ]
		printf '%s\t%s\t%s\t%s\n' "$round" "$name" $t "$kib" >>/results/samples
	done
}

round=0
while [ "$round" -lt "$rounds" ]; do
	row 'randread 4k qd32, written' full --rw=randread --bs=4k --iodepth=32 --io_size=96m
	row 'randread 4k qd32 2 jobs, written' full --rw=randread --bs=4k --iodepth=32 \
		--numjobs=2 --io_size=64m
	row 'randread 4k qd1, written' full --rw=randread --bs=4k --iodepth=1 --io_size=16m
	row 'read 1M qd4, written' full --rw=read --bs=1M --iodepth=4 --io_size="${mib}m"
	row 'randread 4k qd32, unmapped' hole --rw=randread --bs=4k --iodepth=32 --io_size=96m
	row 'read 1M qd4, unmapped' hole --rw=read --bs=1M --iodepth=4 --io_size="${mib}m"
	round=$((round + 1))
	echo "round $round of $rounds"
done

qemu-nbd -d /dev/nbd0 >/dev/null
qemu-nbd -d /dev/nbd1 >/dev/null
vhdxctl detach full.vhdx hole.vhdx
losetup -D
