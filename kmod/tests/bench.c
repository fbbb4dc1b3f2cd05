// SPDX-License-Identifier: GPL-2.0-only
/*
 * kbroker_bench.ko: append and read of the real storage code against their
 * floors, looped inside the kernel.
 *
 * For user-mode kernels, where a system call costs 50 us and would flatter
 * everybody. The floor of an append is one copy, one crc32c and one page-cache
 * write of the same bytes; that of a read is a plain page-cache read. Variants
 * alternate in random order within a round; medians are reported. Prints one
 * JSON object a batch size to the kernel log, prefix "kbroker_bench: ".
 *
 * Not a test: it asserts nothing about speed. tests/bench/run judges.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sort.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "base/clock.h"
#include "codec/batch.h"
#include "codec/record.h"
#include "storage/file.h"
#include "storage/log.h"
#include "storage/syncer.h"

static char *dir = "/var/lib/kbroker";
module_param(dir, charp, 0444);
MODULE_PARM_DESC(dir, "an existing, empty directory");

static unsigned int rounds = 21;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "rounds per batch size; the median is reported");

static unsigned int seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "order of the variants");

/* bytes moved by one variant in one round */
#define KBR_BENCH_ROUND_BYTES	(4u << 20)
#define KBR_BENCH_ROUNDS_MAX	101
#define KBR_BENCH_RECORD_BYTES	100

enum { FLOOR_APPEND, OURS_APPEND, FLOOR_READ, OURS_READ, VARIANTS };

static const size_t kbr_bench_sizes[] = {
	170, 1024, 4096, 16384, 65536, 262144, 1048500,
};

/**
 * struct kbr_bench - what the variants share
 * @source: one valid batch, as a producer would give it (stands for user memory)
 * @size: its bytes
 * @copy: the kept buffer that a write is copied to
 * @floor: plain file of the floor
 * @log: ours
 * @dir: where the floor's file and the log are
 * @env: what the log needs of a broker
 * @config: the log's settings
 * @work: runs all of it: where no system call ends, files are closed at once
 * @err: what came of it
 * @sum: keeps the compiler from leaving work out
 * @ns: times per variant and round, of one pass over KBR_BENCH_ROUND_BYTES
 */
struct kbr_bench {
	void *source;
	size_t size;
	void *copy;
	struct kbr_dir *dir;
	struct kbr_file *floor;
	struct kbr_log_env env;
	struct kbr_log_config config;
	struct kbr_log log;
	struct work_struct work;
	int err;
	u64 ns[VARIANTS][KBR_BENCH_ROUNDS_MAX];
	u32 sum;
};

static size_t kbr_bench_build(void *buf, size_t room)
{
	static u8 value[KBR_BENCH_RECORD_BYTES];
	struct kbr_record rec = { .value = value, .value_len = sizeof(value) };
	struct kbr_batch_builder bld;

	memset(value, 'x', sizeof(value));
	rec.timestamp = kbr_clock_now_ms();
	kbr_batch_builder_init(&bld, buf, room);
	while (!kbr_batch_builder_add(&bld, &rec))
		;
	return kbr_batch_builder_finish(&bld);
}

static int kbr_bench_copy(struct kbr_bench *b)
{
	struct kvec vec = { b->source, b->size };
	struct iov_iter from;

	iov_iter_kvec(&from, ITER_SOURCE, &vec, 1, b->size);
	return copy_from_iter_full(b->copy, b->size, &from) ? 0 : -EFAULT;
}

static int kbr_bench_floor_append(struct kbr_bench *b, unsigned int passes)
{
	loff_t pos = 0;
	int err = 0;

	while (!err && passes--) {
		err = kbr_bench_copy(b);
		if (err)
			break;
		b->sum += kbr_batch_crc(b->copy, b->size);
		err = kbr_file_write(b->floor, b->copy, b->size, pos);
		pos += b->size;
	}
	return err;
}

