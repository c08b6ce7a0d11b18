#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# probe.sh PROBES COMPILER [FLAG...]: find out which kernel this is being built
# for, and print the header that compat.h wants.
#
# Each PROBES/NAME.c uses one interface of the kernel in its new form, and with
# PROBE_OLD defined in its old one. Exactly one of them must compile. A probe
# that compiles in both forms or in neither says nothing about the kernel, so
# that ends the build, as do flags that the compiler cannot work with at all.
set -eu

probes=$1
shift

# Only what makes a use of an interface wrong may fail a probe, and not what the
# kernel's configuration or W=1 makes an error on top.
try() {
	file=$1
	shift
	"$@" -Wno-error -Werror=implicit-function-declaration \
		-Werror=incompatible-pointer-types -Werror=int-conversion \
		-fsyntax-only "$file"
}

give_up() {
	echo "$0: $*" >&2
	exit 1
}

[ -d "$probes" ] || give_up "$probes: no such directory"

try "$probes/sane.c" "$@" >&2 ||
	give_up "$probes/sane.c does not compile: is the kernel tree complete?"
! try "$probes/sane.c" "$@" -DPROBE_OLD 2>/dev/null ||
	give_up "$probes/sane.c compiles with a mistake in it: the flags hide errors"

echo '/* SPDX-License-Identifier: GPL-2.0 */'
for probe in "$probes"/*.c; do
	[ "$probe" != "$probes/sane.c" ] || continue
	name=$(basename "$probe" .c)
	new=no
	old=no
	! try "$probe" "$@" 2>/dev/null || new=yes
	! try "$probe" "$@" -DPROBE_OLD 2>/dev/null || old=yes
	case $new:$old in
	yes:no) ;;
	no:yes)
		echo "#define COMPAT_OLD_$(echo "$name" | tr '[:lower:]' '[:upper:]')" ;;
	*)
		try "$probe" "$@" >&2 || :
		give_up "$probe: new form compiles: $new, old form: $old" ;;
	esac
done
