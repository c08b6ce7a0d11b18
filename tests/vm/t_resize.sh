#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A disk in use grows: under load, with partitions and a file system on it, with a
# BAT that has to move, on a host that is full, and when there is no memory to go on.
# Prints TAP.
# long: debug
# also: 6.1 6.12
# vm: -m 512
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"
# shellcheck source=tests/vm/lib/guest/fault.sh
. "$VM_LIB/fault.sh"

cd /scratch || exit 1
image=/scratch/disk.vhdx
raw=/scratch/disk.raw
mkdir -p mnt host
echo 8 >/sys/module/vhdx/parameters/growth_mib

new_image() {
	rm -f $image $raw
	qemu-img create -q -f vhdx -o block_size=1M "$@"
}

# bytes
size() { echo $(($(cat "/sys/block/$disk/size") * 512)); }
resize() { vhdxctl resize "$@" >/tmp/out 2>/tmp/err; }

# --- under load ------------------------------------------------------------------------

new_image $image 48M
attach $image
fio --name=job --filename="$dev" --ioengine=libaio --direct=1 --rw=randwrite --bs=16k --iodepth=8 --size=48M \
	--io_size=24M --randseed=1 --verify=crc32c --verify_fatal=1 --fsync=16 --rate_iops=150 >/tmp/fio 2>&1 &
fio=$!
status=0 done=0
while kill -0 $fio 2>/dev/null && [ $done -lt 10 ]; do
	resize -q "$dev" +5M || status=1
	done=$((done + 1))
done
[ $status = 0 ] && [ $done = 10 ] && [ "$(size)" = $((98 << 20)) ]
ok "it grows $done times under load" $?
wait $fio
status=$?
cp /tmp/fio /tmp/err
ok 'the load finds what it wrote' $status
yes end | head -c 1M | dd of="$dev" bs=1M seek=97 oflag=direct conv=notrunc iflag=fullblock status=none 2>/tmp/err
ok 'its new end can be written' $?
dd if="$dev" of=$raw bs=1M iflag=direct status=none && [ "$(stat -c %s $raw)" = $((98 << 20)) ]
ok 'and all of it read' $?
cmp -s -n $((49 << 20)) -i $((48 << 20)):0 $raw /dev/zero
ok 'what is new reads as zeros' $?
detach && is_clean $image && agree $image $raw && vhdxctl check -q $image
ok 'clean, other readers agree' $?

# --- with partitions and a file system -------------------------------------------------

new_image $image 64M
attach $image
printf 'label: gpt\nstart=2048\n' | sfdisk -q "$dev" >/tmp/err 2>&1
partprobe "$dev"
mke2fs -q -t ext4 "${dev}p1" && mount "${dev}p1" mnt && yes data | head -c 20M >mnt/data && sync -f mnt
ok 'a file system on a partition' $?
resize "$dev" 200M && grep -q "GPT's backup" /tmp/out && [ "$(size)" = $((200 << 20)) ]
ok 'it grows while that is mounted, and what to do about the GPT is said' $?
sfdisk -q --relocate gpt-bak-std "$dev" >/tmp/err 2>&1 && echo ', +' | sfdisk -q --no-reread -N 1 "$dev" >/tmp/err 2>&1
partx -u "$dev" >/tmp/err 2>&1 && resize2fs "${dev}p1" >/tmp/err 2>&1
ok 'the partition grows after it, and the file system' $?
[ "$(df -m --output=size mnt | tail -n 1)" -gt 150 ] && yes more | head -c 90M >mnt/more
ok 'what it got is used' $?
sync -f mnt && sum=$(cat mnt/data mnt/more | sha256sum) && umount mnt && detach && is_clean $image
ok 'clean' $?
attach $image && mount "${dev}p1" mnt && [ "$(cat mnt/data mnt/more | sha256sum)" = "$sum" ] && umount mnt &&
	e2fsck -fn "${dev}p1" >/tmp/err 2>&1 && detach
ok 'all of it is there at the next attach' $?

# --- a BAT that moves -------------------------------------------------------------------

