// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests to consumer groups: their bytes in every version, which of them
 * wait and for what, what becomes of those whose client goes away, and how much
 * one request may ask for. What the answers mean is the suites' of the
 * coordinator.
 */
#include <kunit/test.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "broker/group_internal.h"
#include "server_test.h"

/* A fixture whose rebalances begin at once, with a topic */
static struct kbr_test_server *kbr_gapi_begin(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_test_server_begin(test);

	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&ts->tb->configs,
						 "group.initial.rebalance.delay.ms", "0"), 0);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&ts->tb->configs, "offsets.topic.num.partitions",
						 "2"), 0);
	kbr_test_server_restart(ts);
	KUNIT_ASSERT_EQ(test, kbr_test_create(ts->tb, "t", 3, NULL, NULL), 0);
	return ts;
}

static void kbr_gapi_skip_throttle(struct kbr_test_request *tr, s16 since)
{
	if (tr->req.header.version >= since)
		KUNIT_EXPECT_EQ(tr->ts->test, kbr_get_s32(&tr->reply), 0);
}

static void kbr_gapi_expect_end(struct kbr_test_request *tr)
{
	kbr_get_tags(&tr->reply);
	KUNIT_EXPECT_FALSE(tr->ts->test, tr->reply.bad);
	KUNIT_EXPECT_EQ(tr->ts->test, kbr_wire_reader_left(&tr->reply), 0UL);
	kbr_test_release(tr);
}

/* ---- members ---- */

/** struct kbr_gapi_joined - the answer to a JoinGroup */
struct kbr_gapi_joined {
	s16 error;
	s32 generation;
	s32 members;
	char id[80];
	char leader[80];
};

static struct kbr_test_request *kbr_gapi_join_request(struct kbr_test_server *ts, s16 version,
						      const char *group, const char *member,
						      const char *instance, s32 protocols)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_JOIN_GROUP, version);

	kbr_put_string(&tr->body, group);
	kbr_put_s32(&tr->body, 30000);
	if (version >= 1)
		kbr_put_s32(&tr->body, 60000);
	kbr_put_string(&tr->body, member);
	if (version >= 5)
		kbr_put_string(&tr->body, instance);
	kbr_put_string(&tr->body, "consumer");
	kbr_put_count(&tr->body, protocols);
	while (protocols--) {
		kbr_put_string(&tr->body, "range");
		kbr_put_bytes(&tr->body, "meta", 4);
	}
	return tr;
}

static void kbr_gapi_join_read(struct kbr_test_request *tr, struct kbr_gapi_joined *got)
{
	struct kbr_wire_reader *r = &tr->reply;
	struct kunit *test = tr->ts->test;
	s16 version = tr->req.header.version;
	struct kbr_str text;
	s32 i;

	kbr_gapi_skip_throttle(tr, 2);
	got->error = kbr_get_s16(r);
	got->generation = kbr_get_s32(r);
	kbr_get_string(r);
	text = kbr_get_string(r);
	KUNIT_EXPECT_EQ(test, kbr_str_copy(&text, got->leader, sizeof(got->leader)), 0);
	text = kbr_get_string(r);
	KUNIT_EXPECT_EQ(test, kbr_str_copy(&text, got->id, sizeof(got->id)), 0);
	got->members = kbr_get_count(r);
	for (i = 0; i < got->members; i++) {
		kbr_get_string(r);
		if (version >= 5)
			kbr_get_nullable_string(r);
		text = kbr_get_bytes(r);
		KUNIT_EXPECT_TRUE(test, kbr_str_equal(&text, "meta"));
	}
	kbr_gapi_expect_end(tr);
}

static void kbr_gapi_join(struct kbr_test_server *ts, s16 version, const char *group,
			  const char *member, struct kbr_gapi_joined *got)
{
	struct kbr_test_request *tr;

	tr = kbr_gapi_join_request(ts, version, group, member, NULL, 1);
	kbr_test_ask(tr);
	kbr_gapi_join_read(tr, got);
}

