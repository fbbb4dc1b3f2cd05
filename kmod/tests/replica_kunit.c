// SPDX-License-Identifier: GPL-2.0-only
/*
 * Roles and replicas: what a leader counts, what it promises, what becomes of
 * those who wait when it leads no more, and what a follower takes and cuts.
 * This broker is node 1; nodes 2 and 3 are what the test says of them.
 */
#include <kunit/test.h>
#include <linux/slab.h>

#include "broker/replica.h"
#include "broker_test.h"
#include "codec/record.h"
#include "storage/log_internal.h"

struct kbr_rep_test {
	struct kbr_test_broker *tb;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	struct kbr_replica_state state;
	struct kbr_refusal why;
	u8 *buf;
};

static void kbr_rep_begin(struct kunit *test, struct kbr_rep_test *rt, const char *config,
			  const char *value)
{
	memset(rt, 0, sizeof(*rt));
	rt->tb = kbr_test_init(test);
	rt->buf = kunit_kzalloc(test, 1024, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, rt->buf);
	KUNIT_ASSERT_EQ(test, kbr_test_start(rt->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(rt->tb, "t", 1, config, value), 0);
	rt->topic = kbr_test_topic(rt->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, rt->topic);
	rt->part = kbr_topic_partition(rt->topic, 0);
	KUNIT_ASSERT_EQ(test, kbr_replica_alloc(rt->part), 0);
	kbr_partition_quiesce(rt->part, KBR_PARTITION_FOLLOWER);
	rt->state = (struct kbr_replica_state) {
		.leader = 1,
		.leader_epoch = 1,
		.partition_epoch = 1,
		.replicas = { 3, { 1, 2, 3 } },
		.isr = { 3, { 1, 2, 3 } },
	};
}

/* The power is lost, and with it all that was not synced; it starts as a follower of nobody. */
static void kbr_rep_crash(struct kunit *test, struct kbr_rep_test *rt)
{
	kbr_topic_put(rt->topic);
	kbr_test_crash(rt->tb, 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(rt->tb), 0);
	rt->topic = kbr_test_topic(rt->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, rt->topic);
	rt->part = kbr_topic_partition(rt->topic, 0);
	KUNIT_ASSERT_EQ(test, rt->part->error, 0);
	KUNIT_ASSERT_EQ(test, kbr_replica_alloc(rt->part), 0);
	kbr_partition_quiesce(rt->part, KBR_PARTITION_FOLLOWER);
}

static void kbr_rep_end(struct kbr_rep_test *rt)
{
	kbr_topic_put(rt->topic);
	kbr_test_exit(rt->tb);
}

/* Say @rt->state, which is newer now. */
static int kbr_rep_apply(struct kbr_rep_test *rt)
{
	rt->state.partition_epoch++;
	return kbr_replica_apply(rt->part, &rt->state, &rt->why);
}

static int kbr_rep_elect(struct kbr_rep_test *rt, s32 leader)
{
	rt->state.leader = leader;
	rt->state.leader_epoch++;
	return kbr_rep_apply(rt);
}

/* Follower @id has all up to @offset, and all up to @synced on its disk. */
static int kbr_rep_fetch(struct kbr_rep_test *rt, s32 id, s64 offset, s64 synced)
{
	struct kbr_replica_fetch fetch = {
		.id = id,
		.broker_epoch = 10 + id,
		.leader_epoch = rt->state.leader_epoch,
		.last_epoch = offset ? kbr_log_epoch_at(&rt->part->log, offset - 1) : -1,
		.offset = offset,
		.synced = synced,
	};
	struct kbr_replica_diverging diverging;

	return kbr_replica_fetched(rt->part, &fetch, 1000, &diverging);
}

/* Append one record without waiting; its offset or an error. */
static s64 kbr_rep_produce(struct kbr_rep_test *rt, int acks, u32 *failures)
{
	struct kbr_record rec = { .timestamp = 1, .value = "value", .value_len = 5 };
	struct kbr_batch_builder bld;
	struct kbr_produce p;
	int err;

	kbr_batch_builder_init(&bld, rt->buf, 1024);
	err = kbr_batch_builder_add(&bld, &rec);
	if (err)
		return err;
	p = (struct kbr_produce) {
		.buf = rt->buf,
		.len = kbr_batch_builder_finish(&bld),
		.acks = acks,
	};
	err = kbr_partition_produce(rt->part, &p);
	if (failures)
		*failures = p.failures;
	return err ?: p.base_offset;
}

/* A batch of @count records at @offset, as a leader of @epoch would send it; its size. */
static size_t kbr_rep_batch(struct kbr_rep_test *rt, size_t at, s64 offset, unsigned int count,
			    s32 epoch)
{
	struct kbr_record rec = { .timestamp = 1, .value = "value", .value_len = 5 };
	struct kbr_batch_builder bld;
	size_t len;

	kbr_batch_builder_init(&bld, rt->buf + at, 1024 - at);
	while (count--)
		if (kbr_batch_builder_add(&bld, &rec))
			return 0;
	len = kbr_batch_builder_finish(&bld);
	kbr_batch_stamp(rt->buf + at, offset, epoch);
	return len;
}

static void kbr_rep_wait_synced(struct kunit *test, struct kbr_rep_test *rt, s64 end)
{
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(rt->part, end, rt->part->sync_failures), 0);
	KUNIT_EXPECT_GE(test, kbr_log_synced(&rt->part->log), end);
}

