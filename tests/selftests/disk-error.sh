#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# allow: I/O error|EXT4-fs warning
# A disk that returns EIO: nobody is told that a record is safe when it isn't.
. "$(dirname "$0")/lib.sh"

modprobe -a loop dm-mod dm-flakey || skip_all "this kernel has no dm-flakey"
export DM_DISABLE_UDEV=1
truncate -s 128M /run/eio.img
loop=$(losetup --show -f /run/eio.img) || bail "no loop device"
at_end "losetup -d $loop; rm -f /run/eio.img"
size=$(blockdev --getsz "$loop")
good="0 $size linear $loop 0"
dmsetup create eio --table "$good" || bail "no device mapper"
at_end "dmsetup remove -f eio"
swap() { dmsetup suspend --nolockfs eio && printf '%s\n' "$1" | dmsetup load eio && dmsetup resume eio; }
mkfs.ext4 -q -F -b 4096 /dev/mapper/eio
mkdir -p /run/eio
mount /dev/mapper/eio /run/eio || bail "cannot mount it"
at_end "umount /run/eio"
mkdir /run/eio/dir
kbroker broker start --dir /run/eio/dir >"$T_TMP/out" 2>&1 || { diag "$(cat "$T_TMP/out")"; bail "the broker does not start"; }
at_end "kbroker broker stop"
topic_create t --partitions 1
for i in 1 2 3 4 5; do
	echo "safe $i" >/dev/kbroker/t/0
done
sync

# Only the block that the records are in fails: the file system's own writes go
# on, or it would stop before the broker could show what it does.
block=$(filefrag -v -b4096 /run/eio/dir/t-0/00000000000000000000.log | awk '$1 == "0:" { sub(/\.\..*/, "", $4); print $4 }')
case $block in
''|*[!0-9]*) filefrag -v /run/eio/dir/t-0/*.log | sed 's/^/# /'; bail "where the segment is on the disk is not known" ;;
esac
first=$((block * 8)) behind=$((block * 8 + 8))
swap "0 $first linear $loop 0
$first 8 flakey $loop $first 0 600 1 error_writes
$behind $((size - behind)) linear $loop $behind" || bail "cannot break the disk"
check_fails "a write that can't be synced is EIO" "Input/output error" bash -c 'echo lost >/dev/kbroker/t/0'
check_equal "what was safe is still read" "$(timeout 60 head -n 5 /dev/kbroker/t/0 | tr '\n' ' ')" "safe 1 safe 2 safe 3 safe 4 safe 5 "
swap "$good"
check "writing goes on once the disk works" wait_for 60 bash -c 'echo "safe 6" >/dev/kbroker/t/0'
check "the broker stops" kbroker broker stop
check "and starts" kbroker broker start --dir /run/eio/dir
# what was not acknowledged may be there, or twice if it was tried again
check_equal "every acknowledged record is there, in order" "$(kbroker consume t --exit | grep safe | uniq | tr '\n' ' ')" "safe 1 safe 2 safe 3 safe 4 safe 5 safe 6 "
done_testing
