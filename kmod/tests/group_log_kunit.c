// SPDX-License-Identifier: GPL-2.0-only
/*
 * How groups are kept: partitions of __consumer_offsets that are written anew, and
 * a stop, a crash or a failing disk in the middle of it; loads that are not whole;
 * limits of memory, what is accounted for, and allocations that fail.
 */
#include <kunit/test.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "group_test.h"

#define KBR_GL_PARTS		8
/* With so many bytes of metadata each, so many commits are well over what is not worth writing anew */
#define KBR_GL_METADATA		4000
#define KBR_GL_ROUNDS		40

/* Where the logs of the groups "g" and "h" are */
#define KBR_GL_LOG_G		"__consumer_offsets-1/00000000000000000000.log"

/**
 * struct kbr_gl_commit - a commit of all partitions
 * @offsets: they
 * @wait: what it waits for
 * @metadata: of each
 */
struct kbr_gl_commit {
	struct kbr_group_offset offsets[KBR_GL_PARTS];
	struct kbr_group_wait wait;
	char metadata[KBR_GL_METADATA];
};

static struct kbr_gl_commit *kbr_gl_alloc(struct kunit *test)
{
	struct kbr_gl_commit *commit = kunit_kzalloc(test, sizeof(*commit), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, commit);
	memset(commit->metadata, 'm', sizeof(commit->metadata));
	return commit;
}

/* Commit @offset for all partitions, by @m or by nobody; true: answered */
static bool kbr_gl_begin(struct kbr_group_test *gt, struct kbr_group *group,
			 struct kbr_gt_member *m, struct kbr_gl_commit *commit, s64 offset)
{
	struct kbr_group_id id = { .generation = -1, .member_id.at = "", .instance_id.len = -1 };
	unsigned int i;

	if (m)
		id = kbr_gt_id(m);
	for (i = 0; i < KBR_GL_PARTS; i++)
		commit->offsets[i] = (struct kbr_group_offset) {
			.topic = kbr_gt_str("t"),
			.partition = i,
			.offset = offset,
			.leader_epoch = -1,
			.metadata = { .at = commit->metadata, .len = sizeof(commit->metadata) },
			.expire_ms = -1,
		};
	return kbr_group_commit(group, &id, commit->offsets, KBR_GL_PARTS, gt->now,
				&commit->wait);
}

/* @rounds commits, each one higher than the last; the last one is *@offset. */
static void kbr_gl_fill(struct kbr_group_test *gt, struct kbr_group *group,
			struct kbr_gt_member *m, struct kbr_gl_commit *commit, s64 *offset,
			unsigned int rounds)
{
	struct kunit *test = gt->tb->test;
	bool done;

	while (rounds--) {
		done = kbr_gl_begin(gt, group, m, commit, ++*offset) ||
		       kbr_gt_until(kbr_group_commit_again(&commit->wait, commit->offsets,
							   KBR_GL_PARTS));
		kbr_group_wait_drop(&commit->wait);
		KUNIT_ASSERT_TRUE(test, done);
		KUNIT_ASSERT_EQ(test, commit->offsets[0].code, 0);
	}
}

static void kbr_gl_expect(struct kbr_group_test *gt, s64 least, s64 most)
{
	unsigned int i;

	for (i = 0; i < KBR_GL_PARTS; i++) {
		KUNIT_EXPECT_GE(gt->tb->test, kbr_gt_committed(gt, i), least);
		KUNIT_EXPECT_LE(gt->tb->test, kbr_gt_committed(gt, i), most);
	}
}

/* What is dead is removed, what lives is there after a restart: offsets, members, the generation. */
static void kbr_gl_test_rewrite(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gl_commit *commit = kbr_gl_alloc(test);
	struct kbr_gt_member a = { .gt = gt };
	s64 offset = 0, end, start = 0;
	unsigned int i;

	kbr_gt_stable(test, &a);
	for (i = 0; i < 4; i++) {
		kbr_gl_fill(gt, gt->group, &a, commit, &offset, KBR_GL_ROUNDS);
		end = kbr_log_end(&kbr_gt_log(gt)->log);
		kbr_groups_upkeep(gt->broker, gt->now);
		KUNIT_EXPECT_EQ(test, kbr_log_start(&kbr_gt_log(gt)->log), end);
		KUNIT_EXPECT_GT(test, end, start);
		start = end;
		/* nothing is dead any more */
		end = kbr_log_end(&kbr_gt_log(gt)->log);
		kbr_groups_upkeep(gt->broker, gt->now);
		KUNIT_EXPECT_EQ(test, kbr_log_end(&kbr_gt_log(gt)->log), end);
		kbr_gl_expect(gt, offset, offset);
		kbr_gt_restart(gt, i & 1);
		kbr_gl_expect(gt, offset, offset);
		KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_STABLE);
		KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), 0);
	}
	kbr_gt_end(gt);
}

