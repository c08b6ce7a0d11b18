#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Disks that are written while the machine is suspended or the file system below
# is frozen, and the copy of an image that is being written. Prints TAP.
# long: debug
# vm: -m 256
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
image=/scratch/disk.vhdx
raw=/scratch/disk.raw

new_image() {
	rm -f $image
	qemu-img create -q -f vhdx -o block_size=1M $image 16M
}

# load: eight that write 16 KiB at random, each in its own part of the disk, flushes between
# them, all checked, again and again until there is /tmp/enough. Not with libaio: where a
# freeze interrupts its wait for several writes, fio forgets those that it has been told of
# and waits for ever.
load() {
	until [ -e /tmp/enough ]; do
		fio --name=job --filename="$dev" --ioengine=psync --direct=1 --rw=randwrite --bs=16k --numjobs=8 \
			--size=1536K --offset_increment=1536K --io_size=256K --randseed=1 --verify=crc32c \
			--verify_fatal=1 --fsync=2 --rate_iops=4 >/tmp/fio 2>&1 || return
	done
}

written() { awk '{ print $5 }' "/sys/block/$disk/stat"; }

# --- suspend -----------------------------------------------------------------------

new_image
attach $image
[ ! -e /sys/module/suspend/parameters/pm_test_delay ] || echo 1 >/sys/module/suspend/parameters/pm_test_delay
load &
load=$!
# loaded: waits until ten more writes are through
loaded() {
	before=$(written)
	until [ "$(written)" -gt $((before + 10)) ]; do
		kill -0 $load 2>/dev/null || return
		sleep 0.1
	done
}
status=0
for level in freezer devices freezer devices; do
	loaded || status=1
	echo $level >/sys/power/pm_test
	echo freeze >/sys/power/state 2>/tmp/err || status=1
done
ok 'suspended four times, under load' $status
loaded
ok 'which goes on' $?
: >/tmp/enough
wait $load
status=$?
cp /tmp/fio /tmp/err
ok 'it finds what it wrote' $status
dd if="$dev" of=$raw bs=1M iflag=direct status=none
detach && is_clean $image && agree $image $raw
ok 'clean, other readers agree' $?

# --- a frozen file system ----------------------------------------------------------

new_image
attach $image
yes old | head -c 4M >/tmp/old
yes new | head -c 64K >/tmp/new
dd if=/tmp/old of="$dev" bs=1M oflag=direct conv=fsync,notrunc status=none
fsfreeze -f /scratch
pids=
# overwrites, writes that need a new block, a flush, zeroes
for at in 0 16 32 48 160 176 192 208; do
	dd if=/tmp/new of="$dev" bs=64K seek=$at oflag=direct conv=notrunc status=none 2>"/tmp/err$at" &
	pids="$pids $!"
done
blkdiscard -z -o 3584K -l 64K "$dev" 2>/tmp/err-zero &
pids="$pids $!"
sleep 2
sync "$dev" 2>/tmp/err-sync &
pids="$pids $!"
sleep 1
# Without a seek, which waits for blkdiscard in the block layer. A read that hangs
# hangs here.
direct_read() { # MiB BYTES
	python3 -c 'import mmap, os, sys
memory = mmap.mmap(-1, int(sys.argv[3]))
os.preadv(os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT), [memory], int(sys.argv[2]) << 20)
os.write(1, memory)' "$dev" "$1" "$2" >/tmp/seen 2>/tmp/err
}
direct_read 2 262144 && cmp -n 262144 /tmp/seen /tmp/old 2>/tmp/err
ok 'frozen: what is mapped can be read' $?
direct_read 8 262144 && tr -d '\0' </tmp/seen | cmp - /dev/null 2>/tmp/err
ok 'frozen: so can what is not' $?
waiting=0
for pid in $pids; do
	! kill -0 "$pid" 2>/dev/null || waiting=$((waiting + 1))
done
[ $waiting -ge 9 ]
ok "frozen: writes wait ($waiting of 10 waiting)" $?
fsfreeze -u /scratch
# shellcheck disable=SC2086 # numbers
all_well $pids
ok 'thawed: all of them are done' $?
rm $raw
truncate -s 16M $raw
dd if=/tmp/old of=$raw conv=notrunc bs=1M status=none
for at in 0 16 32 48 160 176 192 208; do
	dd if=/tmp/new of=$raw bs=64K seek=$at conv=notrunc status=none
done
fallocate -z -n -o 3584K -l 64K $raw
shows "$dev" $raw
ok 'thawed: all of it is there' $?

# --- the copy of an image that is attached -----------------------------------------

yes flushed | head -c 3M >/tmp/flushed
for out in "$dev" $raw; do
	dd if=/tmp/flushed of="$out" bs=1M seek=5 conv=fsync,notrunc status=none
done
# and one that is not, at a place that is not compared
dd if=/tmp/new of="$dev" bs=64K seek=240 oflag=direct conv=notrunc status=none
cp $image copy.vhdx
detach
sum=$(sha256sum copy.vhdx)
flushed() {
	dd if="$dev" bs=1M count=15 iflag=direct status=none | cmp -n $((15 << 20)) - $raw 2>/tmp/err
}
! vhdxctl attach --no-replay copy.vhdx >/tmp/err 2>&1
ok 'the copy is dirty' $?
attach copy.vhdx -r && [ "$(cat "/sys/block/$disk/vhdx/log_state")" = 'replayed in memory' ] && flushed && detach
ok 'attached read-only it has what was flushed' $?
[ "$(sha256sum copy.vhdx)" = "$sum" ]
ok 'and stays as it is' $?
attach copy.vhdx && flushed && detach
ok 'attached for writing it has what was flushed' $?
attach copy.vhdx && dd if="$dev" of=$raw bs=1M iflag=direct status=none && detach && is_clean copy.vhdx && agree copy.vhdx $raw
ok 'clean, other readers agree' $?

finish
