#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The first time that the machine is on: an image is made, and fstab gets a line for it.
# It is in use when the machine is turned off. Prints TAP.
set -u

exec >/dev/virtio-ports/out 2>&1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# shellcheck source=tests/vm/lib/guest/tap.sh
. /vm/lib/tap.sh
try() { "$@" >/tmp/err 2>&1; }
why() { tail -n 30 /tmp/err; }

uuid=5a1ff2a0-41b8-4f0f-9d0c-6b1f7a2e3c50
try modinfo vhdx
ok 'the module is there' $?
try vhdxctl doctor
ok 'the doctor finds nothing' $?
try vhdxctl create -s 64M /srv/disk.vhdx && try vhdxctl attach /srv/disk.vhdx /dev/vhdx0 &&
	echo 'start=2048,size=65536' | try sfdisk -q --label gpt /dev/vhdx0 && try udevadm settle &&
	try mke2fs -q -t ext4 -U "$uuid" /dev/vhdx0p1
ok 'an image with a partition and a file system' $?
try vhdxctl detach /dev/vhdx0 && try udevadm settle && [ ! -L "/dev/disk/by-uuid/$uuid" ]
ok 'is detached, and its link is gone' $?
# Nothing may come between the two.
vhdxctl attach /srv/disk.vhdx /dev/vhdx0 >/tmp/err 2>&1 && [ -e "/dev/disk/by-uuid/$uuid" ]
ok 'by-uuid is there when attach returns' $?
[ "$(readlink -f "/dev/disk/by-uuid/$uuid")" = /dev/vhdx0p1 ]
ok 'and leads to its partition' $?
try mount "/dev/disk/by-uuid/$uuid" /mnt/data && echo 'by the first' >/mnt/data/first
ok 'mounted and written' $?
echo '/srv/disk.vhdx /mnt/data vhdx vhdx.part=1 0 0' >>/etc/fstab

echo "1..$n"
echo "status $bad" >/dev/virtio-ports/ctl
systemctl --no-block poweroff 2>/dev/null
