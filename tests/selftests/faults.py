#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: uml
# allow: EXT4-fs error .*: Out of memory
"""Every allocation of every device operation fails once.

The debug kernel counts the allocations of a task (/proc/self/fail-nth): each
operation is repeated with its first, second, ... allocation failing, until it
has no more. It must end in a decent errno or succeed; afterwards what was
acknowledged is in the log, once and in order; KASAN, lockdep and kmemleak look
on. Stock kernels can't do this, and there it is skipped.
"""
import errno
import fcntl
import os
import select
import struct
import subprocess
import sys

DIR = "/var/lib/kbroker/test"
DECENT = {errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS, errno.EINTR, errno.ENFILE, errno.EMFILE, errno.EFAULT}
IOC_SET_FORMAT = (1 << 30) | (4 << 16) | (0xB6 << 8) | 1
IOC_SEEK_TIME = (3 << 30) | (32 << 16) | (0xB6 << 8) | 5
IOC_NEXT = (2 << 30) | (24 << 16) | (0xB6 << 8) | 6
IOC_COMMIT = (0xB6 << 8) | 10
results = []


def say(good, name):
    results.append(good)
    print(f"{'ok' if good else 'not ok'} {len(results)} - {name}", flush=True)


def kbroker(*argv):
    subprocess.run(("kbroker",) + argv, check=True, stdout=subprocess.DEVNULL)


def setting(path, value):
    try:
        with open("/sys/kernel/debug/" + path, "w", encoding="ascii") as out:
            out.write(value)
    except OSError:     # not every fault has every setting
        pass


def every_allocation_fails(name, operation, undo=None):
    """Repeat OPERATION with its n-th allocation failing, n = 1, 2, ..."""
    nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
    n, failed, odd = 0, 0, []
    while n < 2000:
        n += 1
        result = None
        os.pwrite(nth, b"%d" % n, 0)
        try:
            result = operation()
        except OSError as error:
            failed += 1
            if error.errno not in DECENT:
                odd.append(f"allocation {n}: {errno.errorcode.get(error.errno, error.errno)}")
        left = int(os.pread(nth, 32, 0))
        os.pwrite(nth, b"0", 0)
        if undo:
            undo(result)
        if left:
            break
    os.close(nth)
    for line in odd[:10]:
        print(f"# {name}: {line}")
    say(not odd and n < 2000, f"{name}: each of {n - 1} allocations may fail ({failed} errors)")


def main():
    if not os.path.exists("/proc/self/fail-nth"):
        print("1..0 # SKIP this kernel injects no faults")
        return 0
    for fault in ("failslab", "fail_page_alloc"):
        setting(fault + "/ignore-gfp-wait", "N")
        setting(fault + "/ignore-gfp-highmem", "N")
        setting(fault + "/verbose", "0")
        setting(fault + "/min-order", "0")
    subprocess.run(["rm", "-rf", DIR], check=True)
    os.makedirs(DIR)
    kbroker("broker", "start", "--dir", DIR)
    kbroker("topic", "create", "t", "--partitions", "2", "--config", "segment.bytes=65536")
    node = "/dev/kbroker/t/0"

    every_allocation_fails("open", lambda: os.open(node, os.O_RDWR), lambda fd: fd is None or os.close(fd))
    every_allocation_fails("open of all", lambda: os.open("/dev/kbroker/t/all", os.O_RDWR),
                           lambda fd: fd is None or os.close(fd))
    every_allocation_fails("stat", lambda: os.stat("/dev/kbroker/t/1"))
    every_allocation_fails("readdir", lambda: os.listdir("/dev/kbroker/t"))

    acknowledged, counter = [], [0]

    def fresh_write():
        fd = os.open(node, os.O_WRONLY)
        counter[0] += 1
        line = b"line %06d %s\n" % (counter[0], b"x" * (counter[0] % 3000))
        try:
            if os.write(fd, line) == len(line):
                acknowledged.append(line)
        finally:
            os.close(fd)

    every_allocation_fails("open, write a line, close", fresh_write)
    fd = os.open(node, os.O_WRONLY)

    def write():
        counter[0] += 1
        line = b"line %06d %s\n" % (counter[0], b"y" * 9000)
        if os.write(fd, line) == len(line):
            acknowledged.append(line)

    for _ in range(3):      # across a roll of the segment, too
        every_allocation_fails("write a line", write)
    every_allocation_fails("fsync", lambda: os.fsync(fd))
    os.close(fd)

    reader = os.open(node, os.O_RDONLY | os.O_NONBLOCK)

    def read():
        os.lseek(reader, 0, os.SEEK_SET)
        return os.read(reader, 1 << 16)

    every_allocation_fails("seek and read", read)
    every_allocation_fails("seek to the end", lambda: os.lseek(reader, 0, os.SEEK_END))
    every_allocation_fails("seek by time", lambda: fcntl.ioctl(reader, IOC_SEEK_TIME, struct.pack("=qiIqq", 0, -1, 0, 0, 0)))
    every_allocation_fails("what is next", lambda: fcntl.ioctl(reader, IOC_NEXT, bytes(24)))
    every_allocation_fails("poll", lambda: select.select([reader], [], [], 0))
    for number, name in ((1, "records"), (2, "batches")):
        other = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.ioctl(other, IOC_SET_FORMAT, struct.pack("=I", number))

        def read_other(other=other):
            os.lseek(other, 0, os.SEEK_SET)
            return os.read(other, 1 << 20)

        every_allocation_fails(f"read {name}", read_other)
        os.close(other)

    os.lseek(reader, 0, os.SEEK_SET)
    data = b""
    while True:
        try:
            part = os.read(reader, 1 << 20)
        except BlockingIOError:
            break
        data += part
    os.close(reader)
    group = "/dev/kbroker/t/@g"
    os.close(os.open(group, os.O_RDONLY))       # from now on there is a place for what groups commit
    every_allocation_fails("open of a group", lambda: os.open(group, os.O_RDONLY), lambda fd: fd is None or os.close(fd))
    member = os.open(group, os.O_RDONLY | os.O_NONBLOCK)

    def come_and_go():
        other = os.open(group, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.read(other, 100)
            os.read(member, 100)
        finally:
            os.close(other)

    def read_and_commit():
        os.read(member, 100)
        fcntl.ioctl(member, IOC_COMMIT)

    every_allocation_fails("another member comes and goes", come_and_go)
    every_allocation_fails("read and commit", read_and_commit)
    os.close(member)

    lines = data.splitlines(keepends=True)
    wanted = set(acknowledged)
    say([l for l in lines if l in wanted] == acknowledged, f"{len(acknowledged)} acknowledged lines are there, once and in order")
    extra = [l for l in lines if l not in wanted]
    say(len(set(lines)) == len(lines) and all(l.startswith(b"line ") for l in extra),
        f"of what failed nothing is there twice or torn ({len(extra)} lines were written after all)")
    kbroker("broker", "stop")
    subprocess.run(["rm", "-rf", DIR], check=True)
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