static int kbr_bench_ours_append(struct kbr_bench *b, unsigned int passes)
{
	struct kbr_batch_rules rules = {
		.batch_bytes_max = b->config.batch_bytes_max,
		.segment_bytes_max = b->config.segment_bytes,
		.before_max_ms = S64_MAX,
		.after_max_ms = S64_MAX,
	};
	int err = 0;

	while (!err && passes--) {
		struct kbr_batch_verdict verdict;
		struct kbr_append append = {
			.buf = b->copy, .len = b->size,
			.verdicts = &verdict, .batches = 1,
		};

		err = kbr_bench_copy(b);
		if (err)
			break;
		append.now_ms = kbr_clock_now_ms();
		rules.now_ms = append.now_ms;
		err = kbr_batch_validate(b->copy, b->size, &rules, &verdict);
		if (!err)
			err = kbr_log_append(&b->log, &append, false);
	}
	return err;
}

static int kbr_bench_floor_read(struct kbr_bench *b, unsigned int passes)
{
	size_t size = b->size;
	loff_t pos = 0;

	while (passes--) {
		struct kvec vec = { b->copy, size };
		struct iov_iter to;
		ssize_t got;

		iov_iter_kvec(&to, ITER_DEST, &vec, 1, size);
		got = kbr_file_read_iter(b->floor, &to, pos);
		if (got != size)
			return got < 0 ? got : -EIO;
		pos += size;
	}
	return 0;
}

static int kbr_bench_ours_read(struct kbr_bench *b, unsigned int passes)
{
	struct kbr_log_pos pos = { .offset = kbr_log_start(&b->log) };
	s64 limit = kbr_log_end(&b->log);
	size_t size = b->size;

	while (passes--) {
		struct kvec vec = { b->copy, size };
		struct iov_iter to;
		ssize_t got;
		size_t room;

		iov_iter_kvec(&to, ITER_DEST, &vec, 1, size);
		got = kbr_log_read(&b->log, &pos, limit, &to, &room);
		if (got != size)
			return got < 0 ? got : -EIO;
	}
	return 0;
}

