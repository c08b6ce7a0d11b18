#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The command lines of README.md, as they stand there, on images that have what they
# speak of; # ones as root, $ ones as the user that the images belong to. Prints TAP.
# long: 6.12
# vm: -m 2048 -f README.md
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"
# shellcheck source=tests/vm/lib/guest/udev.sh
. "$VM_LIB/udev.sh"

readme=$PWD/README.md
user='setpriv --reuid=65534 --regid=65534 --clear-groups'

# commands HEADING: the lines with a prompt below it, without what is said beside them
commands() {
	awk -v heading="$1" '/^#+ / { mine = $0 == heading } mine' "$readme" |
		sed -nE 's/^    ([#$] )/\1/p' | sed 's/     *[^ ].*//'
}

# follow HEADING: each of its commands succeeds
follow() {
	commands "$1" >/tmp/commands
	[ -s /tmp/commands ]
	ok "$1" $?
	while read -r prompt line; do
		chown -R 65534:65534 .
		as=
		[ "$prompt" = '#' ] || as=$user
		$as sh -c "$line" >/tmp/out 2>/tmp/err </dev/null
		ok "$prompt $line" $?
	done </tmp/commands
}

# recipe HEADING: the same, and nothing is left attached
recipe() {
	follow "$1"
	vhdxctl list >/tmp/err 2>&1 && [ ! -s /tmp/err ]
	ok 'nothing is left attached' $?
}

# image NAME SFDISK: a disk with these partitions, attached as dev
image() {
	vhdxctl create -s 160M "$1" >/tmp/err 2>&1 && attach "$1" &&
		printf '%s\n' "$2" | sfdisk -q "$dev" 2>/tmp/err && udevadm settle --timeout=60
}

start_udev
ok 'udevd runs' $?
mkdir -p /scratch/recipes /mnt
cd /scratch/recipes || exit 1

# The examples at the start.
image disk.vhdx 'label: gpt
size=64M
size=64M' && mke2fs -q -t ext4 "${dev}p1" 2>/tmp/err && detach
ok 'a disk with two partitions' $?
follow '# vhdx: VHDX disks on Linux, in the kernel'
[ "$(lsblk -nro NAME,SIZE,TYPE /dev/vhdx0)" = 'vhdx0 160M disk
vhdx0p1 64M part
vhdx0p2 64M part' ]
ok 'the disk is as shown there' $?
umount /mnt 2>/tmp/err && detach
ok 'it is detached' $?

vhdxctl create -s 256M ext4.vhdx >/tmp/err 2>&1 && attach ext4.vhdx && mke2fs -q -t ext4 "$dev" 2>/tmp/err &&
	mount "$dev" /mnt && mkdir -p /mnt/home/me/project && echo hello >/mnt/home/me/project/file &&
	dd if=/dev/urandom of=/mnt/big bs=1M count=64 status=none && umount /mnt && detach
ok 'a disk as WSL2 makes them' $?
recipe '### The disk of WSL2'
[ "$(cat project/file)" = hello ]
ok 'the project is copied' $?

vhdxctl mount ext4.vhdx /mnt >/tmp/err 2>&1 && rm /mnt/big && vhdxctl umount /mnt
ok 'something large is deleted' $?
before=$(stat -c %s ext4.vhdx)
recipe '### An image that takes more space than what is in it'
[ $((before - $(stat -c %s ext4.vhdx))) -ge $((60 << 20)) ]
ok 'the file is that much shorter' $?

# try.avhdx is merged into disk.vhdx, which then is no checkpoint's parent any more.
mkdir -p windows /old/vms
image windows/disk.vhdx 'label: gpt
size=64M' && detach && cp windows/disk.vhdx /old/vms/ && vhdxctl create --parent windows/disk.vhdx disk_2D9F6A2A.avhdx &&
	vhdxctl create --parent /old/vms/disk.vhdx ../moved.avhdx && mv ../moved.avhdx moved.avhdx
ok 'checkpoints' $?
recipe '### Checkpoints of Hyper-V and other chains'
qemu-img compare -q flat.vhdx windows/disk.vhdx >/tmp/err 2>&1
ok 'QEMU reads the same of the one image' $?
[ ! -e try.avhdx ] && vhdxctl info --chain moved.avhdx >/tmp/err 2>&1
ok 'the moved one finds its parent by itself' $?

truncate -s 40M download.raw && qemu-img convert -f raw -O vpc download.raw download.vhd
recipe '### To Azure and from there'
[ $((($(stat -c %s upload.vhd) - 512) % (1 << 20))) = 0 ] && qemu-img compare -q -f vpc -F vhdx upload.vhd disk.vhdx
ok 'the VHD is of whole MiB, and QEMU reads the same of it' $?

make_host 160 && ln -s "$host" /dev/sdb && printf 'label: gpt\nsize=32M\n,\n' | sfdisk -q /dev/sdb 2>/tmp/err &&
	mkfs.vfat "${host}p1" >/tmp/err 2>&1 && mkntfs -qQ "${host}p2" >/tmp/err 2>&1 &&
	{ mount -t ntfs3 "${host}p2" /mnt 2>/tmp/err || ntfs-3g "${host}p2" /mnt 2>/tmp/err; } &&
	mkdir -p /mnt/Users/me && echo letter >/mnt/Users/me/letter && umount /mnt
ok 'the disk of a PC' $?
recipe '### The disk of a dead PC'
[ "$(cat rescued/letter)" = letter ]
ok 'the letter is rescued' $?

# What is in BitLocker cannot be made here.
commands '### BitLocker inside' | grep -q 'cryptsetup open --type bitlk'
ok 'BitLocker has its recipe' $?

rm -f disk.vhdx
image disk.vhdx 'label: gpt
size=128M, type=lvm' && pvcreate -qq "${dev}p1" && vgcreate -qq data "${dev}p1" && lvcreate -qq -L 64M -n root data &&
	mke2fs -q -t ext4 /dev/data/root 2>/tmp/err && vgchange -qq -a n data && detach
ok 'a disk with LVM on it' $?
recipe '### LVM inside'

finish
