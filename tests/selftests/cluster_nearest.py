#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""Consumers read from the replica of their rack (KIP-392): kcat, which is told by
the leader where to go, gets everything there, in order, also what comes while it
waits. One whose rack has no replica reads from the leader.
"""
import json
import os
import subprocess
import tempfile

from cluster_lib import BROKERS, join, run
from device_lib import equal, say, wait_for

UUID = bytes(range(64, 80))
RACKS = {1: "a", 2: "b", 3: "c"}
CONFIG = "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector"


class Consumer:
    """kcat that follows the topic, beside broker @leader, and says that it stands in @rack, by default @name."""

    def __init__(self, leader, name, rack=None):
        self.name, self.got = f"reader-{name}", tempfile.TemporaryFile()
        argv = ["ip", "netns", "exec", leader.net, "kcat", "-C", "-q", "-u", "-b", f"{leader.address}:9092", "-t", "t", "-p", "0",
                "-o", "beginning", "-f", "%o %s\n", "-X", f"client.rack={rack or name}", "-X", f"client.id={self.name}", "-X", "topic.metadata.refresh.interval.ms=2000",
                "-X", "fetch.wait.max.ms=100", "-X", "reconnect.backoff.max.ms=500"]
        self.process = subprocess.Popen(argv, stdout=self.got, stderr=subprocess.DEVNULL)

    def lines(self):
        # its own offset is kcat's, too
        size = os.fstat(self.got.fileno()).st_size
        return os.pread(self.got.fileno(), size, 0).decode().splitlines()

    def has(self, wanted):
        wait_for(lambda: len(self.lines()) >= len(wanted), 30)
        got = self.lines()
        if got == wanted:
            return True
        at = next((i for i, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1]), min(len(got), len(wanted)))
        print(f"# {len(got)} of {len(wanted)} lines; line {at}: {got[at:at + 3]}")
        return False

    def end(self):
        self.process.kill()
        self.process.wait()
        self.got.close()


def sent(broker, consumer):
    """Bytes that @broker has sent to it."""
    listed = json.loads(broker.run("connection", "list", "--json"))
    return sum(one["sent_bytes"] for one in listed if one["client_id"] == consumer.name)


def main(one, two, three):
    everybody, secret = (one, two, three), os.urandom(32)
    for broker in everybody:
        broker.rack = RACKS[broker.id]
    join(everybody, secret)
    for broker in everybody:
        broker.topic("t", UUID)
        broker.run("broker", "alter", "--config", CONFIG)
    for broker in everybody:
        broker.replica("t", UUID, 1, 0, 0, BROKERS)
    value = "v" * 100
    equal("records", one.produce([value] * 2000)[0], 0)
    wanted = [f"{offset} {value}" for offset in range(2000)]
    say(wait_for(lambda: two.log() == one.log() and three.log() == one.log()), "they are on all replicas")

    listed = one.in_namespace(lambda: subprocess.run(("kcat", "-L", "-J", "-b", f"{one.address}:9092"),
                                                     stdout=subprocess.PIPE, check=False, timeout=60))
    equal("all brokers are known to clients", len(json.loads(listed.stdout)["brokers"]), 3)

    near, home, nowhere = Consumer(one, "b"), Consumer(one, "a"), Consumer(one, "d")
    say(near.has(wanted), "a consumer in the rack of a follower reads all, in order")
    say(sent(two, near) > 200000 > 100000 > sent(one, near), "from that follower")
    say(home.has(wanted) and sent(one, home) > 200000 and not sent(two, home), "one in the leader's rack from the leader")
    say(nowhere.has(wanted) and sent(one, nowhere) > 200000, "and one in a rack without a broker, too")
    home.end()
    nowhere.end()

    equal("while it waits at the follower", one.produce([value] * 500)[0], 0)
    wanted += [f"{offset} {value}" for offset in range(2000, 2500)]
    say(near.has(wanted), "what comes reaches it")
    say(sent(one, near) < 100000, "through the follower")

    for broker in everybody:
        broker.replica("t", UUID, 1, 0, 1, (1, 3), (1, 3))
    equal("while that broker has no replica any more", one.produce([value] * 500)[0], 0)
    wanted += [f"{offset} {value}" for offset in range(2500, 3000)]
    late = Consumer(one, "b-late", rack="b")
    say(late.has(wanted) and sent(one, late) > 300000 and not sent(two, late), "a consumer of its rack stays at the leader")
    late.end()
    for broker in everybody:
        broker.replica("t", UUID, 1, 0, 2, (1, 3))
    say(wait_for(lambda: two.log() == one.log()), "the follower is back")
    for broker in everybody:
        broker.replica("t", UUID, 1, 0, 3, BROKERS)
    before = sent(two, near)
    produced = 3000

    def there_again():
        nonlocal produced
        if one.produce([value] * 100)[0]:
            return False
        produced += 100
        return sent(two, near) > before
    say(wait_for(there_again), "and so is the consumer")
    say(near.has([f"{offset} {value}" for offset in range(produced)]), "with every record once")

    for broker in everybody:
        broker.replica("t", UUID, 3, 1, 4, BROKERS)
    equal("another leader", three.produce([value] * 100)[0], 0)
    produced += 100
    say(near.has([f"{offset} {value}" for offset in range(produced)]), "it reads on")
    near.end()


run(main)
