#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 2400
"""Mixed clients for KBROKER_SOAK_SECONDS (default 60; "make soak": 1800): producers with
and without idempotence, consumers, device readers, an administrator who creates
and deletes topics, retention at work, and somebody who closes connections at
random. Then every acknowledged record is read back, and no memory has grown."""
import json
import os
import random
import subprocess
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from lib import BOOTSTRAP, HERE, UNIQUE, equal, kbroker, run, say

SECONDS = float(os.environ.get("KBROKER_SOAK_SECONDS", 60))
SEED = int(os.environ.get("KBROKER_SEED", random.SystemRandom().randrange(1 << 32)))
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SLOTS = 6       # topics with what must be read back
# a user-mode kernel maps page by page, and the machine below allows a process only so many maps
SMALL_QUEUE = {"queued.max.messages.kbytes": 4096, "fetch.message.max.bytes": 1 << 20}
stop = threading.Event()
troubles = []
counts = {}


def count(what, n=1):
    counts[what] = counts.get(what, 0) + n


class Worker(threading.Thread):
    """Calls step(rng) until the end; an exception is a failure of the test."""

    def __init__(self, name, step, seed):
        super().__init__(name=name, daemon=True)
        self.step, self.rng = step, random.Random(f"{SEED} {name} {seed}")
        self.start()

    def run(self):
        while not stop.is_set():
            try:
                self.step(self.rng)
            except Exception as error:  # pylint: disable=broad-except
                troubles.append(f"{self.name}: {type(error).__name__}: {error}")
                stop.wait(1)


class Slot:
    """One producer at a time writes numbers to a topic; what was acknowledged is kept."""

    def __init__(self, n):
        self.topic, self.next, self.idempotent = f"soak{n}{UNIQUE}", 0, n % 2 == 0
        self.acked = bytearray()        # a byte a number: there are millions

    def produce(self, rng):
        errors = []
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "log_level": 2, "enable.idempotence": self.idempotent, "acks": "all",
                             "compression.type": rng.choice(CODECS), "linger.ms": rng.choice((0, 5, 50)),
                             "message.timeout.ms": 120000, "reconnect.backoff.ms": 10,
                             "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 20})

        def report(error, message):
            if error:
                errors.append(str(error))
            else:
                self.acked[int(message.value().split()[0])] = 1
        records = rng.randrange(1, 2000)
        self.acked.extend(bytes(records))
        for _ in range(records):
            producer.produce(self.topic, b"%d " % self.next + b"x" * rng.choice((0, 10, 1000)), partition=0,
                             key=rng.choice((None, b"k")), on_delivery=report)
            self.next += 1
            producer.poll(0)
        producer.flush(120)
        count("produced", 1)
        if errors:
            raise RuntimeError(f"{len(errors)} not delivered: {errors[0]}")

    def read_back(self):
        """What is there, and whether each number was larger than the one before"""
        consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "log_level": 2, "group.id": "none", "enable.partition.eof": True,
                             "check.crcs": True, **SMALL_QUEUE})
        consumer.assign([TopicPartition(self.topic, 0, 0)])
        got, last, in_order, records, end = bytearray(self.next), -1, True, 0, time.monotonic() + 600
        while time.monotonic() < end:
            messages = consumer.consume(10000, 1)
            for message in messages:
                if not message.error():
                    number = int(message.value().split()[0])
                    got[number] = 1
                    in_order, last, records = in_order and number > last, number, records + 1
            if any(m.error() and m.offset() >= records for m in messages):
                break
        consumer.close()
        return got, in_order


def consume(slots, rng):
    """Read somewhere for a while, and go away without a word."""
    slot = rng.choice(slots)
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "log_level": 2, "group.id": "none", "check.crcs": True,
                         "fetch.wait.max.ms": rng.choice((10, 500)), "isolation.level": rng.choice(
                             ("read_committed", "read_uncommitted")), **SMALL_QUEUE})
    low, high = consumer.get_watermark_offsets(TopicPartition(slot.topic, 0), 60)
    at = rng.randrange(low, high + 1)
    consumer.assign([TopicPartition(slot.topic, 0, at)])
    end = time.monotonic() + rng.random() * 5
    while time.monotonic() < end:
        for message in consumer.consume(1000, 0.5):
            if message.error():
                raise RuntimeError(str(message.error()))
            if message.offset() != at:
                raise RuntimeError(f"{slot.topic}: offset {message.offset()} instead of {at}")
            at += 1
            count("consumed")
    if rng.random() < 0.5:
        consumer.close()


