#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The units that vhdx-generator makes of vhdxtab, as far as that needs no systemd
# that runs; tests/vm/boot has one. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"

ln -s vhdxctl vhdx-generator
export VHDXTAB=tab

# generates NAME CODE: of what is in tab
generates() {
	generates_name=$1 generates_code=$2
	rm -rf units
	mkdir units
	./vhdx-generator units units units >out 2>err
	rc=$?
	[ $rc = "$generates_code" ] && [ ! -s out ]
	ok "$generates_name" $?
}

# has NAME UNIT LINE
has() {
	grep -qxF -- "$3" "units/$2" 2>>err
	ok "$1" $?
}

generates 'no table' 0
[ ! -s err ] && [ -z "$(ls units)" ]
ok 'no units, no complaint' $?

cat >tab <<-'TAB'
	# a comment

	  # and another
	data	/srv/my\040disk%$"\134.vhdx	read-only,device=/dev/vhdx7,parent=/a/b.vhdx,parent-dir=/c,direct-io=off
	net /x.vhdx _netdev,nofail,,discard=ignore
	later  /y.vhdx  noauto,autoclear,no-partscan,no-replay,allow-parent-write,direct-io=on
	plain /z.vhdx
	odd /z.vhdx read-only,ignore-id-mismatch,parent=/b.vhdx,parent-dir=/c
TAB
generates 'a table' 0
[ ! -s err ]
ok 'nothing to complain of' $?
program=$PWD/vhdxctl
has 'the command, with what systemd would expand' vhdx@data.service \
	"ExecStart=\"$program\" attach \"--id-file=/run/vhdx@data.id\" --read-only --direct-io=off \"--parent=/a/b.vhdx\" \"--parent-dir=/c\" \"/srv/my disk%%\$\$\\\"\\\\.vhdx\" vhdx7"
has 'the way back, which waits for the unmount' vhdx@data.service \
	"ExecStop=\"$program\" detach --wait-unmount 80 \"--id-file=/run/vhdx@data.id\""
for path in '/srv/my disk%%$\"\\.vhdx' /a/b.vhdx /c; do
	has "what the files lie on comes first: $path" vhdx@data.service "RequiresMountsFor= \"$path\""
done
has 'before the local file systems' vhdx@data.service 'Before=local-fs.target'
[ "$(readlink units/local-fs.target.requires/vhdx@data.service)" = ../vhdx@data.service ]
ok 'which need it' $?
has 'after the network' vhdx@net.service 'After=network-online.target remote-fs-pre.target'
[ -L units/remote-fs.target.wants/vhdx@net.service ] && ! grep -q 'Before=.*-fs.target' units/vhdx@net.service
ok 'nofail: nothing waits for it' $?
has 'options that are empty, or none of ours' vhdx@net.service "ExecStart=\"$program\" attach \"--id-file=/run/vhdx@net.id\" --discard=ignore \"/x.vhdx\""
has 'all flags' vhdx@later.service \
	"ExecStart=\"$program\" attach \"--id-file=/run/vhdx@later.id\" --autoclear --direct-io=on --no-partscan --no-replay --allow-parent-write \"/y.vhdx\""
! find units -path '*target*/vhdx@later.service' | grep -q .
ok 'noauto: nothing wants it' $?
has 'no options' vhdx@plain.service "ExecStart=\"$program\" attach \"--id-file=/run/vhdx@plain.id\" \"/z.vhdx\""
has 'a parent that need not match' vhdx@odd.service "ExecStart=\"$program\" attach \"--id-file=/run/vhdx@odd.id\" --read-only --ignore-id-mismatch \"--parent=/b.vhdx\" \"--parent-dir=/c\" \"/z.vhdx\""
if command -v systemd-analyze >/dev/null; then
	systemd-analyze verify --man=no units/vhdx@*.service >out 2>err
	! grep -F "$PWD/units" err
	ok 'systemd takes the units' $?
else
	skip 'systemd takes the units' 'no systemd here'
fi

# What systemd takes all the same, and lines that end as those of DOS do.
printf 'data //srv/./..a.vhdx read-only,parent-dir=/mnt/old/\r\n\r\nplain /z.vhdx\r\n' >tab
generates 'odd paths, and lines of DOS' 0
has 'odd paths' vhdx@data.service 'RequiresMountsFor= "//srv/./..a.vhdx"'
has 'odd paths, of a folder' vhdx@data.service 'RequiresMountsFor= "/mnt/old/"'
has 'lines of DOS' vhdx@plain.service "ExecStart=\"$program\" attach \"--id-file=/run/vhdx@plain.id\" \"/z.vhdx\""

# Names of what is elsewhere, as far as that is there.
mkdir links
ln -s //nowhere/./big links/far
ln -s .././links/far/vm links/near
ln -s loop links/loop
ln -s / links/root
ln -s /dev/vg/lv links/device
cat >tab <<-TAB
	far $PWD/links/far/x.vhdx
	near $PWD/links/near/x.vhdx parent-dir=$PWD/links
	loop $PWD/links/loop/x.vhdx parent-dir=$PWD/links/root
	linked $PWD/links/device
	device //dev//disk/by-id/./scsi-0A_b:c.d-part1 parent=/dev/vg-0/l\040v\303\244
