#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
"""Documentation/ABI/testing/dev-kbroker, sentence by sentence.

Written from the text alone: a check's name quotes the sentence in short. The
other device tests know how the module works, this one doesn't.
KBROKER_SPEC_LONG makes it try more of everything (spec_long.sh).
"""
import ctypes
import json
import mmap
import random
import stat
import nlclient
from device_lib import *

LONG = bool(os.environ.get("KBROKER_SPEC_LONG"))
CLONE_NEWUSER = 0x10000000
HEAD = 61       # bytes of a v2 batch before its records
libc = ctypes.CDLL(None, use_errno=True)
libc.read.restype = libc.write.restype = ctypes.c_ssize_t
libc.read.argtypes = libc.write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


# --- helpers ------------------------------------------------------------------

def raw(function, fd, address, size):
    """read() or write() with any pointer, and without Python's retry on EINTR."""
    got = function(fd, address, size)
    if got < 0:
        raise OSError(ctypes.get_errno(), function.__name__)
    return got


def code_of(function, *args):
    """0, or the name of the errno that function fails with."""
    try:
        function(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return 0


def as_user(function, uid=1000, groups=(), gid=1000, prepare=None):
    """0 or the errno's name of function() in a process of that user."""
    pid = os.fork()
    if not pid:
        status = 255
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            if prepare:
                prepare()
            else:
                os.setresuid(uid, uid, uid)
            function()
            status = 0
        except OSError as error:
            status = error.errno
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return errno.errorcode.get(status, status)


def child(function):
    """A process that does it, and then exits with status 0."""
    pid = os.fork()
    if not pid:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def opened(path, flags=os.O_RDONLY):
    os.close(os.open(path, flags))


def send(node, *batches):
    fd = open_(node, os.O_WRONLY, BATCH)
    try:
        return os.write(fd, b"".join(batches))
    finally:
        os.close(fd)


def put(node, text):
    fd = os.open(node, os.O_WRONLY)
    try:
        return os.write(fd, text)
    finally:
        os.close(fd)


def make_record(delta, value, key=None, headers=(), ts=0):
    body = b"\0" + varint(ts) + varint(delta)
    for part in (key, value):
        body += varint(-1) if part is None else varint(len(part)) + part
    body += varint(len(headers))
    for name, content in headers:
        body += varint(len(name)) + name
        body += varint(-1) if content is None else varint(len(content)) + content
    return varint(len(body)) + body


def make_batch(records, count, base_ts, max_ts, base=0, attributes=0, producer=(-1, -1, -1), epoch=-1):
    tail = struct.pack(">hiqqqhii", attributes, count - 1, base_ts, max_ts, *producer, count) + records
    return struct.pack(">qiibI", base, 9 + len(tail), epoch, 2, crc32c(tail)) + tail


def timed_batch(times, size=1):
    """Records with these timestamps."""
    body = b"".join(make_record(i, b"t" * size, ts=t - times[0]) for i, t in enumerate(times))
    return make_batch(body, len(times), times[0], max(times))


def read_all_batches(node, size=1 << 20):
    fd = open_(node, os.O_RDONLY | os.O_NONBLOCK, BATCH)
    try:
        return drain(fd)
    finally:
        os.close(fd)


def find(tree, name):
    """All values of @name anywhere in parsed JSON."""
    if isinstance(tree, dict):
        return [v for k, v in tree.items() if k == name] + [x for v in tree.values() for x in find(v, name)]
    if isinstance(tree, list):
        return [x for v in tree for x in find(v, name)]
    return []


def delete_records(topic_, partition, offset):
    kbroker("partition", "delete-records", topic_, str(partition), "--offset", str(offset))


def end_of(node):
    fd = os.open(node, os.O_RDONLY)
    try:
        return position(fd)["log_end"]
    finally:
        os.close(fd)


def closed_with(node, text, how):
    """A child writes @text and ends by how(); afterwards what it wrote is settled."""
    def work():
        os.write(os.open(node, os.O_WRONLY), text)
        how()
    os.waitpid(child(work), 0)


def values_of(node, start=0):
    fd = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    os.lseek(fd, start, os.SEEK_SET)
    values = []
    try:
        while True:
            values.append(parse_record(os.read(fd, 1 << 20))["value"])
    except BlockingIOError:
        return values
    finally:
        os.close(fd)


# --- N: nodes and access ----------------------------------------------------------

def node_names():
    topic("n", 2)
    here = f"{DEV}/n"
    mounts = [line.split() for line in open("/proc/self/mountinfo", encoding="ascii")]
    shown = [m for m in mounts if m[4] == DEV]
    equal("N1 a file system of type \"kbroker\", the source is the broker's name",
          [(m[m.index("-") + 1], m[m.index("-") + 2]) for m in shown], [("kbroker", "kbroker")])
    os.makedirs("/run/spec-mnt", exist_ok=True)
    try:
        subprocess.run(("mount", "-t", "kbroker", "kbroker", "/run/spec-mnt"), check=True)
        same = [os.stat(f"{d}/n/{x}") for d in (DEV, "/run/spec-mnt") for x in ("0", "1", "all")]
        equal("N1 all mounts of one name show the same nodes",
              [(s.st_rdev, s.st_ino, s.st_dev) for s in same[:3]], [(s.st_rdev, s.st_ino, s.st_dev) for s in same[3:]])
        seen = subprocess.run(("unshare", "-m", "sh", "-c", "umount /run/spec-mnt; mount -t kbroker kbroker /run/spec-mnt; "
                               "ls /run/spec-mnt/n; stat -c %t:%T /run/spec-mnt/n/0"), stdout=subprocess.PIPE, check=False)
        equal("N1 in whatever mount namespace they are", seen.stdout.decode().split(),
              ["0", "1", "all", f"{os.major(same[0].st_rdev):x}:{os.minor(same[0].st_rdev):x}"])
        pinned = os.open("/run/spec-mnt/n", os.O_RDONLY)
        check = subprocess.run(("umount", "/run/spec-mnt"), stderr=subprocess.DEVNULL, check=False)
        say(check.returncode != 0, "N2 (a mount in use is an ordinary busy mount)")
        os.close(pinned)
    finally:
        subprocess.run(("umount", "/run/spec-mnt"), check=False)
    denied = subprocess.run(("unshare", "-rm", "mount", "-t", "kbroker", "kbroker", "/run/spec-mnt"),
                            stderr=subprocess.PIPE, check=False)
    say(denied.returncode != 0, "N2 only root of the initial user namespace can mount it")
    try:
        subprocess.run(("mount", "-t", "kbroker", "nobody-here", "/run/spec-mnt"), check=True)
        equal("N2 without a running broker the mount is empty", os.listdir("/run/spec-mnt"), [])
    finally:
        subprocess.run(("umount", "/run/spec-mnt"), check=False)
    os.rmdir("/run/spec-mnt")

    equal("N3 a directory for each topic, which has the nodes \"0\" to \"N-1\" and \"all\"",
          (sorted(os.listdir(DEV)), sorted(os.listdir(here))), (["n"], ["0", "1", "all"]))
    equal("N3 they are character devices", {stat.S_IFMT(os.lstat(f"{here}/{x}").st_mode) for x in os.listdir(here)}, {stat.S_IFCHR})
    for name in ("2", "00", "01", "-1", "+0", "0x0", " 0", "0 ", "4294967296", "18446744073709551616", "ALL", "al", "all ",
                 "@", "0\n", "x" * 255):
        fails(f"N3 no other name: {name[:24]!r}", errno.ENOENT, os.stat, f"{here}/{name}")
    fails("N3 nor one that is too long", {errno.ENOENT, errno.ENAMETOOLONG}, os.stat, f"{here}/{'x' * 256}")
    kbroker("topic", "alter", "n", "--partitions", "3")
    equal("N3 nodes come with partitions", sorted(os.listdir(here)), ["0", "1", "2", "all"])
    kbroker("topic", "create", "gone", "--partitions", "1")
    equal("N3 directories come with topics", sorted(os.listdir(DEV)), ["gone", "n"])
    old_rdev = os.stat(f"{DEV}/gone/0").st_rdev
    kept = os.open(f"{DEV}/gone/0", os.O_PATH)
    kept_all = os.open(f"{DEV}/gone/all", os.O_PATH)
    kept_dir = os.open(f"{DEV}/gone", os.O_RDONLY)
    kbroker("topic", "delete", "gone")
    equal("N3 and go with them", os.listdir(DEV), ["n"])
    fails("N3 and go with them: stat", errno.ENOENT, os.stat, f"{DEV}/gone/0")

    fails("N9 a node whose number is not in use is refused by open()", errno.ENXIO, with_node, old_rdev, opened)
    fails("N10 a node from before its topic was deleted", errno.ENXIO, opened, f"/proc/self/fd/{kept}")
    fails("N10 so is \"all\"", errno.ENXIO, opened, f"/proc/self/fd/{kept_all}")
    kbroker("topic", "create", "gone", "--partitions", "1")
    fails("N10 never another topic's, though of the same name", errno.ENXIO, opened, f"/proc/self/fd/{kept}")
    fails("N10 nor through the directory from before", {errno.ENOENT, errno.ENXIO}, lambda: os.open("0", os.O_RDONLY, dir_fd=kept_dir))
    for fd in (kept, kept_all, kept_dir):
        os.close(fd)
    majors = {os.major(os.stat(f"{DEV}/{x}").st_rdev) for x in ("n/0", "n/1", "n/all", "gone/0", "gone/all")}
    listed = [int(line.split()[0]) for line in open("/proc/devices", encoding="ascii") if line.split()[1:] == ["kbroker"]]
    equal("N9 all nodes have one major number (\"kbroker\" in /proc/devices)", majors, set(listed[:1]))
    minors = [os.stat(f"{DEV}/{x}").st_rdev for x in ("n/0", "n/1", "n/2", "n/all", "gone/0", "gone/all")]
    equal("N9 a minor number belongs to its partition", len(set(minors)), len(minors))
    fails("N9 a number that was never used", errno.ENXIO, with_node, os.makedev(max(majors), 0xfffff), opened)
    put(f"{here}/0", b"by number\n")
    equal("N7 every node with the device's numbers is the device",
          with_node(os.stat(f"{here}/0").st_rdev, lambda p: os.read(os.open(p, os.O_RDONLY), 99)), b"by number\n")
    equal("N11 a node's st_blksize is 64 KiB", {os.stat(f"{here}/{x}").st_blksize for x in ("0", "all")}, {65536})
    kbroker("topic", "delete", "gone")


def with_node(rdev, function, mode=0o777):
    path = "/run/spec-node"
    os.mknod(path, stat.S_IFCHR | mode, rdev)
    os.chmod(path, mode)
    try:
        return function(path)
    finally:
        os.unlink(path)


def node_changes():
    here = f"{DEV}/n"
    made = {errno.ENOENT, errno.EPERM}
    for where in (DEV, here):
        for name, call in (("open(O_CREAT)", lambda p: os.open(p, os.O_CREAT | os.O_WRONLY)),
                           ("open(O_CREAT | O_EXCL)", lambda p: os.open(p, os.O_CREAT | os.O_EXCL | os.O_RDWR)),
                           ("mkdir", os.mkdir), ("mkfifo", os.mkfifo), ("mknod", lambda p: os.mknod(p, stat.S_IFCHR | 0o666, 259)),
                           ("symlink", lambda p: os.symlink("n", p)), ("link", lambda p: os.link(f"{here}/0", p)),
                           ("rename", lambda p: os.rename(f"{here}/0", p))):
            fails(f"N4 a name that does not exist cannot be created: {name} in {where}", made, call, f"{where}/typo")
    for user in (0, 1000):
        equal(f"N4 so echo x > /dev/kbroker/typo/0 fails (ENOENT), for user {user}",
              as_user(lambda: os.open(f"{DEV}/typo/0", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), user), "ENOENT")
        equal(f"N4 and echo x > /dev/kbroker/n/9, for user {user}",
              as_user(lambda: os.open(f"{here}/9", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), user), "ENOENT")
    say(code_of(os.open, here, os.O_TMPFILE | os.O_RDWR), "N4 by no call: O_TMPFILE")
    for name, call in (("unlink", lambda: os.unlink(f"{here}/0")), ("rmdir", lambda: os.rmdir(here)),
                       ("rename onto another", lambda: os.rename(f"{here}/0", f"{here}/1")), ("unlink all", lambda: os.unlink(f"{here}/all"))):
        fails(f"N5 nothing can be removed or renamed: {name}", errno.EPERM, call)
    for name, call in (("chmod", lambda p: os.chmod(p, 0o777)), ("chown", lambda p: os.chown(p, 1, 1)), ("utimes", os.utime)):
        for path in (f"{here}/0", f"{here}/all", here, DEV):
            fails(f"N5 chmod, chown and utimes are refused: {name} {path}", errno.EPERM, call, path)
    fd = os.open(f"{here}/0", os.O_RDONLY)
    fails("N5 through an open, too: fchmod", errno.EPERM, os.fchmod, fd, 0o600)
    os.close(fd)


def node_access():
    kbroker("topic", "create", "acc", "--partitions", "1", "--mode", "0640", "--owner", "1000", "--group", "1001")
    node = f"{DEV}/acc/0"

    def seen(path):
        got = os.stat(path)
        return got.st_uid, got.st_gid, stat.S_IMODE(got.st_mode)

    equal("N6 a node shows the owner, group and mode of its topic", [seen(node), seen(f"{DEV}/acc/all")], [(1000, 1001, 0o640)] * 2)
    equal("N6 directories 0555, the root 0755", (seen(f"{DEV}/acc")[2], seen(DEV)[2]), (0o555, 0o755))
    equal("N6 readable by everybody", as_user(lambda: os.listdir(DEV) and os.listdir(f"{DEV}/acc")), 0)
    rdev = os.stat(node).st_rdev
    table = [   # mode, uid, gid, groups, read, write
        (0o640, 1000, 1000, (), 0, 0), (0o640, 1002, 1001, (), 0, "EACCES"), (0o640, 1002, 1002, (7, 1001), 0, "EACCES"),
        (0o640, 1002, 1002, (), "EACCES", "EACCES"), (0o206, 1000, 1000, (), "EACCES", 0), (0o206, 1002, 1001, (), "EACCES", "EACCES"),
        (0o206, 1002, 1002, (), 0, 0), (0o000, 1000, 1001, (1001,), "EACCES", "EACCES")]
    mode = 0o640
    for row in table if LONG else table[:4] + table[-1:]:
        if row[0] != mode:
            mode = row[0]
            kbroker("topic", "alter", "acc", "--mode", f"{mode:04o}")
            equal(f"N6 as they are now: {mode:04o}", seen(node), (1000, 1001, mode))
        for path in (node, f"{DEV}/acc/all"):
            got = tuple(as_user(lambda: opened(path, f), row[1], row[3], row[2]) for f in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR))
            both = "EACCES" if row[4] or row[5] else 0
            equal(f"N7 open() for reading, writing, both: {row[0]:04o} uid {row[1]} gid {row[2]} groups {row[3]} {path}",
                  got, (row[4], row[5], both))
        equal(f"N7 also a node made by mknod(1), whatever its mode: {row[0]:04o} uid {row[1]}",
              with_node(rdev, lambda p: as_user(lambda: opened(p), row[1], row[3], row[2])), row[4])
    equal("N7 capabilities: root may always", (code_of(opened, node), code_of(opened, node, os.O_WRONLY)), (0, 0))
    equal("N7 the opener's fsuid counts", as_user(lambda: opened(node), gid=0, prepare=lambda: libc.setfsuid(1000)), "EACCES")

    def in_user_namespace():
        os.setresuid(1002, 1002, 1002)
        if libc.unshare(CLONE_NEWUSER):
            raise OSError(errno.EACCES, "not in a chroot")      # then there is nothing to see
    equal("N7 capabilities in another user namespace are none", as_user(lambda: opened(node), gid=1002, prepare=in_user_namespace), "EACCES")
    kbroker("topic", "alter", "acc", "--mode", "0666")
    equal("N7 both must permit: a made node with mode 0",
          with_node(rdev, lambda p: as_user(lambda: opened(p)), 0), "EACCES")
    fd = os.open(node, os.O_RDWR)
    kbroker("topic", "alter", "acc", "--mode", "0000", "--owner", "1003")
    equal("N6 an open shows what is now, too", (os.fstat(fd).st_uid, stat.S_IMODE(os.fstat(fd).st_mode)), (1003, 0))

    def use():
        os.write(fd, b"still\n")
        os.read(fd, 10)
    equal("N7 later changes concern later opens only", as_user(use), 0)
    os.close(fd)
    kbroker("topic", "delete", "acc")

    made = subprocess.run(("kbroker", "topic", "create", "__in", "--partitions", "1", "--mode", "0666"), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if made.returncode:
        # text() of the topic's name says so; then there is none to look at
        say(b"__" in made.stdout, "N8 (a topic whose name begins with \"__\" cannot be created by hand)")
        return
    for path in (f"{DEV}/__in/0", f"{DEV}/__in/all"):
        equal(f"N8 can be read by root alone: {path}", (code_of(opened, path), as_user(lambda: opened(path))), (0, "EACCES"))
        equal(f"N8 written by nobody (EROFS): {path}", [code_of(opened, path, f) for f in (os.O_WRONLY, os.O_RDWR)], ["EROFS"] * 2)
        equal(f"N8 (EACCES for those whom the mode stops before): {path}", as_user(lambda: opened(path, os.O_WRONLY)), "EACCES")
        equal(f"N8 their nodes show mode 0400: {path}", stat.S_IMODE(os.stat(path).st_mode), 0o400)
        equal(f"N8 by number, too: {path}", with_node(os.stat(path).st_rdev, lambda p: as_user(lambda: opened(p, os.O_WRONLY))), "EROFS")
    kbroker("topic", "delete", "__in")


# --- F, L: lines -----------------------------------------------------------------

def lines_written():
    node = topic("l", 1, "max.message.bytes=1000")
    fd = os.open(node, os.O_RDWR)
    equal("F1 KBROKER_FORMAT_LINES after open()", info(fd)["format"], LINES)
    for bad in (3, 255, 1 << 31, 0xffffffff):
        fails(f"F1 an unknown format is refused: {bad}", errno.EINVAL, set_format, fd, bad)
    before = int(time.time() * 1000)
    text = b"one\n\n\0\r\xff\xc3(\t\n"
    equal("L1 every other byte, NUL and \"\\r\" too", os.write(fd, text), len(text))
    after = int(time.time() * 1000)
    got = records_of(node)
    equal("L1 the line without its \"\\n\" is the value of one record", [r["value"] for r in got], [b"one", b"", b"\0\r\xff\xc3(\t"])
    equal("L1 a null key, no headers", [(r["key"], r["headers"]) for r in got], [(None, [])] * 3)
    say(all(before - 1 <= r["timestamp"] <= after + 1 for r in got), "L1 and the time of the write")

    def batch_size(lengths):
        total = HEAD
        for i, length in enumerate(lengths):
            total += len(make_record(i, b"x" * length))
        return total

    for length in (0, 7, 30, 200) if LONG else (0, 30):
        fits = max(n for n in range(1, 200) if batch_size([length] * n) <= 1000)
        start = end_of(node)
        equal(f"L2 as many complete lines as fit one batch, a short count: lines of {length}",
              os.write(fd, (b"x" * length + b"\n") * 200), fits * (length + 1))
        reader = open_(node, os.O_RDONLY, BATCH)
        os.lseek(reader, start, os.SEEK_SET)
        equal(f"L2 appended as one batch: lines of {length}", parse_batches(os.read(reader, 9999)), [(start, fits)])
        os.close(reader)
    equal("L2 (a short count keeps nothing of the rest)", (os.write(fd, b"next\n"), values_of(node)[-1]), (5, b"next"))
    fits = max(n for n in range(900, 1000) if batch_size([n]) <= 1000)
    equal("L7 a line that just fits", os.write(fd, b"y" * fits + b"\n"), fits + 1)
    start = end_of(node)
    fails("L7 a line that does not fit is refused (EMSGSIZE)", errno.EMSGSIZE, os.write, fd, b"y" * (fits + 1) + b"\n")
    equal("L7 complete lines before it are taken first", os.write(fd, b"a\nb\n" + b"y" * 2000 + b"\nc\n"), 4)
    fails("L7 without a \"\\n\", too", errno.EMSGSIZE, os.write, fd, b"y" * 1001)
    fails("L7 10 MB without a newline", errno.EMSGSIZE, os.write, fd, bytes(10_000_000))
    equal("L7 begun in an earlier write", os.write(fd, b"begun "), 6)
    fails("L7 it is refused", errno.EMSGSIZE, os.write, fd, b"y" * fits + b"\n")
    equal("L7 its unfinished part is dropped, the next write begins a new line", os.write(fd, b"new\n"), 4)
    equal("L7 nothing else came of it", values_of(node, start), [b"a", b"b", b"new"])
    for cut in (1, 2, 500):
        os.write(fd, b"z" * cut)
        equal(f"L7 together they fit: {cut}", os.write(fd, b"z" * (fits - cut) + b"\n"), fits - cut + 1)

    start = end_of(node)
    equal("L3 what follows the last \"\\n\" is taken, too", os.write(fd, b"full\nhalf"), 9)
    equal("L3 kept in the open", values_of(node, start), [b"full"])
    equal("F2 while an unfinished line waits it is refused", [code_of(set_format, fd, f) for f in (RECORD, BATCH)], ["EBUSY"] * 2)
    other = os.open(node, os.O_WRONLY)
    os.write(other, b"other\n")
    equal("L3 opens do not share it", values_of(node, start), [b"full", b"other"])
    copy = os.dup(fd)
    os.waitpid(child(lambda: os.write(copy, b" and")), 0)
    equal("L8 a write of 0 bytes returns 0 and does nothing", (os.write(fd, b""), os.write(other, b""), end_of(node)), (0, 0, start + 2))
    os.write(copy, b" half\n")
    equal("L3 dup() and fork() do", values_of(node, start), [b"full", b"other", b"half and half"])
    os.close(copy)
    for name, sync in (("fsync", os.fsync), ("fdatasync", os.fdatasync)):
        os.write(fd, name.encode())
        sync(fd)
        equal(f"L4 {name}() makes an unfinished line a record", values_of(node)[-1], name.encode())
        sync(fd)
        equal(f"L4 once: {name}", values_of(node)[-2:].count(name.encode()), 1)
    start = end_of(node)
    copy = os.dup(other)
    os.write(other, b"last close")
    os.close(copy)
    equal("L5 a close that is not the last does nothing", end_of(node), start)
    os.close(other)
    say(wait_for(lambda: values_of(node, start) == [b"last close"]), "L5 the last close() makes it a record")

    start = end_of(node)
    deadly = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT)[:4 if LONG else 2]
    for number in deadly:
        def die():
            signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
            os.kill(os.getpid(), number)
            time.sleep(60)
        closed_with(node, b"whole\nhalf", die)
    closed_with(node, b"whole\nexited", lambda: os._exit(3))
    say(wait_for(lambda: values_of(node)[-1:] == [b"exited"]), "L6 exit() with any status is no signal")
    equal("L6 a process that a signal killed loses the unfinished line", values_of(node, start), [b"whole"] * (len(deadly) + 1) + [b"exited"])
    start = end_of(node)
    for who in ("child", "parent"):
        r, w = os.pipe()
        pid = child(lambda: os.write(fd, b"child ") and os.write(w, b"done") and signal.pause())
        os.read(r, 4)
        os.close(r)
        os.close(w)
        if who == "parent":
            os.write(fd, b"parent ")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.write(fd, b"goes on\n")
    equal("L6 the unfinished line that it wrote last", values_of(node, start), [b"goes on", b"child parent goes on"])
    os.close(fd)
    fails("L9 (no topic can be compacted, yet)", 0, refuse, "topic", "create", "c", "--config", "cleanup.policy=compact")


