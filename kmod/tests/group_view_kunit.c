// SPDX-License-Identifier: GPL-2.0-only
/*
 * Views of groups: all is on some page once, in order, however many pages there
 * are, and whatever is deleted between two of them; and what another broker tells
 * is believed only if it makes sense.
 */
#include <kunit/test.h>
#include <linux/slab.h>

#include "broker/call.h"
#include "broker/group_view.h"
#include "codec/proto.h"
#include "group_test.h"

/* More than one page holds */
#define KBR_GV_GROUPS	800
/* Deleted between two pages */
#define KBR_GV_DELETED	10
#define KBR_GV_PEER	2
/* More than one entry has, and more than one page */
#define KBR_GV_SHARE	20000

/**
 * struct kbr_gv_walk - all pages of a view, and the entry at hand
 * @broker: whose
 * @from: where it begins
 * @page: the page
 * @pages: how many there were
 * @done: no more
 */
struct kbr_gv_walk {
	struct kbr_broker *broker;
	struct kbr_group_place from;
	struct kbr_group_page page;
	unsigned int pages;
	bool done;
};

static void kbr_gv_begin(struct kbr_gv_walk *walk, struct kbr_broker *broker, u8 kind,
			 const char *group)
{
	*walk = (struct kbr_gv_walk) {
		.broker = broker,
		.from = { .kind = kind, .one = group, .group = kbr_gt_str(group), .topic.at = "",
			  .partition = -1 },
	};
}

/* Is there another entry? Then it is at walk->page.r. */
static bool kbr_gv_next(struct kunit *test, struct kbr_gv_walk *walk)
{
	const struct kbr_group_place *from = walk->pages ? &walk->page.next : &walk->from;
	struct kbr_refusal why;

	while (!walk->done && !walk->page.left) {
		walk->done = walk->pages && !walk->page.more;
		if (walk->done)
			break;
		from = walk->pages ? &walk->page.next : &walk->from;
		KUNIT_ASSERT_EQ(test, kbr_group_page_get(walk->broker, -1, from, &walk->page, &why), 0);
		KUNIT_EXPECT_EQ(test, walk->page.owner, -1);
		walk->pages++;
	}
	if (walk->done)
		kbr_group_page_free(&walk->page);
	else
		walk->page.left--;
	return !walk->done;
}

/* Offset 0 of a partition of t, made with its group; kbr_gv_committed() waits for it. */
static void kbr_gv_commit(struct kunit *test, struct kbr_broker *broker, const char *name,
			  s32 partition, struct kbr_group_wait *wait)
{
	const struct kbr_group_id nobody = { .generation = -1, .member_id.at = "",
					     .instance_id.len = -1 };
	struct kbr_group_offset offset = { .topic = kbr_gt_str("t"), .partition = partition,
					   .offset = 0, .leader_epoch = -1, .metadata.at = "",
					   .expire_ms = -1 };
	struct kbr_str text = kbr_gt_str(name);
	struct kbr_group *group;
	s16 code;

	group = kbr_group_find(broker, &text, true, &code);
	KUNIT_ASSERT_NOT_NULL(test, group);
	kbr_group_commit(group, &nobody, &offset, 1, 0, wait);
	KUNIT_ASSERT_EQ(test, offset.code, 0);
	kbr_group_put(group);
}

static void kbr_gv_committed(struct kunit *test, struct kbr_group_wait *wait)
{
	struct kbr_group_offset offset = {};

	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_group_commit_again(wait, &offset, 1)));
	KUNIT_ASSERT_EQ(test, offset.code, 0);
	kbr_group_wait_drop(wait);
}

static void kbr_gv_delete(struct kunit *test, struct kbr_broker *broker, const char *name)
{
	struct kbr_str text = kbr_gt_str(name);
	struct kbr_group_wait wait = {};
	struct kbr_group *group;
	s16 code;

	group = kbr_group_find(broker, &text, false, &code);
	KUNIT_ASSERT_NOT_NULL(test, group);
	if (!kbr_group_delete(group, 0, &wait, &code))
		KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_group_delete_again(&wait, &code)));
	KUNIT_ASSERT_EQ(test, code, 0);
	kbr_group_wait_drop(&wait);
	kbr_group_put(group);
}

