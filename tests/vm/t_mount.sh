#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl mount and umount, and the helpers that mount and umount call: what is
# chosen, what is refused, and that the image is clean afterwards. Prints TAP.
# kernels: 6.12
# also: 6.1
# vm: -m 768
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
mkdir -p mnt other
ln -s "$(command -v vhdxctl)" /sbin/mount.vhdx
ln -s "$(command -v vhdxctl)" /sbin/umount.vhdx

why() {
	echo "exit code ${rc-}, stdout:"
	cat out
	echo "stderr:"
	cat err
}

ctl() {
	vhdxctl "$@" >out 2>err
	rc=$?
}

# passes NAME PATTERN ARG...: exit code 0, nothing on stderr, matching output
passes() {
	passes_name=$1 passes_pattern=$2
	shift 2
	ctl "$@"
	[ "$rc" = 0 ] && [ ! -s err ] && grep -qE -- "$passes_pattern" out
	ok "$passes_name" $?
}

# unmounts NAME DIR [OPTION]: says nothing
unmounts() {
	unmounts_name=$1
	shift
	ctl umount "$@"
	[ "$rc" = 0 ] && [ ! -s err ] && [ ! -s out ]
	ok "$unmounts_name" $?
}

# refuses NAME CODE PATTERN ARG...: it says why, and nothing stays attached or
# mounted
refuses() {
	refuses_name=$1 refuses_code=$2 refuses_pattern=$3
	shift 3
	ctl "$@"
	[ "$rc" = "$refuses_code" ] && [ ! -s out ] && grep -qE -- "$refuses_pattern" err &&
		! mountpoint -q mnt && none_attached
	ok "$refuses_name" $?
}

# By themselves disks go when the system call has returned already.
none_attached() {
	for _ in $(seq 100); do
		[ -n "$(vhdxctl list -n)" ] || return 0
		sleep 0.1
	done
	return 1
}

# gone IMAGE: no disk is attached, soon, and that image is clean
gone() {
	for _ in $(seq 100); do
		[ -n "$(vhdxctl list -n)" ] || [ -e /dev/vhdx0 ] || ! is_clean "$1" || return 0
		sleep 0.1
	done
	return 1
}

# make_image NAME TABLE: an image of 64 MiB, partitioned by sfdisk, as a disk
make_image() {
	rm -f "$1"
	vhdxctl create -s 64M "$1" && attach "$1" && sfdisk -q "$dev" 2>/tmp/err <<-TABLE
		$2
	TABLE
}

# --- one partition ------------------------------------------------------------------

make_image one.vhdx 'label: gpt
name=data' && mke2fs -q -t ext4 -L one "${dev}p1" && detach
rc=$?
ok 'an image with one partition' $rc
passes 'its only partition is mounted' '^/dev/vhdx0p1: ext4, label one$' mount one.vhdx mnt
[ "$(findmnt -no SOURCE,FSTYPE mnt)" = '/dev/vhdx0p1 ext4' ] && echo hello >mnt/hello
ok 'there' $?
[ "$(cat /sys/block/vhdx0/vhdx/autoclear)" = 1 ]
ok 'the disk goes with its last user' $?
unmounts 'unmounted' mnt
[ ! -e /dev/vhdx0 ] && ! mountpoint -q mnt && is_clean one.vhdx
ok 'the disk is gone, the image clean' $?
passes 'mounted again at once' '^/dev/vhdx0p1: ' mount one.vhdx mnt
umount mnt && gone one.vhdx
ok 'with umount it goes by itself' $?
sum=$(sha256sum one.vhdx)
passes 'read-only' '^/dev/vhdx0p1: ' mount -r one.vhdx mnt
[ "$(cat mnt/hello)" = hello ] && [ "$(cat /sys/block/vhdx0/vhdx/ro)" = 1 ]
ok 'read-only: what was written is there' $?
umount mnt && [ "$(sha256sum one.vhdx)" = "$sum" ]
ok 'read-only: the image stays as it is' $?
passes 'read-only by an option' '^/dev/vhdx0p1: ' mount -o ro,noatime one.vhdx mnt
findmnt -no OPTIONS mnt | grep -q noatime && umount mnt && [ "$(sha256sum one.vhdx)" = "$sum" ]
ok 'options go to the file system' $?
passes 'with options of attach' '^/dev/vhdx0p1: ' mount -o vhdx.direct-io=off,vhdx.discard=ignore one.vhdx mnt
[ "$(cat /sys/block/vhdx0/vhdx/dio /sys/block/vhdx0/vhdx/discard | tr '\n' ' ')" = '0 0 ' ]
ok 'they count' $?
unmounts 'unmounted lazily' -l mnt
gone one.vhdx
ok 'it goes as well' $?

