// SPDX-License-Identifier: GPL-2.0-only
/*
 * libkbroker: batches, its snappy encoder, and producer and consumer over
 * devices in memory.
 */
#include <errno.h>
#include <linux/kbroker.h>
#include <linux/limits.h>
#include <pthread.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include <kbroker/kbroker.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "codec/compress.h"
#include "fake_device.h"
#include "pack.h"
#include "tap.h"
#include "unit.h"

static struct kbroker_message text_message(const char *key, const char *value)
{
	struct kbroker_message m = KBROKER_MESSAGE_INIT;

	m.key = key;
	m.key_len = key ? strlen(key) : 0;
	m.value = value;
	m.value_len = value ? strlen(value) : 0;
	return m;
}

static void expect_text(const void *bytes, size_t len, const char *want)
{
	if (!want)
		expect(!bytes && !len);
	else if (expect(bytes))
		expect_bytes(bytes, len, want, strlen(want));
}

static void test_headers(void)
{
	static const struct kbroker_message_header want[] = {
		{ "trace", 5, "abc", 3 }, { "empty", 5, "", 0 }, { "", 0, NULL, 0 },
	};
	struct kbroker_message_header got, bad = { 0 };
	struct kbroker_message m = KBROKER_MESSAGE_INIT;
	unsigned char buf[64];
	size_t at = 0, pos = 0;
	ssize_t len;
	int i;

	for (i = 0; i < 3; i++) {
		len = kbroker_header_encode(NULL, 0, &want[i]);
		expect(len > 0);
		expect_eq(kbroker_header_encode(buf + at, len - 1, &want[i]), -ENOSPC);
		expect_eq(kbroker_header_encode(buf + at, sizeof(buf) - at, &want[i]), len);
		at += len;
	}
	m.headers = buf;
	m.headers_len = at;
	m.headers_count = 3;
	for (i = 0; i < 3; i++) {
		expect_eq(kbroker_header_next(&m, &pos, &got), 1);
		expect_bytes(got.key, got.key_len, want[i].key, want[i].key_len);
		expect_eq(!got.value, !want[i].value);
		expect_eq(got.value_len, want[i].value_len);
	}
	expect_eq(kbroker_header_next(&m, &pos, &got), 0);
	m.headers_len--;
	pos = at - 2;
	expect_eq(kbroker_header_next(&m, &pos, &got), -EBADMSG);
	expect_eq(kbroker_header_encode(buf, sizeof(buf), &bad), -EINVAL);
}

/* Batches of every codec are what the broker accepts, and are read back */
static void test_batches(void)
{
	int codec, i, n;

	for (codec = KBROKER_CODEC_NONE; codec <= KBROKER_CODEC_ZSTD; codec++) {
		struct kbr_batch_verdict verdict;
		struct kbroker_batch *batch;
		struct kbroker_reader *reader;
		struct kbroker_message m, got;
		const void *data;
		char value[64];
		size_t len;
		int round;

		tap_context("%s", kbroker_codec_name(codec));
		if (!expect_eq(kbroker_batch_new(&batch, 100000, codec, KBROKER_LEVEL_DEFAULT), 0))
			continue;
		expect_eq(kbroker_reader_new(&reader), 0);
		expect_eq(kbroker_batch_finish(batch, &data, &len), -EINVAL);
		/* the second round on the same memory */
		for (round = 0; round < 2; round++) {
			kbroker_batch_reset(batch);
			n = round ? 1000 : 1;
			for (i = 0; i < n; i++) {
				snprintf(value, sizeof(value), "order number %d of many", i);
				m = text_message(i % 3 ? "customer" : NULL, i % 7 ? value : NULL);
				m.timestamp = 1700000000000 + i;
				expect_eq(kbroker_batch_add(batch, &m), 0);
			}
			expect_eq(kbroker_batch_count(batch), n);
			expect_eq(kbroker_batch_finish(batch, &data, &len), 0);
			expect_eq(kbr_batch_validate(data, len, &unit_rules, &verdict), 0);
			expect_eq(verdict.batch.records_count, n);
			/* a single short record does not become smaller */
			expect_eq(kbr_batch_codec(&verdict.batch), n > 1 ? codec : 0);

			kbroker_reader_set(reader, data, len, 0);
			for (i = 0; i < n; i++) {
				snprintf(value, sizeof(value), "order number %d of many", i);
				if (!expect_eq(kbroker_reader_next(reader, &got), 1))
					break;
				expect_eq(got.offset, i);
				expect_eq(got.timestamp, 1700000000000 + i);
				expect_text(got.key, got.key_len, i % 3 ? "customer" : NULL);
				expect_text(got.value, got.value_len, i % 7 ? value : NULL);
			}
			expect_eq(kbroker_reader_next(reader, &got), 0);
			expect_eq(kbroker_reader_next(reader, &got), 0);
			expect_eq(kbroker_reader_position(reader), n);
		}
		kbroker_reader_free(reader);
		kbroker_batch_free(batch);
	}
}

