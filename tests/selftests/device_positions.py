#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
"""Positions: P1 to P14, I1 to I3, F4 of the ABI text."""
from device_lib import *


def fill(node, first, count):
    fd = os.open(node, os.O_WRONLY)
    for i in range(first, first + count):
        os.write(fd, b"%d\n" % i)
    os.close(fd)


def seeks():
    node = topic("s1")
    fill(node, 0, 10)
    a = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    b = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    equal("P2: a fresh open stands at the log start", position(a)["position"], 0)
    os.read(a, 4)
    equal("P1: each open has a position of its own", (position(a)["position"], position(b)["position"]), (2, 0))
    dup = os.dup(a)
    os.read(dup, 2)
    equal("P1: dup() shares it", position(a)["position"], 3)
    os.close(dup)
    equal("P3: SEEK_SET goes to an offset", (os.lseek(a, 7, os.SEEK_SET), os.read(a, 2)), (7, b"7\n"))
    equal("P3: above the high watermark it lands there", os.lseek(a, 1000, os.SEEK_SET), 10)
    fails("P3: a negative one", errno.EINVAL, os.lseek, a, -1, os.SEEK_SET)
    equal("P4: SEEK_END goes to the high watermark", os.lseek(a, 0, os.SEEK_END), 10)
    fails("P4: at another distance", errno.EINVAL, os.lseek, a, -1, os.SEEK_END)
    fails("P5: SEEK_CUR", errno.ESPIPE, os.lseek, a, 0, os.SEEK_CUR)
    fails("P5: SEEK_DATA", errno.EINVAL, os.lseek, a, 0, os.SEEK_DATA)
    fails("P5: pread()", errno.ESPIPE, os.pread, a, 10, 0)
    fails("P5: preadv()", errno.ESPIPE, os.preadv, a, [bytearray(10)], 0)
    w = os.open(node, os.O_WRONLY)
    fails("P5: pwrite()", errno.ESPIPE, os.pwrite, w, b"x\n", 0)
    fails("P5: pwritev()", errno.ESPIPE, os.pwritev, w, [b"x\n"], 0)
    equal("P5: wrote nothing", position(w)["log_end"], 10)
    fails("P8: at the end, with O_NONBLOCK", errno.EAGAIN, os.read, a, 10)
    blocking = os.open(node, os.O_RDONLY)
    os.lseek(blocking, 0, os.SEEK_END)
    fails("P8: at the end, with RWF_NOWAIT", errno.EAGAIN, os.preadv, blocking, [bytearray(10)], -1, os.RWF_NOWAIT)
    reader = Thread(os.read, blocking, 100)
    reader.sleeps()
    os.write(w, b"news\n")
    equal("P8: else it waits for a record", reader.result(), b"news\n")
    os.close(blocking)

    # a blocked reader of record and batch format, too
    for number, check in ((RECORD, lambda d: parse_record(d)["value"] == b"more"), (BATCH, lambda d: b"more" in d)):
        fd = open_(node, os.O_RDONLY, number)
        os.lseek(fd, 0, os.SEEK_END)
        reader = Thread(os.read, fd, 1000)
        reader.sleeps()
        os.write(w, b"more\n")
        got = reader.result()
        say(isinstance(got, bytes) and check(got), "P8: record and batch formats, too")
        os.close(fd)
    for fd in (a, b, w):
        os.close(fd)


def python_open():
    node = topic("s2")
    with open(node, "a") as out:
        print("appended by Python", file=out)
        print("twice", file=out)
    with open(node, "w") as out:
        out.write("with w, too\n")
    with open(node) as lines:
        equal("P5: Python's open() works", [lines.readline() for _ in range(3)], ["appended by Python\n", "twice\n", "with w, too\n"])
    with open(node, "rb", buffering=0) as raw:
        equal("P5: unbuffered, too", raw.read(9), b"appended ")


