#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
"""The node "all": A1 to A7 of the ABI text."""
from device_lib import *

ALL = f"{DEV}/a1/all"


def writes():
    nodes = topic("a1", 3)
    fd = os.open(ALL, os.O_WRONLY)
    for i in range(9):
        os.write(fd, b"%d\n" % i)
    equal("A2: batches go to the partitions in turn", sorted(lines_of(n).count(b"\n") for n in nodes), [3, 3, 3])
    equal("W10: LAST_WRITE tells where", last_write(fd)[1:3], (1, 2))
    os.write(fd, b"unfin")
    os.write(fd, b"ished\n")
    equal("A2: an unfinished line goes with its batch", sum(lines_of(n).count(b"unfinished\n") for n in nodes), 1)
    for part in (2, 0, 2):
        set_target(fd, part)
        os.write(fd, b"for %d\n" % part)
    equal("A3: SET_TARGET directs writes", [lines_of(n).count(b"for ") for n in nodes], [1, 0, 2])
    fails("A3: one that does not exist", errno.EINVAL, set_target, fd, 3)
    fails("I1: flags must be 0", errno.EINVAL, set_target, fd, 0, 1)
    set_target(fd, -1)
    where = set()
    for _ in range(3):
        os.write(fd, b"turn\n")
        where.add(last_write(fd)[0])
    equal("A3: -1: in turn again", where, {0, 1, 2})
    set_format(fd, RECORD)
    os.write(fd, record(b"chosen", partition=1))
    say(lines_of(nodes[1]).endswith(b"chosen\n"), "R2: a record names its partition")
    fails("R2: one that does not exist", errno.EINVAL, os.write, fd, record(b"x", partition=3))
    os.close(fd)
    return nodes


def reads(nodes):
    wanted = [lines_of(n).splitlines() for n in nodes]
    total = sum(map(len, wanted))
    fd = open_(ALL, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    got = [[], [], []]
    for _ in range(total):
        rec = parse_record(os.read(fd, 4096))
        if rec["offset"] != len(got[rec["partition"]]):
            say(False, "A1: offsets of a partition come in order")
        got[rec["partition"]].append(rec["value"])
    equal("A1: records of each partition, in order", got, wanted)
    fails("P8: nothing more", errno.EAGAIN, os.read, fd, 4096)
    equal("A5: GET_POSITION names a partition", [position(fd, i)["position"] for i in range(3)], list(map(len, wanted)))
    fails("A5: -1 is none", errno.EINVAL, position, fd, -1)
    fails("A5: nor is one that does not exist", errno.EINVAL, position, fd, 3)
    equal("A4: SEEK_SET 0", os.lseek(fd, 0, os.SEEK_SET), 0)
    equal("A4: every partition at its log start", [position(fd, i)["position"] for i in range(3)], [0, 0, 0])
    equal("A4: SEEK_END 0", os.lseek(fd, 0, os.SEEK_END), 0)
    equal("A4: every partition at its high watermark", [position(fd, i)["position"] for i in range(3)], list(map(len, wanted)))
    fails("A4: SEEK_SET with another offset", errno.EINVAL, os.lseek, fd, 1, os.SEEK_SET)
    fails("A4: SEEK_END with another offset", errno.EINVAL, os.lseek, fd, -1, os.SEEK_END)
    equal("A5: SEEK_TIME of one partition", seek_time(fd, 0, 1)[0], 0)
    equal("A5: moves that one alone", [position(fd, i)["position"] for i in range(3)], [len(wanted[0]), 0, len(wanted[2])])
    equal("A5: SEEK_TIME with -1", seek_time(fd, 0, -1), (0, -1))
    equal("A5: moves all", [position(fd, i)["position"] for i in range(3)], [0, 0, 0])
    fails("A5: SEEK_TIME of one that does not exist", errno.EINVAL, seek_time, fd, 0, 3)
    os.close(fd)
    equal("A1: lines, too", sorted(lines_of(ALL).splitlines()), sorted(sum(wanted, [])))
    fd = open_(ALL, os.O_RDONLY | os.O_NONBLOCK, BATCH)
    count = 0
    while True:
        try:
            count += sum(n for _, n in parse_batches(os.read(fd, 65536)))
        except BlockingIOError:
            break
    equal("A1: batches, too", count, total)
    os.close(fd)
    got = info(os.open(ALL, os.O_RDONLY))
    equal("I2: GET_INFO of all", (got["partition"], got["partitions"]), (-1, 3))


def growth(nodes):
    fd = os.open(ALL, os.O_RDWR)
    os.lseek(fd, 0, os.SEEK_END)
    reader = Thread(os.read, fd, 4096)
    reader.sleeps()
    writer = os.open(nodes[2], os.O_WRONLY)
    os.write(writer, b"wakes\n")
    equal("P8: a reader of all waits for any partition", reader.result(), b"wakes\n")
    os.close(writer)
    reader = Thread(os.read, fd, 4096)
    reader.sleeps()
    kbroker("topic", "alter", "a1", "--partitions", "5")
    writer = os.open(f"{DEV}/a1/4", os.O_WRONLY)
    os.write(writer, b"new partition\n")
    equal("A6: a partition added while it is open is read", reader.result(), b"new partition\n")
    os.close(writer)
    where = set()
    for _ in range(10):
        os.write(fd, b"x\n")
        where.add(last_write(fd)[0])
    equal("A6: and written to", where, set(range(5)))
    os.fsync(fd)
    equal("W3: fsync() waits for all partitions", [position(fd, i)["synced_end"] == position(fd, i)["log_end"] for i in range(5)], [True] * 5)
    os.close(fd)


def overtaken():
    fd = open_(ALL, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    os.read(fd, 4096)
    end = position(fd, 1)["log_end"]
    os.lseek(fd, 0, os.SEEK_SET)
    kbroker("partition", "delete-records", "a1", "1", "--offset", str(end))
    wait_for(lambda: position(fd, 1)["log_start"] == end)
    pipes = seen = 0
    while True:
        try:
            seen += parse_record(os.read(fd, 4096))["partition"] != 1
        except BlockingIOError:
            break
        except OSError as error:
            pipes += error.errno == errno.EPIPE
    equal("A7: one EPIPE for the partition that was overtaken", pipes, 1)
    equal("A7: and its loss", info(fd)["lost"], end)
    say(seen > 10, "A7: the others are read to their end")
    os.close(fd)


def gone():
    fd = os.open(ALL, os.O_RDONLY)
    os.lseek(fd, 0, os.SEEK_END)
    reader = Thread(os.read, fd, 4096)
    reader.sleeps()
    kbroker("broker", "stop")
    equal("P12: when the broker stops, readers of all get end of file", reader.result(), b"")
    os.close(fd)


def main():
    nodes = writes()
    reads(nodes)
    growth(nodes)
    overtaken()
    gone()


run(main)
