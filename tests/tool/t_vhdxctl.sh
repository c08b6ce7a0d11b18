#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl as its users see it, as far as that needs neither the driver nor a
# VM: messages, exit codes, and all of info. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
samples=$top/../shared/images
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"

# --- the command line ------------------------------------------------------

fails 'no command' 64 'no command given'
fails 'unknown command' 64 'frobnicate: unknown command' frobnicate
fails 'a command misspelt: the right one is suggested' 64 "did you mean 'detach'" detahc
fails 'unknown option' 64 "'--frob'" --frob
fails 'attach without an image' 64 'no image' attach -r
fails 'attach with a mode of direct I/O that is none' 64 'attach: --direct-io=yes: not on, off or auto' attach --direct-io=yes a
fails 'attach without the mode' 64 "'--direct-io' requires an argument" attach --direct-io
fails 'attach with a mode of discard that is none' 64 'attach: --discard=: not unmap or ignore' attach --discard= a
fails 'attach with too much' 64 'c: attach: one argument too many' attach -r a vhdx0 c
fails 'detach without a disk' 64 'no device or image' detach
fails 'detach --all of a disk' 64 'vhdx0: detach: --all takes no device or image' detach --all vhdx0
fails 'detach --id-file and a disk' 64 'detach: --id-file is for one disk alone' detach --id-file id vhdx0
fails 'detach --id-file --all' 64 'detach: --id-file is for one disk alone' detach --id-file id --all
fails 'detach --id-file of no file' 66 'nosuch: cannot open: No such file' detach --id-file nosuch
for line in '' /dev/vhdx0 '/dev/vhdx0 ' '/dev/vhdx0 x' '/dev/vhdx0 1x' '/dev/sda 1' '/dev/vhdx0p1 1'; do
	echo "$line" >id
	fails "detach --id-file of '$line'" 65 'id: not of attach --id-file' detach --id-file id
done
[ -e id ]
ok 'which stays' $?
echo '/dev/vhdx999999 18446744073709551615' >id
ctl detach --id-file id
[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ] && [ ! -e id ]
ok 'detach --id-file of a disk that is gone: the file goes' $?
fails 'detach --lazy --wait' 64 'detach: --lazy and --wait exclude each other' detach --lazy --wait 1 vhdx0
for seconds in '' . 1. .5 -1 +1 1s 1e3 0x1 1,5 1.2.3 ' 1' inf 1000001 99999999999999999999; do
	fails "detach --wait '$seconds'" 64 'detach: not a number of seconds' detach --wait "$seconds" vhdx0
done
fails 'status without a disk' 64 'status: no device or image' status
fails 'status of two disks' 64 'status: more than one' status vhdx0 vhdx1
fails 'status of a disk that is not there' 66 'vhdx77: not attached' status vhdx77
fails 'compact without a disk' 64 'compact: no device or image' compact
fails 'compact of two disks' 64 'compact: more than one' compact vhdx0 vhdx1
fails 'merge without an image' 64 'merge: no image given' merge
fails 'merge of two images' 64 'merge: more than one image' merge a b
fails 'info without an image' 64 'no image' info
fails 'info of two images' 64 'one image' info a b
fails 'info with a parent, but without --chain' 64 'info: --parent and --parent-dir only with --chain' info --parent a b
fails 'attach: parents that do not match, for writing' 64 'attach: --ignore-id-mismatch only with --read-only' attach --ignore-id-mismatch a
fails 'mount without a folder' 64 'mount: no image or no folder given' mount a
fails 'mount of two images' 64 'mount: more than an image and a folder' mount a b c
fails 'mount with an option that is none' 64 'vhdx.frob: unknown option' mount -o ro,vhdx.frob a b
fails 'mount with a part that has no value' 64 'vhdx.part: needs a value' mount -o vhdx.part a b
fails 'mount with an option that needs a value' 64 'vhdx.direct-io: needs a value' mount -o vhdx.direct-io a b
fails 'mount with an option that takes none' 64 'vhdx.no-replay: takes no value' mount -o vhdx.no-replay=1 a b
fails 'mount with a value that is none' 64 'vhdx.discard=no: not unmap or ignore' mount -o vhdx.discard=no a b
fails 'mount: parents that do not match, for writing' 64 'vhdx.ignore-id-mismatch only with -r' mount -o vhdx.ignore-id-mismatch a b
fails 'mount on a folder that there is not' 66 'nowhere: cannot mount there: No such' mount a nowhere
fails 'mount of an image that there is not' 66 'a: cannot open: No such' mount -r a .
fails 'umount without a folder' 64 'umount: no folder given' umount
fails 'umount of two' 64 'umount: more than one folder' umount a b
fails 'umount of what is not mounted' 66 'cannot unmount: nothing is mounted there' umount .

