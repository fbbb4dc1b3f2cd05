#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
"""What no client should send to a listener: frames cut short, too long, lying
about their lengths, of APIs and versions that are not served; floods, storms,
connections that are half-closed, reset or never read. Each ends in an answer or
in the end of that connection alone: meanwhile another client is served, and
afterwards no memory is held.
"""
import json
import random
import socket
import struct
import threading
import time

from device_lib import equal, kbroker, run, say, topic, wait_for

PORT = 9292
PRODUCE, FETCH, METADATA, API_VERSIONS = 0, 1, 3, 18
PATIENCE = 60
rng = random.Random(1)


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def frame(key, version, body=b"", correlation=1, client="hostile"):
    data = struct.pack(">hhi", key, version, correlation) + text(client) + body
    return struct.pack(">i", len(data)) + data


def fetch(name, offset=0, wait_ms=0, min_bytes=1, max_bytes=1 << 20, correlation=1):
    body = struct.pack(">iiiib", -1, wait_ms, min_bytes, max_bytes, 0)
    body += struct.pack(">i", 1) + text(name) + struct.pack(">iiqi", 1, 0, offset, max_bytes)
    return frame(FETCH, 4, body, correlation)


def connect():
    sock = socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def receive(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(min(size - len(data), 1 << 16))
        if not piece:
            raise EOFError
        data += piece
    return data


def reply(sock):
    """The next reply: correlation id and body."""
    size, = struct.unpack(">i", receive(sock, 4))
    data = receive(sock, size)
    return struct.unpack(">i", data[:4])[0], data[4:]


def is_closed(sock):
    """Does the other end close it, without a word?"""
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True
    finally:
        sock.close()


def is_refused():
    """Is a new connection closed? It may be so before connect() returns."""
    try:
        return is_closed(connect())
    except ConnectionError:
        return True


def closes(name, data):
    sock = connect()
    sock.sendall(data)
    say(is_closed(sock), name)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def connections():
    return json.loads(kbroker("connection", "list", "--json"))


def listener():
    return json.loads(kbroker("listener", "list", "--json"))[0]


class Bystander(threading.Thread):
    """A client like any other, which wants to be served all the time."""

    def __init__(self):
        super().__init__(daemon=True)
        self.served = 0
        self.slowest = 0.0
        self.error = None
        self.stop = False
        self.start()

    def run(self):
        try:
            sock = connect()
            while not self.stop:
                begin = time.monotonic()
                sock.sendall(frame(API_VERSIONS, 0, b"", self.served, "bystander"))
                correlation, body = reply(sock)
                if correlation != self.served or body[:2] != b"\0\0":
                    raise ValueError("a wrong answer")
                self.slowest = max(self.slowest, time.monotonic() - begin)
                self.served += 1
                time.sleep(0.005)
            sock.close()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error


def lies():
    before = listener()["malformed"]
    for size in (-1, -0x80000000, 0, 7, 104857601, 0x7fffffff):
        closes(f"a frame of {size} bytes ends its connection", struct.pack(">i", size) + b"\0" * 16)
    closes("an unknown API ends its connection", frame(999, 0))
    closes("a negative API ends its connection", frame(-2, 0))
    closes("an unknown version ends its connection", frame(FETCH, 99))
    closes("a negative version ends its connection", frame(FETCH, -1))
    closes("a client id that is longer than the frame ends its connection",
           struct.pack(">ihhih", 10, FETCH, 4, 1, 0x7fff))
    head = struct.pack(">iiiib", -1, 0, 1, 1 << 20, 0)
    for count in (0x7fffffff, 2000000000, 1000, -2):
        closes(f"an array of {count} topics that are not there ends its connection",
               frame(FETCH, 4, head + struct.pack(">i", count)))
    closes("an array of two billion partitions ends its connection",
           frame(FETCH, 4, head + struct.pack(">i", 1) + text("t") + struct.pack(">i", 2000000000)))
    closes("records that are longer than the frame end its connection",
           frame(PRODUCE, 3, struct.pack(">hhii", -1, 1, 1000, 1) + text("t") + struct.pack(">iii", 1, 0, 0x7fffffff)))
    equal("each was counted", listener()["malformed"] - before, 17)

    sock = connect()
    sock.sendall(frame(API_VERSIONS, 77, correlation=5))
    equal("a version of ApiVersions from the future is told which there are", reply(sock),
          (5, struct.pack(">hihhh", 35, 1, 18, 0, 3)))
    sock.sendall(frame(API_VERSIONS, 0, correlation=6))
    correlation, body = reply(sock)
    equal("and the connection goes on", (correlation, body[:2]), (6, b"\0\0"))
    sock.close()

    good = fetch("t")
    for _ in range(60):
        bad = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(4, len(bad))] = rng.randrange(256)
        sock = connect()
        sock.sendall(bad[:rng.randrange(4, len(bad) + 1)])
        sock.shutdown(socket.SHUT_WR)
        try:
            while sock.recv(4096):
                pass
        except ConnectionError:
            pass
        sock.close()
    say(True, "a fetch with bytes changed and cut off is answered or ended")


