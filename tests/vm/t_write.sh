#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What is written to a disk is there: for its users, after it was attached again,
# and for other readers of the image. Prints TAP.
# kernels: 6.1
# also: 6.12 debug
# vm: -m 1536 -x build/mkvhdx
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
image=/scratch/disk.vhdx
raw=/scratch/disk.raw
mkdir -p mnt tree/folder
# All of it on one kernel; the debug kernel takes its time.
all=0 ops=60 mib=16
[ "$VM_KERNEL" != 6.12 ] || all=1
[ "$VM_KERNEL" != debug ] || ops=25 mib=8

# --- against a raw copy that the same is done to -----------------------------------

make() {
	rm -f $image $raw
	qemu-img create -q -f vhdx -o "$1" $image "$2"
}

make subformat=dynamic,block_size=1M 40M
mixed 'blocks of 1 MiB' 1 others --direct-io=on
# And on: QEMU writes to what was written here, and the other way round.
qemu-io -f vhdx -c 'write -P 0x5a 5m 3m' $image >/tmp/err 2>&1
qemu-io -f raw -c 'write -P 0x5a 5m 3m' $raw >/tmp/err 2>&1
attach $image && shows "$dev" $raw
ok 'what QEMU wrote in between' $?
python3 "$VM_LIB/mix.py" 2 20 "$dev" $raw discard 2>/tmp/err && detach
ok 'and written on' $?
is_clean $image && agree $image $raw
ok 'clean, other readers agree' $?

if [ $all = 1 ]; then
	make subformat=dynamic,block_size=32M 65M
	mixed 'blocks of 32 MiB' 3 others
	make subformat=dynamic,block_size=256M 257M
	mixed 'blocks of 256 MiB' 4 others
fi

make subformat=dynamic,block_size=1M 40M
mixed 'buffered' 5 others --direct-io=off

# All of qemu-img's fixed image is there in size, and ZERO.
make subformat=fixed 40M
size=$(stat -c %s $image)
attach $image
dd if=/dev/urandom of=$raw bs=1M count=40 status=none
dd if=$raw of="$dev" bs=1M oflag=direct conv=fsync status=none 2>/tmp/err
ok 'fixed: filled' $?
[ "$(stat -c %s $image)" -ge "$size" ]
ok 'fixed: no shorter while attached' $?
detach && [ "$(stat -c %s $image)" -ge "$size" ] && is_clean $image && agree $image $raw
ok 'fixed: no shorter, clean, other readers agree' $?
if [ $all = 1 ]; then
	make subformat=fixed 40M
	mixed fixed 6 others
	[ "$(stat -c %s $image)" -ge "$size" ]
	ok 'fixed: no shorter' $?
fi

# --- sectors of the disk and of the host -------------------------------------------

# QEMU takes all sectors for 512 bytes.
rm -f $image $raw
mkvhdx --size 40M --sector 4096 $image
mixed '4096 on 512' 7 none --direct-io=on

make_host 256 blocksize=4096 && mke2fs -q -t ext4 -b 4096 "$host" 2>/tmp/err && mkdir wide && mount "$host" wide
ok 'a host with sectors of 4096' $?
image=/scratch/wide/disk.vhdx
make subformat=dynamic,block_size=1M 40M
mixed '512 on 4096' 8 others
attach $image -r && [ "$(cat "/sys/block/$disk/vhdx/dio")" = 0 ] && detach
ok '512 on 4096: not direct' $?
rm -f $image $raw
mkvhdx --size 40M --sector 4096 $image
mixed '4096 on 4096' 9 none --direct-io=on
umount wide

# Memory: a device may take any, but a file no part of a sector, as at the end of a page.
# What it refuses would go through the page cache, beside direct writes to the same page.
image=/scratch/outer.vhdx
vhdxctl create -s 64M $image >/tmp/err 2>&1 && attach $image --direct-io=off && mke2fs -q -t ext4 "$dev" 2>/tmp/err &&
	mount "$dev" mnt && [ "$(cat "/sys/block/$disk/queue/dma_alignment")" = 3 ]
