#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl doctor with the driver: its version, and what becomes of disks. Prints
# TAP.
# kernels: 6.1 6.12
# vm: -m 256
set -u

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$VM_LIB/tap.sh"
# shellcheck source=tests/vm/lib/guest/disk.sh
. "$VM_LIB/disk.sh"

cd /scratch || exit 1
ln -s "$(command -v vhdxctl)" /sbin/mount.vhdx
ln -s "$(command -v vhdxctl)" /sbin/umount.vhdx

why() {
	cat out err
}

# finds NAME KIND CHECK TEXT COMMAND: the last of what is said of CHECK
finds() {
	vhdxctl doctor --json >out 2>err
	rc=$?
	jq -e --argjson rc $rc --arg kind "$2" --arg name "$3" --arg text "$4" --arg command "$5" '
		(.problems > 0) == ($rc == 1) and (.problems == ([.findings[] | select(.kind == "problem")] | length))
		and ([.findings[] | select(.name == $name)] | last
			| .kind == $kind and (.text | test($text))
			and ((.command // "-") | test("^" + $command + "$")))' out >/dev/null 2>>err
	ok "$1" $?
}

version=$(vhdxctl --version | cut -d' ' -f2)
finds 'the driver is loaded' ok driver "the loaded driver has version $version, as vhdxctl\$" -
finds 'its module' ok module "/vhdx.ko has version $version" -
finds 'this kernel takes it' ok signature 'Secure Boot is off' -
finds 'no headers' note headers 'are missing' 'apt-get install linux-headers-.*'
finds 'the helpers of mount' ok mount 'mount knows the type vhdx' -
! jq -e '.findings[] | select(.name == "disk")' out >/dev/null
ok 'no disks' $?

vhdxctl create -s 32M a.vhdx && attach a.vhdx
finds 'a disk' ok disk '^/dev/vhdx0: /scratch/a.vhdx$' -
cp a.vhdx b.vhdx && mv b.vhdx a.vhdx
finds 'a disk whose image was replaced' problem disk '^/dev/vhdx0: its image .* was deleted, replaced' 'vhdxctl detach /dev/vhdx0'
rm a.vhdx
finds 'a disk whose image was deleted' problem disk 'its image /scratch/a.vhdx .deleted. was' 'vhdxctl detach /dev/vhdx0'
detach

vhdxctl create -s 32M a.vhdx && attach a.vhdx --autoclear
finds 'a disk that waits for its first user' note disk 'goes with its last user: nobody uses it yet' 'vhdxctl detach /dev/vhdx0'
detach

finish
