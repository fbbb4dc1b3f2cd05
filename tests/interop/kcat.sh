#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 180
# kcat (librdkafka): what it produces is what it consumes and what the devices
# show, with keys, headers, timestamps and every codec; and the reverse.
. "$(dirname "$0")/lib.sh"

listener_start
K=(kcat -b "$B" -X "topic.metadata.refresh.interval.ms=5000")
consume() { timeout 60 "${K[@]}" -C -e -q "$@"; }
u=$$	# names of its own, on a broker that others use

topic "t$u" 3
check "it lists the topic" bash -c "timeout 60 kcat -b $B -L | grep -q 'topic \"t$u\" with 3 partitions'"
check_equal "metadata as JSON" "$(timeout 60 "${K[@]}" -L -J -t "t$u" |
	/usr/bin/python3 -c 'import json,sys; d=json.load(sys.stdin); t=d["topics"][0]
print(len(d["brokers"]), [(p["partition"], p["leader"] == d["brokers"][0]["id"], len(p["isrs"])) for p in sorted(t["partitions"], key=lambda p: p["partition"])])')" \
	"1 [(0, True, 1), (1, True, 1), (2, True, 1)]"

# --- every codec -------------------------------------------------------------
seq -f 'value %g of a record that compresses well' 500 >"$T_TMP/values"
for codec in none gzip snappy lz4 zstd; do
	topic "c-$codec-$u" 1
	check "it produces $codec" timeout 60 "${K[@]}" -P -t "c-$codec-$u" -p 0 -z $codec -X linger.ms=50 -l "$T_TMP/values"
	consume -t "c-$codec-$u" -o beginning >"$T_TMP/got"
	check "it consumes $codec" cmp "$T_TMP/values" "$T_TMP/got"
	if here; then
		timeout 20 head -n 500 "/dev/kbroker/c-$codec-$u/0" >"$T_TMP/got"
		check "the device shows $codec" cmp "$T_TMP/values" "$T_TMP/got"
		# A batch that is too small to become smaller is sent as it is.
		check_equal "what was sent as $codec is stored as $codec" "$(kbroker log dump --json "$T_DIR/c-$codec-$u-0" |
			grep -oE '"codec": ?"[a-z0-9]+"' | tr -d '" ' | grep -m 1 "$codec")" "codec:$codec"
	fi
done

# --- keys, headers, timestamps -------------------------------------------------
topic "r$u" 1
printf 'k1:v1\nk2:v2\n:empty\n' | timeout 60 "${K[@]}" -P -t "r$u" -p 0 -K : -H a=1 -H b=
check_equal "keys and headers come back" "$(consume -t "r$u" -o beginning -f '%o %k %K %s %S %h\n')" "0 k1 2 v1 2 a=1,b=
1 k2 2 v2 2 a=1,b=
2  0 empty 5 a=1,b="
printf 'k:\n' | timeout 60 "${K[@]}" -P -t "r$u" -p 0 -K : -Z
check_equal "null values" "$(consume -t "r$u" -o -1 -Z -f '%o %k %s %S\n')" "3 k NULL -1"
if here; then
	check_equal "the command reads them all the same" \
		"$(kbroker consume "r$u" --exit --offset 0 --count 1 -f '%o %k %s %h\n')" "0 k1 v1 a=1,b="
	printf 'timed' | kbroker produce "r$u" --timestamp 1700000000123 -H h=x
	check_equal "what the command produced, kcat consumes" "$(consume -t "r$u" -o -1 -f '%T %k|%K %s %h\n')" "1700000000123 |-1 timed h=x"
	echo "from the shell" >/dev/kbroker/r$u/0
	check_equal "echo is a producer" "$(consume -t "r$u" -o -1 -f '%s')" "from the shell"
fi

# --- where to start --------------------------------------------------------------
topic "o$u" 1
seq 10 | timeout 60 "${K[@]}" -P -t "o$u" -p 0
check_equal "from an offset" "$(consume -t "o$u" -o 7 | tr '\n' ' ')" "8 9 10 "
check_equal "from the end" "$(consume -t "o$u" -o end)" ""
check_equal "the last three" "$(consume -t "o$u" -o -3 | tr '\n' ' ')" "8 9 10 "
check_equal "so many" "$(timeout 60 "${K[@]}" -C -q -t "o$u" -o beginning -c 2 | tr '\n' ' ')" "1 2 "
if here; then
	topic "time$u" 1
	for t in 1000 2000 3000; do printf '%s' $t | kbroker produce "time$u" --timestamp 170000000$t; done
	check_equal "an offset by time" "$(timeout 60 "${K[@]}" -Q -t "time$u:0:1700000001500")" "time$u [0] offset 1"
	check_equal "from a time on" "$(consume -t "time$u" -o s@1700000001500 | tr '\n' ' ')" "2000 3000 "
fi

# --- who waits is woken ------------------------------------------------------------
topic "w$u" 1
timeout 60 "${K[@]}" -C -q -u -t "w$u" -p 0 -o beginning -c 2 >"$T_TMP/got" &
waiting=$!
echo one | timeout 60 "${K[@]}" -P -t "w$u" -p 0
check "a waiting consumer gets what comes" wait_for 30 grep -qx one "$T_TMP/got"
if here; then
	echo two >"/dev/kbroker/w$u/0"
	timeout 60 head -n 3 "/dev/kbroker/w$u/0" >"$T_TMP/device" &
	reader=$!
else
	echo two | timeout 60 "${K[@]}" -P -t "w$u" -p 0
fi
check "it waits no longer than for its last record" wait $waiting
check_equal "it got both" "$(tr '\n' ' ' <"$T_TMP/got")" "one two "
if here; then
	echo three | timeout 60 "${K[@]}" -P -t "w$u" -p 0
	wait $reader
	check_equal "and a device's reader gets what kcat produces" "$(tr '\n' ' ' <"$T_TMP/device")" "one two three "
fi

# --- acks, refusals ------------------------------------------------------------------
for acks in 0 1 all; do
	topic "a-$acks-$u" 1
	seq 100 | timeout 60 "${K[@]}" -P -t "a-$acks-$u" -p 0 -X acks=$acks
	check "acks=$acks" wait_for 30 bash -c "[ \"\$(timeout 20 kcat -b $B -C -e -q -t a-$acks-$u | wc -l)\" = 100 ]"
done
if here; then
	check_fails "a topic that the listener's user may not write" "[Aa]uthori" \
		bash -c "kbroker topic create closed$u --partitions 1 --owner 12345 --mode 0600 >/dev/null &&
			 kbroker listener add 127.0.0.1:9192 --listener-user 65534 >/dev/null &&
			 echo x | timeout 60 kcat -b 127.0.0.1:9192 -P -t closed$u -p 0"
	check_fails "nor read" "[Aa]uthori" timeout 60 kcat -b 127.0.0.1:9192 -C -e -t "closed$u" -p 0
	check "but its owner's listener may" bash -c "echo x | timeout 60 kcat -b $B -P -t closed$u -p 0"
	kbroker topic create late --partitions 1 --config max.message.bytes=1000 >/dev/null
	check_fails "a message that is too large" "too large|MSG_SIZE" \
		bash -c "head -c 5000 /dev/urandom | base64 -w 0 | timeout 60 kcat -b $B -P -t late -p 0"
fi
# a topic that nobody made
echo auto | timeout 60 "${K[@]}" -P -t "auto$u"
check_equal "a topic is made on demand" "$(consume -t "auto$u" -o beginning)" "auto"
done_testing
