#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""Three brokers in three network namespaces copy from each other; the
controller is this test. What is acknowledged is on all of the in-sync set,
logs are the same byte for byte, what a leader of the past wrote alone is cut
off, and who does not know the secret gets nothing.
"""
import os

from cluster_lib import BROKERS, join, run
from device_lib import equal, say, wait_for
from nlclient import K, be


def tell(brokers, leader, epoch, partition_epoch, isr):
    for broker in brokers:
        broker.replica("t", UUID, leader, epoch, partition_epoch, isr)


def same(one, other):
    return wait_for(lambda: one.log() == other.log())


UUID = bytes(range(64, 80))


def main(one, two, three):
    everybody = (one, two, three)
    secret = os.urandom(32)
    join(everybody, secret)
    for broker in everybody:
        broker.topic("t", UUID)
    tell(everybody, 1, 0, 0, BROKERS)
    say(wait_for(lambda: two.connected(one) and three.connected(one)), "followers prove what they are to the leader")
    say("kbroker" in one.run("connection", "list"), "their connections are connections")

    equal("with acks=all all disks have it", (one.produce([f"a{i}" for i in range(1000)])[0],
                                              b"a999" in two.log(), b"a999" in three.log()), (0, True, True))
    say(same(one, two) and same(one, three), "followers have the leader's log, byte for byte")
    say(b"a999" in two.log(), "with the records in it")
    equal("what is written at a follower", two.produce(["x"])[0], 0)
    say(wait_for(lambda: b"x" in one.log()) and same(one, two) and same(one, three), "goes to the leader")

    tell(everybody, 2, 1, 1, BROKERS)
    equal("another leader goes on", two.produce([f"b{i}" for i in range(1000)])[0], 0)
    say(same(two, one) and same(two, three), "and all follow it")

    two.link("down")
    equal("alone, a leader still appends", two.produce(["lost1", "lost2"], "--acks", "1")[0], 0)
    say(b"lost2" in two.log(), "to its own log")
    tell((one, three), 3, 2, 2, (1, 3))
    equal("the others go on without it", three.produce([f"c{i}" for i in range(100)])[0], 0)
    two.link("up")
    tell((two,), 3, 2, 2, (1, 3))
    say(same(three, two), "what it wrote alone is cut when it follows again")
    say(b"lost" not in two.log() and b"c99" in two.log(), "and it has what was acknowledged meanwhile")
    say(same(three, one), "as the other one has")

    one.secret(os.urandom(32))
    say(wait_for(lambda: not one.connected(three)), "with another secret there is no connection")
    say(wait_for(lambda: be(one.peer(three).get(K["KBROKER_A_PEER_ERROR"], b"\0")) != 0), "and the peer's error is told")
    before = len(one.log())
    equal("those that are left go on", three.produce(["d"], "--acks", "1")[0], 0)
    equal("it gets nothing", len(one.log()), before)
    one.secret(secret)
    say(wait_for(lambda: one.connected(three)) and same(three, one), "with the right one it catches up")


run(main)
