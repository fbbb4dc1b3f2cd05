#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
# The command's listeners and connections: added with a start and later, shown
# for people and programs, closed; what is refused, in words, with the right
# exit status.
. "$(dirname "$0")/lib.sh"

# status WANTED NAME COMMAND...: exit status
status()
{
	local wanted=$1 name=$2 got=0

	shift 2
	"$@" >"$T_TMP/out" 2>&1 || got=$?
	[ $got = "$wanted" ] || diag "$(head -n 5 "$T_TMP/out")"
	check_equal "$name: exit $wanted" $got "$wanted"
}

# fields KEY... <JSON array: the values of each object, a line each
fields() { python3 -c 'import json, sys
for d in json.load(sys.stdin):
    print(*(d.get(key, "-") for key in sys.argv[1:]))' "$@"; }

# connect FD PORT: a connection of the shell's
connect() { eval "exec $1<>/dev/tcp/127.0.0.1/$2"; }

# --- no broker -----------------------------------------------------------------
status 1 "a listener without a broker" kbroker listener add 127.0.0.1:9092
check_fails "listener list says so, too" "no broker" kbroker listener list
check_fails "and connection list" "no broker" kbroker connection list
mkdir -p "$T_DIR"
check_fails "a start whose address can't be had fails" "203.0.113.1:9092 is no address of this" \
	kbroker broker start --dir "$T_DIR" --listener 127.0.0.1:9092 --listener 203.0.113.1:9092
status 2 "nor with one that is none" kbroker broker start --dir "$T_DIR" --listener 127.0.0.1:port
status 2 "nor a port beyond all" kbroker broker start --dir "$T_DIR" --listener 127.0.0.1:65536
status 2 "nor another protocol" kbroker broker start --dir "$T_DIR" --listener SSL://127.0.0.1:9092
status 2 "what is advertised needs a host" kbroker broker start --dir "$T_DIR" --listener 127.0.0.1:9092 --advertised-listener :9092
check_equal "no broker was left behind" "$(kbroker broker list --json | tr -d '[:space:]')" "[]"

# --- with a start --------------------------------------------------------------
broker_start --listener 127.0.0.1:9092 --advertised-listener broker.example:19092 --listener PLAINTEXT://127.0.0.1:9093
check_equal "a start's listeners" \
	"$(kbroker listener list --json | fields listener address port advertised_host advertised_port connections)" \
	"1 127.0.0.1 9092 broker.example 19092 0
2 127.0.0.1 9093 - - 0"
check_equal "a table for people" "$(kbroker listener list | tr '\t' ' ' | tail -n 2)" "1 127.0.0.1:9092 broker.example:19092 root 0 0 0 0
2 127.0.0.1:9093 - root 0 0 0 0"

# --- later ---------------------------------------------------------------------
kbroker monitor --json >"$T_TMP/events" 2>&1 &
check "a monitor begins with those there are" wait_for 60 grep -q 'broker.example' "$T_TMP/events"
check_fails "an address twice" "127.0.0.1:9092 is in use" kbroker listener add 127.0.0.1:9092
status 1 "it is refused by the kernel" kbroker listener add 127.0.0.1:9092
check_equal "a port of the kernel's choice is told" "$(kbroker --json listener add 127.0.0.1:0 |
	python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["listener"], d["port"] > 1023)')" "3 True"
check "the monitor hears of it" wait_for 60 grep -q '"listener": *3' "$T_TMP/events"
kbroker listener add 127.0.0.1:9094 --listener-user nobody >"$T_TMP/out" 2>&1
check_equal "whom its clients act as" "$(kbroker listener list --json | fields listener uid | tail -n 1)" "4 $(id -u nobody)"
check_equal "and by name" "$(kbroker listener list | cut -f 2,4 | tail -n 1 | tr '\t' ' ')" "127.0.0.1:9094 nobody"
status 2 "nobody of that name" kbroker listener add 127.0.0.1:9095 --listener-user nobody-there
check_fails "a listener that is not there" "there is no listener 77" kbroker listener del 77
status 2 "an id that is none" kbroker listener del first

# --- connections ---------------------------------------------------------------
check_equal "nobody is connected" "$(kbroker connection list --json | tr -d '[:space:]')" "[]"
connect 7 9092
connect 8 9094
check "both are listed" wait_for 60 bash -c "[ \"\$(kbroker connection list --json | grep -o '\"peer\"' | wc -l)\" = 2 ]"
check_equal "by listener" "$(kbroker connection list --json | fields connection listener requests in_flight)" "1 1 0 0
2 4 0 0"
check_equal "for people" "$(kbroker connection list | cut -f 1,2,4-7 | tr '\t' ' ' | tail -n 1)" "2 4 - - 0 0"
check "with their addresses" bash -c "kbroker connection list | cut -f 3 | tail -n 1 | grep -qE '^127\.0\.0\.1:[0-9]+\$'"
# ApiVersions, version 3, of "shell", software "bash 5"
printf '\0\0\0\x18\0\x12\0\x03\0\0\0\x01\0\x05shell\0\x05bash\x025\0' >&7
says() { kbroker connection list | cut -f 1,2,4-7,13 | tr '\t' ' ' | grep '^1 '; }
check "a client says something of itself" wait_for 60 eval '[ "$(says)" = "1 1 shell bash 5 1 0 ApiVersions:3" ]'
status 0 "one is closed" kbroker connection close 2
check_equal "its client sees the end" "$(timeout 60 cat <&8; echo $?)" 0
check "and it is gone" wait_for 60 bash -c "! kbroker connection list --json | grep -q '\"connection\": *2\b'"
check_fails "it can't be closed again" "there is no connection 2" kbroker connection close 2
check_equal "the listener has counted them" "$(kbroker listener list --json | fields listener connections accepted malformed | sed -n '1p;4p')" "1 1 1 0
4 0 1 0"
# a frame of -1 bytes
connect 9 9093
printf '\377\377\377\377' >&9
check_equal "what is no request ends its connection" "$(timeout 60 cat <&9; echo $?)" 0
check_equal "and is counted" "$(kbroker listener list --json | fields listener malformed | sed -n 2p)" "2 1"

# --- deleted -------------------------------------------------------------------
status 0 "a listener is deleted" kbroker listener del 1
check "its connections end" timeout 60 cat <&7
check "the monitor hears of it" wait_for 60 bash -c "grep -c 'listener' $T_TMP/events | grep -qv '^[0-4]\$'"
check_fails "nobody gets in there any more" "[Rr]efused" bash -c 'exec 7<>/dev/tcp/127.0.0.1/9092'
check_equal "the others stay" "$(kbroker listener list --json | fields listener)" "2
3
4"
check "the address is free again" kbroker --quiet listener add 127.0.0.1:9092
check "a stop takes all of them" kbroker broker stop
check_fails "no socket is left" "[Rr]efused" bash -c 'exec 7<>/dev/tcp/127.0.0.1/9092'
done_testing
