#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The end of disks that were written: who keeps one, that the image is clean when
# it is gone, and that it can be attached again at once. Prints TAP.
# long: 6.12
# also: 6.1 debug
# vm: -m 512 -x build/rawctl
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
image=/scratch/disk.vhdx
mkdir -p mnt
cycles=50
[ "$VM_KERNEL" = 6.12 ] || cycles=10

new_image() {
	rm -f "$1"
	qemu-img create -q -f vhdx -o block_size=1M "$1" 32M
}

# gone: the disk, soon, and its image is clean
gone() {
	for _ in $(seq 300); do
		[ -e "/sys/block/$disk" ] || [ -e "$dev" ] || ! is_clean $image || return 0
		sleep 0.1
	done
	return 1
}

# busy PATTERN: it is not detached, and this is said
busy() {
	! vhdxctl detach --wait 0.2 "$dev" 2>/tmp/err && [ -b "$dev" ] && grep -qE "busy: $1" /tmp/err
}

# --- a file that is not written stays as it is -------------------------------------

new_image $image
attach $image && mke2fs -q -t ext4 "$dev" && mount "$dev" mnt && echo hello >mnt/hello && umount mnt && detach
ok 'an image with a file system' $?
sum=$(sha256sum $image)
# stays MOUNT-OPTIONS
stays() {
	attach $image && mount -o "$1" "$dev" mnt && [ "$(cat mnt/hello)" = hello ] && umount mnt && detach &&
		[ "$(sha256sum $image)" = "$sum" ]
	ok "mounted with $1, the image stays as it is" $?
}
stays ro
stays ro,noload
attach $image && sync "$dev" && blockdev --flushbufs "$dev" && detach && [ "$(sha256sum $image)" = "$sum" ]
ok 'a flush with nothing to flush neither' $?

# --- busy --------------------------------------------------------------------------

attach $image && mount "$dev" mnt && echo more >mnt/more
busy "$dev is mounted on /scratch/mnt"
ok 'mounted: busy' $?
echo yet more >mnt/more && sync -f mnt && umount mnt && detach && is_clean $image
ok 'unmounted: goes, clean' $?

modprobe -a dm_mod
attach $image && dmsetup create top --noudevsync --table "0 $(blockdev --getsz "$dev") linear $dev 0" 2>/tmp/err
started=$(date +%s)
! vhdxctl detach --wait-unmount 100 "$dev" 2>/tmp/err && grep -qE "busy: $dev is part of /dev/dm-" /tmp/err &&
	[ $(($(date +%s) - started)) -lt 50 ]
ok 'part of another device: --wait-unmount does not wait for long' $?
vhdxctl detach --wait-unmount 100 "$dev" 2>/tmp/err &
waiter=$!
sleep 1
dmsetup remove --noudevsync top && wait $waiter && [ ! -e "$dev" ] && is_clean $image
ok 'but for a moment it does' $?
attach $image && mount "$dev" mnt
vhdxctl detach --wait-unmount 100 "$dev" 2>/tmp/err &
waiter=$!
sleep 8
kill -0 $waiter && umount mnt && wait $waiter && [ ! -e "$dev" ] && is_clean $image
ok 'and for the unmount' $?

attach $image
fio --name=job --filename="$dev" --ioengine=libaio --direct=1 --rw=randwrite --bs=16k --iodepth=4 --randseed=1 \
	--size=8M --loops=20 --rate_iops=200 >/tmp/fio 2>&1 &
fio=$!
until [ "$(cut -c1-200 "/sys/block/$disk/stat" | awk '{ print $5 }')" -gt 20 ]; do sleep 0.1; done
busy "$dev is open in process [0-9]+ \(fio\)"
ok 'writes in flight: busy' $?
! modprobe -r vhdx 2>/tmp/err && [ -d /sys/module/vhdx ]
ok 'and the module stays' $?
kill -INT $fio
wait $fio
detach && is_clean $image
ok 'when they are over it goes, clean' $?

# --- lazy, autoclear ---------------------------------------------------------------

last_write() {
	yes "$1" | head -c 1M >/tmp/last
	dd if=/tmp/last of="$dev" bs=1M seek=20 conv=notrunc oflag=direct status=none 2>/tmp/err
}

new_image $image
attach $image
mke2fs -q -t ext4 "$dev" 4M 2>/tmp/err
exec 3<>"$dev"
vhdxctl detach --lazy "$dev" 2>/tmp/err && [ -b "$dev" ] && last_write lazy
ok 'lazy: the disk works on while it is open' $?
exec 3<&-
gone
ok 'lazy: it goes with the last close, clean' $?
attach $image && dd if="$dev" bs=1M skip=20 count=1 iflag=direct status=none | cmp - /tmp/last 2>/tmp/err
ok 'lazy: what was written last is there' $?
mount "$dev" mnt
vhdxctl detach -l "$dev" && head -c 1M /dev/urandom >mnt/noise && sum=$(sha256sum <mnt/noise) && umount mnt
gone
ok 'lazy: it goes with the unmount, clean' $?
attach $image --autoclear && [ -b "$dev" ] && head -c 1M "$dev" >/dev/null && [ -b "$dev" ] &&
	mount "$dev" mnt && [ "$(sha256sum <mnt/noise)" = "$sum" ] && head -c 1M /dev/urandom >mnt/noise