/** struct kbr_gl_upkeep - upkeep beside the test */
struct kbr_gl_upkeep {
	struct work_struct work;
	struct kbr_group_test *gt;
};

static void kbr_gl_upkeep_work(struct work_struct *work)
{
	struct kbr_group_test *gt = container_of(work, struct kbr_gl_upkeep, work)->gt;

	kbr_groups_upkeep(gt->broker, gt->now);
}

/* A stop finds no groups any more: the rewriter must not take that for nothing that lives. */
static void kbr_gl_test_rewrite_stop(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gl_commit *commit = kbr_gl_alloc(test);
	struct kbr_gl_upkeep upkeep = { .gt = gt };
	struct kbr_groups *groups = gt->broker->groups;
	s64 offset = 0;

	kbr_gl_fill(gt, gt->group, NULL, commit, &offset, KBR_GL_ROUNDS);
	/* it waits for the disk before it looks at the groups */
	kbr_ram_set_sync_delay(gt->tb->dir, 200000);
	KUNIT_EXPECT_FALSE(test, kbr_gl_begin(gt, gt->group, NULL, commit, offset + 1));
	INIT_WORK_ONSTACK(&upkeep.work, kbr_gl_upkeep_work);
	queue_work(gt->broker->work_wq, &upkeep.work);
	msleep(50);
	/* the stop's first step */
	WRITE_ONCE(groups->state, KBR_GROUPS_STOPPED);
	flush_work(&upkeep.work);
	destroy_work_on_stack(&upkeep.work);
	WRITE_ONCE(groups->state, KBR_GROUPS_READY);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&kbr_gt_log(gt)->log), 0LL);
	kbr_group_wait_drop(&commit->wait);
	kbr_ram_set_sync_delay(gt->tb->dir, 0);
	kbr_gt_restart(gt, false);
	kbr_gl_expect(gt, offset, offset + 1);
	kbr_gt_end(gt);
}

/* The disk fails at each of the rewriter's steps, and the power then: nothing is lost. */
static void kbr_gl_test_rewrite_crash(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gl_commit *commit = kbr_gl_alloc(test);
	unsigned int step;
	s64 offset = 0;

	for (step = 0; step < 9; step++) {
		kbr_gl_fill(gt, gt->group, NULL, commit, &offset, KBR_GL_ROUNDS);
		if (step < 8)
			KUNIT_ASSERT_TRUE(test, kbr_ram_fail(gt->tb->dir, KBR_RAM_CHANGES, step, 0,
							     -EIO, "__consumer_offsets-"));
		kbr_groups_upkeep(gt->broker, gt->now);
		kbr_gl_expect(gt, offset, offset);
		kbr_gt_close(gt);
		kbr_test_crash(gt->tb, step + 1);
		KUNIT_ASSERT_EQ(test, kbr_test_start(gt->tb), 0);
		kbr_gt_open(gt);
		kbr_gl_expect(gt, offset, offset);
	}
	kbr_gt_end(gt);
}

/*
 * Groups "g" and "h" are in the two partitions of __consumer_offsets, and both have
 * enough that is dead. What of the first can't be read, or understood, stays where
 * it is; the other is written anew.
 */
static void kbr_gl_fill_other(struct kbr_group_test *gt, struct kbr_gl_commit *commit,
			      unsigned int rounds)
{
	struct kbr_str name = kbr_gt_str("h");
	struct kbr_group *other;
	s64 offset = 1000;
	s16 code;

	other = kbr_group_find(gt->broker, &name, true, &code);
	KUNIT_ASSERT_NOT_NULL(gt->tb->test, other);
	kbr_gl_fill(gt, other, NULL, commit, &offset, rounds);
	kbr_group_put(other);
}

static void kbr_gl_expect_kept(struct kbr_group_test *gt, struct kbr_gl_commit *commit)
{
	struct kbr_partition *other = kbr_topic_partition(gt->broker->groups->topic, 0);
	struct kunit *test = gt->tb->test;

	KUNIT_ASSERT_EQ(test, gt->group->partition, 1U);
	kbr_gl_fill_other(gt, commit, KBR_GL_ROUNDS);
	kbr_groups_upkeep(gt->broker, gt->now);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&kbr_gt_log(gt)->log), 0LL);
	KUNIT_EXPECT_GT(test, kbr_log_start(&other->log), 0LL);
}

