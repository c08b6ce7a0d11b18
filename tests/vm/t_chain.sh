#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Chains of differencing images, attached read-only: what a guest reads, what is
# refused and how that is said, files that several chains share, sector bitmaps
# taken away by the kernel. Prints TAP.
# long: 6.12
# also: 6.1 debug
# vm: -m 1024 -x build/mkvhdx -x build/rawctl
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
# hashes DIR
hashes() { find "$1" -name '*.vhdx' -exec sha256sum {} + | sort; }

# files_of DIR LEVEL: the image of that level, its parent and so on
files_of() { seq "$2" -1 0 | sed "s#.*#$1/&.vhdx#"; }

# attach_files ARG...: as rawctl attach; sets dev
attach_files() {
	if ! rawctl attach "$@" >/tmp/out 2>/tmp/err; then
		cat /tmp/out >>/tmp/err
		return 1
	fi
	dev=/dev/vhdx$(cat /tmp/out)
	vhdx=/sys/block/${dev#/dev/}/vhdx
}

# attach_level DIR LEVEL [OPTION]...
attach_level() {
	level_files=$(files_of "$1" "$2")
	shift 2
	# shellcheck disable=SC2086 # names without spaces
	attach_files "$@" $level_files
}

# refused NAME ERRNO TEXT ARG...: so says rawctl attach
refused() {
	name=$1 errno=$2 text=$3
	shift 3
	rawctl attach "$@" >/tmp/err 2>&1
	[ $? = 1 ] && [ "$(head -n 1 /tmp/err)" = "$errno" ] && grep -q -- "$text" /tmp/err
	ok "$name: $errno, $text" $?
}

# options N: of mkvhdx, for the chain in cN
options() {
	case $1 in
	1) set -- 1 32M 512 ;;
	4) set -- 4 24M 512 ;;
	16) set -- 16 8M 4096 ;;
	64) set -- 64 4M 512 ;;
	esac
	echo "--chain $1 --size $2 --sector $3 --seed $1"
}

# shows_level DISK N LEVEL: DISK is what the image of that level shows of the chain
# in cN, through the page cache and past it in requests as large as can be
shows_level() {
	dd if="$1" of=seen bs=3M iflag=direct status=none 2>/tmp/err || return 1
	# shellcheck disable=SC2046 # a list of options
	for shown in "$1" seen; do
		mkvhdx $(options "$2") --level "$3" --verify "$shown" 2>/tmp/err || return 1
	done
	rm seen
}

# --- what is read ---

for depth in 1 4 16 64; do
	mkdir c$depth
	# shellcheck disable=SC2046 # a list of options
	mkvhdx $(options $depth) c$depth
	before=$(hashes c$depth)
	for how in '' -b; do
		# shellcheck disable=SC2086 # nothing, or one option
		attach_level c$depth $depth $how
		ok "a chain of $depth parents${how:+, buffered}: attaches" $?
		[ "$(cat "$vhdx/type")" = differencing ] &&
			[ "$(cat "$vhdx/parents")" = "$(files_of /scratch/c$depth $((depth - 1)))" ] &&
			[ "$(cat "$vhdx/backing_file")" = /scratch/c$depth/$depth.vhdx ]
		ok 'type and parents' $?
		shows_level "$dev" $depth $depth
		ok "it shows what it must: $(options $depth)" $?
		detach
		ok 'detaches' $?
	done
	[ "$(hashes c$depth)" = "$before" ]
	ok 'all files are as they were' $?
done
rm -r c64
before=$(hashes .)

mkvhdx --size 8M single.vhdx
attach_files single.vhdx && [ -z "$(cat "$vhdx/parents")" ] && [ "$(cat "$vhdx/type")" = dynamic ]
ok 'an image without a parent says so' $?
detach

# --- who shares what ---

