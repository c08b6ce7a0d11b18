#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Children that are written to: what is written is there, all else is the parent's,
# and the parent stays as it is. Prints TAP.
# long: 6.12
# also: 6.1 debug
# vm: -m 3072 -x build/mkvhdx $(test -d ../shared/images && echo -f ../shared/images)
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"
raw=/scratch/disk.raw ops=60 base_mib=96
[ "$VM_KERNEL" != debug ] || ops=20 base_mib=40
# shellcheck source=tests/vm/lib/guest/chain.sh
. "$VM_LIB/chain.sh"

cd /scratch || exit 1

# reads_same IMAGE RAW: 7-Zip, which follows the chain, and our own information
reads_same() {
	[ "$(vhdxctl info --json "$1" 2>/tmp/err | jq -r .log.state)" = clean ] || return 1
	7zz x -tVHDX -so "$1" 2>/tmp/err | cmp - "$2" >>/tmp/err 2>&1
}

# --- nothing written -----------------------------------------------------------------

if [ -d "$OLDPWD/images" ]; then
	for name in parent child; do
		xz -dc "$OLDPWD/images/$name.vhdx.xz" >$name.vhdx
	done
	before=$(hashes parent.vhdx child.vhdx)
	attach child.vhdx
	ok 'a real child: attaches for writing' $?
	[ "$(cat "/sys/block/$disk/ro")" = 0 ] && blkid "$dev" >/dev/null 2>&1
	dd if="$dev" of=/dev/null bs=1M iflag=direct status=none
	ok 'a real child: read' $?
	detach && [ "$(hashes parent.vhdx child.vhdx)" = "$before" ]
	ok 'a real child: both files as they were' $?
	rm parent.vhdx child.vhdx
fi

# --- a chain that is written to at each level, against a raw copy ----------------------

chain small $base_mib 1 2M 4M 512
reads_same chain/top.avhdx $raw && reads_same chain/child.avhdx child.raw
ok 'small: another reader agrees' $?
chain 'sectors of 4096' 40 11 1M 32M 4096
chain buffered 40 21 2M 1M 512 --direct-io=off
reads_same chain/top.avhdx $raw
ok 'buffered: another reader agrees' $?
if [ "$VM_KERNEL" = 6.12 ]; then
	chain 'blocks of 256 MiB' 600 41 256M 256M 512
fi
rm -rf chain base.raw child.raw

# --- many at once ----------------------------------------------------------------------

dd if=/dev/urandom of=$raw bs=1M count=64 status=none
qemu-img convert -f raw -O vhdx -o subformat=dynamic,block_size=1M $raw base.vhdx
vhdxctl create --parent base.vhdx child.avhdx >/tmp/err 2>&1
ok 'a child of a full disk' $?
# fio_on: 8 jobs, each with a part of the disk and holes in what it writes
fio_on() {
	fio --name=job --filename="$dev" --ioengine=libaio --direct=1 --numjobs=8 --iodepth=4 \
		--size=4m --offset_increment=8m --rw=randwrite --bsrange=512-16k --bs_unaligned=0 \
		--io_size=2m --randseed=5 --verify=crc32c --verify_fatal=1 --fsync=50 \
		--group_reporting >/tmp/err 2>&1
}
attach child.avhdx && fio_on
ok 'fio finds what it wrote' $?
dd if="$dev" of=seen.raw bs=1M iflag=direct status=none
detach
attach child.avhdx -r && cmp "$dev" seen.raw >/tmp/err 2>&1
ok 'and so it is when attached again' $?
detach
same=0
for part in 0 1 2 3 4 5 6 7; do
	cmp -n $((4 << 20)) -i $((part * 8 + 4 << 20)) seen.raw $raw >/tmp/err 2>&1 || same=1
done
ok 'what nobody wrote to is the parent'\''s' $same
reads_same child.avhdx seen.raw
ok 'another reader agrees' $?
rm -f seen.raw child.avhdx

# race SECTOR BLOCK SEED: writers, discards and the taking away of bitmaps
race_ops=1500
[ "$VM_KERNEL" != debug ] || race_ops=300
race() {
	vhdxctl create -s 24M -b 1M -S "$1" below.vhdx >/tmp/err 2>&1
	attach below.vhdx && dd if="$raw" of="$dev" bs=1M count=20 oflag=direct conv=notrunc status=none
	dd if="$dev" of=below.raw bs=1M status=none
	detach && vhdxctl create --parent below.vhdx -b "$2" race.avhdx >/tmp/err 2>&1
	ok "race, sectors of $1, blocks of $2: a child" $?
	attach race.avhdx
	python3 "$VM_LIB/race.py" "$3" $race_ops "$dev" below.raw 2>/tmp/err
	ok 'each sector is what it must be' $?
	dd if="$dev" of=seen.raw bs=1M iflag=direct status=none
	detach && reads_same race.avhdx seen.raw
	ok 'another reader agrees' $?
	rm -f seen.raw race.avhdx below.vhdx below.raw
}
race 512 1M 1
race 4096 2M 2

# A small write copies nothing: the file grows by its space and its bits. The next one
# has zeros put around it, for those that follow.
vhdxctl create --parent base.vhdx child.avhdx >/tmp/err 2>&1
attach child.avhdx
written() { awk '{ print $7 }' "/sys/block/${SCRATCH_DEV#/dev/}/stat"; }
for seek in 100 200 202; do
	before=$(written)
	dd if=/dev/zero of="$dev" bs=4k count=1 seek=$seek oflag=direct conv=notrunc status=none
	after=$(written)
	echo $((after - before))
done >/tmp/sectors
echo "# sectors written below: $(paste -sd ' ' /tmp/sectors)"
[ "$(sed -n 1p /tmp/sectors)" -lt 1024 ]
ok 'a small write copies no block up' $?
[ "$(sed -n 2p /tmp/sectors)" -ge 256 ] && [ "$(sed -n 2p /tmp/sectors)" -lt 1024 ]
ok 'the second one to a block zeroes what is around it' $?
[ "$(sed -n 3p /tmp/sectors)" -lt 256 ]
ok 'which is not done again' $?
detach
rm -f child.avhdx base.vhdx

# --- file systems ----------------------------------------------------------------------

vhdxctl create -s 320M base.vhdx >/tmp/err 2>&1
attach base.vhdx && mke2fs -q -t ext4 "$dev" && mkdir -p mnt && mount "$dev" mnt &&
	cp -a /usr/bin mnt/ 2>/tmp/err
umount mnt
detach
ok 'a base with files' $?
vhdxctl create --parent base.vhdx child.avhdx >/tmp/err 2>&1
attach child.avhdx && mount "$dev" mnt && cp -a /usr/lib/x86_64-linux-gnu/gconv mnt/new 2>/tmp/err
find mnt/bin -name '*a*' -exec rm -f {} +
fstrim mnt
diff -r /usr/lib/x86_64-linux-gnu/gconv mnt/new >/tmp/err 2>&1
ok 'a child: written and trimmed' $?
umount mnt && detach
attach child.avhdx && e2fsck -fn "$dev" >/tmp/err 2>&1
ok 'a child: e2fsck finds nothing' $?
mount -o ro "$dev" mnt && diff -r /usr/lib/x86_64-linux-gnu/gconv mnt/new >/tmp/err 2>&1
ok 'a child: its files' $?
umount mnt && detach
attach -r base.vhdx && e2fsck -fn "$dev" >/tmp/err 2>&1 && mount -o ro "$dev" mnt && [ ! -e mnt/new ]
ok 'the parent is as it was' $?
umount mnt && detach

finish
