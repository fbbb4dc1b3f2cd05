#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
"""Writes that wait for a disk: W1 to W9 of Documentation/ABI/testing/dev-kbroker.

The broker's disk is a device-mapper device that is suspended: what was written
to it stays on the way until it is resumed, so that everything in between can be
looked at in peace.
"""
import contextlib
import ctypes
from device_lib import *

IMAGE, MOUNT, NAME = "/run/spec-waits.img", "/run/spec-waits", "spec-waits"


def sh(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout.decode(errors='replace').strip()}")
    return done.stdout.decode().strip()


def disk():
    """The file system of a disk that can be held; whether there is one."""
    os.environ["DM_DISABLE_UDEV"] = "1"
    try:
        sh("modprobe", "-a", "loop", "dm-mod")
    except (OSError, RuntimeError):
        return False
    with open(IMAGE, "wb") as image:
        image.truncate(128 << 20)
    loop = sh("losetup", "--show", "-f", IMAGE)
    sh("dmsetup", "create", NAME, "--table", f"0 {(128 << 20) // 512} linear {loop} 0")
    sh("mkfs.ext4", "-q", "-F", f"/dev/mapper/{NAME}")
    os.makedirs(MOUNT, exist_ok=True)
    sh("mount", f"/dev/mapper/{NAME}", MOUNT)
    os.mkdir(f"{MOUNT}/dir")
    return True


def disk_end():
    for argv in (("umount", MOUNT), ("dmsetup", "remove", NAME), ("losetup", "-D")):
        subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    with contextlib.suppress(OSError):
        os.rmdir(MOUNT)
        os.unlink(IMAGE)


@contextlib.contextmanager
def held():
    """Nothing reaches the disk meanwhile."""
    sh("dmsetup", "suspend", "--nolockfs", "--noflush", NAME)
    try:
        yield
    finally:
        sh("dmsetup", "resume", NAME)


def child(function):
    pid = os.fork()
    if not pid:
        try:
            function()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
    return pid


def end(pid):
    """Its exit status, or minus the signal; None if it goes on for a minute."""
    status = []

    def look():
        found, code = os.waitpid(pid, os.WNOHANG)
        if found:
            status.append(os.waitstatus_to_exitcode(code))
        return status
    wait_for(look)
    return status[0] if status else None


def ends(fd):
    at = position(fd)
    return at["log_end"], at["high_watermark"]


def waiting(node):
    """Writes that wait for the disk: W1, W3, W4, P7, P8."""
    writer, watch, reader = os.open(node, os.O_WRONLY), os.open(node, os.O_RDONLY), os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    os.write(writer, b"first\n")
    os.read(reader, 99)
    os.lseek(watch, 0, os.SEEK_END)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    with held():
        write = Thread(os.write, writer, b"second\n")
        say(wait_for(lambda: ends(reader) == (2, 1)), "W1 a write appends, and is not committed before the disk has it")
        for _ in range(20):
            signal.pthread_kill(write.ident, signal.SIGUSR1)
            write.join(0.02)
        equal("W4 after the append only a fatal signal ends the wait", write.is_alive(), True)
        fails("P7 only records below the high watermark can be read", errno.EAGAIN, os.read, reader, 99)
        equal("P3 nor be gone to", os.lseek(reader, 2, os.SEEK_SET), 1)
        poller = select.poll()
        poller.register(reader, select.POLLIN)
        equal("W13 POLLIN is for what is below the high watermark", poller.poll(0), [])
        read = Thread(os.read, watch, 99)
        say(read.sleeps() and read.is_alive(), "P8 read() waits for it to be committed")
    equal("W1 then it returns", (write.result(), read.result(), ends(reader)), (7, b"second\n", (2, 2)))
    with held():
        pid = child(lambda: os.write(writer, b"third\n"))
        wait_for(lambda: ends(reader) == (3, 2))
        os.kill(pid, signal.SIGKILL)
        equal("W4 a fatal signal ends the wait, before the disk answers", end(pid), -signal.SIGKILL)
    say(wait_for(lambda: ends(reader) == (3, 3)), "W4 and the batch stays")
    with held():
        begun = time.monotonic()
        for acks in (1, 0):
            set_acks(writer, acks)
            os.write(writer, b"not waited for\n")
        say(ends(reader) == (5, 3) and time.monotonic() - begun < 60, "W1 with 1 it returns after the append, and so it does with 0")
        synced = os.open(node, os.O_WRONLY | os.O_DSYNC)
        set_acks(synced, 0)
        sync, write = Thread(os.fsync, writer), Thread(os.write, synced, b"O_DSYNC\n")
        wait_for(lambda: ends(reader)[0] == 6)
        equal("W2 with O_DSYNC a write also waits, whatever the acks", write.sleeps() and write.is_alive(), True)
        equal("W3 fsync() waits until everything written through this open is on stable storage", sync.sleeps() and sync.is_alive(), True)
    equal("W2, W3 until the disk has it", (write.result(), sync.result()), (8, None))
    for fd in (writer, watch, reader, synced):
        os.close(fd)


