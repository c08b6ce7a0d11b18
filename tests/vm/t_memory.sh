#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A chain whose block maps do not fit into memory: the attach fails, and nobody is
# killed to make room for it. Prints TAP.
# long: 6.12
# vm: -m 576 -r 320 -x build/mkvhdx -x build/rawctl
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"

cd /scratch || exit 1

# One that the kernel would rather kill than anybody else.
sh -c 'echo 1000 >/proc/self/oom_score_adj && exec sleep 1000' &
victim=$!

# image N OPTION...: a BAT of 128 MiB, all of it written: each payload block is ZERO
image() {
	file=$1.vhdx
	mkvhdx --size 16T --guid "$@" "$file"
	python3 - "$file" <<-'PYTHON'
	import sys

	with open(sys.argv[1], 'r+b') as file:
	    file.seek(2 << 20)
	    for _ in range(4096):
	        file.write((2).to_bytes(8, 'little') * 4096 + bytes(8))
	PYTHON
}

image 1
image 2 --differencing --linkage 1
image 3 --differencing --linkage 2
image 4 --differencing --linkage 3
sync
echo 3 >/proc/sys/vm/drop_caches

number=$(rawctl attach 1.vhdx 2>/tmp/err) && rawctl detach "$number" >/tmp/err
ok 'an image by itself attaches' $?
rawctl attach 4.vhdx 3.vhdx 2.vhdx 1.vhdx >/tmp/err 2>&1
status=$?
[ $status = 1 ] && [ "$(head -n 1 /tmp/err)" = ENOMEM ]
ok 'the chain is refused: ENOMEM' $?
grep -q 'BAT.*no memory' /tmp/err
ok 'and the text says for what' $?
! dmesg | grep -i oom-killer >/tmp/err
ok 'the kernel has not killed anybody' $?
kill -0 $victim 2>/tmp/err
ok 'whom it would have killed is still there' $?
number=$(rawctl attach 1.vhdx 2>/tmp/err) && rawctl detach "$number" >/tmp/err
ok 'all of the memory was given back' $?
kill $victim

finish
