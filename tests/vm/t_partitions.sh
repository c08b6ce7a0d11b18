#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Partitions are there when attach returns, file systems mount. Prints TAP.
# long: 6.12
# also: 6.1
# vm: -m 1024 $(test -d ../shared/images && echo -f ../shared/images)
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"

cd /scratch || exit 1
mkdir -p mnt tree/folder
seq 1 100000 >tree/folder/numbers
dd if=/dev/urandom of=tree/noise bs=64K count=100 status=none
sums=$(cd tree && find . -type f -exec sha256sum {} + | sort)

# mkpart NUMBER-OF-TYPE FILE-SYSTEM...: a disk with a partition for each
truncate -s 300M disk.raw
printf 'label: gpt\nstart=2048,size=200000\nstart=204800,size=200000\nstart=409600\n' | sfdisk -q disk.raw
mke2fs -q -t ext4 -d tree -E offset=$((2048 * 512)) -L first disk.raw 97M 2>/tmp/err
mke2fs -q -t ext4 -b 1024 -d tree -E offset=$((204800 * 512)) -L second disk.raw 97M 2>/tmp/err

for format in 'subformat=dynamic,block_size=1M' 'subformat=dynamic,block_size=32M' \
	'subformat=fixed,block_size=8M'; do
	rm -f disk.vhdx
	qemu-img convert -f raw -O vhdx -o $format disk.raw disk.vhdx
	dev=$(vhdxctl attach -r disk.vhdx 2>/tmp/err)
	[ -b "$dev" ] && [ -b "${dev}p1" ] && [ -b "${dev}p2" ] && [ -b "${dev}p3" ] && [ ! -e "${dev}p4" ]
	ok "$format: partitions are there" $?
	[ "$(lsblk -nro NAME,TYPE,RO "$dev" | sed -n 's/ part 1$//p' | wc -l)" = 3 ]
	ok "$format: lsblk shows them" $?
	[ "$(blkid -p -o value -s LABEL "${dev}p1")" = first ] && [ "$(blkid -p -o value -s LABEL "${dev}p2")" = second ]
	ok "$format: blkid knows the file systems" $?
	for part in 1 2; do
		e2fsck -fn "${dev}p$part" >/tmp/err 2>&1
		ok "$format: e2fsck finds nothing, partition $part" $?
		mount -o ro "${dev}p$part" mnt 2>/tmp/err &&
			[ "$(cd mnt && find . -type f -exec sha256sum {} + | sort)" = "$sums" ]
		ok "$format: files are right, partition $part" $?
		! vhdxctl detach "$dev" 2>/tmp/err && [ -b "${dev}p1" ]
		ok "$format: no detach while mounted, partition $part" $?
		umount mnt
	done
	cmp "$dev" disk.raw 2>/tmp/err
	ok "$format: the whole disk is right" $?
	vhdxctl detach "$dev" 2>/tmp/err && [ ! -e "$dev" ] && [ ! -e "${dev}p1" ]
	ok "$format: detaches, partitions too" $?
done

# A file system without partitions; ext4, XFS and FAT.
for type in ext4 xfs vfat; do
	rm -f fs.raw fs.vhdx
	truncate -s 320M fs.raw
	"mkfs.$type" fs.raw >/tmp/err 2>&1
	modprobe loop
	modprobe -a xfs vfat nls_cp437 nls_iso8859-1 2>/dev/null
	mount -o loop fs.raw mnt 2>/tmp/err && cp -r tree/. mnt/ && umount mnt
	ok "$type: made" $?
	qemu-img convert -f raw -O vhdx -o block_size=4M fs.raw fs.vhdx
	dev=$(vhdxctl attach -r fs.vhdx 2>/tmp/err)
	[ "$(blkid -p -o value -s TYPE "$dev")" = $type ]
	ok "$type: blkid knows it" $?
	mount -o ro "$dev" mnt 2>/tmp/err && [ "$(cd mnt && find . -type f -exec sha256sum {} + | sort)" = "$sums" ]
	ok "$type: files are right" $?
	umount mnt
	vhdxctl detach "$dev" 2>/tmp/err
	ok "$type: detaches" $?
done

# An image on a file system on a disk of an image.
truncate -s 64M outer.raw
mkdir outer
qemu-img create -q -f vhdx -o block_size=1M outer/inner.vhdx 20M
qemu-io -f vhdx -c 'write -P 0x5a 3m 2m' outer/inner.vhdx >/dev/null
mke2fs -q -t ext4 -d outer outer.raw 2>/tmp/err
qemu-img convert -f raw -O vhdx -o block_size=1M outer.raw outer.vhdx
dev=$(vhdxctl attach -r outer.vhdx)
mount -o ro "$dev" mnt
inner=$(vhdxctl attach -r mnt/inner.vhdx 2>/tmp/err)
[ -b "$inner" ] && [ "$(dd if="$inner" bs=1M skip=3 count=2 status=none | tr -d '\132' | wc -c)" = 0 ] &&
	[ "$(dd if="$inner" bs=1M skip=3 count=2 status=none | wc -c)" = 2097152 ]
ok 'an image on a disk of an image reads right' $?
! vhdxctl detach "$dev" 2>/tmp/err
ok 'the outer disk is busy' $?
! umount mnt 2>/tmp/err
ok 'its file system as well' $?
vhdxctl detach "$inner" && umount mnt && vhdxctl detach "$dev"
ok 'from the inside out they detach' $?

cd /work || exit 1
if [ -d images ]; then
	xz -dc images/lvm2.vhdx.xz >/scratch/lvm2.vhdx
	dev=$(vhdxctl attach -r /scratch/lvm2.vhdx 2>/tmp/err)
	[ -b "${dev}p1" ]
	ok 'lvm2: its partition is there' $?
	lsblk -nro NAME,TYPE "$dev" | grep -q "^${dev#/dev/}p1 part\$"
	ok 'lvm2: lsblk shows it' $?
	[ "$(blkid -p -o value -s TYPE "${dev}p1")" = LVM2_member ]
	ok 'lvm2: blkid knows what it is' $?
	vhdxctl detach "$dev" 2>/tmp/err
	ok 'lvm2: detaches' $?
else
	skip lvm2 'no ../shared/images'
fi

finish
