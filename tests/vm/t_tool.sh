#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl with the driver: attach, detach, list. Prints TAP.
# VHDXCTL names another build of the tool.
# kernels: 6.12
# also: 6.1
# vm: -x build/mkvhdx
set -u

tool=${VHDXCTL:-vhdxctl}
export ASAN_OPTIONS=exitcode=99

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"

why() {
	echo "exit code ${rc-}, stdout:"
	cat out
	echo "stderr:"
	cat err
}

ctl() {
	"$tool" "$@" >out 2>err
	rc=$?
}

# The same without root.
ctl_user() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$tool" "$@" >out 2>err
	rc=$?
}

# ctl_inject INJECT ARG...: with a system call tampered with, see strace(1)
ctl_inject() {
	inject=$1
	shift
	# The leak checker cannot work beside strace.
	ASAN_OPTIONS=exitcode=99:detect_leaks=0 strace -o trace \
		-e "trace=${inject%%:*}" -e "inject=$inject" "$tool" "$@" >out 2>err
	rc=$?
}

is_one_message() {
	[ "$(wc -l <err)" -le 2 ] && head -n 1 err | grep -q '^vhdxctl: ' &&
		! tail -n +2 err | grep -qv '^hint: '
}

# failed CODE PATTERN: how the last command did, and what it said
failed() {
	[ "$rc" = "$1" ] && [ ! -s out ] && is_one_message && grep -qE -- "$2" err
}

# fails NAME CODE PATTERN ARG...
fails() {
	fails_name=$1 fails_code=$2 fails_pattern=$3
	shift 3
	ctl "$@"
	failed "$fails_code" "$fails_pattern"
	ok "$fails_name" $?
}

# prints NAME OUTPUT ARG...: success, and exactly this
prints() {
	prints_name=$1 prints_output=$2
	shift 2
	ctl "$@"
	[ "$rc" = 0 ] && [ ! -s err ] && [ "$(cat out)" = "$prints_output" ]
	ok "$prints_name" $?
}

hint() {
	grep -qE "^hint: .*$1" err
	ok "$2" $?
}

# list_has NAME JQ-CONDITION ARG...: of the only disk listed
list_has() {
	list_name=$1 list_condition=$2
	shift 2
	ctl list --json "$@"
	[ "$rc" = 0 ] && [ ! -s err ] &&
		jq -e ".schema == 1 and (.vhdxdevices | length) == 1 and (.vhdxdevices[0] | $list_condition)" out >/dev/null
	ok "$list_name" $?
}

# A GPT with an ext4 partition; and a small empty disk.
truncate -s 64M raw
printf 'label: gpt\nstart=2048, size=65536\n' | sfdisk -q raw
mke2fs -q -F -t ext4 -E offset=1048576 raw 32M
qemu-img convert -q -f raw -O vhdx -o subformat=dynamic,block_size=1M raw a.vhdx
qemu-img create -q -f vhdx b.vhdx 8M
cp b.vhdx c.vhdx
here=$PWD
sum=$(sha256sum a.vhdx)
chmod 644 a.vhdx
chmod 711 .

# --- the module ------------------------------------------------------------

modprobe -r vhdx
prints 'list without the module' '' list
fails 'detach without the module' 69 'vhdx0: cannot open /dev/vhdx-control' detach vhdx0
hint 'not loaded' 'and a hint'
ctl_user attach -r a.vhdx
failed 77 'a.vhdx: cannot load the driver: Operation not permitted'
ok 'attach without root cannot load it' $?
hint root 'and a hint'

