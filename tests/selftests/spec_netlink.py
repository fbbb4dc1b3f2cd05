#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
"""The netlink family, from Documentation/netlink/specs/kbroker.yaml.

The file is read here, so an operation or attribute that is added to it is
tested as well: each rule of Documentation/netlink.rst is tried on each of
them. What only a reader knows (which attributes an operation cannot do
without, which values make sense) is in tables.
KBROKER_SPEC_LONG makes it try more of everything (spec_long.sh).
"""
import socket
from device_lib import *
from nlclient import (Client, K, NETLINK_GENERIC, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, Refused, TOP, attr, be, parse, text,
                      walk)

LONG = bool(os.environ.get("KBROKER_SPEC_LONG"))
OLD = os.uname().release.startswith("6.1.")     # a dump's refusal has no offset there
SIZES = {"u8": 1, "u16": 2, "u32": 4, "s32": 4, "u64": 8, "s64": 8}


# --- the specification ------------------------------------------------------------

def load_yaml(path):
    """What of YAML the specification uses."""
    rows = []
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            if line.strip() and not line.lstrip().startswith("#"):
                rows.append((len(line) - len(line.lstrip()), line.strip()))
    anchors = {}

    def scalar(word):
        if word.startswith("[") and word.endswith("]"):
            return [scalar(w.strip()) for w in word[1:-1].split(",") if w.strip()]
        if word.startswith("*"):
            return anchors[word[1:]]
        return {"true": True, "false": False}.get(word, int(word) if word.lstrip("-").isdigit() else word)

    def block(at, indent):
        if rows[at][1] == "-" or rows[at][1].startswith("- "):
            out = []
            while at < len(rows) and rows[at][0] == indent and rows[at][1][:1] == "-":
                if rows[at][1] == "-":
                    item, at = block(at + 1, rows[at + 1][0])
                else:
                    item, at = scalar(rows[at][1][2:].strip()), at + 1
                    if isinstance(item, str) and item.startswith("name: "):
                        item = {"name": scalar(item[6:])}
                out.append(item)
            return out, at
        out = {}
        while at < len(rows) and rows[at][0] == indent and rows[at][1][:1] != "-":
            key, _, word = rows[at][1].partition(":")
            word, at = word.strip(), at + 1
            anchor = None
            if word.startswith("&"):
                anchor, _, word = word[1:].partition(" ")
            if word == "|":
                while at < len(rows) and rows[at][0] > indent:
                    at += 1
                value = "..."
            elif word:
                value = scalar(word)
            elif at < len(rows) and rows[at][0] > indent:
                value, at = block(at, rows[at][0])
            else:
                value = None
            out[key] = value
            if anchor:
                anchors[anchor] = value
        return out, at
    return block(0, 0)[0]


SPEC = load_yaml(os.path.join(TOP, "Documentation/netlink/specs/kbroker.yaml"))
CONSTS = {d["name"]: d["value"] for d in SPEC["definitions"] if d["type"] == "const"}
ENUMS = {d["name"]: len(d["entries"]) for d in SPEC["definitions"] if d["type"] in ("enum", "flags")}
RAW = {s["name"]: s for s in SPEC["attribute-sets"]}
SETS = {s["name"]: {a["name"]: a for a in s["attributes"]} for s in SPEC["attribute-sets"]}
OPS = {o["name"]: o for o in SPEC["operations"]["list"]}
REQUESTS = {name: o for name, o in OPS.items() if "do" in o or "dump" in o}


def c_name(*words):
    return "KBROKER_" + "_".join(words).upper().replace("-", "_")


def number(op, name):
    return K[c_name("a", op["attribute-set"], name)]


def cmd(name):
    return K[c_name("cmd", name)]


def limit(value):
    return CONSTS.get(value, value)


def asked(op):
    """The attributes of its request; a dump takes those of the do."""
    return (op.get("do") or op["dump"]).get("request", {}).get("attributes") or []


def whole_set(name):
    """The set that this one is a part of, or itself: numbers and types are there."""
    return RAW[name].get("subset-of", name)


def pack(set_name, name, value):
    """An attribute as its specification has it."""
    set_name = whole_set(set_name)
    what = SETS[set_name][name]
    kind = K[c_name("a", set_name, name)]
    if what["type"] == "nest":
        inner = b"".join(pack(what["nested-attributes"], k, v) for k, v in value.items() if v is not None)
        return attr(kind, inner, nested=True)
    if what["type"] in SIZES:
        return attr(kind, (value & (1 << 8 * SIZES[what["type"]]) - 1).to_bytes(SIZES[what["type"]], "big"))
    return attr(kind, value)


def pad(request, /, **fields):
    return b"".join(pack(OPS[request]["attribute-set"], k.replace("_", "-"), v) for k, v in fields.items())


