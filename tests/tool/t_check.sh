#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl check: what it finds, its exit codes, and what it repairs. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
samples=$top/../shared/images
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"
make -s -C "$top" build/mkvhdx build/vhdxcat >&2 || exit 1
PATH=$top/build:$PATH

# finds NAME CODE PATTERN ARG...: exit code and output of a check
finds() {
	finds_name=$1 finds_code=$2 finds_pattern=$3
	shift 3
	ctl check "$@"
	[ "$rc" = "$finds_code" ] && [ ! -s err ] && grep -qE -- "$finds_pattern" out
	ok "$finds_name" $?
}

# json_check NAME CODE EXPRESSION ARG...
json_check() {
	json_name=$1 json_code=$2 json_expression=$3
	shift 3
	ctl check --json "$@"
	[ "$rc" = "$json_code" ] && [ ! -s err ] && python3 - "$json_expression" <<-'PY'
		import json, sys
		j = json.load(open('out', encoding='utf-8'))
		assert j['schema'] == 1
		names = [f['name'] for f in j['findings']]
		sys.exit(not eval('(%s)' % sys.argv[1]))
	PY
	ok "$json_name" $?
}

# --- usage, and what cannot be checked ---------------------------------------

fails 'without an image' 64 'check: no image given' check
fails 'two images' 64 'one image at a time' check a b
fails 'a parent without --chain' 64 'only with --chain' check --parent a b
fails 'no such file' 1 'nosuch: cannot open: No such file' check nosuch
fails 'a folder' 1 'cannot open: Is a directory' check .
: >empty
fails 'an empty file' 1 'empty: cannot be checked: file identifier, Signature at offset 0x0: not a VHDX file' check empty
noise 3 2930 >random
fails 'any file' 1 'not a VHDX file' check random

# --- images of the table of bad inputs ------------------------------------------

# Damaged ones: 2, or 1 for what is not supported; those that open: no errors, and
# nothing but the log that is to be replayed.
bad=0 seen=0
mkvhdx --list-bad >all
every 4 <all >list
while read -r name answer _; do
	mkvhdx --bad "$name" b.vhdx >about
	cp b.vhdx before.vhdx
	ctl check b.vhdx
	case $name:$answer in
	empty-file:*) wanted=1 ;;
	*:EOPNOTSUPP) wanted=1 ;;
	log-*:opens)
		wanted=4
		[ "$name" != log-version-1-clean ] && [ "$name" != log-length-0-clean ] || wanted=0
		;;
	block-straddles-end:*) wanted=2 ;;
	*:opens) wanted='[03]' ;;
	*) wanted=2 ;;
	esac
	# shellcheck disable=SC2254 # it is a pattern
	case $rc in
	$wanted) ;;
	*)
		bad=$((bad + 1))
		echo "# $name: exit code $rc, not $wanted"
		;;
	esac
	cmp -s b.vhdx before.vhdx || { bad=$((bad + 1)); echo "# $name: was changed"; }
	seen=$((seen + 1))
done <list
[ $bad = 0 ] && [ "$(wc -l <all)" -gt 150 ] && [ $seen = "$(wc -l <list)" ]
ok "exit codes of $seen bad images, none of them changed" $?

mkvhdx --bad block-twice b.vhdx >about
finds 'a finding is a line' 2 '^corrupt: payload BAT entry, FileOffsetMB 0x[0-9a-f]+ at offset 0x[0-9a-f]+: the block overlaps another block or structure \(bat-overlap\)$' b.vhdx
json_check '--json of the same' 2 'j["result"] == "corrupt" and names == ["bat-overlap"]
	and j["counts"]["corrupt"] == 1 and j["findings"][0]["field"] == "FileOffsetMB"
	and j["findings"][0]["offset"] == (2 << 20) + 8 and j["blocks"]["total"] == 16' b.vhdx
ctl check -q b.vhdx
[ "$rc" = 2 ] && [ ! -s out ] && [ ! -s err ]
ok '--quiet says nothing' $?
mkvhdx --bad region-unknown-required b.vhdx >about
json_check 'what is not supported' 1 'j["result"] == "unsupported" and "region-unknown" in names' b.vhdx
mkvhdx --bad header-1-checksum b.vhdx >about
finds 'a note does no harm' 0 '^note: header 1 at offset 0x10000: signature or checksum is wrong \(header-damaged\)$' b.vhdx

# More than one, and more than can be shown.
mkvhdx --bad block-twice b.vhdx >about
for entry in 2 4 5 6 7 8 9 10 11 12 13 14; do
	poke b.vhdx $((2097152 + entry * 8)) '\004'
done
for entry in 16 17 18 19 20 21; do
	poke b.vhdx $((2097152 + entry * 8)) '\004'
