#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A machine with udev: what links its rules make, that they are there when attach
# returns and gone after detach, and that no other disk's link is taken. Prints
# TAP.
# kernels: 6.12
# also: 6.1
# vm: -m 768 -x build/rawctl -f tools/udev/60-vhdx.rules
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"
# shellcheck source=tests/vm/lib/guest/udev.sh
. "$VM_LIB/udev.sh"

rules=$PWD/60-vhdx.rules
links=/dev/disk
fs_uuid=6d1b2f0e-3f52-4a55-8f0b-0d5e5a0c1c11
part_uuid=0a7c5a0e-8c4f-4d0a-9d57-6f3f2c9b7e21

# leads LINK NODE: and not to where a moment ago something was
leads() {
	[ "$(readlink -f "$links/$1")" = "$2" ] && [ -b "$2" ] && return
	ls -l "$links/$1" >/tmp/err 2>&1
	return 1
}

settle() {
	udevadm settle --timeout=120
}

cd /scratch || exit 1
truncate -s 64M disk.raw
printf 'label: gpt\nstart=2048, size=60000, name=data, uuid=%s\n' $part_uuid | sfdisk -q disk.raw
mke2fs -q -t ext4 -U $fs_uuid -L vhdxtest -E offset=$((2048 * 512)) disk.raw 30000k 2>/tmp/err
ok 'a disk is made' $?
vhdxctl create --from disk.raw disk.vhdx >/tmp/err 2>&1
ok 'an image of it is made' $?

attach disk.vhdx && [ ! -s /tmp/err ]
ok 'without udevd a disk is attached, and nothing is said' $?
[ ! -e $links/by-uuid/$fs_uuid ]
ok 'without udevd there are no links' $?
detach

mkdir -p /usr/local/lib/udev/rules.d
cp "$rules" /usr/local/lib/udev/rules.d/
modprobe loop
start_udev
ok 'udevd runs' $?

[ "$(stat -c '%G %a' /dev/vhdx-control)" = 'disk 660' ]
ok 'the control device is the group'\''s' $?

id=$(vhdxctl info --json disk.vhdx | jq -r ".\"disk-id\"")
for i in $(seq 10); do
	attach disk.vhdx && [ ! -s /tmp/err ] && leads "by-uuid/$fs_uuid" "${dev}p1"
	ok "links are there at once, $i" $?
	[ "$i" = 10 ] || detach
	ok "detaches, $i" $?
done
while read -r link node; do
	leads "$link" "$node"
	ok "$link" $?
done <<-LINKS
	by-label/vhdxtest ${dev}p1
	by-partuuid/$part_uuid ${dev}p1
	by-partlabel/data ${dev}p1
	by-id/vhdx-$id $dev
	by-id/vhdx-$id-part1 ${dev}p1
	by-diskseq/$(cat "/sys/block/$disk/diskseq") $dev
LINKS
[ "$(lsblk -nro SERIAL,PTTYPE "$dev" | head -n 1)" = "$id gpt" ]
ok 'lsblk knows the serial number' $?
[ "$(lsblk -nro FSTYPE,UUID "${dev}p1")" = "ext4 $fs_uuid" ]
ok 'lsblk knows the file system' $?
mkdir -p mnt
mount "LABEL=vhdxtest" mnt 2>/tmp/err && [ "$(findmnt -no SOURCE mnt)" = "${dev}p1" ]
ok 'mount finds it by its label' $?
umount mnt

mke2fs -q -t ext4 -L renamed "${dev}p1" 2>/tmp/err && settle && leads by-label/renamed "${dev}p1" &&
	[ ! -e $links/by-uuid/$fs_uuid ]
ok 'a new file system has its links without being asked for' $?
detach && settle && [ -z "$(find $links -lname "*$disk*")" ]
ok 'after detach no link is left' $?

# A file system on the whole disk.
truncate -s 32M whole.raw && mke2fs -q -t ext4 -U $fs_uuid -L whole whole.raw 2>/tmp/err &&
	vhdxctl create --from whole.raw whole.vhdx >/tmp/err 2>&1
attach -r whole.vhdx && leads by-uuid/$fs_uuid "$dev" && leads by-label/whole "$dev"
ok 'a disk without partitions has its links' $?
detach && settle

# What LVM's rules start by its type, on the whole disk.
vhdxctl create -s 32M pv.vhdx >/tmp/err 2>&1
attach pv.vhdx && pvcreate -qq "$dev" >/tmp/err 2>&1 && detach
attach pv.vhdx && udevadm info -q property -n "$dev" >/tmp/err && grep -qx ID_FS_TYPE=LVM2_member /tmp/err
ok 'a volume group on the whole disk can be started' $?
detach && settle
attach --no-partscan pv.vhdx && udevadm info -q property -n "$dev" >/tmp/err && grep -qx ID_FS_USAGE=raid /tmp/err && ! grep ^ID_FS_TYPE= /tmp/err
ok 'with --no-partscan it stays asleep' $?
detach && settle
rm pv.vhdx