# Fields that make each request a complete one: one that would be carried out,
# but for what a check adds to it. None of them ever is.
WHOLE = {
    "broker-new": {"name": "other", "dir": "/var/lib/kbroker/none"}, "topic-new": {"name": "never"}, "topic-set": {"name": "two", "mode": 0o640},
    "topic-get": {"name": "two"}, "topic-del": {"name": "two"}, "partition-get": {"topic": "two", "index": 0},
    "partition-set": {"topic": "two", "index": 0, "log_start": 0}, "op-get": {"id": 1}, "broker-set": {"mode": 0o640},
    "listener-new": {"address": "127.0.0.1", "port": 1}, "listener-get": {"id": 1}, "listener-del": {"id": 1}, "connection-del": {"id": 1},
    "group-get": {"name": "readers"}, "group-del": {"name": "readers"},
    "group-offset-set": {"group": "readers", "entry": {"topic": "two", "partition": 0, "offset": 1}},
    "group-offset-del": {"group": "readers", "entry": {"topic": "two", "partition": 0}},
    "cluster-set": {"rack": "here"}, "peer-new": {"id": 2, "epoch": 1, "address": "127.0.0.1", "port": 9092},
    "peer-get": {"id": 2}, "peer-del": {"id": 2}, "request-get": {"id": 1}, "request-set": {"id": 1},
    "replica-get": {"topic": "two", "partition": 0},
}
# their answers need a member of a cluster: cluster_objects.sh
MEMBERS = ("peer-get", "request-get", "replica-get")
REQUIRED = {
    "broker-new": ("dir",), "topic-new": ("name",), "topic-set": ("name",), "topic-get": ("name",), "topic-del": ("name",),
    "partition-get": ("topic", "index"), "partition-set": ("topic", "index", "log-start"), "op-get": ("id",),
    "listener-new": ("address",), "listener-get": ("id",), "listener-del": ("id",), "connection-del": ("id",),
    "group-get": ("name",), "group-del": ("name",), "group-offset-set": ("group", "entry"), "group-offset-del": ("group", "entry"),
    "peer-new": ("id", "epoch", "address", "port"), "peer-get": ("id",), "peer-del": ("id",), "request-get": ("id",), "request-set": ("id",), "replica-get": ("topic", "partition"),
}
# a value that passes the checks of any attribute of that type
SOME = {"string": "x", "u8": 1, "u16": 1, "u32": 1, "s32": 1, "u64": 1, "s64": 1, "flag": b"", "binary": bytes(16)}


def whole(name):
    return pad(name, **WHOLE.get(name, {}))


# --- what a refusal must say ----------------------------------------------------------

def refusal(client, name, payload, flags):
    """The Refused, or what happened instead."""
    try:
        return None, f"carried out: {client.ask(cmd(name), payload, flags)!r:.80}"
    except Refused as error:
        return error, str(error)


def judge(client, name, payload, kinds=None, missing=None, codes=None, dump=None):
    """What is wrong with the refusal of this request; nothing if all is well."""
    dump = "do" not in REQUESTS[name] if dump is None else dump
    error, said = refusal(client, name, payload, NLM_F_DUMP if dump else NLM_F_ACK)
    if not error:
        return said
    if len(error.sentence) < 8:
        return f"no sentence: {said}"
    if codes and error.errno not in codes:
        return f"another errno: {said}"
    if dump and OLD:
        return ""
    if kinds and error.kind not in kinds:
        return f"another attribute than {kinds}: {said}"
    if missing and error.missing != missing:
        return f"not missing {missing}: {said}"
    return ""


def all_refused(title, cases):
    """One line for many cases: (what, reason why it is wrong)."""
    cases = list(cases)
    wrong = [f"{what}: {why}" for what, why in cases if why]
    if not say(cases and not wrong, f"{title} ({len(cases)} tried)"):
        for line in wrong[:12] or ["none was tried"]:
            print(f"#   {line}", flush=True)


def modes(name):
    """do, dump or both: as flags for judge()."""
    return [m for m, there in ((False, "do" in REQUESTS[name]), (True, "dump" in REQUESTS[name])) if there]


def strictness(client):
    for name, op in REQUESTS.items():
        attrs = SETS[op["attribute-set"]]
        known = asked(op)
        base = whole(name)
        highest = max(number(op, a) for a in attrs)
        all_refused(f"{name}: unknown attributes are refused by name",
                    ((f"type {kind} dump {dump}", judge(client, name, base + attr(kind, b"\0\0\0\1"), {kind}, dump=dump))
                     for kind in (0, highest + 1, highest + 100, 0x3fff) for dump in modes(name)))
        answers = [a for a in attrs if a not in known]
        if answers:
            all_refused(f"{name}: attributes that belong to answers are refused",
                        ((a, judge(client, name, base + pack_some(op, a), {number(op, a)}, dump=dump)) for a in answers for dump in modes(name)))
        all_refused(f"{name}: bytes behind the last attribute are refused",
                    ((f"{n} bytes, dump {dump}", judge(client, name, base + bytes(n), dump=dump)) for n in (1, 2, 3) for dump in modes(name)))
        all_refused(f"{name}: an attribute whose length lies is refused",
                    ((f"length {n}", judge(client, name, base + struct.pack("=HH", n, highest) + b"\0\0\0\0", dump=dump))
                     for n in (0, 1, 3, 9, 100, 0xffff) for dump in modes(name)))
        if not known:
            continue
        all_refused(f"{name}: an attribute given twice is refused",
                    ((a, judge(client, name, base + pack_some(op, a) * 2, {number(op, a)})) for a in known if not attrs[a].get("multi-attr")))
        all_refused(f"{name}: integers of another size, strings without end or with NUL inside, and values out of range are refused", bad_values(client, name, op))
        for given in REQUIRED.get(name, ()):
            rest = {k: v for k, v in WHOLE[name].items() if k.replace("_", "-") != given}
            all_refused(f"{name}: without {given} it is refused", [(given, judge(client, name, pad(name, **rest), None, number(op, given)))])


