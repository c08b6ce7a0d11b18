#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Chains of images as the tool's users see them, as far as that needs neither the
# driver nor a VM: new images, finding parents, info --chain, and what attach says
# before it asks the driver. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
samples=$top/../shared/images
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"

# relink FILE KEY VALUE...: gives an image's parent locator these pairs, in UTF-8;
# without parent_linkage among them it keeps its own
relink() {
	python3 - "$@" <<-'PY'
		import struct, sys, uuid
		def guid(text):
		    return uuid.UUID(text).bytes_le
		pairs = dict(zip(sys.argv[2::2], sys.argv[3::2]))
		with open(sys.argv[1], 'r+b') as f:
		    def read(at, n):
		        f.seek(at)
		        return f.read(n)
		    regions = read(0x30000, 65536)
		    at = regions.index(guid('8b7ca206-4790-4b9a-b8fe-575f050f886e'))
		    region, = struct.unpack_from('<Q', regions, at + 16)
		    table = read(region, 65536)
		    entry = table.index(guid('a8d35f2d-b30b-454d-abf7-d3d84834ab0c'))
		    offset, length = struct.unpack_from('<II', table, entry + 16)
		    old = read(region + offset, length).decode('utf-16le', 'replace')
		    if 'parent_linkage' not in pairs:
		        where = old.index('parent_linkage{') + 14
		        pairs['parent_linkage'] = old[where:where + 38]
		    head = guid('b04aefb7-d19e-4a81-b789-25b8e9445913') + struct.pack('<HH', 0, len(pairs))
		    at = len(head) + 12 * len(pairs)
		    texts = b''
		    for pair in pairs.items():
		        places = []
		        for text in pair:
		            text = text.encode('utf-16le', 'surrogatepass')
		            places.append((at + len(texts), len(text)))
		            texts += text
		        head += struct.pack('<IIHH', places[0][0], places[1][0], places[0][1], places[1][1])
		    f.seek(region + 0x40000)
		    f.write(head + texts)
		    f.seek(region + entry + 16)
		    f.write(struct.pack('<II', 0x40000, len(head + texts)))
	PY
}

guid_of() {
	./vhdxctl info --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["data-write-guid"])'
}

# What attach says of a chain that it has nothing to say against.
if [ -e /dev/vhdx-control ] || modinfo vhdx >/dev/null 2>&1; then
	whole() { skip "$1" 'there is a driver'; }
else
	whole() {
		whole_name=$1
		shift
		fails "$whole_name" 69 'cannot load the driver: no module vhdx' attach "$@"
	}
fi

# follows NAME FILE... -- ARG...: info --chain finds these, and all links are ok
follows() {
	follows_name=$1 files=
	shift
	while [ "$1" != -- ]; do
		files="$files$1|"
		shift
	done
	shift
	FILES=$files json "$follows_name" '[e["file"] for e in j["chain"]] == __import__("os").environ["FILES"].split("|")[:-1]
		and all(e["parent"]["link"] == "ok" and e["parent"]["problem"] is None for e in j["chain"][:-1])
		and j["chain"][-1]["parent"] is None' info --json --chain "$@"
}

# link NAME VERDICT PATTERN ARG...: what info --chain says of the first bad link
link() {
	link_name=$1 link_verdict=$2 link_pattern=$3
	shift 3
	ctl info --chain "$@"
	[ "$rc" = 1 ] && [ ! -s err ] && grep -qE "^    Parent: +$link_verdict: .*$link_pattern" out
	ok "$link_name" $?
}

# The folder that all is in, as the tool says it.
here=$(pwd -P)

# --- new images without a parent ---------------------------------------------------

fails 'create of nothing' 64 'create: no --size given, and no --parent' create a.vhdx
fails 'create without a name' 64 'create: no image given' create -s 1G
fails 'create of two' 64 'create: one image at a time' create -s 1G a b
for size in '' 0 -1 1.5G x 1Q 1GG 65T 99999999999999999999 16384P 1kiBB ' 1'; do
	fails "create --size '$size'" 64 'create: --size .*: not a size' create --size "$size" a.vhdx
done
fails 'create: a size that is part of a sector' 64 'not a multiple of the sector size, 512 bytes' create -s 1000 a.vhdx
fails 'the same with larger sectors' 64 'not a multiple of the sector size, 4096 bytes' create -s 512 -S 4K a.vhdx
for size in 0 1 512K 3M 512M 1x; do
	fails "create --block-size $size" 64 'create: --block-size .*: not a power of two from 1M to 256M' create -s 1G -b $size a.vhdx
done
fails 'create: sectors of 1024 bytes' 64 'create: --sector 1024: not 512 or 4096' create -s 1G -S 1024 a.vhdx
fails 'create: physical sectors of 0 bytes' 64 'create: --physical-sector 0: not 512 or 4096' create -s 1G -P 0 a.vhdx
fails 'create: physical sectors shorter than the logical ones' 64 'a.vhdx: create: --physical-sector 512: less than the logical one, 4096 bytes' \
	create -s 1G -S 4096 -P 512 a.vhdx
