#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: uml
"""A connection that came while there was no memory to accept it is accepted as
soon as there is some: nobody would tell of it again.
"""
import os
import struct
import time

from device_lib import run, say
from listener_client import LIST_OFFSETS, Connection, listen

DEBUG = "/sys/kernel/debug/failslab/"


def setting(name, value):
    with open(DEBUG + name, "w", encoding="ascii") as out:
        out.write(str(value))


def mark_workers():
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                worker = file.read().startswith("kworker")
            if worker:
                with open(f"/proc/{pid}/make-it-fail", "w", encoding="ascii") as out:
                    out.write("1")
        except OSError:
            pass


def main():
    for name, value in (("ignore-gfp-wait", "N"), ("verbose", 0), ("times", -1), ("interval", 1), ("task-filter", "Y")):
        setting(name, value)
    listen()
    for attempt in range(10):
        mark_workers()
        setting("probability", 100)
        try:
            c = Connection()
            time.sleep(0.05)
        finally:
            setting("probability", 0)
        c.socket.settimeout(30)
        try:
            c.send(LIST_OFFSETS, 1, struct.pack(">ii", -1, 0))
            c.receive()
            served = True
        except (EOFError, ConnectionError):
            # there was no memory for more than the socket
            served = True
        except TimeoutError:
            served = False
        say(served, f"connection {attempt + 1} is accepted, or ended")
        c.close()
    setting("task-filter", "N")


if os.path.exists(DEBUG):
    run(main)
print("1..0 # SKIP this kernel injects no faults")