def pack_some(op, name):
    what = SETS[op["attribute-set"]][name]
    if what["type"] == "nest":
        inner = whole_set(what["nested-attributes"])
        first = next(iter(SETS[what["nested-attributes"]]))
        value = "retention.ms" if inner == "config" else SOME[SETS[inner][first]["type"]]
        return pack(op["attribute-set"], name, {first: value})
    return pack(op["attribute-set"], name, SOME[what["type"]])


def bad_nests(client, name, base, kind, what):
    """(what, why) for each wrong nest that holds no configs."""
    inner, a = what["nested-attributes"], what["name"]
    first = next(iter(SETS[inner]))
    spec = SETS[whole_set(inner)][first]
    one = pack(inner, first, SOME[spec["type"]])
    number_ = K[c_name("a", whole_set(inner), first)]
    unknown = max(K[c_name("a", whole_set(inner), n)] for n in SETS[whole_set(inner)]) + 1
    cases = [("empty", b"", None), ("unknown inside", one + attr(unknown, b"x\0"), {unknown, kind}),
             ("garbage", b"\xff\xff\xff\xff\xff", None), ("cut", one[:-5], None), ("bytes behind", one + b"\0", None)]
    if spec["type"] == "string":
        longest = limit(spec.get("checks", {}).get("max-len", 100))
        cases += [(f"{first} without NUL", attr(number_, b"x"), {number_, kind}),
                  (f"{first} too long", attr(number_, "x" * (longest + 1)), {number_, kind})]
    for title, data, inside in cases:
        yield f"{a}: {title}", judge(client, name, base + attr(kind, data, nested=True), inside)
    yield f"{a}: not marked as nested", judge(client, name, base + attr(kind, one), {kind})


def bad_values(client, name, op):
    """(what, why) for each wrong value of each attribute of the request."""
    for a in asked(op):
        what, kind = SETS[op["attribute-set"]][a], number(op, a)
        base = pad(name, **{k: v for k, v in WHOLE.get(name, {}).items() if k.replace("_", "-") != a})
        checks = {k: limit(v) for k, v in what.get("checks", {}).items()}
        values = []
        size = SIZES.get(what["type"])
        if size:
            values += [(f"{n} bytes", bytes(n)) for n in {0, 1, 2, 3, 4, 5, 8, 9, 16} - {size}]
            if "min" in checks:
                values.append(("below the least", (checks["min"] - 1).to_bytes(size, "big")))
            if "max" in checks:
                values += [("above the most", (checks["max"] + 1).to_bytes(size, "big")), ("all ones", b"\xff" * size)]
        elif what["type"] == "string":
            values += [("empty", b""), ("no NUL", b"abc"), ("NUL inside", b"a\0b\0"), ("two NUL", b"ab\0\0"),
                       ("too long", b"a" * (checks.get("max-len", 100) + 1) + b"\0")]
            if a not in ("dir",):
                values.append(("empty text", b"\0"))
        elif what["type"] == "nest" and whole_set(what["nested-attributes"]) != "config":
            yield from bad_nests(client, name, base, kind, what)
            continue
        elif what["type"] == "nest":
            config = K["KBROKER_A_CONFIG_NAME"], K["KBROKER_A_CONFIG_VALUE"]
            one, value = attr(config[0], "retention.ms"), attr(config[1], "1")
            for title, inner, inside in (("empty", b"", None), ("value alone", value, None), ("name twice", one + one, {config[0], kind}),
                                         ("value twice", one + value + value, {config[1], kind}), ("unknown inside", one + attr(9, b"x\0"), {9, kind}),
                                         ("garbage", b"\xff\xff\xff\xff\xff", None), ("cut", one[:-9], None), ("a name without NUL", attr(config[0], b"retention.ms"), {config[0], kind}),
                                         ("a name too long", attr(config[0], "a" * 64), {config[0], kind}),
                                         ("an empty name", attr(config[0], ""), {config[0], kind}),
                                         ("a value too long", one + attr(config[1], "1" * 1024), {config[1], kind}),
                                         ("bytes behind", one + value + b"\0", None)):
                yield f"{a}: {title}", judge(client, name, base + attr(kind, inner, nested=True), inside)
            yield f"{a}: not marked as nested", judge(client, name, base + attr(kind, one + value), {kind})
            continue
        for title, data in values:
            yield f"{a}: {title}", judge(client, name, base + attr(kind, data), {kind})


def commands(client):
    last = max(v for k, v in K.items() if k.startswith("KBROKER_CMD_") and not k.endswith("_MAX"))

    def errno_of(number_, flags):
        try:
            client.ask(number_, b"", flags)
        except Refused as error:
            return os.strerror(error.errno)
        return "carried out"
    for number_ in (0, last + 1, 255):
        equal(f"command {number_} does not exist", {errno_of(number_, NLM_F_ACK), errno_of(number_, NLM_F_DUMP)}, {os.strerror(errno.EOPNOTSUPP)})
    for name, op in OPS.items():
        if "event" in op:
            equal(f"{name} is an event, no request", errno_of(cmd(name), NLM_F_ACK), os.strerror(errno.EOPNOTSUPP))
        elif "dump" not in op:
            equal(f"{name} has no dump", errno_of(cmd(name), NLM_F_DUMP), os.strerror(errno.EOPNOTSUPP))
        elif "do" not in op:
            equal(f"{name} is a dump only", errno_of(cmd(name), NLM_F_ACK), os.strerror(errno.EOPNOTSUPP))


