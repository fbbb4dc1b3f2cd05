#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The module loads, unloads and loads again, and is held only while in use.
. "$(dirname "$0")/lib.sh"

# its KASAN keeps the shadow of a module that is gone
[ -z "${KBROKER_SELFTEST_UML:-}" ] || skip_all "a user-mode kernel with KASAN cannot load a module twice"

broker_start
topic_create t --partitions 2
echo one >/dev/kbroker/t/0

check_fails "rmmod is refused while a broker runs" "in use|busy" rmmod kbroker
kbroker module >"$T_TMP/module" 2>&1
check "the command says which broker holds the module" grep -q "$T_DIR" "$T_TMP/module"

exec 7</dev/kbroker/t/0
read -r line <&7
check_equal "a record is read" "$line" one
check "the broker stops while a device is open" kbroker broker stop
check_fails "rmmod is refused while a device is open" "in use|busy" rmmod kbroker
exec 7<&-
check "rmmod works once it is closed" wait_for 60 rmmod kbroker
check "modprobe loads it again" modprobe kbroker
kbroker broker start --dir "$T_DIR" >/dev/null 2>&1
check_equal "what was written is there" "$(timeout 60 head -n 1 /dev/kbroker/t/0)" one
kbroker broker stop

failed=0 rounds=${KBROKER_RELOAD_ROUNDS:-5}
for i in $(seq $rounds); do
	kbroker broker start --dir "$T_DIR" >"$T_TMP/out" 2>&1 || { failed=1; diag "start $i: $(cat "$T_TMP/out")"; break; }
	echo "$i" >/dev/kbroker/t/1 || { failed=1; diag "write $i"; break; }
	kbroker broker stop >"$T_TMP/out" 2>&1 || { failed=1; diag "stop $i: $(cat "$T_TMP/out")"; break; }
	rmmod kbroker || { failed=1; diag "rmmod $i"; break; }
	modprobe kbroker || { failed=1; diag "modprobe $i"; break; }
done
check_equal "rounds of load, start, write, stop and unload" "$failed" 0
kbroker broker start --dir "$T_DIR" >/dev/null 2>&1
check_equal "every round's record is there, in order" "$(timeout 60 head -n $rounds /dev/kbroker/t/1 | tr '\n' ' ')" "$(seq -s ' ' $rounds) "
clean() { kbroker cluster show | grep "stopped cleanly before" | cut -f 2; }
check_equal "the broker was stopped cleanly" "$(clean)" yes
echo last >/dev/kbroker/t/0
check "it stops as if it had died" kbroker broker stop --crash
kbroker broker start --dir "$T_DIR" >/dev/null 2>&1
check_equal "which its next start sees" "$(clean)" no
check_equal "what was acknowledged is there" "$(timeout 60 head -n 2 /dev/kbroker/t/0 | tail -n 1)" last
check_equal "nothing is left mounted after a stop" \
	"$(kbroker broker stop >/dev/null 2>&1; grep -c ' /dev/kbroker ' /proc/mounts)" 0
done_testing