static struct kbr_test_request *kbr_gapi_member_request(struct kbr_test_server *ts, s16 key,
							s16 version, const char *group,
							s32 generation, const char *member)
{
	struct kbr_test_request *tr = kbr_test_request(ts, key, version);

	kbr_put_string(&tr->body, group);
	kbr_put_s32(&tr->body, generation);
	kbr_put_string(&tr->body, member);
	if (version >= (key == KBR_API_OFFSET_COMMIT ? 7 : 3))
		kbr_put_string(&tr->body, NULL);
	return tr;
}

static struct kbr_test_request *kbr_gapi_sync_request(struct kbr_test_server *ts, s16 version,
						      const char *group, s32 generation,
						      const char *member, const char *share)
{
	struct kbr_test_request *tr;

	tr = kbr_gapi_member_request(ts, KBR_API_SYNC_GROUP, version, group, generation, member);
	kbr_put_count(&tr->body, share ? 1 : 0);
	if (share) {
		kbr_put_string(&tr->body, member);
		kbr_put_bytes(&tr->body, share, strlen(share));
	}
	return tr;
}

static void kbr_gapi_sync_expect(struct kbr_test_request *tr, s16 error, const char *share)
{
	struct kunit *test = tr->ts->test;
	struct kbr_str got;

	kbr_gapi_skip_throttle(tr, 1);
	KUNIT_EXPECT_EQ(test, kbr_get_s16(&tr->reply), error);
	got = kbr_get_bytes(&tr->reply);
	KUNIT_EXPECT_TRUE_MSG(test, kbr_str_equal(&got, share), "not %s", share);
	kbr_gapi_expect_end(tr);
}

static s16 kbr_gapi_heartbeat(struct kbr_test_server *ts, s16 version, const char *group,
			      s32 generation, const char *member)
{
	struct kbr_test_request *tr;
	s16 error;

	tr = kbr_gapi_member_request(ts, KBR_API_HEARTBEAT, version, group, generation, member);
	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 1);
	error = kbr_get_s16(&tr->reply);
	kbr_gapi_expect_end(tr);
	return error;
}

static s16 kbr_gapi_leave(struct kbr_test_server *ts, s16 version, const char *group,
			  const char *member)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_LEAVE_GROUP, version);
	struct kunit *test = ts->test;
	struct kbr_str id;
	s16 error;

	kbr_put_string(&tr->body, group);
	if (version >= 3)
		kbr_put_count(&tr->body, 1);
	kbr_put_string(&tr->body, member);
	if (version >= 3)
		kbr_put_string(&tr->body, NULL);
	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 1);
	error = kbr_get_s16(&tr->reply);
	if (version >= 3 && !error) {
		KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), 1);
		id = kbr_get_string(&tr->reply);
		KUNIT_EXPECT_TRUE(test, kbr_str_equal(&id, member));
		KUNIT_EXPECT_EQ(test, kbr_get_nullable_string(&tr->reply).len, -1);
		error = kbr_get_s16(&tr->reply);
	} else if (version >= 3) {
		KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), 0);
	}
	kbr_gapi_expect_end(tr);
	return error;
}

