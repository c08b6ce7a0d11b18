#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Discard and write zeroes: what is gone reads as zeros, space comes back, nobody
# reads what was another's. Prints TAP.
# long: 6.12
# also: 6.1 debug
# vm: -m 512 -x build/mkvhdx
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
image=/scratch/disk.vhdx
raw=/scratch/disk.raw
mkdir -p mnt
growth=/sys/module/vhdx/parameters/growth_mib
echo 8 >$growth

limits() {
	(cd "/sys/block/$disk" && grep -H . discard_alignment queue/*_bytes queue/*_size queue/*sectors* queue/max_* queue/discard*)
}

queue() { cat "/sys/block/$disk/queue/$1"; }
# MiB
allocated() { echo $(($(cat "/sys/block/$disk/vhdx/allocated") >> 20)); }

# KiB of the host that the file has
used() { du -k "$file" | cut -f1; }

# falls_to KIB: soon after a flush, if not at once
falls_to() {
	sync "$dev"
	for _ in $(seq 100); do
		[ "$(used)" -gt "$1" ] || return 0
		sleep 0.1
	done
	echo "$(used) KiB, not $1" >/tmp/err
	return 1
}

# fill BYTE: the whole disk and the copy, with no two sectors alike
fill() {
	yes "$1" | cat -n | head -c "$(blockdev --getsize64 "$dev")" >$raw
	dd if=$raw of="$dev" bs=1M oflag=direct conv=fsync status=none 2>/tmp/err
}

# both OFFSET LENGTH COMMAND...: zeroes a range of the disk with that, and of the copy
both() {
	both_offset=$1 both_length=$2
	shift 2
	"$@" -o "$both_offset" -l "$both_length" "$dev" 2>/tmp/err || return 1
	fallocate -z -n -o "$both_offset" -l "$both_length" $raw
}

KIB=1024
MIB=1048576

# A disk of 16 MiB at $file.
whole_and_parts() {
	name=$1
	attach "$file"
	before=$(limits)
	fill "$name"
	sync "$dev"
	full=$(used)
	both $((4 * MIB)) $((4 * MIB)) blkdiscard && shows "$dev" $raw
	ok "$name: whole blocks read as zeros" $?
	[ "$(allocated)" = 12 ]
	ok "$name: they are not allocated any more" $?
	[ "$holes" = 0 ] || falls_to $((full - 4096))
	ok "$name: their space is the host's again" $?
	full=$(used)
	both $((9 * MIB + 4096)) $((64 * KIB)) blkdiscard && shows "$dev" $raw && [ "$(allocated)" = 12 ]
	ok "$name: part of a block" $?
	[ "$holes" = 0 ] || falls_to $((full - 64))
	ok "$name: its space too" $?
	both $((10 * MIB + 512 * KIB)) $((3 * MIB)) blkdiscard && shows "$dev" $raw && [ "$(allocated)" = 10 ]
	ok "$name: from the middle of a block to another's" $?
	sync "$dev"
	full=$(used)
	both $((2 * MIB - 512)) $((MIB + 1024)) blkdiscard -z && shows "$dev" $raw && [ "$(allocated)" = 10 ]
	ok "$name: write zeroes keeps blocks" $?
	both $((1 * MIB)) $((1 * MIB)) fallocate -z && shows "$dev" $raw && [ "$(allocated)" = 10 ]
	ok "$name: ZERO_RANGE as well" $?
	sync "$dev"
	[ "$(used)" -ge "$full" ]
	ok "$name: and their space" $?
	both $((1 * MIB)) $((1 * MIB)) fallocate -p && shows "$dev" $raw && [ "$(allocated)" = 9 ]
	ok "$name: PUNCH_HOLE gives it back" $?
	both 0 $((16 * MIB)) blkdiscard && shows "$dev" $raw && [ "$(allocated)" = 0 ]
	ok "$name: the whole disk" $?
	[ "$(limits)" = "$before" ]
	ok "$name: limits are what they were" $?
	fill again
	both $((3 * MIB)) $((2 * MIB)) blkdiscard
	both $((7 * MIB + 8192)) 12288 blkdiscard
	both $((9 * MIB + 512)) 512 blkdiscard -z
	detach
	attach "$file" && shows "$dev" $raw && [ "$(limits)" = "$before" ] && [ "$(allocated)" = 14 ]
	ok "$name: all of it after a new attach" $?
	detach
}

rounds='1 2 3'
[ "$VM_KERNEL" != debug ] || rounds=1

# What was there before must not be seen around small writes to fresh blocks.
no_old_data() {
	name=$1
	attach "$file"
	fill secret
	size=$(stat -Lc %s "$file")
	status=0
	for round in $rounds; do
		both 0 $((16 * MIB)) blkdiscard || status=1
		[ "$holes" = 0 ] || falls_to $((2 * MIB / KIB + 4096)) || status=1
		for block in $(seq 0 15); do
			yes "$round" | head -c 4096 >/tmp/piece
			for out in "$dev" $raw; do
				direct=
				[ "$out" = $raw ] || direct=oflag=direct
				# shellcheck disable=SC2086 # a word or none
				dd if=/tmp/piece of="$out" bs=4K seek=$((block * 256 + block * 7 + round)) \
					$direct conv=notrunc status=none 2>/tmp/err || status=1
			done
		done
		shows "$dev" $raw || status=1
		fill "secret $round" || status=1
	done
	ok "$name: nothing of what was discarded is seen again" $status
	[ "$(stat -Lc %s "$file")" -le $((size + 8 * MIB)) ]
	ok "$name: freed blocks are used again" $?
	both 0 $((16 * MIB)) blkdiscard
	detach
}

new_image() {
	rm -f $image
	qemu-img create -q -f vhdx -o block_size=1M $image "$1"
}

# --- a file ------------------------------------------------------------------------

file=$image holes=1
new_image 16M
empty=$(stat -c %s $image)
attach $image
[ "$(queue discard_granularity)" = 4096 ] && [ "$(queue discard_max_bytes)" = $((1 << 30)) ] &&
	[ "$(queue write_zeroes_max_bytes)" = $((1 << 30)) ]
ok 'limits of a disk that can discard' $?
detach
whole_and_parts file
is_clean $image && agree $image $raw
ok 'file: clean, other readers agree' $?
no_old_data file
is_clean $image && agree $image $raw
ok 'file: clean, other readers agree' $?
[ "$(stat -c %s $image)" -le $((empty + MIB)) ] && [ "$(used)" -le 4096 ]
ok 'file: as short as it was when it was new' $?

attach $image --direct-io=off && fill buffered && both $((3 * MIB)) $((5 * MIB + 4096)) blkdiscard && shows "$dev" $raw &&
	[ "$(allocated)" = 11 ] && detach && is_clean $image && agree $image $raw
ok 'buffered' $?

# --- a disk that cannot ------------------------------------------------------------

attach $image --discard=ignore
before=$(limits)
[ "$(queue discard_max_bytes)" = 0 ] && ! blkdiscard "$dev" 2>/tmp/err
ok 'ignore: no discard' $?
shows "$dev" $raw
ok 'ignore: all is there' $?
both $((1 * MIB)) $((2 * MIB)) blkdiscard -z && shows "$dev" $raw && [ "$(limits)" = "$before" ]
ok 'ignore: zeroes are written all the same' $?
detach

file=fixed.vhdx
mkvhdx --fixed --size 16M $file
attach $file
[ "$(queue discard_max_bytes)" = 0 ] && fill fixed && before=$(used) &&
	both $((3 * MIB)) $((2 * MIB)) fallocate -p && both $((6 * MIB + 512)) 3072 blkdiscard -z && shows "$dev" $raw &&
	sync "$dev" && [ "$(used)" -ge "$before" ] && [ "$(allocated)" = 16 ]
ok 'fixed: keeps its space' $?
detach && is_clean $file && agree $file $raw
ok 'fixed: clean, other readers agree' $?

# --- fstrim ------------------------------------------------------------------------

file=$image
new_image 64M
attach $image
mke2fs -q -t ext4 -E nodiscard,lazy_itable_init=0 "$dev" && mount "$dev" mnt
head -c 16M /dev/urandom >mnt/keep
sum=$(sha256sum <mnt/keep)
head -c 24M /dev/urandom >mnt/noise
sync -f mnt
full=$(used)
# What ext4 has freed can be trimmed once its own journal has it.
rm mnt/noise
sync -f mnt
fstrim mnt 2>/tmp/err && falls_to $((full - 23 * 1024))
ok 'fstrim: the space is back' $?
head -c 20M /dev/urandom >mnt/noise
sync -f mnt
[ "$(used)" -le $((full + 2 * 8192)) ]
ok 'fstrim: and used again' $?
umount mnt
e2fsck -fn "$dev" >/tmp/err 2>&1 && mount -o ro "$dev" mnt && [ "$(sha256sum <mnt/keep)" = "$sum" ]
ok 'fstrim: the rest is as it was' $?
umount mnt
detach && is_clean $image
ok 'fstrim: clean' $?

# --- a host that cannot zero ----------------------------------------------------------

# Its own cache would come between a write and its neighbour's zeros in one page of it.
make_host 64 && mke2fs -q -t ext3 "$host" 2>/tmp/err && mount "$host" mnt
file=mnt/disk.vhdx
cached() { fincore --bytes --noheadings --output RES "$file"; }
vhdxctl create -s 16M -b 1M "$file" >/tmp/err 2>&1 && attach "$file" --direct-io=on && fill ext3
before=$(cached)
! fallocate -z -n -o 0 -l 4096 "$file" 2>/tmp/err && both $((2 * MIB - 512)) $((MIB + 1024)) blkdiscard -z &&
	both $((5 * MIB + 1536)) 512 blkdiscard -z && both $((7 * MIB)) $((2 * MIB)) blkdiscard -z &&
	shows "$dev" $raw && [ "$(allocated)" = 16 ]
ok 'ext3: zeros are written' $?
[ "$(cached)" -le "$before" ]
ok 'ext3: past its cache' $?
sync "$dev" && detach && is_clean "$file" && agree "$file" $raw
ok 'ext3: clean, other readers agree' $?
umount mnt
remove_host

# --- a block device ----------------------------------------------------------------

new_image 16M
make_host 64 && dd if=$image of="$host" bs=1M conv=fsync status=none
file=$host holes=0
whole_and_parts 'block device'
no_old_data 'block device'
dd if="$host" of=$image bs=1M iflag=direct status=none && is_clean $image && agree $image $raw
ok 'block device: clean, other readers agree' $?
remove_host

finish
