#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Images on file systems of all kinds: with holes and without, copy on write, in memory,
# of Windows, in userspace, over the network. What is written is there, for other readers
# and in a child too, and the file system has nothing to complain of. Prints TAP.
# long: 6.12
# also: 6.1
# vm: -m 640 -x build/mkvhdx
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
raw=/scratch/disk.raw
ops=20
on_server=no
whole=no
mkdir -p host lower served mnt
modprobe -aq xfs btrfs vfat ntfs3 ntfs fuse overlay
make_host 320

# images NAME: an image and a child of it
images() {
	rm -f host/disk.vhdx host/child.vhdx $raw
	image=host/disk.vhdx
	vhdxctl create -s 40M -b 1M $image >/tmp/err 2>&1
	ok "$1: create" $?
	mixed "$1" 3 others
	if [ $whole = yes ]; then
		[ $(($(stat -c '%b * %B' $image))) -ge "$(stat -c %s $image)" ]
		ok "$1: no sparse file" $?
		mkvhdx --bad log-shorter-than-last row && cat row >host/short.vhdx && attach host/short.vhdx && detach &&
			[ "$(stat -c %s host/short.vhdx)" -gt "$(stat -c %s row)" ] &&
			[ $(($(stat -c '%b * %B' host/short.vhdx))) -ge "$(stat -c %s host/short.vhdx)" ]
		ok "$1: nor one that a log makes longer" $?
		rm -f row host/short.vhdx
	fi
	vhdxctl create --parent $image host/child.vhdx >/tmp/err 2>&1
	ok "$1: create --parent" $?
	image=host/child.vhdx
	mixed "$1, a child" 4 none
	vhdxctl convert -O raw $image /scratch/seen >/tmp/err 2>&1 && cmp /scratch/seen $raw >/tmp/err 2>&1
	ok "$1, a child: the tool reads the same" $?
	rm -f /scratch/seen
}

# on NAME MOUNT-ARG...: on a file system that was just made on $host
on() {
	on_name=$1
	shift
	if ! "$@" >/tmp/err 2>&1; then
		ok "$on_name: mounted" 1
		return
	fi
	images "$on_name"
	[ "$on_server" = no ] || mounted "$on_name"
	umount host
	ok "$on_name: unmounted" $?
}

# mounted NAME: a file system in an image, from there and by the tool
mounted() {
	vhdxctl create -s 40M host/mounted.vhdx >/tmp/err 2>&1 && attach host/mounted.vhdx && mke2fs -q -t ext4 "$dev" 2>/tmp/err && detach
	ok "$1: a file system in an image" $?
	vhdxctl mount host/mounted.vhdx mnt >/tmp/err 2>&1 && echo there >mnt/there && vhdxctl umount mnt >/tmp/err 2>&1
	ok "$1: mounted, written, unmounted" $?
	vhdxctl mount host/mounted.vhdx mnt >/tmp/err 2>&1 && cat /run/mount/utab >/tmp/err && grep -q "TARGET=$PWD/mnt .*OPTS=[^ ]*_netdev" /tmp/err
	ok "$1: systemd is told that it needs the network" $?
	vhdxctl umount mnt
	is_clean host/mounted.vhdx
	ok "$1: clean" $?
	rm host/mounted.vhdx
}

# knows TYPE: the kernel has it
knows() {
	grep -qw "$1" /proc/filesystems
}

mke2fs -q -F -t ext3 "$host" 2>/tmp/err
on 'ext3' mount -t ext4 "$host" host
e2fsck -fn "$host" >/tmp/err 2>&1
ok 'ext3: is whole' $?

mkfs.xfs -q -f "$host" >/tmp/err 2>&1
on 'XFS' mount "$host" host
xfs_repair -n "$host" >/tmp/err 2>&1
ok 'XFS: is whole' $?

for options in rw nodatacow compress-force=zstd; do
	mkfs.btrfs -q -f "$host" >/tmp/err 2>&1
	on "btrfs, $options" mount -o $options "$host" host
	# Not btrfs check: now and then it finds what this kernel counts wrong of its own.
	mount "$host" host && btrfs scrub start -Br host >/tmp/err 2>&1
	ok "btrfs, $options: all checksums are right" $?
	umount host
done

on 'tmpfs' mount -t tmpfs -o size=300M none host

mkfs.vfat "$host" >/tmp/err 2>&1
on 'FAT' mount -t vfat "$host" host

# Windows refuses an image that is a sparse file.
whole=yes
if knows ntfs3; then
	mkntfs -qQF "$host" >/tmp/err 2>&1
	on 'NTFS' mount -t ntfs3 "$host" host
else
	skip 'NTFS' 'not with this kernel'
fi

# Newer kernels have another one.
if knows ntfs && [ -d /sys/module/ntfs ]; then
	mkntfs -qQF "$host" >/tmp/err 2>&1
	on 'NTFS, the other driver' mount -i -t ntfs "$host" host
else
	skip 'NTFS, the other driver' 'not with this kernel'
fi
whole=no

mkntfs -qQF "$host" >/tmp/err 2>&1
on 'NTFS-3G' ntfs-3g "$host" host

mke2fs -q -F -t ext4 "$host" 2>/tmp/err
mount "$host" lower && mkdir lower/below lower/above lower/work
on 'overlay' mount -t overlay -o lowerdir=lower/below,upperdir=lower/above,workdir=lower/work none host

# --- over the network, served by this machine ----------------------------------------

umount lower && mount "$host" served && ip link set lo up && modprobe -a nfsd nfs nfsv3 nfsv4 cifs ksmbd
ok 'a server' $?
mount -t nfsd none /proc/fs/nfsd
mount -t tmpfs none /var/lib/nfs
mkdir -p /var/lib/nfs/v4recovery /run/rpcbind /run/ksmbd
: >/var/lib/nfs/etab
: >/var/lib/nfs/rmtab
# Who had locks before may claim them first, for a while.
printf 1 >/sys/module/lockd/parameters/nlm_grace_period
rpcbind -w >/tmp/err 2>&1 && exportfs -o rw,no_root_squash,insecure 127.0.0.1:/scratch/served >/tmp/err 2>&1 &&
	rpc.mountd >/tmp/err 2>&1 && rpc.nfsd 2 >/tmp/err 2>&1 && echo Y >/proc/fs/nfsd/v4_end_grace
ok 'a server of NFS' $?
on_server=yes
on 'NFS 4.2' mount -t nfs -o vers=4.2 127.0.0.1:/scratch/served host
on 'NFS 3' mount -t nfs -o vers=3,nolock 127.0.0.1:/scratch/served host

cat >/run/smb.conf <<'CONF'
[global]
guest account = root
map to guest = bad user
[served]
path = /scratch/served
guest ok = yes
writeable = yes
force user = root
CONF
: >/run/users
ksmbd.mountd -c /run/smb.conf -u /run/users >/tmp/err 2>&1
ok 'a server of SMB' $?
# It may not listen yet.
for _ in $(seq 300); do
	! mount -t cifs -o guest //127.0.0.1/served host 2>/dev/null || break
	sleep 0.1
done
on 'SMB' mountpoint -q host
ksmbd.control -s >/tmp/err 2>&1
rpc.nfsd 0 && exportfs -ua && umount served
ok 'the server ends' $?

finish
