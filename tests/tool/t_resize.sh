#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl resize without the driver: sizes, what is left of the disk, what is refused.
# Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"

mib=1048576

# size_of FILE FORMAT: as qemu-img sees it
size_of() {
	qemu-img info -f "$2" --output=json "$1" |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["virtual-size"])'
}

# holds RAW SIZE: what is on the disk of image.vhdx, for us and for others
holds() {
	./vhdxctl compare --strict -q image.vhdx "$1" && ./vhdxctl check -q image.vhdx &&
		[ "$(size_of image.vhdx vhdx)" = "$2" ] &&
		qemu-img compare -q -f vhdx -F raw image.vhdx "$1" &&
		qemu-img check -q -f vhdx image.vhdx
}

# resized NAME SIZE ARG...: so is a copy of the disk, and both are the same
resized() {
	resized_name=$1 resized_size=$2
	shift 2
	ctl resize "$@"
	truncate -s "$resized_size" raw
	[ "$rc" = 0 ] && [ ! -s err ] && holds raw "$resized_size"
	ok "$resized_name" $?
}

# refused NAME CODE PATTERN ARG...: and the image stays as it is
refused() {
	refused_name=$1
	sha256sum image.vhdx >before
	fails "$@"
	sha256sum --status -c before
	ok "$refused_name: nothing changes" $?
}

# image_of OPTIONS: of raw, by another writer
image_of() {
	rm -f image.vhdx
	qemu-img convert -q -f raw -O vhdx -o "$1" raw image.vhdx
}

# --- the command line ---------------------------------------------------------

passes 'help' 'Usage: vhdxctl resize' resize --help
fails 'without an image' 64 'no device or image given' resize
fails 'without a size' 64 'no size given' resize image.vhdx
fails 'a size and --minimum' 64 'both a size and --minimum' resize --minimum image.vhdx 1G
fails 'two sizes' 64 'too many arguments' resize image.vhdx 1G 2G
for size in 0 1X +-1 ++1 -0 G ''; do
	fails "a size of '$size'" 64 "bad size '.?$size'|bad size ''" resize image.vhdx "$size"
done
fails 'an unknown option' 64 'unrecognized option' resize --larger image.vhdx 1G
fails 'no such image' 66 'No such file' resize none.vhdx 1G
echo 'something else' >text
fails "no VHDX file" 1 "not a VHDX file" resize text 1G

# --- larger and smaller -------------------------------------------------------

for kind in block_size=1M block_size=32M,log_size=4M subformat=fixed,block_size=2M; do
	rm -f raw
	truncate -s 40M raw
	noise 3 3000 | dd of=raw bs=1M seek=1 conv=notrunc iflag=fullblock status=none
	noise 4 64 | dd of=raw bs=64k seek=639 conv=notrunc iflag=fullblock status=none
	image_of $kind
	resized "$kind: larger" $((100 * mib)) image.vhdx 100M
	resized "$kind: by a few sectors" $((100 * mib + 1536)) -q image.vhdx +1536
	resized "$kind: smaller" $((39 * mib + 512)) --shrink image.vhdx $((39 * mib + 512))
	resized "$kind: what was cut off does not come back" $((60 * mib)) image.vhdx 60M
	resized "$kind: by so much" $((7 * mib)) --shrink image.vhdx -53M
done
./vhdxctl create -t fixed -s 40M new.vhdx >out 2>err && ./vhdxctl resize -q new.vhdx 60M &&
	[ "$(($(stat -c %b new.vhdx) / 2048))" -ge 60 ]
ok 'a fixed image has all of its space' $?
./vhdxctl resize -q --shrink new.vhdx 7M && [ "$(($(stat -c %s new.vhdx) / mib))" -le 12 ]
ok 'and gives it back' $?

rm -f raw
truncate -s 40M raw
noise 3 3000 | dd of=raw bs=1M seek=1 conv=notrunc iflag=fullblock status=none
image_of block_size=1M
sha256sum image.vhdx >before
passes 'the size that it has' 'has that size already: 40 MiB' resize image.vhdx 40M
passes 'a dry run' 'would be resized from 40 MiB to 1 TiB \(1099511627776 bytes\)' resize -n image.vhdx 1T
sha256sum --status -c before
ok 'neither changes the image' $?
refused 'smaller without --shrink' 64 'would become smaller' resize image.vhdx 39M
refused 'nothing left' 64 'nothing would be left' resize --shrink image.vhdx -40M
refused 'not a whole sector' 1 'not a multiple' resize image.vhdx +100
refused 'larger than any VHDX' 1 'VirtualDiskSize' resize image.vhdx 65T
refused 'larger than a number' 1 'VirtualDiskSize' resize image.vhdx +16383P
refused 'no minimum without partitions' 1 'no partitions' resize --minimum image.vhdx
# The BAT has to move: an entry for each MiB.
ctl resize image.vhdx 200G
[ "$rc" = 0 ] && [ "$(size_of image.vhdx vhdx)" = $((200 << 30)) ] && qemu-img check -q -f vhdx image.vhdx &&
	./vhdxctl check -q image.vhdx