def claims():
    socks = []
    for _ in range(50):
        sock = connect()
        # 100 MB are announced, a little comes
        sock.sendall(struct.pack(">i", 100 << 20) + b"\0" * 5000)
        socks.append(sock)
    mine = {"%s:%d" % sock.getsockname() for sock in socks}

    def held():
        return [c["buffered_bytes"] for c in connections() if c["peer"] in mine and c["received_bytes"] == 5004]
    if say(wait_for(lambda: len(held()) == 50, PATIENCE), "what was announced was begun to be received"):
        say(max(held()) <= 1 << 17, "announcing 100 MB makes nobody allocate them")
    for sock in socks:
        sock.close()


def pieces():
    sock = connect()
    for byte in frame(API_VERSIONS, 0, b"", 77):
        sock.sendall(bytes((byte,)))
    equal("a request that comes byte by byte is a request", reply(sock)[0], 77)
    data = b"".join(frame(API_VERSIONS, 0, b"", i) for i in range(500))
    for at in range(0, len(data), 333):
        sock.sendall(data[at:at + 333])
    equal("requests cut anywhere are answered in order", [reply(sock)[0] for _ in range(500)], list(range(500)))
    sock.sendall(frame(API_VERSIONS, 0, b"", 1) + frame(API_VERSIONS, 0, b"", 2)[:9])
    sock.shutdown(socket.SHUT_WR)
    equal("what came whole before the end is answered", reply(sock)[0], 1)
    say(is_closed(sock), "and then the connection ends")
    sock = connect()
    sock.sendall(fetch("t", offset=1 << 20, wait_ms=600000, min_bytes=1 << 20, correlation=9) +
                 fetch("t", wait_ms=600000, min_bytes=1 << 30, max_bytes=1 << 30, correlation=10))
    sock.shutdown(socket.SHUT_WR)
    equal("a client that has closed its half does not wait for what may come", reply(sock)[0], 9)
    sock.close()


def floods():
    """Requests without end, and nobody reads the answers."""
    sock = connect()
    sock.settimeout(1)
    data = b"".join(fetch("t", max_bytes=1 << 20, correlation=i) for i in range(200))
    sent = 0
    try:
        while sent < 64 << 20:
            sent += sock.send(data)
    except TimeoutError:
        pass
    say(sent < 64 << 20, "who does not read the answers can't ask for ever")
    name = "%s:%d" % sock.getsockname()
    mine = [c for c in connections() if c["peer"] == name][0]
    say(mine["in_flight"] <= 64, "a connection has 64 requests in flight at most")
    say(mine["buffered_bytes"] < 16 << 20, "and holds a bounded piece of memory")
    reset(sock)

    for _ in range(30):
        sock = connect()
        sock.sendall(fetch("t") * 4)
        sock.recv(rng.randrange(1, 100000))
        reset(sock)
    say(True, "connections reset in the middle of a reply")