# --- images of qemu-img -----------------------------------------------------

# Data in the first and in the sixth MiB.
truncate -s 8M raw
poke raw 0 'first'
poke raw 5242880 'sixth'
qemu-img convert -q -f raw -O vhdx -o subformat=dynamic,block_size=1M raw image.vhdx
cp image.vhdx keep.vhdx
# Blocks that are written late would change what the host says of it.
sync image.vhdx

passes 'info: type' '^Type: +dynamic$' info image.vhdx
passes 'info: virtual size' '^Virtual size: +8 MiB \(8388608 bytes\)$' info image.vhdx
passes 'info: creator' '^Creator: +QEMU v' info image.vhdx
passes 'info: blocks' '^ +fully-present: +2$' info image.vhdx
passes 'info: log' '^ +State: +clean$' info image.vhdx
passes 'info: current header' 'sequence number [0-9]+, current$' info image.vhdx
json 'info --json: sizes' 'j["virtual-size"] == 8 << 20 and j["block-size"] == 1 << 20
	and j["logical-sector-size"] == 512 and j["physical-sector-size"] == 512' info --json image.vhdx
json 'info -J: the same' 'j["type"] == "dynamic" and j["log"]["state"] == "clean"' info -J image.vhdx
json 'info --json: blocks' 'j["bat"]["payload-states"]["fully-present"] == 2
	and sum(j["bat"]["payload-states"].values()) == j["bat"]["payload-blocks"] == 8
	and j["bat"]["allocated"] == 2 << 20 and j["bat"]["chunk-ratio"] == 4096
	and j["bat"]["entries"] == 8' info --json image.vhdx
qemu-img convert -q -f raw -O vhdx -o subformat=dynamic,block_size=8M raw big.vhdx
json 'info --json: blocks of 8 MiB' 'j["bat"]["payload-states"]["fully-present"] == 1
	and j["bat"]["allocated"] == 8 << 20 and j["bat"]["chunk-ratio"] == 512' info --json big.vhdx
json 'info --json: host' 'j["file-size"] == __import__("os").stat("image.vhdx").st_size
	and j["allocated-on-host"] == __import__("os").stat("image.vhdx").st_blocks * 512' info --json image.vhdx
json 'info --json: regions' '{r["name"] for r in j["regions"]} == {"BAT", "metadata"}
	and [t["used"] for t in j["region-tables"]] == [True, False]' info --json image.vhdx
json 'info --json: GUIDs are in lower case' 'j["regions"][0]["guid"] in
	("2dc27766-f623-4200-9d64-115e9bfd4a08", "8b7ca206-4790-4b9a-b8fe-575f050f886e")' info --json image.vhdx
json 'info --json: five metadata items' 'len(j["metadata-items"]) == 5
	and all(i["required"] and not i["user"] for i in j["metadata-items"])' info --json image.vhdx
json 'info --json: no parent' 'j["parent-locator"] is None' info --json image.vhdx

