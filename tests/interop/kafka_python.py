#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 180
"""python3-kafka, a client of the old protocol: produce, consume, offsets, admin."""
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import (InvalidTopicError, MessageSizeTooLargeError, TopicAlreadyExistsError,
                          UnknownTopicOrPartitionError)

from lib import HERE, KAFKA_PYTHON, UNIQUE, equal, eventually, fails, run, say


def admin_calls(admin, producer):
    name = "admin" + UNIQUE
    admin.create_topics([NewTopic(name, 2, 1, topic_configs={"retention.ms": "86400000"})])
    say(name in admin.list_topics(), "a topic that was created is listed")
    fails("it exists already", TopicAlreadyExistsError, admin.create_topics, [NewTopic(name, 1, 1)])
    fails("a bad name", InvalidTopicError, admin.create_topics, [NewTopic("a/b", 1, 1)])
    admin.create_topics([NewTopic(name + "-dry", 1, 1)], validate_only=True)
    say(name + "-dry" not in admin.list_topics(), "validate_only creates nothing")

    def config(key):
        answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])[0]
        return {entry[0]: entry[1] for entry in answer.resources[0][4]}[key]
    equal("a config that was set", config("retention.ms"), "86400000")
    equal("a default", config("max.message.bytes"), "1048588")
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.bytes": "12345678"})])
    equal("alter sets", config("retention.bytes"), "12345678")
    equal("and replaces the whole set", config("retention.ms"), "604800000")

    admin.create_partitions({name: NewPartitions(5)})
    equal("more partitions", len(eventually(lambda: admin.describe_topics([name]))[0]["partitions"]), 5)
    producer.send(name, b"x", partition=4).get(30)
    admin.delete_topics([name])
    say(name not in admin.list_topics(), "a topic that was deleted is gone")
    fails("and can't be deleted again", UnknownTopicOrPartitionError, admin.delete_topics, [name])


def main():
    admin = eventually(lambda: KafkaAdminClient(**KAFKA_PYTHON))
    producer = KafkaProducer(**KAFKA_PYTHON, acks="all", linger_ms=20, max_block_ms=30000)
    topic = "py" + UNIQUE
    admin.create_topics([NewTopic(topic, 2, 1)])
    first = TopicPartition(topic, 0)

    sent = [producer.send(topic, b"value %d" % i, key=b"k%d" % i if i % 2 else None, partition=0,
                          headers=[("h", b"%d" % i), ("empty", b"")], timestamp_ms=1700000000000 + 10 * i)
            for i in range(100)]
    equal("offsets come back in order", [f.get(30).offset for f in sent], list(range(100)))
    consumer = KafkaConsumer(**KAFKA_PYTHON, consumer_timeout_ms=10000, auto_offset_reset="earliest")
    consumer.assign([first])

    def take(count):
        return [next(consumer) for _ in range(count)]
    got = take(100)
    equal("values", [r.value for r in got], [b"value %d" % i for i in range(100)])
    equal("keys", [r.key for r in got[:4]], [None, b"k1", None, b"k3"])
    equal("headers", got[7].headers, [("h", b"7"), ("empty", b"")])
    equal("timestamps", [r.timestamp for r in got[:3]], [1700000000000, 1700000000010, 1700000000020])
    equal("the beginning", consumer.beginning_offsets([first])[first], 0)
    equal("the end", consumer.end_offsets([first])[first], 100)
    for stamp, wanted in ((0, 0), (1700000000000, 0), (1700000000001, 1), (1700000000555, 56), (1700000000990, 99)):
        found = consumer.offsets_for_times({first: stamp})[first]
        equal(f"the first record at or after {stamp}", (found.offset, found.timestamp), (wanted, 1700000000000 + 10 * wanted))
    equal("none after the last", consumer.offsets_for_times({first: 1700000000991})[first], None)
    consumer.seek(first, 98)
    equal("seek", [r.offset for r in take(2)], [98, 99])

    zipped = KafkaProducer(**KAFKA_PYTHON, compression_type="gzip", acks=1, linger_ms=50)
    for i in range(50):
        zipped.send(topic, b"gzip %d" % i, partition=1)
    zipped.flush(30)
    consumer.assign([TopicPartition(topic, 1)])
    consumer.seek_to_beginning()
    equal("gzip", [r.value for r in take(50)], [b"gzip %d" % i for i in range(50)])

    fails("a record that is too large", MessageSizeTooLargeError,
          lambda: KafkaProducer(**KAFKA_PYTHON, max_request_size=3 << 20, buffer_memory=8 << 20)
          .send(topic, bytes(2 << 20), partition=0).get(30))
    if HERE:
        with open(f"/dev/kbroker/{topic}/0", "rb") as device:
            equal("the device shows the same", device.readline(), b"value 0\n")
    admin_calls(admin, producer)


run(main)