static void kbr_gv_test_groups(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_group_offset_told offset;
	struct kbr_group_told told;
	struct kbr_gv_walk walk;
	struct kbr_group_wait *waits;
	unsigned int i, seen, end;
	char name[24];

	waits = kunit_kcalloc(test, KBR_GV_GROUPS, sizeof(*waits), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, waits);
	for (i = 0; i < KBR_GV_GROUPS; i++) {
		snprintf(name, sizeof(name), "v%06u", i);
		kbr_gv_commit(test, gt->broker, name, i % 8, &waits[i]);
	}
	for (i = 0; i < KBR_GV_GROUPS; i++)
		kbr_gv_committed(test, &waits[i]);
	kbr_gv_begin(&walk, gt->broker, KBR_GROUP_VIEW_GROUPS, NULL);
	for (i = 0, seen = 0; kbr_gv_next(test, &walk); i++) {
		kbr_group_get_told(&walk.page.r, &told);
		if (kbr_str_equal(&told.name, "g"))
			continue;
		snprintf(name, sizeof(name), "v%06u", seen++);
		KUNIT_ASSERT_TRUE(test, kbr_str_equal(&told.name, name));
		KUNIT_EXPECT_EQ(test, told.offsets, 1);
		KUNIT_EXPECT_EQ(test, told.state, KBR_GROUP_EMPTY);
	}
	KUNIT_EXPECT_EQ(test, seen, KBR_GV_GROUPS);
	KUNIT_EXPECT_GT(test, walk.pages, 1);

	/* what was deleted since, ahead and where it stands, is not there; all else is */
	kbr_gv_begin(&walk, gt->broker, KBR_GROUP_VIEW_OFFSETS, NULL);
	for (i = 0; i < KBR_GV_GROUPS && kbr_gv_next(test, &walk); i++) {
		kbr_group_get_offset(&walk.page.r, &offset);
		snprintf(name, sizeof(name), "v%06u", i);
		KUNIT_ASSERT_TRUE(test, kbr_str_equal(&offset.group, name));
		KUNIT_EXPECT_EQ(test, offset.partition, i % 8);
		KUNIT_EXPECT_TRUE(test, offset.placed);
		if (walk.pages > 1 || walk.page.left)
			continue;
		kbr_gv_delete(test, gt->broker, name);
		for (end = i + KBR_GV_DELETED; i < end; i++) {
			snprintf(name, sizeof(name), "v%06u", i + 1);
			kbr_gv_delete(test, gt->broker, name);
		}
	}
	KUNIT_EXPECT_EQ(test, i, KBR_GV_GROUPS);
	KUNIT_EXPECT_FALSE(test, kbr_gv_next(test, &walk));
	kbr_gt_end(gt);
}

/* A share that fits in no page comes in parts, and the next member follows it. */
static void kbr_gv_test_members(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gt_member m = { .gt = gt };
	struct kbr_group_assignment share;
	struct kbr_group_member_told told;
	struct kbr_gv_walk walk;
	char *text, *got;
	size_t len = 0;
	s32 i;

	text = kunit_kzalloc(test, 2 * KBR_GV_SHARE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, text);
	got = text + KBR_GV_SHARE;
	for (i = 0; i < KBR_GV_SHARE; i++)
		text[i] = i % 251;
	if (!kbr_gt_join(&m, false)) {
		kbr_gt_pass(gt, KBR_GT_DELAY_MS);
		KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&m));
	}
	share = (struct kbr_group_assignment) {
		.member_id = kbr_gt_str(m.id), .assignment = { text, KBR_GV_SHARE },
	};
	KUNIT_ASSERT_TRUE(test, kbr_gt_sync(&m, &share, 1) || kbr_gt_synced(&m));
	kbr_gv_begin(&walk, gt->broker, KBR_GROUP_VIEW_MEMBERS, "g");
	while (kbr_gv_next(test, &walk)) {
		kbr_group_get_member(&walk.page.r, &told);
		KUNIT_EXPECT_TRUE(test, kbr_str_equal(&told.id, m.id));
		KUNIT_EXPECT_FALSE(test, told.device);
		KUNIT_ASSERT_LE(test, len + told.assignment.len, KBR_GV_SHARE);
		memcpy(got + len, told.assignment.at, told.assignment.len);
		len += told.assignment.len;
	}
	KUNIT_EXPECT_EQ(test, len, KBR_GV_SHARE);
	KUNIT_EXPECT_MEMEQ(test, got, text, KBR_GV_SHARE);
	kbr_gt_leave(&m);
	kbr_gt_end(gt);
}

static void kbr_gv_test_none(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_group_page page = {};
	struct kbr_group_place from = { .kind = KBR_GROUP_VIEW_OFFSETS, .one = true,
					.group = kbr_gt_str("nobody"), .topic.at = "",
					.partition = -1 };
	struct kbr_refusal why;

	KUNIT_EXPECT_EQ(test, kbr_group_page_get(gt->broker, -1, &from, &page, &why), -ENOENT);
	KUNIT_EXPECT_STREQ(test, why.text, "there is no such group");
	KUNIT_EXPECT_EQ(test, kbr_group_next_coordinator(gt->broker, -1), -1);
	kbr_gt_end(gt);
}

/* ---- another broker ---- */

/**
 * struct kbr_gv_asker - somebody who asks another broker for a page
 * @work: it
 * @broker: where
 * @page: what it gets
 * @why: or why not
 * @err: what it was told
 */
struct kbr_gv_asker {
	struct work_struct work;
	struct kbr_broker *broker;
	struct kbr_group_page page;
	struct kbr_refusal why;
	int err;
};