modules=/lib/modules/$(uname -r)
mkdir /tmp/away
mv "$modules"/modules.dep* "$modules"/modules.alias* /tmp/away/
fails 'attach with no module installed' 69 'cannot load the driver: no module vhdx for kernel [^ ]+$' attach -r a.vhdx
hint 'vhdxctl doctor' 'and a hint'
mv /tmp/away/* "$modules"/
ko=$(modinfo -F filename vhdx)
cp "$ko" /tmp/away/vhdx.ko
echo 'no module' >"$ko"
fails 'attach with a module that is none' 69 'cannot load the driver: ' attach -r a.vhdx
cp /tmp/away/vhdx.ko "$ko"
ctl_inject finit_module,init_module:error=EKEYREJECTED attach -r a.vhdx
failed 69 'cannot load the driver: the kernel takes only signed modules'
ok 'attach with a module that the kernel does not trust' $?
hint 'Secure Boot' 'and a hint'
ctl_inject finit_module,init_module:error=EPERM attach -r a.vhdx
failed 69 'cannot load the driver: the kernel takes only signed modules'
ok 'attach with a module that a kernel in lockdown does not take' $?
hint 'Secure Boot' 'and a hint'
prints 'attach loads the module' /dev/vhdx0 attach -r a.vhdx
[ -b /dev/vhdx0 ] && [ -b /dev/vhdx0p1 ]
ok 'disk and partition are there when it returns' $?

# --- list --------------------------------------------------------------------

list_has 'list --json: name and size' '.name == "/dev/vhdx0" and .size == 67108864'
list_has 'list --json: type and flags' '.type == "dynamic" and .ro == true and (.dio | type) == "boolean"'
list_has 'list --json: the file' ".\"back-file\" == \"$here/a.vhdx\"" -o BACK-FILE
list_has 'list --json: its inode' ".\"back-ino\" == $(stat -c %i a.vhdx)
	and .\"back-maj:min\" == \"$(stat -c %Hd:%Ld a.vhdx)\"" -o BACK-INO,BACK-MAJ:MIN
list_has 'list --json: device number' ".\"maj:min\" == \"$(lsblk -dno MAJ:MIN /dev/vhdx0 | tr -d ' ')\"" -o MAJ:MIN
vhdxctl info --json a.vhdx >info.json
ctl list --json --output-all
[ "$rc" = 0 ] && jq -e -s '(.[0].vhdxdevices[0]) as $disk | .[1] | $disk.type == .type
	and $disk."disk-id" == ."disk-id" and $disk.size == ."virtual-size"
	and $disk."block-size" == ."block-size" and $disk.allocated == .bat.allocated
	and $disk."log-sec" == ."logical-sector-size"
	and $disk."phy-sec" == ."physical-sector-size"' out info.json >/dev/null
ok 'list agrees with info' $?
[ "$(jq '.vhdxdevices[0] | map(select(. == null)) | length' out)" = 0 ]
ok 'every column has a value' $?
prints 'list --raw --noheadings' '/dev/vhdx0 64M 1' list --raw --noheadings -o NAME,SIZE,RO
prints 'list --bytes' '/dev/vhdx0 67108864' list -b -n --raw -o name,size
ctl list
[ "$rc" = 0 ] && [ "$(head -n 1 out | tr -s ' ')" = 'NAME SIZE TYPE RO DIO LOG-STATE LOG-SEC BACK-FILE' ]
ok 'list: default columns' $?
ctl list -o +AUTOCLEAR
[ "$rc" = 0 ] && head -n 1 out | grep -q ' BACK-FILE *AUTOCLEAR$' && tail -n 1 out | grep -q ' 0$'
ok 'list: one more column' $?
list_has 'list --json: the log is clean' '."log-state" == "clean"'
list_has 'list --json: flags are true or false' '.autoclear == false and (.discard | type) == "boolean"' \
	-o AUTOCLEAR,DISCARD
ctl_user list -n -o NAME,BACK-FILE --raw
[ "$rc" = 0 ] && [ ! -s err ] && [ "$(cat out)" = "/dev/vhdx0 $here/a.vhdx" ]
ok 'list needs no root' $?
ln -s /dev/vhdx0 /tmp/link
ln -s "$here/a.vhdx" /tmp/image
for name in /dev/vhdx0 vhdx0 /tmp/link a.vhdx /tmp/image; do
	prints "list of $name" /dev/vhdx0 list -n --raw -o NAME $name
done
fails 'list of a partition' 64 '/dev/vhdx0p1: not a disk: it is a partition' list /dev/vhdx0p1
hint /dev/vhdx0 'and a hint'
fails 'list of an image that is not attached' 66 'b.vhdx: not attached' list b.vhdx
fails 'list of a disk that is not there' 66 '/dev/vhdx3: not attached' list /dev/vhdx3
ctl list -n --raw -o NAME /dev/vhdx3 /dev/vhdx0
[ "$rc" = 66 ] && [ "$(cat out)" = /dev/vhdx0 ]
ok 'list of one that is there and one that is not' $?

# --- attach --------------------------------------------------------------------

ctl_user attach -r a.vhdx
failed 77 'a.vhdx: cannot open /dev/vhdx-control: Permission denied'
ok 'attach without root' $?
hint root 'and a hint'
prints 'attach takes the first free one' /dev/vhdx1 attach -r b.vhdx
prints 'attach as the device asked for' /dev/vhdx10 attach -r c.vhdx /dev/vhdx10
prints 'attach as vhdx2' /dev/vhdx2 attach --read-only c.vhdx vhdx2
fails 'attach as one that is taken' 75 'b.vhdx: cannot attach: vhdx2 is in use' attach -r b.vhdx vhdx2
hint 'first free' 'and a hint'
ctl list -n --raw -o NAME
[ "$(tr '\n' ' ' <out)" = '/dev/vhdx0 /dev/vhdx1 /dev/vhdx2 /dev/vhdx10 ' ]
ok 'list goes by the numbers' $?
ctl list -n --raw -o NAME c.vhdx
[ "$(tr '\n' ' ' <out)" = '/dev/vhdx2 /dev/vhdx10 ' ]
ok 'list of an image that is attached twice' $?
prints 'detach of an image: all its disks' '' detach c.vhdx
[ ! -e /dev/vhdx2 ] && [ ! -e /dev/vhdx10 ] && [ -b /dev/vhdx1 ]
ok 'and none but those' $?
fails 'attach of what is no image' 1 'raw: cannot attach: file identifier, Signature at offset 0x0: not a VHDX' attach -r raw
hint qemu-img 'and a hint'
cp b.vhdx bad.vhdx
printf xxx | dd of=bad.vhdx bs=1 seek=65600 conv=notrunc status=none
printf xxx | dd of=bad.vhdx bs=1 seek=131136 conv=notrunc status=none
fails 'attach of a damaged image' 1 'bad.vhdx: cannot attach: header' attach -r bad.vhdx
hint 'vhdxctl info' 'and a hint'
exec 3>>c.vhdx
fails 'attach of a file that is open for writing' 75 'c.vhdx: cannot attach: open for writing' attach -r c.vhdx
exec 3>&-
cmp out /dev/null && [ "$(vhdxctl list -n --raw -o NAME | wc -l)" = 2 ]
ok 'what failed is not there' $?

# A file system for /dev without the kernel's nodes in it.
# shellcheck disable=SC2016 # for the other shell
unshare -m sh -c 'mkdir -p /tmp/dev && mount -t tmpfs dev /tmp/dev && cp -a /dev/vhdx-control /dev/null /tmp/dev/ &&
	mount --move /tmp/dev /dev && vhdxctl attach -r c.vhdx' >out 2>err
rc=$?
[ "$rc" = 0 ] && [ "$(cat out)" = /dev/vhdx2 ] && grep -q '^vhdxctl: warning: c.vhdx: attached, but there is no /dev/vhdx2$' err
ok 'attach without devtmpfs says so' $?
vhdxctl detach vhdx2 && vhdxctl list -n >before
# unheard NAME REASON COMMAND...: the name of the disk goes nowhere
unheard() {
	unheard_name=$1 unheard_reason=$2
	shift 2
	"$@" 2>err
	rc=$?
	: >out
	[ "$rc" = 1 ] && grep -q "write error: $unheard_reason" err && vhdxctl list -n | cmp - before
	ok "attach that nobody hears of leaves no disk: $unheard_name" $?
}
unheard 'a full disk' 'No space left' sh -c 'exec vhdxctl attach -r c.vhdx >/dev/full'
unheard 'a pipe that nobody reads' 'Broken pipe' python3 -c '
import os, subprocess, sys
reader, writer = os.pipe()
os.close(reader)
sys.exit(subprocess.run(["vhdxctl", "attach", "-r", "c.vhdx"], stdout=writer).returncode)'
prints 'attach that is heard of' /dev/vhdx2 attach -r c.vhdx
prints 'detach does not need the node' '' detach vhdx2
# shellcheck disable=SC2016 # for the other shell
unshare -m sh -c 'mount --bind /dev/null /dev/vhdx-control && vhdxctl attach -r c.vhdx' >out 2>err
rc=$?
failed 69 'c.vhdx: cannot ask the driver for its version: '
ok 'a control device that is none' $?
# What another driver would answer; little-endian: size, abi, attach_flags.
ctl_inject ioctl:poke_exit=@arg3=4000000063000000:when=1 attach -r c.vhdx
failed 69 'c.vhdx: driver and tool do not fit: driver [0-9.]+ \(ABI 99\), tool [0-9.]+ \(ABI 2\)$'
ok 'a driver with another ABI' $?
hint 'modprobe -r vhdx' 'and a hint'
ctl_inject ioctl:poke_exit=@arg3=400000000200000000000000:when=1 attach -r c.vhdx
failed 69 'c.vhdx: driver and tool do not fit: driver [0-9.]+ does not know attach flags 0x1$'
ok 'a driver that lacks a flag' $?
hint 'modprobe -r vhdx' 'and a hint'
ctl_inject ioctl:error=ENOMEM:when=2 attach -r c.vhdx
failed 75 'c.vhdx: cannot attach: Cannot allocate memory$'
ok 'what the driver says by errno alone' $?
ctl_inject ioctl:error=EPERM:when=1 attach -r c.vhdx
failed 77 'c.vhdx: cannot ask the driver: Operation not permitted$'
ok 'a control device that may be opened but not used' $?
modprobe loop
loop=$(losetup -f --show -r c.vhdx)
prints 'attach of an image on a block device' /dev/vhdx2 attach -r "$loop"
prints 'list says so' "$loop" list -n --raw -o BACK-FILE "$loop"
prints 'detach by that device' '' detach "$loop"
losetup -d "$loop"

# --- detach ----------------------------------------------------------------------

ctl_user detach vhdx0
failed 77 'vhdx0: cannot open /dev/vhdx-control: Permission denied'
ok 'detach without root' $?
mkdir -p /tmp/mnt
mount -o ro /dev/vhdx0p1 /tmp/mnt
fails 'detach of a mounted disk' 75 '/dev/vhdx0: cannot detach: busy: /dev/vhdx0p1 is mounted on /tmp/mnt$' detach /dev/vhdx0
hint 'umount /tmp/mnt' 'and a hint'
fails 'detach of its image' 75 'a.vhdx: cannot detach /dev/vhdx0: busy: /dev/vhdx0p1 is mounted on /tmp/mnt$' detach a.vhdx
ctl detach vhdx7 vhdx0 vhdx1
[ "$rc" = 75 ] && [ "$(grep -c '^vhdxctl: ' err)" = 2 ] && grep -q '^vhdxctl: vhdx7: cannot detach: not attached' err
ok 'detach of several: each failure is said, the highest exit code counts' $?
[ ! -e /dev/vhdx1 ] && [ -b /dev/vhdx0 ] && ls /tmp/mnt/lost+found >/dev/null
ok 'what can be detached is, the mounted disk works on' $?
umount /tmp/mnt

sleep 1000 3</dev/vhdx0p1 &
sleeper=$!
fails 'detach of a disk that a process has open' 75 "busy: /dev/vhdx0p1 is open in process $sleeper \(sleep\)\$" detach vhdx0
kill $sleeper
wait $sleeper 2>/dev/null
modprobe dm-mod
dmsetup create --readonly top --table '0 2048 linear /dev/vhdx0 0' >/dev/null
fails 'detach of a disk that is part of another' 75 'busy: /dev/vhdx0 is part of /dev/dm-0' detach vhdx0
dmsetup remove top
ctl_inject ioctl:error=EBUSY:when=1+ detach vhdx0
failed 75 'vhdx0: cannot detach: busy: it is in use, where could not be found out$' &&
	[ "$(grep -c INJECTED trace)" -gt 10 ]
ok 'detach of a disk that is in use by something unseen' $?
ctl_inject ioctl:error=EIO:when=1 detach vhdx0
failed 74 'vhdx0: cannot detach: Input/output error$'
ok 'detach that fails' $?
# Who looks into a disk and lets go of it, as udev does, does not matter.
ctl_inject ioctl:error=EBUSY:when=1..3 detach /tmp/link
[ "$rc" = 0 ] && [ ! -s out ] && [ ! -s err ] && [ "$(grep -c INJECTED trace)" = 3 ]
ok 'detach of a disk that is open for a moment' $?
[ ! -e /dev/vhdx0 ] && [ ! -e /dev/vhdx0p1 ]
ok 'disk and partition are gone when it returns' $?
fails 'detach once more' 66 'a.vhdx: not attached' detach a.vhdx
fails 'detach of a number that is not there' 66 'vhdx0: cannot detach: not attached' detach vhdx0
prints 'attach again' /dev/vhdx0 attach -r a.vhdx
prints 'and detach' '' detach /dev/vhdx0
prints 'no disk is left' '' list
[ "$(sha256sum a.vhdx)" = "$sum" ]
ok 'the image is what it was' $?

# --- attach for writing --------------------------------------------------------------

# marked DISK: writes a MiB to it that is not zeros, and flushes
mark() {
	head -c 1M /dev/zero | tr '\0' x | dd of="$1" bs=1M conv=fsync,notrunc status=none
}

prints 'attach for writing' /dev/vhdx0 attach b.vhdx
[ "$(blockdev --getro /dev/vhdx0)" = 0 ] && mark /dev/vhdx0
ok 'it can be written' $?
list_has 'list says that it can be written' '.ro == false'
ctl info b.vhdx
[ "$rc" = 0 ] && [ ! -s err ] && grep -q '^Attached as: *\/dev\/vhdx0$' out &&
	! grep -q 'to be replayed' out
ok 'info works, and says that it is attached' $?
ctl info --json b.vhdx
[ "$rc" = 0 ] && jq -e '.attached == [{"name": "/dev/vhdx0"}]' out >/dev/null
ok 'info --json too' $?
ctl info --json a.vhdx
[ "$rc" = 0 ] && jq -e '.attached == []' out >/dev/null
ok 'which another image is not' $?

in_use="b.vhdx: cannot attach: locked by QEMU's image lock: it is attached as /dev/vhdx0\$"
fails 'attach once more' 75 "$in_use" attach b.vhdx
hint "'vhdxctl detach /dev/vhdx0' comes first" 'and a hint'
fails 'attach once more, read-only' 75 "$in_use" attach -r b.vhdx
hint "'vhdxctl detach /dev/vhdx0' comes first" 'and a hint'
ln b.vhdx hard.vhdx
fails 'attach of the same file by another name' 75 'it is attached as /dev/vhdx0' attach hard.vhdx
rm hard.vhdx
# Without the locks the driver itself refuses.
ctl_inject fcntl:error=EINVAL attach b.vhdx
failed 75 'b.vhdx: cannot attach: ' && grep -q INJECTED trace
ok 'the same on a file system without locks' $?
hint "it is attached as /dev/vhdx0; 'vhdxctl detach /dev/vhdx0' comes first" 'and a hint'
ctl_inject fcntl:error=ENOLCK attach -r b.vhdx
failed 75 'b.vhdx: cannot attach: ' && grep -q INJECTED trace
ok 'and read-only' $?
ctl_inject fcntl:error=EIO attach b.vhdx
failed 74 'b.vhdx: cannot lock: Input/output error$'
ok 'a file that cannot be locked for another reason' $?

# qemu_refuses NAME ARG...
qemu_refuses() {
	qemu_name=$1
	shift
	"$@" >out 2>err
	rc=$?
	[ $rc != 0 ] && grep -qE 'Failed to get (shared )?"write" lock' err
	ok "$qemu_name" $?
}
qemu_refuses 'qemu-img info while it is attached for writing' qemu-img info b.vhdx
qemu_refuses 'qemu-img check' qemu-img check b.vhdx
qemu_refuses 'qemu-io for reading' qemu-io -r -f vhdx -c 'read 0 512' b.vhdx
qemu_refuses 'qemu-io for writing' qemu-io -f vhdx -c 'write 0 512' b.vhdx
prints 'detach' '' detach b.vhdx
qemu-io -r -f vhdx -c 'read -P 0x78 0 1M' b.vhdx >out 2>err
rc=$?
[ $rc = 0 ] && ! grep -q failed out
ok 'then QEMU reads what was written' $?
qemu-img check b.vhdx >out 2>err
rc=$?
ok 'and finds it in order' $rc

prints 'attach read-only' /dev/vhdx0 attach -r b.vhdx
[ "$(blockdev --getro /dev/vhdx0)" = 1 ] && ! dd if=/dev/zero of=/dev/vhdx0 bs=4K count=1 status=none 2>err
ok 'it cannot be written' $?
prints 'once more, read-only' /dev/vhdx1 attach -r b.vhdx
qemu-img check b.vhdx >out 2>err
rc=$?
ok 'qemu-img check of what is attached read-only' $rc
qemu-io -f vhdx -c 'write 0 512' b.vhdx >out 2>err
rc=$?
[ $rc != 0 ] && ! grep -q 'wrote' out
ok 'QEMU cannot write it' $?
fails 'attach for writing what is attached read-only' 75 \
	'b.vhdx: cannot open for writing: busy: it is attached as /dev/vhdx0, it is attached as /dev/vhdx1$' attach b.vhdx
hint "'vhdxctl attach -r'" 'and a hint'
prints 'detach of both' '' detach b.vhdx

# What others have open.
mkfifo commands
qemu-io -r -f vhdx b.vhdx <commands >/tmp/qemu.out 2>&1 &
qemu=$!
exec 4>commands
until grep -q ":$(stat -c %i b.vhdx) " /proc/locks; do sleep 0.1; done
fails 'attach for writing what QEMU reads' 75 "b.vhdx: cannot attach: .*: it is open in process $qemu \(qemu-io\)\$" attach b.vhdx
hint "'vhdxctl attach -r'" 'and a hint'
prints 'attach read-only what QEMU reads' /dev/vhdx0 attach -r b.vhdx
prints 'and detach it' '' detach vhdx0
exec 4>&-
wait $qemu
prints 'QEMU is through' /dev/vhdx0 attach b.vhdx
prints 'and so are we' '' detach vhdx0
exec 3>>b.vhdx
fails 'attach for writing what is open for writing' 75 'b.vhdx: cannot attach: ' attach b.vhdx
hint "it is open in process $$ " 'the hint is by whom'
exec 3>&-

# Files that cannot be written.
mkdir -p /tmp/ro
mount --bind . /tmp/ro
mount -o remount,bind,ro /tmp/ro
fails 'attach of a file on a read-only file system' 77 '/tmp/ro/b.vhdx: cannot open for writing: Read-only file system' \
	attach /tmp/ro/b.vhdx
hint "'vhdxctl attach -r'" 'and a hint'
prints 'attach it read-only' /dev/vhdx0 attach -r /tmp/ro/b.vhdx
prints 'and detach it' '' detach vhdx0
umount /tmp/ro
loop=$(losetup -f --show b.vhdx)
blockdev --setro "$loop"
fails 'attach of a block device that cannot be written' 77 "$loop: cannot (open for writing|attach): " attach "$loop"
hint "'vhdxctl attach -r'" 'and a hint'
blockdev --setrw "$loop"
prints 'attach of one that can' /dev/vhdx0 attach "$loop"
fails 'attach it once more' 75 'it is attached as /dev/vhdx0' attach "$loop"
mark /dev/vhdx0
ok 'and write' $?
prints 'and detach' '' detach "$loop"
losetup -d "$loop"

# --- how to attach -------------------------------------------------------------------

for mode in on off auto; do
	prints "attach --direct-io=$mode" /dev/vhdx0 attach --direct-io=$mode b.vhdx
	case $mode in
	on) dio='.dio == true' ;;
	off) dio='.dio == false' ;;
	*) dio='(.dio | type == "boolean")' ;;
	esac
	list_has "list says so: $mode" "$dio"
	mark /dev/vhdx0
	ok 'and it can be written' $?
	prints 'detach' '' detach vhdx0
done
prints 'the last mode counts' /dev/vhdx0 attach --direct-io=on --direct-io=off b.vhdx
list_has 'list says so' '.dio == false'
prints 'detach' '' detach vhdx0
# No ramfs does direct I/O.
mkdir -p /tmp/ram
mount -t ramfs ram /tmp/ram
cp b.vhdx /tmp/ram/
fails 'attach --direct-io=on where there is none' 1 '/tmp/ram/b.vhdx: cannot attach: .*direct' \
	attach --direct-io=on /tmp/ram/b.vhdx
hint '--direct-io=auto' 'and a hint'
prints 'attach --direct-io=auto there' /dev/vhdx0 attach --direct-io=auto /tmp/ram/b.vhdx
list_has 'list says so' '.dio == false'
prints 'detach' '' detach vhdx0
umount /tmp/ram

prints 'attach --discard=ignore' /dev/vhdx0 attach --discard=ignore b.vhdx
list_has 'list says so' '.discard == false' -o DISCARD
[ "$(cat /sys/block/vhdx0/queue/discard_max_bytes)" = 0 ] && ! blkdiscard /dev/vhdx0 2>err
ok 'it cannot discard' $?
prints 'detach' '' detach vhdx0
prints 'attach --discard=unmap' /dev/vhdx0 attach --discard=ignore --discard=unmap b.vhdx
list_has 'list says so' '.discard == true' -o DISCARD
blkdiscard /dev/vhdx0 2>err && [ "$(head -c 1M /dev/vhdx0 | tr -d '\0' | wc -c)" = 0 ]
ok 'it discards' $?
prints 'detach' '' detach vhdx0

prints 'attach --no-partscan' /dev/vhdx0 attach --no-partscan a.vhdx
[ -b /dev/vhdx0 ] && [ ! -e /dev/vhdx0p1 ]
ok 'there is no partition' $?
blockdev --rereadpt /dev/vhdx0 2>err
[ ! -e /dev/vhdx0p1 ]
ok 'and comes none later' $?
prints 'detach' '' detach vhdx0

prints 'attach --autoclear' /dev/vhdx0 attach --autoclear a.vhdx
list_has 'list says so' '.autoclear == true' -o AUTOCLEAR
blkid -p /dev/vhdx0p1 >out 2>err && [ -b /dev/vhdx0 ]
ok 'who only looks is no user' $?
mount /dev/vhdx0p1 /tmp/mnt && echo hello >/tmp/mnt/hello && umount /tmp/mnt
ok 'mount, write, umount' $?
# gone DISK: soon, since its last user does not wait for that
gone() {
	gone_tries=0
	while [ -e "/sys/block/$1" ] && [ $gone_tries -lt 100 ]; do
		gone_tries=$((gone_tries + 1))
		sleep 0.1
	done
	[ ! -e "/sys/block/$1" ]
}
# attach_again ARG...: as soon as such a disk has let go of its image and number
attach_again() {
	again_tries=0
	ctl attach "$@"
	while [ "$rc" = 75 ] && [ $again_tries -lt 100 ]; do
		again_tries=$((again_tries + 1))
		sleep 0.1
		ctl attach "$@"
	done
	[ "$rc" = 0 ]
}
gone vhdx0
ok 'the disk is gone' $?
attach_again -r a.vhdx vhdx0
ok 'its image can be attached' $?
mount -o ro /dev/vhdx0p1 /tmp/mnt && [ "$(cat /tmp/mnt/hello)" = hello ] && umount /tmp/mnt
ok 'and has what was written' $?
prints 'detach' '' detach vhdx0

# A log that is dirty.
mkvhdx --bad log-wraps dirty.vhdx >out 2>err
sum=$(sha256sum dirty.vhdx)
fails 'attach --no-replay of a dirty image' 1 'dirty.vhdx: cannot attach: ' attach --no-replay dirty.vhdx
hint 'vhdxctl info' 'and a hint'
fails 'attach -r --no-replay of it' 1 'dirty.vhdx: cannot attach: ' attach -r --no-replay dirty.vhdx
prints 'attach -r of it' /dev/vhdx0 attach -r dirty.vhdx
list_has 'list: the log is replayed in memory' '."log-state" == "replayed in memory"'
ctl info dirty.vhdx
[ "$rc" = 0 ] && grep -q 'State: *dirty, and the disk is attached$' out
ok 'info: it is dirty' $?
prints 'detach' '' detach vhdx0
[ "$(sha256sum dirty.vhdx)" = "$sum" ]
ok 'the image is what it was' $?
prints 'attach for writing' /dev/vhdx0 attach dirty.vhdx
mkvhdx --bad log-wraps --verify /dev/vhdx0 >out 2>err
rc=$?
ok 'it shows what it should' $rc
prints 'detach' '' detach vhdx0
ctl info --json dirty.vhdx
[ "$rc" = 0 ] && jq -e '.log.state == "clean"' out >/dev/null
ok 'the log was replayed' $?
prints 'attach --no-replay of a clean image' /dev/vhdx0 attach --no-replay dirty.vhdx
prints 'detach' '' detach vhdx0

# --- chains ---------------------------------------------------------------------------

mkdir chain
cd chain || exit 1
mkvhdx --differencing --size 8M child.avhdx >out 2>err
fails 'attach of a child without its parent' 66 'child.avhdx: cannot attach: its parent is missing: it wants .\\parent.vhdx' attach child.avhdx
mkvhdx --size 8M --blocks 0,3 parent.vhdx >out 2>err
cp parent.vhdx keep.vhdx
prints 'attach of a child' /dev/vhdx0 attach child.avhdx
list_has 'list --json: its parents' ".type == \"differencing\" and .parents == [\"$PWD/parent.vhdx\"]" -o TYPE,PARENTS
prints 'list: its parents' "$PWD/parent.vhdx" list -n --raw -o PARENTS
mkvhdx --size 8M --blocks 0,3 --verify /dev/vhdx0 >out 2>err
ok 'it shows its parent' $?
fails 'attach of the parent for writing' 75 \
	'parent.vhdx: cannot (attach|open for writing): .*it is a parent of /dev/vhdx0' attach --allow-parent-write parent.vhdx
prints 'attach -r of the parent' /dev/vhdx1 attach -r parent.vhdx
fails 'a child of what is written to' 75 'child.avhdx: cannot be a parent while it is written to: it is attached as /dev/vhdx0' \
	create --parent child.avhdx grandchild.avhdx
prints 'detach both' '' detach vhdx0 vhdx1
fails 'the parent for writing, when its child is detached' 1 "it is the parent of $PWD/child.avhdx" attach parent.vhdx
prints 'create a grandchild' '' create --parent child.avhdx grandchild.avhdx
prints 'attach of a grandchild' /dev/vhdx0 attach grandchild.avhdx
list_has 'list --json: its parents in order' ".parents == [\"$PWD/child.avhdx\", \"$PWD/parent.vhdx\"]" -o PARENTS
list_has 'list: a line for each' '.parents | length == 2' -o PARENTS
printf 'changed' | dd of=/dev/vhdx0 conv=fsync status=none
prints 'detach' '' detach vhdx0
cmp keep.vhdx parent.vhdx && ctl info --json --chain grandchild.avhdx && [ "$rc" = 0 ] &&
	jq -e '[.chain[].allocated > 0] == [true, false, true]' out >/dev/null
ok 'what was written is in the grandchild alone' $?
prints 'attach --allow-parent-write' /dev/vhdx0 attach --allow-parent-write parent.vhdx
printf 'changed' | dd of=/dev/vhdx0 conv=fsync status=none
prints 'detach' '' detach vhdx0
fails 'the children of a parent that was changed' 1 'child.avhdx: cannot attach: its parent .*/parent.vhdx does not match: ' attach -r grandchild.avhdx
prints 'and --ignore-id-mismatch' /dev/vhdx0 attach -r --ignore-id-mismatch grandchild.avhdx
prints 'detach' '' detach vhdx0
cp keep.vhdx /tmp/PARENT.VHDX
prints 'the right one by --parent-dir' /dev/vhdx0 attach --parent-dir /tmp grandchild.avhdx
list_has 'list --json: that one' ".parents[1] == \"/tmp/PARENT.VHDX\"" -o PARENTS
prints 'detach' '' detach vhdx0
rm /tmp/PARENT.VHDX