/* The high watermark is the smallest synced end of the in-sync set. */
static void kbr_replica_test_watermark(struct kunit *test)
{
	struct kbr_rep_test rt;

	kbr_rep_begin(test, &rt, "min.insync.replicas", "2");
	KUNIT_ASSERT_EQ(test, kbr_rep_apply(&rt), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 1);
	kbr_rep_wait_synced(test, &rt, 2);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 2, 2, 2), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 0);
	/* it has both, but only one on its disk */
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 3, 2, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 1);
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 3, 2, 2), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 2);
	/* what was said of it in an older life, or by somebody else, counts for nothing */
	rt.state.isr = (struct kbr_id_set) { 2, { 1, 2 } };
	KUNIT_EXPECT_EQ(test, kbr_rep_apply(&rt), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 2);
	kbr_rep_wait_synced(test, &rt, 3);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 2);
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 4, 3, 3), -EPERM);
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 2, 3, 3), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 3);
	/* beyond the log's end: its log is another one */
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 2, 9, 9), 1);
	kbr_rep_end(&rt);
}

/* With too small an in-sync set nothing is promised, and nothing becomes visible. */
static void kbr_replica_test_min_isr(struct kunit *test)
{
	struct kbr_rep_test rt;

	kbr_rep_begin(test, &rt, "min.insync.replicas", "2");
	rt.state.isr = (struct kbr_id_set) { 1, { 1 } };
	rt.state.elr = (struct kbr_id_set) { 1, { 2 } };
	KUNIT_ASSERT_EQ(test, kbr_rep_apply(&rt), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), -ENOLINK);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), 0);
	kbr_rep_wait_synced(test, &rt, 1);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 2, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 0);
	rt.state.isr = (struct kbr_id_set) { 2, { 1, 2 } };
	rt.state.elr.count = 0;
	KUNIT_EXPECT_EQ(test, kbr_rep_apply(&rt), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 1);
	kbr_rep_end(&rt);
}

/* Who waits for acks learns that it leads no more, and whose record was cut, that it was. */
static void kbr_replica_test_deposed(struct kunit *test)
{
	struct kbr_replica_diverging diverging = { .epoch = 2, .end = 1 };
	struct kbr_rep_test rt;
	u32 failures[2];
	size_t len;

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, &failures[0]), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, &failures[1]), 1);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(rt.part, 0, failures[0]), 0);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	KUNIT_EXPECT_EQ(test, rt.part->state, KBR_PARTITION_FOLLOWER);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(rt.part, 0, failures[0]), -EREMOTE);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(rt.part, 1, failures[1]), -EREMOTE);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), -EREMOTE);
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 3, 1, 1), -EREMOTE);
	/* the new leader has the first, and another second one */
	KUNIT_EXPECT_EQ(test, kbr_replica_truncate(rt.part, rt.state.leader_epoch, &diverging), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 1);
	len = kbr_rep_batch(&rt, 0, 1, 1, 3);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, 3, 2, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 2);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(rt.part, 0, failures[0]), 1);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(rt.part, 1, failures[1]), -EIO);
	/* what is older than what is known is refused */
	rt.state.partition_epoch -= 2;
	KUNIT_EXPECT_EQ(test, kbr_rep_apply(&rt), -ESTALE);
	kbr_rep_end(&rt);
}

