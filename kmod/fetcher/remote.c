// SPDX-License-Identifier: GPL-2.0-only
/*
 * What device readers want of partitions without a replica here: Fetch, as a
 * consumer's, and ListOffsets for times. What is asked when, and what follows
 * from an answer, is in broker/remote.c.
 */
#include <linux/string.h>

#include "base/error.h"
#include "base/kunit.h"
#include "broker/remote.h"
#include "broker/topic.h"
#include "codec/fetched.h"
#include "codec/proto.h"
#include "fetcher/fetcher.h"

#define KBR_LIST_OFFSETS_VERSION	5

/* An idle connection is kept, a broken one is not made anew for nothing. */
static bool kbr_link_remote_wanted(struct kbr_link *link)
{
	return link->state == KBR_LINK_READY ||
	       kbr_remote_waits(link->fetcher->broker, link->peer);
}

static void kbr_link_put_wanted(struct kbr_link *link, const struct kbr_remote_request *request)
{
	struct kbr_wire_writer *w = &link->out;
	const struct kbr_remote_ask *ask;
	size_t at;

	at = kbr_link_begin_request(link, KBR_API_FETCH, KBR_FETCHED_VERSION);
	kbr_put_s32(w, -1);	/* a consumer */
	kbr_put_s32(w, KBR_REMOTE_WAIT_MS);
	kbr_put_s32(w, 1);
	kbr_put_s32(w, KBR_REMOTE_ANSWER_BYTES);
	kbr_put_s8(w, 0);
	kbr_put_s32(w, 0);
	kbr_put_s32(w, -1);	/* no session */
	kbr_put_count(w, request->count);
	for (ask = request->asks; ask < request->asks + request->count; ask++) {
		kbr_put_string(w, ask->topic->name);
		kbr_put_count(w, 1);
		kbr_put_s32(w, (s32)ask->part->index);
		kbr_put_s32(w, ask->leader_epoch);
		kbr_put_s64(w, ask->offset);
		kbr_put_s32(w, -1);	/* last epoch */
		kbr_put_s64(w, -1);	/* log start */
		kbr_put_s32(w, KBR_REMOTE_PART_BYTES);
		kbr_put_tags(w);
		kbr_put_tags(w);
	}
	kbr_put_count(w, 0);
	kbr_put_string(w, "");	/* rack */
	kbr_put_tags(w);
	kbr_link_end_request(link, at);
}

static void kbr_link_put_times(struct kbr_link *link, const struct kbr_remote_request *request)
{
	struct kbr_wire_writer *w = &link->out;
	const struct kbr_remote_ask *ask;
	size_t at;

	at = kbr_link_begin_request(link, KBR_API_LIST_OFFSETS, KBR_LIST_OFFSETS_VERSION);
	kbr_put_s32(w, -1);
	kbr_put_s8(w, 0);
	kbr_put_count(w, request->count);
	for (ask = request->asks; ask < request->asks + request->count; ask++) {
		kbr_put_string(w, ask->topic->name);
		kbr_put_count(w, 1);
		kbr_put_s32(w, (s32)ask->part->index);
		kbr_put_s32(w, ask->leader_epoch);
		kbr_put_s64(w, ask->offset);
	}
	kbr_link_end_request(link, at);
}

static bool kbr_link_put_remote(struct kbr_link *link)
{
	struct kbr_remote_request *request;

	if (link->in_flight >= KBR_LINK_FETCHES_MAX)
		return false;
	request = kbr_remote_next(link->fetcher->broker, link->peer);
	if (!request)
		return false;
	list_add_tail(&request->node, &link->asked);
	if (request->kind == KBR_REMOTE_TIME)
		kbr_link_put_times(link, request);
	else
		kbr_link_put_wanted(link, request);
	return true;
}

/* What was asked of partition @index of topic @name; NULL: nothing. @at: where it may be. */
static const struct kbr_remote_ask *kbr_link_find_ask(const struct kbr_remote_request *request,
						      const struct kbr_str *name, s32 index,
						      unsigned int *at)
{
	const struct kbr_remote_ask *ask;
	unsigned int tried;

	for (tried = 0; tried < request->count; tried++) {
		ask = &request->asks[(*at + tried) % request->count];
		if ((s32)ask->part->index != index || !kbr_str_equal(name, ask->topic->name))
			continue;
		*at = (*at + tried + 1) % request->count;
		return ask;
	}
	return NULL;
}

