#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl merge: chains into each of their images, compared byte by byte before and
# after, the merged one by QEMU's tools and the other readers too; what is refused,
# and what ends it before its time. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
make -s -C "$top" build/mkvhdx build/vhdxctl >&2 || exit 1
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"
PATH=$top/build:$PATH

# shows IMAGE RAW: what a guest reads of it, with its parents
shows() { ./vhdxctl convert -O raw "$1" - 2>>why | cmp - "$2" >>why 2>&1; }

# alone IMAGE RAW: the same of one without a parent, by the other readers as well
alone() {
	shows "$1" "$2" && qemu-img check -q -f vhdx "$1" >>why 2>&1 &&
		qemu-img compare -q -f vhdx -F raw "$1" "$2" >>why 2>&1 &&
		7zz x -so -tvhdx "$1" 2>>why | cmp - "$2" >>why 2>&1
}

# clean IMAGE: nothing is wrong with it and its parents but space that leaked
clean() {
	./vhdxctl check -q --chain "$1" >>why 2>&1
	case $? in 0 | 3) ;; *) return 1 ;; esac
}

# chain SEED [OPTION]...: c/0.vhdx to c/3.vhdx, c.raw is what the last one shows
chain() {
	chain_seed=$1
	shift
	rm -rf c c.raw why
	mkdir c
	mkvhdx --chain 3 --plain --size 64M --seed "$chain_seed" "$@" c &&
		./vhdxctl convert -O raw c/3.vhdx c.raw 2>>why
}

why() {
	echo "exit code ${rc-}, stdout:"
	head -n 20 out
	echo "stderr:"
	head -n 20 err
	echo "and:"
	head -n 20 why
}
touch out err why

# --- one step after the other, down to the last ------------------------------------

for seed in $(some 2 1 2 3 4); do
	# QEMU reads no sectors of 4 KiB.
	sector=512 reader=alone
	[ $((seed % 2)) = 1 ] || sector=4096 reader=shows
	bad=0
	chain "$seed" --sector $sector || bad=1
	for i in 3 2 1; do
		ctl merge c/$i.vhdx
		[ "$rc" = 0 ] && [ ! -s err ] &&
			grep -qxE "[0-9.]+ ([KM]iB|bytes) merged into .*/c/$((i - 1)).vhdx" out &&
			shows c/3.vhdx c.raw && shows c/$((i - 1)).vhdx c.raw && clean c/3.vhdx || bad=1
	done
	$reader c/0.vhdx c.raw || bad=1
	ok "a chain of four, step by step, sectors of $sector, seed $seed" $bad
done

# --- all at once ----------------------------------------------------------------------

for seed in $(some 2 5 6 7 8); do
	chain "$seed"
	passes "all of them into the last, seed $seed" 'merged into .*/c/0.vhdx$' \
		merge --into c/0.vhdx c/3.vhdx
	shows c/3.vhdx c.raw && alone c/0.vhdx c.raw && clean c/3.vhdx
	ok 'the chain shows the same, and so does that one, to all readers' $?
	before=$(sha256sum c/0.vhdx)
	ctl merge --quiet --into c/0.vhdx c/3.vhdx
	[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ] && shows c/3.vhdx c.raw && alone c/0.vhdx c.raw
	ok 'and once more, without a word' $?
done

chain 9
passes 'into one in the middle' 'merged into .*/c/1.vhdx$' merge --into c/1.vhdx c/3.vhdx
shows c/3.vhdx c.raw && shows c/1.vhdx c.raw && clean c/3.vhdx
ok 'the chain shows the same, and so does that one' $?
./vhdxctl dump locator c/2.vhdx >out 2>err && grep -q parent_linkage out && ! grep -q parent_linkage2 out
ok 'the link is as that of any child' $?

