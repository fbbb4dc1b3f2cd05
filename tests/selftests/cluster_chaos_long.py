#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 900
"""Faults of every kind at random, over one another, on three brokers and their
daemons, while producers write with acks=all: links that are cut, daemons that
are killed or stand still, brokers that stop cleanly or at once and lose the
marker of a clean stop. Then all are well, in sync and the same, and what was
acknowledged is there once and in order. KBROKER_CHAOS_SEED and
KBROKER_CHAOS_SECONDS choose another run.
"""
import os
import random
import signal
import threading
import time

from cluster_nodes import Producer, check_readback, in_sync, leader_of, run
from device_lib import say, wait_for

SEED = int(os.environ.get("KBROKER_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
SECONDS = float(os.environ.get("KBROKER_CHAOS_SECONDS", "120"))
PARTITIONS = 3


class Faults(threading.Thread):
    """What goes wrong at one node, and is put right again."""

    def __init__(self, node, seed, end):
        super().__init__(daemon=True)
        self.node, self.random, self.end, self.done = node, random.Random(seed), end, []
        self.error = None

    def pause(self, most):
        time.sleep(self.random.random() * most)

    def cut(self):
        self.node.link("down")
        self.pause(3)
        self.node.link("up")

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
        self.node.stop_broker("--now")
        try:
            os.unlink(f"{self.node.dir}/.kafka_cleanshutdown")
        except FileNotFoundError:
            pass
        self.pause(1)
        self.node.start_broker()

    def run(self):
        while time.monotonic() < self.end:
            self.pause(4)
            fault = self.random.choice((self.cut, self.kill, self.freeze, self.stop, self.crash))
            self.done.append((round(time.monotonic(), 1), fault.__name__))
            try:
                fault()
            except Exception as error:
                self.error = f"{fault.__name__} at node {self.node.id}: {error}"
                return


def main(nodes):
    print(f"# KBROKER_CHAOS_SEED={SEED} KBROKER_CHAOS_SECONDS={SECONDS}", flush=True)
    everybody = {node.id for node in nodes}
    nodes[0].run("topic", "create", "t", "--replication-factor", "3", "--partitions", str(PARTITIONS))
    producers = [Producer(nodes, "t", number) for number in range(PARTITIONS)]
    for producer in producers:
        producer.start()
    say(all(producer.writes() for producer in producers), "records are taken")

    end = time.monotonic() + SECONDS
    faults = [Faults(node, SEED + node.id, end) for node in nodes]
    for fault in faults:
        fault.start()
    for fault in faults:
        fault.join()
    for fault in faults:
        print(f"# node {fault.node.id}: {' '.join(name for _, name in fault.done)}", flush=True)
    say(not any(fault.error for fault in faults), f"nothing else failed {[f.error for f in faults if f.error]}")
    say(all(producer.writes() for producer in producers), "afterwards records are taken again")
    say(wait_for(lambda: all(in_sync(nodes[0], "t", number) == everybody for number in range(PARTITIONS))), "all are in sync")
    say(all([producer.stop() for producer in producers]), "the producers end")
    for number, producer in enumerate(producers):
        say(wait_for(lambda: len({node.log("t", number) for node in nodes}) == 1),
            f"the logs of partition {number} are the same, byte for byte")
        leader = leader_of(nodes, "t", number)
        say(any(node.id == leader and check_readback(node, producer) for node in nodes),
            f"what was acknowledged is there once, in order ({len(producer.acked)} records)")


run(main)
