#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl compare: what it says of two disks, beside qemu-img compare. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
samples=$top/../shared/images
make -s -C "$top" build/mkvhdx >&2 || exit 1
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"
PATH=$top/build:$PATH

# same NAME ARG...
same() {
	same_name=$1
	shift
	ctl compare "$@"
	[ "$rc" = 0 ] && [ ! -s err ] && [ "$(cat out)" = 'the disks are the same' ]
	ok "$same_name" $?
}

# differ NAME OFFSET ARG...: exit code 1, and that is the first byte that differs
differ() {
	differ_name=$1 differ_offset=$2
	shift 2
	ctl compare "$@"
	[ "$rc" = 1 ] && [ ! -s err ] && [ "$(cat out)" = "the disks differ at offset $differ_offset" ]
	ok "$differ_name" $?
}

# trouble NAME PATTERN ARG...: exit code 2 and a message
trouble() {
	trouble_name=$1 trouble_pattern=$2
	shift 2
	fails "$trouble_name" 2 "$trouble_pattern" compare "$@"
}

truncate -s 20M raw
noise 1 320 | dd of=raw bs=64k seek=3 conv=notrunc iflag=fullblock status=none
dd if=/dev/zero of=raw bs=1M seek=4 count=2 conv=notrunc status=none
noise 2 8 | dd of=raw bs=4k seek=2047 conv=notrunc iflag=fullblock status=none
poke raw 20971519 'y'
cp --sparse=never raw full
for format in vhdx:block_size=1M vhdx:block_size=8M vpc:subformat=dynamic,force_size vpc:subformat=fixed,force_size; do
	rm -f q
	qemu-img convert -f raw -O "${format%%:*}" -o "${format#*:}" raw q
	same "raw and $format" raw q
	same "$format and raw, without holes" q full
	same "$format, said so" -f "${format%%:*}" -F raw q raw
	./vhdxctl convert -t fixed q f.vhdx >out
	same "$format and a fixed VHDX" q f.vhdx
	rm -f f.vhdx
done
same 'a disk and itself' raw raw

# --- differences ----------------------------------------------------------------

qemu-img convert -f raw -O vhdx -o block_size=1M raw q.vhdx
for offset in 0 1 511 4096 196607 196608 524287 524288 4194304 8384512 8388607 12345678 20971519; do
	cp raw other
	poke other $offset '\370'
	differ "one byte, at $offset" $offset q.vhdx other
	differ "the other way round, at $offset" $offset other q.vhdx
	qemu-img compare -f vhdx -F raw q.vhdx other >theirs 2>&1
	[ $? = 1 ] && [ "$(grep -o '[0-9]*' theirs)" = $((offset / 512 * 512)) ]
	ok "qemu-img says the same, to the sector: $offset" $?
done
cp raw other
poke other 300000 'a'
poke other 20000000 'b'
differ 'the first of two' 300000 raw other
ctl compare -q raw other
[ "$rc" = 1 ] && [ ! -s out ] && [ ! -s err ]
ok '--quiet: the exit code alone' $?
ctl compare --quiet raw raw
[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ]
ok 'of the same too' $?

for other in raw other; do
	timeout 60 ./vhdxctl compare raw $other >/dev/full 2>err
	rc=$?
	: >out
	[ $rc = 2 ] && grep -q '^vhdxctl: write error: No space left on device$' err
	ok "the answer gets lost: raw and $other" $?
done
timeout 60 ./vhdxctl compare -q raw other >/dev/full 2>err
rc=$?
[ $rc = 1 ] && [ ! -s err ]
ok 'none was wanted' $?

# --- sizes ------------------------------------------------------------------------

cp raw long
truncate -s 24M long
ctl compare raw long
[ "$rc" = 0 ] && grep -q '^the disks are the same$' out &&
	grep -q '^vhdxctl: warning: long: 25165824 bytes, the other disk 20971520$' err