ok 'a long BAT' $?
resized 'and back' $((40 * mib)) --shrink image.vhdx 40M

# --- what is on the disk -------------------------------------------------------

# table RAW: its GPT as others read it, without what depends on the disk's size
table() {
	sfdisk -d "$1" 2>/dev/null | grep -v -e '^device:' -e '^last-lba:' | sed 's/^[^ ]* : //'
}

# advised NAME PATTERN: what the tool printed to be done about the GPT is that, and
# when it is done, the table is what it was, with a backup
advised() {
	advised_command=$(sed -n "s/.*GPT.*: '\(.*\) DEVICE'\$/\1/p" out)
	[ "$rc" = 0 ] && [ ! -s err ] && printf '%s\n' "$advised_command" | grep -qxE -- "$2"
	ok "$1: what is to be done is said" $?
	if ! command -v "${advised_command%% *}" >/dev/null; then
		skip "$1: that repairs it" "no ${advised_command%% *}"
		return
	fi
	rm -f repaired
	./vhdxctl convert -q -O raw image.vhdx repaired && $advised_command repaired >out 2>err &&
		sfdisk --verify repaired >out 2>err && ! grep -q backup err && table repaired | cmp -s - wanted
	ok "$1: that repairs it" $?
}

# gpt_of SCRIPT: a raw disk with it, its image, and what advised wants
gpt_of() {
	rm -f raw
	truncate -s 200M raw
	printf '%b' "$1" | sfdisk -q raw >/dev/null
	image_of block_size=1M
	table raw >wanted
}

gpt_of 'label: gpt\nstart=2048, size=40960, name=one\nstart=43008, size=20480\n'
ctl resize image.vhdx +100M
advised 'a larger GPT' 'sfdisk --relocate gpt-bak-std'
ctl resize --shrink image.vhdx 250M
advised 'a GPT that still has its last sector' 'sfdisk --relocate gpt-bak-std'
refused 'smaller than its partitions' 1 'last partition ends at 31 MiB \(32505856 bytes\)' \
	resize --shrink image.vhdx 30M
refused 'no room for its backup' 1 "its GPT's backup has no room behind its last partition" \
	resize --shrink image.vhdx 31M
ctl resize --shrink image.vhdx 50M
advised 'a smaller GPT' 'sgdisk -e'
# Nobody else finds it now.
refused 'a smaller GPT: smaller than its partitions' 1 'last partition ends at 31 MiB \(32505856 bytes\)' \
	resize --shrink image.vhdx 30M
ctl resize image.vhdx 60M
advised 'a smaller GPT, larger again' 'sgdisk -e'
passes 'as small as its partitions allow' 'to 32 MiB \(33554432 bytes\)' resize --minimum image.vhdx
[ "$(size_of image.vhdx vhdx)" = $((32 * mib)) ]
ok 'with room for the backup' $?
advised 'as small as its partitions allow' 'sgdisk -e'
passes 'once more is no smaller' 'has that size already: 32 MiB' resize --minimum image.vhdx
refused 'the minimum: smaller than its partitions' 1 'last partition ends at 31 MiB' \
	resize --shrink image.vhdx 30M
ctl resize image.vhdx 200M
advised 'as large as it was' 'sfdisk --relocate gpt-bak-std'
passes '--force cuts partitions off' 'backup has no room: that needs a disk of .*\(33553920 bytes\)' \
	resize --shrink --force image.vhdx 10M
[ "$(size_of image.vhdx vhdx)" = $((10 * mib)) ]
ok '--force cuts partitions off: it has that size' $?
passes 'then there is no less than that' 'has that size already: 10 MiB' resize --minimum image.vhdx