static void test_batch_refused(void)
{
	struct kbroker_message m = text_message(NULL, "0123456789");
	struct kbroker_batch *batch;

	expect_eq(kbroker_batch_new(&batch, 61, 0, KBROKER_LEVEL_DEFAULT), -EINVAL);
	expect_eq(kbroker_batch_new(&batch, (100u << 20) + 1, 0, KBROKER_LEVEL_DEFAULT), -EINVAL);
	expect_eq(kbroker_batch_new(&batch, 1000, 5, KBROKER_LEVEL_DEFAULT), -EINVAL);
	expect_eq(kbroker_batch_new(&batch, 1000, KBROKER_CODEC_GZIP, 10), -EINVAL);
	expect_eq(kbroker_batch_new(&batch, 1000, KBROKER_CODEC_ZSTD, 23), -EINVAL);
	expect_eq(kbroker_batch_new(&batch, 1000, KBROKER_CODEC_LZ4, 13), -EINVAL);
	expect_eq(kbroker_batch_new(&batch, 1000, KBROKER_CODEC_SNAPPY, 1), -EINVAL);

	expect_eq(kbroker_batch_new(&batch, 61 + 17, 0, KBROKER_LEVEL_DEFAULT), 0);
	expect_eq(kbroker_batch_length(batch), 61);
	expect_eq(kbroker_batch_add(batch, &m), 0);
	expect_eq(kbroker_batch_length(batch), 78);
	expect_eq(kbroker_batch_add(batch, &m), -ENOSPC);
	kbroker_batch_reset(batch);
	m.value = "0123456789a";
	m.value_len = 11;
	expect_eq(kbroker_batch_add(batch, &m), -EMSGSIZE);
	m.value_len = (size_t)1 << 33;
	expect_eq(kbroker_batch_add(batch, &m), -EINVAL);
	kbroker_batch_free(batch);
}

/* From an offset on, over control batches, up to damage */
static void test_reader(void)
{
	struct kbroker_batch *batch;
	struct kbroker_reader *reader;
	struct kbroker_message m, got = { .partition = 7 };
	unsigned char log[1000];
	const void *data;
	size_t len = 0, one;
	int i;

	expect_eq(kbroker_batch_new(&batch, 200, 0, KBROKER_LEVEL_DEFAULT), 0);
	expect_eq(kbroker_reader_new(&reader), 0);
	for (i = 0; i < 6; i++) {
		if (i % 2 == 0)
			kbroker_batch_reset(batch);
		m = text_message("k", "v");
		expect_eq(kbroker_batch_add(batch, &m), 0);
		if (i % 2) {
			expect_eq(kbroker_batch_finish(batch, &data, &one), 0);
			memcpy(log + len, data, one);
			kbr_batch_stamp(log + len, 100 + i - 1, 9);
			len += one;
		}
	}
	/* the second of three is a control batch */
	log[one + 22] |= KBR_BATCH_CONTROL;
	kbr_batch_seal(log + one, one);

	kbroker_reader_set(reader, log, len, 101);
	expect_eq(kbroker_reader_position(reader), 101);
	expect_eq(kbroker_reader_next(reader, &got), 1);
	expect_eq(got.offset, 101);
	expect_eq(got.leader_epoch, 9);
	expect_eq(got.partition, 7);
	expect_eq(kbroker_reader_next(reader, &got), 1);
	expect_eq(got.offset, 104);
	expect_eq(kbroker_reader_next(reader, &got), 1);
	expect_eq(kbroker_reader_next(reader, &got), 0);
	expect_eq(kbroker_reader_position(reader), 106);

	log[2 * one + 70] ^= 1;
	kbroker_reader_set(reader, log, len, 101);
	expect_eq(kbroker_reader_next(reader, &got), 1);
	expect_eq(kbroker_reader_next(reader, &got), -EBADMSG);
	expect_eq(kbroker_reader_next(reader, &got), -EBADMSG);
	expect_eq(kbroker_reader_position(reader), 104);
	kbroker_reader_set(reader, log, one - 1, 0);
	expect_eq(kbroker_reader_next(reader, &got), -EBADMSG);
	kbroker_reader_free(reader);
	kbroker_batch_free(batch);
}

