# SPDX-License-Identifier: GPL-2.0-only
"""A small netlink client for the selftests.

It shares nothing with the tools: numbers come from the UAPI header, messages
are put together byte by byte, so that wrong ones can be sent as well.
"""
import errno
import os
import re
import select
import socket
import struct
import time

TOP = os.environ.get("KBROKER_TOP") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

NETLINK_GENERIC = 16
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 1, 11, 12
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLM_F_DUMP_INTR, NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x10, 0x100, 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 3
NLA_F_NESTED, NLA_TYPE_MASK = 0x8000, 0x3fff


def constants(path):
    """The #defines and enums of a UAPI header."""
    found = {}
    with open(os.path.join(TOP, path), encoding="utf-8") as stream:
        text = re.sub(r"/\*.*?\*/", "", stream.read(), flags=re.S)
    for name, value in re.findall(r"^#define\s+(KBROKER_\w+)\s+(\d+|\".*?\")\s*$", text, re.M):
        found[name] = value[1:-1] if value[0] == '"' else int(value)
    for body in re.findall(r"enum[^{;]*\{(.*?)\}", text, re.S):
        number = 0
        for entry in body.split(","):
            entry = entry.strip()
            if not entry or "(" in entry:
                continue
            name, _, value = (part.strip() for part in entry.partition("="))
            if value:
                number = int(value, 0)
            found[name] = number
            number += 1
    return found


K = constants("uapi/linux/kbroker_netlink.h")


def attr(kind, data, nested=False):
    """One attribute, padded."""
    if isinstance(data, str):
        data = data.encode() + b"\0"
    kind |= NLA_F_NESTED if nested else 0
    return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def u16(kind, value):
    return attr(kind, struct.pack(">H", value))


def u32(kind, value):
    return attr(kind, struct.pack(">I", value & 0xffffffff))


def s64(kind, value):
    return attr(kind, struct.pack(">q", value))


def config(kind, name, value=None):
    inner = attr(K["KBROKER_A_CONFIG_NAME"], name)
    if value is not None:
        inner += attr(K["KBROKER_A_CONFIG_VALUE"], value)
    return attr(kind, inner, nested=True)


def walk(data):
    """(type, payload, offset) of each attribute."""
    pos = 0
    while pos + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, pos)
        if size < 4 or pos + size > len(data):
            return
        yield kind & NLA_TYPE_MASK, data[pos + 4:pos + size], pos
        pos += (size + 3) & ~3


def parse(data):
    """The first attribute of each type."""
    found = {}
    for kind, payload, _ in walk(data):
        found.setdefault(kind, payload)
    return found


def text(payload):
    return payload.rstrip(b"\0").decode()


def be(payload, signed=False):
    return int.from_bytes(payload, "big", signed=signed)


class Refused(Exception):
    """The kernel refused: errno, its sentence, type of the attribute or None, type of a missing one or None."""

    def __init__(self, code, sentence, kind, missing):
        super().__init__(f"{errno.errorcode.get(code, code)}: {sentence} (attribute {kind}, missing {missing})")
        self.errno, self.sentence, self.kind, self.missing = code, sentence, kind, missing


class Client:
    """A socket of the family."""

    def __init__(self, group=None):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.sock.bind((0, 0))
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.seq = int(time.time()) & 0xffff
        self.interrupted = False
        self.pending = []
        self.family, self.groups = GENL_ID_CTRL, {}
        self.resolve()
        if group:
            self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, self.groups[group])

    def close(self):
        self.sock.close()

    def resolve(self):
        answer = self.ask(CTRL_CMD_GETFAMILY, attr(2, K["KBROKER_FAMILY_NAME"]))[0][1]
        for kind, payload, _ in walk(answer):
            if kind == 1:
                self.family = struct.unpack("=H", payload)[0]
            elif kind == 7:
                for _, group, _ in walk(payload):
                    fields = parse(group)
                    self.groups[text(fields[1])] = struct.unpack("=I", fields[2])[0]

    def send(self, cmd, payload, flags):
        self.seq += 1
        body = struct.pack("=BBH", cmd, 1, 0) + payload
        head = struct.pack("=IHHII", len(body) + 16, self.family, NLM_F_REQUEST | flags, self.seq, 0)
        self.sock.send(head + body)
        return head + body

    def messages(self, wait=None):
        """What one recv() brings: (type, flags, seq, body)."""
        if wait is not None and not select.select([self.sock], [], [], wait)[0]:
            return
        data = self.sock.recv(1 << 20)
        pos = 0
        while pos + 16 <= len(data):
            size, kind, flags, seq, _ = struct.unpack_from("=IHHII", data, pos)
            yield kind, flags, seq, data[pos + 16:pos + size]
            pos += (size + 3) & ~3

    def refusal(self, request, flags, body, skip, echo):
        code = -struct.unpack_from("=i", body)[0]
        sentence, kind, missing = "", None, None
        if echo and not flags & NLM_F_CAPPED:
            skip += (len(request) - 16 + 3) & ~3
        if flags & NLM_F_ACK_TLVS:
            fields = parse(body[skip:])
            sentence = text(fields.get(1, b""))
            if 2 in fields:
                offset = struct.unpack("=I", fields[2])[0]
                kind = struct.unpack_from("=H", request, offset + 2)[0] & NLA_TYPE_MASK
            if 5 in fields:
                missing = struct.unpack("=I", fields[5])[0]
        return Refused(code, sentence, kind, missing)

    def ask(self, cmd, payload=b"", flags=NLM_F_ACK):
        """Send a request; the answers as (command, attributes)."""
        request = self.send(cmd, payload, flags)
        answers = []
        self.interrupted = False
        while True:
            for kind, got, seq, body in list(self.messages()):
                if seq != self.seq:
                    self.pending.append((kind, body))
                    continue
                self.interrupted |= bool(got & NLM_F_DUMP_INTR)
                if kind == NLMSG_ERROR:
                    if struct.unpack_from("=i", body)[0]:
                        raise self.refusal(request, got, body, 20, True)
                    return answers
                if kind == NLMSG_DONE:
                    if len(body) >= 4 and struct.unpack_from("=i", body)[0]:
                        raise self.refusal(request, got, body, 4, False)
                    return answers
                answers.append((body[0], body[4:]))

    def dump(self, cmd, payload=b"", tries=20):
        """A consistent dump: the attributes of each message."""
        for _ in range(tries):
            answers = self.ask(cmd, payload, NLM_F_DUMP)
            if not self.interrupted:
                return [parse(body) for _, body in answers]
        raise TimeoutError("every dump was interrupted")

    def get(self, cmd, payload=b""):
        return parse(self.ask(cmd, payload)[0][1])

    def events(self, wait=2.0):
        """Events as they come, until none comes for @wait seconds."""
        while True:
            got = False
            for kind, _, _, body in self.messages(wait):
                got = True
                if kind == self.family:
                    yield body[0], parse(body[4:])
            if not got:
                return

    def wait_op(self, op_id, seconds=120):
        """Wait for the end of an operation: its attributes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            op = self.get(K["KBROKER_CMD_OP_GET"], u32(K["KBROKER_A_OP_ID"], op_id))
            if op[K["KBROKER_A_OP_STATE"]][0] >= K["KBROKER_OP_STATE_DONE"]:
                return op
            time.sleep(0.02)
        raise TimeoutError(f"operation {op_id} does not end")
