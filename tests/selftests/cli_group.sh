#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
# Consumer groups through the command: where a group begins, reading as a member,
# lag, resetting and deleting; what is refused, in words, with the right status.
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

# json EXPRESSION COMMAND...: a python expression over the document d
json()
{
	local expr=$1

	shift
	"$@" 2>"$T_TMP/err" | python3 -c 'import json, sys
d = json.load(sys.stdin)
eval(f"print({sys.argv[1]})")' "$expr" 2>&1
}

# offsets GROUP: topic:partition=current/end+lag of all partitions, sorted
offsets()
{
	json '" ".join("%s:%s=%s/%s+%s" % (o["topic"], o["partition"], o["current_offset"], o["log_end_offset"], o["lag_records"]) for o in d[0]["offsets"])' \
		kbroker group describe "$1" --json
}

# rows of a reset: partition=new
reset() { kbroker group reset-offsets "$@" | awk -F'\t' 'NR > 1 { printf "%s:%s=%s>%s ", $2, $3, $4, $5 }'; }

# --- nothing there ---------------------------------------------------------------
kbroker broker stop --all >/dev/null 2>&1
check_fails "without a broker" "no broker" kbroker group list
check_fails "describe without a broker" "no broker" kbroker group describe g
broker_start
topic_create t --partitions 3
topic_create u --partitions 1
for i in 0 1 2; do
	seq -f "$i-%g" 100 >/dev/kbroker/t/$i
done
seq 10 >/dev/kbroker/u/0
check_equal "no groups" "$(json 'd' kbroker group list --json)" "[]"
check_equal "none to watch" "$(json 'd["groups"]' kbroker group top --json -c 1)" "[]"
status 1 "one that is not there" kbroker group describe g
check_fails "and that is said" "no such group" kbroker group describe g
check_fails "deleting it" "no .*group" kbroker group delete g
status 0 "deleting it, --if-exists" kbroker group delete g --if-exists
check_fails "its offsets cannot all be reset" "has no offsets" kbroker group reset-offsets g --all-topics --to-earliest

# --- bad command lines -----------------------------------------------------------
status 2 "no target" kbroker group reset-offsets g --topic t
status 2 "two targets" kbroker group reset-offsets g --topic t --to-earliest --to-latest
status 2 "no topic" kbroker group reset-offsets g --to-earliest
status 2 "both kinds of topics" kbroker group reset-offsets g --to-earliest --topic t --all-topics
status 2 "a bad list of partitions" kbroker group reset-offsets g --to-earliest --topic t:0-
status 1 "a partition that is not there" kbroker group reset-offsets g --to-earliest --topic t:3
check_fails "a topic that is not there" "no such topic" kbroker group reset-offsets g --to-earliest --topic none
status 2 "a negative offset" kbroker group reset-offsets g --to-offset -1 --topic t
status 2 "a bad time" kbroker group reset-offsets g --to-datetime yesterday --topic t
status 2 "--dry-run and --execute" kbroker group reset-offsets g --to-earliest --topic t --dry-run --execute
status 2 "describe whom" kbroker group describe
check_fails "an empty name" "empty" kbroker group describe ''
check_fails "a name that is too long" "name" kbroker group delete "$(printf 'x%.0s' {1..250})"
check_equal "nothing of that made a group" "$(json 'd' kbroker group list --json)" "[]"

# --- a group that begins where it was told ----------------------------------------
check_equal "a dry run" "$(reset g --topic t --to-latest --dry-run)" "t:0=->100 t:1=->100 t:2=->100 "
check_equal "sets nothing" "$(json 'd' kbroker group list --json)" "[]"
check_equal "some partitions of a topic" "$(reset g --topic t:0,2 --to-offset 40 --execute)" "t:0=->40 t:2=->40 "
check_equal "as list shows it" "$(json '[(g["group"], g["state"], g["type"], g["members"], g["offsets"]) for g in d]' kbroker group list --json)" \
	"[('g', 'empty', 'none', 0, 2)]"
