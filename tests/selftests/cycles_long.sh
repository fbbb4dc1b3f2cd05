#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 900
# long
# Fifty times in one go: start, write, read, stop, with readers that wait while
# the broker stops. kmemleak finds nothing afterwards. reload.sh is the same
# with the module loaded and unloaded, on kernels that have no kmemleak.
. "$(dirname "$0")/lib.sh"

leaks=/sys/kernel/debug/kmemleak
[ -w $leaks ] || skip_all "this kernel has no kmemleak"

# one NUMBER: a cycle with a bit of everything
one()
{
	kbroker broker start --dir "$T_DIR" >"$T_TMP/out" 2>&1 || return
	[ "$1" != 1 ] || kbroker topic create t --partitions 3 >/dev/null || return
	kbroker topic create "once-$1" --partitions 2 >/dev/null || return
	echo "$1" >/dev/kbroker/t/0 || return
	cat /dev/kbroker/t/0 >"$T_TMP/read" &
	cat /dev/kbroker/t/all >/dev/null &
	kbroker produce t --partition 1 --compression gzip <"$T_DIR/meta.properties" >/dev/null 2>&1 || return
	kbroker consume t --exit >/dev/null || return
	kbroker topic delete "once-$1" >/dev/null || return
	wait_for 60 grep -qx "$1" "$T_TMP/read" || return
	kbroker broker stop >"$T_TMP/out" 2>&1 || return
	wait
}

mkdir -p "$T_DIR"
at_end "kbroker broker stop --all; rm -rf $T_DIR"
echo clear >$leaks
cycles=50
for ((i = 1; i <= cycles; i++)); do
	one $i || { sed 's/^/# /' "$T_TMP/out"; break; }
done
check_equal "start, write, read, stop" "$((i - 1))" $cycles
# twice, and later: kmemleak looks at nothing that is younger than five seconds
echo scan >$leaks
sleep 6
echo scan >$leaks
check_equal "kmemleak finds nothing" "$(cat $leaks)" ""
kbroker broker start --dir "$T_DIR" >/dev/null 2>&1
check_equal "every cycle's record is there, in order" "$(timeout 60 head -n $cycles /dev/kbroker/t/0 | tr '\n' ' ')" "$(seq -s ' ' $cycles) "
done_testing