/* There is no room for all of them: what was not kept in memory is loaded another time. */
static void kbr_gl_test_short_load(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gl_commit *commit = kbr_gl_alloc(test);
	u64 limit = gt->broker->config.group_memory_max;
	s64 offset = 0;

	kbr_gl_fill_other(gt, commit, 1);
	kbr_gl_fill(gt, gt->group, NULL, commit, &offset, KBR_GL_ROUNDS);
	/* room for one of the two groups, and some */
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&gt->tb->configs, "group.memory.max.bytes",
						 "65536"), 0);
	kbr_gt_restart(gt, false);
	KUNIT_EXPECT_LT(test, kbr_gt_committed(gt, KBR_GL_PARTS - 1), offset);
	WRITE_ONCE(gt->broker->config.group_memory_max, limit);
	kbr_gl_expect_kept(gt, commit);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&gt->tb->configs, "group.memory.max.bytes",
						 "268435456"), 0);
	kbr_gt_restart(gt, false);
	kbr_gl_expect(gt, offset, offset);
	kbr_gt_end(gt);
}

/* A bad bit: in a record of the first batch, and in the head of the last one */
static void kbr_gl_test_damaged_load(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gl_commit *commit = kbr_gl_alloc(test);
	struct kbr_log_lag lag;
	s64 offset = 0;
	u64 last;

	kbr_gl_fill(gt, gt->group, NULL, commit, &offset, KBR_GL_ROUNDS);
	kbr_log_get_lag(&kbr_gt_log(gt)->log, 0, &lag);
	last = lag.bytes;
	kbr_gl_fill(gt, gt->group, NULL, commit, &offset, 1);
	kbr_gt_close(gt);
	kbr_test_stop(gt->tb);
	KUNIT_ASSERT_EQ(test, kbr_ram_damage(gt->tb->dir, KBR_GL_LOG_G, 100, 1), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(gt->tb), 0);
	kbr_gt_open(gt);
	kbr_gl_expect(gt, offset, offset);
	kbr_gl_expect_kept(gt, commit);
	kbr_gt_close(gt);
	kbr_test_stop(gt->tb);
	/* its magic */
	KUNIT_ASSERT_EQ(test, kbr_ram_damage(gt->tb->dir, KBR_GL_LOG_G, 100, 1), 0);
	KUNIT_ASSERT_EQ(test, kbr_ram_damage(gt->tb->dir, KBR_GL_LOG_G, last + 16, 1), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(gt->tb), 0);
	kbr_gt_open(gt);
	kbr_gl_expect(gt, offset - 1, offset - 1);
	kbr_gl_expect_kept(gt, commit);
	kbr_gt_end(gt);
}

/* Who deletes a group deletes what is being committed, too. */
static void kbr_gl_test_delete_pending(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gl_commit *commit = kbr_gl_alloc(test);

	kbr_ram_set_sync_delay(gt->tb->dir, 20000);
	KUNIT_EXPECT_FALSE(test, kbr_gl_begin(gt, gt->group, NULL, commit, 5));
	KUNIT_EXPECT_EQ(test, kbr_gt_delete(gt), 0);
	KUNIT_EXPECT_TRUE(test, kbr_group_commit_again(&commit->wait, commit->offsets,
						       KBR_GL_PARTS));
	kbr_group_wait_drop(&commit->wait);
	kbr_ram_set_sync_delay(gt->tb->dir, 0);
	kbr_gl_expect(gt, -1, -1);
	kbr_gt_restart(gt, false);
	kbr_gl_expect(gt, -1, -1);
	kbr_gt_end(gt);
}

/* What a group holds: an offset each, and its topic's name once. */
static void kbr_gl_test_accounting(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	size_t before = gt->group->bytes, first, second;

	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 0, 1), 0);
	first = gt->group->bytes - before;
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 1, 1), 0);
	second = gt->group->bytes - before - first;
	KUNIT_EXPECT_EQ(test, second, sizeof(struct kbr_group_entry) + 1);
	KUNIT_EXPECT_EQ(test, first - second, sizeof(struct kbr_group_text) + 2);
	/* one that replaces another holds no more */
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 0, 2), 0);
	KUNIT_EXPECT_EQ(test, gt->group->bytes, before + first + second);
	KUNIT_EXPECT_EQ(test, kbr_gt_delete(gt), 0);
	KUNIT_EXPECT_EQ(test, gt->group->bytes, before);
	kbr_gt_end(gt);
}

