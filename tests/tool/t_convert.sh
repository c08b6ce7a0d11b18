#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl convert, and create --from: into every format and back, against QEMU's
# tools and the other readers, real images against their oracles; what is left
# out, what it takes, and what an end before its time leaves behind. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
samples=$top/../shared/images
make -s -C "$top" build/mkvhdx build/vhdxctl >&2 || exit 1
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"
PATH=$top/build:$PATH

hash_of() { sha256sum | cut -d' ' -f1; }

# same NAME FILE...: all the same bytes
same() {
	same_name=$1 same_first=$2
	shift 2
	same_bad=0
	for same_file; do
		cmp "$same_first" "$same_file" >>err 2>&1 || same_bad=1
	done
	ok "$same_name" $same_bad
}

# quiet NAME ARG...: exit code 0, and not a word
quiet() {
	quiet_name=$1
	shift
	ctl "$@"
	[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ]
	ok "$quiet_name" $?
}

# kib FILE: what it takes on the host
kib() { du -k "$1" | cut -f1; }

# is_left: an unfinished file is here
is_left() {
	for is_left_file in .vhdxctl-*; do
		[ ! -e "$is_left_file" ] || return 0
	done
	return 1
}
nothing_left() { ! is_left; }

# --- a disk with data, holes, and zeros that are no hole ------------------------

truncate -s 20M raw
noise 1 320 | dd of=raw bs=64k seek=3 conv=notrunc iflag=fullblock status=none
dd if=/dev/zero of=raw bs=1M seek=4 count=2 conv=notrunc status=none
noise 2 8 | dd of=raw bs=4k seek=2047 conv=notrunc iflag=fullblock status=none
poke raw 12582912 'x'
poke raw 20971519 'y'
sync raw

quiet 'raw to VHDX' convert raw r.vhdx
json 'its log is clean, and it has only what is not zero' 'j["log"]["state"] == "clean"
	and j["type"] == "dynamic" and j["virtual-size"] == 20 << 20
	and j["bat"]["payload-states"]["fully-present"] == 5' info --json r.vhdx
[ "$(kib r.vhdx)" -lt 1024 ]
ok 'and takes no more on the host than that' $?
json 'blocks lie in the order of the disk' '(lambda o: o == sorted(o) and len(o) > 4)([e["offset"] for e in j["extents"]
	if "offset" in e])' map --json r.vhdx
quiet 'and back' convert -O raw r.vhdx back.raw
same 'the same bytes' raw back.raw
[ "$(kib back.raw)" -le "$(kib raw)" ]
ok 'with no fewer holes' $?
qemu-img check -q -f vhdx r.vhdx >err 2>&1 && qemu-img compare -q -f vhdx -F raw r.vhdx raw >>err 2>&1
ok 'qemu-img sees the same' $?
7zz x -so -tvhdx r.vhdx 2>err | cmp - raw >>err 2>&1
ok '7zz too' $?
ctl convert -O raw r.vhdx -
cp out piped.raw
[ "$rc" = 0 ] && [ ! -s err ]
ok 'to a pipe' $?
same 'the same bytes' raw piped.raw
ctl convert r.vhdx -
[ "$rc" = 0 ] && cmp -s raw out
ok 'a pipe gets raw without being told' $?
quiet 'VHDX to VHDX' convert -b 4M r.vhdx r2.vhdx
json 'with other blocks' 'j["block-size"] == 4 << 20' info --json r2.vhdx
quiet 'the same disk' compare -q raw r2.vhdx
passes '--verbose says what was done' '^raw to vhdx: 20 MiB$' convert -v raw v.vhdx

# --- types, blocks, sectors -------------------------------------------------------

for type in dynamic fixed; do
	for block in 1M 8M 256M; do
		for sector in 512 4096; do
			case $type$block in fixed256M) continue ;; esac
			rm -f t.vhdx
			name="$type, blocks of $block, sectors of $sector"
			ctl convert -t $type -b $block -S $sector -P 4096 raw t.vhdx
			bad_type=$rc
			ctl compare -q t.vhdx raw
			[ $bad_type$rc = 00 ] && ./vhdxctl info --json t.vhdx |
				grep -q "\"type\": \"$type\""
			ok "$name" $?
			7zz x -so -tvhdx t.vhdx 2>err | cmp - raw >>err 2>&1
			ok "$name, to 7zz" $?
			[ $sector = 512 ] || continue
			qemu-img check -q -f vhdx t.vhdx >err 2>&1 &&
				qemu-img compare -q -f vhdx -F raw t.vhdx raw >>err 2>&1
			ok "$name, to qemu-img" $?
		done
	done
done
fails 'physical sectors shorter than the logical ones' 64 'raw: convert: --physical-sector 512: less than the logical one, 4096 bytes' \
	convert -S 4K -P 512 raw s4.vhdx
