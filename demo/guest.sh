#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The half of demo/run that runs in the VM.
set -eu

# show COMMAND...: the command, then what it prints
show() {
	printf '\n# %s\n' "$*"
	"$@"
}

before=$(sha256sum disk.vhdx)
show uname -r
show vhdxctl info disk.vhdx
show vhdxctl attach -r disk.vhdx /dev/vhdx0
show cmp /dev/vhdx0 disk.raw
show vhdxctl detach disk.vhdx
[ "$before" = "$(sha256sum disk.vhdx)" ]
printf '\nThe file is byte for byte what it was. Now for writing.\n'

show vhdxctl attach disk.vhdx /dev/vhdx0
show vhdxctl list
show lsblk /dev/vhdx0
show blkid /dev/vhdx0p1 /dev/vhdx0p2
mkdir -p /mnt/one /mnt/two
show mount /dev/vhdx0p1 /mnt/one
show mount /dev/vhdx0p2 /mnt/two
show cat /mnt/one/hello.txt
show cp -r /usr/lib/udev /mnt/two/
show umount /mnt/one /mnt/two
show vhdxctl detach disk.vhdx

printf '\nWhat another program finds in the file:\n'
show qemu-img check disk.vhdx
show qemu-img convert -O raw disk.vhdx after.raw
loop=$(losetup --find --show --read-only --partscan after.raw)
show e2fsck -fn "${loop}p2"
show mount -o ro "${loop}p2" /mnt/two
show diff -r /usr/lib/udev /mnt/two/udev
umount /mnt/two
losetup -d "$loop"
printf '\nEverything that was written is there.\n'

[ -f dirty.vhdx ] || exit 0
printf '\nA disk whose writer was cut off: its log is replayed in memory.\n'
before=$(sha256sum dirty.vhdx)
device=$(vhdxctl attach -r dirty.vhdx)
show vhdxctl list -o NAME,SIZE,RO,LOG-STATE,BACK-FILE
show vhdxctl detach "$device"
[ "$before" = "$(sha256sum dirty.vhdx)" ]
printf '\nThe file is byte for byte what it was.\n'
