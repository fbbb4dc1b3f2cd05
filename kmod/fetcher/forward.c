// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device writes on their way to a leader: a Produce for each batch, several at
 * once, answered in order. Which batch goes when, and what follows from an
 * answer, is in broker/forward.c.
 */
#include <linux/string.h>

#include "base/error.h"
#include "base/kunit.h"
#include "broker/topic.h"
#include "codec/proto.h"
#include "fetcher/fetcher.h"

#define KBR_PRODUCE_VERSION	8
/* What the buffer of requests keeps when all of them are sent, bytes */
#define KBR_FORWARD_OUT_KEEP	(2u << 20)

/* An idle connection is kept, a broken one is not made anew for nothing. */
static bool kbr_link_forward_wanted(struct kbr_link *link)
{
	return link->state == KBR_LINK_READY ||
	       kbr_forward_waits(link->fetcher->broker, link->peer);
}

static bool kbr_link_put_produce(struct kbr_link *link)
{
	struct kbr_wire_writer *w = &link->out;
	struct kbr_forward_sent *sent;
	size_t at;

	if (w->size > KBR_FORWARD_OUT_KEEP) {
		size_t max = w->max;

		kbr_wire_writer_free(w);
		kbr_wire_writer_init(w, max, false);
	}
	sent = kbr_forward_next(link->fetcher->broker, &link->route);
	if (!sent)
		return false;
	at = kbr_link_begin_request(link, KBR_API_PRODUCE, KBR_PRODUCE_VERSION);
	kbr_put_string(w, NULL);	/* transactional_id */
	kbr_put_s16(w, KBR_ACKS_ALL);
	kbr_put_s32(w, sent->timeout_ms);
	kbr_put_count(w, 1);
	kbr_put_string(w, sent->topic->name);
	kbr_put_count(w, 1);
	kbr_put_s32(w, (s32)sent->index);
	kbr_put_bytes(w, sent->buf, sent->size);
	kbr_link_end_request(link, at);
	return true;
}

/**
 * struct kbr_link_produced - what a leader says of one batch
 * @err: as errno
 * @base_offset: of its first record
 * @log_append_time: that it set, or -1
 */
struct kbr_link_produced {
	int err;
	s64 base_offset;
	s64 log_append_time;
};

/* The one partition of an answer that was checked. False: it has none. */
static bool kbr_link_get_produced(struct kbr_wire_reader *r, struct kbr_link_produced *produced)
{
	if (kbr_get_count(r) != 1)
		return false;
	kbr_get_string(r);
	if (kbr_get_count(r) != 1)
		return false;
	kbr_get_s32(r);		/* index */
	produced->err = kbr_error_from_kafka(kbr_get_s16(r));
	produced->base_offset = kbr_get_s64(r);
	produced->log_append_time = kbr_get_s64(r);
	return !r->bad;
}

static int kbr_link_take_produce(struct kbr_link *link, void *buf, size_t len)
{
	s32 oldest = link->correlation - (s32)link->in_flight + 1;
	struct kbr_link_produced produced;
	struct kbr_wire_reader r;
	s32 correlation;

	kbr_wire_reader_init(&r, buf, len, false);
	correlation = kbr_get_s32(&r);
	if (r.bad || !link->in_flight || correlation != oldest ||
	    kbr_message_check(&r, kbr_api_find(KBR_API_PRODUCE)->response, KBR_PRODUCE_VERSION) ||
	    !kbr_link_get_produced(&r, &produced))
		return -EPROTO;
	link->in_flight--;
	link->moved = ktime_get();
	kbr_forward_answer(link->fetcher->broker, &link->route, produced.err,
			   produced.base_offset, produced.log_append_time);
	return 0;
}

static long kbr_link_forward_retry(struct kbr_link *link)
{
	/* Before it is connected there is no use in trying sooner. */
	if (link->state != KBR_LINK_READY)
		return -1;
	return kbr_forward_next_retry(link->fetcher->broker, link->peer);
}

static void kbr_link_forward_closed(struct kbr_link *link)
{
	kbr_forward_lost(link->fetcher->broker, &link->route);
}

const struct kbr_link_ops kbr_forward_ops = {
	.what = "forwards device writes to",
	.wanted = kbr_link_forward_wanted,
	.put = kbr_link_put_produce,
	.take = kbr_link_take_produce,
	.next_retry = kbr_link_forward_retry,
	.closed = kbr_link_forward_closed,
};
