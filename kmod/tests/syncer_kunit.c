// SPDX-License-Identifier: GPL-2.0-only
/*
 * Group commit over the RAM disk: every writer that waits is served, with what
 * it wrote durable by then; an error reaches those whose file it was and no
 * others; targets come and go while rounds run; and few flushes serve many.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "storage/syncer.h"
#include "tests/file_ram.h"

#define SYNCER_FILES_MAX	200

/* A log as the syncer sees it: files, an end, and up to where it is durable. */
struct syncer_target {
	struct kbr_sync_target sync;
	struct kbr_file *files[SYNCER_FILES_MAX];
	unsigned int nr_files;
	unsigned int given;
	int collect_err;
	spinlock_t lock;	/* guards what follows */
	u64 end;
	u64 noted;
	u64 synced;
	unsigned int done;
	int err;
	wait_queue_head_t wait;
};

struct syncer_env {
	struct kbr_dir *dir;
	struct kbr_syncer *syncer;
};

static int syncer_collect(struct kbr_sync_target *sync, struct kbr_file **files, unsigned int max)
{
	struct syncer_target *t = container_of(sync, struct syncer_target, sync);
	unsigned int n = min(max, t->nr_files - t->given);

	if (t->collect_err)
		return t->collect_err;
	spin_lock(&t->lock);
	if (!t->given)
		t->noted = t->end;
	spin_unlock(&t->lock);
	memcpy(files, t->files + t->given, n * sizeof(*files));
	t->given += n;
	return n;
}

static void syncer_done(struct kbr_sync_target *sync, int err)
{
	struct syncer_target *t = container_of(sync, struct syncer_target, sync);

	spin_lock(&t->lock);
	t->given = 0;
	t->done++;
	t->err = err;
	if (!err)
		t->synced = t->noted;
	spin_unlock(&t->lock);
	wake_up_all(&t->wait);
}

static const struct kbr_sync_ops syncer_ops = { .collect = syncer_collect, .done = syncer_done };

static struct syncer_target *syncer_target_make(struct kunit *test, const char *name,
						unsigned int nr_files)
{
	struct syncer_env *env = test->priv;
	struct syncer_target *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	char path[32];

	KUNIT_ASSERT_NOT_NULL(test, t);
	kbr_sync_target_init(&t->sync, &syncer_ops);
	spin_lock_init(&t->lock);
	init_waitqueue_head(&t->wait);
	for (; t->nr_files < nr_files; t->nr_files++) {
		snprintf(path, sizeof(path), "%s.%u", name, t->nr_files);
		KUNIT_ASSERT_EQ(test, kbr_file_open(env->dir, path, KBR_FILE_CREATE,
						    &t->files[t->nr_files]), 0);
	}
	return t;
}

static void syncer_target_drop(struct kunit *test, struct syncer_target *t)
{
	struct syncer_env *env = test->priv;

	kbr_syncer_remove(env->syncer, &t->sync);
	while (t->nr_files)
		kbr_file_close(t->files[--t->nr_files]);
}

static int syncer_env_init(struct kunit *test)
{
	struct syncer_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, env);
	test->priv = env;
	env->dir = kbr_ram_create(1);
	KUNIT_ASSERT_NOT_NULL(test, env->dir);
	env->syncer = kbr_syncer_create(env->dir, "kunit");
	KUNIT_ASSERT_NOT_NULL(test, env->syncer);
	return 0;
}

static void syncer_env_exit(struct kunit *test)
{
	struct syncer_env *env = test->priv;

	if (!env)
		return;
	kbr_syncer_destroy(env->syncer);
	kbr_dir_put(env->dir);
}

/* Append to a target and, if @waiters, wait until that is durable or failed. */
static int syncer_write(struct syncer_env *env, struct syncer_target *t, unsigned int waiters)
{
	u64 mine;
	int err;

	spin_lock(&t->lock);
	mine = ++t->end;
	spin_unlock(&t->lock);
	err = kbr_file_write(t->files[0], "x", 1, mine - 1);
	if (err)
		return err;
	kbr_syncer_request(env->syncer, &t->sync, waiters);
	if (!waiters)
		return 0;
	if (!wait_event_timeout(t->wait, READ_ONCE(t->synced) >= mine || READ_ONCE(t->err),
				60 * HZ))
		return -ETIMEDOUT;
	return READ_ONCE(t->synced) >= mine ? 0 : READ_ONCE(t->err);
}

struct syncer_writer {
	struct syncer_env *env;
	struct syncer_target *target;
	unsigned int rounds;
	bool check;
	int err;
	struct completion over;
};

