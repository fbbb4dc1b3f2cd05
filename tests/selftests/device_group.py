#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
"""Consumer groups as devices: G1 to G18 of the ABI text."""
import stat

from device_lib import *

NONBLOCK = os.O_RDONLY | os.O_NONBLOCK


def node(name, group):
    return f"{DEV}/{name}/@{group}"


def produce(path, *values):
    """One batch for each value."""
    fd = os.open(path, os.O_WRONLY)
    for value in values:
        os.write(fd, value + b"\n")
    os.close(fd)


def fill(nodes, count, tag=b"r"):
    for i, path in enumerate(nodes):
        produce(path, *[b"%s%d.%d" % (tag, i, n) for n in range(count)])


def read_all(*fds):
    """Lines that these members read until there is nothing more, counting them all."""
    lines = []
    idle = 0
    while idle < 2 * len(fds):
        for fd in fds:
            try:
                data = os.read(fd, 1 << 20)
                while not data.endswith(b"\n"):
                    data += os.read(fd, 1 << 20)
                lines += data.splitlines()
                idle = 0
            except BlockingIOError:
                idle += 1
    return lines


def counted(fd, partitions):
    return [position(fd, i)["position"] for i in range(partitions)]


def child(function):
    """Run function() in a process that then waits for a signal; returns its pid once it has."""
    ready, go = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            function()
            os.write(go, b"+")
            signal.pause()
        finally:
            os._exit(1)
    os.close(go)
    said = os.read(ready, 1)
    os.close(ready)
    if not said:
        raise RuntimeError("a child failed")
    return pid


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def nodes_of_groups():
    nodes = topic("g1", 2)
    path = node("g1", "new group")
    fails("G1: an open for writing", errno.EROFS, os.open, path, os.O_WRONLY)
    fails("G1: also for both", errno.EROFS, os.open, path, os.O_RDWR)
    fails("G1: and by way of creating it", errno.EROFS, os.open, path, os.O_WRONLY | os.O_CREAT)
    fails("G1: a name is needed", errno.ENOENT, os.open, node("g1", ""), os.O_RDONLY)
    fails("G2: of 249 bytes at most", errno.ENAMETOOLONG, os.open, node("g1", "x" * 250), os.O_RDONLY)
    os.close(os.open(node("g1", "x" * 249), os.O_RDONLY))
    say(True, "G2: 249 are good")
    a = os.open(path, NONBLOCK)
    status = os.stat(path)
    say(stat.S_ISCHR(status.st_mode), "G1: it is a character device")
    equal("G1: with the topic's permissions to read", status.st_mode & 0o777, os.stat(nodes[0]).st_mode & 0o444)
    say(status.st_rdev not in [os.stat(n).st_rdev for n in nodes], "G1: and a number of its own")
    equal("G1: it is in no listing", sorted(os.listdir(f"{DEV}/g1")), ["0", "1", "all"])
    equal("G1: an open is a member", share(a)["members"], 1)
    b = os.open(path, NONBLOCK)
    equal("G1: each of them", (share(a)["members"], share(b)["members"]), (2, 2))
    os.close(b)
    equal("G1: until its last close", share(a)["members"], 1)
    other = os.open(node("g1", "another"), NONBLOCK)
    equal("G1: groups do not know of each other", share(other)["partitions"], [0, 1])
    os.close(other)
    os.close(a)

    kbroker("topic", "alter", "g1", "--mode", "0640")
    pid = os.fork()
    if not pid:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            os.stat(node("g1", "secret"))
            os._exit(1)
        except OSError as error:
            os._exit(0 if error.errno == errno.EACCES else 2)
    equal("G1: who may not consume is refused", os.waitpid(pid, 0)[1], 0)


