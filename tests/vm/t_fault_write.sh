#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Memory, the host's disk and its space run out while an image is written: each
# error belongs to who asked, and what was flushed is there afterwards. Prints TAP.
# kernels: debug
# vm: -m 96 -x build/mkvhdx
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/fault.sh
. "$VM_LIB/fault.sh"

# state: of the one disk
state() { vhdxctl list -n --raw -o RO,LOG-STATE; }
is_writable() { case $(state) in *failed*) false ;; 0*) true ;; *) false ;; esac; }
# Who waits for a flush hears of it before the disk turns read-only.
has_failed() {
	for poll in $(seq 50); do
		case $(state) in
		'1 failed') return 0 ;;
		'0 failed') echo "# not yet read-only, $poll" ;;
		*) return 1 ;;
		esac
	done
	return 1
}
why() { cat /tmp/err; echo "state: $(state)"; }

# text N: the 4 KiB that belong at 300 KiB * N; most blocks get more than one
text() { yes "this is $1" 2>/dev/null | head -c 4096; }

# write_text N [CONV]
write_text() {
	text "$1" | dd of="$vhdx" bs=4k seek=$(($1 * 75)) iflag=fullblock oflag=direct \
		conv="notrunc${2-}" status=none 2>/tmp/err
}

# put N: what is in /tmp/flushed was promised
put() {
	write_text "$1" ,fsync || return 1
	echo "$1" >>/tmp/flushed
}

fsync_disk() { dd if=/dev/null of="$vhdx" conv=notrunc,fsync status=none 2>/tmp/err; }

attach() { vhdx=$(vhdxctl attach "$image" 2>/tmp/err); }

# all_is_there: what was promised, seen by a fresh attach
all_is_there() {
	attach || return 1
	dd if="$vhdx" of=/tmp/disk bs=1M iflag=direct status=none 2>/tmp/err || return 1
	vhdxctl detach "$vhdx" 2>/tmp/err || return 1
	sort -nu /tmp/flushed >/tmp/sorted
	while read -r number; do
		text "$number" >/tmp/text
		cmp -n 4096 -i "$((number * 307200)):0" /tmp/disk /tmp/text >/tmp/err 2>&1 || return 1
	done </tmp/sorted
}

: >/tmp/flushed
modprobe -a dm_mod

# --- memory ---

# Only what the driver itself asks for: its code is right below the allocator.
fault_code 6

# An attach that finds a dirty log and replays it.
mkvhdx --bad log-wraps /tmp/pristine >/tmp/out
image=/scratch/dirty.vhdx
refused=0 odd=0
for try in $(seq 6); do
	cp --sparse=always /tmp/pristine $image
	fault failslab 100 1 $((try * 50))
	if attach; then
		no_fault failslab
		vhdxctl detach "$vhdx" 2>/tmp/err || odd=1
	else
		no_fault failslab
		refused=$((refused + 1))
		grep -qi memory /tmp/err || { odd=1; cp /tmp/err /tmp/odd; }
	fi
	# the first replay may have been broken off
	attach && mkvhdx --bad log-wraps --verify "$vhdx" 2>/tmp/err && vhdxctl detach "$vhdx" || odd=1
done
echo "# $refused of 6 attaches refused"
[ ! -e /tmp/odd ] || cp /tmp/odd /tmp/err
ok 'an attach for writing without memory is refused, and works later' $odd
[ $refused -ge 2 ]
ok 'some were' $?
rm $image

image=/scratch/a.vhdx
mkvhdx --size 32M --block 1M --log 1M --blocks '' $image
attach
ok 'attach' $?
fault failslab 50 100000
status=0
for number in $(seq 0 6 60); do
	put "$number" || status=1
done
# Through the page cache: requests of many bios, each with its own pages.
for number in 20 24 28; do
	yes "this is $number" | dd of="$vhdx" bs=1M seek=$number count=3 iflag=fullblock conv=notrunc,fsync \
		status=none 2>/tmp/err || status=1
done
no_fault failslab
ok 'no write fails for want of memory' $status
left=$(cat $debugfs/failslab/times)
echo "# $((100000 - left)) allocations failed"
[ "$left" -lt 100000 ]
ok 'allocations did fail' $?
yes 'this is 24' | head -c 3145728 >/tmp/text
dd if="$vhdx" bs=1M skip=24 count=3 iflag=direct status=none | cmp - /tmp/text >/tmp/err 2>&1
ok 'and the data is right' $?
vhdxctl detach "$vhdx" 2>/tmp/err
ok 'detach' $?
all_is_there
ok 'what was flushed is there' $?
rm $image

# --- the host's disk ---

dir=/sys/kernel/config/nullb/host
mkdir $dir
for set in size=96 memory_backed=1 discard=1 cache_size=8 blocksize=512 power=1; do
	echo "${set#*=}" >"$dir/${set%%=*}"
done
disk=/dev/host
[ -b $disk ] || disk=/dev/nullb$(cat $dir/index)
sectors=$(blockdev --getsz "$disk")

