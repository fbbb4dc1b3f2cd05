#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""16 cats, members of one group, share 64 partitions under load, and are killed
and replaced at random. No record may be lost, and one may come twice only if it
was in the last read of a cat that was killed: what came before, that cat had
counted by reading on (G4 to G6 of the ABI).

A cat writes what one read() returned with one write(); its output is a socket
that keeps those apart, so the test sees where each read ended.
"""
import random
import socket

from device_lib import *

SECONDS = float(os.environ.get("KBROKER_STRESS_SECONDS", "12"))
SEED = int(os.environ.get("KBROKER_STRESS_SEED", str(random.randrange(1 << 32))))
PARTITIONS = 64
CATS = 16
SO_SNDBUFFORCE = 32
WRITERS = 3
PATH = f"{DEV}/stress/@cats"


class Cat:
    """One cat, and what it read: a list of lines for each of its reads."""

    def __init__(self):
        self.reads = []
        self.begun = b""
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)
        self.process = subprocess.Popen(("cat", PATH), stdin=subprocess.DEVNULL, stdout=theirs)
        theirs.close()

    def take(self, flags):
        """One read of its; False: no more."""
        data = self.socket.recv(1 << 20, flags)
        if data:
            # G7: a line belongs to the read that ends it
            lines = (self.begun + data).split(b"\n")
            self.begun = lines.pop()
            self.reads.append(lines)
        return bool(data)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        while self.take(0):
            pass
        self.socket.close()


def writer(number, stop, acked):
    """Lines "number.sequence", a few a batch, to all partitions in turn; how many were taken."""
    fd = os.open(f"{DEV}/stress/all", os.O_WRONLY)
    sequence = 0
    rng = random.Random(SEED + number)
    while not os.path.exists(stop):
        lines = rng.choice((1, 1, 1, 3, 10, 200))
        data = b"".join(b"%d.%d\n" % (number, sequence + i) for i in range(lines))
        assert os.write(fd, data) == len(data)
        sequence += lines
        # the readers are to keep up
        time.sleep(0.002 * rng.randrange(10))
    with open(acked, "w", encoding="ascii") as out:
        out.write(str(sequence))
    os._exit(0)


def main():
    print(f"# KBROKER_STRESS_SEED={SEED}", flush=True)
    topic("stress", PARTITIONS)
    rng = random.Random(SEED)
    stop = f"{DIR}/../stop"
    pids = []
    for number in range(WRITERS):
        pid = os.fork()
        if not pid:
            try:
                writer(number, stop, f"{stop}.{number}")
            finally:
                os._exit(1)
        pids.append(pid)
    cats = [Cat() for _ in range(CATS)]
    dead = []
    poll = select.poll()
    by_fd = {}
    for cat in cats:
        poll.register(cat.socket, select.POLLIN)
        by_fd[cat.socket.fileno()] = cat

    def replace(i):
        cat = cats[i]
        poll.unregister(cat.socket)
        del by_fd[cat.socket.fileno()]
        cat.kill()
        dead.append(cat)
        cats[i] = Cat()
        poll.register(cats[i].socket, select.POLLIN)
        by_fd[cats[i].socket.fileno()] = cats[i]

    def serve(ms):
        for fd, _ in poll.poll(ms):
            try:
                by_fd[fd].take(socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        serve(rng.randrange(40))
        # one, or several at once
        for _ in range(rng.choice((0, 1, 1, 1, 2, 5))):
            replace(rng.randrange(CATS))
    with open(stop, "w", encoding="ascii"):
        pass
    for pid in pids:
        say(os.waitpid(pid, 0)[1] == 0, "every write was acknowledged")
    wanted = set()
    for number in range(WRITERS):
        with open(f"{stop}.{number}", encoding="ascii") as count:
            wanted |= {b"%d.%d" % (number, i) for i in range(int(count.read()))}
        os.unlink(f"{stop}.{number}")
    os.unlink(stop)

    seen = set()
    looked = {}

    def all_seen():
        serve(100)
        for cat in dead + cats:
            for lines in cat.reads[looked.get(cat, 0):]:
                seen.update(lines)
            looked[cat] = len(cat.reads)
        return len(seen) >= len(wanted)

    wait_for(all_seen, 120)
    for cat in cats:
        cat.kill()
    dead += cats
    counted = {}
    excused = 0
    for cat in dead:
        for n, lines in enumerate(cat.reads):
            for line in lines:
                seen.add(line)
                if n < len(cat.reads) - 1:
                    counted[line] = counted.get(line, 0) + 1
                else:
                    excused += 1
    print(f"# {len(wanted)} records, {len(dead)} cats, {sum(len(c.reads) for c in dead)} reads, "
          f"{excused} records in last reads", flush=True)
    say(len(dead) > CATS + 5, "cats were killed and replaced")
    equal("G5: no record is lost", len(wanted - seen), 0)
    equal("no record is made up", len(seen - wanted), 0)
    twice = [line for line, times in counted.items() if times > 1]
    equal("G6: none comes twice that a living cat had counted", twice[:5], [])


run(main)