TAB
generates 'links and devices' 0
[ ! -s err ]
ok 'links and devices: nothing to complain of' $?
has 'a link to what is not there' vhdx@far.service 'RequiresMountsFor= "/nowhere/big/x.vhdx"'
has 'a link to a link' vhdx@near.service 'RequiresMountsFor= "/nowhere/big/vm/x.vhdx"'
has 'no link' vhdx@near.service "RequiresMountsFor= \"$(realpath links)\""
has 'a loop' vhdx@loop.service "RequiresMountsFor= \"$PWD/links/loop/x.vhdx\""
has 'a link to the root' vhdx@loop.service "RequiresMountsFor= \"$PWD/links/root\""
has 'a link to a device' vhdx@linked.service "RequiresMountsFor= \"$PWD/links/device\""
for word in Requires After; do
	has "a link to a device: $word" vhdx@linked.service "$word=dev-vg-lv.device"
	has "a device: $word" vhdx@device.service "$word=dev-disk-by\\x2did-scsi\\x2d0A_b:c.d\\x2dpart1.device"
	has "a parent that is one: $word" vhdx@device.service "$word=dev-vg\\x2d0-l\\x20v\\xc3\\xa4.device"
done

# refuses NAME PATTERN LINE: this line, and neither the one before nor the one behind
refuses() {
	printf 'first /a.vhdx\n%s\nlast /b.vhdx\n' "$3" >tab
	generates "$1: exit code" 64
	[ "$(wc -l <err)" = 1 ] && grep -qE "^vhdxctl: $2" err && [ -e units/vhdx@first.service ] &&
		[ -e units/vhdx@last.service ] && [ "$(find units -name 'vhdx@*' -type f | wc -l)" = 2 ]
	ok "$1" $?
}
refuses 'a name that is none' 'tab:2: a/b: a name has letters' 'a/b /x.vhdx'
refuses 'a name twice' 'line 2: first: the same name again' 'first /x.vhdx'
refuses 'no image' 'tab:2: data: no absolute path' 'data'
refuses 'an image without its folder' 'tab:2: data: no absolute path' 'data x.vhdx'
refuses 'an image on the way through another folder' 'tab:2: data: no plain path: /srv/\.\./x.vhdx' 'data /srv/../x.vhdx'
refuses 'an image with a line break in its name' 'tab:2: data: no plain path: ' 'data /x\\012.vhdx'
refuses 'an image whose name is not UTF-8' 'tab:2: data: no plain path: ' 'data /D\344ten/x.vhdx'
refuses 'a parent that is not absolute' 'tab:2: parent: no absolute path' 'data /x.vhdx parent=b.vhdx'
refuses 'a folder that is none, with a line break' 'tab:2: parent-dir: no absolute path' \
	'data /x.vhdx parent-dir=c\\012ExecStartPre=/bin/false,nofail'
refuses 'a parent on the way through another folder' 'tab:2: parent: no plain path: /a/b/\.\.' 'data /x.vhdx parent=/a/b/..'
refuses 'a field too many' 'tab:2: data: a field too many' 'data /x.vhdx nofail 0'
refuses 'an option that is none' 'tab:2: frob: unknown option' 'data /x.vhdx frob'
refuses 'an option that is not for the table' 'tab:2: id-file: unknown option' 'data /x.vhdx id-file=/y'
refuses 'an option without its value' 'tab:2: discard: needs a value' 'data /x.vhdx discard'
refuses 'an option with a value too many' 'tab:2: read-only: takes no value' 'data /x.vhdx read-only=1'
refuses 'a value that is none' 'tab:2: direct-io=x: not on, off or auto' 'data /x.vhdx direct-io=x'
refuses 'a device that is none' 'tab:2: device: not the name of a disk' 'data /x.vhdx device=sda'
refuses 'options that do not go together' 'tab:2: ignore-id-mismatch only with read-only' 'data /x.vhdx ignore-id-mismatch'

echo 'data /x.vhdx' >tab
./vhdx-generator nowhere nowhere nowhere >out 2>err
rc=$?
[ $rc = 66 ] && grep -q 'nowhere/vhdx@data.service: cannot make: ' err
ok 'a folder that there is not' $?
rm -rf units
mkdir units
: >units/local-fs.target.requires
./vhdx-generator units units units >out 2>err
rc=$?
[ $rc = 66 ] && grep -q 'local-fs.target.requires/vhdx@data.service: cannot make: ' err
ok 'a folder that is a file' $?
rm tab
mkdir tab
./vhdx-generator units units units >out 2>err
rc=$?
[ ! -s out ] && [ $rc = 66 ] && grep -q '^vhdxctl: tab: cannot read: Is a directory$' err
ok 'a table that is a folder' $?
rmdir tab
ln -s tab tab
./vhdx-generator units units units >out 2>err
rc=$?
[ $rc = 66 ] && grep -q 'tab: cannot open: ' err
ok 'a table that cannot be opened' $?
./vhdx-generator >out 2>err
rc=$?
[ $rc = 64 ] && grep -q 'vhdx-generator: for systemd' err
ok 'called by hand' $?

finish
