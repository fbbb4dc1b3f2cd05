// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls to another broker, one at a time. Who makes them, and what follows from
 * an answer, is the business of those who wait (broker/call.h).
 */
#include "broker/call.h"
#include "codec/proto.h"
#include "fetcher/fetcher.h"

/* An idle connection is kept, a broken one is not made anew for nothing. */
static bool kbr_link_call_wanted(struct kbr_link *link)
{
	return link->state == KBR_LINK_READY ||
	       kbr_calls_wait_for(link->fetcher->broker, link->peer);
}

static bool kbr_link_put_call(struct kbr_link *link)
{
	struct kbr_call *call;
	size_t at;

	if (link->call)
		return false;
	call = kbr_call_next(link->fetcher->broker, link->peer);
	if (!call)
		return false;
	link->call = call;
	at = kbr_link_begin_request(link, call->key, call->version);
	kbr_put_raw(&link->out, call->body.buf, call->body.len);
	kbr_link_end_request(link, at);
	return true;
}

static int kbr_link_take_call(struct kbr_link *link, void *buf, size_t len)
{
	struct kbr_call *call = link->call;
	struct kbr_wire_reader r;

	kbr_wire_reader_init(&r, buf, len, false);
	if (kbr_get_s32(&r) != link->correlation || r.bad || !call)
		return -EPROTO;
	link->in_flight--;
	link->moved = ktime_get();
	link->call = NULL;
	kbr_call_end(link->fetcher->broker, call, 0, r.at, kbr_wire_reader_left(&r));
	return 0;
}

static long kbr_link_call_retry(struct kbr_link *link)
{
	return -1;	/* it is kicked when there is something */
}

static void kbr_link_call_closed(struct kbr_link *link)
{
	struct kbr_call *call = link->call;

	link->call = NULL;
	if (call)
		kbr_call_end(link->fetcher->broker, call, -ECONNRESET, NULL, 0);
}

const struct kbr_link_ops kbr_call_ops = {
	.what = "asks",
	.wanted = kbr_link_call_wanted,
	.put = kbr_link_put_call,
	.take = kbr_link_take_call,
	.next_retry = kbr_link_call_retry,
	.closed = kbr_link_call_closed,
};
