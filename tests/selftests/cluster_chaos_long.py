#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 1800
"""Faults of every kind at random, over one another, on three brokers and their
daemons, while producers write with acks=all, kcat and kafkajs among them: links
that are cut in both or one direction, delay and lose packets; daemons that are
killed or stand still; brokers that stop cleanly or die; disks that fill up; one
that is lost; and now and then the power of all three, or the end of a log whose
last bytes a disk spoils. Readers watch all the time, devices, kcat and a group:
what one of them saw stays what and where it was. At the end all are well, in
sync and the same, what was acknowledged is there once and in order, and nothing
is there that nobody wrote. KBROKER_CHAOS_SEED and KBROKER_CHAOS_SECONDS choose
another run.
"""
import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time

from cluster_nodes import Producer, check_readback, leader_of, readback, run, whole
from cluster_watch import DeviceWatcher, GroupWatcher, KafkajsProducer, KcatProducer, KcatWatcher, Watcher, have_kafkajs
from device_lib import say, wait_for

SEED = int(os.environ.get("KBROKER_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
SECONDS = float(os.environ.get("KBROKER_CHAOS_SECONDS", "120"))
PARTITIONS = 3
DISK = 192  # MiB


class Faults(threading.Thread):
    """What goes wrong at one node, and is put right again."""

    # A second disk may only go once all is copied to the first one's place.
    lost = threading.Lock()

    def __init__(self, nodes, node, seed, end):
        super().__init__(daemon=True)
        self.nodes = nodes
        self.node, self.random, self.end, self.done = node, random.Random(seed), end, []
        self.error = None
        self.lock = threading.Lock()    # held while something is wrong with the node

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

    def fill(self):
        self.node.fill_disk()
        self.pause(3)
        self.node.free_disk()

    def crash(self):
        self.node.stop_broker("--crash")
        self.pause(1)
        self.node.start_broker()

    def run(self):
        while time.monotonic() < self.end:
            self.pause(4)
            fault = self.random.choice((self.cut, self.deaf, self.dumb, self.slow, self.kill, self.freeze, self.stop,
                                        self.crash, self.fill, self.lose))
            try:
                with self.lock:
                    self.done.append(fault.__name__)
                    fault()
            except Exception as error:
                self.error = f"{fault.__name__} at node {self.node.id}: {error}"
                return


class Disasters(threading.Thread):
    """What goes wrong at all nodes, or while nothing else does."""

    def __init__(self, faults, seed, end):
        super().__init__(daemon=True)
        self.faults, self.random, self.end, self.done = faults, random.Random(seed), end, []
        self.error = None

    def power(self):
        nodes = [fault.node for fault in self.faults]
        for node in nodes:
            node.kill_daemon()
        threads = [threading.Thread(target=node.stop_broker, args=("--crash",)) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.random.shuffle(nodes)
        for node in nodes:
            node.start_broker()
            node.start_daemon()

    def spoil(self):
        """Two good copies are there: the third one's log does not end as it was written."""
        nodes = [fault.node for fault in self.faults]
        if not all(whole(nodes, "t", number) for number in range(PARTITIONS)):
            raise RuntimeError("not all come to be in sync")
        node = self.random.choice(nodes)
        node.stop_broker("--crash")
        path = f"{node.dir}/t-{self.random.randrange(PARTITIONS)}/00000000000000000000.log"
        with open(path, "r+b") as log:
            log.seek(-self.random.randrange(1, min(os.path.getsize(path), 2000)), os.SEEK_END)
            log.write(b"\xa5")
        # what tells that it was synced, and need not be looked at, is lost, too
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{node.dir}/recovery-point-offset-checkpoint")
        node.start_broker()
        if not all(whole(nodes, "t", number) for number in range(PARTITIONS)):
            raise RuntimeError(f"node {node.id} does not get back what its disk has spoilt")

    def run(self):
        while True:
            time.sleep(10 + self.random.random() * 20)
            if time.monotonic() > self.end:
                return
            disaster = self.random.choice((self.power, self.spoil))
            for fault in self.faults:
                fault.lock.acquire()
            try:
                self.done.append(disaster.__name__)
                disaster()
            except Exception as error:
                self.error = f"{disaster.__name__}: {error}"
                return
            finally:
                for fault in self.faults:
                    fault.lock.release()


def changed(nodes, names):
    """What watchers saw and is not there, or is another"""
    there = {}
    for topic, partition in names:
        leader = leader_of(nodes, topic, partition)
        node = next(node for node in nodes if node.id == leader)
        for offset, value in readback(node, topic, partition):
            there[(topic, partition, offset)] = value.encode()
    return [(at, value, there.get(at)) for at, value in Watcher.seen.items() if there.get(at) != value]


def main(nodes):
    print(f"# KBROKER_CHAOS_SEED={SEED} KBROKER_CHAOS_SECONDS={SECONDS}", flush=True)
    nodes[0].run("topic", "create", "t", "--replication-factor", "3", "--partitions", str(PARTITIONS))
    producers = [Producer(nodes, "t", number) for number in range(PARTITIONS)]
    watchers = [DeviceWatcher(node, "t", node.id % PARTITIONS) for node in nodes]
    others = [("kcat", KcatProducer, shutil.which("kcat")), ("kafkajs", KafkajsProducer, have_kafkajs())]
    for name, kind, there in others:
        if not there:
            print(f"# {name} is not installed")
            continue
        nodes[0].run("topic", "create", name, "--replication-factor", "3")
        say(whole(nodes, name), f"a topic for {name}")
        producers.append(kind(nodes, name))
    if shutil.which("kcat"):
        watchers += [KcatWatcher(nodes, "t"), GroupWatcher(nodes, "t")]
    for thread in producers + watchers:
        thread.start()
    say(all(producer.writes() for producer in producers), "records are taken")
    say(wait_for(lambda: all(watcher.got for watcher in watchers)), "and read")

    end = time.monotonic() + SECONDS
    faults = [Faults(nodes, node, SEED + node.id, end) for node in nodes]
    disasters = Disasters(faults, SEED, end)
    for fault in faults + [disasters]:
        fault.start()
    for fault in faults + [disasters]:
        fault.join()
    for fault in faults:
        print(f"# node {fault.node.id}: {' '.join(fault.done)}", flush=True)
    print(f"# all: {' '.join(disasters.done)}", flush=True)
    errors = [fault.error for fault in faults + [disasters] if fault.error]
    say(not errors, f"nothing else failed {errors}")
    say(all(producer.writes() for producer in producers), "afterwards records are taken again")
    partitions = [(producer.name_, producer.partition) for producer in producers]
    say(all(whole(nodes, *partition) for partition in partitions), "all are in sync")
    say(all([producer.stop() for producer in producers]), "the producers end")
    for producer in producers:
        name, number = producer.name_, producer.partition
        say(wait_for(lambda: len({node.log(name, number) for node in nodes}) == 1),
            f"the logs of {name}-{number} are the same, byte for byte")
        leader = leader_of(nodes, name, number)
        say(any(node.id == leader and check_readback(node, producer) for node in nodes),
            f"what was acknowledged is there once, in order ({len(producer.acked)} records)")
    for watcher in watchers:
        covered = [watcher.covers(producer.partition, {offset for _, offset in producer.acked if offset >= 0})
                   for producer in producers if producer.name_ == watcher.topic and
                   (not isinstance(watcher, DeviceWatcher) or watcher.partition == producer.partition)]
        say(all(covered), f"{watcher.what} saw all of it")
        watcher.stop()
    different = changed(nodes, partitions)
    say(not different and not Watcher.wrong, f"what readers saw stayed so ({len(Watcher.seen)} records)")
    print("".join(f"# {what}\n" for what in (Watcher.wrong + different)[:20]), end="", flush=True)


run(main, disk=DISK)
