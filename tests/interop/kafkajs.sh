#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 120
# kafkajs, from npm (tests/lib/setup.sh interop fetches it to KBROKER_KAFKAJS): see
# kafkajs.mjs.
. "$(dirname "$0")/lib.sh"

kafkajs=${KBROKER_KAFKAJS:-}
command -v node >/dev/null || skip_all "node is not installed"
[ -d "$kafkajs" ] || skip_all "npm could not fetch kafkajs"
listener_start
timeout 110 node "$(dirname "$0")/kafkajs.mjs" "$B" "$kafkajs" && t_failed=0 || t_failed=1
t_done=1
exit $t_failed
