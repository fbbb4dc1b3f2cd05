#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Inside the virtual machine, for tests/bench/guest: three brokers in three
network namespaces, all of them replicas of topic "t", led by the first.

	replicas.py POLICY COMMAND [ARG]...	run COMMAND with that broker's devices, the
						topic's flush.policy being POLICY

Prints what COMMAND printed, how many bytes the log took once all three have
them, and how often each broker synced meanwhile, as JSON.
"""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../selftests"))
from cluster_lib import BROKERS, ROOT, Broker, ip, join  # noqa: E402
from device_lib import wait_for  # noqa: E402

UUID = bytes(range(64, 80))


def size(broker):
    folder = f"{broker.dir}/t-0"
    return sum(os.stat(f"{folder}/{name}").st_size for name in os.listdir(folder) if name.endswith(".log"))


def syncs(broker):
    return json.loads(broker.run("--json", "broker", "describe"))["sync_rounds"]


def main():
    policy, *command = sys.argv[1:]
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(ROOT)
    ip("link", "add", "kbbr", "type", "bridge")
    ip("link", "set", "kbbr", "up")
    brokers = [Broker(number) for number in BROKERS]
    join(brokers, os.urandom(32))
    for broker in brokers:
        broker.topic("t", UUID, ("flush.policy", policy))
    for broker in brokers:
        broker.replica("t", UUID, 1, 0, 0, BROKERS)
    leader = brokers[0]
    if not wait_for(lambda: all(other.connected(leader) for other in brokers[1:])):
        raise SystemExit("the followers do not come")
    before = [syncs(broker) for broker in brokers]
    done = subprocess.run(command, env=dict(os.environ, KBROKER_DEVICES=f"/dev/{leader.name}"), check=True, stdout=subprocess.PIPE)
    if not wait_for(lambda: len({size(broker) for broker in brokers}) == 1):
        raise SystemExit("the followers do not have all")
    print(json.dumps({"output": json.loads(done.stdout or b"null"), "bytes": size(leader),
                      "syncs": [syncs(broker) - was for broker, was in zip(brokers, before)]}))
    for broker in brokers:
        broker.end()
    ip("link", "del", "kbbr")


main()
