#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What vhdxctl says of itself: its help, the manual pages, what bash completes, and
# that these say the same. Prints TAP.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/tool/lib.sh
. "$top/tests/tool/lib.sh"

pages=$top/tools/man
completion=$top/tools/vhdxctl/vhdxctl.bash

# --- help -----------------------------------------------------------------------

passes '--version says the version' "^vhdxctl $(cat "$top/VERSION")\$" --version
passes '-V too' '^vhdxctl ' -V
passes '-h shows the usage' '^Usage: vhdxctl ' -h
passes 'help too' '^Usage: vhdxctl COMMAND' help
fails 'help of an unknown command' 64 'nosuch: unknown command' help nosuch
passes '--help lists the commands' '^  attach +' --help
sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' out >commands
for source in "$top"/tools/vhdxctl/cmd_*.c; do
	source=${source##*/cmd_}
	grep -qx "${source%.c}" commands
	ok "among them is ${source%.c}" $?
done
! grep -nE '.{81}' out >err
ok 'all of it fits a terminal' $?
while read -r command; do
	passes "$command --help" "^Usage: vhdxctl $command " "$command" --help
	! grep -nE '.{81}' out >err
	ok "$command --help fits a terminal" $?
	passes "help $command" "^Usage: vhdxctl $command " help "$command"
	fails "$command with an unknown option" 64 "'--frob'" "$command" --frob
	fails "$command with an unknown letter" 64 "'Z'" "$command" -Z
done <commands

# --- manual pages -----------------------------------------------------------------

# plain PAGE: without roff's escapes
plain() {
	sed 's/\\-/-/g; s/ Ns = Ns / /g' "$1"
}

# The long options of a help text, or of a page's list of them, and the letters that
# stand for one.
help_options() {
	sed -nE 's/^ +((-[a-zA-Z], )?--[a-z-]+).*/\1/p' "$1" | sed 's/^-[a-zA-Z], //; /^--help$/d' | sort
}
page_options() {
	plain "$1" | grep '^\.It Fl ' | grep -oE 'Fl -[a-z-]+' | sed 's/Fl /-/' | sort
}
help_letters() {
	sed -nE 's/^  (-[a-zA-Z]), (--[a-z-]+).*/\1 \2/p' "$1" | grep -v -- --help | sort
}
page_letters() {
	plain "$1" | grep '^\.It Fl ' | grep -oE 'Fl [a-zA-Z]( Ar [A-Z]+)? , Fl -[a-z-]+' |
		sed -E 's/Fl ([a-zA-Z]).*Fl /-\1 -/' | sort
}

while read -r command; do
	page=$pages/vhdxctl-$command.8
	ctl "$command" --help
	summary=$(sed -n '2s/\.$//p' out)
	[ "$(sed -n 's/^\.Nd //p' "$page")" = "$(echo "$summary" | sed 's/^./\L&/')" ]
	ok "$command: the page is of what the help says" $?
	[ "$(grep -A1 -x "\.It Xr vhdxctl-$command 8" "$pages/vhdxctl.8" | tail -n 1)" = "$summary." ]
	ok "$command: vhdxctl(8) leads there, with the same words" $?
	help_options out >options
	page_options "$page" | diff options - >err
	ok "$command: help and page have the same options" $?
	help_letters out >letters
	page_letters "$page" | diff letters - >err
	ok "$command: and the same letters for them" $?
	grep "^	$command:-\*)" "$completion" | grep -oE -- '--[a-z-]+' | grep -vx -- --help | sort | diff options - >err
	ok "$command: so has the completion" $?
done <commands
for page in "$pages"/vhdxctl-*.8; do
	page=${page##*/vhdxctl-}
	grep -qx "${page%.8}" commands
	ok "${page%.8}, which has a page, is a command" $?
done
for page in "$pages"/*; do
	sed -nE 's/^\.(It )?Xr ([a-z.-]*vhdx[a-z-]*) ([1-9]).*/\2.\3/p' "$page" | while read -r other; do
		[ -e "$pages/$other" ] || echo "no $other"
	done >out
	[ ! -s out ]
	ok "${page##*/} leads to pages that there are" $?
done

# --- what README.md and the pages show ------------------------------------------------

# Command lines, without what stands beside them: a command that there is, and
# options that it has.
for page in "$top/README.md" "$pages"/*; do
	sed -nE 's/^( {4})?([#$] )?(vhdxctl .*)/\3/p' "$page" | sed 's/    .*//' >lines
	while read -r _ command words; do
		case $command in --*) continue ;; esac
		ctl "$command" --help
		for word in $words; do
			case $word in
			--*) grep -qE -- "^ .* ${word%%=*}([ =]|\$)" out || rc=1 ;;
			-?) grep -qE -- "^  $word, " out || rc=1 ;;
			esac
		done
		[ "$rc" = 0 ]
		ok "${page##*/}: vhdxctl $command $words" $?
	done <lines
done

# --- the page on a terminal -----------------------------------------------------------

