#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""A leader that knows the secret and can't be trusted: frames that are cut off, lie
about their length or are none, closes in the middle of an answer, answers to
nobody's question, wrong proofs. The follower takes none of it, comes again and
again, less and less often, and copies the log once the leader behaves.
"""
import hashlib
import hmac
import os
import socket
import struct
import time

from cluster_lib import join, run, s32, u64
from device_lib import batch, equal, say, wait_for
from nlclient import K, attr, be, parse, u16

UUID = bytes(range(64, 80))
HOSTILE, PORT, EPOCH = 4, 9099, 14
FETCH, HANDSHAKE, AUTHENTICATE = 1, 17, 36


class Gone(Exception):
    """The follower has closed."""


class Leader:
    """Node 4, as far as a follower sees it."""

    def __init__(self, socket_, secret):
        self.socket, self.secret, self.connection = socket_, secret, None

    def exactly(self, length):
        got = b""
        while len(got) < length:
            try:
                part = self.connection.recv(length - len(got))
            except ConnectionResetError:
                part = b""
            if not part:
                raise Gone
            got += part
        return got

    def request(self, key):
        """The next one, which must be @key: its correlation id and body."""
        frame = self.exactly(struct.unpack(">i", self.exactly(4))[0])
        got, _, correlation, client = struct.unpack_from(">hhih", frame)
        if got != key:
            raise ValueError(f"API {got}, not {key}")
        return correlation, frame[10 + client:]

    def say(self, frame, length=None):
        self.connection.sendall(struct.pack(">i", len(frame) if length is None else length) + frame)

    def mac(self, label, said):
        return hmac.new(self.secret, label + said, hashlib.sha256).digest()

    def accept(self, secret=None, number=HOSTILE):
        """The follower connects, and both prove what they are, as far as @secret and @number are right."""
        self.connection, _ = self.socket.accept()
        self.connection.settimeout(60)
        correlation, _ = self.request(HANDSHAKE)
        self.say(struct.pack(">ihih", correlation, 0, 1, 15) + b"KBROKER-CLUSTER")
        correlation, body = self.request(AUTHENTICATE)
        hello, mine = body[4:], struct.pack(">iq", number, EPOCH) + os.urandom(32)
        mac = self.mac(b"kbroker server", hello + mine) if secret is None else \
            hmac.new(secret, b"kbroker server" + hello + mine, hashlib.sha256).digest()
        self.say(struct.pack(">ihhi", correlation, 0, -1, 76) + mine + mac + bytes(8))
        correlation, body = self.request(AUTHENTICATE)
        if not hmac.compare_digest(body[4:], self.mac(b"kbroker client", hello + mine)):
            raise ValueError("the follower's proof is wrong")
        self.say(struct.pack(">ihhi", correlation, 0, -1, 0) + bytes(8))

    def closed(self):
        """Does the follower close, soon?"""
        try:
            while self.connection.recv(4096):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True

    def close(self):
        self.connection.close()


def uvarint(value):
    out = b""
    while value > 127:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))


def answer(correlation, records=b"", hw=0, session=7):
    """To a Fetch of version 12, for partition 0 of "t"."""
    return (struct.pack(">i", correlation) + b"\0" + struct.pack(">ihi", 0, 0, session) + b"\2\2t\2" +
            struct.pack(">ihqqq", 0, 0, hw, hw, 0) + b"\0" + struct.pack(">i", -1) + uvarint(len(records) + 1) + records +
            b"\0\0\0")


def led(data, offset, epoch=0):
    """@data as the leader of @epoch has it."""
    return struct.pack(">q", offset) + data[8:12] + struct.pack(">i", epoch) + data[16:]


RECORDS = led(batch((b"one", b"two")), 0) + led(batch((b"three",)), 2)

# What it says instead of an answer: (what, function of the correlation id giving (frame, length), does it close itself?)
LIES = (
    ("a frame of 2 GB", lambda c: (answer(c), 0x7fffffff), False),
    ("one of a negative length", lambda c: (answer(c), -2), False),
    ("one that has no room for a correlation id", lambda c: (b"\0\0\0", None), False),
    ("one with nothing but that", lambda c: (struct.pack(">i", c), None), False),
    ("one that is cut off, and seems whole", lambda c: (answer(c, RECORDS, 3)[:-30], None), False),
    ("one that is random", lambda c: (struct.pack(">i", c) + os.urandom(400), None), False),
    ("one that nobody asked for", lambda c: (answer(c + 1, RECORDS, 3), None), False),
    ("one that was answered already", lambda c: (answer(c - 1, RECORDS, 3), None), False),
    ("more topics than there are bytes", lambda c: (answer(c)[:15] + b"\xff\xff\xff\xff\x07" + answer(c)[16:], None), False),
    ("an end in the middle of an answer", lambda c: (answer(c, RECORDS, 3)[:60], len(answer(c, RECORDS, 3))), True),
    ("an end behind a length", lambda c: (b"", 1 << 20), True),
)


def main(one, two, three):
    secret = os.urandom(32)
    join((one, two, three), secret)
    leader = Leader(two.in_namespace(lambda: socket.create_server((two.address, PORT))), secret)
    one.run("broker", "alter", "--config", "replica.fetch.backoff.ms=200")
    one.client.ask(K["KBROKER_CMD_PEER_NEW"],
                   s32(K["KBROKER_A_PEER_ID"], HOSTILE) + u64(K["KBROKER_A_PEER_EPOCH"], EPOCH) +
                   attr(K["KBROKER_A_PEER_ADDRESS"], two.address) + u16(K["KBROKER_A_PEER_PORT"], PORT))
    one.topic("t", UUID)
    one.replica("t", UUID, HOSTILE, 0, 0, (1, HOSTILE), (1, HOSTILE))
    leader.socket.settimeout(60)

    for what, wrong in (("another secret", {"secret": os.urandom(32)}), ("another broker's number", {"number": 5})):
        try:
            leader.accept(**wrong)
            say(False, f"a leader with {what} is left")
        except Gone:
            say(True, f"a leader with {what} is left")
        leader.close()

    for what, make, ends in LIES:
        leader.accept()
        correlation, _ = leader.request(FETCH)
        frame, length = make(correlation)
        leader.say(frame, length)
        if ends:
            leader.close()
        say(ends or leader.closed(), f"{what}: the connection ends")
        leader.close()
        equal("and nothing is written", one.log(), b"")

    since = time.monotonic()
    leader.accept()
    say(time.monotonic() - since >= 0.15, "after so many failures in a row it takes its time")

    # records that are wrong: the connection stays, the partition rests
    correlation, _ = leader.request(FETCH)
    for _ in range(5):
        since = time.monotonic()
        leader.say(answer(correlation, RECORDS[:40] + b"\xff" + RECORDS[41:], 3))
        correlation, _ = leader.request(FETCH)
    say(time.monotonic() - since >= 0.15, "a partition with wrong records is asked for again, and less and less often")
    equal("and nothing is written of them", one.log(), b"")
    leader.say(answer(correlation, RECORDS, 3))
    say(wait_for(lambda: one.log() == RECORDS), "what is right is")

    # it tells of what reached its disk
    correlation, _ = leader.request(FETCH)
    leader.say(answer(correlation, b"", 3))
    correlation, _ = leader.request(FETCH)
    leader.close()
    leader.accept()
    correlation, body = leader.request(FETCH)
    say(b"\x02t" in body and struct.pack(">q", 3) in body, "after an end it goes on where it was")
    more = led(batch((b"four",)), 3)
    leader.say(answer(correlation, more, 99))
    say(wait_for(lambda: one.log() == RECORDS + more), "and has all in the end")
    peer = parse(one.client.ask(K["KBROKER_CMD_PEER_GET"], s32(K["KBROKER_A_PEER_ID"], HOSTILE))[0][1])
    equal("bytes that netlink tells of", be(peer[K["KBROKER_A_PEER_BYTES"]]), len(RECORDS + more))
    leader.close()
    leader.socket.close()


run(main)