fails 'create: another type' 64 'create: --type thin: not dynamic or fixed' create -s 1G -t thin a.vhdx
fails 'create: an absolute path without a parent' 64 'absolute-path only with --parent' create -s 1G --absolute-path 'C:\a' a.vhdx
fails 'create in no folder' 66 'nosuch/a.vhdx: cannot create: No such file' create -s 1G nosuch/a.vhdx
fails 'create as a folder' 64 'a/: create: the name of a folder' create -s 1G a/
[ "$(echo *)" = 'err out vhdxctl' ] && [ "$(echo .??*)" = '.??*' ]
ok 'none of these left a file' $?

ctl create -s 1G new.vhdx
[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ]
ok 'create says nothing' $?
json 'a new image' 'j["type"] == "dynamic" and j["virtual-size"] == 1 << 30 and j["block-size"] == 1 << 20
	and j["logical-sector-size"] == 512 and j["physical-sector-size"] == 4096 and j["file-size"] == 4 << 20
	and j["creator"].startswith("vhdxctl ") and j["log"]["state"] == "clean"
	and all(r["required"] for r in j["regions"]) and all(h["valid"] for h in j["headers"])' info --json new.vhdx
cp new.vhdx keep.vhdx
fails 'create over a file' 73 'new.vhdx: cannot create: there is such a file already' create -s 1G new.vhdx
ln -s nosuch dangling
fails 'create over a link that leads nowhere' 73 'dangling: cannot create: there is such a file already' create -s 1G dangling
mkdir folder
fails 'create over a folder' 73 'folder: cannot create: there is such a file already' create -s 1G folder
cmp -s new.vhdx keep.vhdx
ok 'the file is as it was' $?
rm -r dangling folder keep.vhdx

umask 027
ctl create -s 8M mode.vhdx
[ "$(stat -c %a mode.vhdx)" = 640 ]
ok 'the umask counts' $?
umask 022
rm mode.vhdx