for image in dynamic:1M:64M fixed:1M:5M dynamic:8M:100G dynamic:32M:1T dynamic:256M:3T; do
	size=${image##*:} type=${image%%:*} block=${image#*:}
	block=${block%:*}
	rm -f q.vhdx
	qemu-img create -q -f vhdx -o "subformat=$type,block_size=$block" q.vhdx "$size"
	sync q.vhdx
	qemu-img info --output=json q.vhdx >q.json
	json "info agrees with qemu-img: $type, $block blocks, $size" "(lambda q: j['type'] == '$type'
		and j['virtual-size'] == q['virtual-size'] and j['block-size'] == q['cluster-size']
		and j['allocated-on-host'] == q['actual-size'])(json.load(open('q.json')))" info --json q.vhdx
done

ln -s image.vhdx link
passes 'info through a symbolic link' '^Type: +dynamic$' info link
cp image.vhdx ./-dash
passes 'a name with a dash, behind --' '^File: +-dash$' info -- -dash
cmp -s image.vhdx keep.vhdx
ok 'info changes nothing' $?

# --- samples by other writers -------------------------------------------------

sample() {
	[ -f "$samples/$1.vhdx.xz" ] && xz -dc "$samples/$1.vhdx.xz" >"$1.vhdx"
}

for name in iotest-dynamic-1G iotest-dirtylog-10G-4M lvm2 child; do
	if ! sample $name; then
		skip "info of $name" 'no samples'
		continue
	fi
	size=$(sed -n 's/^size //p' "$samples/$name.oracle")
	json "info of $name: the oracle's size" "j['virtual-size'] == $size" info --json $name.vhdx
	case $name in
	iotest-dynamic-1G)
		json "info of $name: Windows' sector sizes and blocks" 'j["physical-sector-size"] == 4096
			and j["block-size"] == 32 << 20 and j["bat"]["payload-blocks"] == 32
			and j["creator"].startswith("Microsoft Windows")' info --json $name.vhdx ;;
	iotest-dirtylog-10G-4M)
		json "info of $name: a dirty log" 'j["log"]["state"] == "dirty" and j["log"]["entries"] == 1
			and j["log"]["first-sequence-number"] == j["log"]["last-sequence-number"] == 7' info --json $name.vhdx
		json "info of $name: two DataWriteGuids" 'j["headers"][0]["data-write-guid"] !=
			j["headers"][1]["data-write-guid"] == j["data-write-guid"]' info --json $name.vhdx ;;
	lvm2)
		json "info of $name: four states" 'all(j["bat"]["payload-states"][s] for s in
			("not-present", "zero", "unmapped", "fully-present"))' info --json $name.vhdx ;;
	child)
		json "info of $name: its parent" 'j["type"] == "differencing"
			and {"key": "relative_path", "value": "parent.vhdx"} in j["parent-locator"]["entries"]
			and "{%s}" % j["parent-locator"]["parent-linkage"] in
				(e["value"] for e in j["parent-locator"]["entries"])' info --json $name.vhdx
		json "info of $name: its sector bitmap" 'j["bat"]["sector-bitmap-blocks"] == 1
			and j["bat"]["payload-states"]["partially-present"] == 2' info --json $name.vhdx
		passes "info of $name: locator in words" '^  relative_path: +parent.vhdx$' info $name.vhdx ;;
	esac
	rm -f $name.vhdx
done

# --- what must not reach a terminal ---------------------------------------------

# ESC ] BEL, CSI of Latin-1, right-to-left override, DEL, half a surrogate pair
cp image.vhdx evil.vhdx
poke evil.vhdx 8 '\033\000]\000\007\000\233\000\056\040\177\000\000\330\351\000\000\000'
no_control() {
	python3 - <<-'PY'
		import sys, unicodedata
		text = open('out', encoding='utf-8').read()
		sys.exit(any(unicodedata.category(c) in ('Cc', 'Cf') for c in text if c != '\n'))
	PY
}
passes 'control characters in the creator are escaped' \
	'^Creator: +\\x1b\]\\x07\\u\{9b\}\\u\{202e\}\\x7f.é$' info evil.vhdx
