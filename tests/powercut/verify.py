#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Mount each crash state, let the module recover it, compare (in the machine).

Of what was acknowledged before the crash nothing may be missing, altered or at
another offset; of what is there nothing may be invented, torn, doubled or out
of order. Then the log must take new records. Prints TAP; the states of a
control phase are one test, which passes when at least one of them is bad.
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import store  # noqa: E402

CONTROLS = ("lazy", "nobarrier")
MOUNT = "/run/powercut"


def build(share, name):
    """The image of a state, in memory."""
    image = "/run/state.img"
    shutil.copyfile("/run/base.img", image)
    with open(os.path.join(share, name), "rb") as diff, open(image, "r+b") as out:
        while head := diff.read(16):
            offset, length = struct.unpack("<QQ", head)
            out.seek(offset)
            out.write(diff.read(length))
    return image


def judge(where, state):
    """What is wrong with a recovered state, as sentences."""
    wrong = []
    phase = state["phase"]
    for partition in range(store.PARTITIONS):
        acks = [a for a in state["acks"] if a["p"] == partition]
        lines = where.read(phase, partition)
        if lines is None:
            wrong.append(f"{phase}/{partition} is gone")
            continue
        records = [store.parse(text) for text in lines]
        for offset, record in enumerate(records):
            if record is None:
                wrong.append(f"{phase}/{partition}: record {offset} is damaged: {lines[offset][:60]!r}")
            elif record[0] != phase:
                wrong.append(f"{phase}/{partition}: record {offset} belongs to {record[0]}")
        good = [r for r in records if r]
        batches = {}
        for offset, (_, writer, seq, at, number) in enumerate(good):
            batches.setdefault((writer, seq), []).append((offset, at, number))
        last = {}
        for (writer, seq), parts in batches.items():
            offsets = [p[0] for p in parts]
            if [p[1] for p in parts] != list(range(parts[0][2])) or offsets != list(range(offsets[0], offsets[0] + len(parts))):
                wrong.append(f"{phase}/{partition}: batch {writer}:{seq} is torn or doubled: {parts}")
            if seq != last.get(writer, -1) + 1:
                wrong.append(f"{phase}/{partition}: writer {writer}: {seq} follows {last.get(writer)}")
            last[writer] = seq
        for ack in acks:
            parts = batches.get((ack["w"], ack["s"]))
            if not parts:
                wrong.append(f"{phase}/{partition}: acknowledged batch {ack['w']}:{ack['s']} is lost")
            elif ack["o"] >= 0 and parts[0][0] != ack["o"]:
                wrong.append(f"{phase}/{partition}: batch {ack['w']}:{ack['s']} moved from {ack['o']} to {parts[0][0]}")
    return wrong


def write_on(where, state):
    """A recovered log takes records, and gives them back."""
    phase = state["phase"]
    before = len(where.read(phase, 0))
    write = where.writer(phase, 0)
    write(store.line(phase, 999, 0, 0, 1, 5), 1)
    write.close()
    after = where.read(phase, 0)
    if len(after) != before + 1 or (store.parse(after[-1]) or (0, 0))[1] != 999:
        return ["the recovered log does not take a new record"]
    return []


def check(kind, share, state):
    image = build(share, state["name"])
    subprocess.run(["mount", "-o", "loop", image, MOUNT], check=True)
    wrong = []
    try:
        where = getattr(store, kind)(MOUNT)
        where.lazy = {state["phase"]: False}
        where.start()
        try:
            wrong += judge(where, state)
            wrong += write_on(where, state)
        finally:
            where.stop()
    except Exception:  # pylint: disable=broad-except
        wrong.append(traceback.format_exc())
    subprocess.run(["umount", MOUNT], check=True)
    return wrong


def main():
    kind, share, base = sys.argv[1:4]
    subprocess.run(["modprobe", "loop"], check=False)
    os.makedirs(MOUNT, exist_ok=True)
    shutil.copyfile(base, "/run/base.img")
    with open(os.path.join(share, "states.json"), encoding="utf-8") as text:
        states = json.load(text)
    real = [s for s in states if s["phase"] not in CONTROLS]
    print(f"1..{len(real) + len(CONTROLS)}", flush=True)
    failed = 0
    for n, state in enumerate(real, 1):
        wrong = check(kind, share, state)
        what = "with part of the pending writes" if state["subset"] else "without the pending writes"
        print(f"{'not ok' if wrong else 'ok'} {n} - crash at block write {state['entry']}, {len(state['acks'])} batches "
              f"acknowledged, {what}", flush=True)
        failed += bool(wrong)
        for sentence in wrong[:10]:
            print("\n".join(f"# {l}" for l in sentence.splitlines()), flush=True)
    for n, phase in enumerate(CONTROLS, len(real) + 1):
        # The control is there to show that loss is found; the first is enough.
        mine = [s for s in states if s["phase"] == phase]
        found = None
        for state in mine:
            found = [w for w in check(kind, share, state) if " is lost" in w or " is gone" in w]
            if found:
                break
        print(f"{'ok' if found else 'not ok'} {n} - control: with {phase} writes, loss is found "
              f"({found[0] if found else f'none in {len(mine)} states'})", flush=True)
        failed += not found
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
