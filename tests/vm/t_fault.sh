#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Every so many allocations of an attach, or each, fail once, those for a parent
# too. Prints TAP.
# long: debug
# vm: -m 128 -x build/mkvhdx -x build/rawctl
# more: -e STEP=1
set -u

# Here and not on /scratch, whose null_blk has a fault of its own to inject. A chain
# whose base has a dirty log: opening it allocates all that another needs, and more.
mkvhdx --bad log-wraps dirty.vhdx >/tmp/out
mkvhdx --differencing --size 16M child.vhdx
exec rawctl fail "${STEP:-7}" child.vhdx dirty.vhdx
