#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl map: where each piece of a disk is, against QEMU's word where it has one
# and against the bytes themselves. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
make -s -C "$top" build/mkvhdx >&2 || exit 1
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"
PATH=$top/build:$PATH

# as_qemu NAME FORMAT FILE: the same extents and flags as qemu-img map. Where it
# calls the hole of a fixed VHD data and zero, both words count as zero.
as_qemu() {
	qemu-img map -f "$2" --output=json "$3" >q.json 2>err
	json "$1" '(lambda q: same(q, j["extents"]))(json.load(open("q.json")))' map -J "$3"
}
json() {
	json_name=$1 json_expression=$2
	shift 2
	ctl "$@"
	[ "$rc" = 0 ] && [ ! -s err ] && python3 - "$json_expression" 2>>err <<-'PY'
		import json, sys
		def runs(extents):
		    out = []
		    for e in extents:
		        flags = [e['zero'], None if e['zero'] else e['data'], e['present'], e['depth']]
		        # Without zeros the place counts, and how it goes on.
		        place = None if e['zero'] else e['offset'] - e['start']
		        if out and out[-1][2:] == [flags, place] and out[-1][1] == e['start']:
		            out[-1][1] += e['length']
		        else:
		            out.append([e['start'], e['start'] + e['length'], flags, place])
		    return out
		def same(theirs, ours):
		    if runs(theirs) != runs(ours):
		        print(runs(theirs), runs(ours), sep='\n', file=sys.stderr)
		    return runs(theirs) == runs(ours)
		j = json.load(open('out', encoding='utf-8'))
		assert j['schema'] == 1
		# They cover the disk without a gap, and none goes on where another ends.
		end = 0
		for e in j['extents']:
		    assert e['start'] == end and e['length'] > 0
		    end += e['length']
		    assert ('offset' in e) == ('filename' in e)
		    assert not (e['zero'] and e['data']) and ('offset' in e or not e['data'])
		sys.exit(not eval('(%s)' % sys.argv[1]))
	PY
	ok "$json_name" $?
}

# shows NAME RAW FILE ARG...: data is where the map says, with these bytes, and
# elsewhere the disk is zeros
shows() {
	shows_name=$1 shows_raw=$2
	shift 2
	ctl map -J "$@"
	[ "$rc" = 0 ] && [ ! -s err ] && python3 - "$shows_raw" >err 2>&1 <<-'PY'
		import json, os, sys
		disk = open(sys.argv[1], 'rb')
		for e in json.load(open('out'))['extents']:
		    disk.seek(e['start'])
		    if e['zero']:
		        assert not any(disk.read(e['length'])), e
		        continue
		    assert e['data'], e
		    with open(e['filename'], 'rb') as f:
		        f.seek(e['offset'])
		        assert f.read(e['length']) == disk.read(e['length']), e
		assert e['start'] + e['length'] == os.path.getsize(sys.argv[1])
	PY
	ok "$shows_name" $?
}

# --- what QEMU has a word on --------------------------------------------------

truncate -s 20M raw
noise 1 320 | dd of=raw bs=64k seek=3 conv=notrunc iflag=fullblock status=none
dd if=/dev/zero of=raw bs=64k seek=64 count=5 conv=notrunc status=none
noise 2 8 | dd of=raw bs=4k seek=2047 conv=notrunc iflag=fullblock status=none
poke raw 20971519 'y'
sync raw
as_qemu 'raw: as qemu-img map' raw raw
json 'raw: data and holes' 'any(e["data"] for e in j["extents"]) and any(e["zero"] for e in j["extents"])' map -J raw
for sub in fixed dynamic; do
	qemu-img convert -f raw -O vpc -o subformat=$sub,force_size raw q.vhd
	sync q.vhd
	if [ $sub = fixed ]; then
		as_qemu "VHD, $sub: as qemu-img map" vpc q.vhd
	else
		# QEMU looks neither at the bitmap of a block nor for holes in the file.
		qemu-img map -f vpc --output=json q.vhd >q.json
		json 'VHD, dynamic: data where qemu-img map has it' 'all(any(t["data"] and t["start"] <= e["start"]
			and e["start"] + e["length"] <= t["start"] + t["length"] and t["offset"] - t["start"] == e["offset"] - e["start"]
			for t in json.load(open("q.json"))) for e in j["extents"] if e["data"])' map -J q.vhd
	fi
	shows "VHD, $sub: the bytes are there" raw q.vhd
	rm -f q.vhd
done

# --- VHDX ------------------------------------------------------------------------

qemu-img convert -f raw -O vhdx -o block_size=1M raw q.vhdx
sync q.vhdx
shows 'VHDX of qemu-img: the bytes are there' raw q.vhdx
json 'VHDX: blocks that are there, and that are not' '{e["state"] for e in j["extents"]} <= {"fully-present", "not-present", "zero"}
	and all(e["state"] == "fully-present" for e in j["extents"] if e["data"])
	and all("offset" not in e for e in j["extents"] if e["state"] != "fully-present")
	and all(e["present"] == (e["state"] != "not-present") for e in j["extents"])' map -J q.vhdx
# The blocks that the map has, in QEMU's own format: it has as many clusters.
qemu-img convert -f raw -O qcow2 -o cluster_size=1M raw q.qcow2
qemu-img map --output=json q.qcow2 >q.json
json 'VHDX: the blocks are the clusters of qcow2' '(lambda blocks: blocks(json.load(open("q.json"))) == blocks(j["extents"]))(
	lambda extents: {i for e in extents if e["data"]
		for i in range(e["start"] >> 20, (e["start"] + e["length"] + 0xfffff) >> 20)})' map -J q.vhdx
