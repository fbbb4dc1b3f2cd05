#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# long
# reload.sh, with more rounds.
KBROKER_RELOAD_ROUNDS=30 exec "$(dirname "$0")/reload.sh"
