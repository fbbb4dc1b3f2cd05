#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
# The command's administration: brokers, topics, partitions, operations,
# events; what is refused, in words, with the right exit status.
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

# json EXPRESSION COMMAND...: a python expression over the document d; one
# interpreter for all of them, since its start takes half a second
coproc JSON { exec python3 -u -c '
import json, sys
for expression in sys.stdin:
    try:
        with open(sys.argv[1], encoding="utf-8") as text:
            d = json.load(text)
        eval(f"print({expression.strip()})")
    except Exception as error:
        print(repr(error))
' "$T_TMP/json"; }
exec 5>&"${JSON[1]}" 6<&"${JSON[0]}"
json()
{
	local expr=$1 answer

	shift
	"$@" >"$T_TMP/json" 2>"$T_TMP/err"
	printf '%s\n' "$expr" >&5
	IFS= read -r answer <&6
	printf '%s\n' "$answer"
}

# --- no broker -----------------------------------------------------------------
kbroker broker stop --all >/dev/null 2>&1
status 1 "a topic without a broker" kbroker topic create t
status 1 "stopping none" kbroker broker stop
check_fails "topic list says so, too" "no broker" kbroker topic list
check_fails "and partition list" "no broker" kbroker partition list
check_equal "neither prints an empty table" "$(kbroker topic list 2>/dev/null; kbroker partition list 2>/dev/null)" ""
check_equal "broker list is empty" "$(json 'len(d)' kbroker broker list --json)" 0
check_fails "a directory that is not there" "is not there" kbroker broker start --dir /var/lib/kbroker/none
status 2 "no directory" kbroker broker start
status 2 "a bad name" kbroker broker start --dir /var/lib/kbroker --name a/b
status 2 "a bad mode" kbroker broker start --dir /var/lib/kbroker --mode 999
status 2 "no such user" kbroker broker start --dir /var/lib/kbroker --owner nobody-there

# --- a broker ------------------------------------------------------------------
broker_start --config log.retention.ms=86400000
check "its devices are mounted" mountpoint -q /dev/kbroker
check_fails "a second one is refused" "." kbroker broker start --dir /var/lib/kbroker
check_equal "broker list" "$(json 'd[0]["broker"], d[0]["state"], d[0]["pinned_mount"]' kbroker broker list --json)" \
	"kbroker running /var/lib/kbroker"
check_equal "broker list --all" "$(json '[b["broker"] for b in d]' kbroker broker list --all --json)" "['kbroker']"
check_equal "a config that was set" "$(json 'd["configs"]["log.retention.ms"]' kbroker broker describe --json)" 86400000
check "all configs" grep -q "^num.partitions" <(kbroker broker describe --configs)
check "alter a config" kbroker broker alter --config num.partitions=2
check_equal "it is altered" "$(json 'd["configs"]["num.partitions"]' kbroker broker describe --json)" 2
check_fails "an unknown config is refused by name" "no.such.config" kbroker broker alter --config no.such.config=1
check_fails "a bad value, too" "num.partitions" kbroker broker alter --config num.partitions=many
status 2 "nothing to alter" kbroker broker alter
check "module shows the broker" grep -q "broker.*kbroker" <(kbroker module)

# --- topics --------------------------------------------------------------------
check "topic create" kbroker topic create orders --partitions 3 --config retention.ms=1000000 --mode 0640
check_fails "again" "exist" kbroker topic create orders
check "again, --if-not-exists" kbroker topic create orders --if-not-exists
check "the broker's number of partitions" kbroker topic create two
check_equal "is 2" "$(json 'd[0]["partitions"]' kbroker topic describe two --json)" 2
check_fails "replicas without other brokers" "replication" kbroker topic create r3 --replication-factor 3
for bad in . .. a/b 'a b' ä "$(printf 'x%.0s' {1..250})" ''; do
	status 2 "topic '${bad:0:10}'" kbroker topic create "$bad"
done
status 2 "0 partitions" kbroker topic create p0 --partitions 0
status 2 "a million partitions" kbroker topic create p1 --partitions 1000000
check_fails "an unknown config" "nonsense" kbroker topic create c1 --config nonsense=1
check_fails "compaction is refused by name" "cleanup.policy" kbroker topic create c2 --config cleanup.policy=compact
check_equal "what was refused is not there" "$(json '[t["topic"] for t in d]' kbroker topic list --json)" "['orders', 'two']"
check_equal "describe" "$(json 'd[0]["partitions"], d[0]["mode"], d[0]["configs"]["retention.ms"]' kbroker topic describe orders --json)" \
	"3 0640 1000000"
check "alter: partitions, mode, config" kbroker topic alter orders --partitions 4 --mode 0600 --config segment.bytes=1048576
check_equal "altered" "$(json 'd[0]["partitions"], d[0]["mode"], d[0]["configs"]["segment.bytes"]' kbroker topic describe orders --json)" \
	"4 0600 1048576"
check_equal "the node shows it" "$(stat -c %a /dev/kbroker/orders/3)" 600
syncs='d["sync_rounds"], d["sync_writers"], d["sync_errors"], d["sync_usecs"] > 0'
before=$(json 'd["sync_rounds"], d["sync_writers"]' kbroker broker describe --json)
for line in one two three; do echo $line >/dev/kbroker/two/0; done
check_equal "a sync for each line that somebody waits for" "$(json "$syncs" kbroker broker describe --json)" \
	"$((${before% *} + 3)) $((${before#* } + 3)) 0 True"
check "describe shows it" grep -qP "^ *syncs\W+\d+ for \d+ writers, \d+ us each$" <(kbroker broker describe)
check_fails "fewer partitions" "partitions" kbroker topic alter orders --partitions 2
check "delete a config" kbroker topic alter orders --delete-config segment.bytes
check_equal "it is the default again" "$(json '"segment.bytes" in d[0]["configs"]' kbroker topic describe orders --json)" False
check "set by whom" grep -qP "^retention.ms\t1000000\ttopic" <(kbroker topic describe orders --configs)
status 1 "a topic that is not there" kbroker topic describe nothing
out=$(kbroker --json topic describe nothing 2>&1 >/dev/null)
check_equal "as JSON" "$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["errno"])' "$out")" ENOENT

# --- partitions ----------------------------------------------------------------
seq 100 >/dev/kbroker/orders/1
check_equal "partition list" "$(json '[(p["partition"],p["high_watermark"]) for p in d]' kbroker partition list orders --json)" \
	"[(0, 0), (1, 100), (2, 0), (3, 0)]"
exec 7</dev/kbroker/orders/1
head -c 6 <&7 >/dev/null
check_equal "a reader and its lag" \
	"$(json '[(h["pid"] > 0, h["direction"], h["position"], h["lag_records"]) for h in d["open"]]' kbroker partition describe orders 1 --json)" \
	"[(True, ['read'], 3, 97)]"
exec 7<&-
check_equal "no readers, no table" "$(kbroker partition describe orders 1 | grep -c OPENED-FOR)" 0
mkfifo "$T_TMP/hold"
bash -c 'printf "a\tb\033[7m\302\233" >/proc/$BASHPID/comm; exec 7</dev/kbroker/orders/1; echo open >"$1"; read -r <"$2"' \
	_ "$T_TMP/open" "$T_TMP/hold" &
holder=$!
wait_for 10 test -s "$T_TMP/open"
check "a process's name does not control the terminal" \
	grep -qP "\ta\?b\?\[7m\?\?\tread\t" <(kbroker partition describe orders 1)
kill $holder
status 1 "a topic that is not there" kbroker partition describe nothing
check_equal "prints no half a document" "$(kbroker --json partition describe nothing 2>/dev/null)" ""
status 2 "delete-records without a place" kbroker partition delete-records orders 1
check "delete-records" kbroker partition delete-records orders 1 --offset 40
check_equal "the log start rose" "$(json 'd["partitions"][0]["log_start"]' kbroker partition describe orders 1 --json)" 40
check_equal "and is read from there" "$(timeout 60 head -n 1 /dev/kbroker/orders/1)" 41
check_fails "beyond the end" "." kbroker partition delete-records orders 1 --offset 1000
check "delete-records of all partitions" kbroker partition delete-records orders --offset end
check_equal "all is gone" "$(json 'd["partitions"][0]["log_start"]' kbroker partition describe orders 1 --json)" 100
check_fails "a partition that is not there" "." kbroker partition describe orders 9

# --- operations, privilege -------------------------------------------------------
op=$(kbroker topic create later --no-wait)
check "an operation's id" test "$op" -gt 0
check "op wait" kbroker op wait "$op"
check "op list" grep -qP "^$op\ttopic-create\tlater\tdone" <(kbroker op list)
check_fails "an operation that never was" "." kbroker op wait 999999
as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
check "anybody may list topics" "${as_nobody[@]}" kbroker topic list
check_fails "only root may change them" "root|CAP_NET_ADMIN" "${as_nobody[@]}" kbroker topic create mine
check_fails "nor consume what is not theirs" "belongs to" "${as_nobody[@]}" kbroker consume orders --exit

# --- events ----------------------------------------------------------------------
kbroker monitor --json >"$T_TMP/events" 2>"$T_TMP/err" &
monitor=$!
check "monitor prints a marker" wait_for 60 grep -q marker "$T_TMP/events"
kbroker topic create seen >/dev/null 2>&1
kbroker topic delete seen
check "and what happens then" wait_for 60 grep -q '"event":"topic".*"reason":"deleted".*"topic":"seen"' "$T_TMP/events"
kill -TERM $monitor
wait $monitor
check_equal "SIGTERM, like Ctrl-C, ends it well" $? 0
check_equal "each line is JSON" "$(python3 -c '
import json, sys
state = marker = 0
for line in open(sys.argv[1]):
    d = json.loads(line)
    marker |= "marker" in d
    assert marker or "state" in d
    state += "state" in d
print(state > 3, bool(marker))' "$T_TMP/events" 2>&1)" "True True"
check_equal "in a pipe" "$(kbroker monitor --timeout-ms 100 | grep -c -- '^-- changes --$')" 1

check "topic delete" kbroker topic delete orders two later
status 1 "again" kbroker topic delete orders
check "again, --if-exists" kbroker topic delete orders --if-exists
check "the broker stops" kbroker broker stop
check_fails "its mount is gone" "not a mountpoint" mountpoint /dev/kbroker
done_testing