/* What the encoder writes, snappy's own library and our decoder read */
static void test_snappy(void)
{
	struct kbl_snappy_table *table = kbl_snappy_table_new();
	size_t size = 200000, len, i, packed, out_len;
	unsigned char *plain = malloc(size), *out = malloc(size);
	u8 *dst = malloc(kbl_snappy_bound(size));
	int round;

	for (round = 0; round < 300; round++) {
		unsigned int noise = tap_random_below(100), period = 1 + tap_random_below(3000);

		len = round < 40 ? (size_t)round : tap_random_below(size);
		tap_context("%zu bytes, period %u, noise %u", len, period, noise);
		for (i = 0; i < len; i++)
			plain[i] = i >= period && tap_random_below(100) >= noise ?
				   plain[i - period] : tap_random();
		packed = kbl_snappy_encode(table, plain, len, dst);
		expect(packed <= kbl_snappy_bound(len));
		out_len = size;
		if (expect_eq(snappy_uncompress((char *)dst, packed, (char *)out, &out_len),
			      SNAPPY_OK))
			expect_bytes(out, out_len, plain, len);
		memset(out, 0xee, size);
		expect_eq(kbr_snappy_decode(dst, packed, out, size), len);
		expect_bytes(out, len, plain, len);
	}
	free(dst);
	free(out);
	free(plain);
	free(table);
}

struct delivered {
	unsigned int count;
	unsigned int failed;
	int error;
	int64_t offsets[4096];
	int32_t partitions[4096];
};

static void note_delivery(void *arg, const struct kbroker_delivery *d)
{
	struct delivered *all = arg;
	size_t i = (size_t)d->opaque;

	all->count++;
	if (d->error) {
		all->failed++;
		all->error = d->error;
	}
	if (expect(i < sizeof(all->offsets) / sizeof(all->offsets[0]))) {
		all->offsets[i] = d->offset;
		all->partitions[i] = d->partition;
	}
}

static const struct kbroker_producer_config producer_defaults = KBROKER_PRODUCER_CONFIG_INIT;

/* Records of the whole topic by partition, as a consumer sees them */
static unsigned int consume_all(uint32_t partitions, unsigned int *counts)
{
	struct kbroker_consumer_config config = KBROKER_CONSUMER_CONFIG_INIT;
	int64_t expected[16] = { 0 };
	struct kbroker_consumer *consumer;
	struct kbroker_message m;
	unsigned int n = 0;

	config.mount = FAKE_MOUNT;
	config.read_bytes = 500;
	memset(counts, 0, partitions * sizeof(*counts));
	if (!expect_eq(kbroker_consumer_open(&consumer, FAKE_TOPIC, &config), 0))
		return 0;
	expect_eq(kbroker_consumer_partitions(consumer), partitions);
	expect_eq(kbroker_consumer_assign(consumer, KBROKER_PARTITION_ALL, KBROKER_OFFSET_BEGIN), 0);
	while (n < 100000) {
		uint32_t i;
		bool all = true;

		/* the devices in memory are always "readable", so ask for the end */
		for (i = 0; i < partitions; i++) {
			struct kbroker_position position;

			expect_eq(kbroker_consumer_position(consumer, i, &position), 0);
			all = all && position.position == position.high_watermark;
		}
		if (all)
			break;
		if (!expect_eq(kbroker_consumer_poll(consumer, &m, 1000), 1))
			break;
		expect_eq(m.offset, expected[m.partition]++);
		counts[m.partition]++;
		n++;
	}
	kbroker_consumer_close(consumer);
	return n;
}