static int kbr_link_take_wanted(const struct kbr_remote_request *request, s32 correlation,
				const void *buf, size_t len)
{
	const struct kbr_remote_ask *ask;
	struct kbr_remote_bounds bounds;
	struct kbr_fetched_part part;
	struct kbr_fetched_head head;
	struct kbr_wire_reader r;
	struct kbr_str name;
	unsigned int at = 0;
	s32 topics, parts;

	if (kbr_fetched_open(&r, buf, len, &head) || head.correlation != correlation || head.code)
		return -EPROTO;
	for (topics = kbr_get_count(&r); topics > 0; topics--) {
		name = kbr_get_string(&r);
		for (parts = kbr_get_count(&r); parts > 0; parts--) {
			kbr_fetched_get_part(&r, &part);
			ask = kbr_link_find_ask(request, &name, part.index, &at);
			if (!ask)
				continue;
			bounds.start = part.start;
			bounds.hw = part.hw;
			kbr_remote_answer_records(request, ask, kbr_error_from_kafka(part.code),
						  &bounds, part.records.at,
						  max(part.records.len, 0));
			cond_resched();
		}
		kbr_get_tags(&r);
	}
	return 0;
}

static int kbr_link_take_times(const struct kbr_remote_request *request, s32 correlation,
			       const void *buf, size_t len)
{
	const struct kbr_remote_ask *ask;
	struct kbr_wire_reader r;
	s32 topics, parts, index;
	struct kbr_str name;
	unsigned int at = 0;
	s64 offset, found;
	int err;

	kbr_wire_reader_init(&r, buf, len, false);
	if (kbr_get_s32(&r) != correlation ||
	    kbr_message_check(&r, kbr_api_find(KBR_API_LIST_OFFSETS)->response,
			      KBR_LIST_OFFSETS_VERSION))
		return -EPROTO;
	kbr_get_s32(&r);	/* throttle_time_ms */
	for (topics = kbr_get_count(&r); topics > 0; topics--) {
		name = kbr_get_string(&r);
		for (parts = kbr_get_count(&r); parts > 0; parts--) {
			index = kbr_get_s32(&r);
			err = kbr_error_from_kafka(kbr_get_s16(&r));
			found = kbr_get_s64(&r);
			offset = kbr_get_s64(&r);
			kbr_get_s32(&r);	/* leader epoch */
			ask = kbr_link_find_ask(request, &name, index, &at);
			if (ask)
				kbr_remote_answer_time(request, ask, err, offset, found);
		}
	}
	return 0;
}

static int kbr_link_take_remote(struct kbr_link *link, void *buf, size_t len)
{
	s32 oldest = link->correlation - (s32)link->in_flight + 1;
	struct kbr_remote_request *request;
	int err;

	request = list_first_entry_or_null(&link->asked, struct kbr_remote_request, node);
	if (!request)
		return -EPROTO;
	if (request->kind == KBR_REMOTE_TIME)
		err = kbr_link_take_times(request, oldest, buf, len);
	else
		err = kbr_link_take_wanted(request, oldest, buf, len);
	if (err)
		return err;
	link->in_flight--;
	link->moved = ktime_get();
	list_del(&request->node);
	kbr_remote_end(link->fetcher->broker, request);
	return 0;
}

static long kbr_link_remote_retry(struct kbr_link *link)
{
	/* Before it is connected, or while answers are due, there is no use in trying sooner. */
	if (link->state != KBR_LINK_READY || link->in_flight >= KBR_LINK_FETCHES_MAX)
		return -1;
	return kbr_remote_next_retry(link->fetcher->broker, link->peer);
}

static void kbr_link_remote_closed(struct kbr_link *link)
{
	struct kbr_remote_request *request, *next;

	list_for_each_entry_safe(request, next, &link->asked, node) {
		list_del(&request->node);
		kbr_remote_end(link->fetcher->broker, request);
	}
}

const struct kbr_link_ops kbr_remote_ops = {
	.what = "reads for devices from",
	.wanted = kbr_link_remote_wanted,
	.put = kbr_link_put_remote,
	.take = kbr_link_take_remote,
	.next_retry = kbr_link_remote_retry,
	.closed = kbr_link_remote_closed,
};
