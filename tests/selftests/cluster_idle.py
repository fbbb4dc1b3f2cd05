#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""An idle cluster is quiet: however many partitions a broker follows at another
one, it asks there no more than twice a second.
"""
import time

from cluster_nodes import run, whole
from device_lib import say, wait_for

PARTITIONS = 60
SECONDS = 8


def fetches(nodes):
    """{(follower, leader): (partitions, requests until now)}"""
    told = {}
    for node in nodes:
        lines = [line.split("\t") for line in node.run("peer", "list").splitlines()]
        peer, followed, count = (lines[0].index(name) for name in ("ID", "FOLLOWED", "FETCHES"))
        for words in lines[1:]:
            told[(node.id, int(words[peer]))] = (int(words[followed]), int(words[count]))
    return told


def asked(nodes, seconds):
    """How often each follower asked each leader, and in how many seconds"""
    begin, before = time.monotonic(), fetches(nodes)
    time.sleep(seconds)
    after = fetches(nodes)
    took = time.monotonic() - begin
    return {pair: after[pair][1] - before[pair][1] for pair in after if after[pair][0]}, took


def main(nodes):
    nodes[0].run("topic", "create", "t", "--replication-factor", "3", "--partitions", str(PARTITIONS))
    say(all(whole(nodes, "t", number) for number in range(PARTITIONS)), "many partitions")
    say(sum(followed for followed, _ in fetches(nodes).values()) == 2 * PARTITIONS, "are followed by two brokers each")

    def settled():
        counts, took = asked(nodes, 1)
        return all(count <= 2 * took + 2 for count in counts.values())
    say(wait_for(settled), "it comes to rest")
    told = []

    def quiet():
        counts, took = asked(nodes, SECONDS)
        told[:] = [sorted(counts.values()), took]
        # One may begin and one end within the time.
        return len(counts) > 1 and all(count <= 2 * took + 2 for count in counts.values())
    # the machine may have been busy with something else, once
    good = quiet() or quiet() or quiet()
    say(good, f"no more than two requests a second: {told[0]} in {told[1]:.1f} s")
    say(all(told[0]), "but some")


run(main)
