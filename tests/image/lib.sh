# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the scripts here share: to be read with $top set, by a script that then is in
# an empty folder, with the tests' own programs in its path.

: "${top:?}"
make -s -C "$top" build/mkvhdx build/vhdxcat >&2 || exit 1
PATH=$top/build:$top/tests/image:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# shellcheck source=tests/vm/lib/guest/tap.sh
. "$top/tests/vm/lib/guest/tap.sh"
# shellcheck source=tests/quick.sh
. "$top/tests/quick.sh"
# The search for leaks is most of the time of a small program.
thorough || export ASAN_OPTIONS=detect_leaks=0

why() {
	cat err
}