# --- new images ------------------------------------------------------------------------

for type in dynamic fixed; do
	prints "create -t $type" '' create -t $type -s 16M $type.vhdx
	prints "attach of a new image, $type" /dev/vhdx0 attach $type.vhdx
	cmp -n 16777216 /dev/vhdx0 /dev/zero && mke2fs -q /dev/vhdx0 && e2fsck -fn /dev/vhdx0 >out 2>err
	ok "a file system on it, $type" $?
	prints 'detach' '' detach vhdx0
done
# left: no other file than those is there after a failure
ls -A >/tmp/before
left() {
	ls -A >/tmp/after
	cmp /tmp/before /tmp/after
	ok "$1: nothing is left" $?
}
# (SIGINT is ignored here, and by what is called here.)
for signal in HUP TERM; do
	ctl_inject "fsync:signal=SIG$signal" create -s 16M new.vhdx
	[ "$rc" -gt 128 ]
	ok "create is interrupted: SIG$signal" $?
	rm -f trace
	left "SIG$signal"
done
for inject in ftruncate:error=EFBIG fsync:error=EIO pwrite64:error=ENOSPC:when=3 fsync:error=EIO:when=2 renameat2:error=EROFS; do
	ctl_inject $inject create -s 16M new.vhdx
	rm -f trace
	[ "$rc" != 0 ] && is_one_message && grep -qE 'new.vhdx: cannot create: .*(File too large|Input/output error|No space left on device|Read-only file system)$' err
	ok "create: $inject" $?
	left "$inject"