mkvhdx --size 16M --blocks 0,1:1,2:2,3:3,5 m.vhdx
json 'VHDX: every state' '[(e["state"], e["start"] >> 20, e["length"] >> 20) for e in j["extents"]] == [
	("fully-present", 0, 1), ("undefined", 1, 1), ("zero", 2, 1), ("unmapped", 3, 1), ("not-present", 4, 1),
	("fully-present", 5, 1), ("not-present", 6, 10)]' map -J m.vhdx
mkvhdx --size 64M --block 8M --data 64K --fixed m.vhdx
sync m.vhdx
json 'a hole in the file below a block' '[(e["start"], e["length"], e["data"], e["zero"]) for e in j["extents"][:3]] == [
	(0, 65536, True, False), (65536, (8 << 20) - (128 << 10), False, True), ((8 << 20) - 65536, 131072, True, False)]
	and all(e["state"] == "fully-present" and "offset" in e for e in j["extents"])' map -J m.vhdx
passes 'columns' '^ *START +LENGTH TYPE DEPTH STATE +OFFSET FILE$' map m.vhdx
passes 'in bytes' '^ +65536 +8257536 zero +0 fully-present +[0-9]+ m.vhdx$' map m.vhdx
ctl map -n --raw m.vhdx
[ "$rc" = 0 ] && [ "$(head -n 1 out | cut -d' ' -f1-5)" = '0 65536 data 0 fully-present' ]
ok '--raw and --noheadings' $?

# --- chains -----------------------------------------------------------------------

mkdir chain
mkvhdx --chain 3 --seed 5 --size 24M chain
for level in 0 1 2 3; do
	./vhdxctl convert -O raw chain/$level.vhdx c$level.raw
	sync chain/$level.vhdx
	shows "a chain, $level of 3: the bytes are there" c$level.raw --chain chain/$level.vhdx
	json "$level of 3: each depth has its file" 'all(e["filename"].endswith("/%d.vhdx" % ('$level' - e["depth"]))
		for e in j["extents"] if "filename" in e)
		and max(e["depth"] for e in j["extents"]) <= '$level map -J --chain chain/$level.vhdx
done
mkvhdx --size 8M --guid 1 --blocks 0,1,2 parent.vhdx
mkvhdx --size 8M --guid 2 --differencing --blocks 1,2:2,3 child.vhdx
json '--chain: who says what' '[(e["depth"], e["state"], e["present"], e["start"] >> 20, e["length"] >> 20) for e in j["extents"]] == [
	(1, "fully-present", True, 0, 1), (0, "fully-present", True, 1, 1), (0, "zero", True, 2, 1),
	(0, "fully-present", True, 3, 1), (1, "not-present", False, 4, 4)]' map -J --chain child.vhdx
json 'without it: where the parent is seen' '[(e["state"], e["data"], e["zero"], e["present"]) for e in j["extents"]] == [
	("not-present", False, False, False), ("fully-present", True, False, True), ("zero", False, True, True),
	("fully-present", True, False, True), ("not-present", False, False, False)]
	and all(e["depth"] == 0 for e in j["extents"])' map -J child.vhdx
passes 'in words' '^ +0 +1048576 parent +0 not-present *$' map child.vhdx
mkvhdx --size 8M --guid 2 --differencing --blocks 1:7 --seed 3 partial.vhdx
json 'a block that is there in part' '(lambda p: any(e["data"] for e in p) and any(not e["present"] and not e["zero"] for e in p))(
	[e for e in j["extents"] if e["state"] == "partially-present"])' map -J partial.vhdx
json 'above its parent' '{e["depth"] for e in j["extents"] if 1 << 20 <= e["start"] < 2 << 20} == {0, 1}' map -J --chain partial.vhdx
mkdir elsewhere
mv parent.vhdx elsewhere/
fails 'no parent' 66 'child.vhdx: cannot read: its parent is missing' map --chain child.vhdx
passes 'without --chain none is needed' 'fully-present' map child.vhdx
passes '--parent-dir' ' elsewhere/parent.vhdx$|/elsewhere/parent.vhdx$' map --chain --parent-dir elsewhere child.vhdx
passes '--parent' ' elsewhere/parent.vhdx$' map --chain --parent elsewhere/parent.vhdx child.vhdx

# --- what cannot be ------------------------------------------------------------------

fails 'no image' 64 'map: no image given' map
fails 'two images' 64 'map: one image at a time' map a b
fails 'a parent without --chain' 64 'map: --parent and --parent-dir only with --chain' map --parent a b
fails '--json with --raw' 64 'exclude each other' map --json --raw raw
fails 'no such file' 66 'nosuch: cannot open' map nosuch
fails 'raw is no VHDX' 1 'not a VHDX file' map -f vhdx raw
passes 'an image taken as raw' '^ *0 .* data ' map -f raw q.vhdx
cp q.vhdx bad.vhdx
poke bad.vhdx 65600 '\377\377\377'
poke bad.vhdx 131136 '\377\377\377'
fails 'damaged, in JSON: no JSON' 1 'header' map -J bad.vhdx
qemu-img convert -f raw -O vpc -o subformat=dynamic,force_size raw bad.vhd
poke bad.vhd 1536 '\0\177\0\0'
fails 'VHD: a block past the end' 1 'table at offset 0x600' map bad.vhd
qemu_has '' q.vhdx
passes 'an image that QEMU writes' 'fully-present' map q.vhdx
qemu_lets_go
: >empty
json 'an empty file has no extents' 'j["extents"] == []' map -J empty

finish
