#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
#
# The commands that make a cluster, as a user types them, in three network
# namespaces: init, join, status, reassign, elect, leave, a witness.
set -u
if ! command -v kbrokerd >/dev/null; then
	echo "1..0 # SKIP kbrokerd is not built: libraft could not be fetched"
	exit 0
fi
top=/var/lib/kbroker/commands n=0 failed=0
mkdir -p $top

# ok TEXT: was the last command right?
ok()
{
	local status=$?
	n=$((n + 1))
	if [ $status = 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		failed=1
	fi
}

# node N COMMAND...: kbroker on node N
node()
{
	local i=$1
	shift
	kbroker --netns "kbn$i" --broker "kbn$i" "$@"
}

# cluster N COMMAND...: "kbroker cluster" on node N
cluster()
{
	local i=$1 command=$2
	shift 2
	node "$i" cluster "$command" --daemon-dir "$top/daemon$i" "$@"
}

# within COMMAND...: does it come true in a minute?
within()
{
	for _ in {1..600}; do
		"$@" && return 0
		sleep 0.1
	done
	return 1
}

# refuses COMMAND...: it fails
refuses()
{
	! "$@" >/dev/null 2>&1
}

# says TEXT COMMAND...: TEXT is in what it prints
says()
{
	local text=$1
	shift
	grep -qe "$text" <<<"$("$@" 2>&1)"
}

ip link add kbnbr type bridge
ip link set kbnbr up
ip addr add 10.98.0.100/24 dev kbnbr
for i in 1 2 3; do
	ip netns add kbn$i
	ip link add kbnv$i type veth peer name eth0 netns kbn$i
	ip link set kbnv$i master kbnbr up
	ip -n kbn$i addr add 10.98.0.$i/24 dev eth0
	ip -n kbn$i link set eth0 up
	ip -n kbn$i link set lo up
done

says "kbroker cluster init" cluster 1 status
ok "without a cluster its beginning is told"
says "address says it" cluster 1 init --dir $top/1
ok "without a route the address must be given"
join=$(cluster 1 init --dir $top/1 --address 10.98.0.1 2>/dev/null)
ok "a cluster begins"
[ "$join" = "$(cluster 1 token)" ]
ok "what others need is printed again"
token=${join##* }
[ "$join" = "kbroker cluster join 10.98.0.1 --token $token" ] && [ ${#token} = 64 ]
ok "it is one command"
says "belongs to a cluster" cluster 1 init
ok "it begins once"

says "not what" cluster 2 join 10.98.0.1 --token nonsense --dir $top/2
ok "a token that is none is refused"
says "another cluster id or another secret" cluster 2 join 10.98.0.1 --token "${token:0:60}AAAA" --dir $top/2
ok "one of another secret is"
[ ! -e $top/daemon2 ]
ok "and leaves nothing behind"
ip netns exec kbn2 python3 -c "import socket, time
s = socket.create_server(('10.98.0.2', 9092))
open('$top/held', 'w').close()
time.sleep(600)" &
held=$!
within test -e $top/held
says "nothing can listen at 10.98.0.2:9092" cluster 2 join 10.98.0.1 --token "$token" --dir $top/2
ok "a port that is in use is found before anything is begun"
kill $held
wait $held 2>/dev/null
echo "$token" | cluster 2 join 10.98.0.1 --token - --dir $top/2 2>/dev/null
ok "a second node joins, its token from standard input"
mkdir $top/3
kbroker --netns kbn3 broker start --name kbn3 --dir $top/3 --id 3 --listener 10.98.0.3:19092 2>/dev/null
node 3 topic create own
says "topics of its own" cluster 3 join 10.98.0.2 --token "$token"
ok "a broker that has topics stays alone"
node 3 topic delete own
says "runs as node 3" cluster 3 join 10.98.0.2 --token "$token" --id 4
ok "a broker that runs has its id"
KBROKER_CLUSTER_TOKEN=$token cluster 3 join 10.98.0.2 --rack north 2>/dev/null
ok "a third one at the second, from the environment"
says "10.98.0.3:19092" cluster 1 status
ok "its broker listens elsewhere, and is found there"
[ "$(cluster 3 status | awk '$5 == "alive"' | wc -l)" = 3 ]
ok "three brokers are alive"
voters() { [ "$(cluster "$1" status | awk '$3 == "voter" || $3 == "controller"' | wc -l)" = "$2" ]; }
within voters 3 3
ok "three daemons vote"
says '"rack": "north"' cluster 1 status --json
ok "a rack is known, in JSON"
cluster 3 stop
rm -r $top/daemon3
says "is a member of cluster" cluster 3 init --address 10.98.0.3
ok "a member begins no cluster"
cluster 3 join 10.98.0.1 --token "$token" 2>/dev/null
ok "who lost the daemon's directory joins again"
cluster 3 stop
node 3 broker stop --now 2>/dev/null
rm -r $top/daemon3
cluster 3 join 10.98.0.1 --token "$token" --dir $top/3 --rack north 2>/dev/null
ok "with a broker that is started for it, too"
within voters 3 3
ok "and votes again"
alive() { [ "$(cluster 3 status | awk '$5 == "alive" { print $1 $2 $3 }' | tail -n 1)" = "310.98.0.3:9092north" ]; }
within alive
ok "its broker is the one that it was"

mkdir -p /var/lib/kbrokerd/kbn4 $top/empty
echo broker=kbn4 >/var/lib/kbrokerd/kbn4/daemon.conf
says "this node is in a cluster" kbroker broker start --name kbn4 --dir $top/empty
ok "a node of a cluster starts no broker of its own"
rm -r /var/lib/kbrokerd/kbn4
node 3 topic create orders --partitions 2 --replication-factor 2
ok "a topic of two replicas"
cluster 1 reassign orders/0 orders/1 --replicas 3,1
ok "its partitions go to other brokers"
moved() { says "0 without a leader, 0 under-replicated" cluster 2 status && [ "$(cluster 2 status | awk '$1 == 2 && $5 == "alive" { print $7 }')" = 0 ]; }
within moved
ok "and have gone"
refuses cluster 1 reassign orders/0 --replicas 3,9
ok "to a broker that is not there they do not go"
refuses cluster 1 reassign none/0 --replicas 3,1
ok "nor does one that is not there"
cluster 1 elect
ok "preferred leaders are elected"
led() { [ "$(cluster 2 status | awk '$1 == 3 && $5 == "alive" { print $6 }')" = 2 ]; }
within led
ok "and lead"
says "no TOPIC/PARTITION" cluster 1 elect orders
ok "a partition is TOPIC/PARTITION"

refuses cluster 2 leave
ok "a node that runs can't leave"
node 2 broker stop 2>/dev/null
ok "its broker stops"
cluster 2 leave 2>/dev/null
ok "then it leaves"
within voters 1 2
ok "two daemons are left"
says "does not run" cluster 2 status
ok "its own ended"
rm -rf $top/daemon2
refuses cluster 3 leave
ok "one with replicas can't leave"

cluster 2 join 10.98.0.1 --token "$token" --witness 2>/dev/null
ok "a witness comes in its place"
within voters 1 3
ok "and votes"
[ "$(cluster 2 status | awk '$5 == "alive"' | wc -l)" = 2 ]
ok "without a broker"
cluster 2 stop
ok "its daemon stops"
says "does not run" cluster 2 status
ok "and is told to"
cluster 2 start 2>/dev/null
ok "and starts"
within says "controller" cluster 2 status
ok "and is asked"
cluster 2 stop
cluster 1 leave --id 2
ok "a witness that is gone is taken out by another node"
within voters 1 2
ok "and votes no more"
refuses cluster 1 leave --id 2
ok "once"
node 3 topic delete orders
ok "the topic goes"
for i in 1 3; do
	cluster $i stop
	ok "daemon $i stops"
	node $i broker stop --now 2>/dev/null
	ok "broker $i stops"
done
cluster 2 stop 2>/dev/null
for i in 1 2 3; do
	ip link del kbnv$i
	ip netns del kbn$i
done
ip link del kbnbr
rm -rf $top
echo "1..$n"
exit $failed
