// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups that another broker of the cluster coordinates: what it tells of them,
 * and what it is asked to do with them, in the words that any client has for it
 * (OffsetCommit, OffsetDelete, DeleteGroups); see group_view.h and group_ops.h.
 */
#include <linux/delay.h>
#include <linux/mm.h>

#include "base/kunit.h"
#include "broker/call.h"
#include "broker/cluster.h"
#include "broker/group_internal.h"
#include "broker/group_far.h"
#include "broker/group_view.h"
#include "broker/replica.h"
#include "codec/proto.h"

/* How long it may take until a request has left for its broker, ms */
#define KBR_GROUP_CONNECT_MS	1000
/* How long a coordinator's disk may take, and how soon the next one is asked, ms */
#define KBR_GROUP_CHANGE_MS	30000
#define KBR_GROUP_AGAIN_MS	100
#define KBR_COMMIT_VERSION	7
#define KBR_DELETE_OFFSETS_VERSION	0
#define KBR_DELETE_GROUPS_VERSION	1

/* ---- pages ---- */

void kbr_group_page_free(struct kbr_group_page *page)
{
	kvfree(page->buf);
	*page = (struct kbr_group_page){};
}
KBR_EXPORT_IF_KUNIT(kbr_group_page_free);

/* @buf has a page that is to be checked, and belongs to @page from now on. */
static int kbr_group_page_open(struct kbr_group_page *page, u8 *buf, const u8 *at, size_t len,
			       u8 kind)
{
	struct kbr_wire_reader r;

	kbr_wire_reader_init(&r, at, len, false);
	kbr_group_page_free(page);
	page->buf = buf;
	if (kbr_group_page_check(&r, kind))
		return -EPROTO;
	page->more = kbr_get_bool(&r);
	kbr_group_get_place(&r, &page->next);
	page->left = kbr_get_count(&r);
	page->r = r;
	return 0;
}

/* Why there is no page, as the coordinator says it: this broker or another one */
static int kbr_group_page_refuse(struct kbr_broker *broker, bool here, s16 code,
				 struct kbr_refusal *why)
{
	switch (code) {
	case KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
		return kbr_refuse(why, -EAGAIN, 0, "the groups are still being loaded; ask again");
	case KBR_KAFKA_NOT_COORDINATOR:
		return kbr_refuse(why, -EAGAIN, 0,
				  "the group moves to another broker; ask again");
	case KBR_KAFKA_GROUP_ID_NOT_FOUND:
	case KBR_KAFKA_INVALID_GROUP_ID:
		return kbr_refuse(why, -ENOENT, 0, "there is no such group");
	case KBR_KAFKA_COORDINATOR_NOT_AVAILABLE:
		if (here && READ_ONCE(broker->state) == KBR_BROKER_RUNNING)
			return -ENOMEM;
		return kbr_refuse(why, here ? -ENODEV : -EAGAIN, 0,
				  "the %s cannot tell of groups now", here ? "broker" : "coordinator");
	default:
		return kbr_refuse(why, -EIO, 0, "the coordinator said Kafka's error %d", code);
	}
}

static int kbr_group_page_here(struct kbr_broker *broker, const struct kbr_group_place *from,
			       struct kbr_group_page *page, struct kbr_refusal *why)
{
	struct kbr_wire_writer w;
	u8 kind = from->kind;
	s16 code;

	kbr_wire_writer_init(&w, KBR_GROUP_PAGE_MAX, false);
	code = kbr_group_view(broker, from, &w);
	if (code || w.err) {
		kbr_wire_writer_free(&w);
		return code ? kbr_group_page_refuse(broker, true, code, why) : w.err;
	}
	return kbr_group_page_open(page, w.buf, w.buf, w.len, kind);
}

/* What came of a call that only asked, for who may ask again. */
static int kbr_group_call_refuse(int err, s32 peer, struct kbr_refusal *why)
{
	switch (err) {
	case -EHOSTUNREACH:
	case -ECONNRESET:
	case -EAGAIN:
		return kbr_refuse(why, -EAGAIN, 0,
				  "broker %d, which coordinates groups, can't be reached now", peer);
	case -ETIMEDOUT:
		return kbr_refuse(why, err, 0, "broker %d, which coordinates groups, does not answer",
				  peer);
	default:
		return err;
	}
}

