#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 1200
# long
# dir_fuzz.py for minutes, from a seed that changes by the day.
seed=$(date +%j)
echo "# KBROKER_FUZZ_SEED=$seed"
KBROKER_FUZZ_SECONDS=240 KBROKER_FUZZ_SEED=$seed exec "$(dirname "$0")/dir_fuzz.py"