/* group.memory.max.bytes and group.max.size: who is over them is told, and nobody else notices. */
static void kbr_gl_test_limits(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gt_member a = { .gt = gt }, b = { .gt = gt };
	struct kbr_broker_config *config = &gt->broker->config;
	struct kbr_str name = kbr_gt_str("other");
	s16 code = 0;
	u64 limit = config->group_memory_max;

	kbr_gt_stable(test, &a);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, &a, "t", 0, 1), 0);
	WRITE_ONCE(config->group_memory_max, atomic64_read(&gt->broker->groups->bytes) + 60);
	KUNIT_EXPECT_NULL(test, kbr_group_find(gt->broker, &name, true, &code));
	KUNIT_EXPECT_EQ(test, code, KBR_KAFKA_GROUP_MAX_SIZE_REACHED);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, &a, "t", 1, 1),
			KBR_KAFKA_INVALID_COMMIT_OFFSET_SIZE);
	KUNIT_EXPECT_TRUE(test, kbr_gt_join(&b, true));
	KUNIT_EXPECT_EQ(test, b.code, KBR_KAFKA_GROUP_MAX_SIZE_REACHED);
	KUNIT_EXPECT_TRUE(test, kbr_gt_join(&b, false));
	KUNIT_EXPECT_EQ(test, b.code, KBR_KAFKA_GROUP_MAX_SIZE_REACHED);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), 0);
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_STABLE);
	WRITE_ONCE(config->group_memory_max, limit);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, &a, "t", 1, 1), 0);
	WRITE_ONCE(config->group_size_max, 1);
	KUNIT_EXPECT_TRUE(test, kbr_gt_join(&b, false));
	KUNIT_EXPECT_EQ(test, b.code, KBR_KAFKA_GROUP_MAX_SIZE_REACHED);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), 0);
	WRITE_ONCE(config->group_size_max, 2);
	KUNIT_EXPECT_FALSE(test, kbr_gt_join(&b, false));
	kbr_group_wait_drop(&b.wait);
	kbr_gt_end(gt);
}

#if IS_ENABLED(CONFIG_FAILSLAB)

/* A life of a member, up to the end of its group; the first error of Kafka's */
static s16 kbr_gl_life(struct kbr_group_test *gt, struct kbr_gt_member *m)
{
	struct kbr_group_assignment share = { .assignment = kbr_gt_str("all") };
	s16 code;

	if (!kbr_gt_rejoin(m) || m->code)
		return m->code ?: KBR_KAFKA_TIMED_OUT;
	share.member_id = kbr_gt_str(m->id);
	if (!(kbr_gt_sync(m, &share, 1) || kbr_gt_synced(m)) || m->code)
		return m->code ?: KBR_KAFKA_TIMED_OUT;
	code = kbr_gt_commit(gt, m, "t", 0, 1);
	code = code ?: kbr_gt_commit(gt, m, "t", 1, 1);
	code = code ?: kbr_gt_leave(m);
	return code ?: kbr_gt_delete(gt);
}

/* Every allocation of it fails once: it says so, and what is left behind is in nobody's way. */
static void kbr_gl_test_no_memory(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gt_member m;
	unsigned int nth, left;
	s16 code;

	for (nth = 1; ; nth++) {
		m = (struct kbr_gt_member) { .gt = gt };
		current->fail_nth = nth;
		code = kbr_gl_life(gt, &m);
		left = current->fail_nth;
		current->fail_nth = 0;
		kbr_group_wait_drop(&m.wait);
		if (left)
			break;
		if (code)
			KUNIT_EXPECT_TRUE_MSG(test, code == KBR_KAFKA_COORDINATOR_NOT_AVAILABLE ||
					      code == KBR_KAFKA_GROUP_MAX_SIZE_REACHED ||
					      code == KBR_KAFKA_REBALANCE_IN_PROGRESS,
					      "allocation %u: error %d", nth, code);
		/* nobody is there, or soon nobody will be */
		kbr_gt_pass(gt, KBR_GT_REBALANCE_MS);
		m = (struct kbr_gt_member) { .gt = gt };
		code = kbr_gl_life(gt, &m);
		kbr_group_wait_drop(&m.wait);
		KUNIT_ASSERT_EQ_MSG(test, code, 0, "after allocation %u", nth);
	}
	KUNIT_EXPECT_EQ(test, code, 0);
	/* all of them were met, if fault injection was asked for (tests/kunit/guest) */
	KUNIT_EXPECT_GT(test, nth, 20U);
	kbr_gt_end(gt);
}

#endif

static struct kunit_case kbr_gl_cases[] = {
	KUNIT_CASE(kbr_gl_test_rewrite),
	KUNIT_CASE(kbr_gl_test_rewrite_stop),
	KUNIT_CASE(kbr_gl_test_rewrite_crash),
	KUNIT_CASE(kbr_gl_test_short_load),
	KUNIT_CASE(kbr_gl_test_damaged_load),
	KUNIT_CASE(kbr_gl_test_delete_pending),
	KUNIT_CASE(kbr_gl_test_accounting),
	KUNIT_CASE(kbr_gl_test_limits),
#if IS_ENABLED(CONFIG_FAILSLAB)
	KUNIT_CASE(kbr_gl_test_no_memory),
#endif
	{}
};

static struct kunit_suite kbr_gl_suite = {
	.name = "kbroker_group_log",
	.exit = kbr_gt_exit,
	.test_cases = kbr_gl_cases,
};

kunit_test_suite(kbr_gl_suite);
