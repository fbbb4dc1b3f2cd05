# SPDX-License-Identifier: GPL-2.0-only
"""For tests of clusters: readers that run all the time and remember what they
saw, so that nothing of it changes or vanishes later; and producers that others
wrote, kcat and kafkajs, that keep what was acknowledged.
"""
import collections
import os
import re
import shutil
import subprocess
import threading
import time

from cluster_nodes import PORT, Producer
from device_lib import wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 180  # seconds; node alone takes a minute to begin where a machine is emulated and loaded
KAFKAJS = os.environ.get("KBROKER_KAFKAJS", "")


def have_kafkajs():
    return bool(shutil.which("node")) and os.path.isdir(KAFKAJS)


class Watcher(threading.Thread):
    """Runs a reader that prints "PARTITION OFFSET VALUE", again when it ends. What one
    of them saw at an offset all must see there, and each in order."""

    lock = threading.Lock()
    seen = {}           # {(topic, partition, offset): value}
    wrong = []

    def __init__(self, what, topic):
        super().__init__(daemon=True)
        self.what, self.topic, self.ended, self.process = what, topic, False, None
        self.got = collections.defaultdict(set)  # {partition: offsets}

    def command(self):
        raise NotImplementedError

    def begins(self):
        """A new reader begins where it likes."""
        return {}

    def blame(self, text):
        Watcher.wrong.append(f"{self.what}: {text}")

    def take(self, line, last):
        partition, offset, value = line.rstrip(b"\n").split(b" ", 2)
        partition, offset = int(partition), int(offset)
        if offset <= last.get(partition, -1) and not self.may_go_back():
            self.blame(f"{self.topic}-{partition}: {offset} after {last[partition]}")
        last[partition] = offset
        self.got[partition].add(offset)
        with Watcher.lock:
            known = Watcher.seen.setdefault((self.topic, partition, offset), value)
        if known != value:
            self.blame(f"{self.topic}-{partition}: {value} at {offset}, where {known} was")

    def may_go_back(self):
        return False

    def complains(self, text):
        """A line of its standard error"""

    def hear(self, stream):
        for line in stream:
            self.complains(line.decode(errors="replace"))

    def run(self):
        while not self.ended:
            self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            threading.Thread(target=self.hear, args=(self.process.stderr,), daemon=True).start()
            last = self.begins()
            for line in self.process.stdout:
                # the last line of one that is killed may be cut short
                if line.endswith(b"\n"):
                    self.take(line, last)
            self.process.wait()
            time.sleep(0.2)

    def covers(self, partition, offsets):
        """Does it come to see all of them?"""
        return wait_for(lambda: offsets <= self.got[partition], PATIENCE)

    def stop(self):
        self.ended = True
        if self.process:
            self.process.kill()
        self.join(60)


class DeviceWatcher(Watcher):
    """A device of one node; after a stop of its broker it goes on where it was."""

    def __init__(self, node, topic, partition):
        super().__init__(f"device of node {node.id}", topic)
        self.node, self.partition = node, partition

    def next(self):
        return max(self.got[self.partition], default=-1) + 1

    def begins(self):
        return {self.partition: self.next() - 1}

    def command(self):
        return ("kbroker", "--netns", self.node.net, "--broker", self.node.name, "consume", self.topic, "--partition",
                str(self.partition), "--offset", str(self.next()), "--format", f"{self.partition} %o %s\\n")


class KcatWatcher(Watcher):
    """librdkafka; each one that had to begin anew reads all again."""

    def __init__(self, nodes, topic):
        super().__init__("kcat", topic)
        self.servers = ",".join(f"{node.address}:{PORT}" for node in nodes)

    def options(self):
        return ("kcat", "-E", "-b", self.servers, "-u", "-f", "%p %o %s\\n", "-X", "topic.metadata.refresh.interval.ms=1000",
                "-X", "reconnect.backoff.max.ms=500")

    def command(self):
        return self.options() + ("-C", "-t", self.topic, "-o", "beginning", "-X", "auto.offset.reset=error")

    def complains(self, text):
        # It saw more than there is now.
        if "out of range" in text.lower():
            self.blame(text.strip())


class GroupWatcher(KcatWatcher):
    """A member of a group: it goes back to what was committed."""

    def __init__(self, nodes, topic):
        super().__init__(nodes, topic)
        self.what = "group"

    def command(self):
        return self.options() + ("-X", "auto.offset.reset=earliest", "-X", "auto.commit.interval.ms=1000",
                                 "-X", "session.timeout.ms=10000", "-G", "watchers", self.topic)

    def may_go_back(self):
        return True

    def complains(self, text):
        pass


class KcatProducer(threading.Thread):
    """kcat as an idempotent producer: it tells of its records in order."""

    def __init__(self, nodes, topic):
        super().__init__(daemon=True)
        self.name_, self.partition, self.acked, self.number, self.ended = topic, 0, [], 0, False
        servers = ",".join(f"{node.address}:{PORT}" for node in nodes)
        self.process = subprocess.Popen(
            ("kcat", "-E", "-P", "-b", servers, "-t", topic, "-p", "0", "-v", "-v", "-X", "enable.idempotence=true", "-X", "acks=all",
             "-X", "linger.ms=5", "-X", "message.timeout.ms=600000", "-X", "request.timeout.ms=5000",
             "-X", "socket.timeout.ms=10000", "-X", "topic.metadata.refresh.interval.ms=1000",
             "-X", "reconnect.backoff.max.ms=500"),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        threading.Thread(target=self.hear, daemon=True).start()
        self.said = []

    def hear(self):
        for line in self.process.stderr:
            told = re.search(rb"Message delivered to partition 0 \(offset (\d+)\)", line)
            if told:
                self.acked.append((len(self.acked), int(told.group(1))))
            else:
                self.said.append(line.decode(errors="replace").strip())

    def run(self):
        while not self.ended:
            try:
                self.process.stdin.write(Producer.value(self.name_, self.partition, self.number) + b"\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                return
            self.number += 1
            time.sleep(0.02)

    def writes(self, more=20):
        want = len(self.acked) + more
        return wait_for(lambda: len(self.acked) >= want, PATIENCE)

    def stop(self):
        """All that was given to it is to be acknowledged."""
        self.ended = True
        self.join(60)
        try:
            self.process.stdin.close()
            good = not self.process.wait(60)
        except (OSError, subprocess.TimeoutExpired):
            good = False
        good = good and wait_for(lambda: len(self.acked) == self.number)
        if not good:
            print(f"# kcat: {len(self.acked)} of {self.number} acknowledged: {self.said[-5:]}", flush=True)
        return good


class KafkajsProducer(threading.Thread):
    """kafkajs; what it gave up may be there, or not."""

    def __init__(self, nodes, topic):
        super().__init__(daemon=True)
        self.name_, self.partition, self.acked, self.number = topic, 0, [], 0
        servers = ",".join(f"{node.address}:{PORT}" for node in nodes)
        self.process = subprocess.Popen(("node", f"{HERE}/cluster_producer.mjs", servers, topic, KAFKAJS),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self):
        for line in self.process.stdout:
            number, offset = map(int, line.split())
            self.number = number + 1
            if offset >= 0:
                self.acked.append((number, offset))

    def writes(self, more=20):
        want = len(self.acked) + more
        return wait_for(lambda: len(self.acked) >= want, PATIENCE)

    def stop(self):
        self.process.stdin.close()
        try:
            return not self.process.wait(60)
        except subprocess.TimeoutExpired:
            return False
