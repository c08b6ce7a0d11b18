#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A disk in use gives back to the host what its image does not need, and works on;
# what status says of it. Prints TAP.
# long: 6.12
# also: 6.1 debug
# vm: -m 512 -x build/rawctl
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
image=/scratch/disk.vhdx
raw=/scratch/disk.raw
echo 8 >/sys/module/vhdx/parameters/growth_mib
rounds=10
[ "$VM_KERNEL" != debug ] || rounds=5

used() { du -k $image | cut -f1; }
attr() { cat "/sys/block/$disk/vhdx/$1"; }

# compact: sets freed to the bytes that the host got back
compact() {
	freed=$(rawctl compact "${disk#vhdx}" 2>/tmp/err)
	compact_status=$?
	echo "$freed" >>/tmp/err
	return $compact_status
}

new_image() {
	rm -f $image $raw
	qemu-img create -q -f vhdx -o block_size=1M "$@" $image 64M
	truncate -s 64M $raw
}

# fill MIB COUNT WORD: on the disk and in the copy
fill() {
	yes "$3" | head -c "$(($2 << 20))" | tee /tmp/fill |
		dd of="$dev" bs=1M seek="$1" iflag=fullblock oflag=direct conv=notrunc status=none 2>/tmp/err
	dd if=/tmp/fill of=$raw bs=1M seek="$1" conv=notrunc status=none
}

# drop MIB COUNT: discarded, in both
drop() {
	blkdiscard -o "$(($1 << 20))" -l "$(($2 << 20))" "$dev" 2>/tmp/err
	fallocate -p -o "$(($1 << 20))" -l "$(($2 << 20))" $raw
}

# --- what comes back -----------------------------------------------------------------

new_image
attach $image
fill 0 40 first
sync "$dev"
size=$(attr file_size)
before=$(used)
compact
ok 'compact' $?
[ "$freed" -gt 0 ] && [ "$(attr file_size)" -lt "$size" ]
ok "the room that it grew ahead comes back ($freed bytes)" $?
[ "$(used)" = $((before - freed / 1024)) ]
ok 'the host has as much more' $?
[ "$(attr log_state)" = clean ] && vhdxctl info --json $image | jq -e '.log.state == "clean"' >/dev/null
ok 'the log is clean' $?
shows "$dev" $raw
ok 'the disk is the same' $?
before=$(used)
drop 4 30
# Some of it may have come back already.
compact && [ "$(used)" -le $((before - 29 * 1024)) ] && [ "$(attr allocated)" = $((10 << 20)) ]
ok 'so does what was discarded, at once' $?
shows "$dev" $raw
ok 'the disk is the same' $?
fill 2 20 second && sync "$dev" && shows "$dev" $raw
ok 'it is written to again, into what came back' $?
[ "$(attr file_size)" -le $((60 << 20)) ]
ok 'the gaps are used' $?
detach && is_clean $image && agree $image $raw
ok 'clean, other readers agree' $?

attach $image && vhdxctl compact $image >/tmp/out 2>/tmp/err && grep -qxE '[0-9.]+ ([KMG]iB|bytes) given back' /tmp/out && detach
ok 'compact of an image by its name' $?
attach $image -r
vhdxctl compact "$dev" >/tmp/out 2>/tmp/err
[ $? = 77 ] && [ ! -s /tmp/out ] && grep -qx "vhdxctl: $dev: cannot compact: it is attached read-only" /tmp/err
ok 'compact of one that is attached read-only' $?
detach