def join_by_ioctl():
    topic("g2", 2)
    full = f"{DEV}/g2/all"
    a = os.open(full, NONBLOCK)
    join_group(a, b"with/slash")
    equal("G2: JOIN_GROUP on all", share(a)["partitions"], [0, 1])
    fails("G2: once", errno.EBUSY, join_group, a, b"with/slash")
    b = os.open(full, NONBLOCK)
    join_group(b, b"with/slash")
    equal("G2: the same name is the same group", share(b)["members"], 2)
    os.close(b)
    b = os.open(full, NONBLOCK)
    join_group(b, b"plain")
    c = os.open(node("g2", "plain"), NONBLOCK)
    equal("G2: also by its node", share(c)["members"], 2)
    for fd in (a, b, c):
        os.close(fd)
    a = os.open(full, NONBLOCK)
    fails("G2: an empty name", errno.EINVAL, join_group, a, b"")
    fails("G2: a long one", errno.EINVAL, join_group, a, b"x" * 250)
    fails("I1: flags", errno.EINVAL, join_group, a, b"x", 1)
    fails("I1: memory that is not there", errno.EFAULT, fcntl.ioctl, a, JOIN_GROUP, struct.pack("=QII", 8, 4, 0))
    try:
        os.read(a, 100)
    except BlockingIOError:
        pass
    fails("G2: after a read", errno.EBUSY, join_group, a, b"x")
    os.close(a)
    a = os.open(full, NONBLOCK)
    os.lseek(a, 0, os.SEEK_END)
    fails("G2: after a seek", errno.EBUSY, join_group, a, b"x")
    os.close(a)
    a = os.open(full, os.O_RDWR)
    fails("G2: open for writing, too", errno.EROFS, join_group, a, b"x")
    os.close(a)
    a = os.open(f"{DEV}/g2/0", os.O_RDONLY)
    fails("G2: on a partition", errno.ENOTTY, join_group, a, b"x")
    for number, name in ((COMMIT, "COMMIT"), (SET_MAX_POLL, "SET_MAX_POLL"), (GET_SHARE, "GET_SHARE")):
        fails(f"I4: {name} is a member's", errno.ENOTTY, fcntl.ioctl, a, number, bytes(64))
    say(info(a)["features"] & 1 << 7, "I2: GET_INFO tells that there are groups")
    os.close(a)


def sharing():
    nodes = topic("g3", 6)
    path = node("g3", "g")
    fill(nodes, 1)
    members = [os.open(path, NONBLOCK)]
    equal("G3: one member has all", share(members[0])["partitions"], list(range(6)))
    before = set(range(6))
    for count in range(2, 7):
        members.append(os.open(path, NONBLOCK))
        shares = [share(fd)["partitions"] for fd in members]
        sizes = sorted(map(len, shares))
        equal(f"G3: {count} share", (sorted(sum(shares, [])), sizes[-1] - sizes[0] <= 1), (list(range(6)), True))
        equal("G3: only the newcomer's share moved", set(shares[0]) <= before, True)
        before = set(shares[0])
    members.append(os.open(path, NONBLOCK))
    equal("G9: a seventh has none", share(members[6])["partitions"], [])
    fails("G9: and nothing to read", errno.EAGAIN, os.read, members[6], 100)
    generation = share(members[0])["generation"]
    os.close(members.pop(1))
    equal("G3: until one leaves", len(share(members[5])["partitions"]), 1)
    equal("G15: a share that stays the same says so", share(members[0])["generation"], generation)
    equal("G15: room for less than there is", share(members[0], 0)["count"], 1)
    fails("I1: flags of GET_SHARE", errno.EINVAL, share, members[0], 1, 1)
    lines = read_all(*members)
    equal("G3: each record is read by one of them", sorted(lines), sorted(b"r%d.0" % i for i in range(6)))
    kbroker("topic", "alter", "g3", "--partitions", "12")
    produce(f"{DEV}/g3/11", b"new")
    equal("G16: what is added is shared out, too", read_all(*members), [b"new"])
    equal("G16: evenly", [share(fd)["count"] for fd in members], [2] * 6)
    for fd in members:
        os.close(fd)


