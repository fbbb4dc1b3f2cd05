# SPDX-License-Identifier: GPL-2.0-only
"""Where the power-cut tests write and read: kbroker's devices, or plain files.

The plain files are there to test the tests: their loss and survival is known.
Every record says who wrote it, its place in its batch, and its own checksum,
so that a reader can tell lost, altered, torn and invented ones apart.
"""
import errno
import fcntl
import os
import struct
import subprocess
import time
import zlib

PARTITIONS = 3
IOC_LAST_WRITE = (2 << 30) | (24 << 16) | (0xB6 << 8) | 7


def line(phase, writer, seq, at, number, size):
    """Record AT of the NUMBER records in batch SEQ of WRITER."""
    head = f"{phase} {writer} {seq} {at} {number} ".encode()
    body = head + (b"%c" % (97 + (seq + at) % 26)) * size
    return b"%s %08x\n" % (body, zlib.crc32(body))


def parse(text):
    """(phase, writer, seq, at, number) of a record, or None if it is damaged."""
    body, _, check = text.rstrip(b"\n").rpartition(b" ")
    if check != b"%08x" % zlib.crc32(body):
        return None
    phase, writer, seq, at, number, _ = body.split(b" ", 5)
    return phase.decode(), int(writer), int(seq), int(at), int(number)


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=100)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Broker:
    """Topics of kbroker, through its devices."""

    def __init__(self, directory):
        self.directory = os.path.join(directory, "broker")

    def start(self):
        os.makedirs(self.directory, exist_ok=True)
        run("kbroker", "broker", "start", "--dir", self.directory)

    def stop(self):
        run("kbroker", "broker", "stop")

    def create(self, phase, lazy):
        """A topic for a phase; lazy ones acknowledge before they sync."""
        config = ["--config", "segment.bytes=65536"]
        if lazy:
            config += ["--config", "flush.policy=async"]
        run("kbroker", "topic", "create", phase, "--partitions", str(PARTITIONS), *config)

    def writer(self, phase, partition):
        fd = os.open(f"/dev/kbroker/{phase}/{partition}", os.O_WRONLY)

        def write(data, number):
            done = os.write(fd, data)
            if done != len(data):
                raise RuntimeError(f"wrote {done} of {len(data)}")
            where, records, base, _ = struct.unpack("=iIqq", fcntl.ioctl(fd, IOC_LAST_WRITE, bytes(24)))
            if where != partition or records != number:
                raise RuntimeError(f"{records} records in {where} instead of {number} in {partition}")
            return base
        write.close = lambda: os.close(fd)
        return write

    def read(self, phase, partition):
        """Every record, or None if there is no such topic."""
        try:
            fd = os.open(f"/dev/kbroker/{phase}/{partition}", os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
                return None
            raise
        data = b""
        while True:
            try:
                part = os.read(fd, 1 << 20)
            except BlockingIOError:
                break
            if not part:
                break
            data += part
        os.close(fd)
        return data.splitlines(keepends=True)


class PlainFiles:
    """Files, appended to and synced: lazy ones are not synced."""

    def __init__(self, directory):
        self.directory = os.path.join(directory, "plain")
        self.lazy = {}

    def start(self):
        os.makedirs(self.directory, exist_ok=True)
        for name in os.listdir(self.directory):
            self.cut(os.path.join(self.directory, name))

    def cut(self, path):
        """Drop a torn tail, as the module does: whole batches are left."""
        good = at = left = 0
        with open(path, "r+b") as text:
            for part in text:
                at += len(part)
                record = parse(part) if part.endswith(b"\n") else None
                if not record:
                    break
                left = (left or record[4]) - 1
                if not left:
                    good = at
            text.truncate(good)

    def stop(self):
        pass

    def path(self, phase, partition):
        return os.path.join(self.directory, f"{phase}-{partition}")

    def create(self, phase, lazy):
        self.lazy[phase] = lazy
        for partition in range(PARTITIONS):
            with open(self.path(phase, partition), "xb"):
                pass
        os.sync()

    def writer(self, phase, partition):
        fd = os.open(self.path(phase, partition), os.O_WRONLY | os.O_APPEND)

        def write(data, _):
            os.write(fd, data)
            if self.lazy[phase]:
                time.sleep(0.01)
            else:
                os.fsync(fd)
            return -1
        write.close = lambda: os.close(fd)
        return write

    def read(self, phase, partition):
        try:
            with open(self.path(phase, partition), "rb") as text:
                lines = text.read().splitlines(keepends=True)
        except FileNotFoundError:
            return None
        return lines
