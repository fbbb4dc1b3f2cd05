#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 400
# A network namespace ends while clients from outside are connected to the broker
# in it, in every state: nothing waits for them, nothing of them is left, and
# what was acknowledged is there when the next broker starts.
. "$(dirname "$0")/lib.sh"

T=/var/lib/kbroker/blue
rm -rf $T
mkdir -p $T
at_end "ip link del kbveth0; kbroker --netns blue --broker blue broker stop; ip netns del blue; rm -rf $T"

# blue_up: the namespace, reached from here by a pair of devices
blue_up()
{
	ip netns add blue
	ip link add kbveth0 type veth peer name kbveth1 netns blue || bail "there is no veth"
	ip addr add 192.0.2.1/24 dev kbveth0
	ip link set kbveth0 up
	ip -n blue addr add 192.0.2.2/24 dev kbveth1
	ip -n blue link set kbveth1 up
	ip -n blue link set lo up
	kbroker --netns blue broker start --dir $T --name blue --listener 192.0.2.2:9092 >"$T_TMP/start" 2>&1
}

modprobe -q veth
check "a broker listens in a namespace" blue_up
kbroker --netns blue --broker blue topic create t --partitions 1 >/dev/null
check_equal "the address is of that namespace alone" "$(kbroker --netns blue --broker blue listener list | grep -c '192.0.2.2:9092')" 1

# Clients: one that says nothing, one in the middle of a frame, one whose fetch
# waits, one that does not read its answers, one that produces all the time.
cat >"$T_TMP/clients.py" <<'END'
import os
import sys
import threading

sys.path.insert(0, sys.argv[1])
import listener_client
from device_lib import batch, batch_records
from listener_client import Connection

listener_client.ADDRESS = ("192.0.2.2", 9092)
big = batch(records=batch_records((b"x" * 100000,)), count=1)
small = batch(records=batch_records((b"y",)), count=1)
acked = 0
producer = Connection()
for _ in range(20):
    assert producer.produce("t", 0, big)[0] == 0
    acked += 1
idle, middle, waits, deaf = (Connection() for _ in range(4))
middle.socket.sendall(b"\0\0\1\0half")
waits.send_fetch({"t": {0: 20}}, wait_ms=600000, minimum=1 << 30)
for _ in range(60):
    deaf.send_fetch({"t": {0: 0}})


def produce():
    global acked
    try:
        while producer.produce("t", 0, small)[0] == 0:
            acked += 1
    except (OSError, EOFError, ValueError):
        pass


threading.Thread(target=produce, daemon=True).start()
print("connected", flush=True)
sys.stdin.readline()
# what was told until now must be there later; more may be
print(acked, flush=True)
os._exit(0)
END
for round in 1 2; do
	mkfifo "$T_TMP/go$round"
	python3 "$T_TMP/clients.py" "$(dirname "$0")" <"$T_TMP/go$round" >"$T_TMP/clients$round" 2>&1 &
	clients=$!
	exec 7>"$T_TMP/go$round"
	wait_for 120 grep -q connected "$T_TMP/clients$round" || { sed 's/^/# /' "$T_TMP/clients$round"; bail "the clients are not served"; }
	check "five clients are connected" wait_for 60 bash -c \
		"[ \"\$(kbroker --netns blue --broker blue connection list --json | grep -o '\"peer\"' | wc -l)\" = 5 ]"
	check "the namespace goes" timeout 60 ip netns del blue
	check "its broker ends by itself" wait_for 120 bash -c '! kbroker broker list --all 2>/dev/null | grep -qw blue'
	echo >&7
	exec 7>&-
	wait $clients
	acked=$(tail -n 1 "$T_TMP/clients$round")
	diag "$acked batches were acknowledged"
	wait_for 60 bash -c '! ip link show kbveth0'
	check "a new namespace starts over the same directory" blue_up
	end=$(kbroker --netns blue --broker blue partition list t --json |
	      python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["high_watermark"])')
	check "nothing that was acknowledged is missing ($end)" test "$end" -ge "$acked"
	check_equal "nobody is connected to the new one" \
		"$(kbroker --netns blue --broker blue connection list --json | tr -d '[:space:]')" "[]"
done
check "and it stops" kbroker --netns blue --broker blue broker stop
done_testing
