#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 240
"""python3-confluent-kafka (librdkafka): codecs, idempotence, admin; transactions are refused clearly."""
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

from lib import BOOTSTRAP, HERE, UNIQUE, equal, fails, run, say


def wait(futures):
    return {key: future.result(60) for key, future in futures.items()}


def produce(topic, records, **config):
    """Produce (key, value, headers, timestamp); return the offsets that were reported."""
    reports = []
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 20,
                         **{k.replace("_", "."): v for k, v in config.items()}})
    for key, value, headers, stamp in records:
        producer.produce(topic, value, key, 0, headers=headers, timestamp=stamp,
                         on_delivery=lambda error, message: reports.append((error, message.offset())))
    if producer.flush(60):
        raise RuntimeError("records were not delivered within a minute")
    errors = [str(error) for error, _ in reports if error]
    if errors:
        raise RuntimeError(errors[0])
    return [offset for _, offset in reports]


def consume(topic, count, start=0, **config):
    """The first count records from start on."""
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "none", "enable.auto.commit": False,
                         "auto.offset.reset": "error", "check.crcs": True,
                         **{k.replace("_", "."): v for k, v in config.items()}})
    consumer.assign([TopicPartition(topic, 0, start)])
    got, end = [], time.monotonic() + 60
    while len(got) < count and time.monotonic() < end:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        got.append(message)
    consumer.close()
    return got


def main():
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    wait(admin.create_topics([NewTopic(f"{c}{UNIQUE}", 1, 1) for c in codecs], request_timeout=60))
    for codec in codecs:
        records = [(b"k%d" % i, b"%s %d %s" % (codec.encode(), i, b"x" * (i % 200)), [("a", b"%d" % i), ("none", None)],
                    1700000000000 + i) for i in range(300)]
        offsets = produce(codec + UNIQUE, records, compression_type=codec, acks="all")
        equal(f"{codec}: offsets", offsets, list(range(300)))
        got = consume(codec + UNIQUE, 300)
        equal(f"{codec}: what was produced is consumed",
              [(m.key(), m.value(), m.headers(), m.timestamp()[1]) for m in got], records)
    got = consume("none" + UNIQUE, 10, 290, isolation_level="read_committed")
    equal("read_committed", [m.offset() for m in got], list(range(290, 300)))

    # --- idempotence ---
    wait(admin.create_topics([NewTopic("once" + UNIQUE, 1, 1)], request_timeout=60))
    records = [(None, b"%d" % i, None, 0) for i in range(2000)]
    produce("once" + UNIQUE, records, enable_idempotence=True, batch_num_messages=50)
    equal("an idempotent producer", [m.value() for m in consume("once" + UNIQUE, 2000)], [r[1] for r in records])

    # --- offsets ---
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "none"})
    equal("watermarks", consumer.get_watermark_offsets(TopicPartition("none" + UNIQUE, 0), 60), (0, 300))
    found = consumer.offsets_for_times([TopicPartition("zstd" + UNIQUE, 0, 1700000000123)], 60)
    equal("an offset by time, inside a compressed batch", found[0].offset, 123)
    cluster = consumer.list_topics(timeout=60)
    say(cluster.cluster_id, "the cluster has an id")
    equal("the controller is the broker", cluster.controller_id, list(cluster.brokers)[0])
    consumer.close()

    # --- admin ---
    name = "admin" + UNIQUE
    wait(admin.create_topics([NewTopic(name, 1, 1, config={"cleanup.policy": "delete", "segment.bytes": "2000000"})],
                             request_timeout=60))
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    configs = wait(admin.describe_configs([resource], request_timeout=60))[resource]
    equal("a config that was set", configs["segment.bytes"].value, "2000000")
    equal("is known to be", configs["segment.bytes"].is_default, False)
    equal("and a default to be one", configs["retention.ms"].is_default, True)
    wait(admin.alter_configs([ConfigResource(ConfigResource.Type.TOPIC, name, {"retention.ms": "1000000"})], request_timeout=60))
    equal("alter", wait(admin.describe_configs([resource], request_timeout=60))[resource]["retention.ms"].value, "1000000")
    fails("a config that does not exist", KafkaException,
          lambda: wait(admin.alter_configs([ConfigResource(ConfigResource.Type.TOPIC, name, {"no.such": "1"})], request_timeout=60)))
    broker = ConfigResource(ConfigResource.Type.BROKER, str(cluster.controller_id))
    say("log.retention.ms" in wait(admin.describe_configs([broker], request_timeout=60))[broker], "a broker's configs")
    wait(admin.create_partitions([NewPartitions(name, 3)], request_timeout=60))
    equal("more partitions", len(admin.list_topics(name, timeout=60).topics[name].partitions), 3)
    fails("fewer are refused", KafkaException, lambda: wait(admin.create_partitions([NewPartitions(name, 2)], request_timeout=60)))
    fails("a factor beyond the brokers", KafkaException, lambda: wait(admin.create_topics([NewTopic("rf" + UNIQUE, 1, 7)], request_timeout=60)))
    wait(admin.delete_topics([name], request_timeout=60))
    say(name not in admin.list_topics(timeout=60).topics, "delete")

    # --- transactions ---
    if HERE:
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": "x"})
        began = time.monotonic()
        fails("transactions are refused", KafkaException, producer.init_transactions, 60)
        say(time.monotonic() - began < 50, "at once, not by a time-out")


run(main)