# What precedes the partitions tells sgdisk how much it needs behind them.
gpt_of 'label: gpt\nfirst-lba: 34\nstart=2048, size=63455\n'
ctl resize --minimum image.vhdx
advised 'a minimum without a sector to spare' 'sgdisk -e'
[ "$(size_of image.vhdx vhdx)" = $((32 * mib)) ]
ok 'a minimum without a sector to spare: it is the next MiB' $?
gpt_of 'label: gpt\nstart=2048, size=61442\n'
ctl resize --minimum image.vhdx
advised 'a minimum with a sector too much' 'sgdisk -e'
[ "$(size_of image.vhdx vhdx)" = $((33 * mib)) ]
ok 'a minimum with a sector too much: it is one MiB more' $?

# The header has another place than sectors of this size say.
gpt_of 'label: gpt\nsize=50M\nsize=50M\n'
./vhdxctl convert -q -S 4096 raw image.vhdx --force
refused 'a GPT with smaller sectors' 1 'last partition ends at 101 MiB' resize --shrink image.vhdx 50M
passes 'a GPT with smaller sectors: the minimum' 'to 102 MiB' resize --minimum image.vhdx
passes 'a GPT with smaller sectors: why nobody finds it' \
	"its GPT is for sectors of 512 bytes: 'vhdxctl convert -S 512' makes those" resize image.vhdx 200M
ctl resize --shrink image.vhdx 150M
./vhdxctl convert -q -S 512 image.vhdx other.vhdx && mv other.vhdx image.vhdx
advised 'a GPT with smaller sectors, converted' 'sgdisk -e'

# Of these there is only a part.
zero_sector() { dd if=/dev/zero of=raw bs=512 seek="$1" count=1 conv=notrunc status=none; }
gpt_of 'label: gpt\nsize=50M\nsize=50M\n'
cp image.vhdx whole.vhdx
poke raw 600 x
image_of block_size=1M
refused 'only the backup is whole' 1 'its GPT is damaged' resize --shrink image.vhdx 150M
poke raw $((200 * mib - 500)) x
image_of block_size=1M
refused 'neither is whole' 1 'its GPT is damaged' resize --shrink image.vhdx 150M
refused 'neither is whole: the minimum' 1 'no known minimum: its GPT is damaged' resize --minimum image.vhdx
zero_sector 1
image_of block_size=1M
refused 'only the protective MBR' 1 'its GPT is damaged' resize --shrink image.vhdx 150M
poke raw 512 'EFI PART'
zero_sector 0
image_of block_size=1M
refused 'only the signature' 1 'its GPT is damaged' resize --shrink image.vhdx 150M
passes 'a damaged GPT may grow' 'its GPT is damaged' resize image.vhdx 300M
passes 'a damaged GPT and --force' '^resized from 300 MiB to 150 MiB' resize --shrink --force image.vhdx 150M
./vhdxctl convert -q -O raw --force whole.vhdx raw
zero_sector 0
image_of block_size=1M
refused 'only the protective MBR is missing' 1 'last partition ends at 101 MiB' resize --shrink image.vhdx 50M

rm -f raw
truncate -s 64M raw
printf 'label: dos\nstart=2048, size=20480\nstart=30000, size=20000, type=5\nstart=32048, size=10000\n' |
	sfdisk -q raw >/dev/null
image_of block_size=1M
refused 'an extended partition counts' 1 'last partition ends at .*25600000 bytes' \
	resize --shrink image.vhdx 24M
passes 'without a GPT there is nothing to move' '^resized from 64 MiB to 25 MiB' \
	resize --minimum image.vhdx

rm -f raw
truncate -s 64M raw
mke2fs -q -t ext4 raw
image_of block_size=1M
refused 'a file system on the whole disk' 1 'of what has the whole disk \(ext4\) the end is not known' \
	resize --shrink image.vhdx 32M
resized 'it may grow' $((128 * mib)) image.vhdx 128M
resize2fs raw >/dev/null 2>&1 && resize2fs raw 32M >/dev/null 2>&1
image_of block_size=1M
resized 'and shrink after it, with --force' $((32 * mib)) --shrink --force image.vhdx 32M
e2fsck -fn raw >/dev/null 2>&1
ok 'the file system is whole' $?