# A disk that was attached by hand.
attach one.vhdx && passes 'mounted, attached already' '^/dev/vhdx0p1: ' mount one.vhdx mnt
unmounts 'unmounted' mnt
[ -b /dev/vhdx0 ] && detach
ok 'it stays attached' $?

# --- what is refused ------------------------------------------------------------------

: >file
refuses 'no such folder' 66 'nowhere: cannot mount there: No such file' mount one.vhdx nowhere
refuses 'not a folder' 66 'file: cannot mount there: not a folder' mount one.vhdx file
refuses 'no such image' 66 'none.vhdx: cannot open: No such file' mount none.vhdx mnt
refuses 'not an image' 1 'file: cannot attach: ' mount file mnt
refuses 'no such partition' 66 'no partition is 2, or has' mount -p 2 one.vhdx mnt
refuses 'an option that the file system does not know' 1 'vhdx0p1: cannot mount on mnt: ' mount -o frob one.vhdx mnt
refuses 'nothing mounted' 66 'mnt: cannot unmount: nothing is mounted there' umount mnt
passes 'mounted' '^/dev/vhdx0p1: ' mount one.vhdx mnt
exec 3<mnt
ctl umount mnt
[ "$rc" = 75 ] && grep -q 'mnt: cannot unmount: .*busy' err && mountpoint -q mnt
ok 'busy' $?
exec 3<&-
unmounts 'not any more' mnt

# --- several partitions ---------------------------------------------------------------

make_image two.vhdx 'label: gpt
size=20M, name=first
size=20M, name=second
size=8M, name=swap' && mke2fs -q -t ext4 -L common "${dev}p1" && mkfs.vfat -n DATA "${dev}p2" >/tmp/err &&
	mkswap -q "${dev}p3"
uuid=$(blkid -p -o value -s UUID "${dev}p1")
detach
refuses 'which one is not clear' 64 'more than one partition holds a file system' mount two.vhdx mnt
grep -qE '^ +1 +20M ext4 +common +[0-9a-f-]{36} +first$' err && grep -qE '^ +2 +20M vfat +DATA +[0-9A-F-]+ +second$' err &&
	grep -q '^hint: choose one with -p' err
ok 'they are listed' $?
for part in 2 DATA second; do
	passes "-p $part" '^/dev/vhdx0p2: vfat, label DATA$' mount -p $part two.vhdx mnt
	umount mnt
done
passes '-p UUID' '^/dev/vhdx0p1: ext4' mount -p "$(echo "$uuid" | tr a-f A-F)" two.vhdx mnt
passes 'another partition of it' '^/dev/vhdx0p2: vfat' mount --partition=2 two.vhdx other
unmounts 'the first is unmounted' mnt
[ -b /dev/vhdx0 ] && mountpoint -q other
ok 'the disk stays for the second' $?
unmounts 'the second is unmounted' other
none_attached && is_clean two.vhdx
ok 'now it goes' $?
refuses 'a partition without a file system' 69 'partition 3 holds no file system but swap' mount -p 3 two.vhdx mnt
refuses 'a label that there is not' 66 'no partition is nosuch, or has it as label' mount -p nosuch two.vhdx mnt

make_image same.vhdx 'label: dos
size=20M
size=20M' && mke2fs -q -t ext4 -L same "${dev}p1" && mke2fs -q -t ext4 -L same "${dev}p2" && detach
refuses 'a label twice' 64 'more than one partition is same' mount -p same same.vhdx mnt

# --- no partitions --------------------------------------------------------------------

vhdxctl create -s 64M whole.vhdx && attach whole.vhdx && mke2fs -q -t ext4 -L wsl "$dev" && detach
passes 'a file system on the whole disk' '^/dev/vhdx0: ext4, label wsl, on the whole disk: it has no partitions$' \
	mount whole.vhdx mnt
umount mnt
passes 'by its label' '^/dev/vhdx0: ' mount -p wsl whole.vhdx mnt
umount mnt
refuses 'by a number' 66 'no 1: it has no partitions' mount -p 1 whole.vhdx mnt
vhdxctl create -s 64M empty.vhdx
refuses 'nothing on it' 69 'the disk, which has no partitions, holds nothing that is known' mount empty.vhdx mnt
# What cryptsetup writes first: magic, and the version.
attach empty.vhdx && printf 'LUKS\272\276\000\002' | dd of="$dev" conv=fsync status=none && detach
refuses 'nothing but what has to be opened first' 69 "then 'cryptsetup open'" mount empty.vhdx mnt

