# SPDX-License-Identifier: GPL-2.0-only
"""For the tests with Kafka clients in Python: as lib.sh."""
import os
import shutil
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "selftests"))
from device_lib import DIR, equal, kbroker, results, say, wait_for  # noqa: E402,F401

HERE = not os.environ.get("KBROKER_INTEROP_BOOTSTRAP")
BOOTSTRAP = os.environ.get("KBROKER_INTEROP_BOOTSTRAP", "127.0.0.1:9092")
# for the clients of kafka-python, which give up on a broker after two seconds otherwise
KAFKA_PYTHON = {"bootstrap_servers": BOOTSTRAP, "api_version_auto_timeout_ms": 60000}
UNIQUE = f"-{os.getpid()}"


def start(*options):
    """A broker with a listener over an empty directory."""
    if HERE:
        shutil.rmtree(DIR, ignore_errors=True)
        os.makedirs(DIR)
        kbroker("broker", "start", "--dir", DIR, "--listener", BOOTSTRAP, *options)


def fails(name, classes, function, *args, **kw):
    """function must raise one of classes."""
    try:
        got = function(*args, **kw)
    except classes:
        say(True, name)
        return
    except Exception as error:  # pylint: disable=broad-except
        say(False, name)
        print(f"#   {type(error).__name__}: {error}")
        return
    say(False, name)
    print(f"#   succeeded: {got!r:.200}")


def run(main, *options):
    done = False
    try:
        start(*options)
        main()
        done = True
    except Exception as error:  # pylint: disable=broad-except
        for line in traceback.format_exc().splitlines():
            print("# " + line)
        say(False, f"the test ran to its end ({error})")
    finally:
        if HERE:
            subprocess.run(("kbroker", "broker", "stop", "--all"), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
            shutil.rmtree(DIR, ignore_errors=True)
    print(f"1..{len(results)}", flush=True)
    os._exit(0 if done and all(results) else 1)     # clients' threads must not keep us


def eventually(function, seconds=60):
    """Its first result without an exception."""
    end = time.monotonic() + seconds
    while True:
        try:
            return function()
        except Exception:  # pylint: disable=broad-except
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