done
poke b.vhdx $((65536 + 100)) '\001'
json_check 'several findings at once' 2 '{"header-damaged", "bat-overlap", "bat-entry"} == set(names)
	and j["counts"]["corrupt"] == 13' b.vhdx
mkvhdx --size 64M --blocks 0 m.vhdx
for entry in $(seq 1 40); do
	poke m.vhdx $((2097152 + entry * 8)) '\004'
done
finds 'no more than 16 of a kind are shown' 2 '^and 24 more of bat-entry$' m.vhdx
json_check 'which --json says too' 2 'j["not-shown"] == {"bat-entry": 24} and len(names) == 16' m.vhdx

# --- clean images of several writers -------------------------------------------

for image in dynamic:1M:64M fixed:1M:5M dynamic:8M:100G dynamic:256M:3T; do
	size=${image##*:} type=${image%%:*} block=${image#*:}
	block=${block%:*}
	rm -f q.vhdx
	qemu-img create -q -f vhdx -o "subformat=$type,block_size=$block" q.vhdx "$size"
	json_check "clean: qemu-img's, $type, $block blocks, $size" 0 'j["result"] == "clean" and not j["leaked"]' q.vhdx
done
qemu-io -f vhdx -c 'write -P 1 0 64k' -c 'write -P 2 4g 3m' q.vhdx >/dev/null
finds 'qemu-img, written to' 0 '^2/12288 = 0.01% blocks allocated, 512 MiB; 0 bytes leaked$' q.vhdx
ctl create -s 1G new.vhdx
finds 'our own' 0 '^No errors were found on the image.$' new.vhdx
mkvhdx --size 9G --block 1M --blocks 4095,4096,4097 --shuffle --seed 3 m.vhdx
ctl check m.vhdx
[ "$rc" = 0 ] || [ "$rc" = 3 ]
ok "the tests' own, shuffled" $?

for name in "$samples"/*.vhdx.xz; do
	if [ ! -e "$name" ]; then
		skip 'images of other writers' 'no samples'
		break
	fi
	xz -dc "$name" >s.vhdx
	name=$(basename "$name" .vhdx.xz)
	ctl check s.vhdx
	case $name in
	*dirtylog*) [ "$rc" = 4 ] && grep -q 'log-pending' out ;;
	*) [ "$rc" = 0 ] ;;
	esac
	ok "sample $name" $?
	sed -n 's/^/# /; 1,6p' out
done

# --- files that were cut -----------------------------------------------------------

# What the last block has for behind the end of the disk may be missing, and no more.
noise 7 5632 >r.raw
truncate -s 5500K r.raw
ctl convert -q -b 2M r.raw t.vhdx
truncate -s "-$((6 * 1048576 - 5500 * 1024))" t.vhdx
finds 'the end of the file is that of the disk' 0 '^No errors' t.vhdx
grep -q "^Image end offset: $(($(stat -c %s t.vhdx) + 6 * 1048576 - 5500 * 1024))\$" out
ok 'and the last block counts whole' $?
truncate -s -512 t.vhdx
cp t.vhdx before.vhdx
finds 'the file was cut' 2 '^corrupt: payload BAT entry, FileOffsetMB 0x[0-9a-f]+ at offset 0x300010: the file ends before the data of the block does \(bat-cut\)$' t.vhdx
json_check '--json of the same' 2 'j["result"] == "corrupt" and names == ["bat-cut"]' t.vhdx
finds 'which nothing repairs' 2 '^It cannot be repaired, and is as it was\.$' --repair=all t.vhdx
cmp -s t.vhdx before.vhdx
ok 'and the file stays as it was' $?

# warned NAME CODE FILE ARG...: exit code, and one warning that the file lacks data
warned() {
	warned_name=$1 warned_code=$2 warned_file=$3
	shift 3
	ctl "$@"
	[ "$rc" = "$warned_code" ] && [ "$(wc -l <err)" = 1 ] &&
		grep -q "^vhdxctl: warning: .*$warned_file: data of 1 blocks is missing, as the file ends before it does: it reads as zeros\$" err
	ok "$warned_name" $?
}
warned 'who converts it is warned' 0 t.vhdx convert -q -O raw t.vhdx back.raw
warned 'and who compares it' 1 t.vhdx compare -q t.vhdx r.raw
# What grows the file would leave nothing to find.
stays_cut() {
	stays_name=$1
	shift
	ctl "$@"
	[ "$rc" = 1 ] && [ ! -s out ] && cmp -s t.vhdx before.vhdx &&
		grep -q '^vhdxctl: t.vhdx: cannot be changed: the file ends before the data of 1 blocks does$' err &&
		grep -q "^hint: 'vhdxctl convert' " err
	ok "$stays_name" $?
}
stays_cut 'compact leaves it as it is' compact t.vhdx
stays_cut 'and says so with -n' compact -n t.vhdx
stays_cut 'resize does' resize t.vhdx +2M
stays_cut 'with -n too' resize -n t.vhdx +2M
stays_cut 'and set' set --reset-disk-id t.vhdx
stays_cut 'and set -n' set -n --reset-disk-id t.vhdx
mkdir cut
mkvhdx --chain 1 --size 32M cut
truncate -s -4096 cut/1.vhdx
finds 'a child that was cut' 2 '\(bat-cut\)$' cut/1.vhdx
before=$(sha256sum cut/*)
fails 'which is merged nowhere' 1 '/?cut/1.vhdx: cannot be changed: the file ends before the data of 1 blocks does$' \
	merge --delete cut/1.vhdx
[ "$before" = "$(sha256sum cut/*)" ]
ok 'and stays, as its parent does' $?

# --- chains -------------------------------------------------------------------------

mkdir chain
mkvhdx --chain 2 --size 24M chain
json_check '--chain: all are well' 0 'j["result"] == "clean" and j["parent"]["link"] == "ok"
	and [p["parent"] and p["parent"]["link"] for p in j["parents"]] == ["ok", None]' --chain chain/2.vhdx
mv chain/0.vhdx chain/gone
finds '--chain: a parent is missing' 5 '^Parent: missing: its parent is missing' --chain chain/2.vhdx
finds 'which does not matter without' 0 '^No errors' chain/2.vhdx
finds 'and with --parent' 0 '^No errors' --chain --parent chain/gone chain/1.vhdx
mkvhdx --size 24M --guid 77 chain/0.vhdx
finds '--chain: another image in its place' 5 '^Parent: mismatch: its parent .* does not match' --chain chain/2.vhdx
mv chain/gone chain/0.vhdx
fails '--chain: one parent too much' 64 'has no parent' check --chain --parent chain/1.vhdx --parent chain/0.vhdx --parent new.vhdx chain/2.vhdx
# The BAT of the base: block 1 where block 0 is.
ctl dump --json bat regions chain/0.vhdx
bat=$(python3 -c 'import json
j = json.load(open("out"))
print([e["file-offset"] for e in j["region-tables"][0]["entries"] if e["name"] == "BAT"][0])')
poke chain/0.vhdx $((bat + 8)) '\004\000\000\000\000\000\000\000'
finds '--chain: a damaged parent' 2 '^corrupt: payload BAT entry, State 0x4' --chain chain/2.vhdx

# --- repairs ----------------------------------------------------------------------

# same FILE: the guest reads from it what it reads from before.vhdx
same() {
	ctl compare before.vhdx "$1" && [ "$rc" = 0 ]
}

fails '--repair of something else' 64 "not 'everything'" check --repair=everything b.vhdx
fails '--dry-run of nothing' 64 'only with --repair' check -n b.vhdx
fails '--repair of a chain' 64 'not with --chain' check --chain --repair=all b.vhdx

# Every image of the table: what opens is repaired and reads the same, what does not
# is as it was; but for a LogGuid that was set and never used.
bad=0 repaired=0 seen=0
while read -r name answer _; do
	mkvhdx --bad "$name" b.vhdx >about
	cp b.vhdx before.vhdx
	ctl check --repair=all --dry-run b.vhdx
	cmp -s b.vhdx before.vhdx || { bad=$((bad + 1)); echo "# $name: -n has changed it"; }
	shown=$(grep -c '^can be repaired:' out)
	ctl check --repair=all b.vhdx
	done=$(grep -c '^repaired:' out)
	case $name:$answer in
	# Longer than a file can be here.
	log-last-128t:*) wanted='[01]' done=$shown ;;
	log-none:*) wanted=0 ;;
	block-straddles-end:*) wanted=2 ;;
	empty-file:* | *:EOPNOTSUPP) wanted=1 ;;
	*:opens) wanted=0 ;;
	*) wanted=2 ;;
	esac
	# shellcheck disable=SC2254 # it is a pattern
	case $rc in
	$wanted) ;;
	*) bad=$((bad + 1)); echo "# $name: exit code $rc, not $wanted" ;;
	esac
	[ "$done" = "$shown" ] || { bad=$((bad + 1)); echo "# $name: $shown shown, $done done"; }
	seen=$((seen + 1))
	if [ "$done" = 0 ]; then
		cmp -s b.vhdx before.vhdx || { bad=$((bad + 1)); echo "# $name: was changed"; }
		continue
	fi
	repaired=$((repaired + 1))
	[ "$name" != log-last-128t ] || continue
	[ "$answer" != opens ] || same b.vhdx || { bad=$((bad + 1)); echo "# $name: another view"; }
	ctl check b.vhdx
	! grep -qE 'header-damaged|header-version|region-table|region-conflict|log-pending|leak-' out ||
		{ bad=$((bad + 1)); echo "# $name: not repaired"; }
done <list
least=30
thorough || least=$((seen / 7))
[ $bad = 0 ] && [ $seen = "$(wc -l <list)" ] && [ $repaired -ge $least ]
ok "$repaired of $seen bad images are repaired, the others as they were" $?

mkvhdx --bad log-one-entry b.vhdx >about
cp b.vhdx before.vhdx
finds '--repair --dry-run' 4 '^can be repaired: a dirty log, by replaying it into the file \(log-pending\)$' --repair=log -n b.vhdx
cmp -s b.vhdx before.vhdx
ok 'which only says so' $?
json_check '--repair, as JSON' 0 'j["repair"] == {"dry-run": False, "repaired": ["log-pending"], "freed": 0}
	and j["result"] == "clean" and names == []' --repair=log b.vhdx
same b.vhdx
ok 'a replayed log: the guest reads the same' $?
qemu-img check -q -f vhdx b.vhdx && [ "$(qemu-img info -f vhdx b.vhdx | grep -c 'virtual size: 16 MiB')" = 1 ]
ok 'which qemu-img reads' $?
json_check 'again: nothing to repair' 0 'j["repair"]["repaired"] == []' --repair=all b.vhdx

mkvhdx --bad log-none b.vhdx >about
finds 'a LogGuid without an entry: not for its leaks' 2 '^It cannot be repaired, and is as it was\.$' --repair=leaks b.vhdx
finds 'a LogGuid without an entry' 0 '^repaired: a LogGuid that no entry was ever written for, by clearing it \(log-empty\)$' --repair=log b.vhdx
passes 'which opens now' '^Type: +dynamic|dynamic' info b.vhdx

# A gap, where blocks 1 and 3 were, and a tail.
mkvhdx --bad headers-identical b.vhdx >about
poke b.vhdx $((2097152 + 8)) '\000\000\000\000\000\000\000\000'
poke b.vhdx $((2097152 + 24)) '\002\000\000\000\000\000\000\000'
poke b.vhdx $((12 << 20)) x
cp b.vhdx before.vhdx
json_check 'leaks: not by --repair=log' 3 'j["repair"]["repaired"] == [] and j["leaked"]' --repair=log b.vhdx
json_check 'leaks' 0 'j["repair"]["repaired"] == ["leaks"] and j["repair"]["freed"] == (6 << 20) + 1
	and j["leaked"] == 0 and j["file-size"] == 8 << 20' --repair=leaks b.vhdx
same b.vhdx
ok 'without them the guest reads the same' $?

mkvhdx --bad block-twice b.vhdx >about
finds 'what cannot be repaired' 2 '^It cannot be repaired, and is as it was\.$' --repair=all b.vhdx
mkvhdx --bad header-sequence-highest h.vhdx >about
finds 'what can only be read' 0 '^Its headers cannot be written anew: nothing of it can be repaired\.$' --repair=all h.vhdx
ctl check -q --repair=all b.vhdx
[ "$rc" = 2 ] && [ ! -s out ] && [ ! -s err ]
ok '--quiet --repair says nothing' $?

# Nobody else may have it, for reading either.
mkvhdx --bad header-1-checksum b.vhdx >about
cp b.vhdx before.vhdx
qemu_has -r b.vhdx
fails 'an image in use' 1 'b.vhdx: cannot be repaired while it is in use: it is open in process [0-9]+ \(qemu-io\)' check --repair=all b.vhdx
finds 'which --dry-run reads' 0 '^can be repaired' --repair=all -n b.vhdx
qemu_lets_go
cmp -s b.vhdx before.vhdx
ok 'and stays as it was' $?
if [ "$(id -u)" = 0 ]; then
	chmod 644 b.vhdx
	chmod 755 vhdxctl
	setpriv --reuid=65534 --clear-groups ./vhdxctl check --repair=all b.vhdx >out 2>err
	rc=$?
	[ $rc = 1 ] && grep -q 'cannot open for writing: Permission denied' err
	ok 'a file that may not be written to' $?
else
	skip 'a file that may not be written to' 'needs root'
fi

# The parent of another image: that one goes on with it.
mkdir repair
mkvhdx --chain 1 --size 24M repair
poke repair/0.vhdx $((65536 + 100)) '\001'
poke repair/1.vhdx $((65536 + 100)) '\001'
finds 'a parent is repaired' 0 '^repaired: a damaged header' --repair=all repair/0.vhdx
finds 'and a child' 0 '^repaired: a damaged header' --repair=all repair/1.vhdx
finds 'and they are linked as before' 0 '^No errors' --chain repair/1.vhdx

finish
