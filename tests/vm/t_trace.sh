#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The tracepoints and the counters: that each tells of what was done, and how many
# times. Prints TAP.
# long: 6.1
# also: 6.12
# vm: -m 256
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
tracing=/sys/kernel/debug/tracing
image=/scratch/disk.vhdx

why() {
	cat /tmp/err
	tail -n 20 /tmp/trace
	(cd "/sys/block/$disk/vhdx" 2>/dev/null && grep -s . ./*)
}

# traced PATTERN [HOW-OFTEN]: lines of the trace, after task, CPU and time
traced() {
	cat $tracing/trace >/tmp/trace
	count=$(grep -cE " $1\$" /tmp/trace)
	[ "$count" -ge 1 ] && [ "$count" = "${2:-$count}" ]
}

count() {
	cat "/sys/block/$disk/vhdx/$1"
}

# counts NAME VALUE
counts() {
	[ "$(count "$1")" = "$2" ]
	ok "$1 is $2" $?
}

: >/tmp/trace
: >/tmp/err
[ -d $tracing/events ] && echo 1 >$tracing/events/vhdx/enable
ok 'there are tracepoints' $?
vhdxctl create -s 32M -b 1M $image && attach $image --direct-io=on
traced 'vhdx_attach: vhdx0 writable=1 dio=1 parents=0 replayed=0' 1
ok 'attach' $?
reads=$(count reads)
[ "$reads" -gt 0 ] && [ "$(count reads_of_zeros)" = "$reads" ]
ok 'reads by the scan for partitions, all of nothing' $?
for name in writes fua_writes flush_requests discards write_zeroes commit_waits errors commits; do
	counts $name 0
done

dd if=/dev/zero of="$dev" bs=64k count=4 oflag=direct status=none
counts writes 4
counts new_blocks 1
traced 'vhdx_map: vhdx0 bat_index=0 state=0->6 offset=0->0x[0-9a-f]+00000' 1 ||
	traced 'vhdx_map: vhdx0 bat_index=0 state=0->6 offset=0x0->0x[0-9a-f]+00000' 1
ok 'a block gets its place, once' $?
dd if="$dev" of=/dev/null bs=64k count=4 iflag=direct status=none
counts reads $((reads + 4))
counts reads_of_zeros "$reads"
dd if="$dev" of=/dev/null bs=64k count=2 skip=100 iflag=direct status=none
counts reads_of_zeros $((reads + 2))
sync "$dev"
[ "$(count flush_requests)" -ge 1 ] && [ "$(count commit_waits)" -ge 1 ] && [ "$(count commits)" -ge 1 ]
ok 'a flush, that waited for a commit' $?
traced 'vhdx_commit: vhdx0 pages=1 durable=1'
ok 'commit' $?
blkdiscard -o 0 -l 1M "$dev"
counts discards 1
traced 'vhdx_map: vhdx0 bat_index=0 state=6->2 offset=0x[0-9a-f]+00000->(0|0x0)' 1
ok 'a block gives its place back' $?
blkdiscard -z -o 2M -l 1M "$dev"
counts write_zeroes 1
fio --name=fua --filename="$dev" --ioengine=psync --sync=dsync --direct=1 --rw=write --bs=4k --size=32k --offset=8M \
	>/tmp/err 2>&1
[ "$(count fua_writes)" = 8 ] && [ "$(count commit_waits)" -ge 2 ]
ok 'writes that are durable when they end' $?
counts errors 0
detach
traced 'vhdx_checkpoint: vhdx0 pages=1'
ok 'checkpoint' $?
traced 'vhdx_detach: vhdx0 ret=0' 1
ok 'detach' $?

# --- a host that fails ----------------------------------------------------------------

modprobe dm_mod
mkdir -p host
make_host 96 && dmsetup create host --noudevsync --table "0 $(blockdev --getsz "$host") linear $host 0" 2>/tmp/err
slow=/dev/$(dmsetup info -c --noheadings -o blkdevname host)
mke2fs -q -t ext4 "$slow" && mount "$slow" host && vhdxctl create -s 32M host/a.vhdx && attach host/a.vhdx &&
	dd if=/dev/zero of="$dev" bs=64k count=1 oflag=direct conv=fsync status=none
ok 'a disk on a host of its own' $?
dmsetup suspend --noudevsync host && dmsetup load host --table "0 $(blockdev --getsz "$host") error" &&
	dmsetup resume --noudevsync host
! dd if=/dev/zero of="$dev" bs=64k count=1 seek=100 oflag=direct conv=fsync status=none 2>/tmp/err
ok 'a write that fails' $?
for _ in $(seq 100); do
	[ "$(count log_state)" != failed ] || break
	sleep 0.1
done
[ "$(count errors)" -gt 0 ] && traced 'vhdx_request_error: vhdx0 op=[0-9]+ sector=[0-9]+ length=[0-9]+ ret=-5'
ok 'it is counted and traced' $?
traced 'vhdx_failed: vhdx0 ret=-5' 1
ok 'writing was given up, once' $?
vhdxctl detach "$dev" 2>/tmp/err
traced 'vhdx_detach: vhdx0 ret=-5' 1
ok 'detached, with the log as it was' $?
umount -l host
dmsetup remove --noudevsync --force host 2>/tmp/err

finish
