#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Each allocation of an attach fails once. Prints TAP.
# kernels: debug
# vm: -m 128 -x build/mkvhdx -x build/rawctl
set -u

# Here and not on /scratch, whose null_blk has a fault of its own to inject. An
# image with a dirty log: opening it allocates all that another needs, and more.
mkvhdx --bad log-wraps dirty.vhdx >/tmp/out
exec rawctl fail "$PWD/dirty.vhdx"
