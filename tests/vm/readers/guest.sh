#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Images for other readers, written by the driver, and raw copies of what they
# hold, to /results. Prints TAP.
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"
raw=/scratch/top.raw ops=60
# shellcheck source=tests/vm/lib/guest/chain.sh
. "$VM_LIB/chain.sh"

cd /scratch || exit 1

# Over three edges of chunks: with several bitmap blocks each.
chain large 12288 31 2M 8M 512

vhdxctl create -s 96M -t fixed chain/fixed.vhdx >/tmp/err 2>&1
ok 'a fixed image' $?
truncate -s 96M fixed.raw
raw=fixed.raw
written 'fixed' 41 chain/fixed.vhdx discard
qemu-img create -q -f vhdx chain/qemu.vhdx 96M >/tmp/err 2>&1
ok 'an image of qemu-img' $?
truncate -s 96M qemu.raw
raw=qemu.raw
written 'of qemu-img' 51 chain/qemu.vhdx discard

mv chain/* ./*.raw /results/
ok 'all of it goes out' $?
finish