def counting():
    first = topic("g4")
    path = node("g4", "g")
    produce(first, b"one", b"two", b"three", b"four")
    fd = os.open(path, NONBLOCK)
    set_format(fd, RECORD)
    os.read(fd, 4096)
    equal("G4: what a read returned does not count yet", counted(fd, 1), [0])
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(0)
    equal("G4: poll() counts nothing", counted(fd, 1), [0])
    next_(fd)
    equal("G14: nor does NEXT", counted(fd, 1), [0])
    os.read(fd, 4096)
    equal("G4: it counts when the open reads again", counted(fd, 1), [1])
    commit(fd)
    equal("G4: or by COMMIT", counted(fd, 1), [2])
    os.read(fd, 4096)
    os.fsync(fd)
    equal("G4: or by fsync()", counted(fd, 1), [3])
    os.read(fd, 4096)
    fails("P8: the end", errno.EAGAIN, os.read, fd, 4096)
    equal("G4: a read that finds nothing counts, too", counted(fd, 1), [4])
    fails("G14: lseek()", errno.ESPIPE, os.lseek, fd, 0, os.SEEK_SET)
    fails("G14: to the end", errno.ESPIPE, os.lseek, fd, 0, os.SEEK_END)
    fails("G14: SEEK_TIME", errno.ESPIPE, seek_time, fd, 0)
    fails("G14: a partition that is not there", errno.EINVAL, position, fd, 1)
    produce(first, b"five")
    equal("G14: NEXT tells what comes", next_(fd)[:2], (0, 4))
    os.close(fd)
    fd = os.open(path, NONBLOCK)
    equal("G11: a later member begins where the group stands", os.read(fd, 100), b"five\n")
    os.close(fd)
    fd = os.open(path, NONBLOCK)
    equal("G5: what was not counted comes again", os.read(fd, 100), b"five\n")
    os.close(fd)


def death():
    nodes = topic("g5", 4)
    path = node("g5", "g")
    fill(nodes, 2)

    def die_reading():
        fd = os.open(path, os.O_RDONLY)
        os.read(fd, 5)
        os.read(fd, 1 << 20)

    pid = child(die_reading)
    b = os.open(path, NONBLOCK)
    first = read_all(b)
    say(len(first) < 8, "G6: what is given out stays with its member")
    kill(pid)
    both = first + read_all(b)
    equal("G5: it goes to the others when that is killed", share(b)["count"], 4)
    # the first line was counted by the second read
    equal("G5: with all that it did not count", len(both), 7)
    equal("G5: and nothing twice", len(set(both)), 7)
    os.close(b)

    a = os.open(path, os.O_RDONLY)
    b = os.open(path, os.O_RDONLY)
    reader = Thread(os.read, b, 4096)
    reader.sleeps()
    mine = share(a)["partitions"]
    os.close(a)
    produce(nodes[mine[0]], b"for the successor")
    equal("G5: a sleeping successor reads it", reader.result(), b"for the successor\n")
    os.close(b)


def revocation():
    nodes = topic("g6", 2)
    path = node("g6", "g")
    fill(nodes, 3)
    a = os.open(path, os.O_RDONLY)
    set_format(a, RECORD)
    first = parse_record(os.read(a, 4096))
    b = os.open(path, NONBLOCK)
    equal("G6: a partition of which nothing is uncounted moves at once", share(b)["partitions"], [1 - first["partition"]])
    c = os.open(path, NONBLOCK)
    os.close(b)
    equal("G3: whoever stays has something", (share(a)["count"], share(c)["count"]), (1, 1))
    os.close(c)
    seen = {first["partition"]}
    while len(seen) < 2:
        seen.add(parse_record(os.read(a, 4096))["partition"])
    # one record is uncounted now; the other partition is free to go
    b = os.open(path, NONBLOCK)
    gone = share(b)["partitions"]
    os.close(b)
    equal("G6: and only that one", len(gone), 1)
    commit(a)
    reader = os.dup(a)

    def read_on():
        while parse_record(os.read(reader, 4096))["value"] != b"end":
            pass
    waiting = Thread(read_on)
    wait_for(lambda: counted(a, 2) == [3, 3])
    b = os.open(path, NONBLOCK)
    equal("G6: a member that waits gives up its partition", share(b)["count"], 1)
    fails("G6: nothing comes twice", errno.EAGAIN, os.read, b, 4096)
    os.close(b)
    produce(nodes[0], b"end")
    equal("G6: and reads on", waiting.result(), None)
    os.close(reader)
    os.close(a)

    # two partitions, both with something uncounted: COMMIT lets one go
    nodes = topic("g6b", 2)
    path = node("g6b", "g")
    fill(nodes, 1)
    a = os.open(path, NONBLOCK)
    os.read(a, 1 << 20)
    b = os.open(path, NONBLOCK)
    equal("G6: what is uncounted does not move", share(b)["count"], 0)
    commit(a)
    equal("G6: until it is counted", share(b)["count"], 1)
    equal("G6: nothing comes twice", read_all(a, b), [])
    os.close(a)
    os.close(b)