chain 10
before=$(sha256sum c/*)
passes 'what it would be' '^[0-9.]+ ([KM]iB|bytes) would be merged into .*/c/0.vhdx$' \
	merge -n --into c/0.vhdx c/3.vhdx
[ "$before" = "$(sha256sum c/*)" ]
ok 'nothing has changed' $?

passes 'and without them' 'merged into .*/c/0.vhdx$' merge --delete --into c/0.vhdx c/3.vhdx
[ "$(echo c/*)" = c/0.vhdx ] && alone c/0.vhdx c.raw && clean c/0.vhdx
ok 'only that one is left' $?

# A child of an image between, that its folder does not know of: it must not take it for
# what it was.
chain 12
mkdir elsewhere
./vhdxctl create --parent c/1.vhdx elsewhere/other.vhdx >out
./vhdxctl create --parent c/2.vhdx elsewhere/another.vhdx >out
clean elsewhere/other.vhdx && clean elsewhere/another.vhdx
ok 'two more children, elsewhere' $?
passes 'past their parents' 'merged into .*/c/0.vhdx$' merge --into c/0.vhdx c/3.vhdx
shows c/3.vhdx c.raw && alone c/0.vhdx c.raw && clean c/3.vhdx && clean c/2.vhdx
ok 'the chain shows the same' $?
for file in other another; do
	fails "$file child sees that its parent is another" 1 'does not match' convert elsewhere/$file.vhdx x.vhdx
done
rm -r elsewhere

# What its parent is may change while somebody else has that one.
chain 13
./vhdxctl create -s 64M -b "$(./vhdxctl info --json c/0.vhdx | sed -n 's/.*"block-size": \([0-9]*\).*/\1/p' | head -n 1)" \
	c/new.vhdx >out
if [ "$(id -u)" = 0 ] && unshare -p -f --mount-proc true 2>err; then
	python3 -c 'import fcntl, os, struct, time
fd = os.open("c/0.vhdx", os.O_RDWR)
for byte in 100, 101, 103, 201, 203:
    fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, byte, 1, 0))
open("held", "w").close()
time.sleep(2)
new = open("c/new.vhdx", "rb").read()
os.pwrite(fd, new, 0)
os.ftruncate(fd, len(new))' &
	until [ -e held ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
	before=$(sha256sum c/1.vhdx)
	# Whom it does not see it waits for.
	unshare -p -f --mount-proc ./vhdxctl merge c/1.vhdx >out 2>err
	rc=$?
	wait
	[ "$rc" = 1 ] && grep -q 'the parent is another image or was changed' err && [ "$before" = "$(sha256sum c/1.vhdx)" ]
	ok 'who has become another image is no parent any more' $?
	rm -f held
else
	skip 'a parent that changes' 'not root'
fi

# What has the image on it is not the image.
chain 14
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show c/1.vhdx 2>/dev/null); then
	fails '--delete of a block device' 64 "$loop: merge: --delete is for files" \
		merge --delete --parent c/0.vhdx "$loop"
	[ -b "$loop" ]
	ok 'which is still there' $?
	losetup -d "$loop"
else
	skip '--delete of a block device' 'not root, or no loop devices'
fi

# A link to the child is not the child.
chain 11
ln -s c/3.vhdx link.vhdx
passes 'by a symbolic link' 'merged into .*/c/2.vhdx$' merge --delete link.vhdx
[ ! -e c/3.vhdx ] && shows c/2.vhdx c.raw
ok 'which is not what is removed' $?

# --- what a child is for: a disk is tried, and kept ---------------------------------------

truncate -s 24M raw
noise 1 3000 | dd of=raw bs=64k seek=5 conv=notrunc iflag=fullblock status=none
for type in dynamic fixed; do
	rm -f base.vhdx child.vhdx
	ctl create --from raw -t $type -b 2M base.vhdx
	mkvhdx --size 24M --block 1M --blocks 0:2,1:7,5,9:2,10:2,23 --seed 8 --differencing \
		--parent '.\base.vhdx' child.vhdx
	# Its parent is another one: who it is, is written where the locator has it.
	guid=$(./vhdxctl info --json base.vhdx | sed -n 's/.*"data-write-guid": "\(.*\)".*/\1/p' | head -n 1)
	python3 -c 'import sys