done
ctl_inject fallocate:error=ENOSPC create -t fixed -s 16M new.vhdx
rm -f trace
failed 1 'new.vhdx: cannot create: .*No space left on device'
ok 'create -t fixed on a full host' $?
left 'a full host'
ctl_inject fallocate:error=EOPNOTSUPP create -t fixed -s 16M written.vhdx
[ "$rc" = 0 ] && [ "$(stat -c %b written.vhdx)" -ge 32768 ]
ok 'create -t fixed on a host that cannot allocate' $?
ctl_inject renameat2:error=EINVAL create -s 16M linked.vhdx
rm -f trace
ctl info --json linked.vhdx
[ "$rc" = 0 ] && [ "$(stat -c %h linked.vhdx)" = 1 ] && [ -z "$(find . -name '.vhdxctl*')" ]
ok 'create on a host that cannot rename without replacing' $?
# no_links ERROR INJECT ARG...: on a host that has no hard links either
no_links() {
	no_links_error=$1 no_links_inject=$2
	shift 2
	ASAN_OPTIONS=exitcode=99:detect_leaks=0 strace -o trace -e trace=renameat2,link,linkat,fsync \
		-e inject=renameat2:error=EINVAL -e inject=link,linkat:error="$no_links_error" \
		-e inject="$no_links_inject" "$tool" "$@" >out 2>err
	rc=$?
	rm -f trace
}
for error in EPERM EOPNOTSUPP ENOSYS EMLINK; do
	no_links $error fsync:delay_enter=1 create -s 16M renamed.vhdx
	[ "$rc" = 0 ] && [ ! -s err ] && "$tool" info renamed.vhdx >out 2>err && [ -z "$(find . -name '.vhdxctl*')" ]
	ok "create on a host that has no hard links: $error" $?
	rm -f renamed.vhdx
