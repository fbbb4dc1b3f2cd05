#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""libkbroker's members of a group (<kbroker/member.h>), as a program that is linked
with it sees them."""
import ctypes

from device_lib import *

LIBRARY = os.path.join(os.path.dirname(shutil.which("kbroker")), "libkbroker.so.0")
lib = ctypes.CDLL(LIBRARY)


class Message(ctypes.Structure):
    _fields_ = [("key", ctypes.c_void_p), ("key_len", ctypes.c_size_t), ("value", ctypes.c_void_p),
                ("value_len", ctypes.c_size_t), ("headers", ctypes.c_void_p), ("headers_len", ctypes.c_size_t),
                ("headers_count", ctypes.c_uint32), ("partition", ctypes.c_int32), ("offset", ctypes.c_int64),
                ("timestamp", ctypes.c_int64), ("leader_epoch", ctypes.c_int32)]


class Config(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("mount", ctypes.c_char_p), ("max_poll_ms", ctypes.c_uint32)]


class Header(ctypes.Structure):
    _fields_ = [("key", ctypes.c_void_p), ("key_len", ctypes.c_size_t), ("value", ctypes.c_void_p), ("value_len", ctypes.c_size_t)]


def text(pointer, length):
    return None if pointer is None else ctypes.string_at(pointer, length)


class Member:
    def __init__(self, name, group, max_poll_ms=0):
        self.member = ctypes.c_void_p()
        config = Config(ctypes.sizeof(Config), None, max_poll_ms)
        self.error = lib.kbroker_member_open(ctypes.byref(self.member), name, group, ctypes.byref(config))

    def poll(self, ms=0):
        message = Message()
        ret = lib.kbroker_member_poll(self.member, ctypes.byref(message), ms)
        return message if ret == 1 else ret

    def commit(self):
        return lib.kbroker_member_commit(self.member)

    def close(self):
        lib.kbroker_member_close(self.member)


def main():
    nodes = topic("l", 2)
    fd = open_(nodes[0], os.O_WRONLY, RECORD)
    os.write(fd, record(b"value", b"key", [(b"name", b"header"), (b"none", None)], timestamp=1234))
    os.write(fd, record(None))
    os.write(fd, record(b"x" * 200000))
    os.close(fd)
    equal("a group without a name", Member(b"l", b"").error, -errno.EINVAL)
    equal("a topic that is not there", Member(b"none", b"g").error, -errno.ENOENT)
    member = Member(b"l", b"a/b")
    equal("a member", member.error, 0)
    message = member.poll()
    equal("a record", (text(message.key, message.key_len), text(message.value, message.value_len), message.partition,
                       message.offset, message.timestamp), (b"key", b"value", 0, 0, 1234))
    headers, at, header = [], ctypes.c_size_t(0), Header()
    while lib.kbroker_header_next(ctypes.byref(message), ctypes.byref(at), ctypes.byref(header)) == 1:
        headers.append((text(header.key, header.key_len), text(header.value, header.value_len)))
    equal("its headers", headers, [(b"name", b"header"), (b"none", None)])
    message = member.poll()
    equal("null is null", (message.key, message.value, message.offset), (None, None, 1))
    message = member.poll()
    equal("a large one", (message.value_len, message.offset), (200000, 2))
    equal("nothing more", member.poll(30), 0)
    other = Member(b"l", b"a/b")
    equal("two members share", sorted(share(lib.kbroker_member_fd(m.member))["count"] for m in (member, other)), [1, 1])
    waiting = Thread(lambda: (member.poll(-1), other.poll(0)))
    writer = os.open(nodes[share(lib.kbroker_member_fd(member.member))["partitions"][0]], os.O_WRONLY)
    os.write(writer, b"woken\n")
    message, nothing = waiting.result()
    equal("one that waits is woken", (text(message.value, message.value_len), nothing), (b"woken", 0))
    member.close()
    message = other.poll(60000)
    equal("what it did not count goes to the other", text(message.value, message.value_len), b"woken")
    equal("which commits it", other.commit(), 0)
    os.close(writer)
    other.close()
    member = Member(b"l", b"a/b", 20)
    equal("nothing is left", member.poll(), 0)
    writer = os.open(nodes[0], os.O_WRONLY)
    os.write(writer, b"slow\n")
    member.poll(60000)
    say(wait_for(lambda: not share(lib.kbroker_member_fd(member.member))["count"]), "who is slow loses its partitions")
    equal("is told", member.poll(), -errno.ESTALE)
    message = member.poll(60000)
    equal("and goes on", text(message.value, message.value_len), b"slow")
    os.close(writer)
    kbroker("topic", "delete", "l")
    equal("the topic is gone", member.poll(-1), -errno.ENODEV)
    member.close()


run(main)