check_equal "as describe shows it" "$(offsets g)" "t:0=40/100+60 t:2=40/100+60"
check_equal "sums" "$(json '(d[0]["lag_records"], d[0]["lag_bytes"] > 0, d[0]["lag_ms"] >= 0)' kbroker group describe g --json)" "(120, True, True)"
check_equal "several topics" "$(reset g --topic t:1 --topic u --to-earliest)" "t:1=->0 u:0=->0 "
check_equal "shift" "$(reset g --topic t --shift-by 10)" "t:0=40>50 t:1=0>10 t:2=40>50 "
check_equal "shift back, beyond the start" "$(reset g --topic t --shift-by -20 2>"$T_TMP/err")" "t:0=50>30 t:1=10>0 t:2=50>30 "
check "that is said" grep -q "oldest" "$T_TMP/err"
check_equal "beyond the end" "$(reset g --topic u --to-offset 1000 2>"$T_TMP/err")" "u:0=0>10 "
check "that is said, too" grep -q "behind the end" "$T_TMP/err"
check_equal "all topics, to the end" "$(reset g --all-topics --to-latest)" "t:0=30>100 t:1=0>100 t:2=30>100 u:0=10>10 "
check_equal "to a time that all records have" "$(reset g --topic t --to-datetime -1d)" "t:0=100>0 t:1=100>0 t:2=100>0 "
check_equal "to a time that none has" "$(reset g --topic t:0 --to-datetime now)" "t:0=0>100 "
kbroker partition delete-records t 1 --offset 50
check_equal "to where it is, but what is gone" "$(reset g --topic t --to-current)" "t:0=100>100 t:1=0>50 t:2=0>0 "
check_equal "--no-wait prints the operation" "$(kbroker group reset-offsets g --topic u --to-earliest --no-wait | grep -cE '^[0-9]+$')" 1
check "which can be waited for" kbroker op wait "$(kbroker group reset-offsets g --topic u --to-earliest --no-wait)"
check_equal "the rows as JSON" "$(json '[(r["group"], r["topic"], r["partition"], r["old_offset"], r["new_offset"]) for r in d]' \
	kbroker group reset-offsets g --topic u --to-latest --json)" "[('g', 'u', 0, 0, 10)]"
kbroker group reset-offsets 'a b/c' --topic u --to-earliest >/dev/null
check_equal "a name that no path can hold" "$(json '[g["group"] for g in d]' kbroker group list --json)" "['a b/c', 'g']"
kbroker group reset-offsets $'bell\a' --topic u --to-earliest >/dev/null
check_equal "a name does not control the terminal" "$(kbroker group list | grep -c 'bell?')" 1
check "all of them" grep -q '^group g$' <(kbroker group describe --all-groups)

# many partitions: several requests, several messages
topic_create wide --partitions 450
check_equal "450 partitions" "$(reset w --topic wide --to-latest | wc -w)" 450
check_equal "are all there" "$(json 'sorted(o["partition"] for o in d[0]["offsets"]) == list(range(450))' kbroker group describe w --json)" True

# --- delete ------------------------------------------------------------------------
check "the offsets of a topic" kbroker group delete g --offsets t
check_equal "the others stay" "$(offsets g)" "u:0=10/10+0"
check_fails "there are none left" "none of what" kbroker group delete g --offsets t
status 0 "which --if-exists does not mind" kbroker group delete g --offsets t --if-exists
check "of one partition" kbroker group delete w --offsets wide:7-9
check_equal "three less" "$(json 'len(d[0]["offsets"])' kbroker group describe w --json)" 447
check "several groups" kbroker group delete w 'a b/c' $'bell\a'
check_equal "they are gone" "$(json '[g["group"] for g in d]' kbroker group list --json)" "['g']"

# --- members -----------------------------------------------------------------------
check_equal "a new group begins with the oldest" "$(kbroker consume t --group m --exit | wc -l)" 250
check_equal "and goes on where it was" "$(kbroker consume t --group m --exit | wc -l)" 0
check_equal "which is committed" "$(json 'sorted((o["partition"], o["committed_offset"], o["lag_records"]) for o in d[0]["offsets"])' \
	kbroker group describe m --json)" "[(0, 100, 0), (1, 100, 0), (2, 100, 0)]"
for i in 0 1 2; do
	seq -f "$i-%g" 101 110 >/dev/kbroker/t/$i
done
check_equal "a count is exact" "$(kbroker consume t --group m --count 7 | wc -l)" 7
check_equal "what it left comes next" "$(kbroker consume t --group m --exit --format '%p-%s\n' | wc -l)" 23
check_equal "from the end, where that was asked for" "$(kbroker consume t --group n --offset end --exit | wc -l)" 0
echo new >/dev/kbroker/t/0
check_equal "then what came since" "$(kbroker consume t --group n --offset beginning --exit --format '%t/%p@%o=%s\n')" "t/0@110=new"
check_equal "the last two" "$(kbroker consume t --group l --offset -2 --exit | wc -l)" 6
printf 'k:v\n' | kbroker produce u --key-separator : -H a=1 -H b
check_equal "key and headers" "$(kbroker consume u --group kh --offset -1 --exit --format '%k %s %h')" "k v a=1,b=NULL"
check_equal "JSON" "$(kbroker consume u --group js --offset -1 --exit --json | python3 -c '
import json, sys
d = json.load(sys.stdin)
print(d["topic"], d["partition"], d["offset"], d["key"], d["payload"], d["tstype"])')" "u 0 10 k v create"
check_equal "a name with a slash" "$(kbroker consume u --group 'x/y' --exit | wc -l)" 11
status 2 "--group and --partition" kbroker consume t --group m --partition 0
status 2 "--group and --until" kbroker consume t --group m --until now
status 2 "an empty group" kbroker consume t --group ''

