#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The file system below is full: a write that needs space fails with that, all
# else goes on, and after room was made so do writes. Prints TAP.
# long: 6.12
# vm: -m 128
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /work || exit 1
raw=/scratch/disk.raw
mkdir -p host
modprobe -a xfs
growth=/sys/module/vhdx/parameters/growth_mib
echo 4 >$growth

# put BLOCK COUNT SEED: 64 KiB to the head of each of COUNT blocks of the disk, and of
# the copy if that succeeds; sets full to how many found no space, other to how many
# failed otherwise
cat >put.py <<'PYTHON'
import errno, mmap, os, sys

disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
raw = os.open(sys.argv[2], os.O_RDWR)
block, count = int(sys.argv[3]), int(sys.argv[4])
memory = mmap.mmap(-1, 65536)
full = other = 0
for at in range(block, block + count):
    memory[:] = (b'%8s%8d' % (sys.argv[5].encode(), at)) * 4096
    try:
        os.pwrite(disk, memory, at << 20)
        os.pwrite(raw, memory, at << 20)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            full += 1
        else:
            other += 1
            print(error, file=sys.stderr)
print('full=%d other=%d' % (full, other))
PYTHON
put() {
	full=0 other=1
	eval "$(python3 put.py "$dev" $raw "$@" 2>/tmp/err)"
	echo "$full without space, $other failed otherwise" >>/tmp/err
}

# Takes all the space that there is. What a failed fallocate took and gave back is
# free only when the file system's journal has it. With COMMAND... as somebody else.
fill_host() {
	i=0
	for piece in 16M 1M 64K 4K; do
		while "$@" fallocate -l $piece "host/ballast$((i += 1))" 2>/dev/null; do :; done
		rm -f "host/ballast$i"
		sync -f host
	done
}

no_space() {
	[ $full -gt 0 ] && [ $other = 0 ]
}

all_written() {
	[ $full = 0 ] && [ $other = 0 ]
}

alive() {
	[ "$(cat "/sys/block/$disk/ro")" = 0 ] && sync "$dev" 2>/tmp/err && shows "$dev" $raw
}

# full NAME ATTACH-OPTION...: on host/disk.vhdx, empty
full() {
	name=$1
	shift
	rm -f $raw
	truncate -s 32M $raw
	attach host/disk.vhdx "$@"
	put 0 6 a
	sync "$dev" && all_written
	ok "$name: written while there is room" $?
	fill_host
	put 8 16 b
	no_space
	ok "$name: a write that needs space ($full of 16)" $?
	alive
	ok "$name: reads and flushes go on" $?
	put 0 6 c
	all_written && alive
	ok "$name: so do overwrites" $?
	# buffered by the disk's own page cache: the write back fails
	yes | head -c 1M | dd of="$dev" bs=1M seek=28 conv=fsync,notrunc status=none 2>/tmp/err
	[ $? = 1 ] && grep -qE 'No space left|Input/output error' /tmp/err
	ok "$name: an fsync of what found no space fails" $?
	blockdev --flushbufs "$dev"
	alive
	ok "$name: and no other" $?
	blkdiscard -o 0 -l 1M "$dev" 2>/tmp/err
	status=$?
	dd if=/dev/zero of=$raw bs=1M count=1 conv=notrunc status=none
	[ $status = 0 ] && alive
	ok "$name: so do discards" $?
	# ext4 has what was punched a moment after its journal has it, whose end is all
	# that an fsync waits for.
	for _ in $(seq 300); do
		put 30 1 f
		[ $full != 0 ] || break
		case $name in
		ext4*) sleep 0.1 ;;
		*) break ;;
		esac
	done
	# XFS fills its reserve first
	case $name in
	ext4*) all_written ;;
	*) [ $other = 0 ] ;;
	esac
	ok "$name: and what they gave back is there for a write" $?
	rm host/ballast*
	sync -f host
	put 8 20 d
	all_written && alive
	ok "$name: there is room again" $?
	fill_host
	put 0 8 e
	detach
	ok "$name: detaches while the host is full" $?
	is_clean host/disk.vhdx && agree host/disk.vhdx $raw
	ok "$name: clean, other readers agree" $?
	rm host/ballast*
	attach host/disk.vhdx -r && shows "$dev" $raw && detach
	ok "$name: attached again" $?
}

# late NAME ATTACH-OPTION...: full before the first write
late() {
	name=$1
	shift
	rm -f $raw
	truncate -s 32M $raw
	fill_host
	attach host/disk.vhdx "$@"
	ok "$name: attaches on a full host" $?
	put 0 2 a
	no_space
	ok "$name: the first write needs space" $?
	rm host/ballast*
	sync -f host
	put 0 2 b
	all_written && alive && detach && is_clean host/disk.vhdx && agree host/disk.vhdx $raw
	ok "$name: with room it is written" $?
}

new_image() {
	rm -f host/disk.vhdx
	qemu-img create -q -f vhdx -o block_size=1M host/disk.vhdx 32M
}

# The clone shares every block with its origin, so an overwrite needs space too.
cloned() {
	name=$1
	shift
	rm -f $raw
	truncate -s 32M $raw
	attach host/disk.vhdx
	put 0 16 a
	detach
	cp --reflink=always host/disk.vhdx host/clone.vhdx 2>/tmp/err
	ok "$name: cloned" $?
	cp $raw /scratch/origin.raw
	attach host/clone.vhdx "$@"
	put 0 2 b
	all_written && sync "$dev"
	ok "$name: written while there is room" $?
	fill_host
	put 2 24 c
	no_space
	ok "$name: overwrites of what is shared ($full of 24)" $?
	alive
	ok "$name: reads and flushes go on" $?
	rm host/ballast*
	sync -f host
	put 2 24 d
	all_written && alive
	ok "$name: there is room again" $?
	detach && is_clean host/clone.vhdx && agree host/clone.vhdx $raw
	ok "$name: clean, other readers agree" $?
	is_clean host/disk.vhdx && agree host/disk.vhdx /scratch/origin.raw
	ok "$name: the origin is as it was" $?
	rm host/clone.vhdx
}