done
{
	for _ in $(seq 100); do
		[ -z "$(find . -name '.vhdxctl*')" ] || break
		sleep 0.1
	done
	echo theirs >renamed.vhdx
} &
writer=$!
no_links EPERM fsync:delay_enter=1000000 create -s 16M renamed.vhdx
wait $writer
failed 73 'renamed.vhdx: cannot create: there is such a file already' && [ "$(cat renamed.vhdx)" = theirs ] &&
	[ -z "$(find . -name '.vhdxctl*')" ]
ok 'create: a file that came meanwhile stays as it is' $?
rm renamed.vhdx
for format in vhdx raw vhd; do
	ctl_inject fsync,sync_file_range:error=EIO convert -O $format dynamic.vhdx new.$format
	failed 74 "new.$format: cannot .*Input/output error" && grep -q INJECTED trace && [ ! -e new.$format ]
	ok "convert to $format waits for the disk" $?
	ctl_inject fsync,sync_file_range:error=EIO convert --no-sync -O $format dynamic.vhdx new.$format
	[ "$rc" = 0 ] && [ ! -s err ] && ! grep -q INJECTED trace
	ok "convert --no-sync to $format does not" $?
	rm -f trace
	prints "and the disk is the same, $format" '' compare -q dynamic.vhdx new.$format
