#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Writes, waiting, signals, poll, splice: W1 to W17 of the ABI text."""
import ctypes
import socket
from device_lib import *

libc = ctypes.CDLL(None, use_errno=True)
libc.splice.restype = ctypes.c_ssize_t
SPLICE_F_NONBLOCK = 2


def splice(fd_in, fd_out, count, flags=0):
    done = libc.splice(fd_in, None, fd_out, None, ctypes.c_size_t(count), flags)
    if done < 0:
        raise OSError(ctypes.get_errno(), "splice")
    return done


def acks():
    node = topic("w1")
    fd = os.open(node, os.O_WRONLY)
    for i in range(20):
        os.write(fd, b"%d\n" % i)
        got = position(fd)
        if not got["high_watermark"] == got["synced_end"] == got["log_end"] == i + 1:
            say(False, f"W1: synced and committed when write() returns ({got})")
            break
    else:
        say(True, "W1: synced and committed when write() returns")
    for number in (0, 1):
        set_acks(fd, number)
        os.write(fd, b"acks %d\n" % number)
        say(position(fd)["log_end"] == 21 + number, f"W1: acks {number} appends")
    os.fsync(fd)
    equal("W3: fsync() waits for all of it", position(fd)["synced_end"], 22)
    os.close(fd)

    node = topic("w2", 1, "flush.policy=async")
    fd = os.open(node, os.O_WRONLY)
    os.write(fd, b"async\n")
    equal("W1: flush.policy=async: committed at once", position(fd)["high_watermark"], 1)
    os.fsync(fd)
    equal("W3: fsync() waits for the disk all the same", position(fd)["synced_end"], 1)
    os.close(fd)
    fd = os.open(node, os.O_WRONLY | os.O_DSYNC)
    set_acks(fd, 1)
    os.write(fd, b"dsync\n")
    equal("W2: O_DSYNC waits for the disk, whatever acks and topic say", position(fd)["synced_end"], 2)
    os.close(fd)
    fd = os.open(node, os.O_WRONLY)
    os.pwritev(fd, [b"rwf\n"], -1, os.RWF_DSYNC)
    equal("W2: RWF_DSYNC, too", position(fd)["synced_end"], 3)
    os.close(fd)
    fd = os.open(node, os.O_RDONLY)
    os.fsync(fd)
    say(True, "W3: fsync() of an open for reading has nothing to wait for")
    os.close(fd)

    fd = os.open(node, os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
    os.write(fd, b"kept\n")
    equal("W17: O_TRUNC and O_APPEND change nothing", lines_of(node), b"async\ndsync\nrwf\nkept\n")
    os.close(fd)
    kbroker("topic", "create", "w3", "--partitions", "1")
    fd = os.open(f"{DEV}/w3/0", os.O_WRONLY)
    equal("W10: nothing written yet", last_write(fd), (-1, 0, -1, -1))
    os.write(fd, b"1\n2\n3\n")
    equal("W10: LAST_WRITE", last_write(fd), (0, 3, 0, -1))
    os.close(fd)


def nonblocking():
    node = topic("w4")
    fd = os.open(node, os.O_WRONLY | os.O_NONBLOCK)
    equal("W5: O_NONBLOCK returns the count", os.write(fd, b"a\nb\n"), 4)
    os.fsync(fd)
    equal("W5: fsync() waits for it", position(fd)["synced_end"], 2)
    os.close(fd)
    fd = os.open(node, os.O_WRONLY)
    equal("W5: RWF_NOWAIT, too", os.pwritev(fd, [b"c\n"], -1, 8), 2)    # RWF_NOWAIT
    os.fsync(fd)
    equal("W5: all is there", lines_of(node), b"a\nb\nc\n")
    os.close(fd)


def signals():
    node = topic("w5")
    hits = []
    signal.signal(signal.SIGUSR1, lambda *a: hits.append(1))
    fd = os.open(node, os.O_RDONLY)
    # A reader in a process of its own, without restart: EINTR is to be seen.
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        class Stop(Exception):
            pass

        def stop(*_):
            raise Stop

        signal.signal(signal.SIGUSR1, stop)
        os.write(into, b"r")
        try:
            os.read(fd, 100)
            os._exit(1)
        except Stop:
            os._exit(0)
    os.read(out, 1)
    wait_for(lambda: open(f"/proc/{pid}/stat", encoding="ascii").read().split()[2] == "S")
    os.kill(pid, signal.SIGUSR1)
    equal("W12: a signal ends a blocked read()", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        os.read(fd, 100)
        os._exit(0)
    wait_for(lambda: open(f"/proc/{pid}/stat", encoding="ascii").read().split()[2] == "S")
    os.kill(pid, signal.SIGKILL)
    equal("W12: SIGKILL, too", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), -9)
    os.close(fd)

    # writes under a storm of signals: each is whole, once, and its count is true
    fd = os.open(node, os.O_WRONLY)
    pid = os.fork()
    if pid == 0:
        while True:
            os.kill(os.getppid(), signal.SIGUSR1)
            time.sleep(0.0005)
    wait_for(lambda: hits)
    wanted = []
    for i in range(300):
        line = b"%d %s\n" % (i, b"s" * (i * 37 % 3000))
        equal_count = os.write(fd, line)
        wanted.append(line)
        if equal_count != len(line):
            say(False, "W4: a write under signals is whole")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(fd)
    equal(f"W4: 300 writes under {len(hits)} signals: each once, in order", lines_of(node), b"".join(wanted))
    say(hits, "W4: there were signals")


def writers():
    node = topic("w6")
    fd = os.open(node, os.O_WRONLY)
    set_acks(fd, 1)

    def write_some(name):
        for i in range(200):
            data = b"".join(b"%s %d %d %s\n" % (name, i, j, name * 50) for j in range(1 + i % 5))
            if os.write(fd, data) != len(data):
                return "short"
        return "done"

    workers = [Thread(write_some, name) for name in (b"A", b"B", b"C", b"D")]
    equal("W11: four threads write through one open", [w.result() for w in workers], ["done"] * 4)
    os.fsync(fd)
    os.close(fd)
    reader = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    seen = {}
    good = True
    while True:
        try:
            value = parse_record(os.read(reader, 65536))["value"]
        except BlockingIOError:
            break
        name, i, j, tail = value.split()
        good = good and tail == name * 50 and (int(i), int(j)) > seen.get(name, (-1, -1))
        seen[name] = (int(i), int(j))
    say(good and len(seen) == 4 and all(v == (199, 4) for v in seen.values()), "W11: no line is mixed, each thread's are in order")
    os.close(reader)


def polling():
    node = topic("w7")
    reader = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(node, os.O_WRONLY)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    equal("W13: nothing to read", poll.poll(0), [])
    waiter = Thread(lambda: [e for _, e in poll.poll(60000)])
    waiter.sleeps()
    os.write(writer, b"x\ny\n")
    equal("W13: poll() wakes up", waiter.result(), [select.POLLIN])
    os.read(reader, 2)
    equal("W13: there is more", [e for _, e in poll.poll(0)], [select.POLLIN])
    os.read(reader, 100)
    equal("W13: all was read", poll.poll(0), [])
    equal("W13: select() of a writer", select.select([], [writer], [], 0)[1], [writer])
    epoll = select.epoll()
    epoll.register(reader, select.EPOLLIN | select.EPOLLET)
    waiter = Thread(lambda: [e & select.EPOLLIN for _, e in epoll.poll(60)])
    waiter.sleeps()
    os.write(writer, b"z\n")
    equal("W13: epoll, edge-triggered", waiter.result(), [select.EPOLLIN])
    equal("W13: once", epoll.poll(0.05), [])
    os.write(writer, b"z\n")
    equal("W13: and again with the next record", len(epoll.poll(60)), 1)
    epoll.close()

    # each open has a position of its own: one that is woken does not read for the others
    opens = [os.open(node, os.O_RDONLY) for _ in range(3)]
    waiters = []
    for fd in opens:
        os.lseek(fd, 0, os.SEEK_END)
        epoll = select.epoll()
        epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        waiters.append(Thread(epoll.poll, 60))
        waiters[-1].sleeps()
    os.write(writer, b"z\n")
    equal("W13: EPOLLEXCLUSIVE wakes each open", [waiter.result() for waiter in waiters], [[(fd, select.EPOLLIN)] for fd in opens])
    for fd in opens + [reader, writer]:
        os.close(fd)


def splicing():
    node = topic("w8")
    writer = os.open(node, os.O_WRONLY)
    text = b"".join(b"spliced %d\n" % i for i in range(5000))
    out, into = os.pipe()
    at = sent = 0
    while sent < len(text):
        if at < len(text):
            at += os.write(into, text[at:at + 30000])
        sent += splice(out, writer, 1 << 20, SPLICE_F_NONBLOCK)
    os.close(writer)
    say(wait_for(lambda: lines_of(node) == text), "W15: splice() from a pipe to the device")
    reader = os.open(node, os.O_RDONLY)
    got = b""
    while len(got) < len(text):
        count = splice(reader, into, 65536)
        got += os.read(out, count)
    equal("W15: splice() from the device to a pipe", got, text)
    fails("W15: at the end, with SPLICE_F_NONBLOCK", errno.EAGAIN, splice, reader, into, 65536, SPLICE_F_NONBLOCK)
    waiter = Thread(splice, reader, into, 65536)
    waiter.sleeps()
    os.set_blocking(out, False)
    other = Thread(os.read, out, 100)
    equal("W16: a reader that waits in splice() does not keep others from the pipe", other.result(), "EAGAIN")
    os.write(into, b"by another")
    writer = os.open(node, os.O_WRONLY)
    os.write(writer, b"late\n")
    equal("W16: and gets its record", waiter.result(), 5)
    equal("W16: behind what others wrote", os.read(out, 100), b"by anotherlate\n")

    # two readers of one open, one record at a time: who comes too late waits without its pipe, too
    pipes = [os.pipe() for _ in range(2)]
    for end, _ in pipes:
        os.set_blocking(end, False)

    def follow(end):
        while True:
            splice(reader, end, 65536)
    followers = [Thread(follow, pipe[1]) for pipe in pipes]
    free = 0
    for number in range(40):
        os.write(writer, b"%03d\n" % number)
        free += sum(Thread(os.write, pipe[1], b"free").result(5) == 4 for pipe in pipes)
        got = b""
        while len(got) < 12 and wait_for(lambda: select.select([pipe[0] for pipe in pipes], [], [], 0)[0]):
            got += b"".join(os.read(pipe[0], 100) for pipe in pipes if select.select([pipe[0]], [], [], 0)[0])
    equal("W16: nor does one whose record another reader of the open took", free, 80)
    for follower, pipe in zip(followers, pipes):
        os.close(pipe[0])
    os.write(writer, b"end\n")
    equal("W15: a pipe that nobody reads", wait_for(lambda: not any(f.is_alive() for f in followers)) and [f.result() for f in followers], ["EPIPE"] * 2)
    for pipe in pipes:
        os.close(pipe[1])

    sock, peer = socket.socketpair()
    os.lseek(reader, 0, os.SEEK_SET)
    fails("W15: sendfile() from the device", errno.EINVAL, os.sendfile, sock.fileno(), reader, None, 1000)
    fails("W15: with an offset", (errno.EINVAL, errno.ESPIPE), os.sendfile, sock.fileno(), reader, 0, 1000)
    equal("W15: reads nothing", position(reader)["position"], 0)
    with open("/run/device-sendfile", "wb") as source:
        source.write(b"by sendfile\n" * 10000)
    with open("/run/device-sendfile", "rb") as source:
        left = 120000
        while left:
            left -= os.sendfile(writer, source.fileno(), None, left)
    os.unlink("/run/device-sendfile")
    equal("W15: sendfile() to the device", lines_of(node)[len(text) + 5 + 41 * 4:], b"by sendfile\n" * 10000)
    for fd in (reader, writer, out, into):
        os.close(fd)


def main():
    acks()
    nonblocking()
    signals()
    writers()
    polling()
    splicing()


run(main)
