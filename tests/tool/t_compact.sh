#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl compact of images that are not attached: what they are shorter by, that
# nobody reads anything else than before, QEMU's tools and the other readers
# included, and what ends it before its time. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
make -s -C "$top" build/mkvhdx build/vhdxctl >&2 || exit 1
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"
PATH=$top/build:$PATH

size_of() { stat -c %s "$1"; }

# reads_as FILE RAW: by our reader, QEMU's and 7zz
reads_as() {
	./vhdxctl convert -O raw "$1" - 2>err | cmp - "$2" >>err 2>&1 &&
		qemu-img check -q -f vhdx "$1" >>err 2>&1 &&
		qemu-img compare -q -f vhdx -F raw "$1" "$2" >>err 2>&1 &&
		7zz x -so -tvhdx "$1" 2>>err | cmp - "$2" >>err 2>&1
}

# clean FILE: nothing is wrong with it; a gap that no block fits into is not
clean() {
	./vhdxctl check -q "$1" >out 2>err
	case $? in 0 | 3) ;; *) return 1 ;; esac
}

# --- a disk whose guest has written zeros and given space back -------------------

truncate -s 64M raw
noise 1 64 | dd of=raw bs=64k conv=notrunc iflag=fullblock status=none
for mib in 9 21 30 44 63; do
	noise $mib 256 | dd of=raw bs=1M seek=$mib conv=notrunc iflag=fullblock status=none
done
ctl convert -b 1M raw old.vhdx
# The old content of these was zeroed by a guest that could not discard.
full=$(size_of old.vhdx)
for mib in 0 9 30; do
	dd if=/dev/zero of=raw bs=1M seek=$mib count=1 conv=notrunc status=none
done
# zero FILE MIB: zeros over a MiB of its disk, where that lies in the file
zero() {
	./vhdxctl map --json "$1" | python3 -c 'import json, sys
image, mib = sys.argv[1], int(sys.argv[2]) << 20
for e in json.load(sys.stdin)["extents"]:
    if e["start"] <= mib < e["start"] + e["length"] and "offset" in e:
        with open(image, "r+b") as f:
            f.seek(e["offset"] + mib - e["start"])
            f.write(bytes(1 << 20))
            sys.exit(0)
sys.exit(1)' "$1" "$2"
}
zero old.vhdx 0 && zero old.vhdx 9 && zero old.vhdx 30 && reads_as old.vhdx raw
ok 'an image with zeros in it' $?

cp old.vhdx a.vhdx
before=$(sha256sum a.vhdx)
passes 'what it would give back' '^3 MiB would be given back$' compact -n a.vhdx
[ "$before" = "$(sha256sum a.vhdx)" ]
ok 'nothing has changed' $?
passes 'compact' '^3 MiB given back$' compact a.vhdx
[ "$(size_of a.vhdx)" = $((full - (3 << 20))) ]
ok 'its file is so much shorter' $?
reads_as a.vhdx raw && clean a.vhdx
ok 'all readers see the same' $?
before=$(sha256sum a.vhdx)
passes 'compact again' '^0 bytes given back$' compact a.vhdx
[ "$before" = "$(sha256sum a.vhdx)" ]
ok 'changes nothing' $?
cp old.vhdx a.vhdx
ctl compact --quiet a.vhdx
[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ] && reads_as a.vhdx raw
ok 'and not a word with --quiet' $?

# The file ends with the disk, inside the last block, and a ZERO entry has an offset.
mkvhdx --size 15M --block 2M --blocks 0,1,2,7 --data 0 --seed 5 a.vhdx
poke a.vhdx $((0x200028)) '\002\000\100\000\000\000\000\000'
truncate -s -1M a.vhdx
full=$(size_of a.vhdx)
passes 'what gets longer' '^0 bytes given back$' compact a.vhdx
[ "$(size_of a.vhdx)" -gt "$full" ] && clean a.vhdx
ok 'all of its last block is there then' $?

# --- where Windows may look ---------------------------------------------------------

# It refuses an image that is a sparse file; a file system of ours says it is NTFS, of
# one driver or the other.
cat >ntfs.c <<-'C'
	#include <stdlib.h>
	#include <sys/syscall.h>
	#include <sys/vfs.h>
	#include <unistd.h>

	int fstatfs(int fd, struct statfs *fs)
	{
		int ret = syscall(SYS_fstatfs, fd, fs);

		fs->f_type = strtol(getenv("MAGIC"), NULL, 16);
		return ret;
	}
C
gcc -shared -fPIC -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -o ntfs.so ntfs.c
on_ntfs() { MAGIC=$magic ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 LD_PRELOAD=$work/ntfs.so ./vhdxctl "$@" >out 2>err; }

# has_holes FILE: it takes less space than its size
has_holes() { [ $(($(stat -c '%b * %B' "$1"))) -lt "$(size_of "$1")" ]; }

