#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl set: the parent of an image, its disk id and its physical sectors. Prints
# TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"

# value FILE EXPRESSION: of what info says of it
value() {
	./vhdxctl info --json "$1" | python3 -c 'import json, sys
j = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$2"
}
data_guid() { value "$1" 'j["data-write-guid"]'; }

# path FILE: of the parent
path() { value "$1" '[e["value"] for e in j["parent-locator"]["entries"] if e["key"] == "relative_path"][0]'; }

# chain_ok FILE ARG...: every link of it is right, and nothing is damaged
chain_ok() {
	./vhdxctl info --chain "$@" >out 2>err && ./vhdxctl check -q --chain "$@" 2>>err
}

# stays NAME FILE CODE PATTERN ARG...: fails, and the file is as it was
stays() {
	stays_name=$1 stays_file=$2
	cp "$stays_file" stays.before
	shift 2
	fails "$stays_name" "$@" "$stays_file"
	cmp -s "$stays_file" stays.before
	ok "$stays_name: and it is as it was" $?
}

# --- usage ---------------------------------------------------------------------------

fails 'without an image' 64 'set: no image given' set --reset-disk-id
fails 'two images' 64 'set: one image at a time' set --reset-disk-id a b
fails 'nothing' 64 'set: nothing to set' set a
fails 'a sector of another size' 64 'not 512 or 4096' set --phys-sector 1K a
fails 'two parents' 64 'one --parent' set --parent a --parent b c
fails 'a mismatch without a parent' 64 'only with --parent' set --ignore-id-mismatch --reset-disk-id c
fails 'what is not there' 66 'nosuch: cannot open' set --reset-disk-id nosuch
: >empty
fails 'what is no image' 1 'not a VHDX file' set --reset-disk-id empty

# --- a disk by itself --------------------------------------------------------------------

noise 1 2048 >raw
truncate -s 24M raw
ctl create --from raw d.vhdx
id=$(value d.vhdx 'j["disk-id"]')
guid=$(data_guid d.vhdx)
cp d.vhdx before.vhdx
passes '--dry-run' '^physical sectors of 512 bytes$' set -n --phys-sector 512 --reset-disk-id d.vhdx
cmp -s d.vhdx before.vhdx
ok '--dry-run: changes nothing' $?
passes 'both' '^disk id [0-9a-f-]{36}$' set --phys-sector 512 --reset-disk-id d.vhdx
[ "$(value d.vhdx 'j["physical-sector-size"]')" = 512 ] &&
	[ "$(value d.vhdx 'j["disk-id"]')" = "$(sed -n 's/^disk id //p' out)" ] &&
	[ "$(value d.vhdx 'j["disk-id"]')" != "$id" ]
ok 'which the image has then' $?
[ "$(data_guid d.vhdx)" != "$guid" ]
ok 'and another DataWriteGuid' $?
ctl check -q d.vhdx && [ "$rc" = 0 ] && ./vhdxctl convert -O raw d.vhdx - 2>err | cmp - raw
ok 'the disk reads as before' $?
qemu-img check -q -f vhdx d.vhdx && qemu-img compare -q -f vhdx -F raw d.vhdx raw
ok 'to QEMU too' $?
7zz x -so -tvhdx d.vhdx 2>err | cmp - raw
ok 'and to 7zz' $?
cp d.vhdx before.vhdx
ctl set --phys-sector 512 d.vhdx
[ "$rc" = 0 ] && cmp -s d.vhdx before.vhdx
ok 'what is so already is not written' $?
stays 'a parent for what has none' d.vhdx 1 'no differencing image and has no parent' set --parent before.vhdx
ctl create -s 16M -S 4096 k.vhdx
stays 'physical sectors shorter than the logical ones' k.vhdx 1 'PhysicalSectorSize 0x200.*less than the logical one' set --phys-sector 512
qemu-img create -q -f vhdx q.vhdx 64M
passes "an image of qemu-img's" '^physical sectors of 4096' set --phys-sector 4096 q.vhdx
qemu-img check -q -f vhdx q.vhdx && [ "$(value q.vhdx 'j["physical-sector-size"]')" = 4096 ]
ok 'which it reads on' $?

# --- a chain ---------------------------------------------------------------------------------

mkdir vms
ctl create --from raw vms/base.vhdx
ctl create --parent vms/base.vhdx vms/mid.avhdx
ctl create --parent vms/mid.avhdx vms/top.avhdx
mkdir -p "vms/old/a folder with a long name"
mv vms/base.vhdx "vms/old/a folder with a long name/the base, which was base.vhdx"
base="vms/old/a folder with a long name/the base, which was base.vhdx"
guid=$(data_guid vms/mid.avhdx)
cp vms/mid.avhdx before.vhdx
passes '--parent --dry-run' '^parent \.\\old\\a folder' set -n --parent "$base" vms/mid.avhdx
cmp -s vms/mid.avhdx before.vhdx
ok '--parent --dry-run: changes nothing' $?
passes '--parent' '^parent \.\\old\\a folder with a long name\\the base, which was base\.vhdx$' set --parent "$base" vms/mid.avhdx
[ "$(path vms/mid.avhdx)" = '.\old\a folder with a long name\the base, which was base.vhdx' ] &&
	[ "$(data_guid vms/mid.avhdx)" = "$guid" ]
