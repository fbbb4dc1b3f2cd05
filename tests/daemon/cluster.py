#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""kbrokerd as a program: three witnesses on loopback elect one of them, know
each other by their secret alone, survive deaths and lost directories, and
what strangers send. They have no broker and need no kernel module.
	cluster.py KBROKERD DIRECTORY
"""
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

PROGRAM, TOP = sys.argv[1:]
CLUSTER, OTHER = "AAECAwQFBgcICQoLDA0ODw", "BBECAwQFBgcICQoLDA0ODw"
SECRET, WRONG = "5a" * 32, "a5" * 32
DEADLINE = 60
BASE = random.randrange(20000, 30000, 10)
KIND_STATUS, KIND_ANSWER, KIND_JOIN, KIND_LEAVE = 9, 10, 12, 13
A_CLUSTER, A_ERROR, A_DAEMON = 64, 76, 78
results = []


def ok(good, text):
    results.append(good)
    print(f"{'ok' if good else 'not ok'} {len(results)} - {text}", flush=True)


def wait_for(condition):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def secret_file(path, secret=SECRET):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(secret + "\n")
    return path


def attr(kind, data):
    return struct.pack("<HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def message(kind, body=b""):
    return bytes((1, kind, 0, 0)) + body


def frame(token, msg, flags=0):
    return struct.pack(">IQB", 9 + len(msg), token, flags) + msg


class Daemon:
    def __init__(self, number, port=None):
        self.id = number
        self.dir = f"{TOP}/{number}"
        self.address = f"127.0.0.1:{port or BASE + number}"
        self.process = None

    def write(self, **extra):
        os.makedirs(self.dir, mode=0o700)
        secret_file(f"{self.dir}/secret")
        keys = {"cluster.id": CLUSTER, "node.id": self.id, "listen": self.address, "witness": 1} | extra
        with open(f"{self.dir}/daemon.conf", "w", encoding="ascii") as file:
            file.write("# written by a test\n" + "".join(f"{key}={value}\n" for key, value in keys.items()))
        return self

    def start(self):
        with open(f"{self.dir}/out", "ab") as out:
            self.process = subprocess.Popen((PROGRAM, "--dir", self.dir), stderr=out)
        return self

    def log(self):
        with open(f"{self.dir}/out", encoding="utf-8") as file:
            return file.read()

    def end(self, how):
        self.process.send_signal(how)
        return self.process.wait(DEADLINE)

    def request(self, msg):
        """A request at the Unix socket; errno of the answer."""
        with socket.socket(socket.AF_UNIX) as conn:
            conn.settimeout(DEADLINE)
            conn.connect(f"{self.dir}/socket")
            conn.sendall(frame(7, msg))
            head = receive(conn, 13)
            length, token, flags = struct.unpack(">IQB", head)
            answer = receive(conn, length - 9)
        if token != 7 or flags != 1 or answer[:2] != bytes((1, KIND_ANSWER)):
            raise RuntimeError(f"no answer: {head} {answer}")
        at = 4
        while at < len(answer):
            size, kind = struct.unpack_from("<HH", answer, at)
            if kind & 0x7fff == A_ERROR:
                return struct.unpack_from(">I", answer, at + 4)[0]
            at += size + (-size % 4)
        return None


def receive(conn, count):
    data = b""
    while len(data) < count:
        piece = conn.recv(count - len(data))
        if not piece:
            raise ConnectionError("closed")
        data += piece
    return data


def ask(daemon, cluster=CLUSTER, secret=None):
    return subprocess.run((PROGRAM, "--ask", daemon.address, "--cluster-id", cluster, "--secret-file",
                           secret or f"{daemon.dir}/secret"), capture_output=True, text=True, check=False,
                          timeout=DEADLINE)


def members(daemon):
    """Voters by id, and the controller's id"""
    lines = [line.split() for line in ask(daemon).stdout.splitlines()]
    voters = {int(line[1]) for line in lines if line[0] == "daemon" and line[3] == "voter"}
    leaders = [int(line[1]) for line in lines if line[0] == "daemon" and line[-1] == "controller"]
    return voters, leaders[0] if leaders else None


def join_request(number, address):
    daemon = attr(1, struct.pack(">I", number)) + attr(2, address.encode() + b"\0")
    uuid = bytes(range(16))
    return message(KIND_JOIN, attr(A_CLUSTER, attr(4, uuid)) + attr(A_DAEMON, daemon))


def hears(conn):
    """Is it hung up on?"""
    conn.settimeout(DEADLINE)
    try:
        return not conn.recv(1)
    except ConnectionError:
        return True


def strangers(daemon):
    host, port = daemon.address.split(":")
    at = (host, int(port))
    rng = random.Random(BASE)
    for junk in (b"GET / HTTP/1.0\r\n\r\n" + bytes(200), bytes(61), bytes((1,)) + bytes(60),
                 bytes((1,)) + bytes(range(16)) + bytes(44) + bytes(400), rng.randbytes(4096)):
        with socket.create_connection(at) as conn:
            conn.sendall(junk)
            try:
                conn.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            while not hears(conn):
                pass
    # half a hello, for ever: hung up on in time; many at once take nobody's place
    idle = [socket.create_connection(at) for _ in range(200)]
    alive = wait_for(lambda: members(daemon)[1] is not None)
    gone = all(hears(conn) for conn in idle)
    for conn in idle:
        conn.close()
    return alive and gone