data = open("child.vhdx", "rb").read()
old = "da7a0001-1111-4222-8333-444455556666".encode("utf-16-le")
assert data.count(old) == 1
open("child.vhdx", "wb").write(data.replace(old, sys.argv[1].encode("utf-16-le")))' "$guid"
	rm -f want.raw
	./vhdxctl convert -O raw child.vhdx want.raw 2>err
	size=$(stat -c %s base.vhdx)
	passes "into a $type one" 'merged into .*/base.vhdx$' merge child.vhdx
	shows child.vhdx want.raw && alone base.vhdx want.raw && clean child.vhdx
	ok 'all readers see what the child was' $?
	[ $type = dynamic ] || [ "$(stat -c %s base.vhdx)" -ge "$size" ]
	ok 'and a fixed one keeps its length' $?
done

# --- disks of other sizes ----------------------------------------------------------------

# disk_size IMAGE: bytes
disk_size() {
	./vhdxctl info --json "$1" | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p' | head -n 1
}

# sizes PARENT CHILD [OPTION]...: s/child.vhdx, s.raw is what it shows, above s/parent.vhdx
sizes() {
	sizes_parent=$1 sizes_child=$2
	shift 2
	rm -rf s s.raw why
	mkdir s
	mkvhdx --size "$sizes_parent" --block 1M "$@" s/parent.vhdx &&
		mkvhdx --size "$sizes_child" --block 2M --blocks 0:7,1,9:7,10:2 --seed 3 --differencing s/child.vhdx &&
		./vhdxctl convert -O raw s/child.vhdx s.raw 2>>why
}

