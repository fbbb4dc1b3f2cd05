# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For the selftests, which source it: TAP, and what nearly all of them do to a
# broker. A test is an executable tests/selftests/NAME.sh (or .py, which does
# without this); it runs as root in a machine with the module loaded, an ext4
# disk on /var/lib/kbroker and the tools on PATH, and leaves nothing behind:
# what it started and created through this file is removed at its end.
#
#	. "$(dirname "$0")/lib.sh"
#	broker_start
#	topic_create t --partitions 3
#	check "a line is a record" test "$(...)" = x
#	done_testing
#
# Nothing here sleeps for a fixed time to let something happen: wait_for().

T_DIR=/var/lib/kbroker/test
T_TMP=$(mktemp -d /run/selftest.XXXXXX)
t_n=0 t_failed=0 t_cleanup=()

ok() { t_n=$((t_n + 1)); printf 'ok %d - %s\n' $t_n "$*"; }
not_ok() { t_n=$((t_n + 1)); t_failed=$((t_failed + 1)); printf 'not ok %d - %s\n' $t_n "$*"; }
skip() { t_n=$((t_n + 1)); printf 'ok %d - %s # SKIP %s\n' $t_n "$1" "$2"; }
diag() { printf '# %s\n' "$*"; }
bail() { diag "$*"; not_ok "$*"; exit 1; }

# check NAME COMMAND...: a result by the command's status; its output if it fails
check()
{
	local name=$1 status=0

	shift
	"$@" >"$T_TMP/out" 2>&1 || status=$?
	if [ $status = 0 ]; then
		ok "$name"
	else
		not_ok "$name"
		diag "exit status $status: $*"
		head -n 20 "$T_TMP/out" | sed 's/^/#   /'
	fi
	return 0
}

# check_fails NAME REGEX COMMAND...: it must fail, and say something that matches
check_fails()
{
	local name=$1 regex=$2 status=0

	shift 2
	"$@" >"$T_TMP/out" 2>&1 || status=$?
	if [ $status = 0 ]; then
		not_ok "$name"
		diag "succeeded: $*"
	elif ! grep -qE -e "$regex" "$T_TMP/out"; then
		not_ok "$name"
		diag "exit status $status, but it did not say $regex:"
		head -n 20 "$T_TMP/out" | sed 's/^/#   /'
	else
		ok "$name"
	fi
	return 0
}

# check_equal NAME GOT WANTED
check_equal()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1"
		diag "wanted:"
		printf '%s\n' "$3" | head -n 20 | sed 's/^/#   /'
		diag "got:"
		printf '%s\n' "$2" | head -n 20 | sed 's/^/#   /'
	fi
	return 0
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for()
{
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# at_end COMMAND: run at the end, last one first
at_end() { t_cleanup+=("$1"); }

t_end()
{
	local status=$? i

	[ -n "${t_ended:-}" ] && return
	t_ended=1
	for ((i = ${#t_cleanup[@]} - 1; i >= 0; i--)); do
		eval "${t_cleanup[i]}" >/dev/null 2>&1
	done
	# shellcheck disable=SC2046 # pids are words
	kill $(jobs -p) 2>/dev/null
	rm -rf "$T_TMP"
	if [ -z "${t_done:-}" ]; then
		not_ok "the test ran to its end (status $status)"
		echo "1..$t_n"
		exit 1
	fi
}
trap t_end EXIT

done_testing()
{
	t_done=1
	echo "1..$t_n"
	exit $((t_failed > 0))
}

# skip_all REASON: nothing here can run
skip_all()
{
	t_done=1
	echo "1..0 # SKIP $*"
	exit 0
}

# broker_start [OPTION]...: a broker over an empty directory, stopped at the end
broker_start()
{
	rm -rf "$T_DIR"
	mkdir -p "$T_DIR"
	kbroker broker start --dir "$T_DIR" "$@" >"$T_TMP/start" 2>&1 || {
		sed 's/^/# /' "$T_TMP/start"
		bail "the broker does not start"
	}
	at_end "kbroker broker stop; rm -rf $T_DIR"
}

broker_stop() { kbroker broker stop; }

# topic_create NAME [OPTION]...
topic_create()
{
	kbroker topic create "$@" >"$T_TMP/create" 2>&1 || {
		sed 's/^/# /' "$T_TMP/create"
		bail "cannot create topic $1"
	}
}

# The programs of tests/selftests/*.c are here.
PATH=$PATH:${KBROKER_SELFTEST_BIN:-}
