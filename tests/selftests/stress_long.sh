#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 1200
# long
# stress.sh, for minutes and from several seeds; without restarts, too.
dir=$(dirname "$0")
n=0 bad=0
for run in "40 11 none" "60 12 restart" "60 13 restart" "60 14 restart"; do
	read -r seconds seed how <<<"$run"
	n=$((n + 1))
	if KBROKER_STRESS_SECONDS=$seconds KBROKER_STRESS_SEED=$seed KBROKER_STRESS_HOW=$how \
	   "$dir/stress.sh" >/run/stress.out 2>&1; then
		echo "ok $n - $seconds s, seed $seed, $how"
	else
		sed 's/^/# /' /run/stress.out
		echo "not ok $n - $seconds s, seed $seed, $how"
		bad=1
	fi
done
echo "1..$n"
exit $bad