def refuse(*argv):
    """The command must be refused: OSError 0 then, for fails()."""
    done = subprocess.run(("kbroker",) + argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode == 1:
        raise OSError(0, done.stdout.decode())


def lines_read():
    node = f"{DEV}/l/1"
    kbroker("topic", "alter", "l", "--partitions", "2")
    body = (make_record(0, b"plain", b"key", [(b"h", b"v")]) + make_record(1, None, b"k") + make_record(2, b"a\nb") +
            make_record(3, b"") + make_record(4, b"long" * 50))
    now = int(time.time() * 1000)
    send(node, make_batch(body, 5, now, now))
    whole = b"plain\n\na\nb\n\n" + b"long" * 50 + b"\n"
    equal("L10 values, each followed by \"\\n\", as much as there is", lines_of(node), whole)
    for size in (1, 2, 3, 7, 100):
        fd = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
        got = []
        try:
            while True:
                got.append(os.read(fd, size))
        except BlockingIOError:
            pass
        equal(f"L10 a long value can be read in pieces: {size}", b"".join(got), whole)
        equal(f"L10 as much as fits: {size}", [len(g) for g in got[:-1]], [size] * (len(got) - 1))
        os.close(fd)
    fd = os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    equal("F2 (part of a line)", os.read(fd, 2), b"pl")
    equal("P1 the position is that of the line read in part, P13 NEXT its size", (position(fd)["position"], next_(fd)[1:2]), (0, (0,)))
    set_format(fd, LINES)
    equal("F2 the format in use changes nothing", os.read(fd, 2), b"ai")
    set_format(fd, RECORD)
    equal("F2 another one keeps the position, a line read in part is read again from its start", parse_record(os.read(fd, 999))["value"], b"plain")
    set_format(fd, LINES)
    equal("F2 and back", os.read(fd, 4), b"\na\nb")
    os.close(fd)


# --- R: records --------------------------------------------------------------------

def record_format():
    node = topic("r", 2, "max.message.bytes=1000", "message.timestamp.before.max.ms=86400000", "message.timestamp.after.max.ms=86400000")[0]
    fd = open_(node, os.O_RDWR | os.O_NONBLOCK, RECORD)
    now = int(time.time() * 1000)
    good = record(b"value", b"key", [(b"h", b"1"), (b"", b""), (b"n", None)])
    for name, bad in (
            ("size one too large", record(b"value", size=54)), ("size one too small", record(b"value", size=52)),
            ("size 0", record(b"value", size=0)), ("size 2^32-1", record(b"value", size=0xffffffff)),
            ("a byte too many", record(b"value") + b"x"), ("a byte too few", record(b"value")[:-1]),
            ("the struct cut", record(b"")[:47]), ("one byte", b"\0"),
            ("key_len too large", record(b"value", key_len=1)), ("value_len too small", record(b"value", value_len=4)),
            ("value_len 2^32-1", record(b"value", value_len=0xffffffff)), ("lengths that wrap to the sum", record(b"value", key_len=0xffffffff, value_len=6)),
            ("headers_len too large", record(b"value", headers_len=8)), ("flags unknown", record(b"value", flags=5)),
            ("flags bit 31", record(b"value", flags=1 << 31 | 1)), ("null key with a length", record(b"value", b"key", flags=NULL_KEY)),
            ("null value with a length", record(b"value", b"key", flags=NULL_VALUE)),
            ("headers_count too large", record(b"v", None, [(b"a", b"b")], headers_count=2)),
            ("headers_count too small", record(b"v", None, [(b"a", b"b"), (b"c", b"d")], headers_count=1)),
            ("headers_count 0 with headers", record(b"v", None, [(b"a", b"b")], headers_count=0)),
            ("headers_count 2^32-1", record(b"v", None, [(b"a", b"b")], headers_count=0xffffffff)),
            ("a header's key past the end", raw_headers(struct.pack("=Ii", 100, 0))),
            ("a header's value past the end", raw_headers(struct.pack("=Ii", 0, 1))),
            ("a header's value_len -2", raw_headers(struct.pack("=Ii", 0, -2))),
            ("a header's lengths that wrap", raw_headers(struct.pack("=Ii", 0xffffffff, 1))),
            ("a header cut", raw_headers(b"\0\0\0\0"))):
        fails(f"R1 must add up and be well formed (EINVAL): {name}", errno.EINVAL, os.write, fd, bad)
    for name, fields in (("partition 1", {"partition": 1}), ("partition -2", {"partition": -2}), ("partition 2^31-1", {"partition": 0x7fffffff}),
                         ("offset 1", {"offset": 1}), ("offset -1", {"offset": -1}), ("leader_epoch 1", {"leader_epoch": 1}),
                         ("leader_epoch -1", {"leader_epoch": -1})):
        fails(f"R2 {name} is refused (EINVAL)", errno.EINVAL, os.write, fd, record(b"v", **fields))
    for stamp in (-2, -1 << 63):
        fails(f"R3 another negative timestamp is refused: {stamp}", errno.EINVAL, os.write, fd, record(b"v", timestamp=stamp))
    for name, stamp in (("before.max.ms", now - 86400000 - 60000), ("before.max.ms, 0", 0), ("after.max.ms", now + 86400000 + 60000),
                        ("after.max.ms, 2^63-1", (1 << 63) - 1)):
        fails(f"R3 what message.timestamp.{name} forbids (ETIME)", errno.ETIME, os.write, fd, record(b"v", timestamp=stamp))
    fails("R4 a record that does not fit is refused (EMSGSIZE)", errno.EMSGSIZE, os.write, fd, record(b"v" * 1000))
    equal("(nothing of all that was appended)", end_of(node), 0)
    fits = max(n for n in range(900, 1000) if HEAD + len(make_record(0, b"v" * n)) <= 1000)
    equal("R4 one that just fits", os.write(fd, record(b"v" * fits)), 48 + fits)
    fails("R4 and one byte more", errno.EMSGSIZE, os.write, fd, record(b"v" * (fits + 1)))
    equal("R2 partition may be the node's own", os.write(fd, record(b"own", partition=0)), 51)
    before = int(time.time() * 1000)
    equal("R1 one write() is one record", os.write(fd, good), len(good))
    os.write(fd, record(None, b"dead"))
    os.write(fd, record(b"", b"", timestamp=now - 1000))
    os.fsync(fd)
    os.lseek(fd, 2, os.SEEK_SET)
    got = parse_record(os.read(fd, 4096))
    equal("R5 one read() is one record, with all its fields",
          {k: got[k] for k in ("partition", "offset", "key", "value", "headers", "leader_epoch", "flags", "whole")},
          {"partition": 0, "offset": 2, "key": b"key", "value": b"value", "headers": [(b"h", b"1"), (b"", b""), (b"n", None)],
           "leader_epoch": 0, "flags": 0, "whole": True})
    say(before - 1 <= got["timestamp"] <= int(time.time() * 1000) + 1, "R3 timestamp -1 is the time of the write")
    need = next_(fd)
    for size in (0, 1, 47, 48, need[2] - 1):
        if size:
            fails(f"R6 a buffer too small is refused: {size} of {need[2]}", errno.EMSGSIZE, os.read, fd, size)
    equal("R6 nothing changes", (position(fd)["position"], next_(fd)), (3, need))
    got = parse_record(os.read(fd, need[2]))
    equal("R6 KBROKER_IOC_NEXT tells the size", (got["key"], got["value"], got["flags"]), (b"dead", None, NULL_VALUE))
    got = parse_record(os.read(fd, 4096))
    equal("R5 empty is not null, and its timestamp", (got["key"], got["value"], got["timestamp"]), (b"", b"", now - 1000))
    fails("P8 with O_NONBLOCK it is EAGAIN at the end", errno.EAGAIN, os.read, fd, 4096)
    os.close(fd)


def raw_headers(headers):
    return RECORD_STRUCT.pack(49 + len(headers), 1, -1, 1, 0, -1, 0, 1, len(headers), 0) + b"v" + headers


# --- B: batches -----------------------------------------------------------------------

def batch_format():
    node = topic("b", 1, "max.message.bytes=70000")
    fd = open_(node, os.O_RDWR | os.O_NONBLOCK, BATCH)
    now = int(time.time() * 1000)
    good = batch([b"good"])
    body = make_record(0, b"first", b"key", [(b"name", b"text")]) + make_record(1, None) + make_record(2, b"third", ts=5)
    whole = make_batch(body, 3, now - 9, now - 4)

    def one(record_body):
        return varint(len(record_body)) + record_body

    def over(record_body, count=1):
        return make_batch(record_body, count, now, now)

    bad = [("length 0", batch(length=0)), ("length 48", batch(length=48)), ("length -1", batch(length=-1)),
           ("length 2^31-1", batch(length=0x7fffffff)), ("length one short", batch(length=len(batch()) - 13)),
           ("length one long", batch(length=len(batch()) - 11)), ("magic 0", batch(magic=0)), ("magic 1", batch(magic=1)),
           ("magic 3", batch(magic=3)), ("magic -1", batch(magic=-1)), ("CRC", batch(crc=0)),
           ("count 0", batch(count=0, records=b"", last_delta=-1)), ("count -1", batch(count=-1)), ("count 2 of 1", batch(count=2)),
           ("count 1 of 2", batch([b"a", b"b"], count=1)), ("count 2^31-1", batch(count=0x7fffffff)),
           ("last delta too large", batch(last_delta=1)), ("last delta -1", batch(last_delta=-1)), ("base offset 1", batch(base_offset=1)),
           ("base offset -1", batch(base_offset=-1)), ("control bit", batch(attributes=0x20)), ("unused attribute bit 7", batch(attributes=0x80)),
           ("unused attribute bit 15", batch(attributes=-0x8000)), ("delete horizon bit", batch(attributes=0x40)),
           ("codec 5", batch(attributes=5)), ("codec 6", batch(attributes=6)), ("codec 7", batch(attributes=7)),
           ("append time in a CreateTime topic", batch(attributes=8)), ("producer id without a sequence", batch(producer=(7, 0, -1))),
           ("timestamp -2", make_batch(make_record(0, b"v"), 1, -2, -2)), ("no records", batch([b"v"], records=b"")),
           ("bytes left over", over(make_record(0, b"v") + b"\0")), ("a record too many", over(make_record(0, b"v") + make_record(1, b"v"))),
           ("offset delta 1 first", over(make_record(1, b"v"))), ("offset deltas 0 0", over(make_record(0, b"v") * 2, 2)),
           ("offset delta -1", over(make_record(-1, b"v"))),
           ("record length 0", over(b"\0")), ("record length -1", over(b"\1" + make_record(0, b"v")[1:])),
           ("record length 2^31-1", over(varint(0x7fffffff) + make_record(0, b"v")[1:])),
           ("key length -2", over(one(b"\0\0\0" + varint(-2) + varint(-1) + b"\0"))),
           ("key length past the end", over(one(b"\0\0\0" + varint(9) + varint(-1) + b"\0"))),
           ("value length -2", over(one(b"\0\0\0" + varint(-1) + varint(-2) + b"\0"))),
           ("value length 2^31-1", over(one(b"\0\0\0" + varint(-1) + varint(0x7fffffff) + b"\0"))),
           ("headers count -1", over(one(b"\0\0\0\1\1" + varint(-1)))), ("headers count 1 of 0", over(one(b"\0\0\0\1\1" + varint(1)))),
           ("headers count 2^31-1", over(one(b"\0\0\0\1\1" + varint(0x7fffffff)))),
           ("header name null", over(one(b"\0\0\0\1\1" + varint(1) + varint(-1) + varint(-1)))),
           ("header value length -2", over(one(b"\0\0\0\1\1" + varint(1) + varint(0) + varint(-2)))),
           ("a byte after the headers", over(one(b"\0\0\0\1\1\0\0"))),
           ("a varint of 6 bytes", over(one(b"\0\0\0" + b"\x80\x80\x80\x80\x80\0" + b"\1\0"))),
           ("a varint that overflows", over(one(b"\0\0\0" + b"\xff\xff\xff\xff\x7f" + b"\1\0"))),
           ("a varlong of 11 bytes", over(one(b"\0" + b"\x80" * 10 + b"\0" + b"\0\1\1\0"))),
           ("a timestamp that overflows", over(one(b"\0" + varint((1 << 63) - 1) + b"\0\1\1\0"))),
           ("half a header", good[:30]), ("one byte", b"\0"), ("a batch cut", good[:-1]), ("a batch and a byte", good + b"\0"),
           ("a batch and a bad one", good + batch(crc=1)), ("a bad one and a batch", batch(crc=1) + good)]
    step = 1 if LONG else 5
    bad += [(f"records cut at {cut}", make_batch(body[:cut], 3, now - 9, now - 4)) for cut in range(0, len(body), step)]
    bad += [(f"the write cut at {cut}", whole[:cut]) for cut in range(1, len(whole), step * 3)]
    plain = body
    for name, codec, pack in (("gzip", 1, gzip_), ("snappy", 2, snappy), ("lz4", 3, lz4), ("zstd", 4, zstd)):
        if name == "zstd":
            plain = body + b""
        packed = pack(plain) if name != "zstd" else zstd(make_record(0, b"z" * 400))
        count = 1 if name == "zstd" else 3
        times = (now, now) if name == "zstd" else (now - 9, now - 4)
        fine = make_batch(packed, count, *times, attributes=codec)
        equal(f"B1 (a good {name} batch)", os.write(fd, fine), len(fine))
        bad += [(f"{name} cut", make_batch(packed[:-5], count, *times, attributes=codec)),
                (f"{name} of nothing", make_batch(b"", count, *times, attributes=codec)),
                (f"{name} of garbage", make_batch(b"\x55" * 40, count, *times, attributes=codec)),
                (f"{name} with a count that lies", make_batch(packed, count + 1, *times, attributes=codec)),
                (f"{name} with bytes behind", make_batch(packed + b"\1\2\3\4\5\6\7", count, *times, attributes=codec))]
        if LONG:
            bad += [(f"{name} cut at {cut}", make_batch(packed[:cut], count, *times, attributes=codec)) for cut in range(len(packed))]
    before = end_of(node)
    for name, data in bad:
        fails(f"B2 fails validation (EBADMSG): {name}", errno.EBADMSG, os.write, fd, data)
    equal("B2 nothing of that write is appended", end_of(node), before)
    fails("B2 one over max.message.bytes is EMSGSIZE", errno.EMSGSIZE, os.write, fd, batch([bytes(70000)]))
    fails("B2 nothing of that write is appended either", errno.EMSGSIZE, os.write, fd, good + batch([bytes(70000)]))
    fails("R3 timestamps too far ahead", {errno.ETIME, errno.EBADMSG}, os.write, fd, timed_batch([now + 9 * 3600000]))
    equal("B2 and the log is as it was", end_of(node), before)

    os.fsync(fd)        # O_NONBLOCK: what came before need not be committed yet, and a seek goes no further
    os.lseek(fd, before, os.SEEK_SET)
    three = batch([b"a", b"b", b"c"])
    equal("B3 all batches of a write go to one partition, in order", os.write(fd, three + good + three), 2 * len(three) + len(good))
    os.fsync(fd)
    stored = os.read(fd, 65536)
    equal("B5 read() returns whole batches, as many as fit", parse_batches(stored), [(before, 3), (before + 3, 1), (before + 4, 3)])
    sent = three + good + three
    equal("B5 as they are stored: the bytes under the CRC are those written", covered(stored), covered(sent))
    for at in (1, 2):
        os.lseek(fd, before + at, os.SEEK_SET)
        equal(f"B5 the first may begin before the position: {at}", parse_batches(os.read(fd, len(three)))[0], (before, 3))
    equal("B5 the next read goes on behind it", parse_batches(os.read(fd, 99999)), [(before + 3, 1), (before + 4, 3)])
    os.lseek(fd, before, os.SEEK_SET)
    fails("B6 a buffer too small is refused", errno.EMSGSIZE, os.read, fd, len(three) - 1)
    equal("B6 nothing changes, NEXT tells the whole batch", (position(fd)["position"], next_(fd)), (before, (0, before, len(three))))
    equal("B5 as many as fit: two and a half", parse_batches(os.read(fd, len(three + good) + 20)), [(before, 3), (before + 3, 1)])

    for name, wrong in (("small", now - 9), ("large", now)):
        start = end_of(node)
        os.write(fd, make_batch(body, 3, now - 9, wrong))
        os.fsync(fd)
        os.lseek(fd, start, os.SEEK_SET)
        stored = os.read(fd, 65536)
        equal(f"B1 a max timestamp that is too {name} is put right, as Kafka does", (parse_batches(stored), struct.unpack_from(">qq", stored, 27)),
              ([(start, 3)], (now - 9, now - 4)))
    # 65 KiB 70 times: the same bytes, one checksum
    big = batch([b"\0" * 65000])
    fit = (4 << 20) // len(big)
    start = end_of(node)
    equal("B3 of a write over 4 MiB, as many whole batches as fit into 4 MiB", os.write(fd, big * (fit + 5)), fit * len(big))
    os.close(fd)        # O_NONBLOCK: it need not be committed yet
    say(wait_for(lambda: end_of(node) == start + fit), "B3 and all of those are appended")


def append_time():
    node = topic("at", 1, "message.timestamp.type=LogAppendTime")
    fd = open_(node, os.O_RDWR, BATCH)
    before = int(time.time() * 1000)
    sent = timed_batch([1000, 2000])
    os.write(fd, sent)
    after = int(time.time() * 1000)
    stamp = last_write(fd)[3]
    say(before - 1 <= stamp <= after + 1, "W10 and its append time, with message.timestamp.type=LogAppendTime")
    stored = os.read(fd, 999)
    equal("B1 with LogAppendTime the batch says so and carries the time", (parse_batches(stored), struct.unpack_from(">h", stored, 21)[0],
          struct.unpack_from(">qq", stored, 27)), ([(0, 2)], 8, (1000, stamp)))
    equal("B1 nothing else is changed", stored[43:], sent[43:])
    equal("R5 it is the timestamp of every record", {r["timestamp"] for r in records_of(node)}, {stamp})
    equal("P6 and of the search", [seek_time(fd, t) for t in (1500, stamp, stamp + 1)], [(0, stamp), (0, stamp), (2, -1)])
    equal("R3 what the record says is of no account", os.write(open_(node, os.O_WRONLY, RECORD), record(b"x", timestamp=5)), 49)
    os.close(fd)


def covered(data):
    out = []
    while data:
        size = 12 + struct.unpack_from(">i", data, 8)[0]
        out.append(data[16:size])
        data = data[size:]
    return out


def idempotence():
    node = topic("i")
    fd = open_(node, os.O_RDWR, BATCH)

    def produce(sequence, count=1, epoch=0, pid=4711):
        return os.write(fd, batch([b"%d" % (sequence + i) for i in range(count)], producer=(pid, epoch, sequence)))

    for sequence in range(6):
        produce(sequence)
    for sequence in (5, 3, 1):
        say(produce(sequence) > 0, f"B4 a batch whose sequence was appended before: its write succeeds ({sequence})")
    equal("B4 it is not appended again", end_of(node), 6)
    fails("B4 a gap in the sequence is EILSEQ", errno.EILSEQ, produce, 7)
    fails("B4 a larger one, too", errno.EILSEQ, produce, 0x7ffffff0)
    produce(6, 3)
    fails("B4 a sequence inside what was appended, but not a batch of it", {errno.EILSEQ, errno.EALREADY}, produce, 7, 1)
    produce(0, 1, 3)
    fails("B4 an old producer epoch is EKEYEXPIRED", errno.EKEYEXPIRED, produce, 1, 1, 2)
    fails("B4 a new epoch begins at 0", errno.EILSEQ, produce, 5, 1, 4)
    equal("B4 exactly what was new is there", values_of(node), [b"%d" % i for i in range(9)] + [b"0"])
    os.close(fd)


# --- F3, F4: what is wrong on the disk ----------------------------------------------

def damage():
    """A log written by hand is given to a stopped broker, as another program's would be."""
    now = int(time.time() * 1000)
    one = make_record(0, b"v")
    bomb = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = bomb.compress(bytes(33 << 20)) + bomb.flush()
    commit = make_batch(varint(0), 1, now, now)      # its records are replaced below
    marker = b"\0\0\0" + varint(4) + struct.pack(">hh", 0, 1) + varint(6) + struct.pack(">hi", 0, 1) + b"\0"
    commit = make_batch(varint(len(marker)) + marker, 1, now, now, attributes=0x30, producer=(99, 0, -1))
    parts = [batch([b"a"]), commit, batch([b"b"]), batch([b"c", b"d"]), batch([b"e"]),
             make_batch(bomb, 1, now, now, attributes=1), batch([b"f"]), make_batch(one, 1, now, now, attributes=5), batch([b"g"]), commit]
    offset, log, where = 0, b"", []
    for part in parts:
        where.append((len(log), offset))
        log += struct.pack(">q", offset) + part[8:12] + struct.pack(">i", 0) + part[16:]
        offset += struct.unpack_from(">i", part, 57)[0]
    topic("d", 1, "max.message.bytes=1000000")
    kbroker("broker", "stop")
    folder = f"{DIR}/d-0"
    for name in os.listdir(folder):
        if name != "partition.metadata":
            os.unlink(f"{folder}/{name}")
    with open(f"{folder}/{0:020}.log", "wb") as out:
        out.write(log)
    for name in (".kafka_cleanshutdown", "recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        if os.path.exists(f"{DIR}/{name}"):
            os.unlink(f"{DIR}/{name}")
    kbroker("broker", "start", "--dir", DIR)
    node = f"{DEV}/d/0"
    equal("F3 (a log written by another program is taken)", end_of(node), offset)
    with open(f"{folder}/{0:020}.log", "r+b") as out:       # a bit of "d" falls over
        out.seek(where[4][0] - 2)
        byte = out.read(1)
        out.seek(where[4][0] - 2)
        out.write(bytes((byte[0] ^ 1,)))
    for format_, name in ((LINES, "lines"), (RECORD, "record")):
        fd = open_(node, os.O_RDONLY | os.O_NONBLOCK, format_)
        if format_ == LINES:
            equal("F3 lines that were read before it are returned first, F4 control batches are not records", os.read(fd, 99), b"a\nb\n")
        else:
            equal("F4 record format passes over them", [parse_record(os.read(fd, 99))["value"] for _ in range(2)], [b"a", b"b"])
        for _ in range(2):
            fails(f"F3 damage is EBADMSG, it stays so ({name})", errno.EBADMSG, os.read, fd, 99)
        equal(f"F3 KBROKER_IOC_GET_POSITION tells where ({name})", position(fd)["position"], 3)
        os.lseek(fd, 5, os.SEEK_SET)

        def value():
            data = os.read(fd, 99)
            return data.strip() if format_ == LINES else parse_record(data)["value"]
        equal(f"F3 a larger offset given to lseek() goes past it ({name})", value(), b"e")
        for _ in range(2 if LONG else 1):
            fails(f"F3 a batch that would expand to more than 32 MiB: EFBIG ({name})", errno.EFBIG, os.read, fd, 99)
        equal(f"F3 that is where it stays ({name})", position(fd)["position"], 6)
        os.lseek(fd, 7, os.SEEK_SET)
        equal(f"F3 past it ({name})", value(), b"f")
        for _ in range(2):
            fails(f"F3 a codec unknown to the kernel: EOPNOTSUPP ({name})", errno.EOPNOTSUPP, os.read, fd, 99)
        os.lseek(fd, 9, os.SEEK_SET)
        equal(f"F3 past that ({name})", value(), b"g")
        fails(f"F4 nothing but a control batch is the end ({name})", errno.EAGAIN, os.read, fd, 99)
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        equal(f"F4 poll() agrees once it was passed ({name})", poller.poll(0), [])
        os.close(fd)
    equal("F3 batch format reads it all", len(read_all_batches(node)), len(log))
    kbroker("topic", "delete", "d")


# --- F5, F6: the caller's memory ---------------------------------------------------

def memory():
    node = topic("m")
    page = mmap.PAGESIZE
    area = mmap.mmap(-1, 4 * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    area[:2 * page] = b"line\n" * (2 * page // 5) + b"x" * (2 * page % 5)
    put(node, b"0123456789\n" * 20)
    start = end_of(node)
    data = batch([b"v"])
    rec = record(b"v" * 100)
    libc.munmap(base + page, page)      # not mprotect(): to a user-mode kernel that is no obstacle
    for format_, name, text in ((LINES, "lines", b"abc\ndef\nghi\n"), (RECORD, "record", rec), (BATCH, "batch", data + data)):
        fd = open_(node, os.O_WRONLY, format_)
        for good in (0, 1, 5, len(text) - 1):
            area[page - good:page] = text[:good]
            fails(f"F5 memory that cannot be read is EFAULT: {name}, {good} bytes of it can", errno.EFAULT,
                  raw, libc.write, fd, base + page - good, len(text))
        fails(f"F5 no memory at all: {name}", errno.EFAULT, raw, libc.write, fd, None, len(text))
        fails(f"F5 the kernel's memory: {name}", errno.EFAULT, raw, libc.write, fd, 0xffff888000000000, len(text))
        os.close(fd)
    equal("F5 a write that meets it appends nothing", end_of(node), start)
    fd = os.open(node, os.O_RDONLY)
    fails("F5 memory that cannot be written", errno.EFAULT, raw, libc.read, fd, base + page, 100)
    equal("F5 the position stays", position(fd)["position"], 0)
    equal("F5 a lines read that meets it after some bytes returns these", raw(libc.read, fd, base + page - 25, 100), 25)
    equal("F5 which are the right ones", (bytes(area[page - 25:page]), os.read(fd, 8)), (b"0123456789\n0123456789\n012", b"3456789\n"))
    set_format(fd, RECORD)
    here = position(fd)["position"]
    fails("F5 a record read: EFAULT", errno.EFAULT, raw, libc.read, fd, base + page - 50, 200)
    set_format(fd, BATCH)
    fails("F5 a batch read: EFAULT", errno.EFAULT, raw, libc.read, fd, base + page - 50, 5000)
    equal("F5 and the position stays", position(fd)["position"], here)
    os.close(fd)


# --- P: positions ---------------------------------------------------------------------

def positions():
    node = topic("p")
    first = b"".join(b"%03d\n" % i for i in range(10))
    put(node, first)
    put(node, b"".join(b"%03d\n" % i for i in range(10, 20)))
    a, b = os.open(node, os.O_RDONLY | os.O_NONBLOCK), os.open(node, os.O_RDONLY | os.O_NONBLOCK)
    os.read(a, 8)
    equal("P1 each open has a position of its own", (position(a)["position"], position(b)["position"]), (2, 0))
    copy = os.dup(a)
    os.read(copy, 4)
    os.waitpid(child(lambda: os.read(a, 4)), 0)
    equal("P1 dup() and fork() share it", position(a)["position"], 4)
    for n, reached in ((0, 0), (7, 7), (19, 19), (20, 20), (21, 20), (1 << 40, 20), ((1 << 63) - 1, 20)):
        equal(f"P3 lseek(SEEK_SET, {n}) returns the offset reached", os.lseek(a, n, os.SEEK_SET), reached)
        equal(f"P3 and is there: {n}", position(a)["position"], reached)
    os.lseek(a, 13, os.SEEK_SET)
    equal("P3 into the middle of a batch", os.read(a, 8), b"013\n014\n")
    for n in (-1, -1 << 63):
        fails(f"P3 a negative n is EINVAL: {n}", errno.EINVAL, os.lseek, a, n, os.SEEK_SET)
    equal("P4 lseek(SEEK_END, 0) goes to the high watermark", os.lseek(a, 0, os.SEEK_END), 20)
    for n in (-1, 1):
        fails(f"P4 another distance is EINVAL: {n}", errno.EINVAL, os.lseek, a, n, os.SEEK_END)
    os.lseek(a, 5, os.SEEK_SET)
    fails("P5 SEEK_CUR is ESPIPE", errno.ESPIPE, os.lseek, a, 0, os.SEEK_CUR)
    for origin in (os.SEEK_DATA, os.SEEK_HOLE):
        fails(f"P5 other origins are EINVAL: {origin}", errno.EINVAL, os.lseek, a, 0, origin)
    writer = os.open(node, os.O_WRONLY)
    for origin in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
        fails(f"P5 an open for writing only cannot seek at all: {origin}", errno.ESPIPE, os.lseek, writer, 0, origin)
    for name, call in (("pread", lambda: os.pread(a, 9, 0)), ("preadv", lambda: os.preadv(a, [bytearray(9)], 3)),
                       ("preadv2", lambda: os.preadv(a, [bytearray(9)], 3, os.RWF_NOWAIT)), ("pwrite", lambda: os.pwrite(writer, b"x\n", 0)),
                       ("pwritev", lambda: os.pwritev(writer, [b"x\n"], 4)), ("pwritev2", lambda: os.pwritev(writer, [b"x\n"], 4, os.RWF_DSYNC))):
        fails(f"P5 {name} at an offset is ESPIPE", errno.ESPIPE, call)
    equal("P5 (none of that moved anything)", (position(a)["position"], end_of(node)), (5, 20))
    got = subprocess.run(("bash", "-c", f"n=0; while read -r line; do echo \"<$line>\"; n=$((n+1)); [ $n = 3 ] && break; done; cat <&0"),
                         stdin=a, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    equal("P5 so \"while read line\" works, byte by byte", got.split(b"\n")[:6], [b"<005>", b"<006>", b"<007>", b"008", b"009", b"010"])
    buffer = bytearray(4)
    os.lseek(a, 19, os.SEEK_SET)
    equal("P8 RWF_NOWAIT reads what is there", (os.preadv(b, [buffer], -1, os.RWF_NOWAIT), bytes(buffer)), (4, b"000\n"))
    os.lseek(a, 0, os.SEEK_END)
    fails("P8 with O_NONBLOCK it is EAGAIN", errno.EAGAIN, os.read, a, 4)
    blocking = os.open(node, os.O_RDONLY)
    os.lseek(blocking, 0, os.SEEK_END)
    fails("P8 with RWF_NOWAIT, too", errno.EAGAIN, os.preadv, blocking, [bytearray(4)], -1, os.RWF_NOWAIT)
    waiting = Thread(os.read, blocking, 99)
    say(waiting.sleeps() and waiting.is_alive(), "P8 read() at the end waits")
    equal("P13 KBROKER_IOC_NEXT: partition -1, nothing to read", next_(a)[0], -1)
    os.write(writer, b"news\n")
    equal("P8 for a record", waiting.result(), b"news\n")
    equal("P13 KBROKER_IOC_NEXT without moving", [next_(a), next_(a)], [(0, 20, 5)] * 2)
    at = position(a)
    equal("P13 KBROKER_IOC_GET_POSITION gives the position and the offsets of the partition",
          [at[k] for k in ("partition", "leader_epoch", "position", "log_start", "high_watermark", "log_end", "synced_end", "written_end")],
          [0, 0, 20, 0, 21, 21, 21, -1])
    at = position(writer)
    equal("P13 one past the last record this open wrote", at["written_end"], 21)

    # many threads on one open
    put(node, b"".join(b"%d\n" % i for i in range(200)))
    shared = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    os.lseek(shared, 21, os.SEEK_SET)

    def take():
        mine = []
        try:
            while True:
                mine.append(parse_record(os.read(shared, 999))["value"])
        except BlockingIOError:
            return mine
    got = [t.result() for t in [Thread(take) for _ in range(4)]]
    equal("P14 two threads that read through one open get different records", sorted(int(v) for part in got for v in part), list(range(200)))
    for fd in (a, b, copy, writer, blocking, shared):
        os.close(fd)


def overtaken():
    node = topic("o")
    for i in range(10):
        put(node, b"%d\n" % i)
    opens = {f: open_(node, os.O_RDONLY | os.O_NONBLOCK, f) for f in (LINES, RECORD, BATCH)}
    fresh = {f: open_(node, os.O_RDONLY | os.O_NONBLOCK, f) for f in (LINES, RECORD, BATCH)}
    moved = open_(node, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    os.lseek(moved, 3, os.SEEK_SET)
    for fd in opens.values():
        os.lseek(fd, 0, os.SEEK_SET)
    size = len(batch([b"0"]))
    os.read(opens[LINES], 1)
    os.read(opens[RECORD], 99)
    os.read(opens[BATCH], size)
    delete_records("o", 0, 6)
    describe = json.loads(kbroker("partition", "describe", "o", "--json"))
    say(5 in find(describe, "lost") or 0 in find(describe, "lost"), "P9 \"kbroker partition describe\" has the records missed")
    equal("P11 a line that was read in part is finished first", os.read(opens[LINES], 1), b"\n")
    equal("P9 lines just go on at the log start", os.read(opens[LINES], 2), b"6\n")
    for f, name in ((RECORD, "record"), (BATCH, "batch")):
        fails(f"P9 one read() is EPIPE first: {name}", errno.EPIPE, os.read, opens[f], 999)
    equal("P9 goes on at the log start: record", parse_record(os.read(opens[RECORD], 999))["value"], b"6")
    equal("P9 goes on at the log start: batch", parse_batches(os.read(opens[BATCH], size))[0][0], 6)
    equal("P9 the records missed are counted in the \"lost\" of KBROKER_IOC_GET_INFO", [info(opens[f])["lost"] for f in (LINES, RECORD, BATCH)], [5, 5, 5])
    describe = json.loads(kbroker("partition", "describe", "o", "--json"))
    equal("P9 and \"kbroker partition describe\" shows them", find(describe, "lost").count(5), 3)
    equal("P10 an open that has not read yet simply begins at the log start, without EPIPE",
          (os.read(fresh[LINES], 2), parse_record(os.read(fresh[RECORD], 99))["value"], parse_batches(os.read(fresh[BATCH], size))[0][0]), (b"6\n", b"6", 6))
    equal("P10 and missed nothing", [info(fresh[f])["lost"] for f in (LINES, RECORD, BATCH)], [0, 0, 0])
    equal("P10 (put elsewhere by lseek(), no EPIPE either)", parse_record(os.read(moved, 99))["value"], b"6")
    equal("P10 if lseek() had put it elsewhere, what it missed is counted", info(moved)["lost"], 3)
    equal("P2 a fresh open stands at the log start", at_open(node), 6)
    equal("P3 below the log start it lands there", os.lseek(moved, 2, os.SEEK_SET), 6)
    os.lseek(moved, 8, os.SEEK_SET)
    delete_records("o", 0, "end")
    os.lseek(moved, 0, os.SEEK_SET)
    fails("P9 an empty log: (moved by lseek, so no EPIPE) the end", errno.EAGAIN, os.read, moved, 99)
    fails("P9 overtaken by everything: EPIPE", errno.EPIPE, os.read, opens[RECORD], 99)
    fails("P9 then it is at the end", errno.EAGAIN, os.read, opens[RECORD], 99)
    equal("P9 lost in all", info(opens[RECORD])["lost"], 8)
    for fd in [*opens.values(), *fresh.values(), moved]:
        os.close(fd)


def at_open(node):
    fd = os.open(node, os.O_RDONLY)
    try:
        return position(fd)["position"]
    finally:
        os.close(fd)


def by_time():
    node = topic("t", 1, "segment.bytes=16384")
    seed = int(os.environ.get("KBROKER_SPEC_SEED", "1"))
    dice = random.Random(seed)
    base = int(time.time() * 1000) - 1000000
    times = []
    for _ in range(150 if LONG else 30):
        part = [base + dice.randrange(100000) if dice.random() < 0.3 else base + 500 * len(times) + i * 3 for i in range(dice.randrange(1, 9))]
        times += part
        send(node, timed_batch(part, 250))
    reader = open_(node, os.O_RDONLY, RECORD)
    queries = {base - 1, base, 0, max(times), max(times) + 1, (1 << 63) - 1}
    queries.update(dice.choice(times) + dice.choice((-1, 0, 1)) for _ in range(400 if LONG else 60))
    wrong = []
    for query in sorted(queries):
        wanted = next((i for i, t in enumerate(times) if t >= query), None)
        got = seek_time(reader, query)
        if got != ((len(times), -1) if wanted is None else (wanted, times[wanted])) or position(reader)["position"] != got[0]:
            wrong.append((query - base, got, wanted))
    equal(f"P6 KBROKER_IOC_SEEK_TIME goes to the first record whose timestamp is at or after the one given (seed {seed})", wrong, [])
    delete_records("t", 0, len(times) // 2)
    half = len(times) // 2
    wrong = []
    for query in sorted(queries):
        wanted = next((i for i, t in enumerate(times) if i >= half and t >= query), None)
        got = seek_time(reader, query)
        if got != ((len(times), -1) if wanted is None else (wanted, times[wanted])):
            wrong.append((query - base, got, wanted))
    equal("P6 of those that are still there", wrong, [])
    fails("I1 flags that must be 0", errno.EINVAL, seek_time, reader, base, -1, 1)
    fails("P6 a partition that is not the node's", errno.EINVAL, seek_time, reader, base, 1)
    os.close(reader)


# --- W: writes, waiting, signals -----------------------------------------------------

def writes():
    node = topic("w", 1, "flush.policy=async")
    fd = os.open(node, os.O_RDWR)
    for acks in (0, 1, -1):
        set_acks(fd, acks)
        equal(f"W1 acks {acks}", info(fd)["acks"], acks)
        os.write(fd, b"x\n")
    for acks in (2, -2, 1 << 30):
        fails(f"W1 other values are EINVAL: {acks}", errno.EINVAL, set_acks, fd, acks)
    say(end_of(node) == 3, "W1 with 1 it returns after the append, and so it does with 0")
    for name, flags, rwf in (("O_SYNC", os.O_SYNC, 0), ("O_DSYNC", os.O_DSYNC, 0), ("RWF_DSYNC", 0, os.RWF_DSYNC), ("RWF_SYNC", 0, os.RWF_SYNC)):
        for acks in (-1, 0):
            writer = os.open(node, os.O_RDWR | flags)
            set_acks(writer, acks)
            os.pwritev(writer, [b"synced\n"], -1, rwf)
            at = position(writer)
            say(at["synced_end"] >= at["written_end"] > 0, f"W2 with {name} a write also waits until its records are on stable storage (acks {acks})")
            os.close(writer)
    set_acks(fd, 0)
    os.write(fd, b"a\nb\n")
    os.fsync(fd)
    at = position(fd)
    equal("W3 fsync() waits until everything is committed and on stable storage", (at["synced_end"], at["high_watermark"]), (at["log_end"],) * 2)
    kbroker("topic", "alter", "w", "--config", "flush.policy=sync")
    set_acks(fd, -1)
    os.write(fd, b"c\nd\n")
    at = position(fd)
    say(at["synced_end"] >= at["log_end"] and at["high_watermark"] == at["log_end"], "W1 by default its records are committed and on stable storage")
    partition, count, base, append_time = last_write(fd)
    equal("W10 KBROKER_IOC_LAST_WRITE tells where the last write went", (partition, count, base, append_time), (0, 2, at["log_end"] - 2, -1))
    fresh = os.open(node, os.O_WRONLY)
    equal("W10 partition -1 if nothing was written yet", last_write(fresh)[0], -1)
    os.close(fresh)
    before = end_of(node)
    for flags in (os.O_TRUNC, os.O_APPEND, os.O_TRUNC | os.O_CREAT | os.O_APPEND):
        os.close(os.open(node, os.O_WRONLY | flags))
    equal("W17 open() for writing does not truncate", (end_of(node), at_open(node)), (before, 0))
    put(node, b"appended\n")
    nonblocking = os.open(node, os.O_WRONLY | os.O_NONBLOCK)
    equal("W5 otherwise it returns its count at once", os.write(nonblocking, b"quick\n"), 6)
    os.fsync(nonblocking)
    equal("W3 and fsync() waits for it", values_of(node)[-1], b"quick")
    equal("W5 RWF_NOWAIT, too", os.pwritev(fd, [b"now\n"], -1, os.RWF_NOWAIT), 4)
    os.fsync(fd)
    os.close(nonblocking)

    start = end_of(node)

    def pairs(name):
        for i in range(20):
            os.write(fd, b"%s%d-1\n%s%d-2\n%s%d-3\n" % ((name, i) * 3))
    threads = [Thread(pairs, name) for name in (b"a", b"b", b"c")]
    equal("W11 (three threads write)", [t.result() for t in threads], [None] * 3)
    reader = open_(node, os.O_RDONLY, BATCH)
    os.lseek(reader, start, os.SEEK_SET)
    batches = b""
    while position(reader)["position"] < start + 180:
        batches += os.read(reader, 1 << 20)
    equal("W11 each write is one batch", [count for _, count in parse_batches(batches)], [3] * 60)
    wrote = values_of(node, start)
    equal("W11 two threads that write through one open do not mix",
          [i for i in range(0, 180, 3) if [v[-2:] for v in wrote[i:i + 3]] != [b"-1", b"-2", b"-3"] or len({v[:-1] for v in wrote[i:i + 3]}) != 1], [])
    os.close(reader)
    fails("W6 (a broker that stands alone takes no min.insync.replicas that it cannot keep)", {0, errno.ENOLINK}, min_isr)
    os.close(fd)


def min_isr():
    """Refused when set, or by the write: never taken and then forgotten."""
    refuse("topic", "create", "isr", "--config", "min.insync.replicas=2")
    put(f"{DEV}/isr/0", b"x\n")


def signals():
    node = topic("s")
    fd = os.open(node, os.O_RDONLY)
    caught = []
    old = signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
    buffer = ctypes.create_string_buffer(99)
    for format_ in (LINES, RECORD, BATCH):
        set_format(fd, format_)
        reader = Thread(raw, libc.read, fd, ctypes.addressof(buffer), 99)
        reader.sleeps()
        while reader.is_alive():
            signal.pthread_kill(reader.ident, signal.SIGUSR1)
            reader.join(0.05)
        equal(f"W12 a blocked read() ends by any signal (EINTR), format {format_}", reader.result(), "EINTR")
    set_format(fd, LINES)
    equal("W12 and nothing was read", position(fd)["position"], 0)
    signal.siginterrupt(signal.SIGUSR1, False)
    reader = Thread(raw, libc.read, fd, ctypes.addressof(buffer), 99)
    reader.sleeps()
    for _ in range(3):
        signal.pthread_kill(reader.ident, signal.SIGUSR1)
        reader.join(0.05)
    say(reader.is_alive(), "W12 or the call is restarted")
    put(node, b"there\n")
    equal("W12 and then reads", (reader.result(), buffer.raw[:6]), (6, b"there\n"))
    signal.signal(signal.SIGUSR1, old)
    pid = child(lambda: os.read(fd, 99))
    wait_for(lambda: open(f"/proc/{pid}/stat", encoding="ascii").read().split()[2] == "S")
    os.kill(pid, signal.SIGKILL)
    equal("W12 a reader can be killed", os.waitpid(pid, 0)[1], signal.SIGKILL)
    os.close(fd)


def events():
    node = topic("e")
    reader, writer, both = os.open(node, os.O_RDONLY), os.open(node, os.O_WRONLY), os.open(node, os.O_RDWR)
    everything = select.POLLIN | select.POLLRDNORM | select.POLLOUT | select.POLLWRNORM | select.POLLPRI
    inn, out, gone = select.POLLIN | select.POLLRDNORM, select.POLLOUT | select.POLLWRNORM, select.POLLHUP

    def poll(fd, wait=0):
        poller = select.poll()
        poller.register(fd, everything)
        return dict(poller.poll(wait)).get(fd, 0)

    equal("W13 nothing to read, free to write", (poll(reader), poll(writer), poll(both)), (0, out, out))
    epoll = select.epoll()
    epoll.register(reader, select.EPOLLIN | select.EPOLLET)
    waiting = Thread(poll, reader, 60000)
    chosen = Thread(lambda: select.select([reader], [], [], 60)[0])
    both_asleep = waiting.sleeps() and chosen.sleeps()
    os.write(writer, b"x\n")
    equal("W13 poll() wakes: POLLIN | POLLRDNORM when there is something not read", (both_asleep, waiting.result()), (True, inn))
    equal("W13 select() wakes", chosen.result(), [reader])
    equal("W13 epoll wakes, at an edge once", (bool(epoll.poll(60)), epoll.poll(0)), (True, []))
    os.write(writer, b"y\n")
    say(bool(epoll.poll(60)), "W13 and at the next record again")
    equal("W13 until it is read", (poll(reader), os.read(reader, 1), poll(reader), os.read(reader, 9), poll(reader)), (inn, b"x", inn, b"\ny\n", 0))

    # splice and sendfile
    r, w = os.pipe()
    waiting = Thread(os.splice, reader, w, 4096)
    waiting.sleeps()
    os.write(w, b"mine")
    equal("W16 a reader that waits in splice() does not keep others from the pipe", (os.read(r, 4), waiting.is_alive()), (b"mine", True))
    os.write(writer, b"by splice\n")
    equal("W15 splice() from the device to a pipe", (waiting.result(), os.read(r, 99)), (10, b"by splice\n"))
    os.write(w, b"in by splice\n")
    equal("W15 and from a pipe to the device", os.splice(r, writer, 4096), 13)
    os.lseek(reader, 0, os.SEEK_END)
    equal("W15 it is a record", values_of(node)[-1], b"in by splice")
    fails("W15 at an offset it is EINVAL", errno.EINVAL, lambda: os.splice(reader, w, 99, offset_src=0))
    with open("/run/spec-file", "w+b") as file:
        file.write(b"one\ntwo\n")
        file.flush()
        os.lseek(reader, 0, os.SEEK_SET)
        fails("W15 sendfile() from the device is refused (EINVAL)", errno.EINVAL, os.sendfile, file.fileno(), reader, None, 99)
        equal("W15 sendfile() to the device works", os.sendfile(writer, file.fileno(), 0, 99), 8)
    os.unlink("/run/spec-file")
    equal("W15 and makes records", values_of(node)[-2:], [b"one", b"two"])
    fails("(no memory map)", errno.ENODEV, mmap.mmap, reader, 4096, mmap.MAP_SHARED, mmap.PROT_READ)

    os.write(writer, b"half a line")
    os.lseek(reader, 0, os.SEEK_END)
    third = os.open(node, os.O_RDONLY)
    os.lseek(third, 0, os.SEEK_END)
    waiting, polling = Thread(os.read, third, 9), Thread(poll, both, 60000)
    waiting.sleeps()
    os.lseek(both, 0, os.SEEK_END)
    kbroker("topic", "delete", "e")
    equal("P12 when the topic is deleted, a read() that waits returns 0", waiting.result(), b"")
    equal("P12 read() returns 0 (end of file)", (os.read(reader, 9), os.read(reader, 9), os.read(both, 9)), (b"", b"", b""))
    fails("P12 write() fails (ENODEV)", errno.ENODEV, os.write, writer, b"x\n")
    fails("P12 and fsync()", errno.ENODEV, os.fsync, writer)
    fails("P12 in every format", errno.ENODEV, os.write, open_nothing(both), record(b"x"))
    equal("W13 POLLHUP, and POLLIN for readers, POLLERR for writers, once the topic is gone",
          (poll(reader) & (inn | gone | select.POLLERR), poll(writer) & (gone | select.POLLERR), poll(both) & (select.POLLIN | gone | select.POLLERR)),
          (inn | gone, gone | select.POLLERR, select.POLLIN | gone | select.POLLERR))
    polling.result()
    equal("P12 sixteen closes later nothing complains", [os.close(fd) for fd in (reader, writer, both, third, r, w)], [None] * 6)
    epoll.close()


def open_nothing(fd):
    try:
        set_format(fd, RECORD)
    except OSError:
        pass        # refused now, or not: the write decides
    return fd


# --- A: all ----------------------------------------------------------------------------

def whole_topic():
    nodes = topic("a", 3)
    node = f"{DEV}/a/all"
    fd = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    for i in range(9):
        os.write(fd, b"%d-1\n%d-2\n" % (i, i))
    os.fsync(fd)
    parts = [values_of(n) for n in nodes]
    equal("A2 writing goes to the partitions in turn, batch by batch", sorted(len(p) for p in parts), [6, 6, 6])
    equal("A2 a batch is never split", [p[i][:1] == p[i + 1][:1] for p in parts for i in range(0, 6, 2)], [True] * 9)
    got = drain(fd).split()
    equal("A1 reading serves the partitions", sorted(got), sorted(v for p in parts for v in p))
    equal("A1 records of one partition come in their order", [[v for v in got if v in p] for p in parts], parts)
    equal("A4 SEEK_SET with 0: every partition at its log start; returns 0", (os.lseek(fd, 0, os.SEEK_SET), sorted(drain(fd).split())), (0, sorted(got)))
    os.lseek(fd, 0, os.SEEK_SET)
    equal("A4 SEEK_END with 0 returns 0", os.lseek(fd, 0, os.SEEK_END), 0)
    fails("A4 every partition at its high watermark", errno.EAGAIN, os.read, fd, 9)
    for n, origin in ((1, os.SEEK_SET), (-1, os.SEEK_SET), (1, os.SEEK_END), (-1, os.SEEK_END)):
        fails(f"A4 another offset is EINVAL: {n} from {origin}", errno.EINVAL, os.lseek, fd, n, origin)
    fails("P5 SEEK_CUR is ESPIPE", errno.ESPIPE, os.lseek, fd, 0, os.SEEK_CUR)
    for target in (3, -2, 1 << 30):
        fails(f"A3 one that does not exist is EINVAL: {target}", errno.EINVAL, set_target, fd, target)
    fails("A3 flags must be 0", errno.EINVAL, set_target, fd, 0, 1)
    set_target(fd, 2)
    for i in range(3):
        os.write(fd, b"to two %d\n" % i)
    os.fsync(fd)
    equal("A3 directs the writes of this open to one partition", values_of(nodes[2])[6:], [b"to two 0", b"to two 1", b"to two 2"])
    set_target(fd, -1)
    counts = [end_of(n) for n in nodes]
    for i in range(3):
        os.write(fd, b"turn\n")
    os.fsync(fd)
    equal("A3 or with -1 in turn again", [end_of(n) - c for n, c in zip(nodes, counts)], [1, 1, 1])
    single = os.open(nodes[0], os.O_RDWR)
    fails("A3 on a partition's node it is ENOTTY", errno.ENOTTY, set_target, single, 0)
    os.close(single)
    os.write(fd, b"an unfinished ")
    os.write(fd, b"line\nand more\n")
    after = last_write(fd)
    os.fsync(fd)
    equal("A2 an unfinished line goes where the batch goes that completes it",
          ([r["value"] for r in records_of(nodes[after[0]])][-2:], after[1]), ([b"an unfinished line", b"and more"], 2))
    for index in (-1, 3, -2):
        fails(f"A5 GET_POSITION with one that does not exist: {index}", errno.EINVAL, position, fd, index)
    equal("A5 GET_POSITION names a partition", [position(fd, i)["log_end"] for i in range(3)], [end_of(n) for n in nodes])
    stamp = records_of(nodes[1])[3]["timestamp"]
    wanted = next(r["offset"] for r in records_of(nodes[1]) if r["timestamp"] >= stamp)
    os.lseek(fd, 0, os.SEEK_END)
    equal("A5 SEEK_TIME names a partition", (seek_time(fd, stamp, 1), position(fd, 1)["position"], position(fd, 0)["position"] == position(fd, 0)["log_end"]),
          ((wanted, stamp), wanted, True))
    seek_time(fd, 0, -1)
    equal("A5 with -1 moves all of them", [position(fd, i)["position"] for i in range(3)], [0, 0, 0])
    equal("A5 and answers offset 0", seek_time(fd, 0, -1)[0], 0)
    for index in (3, -2):
        fails(f"A5 SEEK_TIME of one that does not exist: {index}", errno.EINVAL, seek_time, fd, 0, index)
    drain(fd)
    kbroker("topic", "alter", "a", "--partitions", "4")
    put(f"{DEV}/a/3", b"in the new one\n")
    equal("A6 partitions added while it is open are read, from their start", drain(fd), b"in the new one\n")
    for _ in range(4):
        os.write(fd, b"again\n")
    os.fsync(fd)
    equal("A6 and written to", values_of(f"{DEV}/a/3"), [b"in the new one", b"again"])
    set_format(fd, RECORD)
    while True:
        try:
            os.read(fd, 999)
        except BlockingIOError:
            break
    for i in range(4):
        os.write(fd, record(b"r%d" % i, partition=i))
    fails("R2 an existing partition", errno.EINVAL, os.write, fd, record(b"r", partition=4))
    fails("R2 not -2", errno.EINVAL, os.write, fd, record(b"r", partition=-2))
    os.fsync(fd)
    got = sorted((r["partition"], r["value"]) for r in (parse_record(os.read(fd, 999)) for _ in range(4)))
    equal("R2 on \"all\" it is an existing partition", got, [(i, b"r%d" % i) for i in range(4)])
    os.write(fd, record(b"s0", partition=0))
    os.write(fd, record(b"s1", partition=1))
    os.fsync(fd)
    delete_records("a", 0, "end")
    got = []
    for _ in range(3):
        try:
            got.append(parse_record(os.read(fd, 999))["value"])
        except OSError as error:
            got.append(errno.errorcode[error.errno])
    equal("A7 P9 holds for each partition by itself: one EPIPE, one record, the end", sorted(map(str, got)), sorted(("EPIPE", str(b"s1"), "EAGAIN")))
    equal("A7 lost", info(fd)["lost"], 1)
    os.close(fd)


# --- I: ioctls --------------------------------------------------------------------------

def ioctls():
    node = topic("x", 1)
    reader, writer = os.open(node, os.O_RDONLY), os.open(node, os.O_WRONLY)
    for number in (0, 9, 255):
        fails(f"I1 an unknown ioctl is ENOTTY: {number}", errno.ENOTTY, fcntl.ioctl, reader, 0xB600 | number, 0)
    fails("I1 another size of a known number, too", errno.ENOTTY, fcntl.ioctl, reader, 1 << 30 | 8 << 16 | 0xB6 << 8 | 1, bytes(8))
    fails("I1 a terminal's", errno.ENOTTY, fcntl.ioctl, reader, 0x5401, bytes(64))
    fails("I1 memory that is not there", errno.EFAULT, lambda: libc_ioctl(reader, GET_INFO, 1))
    for size in range(0, 80, 1 if LONG else 8):
        block = bytearray(b"\xaa" * 96)
        struct.pack_into("=I", block, 0, size)
        if size < 24:
            fails(f"I2 a size below 24 is EINVAL: {size}", errno.EINVAL, fcntl.ioctl, reader, GET_INFO, block)
            continue
        fcntl.ioctl(reader, GET_INFO, block)
        filled = struct.unpack_from("=I", block)[0]
        equal(f"I2 fills at most \"size\" bytes and returns how many: {size}", (filled <= min(size, 64), bytes(block[size:]) == b"\xaa" * (96 - size)), (True, True))
    block = bytearray(b"\xaa" * 96)
    struct.pack_into("=I", block, 0, 23)
    fails("I2 23, too", errno.EINVAL, fcntl.ioctl, reader, GET_INFO, block)
    got = info(reader)
    equal("GET_INFO says what this open is", [got[k] for k in ("size", "format", "partition", "partitions", "acks", "flags", "batch_bytes_max", "lost", "features")],
          [64, LINES, 0, 1, -1, 0, 1048588, 0, 0xff])
    shown = json.loads(kbroker("topic", "describe", "x", "--json"))
    import base64
    say(base64.urlsafe_b64encode(got["topic_id"]).decode().rstrip("=") in find(shown, "id"), "GET_INFO has the topic's UUID")
    both = os.open(f"{DEV}/a/all", os.O_RDWR)
    equal("GET_INFO of \"all\": partition -1, and how many there are", (info(both)["partition"], info(both)["partitions"]), (-1, 4))
    os.close(both)
    everything = os.open(f"{DEV}/a/all", os.O_RDONLY)
    fails("I3 KBROKER_IOC_SET_TARGET needs an open for writing", errno.EBADF, set_target, everything, 0)
    os.close(everything)
    fails("I3 KBROKER_IOC_SET_ACKS, too", errno.EBADF, set_acks, reader, 1)
    fails("I3 KBROKER_IOC_LAST_WRITE, too", errno.EBADF, last_write, reader)
    fails("I3 KBROKER_IOC_SEEK_TIME needs one for reading", errno.EBADF, seek_time, writer, 0)
    fails("I3 KBROKER_IOC_NEXT, too", errno.EBADF, next_, writer)
    equal("I3 the others do not care", (info(writer)["format"], position(writer)["log_end"]), (0, 0))
    fails("read() of an open for writing", errno.EBADF, os.read, writer, 9)
    fails("write() of an open for reading", errno.EBADF, os.write, reader, b"x\n")
    os.close(reader)
    os.close(writer)


def libc_ioctl(fd, number, address):
    if libc.ioctl(fd, ctypes.c_ulong(number), ctypes.c_void_p(address)) < 0:
        raise OSError(ctypes.get_errno(), "ioctl")


def broker_stop():
    """P12 and N10 for the end of the broker; N2: a busy mount and it do not wait for each other."""
    node = topic("z")
    put(node, b"here\n")
    reader, writer = os.open(node, os.O_RDONLY), os.open(node, os.O_WRONLY)
    os.lseek(reader, 0, os.SEEK_END)
    kept = os.open(node, os.O_PATH)
    os.makedirs("/run/spec-mnt", exist_ok=True)
    subprocess.run(("mount", "-t", "kbroker", "kbroker", "/run/spec-mnt"), check=True)
    folder = os.open("/run/spec-mnt", os.O_RDONLY)
    waiting = Thread(os.read, reader, 99)
    waiting.sleeps()
    link = nlclient.Client()        # the command would unmount first
    stop = link.get(nlclient.K["KBROKER_CMD_BROKER_DEL"])
    link.wait_op(nlclient.be(stop[nlclient.K["KBROKER_A_BROKER_OP_ID"]]))
    link.close()
    equal("P12 or the broker stops: a read() that waits returns 0", waiting.result(), b"")
    fails("P12 write() fails (ENODEV)", errno.ENODEV, os.write, writer, b"x\n")
    fails("P12 fsync() fails (ENODEV)", errno.ENODEV, os.fsync, writer)
    fails("N10 a node from before its broker was stopped", errno.ENXIO, opened, f"/proc/self/fd/{kept}")
    equal("N2 without a broker the mount is empty", os.listdir("/run/spec-mnt"), [])
    kbroker("broker", "start", "--dir", DIR)
    say("z" in os.listdir("/run/spec-mnt"), "N2 starting does not wait, and the mount shows it")
    equal("P12 an open from before stays at its end", os.read(reader, 9), b"")
    fails("N10 never another's", errno.ENXIO, opened, f"/proc/self/fd/{kept}")
    for fd in (reader, writer, kept, folder):
        os.close(fd)
    subprocess.run(("umount", "/run/spec-mnt"), check=True)
    os.rmdir("/run/spec-mnt")


def main():
    only = os.environ.get("KBROKER_SPEC_ONLY", "").split()
    for part in (node_names, node_changes, node_access, lines_written, lines_read, record_format, batch_format, idempotence, append_time,
                 memory, positions, overtaken, by_time, writes, signals, events, whole_topic, ioctls, broker_stop) + (damage,) * LONG:
        if only and part.__name__ not in only:
            continue
        began = time.monotonic()
        part()
        print(f"# {part.__name__}: {time.monotonic() - began:.1f} s", flush=True)


run(main)
