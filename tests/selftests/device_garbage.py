#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
"""What no program should hand to a device: lying batches and records, ioctls
of any number with any pointer, memory that is not there or changes meanwhile,
absurd lengths. Each ends in an errno or in a log that all formats can read.
"""
import ctypes
import errno
import mmap
import os
import random
import resource
import signal
import struct
import threading
import time

import device_lib as lib
from device_lib import (BATCH, LINES, RECORD, batch, batch_records, crc32c, drain, equal, fails, gzip_, lz4, open_,
                        parse_batches, record, records_of, run, say, snappy, topic, zstd)

SECONDS = int(os.environ.get("KBROKER_FUZZ_SECONDS", "2"))
rng = random.Random(int(os.environ.get("KBROKER_FUZZ_SEED", "1")))
libc = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE
MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MAP_FIXED = 2, 0x20, 0x4000, 0x10
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
for name in ("read", "write"):
    getattr(libc, name).argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
    getattr(libc, name).restype = ctypes.c_ssize_t
libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)


def raw(call, *args):
    """A system call by addresses; OSError as Python's own."""
    ret = call(*args)
    if ret < 0:
        raise OSError(ctypes.get_errno(), "")
    return ret


def attempt(function, *args):
    """(value, errno)"""
    try:
        return function(*args), 0
    except OSError as error:
        return None, error.errno


def readable(name, path):
    """All of the log can be read in all formats, and they agree."""
    fd = open_(path, os.O_RDONLY | os.O_NONBLOCK, BATCH)
    batches = parse_batches(drain(fd))
    os.close(fd)
    try:
        records = records_of(path)
    except OSError as error:
        return say(False, f"{name}: cannot be read: {errno.errorcode[error.errno]}")
    ends = [base + count for base, count in batches]
    dense = all(a == b for a, b in zip(ends, [base for base, _ in batches[1:]]))
    offsets = [rec["offset"] for rec in records]
    return say(dense and all(rec["whole"] for rec in records) and offsets == sorted(set(offsets)) and
               len(offsets) == (ends[-1] if ends else 0), f"{name}: what was taken is a log ({len(offsets)} records)")


def with_crc(data):
    data[17:21] = struct.pack(">I", crc32c(bytes(data[21:])))
    return bytes(data)


REFUSED = {errno.EBADMSG, errno.EMSGSIZE, errno.EILSEQ, errno.EKEYEXPIRED}


def lying_batches():
    path = topic("lies")
    fd = open_(path, os.O_WRONLY, BATCH)
    good = batch([b"one", None, b"", b"four" * 20], key=b"k")
    wrong, taken = [], 0
    # each byte of the header and of the first record, with and without a CRC that matches
    for at in range(100):
        for value in (0, 1, 0x7F, 0x80, 0xFF, good[at] ^ 1):
            data = bytearray(good)
            data[at] = value
            if bytes(data) == good:
                continue
            for fixed in (False, True):
                ret, error = attempt(os.write, fd, with_crc(data) if fixed else bytes(data))
                taken += error == 0
                if error and error not in REFUSED or not error and not fixed and 20 < at:
                    wrong.append((at, value, fixed, ret, errno.errorcode.get(error)))
    equal(f"every byte may lie ({taken} taken)", wrong[:5], [])
    readable("lying headers", path)
    say(os.write(fd, good) == len(good), "a good batch is taken after them")
    # at random, of all codecs
    records = batch_records([b"value %d " % i + b"z" * (i * 13 % 300) for i in range(30)])
    kinds = [batch(count=30, records=records)]
    kinds += [batch(count=30, records=pack(records), attributes=number)
              for number, pack in ((1, gzip_), (2, snappy), (3, lz4), (4, zstd))]
    wrong, tried, taken = [], 0, 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        data = bytearray(rng.choice(kinds))
        for _ in range(rng.choice([1, 1, 2, 4])):
            at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(57, min(len(data), 110))
            data[at] = rng.choice([rng.randrange(256), data[at] ^ 1 << rng.randrange(8), 0xFF, 0])
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)):]
        if rng.random() < 0.05:
            data *= 2
        if rng.random() < 0.7 and len(data) > 61:
            data[8:12] = struct.pack(">i", len(data) - 12)
        data = with_crc(data) if len(data) > 21 else bytes(data)
        ret, error = attempt(os.write, fd, data)
        tried += 1
        taken += error == 0
        if error and error not in REFUSED:
            wrong.append(errno.errorcode.get(error))
    equal(f"{tried} random batches ({taken} taken)", wrong[:5], [])
    readable("random batches", path)
    os.close(fd)