# A host that finds out half way that it has no room.
rm -f raw image.vhdx
if [ "$(id -u)" = 0 ] && truncate -s 24M ext4.img && mkfs.ext4 -q ext4.img 2>err && mkdir host &&
	mount -o loop ext4.img host 2>>err; then
	trap 'umount host; rm -rf "$work"' EXIT
	./vhdxctl create -t fixed -s 4M host/image.vhdx >out 2>err
	mkdir kept
	./vhdxctl create --parent host/image.vhdx kept/child.avhdx >out 2>err
	before=$(stat -c %s host/image.vhdx)
	fails 'a full host' 1 'host/image.vhdx: .*No space left' resize host/image.vhdx 64M
	[ "$(stat -c %s host/image.vhdx)" = "$before" ] && ./vhdxctl check -q host/image.vhdx
	ok 'a full host has its room back' $?
	ctl check --chain -q kept/child.avhdx
	[ "$rc" = 0 ]
	ok 'a child in another folder does not lose its parent by what failed' $?
	ctl resize host/image.vhdx 5M
	[ "$rc" = 0 ] && ! ./vhdxctl check --chain -q kept/child.avhdx >out 2>err
	ok 'it does by what succeeds' $?
	umount host
	trap 'rm -rf "$work"' EXIT
else
	skip 'a full host' 'cannot mount'
fi

# on_device NAME SIZE [OPTION...]: image.vhdx grows to that on a loop device with these
on_device() {
	device=$1 grown=$2
	shift 2
	if [ "$(id -u)" != 0 ] || ! loop=$(losetup "$@" -f --show image.vhdx 2>err); then
		skip "an image on a device $device" 'not root, or no loop devices'
		return
	fi
	trap 'losetup -d "$loop"; rm -rf "$work"' EXIT
	passes "an image on a device $device" '^resized from ' resize "$loop" "$grown"
	passes "$device: it can be changed" '' set --reset-disk-id "$loop"
	truncate -s "$grown" raw
	./vhdxctl check -q "$loop" && ./vhdxctl compare --strict -q "$loop" raw
	ok "$device: it is whole, and what is new reads as zeros" $?
	losetup -d "$loop"
	trap 'rm -rf "$work"' EXIT
}

# A device of 4096-byte sectors zeros no part of one, and the disk ends inside one.
rm -f raw image.vhdx
noise 9 5 >raw
truncate -s $((16 * mib)) raw
noise 9 1 | head -c 512 >>raw
./vhdxctl create -b 2M --from raw image.vhdx 2>err >out
truncate -s 64M image.vhdx
on_device 'of 4096-byte sectors' 32M -b 4096

# Nor does a device have to be whole MiB.
rm -f image.vhdx
./vhdxctl create -b 1M --from raw image.vhdx 2>err >out
truncate -s $((64 * mib + 512)) image.vhdx
on_device 'of more than whole MiB' 40M

# --- chains, and who uses it ----------------------------------------------------

rm -f raw image.vhdx
truncate -s 20M raw
noise 5 2000 | dd of=raw bs=1M seek=1 conv=notrunc iflag=fullblock status=none
./vhdxctl create --from raw base.vhdx 2>err >out && ./vhdxctl create --parent base.vhdx image.vhdx >out 2>err
ok 'a chain' $?
ctl resize image.vhdx 30M
truncate -s 30M raw
[ "$rc" = 0 ] && ./vhdxctl compare --strict -q image.vhdx raw
ok 'a child grows above its parent' $?
sha256sum base.vhdx >before
fails 'a parent is left alone' 1 'it is the parent of' resize base.vhdx 40M
sha256sum --status -c before
ok 'a parent is left alone: nothing changes' $?
cp base.vhdx limited.vhdx
(ulimit -f 8192 && ctl resize limited.vhdx 60T && exit "$rc")
rc=$?
: >out
[ $rc = 1 ] && one_message && grep -q 'File too large' err && ./vhdxctl check -q limited.vhdx
ok 'a limit for files' $?
rm limited.vhdx
mkdir away && mv base.vhdx away/
fails 'a child whose parent is not found' 66 'base.vhdx' resize image.vhdx 40M
ctl resize --parent-dir away image.vhdx 40M
truncate -s 40M raw
[ "$rc" = 0 ] && ./vhdxctl compare --strict -q --parent-dir away image.vhdx raw
ok '--parent-dir finds it' $?
./vhdxctl resize -q --shrink --parent-dir away image.vhdx 10M
fails 'a child smaller than its parent does not grow' 69 'its parent is larger' \
	resize --parent-dir away image.vhdx 30M
mv away/base.vhdx . && ./vhdxctl resize -q --allow-parent-write base.vhdx 50M
ok '--allow-parent-write' $?

qemu_has '' base.vhdx
fails 'an image that somebody else has open' 75 'in use' resize base.vhdx 60M
qemu_lets_go

finish
