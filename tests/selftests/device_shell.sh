#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
# Shells and everyday commands on the devices: P5, L1, L3, L5 of the ABI text.
. "$(dirname "$0")/lib.sh"

D=/dev/kbroker
broker_start
topic_create t --partitions 1
printf 'first line\nsecond  line\n\nlast\n' >$D/t/0

for shell in bash dash "busybox sh"; do
	command -v "${shell%% *}" >/dev/null || { skip "P5: while read in $shell" "not installed"; continue; }
	# shellcheck disable=SC2016,SC2086 # the inner shell expands it; two words are meant
	check_equal "P5: while read in $shell" "$(timeout 60 $shell -c '
		while read -r l; do
			echo "<$l>"
			[ "$l" = last ] && break
		done <'$D/t/0)" "<first line>
<second  line>
<>
<last>"
	# shellcheck disable=SC2016,SC2086
	check_equal "P5: read twice from one open in $shell" "$(timeout 60 $shell -c '
		exec 3<'$D/t/0'
		read -r a <&3; read -r b <&3; echo "$a,$b"')" "first line,second  line"
	# shellcheck disable=SC2016,SC2086
	check "P5: echo in $shell" timeout 60 $shell -c 'echo "from a shell" >'$D/t/0'; printf "no newline" >>'$D/t/0
done
check_equal "L1, L5: what they wrote" "$(timeout 60 head -n 10 $D/t/0 | tail -n 6 | sort | uniq -c | awk '{$1=$1};1')" \
"$(printf '3 from a shell\n3 no newline')"

topic_create c --partitions 1
seq 1 20000 >"$T_TMP/seq"
check "cat to the device" bash -c "cat $T_TMP/seq >$D/c/0"
check "cat from the device, as far as it goes" bash -c "timeout 60 head -n 20000 $D/c/0 | cmp - $T_TMP/seq"
check "cp to the device" cp "$T_TMP/seq" $D/c/0
check "dd to the device" dd if="$T_TMP/seq" of=$D/c/0 bs=1000 status=none
check "tee to the device" bash -c "tee $D/c/0 <$T_TMP/seq >/dev/null"
check_equal "all of it is there" "$(timeout 60 head -n 80000 $D/c/0 | sort | uniq -c | awk '{print $1}' | sort -u)" 4
check_equal "grep -m" "$(timeout 60 grep -m 1 '^777$' $D/c/0)" 777
check_equal "sed q" "$(timeout 60 sed -n '5{p;q}' $D/c/0)" 5
check_equal "awk" "$(timeout 60 awk 'NR == 100 { print; exit }' $D/c/0)" 100

# cat follows like tail -f
topic_create f --partitions 1
cat $D/f/0 >"$T_TMP/followed" &
echo one >$D/f/0
check "cat follows" wait_for 60 grep -q one "$T_TMP/followed"
echo two >$D/f/0
check "and goes on" wait_for 60 grep -q two "$T_TMP/followed"
check_equal "nothing is there twice" "$(wc -l <"$T_TMP/followed")" 2
kbroker topic delete f >/dev/null
check "P12: until the topic is deleted" wait

# one open, many writers
topic_create m --partitions 1
(for i in 1 2 3 4 5; do (for j in $(seq 50); do echo "$i $j"; done) & done; wait) >$D/m/0
check_equal "L3: children that share one open do not mix lines" \
	"$(timeout 60 head -n 250 $D/m/0 | grep -c -E '^[1-5] [0-9]+$')" 250
done_testing