done

# A file that was cut inside of a block, and a child of it.
cp dynamic.vhdx cut.vhdx
"$tool" create --parent cut.vhdx child.vhdx >out 2>err
truncate -s -512 cut.vhdx
for image in cut child; do
	dmesg -C
	ctl attach -r $image.vhdx
	[ "$rc" = 0 ] && [ "$(cat out)" = /dev/vhdx0 ] && [ "$(cat /sys/block/vhdx0/vhdx/cut_blocks)" = 1 ] &&
		grep -qx "vhdxctl: warning: $image.vhdx: data of 1 blocks is missing, .*: it reads as zeros" err &&
		dmesg | grep -q 'vhdx0: .*cut.vhdx ends before the data of 1 blocks does: it reads as zeros$'
	ok "attach says what was cut: $image.vhdx" $?
	cmp /dev/vhdx0 /dev/zero >out 2>err
	[ $? = 1 ] && dd if=/dev/vhdx0 of=/dev/null bs=1M status=none 2>err
	ok 'all else can be read' $?
	prints 'detach' '' detach vhdx0
done
rm cut.vhdx child.vhdx
cd ..

# --- what wants an image for itself ---------------------------------------------------

# The kernel lets nobody open for writing what is attached read-only, or as a parent.
in_use='(cannot be [a-z]+ while it is in use|cannot open for writing: busy): it is (attached as|a parent of) /dev/vhdx0$'
refuses() {
	refuses_name=$1 refuses_code=$2 refuses_image=$3
	shift 3
	fails "$refuses_name" "$refuses_code" "^vhdxctl: $refuses_image: $in_use" "$@"
	hint "'vhdxctl detach (/dev/)?vhdx0' comes first" 'and a hint'
}
"$tool" create --parent b.vhdx child.vhdx >out 2>err
before=$(sha256sum b.vhdx child.vhdx)
for option in '' -r; do
	# shellcheck disable=SC2086 # maybe none
	ctl attach $option child.vhdx
	refuses "check --repair of what is attached $option" 1 child.vhdx check --repair=all child.vhdx
	refuses 'of its parent' 1 b.vhdx check --repair=all b.vhdx
	refuses 'set' 75 child.vhdx set --reset-disk-id child.vhdx
	refuses 'merge' 75 child.vhdx merge child.vhdx
	refuses 'resize of its parent' 75 b.vhdx resize --allow-parent-write b.vhdx 16M
	refuses 'compact of its parent' 75 b.vhdx compact b.vhdx
	prints 'detach' '' detach vhdx0
