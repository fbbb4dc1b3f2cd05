// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker bench": a fixed workload through libkbroker, and what it took.
 *
 * Records are the same in each run with the same options: a counter and bytes
 * out of a pool made from the seed. The latency is that from handing a record
 * over to its ack, of one record in 64, so that the clock is not
 * what is measured.
 */
#include <errno.h>
#include <inttypes.h>
#include <kbroker/kbroker.h>
#include <linux/kbroker.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "device.h"
#include "json.h"
#include "kbroker.h"
#include "producer_opts.h"

#define POOL_BYTES	(64u << 10)
#define SAMPLE_EVERY	64
#define VALUE_BYTES_MAX	(16u << 20)

/* latencies in buckets of a sixteenth of a power of two, ns */
#define BUCKET_BITS	4
#define BUCKETS		(64 << BUCKET_BITS)

static const struct kb_opt produce_opts[] = {
	{ "count", 'c', "N", "records (default: 1000000)" },
	{ "size", 's', "BYTES", "bytes of a value (default: 100)" },
	{ "keys", 0, "N", "so many different keys (default: 0, no keys)" },
	{ "seed", 0, "N", "seed of the contents (default: 1)" },
	{ "partition", 'p', "N", "produce to this partition" },
	KB_PRODUCER_OPTS,
	{ 0 }
};

static const struct kb_opt consume_opts[] = {
	{ "count", 'c', "N", "records (default: what is there)" },
	{ "partition", 'p', "N", "only this partition" },
	{ 0 }
};

/**
 * struct bench - a run
 * @records: records wanted
 * @size: bytes of a value
 * @done: records acknowledged, or read
 * @failed: records that were not acknowledged
 * @error: errno of the first
 * @bytes: bytes of keys and values
 * @batches: batches written
 * @wire_bytes: their bytes
 * @began: when, ns
 * @took: how long, ns
 * @usage: processor time at the beginning
 * @user_ms: processor time used
 * @system_ms: likewise, in the kernel
 * @buckets: latencies
 * @slowest: largest latency, ns
 */
struct bench {
	int64_t records;
	int64_t size;
	atomic_uint_fast64_t done;
	atomic_uint_fast64_t failed;
	atomic_int error;
	uint64_t bytes;
	uint64_t batches;
	uint64_t wire_bytes;
	int64_t began;
	int64_t took;
	struct rusage usage;
	int64_t user_ms;
	int64_t system_ms;
	uint64_t buckets[BUCKETS];
	uint64_t slowest;
};

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int top;

	if (ns < (2u << BUCKET_BITS))
		return (unsigned int)ns;
	top = 63 - (unsigned int)__builtin_clzll(ns);
	return ((top - BUCKET_BITS) << BUCKET_BITS) + (unsigned int)(ns >> (top - BUCKET_BITS));
}

/* the smallest value of a bucket */
static uint64_t bucket_start(unsigned int b)
{
	unsigned int shift;

	if (b < (2u << BUCKET_BITS))
		return b;
	shift = (b >> BUCKET_BITS) - 1;
	return (uint64_t)((b & ((1u << BUCKET_BITS) - 1)) | (1u << BUCKET_BITS)) << shift;
}

static uint64_t percentile(const struct bench *b, double part)
{
	uint64_t all = 0, want;
	unsigned int i;

	for (i = 0; i < BUCKETS; i++)
		all += b->buckets[i];
	want = (uint64_t)((double)all * part);
	for (i = 0; i < BUCKETS; i++) {
		if (b->buckets[i] > want)
			return bucket_start(i);
		want -= b->buckets[i];
	}
	return b->slowest;
}

static void begin(struct bench *b)
{
	getrusage(RUSAGE_SELF, &b->usage);
	b->began = kb_mono_ns();
}

static int64_t ms_between(const struct timeval *from, const struct timeval *to)
{
	return (int64_t)(to->tv_sec - from->tv_sec) * 1000 + (to->tv_usec - from->tv_usec) / 1000;
}