# What is discarded is in a log that a clone shares, and nobody asks for it.
unasked() {
	rm -f $raw
	truncate -s 32M $raw
	attach host/disk.vhdx
	put 0 16 a
	# Only what has been written is shared: both halves, 64 entries each.
	python3 - "$dev" <<'PYTHON'
import fcntl, mmap, os, struct, sys
disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
for _ in range(70):
    os.pwrite(disk, mmap.mmap(-1, 4096), 20 << 20)
    os.fsync(disk)
    fcntl.ioctl(disk, 0x1277, struct.pack('QQ', 20 << 20, 1 << 20))     # BLKDISCARD
    os.fsync(disk)
PYTHON
	[ "$(cat "/sys/block/$disk/vhdx/generations")" -gt 2 ] &&
		cp --reflink=always host/disk.vhdx host/clone.vhdx 2>/tmp/err
	ok 'commit: the log is shared' $?
	fill_host
	for block in $(seq 0 15); do
		blkdiscard -o $((block << 20)) -l 1M "$dev" 2>/tmp/err
		fallocate -z -n -o $((block << 20)) -l 1M $raw
		sync "$dev" 2>/tmp/err || break
	done
	# Nor when it is tried again without being asked.
	commits=$(cat "/sys/block/$disk/vhdx/commits")
	sleep 5
	grep -q 'No space left' /tmp/err && [ "$(cat "/sys/block/$disk/vhdx/commits")" = "$commits" ]
	ok "commit: it finds no space (block $block)" $?
	rm host/ballast*
	sync -f host
	for _ in $(seq 100); do
		[ "$(cat "/sys/block/$disk/vhdx/commits")" = "$commits" ] || break
		sleep 0.1
	done
	[ "$(cat "/sys/block/$disk/vhdx/commits")" -gt "$commits" ]
	ok 'commit: with room it is tried again, though nobody asks' $?
	alive && detach && is_clean host/disk.vhdx && agree host/disk.vhdx $raw
	ok 'commit: clean, other readers agree' $?
	rm host/clone.vhdx
}

# By who may attach disks and is not root: what is kept for root is not for the disk.
not_root() {
	rm -f $raw
	truncate -s 32M $raw
	chown -R 1000 host
	chmod 666 /dev/vhdx-control
	dev=$(setpriv --reuid=1000 --clear-groups --inh-caps=+sys_admin --ambient-caps=+sys_admin \
		vhdxctl attach host/disk.vhdx 2>/tmp/err)
	status=$?
	chmod 600 /dev/vhdx-control
	disk=${dev#/dev/}
	ok 'not root: attaches' $status
	put 0 2 a
	fill_host setpriv --reuid=1000 --clear-groups
	put 4 16 b
	no_space
	ok "not root: does not get the space that is kept for root ($full of 16)" $?
	alive && detach && is_clean host/disk.vhdx && agree host/disk.vhdx $raw
	ok 'not root: clean, other readers agree' $?
}

# zeroed: what the driver's parameter leaves in the file, and nothing of it in memory
zeroed() {
	for value in 0 1; do
		echo $value >/sys/module/vhdx/parameters/zeroed_growth
		rm -f host/disk.vhdx
		vhdxctl create -s 32M -b 1M host/disk.vhdx >/tmp/err 2>&1
		attach host/disk.vhdx --direct-io=on && put 0 2 z && sync "$dev" && all_written
		ok "zeroed_growth=$value: written" $?
		filefrag -v host/disk.vhdx >/tmp/err
		grep last /tmp/err | grep -q unwritten
		is_written=$?
		[ $is_written = $value ]
		ok "zeroed_growth=$value: is what it grew by written?" $?
		fincore --bytes --noheadings --output RES host/disk.vhdx >/tmp/err && [ "$(cat /tmp/err)" -lt 1048576 ]
		ok "zeroed_growth=$value: none of it stays in memory" $?
		detach
	done
	echo 0 >/sys/module/vhdx/parameters/zeroed_growth
}

# What is fixed shares no space with what it was made from.
own_space() {
	yes | head -c 4M >host/source.raw
	sync host/source.raw
	for command in 'convert -t fixed' 'convert -O raw -t fixed' 'convert -O vhd' 'create -t fixed --from'; do
		# shellcheck disable=SC2086 # words
		vhdxctl $command host/source.raw host/target >/tmp/err 2>&1 && filefrag -v host/target >/tmp/err &&
			[ "$(stat -c %b host/target)" -ge 8192 ] && ! grep -q shared /tmp/err
		ok "$command: has its own space" $?
		rm -f host/target
	done
	rm host/source.raw
}

make_host 320 && mkfs.xfs -q -m reflink=1 "$host" >/tmp/err 2>&1 && mount "$host" host
ok 'a host of XFS' $?
own_space
new_image
full 'XFS, buffered' --direct-io=off
new_image
cloned 'XFS clone' --direct-io=on
new_image
late 'XFS, late'
new_image
unasked
umount host
remove_host

make_host 80 && mke2fs -q -t ext4 "$host" 2>/tmp/err && mount "$host" host
ok 'a host of ext4' $?
zeroed
new_image
full 'ext4, direct' --direct-io=on
new_image
late 'ext4, late'
umount host
mke2fs -q -F -t ext4 -m 30 "$host" 2>/tmp/err && mount "$host" host
ok 'a host with space for root' $?
new_image
not_root
umount host
remove_host

finish
