#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 900
"""100 MB through one producer and one consumer, compared byte for byte."""
import hashlib
import os
import random
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from lib import BOOTSTRAP, UNIQUE, equal, run

BYTES = int(os.environ.get("KBROKER_BULK_BYTES", 100_000_000))


def main():
    topic, rng = "bulk" + UNIQUE, random.Random(1)
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    for future in admin.create_topics([NewTopic(topic, 1, 1)], request_timeout=60).values():
        future.result(60)
    block = rng.randbytes(1 << 20)
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 20, "queue.buffering.max.kbytes": 65536})
    sent, total, count = hashlib.sha256(), 0, 0
    while total < BYTES:
        at, size = rng.randrange(len(block) // 2), rng.choice((10, 100, 1000, 10000, 100000, 400000))
        value = block[at:at + size]
        while True:
            try:
                producer.produce(topic, value, partition=0)
                break
            except BufferError:
                producer.poll(0.5)
        sent.update(value)
        total += size
        count += 1
    equal("all is delivered", producer.flush(600), 0)
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "none", "check.crcs": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    got, end, seen, nbytes = hashlib.sha256(), time.monotonic() + 600, 0, 0
    while seen < count and time.monotonic() < end:
        for message in consumer.consume(1000, 1):
            if message.error():
                raise RuntimeError(str(message.error()))
            got.update(message.value())
            nbytes += len(message.value())
            seen += 1
    equal("records", seen, count)
    equal("bytes", nbytes, total)
    equal("every byte", got.hexdigest(), sent.hexdigest())


run(main)