/* A member's life, in every version */
static void kbr_gapi_test_life(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct kbr_gapi_joined got, first;
	struct kbr_test_request *tr;
	s16 version, v;
	char group[8];

	for (version = 0; version <= 5; version++) {
		v = min_t(s16, version, 3);
		snprintf(group, sizeof(group), "g%d", version);
		kbr_gapi_join(ts, version, group, "", &got);
		KUNIT_EXPECT_EQ(test, got.error, version >= 4 ? 79 : 0);
		if (version >= 4) {
			first = got;
			KUNIT_EXPECT_EQ(test, got.generation, -1);
			kbr_gapi_join(ts, version, group, first.id, &got);
			KUNIT_EXPECT_EQ(test, got.error, 0);
			KUNIT_EXPECT_STREQ(test, got.id, first.id);
		}
		KUNIT_EXPECT_EQ(test, got.generation, 1);
		KUNIT_EXPECT_EQ(test, got.members, 1);
		KUNIT_EXPECT_STREQ(test, got.leader, got.id);
		tr = kbr_gapi_sync_request(ts, v, group, 1, got.id, "share");
		kbr_test_ask(tr);
		kbr_gapi_sync_expect(tr, 0, "share");
		KUNIT_EXPECT_EQ(test, kbr_gapi_heartbeat(ts, v, group, 1, got.id), 0);
		KUNIT_EXPECT_EQ(test, kbr_gapi_heartbeat(ts, v, group, 2, got.id), 22);
		KUNIT_EXPECT_EQ(test, kbr_gapi_leave(ts, v, group, got.id), 0);
		KUNIT_EXPECT_EQ(test, kbr_gapi_leave(ts, v, group, got.id), 25);
		KUNIT_EXPECT_EQ(test, kbr_gapi_heartbeat(ts, v, "nowhere", 1, got.id), 25);
		KUNIT_EXPECT_EQ(test, kbr_gapi_leave(ts, v, "nowhere", got.id), 25);
		KUNIT_EXPECT_EQ(test, kbr_gapi_leave(ts, v, "", got.id), 24);
		kbr_gapi_join(ts, version, "nowhere", "nobody", &got);
		KUNIT_EXPECT_EQ(test, got.error, 25);
		tr = kbr_gapi_sync_request(ts, v, "nowhere", 1, "nobody", NULL);
		kbr_test_ask(tr);
		kbr_gapi_sync_expect(tr, 25, "");
	}
	kbr_test_server_end(ts);
}

/* A second member waits for the first, which may come as late as it likes. */
static void kbr_gapi_test_waits(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct kbr_test_request *second, *sync;
	struct kbr_gapi_joined one, two;

	kbr_gapi_join(ts, 3, "g", "", &one);
	second = kbr_gapi_join_request(ts, 3, "g", "", NULL, 1);
	KUNIT_ASSERT_EQ(test, kbr_test_send(second), KBR_REQUEST_PARKED);
	/* its group holds what it needs of it, and later requests wait */
	KUNIT_EXPECT_NULL(test, second->req.frame);
	KUNIT_EXPECT_FALSE(test, second->req.settled);
	KUNIT_EXPECT_EQ(test, kbr_gapi_heartbeat(ts, 3, "g", 1, one.id), 27);
	kbr_gapi_join(ts, 3, "g", one.id, &one);
	KUNIT_EXPECT_EQ(test, one.generation, 2);
	KUNIT_EXPECT_EQ(test, one.members, 2);
	KUNIT_EXPECT_EQ(test, kbr_test_finish(second), KBR_REQUEST_DONE);
	kbr_gapi_join_read(second, &two);
	KUNIT_EXPECT_EQ(test, two.generation, 2);
	KUNIT_EXPECT_EQ(test, two.members, 0);
	KUNIT_EXPECT_STREQ(test, two.leader, one.id);

	second = kbr_gapi_sync_request(ts, 3, "g", 2, two.id, NULL);
	KUNIT_ASSERT_EQ(test, kbr_test_send(second), KBR_REQUEST_PARKED);
	sync = kbr_gapi_sync_request(ts, 3, "g", 2, one.id, "all of it");
	kbr_test_ask(sync);
	kbr_gapi_sync_expect(sync, 0, "all of it");
	KUNIT_EXPECT_EQ(test, kbr_test_finish(second), KBR_REQUEST_DONE);
	kbr_gapi_sync_expect(second, 0, "");
	kbr_test_server_end(ts);
}

/* A JoinGroup whose client has gone is waited for by nobody. */
static void kbr_gapi_test_gone(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct kbr_test_request *second;
	struct kbr_gapi_joined one;

	kbr_gapi_join(ts, 3, "g", "", &one);
	second = kbr_gapi_join_request(ts, 3, "g", "", NULL, 1);
	KUNIT_ASSERT_EQ(test, kbr_test_send(second), KBR_REQUEST_PARKED);
	KUNIT_EXPECT_EQ(test, kbr_gapi_heartbeat(ts, 3, "g", 1, one.id), 27);
	kbr_test_release(second);
	/* it alone is waited for */
	kbr_gapi_join(ts, 3, "g", one.id, &one);
	KUNIT_EXPECT_EQ(test, one.error, 0);
	KUNIT_EXPECT_EQ(test, one.members, 1);
	kbr_test_server_end(ts);
}

