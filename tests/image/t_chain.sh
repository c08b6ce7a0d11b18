#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Chains of differencing images, drawn from seeds: the layers, the second reader
# and, where it reads such images, 7zz show what was put into them. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/image/lib.sh
. "$top/tests/image/lib.sh"

# parents_of LEVEL: the options that name them, the nearest first
parents_of() {
	parent=$1
	while [ "$parent" -gt 0 ]; do
		parent=$((parent - 1))
		printf ' -p %s.vhdx' $parent
	done
}

# look NAME LEVEL OPTION...: an image of the chain that lies here
# shellcheck disable=SC2046 # options are words
look() {
	name=$1 level=$2
	shift 2
	rm -f ours.raw "$level.vhdx.raw"
	vhdxcat $(parents_of "$level") "$level.vhdx" ours.raw 2>err &&
		mkvhdx "$@" --level "$level" --verify ours.raw 2>>err
	ok "$name" $?
	replay.py $(parents_of "$level") "$level.vhdx" >err 2>&1 &&
		mkvhdx "$@" --level "$level" --verify "$level.vhdx.raw" 2>>err
	ok "$name, to the second reader" $?
}

# chain SEED PARENTS OPTION...
chain() {
	seed=$1 parents=$2
	shift 2
	mkvhdx --chain "$parents" --seed "$seed" "$@" .
	for level in $(printf "%s\n" 1 "$parents" | sort -un); do
		look "seed $seed $*: $level of $parents" "$level" --chain "$parents" --seed "$seed" "$@"
	done
	case " $* " in *' --plain '*) ;; *) return ;; esac
	7zz x -so -tvhdx "$parents.vhdx" 2>err | cmp - ours.raw >>err 2>&1
	ok "seed $seed $*: $parents of $parents, to 7zz" $?
}

for seed in $(some 3 1 2 3 4 5 6); do
	chain "$seed" $((1 + seed % 4)) --size 24M
done
chain 7 2 --size 24M --sector 4096
chain 8 3 --size 24M --sector 4096
chain 9 2 --size 9G
chain 10 1 --size 40G --sector 4096
chain 11 64 --size 12M
for seed in $(some 2 21 22 23 24 25 26); do
	chain "$seed" $((1 + seed % 3)) --size 24M --plain
done
chain 27 2 --size 24M --plain --sector 4096
# 7zz writes all of it.
! thorough || chain 28 1 --size 5G --plain

# Nobody takes another's parent.
mkvhdx --chain 2 --seed 1 .
! vhdxcat -p 0.vhdx 2.vhdx 0 512 >out 2>err && grep -q 'parent_linkage' err
ok 'a parent that is not the one, to the layers' $?
replay.py -p 0.vhdx 2.vhdx >err 2>&1
[ $? = 1 ] && grep -q 'not the one' err
ok 'a parent that is not the one, to the second reader' $?

finish