done
ctl attach -r b.vhdx
refuses 'merge into one that is attached' 75 "$PWD/b.vhdx" merge child.vhdx
prints 'detach of that' '' detach vhdx0
[ "$before" = "$(sha256sum b.vhdx child.vhdx)" ]
ok 'none of it has changed anything' $?
rm child.vhdx

# --- ways to detach ------------------------------------------------------------------

attach_all() {
	for attach_image in "$@"; do
		ctl attach "$attach_image"
	done
}

attach_all a.vhdx
mount /dev/vhdx0p1 /tmp/mnt
busy='vhdx0: cannot detach: busy: /dev/vhdx0p1 is mounted on /tmp/mnt$'
fails 'detach --wait of a mounted disk' 75 "$busy" detach --wait 0.3 vhdx0
hint 'umount /tmp/mnt' 'and a hint'
ctl_inject ioctl:error=EBUSY:when=1+ detach -w 0 vhdx0
failed 75 "$busy" && [ "$(grep -c INJECTED trace)" = 1 ]
ok 'detach --wait 0: one try' $?
ctl_inject ioctl:error=EBUSY:when=1+ detach -w 0.25 vhdx0
failed 75 "$busy" && [ "$(grep -c INJECTED trace)" = 4 ]
ok 'detach --wait 0.25: four' $?
"$tool" detach --wait 600 vhdx0 >out 2>err &
waiter=$!
# It tries again and again until the mount is gone.
sleep 0.5
kill -0 $waiter && [ -b /dev/vhdx0 ]
ok 'detach --wait waits' $?
umount /tmp/mnt
wait $waiter
rc=$?
[ $rc = 0 ] && [ ! -s out ] && [ ! -s err ] && [ ! -e /dev/vhdx0 ]
ok 'and detaches when the disk is not mounted any more' $?

