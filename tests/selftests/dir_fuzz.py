#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
"""A broker over a directory that something damaged.

From a seed: bits flipped, files cut, lengthened, emptied, removed, replaced by
directories or by other files, in a cleanly stopped and in a crashed broker's
directory. Whatever was done to it, the next start ends, says why if it
refuses, shows no record that was not written, runs the partitions that were
not touched in full, and a second start finds what the first one showed.
"""
import itertools
import os
import random
import shutil
import subprocess
import sys
import time

from device_lib import (BATCH, DIR, RECORD, RECORD_STRUCT, batch, kbroker, open_, parse_record, say, topic)
import device_lib

BASE = "/var/lib/kbroker/fuzz"
# so many directories, the same ones on every machine; or as many as fit a time
NUMBER = 16
SECONDS = int(os.environ.get("KBROKER_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("KBROKER_FUZZ_SEED", "1"))
ONLY = os.environ.get("KBROKER_FUZZ_ONLY")
PARTITIONS = [("many", 0), ("many", 1), ("idem", 0), ("few", 0)]


def read_all(name, index):
    """{offset: value}, how it ended; raises if the order or a length is wrong."""
    fd = open_(f"/dev/kbroker/{name}/{index}", os.O_RDONLY | os.O_NONBLOCK, RECORD)
    out, last = {}, -1
    try:
        while True:
            try:
                data = os.read(fd, 1 << 20)
            except BlockingIOError:
                return out, None
            except OSError as error:
                return out, error.errno
            if not data:
                return out, 0
            rec = parse_record(data)
            assert rec["whole"], "a record is cut"
            assert rec["offset"] > last, f"offset {rec['offset']} after {last}"
            last = rec["offset"]
            out[last] = (rec["key"], rec["value"], rec["timestamp"])
    finally:
        os.close(fd)


def make_templates():
    shutil.rmtree(BASE, ignore_errors=True)
    os.makedirs(BASE)
    os.makedirs(DIR)
    kbroker("broker", "start", "--dir", DIR)
    topic("many", 2, "segment.bytes=16384", "index.interval.bytes=512", "flush.policy=async")
    topic("idem", 1, "segment.bytes=16384", "flush.policy=async")
    topic("few")
    for index in range(2):
        fd = os.open(f"/dev/kbroker/many/{index}", os.O_WRONLY)
        for i in range(160):
            os.write(fd, b"".join(b"many %d %d %d %s\n" % (index, i, j, b"x" * (i % 90)) for j in range(4)))
        os.fsync(fd)
        os.close(fd)
    fd = open_("/dev/kbroker/idem/0", os.O_WRONLY, BATCH)
    for i in range(60):
        values = [b"idem %d %d %s" % (i, j, b"y" * 200) for j in range(3)]
        os.write(fd, batch(values, producer=(7000 + i % 5, 0, i // 5 * 3), timestamp=1700000000000 + i))
    os.fsync(fd)
    os.close(fd)
    fd = os.open("/dev/kbroker/few/0", os.O_WRONLY)
    for i in range(7):
        os.write(fd, b"few %d\n" % i)
    os.close(fd)
    known = {p: read_all(*p)[0] for p in PARTITIONS}
    os.sync()
    subprocess.run(["cp", "-a", DIR, BASE + "/crashed"], check=True)
    kbroker("broker", "stop")
    subprocess.run(["cp", "-a", DIR, BASE + "/clean"], check=True)
    shutil.rmtree(DIR)
    return known


def files_of(top):
    for where, _, names in os.walk(top):
        for name in names:
            yield os.path.join(where, name)


def damage(rng, path):
    """Do something to @path; says what."""
    size = os.path.getsize(path)
    kind = rng.choice(["flip", "flip", "flip", "field", "cut", "cut", "append", "zero", "empty", "remove", "directory",
                       "swap", "repeat"])
    with open(path, "r+b") as file:
        data = bytearray(file.read())
    if kind in ("flip", "field", "zero") and not size:
        kind = "append"
    if kind == "flip":
        for _ in range(rng.choice([1, 1, 2, 8])):
            data[rng.randrange(size)] ^= 1 << rng.randrange(8)
    elif kind == "field":
        at = rng.randrange(size)
        data[at:at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0"])
    elif kind == "cut":
        del data[rng.randrange(size + 1):]
    elif kind == "append":
        data += rng.choice([bytes(4096), rng.randbytes(rng.randrange(1, 3000)), b"\xff" * 100])
    elif kind == "zero":
        at = rng.randrange(size)
        data[at:at + 512] = bytes(len(data[at:at + 512]))
    elif kind == "empty":
        data = b""
    elif kind == "repeat":
        data *= 2
    if kind in ("remove", "directory"):
        os.unlink(path)
        if kind == "directory":
            os.mkdir(path)
    elif kind == "swap":
        other = rng.choice([p for p in files_of(os.path.dirname(path)) if p != path] or [path])
        shutil.copyfile(other, path)
        kind = "copy of " + os.path.basename(other)
    else:
        with open(path, "wb") as file:
            file.write(data)
    return f"{os.path.relpath(path, DIR)}: {kind}"


def start():
    done = subprocess.run(("kbroker", "broker", "start", "--dir", DIR), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)
    return done.returncode, done.stdout.decode(errors="replace").strip()


def one(number, known):
    """One directory; returns what is wrong with what came of it, or None, and if it started."""
    rng = random.Random(SEED * 1000003 + number)
    shutil.rmtree(DIR, ignore_errors=True)
    template = rng.choice(["clean", "crashed"])
    subprocess.run(["cp", "-a", f"{BASE}/{template}", DIR], check=True)
    all_files = sorted(f for f in files_of(DIR) if not f.endswith((".reserve", ".lock")))
    # as often a file beside the logs as one of the many in them
    top = [f for f in all_files if os.path.dirname(f) == DIR or "__cluster" in f]
    picked = [rng.choice(top if rng.random() < 0.3 else all_files) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    done = [damage(rng, path) for path in dict.fromkeys(picked) if os.path.isfile(path)]
    what = f"{number} ({template}): " + "; ".join(done)
    touched = {os.path.relpath(p, DIR).split("/")[0] for p in picked}
    outer = any("/" not in os.path.relpath(p, DIR) for p in picked) or "__cluster_metadata-0" in touched
    status, said = start()
    if status:
        if not said or "kbroker" not in said:
            return f"{what}: refused without a word", False
        if not outer:
            return f"{what}: one partition's damage keeps the broker from starting: {said}", False
        return None, False
    if ONLY:
        print("#", said)
    seen = {}
    for name, index in PARTITIONS:
        if not os.path.exists(f"/dev/kbroker/{name}/{index}"):
            if not outer:
                return f"{what}: {name}/{index} is not there", True
            continue
        found, end = read_all(name, index)
        seen[name, index] = found
        for offset, rec in found.items():
            if known[name, index].get(offset) != rec:
                return f"{what}: {name}/{index} shows {rec} at {offset}, which was not written", True
        if not outer and f"{name}-{index}" not in touched:
            if found != known[name, index] or end is not None:
                return f"{what}: {name}/{index} was not touched and shows {len(found)} records, {end}", True
            fd = os.open(f"/dev/kbroker/{name}/{index}", os.O_WRONLY)
            os.write(fd, b"more\n")
            os.close(fd)
    kbroker("broker", "stop")
    status, said = start()
    if status:
        return f"{what}: started once, but not again: {said}", True
    for (name, index), found in seen.items():
        if not os.path.exists(f"/dev/kbroker/{name}/{index}"):
            return f"{what}: {name}/{index} is gone after a second start", True
        again, _ = read_all(name, index)
        lost = [o for o in found if again.get(o) != found[o]]
        if lost:
            return f"{what}: {name}/{index}: offset {lost[0]} was there at the first start, not at the second", True
    kbroker("broker", "stop")
    return None, True


def main():
    shutil.rmtree(DIR, ignore_errors=True)
    known = make_templates()
    say(len(known["many", 0]) == 640 and len(known["idem", 0]) == 180, "there is something to damage")
    end = time.monotonic() + SECONDS
    bad, number, started = [], 0, 0
    numbers = itertools.count(1) if SECONDS else range(1, NUMBER + 1)
    for number in map(int, ONLY.split(",")) if ONLY else numbers:
        if len(bad) == 10 or (SECONDS and time.monotonic() > end):
            break
        wrong = None
        try:
            wrong, ran = one(number, known)
            started += ran
        except Exception as error:
            wrong = f"{number}: {type(error).__name__} {error}"
        if wrong:
            bad.append(wrong)
            print("# " + wrong, flush=True)
        subprocess.run(("kbroker", "broker", "stop"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    say(not bad, f"{number} damaged directories: nothing invented, nothing else lost ({started} of them run)")
    say(started > number // 4 or number < 12, "most damage leaves a broker that runs")
    shutil.rmtree(DIR, ignore_errors=True)
    shutil.rmtree(BASE, ignore_errors=True)
    print("1..3")
    return 0 if all(device_lib.results) else 1


if __name__ == "__main__":
    sys.exit(main())
