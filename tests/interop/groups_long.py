#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 1500
"""Static members that come back, members that hand over in steps; then groups of
one to eight members for each kind of client, which join, leave and are killed at
random (KBROKER_SEED), the broker restarted under them now and then: no record is
lost, and while nobody dies none is given twice."""
import os
import random
import time

from groups import OPTIONS, PARTITIONS, SHORT, feeds, owns, restart, moves
from lib import HERE, UNIQUE, equal, run, say, wait_for
from members import KINDS, Member, all_taken, end_all, taken, twice

SEED = int(os.environ.get("KBROKER_SEED", random.SystemRandom().randrange(1 << 32)))
SECONDS = float(os.environ.get("KBROKER_GROUPS_SECONDS", 60))


def static():
    """A static member that comes back before its session ends has what it had; the other notices nothing."""
    name = "static" + UNIQUE
    feed = feeds(name)[name]
    group = [Member("confluent", name, name, group_instance_id=f"i{i}", session_timeout_ms=30000) for i in range(2)]

    def fed():
        feed.give(1)
        return all(member.records() for member in group) and sum(len(owns(m)) for m in group) == PARTITIONS
    say(wait_for(fed, 90) and all_taken(group, feed), "two static members")
    before = owns(group[0]), moves(group[1])
    group[0].leave()
    feed.give(5)
    back = Member("confluent", name, name, group_instance_id="i0", session_timeout_ms=30000)
    group.append(back)
    say(all_taken(group, feed), "one is replaced, and all is read")
    equal("the new one has what the old one had", owns(back), before[0])
    equal("the other noticed nothing", moves(group[1]), before[1])
    equal("nothing was given twice", twice(group), 0)
    for member in group[1:]:
        member.leave()


def cooperative():
    """Members that hand over in steps keep what does not move."""
    name = "coop" + UNIQUE
    feed = feeds(name)[name]
    options = {"partition_assignment_strategy": "cooperative-sticky"}
    group = [Member("confluent", name, name, **options)]
    feed.give(2)
    say(all_taken(group, feed), "one cooperative member")
    for count in (2, 4):
        while len(group) < count:
            group.append(Member("confluent", name, name, **options))

        def fed():
            feed.give(1)
            return all(len(owns(member)) == PARTITIONS // count for member in group) and all(m.records() for m in group)
        say(wait_for(fed, 90), f"{count} of them share evenly")
    say(all_taken(group, feed), "all is read")
    equal("nothing was given twice", twice(group), 0)
    equal("the first gave up only what moved", sum(len(line[1]) for line in moves(group[0]) if line[0] == "-"),
          PARTITIONS - PARTITIONS // 4)
    for member in group:
        member.signal(15)
    for member in group:
        member.wait(60)


def play(kind, name, rng, deadly):
    """Members of one kind come and go for SECONDS."""
    feed = feeds(name)[name]
    everybody, alive, kills = [], [], 0
    # a session that ends because the machine is slow is a death, too
    options = SHORT if deadly else {}
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        # kcat ends when it has lost its connections to a broker that is restarted
        alive = [member for member in alive if not member.wait(0)]
        feed.give(rng.randrange(1, 5))
        deed = rng.random()
        if not alive or (len(alive) < PARTITIONS and deed < 0.4):
            alive.append(Member(kind, name, name, **options))
            everybody.append(alive[-1])
        elif deed < 0.6:
            # kcat throws away what it has when it is told to end
            if kind == "kcat":
                all_taken(everybody, feed)
            if not alive.pop(rng.randrange(len(alive))).leave():
                say(False, f"{kind}: a member leaves when it is asked to")
        elif deed < 0.75 and deadly:
            alive.pop(rng.randrange(len(alive))).kill()
            kills += 1
        elif deed < 0.8 and deadly and HERE:
            restart()
        time.sleep(rng.random() * 2)
    alive = [member for member in alive if not member.wait(0)]
    if not alive:
        alive.append(Member(kind, name, name, **options))
        everybody.append(alive[0])
    say(all_taken(everybody, feed, 180), f"{kind}: {len(feed.expected)} records, {len(everybody)} members, {kills} killed: none is lost")
    if deadly:
        print(f"# {twice(everybody)} of {len(taken(everybody))} were given twice", flush=True)
    else:
        equal(f"{kind}: none was given twice", twice(everybody), 0)
    for member in alive:
        member.leave()


def main():
    print(f"# KBROKER_SEED={SEED}", flush=True)
    try:
        static()
        cooperative()
        for kind in KINDS:
            play(kind, f"calm-{kind}{UNIQUE}", random.Random(f"{SEED} calm {kind}"), False)
            play(kind, f"deadly-{kind}{UNIQUE}", random.Random(f"{SEED} deadly {kind}"), True)
    finally:
        end_all()


if __name__ == "__main__":
    run(main, *OPTIONS)
