#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Each allocation of an attach fails once, those for a parent too. Prints TAP.
# kernels: debug
# vm: -m 128 -x build/mkvhdx -x build/rawctl
set -u

# Here and not on /scratch, whose null_blk has a fault of its own to inject. A chain
# whose base has a dirty log: opening it allocates all that another needs, and more.
mkvhdx --bad log-wraps dirty.vhdx >/tmp/out
mkvhdx --differencing --size 16M child.vhdx
exec rawctl fail child.vhdx dirty.vhdx
