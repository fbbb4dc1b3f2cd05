#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
# timeout: 600
"""Devices on several nodes are members of one group: each partition has one
reader, wherever it is; nobody is given what others have counted; the group goes
on when a member, a node or its coordinator goes.
"""
import errno
import itertools
import json
import subprocess
import threading
import time

from cluster_groups import partition_of, same_coordinator
from cluster_nodes import run, whole
from device_lib import equal, say, wait_for

PARTITIONS = 6
OFFSETS = "__consumer_offsets"


class Reader(threading.Thread):
    """cat of the group's device at a node: the numbers that it was given"""

    def __init__(self, node, path="t/@g"):
        super().__init__(daemon=True)
        self.node, self.values = node, []
        self.process = subprocess.Popen(("cat", f"/dev/{node.name}/{path}"), stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.start()

    def run(self):
        for line in self.process.stdout:
            self.values.append(int(line))

    def kill(self):
        self.process.kill()
        self.ended()

    def ended(self):
        self.process.wait()
        self.join(60)
        return not self.is_alive()


class Writer(threading.Thread):
    """Writes numbered lines through the device of a node until told to stop"""

    numbers = itertools.count()

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.acked, self.end = node, [], False
        self.start()

    def run(self):
        with open(f"/dev/{self.node.name}/t/all", "wb", buffering=0) as device:
            while not self.end:
                number = next(Writer.numbers)
                try:
                    device.write(b"%d\n" % number)
                except OSError as error:
                    # a leader was not found in time, or ceased to be one: the line may be there, or not
                    if error.errno != errno.EREMOTE:
                        raise
                    continue
                self.acked.append(number)
                time.sleep(0.002)

    def stop(self):
        self.end = True
        self.join(60)
        return not self.is_alive()

    def writes(self, more=30):
        want = len(self.acked) + more
        return wait_for(lambda: len(self.acked) >= want)


def members(node):
    """[(node.id, pid, partitions)] of the group as the coordinator tells"""
    try:
        told = json.loads(node.run("group", "describe", "g", "--json"))[0]["members"]
    except RuntimeError:
        return []
    return [(one["node"], one["pid"], sorted(part["partition"] for part in one["partitions"])) for one in told]


def shared(nodes, readers):
    """Does each partition come to have one reader, as evenly as can be?"""
    def even():
        told = members(same_coordinator(nodes, "g"))
        all_ = sorted(partition for one in told for partition in one[2])
        counts = [len(one[2]) for one in told]
        return sorted((reader.node.id, reader.process.pid) for reader in readers) == sorted(one[:2] for one in told) and \
            all_ == list(range(PARTITIONS)) and max(counts) - min(counts) <= 1
    good = wait_for(even)
    if not good:
        print("#", members(same_coordinator(nodes, "g")), [(reader.node.id, reader.process.pid) for reader in readers])
    return good


def seen(readers):
    return sorted(value for reader in readers for value in reader.values)


def all_read(readers, writers):
    want = {number for writer in writers for number in writer.acked}
    good = wait_for(lambda: want <= set(seen(readers)), 60)
    if not good:
        print("# missing", sorted(want - set(seen(readers)))[:20])
    return good


def twice(readers):
    values = seen(readers)
    found = [value for at, value in enumerate(values[1:]) if value == values[at]]
    if found:
        print("# twice", found[:20], [(reader.node.id, len(set(found) & set(reader.values))) for reader in readers])
    return found


def once(readers):
    return not twice(readers)


def lag(node):
    """Records of the topic that are not committed yet, -1 not known"""
    try:
        told = json.loads(node.run("group", "describe", "g", "--json"))[0]["offsets"]
    except RuntimeError:
        return -1
    return sum(part["log_end_offset"] - max(part["committed_offset"] or 0, 0) for part in told)


def remote(nodes):
    """Of a topic whose partitions have one replica each: every node is a full view of it."""
    nodes[0].run("topic", "create", "u", "--partitions", str(PARTITIONS), "--replication-factor", "1")
    count = 0
    for node in nodes:
        with open(f"/dev/{node.name}/u/all", "wb", buffering=0) as device:
            for count in range(count + 1, count + 201):
                device.write(b"%d\n" % count)
    every = [Reader(node, "u/all") for node in nodes]
    say(wait_for(lambda: all(seen([reader]) == list(range(1, count + 1)) for reader in every)), "every node has all records, once")
    members_ = [Reader(node, "u/@h") for node in nodes]
    say(wait_for(lambda: len(set(seen(members_))) == count), "members on all nodes have all of it between them")
    say(wait_for(lambda: {one["node"] for one in shares(nodes)} == {node.id for node in nodes}), "each has a part")
    with open(f"/dev/{nodes[0].name}/u/all", "wb", buffering=0) as device:
        before = [len(reader.values) for reader in members_]
        for count in range(count + 1, count + 201):
            device.write(b"%d\n" % count)
    say(wait_for(lambda: all(len(reader.values) > had for reader, had in zip(members_, before))), "and reads what comes")
    nodes[0].run("topic", "delete", "u")
    say(all(reader.ended() for reader in every + members_), "it is deleted: all end")


def shares(nodes):
    """Members of group h that have partitions"""
    try:
        told = json.loads(same_coordinator(nodes, "h").run("group", "describe", "h", "--json"))[0]["members"]
    except RuntimeError:
        return []
    return [one for one in told if one["partitions"]]


def main(nodes):
    one = nodes[0]
    one.run("topic", "create", "t", "--partitions", str(PARTITIONS), "--replication-factor", "3")
    say(all(whole(nodes, "t", number) for number in range(PARTITIONS)), "a topic")

    remote(nodes)
    readers = [Reader(one)]
    say(shared(nodes, readers), "a member, on one node, has all of it")
    readers.append(Reader(nodes[1]))
    readers.append(Reader(nodes[2]))
    say(shared(nodes, readers), "members on each node share it")
    writers = [Writer(node) for node in nodes]
    say(all(writer.writes() for writer in writers), "there is something to read")
    readers.append(Reader(nodes[1]))
    say(shared(nodes, readers), "one more on a node: all have less")
    say(all(writer.writes() for writer in writers), "all write on")

    say(once(readers), "until now each record came once")

    first = same_coordinator(nodes, "g")
    other = next(node for node in nodes if node is not first)
    killed = [Reader(other)]
    say(shared(nodes, readers + killed), "a fifth")
    killed[0].kill()
    say(shared(nodes, readers), "is killed: the others have what it had")
    say(all(writer.writes() for writer in writers) and all_read(readers + killed, writers), "and go on")

    # One writer stays where nobody dies from here on.
    say(all(writer.stop() for writer in writers), "the writers end")
    say(all_read(readers + killed, writers), "no record is lost")
    say(wait_for(lambda: lag(first) == 0), "all of it is committed")
    writers.append(Writer(other))
    say(writers[-1].writes(), "one writes again")
    equal("the coordinator stops", first.stop_broker().returncode, 0)
    stopped = [reader for reader in readers if reader.node is first]
    say(all(reader.ended() for reader in stopped), "its members get the end of the file")
    killed += stopped
    rest = [node for node in nodes if node is not first]
    readers = [reader for reader in readers if reader.node is not first]
    say(shared(rest, readers), "the others share all of it under another coordinator")
    say(writers[-1].writes() and all_read(readers + killed, writers), "and go on")
    say(not twice(readers), "none of them was given what another had")

    first.start_broker()
    say(whole(nodes, OFFSETS, partition_of("g")) and all(whole(nodes, "t", number) for number in range(PARTITIONS)),
        "it comes back")
    readers.append(Reader(first))
    say(shared(nodes, readers), "with a member")
    say(writers[-1].writes() and all_read(readers + killed, writers), "all go on")

    second = same_coordinator(nodes, "g")
    if second is other:
        say(writers[-1].stop(), "the writer goes elsewhere")
        writers.append(Writer(next(node for node in nodes if node is not second)))
    lost = [reader for reader in readers if reader.node is second]
    second.link("down")
    second.kill_daemon()
    rest = [node for node in nodes if node is not second]
    readers = [reader for reader in readers if reader.node is not second]
    say(shared(rest, readers), "the coordinator is cut off: the others have all of it")
    say(writers[-1].writes() and all_read(readers + killed + lost, writers), "and go on")
    second.link("up")
    second.start_daemon()
    readers += lost
    say(shared(nodes, readers), "it is back, with its members")
    say(writers[-1].writes() and writers[-1].stop() and all_read(readers + killed, writers), "all go on to the end")
    say(wait_for(lambda: lag(same_coordinator(nodes, "g")) == 0), "all is committed")


if __name__ == "__main__":
    run(main)