# 131041 blocks of a MiB have a full MiB of entries.
new_image $image 131041M
attach $image
yes first | head -c 1M | dd of="$dev" bs=1M oflag=direct conv=notrunc iflag=fullblock status=none
yes last | head -c 1M | dd of="$dev" bs=1M seek=131040 oflag=direct conv=notrunc iflag=fullblock status=none
sum=$({ dd if="$dev" bs=1M count=1; dd if="$dev" bs=1M skip=131040 count=1; } 2>/dev/null | sha256sum)
before=$(vhdxctl info --json $image | jq '.regions[] | select(.name == "BAT").offset')
resize $image 200G && [ "$(size)" = $((200 << 30)) ] &&
	[ "$(vhdxctl info --json $image | jq '.regions[] | select(.name == "BAT").offset')" != "$before" ]
ok 'a longer BAT has another place' $?
yes behind | head -c 1M | dd of="$dev" bs=1M seek=204799 oflag=direct conv=notrunc iflag=fullblock status=none &&
	[ "$({ dd if="$dev" bs=1M count=1 iflag=direct; dd if="$dev" bs=1M skip=131040 count=1 iflag=direct; } 2>/dev/null | sha256sum)" = "$sum" ]
ok 'what was there is there' $?
detach && is_clean $image && vhdxctl check -q $image && attach $image &&
	[ "$(dd if="$dev" bs=1M skip=204799 count=1 iflag=direct status=none | head -c 7)" = behind ] && detach
ok 'clean, and what was written behind it is there at the next attach' $?

# --- a child, a fixed image -------------------------------------------------------------

new_image $image 32M
vhdxctl create --parent $image child.vhdx >/tmp/out 2>/tmp/err && attach child.vhdx && resize "$dev" 64M &&
	[ "$(size)" = $((64 << 20)) ] && yes child | head -c 40M | dd of="$dev" bs=1M oflag=direct conv=notrunc iflag=fullblock status=none
ok 'a child grows' $?
sum=$(sha256sum <"$dev") && detach && attach child.vhdx && [ "$(sha256sum <"$dev")" = "$sum" ] && detach &&
	vhdxctl info --json child.vhdx | jq -e '.log.state == "clean"' >/dev/null
ok 'clean' $?
rm -f child.vhdx
new_image -o subformat=fixed $image 16M
attach $image && resize "$dev" 40M && yes fixed | head -c 40M | dd of="$dev" bs=1M oflag=direct conv=notrunc iflag=fullblock status=none &&
	dd if="$dev" of=$raw bs=1M iflag=direct status=none && detach && is_clean $image && agree $image $raw
ok 'a fixed image grows' $?

# --- a smaller disk, with what is said then ----------------------------------------------

new_image $image 64M
attach $image && printf 'label: gpt\nsize=24M\n' | sfdisk -q "$dev" 2>/tmp/err && mke2fs -q -t ext4 "${dev}p1" 2>/tmp/err &&
	mount "${dev}p1" mnt && yes kept | head -c 8M >mnt/file && umount mnt && detach
ok 'a file system in a partition' $?
vhdxctl resize --shrink --minimum $image >/tmp/out 2>/tmp/err && grep -q "'sgdisk -e DEVICE'" /tmp/out &&
	[ "$(vhdxctl info --json $image | jq '."virtual-size"')" -lt $((27 << 20)) ]
ok 'as small as the partition allows' $?
attach $image && [ ! -e "${dev}p1" ]
ok 'the kernel does not find it there' $?
sgdisk -e "$dev" >/tmp/err 2>&1 && blockdev --rereadpt "$dev" 2>/tmp/err
mount "${dev}p1" mnt && [ "$(yes kept | head -c 8M | sha256sum)" = "$(sha256sum <mnt/file)" ]
ok 'after sgdisk it does, and all is there' $?
echo on >mnt/new && umount mnt && e2fsck -fn "${dev}p1" >/tmp/err 2>&1 && sfdisk -V "$dev" >/tmp/err 2>&1 &&
	detach && is_clean $image && vhdxctl check -q $image
