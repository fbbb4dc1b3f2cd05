# SPDX-License-Identifier: GPL-2.0-only
"""For the tests of clusters: three brokers in three network namespaces, whose
controller is the test.
"""
import ctypes
import os
import shutil
import struct
import subprocess

import nlclient
from device_lib import kbroker, results, say, wait_for
from nlclient import K, attr, be, config, parse, u16, u32

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
        self.rack = None
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
                        attr(K["KBROKER_A_PEER_ADDRESS"], other.address) + u16(K["KBROKER_A_PEER_PORT"], 9092) +
                        (attr(K["KBROKER_A_PEER_RACK"], other.rack) if other.rack else b""))

    def peer(self, other):
        return parse(self.client.ask(K["KBROKER_CMD_PEER_GET"], s32(K["KBROKER_A_PEER_ID"], other.id))[0][1])

    def connected(self, other):
        return bool(be(self.peer(other).get(K["KBROKER_A_PEER_CONNECTED"], b"\0")))

    def topic(self, name, uuid, *configs):
        answers = self.client.ask(K["KBROKER_CMD_TOPIC_NEW"],
                                  attr(K["KBROKER_A_TOPIC_NAME"], name) + attr(K["KBROKER_A_TOPIC_ID"], uuid) +
                                  u32(K["KBROKER_A_TOPIC_PARTITIONS"], 1) + u16(K["KBROKER_A_TOPIC_REPLICATION_FACTOR"], 3) +
                                  b"".join(config(K["KBROKER_A_TOPIC_CONFIG"], *pair) for pair in configs))
        self.operation(answers, K["KBROKER_A_TOPIC_OP_ID"])

    def replica(self, name, uuid, leader, epoch, partition_epoch, isr, replicas=BROKERS):
        item = (attr(K["KBROKER_A_REPLICA_ITEM_TOPIC"], name) + attr(K["KBROKER_A_REPLICA_ITEM_TOPIC_ID"], uuid) +
                u32(K["KBROKER_A_REPLICA_ITEM_PARTITION"], 0) + s32(K["KBROKER_A_REPLICA_ITEM_LEADER"], leader) +
                s32(K["KBROKER_A_REPLICA_ITEM_LEADER_EPOCH"], epoch) +
                s32(K["KBROKER_A_REPLICA_ITEM_PARTITION_EPOCH"], partition_epoch) +
                ids(K["KBROKER_A_REPLICA_ITEM_REPLICAS"], replicas) + ids(K["KBROKER_A_REPLICA_ITEM_ISR"], isr) +
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


def join(brokers, secret):
    """They are one cluster, and know each other."""
    for broker in brokers:
        broker.join(secret)
    for broker in brokers:
        for other in brokers:
            broker.meet(other)


def run(main):
    """The frame of a test: three brokers, main(), the plan."""
    shutil.rmtree(ROOT, ignore_errors=True)
    brokers, done = [], False
    # one that was stopped in the middle of it has left its own
    subprocess.run(("ip", "link", "del", "kbbr"), stderr=subprocess.DEVNULL)
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
    # threads that still block in a call must not keep us
    os._exit(0 if done and all(results) else 1)
