#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
"""A broker's directory is what Documentation/disk-format.rst says, byte for byte.

An independent reader: it computes from the batches in a log what must stand in
every other file, and compares. Then it damages files as a crash, or another
program, may leave them, and looks at what a start makes of that. KBROKER_SPEC_LONG (spec_long.sh) does more
of it, from a seed that changes by the day.
"""
import base64
import json
import random
import re
from device_lib import *

LONG = bool(os.environ.get("KBROKER_SPEC_LONG"))
SEGMENT, INTERVAL = 16384, 4096
base_ts = int(time.time() * 1000) - 100_000_000


# --- the reader -----------------------------------------------------------------------

class Batch:
    """One batch of a log, checked on the way."""

    def __init__(self, data, position_):
        self.position = position_
        (self.base, length, self.epoch, magic, crc, self.attributes, self.delta, self.base_ts, self.max_ts, self.pid, self.pid_epoch,
         self.sequence, self.count) = struct.unpack_from(">qiibIhiqqqhii", data, position_)
        self.size = 12 + length
        self.last = self.base + self.delta
        whole = data[position_:position_ + self.size]
        self.good = (len(whole) == self.size and length >= 49 and magic == 2 and crc == crc32c(whole[21:]) and self.count == self.delta + 1)


def batches_of(data):
    out, at = [], 0
    while at < len(data):
        one = Batch(data, at)
        out.append(one)
        if not one.good:
            break
        at += one.size
    return out


def segments_of(folder):
    """[(base offset, [Batch])] in the order of their offsets."""
    bases = sorted(int(n[:-4]) for n in os.listdir(folder) if n.endswith(".log"))
    out = []
    for base in bases:
        with open(f"{folder}/{base:020}.log", "rb") as log:
            out.append((base, batches_of(log.read())))
    return out


def wanted_indexes(base, batches):
    """What the two indexes of a closed segment hold, by the rules."""
    offsets, times = [], []
    since, best, holder = 0, -1, 0
    for one in batches:
        if one.max_ts > best:
            best, holder = one.max_ts, one.last
        if since > INTERVAL:
            offsets.append((one.last - base, one.position))
            if best > (times[-1][0] if times else -1):
                times.append((best, holder - base))
            since = 0
        since += one.size
    if batches and best > (times[-1][0] if times else -1):
        times.append((best, holder - base))
    return offsets, times


def index_of(folder, base, suffix, form):
    with open(f"{folder}/{base:020}.{suffix}", "rb") as stream:
        data = stream.read()
    size = struct.calcsize(form)
    return [struct.unpack_from(form, data, at) for at in range(0, len(data) - size + 1, size)] + ([len(data)] if len(data) % size else [])


def snapshot_of(path):
    with open(path, "rb") as stream:
        data = stream.read()
    version, crc, count = struct.unpack_from(">hIi", data)
    entries = [struct.unpack_from(">qhiqiqiq", data, 10 + 46 * i) for i in range(count)]
    return version, crc == crc32c(data[6:]), len(data) == 10 + 46 * count, entries


def checkpoint_of(path):
    """(version, {(topic, partition): offset}) and whether its form is right."""
    with open(path, encoding="ascii") as stream:
        lines = stream.read().split("\n")
    rows = [line.rsplit(" ", 2) for line in lines[2:-1]]
    table = {(t, int(p)): int(o) for t, p, o in rows}
    return table, lines[0] == "0" and lines[-1] == "" and int(lines[1]) == len(rows) == len(table)


def producers(batches):
    """What a snapshot after these batches holds: the last batch of each producer."""
    state = {}
    for one in batches:
        if one.pid >= 0:
            state[one.pid] = (one.pid, one.pid_epoch, (one.sequence + one.delta) & 0x7fffffff, one.last, one.delta, one.max_ts, -1, -1)
    return state