static void test_produce(void)
{
	struct kbroker_producer_config config = producer_defaults;
	static struct delivered all;
	int codec, partitioner, i;

	for (codec = 0; codec <= KBROKER_CODEC_ZSTD; codec++) {
		for (partitioner = 0; partitioner < 4; partitioner++) {
			struct kbroker_producer_stats stats;
			struct kbroker_producer *producer;
			unsigned int counts[3];

			tap_context("%s, %s", kbroker_codec_name(codec),
				    kbroker_partitioner_name(partitioner));
			fake_reset(3);
			fake.commit_on_sync = codec % 2;
			memset(&all, 0, sizeof(all));
			config.mount = FAKE_MOUNT;
			config.codec = codec;
			config.partitioner = partitioner;
			config.batch_bytes = 400;
			config.linger_ms = partitioner;
			config.delivered = note_delivery;
			config.arg = &all;
			if (!expect_eq(kbroker_producer_open(&producer, FAKE_TOPIC, &config), 0))
				return;
			expect_eq(kbroker_producer_partitions(producer), 3);
			for (i = 0; i < 999; i++) {
				struct kbroker_message m = text_message(i % 2 ? "key1" : "a", "value");

				expect_eq(kbroker_producer_send(producer, &m, (void *)(size_t)i), 0);
			}
			expect_eq(kbroker_producer_flush(producer, 20000), 0);
			kbroker_producer_stats(producer, &stats);
			expect_eq(stats.records, 999);
			expect_eq(stats.waiting, 0);
			expect_eq(stats.batches, fake_counts.writes);
			expect_eq(all.count, 999);
			expect_eq(all.failed, 0);
			expect_eq(kbroker_producer_close(producer), 0);
			expect_eq(fake_counts.open, 0);

			expect_eq(consume_all(3, counts), 999);
			if (partitioner == KBROKER_PARTITIONER_ROUND_ROBIN)
				expect(counts[0] == 333 && counts[1] == 333 && counts[2] == 333);
			else if (partitioner == KBROKER_PARTITIONER_STICKY)
				expect(counts[0] && counts[1] && counts[2]);
			for (i = 0; i < 999; i++) {
				const char *key = i % 2 ? "key1" : "a";

				if (partitioner < KBROKER_PARTITIONER_STICKY)
					expect_eq(all.partitions[i],
						  kbroker_partition_of(partitioner, key, strlen(key), 3));
				/* order within a partition is the order of sending */
				if (i >= 2 && all.partitions[i] == all.partitions[i - 2])
					expect(all.offsets[i] > all.offsets[i - 2]);
			}
		}
	}
}

static struct kbroker_producer *open_producer(struct kbroker_producer_config *config,
					      struct delivered *all)
{
	struct kbroker_producer *producer = NULL;

	config->mount = FAKE_MOUNT;
	if (all) {
		memset(all, 0, sizeof(*all));
		config->delivered = note_delivery;
		config->arg = all;
	}
	expect_eq(kbroker_producer_open(&producer, FAKE_TOPIC, config), 0);
	return producer;
}

static void send_some(struct kbroker_producer *producer, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		struct kbroker_message m = text_message(NULL, "value");

		expect_eq(kbroker_producer_send(producer, &m, (void *)(size_t)i), 0);
	}
}

