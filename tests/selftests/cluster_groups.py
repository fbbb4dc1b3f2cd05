#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""A consumer group of a cluster: its coordinator leads its partition of
__consumer_offsets, and another takes it over with all that was committed when
that broker dies, stops or is not to lead any more. Any node shows and changes it.
"""
import json
import struct
import subprocess
import threading

from cluster_nodes import Producer, leader_of, run, whole
from device_lib import equal, say, wait_for
from listener_client import Connection, string

FIND_COORDINATOR, GROUP_VIEW = 10, 10002
CLUSTER_AUTHORIZATION = 31
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
    return max((-1 if part["committed_offset"] is None else part["committed_offset"] for part in told[0]["offsets"]),
               default=-1)


def kb(node, *argv):
    """kbroker at a node: exit status, output, and what it says on failure"""
    done = subprocess.run(("kbroker", "--netns", node.net, "--broker", node.name, *argv), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    return done.returncode, done.stdout, done.stderr


def described(node, group):
    """What the node tells of a group: {} it is not there"""
    status, out, _ = kb(node, "group", "describe", group, "--json")
    return json.loads(out)[0] if not status else {}


def same_at_all(nodes, group):
    """What all of these nodes tell of a group, but for what moves as records come: it is the same"""
    told = []

    def still(node):
        one = described(node, group)
        one["offsets"] = [(part["topic"], part["partition"], part["member"]) for part in one.get("offsets", [])]
        return {key: value for key, value in one.items() if not key.startswith("lag_")}

    def agreed():
        told[:] = [still(node) for node in nodes]
        return told[0] and all(one == told[0] for one in told)
    return told[0] if wait_for(agreed) else {}


class Device:
    """cat of a group's device at a node"""

    def __init__(self, node, path):
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(("cat", f"/dev/{node.name}/{path}"), stdout=subprocess.DEVNULL)

    def end(self):
        self.process.kill()
        self.process.wait()


def stranger(node):
    """An ordinary client asks what brokers ask each other: the error, and whether that was all"""
    conn = Connection((node.address, 9092), timeout=10)
    conn.send(GROUP_VIEW, 0, struct.pack(">b??h", 0, False, False, -1) + string("") + struct.pack(">iii", -1, 0, 0))
    error = conn.receive().take("h")
    try:
        conn.receive()
    except (EOFError, OSError):
        return error, True
    return error, False


def changed_anywhere(nodes, first):
    """Groups set, shown and deleted at nodes that do not coordinate them"""
    groups = [f"g{number}" for number in range(3)]
    for number, group in enumerate(groups):
        equal(f"the start of {group} is set at a node",
              kb(nodes[number % 3], "group", "reset-offsets", group, "--topic", "t", "--to-offset", str(number % 2))[::2], (0, ""))
    for node in nodes:
        status, out, _ = kb(node, "group", "list", "--json")
        listed = {one["group"]: one["coordinator"] for one in json.loads(out)} if not status else {}
        equal(f"broker {node.id} lists all groups with their coordinators", listed,
              {group: same_coordinator(nodes, group).id for group in [*groups, "g"]})
    equal("in the order of their names", list(listed), sorted(listed))
    for group in groups[:2]:
        told = same_at_all(nodes, group)
        equal(f"all nodes tell the same of {group}",
              (told.get("state"), told.get("offsets")), ("empty", [("t", 0, None)]))
        equal("and its offset, too", {committed(node, group) for node in nodes}, {groups.index(group) % 2})
    other = next(node for node in nodes if node.id != same_coordinator(nodes, "g0").id)
    equal("an offset is deleted at another node", kb(other, "group", "delete", "g0", "--offsets", "t:0")[::2], (0, ""))
    say(wait_for(lambda: not any(described(node, "g0").get("offsets") for node in nodes)), "it is gone everywhere")
    for number, group in enumerate(groups[1:]):
        equal(f"{group} is deleted at a node", kb(nodes[number % 3], "group", "delete", group)[::2], (0, ""))
    gone = kb(other, "group", "delete", "g1")
    say(gone[0] == 1 and "no group g1" in gone[2], "it can't be deleted twice")
    equal("all of them are gone", [one["group"] for one in json.loads(kb(other, "group", "list", "--json")[1])
                                   if one["offsets"]], ["g"])

    other = next(node for node in nodes if node is not first)
    told = described(other, "g")
    equal("another node tells who is a member of a group of clients",
          [(told.get("coordinator"), member["client_id"], bool(member["host"]), len(member["partitions"]))
           for member in told.get("members", [])], [(first.id, "rdkafka", True, 1)])
    say(told["offsets"][0]["log_end_offset"] is not None, "and how far it is behind")
    busy = kb(other, "group", "delete", "g")
    say(busy[0] == 1 and "has members" in busy[2], "which it can't delete")
    busy = kb(other, "group", "reset-offsets", "g", "--topic", "t", "--to-earliest")
    say(busy[0] == 1 and "has members" in busy[2], "nor set")

    equal("who is no broker of the cluster is told nothing, and let go", stranger(first), (CLUSTER_AUTHORIZATION, True))

    devices = [Device(node, "t/@d") for node in nodes[:2]]
    say(wait_for(lambda: len(described(nodes[2], "d").get("members", [])) == 2), "a group of devices at two nodes")
    told = same_at_all(nodes, "d")
    equal("all nodes tell the same of them",
          sorted((member["node"], member["pid"]) for member in told.get("members", [])),
          sorted((node.id, device.process.pid) for node, device in zip(nodes, devices)))
    away = next(node for node in nodes if node.id != told["coordinator"])
    busy = kb(away, "group", "reset-offsets", "d", "--topic", "t", "--to-earliest")
    say(busy[0] == 1 and "has members" in busy[2], "it can't be set while it has members")
    for device in devices:
        device.end()
    say(wait_for(lambda: kb(away, "group", "delete", "d")[0] == 0), "once they have gone it can be deleted at any node")


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

    changed_anywhere(nodes, first)

    before = committed(first, "g")
    orphan = next(name for name in map(str, range(1000)) if partition_of(name) == partition_of("g"))
    first.link("down")
    first.kill_daemon()
    rest = [node for node in nodes if node is not first]
    equal("the coordinator is cut off: what a node is asked to set is set at the next one",
          kb(rest[0], "group", "reset-offsets", orphan, "--topic", "t", "--to-offset", "0")[::2], (0, ""))
    say(wait_for(lambda: committed(rest[1], orphan) == 0), "as the other one shows")
    second = same_coordinator(rest, "g")
    say(second and second is not first, "another one has taken the group")
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
