# SPDX-License-Identifier: GPL-2.0-only
"""For the tests of the devices: TAP, the ioctls of <linux/kbroker.h>, records
and batches packed by hand, so that nothing here shares code with the module.

Each check names the sentence of Documentation/ABI/testing/dev-kbroker that it
tests, like "L2".
"""
import ctypes
import errno
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

DIR = "/var/lib/kbroker/test"
DEV = "/dev/kbroker"
LINES, RECORD, BATCH = 0, 1, 2
results = []


# --- TAP --------------------------------------------------------------------

def say(good, name):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {name}", flush=True)
    return bool(good)


def equal(name, got, wanted):
    if not say(got == wanted, name):
        print(f"#   wanted {wanted!r:.300}")
        print(f"#   got    {got!r:.300}", flush=True)


def fails(name, number, function, *args):
    """function(*args) must raise OSError number (one, or a set of them)."""
    wanted = number if isinstance(number, (set, tuple)) else {number}
    try:
        got = function(*args)
    except OSError as error:
        if not say(error.errno in wanted, name):
            print(f"#   failed with {errno.errorcode.get(error.errno)}", flush=True)
        return
    say(False, name)
    print(f"#   succeeded: {got!r:.200}", flush=True)


def run(main):
    """The frame of a test: a broker, main(), the plan."""
    shutil.rmtree(DIR, ignore_errors=True)
    os.makedirs(DIR)
    done = False
    try:
        kbroker("broker", "start", "--dir", DIR)
        try:
            main()
            done = True
        except Exception as error:  # the rest could not run: that is a failure, too
            import traceback
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            say(False, f"the test ran to its end ({error})")
    finally:
        subprocess.run(("kbroker", "broker", "stop"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(DIR, ignore_errors=True)
    print(f"1..{len(results)}", flush=True)
    # threads that still block in a call must not keep us
    os._exit(0 if done and all(results) else 1)


def kbroker(*argv):
    done = subprocess.run(("kbroker",) + argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"kbroker {' '.join(argv)}: {done.stdout.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")


def topic(name, partitions=1, *configs):
    argv = ["topic", "create", name, "--partitions", str(partitions)]
    for config in configs:
        argv += ["--config", config]
    kbroker(*argv)
    return [f"{DEV}/{name}/{i}" for i in range(partitions)] if partitions > 1 else f"{DEV}/{name}/0"


def wait_for(condition, seconds=60):
    """Is it so within that time? Looks less and less often, lest looking is all the machine does."""
    end = time.monotonic() + seconds
    rest = 0.005
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(rest)
        rest = min(2 * rest, 0.1)
    return True


class Thread(threading.Thread):
    """Run a function; result() waits for its value or OSError."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self.function, self.args = function, args
        self.value = self.error = None
        self.tid = None
        self.start()

    def run(self):
        self.tid = threading.get_native_id()
        try:
            self.value = self.function(*self.args)
        except OSError as error:
            self.error = error

    def sleeps(self, seconds=60):
        """It sleeps in the kernel by now."""
        def asleep():
            try:
                with open(f"/proc/self/task/{self.tid}/stat", encoding="ascii") as stat:
                    return stat.read().rsplit(")", 1)[1].split()[0] in "SD"
            except (OSError, TypeError):
                return False
        return wait_for(asleep, seconds)

    def result(self, seconds=60):
        self.join(seconds)
        if self.is_alive():
            return "still waiting"
        if self.error:
            return errno.errorcode[self.error.errno]
        return self.value


# --- ioctls -----------------------------------------------------------------

def _ioc(direction, number, size):
    return direction << 30 | size << 16 | 0xB6 << 8 | number


SET_FORMAT = _ioc(1, 1, 4)
SET_ACKS = _ioc(1, 2, 4)
GET_INFO = _ioc(3, 3, 64)
GET_POSITION = _ioc(3, 4, 56)
SEEK_TIME = _ioc(3, 5, 32)
NEXT = _ioc(2, 6, 24)
LAST_WRITE = _ioc(2, 7, 24)
SET_TARGET = _ioc(1, 8, 8)
JOIN_GROUP = _ioc(1, 9, 16)
COMMIT = _ioc(0, 10, 0)
SET_MAX_POLL = _ioc(1, 11, 8)
GET_SHARE = _ioc(3, 12, 32)
NULL_KEY, NULL_VALUE = 1, 2


def open_(path, flags=os.O_RDONLY, format_=LINES):
    fd = os.open(path, flags)
    if format_ != LINES:
        set_format(fd, format_)
    return fd


def set_format(fd, number):
    fcntl.ioctl(fd, SET_FORMAT, struct.pack("=I", number))


def set_acks(fd, acks):
    fcntl.ioctl(fd, SET_ACKS, struct.pack("=i", acks))


def set_target(fd, partition, flags=0):
    fcntl.ioctl(fd, SET_TARGET, struct.pack("=iI", partition, flags))


def info(fd):
    raw = fcntl.ioctl(fd, GET_INFO, struct.pack("=I60x", 64))
    names = ("size", "format", "partition", "partitions", "acks", "flags", "batch_bytes_max", "lost", "features", "topic_id")
    return dict(zip(names, struct.unpack("=IIiIiIQQQ16s", raw)))


def position(fd, partition=-1):
    raw = fcntl.ioctl(fd, GET_POSITION, struct.pack("=i52x", partition))
    names = ("partition", "leader_epoch", "position", "log_start", "high_watermark", "log_end", "synced_end", "written_end")
    return dict(zip(names, struct.unpack("=ii6q", raw)))


def seek_time(fd, timestamp, partition=-1, flags=0):
    raw = fcntl.ioctl(fd, SEEK_TIME, struct.pack("=qiIqq", timestamp, partition, flags, 0, 0))
    return struct.unpack("=qiIqq", raw)[3:]


def next_(fd):
    partition, _, offset, size = struct.unpack("=iIqQ", fcntl.ioctl(fd, NEXT, bytes(24)))
    return partition, offset, size


def last_write(fd):
    return struct.unpack("=iIqq", fcntl.ioctl(fd, LAST_WRITE, bytes(24)))


def join_group(fd, name, flags=0, length=None):
    memory = ctypes.create_string_buffer(name, max(len(name), 1))
    fcntl.ioctl(fd, JOIN_GROUP, struct.pack("=QII", ctypes.addressof(memory), len(name) if length is None else length, flags))


def commit(fd):
    fcntl.ioctl(fd, COMMIT)


def set_max_poll(fd, ms):
    fcntl.ioctl(fd, SET_MAX_POLL, struct.pack("=Q", ms))


def share(fd, room=64, flags=0):
    """What a member of a group has: partitions, members, generation."""
    memory = (ctypes.c_uint32 * max(room, 1))()
    raw = fcntl.ioctl(fd, GET_SHARE, struct.pack("=QIIIIQ", ctypes.addressof(memory), room, 0, 0, flags, 0))
    _, _, count, members, _, generation = struct.unpack("=QIIIIQ", raw)
    return {"partitions": list(memory[:min(room, count)]), "count": count, "members": members, "generation": generation}


# --- records ----------------------------------------------------------------

RECORD_STRUCT = struct.Struct("=IIiIqqIIIi")


def record(value, key=None, headers=(), partition=-1, timestamp=-1, **changes):
    """struct kbroker_record and what follows; changes overwrite its fields."""
    packed = b"".join(struct.pack("=Ii", len(k), -1 if v is None else len(v)) + k + (v or b"")
                      for k, v in headers)
    body = (key or b"") + (value or b"") + packed
    fields = {"size": RECORD_STRUCT.size + len(body),
              "flags": (NULL_KEY if key is None else 0) | (NULL_VALUE if value is None else 0),
              "partition": partition, "headers_count": len(headers), "offset": 0, "timestamp": timestamp,
              "key_len": len(key or b""), "value_len": len(value or b""), "headers_len": len(packed), "leader_epoch": 0}
    fields.update(changes)
    return RECORD_STRUCT.pack(*fields.values()) + body


def parse_record(data):
    names = ("size", "flags", "partition", "headers_count", "offset", "timestamp", "key_len", "value_len", "headers_len", "leader_epoch")
    fields = dict(zip(names, RECORD_STRUCT.unpack_from(data)))
    at = RECORD_STRUCT.size
    fields["key"] = None if fields["flags"] & NULL_KEY else data[at:at + fields["key_len"]]
    at += fields["key_len"]
    fields["value"] = None if fields["flags"] & NULL_VALUE else data[at:at + fields["value_len"]]
    at += fields["value_len"]
    headers = []
    for _ in range(fields["headers_count"]):
        key_len, value_len = struct.unpack_from("=Ii", data, at)
        at += 8
        key = data[at:at + key_len]
        at += key_len
        headers.append((key, None if value_len < 0 else data[at:at + value_len]))
        at += max(value_len, 0)
    fields["headers"] = headers
    fields["whole"] = at == fields["size"] == len(data)
    return fields


# --- batches ----------------------------------------------------------------

def _crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


CRC_TABLE = _crc_table()


def _crc_socket():
    """The kernel's crc32c, where there is one: Python needs seconds for a large batch."""
    try:
        kernel = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
        kernel.bind(("hash", "crc32c"))
        return kernel
    except OSError:
        return None


CRC_KERNEL = _crc_socket()


def crc32c(data):
    if CRC_KERNEL and len(data) > 65536:
        with CRC_KERNEL.accept()[0] as hashing:
            hashing.sendall(data)
            return struct.unpack("<I", hashing.recv(4))[0]
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = number << 1 ^ number >> 63
    out = b""
    while True:
        if number < 128:
            return out + bytes((number,))
        out += bytes((number & 127 | 128,))
        number >>= 7


def batch_records(values, key=None, headers=()):
    """Records of a batch, delta 0 on; a value may be None."""
    out = b""
    for delta, value in enumerate(values):
        body = b"\0" + varint(0) + varint(delta)
        body += varint(-1) if key is None else varint(len(key)) + key
        body += varint(-1) if value is None else varint(len(value)) + value
        body += varint(len(headers))
        for name, header in headers:
            body += varint(len(name)) + name + (varint(-1) if header is None else varint(len(header)) + header)
        out += varint(len(body)) + body
    return out


def batch(values=(b"value",), records=None, attributes=0, count=None, timestamp=None, producer=(-1, -1, -1),
          base_offset=0, magic=2, length=None, crc=None, key=None, last_delta=None):
    """A v2 batch; the keywords make it wrong."""
    body = batch_records(values, key) if records is None else records
    count = len(values) if count is None else count
    timestamp = int(time.time() * 1000) if timestamp is None else timestamp
    tail = struct.pack(">hiqqqhii", attributes, count - 1 if last_delta is None else last_delta, timestamp, timestamp,
                       producer[0], producer[1], producer[2], count) + body
    length = 9 + len(tail) if length is None else length
    crc = crc32c(tail) if crc is None else crc
    return struct.pack(">qiibI", base_offset, length, -1, magic, crc) + tail


def parse_batches(data):
    """[(base offset, [values])] of uncompressed batches; checks each CRC."""
    out = []
    while data:
        base, length = struct.unpack_from(">qi", data)
        whole, data = data[:12 + length], data[12 + length:]
        assert len(whole) == 12 + length, "a batch is cut"
        assert crc32c(whole[21:]) == struct.unpack_from(">I", whole, 17)[0], "CRC"
        count = struct.unpack_from(">i", whole, 57)[0]
        out.append((base, count))
    return out


def gzip_(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def snappy(data):
    """One literal is a snappy block, too."""
    length, out = len(data), b""
    while length >= 128:
        out += bytes((length & 127 | 128,))
        length >>= 7
    out += bytes((length,))
    return out + bytes((61 << 2,)) + struct.pack("<H", len(data) - 1) + data


def lz4(data):
    """A frame with one uncompressed block."""
    return (b"\x04\x22\x4d\x18\x60\x40\x82" + struct.pack("<I", len(data) | 0x80000000) + data + b"\0\0\0\0")


def zstd(data):
    """A frame with one raw block."""
    return (b"\x28\xb5\x2f\xfd\x60" + struct.pack("<H", len(data) - 256) +
            struct.pack("<I", len(data) << 3 | 1)[:3] + data)


# --- reading everything -----------------------------------------------------

def drain(fd):
    """All bytes up to the end; fd is O_NONBLOCK."""
    data = b""
    while True:
        try:
            part = os.read(fd, 1 << 20)
        except BlockingIOError:
            return data
        if not part:
            return data
        data += part


def lines_of(path):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return drain(fd)
    finally:
        os.close(fd)


def records_of(path):
    fd = open_(path, os.O_RDONLY | os.O_NONBLOCK, RECORD)
    out = []
    try:
        while True:
            try:
                out.append(parse_record(os.read(fd, 4 << 20)))
            except BlockingIOError:
                return out
    finally:
        os.close(fd)