on_terminal() {
	python3 -c 'import pty, sys
sys.exit(pty.spawn(sys.argv[1:]) >> 8)' "$@" </dev/null >out 2>err
	rc=$?
}
mkdir bin
cat >bin/man <<'SH'
#!/bin/sh
echo "man $*"
case $* in
'-w 8 vhdxctl-detach' | '8 vhdxctl-detach') ;;
*) echo "No manual entry" >&2; exit 16 ;;
esac
SH
chmod +x bin/man
on_terminal env PATH="bin:$PATH" ./vhdxctl help detach
[ "$rc" = 0 ] && [ "$(tr -d '\r' <out)" = 'man 8 vhdxctl-detach' ]
ok 'help on a terminal opens the manual page' $?
on_terminal env PATH="bin:$PATH" ./vhdxctl help attach
[ "$rc" = 0 ] && head -n 1 out | grep -q '^Usage: vhdxctl attach '
ok 'without that page it shows the usage, and only that' $?
on_terminal "$(command -v env)" PATH=/nowhere ./vhdxctl help detach
[ "$rc" = 0 ] && head -n 1 out | grep -q '^Usage: vhdxctl detach '
ok 'so it does without man' $?
if command -v man >/dev/null; then
	mkdir -p share/man/man8
	cp "$pages"/*.8 share/man/man8/
	every 6 <commands >some
	while read -r command; do
		on_terminal env MANPATH="$work/share/man" MANPAGER=cat TERM=dumb MANWIDTH=80 ./vhdxctl help "$command"
		[ "$rc" = 0 ] && grep -qi "^VHDXCTL-$command(8)" out
		ok "help $command on a terminal" $?
	done <some
else
	skip 'help on a terminal with the real man' 'no man'
fi

# --- completion -----------------------------------------------------------------------

# What is attached, as far as the completion asks.
mkdir disks
cat >disks/vhdxctl <<'SH'
#!/bin/sh
case $* in
'list --noheadings --raw -o NAME') printf '%s\n' /dev/vhdx0 /dev/vhdx12 ;;
*) exec "$VHDXCTL" "$@" ;;
esac
SH
chmod +x disks/vhdxctl
mkdir images
: >images/disk.vhdx
: >images/disk.avhdx
: >'images/with blank.vhdx'
mkdir images/dir

# completes NAME EXPECTED WORD...: what bash offers for the last word
completes() {
	completes_name=$1 completes_expected=$2
	shift 2
	rc=0
	# shellcheck disable=SC2016 # for bash to expand
	(cd images && PATH=$work/disks:$PATH VHDXCTL=$work/vhdxctl bash -c '. "$0"; COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		compopt() { :; }; _vhdxctl; printf "%s\n" "${COMPREPLY[@]}"' "$completion" "$@") >out 2>err
	[ ! -s err ] && [ "$(sort out | tr '\n' ' ')" = "$completes_expected " ]
	ok "completion of $completes_name" $?
}
# all FILE...: their lines as completes wants them
all() {
	sort "$@" | tr '\n' ' ' | sed 's/ $//'
}
completes 'a command' 'attach' vhdxctl att
printf '%s\n' help --help --version | cat commands - >words
completes 'all commands' "$(all words)" vhdxctl ''
completes 'the commands that help knows' "$(all commands)" vhdxctl help ''
completes 'an option' '--json' vhdxctl info --j
completes 'the value of an option' 'off on' vhdxctl attach --direct-io o
completes 'a value behind =' 'ignore' vhdxctl attach --discard = i
completes 'a type' 'dynamic fixed' vhdxctl create -t ''
completes 'an option of mount' 'noatime,vhdx.parent-dir= noatime,vhdx.parent= noatime,vhdx.part=' \
	vhdxctl mount -o noatime,vhdx.pa
completes 'a column' 'BACK-FILE BACK-INO BACK-MAJ:MIN' vhdxctl list -o BACK
completes 'a second column' 'NAME,SIZE' vhdxctl list -o NAME,SI
./vhdxctl list --help | sed -n '/^Columns:/,/^Those/s/^  \([^ ]*\) .*/\1/p' >columns
completes 'all columns' "$(all columns)" vhdxctl list -o ''
for command in attach info check create convert map merge mount set; do
	completes "an image for $command" 'disk.avhdx disk.vhdx' vhdxctl "$command" disk
done
completes 'an image with a blank in its name' 'with blank.vhdx' vhdxctl attach wi
completes 'what is a folder too' 'dir disk.avhdx disk.vhdx' vhdxctl attach di
completes 'a folder alone' 'dir' vhdxctl attach --parent-dir di
completes 'a device' '/dev/vhdx0 /dev/vhdx12' vhdxctl detach /dev/vhdx
completes 'one device' '/dev/vhdx12' vhdxctl status /dev/vhdx1
completes 'a device by an image' 'disk.avhdx disk.vhdx' vhdxctl compact disk
# shellcheck disable=SC2016 # for bash to expand
bash --norc -c '. "$0"; complete -p vhdxctl' "$completion" >out 2>err
grep -qx 'complete -F _vhdxctl vhdxctl' out
ok 'bash takes it for vhdxctl' $?

finish