/* A follower takes what follows its log, and nothing else. */
static void kbr_replica_test_follow(struct kunit *test)
{
	struct kbr_replica_position pos;
	struct kbr_rep_test rt;
	char value[16];
	size_t len;
	s32 epoch;

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	epoch = rt.state.leader_epoch;
	KUNIT_ASSERT_EQ(test, kbr_replica_get_position(rt.part, &pos), 0);
	KUNIT_EXPECT_EQ(test, pos.leader, 2);
	KUNIT_EXPECT_EQ(test, pos.leader_epoch, epoch);
	KUNIT_EXPECT_EQ(test, pos.last_epoch, -1);
	KUNIT_EXPECT_EQ(test, pos.end, 0);
	len = kbr_rep_batch(&rt, 0, 0, 3, epoch - 1);
	len += kbr_rep_batch(&rt, len, 3, 2, epoch);
	/* the second one is cut off */
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len - 1, epoch, 3, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 3);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 3);
	KUNIT_EXPECT_EQ(test, kbr_test_read(rt.part, 0, value, sizeof(value)), 0);
	/* again: it is there already */
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, epoch, 1, 0), -EBADMSG);
	len = kbr_rep_batch(&rt, 0, 3, 2, epoch);
	rt.buf[len - 1] ^= 1;
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, epoch, 1, 0), -EBADMSG);
	rt.buf[len - 1] ^= 1;
	/* a leader epoch that this leader can't have had, or another leadership */
	len = kbr_rep_batch(&rt, 0, 3, 2, epoch + 1);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, epoch, 1, 0), -EBADMSG);
	len = kbr_rep_batch(&rt, 0, 3, 2, epoch);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, epoch - 1, 1, 0), -ESTALE);
	/* the leader's high watermark, as far as this log goes, and never back */
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, epoch, 99, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 5);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, NULL, 0, epoch, 2, 4), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 5);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&rt.part->log), 4);
	KUNIT_ASSERT_EQ(test, kbr_replica_get_position(rt.part, &pos), 0);
	KUNIT_EXPECT_EQ(test, pos.last_epoch, epoch);
	KUNIT_EXPECT_EQ(test, pos.end, 5);
	/* it is far behind what the leader still has */
	KUNIT_EXPECT_EQ(test, kbr_replica_restart(rt.part, epoch, 100), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&rt.part->log), 100);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 100);
	len = kbr_rep_batch(&rt, 0, 100, 1, epoch);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, epoch, 101, 100), 0);
	/* it comes to lead: its own epoch from here on, and what was committed stays so */
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 101);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), 101);
	KUNIT_EXPECT_EQ(test, kbr_partition_epoch_at(rt.part, 101), rt.state.leader_epoch);
	kbr_rep_end(&rt);
}