static int kbr_group_page_there(struct kbr_broker *broker, s32 peer,
				const struct kbr_group_place *from, struct kbr_group_page *page,
				struct kbr_refusal *why)
{
	const struct kbr_api *api = kbr_api_find(KBR_API_GROUP_VIEW);
	struct kbr_wire_reader r;
	struct kbr_call *call;
	u8 kind = from->kind;
	struct kbr_str bytes;
	s16 code;
	int err;

	call = kbr_call_new(peer, KBR_API_GROUP_VIEW, KBR_GROUP_WIRE_VERSION);
	if (!call)
		return -ENOMEM;
	kbr_group_put_place(&call->body, from);
	err = kbr_call_wait(broker, call, KBR_GROUP_CONNECT_MS,
			    KBR_GROUP_VIEW_MS - KBR_GROUP_CONNECT_MS);
	if (err) {
		err = kbr_group_call_refuse(err, peer, why);
		goto out;
	}
	kbr_wire_reader_init(&r, call->answer, call->len, false);
	if (kbr_message_check(&r, api->response, KBR_GROUP_WIRE_VERSION)) {
		err = -EPROTO;
		goto out;
	}
	code = kbr_get_s16(&r);
	bytes = kbr_get_bytes(&r);
	if (code) {
		err = kbr_group_page_refuse(broker, false, code, why);
		goto out;
	}
	err = kbr_group_page_open(page, call->answer, (const u8 *)bytes.at, bytes.len, kind);
	call->answer = NULL;
out:
	if (err == -EPROTO)
		kbr_refuse(why, err, 0, "what broker %d tells of groups makes no sense", peer);
	kbr_call_put(call);
	return err;
}

int kbr_group_page_get(struct kbr_broker *broker, s32 owner, const struct kbr_group_place *from,
		       struct kbr_group_page *page, struct kbr_refusal *why)
{
	s32 self = READ_ONCE(broker->id);
	int err;

	if (from->one && kbr_cluster_is_member(broker)) {
		err = kbr_groups_coordinator(broker, &from->group, &owner);
		if (err == -EAGAIN)
			return kbr_refuse(why, err, 0, "no broker coordinates the group now; ask again");
		if (err)
			owner = self;	/* which finds out why */
	}
	if (owner < 0 || owner == self)
		err = kbr_group_page_here(broker, from, page, why);
	else
		err = kbr_group_page_there(broker, owner, from, page, why);
	if (!err)
		page->owner = !kbr_cluster_is_member(broker) ? -1 : owner < 0 ? self : owner;
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_group_page_get);

s32 kbr_group_next_coordinator(struct kbr_broker *broker, s32 after)
{
	struct kbr_groups *groups = broker->groups;
	enum kbroker_replica_role role;
	struct kbr_replica_state state;
	s32 next = -1;
	u32 i;

	if (!kbr_cluster_is_member(broker) || kbr_groups_ready(broker, false))
		return -1;
	for (i = 0; i < groups->partitions; i++)
		if (kbr_replica_get(kbr_topic_partition(groups->topic, i), &state, &role) &&
		    state.leader > after && state.leader != READ_ONCE(broker->id) &&
		    (next < 0 || state.leader < next))
			next = state.leader;
	return next;
}
KBR_EXPORT_IF_KUNIT(kbr_group_next_coordinator);

/* ---- changes ---- */

/* Topics that lie side by side are one; their number is known at the end. */
static void kbr_group_put_offsets(struct kbr_wire_writer *w, const struct kbr_group_offset *offsets,
				  unsigned int count, bool commit)
{
	size_t topics_at = w->len, parts_at = 0;
	s32 topics = 0, parts = 0;
	unsigned int i;

	kbr_put_count(w, 0);
	for (i = 0; i < count; i++) {
		const struct kbr_group_offset *offset = &offsets[i];

		if (!i || kbr_group_str_cmp(&offset->topic, &offsets[i - 1].topic)) {
			if (i)
				kbr_wire_writer_patch_s32(w, parts_at, parts);
			kbr_put_str(w, &offset->topic);
			parts_at = w->len;
			kbr_put_count(w, 0);
			parts = 0;
			topics++;
		}
		parts++;
		kbr_put_s32(w, offset->partition);
		if (!commit)
			continue;
		kbr_put_s64(w, offset->offset);
		kbr_put_s32(w, offset->leader_epoch);
		kbr_put_str(w, &offset->metadata);
	}
	if (count)
		kbr_wire_writer_patch_s32(w, parts_at, parts);
	kbr_wire_writer_patch_s32(w, topics_at, topics);
}

