#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Reads, writes, flushes and discards side by side, where the kernel checks its locks
# and its memory: on an image without a parent and on a child. Prints TAP.
# long: debug
# also: 6.1 6.12
# vm: -m 64
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
raw=/scratch/disk.raw

# race NAME SEED IMAGE: $raw is what it shows; leaves what it showed last in seen.raw
race() {
	attach "$3"
	python3 "$VM_LIB/race.py" "$2" 120 "$dev" $raw 2>/tmp/err
	ok "$1: each sector is what it must be" $?
	dd if="$dev" of=seen.raw bs=1M iflag=direct status=none
	detach
	ok "$1: detaches" $?
}

vhdxctl create -s 4M -b 1M plain.vhdx >/tmp/err 2>&1 && attach plain.vhdx &&
	yes data | dd of="$dev" bs=1M count=3 iflag=fullblock oflag=direct conv=notrunc status=none
dd if="$dev" of=$raw bs=1M status=none
detach && cp plain.vhdx below.vhdx && vhdxctl create --parent below.vhdx -b 1M child.vhdx >/tmp/err 2>&1
ok 'a plain image and a child' $?
race plain 1 plain.vhdx
agree plain.vhdx seen.raw && is_clean plain.vhdx
ok 'plain: clean, other readers agree' $?
race child 2 child.vhdx
attach child.vhdx -r && shows "$dev" seen.raw && detach
ok 'child: and so it is when attached again' $?

finish
