#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# In a machine that was booted by systemd: what is attached and mounted, more of
# that by hand, and off it goes. Prints TAP.
set -u

exec >/dev/virtio-ports/out 2>&1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# shellcheck source=tests/vm/lib/guest/tap.sh
. /vm/lib/tap.sh
why() {
	systemctl --no-pager --full status 'vhdx@*' mnt-fstab.mount mnt-tab.mount 2>&1 | head -n 80
}

findmnt -no SOURCE /mnt/fstab | grep -qE '^/dev/vhdx[0-9]+p2$'
ok 'fstab, type vhdx: mounted' $?
[ "$(cat /mnt/fstab/name)" = second ]
ok 'fstab, type vhdx: the partition that was asked for' $?
systemctl -q is-active vhdx@data && [ -b /dev/vhdx7 ]
ok 'vhdxtab: attached, as the device that was asked for' $?
[ "$(findmnt -no SOURCE /mnt/tab)" = /dev/vhdx7 ] && [ "$(cat /mnt/tab/name)" = data ]
ok 'vhdxtab: mounted by UUID' $?
dmesg | grep -q 'vhdxctl: /etc/vhdxtab:6: wrong: no absolute path of an image$'
ok 'vhdxtab: the kernel'\''s log says what is wrong with a line' $?
systemctl -q is-failed vhdx@absent
ok 'vhdxtab, nofail: without its image the machine starts' $?
[ "$(systemctl show -p ActiveState vhdx@later)" = ActiveState=inactive ]
ok 'vhdxtab, noauto: not attached' $?
systemctl start vhdx@later && [ "$(cat /sys/block/vhdx9/vhdx/ro)" = 1 ]
ok 'vhdxtab, noauto: attached when asked for, with its options' $?
systemctl stop vhdx@later && [ ! -e /sys/block/vhdx9 ] && ! systemctl -q is-failed vhdx@later
ok 'vhdxtab: detached when stopped' $?

# the run's images
files=/vm/work
systemctl start vhdx@later vhdx@again && vhdxctl attach -r "$files/later.vhdx" vhdx11
ok 'vhdxtab: the same image twice, and once more by hand' $?
mv "$files/later.vhdx" "$files/moved.vhdx"
systemctl stop vhdx@later && [ ! -e /sys/block/vhdx9 ] && [ "$(vhdxctl list -n "$files/moved.vhdx" | wc -l)" = 2 ]
ok 'vhdxtab: only its own disk is detached, whatever the name of the image' $?
systemctl stop vhdx@again && [ "$(vhdxctl list --raw -n -o NAME "$files/moved.vhdx")" = /dev/vhdx11 ]
ok 'vhdxtab: so it is without the name of a device' $?
mv "$files/moved.vhdx" "$files/later.vhdx"
vhdxctl detach vhdx11
systemctl start vhdx@later && vhdxctl detach vhdx9 && vhdxctl attach -r "$files/raw.vhdx" vhdx9 &&
	systemctl stop vhdx@later && ! systemctl -q is-failed vhdx@later && [ -e /sys/block/vhdx9 ]
ok 'vhdxtab: nothing is detached where its disk is gone and another has the name' $?
vhdxctl detach vhdx9
modprobe dm_mod && systemctl start vhdx@later &&
	dmsetup create top --readonly --noudevsync --table "0 $(blockdev --getsz /dev/vhdx9) linear /dev/vhdx9 0"
ok 'a device on its disk' $?
started=$(date +%s)
systemctl stop vhdx@later
[ $(($(date +%s) - started)) -lt 40 ] && systemctl -q is-failed vhdx@later && [ -e /sys/block/vhdx9 ]
ok 'vhdxtab: fails then, without a long wait' $?
dmsetup remove --noudevsync top && vhdxctl detach --id-file /run/vhdx@later.id && [ ! -e /sys/block/vhdx9 ]
ok 'and is detached by hand' $?

cp /etc/vhdxtab /mnt/fstab/written && cp /etc/vhdxtab /mnt/tab/written
ok 'written to both' $?
vhdxctl attach "$files/hand.vhdx" vhdx20 && mount /dev/vhdx20 /mnt/hand && cp /etc/vhdxtab /mnt/hand/written
ok 'another one, by hand' $?
vhdxctl attach "$files/raw.vhdx" vhdx21 && cp /etc/vhdxtab /dev/vhdx21
ok 'and one that is not mounted' $?
vhdxctl create -s 8M /mnt/hand/inner.vhdx >/dev/null && vhdxctl attach /mnt/hand/inner.vhdx vhdx22 && cp /etc/vhdxtab /dev/vhdx22
ok 'and one that lies on the disk of another' $?
vhdxctl attach "$files/bound.vhdx" vhdx23 && mount /dev/vhdx23 /mnt/bound && cp /etc/vhdxtab /mnt/bound/written &&
	mkdir /mnt/bound/below && mount --bind /mnt/bound/below '/mnt/with blank' &&
	vhdxctl create -s 8M '/mnt/with blank/inner.vhdx' >/dev/null &&
	vhdxctl attach '/mnt/with blank/inner.vhdx' vhdx24 && cp /etc/vhdxtab /dev/vhdx24
ok 'and one that lies below a bind mount of such a disk' $?

echo "1..$n"
echo "status $bad" >/dev/virtio-ports/ctl
systemctl --no-block poweroff 2>/dev/null
