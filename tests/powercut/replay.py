#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Read a recorded block log and build what the disk may hold after a crash.

The log is in the format of dm-log-writes, as QEMU's blklogwrites writes it.
The model of the disk: a write is on stable storage once a FLUSH follows it (or
if it is FUA itself); before that any subset of the pending writes may be there,
in any order, and a write of several sectors may be cut between two of them.

This says nothing about what the content means: workload.py wrote it, verify.py
judges it. Each state is stored as its difference from the base image: a
sequence of {u64 offset, u64 length, data}.
"""
import argparse
import json
import os
import random
import struct
import sys

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SECTOR = 512


def entries(path):
    """Yield (offset, data, flags) of every entry of the log."""
    with open(path, "rb") as log:
        magic, _, count, size = struct.unpack("<QQQI", log.read(28))
        if magic != MAGIC:
            raise SystemExit(f"{path}: not a log of block writes")
        log.seek(size)
        for _ in range(count):
            head = log.read(size)
            if len(head) < 32:
                return
            sector, sectors, flags, length = struct.unpack("<QQQQ", head[:32])
            data = b""
            if flags & MARK:
                log.seek((length + size - 1) // size * size, os.SEEK_CUR)
            elif sectors and not flags & DISCARD:
                data = log.read(sectors * size)
            elif flags & DISCARD:
                data = bytes(min(sectors * size, 1 << 26))
            yield sector * size, data, flags


class Disk:
    """What is stable, and what is not yet."""

    def __init__(self, base, size):
        with open(base, "rb") as image:
            self.base = image.read(size)
        self.stable = bytearray(self.base)
        self.pending = []
        self.size = size

    def apply(self, image, offset, data):
        if offset < self.size:
            end = min(self.size, offset + len(data))
            image[offset:end] = data[:end - offset]

    def feed(self, offset, data, flags):
        if flags & FLUSH:
            for o, d in self.pending:
                self.apply(self.stable, o, d)
            self.pending = []
        if data and flags & FUA:
            self.apply(self.stable, offset, data)
        elif data:
            self.pending.append((offset, data))

    def crash(self, rng, subset):
        """An image the disk may hold if the power goes now."""
        image = bytearray(self.stable)
        if subset:
            chosen = [w for w in self.pending if rng.random() < 0.5]
            rng.shuffle(chosen)
            for offset, data in chosen:
                if rng.random() < 0.2 and len(data) > SECTOR:
                    cut = rng.randrange(1, len(data) // SECTOR) * SECTOR
                    offset, data = (offset, data[:cut]) if rng.random() < 0.5 else (offset + cut, data[cut:])
                self.apply(image, offset, data)
        return image

    def store(self, image, path):
        """Write the difference of image from the base."""
        step = 4096
        base = memoryview(self.base)
        view = memoryview(image)
        with open(path, "wb") as out:
            start = None
            for at in range(0, self.size + step, step):
                differs = at < self.size and view[at:at + step] != base[at:at + step]
                if differs and start is None:
                    start = at
                if not differs and start is not None:
                    out.write(struct.pack("<QQ", start, at - start))
                    out.write(view[start:at])
                    start = None


def acknowledgement(offset, data, area):
    """The acknowledgement in a write to the area behind the file system."""
    if offset < area or not data.startswith(b"ACK "):
        return None
    return [json.loads(line[4:]) for line in data.split(b"\0")[0].splitlines() if line.startswith(b"ACK ")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--area", type=int, required=True, help="bytes before the area of acknowledgements")
    parser.add_argument("--out", required=True)
    parser.add_argument("--states", required=True, help="PHASE=NUMBER[,PHASE=NUMBER]...")
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    wanted = {k: int(v) for k, v in (w.split("=") for w in options.states.split(","))}
    rng = random.Random(options.seed)

    # first pass: where each phase lies
    spans, count = {}, 0
    for index, (offset, data, _) in enumerate(entries(options.log)):
        for ack in acknowledgement(offset, data, options.area) or []:
            first, _ = spans.get(ack["phase"], (index, index))
            spans[ack["phase"]] = (first, index)
            count += 1
    points = {}
    for phase, number in wanted.items():
        if phase not in spans:
            raise SystemExit(f"no acknowledgement of phase {phase} in the log")
        first, last = spans[phase]
        if last - first + 1 < number:
            raise SystemExit(f"phase {phase} has only {last - first + 1} entries for {number} crash points")
        for n, index in enumerate(sorted(rng.sample(range(first, last + 1), number))):
            points[index] = (phase, n % 2 == 1)

    # second pass: the states
    disk = Disk(options.base, options.area)
    acks, states = [], []
    for index, (offset, data, flags) in enumerate(entries(options.log)):
        disk.feed(offset, data, flags)
        acks += acknowledgement(offset, data, options.area) or []
        if index not in points:
            continue
        phase, subset = points[index]
        name = f"state-{len(states):04d}"
        disk.store(disk.crash(rng, subset), os.path.join(options.out, name))
        states.append({"name": name, "phase": phase, "entry": index, "subset": subset,
                       "pending": len(disk.pending), "acks": [a for a in acks if a["phase"] == phase]})
    with open(os.path.join(options.out, "states.json"), "w", encoding="utf-8") as out:
        json.dump(states, out)
    print(f"{count} acknowledgements, {len(states)} crash states", file=sys.stderr)


if __name__ == "__main__":
    main()
