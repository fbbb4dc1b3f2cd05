#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What librdkafka's tests call by this name (KAFKA_PATH), over the admin API."""
import argparse

from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

parser = argparse.ArgumentParser()
parser.add_argument("--bootstrap-server", "--zookeeper", required=True)
parser.add_argument("--topic", required=True)
parser.add_argument("--partitions", type=int, default=1)
parser.add_argument("--replication-factor", type=int, default=1)
parser.add_argument("--config", action="append", default=[])
for verb in ("create", "alter", "delete"):
    parser.add_argument("--" + verb, action="store_true")
o = parser.parse_args()
admin = AdminClient({"bootstrap.servers": o.bootstrap_server})
if o.create:
    futures = admin.create_topics([NewTopic(o.topic, o.partitions, o.replication_factor,
                                            config=dict(c.split("=", 1) for c in o.config))], request_timeout=60)
elif o.alter:
    futures = admin.create_partitions([NewPartitions(o.topic, o.partitions)], request_timeout=60)
else:
    futures = admin.delete_topics([o.topic], request_timeout=60)
for future in futures.values():
    future.result(60)