/* KIP-101: a tail of an epoch that the leader lacks is cut, whatever the offsets say. */
static void kbr_replica_test_diverging(struct kunit *test)
{
	struct kbr_replica_fetch fetch = { .id = 2, .broker_epoch = 12, .synced = 0 };
	struct kbr_replica_diverging diverging;
	struct kbr_rep_test rt;
	int i;

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 1), 0);	/* epoch 2: offsets 0 to 2 */
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), i);
	rt.state.leader_epoch += 3;
	KUNIT_ASSERT_EQ(test, kbr_rep_apply(&rt), 0);		/* epoch 5: 3 and 4 */
	for (i = 3; i < 5; i++)
		KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), i);
	fetch.leader_epoch = 5;
	fetch.last_epoch = 2;
	fetch.offset = 3;
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(rt.part, &fetch, 1, &diverging), 0);
	fetch.offset = 4;	/* it has one record more of epoch 2 */
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(rt.part, &fetch, 1, &diverging), 1);
	KUNIT_EXPECT_EQ(test, diverging.epoch, 2);
	KUNIT_EXPECT_EQ(test, diverging.end, 3);
	fetch.last_epoch = 4;	/* an epoch that is not here */
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(rt.part, &fetch, 1, &diverging), 1);
	KUNIT_EXPECT_EQ(test, diverging.epoch, 2);
	KUNIT_EXPECT_EQ(test, diverging.end, 3);
	fetch.leader_epoch = 4;
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(rt.part, &fetch, 1, &diverging), -ESTALE);
	fetch.leader_epoch = 6;
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(rt.part, &fetch, 1, &diverging), -ESRCH);
	/* a follower that lost the same leadership forgets its empty epoch */
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_last_epoch(&rt.part->log), 6);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 3), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_last_epoch(&rt.part->log), 5);
	kbr_rep_end(&rt);
}

/* Sets that contradict each other are refused, and change nothing. */
static void kbr_replica_test_refused(struct kunit *test)
{
	enum kbroker_replica_role role;
	struct kbr_replica_state state;
	struct kbr_rep_test rt;

	kbr_rep_begin(test, &rt, NULL, NULL);
	rt.state.isr = (struct kbr_id_set) { 2, { 1, 4 } };
	KUNIT_EXPECT_EQ(test, kbr_rep_apply(&rt), -EINVAL);
	rt.state.isr = (struct kbr_id_set) { 2, { 2, 3 } };
	KUNIT_EXPECT_EQ(test, kbr_rep_apply(&rt), -EINVAL);
	rt.state.isr = (struct kbr_id_set) { 2, { 1, 1 } };
	KUNIT_EXPECT_EQ(test, kbr_rep_apply(&rt), -EINVAL);
	rt.state.isr = (struct kbr_id_set) { 1, { 1 } };
	rt.state.replicas.count = 0;
	KUNIT_EXPECT_EQ(test, kbr_rep_apply(&rt), -EINVAL);
	KUNIT_EXPECT_FALSE(test, kbr_replica_get(rt.part, &state, &role));
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), -EREMOTE);
	kbr_rep_end(&rt);
}

/* A replica that is here no more takes its log with it; one that comes gets a new one. */
static void kbr_replica_test_moved(struct kunit *test)
{
	struct kbr_rep_test rt;
	char value[16];

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), 0);
	rt.state.replicas = (struct kbr_id_set) { 2, { 2, 3 } };
	rt.state.isr = rt.state.replicas;
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	KUNIT_EXPECT_EQ(test, rt.part->state, KBR_PARTITION_REMOTE);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), -EREMOTE);
	KUNIT_EXPECT_EQ(test, kbr_test_read(rt.part, 0, value, sizeof(value)), -EREMOTE);
	rt.state.replicas = (struct kbr_id_set) { 3, { 2, 3, 1 } };
	KUNIT_ASSERT_EQ(test, kbr_rep_apply(&rt), 0);
	KUNIT_EXPECT_EQ(test, rt.part->state, KBR_PARTITION_FOLLOWER);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 0);
	kbr_rep_end(&rt);
}