/* The broker drains its connections: who waits is told to look for its coordinator. */
static void kbr_gapi_test_expires(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct kbr_test_request *second;
	struct kbr_gapi_joined one;

	kbr_gapi_join(ts, 3, "g", "", &one);
	second = kbr_gapi_join_request(ts, 3, "g", "", NULL, 1);
	KUNIT_ASSERT_EQ(test, kbr_test_send(second), KBR_REQUEST_PARKED);
	second->req.state = second->req.handler->resume(&second->req, true);
	KUNIT_ASSERT_EQ(test, second->req.state, KBR_REQUEST_DONE);
	KUNIT_EXPECT_EQ(test, kbr_test_finish(second), KBR_REQUEST_DONE);
	kbr_gapi_join_read(second, &one);
	KUNIT_EXPECT_EQ(test, one.error, 15);

	kbr_gapi_join(ts, 3, "h", "", &one);
	second = kbr_gapi_join_request(ts, 3, "h", "", NULL, 1);
	KUNIT_ASSERT_EQ(test, kbr_test_send(second), KBR_REQUEST_PARKED);
	/* groups end with their broker: everything that waits is answered */
	kbr_test_stop(ts->tb);
	KUNIT_EXPECT_EQ(test, kbr_test_finish(second), KBR_REQUEST_DONE);
	kbr_gapi_join_read(second, &one);
	KUNIT_EXPECT_NE(test, one.error, 0);
	kbr_test_server_end(ts);
}

/* ---- offsets ---- */

static struct kbr_test_request *kbr_gapi_commit_request(struct kbr_test_server *ts, s16 version,
							const char *group, const char *topic,
							s32 count, s64 offset)
{
	struct kbr_test_request *tr;
	s32 i;

	tr = kbr_gapi_member_request(ts, KBR_API_OFFSET_COMMIT, version, group, -1, "");
	if (version <= 4)
		kbr_put_s64(&tr->body, -1);
	kbr_put_count(&tr->body, 1);
	kbr_put_string(&tr->body, topic);
	kbr_put_count(&tr->body, count);
	for (i = 0; i < count; i++) {
		kbr_put_s32(&tr->body, i);
		kbr_put_s64(&tr->body, offset + i);
		if (version >= 6)
			kbr_put_s32(&tr->body, 9);
		kbr_put_string(&tr->body, NULL);
	}
	return tr;
}

/* Each partition with its error, @errors of them; the rest is 3 */
static void kbr_gapi_commit_expect(struct kbr_test_request *tr, const char *topic, s32 count,
				   s32 good, s16 error)
{
	struct kunit *test = tr->ts->test;
	s32 i;

	kbr_gapi_skip_throttle(tr, 3);
	KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, topic), count);
	for (i = 0; i < count; i++) {
		KUNIT_EXPECT_EQ(test, kbr_get_s32(&tr->reply), i);
		KUNIT_EXPECT_EQ(test, kbr_get_s16(&tr->reply), i < good ? 0 : error);
	}
	kbr_gapi_expect_end(tr);
}

