#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Record and batch formats: R1 to R6, B1 to B6, F3 to F6 of the ABI text."""
from device_lib import *


def read(fd, size):
    """What was written through the same O_NONBLOCK open is committed first."""
    os.fsync(fd)
    return os.read(fd, size)


def records():
    node = topic("r1")
    fd = open_(node, os.O_RDWR | os.O_NONBLOCK, RECORD)
    fails("P8: nothing to read", errno.EAGAIN, read, fd, 4096)
    headers = ((b"trace", b"1234"), (b"empty", b""), (b"null", None), (b"", b"x" * 300))
    whole = record(b"value", key=b"key", headers=headers, timestamp=1700000000123)
    equal("R1: one write is one record", os.write(fd, whole), len(whole))
    os.write(fd, record(None, key=b""))
    os.write(fd, record(b"", partition=0))
    os.write(fd, record(b"big" * 10000))
    os.fsync(fd)
    equal("R6: a buffer too small is EMSGSIZE and NEXT tells the size", next_(fd), (0, 0, len(whole)))
    fails("R6: one byte too small", errno.EMSGSIZE, read, fd, len(whole) - 1)
    equal("R6: nothing changed", position(fd)["position"], 0)
    got = parse_record(read(fd, len(whole)))
    equal("R5: all its fields", (got["whole"], got["key"], got["value"], got["headers"], got["offset"], got["timestamp"], got["partition"]),
          (True, b"key", b"value", list(headers), 0, 1700000000123, 0))
    equal("R5: its leader epoch", got["leader_epoch"], position(fd)["leader_epoch"])
    got = parse_record(read(fd, 4096))
    equal("R5: a null value, an empty key, no headers", (got["key"], got["value"], got["headers"]), (b"", None, []))
    say(abs(got["timestamp"] - time.time() * 1000) < 60000, "R3: timestamp -1 is the time of the write")
    equal("R5: a null key, an empty value", parse_record(read(fd, 4096))["value"], b"")
    equal("R5: a large one", parse_record(read(fd, 40000))["value"], b"big" * 10000)
    equal("R5: one record a read", position(fd)["position"], 4)

    end = position(fd)["log_end"]
    for name, bad in (
            ("no whole struct", b"x" * 47),
            ("size beyond the write", record(b"v", size=50)),
            ("a byte more than size", record(b"v") + b"x"),
            ("an unknown flag", record(b"v", key=b"k", flags=4)),
            ("a null key with bytes", record(b"v", key=b"k", flags=NULL_KEY)),
            ("a null value with bytes", record(b"v", key=b"k", flags=NULL_VALUE)),
            ("lengths beyond the write", record(b"v", value_len=2)),
            ("lengths that overflow", record(b"v", key_len=0xFFFFFFFF, value_len=2)),
            ("lengths below the write", record(b"vv", value_len=1)),
            ("headers that are not there", record(b"v", headers_count=1)),
            ("headers that are not counted", record(b"v", headers=((b"a", b"b"),), headers_count=0)),
            ("a cut header", record(b"v", headers=((b"a", b"b"),), headers_count=2)),
            ("too many headers", record(b"v", headers_count=10001)),
            ("a header's length that lies", record(b"", value_len=0, headers_len=9, headers_count=1, size=57) + struct.pack("=Ii", 2, 0) + b"a"),
            ("a header's value length -2", record(b"", headers_len=9, headers_count=1, size=57) + struct.pack("=Ii", 1, -2) + b"a"),
    ):
        fails(f"R1: {name}", errno.EINVAL, os.write, fd, bad)
    fails("R2: another partition", errno.EINVAL, os.write, fd, record(b"v", partition=1))
    fails("R2: partition -2", errno.EINVAL, os.write, fd, record(b"v", partition=-2))
    fails("R2: an offset", errno.EINVAL, os.write, fd, record(b"v", offset=1))
    fails("R2: a leader epoch", errno.EINVAL, os.write, fd, record(b"v", leader_epoch=1))
    fails("R3: timestamp -2", errno.EINVAL, os.write, fd, record(b"v", timestamp=-2))
    equal("R1 to R3: nothing of these was appended", position(fd)["log_end"], end)
    many = tuple((b"%d" % i, b"v" * (i % 200)) for i in range(1000))
    os.write(fd, record(b"v", headers=many))
    equal("R5: a thousand headers", parse_record(read(fd, 1 << 20))["headers"], list(many))
    os.close(fd)

    node = topic("r2", 1, "max.message.bytes=1000", "message.timestamp.after.max.ms=60000", "message.timestamp.before.max.ms=60000")
    fd = open_(node, os.O_RDWR | os.O_NONBLOCK, RECORD)
    fails("R4: over max.message.bytes", errno.EMSGSIZE, os.write, fd, record(b"v" * 1000))
    fails("R4: far over it", errno.EMSGSIZE, os.write, fd, record(b"v" * 3000000))
    now = int(time.time() * 1000)
    fails("R3: a time in the far future", errno.ETIME, os.write, fd, record(b"v", timestamp=now + 3600000))
    fails("R3: a time in the far past", errno.ETIME, os.write, fd, record(b"v", timestamp=now - 3600000))
    os.write(fd, record(b"v", timestamp=now - 1000))
    equal("R3: one in between", parse_record(read(fd, 4096))["timestamp"], now - 1000)
    os.close(fd)

    node = topic("r4", 1, "message.timestamp.type=LogAppendTime")
    fd = open_(node, os.O_WRONLY, RECORD)
    os.write(fd, record(b"v", timestamp=1))
    stamp = records_of(node)[0]["timestamp"]
    say(abs(stamp - time.time() * 1000) < 60000, "R5: LogAppendTime is shown")
    equal("W10: and told", last_write(fd)[3], stamp)
    os.close(fd)


