#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Memory, the host's disk and its space run out while an image is written: each
# error belongs to who asked, and what was flushed is there afterwards. Prints TAP.
# long: debug
# vm: -m 96 -x build/mkvhdx
# more: -e EVERY=1
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/fault.sh
. "$VM_LIB/fault.sh"

# state: of the one disk, without a program's start
state() {
	read -r ro <"/sys/block/${vhdx#/dev/}/ro"
	read -r log_state <"/sys/block/${vhdx#/dev/}/vhdx/log_state"
	echo "$ro $log_state"
}
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

# The 4 KiB that belong at 300 KiB * N, one behind the other; most blocks get more
# than one.
awk 'BEGIN {
	for (n = 0; n < 112; n++) {
		for (text = ""; length(text) < 4096; )
			text = text "this is " n "\n"
		printf "%s", substr(text, 1, 4096)
	}
}' >/tmp/texts

# write_text N [CONV]
write_text() {
	dd if=/tmp/texts of="$vhdx" bs=4k skip="$1" seek=$(($1 * 75)) count=1 oflag=direct \
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
	python3 -c 'import os, sys
disk, texts = (os.open(path, os.O_RDONLY) for path in sys.argv[1:3])
for n in {int(line) for line in open(sys.argv[3])}:
    if os.pread(disk, 4096, n * 307200) != os.pread(texts, 4096, n * 4096):
        sys.exit("%d is not there" % n)' "$vhdx" /tmp/texts /tmp/flushed 2>/tmp/err || return 1
	vhdxctl detach "$vhdx" 2>/tmp/err
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
failed=0 died=0 tried=0 status=0
every=${EVERY:-2}
for number in $(seq 0 $((4 * every)) 104) $(seq 2 $((12 * every)) 104); do
	tried=$((tried + 1))
	fault fail_make_request 8 -1
	put "$number" || failed=$((failed + 1))
	no_fault fail_make_request
	has_failed || continue
	died=$((died + 1))
	vhdxctl detach "$vhdx" >/tmp/out 2>&1
	attach || { status=1; break; }
done
vhdxctl detach "$vhdx" >/tmp/out 2>&1
echo "# $failed of $tried writes failed, $died times for good, $(wc -l </tmp/flushed) flushed"
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

# --- zeros beside what a guest writes ---

# Without a journal and with nothing left to initialize, so that the next write is the
# driver's.
mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=0 "$disk" 24M && mount "$disk" /tmp/host
vhdxctl create -s 8M -b 1M /tmp/host/below.vhdx >/tmp/err 2>&1
image=/tmp/host/child.vhdx
vhdxctl create --parent /tmp/host/below.vhdx -b 1M $image >/tmp/err 2>&1
: >/tmp/flushed
attach && put 0
ok 'a child on a host' $?
sync -f /tmp/host
fault fail_make_request 100 1
put 1
status=$?
no_fault fail_make_request
[ $status = 0 ] && [ "$(cat $debugfs/fail_make_request/times)" = 0 ]
ok 'what fails with its zeros is written without' $?
fault fail_make_request 100 1
! write_text 2
status=$?
no_fault fail_make_request
[ $status = 0 ] && [ "$(cat $debugfs/fail_make_request/times)" = 0 ]
ok 'and no other has zeros any more' $?
put 2 && vhdxctl detach "$vhdx" 2>/tmp/err
ok 'detach' $?
all_is_there
ok 'what was flushed is there' $?

# --- zeros where a file grows ---

zeroed=/sys/module/vhdx/parameters/zeroed_growth
echo 1 >$zeroed
image=/tmp/host/zeroed.vhdx
vhdxctl create -s 8M -b 1M $image >/tmp/err 2>&1
: >/tmp/flushed
attach && sync -f /tmp/host && length=$(stat -c %s $image)
fault fail_make_request 100 1
! write_text 0
status=$?
no_fault fail_make_request
[ $status = 0 ] && [ "$(cat $debugfs/fail_make_request/times)" = 0 ] && [ "$(stat -c %s $image)" = "$length" ]
ok 'a file that cannot be zeroed does not grow' $?
! fsync_disk && has_failed
ok 'a flush says so, and the disk is read-only' $?
vhdxctl detach "$vhdx" >/tmp/out 2>&1
attach && put 0 && [ "$(stat -c %s $image)" -gt "$length" ] && vhdxctl detach "$vhdx" 2>/tmp/err
ok 'it does at the next attach' $?
all_is_there
ok 'what was flushed is there' $?
echo 0 >$zeroed
umount /tmp/host

finish