def formats():
    nodes = topic("g7", 2)
    path = node("g7", "g")
    produce(nodes[0], b"a long line of partition 0")
    a = os.open(path, NONBLOCK)
    equal("G7: a part of a line", os.read(a, 6), b"a long")
    commit(a)
    equal("G7: does not count", counted(a, 2), [0, 0])
    b = os.open(path, NONBLOCK)
    c = os.open(path, NONBLOCK)
    equal("G7: its partition stays", 0 in share(a)["partitions"], True)
    produce(nodes[1], b"other")
    equal("G7: it is finished first", os.read(a, 100)[:20], b" line of partition 0")
    equal("G7: not before it is read again", counted(a, 2)[0], 0)
    read_all(a, b, c)
    equal("G7: it counts once it was read to its end", counted(a, 2), [1, 1])
    for fd in (a, b, c):
        os.close(fd)

    first = topic("g8")
    path = node("g8", "g")
    fd = os.open(first, os.O_WRONLY)
    os.write(fd, b"1\n2\n3\n")
    os.write(fd, b"4\n5\n")
    os.close(fd)
    a = open_(path, NONBLOCK, BATCH)
    equal("G8: batches", parse_batches(os.read(a, 90)), [(0, 3)])
    equal("G8: one after the other", parse_batches(os.read(a, 4096)), [(3, 2)])
    equal("G8: count as a whole", counted(a, 1), [3])
    os.close(a)
    a = open_(path, NONBLOCK, RECORD)
    equal("G8: the formats share one position", parse_record(os.read(a, 4096))["offset"], 3)
    commit(a)
    os.close(a)
    a = open_(path, NONBLOCK, BATCH)
    equal("G8: a batch may begin before it", parse_batches(os.read(a, 4096)), [(3, 2)])
    commit(a)
    equal("G8: and counts to its end", counted(a, 1), [5])
    os.close(a)


def starts():
    first = topic("g10")
    path = node("g10", "g")
    produce(first, *[b"%d" % i for i in range(6)])
    kbroker("partition", "delete-records", "g10", "0", "--offset", "2")
    a = open_(path, NONBLOCK, RECORD)
    equal("G10: a new group begins at the log start", parse_record(os.read(a, 4096))["offset"], 2)
    commit(a)
    os.close(a)
    kbroker("partition", "delete-records", "g10", "0", "--offset", "5")
    a = open_(path, NONBLOCK, RECORD)
    equal("G10: an overtaken one goes on there", parse_record(os.read(a, 4096))["offset"], 5)
    equal("P9: what it missed is known", info(a)["lost"], 2)
    os.close(a)


def persistence():
    nodes = topic("g11", 2)
    path = node("g11", "g")
    fill(nodes, 5)
    a = open_(path, NONBLOCK, RECORD)
    got = [parse_record(os.read(a, 4096)) for _ in range(4)]
    commit(a)
    os.close(a)
    # and what is only counted, of another group
    b = open_(node("g11", "h"), os.O_RDONLY, RECORD)
    for _ in range(3):
        os.read(b, 4096)
    kbroker("broker", "stop")
    equal("G17: the broker stops: end of file", os.read(b, 4096), b"")
    fails("G17: nothing can be committed", errno.ENODEV, commit, b)
    os.close(b)
    kbroker("broker", "start", "--dir", DIR)
    a = os.open(path, NONBLOCK)
    left = read_all(a)
    equal("G11: a restarted broker knows what was committed", len(left), 6)
    say(not {b"r%d.%d" % (r["partition"], r["offset"]) for r in got} & set(left), "G11: exactly")
    os.close(a)
    b = os.open(node("g11", "h"), NONBLOCK)
    equal("G11: and what was counted before it stopped", len(read_all(b)), 8)
    os.close(b)