def check_partition(folder, name, exact=True, start_=0):
    """Everything in a partition's directory of a stopped broker; the batches.

    @exact: the indexes were written in one go, so the rules tell each entry;
    @start_: the log start.
    """
    segments = segments_of(folder)
    every = [one for _, batches in segments for one in batches]
    wrong = []
    for (base, batches), after in zip(segments, segments[1:] + [None]):
        ends = batches[-1].last + 1 if batches else base
        if any(not one.good for one in batches):
            wrong.append(f"{base}: a bad batch")
        at = base
        for one in batches:
            if one.base != at:
                wrong.append(f"{base}: offset {one.base} after {at}")
            at = one.last + 1
        if after and after[0] != ends:
            wrong.append(f"{after[0]} follows {ends}")
    equal(f"{name}: batches back to back, good checksums, dense offsets, segments named for their first offset", wrong, [])
    wrong = []
    for base, batches in segments:
        offsets, times = wanted_indexes(base, batches)
        got = index_of(folder, base, "index", ">ii"), index_of(folder, base, "timeindex", ">qi")
        if exact and got != (offsets, times):
            wrong.append((base, got, (offsets, times)))
        starts = {one.position: one for one in batches}
        if not all(p in starts and starts[p].last - base == o for o, p in got[0]) or [o for o, _ in got[0]] != sorted({o for o, _ in got[0]}):
            wrong.append((base, "index", got[0]))
        best = {one.last - base: max(b.max_ts for b in batches if b.last <= one.last) for one in batches}
        if not all(best.get(o) == t for t, o in got[1]) or [t for t, _ in got[1]] != sorted({t for t, _ in got[1]}):
            wrong.append((base, "timeindex", got[1]))
        if got[1] != times[-1:] and got[1][-1:] != times[-1:]:
            wrong.append((base, "the last entry is the largest timestamp", got[1][-1:], times[-1:]))
    equal(f"{name}: index and timeindex {'are' if exact else 'agree with'} what the rules make of the log", wrong, [])
    wrong = []
    for file in sorted(os.listdir(folder)):
        if file.endswith(".snapshot"):
            version, crc, size, entries = snapshot_of(f"{folder}/{file}")
            wanted = producers(one for one in every if one.last < int(file[:20]))
            if (version, crc, size, {e[0]: e for e in entries}) != (1, True, True, wanted):
                wrong.append((file, version, crc, size, entries, wanted))
    equal(f"{name}: producer snapshots hold the last batch of each producer below their offset", wrong, [])
    known = re.compile(r"\d{20}\.(log|index|timeindex|snapshot)|leader-epoch-checkpoint|partition\.metadata")
    equal(f"{name}: no other files", [f for f in os.listdir(folder) if not known.fullmatch(f)], [])
    if every:
        epochs = []
        for one in every:
            if one.last >= start_ and (not epochs or epochs[-1][0] != one.epoch):
                epochs.append((one.epoch, max(one.base, start_)))
        with open(f"{folder}/leader-epoch-checkpoint", encoding="ascii") as stream:
            lines = stream.read().split("\n")
        rows = [tuple(map(int, line.split())) for line in lines[2:-1]]
        newest = rows[len(epochs):]     # that of a leader who has not appended yet
        equal(f"{name}: leader-epoch-checkpoint has each epoch with its first offset, not below the log start",
              (lines[:2], lines[-1], rows[:len(epochs)], [o for _, o in newest]), (["0", str(len(rows))], "", epochs, [every[-1].last + 1] * len(newest)))
        say(len(newest) < 2 and rows == sorted(set(rows)), f"{name}: at most one epoch is new, and they rise")
    return segments


# --- the writer ---------------------------------------------------------------------

def vary(dice, values, when, producer=(-1, -1, -1), attributes=0):
    """A batch with its records at different times."""
    times = [when + dice.randrange(-500, 500) for _ in values]
    body = b""
    for i, (value, stamp) in enumerate(zip(values, times)):
        inner = b"\0" + varint(stamp - times[0]) + varint(i) + varint(3) + b"key" + varint(len(value)) + value + varint(0)
        body += varint(len(inner)) + inner
    if attributes == 1:
        body = gzip_(body)
    tail = struct.pack(">hiqqqhii", attributes, len(values) - 1, times[0], max(times), *producer, len(values)) + body
    return struct.pack(">qiibI", 0, 9 + len(tail), -1, 2, crc32c(tail)) + tail


def fill(node, dice, count, producer=None):
    """Write @count times; the size of each write."""
    fd = open_(node, os.O_WRONLY, BATCH)
    sequence, sizes = 0, []
    for i in range(count):
        values = [b"x" * dice.randrange(10, 900) for _ in range(dice.randrange(1, 6))]
        who = (-1, -1, -1)
        if producer is not None:
            who = (producer, 0, sequence)
            sequence += len(values)
        when = base_ts + 1000 * i + (dice.randrange(-20000, 20000) if dice.random() < 0.3 else 0)
        parts = [vary(dice, values, when, who, dice.choice((0, 0, 1)))]
        if producer is None and dice.random() < 0.2:
            parts.append(vary(dice, [b"second batch of one write" * 20], when))
        sizes.append(os.write(fd, b"".join(parts)))
    os.close(fd)
    return sizes


def start():
    kbroker("broker", "start", "--dir", DIR)