attach whole.vhdx
vhdxctl mount -r whole.vhdx mnt >out 2>err && mountpoint -q mnt && grep -q 'warning: whole.vhdx: attached for writing' err && umount mnt && detach
ok 'read-only from a disk that is attached for writing: a warning' $?
# A journal to replay, and no writing.
attach whole.vhdx && mount "$dev" mnt && echo there >mnt/there && sync -f mnt && cp whole.vhdx crashed.vhdx
umount mnt
detach
refuses 'a journal to replay, read-only' 77 "hint: .*-o noload" mount -r crashed.vhdx mnt
passes 'as the hint says' '^/dev/vhdx0: ' mount -r -o noload crashed.vhdx mnt
umount mnt

# --- NTFS -----------------------------------------------------------------------------

make_image ntfs.vhdx 'label: gpt
type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7' && mkntfs -qQ -L windows "${dev}p1" >/tmp/err 2>&1 && detach
passes 'NTFS' '^/dev/vhdx0p1: ntfs, label windows$' mount ntfs.vhdx mnt
echo hello >mnt/hello && mkdir mnt/folder && umount mnt && gone ntfs.vhdx
ok 'NTFS: written, unmounted, gone, clean' $?
cp ntfs.vhdx again.vhdx
ctl mount ntfs.vhdx mnt
{ printf hibr && head -c 65532 /dev/zero; } >mnt/hiberfil.sys
umount mnt
ctl mount ntfs.vhdx mnt
vhdxctl compact ntfs.vhdx >/tmp/out 2>/tmp/err && [ $rc = 75 ]
ok 'what is not mounted is free at once' $?
refuses 'a hibernated Windows' 75 "Windows is hibernated on it" mount ntfs.vhdx mnt
grep -q "^hint: start Windows and end it with 'shutdown /s /t 0'" err
ok 'it says what to do' $?
passes 'read-only it is mounted' '^/dev/vhdx0p1: ntfs' mount -r ntfs.vhdx mnt
[ "$(cat mnt/hello)" = hello ]
ok 'and readable' $?
umount mnt && gone ntfs.vhdx
# Programs that look into everything that is mounted, as indexers do.
(
	until { sleep 4; } 3<mnt/hello; do :; done
) 2>/dev/null &
watcher=$!
refuses 'a hibernated Windows, with somebody who looks into all that is mounted' 75 \
	'Windows is hibernated on it' mount ntfs.vhdx mnt
kill $watcher 2>/dev/null
! grep -q " $PWD/mnt " /proc/self/mounts && gone ntfs.vhdx
ok 'nothing stays mounted' $?
wait $watcher 2>/dev/null
# Where the root is not what is mounted: libmount does that in a namespace of its own.
if [ "$VM_KERNEL" != 6.1 ]; then
	mount --make-rshared /
	refuses 'a hibernated Windows, and a folder of it' 75 'Windows is hibernated on it' \
		mount -o X-mount.subdir=folder ntfs.vhdx mnt
	passes 'a folder, read-only' '^/dev/vhdx0p1: ntfs' mount -r -o X-mount.subdir=folder ntfs.vhdx mnt
	ctl mount -o remount,rw ntfs.vhdx mnt
	[ $rc = 75 ] && grep -q 'nobody sees whether Windows is hibernated' err && ! touch mnt/touched 2>/dev/null
	ok 'it stays so' $?
	umount mnt && mount --make-rprivate / && gone ntfs.vhdx
	ctl mount again.vhdx mnt
	passes 'NTFS that is mounted already' '^/dev/vhdx0p1: ntfs' mount again.vhdx other
	umount mnt && umount other && gone again.vhdx
	ok 'both are unmounted: gone, clean' $?
	# Its file has a record that cannot be read.
	attach again.vhdx && mount -t ntfs3 "${dev}p1" mnt && echo hibr >mnt/hiberfil.sys && umount mnt &&
		python3 - "${dev}p1" <<-'PY' && detach
	import sys
	with open(sys.argv[1], 'r+b') as f:
	    data = f.read()
	    name = 'hiberfil.sys'.encode('utf-16-le')
	    at = data.find(name)
	    while data[at & ~1023:][:4] != b'FILE':
	        at = data.index(name, at + 1)
	    f.seek(at & ~1023)
	    f.write(bytes(1024))
	PY
	refuses 'a hibernation that cannot be read' 1 'cannot see whether Windows is hibernated on it' mount again.vhdx mnt
	passes 'read-only it is mounted' '^/dev/vhdx0p1: ntfs' mount -r again.vhdx mnt
	umount mnt && gone again.vhdx
	attach again.vhdx && dd if=/dev/zero of="${dev}p1" bs=1M count=1 status=none
	mkntfs -qQF "${dev}p1" >/tmp/err 2>&1
	detach
