#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""A disk that does not answer: who asks for records that must be read from it
waits, each in its own worker, and nobody else does. When the disk answers, they
all get theirs."""
import json
import os
import subprocess

from device_lib import batch, batch_records, equal, kbroker, say, topic, wait_for
from device_lib import results
from listener_client import Connection, array, listen, string

METADATA = 3
# more than work items of one queue that run at once by default
COLD = 300
IMAGE, MOUNT = "/run/cold.img", "/run/cold"
DM = dict(os.environ, DM_DISABLE_UDEV="1")


def shell(*argv, **options):
    return subprocess.run(argv, check=True, env=DM, stdout=subprocess.PIPE, text=True, **options).stdout.strip()


def quietly(*argv):
    subprocess.run(argv, check=False, env=DM, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def in_flight():
    return sum(one["in_flight"] for one in json.loads(kbroker("--json", "connection", "list")))


def served(c, count):
    """Requests that need no disk, or one whose pages are there."""
    for _ in range(count):
        c.send(METADATA, 1, array([string("hot")]))
        c.receive()
        if c.fetch("hot", 0, 0)[0] != 0:
            return False
    return True


def main():
    for name in ("cold", "hot"):
        topic(name)
    listen()
    data = batch(records=batch_records((b"v" * 50000,)), count=1)
    c = Connection()
    for name in ("cold", "hot"):
        for _ in range(20):
            c.produce(name, 0, data)
    cold = [Connection() for _ in range(COLD)]
    shell("sync")
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as out:
        out.write("3")
    # all of it in the cache, what the file system needs for it, too
    equal("a topic is read", c.fetch("hot", 0, 0)[2][61:161], data[61:161])
    shell("dmsetup", "suspend", "--nolockfs", "cold")
    try:
        for one in cold:
            one.send_fetch({"cold": {0: 0}}, each=100000)
        say(wait_for(lambda: in_flight() == COLD), f"{COLD} clients wait for the disk")
        say(served(c, 50), "another client is served")
        new = Connection()
        say(served(new, 50), "and one that comes")
        equal("the others still wait", in_flight(), COLD)
    finally:
        shell("dmsetup", "resume", "cold")
    got = {one.receive_fetch()[2][("cold", 0)][2][61:] == data[61:] for one in cold}
    equal("each has got its records", got, {True})


def run():
    quietly("modprobe", "-a", "loop", "dm-mod")
    if subprocess.run(("dmsetup", "version"), check=False, env=DM, stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode:
        print("1..0 # SKIP this kernel has no device mapper")
        return 0
    shell("truncate", "-s", "64M", IMAGE)
    loop = shell("losetup", "--show", "-f", IMAGE)
    done = False
    try:
        shell("dmsetup", "create", "cold", "--table", f"0 {shell('blockdev', '--getsz', loop)} linear {loop} 0")
        shell("mkfs.ext4", "-q", "-F", "/dev/mapper/cold")
        os.makedirs(MOUNT, exist_ok=True)
        shell("mount", "/dev/mapper/cold", MOUNT)
        os.makedirs(MOUNT + "/dir")
        kbroker("broker", "start", "--dir", MOUNT + "/dir")
        main()
        done = True
    except Exception as error:  # pylint: disable=broad-except
        say(False, f"the test ran to its end ({type(error).__name__}: {error})")
    finally:
        quietly("kbroker", "broker", "stop")
        quietly("umount", MOUNT)
        quietly("dmsetup", "remove", "-f", "cold")
        quietly("losetup", "-d", loop)
        os.unlink(IMAGE)
    print(f"1..{len(results)}", flush=True)
    return 0 if done and all(results) else 1


os._exit(run())
