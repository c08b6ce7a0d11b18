#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The second time that the machine is on: fstab has been obeyed. Prints TAP.
set -u

exec >/dev/virtio-ports/out 2>&1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# shellcheck source=tests/vm/lib/guest/tap.sh
. /vm/lib/tap.sh
why() {
	systemctl --no-pager --full status mnt-data.mount 2>&1 | head -n 40
}

findmnt -no SOURCE /mnt/data | grep -qE '^/dev/vhdx[0-9]+p1$'
ok 'mounted by its line of fstab' $?
[ "$(cat /mnt/data/first)" = 'by the first' ]
ok 'what was written before is there' $?
(echo 'by the second' >/mnt/data/second)
ok 'written again' $?

echo "1..$n"
echo "status $bad" >/dev/virtio-ports/ctl
systemctl --no-block poweroff 2>/dev/null
