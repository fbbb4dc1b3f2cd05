#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel: 6.12
# produce and consume: what goes in comes out, cut and printed as asked; Ctrl-C
# and errors say how many records are safe.
. "$(dirname "$0")/lib.sh"

broker_start
topic_create t --partitions 3
topic_create one --partitions 1
all=(kbroker consume one --exit)

# --- in and out ------------------------------------------------------------------
printf 'a\nb\n\nlast' | kbroker produce one
check_equal "lines, an empty one, and one without an end" "$("${all[@]}" --format '%o=%s.')" "0=a.1=b.2=.3=last."
printf 'k1:v1\nk2:v2\n:v3\nv4\n' | kbroker produce one --key-separator :
check_equal "keys" "$("${all[@]}" --offset 4 --format '%k|%K|%s|%S\n')" "k1|2|v1|2
k2|2|v2|2
|0|v3|2
|-1|v4|2"
printf 'k:\n' | kbroker produce one -K : -Z
check_equal "null" "$("${all[@]}" -o -1 -Z -f '%k %s %S')" "k NULL -1"
printf 'x;;y;;' | kbroker produce one -D ';;' -H a=1 -H b= -H c
check_equal "another delimiter, headers" "$("${all[@]}" -o -2 -f '%s %h;')" "x a=1,b=,c=NULL;y a=1,b=,c=NULL;"
printf 'timed' | kbroker produce one --timestamp 1700000000123
check_equal "a timestamp" "$("${all[@]}" -o -1 -f '%T %t %p')" "1700000000123 one 0"
printf 'x\0y' | kbroker produce one --delimiter '\0'
check_equal "NUL as delimiter" "$("${all[@]}" -o -2 -f '%s,')" "x,y,"
printf '\377\376' | kbroker produce one
check_equal "bytes that are no UTF-8, as JSON" "$("${all[@]}" -o -1 --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["payload_base64"])')" "//4="
check_equal "JSON" "$("${all[@]}" -o 4 -c 1 --json | python3 -c '
import json, sys
d = json.load(sys.stdin)
print(d["topic"], d["partition"], d["offset"], d["key"], d["payload"], d["tstype"])')" "one 0 4 k1 v1 create"
check_equal "the key before the value" "$("${all[@]}" -o 4 -c 1 -K ' -> ')" "k1 -> v1"
check_equal "the value's length in binary" "$("${all[@]}" -o 4 -c 1 -f '%R' | od -An -tx1)" " 00 00 00 02"

# --- files -----------------------------------------------------------------------
seq 1000 >"$T_TMP/lines"
topic_create f --partitions 1
check "a file is a record" kbroker produce f "$T_TMP/lines"
check_equal "whole" "$(kbroker consume f --exit -f %s | cmp - "$T_TMP/lines" && echo same)" same
check "a file of lines" kbroker produce f --lines "$T_TMP/lines"
check_equal "a record each" "$(kbroker consume f --exit --offset 1 | cmp - "$T_TMP/lines" && echo same)" same
check_equal "the summary as JSON" "$(kbroker produce f -l "$T_TMP/lines" --json | python3 -c '
import json, sys
d = json.load(sys.stdin)
print(d["accepted"], d["safe"], d["failed"], d["partitions"][0]["first_offset"], d["partitions"][0]["last_offset"])')" \
	"1000 1000 0 1001 2000"
check_equal "tee" "$(printf 'a\nb\n' | kbroker produce f --tee)" "a
b"
check_equal "a count" "$(seq 100 | kbroker produce f --count 7 --json | grep -c '"safe": 7')" 1
check_fails "a file that is not there" "No such file" kbroker produce f /none

# --- compression, partitions -------------------------------------------------------
for codec in none gzip snappy lz4 zstd; do
	topic_create "z-$codec" --partitions 1
	kbroker produce "z-$codec" --compression $codec <"$T_TMP/lines"
	check_equal "$codec" "$(kbroker consume "z-$codec" --exit | cmp - "$T_TMP/lines" && echo same)" same
	check_equal "$codec, read as lines" "$(timeout 60 head -n 1000 "/dev/kbroker/z-$codec/0" | cmp - "$T_TMP/lines" && echo same)" same
done
check "a compressed log is good" kbroker log check "$T_DIR/z-zstd-0"
printf 'a:1\nkey1:2\nkafka:3\n21:4\n' | kbroker produce t -K :
check_equal "murmur2 as Java does" "$(kbroker consume t --exit -f '%k=%p\n' | sort | tr '\n' ' ')" "21=0 a=1 kafka=1 key1=2 "
topic_create c32 --partitions 3
printf 'a:1\nkey1:2\nkafka:3\n21:4\n' | kbroker produce c32 -K : --partitioner crc32
check_equal "crc32 as librdkafka does" "$(kbroker consume c32 --exit -f '%k=%p\n' | sort | tr '\n' ' ')" "21=1 a=0 kafka=2 key1=1 "
topic_create rr --partitions 3
seq 300 | kbroker produce rr --partitioner round-robin
check_equal "round-robin" "$(kbroker consume rr --exit -f '%p\n' | sort | uniq -c | tr -s ' \n' ' ')" " 100 0 100 1 100 2 "
check_equal "one partition" "$(kbroker consume rr --exit -p 1 | wc -l)" 100
check_equal "a list of partitions" "$(kbroker consume rr --exit -p 0,2 | wc -l)" 200
seq 5 | kbroker produce rr -p 2
check_equal "to one partition" "$(kbroker consume rr -e -p 2 -o -5 | tr '\n' ' ')" "1 2 3 4 5 "
check_equal "order holds in a partition" "$(kbroker consume rr -e -p 0 | sort -n -c && echo yes)" yes

