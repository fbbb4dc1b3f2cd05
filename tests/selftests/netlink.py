#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The netlink family: what it answers, and how it refuses what is wrong.

Messages are made byte by byte (nlclient.py), since the tools send only correct
ones. Each refusal must name its rule, and its attribute where there is one.
"""
import ctypes
import errno
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nlclient
from nlclient import K, NLM_F_ACK, NLM_F_DUMP, Client, Refused, attr, be, config, s64, text, u16, u32

DIR = "/var/lib/kbroker/netlink"
B, T, P, H, C = (f"KBROKER_A_{name}_" for name in ("BROKER", "TOPIC", "PARTITION", "HANDLE", "CONFIG_ENTRY"))

count = failed = 0


def ok(name, good, *diagnostics):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    if not good:
        for line in diagnostics:
            print(f"#   {line}")
    sys.stdout.flush()
    return good


def cmd(name):
    return K["KBROKER_CMD_" + name]


def refused(name, codes, sentence, command, payload=b"", kind=None, missing=None, flags=NLM_F_ACK, who=None):
    """The request must be refused: with one of the errnos, a sentence that contains a text, and for an attribute."""
    codes = codes if isinstance(codes, tuple) else (codes,)
    try:
        answers = (who or nl).ask(command, payload, flags)
    except Refused as refusal:
        good = refusal.errno in codes and sentence.lower() in refusal.sentence.lower()
        # Linux 6.1 does not pass on which attribute a dump was refused for
        good = good and (kind is None or refusal.kind == kind or (flags & NLM_F_DUMP and refusal.kind is None))
        good = good and (missing is None or refusal.missing == missing)
        ok(name, good, str(refusal), f"wanted {codes}, \"{sentence}\", attribute {kind}, missing {missing}")
        return
    ok(name, False, f"it was accepted: {answers}")


def change(command, payload, op_attr):
    """A change that must be accepted; its operation once it has ended."""
    return nl.wait_op(be(nl.get(command, payload)[K[op_attr]]))


def done(name, op):
    good = op[K["KBROKER_A_OP_STATE"]][0] == K["KBROKER_OP_STATE_DONE"]
    return ok(name, good, op.get(K["KBROKER_A_OP_ERROR"]), op.get(K["KBROKER_A_OP_MESSAGE"]))


def start(name="kbroker"):
    shutil.rmtree(DIR, ignore_errors=True)
    os.makedirs(DIR)
    payload = attr(K[B + "NAME"], name) + attr(K[B + "DIR"], DIR)
    return change(cmd("BROKER_NEW"), payload, B + "OP_ID")


def stop():
    return change(cmd("BROKER_DEL"), b"", B + "OP_ID")


def create(name, partitions=1, extra=b""):
    payload = attr(K[T + "NAME"], name) + u32(K[T + "PARTITIONS"], partitions) + extra
    return change(cmd("TOPIC_NEW"), payload, T + "OP_ID")


def partition_request(topic, index, log_start=None):
    payload = attr(K[P + "TOPIC"], topic) + u32(K[P + "INDEX"], index)
    return payload + (s64(K[P + "LOG_START"], log_start) if log_start is not None else b"")


def test_without_broker():
    module = nl.get(cmd("MODULE_GET"))
    ok("the module tells its version", text(module[K["KBROKER_A_MODULE_VERSION"]])[0].isdigit(), module)
    ok("and its features", be(module[K["KBROKER_A_MODULE_FEATURES"]]) & 7 == 7, module)
    ok("no broker: the dump is empty", nl.dump(cmd("BROKER_GET")) == [])
    ok("no broker: so is that of topics", nl.dump(cmd("TOPIC_GET")) == [])
    refused("no broker: there is none to show", errno.ENODEV, "no broker runs", cmd("BROKER_GET"))
    refused("no broker: no topic is created", errno.ENODEV, "no broker runs", cmd("TOPIC_NEW"),
            attr(K[T + "NAME"], "orders"))
    refused("no broker: there is none to stop", errno.ENODEV, "no broker runs", cmd("BROKER_DEL"))
    refused("no broker: the dump of one topic is refused", errno.ENODEV, "no broker runs", cmd("PARTITION_GET"),
            attr(K[P + "TOPIC"], "orders"), flags=NLM_F_DUMP)


def test_start_refusals():
    new, directory = cmd("BROKER_NEW"), attr(K[B + "DIR"], DIR)
    refused("start: the directory is missing", errno.EINVAL, "needs a directory", new, missing=K[B + "DIR"])
    refused("start: the directory is relative", errno.EINVAL, "absolute", new, attr(K[B + "DIR"], "kbroker"),
            kind=K[B + "DIR"])
    refused("start: the directory does not exist", errno.ENOENT, "", new, attr(K[B + "DIR"], "/nowhere/kbroker"),
            kind=K[B + "DIR"])
    refused("start: the directory is a file", errno.ENOTDIR, "", new, attr(K[B + "DIR"], "/etc/passwd"))
    refused("start: the path is too long", (errno.ERANGE, errno.EINVAL), "attribute", new,
            attr(K[B + "DIR"], "/" + "x" * 4095), kind=K[B + "DIR"])
    refused("start: the name is too long", (errno.ERANGE, errno.EINVAL), "attribute", new,
            directory + attr(K[B + "NAME"], "x" * 32), kind=K[B + "NAME"])
    refused("start: the name has a slash", errno.EINVAL, "", new, directory + attr(K[B + "NAME"], "a/b"))
    refused("start: the name is empty", errno.EINVAL, "", new, directory + attr(K[B + "NAME"], ""))
    refused("start: the directory is given twice", errno.EINVAL, "twice", new, directory * 2, kind=K[B + "DIR"])
    refused("start: an attribute is unknown", errno.EINVAL, "unknown attribute", new, directory + u32(60, 1), kind=60)
    refused("start: an attribute belongs to replies", errno.EINVAL, "unsupported attribute", new,
            directory + attr(K[B + "STATE"], b"\1"), kind=K[B + "STATE"])
    refused("start: the id is too large", errno.ERANGE, "out of range", new, directory + u32(K[B + "ID"], 1 << 31),
            kind=K[B + "ID"])
    refused("start: the id is too short", (errno.EINVAL, errno.ERANGE), "attribute", new,
            directory + attr(K[B + "ID"], b"\0\1"), kind=K[B + "ID"])
    refused("start: the id is too long", (errno.EINVAL, errno.ERANGE), "attribute", new,
            directory + attr(K[B + "ID"], b"\0" * 8), kind=K[B + "ID"])
    refused("start: the mode has more than permission bits", errno.ERANGE, "out of range", new,
            directory + u16(K[B + "MODE"], 0o1777), kind=K[B + "MODE"])
    refused("start: the owner is nobody at all", errno.EINVAL, "no user id", new,
            directory + u32(K[B + "UID"], 0xffffffff), kind=K[B + "UID"])
    refused("start: the group is none at all", errno.EINVAL, "no group id", new,
            directory + u32(K[B + "GID"], 0xffffffff), kind=K[B + "GID"])
    refused("start: a string has no NUL", (errno.EINVAL, errno.ERANGE), "attribute", new,
            attr(K[B + "DIR"], DIR.encode()), kind=K[B + "DIR"])
    refused("start: a string goes on behind its NUL", errno.EINVAL, "NUL", new,
            attr(K[B + "DIR"], DIR.encode() + b"\0hidden\0"), kind=K[B + "DIR"])
    refused("start: there are bytes behind the attributes", errno.EINVAL, "", new, directory + b"\xff\xff\xff\xff")


def test_config_refusals(command, payload, kind, what):
    name, value = K["KBROKER_A_CONFIG_NAME"], K["KBROKER_A_CONFIG_VALUE"]

    def bad(title, code, sentence, inner, nested=True):
        refused(f"{what}: {title}", code, sentence, command, payload + attr(kind, inner, nested))

    bad("a config has no name", errno.EINVAL, "needs a name", attr(value, "1"))
    bad("the name of a config is empty", errno.EINVAL, "empty", attr(name, "") + attr(value, "1"))
    bad("a config has two values", errno.EINVAL, "not several", attr(name, "x") + attr(value, "1") * 2)
    bad("the name of a config is too long", (errno.ERANGE, errno.EINVAL), "attribute", attr(name, "x" * 64))
    bad("the value of a config is too long", (errno.ERANGE, errno.EINVAL), "attribute",
        attr(name, "x") + attr(value, "x" * 1024))
    bad("a config has an unknown attribute", errno.EINVAL, "unknown attribute",
        attr(name, "x") + attr(value, "1") + attr(9, b"1"))
    bad("a config is no nest", errno.EINVAL, "nested", attr(name, "x") + attr(value, "1"), nested=False)
    refused(f"{what}: a config is given twice", errno.EINVAL, "given twice", command,
            payload + config(kind, "num.partitions", "2") * 2)
    refused(f"{what}: there is no such config", errno.EINVAL, "no.such.config", command,
            payload + config(kind, "no.such.config", "1"), kind=kind)
    refused(f"{what}: more configs than there are", (errno.E2BIG, errno.EINVAL), "config", command,
            payload + b"".join(config(kind, f"c{n}", "1") for n in range(200)))


def test_broker():
    done("a broker starts", start())
    refused("a second one in this namespace", errno.EEXIST, "", cmd("BROKER_NEW"),
            attr(K[B + "DIR"], DIR) + attr(K[B + "NAME"], "other"))
    broker = nl.get(cmd("BROKER_GET"))
    ok("it shows its name, directory and state",
       text(broker[K[B + "NAME"]]) == "kbroker" and text(broker[K[B + "DIR"]]) == DIR and
       broker[K[B + "STATE"]][0] == K["KBROKER_BROKER_STATE_RUNNING"], broker)
    device = os.stat(DIR).st_dev
    ok("and the file system it keeps mounted",
       text(broker[K[B + "DEVICE"]]) == f"{os.major(device)}:{os.minor(device)}", broker)
    ok("the dump says the same", [text(b[K[B + "NAME"]]) for b in nl.dump(cmd("BROKER_GET"))] == ["kbroker"])
    pins = [nlclient.parse(payload) for kind, payload, _ in nlclient.walk(nl.ask(cmd("MODULE_GET"))[0][1])
            if kind == K["KBROKER_A_MODULE_PIN"]]
    ok("the module names it", [text(pin[K["KBROKER_A_PIN_NAME"]]) for pin in pins] == ["kbroker"], pins)
    refused("another name is not it", errno.ENOENT, "another name", cmd("BROKER_GET"), attr(K[B + "NAME"], "other"),
            kind=K[B + "NAME"])
    refused("nor in a dump", errno.ENOENT, "another name", cmd("TOPIC_GET"), attr(K[T + "BROKER"], "other"),
            flags=NLM_F_DUMP, kind=K[T + "BROKER"])
    refused("a dump of a topic that there is not", errno.ENOENT, "no such topic", cmd("TOPIC_GET"),
            attr(K[T + "NAME"], "nothing"), flags=NLM_F_DUMP, kind=K[T + "NAME"])
    refused("a dump with an attribute twice", errno.EINVAL, "twice", cmd("TOPIC_GET"),
            attr(K[T + "BROKER"], "kbroker") * 2, flags=NLM_F_DUMP, kind=K[T + "BROKER"])
    refused("a dump with an unknown attribute", errno.EINVAL, "unknown attribute", cmd("TOPIC_GET"), u32(50, 1),
            flags=NLM_F_DUMP)
    refused("alter: nothing", errno.EINVAL, "changes nothing", cmd("BROKER_SET"))
    test_config_refusals(cmd("BROKER_SET"), b"", K[B + "CONFIG"], "alter the broker")
    payload = u16(K[B + "MODE"], 0o640) + config(K[B + "CONFIG"], "num.partitions", "2")
    done("alter: mode and a config", change(cmd("BROKER_SET"), payload, B + "OP_ID"))
    broker = nl.get(cmd("BROKER_GET"))
    ok("both are in effect", be(broker[K[B + "MODE"]]) == 0o640 and K[B + "CONFIG"] in broker, broker)
    configs = {text(c[K[C + "NAME"]]): c for c in nl.dump(cmd("CONFIG_GET"))}
    entry = configs["num.partitions"]
    ok("the dump of configs tells value, default and source",
       (text(entry[K[C + "VALUE"]]), text(entry[K[C + "DEFAULT"]]), entry[K[C + "SOURCE"]][0]) ==
       ("2", "1", K["KBROKER_CONFIG_SOURCE_BROKER"]), entry)
    done("a config without a value goes back",
         change(cmd("BROKER_SET"), config(K[B + "CONFIG"], "num.partitions"), B + "OP_ID"))
    ok("to the default", K[B + "CONFIG"] not in nl.get(cmd("BROKER_GET")))


def test_topic_refusals():
    new, name = cmd("TOPIC_NEW"), K[T + "NAME"]
    orders = attr(name, "orders")
    refused("create: without a name", errno.EINVAL, "needs a name", new, missing=name)
    for bad, sentence in (("", "empty"), (".", "named"), ("..", "named"), ("a/b", "letters"), ("a b", "letters"),
                          ("größe", "letters"), ("a\nb", "letters")):
        refused(f"create: the name {bad!r}", errno.EINVAL, sentence, new, attr(name, bad), kind=name)
    refused("create: a name of 250 letters", (errno.ERANGE, errno.EINVAL), "attribute", new, attr(name, "x" * 250),
            kind=name)
    for partitions in (0, 10001, 1000000, 0xffffffff):
        refused(f"create: {partitions} partitions", errno.ERANGE, "out of range", new,
                orders + u32(K[T + "PARTITIONS"], partitions), kind=K[T + "PARTITIONS"])
    refused("create: replication factor 0", errno.ERANGE, "out of range", new,
            orders + u16(K[T + "REPLICATION_FACTOR"], 0), kind=K[T + "REPLICATION_FACTOR"])
    refused("create: replication factor 2 of one broker", errno.EINVAL, "", new,
            orders + u16(K[T + "REPLICATION_FACTOR"], 2))
    refused("create: a chosen id", errno.EINVAL, "only a member of a cluster", new,
            orders + attr(K[T + "ID"], b"x" * 16), kind=K[T + "ID"])
    refused("create: a config that makes no sense", errno.EINVAL, "retention.ms", new,
            orders + config(K[T + "CONFIG"], "retention.ms", "soon"), kind=K[T + "CONFIG"])
    refused("create: a config without a value", errno.EINVAL, "needs a value", new,
            orders + config(K[T + "CONFIG"], "retention.ms"))
    test_config_refusals(new, orders, K[T + "CONFIG"], "create")
    ok("nothing of that left a topic", nl.dump(cmd("TOPIC_GET")) == [])


def test_topic():
    done("a topic is created", create("orders", 3, config(K[T + "CONFIG"], "retention.ms", "3600000")))
    refused("create: it exists", errno.EEXIST, "", cmd("TOPIC_NEW"), attr(K[T + "NAME"], "orders"), kind=K[T + "NAME"])
    orders = attr(K[T + "NAME"], "orders")
    topic = nl.get(cmd("TOPIC_GET"), orders)
    ok("it shows partitions, id and owner",
       be(topic[K[T + "PARTITIONS"]]) == 3 and any(topic[K[T + "ID"]]) and be(topic[K[T + "UID"]]) == 0, topic)
    inner = nlclient.parse(topic[K[T + "CONFIG"]])
    ok("and the config that was set", text(inner[K["KBROKER_A_CONFIG_NAME"]]) == "retention.ms" and
       text(inner[K["KBROKER_A_CONFIG_VALUE"]]) == "3600000", inner)
    configs = {text(c[K[C + "NAME"]]): c for c in nl.dump(cmd("CONFIG_GET"), attr(K[C + "TOPIC"], "orders"))}
    ok("the dump of its configs tells sources",
       configs["retention.ms"][K[C + "SOURCE"]][0] == K["KBROKER_CONFIG_SOURCE_TOPIC"] and
       configs["segment.bytes"][K[C + "SOURCE"]][0] == K["KBROKER_CONFIG_SOURCE_DEFAULT"], configs)
    refused("there is no other", errno.ENOENT, "no such topic", cmd("TOPIC_GET"), attr(K[T + "NAME"], "order"),
            kind=K[T + "NAME"])
    refused("alter: nothing", errno.EINVAL, "changes nothing", cmd("TOPIC_SET"), orders)
    refused("alter: fewer partitions", errno.EINVAL, "", cmd("TOPIC_SET"), orders + u32(K[T + "PARTITIONS"], 2))
    payload = orders + u32(K[T + "PARTITIONS"], 5) + u16(K[T + "MODE"], 0o600) + u32(K[T + "UID"], 1000)
    done("alter: partitions, mode, owner", change(cmd("TOPIC_SET"), payload, T + "OP_ID"))
    topic = nl.get(cmd("TOPIC_GET"), orders)
    ok("all are in effect", (be(topic[K[T + "PARTITIONS"]]), be(topic[K[T + "MODE"]]), be(topic[K[T + "UID"]])) ==
       (5, 0o600, 1000), topic)
    done("alter: a config goes back",
         change(cmd("TOPIC_SET"), orders + config(K[T + "CONFIG"], "retention.ms"), T + "OP_ID"))
    ok("it is not set any more", K[T + "CONFIG"] not in nl.get(cmd("TOPIC_GET"), orders))


def test_partition():
    part = nl.get(cmd("PARTITION_GET"), partition_request("orders", 4))
    ok("a partition shows its offsets",
       [be(part[K[P + name]], True) for name in ("LOG_START", "HIGH_WATERMARK", "LOG_END", "SYNCED_END")] == [0] * 4,
       part)
    ok("and that it leads", part[K[P + "STATE"]][0] == K["KBROKER_PARTITION_STATE_LEADER"], part)
    dump = nl.dump(cmd("PARTITION_GET"), attr(K[P + "TOPIC"], "orders"))
    ok("the dump has them in order", [be(p[K[P + "INDEX"]]) for p in dump] == [0, 1, 2, 3, 4], dump)
    dump = nl.dump(cmd("PARTITION_GET"), partition_request("orders", 2))
    ok("the dump of one has that one", [be(p[K[P + "INDEX"]]) for p in dump] == [2], dump)
    refused("there are no more", errno.ENOENT, "fewer partitions", cmd("PARTITION_GET"),
            partition_request("orders", 5), kind=K[P + "INDEX"])
    refused("a number without a topic", errno.EINVAL, "name of a topic", cmd("PARTITION_GET"),
            u32(K[P + "INDEX"], 0), missing=K[P + "TOPIC"])
    refused("a dump of a number without a topic", errno.EINVAL, "without its topic", cmd("PARTITION_GET"),
            u32(K[P + "INDEX"], 0), flags=NLM_F_DUMP, kind=K[P + "INDEX"])
    refused("a number beyond all", errno.ERANGE, "out of range", cmd("PARTITION_GET"),
            partition_request("orders", 10000), kind=K[P + "INDEX"])
    refused("delete records: up to which", errno.EINVAL, "log-start", cmd("PARTITION_SET"),
            partition_request("orders", 0), missing=K[P + "LOG_START"])
    refused("delete records: below everything", errno.EINVAL, "0 or more", cmd("PARTITION_SET"),
            partition_request("orders", 0, -2), kind=K[P + "LOG_START"])
    try:
        op = change(cmd("PARTITION_SET"), partition_request("orders", 0, 1 << 40), P + "OP_ID")
        ok("delete records: beyond the end fails", op[K["KBROKER_A_OP_STATE"]][0] == K["KBROKER_OP_STATE_FAILED"], op)
    except Refused as refusal:
        ok("delete records: beyond the end fails", refusal.errno in (errno.ERANGE, errno.EINVAL), str(refusal))
    done("delete records: up to the high watermark of an empty log",
         change(cmd("PARTITION_SET"), partition_request("orders", 0, -1), P + "OP_ID"))


def test_operations():
    ops = nl.dump(cmd("OP_GET"))
    ids = [be(op[K["KBROKER_A_OP_ID"]]) for op in ops]
    ok("operations are kept, in order", ids == sorted(ids) and len(ids) > 4, ids)
    refused("there is no operation 0", errno.ERANGE, "out of range", cmd("OP_GET"), u32(K["KBROKER_A_OP_ID"], 0))
    refused("nor one of the future", errno.ENOENT, "no such operation", cmd("OP_GET"),
            u32(K["KBROKER_A_OP_ID"], 0x7fffffff), kind=K["KBROKER_A_OP_ID"])


def test_events():
    listener = Client("events")
    create("audit", 2)
    change(cmd("TOPIC_SET"), attr(K[T + "NAME"], "audit") + u16(K[T + "MODE"], 0o644), T + "OP_ID")
    change(cmd("TOPIC_DEL"), attr(K[T + "NAME"], "audit"), T + "OP_ID")
    numbers, reasons, ended = [], [], 0
    forms = {cmd(name + "_NTF"): f"KBROKER_A_{name}_" for name in ("BROKER", "TOPIC", "PARTITION", "OP")}
    for command, fields in listener.events(60):
        prefix = forms[command]
        numbers.append(be(fields[K[prefix + "EVENT_SEQ"]]))
        if command == cmd("TOPIC_NTF") and text(fields[K[T + "NAME"]]) == "audit":
            reasons.append(fields[K[prefix + "EVENT_REASON"]][0])
        if command == cmd("OP_NTF"):
            ended += fields[K["KBROKER_A_OP_STATE"]][0] == K["KBROKER_OP_STATE_DONE"]
        if ended == 3 and len(reasons) == 3:
            break
    ok("events are numbered without gaps", numbers and numbers == list(range(numbers[0], numbers[0] + len(numbers))),
       numbers)
    ok("a topic was created, changed, deleted",
       reasons == [K["KBROKER_REASON_CREATED"], K["KBROKER_REASON_CHANGED"], K["KBROKER_REASON_DELETED"]], reasons)
    ok("and three operations ended", ended == 3, ended)
    ok("and that was all", list(listener.events(0.2)) == [])
    listener.close()


def handles(topic, partition):
    payload = attr(K[H + "TOPIC"], topic) + u32(K[H + "PARTITION"], partition)
    found = [h for h in nl.dump(cmd("HANDLE_GET"), payload) if be(h[K[H + "PID"]]) == os.getpid()]
    return sorted(found, key=lambda h: (K[H + "ALL"] in h, h[K[H + "DIRECTION"]]))


def test_handles():
    mount = "/run/netlink-devices"
    os.makedirs(mount, exist_ok=True)
    ok("the devices are mounted", subprocess.run(["mount", "-t", "kbroker", "kbroker", mount], check=False).returncode == 0)
    writer = os.open(f"{mount}/orders/0", os.O_WRONLY)
    reader = os.open(f"{mount}/orders/0", os.O_RDONLY)
    both = os.open(f"{mount}/orders/all", os.O_RDWR)
    try:
        os.write(writer, b"one\ntwo\nthree\nfour\n")
        os.read(reader, 4)
        found = handles("orders", 0)
        ok("open devices are shown with process and direction",
           [h[K[H + "DIRECTION"]][0] for h in found] == [1, 2, 3] and
           all(text(h[K[H + "COMM"]]).startswith("python") or "netlink" in text(h[K[H + "COMM"]]) for h in found), found)
        at, lag = be(found[0][K[H + "POSITION"]]), be(found[0][K[H + "LAG_RECORDS"]])
        ok("a reader with its position and lag", (at, lag) == (1, 3) and be(found[0][K[H + "LAG_BYTES"]]) > 0 and
           be(found[0][K[H + "LAG_MS"]]) < 60000, found[0])
        ok("a writer with neither", K[H + "POSITION"] not in found[1], found[1])
        ok("and the one of \"all\", which has not read", K[H + "ALL"] in found[2] and
           be(found[2][K[H + "LAG_RECORDS"]]) == 4, found[2])
        ok("\"all\" concerns the other partitions as well", len(handles("orders", 3)) == 1)
        part = nl.get(cmd("PARTITION_GET"), partition_request("orders", 0))
        ok("the partition counts them", (be(part[K[P + "READERS"]]), be(part[K[P + "WRITERS"]])) == (2, 2), part)
        os.read(reader, 4096)
        found = handles("orders", 0)
        ok("at the end there is no lag", [be(found[0][K[H + name]]) for name in ("LAG_RECORDS", "LAG_BYTES", "LAG_MS")] ==
           [0, 0, 0], found[0])
        ok("the broker counts all", be(nl.get(cmd("BROKER_GET"))[K[B + "HANDLES"]]) == 3)
    finally:
        for fd in (writer, reader, both):
            os.close(fd)
        subprocess.run(["umount", mount], check=False)
    ok("closed ones are gone", handles("orders", 0) == [])
    part = nl.get(cmd("PARTITION_GET"), partition_request("orders", 0))
    done("delete records: half of them", change(cmd("PARTITION_SET"), partition_request("orders", 0, 2), P + "OP_ID"))
    part = nl.get(cmd("PARTITION_GET"), partition_request("orders", 0))
    ok("the log starts there", be(part[K[P + "LOG_START"]]) == 2 and be(part[K[P + "LOG_END"]]) == 4, part)


def pins(client):
    answer = client.ask(cmd("MODULE_GET"))[0][1]
    return sorted(text(nlclient.parse(payload)[K["KBROKER_A_PIN_NAME"]]) for kind, payload, _ in nlclient.walk(answer)
                  if kind == K["KBROKER_A_MODULE_PIN"])


def test_namespace():
    """A second broker in a network namespace of its own, which ends with it running."""
    other = "/var/lib/kbroker/netlink-other"
    shutil.rmtree(other, ignore_errors=True)
    os.makedirs(other)
    events = Client("events")
    # what is still to come of what was done before comes before the end of this
    op = change(cmd("BROKER_SET"), u16(K[B + "MODE"], 0o640), B + "OP_ID")[K["KBROKER_A_OP_ID"]]
    for command, fields in events.events(60):
        if command == cmd("OP_NTF") and fields[K["KBROKER_A_OP_ID"]] == op and \
           fields[K["KBROKER_A_OP_STATE"]][0] == K["KBROKER_OP_STATE_DONE"]:
            break
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):  # CLONE_NEWNET
                raise OSError(ctypes.get_errno(), "unshare")
            client = Client()
            seen = [client.dump(cmd("BROKER_GET")), pins(client)]
            answer = client.get(cmd("BROKER_NEW"), attr(K[B + "NAME"], "other") + attr(K[B + "DIR"], other))
            op_id = be(answer[K[B + "OP_ID"]])
            seen += [op_id, client.wait_op(op_id)[K["KBROKER_A_OP_STATE"]][0], pins(client)]
            seen.append(as_nobody(lambda: pins(Client())))
            os.write(writer, repr(seen).encode())
            code = 0
        except Exception as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(code)
    os.close(writer)
    seen = os.read(reader, 65536).decode()
    os.close(reader)
    os.waitpid(pid, 0)
    wanted = [[], ["kbroker"], 1, K["KBROKER_OP_STATE_DONE"], ["kbroker", "other"], "['other']"]
    ok("another namespace has a broker and operations of its own", seen == repr(wanted), seen, wanted)
    ok("whose events stay there", list(events.events(0.2)) == [])
    events.close()
    end = time.monotonic() + 60
    while pins(nl) != ["kbroker"] and time.monotonic() < end:
        time.sleep(0.05)
    ok("its broker ends with it", pins(nl) == ["kbroker"], pins(nl))
    shutil.rmtree(other, ignore_errors=True)


def test_many_partitions():
    done("a topic of 200 partitions", create("wide", 200))
    dump = nl.dump(cmd("PARTITION_GET"))
    wide = [be(p[K[P + "INDEX"]]) for p in dump if text(p[K[P + "TOPIC"]]) == "wide"]
    ok("the dump goes on in the middle of it", wide == list(range(200)), len(wide))
    ok("and has the other topic as well", len(dump) == 205, len(dump))
    done("it is deleted", change(cmd("TOPIC_DEL"), attr(K[T + "NAME"], "wide"), T + "OP_ID"))


def as_nobody(function):
    """Run @function in a process without privileges: what it returns is printed by the parent."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writer, repr(function()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    answer = os.read(reader, 65536).decode()
    os.close(reader)
    os.waitpid(pid, 0)
    return answer