static void kbr_gv_ask_work(struct work_struct *work)
{
	struct kbr_gv_asker *asker = container_of(work, struct kbr_gv_asker, work);
	struct kbr_group_place from = { .kind = KBR_GROUP_VIEW_GROUPS, .group.len = -1,
					.topic.at = "", .partition = -1 };

	asker->err = kbr_group_page_get(asker->broker, KBR_GV_PEER, &from, &asker->page,
					&asker->why);
}

/* What comes of an answer with @code and the page in @w, and @cut bytes less */
static int kbr_gv_answer(struct kunit *test, struct kbr_gv_asker *asker, s16 code,
			 const struct kbr_wire_writer *w, size_t cut)
{
	struct kbr_wire_writer answer;
	struct kbr_wire_reader r;
	struct kbr_call *call = NULL;

	INIT_WORK(&asker->work, kbr_gv_ask_work);
	queue_work(system_unbound_wq, &asker->work);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until((call = kbr_call_next(asker->broker, KBR_GV_PEER))));
	KUNIT_EXPECT_EQ(test, call->key, KBR_API_GROUP_VIEW);
	kbr_wire_reader_init(&r, call->body.buf, call->body.len, false);
	KUNIT_EXPECT_EQ(test, kbr_group_place_check(&r), 0);
	kbr_wire_writer_init(&answer, KBR_GROUP_PAGE_MAX, false);
	kbr_put_s16(&answer, code);
	kbr_put_bytes(&answer, w->len ? w->buf : (u8 *)"", w->len);
	kbr_call_end(asker->broker, call, 0, answer.buf, answer.len - cut);
	flush_work(&asker->work);
	kbr_wire_writer_free(&answer);
	return asker->err;
}

static void kbr_gv_test_far(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_group_place from = { .kind = KBR_GROUP_VIEW_GROUPS, .group.len = -1,
					.topic.at = "", .partition = -1 };
	struct kbr_gv_asker *asker = kunit_kzalloc(test, sizeof(*asker), GFP_KERNEL);
	struct kbr_wire_writer w, none;
	struct kbr_group_told told;
	struct kbr_group_wait wait = {};

	KUNIT_ASSERT_NOT_NULL(test, asker);
	asker->broker = gt->broker;
	kbr_wire_writer_init(&w, KBR_GROUP_PAGE_MAX, false);
	kbr_wire_writer_init(&none, KBR_GROUP_PAGE_MAX, false);
	kbr_gv_commit(test, gt->broker, "far", 0, &wait);
	kbr_gv_committed(test, &wait);
	KUNIT_ASSERT_EQ(test, kbr_group_view(gt->broker, &from, &w), 0);

	KUNIT_ASSERT_EQ(test, kbr_gv_answer(test, asker, 0, &w, 0), 0);
	KUNIT_EXPECT_FALSE(test, asker->page.more);
	KUNIT_ASSERT_GE(test, asker->page.left, 1);
	kbr_group_get_told(&asker->page.r, &told);
	KUNIT_EXPECT_TRUE(test, kbr_str_equal(&told.name, "far"));
	kbr_group_page_free(&asker->page);

	KUNIT_EXPECT_EQ(test, kbr_gv_answer(test, asker, 0, &w, 1), -EPROTO);
	KUNIT_EXPECT_EQ(test, kbr_gv_answer(test, asker, 0, &none, 0), -EPROTO);
	/* a page of another kind */
	w.buf[1] = KBR_GROUP_VIEW_MEMBERS;
	KUNIT_EXPECT_EQ(test, kbr_gv_answer(test, asker, 0, &w, 0), -EPROTO);
	KUNIT_EXPECT_STREQ(test, asker->why.text, "what broker 2 tells of groups makes no sense");
	kbr_group_page_free(&asker->page);
	KUNIT_EXPECT_EQ(test, kbr_gv_answer(test, asker, KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS, &none, 0),
			-EAGAIN);
	KUNIT_EXPECT_EQ(test, kbr_gv_answer(test, asker, KBR_KAFKA_NOT_COORDINATOR, &none, 0), -EAGAIN);
	KUNIT_EXPECT_EQ(test, kbr_gv_answer(test, asker, KBR_KAFKA_GROUP_ID_NOT_FOUND, &none, 0), -ENOENT);
	KUNIT_EXPECT_EQ(test, kbr_gv_answer(test, asker, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE, &none, 0),
			-EAGAIN);
	KUNIT_EXPECT_EQ(test, kbr_gv_answer(test, asker, KBR_KAFKA_CLUSTER_AUTHORIZATION, &none, 0), -EIO);
	kbr_group_page_free(&asker->page);
	kbr_wire_writer_free(&w);
	kbr_gt_end(gt);
}

static struct kunit_case kbr_gv_cases[] = {
	KUNIT_CASE(kbr_gv_test_groups),
	KUNIT_CASE(kbr_gv_test_members),
	KUNIT_CASE(kbr_gv_test_none),
	KUNIT_CASE(kbr_gv_test_far),
	{}
};

static struct kunit_suite kbr_gv_suite = {
	.name = "kbroker_group_view",
	.exit = kbr_gt_exit,
	.test_cases = kbr_gv_cases,
};
kunit_test_suite(kbr_gv_suite);
