# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the tests of vhdxctl share: to be read with $top set, by a script that then
# is in an empty folder with the tool in it. VHDXCTL names another build of the
# tool than the one under the sanitizers.

: "${top:?}"
if [ -z "${VHDXCTL-}" ]; then
	make -s -C "$top" build/vhdxctl-asan >&2 || exit 1
	VHDXCTL=$top/build/vhdxctl-asan
fi
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Others than root look into it too.
chmod 755 "$work"
cp "$VHDXCTL" "$work/vhdxctl"
cd "$work" || exit 1
unset LC_CTYPE LANG
export LC_ALL=C.UTF-8
# A finding of the sanitizers is none of the tool's own exit codes.
export ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=exitcode=99:print_stacktrace=1

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$top/tests/vm/lib/guest/tap.sh"
# shellcheck source=tests/quick.sh
. "$top/tests/quick.sh"

why() {
	echo "exit code ${rc-}, stdout:"
	head -n 20 out
	echo "stderr:"
	head -n 20 err
}

ctl() {
	timeout 60 ./vhdxctl "$@" >out 2>err
	rc=$?
}

# The message is one line, with one line of hint at most.
one_message() {
	[ "$(wc -l <err)" -le 2 ] && head -n 1 err | grep -q '^vhdxctl: ' &&
		! tail -n +2 err | grep -qv '^hint: '
}

# fails NAME CODE PATTERN ARG...: the exit code, and a message that matches
fails() {
	fails_name=$1 fails_code=$2 fails_pattern=$3
	shift 3
	ctl "$@"
	[ "$rc" = "$fails_code" ] && [ ! -s out ] && one_message &&
		grep -qE -- "$fails_pattern" err
	ok "$fails_name" $?
}

# passes NAME PATTERN ARG...: exit code 0, nothing on stderr, matching output
passes() {
	passes_name=$1 passes_pattern=$2
	shift 2
	ctl "$@"
	[ "$rc" = 0 ] && [ ! -s err ] && grep -qE -- "$passes_pattern" out
	ok "$passes_name" $?
}

# json NAME EXPRESSION ARG...: the output is JSON, for which that is true
json() {
	json_name=$1 json_expression=$2
	shift 2
	ctl "$@"
	[ "$rc" = 0 ] && [ ! -s err ] && python3 - "$json_expression" <<-'PY'
		import json, sys
		j = json.load(open('out', encoding='utf-8'))
		assert j['schema'] == 1
		sys.exit(not eval('(%s)' % sys.argv[1]))
	PY
	ok "$json_name" $?
}

# noise SEED KIB: bytes that do not compress, and are the same each time
noise() {
	python3 -c 'import random, sys
r = random.Random(int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    sys.stdout.buffer.write(r.randbytes(1024))' "$1" "$2"
}

# poke FILE OFFSET BYTES: overwrites bytes, in printf's notation
poke() {
	# shellcheck disable=SC2059 # it is a format
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# qemu_has OPTION FILE: qemu-io opens it and keeps it open, until qemu_lets_go
qemu_has() {
	rm -f commands answers
	mkfifo commands answers
	# shellcheck disable=SC2086 # maybe none
	qemu-io $1 -f vhdx "$2" <commands >answers 2>&1 &
	qemu=$!
	exec 3>commands 4<answers
	echo 'length' >&3
	head -n 1 <&4 >/dev/null
}
qemu_lets_go() {
	exec 3>&- 4<&-
	wait $qemu
}
