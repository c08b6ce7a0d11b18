#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Each allocation of an attach fails once. Prints TAP.
# kernels: debug
# vm: -m 128 -x build/mkvhdx -x build/rawctl
set -u

# One with a dirty log: opening it allocates all that another image needs, and more.
mkvhdx --bad log-wraps /scratch/dirty.vhdx >/tmp/out
exec rawctl fail /scratch/dirty.vhdx
