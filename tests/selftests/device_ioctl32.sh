#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
# 32-bit programs at the devices: see device_ioctl32.c.
. "$(dirname "$0")/lib.sh"

[ -z "${KBROKER_SELFTEST_UML:-}" ] || skip_all "the user-mode kernel runs no 32-bit programs"
broker_start
topic_create t --partitions 1 --config max.message.bytes=200000
topic_create u --partitions 3
status=0
device_ioctl32 /dev/kbroker/t/0 /dev/kbroker/u/all || status=$?
[ $status -gt 1 ] || t_done=1		# else it did not print its plan
exit $status
