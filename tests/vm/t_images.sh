#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Real images (where they lie beside the project), attached read-only: what a
# guest reads, and that the file stays as it is. Prints TAP.
# long: 6.1 6.12
# also: debug
# vm: -m 512 -x build/rawctl $(test -d ../shared/images && echo -f ../shared/images)
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"

# check_lines DEV ORACLE: past the page cache where that is possible
check_lines() {
	python3 - "$1" "$2" <<-'PYTHON'
	import hashlib, mmap, os, sys

	dev, oracle = sys.argv[1:]
	cached = os.open(dev, os.O_RDONLY)
	direct = os.open(dev, os.O_RDONLY | os.O_DIRECT)
	lines = wrong = 0
	for line in open(oracle):
	    words = line.split()
	    lines += 1
	    if words[0] == 'size':
	        good = os.lseek(cached, 0, os.SEEK_END) == int(words[1])
	    else:
	        offset, length = int(words[0]), int(words[1])
	        fd = cached if (offset | length) % 4096 else direct
	        memory = mmap.mmap(-1, length)
	        good = (os.preadv(fd, [memory], offset) == length and
	                hashlib.sha256(memory).hexdigest() == words[2])
	    if not good:
	        wrong += 1
	        print('differs:', line.strip(), file=sys.stderr)
	sys.exit(wrong > 0 or lines < 2)
	PYTHON
}

# oracle NAME [PARENT]: its disk shows what its oracle says
oracle() {
	for image; do
		xz -dc "images/$image.vhdx.xz" >"/scratch/$image.vhdx"
	done
	before=$(cd /scratch && sha256sum -- *.vhdx)
	# shellcheck disable=SC2046 # names without spaces
	(cd /scratch && rawctl attach $(printf '%s.vhdx ' "$@")) >/tmp/out 2>/tmp/err
	status=$?
	[ $status = 0 ] || cat /tmp/out >>/tmp/err
	ok "$1: attaches" $status
	[ $status = 0 ] || return
	dev=/dev/vhdx$(cat /tmp/out)
	check_lines "$dev" "images/$1.oracle" 2>/tmp/err
	ok "$1: size and each line of its oracle" $?
	vhdxctl detach "$dev" 2>/tmp/err
	ok "$1: detaches" $?
	[ "$(cd /scratch && sha256sum -- *.vhdx)" = "$before" ]
	ok "$1: the files are as they were" $?
	rm /scratch/*.vhdx
}

if [ ! -d images ]; then
	echo 'ok 1 - real images # SKIP no ../shared/images'
	exit 0
fi
for name in iotest-dynamic-1G iotest-dirtylog-10G-4M lvm2 parent; do
	[ ! -e "images/$name.oracle" ] || oracle "$name"
done
oracle child parent
[ -z "$(vhdxctl list -n)" ]
ok 'no disk is left' $?

finish