/* What is told twice takes back neither what was asked for since, nor a resignation. */
static void kbr_replica_test_told_again(struct kunit *test)
{
	enum kbroker_replica_role role;
	struct kbr_replica_state state;
	struct kbr_rep_test rt;

	kbr_rep_begin(test, &rt, "min.insync.replicas", "2");
	rt.state.isr = (struct kbr_id_set) { 2, { 1, 2 } };
	KUNIT_ASSERT_EQ(test, kbr_rep_apply(&rt), 0);
	rt.part->replicas->wanted = rt.state.replicas;
	KUNIT_EXPECT_EQ(test, kbr_replica_apply(rt.part, &rt.state, &rt.why), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 0);
	kbr_rep_wait_synced(test, &rt, 1);
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 2, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_fetch(&rt, 3, 1, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 1);
	/* as a repair does */
	kbr_partition_quiesce(rt.part, KBR_PARTITION_FOLLOWER);
	kbr_replica_resign(rt.part);
	KUNIT_EXPECT_EQ(test, kbr_replica_apply(rt.part, &rt.state, &rt.why), 0);
	KUNIT_EXPECT_TRUE(test, kbr_replica_get(rt.part, &state, &role));
	KUNIT_EXPECT_EQ(test, role, KBROKER_REPLICA_ROLE_FOLLOWER);
	KUNIT_EXPECT_EQ(test, state.leader, -1);
	/* nor does what was decided before its resignation was heard of */
	KUNIT_EXPECT_EQ(test, kbr_rep_apply(&rt), 0);
	KUNIT_EXPECT_TRUE(test, kbr_replica_get(rt.part, &state, &role));
	KUNIT_EXPECT_EQ(test, role, KBROKER_REPLICA_ROLE_FOLLOWER);
	KUNIT_EXPECT_EQ(test, state.leader, -1);
	KUNIT_EXPECT_EQ(test, state.partition_epoch, rt.state.partition_epoch);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), -EREMOTE);
	/* newer: it leads again */
	KUNIT_EXPECT_EQ(test, kbr_rep_elect(&rt, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_LEADER, NULL), 1);
	kbr_rep_end(&rt);
}

/* A follower that was cut below its recovery point, and then loses power, is not damaged. */
static void kbr_replica_test_cut(struct kunit *test)
{
	struct kbr_replica_diverging diverging = { .epoch = 2, .end = 1 };
	struct kbr_rep_test rt;
	struct kbr_broker *broker;
	size_t len;
	s32 epoch;

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 1);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 2);
	kbr_rep_wait_synced(test, &rt, 3);
	broker = kbr_test_get(rt.tb);
	KUNIT_EXPECT_EQ(test, kbr_broker_write_checkpoints(broker), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_recovery_point(&rt.part->log), 3);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	epoch = rt.state.leader_epoch;
	KUNIT_EXPECT_EQ(test, kbr_replica_truncate(rt.part, epoch, &diverging), 0);
	len = kbr_rep_batch(&rt, 0, 1, 1, epoch);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, epoch, 1, 0), 0);
	kbr_syncer_flush(broker->env.syncer, &rt.part->log.sync);
	KUNIT_EXPECT_EQ(test, kbr_log_synced(&rt.part->log), 2);
	kbr_broker_put(broker);
	kbr_topic_put(rt.topic);
	kbr_test_crash(rt.tb, 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(rt.tb), 0);
	rt.topic = kbr_test_topic(rt.tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, rt.topic);
	rt.part = kbr_topic_partition(rt.topic, 0);
	KUNIT_EXPECT_EQ(test, rt.part->state, KBR_PARTITION_LEADER);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 2);
	kbr_rep_end(&rt);
}

/* Below the leader's log start nobody knows what differs: a log that would end there begins anew. */
static void kbr_replica_test_cut_deleted(struct kunit *test)
{
	struct kbr_replica_diverging diverging = { .epoch = 2, .end = 2, .start = 2 };
	struct kbr_rep_test rt;
	size_t len;
	s32 epoch;

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 1);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 2);
	kbr_rep_wait_synced(test, &rt, 3);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	epoch = rt.state.leader_epoch;
	KUNIT_EXPECT_EQ(test, kbr_replica_truncate(rt.part, epoch, &diverging), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&rt.part->log), 2);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 2);
	/* deleted is what was committed */
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 2);
	/* those offsets are not given away again, whatever a loss of power leaves of its files */
	kbr_rep_crash(test, &rt);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&rt.part->log), 2);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 2);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	epoch = rt.state.leader_epoch;
	/* the leader's first batch may begin before */
	len = kbr_rep_batch(&rt, 0, 1, 3, epoch);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, epoch, 4, 2), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 4);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&rt.part->log), 2);
	kbr_rep_end(&rt);
}

