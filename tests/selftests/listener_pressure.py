#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""Clients that push a listener to its limits, in requests that are well formed:
pipelines that nobody reads for a while, requests that cost much more than they
weigh, waits that hold memory which others need, connections that end in the
middle. What is asked for is answered or ended, and nobody else waits for it.
"""
import json
import os
import select
import socket
import struct

from device_lib import batch, batch_records, equal, gzip_, kbroker, run, say, topic, wait_for
from listener_client import ADDRESS, FETCH, LIST_OFFSETS, PRODUCE, Connection, array, blob, listen, string

METADATA, DESCRIBE_CONFIGS = 3, 32
PATIENCE = 60


def connection(c):
    """What the broker says of it; None: it is gone."""
    name = "%s:%d" % c.socket.getsockname()
    found = [one for one in json.loads(kbroker("connection", "list", "--json")) if one["peer"] == name]
    return found[0] if found else None


def impatient():
    c = Connection()
    c.socket.settimeout(PATIENCE)
    return c


def pipeline():
    """More requests than are taken at once, behind an answer that nobody reads yet."""
    node = topic("p0")
    with open(node, "wb") as stream:
        for _ in range(160):
            stream.write((b"x" * 9999 + b"\n") * 10)
    c = impatient()
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    count = 150
    c.send_fetch({"p0": {0: 0}}, version=4, maximum=16 << 20, each=16 << 20)
    for _ in range(count):
        c.send(METADATA, 1, array([string("p0")]))
    say(wait_for(lambda: connection(c)["in_flight"] == 64, PATIENCE), "as many are in flight as may be")
    answers = 0
    c.receive_fetch(4)
    try:
        while answers < count:
            c.receive()
            answers += 1
    except TimeoutError:
        pass
    equal("once they are read all are answered", answers, count)
    c.close()


def fetch_body(topics, wait_ms=0, minimum=1, padding=0):
    """Version 4; [(name, [partition])]"""
    body = struct.pack(">iiiib", -1, wait_ms, minimum, 1 << 20, 0)
    body += array([string(name) + array([struct.pack(">iqi", part, 0, 1 << 20) for part in parts])
                   for name, parts in topics])
    return body + bytes(padding)


def heavy():
    """Little to send, much to do."""
    c = impatient()
    c.send(FETCH, 4, fetch_body([("n" * 32767, [0] * 3000)]))
    say(c.closed(), "a name that no topic can have is not remembered for each of 3000 partitions")

    c = impatient()
    names = struct.pack(">i", 4000000) + bytes(8000000)
    c.send(DESCRIBE_CONFIGS, 1, struct.pack(">ib", 1, 2) + string("p0") + names + b"\0")
    reader = c.receive()
    reader.take("ii")
    equal("four million names of configs are not looked for", reader.take("h"), 42)
    c.close()

    c = impatient()
    looked = [struct.pack(">iiq", 0, -1, 1 << 40)] * 500000
    c.send(LIST_OFFSETS, 5, struct.pack(">ib", -1, 0) + array([string("p0") + array(looked)]))
    wait_for(lambda: connection(c)["received_bytes"] > 8000000, PATIENCE)
    kbroker("connection", "close", str(connection(c)["connection"]))
    say(wait_for(lambda: not connection(c), 20), "half a million searches end with their connection")
    c.close()
    # 8 KiB each, which unpack to 8 MiB
    bomb = batch((), records=gzip_(batch_records((bytes(8 << 20),))), count=1, attributes=1)
    c = impatient()
    body = string(None) + struct.pack(">hi", 1, 60000)
    c.send(PRODUCE, 7, body + array([string("p0") + array([struct.pack(">i", 0) + blob(bomb)] * 1500)]))
    wait_for(lambda: connection(c)["requests"], PATIENCE)
    kbroker("connection", "close", str(connection(c)["connection"]))
    say(wait_for(lambda: not connection(c), 20), "so do batches that unpack to twelve gigabytes")
    c.close()
    c = impatient()
    c.send(METADATA, 1, bytes(4) + bytes(9 << 20))
    say(c.closed(), "only a Produce may weigh more than 8 MiB")


def hoard():
    """Requests that wait while others need the memory that they hold."""
    kbroker("broker", "alter", "--config", "queued.max.request.bytes=1048576")
    topic("p1", 20)
    idle = []
    for _ in range(4):
        c = impatient()
        c.send(FETCH, 4, fetch_body([("p1", range(20))], wait_ms=900000, padding=700000))
        idle.append(c)
    other = impatient()
    say(wait_for(lambda: all(connection(c)["in_flight"] for c in idle), PATIENCE), "fetches wait")
    other.send(METADATA, 1, array([string("p1")]))
    other.receive()
    say(True, "and another client is answered meanwhile")
    for c in idle:
        c.close()
    other.close()
    kbroker("broker", "alter", "--delete-config", "queued.max.request.bytes")


def raised():
    """Who waits for memory goes on once the limit is raised."""
    kbroker("broker", "alter", "--config", "queued.max.request.bytes=1048576")
    size = 900000
    stuck = [impatient() for _ in range(2)]
    for c in stuck:
        c.socket.sendall(struct.pack(">i", size) + bytes(size - 9999))
        wait_for(lambda c=c: connection(c)["received_bytes"] > size - 9999, PATIENCE)
    other = impatient()
    other.send(METADATA, 1, array([string("p0")]))

    def answered(tries):
        for _ in range(tries):
            for c in stuck:
                c.socket.send(b"\0")     # or they are closed after ten seconds
            if select.select([other.socket], [], [], 0.1)[0]:
                return True
        return False
    say(not answered(20), "two requests under way hold all memory, a third one waits")
    kbroker("broker", "alter", "--config", "queued.max.request.bytes=16777216")
    say(answered(PATIENCE * 10), "until there may be more of it")
    other.receive()
    equal("and the two go on", [bool(connection(c)) for c in stuck], [True, True])
    for c in stuck + [other]:
        c.close()
    kbroker("broker", "alter", "--delete-config", "queued.max.request.bytes")


def farewell():
    """What was sent with acks=0 counts, though the client has gone."""
    kbroker("broker", "alter", "--config", "log.unsynced.bytes.max=65536")
    topic("p2")
    c = impatient()
    for _ in range(40):
        c.send_produce({"p2": {0: batch((os.urandom(30000),))}}, acks=0)
    c.close()
    other = Connection()
    say(wait_for(lambda: other.offset("p2", 0, -1)[2] == 40, PATIENCE), "nothing is lost")
    other.close()
    kbroker("broker", "alter", "--delete-config", "log.unsynced.bytes.max")


def sockets():
    """States of the broker's sockets, without those that only count their minute (TIME-WAIT)."""
    port = "%04X" % ADDRESS[1]
    with open("/proc/net/tcp", encoding="ascii") as stream:
        lines = [line.split() for line in stream][1:]
    return [state for _, local, _, state, *_ in lines if local.endswith(":" + port) and state != "06"]


def orphans():
    """A stop leaves no socket behind, whatever its clients did not read."""
    clients = []
    for _ in range(20):
        c = impatient()
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(60):
            c.send_fetch({"p0": {0: 0}}, version=4, maximum=250000, each=250000)
        clients.append(c)
    say(wait_for(lambda: all(connection(c)["in_flight"] > 10 for c in clients), PATIENCE), "clients do not read their answers")
    kbroker("broker", "stop")
    equal("the broker is gone with all its sockets", sockets(), [])
    for c in clients:
        c.close()


def main():
    listen()
    pipeline()
    heavy()
    hoard()
    raised()
    farewell()
    orphans()


run(main)