def test_privileges():
    def look():
        client = Client()
        return text(client.get(cmd("BROKER_GET"))[K[B + "NAME"]]), len(client.dump(cmd("TOPIC_GET")))

    ok("nobody may look", as_nobody(look) == "('kbroker', 1)", as_nobody(look))
    name, broker = attr(K[T + "NAME"], "orders"), attr(K[B + "DIR"], DIR)
    for command, payload in (("BROKER_NEW", broker), ("BROKER_SET", u16(K[B + "MODE"], 0o777)), ("BROKER_DEL", b""),
                             ("TOPIC_NEW", attr(K[T + "NAME"], "mine")), ("TOPIC_SET", name + u16(K[T + "MODE"], 0o777)),
                             ("TOPIC_DEL", name), ("PARTITION_SET", partition_request("orders", 0, -1))):
        def attempt(command=command, payload=payload):
            try:
                Client().ask(cmd(command), payload)
            except Refused as refusal:
                return errno.errorcode[refusal.errno]
            return "accepted"
        answer = as_nobody(attempt)
        ok(f"{command} needs privilege", answer == "'EPERM'", answer)

    def handles():
        try:
            Client().ask(cmd("HANDLE_GET"), b"", NLM_F_DUMP)
        except Refused as refusal:
            return errno.errorcode[refusal.errno]
        return "accepted"
    ok("and so does seeing who has what open", as_nobody(handles) == "'EPERM'", as_nobody(handles))


