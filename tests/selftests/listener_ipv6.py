#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
"""A listener at an IPv6 address: clients get in, are told the address that they
used, and are shown with it; one at all addresses of a kind leaves those of the
other kind alone."""
import json
import os
import socket

import listener_client
from device_lib import batch, batch_records, equal, kbroker, run, say, topic, wait_for
from listener_client import Connection, array, string

METADATA = 3


def connect(*address):
    listener_client.ADDRESS = address
    return Connection()


def told(c):
    """Where Metadata sends a client."""
    c.send(METADATA, 1, array([string("t")]))
    reader = c.receive()
    equal("there is one broker", reader.take("i"), 1)
    reader.take("i")
    return reader.string(), reader.take("i")


def listeners():
    return json.loads(kbroker("--json", "listener", "list"))


def main():
    topic("t")
    kbroker("listener", "add", "[::1]:9092")
    equal("the listener is shown", [(one["address"], one["port"]) for one in listeners()], [("::1", 9092)])
    say("\t[::1]:9092\t" in kbroker("listener", "list"), "for people in brackets")
    c = connect("::1", 9092)
    equal("Metadata tells the address that was used", told(c), ("::1", 9092))
    sent = batch(records=batch_records((b"six",)), count=1)
    equal("a record goes in", c.produce("t", 0, sent), (0, 0, -1))
    equal("and comes out", c.fetch("t", 0, 0)[2][61:], sent[61:])
    port = c.socket.getsockname()[1]
    equal("the client's address", [one["peer"] for one in json.loads(kbroker("--json", "connection", "list"))],
          [f"[::1]:{port}"])

    # the same port, at all addresses of each kind
    kbroker("listener", "add", "[::]:9093", "--advertised-listener", "[2001:db8::1]:19093")
    kbroker("listener", "add", "0.0.0.0:9093")
    equal("both kinds have that port", [(one["address"], one["port"]) for one in listeners()][1:], [("::", 9093), ("0.0.0.0", 9093)])
    say("\t[2001:db8::1]:19093\t" in kbroker("listener", "list"), "what is advertised is shown in brackets, too")
    six, four = connect("::1", 9093), connect("127.0.0.1", 9093)
    equal("and told without", told(six), ("2001:db8::1", 19093))
    equal("the other kind goes its own way", told(four), ("127.0.0.1", 9093))
    equal("each counts its own", [one["accepted"] for one in listeners()], [1, 1, 1])
    kbroker("listener", "add", ":9094")
    equal("no host stands for both kinds", sorted(one["address"] for one in listeners() if one["port"] == 9094), ["0.0.0.0", "::"])

    kbroker("broker", "alter", "--config", "max.connections.per.ip=2")
    say(wait_for(lambda: len(json.loads(kbroker("--json", "connection", "list"))) == 3), "three are connected")
    try:
        closed = connect("::1", 9094).closed()
    except ConnectionResetError:
        closed = True       # before connect() was through
    say(closed, "a third one from the same host is closed")
    third = connect("127.0.0.1", 9094)
    equal("one from another host is not", told(third), ("127.0.0.1", 9094))


try:
    socket.create_server(("::1", 0), family=socket.AF_INET6).close()
except OSError:
    print("1..0 # SKIP this kernel has no IPv6")
    os._exit(0)
run(main)
