#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""cluster.py KBROKER: the commands that ask a cluster's daemon, and a daemon
that is this test: what is asked to the byte, refusals, frames that are cut or
lie. Needs neither the module nor kbrokerd. Prints TAP.
"""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

KBROKER = sys.argv[1]
CLUSTER = "AAECAwQFBgcICQoLDA0ODw"
ELECT, REASSIGN, REMOVE, STATUS, ANSWER, LEAVE = 5, 6, 7, 9, 10, 13
A_PEER, A_REPLICA, A_BROKER, A_PARTITION, A_TARGET = 65, 67, 68, 69, 70
A_STOPPING, A_UNCLEAN, A_ERROR, A_MESSAGE, A_DAEMON = 72, 73, 76, 77, 78
PEER_ID, PEER_EPOCH, PEER_FENCED, PEER_ADDRESS, PEER_PORT, PEER_RACK = 2, 3, 4, 5, 6, 9
REPLICA_TOPIC, REPLICA_PARTITION, REPLICA_REPLICAS, REPLICA_ISR = 2, 4, 9, 10
EBUSY, ENOENT, ENOTCONN = 16, 2, 107
results = []


def ok(good, text, *said):
    results.append(good)
    print(f"{'ok' if good else 'not ok'} {len(results)} - {text}", flush=True)
    for line in said if not good else ():
        print(f"# {line}")


# --- messages ------------------------------------------------------------------

def attr(kind, data):
    return struct.pack("<HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def nest(kind, *attrs):
    return attr(kind | 0x8000, b"".join(attrs))


def u32(kind, value):
    return attr(kind, struct.pack(">I", value))


def text(kind, value):
    return attr(kind, value.encode() + b"\0")


def ids(kind, *values):
    return attr(kind, struct.pack(f">{len(values)}i", *values))


def message(kind, *attrs):
    return bytes((1, kind, 0, 0)) + b"".join(attrs)


def frame(token, msg, flags=1):
    return struct.pack(">IQB", 9 + len(msg), token, flags) + msg


def refusal(err, why):
    return message(ANSWER, u32(A_ERROR, err), text(A_MESSAGE, why))


def broker(number, address, fenced=0, stopping=0, rack=""):
    peer = nest(A_PEER, u32(PEER_ID, number), attr(PEER_EPOCH, struct.pack(">Q", 10 + number)),
                attr(PEER_FENCED, bytes((fenced,))), text(PEER_ADDRESS, address),
                attr(PEER_PORT, struct.pack(">H", 9092)), text(PEER_RACK, rack))
    return nest(A_BROKER, peer, attr(A_STOPPING, bytes((stopping,))))


def daemon(number, address, voter=1, leader=0):
    return nest(A_DAEMON, u32(1, number), text(2, address), attr(3, bytes((voter,))), attr(4, bytes((leader,))))


DONE = message(ANSWER, u32(A_ERROR, 0))
STATE = message(
    ANSWER, u32(A_ERROR, 0), broker(1, "192.0.2.1", rack="north"), broker(2, "2001:db8::2", fenced=1),
    broker(3, "192.0.2.3", stopping=1),
    nest(A_PARTITION, nest(A_REPLICA, text(REPLICA_TOPIC, "orders"), u32(REPLICA_PARTITION, 4),
                           ids(REPLICA_REPLICAS, 1, 2, 3), ids(REPLICA_ISR, 1, 2)), ids(A_TARGET, 2, 3)),
    daemon(1, "192.0.2.1:9094", leader=1), daemon(2, "[2001:db8::2]:9094"), daemon(3, "192.0.2.3:9094", voter=0))


def replica(topic, partition, *replicas):
    return nest(A_REPLICA, text(REPLICA_TOPIC, topic), u32(REPLICA_PARTITION, partition),
                *([ids(REPLICA_REPLICAS, *replicas)] if replicas else []))


# --- a daemon ------------------------------------------------------------------

class Daemon:
    """Answers with what it is given: bytes, or a function of token and message that makes them"""

    def __init__(self, *answers):
        self.dir = tempfile.mkdtemp(prefix="kbd")
        with open(f"{self.dir}/daemon.conf", "w", encoding="ascii") as conf:
            conf.write(f"# of a test\ncluster.id={CLUSTER}\nnode.id=3\nlisten=192.0.2.3:9094\n")
        with open(f"{self.dir}/secret", "w", encoding="ascii") as secret:
            secret.write("5a" * 32 + "\n")
        self.asked = []
        self.answers = list(answers)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{self.dir}/socket")
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while self.answers:
            conn, _ = self.listener.accept()
            with conn:
                head = receive(conn, 13)
                if len(head) < 13:
                    break
                length, token, flags = struct.unpack(">IQB", head)
                msg = receive(conn, length - 9)
                self.asked.append((flags, msg))
                made = self.answers.pop(0)
                conn.sendall(made(token, msg) if callable(made) else frame(token, made))

    def run(self, *argv):
        done = subprocess.run((KBROKER, *argv, "--daemon-dir", self.dir), capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=60)
        # one that was asked nothing still waits for somebody
        with socket.socket(socket.AF_UNIX) as waker:
            waker.connect_ex(f"{self.dir}/socket")
        self.thread.join(60)
        self.listener.close()
        return done

    def end(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def receive(conn, count):
    data = b""
    while len(data) < count:
        more = conn.recv(count - len(data))
        if not more:
            break
        data += more
    return data


def exchange(name, answers, argv, status=0, says="", asked=None):
    """Run a command against a daemon that gives these answers"""
    fake = Daemon(*answers)
    done = fake.run(*argv)
    said = done.stdout + done.stderr
    good = done.returncode == status and says in said
    if asked is not None:
        good = good and fake.asked == [(0, msg) for msg in asked]
    ok(good, name, f"exit {done.returncode}, wanted {status} and '{says}'", *said.splitlines(),
       f"asked: {fake.asked}", f"wanted: {asked}")
    fake.end()
    return done, fake


# --- status --------------------------------------------------------------------

def status():
    ask = message(STATUS)
    done, _ = exchange("status asks for the state", [STATE], ["cluster", "status"], asked=[ask])
    lines = done.stdout.splitlines()
    for line in ("1\t192.0.2.1:9092\tnorth\t11\talive\t-\t-", "2\t[2001:db8::2]:9092\t-\t12\tfenced\t-\t-",
                 "3\t192.0.2.3:9092\t-\t13\tstopping\t-\t-", "1\t192.0.2.1:9094\tcontroller",
                 "2\t[2001:db8::2]:9094\tvoter", "3\t192.0.2.3:9094\tspare", "orders\t4\t2,3\t1,2,3\t1,2"):
        ok(line in lines, f"a line {' '.join(line.split())}", *lines)
    done, _ = exchange("status --json", [STATE], ["cluster", "status", "--json"])
    state = json.loads(done.stdout)
    ok([b["state"] for b in state["brokers"]] == ["alive", "fenced", "stopping"] and
       [d["role"] for d in state["daemons"]] == ["controller", "voter", "spare"] and
       state["reassigned"] == [{"topic": "orders", "partition": 4, "to": [2, 3], "replicas": [1, 2, 3], "isr": [1, 2]}],
       "tells the same", done.stdout)
    crowd = message(ANSWER, u32(A_ERROR, 0), *(broker(number, "192.0.2.1") for number in range(300)))
    done, _ = exchange("more brokers than a cluster has", [crowd], ["cluster", "status", "--json"])
    ok(len(json.loads(done.stdout)["brokers"]) == 256, "are not all shown")
    exchange("a refusal, in the daemon's words", [refusal(ENOTCONN, "there is no controller: none")],
             ["cluster", "status"], 1, "the cluster can't be shown: there is no controller: none")
    done, _ = exchange("a refusal as JSON", [refusal(ENOTCONN, "none")], ["cluster", "status", "--json"], 1)
    ok(json.loads(done.stderr)["errno"] == "ENOTCONN" and not done.stdout, "has its errno, and no document", done.stderr)


# --- what is no answer ------------------------------------------------------------

def garbage():
    def cut(count):
        return lambda token, msg: frame(token, STATE)[:count]

    for name, answer, says in (
            ("no answer at all", cut(0), "reset"),
            ("a cut head", cut(9), "reset"),
            ("a cut message", cut(60), "reset"),
            ("a length of everything", lambda token, msg: struct.pack(">IQB", 0xffffffff, token, 1), "no kbrokerd of this version"),
            ("a length of nothing", lambda token, msg: struct.pack(">IQB", 0, token, 1), "no kbrokerd of this version"),
            ("a length without a message", lambda token, msg: struct.pack(">IQB", 12, token, 1) + bytes(3), "no kbrokerd of this version"),
            ("another's token", lambda token, msg: frame(token + 1, DONE), "no kbrokerd of this version"),
            ("a request instead", lambda token, msg: frame(token, DONE, 0), "no kbrokerd of this version"),
            ("another version", bytes((2, ANSWER, 0, 0)), "version 2"),
            ("a kind that there is not", bytes((1, 99, 0, 0)), "kind 99"),
            ("an attribute that there is not", message(ANSWER, u32(200, 1)), "attribute 200"),
            ("an attribute longer than its message", message(ANSWER, struct.pack("<HH", 400, A_ERROR)), "longer than"),
            ("an attribute without end", message(ANSWER, attr(A_MESSAGE, b"no NUL")), "'message'"),
            ("a nest that is longer than it may", message(ANSWER, nest(A_BROKER, struct.pack("<HH", 9, A_PEER))), "longer than"),
            ("another kind of message", message(STATUS), "can't be shown"),
            ("an errno that there is not", refusal(0xffffffff, "odd"), "odd")):
        exchange(name, [answer], ["cluster", "status"], 1, says)


# --- topics --------------------------------------------------------------------

def partitions():
    exchange("reassign one partition", [DONE], ["cluster", "reassign", "orders/4", "--replicas", "3,1"],
             asked=[message(REASSIGN, replica("orders", 4, 3, 1))])
    exchange("and two", [DONE, DONE], ["cluster", "reassign", "orders/4", "more/0", "-r", "1"],
             asked=[message(REASSIGN, replica("orders", 4, 1)), message(REASSIGN, replica("more", 0, 1))])
    exchange("what is refused", [refusal(EBUSY, "broker 9 is not registered")],
             ["cluster", "reassign", "orders/4", "more/0", "--replicas", "9"], 1, "orders/4: broker 9 is not registered")
    exchange("elect everywhere", [DONE], ["cluster", "elect"], asked=[message(ELECT)])
    exchange("elect one, uncleanly", [DONE], ["cluster", "elect", "--unclean", "orders/0"],
             asked=[message(ELECT, attr(A_UNCLEAN, b"\1"), replica("orders", 0))])
    exchange("elect, refused", [refusal(EBUSY, "nobody can")], ["cluster", "elect"], 1, "no leader was elected: nobody can")
    for name, argv, says in (("a reassignment has somewhere to go", ("orders/4",), "--replicas is missing"),
                             ("not nowhere", ("orders/4", "--replicas", ""), "--replicas is empty"),
                             ("nobody twice", ("orders/4", "--replicas", "1,2,1"), "each broker once"),
                             ("not too many", ("orders/4", "--replicas", ",".join(map(str, range(17)))), "16 at most"),
                             ("of a partition", ("orders", "--replicas", "1"), "no TOPIC/PARTITION"),
                             ("with a topic", ("/1", "--replicas", "1"), "no TOPIC/PARTITION"),
                             ("and a number", ("orders/x", "--replicas", "1"), "not a number")):
        exchange(name, [], ["cluster", "reassign", *argv], 2, says, [])


# --- nodes ---------------------------------------------------------------------

def nodes():
    ask = message(STATUS)

    def known(*brokers):
        return message(ANSWER, u32(A_ERROR, 0), *brokers)

    remove = message(REMOVE, nest(A_PEER, u32(PEER_ID, 7)))
    leave = message(LEAVE, nest(A_DAEMON, u32(1, 7)))
    there = known(broker(3, "192.0.2.3"), broker(7, "192.0.2.7", fenced=1))
    exchange("remove a node", [there, DONE, DONE], ["cluster", "leave", "--id", "7"], asked=[ask, remove, leave])
    exchange("that has replicas", [there, refusal(EBUSY, "broker 7 has replicas of 3 partitions")],
             ["cluster", "leave", "--id", "7"], 1, "broker 7 has replicas of 3 partitions", [ask, remove])
    exchange("a witness", [known(broker(3, "192.0.2.3")), DONE], ["cluster", "leave", "--id", "7"], asked=[ask, leave])
    exchange("one that there is not", [known(), refusal(ENOENT, "no daemon 7")], ["cluster", "leave", "--id", "7"], 1,
             "no daemon 7")
    exchange("without a controller", [refusal(ENOTCONN, "there is no controller")], ["cluster", "leave", "--id", "7"], 1,
             "no node was taken out of the cluster: there is no controller", [ask])
    remove = message(REMOVE, nest(A_PEER, u32(PEER_ID, 3)))
    leave = message(LEAVE, nest(A_DAEMON, u32(1, 3)))
    alive, fenced = known(broker(3, "192.0.2.3")), known(broker(3, "192.0.2.3", fenced=1))
    exchange("leave, once the session is over", [alive, alive, fenced, DONE, DONE], ["cluster", "leave"],
             asked=[ask, ask, ask, remove, leave])


# --- the directory -------------------------------------------------------------

def directory():
    where = tempfile.mkdtemp(prefix="kbd")

    def run(*argv, **more):
        return subprocess.run((KBROKER, *argv), capture_output=True, text=True, check=False, timeout=60, **more)

    def expect(name, done, code, says):
        ok(done.returncode == code and says in done.stdout + done.stderr, name, f"exit {done.returncode}", done.stdout,
           done.stderr)

    there = ("--daemon-dir", where)
    for command in ("status", "leave", "start", "token"):
        expect(f"{command} without a cluster", run("cluster", command, *there), 1, "this node has no daemon")
    expect("stop without a daemon", run("cluster", "stop", *there), 1, "no daemon of")
    expect("a path too long for a socket", run("cluster", "status", "--daemon-dir", "/" + "x" * 120), 1, "too long")
    with open(f"{where}/daemon.conf", "w", encoding="ascii") as conf:
        conf.write(f"cluster.id={CLUSTER}\nnode.id=3\nlisten=192.0.2.3:9094\n")
    expect("a daemon that does not run", run("cluster", "status", *there), 1, "'kbroker cluster start'")
    expect("no secret, no token", run("cluster", "token", *there), 1, "cannot read")
    with open(f"{where}/secret", "w", encoding="ascii") as secret:
        secret.write("5a" * 32 + "\n")
    done = run("cluster", "token", *there)
    token = done.stdout.split()[-1] if done.stdout else ""
    expect("the token names a daemon", done, 0, "kbroker cluster join 192.0.2.3 --token ")
    ok(len(token) == 64 and token.startswith(CLUSTER[:20]), "and has cluster and secret", done.stdout)
    join = ("cluster", "join", "127.0.0.1:1", "--witness")
    expect("a directory is one daemon's", run(*join, "--token", token, *there), 1, "'kbroker cluster start'")
    fresh = ("--daemon-dir", f"{where}/fresh")
    expect("a token that is none", run(*join, "--token", token[:-1], *fresh), 1, "not what")
    expect("nor that", run(*join, "--token", token[:-1] + "!", *fresh), 1, "not what")
    expect("standard input without one", run(*join, "--token", "-", *fresh, input="x\n"), 1, "not what")
    env = {key: value for key, value in os.environ.items() if key != "KBROKER_CLUSTER_TOKEN"}
    expect("none at all", run(*join, *fresh, env=env), 2, "--token is missing")
    expect("a port", run("cluster", "init", "--daemon-port", "0", *fresh), 2, "outside 1..65535")
    ok(not os.path.exists(f"{where}/fresh"), "nothing was left of what was refused")
    shutil.rmtree(where)


status()
garbage()
partitions()
nodes()
directory()
print(f"1..{len(results)}")
sys.exit(0 if all(results) else 1)
