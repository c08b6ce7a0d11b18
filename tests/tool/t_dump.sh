#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl dump: the structures of images, damaged ones too. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"
make -s -C "$top" build/mkvhdx >&2 || exit 1
PATH=$top/build:$PATH

fails 'without an image' 64 'dump: no image given' dump
fails 'a section that is none' 64 'header: dump: not headers, regions' dump header a
fails 'no such file' 66 'nosuch: cannot open' dump nosuch

mkvhdx --size 16M --blocks 0,3,5:2 m.vhdx
cp m.vhdx keep.vhdx
passes 'headers: both slots' '^  header 2 at 0x20000: checksum right, current$' dump headers m.vhdx
passes 'regions: both tables' '^  region table 2 at 0x40000: 2 entries$' dump regions m.vhdx
passes 'metadata: values' '^      VirtualDiskSize 16777216$' dump metadata m.vhdx
passes 'the locator there is not' '^  there is none$' dump locator m.vhdx
passes 'BAT entries' '^  \[3\] 0x0000000000[0-9a-f]{6} block 3, fully-present at 0x[0-9a-f]+$' dump bat m.vhdx
ctl dump m.vhdx
[ "$rc" = 0 ] && grep -q '^Headers:' out && grep -q '^Metadata:' out && ! grep -q '^BAT:' out
ok 'without a section: all but bat and log' $?
json '--json' 'len(j["headers"]["slots"]) == 2 and j["headers"]["slots"][1]["current"]
	and len(j["region-tables"]) == 2 and len(j["metadata"]["entries"]) == 5
	and j["parent-locator"] is None and "bat" not in j' dump --json m.vhdx
json '--json bat' '[(e["block"], e["state-name"]) for e in j["bat"]] ==
	[(0, "fully-present"), (3, "fully-present"), (5, "zero")] and "headers" not in j' dump -J bat m.vhdx
json '--json log of a clean image' 'j["log"] == []' dump -J log m.vhdx
cmp -s m.vhdx keep.vhdx
ok 'dump changes nothing' $?

mkvhdx --size 16M --parent '.\p.vhdx' --blocks 1:7 c.vhdx
passes 'a locator' '^    relative_path = \.\\p\.vhdx$' dump locator c.vhdx
json '--json of a child' '"bitmap-of-chunk" in j["bat"][-1] and any(e.get("key") == "parent_linkage"
	for e in j["parent-locator"]["entries"])' dump -J bat locator c.vhdx

# Damaged ones are shown, and what is wrong with them.
mkvhdx --bad header-checksums b.vhdx >about
passes 'two damaged headers' '^  header 1 at 0x10000: signature or checksum wrong$' dump b.vhdx
passes 'and the rest all the same' 'VirtualDiskSize 16777216' dump b.vhdx
passes 'no log without a header' '! header 1 at offset 0x10000' dump log b.vhdx
mkvhdx --bad block-size-3m b.vhdx >about
passes 'a value that is none, raw' '^      0000300000000000$' dump metadata b.vhdx
mkvhdx --bad locator-key-outside b.vhdx >about
passes 'a damaged locator entry' '! parent locator entry, KeyOffset 0x10000' dump locator b.vhdx
passes 'and the others' 'relative_path' dump locator b.vhdx
mkvhdx --bad region-table-checksums b.vhdx >about
passes 'damaged region tables' '! region table 2, Checksum at offset' dump regions b.vhdx
mkvhdx --bad metadata-signature b.vhdx >about
passes 'a metadata table that is none' '! metadata table, Signature' dump metadata b.vhdx
passes 'a BAT whose sizes are not known' '^  \[0\] 0x[0-9a-f]{16}$' dump bat b.vhdx
mkvhdx --bad block-state-4 b.vhdx >about
passes 'a damaged BAT entry' '! payload BAT entry, State 0x4' dump bat b.vhdx

mkvhdx --bad log-before-tail b.vhdx >about
passes 'log: the active entry' 'entry at 0x102000: valid, to be replayed$' dump log b.vhdx
passes 'log: one before Tail' 'entry at 0x100000: valid, not in the active sequence$' dump log b.vhdx
json '--json log' '[e["active"] for e in j["log"] if "active" in e] == [False, True]
	and [e["descriptor"] for e in j["log"] if "descriptor" in e] == ["data", "data"]' dump -J log b.vhdx
mkvhdx --bad log-torn-follower b.vhdx >about
passes 'log: a torn entry' ': torn$' dump log b.vhdx
mkvhdx --bad log-target-header b.vhdx >about
passes 'log: a target that is refused' '! log descriptor, FileOffset 0x20000' dump log b.vhdx

mkvhdx --list-bad | cut -d' ' -f1 >all
every 4 <all >list
bad=0 seen=0
while read -r name; do
	mkvhdx --bad "$name" b.vhdx >about
	cp b.vhdx keep.vhdx
	for form in '' --json; do
		# shellcheck disable=SC2086 # maybe none
		ctl dump $form headers regions metadata locator bat log b.vhdx
		if [ "$rc" != 0 ] || [ -s err ]; then
			bad=$((bad + 1))
			echo "# $name $form: exit code $rc"
		fi
	done
	python3 -c 'import json; json.load(open("out"))' || bad=$((bad + 1))
	cmp -s b.vhdx keep.vhdx || bad=$((bad + 1))
	seen=$((seen + 1))
done <list
[ $bad = 0 ] && [ "$(wc -l <all)" -gt 150 ] && [ $seen = "$(wc -l <list)" ]
ok "all of each of $seen bad images is shown" $?

# The BAT of 64 TiB, every entry of it: what is printed is never held in memory.
mkvhdx --size 64T --blocks 0,67108863 big.vhdx
json '64 TiB' '[e["block"] for e in j["bat"]] == [0, 67108863]' dump -J bat big.vhdx

finish