/* Errors of writes and syncs reach exactly the records concerned */
static void test_produce_errors(void)
{
	struct kbroker_producer_config config = producer_defaults;
	static struct delivered all;
	struct kbroker_producer *producer;

	tap_context("write fails");
	fake_reset(1);
	producer = open_producer(&config, &all);
	fake.write_error = ENOSPC;
	send_some(producer, 10);
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	expect_eq(all.failed, 10);
	expect_eq(all.error, -ENOSPC);
	expect_eq(all.offsets[3], -1);
	send_some(producer, 10);
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	expect_eq(all.count, 20);
	expect_eq(all.failed, 10);
	expect_eq(all.offsets[3], 3);

	tap_context("a write tells that an earlier one was lost");
	fake.commit_on_sync = true;
	config.batch_bytes = 80;
	expect_eq(kbroker_producer_close(producer), 0);
	producer = open_producer(&config, &all);
	fake.write_error_after = 2;
	fake.write_error = EIO;
	send_some(producer, 3);
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	expect_eq(all.count, 3);
	/* the one that was refused, and what was not committed before it in its round */
	expect(all.failed >= 1 && all.failed <= 3 && all.error == -EIO);
	expect_eq(all.offsets[2], -1);
	expect_eq(kbroker_producer_close(producer), 0);
	fake.commit_on_sync = false;

	tap_context("others have its offsets by now");
	fake_reset(1);
	producer = open_producer(&config, &all);
	fake_set_write_again(INT_MAX);
	send_some(producer, 1);
	expect_eq(kbroker_producer_flush(producer, 0), -ETIMEDOUT);
	/* once the first has its round, the others share the next one */
	while (!__atomic_load_n(&fake_counts.writes, __ATOMIC_RELAXED))
		usleep(1000);
	send_some(producer, 2);
	expect_eq(kbroker_producer_flush(producer, 0), -ETIMEDOUT);
	fake.write_error_after = 2;
	fake.write_error = EIO;
	fake_set_write_again(0);
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	expect_eq(all.count, 3);
	expect_eq(all.failed, 2);
	expect_eq(kbroker_producer_close(producer), 0);

	fake_reset(1);
	config.batch_bytes = 10000;
	producer = open_producer(&config, &all);
	all.count = 20;
	all.failed = 10;

	tap_context("sync fails");
	fake.commit_on_sync = true;
	fake.sync_error = ETIMEDOUT;
	send_some(producer, 10);
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	expect_eq(all.failed, 20);
	expect_eq(all.error, -ETIMEDOUT);

	tap_context("no room at first");
	fake.write_again = 3;
	send_some(producer, 10);
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	expect_eq(all.failed, 20);
	expect_eq(all.count, 40);

	tap_context("async topic is not synced");
	fake.commit_on_sync = false;
	fake.async = true;
	fake_counts.syncs = 0;
	send_some(producer, 10);
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	expect_eq(all.failed, 20);
	expect_eq(fake_counts.syncs, 0);
	expect_eq(kbroker_producer_close(producer), 0);

	tap_context("without a callback");
	fake_reset(1);
	config.delivered = NULL;
	producer = open_producer(&config, NULL);
	fake.write_error = EIO;
	send_some(producer, 10);
	expect_eq(kbroker_producer_flush(producer, -1), -EIO);
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	fake.write_error = ENODEV;
	send_some(producer, 1);
	expect_eq(kbroker_producer_close(producer), -ENODEV);
}