quiet 'sectors of 512 bytes of both kinds' convert -S 512 -P 512 raw s.vhdx
quiet 'larger ones' convert -S 4K s.vhdx s4.vhdx
json 'of both kinds' 'j["logical-sector-size"] == 4096 and j["physical-sector-size"] == 4096' info --json s4.vhdx
rm -f s.vhdx s4.vhdx
# A GPT counts sectors, and is not found where they have another size.
truncate -s 20M gpt.raw
echo 'label: gpt' | PATH=$PATH:/sbin:/usr/sbin sfdisk -q gpt.raw
warned='the disk has a GPT for sectors of 512 bytes, and gets ones of 4096: its partitions will not be found'
ctl convert -S 4K gpt.raw s4.vhdx
[ $rc = 0 ] && [ "$(cat err)" = "vhdxctl: warning: s4.vhdx: $warned" ]
ok 'a GPT for other sectors: a warning' $?
ctl create -S 4K --from gpt.raw s.vhdx
[ $rc = 0 ] && [ "$(cat err)" = "vhdxctl: warning: s.vhdx: $warned" ]
ok 'create warns as well' $?
rm -f s.vhdx
quiet 'none where they are as it says again' convert -S 512 s4.vhdx s.vhdx
quiet 'nor in a VHD, which has such ones' convert -O vhd s4.vhdx s.vhd
quiet 'nor with -q' convert -q --force -S 4K gpt.raw s4.vhdx
rm -f s.vhdx s4.vhdx s.vhd gpt.raw
for block in 1M 4M; do
	rm -f t.vhdx
	ctl convert -t fixed -b $block raw t.vhdx
	[ "$rc" = 0 ] && [ "$(kib t.vhdx)" -ge 20480 ]
	ok "fixed, blocks of $block: all of its blocks have space" $?
done
quiet 'raw, fixed' convert -O raw -t fixed raw fixed.raw
[ "$(kib fixed.raw)" -ge 20480 ]
ok 'all of it has space' $?
same 'the same bytes' raw fixed.raw
quiet 'a longer log' convert --log-size 4M raw log.vhdx
json 'it is there' 'j["log"]["length"] == 4 << 20' info --json log.vhdx
qemu-img compare -q -f vhdx -F raw log.vhdx raw >err 2>&1
ok 'and qemu-img reads that' $?

# --- VHD ----------------------------------------------------------------------------

quiet 'raw to VHD' convert -O vhd raw r.vhd
[ "$(stat -c %s r.vhd)" = $((20 * 1024 * 1024 + 512)) ] && head -c 20M r.vhd | cmp -s - raw
ok 'the disk, and a footer behind it' $?
[ "$(kib r.vhd)" -ge 20480 ]
ok 'all of it has space' $?
qemu-img info -f vpc --output=json r.vhd >q.json 2>err &&
	python3 -c 'import json; assert json.load(open("q.json"))["virtual-size"] == 20 << 20' 2>>err &&
	qemu-img compare -q -f vpc -F raw r.vhd raw >>err 2>&1
ok 'qemu-img reads it, with the right size' $?
vhdiinfo r.vhd >err 2>&1 && grep -q 'Disk type.*: Fixed' err && grep -q 'Media size.*20971520 bytes' err
ok 'vhdiinfo too' $?
# Footers as they should be, by Microsoft's own specification.
python3 - r.vhd >err 2>&1 <<-'PY'
	import struct, sys
	footer = open(sys.argv[1], 'rb').read()[-512:]
	fields = struct.unpack('>8sIIQI4sI4sQQHBBII16sB', footer[:85])
	assert fields[0] == b'conectix' and fields[1] == 2 and fields[2] == 0x10000
	assert fields[3] == 2 ** 64 - 1 and fields[8] == fields[9] == 20 << 20 and fields[13] == 2
	assert fields[10:13] == (602, 4, 17), fields[10:13]
	assert fields[14] == ~sum(footer[:64] + footer[68:]) & 0xffffffff
	assert any(fields[15]) and not fields[16] and not any(footer[85:])
PY
ok 'its footer' $?
quiet 'VHD to VHDX' convert r.vhd v2.vhdx
quiet 'and back' convert -O vhd v2.vhdx r2.vhd
head -c 20M r2.vhd | cmp -s - raw
ok 'the same bytes' $?
quiet 'VHD to raw' convert -f vhd -O raw r.vhd v.raw
same 'the same bytes' raw v.raw
[ "$(kib v.raw)" -lt 2048 ]
ok 'with holes again' $?
for sub in fixed dynamic; do
	for options in $sub,force_size $sub; do
		rm -f q.vhd ours.vhdx ours.raw theirs.raw
		qemu-img convert -f raw -O vpc -o "subformat=$options" raw q.vhd
		qemu-img convert -f vpc -O raw q.vhd theirs.raw
		ctl convert q.vhd ours.vhdx
		[ "$rc" = 0 ] && qemu-img compare -q -f vhdx -F raw ours.vhdx theirs.raw >>err 2>&1
		ok "qemu-img's VHD, $options, to VHDX" $?
		ctl convert -O raw -f vpc q.vhd ours.raw
		[ "$rc" = 0 ] && cmp ours.raw theirs.raw >>err
		ok "qemu-img's VHD, $options, to raw" $?
	done
