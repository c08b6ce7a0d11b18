#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What DKMS is told of a kernel, by folders that are kernels as far as make looks;
# tests/matrix has real ones. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"

# kernel OURS ANY: whether the module builds for it, and any module does
kernel() {
	rm -rf kernel source
	mkdir kernel source
	cp "$top/tools/dkms-try" source/
	# shellcheck disable=SC2016 # for make
	printf 'modules:\n\t[ -e $(M)/any.c ] && %s || %s\n' "$2" "$1" >kernel/Makefile
}

# tries NAME CODE
tries() {
	(cd source && sh ./dkms-try ../kernel) >out 2>err
	rc=$?
	[ $rc = "$2" ]
	ok "$1" $?
}

kernel true false
tries 'a kernel that it builds for' 0
kernel false true
tries 'one that it does not build for' 77
grep -q '^vhdx does not build for this kernel' err
ok 'that one is told of' $?
kernel false false
tries 'one that nothing builds for is not passed over' 1

make -s -C "$top" install DESTDIR="$PWD/dest" >out 2>err
rc=$?
[ $rc = 2 ] && grep -q 'DESTDIR is for install-tool' err && [ ! -e dest ]
ok 'make install is for this machine alone' $?
make -s -C "$top" uninstall DESTDIR="$PWD/dest" >out 2>err
rc=$?
[ $rc = 2 ] && grep -q 'DESTDIR is for install-tool' err
ok 'so is make uninstall' $?

finish
