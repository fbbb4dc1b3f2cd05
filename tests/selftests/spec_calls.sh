#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
# What a script can't do to a device: see spec_calls.c.
. "$(dirname "$0")/lib.sh"

# try NAME ARGUMENT...: status 4 of the program is a skip
try()
{
	local name=$1 status=0

	shift
	spec_calls "$@" >"$T_TMP/out" 2>&1 || status=$?
	if [ $status = 4 ]; then
		skip "$name" "this kernel has no such thing"
	else
		check "$name: $(cat "$T_TMP/out")" test $status = 0
	fi
}

broker_start
for topic in w r m v; do
	topic_create $topic --partitions 1
done
try "a page that comes late delays its own write, not others, nor the end of the topic" late-write /dev/kbroker/w/0 w
try "nor does one that a read waits for" late-read /dev/kbroker/r/0 r
try "F6 memory that changes while it is written: what write() counted is there" changing /dev/kbroker/m/0
try "F5 memory that goes away while it is written: all of a write or nothing" vanishing /dev/kbroker/v/0
done_testing
