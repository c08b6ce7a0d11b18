# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Where Debian comes from: where this machine's apt has it from. Needs cache.sh.

# apt_field LINES NAME: a field of apt-get indextargets
apt_field() { sed -n "s/^$2: //p" <<<"$1" | head -n 1; }

# apt_targets CODENAME: apt's index targets that are Debian, of that archive
apt_targets() {
	apt-get indextargets 'Created-By: Packages' 'Origin: Debian' \
		'Component: main' "Codename: $1" "Architecture: $(dpkg --print-architecture)"
}

# repository LINES: where those are from; the first of a list of mirrors, which other
# programs do not know
repository() {
	local uri
	uri=$(apt_field "$1" Repo-URI)
	case $uri in
	mirror+file:*)
		uri=${uri#mirror+file:}
		uri=${uri%/}
		uri=$(grep -m 1 -oE '^[a-z]+:[^[:space:]]+' "$uri") || true
		;;
	esac
	echo "$uri"
}

# find_mirror: sets suite to this machine's own release, mirror to where apt gets
# it from, neither updates nor security, and keyring to what that is signed with;
# security_mirror is empty where apt has none.
# shellcheck disable=SC2034 # they are for who sources this
find_mirror() {
	local targets entry file
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	targets=$(apt_targets "$suite")
	[ -n "$targets" ] || die "apt has no list of $suite's main archive (apt-get update?)"
	mirror=$(repository "$targets")
	entry=$(apt_field "$targets" Sourcesentry)
	security_mirror=$(repository "$(apt_targets "$suite-security")")
	keyring=
	while read -r file; do
		[ ! -r "$file" ] || [ -n "$keyring" ] || keyring=$file
	done < <(grep -ioE 'signed-by[:=] *[^] ]+' "${entry%:*}" | sed 's/^[^:=]*[:=] *//')
	keyring=${keyring:-/usr/share/keyrings/debian-archive-keyring.gpg}
}

# use_proxy: has what is run from here on take apt's proxy
use_proxy() {
	local proxy=
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	[ -z "$proxy" ] || export http_proxy=$proxy
}