done
# A sector that the bitmap has not was never written, whatever lies there.
qemu-img convert -f raw -O vpc -o subformat=dynamic,force_size raw q.vhd
python3 - <<-'PY'
	import struct
	with open('q.vhd', 'r+b') as f:
	    f.seek(512)
	    table, = struct.unpack('>16xQ', f.read(24))
	    f.seek(table)
	    block, = struct.unpack('>I', f.read(4))
	    f.seek(block * 512 + (3 << 16) // 512 // 8)
	    f.write(b'\x7f')
PY
cp raw hole.raw
dd if=/dev/zero of=hole.raw bs=512 seek=384 count=1 conv=notrunc status=none
quiet 'a sector that the bitmap has not is zeros' compare -q q.vhd hole.raw
for size in 1M 3M 100M 511M 600M; do
	rm -f g.raw g.vhd
	truncate -s $size g.raw
	ctl convert -q -O vhd g.raw g.vhd
	[ "$rc" = 0 ] && python3 - >err 2>&1 <<-'PY'
		import struct
		def geometry(sectors):
		    sectors = min(sectors, 65535 * 16 * 255)
		    if sectors >= 65535 * 16 * 63:
		        return sectors // 255 // 16, 16, 255
		    tracks, heads, per = sectors // 17, 0, 17
		    heads = max((tracks + 1023) // 1024, 4)
		    if tracks >= heads * 1024 or heads > 16:
		        per, heads = 31, 16
		        tracks = sectors // per
		    if tracks >= heads * 1024:
		        per, heads = 63, 16
		        tracks = sectors // per
		    return tracks // heads, heads, per
		def footer(path):
		    f = open(path, 'rb')
		    f.seek(-512, 2)
		    return f.read(512)
		ours = footer('g.vhd')
		size, = struct.unpack('>Q', ours[48:56])
		assert struct.unpack('>HBB', ours[56:60]) == geometry(size // 512)
	PY
	ok "geometry of $size" $?
done
rm -f g.raw g.vhd
noise 3 2930 | head -c 3000000 >odd.raw
ctl convert -O vhd odd.raw odd.vhd
[ "$rc" = 0 ] && grep -q 'odd.vhd: the disk gets zeros at its end, up to 3145728 bytes' err &&
	[ "$(stat -c %s odd.vhd)" = $((3145728 + 512)) ]
ok 'a VHD has whole MiB' $?
quiet 'the same disk' compare -q odd.vhd odd.raw
ctl convert -q odd.raw odd.vhdx
[ "$rc" = 0 ] && [ ! -s err ] && ./vhdxctl info --json odd.vhdx | grep -q '"virtual-size": 3000320'
ok 'a VHDX whole sectors' $?
for file in odd.raw r.vhd; do
	fails "$file: it has no parent" 64 "odd.vhdx: --parent: $file has no parent" \
		convert --parent odd.vhdx -O raw "$file" n.raw
done
quiet 'and raw is as it is' convert -O raw odd.raw odd2.raw
same 'to the byte' odd.raw odd2.raw

# --- chains, and real images ----------------------------------------------------------

mkdir chain
mkvhdx --chain 3 --seed 5 --size 24M chain
for level in 0 1 2 3; do
	rm -f c.raw c.vhdx
	quiet "a chain, $level of 3, to raw" convert -O raw chain/$level.vhdx c.raw
	mkvhdx --chain 3 --seed 5 --size 24M --level $level --verify c.raw 2>err
	ok 'shows what was put in' $?
	quiet "a chain, $level of 3, to VHDX" convert chain/$level.vhdx c.vhdx
	quiet 'the same disk' compare -q c.vhdx c.raw
	json 'without a parent' 'j["type"] == "dynamic"' info --json c.vhdx
done
mkdir elsewhere
mv chain/1.vhdx elsewhere/
fails 'a parent is missing' 66 'chain/2.vhdx: cannot read: its parent is missing' convert chain/3.vhdx x.vhdx
ctl convert --parent-dir elsewhere --parent-dir chain chain/3.vhdx p.vhdx
[ "$rc" = 0 ] && ./vhdxctl compare -q p.vhdx c.vhdx
ok '--parent-dir finds it' $?
ctl convert --parent chain/2.vhdx --parent elsewhere/1.vhdx --parent chain/0.vhdx chain/3.vhdx p2.vhdx
[ "$rc" = 0 ] && ./vhdxctl compare -q p2.vhdx c.vhdx
ok '--parent names it' $?
mkvhdx --size 40G --sector 4096 --block 4M --blocks 0,8191,8192,10239 --shuffle m.vhdx
quiet 'sectors of 4096 bytes, blocks all over, to VHDX' convert m.vhdx m2.vhdx
json 'the sectors are kept' 'j["logical-sector-size"] == 4096 and j["virtual-size"] == 40 << 30' info --json m2.vhdx
ctl convert -O raw m2.vhdx m.raw
[ "$rc" = 0 ] && mkvhdx --size 40G --sector 4096 --block 4M --blocks 0,8191,8192,10239 --shuffle --verify m.raw 2>err
ok 'and what was put in' $?
mkvhdx --size 16M --blocks 0,1:1,2:2,3:3,5 states.vhdx
ctl convert -O raw states.vhdx states.raw
[ "$rc" = 0 ] && mkvhdx --size 16M --blocks 0,1:1,2:2,3:3,5 --verify states.raw 2>err
ok 'every state of a block' $?
rm -f m.raw m2.vhdx

for name in iotest-dynamic-1G iotest-dirtylog-10G-4M lvm2 child; do
	if [ ! -e "$samples/$name.vhdx.xz" ]; then
		skip "$name" 'no samples'
		continue
	fi
	xz -dc "$samples/$name.vhdx.xz" >$name.vhdx
	[ $name != child ] || xz -dc "$samples/parent.vhdx.xz" >parent.vhdx
	before=$(hash_of <$name.vhdx)
	quiet "$name to VHDX" convert $name.vhdx o.vhdx
	quiet "$name to raw" convert -O raw o.vhdx o.raw
	lines=$("$top/tests/image/oracle.py" o.raw "$samples/$name.oracle" 2>err)
	ok "$name: size and $lines lines of its oracle" $?
	[ "$(hash_of <$name.vhdx)" = "$before" ]
	ok "$name: the file is as it was" $?
	rm -f o.vhdx o.raw $name.vhdx
done

# --- what is no raw disk, and not known -------------------------------------------------

# refused NAME FILE: convert, create, compare and map say what it looks like
refused() {
	fails "$1: convert" 1 "^vhdxctl: $2: cannot read: it looks like $1" convert "$2" n.vhdx
	grep -q '^hint: -f raw takes the file as it lies$' err && [ ! -e n.vhdx ]
	ok "$1: with a hint" $?
	fails "$1: create" 1 "^vhdxctl: $2: cannot read: it looks like $1" create --from "$2" n.vhdx
	fails "$1: compare" 2 "^vhdxctl: $2: cannot read: it looks like $1" compare raw "$2"
	grep -q '^hint: -F raw takes the file as it lies$' err
	ok "$1: its option is named" $?
	fails "$1: map" 1 "^vhdxctl: $2: cannot read: it looks like $1" map "$2"
	rm -f n.vhdx
	ctl convert -f raw -O raw "$2" n.raw
	[ "$rc" = 0 ] && cmp -s "$2" n.raw
	ok "$1: -f raw takes it" $?
	rm -f n.raw
}
for format in qcow2 vmdk vdi qed parallels; do
	qemu-img create -q -f $format foreign 4M
	refused "$format" foreign
done
qemu-img create -q -f vmdk -o subformat=monolithicFlat foreign 4M
refused vmdk foreign
rm -f foreign*
# Each of its copies of a structure says so by itself.
for whole in 65536 131072 196608 262144; do
	cp r.vhdx damaged
	poke damaged 0 x
	for at in 65536 131072 196608 262144; do
		[ $at = $whole ] || poke damaged $at x
	done
	refused 'vhdx, damaged' damaged
done
qemu-img convert -f raw -O vpc -o subformat=dynamic,force_size raw damaged
poke damaged 0 'x'
quiet 'a VHD whose first footer is damaged is read by the last' compare -q damaged raw
truncate -s -512 damaged
refused 'vhd, damaged' damaged
# Virtual PC wrote footers without their last byte before 2004.
cp r.vhd damaged
truncate -s -1 damaged
quiet 'a VHD whose footer has 511 bytes' compare -q damaged raw
for padding in 1 511 512 4096; do
	cp r.vhd damaged
	truncate -s +$padding damaged
	refused 'vhd, damaged' damaged
done
rm -f damaged

# --- create --from ----------------------------------------------------------------------

quiet 'create --from' create --from raw f.vhdx
quiet 'the same disk' compare -q --strict f.vhdx raw
quiet 'create --from, longer, fixed' create --from raw -s 32M -t fixed -b 2M f2.vhdx
json 'as was said' 'j["virtual-size"] == 32 << 20 and j["type"] == "fixed" and j["block-size"] == 2 << 20' info --json f2.vhdx
ctl compare -q f2.vhdx raw
[ "$rc" = 0 ]
ok 'with zeros behind' $?
fails 'create --from, shorter' 64 'f3.vhdx: create: --size is less than that of raw, 20971520 bytes' create --from raw -s 16M f3.vhdx
fails 'create --from with --parent' 64 'exclude each other' create --from raw --parent r.vhdx f3.vhdx
fails 'create --from what is not there' 66 'nosuch: cannot open' create --from nosuch f3.vhdx
: >empty
fails 'create --from an empty file' 1 'empty: cannot make a disk of it: it is empty' create --from empty f3.vhdx
fails 'create --from an image' 1 'r.vhdx: cannot read as a raw disk: it looks like vhdx' create --from r.vhdx f4.vhdx
grep -q "^hint: 'vhdxctl convert' copies its disk, -f raw takes the file as it lies\$" err && [ ! -e f4.vhdx ]
ok 'which is for convert' $?
fails 'create --from, of another format' 64 'create: --from is of raw disks' create -f vhd --from raw f4.vhdx
fails '--format of nothing' 64 'create: --format only with --from' create -f raw -s 1M f4.vhdx
quiet 'a raw disk that begins like an image is taken as it is' create -f raw --from r.vhdx f4.vhdx
cmp -s r.vhdx f4.vhdx
quiet 'to the byte' compare -q -f raw -F vhdx --strict r.vhdx f4.vhdx
for size in 0 512K 1 1500K 2G 1025M x; do
	fails "create --log-size $size" 64 "create: --log-size $size: not a multiple of 1M up to 1G" create -s 1M --log-size $size l.vhdx
done
for size in 1M 3M 128M; do
	rm -f l.vhdx
	ctl create -s 64M --log-size $size l.vhdx
	[ "$rc" = 0 ] && qemu-io -f vhdx -c 'write -P 7 1M 64k' -c flush l.vhdx >err 2>&1 &&
		qemu-img check -q l.vhdx >>err 2>&1
	ok "create --log-size $size: QEMU writes to it" $?
	json 'as long as was said' "j['log']['length'] == ${size%M} << 20 and j['log']['state'] == 'clean'" info --json l.vhdx
done

# --- what cannot be ---------------------------------------------------------------------

fails 'nothing given' 64 'nothing to convert' convert
fails 'nowhere to' 64 'nowhere to write to' convert raw
fails 'too much' 64 'one disk at a time' convert raw a b
fails 'an unknown format' 64 "unknown format 'qcow2'" convert -O qcow2 raw x
fails 'of the source too' 64 "unknown format 'x'" convert -f x raw x
fails 'VHDX to a pipe' 64 'only --output-format raw can be written to a pipe' convert -O vhdx raw -
fails 'a dynamic VHD' 64 'only fixed VHDs' convert -O vhd -t dynamic raw x
fails 'blocks of raw' 64 'are for VHDX' convert -O raw -b 1M raw x
fails 'a log of a VHD' 64 'are for VHDX' convert -O vhd --log-size 1M raw x
fails 'a block size that is none' 64 'convert: --block-size 3M: not a power of two' convert -b 3M raw x
fails 'a type that is none' 64 'convert: --type thin: not dynamic or fixed' convert -t thin raw x
fails 'no such file' 66 'nosuch: cannot open: No such file' convert nosuch x
fails 'a folder' 66 'Is a directory' convert . x
fails 'an empty file' 1 'empty: cannot convert: it is empty' convert empty x
fails 'no such folder' 66 'nosuch/x: cannot create: No such file' convert raw nosuch/x
fails 'the name of a folder' 73 'elsewhere: cannot create: there is such a file' convert raw elsewhere
fails 'there is such a file' 73 'back.raw: cannot create: there is such a file' convert raw back.raw
fails 'raw is no VHDX' 1 'not a VHDX file' convert -f vhdx raw x
fails 'raw is no VHD' 1 'raw: footer, Cookie at offset 0x13ffe00: no VHD' convert -f vhd raw x
[ ! -e x ] && nothing_left
ok 'and no file is made' $?
cmp -s raw back.raw
ok 'nor lost' $?

# vhd_bad NAME CODE PATTERN OFFSET BYTES [DYNAMIC-SEAL]: a VHD with bytes changed
seal_vhd() {
	python3 - "$1" <<-'PY'
		import struct, sys
		with open(sys.argv[1], 'r+b') as f:
		    size = f.seek(0, 2)
		    def seal(at, length, place):
		        f.seek(at)
		        data = bytearray(f.read(length))
		        data[place:place + 4] = bytes(4)
		        struct.pack_into('>I', data, place, ~sum(data) & 0xffffffff)
		        f.seek(at)
		        f.write(data)
		    seal(size - 512, 512, 64)
		    f.seek(0)
		    if f.read(8) == b'conectix':
		        seal(0, 512, 64)
		        seal(512, 1024, 36)
	PY
}
vhd_bad() {
	cp "$4" bad.vhd
	if [ "$5" -lt 0 ]; then
		poke bad.vhd $(($(stat -c %s bad.vhd) + $5)) "$6"
	else
		poke bad.vhd "$5" "$6"
	fi
	[ -n "${7-}" ] || seal_vhd bad.vhd
	fails "VHD: $1" "$2" "bad.vhd: $3" convert bad.vhd x
}
vhd_bad 'checksum of the footer' 1 'footer, Checksum at offset 0x1400000: wrong' r.vhd -448 '\1' unsealed
vhd_bad 'version' 69 'footer, File Format Version .*0x20000' r.vhd -500 '\0\002\0\0'
vhd_bad 'unknown type' 1 'footer, Disk Type .*unknown' r.vhd -452 '\0\0\0\011'
vhd_bad 'differencing' 69 'footer, Disk Type .*: a differencing VHD, which is not supported' r.vhd -452 '\0\0\0\004'
vhd_bad 'longer than the file' 1 'footer, Current Size .*the file is shorter' r.vhd -464 '\0\0\0\0\010\0\0\0'
vhd_bad 'no size' 1 'footer, Current Size .*not the size of a disk' r.vhd -464 '\0\0\0\0\0\0\0\0'
vhd_bad 'header elsewhere' 1 'footer, Data Offset .*past the end' q.vhd -496 '\0\0\0\0\177\0\0\0'
vhd_bad 'cookie of the header' 1 'header, Cookie at offset 0x200: wrong' q.vhd 512 'X'
vhd_bad 'checksum of the header' 1 'header, Checksum at offset 0x200: wrong' q.vhd 548 '\0\0' unsealed
vhd_bad 'version of the header' 69 'header, Header Version ' q.vhd 536 '\0\011\0\0'
vhd_bad 'block size' 1 'header, Block Size .*0x300000' q.vhd 544 '\0\060\0\0'
vhd_bad 'too few entries' 1 'header, Max Table Entries .*too few' q.vhd 540 '\0\0\0\001'
vhd_bad 'table past the end' 1 'header, Table Offset .*past the end' q.vhd 528 '\0\0\0\0\177\0\0\0'
vhd_bad 'block past the end' 1 'table at offset 0x600.*: the block ends past the end' q.vhd 1536 '\0\177\0\0'
cp q.vhd bad.vhd
poke bad.vhd $(($(stat -c %s bad.vhd) - 512)) 'XXXXXXXX'
quiet 'VHD: the footer is damaged, its copy counts' compare -q bad.vhd hole.raw
head -c 100 r.vhd >short.vhd
fails 'VHD: too short' 1 'short.vhd: file .*too short for a footer' convert -f vhd short.vhd x
[ ! -e x ] && nothing_left
ok 'and no file is made' $?
cp r.vhdx bad.vhdx
poke bad.vhdx 65600 '\377\377\377'
poke bad.vhdx 131136 '\377\377\377'
fails 'a damaged image' 1 'bad.vhdx: header' convert bad.vhdx x
truncate -s 2041G big.raw 2>err && fails 'more than a VHD has' 1 'a VHD has at most 2040 GiB' convert -O vhd big.raw x
rm -f big.raw

fails '--no-sync over what is there' 64 'convert: --no-sync is for new files' convert --no-sync --force raw r.vhdx
fails '--no-sync to a pipe' 64 'convert: --no-sync is for new files' convert --no-sync raw -
fails '--no-sync of a file that is there' 73 'r.vhdx: cannot create: there is such a file' convert --no-sync raw r.vhdx

# --- --force -------------------------------------------------------------------------------

echo old >old.vhdx
chmod 600 old.vhdx
quiet '--force replaces a file' convert --force raw old.vhdx
[ "$(stat -c %a old.vhdx)" = 600 ] && ./vhdxctl compare -q old.vhdx raw
ok 'and keeps who may read it' $?
fails '--force of a file that cannot be read' 66 'nosuch: cannot open' convert --force nosuch old.vhdx
./vhdxctl compare -q old.vhdx raw
ok 'leaves the old one' $?
fails '--force onto itself' 75 'r.vhdx: cannot replace: it is in use' convert --force r.vhdx r.vhdx
ln -s old.vhdx oldlink
fails '--force of a link' 73 'oldlink: cannot replace: not a regular file' convert --force raw oldlink
fails '--force of a folder' 73 'elsewhere: cannot replace: not a regular file' convert --force raw elsewhere

# force_as USER NAME WANT OWNER MODE: a file of that owner and mode is replaced, by root
# where no USER is given; then it has WANT, owner, group and mode
force_as() {
	rm -f shared/x.vhdx
	echo old >shared/x.vhdx
	chown "$4" shared/x.vhdx
	chmod "$5" shared/x.vhdx
	# shellcheck disable=SC2086 # words
	timeout 60 $1 ./vhdxctl convert --force raw shared/x.vhdx >out 2>err
	rc=$?
	stat -c %u:%g:%a shared/x.vhdx >>out
	[ $rc = 0 ] && [ "$(cat out)" = "$3" ]
	ok "--force $2" $?
}
if [ "$(id -u)" = 0 ]; then
	mkdir -m 777 shared
	nobody='setpriv --reuid=65534 --regid=65534'
	mkdir -m 1733 box
	$nobody --clear-groups ./vhdxctl convert raw box/a.vhdx >out 2>err && [ ! -s err ] &&
		./vhdxctl compare -q raw box/a.vhdx
	ok 'into a folder that may not be read' $?
	force_as '' "of a user's program: it gives nobody's rights away" 65534:65534:755 65534:65534 6755
	force_as '' 'keeps owner and group' 65534:65533:640 65534:65533 640
	force_as "$nobody --groups=65533" 'keeps the group where the owner cannot be' 65534:65533:660 0:65533 660
	force_as "$nobody --clear-groups" 'gives a new group what all could do' 65534:65534:644 0:0 664
	force_as "$nobody --clear-groups" 'gives others no more than the old group' 65534:65534:600 0:0 604
	# A user who may not read it, one who may, and a group that may not.
	if python3 - shared/x.vhdx 2>err <<-'PY'
		import os, struct, sys
		entries = (1, 6, -1), (2, 0, 1), (2, 6, 2), (4, 0, -1), (16, 6, -1), (32, 4, -1)
		acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *entry) for entry in entries)
		os.setxattr(sys.argv[1], 'system.posix_acl_access', acl)
	PY
	then
		quiet '--force of a file with an access control list' convert --force raw shared/x.vhdx
		[ "$(stat -c %a shared/x.vhdx)" = 600 ]
		ok 'leaves rights to the owner only' $?
	else
		skip '--force and access control lists' 'not on this file system'
	fi
else
	skip '--force and owners' 'not root'
fi

mkdir family
./vhdxctl create -s 20M family/base.vhdx >out
./vhdxctl create --parent family/base.vhdx family/mid.avhdx >out
./vhdxctl create --parent family/mid.avhdx family/leaf.avhdx >out
fails '--force of a parent' 1 'mid.avhdx: cannot replace: it is the parent of .*/family/leaf.avhdx, which' \
	convert --force raw family/mid.avhdx
quiet 'both are as they were' compare -q family/base.vhdx family/leaf.avhdx
quiet '--force of a child' convert --force raw family/leaf.avhdx
quiet '--force of what has no child any more' convert --force raw family/mid.avhdx
qemu_has '' r2.vhdx
fails 'a source that QEMU writes' 75 'r2.vhdx: cannot read while it is written to: ' convert r2.vhdx x
fails '--force of what QEMU has' 75 'r2.vhdx: cannot replace: it is in use' convert --force raw r2.vhdx
qemu_lets_go
exec 5>>old.vhdx
fails '--force of what is open for writing' 75 'old.vhdx: cannot replace: it is in use' convert --force raw old.vhdx
exec 5>&-
qemu_has -r r2.vhdx
quiet 'a source that QEMU reads' convert r2.vhdx r3.vhdx
qemu_lets_go

# --- block devices ---------------------------------------------------------------------------

if [ "$(id -u)" = 0 ] && truncate -s 24M disk.img && loop=$(losetup -f --show disk.img 2>/dev/null); then
	trap 'losetup -d "$loop"; rm -rf "$work"' EXIT
	head -c 24M /dev/zero | tr '\0' 'z' >"$loop"
	fails 'a block device without --force' 73 'cannot write: it is a block device' convert -O raw r.vhdx "$loop"
	fails 'VHDX to a block device' 64 'only --output-format raw goes to a block device' convert --force r.vhdx "$loop"
	quiet 'raw to a block device' convert --force -O raw r.vhdx "$loop"
	head -c 20M "$loop" | cmp - raw >err 2>&1
	ok 'the disk is there, zeros too' $?
	tail -c 4M "$loop" | tr -d z | cmp -s - /dev/null
	ok 'and nothing behind it' $?
	quiet 'a block device as the source' convert -f raw "$loop" dev.vhdx
	quiet 'the same disk' compare -q --strict dev.vhdx "$loop"
	quiet 'create --from a block device' create --from "$loop" dev2.vhdx
	quiet 'the same disk' compare -q --strict dev2.vhdx "$loop"
	fails '--force of the file of a loop device' 75 'disk.img: cannot replace: it is in use' \
		convert --force raw disk.img
	fails 'the file of a loop device' 75 "disk.img: cannot read while it is written to: it is the file of $loop$" \
		convert disk.img x.vhdx
	grep -qx "hint: 'losetup -d $loop' comes first" err
	ok 'it is said what to do' $?
	truncate -s 25M long.raw
	fails 'a disk that does not fit' 1 '26214400 bytes do not fit on 25165824' convert --force -O raw long.raw "$loop"
else
	skip 'block devices' 'not root, or no loop devices'
fi
fails 'a character device' 73 'cannot create: there is such a file' convert raw /dev/null

# --- interrupted -----------------------------------------------------------------------------

# wait_for_unfinished PID: until that conversion has begun its file
wait_for_unfinished() {
	tries=0
	while ! is_left && [ $tries -lt 1000 ] && kill -0 "$1" 2>/dev/null; do
		tries=$((tries + 1))
		sleep 0.01
	done
}

# A slow reader of the pipe would do, but files are what must not be left: so the
# source is large, and it is stopped once the file is there.
truncate -s 160M slow.raw
noise 4 122880 | dd of=slow.raw conv=notrunc status=none bs=1M
# interrupt SIGNAL: sets rc; a busy machine may be late with it, and has another try
interrupt() {
	for _ in 1 2 3 4 5 6 7 8; do
		# A shell's background is deaf to some of them.
		python3 -c 'import os, resource, signal
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.execv("./vhdxctl", ["vhdxctl", "convert", "slow.raw", "slow.vhdx"])' >out 2>err &
		pid=$!
		wait_for_unfinished $pid
		kill -s "$1" $pid
		wait $pid
		rc=$?
		[ $rc = 0 ] || return
		rm slow.vhdx
	done
}
for signal in INT TERM HUP QUIT PIPE XCPU; do
	interrupt $signal
	[ $rc -gt 128 ] && nothing_left && [ ! -e slow.vhdx ]
	ok "SIG$signal leaves nothing" $?
	rm -f slow.vhdx
done

# A file that is replaced stays a file that nobody else gets.
begin_replacing() {
	for _ in 1 2 3 4 5 6 7 8; do
		cp r.vhdx replaced.vhdx
		./vhdxctl convert --force slow.raw replaced.vhdx >out 2>err &
		pid=$!
		wait_for_unfinished $pid
		kill -s STOP $pid
		! is_left || return
		wait $pid
	done
}
# given_up NAME CODE PATTERN: what began then fails in the end, and leaves nothing
given_up() {
	kill -s CONT "$pid"
	wait "$pid"
	rc=$?
	[ $rc = "$2" ] && one_message && grep -q "replaced.vhdx: cannot replace: $3" err && nothing_left
	ok "$1" $?
}
begin_replacing
timeout 60 ./vhdxctl resize replaced.vhdx 30M 2>err2
rc=$?
[ $rc = 75 ] && grep -q 'cannot be resized while it is in use' err2
ok 'what is to be replaced is locked' $?
exec 5>>replaced.vhdx
given_up 'it is opened meanwhile' 75 'it is in use'
exec 5>&-
cmp -s r.vhdx replaced.vhdx
ok 'the old one stays' $?
begin_replacing
echo other >other
mv other replaced.vhdx
given_up 'another comes there meanwhile' 73 'another file is there by now'
[ "$(cat replaced.vhdx)" = other ]
ok 'the other stays' $?
rm replaced.vhdx

# A file may not be as large.
for options in '' '-t fixed' '-O raw' '-O vhd' '-O raw -t fixed'; do
	# shellcheck disable=SC2086 # words
	(ulimit -f 40960 && ctl convert $options slow.raw large && exit "$rc")
	rc=$?
	: >out
	[ $rc = 1 ] && one_message && grep -qE '^vhdxctl: large: cannot (write|create): .*File too large$' err &&
		nothing_left && [ ! -e large ]
	ok "a limit for files $options" $?
	rm -f large
done

# A full file system.
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=8M none small 2>/dev/null; then
	for options in '' '-t fixed' '-O raw' '-O vhd' '-O raw -t fixed'; do
		# shellcheck disable=SC2086 # words
		fails "a full host $options" 1 'small/x: cannot (write|create): .*No space left' convert $options slow.raw small/x
	done
	[ -z "$(ls -A small)" ]
	ok 'leaves nothing' $?
	umount small
else
	skip 'a full host' 'not root'
fi
timeout 60 ./vhdxctl convert -O raw slow.raw - >/dev/full 2>err
rc=$?
: >out
[ $rc = 1 ] && grep -q '^vhdxctl: -: cannot write: No space left' err
ok 'a full pipe' $?

# --- memory, progress --------------------------------------------------------------------------

# The sanitizers take more than what is measured.
vm_hwm() {
	python3 - "$top/build/vhdxctl" "$@" <<-'PY'
		import resource, subprocess, sys
		code = subprocess.call(sys.argv[1:])
		print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
	PY
}
# Every page of a large BAT has a block.
./vhdxctl create -s 64T huge.vhdx >out
mkvhdx --size 8T --block 1M --data 4K --blocks "$(seq -s, 0 2048 8388607)" huge2.vhdx
for convert in 'slow.raw m1.vhdx' '-O raw m1.vhdx m1.raw' '-O vhd m1.vhdx m1.vhd' 'm1.vhd m2.vhdx' \
	'huge.vhdx m3.vhdx' '-b 1M huge2.vhdx m4.vhdx'; do
	# shellcheck disable=SC2046,SC2086 # words
	set -- $(vm_hwm convert -q $convert)
	echo "convert $convert: exit code $1, $2 KiB" >err
	[ "$1" = 0 ] && [ "$2" -lt 65536 ]
	ok "less than 64 MiB of memory: $convert" $?
done
quiet 'the same disk' compare -q slow.raw m2.vhdx
"$top/build/vhdxctl" compare -q huge2.vhdx m4.vhdx >out 2>err
ok 'the same disk, of 8 TiB' $?
rm -f m[1-4].* huge*

# on_terminal STREAM COMMAND...: with a terminal as that stream; it is stopped for a
# moment, so that it takes its time; prints what the terminal got
on_terminal() {
	python3 - "$@" <<-'PY'
		import glob, os, pty, signal, subprocess, sys, time
		master, slave = pty.openpty()
		child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, **{sys.argv[1]: slave})
		os.close(slave)
		# Until some of the data is there, and not all of it.
		for _ in range(20000):
		    if any(os.stat(name).st_blocks > 8192 for name in glob.glob('.vhdxctl-*')) \
		            or child.poll() is not None:
		        break
		    time.sleep(0.001)
		if child.poll() is None:
		    child.send_signal(signal.SIGSTOP)
		    time.sleep(0.7)
		    child.send_signal(signal.SIGCONT)
		seen = b''
		try:
		    while True:
		        piece = os.read(master, 4096)
		        if not piece:
		            break
		        seen += piece
		except OSError:
		    pass
		sys.stdout.buffer.write(seen)
		sys.exit(child.wait())
	PY
}
on_terminal stderr ./vhdxctl convert slow.raw term.vhdx >out 2>err
rc=$?
[ $rc = 0 ] && grep -qE '[0-9.]+%  [0-9.]+ [KMG]iB/s  [0-9]+:[0-9][0-9] left  term.vhdx' out &&
	[ "$(tail -c 4 out)" = "$(printf '\r\033[K')" ]
ok 'on a terminal it says how far it is, and tidies up' $?
quiet 'and converts the same' compare -q slow.raw term.vhdx
on_terminal stderr ./vhdxctl convert -q --force slow.raw term.vhdx >out 2>err
rc=$?
[ $rc = 0 ] && [ ! -s out ]
ok '--quiet says nothing' $?
on_terminal stdout ./vhdxctl convert -O raw raw - >out 2>err
rc=$?
[ $rc = 64 ] && [ ! -s out ] && grep -q 'a disk is not written to a terminal' err
ok 'a disk is not written to a terminal' $?

finish