ok 'autoclear: what was written before is there' $?
sum=$(sha256sum <mnt/noise)
umount mnt
gone
ok 'autoclear: it goes with the unmount, clean' $?
attach $image -r && mount -o ro,noload "$dev" mnt && [ "$(sha256sum <mnt/noise)" = "$sum" ]
ok 'autoclear: what was written last is there' $?
umount mnt
detach

# --- a host that does not answer -----------------------------------------------------

mkdir -p host
modprobe -a dm_mod
make_host 96 && dmsetup create host --noudevsync --table "0 $(blockdev --getsz "$host") linear $host 0" 2>/tmp/err
slow=/dev/$(dmsetup info -c --noheadings -o blkdevname host)
mke2fs -q -t ext4 "$slow" 2>/tmp/err && mount "$slow" host && new_image host/slow.vhdx && attach host/slow.vhdx
ok 'a disk on a host of its own' $?
exec 3<>"$dev"
vhdxctl detach --lazy "$dev" && last_write slow && sync -f host && dmsetup suspend --nolockfs --noudevsync host
exec 3<&-
attach $image
exec 3<>"$dev"
vhdxctl detach --lazy "$dev" && last_write quick
exec 3<&-
gone
ok 'it holds up no other disk that goes with its last close' $?
dmsetup resume --noudevsync host
for _ in $(seq 300); do
	! attach host/slow.vhdx || break
	sleep 0.1
done
[ -b "$dev" ] && dd if="$dev" bs=1M skip=20 count=1 iflag=direct status=none | tr -d 'slow\n' | cmp - /dev/null 2>/tmp/err
ok 'and its own goes when it answers, with what was written' $?
detach
umount host && dmsetup remove --noudevsync host && remove_host

# --- who else may have it ----------------------------------------------------------

# refused IMAGE [OPTION]...: by the locks or, where they do not see it, by the driver
refused() {
	! vhdxctl attach "$@" >/tmp/out 2>/tmp/err && [ ! -s /tmp/out ] &&
		grep -qE 'it is attached as|already attached' /tmp/err
}

ln $image hard.vhdx
mkdir -p bound
mount --bind /scratch bound
attach $image
status=0
for other in $image hard.vhdx bound/disk.vhdx; do
	refused "$other" || status=1
	refused "$other" -r || status=1
done
ok 'attached for writing: refused by every name' $status
detach
attach $image -r
status=0
for other in $image hard.vhdx bound/disk.vhdx; do
	refused "$other" || status=1
done
ok 'attached read-only: refused for writing by every name' $status
first=$dev
attach bound/disk.vhdx -r && vhdxctl detach "$first" && refused hard.vhdx && detach
ok 'read-only twice' $?
umount bound
rm hard.vhdx
make_host 64 && dd if=$image of="$host" bs=1M conv=fsync status=none
mknod node b "$(stat -c 0x%t "$host")" "$(stat -c 0x%T "$host")"
attach "$host" && refused "$host" && refused "$host" -r && refused node
ok 'an image on a block device, by every name' $?
! mount "$host" mnt 2>/tmp/err && last_write block && detach && attach node && refused "$host" && detach
ok 'nobody mounts it meanwhile' $?
remove_host

# --- again and again ---------------------------------------------------------------

# By the tool: a new attach right after each detach.
new_image $image
status=0
for i in $(seq $cycles); do
	{ attach $image && last_write "$i" && detach; } || status=1
done
ok "attached, written, detached $cycles times" $status
is_clean $image && attach $image -r && dd if="$dev" of=/tmp/seen bs=1M skip=20 count=1 status=none &&
	cmp /tmp/seen /tmp/last 2>/tmp/err && detach
ok 'clean, with what was written last' $?

# Faster.
rawctl rewrite $image 200 2>/tmp/err && is_clean $image
ok 'attached, compared, written, flushed, detached 200 times' $?
pids=
for i in 1 2 3 4; do
	new_image "/scratch/p$i.vhdx"
	rawctl rewrite "/scratch/p$i.vhdx" 100 2>"/tmp/err$i" &
	pids="$pids $!"
done
# shellcheck disable=SC2086 # numbers
all_well $pids
ok 'four images at once, 100 times each' $?
status=0
for i in 1 2 3 4; do
	is_clean "/scratch/p$i.vhdx" || status=1
	vhdxctl attach "/scratch/p$i.vhdx" >/tmp/out || status=1
done
ok 'all clean' $status
vhdxctl detach --all 2>/tmp/err && [ -z "$(vhdxctl list -n)" ]
ok 'all detached' $?
modprobe -r vhdx 2>/tmp/err && modprobe vhdx 2>/tmp/err
ok 'the module goes and comes' $?

finish
