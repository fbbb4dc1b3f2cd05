#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.1
# A disk that fills up: producers are told, consumers go on, writing resumes.
. "$(dirname "$0")/lib.sh"

modprobe loop
truncate -s 48M /run/full.img
mkfs.ext4 -q -F /run/full.img
mkdir -p /run/full
mount -o loop /run/full.img /run/full || bail "cannot mount the small disk"
at_end "umount /run/full; rm -f /run/full.img"
mkdir /run/full/dir
kbroker broker start --dir /run/full/dir >"$T_TMP/out" 2>&1 || { diag "$(cat "$T_TMP/out")"; bail "the broker does not start"; }
at_end "kbroker broker stop"
topic_create big --partitions 1 --config segment.bytes=1048576
topic_create small --partitions 1
echo before >/dev/kbroker/small/0

# lines of 64 KiB until the disk is full; what was taken is counted
written=$(python3 - <<'END'
import errno, os
fd = os.open("/dev/kbroker/big/0", os.O_WRONLY)
n = 0
for n in range(2000):
    data = b"%08d" % n + b"x" * 65000 + b"\n"
    try:
        done = os.write(fd, data)
    except OSError as error:
        print(n, errno.errorcode[error.errno])
        break
    if done != len(data):
        print(n, "short", done)
        break
END
)
check_equal "a full disk is ENOSPC" "${written#* }" ENOSPC
n=${written% *}
diag "$n lines of 64 KiB were taken"
check "the disk really was filled" test "$n" -gt 200

read_back=$(python3 - <<'END'
import os
fd = os.open("/dev/kbroker/big/0", os.O_RDONLY | os.O_NONBLOCK)
data = b""
while True:
    try:
        part = os.read(fd, 1 << 20)
    except BlockingIOError:
        break
    if not part:
        break
    data += part
lines = data.splitlines()
good = all(line[:8] == b"%08d" % i and len(line) == 65008 for i, line in enumerate(lines))
print(len(lines), good)
END
)
check_equal "consumers read every record that was taken" "$read_back" "$n True"
check_equal "and those of other topics" "$(timeout 60 head -n 1 /dev/kbroker/small/0)" before

check "the broker stops on a full disk" kbroker broker stop
check "and starts" kbroker broker start --dir /run/full/dir
check "a topic can be deleted on a full disk" kbroker topic delete big
check "writing resumes by itself" wait_for 60 bash -c 'echo after >/dev/kbroker/small/0'
check_equal "nothing was lost or doubled" "$(timeout 60 head -n 2 /dev/kbroker/small/0 | tr '\n' ' ')" "before after "
check "the broker stops" kbroker broker stop
kbroker broker start --dir /run/full/dir >/dev/null 2>&1
check_equal "and starts with the same records" "$(timeout 60 head -n 2 /dev/kbroker/small/0 | tr '\n' ' ')" "before after "
done_testing
