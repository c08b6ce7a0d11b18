# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Bash completion for vhdxctl.

_vhdxctl_columns() {
	vhdxctl list --help 2>/dev/null |
		sed -n '/^Columns:/,/^Those/s/^  \([A-Z:-]*\) .*/\1/p'
}

_vhdxctl_words() {
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$@")
}

_vhdxctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]-} before

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		_vhdxctl_words -W 'attach check compact compare convert create detach doctor dump help info list map merge mount resize set status umount --help --version' -- "$cur"
		return
	fi
	# Bash takes "--option=value" for three words.
	if [ "$cur" = = ]; then
		cur=
	elif [ "$prev" = = ]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $command:$prev in
	attach:--direct-io)
		_vhdxctl_words -W 'on off auto' -- "$cur"
		return
		;;
	detach:-w | detach:--wait | detach:--wait-unmount) return ;;
	mount:-o | mount:--options)
		before=
		[[ $cur != *,* ]] || before=${cur%,*},
		compopt -o nospace
		_vhdxctl_words -P "$before" -W 'ro vhdx.allow-parent-write vhdx.direct-io= vhdx.discard= vhdx.ignore-id-mismatch vhdx.no-replay vhdx.parent= vhdx.parent-dir= vhdx.part=' -- "${cur##*,}"
		return
		;;
	mount:-p | mount:--partition) return ;;
	attach:--discard)
		_vhdxctl_words -W 'unmap ignore' -- "$cur"
		return
		;;
	attach:--parent-dir | check:--parent-dir | compare:--parent-dir | convert:--parent-dir | info:--parent-dir | map:--parent-dir | merge:--parent-dir | resize:--parent-dir)
		compopt -o filenames
		_vhdxctl_words -d -- "$cur"
		return
		;;
	check:--repair)
		_vhdxctl_words -W 'log leaks all' -- "$cur"
		return
		;;
	doctor:--root)
		compopt -o filenames
		_vhdxctl_words -d -- "$cur"
		return
		;;
	create:-t | create:--type | convert:-t | convert:--type)
		_vhdxctl_words -W 'dynamic fixed' -- "$cur"
		return
		;;
	set:--phys-sector | create:-S | create:--sector | create:-P | create:--physical-sector | \
		convert:-S | convert:--sector | convert:-P | convert:--physical-sector)
		_vhdxctl_words -W '512 4096' -- "$cur"
		return
		;;
	compare:-f | compare:--format | compare:-F | compare:--second-format | \
		convert:-f | convert:--format | convert:-O | convert:--output-format | map:-f | map:--format)
		_vhdxctl_words -W 'raw vhd vhdx' -- "$cur"
		return
		;;
	create:-f | create:--format)
		_vhdxctl_words -W 'raw' -- "$cur"
		return
		;;
	create:-s | create:--size | create:-b | create:--block-size | create:--absolute-path | create:--log-size | \
		convert:-b | convert:--block-size | convert:--log-size) return ;;
	list:-o | list:--output)
		before=
		[[ $cur != *,* ]] || before=${cur%,*},
		compopt -o nospace
		_vhdxctl_words -P "$before" -W "$(_vhdxctl_columns)" -- "${cur##*,}"
		return
		;;
	esac
	case $command:$cur in
	attach:-*) _vhdxctl_words -W '--allow-parent-write --autoclear --direct-io --discard --id-file --ignore-id-mismatch --no-partscan --no-replay --parent --parent-dir --read-only --help' -- "$cur" ;;
	detach:-*) _vhdxctl_words -W '--all --id-file --lazy --wait --wait-unmount --help' -- "$cur" ;;
	list:-*) _vhdxctl_words -W '--bytes --json --noheadings --output --output-all --raw --help' -- "$cur" ;;
	set:-*) _vhdxctl_words -W '--dry-run --ignore-id-mismatch --parent --phys-sector --reset-disk-id --help' -- "$cur" ;;
	status:-*) _vhdxctl_words -W '--json --help' -- "$cur" ;;
	info:-*) _vhdxctl_words -W '--chain --json --parent --parent-dir --help' -- "$cur" ;;
	check:-*) _vhdxctl_words -W '--chain --dry-run --json --parent --parent-dir --quiet --repair --help' -- "$cur" ;;
	doctor:-*) _vhdxctl_words -W '--json --root --help' -- "$cur" ;;
	dump:-*) _vhdxctl_words -W '--json --help' -- "$cur" ;;
	compact:-*) _vhdxctl_words -W '--dry-run --quiet --help' -- "$cur" ;;
	compare:-*) _vhdxctl_words -W '--format --parent-dir --quiet --second-format --strict --help' -- "$cur" ;;
	convert:-*) _vhdxctl_words -W '--block-size --force --format --log-size --no-sync --output-format --parent --parent-dir --physical-sector --quiet --sector --type --verbose --help' -- "$cur" ;;
	create:-*) _vhdxctl_words -W '--absolute-path --block-size --format --from --log-size --parent --physical-sector --sector --size --type --help' -- "$cur" ;;
	mount:-*) _vhdxctl_words -W '--options --partition --read-only --help' -- "$cur" ;;
	umount:-*) _vhdxctl_words -W '--lazy --help' -- "$cur" ;;
	map:-*) _vhdxctl_words -W '--chain --format --json --noheadings --parent --parent-dir --raw --help' -- "$cur" ;;
	merge:-*) _vhdxctl_words -W '--allow-parent-write --delete --dry-run --into --parent --parent-dir --quiet --help' -- "$cur" ;;
	resize:-*) _vhdxctl_words -W '--allow-parent-write --dry-run --force --minimum --parent --parent-dir --quiet --shrink --help' -- "$cur" ;;
	help:*) _vhdxctl_words -W 'attach check compact compare convert create detach doctor dump info list map merge mount resize set status umount' -- "$cur" ;;
	detach:* | list:* | status:* | compact:* | resize:*)
		compopt -o filenames
		_vhdxctl_words -W "$(vhdxctl list --noheadings --raw -o NAME 2>/dev/null)" -- "$cur"
		_vhdxctl_words -f -- "$cur"
		;;
	dump:*)
		compopt -o filenames
		_vhdxctl_words -W 'headers regions metadata locator bat log' -- "$cur"
		_vhdxctl_words -f -- "$cur"
		;;
	umount:*)
		compopt -o filenames
		_vhdxctl_words -d -- "$cur"
		;;
	attach:* | check:* | compare:* | convert:* | create:* | info:* | map:* | merge:* | mount:* | set:*)
		compopt -o filenames
		_vhdxctl_words -f -- "$cur"
		;;
	esac
}

complete -F _vhdxctl vhdxctl