/* A leader whose log begins where a follower's ends can't tell whether that is its own. */
static void kbr_replica_test_unknown(struct kunit *test)
{
	struct kbr_replica_diverging diverging;
	struct kbr_replica_fetch fetch;
	struct kbr_rep_test rt;
	size_t len;

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 1);
	kbr_rep_wait_synced(test, &rt, 2);
	KUNIT_ASSERT_EQ(test, kbr_log_set_start(&rt.part->log, 1), 0);
	fetch = (struct kbr_replica_fetch) {
		.id = 2,
		.broker_epoch = 12,
		.leader_epoch = rt.state.leader_epoch,
		.last_epoch = rt.state.leader_epoch,
		.offset = 1,
		.synced = 1,
	};
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(rt.part, &fetch, 1000, &diverging), 0);
	fetch.last_epoch--;
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(rt.part, &fetch, 1000, &diverging), 1);
	KUNIT_EXPECT_EQ(test, diverging.end, 1);
	/* a log that ends there and has nothing */
	fetch.last_epoch = -1;
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(rt.part, &fetch, 1000, &diverging), 0);
	/* it does as the follower that is told so */
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	diverging = (struct kbr_replica_diverging) { .epoch = fetch.leader_epoch, .end = 2, .start = 2 };
	KUNIT_EXPECT_EQ(test, kbr_replica_truncate(rt.part, rt.state.leader_epoch, &diverging), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&rt.part->log), 2);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 2);
	KUNIT_EXPECT_EQ(test, kbr_log_last_epoch(&rt.part->log), -1);
	/* what it copies then may be older than what it had */
	len = kbr_rep_batch(&rt, 0, 2, 1, fetch.leader_epoch - 1);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, rt.state.leader_epoch, 3, 2), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_last_epoch(&rt.part->log), fetch.leader_epoch - 1);
	kbr_rep_end(&rt);
}

/* A cut that fails is repaired, and the follower goes on. */
static void kbr_replica_test_cut_fails(struct kunit *test)
{
	struct kbr_replica_diverging diverging = { .epoch = 2, .end = 1 };
	struct kbr_rep_test rt;
	size_t len;
	s32 epoch;

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, NULL), 1);
	kbr_rep_wait_synced(test, &rt, 2);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	epoch = rt.state.leader_epoch;
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(rt.tb->dir, KBR_RAM_TRUNCATE, 0, 1, -EIO, "t-0/"));
	KUNIT_EXPECT_EQ(test, kbr_replica_truncate(rt.part, epoch, &diverging), -EIO);
	kbr_syncer_flush(rt.part->log.env->syncer, &rt.part->log.sync);
	flush_work(&rt.part->repair);
	KUNIT_EXPECT_EQ(test, rt.part->state, KBR_PARTITION_FOLLOWER);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 1);
	len = kbr_rep_batch(&rt, 0, 1, 1, epoch);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, epoch, 1, 0), 0);
	kbr_rep_end(&rt);
}

static void kbr_rep_expect_lost(struct kunit *test, struct kbr_rep_test *rt, s64 end)
{
	KUNIT_EXPECT_EQ(test, READ_ONCE(rt->part->state), KBR_PARTITION_FAILED);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt->part->log), end);
}