def stop():
    kbroker("broker", "stop")


def log_end(folder):
    base, batches = segments_of(folder)[-1]
    return batches[-1].last + 1 if batches else base


# --- the tests ------------------------------------------------------------------------

def clean(dice):
    """Segments, indexes, snapshots, checkpoints after a clean stop."""
    configs = (f"segment.bytes={SEGMENT}", f"index.interval.bytes={INTERVAL}")
    kbroker("topic", "create", "d", "--partitions", "3", *[w for c in configs for w in ("--config", c)])
    kbroker("topic", "create", "age", "--partitions", "1", "--config", "segment.ms=60000")
    sizes = fill(f"{DEV}/d/0", dice, 50)
    fill(f"{DEV}/d/1", dice, 25, producer=7)
    fd = open_(f"{DEV}/d/1", os.O_WRONLY, BATCH)
    for i in range(12):
        os.write(fd, vary(dice, [b"another producer's"] * 3, base_ts + i, (8 + i % 2, i // 4, 0 if i % 4 < 2 else 3)))
    os.close(fd)
    fd = open_(f"{DEV}/age/0", os.O_WRONLY, BATCH)
    for after in (0, 59_000, 60_001, 60_500, 130_002):
        tail = batch([b"age"], timestamp=base_ts + after)
        os.write(fd, tail)
    os.close(fd)
    kbroker("partition", "delete-records", "d", "0", "--offset", "3")
    say(not os.path.exists(f"{DIR}/.kafka_cleanshutdown"), "no .kafka_cleanshutdown while it runs")
    shown = json.loads(kbroker("topic", "describe", "d", "--json"))
    broker = json.loads(kbroker("broker", "describe", "--json"))
    stop()

    with open(f"{DIR}/.kafka_cleanshutdown", encoding="ascii") as stream:
        marker = json.load(stream)
    equal(".kafka_cleanshutdown is {\"version\":0,\"brokerEpoch\":N}", (sorted(marker), marker["version"]), (["brokerEpoch", "version"], 0))
    segments = check_partition(f"{DIR}/d-0", "d-0, a clean stop", start_=3)
    wanted = [0]
    for size in sizes:
        if wanted[-1] + size > SEGMENT:
            wanted.append(0)
        wanted[-1] += size
    equal("a new segment begins when size + incoming > segment.bytes, and not before", [sum(one.size for one in batches) for _, batches in segments], wanted)
    say(len(segments) > 3, "(there are several)")
    segments = check_partition(f"{DIR}/d-1", "d-1, with producers")
    shots = sorted(int(n[:20]) for n in os.listdir(f"{DIR}/d-1") if n.endswith(".snapshot"))
    equal("a producer snapshot at the last roll, and one at the end from the clean stop",
          shots[-2:], [segments[-1][0], log_end(f"{DIR}/d-1")])
    check_partition(f"{DIR}/d-2", "d-2, empty")
    segments = check_partition(f"{DIR}/age-0", "age-0")
    equal("a new segment begins when max timestamp - first batch's timestamp > segment.ms",
          [[one.base_ts - base_ts for one in batches] for _, batches in segments], [[0, 59_000], [60_001, 60_500], [130_002]])

    with open(f"{DIR}/d-0/partition.metadata", encoding="ascii") as stream:
        match = re.fullmatch(r"version: 0\ntopic_id: ([A-Za-z0-9_-]{22})\n?", stream.read())
    ids = [v for v in flat(shown) if isinstance(v, str) and match and v == match[1]]
    say(match and ids and len(base64.urlsafe_b64decode(match[1] + "==")) == 16, "partition.metadata has version 0 and the topic's id")
    with open(f"{DIR}/meta.properties", encoding="ascii") as stream:
        fields = dict(line.strip().split("=", 1) for line in stream if line.strip() and line[0] != "#")
    equal("meta.properties: version 1, node.id, directory.id, and no cluster.id", (fields.get("version"), fields.get("node.id"), "cluster.id" in fields), ("1", "1", False))
    say(fields.get("directory.id") in flat(broker), "directory.id is the broker's")

    ends = {(t, p): log_end(f"{DIR}/{t}-{p}") for t, p in (("d", 0), ("d", 1), ("d", 2), ("age", 0))}
    for file in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        table, form = checkpoint_of(f"{DIR}/{file}")
        equal(f"{file}: version, count, lines; each log's end after a clean stop", (form, {k: table.get(k) for k in ends}), (True, ends))
    table, form = checkpoint_of(f"{DIR}/log-start-offset-checkpoint")
    equal("log-start-offset-checkpoint has what delete-records did", (form, table.get(("d", 0)), table.get(("d", 1), 0)), (True, 3, 0))
    equal("nothing half-written lies about", [n for n in os.listdir(DIR) if n.endswith((".tmp", ".swap", ".cleaned", ".deleted"))], [])
    metadata(ends)


def flat(tree):
    if isinstance(tree, dict):
        return [x for v in tree.values() for x in flat(v)]
    if isinstance(tree, list):
        return [x for v in tree for x in flat(v)]
    return [tree]


def metadata(ends):
    """Topics in __cluster_metadata-0, unpacked by hand."""
    names = set()
    wrong = []
    for base, batches in segments_of(f"{DIR}/__cluster_metadata-0"):
        with open(f"{DIR}/__cluster_metadata-0/{base:020}.log", "rb") as stream:
            data = stream.read()
        for one in batches:
            at = one.position + 61
            for _ in range(one.count):
                length, at = read_varint(data, at)
                value = value_of(data[at:at + length])
                at += length
                if value is None:
                    continue
                _, _, pos = *struct.unpack_from(">hh", value), 4
                while pos < len(value):
                    size, kind = struct.unpack_from("<HH", value, pos)
                    if size < 4 or pos + size > len(value):
                        wrong.append((one.base, pos, size))
                        break
                    if kind & 0x3fff == 2:      # topic: name
                        names.add(value[pos + 4:pos + size].rstrip(b"\0").decode(errors="replace"))
                    pos += (size + 3) & ~3
    equal("__cluster_metadata-0: version, type, little-endian attributes that add up", wrong, [])
    say({t for t, _ in ends} <= names, "__cluster_metadata-0 names each topic")


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value >> 1 ^ -(value & 1), at


def value_of(record_):
    at = 1
    for _ in range(2):
        _, at = read_varint(record_, at)
    length, at = read_varint(record_, at)
    at += max(length, 0)
    length, at = read_varint(record_, at)
    return None if length < 0 else record_[at:at + length]


def image(folder):
    """All files of a partition's directory."""
    return {n: open(f"{folder}/{n}", "rb").read() for n in sorted(os.listdir(folder))}


def unclean(*names):
    """The stopped directory looks as after a crash: no marker, nothing known to be synced."""
    for name in (".kafka_cleanshutdown", "recovery-point-offset-checkpoint") + names:
        if os.path.exists(f"{DIR}/{name}"):
            os.unlink(f"{DIR}/{name}")


def rebuilt():
    """Indexes and producer state come back from the log alone, the same."""
    folder, with_producers = f"{DIR}/d-0", f"{DIR}/d-1"
    before, before_producers = image(folder), image(with_producers)
    unclean()
    for place in (folder, with_producers):
        for name in os.listdir(place):
            if name.endswith((".index", ".timeindex", ".snapshot")) or name == "leader-epoch-checkpoint":
                os.unlink(f"{place}/{name}")
    start()
    stop()
    check_partition(folder, "d-0, indexes lost", start_=3)
    equal("d-0: lost indexes are built anew, the same bytes", kept(image(folder)), kept(before))
    check_partition(with_producers, "d-1, snapshots lost")
    last = max(n for n in before_producers if n.endswith(".snapshot"))
    same_producers("d-1: the producers' state is found again in the log", with_producers, before_producers[last])


def kept(files):
    """Those that a start after a crash leaves as they were."""
    return {n: v for n, v in files.items() if not n.endswith((".snapshot", "-checkpoint"))}


def same_producers(name, folder, wanted):
    file = max(n for n in os.listdir(folder) if n.endswith(".snapshot"))
    with open("/run/spec-shot", "wb") as out:
        out.write(wanted)
    equal(name, sorted(snapshot_of(f"{folder}/{file}")[3]), sorted(snapshot_of("/run/spec-shot")[3]))
    os.unlink("/run/spec-shot")


def damaged():
    """What crashes and other programs leave, and what a start makes of it."""
    folder, with_producers = f"{DIR}/d-0", f"{DIR}/d-1"
    before = image(folder)
    shots = image(with_producers)
    last = max(n for n in shots if n.endswith(".snapshot"))
    segments = segments_of(folder)
    active = f"{folder}/{segments[-1][0]:020}"
    unclean()
    for suffix in ("index", "timeindex"):       # preallocated, as Kafka's are after a crash
        with open(f"{active}.{suffix}", "ab") as out:
            out.write(bytes(10485760 // 12 * 12 if suffix == "timeindex" else 10485760))
    sealed = f"{folder}/{segments[0][0]:020}"
    with open(f"{sealed}.index", "ab") as out:  # no whole number of entries
        out.write(b"\0\0\0")
    with open(f"{folder}/{999999:020}.index", "wb") as out:     # an index without a log
        out.write(bytes(8))
    with open(f"{folder}/{888888:020}.timeindex", "wb") as out:
        out.write(bytes(12))
    for name in (f"{777777:020}.log.deleted", f"{777777:020}.index.deleted", f"{666666:020}.log.cleaned"):
        with open(f"{folder}/{name}", "wb") as out:
            out.write(b"junk")
    with open(f"{with_producers}/{last}", "r+b") as out:        # a snapshot with a bad checksum
        out.seek(20)
        out.write(b"\xff")
    with open(f"{DIR}/replication-offset-checkpoint.tmp", "wb") as out:
        out.write(b"half")
    start()
    equal("a start with all that: the log's end", [end_of(f"{DEV}/d/{i}") for i in (0, 1)], [log_end(folder), log_end(with_producers)])
    stop()
    after = image(folder)
    check_partition(folder, "d-0, indexes damaged", start_=3)
    equal("preallocated, damaged and orphaned index files are put right, .deleted and .cleaned are removed",
          sorted(n for n in set(kept(after)) | set(kept(before)) if after.get(n) != before.get(n)), [])
    check_partition(with_producers, "d-1, a bad snapshot")
    same_producers("a bad snapshot is not believed: the log is read instead", with_producers, shots[last])


def end_of(node):
    fd = os.open(node, os.O_RDONLY)
    try:
        return position(fd)["log_end"]
    finally:
        os.close(fd)


def torn():
    """A log that ends in the middle of a batch, or in garbage, is cut there."""
    folder = f"{DIR}/d-0"
    segments = segments_of(folder)
    base, batches = segments[-1]
    path = f"{folder}/{base:020}.log"
    with open(path, "rb") as stream:
        whole = stream.read()
    last = batches[-1]
    for title, data, end in (("cut in the middle of a batch", whole[:-7], last.base), ("cut in a header", whole[:last.position + 11], last.base),
                             ("zeros behind it", whole + bytes(5000), last.last + 1),
                             ("a flipped bit in the last batch", whole[:-3] + bytes((whole[-3] ^ 4,)) + whole[-2:], last.base),
                             ("an offset that goes back", whole + b"\0" * 8 + whole[last.position + 8:], last.last + 1)):
        if not LONG and title != "zeros behind it":
            continue
        with open(path, "wb") as out:
            out.write(data)
        unclean()
        start()
        equal(f"{title}: the log ends at the last good batch", end_of(f"{DEV}/d/0"), end)
        stop()
        check_partition(folder, title, start_=3)
    # a bad batch in an older segment takes all later ones with it, above the recovery point
    with open(path, "wb") as out:
        out.write(whole)
    victim, inner = segments[-2]
    with open(f"{folder}/{victim:020}.log", "r+b") as out:
        out.seek(inner[-1].position + 70)
        out.write(b"\xff\xff\xff")
    unclean()
    start()
    equal("a bad batch above the recovery point: the log ends there", end_of(f"{DEV}/d/0"), inner[-1].base)
    put = os.open(f"{DEV}/d/0", os.O_WRONLY)
    os.write(put, b"goes on\n")
    os.close(put)
    stop()
    segments = check_partition(folder, "later segments are deleted, and it goes on", exact=False, start_=3)
    equal("at that offset", segments[-1][1][-1].base, inner[-1].base)


def deleted():
    start()
    kbroker("topic", "delete", "age")
    left = [n for n in os.listdir(DIR) if n.startswith("age-")]
    say(all(re.fullmatch(r"age-0\.[0-9a-f]{32}-delete", n) for n in left), f"a deleted topic's directory is gone, or waits as <topic>-<partition>.<hex id>-delete: {left}")
    kbroker("topic", "create", "age", "--partitions", "1")
    equal("its name is free at once", end_of(f"{DEV}/age/0"), 0)
    stop()
    check_partition(f"{DIR}/age-0", "age-0, anew")


def main():
    seed = int(os.environ.get("KBROKER_SPEC_SEED", "0"))
    if LONG and not seed:
        seed = int(time.strftime("%j"))
    print(f"# KBROKER_SPEC_SEED={seed}", flush=True)
    dice = random.Random(seed)
    for part, argv in ((clean, (dice,)), (rebuilt, ()), (damaged, ()), (torn, ()), (deleted, ())):
        began = time.monotonic()
        part(*argv)
        print(f"# {part.__name__}: {time.monotonic() - began:.1f} s", flush=True)


run(main)