def batches():
    node = topic("b1")
    fd = open_(node, os.O_RDWR | os.O_NONBLOCK, BATCH)
    one = batch((b"a", b"b", b"c"))
    equal("B1: a batch", os.write(fd, one), len(one))
    equal("W10: where it went", last_write(fd)[:3], (0, 3, 0))
    two = batch((b"d",)) + batch((b"e", None))
    equal("B1: two back to back", os.write(fd, two), len(two))
    equal("W10: where they went", last_write(fd)[:3], (0, 3, 3))
    os.fsync(fd)
    equal("B6: NEXT tells the size", next_(fd), (0, 0, len(one)))
    fails("B6: a buffer too small", errno.EMSGSIZE, read, fd, len(one) - 1)
    equal("B6: nothing changed", position(fd)["position"], 0)
    equal("B5: as many as fit", parse_batches(read(fd, len(one) + 10)), [(0, 3)])
    equal("B5: the others", parse_batches(read(fd, 4096)), [(3, 1), (4, 2)])
    os.lseek(fd, 1, os.SEEK_SET)
    equal("B5: the first may begin before the position", parse_batches(read(fd, len(one)))[0], (0, 3))
    os.lseek(fd, 0, os.SEEK_SET)
    stored = read(fd, len(one))
    equal("B5: as they are stored: what the CRC covers is what was sent", stored[17:], one[17:])
    equal("L10: lines read them", lines_of(node), b"a\nb\nc\nd\ne\n\n")

    end = position(fd)["log_end"]
    good = batch((b"good",))
    bad = {
        "a wrong magic": batch(magic=1),
        "a CRC error": batch(crc=12345),
        "a length that is too large": batch(length=1000),
        "a length that is too small": batch(length=20),
        "a negative length": batch(length=-1),
        "a cut batch": one[:-1],
        "a cut header": one[:40],
        "a count that lies": batch((b"a", b"b"), count=3),
        "a count of 0": batch(records=b"", count=0),
        "a negative count": batch(count=-1),
        "a last offset delta that lies": batch(last_delta=5),
        "an unknown attribute": batch(attributes=0x80),
        "an unknown codec": batch(attributes=7),
        "a control batch": batch(attributes=0x20),
        "a batch of a transaction": batch(attributes=0x10, producer=(7, 0, 0)),
        "bytes after the last record": batch(records=batch_records((b"a",)) + b"x", count=1),
        "a record that is cut": batch(records=batch_records((b"abc",))[:-2], count=1),
        "a record length that lies": batch(records=varint(100) + batch_records((b"abc",))[1:], count=1),
        "a negative record length": batch(records=varint(-5) + batch_records((b"abc",))[1:], count=1),
        "a varint that never ends": batch(records=b"\xff" * 20, count=1),
        "a wrong offset delta": batch(records=b"".join((varint(6), b"\0", varint(0), varint(1), varint(-1), varint(1), b"v", varint(0))), count=1),
        "damaged gzip": batch(records=b"\x1f\x8b" + b"x" * 50, attributes=1, count=1),
        "damaged snappy": batch(records=b"\xff\xff\xff\xff\x0fxxxx", attributes=2, count=1),
        "damaged lz4": batch(records=b"\x04\x22\x4d\x18xxxxxxx", attributes=3, count=1),
        "damaged zstd": batch(records=b"\x28\xb5\x2f\xfdxxxxxxx", attributes=4, count=1),
        "a gzip bomb": batch(records=gzip_(bytes(64 << 20)), attributes=1, count=1),
        "zeroes": bytes(100),
    }
    for name, data in bad.items():
        fails(f"B2: {name}", errno.EBADMSG, os.write, fd, data)
    for name in ("a CRC error", "a cut batch", "a wrong magic"):
        fails(f"B2: {name} after a good one", errno.EBADMSG, os.write, fd, good + bad[name])
    fails("B2: a CRC error before a good one", errno.EBADMSG, os.write, fd, bad["a CRC error"] + good)
    equal("B2: nothing of these was appended", position(fd)["log_end"], end)
    fails("B2: over max.message.bytes", errno.EMSGSIZE, os.write, fd, batch(records=batch_records((b"x" * 1100000,)), crc=0))
    fails("B2: after a good one", errno.EMSGSIZE, os.write, fd, good + batch(records=batch_records((b"x" * 1100000,)), crc=0))
    equal("B2: nothing of these either", position(fd)["log_end"], end)
    os.close(fd)


