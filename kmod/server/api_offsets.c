// SPDX-License-Identifier: GPL-2.0-only
/*
 * OffsetCommit 2-7, OffsetFetch 1-7, OffsetDelete 0. Whoever may consume from a
 * topic may say how far it came, and ask. There are no transactions, so that
 * every offset is stable.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "base/clock.h"
#include "base/error.h"
#include "broker/access.h"
#include "server/group_ask.h"

/* Least bytes of a partition in an OffsetCommit, and in an OffsetDelete */
#define KBR_COMMIT_BYTES_MIN	14
#define KBR_DELETE_BYTES_MIN	4

/* ---- what OffsetCommit and OffsetDelete share ---- */

static void kbr_offsets_get(struct kbr_request *req, struct kbr_wire_reader *r,
			    struct kbr_group_offset *offset)
{
	offset->partition = kbr_get_s32(r);
	if (req->header.key == KBR_API_OFFSET_DELETE)
		return;
	offset->offset = kbr_get_s64(r);
	offset->leader_epoch = req->header.version >= 6 ? kbr_get_s32(r) : -1;
	offset->metadata = kbr_get_nullable_string(r);
	offset->metadata.len = max(offset->metadata.len, 0);
}

/* May this client commit offsets of the topic? 0 or Kafka's error */
static s16 kbr_offsets_check_topic(struct kbr_request *req, const struct kbr_str *name)
{
	struct kbr_topic *topic;
	int err;

	topic = kbr_request_topic(req, name, KBR_MAY_CONSUME, &err);
	kbr_topic_put(topic);
	if (err == -EACCES && req->header.key == KBR_API_OFFSET_DELETE &&
	    kbr_request_may_admin(req))
		err = 0;
	return kbr_error_to_kafka(err);
}

static void kbr_offsets_read_topic(struct kbr_request *req, struct kbr_group_ask *ask,
				   unsigned int room, s64 expire_ms)
{
	struct kbr_str name = kbr_get_string(&req->body);
	s16 code = kbr_offsets_check_topic(req, &name);
	s32 parts = kbr_get_count(&req->body);

	for (; parts > 0 && ask->offsets_count < room; parts--) {
		struct kbr_group_offset *offset = &ask->offsets[ask->offsets_count++];

		offset->topic = name;
		offset->expire_ms = expire_ms;
		offset->code = code;
		kbr_offsets_get(req, &req->body, offset);
	}
}

/* Topics and partitions, which are read once more for the answer. 0 or Kafka's error */
static s16 kbr_offsets_read(struct kbr_request *req, struct kbr_group_ask *ask, size_t bytes_min,
			    s64 expire_ms)
{
	/* one more than may be: if it is used up there are too many */
	unsigned int room = min_t(size_t, kbr_wire_reader_left(&req->body) / bytes_min,
				  KBR_GROUP_OFFSETS_MAX) + 1;
	s32 topics;

	ask->body = req->body;
	ask->offsets = kvcalloc(room, sizeof(*ask->offsets), GFP_KERNEL);
	if (!ask->offsets)
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	req->pinned += room * sizeof(*ask->offsets);
	for (topics = kbr_get_count(&req->body); topics > 0 && ask->offsets_count < room; topics--) {
		kbr_offsets_read_topic(req, ask, room, expire_ms);
		cond_resched();
	}
	return ask->offsets_count < room ? 0 : KBR_KAFKA_INVALID_COMMIT_OFFSET_SIZE;
}

/* Each partition with its code, or with @code if that is set */
static void kbr_offsets_put(struct kbr_request *req, struct kbr_group_ask *ask, s16 code)
{
	const struct kbr_group_offset *offset = ask->offsets;
	struct kbr_wire_reader *r = &ask->body;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_group_offset skipped;
	s32 parts, topics = kbr_get_count(r);
	struct kbr_str name;

	kbr_put_count(w, topics);
	for (; topics > 0 && !w->err; topics--) {
		name = kbr_get_string(r);
		parts = kbr_get_count(r);
		kbr_put_str(w, &name);
		kbr_put_count(w, parts);
		for (; parts > 0 && !w->err; parts--) {
			kbr_offsets_get(req, r, &skipped);
			kbr_put_s32(w, skipped.partition);
			kbr_put_s16(w, code ?: (offset++)->code);
		}
	}
}