/* Partitions 0 to 3 of "t", or @all that is committed: 0 to 2 have offsets from @offset on */
static void kbr_gapi_fetch_expect(struct kbr_test_server *ts, s16 version, const char *group,
				  bool all, s64 offset)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_OFFSET_FETCH, version);
	struct kbr_wire_writer *w = &tr->body;
	struct kbr_wire_reader *r = &tr->reply;
	struct kunit *test = ts->test;
	s32 i, count = all ? 3 : 4;

	kbr_put_string(w, group);
	kbr_put_count(w, all ? -1 : 1);
	if (!all) {
		kbr_put_string(w, "t");
		kbr_put_count(w, count);
		for (i = 0; i < count; i++)
			kbr_put_s32(w, i);
		kbr_put_tags(w);
	}
	if (version >= 7)
		kbr_put_bool(w, true);
	kbr_put_tags(w);
	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 3);
	KUNIT_EXPECT_EQ(test, kbr_get_count(r), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), count);
	for (i = 0; i < count; i++) {
		KUNIT_EXPECT_EQ(test, kbr_get_s32(r), i);
		KUNIT_EXPECT_EQ(test, kbr_get_s64(r), i < 3 ? offset + i : -1);
		if (version >= 5)
			KUNIT_EXPECT_EQ(test, kbr_get_s32(r), i < 3 ? 9 : -1);
		KUNIT_EXPECT_EQ(test, kbr_get_nullable_string(r).len, 0);
		KUNIT_EXPECT_EQ(test, kbr_get_s16(r), 0);
		kbr_get_tags(r);
	}
	kbr_get_tags(r);
	if (version >= 2)
		KUNIT_EXPECT_EQ(test, kbr_get_s16(r), 0);
	kbr_gapi_expect_end(tr);
}

static void kbr_gapi_test_offsets(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct kbr_test_request *tr;
	s16 version;

	for (version = 2; version <= 7; version++) {
		/* three partitions there are; a fourth there is not */
		tr = kbr_gapi_commit_request(ts, version, "g", "t", 4, version);
		kbr_test_ask(tr);
		/* it is safe soon whatever becomes of the client, but later requests see it */
		KUNIT_EXPECT_TRUE(test, tr->req.settled && tr->req.ordered);
		kbr_gapi_commit_expect(tr, "t", 4, 3, 3);
		tr = kbr_gapi_commit_request(ts, version, "g", "nowhere", 1, 0);
		kbr_test_ask(tr);
		kbr_gapi_commit_expect(tr, "nowhere", 1, 0, 3);
	}
	for (version = 1; version <= 7; version++) {
		kbr_gapi_fetch_expect(ts, version, "g", false, 7);
		if (version >= 2)
			kbr_gapi_fetch_expect(ts, version, "g", true, 7);
	}
	kbr_test_server_restart(ts);
	kbr_gapi_fetch_expect(ts, 5, "g", true, 7);
	kbr_test_server_end(ts);
}

/* More than one request may ask for is refused as a whole, whatever else is wrong with it. */
static void kbr_gapi_test_bounds(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct kbr_test_request *tr;
	struct kbr_gapi_joined got;

	tr = kbr_gapi_commit_request(ts, 5, "g", "t", KBR_GROUP_OFFSETS_MAX + 1, 0);
	kbr_test_ask(tr);
	kbr_gapi_commit_expect(tr, "t", KBR_GROUP_OFFSETS_MAX + 1, 0, 28);
	tr = kbr_gapi_join_request(ts, 3, "g", "", NULL, 65);
	kbr_test_ask(tr);
	kbr_gapi_join_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.error, 42);
	tr = kbr_gapi_join_request(ts, 3, "g", "", NULL, 0);
	kbr_test_ask(tr);
	kbr_gapi_join_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.error, 23);
	kbr_test_server_end(ts);
}

/* ---- looks ---- */

static void kbr_gapi_describe(struct kbr_test_server *ts, s16 version, const char *group,
			      const char *state, s32 members)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_DESCRIBE_GROUPS, version);
	struct kbr_wire_reader *r = &tr->reply;
	struct kunit *test = ts->test;
	struct kbr_str text;
	s32 i;

	kbr_put_count(&tr->body, 1);
	kbr_put_string(&tr->body, group);
	if (version >= 3)
		kbr_put_bool(&tr->body, true);
	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 1);
	KUNIT_EXPECT_EQ(test, kbr_get_count(r), 1);
	KUNIT_EXPECT_EQ(test, kbr_get_s16(r), 0);
	text = kbr_get_string(r);
	KUNIT_EXPECT_TRUE(test, kbr_str_equal(&text, group));
	text = kbr_get_string(r);
	KUNIT_EXPECT_TRUE_MSG(test, kbr_str_equal(&text, state), "%s is not %s", group, state);
	kbr_get_string(r);
	kbr_get_string(r);
	KUNIT_EXPECT_EQ(test, kbr_get_count(r), members);
	for (i = 0; i < members; i++) {
		kbr_get_string(r);
		if (version >= 4)
			KUNIT_EXPECT_EQ(test, kbr_get_nullable_string(r).len, -1);
		kbr_get_string(r);
		kbr_get_string(r);
		KUNIT_EXPECT_EQ(test, kbr_get_bytes(r).len, 4);
		KUNIT_EXPECT_EQ(test, kbr_get_bytes(r).len, 5);
	}
	if (version >= 3)
		KUNIT_EXPECT_EQ(test, kbr_get_s32(r), 0x148);
	kbr_gapi_expect_end(tr);
}

