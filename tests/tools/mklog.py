#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""mklog.py DIR: write a broker directory with one partition, DIR/vectors-0,
from batches that real clients sent (kafkajs, librdkafka, the Java client).

It shares no code with kbroker: its checksums and indexes are made here.
"""
import os
import struct
import sys

# What came over the wire: base offset 0, leader epoch as the client set it
WIRE = {
    # kafkajs, two records, headers h1="v1" and h2="" on the first
    "plain": """0000000000000000 0000005c 00000000 02 4940e789 0000 00000001
        0000018bcfe56800 0000018bcfe5692c ffffffffffffffff 0000 00000000 00000002
        34 00 00 00 08 6b657931 0c 76616c756531 04 04 6831 04 7631 04 6832 00
        1e 00 d804 02 04 6b32 0c 7365636f6e64 00""",
    # kafkajs, null key, then a tombstone
    "nulls": """0000000000000000 00000049 00000000 02 21de47f3 0000 00000001
        0000018bcfe56800 0000018bcfe56801 ffffffffffffffff 0000 00000000 00000002
        18 00 00 00 01 0c 6e6f2d6b6579 00
        14 00 02 02 08 64656164 01 00""",
    # librdkafka 2.0.2
    "rdkafka": """0000000000000000 00000045 00000000 02 872c7ddf 0000 00000000
        000001a2039f0487 000001a2039f0487 ffffffffffffffff ffff ffffffff 00000001
        26 00 00 00 01 1a 706c61696e2d72646b61666b61 00""",
    # librdkafka, headers trace="abc" and empty=null
    "headers": """0000000000000000 00000068 00000000 02 3fa42b32 0000 00000001
        000001a2039f04d9 000001a2039f04d9 ffffffffffffffff ffff ffffffff 00000002
        32 00 00 00 02 61 02 31 04 0a 7472616365 06 616263 0a 656d707479 01
        38 00 00 02 02 62 08 4e554c4c 04 0a 7472616365 06 616263 0a 656d707479 01""",
    # kafkajs, gzip
    "gzip": """0000000000000000 00000053 00000000 02 ed5f9012 0001 00000000
        0000018bcfe56800 0000018bcfe56800 ffffffffffffffff 0000 00000000 00000001
        1f8b080000000000000333616060604a574bafca2c50402518004496bd6a1b000000""",
    # librdkafka, lz4
    "lz4": """0000000000000000 00000057 00000000 02 07e57370 0003 00000000
        000001a2039f0496 000001a2039f0496 ffffffffffffffff ffff ffffffff 00000001
        04224d18 60 40 82 17000000 df66000000015a7265706561742007000f50206c7a3400 00000000""",
    # kafkajs, idempotent
    "idempotent": """0000000000000000 0000003f 00000000 02 55a4e9e2 0000 00000000
        0000018bcfe56800 0000018bcfe56800 00000000000003e9 0000 00000001 00000001
        1a 00 00 00 02 69 0c 6964656d2d31 00""",
    # kafkajs, transactional
    "transactional": """0000000000000000 00000039 00000000 02 8d4b3133 0010 00000000
        0000018bcfe56800 0000018bcfe56800 00000000000003eb 0000 00000000 00000001
        0e 00 00 00 01 02 74 00""",
}

# Payloads whose batch header is made here: (codec, payload)
PACKED = {
    "snappy": (2, "37306c0000000160726570656174208a070018736e6170707900"),
    "xerial": (2, "82534e4150505900 00000001 00000001 00000016"
                  "233844000000086b657931306a617661204a05000000"),
    "zstd": (4, "28b52ffd0058c500009068000000015c726570656174207a73746400010044962f"),
}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def pack(codec, payload, count=1, stamp=1700000000000):
    body = struct.pack(">hiqqqhii", codec, count - 1, stamp, stamp, -1, -1, -1, count) + payload
    return struct.pack(">qiiBI", 0, len(body) + 9, 0, 2, crc32c(body)) + body


def batches():
    for name, text in WIRE.items():
        yield name, bytearray.fromhex("".join(text.split()))
    for name, (codec, text) in PACKED.items():
        yield name, bytearray(pack(codec, bytes.fromhex("".join(text.split()))))


def main():
    top = sys.argv[1]
    part = os.path.join(top, "vectors-0")
    os.makedirs(part)
    offset, epochs, segments = 0, [], []
    for number, (_, batch) in enumerate(batches()):
        # two segments, and a new leader epoch with the second
        epoch = 0 if number < 5 else 3
        if number in (0, 5):
            segments.append((offset, bytearray(), [], []))
            epochs.append((epoch, offset))
        base, data, index, times = segments[-1]
        struct.pack_into(">q", batch, 0, offset)
        struct.pack_into(">i", batch, 12, epoch)
        last = offset + struct.unpack_from(">i", batch, 23)[0]
        stamp = struct.unpack_from(">q", batch, 35)[0]
        if data:        # as if index.interval.bytes were 1
            index.append((last - base, len(data)))
        if not times or stamp > times[-1][0]:
            times.append((stamp, last - base))
        data += batch
        offset = last + 1
    for base, data, index, times in segments:
        stem = os.path.join(part, f"{base:020d}")
        with open(stem + ".log", "wb") as out:
            out.write(data)
        with open(stem + ".index", "wb") as out:
            out.write(b"".join(struct.pack(">ii", *entry) for entry in index))
        with open(stem + ".timeindex", "wb") as out:
            out.write(b"".join(struct.pack(">qi", *entry) for entry in times))
    entries = struct.pack(">i", 1) + struct.pack(">qhiqiqiq", 1001, 0, 1, 10, 0, 1700000000000, -1, -1)
    with open(os.path.join(part, f"{offset:020d}.snapshot"), "wb") as out:
        out.write(struct.pack(">hI", 1, crc32c(entries)) + entries)
    with open(os.path.join(part, "leader-epoch-checkpoint"), "w", encoding="ascii") as out:
        out.write(f"0\n{len(epochs)}\n" + "".join(f"{e} {o}\n" for e, o in epochs))
    with open(os.path.join(part, "partition.metadata"), "w", encoding="ascii") as out:
        out.write("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n")
    with open(os.path.join(top, "meta.properties"), "w", encoding="ascii") as out:
        out.write("version=1\nnode.id=1\n")
    with open(os.path.join(top, "recovery-point-offset-checkpoint"), "w", encoding="ascii") as out:
        out.write(f"0\n1\nvectors 0 {segments[-1][0]}\n")
    with open(os.path.join(top, ".kafka_cleanshutdown"), "w", encoding="ascii") as out:
        out.write('{"version":0,"brokerEpoch":0}')


if __name__ == "__main__":
    main()