static int syncer_writer_main(void *arg)
{
	struct syncer_writer *w = arg;
	unsigned int i;

	for (i = 0; i < w->rounds && !w->err; i++) {
		w->err = syncer_write(w->env, w->target, 1);
		if (!w->err && w->check && i % 8 == 7) {
			/* Acknowledged: a loss of power must not take it. */
			struct kbr_dir *after = kbr_ram_crash(w->env->dir, i);
			struct kbr_file *file;

			if (!after || kbr_file_open(after, "t.0", 0, &file)) {
				w->err = -ENOENT;
			} else {
				if (kbr_file_size(file) <= i)
					w->err = -EUCLEAN;
				kbr_file_close(file);
			}
			kbr_dir_put(after);
		}
	}
	/* Not complete() alone: the module may be gone before this returns. */
	kthread_complete_and_exit(&w->over, 0);
}

/* Run @n writers, writer i on target i % nr; returns the flushes they took. */
static u64 syncer_run(struct kunit *test, struct syncer_target **targets, unsigned int nr,
		      unsigned int n, unsigned int rounds, bool check)
{
	struct syncer_env *env = test->priv;
	struct syncer_writer *w = kunit_kcalloc(test, n, sizeof(*w), GFP_KERNEL);
	struct kbr_ram_stats before, after;
	struct task_struct *task;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, w);
	kbr_ram_get_stats(env->dir, &before);
	for (i = 0; i < n; i++) {
		w[i].env = env;
		w[i].target = targets[i % nr];
		w[i].rounds = rounds;
		w[i].check = check;
		init_completion(&w[i].over);
		task = kthread_run(syncer_writer_main, &w[i], "kbr_kunit/%u", i);
		if (IS_ERR(task)) {
			w[i].err = PTR_ERR(task);
			complete(&w[i].over);
		}
	}
	for (i = 0; i < n; i++) {
		wait_for_completion(&w[i].over);
		KUNIT_EXPECT_EQ(test, w[i].err, 0);
	}
	kbr_ram_get_stats(env->dir, &after);
	return after.flushes - before.flushes;
}

/* One writer: a flush each, and what is acknowledged is durable. */
static void syncer_single(struct kunit *test)
{
	struct syncer_target *t = syncer_target_make(test, "t", 1);

	KUNIT_EXPECT_EQ(test, syncer_run(test, &t, 1, 1, 64, true), 64);
	syncer_target_drop(test, t);
}

/* What group commit is for: 16 writers, one flush for nearly all of them. */
static void syncer_group_one(struct kunit *test)
{
	struct syncer_env *env = test->priv;
	struct syncer_target *t = syncer_target_make(test, "t", 1);
	struct kbr_syncer_stats stats;
	u64 flushes;

	kbr_ram_set_sync_delay(env->dir, 3000);
	flushes = syncer_run(test, &t, 1, 16, 60, true);
	kunit_info(test, "960 batches of 16 writers on one target: %llu flushes\n", flushes);
	KUNIT_EXPECT_LE(test, flushes, 960 / 12);
	kbr_syncer_get_stats(env->syncer, &stats);
	KUNIT_EXPECT_EQ(test, stats.waiters, 960);
	KUNIT_EXPECT_EQ(test, stats.rounds, flushes);
	KUNIT_EXPECT_EQ(test, stats.errors, 0);
	syncer_target_drop(test, t);
}

static void syncer_group_many(struct kunit *test)
{
	struct syncer_env *env = test->priv;
	struct syncer_target *targets[16];
	char name[8];
	u64 flushes;
	int i;

	for (i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		targets[i] = syncer_target_make(test, name, 1);
	}
	kbr_ram_set_sync_delay(env->dir, 3000);
	flushes = syncer_run(test, targets, 16, 16, 60, false);
	kunit_info(test, "960 batches of 16 writers on 16 targets: %llu flushes\n", flushes);
	KUNIT_EXPECT_LE(test, flushes, 960 / 12);
	for (i = 0; i < 16; i++) {
		KUNIT_EXPECT_EQ(test, targets[i]->synced, 60);
		syncer_target_drop(test, targets[i]);
	}
}

/* Note @rounds rounds; returns in how many of them the leader was patient. */
static unsigned int syncer_habit_run(struct kbr_sync_habit *habit, unsigned int rounds,
				     unsigned int served, unsigned int late)
{
	unsigned int patient = 0;

	while (rounds--) {
		patient += habit->patient;
		kbr_sync_habit_note(habit, served, late);
	}
	return patient;
}

