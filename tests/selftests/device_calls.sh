#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The part of the device tests that is written in C: see device_calls.c.
. "$(dirname "$0")/lib.sh"

broker_start
topic_create t --partitions 1 --config segment.bytes=262144 --config max.message.bytes=200000
topic_create u --partitions 3
topic_create a --partitions 1 --config flush.policy=async
status=0
device_calls /dev/kbroker/t/0 /dev/kbroker/u/all /dev/kbroker/a/0 || status=$?
[ $status -gt 1 ] || t_done=1		# else it did not print its plan
exit $status
