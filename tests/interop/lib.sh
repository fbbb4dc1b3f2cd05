# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For the tests with Kafka clients that others wrote: tests/selftests/lib.sh,
# plus a broker with a listener; $B is its address.
#
# With KBROKER_INTEROP_BOOTSTRAP=HOST:PORT another broker is used instead, which
# shows what clients and tests expect of any; what needs the devices or the
# command is then left out.
# shellcheck source=tests/selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../selftests/lib.sh"

B=${KBROKER_INTEROP_BOOTSTRAP:-127.0.0.1:9092}

# here: are the devices and the command those of the broker under test?
here() { [ -z "${KBROKER_INTEROP_BOOTSTRAP:-}" ]; }

# listener_start [OPTION]...: as broker_start
listener_start() { ! here || broker_start --listener "$B" "$@"; }

# topic NAME PARTITIONS: by the command here, by a client elsewhere
topic()
{
	if here; then
		topic_create "$1" --partitions "$2"
	else
		/usr/bin/python3 -c 'import sys; from kafka.admin import KafkaAdminClient as A, NewTopic as N
A(bootstrap_servers=sys.argv[1]).create_topics([N(sys.argv[2], int(sys.argv[3]), 1)])' "$B" "$1" "$2"
	fi
}
