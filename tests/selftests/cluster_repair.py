#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Replicas whose log is lost: a segment that is damaged under a follower and under
a leader while they run, one that is missing after a crash, a partition's directory
that is gone. They are dropped and copied anew by themselves, and nothing that was
acknowledged is lost; but not where nobody else has it.
"""
import glob
import hashlib
import os
import shutil
import subprocess

from cluster_nodes import leader_of, run, whole
from device_lib import say, wait_for

LINES = 3000


def line(number):
    return f"{number:06d} " + "x" * 900


def produce(node, name, numbers):
    data = "".join(line(number) + "\n" for number in numbers).encode()
    done = subprocess.run(("kbroker", "--netns", node.net, "--broker", node.name, "produce", name), input=data,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    if done.returncode:
        print(f"# {done.stdout.decode(errors='replace')}", flush=True)
    return not done.returncode


def segments(node, name):
    return sorted(glob.glob(f"{node.dir}/{name}-0/*.log"))


def digest(node, name):
    total = hashlib.sha256()
    for path in segments(node, name):
        total.update(os.path.basename(path).encode())
        with open(path, "rb") as stream:
            total.update(stream.read())
    return total.hexdigest()


def same(nodes, name):
    return wait_for(lambda: len({digest(node, name) for node in nodes}) == 1)


def lines(node, name):
    out = node.run("consume", name, "--partition", "0", "--from-beginning", "--exit", "--format", "%s\\n")
    return out.splitlines()


def state(node, name):
    return node.run("partition", "describe", name, "0")


def damage(node, name):
    """A bit of a record in the middle of the first segment, which is sealed"""
    path = segments(node, name)[0]
    with open(path, "r+b") as stream:
        stream.seek(os.path.getsize(path) // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes((byte ^ 1,)))
        os.fsync(stream.fileno())


def leads(nodes, name):
    wait_for(lambda: leader_of(nodes, name, 0) is not None)
    leader = leader_of(nodes, name, 0)
    return [node for node in nodes if node.id == leader][0]


def mended(nodes, name, what):
    say(whole(nodes, name), f"{what}: all are in sync again")
    say(same(nodes, name), f"{what}: the logs are the same, byte for byte")


def dmesg():
    return subprocess.run("dmesg", stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")


def mark():
    return len(dmesg())


def watches(node, since, what):
    """Did its kernel say that it dropped the log of a lost replica?"""
    say(wait_for(lambda: f"{node.name}: t-0: its lost log is dropped" in dmesg()[since:]), f"{what}: its log is dropped and copied anew")


def main(nodes):
    for node in nodes:
        node.run("broker", "alter", "--config", "log.scrub.bytes.per.second=100000000", "--config",
                 "log.flush.offset.checkpoint.interval.ms=100")
    nodes[0].run("topic", "create", "t", "--replication-factor", "3", "--config", "segment.bytes=1048576")
    say(whole(nodes, "t"), "three replicas")
    say(produce(nodes[0], "t", range(LINES)), "take records")
    say(same(nodes, "t") and len(segments(nodes[0], "t")) > 2, "of some segments")
    written = LINES

    def more():
        nonlocal written
        say(produce(leads(nodes, "t"), "t", range(written, written + 50)), "records are taken")
        written += 50

    leader = leads(nodes, "t")
    follower = [node for node in nodes if node is not leader][0]
    since = mark()
    damage(follower, "t")
    watches(follower, since, "a follower's segment is damaged")
    mended(nodes, "t", "a follower's segment is damaged")
    say(leads(nodes, "t") is leader, "its leader leads on")
    more()

    since = mark()
    damage(leader, "t")
    watches(leader, since, "a leader's segment is damaged")
    more()
    mended(nodes, "t", "a leader's segment is damaged")

    follower = [node for node in nodes if node is not leads(nodes, "t")][0]
    follower.stop_broker("--crash")
    more()
    since = mark()
    os.unlink(segments(follower, "t")[1])
    follower.start_broker()
    watches(follower, since, "a segment is missing")
    mended(nodes, "t", "a segment is missing")

    leader = leads(nodes, "t")
    leader.stop_broker()
    since = mark()
    shutil.rmtree(f"{leader.dir}/t-0")
    leader.start_broker()
    watches(leader, since, "a partition's directory is gone")
    more()
    mended(nodes, "t", "a partition's directory is gone")
    for node in nodes:
        say(lines(node, "t") == [line(number) for number in range(written)], "all that was acknowledged is there, once, in order")

    # Nothing was noted yet of what it has.
    nodes[0].run("topic", "create", "young", "--replication-factor", "3")
    say(whole(nodes, "young") and produce(nodes[0], "young", range(100)), "a topic that is young takes records")
    leader = leads(nodes, "young")
    others = [node for node in nodes if node is not leader]
    for node in others:
        node.stop_broker("--crash")
    say(wait_for(lambda: leader.alive() == {leader.id}), "two die, then the last one that could lead")
    leader.stop_broker("--crash")
    for name in glob.glob(f"{leader.dir}/*checkpoint*"):
        os.unlink(name)
    shutil.rmtree(f"{leader.dir}/young-0")
    since = mark()
    leader.start_broker()
    say(wait_for(lambda: f"{leader.name}: young-0: its log is gone" in dmesg()[since:]), "it comes back without its log, and says so")
    for node in others:
        node.start_broker()
    mended(nodes, "young", "its directory is gone")
    say(all(lines(node, "young") == [line(number) for number in range(100)] for node in nodes), "and all is there")

    # One that nobody else has stays as it is, and says so.
    nodes[1].run("topic", "create", "alone", "--replication-factor", "1", "--config", "segment.bytes=1048576")
    say(wait_for(lambda: leader_of(nodes, "alone", 0) is not None), "a topic of one replica")
    say(produce(nodes[0], "alone", range(LINES)), "takes records")
    leader = leads(nodes, "alone")
    damage(leader, "alone")
    say(wait_for(lambda: "failed" in state(leader, "alone")), "it is damaged: it fails")
    say(not glob.glob(f"{leader.dir}/alone-0.*-delete") and len(segments(leader, "alone")) > 2, "its log is kept")
    more()


run(main)