def storms():
    before = listener()["accepted"]
    for _ in range(4):
        socks = [connect() for _ in range(100)]
        for number, sock in enumerate(socks):
            if number % 3 == 0:
                sock.sendall(frame(API_VERSIONS, 0, b"", number))
            elif number % 3 == 1:
                sock.sendall(fetch("t", offset=0, wait_ms=600000, min_bytes=1 << 30))
        for number, sock in enumerate(socks):
            if number % 3 == 0 and reply(sock)[0] != number:
                raise ValueError("a wrong answer")
        for number, sock in enumerate(socks):
            if number % 2:
                reset(sock)
            else:
                sock.close()
    equal("400 connections were accepted", listener()["accepted"] - before, 400)
    idle = [connect() for _ in range(200)]
    wait_for(lambda: listener()["connections"] >= 201, PATIENCE)
    names = {"%s:%d" % sock.getsockname() for sock in idle}
    equal("200 idle ones hold no memory for frames", {c["buffered_bytes"] for c in connections() if c["peer"] in names}, {0})
    for sock in idle:
        sock.close()


def limits():
    # the bystander is one of these
    kbroker("broker", "alter", "--config", "max.connections=4")
    wait_for(lambda: listener()["connections"] == 1, PATIENCE)
    socks = [connect() for _ in range(3)]
    for sock in socks:
        sock.sendall(frame(API_VERSIONS, 0))
        reply(sock)
    say(is_refused(), "a connection beyond max.connections is closed")
    equal("and counted", listener()["refused"], 1)
    kbroker("broker", "alter", "--delete-config", "max.connections", "--config", "max.connections.per.ip=4")
    say(is_refused(), "so is one beyond max.connections.per.ip")
    kbroker("broker", "alter", "--delete-config", "max.connections.per.ip", "--config", "connections.max.idle.ms=1000")
    say(all(is_closed(sock) for sock in socks), "connections that are idle for long are closed")
    sock = connect()
    sock.sendall(fetch("t", offset=0, wait_ms=4000, min_bytes=1 << 30, max_bytes=1 << 30))
    equal("not one that waits for its answer", reply(sock)[0], 1)
    sock.close()
    sock = connect()
    sock.sendall(b"\0\0")
    say(is_closed(sock), "one that stops in the middle of a frame is")
    kbroker("broker", "alter", "--delete-config", "connections.max.idle.ms")
    sock = connect()
    wait_for(lambda: len(connections()) == 2, PATIENCE)
    kbroker("connection", "close", str(max(c["connection"] for c in connections())))
    say(is_closed(sock), "one can be closed by hand")


def memory():
    """Bytes of the kernel's that grow with what it holds."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        info = dict(line.split(":") for line in stream)
    return sum(int(info[name].split()[0]) for name in ("SUnreclaim", "VmallocUsed")) << 10


def all_gone():
    return wait_for(lambda: listener()["connections"] == 1, PATIENCE)


def main():
    device = topic("t")
    with open(device, "wb") as stream:
        for _ in range(40):
            stream.write(b"".join(rng.randbytes(500).hex().encode() + b"\n" for _ in range(100)))
    kbroker("listener", "add", f"127.0.0.1:{PORT}")
    bystander = Bystander()
    say(wait_for(lambda: bystander.served > 0 or bystander.error, PATIENCE), "a client is served")
    for part in (lies, claims, pieces, floods, storms):
        part()
        say(all_gone(), f"after {part.__name__} no connection is left behind")
    before = memory()
    for part in (lies, claims, floods, storms):
        part()
    say(all_gone(), "nor after all that again")
    say(wait_for(lambda: memory() - before < 8 << 20, PATIENCE), "and no memory was lost")
    limits()
    served = bystander.served
    say(wait_for(lambda: bystander.served > served + 10, PATIENCE), "the other client is still served")
    bystander.stop = True
    bystander.join(PATIENCE)
    equal("and was so all the time", bystander.error, None)
    print(f"# {bystander.served} answers, the slowest took {bystander.slowest * 1000:.0f} ms")

    sock = connect()
    sock.sendall(fetch("t", wait_ms=600000, min_bytes=1 << 30, max_bytes=1 << 30, correlation=4))
    wait_for(lambda: any(c["in_flight"] == 1 for c in connections()), PATIENCE)
    stop = threading.Thread(target=kbroker, args=("broker", "stop"))
    stop.start()
    equal("a stop answers what was asked before", reply(sock)[0], 4)
    say(is_closed(sock), "and then the connection ends")
    stop.join(PATIENCE)


run(main)
