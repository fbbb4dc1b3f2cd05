# SPDX-License-Identifier: GPL-2.0-only
"""Consumer groups over a socket, written out from the protocol guide: each
request in any version, answers as they come, one error code each. Nothing here
is shared with the module, and nothing behaves: the tests do."""
import struct

from listener_client import Connection, array, blob, string

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN, HEARTBEAT, LEAVE, SYNC = 8, 9, 10, 11, 12, 13, 14
DESCRIBE, LIST, DELETE_GROUPS, OFFSET_DELETE = 15, 16, 42, 47


def compact(text):
    return b"\0" if text is None else bytes([len(text) + 1]) + text.encode()


def compact_array(items):
    return b"\0" if items is None else bytes([len(items) + 1]) + b"".join(items)


def compact_string(reader):
    length = reader.take("B")
    return None if not length else reader.bytes(length - 1).decode()


def subscription(*topics):
    """What a consumer says of itself in a JoinGroup."""
    return struct.pack(">h", 0) + array([string(t) for t in topics]) + blob(None)


class Groups(Connection):
    """send_x() without waiting, receive_x(), and x() which does both."""

    def send_find(self, key, kind=0, version=2):
        if version >= 4:
            body = struct.pack(">b", kind) + compact_array([compact(k) for k in key]) + b"\0"
        elif version == 3:
            body = compact(key) + struct.pack(">b", kind) + b"\0"
        else:
            body = string(key) + (struct.pack(">b", kind) if version else b"")
        self.send(FIND_COORDINATOR, version, (b"\0" if version >= 3 else b"") + body)

    def find(self, key, kind=0, version=2):
        """(error, node, host, port), from version 4 on {key: that}"""
        self.send_find(key, kind, version)
        reader = self.receive()
        if version >= 3:
            reader.take("B")
        if version:
            reader.take("i")
        if version >= 4:
            found = {}
            for _ in range(reader.take("B") - 1):
                name, node, host = compact_string(reader), reader.take("i"), compact_string(reader)
                port, error = reader.take("ih")
                compact_string(reader)
                reader.take("B")
                found[name] = (error, node, host, port)
            reader.take("B")
            reader.end()
            return found
        error = reader.take("h")
        if version == 3:
            compact_string(reader)
            node, host = reader.take("i"), compact_string(reader)
        else:
            if version:
                reader.string()
            node, host = reader.take("i"), reader.string()
        port = reader.take("i")
        if version == 3:
            reader.take("B")
        reader.end()
        return error, node, host, port

    def send_join(self, group, member="", protocols=(("range", b"m"),), session=30000, rebalance=60000,
                  instance=None, kind="consumer", version=5):
        body = string(group) + struct.pack(">i", session)
        if version >= 1:
            body += struct.pack(">i", rebalance)
        body += string(member)
        if version >= 5:
            body += string(instance)
        self.send(JOIN, version, body + string(kind) + array([string(name) + blob(data) for name, data in protocols]))

    def receive_join(self, version=5):
        """{error, generation, protocol, leader, member, members: {id: metadata}, instances: {id: instance}}"""
        reader = self.receive()
        if version >= 2:
            reader.take("i")
        answer = dict(zip(("error", "generation"), reader.take("hi")))
        for field in ("protocol", "leader", "member"):
            answer[field] = reader.string()
        answer["members"], answer["instances"] = {}, {}
        for _ in range(reader.take("i")):
            member = reader.string()
            if version >= 5:
                answer["instances"][member] = reader.string()
            answer["members"][member] = reader.bytes(reader.take("i"))
        reader.end()
        return answer

    def join(self, group, *args, version=5, **options):
        self.send_join(group, *args, version=version, **options)
        return self.receive_join(version)

    def join_new(self, group, **options):
        """Also for versions in which a new member is told its id first."""
        answer = self.join(group, **options)
        return self.join(group, answer["member"], **options) if answer["error"] == 79 else answer

    def member_body(self, group, generation, member, instance, version, since=3):
        return string(group) + struct.pack(">i", generation) + string(member) + (string(instance) if version >= since else b"")

    def send_sync(self, group, generation, member, assignments=None, instance=None, version=3):
        body = self.member_body(group, generation, member, instance, version)
        self.send(SYNC, version, body + array([string(m) + blob(a) for m, a in (assignments or {}).items()]))

    def receive_sync(self, version=3):
        """(error, assignment)"""
        reader = self.receive()
        if version >= 1:
            reader.take("i")
        answer = reader.take("h"), reader.bytes(reader.take("i"))
        reader.end()
        return answer

    def sync(self, group, generation, member, *args, version=3, **options):
        self.send_sync(group, generation, member, *args, version=version, **options)
        return self.receive_sync(version)

    def send_heartbeat(self, group, generation, member, instance=None, version=3):
        self.send(HEARTBEAT, version, self.member_body(group, generation, member, instance, version))

    def receive_heartbeat(self, version=3):
        reader = self.receive()
        if version >= 1:
            reader.take("i")
        error = reader.take("h")
        reader.end()
        return error

    def heartbeat(self, *args, version=3, **options):
        self.send_heartbeat(*args, version=version, **options)
        return self.receive_heartbeat(version)

    def leave(self, group, member, instance=None, version=3):
        """The error; from version 3 on (error, [(member, instance, error)])"""
        return self.leave_all(group, [(member, instance)], version)

    def leave_all(self, group, members, version=3):
        body = string(group)
        if version >= 3:
            body += array([string(member) + string(instance) for member, instance in members])
        else:
            body += string(members[0][0])
        self.send(LEAVE, version, body)
        reader = self.receive()
        if version >= 1:
            reader.take("i")
        answer = reader.take("h")
        if version >= 3:
            answer = answer, reader.array(lambda: (reader.string(), reader.string(), reader.take("h")))
        reader.end()
        return answer

    # --- offsets --------------------------------------------------------------

    def send_commit(self, group, offsets, generation=-1, member="", instance=None, retention=-1, version=7):
        """offsets: {topic: {partition: offset, or (offset, metadata, epoch)}}"""
        body = self.member_body(group, generation, member, instance, version, 7)
        if version <= 4:
            body += struct.pack(">q", retention)

        def partition(index, what):
            offset, metadata, epoch = what if isinstance(what, tuple) else (what, "", -1)
            return struct.pack(">iq", index, offset) + (struct.pack(">i", epoch) if version >= 6 else b"") + string(metadata)
        body += array([string(t) + array([partition(*p) for p in parts.items()]) for t, parts in offsets.items()])
        self.send(OFFSET_COMMIT, version, body)

    def receive_commit(self, version=7):
        """{(topic, partition): error}"""
        reader, result = self.receive(), {}
        if version >= 3:
            reader.take("i")
        for _ in range(reader.take("i")):
            name = reader.string()
            for _ in range(reader.take("i")):
                index, result[(name, index)] = reader.take("ih")
        reader.end()
        return result

    def commit(self, group, offsets, version=7, **options):
        self.send_commit(group, offsets, version=version, **options)
        return self.receive_commit(version)

    def committed(self, group, topics, version=5):
        """(error, {(topic, partition): (offset, epoch, metadata, error)}); topics: {name: [partition]} or None"""
        if version >= 6:
            body = b"\0" + compact(group) + compact_array(None if topics is None else [
                compact(t) + compact_array([struct.pack(">i", p) for p in parts]) + b"\0" for t, parts in topics.items()])
            body += (b"\1" if version >= 7 else b"") + b"\0"
        else:
            body = string(group) + (struct.pack(">i", -1) if topics is None else array(
                [string(t) + array([struct.pack(">i", p) for p in parts]) for t, parts in topics.items()]))
        self.send(OFFSET_FETCH, version, body)
        reader, result, error = self.receive(), {}, 0
        flexible = version >= 6

        def count():
            return reader.take("B") - 1 if flexible else reader.take("i")

        def text():
            return compact_string(reader) if flexible else reader.string()
        if flexible:
            reader.take("B")
        if version >= 3:
            reader.take("i")
        for _ in range(count()):
            name = text()
            for _ in range(count()):
                index, offset = reader.take("iq")
                epoch = reader.take("i") if version >= 5 else -1
                metadata = text()
                result[(name, index)] = (offset, epoch, metadata, reader.take("h"))
                if flexible:
                    reader.take("B")
            if flexible:
                reader.take("B")
        if version >= 2:
            error = reader.take("h")
        if flexible:
            reader.take("B")
        reader.end()
        return error, result

    def offset_of(self, group, topic, partition=0):
        return self.committed(group, {topic: [partition]})[1][(topic, partition)][0]

    def delete_offsets(self, group, topics):
        """(error, {(topic, partition): error})"""
        self.send(OFFSET_DELETE, 0, string(group) + array(
            [string(t) + array([struct.pack(">i", p) for p in parts]) for t, parts in topics.items()]))
        reader, result = self.receive(), {}
        error, _ = reader.take("hi")
        for _ in range(reader.take("i")):
            name = reader.string()
            for _ in range(reader.take("i")):
                index, result[(name, index)] = reader.take("ih")
        reader.end()
        return error, result

    # --- looks ------------------------------------------------------------------

    def describe(self, group, version=4, operations=False):
        return self.describe_all([group], version, operations)[0]

    def describe_all(self, groups, version=4, operations=False):
        """[{error, group, state, kind, protocol, members: {id: (instance, client, host, metadata, assignment)}, operations}]"""
        self.send(DESCRIBE, version, array([string(g) for g in groups]) + (struct.pack(">?", operations) if version >= 3 else b""))
        reader = self.receive()
        if version >= 1:
            reader.take("i")

        def member():
            name = reader.string()
            instance = reader.string() if version >= 4 else None
            return name, (instance, reader.string(), reader.string(), reader.bytes(reader.take("i")), reader.bytes(reader.take("i")))

        def one():
            found = {"error": reader.take("h")}
            for field in ("group", "state", "kind", "protocol"):
                found[field] = reader.string()
            found["members"] = dict(reader.array(member))
            found["operations"] = reader.take("i") if version >= 3 else None
            return found
        answer = reader.array(one)
        reader.end()
        return answer

    def state(self, group):
        return self.describe(group)["state"]

    def groups(self, version=2):
        """(error, {group: protocol type})"""
        self.send(LIST, version, b"")
        reader = self.receive()
        if version >= 1:
            reader.take("i")
        answer = reader.take("h"), dict(reader.array(lambda: (reader.string(), reader.string())))
        reader.end()
        return answer

    def delete(self, *groups, version=1):
        """{group: error}"""
        self.send(DELETE_GROUPS, version, array([string(g) for g in groups]))
        reader = self.receive()
        reader.take("i")
        answer = dict(reader.array(lambda: (reader.string(), reader.take("h"))))
        reader.end()
        return answer