/* ---- OffsetCommit ---- */

static void kbr_commit_answer(struct kbr_request *req, struct kbr_group_ask *ask, s16 code)
{
	kbr_group_ask_throttle(req, 3);
	kbr_offsets_put(req, ask, code);
}

/* Everything before the topics; when these offsets end, -1 as the config says */
static s64 kbr_commit_read(struct kbr_request *req, struct kbr_str *name, struct kbr_group_id *id)
{
	s16 version = req->header.version;
	s64 retention_ms = -1;

	*name = kbr_get_string(&req->body);
	id->generation = kbr_get_s32(&req->body);
	id->member_id = kbr_get_string(&req->body);
	id->instance_id.len = -1;
	if (version >= 7)
		id->instance_id = kbr_get_nullable_string(&req->body);
	if (version <= 4)
		retention_ms = kbr_get_s64(&req->body);
	if (retention_ms < 0)
		return -1;
	return kbr_clock_now_ms() + min_t(s64, retention_ms, S64_MAX / 2);
}

static bool kbr_commit_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_group_id id = {};
	struct kbr_group *group;
	struct kbr_str name;
	s64 expire_ms;
	bool answered;
	s16 code;

	expire_ms = kbr_commit_read(req, &name, &id);
	code = kbr_offsets_read(req, ask, KBR_COMMIT_BYTES_MIN, expire_ms);
	if (code) {
		kbr_commit_answer(req, ask, code);
		return true;
	}
	/* who has no generation may begin a group by a commit */
	group = kbr_group_ask_find(req, &name, id.generation < 0, KBR_KAFKA_ILLEGAL_GENERATION,
				   &code);
	if (!group) {
		kbr_commit_answer(req, ask, code);
		return true;
	}
	answered = kbr_group_commit(group, &id, ask->offsets, ask->offsets_count,
				    kbr_clock_now_ms(), &ask->wait);
	kbr_group_put(group);
	if (answered)
		kbr_commit_answer(req, ask, 0);
	/* it is appended, and safe soon, whatever becomes of the client */
	req->settled = true;
	req->ordered = true;
	return answered;
}

static bool kbr_commit_again(struct kbr_request *req, struct kbr_group_ask *ask)
{
	if (!kbr_group_commit_again(&ask->wait, ask->offsets, ask->offsets_count))
		return false;
	kbr_commit_answer(req, ask, 0);
	return true;
}

static void kbr_commit_expire(struct kbr_request *req, struct kbr_group_ask *ask)
{
	kbr_commit_answer(req, ask, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static const struct kbr_group_ask_calls kbr_commit_calls = {
	.begin = kbr_commit_begin,
	.again = kbr_commit_again,
	.expire = kbr_commit_expire,
	.wait_ms = KBR_GROUP_ASK_DISK_MS,
};

static enum kbr_request_state kbr_commit_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_commit_calls, true);
}

const struct kbr_handler kbr_handle_offset_commit = {
	.start = kbr_commit_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};

/* ---- OffsetDelete ---- */

static void kbr_offset_delete_answer(struct kbr_request *req, struct kbr_group_ask *ask, s16 code)
{
	kbr_put_s16(&req->reply, code);
	kbr_put_s32(&req->reply, 0);	/* throttle */
	if (code)
		kbr_put_count(&req->reply, 0);
	else
		kbr_offsets_put(req, ask, 0);
}

