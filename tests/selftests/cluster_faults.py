#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""Three brokers and their daemons: topics from any node, a leader that is cut
off, a daemon and a broker that die and return, a stop that moves leaderships
first; nothing that was acknowledged is lost or there twice.
"""
import shutil
import signal

from cluster_nodes import Producer, check_readback, leader_of, run, whole
from device_lib import equal, say, wait_for


def others(nodes, *without):
    return [node for node in nodes if node.id not in without]


def leader_node(nodes, name, among=None):
    found = []

    def look():
        leader = leader_of(among or nodes, name, 0)
        found[:] = [node for node in nodes if node.id == leader]
        return bool(found)
    wait_for(look)
    return found[0]


def everywhere(nodes, text, *argv):
    return wait_for(lambda: all(text in node.run(*argv) for node in nodes))


def main(nodes):
    one, two, three = nodes
    two.run("topic", "create", "t", "--replication-factor", "3")
    say(everywhere(nodes, "replicas\t3", "topic", "describe", "t"), "a topic made at one node is at all")
    three.run("topic", "alter", "t", "--config", "retention.ms=86400000")
    say(everywhere(nodes, "retention.ms=86400000", "topic", "describe", "t"), "and altered by another one")

    producer = Producer(nodes, "t", 0)
    producer.start()
    say(producer.writes(), "it takes records")

    first = leader_node(nodes, "t")
    first.link("down")
    rest = others(nodes, first.id)
    say(wait_for(lambda: leader_of(rest, "t", 0) in {node.id for node in rest}), "another leads when the leader is cut off")
    say(producer.writes(), "and takes records")
    first.link("up")
    say(whole(nodes, "t"), "the one that was cut off is in sync again")
    say(producer.writes(), "while records are written")

    second = leader_node(nodes, "t")
    second.kill_daemon()
    second.start_daemon()
    say(producer.writes(50), "a daemon that is killed and started at once")
    second.kill_daemon()
    rest = others(nodes, second.id)
    say(wait_for(lambda: leader_of(rest, "t", 0) in {node.id for node in rest}), "a broker without its daemon is fenced")
    say(producer.writes(), "and others take the records")
    second.start_daemon()
    say(whole(nodes, "t"), "with its daemon it is in sync again")

    third = leader_node(nodes, "t")
    equal("a broker stops cleanly", third.stop_broker().returncode, 0)
    say(producer.writes(), "its leaderships were taken over")
    third.start_broker()
    say(whole(nodes, "t"), "it comes back")

    last = leader_node(nodes, "t")
    last.kill_daemon()
    last.stop_broker("--now")
    shutil.rmtree(last.dir)
    shutil.rmtree(last.daemon_dir)
    rest = others(nodes, last.id)
    say(producer.writes(), "a node whose disk is lost")
    last.begin_anew(rest[0])
    say(whole(nodes, "t"), "comes back with an empty one, and copies all")

    for node in nodes:
        node.kill_daemon(signal.SIGTERM)
    for node in nodes:
        node.start_daemon()
    say(producer.writes(), "all daemons restarted")
    say(producer.stop(), "the producer ends")
    say(whole(nodes, "t"), "all are in sync at the end")
    say(wait_for(lambda: one.log("t", 0) == two.log("t", 0) == three.log("t", 0)), "the logs are the same, byte for byte")
    for node in nodes:
        if node.id == leader_of(nodes, "t", 0):
            say(check_readback(node, producer), "what was acknowledged is there once, in order")

    one.run("topic", "delete", "t")
    say(wait_for(lambda: not any("t\t" in node.run("topic", "list") for node in nodes)), "a topic deleted at one is gone at all")
    equal("no broker complains", [node.id for node in nodes if "refused" in node.daemon_log()], [])


run(main)