static void end(struct bench *b)
{
	struct rusage now;

	b->took = kb_mono_ns() - b->began;
	getrusage(RUSAGE_SELF, &now);
	b->user_ms = ms_between(&b->usage.ru_utime, &now.ru_utime);
	b->system_ms = ms_between(&b->usage.ru_stime, &now.ru_stime);
}

/* called by the producer's thread for each record */
static void delivered(void *arg, const struct kbroker_delivery *d)
{
	struct bench *b = arg;
	int none = 0;
	uint64_t ns;

	if (d->error) {
		atomic_fetch_add_explicit(&b->failed, 1, memory_order_relaxed);
		atomic_compare_exchange_strong(&b->error, &none, -d->error);
		return;
	}
	atomic_fetch_add_explicit(&b->done, 1, memory_order_relaxed);
	if (!d->opaque)
		return;
	ns = (uint64_t)kb_mono_ns() - (uint64_t)(uintptr_t)d->opaque;
	b->buckets[bucket_of(ns)]++;
	if (ns > b->slowest)
		b->slowest = ns;
}

/* xorshift64*: the same bytes everywhere for one seed; printable */
static char *make_pool(uint64_t seed, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
	char *pool = kb_alloc(size);
	size_t i;

	for (i = 0; i < size; i++) {
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		pool[i] = digits[(x * 0x2545f4914f6cdd1du) >> 58];
	}
	return pool;
}

static int send_records(struct bench *b, struct kbroker_producer *producer, int64_t keys, int64_t seed,
			int32_t partition)
{
	struct kbroker_message m = KBROKER_MESSAGE_INIT;
	size_t size = (size_t)b->size;
	struct kb_progress pr;
	char key[24], counter[24];
	int ret = 0;
	int64_t i;
	char *pool;

	pool = make_pool((uint64_t)seed, POOL_BYTES + size);
	kb_progress_start(&pr, "producing");
	m.partition = partition;
	m.value_len = size;
	for (i = 0; i < b->records && !ret && !atomic_load_explicit(&b->error, memory_order_relaxed); i++) {
		char *value = pool + (size_t)(i * 97) % POOL_BYTES;
		void *stamp = NULL;

		/* the counter overwrites the pool: good enough, and free */
		snprintf(counter, sizeof(counter), "%015" PRId64 " ", i);
		memcpy(value, counter, size < 16 ? size : 16);
		m.value = value;
		if (keys) {
			m.key_len = (size_t)snprintf(key, sizeof(key), "key-%" PRId64, i % keys);
			m.key = key;
		}
		if (!(i % SAMPLE_EVERY)) {
			stamp = (void *)(uintptr_t)kb_mono_ns();
			kb_progress_update(&pr, (uint64_t)i, (uint64_t)b->records, "%" PRId64 " records", i);
			if (kb_interrupted())
				break;
		}
		ret = kbroker_producer_send(producer, &m, stamp);
		b->bytes += m.key_len + size;
	}
	while (kbroker_producer_flush(producer, 200) == -ETIMEDOUT)
		kb_progress_update(&pr, b->done, (uint64_t)i, "%" PRIu64 " safe", (uint64_t)b->done);
	kb_progress_end(&pr);
	free(pool);
	return ret;
}