def privilege():
    changing = {n for n, o in REQUESTS.items() if "admin-perm" in (o.get("flags") or [])}
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        out = []
        try:
            os.setgroups([])
            os.setresgid(1000, 1000, 1000)
            os.setresuid(1000, 1000, 1000)
            client = Client()
            for name in REQUESTS:
                for dump in modes(name):
                    error, said = refusal(client, name, whole(name), NLM_F_DUMP if dump else NLM_F_ACK)
                    allowed = not error or error.errno != errno.EPERM
                    if allowed != (name not in changing):
                        out.append(f"{name} dump {dump}: {said}")
        except Exception as error:      # whatever it is, the parent tells
            out.append(repr(error))
        os.write(w, "\n".join(out).encode()[:4000])
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(w)
    equal(f"without CAP_NET_ADMIN these are EPERM, the others not: {', '.join(sorted(changing))}", os.read(r, 4096).decode(), "")
    os.close(r)


# --- what is right --------------------------------------------------------------------

def check_reply(op, allowed, body):
    """What is wrong with these attributes."""
    wrong = []
    numbers = {number(op, a): a for a in allowed}
    seen = []
    for kind, payload, _ in walk(body):
        name = numbers.get(kind)
        if not name:
            wrong.append(f"attribute {kind} is not of this reply")
            continue
        what = SETS[op["attribute-set"]][name]
        wrong += check_value(what, payload)
        if name in seen and not what.get("multi-attr"):
            wrong.append(f"{name} twice")
        seen.append(name)
    return wrong


def check_value(what, payload):
    wrong = []
    size = SIZES.get(what["type"])
    if size and len(payload) != size:
        wrong.append(f"{what['name']} has {len(payload)} bytes")
    if what["type"] == "flag" and payload:
        wrong.append(f"flag {what['name']} has bytes")
    if what["type"] == "string" and (payload[-1:] != b"\0" or b"\0" in payload[:-1]):
        wrong.append(f"{what['name']} is {payload!r:.50}")
    if "enum" in what and not what.get("enum-as-flags") and payload[0] >= ENUMS[what["enum"]]:
        wrong.append(f"{what['name']} is {payload[0]}")
    for rule, value in what.get("checks", {}).items():
        value = limit(value)
        got = be(payload) if size else len(payload) - (what["type"] == "string")
        if {"min": got < value, "max": got > value, "min-len": got < value, "max-len": got > value, "exact-len": got != value}[rule]:
            wrong.append(f"{what['name']} breaks its own {rule}")
    if what["type"] == "nest":
        inner = {K[c_name("a", what["nested-attributes"], n)]: w for n, w in SETS[what["nested-attributes"]].items()}
        for kind, part, _ in walk(payload):
            wrong += check_value(inner[kind], part) if kind in inner else [f"attribute {kind} inside {what['name']}"]
    return wrong


# left out only where there is nothing to say
OPTIONAL = {"cluster-id", "config", "internal", "error", "damaged-offset", "message", "done", "total", "all", "position", "lag-records", "lag-bytes",
            "lag-ms", "lost", "topic", "partition", "pin", "default", "advertised-host", "advertised-port",
            "protocol-type", "protocol", "leader", "coordinator", "expire-ms", "broker-epoch", "fenced", "controller", "metadata-offset", "rack", "requests",
            "forwarded", "forward-retries", "forward-failed"}