# The clone of a disk of the machine's own, attached later and earlier.
rm -f disk.vhdx
vhdxctl create --from disk.raw disk.vhdx >/tmp/err 2>&1
own=$(losetup -fP --show disk.raw) && settle && leads by-uuid/$fs_uuid "${own}p1"
ok 'the machine has its own disk' $?
attach disk.vhdx && leads by-uuid/$fs_uuid "${own}p1" && leads by-partuuid/$part_uuid "${own}p1"
ok 'a clone does not take its links' $?
# a change makes udev go through its rules again
udevadm trigger --settle --action=change "${dev}p1" && leads by-uuid/$fs_uuid "${own}p1"
ok 'nor when it changes' $?
losetup -d "$own" && settle && leads by-uuid/$fs_uuid "${dev}p1"
ok 'with the disk gone they lead to the clone' $?
own=$(losetup -fP --show disk.raw) && settle && leads by-uuid/$fs_uuid "${own}p1" &&
	leads by-label/vhdxtest "${own}p1"
ok 'and back when it comes later' $?
losetup -d "$own" && detach && settle && [ ! -e $links/by-uuid/$fs_uuid ]
ok 'both are gone' $?

# What attach waits for, with rules that take their time: rawctl does not wait.
mkdir -p /run/udev/rules.d
echo 'ACTION!="remove", SUBSYSTEM=="block", KERNEL=="vhdx*", PROGRAM="/bin/sleep 2"' >/run/udev/rules.d/10-slow.rules
udevadm control --reload
dev=/dev/vhdx$(rawctl attach disk.vhdx 2>/tmp/err) && [ -b "${dev}p1" ] && [ ! -e $links/by-uuid/$fs_uuid ]
ok 'who does not wait for slow rules has a partition, and no link to it' $?
settle && leads by-uuid/$fs_uuid "${dev}p1"
ok 'the link comes later' $?
detach && settle && [ ! -e $links/by-uuid/$fs_uuid ]
ok 'and is gone' $?
attach disk.vhdx && [ ! -s /tmp/err ] && leads by-uuid/$fs_uuid "${dev}p1"
ok 'when attach returns it is there, however slow the rules are' $?
rm /run/udev/rules.d/10-slow.rules
udevadm control --reload
detach && settle
ok 'detaches' $?

# Many at once, each with its links when its attach returns.
pids=
for i in $(seq 8); do
	vhdxctl create -s 16M "many$i.vhdx" >/tmp/err 2>&1
	(
		many=$(vhdxctl attach "many$i.vhdx") && read -r id <"/sys/block/${many#/dev/}/vhdx/disk_id" &&
			[ "$(readlink -f "$links/by-id/vhdx-$id")" = "$many" ]
	) >"/tmp/err$i" 2>&1 &
	pids="$pids $!"
done
# shellcheck disable=SC2086 # a list of numbers
all_well $pids
ok 'eight at once have their links' $?
vhdxctl detach --all 2>/tmp/err
ok 'they detach' $?
settle

# udevd that does nothing: attach does not wait for ever, and says so.
udevd=$(pidof systemd-udevd)
# shellcheck disable=SC2086 # there may be workers
kill -STOP $udevd
# waits ARG...: the tool, in the background; it is waiting for udev then
waits() {
	vhdxctl "$@" >/tmp/out 2>/tmp/err &
	pid=$!
	# The socket is for udev's news, the last thing before the wait.
	for _ in $(seq 100); do
		find /proc/$pid/fd -lname 'socket:*' 2>/dev/null | grep -q . && break
		sleep 0.1
	done
}
# killed SIGNAL: sets rc
killed() {
	kill "-$1" $pid
	wait $pid 2>/dev/null
	rc=$?
}
waits_killed() {
	killed_by=$1
	shift
	waits "$@"
	killed "$killed_by"
}
no_disk() {
	for _ in $(seq 100); do
		[ -n "$(vhdxctl list -n)" ] || return 0
		sleep 0.1
	done
	return 1
}
waits_killed KILL mount disk.vhdx mnt
[ $rc = 137 ] && [ ! -s /tmp/err ]
ok 'a mount is killed while it waits for udev' $?
no_disk
ok 'and leaves no disk' $?
for signal in HUP:129 TERM:143; do
	waits_killed ${signal%:*} attach --id-file /run/id disk.vhdx
	[ $rc = ${signal#*:} ] && [ ! -s /tmp/out ] && [ ! -e /run/id ] &&
		grep -qx 'vhdxctl: disk.vhdx: interrupted: it is not attached' /tmp/err
	ok "an attach is interrupted while it waits for udev, by ${signal%:*}" $?
	no_disk
	ok 'and leaves no disk' $?
done
waits_killed TERM attach --id-file /dev/null disk.vhdx
[ $rc = 143 ] && [ -c /dev/null ]
ok 'and leaves what is no file, but was named as the one for the id' $?
no_disk
waits attach disk.vhdx
exec 3</dev/vhdx0
killed TERM
[ $rc = 143 ] && grep -qx 'vhdxctl: disk.vhdx: interrupted: it is attached until its last user closes it' /tmp/err &&
	[ -n "$(vhdxctl list -n)" ]
ok 'an attach is interrupted, and somebody else has the disk' $?
exec 3<&-
no_disk
ok 'it goes with him' $?
attach disk.vhdx && grep -q 'udev is slow' /tmp/err
ok 'a disk is attached though udevd does nothing' $?
# shellcheck disable=SC2086
kill -CONT $udevd
settle && leads by-uuid/$fs_uuid "${dev}p1"
ok 'the links come later' $?
detach
ok 'detaches' $?

finish
