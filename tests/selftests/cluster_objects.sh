#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
# A broker in a cluster, whose controller is this test: it joins, is told of its
# epoch and its peers, asks for topics, and asks before it stops.
. "$(dirname "$0")/lib.sh"

ID=AAECAwQFBgcICQoLDA0ODw OTHER=EAECAwQFBgcICQoLDA0ODw TOPIC=IAECAwQFBgcICQoLDA0ODw

# field KEY <JSON object or array of one
field() { python3 -c 'import json, sys
d = json.load(sys.stdin)
d = d[0] if isinstance(d, list) and d else d
print(d.get(sys.argv[1], "-") if d else "none")' "$1"; }
state() { kbroker cluster show --json | field state; }
asked() { kbroker request list --json | field kind; }
# answer [OPTION]...: the one open request
# shellcheck disable=SC2120 # check passes them
answer() { kbroker request answer "$(kbroker request list --json | field request)" "$@"; }
# begin COMMAND...: one that ends with the controller's answer
begin()
{
	"$@" >"$T_TMP/begun" 2>&1 &
	begun=$!
	wait_for 60 eval '[ "$(asked)" != none ]'
}

# --- joining -------------------------------------------------------------------
broker_start
check_equal "a broker stands alone" "$(state)" standalone
check_fails "it has no epoch without a cluster" "belongs to no cluster" kbroker cluster set --broker-epoch 1
check_fails "nor peers" "belongs to no cluster" kbroker peer set 2 1 127.0.0.1:9092
topic_create mine
check_fails "with topics it joins none" "1 topics of its own" kbroker cluster set --cluster-id $ID
kbroker topic delete mine
kbroker monitor --json >"$T_TMP/events" 2>&1 &
check "a monitor sees it stand alone" wait_for 60 grep -q '"standalone"' "$T_TMP/events"
head -c 32 /dev/urandom >"$T_TMP/secret"
check "without, it does" kbroker cluster set --cluster-id $ID --secret-file "$T_TMP/secret"
check_equal "it waits for an epoch" "$(state)" waiting
check "which is an event" wait_for 60 grep -q '"waiting"' "$T_TMP/events"
check "its directory says so" grep -qx "cluster.id=$ID" "$T_DIR/meta.properties"
check_equal "broker list, too" "$(kbroker broker describe --json | field cluster_id)" $ID
check_fails "it never changes its cluster" "never changes its cluster" kbroker cluster set --cluster-id $OTHER
check "its secret is nowhere on its disk" bash -c "! grep -rqF \"\$(head -c 8 $T_TMP/secret | tr -d '\\0')\" $T_DIR/meta.properties"
check "an epoch makes it active" kbroker cluster set --broker-epoch 5 --controller 1 --rack r1
check_equal "it is" "$(state) $(kbroker cluster show --json | field broker_epoch) $(kbroker cluster show --json | field rack)" "active 5 r1"
check_fails "epochs don't fall" "not above 5" kbroker cluster set --broker-epoch 4

# --- peers ---------------------------------------------------------------------
check "a peer" kbroker peer set 2 7 192.0.2.7:9092 --advertised-listener b.example:19092 --rack r2
check "and itself" kbroker peer set 1 5 127.0.0.1:9092
check_equal "in the order of their ids" "$(kbroker peer list | cut -f 1-4 | tr '\t' ' ' | tail -n 2)" "1 5 127.0.0.1:9092 active
2 7 192.0.2.7:9092 active"
check_fails "a peer's epoch does not fall" "older than 7" kbroker peer set 2 6 192.0.2.7:9092
kbroker peer set 2 7 192.0.2.7:9092 --fenced yes
check_equal "what is new takes the place of all that was known" \
	"$(kbroker peer list --json | python3 -c 'import json, sys; d = json.load(sys.stdin)[1]; print(d["fenced"], d.get("rack"))')" "1 None"
check "one goes" kbroker peer delete 2
check_fails "once" "no node 2" kbroker peer delete 2

# --- topics --------------------------------------------------------------------
check "a topic is asked for" begin kbroker topic create orders --partitions 2 --config retention.ms=1000
check_equal "not made" "$(kbroker topic list --json | tr -d '[:space:]') $(asked)" "[] topic-new"
check_equal "as it was asked for" "$(kbroker request list --json | field configs) $(kbroker request list --json | field partitions)" "{'retention.ms': '1000'} 2"
check "the controller has it made" kbroker topic create orders --id $TOPIC --partitions 2 --replication-factor 3
check "and answers" answer
check "then it is done" wait $begun
check_equal "with the controller's id" "$(kbroker topic list --json | field id) $(kbroker topic list --json | field replication_factor)" "$TOPIC 3"
check "no log was made here" bash -c "! ls -d $T_DIR/orders-*"
check "another is asked for" begin kbroker topic create more
check "it is refused" answer --error EPERM --message "nobody may"
check_fails "in the controller's words" "nobody may" bash -c "wait $begun; cat $T_TMP/begun; exit 1"
check "it is told of a replica" kbroker replica set orders/0 --leader 2 --leader-epoch 3 --partition-epoch 4 \
	--replicas 2,1,3 --isr 2,1 --elr 3
check_equal "and lists it" "$(kbroker replica list orders/0 | tail -n 1 | tr '\t' ' ')" \
	"orders 0 follower 2 3 4 2,1,3 2,1 3 -"
check_equal "as JSON, too" "$(kbroker replica list orders/0 --json | field isr) $(kbroker replica list orders/0 --json | field topic_id)" "[2, 1] $TOPIC"
check_equal "a partition that it knows nothing of" "$(kbroker replica list orders/1 | tail -n 1 | tr '\t' ' ')" \
	"orders 1 none ? ? ? - - - -"
check "it leads" kbroker replica set orders/0 --leader 1 --leader-epoch 4 --partition-epoch 5 --replicas 2,1,3 --isr 2,1
check_equal "with followers" "$(kbroker replica list orders/0 --json | field followers | grep -o "'id': [0-9]*" | tr -d "':id " | tr '\n' ' ')" "2 3 "
check_equal "describe tells of all" "$(kbroker partition describe orders 0 --json | python3 -c 'import json, sys
p = json.load(sys.stdin)["partitions"][0]
print(p["leader"], p["leader_epoch"], p["replicas"], p["isr"])')" "1 4 [2, 1, 3] [2, 1]"
check_fails "what is older is refused" "partition epoch" kbroker replica set orders/0 --leader 2 --leader-epoch 3 \
	--partition-epoch 4 --replicas 2,1,3
check_fails "a partition that there is not" "no such partition" kbroker replica list orders/7
check "a change" begin kbroker topic alter orders --config retention.ms=2000 --delete-config segment.ms
check_equal "is asked for" "$(asked) $(kbroker request list --json | field configs)" "topic-set {'retention.ms': '2000', 'segment.ms': None}"
kbroker topic alter orders --id $TOPIC --config retention.ms=2000
answer
check "and done" wait $begun
check_fails "another topic is not meant" "has another id" kbroker topic delete orders --id $OTHER
check "a deletion" begin kbroker topic delete orders
check_equal "is asked for, too" "$(asked)" topic-del
kbroker topic delete orders --id $TOPIC
answer
check "and done, too" wait $begun
check_equal "the topic is gone" "$(kbroker topic list --json | tr -d '[:space:]')" "[]"
kbroker broker alter --config request.timeout.ms=50
check_fails "without an answer it is over in time" "did not answer in time" kbroker topic create late
check_fails "an answer that comes then finds nothing" "not open" kbroker request answer 1

# --- leaving -------------------------------------------------------------------
kbroker broker alter --config controlled.shutdown.timeout.ms=3600000
check "a stop asks first" begin kbroker broker stop
check_equal "to leave" "$(asked)" leave
check_fails "a second one is told" "leaderships have been moved away" kbroker broker stop
check "with the answer" answer
check "it stops" wait $begun
check "the marker has the epoch" grep -q '"brokerEpoch":5' "$T_DIR/.kafka_cleanshutdown"
check "it starts as ever" kbroker broker start --dir "$T_DIR"
check_equal "a member starts without an epoch" "$(state) $(kbroker cluster show --json | field previous_epoch)" "waiting 5"
check_fails "not with one that it had" "not above 5" kbroker cluster set --broker-epoch 5
kbroker cluster set --broker-epoch 6
check "now is now" kbroker broker stop --now
done_testing
