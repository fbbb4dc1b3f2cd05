# SPDX-License-Identifier: GPL-2.0-only
"""A small Kafka client, written out from the protocol guide: only what the
tests of the listener ask for, and nothing that is shared with the module."""
import os
import socket
import struct

from device_lib import kbroker

PRODUCE, FETCH, LIST_OFFSETS, INIT_PRODUCER_ID = 0, 1, 2, 22
# another broker shows what clients may expect of any (tests/interop/lib.py)
HOST, _, PORT = os.environ.get("KBROKER_INTEROP_BOOTSTRAP", "127.0.0.1:9092").rpartition(":")
ADDRESS = (HOST, int(PORT))


def string(text):
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def blob(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def listen():
    kbroker("listener", "add", "%s:%d" % ADDRESS)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        size = struct.calcsize(">" + layout)
        values = struct.unpack_from(">" + layout, self.data, self.at)
        self.at += size
        return values[0] if len(values) == 1 else values

    def bytes(self, length):
        if length < 0:
            return None
        if len(self.data) - self.at < length:
            raise ValueError("the answer is cut")
        self.at += length
        return self.data[self.at - length:self.at]

    def string(self):
        data = self.bytes(self.take("h"))
        return None if data is None else data.decode()

    def array(self, element):
        return [element() for _ in range(max(self.take("i"), 0))]

    def end(self):
        if self.at != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes too many")


class Connection:
    """send() without waiting, receive() in order."""

    def __init__(self, address=None, timeout=120):
        self.socket = socket.create_connection(address or ADDRESS, timeout=timeout)
        self.correlation = 0
        self.expected = []

    def send(self, key, version, body, answered=True):
        self.correlation += 1
        frame = struct.pack(">hhi", key, version, self.correlation) + string("selftest") + body
        if answered:
            self.expected.append(self.correlation)
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def exactly(self, length):
        parts = []
        while length:
            part = self.socket.recv(min(length, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def receive(self):
        reader = Reader(self.exactly(struct.unpack(">i", self.exactly(4))[0]))
        if reader.take("i") != self.expected.pop(0):
            raise ValueError("answers are out of order")
        return reader

    def closed(self):
        """Does the broker close it, without another word?"""
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()

    # --- Produce ------------------------------------------------------------

    def send_produce(self, topics, acks=-1, version=7, timeout_ms=60000, transactional_id=None):
        """topics: {name: {partition: batch}}"""
        body = string(transactional_id) + struct.pack(">hi", acks, timeout_ms)
        body += array([string(name) + array([struct.pack(">i", index) + blob(data) for index, data in parts.items()])
                       for name, parts in topics.items()])
        self.send(PRODUCE, version, body, acks != 0)

    def receive_produce(self, version=7):
        """{(name, partition): (error, base offset, append time)}"""
        reader, result = self.receive(), {}
        for _ in range(reader.take("i")):
            name = reader.string()
            for _ in range(reader.take("i")):
                index, error, base, stamp = reader.take("ihqq")
                if version >= 5:
                    reader.take("q")
                if version >= 8:
                    reader.array(lambda: (reader.take("i"), reader.string()))
                    reader.string()
                result[(name, index)] = (error, base, stamp)
        reader.take("i")
        reader.end()
        return result

    def produce(self, name, index, data, **options):
        self.send_produce({name: {index: data}}, **options)
        return self.receive_produce(options.get("version", 7))[(name, index)]

    # --- Fetch --------------------------------------------------------------

    def send_fetch(self, topics, version=11, wait_ms=60000, minimum=1, maximum=50 << 20, each=50 << 20, session=(0, -1)):
        """topics: {name: {partition: offset}}"""
        def partition(index, offset):
            return (struct.pack(">i", index) + (struct.pack(">i", -1) if version >= 9 else b"") +
                    struct.pack(">q", offset) + (struct.pack(">q", -1) if version >= 5 else b"") + struct.pack(">i", each))
        body = struct.pack(">iiiib", -1, wait_ms, minimum, maximum, 0)
        if version >= 7:
            body += struct.pack(">ii", *session)
        body += array([string(name) + array([partition(*part) for part in parts.items()]) for name, parts in topics.items()])
        if version >= 7:
            body += array([])
        if version >= 11:
            body += string("")
        self.send(FETCH, version, body)

    def receive_fetch(self, version=11):
        """(error, session, {(name, partition): (error, high watermark, records)})"""
        reader, result, error, session = self.receive(), {}, 0, 0
        reader.take("i")
        if version >= 7:
            error, session = reader.take("hi")
        for _ in range(reader.take("i")):
            name = reader.string()
            for _ in range(reader.take("i")):
                index, failed, hw, _ = reader.take("ihqq")
                if version >= 5:
                    reader.take("q")
                reader.array(lambda: reader.take("qq"))
                if version >= 11:
                    reader.take("i")
                result[(name, index)] = (failed, hw, reader.bytes(reader.take("i")))
        reader.end()
        return error, session, result

    def fetch(self, name, index, offset, **options):
        self.send_fetch({name: {index: offset}}, **options)
        return self.receive_fetch(options.get("version", 11))[2][(name, index)]

    # --- the small ones -----------------------------------------------------

    def offset(self, name, index, timestamp):
        """(error, timestamp, offset)"""
        self.send(LIST_OFFSETS, 5, struct.pack(">ib", -1, 0) +
                  array([string(name) + array([struct.pack(">iiq", index, -1, timestamp)])]))
        reader = self.receive()
        reader.take("ii")
        reader.string()
        reader.take("i")
        _, error, found, offset, _ = reader.take("ihqqi")
        reader.end()
        return error, found, offset

    def producer_id(self, transactional_id=None):
        self.send(INIT_PRODUCER_ID, 1, string(transactional_id) + struct.pack(">i", 60000))
        reader = self.receive()
        _, error, number, epoch = reader.take("ihqh")
        reader.end()
        return error, number, epoch
