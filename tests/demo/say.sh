# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# How the demonstration speaks, in colour on a terminal. Sourced.
if [ -t 1 ] || [ -n "${KBROKER_DEMO_COLOUR:-}" ]; then
	b=$'\e[1m' g=$'\e[32m' c=$'\e[36m' n=$'\e[0m'
	export KBROKER_DEMO_COLOUR=1
else
	b='' g='' c='' n=''
fi
title() { printf '\n%s%s%s\n' "$b" "$*" "$n"; }
step() { printf '\n%s== %s%s\n' "$g$b" "$*" "$n"; }
say() { printf '%s\n' "$*" | sed 's/^/    /'; }
# show COMMAND LINE: say it, then run it
show()
{
	printf '    %s$ %s%s\n' "$c" "$1" "$n"
	bash -c "set -o pipefail; $1" 2>&1 | sed 's/^/    /'
	return "${PIPESTATUS[0]}"
}
