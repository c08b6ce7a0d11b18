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
systemctl -q is-failed vhdx@absent
ok 'vhdxtab, nofail: without its image the machine starts' $?
[ "$(systemctl show -p ActiveState vhdx@later)" = ActiveState=inactive ]
ok 'vhdxtab, noauto: not attached' $?
systemctl start vhdx@later && [ "$(cat /sys/block/vhdx9/vhdx/ro)" = 1 ]
ok 'vhdxtab, noauto: attached when asked for, with its options' $?
systemctl stop vhdx@later && [ ! -e /sys/block/vhdx9 ]
ok 'vhdxtab: detached when stopped' $?

cp /etc/vhdxtab /mnt/fstab/written && cp /etc/vhdxtab /mnt/tab/written
ok 'written to both' $?
# the run's images
files=/vm/work
vhdxctl attach "$files/hand.vhdx" vhdx20 && mount /dev/vhdx20 /mnt/hand && cp /etc/vhdxtab /mnt/hand/written
ok 'another one, by hand' $?
vhdxctl attach "$files/raw.vhdx" vhdx21 && cp /etc/vhdxtab /dev/vhdx21
ok 'and one that is not mounted' $?
vhdxctl create -s 8M /mnt/hand/inner.vhdx >/dev/null && vhdxctl attach /mnt/hand/inner.vhdx vhdx22 && cp /etc/vhdxtab /dev/vhdx22
ok 'and one that lies on the disk of another' $?

echo "1..$n"
echo "status $bad" >/dev/virtio-ports/ctl
systemctl --no-block poweroff 2>/dev/null
