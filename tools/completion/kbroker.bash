# SPDX-License-Identifier: GPL-2.0-only
# bash completion for kbroker(8); the words come from the command itself

_kbroker()
{
	local line

	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:file)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
			return
			;;
		:dir)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -d -- "${COMP_WORDS[COMP_CWORD]}")
			return
			;;
		*)
			COMPREPLY+=("$line")
			;;
		esac
	done < <("${COMP_WORDS[0]}" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}

complete -F _kbroker kbroker