# an output that fails: what did not arrive is not consumed
kbroker group reset-offsets m --topic t --to-earliest >/dev/null
status 1 "a full disk" bash -c 'kbroker consume t --group m --exit >/dev/full'
check_equal "nothing was consumed" "$(json 'sum(o["current_offset"] for o in d[0]["offsets"])' kbroker group describe m --json)" 50

# a member that stays
kbroker group reset-offsets m --topic t --to-latest >/dev/null
kbroker consume t --group m >"$T_TMP/got" &
member=$!
has_member() { [ "$(json 'len(d[0]["members"])' kbroker group describe m --json)" = "$1" ]; }
check "it is a member" wait_for 20 has_member 1
check_equal "who it is" "$(json '[(m["pid"], m["client_id"], len(m["partitions"])) for m in d[0]["members"]]' kbroker group describe m --json)" \
	"[($member, 'kbroker', 3)]"
check_equal "what it has" "$(json '{(o["partition"], o["pid"]) for o in d[0]["offsets"]} == {(i, '$member') for i in range(3)}' kbroker group describe m --json)" True
check_equal "state" "$(json 'd[0]["state"], d[0]["type"], d[0]["members_count"]' kbroker group describe m --json)" "stable device 1"
check "in text" grep -q "	$member\$" <(kbroker group describe m)
check "members in text" grep -qP "\tt\(0,1,2\)" <(kbroker group describe m --members --verbose)
check_fails "it cannot be reset now" "has members" kbroker group reset-offsets m --topic t --to-earliest
check_fails "nor deleted" "has members" kbroker group delete m
check_fails "nor its offsets" "consume the topic|has members" kbroker group delete m --offsets t
echo more >/dev/kbroker/t/2
check "it prints what comes" wait_for 20 grep -q more "$T_TMP/got"
check_equal "top knows it" "$(json '[(g["group"], g["members"]) for g in d["groups"] if g["group"] == "m"]' kbroker group top --json -c 1)" "[('m', 1)]"
check_equal "top of one" "$(json 'len(d["partitions"]), d["partitions"][0]["member"] is not None' kbroker group top m --json -c 1)" "3 True"
check_equal "top with a speed the second time" "$(kbroker group top --json -c 2 -i 50 | python3 -c '
import json, sys
lines = [json.loads(line) for line in sys.stdin]
print(len(lines), [g["records_per_second"] is not None for g in lines[1]["groups"] if g["group"] == "m"])')" "2 [True]"
check "top on a terminal ends with q" timeout 20 python3 -c '
import os, pty, sys
pid, fd = pty.fork()
if not pid:
    os.execvp("kbroker", ["kbroker", "group", "top"])
seen = b""
while b"RECORDS/S" not in seen:
    seen += os.read(fd, 4096)
os.write(fd, b"q")
try:
    while os.read(fd, 4096):
        pass
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))'
kbroker consume t --group m >>"$T_TMP/got2" &
second=$!
check "a second one shares" wait_for 20 has_member 2
check_equal "all partitions" "$(json 'sorted(p["partition"] for m in d[0]["members"] for p in m["partitions"])' kbroker group describe m --json)" "[0, 1, 2]"
kill -KILL $second
wait $second 2>/dev/null
check "and leaves with its process" wait_for 20 has_member 1
kill -TERM $member
wait $member
check_equal "and leaves the group empty" "$(json 'd[0]["state"], d[0]["members_count"], d[0]["lag_records"]' kbroker group describe m --json)" "empty 0 0"
check "now it can be deleted" kbroker group delete m

# --- events ------------------------------------------------------------------------
kbroker monitor --no-state --json --timeout-ms 60000 >"$T_TMP/events" &
watcher=$!
check "the monitor listens" wait_for 20 grep -q marker "$T_TMP/events"
kbroker group reset-offsets ev --topic u --to-earliest >/dev/null
kbroker consume u --group ev --exit >/dev/null
kbroker group delete ev
events() { python3 -c '
import json, sys
for line in open(sys.argv[1]):
    d = json.loads(line)
    if d.get("event") == "group" and d["group"] == "ev":
        print(d["reason"], d["state"])' "$T_TMP/events"; }
gone() { events | grep -q '^deleted dead'; }
check "the deletion is told" wait_for 20 gone
check_equal "its creation, too, once" "$(events | grep -c '^created')" 1
check "and that it changed" grep -q '^state' <(events)
kill $watcher
check "the state has groups" grep -q '^state group .* group=g ' <(kbroker monitor --count 0)

# --- others than root ----------------------------------------------------------------
as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if "${as_user[@]}" kbroker help >/dev/null 2>&1; then
	check "anybody may look" "${as_user[@]}" kbroker group describe g
	check_fails "but not change" "root" "${as_user[@]}" kbroker group delete g
fi

# --- a restart -----------------------------------------------------------------------
before=$(offsets g)
broker_stop
kbroker broker start --dir "$T_DIR"
check_equal "offsets survive a restart" "$(offsets g)" "$before"
check_equal "those of members, too" "$(kbroker consume t --group n --exit | wc -l)" 1
done_testing