def times():
    node = topic("s3")
    fd = open_(node, os.O_RDWR | os.O_NONBLOCK, RECORD)
    base = int(time.time() * 1000) - 100000
    for i in range(10):
        os.write(fd, record(b"%d" % i, timestamp=base + i * 1000))
    os.fsync(fd)
    equal("P6: the first at a time", seek_time(fd, base + 3000), (3, base + 3000))
    equal("P6: and it is read next", parse_record(os.read(fd, 4096))["value"], b"3")
    equal("P6: the first after a time", seek_time(fd, base + 3001), (4, base + 4000))
    equal("P6: before all", seek_time(fd, 0), (0, base))
    equal("P6: after all: the high watermark", seek_time(fd, base + 9001), (10, -1))
    fails("P6: which is the end", errno.EAGAIN, os.read, fd, 4096)
    fails("I1: flags must be 0", errno.EINVAL, seek_time, fd, base, -1, 1)
    fails("A5: another partition", errno.EINVAL, seek_time, fd, base, 1)
    equal("P13: NEXT at the end", next_(fd)[0], -1)
    os.lseek(fd, 0, os.SEEK_SET)
    equal("P13: NEXT at the start", next_(fd)[:2], (0, 0))
    equal("P13: does not move", position(fd)["position"], 0)
    got = position(fd)
    equal("P13: GET_POSITION", (got["partition"], got["log_start"], got["high_watermark"], got["log_end"], got["synced_end"], got["written_end"]),
          (0, 0, 10, 10, 10, 10))
    fails("I1: GET_POSITION of another partition", errno.EINVAL, position, fd, 1)
    other = os.open(node, os.O_RDONLY)
    equal("P13: an open that wrote nothing", position(other)["written_end"], -1)
    fails("I3: LAST_WRITE needs an open for writing", errno.EBADF, last_write, other)
    fails("I3: SET_ACKS, too", errno.EBADF, set_acks, other, 1)
    os.close(other)
    other = os.open(node, os.O_WRONLY)
    equal("W10: LAST_WRITE before the first", last_write(other)[0], -1)
    fails("I3: SEEK_TIME needs an open for reading", errno.EBADF, seek_time, other, base)
    fails("I3: NEXT, too", errno.EBADF, next_, other)
    fails("A3: SET_TARGET on a partition", errno.ENOTTY, set_target, other, 0)
    fails("I1: an unknown ioctl", errno.ENOTTY, fcntl.ioctl, other, 0xB609)
    fails("W1: acks 2", errno.EINVAL, set_acks, other, 2)
    fails("P5: an open for writing only cannot seek", errno.ESPIPE, os.lseek, other, 0, os.SEEK_END)
    got = info(other)
    equal("I2: GET_INFO", (got["size"], got["format"], got["partition"], got["partitions"], got["acks"], got["flags"], got["lost"]),
          (64, 0, 0, 1, -1, 0, 0))
    short = fcntl.ioctl(other, GET_INFO, struct.pack("=I60s", 24, b"\xee" * 60))
    equal("I2: fills no more than asked", (struct.unpack_from("=I", short)[0], short[24:]), (24, b"\xee" * 40))
    fails("I2: a size below 24", errno.EINVAL, fcntl.ioctl, other, GET_INFO, struct.pack("=I60x", 23))
    fails("F5: an ioctl with a bad address", errno.EFAULT, fcntl.ioctl, other, LAST_WRITE, 8)
    os.close(other)
    os.close(fd)


