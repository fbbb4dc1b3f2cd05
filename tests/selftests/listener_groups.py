#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 240
"""Kafka's classic group protocol, state by state: who may do what, what each
error is, what waits for what, in every version; and what is committed stays.

With KBROKER_INTEROP_BOOTSTRAP=HOST:PORT (of a broker whose configs are those of
CONFIGS) another broker is asked, which shows what clients may expect of any; what
is ours alone is then left out.
"""
import os
import time

import device_lib
from device_lib import DIR, equal, kbroker, say, wait_for
from group_client import Groups, array, string, subscription
from listener_client import ADDRESS, listen

HERE = "KBROKER_INTEROP_BOOTSTRAP" not in os.environ
CONFIGS = {"group.initial.rebalance.delay.ms": 0, "group.min.session.timeout.ms": 100, "group.max.size": 4}
UNIQUE = f"-{os.getpid()}"
SHORT = 1000        # a time that is waited for, ms
LONG = 60000        # one that is never reached


def topic(c, name, partitions=4):
    """Metadata makes it elsewhere, with num.partitions."""
    if HERE:
        device_lib.topic(name, partitions)
        return
    while True:
        c.send(3, 4, array([string(name)]) + b"\1")
        reader = c.receive()
        reader.take("i")
        reader.array(lambda: (reader.take("i"), reader.string(), reader.take("i"), reader.string()))
        reader.string()
        reader.take("ii")
        if not reader.take("h"):
            return
        time.sleep(0.1)


def stable(c, group, **options):
    """A member alone in a stable group: (member, generation)"""
    joined = c.join_new(group, **options)
    equal(f"{group}: it joins", joined["error"], 0)
    instance = options.get("instance")
    equal(f"{group}: and is told its share", c.sync(group, joined["generation"], joined["member"], {joined["member"]: b"all"},
                                                    instance=instance), (0, b"all"))
    return joined["member"], joined["generation"]


def waits(c):
    """Nothing is answered yet."""
    c.socket.settimeout(0.3)
    try:
        return not c.socket.recv(1)
    except TimeoutError:
        return True
    finally:
        c.socket.settimeout(120)


def coordinator(c, g):
    # elsewhere the topic of offsets is made while the client asks again
    say(HERE or wait_for(lambda: not c.find(g)[0] and c.join(g, version=3)["error"] not in (14, 15, 16)), "there is a coordinator")
    for version in range(4):
        error, node, host, port = c.find(g, version=version)
        equal(f"FindCoordinator version {version}", (error, host, port), (0, *ADDRESS))
    equal("several at once", {k: v[0] for k, v in c.find([g, "other"], version=4).items()}, {g: 0, "other": 0})
    equal("of a kind that there is not", c.find(g, 9)[0], 42)
    if HERE:
        equal("transactions are refused", c.find(g, 1)[0], 53)
        equal("in a batch, too", c.find([g], 1, version=4)[g][0], 53)
        say("__consumer_offsets" in kbroker("topic", "list"), "the topic of offsets was made")


def joins(c, g):
    for number, options, name in (
            (26, {"session": 50}, "a session that is too short"),
            (26, {"session": 1800001}, "one that is too long"),
            (25, {"member": "nobody"}, "a member that nobody knows"),
            (23, {"protocols": ()}, "no protocol"),
            (23, {"kind": ""}, "no protocol type")):
        equal(f"JoinGroup: {name}", c.join(g, version=3, **options)["error"], number)
    equal("JoinGroup: no group", c.join("", version=3)["error"], 24)
    first = c.join(g)
    equal("a new member is told its id first", (first["error"], first["member"].startswith("selftest-"), first["generation"]), (79, True, -1))
    joined = c.join(g, first["member"], protocols=(("range", b"r"), ("roundrobin", b"rr")))
    equal("with it it joins and leads", (joined["error"], joined["generation"], joined["protocol"], joined["leader"], joined["members"]),
          (0, 1, "range", first["member"], {first["member"]: b"r"}))
    equal("the group waits for its sync", c.state(g), "CompletingRebalance")
    other = Groups()
    equal("another protocol type", other.join(g, kind="connect", version=3)["error"], 23)
    equal("no protocol in common", other.join(g, protocols=(("other", b""),), version=3)["error"], 23)
    equal("neither changed anything", c.state(g), "CompletingRebalance")
    equal("the leader's sync", c.sync(g, 1, first["member"], {first["member"]: b"mine", "stranger": b"x"}), (0, b"mine"))
    equal("it is stable", c.state(g), "Stable")
    equal("it leaves", c.leave(g, first["member"])[0], 0)
    equal("and is empty", c.state(g), "Empty")
    for version in range(6):
        joined = c.join_new(f"{g}-v{version}", version=version)
        equal(f"JoinGroup version {version}", (joined["error"], joined["generation"], joined["members"]), (0, 1, {joined["member"]: b"m"}))
        who = f"{g}-v{version}", 1, joined["member"]
        if version < 3:
            equal(f"SyncGroup version {version}", c.sync(*who, {joined["member"]: b"a"}, version=version), (0, b"a"))
            equal(f"Heartbeat version {version}", c.heartbeat(*who, version=version), 0)
            equal(f"LeaveGroup version {version}", c.leave(who[0], who[2], version=version), 0)
            equal(f"LeaveGroup version {version}, once more", c.leave(who[0], who[2], version=version), 25)
    other.close()


