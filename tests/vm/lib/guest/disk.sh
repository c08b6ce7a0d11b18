# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# For scripts in a test VM that write to disks: source it after tap.sh.

# attach IMAGE [OPTION]...: sets dev to its disk and disk to the name of that
# shellcheck disable=SC2034 # disk is for the scripts
attach() {
	dev=$(vhdxctl attach "$@" 2>/tmp/err) || return 1
	disk=${dev#/dev/}
	[ -b "$dev" ]
}

detach() {
	vhdxctl detach "$dev" >/tmp/err 2>&1 && [ ! -s /tmp/err ]
}

# make_host MiB [SETTING=VALUE]...: a memory-backed disk beside SCRATCH_DEV to put a
# file system or an image on, with a cache that wants flushes; sets host to it
make_host() {
	host=/dev/nullb1
	mkdir /sys/kernel/config/nullb/nullb1
	host_size=$1
	shift
	for host_set in "size=$host_size" memory_backed=1 discard=1 cache_size=64 submit_queues=2 "$@" power=1; do
		echo "${host_set#*=}" >"/sys/kernel/config/nullb/nullb1/${host_set%%=*}" || return 1
	done
	[ -b "$host" ]
}

remove_host() {
	rmdir /sys/kernel/config/nullb/nullb1
}

# is_clean IMAGE: for us, and for QEMU
is_clean() {
	vhdxctl info --json "$1" 2>/tmp/err | jq -e '.log.state == "clean"' >/dev/null || return 1
	qemu-img check -f vhdx "$1" >/tmp/err 2>&1
}

# agree IMAGE RAW: QEMU and 7-Zip read out of the image what RAW is
agree() {
	qemu-img compare -f raw -F vhdx "$2" "$1" >/tmp/err 2>&1 &&
		7zz x -tVHDX -so "$1" >/scratch/seen 2>/tmp/err && cmp /scratch/seen "$2" >>/tmp/err 2>&1
	seen_status=$?
	rm -f /scratch/seen
	return $seen_status
}

# shows DISK RAW: DISK is what RAW is, past the page cache
shows() {
	dd if="$1" of=/scratch/seen bs=1M iflag=direct status=none 2>/tmp/err && cmp /scratch/seen "$2" >>/tmp/err 2>&1
	seen_status=$?
	rm -f /scratch/seen
	return $seen_status
}

# mixed NAME SEED READERS ATTACH-OPTION...: $ops operations on the disk of $image and on $raw,
# which reads as that so far, or is not there. READERS: others that know such images
# shellcheck disable=SC2154 # these are the script's
mixed() {
	mix_name=$1 mix_seed=$2 mix_readers=$3
	shift 3
	attach "$image" "$@"
	ok "$mix_name: attaches" $?
	[ "$(cat "/sys/block/$disk/ro")" = 0 ]
	ok "$mix_name: can be written" $?
	truncate -s "$(blockdev --getsize64 "$dev")" "$raw"
	discard=
	[ "$(cat "/sys/block/$disk/queue/discard_max_bytes")" = 0 ] || discard=discard
	[ "$(cat "/sys/block/$disk/vhdx/type")" != differencing ] || discard=hint
	# shellcheck disable=SC2086 # a word or none
	python3 "$VM_LIB/mix.py" "$mix_seed" "$ops" "$dev" "$raw" $discard 2>/tmp/err
	ok "$mix_name: each operation reads back" $?
	detach
	ok "$mix_name: detaches" $?
	if [ "$mix_readers" = others ]; then
		is_clean "$image"
		ok "$mix_name: clean" $?
		agree "$image" "$raw"
		ok "$mix_name: other readers agree" $?
	fi
	attach "$image" -r && shows "$dev" "$raw" && detach
	ok "$mix_name: attached again" $?
}
