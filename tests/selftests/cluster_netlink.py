#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""A daemon whose netlink connection loses an answer: it begins anew with
another one, and its broker is not taken for gone and learns what is new.
"""
import shutil
import subprocess
import sys

from cluster_nodes import run, whole
from device_lib import equal, say, wait_for

if not shutil.which("strace"):
    print("1..0 # SKIP strace is not installed")
    sys.exit(0)


def epochs(node):
    return [line for line in node.run("cluster", "show").splitlines() if line.startswith(("state", "broker epoch"))]


def made(node, name):
    """Brokers may lack a session for a moment, under strace."""
    try:
        node.run("topic", "create", name, "--replication-factor", "3")
    except RuntimeError as error:
        return "exists" in str(error) or "there is a topic" in str(error)
    return True


def main(nodes):
    node = nodes[-1]
    before = epochs(node)
    for number, call in enumerate(("recvmsg", "sendmsg")):
        with open(f"{node.daemon_dir}/strace", "wb") as out:
            tracer = subprocess.Popen(("strace", "-f", "-p", str(node.process.pid), "-e", f"trace={call}",
                                       "-e", f"inject={call}:error=ENOBUFS:when=5"), stderr=out)

        def failed():
            with open(f"{node.daemon_dir}/strace", encoding="utf-8", errors="replace") as lines:
                return "(INJECTED)" in lines.read()
        say(wait_for(failed), f"one {call} of the daemon fails")
        say(wait_for(lambda: made(nodes[0], f"t{number}")) and whole(nodes, f"t{number}"), "a topic that is made then is at all")
        tracer.terminate()
        tracer.wait()
        say(wait_for(lambda: epochs(node) == before), "and its broker is the same")
    # It may have been fenced for being slow, under strace, but is not said to have stopped.
    equal("nobody took it for gone", [line for other in nodes for line in other.daemon_log().splitlines()
                                      if "is gone" in line], [])


run(main)
