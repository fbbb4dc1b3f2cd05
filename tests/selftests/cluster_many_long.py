#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 900
"""A topic of a thousand partitions on three brokers: made, led by others when a
broker stops and when one dies, all in sync again each time, and deleted.
"""
import struct
import time

from cluster_nodes import metadata, run
from device_lib import equal, say, wait_for

PARTITIONS = 1000


def told(nodes):
    """(leader, [isr]) of each partition, as all of these nodes tell it, or nothing"""
    found = []
    for node in nodes:
        try:
            found.append([(leader, sorted(isr)) for _, (leader, isr) in sorted(metadata(node, ["many"]).items())])
        except (OSError, EOFError, struct.error):
            return []
    return found[0] if len(found[0]) == PARTITIONS and all(one == found[0] for one in found) else []


def led(nodes, *by):
    now = told(nodes)
    return bool(now) and all(leader in by for leader, _ in now)


def whole(nodes):
    now = told(nodes)
    return bool(now) and all(isr == [1, 2, 3] for _, isr in now)


def soon(condition, name):
    begin = time.monotonic()
    say(wait_for(condition, 200), name)
    print(f"#   after {time.monotonic() - begin:.1f} s", flush=True)


def main(nodes):
    one, two, three = nodes
    for node in nodes:
        # the machine is emulated, and its disk is slow
        node.run("broker", "alter", "--config", "request.timeout.ms=200000")
    two.run("topic", "create", "many", "--replication-factor", "3", "--partitions", str(PARTITIONS))
    soon(lambda: led(nodes, 1, 2, 3) and whole(nodes), "a thousand partitions are led, and in sync")

    equal("a broker stops cleanly", three.stop_broker().returncode, 0)
    soon(lambda: led((one, two), 1, 2), "others lead what it led")
    three.start_broker()
    soon(lambda: whole(nodes), "it comes back into all sets")

    two.link("down")
    two.kill_daemon()
    soon(lambda: led((one, three), 1, 3), "another one dies, and others lead what it led")
    two.link("up")
    two.start_daemon()
    soon(lambda: whole(nodes), "it comes back into all sets, too")

    one.run("topic", "delete", "many")
    soon(lambda: all("many" not in node.run("topic", "list") for node in nodes), "the topic is deleted everywhere")
    equal("no broker complains", [node.id for node in nodes if "refused" in node.daemon_log()], [])


run(main)