sizes 32M $((48 << 20)) --blocks 1,2,31
before=$(sha256sum s/*)
passes 'into a smaller disk: what it would be' \
	'^its disk would get the size of the other: 48 MiB \(50331648 bytes\)$' merge -n s/child.vhdx
[ "$before" = "$(sha256sum s/*)" ]
ok 'nothing has changed' $?
passes 'and that' '^its disk has got the size of the other: 48 MiB \(50331648 bytes\)$' merge s/child.vhdx
[ "$(disk_size s/parent.vhdx)" = 50331648 ] && shows s/child.vhdx s.raw && alone s/parent.vhdx s.raw &&
	clean s/child.vhdx
ok 'it has grown, and shows what the child does, to all readers' $?
passes 'once more' 'merged into .*/s/parent.vhdx$' merge s/child.vhdx
! grep -q 'its disk' out && shows s/child.vhdx s.raw && alone s/parent.vhdx s.raw
ok 'shows the same, and the sizes are no matter any more' $?

sizes 48M $(((20 << 20) + 4096)) --blocks 1,2,20,21,40
passes 'into a larger disk' '^its disk has got the size of the other: ' merge s/child.vhdx
[ "$(disk_size s/parent.vhdx)" = 20975616 ] && shows s/child.vhdx s.raw && alone s/parent.vhdx s.raw &&
	clean s/child.vhdx
ok 'it has shrunk, and shows what the child does, to all readers' $?
truncate -s 48M s.raw
./vhdxctl resize -q --allow-parent-write s/parent.vhdx 48M 2>err && alone s/parent.vhdx s.raw
ok 'what was behind the new end does not come back' $?

for parent in 24M 40M; do
	sizes $parent 32M --fixed --state 6
	ctl merge --delete -q s/child.vhdx
	[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ] && [ "$(echo s/*)" = s/parent.vhdx ] &&
		[ "$(disk_size s/parent.vhdx)" = 33554432 ] && alone s/parent.vhdx s.raw && clean s/parent.vhdx
	ok "into a fixed one of $parent, without a word" $?
done

for seed in $(some 2 20 21 22 23); do
	rm -rf c c.raw why
	mkdir c
	mkvhdx --chain 3 --size 64M --seed "$seed" c && ./vhdxctl convert -O raw c/3.vhdx c.raw 2>>why
	ctl merge --into c/0.vhdx c/3.vhdx
	[ "$rc" = 0 ] && [ "$(disk_size c/0.vhdx)" = $((64 << 20)) ] && shows c/3.vhdx c.raw &&
		alone c/0.vhdx c.raw && clean c/3.vhdx
	ok "a chain of four sizes, seed $seed" $?
done

sizes 32M 48M --blocks 1,2,31
./vhdxctl create --parent s/child.vhdx s/top.vhdx >out 2>err && ./vhdxctl resize -q s/top.vhdx 64M 2>err &&
	./vhdxctl resize -q --allow-parent-write --shrink --force s/child.vhdx 16M 2>err &&
	./vhdxctl set --ignore-id-mismatch --parent s/child.vhdx s/top.vhdx >out 2>err
before=$(sha256sum s/*)
fails 'into one that is smaller than its own parent' 1 \
	's/child.vhdx: cannot be merged into: its disk would have to grow, and that of its parent .*s/parent.vhdx is larger$' \
	merge s/top.vhdx
[ "$before" = "$(sha256sum s/*)" ]
ok 'nothing has changed' $?
passes 'and into that one' 'merged into .*/s/parent.vhdx$' merge --into s/parent.vhdx s/top.vhdx
[ "$(disk_size s/parent.vhdx)" = $((64 << 20)) ]
ok 'which gets its size' $?

# --- what it refuses -------------------------------------------------------------------------

chain 12
before=$(sha256sum c/*)
fails 'an image without a parent' 1 'c/0.vhdx: cannot be merged: it has no parent' merge c/0.vhdx
fails 'into one that is none of its parents' 1 'raw: cannot be merged into: it is no parent of c/3.vhdx' \
	merge --into raw c/3.vhdx
fails 'into itself' 1 'c/3.vhdx: cannot be merged into: it is no parent' merge --into c/3.vhdx c/3.vhdx
fails 'into what is not there' 66 'none: cannot open' merge --into none c/3.vhdx
fails 'no such file' 66 'none.vhdx: cannot open' merge none.vhdx
fails 'no image' 1 'raw: .*not a VHDX file' merge raw
mv c/1.vhdx elsewhere.vhdx
fails 'a parent is missing' 66 'cannot be merged: its parent is missing' merge c/3.vhdx
mv elsewhere.vhdx c/1.vhdx
qemu_has -r c/0.vhdx
fails 'the one that is merged into is in use' 75 'c/0.vhdx: cannot be merged while it is in use' \
	merge --into c/0.vhdx c/3.vhdx
qemu_lets_go
qemu_has '' c/0.vhdx
fails 'a parent of that is written to' 75 'c/0.vhdx: cannot be merged while it is written to' merge c/3.vhdx
qemu_lets_go
exec 5>>c/2.vhdx
fails 'somebody has what is merged into open for writing' 75 'c/2.vhdx: cannot be merged while it is in use' merge c/3.vhdx
exec 5>&-
exec 5>>c/3.vhdx
fails 'or the image itself' 75 'c/3.vhdx: cannot be merged while it is in use' merge c/3.vhdx
exec 5>&-
[ "$before" = "$(sha256sum c/*)" ]
ok 'nothing has changed' $?

./vhdxctl create --parent c/2.vhdx c/other.vhdx >out 2>err
before=$(sha256sum c/*)
fails 'another child' 1 'c/2.vhdx: cannot be merged: it is the parent of .*/c/other.vhdx' merge c/3.vhdx
fails 'and that of one between' 1 'c/2.vhdx: cannot be merged: it is the parent of .*/c/other.vhdx' \
	merge --into c/1.vhdx c/3.vhdx
fails 'a child of what is to be removed' 1 'c/2.vhdx: cannot be merged: it is the parent of' \
	merge --delete c/2.vhdx
[ "$before" = "$(sha256sum c/*)" ]
ok 'nothing has changed' $?
passes 'all the same' 'merged into .*/c/2.vhdx$' merge --allow-parent-write c/3.vhdx
shows c/3.vhdx c.raw && shows c/2.vhdx c.raw
ok 'the chain shows the same' $?

# add_item IMAGE FLAGS KIB: an item of a user
add_item() {
	python3 - "$@" <<'PYTHON'
import struct, sys
file = open(sys.argv[1], 'r+b')
file.seek(192 << 10)
table = file.read(64 << 10)
region = next(struct.unpack_from('<QI', table, at + 16) for at in range(16, 2048, 32)
              if table[at:at + 4] == bytes.fromhex('06a27c8b'))[0]
file.seek(region)
table = bytearray(file.read(64 << 10))
count = struct.unpack_from('<H', table, 10)[0]
end = max(sum(struct.unpack_from('<II', table, 32 + 32 * i + 16)) for i in range(count))
struct.pack_into('<16sIII', table, 32 + 32 * count, b'%16s' % sys.argv[2].encode(), end + 7 & ~7,
                 int(sys.argv[3]) << 10, int(sys.argv[2]))
struct.pack_into('<H', table, 10, count + 1)
file.seek(region)
file.write(table)
PYTHON
}

# Its own item (IsUser) leaves no room for that of the disk (IsVirtualDisk too).
chain 13
add_item c/2.vhdx 1 600
add_item c/3.vhdx 3 500
before=$(sha256sum c/*)
fails 'no room for an item of the disk' 1 'c/2.vhdx: metadata table .*cannot be put there' merge c/3.vhdx
fails 'which a dry run says too' 1 'c/2.vhdx: metadata table .*cannot be put there' merge -n c/3.vhdx
[ "$before" = "$(sha256sum c/*)" ]
ok 'nothing has changed' $?
passes 'into one with room for it' 'merged into .*/c/1.vhdx$' merge --into c/1.vhdx c/3.vhdx
shows c/3.vhdx c.raw && shows c/1.vhdx c.raw
ok 'the chain shows the same' $?

# --- what ends it ---------------------------------------------------------------------------------

if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=8M none small 2>/dev/null; then
	mkvhdx --size 24M --block 1M --blocks 1,2 --data 4096 small/parent.vhdx
	mkvhdx --size 24M --block 1M --blocks 3,4,5,6,7,8,9,10:7 --seed 3 --differencing small.vhdx
	./vhdxctl convert --parent small/parent.vhdx -O raw small.vhdx small.raw 2>err
	dd if=/dev/zero of=small/rest bs=1M count=4 2>/dev/null
	fails 'a full host' 1 'small/parent.vhdx: cannot be merged into: No space left' \
		merge --parent small/parent.vhdx small.vhdx
	./vhdxctl convert --parent small/parent.vhdx -O raw small.vhdx - 2>>why | cmp - small.raw >>why 2>&1
	ok 'the chain shows the same' $?
	rm small/rest
	mount -o remount,size=32M small
	passes 'with room' 'merged into small/parent.vhdx$' merge --parent small/parent.vhdx small.vhdx
	alone small/parent.vhdx small.raw
	ok 'the same command has carried it on' $?
	umount small
else
	skip 'a full host' 'not root'
fi

# The signal may come before it has begun or when it is over, and then at another time.
rm -rf b
mkdir b
blocks=$(seq -s , 0 400)
mkvhdx --size 1G --block 1M --blocks 1,3 --data 4096 b/parent.vhdx
mkvhdx --size 1G --block 1M --blocks "$blocks" --data 65536 --seed 9 --differencing b/child.vhdx
./vhdxctl convert -O raw b/child.vhdx b.raw 2>err
stopped=0
bad=0
for delay in 0.05 0.1 0.15 0.2 0.3 0.4 0.5 0.7 1 1.5 2 3; do
	rm -rf t
	cp -r --sparse=always b t
	./vhdxctl merge t/child.vhdx >out 2>err &
	pid=$!
	sleep $delay
	kill $pid 2>/dev/null
	wait $pid
	rc=$?
	if grep -q '^vhdxctl: t/child.vhdx: interrupted: it is not merged yet' err; then
		[ $rc = 143 ] || bad=1
		stopped=1
	fi
	shows t/child.vhdx b.raw || bad=1
	[ $stopped = 0 ] || break
done
[ $bad = 0 ] && [ $stopped = 1 ]
ok 'stopped by a signal' $?
passes 'carried on' 'merged into .*/t/parent.vhdx$' merge t/child.vhdx
shows t/child.vhdx b.raw && shows t/parent.vhdx b.raw && clean t/child.vhdx
ok 'the chain shows the same' $?

finish
