# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# A chain that is written to at each level, against a raw copy: source it after
# disk.sh, with the path of the copy in raw, and in ops how much is written.
: "${raw:?}" "${ops:?}"

hashes() { sha256sum -- "$@"; }

# same_data DISK RAW
same_data() {
	python3 "$VM_LIB/same_data.py" "$1" "$2" 2>/tmp/err
}

# written NAME SEED IMAGE HOW [OPTION]...: HOW may a discard leave what was there
written() {
	name=$1 seed=$2 image=$3 how=$4
	shift 4
	attach "$image" "$@"
	ok "$name: attaches" $?
	[ "$(cat "/sys/block/$disk/queue/discard_max_bytes")" -gt 0 ] || how=
	# shellcheck disable=SC2086 # a word or none
	python3 "$VM_LIB/mix.py" "$seed" "$ops" "$dev" "$raw" $how 2>/tmp/err
	ok "$name: each operation reads back" $?
	detach
	ok "$name: detaches" $?
}

# Leaves the images in chain/, and what each of them shows in base.raw, child.raw
# and $raw.
# chain NAME SIZE-MIB SEED BLOCK-OF-CHILD BLOCK-OF-GRANDCHILD SECTOR [OPTION]...
chain() {
	chain=$1 mib=$2 first=$3 child=$4 grandchild=$5 sector=$6
	shift 6
	rm -rf chain
	mkdir chain
	vhdxctl create -s "${mib}M" -b 1M -S "$sector" chain/base.vhdx >/tmp/err 2>&1
	ok "$chain: a base" $?
	rm -f "$raw"
	truncate -s "${mib}M" "$raw"
	written "$chain, base" "$first" chain/base.vhdx discard "$@"
	cp --sparse=always "$raw" base.raw
	# There are readers that look at no other path.
	vhdxctl create --parent chain/base.vhdx --absolute-path 'C:\vm\base.vhdx' -b "$child" \
		chain/child.avhdx >/tmp/err 2>&1
	ok "$chain: a child" $?
	base=$(hashes chain/base.vhdx)
	written "$chain, child" $((first + 1)) chain/child.avhdx hint "$@"
	cp --sparse=always "$raw" child.raw
	vhdxctl create --parent chain/child.avhdx --absolute-path 'C:\vm\child.avhdx' -b "$grandchild" \
		chain/top.avhdx >/tmp/err 2>&1
	ok "$chain: a grandchild" $?
	below=$(hashes chain/base.vhdx chain/child.avhdx)
	written "$chain, grandchild" $((first + 2)) chain/top.avhdx hint "$@"
	# And once more, on what is partially there.
	written "$chain, grandchild again" $((first + 3)) chain/top.avhdx hint "$@"
	[ "$(hashes chain/base.vhdx)" = "$base" ] &&
		[ "$(hashes chain/base.vhdx chain/child.avhdx)" = "$below" ]
	ok "$chain: the parents are as they were" $?
	attach chain/top.avhdx -r && same_data "$dev" "$raw"
	ok "$chain: all of it, attached again" $?
	detach
	attach chain/child.avhdx -r && same_data "$dev" child.raw
	ok "$chain: the child by itself" $?
	detach
}
