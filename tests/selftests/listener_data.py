#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The same records through every door: what comes in over the network is read
at the devices, and the reverse, byte for byte and as soon as it is there."""
from device_lib import *
from listener_client import Connection, listen


def bare(data):
    """A batch without what the broker sets: base offset and leader epoch."""
    return data[8:12] + data[16:]


def in_and_out(c):
    node = topic("d1")
    headers = ((b"trace", b"1234"), (b"empty", b""), (b"null", None))
    sent = batch(records=batch_records((b"one", None, b""), b"key", headers), count=3, timestamp=1700000000123)
    equal("produced over the network", c.produce("d1", 0, sent), (0, 0, -1))
    fd = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    got = parse_record(os.read(fd, 4096))
    equal("read at the device: key, value, headers, time, offset",
          (got["key"], got["value"], got["headers"], got["timestamp"], got["offset"]),
          (b"key", b"one", list(headers), 1700000000123, 0))
    equal("a null value", parse_record(os.read(fd, 4096))["value"], None)
    equal("an empty one", parse_record(os.read(fd, 4096))["value"], b"")
    os.close(fd)
    fd = open_(node, os.O_RDWR | os.O_NONBLOCK, BATCH)
    equal("the batch at the device is the one that was sent", bare(os.read(fd, 4096)), bare(sent))
    written = batch(records=batch_records((b"from the device",), b"k", headers), count=1, timestamp=1700000000500)
    os.write(fd, written)
    os.fsync(fd)
    os.close(fd)
    for version in range(4, 12):
        error, hw, data = c.fetch("d1", 0, 3, version=version)
        equal(f"Fetch version {version}: the batch that was written to the device", (error, hw, bare(data)), (0, 4, bare(written)))
    with open(node, "w") as lines:
        lines.write("a line\n")
    equal("a line of a shell, too", b"a line" in c.fetch("d1", 0, 4)[2], True)
    equal("by time, exact to the record", c.offset("d1", 0, 1700000000124), (0, 1700000000500, 3))


def codecs(c):
    node = topic("d2")
    records = batch_records((b"a value " * 20,) * 3, key=b"key")
    packed = ((0, records), (1, gzip_(records)), (2, snappy(records)), (3, lz4(records)), (4, zstd(records)))
    for codec, data in packed:
        sent = batch(records=data, attributes=codec, count=3)
        equal(f"codec {codec} is taken", c.produce("d2", 0, sent), (0, 3 * codec, -1))
        equal(f"codec {codec} is kept as it is", bare(c.fetch("d2", 0, 3 * codec)[2]), bare(sent))
    fd = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    values = [parse_record(os.read(fd, 4096))["value"] for _ in range(15)]
    os.close(fd)
    equal("all of them unpacked at the device", values, [b"a value " * 20] * 15)
    equal("zstd in an older Produce", c.produce("d2", 0, batch(records=packed[4][1], attributes=4, count=3), version=6)[0], 76)


def wakes(c):
    node = topic("d3")
    fd = os.open(node, os.O_RDONLY)
    reader = Thread(os.read, fd, 4096)
    say(reader.sleeps(), "a reader sleeps at the device")
    c.produce("d3", 0, batch((b"wake",)))
    equal("and is woken by the network", reader.result(), b"wake\n")
    os.close(fd)
    c.send_fetch({"d3": {0: 1}})
    with open(node, "w") as lines:
        lines.write("up\n")
    equal("a Fetch is woken by the device", b"up" in c.receive_fetch()[2][("d3", 0)][2], True)
    other = Connection()
    c.send_fetch({"d3": {0: 2}}, minimum=2000)
    sizes = [len(batch((b"x" * 300,))) for _ in range(7)]
    for _ in sizes:
        other.produce("d3", 0, batch((b"x" * 300,)))
    got = c.receive_fetch()[2][("d3", 0)]
    say(2000 <= len(got[2]) <= sum(sizes), "a Fetch waits for min_bytes")
    c.send_fetch({"d3": {0: 9}}, wait_ms=100)
    equal("a Fetch for which nothing comes is empty", c.receive_fetch()[2][("d3", 0)], (0, 9, b""))
    c.send_fetch({"d3": {0: 9}})
    kbroker("topic", "delete", "d3")
    equal("a Fetch from a topic that is deleted", c.receive_fetch()[2][("d3", 0)][0], 3)
    other.close()


def idempotent(c):
    topic("d4", 2)
    error, number, epoch = c.producer_id()
    equal("a producer gets an id", (error, epoch), (0, 0))
    equal("and the next another", c.producer_id()[1], number + 1)
    equal("a transactional one is refused", c.producer_id("mine"), (53, -1, -1))
    batches = [batch((b"%d" % i,), producer=(number, epoch, i)) for i in range(5)]
    for data in batches:
        c.send_produce({"d4": {0: data}})
    equal("five in flight, answered in order", [c.receive_produce()[("d4", 0)][:2] for _ in batches], [(0, i) for i in range(5)])
    other = Connection()
    equal("repeats over another connection", [other.produce("d4", 0, data)[:2] for data in batches], [(0, i) for i in range(5)])
    other.close()
    equal("a gap", c.produce("d4", 0, batch(producer=(number, epoch, 7)))[0], 45)
    equal("a new epoch", c.produce("d4", 0, batch(producer=(number, 1, 0)))[0], 0)
    equal("the old epoch", c.produce("d4", 0, batch(producer=(number, 0, 5)))[0], 47)
    equal("nothing of it is there twice", c.offset("d4", 0, -1), (0, -1, 6))
    c.send_produce({"d4": {0: batch(), 1: batch(), 2: batch()}, "nowhere": {0: batch()}})
    equal("partitions fail on their own", {part: result[0] for part, result in c.receive_produce().items()},
          {("d4", 0): 0, ("d4", 1): 0, ("d4", 2): 3, ("nowhere", 0): 3})
    equal("acks that there are not", c.produce("d4", 0, batch(), acks=2)[0], 21)
    equal("a transactional batch", c.produce("d4", 0, batch(attributes=0x10, producer=(number, 1, 1)))[0], 48)


def no_acks():
    c = Connection()
    c.send_produce({"d4": {1: batch((b"quiet",))}}, acks=0)
    equal("acks=0: no answer, and what follows has its own", c.offset("d4", 1, -2), (0, -1, 0))
    say(wait_for(lambda: c.offset("d4", 1, -1)[2] == 2), "acks=0: it is there")
    c.send_produce({"nowhere": {0: batch()}}, acks=0)
    say(c.closed(), "acks=0: an error closes the connection")
    c.close()


def session(c):
    topic("d5", 3)
    c.send_fetch({"d5": {0: 0, 1: 0, 2: 0}}, wait_ms=0, session=(0, 0))
    error, number, parts = c.receive_fetch()
    say(not error and number > 0 and len(parts) == 3, "a fetch session begins with everything")
    c.send_fetch({}, session=(number, 1))
    other = Connection()
    other.produce("d5", 2, batch((b"news",)))
    error, same, parts = c.receive_fetch()
    equal("and goes on with what is new", (error, same, list(parts)), (0, number, [("d5", 2)]))
    c.send_fetch({}, session=(number, 5))
    equal("in order", c.receive_fetch()[0], 71)
    c.send_fetch({}, session=(number + 1, 1))
    equal("another is not known", c.receive_fetch()[0], 70)
    other.close()


def bulk(c):
    """Over many segments, pipelined; an answer ends with a segment at the latest."""
    node = topic("d6", 1, "segment.bytes=262144")
    batches = [batch((os.urandom(90000),)) for _ in range(20)]
    for first in range(0, len(batches), 4):
        for data in batches[first:first + 4]:
            c.send_produce({"d6": {0: data}})
        equal("a few at a time", [c.receive_produce()[("d6", 0)][:2] for _ in range(4)], [(0, first + i) for i in range(4)])
    got, offset = b"", 0
    while offset < len(batches):
        error, _, data = c.fetch("d6", 0, offset, each=200000)
        if error or not data:
            raise RuntimeError(f"error {error} at {offset}")
        offset += len(parse_batches(data))
        got += data
    equal("what is fetched is what was produced", offset, len(batches))
    fd = open_(node, os.O_RDONLY | os.O_NONBLOCK, BATCH)
    equal("and what the device gives", drain(fd) == got, True)
    os.close(fd)
    equal("whole first batch, however small the limit", len(c.fetch("d6", 0, 0, each=1, maximum=1)[2]), len(batches[0]))
    equal("behind the end", c.fetch("d6", 0, 21)[0], 1)


def main():
    listen()
    c = Connection()
    in_and_out(c)
    codecs(c)
    wakes(c)
    idempotent(c)
    no_acks()
    session(c)
    bulk(c)
    c.close()


run(main)