ok 'a tail of zeros is the same, with a warning' $?
ctl compare long q.vhdx
[ "$rc" = 0 ] && grep -q 'warning' err
ok 'the longer first' $?
ctl compare -q raw long
[ "$rc" = 0 ] && [ ! -s err ]
ok '--quiet: without it' $?
ctl compare --strict raw long
[ "$rc" = 1 ] && [ ! -s err ] && grep -q '^the disks have 20971520 and 25165824 bytes$' out
ok '--strict: they differ' $?
same '--strict of one size' --strict raw q.vhdx
poke long 25165823 'z'
for pair in 'raw long' 'long raw' 'q.vhdx long' 'long q.vhdx'; do
	# shellcheck disable=SC2086 # words
	ctl compare $pair
	[ "$rc" = 1 ] && grep -q '^the disks differ at offset 25165823$' out
	ok "a tail that is not zeros: $pair" $?
done
: >empty
truncate -s 1M holes
ctl compare empty holes
[ "$rc" = 0 ]
ok 'nothing and zeros' $?
ctl compare empty raw
[ "$rc" = 1 ] && grep -q 'offset 196608$' out
ok 'nothing and data' $?

# --- chains --------------------------------------------------------------------------

mkdir chain
mkvhdx --chain 3 --seed 6 --size 24M --plain chain
for level in 1 2 3; do
	./vhdxctl convert -q chain/$level.vhdx flat.vhdx
	same "a chain, $level of 3, and what it shows" chain/$level.vhdx flat.vhdx
	rm flat.vhdx
done
./vhdxctl convert raw parent.vhdx
./vhdxctl create --parent parent.vhdx new.vhdx
same 'an image and a new child' parent.vhdx new.vhdx
mkdir elsewhere
mv parent.vhdx elsewhere/
trouble 'its parent is missing' 'new.vhdx: cannot read: its parent is missing' new.vhdx raw
[ "$(tail -n 1 err)" = 'hint: --parent-dir DIR names a folder that it is in' ]
ok 'and a hint that compare can follow' $?
trouble 'of the second too' 'new.vhdx: cannot read: its parent is missing' raw new.vhdx
same '--parent-dir' --parent-dir elsewhere new.vhdx raw
same '--parent-dir, of the second' --parent-dir elsewhere raw new.vhdx
./vhdxctl create -s 20M parent.vhdx >out
trouble 'another one in its place' 'new.vhdx: cannot read: ' new.vhdx raw
[ "$(tail -n 1 err)" = "hint: 'vhdxctl info --chain' shows the chain" ]
ok 'and such a hint' $?
rm parent.vhdx
if [ -e "$samples/child.vhdx.xz" ]; then
	xz -dc "$samples/child.vhdx.xz" >child.vhdx
	xz -dc "$samples/parent.vhdx.xz" >parent.vhdx
	./vhdxctl convert -q child.vhdx flat.vhdx
	same 'a real child and what it shows' child.vhdx flat.vhdx
	ctl compare -q child.vhdx parent.vhdx
	[ "$rc" = 1 ]
	ok 'which is not its parent' $?
else
	skip 'a real child' 'no samples'
fi

# --- trouble -------------------------------------------------------------------------

fails 'nothing given' 64 'compare: two disks are compared' compare
fails 'one disk' 64 'compare: two disks are compared' compare raw
fails 'three disks' 64 'compare: two disks are compared' compare raw raw raw
fails 'an unknown format' 64 "unknown format 'x'" compare -F x raw raw
trouble 'no first file' 'nosuch: cannot open' nosuch raw
trouble 'no second file' 'nosuch: cannot open' raw nosuch
trouble 'a folder' 'Is a directory' . raw
trouble 'raw is no VHDX' 'not a VHDX file' -f vhdx raw raw
trouble 'nor VHD' 'no VHD' -F vhd raw raw
cp q.vhdx bad.vhdx
poke bad.vhdx 65600 '\377\377\377'
poke bad.vhdx 131136 '\377\377\377'
trouble 'a damaged image' 'bad.vhdx: header' raw bad.vhdx
qemu-img convert -f raw -O vpc -o subformat=dynamic,force_size raw bad.vhd
poke bad.vhd 1540 '\0\177\0\0'
trouble 'a block past the end' 'bad.vhd: table at offset' bad.vhd raw
qemu_has '' q.vhdx
trouble 'an image that QEMU writes' 'q.vhdx: cannot read while it is written to: ' raw q.vhdx
qemu_lets_go
qemu_has -r q.vhdx
same 'an image that QEMU reads' raw q.vhdx
qemu_lets_go

finish