ok 'the path, and the same DataWriteGuid' $?
chain_ok vms/top.avhdx
ok 'the whole chain is right, its end included' $?
./vhdxctl convert -O raw vms/top.avhdx - 2>err | cmp - raw
ok 'and reads as the base does' $?
json 'no other path is left' 'sorted(e["key"] for e in j["parent-locator"]["entries"]) == ["parent_linkage", "relative_path"]' info --json vms/mid.avhdx
vhdiinfo vms/mid.avhdx >out 2>err && grep -q "Parent identifier.*: $(data_guid "$base")\$" out
ok 'vhdiinfo says the same' $?
mv "$base" vms/base.vhdx
passes 'a shorter path' '^parent \.\\base\.vhdx$' set --parent vms/base.vhdx vms/mid.avhdx
chain_ok vms/top.avhdx
ok 'the chain is right again' $?
(cd vms && ../vhdxctl set --parent ../vms/mid.avhdx top.avhdx) >out 2>err && grep -q '^parent \.\\mid\.avhdx$' out && chain_ok vms/top.avhdx
ok 'from another folder' $?

# --- what is refused ----------------------------------------------------------------------------

stays 'itself as its parent' vms/mid.avhdx 66 'it is its own parent' set --parent vms/mid.avhdx
stays 'a circle' vms/mid.avhdx 66 'mid.avhdx: cannot be set: the chain goes in a circle' set --ignore-id-mismatch --parent vms/top.avhdx
stays 'no such parent' vms/mid.avhdx 66 'cannot be set: cannot open its parent nosuch' set --parent nosuch
stays 'a parent that is no image' vms/mid.avhdx 1 'not a VHDX file' set --parent raw
ctl create -s 24M -S 4096 vms/sectors.vhdx
stays 'a parent of other sectors' vms/mid.avhdx 1 'LogicalSectorSize.*the parent has another' set --ignore-id-mismatch --parent vms/sectors.vhdx
stays 'a new id for what has a child' vms/mid.avhdx 1 'it is the parent of .*top.avhdx' set --reset-disk-id
seq -f vms/file%g 20000 | xargs touch
stays 'a child among many other files' vms/mid.avhdx 1 'it is the parent of .*top.avhdx' set --reset-disk-id
find vms -name 'file*' -delete
ctl create -s 24M vms/other.vhdx
stays 'another image as parent' vms/top.avhdx 1 'parent_linkage.*the parent is another image or was changed' set --parent vms/other.vhdx
stays 'that, for what has a child' vms/mid.avhdx 1 'it is the parent of .*top.avhdx' set --ignore-id-mismatch --parent vms/other.vhdx
guid=$(data_guid vms/top.avhdx)
passes '--ignore-id-mismatch' '^parent \.\\other\.vhdx$' set --ignore-id-mismatch --parent vms/other.vhdx vms/top.avhdx
[ "$(data_guid vms/top.avhdx)" != "$guid" ] && chain_ok vms/top.avhdx
ok 'it is its child now, and another disk' $?
ctl set --ignore-id-mismatch --parent vms/mid.avhdx vms/top.avhdx
chain_ok vms/top.avhdx
ok 'and back' $?

# Nobody else may have the image, nor write to its parent.
qemu_has '' d.vhdx
stays 'an image in use' d.vhdx 75 'cannot be set while it is in use' set --reset-disk-id
qemu_lets_go
qemu_has '' vms/base.vhdx
stays 'a parent that is written to' vms/mid.avhdx 75 'base.vhdx: cannot be a parent while it is written to' set --parent vms/base.vhdx
qemu_lets_go

# A writer that is not to be found is waited for, and what the parent is once it is gone
# goes into the child.
late() {
	late_name=$1
	shift
	qemu_has '' vms/other.vhdx
	unshare --pid --fork --mount-proc ./vhdxctl "$@" >out 2>err 3>&- 4<&- &
	late=$!
	sleep 1
	echo 'write 0 512' >&3
	qemu_lets_go
	wait $late
	rc=$?
	[ $rc = 0 ] && [ ! -s err ] && chain_ok vms/late.avhdx
	ok "$late_name" $?
}
if unshare --pid --fork --mount-proc true 2>/dev/null; then
	late 'create above a parent that just changes' create --parent vms/other.vhdx vms/late.avhdx
	late 'a parent that just changes' set --ignore-id-mismatch --parent vms/other.vhdx vms/late.avhdx
else
	skip 'create above a parent that just changes' 'not root'
	skip 'a parent that just changes' 'not root'
fi

finish