def replies(client):
    # the first of them may be forgotten by now
    WHOLE["op-get"] = {"id": max(be(parse(b)[K["KBROKER_A_OP_ID"]]) for _, b in client.ask(cmd("op-get"), b"", NLM_F_DUMP))}
    reader = os.open(f"{DEV}/two/0", os.O_RDONLY)
    writer = os.open(f"{DEV}/two/all", os.O_WRONLY)
    for name, op in REQUESTS.items():
        if ("admin-perm" in (op.get("flags") or []) and name != "handle-get") or name in MEMBERS:
            continue
        for dump in modes(name):
            part = op["dump" if dump else "do"]
            payload = b"" if dump else whole(name)
            answers = client.ask(cmd(name), payload, NLM_F_DUMP if dump else NLM_F_ACK)
            allowed = part["reply"]["attributes"]
            wrong = [w for number_, body in answers for w in check_reply(op, allowed, body) + ([] if number_ == cmd(name) else [f"command {number_}"])]
            needed = {number(op, a): a for a in allowed if a not in OPTIONAL}
            wrong += [f"no {a}" for _, body in answers for k, a in needed.items() if k not in parse(body)]
            equal(f"{name}, {'dump' if dump else 'do'}: answers have the attributes of the reply, of their types, and all of them", (bool(answers), wrong[:9]), (True, []))
    A = "KBROKER_A_HANDLE_"
    shown = [parse(b) for _, b in client.ask(cmd("handle-get"), pad("handle-get", topic="two"), NLM_F_DUMP)]
    readers = [h for h in shown if h[K[A + "DIRECTION"]][0] & 1]
    writers = [h for h in shown if h[K[A + "DIRECTION"]][0] & 2]
    equal("handle-get: an open of \"all\" is shown once for each partition", (len(readers), sorted(be(h[K[A + "PARTITION"]]) for h in writers),
          [K[A + "ALL"] in h for h in writers]), (1, [0, 1], [True, True]))
    equal("handle-get: positions and lags of readers only", [(K[A + n] in readers[0], K[A + n] in writers[0]) for n in
          ("POSITION", "LAG_RECORDS", "LAG_BYTES", "LOST")], [(True, False)] * 4)
    equal("handle-get: the process that opened it", {be(h[K[A + "PID"]]) for h in shown}, {os.getpid()})
    at = parse(client.ask(cmd("partition-get"), pad("partition-get", topic="two", index=0))[0][1])
    equal("partition-get: readers and writers, those of \"all\" included", [be(at[K[f"KBROKER_A_PARTITION_{n}"]]) for n in ("READERS", "WRITERS")], [1, 1])
    os.close(reader)
    os.close(writer)
    names = [text(parse(b)[K["KBROKER_A_TOPIC_NAME"]]) for _, b in client.ask(cmd("topic-get"), b"", NLM_F_DUMP)]
    equal("topic-get: all of them in the order of their names", names, sorted(names))
    configs = client.dump(cmd("config-get"), pad("config-get", topic="two"))
    by_name = {text(c[K["KBROKER_A_CONFIG_ENTRY_NAME"]]): c for c in configs}
    equal("config-get: who gave it this value, and what would apply",
          [(text(c[K["KBROKER_A_CONFIG_ENTRY_VALUE"]]), c[K["KBROKER_A_CONFIG_ENTRY_SOURCE"]][0], text(c[K["KBROKER_A_CONFIG_ENTRY_DEFAULT"]]))
           for c in (by_name["retention.ms"], by_name["segment.ms"])], [("1000000", 2, "604800000"), ("604800000", 0, "604800000")])