static void test_produce_limits(void)
{
	struct kbroker_producer_config config = producer_defaults;
	struct kbroker_producer_stats stats;
	struct kbroker_producer *producer;
	struct kbroker_message m = text_message("key", NULL);
	static char big[3000];
	int i;

	tap_context("sizes");
	fake_reset(2);
	fake.batch_bytes_max = 2000;
	config.batch_bytes = 500;
	config.buffer_bytes = 5000;
	config.linger_ms = 100000;
	producer = open_producer(&config, NULL);
	m.value = big;
	m.value_len = 1900;
	expect_eq(kbroker_producer_send(producer, &m, NULL), 0);
	m.value_len = 1940;
	expect_eq(kbroker_producer_send(producer, &m, NULL), -EMSGSIZE);
	m.value_len = 10;
	m.partition = 2;
	expect_eq(kbroker_producer_send(producer, &m, NULL), -ERANGE);
	m.partition = -2;
	expect_eq(kbroker_producer_send(producer, &m, NULL), -ERANGE);
	m.partition = 1;
	expect_eq(kbroker_producer_send(producer, &m, NULL), 0);

	/* one that no batch can hold leaves nothing behind */
	m.partition = 0;
	m.headers_count = 10001;
	expect_eq(kbroker_producer_send(producer, &m, NULL), -EINVAL);
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	expect_eq(kbroker_producer_send(producer, &m, NULL), -EINVAL);
	m.headers_count = 0;
	kbroker_producer_stats(producer, &stats);
	expect_eq(stats.waiting, 0);

	/* nobody flushes and nothing lingers out: a full buffer makes room itself */
	tap_context("room");
	for (i = 0; i < 200; i++) {
		m.partition = i % 2;
		m.value_len = 100;
		expect_eq(kbroker_producer_send(producer, &m, NULL), 0);
	}
	kbroker_producer_stats(producer, &stats);
	expect(stats.records > 100);
	expect_eq(kbroker_producer_close(producer), 0);

	tap_context("settings");
	config.mount = FAKE_MOUNT;
	config.acks = 2;
	expect_eq(kbroker_producer_open(&producer, FAKE_TOPIC, &config), -EINVAL);
	config.acks = 1;
	config.codec = 9;
	expect_eq(kbroker_producer_open(&producer, FAKE_TOPIC, &config), -EINVAL);
	config.codec = KBROKER_CODEC_GZIP;
	config.level = 77;
	expect_eq(kbroker_producer_open(&producer, FAKE_TOPIC, &config), -EINVAL);
	config.level = 1;
	config.size = 8;
	expect_eq(kbroker_producer_open(&producer, FAKE_TOPIC, &config), -EINVAL);
	config.size = sizeof(config);
	expect_eq(kbroker_producer_open(&producer, "typo", &config), -ENOENT);
	expect_eq(kbroker_producer_open(&producer, "../x", &config), -EINVAL);
	expect_eq(kbroker_producer_open(&producer, "", &config), -EINVAL);
	expect_eq(fake_counts.open, 0);
}

static struct kbroker_consumer *open_consumer(size_t read_bytes)
{
	struct kbroker_consumer_config config = KBROKER_CONSUMER_CONFIG_INIT;
	struct kbroker_consumer *consumer = NULL;

	config.mount = FAKE_MOUNT;
	config.read_bytes = read_bytes;
	expect_eq(kbroker_consumer_open(&consumer, FAKE_TOPIC, &config), 0);
	return consumer;
}

#define SENDERS		4
#define PER_SENDER	5000

static void *send_many(void *arg)
{
	struct kbroker_message m = text_message(NULL, "from one of several threads");
	int i, failed = 0;

	for (i = 0; i < PER_SENDER; i++)
		failed += !!kbroker_producer_send(arg, &m, NULL);
	return (void *)(intptr_t)failed;
}

/* Many threads, little room, small batches: everything arrives once */
static void test_threads(void)
{
	struct kbroker_producer_config config = producer_defaults;
	struct kbroker_producer_stats stats;
	struct kbroker_producer *producer;
	pthread_t threads[SENDERS];
	unsigned int counts[3];
	void *failed;
	int i;

	fake_reset(3);
	config.batch_bytes = 3000;
	config.buffer_bytes = 20000;
	config.partitioner = KBROKER_PARTITIONER_ROUND_ROBIN;
	producer = open_producer(&config, NULL);
	for (i = 0; i < SENDERS; i++)
		expect_eq(pthread_create(&threads[i], NULL, send_many, producer), 0);
	for (i = 0; i < SENDERS; i++) {
		pthread_join(threads[i], &failed);
		expect(!failed);
	}
	expect_eq(kbroker_producer_flush(producer, -1), 0);
	kbroker_producer_stats(producer, &stats);
	expect_eq(stats.records, SENDERS * PER_SENDER);
	expect_eq(stats.waiting, 0);
	expect_eq(kbroker_producer_close(producer), 0);
	expect_eq(consume_all(3, counts), SENDERS * PER_SENDER);
}