def not_waiting(node):
    """O_NONBLOCK and O_DSYNC where nothing goes on: W5, W13."""
    writer, reader = os.open(node, os.O_WRONLY | os.O_NONBLOCK), os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    start = ends(reader)[0]
    line = b"x" * 65535 + b"\n"
    poller = select.poll()
    poller.register(writer, select.POLLOUT)
    with held():
        equal("W5 with O_NONBLOCK it returns its count at once", os.write(writer, line), len(line))
        equal("W5 though it is not committed", ends(reader), (start + 1, start))
        synced = os.open(node, os.O_WRONLY | os.O_NONBLOCK | os.O_SYNC)
        equal("W2 with O_NONBLOCK an O_SYNC write returns at once, too", os.write(synced, line), len(line))
        equal("W2 though it is not on stable storage", ends(reader), (start + 2, start))
        sync = Thread(os.fsync, synced)
        equal("W2 fsync() waits until it is", sync.sleeps() and sync.is_alive(), True)
        count, refused = 2, 0
        while not refused and count < 10000:
            try:
                os.write(writer, line)
                count += 1
            except BlockingIOError:
                refused = 1
        equal("W5 EAGAIN if it would have to wait before the append, and nothing was appended", (refused, ends(reader)[0]), (1, start + count))
        equal("W13 POLLOUT when a write would not wait before its append: not now", poller.poll(0), [])
        blocking = os.open(node, os.O_WRONLY)
        fails("W5 RWF_NOWAIT, too", errno.EAGAIN, os.pwritev, blocking, [line], -1, os.RWF_NOWAIT)
        hits = []
        signal.signal(signal.SIGUSR1, lambda *_: hits.append(1))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.write.restype = ctypes.c_ssize_t

        def plain_write():
            if libc.write(blocking, line, ctypes.c_size_t(len(line))) < 0:
                raise OSError(ctypes.get_errno(), "write")
        write = Thread(plain_write)
        write.sleeps()
        while write.is_alive() and len(hits) < 1000:
            signal.pthread_kill(write.ident, signal.SIGUSR1)
            write.join(0.05)
        equal("W4 before the append a signal ends the write (EINTR), and nothing happened", (write.result(), ends(reader)[0]), ("EINTR", start + count))
        woken = Thread(poller.poll, 60000)
    equal("W13 once there is room", [e for _, e in woken.result()], [select.POLLOUT])
    equal("W2 and says so", sync.result(), None)
    equal("W5 fsync() says that all is well", os.fsync(writer), None)
    equal("W5 all that was counted is there", ends(reader), (start + count, start + count))
    for fd in (writer, reader, blocking, synced):
        os.close(fd)


def late(node):
    """W7 and W9: not committed in time."""
    writer, reader = os.open(node, os.O_WRONLY), os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    with held():
        fails("W7 ETIMEDOUT: not committed within delivery.timeout.ms", errno.ETIMEDOUT, os.write, writer, b"in time?\nunfinished")
        fails("W7 fsync(), too", errno.ETIMEDOUT, os.fsync, writer)
    say(wait_for(lambda: ends(reader) == (1, 1)), "W7 the records may still become committed")
    equal("W9 an unfinished line at the end is dropped", os.write(writer, b"anew\n"), 5)
    equal("W9 so all of it can be written again", drain(reader), b"in time?\nanew\n")
    equal("W3 fsync() is well again", os.fsync(writer), None)
    os.close(writer)
    os.close(reader)
    kbroker("topic", "create", "isr", "--partitions", "1", "--config", "min.insync.replicas=2")
    writer = os.open(f"{DEV}/isr/0", os.O_WRONLY)
    fails("W6 fewer replicas in sync than min.insync.replicas: ENOLINK", errno.ENOLINK, os.write, writer, b"x\n")
    equal("W6 nothing was appended", position(writer)["log_end"], 0)
    set_acks(writer, 1)
    equal("W6 acks 1 do not care", os.write(writer, b"x\n"), 2)
    os.close(writer)


def main():
    kbroker("broker", "stop")
    kbroker("broker", "start", "--dir", f"{MOUNT}/dir", "--config", "log.unsynced.bytes.max=4194304")
    waiting(topic("w"))
    not_waiting(topic("n"))
    late(topic("l", 1, "delivery.timeout.ms=1000"))
    kbroker("broker", "stop")
    disk_end()


if not disk():
    print("1..0 # SKIP this kernel has no device mapper")
    sys.exit(0)
run(main)
