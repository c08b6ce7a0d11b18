#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vhdxctl doctor on systems that are folders: what it finds there, and the command
# that it names. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"

release=$(uname -r)
version=$(cat "$top/VERSION")
modules=root/lib/modules/$release
efivars=root/sys/firmware/efi/efivars
secure_boot=$efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
db=$efivars/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f
mok_list=$efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23
key=root/var/lib/dkms/mok.pub

# finds NAME KIND CHECK TEXT COMMAND: what is said of CHECK; COMMAND is - for none
finds() {
	ctl doctor --json --root root
	[ ! -s err ] && python3 - "$rc" "$2" "$3" "$4" "$5" <<-'PY'
		import json, re, sys
		rc, kind, name, text, command = sys.argv[1:]
		j = json.load(open('out', encoding='utf-8'))
		assert j['schema'] == 1
		problems = [f for f in j['findings'] if f['kind'] == 'problem']
		assert j['problems'] == len(problems) and rc == str(int(bool(problems)))
		of = [f for f in j['findings'] if f['name'] == name]
		assert len(of) == 1 and of[0]['kind'] == kind and re.search(text, of[0]['text'])
		assert of[0]['command'] is None if command == '-' else re.search(command, of[0]['command'])
	PY
	ok "$1" $?
}

# module VERSION VERMAGIC: an object file that says so of itself
module() {
	mkdir -p "$modules/extra"
	cat >module.c <<-C
		const char info[] __attribute__((section(".modinfo"), used)) =
			"license=GPL\0version=$1\0vermagic=$2 SMP mod_unload ";
	C
	gcc -c -o "$modules/extra/vhdx.ko" module.c
	depmod -b root "$release" 2>/dev/null
}

# sign NAME: appends a signature as far as it says who made it
sign() {
	python3 - "$1" >>"$modules/extra/vhdx.ko" <<-'PY'
		import struct, sys
		signer = sys.argv[1].encode()
		sys.stdout.buffer.write(signer + b'id' + b'sig' + struct.pack('>BBBBBxxxI', 1, 4, 1, len(signer), 2, 3) +
		                        b'~Module signature appended~\n')
	PY
}

mkdir root
finds 'nothing installed: no module' problem module "there is none for kernel $release\$" "^dkms install vhdx/$version -k $release\$"
finds 'nothing installed: no headers' problem headers 'no module can be built' "^apt-get install linux-headers-$release\$"
finds 'nothing installed: no rules' note udev '60-vhdx.rules is missing' '^make install$'
finds 'nothing installed: no helpers' note mount '/sbin/mount.vhdx is missing' '^make install$'
finds 'nothing installed: the driver is not loaded' ok driver 'not loaded, so nothing is attached' -
finds 'no Secure Boot' ok signature 'Secure Boot is off' -

module "$version" "$release"
finds 'a module' ok module "vhdx.ko has version $version, as vhdxctl\$" -
finds 'without headers, but with the module' note headers 'are missing' 'linux-headers'
mkdir -p "$modules/build" root/etc/udev/rules.d root/sbin
: >"$modules/build/Makefile"
: >root/etc/udev/rules.d/60-vhdx.rules
ln -s /usr/sbin/vhdxctl root/sbin/mount.vhdx
finds 'one helper of two' note mount '/sbin/umount.vhdx is missing' '^make install$'
ln -s /usr/sbin/vhdxctl root/sbin/umount.vhdx
finds 'headers' ok headers "those of kernel $release are there" -
finds 'rules' ok udev '/etc/udev/rules.d/60-vhdx.rules is there' -
finds 'helpers' ok mount 'mount knows the type vhdx' -
passes 'all is well: exit code 0' '^ok +module ' doctor --root root
! grep -qE '^(note|problem)' out
ok 'and nothing but that' $?

module 0.0.1 "$release"
finds 'a module of another version' problem module "version 0.0.1, vhdxctl $version" 'packages of one version'
module "$version" 1.2.3-other
finds 'a module for another kernel' problem module 'for another kernel: 1.2.3-other' "dkms install vhdx/$version -k $release --force"
echo 'no module' >"$modules/extra/vhdx.ko"
finds 'a module that is none' problem module 'vhdx.ko cannot be read' "^depmod $release\$"