def test_garbage():
    seed = int(os.environ.get("KBROKER_FUZZ_SEED", "1"))
    rng = random.Random(seed)
    wrong = None
    for _ in range(1000):
        payload = b""
        for _ in range(rng.randrange(6)):
            kind = rng.randrange(30)
            body = rng.choice((b"", b"\0", b"orders\0", rng.randbytes(rng.randrange(40)), struct.pack(">I", rng.randrange(9)),
                               attr(rng.randrange(4), rng.randbytes(rng.randrange(9)))))
            payload += attr(kind, body, rng.random() < 0.3)
        if rng.random() < 0.1:
            payload = payload[:rng.randrange(len(payload) + 1)]
        # not those that would do something
        command = rng.choice([c for c in range(K["__KBROKER_CMD_MAX"] + 2) if c not in (cmd("BROKER_DEL"), cmd("TOPIC_DEL"))])
        try:
            nl.ask(command, payload, rng.choice((NLM_F_ACK, NLM_F_DUMP)))
        except Refused as refusal:
            if refusal.errno not in (errno.EINVAL, errno.ERANGE, errno.ENOENT, errno.EEXIST, errno.EOPNOTSUPP,
                                     errno.EBADMSG, errno.ENODEV, errno.E2BIG, errno.EBUSY):
                wrong = str(refusal)
    ok("1000 random requests are answered", wrong is None, wrong, f"seed {seed}")
    ok("and the broker still runs", nl.get(cmd("BROKER_GET"))[K[B + "STATE"]][0] == K["KBROKER_BROKER_STATE_RUNNING"])


