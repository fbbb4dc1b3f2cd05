#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""One group, devices and Kafka's clients in turn: G12 and G17 of the ABI text."""
from device_lib import *
from listener_client import *

OFFSET_COMMIT, OFFSET_FETCH, JOIN, LEAVE, SYNC, DELETE = 8, 9, 11, 13, 14, 42
INCONSISTENT_GROUP_PROTOCOL, NON_EMPTY_GROUP = 23, 68
PATH = f"{DEV}/both/@g"


def find(client):
    """The coordinator's topic is made by who asks for it first."""
    client.send(10, 1, string("g") + struct.pack(">b", 0))
    reader = client.receive()
    reader.take("i")
    return reader.take("h")


def join(client, member=""):
    """(error, generation, member id)"""
    client.send(JOIN, 2, string("g") + struct.pack(">ii", 10000, 10000) + string(member) + string("consumer") +
                array([string("range") + blob(b"")]))
    reader = client.receive()
    reader.take("i")
    error, generation = reader.take("hi")
    reader.string()
    reader.string()
    return error, generation, reader.string()


def sync(client, generation, member):
    client.send(SYNC, 1, string("g") + struct.pack(">i", generation) + string(member) + array([string(member) + blob(b"x")]))
    reader = client.receive()
    reader.take("i")
    return reader.take("h")


def leave(client, member):
    client.send(LEAVE, 1, string("g") + string(member))
    reader = client.receive()
    reader.take("i")
    return reader.take("h")


def fetched(client, index):
    client.send(OFFSET_FETCH, 1, string("g") + array([string("both") + array([struct.pack(">i", index)])]))
    reader = client.receive()
    reader.take("i")
    reader.string()
    reader.take("i")
    return reader.take("iq")[1]


def commit_offset(client, index, offset, generation, member):
    client.send(OFFSET_COMMIT, 2, string("g") + struct.pack(">i", generation) + string(member) + struct.pack(">q", -1) +
                array([string("both") + array([struct.pack(">iq", index, offset) + string("")])]))
    reader = client.receive()
    reader.take("i")
    reader.string()
    reader.take("i")
    return reader.take("ih")[1]


def delete_group(client):
    client.send(DELETE, 0, array([string("g")]))
    reader = client.receive()
    reader.take("ii")
    reader.string()
    return reader.take("h")


def main():
    kbroker("broker", "alter", "--config", "group.initial.rebalance.delay.ms=0")
    nodes = topic("both", 2)
    for path in nodes:
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, b"".join(b"%d\n" % i for i in range(10)))
        os.close(fd)
    listen()
    client = Connection()
    device = open_(PATH, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    say(wait_for(lambda: find(client) == 0), "the coordinator is there")
    for _ in range(4):
        os.read(device, 4096)
    commit(device)
    equal("G12: a client does not join devices", join(client)[0], INCONSISTENT_GROUP_PROTOCOL)
    equal("G12: it sees what they have committed", sorted(fetched(client, i) for i in range(2)), [-1, 4])
    equal("G17: the group is not deleted under its members", delete_group(client), NON_EMPTY_GROUP)
    os.close(device)

    error, generation, member = join(client)
    equal("G12: it joins when they have left", error, 0)
    fails("G12: then devices are refused", errno.EBUSY, os.open, PATH, os.O_RDONLY)
    fd = os.open(f"{DEV}/both/all", os.O_RDONLY)
    fails("G12: also by JOIN_GROUP", errno.EBUSY, join_group, fd, b"g")
    os.close(fd)
    equal("G12: the client gets its share", sync(client, generation, member), 0)
    equal("G12: and commits", [commit_offset(client, i, 7, generation, member) for i in range(2)], [0, 0])
    equal("G12: until it leaves", leave(client, member), 0)

    device = open_(PATH, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    got = sorted((r["partition"], r["offset"]) for r in (parse_record(os.read(device, 4096)) for _ in range(6)))
    equal("G12: a device goes on where the client stopped", got, [(p, o) for p in range(2) for o in range(7, 10)])
    fails("P8: to the end", errno.EAGAIN, os.read, device, 4096)
    os.close(device)
    say(wait_for(lambda: [fetched(client, i) for i in range(2)] == [10, 10]), "G11: and what it counted is committed when it leaves")
    equal("G17: an empty group can be deleted", delete_group(client), 0)
    device = open_(PATH, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    equal("G10: and begins anew", parse_record(os.read(device, 4096))["offset"], 0)
    os.close(device)


run(main)