static bool kbr_offset_delete_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_str name = kbr_get_string(&req->body);
	struct kbr_group *group = NULL;
	bool answered = true;
	s16 code;

	code = kbr_offsets_read(req, ask, KBR_DELETE_BYTES_MIN, -1);
	if (!code)
		group = kbr_group_ask_find(req, &name, false, KBR_KAFKA_GROUP_ID_NOT_FOUND, &code);
	if (group) {
		answered = kbr_group_delete_offsets(group, ask->offsets, ask->offsets_count,
						    kbr_clock_now_ms(), &ask->wait);
		kbr_group_put(group);
	}
	if (answered)
		kbr_offset_delete_answer(req, ask, code);
	return answered;
}

static bool kbr_offset_delete_again(struct kbr_request *req, struct kbr_group_ask *ask)
{
	if (!kbr_group_commit_again(&ask->wait, ask->offsets, ask->offsets_count))
		return false;
	kbr_offset_delete_answer(req, ask, 0);
	return true;
}

static void kbr_offset_delete_expire(struct kbr_request *req, struct kbr_group_ask *ask)
{
	kbr_offset_delete_answer(req, ask, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static const struct kbr_group_ask_calls kbr_offset_delete_calls = {
	.begin = kbr_offset_delete_begin,
	.again = kbr_offset_delete_again,
	.expire = kbr_offset_delete_expire,
	.wait_ms = KBR_GROUP_ASK_DISK_MS,
};

static enum kbr_request_state kbr_offset_delete_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_offset_delete_calls, false);
}

const struct kbr_handler kbr_handle_offset_delete = {
	.start = kbr_offset_delete_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};

/* ---- OffsetFetch ---- */

static void kbr_offset_fetch_put(struct kbr_request *req, struct kbr_wire_writer *w,
				 const struct kbr_group_offset *offset)
{
	kbr_put_s32(w, offset->partition);
	kbr_put_s64(w, offset->offset);
	if (req->header.version >= 5)
		kbr_put_s32(w, offset->leader_epoch);
	kbr_put_str(w, &offset->metadata);
	kbr_put_s16(w, offset->code);
	kbr_put_tags(w);
}

/* One partition that was asked for; none was committed where there is no group */
static void kbr_offset_fetch_one(struct kbr_request *req, struct kbr_group *group,
				 const struct kbr_str *topic, s32 partition, s16 code)
{
	struct kbr_group_offset offset;

	if (code || !group || !kbr_group_offset_locked(group, topic, partition, &offset))
		offset = (struct kbr_group_offset) {
			.partition = partition,
			.offset = -1,
			.leader_epoch = -1,
			.metadata.at = "",
		};
	offset.code = code;
	kbr_offset_fetch_put(req, &req->reply, &offset);
}

/* May this client know how far anybody came? That there is no such topic is no error. */
static s16 kbr_offset_fetch_check(struct kbr_request *req, const struct kbr_str *name)
{
	int err;

	kbr_topic_put(kbr_request_topic(req, name, KBR_MAY_CONSUME, &err));
	return err == -EACCES ? KBR_KAFKA_TOPIC_AUTHORIZATION : 0;
}

static void kbr_offset_fetch_some(struct kbr_request *req, struct kbr_group *group, s32 topics,
				  s16 refusal)
{
	struct kbr_wire_reader *r = &req->body;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_str name;
	s32 parts;
	s16 code;

	kbr_put_count(w, topics);
	for (; topics > 0 && !w->err; topics--) {
		name = kbr_get_string(r);
		code = refusal ?: kbr_offset_fetch_check(req, &name);
		parts = kbr_get_count(r);
		kbr_put_str(w, &name);
		kbr_put_count(w, parts);
		if (group)
			kbr_group_lock(group);
		for (; parts > 0 && !w->err; parts--)
			kbr_offset_fetch_one(req, group, &name, kbr_get_s32(r), code);
		if (group)
			kbr_group_unlock(group);
		kbr_get_tags(r);
		kbr_put_tags(w);
		cond_resched();
	}
}

static bool kbr_str_same(const struct kbr_str *a, const struct kbr_str *b)
{
	return a->len == b->len && !memcmp(a->at, b->at, a->len);
}