/* The clock: never behind what the batch began with, never ahead */
static void test_stamps(void)
{
	struct kbroker_producer_config config = producer_defaults;
	struct kbroker_message m = text_message(NULL, "now");
	struct kbroker_producer *producer;
	struct kbroker_consumer *consumer;
	struct timespec before, after;
	int64_t from, to;
	int i;

	fake_reset(1);
	producer = open_producer(&config, NULL);
	clock_gettime(CLOCK_REALTIME, &before);
	for (i = 0; i < 1000; i++)
		expect_eq(kbroker_producer_send(producer, &m, NULL), 0);
	expect_eq(kbroker_producer_close(producer), 0);
	clock_gettime(CLOCK_REALTIME, &after);
	from = before.tv_sec * 1000 + before.tv_nsec / 1000000;
	to = after.tv_sec * 1000 + after.tv_nsec / 1000000;

	consumer = open_consumer(100000);
	expect_eq(kbroker_consumer_assign(consumer, 0, 0), 0);
	for (i = 0; i < 1000; i++) {
		expect_eq(kbroker_consumer_poll(consumer, &m, 1000), 1);
		expect(m.timestamp >= from && m.timestamp <= to);
	}
	kbroker_consumer_close(consumer);
}

/* Records leave by themselves once they waited for linger_ms */
static void test_linger(void)
{
	struct kbroker_producer_config config = producer_defaults;
	struct kbroker_producer_stats stats = { 0 };
	struct kbroker_producer *producer;
	struct kbroker_message m = text_message(NULL, "value");

	fake_reset(1);
	config.linger_ms = 1;
	producer = open_producer(&config, NULL);
	expect_eq(kbroker_producer_send(producer, &m, NULL), 0);
	while (!stats.records && !stats.failed)
		kbroker_producer_stats(producer, &stats);
	expect_eq(stats.records, 1);
	expect_eq(stats.batches, 1);
	expect_eq(kbroker_producer_close(producer), 0);
}

/* A log of one-record batches with offsets 0.. and timestamps 1000, 1001, .. */
static void fill_log(uint32_t partitions, int records, size_t value_len)
{
	struct kbroker_producer_config config = producer_defaults;
	struct kbroker_producer *producer;
	char *value = calloc(1, value_len);
	struct kbroker_message m = KBROKER_MESSAGE_INIT;
	int i;

	fake_reset(partitions);
	config.batch_bytes = 62;
	producer = open_producer(&config, NULL);
	for (i = 0; i < records; i++) {
		m.value = value;
		m.value_len = value_len;
		m.timestamp = 1000 + i;
		m.partition = i % partitions;
		expect_eq(kbroker_producer_send(producer, &m, NULL), 0);
	}
	expect_eq(kbroker_producer_close(producer), 0);
	free(value);
}

static void test_consume_positions(void)
{
	struct kbroker_consumer *consumer;
	struct kbroker_position position;
	struct kbroker_message m;

	fill_log(1, 100, 10);
	consumer = open_consumer(1000);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), -EINVAL);
	expect_eq(kbroker_consumer_assign(consumer, 1, 0), -ERANGE);
	expect_eq(kbroker_consumer_assign(consumer, 0, -3), -EINVAL);
	expect_eq(kbroker_consumer_unassign(consumer, 0), -ERANGE);
	expect_eq(kbroker_consumer_position(consumer, 0, &position), -ERANGE);

	expect_eq(kbroker_consumer_assign(consumer, 0, 42), 0);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), 1);
	expect_eq(m.offset, 42);
	expect_eq(m.timestamp, 1042);
	expect_eq(m.partition, 0);
	/* what was read ahead is not passed, and is forgotten by a seek */
	expect_eq(kbroker_consumer_position(consumer, 0, &position), 0);
	expect_eq(position.position, 43);
	expect_eq(position.high_watermark, 100);
	expect_eq(kbroker_consumer_assign(consumer, 0, KBROKER_OFFSET_BEGIN), 0);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), 1);
	expect_eq(m.offset, 0);
	expect_eq(kbroker_consumer_assign_time(consumer, 0, 1090), 0);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), 1);
	expect_eq(m.offset, 90);
	expect_eq(kbroker_consumer_assign(consumer, 0, 1000), 0);
	expect_eq(kbroker_consumer_position(consumer, 0, &position), 0);
	expect_eq(position.position, 100);
	expect_eq(kbroker_consumer_assign(consumer, 0, KBROKER_OFFSET_END), 0);
	expect_eq(kbroker_consumer_position(consumer, 0, &position), 0);
	expect_eq(position.position, 100);
	expect_eq(kbroker_consumer_unassign(consumer, KBROKER_PARTITION_ALL), 0);
	kbroker_consumer_close(consumer);
	expect_eq(fake_counts.open, 0);
}

