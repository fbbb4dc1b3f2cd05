#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 240
"""An idempotent producer whose connections are reset on purpose, in the middle
of requests and of replies: every record is there once and in order."""
import os
import random
import socket
import struct
import sys
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from lib import BOOTSTRAP, HERE, UNIQUE, equal, run, say

PROXY = 9093 if HERE else int(BOOTSTRAP.rsplit(":", 1)[1])
SEED = int(os.environ.get("KBROKER_SEED", random.SystemRandom().randrange(1 << 32)))
RECORDS = int(os.environ.get("KBROKER_CUT_RECORDS", 20000))


class Proxy:
    """Passes bytes on, and resets both sides after a random number of them."""

    def __init__(self, port, target, seed):
        self.target, self.random, self.calm, self.cuts = target, random.Random(seed), False, 0
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.socket.accept()
            server = socket.create_connection(self.target)
            with self.lock:
                # some die young, in the middle of their first requests
                left = [self.random.choice((200, 3000, 20000, 60000)) * self.random.random()]
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(a, b, left), daemon=True).start()

    def pump(self, a, b, left):
        try:
            while True:
                data = a.recv(4096)
                if not data:
                    break
                left[0] -= len(data)
                if left[0] < 0 and not self.calm:
                    # a part of it still arrives
                    b.sendall(data[:self.random.randrange(len(data))])
                    self.cuts += 1
                    for s in (a, b):
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


def main():
    print(f"# KBROKER_SEED={SEED} KBROKER_CUT_RECORDS={RECORDS}")
    host, port = BOOTSTRAP.rsplit(":", 1)
    topic = "cut" + UNIQUE
    proxy = None
    if HERE:
        proxy = Proxy(PROXY, (host, int(port)), SEED)
        proxy.calm = True
    through = f"127.0.0.1:{PROXY}"
    admin = AdminClient({"bootstrap.servers": through})
    for future in admin.create_topics([NewTopic(topic, 1, 1)], request_timeout=60).values():
        future.result(60)
    errors, delivered = [], []

    def report(error, message):
        if error:
            errors.append(str(error))
        else:
            delivered.append(message.offset())
    producer = Producer({"bootstrap.servers": through, "enable.idempotence": True, "linger.ms": 5,
                         "batch.num.messages": 100, "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50,
                         "message.timeout.ms": 200000, "retry.backoff.ms": 10})
    if proxy:
        proxy.calm = False
    for i in range(RECORDS):
        while True:
            try:
                producer.produce(topic, b"%d" % i, partition=0, on_delivery=report)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    end = time.monotonic() + 150
    while producer.flush(1) and time.monotonic() < end:
        pass
    equal("every record is delivered", (len(delivered), errors[:3]), (RECORDS, []))
    if proxy:
        proxy.calm = True
        print(f"# {proxy.cuts} connections were cut")
        say(proxy.cuts >= 3, "connections were cut")
    consumer = Consumer({"bootstrap.servers": through, "group.id": "none", "enable.partition.eof": True,
                         "check.crcs": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    got, end = [], time.monotonic() + 60
    while time.monotonic() < end:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            if len(got) >= RECORDS:
                break
            continue
        got.append(int(message.value()))
    equal("once each, and in order", got, list(range(RECORDS)))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    run(main, *(("--advertised-listener", f"127.0.0.1:{PROXY}") if HERE else ()))
