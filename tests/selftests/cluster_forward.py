#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""Device writes at brokers that do not lead the partition: they go to the leader,
and what was acknowledged is there once and in order, whatever becomes of leaders
and connections meanwhile.
"""
import collections
import ctypes
import errno
import itertools
import json
import os
import select
import signal
import struct
import subprocess
import threading

from cluster_lib import BROKERS, join, run
from device_lib import RECORD, Thread, equal, fails, last_write, open_, record, say, wait_for
from nlclient import K, attr

UUID, LONE, GONE, AWAY = (bytes(range(at, at + 16)) for at in (64, 96, 128, 160))


class Partition:
    """What the controller says of the one partition of a topic."""

    def __init__(self, name, uuid, replicas=BROKERS):
        self.name, self.uuid, self.replicas = name, uuid, replicas
        self.epoch = -1

    def led_by(self, leader, brokers, isr=None):
        self.epoch += 1
        for broker in brokers:
            broker.replica(self.name, self.uuid, leader, self.epoch, self.epoch, isr or self.replicas, self.replicas)


def device(broker, name="t"):
    return f"/dev/{broker.name}/{name}/0"


def lines(broker, name="t"):
    """All committed values at @broker."""
    fd = os.open(device(broker, name), os.O_RDONLY | os.O_NONBLOCK)
    text = b""
    try:
        while True:
            text += os.read(fd, 1 << 20)
    except BlockingIOError:
        return text.decode().splitlines()
    finally:
        os.close(fd)


def put(broker, text, flags=0, name="t"):
    fd = os.open(device(broker, name), os.O_WRONLY | flags)
    try:
        return os.write(fd, text.encode())
    finally:
        os.close(fd)


def written(broker, text, name):
    """Has it been taken in time?"""
    try:
        return put(broker, text, 0, name) == len(text)
    except TimeoutError:
        return False


class Writer(Thread):
    """Writes numbered lines until it is told to stop; remembers which were acknowledged."""

    def __init__(self, broker, name):
        self.path, self.name_, self.halt = device(broker), name, threading.Event()
        self.acked, self.failed = [], []
        super().__init__(self.write)

    def write(self):
        fd = os.open(self.path, os.O_WRONLY)
        number = 0
        while not self.halt.is_set():
            try:
                os.write(fd, f"{self.name_} {number}\n".encode())
                self.acked.append(number)
            except OSError as error:
                self.failed.append((number, errno.errorcode[error.errno]))
            number += 1
        os.close(fd)

    def more(self, count=8):
        """So many more writes were acknowledged."""
        goal = len(self.acked) + count
        return wait_for(lambda: len(self.acked) >= goal)


def check(writers, found):
    """Every acknowledged line is in @found once, in order."""
    counts = collections.Counter(found)
    numbers = collections.defaultdict(list)
    for line in found:
        name, _, number = line.partition(" ")
        if number:
            numbers[name].append(int(number))
    for writer in writers:
        there = numbers[writer.name_]
        lost = [n for n in writer.acked if not counts[f"{writer.name_} {n}"]]
        equal(f"{writer.name_}: nothing that was acknowledged is lost", lost, [])
        equal(f"{writer.name_}: nothing is there twice", len(there), len(set(there)))
        equal(f"{writer.name_}: all is in order", there, sorted(there))


def simple(one, two, three):
    equal("a write at a follower is taken", put(two, "a\n"), 2)
    equal("and the leader has it", lines(one), ["a"])
    equal("so has another one by a shell", subprocess.run(f"echo b >{device(three)}", shell=True).returncode, 0)
    equal("behind it", lines(one), ["a", "b"])
    say(wait_for(lambda: lines(two) == ["a", "b"]), "followers show what is committed")

    fd = open_(device(two), os.O_WRONLY, RECORD)
    os.write(fd, record(b"c"))
    equal("KBROKER_IOC_LAST_WRITE tells the leader's offset", last_write(fd), (0, 1, 2, -1))
    os.close(fd)
    fd = os.open(device(three), os.O_WRONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    say(poll.poll(0) == [(fd, select.POLLOUT)], "there is room to write")
    for text in ("d\n", "e\n", "f"):
        os.write(fd, text.encode())
    os.fsync(fd)
    equal("after fsync() all is there that was written without waiting", lines(one), ["a", "b", "c", "d", "e", "f"])
    os.close(fd)
    equal("O_SYNC is no obstacle", put(two, "g\n", os.O_SYNC), 2)
    big = subprocess.run(("dd", "if=/dev/zero", f"of={device(three)}", "bs=1M", "count=3"), stderr=subprocess.DEVNULL)
    equal("nothing but zeroes is no line, so it is an overlong one", big.returncode, 1)
    text = "".join(f"{i:0100}\n" for i in range(50000))
    fd = os.open(device(two), os.O_WRONLY)
    at = 0
    while at < len(text):
        at += os.write(fd, text[at:].encode())
    os.close(fd)
    say(lines(one)[7:] == text.splitlines(), "five megabytes go over")
    fd = os.open(device(two), os.O_RDONLY)
    end = len(lines(one))
    say(wait_for(lambda: os.lseek(fd, 0, os.SEEK_END) == end), "the follower has it, too")
    reader = Thread(os.read, fd, 100)
    say(reader.sleeps(), "a reader waits there")
    put(three, "news\n")
    equal("and gets what comes", reader.result(), b"news\n")
    os.close(fd)


def moves(part, one, two, three):
    everybody = (one, two, three)
    writers = [Writer(broker, f"{broker.name}.{i}") for broker in everybody for i in range(3)]
    say(all(writer.more() for writer in writers), "many write at all brokers")
    for leader in (2, 3, 1, 2):
        part.led_by(leader, everybody)
        say(all(writer.more() for writer in writers), f"and go on when broker {leader} leads")
    # those who are told first send to one who does not know yet that it leads
    part.led_by(3, (one, two))
    part.epoch -= 1
    part.led_by(3, (three,))
    say(all(writer.more() for writer in writers), "also if the leader is told last")

    for _ in range(3):
        one.link("down")
        waiting = len(writers[0].acked)
        one.link("up")
        say(wait_for(lambda: len(writers[0].acked) > waiting + 2), "a cut connection is a pause")
    for writer in writers:
        writer.halt.set()
    say(all(writer.result() is None for writer in writers), "all of them end")
    away = [(writer.name_, failed) for writer in writers for failed in writer.failed if failed[1] not in ("EREMOTE", "EIO")]
    equal("who wrote at a leader that leads no more is told so, nobody else fails", away, [])
    check(writers, lines(three))


def killed(part, one, two, three):
    writers = [Writer(broker, f"{broker.name}.k{i}") for broker in (one, two) for i in range(3)]
    say(all(writer.more() for writer in writers), "many write where nobody leads")
    three.run("broker", "stop", "--now")
    part.led_by(1, (one, two), (1, 2))
    say(all(writer.more() for writer in writers), "the leader is gone, and they go on")
    for writer in writers:
        writer.halt.set()
    say(all(writer.result() is None for writer in writers), "all of them end")
    equal("none has failed", [writer.failed for writer in writers if writer.failed], [])
    check(writers, lines(one))
    say(wait_for(lambda: lines(one) == lines(two)), "and both have the same")


def waiting(part, one, two):
    part.led_by(-1, (one, two), (1, 2))
    shell = subprocess.Popen(("sh", "-c", f"echo interrupted >{device(two)}"), preexec_fn=os.setpgrp)
    blocked = Thread(put, two, "patient\n")
    say(blocked.sleeps(), "without a leader a write waits")
    fd = os.open(device(two), os.O_WRONLY | os.O_NONBLOCK)
    equal("one that must not wait does not", os.write(fd, b"eager\n"), 6)
    os.killpg(shell.pid, signal.SIGINT)
    equal("a signal ends it", shell.wait(60), -signal.SIGINT)
    part.led_by(2, (one, two), (1, 2))
    equal("with a leader it goes on", blocked.result(), 8)
    equal("fsync() waits for the other one", os.fsync(fd), None)
    os.close(fd)
    tail = lines(two)[-2:]
    equal("both are there, the interrupted one is not", sorted(tail), ["eager", "patient"])
    part.led_by(1, (one, two), (1, 2))


def ends(one, two):
    gone = Partition("gone", GONE, (1, 2))
    for broker in (one, two):
        broker.topic("gone", GONE, ("delivery.timeout.ms", "300"))
    gone.led_by(1, (one, two))
    equal("another topic, at the follower", put(two, "x\n", name="gone"), 2)
    gone.led_by(-1, (one, two))
    fails("no leader within delivery.timeout.ms", errno.EREMOTE, put, two, "y\n", 0, "gone")
    fd = os.open(device(two, "gone"), os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, b"z\n")
    fails("who did not wait hears it from fsync()", errno.EREMOTE, os.fsync, fd)
    equal("once", os.fsync(fd), None)
    os.close(fd)
    gone.led_by(1, (two,))
    fails("one who does not know that it leads", errno.ETIMEDOUT, put, two, "z\n", 0, "gone")
    gone.epoch -= 1
    gone.led_by(1, (one,))
    tries = (f"w{i}" for i in itertools.count())
    taken = []
    say(wait_for(lambda: taken.append(next(tries)) or written(two, taken[-1] + "\n", "gone")), "once it does it goes on")
    found = lines(one, "gone")
    equal("with what was acknowledged", (found[0], found[-1]), ("x", taken[-1]))
    equal("and nothing twice", len(set(found)), len(found))


IO_SETUP, IO_DESTROY, IO_GETEVENTS, IO_SUBMIT = {"x86_64": (206, 207, 208, 209),
                                                 "aarch64": (0, 1, 4, 2)}[os.uname().machine]


def asynchronous(one, two):
    """A write by aio completes when the leader has committed it."""
    libc = ctypes.CDLL(None, use_errno=True)
    context = ctypes.c_ulong()
    equal("io_setup()", libc.syscall(IO_SETUP, 4, ctypes.byref(context)), 0)
    fd = os.open(device(two), os.O_WRONLY)
    text = ctypes.create_string_buffer(b"later\n", 6)
    request = ctypes.create_string_buffer(struct.pack("=QIiHhIQQqQIi", 7, 0, 0, 1, 0, fd, ctypes.addressof(text), 6, 0, 0, 0, 0))
    requests = (ctypes.c_void_p * 1)(ctypes.addressof(request))
    equal("io_submit() does not wait", libc.syscall(IO_SUBMIT, context, 1, requests), 1)
    event = ctypes.create_string_buffer(32)
    equal("its end comes", libc.syscall(IO_GETEVENTS, context, 1, 1, event, None), 1)
    equal("with all of it written", struct.unpack("=QQqq", event.raw)[2], 6)
    equal("and the leader has it", lines(one)[-1], "later")
    os.close(fd)
    libc.syscall(IO_DESTROY, context)


def elsewhere(one, two, three):
    """Where no replica is one can write; what is read comes from the leader."""
    away = Partition("away", AWAY, (1, 2))
    for broker in (one, two, three):
        broker.topic("away", AWAY)
    reader = Thread(lambda: os.read(os.open(device(three, "away"), os.O_RDONLY), 10))
    say(reader.sleeps(), "nothing was told of a topic yet: a reader waits")
    away.led_by(1, (one, two, three))
    equal("there is no replica here: a write goes to the leader", put(three, "x\n", name="away"), 2)
    equal("and what is read comes from it", reader.result(), b"x\n")
    equal("which has it", lines(one, "away"), ["x"])
    info = json.loads(three.run("cluster", "show", "--json"))
    equal("what was forwarded is counted", (info["forwarded"] > 0, info["forward_failed"]), (True, 0))


def stops(part, one, two):
    part.led_by(-1, (one, two), (1, 2))
    lone = Partition("lone", LONE, (1, 2))
    for broker in (one, two):
        broker.topic("lone", LONE)
    lone.led_by(-1, (one, two))
    deleted = Thread(put, two, "x\n", 0, "lone")
    fd = os.open(device(two, "lone"), os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, b"y\n")
    synced = Thread(os.fsync, fd)
    stopped = Thread(put, two, "x\n")
    say(deleted.sleeps() and synced.sleeps() and stopped.sleeps(), "writers wait")
    answers = two.client.ask(K["KBROKER_CMD_TOPIC_DEL"],
                             attr(K["KBROKER_A_TOPIC_NAME"], "lone") + attr(K["KBROKER_A_TOPIC_ID"], LONE))
    two.operation(answers, K["KBROKER_A_TOPIC_OP_ID"])
    equal("the end of the topic ends a write", deleted.result(), "ENODEV")
    equal("and fsync()", synced.result(), "ENODEV")
    two.run("broker", "stop", "--now")
    equal("the end of the broker, too", stopped.result(), "ENODEV")
    os.close(fd)


def main(one, two, three):
    everybody = (one, two, three)
    join(everybody, os.urandom(32))
    part = Partition("t", UUID)
    for broker in everybody:
        broker.topic("t", UUID)
    part.led_by(1, everybody)
    simple(*everybody)
    asynchronous(one, two)
    elsewhere(*everybody)
    moves(part, *everybody)
    killed(part, *everybody)
    waiting(part, one, two)
    ends(one, two)
    stops(part, one, two)


if __name__ == "__main__":
    run(main)