def done(futures, before):
    """They succeeded; the error "before" says that they had: where a connection was cut the client asks again."""
    for future in futures.values():
        try:
            future.result(60)
        except KafkaException as error:
            if error.args[0].code() != before:
                raise


def administrate(rng):
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP, "log_level": 2})
    name = f"brief{rng.randrange(1 << 30)}"
    done(admin.create_topics([NewTopic(name, rng.randrange(1, 8), 1)], request_timeout=60),
         KafkaError.TOPIC_ALREADY_EXISTS)
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "log_level": 2})
    for _ in range(100):
        producer.produce(name, b"x" * 1000)
    if rng.random() < 0.5:
        producer.flush(60)
    done(admin.delete_topics([name], request_timeout=60), KafkaError.UNKNOWN_TOPIC_OR_PART)
    count("topics")


def retain(rng):
    """A topic whose records go away under its readers."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "log_level": 2, "linger.ms": 20})
    for _ in range(500):
        producer.produce("retained" + UNIQUE, rng.randbytes(1000), partition=0)
    producer.flush(60)
    count("retained", 500)
    stop.wait(rng.random())


def read_device(slots, rng):
    with open(f"/dev/kbroker/{rng.choice(slots).topic}/0", "rb", buffering=0) as device:
        end = time.monotonic() + rng.random() * 3
        while time.monotonic() < end and len(device.read(65536)) == 65536:
            pass
    count("devices")


def cut(rng):
    """Close one of the connections."""
    stop.wait(0.2 + rng.random())
    listed = json.loads(kbroker("--json", "connection", "list"))
    if listed:
        done = subprocess.run(("kbroker", "connection", "close", str(rng.choice(listed)["connection"])), check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        count("cut", done.returncode == 0)


def slab_kib():
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as out:
        out.write("3")
    time.sleep(2)
    with open("/proc/meminfo", encoding="ascii") as lines:
        info = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return info["SUnreclaim"] + info.get("VmallocUsed", 0)


def main():
    print(f"# KBROKER_SEED={SEED} KBROKER_SOAK_SECONDS={SECONDS:.0f}")
    slots = [Slot(n) for n in range(SLOTS)]
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP, "log_level": 2})
    topics = [NewTopic(s.topic, 1, 1) for s in slots]
    topics.append(NewTopic("retained" + UNIQUE, 1, 1, config={"retention.bytes": "2000000", "segment.bytes": "1048576"}))
    for future in admin.create_topics(topics, request_timeout=60).values():
        future.result(60)

    def work(seconds):
        stop.clear()
        workers = [Worker(s.topic, s.produce, n) for n, s in enumerate(slots)]
        workers += [Worker("consumer", lambda rng: consume(slots, rng), n) for n in range(3)]
        workers += [Worker("admin", administrate, 0), Worker("retention", retain, 0)]
        if HERE:
            workers += [Worker("device", lambda rng: read_device(slots, rng), 0), Worker("cut", cut, 0)]
        time.sleep(seconds)
        stop.set()
        for worker in workers:
            worker.join(200)
            say(not worker.is_alive(), f"{worker.name} ends")
    work(min(10, SECONDS / 4))      # what is made once is there
    before = slab_kib() if HERE else 0
    work(SECONDS)
    print("# " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    idle = [what for what in ("produced", "consumed", "retained", "topics") + (("devices", "cut") if HERE else ()) if not counts.get(what)]
    equal("everybody did something", idle, [])
    # a connection that is cut in the middle of a question is no trouble
    bad = [t for t in troubles if "_TRANSPORT" not in t and "disconnect" not in t.lower()]
    equal("no client was in trouble", bad[:5], [])
    if HERE:
        grown = slab_kib() - before
        say(grown < 16384, f"memory has grown by {grown} KiB")
    for slot in slots:
        got, in_order = slot.read_back()
        missing = [number for number in range(slot.next) if slot.acked[number] and not got[number]]
        equal(f"{slot.topic}: all of {slot.acked.count(1)} acknowledged records", missing[:5], [])
        if slot.idempotent:
            say(in_order, f"{slot.topic}: once each, in order")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    run(main, "--config", "log.retention.check.interval.ms=2000")