attach_level c4 4
first=$dev
attach_level c4 3
second=$dev
attach_level c4 0
third=$dev
ok 'files of a chain, as images themselves' $?
pids=
for reader in 4 3 0; do
	case $reader in
	4) dev=$first ;;
	3) dev=$second ;;
	0) dev=$third ;;
	esac
	# shellcheck disable=SC2046 # a list of options
	mkvhdx $(options 4) --level $reader --verify "$dev" 2>"/tmp/err$reader" &
	pids="$pids $!"
done
# shellcheck disable=SC2086 # numbers
all_well $pids
ok 'each shows its own, at the same time' $?
dev=$first
detach
dev=$third
detach
dev=$second
shows_level "$dev" 4 3
ok 'one goes on when the others are gone' $?
detach

# --- who may not ---

# shellcheck disable=SC2046 # names without spaces
for depth in 1 4; do
	rawctl chain $(files_of c$depth $depth) 2>/tmp/err
	status=$?
	[ $status = 0 ] || bad=1
	[ ! -s /tmp/err ] || ok "rawctl chain, $depth parents" 1
done

refused 'a parent too few' ENOLINK '^parent 1, 3.vhdx: a differencing image' c4/4.vhdx c4/3.vhdx
refused 'a parent too many' EINVAL '^parent 1, 0.vhdx: .*has no parent' c1/1.vhdx c1/0.vhdx single.vhdx
refused 'in the wrong order' ESTALE 'parent 2, 3.vhdx: .*DataWriteGuid' \
	c4/4.vhdx c4/2.vhdx c4/3.vhdx c4/1.vhdx c4/0.vhdx
mkvhdx --size 32M --guid 9 other.vhdx
refused 'another parent' ESTALE '^parent locator.*DataWriteGuid' c1/1.vhdx other.vhdx
attach_files -i c1/1.vhdx other.vhdx
ok 'another parent, and that does not matter' $?
detach
mkvhdx --size 4M --guid 0 other.vhdx
mkvhdx --size 4M --linkage 0 zero.vhdx
refused 'no DataWriteGuid, and a child that names none' ESTALE '^parent locator.*DataWriteGuid' \
	zero.vhdx other.vhdx
mkdir c65
mkvhdx --chain 65 --size 4M c65
# shellcheck disable=SC2046 # names without spaces
refused '65 parents' EINVAL '^66 descriptors, which is not 1 to 65' $(files_of c65 65)
rm -r c65 zero.vhdx
mkvhdx --size 32M --sector 4096 sectors.vhdx
refused 'another sector size' EUCLEAN LogicalSectorSize c1/1.vhdx sectors.vhdx

attach_files -w c1/0.vhdx
ok 'the parent, for writing' $?
refused 'above what is written' EBUSY "^parent 1, 0.vhdx: already attached for writing as ${dev#/dev/}" \
	c1/1.vhdx c1/0.vhdx
detach

# A block device is not kept from being opened for writing.
modprobe loop
loop=$(losetup --find --show c1/0.vhdx)
attach_files c1/1.vhdx "$loop"
ok 'a parent on a block device' $?
refused 'a parent of that, for writing' EBUSY "^in use as a parent of ${dev#/dev/}" -w "$loop"
shows_level "$dev" 1 1
ok 'the disk shows what it must' $?
detach
attach_files -w "$loop"
ok 'the block device, for writing' $?
refused 'above what is written' EBUSY '^parent 1, loop.*already attached for writing' c1/1.vhdx "$loop"
refused 'the parent of a parent, likewise' EBUSY '^parent 2, loop.*already attached for writing' \
	c4/4.vhdx c1/1.vhdx "$loop"
detach
losetup -d "$loop"

# --- a parent's log ---

mkvhdx --bad log-wraps dirty.vhdx >/tmp/wanted
mkvhdx --differencing --size 16M clean.vhdx
dirty=$(sha256sum <dirty.vhdx)
attach_files clean.vhdx dirty.vhdx
ok 'a parent with a dirty log' $?
mkvhdx --bad log-wraps --verify "$dev" 2>/tmp/err
ok 'it is replayed in memory' $?
detach
[ "$(sha256sum <dirty.vhdx)" = "$dirty" ]
ok 'and stays in the file' $?
refused 'a parent with a dirty log, not to be replayed' EUCLEAN '^parent 1, dirty.vhdx: log.*dirty' \
	-n clean.vhdx dirty.vhdx