def meaning(client):
    """Refusals that need to know what is there."""
    A = {s: {a: K[c_name("a", s, a)] for a in SETS[s]} for s in SETS if "subset-of" not in RAW[s]}
    topic_names = ["", ".", "..", "a/b", "a b", "a\n", "a\x7f", "\xe9", "a:b", "a" * 250, "__x\0y", "*", "~"]
    all_refused("topic-new: names of every illegal kind", ((repr(n)[:20], judge(client, "topic-new", pad("topic-new", name=n), {A["topic"]["name"]})) for n in topic_names))
    cases = [
        ("broker-new", "where one runs", {"dir": "/run"}, None, {errno.EEXIST}),
        ("broker-new", "a relative directory", {"name": "o", "dir": "some/where"}, None, None),
        ("broker-new", "a name with a slash", {"name": "a/b", "dir": "/run"}, None, None),
        ("broker-set", "another broker's name", {"name": "other", "mode": 0}, "name", None), ("broker-del", "another broker's name", {"name": "other"}, "name", None),
        ("broker-get", "another broker's name", {"name": "other"}, "name", None), ("broker-set", "nothing to change", {}, None, None),
        ("topic-new", "one that is there", {"name": "two"}, "name", {errno.EEXIST}), ("topic-new", "another broker", {"name": "n", "broker": "other"}, "broker", None),
        ("topic-new", "a replication factor of 2 on a broker that stands alone", {"name": "n", "replication_factor": 2}, "replication-factor", None),
        ("topic-new", "a uid that is none", {"name": "n", "uid": 0xffffffff}, "uid", None), ("topic-new", "a gid that is none", {"name": "n", "gid": 0xffffffff}, "gid", None),
        ("topic-set", "one that is not there", {"name": "none", "mode": 0}, "name", {errno.ENOENT}), ("topic-set", "fewer partitions", {"name": "two", "partitions": 1}, "partitions", None),
        ("topic-set", "nothing to change", {"name": "two"}, None, None), ("topic-set", "a uid that is none", {"name": "two", "uid": 0xffffffff}, "uid", None),
        ("topic-del", "one that is not there", {"name": "none"}, "name", {errno.ENOENT}), ("topic-get", "one that is not there", {"name": "none"}, "name", {errno.ENOENT}),
        ("partition-get", "a topic that is not there", {"topic": "none", "index": 0}, "topic", {errno.ENOENT}),
        ("partition-get", "a partition that is not there", {"topic": "two", "index": 2}, "index", {errno.ENOENT}),
        ("partition-set", "a topic that is not there", {"topic": "none", "index": 0, "log_start": 0}, "topic", {errno.ENOENT}),
        ("partition-set", "a partition that is not there", {"topic": "two", "index": 2, "log_start": 0}, "index", {errno.ENOENT}),
        ("partition-set", "above the high watermark", {"topic": "two", "index": 0, "log_start": 4}, "log-start", None),
        ("partition-set", "-2", {"topic": "two", "index": 0, "log_start": -2}, "log-start", None),
        ("partition-set", "the least integer", {"topic": "two", "index": 0, "log_start": -1 << 63}, "log-start", None),
        ("topic-new", "an id on a broker that stands alone", {"name": "n", "id": b"0123456789abcdef"}, "id", None),
        ("topic-set", "another topic's id", {"name": "two", "mode": 0, "id": b"0123456789abcdef"}, "id", {errno.ENOENT}),
        ("topic-del", "another topic's id", {"name": "two", "id": b"0123456789abcdef"}, "id", {errno.ENOENT}),
        ("cluster-set", "nothing to change", {}, None, None), ("cluster-set", "an epoch without a cluster", {"broker_epoch": 1}, None, None),
        ("cluster-set", "a negative epoch", {"broker_epoch": -1}, "broker-epoch", None), ("cluster-set", "a secret that is short", {"secret": bytes(15)}, "secret", None),
        ("cluster-set", "a secret that is long", {"secret": bytes(65)}, "secret", None), ("cluster-set", "a cluster that is none", {"cluster_id": bytes(16)}, "cluster-id", None),
        ("cluster-set", "a broker with topics", {"cluster_id": b"0123456789abcdef"}, "cluster-id", {errno.ENOTEMPTY}),
        ("peer-new", "on a broker that stands alone", {"id": 2, "epoch": 1, "address": "127.0.0.1", "port": 9092}, None, None),
        ("peer-new", "an address that is none", {"id": 2, "epoch": 1, "address": "host", "port": 9092}, "address", None),
        ("replica-get", "a topic that is not there", {"topic": "none", "partition": 0}, "topic", {errno.ENOENT}),
        ("replica-get", "a partition that is not there", {"topic": "two", "partition": 2}, "partition", {errno.ENOENT}),
        ("peer-get", "one that is not there", {"id": 2}, "id", {errno.ENOENT}), ("peer-del", "one that is not there", {"id": 2}, "id", {errno.ENOENT}),
        ("request-get", "one that is not open", {"id": 1}, "id", {errno.ENOENT}), ("request-set", "on a broker that stands alone", {"id": 1}, None, None),
        ("request-set", "an errno that is none", {"id": 1, "error": 4096}, "error", None),
        ("op-get", "one that never was", {"id": 0xffffffff}, "id", {errno.ENOENT}),
        ("handle-get", "a topic that is not there", {"topic": "none"}, "topic", {errno.ENOENT}), ("handle-get", "a partition without a topic", {"partition": 0}, None, None),
        ("handle-get", "a partition that is not there", {"topic": "two", "partition": 2}, "partition", {errno.ENOENT}),
        ("group-get", "one that is not there", {"name": "none"}, "name", {errno.ENOENT}), ("group-del", "one that is not there", {"name": "none"}, "name", {errno.ENOENT}),
        ("group-get", "another broker", {"name": "readers", "broker": "other"}, "broker", None),
        ("group-member-get", "one that is not there", {"group": "none"}, "group", {errno.ENOENT}), ("group-offset-get", "one that is not there", {"group": "none"}, "group", {errno.ENOENT}),
        ("group-offset-del", "one that is not there", {"group": "none", "entry": {"topic": "two", "partition": 0}}, "group", {errno.ENOENT}),
        ("group-offset-del", "with an offset", {"group": "readers", "entry": {"topic": "two", "partition": 0, "offset": 1}}, "offset", None),
        ("group-offset-set", "without an offset", {"group": "readers", "entry": {"topic": "two", "partition": 0}}, "entry", None),
        ("group-offset-set", "without a partition", {"group": "readers", "entry": {"topic": "two", "offset": 1}}, "entry", None),
        ("group-offset-set", "a negative offset", {"group": "readers", "entry": {"topic": "two", "partition": 0, "offset": -1}}, "offset", None),
        ("group-offset-set", "a topic that is not there", {"group": "readers", "entry": {"topic": "none", "partition": 0, "offset": 1}}, "entry", {errno.ENOENT}),
        ("group-offset-set", "a partition that is not there", {"group": "readers", "entry": {"topic": "two", "partition": 2, "offset": 1}}, "entry", {errno.ENOENT}),
        ("config-get", "a topic that is not there", {"topic": "none"}, "topic", {errno.ENOENT}), ("config-get", "another broker", {"broker": "other"}, "broker", None)]
    for name, title, fields, culprit, codes in cases:
        all_refused(f"{name}: {title}", [(title, judge(client, name, pad(name, **fields), culprit and {A[OPS[name]["attribute-set"]][culprit]}, None, codes))])
    entry = pack("group-offset", "entry", {"topic": "two", "partition": 0, "offset": 1})
    all_refused("group-offset-set: more partitions than one request may have",
                [("1001", judge(client, "group-offset-set", pad("group-offset-set", group="readers") + entry * 1001, {A["group-offset"]["entry"]}, None, {errno.E2BIG}))])
    for name, fields in (("group-get", {"name": "none"}), ("partition-get", {"topic": "none"}), ("partition-get", {"broker": "other"}), ("topic-get", {"broker": "other"})):
        all_refused(f"{name}, dump: {fields}", [("", judge(client, name, pad(name, **fields), {A[OPS[name]["attribute-set"]][list(fields)[0]]}, dump=True))])
    configs = [("no.such.config", "1"), ("retention.ms", "-2"), ("retention.ms", "x"), ("retention.ms", "1 "), ("retention.ms", " 1"), ("retention.ms", ""), ("retention.ms", "1e3"),
               ("retention.ms", "9223372036854775808"), ("segment.bytes", "0"), ("segment.bytes", "-1"), ("max.message.bytes", "-1"), ("cleanup.policy", "compact"),
               ("cleanup.policy", "Delete"), ("compression.type", "brotli"), ("flush.policy", "never"), ("message.timestamp.type", "logappendtime"),
               ("preallocate", "yes"), ("min.insync.replicas", "0"), ("num.partitions", "3"), ("Retention.ms", "1")]
    for name, fields in (("topic-new", {"name": "never"}), ("topic-set", {"name": "two"})):
        all_refused(f"{name}: a config that does not exist, or a value that is none",
                    ((f"{k}={v}", judge(client, name, pad(name, **fields) + pack("topic", "config", {"name": k, "value": v}),
                                        {A["topic"]["config"], A["config"]["name"], A["config"]["value"]})) for k, v in configs))
    twice = pack("topic", "config", {"name": "retention.ms", "value": "5"}) + pack("topic", "config", {"name": "retention.ms", "value": "6"})
    all_refused("topic-new: the same config twice", [("", judge(client, "topic-new", pad("topic-new", name="never") + twice, {A["topic"]["config"], A["config"]["name"]}))])
    all_refused("topic-new: a config without a value", [("", judge(client, "topic-new", pad("topic-new", name="never") +
                pack("topic", "config", {"name": "retention.ms"}), {A["topic"]["config"], A["config"]["name"]}))])