def sitting():
    nodes = topic("g13", 2)
    path = node("g13", "g")
    fill(nodes, 2)
    a = open_(path, NONBLOCK, RECORD)
    b = open_(path, NONBLOCK, RECORD)
    fails("I1: a limit beyond all reason", errno.EINVAL, set_max_poll, a, 1 << 40)
    set_max_poll(a, 20)
    rec = parse_record(os.read(a, 4096))
    say(wait_for(lambda: share(b)["count"] == 2), "G13: who sits on records for too long loses its partitions")
    equal("G13: all of them", share(a)["count"], 0)
    fails("G13: it hears of it", errno.ESTALE, os.read, a, 4096)
    again = []
    for fd in (b, a) * 6:
        try:
            again.append(parse_record(os.read(fd, 4096)))
        except BlockingIOError:
            pass
    equal("G13: what it had is read again", sorted((r["partition"], r["offset"]) for r in again), [(0, 0), (0, 1), (1, 0), (1, 1)])
    equal("G13: it is a member as before", share(a)["count"], 1)
    say(rec["offset"] == 0, "G13: and had read something")
    produce(nodes[share(a)["partitions"][0]], b"x")
    os.read(a, 4096)
    say(wait_for(lambda: share(b)["count"] == 2), "G13: again")
    fails("G13: COMMIT says so, too", errno.ESTALE, commit, a)
    commit(a)
    say(True, "G13: once")
    os.close(a)
    set_format(b, LINES)
    read_all(b)
    set_max_poll(b, 20)
    time.sleep(0.1)
    equal("G13: one that waits sits on nothing", share(b)["count"], 2)
    produce(nodes[0], b"line")
    os.read(b, 2)
    say(wait_for(lambda: share(b)["count"] == 0), "G13: a part of a line is sat on, too")
    equal("G13: lines go on: the line is finished, and comes again", os.read(b, 100), b"ne\nline\n")
    os.close(b)


def gone():
    nodes = topic("g17", 2)
    path = node("g17", "g")
    a = os.open(path, os.O_RDONLY)
    b = os.open(path, os.O_RDONLY)
    c = os.open(path, os.O_RDONLY)
    readers = [Thread(os.read, fd, 100) for fd in (a, b, c)]
    for reader in readers:
        reader.sleeps()
    kbroker("topic", "delete", "g17")
    equal("G17: the topic is deleted: end of file for all", [r.result() for r in readers], [b""] * 3)
    fails("G17: nothing can be committed", errno.ENODEV, commit, a)
    fails("N10: nor be opened", {errno.ENXIO, errno.ENOENT}, os.open, path, os.O_RDONLY)
    poll = select.poll()
    poll.register(a, select.POLLIN)
    say(poll.poll(0)[0][1] & select.POLLHUP, "W13: POLLHUP")
    topic("g17", 2)
    d = os.open(path, NONBLOCK)
    equal("G17: a new topic of that name begins anew", (share(d)["members"], counted(d, 2)), (1, [0, 0]))
    for fd in (a, b, c, d):
        os.close(fd)


def threads():
    first = topic("g18")
    path = node("g18", "g")
    produce(first, *[b"%d" % i for i in range(4)])
    a = open_(path, os.O_RDONLY, RECORD)
    copy = os.dup(a)
    os.read(a, 4096)
    os.read(copy, 4096)
    equal("G18: dup() shares the member", (share(copy)["members"], counted(a, 1)), (1, [1]))
    pid = child(lambda: os.read(copy, 4096))
    equal("G18: so does fork()", (share(a)["members"], counted(a, 1)), (1, [2]))
    os.close(copy)
    kill(pid)
    equal("G18: who is a member until the last close", share(a)["members"], 1)
    os.read(a, 4096)
    waiting = Thread(os.read, a, 4096)
    waiting.sleeps()
    equal("G18: a thread's read counts what others read", counted(a, 1), [4])
    produce(first, b"4")
    equal("G18: and gets what comes", parse_record(waiting.result())["value"], b"4")
    os.close(a)