/* Patience comes, stays and goes as those who write deserve it. */
static void syncer_habit(struct kunit *test)
{
	struct kbr_sync_habit habit = { };

	/* All who come were served: patient, and for good. */
	KUNIT_EXPECT_GE(test, syncer_habit_run(&habit, 1000, 16, 0), 1000 - 16);
	/* One in eight may be late. */
	KUNIT_EXPECT_EQ(test, syncer_habit_run(&habit, 160, 16, 2), 160);
	/* They keep coming meanwhile: soon no longer, and tried ever more rarely. */
	KUNIT_EXPECT_LE(test, syncer_habit_run(&habit, 2000, 16, 4), 2000 / 10);
	KUNIT_EXPECT_LE(test, syncer_habit_run(&habit, 32000, 16, 4), 32000 / 40);
	/* It is tried all the same, and found out. */
	KUNIT_EXPECT_GE(test, syncer_habit_run(&habit, 4096, 16, 0), 4096 - 65 * 16);
	/* Few writers are not worth it. */
	KUNIT_EXPECT_LE(test, syncer_habit_run(&habit, 10000, 3, 0), 2 * 16);
}

/* Nobody waits: it is synced all the same, a little later, with others. */
static void syncer_lazy(struct kunit *test)
{
	struct syncer_env *env = test->priv;
	struct syncer_target *t = syncer_target_make(test, "t", 1);
	struct kbr_ram_stats stats;
	int i;

	for (i = 0; i < 50; i++)
		KUNIT_EXPECT_EQ(test, syncer_write(env, t, 0), 0);
	KUNIT_EXPECT_NE(test, wait_event_timeout(t->wait, READ_ONCE(t->synced) == 50, 60 * HZ), 0);
	kbr_ram_get_stats(env->dir, &stats);
	KUNIT_EXPECT_LE(test, stats.flushes, 10);
	/* A flush does not wait for the delay to pass, and covers all. */
	KUNIT_EXPECT_EQ(test, syncer_write(env, t, 0), 0);
	kbr_syncer_flush(env->syncer, &t->sync);
	KUNIT_EXPECT_EQ(test, t->synced, 51);
	kbr_syncer_flush(env->syncer, &t->sync);
	kbr_ram_get_stats(env->dir, &stats);
	i = stats.flushes;
	/* A target with nothing to sync costs no flush. */
	kbr_file_close(t->files[0]);
	t->nr_files = 0;
	kbr_syncer_request(env->syncer, &t->sync, 1);
	kbr_syncer_flush(env->syncer, &t->sync);
	kbr_ram_get_stats(env->dir, &stats);
	KUNIT_EXPECT_EQ(test, stats.flushes, i);
	KUNIT_EXPECT_EQ(test, stats.files, 0);
	syncer_target_drop(test, t);
}

/* An error of one file is its target's alone; later rounds are not affected. */
static void syncer_errors(struct kunit *test)
{
	struct syncer_env *env = test->priv;
	struct kbr_syncer_stats stats;
	struct syncer_target *t[5];
	char name[8];
	int i;

	for (i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		/* Two of them have many files; the last of e4 and the first of e1 fail. */
		t[i] = syncer_target_make(test, name, i == 2 || i == 4 ? 150 : 1);
	}
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(env->dir, KBR_RAM_SYNC, 0, 1, -EIO, "e4.149"));
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(env->dir, KBR_RAM_SYNC, 0, 1, -ENOSPC, "e1.0"));
	t[3]->collect_err = -ENOMEM;
	for (i = 0; i < 5; i++)
		KUNIT_EXPECT_EQ(test, syncer_write(env, t[i], 0), 0);
	for (i = 0; i < 5; i++)
		kbr_syncer_flush(env->syncer, &t[i]->sync);
	KUNIT_EXPECT_EQ(test, t[0]->err, 0);
	KUNIT_EXPECT_EQ(test, t[1]->err, -ENOSPC);
	KUNIT_EXPECT_EQ(test, t[2]->err, 0);
	KUNIT_EXPECT_EQ(test, t[3]->err, -ENOMEM);
	KUNIT_EXPECT_EQ(test, t[4]->err, -EIO);
	for (i = 0; i < 5; i++)
		KUNIT_EXPECT_EQ(test, t[i]->done, 1);
	kbr_syncer_get_stats(env->syncer, &stats);
	KUNIT_EXPECT_EQ(test, stats.errors, 3);

	t[3]->collect_err = 0;
	for (i = 0; i < 5; i++) {
		t[i]->err = 0;
		KUNIT_EXPECT_EQ(test, syncer_write(env, t[i], 1), 0);
	}
	/* An error of the whole call is everybody's. */
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(env->dir, KBR_RAM_SYNC_MANY, 0, 1, -EIO, NULL));
	KUNIT_EXPECT_EQ(test, syncer_write(env, t[0], 0), 0);
	KUNIT_EXPECT_EQ(test, syncer_write(env, t[2], 0), 0);
	kbr_syncer_flush(env->syncer, &t[0]->sync);
	kbr_syncer_flush(env->syncer, &t[2]->sync);
	KUNIT_EXPECT_EQ(test, t[0]->err, -EIO);
	KUNIT_EXPECT_EQ(test, t[2]->err, -EIO);
	KUNIT_EXPECT_EQ(test, t[1]->err, 0);
	for (i = 0; i < 5; i++)
		syncer_target_drop(test, t[i]);
}

