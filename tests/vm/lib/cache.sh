# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The cache of slow things: kernels and the root file system. An entry is a
# folder whose name says what is in it (version and hash of what it was made
# from); it is made aside and renamed into place, so an entry that exists is whole.

CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vhdx-linux

say() { echo "${0##*/}: $*" >&2; }
die() { say "$@"; exit 123; }

# plain PATH: what QEMU and kbuild take
plain() {
	case $1 in *[[:space:],]*) die "$1: no blanks and commas in its path, please" ;; esac
}
plain "$CACHE"

# What apt says is read here, and what is made is for others as well.
export LC_ALL=C.UTF-8
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

# shell_quote STRING: as one word for eval
shell_quote() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }

# hash_of: short hash of standard input
hash_of() { sha256sum | cut -c1-12; }

# cache_entry NAME COMMAND...: prints the entry's folder; if there is none, makes
# it with COMMAND... DIR (DIR: an empty folder that becomes the entry). Two that
# want the same entry at once: one makes it, the other waits.
cache_entry() {
	local entry=$CACHE/$1 status
	shift
	if [ ! -d "$entry" ]; then
		mkdir -p "$CACHE"
		# no "||" here: it would switch set -e off for all that is called
		set +e
		(
			set -e
			if ! flock -n 9; then
				say "waiting for another run that makes $entry"
				flock 9
			fi
			[ ! -d "$entry" ] || exit 0
			tmp=$(mktemp -d "$entry.XXXXXX")
			trap 'rm -rf "$tmp"' EXIT
			trap 'exit 129' HUP
			trap 'exit 130' INT
			trap 'exit 143' TERM
			chmod 755 "$tmp"
			"$@" "$tmp" 9>&- >&2
			mv -T "$tmp" "$entry"
			trap - EXIT
			# what nothing has used for long: whoever uses an entry touches it
			find "$CACHE" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
		) 9>"$entry.lock"
		status=$?
		set -e
		[ "$status" = 0 ] || die "cannot make $entry"
	fi
	echo "$entry"
}

# lists_stamp: changes when apt's package lists do
lists_stamp() {
	local lists
	eval "$(apt-config shell lists Dir::State::lists/d)"
	# shellcheck disable=SC2154 # set by the eval
	stat -c '%Y %n' "$lists" /etc/apt/sources.list* /etc/apt/sources.list.d/* 2>/dev/null | hash_of
}

# fetch DIR PACKAGE...: downloads packages, installs nothing
fetch() (
	cd "$1" || die "cannot enter $1"
	shift
	apt-get -qq -o APT::Sandbox::User=root download "$@" ||
		die "apt-get download $* failed; are the package lists fresh (apt-get update)?"
)
