#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# kernel: uml
"""Each allocation of each netlink request fails once, as faults.py does it for the devices."""
import errno
import os
import shutil
import subprocess
import sys
import time

import nlclient
from device_lib import DIR, say, results
from nlclient import K, NLM_F_ACK, NLM_F_DUMP, Refused, attr, config, s64, u32

B, T, P = (f"KBROKER_A_{name}_" for name in ("BROKER", "TOPIC", "PARTITION"))
DECENT = {errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS, errno.EINTR, errno.EMSGSIZE, errno.ENOENT, errno.ENFILE}


def setting(path, value):
    try:
        with open("/sys/kernel/debug/" + path, "w", encoding="ascii") as out:
            out.write(value)
    except (FileNotFoundError, PermissionError):
        pass


class Unlucky(nlclient.Client):
    """Its n-th allocation in the kernel fails, while it sends and while it gets the answers."""
    nth = None
    left = 0

    def ask_unlucky(self, n, fd, *args):
        """(answers or None, errno, whether there were fewer allocations)"""
        # The request is served within send(): an answer that is not there then never comes.
        self.sock.setblocking(False)
        os.pwrite(fd, b"%d" % n, 0)
        try:
            return self.ask(*args), 0
        except Refused as refusal:
            return None, refusal.errno
        except BlockingIOError:
            return None, errno.ENOBUFS      # the answer itself was lost
        except OSError as error:
            return None, error.errno
        finally:
            self.left = int(os.pread(fd, 32, 0))
            os.pwrite(fd, b"0", 0)


def settle(nl):
    """Whatever operation began has ended, also one whose answer was lost."""
    state = K["KBROKER_A_OP_STATE"]
    ended = K["KBROKER_OP_STATE_DONE"]
    deadline = time.monotonic() + 60
    while any(op[state][0] < ended for op in nl.dump(K["KBROKER_CMD_OP_GET"])):
        if time.monotonic() > deadline:
            raise TimeoutError("an operation does not end")
        time.sleep(0.01)


def every(name, command, payload, flags=NLM_F_ACK, operation=False, before=None):
    fd = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
    odd, n, failed = [], 0, 0
    good = nlclient.Client()
    while n < 1000:
        n += 1
        if before:
            before()
        nl = Unlucky()
        _, error = nl.ask_unlucky(n, fd, K["KBROKER_CMD_" + command], payload, flags)
        failed += error != 0
        if error and error not in DECENT:
            odd.append(f"allocation {n}: {errno.errorcode.get(error, error)}")
        if operation:
            settle(good)
        left = nl.left
        nl.close()
        if left:
            break
    os.close(fd)
    good.close()
    for line in odd[:5]:
        print(f"# {name}: {line}")
    say(not odd and n < 1000, f"{name}: each of {n - 1} allocations may fail ({failed} errors)")


def calm(*argv):
    subprocess.run(("kbroker",) + argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    if not os.path.exists("/proc/self/fail-nth"):
        print("1..0 # SKIP this kernel injects no faults")
        return 0
    for fault in ("failslab", "fail_page_alloc"):
        setting(fault + "/ignore-gfp-wait", "N")
        setting(fault + "/verbose", "0")
        setting(fault + "/min-order", "0")
    shutil.rmtree(DIR, ignore_errors=True)
    os.makedirs(DIR)
    start = attr(K[B + "NAME"], "kbroker") + attr(K[B + "DIR"], DIR) + config(K[B + "CONFIG"], "log.retention.hours", "5")
    every("start a broker", "BROKER_NEW", start, operation=True, before=lambda: calm("broker", "stop"))
    calm("broker", "stop")
    calm("broker", "start", "--dir", DIR)       # it mounts the devices, too
    topic = attr(K[T + "NAME"], "t") + u32(K[T + "PARTITIONS"], 2) + config(K[T + "CONFIG"], "retention.ms", "100000")
    every("create a topic", "TOPIC_NEW", topic, operation=True, before=lambda: calm("topic", "delete", "t"))
    calm("topic", "create", "t", "--partitions", "2")
    with open("/dev/kbroker/t/0", "wb") as file:
        file.write(b"x\n" * 100)
    reader = open("/dev/kbroker/t/0", "rb")
    change = attr(K[T + "NAME"], "t") + config(K[T + "CONFIG"], "retention.bytes", "1000000")
    every("alter a topic", "TOPIC_SET", change, operation=True)
    grown = [2]

    def grow():
        calm("topic", "delete", "g")
        calm("topic", "create", "g")
        grown[0] += 1

    every("grow a topic", "TOPIC_SET", attr(K[T + "NAME"], "g") + u32(K[T + "PARTITIONS"], 3), operation=True, before=grow)
    every("alter a broker", "BROKER_SET", config(K[B + "CONFIG"], "log.retention.hours", "7"), operation=True)
    delete = attr(K[P + "TOPIC"], "t") + u32(K[P + "INDEX"], 0) + s64(K[P + "LOG_START"], 3)
    every("delete records", "PARTITION_SET", delete, operation=True)
    one = attr(K[P + "TOPIC"], "t") + u32(K[P + "INDEX"], 0)
    for name, command, payload, flags in (
            ("a broker", "BROKER_GET", b"", NLM_F_ACK), ("brokers", "BROKER_GET", b"", NLM_F_DUMP),
            ("a topic", "TOPIC_GET", attr(K[T + "NAME"], "t"), NLM_F_ACK), ("topics", "TOPIC_GET", b"", NLM_F_DUMP),
            ("a partition", "PARTITION_GET", one, NLM_F_ACK), ("partitions", "PARTITION_GET", b"", NLM_F_DUMP),
            ("handles", "HANDLE_GET", b"", NLM_F_DUMP), ("operations", "OP_GET", b"", NLM_F_DUMP),
            ("configs", "CONFIG_GET", b"", NLM_F_DUMP), ("the module", "MODULE_GET", b"", NLM_F_ACK)):
        if "KBROKER_CMD_" + command in K:
            every("show " + name, command, payload, flags)
    every("delete a topic", "TOPIC_DEL", attr(K[T + "NAME"], "d"), operation=True,
          before=lambda: calm("topic", "create", "d"))
    every("stop the broker", "BROKER_DEL", b"", operation=True, before=lambda: calm("broker", "start", "--dir", DIR))
    reader.close()
    calm("broker", "stop")
    calm("broker", "start", "--dir", DIR)
    say(os.path.exists("/dev/kbroker/t/1"), "what is left works")
    calm("broker", "stop")
    shutil.rmtree(DIR, ignore_errors=True)
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