fi
# Who made the image may have put something there that waits for ever when it is opened.
if [ "$VM_KERNEL" != 6.1 ]; then
	attach ntfs.vhdx && mount -t ntfs3 "${dev}p1" mnt && rm mnt/hiberfil.sys && mkfifo mnt/hiberfil.sys && umount mnt
	detach
	passes 'a pipe for the hibernation of Windows' '^/dev/vhdx0p1: ntfs' mount ntfs.vhdx mnt
	rm mnt/hiberfil.sys && { printf hibr && head -c 65532 /dev/zero; } >mnt/hiberfil.sys
	umount mnt && gone ntfs.vhdx
fi
# The dirty flag, in both copies of the record of the volume. FUSE's driver takes it.
if [ "$VM_KERNEL" != 6.1 ]; then
	attach ntfs.vhdx && mount -t ntfs3 "${dev}p1" mnt && rm mnt/hiberfil.sys && umount mnt
	python3 - "${dev}p1" <<-'PY'
	import struct, sys
	with open(sys.argv[1], 'r+b') as f:
	    boot = f.read(512)
	    cluster = struct.unpack_from('<H', boot, 11)[0] * boot[13]
	    for table in struct.unpack_from('<QQ', boot, 48):
	        f.seek(table * cluster + 3 * 1024)
	        record = bytearray(f.read(1024))
	        at = struct.unpack_from('<H', record, 20)[0]
	        while struct.unpack_from('<I', record, at)[0] != 0x70:
	            at += struct.unpack_from('<I', record, at + 4)[0]
	        record[at + struct.unpack_from('<H', record, at + 20)[0] + 10] |= 1
	        f.seek(-1024, 1)
	        f.write(record)
	PY
	detach
	refuses 'NTFS that was not unmounted' 1 "^hint: was it unmounted by Windows\?" mount ntfs.vhdx mnt
	passes 'read-only it is mounted' '^/dev/vhdx0p1: ntfs' mount -r ntfs.vhdx mnt
	umount mnt
fi

# --- mount and umount -----------------------------------------------------------------