module "$version" "$release"
mkdir -p "$efivars" root/sys/module/module/parameters root/sys/kernel/security
printf '\6\0\0\0\1' >"$secure_boot"
finds 'Secure Boot: not signed' problem signature 'Secure Boot is on, and the module is not signed' '--force$'
sign 'DKMS of vm'
# certificate SEED SIGNER FILE: as far as it is looked at
certificate() {
	mkdir -p "${3%/*}"
	{ noise "$1" 1; echo "$2"; } >"$3"
}
# enroll VARIABLE FILE: the firmware has this certificate, between others
enroll() {
	{ noise 2 1; cat "$2"; noise 3 1; } >"$1"
}
is_enrolled='DKMS of vm signed the module, and that key is enrolled'
not_enrolled='the key of DKMS of vm is not enrolled'
certificate 1 'DKMS of vm' "$key"
finds 'Secure Boot: signed, the key not enrolled' problem signature "$not_enrolled" \
	'^mokutil --import /var/lib/dkms/mok.pub, then reboot'
enroll "$mok_list" "$key"
finds 'Secure Boot: signed, the key enrolled' ok signature "$is_enrolled" -
rm "$mok_list"
enroll "$db" "$key"
finds 'Secure Boot: signed, the key in the firmware' ok signature "$is_enrolled" -
rm "$db"
certificate 1 'another one' "$key"
enroll "$mok_list" "$key"
finds 'Secure Boot: another key is enrolled' note signature 'DKMS of vm signed the module, whose certificate is not found' \
	'^modprobe vhdx$'
rm "$mok_list"
finds 'Secure Boot: no other key is either' note signature 'certificate is not found' '^modprobe vhdx$'
rm "$key"
finds 'Secure Boot: no key to compare' note signature 'certificate is not found' '^modprobe vhdx$'
certificate 4 'DKMS of vm' root/var/lib/shim-signed/mok/MOK.der
finds 'Secure Boot: signed as on Ubuntu, not enrolled' problem signature "$not_enrolled" \
	'^mokutil --import /var/lib/shim-signed/mok/MOK.der, then reboot'
enroll "$mok_list" root/var/lib/shim-signed/mok/MOK.der
finds 'Secure Boot: signed as on Ubuntu, enrolled' ok signature "$is_enrolled" -
rm -r root/var/lib/shim-signed "$mok_list"
certificate 5 'another one' "$key"
certificate 6 'DKMS of vm' root/etc/keys/own.der
mkdir -p root/etc/dkms/framework.conf.d
for config in framework.conf framework.conf.d/own.conf; do
	printf '%s\n' '# mok_certificate=/etc/keys/none.der' 'mok_signing_key=/etc/keys/own.key' \
		'mok_certificate="/etc/keys/own.der" # of ours' 'sign_file=/bin/sign' >root/etc/dkms/$config
	finds "Secure Boot: $config names the certificate, not enrolled" problem signature "$not_enrolled" \
		'^mokutil --import /etc/keys/own.der, then reboot'
	enroll "$mok_list" root/etc/keys/own.der
	finds "Secure Boot: $config names the certificate, enrolled" ok signature "$is_enrolled" -
	rm root/etc/dkms/$config "$mok_list"
done
echo 'mok_certificate=/etc/keys/own.der' >root/etc/dkms/framework.conf.d/own.conf.old
finds 'Secure Boot: a file that DKMS does not read' note signature 'certificate is not found' '^modprobe vhdx$'
rm -r root/etc/dkms root/etc/keys "$key"
rm -r "$modules/extra" && depmod -b root "$release" 2>/dev/null
finds 'Secure Boot: no module yet' note signature 'Secure Boot is on: the module will need one' -
module "$version" "$release"
printf '\6\0\0\0\0' >"$secure_boot"
finds 'Secure Boot is off' ok signature 'Secure Boot is off' -
echo Y >root/sys/module/module/parameters/sig_enforce
finds 'module.sig_enforce' problem signature 'module.sig_enforce is on, and the module is not signed' '--force$'
echo N >root/sys/module/module/parameters/sig_enforce
echo 'none [integrity] confidentiality' >root/sys/kernel/security/lockdown
finds 'lockdown' problem signature 'the kernel is locked down, and' '--force$'
mkdir root/sys/module/vhdx
finds 'the kernel took it' ok signature 'locked down, and the kernel took the module' -
finds 'the driver is loaded' ok driver '^loaded$' -
echo '[none] integrity confidentiality' >root/sys/kernel/security/lockdown
finds 'no lockdown' ok signature 'Secure Boot is off' -

rm -r root
mkdir root
ctl doctor --root root
[ "$rc" = 1 ] && [ ! -s err ] && grep -qE '^problem +module ' out && grep -q '^ *-> dkms install' out
ok 'for people: the problem, and the command' $?
fails 'an argument' 64 'x: doctor: takes no argument' doctor x

finish
