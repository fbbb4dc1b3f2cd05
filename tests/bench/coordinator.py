#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Inside the virtual machine, for tests/bench/guest: what many groups cost.

	coordinator.py members	10,000 groups of one member: kernel memory of each
	coordinator.py fill	a million commits: 1,000 groups of 1,000 partitions
	coordinator.py loaded	wait until the last of them is there again

Prints JSON.
"""
import json
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../selftests"))
from device_lib import kbroker  # noqa: E402
from listener_client import Connection, array, blob, string  # noqa: E402

OFFSET_COMMIT, OFFSET_FETCH, JOIN_GROUP, SYNC_GROUP = 8, 9, 11, 14
GROUPS, LARGE, PARTITIONS = 10000, 1000, 1000
SESSION_MS = 1800000


def kernel_kib():
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as drop:
        drop.write("3")
    time.sleep(1)
    wanted = ("Slab:", "Percpu:", "KernelStack:", "PageTables:", "VmallocUsed:")
    with open("/proc/meminfo", encoding="ascii") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith(wanted))


def join(conn, group):
    """A group of one member, which is its leader"""
    protocols = array([string("range") + blob(b"")])
    conn.send(JOIN_GROUP, 0, string(group) + struct.pack(">i", SESSION_MS) + string("") + string("consumer") + protocols)
    reader = conn.receive()
    error, generation = reader.take("hi")
    reader.string()
    reader.string()
    member = reader.string()
    if error:
        raise SystemExit(f"{group}: error {error}")
    conn.send(SYNC_GROUP, 0, string(group) + struct.pack(">i", generation) + string(member) +
              array([string(member) + blob(b"\0" * 24)]))
    error = conn.receive().take("h")
    if error:
        raise SystemExit(f"{group}: error {error}")


def members():
    conn = Connection()
    join(conn, "warm")
    before, start = kernel_kib(), time.monotonic()
    for number in range(GROUPS):
        join(conn, f"group-{number}")
    seconds = time.monotonic() - start
    return {"groups": GROUPS, "kib": (kernel_kib() - before) / GROUPS, "seconds": seconds}


def fill():
    kbroker("topic", "create", "large", "--partitions", str(PARTITIONS))
    parts = array([struct.pack(">iq", number, 1) + string("") for number in range(PARTITIONS)])
    conn = Connection()
    before, start = kernel_kib(), time.monotonic()
    for number in range(LARGE):
        conn.send(OFFSET_COMMIT, 2, string(f"large-{number}") + struct.pack(">i", -1) + string("") +
                  struct.pack(">q", -1) + array([string("large") + parts]))
        reader = conn.receive()
        if reader.data.count(b"\0\0", len(reader.data) - 2) != 1:
            raise SystemExit(f"group {number} is refused")
    seconds = time.monotonic() - start
    return {"commits": LARGE * PARTITIONS, "bytes": (kernel_kib() - before) * 1024 / (LARGE * PARTITIONS), "seconds": seconds}


def loaded():
    conn = Connection()
    for _ in range(60000):
        conn.send(OFFSET_FETCH, 2, string(f"large-{LARGE - 1}") +
                  array([string("large") + array([struct.pack(">i", PARTITIONS - 1)])]))
        reader = conn.receive()
        offset = reader.array(lambda: (reader.string(), reader.array(lambda: (
            reader.take("i"), reader.take("q"), reader.string(), reader.take("h")))))[0][1][0][1]
        if not reader.take("h") and offset == 1:
            return {"offset": offset}
        time.sleep(0.01)
    raise SystemExit("it is not there again")


print(json.dumps({"members": members, "fill": fill, "loaded": loaded}[sys.argv[1]]()))
