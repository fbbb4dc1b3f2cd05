#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
# timeout: 600
"""Device reads at a broker that has no replica of the partition: everything that
is committed comes from the leader, in order and once, in every format, whatever
becomes of leaders and replicas meanwhile.
"""
import errno
import json
import os
import select
import signal
import threading

from cluster_lib import BROKERS, join, run
from device_lib import BATCH, RECORD, Thread, equal, fails, open_, parse_record, position, say, seek_time, wait_for
from nlclient import K, attr

UUID = bytes(range(64, 80))
FAR = "/dev/kbc3/t/0"


class Partition:
    """What the controller says of the topic's partition; broker 3 has no replica at first."""

    def __init__(self, brokers):
        self.brokers, self.leader, self.leader_epoch, self.epoch = brokers, -1, 0, -1

    def led_by(self, leader, replicas=(1, 2), isr=None):
        self.leader_epoch += leader != self.leader
        self.leader, self.epoch = leader, self.epoch + 1
        for broker in self.brokers:
            broker.replica("t", UUID, leader, self.leader_epoch, self.epoch, isr or replicas, replicas)


class Follower(threading.Thread):
    """Reads numbered lines as they come."""

    def __init__(self, path=FAR):
        super().__init__(daemon=True)
        self.fd, self.got, self.error = os.open(path, os.O_RDONLY), [], None
        self.start()

    def run(self):
        rest = b""
        try:
            while text := os.read(self.fd, 65536):
                *lines, rest = (rest + text).split(b"\n")
                self.got += map(int, lines)
        except OSError as error:
            self.error = error

    def has(self, count):
        if wait_for(lambda: len(self.got) >= count or self.error, 60) and self.got == list(range(count)):
            return True
        at = next((i for i, value in enumerate(self.got) if value != i), len(self.got))
        print(f"# {len(self.got)} of {count} lines; from {at}: {self.got[at:at + 5]}; {self.error}")
        return False


def put(numbers, path=FAR):
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b"".join(b"%d\n" % number for number in numbers))
    os.close(fd)


def all_of(fd):
    """What can be read until now; it may take a moment to come from the leader."""
    text, poll = b"", select.poll()
    poll.register(fd, select.POLLIN)
    while poll.poll(3000):
        try:
            text += os.read(fd, 1 << 20)
        except BlockingIOError:
            pass
    return text


def sent(broker):
    """Bytes that @broker has sent over all of its connections."""
    return sum(one["sent_bytes"] for one in json.loads(broker.run("connection", "list", "--json")))


def formats(one):
    fd = open_(FAR, os.O_RDONLY | os.O_NONBLOCK)
    equal("lines", all_of(fd), b"".join(b"%d\n" % number for number in range(3000)))
    fails("at the end it is EAGAIN", errno.EAGAIN, os.read, fd, 10)
    os.close(fd)
    fd = open_(FAR, os.O_RDONLY | os.O_NONBLOCK, BATCH)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    say(bool(poll.poll(60000)), "poll() alone has records fetched")
    fails("a buffer too small changes nothing", errno.EMSGSIZE, os.read, fd, 10)
    say(all_of(fd) == one.log(), "batches are the leader's bytes")
    os.close(fd)
    fd = open_(FAR, os.O_RDONLY, RECORD)
    records = [parse_record(os.read(fd, 1000)) for _ in range(3000)]
    equal("records", [(one_["offset"], one_["value"]) for one_ in records], [(n, b"%d" % n) for n in range(3000)])
    os.close(fd)


def positions():
    fd = open_(FAR, os.O_RDONLY, RECORD)
    where = position(fd)
    equal("a fresh open", [where[name] for name in ("position", "log_start", "high_watermark", "log_end")], [0, 0, 3000, 3000])
    equal("SEEK_SET", os.lseek(fd, 1234, os.SEEK_SET), 1234)
    first = parse_record(os.read(fd, 1000))
    equal("goes there", first["offset"], 1234)
    equal("beyond the end it lands there", os.lseek(fd, 5000, os.SEEK_SET), 3000)
    equal("SEEK_END", os.lseek(fd, 0, os.SEEK_END), 3000)
    equal("a time", seek_time(fd, first["timestamp"])[1], first["timestamp"])
    equal("leads to its first record", parse_record(os.read(fd, 1000))["timestamp"], first["timestamp"])
    equal("a time to come", seek_time(fd, first["timestamp"] + 10**9), (3000, -1))
    os.close(fd)
    fd = os.open("/dev/kbc3/t/all", os.O_RDONLY)
    os.read(fd, 100)
    equal("of the whole topic: to the end", os.lseek(fd, 0, os.SEEK_END), 0)
    equal("is the leader's end", position(fd, 0)["position"], 3000)
    equal("and to the beginning", (os.lseek(fd, 0, os.SEEK_SET), os.read(fd, 2)), (0, b"0\n"))
    os.close(fd)