# A gap with something in it, as a crash may leave one.
attach $image && drop 10 4 && detach
python3 - $image >/tmp/gap <<'PYTHON'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
at, end = 0, os.lseek(fd, 0, os.SEEK_END)
while at < end:
    hole = os.lseek(fd, at, os.SEEK_HOLE)
    at = end
    if hole < end:
        try:
            at = os.lseek(fd, hole, os.SEEK_DATA)
        except OSError:
            pass
    first = -(-hole // (1 << 20)) << 20
    # behind header section, log, metadata and BAT
    if first > 5 << 20 and at - first >= 1 << 20:
        os.pwrite(fd, b'old data' * (1 << 17), first)
        print(first)
        break
os.fsync(fd)
PYTHON
[ -s /tmp/gap ] && before=$(used) && attach $image && sum=$(sha256sum <$image) && compact
ok 'an image with data in a gap' $?
[ "$freed" -ge 1048576 ] && [ "$(used)" -le $((before - 1024)) ]
ok "is rid of it, though nothing was written ($freed bytes)" $?
shows "$dev" $raw && [ "$(sha256sum <$image)" != "$sum" ]
ok 'the disk is the same, the image is not' $?
detach && is_clean $image && agree $image $raw
ok 'clean, other readers agree' $?

# --- in use --------------------------------------------------------------------------

new_image
attach $image
fio --name=job --filename="$dev" --ioengine=libaio --direct=1 --rw=randwrite --bs=16k --iodepth=8 --size=48M \
	--io_size=$((rounds * 3))M --randseed=1 --verify=crc32c --verify_fatal=1 --fsync=16 --rate_iops=200 >/tmp/fio 2>&1 &
fio=$!
status=0 done=0
while kill -0 $fio 2>/dev/null && [ $done -lt $rounds ]; do
	compact || status=1
	done=$((done + 1))
	blkdiscard -o 48M -l 16M "$dev" 2>/tmp/err || status=1
done
[ $status = 0 ] && [ $done = $rounds ]
ok "compacted $done times under load" $?
wait $fio
status=$?
cp /tmp/fio /tmp/err
ok 'the load finds what it wrote' $status
dd if="$dev" of=$raw bs=1M iflag=direct status=none
detach && is_clean $image && agree $image $raw
ok 'clean, other readers agree' $?

attach $image
for i in 1 2 3 4; do
	(for _ in $(seq $rounds); do rawctl compact "${disk#vhdx}"; done) >"/tmp/out$i" 2>&1 &
done
busy=0
for _ in $(seq $rounds); do
	! vhdxctl detach --wait 0 "$dev" 2>/tmp/err || { attach $image; busy=$((busy + 1)); }
done
wait
! grep -vE '^([0-9]+|EBUSY|ENXIO|)$' /tmp/out[1-4] >/tmp/err
ok "several at once, and detaches ($busy): each of them is done or refused" $?
shows "$dev" $raw && detach && is_clean $image
ok 'the disk is the same' $?

# --- a host that does not answer -----------------------------------------------------

new_image
attach $image && fill 0 4 old && sync "$dev"
yes new | head -c 64K >/tmp/new
fsfreeze -f /scratch
dd if=/tmp/new of="$dev" bs=64K oflag=direct conv=notrunc status=none 2>/tmp/err &
dd=$!
until [ "$(awk '{ print $9 }' "/sys/block/$disk/stat")" -gt 0 ]; do sleep 0.1; done
rawctl compact "${disk#vhdx}" >/tmp/out 2>&1 &
waiter=$!
sleep 1
kill -0 $waiter && kill -KILL $waiter
wait $waiter 2>/dev/null
[ $? = 137 ] && kill -0 $dd
ok 'frozen: who waits for the requests under way can be killed' $?
fsfreeze -u /scratch
wait $dd && dd if=/tmp/new of=$raw conv=notrunc status=none && shows "$dev" $raw && compact
ok 'thawed: the disk works, and is compacted' $?
detach && is_clean $image && agree $image $raw
ok 'clean, other readers agree' $?

# --- what keeps its space ------------------------------------------------------------

new_image -o subformat=fixed
attach $image && fill 1 4 fixed && sync "$dev"
size=$(stat -c %s $image)
compact && [ "$(stat -c %s $image)" -ge "$size" ] && shows "$dev" $raw && detach && is_clean $image
ok 'a fixed image keeps all' $?

# --- status --------------------------------------------------------------------------

new_image
attach $image && mke2fs -q -t ext4 "$dev" && mkdir -p mnt && mount "$dev" mnt && echo hello >mnt/hello && sync -f mnt
sleep 1000 3<mnt/hello 4<"$dev" &
sleeper=$!
vhdxctl status --json "$dev" >/tmp/out 2>/tmp/err && jq -e --arg dev "$dev" --arg image $image --argjson pid $sleeper '
	.schema == 1 and .name == $dev and .size == 67108864 and .type == "dynamic" and .ro == false
	and ."back-file" == $image and (.dio | type) == "boolean" and .parents == [] and .commits > 0
	and .flushes >= .commits and ."new-blocks" * 1048576 == .allocated and .replayed == 0
	and .mounts == [{"target": "/scratch/mnt", "device": $dev}] and .holders == []
	and any(.processes[]; .pid == $pid and .command == "sleep" and .device == $dev)
	and .requests.writes > 0 and .requests.flushes > 0 and .requests."written-bytes" > 0' /tmp/out >/dev/null
ok 'status --json' $?
python3 -c 'import json; json.load(open("/tmp/out"))' 2>/tmp/err
ok 'it is JSON to others too' $?
vhdxctl list -J -O $image >/tmp/list && jq -e -s '.[0].vhdxdevices[0] as $list | .[1] as $status |
	[$list | keys[] | select(. != "flushes" and . != "commits")] | all($list[.] == $status[.])' /tmp/list /tmp/out >/dev/null
ok 'it says what list says' $?
vhdxctl status $image >/tmp/out 2>/tmp/err && grep -qE "^In use: +$dev is mounted on /scratch/mnt\$" /tmp/out &&
	grep -qE '^Size: +64 MiB \(67108864 bytes\)$' /tmp/out && grep -qE "^Image: +$image\$" /tmp/out
ok 'status of an image' $?
setpriv --reuid=65534 --regid=65534 --clear-groups vhdxctl status "$dev" >/tmp/out 2>/tmp/err && [ ! -s /tmp/err ]
ok 'status needs no root' $?
kill $sleeper
wait $sleeper 2>/dev/null
umount mnt
detach
vhdxctl status "$dev" >/tmp/out 2>/tmp/err
[ $? = 66 ] && [ ! -s /tmp/out ] && grep -qx "vhdxctl: $dev: not attached" /tmp/err
ok 'status of a disk that is not there' $?
vhdxctl status $image >/tmp/out 2>/tmp/err
[ $? = 66 ] && [ ! -s /tmp/out ]
ok 'status of an image that is not attached' $?
attach $image -r && attach $image -r && ! vhdxctl status $image >/tmp/out 2>/tmp/err &&
	grep -q 'attached as more than one disk' /tmp/err
ok 'status of an image that is attached twice' $?
vhdxctl detach $image

finish
