# SPDX-License-Identifier: GPL-2.0-only
"""Members of consumer groups, each a process of its own with one of Kafka's
clients, so that it can be killed; each notes what it is given as it gets it."""
import functools
import itertools
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time

from confluent_kafka import Consumer, Producer
from kafka import ConsumerRebalanceListener, KafkaConsumer

from lib import BOOTSTRAP, KAFKA_PYTHON

HERE = os.path.dirname(os.path.abspath(__file__))
KAFKAJS = os.environ.get("KBROKER_KAFKAJS") or os.path.expanduser("~/.cache/kbroker/npm/kafkajs/package")
KINDS = ["confluent", "python", "kcat"] + (["kafkajs"] if os.path.isdir(KAFKAJS) else [])
numbers = itertools.count()
members = []


@functools.lru_cache(1)
def notes_directory():
    return tempfile.mkdtemp(prefix="members.")


class Notes:
    """One line a call, at once: nothing of it is lost with the process."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def line(self, kind, *words):
        os.write(self.fd, f"{kind} {' '.join(str(w) for w in words)}\n".encode())


class Stop:
    """SIGTERM asks a member to leave."""

    def __init__(self):
        self.asked = False
        signal.signal(signal.SIGTERM, self.ask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def ask(self, *_):
        self.asked = True


def confluent(path, topic, group, options):
    notes, stop = Notes(path), Stop()
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest",
                         "log_level": 2, "auto.commit.interval.ms": 300, "reconnect.backoff.max.ms": 500, **options})
    consumer.subscribe([topic], on_assign=lambda _, parts: notes.line("+", *(p.partition for p in parts)),
                       on_revoke=lambda _, parts: notes.line("-", *(p.partition for p in parts)))
    while not stop.asked:
        message = consumer.poll(0.2)
        if message and not message.error():
            notes.line("r", message.partition(), message.offset())
    consumer.close()


class Listener(ConsumerRebalanceListener):
    def __init__(self, notes):
        self.notes = notes

    def on_partitions_assigned(self, assigned):
        self.notes.line("+", *(p.partition for p in assigned))

    def on_partitions_revoked(self, revoked):
        self.notes.line("-", *(p.partition for p in revoked))


def python(path, topic, group, options):
    notes, stop = Notes(path), Stop()
    config = {k.replace(".", "_"): v for k, v in options.items()}
    consumer = KafkaConsumer(**KAFKA_PYTHON, group_id=group, auto_offset_reset="earliest",
                             auto_commit_interval_ms=300, reconnect_backoff_max_ms=500, **config)
    consumer.subscribe([topic], listener=Listener(notes))
    while not stop.asked:
        # its iterator fails an assertion of its own where a machine is slow
        for messages in consumer.poll(timeout_ms=200).values():
            for message in messages:
                notes.line("r", message.partition, message.offset)
    consumer.close()


class Member:
    """One process; options as librdkafka calls them."""

    def __init__(self, kind, topic, group, **options):
        self.path = os.path.join(notes_directory(), f"{next(numbers)}-{kind}")
        options = {k.replace("_", "."): v for k, v in options.items()}
        if kind in ("confluent", "python"):
            self.process = processes.Process(target=globals()[kind], args=(self.path, topic, group, options), daemon=True)
            self.process.start()
        else:
            with open(self.path, "wb") as out, open(self.path + ".log", "wb") as log:
                self.process = subprocess.Popen(self.command(kind, topic, group, options), stdout=out, stderr=log,
                                                stdin=subprocess.DEVNULL)
        members.append(self)

    @staticmethod
    def command(kind, topic, group, options):
        if kind == "kafkajs":
            session = str(options.get("session.timeout.ms", 30000))
            return ["node", os.path.join(HERE, "member.mjs"), BOOTSTRAP, KAFKAJS, topic, group, session]
        words = ["kcat", "-b", BOOTSTRAP, "-q", "-u", "-f", "r %p %o\n", "-X", "auto.offset.reset=earliest",
                 "-X", "auto.commit.interval.ms=300", "-X", "log_level=2", "-X", "reconnect.backoff.max.ms=500"]
        for option in options.items():
            words += ["-X", "%s=%s" % option]
        return words + ["-G", group, topic]

    def lines(self, kind):
        """Its notes of that kind, as tuples of numbers; a line that was cut by its death is none."""
        try:
            with open(self.path, encoding="ascii") as notes:
                found = [line.split() for line in notes if line.endswith("\n")]
        except FileNotFoundError:
            return []
        return [tuple(int(w) for w in words[1:]) for words in found if words and words[0] == kind]

    def records(self):
        return self.lines("r")

    def signal(self, number):
        os.kill(self.process.pid, number)

    def wait(self, seconds):
        if isinstance(self.process, subprocess.Popen):
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
        else:
            self.process.join(seconds)
            return self.process.exitcode is not None
        return True

    def leave(self, seconds=60):
        """Go in order. Did it?"""
        self.signal(signal.SIGTERM)
        done = self.wait(seconds)
        if not done:
            self.kill()
        return done

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait(60)


class Feed:
    """Numbers into each partition of a topic; what was acknowledged is expected."""

    def __init__(self, topic, partitions):
        self.topic, self.partitions, self.expected = topic, partitions, set()
        self.producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, "log_level": 2, "enable.idempotence": True,
                                  "reconnect.backoff.max.ms": 500})

    def give(self, each):
        errors = []

        def report(error, message):
            if error:
                errors.append(str(error))
            else:
                self.expected.add((message.partition(), message.offset()))
        for i in range(each):
            for partition in range(self.partitions):
                self.producer.produce(self.topic, b"%d" % i, partition=partition, on_delivery=report)
            self.producer.poll(0)
        self.producer.flush(120)
        if errors:
            raise RuntimeError(f"{len(errors)} records were not produced: {errors[0]}")


def taken(group):
    return [record for member in group for record in member.records()]


def all_taken(group, feed, seconds=90):
    """Has each record been given to one of them?"""
    end = time.monotonic() + seconds
    while not feed.expected <= set(taken(group)):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def twice(group):
    """Records that were given to more than one, or more than once."""
    records = taken(group)
    return len(records) - len(set(records))


def end_all():
    for member in members:
        if isinstance(member.process, subprocess.Popen) and member.process.poll() is None:
            member.process.kill()
        elif not isinstance(member.process, subprocess.Popen) and member.process.is_alive():
            member.process.kill()
    shutil.rmtree(notes_directory(), ignore_errors=True)


# Processes are forked from one that has imported the clients, and has no threads yet.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["members"])