static s32 kbr_gapi_list(struct kbr_test_server *ts, s16 version)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_LIST_GROUPS, version);
	struct kbr_wire_reader *r = &tr->reply;
	s32 i, count;

	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 1);
	KUNIT_EXPECT_EQ(ts->test, kbr_get_s16(r), 0);
	count = kbr_get_count(r);
	for (i = 0; i < count; i++) {
		kbr_get_string(r);
		kbr_get_string(r);
	}
	kbr_gapi_expect_end(tr);
	return count;
}

/* Three groups, the last of which there is not */
static void kbr_gapi_delete(struct kbr_test_server *ts, s16 version, s16 first, s16 second)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_DELETE_GROUPS, version);
	const s16 wanted[] = { first, second, 69 };
	struct kunit *test = ts->test;
	unsigned int i;

	kbr_put_count(&tr->body, 3);
	kbr_put_string(&tr->body, "members");
	kbr_put_string(&tr->body, "offsets");
	kbr_put_string(&tr->body, "nowhere");
	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 0);
	KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), 3);
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		kbr_get_string(&tr->reply);
		KUNIT_EXPECT_EQ(test, kbr_get_s16(&tr->reply), wanted[i]);
	}
	kbr_gapi_expect_end(tr);
}

static void kbr_gapi_delete_offsets(struct kbr_test_server *ts, const char *group, s16 error)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_OFFSET_DELETE, 0);
	struct kunit *test = ts->test;

	kbr_put_string(&tr->body, group);
	kbr_put_count(&tr->body, 1);
	kbr_put_string(&tr->body, "t");
	kbr_put_count(&tr->body, 1);
	kbr_put_s32(&tr->body, 2);
	kbr_test_ask(tr);
	KUNIT_EXPECT_EQ(test, kbr_get_s16(&tr->reply), error);
	kbr_gapi_skip_throttle(tr, 0);
	KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), error ? 0 : 1);
	if (!error) {
		KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 1);
		KUNIT_EXPECT_EQ(test, kbr_get_s32(&tr->reply), 2);
		KUNIT_EXPECT_EQ(test, kbr_get_s16(&tr->reply), 0);
	}
	kbr_gapi_expect_end(tr);
}

static void kbr_gapi_test_looks(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct kbr_test_request *tr;
	struct kbr_gapi_joined got;
	s16 version;

	/* nothing is made by a look */
	KUNIT_EXPECT_EQ(test, kbr_gapi_list(ts, 2), 0);
	kbr_gapi_describe(ts, 0, "members", "Dead", 0);
	KUNIT_EXPECT_NULL(test, kbr_test_topic(ts->tb, "__consumer_offsets"));

	kbr_gapi_join(ts, 3, "members", "", &got);
	kbr_gapi_describe(ts, 3, "nowhere", "Dead", 0);
	tr = kbr_gapi_sync_request(ts, 3, "members", 1, got.id, "share");
	kbr_test_ask(tr);
	kbr_gapi_sync_expect(tr, 0, "share");
	tr = kbr_gapi_commit_request(ts, 5, "offsets", "t", 3, 5);
	kbr_test_ask(tr);
	kbr_gapi_commit_expect(tr, "t", 3, 3, 0);
	for (version = 0; version <= 4; version++) {
		kbr_gapi_describe(ts, version, "members", "Stable", 1);
		kbr_gapi_describe(ts, version, "offsets", "Empty", 0);
	}
	for (version = 0; version <= 2; version++)
		KUNIT_EXPECT_EQ(test, kbr_gapi_list(ts, version), 2);
	kbr_gapi_delete_offsets(ts, "nowhere", 69);
	kbr_gapi_delete_offsets(ts, "offsets", 0);
	kbr_gapi_delete(ts, 0, 68, 0);
	kbr_gapi_describe(ts, 4, "offsets", "Dead", 0);
	KUNIT_EXPECT_EQ(test, kbr_gapi_leave(ts, 3, "members", got.id), 0);
	kbr_gapi_delete(ts, 1, 0, 69);
	KUNIT_EXPECT_EQ(test, kbr_gapi_list(ts, 2), 0);
	kbr_test_server_end(ts);
}