def two(a, b, g):
    """A second member joins: it waits for the first, which is told by its heartbeat."""
    one, generation = stable(a, g)
    equal("a heartbeat", a.heartbeat(g, generation, one), 0)
    equal("of another generation", a.heartbeat(g, generation + 1, one), 22)
    equal("of nobody", a.heartbeat(g, generation, "nobody"), 25)
    equal("of a group that is not there", a.heartbeat(g + "x", generation, one), 25)
    equal("a sync of nobody", a.sync(g, generation, "nobody")[0], 25)
    equal("of another generation", a.sync(g, generation + 1, one)[0], 22)
    equal("a sync again gives the same", a.sync(g, generation, one), (0, b"all"))
    second = b.join(g)["member"]
    b.send_join(g, second, protocols=(("range", b"second"),))
    say(wait_for(lambda: a.heartbeat(g, generation, one) == 27), "the first is told to rejoin")
    equal("its sync, too", a.sync(g, generation, one)[0], 27)
    say(waits(b), "the second waits")
    equal("the state says so", a.state(g), "PreparingRebalance")
    led = a.join(g, one)
    follows = b.receive_join()
    equal("the leader is told who there is", (led["leader"], led["members"]), (one, {one: b"m", second: b"second"}))
    equal("the follower is not", (follows["leader"], follows["members"]), (one, {}))
    equal("one generation more", (led["generation"], follows["generation"]), (generation + 1,) * 2)
    generation += 1
    b.send_sync(g, generation, second)
    # what comes behind it on its connection is answered behind it
    b.send_heartbeat(g, generation, second)
    say(waits(b), "a follower's sync waits for the leader's")
    equal("a heartbeat before the sync", a.heartbeat(g, generation, one), 0)
    equal("the leader's sync", a.sync(g, generation, one, {second: b"for the second"}), (0, b""))
    equal("the follower's", b.receive_sync(), (0, b"for the second"))
    equal("and the heartbeat behind it", b.receive_heartbeat(), 0)
    equal("a follower that joins again as it was begins nothing",
          (lambda x: (x["error"], x["generation"]))(b.join(g, second, protocols=(("range", b"second"),))), (0, generation))
    equal("nobody else noticed", a.heartbeat(g, generation, one), 0)
    b.send_join(g, second, protocols=(("range", b"changed"),))
    say(wait_for(lambda: a.heartbeat(g, generation, one) == 27), "one that changed begins a rebalance")
    led = a.join(g, one)
    equal("the leader sees the change", (led["generation"], led["members"][second]), (generation + 1, b"changed"))
    generation = b.receive_join()["generation"]
    a.send_sync(g, generation, one, {one: b"1", second: b"2"})
    equal("shares", (b.sync(g, generation, second), a.receive_sync()), ((0, b"2"), (0, b"1")))
    equal("the follower leaves", b.leave(g, second), (0, [(second, None, 0)]))
    equal("again, it is unknown", b.leave(g, second), (0, [(second, None, 25)]))
    equal("the other rejoins", a.heartbeat(g, generation, one), 27)
    equal("alone", a.join(g, one)["members"], {one: b"m"})
    equal("and leaves without a sync", a.leave(g, one)[0], 0)
    equal("nothing is left", a.state(g), "Empty")


