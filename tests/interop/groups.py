#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 600
"""Consumer groups with kafkajs, kafka-python, confluent-kafka and kcat: members
join, leave and die by SIGKILL, and the broker is restarted under them. Every
record is read at least once, and exactly once when nobody dies. More of it, and
static and cooperative members, in groups_long.py."""


from lib import BOOTSTRAP, DIR, HERE, UNIQUE, equal, kbroker, run, say, wait_for
from members import KINDS, Feed, Member, all_taken, end_all, taken, twice

from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 8
CONFIGS = ("group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=1000", "offsets.topic.num.partitions=4")
OPTIONS = [word for config in CONFIGS for word in ("--config", config)]
SHORT = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}


def feeds(*names):
    """A topic for each, with a feed."""
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    for future in admin.create_topics([NewTopic(n, PARTITIONS, 1) for n in names], request_timeout=60).values():
        future.result(60)
    return {n: Feed(n, PARTITIONS) for n in names}


def restart():
    kbroker("broker", "stop")
    kbroker("broker", "start", "--dir", DIR, "--listener", BOOTSTRAP)


def owns(member):
    """Partitions that it has by its own account."""
    owned = set()
    for line in moves(member):
        owned = owned | line[1] if line[0] == "+" else owned - line[1]
    return owned


def moves(member):
    with open(member.path, encoding="ascii") as notes:
        words = [line.split() for line in notes if line[0] in "+-" and line.endswith("\n")]
    return [(w[0], {int(x) for x in w[1:]}) for w in words]


def come_and_go():
    """One, two, one again; every kind of client at the same time."""
    topics = feeds(*(f"go-{kind}{UNIQUE}" for kind in KINDS))
    groups = {f"go-{kind}{UNIQUE}": [Member(kind, f"go-{kind}{UNIQUE}", f"go-{kind}{UNIQUE}")] for kind in KINDS}
    kinds = {f"go-{kind}{UNIQUE}": kind for kind in KINDS}
    for name, feed in topics.items():
        feed.give(10)
    for name, group in groups.items():
        say(all_taken(group, topics[name]), f"{kinds[name]}: a member alone gets all")
    for name, group in groups.items():
        group.append(Member(kinds[name], name, name))
    for name, group in groups.items():
        def fed(name=name, group=group):
            topics[name].give(1)
            return group[1].records()
        say(wait_for(fed, 90) and all_taken(group, topics[name]), f"{kinds[name]}: a second gets its share")
    for name, group in groups.items():
        say(group[0].leave(), f"{kinds[name]}: the first leaves")
    for name, group in groups.items():
        topics[name].give(10)
    for name, group in groups.items():
        say(all_taken(group, topics[name]), f"{kinds[name]}: the second gets all")
        say(group[1].leave(), f"{kinds[name]}: it leaves, too")
        if kinds[name] == "python":
            # seen once: a record that it took while it rejoined came again
            say(twice(group) <= 1, "python: next to nothing was given twice")
        else:
            equal(f"{kinds[name]}: nothing was given twice", twice(group), 0)


def survive():
    """Three kinds of clients in one group: the broker is restarted under them, then one is killed."""
    name = "survive" + UNIQUE
    feed = feeds(name)[name]
    group = [Member(kind, name, name, **SHORT) for kind in ("confluent", "python", "kcat")]

    def fed():
        feed.give(1)
        return all(member.records() for member in group)
    say(wait_for(fed, 120) and all_taken(group, feed), "three kinds of clients in one group")
    if HERE:
        restart()
        feed.give(5)
        say(all_taken(group, feed), "go on when the broker is restarted")
    group[0].kill()
    feed.give(5)
    say(all_taken(group, feed), "one is killed: the others get what it had")
    for member in group[1:]:
        member.leave()
    print(f"# {twice(group)} of {len(taken(group))} records were given twice", flush=True)
    feed.give(1)
    group.append(Member("confluent", name, name))
    say(all_taken(group, feed), "what was committed is kept")
    group[-1].leave()


def main():
    try:
        come_and_go()
        survive()
    finally:
        end_all()


if __name__ == "__main__":
    run(main, *OPTIONS)
