#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write records while the disk's writes are recorded (runs in the machine).

Three phases: "durable" as users get it; "lazy", acknowledged before it is
synced; and "nobarrier", on a file system told not to flush. The last two are
controls: there the checker must find losses, or it would find none anywhere.

Each acknowledgement is written, with O_DIRECT, to the part of the same device
behind the file system, so that acknowledgements and writes share one order.
"""
import json
import mmap
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import store  # noqa: E402

MOUNT = "/var/lib/kbroker"
DEVICE = "/dev/vda"


class Acknowledgements:
    """A row of sectors behind the file system."""

    def __init__(self, area, size):
        self.fd = os.open(DEVICE, os.O_WRONLY | os.O_DIRECT)
        self.at, self.end = area, size
        self.buffer = mmap.mmap(-1, 4096)
        self.lock = threading.Lock()
        self.count = 0

    def add(self, **what):
        text = b"ACK " + json.dumps(what, separators=(",", ":")).encode() + b"\n"
        with self.lock:
            if self.at + 512 > self.end:
                raise RuntimeError("no room for acknowledgements")
            self.buffer[:512] = text.ljust(512, b"\0")
            os.pwrite(self.fd, memoryview(self.buffer)[:512], self.at)
            self.at += 512
            self.count += 1


def phase(where, acks, name, writers, target, seed):
    """WRITERS threads write until TARGET batches are acknowledged."""
    stop = threading.Event()
    failures = []
    goal = acks.count + target

    def work(writer):
        rng = random.Random(f"{seed} {name} {writer}")
        partition = writer % store.PARTITIONS
        try:
            write = where.writer(name, partition)
            seq = 0
            while not stop.is_set():
                number = rng.choice((1, 1, 1, 2, 5))
                size = rng.choice((10, 100, 100, 1000, 3000))
                data = b"".join(store.line(name, writer, seq, i, number, size) for i in range(number))
                base = write(data, number)
                acks.add(phase=name, p=partition, w=writer, s=seq, n=number, o=base)
                seq += 1
                if acks.count >= goal:
                    stop.set()
        except Exception as error:  # pylint: disable=broad-except
            failures.append(f"writer {writer} of {name}: {error!r}")
            stop.set()

    threads = [threading.Thread(target=work, args=(w,)) for w in range(writers)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
        if thread.is_alive():
            failures.append(f"{name}: a writer hangs")
    if failures:
        raise SystemExit("\n".join(failures))
    print(f"{name}: {target} acknowledged batches in {time.monotonic() - start:.1f} s", flush=True)


def main():
    kind, area, size, target, seed = sys.argv[1], *map(int, sys.argv[2:6])
    where = getattr(store, kind)(MOUNT)
    acks = Acknowledgements(area, size)
    where.start()
    for name in ("durable", "lazy", "nobarrier"):
        where.create(name, name == "lazy")
    phase(where, acks, "durable", 8, target, seed)
    phase(where, acks, "lazy", 4, target // 2, seed)
    subprocess.run(["mount", "-o", "remount,nobarrier", MOUNT], check=True)
    phase(where, acks, "nobarrier", 4, target // 2, seed)
    os.execlp("power-cut", "power-cut")


if __name__ == "__main__":
    main()
