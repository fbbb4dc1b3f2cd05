#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
# A file system that is frozen, as for a snapshot of its device: what was
# appended before is durable, nobody complains, and writing goes on afterwards.
. "$(dirname "$0")/lib.sh"

modprobe loop
truncate -s 64M /run/freeze.img
mkfs.ext4 -q -F /run/freeze.img
mkdir -p /run/freeze
mount -o loop /run/freeze.img /run/freeze || bail "cannot mount the disk"
at_end "umount /run/freeze; rm -f /run/freeze.img"
mkdir /run/freeze/dir
kbroker broker start --dir /run/freeze/dir >"$T_TMP/out" 2>&1 || { diag "$(cat "$T_TMP/out")"; bail "the broker does not start"; }
at_end "kbroker broker stop"
topic_create t --partitions 2 --config flush.policy=async

synced() { kbroker partition describe t 0 | grep -q "^synced end[[:space:]]*1$"; }

# two files, which are synced together; the freeze comes before the broker's own sync
echo one >/dev/kbroker/t/0
echo one >/dev/kbroker/t/1
fsfreeze -f /run/freeze || bail "cannot freeze it"
check "what was appended before is known to be durable" wait_for 60 synced
check_equal "and is read" "$(timeout 60 head -n 1 /dev/kbroker/t/0)" one
fsfreeze -u /run/freeze
check "writing goes on afterwards" bash -c 'echo two >/dev/kbroker/t/0'
check_equal "nothing was lost or doubled" "$(timeout 60 head -n 2 /dev/kbroker/t/0 | tr '\n' ' ')" "one two "
done_testing