# --id-file means one disk, whatever its image is called and who else has that one.
ctl attach -r a.vhdx
prints 'attach --id-file' '/dev/vhdx5' attach -r --id-file id a.vhdx vhdx5
mv a.vhdx moved.vhdx
prints 'detach --id-file, of a renamed image' '' detach --id-file id
[ ! -e /dev/vhdx5 ] && [ -b /dev/vhdx0 ] && [ ! -e id ]
ok 'that disk is gone, and no other' $?
mv moved.vhdx a.vhdx
ctl attach -r --id-file id a.vhdx vhdx5
ctl detach vhdx5
ctl attach -r a.vhdx vhdx5
prints 'detach --id-file, when that disk is gone' '' detach --id-file id
[ -b /dev/vhdx5 ] && [ ! -e id ]
ok 'the one that has its name now stays' $?
ctl detach vhdx5
ctl attach -r --id-file id a.vhdx vhdx5
exec 3</dev/vhdx5
fails 'detach --id-file of a disk in use' 75 'vhdx5: cannot detach: busy' detach --id-file id --wait 0
[ -e id ]
ok 'which can be tried again' $?
exec 3<&-
prints 'so it is' '' detach --id-file id
fails 'attach --id-file that cannot be written' 66 'nosuch/id: cannot make: No such file' attach -r --id-file nosuch/id a.vhdx vhdx5
for _ in $(seq 100); do
	[ -e /dev/vhdx5 ] || break
	sleep 0.1
done
[ ! -e /dev/vhdx5 ]
ok 'nothing is attached then' $?
ctl detach vhdx0

attach_all a.vhdx
mount /dev/vhdx0p1 /tmp/mnt
prints 'detach --lazy of a mounted disk' '' detach --lazy a.vhdx
[ -b /dev/vhdx0 ] && echo lazy >/tmp/mnt/lazy && sync -f /tmp/mnt
ok 'it works on' $?
fails 'its image is in use' 75 'it is attached as /dev/vhdx0' attach a.vhdx
umount /tmp/mnt
gone vhdx0
ok 'it goes with the last user' $?
attach_again a.vhdx vhdx0
ok 'its image can be attached' $?
mount -o ro /dev/vhdx0p1 /tmp/mnt && [ "$(cat /tmp/mnt/lazy)" = lazy ] && umount /tmp/mnt
ok 'and what was written is there' $?
prints 'detach -l of a disk that nobody uses' '' detach -l vhdx0
gone vhdx0
ok 'it goes at once' $?

prints 'detach --all of no disk' '' detach --all
attach_again a.vhdx vhdx0
attach_all b.vhdx c.vhdx
mount /dev/vhdx0p1 /tmp/mnt
fails 'detach --all with a disk in use' 75 "/dev/$busy" detach --all
ctl list -n --raw -o NAME
[ "$(cat out)" = /dev/vhdx0 ]
ok 'what can be detached is' $?
umount /tmp/mnt
attach_all b.vhdx c.vhdx
prints 'detach -a of three disks' '' detach -a
prints 'none is left' '' list
# An image on a partition of another one.
attach_all a.vhdx
dd if=c.vhdx of=/dev/vhdx0p1 bs=1M conv=fsync status=none
prints 'attach of an image on a disk' /dev/vhdx1 attach -r /dev/vhdx0p1
prints 'detach --all: the upper one first' '' detach --all
modprobe -r vhdx
prints 'detach --all without the module' '' detach --all

# A driver that could not empty the log; little-endian: size, flags, index, unclean.
attach_all b.vhdx
ctl_inject ioctl:poke_exit=@arg3=10000000000000000000000005000000:when=1 detach vhdx0
failed 74 'vhdx0: detached, but its log could not be emptied: Input/output error$'
ok 'detach that leaves the image dirty' $?
hint 'next attach replays' 'and a hint'
attach_all b.vhdx
ctl_inject ioctl:poke_exit=@arg3=1000000000000000000000001c000000:when=1 detach b.vhdx
failed 74 'b.vhdx: detached /dev/vhdx0, but its log could not be emptied: No space left on device$'
ok 'and by image' $?
prints 'no disk is left' '' list

finish