def state(client):
    """All that can be read, without what moves by itself."""
    out = []
    for name in ("broker-get", "topic-get", "partition-get", "config-get", "group-get", "group-offset-get"):
        out += [sorted(parse(b).items()) for _, b in client.ask(cmd(name), b"", NLM_F_DUMP)]
    return out


# --- dumps and events -----------------------------------------------------------------

def dumps(client):
    """A change between two parts of a dump marks it."""
    count = 2000 if LONG else 200
    kbroker("topic", "create", "wide", "--partitions", str(count))

    def dump_with(change):
        # a socket that never asked for much gets its dump in small parts
        slow = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        slow.bind((0, 0))
        slow.send(struct.pack("=IHHIIBBH", 20, client.family, NLM_F_REQUEST | NLM_F_DUMP, 1, 0, cmd("partition-get"), 1, 0))
        marked, indexes, parts = False, [], 0
        while True:
            data = slow.recv(16384)
            parts += 1
            pos = 0
            while pos + 16 <= len(data):
                size, kind, flags, _, _ = struct.unpack_from("=IHHII", data, pos)
                marked |= bool(flags & NLM_F_DUMP_INTR)
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    slow.close()
                    return marked, indexes, parts
                fields = parse(data[pos + 20:pos + size])
                if not fields[K["KBROKER_A_PARTITION_TOPIC"]].startswith(b"__"):
                    indexes.append((text(fields[K["KBROKER_A_PARTITION_TOPIC"]]), be(fields[K["KBROKER_A_PARTITION_INDEX"]])))
                pos += (size + 3) & ~3
            if parts == 1:
                change()
    every = sorted([("two", 0), ("two", 1)] + [("wide", i) for i in range(count)])
    marked, indexes, parts = dump_with(lambda: None)
    equal(f"a dump of {count + 2} partitions: each once, in several parts, not marked", (marked, parts > 2, sorted(indexes)), (False, True, every))
    for title, change in (("created", ("topic", "create", "zz", "--partitions", "1")), ("deleted", ("topic", "delete", "zz")),
                          ("given partitions", ("topic", "alter", "two", "--partitions", "3"))):
        marked, indexes, _ = dump_with(lambda: kbroker(*change))
        equal(f"a topic is {title} meanwhile: marked, or it does not show", (marked or sorted(indexes) == every), True)
        say(len(set(indexes)) == len(indexes) and set(every) <= set(indexes), f"a topic is {title} meanwhile: what stays is shown, once")
    reader = os.open(f"{DEV}/two/0", os.O_RDONLY)
    marked, _, _ = dump_with(lambda: os.close(reader))
    equal("opens and closes do not interrupt the others", marked, False)
    kbroker("topic", "delete", "wide")