for magic in 7366746e 5346544e; do
	cp --sparse=never old.vhdx a.vhdx
	cp --sparse=never old.vhdx b.vhdx
	./vhdxctl compact -q a.vhdx && has_holes a.vhdx &&
		on_ntfs compact -q b.vhdx && ! has_holes b.vhdx && reads_as b.vhdx raw
	ok "no zeros of a moved block become a hole on NTFS, $magic" $?
	on_ntfs create -s 40M c.vhdx && ! has_holes c.vhdx && on_ntfs convert -q raw d.vhdx && ! has_holes d.vhdx &&
		reads_as d.vhdx raw
	ok "nor has a new image one, $magic" $?
	rm -f c.vhdx d.vhdx
done
mkvhdx --size 16M --block 1M --blocks 0,1,2,3,12,13,14,15 --shuffle --seed 6 --data 0 s.vhdx
cp --sparse=never s.vhdx a.vhdx
cp --sparse=never s.vhdx b.vhdx
./vhdxctl resize -q --shrink --force a.vhdx 10M && has_holes a.vhdx &&
	on_ntfs resize -q --shrink --force b.vhdx 10M && ! has_holes b.vhdx && clean b.vhdx
ok 'nor does what a smaller disk does not need' $?

# --- images of others, and every order of structures ------------------------------

qemu-img create -q -f vhdx -o block_size=1M q.vhdx 40M
qemu-io -f vhdx -c 'write -P 1 0 3M' -c 'write -P 0 8M 4M' -c 'write -P 2 30M 1M' \
	-c 'write -P 0 0 2M' q.vhdx >/dev/null 2>&1
qemu-img convert -f vhdx -O raw q.vhdx q.raw
passes "QEMU's" '^[0-9]+ MiB given back$' compact q.vhdx
json 'two blocks are left' 'j["bat"]["payload-states"]["fully-present"] == 2 and j["file-size"] == 6 << 20' \
	info --json q.vhdx
reads_as q.vhdx q.raw && clean q.vhdx
ok 'all readers see the same' $?
qemu-io -f vhdx -c 'write -P 3 20M 2M' q.vhdx >/dev/null 2>&1 &&
	dd if=/dev/zero bs=1M count=2 status=none | tr '\0' '\3' |
	dd of=q.raw bs=1M seek=20 conv=notrunc iflag=fullblock status=none && reads_as q.vhdx q.raw
ok 'and QEMU goes on writing' $?

bad=0
tried=0
for seed in $(some 3 1 2 3 4 5 6 7 8 9 10); do
	for block in 1M 2M 8M; do
		mkvhdx --size 96M --block $block --blocks 0,2:3,3,5:1,7,9:3,11 --data 64K --seed "$seed" \
			--shuffle s.vhdx
		rm -f s.raw
		./vhdxctl convert -O raw s.vhdx s.raw && said=$(./vhdxctl compact -n s.vhdx) &&
			[ "$(./vhdxctl compact s.vhdx)" = "${said%would be given back}given back" ] &&
			reads_as s.vhdx s.raw && clean s.vhdx && tried=$((tried + 1)) && continue
		bad=1
		echo "# seed $seed, blocks of $block"
		break 2
	done
done
! thorough || [ $tried = 30 ] || bad=1
[ $bad = 0 ] && [ $tried -ge 9 ]
ok "places drawn from seeds, $tried of them" $?

# 131041 blocks of a MiB have a full MiB of entries.
mkvhdx --size 24M --block 1M --blocks 0,1,2,3,20 --data 64K --seed 5 s.vhdx
rm -f s.raw
zero s.vhdx 1 && zero s.vhdx 3 && ./vhdxctl convert -O raw s.vhdx s.raw && ./vhdxctl resize -q s.vhdx 131042M
passes 'a BAT that is at the end' '^3 MiB given back$' compact s.vhdx
json 'lies further down' 'max(r["offset"] for r in j["regions"]) < 7 << 20 and j["file-size"] == 8 << 20' \
	info --json s.vhdx
clean s.vhdx && ./vhdxctl resize -q --shrink --force s.vhdx 24M && reads_as s.vhdx s.raw
ok 'all readers see the same' $?

# --- chains: by themselves, and their parents never ---------------------------------

mkdir c
mkvhdx --chain 3 --plain --size 96M --seed 11 c
./vhdxctl convert -O raw c/3.vhdx c.raw 2>err
bad=$?
length=0
for i in 0 1 2 3; do
	length=$((length + $(size_of c/$i.vhdx)))
done
for i in 3 0 2 1; do
	mv c/$i.vhdx alone.vhdx
	./vhdxctl compact -q alone.vhdx 2>>err && clean alone.vhdx || bad=1
	mv alone.vhdx c/$i.vhdx
	./vhdxctl convert -O raw c/3.vhdx - 2>>err | cmp - c.raw >>err 2>&1 || bad=1
done
ok 'each image of a chain, without the others' $bad
for i in 0 1 2 3; do
	length=$((length - $(size_of c/$i.vhdx)))
done
[ $length -gt 0 ]
ok 'they are shorter' $?