def votes(a, b, g):
    """The protocol that all have and most want; the leader stays while it is a member."""
    first = a.join(g, version=3, protocols=(("range", b"r1"), ("sticky", b"s1")))
    b.send_join(g, version=3, protocols=(("sticky", b"s2"), ("other", b"o2")))
    say(wait_for(lambda: a.heartbeat(g, first["generation"], first["member"]) == 27), "a rebalance begins")
    again = a.join(g, first["member"], version=3, protocols=(("range", b"r1"), ("sticky", b"s1")))
    equal("what both have", (again["protocol"], sorted(again["members"].values())), ("sticky", [b"s1", b"s2"]))
    equal("the leader stayed", again["leader"], first["member"])
    second = b.receive_join(3)["member"]
    a.leave(g, first["member"])
    led = b.join(g, second, version=3, protocols=(("sticky", b"s2"), ("other", b"o2")))
    equal("the other leads when it has left", (led["leader"], led["protocol"]), (second, "sticky"))
    b.leave(g, second)


def timers(a, b, g):
    """Sessions end, and those who do not come back in time are left behind."""
    member, generation = stable(a, g + "-s", session=SHORT)
    began = time.monotonic()
    say(wait_for(lambda: b.state(g + "-s") == "Empty", 30), "a session ends")
    say(time.monotonic() - began >= SHORT / 1000 * 0.9, "not before its time")
    equal("its member is unknown", a.heartbeat(g + "-s", generation, member), 25)

    member, generation = stable(a, g + "-h", session=SHORT)
    end = time.monotonic() + 2.5 * SHORT / 1000
    beats = set()
    while time.monotonic() < end:
        beats.add(a.heartbeat(g + "-h", generation, member))
        time.sleep(SHORT / 10000)
    equal("heartbeats keep it", beats, {0})

    member, generation = stable(a, g + "-r", rebalance=SHORT)
    second = b.join(g + "-r")["member"]
    led = b.join(g + "-r", second, rebalance=SHORT)
    equal("who does not rejoin in time is left behind", (led["error"], led["leader"], set(led["members"])), (0, second, {second}))
    equal("and unknown", a.heartbeat(g + "-r", generation, member), 25)
    say(wait_for(lambda: a.state(g + "-r") in ("Empty", "PreparingRebalance"), 30), "so is who does not sync in time")
    equal("even if it beats", b.heartbeat(g + "-r", led["generation"], second) in (25, 27), True)


def abandoned(a, g):
    """Who goes away while it waits to join is waited for by nobody."""
    member, generation = stable(a, g)
    gone = Groups()
    gone.send_join(g, version=3, rebalance=LONG)
    say(wait_for(lambda: a.heartbeat(g, generation, member) == 27), "somebody joins")
    gone.close()
    say(wait_for(lambda: len(a.describe(g)["members"]) == 1, 30), "and is forgotten as soon as it is gone")
    joined = a.join(g, member)
    equal("the other is alone again", (joined["error"], joined["members"]), (0, {member: b"m"}))
    a.leave(g, member)


def static(a, b, g):
    """Static members (KIP-345) come back under another id without a rebalance."""
    first = a.join(g, instance="i1")
    equal("a static member needs no id first", (first["error"], first["instances"]), (0, {first["member"]: "i1"}))
    equal("its sync", a.sync(g, 1, first["member"], {first["member"]: b"share"}, instance="i1"), (0, b"share"))
    again = b.join(g, instance="i1")
    equal("it comes back: the same generation, another id", (again["error"], again["generation"], again["member"] != first["member"]), (0, 1, True))
    equal("and the same share", b.sync(g, 1, again["member"], instance="i1"), (0, b"share"))
    equal("no rebalance", b.state(g), "Stable")
    for name, call in (("heartbeat", lambda: a.heartbeat(g, 1, first["member"], instance="i1")),
                       ("sync", lambda: a.sync(g, 1, first["member"], instance="i1")[0]),
                       ("join", lambda: a.join(g, first["member"], instance="i1")["error"]),
                       ("leave", lambda: a.leave(g, first["member"], "i1")[1][0][2]),
                       ("commit", lambda: a.commit(g, {TOPIC: {0: 1}}, generation=1, member=first["member"], instance="i1")[(TOPIC, 0)])):
        equal(f"the old id is fenced: {name}", call(), 82)
    equal("who forgot its instance is only unknown", a.heartbeat(g, 1, first["member"]), 25)
    equal("an instance that nobody is", b.heartbeat(g, 1, again["member"], instance="i2"), 25)
    equal("an admin removes it by its name", a.leave(g, "", "i1"), (0, [("", "i1", 0)]))
    equal("nobody is left", a.state(g), "Empty")
    equal("and one that is not there", a.leave(g, "", "i1"), (0, [("", "i1", 25)]))
    a.join(g, instance="i3")
    equal("several leave at once", a.leave_all(g, [("", "i3"), ("nobody", None)]), (0, [("", "i3", 0), ("nobody", None, 25)]))