def interrupted():
    """A signal ends a read that waits for the leader's next record."""
    caught = []
    signal.signal(signal.SIGALRM, lambda *_: caught.append(1))
    signal.siginterrupt(signal.SIGALRM, True)
    fd = os.open(FAR, os.O_RDONLY)
    os.lseek(fd, 0, os.SEEK_END)
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        os.read(fd, 10)
        os._exit(1)

    def sleeps():
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "S"
    say(wait_for(sleeps), "a reader at the end sleeps")
    os.kill(pid, signal.SIGALRM)
    equal("until a signal", os.waitpid(pid, 0)[1], signal.SIGALRM)
    os.close(fd)


def together(one, followers, count):
    """Those who stand at the same place share what is fetched."""
    before = sent(one)
    put(range(count, count + 5000))
    say(all(follower.has(count + 5000) for follower in followers), "many that wait at the end have what comes")
    used = sent(one) - before
    say(used < 5000 * 8 * len(followers), f"which was fetched for them together ({used} bytes)")
    return count + 5000


def leaders(part, followers, count):
    """Leaders come and go while they read."""
    halt, failed = threading.Event(), []
    numbers = [count]

    def write():
        while not halt.is_set():
            try:
                put(range(numbers[0], numbers[0] + 10))
            except OSError as error:
                failed.append(error)
                return
            numbers[0] += 10
    writer = Thread(write)
    for leader in (2, 1, -1, 2, 1):
        before = numbers[0]
        part.led_by(leader)
        if leader > 0:
            say(wait_for(lambda before=before: numbers[0] > before + 100 or failed), f"it is led by {leader}: writes go on")
    halt.set()
    writer.result()
    say(not failed and all(follower.has(numbers[0]) for follower in followers), "every reader has every record, once")
    return numbers[0]


def replicas(part, three, followers, count):
    """A replica comes here, and goes again."""
    part.led_by(1, BROKERS, (1, 2))
    put(range(count, count + 500))
    say(all(follower.has(count + 500) for follower in followers), "a replica is made here: readers go on where they were")
    say(wait_for(lambda: "follower" in three.run("replica", "list")), "it follows")
    part.led_by(1)
    put(range(count + 500, count + 1000))
    say(all(follower.has(count + 1000) for follower in followers), "it is gone again, and they go on")
    return count + 1000


def overtaken(one, count):
    slow, lines = open_(FAR, os.O_RDONLY, RECORD), os.open(FAR, os.O_RDONLY)
    equal("a record, a line", (parse_record(os.read(slow, 1000))["offset"], os.read(lines, 2)), (0, b"0\n"))
    for fd in (slow, lines):
        os.lseek(fd, 5, os.SEEK_SET)
    one.run("partition", "delete-records", "t", "0", "--offset", "100")
    fails("a reader of records that was overtaken hears it", errno.EPIPE, os.read, slow, 1000)
    equal("once, and goes on at the start", parse_record(os.read(slow, 1000))["offset"], 100)
    equal("one of lines just goes on", os.read(lines, 4), b"100\n")
    equal("a fresh one begins there", parse_record(os.read(open_(FAR, os.O_RDONLY, RECORD), 1000))["offset"], 100)
    equal("before the start is the start", os.lseek(slow, 3, os.SEEK_SET), 100)
    equal("which positions tell", position(slow)["log_start"], 100)
    equal("and the end", position(slow)["high_watermark"], count)
    os.close(slow)
    os.close(lines)


def main(one, two, three):
    join((one, two, three), os.urandom(32))
    for broker in (one, two, three):
        broker.topic("t", UUID)
    early = Thread(lambda: os.read(os.open(FAR, os.O_RDONLY), 2))
    say(early.sleeps(), "nothing was told of the topic yet: a reader waits")
    part = Partition((one, two, three))
    part.led_by(1)
    put(range(3000))
    equal("then it has the first record", early.result(), b"0\n")
    formats(one)
    positions()
    interrupted()
    followers = [Follower() for _ in range(8)]
    say(all(follower.has(3000) for follower in followers), "readers that follow have all there is")
    count = together(one, followers, 3000)
    member = Follower("/dev/kbc3/t/all")
    say(member.has(count), "so has one of the whole topic")
    count = leaders(part, followers + [member], count)
    count = replicas(part, three, followers + [member], count)
    overtaken(one, count)
    for broker in (one, two, three):
        answers = broker.client.ask(K["KBROKER_CMD_TOPIC_DEL"],
                                    attr(K["KBROKER_A_TOPIC_NAME"], "t") + attr(K["KBROKER_A_TOPIC_ID"], UUID))
        broker.operation(answers, K["KBROKER_A_TOPIC_OP_ID"])
    say(wait_for(lambda: not any(follower.is_alive() for follower in followers + [member])) and
        not any(follower.error for follower in followers + [member]), "the topic is deleted: all get the end of the file")


run(main)
