#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
# Everybody at once, under signals: see stress.c.
. "$(dirname "$0")/lib.sh"

broker_start
for t in s0 s1; do
	topic_create $t --partitions 3 --config segment.bytes=65536
done
stress "${KBROKER_STRESS_SECONDS:-8}" "${KBROKER_STRESS_SEED:-1}" "${KBROKER_STRESS_HOW:-restart}" "$T_DIR"
status=$?
# shellcheck disable=SC2034 # lib.sh reads it
t_done=1
exit $status