def retention():
    node = topic("s4")
    fill(node, 0, 20)
    opens = {}
    for name, number in (("lines", LINES), ("records", RECORD), ("batches", BATCH)):
        opens[name] = open_(node, os.O_RDONLY | os.O_NONBLOCK, number)
    for name, fd in opens.items():
        if name == "lines":
            os.read(fd, 2)
        elif name == "records":
            os.read(fd, 4096)
        else:
            os.read(fd, 70)
    partly = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    os.read(partly, 2)
    os.read(partly, 1)
    fresh = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    sought = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    os.lseek(sought, 5, os.SEEK_SET)
    kbroker("partition", "delete-records", "s4", "0", "--offset", "12")
    say(wait_for(lambda: position(fresh)["log_start"] == 12), "P9: delete-records moves the log start")
    equal("P9: lines just go on there", os.read(opens["lines"], 3), b"12\n")
    equal("P9: the loss is counted", info(opens["lines"])["lost"], 11)
    fd = opens["records"]
    equal("P13: NEXT does not take the EPIPE away", next_(fd)[1], 12)
    fails("P9: records: EPIPE first", errno.EPIPE, os.read, fd, 4096)
    equal("P9: then they go on", parse_record(os.read(fd, 4096))["offset"], 12)
    equal("P9: the loss is counted", info(fd)["lost"], 11)
    fd = opens["batches"]
    fails("P9: batches: EPIPE first", errno.EPIPE, os.read, fd, 4096)
    say(parse_batches(os.read(fd, 4096))[0][0] == 12, "P9: then they go on")
    equal("P11: a line that was read in part is finished first", os.read(partly, 4), b"\n12\n")
    equal("P10: an open that has not read begins at the log start", parse_record(os.read(fresh, 4096))["offset"], 12)
    equal("P10: and lost nothing", info(fresh)["lost"], 0)
    equal("P10: nor is one that was only moved told", parse_record(os.read(sought, 4096))["offset"], 12)
    equal("P10: but what it missed is counted", info(sought)["lost"], 7)
    equal("P3: below the log start SEEK_SET lands there", os.lseek(sought, 3, os.SEEK_SET), 12)
    out = kbroker("--json", "partition", "describe", "s4", "0")
    say('"lost"' in out, "P9: partition describe shows it")
    for fd in list(opens.values()) + [partly, fresh, sought]:
        os.close(fd)


def gone():
    node = topic("s5")
    fill(node, 0, 3)
    reader = os.open(node, os.O_RDONLY)
    writer = os.open(node, os.O_WRONLY)
    os.read(reader, 100)
    blocked = Thread(os.read, reader, 100)
    blocked.sleeps()
    poll = select.poll()
    poll.register(writer, select.POLLOUT)
    kbroker("topic", "delete", "s5")
    equal("P12: a blocked reader of a deleted topic gets end of file", blocked.result(), b"")
    equal("P12: and again", os.read(reader, 100), b"")
    fails("P12: a writer", errno.ENODEV, os.write, writer, b"x\n")
    fails("P12: fsync()", errno.ENODEV, os.fsync, writer)
    equal("W13: poll() of a writer", poll.poll(0)[0][1] & (select.POLLHUP | select.POLLERR), select.POLLHUP | select.POLLERR)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    equal("W13: of a reader", poll.poll(0)[0][1], select.POLLIN | select.POLLHUP)
    fails("N10: a new open()", (errno.ENOENT, errno.ENXIO), os.open, node, os.O_RDONLY)
    fails("N10: through /proc", errno.ENXIO, os.open, f"/proc/self/fd/{reader}", os.O_RDONLY)
    equal("P12: NEXT", next_(reader)[0], -1)
    os.close(reader)
    os.close(writer)


def threads():
    node = topic("s6")
    writer = os.open(node, os.O_WRONLY)
    set_acks(writer, 1)
    reader = open_(node, os.O_RDONLY, RECORD)
    got, lock = [], threading.Lock()

    def read_all():
        mine = []
        while True:
            value = parse_record(os.read(reader, 4096))["value"]
            if value == b"stop":
                break
            mine.append(value)
        with lock:
            got.append(mine)

    workers = [Thread(read_all) for _ in range(4)]
    wanted = [b"%d" % i for i in range(2000)]
    for value in wanted:
        os.write(writer, value + b"\n")
    for _ in workers:
        os.write(writer, b"stop\n")
    for worker in workers:
        worker.result()
    equal("P14: four threads read each record once", sorted(sum(got, []), key=int), wanted)
    say(all(part == sorted(part, key=int) for part in got), "P14: each of them in order")
    os.close(writer)
    os.close(reader)


def main():
    seeks()
    python_open()
    times()
    retention()
    gone()
    threads()


run(main)