static void kbr_group_put_change(struct kbr_call *call, const struct kbr_str *name,
				 const struct kbr_group_offset *offsets, unsigned int count)
{
	struct kbr_wire_writer *w = &call->body;

	switch (call->key) {
	case KBR_API_OFFSET_COMMIT:
		kbr_put_str(w, name);
		kbr_put_s32(w, -1);
		kbr_put_string(w, "");
		kbr_put_string(w, NULL);
		kbr_group_put_offsets(w, offsets, count, true);
		break;
	case KBR_API_OFFSET_DELETE:
		kbr_put_str(w, name);
		kbr_group_put_offsets(w, offsets, count, false);
		break;
	default:	/* DeleteGroups */
		kbr_put_count(w, 1);
		kbr_put_str(w, name);
	}
}

/* The first error in an answer that was checked: of the group, or of any of its offsets. */
static s16 kbr_group_get_change(struct kbr_wire_reader *r, s16 key)
{
	s16 code = KBR_KAFKA_NONE, one;
	s32 topics, parts;

	if (key == KBR_API_OFFSET_DELETE)
		code = kbr_get_s16(r);
	kbr_get_s32(r);		/* throttle_time_ms */
	for (topics = kbr_get_count(r); topics > 0; topics--) {
		kbr_get_string(r);
		if (key == KBR_API_DELETE_GROUPS) {
			one = kbr_get_s16(r);
			code = code ?: one;
			continue;
		}
		for (parts = kbr_get_count(r); parts > 0; parts--) {
			kbr_get_s32(r);
			one = kbr_get_s16(r);
			code = code ?: one;
		}
	}
	return code;
}

static s16 kbr_group_change_version(s16 key)
{
	switch (key) {
	case KBR_API_OFFSET_COMMIT:
		return KBR_COMMIT_VERSION;
	case KBR_API_OFFSET_DELETE:
		return KBR_DELETE_OFFSETS_VERSION;
	default:
		return KBR_DELETE_GROUPS_VERSION;
	}
}

/* Ask @peer once. 0 and *@code, or what kbr_call_wait() returned. */
static int kbr_group_change_ask(struct kbr_broker *broker, s32 peer, s16 key,
				const struct kbr_str *name, const struct kbr_group_offset *offsets,
				unsigned int count, s16 *code)
{
	s16 version = kbr_group_change_version(key);
	struct kbr_call *call = kbr_call_new(peer, key, version);
	struct kbr_wire_reader r;
	int err;

	if (!call)
		return -ENOMEM;
	kbr_group_put_change(call, name, offsets, count);
	err = kbr_call_wait(broker, call, KBR_GROUP_CONNECT_MS, KBR_GROUP_CHANGE_MS);
	if (!err) {
		kbr_wire_reader_init(&r, call->answer, call->len, false);
		if (kbr_message_check(&r, kbr_api_find(key)->response, version))
			err = -EPROTO;
		else
			*code = kbr_group_get_change(&r, key);
	}
	kbr_call_put(call);
	return err;
}

/* May it be asked again for what it said, or for what became of the connection? */
static bool kbr_group_change_again(int err, s16 code)
{
	switch (err) {
	case 0:
		return code == KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS ||
		       code == KBR_KAFKA_NOT_COORDINATOR ||
		       code == KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	case -EAGAIN:
	case -EHOSTUNREACH:
	case -ECONNRESET:
		return true;
	default:
		return false;
	}
}

int kbr_group_change_there(struct kbr_broker *broker, s16 key, const struct kbr_str *name,
			   const struct kbr_group_offset *offsets, unsigned int count, s16 *code,
			   bool *sent)
{
	unsigned long end = jiffies + msecs_to_jiffies(KBR_GROUP_CHANGE_MS);
	s32 peer;
	int err;

	for (;;) {
		*code = KBR_KAFKA_NONE;
		err = kbr_groups_coordinator(broker, name, &peer);
		if (!err && peer == READ_ONCE(broker->id))
			return -EREMOTE;
		if (!err)
			err = kbr_group_change_ask(broker, peer, key, name, offsets, count, code);
		/* What was done before the connection went is not there any more. */
		if (!err && *sent && key == KBR_API_DELETE_GROUPS &&
		    *code == KBR_KAFKA_GROUP_ID_NOT_FOUND)
			*code = KBR_KAFKA_NONE;
		if (!kbr_group_change_again(err, *code) || time_after(jiffies, end))
			return err;
		*sent |= err == -ECONNRESET;
		msleep(KBR_GROUP_AGAIN_MS);
	}
}
KBR_EXPORT_IF_KUNIT(kbr_group_change_there);