no_control
ok 'and none is left' $?
LC_ALL=C passes 'outside of UTF-8 all but ASCII is escaped' \
	'^Creator: +\\x1b\]\\x07\\u\{9b\}\\u\{202e\}\\x7f\\u\{fffd\}\\u\{e9\}$' info evil.vhdx
json 'JSON has the creator as it is' \
	'j["creator"] == "\x1b]\x07\x9b\u202e\x7f\ufffd\xe9"' info --json evil.vhdx
! grep -q "$(printf '\033\|\302\233\|\177')" out
ok 'but no control character as such' $?
# (The last two bytes before the dot are a slash, but no good UTF-8.)
name=$(printf 'a\033[31m\n\377\300\257.vhdx')
cp image.vhdx "$name"
passes 'a name with control characters is escaped' '^File: +a\\x1b\[31m\\x0a\\xff\\xc0\\xaf.vhdx$' info "$name"
json 'and good JSON' 'j["file"] == "a\x1b[31m\n\ufffd\ufffd\ufffd.vhdx"' info --json "$name"
rm "$name"
fails 'in messages too' 66 '^vhdxctl: a\\x1b\[31m\\x0a\\xff\\xc0\\xaf.vhdx: cannot open' info "$name"

# --- what is no image, or a damaged one -----------------------------------------

: >empty
fails 'an empty file' 1 'empty: .*not a VHDX file' info empty
fails 'a raw file' 1 'not a VHDX file' info raw
grep -q '^hint: ' err
ok 'and a hint' $?
for size in 64K 1000K 1M 2M; do
	cp image.vhdx cut.vhdx
	truncate -s $size cut.vhdx
	fails "an image cut at $size" 1 '^vhdxctl: cut.vhdx: .* at offset 0x[0-9a-f]+: ' info cut.vhdx
done
cp image.vhdx one.vhdx
poke one.vhdx 65600 '\377\377\377'
json 'one header damaged: the other one counts' '[h["valid"] for h in j["headers"]] == [False, True]
	and [h["current"] for h in j["headers"]] == [False, True]' info --json one.vhdx
passes 'and info says so' '^  1 at 0x10000 +damaged$' info one.vhdx
poke one.vhdx 131136 '\377\377\377'
fails 'both headers damaged' 1 '^vhdxctl: one.vhdx: header' info one.vhdx
fails 'damaged, in JSON: no JSON' 1 'header' info --json one.vhdx
cp image.vhdx table.vhdx
poke table.vhdx 196700 '\377'
json 'region table 1 damaged: table 2 is used' '[t["valid"] for t in j["region-tables"]] == [False, True]
	and [t["used"] for t in j["region-tables"]] == [False, True]' info --json table.vhdx
poke table.vhdx 262236 '\377'
fails 'both region tables damaged' 1 'region table' info table.vhdx

# An unknown region that is required, in both tables, with good checksums.
cp image.vhdx unknown.vhdx
python3 - <<-'PY'
	import struct
	table = []
	for i in range(256):
	    for _ in range(8):
	        i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
	    table.append(i)
	def crc32c(data):
	    crc = 0xffffffff
	    for byte in data:
	        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
	    return crc ^ 0xffffffff
	with open('unknown.vhdx', 'r+b') as f:
	    end = f.seek(0, 2) + 0xfffff & ~0xfffff
	    f.truncate(end + 0x100000)
	    for offset in 0x30000, 0x40000:
	        f.seek(offset)
	        data = bytearray(f.read(65536))
	        count, = struct.unpack_from('<I', data, 8)
	        struct.pack_into('<16sQII', data, 16 + 32 * count, b'\x55' * 16, end, 0x100000, 1)
	        struct.pack_into('<I', data, 8, count + 1)
	        struct.pack_into('<I', data, 4, 0)
	        struct.pack_into('<I', data, 4, crc32c(data))
	        f.seek(offset)
	        f.write(data)