def offsets(a, b, g):
    for version in range(2, 8):
        equal(f"OffsetCommit version {version}", a.commit(g, {TOPIC: {0: (version, f"meta {version}", 3)}}, version=version), {(TOPIC, 0): 0})
        equal("is seen at once", b.committed(g, {TOPIC: [0]})[1], {(TOPIC, 0): (version, 3 if version >= 6 else -1, f"meta {version}", 0)})
    for version in range(1, 8):
        error, found = a.committed(g, {TOPIC: [0, 1, 999], "unknown" + UNIQUE: [0]}, version=version)
        epoch = 3 if version >= 5 else -1
        equal(f"OffsetFetch version {version}: one that is committed, and three that are not", (error, found),
              (0, {(TOPIC, 0): (7, epoch, "meta 7", 0), (TOPIC, 1): (-1, -1, "", 0), (TOPIC, 999): (-1, -1, "", 0),
                   ("unknown" + UNIQUE, 0): (-1, -1, "", 0)}))
    equal("null metadata is empty", (a.commit(g, {TOPIC: {2: (5, None, -1)}}), b.committed(g, {TOPIC: [2]})[1][(TOPIC, 2)]),
          ({(TOPIC, 2): 0}, (5, -1, "", 0)))
    a.commit(g, {SECOND: {0: 1}})
    for version in (2, 5, 6, 7):
        error, found = a.committed(g, None, version=version)
        equal(f"OffsetFetch version {version}: all", (error, {k: v[0] for k, v in found.items()}),
              (0, {(TOPIC, 0): 7, (TOPIC, 2): 5, (SECOND, 0): 1}))
    equal("of a group that there is not", [a.committed(g + "x", t) for t in ({TOPIC: [0]}, None)],
          [(0, {(TOPIC, 0): (-1, -1, "", 0)}), (0, {})])
    equal("each partition by itself", a.commit(g, {TOPIC: {0: 8, 77: 1}, "unknown" + UNIQUE: {0: 1}, SECOND: {0: (1, "m" * 4097, -1), 1: (2, "m" * 4096, -1)}}),
          {(TOPIC, 0): 0, (TOPIC, 77): 3, ("unknown" + UNIQUE, 0): 3, (SECOND, 0): 12, (SECOND, 1): 0})
    equal("the good ones are committed", (a.offset_of(g, TOPIC), a.offset_of(g, SECOND), a.offset_of(g, SECOND, 1)), (8, 1, 2))
    # pipelined: one is done before the next begins
    for i in range(20):
        a.send_commit(g, {TOPIC: {0: 100 + i}})
    equal("commits in flight", [a.receive_commit()[(TOPIC, 0)] for _ in range(20)], [0] * 20)
    equal("the last one counts", b.offset_of(g, TOPIC), 119)
    equal("nothing is no offset", a.commit(g, {}), {})


