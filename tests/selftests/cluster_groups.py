#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""A consumer group of a cluster: its coordinator leads its partition of
__consumer_offsets, and another takes it over with all that was committed when
that broker dies, stops or is not to lead any more.
"""
import json
import subprocess
import threading

from cluster_nodes import Producer, leader_of, run, whole
from device_lib import equal, say, wait_for
from listener_client import Connection, string

FIND_COORDINATOR = 10
OFFSETS = "__consumer_offsets"


def java_hash(text):
    value = 0
    for byte in text.encode():
        value = (31 * value + byte) & 0xffffffff
    return value


def partition_of(group):
    return (java_hash(group) & 0x7fffffff) % 50


def coordinator(node, group):
    """node.id of the group's coordinator as a node tells clients, and its address"""
    try:
        conn = Connection((node.address, 9092), timeout=2)
        conn.send(FIND_COORDINATOR, 0, string(group))
        reader = conn.receive()
        conn.close()
    except (OSError, EOFError):
        return None
    error, number = reader.take("hi")
    return (number, reader.string(), reader.take("i")) if not error else None


def same_coordinator(nodes, group):
    """The node that all of these say is the coordinator"""
    found = []

    def agreed():
        told = {coordinator(node, group) for node in nodes}
        found[:] = [node for node in nodes for one in told if one and one[0] == node.id]
        return len(told) == 1 and found
    wait_for(agreed)
    return found[0] if found else None


class Consumer(threading.Thread):
    """kcat as a member of a group: what it was given, by value"""

    def __init__(self, nodes, group, topic):
        super().__init__(daemon=True)
        brokers = ",".join(f"{node.address}:9092" for node in nodes)
        self.values = []
        self.process = subprocess.Popen(
            ("kcat", "-b", brokers, "-q", "-u", "-G", group, "-X", "auto.offset.reset=earliest", "-X",
             "auto.commit.interval.ms=200", "-X", "session.timeout.ms=6000", "-X", "reconnect.backoff.max.ms=500", topic),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def run(self):
        for line in self.process.stdout:
            self.values.append(int(line.rpartition(":")[2]))

    def stop(self, how="terminate"):
        getattr(self.process, how)()
        self.process.wait()
        self.join(60)


def committed(node, group):
    """What is committed of partition 0 as the coordinator says, -1 nothing"""
    try:
        told = json.loads(node.run("group", "describe", group, "--json"))
    except RuntimeError:
        return -1
    return max((part["committed_offset"] or -1 for part in told[0]["offsets"]), default=-1)


def caught_up(consumer, producer):
    want = len(producer.acked)
    return wait_for(lambda: len(set(consumer.values)) >= want, 120)


def main(nodes):
    one = nodes[0]
    one.run("topic", "create", "t", "--replication-factor", "3")
    say(wait_for(lambda: leader_of(nodes, "t", 0) is not None), "a topic")
    producer = Producer(nodes, "t", 0)
    producer.start()
    say(producer.writes(), "that is written to")

    say(wait_for(lambda: all(coordinator(node, "g") for node in nodes)), "the group has a coordinator")
    first = same_coordinator(nodes, "g")
    equal("who leads its partition of the offsets", first.id, leader_of(nodes, OFFSETS, partition_of("g")))
    equal("at its address", coordinator(one, "g")[1:], (first.address, 9092))
    say(len({same_coordinator(nodes, f"g{number}").id for number in range(12)}) == 3, "groups are spread over all brokers")

    consumer = Consumer(nodes, "g", "t")
    consumer.start()
    say(caught_up(consumer, producer), "a member is given records")
    say(wait_for(lambda: committed(first, "g") > 0), "and commits")

    other = next(node for node in nodes if node is not first)
    told = subprocess.run(("kbroker", "--netns", other.net, "group", "describe", "g"), stderr=subprocess.PIPE, text=True,
                          check=False)
    say(told.returncode == 1 and "coordinates" in told.stderr, "another node says that it is not the coordinator")
    told = subprocess.run(("kbroker", "--netns", other.net, "group", "delete", "g"), stderr=subprocess.PIPE, text=True,
                          check=False)
    say(told.returncode == 1 and f"broker {first.id} coordinates group g" in told.stderr, "and which one is")

    before = committed(first, "g")
    first.link("down")
    first.kill_daemon()
    rest = [node for node in nodes if node is not first]
    second = same_coordinator(rest, "g")
    say(second and second is not first, "the coordinator is cut off: another one takes the group")
    say(wait_for(lambda: committed(second, "g") >= before), "with what was committed")
    say(producer.writes() and caught_up(consumer, producer), "the member goes on")
    say(wait_for(lambda: committed(second, "g") > before), "and commits there")

    first.link("up")
    first.start_daemon()
    say(whole(nodes, OFFSETS, partition_of("g")), "the first one is in sync again")
    equal("it has not got the group back yet, or has it with all its commits",
          committed(same_coordinator(nodes, "g"), "g") >= before, True)

    now = same_coordinator(nodes, "g")
    equal("the coordinator stops", now.stop_broker().returncode, 0)
    rest = [node for node in nodes if node is not now]
    third = same_coordinator(rest, "g")
    say(third and third is not now, "another one takes the group")
    say(producer.writes() and caught_up(consumer, producer), "the member goes on again")
    now.start_broker()
    say(whole(nodes, OFFSETS, partition_of("g")), "the one that stopped is in sync again")

    say(producer.stop() and caught_up(consumer, producer), "the producer ends; all was consumed")
    end = len(producer.acked)
    say(wait_for(lambda: committed(same_coordinator(nodes, "g"), "g") >= end), "and all of it is committed")
    consumer.stop()
    first_seen = list(dict.fromkeys(consumer.values))
    equal("each record came, in order", first_seen, sorted(first_seen))
    equal("none is missing", [number for number, _ in producer.acked if number not in set(first_seen)], [])
    heir = Consumer(nodes, "g", "t")
    heir.start()
    more = Producer(nodes, "t", 0)
    more.start()
    say(more.writes() and wait_for(lambda: heir.values), "a new member")
    equal("begins where the group was", heir.values[0] in (0, 1), True)
    heir.stop("kill")
    more.stop()


if __name__ == "__main__":
    run(main)
