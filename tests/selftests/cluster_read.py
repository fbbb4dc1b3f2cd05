#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
"""Device reads at a broker that has no replica of the partition: its records
come from the leader, as if they were here, whoever the leader is.
"""
import errno
import os
import select
import signal
import subprocess
import time

from cluster_forward import Partition, device, put
from cluster_lib import join, run
from device_lib import (BATCH, RECORD, Thread, equal, fails, info, lines_of, next_, open_, parse_batches,
                        parse_record, position, record, say, seek_time, wait_for)
from nlclient import K, attr

FAR, OTHER, GONE, EMPTY = (bytes(range(at, at + 16)) for at in (1, 33, 65, 97))


def take(fd, size):
    """So many bytes, however they come"""
    data = b""
    while len(data) < size:
        part = os.read(fd, 1 << 20)
        if not part:
            break
        data += part
    return data


def delete_records(broker, name, offset):
    broker.run("partition", "delete-records", name, "0", "--offset", str(offset))


def formats(part, one, two):
    fd = os.open(device(two, "far"), os.O_RDONLY)
    reader = Thread(os.read, fd, 100)
    say(reader.sleeps(), "a reader of an empty one waits")
    put(one, "a\n", name="far")
    equal("and gets what comes", reader.result(), b"a\n")
    put(two, "b\nc\n", name="far")
    equal("also what was written here", take(fd, 4), b"b\nc\n")
    os.close(fd)
    say(wait_for(lambda: lines_of(device(one, "far")) == b"a\nb\nc\n"), "the leader has it")
    equal("from the beginning", take(os.open(device(two, "far"), os.O_RDONLY), 6), b"a\nb\nc\n")
    shell = subprocess.run(f"while read -r line; do echo \"<$line>\"; [ $line = c ] && break; done <{device(two, 'far')}",
                           shell=True, stdout=subprocess.PIPE, check=False)
    equal("by a shell", shell.stdout, b"<a>\n<b>\n<c>\n")

    fd = open_(device(one, "far"), os.O_WRONLY, RECORD)
    os.write(fd, record(b"value", key=b"key", headers=((b"h", b"1"),), timestamp=5000))
    os.close(fd)
    fd = open_(device(two, "far"), os.O_RDONLY, RECORD)
    found = [parse_record(os.read(fd, 4096)) for _ in range(4)]
    equal("records", [one_["offset"] for one_ in found], [0, 1, 2, 3])
    last = found[3]
    equal("whole ones", (last["key"], last["value"], last["headers"], last["timestamp"]), (b"key", b"value", [(b"h", b"1")], 5000))
    os.close(fd)
    fd = open_(device(two, "far"), os.O_RDONLY, BATCH)
    batches = []
    while sum(count for _, count in batches) < 4:
        batches += parse_batches(os.read(fd, 65536))
    equal("batches", (batches[0][0], sum(count for _, count in batches)), (0, 4))
    os.close(fd)
    fd = open_(device(two, "far"), os.O_RDONLY, BATCH)
    os.lseek(fd, 0, os.SEEK_SET)
    say(select.select([fd], [], [], 60)[0] == [fd], "a batch is there")
    fails("one that does not fit", errno.EMSGSIZE, os.read, fd, 10)
    size = next_(fd)[2]
    equal("and its size", len(os.read(fd, size)), size)
    os.close(fd)