def commits_of_members(a, b, g):
    equal("a generation without a group", a.commit(g, {TOPIC: {0: 1}}, generation=3, member="m")[(TOPIC, 0)], 22)
    first = a.join_new(g, protocols=(("range", subscription(TOPIC)),))
    member, generation = first["member"], first["generation"]

    def commit(offset, number, who, wanted, name):
        equal(name, a.commit(g, {TOPIC: {0: offset}}, generation=number, member=who)[(TOPIC, 0)], wanted)
    commit(1, generation, member, 27, "before its sync a member can't commit")
    a.sync(g, generation, member, {member: b"all"})
    commit(10, generation, member, 0, "a member commits")
    commit(11, generation + 1, member, 22, "not in another generation")
    commit(11, generation, "nobody", 25, "nor as nobody")
    commit(11, -1, "", 25, "nor from outside while there are members")
    equal("nothing of that counts", a.offset_of(g, TOPIC), 10)
    b.send_join(g, version=3, protocols=(("range", subscription(SECOND)),))
    say(wait_for(lambda: a.heartbeat(g, generation, member) == 27), "a rebalance begins")
    commit(12, generation, member, 0, "a member that has to rejoin may commit what it has")
    a.leave(g, member)
    second = b.receive_join(3)["member"]
    b.leave(g, second)
    commit(13, -1, "", 0, "from outside, when nobody is left")
    equal("and that counts", a.offset_of(g, TOPIC), 13)


def looks(a, b, g):
    first = a.join_new(g, protocols=(("range", subscription(TOPIC)),))
    equal("before the sync nothing is told of members", [(s["state"], s["protocol"], [m[3:] for m in s["members"].values()])
                                                         for s in (b.describe(g),)], [("CompletingRebalance", "", [(b"", b"")])])
    a.sync(g, 1, first["member"], {first["member"]: b"all"})
    for version in range(5):
        found = b.describe(g, version)
        equal(f"DescribeGroups version {version}", (found["error"], found["state"], found["kind"], found["protocol"], found["members"]),
              (0, "Stable", "consumer", "range", {first["member"]: (None, "selftest", "/" + ADDRESS[0], subscription(TOPIC), b"all")}))
    equal("of one that is not there", (lambda d: (d["error"], d["state"], d["members"]))(b.describe(g + "x")), (0, "Dead", {}))
    equal("several", [d["state"] for d in b.describe_all([g, g + "x"])], ["Stable", "Dead"])
    operations = b.describe(g, operations=True)["operations"]
    equal("what may be done with it", operations & 0x148, 0x148)
    for version in range(3):
        error, groups = b.groups(version)
        equal(f"ListGroups version {version}", (error, groups.get(g)), (0, "consumer"))
    equal("one that is not there is not listed", g + "x" in groups, False)

    a.commit(g, {TOPIC: {0: 1}, SECOND: {0: 2}}, generation=1, member=first["member"])
    equal("a group with members is not deleted", b.delete(g, g + "x", version=0), {g: 68, g + "x": 69})
    equal("nor offsets of topics that it consumes", b.delete_offsets(g, {TOPIC: [0], SECOND: [0], "unknown" + UNIQUE: [0]}),
          (0, {(TOPIC, 0): 86, (SECOND, 0): 0, ("unknown" + UNIQUE, 0): 3}))
    equal("the others are", (b.offset_of(g, TOPIC), b.offset_of(g, SECOND)), (1, -1))
    equal("offsets of no group", b.delete_offsets(g + "x", {TOPIC: [0]}), (69, {}))
    a.leave(g, first["member"])
    equal("an empty group is told, too", b.describe(g)["state"], "Empty")
    equal("and its offsets can be deleted", b.delete_offsets(g, {TOPIC: [0, 1]}), (0, {(TOPIC, 0): 0, (TOPIC, 1): 0}))
    a.commit(g, {TOPIC: {0: 3}})
    equal("it is deleted", b.delete(g), {g: 0})
    equal("and gone, with its offsets", (b.describe(g)["state"], b.offset_of(g, TOPIC), g in b.groups()[1]), ("Dead", -1, False))
    equal("twice is an error", b.delete(g), {g: 69})
    stable(a, g)
    equal("a new one has none of them", a.committed(g, None), (0, {}))


def full(g):
    """group.max.size: one more is refused, those who are in stay."""
    first = Groups()
    member, generation = stable(first, g)
    others = [Groups() for _ in range(3)]
    for c in others:
        c.send_join(g, version=3)
    say(wait_for(lambda: len(first.describe(g)["members"]) == 4), "four of four join")
    equal("the first rejoins", first.join(g, member)["error"], 0)
    equal("all have joined", [c.receive_join(3)["error"] for c in others], [0, 0, 0])
    late = Groups()
    equal("a fifth is refused", late.join(g, version=3)["error"], 81)
    equal("and nobody noticed", (first.heartbeat(g, generation + 1, member), len(first.describe(g)["members"])), (0, 4))
    for c in (first, late, *others):
        c.close()