# A block of zeros in a child hides what its parent has.
mkdir p
cp raw p/raw
ctl convert -b 1M p/raw p/parent.vhdx
ctl create --parent p/parent.vhdx -b 1M p/child.vhdx
mkvhdx --size 64M --block 1M --blocks 21,44:7,50:3 --guid 5 --seed 4 p/x.vhdx --differencing \
	--linkage 7 --parent '.\y.vhdx'
zero p/x.vhdx 21 && passes 'a child' '^[1-3] MiB given back$' compact p/x.vhdx
json 'zeros stay zeros' 'j["bat"]["payload-states"].get("zero") == 1 and
	j["bat"]["payload-states"]["partially-present"] == 1 and
	j["bat"]["payload-states"]["unmapped"] == 1' info --json p/x.vhdx

# --- what it refuses, and what ends it -----------------------------------------------

ctl create -s 8M -t fixed f.vhdx
before=$(sha256sum f.vhdx)
fails 'a fixed image' 1 'f.vhdx: cannot be compacted: it is a fixed image' compact f.vhdx
fails 'with -n too' 1 'f.vhdx: cannot be compacted: it is a fixed image' compact -n f.vhdx
[ "$before" = "$(sha256sum f.vhdx)" ]
ok 'which stays as it is' $?
fails 'no such file' 66 'none.vhdx: cannot open: No such file' compact none.vhdx
fails 'a folder' 66 'p: cannot open' compact p
fails 'no image' 1 'raw: .*not a VHDX file' compact raw
fails 'an attached disk with -n' 64 'vhdx77: compact: --dry-run is for images that are not attached' \
	compact -n /dev/vhdx77
cp old.vhdx a.vhdx
qemu_has '' a.vhdx
fails 'in use' 75 'a.vhdx: cannot be compacted while it is in use' compact a.vhdx
fails 'with -n too' 75 'a.vhdx: cannot be compacted while it is written to' compact -n a.vhdx
qemu_lets_go
if [ "$(id -u)" = 0 ]; then
	chmod a+rx . && cp old.vhdx r.vhdx && chmod 444 r.vhdx
	setpriv --reuid 65534 --regid 65534 --clear-groups ./vhdxctl compact r.vhdx >out 2>err
	rc=$?
	[ $rc = 77 ] && grep -q 'r.vhdx: cannot open for writing: Permission denied' err
	ok 'not writable' $?
else
	skip 'not writable' 'not root'
fi

# A host without room for the copy of a block, whose place is a hole of the file.
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=6M none small 2>/dev/null; then
	mkvhdx --size 64M --block 2M --blocks 0:3,1,2 --seed 5 small/x.vhdx 2>err
	fallocate -p -o 4M -l 2M small/x.vhdx 2>>err
	./vhdxctl convert -O raw small/x.vhdx x.raw 2>>err
	dd if=/dev/zero of=small/rest bs=4k 2>/dev/null
	fails 'a full host' 1 'small/x.vhdx: cannot be compacted: No space left' compact small/x.vhdx
	clean small/x.vhdx && ./vhdxctl convert -O raw small/x.vhdx - 2>>err | cmp - x.raw >>err 2>&1
	ok 'the image is whole' $?
	rm small/rest
	passes 'with room' '^2 MiB given back$' compact small/x.vhdx
	clean small/x.vhdx && ./vhdxctl convert -O raw small/x.vhdx - 2>>err | cmp - x.raw >>err 2>&1
	ok 'all readers see the same' $?
	umount small
else
	skip 'a full host' 'not root'
fi

# Stopped: it says what was done, and another one goes on from there. The signal may
# come before it has begun or when it is over, and then at another time.
blocks=$(seq -s , 0 1000)
mkvhdx --size 2G --block 1M --blocks "$blocks" --data 4096 --shuffle --seed 6 big.vhdx
stopped=0
bad=0
for delay in 0.05 0.1 0.15 0.2 0.3 0.4 0.5 0.7 1 1.5 2 3; do
	cp --sparse=always big.vhdx b.vhdx
	./vhdxctl compact b.vhdx >out 2>err &
	pid=$!
	sleep $delay
	kill $pid 2>/dev/null
	wait $pid
	rc=$?
	if grep -qx 'vhdxctl: b.vhdx: interrupted: .* given back so far, and the image is whole' err; then
		[ $rc = 143 ] || bad=1
		stopped=1
	fi
	clean b.vhdx || bad=1
	[ $stopped = 0 ] || break
done
[ $bad = 0 ] && [ $stopped = 1 ]
ok 'stopped by a signal' $?
ctl compact -q b.vhdx
[ "$rc" = 0 ] && clean b.vhdx && [ "$(size_of b.vhdx)" = $((1005 << 20)) ] &&
	./vhdxctl convert -O raw b.vhdx b.raw 2>err && mkvhdx --size 2G --block 1M --blocks "$blocks" --data 4096 \
	--shuffle --seed 6 --verify b.raw >>err 2>&1
ok 'and carried on' $?

finish