/* Several groups with offsets in one request, which waits for the disk for each of them */
static void kbr_gapi_test_delete_many(struct kunit *test)
{
	static const char * const names[] = { "one", "two", "three", "nowhere" };
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct kbr_test_request *tr;
	struct kbr_str name;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		tr = kbr_gapi_commit_request(ts, 5, names[i], "t", 3, 5);
		kbr_test_ask(tr);
		kbr_gapi_commit_expect(tr, "t", 3, 3, 0);
	}
	tr = kbr_test_request(ts, KBR_API_DELETE_GROUPS, 1);
	kbr_put_count(&tr->body, ARRAY_SIZE(names));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		kbr_put_string(&tr->body, names[i]);
	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 0);
	KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), (s32)ARRAY_SIZE(names));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		name = kbr_get_string(&tr->reply);
		KUNIT_EXPECT_TRUE(test, kbr_str_equal(&name, names[i]));
		KUNIT_EXPECT_EQ(test, kbr_get_s16(&tr->reply), i < 3 ? 0 : 69);
	}
	kbr_gapi_expect_end(tr);
	KUNIT_EXPECT_EQ(test, kbr_gapi_list(ts, 2), 0);
	/* they go once nobody holds them: whoever answered may for a moment */
	for (i = 0; i < 1000 && ts->server.broker->groups->count; i++) {
		kbr_groups_upkeep(ts->server.broker, 0);
		msleep(1);
	}
	KUNIT_EXPECT_EQ(test, ts->server.broker->groups->count, 0U);
	kbr_test_server_end(ts);
}

/* ---- the coordinator ---- */

static s16 kbr_gapi_find(struct kbr_test_server *ts, s16 version, s8 type)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_FIND_COORDINATOR, version);
	struct kbr_wire_reader *r = &tr->reply;
	struct kunit *test = ts->test;
	s16 error;
	s32 node;

	if (version < 4)
		kbr_put_string(&tr->body, "g");
	if (version >= 1)
		kbr_put_s8(&tr->body, type);
	if (version >= 4) {
		kbr_put_count(&tr->body, 1);
		kbr_put_string(&tr->body, "g");
	}
	kbr_put_tags(&tr->body);
	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 1);
	if (version >= 4) {
		KUNIT_EXPECT_EQ(test, kbr_get_count(r), 1);
		kbr_get_string(r);
		node = kbr_get_s32(r);
		kbr_get_string(r);
		kbr_get_s32(r);
		error = kbr_get_s16(r);
		kbr_get_nullable_string(r);
		kbr_get_tags(r);
	} else {
		error = kbr_get_s16(r);
		if (version >= 1)
			kbr_get_nullable_string(r);
		node = kbr_get_s32(r);
		kbr_get_string(r);
		kbr_get_s32(r);
	}
	KUNIT_EXPECT_EQ(test, node, error ? -1 : ts->server.broker->id);
	kbr_gapi_expect_end(tr);
	return error;
}