# broken [FIRST COUNT]: the dm device with these sectors out of order, or none
broken() {
	if [ $# = 0 ]; then
		echo "0 $sectors linear $disk 0"
	else
		end=$(($1 + $2))
		echo "0 $1 linear $disk 0"
		echo "$1 $2 error"
		echo "$end $((sectors - end)) linear $disk $end"
	fi >/tmp/table
	if dmsetup info host >/dev/null 2>&1; then
		dmsetup reload host /tmp/table && dmsetup resume --noudevsync host
	else
		dmsetup create host --noudevsync /tmp/table
	fi >/tmp/err 2>&1
}

# new_image: the image is the device, with data in the blocks 0 to 2
new_image() {
	blkdiscard -f "$disk" 2>/tmp/err
	mkvhdx --size 32M --block 1M --log 1M --blocks 0,1,2 --data 0 /tmp/a.vhdx &&
		dd if=/tmp/a.vhdx of="$disk" bs=1M conv=notrunc,sparse,fsync status=none
	: >/tmp/flushed
}

echo 4 >/sys/module/vhdx/parameters/growth_mib
new_image
broken
image=/dev/$(dmsetup info -c --noheadings -o blkdevname host)
vhdxctl info --json /tmp/a.vhdx >/tmp/info
bat=$(jq '.regions[] | select(.name == "BAT").offset' /tmp/info)
log=$(jq .log.offset /tmp/info)
# A BAT entry has the offset in MiB from bit 20 on (MS-VHDX 2.5.1).
payload=$(($(od -An -t u8 -j $((bat + 8)) -N 8 /tmp/a.vhdx) >> 20))

attach
ok 'an image right on a device' $?
put 8 && put 100
ok 'writes' $?
broken $((payload * 2048)) 2048
! write_text 4
ok "block 1 is out of order: a write to it fails" $?
write_text 0 && put 12 && put 104
ok 'others do not, nor a flush' $?
is_writable
ok 'and the disk stays writable' $?
broken
dd if=/tmp/a.vhdx bs=1M skip=$payload count=1 status=none >/tmp/text
dd if="$vhdx" bs=1M skip=1 count=1 iflag=direct status=none | cmp - /tmp/text >/tmp/err 2>&1
ok 'the block is as it was' $?
put 4
ok 'and is written when it is in order again' $?

broken $((log / 512)) 2048
! put 60
ok 'the log is out of order: a flush fails' $?
has_failed
ok 'the disk is read-only, and says why' $?
! write_text 12 && ! fsync_disk
ok 'nothing is written or flushed any more' $?
broken
! fsync_disk
ok 'nor when the log is in order again' $?
vhdxctl detach "$vhdx" >/tmp/out 2>&1
[ -z "$(vhdxctl list -n)" ]
ok 'it goes all the same' $?
all_is_there
ok 'what was flushed is there' $?

# Nothing is dirty, so the flush is the one thing that can fail.
echo 1 >"/sys/block/${disk#/dev/}/make-it-fail"
attach
put 8
write_text 12
fault fail_make_request 100 1
! fsync_disk
ok 'the flush of the device fails: so does that of the disk' $?
no_fault fail_make_request
has_failed && ! fsync_disk
ok 'no other is ever acknowledged' $?
vhdxctl detach "$vhdx" >/tmp/out 2>&1
all_is_there
ok 'what was flushed is there' $?

new_image
attach
failed=0 died=0 status=0
for number in $(seq 0 4 104) $(seq 2 12 104); do
	fault fail_make_request 8 -1
	put "$number" || failed=$((failed + 1))
	no_fault fail_make_request
	has_failed || continue
	died=$((died + 1))
	vhdxctl detach "$vhdx" >/tmp/out 2>&1
	attach || { status=1; break; }
done
vhdxctl detach "$vhdx" >/tmp/out 2>&1
echo "# $failed of 36 writes failed, $died times for good, $(wc -l </tmp/flushed) flushed"
ok 'a disk that fails at random: each attach works' $status
[ $failed -gt 0 ] && [ -s /tmp/flushed ]
ok 'some writes failed, some did not' $?
all_is_there
ok 'what was flushed is there' $?
dmsetup remove --noudevsync host

# --- the host's space ---

blkdiscard -f "$disk" 2>/tmp/err
mkfs.ext4 -q "$disk" 24M && mkdir -p /tmp/host && mount "$disk" /tmp/host
fallocate -l 6M /tmp/host/filler
image=/tmp/host/a.vhdx
mkvhdx --size 32M --block 1M --log 1M --blocks '' $image
: >/tmp/flushed
echo 1 >/sys/module/vhdx/parameters/growth_mib
attach
ok 'an image on a small file system' $?
status=1
for number in $(seq 0 4 104); do
	put "$number" || { status=0; break; }
done
grep -q 'No space left' /tmp/err || status=1
ok "it is full at write $number: ENOSPC" $status
is_writable
ok 'the disk stays writable' $?
put 1 && put 5 && fsync_disk
ok 'where there is room it is written and flushed' $?
rm /tmp/host/filler
sync -f /tmp/host
put "$number" && put $((number + 4))
ok 'with room made it goes on' $?
vhdxctl detach "$vhdx" 2>/tmp/err
ok 'detach' $?
all_is_there
ok 'what was flushed is there' $?
umount /tmp/host

finish
