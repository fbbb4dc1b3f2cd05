#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# One broker per network namespace: they share the kernel and nothing else.
. "$(dirname "$0")/lib.sh"

rm -rf "$T_DIR" /var/lib/kbroker/blue /var/lib/kbroker/red
mkdir -p /var/lib/kbroker/blue /var/lib/kbroker/red
for ns in blue red; do
	ip netns add $ns
	at_end "kbroker --netns $ns --broker $ns broker stop; ip netns del $ns; rm -rf /var/lib/kbroker/$ns"
done

broker_start
check "a broker starts in a namespace" kbroker --netns blue broker start --dir /var/lib/kbroker/blue --name blue
check "and one in another" kbroker --netns red broker start --dir /var/lib/kbroker/red --name red
check_fails "a second one in the same namespace is refused" . kbroker --netns red broker start --dir /var/lib/kbroker/red2 --name red2
check_fails "a directory in use is refused" . kbroker --netns blue broker start --dir /var/lib/kbroker/red --name blue2

# Java's tryLock() is fcntl(F_SETLK), and so is Python's lockf()
mkdir /var/lib/kbroker/kafka
at_end "rm -rf /var/lib/kbroker/kafka"
trylock() { python3 -c 'import fcntl, sys; f = open(sys.argv[1], "r+"); fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)' "$1"; }
check_fails "other programs find the directory of a broker locked" "Error.*Resource temporarily unavailable" trylock /var/lib/kbroker/red/.lock
mkfifo "$T_TMP/unlock"
python3 -c 'import fcntl, sys
f = open("/var/lib/kbroker/kafka/.lock", "w")
fcntl.lockf(f, fcntl.LOCK_EX)
print("locked", flush=True)
open(sys.argv[1]).read()' "$T_TMP/unlock" >"$T_TMP/locked" &
holder=$!
wait_for 60 grep -q locked "$T_TMP/locked"
ip netns add green
at_end "kbroker --netns green --broker green broker stop; ip netns del green"
check_fails "and a broker that of another program" "in use by another program" kbroker --netns green broker start --dir /var/lib/kbroker/kafka --name green
check "it changed nothing there" test ! -e /var/lib/kbroker/kafka/meta.properties
: >"$T_TMP/unlock"
wait $holder
check "once that has ended it starts" kbroker --netns green broker start --dir /var/lib/kbroker/kafka --name green

topic_create t --partitions 1
kbroker --netns blue --broker blue topic create t --partitions 2 >/dev/null
kbroker --netns red --broker red topic create u --partitions 3 >/dev/null
echo kbroker >/dev/kbroker/t/0
echo blue >/dev/blue/t/0
echo red >/dev/red/u/2
check_equal "each has its own records" \
	"$(timeout 60 head -n 1 /dev/kbroker/t/0) $(timeout 60 head -n 1 /dev/blue/t/0) $(timeout 60 head -n 1 /dev/red/u/2)" \
	"kbroker blue red"
check "each has its own topics" bash -c "! test -e /dev/red/t && ! test -e /dev/blue/u && test -e /dev/blue/t/1 && ! test -e /dev/kbroker/t/1"
check "the command sees the namespace's own" bash -c "kbroker --netns red --broker red topic list | grep -qw u"
check "and no other" bash -c "! kbroker --netns red --broker red topic list | grep -qw t"

# the namespace goes, with its broker in it
exec 7</dev/red/u/2
read -r _ <&7
ip netns del red
check "readers of a namespace that is gone get end of file" timeout 60 cat <&7
exec 7<&-
check "the other broker goes on, and stops" kbroker --netns blue --broker blue broker stop
wait_for 60 bash -c '! kbroker broker list --all 2>/dev/null | grep -qw red'
ip netns add red
check "a new namespace starts over the same directory" wait_for 60 \
	kbroker --netns red broker start --dir /var/lib/kbroker/red --name red
check_equal "and finds the record" "$(timeout 60 head -n 1 /dev/red/u/2)" red
done_testing
