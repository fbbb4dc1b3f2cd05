#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 900
"""Faults of every kind at random, over one another, on three brokers and their
daemons, while producers write with acks=all: links that are cut in both or one
direction, delay and lose packets; daemons that are killed or stand still;
brokers that stop cleanly or die; and once a disk that is lost. Then all are
well, in sync and the same, and what was acknowledged is there once and in
order. KBROKER_CHAOS_SEED and KBROKER_CHAOS_SECONDS choose another run.
"""
import os
import random
import signal
import subprocess
import threading
import time

from cluster_nodes import Producer, check_readback, leader_of, run, whole
from device_lib import say, wait_for

SEED = int(os.environ.get("KBROKER_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
SECONDS = float(os.environ.get("KBROKER_CHAOS_SECONDS", "120"))
PARTITIONS = 3


class Faults(threading.Thread):
    """What goes wrong at one node, and is put right again."""

    # A second disk may only go once all is copied to the first one's place.
    lost = threading.Lock()

    def __init__(self, nodes, node, seed, end):
        super().__init__(daemon=True)
        self.nodes = nodes
        self.node, self.random, self.end, self.done = node, random.Random(seed), end, []
        self.error = None

    def pause(self, most):
        time.sleep(self.random.random() * most)

    def cut(self):
        self.node.link("down")
        self.pause(3)
        self.node.link("up")

    def spoil(self, inside, *how):
        """What leaves the node, or else what comes to it, meets a bad link."""
        where = ("ip", "netns", "exec", self.node.net) if inside else ()
        device = "eth0" if inside else f"kbv{self.node.id}"
        subprocess.run(where + ("tc", "qdisc", "add", "dev", device, "root", "netem") + how, check=True)
        self.pause(3)
        subprocess.run(where + ("tc", "qdisc", "del", "dev", device, "root"), check=True)

    def deaf(self):
        self.spoil(False, "loss", "100%")

    def dumb(self):
        self.spoil(True, "loss", "100%")

    def slow(self):
        self.spoil(True, "delay", "50ms", "50ms", "loss", "10%")

    def lose(self):
        if not Faults.lost.acquire(blocking=False):
            return self.crash()
        self.node.kill_daemon()
        self.node.stop_broker("--crash")
        self.pause(1)
        return self.node.begin_anew(next(node for node in self.nodes if node is not self.node))

    def kill(self):
        self.node.kill_daemon()
        self.pause(2)
        self.node.start_daemon()

    def freeze(self):
        self.node.process.send_signal(signal.SIGSTOP)
        self.pause(2)
        self.node.process.send_signal(signal.SIGCONT)

    def stop(self):
        # Refused while it stops already, or out of time: then it goes on.
        if self.node.stop_broker().returncode:
            self.node.stop_broker("--now")
        self.pause(1)
        self.node.start_broker()

    def crash(self):
        self.node.stop_broker("--crash")
        self.pause(1)
        self.node.start_broker()

    def run(self):
        while time.monotonic() < self.end:
            self.pause(4)
            fault = self.random.choice((self.cut, self.deaf, self.dumb, self.slow, self.kill, self.freeze, self.stop,
                                        self.crash, self.lose))
            self.done.append((round(time.monotonic(), 1), fault.__name__))
            try:
                fault()
            except Exception as error:
                self.error = f"{fault.__name__} at node {self.node.id}: {error}"
                return


def main(nodes):
    print(f"# KBROKER_CHAOS_SEED={SEED} KBROKER_CHAOS_SECONDS={SECONDS}", flush=True)
    nodes[0].run("topic", "create", "t", "--replication-factor", "3", "--partitions", str(PARTITIONS))
    producers = [Producer(nodes, "t", number) for number in range(PARTITIONS)]
    for producer in producers:
        producer.start()
    say(all(producer.writes() for producer in producers), "records are taken")

    end = time.monotonic() + SECONDS
    faults = [Faults(nodes, node, SEED + node.id, end) for node in nodes]
    for fault in faults:
        fault.start()
    for fault in faults:
        fault.join()
    for fault in faults:
        print(f"# node {fault.node.id}: {' '.join(name for _, name in fault.done)}", flush=True)
    say(not any(fault.error for fault in faults), f"nothing else failed {[f.error for f in faults if f.error]}")
    say(all(producer.writes() for producer in producers), "afterwards records are taken again")
    say(all(whole(nodes, "t", number) for number in range(PARTITIONS)), "all are in sync")
    say(all([producer.stop() for producer in producers]), "the producers end")
    for number, producer in enumerate(producers):
        say(wait_for(lambda: len({node.log("t", number) for node in nodes}) == 1),
            f"the logs of partition {number} are the same, byte for byte")
        leader = leader_of(nodes, "t", number)
        say(any(node.id == leader and check_readback(node, producer) for node in nodes),
            f"what was acknowledged is there once, in order ({len(producer.acked)} records)")


run(main)
