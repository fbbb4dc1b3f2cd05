#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 1200
"""5,000 connections, most of them idle: what one costs in memory, that the few
busy ones are served as if they were alone, and that nothing is left of them.

Both ends of a connection are on this machine. What one end of an ordinary program
costs is known from as many connections to such a one; the rest is the broker's end."""
import json
import os
import resource
import socket
import struct
import threading
import time

from device_lib import batch, batch_records, equal, kbroker, run, say, topic, wait_for
from listener_client import ADDRESS, Connection, listen

COUNT = int(os.environ.get("KBROKER_CONNECTIONS", 5000))
BUSY = 50
API_VERSIONS = 18


def settled():
    """Bytes of slab and vmalloc that can't be reclaimed, once RCU has freed what it will."""
    last = None
    for _ in range(60):
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as out:
            out.write("3")
        with open("/proc/meminfo", encoding="ascii") as lines:
            info = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines}
        now = info["SUnreclaim"] + info["VmallocUsed"]
        if last is not None and abs(now - last) < 64 << 10:
            break
        last = now
        time.sleep(0.5)
    return now


def ordinary():
    """Bytes for each end of COUNT connections between programs."""
    server = socket.create_server(("127.0.0.1", 0), backlog=1024)
    before, ends = settled(), []
    for _ in range(COUNT):
        ends.append(socket.create_connection(server.getsockname()))
        ends.append(server.accept()[0])
    each = (settled() - before) / (2 * COUNT)
    for end in ends:
        end.close()
    server.close()
    return each


def connected():
    return json.loads(kbroker("--json", "listener", "list"))[0]["connections"]


def request(sock, number):
    body = struct.pack(">hhih", API_VERSIONS, 0, number, 4) + b"idle"
    sock.sendall(struct.pack(">i", len(body)) + body)
    size, = struct.unpack(">i", exactly(sock, 4))
    return struct.unpack(">i", exactly(sock, size)[:4])[0]


def exactly(sock, length):
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def busy(seconds):
    """Produces that BUSY connections get through in that time."""
    end, done = time.monotonic() + seconds, [0] * BUSY
    data = batch(records=batch_records((b"v" * 100,) * 10), count=10)

    def work(n):
        c = Connection()
        while time.monotonic() < end:
            if c.produce("t", 0, data, acks=1)[0] == 0:
                done[n] += 1
        c.close()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(BUSY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (3 * COUNT, 3 * COUNT))
    topic("t")
    listen()
    plain = ordinary()
    # what is made once is there
    busy(1)
    say(wait_for(lambda: connected() == 0), "the busy ones are gone")
    alone = busy(10)
    say(wait_for(lambda: connected() == 0), "and again")

    before, idle = settled(), []
    for n in range(COUNT):
        idle.append(socket.create_connection(ADDRESS, timeout=120))
        # each has been served once
        if request(idle[-1], n) != n:
            raise ValueError("a wrong answer")
    equal("all are connected", connected(), COUNT)
    whole = (settled() - before) / COUNT
    listed = json.loads(kbroker("--json", "connection", "list"))
    equal("all are listed", len(listed), COUNT)
    equal("none holds memory for requests", {one["buffered_bytes"] for one in listed}, {0})
    print(f"# {COUNT} idle connections: the broker's end takes {whole - plain:.0f} bytes with its socket, "
          f"a program's {plain:.0f}")
    say(0 < whole - plain <= 16384, "an idle connection costs at most 16 KiB, its socket included")

    among = busy(10)
    print(f"# {BUSY} busy connections: {sum(alone)} requests alone, {sum(among)} among the idle ones")
    say(min(among) > 0, "every busy one is served among them")
    answered = sum(request(sock, n) == n for n, sock in enumerate(idle))
    equal("every idle one is served, too", answered, COUNT)
    for sock in idle:
        sock.close()
    say(wait_for(lambda: connected() == 0, 120), "all have gone")
    left = settled() - before
    print(f"# {left} bytes are left")
    say(left < COUNT * 1024, "and so has their memory")


run(main)
