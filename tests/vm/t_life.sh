#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The life of disks: the ioctls' rules, many attaches and detaches, one after the
# other and at once, races, signals, the module's own removal. Prints TAP.
# long: 6.12
# also: 6.1 debug
# vm: -m 768 -x build/mkvhdx -x build/rawctl
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"

# tap COMMAND...: a program that prints TAP itself
tap() {
	"$@" 2>/tmp/err
	status=$?
	[ $status = 0 ] || bad=1
	[ ! -s /tmp/err ] || ok "$*" 1
}

image=/scratch/a.vhdx
mkvhdx --size 200M --shuffle --blocks 0,1,50,199 $image
large=/scratch/large.vhdx
mkvhdx --size 64T --bat-written $large

tap rawctl rules $image /scratch
tap rawctl race $image 50
tap rawctl kill $large 40
tap rawctl kill $image 20

status=0
for i in 1 2 3 4 5 6 7 8 9 10; do
	rawctl cycle $image 100 2>/tmp/err || { status=1; break; }
	echo "# ${i}00 times"
done
ok '1000 times attached, read and detached' $status

# Twenty at once, each with an image of its own and one that all share.
pids=
for i in $(seq 20); do
	mkvhdx --size 40M --seed "$i" --shuffle --blocks 0,1,39 "/scratch/p$i.vhdx"
	(rawctl cycle "/scratch/p$i.vhdx" 10 && rawctl cycle $image 10) 2>"/tmp/err$i" &
	pids="$pids $!"
done
# shellcheck disable=SC2086 # numbers
all_well $pids
ok 'twenty at once, twenty times each' $?
[ -z "$(ls -d /sys/block/vhdx* 2>/dev/null)" ]
ok 'no disk is left' $?

# All of them attached at the same time, all read at the same time.
status=0
for i in $(seq 20); do
	rawctl attach "/scratch/p$i.vhdx" >"/tmp/index$i" || status=1
done
ok 'twenty disks' $status
pids=
for i in $(seq 20); do
	mkvhdx --size 40M --seed "$i" --shuffle --blocks 0,1,39 --verify "/dev/vhdx$(cat "/tmp/index$i")" 2>"/tmp/err$i" &
	pids="$pids $!"
done
# shellcheck disable=SC2086 # numbers
all_well $pids
ok 'each shows what is its own' $?

! modprobe -r vhdx 2>/tmp/err && [ -d /sys/module/vhdx ]
ok 'the module stays while there are disks' $?
for i in $(seq 20); do
	rawctl detach "$(cat "/tmp/index$i")" || status=1
done
ok 'all detached' $status

# Reads under way when the disk is asked to go: it is busy, and they end well.
index=$(rawctl attach $image)
rm -f /tmp/failed*
for i in 1 2 3 4; do
	exec 3<"/dev/vhdx$index"
	dd of=/dev/null bs=16K iflag=direct status=none <&3 2>"/tmp/err$i" || : >"/tmp/failed$i" &
	exec 3<&-
done
tries=0
until rawctl detach "$index" >/tmp/err; do
	tries=$((tries + 1))
	[ "$(cat /tmp/err)" = EBUSY ] || break
	sleep 0.1
done
wait
[ ! -e "/dev/vhdx$index" ] && [ -z "$(ls /tmp/failed* 2>/dev/null)" ]
ok "detached when the readers were through (busy $tries times)" $?

# Swap: a file in use as swap is no image, a disk is no place for swap.
dd if=/dev/zero of=/scratch/swap bs=1M count=16 status=none
chmod 600 /scratch/swap
mkswap -q /scratch/swap >/dev/null
swapon /scratch/swap 2>/tmp/err
rawctl attach /scratch/swap >/tmp/err
grep -q '^ETXTBSY$' /tmp/err
ok 'a swap file is refused' $?
swapoff /scratch/swap

modprobe -r vhdx 2>/tmp/err && [ ! -e /dev/vhdx-control ]
ok 'the module goes when there is no disk' $?
modprobe vhdx 2>/tmp/err && [ -c /dev/vhdx-control ] && [ "$(stat -c %a /dev/vhdx-control)" = 600 ]
ok 'and comes again' $?

finish