for size in 1M:1048576 1MiB:1048576 512MB:512000000 2KiB:2048 3k:3072 512:512 1t:1099511627776 64T:70368744177664; do
	bytes=${size#*:} size=${size%:*}
	ctl create -s "$size" -b 256M size.vhdx
	json "create --size $size" "j['virtual-size'] == $bytes" info --json size.vhdx
	rm -f size.vhdx
done

# size:block: the table of blocks has at most 8 MiB
for size in 512G:1 1T:2 2T:4 16T:32 64T:128; do
	block=${size#*:} size=${size%:*}
	ctl create -s "$size" large.vhdx
	if [ "$block" = 1 ]; then
		[ "$rc" = 0 ] && [ ! -s out ]
	else
		[ "$rc" = 0 ] && [ "$(cat out)" = "block size $block MiB" ]
	fi
	ok "create --size $size says the block size" $?
	json "its blocks have $block MiB" "j['block-size'] == $block << 20
		and [r['length'] for r in j['regions'] if r['name'] == 'BAT'][0] <= 8 << 20" info --json large.vhdx
	rm -f large.vhdx
done

# --- ... as other programs see them --------------------------------------------------

# all_zero FILE: the rest of what stdin has
all_zero() {
	[ "$(tr -d '\0' | wc -c)" = 0 ]
}

for image in dynamic:512:512:1M:20M dynamic:512:4096:8M:100M fixed:512:4096:1M:5M fixed:512:512:2M:5M \
	dynamic:4096:4096:1M:20M fixed:4096:4096:4M:20M dynamic:512:4096:256M:3T; do
	IFS=: read -r type logical physical block size <<-EOF
		$image
	EOF
	what="$type, sectors $logical/$physical, $block blocks, $size"
	ctl create -t "$type" -S "$logical" -P "$physical" -b "$block" -s "$size" n.vhdx
	[ "$rc" = 0 ]
	ok "create: $what" $?
	if [ "$type" = fixed ]; then
		json 'every block is there, and has its space' 'j["bat"]["payload-states"]["fully-present"]
			== j["bat"]["payload-blocks"] and j["allocated-on-host"] >= j["bat"]["allocated"]
			and j["file-size"] == (4 << 20) + j["bat"]["allocated"]' info --json n.vhdx
	fi
	if [ "$logical" = 512 ]; then
		qemu-img check -q -f vhdx n.vhdx >out 2>&1
		ok "qemu-img check: $what" $?
		qemu-img info --output=json n.vhdx >q.json
		json "qemu-img sees the same: $what" "(lambda q: j['virtual-size'] == q['virtual-size']
			and j['block-size'] == q['cluster-size'])(json.load(open('q.json')))" info --json n.vhdx
	fi
	vhdiinfo n.vhdx >out 2>&1 && grep -q 'Media size' out
	ok "vhdiinfo reads it: $what" $?
	# 7zz reads all of it.
	if [ "$size" != 3T ]; then
		7zz x -tvhdx -so n.vhdx 2>/dev/null | all_zero
		ok "7zz finds zeros: $what" $?
		"$top/tests/image/replay.py" n.vhdx >out 2>&1 && grep -q 'n.vhdx: opens' out && all_zero <n.vhdx.raw
		ok "replay.py finds zeros: $what" $?
	fi
	rm -f n.vhdx n.vhdx.raw
done
if [ "$(df --output=avail -k . | tail -n 1)" -lt 60000000000 ]; then
	touch before after
	ls -A >before
	ctl create -t fixed -s 60T large.vhdx
	ls -A >after
	[ "$rc" != 0 ] && [ ! -s out ] && one_message && cmp -s before after &&
		grep -qE 'large.vhdx: cannot create: file.*: (No space left on device|File too large)$' err
	ok 'a host without the space: nothing is left' $?
else
	skip 'a host without the space' 'it has more than 60 TB'
fi
rm -f before after

# --- above a parent -------------------------------------------------------------------

truncate -s 40M raw
poke raw 0 'first'
poke raw 5242880 'sixth'
mkdir a a/b c
qemu-img convert -q -f raw -O vhdx -o subformat=dynamic,block_size=8M raw a/base.vhdx
for conflict in '-s 1G' '-t dynamic' '-S 512' '-P 512'; do
	# shellcheck disable=SC2086 # words
	fails "create --parent $conflict" 64 'create: (the size is that|--type and --parent|the sector sizes)' \
		create --parent a/base.vhdx $conflict a/x.avhdx
done
fails 'create: an absolute path that is empty' 64 'not a path' create --parent a/base.vhdx --absolute-path '' a/x.avhdx
fails 'create above what is not there' 66 'nosuch.vhdx: cannot open: No such file' create --parent nosuch.vhdx a/x.avhdx
fails 'create above what is no image' 1 'raw: .*not a VHDX file' create --parent raw a/x.avhdx
fails 'create over a file, above another' 73 'raw: cannot create: there is such a file' create --parent a/base.vhdx raw
cp a/base.vhdx 'c/back\slash.vhdx'
fails 'create above a file whose name cannot be written' 1 'cannot be a parent: there is a backslash' create --parent 'c/back\slash.vhdx' c/x.avhdx
cp a/base.vhdx "$(printf 'c/b\344se.vhdx')"
fails 'create above a file whose name is not UTF-8' 1 'cannot create: parent locator.*not UTF-8' create --parent "$(printf 'c/b\344se.vhdx')" c/x.avhdx
rm c/*
[ "$(ls -A a)" = "$(printf 'b\nbase.vhdx')" ] && [ -z "$(ls -A c)" ]
ok 'none of these left a file' $?

ctl create --parent a/base.vhdx a/one.avhdx
[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ]
ok 'create --parent' $?
json 'the child' 'j["type"] == "differencing" and j["virtual-size"] == 40 << 20 and j["block-size"] == 2 << 20
	and j["bat"]["entries"] == 2049 and j["bat"]["payload-states"]["not-present"] == 20
	and {e["key"]: e["value"] for e in j["parent-locator"]["entries"]} ==
		{"parent_linkage": "{%s}" % j["parent-locator"]["parent-linkage"], "relative_path": ".\\base.vhdx"}
	and j["parent-locator"]["parent-linkage"] == "'"$(guid_of a/base.vhdx)"'"' info --json a/one.avhdx
python3 - <<-'PY'
	import json, subprocess, sys
	parent, child = (json.loads(subprocess.check_output(['./vhdxctl', 'info', '-J', f]))
	                 for f in ('a/base.vhdx', 'a/one.avhdx'))
	same = ('disk-id', 'virtual-size', 'logical-sector-size', 'physical-sector-size')
	sys.exit(any(parent[k] != child[k] for k in same) or
	         parent['data-write-guid'] == child['data-write-guid'])
PY
ok 'it has what belongs to the disk from its parent' $?
ctl create --parent a/one.avhdx -b 32M --absolute-path 'D:\vm\one.avhdx' a/b/two.avhdx
json 'a child in a folder below' 'j["block-size"] == 32 << 20 and {"key": "absolute_win32_path", "value": "D:\\vm\\one.avhdx"} in
	j["parent-locator"]["entries"] and {"key": "relative_path", "value": ".\\..\\one.avhdx"} in
	j["parent-locator"]["entries"]' info --json a/b/two.avhdx
ctl create --parent a/b/two.avhdx c/three.avhdx
json 'a child in another folder' '{"key": "relative_path", "value": ".\\..\\a\\b\\two.avhdx"} in
	j["parent-locator"]["entries"]' info --json c/three.avhdx
ln -s a linked
ctl create --parent linked/b/two.avhdx four.avhdx
json 'a parent in a folder below, through a link' '{"key": "relative_path", "value": ".\\a\\b\\two.avhdx"} in
	j["parent-locator"]["entries"]' info --json four.avhdx
rm linked

# What they hold is the parent's, to others too. (7zz looks in one folder only.)
ctl create --parent a/one.avhdx a/next.avhdx
for image in one next; do
	7zz x -tvhdx -so a/$image.avhdx 2>err | cmp -s - raw
	ok "7zz reads a chain: $image.avhdx" $?
done
rm a/next.avhdx
vhdiinfo a/one.avhdx >out 2>&1 && grep -q 'Differential$' out &&
	grep -q "Parent identifier.*: $(guid_of a/base.vhdx)\$" out
ok 'vhdiinfo sees a differencing image and its parent' $?

# --- the chain ---------------------------------------------------------------------------

follows 'info --chain of an image without a parent' a/base.vhdx -- a/base.vhdx
follows 'info --chain of a child' a/one.avhdx "$here/a/base.vhdx" -- a/one.avhdx
follows 'info --chain from folder to folder' c/three.avhdx "$here/a/b/two.avhdx" "$here/a/one.avhdx" "$here/a/base.vhdx" -- c/three.avhdx
json 'what it says of each' '[e["type"] for e in j["chain"]] == ["differencing", "dynamic"]
	and [e["block-size"] for e in j["chain"]] == [2 << 20, 8 << 20]
	and [e["virtual-size"] for e in j["chain"]] == [40 << 20] * 2
	and [e["allocated"] for e in j["chain"]] == [0, 8 << 20]
	and j["chain"][0]["parent"]["wanted-path"] == ".\\base.vhdx"
	and j["chain"][0]["parent"]["parent-linkage"] == j["chain"][1]["data-write-guid"]' info --chain --json a/one.avhdx
passes 'and in words' '^    Parent: +ok$' info --chain a/one.avhdx
grep -qE "^  $here/a/base.vhdx\$" out && grep -qE '^    Allocated: +8 MiB' out && [ "$(grep -c '^    DataWriteGuid: ' out)" = 2 ]
ok 'with both files' $?
json 'without --chain there is none' '"chain" not in j' info --json a/one.avhdx
(cd a && ../vhdxctl info --chain one.avhdx) >out 2>err && grep -q "^  $here/a/base.vhdx\$" out
ok 'the folder is that of the image, not the one the user is in' $?
ln -s "$here/a/one.avhdx" c/link.avhdx
follows 'and of the file that a link leads to' c/link.avhdx "$here/a/base.vhdx" -- c/link.avhdx
rm c/link.avhdx
whole 'attach of a chain' c/three.avhdx
whole 'attach -r of a chain' -r c/three.avhdx
if [ -e "$samples/child.vhdx.xz" ]; then
	mkdir s
	xz -dc "$samples/child.vhdx.xz" >s/child.vhdx
	link "another writer's child without its parent" missing "it wants parent.vhdx, looked for $here/s/parent.vhdx" s/child.vhdx
	xz -dc "$samples/parent.vhdx.xz" >s/parent.vhdx
	follows "another writer's child" s/child.vhdx "$here/s/parent.vhdx" -- s/child.vhdx
	ctl create --parent s/child.vhdx s/grandchild.avhdx
	follows 'a child above it' s/grandchild.avhdx "$here/s/child.vhdx" "$here/s/parent.vhdx" -- s/grandchild.avhdx
	rm -r s
else
	skip "another writer's child" 'no ../shared/images'
fi

# --- where parents are looked for ------------------------------------------------------------

mkdir d d/Sub d/other
cp a/base.vhdx d/Sub/Base.VHDX
ctl create --parent d/Sub/Base.VHDX d/leaf.avhdx
# The file system's own mount point, for absolute paths.
mount=$(stat -c %m d)
below=${here#"$mount"}
windows=$(printf '%s' "${below#/}" | sed 's,/,\\,g')
found() {
	found_name=$1
	shift
	relink d/leaf.avhdx "$@"
	follows "found: $found_name" d/leaf.avhdx "$here/d/Sub/Base.VHDX" -- d/leaf.avhdx
}
found 'relative' relative_path '.\Sub\Base.VHDX'
found 'relative, without a dot' relative_path 'Sub\Base.VHDX'
found 'relative, with slashes' relative_path './Sub/Base.VHDX'
found 'relative, up and down' relative_path '..\d\Sub\..\Sub\Base.VHDX'
found 'in another case' relative_path '.\sUB\bASE.vhdx'
found 'with steps that go nowhere' relative_path '.\\.\Sub\.\\Base.VHDX'
found 'by drive' absolute_win32_path "X:\\$windows\\d\\Sub\\Base.VHDX"
found 'by drive, in another case' absolute_win32_path "x:\\$windows\\d\\SUB\\BASE.VHDX"
found 'by drive, with the prefix' absolute_win32_path "\\\\?\\X:\\$windows\\d\\Sub\\Base.VHDX"
found 'by volume' volume_path "\\\\?\\Volume{9cdf8dfa-0000-0000-0000-501f00000000}\\$windows\\d\\Sub\\Base.VHDX"
found 'by share' absolute_win32_path "\\\\server\\share\\$windows\\d\\Sub\\Base.VHDX"
found 'by share, with the prefix' absolute_win32_path "\\\\?\\UNC\\server\\share\\$windows\\d\\Sub\\Base.VHDX"
found 'the second path, where the first leads nowhere' relative_path '.\nosuch.vhdx' volume_path '\\?\Volume{x}\nosuch' \
	absolute_win32_path "C:\\$windows\\d\\Sub\\Base.VHDX"
mv d/Sub/Base.VHDX "d/other/größe.vhdx"
relink d/leaf.avhdx relative_path '.\OTHER\GRÖßE.vhdx'
follows 'found: in another case, beyond ASCII' d/leaf.avhdx "$here/d/other/größe.vhdx" -- d/leaf.avhdx
mv "d/other/größe.vhdx" d/Base.vhdx
relink d/leaf.avhdx absolute_win32_path 'C:\gone\base.vhdx'
follows "found: by its name in the child's folder" d/leaf.avhdx "$here/d/Base.vhdx" -- d/leaf.avhdx
cp d/Base.vhdx d/base.vhdx
follows 'the case it is named in comes first' d/leaf.avhdx "$here/d/base.vhdx" -- d/leaf.avhdx
rm d/base.vhdx
mkdir moved
mv d/Base.vhdx moved/
fails 'a missing parent' 66 "leaf.avhdx: cannot attach: its parent is missing: it wants C:\\\\gone\\\\base.vhdx, looked for .*$here/d/base.vhdx" attach d/leaf.avhdx
grep -q '^hint: --parent FILE .*--parent-dir DIR' err
ok 'and the hint' $?
fails 'a missing parent, read-only' 66 'its parent is missing' attach -r d/leaf.avhdx
link 'a missing parent in info' missing 'it wants C:\\gone\\base.vhdx' d/leaf.avhdx
json_missing='[e["parent"]["link"] for e in j["chain"]] == ["missing"] and j["chain"][0]["parent"]["wanted-path"] == "C:\\gone\\base.vhdx"'
ctl info --json --chain d/leaf.avhdx
[ "$rc" = 1 ] && python3 -c "import json; j = json.load(open('out')); exit(not ($json_missing))"
ok 'and in its JSON' $?
fails 'it is not in an empty folder' 66 "its parent is missing: .*$here/c/base.vhdx" attach --parent-dir "$here/c" d/leaf.avhdx
follows 'found: by --parent-dir' d/leaf.avhdx "$here/moved/Base.vhdx" -- --parent-dir moved d/leaf.avhdx
follows 'found: in the second --parent-dir' d/leaf.avhdx "$here/moved/Base.vhdx" -- --parent-dir c --parent-dir moved/ d/leaf.avhdx
follows 'found: by --parent' d/leaf.avhdx moved/Base.vhdx -- --parent moved/Base.vhdx d/leaf.avhdx
whole 'attach --parent-dir' --parent-dir moved d/leaf.avhdx
whole 'attach --parent' --parent moved/Base.vhdx d/leaf.avhdx
fails '--parent that is not there' 66 'leaf.avhdx: cannot attach: cannot open its parent nosuch: No such file' attach --parent nosuch d/leaf.avhdx
fails '--parent that is a folder' 66 'cannot open its parent moved: Is a directory' attach --parent moved d/leaf.avhdx
fails '--parent that is no image' 1 'its parent raw: .*not a VHDX file' attach --parent raw d/leaf.avhdx
fails '--parent of an image that has none' 64 'raw: --parent: a/base.vhdx has no parent' attach -r --parent raw a/base.vhdx
fails 'one --parent too many' 64 'raw: --parent: moved/Base.vhdx has no parent' attach --parent moved/Base.vhdx --parent raw d/leaf.avhdx
follows 'one --parent, and the rest is looked for' c/three.avhdx a/b/two.avhdx "$here/a/one.avhdx" "$here/a/base.vhdx" -- --parent a/b/two.avhdx c/three.avhdx
follows 'two --parents' c/three.avhdx a/b/two.avhdx a/one.avhdx "$here/a/base.vhdx" -- --parent a/b/two.avhdx --parent a/one.avhdx c/three.avhdx
set --
for i in $(seq 65); do set -- "$@" --parent "p$i"; done
fails '65 times --parent' 64 'p65: more than 64 parents' attach "$@" c/three.avhdx

# --- parents that are the wrong ones --------------------------------------------------------------

cp moved/Base.vhdx keep.vhdx
qemu-io -f vhdx -c 'write -P 9 0 4k' moved/Base.vhdx >out 2>&1
was=$(guid_of keep.vhdx) is=$(guid_of moved/Base.vhdx)
[ "$was" != "$is" ]
ok '(qemu-io changed it)' $?
fails 'a parent that was changed: both GUIDs' 1 "cannot attach: its parent $here/moved/Base.vhdx does not match: .*parent_linkage $was .* $is\$" \
	attach --parent-dir moved d/leaf.avhdx
grep -q '^hint: --parent FILE .*--ignore-id-mismatch' err
ok 'and the hint' $?
link 'in info' mismatch "parent_linkage $was .* $is" --parent-dir moved d/leaf.avhdx
grep -q "^  $here/moved/Base.vhdx\$" out
ok 'which shows the file too' $?
fails 'a parent that was changed, read-only' 1 'does not match' attach -r --parent-dir moved d/leaf.avhdx
whole 'and --ignore-id-mismatch' -r --ignore-id-mismatch --parent-dir moved d/leaf.avhdx
fails 'and converted' 1 'cannot read: its parent .* does not match' convert --parent-dir moved d/leaf.avhdx no.raw
grep -q "^hint: .*'vhdxctl attach -r --ignore-id-mismatch' takes it\$" err
ok 'with a hint that names the command that takes it' $?
fails '--parent that does not match' 1 'its parent moved/Base.vhdx does not match' attach --parent moved/Base.vhdx d/leaf.avhdx
mv keep.vhdx c/base.vhdx
follows 'a file that does not match is passed over' d/leaf.avhdx "$here/c/base.vhdx" -- --parent-dir moved --parent-dir c d/leaf.avhdx
whole 'in an attach too' --parent-dir moved --parent-dir c d/leaf.avhdx
rm moved/Base.vhdx
echo rubbish >d/base.vhdx
follows 'so is one that is no image' d/leaf.avhdx "$here/c/base.vhdx" -- --parent-dir c d/leaf.avhdx
fails 'which is told of where there is no other' 1 "its parent $here/d/base.vhdx: .*not a VHDX file" attach d/leaf.avhdx
cp c/base.vhdx d/base.vhdx
poke d/base.vhdx 65600 '\377\377\377'
poke d/base.vhdx 131136 '\377\377\377'
fails 'a damaged parent' 1 "its parent $here/d/base.vhdx: header 1 at offset 0x10000" attach d/leaf.avhdx
rm d/base.vhdx
mkfifo d/base.vhdx
fails 'a parent that is a FIFO' 66 "cannot open its parent $here/d/base.vhdx: not a regular file" attach d/leaf.avhdx
rm d/base.vhdx
# Windows fills parent_linkage2 with zeros, which is no image's identity.
cp c/base.vhdx d/base.vhdx
relink d/leaf.avhdx relative_path '.\base.vhdx' parent_linkage '{11111111-2222-3333-4444-555555555555}' parent_linkage2 "{$was}"
follows 'the second linkage' d/leaf.avhdx "$here/d/base.vhdx" -- d/leaf.avhdx
relink d/leaf.avhdx relative_path '.\base.vhdx' parent_linkage '{11111111-2222-3333-4444-555555555555}' \
	parent_linkage2 '{00000000-0000-0000-0000-000000000000}'
fails 'neither linkage' 1 'parent_linkage 11111111-2222-3333-4444-555555555555 ' attach d/leaf.avhdx
ctl create -s 40M -S 4096 d/large.vhdx
relink d/leaf.avhdx relative_path '.\large.vhdx' parent_linkage "{$(guid_of d/large.vhdx)}"
fails 'a parent with other sectors' 1 "its parent $here/d/large.vhdx: metadata item, LogicalSectorSize .*the parent has another" attach d/leaf.avhdx
rm -r d moved

# --- chains without an end ----------------------------------------------------------------------

mkdir e
cp a/base.vhdx e/base.vhdx
ctl create --parent e/base.vhdx e/x.avhdx
ctl create --parent e/base.vhdx e/y.avhdx
relink e/x.avhdx relative_path '.\x.avhdx' parent_linkage "{$(guid_of e/x.avhdx)}"
fails 'its own parent' 66 "x.avhdx: cannot attach: it is its own parent: $here/e/x.avhdx" attach -r e/x.avhdx
link 'in info too' unusable 'it is its own parent' e/x.avhdx
ln e/x.avhdx e/same.avhdx
relink e/x.avhdx relative_path '.\same.avhdx' parent_linkage "{$(guid_of e/x.avhdx)}"
fails 'its own parent, by another name' 66 'it is its own parent' attach -r e/x.avhdx
rm e/same.avhdx
fails '--parent is the image' 66 'it is its own parent: e/x.avhdx' attach -r --parent e/x.avhdx e/x.avhdx
relink e/x.avhdx relative_path '.\y.avhdx' parent_linkage "{$(guid_of e/y.avhdx)}"
relink e/y.avhdx relative_path '.\x.avhdx' parent_linkage "{$(guid_of e/x.avhdx)}"
fails 'each is the parent of the other' 66 "$here/e/y.avhdx: cannot attach: the chain goes in a circle: its parent is $here/e/x.avhdx again" attach -r e/x.avhdx
link 'in info too' unusable 'the chain goes in a circle' e/x.avhdx
fails 'for writing it is a parent first' 1 'it is the parent of' attach e/x.avhdx
rm -r e

mkdir f
ctl create -s 4M f/0.vhdx
ctl create --parent f/0.vhdx f/1.vhdx
last=1
while [ $last -lt 64 ] && [ "$rc" = 0 ]; do
	ctl create --parent f/$last.vhdx f/$((last + 1)).vhdx
	last=$((last + 1))
done
[ $last = 64 ] && [ "$rc" = 0 ]
ok 'a chain of 65' $?
fails 'create: one too long to be opened' 66 'f/64.vhdx: cannot be a parent: it has 64 of them itself' create --parent f/64.vhdx f/65.vhdx
[ ! -e f/65.vhdx ]
ok 'there is none' $?
# Without its end nobody knows how long it is.
mv f/0.vhdx f/gone
ctl create --parent f/64.vhdx f/65.vhdx
[ "$rc" = 0 ] && mv f/gone f/0.vhdx
ok 'a chain of 66' $?
json '64 parents' 'len(j["chain"]) == 65 and all(e["parent"]["link"] == "ok" for e in j["chain"][:-1])
	and j["chain"][-1]["file"].endswith("f/0.vhdx")' info --json --chain f/64.vhdx
whole 'attach with 64 parents' -r f/64.vhdx
fails '65 parents' 66 "f/1.vhdx: cannot attach: it is a parent too many: a chain has 64 of them at most" attach f/65.vhdx
link 'in info too' unusable 'it is a parent too many' f/65.vhdx
rm -r f

# --- where an image's paths must not lead ---------------------------------------------------------

mkdir g
cp a/base.vhdx g/base.vhdx
ctl create --parent g/base.vhdx g/leaf.avhdx
rm g/base.vhdx
up='..\..\..\..\..\..\..\..\..\..\..\..'
forbidden='nothing there is opened because an image names it'
# A device that would be seen to be opened is not at hand; that none is asked for is.
# slashes PATH: for the name of a test
slashes() {
	printf '%.20s' "$1" | sed 's,\\,/,g'
}
for path in 'proc\self\mem' 'proc\version' 'sys\kernel\uevent_seqnum' 'dev\null' 'dev\zero' 'DEV\null'; do
	relink g/leaf.avhdx relative_path "$up\\$path"
	fails "a path to $(slashes "$path")" 77 "$forbidden" attach -r g/leaf.avhdx
done
relink g/leaf.avhdx relative_path '.\base.vhdx'
ln -s /proc/version g/base.vhdx
fails 'a link to /proc' 77 "its parent would be $here/g/base.vhdx, and $forbidden" attach -r g/leaf.avhdx
rm g/base.vhdx
ln -s /dev g/down
relink g/leaf.avhdx relative_path '.\down\zero'
fails 'through a link to /dev' 77 "$forbidden" attach -r g/leaf.avhdx
relink g/leaf.avhdx relative_path '.\down\ZERO'
fails 'nor is anything looked for there' 66 'its parent is missing' attach -r g/leaf.avhdx
for path in '\\.\dev\null' '\\?\GLOBALROOT\dev\null' '/dev/null' 'C:\dev\null' '\\server\share\dev\null'; do
	relink g/leaf.avhdx absolute_win32_path "$path"
	ctl attach -r g/leaf.avhdx
	[ ! -s out ] && one_message && grep -qE "its parent is missing|$forbidden" err
	ok "an absolute path: $(slashes "$path")" $?
done
rm -r g

# --- paths that are strange --------------------------------------------------------------------------

mkdir h
cp a/base.vhdx h/base.vhdx
ctl create --parent h/base.vhdx h/leaf.avhdx
# shellcheck disable=SC1003 # backslashes it is
for path in '\' '.' '..' '\\' '\\?\' '\\?\UNC\' '\\server' 'C:' 'C:\' '.\base.vhdx\x' "$(printf 'a%.0s' $(seq 5000))"; do
	relink h/leaf.avhdx relative_path "$path"
	fails "the path $(slashes "$path")" 66 'its parent' attach -r h/leaf.avhdx
done
relink h/leaf.avhdx relative_path "$(printf '.\\\033[31mred\302\233\n.vhdx')"
fails 'control characters in a path are escaped' 66 'it wants \.\\\\x1b\[31mred\\u\{9b\}\\x0a\.vhdx,' attach -r h/leaf.avhdx
link 'in info too' missing 'it wants \.\\\\x1b\[31mred\\u\{9b\}\\x0a\.vhdx,' h/leaf.avhdx
rm -r h

# --- writing to a parent --------------------------------------------------------------------------------

parent="base.vhdx: cannot attach for writing: it is the parent of $here/i/leaf.avhdx"
mkdir i
cp a/base.vhdx i/base.vhdx
whole 'attach of an image without a child' i/base.vhdx
ctl create --parent i/base.vhdx i/leaf.avhdx
fails 'attach of a parent' 1 "$parent" attach i/base.vhdx
grep -q "^hint: 'vhdxctl attach -r' .*--allow-parent-write" err
ok 'and the hint' $?
whole 'attach -r of a parent' -r i/base.vhdx
whole 'attach --allow-parent-write' --allow-parent-write i/base.vhdx
whole 'attach of its child' i/leaf.avhdx
ln -s i/base.vhdx to-base.vhdx
fails 'attach of a parent through a link' 1 'to-base.vhdx: cannot attach for writing: it is the parent of' attach to-base.vhdx
mv i/base.vhdx i/BASE.VHDX
fails 'attach of a parent in another case' 1 'BASE.VHDX: cannot attach for writing: it is the parent of' attach i/BASE.VHDX
mkdir locale && localedef -i tr_TR -f UTF-8 "$PWD/locale/tr_TR.UTF-8" >out 2>err
[ "$(LOCPATH=$PWD/locale LC_ALL=tr_TR.UTF-8 locale charmap)" = UTF-8 ]
ok 'a Turkish locale' $?
mkdir j && cp a/base.vhdx j/DISK-I.vhdx && ./vhdxctl create --parent j/DISK-I.vhdx j/leaf.avhdx >out 2>err && mv j/DISK-I.vhdx j/disk-i.vhdx
LOCPATH=$PWD/locale LC_ALL=tr_TR.UTF-8 fails 'attach of a parent in another case, in Turkish' 1 'it is the parent of' attach j/disk-i.vhdx
LOCPATH=$PWD/locale LC_ALL=tr_TR.UTF-8 ctl check --chain -q j/leaf.avhdx
[ "$rc" = 0 ]
ok 'and its child has it' $?
rm -r j locale
mv i/BASE.VHDX i/base.vhdx
ln i/base.vhdx i/same.vhdx
fails 'attach of a parent by another link' 1 'same.vhdx: cannot attach for writing: it is the parent of' attach i/same.vhdx
rm i/same.vhdx
cp i/leaf.avhdx saved
qemu-img create -q -f vhdx i/other.vhdx 8M
mkfifo i/fifo
ln -s nosuch i/dangling
printf vhdxfile >i/short.vhdx
: >i/empty
head -c 1M i/leaf.avhdx >i/cut.avhdx
fails 'among files that are nothing' 1 "$parent" attach i/base.vhdx
# A child that is damaged, or of another image of that name, is none.
poke i/leaf.avhdx 65600 '\377\377\377'
poke i/leaf.avhdx 131136 '\377\377\377'
whole 'a damaged child is no reason' i/base.vhdx
cp saved i/leaf.avhdx
relink i/leaf.avhdx relative_path '.\base.vhdx' parent_linkage '{11111111-2222-3333-4444-555555555555}'
whole 'nor is that of an image that was changed' i/base.vhdx
cp saved i/leaf.avhdx
relink i/leaf.avhdx relative_path '.\base2.vhdx'
whole 'nor is that of another name' i/base.vhdx
relink i/leaf.avhdx relative_path '.\base2.vhdx' absolute_win32_path 'C:\x\BASE.vhdx'
fails 'any of its paths counts' 1 "$parent" attach i/base.vhdx
mkdir i/below
mv i/leaf.avhdx i/below/
whole 'folders below are not looked into' i/base.vhdx
ctl create --parent i/base.vhdx i/mid.avhdx
ctl create --parent i/mid.avhdx i/leaf.avhdx
fails 'a child can be a parent too' 1 "mid.avhdx: cannot attach for writing: it is the parent of $here/i/leaf.avhdx" attach i/mid.avhdx
rm -r i to-base.vhdx saved

# --- locks -------------------------------------------------------------------------------------------------

qemu_has '' a/base.vhdx
fails 'a parent that QEMU writes' 75 "one.avhdx: cannot attach: its parent $here/a/base.vhdx is locked by QEMU's image lock: it is open in process $qemu \(qemu-io\)\$" attach a/one.avhdx
fails 'the same, read-only' 75 "is locked by QEMU's image lock" attach -r a/one.avhdx
fails 'nor is it made a parent' 75 "base.vhdx: cannot be a parent while it is written to: it is open in process $qemu" create --parent a/base.vhdx a/new.avhdx
[ ! -e a/new.avhdx ]
ok 'and nothing is left of that' $?
passes 'info --chain all the same' '^    Parent: +ok$' info --chain a/one.avhdx
qemu_lets_go
qemu_has -r a/base.vhdx
whole 'a parent that QEMU reads' a/one.avhdx
ctl create --parent a/base.vhdx a/new.avhdx
[ "$rc" = 0 ]
ok 'and a new child of it' $?
qemu_lets_go

finish