PY
fails 'a region that is unknown and required' 69 'region' info unknown.vhdx

fails 'no such file' 66 '^vhdxctl: nosuch.vhdx: cannot open: No such file' info nosuch.vhdx
fails 'a file as a folder' 66 'Not a directory' info image.vhdx/x
fails 'a folder' 66 'Is a directory' info .
ln -s nosuch.vhdx broken
fails 'a broken link' 66 'No such file' info broken
ln -s loop loop
fails 'a link to itself' 66 'symbolic links' info loop
mkfifo fifo
fails 'a FIFO, without waiting for a writer' 66 'not a regular file or a block device' info fifo
fails 'a character device' 66 'not a regular file or a block device' info /dev/null
fails 'a file that cannot be read' 74 'cannot be read: Input/output error' info /proc/self/mem

# --- attach, detach and list, without a driver ------------------------------------

for name in foo vhdx /dev/vhdx /dev/vhdx01 /dev/vhdx1p1 vhdx-1 /dev/sda vhdx99999999999; do
	fails "attach as $name" 64 "^vhdxctl: $name: not the name of a disk" attach -r image.vhdx $name
done
fails 'attach of what is not there' 66 'nosuch.vhdx: cannot open: No such file' attach -r nosuch.vhdx
fails 'for writing too' 66 'nosuch.vhdx: cannot open: No such file' attach nosuch.vhdx
fails 'attach of a folder' 66 'Is a directory' attach --read-only .
fails 'attach of a FIFO' 66 'not a regular file or a block device' attach -r fifo
fails 'list: unknown column' 64 'FOO: unknown column' list -o NAME,FOO
grep -q '^hint: the columns are NAME, .*BACK-FILE$' err
ok 'and the columns there are' $?
passes 'list has a column for parents' '^  PARENTS +parents of the image' list --help
fails 'list: an empty column' 64 'unknown column' list -o NAME,
fails 'list: --json with --raw' 64 'exclude' list --json --raw
fails 'list of what is not there' 66 'nosuch.vhdx: cannot find: No such file' list nosuch.vhdx
if [ -e /dev/vhdx-control ] || ls -d /sys/block/vhdx* >/dev/null 2>&1; then
	for name in list 'list --json' detach attach; do
		skip "$name without a driver" 'there is a driver'
	done
else
	ctl list
	[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ]
	ok 'list without a disk prints nothing' $?
	ctl list -o +back-ino,DISK-ID
	[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ]
	ok 'list takes columns in any case, and more of them' $?
	json 'list --json without a disk' 'j["vhdxdevices"] == []' list --json
	fails 'list of a disk that is not there' 66 'vhdx7: not attached' list /dev/vhdx7
	fails 'list of an image that is not attached' 66 'image.vhdx: not attached' list image.vhdx
	for options in '' --lazy -l '--wait 0' '-w 1.5' --wait=1000000 '-w 00.0009'; do
		# shellcheck disable=SC2086 # words
		fails "detach $options without a driver" 69 'vhdx0: cannot open /dev/vhdx-control' detach $options vhdx0
	done
	ctl detach --all
	[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ]
	ok 'detach --all of no disk' $?
	if modinfo vhdx >/dev/null 2>&1; then
		skip 'attach without a driver' 'there is a driver'
	else
		for options in -r '' '--autoclear --direct-io=on --direct-io auto --discard=ignore --no-partscan --no-replay'; do
			# shellcheck disable=SC2086 # words
			fails "attach $options without a driver" 69 \
				'image.vhdx: cannot load the driver: no module vhdx for kernel [^ ]+$' attach $options image.vhdx
		done
		locks_without_driver=1
	fi
fi

# --- QEMU's locks -------------------------------------------------------------------