def lying_records():
    path = topic("fields")
    fd = open_(path, os.O_WRONLY, RECORD)
    good = record(b"value", b"key", [(b"h", b"1"), (b"i", None)])
    wrong, taken = [], 0
    allowed = {errno.EINVAL, errno.EMSGSIZE, errno.ETIME}
    for _ in range(3000):
        data = bytearray(good)
        at = rng.randrange(0, len(data) - 4)
        data[at:at + 4] = struct.pack("=I", rng.choice([0, 1, 3, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 48, 64,
                                                        rng.randrange(1 << 32)]))
        if rng.random() < 0.2:
            data = data[:rng.randrange(len(data))]
        if rng.random() < 0.5:
            data[:4] = struct.pack("=I", len(data))[:len(data)]
        if not data:
            continue
        ret, error = attempt(os.write, fd, bytes(data))
        taken += error == 0
        if error and error not in allowed or not error and ret != len(data):
            wrong.append((bytes(data).hex(), ret, errno.errorcode.get(error)))
    equal(f"every field of a record may lie ({taken} taken)", wrong[:3], [])
    os.close(fd)
    readable("lying records", path)


def ioctls():
    path = topic("ioctls")
    with open(path, "wb") as file:
        file.write(b"x\n" * 50)
    wrong, done = [], 0
    allowed = {errno.ENOTTY, errno.EFAULT, errno.EINVAL, errno.EBADF, errno.EAGAIN}
    page = libc.mmap(None, 2 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    libc.munmap(page + PAGE, PAGE)
    pointers = [0, 1, page, page + PAGE - 4, page + PAGE - 8, page + PAGE - 1, page + PAGE, 2 ** 64 - 4096,
                2 ** 63, 2 ** 47 - 1]
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        for node in (path, "/dev/kbroker/ioctls/all"):
            for form in (LINES, RECORD, BATCH):
                fd = open_(node, flags | os.O_NONBLOCK, form)
                for number in list(range(16)) + [255]:
                    for direction in range(4):
                        for size in (0, 4, 8, 24, 32, 56, 64, 16383):
                            ctypes.memset(page, rng.choice([0, 0xFF, 1, rng.randrange(256)]), PAGE)
                            command = direction << 30 | size << 16 | 0xB6 << 8 | number
                            pointer = rng.choice(pointers)
                            _, error = attempt(raw, libc.ioctl, fd, command, pointer)
                            done += 1
                            if error and error not in allowed:
                                wrong.append((hex(command), hex(pointer), errno.errorcode.get(error)))
                os.close(fd)
    libc.munmap(page, PAGE)
    equal(f"{done} ioctls of all kinds", wrong[:5], [])
    readable("after them", path)


def memory():
    path = topic("memory")
    pages = libc.mmap(None, 64 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    hole = pages + 2 * PAGE
    fd = open_(path, os.O_RDWR | os.O_NONBLOCK, BATCH)
    whole = batch([b"m" * 3 * PAGE])
    os.write(fd, whole)
    os.fsync(fd)
    libc.munmap(hole, PAGE)
    started = time.monotonic()
    alarm = signal.signal(signal.SIGALRM, lambda *_: None)
    done = []

    def big_read():
        done.append(attempt(raw, libc.read, fd, pages, 64 * PAGE)[1])

    # as its own process, which can be killed if it never comes back
    pid = os.fork()
    if not pid:
        big_read()
        os._exit(done[0])
    status = None
    while time.monotonic() - started < 60 and status is None:
        got, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if got else None
        time.sleep(0.01)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    signal.signal(signal.SIGALRM, alarm)
    equal("F5 a batch that runs into a hole is EFAULT, and ends", errno.errorcode.get(status, status), "EFAULT")
    libc.mmap(hole, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
    equal("F5 and still there", raw(libc.read, fd, pages, 64 * PAGE), len(whole))
    os.lseek(fd, 0, 0)
    fails("F5 a read to no memory", errno.EFAULT, raw, libc.read, fd, 1 << 40, 64 * PAGE)
    libc.munmap(hole, PAGE)
    for form in (LINES, RECORD, BATCH):
        lib.set_format(fd, form)
        data = {LINES: b"l" * 3 * PAGE + b"\n", RECORD: record(b"r" * 3 * PAGE), BATCH: whole}[form]
        ctypes.memmove(pages, data, 2 * PAGE)
        fails(f"F5 a cut write, format {form}", errno.EFAULT, raw, libc.write, fd, pages, len(data))
    libc.mmap(hole, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
    # long and untouched memory
    huge = libc.mmap(None, 1 << 31, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    lib.set_format(fd, LINES)
    fails("L7 two gigabytes without a newline", errno.EMSGSIZE, raw, libc.write, fd, huge, (1 << 31) - PAGE)
    lib.set_format(fd, RECORD)
    fails("R1 two gigabytes are no record", errno.EINVAL, raw, libc.write, fd, huge, (1 << 31) - PAGE)
    lib.set_format(fd, BATCH)
    fails("B2 nor a batch", errno.EBADMSG, raw, libc.write, fd, huge, (1 << 31) - PAGE)
    os.lseek(fd, 0, 0)
    libc.munmap(huge, 1 << 31)
    huge = libc.mmap(None, 1 << 31, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    before = resident()
    equal("B5 a read to two gigabytes", raw(libc.read, fd, huge, (1 << 31) - PAGE), len(whole))
    say(resident() - before < 64 << 20, f"and it does not touch them all ({resident() - before >> 20} MiB)")
    libc.munmap(huge, 1 << 31)
    # many pieces
    lib.set_format(fd, LINES)
    pieces = [b"p", b"", b"q\n", b""] * 256
    equal("vectors of tiny pieces", os.writev(fd, pieces), 768)
    equal("vectors of nothing", os.writev(fd, [b""] * 1024), 0)
    equal("a read into nothing", os.readv(fd, [bytearray()] * 1024), 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    alarm = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    got = attempt(os.write, fd, b"no limit\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, alarm)
    equal("no RLIMIT_FSIZE for a device", got, (9, 0))
    os.fsync(fd)
    os.close(fd)
    libc.munmap(pages, 64 * PAGE)
    readable("after bad memory", path)


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE


def changing_memory():
    """F6: a batch that another thread changes while it is written."""
    path = topic("changing")
    good = batch([b"c" * 40 for _ in range(100)])
    shared = mmap.mmap(-1, len(good) + PAGE)
    shared[:len(good)] = good
    stop = []
    records = bytearray(record(b"v" * 100, b"k" * 30, [(b"h" * 10, b"i" * 10)] * 5))

    def change():
        while not stop:
            at = rng.randrange(len(good))
            old = shared[at]
            shared[at] = rng.randrange(256)
            shared[at] = old

    pid = os.fork()
    if not pid:
        change()
    fd = open_(path, os.O_WRONLY, BATCH)
    end, taken, refused = time.monotonic() + SECONDS, 0, 0
    view = memoryview(shared)[:len(good)]
    while time.monotonic() < end:
        _, error = attempt(os.write, fd, view)
        taken += error == 0
        refused += error in REFUSED
    os.close(fd)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    shared[:len(records)] = bytes(records)
    pid = os.fork()
    if not pid:
        while True:
            at = rng.randrange(len(records))
            shared[at] = rng.randrange(256)
            shared[at] = records[at]
    fd = open_(path, os.O_WRONLY, RECORD)
    view2 = memoryview(shared)[:len(records)]
    end = time.monotonic() + SECONDS / 2
    while time.monotonic() < end:
        attempt(os.write, fd, view2)
    os.close(fd)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    say(taken, f"F6 memory changes while it is written ({taken} taken, {refused} refused)")
    readable("changing memory", path)


def main():
    lying_batches()
    lying_records()
    ioctls()
    memory()
    changing_memory()


run(main)
