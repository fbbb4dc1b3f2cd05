#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# long
# A producer and a consumer in a memory cgroup far smaller than what they move.
. "$(dirname "$0")/lib.sh"

cg=/sys/fs/cgroup
if ! [ -e $cg/cgroup.controllers ]; then
	cg=$T_TMP/cgroup
	mkdir "$cg"
	mount -t cgroup2 none "$cg" 2>/dev/null || skip_all "no cgroup2"
	at_end "umount $cg"
fi
grep -qw memory $cg/cgroup.controllers || skip_all "no memory controller"
echo +memory >$cg/cgroup.subtree_control
mkdir $cg/small
at_end "rmdir $cg/small"

mib=16
data=$T_TMP/data
seq -f 'line %08.0f: what is produced in a small group is much more than the group may have' 1000000 |
	head -c $((mib << 20)) >"$data"
echo >>"$data"
sum=$(sha256sum <"$data")

# in_group LIMIT COMMAND...: run it with so much memory, page cache included
in_group()
{
	echo "$1" >$cg/small/memory.max
	shift
	bash -c 'echo $$ >"$0"/cgroup.procs && exec "$@"' $cg/small "$@"
}
event() { sed -n "s/^$1 //p" $cg/small/memory.events; }

broker_start
topic_create t --partitions 1
topic_create u --partitions 1

in_group 4M dd if="$data" of=/dev/kbroker/t/0 bs=64k iflag=fullblock status=none
check_equal "a producer in 4 MiB writes $mib MiB" $? 0
check "the limit was felt" test "$(event max)" -gt 0
in_group 4M head -c $(((mib << 20) + 1)) /dev/kbroker/t/0 | sha256sum >"$T_TMP/sum"
check_equal "a consumer in 4 MiB reads them, unchanged" "$(cat "$T_TMP/sum")" "$sum"
check_equal "nobody was killed for it" "$(event oom_kill)" 0

# With next to nothing a program may be killed; nobody else may notice.
for _ in 1 2 3; do
	in_group 256K dd if="$data" of=/dev/kbroker/t/0 bs=1M count=2 status=none >/dev/null 2>&1
	in_group 256K dd if=/dev/kbroker/t/0 of=/dev/null bs=1M count=2 status=none >/dev/null 2>&1
done
diag "in 256 KiB: $(event oom_kill) killed"
check "others write meanwhile and afterwards" timeout 60 bash -c 'echo others >/dev/kbroker/u/0'
check "the broker stops" kbroker broker stop
check "and its logs are whole" kbroker log check "$T_DIR"
done_testing
