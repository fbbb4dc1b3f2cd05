#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: uml
"""Allocations fail in the workers, too.

faults.py fails each allocation of a caller once. Much of the module runs in
workers: starts, recoveries, operations, syncs, retention. Here a few in a
hundred allocations of all kernel workers and of our own tasks fail while
topics come and go, logs roll, are written and read, and the broker starts and
stops; then all that was acknowledged must be there, once and in order.
"""
import errno
import os
import random
import subprocess
import sys
import time

import device_lib as lib
from device_lib import BATCH, DIR, RECORD, batch, drain, open_, parse_record, record, say

SECONDS = int(os.environ.get("KBROKER_FUZZ_SECONDS", "10"))
rng = random.Random(int(os.environ.get("KBROKER_FUZZ_SEED", "1")))
ON_TMPFS = os.environ.get("KBROKER_FAULTS_FS", "tmpfs") == "tmpfs"
DEBUG = "/sys/kernel/debug/"
DECENT = {errno.ENOMEM, errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOENT, errno.EINTR, errno.EAGAIN, errno.ENOSPC,
          errno.ETIMEDOUT, errno.EFAULT, errno.ENFILE, errno.EMFILE, errno.EPIPE, errno.ENOBUFS}


def setting(name, value):
    for fault in ("failslab", "fail_page_alloc"):
        try:
            with open(f"{DEBUG}{fault}/{name}", "w", encoding="ascii") as out:
                out.write(str(value))
        except (FileNotFoundError, PermissionError):
            pass


def faulty(on):
    """Mark every kernel worker there is by now."""
    setting("probability", 0)
    if not on:
        return
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                worker = file.read().startswith(("kworker", "kbr"))
            if worker:
                with open(f"/proc/{pid}/make-it-fail", "w", encoding="ascii") as out:
                    out.write("1")
        except OSError:
            pass
    setting("probability", rng.choice([1, 2, 5, 10]))


def cli(*argv):
    """The command, itself without faults: they are the workers'."""
    done = subprocess.run(("timeout", "100", "kbroker") + argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode == 124:
        problems.append(f"kbroker {' '.join(argv)} hangs")
    return done.returncode, done.stdout.decode(errors="replace")


def unlucky(function, *args):
    """Call it with faults of our own."""
    os.pwrite(own, b"1", 0)
    try:
        return function(*args)
    finally:
        os.pwrite(own, b"0", 0)


problems = []
own = os.open("/proc/self/make-it-fail", os.O_WRONLY) if os.path.exists("/proc/self/make-it-fail") else -1
acked, elsewhere, tried, counter = set(), set(), set(), [0]


def value():
    counter[0] += 1
    return b"%d %s" % (counter[0], b"v" * (counter[0] * 7919 % 3000))


def write(node):
    form = rng.randrange(3)
    values = [value() for _ in range(1 if form == RECORD else rng.randrange(1, 6))]
    tried.update(values)
    fd = open_(node, os.O_WRONLY, form)
    try:
        data = {0: b"\n".join(values) + b"\n", RECORD: record(values[0]), BATCH: batch(values)}[form]
        if unlucky(os.write, fd, data) == len(data):
            (acked if "/t/" in node else elsewhere).update(values)
    finally:
        os.close(fd)


def read(node):
    fd = open_(node, os.O_RDONLY | os.O_NONBLOCK, rng.randrange(3))
    try:
        unlucky(drain, fd)
        os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


def step():
    what = rng.random()
    node = f"/dev/kbroker/t/{rng.choice(['0', '1', 'all'])}"
    if what < 0.6:
        write(node)
    elif what < 0.75:
        read(node)
    elif what < 0.80:
        cli("topic", "create", f"x{rng.randrange(2)}", "--partitions", str(rng.randrange(1, 20)))
    elif what < 0.85:
        cli("topic", "delete", f"x{rng.randrange(2)}")
    elif what < 0.88:
        cli("topic", "alter", "t", "--config", f"segment.bytes={rng.randrange(16384, 40000)}")
    elif what < 0.90:
        cli("topic", "alter", f"x{rng.randrange(2)}", "--partitions", str(rng.randrange(2, 25)))
    elif what < 0.92:
        cli("partition", "delete-records", f"x{rng.randrange(2)}", "--offset", "end")
    elif what < 0.95:
        cli("topic", "describe", "t")
        cli("partition", "describe", "t")
    elif what < 0.97:
        cli("broker", "stop")
        while not os.path.exists("/dev/kbroker/t") and not problems:
            if cli("broker", "start", "--dir", DIR)[0] and rng.random() < 0.3:
                faulty(False)
        faulty(True)
    else:
        write(f"/dev/kbroker/x{rng.randrange(2)}/0")


def main():
    if own < 0:
        print("1..0 # SKIP this kernel injects no faults")
        return 0
    setting("ignore-gfp-wait", "N")
    setting("ignore-gfp-highmem", "N")
    setting("min-order", 0)
    setting("verbose", 0)
    setting("times", -1)
    setting("interval", 1)
    setting("task-filter", "Y")
    subprocess.run(["rm", "-rf", DIR], check=True)
    os.makedirs(DIR)
    if ON_TMPFS:    # ext4 calls it an error when it has no memory
        subprocess.run(["mount", "-t", "tmpfs", "none", DIR], check=True)
    lib.kbroker("broker", "start", "--dir", DIR)
    lib.kbroker("topic", "create", "t", "--partitions", "2", "--config", "segment.bytes=16384")
    end = time.monotonic() + SECONDS
    steps = failures = 0
    faulty(True)
    while time.monotonic() < end and not problems:
        steps += 1
        if not steps % 40:
            faulty(True)
        try:
            step()
        except OSError as error:
            failures += 1
            if error.errno not in DECENT:
                problems.append(f"an odd error: {error}")
        except MemoryError:
            failures += 1
    faulty(False)
    setting("task-filter", "N")
    for line in problems:
        print("# " + line)
    say(not problems, f"{steps} steps, {failures} failed: nothing hangs, errors are decent")

    def look(when):
        there = []
        for index in range(2):
            fd = open_(f"/dev/kbroker/t/{index}", os.O_RDONLY | os.O_NONBLOCK, RECORD)
            last = -1
            while True:
                try:
                    rec = parse_record(os.read(fd, 1 << 20))
                except BlockingIOError:
                    break
                if rec["offset"] != last + 1:
                    print(f"# t/{index}: {rec['offset']} after {last}")
                last = rec["offset"]
                there.append(rec["value"])
            os.close(fd)
        missing = acked - set(there)
        say(not missing, f"{len(acked)} acknowledged records are there {when}")
        if missing:
            print("# missing: " + ", ".join(v[:10].decode() for v in sorted(missing)[:10]))
        say(len(there) == len(set(there)) and set(there) <= tried, "once, and nothing else")

    status, said = cli("broker", "stop")
    print("#", said.strip())
    status, said = cli("broker", "start", "--dir", DIR)
    print("#", said.strip())
    say(status == 0, "the broker starts when there is memory")
    look("after a restart")
    lib.kbroker("topic", "create", "fresh")
    write("/dev/kbroker/t/1")
    say(True, "and works")
    lib.kbroker("broker", "stop")
    if ON_TMPFS:
        subprocess.run(["umount", DIR], check=True)
    subprocess.run(["rm", "-rf", DIR], check=True)
    print(f"1..{len(lib.results)}")
    return 0 if all(lib.results) else 1


if __name__ == "__main__":
    sys.exit(main())