/* Who asks for a coordinator has a topic made for offsets, and gets its answer when that is there. */
static void kbr_gapi_test_coordinator(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct kbr_listener listener = {};
	struct kbr_topic *topic;
	s16 version;

	ts->conn.listener = &listener;
	for (version = 1; version <= 4; version++) {
		KUNIT_EXPECT_EQ(test, kbr_gapi_find(ts, version, 1), 53);
		KUNIT_EXPECT_EQ(test, kbr_gapi_find(ts, version, 7), 42);
	}
	KUNIT_EXPECT_NULL(test, kbr_test_topic(ts->tb, "__consumer_offsets"));
	for (version = 0; version <= 4; version++)
		KUNIT_EXPECT_EQ(test, kbr_gapi_find(ts, version, 0), 0);
	topic = kbr_test_topic(ts->tb, "__consumer_offsets");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	KUNIT_EXPECT_TRUE(test, topic->internal);
	KUNIT_EXPECT_EQ(test, kbr_topic_partitions(topic), 2U);
	kbr_topic_put(topic);
	kbr_test_server_end(ts);
}

/* ---- rights ---- */

/* Who may not consume from a topic may neither commit its offsets nor see them. */
static void kbr_gapi_test_rights(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_gapi_begin(test);
	struct cred *nobody = prepare_creds();
	struct kbr_topic_change change = {
		.owner.set_mode = true,
		.owner.mode = 0600,
		.partitions = -1,
	};
	struct kbr_test_request *tr;

	KUNIT_ASSERT_NOT_NULL(test, nobody);
	nobody->fsuid = KUIDT_INIT(65534);
	nobody->fsgid = KGIDT_INIT(65534);
	cap_clear(nobody->cap_effective);
	KUNIT_EXPECT_EQ(test, kbr_test_alter(ts->tb, "t", &change), 0);
	tr = kbr_gapi_commit_request(ts, 5, "offsets", "t", 3, 5);
	kbr_test_ask(tr);
	kbr_gapi_commit_expect(tr, "t", 3, 3, 0);

	ts->conn.cred = nobody;
	tr = kbr_gapi_commit_request(ts, 5, "offsets", "t", 3, 6);
	kbr_test_ask(tr);
	kbr_gapi_commit_expect(tr, "t", 3, 0, 29);
	tr = kbr_test_request(ts, KBR_API_OFFSET_FETCH, 5);
	kbr_put_string(&tr->body, "offsets");
	kbr_put_count(&tr->body, -1);
	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 3);
	KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), 0);
	KUNIT_EXPECT_EQ(test, kbr_get_s16(&tr->reply), 0);
	kbr_gapi_expect_end(tr);
	tr = kbr_test_request(ts, KBR_API_DELETE_GROUPS, 0);
	kbr_put_count(&tr->body, 1);
	kbr_put_string(&tr->body, "offsets");
	kbr_test_ask(tr);
	kbr_gapi_skip_throttle(tr, 0);
	KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), 1);
	kbr_get_string(&tr->reply);
	KUNIT_EXPECT_EQ(test, kbr_get_s16(&tr->reply), 30);
	kbr_gapi_expect_end(tr);
	ts->conn.cred = current_cred();
	put_cred(nobody);
	kbr_gapi_fetch_expect(ts, 1, "offsets", false, 5);
	kbr_test_server_end(ts);
}

static struct kunit_case kbr_gapi_cases[] = {
	KUNIT_CASE(kbr_gapi_test_coordinator),
	KUNIT_CASE(kbr_gapi_test_life),
	KUNIT_CASE(kbr_gapi_test_waits),
	KUNIT_CASE(kbr_gapi_test_gone),
	KUNIT_CASE(kbr_gapi_test_expires),
	KUNIT_CASE(kbr_gapi_test_offsets),
	KUNIT_CASE(kbr_gapi_test_bounds),
	KUNIT_CASE(kbr_gapi_test_looks),
	KUNIT_CASE(kbr_gapi_test_delete_many),
	KUNIT_CASE(kbr_gapi_test_rights),
	{}
};

static struct kunit_suite kbr_gapi_suite = {
	.name = "kbroker_group_api",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_gapi_cases,
};

kunit_test_suite(kbr_gapi_suite);