locked="^vhdxctl: image.vhdx: cannot attach: locked by QEMU's image lock: it is open in process"

qemu_has '' image.vhdx
fails 'attach of an image that QEMU writes' 75 "$locked $qemu \(qemu-io\)\$" attach image.vhdx
! grep -q '^hint: ' err
ok 'no hint: reading would not do either' $?
fails 'it cannot be attached read-only' 75 "$locked $qemu " attach -r image.vhdx
passes 'info of it' '^Type: +dynamic$' info image.vhdx
qemu_lets_go
qemu_has -r image.vhdx
fails 'attach of an image that QEMU reads' 75 "$locked $qemu " attach image.vhdx
grep -q "^hint: 'vhdxctl attach -r'" err
ok 'the hint is to read it' $?
if [ -n "${locks_without_driver-}" ]; then
	fails 'QEMU reads: read-only is no conflict' 69 'image.vhdx: cannot load the driver' attach -r image.vhdx
else
	skip 'QEMU reads: read-only is no conflict' 'there is a driver'
fi
qemu_lets_go

# lock_byte N: this shell has a shared lock on that byte of what is its descriptor 5
lock_byte() {
	python3 -c 'import fcntl, struct, sys
fcntl.fcntl(5, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, int(sys.argv[1]), 1, 0))' "$1"
}

# Who writes conflicts with users of 1 and 3 and with those who mind readers (0)
# or writers (1, 3); who reads with the former and with those who mind readers.
for byte in 99 100 101 102 103 104 199 200 201 202 203 204; do
	case $byte in
	101 | 103 | 200) expected='75 75' ;;
	201 | 203) expected='75 69' ;;
	*) expected='69 69' ;;
	esac
	if [ -z "${locks_without_driver-}" ]; then
		skip "byte $byte locked by somebody" 'there is a driver'
		continue
	fi
	exec 5<image.vhdx
	lock_byte $byte
	ctl attach image.vhdx
	seen=$rc
	ctl attach -r image.vhdx
	[ "$seen $rc" = "$expected" ]
	ok "byte $byte locked by somebody: attach, attach -r" $?
	exec 5<&-
done
exec 5<image.vhdx
lock_byte 200
fails 'it is said who has the image open' 75 "locked by QEMU's image lock: .*in process $$ " attach -r image.vhdx
exec 5<&-

# --- files that somebody has open for writing, without a lock --------------------------

cp image.vhdx written.vhdx
exec 5>>written.vhdx
# held CODE WHAT ARG...
held() {
	held_code=$1 held_what=$2
	shift 2
	fails "who has it open may write: $*" "$held_code" \
		"^vhdxctl: written.vhdx: $held_what: .*it is open in process $$ " "$@"
}
exec 6<written.vhdx
sleep 1000 5>&- &
reader=$!
exec 6<&-
held 75 'cannot be set while it is in use' set --reset-disk-id written.vhdx
held 75 'cannot be compacted while it is in use' compact written.vhdx
held 75 'cannot be compacted while it is written to' compact -n written.vhdx
held 75 'cannot be resized while it is in use' resize written.vhdx +1M
held 1 'cannot be repaired while it is in use' check --repair=all written.vhdx
held 75 'cannot read while it is written to' convert written.vhdx copy.vhdx
held 2 'cannot read while it is written to' compare written.vhdx image.vhdx
held 75 'cannot be a parent while it is written to' create --parent written.vhdx child.vhdx
! grep -q "process $reader " err
ok 'who only reads it is not named' $?
kill $reader
wait $reader 2>/dev/null
exec 5>&-
cmp -s written.vhdx image.vhdx && [ ! -e copy.vhdx ] && [ ! -e child.vhdx ]
ok 'nothing was changed or made' $?
exec 5<written.vhdx
passes 'who only reads it is in nobody'"'"'s way' '' set --reset-disk-id written.vhdx
exec 5<&-
rm written.vhdx