def hostile_frames(daemon):
    for junk in (struct.pack(">I", 0), struct.pack(">I", 0xffffffff), struct.pack(">I", 12) + bytes(12),
                 frame(1, bytes(4), flags=1), struct.pack(">I", 4 << 20) + bytes(100000)):
        with socket.socket(socket.AF_UNIX) as conn:
            conn.connect(f"{daemon.dir}/socket")
            conn.sendall(junk)
            conn.shutdown(socket.SHUT_WR)
            if not hears(conn):
                return False
    # messages that are none are answered, with an error
    if daemon.request(bytes(4)) != 71 or daemon.request(message(99)) != 71:
        return False
    if daemon.request(message(KIND_STATUS, attr(200, b""))) != 71:
        return False
    # one byte at a time, two requests at once
    with socket.socket(socket.AF_UNIX) as conn:
        conn.settimeout(DEADLINE)
        conn.connect(f"{daemon.dir}/socket")
        for byte in frame(1, message(KIND_STATUS)) + frame(2, message(KIND_STATUS)):
            conn.sendall(bytes((byte,)))
        tokens = []
        for _ in range(2):
            length, token, _ = struct.unpack(">IQB", receive(conn, 13))
            receive(conn, length - 9)
            tokens.append(token)
    return sorted(tokens) == [1, 2]


def refusals():
    """Configurations that can't be; each is said what is wrong with."""
    good = True
    for name, extra, words in (("a", {"node.id": "x"}, "node.id can't be"), ("b", {"colour": "red"}, "no key"),
                               ("c", {"listen": "here"}, "listen can't be"), ("d", {}, "not told where to join")):
        daemon = Daemon(name, BASE + 9).write(**({"node.id": 9} | extra))
        done = subprocess.run((PROGRAM, "--dir", daemon.dir), capture_output=True, text=True, check=False,
                              timeout=DEADLINE)
        good = good and done.returncode == 1 and words in done.stderr
    daemon = Daemon("e", BASE + 9).write(**{"node.id": 9, "bootstrap": 1})
    os.chmod(f"{daemon.dir}/secret", 0o644)
    done = subprocess.run((PROGRAM, "--dir", daemon.dir), capture_output=True, text=True, check=False, timeout=DEADLINE)
    return good and done.returncode == 1 and "chmod 600" in done.stderr


def run():
    one = Daemon(1).write(bootstrap=1).start()
    two, three = (Daemon(n).write(join=one.address) for n in (2, 3))
    two.start()
    three.start()
    daemons = {1: one, 2: two, 3: three}
    ok(wait_for(lambda: members(one) == ({1, 2, 3}, 1)), "three daemons become a cluster")
    ok(wait_for(lambda: members(three) == ({1, 2, 3}, 1)), "who is not the controller passes a question on")
    ok("another secret" in ask(two, secret=secret_file(f"{TOP}/wrong", WRONG)).stderr, "another secret is refused")
    ok("another secret" in ask(two, cluster=OTHER).stderr, "another cluster is refused")
    again = subprocess.run((PROGRAM, "--dir", one.dir), capture_output=True, text=True, check=False, timeout=DEADLINE)
    ok(again.returncode == 1 and "is running" in again.stderr, "a directory has one daemon")
    ok(refusals(), "what is wrong with a configuration is said")
    ok(strangers(two), "strangers are hung up on")
    ok(hostile_frames(two), "frames that can't be are hung up on, messages answered")
    ok(two.request(join_request(3, "127.0.0.1:1")) == 17, "an id that is another's is refused")

    one.end(signal.SIGKILL)
    ok(wait_for(lambda: members(two)[1] in (2, 3)), "another controller follows one that was killed")
    leader = members(two)[1]
    one.start()
    ok(wait_for(lambda: members(one) == ({1, 2, 3}, leader)), "the killed one comes back")

    lost = daemons[5 - leader]
    lost.end(signal.SIGKILL)
    shutil.rmtree(lost.dir)
    lost.write(join=next(d for d in daemons.values() if d.id not in (leader, lost.id)).address).start()
    ok(wait_for(lambda: members(lost) == ({1, 2, 3}, leader)) and
       bool(re.search(f"daemon {lost.id} went", daemons[leader].log())), "one that lost its directory comes as another")

    for daemon in daemons.values():
        ok(daemon.end(signal.SIGTERM) == 0, f"daemon {daemon.id} ends when told to")
    for daemon in daemons.values():
        daemon.start()
    ok(wait_for(lambda: members(one)[1] and members(one)[0] == {1, 2, 3}), "all come back")

    leader = members(one)[1]
    went = daemons[leader % 3 + 1]
    leave = message(KIND_LEAVE, attr(A_DAEMON, attr(1, struct.pack(">I", went.id))))
    other = next(d for d in daemons.values() if d.id not in (leader, went.id))
    ok(other.request(leave) == 0, "a daemon leaves")
    ok(wait_for(lambda: members(other) == ({leader, other.id}, leader)), "two are left")
    ok(other.request(leave) == 2, "who is gone can't leave")
    went.end(signal.SIGKILL)
    daemons[leader].end(signal.SIGKILL)
    ok(other.request(message(KIND_STATUS)) == 107, "without a majority there is no controller, which is said")
    other.end(signal.SIGTERM)
    for daemon in daemons.values():
        if "ERROR: " in daemon.log() or "runtime error" in daemon.log():
            ok(False, f"sanitizers: {daemon.log()}")


try:
    run()
finally:
    print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