static int kbr_bench_u64_cmp(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static u64 kbr_bench_median(u64 *ns, unsigned int n)
{
	sort(ns, n, sizeof(*ns), kbr_bench_u64_cmp, NULL);
	return ns[n / 2];
}

static int kbr_bench_create(struct kbr_bench *b)
{
	static const u8 id[16] = { 1 };
	int err;

	err = kbr_file_open(b->dir, "floor", KBR_FILE_CREATE | KBR_FILE_EXCL, &b->floor);
	if (err)
		return err;
	err = kbr_log_create(&b->log, &b->env, "bench-0", id, &b->config, 0);
	if (err) {
		kbr_file_close(b->floor);
		kbr_dir_unlink(b->dir, "floor");
	}
	return err;
}

/*
 * The pages of both must be free before the next round begins, or one of them
 * would be given memory that this machine has not touched before, which costs
 * more than all that is measured.
 */
static int kbr_bench_delete(struct kbr_bench *b)
{
	int err = kbr_log_delete(&b->log), e;

	kbr_file_close(b->floor);
	e = kbr_dir_unlink(b->dir, "floor");
	flush_delayed_fput();
	rcu_barrier();
	return err ?: e;
}

static int kbr_bench_round(struct kbr_bench *b, struct rnd_state *rnd, unsigned int round,
			   unsigned int passes)
{
	static int (*const run[VARIANTS])(struct kbr_bench *b, unsigned int passes) = {
		kbr_bench_floor_append, kbr_bench_ours_append,
		kbr_bench_floor_read, kbr_bench_ours_read,
	};
	/* both appends before both reads, each pair in random order */
	unsigned int flip = prandom_u32_state(rnd) & 3;
	const unsigned int order[VARIANTS] = {
		FLOOR_APPEND ^ (flip & 1), OURS_APPEND ^ (flip & 1),
		FLOOR_READ ^ (flip >> 1), OURS_READ ^ (flip >> 1),
	};
	unsigned int i;
	int err, e;

	/* both files are new in every round */
	err = kbr_bench_create(b);
	if (err)
		return err;
	for (i = 0; !err && i < VARIANTS; i++) {
		u64 start = ktime_get_ns();

		err = run[order[i]](b, passes);
		b->ns[order[i]][round] = ktime_get_ns() - start;
		cond_resched();
	}
	e = kbr_bench_delete(b);
	return err ?: e;
}

static int kbr_bench_size(struct kbr_bench *b, size_t room)
{
	struct rnd_state rnd;
	unsigned int passes, round;
	u64 median[VARIANTS];
	int err, i;

	b->size = kbr_bench_build(b->source, room);
	passes = KBR_BENCH_ROUND_BYTES / b->size;
	prandom_seed_state(&rnd, seed);
	for (round = 0; round < rounds; round++) {
		err = kbr_bench_round(b, &rnd, round, passes);
		if (err)
			return err;
	}
	for (i = 0; i < VARIANTS; i++)
		median[i] = kbr_bench_median(b->ns[i], rounds);
	pr_info("kbroker_bench: {\"batch_bytes\": %zu, \"passes\": %u, \"rounds\": %u, \"append_floor_ns\": %llu, \"append_ns\": %llu, \"append_percent\": %llu, \"read_floor_ns\": %llu, \"read_ns\": %llu, \"read_percent\": %llu}\n",
		b->size, passes, rounds,
		median[FLOOR_APPEND] / passes, median[OURS_APPEND] / passes,
		median[FLOOR_APPEND] * 100 / median[OURS_APPEND],
		median[FLOOR_READ] / passes, median[OURS_READ] / passes,
		median[FLOOR_READ] * 100 / median[OURS_READ]);
	return 0;
}

static void kbr_bench_work(struct work_struct *work)
{
	struct kbr_bench *b = container_of(work, struct kbr_bench, work);
	int i;

	for (i = 0; !b->err && i < ARRAY_SIZE(kbr_bench_sizes); i++)
		b->err = kbr_bench_size(b, kbr_bench_sizes[i]);
}

static int kbr_bench_open(struct kbr_bench *b)
{
	int err;

	err = kbr_dir_open_vfs(dir, &b->dir);
	if (err)
		return err;
	b->config = kbr_log_config_default;
	b->config.batch_bytes_max = 2u << 20;
	err = kbr_log_env_init(&b->env, b->dir, 64);
	if (err)
		goto put_dir;
	b->env.syncer = kbr_syncer_create(b->dir, "kbr_bench");
	if (!b->env.syncer) {
		err = -ENOMEM;
		goto exit_env;
	}
	return 0;

exit_env:
	kbr_log_env_exit(&b->env);
put_dir:
	kbr_dir_put(b->dir);
	return err;
}

static void kbr_bench_close(struct kbr_bench *b)
{
	kbr_syncer_destroy(b->env.syncer);
	kbr_log_env_exit(&b->env);
	kbr_dir_put(b->dir);
}

static int __init kbr_bench_init(void)
{
	struct kbr_bench *b;
	int err = -ENOMEM;

	if (!rounds || rounds > KBR_BENCH_ROUNDS_MAX)
		return -EINVAL;
	b = kvzalloc(sizeof(*b), GFP_KERNEL);
	if (!b)
		return -ENOMEM;
	b->source = kvmalloc(2u << 20, GFP_KERNEL);
	b->copy = kvmalloc(2u << 20, GFP_KERNEL);
	if (!b->source || !b->copy)
		goto out;
	err = kbr_bench_open(b);
	if (err)
		goto out;
	INIT_WORK(&b->work, kbr_bench_work);
	queue_work(system_unbound_wq, &b->work);
	flush_work(&b->work);
	err = b->err;
	kbr_bench_close(b);
out:
	kvfree(b->copy);
	kvfree(b->source);
	kvfree(b);
	if (err)
		pr_err("kbroker_bench: failed: %d\n", err);
	return err;
}

static void __exit kbr_bench_exit(void)
{
}

module_init(kbr_bench_init);
module_exit(kbr_bench_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Append and read of kbroker against their floors");
MODULE_IMPORT_NS(KBROKER_KUNIT);