ok 'it is written to, whole and clean' $?

# --- what is refused --------------------------------------------------------------------

new_image $image 32M
attach $image
resize --shrink "$dev" 16M
[ $? = 1 ] && grep -q 'while it is attached it can only grow' /tmp/err && [ "$(size)" = $((32 << 20)) ]
ok 'it does not shrink' $?
! resize "$dev" +100 && grep -q 'not a multiple' /tmp/err && [ "$(size)" = $((32 << 20)) ]
ok 'not to a part of a sector' $?
resize "$dev" 32M && grep -q 'has that size already' /tmp/out
ok 'nothing to do' $?
yes on | head -c 1M | dd of="$dev" bs=1M oflag=direct conv=notrunc iflag=fullblock status=none && detach && is_clean $image
ok 'it works on' $?
attach -r $image
! resize "$dev" 64M && grep -q 'read-only' /tmp/err && [ "$(size)" = $((32 << 20)) ]
ok 'a disk that is read-only' $?
detach

# --- a host that is full ----------------------------------------------------------------

make_host 128 && mke2fs -q -t ext4 -m 0 "$host" && mount "$host" host
image=/scratch/host/disk.vhdx
qemu-img create -q -f vhdx -o subformat=fixed,block_size=1M $image 32M
attach $image && yes old | head -c 16M | dd of="$dev" bs=1M oflag=direct conv=notrunc iflag=fullblock status=none
sum=$(sha256sum <"$dev")
! resize "$dev" 400M && grep -q 'no room' /tmp/err && [ "$(size)" = $((32 << 20)) ]
ok 'a full host: it stays as it was' $?
[ "$(cat "/sys/block/$disk/ro")" = 0 ] && [ "$(sha256sum <"$dev")" = "$sum" ] &&
	yes new | head -c 1M | dd of="$dev" bs=1M seek=4 oflag=direct,sync conv=notrunc iflag=fullblock status=none
ok 'and works on' $?
resize "$dev" 40M && [ "$(size)" = $((40 << 20)) ]
ok 'it grows as far as there is room' $?
detach && is_clean $image && vhdxctl check -q $image
ok 'clean' $?
umount host && remove_host
ok 'the host is let go of' $?
image=/scratch/disk.vhdx

# --- no memory to open the image again --------------------------------------------------

# Its size has changed then, and what it was opened as may be written to no more.
if [ -d $debugfs/failslab ]; then
	new_image $image 32M
	attach $image && yes old | head -c 16M | dd of="$dev" bs=1M oflag=direct,sync conv=notrunc iflag=fullblock status=none
	sum=$(sha256sum <"$dev")
	fault_code 16 vhdx_image_open_child
	fault failslab 100 1
	resize "$dev" 64M
	status=$?
	no_fault failslab
	[ $status = 75 ] && grep -qi 'memory' /tmp/err
	ok 'it is said' $?
	[ "$(cat "/sys/block/$disk/ro")" = 1 ] && [ "$(vhdxctl list -n --raw -o LOG-STATE)" = failed ] &&
		[ "$(size)" = $((32 << 20)) ]
	ok 'the disk is as large as before, and read-only' $?
	echo 1 >/proc/sys/vm/drop_caches
	[ "$(sha256sum <"$dev")" = "$sum" ]
	ok 'and can be read' $?
	! dd if=/dev/zero of="$dev" bs=4k count=1 oflag=direct conv=notrunc 2>/tmp/err
	ok 'nothing is written to it' $?
	! resize "$dev" 80M && grep -q 'writing to it has failed before' /tmp/err
	ok 'it does not grow any more' $?
	vhdxctl detach "$dev" >/tmp/out 2>/tmp/err
	[ ! -e "$dev" ] && is_clean $image && vhdxctl check -q $image && attach $image && [ "$(size)" = $((64 << 20)) ] &&
		[ "$(head -c 32M "$dev" | sha256sum)" = "$sum" ] && detach
	ok 'the next attach finds its new size, and all of it' $?
else
	skip 'no memory' 'this kernel has no fault injection'
fi

finish
