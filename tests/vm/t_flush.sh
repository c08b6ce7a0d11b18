#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What a FLUSH costs, counted: one fsync of the host's file, or one flush of the
# host's disk. More than that is allowed for the first change after an attach, when
# the file grows, when a generation of the log begins (its first entry, each half
# full of them), and for the commit that is due 2 s after a change. Prints TAP.
# long: 6.12
# vm: -m 512
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
image=/scratch/disk.vhdx
raw=/scratch/disk.raw
tracing=/sys/kernel/tracing
[ -e $tracing/events ] || mount -t tracefs tracefs $tracing

cat >ops.py <<'PYTHON'
# ops.py DISK COUNT START STEP write|flush|fua: COUNT times, at blocks from START on
import mmap, os, sys

disk, count, start, step, what = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
flags = os.O_RDWR | os.O_DIRECT | (os.O_DSYNC if what == 'fua' else 0)
fd = os.open(disk, flags)
memory = mmap.mmap(-1, 4096)
for i in range(count):
    memory[:] = (b'%8d' % (start + i)) * 512
    if what != 'flush' and os.pwrite(fd, memory, (start + i * step) << 20) != 4096:
        sys.exit('short write')
    if what != 'fua':
        os.fsync(fd)
PYTHON

# The device number as the trace has it.
number() { stat -c '%Hr,%Lr' "$1"; }

# count NAME PATTERN FLUSHES OPS-ARGUMENT...: traces that; a line of the trace that
# matches is a flush of the host's
count() {
	count_name=$1 count_pattern=$2 wanted=$3
	shift 3
	# A commit that falls due in between would count: none is when this begins,
	# and none can be in 2 s.
	for _ in 1 2 3 4 5; do
		sleep 3
		echo >$tracing/trace
		read -r before _ </proc/uptime
		python3 ops.py "$dev" "$@" 2>/tmp/err || return 1
		read -r after _ </proc/uptime
		cat $tracing/trace >trace
		[ $((${after%.*} - ${before%.*})) -ge 2 ] || break
	done
	requests=$(grep -c "block_rq_issue: $(number "$dev") FF " trace)
	flushes=$(grep -c "$count_pattern" trace)
	[ "$requests" = "$wanted" ] && [ "$flushes" = "$wanted" ]
	status=$?
	grep -v '^#' trace | tail -n 40 >/tmp/err
	ok "$count_name: $requests flushes, $flushes of the host's" $status
}

log_hash() {
	dd if="$1" bs=1M skip=1 count=1 status=none | sha256sum
}

# counted NAME FILE PATTERN
counted() {
	name=$1 file=$2 pattern=$3
	attach "$file"
	echo 1 >$tracing/events/block/block_rq_issue/enable
	python3 ops.py "$dev" 2 0 1 write
	ok "$name: the first changes" $?
	count "$name: new blocks" "$pattern" 20 20 2 1 write
	count "$name: the same again" "$pattern" 20 20 2 1 write
	count "$name: nothing written" "$pattern" 20 20 0 0 flush
	count "$name: one new block and 19 times another part" "$pattern" 20 20 23 0 write
	sync "$dev"
	sleep 3
	before=$(log_hash "$file")
	# A block device's O_DSYNC is FUA and then a FLUSH, that has nothing to commit.
	echo >$tracing/trace
	python3 ops.py "$dev" 10 2 1 fua
	[ "$(grep -c "block_rq_issue: $(number "$dev") WFS " $tracing/trace)" = 10 ] &&
		[ "$(log_hash "$file")" = "$before" ]
	ok "$name: FUA to blocks that are there makes no commit" $?
	python3 ops.py "$dev" 1 24 1 fua
	[ "$(log_hash "$file")" != "$before" ]
	ok "$name: FUA to one that is not does" $?
	echo 0 >$tracing/events/block/block_rq_issue/enable
	dd if="$dev" of=$raw bs=1M iflag=direct status=none
	detach
	ok "$name: detaches" $?
}

qemu-img create -q -f vhdx -o block_size=1M $image 40M
vhdxctl info --json $image | jq -e '.log.offset == 1048576 and .log.length == 1048576' >/tmp/err
ok 'the log is where it is looked for' $?

echo 1 >$tracing/events/ext4/ext4_sync_file_enter/enable
counted file $image "ext4_sync_file_enter: .* ino $(stat -c %i $image) "
echo 0 >$tracing/events/ext4/ext4_sync_file_enter/enable
is_clean $image && agree $image $raw
ok 'file: clean, other readers agree' $?

rm $image
qemu-img create -q -f vhdx -o block_size=1M $image 40M
make_host 64 && dd if=$image of="$host" bs=1M conv=fsync status=none
counted 'block device' "$host" "block_rq_issue: $(number "$host") FF "
dd if="$host" of=$image bs=1M iflag=direct status=none && is_clean $image && agree $image $raw
ok 'block device: clean, other readers agree' $?
remove_host

finish
