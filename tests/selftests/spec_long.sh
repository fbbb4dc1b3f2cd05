#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 900
# long
# The tests that follow the specifications, trying more of everything.
export KBROKER_SPEC_LONG=1
n=0 failed=0
for name in spec_device spec_netlink spec_disk; do
	n=$((n + 1))
	if "$(dirname "$0")/$name.py" >"/run/$name.out" 2>&1; then
		word=ok
	else
		word="not ok" failed=1
	fi
	sed 's/^/    /' "/run/$name.out"
	echo "$word $n - $name"
	rm -f "/run/$name.out"
done
echo "1..$n"
exit $failed
