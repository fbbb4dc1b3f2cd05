#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 120
# kafkajs, from npm (tests/lib/setup.sh interop fetches it): see kafkajs.mjs.
. "$(dirname "$0")/lib.sh"

kafkajs=${KBROKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kbroker}/npm/kafkajs/package
command -v node >/dev/null || skip_all "node is not installed"
[ -d "$kafkajs" ] || skip_all "kafkajs could not be fetched"
listener_start
timeout 110 node "$(dirname "$0")/kafkajs.mjs" "$B" "$kafkajs" && t_failed=0 || t_failed=1
t_done=1
exit $t_failed