/* Thousands of targets take few flushes, more than one batch of files included. */
static void syncer_thousands(struct kunit *test)
{
	struct syncer_env *env = test->priv;
	unsigned int n = 6000, i, served = 0;
	struct kbr_ram_stats stats;
	struct syncer_target *big;
	struct syncer_target *small;

	/* They share the files. */
	small = kvcalloc(n / SYNCER_FILES_MAX, sizeof(*small), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, small);
	big = syncer_target_make(test, "b", SYNCER_FILES_MAX);
	for (i = 0; i < n / SYNCER_FILES_MAX; i++) {
		small[i] = *big;
		kbr_sync_target_init(&small[i].sync, &syncer_ops);
		spin_lock_init(&small[i].lock);
		init_waitqueue_head(&small[i].wait);
		small[i].end = i + 1;
		kbr_syncer_request(env->syncer, &small[i].sync, 0);
	}
	for (i = 0; i < n / SYNCER_FILES_MAX; i++) {
		kbr_syncer_flush(env->syncer, &small[i].sync);
		served += small[i].synced == i + 1 && small[i].done == 1;
		kbr_syncer_remove(env->syncer, &small[i].sync);
	}
	KUNIT_EXPECT_EQ(test, served, n / SYNCER_FILES_MAX);
	kbr_ram_get_stats(env->dir, &stats);
	KUNIT_EXPECT_EQ(test, stats.syncs, n);
	KUNIT_EXPECT_LE(test, stats.flushes, 4);
	kvfree(small);
	syncer_target_drop(test, big);
}

struct syncer_churn {
	struct syncer_env *env;
	unsigned int id;
	unsigned int left_behind;
	struct completion over;
};

/* Make a target, use it, remove it in every state, free it, again and again. */
static int syncer_churn_main(void *arg)
{
	struct syncer_churn *c = arg;
	struct syncer_target *t;
	unsigned int i;
	char path[32];

	snprintf(path, sizeof(path), "c%u", c->id);
	for (i = 0; i < 60; i++) {
		t = kzalloc(sizeof(*t), GFP_KERNEL);
		if (!t)
			break;
		kbr_sync_target_init(&t->sync, &syncer_ops);
		spin_lock_init(&t->lock);
		init_waitqueue_head(&t->wait);
		if (kbr_file_open(c->env->dir, path, KBR_FILE_CREATE, &t->files[0])) {
			kfree(t);
			break;
		}
		t->nr_files = 1;
		syncer_write(c->env, t, i & 1);
		if (i % 3 == 0)
			syncer_write(c->env, t, 0);
		if (i % 5 == 0)
			usleep_range(100, 600);
		if (i % 4 == 0) {
			kbr_syncer_request(c->env->syncer, &t->sync, 1);
			kbr_syncer_flush(c->env->syncer, &t->sync);
			if (t->synced != t->end)
				c->left_behind++;
		} else if (i % 4 == 1) {
			kbr_syncer_request(c->env->syncer, &t->sync, 3);
		}
		kbr_syncer_remove(c->env->syncer, &t->sync);
		if (t->given || t->sync.busy || t->sync.queued)
			c->left_behind++;
		kbr_file_close(t->files[0]);
		/* KASAN sees a worker that still touches it. */
		kfree(t);
	}
	kthread_complete_and_exit(&c->over, 0);
}

static void syncer_churn(struct kunit *test)
{
	struct syncer_env *env = test->priv;
	struct task_struct *task;
	struct syncer_churn c[6];
	int i;

	kbr_ram_set_sync_delay(env->dir, 300);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = (struct syncer_churn){ .env = env, .id = i };
		init_completion(&c[i].over);
		task = kthread_run(syncer_churn_main, &c[i], "kbr_kunit/%d", i);
		if (IS_ERR(task))
			complete(&c[i].over);
	}
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		wait_for_completion(&c[i].over);
		KUNIT_EXPECT_EQ(test, c[i].left_behind, 0);
	}
}

static struct kunit_case syncer_tests[] = {
	KUNIT_CASE(syncer_single),
	KUNIT_CASE(syncer_group_one),
	KUNIT_CASE(syncer_group_many),
	KUNIT_CASE(syncer_habit),
	KUNIT_CASE(syncer_lazy),
	KUNIT_CASE(syncer_errors),
	KUNIT_CASE(syncer_thousands),
	KUNIT_CASE(syncer_churn),
	{}
};

static struct kunit_suite syncer_suite = {
	.name = "kbroker_syncer",
	.init = syncer_env_init,
	.exit = syncer_env_exit,
	.test_cases = syncer_tests,
};

kunit_test_suite(syncer_suite);