static void report(const struct bench *b, const char *what, const char *topic)
{
	double seconds = (double)b->took / 1e9;
	struct utsname un;
	struct kb_json js;
	char size[16];

	if (!kb.json) {
		kb_section("bench %s %s", what, topic);
		kb_field("records", "%" PRIu64 " in %.3f s: %.0f records/s", (uint64_t)b->done, seconds,
			 (double)b->done / seconds);
		kb_field("bytes", "%s: %.1f MiB/s", kb_human_bytes(b->bytes, size),
			 (double)b->bytes / seconds / 1048576);
		kb_field("processor", "%" PRId64 " ms user, %" PRId64 " ms kernel", b->user_ms, b->system_ms);
		if (b->batches)
			kb_field("batches", "%" PRIu64 ", %.1f records each", b->batches,
				 (double)b->done / (double)b->batches);
		if (b->slowest)
			kb_field("latency", "median %.3f ms, 99%% %.3f ms, 99.9%% %.3f ms, worst %.3f ms",
				 (double)percentile(b, 0.5) / 1e6, (double)percentile(b, 0.99) / 1e6,
				 (double)percentile(b, 0.999) / 1e6, (double)b->slowest / 1e6);
		return;
	}
	uname(&un);
	kb_json_init(&js, stdout, true);
	kb_json_object(&js, NULL);
	kb_json_string(&js, "bench", what);
	kb_json_string(&js, "topic", topic);
	kb_json_u64(&js, "records", b->done);
	kb_json_u64(&js, "failed", b->failed);
	kb_json_u64(&js, "bytes", b->bytes);
	kb_json_double(&js, "seconds", seconds);
	kb_json_double(&js, "records_per_second", (double)b->done / seconds);
	kb_json_double(&js, "bytes_per_second", (double)b->bytes / seconds);
	kb_json_s64(&js, "user_ms", b->user_ms);
	kb_json_s64(&js, "system_ms", b->system_ms);
	if (b->batches) {
		kb_json_u64(&js, "batches", b->batches);
		kb_json_u64(&js, "batch_bytes", b->wire_bytes);
	}
	if (b->slowest) {
		kb_json_object(&js, "latency_us");
		kb_json_double(&js, "p50", (double)percentile(b, 0.5) / 1e3);
		kb_json_double(&js, "p99", (double)percentile(b, 0.99) / 1e3);
		kb_json_double(&js, "p999", (double)percentile(b, 0.999) / 1e3);
		kb_json_double(&js, "max", (double)b->slowest / 1e3);
		kb_json_object_end(&js);
	}
	kb_json_string(&js, "kernel", un.release);
	kb_json_s64(&js, "processors", sysconf(_SC_NPROCESSORS_ONLN));
	kb_json_string(&js, "tool", KB_VERSION);
	kb_json_object_end(&js);
	kb_json_finish(&js);
}

static int bench_produce(int argc, char **argv)
{
	struct kbroker_producer_config conf = KBROKER_PRODUCER_CONFIG_INIT;
	struct kbroker_producer_stats stats;
	int64_t keys = 0, seed = 1, partition = KBROKER_PARTITION_ANY;
	struct bench b = { .records = 1000000, .size = 100 };
	struct kbroker_producer *producer;
	struct kb_topic_dev dev;
	sigset_t block, old;
	char *root;
	int ret;

	(void)argc;
	ret = kb_opt_s64("count", 1, INT64_MAX, &b.records);
	if (ret == KB_OK)
		ret = kb_opt_size("size", 0, VALUE_BYTES_MAX, &b.size);
	if (ret == KB_OK)
		ret = kb_opt_s64("keys", 0, INT32_MAX, &keys);
	if (ret == KB_OK)
		ret = kb_opt_s64("seed", 0, INT64_MAX, &seed);
	if (ret == KB_OK)
		ret = kb_opt_s64("partition", 0, INT32_MAX, &partition);
	if (ret == KB_OK)
		ret = kb_producer_config(&conf);
	if (ret == KB_OK)
		ret = kb_topic_dev_find(argv[0], &dev);
	if (ret != KB_OK)
		return ret;
	root = kb_device_root();
	conf.mount = root;
	conf.delivered = delivered;
	conf.arg = &b;
	/* signals are for this thread */
	sigfillset(&block);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	ret = kbroker_producer_open(&producer, argv[0], &conf);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	free(root);
	kb_topic_dev_release(&dev);
	if (ret)
		return kb_fail(-ret, NULL, "cannot produce to %s: %s", argv[0], strerror(-ret));
	kb_signals_catch();
	begin(&b);
	ret = send_records(&b, producer, keys, seed, (int32_t)partition);
	end(&b);
	kbroker_producer_stats(producer, &stats);
	kbroker_producer_close(producer);
	b.batches = stats.batches;
	b.wire_bytes = stats.bytes;
	report(&b, "produce", argv[0]);
	if (ret)
		return kb_fail(-ret, NULL, "it ended early: %s", strerror(-ret));
	if (b.error)
		return kb_fail(b.error, NULL, "%" PRIu64 " records were not produced: %s", (uint64_t)b.failed,
			       strerror(b.error));
	return kb_interrupted() ? KB_REFUSED : kb_out_check();
}

