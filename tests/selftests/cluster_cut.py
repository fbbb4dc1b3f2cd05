#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
"""A link that is cut for half a minute while records are written, so long that
TCP itself would only try again after as long a time: soon after the cut all are
in sync again, also when a daemon or a broker was started anew meanwhile.
"""
import subprocess
import time

from cluster_nodes import Producer, check_readback, leader_of, run, whole
from device_lib import say, wait_for

CUT = 28
# It takes three seconds; TCP alone takes more than twenty.
SOON = 16


def others(nodes, without):
    return [node for node in nodes if node is not without]


def soon(nodes, name):
    begin = time.monotonic()
    good = whole(nodes, "t")
    took = time.monotonic() - begin
    say(good and took < SOON, f"{name} it is in sync again within {SOON} s ({took:.1f} s)")


def follower(nodes):
    leader = leader_of(nodes, "t", 0)
    return [node for node in nodes if node.id != leader][-1]


def main(nodes):
    nodes[0].run("topic", "create", "t", "--replication-factor", "3")
    producer = Producer(nodes, "t", 0)
    producer.start()
    say(producer.writes(), "records are taken")

    node = follower(nodes)
    node.link("down")
    time.sleep(CUT)
    say(producer.writes(), "and while one that follows is cut off")
    node.link("up")
    soon(nodes, "a follower:")

    # Its own packets go out, none come: it is not heard of by who is dead meanwhile.
    leader = leader_of(nodes, "t", 0)
    node = [node for node in nodes if node.id == leader][0]
    subprocess.run(("tc", "qdisc", "add", "dev", f"kbv{node.id}", "root", "netem", "loss", "100%"), check=True)
    rest = others(nodes, node)
    say(wait_for(lambda: leader_of(rest, "t", 0) not in (None, node.id)), "another leads when the leader hears nothing")
    rest[0].kill_daemon()
    rest[0].start_daemon()
    rest[1].stop_broker("--crash")
    rest[1].start_broker()
    time.sleep(CUT)
    say(producer.writes(), "and takes records")
    subprocess.run(("tc", "qdisc", "del", "dev", f"kbv{node.id}", "root"), check=True)
    soon(nodes, "others were started anew:")

    say(producer.stop(), "the producer ends")
    say(wait_for(lambda: len({node.log("t", 0) for node in nodes}) == 1), "the logs are the same, byte for byte")
    for node in nodes:
        if node.id == leader_of(nodes, "t", 0):
            say(check_readback(node, producer), "what was acknowledged is there once, in order")


run(main)