def test_parallel():
    """Dumps while topics come and go: each must be one that there was."""
    problems = []
    ended = threading.Event()
    sizes = {be(t[K[T + "PARTITIONS"]]) for t in nl.dump(cmd("TOPIC_GET"))} | {10}

    def churn():
        client = Client()
        try:
            for n in range(8):
                name = f"churn-{n % 3}"
                answer = client.get(cmd("TOPIC_NEW"), attr(K[T + "NAME"], name) + u32(K[T + "PARTITIONS"], 10))
                client.wait_op(be(answer[K[T + "OP_ID"]]))
                answer = client.get(cmd("TOPIC_DEL"), attr(K[T + "NAME"], name))
                client.wait_op(be(answer[K[T + "OP_ID"]]))
        except Exception as error:
            problems.append(f"churn: {error!r}")
        ended.set()

    def look():
        client = Client()
        while not ended.is_set():
            try:
                dump = client.dump(cmd("PARTITION_GET"), tries=1)
            except TimeoutError:
                time.sleep(0.01)
                continue
            except Exception as error:
                problems.append(f"dump: {error!r}")
                return
            topics = {}
            for fields in dump:
                topics.setdefault(text(fields[K[P + "TOPIC"]]), []).append(be(fields[K[P + "INDEX"]]))
            if any(ids != list(range(len(ids))) or len(ids) not in sizes for ids in topics.values()):
                problems.append(str({name: len(ids) for name, ids in topics.items()}))
            time.sleep(0.01)

    threads = [threading.Thread(target=run) for run in (churn, look, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ok("dumps beside changes are consistent", not problems, *problems[:5])


def test_stop():
    done("the broker stops", stop())
    ok("and is gone", nl.dump(cmd("BROKER_GET")) == [])
    done("it starts again under another name", start("kbroker2"))
    ok("and shows it", text(nl.get(cmd("BROKER_GET"))[K[B + "NAME"]]) == "kbroker2")
    done("and stops", stop())


nl = Client()
if nl.dump(cmd("BROKER_GET")):
    stop()
try:
    test_without_broker()
    test_start_refusals()
    os.makedirs(DIR, exist_ok=True)
    test_config_refusals(cmd("BROKER_NEW"), attr(K[B + "DIR"], DIR), K[B + "CONFIG"], "start")
    test_broker()
    test_topic_refusals()
    test_topic()
    test_partition()
    test_operations()
    test_events()
    test_handles()
    test_namespace()
    test_many_partitions()
    test_privileges()
    test_garbage()
    test_parallel()
    test_stop()
finally:
    if nl.dump(cmd("BROKER_GET")):
        stop()
    shutil.rmtree(DIR, ignore_errors=True)
print(f"1..{count}")
sys.exit(failed > 0)