# --- where to begin and end ----------------------------------------------------------
topic_create w --partitions 1
for i in 1 2 3 4 5; do printf '%s\n' $i | kbroker produce w --timestamp $((1700000000000 + i * 1000)); done
check_equal "--offset N" "$(kbroker consume w -e -o 3 | tr '\n' ' ')" "4 5 "
check_equal "--offset -N" "$(kbroker consume w -e -o -2 | tr '\n' ' ')" "4 5 "
check_equal "more than there are" "$(kbroker consume w -e -o -200 | wc -l)" 5
check_equal "--offset @time" "$(kbroker consume w -e -o @1700000003000 | tr '\n' ' ')" "3 4 5 "
check_equal "--until" "$(kbroker consume w --until 1700000003000 | tr '\n' ' ')" "1 2 "
check_equal "kcat's s@ and e@" "$(kbroker consume w -e -o s@1700000002000 -o e@1700000004000 | tr '\n' ' ')" "2 3 "
check_equal "--offset end --exit" "$(kbroker consume w -e -o end)" ""
check_equal "--timeout-ms" "$(kbroker consume w --from-beginning --timeout-ms 200 | wc -l)" 5
check_equal "--count over all" "$(kbroker consume rr --from-beginning --count 7 | wc -l)" 7
kbroker consume w >"$T_TMP/follow" &
follower=$!
check "it waits" wait_for 60 bash -c 'kbroker partition describe w --json | grep -q "\"readers\": 1"'
echo new | kbroker produce w
check "and prints what comes" wait_for 60 grep -q new "$T_TMP/follow"
kill -TERM $follower
wait $follower
check_equal "SIGTERM, like Ctrl-C, ends it well" $? 0
check_equal "a closed pipe ends it quietly" "$(kbroker consume rr --from-beginning 2>&1 | head -n 3 | wc -l)" 3

topic_create grows --partitions 1
kbroker consume grows --count 2 --format '%p=%s\n' >"$T_TMP/grown" &
follower=$!
wait_for 60 bash -c 'kbroker partition describe grows --json | grep -q "\"readers\": 1"'
kbroker topic alter grows --partitions 2
echo old >/dev/kbroker/grows/0
echo new >/dev/kbroker/grows/1
wait $follower
check_equal "partitions that are added are read, too" "$(tr '\n' ' ' <"$T_TMP/grown")" "0=old 1=new "

topic_create busy --partitions 1
while echo busy; do :; done >/dev/kbroker/busy/0 2>/dev/null &
writer=$!
kbroker consume busy --unbuffered --format '%p\n' >"$T_TMP/busy" &
follower=$!
wait_for 60 test -s "$T_TMP/busy"
kbroker topic alter busy --partitions 2
echo new >/dev/kbroker/busy/1
check "also while others are never quiet" wait_for 60 grep -q '^1$' "$T_TMP/busy"
kill $writer $follower
wait $writer $follower

# --- nothing is lost ------------------------------------------------------------------
topic_create s --partitions 1
mkfifo "$T_TMP/fifo"
kbroker produce s <"$T_TMP/fifo" 2>"$T_TMP/err" &
producer=$!
exec 8>"$T_TMP/fifo"
seq 500 >&8
wait_for 60 bash -c "[ \$(kbroker consume s --exit 2>/dev/null | wc -l) = 500 ]"
kill -TERM $producer
wait $producer
check_equal "SIGTERM, like Ctrl-C: exit 1" $? 1
check_equal "says how many are safe" "$(grep -c '^500 records are safe' "$T_TMP/err")" 1
exec 8>&-
check_equal "and they are" "$(kbroker consume s --exit | wc -l)" 500

head -c 10000000 /dev/zero | tr '\0' x >"$T_TMP/long"
{ seq 3; cat "$T_TMP/long"; } >"$T_TMP/input"
check_fails "10 MB without a newline" "max.message.bytes" kbroker produce s <"$T_TMP/input"
check_equal "what came before it is safe" "$(kbroker consume s --exit -o 500 | tr '\n' ' ')" "1 2 3 "
check "a topic with larger batches" kbroker topic create big --partitions 1 --config max.message.bytes=20000000
check "takes it" kbroker produce big "$T_TMP/long"
check_equal "and gives it back" "$(kbroker consume big --exit | cmp - <(cat "$T_TMP/long"; echo) && echo same)" same
kbroker topic create gone --partitions 1 >/dev/null 2>&1
kbroker consume gone >"$T_TMP/out2" 2>&1 &
reader=$!
wait_for 60 bash -c 'kbroker partition describe gone --json | grep -q "\"readers\": 1"'
kbroker topic delete gone
check "a consumer of a deleted topic ends" wait $reader
check_fails "no topic" "there is no topic" kbroker produce nothing </dev/null
check_fails "no partition" "no partition 7" kbroker produce t -p 7 </dev/null
check_fails "no such partition to read" "no partition 7" kbroker consume t -p 7 -e

# --- bench -----------------------------------------------------------------------------
topic_create b --partitions 2
check_equal "bench produce" "$(kbroker bench produce b --count 2000 --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["records"], d["failed"], d["bytes"])')" "2000 0 200000"
check_equal "bench consume" "$(kbroker bench consume b --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["records"], d["bytes"])')" "2000 200000"
check "the log is good" kbroker log check "$T_DIR/s-0" "$T_DIR/rr-0" "$T_DIR/b-0"
done_testing