def restart(g):
    """Generations, members and offsets are there again."""
    a = Groups()
    member, generation = stable(a, g + "-d", protocols=(("range", subscription(TOPIC)),))
    static_member = a.join(g + "-s", instance="i")
    a.sync(g + "-s", 1, static_member["member"], {static_member["member"]: b"kept"}, instance="i")
    commits = {p: (1000 + p, f"m{p}", p) for p in range(4)}
    a.commit(g + "-d", {TOPIC: commits}, generation=generation, member=member)
    a.commit(g + "-gone", {TOPIC: commits})
    a.delete(g + "-gone")
    kbroker("broker", "stop")
    kbroker("broker", "start", "--dir", DIR)
    listen()
    a = Groups()
    equal("a member goes on where it was", a.heartbeat(g + "-d", generation, member), 0)
    equal("its share is known", a.sync(g + "-d", generation, member), (0, b"all"))
    equal("a static member's, too", a.sync(g + "-s", 1, static_member["member"], instance="i"), (0, b"kept"))
    equal("what was committed", a.committed(g + "-d", {TOPIC: range(4)})[1], {(TOPIC, p): (o, e, m, 0) for p, (o, m, e) in commits.items()})
    equal("what was deleted is not", (a.committed(g + "-gone", None), a.state(g + "-gone")), ((0, {}), "Dead"))
    equal("it is described", (lambda d: (d["state"], list(d["members"])))(a.describe(g + "-d")), ("Stable", [member]))
    equal("it commits", a.commit(g + "-d", {TOPIC: {0: 2000}}, generation=generation, member=member), {(TOPIC, 0): 0})


def rights(g):
    """Who may consume may commit; who may change the broker may delete."""
    c = Groups()
    kbroker("topic", "alter", SECOND, "--mode", "0600")
    c.commit(g, {TOPIC: {0: 1}, SECOND: {0: 2}})
    kbroker("listener", "add", "127.0.0.1:9093", "--listener-user", "nobody")
    kbroker("topic", "alter", TOPIC, "--mode", "0644")
    other = Groups(("127.0.0.1", 9093))
    equal("offsets of what one can't read", other.commit(g, {TOPIC: {0: 3}, SECOND: {0: 3}}), {(TOPIC, 0): 0, (SECOND, 0): 29})
    equal("are not told, either", other.committed(g, {TOPIC: [0], SECOND: [0]})[1],
          {(TOPIC, 0): (3, -1, "", 0), (SECOND, 0): (-1, -1, "", 29)})
    equal("nor listed", {k[0] for k in other.committed(g, None)[1]}, {TOPIC})
    equal("groups are deleted by the broker's owner", other.delete(g), {g: 30})
    equal("offsets by whoever may consume", other.delete_offsets(g, {TOPIC: [0], SECOND: [0]}), (0, {(TOPIC, 0): 0, (SECOND, 0): 29}))
    equal("or the owner", c.delete_offsets(g, {SECOND: [0]}), (0, {(SECOND, 0): 0}))
    equal("who sees what may be done", other.describe(g, operations=True)["operations"] & 0x148, 0x108)
    other.close()
    c.close()


def main():
    if HERE:
        kbroker("broker", "alter", *(word for item in CONFIGS.items() for word in ("--config", "%s=%d" % item)))
        listen()
    a, b = Groups(), Groups()
    for name in (TOPIC, SECOND):
        topic(a, name)
    coordinator(a, "find" + UNIQUE)
    joins(a, "join" + UNIQUE)
    two(a, b, "two" + UNIQUE)
    votes(a, b, "votes" + UNIQUE)
    timers(a, b, "timers" + UNIQUE)
    if HERE:
        abandoned(a, "abandoned" + UNIQUE)
    static(a, b, "static" + UNIQUE)
    offsets(a, b, "offsets" + UNIQUE)
    commits_of_members(a, b, "commits" + UNIQUE)
    looks(a, b, "looks" + UNIQUE)
    full("full" + UNIQUE)
    if HERE:
        rights("rights" + UNIQUE)
        restart("restart" + UNIQUE)


TOPIC, SECOND = "first" + UNIQUE, "second" + UNIQUE
if HERE:
    device_lib.run(main)
else:
    main()