# mounts NAME ARG...
mounts() {
	mounts_name=$1
	shift
	mount "$@" >out 2>err
	rc=$?
	[ $rc = 0 ] && [ ! -s err ] && [ ! -s out ]
	ok "$mounts_name" $?
}
mounts 'mount -t vhdx' -t vhdx one.vhdx mnt
[ "$(findmnt -no SOURCE mnt)" = /dev/vhdx0p1 ] && umount mnt && gone one.vhdx
ok 'umount: gone, clean' $?
mounts 'mount -t vhdx -o' -t vhdx -o ro,nofail,noatime,x-systemd.automount,vhdx.part=second,vhdx.direct-io=off two.vhdx mnt
[ "$(findmnt -no SOURCE mnt)" = /dev/vhdx0p2 ] && [ "$(cat /sys/block/vhdx0/vhdx/ro)" = 1 ] && umount mnt
ok 'its options count' $?
# remounted NAME IMAGE SOURCE: from fstab, while somebody is in there
remounted() {
	echo "$PWD/$2 $PWD/mnt vhdx noauto 0 0" >/etc/fstab
	mounts "$1: mount" mnt
	exec 3<mnt
	mounts "$1: remount" -o remount,noatime mnt
	findmnt -no SOURCE,OPTIONS mnt | grep -q "^$3 .*rw.*noatime" && touch mnt/touched
	ok "$1: it is mounted still, with that" $?
	mounts "$1: remount, read-only" -o remount,ro mnt
	findmnt -no OPTIONS mnt | grep -q '^ro' && ! touch mnt/touched 2>/dev/null
	ok "$1: it is" $?
	mounts "$1: remount, for writing again" -o remount,rw mnt
	ctl mount -r -o remount "$2" mnt
	[ $rc = 0 ] && findmnt -no OPTIONS mnt | grep -q '^ro' && ! touch mnt/touched 2>/dev/null
	ok "$1: remount, with -r" $?
	exec 3<&-
	umount mnt && gone "$2"
	ok "$1: unmounted: gone, clean" $?
}
remounted ext4 one.vhdx /dev/vhdx0p1
[ "$VM_KERNEL" = 6.1 ] || remounted NTFS again.vhdx /dev/vhdx0p1
vhdxctl mount -o remount one.vhdx other >out 2>err
[ $? = 66 ] && grep -q 'cannot remount' err
ok 'a remount where nothing is mounted' $?
# Anybody who can read an image can lock it.
flock -s one.vhdx sleep 600 &
holder=$!
mounts 'an image that somebody has locked' -t vhdx one.vhdx mnt
umount mnt
kill $holder
echo "$PWD/two.vhdx $PWD/mnt vhdx vhdx.part=1,noauto 0 0
$PWD/two.vhdx $PWD/other vhdx vhdx.part=2,noauto 0 0" >/etc/fstab
mount mnt >out1 2>err1 &
first=$!
mount other >out2 2>err2 &
second=$!
# shellcheck disable=SC2086 # numbers
wait $first && wait $second && mountpoint -q mnt && mountpoint -q other && [ "$(vhdxctl list -n | wc -l)" = 1 ]
rc=$?
cat err1 err2 >err
ok 'two partitions of an image at once, from fstab' $rc
sed -i 's/,noauto//' /etc/fstab
umount other && mounts 'mount -a: one of two is mounted' -a
findmnt -rno TARGET,SOURCE | grep /dev/vhdx >out
[ "$(wc -l <out)" = 2 ] && grep -q "$PWD/mnt /dev/vhdx0p1" out && grep -q "$PWD/other /dev/vhdx0p2" out
ok 'both are, once' $?
mounts 'mount -a again' -a
[ "$(findmnt -rno SOURCE | grep -c /dev/vhdx)" = 2 ]
ok 'and nothing else' $?
! vhdxctl mount -p 1 two.vhdx mnt >out 2>err && grep -q 'already mounted' err
ok 'who asks for that by hand is told' $?
umount mnt other && gone two.vhdx
ok 'unmounted: gone, clean' $?
# helper_fails NAME CODE PATTERN ARG...
helper_fails() {
	helper_name=$1 helper_code=$2 helper_pattern=$3
	shift 3
	mount "$@" >out 2>err
	rc=$?
	[ $rc = "$helper_code" ] && grep -qE -- "$helper_pattern" err && none_attached
	ok "$helper_name" $?
}
helper_fails 'mount -t vhdx: an option that there is not' 1 'vhdx.frob: unknown option' -t vhdx -o vhdx.frob one.vhdx mnt
helper_fails 'mount -t vhdx: which one is not clear' 1 'more than one partition' -t vhdx two.vhdx mnt
mounts 'mount -f does nothing' -f -t vhdx one.vhdx mnt
none_attached && ! mountpoint -q mnt
ok 'nothing' $?
/sbin/mount.vhdx one.vhdx mnt -N /proc/1/ns/mnt >out 2>err
rc=$?
[ $rc = 1 ] && grep -q 'other mount namespaces' err
ok 'mount.vhdx -N is refused' $?
/sbin/umount.vhdx >out 2>err
rc=$?
[ $rc = 1 ] && grep -q 'umount: not one folder' err
ok 'umount.vhdx without a folder' $?
/sbin/umount.vhdx -N /proc/1/ns/mnt mnt >out 2>err
rc=$?
[ $rc = 1 ] && grep -q 'other mount namespaces' err
ok 'umount.vhdx -N is refused' $?
mounts 'mount' -t vhdx one.vhdx mnt
exec 3<mnt
umount mnt >out 2>err
rc=$?
[ $rc = 32 ] && mountpoint -q mnt && umount -r mnt && [ "$(findmnt -no OPTIONS mnt | cut -c1-2)" = ro ]
ok 'umount -r: busy, so read-only' $?
exec 3<&-
umount mnt && gone one.vhdx
ok 'unmounted: gone, clean' $?
# by_user COMMAND...: as one whom fstab allows it, and mount itself would
by_user() {
	setpriv --reuid 1000 --regid 1000 --clear-groups "$@" >out 2>err
	rc=$?
}
chmod a+rwx . one.vhdx mnt
echo "$PWD/one.vhdx $PWD/mnt vhdx users,noauto 0 0" >/etc/fstab
by_user mount "$PWD/mnt"
[ $rc = 32 ] && grep -q 'cannot open /dev/vhdx-control: Permission denied' err && ! mountpoint -q mnt && none_attached
ok 'users: mount by one of them is refused' $?
mount mnt && by_user umount "$PWD/mnt"
[ $rc = 32 ] && grep -q "^vhdxctl: $PWD/mnt: cannot unmount: " err && mountpoint -q mnt
ok 'users: umount by one of them, too' $?
umount mnt && gone one.vhdx
ok 'unmounted: gone, clean' $?

finish
