#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The measuring half of bench/run, in the VM. usage: guest.sh ROUNDS MIB ZEROED WORD
#
# Makes the same MIB of data for every peer, attaches it through each, and runs
# each row on each target in turn, round after round, so that what else the
# machine does hits all of them alike. A sample a line goes to /results/samples:
# round, row, target, KiB/s. The state in a row's name is the same for all:
#	written   every byte was written before
#	unmapped  a hole, or no block at all
#	first     nothing was written before; the raw file is fallocated, a VHDX file
#	          is as qemu-img makes it and grows
# Chains are vhdx's own: images without a block of their own above one that was
# written; for partial, a child that has a sector of each block. The rest of a
# block's space in the child's file is as the driver leaves it, zeroed because of
# zeroed_growth, or written space: the same child after cp, as a file that came
# from elsewhere.
# ZEROED (0 or 1) is the driver's parameter zeroed_growth. Only rows that have WORD
# in their name are run.
set -eu

rounds=$1
mib=$2
zeroed=$3
word=$4
echo "$zeroed" >/sys/module/vhdx/parameters/zeroed_growth
cd /scratch
modprobe nbd nbds_max=3

# make_vhdx FILE: an empty disk
make_vhdx() {
	qemu-img create -q -f vhdx -o subformat=dynamic,block_size=1M "$1" "${mib}M"
}

nbd() { # N OPTION... FILE
	nbd=/dev/nbd$1
	shift
	qemu-nbd -c "$nbd" --cache=none --aio=native -f vhdx "$@"
}

# Random, so that no writer finds zeros to leave out.
dd if=/dev/urandom of=written.raw bs=1M count="$mib" oflag=direct status=none
for name in written written-nbd; do
	qemu-img convert -q -f raw -O vhdx -o subformat=dynamic,block_size=1M \
		written.raw $name.vhdx
done
cp --sparse=always written.vhdx chain-0.vhdx
for depth in $(seq 16); do
	vhdxctl create --parent "chain-$((depth - 1)).vhdx" "chain-$depth.vhdx"
done
truncate -s "${mib}M" unmapped.raw
make_vhdx unmapped.vhdx
sync

loop_written=$(losetup --find --show --direct-io=on written.raw)
loop_unmapped=$(losetup --find --show --read-only --direct-io=on unmapped.raw)
vhdx_written=$(vhdxctl attach written.vhdx)
vhdx_unmapped=$(vhdxctl attach -r unmapped.vhdx)
nbd 0 written-nbd.vhdx
nbd 1 -r unmapped.vhdx

# target STATE TARGET: what fio works on
target() {
	case $1-$2 in
	*-file) echo "/scratch/$1.raw" ;;
	written-loop) echo "$loop_written" ;;
	written-vhdx) echo "$vhdx_written" ;;
	written-qemu_nbd) echo /dev/nbd0 ;;
	unmapped-loop) echo "$loop_unmapped" ;;
	unmapped-vhdx) echo "$vhdx_unmapped" ;;
	unmapped-qemu_nbd) echo /dev/nbd1 ;;
	first-loop) echo "$loop_first" ;;
	first-vhdx) echo "$vhdx_first" ;;
	first-qemu_nbd) echo /dev/nbd2 ;;
	esac
}

for state in written unmapped; do
	for t in loop vhdx qemu_nbd; do
		[ "$(blockdev --getsize64 "$(target $state $t)")" = $((mib << 20)) ]
		cmp "$(target $state $t)" $state.raw
	done
done

# A disk that nothing was written to, for one sample.
first_make() {
	case $1 in
	file) fallocate -l "${mib}M" first.raw ;;
	loop)
		fallocate -l "${mib}M" first.raw
		loop_first=$(losetup --find --show --direct-io=on first.raw)
		;;
	vhdx)
		make_vhdx first.vhdx
		vhdx_first=$(vhdxctl attach first.vhdx)
		;;
	qemu_nbd)
		make_vhdx first.vhdx
		nbd 2 first.vhdx
		;;
	esac
	sync
}

first_drop() {
	case $1 in
	loop) losetup -d "$loop_first" ;;
	vhdx) vhdxctl detach "$vhdx_first" ;;
	qemu_nbd)
		qemu-nbd -d /dev/nbd2 >/dev/null
		# it answers before the process has let go of the file
		while pgrep -f first.vhdx >/dev/null; do sleep 0.1; done
		;;
	esac
	rm -f first.raw first.vhdx
	sync
}

wanted() {
	case $1 in
	*"$word"*) ;;
	*) return 1 ;;
	esac
}