/* Waiting ends when it should, though these devices say all the time that they are readable */
static void test_consume_wait(void)
{
	struct kbroker_consumer *consumer;
	struct kbroker_message m;
	struct timespec from, to;

	fill_log(2, 4, 10);
	consumer = open_consumer(1000);
	expect_eq(kbroker_consumer_assign(consumer, KBROKER_PARTITION_ALL, KBROKER_OFFSET_END), 0);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), 0);
	expect_eq(m.partition, -1);
	clock_gettime(CLOCK_MONOTONIC, &from);
	expect_eq(kbroker_consumer_poll(consumer, &m, 30), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	expect((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >= 29);
	expect_eq(kbroker_consumer_assign(consumer, 1, 1), 0);
	expect_eq(kbroker_consumer_poll(consumer, &m, -1), 1);
	expect_eq(m.offset, 1);
	kbroker_consumer_close(consumer);
}

static void test_consume_errors(void)
{
	struct kbroker_consumer *consumer;
	struct kbroker_message m;
	size_t len;
	int i;

	tap_context("a batch larger than the buffer");
	fill_log(1, 2, 5000);
	consumer = open_consumer(100);
	expect_eq(kbroker_consumer_assign(consumer, 0, 0), 0);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), 1);
	expect_eq(m.value_len, 5000);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), 1);
	kbroker_consumer_close(consumer);

	tap_context("overtaken by retention");
	fill_log(1, 100, 10);
	consumer = open_consumer(200);
	expect_eq(kbroker_consumer_assign(consumer, 0, 0), 0);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), 1);
	fake.overtaken = true;
	fake.log_start = 70;
	for (i = 0; i < 5 && kbroker_consumer_poll(consumer, &m, 0) == 1; i++)
		expect(m.offset < 70);
	expect_eq(m.offset, 70);
	expect_eq(m.partition, 0);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), 1);
	expect_eq(m.offset, 70);
	kbroker_consumer_close(consumer);

	tap_context("damage in one of two partitions");
	fill_log(2, 20, 10);
	fake_log(1, &len);
	fake_damage(1, len / 10 * 4 + 70);
	consumer = open_consumer(1000);
	expect_eq(kbroker_consumer_assign(consumer, KBROKER_PARTITION_ALL, 0), 0);
	for (i = 0; i < 14; i++)
		expect_eq(kbroker_consumer_poll(consumer, &m, 0), 1);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), -EBADMSG);
	expect_eq(m.partition, 1);
	expect_eq(m.offset, 4);
	expect_eq(kbroker_consumer_assign(consumer, 1, 5), 0);
	for (i = 0; i < 5; i++) {
		expect_eq(kbroker_consumer_poll(consumer, &m, 0), 1);
		expect_eq(m.partition, 1);
	}
	expect_eq(m.offset, 9);

	tap_context("deleted");
	fake.gone = true;
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), -ENODEV);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), -ENODEV);
	expect_eq(kbroker_consumer_poll(consumer, &m, 0), -EINVAL);
	expect_eq(m.partition, -1);
	kbroker_consumer_close(consumer);
	expect_eq(fake_counts.open, 0);
}

const struct tap_case library_cases[] = {
	{ "library: record headers", test_headers },
	{ "library: batches of every codec", test_batches },
	{ "library: impossible batches", test_batch_refused },
	{ "library: reader: offsets, control batches, damage", test_reader },
	{ "library: snappy encoder", test_snappy },
	{ "library: produce with every codec and partitioner, consume it all", test_produce },
	{ "library: producer errors", test_produce_errors },
	{ "library: producer limits", test_produce_limits },
	{ "library: many threads", test_threads },
	{ "library: timestamps", test_stamps },
	{ "library: linger", test_linger },
	{ "library: consumer positions", test_consume_positions },
	{ "library: consumer waits", test_consume_wait },
	{ "library: consumer errors", test_consume_errors },
	{ NULL, NULL }
};