/* A lost log is dropped once nobody counts it, in a leader epoch that began after that. */
static void kbr_replica_test_lost(struct kunit *test)
{
	struct kbr_replica_position position;
	struct kbr_rep_test rt;
	size_t len;

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	len = kbr_rep_batch(&rt, 0, 0, 5, rt.state.leader_epoch);
	KUNIT_ASSERT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, rt.state.leader_epoch, 5, 0), 0);
	KUNIT_ASSERT_EQ(test, kbr_log_sync_now(&rt.part->log), 0);
	KUNIT_ASSERT_EQ(test, kbr_broker_write_checkpoints(rt.topic->broker), 0);
	kbr_partition_fail(rt.part, -EBADMSG, 2);
	kbr_replica_give_up(rt.part);
	KUNIT_EXPECT_EQ(test, kbr_replica_get_position(rt.part, &position), -EIO);

	/* In sync still, in whatever epoch; then not, but the leader may know it from before. */
	KUNIT_EXPECT_EQ(test, kbr_rep_elect(&rt, 3), 0);
	kbr_rep_expect_lost(test, &rt, 5);
	rt.part->replicas->lost = rt.state.leader_epoch;
	rt.state.isr = (struct kbr_id_set) { 2, { 2, 3 } };
	KUNIT_EXPECT_EQ(test, kbr_rep_apply(&rt), 0);
	kbr_rep_expect_lost(test, &rt, 5);
	/* Eligible; nobody to copy from. */
	rt.state.elr = (struct kbr_id_set) { 1, { 1 } };
	KUNIT_EXPECT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	kbr_rep_expect_lost(test, &rt, 5);
	rt.state.elr.count = 0;
	KUNIT_EXPECT_EQ(test, kbr_rep_elect(&rt, -1), 0);
	kbr_rep_expect_lost(test, &rt, 5);

	KUNIT_EXPECT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(rt.part->state), KBR_PARTITION_FOLLOWER);
	KUNIT_EXPECT_EQ(test, rt.part->error, 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 0);
	KUNIT_ASSERT_EQ(test, kbr_replica_get_position(rt.part, &position), 0);
	KUNIT_EXPECT_EQ(test, position.end, 0);
	KUNIT_EXPECT_EQ(test, position.last_epoch, -1);
	KUNIT_EXPECT_EQ(test, rt.part->replicas->lost, -1);
	/* what the disk promised of the log that is gone is not asked of the new one */
	kbr_rep_crash(test, &rt);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&rt.part->log), 0);
	KUNIT_EXPECT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	len = kbr_rep_batch(&rt, 0, 0, 5, rt.state.leader_epoch);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, rt.state.leader_epoch, 5, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 5);
	kbr_rep_end(&rt);
}

/* Who waits at a leader whose log is lost takes no other log's record for its own. */
static void kbr_replica_test_lost_leader(struct kunit *test)
{
	struct kbr_rep_test rt;
	u32 failures;
	size_t len;

	kbr_rep_begin(test, &rt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_rep_apply(&rt), 0);
	KUNIT_ASSERT_EQ(test, kbr_rep_produce(&rt, KBR_ACKS_ALL, &failures), 0);
	kbr_rep_wait_synced(test, &rt, 1);
	kbr_partition_fail(rt.part, -EBADMSG, 0);
	kbr_replica_give_up(rt.part);
	KUNIT_EXPECT_LT(test, kbr_partition_acked(rt.part, 0, failures), 0);
	rt.state.isr = (struct kbr_id_set) { 2, { 2, 3 } };
	KUNIT_ASSERT_EQ(test, kbr_rep_elect(&rt, 2), 0);
	KUNIT_EXPECT_EQ(test, READ_ONCE(rt.part->state), KBR_PARTITION_FOLLOWER);
	len = kbr_rep_batch(&rt, 0, 0, 3, rt.state.leader_epoch);
	KUNIT_EXPECT_EQ(test, kbr_replica_append(rt.part, rt.buf, len, rt.state.leader_epoch, 3, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(rt.part), 3);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(rt.part, 0, failures), -EIO);
	kbr_rep_end(&rt);
}

static struct kunit_case kbr_replica_cases[] = {
	KUNIT_CASE(kbr_replica_test_watermark),
	KUNIT_CASE(kbr_replica_test_min_isr),
	KUNIT_CASE(kbr_replica_test_deposed),
	KUNIT_CASE(kbr_replica_test_follow),
	KUNIT_CASE(kbr_replica_test_diverging),
	KUNIT_CASE(kbr_replica_test_refused),
	KUNIT_CASE(kbr_replica_test_moved),
	KUNIT_CASE(kbr_replica_test_told_again),
	KUNIT_CASE(kbr_replica_test_cut),
	KUNIT_CASE(kbr_replica_test_cut_deleted),
	KUNIT_CASE(kbr_replica_test_unknown),
	KUNIT_CASE(kbr_replica_test_cut_fails),
	KUNIT_CASE(kbr_replica_test_lost),
	KUNIT_CASE(kbr_replica_test_lost_leader),
	{}
};

static struct kunit_suite kbr_replica_suite = {
	.name = "kbroker_replica",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_replica_cases,
};
kunit_test_suite(kbr_replica_suite);