# sample ROW TARGET FILE FIO-ARGUMENT...: terse fields 7 and 48 are the bandwidth of
# reads and writes in KiB/s, of all jobs together
sample() {
	kib=$(
		file=$3
		shift 3
		fio --minimal --name=row --filename="$file" \
			--direct=1 --ioengine=io_uring --group_reporting \
			--randrepeat=1 --allow_file_create=0 --size="${mib}m" "$@" |
			awk -F';' '{ print $7 + $48 }'
	)
	[ "$kib" -gt 0 ]
	printf '%s\t%s\t%s\t%s\n' "$round" "$1" "$2" "$kib" >>/results/samples
}

# row NAME STATE FIO-ARGUMENT...: one sample of each target
row() {
	name=$1 state=$2
	shift 2
	wanted "$name" || return 0
	for t in file loop vhdx qemu_nbd; do
		[ "$state" != first ] || first_make $t
		sample "$name" $t "$(target "$state" $t)" "$@"
		[ "$state" != first ] || first_drop $t
	done
}

read_rows() {
	row 'randread 4k qd32, written' written --rw=randread --norandommap --bs=4k \
		--iodepth=32 --io_size=96m
	row 'randread 4k qd32 2 jobs, written' written --rw=randread --norandommap --bs=4k \
		--iodepth=32 --numjobs=2 --io_size=64m
	row 'randread 4k qd1, written' written --rw=randread --norandommap --bs=4k \
		--iodepth=1 --io_size=16m
	row 'read 1M qd4, written' written --rw=read --bs=1M --iodepth=4
	row 'randread 4k qd32, unmapped' unmapped --rw=randread --norandommap --bs=4k \
		--iodepth=32 --io_size=96m
	row 'read 1M qd4, unmapped' unmapped --rw=read --bs=1M --iodepth=4
}

chain_rows() {
	for depth in 1 4 16; do
		name="randread 4k qd32, chain depth $depth"
		wanted "$name" || continue
		chain=$(vhdxctl attach -r "chain-$depth.vhdx")
		sample "$name" vhdx "$chain" --rw=randread \
			--norandommap --bs=4k --iodepth=32 --io_size=96m
		vhdxctl detach "$chain"
	done
}

# partial_row SPACE NAME: a new child for each sample, filled at random, so that each
# write sets bits; where SPACE is unwritten the first to a piece of it is written with
# zeros around it, and the file system below converts an extent. Where it is written
# the driver's own cost is all there is.
partial_row() {
	space=$1
	name=$2
	wanted "$name" || return 0
	case $space in
	unwritten | written) echo 0 ;;
	zeroed) echo 1 ;;
	esac >/sys/module/vhdx/parameters/zeroed_growth
	vhdxctl create --parent chain-0.vhdx partial.vhdx
	partial=$(vhdxctl attach partial.vhdx)
	fio --name=prepare --filename="$partial" --direct=1 --rw=write:2044k --bs=4k \
		--size="${mib}m" --io_size=$((mib * 2))k --end_fsync=1 >/dev/null
	if [ "$space" = written ]; then
		vhdxctl detach "$partial"
		cp --sparse=never partial.vhdx copy.vhdx
		mv copy.vhdx partial.vhdx
		partial=$(vhdxctl attach partial.vhdx)
	fi
	sync
	sample "$name" vhdx "$partial" --rw=randwrite --bs=4k --iodepth=32
	vhdxctl detach "$partial"
	rm partial.vhdx
	echo "$zeroed" >/sys/module/vhdx/parameters/zeroed_growth
}

write_rows() {
	row 'randwrite 4k qd32, written' written --rw=randwrite --norandommap --bs=4k \
		--iodepth=32 --io_size=64m
	row 'write 1M qd4, written' written --rw=write --bs=1M --iodepth=4
	row 'randwrite 4k qd1 fsync each, written' written --rw=randwrite --norandommap \
		--bs=4k --iodepth=1 --fsync=1 --io_size=4m
	row 'randwrite 4k fsync each 8 jobs, written' written --rw=randwrite --norandommap \
		--bs=4k --iodepth=1 --numjobs=8 --fsync=1 --io_size=1m
	row 'randwrite 4k qd32, first' first --rw=randwrite --bs=4k --iodepth=32 --io_size=32m
	row 'write 1M qd4, first' first --rw=write --bs=1M --iodepth=4
	# each a block of its own
	row 'write 4k qd1 of each MiB, first' first --rw=write:1020k --bs=4k --iodepth=1 \
		--io_size=1m
}

round=0
while [ "$round" -lt "$rounds" ]; do
	read_rows
	chain_rows
	write_rows
	partial_row unwritten 'randwrite 4k qd32, partial'
	partial_row zeroed 'randwrite 4k qd32, partial, zeroed growth'
	partial_row written 'randwrite 4k qd32, partial, written space'
	round=$((round + 1))
	echo "round $round of $rounds"
done

qemu-nbd -d /dev/nbd0 >/dev/null
qemu-nbd -d /dev/nbd1 >/dev/null
vhdxctl detach written.vhdx unmapped.vhdx
losetup -D
