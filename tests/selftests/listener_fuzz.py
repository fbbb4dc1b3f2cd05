#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""Clients that send what other implementations write, bent here and there, in
pipelines cut anywhere, and that go away in the middle, while listeners come and
go, topics are made and deleted, limits change and the broker stops and starts.
The kernel stays silent, each record that was acknowledged to an honest client
among them is read back, and no connection and no memory is left behind.
"""
import json
import os
import random
import re
import socket
import struct
import threading
import time

from device_lib import DIR, batch, batch_records, equal, kbroker, run, say, topic, wait_for
from listener_client import ADDRESS, Connection, array, blob, string

SEED, SECONDS = 1, 12
PORTS = (ADDRESS[1], ADDRESS[1] + 1)
WORKERS = 6
KEPT = "kept-for-the-honest"
TOPICS = ("f0", "f1", "f2")
PRODUCE, FETCH, CREATE_TOPICS, CREATE_PARTITIONS = 0, 1, 19, 37
# whose numbers, bent, would make thousands of partitions
UNBENT = (CREATE_TOPICS, CREATE_PARTITIONS)
INTERESTING = (0, 1, -1, 2, 7, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, -0x80000000)


def vectors():
    """(key, version, body) of requests, from the vectors of the codec's tests."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "kmod", "tests", "proto_vectors.h")
    with open(path, encoding="ascii") as stream:
        text = stream.read()
    found = re.findall(r"\{ (\d+), (\d+), false,\s*((?:\"[^\"]*\"\s*)+)", text)
    return [(int(key), int(version), bytes.fromhex(re.sub(r"[^0-9a-f]", "", body)))
            for key, version, body in found if int(key) not in UNBENT]


def of_our_topics(rng, batches):
    """A request that gets further than to "there is no such topic"."""
    name = rng.choice(TOPICS)
    kind = rng.randrange(6)
    if kind < 2:
        body = string(None) + struct.pack(">hi", rng.choice((-1, 0, 1)), rng.choice((0, 10, 30000)))
        return PRODUCE, rng.randrange(3, 8), body + array([string(name) + array([struct.pack(">i", rng.randrange(3)) + blob(rng.choice(batches))])])
    if kind < 4:
        version = rng.choice((4, 7))
        body = struct.pack(">iiiib", -1, rng.choice((0, 20, 60000)), rng.choice((0, 1, 1 << 20)), rng.choice((1, 1 << 20)), 0)
        body += struct.pack(">ii", rng.choice((0, 0, 1)), rng.choice((-1, 0, 1))) if version == 7 else b""
        log_start = struct.pack(">q", -1) if version == 7 else b""
        body += array([string(name) + array([struct.pack(">iq", part, rng.randrange(5)) + log_start + struct.pack(">i", 1 << 20)
                                             for part in range(rng.randrange(1, 4))])])
        return FETCH, version, body + (array([]) if version == 7 else b"")
    if kind == 4:
        return CREATE_TOPICS, 2, array([string(name) + struct.pack(">ih", 3, 1) + array([]) + array([])]) + struct.pack(">i?", rng.choice((0, 5000)), False)
    return 20, 1, array([string(name)]) + struct.pack(">i", rng.choice((0, 5000)))


def bend(rng, data):
    data = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        way = rng.randrange(5)
        if way == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            number = struct.pack(">i", rng.choice(INTERESTING) if rng.randrange(2) else rng.getrandbits(31))
            data[at:at + 4] = number
        elif way == 2:
            data[at:at + 2] = struct.pack(">H", rng.choice(INTERESTING) & 0xffff)
        elif way == 3:
            del data[at:at + rng.randrange(1, 20)]
        else:
            data[at:at] = data[:rng.randrange(1, 40)]
    return bytes(data)


class Fuzzer(threading.Thread):
    """One client after the other, until the end."""

    def __init__(self, number, corpus, end):
        super().__init__(daemon=True)
        self.rng = random.Random(SEED * 1000 + number)
        self.port = PORTS[number % 2]
        self.batches = [batch([self.rng.randbytes(self.rng.randrange(2000)) for _ in range(self.rng.randrange(1, 4))])
                        for _ in range(10)]
        self.corpus, self.end = corpus, end
        self.clients = 0
        self.start()

    def frame(self):
        rng = self.rng
        key, version, body = rng.choice(self.corpus) if rng.randrange(3) else of_our_topics(rng, self.batches)
        if key not in UNBENT and not rng.randrange(3):
            body = bend(rng, body)
        head = struct.pack(">hhi", key, version, rng.getrandbits(31)) + string("fuzz")
        if not rng.randrange(40):
            head = bend(rng, head) if key not in UNBENT else head[:5]
        size = len(head) + len(body)
        if not rng.randrange(60):
            size = rng.choice((size + 1, size - 1, rng.choice(INTERESTING)))
        return struct.pack(">i", size) + head + body

    def talk(self, sock):
        rng = self.rng
        data = b"".join(self.frame() for _ in range(rng.choice((1, 2, 5, 40, 100))))
        if not rng.randrange(3):
            data = data[:rng.randrange(len(data))]
        at = 0
        while at < len(data):
            piece = data[at:at + rng.choice((1, 3, 100, 5000, 100000))]
            if not rng.randrange(4) and at > 20:
                piece = data[at:]
            sock.sendall(piece)
            at += len(piece)
            if not rng.randrange(6):
                sock.recv(rng.randrange(1, 100000), socket.MSG_DONTWAIT)

    def leave(self, sock):
        rng = self.rng
        way = rng.randrange(5)
        if way == 0:
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass
        elif way == 1:
            sock.recv(rng.randrange(1, 1 << 16))
        elif way == 2:
            time.sleep(rng.random() / 20)
        if way != 3:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def run(self):
        while time.monotonic() < self.end:
            try:
                with socket.create_connection((ADDRESS[0], self.port), timeout=2) as sock:
                    self.clients += 1
                    try:
                        self.talk(sock)
                    except BlockingIOError:
                        pass
                    self.leave(sock)
            except OSError:
                # closed on us, full, or there is no listener just now
                time.sleep(0.01)