def long_writes():
    node = topic("b2", 1, "max.message.bytes=10000000", "segment.bytes=100000000")
    fd = open_(node, os.O_RDWR | os.O_NONBLOCK, BATCH)
    one = batch((b"0123456789abcdef" * 1500,), timestamp=1)
    many = one * 400
    taken = os.write(fd, many)
    equal("B3: of a write over 4 MiB, the whole batches in 4 MiB are taken", taken, (4 << 20) // len(one) * len(one))
    equal("B3: as one append", last_write(fd)[1], taken // len(one))
    large = batch((b"0" * 5000000,), timestamp=1)
    equal("B3: at least one, though it be longer", os.write(fd, large + one), len(large))
    fails("B3: a longer write of no batches", errno.EBADMSG, os.write, fd, bytes(5 << 20))
    fails("B3: a longer write whose first batch is cut", errno.EBADMSG, os.write, fd, large[:-10])
    os.lseek(fd, taken // len(one), os.SEEK_SET)
    equal("B5: it comes back as it was", read(fd, 6 << 20)[17:], large[17:])
    os.close(fd)
    reader = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    os.lseek(reader, taken // len(one), os.SEEK_SET)
    equal("R5: and as a record", len(parse_record(os.read(reader, 6 << 20))["value"]), 5000000)
    fd = open_(node, os.O_WRONLY, BATCH)
    tiny = batch((b"",), timestamp=1)
    equal("B3: of more batches, the first 4096 are taken", os.write(fd, tiny * 4100), 4096 * len(tiny))
    equal("B3: as one append, too", last_write(fd)[1], 4096)
    equal("B3: and 4096 are no more", os.write(fd, tiny * 4096), 4096 * len(tiny))
    os.close(fd)
    os.close(reader)


def producers():
    node = topic("b3")
    fd = open_(node, os.O_RDWR | os.O_NONBLOCK, BATCH)
    first = batch((b"a", b"b"), producer=(77, 0, 0))
    os.write(fd, first)
    equal("B4: a repeated batch succeeds", os.write(fd, first), len(first))
    equal("B4: and is not appended again", position(fd)["log_end"], 2)
    fails("B4: a gap in the sequence", errno.EILSEQ, os.write, fd, batch((b"x",), producer=(77, 0, 5)))
    os.write(fd, batch((b"c",), producer=(77, 1, 0)))
    fails("B4: an old producer epoch", errno.EKEYEXPIRED, os.write, fd, batch((b"x",), producer=(77, 0, 2)))
    os.fsync(fd)
    equal("B4: the log has each once", lines_of(node), b"a\nb\nc\n")
    os.close(fd)


def packed():
    values = [b"line %d " % i + b"." * 40 for i in range(20)]
    plain = batch_records(values, key=b"k")
    wanted = b"".join(v + b"\n" for v in values)
    for codec, name, pack in ((1, "gzip", gzip_), (2, "snappy", snappy), (3, "lz4", lz4), (4, "zstd", zstd)):
        node = topic("p" + name)
        fd = open_(node, os.O_WRONLY, BATCH)
        data = batch(values, records=pack(plain), attributes=codec)
        os.write(fd, data)
        equal(f"F3: lines of a batch packed by {name}", lines_of(node), wanted)
        got = records_of(node)
        equal(f"F3: its records", [(r["offset"], r["key"], r["value"]) for r in got], [(i, b"k", v) for i, v in enumerate(values)])
        reader = open_(node, os.O_RDONLY, BATCH)
        equal("B5: batch format has it packed", os.read(reader, 65536)[17:], data[17:])
        set_format(reader, LINES)
        os.lseek(reader, 13, os.SEEK_SET)
        equal("F3: from the middle of it", os.read(reader, 65536), b"".join(v + b"\n" for v in values[13:]))
        os.close(reader)
        os.close(fd)


def damage():
    node = topic("d1", 1, "flush.policy=async")
    fd = os.open(node, os.O_WRONLY)
    for i in range(5):
        os.write(fd, b"line %d\n" % i)
    os.fsync(fd)
    path = f"{DIR}/d1-0/00000000000000000000.log"
    with open(path, "r+b") as log:
        data = log.read()
        at = data.index(b"line 2")
        log.seek(at)
        log.write(b"LINE")
    reader = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    equal("F3: lines before the damage come first", os.read(reader, 4096), b"line 0\nline 1\n")
    fails("F3: then EBADMSG", errno.EBADMSG, os.read, reader, 4096)
    fails("F3: it stays so", errno.EBADMSG, os.read, reader, 4096)
    equal("F3: GET_POSITION tells where", position(reader)["position"], 2)
    os.lseek(reader, 3, os.SEEK_SET)
    equal("F3: a larger offset goes past it", os.read(reader, 4096), b"line 3\nline 4\n")
    os.close(reader)
    reader = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    os.lseek(reader, 2, os.SEEK_SET)
    fails("F3: records, too", errno.EBADMSG, os.read, reader, 4096)
    set_format(reader, BATCH)
    say(b"LINE 2" in os.read(reader, 4096), "B5: batch format does not look")
    os.close(reader)
    with open(path, "r+b") as log:
        log.seek(at)
        log.write(b"line")
    os.close(fd)


def main():
    records()
    batches()
    long_writes()
    producers()
    packed()
    damage()


run(main)
