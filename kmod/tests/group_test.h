/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of the group coordinator share: a broker over a RAM disk with
 * group "g" and topic "t" of eight partitions, a fake clock, and clients of the
 * classic protocol.
 */
#ifndef _KBR_TESTS_GROUP_TEST_H
#define _KBR_TESTS_GROUP_TEST_H

#include <linux/delay.h>

#include "broker/group_internal.h"
#include "broker_test.h"

#define KBR_GT_SESSION_MS	10000
#define KBR_GT_REBALANCE_MS	60000
#define KBR_GT_DELAY_MS		3000
#define KBR_GT_ID_MAX		80

/* Poll until @cond holds; false: it did not within the patience */
#define kbr_gt_until(cond) ({						\
	unsigned int _tries = 0;					\
	bool _ok;							\
									\
	while (!(_ok = (cond)) && _tries++ < KBR_TEST_PATIENCE_MS * 5)	\
		usleep_range(100, 200);					\
	_ok;								\
})

/**
 * struct kbr_group_test - the fixture
 * @tb: the broker's
 * @broker: a reference while it runs, NULL
 * @group: group "g", a reference, NULL
 * @now: what the clocks say, ms
 */
struct kbr_group_test {
	struct kbr_test_broker *tb;
	struct kbr_broker *broker;
	struct kbr_group *group;
	s64 now;
};

/* One member as its client knows it */
struct kbr_gt_member {
	struct kbr_group_test *gt;
	struct kbr_group_wait wait;
	char id[KBR_GT_ID_MAX];
	char leader[KBR_GT_ID_MAX];
	char protocol[16];
	char assignment[16];
	const char *instance;
	const char *speaks;
	s32 generation;
	s16 code;
	bool lead;
	unsigned int members;
};

struct kbr_str kbr_gt_str(const char *text);
/** kbr_gt_begin() - start it; @delay: group.initial.rebalance.delay.ms */
struct kbr_group_test *kbr_gt_begin(struct kunit *test, const char *delay);
void kbr_gt_end(struct kbr_group_test *gt);
/** kbr_gt_exit() - a suite's exit(): what a failed assertion left is let go of */
void kbr_gt_exit(struct kunit *test);
/** kbr_gt_restart() - stop, or lose power, and start again */
void kbr_gt_restart(struct kbr_group_test *gt, bool crash);
/** kbr_gt_close() - let the broker go; kbr_gt_open() - take it again, once groups are loaded */
void kbr_gt_close(struct kbr_group_test *gt);
void kbr_gt_open(struct kbr_group_test *gt);
/** kbr_gt_pass() - so much later */
void kbr_gt_pass(struct kbr_group_test *gt, s64 ms);
enum kbr_group_state kbr_gt_state(struct kbr_group_test *gt);

/* Requests of a client; true: it was answered, and @m has the answer */
bool kbr_gt_join(struct kbr_gt_member *m, bool id_first);
bool kbr_gt_joined(struct kbr_gt_member *m);
/** kbr_gt_rejoin() - a join that nobody else holds up: answered at once, or at the first look */
bool kbr_gt_rejoin(struct kbr_gt_member *m);
bool kbr_gt_sync(struct kbr_gt_member *m, const struct kbr_group_assignment *shares,
		 unsigned int count);
/** kbr_gt_sync_again() - is it answered now? kbr_gt_synced() waits: the disk has a part in it */
bool kbr_gt_sync_again(struct kbr_gt_member *m);
bool kbr_gt_synced(struct kbr_gt_member *m);
struct kbr_group_id kbr_gt_id(struct kbr_gt_member *m);
s16 kbr_gt_beat(struct kbr_gt_member *m);
s16 kbr_gt_leave(struct kbr_gt_member *m);
/** kbr_gt_stable() - a group of one that is stable */
void kbr_gt_stable(struct kunit *test, struct kbr_gt_member *m);

/** kbr_gt_commit() - commit @offset and wait; @m NULL: nobody; Kafka's error */
s16 kbr_gt_commit(struct kbr_group_test *gt, struct kbr_gt_member *m, const char *topic,
		  s32 partition, s64 offset);
/** kbr_gt_committed() - what is committed for a partition of "t", -1 nothing */
s64 kbr_gt_committed(struct kbr_group_test *gt, s32 partition);
/** kbr_gt_delete() - delete the group and wait; Kafka's error */
s16 kbr_gt_delete(struct kbr_group_test *gt);
/** kbr_gt_log() - its partition of __consumer_offsets; valid while the broker runs */
struct kbr_partition *kbr_gt_log(struct kbr_group_test *gt);

#endif /* _KBR_TESTS_GROUP_TEST_H */
