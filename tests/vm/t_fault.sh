#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Each allocation of an attach fails once. Prints TAP.
# kernels: debug
# vm: -m 128 -x build/mkvhdx -x build/rawctl
set -u

bad=0
mkvhdx --size 200M --shuffle --blocks 0,1,50,199 /scratch/clean.vhdx
mkvhdx --bad log-wraps /scratch/dirty.vhdx >/tmp/out
for image in clean dirty; do
	echo "# $image"
	rawctl fail /scratch/$image.vhdx || bad=1
done
exit $bad