class Honest(threading.Thread):
    """Writes numbers and remembers those that were acknowledged."""

    def __init__(self, end):
        super().__init__(daemon=True)
        self.end = end
        self.kept = {}
        self.start()

    def run(self):
        number = 0
        while time.monotonic() < self.end:
            try:
                c = Connection()
                c.socket.settimeout(10)
                while time.monotonic() < self.end:
                    number += 1
                    error, base, _ = c.produce(KEPT, 0, batch((b"%d" % number,)))
                    if not error:
                        self.kept[base] = batch_records((b"%d" % number,))
            except (OSError, EOFError, struct.error):
                time.sleep(0.02)


def quietly(*argv):
    try:
        return kbroker(*argv)
    except RuntimeError:
        return ""


def start_listening():
    for port in PORTS:
        quietly("listener", "add", f"{ADDRESS[0]}:{port}")


def disturb(rng):
    way = rng.randrange(8)
    if way < 2:
        for one in json.loads(quietly("listener", "list", "--json") or "[]")[way:way + 1]:
            quietly("listener", "del", str(one["listener"]))
        start_listening()
    elif way == 2:
        quietly("topic", "delete", rng.choice(TOPICS))
    elif way == 3:
        for one in json.loads(quietly("connection", "list", "--json") or "[]")[:3]:
            quietly("connection", "close", str(one["connection"]))
    elif way == 4:
        quietly("broker", "alter", "--config", "queued.max.request.bytes=%d" % rng.choice((1 << 20, 256 << 20)))
    elif way == 5:
        quietly("broker", "alter", "--config", "max.connections=%d" % rng.choice((3, 20000)))
    elif way == 6:
        kbroker("broker", "stop")
        kbroker("broker", "start", "--dir", DIR)
        start_listening()
    for name in TOPICS:
        quietly("topic", "create", name, "--partitions", "3")


def unreclaimable():
    with open("/proc/meminfo", encoding="ascii") as stream:
        info = dict(line.split(":") for line in stream)
    return sum(int(info[name].split()[0]) for name in ("SUnreclaim", "VmallocUsed")) << 10


def connections():
    return json.loads(kbroker("connection", "list", "--json"))


def storm(seconds):
    end = time.monotonic() + seconds
    honest = Honest(end)
    corpus = vectors()
    fuzzers = [Fuzzer(number, corpus, end) for number in range(WORKERS)]
    rng = random.Random(SEED)
    while time.monotonic() < end:
        disturb(rng)
        time.sleep(rng.random() / 5)
    for thread in fuzzers + [honest]:
        thread.join(90)
    say(not any(thread.is_alive() for thread in fuzzers + [honest]), "all clients come to their end")
    print(f"# {sum(fuzzer.clients for fuzzer in fuzzers)} clients, {len(honest.kept)} records acknowledged", flush=True)
    return honest.kept


def parse(data):
    """(base offset, records) of each batch"""
    out = []
    while data:
        base, length = struct.unpack_from(">qi", data)
        out.append((base, data[61:12 + length]))
        data = data[12 + length:]
    return out


def prepare():
    kbroker("broker", "alter", "--config", "auto.create.topics.enable=false")
    topic(KEPT)
    for name in TOPICS:
        topic(name, 3)
    start_listening()


def attack(seconds):
    storm(seconds / 4)
    before = unreclaimable()
    kept = storm(seconds)
    for config in ("max.connections", "queued.max.request.bytes"):
        quietly("broker", "alter", "--delete-config", config)
    start_listening()
    say(wait_for(lambda: not connections(), 60), "no connection is left behind")
    say(wait_for(lambda: unreclaimable() - before < 16 << 20, 60), "and no memory was lost")
    c = Connection()
    found, offset = {}, min(kept, default=0)
    while offset <= max(kept, default=-1):
        error, _, data = c.fetch(KEPT, 0, offset)
        if error or not data:
            raise RuntimeError(f"error {error} at {offset}")
        for first, records in parse(data):
            found[first] = records
            offset = first + 1
    equal("each record that was acknowledged is there", {base: found.get(base) for base in kept}, kept)
    c.close()


def main():
    prepare()
    attack(SECONDS)


if __name__ == "__main__":
    run(main)
