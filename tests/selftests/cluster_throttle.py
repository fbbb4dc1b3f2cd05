#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""Replicas that catch up do so no faster than they may, by the leader's rate and by
their own, and have all in the end; those in sync are not held up.
"""
import os
import time

from cluster_lib import BROKERS, join, run
from device_lib import equal, say, wait_for

UUID = bytes(range(64, 80))
RATE = 200000
LEADER, FOLLOWER = (f"{side}.replication.throttled.rate" for side in ("leader", "follower"))


def main(one, two, three):
    everybody, epoch = (one, two, three), -1

    def tell(isr, replicas=BROKERS):
        nonlocal epoch
        epoch += 1
        for broker in everybody:
            broker.replica("t", UUID, 1, 0, epoch, isr, replicas)

    def catches_up(what, isr=(1, 2)):
        """Three gets a replica that is not in sync; how long it takes to have all."""
        since = time.monotonic()
        tell(isr)
        equal(f"{what}: while it copies, those in sync go on", one.produce([f"beside {what}"])[0], 0)
        say(wait_for(lambda: three.log() == one.log()), "it has all in the end")
        took = time.monotonic() - since
        print(f"# {took:.1f} s for {len(one.log())} bytes")
        return took

    join(everybody, os.urandom(32))
    for broker in everybody:
        broker.topic("t", UUID)
        # an answer is not cut to pieces: small ones
        broker.run("broker", "alter", "--config", "replica.fetch.max.bytes=16384")
    tell((1, 2), (1, 2))
    for at in range(20):
        one.produce([f"{at} {line} " + "v" * 500 for line in range(60)])
    size = len(one.log())
    say(size > 3 * RATE, f"there are {size} bytes")
    # a second's worth goes at once
    least = (size - RATE) / RATE - 0.3

    one.run("broker", "alter", "--config", f"{LEADER}={RATE}")
    say(catches_up("the leader's rate") >= least, "a replica that catches up takes its time")
    one.run("broker", "alter", "--delete-config", LEADER)

    tell((1, 2), (1, 2))
    three.run("broker", "alter", "--config", f"{FOLLOWER}={RATE}")
    say(catches_up("its own rate") >= least, "a replica that catches up takes its time")

    # with both rates: what is in sync knows neither
    one.run("broker", "alter", "--config", f"{LEADER}=1")
    three.run("broker", "alter", "--config", f"{FOLLOWER}=1")
    tell(BROKERS)
    equal("acks=all with all in sync", one.produce(["v" * 1000] * 200)[0], 0)
    say(wait_for(lambda: three.log() == one.log() == two.log()), "is on all of them")


run(main)