def events():
    listener = Client("events")
    client = Client()

    def op(request, **fields):
        reply = parse(client.ask(cmd(request), pad(request, **fields))[0][1])
        done = client.wait_op(be(reply[K[c_name("a", OPS[request]["attribute-set"], "op-id")]]))
        return done[K["KBROKER_A_OP_STATE"]][0] == K["KBROKER_OP_STATE_DONE"], reply
    made = [op("topic-new", name="ev", partitions=2), op("topic-set", name="ev", mode=0o644), op("topic-set", name="ev", partitions=3)]
    fd = os.open(f"{DEV}/ev/0", os.O_WRONLY)
    os.write(fd, b"a\nb\n")
    os.close(fd)
    made += [op("partition-set", topic="ev", index=0, log_start=1), op("broker-set", mode=0o640), op("topic-del", name="ev")]
    ids = [be(r[K[c_name("a", s, "op-id")]]) for (_, r), s in zip(made, ("topic", "topic", "topic", "partition", "broker", "topic"))]
    equal("operations end well", [m[0] for m in made], [True] * 6)
    equal("their ids are unique and never 0", (len(set(ids)), 0 in ids), (6, False))
    equal("the answer names the object", (text(made[0][1][K["KBROKER_A_TOPIC_NAME"]]), text(made[3][1][K["KBROKER_A_PARTITION_TOPIC"]]),
          be(made[3][1][K["KBROKER_A_PARTITION_INDEX"]])), ("ev", "ev", 0))
    got, last = [], time.monotonic() + 60
    by_number = {cmd(n): n for n, o in OPS.items() if "event" in o}
    ended = False
    while not ended and time.monotonic() < last:        # the end of the last operation is the last event
        for kind, _, _, body in listener.messages(0.5):
            if kind != listener.family:
                continue
            got.append((by_number.get(body[0]), body[4:]))
            fields = parse(body[4:])
            ended = ended or (body[0] == cmd("op-ntf") and be(fields[K["KBROKER_A_OP_ID"]]) == ids[-1] and
                              fields[K["KBROKER_A_OP_STATE"]][0] == K["KBROKER_OP_STATE_DONE"])
    wrong = [w for name, body in got for w in (check_reply(OPS[name], OPS[name]["event"]["attributes"], body) if name else ["an unknown event"])]
    equal("events have their attributes, of their types", wrong[:9], [])
    seqs, story = [], []
    for name, body in got:
        set_name, fields = OPS[name]["attribute-set"], parse(body)
        seqs.append(be(fields[K[c_name("a", set_name, "event-seq")]]))
        reason = fields[K[c_name("a", set_name, "event-reason")]][0]
        story.append((name, reason, fields))
    equal("events are numbered without gaps", seqs, list(range(seqs[0], seqs[0] + len(seqs))))

    def has(event, reason, **wanted):
        set_name = OPS[event]["attribute-set"]
        for kind, why, fields in story:
            if kind == event and why == K[f"KBROKER_REASON_{reason}"] and \
               all(fields.get(K[c_name("a", set_name, a)]) == parse(pack(set_name, a.replace("_", "-"), v)).popitem()[1] for a, v in wanted.items()):
                return True
        return False
    for title, found in (("a topic was created", has("topic-ntf", "CREATED", name="ev", partitions=2)), ("its mode changed", has("topic-ntf", "CHANGED", name="ev", mode=0o644)),
                         ("it got partitions", has("topic-ntf", "CHANGED", name="ev", partitions=3)), ("it was deleted", has("topic-ntf", "DELETED", name="ev")),
                         ("a log start moved", has("partition-ntf", "STATE", topic="ev", index=0, log_start=1)), ("the broker changed", has("broker-ntf", "CHANGED", mode=0o640))):
        say(found, f"event: {title}")
    for number_ in ids:
        states = [f[K["KBROKER_A_OP_STATE"]][0] for n, _, f in story if n == "op-ntf" and be(f[K["KBROKER_A_OP_ID"]]) == number_]
        say(states and states == sorted(states) and states[-1] == K["KBROKER_OP_STATE_DONE"], f"event: operation {number_} begins, goes on and ends")
    dead = [f for n, _, f in story if n == "topic-ntf"][-1]
    equal("event: the last state of a deleted topic", dead[K["KBROKER_A_TOPIC_STATE"]][0] >= K["KBROKER_TOPIC_STATE_DELETING"], True)

    # another namespace hears nothing of it, and counts by itself
    r, w = os.pipe()
    if os.fork() == 0:
        import ctypes
        out = "not seen"
        if ctypes.CDLL(None).unshare(0x40000000) == 0:
            far = Client("events")
            out = repr(([parse(b) for _, b in far.ask(cmd("broker-get"), b"", NLM_F_DUMP)],
                        K["KBROKER_A_MODULE_PIN"] in parse(far.ask(cmd("module-get"))[0][1])))
        os.write(w, out.encode())
        os._exit(0)
    os.close(w)
    equal("another network namespace has no broker, its administrator sees all that run", os.read(r, 4096).decode(), repr(([], True)))
    os.close(r)
    os.wait()
    client.close()
    listener.close()


def many(client):
    """256 that ended are kept; ids stay unique."""
    first = None
    for i in range(300):
        reply = parse(client.ask(cmd("topic-set"), pad("topic-set", name="two", mode=0o640 + i % 2))[0][1])
        last = be(reply[K["KBROKER_A_TOPIC_OP_ID"]])
        client.wait_op(last)
        first = first or last
    equal("operations are numbered", last - first >= 299, True)
    shown = {be(parse(b)[K["KBROKER_A_OP_ID"]]) for _, b in client.ask(cmd("op-get"), b"", NLM_F_DUMP)}
    equal("the last 256 that ended are kept", (len(shown), last in shown, first in shown), (256, True, False))
    all_refused("one that was forgotten", [("", judge(client, "op-get", pad("op-get", id=first), {K["KBROKER_A_OP_ID"]}, None, {errno.ENOENT}))])


def main():
    topic("two", 2, "retention.ms=1000000")
    with open(f"{DEV}/two/0", "wb", buffering=0) as log:
        log.write(b"1\n2\n3\n")
    kbroker("--quiet", "listener", "add", "127.0.0.1:0")
    kbroker("--quiet", "group", "reset-offsets", "readers", "--topic", "two", "--to-latest")
    client = Client()
    for part, again in ((commands, True), (strictness, True), (meaning, True), (replies, True), (dumps, False)):
        began = time.monotonic()
        before = state(client)
        part(client)
        if again:
            equal(f"({part.__name__}: nothing changed)", state(client) == before, True)
        print(f"# {part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    privilege()
    events()
    if LONG:
        many(client)


run(main)
