# SPDX-License-Identifier: GPL-2.0-only
"""For the tests of whole clusters: brokers with their daemons in network
namespaces of one kernel, on one bridge, and producers that keep what was
acknowledged, to be read back. The test itself stands outside of them all.
"""
import errno
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

from device_lib import batch, kbroker, results, say, wait_for
from listener_client import Connection, array, string

ROOT = "/var/lib/kbroker/cluster"
CLUSTER = "AAECAwQFBgcICQoLDA0ODw"
METADATA = 3
PORT = 9092


def ip(*argv):
    subprocess.run(("ip",) + argv, check=True)


class Node:
    """A broker and its daemon, in a namespace of their own."""

    def __init__(self, number, witness=False, disk=0):
        self.id, self.name, self.net = number, f"kbc{number}", f"kbc{number}"
        self.address, self.witness = f"10.99.0.{number}", witness
        self.dir, self.daemon_dir = f"{ROOT}/{number}", f"{ROOT}/daemon{number}"
        self.process = self.disk = None
        if disk:
            self.add_disk(disk)
        ip("netns", "add", self.net)
        ip("link", "add", f"kbv{number}", "type", "veth", "peer", "name", "eth0", "netns", self.net)
        ip("link", "set", f"kbv{number}", "master", "kbbr", "up")
        ip("-n", self.net, "addr", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.net, "link", "set", "eth0", "up")
        ip("-n", self.net, "link", "set", "lo", "up")

    # --- its disk -----------------------------------------------------------

    def add_disk(self, size):
        """One of its own, MiB, for the broker's directory"""
        self.disk = f"{ROOT}/disk{self.id}"
        subprocess.run(("modprobe", "loop"), check=True)
        with open(f"{self.disk}.img", "wb") as image:
            image.truncate(size << 20)
        subprocess.run(("mkfs.ext4", "-q", "-F", "-m", "0", f"{self.disk}.img"), check=True)
        os.makedirs(self.disk)
        subprocess.run(("mount", "-o", "loop", f"{self.disk}.img", self.disk), check=True)
        self.dir = f"{self.disk}/broker"

    def fill_disk(self):
        """Not a byte more fits, until free_disk()."""
        with open(f"{self.disk}/filler", "wb") as filler:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free_disk(self):
        os.unlink(f"{self.disk}/filler")

    # --- the broker ---------------------------------------------------------

    def run(self, *argv):
        return kbroker("--netns", self.net, "--broker", self.name, *argv)

    def start_broker(self, listen=True):
        os.makedirs(self.dir, exist_ok=True)
        listener = ("--listener", f"{self.address}:{PORT}") if listen else ()
        kbroker("--netns", self.net, "broker", "start", "--dir", self.dir, "--name", self.name, "--id", str(self.id), *listener)

    def stop_broker(self, *options):
        return subprocess.run(("kbroker", "--netns", self.net, "--broker", self.name, "broker", "stop", *options),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    # --- the daemon ---------------------------------------------------------

    def configure(self, join=None):
        os.makedirs(self.daemon_dir, mode=0o700)
        with open(os.open(f"{self.daemon_dir}/secret", os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write("5a" * 32 + "\n")
        keys = {"cluster.id": CLUSTER, "node.id": self.id, "listen": f"{self.address}:9094"}
        keys |= {"join": f"{join.address}:9094"} if join else {"bootstrap": 1}
        keys |= {"witness": 1} if self.witness else \
            {"broker": self.name, "broker.address": self.address, "broker.port": PORT}
        with open(f"{self.daemon_dir}/daemon.conf", "w", encoding="ascii") as file:
            file.write("".join(f"{key}={value}\n" for key, value in keys.items()))

    def start_daemon(self):
        with open(f"{self.daemon_dir}/out", "ab") as out:
            self.process = subprocess.Popen(("ip", "netns", "exec", self.net, "kbrokerd", "--dir", self.daemon_dir),
                                            stderr=out)

    def begin_anew(self, member):
        """Its disk was lost: it joins again. Until it is a member clients of the cluster had better not find it."""
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(self.daemon_dir, ignore_errors=True)
        self.start_broker(listen=False)
        self.configure(join=member)
        self.start_daemon()
        if not wait_for(lambda: "state\tactive" in self.run("cluster", "show")):
            raise RuntimeError(f"node {self.id} does not come back")
        self.run("listener", "add", f"{self.address}:{PORT}")

    def kill_daemon(self, how=signal.SIGKILL):
        if self.process:
            self.process.send_signal(how)
            self.process.wait()
        self.process = None

    def daemon_log(self):
        with open(f"{self.daemon_dir}/out", encoding="utf-8") as file:
            return file.read()

    def status(self):
        """{("broker"|"daemon", id): [words]} as its daemon knows"""
        done = subprocess.run(("ip", "netns", "exec", self.net, "kbrokerd", "--ask", f"{self.address}:9094", "--cluster-id",
                               CLUSTER, "--secret-file", f"{self.daemon_dir}/secret"), stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False, timeout=60)
        return {(words[0], int(words[1])): words[2:] for words in map(str.split, done.stdout.splitlines())}

    def alive(self):
        """ids of the brokers that have a session"""
        return {key[1] for key, words in self.status().items() if key[0] == "broker" and words[-1] == "alive"}

    def tell(self):
        """What it is, for who looks for the cause of a failure"""
        for what in ("cluster show", "peer list", "replica list", "request list"):
            try:
                text = self.run(*what.split())
            except RuntimeError as error:
                text = str(error)
            print("".join(f"# {what} {self.id}: {line}\n" for line in text.splitlines()[:40]), end="")
        print("".join(f"# daemon {self.id}: {line}\n" for line in self.daemon_log().splitlines()[-100:]), end="")

    # --- all of it ----------------------------------------------------------

    def link(self, state):
        ip("link", "set", f"kbv{self.id}", state)

    def log(self, name, partition):
        with open(f"{self.dir}/{name}-{partition}/00000000000000000000.log", "rb") as stream:
            return stream.read()

    def end(self):
        self.kill_daemon()
        self.stop_broker("--now")
        # the namespace ends later, and the link with it
        subprocess.run(("ip", "link", "del", f"kbv{self.id}"), stderr=subprocess.DEVNULL, check=False)
        subprocess.run(("ip", "netns", "del", self.net), stderr=subprocess.DEVNULL, check=False)
        if self.disk:
            subprocess.run(("umount", self.disk), check=False)


def metadata(node, names):
    """{(topic, partition): (leader, [isr])} as a node tells clients"""
    # one that is cut off is not waited for
    conn = Connection((node.address, PORT), timeout=1)
    try:
        conn.send(METADATA, 1, array([string(name) for name in names]))
        reader = conn.receive()
    finally:
        conn.close()
    reader.array(lambda: (reader.take("i"), reader.string(), reader.take("i"), reader.string()))
    reader.take("i")
    result = {}
    for _ in range(reader.take("i")):
        reader.take("h")
        name = reader.string()
        reader.take("b")
        for _ in range(reader.take("i")):
            _, number, leader = reader.take("hii")
            reader.array(lambda: reader.take("i"))
            result[(name, number)] = (leader, reader.array(lambda: reader.take("i")))
    return result


def leader_of(nodes, name, partition):
    """node.id of the leader that one of these nodes knows of, or None"""
    for node in nodes:
        try:
            leader, _ = metadata(node, [name]).get((name, partition), (-1, []))
        except (OSError, EOFError, struct.error):
            continue
        if leader >= 0:
            return leader
    return None


def whole(nodes, name, partition=0):
    """Do all nodes come to say that all of them are in sync, and who leads? One that was
    away says for a while what it knew before."""
    def agreed():
        try:
            told = [metadata(node, [name])[(name, partition)] for node in nodes]
        except (OSError, EOFError, struct.error, KeyError):
            return False
        return len({leader for leader, _ in told}) == 1 and \
            all(set(isr) == {node.id for node in nodes} for _, isr in told)
    return wait_for(agreed)


class Producer(threading.Thread):
    """Writes numbered records to one partition with acks=all until told to stop; an
    idempotent producer that goes to the leader wherever it is."""

    ids = iter(range(1 << 40, 1 << 41))

    def __init__(self, nodes, name, partition):
        super().__init__(daemon=True)
        self.nodes, self.name_, self.partition = {node.id: node for node in nodes}, name, partition
        self.acked, self.gaps, self.last = [], [], time.monotonic()
        self.ended, self.id = False, next(Producer.ids)
        self.conn = None
        self.number = 0     # of the next record

    @staticmethod
    def value(name, partition, number):
        return b"%s-%d:%d" % (name.encode(), partition, number)

    def payload(self, number):
        """Of the next record; others may say it otherwise"""
        return Producer.value(self.name_, self.partition, number)

    def connect(self):
        order = list(self.nodes.values())
        random.shuffle(order)
        leader = leader_of(order, self.name_, self.partition)
        if leader is None:
            return False
        self.conn = Connection((self.nodes[leader].address, PORT), timeout=2)
        return True

    def send(self, number):
        """Is it acknowledged? Else it is sent again, as the same batch."""
        try:
            if not self.conn and not self.connect():
                return False
            data = batch((self.payload(number),), producer=(self.id, 0, number))
            error, base, _ = self.conn.produce(self.name_, self.partition, data, timeout_ms=2000)
        except (OSError, EOFError, ValueError, struct.error):
            error, base = -1, -1
        # 46: it was acknowledged before, and is too old to be known where
        if error in (0, 46):
            self.acked.append((number, base))
            return True
        if self.conn:
            self.conn.close()
        self.conn = None
        return False

    def run(self):
        while not self.ended:
            if not self.send(self.number):
                time.sleep(0.01)
                continue
            now = time.monotonic()
            self.gaps.append((now - self.last, now))
            self.number += 1
            # the machine has other things to do as well
            time.sleep(0.005)
            self.last = time.monotonic()

    def stop(self):
        self.ended = True
        self.join(60)
        return not self.is_alive()

    def writes(self, more=20):
        """Wait until this many more are acknowledged."""
        want = len(self.acked) + more
        return wait_for(lambda: len(self.acked) >= want)


def readback(node, name, partition):
    """[(offset, value)] of all that is there"""
    out = node.run("consume", name, "--partition", str(partition), "--from-beginning", "--exit", "--format", "%o %s\\n")
    return [(int(offset), value) for offset, value in (line.split(" ", 1) for line in out.splitlines())]


def check_readback(node, producer):
    """What was acknowledged is there once, in order, at its offset, and nothing that nobody wrote."""
    there, numbers, phantoms = {}, [], []
    prefix = f"{producer.name_}-{producer.partition}:"
    for at, (offset, value) in enumerate(readback(node, producer.name_, producer.partition)):
        number = value.removeprefix(prefix)
        # the last one may be there without having been acknowledged
        if offset != at or number == value or not number.isdigit() or int(number) > producer.number:
            phantoms.append((offset, value))
            continue
        there[int(number)] = offset
        numbers.append(int(number))
    lost = [number for number, base in producer.acked if number not in there or (base >= 0 and there[number] != base)]
    good = not lost and not phantoms and numbers == sorted(set(numbers))
    if not good:
        print(f"# {len(producer.acked)} acknowledged, {len(numbers)} there, lost {lost[:20]}, phantoms {phantoms[:20]}, "
              f"twice or disordered {[v for i, v in enumerate(numbers[1:]) if v <= numbers[i]][:20]}", flush=True)
    return good


def cluster(count=3, witness=False, disk=0):
    """Nodes with brokers and daemons that all have a session"""
    nodes = [Node(number, witness and number == count, disk) for number in range(1, count + 1)]
    for node in nodes:
        if not node.witness:
            node.start_broker()
    for node in nodes:
        node.configure(None if node is nodes[0] else nodes[0])
        node.start_daemon()
        if node is nodes[0]:
            wait_for(lambda: node.status())
    brokers = {node.id for node in nodes if not node.witness}
    if not wait_for(lambda: nodes[0].alive() == brokers and
                    sum(key[0] == "daemon" and "voter" in words for key, words in nodes[0].status().items()) == count):
        raise RuntimeError(f"the cluster does not come together: {nodes[0].status()}")
    return nodes


def run(main, **options):
    """The frame of a test: a cluster, main(nodes), the plan."""
    if not shutil.which("kbrokerd"):
        print("1..0 # SKIP kbrokerd is not built: libraft could not be fetched")
        sys.exit(0)
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(ROOT)
    nodes, done = [], False
    # one that was stopped in the middle of it has left its own
    subprocess.run(("ip", "link", "del", "kbbr"), stderr=subprocess.DEVNULL, check=False)
    ip("link", "add", "kbbr", "type", "bridge")
    ip("link", "set", "kbbr", "up")
    ip("addr", "add", "10.99.0.100/24", "dev", "kbbr")
    try:
        nodes = cluster(**options)
        main(nodes)
        done = True
    except Exception:  # the rest could not run: that is a failure, too
        import traceback
        for text in traceback.format_exc().splitlines():
            print("# " + text)
        say(False, "the test ran to its end")
    finally:
        if not (done and all(results)):
            for node in nodes:
                node.tell()
            said = subprocess.run(("dmesg",), stdout=subprocess.PIPE, text=True, check=False).stdout
            print("".join(f"# {line}\n" for line in said.splitlines()[-100:] if "kbroker" in line), end="")
        for node in nodes:
            node.end()
        subprocess.run(("ip", "link", "del", "kbbr"), check=False)
        shutil.rmtree(ROOT, ignore_errors=True)
    print(f"1..{len(results)}", flush=True)
    os._exit(0 if done and all(results) else 1)
