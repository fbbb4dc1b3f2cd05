#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 1800
# long
# device_group_stress.py for ten minutes.
KBROKER_STRESS_SECONDS=600 exec "$(dirname "$0")/device_group_stress.py"