def waiting():
    nodes = topic("g9", 2)
    path = node("g9", "g")
    a = os.open(path, os.O_RDONLY)
    b = os.open(path, os.O_RDONLY)
    epoll = select.epoll()
    epoll.register(a, select.EPOLLIN)
    epoll.register(b, select.EPOLLIN)
    equal("W13: nothing to read", epoll.poll(0), [])
    where = {a: share(a)["partitions"][0], b: share(b)["partitions"][0]}
    produce(nodes[where[b]], b"x")
    equal("W13: only the owner of the partition hears of it", [fd for fd, _ in epoll.poll(60)], [b])
    equal("W13: and has it", os.read(b, 100), b"x\n")
    produce(nodes[where[b]], b"y")
    os.close(b)
    equal("W13: a successor hears of what it inherits", [fd for fd, _ in epoll.poll(60)], [a])
    equal("G5: which is what was not counted", sorted(os.read(a, 100).splitlines()), [b"x", b"y"])
    fails("G4: counted", errno.EAGAIN, os.preadv, a, [bytearray(100)], -1, os.RWF_NOWAIT)
    equal("W13: nothing is left", epoll.poll(0), [])
    c = os.open(path, NONBLOCK)
    equal("W13: what was given away is not read any more", epoll.poll(0), [])
    produce(nodes[share(c)["partitions"][0]], b"z")
    equal("W13: also when it has records", epoll.poll(0), [])
    equal("G6: the other has it", os.read(c, 100), b"z\n")

    out, into = os.pipe()
    produce(nodes[share(a)["partitions"][0]], b"spliced")
    equal("W15: splice()", os.splice(a, into, 4096) if hasattr(os, "splice") else os.write(into, os.read(a, 100)), 8)
    equal("W15: to a pipe", os.read(out, 100), b"spliced\n")
    os.set_blocking(a, False)
    fails("W15: at the end", errno.EAGAIN, os.splice if hasattr(os, "splice") else os.read, *((a, into, 100) if hasattr(os, "splice") else (a, 100)))
    equal("G4: it counts what it spliced", counted(a, 2)[share(a)["partitions"][0]] > 0, True)
    for fd in (a, c, out, into):
        os.close(fd)


def many():
    """100 members, and one more: the others read what they keep as if nothing had happened."""
    nodes = topic("g100", 200, "flush.policy=async")
    path = node("g100", "g")
    members = [os.open(path, NONBLOCK) for _ in range(100)]
    before = [set(share(fd)["partitions"]) for fd in members]
    equal("G3: 100 members share 200 partitions", [len(s) for s in before], [2] * 100)
    fill(nodes, 1)
    newcomer = os.open(path, NONBLOCK)
    moved = share(newcomer)["partitions"]
    equal("G3: one more gets as little as is even", len(moved), 1)
    missed = []
    for fd, had in zip(members, before):
        kept = had - set(moved)
        try:
            lines = os.read(fd, 1 << 16).splitlines()
        except BlockingIOError:
            lines = []
        if sorted(lines) != sorted(b"r%d.0" % i for i in kept):
            missed.append((kept, lines))
    equal("G3: the others miss no read", missed, [])
    equal("G6: what moved is read by the newcomer", os.read(newcomer, 100), b"r%d.0\n" % moved[0])
    for fd in members + [newcomer]:
        os.close(fd)


def shown():
    nodes = topic("g0", 2)
    path = node("g0", "g")
    a = os.open(path, NONBLOCK)
    b = os.open(path, NONBLOCK)
    readers = [kbroker("--json", "partition", "describe", "g0", str(i)) for i in range(2)]
    equal("P9: partition describe shows who reads it, and nobody else", [r.count('"command"') for r in readers], [1, 1])
    os.close(a)
    os.close(b)
    del nodes


def main():
    nodes_of_groups()
    join_by_ioctl()
    sharing()
    counting()
    death()
    revocation()
    formats()
    starts()
    sitting()
    gone()
    threads()
    waiting()
    many()
    shown()
    persistence()


run(main)
