#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Lines format: F1, F2 and L1 to L8, L10, L11 of the ABI text."""
from device_lib import *


def writes():
    node = topic("t1")
    fd = os.open(node, os.O_WRONLY)
    equal("L1: a write of one line is taken whole", os.write(fd, b"hello\n"), 6)
    got = records_of(node)
    equal("L1: the line without its newline is the value", [r["value"] for r in got], [b"hello"])
    equal("L1: with a null key and no headers", (got[0]["key"], got[0]["headers"]), (None, []))
    say(abs(got[0]["timestamp"] - time.time() * 1000) < 60000, "L1: and the time of the write")
    os.write(fd, b"\n")
    equal("L1: an empty line is an empty value, not a null one", records_of(node)[1]["value"], b"")
    os.write(fd, b"a\0b\r\n")
    equal("L1: NUL and \\r are part of the value", records_of(node)[2]["value"], b"a\0b\r")
    equal("L2: several lines are taken", os.write(fd, b"1\n22\n\n333\n"), 10)
    equal("L2: as one batch", last_write(fd)[:3], (0, 4, 3))
    equal("L2: in order", [r["value"] for r in records_of(node)[3:]], [b"1", b"22", b"", b"333"])
    equal("L8: a write of 0 bytes returns 0", os.write(fd, b""), 0)
    equal("L8: and does nothing", position(fd)["log_end"], 7)
    for size in (7, 8, 9, 62, 63, 64, 65, 126, 127, 128, 129, 2046, 2047, 2048, 2049, 4096, 8190, 8192, 65535, 65536, 70000):
        os.write(fd, b"x" * (size - 1) + b"\n")
    equal("L1: lines of all lengths around the encodings' steps",
          [len(r["value"]) + 1 for r in records_of(node)[7:]],
          [7, 8, 9, 62, 63, 64, 65, 126, 127, 128, 129, 2046, 2047, 2048, 2049, 4096, 8190, 8192, 65535, 65536, 70000])
    os.close(fd)

    node = topic("t2", 1, "max.message.bytes=1000")
    fd = os.open(node, os.O_WRONLY)
    many = b"".join(b"%04d\n" % i for i in range(1000))
    taken = os.write(fd, many)
    say(0 < taken < 1000 and taken % 5 == 0, f"L2: a short count when more lines follow than fit ({taken})")
    equal("L2: the taken ones are one batch", last_write(fd)[1], taken // 5)
    while taken < len(many):
        taken += os.write(fd, many[taken:])
    equal("L2: writing the rest brings all lines, once and in order", lines_of(node), many)
    reader = open_(node, os.O_RDONLY | os.O_NONBLOCK, BATCH)
    say(all(len(b) <= 1000 for b in split(drain(reader))), "L2: no batch is over max.message.bytes")
    os.close(reader)
    os.close(fd)


def split(data):
    out = []
    while data:
        size = 12 + struct.unpack_from(">i", data, 8)[0]
        out.append(data[:size])
        data = data[size:]
    return out


def unfinished():
    node = topic("t3")
    fd = os.open(node, os.O_WRONLY)
    equal("L3: an unfinished line is taken", os.write(fd, b"one\ntw"), 6)
    equal("L3: but it is no record yet", lines_of(node), b"one\n")
    equal("L3: more of it", os.write(fd, b"o-and"), 5)
    equal("L3: still none", position(fd)["log_end"], 1)
    equal("L3: what completes it is taken", os.write(fd, b"-more\nthree\nfo"), 14)
    equal("L3: and it is a record", lines_of(node), b"one\ntwo-and-more\nthree\n")
    other = os.open(node, os.O_WRONLY)
    os.write(other, b"other\n")
    equal("L3: opens do not share it", lines_of(node)[-6:], b"other\n")
    os.close(other)
    dup = os.dup(fd)
    os.write(dup, b"ur\n")
    equal("L3: dup() does", lines_of(node)[-5:], b"four\n")
    os.write(fd, b"of the parent, ")
    if os.fork() == 0:
        os.write(fd, b"of the child\n")
        os._exit(0)
    os.wait()
    equal("L3: fork() does", lines_of(node)[-28:], b"of the parent, of the child\n")

    os.write(fd, b"by fsync")
    os.fsync(fd)
    equal("L4: fsync() makes it a record", lines_of(node)[-9:], b"by fsync\n")
    os.fsync(fd)
    equal("L4: once", position(fd)["log_end"], len(lines_of(node).splitlines()))
    os.write(fd, b"by close")
    before = position(fd)["log_end"]
    os.close(dup)
    equal("L5: not the close() of a duplicate", lines_of(node)[-9:], b"by fsync\n")
    os.close(fd)
    say(wait_for(lambda: lines_of(node)[-9:] == b"by close\n"), "L5: the last close() makes it a record")
    fd = os.open(node, os.O_RDONLY)
    equal("L5: one", position(fd)["log_end"], before + 1)
    os.close(fd)

    # the pieces of a long one, larger than any step of the buffers
    fd = os.open(node, os.O_WRONLY)
    piece = bytes(range(97, 123)) * 300
    for _ in range(40):
        os.write(fd, piece)
    os.write(fd, b"end\nnext\n")
    got = lines_of(node)
    equal("L3: 40 pieces make one long line", got[got.rindex(b"by close\n") + 9:], piece * 40 + b"end\nnext\n")
    os.close(fd)


def killed():
    node = topic("t4")

    def child(data, end):
        pid = os.fork()
        if pid == 0:
            fd = os.open(node, os.O_WRONLY)
            os.write(fd, data)
            end(fd)
            os._exit(3)
        os.waitpid(pid, 0)

    child(b"whole\nhalf", lambda fd: os.kill(os.getpid(), signal.SIGKILL))
    child(b"whole\nhalf", lambda fd: os.kill(os.getpid(), signal.SIGTERM))
    child(b"whole\nexit", lambda fd: os._exit(1))
    say(wait_for(lambda: lines_of(node) == b"whole\nwhole\nwhole\nexit\n"),
        "L6: SIGKILL and SIGTERM lose the half line, exit(1) does not")

    fd = os.open(node, os.O_WRONLY)
    os.write(fd, b"parent's half")
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    os.write(fd, b", whole\n")
    equal("L6: a killed child that wrote nothing of it loses nothing", lines_of(node)[-21:], b"parent's half, whole\n")
    pid = os.fork()
    if pid == 0:
        os.write(fd, b"child's half")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    os.write(fd, b"next\n")
    equal("L6: a killed child loses its half, though the parent has it open", lines_of(node).count(b"half"), 1)
    equal("L6: and the next line is whole", lines_of(node).splitlines()[-1], b"next")
    os.close(fd)


def too_long():
    node = topic("t5", 1, "max.message.bytes=1000")
    fd = os.open(node, os.O_WRONLY)
    fails("L7: a line over max.message.bytes", errno.EMSGSIZE, os.write, fd, b"x" * 2000 + b"\n")
    equal("L7: nothing was appended", position(fd)["log_end"], 0)
    equal("L7: lines before it are taken, with a short count", os.write(fd, b"a\nb\n" + b"x" * 2000 + b"\n"), 4)
    equal("L7: and are records", lines_of(node), b"a\nb\n")
    equal("L3: an unfinished line that still fits", os.write(fd, b"y" * 900), 900)
    fails("L7: what makes it too long is refused", errno.EMSGSIZE, os.write, fd, b"y" * 200)
    equal("L7: its unfinished part is dropped: a new line begins", os.write(fd, b"z\n"), 2)
    equal("L7: so that no half line is there", lines_of(node), b"a\nb\nz\n")
    equal("L3: a line that just fits", os.write(fd, b"y" * 925 + b"\n"), 926)
    for size in range(926, 940):
        try:
            os.write(fd, b"y" * size + b"\n")
        except OSError as error:
            equal(f"L7: a line of {size} bytes does not", error.errno, errno.EMSGSIZE)
            break
    os.close(fd)
    # 10 MB without a newline, as cat would write them
    node = topic("t6")
    fd = os.open(node, os.O_WRONLY)

    def pour():
        for _ in range(80):
            os.write(fd, b"n" * 131072)

    fails("L7: 10 MB without a newline", errno.EMSGSIZE, pour)
    os.close(fd)
    equal("L7: leave nothing behind", lines_of(node), b"")


def reads():
    node = topic("t8")
    fd = open_(node, os.O_WRONLY, RECORD)
    os.write(fd, record(b"first", key=b"k", headers=((b"h", b"v"),)))
    os.write(fd, record(None, key=b"k"))
    os.write(fd, record(b"two\nlines"))
    os.write(fd, record(b""))
    os.write(fd, record(b"0123456789" * 1000))
    os.write(fd, record(b"last"))
    os.close(fd)
    wanted = b"first\n\ntwo\nlines\n\n" + b"0123456789" * 1000 + b"\nlast\n"
    equal("L10, L11: values with a newline after each", lines_of(node), wanted)
    for size in (1, 2, 3, 7, 100, 4095, 9999, 10001):
        fd = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
        parts = []
        while True:
            try:
                parts.append(os.read(fd, size))
            except BlockingIOError:
                break
        os.close(fd)
        if b"".join(parts) != wanted or any(len(p) != size for p in parts[:-1]):
            say(False, f"L10: read in pieces of {size}")
            break
    else:
        say(True, "L10: in pieces of all sizes it is the same stream, each piece full")
    fd = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    equal("L10: a part of a value", os.read(fd, 3), b"fir")
    equal("F2: the position is still that record's", position(fd)["position"], 0)
    equal("P13: NEXT tells what is left of it", next_(fd), (0, 0, 3))
    set_format(fd, RECORD)
    equal("F2: SET_FORMAT keeps the position; the record is whole", parse_record(os.read(fd, 4096))["value"], b"first")
    set_format(fd, LINES)
    equal("F2: and back: the next one", os.read(fd, 5), b"\ntwo\n")
    set_format(fd, LINES)
    equal("F2: the same format changes nothing", os.read(fd, 6), b"lines\n")
    fails("F1: an unknown format", errno.EINVAL, set_format, fd, 3)
    os.close(fd)
    fd = os.open(node, os.O_RDWR)
    os.write(fd, b"unfinished")
    fails("F2: SET_FORMAT while an unfinished line waits", errno.EBUSY, set_format, fd, BATCH)
    os.write(fd, b"\n")
    set_format(fd, BATCH)
    say(True, "F2: and after it was finished")
    equal("F1: GET_INFO shows it", info(fd)["format"], BATCH)
    os.close(fd)


def volume():
    node = topic("t9", 1, "segment.bytes=1048576")
    lines = [b"%d %s\n" % (i, b"." * (i * 7919 % 300)) for i in range(30000)]
    data = b"".join(lines)
    fd = os.open(node, os.O_WRONLY)
    at = 0
    step = 0
    while at < len(data):
        step = (step * 31 + 1789) % 200000 + 1
        at += os.write(fd, data[at:at + step])
    os.close(fd)
    say(wait_for(lambda: lines_of(node) == data), "L2, L3, L10: 30000 lines in writes of odd sizes come back as they were")


def main():
    writes()
    unfinished()
    killed()
    too_long()
    reads()
    volume()


run(main)