/* The topic behind @name (null: the first) into @name and @text; false: there is none */
static bool kbr_offset_fetch_next(struct kbr_group *group, struct kbr_str *name,
				  char text[KBR_TOPIC_NAME_MAX])
{
	struct kbr_group_offset offset = { .topic = *name };
	struct kbr_str after;
	bool more;

	kbr_group_lock(group);
	/* what can't be a topic's name nobody can ask for */
	do {
		after = offset.topic;
		more = kbr_group_offset_next_locked(group, &after, S32_MAX, &offset);
	} while (more && offset.topic.len > KBR_TOPIC_NAME_MAX);
	if (more) {
		memcpy(text, offset.topic.at, offset.topic.len);
		*name = (struct kbr_str) { .at = text, .len = offset.topic.len };
	}
	kbr_group_unlock(group);
	return more;
}

/* Write a count at @at, before what was counted. */
static void kbr_offset_fetch_put_count(struct kbr_wire_writer *w, size_t at, s32 count)
{
	struct kbr_wire_writer head;

	kbr_wire_writer_init(&head, sizeof(u64), w->flexible);
	kbr_put_count(&head, count);
	if (head.err)
		w->err = head.err;
	else
		kbr_wire_writer_insert(w, at, head.buf, head.len);
	kbr_wire_writer_free(&head);
}

/* All of one topic. How many there are is known at the end: one may come to be on disk meanwhile. */
static void kbr_offset_fetch_topic(struct kbr_request *req, struct kbr_group *group,
				   const struct kbr_str *name)
{
	struct kbr_group_offset offset = { .partition = -1 };
	struct kbr_wire_writer *w = &req->reply;
	s32 count = 0;
	size_t at;

	kbr_put_str(w, name);
	at = w->len;
	kbr_group_lock(group);
	while (!w->err && kbr_group_offset_next_locked(group, name, offset.partition, &offset) &&
	       kbr_str_same(&offset.topic, name)) {
		offset.code = KBR_KAFKA_NONE;
		kbr_offset_fetch_put(req, w, &offset);
		count++;
	}
	kbr_group_unlock(group);
	kbr_offset_fetch_put_count(w, at, count);
	kbr_put_tags(w);
}

/* Everything that the client may know of. The group is not locked over a look at its topics. */
static void kbr_offset_fetch_all(struct kbr_request *req, struct kbr_group *group)
{
	struct kbr_str name = { .len = -1 };
	struct kbr_wire_writer *w = &req->reply;
	char text[KBR_TOPIC_NAME_MAX];
	size_t at = w->len;
	s32 count = 0;

	while (group && !w->err && kbr_offset_fetch_next(group, &name, text)) {
		if (!kbr_offset_fetch_check(req, &name)) {
			kbr_offset_fetch_topic(req, group, &name);
			count++;
		}
		cond_resched();
	}
	kbr_offset_fetch_put_count(w, at, count);
}

static bool kbr_offset_fetch_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_str name = kbr_get_string(&req->body);
	s32 topics = kbr_get_nullable_count(&req->body);
	s16 version = req->header.version;
	struct kbr_group *group;
	s16 code;

	group = kbr_group_ask_find(req, &name, false, KBR_KAFKA_NONE, &code);
	kbr_group_ask_throttle(req, 3);
	/* from version 2 on an error of the group is told once, without its partitions */
	if (code && version >= 2)
		kbr_put_count(&req->reply, 0);
	else if (topics >= 0)
		kbr_offset_fetch_some(req, group, topics, code);
	else
		kbr_offset_fetch_all(req, group);
	if (version >= 2)
		kbr_put_s16(&req->reply, code);
	kbr_put_tags(&req->reply);
	if (group)
		kbr_group_put(group);
	return true;
}

static const struct kbr_group_ask_calls kbr_offset_fetch_calls = {
	.begin = kbr_offset_fetch_begin,
};

static enum kbr_request_state kbr_offset_fetch_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_offset_fetch_calls, false);
}

const struct kbr_handler kbr_handle_offset_fetch = {
	.start = kbr_offset_fetch_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};
