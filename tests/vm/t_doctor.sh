#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl doctor with the driver: its version, and what becomes of disks. Prints
# TAP.
# long: 6.12
# also: 6.1
# vm: -m 256
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
mkdir -p mnt
ln -s "$(command -v vhdxctl)" /sbin/mount.vhdx
ln -s "$(command -v vhdxctl)" /sbin/umount.vhdx

why() {
	cat out err
}

# finds NAME KIND CHECK TEXT COMMAND: the last of what is said of CHECK
finds() {
	vhdxctl doctor --json >out 2>err
	rc=$?
	jq -e --argjson rc $rc --arg kind "$2" --arg name "$3" --arg text "$4" --arg command "$5" '
		(.problems > 0) == ($rc == 1) and (.problems == ([.findings[] | select(.kind == "problem")] | length))
		and ([.findings[] | select(.name == $name)] | last
			| .kind == $kind and (.text | test($text))
			and ((.command // "-") | test("^" + $command + "$")))' out >/dev/null 2>>err
	ok "$1" $?
}

version=$(vhdxctl --version | cut -d' ' -f2)
finds 'the driver is loaded' ok driver "the loaded driver has version $version, as vhdxctl\$" -
finds 'its module' ok module "/vhdx.ko has version $version" -
finds 'this kernel takes it' ok signature 'Secure Boot is off' -
finds 'no headers' note headers 'are missing' 'apt-get install linux-headers-.*'
finds 'the helpers of mount' ok mount 'mount knows the type vhdx' -
! jq -e '.findings[] | select(.name == "disk")' out >/dev/null
ok 'no disks' $?

vhdxctl create -s 32M a.vhdx && attach a.vhdx && cp /proc/version "$dev"
finds 'a disk' ok disk '^/dev/vhdx0: /scratch/a.vhdx$' -
cp a.vhdx b.vhdx && mv b.vhdx a.vhdx
finds 'a disk whose image was replaced' problem disk '^/dev/vhdx0: its image .* was deleted, replaced' 'vhdxctl create --from /dev/vhdx0 FILE'
rm a.vhdx
finds 'a disk whose image was deleted' problem disk 'its image /scratch/a.vhdx .deleted. was' 'vhdxctl create --from /dev/vhdx0 FILE'
vhdxctl create --from /dev/vhdx0 rescued.vhdx >/tmp/out 2>/tmp/err && vhdxctl convert -q -O raw rescued.vhdx rescued.raw && cmp rescued.raw /dev/vhdx0
ok 'as it says, what was deleted is rescued' $?
rm -f rescued.vhdx rescued.raw
detach

vhdxctl create -s 32M a.vhdx && attach a.vhdx && mke2fs -q -t ext4 "$dev" && detach && attach a.vhdx --autoclear
finds 'a disk that waits for its first user' note disk 'goes with its last user: nobody uses it yet' 'vhdxctl detach /dev/vhdx0'
mount "$dev" mnt
finds 'a disk that is mounted' ok disk '^/dev/vhdx0: /scratch/a.vhdx$' -
exec 3<"$dev"
umount mnt
finds 'a disk that somebody keeps' note disk "last user: /dev/vhdx0 is open in process $$ " 'vhdxctl detach /dev/vhdx0'
exec 3<&-
for _ in $(seq 100); do
	[ -e /dev/vhdx0 ] || break
	sleep 0.1
done

strace -qq -o /dev/null -e inject=ioctl:retval=0 vhdxctl doctor --json >out 2>err
jq -e '[.findings[] | select(.name == "driver")][0] | .kind == "problem" and (.text | test("its ABI is 0"))' out >/dev/null
ok 'a driver that does not fit' $?
strace -qq -o /dev/null -e inject=ioctl:error=EPERM vhdxctl doctor --json >out 2>err
jq -e '[.findings[] | select(.name == "driver")][0] | .kind == "note" and (.text | test("cannot be asked"))' out >/dev/null
ok 'a driver that says nothing' $?
setpriv --reuid=65534 --regid=65534 --clear-groups vhdxctl doctor --json >out 2>err
jq -e '[.findings[] | select(.name == "driver")][0] | .kind == "note" and (.text | test("cannot be asked: Permission"))' out >/dev/null
ok 'without root' $?
mv /dev/vhdx-control /dev/away
finds 'no control device' problem driver 'there is no /dev/vhdx-control' 'mount -t devtmpfs none /dev'
mv /dev/away /dev/vhdx-control

# The log cannot be written any more.
make_host 96 && mkdir host && modprobe dm_mod &&
	dmsetup create host --noudevsync --table "0 $(blockdev --getsz "$host") linear $host 0" 2>err
slow=/dev/$(dmsetup info -c --noheadings -o blkdevname host)
mke2fs -q -t ext4 "$slow" && mount "$slow" host && vhdxctl create -s 32M host/a.vhdx && attach host/a.vhdx
dmsetup suspend --noudevsync host && dmsetup load host --table "0 $(blockdev --getsz "$host") error" &&
	dmsetup resume --noudevsync host
dd if=/dev/zero of="$dev" bs=1M count=1 oflag=direct conv=fsync status=none 2>err
for _ in $(seq 100); do
	[ "$(cat "/sys/block/$disk/vhdx/log_state")" != failed ] || break
	sleep 0.1
done
finds 'a disk that could not be written' problem disk '^/dev/vhdx0: writing to /scratch/host/a.vhdx failed' 'vhdxctl detach /dev/vhdx0'
vhdxctl detach "$dev" >out 2>err
umount -l host
dmsetup remove --noudevsync --force host 2>err

finish
