#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What runs on each node of tests/machines all the time: a writer of the devices,
a Kafka producer with acks=all, readers of the devices. What they tried, what was
acknowledged and what was read is written, line by line, to the share, which
outlives this machine. The network of this one is cut when the share says so.
"""
import os
import pathlib
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "selftests"))
from cluster_nodes import Producer, metadata                # noqa: E402

NUMBER, BOOT, SHARE = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
NODES, PARTITIONS = (1, 2, 3), (0, 1)


class Peer:
    """As much of cluster_nodes.Node as its producer needs"""

    def __init__(self, number):
        self.id, self.address = number, f"10.98.0.{number}"


class Book:
    """A file of lines on the share"""

    def __init__(self, kind, name):
        self.file = open(SHARE / f"{kind}.{name}", "ab", buffering=0)

    def add(self, line):
        self.file.write(line)


class Network(Producer):
    """An idempotent producer; all brokers are its bootstrap servers"""

    def __init__(self, partition):
        super().__init__([Peer(number) for number in NODES], "t", partition)
        # a new life has a new id
        self.id = (NUMBER * 1000 + BOOT) * 10 + partition + (1 << 40)
        self.tried = Book("tried", f"p{NUMBER}.{BOOT}.{partition}")
        self.book = Book("acked", f"p{NUMBER}.{BOOT}.{partition}")
        self.known = -1

    def send(self, number):
        if number != self.known:
            self.tried.add(self.payload(number) + b"\n")
            self.known = number
        if not super().send(number):
            return False
        self.book.add(self.payload(number) + b"\n")
        return True

    def payload(self, number):
        return f"p{NUMBER}.{BOOT}.{self.partition} {number}".encode()


def write(partition, stop):
    """Lines through the device"""
    name = f"d{NUMBER}.{BOOT}.{partition}"
    tried, acked = Book("tried", name), Book("acked", name)
    number = 0
    with open(f"/dev/kbroker/t/{partition}", "wb", buffering=0) as device:
        while not stop.is_set():
            line = f"{name} {number}\n".encode()
            tried.add(line)
            number += 1
            try:
                device.write(line)
            except OSError as error:
                # it may be there, or not; it is not written again
                print(f"{name} {number - 1}: {error}", file=sys.stderr)
                continue
            acked.add(line)
            time.sleep(0.02)


def read(partition):
    """What a reader of the device sees"""
    book = Book("seen", f"r{NUMBER}.{BOOT}.{partition}")
    with open(f"/dev/kbroker/t/{partition}", "rb", buffering=0) as device:
        while True:
            data = device.read(65536)
            if not data:
                return
            book.add(data)


def told():
    """{(topic, partition): (leader, isr)} as this node knows"""
    try:
        return metadata(Peer(NUMBER), ["t"])
    except (OSError, EOFError, ValueError, struct.error):
        return {}


def tell():
    """Write it down: LEADER ISR... of each partition"""
    state = told()
    text = "".join(f"{state[('t', partition)][0]} {' '.join(map(str, sorted(state[('t', partition)][1])))}\n"
                   for partition in PARTITIONS if ("t", partition) in state)
    new = SHARE / f"new-state.{NUMBER}"
    new.write_text(text)
    new.rename(SHARE / f"state.{NUMBER}")


def main():
    # who asks for one that is not there makes it
    while not (SHARE / "topic").exists():
        if NUMBER == 1 and not subprocess.run(("kbroker", "topic", "create", "t", "--partitions", "2", "--replication-factor", "3"),
                                              check=False).returncode:
            (SHARE / "topic").touch()
        time.sleep(0.5)
    while not all(("t", partition) in told() for partition in PARTITIONS):
        time.sleep(0.5)
    stop = threading.Event()
    for partition in PARTITIONS:
        threading.Thread(target=read, args=(partition,), daemon=True).start()
    writers = [threading.Thread(target=write, args=(partition, stop), daemon=True) for partition in PARTITIONS]
    producers = [Network(partition) for partition in PARTITIONS]
    for thread in writers + producers:
        thread.start()
    cut = False
    while not (SHARE / "stop").exists():
        tell()
        wanted = (SHARE / f"cut.{NUMBER}").exists()
        if wanted != cut:
            subprocess.run(("ip", "link", "set", "eth0", "down" if wanted else "up"), check=True)
            cut = wanted
        time.sleep(0.5)
    stop.set()
    good = all([producer.stop() for producer in producers])
    for thread in writers:
        thread.join(60)
        good = good and not thread.is_alive()
    end = time.monotonic() + 180
    while time.monotonic() < end:
        tell()
        state = told()
        if all(len(state.get(("t", partition), (0, []))[1]) == len(NODES) for partition in PARTITIONS):
            break
        time.sleep(0.5)
    else:
        good = False
    sys.stdout.flush()
    os._exit(0 if good else 1)


main()
