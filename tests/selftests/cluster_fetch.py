#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""Three brokers in three network namespaces copy from each other; the
controller is this test. What is acknowledged is on all of the in-sync set,
logs are the same byte for byte, what a leader of the past wrote alone is cut
off, and who does not know the secret gets nothing.
"""
import ctypes
import os
import shutil
import struct
import subprocess
import sys

import nlclient
from device_lib import equal, kbroker, results, say, wait_for
from nlclient import K, attr, be, parse, u16, u32

ROOT = "/var/lib/kbroker/cluster"
BROKERS = (1, 2, 3)
CLUSTER = bytes(range(16, 32))
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def sh(*argv):
    subprocess.run(argv, check=True)


def ip(*argv):
    sh("ip", *argv)


def s32(kind, value):
    return attr(kind, struct.pack(">i", value))


def ids(kind, values):
    return attr(kind, struct.pack(f">{len(values)}i", *values))


def u64(kind, value):
    return attr(kind, struct.pack(">Q", value))


class Broker:
    """One broker in a namespace of its own."""

    def __init__(self, number):
        self.id, self.name, self.net = number, f"kbc{number}", f"kbc{number}"
        self.address, self.dir = f"10.99.0.{number}", f"{ROOT}/{number}"
        self.epoch = 10 + number
        ip("netns", "add", self.net)
        ip("link", "add", f"kbv{number}", "type", "veth", "peer", "name", "eth0", "netns", self.net)
        ip("link", "set", f"kbv{number}", "master", "kbbr", "up")
        ip("-n", self.net, "addr", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.net, "link", "set", "eth0", "up")
        ip("-n", self.net, "link", "set", "lo", "up")
        os.makedirs(self.dir)
        self.run("broker", "start", "--dir", self.dir, "--name", self.name, "--id", str(number),
                 "--listener", f"{self.address}:9092", broker=False)
        self.client = self.in_namespace(nlclient.Client)

    def in_namespace(self, function):
        with open("/proc/self/ns/net", encoding="ascii") as home, open(f"/run/netns/{self.net}", encoding="ascii") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return function()
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)

    def run(self, *argv, broker=True):
        return kbroker("--netns", self.net, *(("--broker", self.name) if broker else ()), *argv)

    def end(self):
        subprocess.run(("kbroker", "--netns", self.net, "--broker", self.name, "broker", "stop", "--now"),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client.close()
        # the namespace ends later, and the link with it
        subprocess.run(("ip", "link", "del", f"kbv{self.id}"), stderr=subprocess.DEVNULL)
        subprocess.run(("ip", "netns", "del", self.net), stderr=subprocess.DEVNULL)

    def operation(self, answers, kind):
        """Wait for the end of the operation that was begun; its error."""
        number = be(parse(answers[0][1])[kind])

        def ended():
            op = parse(self.client.ask(K["KBROKER_CMD_OP_GET"], u32(K["KBROKER_A_OP_ID"], number))[0][1])
            return op if be(op[K["KBROKER_A_OP_STATE"]]) >= K["KBROKER_OP_STATE_DONE"] else None
        wait_for(ended)
        op = ended()
        if op is None or be(op[K["KBROKER_A_OP_STATE"]]) != K["KBROKER_OP_STATE_DONE"]:
            raise RuntimeError(f"operation {number} of broker {self.id}: {op}")

    def join(self, secret):
        answers = self.client.ask(K["KBROKER_CMD_CLUSTER_SET"],
                                  attr(K["KBROKER_A_CLUSTER_CLUSTER_ID"], CLUSTER) + attr(K["KBROKER_A_CLUSTER_SECRET"], secret))
        self.operation(answers, K["KBROKER_A_CLUSTER_OP_ID"])
        self.client.ask(K["KBROKER_CMD_CLUSTER_SET"], u64(K["KBROKER_A_CLUSTER_BROKER_EPOCH"], self.epoch))

    def secret(self, secret):
        self.client.ask(K["KBROKER_CMD_CLUSTER_SET"], attr(K["KBROKER_A_CLUSTER_SECRET"], secret))

    def meet(self, other):
        self.client.ask(K["KBROKER_CMD_PEER_NEW"],
                        s32(K["KBROKER_A_PEER_ID"], other.id) + u64(K["KBROKER_A_PEER_EPOCH"], other.epoch) +
                        attr(K["KBROKER_A_PEER_ADDRESS"], other.address) + u16(K["KBROKER_A_PEER_PORT"], 9092))

    def peer(self, other):
        return parse(self.client.ask(K["KBROKER_CMD_PEER_GET"], s32(K["KBROKER_A_PEER_ID"], other.id))[0][1])

    def connected(self, other):
        return bool(be(self.peer(other).get(K["KBROKER_A_PEER_CONNECTED"], b"\0")))

    def topic(self, name, uuid):
        answers = self.client.ask(K["KBROKER_CMD_TOPIC_NEW"],
                                  attr(K["KBROKER_A_TOPIC_NAME"], name) + attr(K["KBROKER_A_TOPIC_ID"], uuid) +
                                  u32(K["KBROKER_A_TOPIC_PARTITIONS"], 1) + u16(K["KBROKER_A_TOPIC_REPLICATION_FACTOR"], 3))
        self.operation(answers, K["KBROKER_A_TOPIC_OP_ID"])

    def replica(self, name, uuid, leader, epoch, partition_epoch, isr):
        item = (attr(K["KBROKER_A_REPLICA_ITEM_TOPIC"], name) + attr(K["KBROKER_A_REPLICA_ITEM_TOPIC_ID"], uuid) +
                u32(K["KBROKER_A_REPLICA_ITEM_PARTITION"], 0) + s32(K["KBROKER_A_REPLICA_ITEM_LEADER"], leader) +
                s32(K["KBROKER_A_REPLICA_ITEM_LEADER_EPOCH"], epoch) +
                s32(K["KBROKER_A_REPLICA_ITEM_PARTITION_EPOCH"], partition_epoch) +
                ids(K["KBROKER_A_REPLICA_ITEM_REPLICAS"], BROKERS) + ids(K["KBROKER_A_REPLICA_ITEM_ISR"], isr) +
                ids(K["KBROKER_A_REPLICA_ITEM_ELR"], ()))
        answers = self.client.ask(K["KBROKER_CMD_REPLICA_SET"], attr(K["KBROKER_A_REPLICA_LIST_REPLICA"], item, nested=True))
        self.operation(answers, K["KBROKER_A_REPLICA_LIST_OP_ID"])

    def produce(self, lines, *options):
        done = subprocess.run(("kbroker", "--netns", self.net, "--broker", self.name, "produce", "t", *options),
                              input="".join(line + "\n" for line in lines).encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        return done.returncode, done.stdout.decode(errors="replace")

    def log(self):
        with open(f"{self.dir}/t-0/00000000000000000000.log", "rb") as stream:
            return stream.read()

    def link(self, state):
        ip("link", "set", f"kbv{self.id}", state)


def tell(brokers, leader, epoch, partition_epoch, isr):
    for broker in brokers:
        broker.replica("t", UUID, leader, epoch, partition_epoch, isr)


def same(one, other):
    return wait_for(lambda: one.log() == other.log())


UUID = bytes(range(64, 80))


def main(one, two, three):
    everybody = (one, two, three)
    secret = os.urandom(32)
    for broker in everybody:
        broker.join(secret)
    for broker in everybody:
        for other in everybody:
            broker.meet(other)
    for broker in everybody:
        broker.topic("t", UUID)
    tell(everybody, 1, 0, 0, BROKERS)
    say(wait_for(lambda: two.connected(one) and three.connected(one)), "followers prove what they are to the leader")
    say("kbroker" in one.run("connection", "list"), "their connections are connections")

    equal("with acks=all all disks have it", (one.produce([f"a{i}" for i in range(1000)])[0],
                                              b"a999" in two.log(), b"a999" in three.log()), (0, True, True))
    say(same(one, two) and same(one, three), "followers have the leader's log, byte for byte")
    say(b"a999" in two.log(), "with the records in it")
    equal("a follower takes no records", two.produce(["x"])[0] != 0, True)

    tell(everybody, 2, 1, 1, BROKERS)
    equal("another leader goes on", two.produce([f"b{i}" for i in range(1000)])[0], 0)
    say(same(two, one) and same(two, three), "and all follow it")

    two.link("down")
    equal("alone, a leader still appends", two.produce(["lost1", "lost2"], "--acks", "1")[0], 0)
    say(b"lost2" in two.log(), "to its own log")
    tell((one, three), 3, 2, 2, (1, 3))
    equal("the others go on without it", three.produce([f"c{i}" for i in range(100)])[0], 0)
    two.link("up")
    tell((two,), 3, 2, 2, (1, 3))
    say(same(three, two), "what it wrote alone is cut when it follows again")
    say(b"lost" not in two.log() and b"c99" in two.log(), "and it has what was acknowledged meanwhile")
    say(same(three, one), "as the other one has")

    one.secret(os.urandom(32))
    say(wait_for(lambda: not one.connected(three)), "with another secret there is no connection")
    say(wait_for(lambda: be(one.peer(three).get(K["KBROKER_A_PEER_ERROR"], b"\0")) != 0), "and the peer's error is told")
    before = len(one.log())
    equal("those that are left go on", three.produce(["d"], "--acks", "1")[0], 0)
    equal("it gets nothing", len(one.log()), before)
    one.secret(secret)
    say(wait_for(lambda: one.connected(three)) and same(three, one), "with the right one it catches up")


shutil.rmtree(ROOT, ignore_errors=True)
brokers, done = [], False
ip("link", "add", "kbbr", "type", "bridge")
ip("link", "set", "kbbr", "up")
try:
    for number in BROKERS:
        brokers.append(Broker(number))
    main(*brokers)
    done = True
except Exception:  # the rest could not run: that is a failure, too
    import traceback
    for text in traceback.format_exc().splitlines():
        print("# " + text)
    say(False, "the test ran to its end")
finally:
    for broker in brokers:
        broker.end()
    ip("link", "del", "kbbr")
    shutil.rmtree(ROOT, ignore_errors=True)
print(f"1..{len(results)}", flush=True)
sys.exit(0 if done and all(results) else 1)