ok 'a host that takes memory at any place' $?
outer=$dev
image=mnt/disk.vhdx
vhdxctl create -s 40M $image >/tmp/err 2>&1 && attach $image --direct-io=on
python3 - "$dev" >/tmp/err 2>&1 <<'PYTHON'
import errno, mmap, os, sys
memory = memoryview(mmap.mmap(-1, 8192))
disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
for at in (512, 4096 - 512, 0):
    os.pwritev(disk, [memory[at:at + 4096]], 0)
for at in (16, 4096 - 16, 4):
    try:
        os.pwritev(disk, [memory[at:at + 4096]], 0)
        sys.exit('memory at %d was taken' % at)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
PYTHON
ok 'memory that it cannot take is refused' $?
detach && umount mnt && dev=$outer && detach
ok 'detached' $?

# A host that makes checksums of what it is given.
stable() { cat "/sys/block/$1/queue/stable_writes"; }
image=/scratch/disk.vhdx
rm -f $image $raw
mkvhdx --size 40M --sector 4096 $image
attach $image --direct-io=on && [ "$(stable "$disk")" = 0 ] && detach
ok 'pages may change while they are written' $?
dd if=$image of="$host" bs=1M conv=fsync status=none && echo 1 >"/sys/block/${host#/dev/}/queue/stable_writes" &&
	attach "$host" --direct-io=on && [ "$(stable "$disk")" = 1 ] && detach
ok 'not where the host says so' $?
remove_host

# --- many at once ------------------------------------------------------------------

# verified NAME FIO-OPTION...: 16 jobs on an empty disk that check what they wrote
verified() {
	job_name=$1
	shift
	make subformat=dynamic,block_size=1M 64M
	attach $image
	fio --name=job --filename="$dev" --ioengine=libaio --direct=1 --numjobs=16 --iodepth=4 \
		--randseed=10 --verify=crc32c --verify_fatal=1 --fsync=100 --group_reporting \
		"$@" >/tmp/err 2>&1
	ok "$job_name: fio finds what it wrote" $?
	dd if="$dev" of=$raw bs=1M iflag=direct status=none && detach && is_clean $image && agree $image $raw
	ok "$job_name: clean, other readers agree" $?
	attach $image
	fio --name=job --filename="$dev" --ioengine=libaio --direct=1 --numjobs=16 --iodepth=4 \
		--randseed=10 --verify=crc32c --verify_fatal=1 --verify_only --group_reporting \
		"$@" >/tmp/err 2>&1
	ok "$job_name: fio finds it again" $?
	detach
}

# An unallocated block: one job's, or with a part for each of 16.
verified '16 jobs' --rw=randwrite --bs=16k --offset_increment=4M --size=$((mib / 8))M
verified '16 jobs in each block' --rw=write --bs=16k --offset_increment=64k --size=$((mib / 16))M \
	--zonemode=strided --zonesize=64k --zonerange=1M

# --- file systems ------------------------------------------------------------------

seq 1 100000 >tree/folder/numbers
dd if=/dev/urandom of=tree/noise bs=64K count=$((mib * 8)) status=none
sums() { (cd "$1" && find . -path ./lost+found -prune -o -type f -exec sha256sum {} + | sort); }
tree=$(sums tree)

# file_system TYPE SIZE FORMAT CHECK...
file_system() {
	type=$1
	make "$3" "$2"
	shift 3
	attach $image
	"mkfs.$type" "$dev" >/tmp/err 2>&1 && mount "$dev" mnt && cp -r tree/. mnt/ 2>/tmp/err
	ok "$type: made and filled" $?
	# rewritten, removed, written again
	rm mnt/folder/numbers && cp -r tree/. mnt/ && cp mnt/noise mnt/more && rm mnt/more && umount mnt 2>/tmp/err
	ok "$type: used" $?
	detach && is_clean $image
	ok "$type: detaches, clean" $?
	attach $image && "$@" "$dev" >/tmp/err 2>&1
	ok "$type: $* finds nothing" $?
	mount "$dev" mnt && [ "$(sums mnt)" = "$tree" ]
	ok "$type: files are right" $?
	umount mnt
	[ $all = 1 ] || { detach; return; }
	dd if="$dev" of=$raw bs=1M iflag=direct status=none
	detach && is_clean $image && agree $image $raw
	ok "$type: clean, other readers agree" $?
}

modprobe xfs
file_system ext4 100M subformat=dynamic,block_size=1M e2fsck -fn
file_system xfs 320M subformat=dynamic,block_size=32M xfs_repair -n

finish