# --- files that can do direct I/O, and that cannot ---

make_host 128 blocksize=4096 && mkfs.ext4 -q "$host" && mkdir host && mount "$host" host &&
	cp --sparse=always c1/0.vhdx c1/1.vhdx host
ok 'a host with sectors of 4 KiB' $?
refused 'a parent there, and direct I/O' EINVAL 'parent.* cannot be accessed directly' \
	-d c1/1.vhdx host/0.vhdx
attach_files c1/1.vhdx host/0.vhdx
ok 'a parent there' $?
[ "$(cat "$vhdx/dio")" = 1 ] && shows_level "$dev" 1 1
ok 'the image has direct I/O, and shows what it must' $?
detach
attach_files host/1.vhdx c1/0.vhdx
ok 'the image there' $?
[ "$(cat "$vhdx/dio")" = 0 ] && shows_level "$dev" 1 1
ok 'it has not, and shows what it must' $?
detach
umount host
rmdir host
remove_host

# --- sector bitmaps taken away ---

# read_all: past the page cache
read_all() { dd if="$dev" of=/dev/null bs=1M iflag=direct status=none 2>/tmp/err; }
shrink() { echo 2 >/proc/sys/vm/drop_caches; }

events=/sys/kernel/tracing/events/vmscan/mm_shrink_slab_start
[ -e $events ] || mount -t tracefs tracefs /sys/kernel/tracing 2>/tmp/err
# cached: what the next shrink finds at the driver
cached() {
	: >/sys/kernel/tracing/trace
	shrink
	sed -n 's/.*: vhdx_shrink_scan.* cache items \([0-9]*\) .*/\1/p' /sys/kernel/tracing/trace | head -n 1
}
if [ -e $events ]; then
	attach_level c4 4
	echo 1 >$events/enable
	seen=$(cached)
	[ -z "$seen" ]
	ok "no sector bitmap is kept before the first read: ${seen:-none}" $?
	read_all
	seen=$(cached)
	[ "${seen:-0}" -gt 0 ]
	ok "some are then: ${seen:-none}" $?
	seen=$(cached)
	[ -z "$seen" ]
	ok "the kernel takes all it asks for: ${seen:-none} are left" $?
	echo 0 >$events/enable
	detach
else
	skip 'how many sector bitmaps are kept' 'no trace events'
fi

# Meanwhile other chains come and go.
(
	while [ ! -e /tmp/through ]; do
		shrink
	done
) &
shrinker=$!
(
	while [ ! -e /tmp/through ]; do
		# shellcheck disable=SC2046 # names without spaces
		other=$(rawctl attach $(files_of c1 1)) &&
			dd if="/dev/vhdx$other" of=/dev/null bs=1M count=4 iflag=direct status=none &&
			rawctl detach "$other" || exit 1
	done
) 2>/tmp/err-cycle &
cycle=$!
attach_level c16 16
ok 'a chain whose bitmaps are taken away' $?
status=0
for turn in 1 2 3; do
	shows_level "$dev" 16 16 || status=$turn
done
ok 'shows what it must all the same' $status
: >/tmp/through
wait $shrinker
wait $cycle
status=$?
cat /tmp/err-cycle >/tmp/err
ok 'others come and go' $status
detach

rm -f seen other.vhdx single.vhdx sectors.vhdx clean.vhdx dirty.vhdx
[ "$(hashes .)" = "$before" ]
ok 'all files are as they were' $?
# What was given back is still waiting for the last who might look at it.
attach_level c4 4 && read_all && shrink && detach && modprobe -r vhdx 2>/tmp/err
ok 'the module goes' $?

finish
