#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 600
"""How long a partition of three replicas takes no records when its leader dies
with its daemon, and when it is stopped: the times are printed, and gated only
where the machine is not emulated.
"""
import os
import statistics
import struct
import time

from cluster_nodes import PORT, Producer, leader_of, run, whole
from device_lib import batch, say
from listener_client import Connection

ROUNDS = int(os.environ.get("KBROKER_FAILOVER_ROUNDS", "20"))
EMULATED = "hypervisor" in open("/proc/cpuinfo", encoding="ascii").read() and "TCG" in open("/proc/cpuinfo", encoding="ascii").read()


def first_write(nodes, began):
    """Seconds until one of these nodes acknowledges a record, by a client that tries all the time"""
    while time.monotonic() - began < 60:
        leader = leader_of(nodes, "t", 0)
        for node in nodes:
            if node.id != leader:
                continue
            try:
                conn = Connection((node.address, PORT))
                conn.socket.settimeout(1)
                error, _, _ = conn.produce("t", 0, batch((b"probe",)), timeout_ms=1000)
                conn.close()
                if not error:
                    return time.monotonic() - began
            except (OSError, EOFError, ValueError, struct.error):
                pass
        time.sleep(0.005)
    return 60.0


def figures(name, times):
    times = sorted(times)
    print(f"# {name}: median {statistics.median(times):.3f} s, worst {times[-1]:.3f} s of {len(times)}: " +
          " ".join(f"{value:.2f}" for value in times), flush=True)
    return statistics.median(times), times[-1]


def main(nodes):
    nodes[0].run("topic", "create", "t", "--replication-factor", "3")
    say(whole(nodes, "t"), "three replicas are in sync")
    deaths = []
    for _ in range(ROUNDS):
        leader = leader_of(nodes, "t", 0)
        dead = next(node for node in nodes if node.id == leader)
        rest = [node for node in nodes if node is not dead]
        began = time.monotonic()
        dead.link("down")
        dead.kill_daemon()
        deaths.append(first_write(rest, began))
        dead.link("up")
        dead.start_daemon()
        if not whole(nodes, "t"):
            say(False, "all are in sync again")
            return
    median, worst = figures("leader killed to the first acknowledged write", deaths)
    say(worst < 60 and (EMULATED or (median <= 1 and worst <= 2)), "a leader that dies is followed in time")

    stops = []
    for _ in range(5):
        leader = leader_of(nodes, "t", 0)
        stopped = next(node for node in nodes if node.id == leader)
        producer = Producer(nodes, "t", 0)
        producer.start()
        producer.writes()
        began = time.monotonic()
        stopped.stop_broker()
        producer.writes()
        producer.stop()
        stops.append(max(gap for gap, at in producer.gaps if at > began))
        stopped.start_broker()
        if not whole(nodes, "t"):
            say(False, "all are in sync again")
            return
    figures("longest gap of a producer over a controlled stop", stops)
    say(max(stops) < 60, "a stop moves leaderships first")


run(main)
