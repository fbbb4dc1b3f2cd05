#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# long
# timeout: 900
"""listener_fuzz with more seeds, each for longer."""
import listener_fuzz
from device_lib import run


def main():
    listener_fuzz.prepare()
    for listener_fuzz.SEED in range(2, 8):
        print(f"# seed {listener_fuzz.SEED}", flush=True)
        listener_fuzz.attack(60)


run(main)