# --- files that cannot be written ----------------------------------------------------

cp image.vhdx ro.vhdx
if [ "$(id -u)" = 0 ] && chattr +i ro.vhdx 2>/dev/null; then
	fails 'attach of an immutable file' 77 'ro.vhdx: cannot open for writing: Operation not permitted' attach ro.vhdx
	grep -q "^hint: 'vhdxctl attach -r'" err
	ok 'and a hint' $?
	chattr -i ro.vhdx
else
	skip 'attach of an immutable file' 'not root, or not on this file system'
fi
cp "$(command -v sleep)" busy
./busy 1000 &
busy=$!
fails 'attach of a file that may not be written now' 75 'busy: cannot open for writing: busy: ' attach busy
grep -q "^hint: 'vhdxctl attach -r'" err
ok 'and a hint' $?
kill $busy
wait $busy 2>/dev/null

# --- output that gets lost -------------------------------------------------------

for command in --help --version 'info image.vhdx' 'info --json image.vhdx' 'list --json' 'list --help'; do
	# shellcheck disable=SC2086 # words
	timeout 60 ./vhdxctl $command >/dev/full 2>err
	rc=$?
	: >out
	[ $rc = 1 ] && grep -q '^vhdxctl: write error: No space left on device$' err
	ok "$command on a full disk" $?
done
timeout 60 ./vhdxctl info image.vhdx >&- 2>err
rc=$?
[ $rc = 1 ] && grep -q '^vhdxctl: write error' err
ok 'info with stdout closed' $?
timeout 60 ./vhdxctl list >&- 2>err
rc=$?
[ $rc = 0 ] && [ ! -s err ]
ok 'nothing to print with stdout closed' $?
# What is opened must not take their places.
./vhdxctl create -s 10M closed.vhdx >out 2>err
sha256sum closed.vhdx >before
timeout 60 ./vhdxctl resize closed.vhdx 5M >out 2>&-
[ $? = 64 ] && sha256sum --status -c before
ok 'an error with stderr closed: the image is whole' $?
# more than a buffer of it
timeout 60 ./vhdxctl check --json --repair=leaks "$(printf './%.0s' $(seq 2030))closed.vhdx" >&- 2>err
rc=$?
[ $rc != 0 ] && sha256sum --status -c before
ok 'output with stdout closed: the image is whole' $?
timeout 60 ./vhdxctl resize closed.vhdx 20M <&- >&- 2>&-
./vhdxctl check closed.vhdx >out 2>err
ok 'all closed: the image is whole' $?

# --- without root -----------------------------------------------------------------

if [ "$(id -u)" = 0 ]; then
	user='setpriv --reuid=65534 --regid=65534 --clear-groups'
	chmod 600 keep.vhdx
	chmod 444 image.vhdx
	as_user() {
		# shellcheck disable=SC2086 # words
		timeout 60 $user ./vhdxctl "$@" >out 2>err
		rc=$?
	}
	as_user info image.vhdx
	[ $rc = 0 ] && [ ! -s err ] && grep -q '^Type: *dynamic$' out
	ok 'info needs no root' $?
	as_user info keep.vhdx
	[ $rc = 77 ] && one_message && grep -q 'keep.vhdx: cannot open: Permission denied' err
	ok "info of a file that is not the user's" $?
	as_user attach -r keep.vhdx
	[ $rc = 77 ] && one_message && grep -q 'keep.vhdx: cannot open: Permission denied' err
	ok "attach of a file that is not the user's" $?
	as_user attach image.vhdx
	[ $rc = 77 ] && one_message && grep -q 'image.vhdx: cannot open for writing: Permission denied' err &&
		grep -q '^hint: .*root' err
	ok "attach of a file that the user can only read" $?
	as_user list
	[ $rc = 0 ] && [ ! -s err ]
	ok 'list needs no root' $?
else
	skip 'without root' 'not root'
fi

finish