/* records between where the consumer stands and the high watermarks */
static int count_there(struct kbroker_consumer *consumer, int32_t partition, int64_t *count)
{
	struct kbroker_position pos;
	uint32_t i;
	int ret;

	*count = 0;
	for (i = 0; i < kbroker_consumer_partitions(consumer); i++) {
		if (partition >= 0 && i != (uint32_t)partition)
			continue;
		ret = kbroker_consumer_position(consumer, (int32_t)i, &pos);
		if (ret)
			return ret;
		*count += pos.high_watermark - pos.position;
	}
	return 0;
}

static int read_records(struct bench *b, struct kbroker_consumer *consumer)
{
	struct kbroker_message m;
	struct kb_progress pr;
	uint64_t n = 0;
	int ret = 0;

	kb_progress_start(&pr, "consuming");
	while (n < (uint64_t)b->records) {
		ret = kbroker_consumer_poll(consumer, &m, 1000);
		if (ret == -EPIPE)
			continue;
		if (ret < 0 && ret != -EINTR)
			break;
		if (kb_interrupted())
			break;
		if (ret <= 0)
			continue;
		n++;
		b->bytes += m.key_len + m.value_len;
		if (!(n & 1023))
			kb_progress_update(&pr, n, (uint64_t)b->records, "%" PRIu64 " records", n);
	}
	b->done = n;
	kb_progress_end(&pr);
	return ret < 0 ? ret : 0;
}

static int bench_consume(int argc, char **argv)
{
	struct kbroker_consumer_config conf = KBROKER_CONSUMER_CONFIG_INIT;
	int64_t partition = KBROKER_PARTITION_ALL;
	struct kbroker_consumer *consumer;
	struct bench b = { .records = -1 };
	struct kb_topic_dev dev;
	int64_t there;
	char *root;
	int ret;

	(void)argc;
	ret = kb_opt_s64("count", 1, INT64_MAX, &b.records);
	if (ret == KB_OK)
		ret = kb_opt_s64("partition", 0, INT32_MAX, &partition);
	if (ret == KB_OK)
		ret = kb_topic_dev_find(argv[0], &dev);
	if (ret != KB_OK)
		return ret;
	kb_topic_dev_release(&dev);
	root = kb_device_root();
	conf.mount = root;
	ret = kbroker_consumer_open(&consumer, argv[0], &conf);
	free(root);
	if (ret)
		return kb_fail(-ret, NULL, "cannot consume from %s: %s", argv[0], strerror(-ret));
	ret = kbroker_consumer_assign(consumer, (int32_t)partition, KBROKER_OFFSET_BEGIN);
	if (!ret)
		ret = count_there(consumer, (int32_t)partition, &there);
	if (!ret) {
		if (b.records < 0)
			b.records = there;
		kb_signals_catch();
		begin(&b);
		ret = read_records(&b, consumer);
		end(&b);
		report(&b, "consume", argv[0]);
	}
	kbroker_consumer_close(consumer);
	if (ret)
		return kb_fail(-ret, NULL, "cannot consume from %s: %s", argv[0], strerror(-ret));
	return kb_interrupted() ? KB_REFUSED : kb_out_check();
}

const struct kb_cmd kb_cmds_bench[] = {
	{ "produce", "TOPIC", "produce a fixed workload, and tell how fast it was", produce_opts, bench_produce },
	{ "consume", "TOPIC", "consume what a topic holds, and tell how fast it was", consume_opts, bench_consume },
	{ 0 }
};