def positions(one, two):
    fd = os.open(device(two, "far"), os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    equal("who must not wait is told when it is there", poll.poll(60000), [(fd, select.POLLIN)])
    equal("and reads it", os.read(fd, 2), b"a\n")
    equal("the end", os.lseek(fd, 0, os.SEEK_END), 4)
    equal("nothing is there", poll.poll(300), [])
    fails("so a read does not wait", errno.EAGAIN, os.read, fd, 100)
    put(one, "d\n", name="far")
    equal("until something comes", poll.poll(60000), [(fd, select.POLLIN)])
    equal("which is it", os.read(fd, 100), b"d\n")
    epoll = select.epoll()
    epoll.register(fd, select.EPOLLIN | select.EPOLLET)
    equal("likewise with edges", epoll.poll(0.3), [])
    put(one, "e\n", name="far")
    equal("there is one", epoll.poll(60), [(fd, select.EPOLLIN)])
    equal("an offset", os.lseek(fd, 1, os.SEEK_SET), 1)
    say(poll.poll(60000) and os.read(fd, 2) == b"b\n", "is where it goes on")
    equal("one beyond the end is the end", os.lseek(fd, 1000, os.SEEK_SET), 6)
    equal("a time", seek_time(fd, 1 << 60), (6, -1))
    equal("that was given", seek_time(fd, 0)[0], 0)
    where = position(fd)
    equal("where it stands", (where["position"], where["log_start"], where["high_watermark"]), (0, 0, 6))
    os.close(fd)
    fd = os.open(device(two, "far").replace("/0", "/all"), os.O_RDONLY)
    equal("all of them", take(fd, 6)[:6], b"a\nb\nc\n")
    os.lseek(fd, 0, os.SEEK_END)
    reader = Thread(os.read, fd, 100)
    say(reader.sleeps(), "from the end on")
    put(one, "f\n", name="far")
    equal("what comes", reader.result(), b"f\n")
    os.close(fd)
    shell = subprocess.Popen(("cat", device(two, "far")), stdout=subprocess.DEVNULL)
    time.sleep(0.2)
    shell.send_signal(signal.SIGINT)
    equal("a signal ends a reader", shell.wait(60), -signal.SIGINT)


def much(one, two, three):
    """Megabytes, by several at once"""
    for broker in (one, two, three):
        broker.topic("other", OTHER)
    part = Partition("other", OTHER, (1, 3))
    part.led_by(1, (one, two, three))
    text = "".join(f"{i:0100}\n" for i in range(30000)).encode()

    def write():
        with open(device(one, "other"), "wb", buffering=0) as stream:
            at = 0
            while at < len(text):
                at += stream.write(text[at:at + (1 << 19)])
    writer = Thread(write)
    readers = [Thread(take, os.open(device(two, "other"), os.O_RDONLY), len(text)) for _ in range(3)]
    say(writer.result() is None, "three megabytes are written")
    say(all(reader.result(180) == text for reader in readers), "three readers have all of them, in order")
    fd = open_(device(two, "other"), os.O_RDONLY, BATCH)
    count = 0
    while count < 30000:
        count += sum(batch[1] for batch in parse_batches(os.read(fd, 4 << 20)))
    equal("batches are those of the leader", count, 30000)
    os.close(fd)
    return part


def moves(part, one, two, three):
    fd = os.open(device(two, "other"), os.O_RDONLY)
    os.lseek(fd, 0, os.SEEK_END)
    reader = Thread(take, fd, 5)
    say(reader.sleeps(), "a reader waits")
    part.led_by(3, (one, two, three))
    put(three, "north\n", name="other")
    equal("another leads, and it goes on", reader.result(), b"north\n")
    reader = Thread(take, fd, 5)
    part.led_by(-1, (one, two, three))
    say(reader.sleeps(), "without a leader it waits")
    part.led_by(1, (two,))
    part.epoch -= 1
    time.sleep(0.1)
    part.led_by(1, (one, three))
    put(two, "south\n", name="other")
    equal("it is told before the leader is: it waits", reader.result(), b"south\n")
    reader = Thread(take, fd, 4)
    one.link("down")
    time.sleep(0.3)
    one.link("up")
    put(one, "east\n", name="other")
    equal("a cut connection is a pause", reader.result(), b"east\n")
    reader = Thread(take, fd, 4)
    part.replicas = (1, 2, 3)
    part.led_by(1, (one, two, three))
    put(one, "west\n", name="other")
    equal("it becomes a replica itself, and reads on", reader.result(), b"west\n")
    say(wait_for(lambda: len(lines_of(device(two, "other")).splitlines()) == 30004), "which has all")
    part.replicas = (1, 3)
    part.led_by(1, (one, two, three))
    os.lseek(fd, 30000, os.SEEK_SET)
    equal("and no more", take(fd, 22), b"north\nsouth\neast\nwest\n")
    os.close(fd)


def overtaken(one, two):
    lines = os.open(device(two, "far"), os.O_RDONLY)
    records = open_(device(two, "far"), os.O_RDONLY, RECORD)
    equal("two begin", (os.read(lines, 2), parse_record(os.read(records, 4096))["offset"]), (b"a\n", 0))
    fresh = os.open(device(two, "far"), os.O_RDONLY)
    delete_records(one, "far", 4)
    put(one, "g\n", name="far")
    os.lseek(fresh, 0, os.SEEK_SET)
    equal("one that begins now begins at the start", take(fresh, 2)[:2], b"d\n")

    def told():
        try:
            return parse_record(os.read(records, 4096))["offset"] >= 4
        except BrokenPipeError:
            return True
    equal("retention overtakes", wait_for(told), True)
    data = b""
    while not data.endswith(b"g\n"):
        data += os.read(lines, 100)
    say(b"d\ne\nf\ng\n" in data, "lines go on behind the gap")
    equal("what was lost is counted", info(lines)["lost"] + len(data.splitlines()), 7)
    for fd in (lines, records, fresh):
        os.close(fd)


def ends(one, two, three):
    for broker in (one, two, three):
        broker.topic("gone", GONE)
    gone = Partition("gone", GONE, (1,))
    gone.led_by(1, (one, two, three), (1,))
    reader = Thread(os.read, os.open(device(two, "gone"), os.O_RDONLY), 10)
    seeker = os.open(device(two, "gone"), os.O_RDONLY)
    equal("a seek", os.lseek(seeker, 0, os.SEEK_END), 0)
    say(reader.sleeps(), "a reader")
    gone.led_by(-1, (one, two, three), (1,))
    waits = Thread(os.lseek, seeker, 0, os.SEEK_END)
    say(waits.sleeps(), "a seek without a leader waits")
    answers = two.client.ask(K["KBROKER_CMD_TOPIC_DEL"],
                             attr(K["KBROKER_A_TOPIC_NAME"], "gone") + attr(K["KBROKER_A_TOPIC_ID"], GONE))
    two.operation(answers, K["KBROKER_A_TOPIC_OP_ID"])
    equal("at the end of the topic the reader has the end of the file", reader.result(), b"")
    equal("and the seek ends", waits.result(), "ENODEV")
    blocked = Thread(os.read, os.open(device(two, "far"), os.O_RDONLY), 10)
    blocked.result()
    fd = os.open(device(two, "far"), os.O_RDONLY)
    os.lseek(fd, 0, os.SEEK_END)
    blocked = Thread(os.read, fd, 10)
    say(blocked.sleeps(), "another reader")
    two.run("broker", "stop", "--now")
    equal("at the end of its broker, too", blocked.result(), b"")


def main(one, two, three):
    everybody = (one, two, three)
    join(everybody, os.urandom(32))
    for broker in everybody:
        broker.topic("far", FAR)
    part = Partition("far", FAR, (1,))
    part.led_by(1, everybody, (1,))
    formats(part, one, two)
    positions(one, two)
    moves(much(one, two, three), one, two, three)
    overtaken(one, two)
    ends(one, two, three)


if __name__ == "__main__":
    run(main)
