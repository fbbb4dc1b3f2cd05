// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is said to another broker about shares, one message at a time. What is in
 * it, and what follows from its answer, is in broker/share_far.h.
 */
#include "codec/proto.h"
#include "fetcher/fetcher.h"

/* An idle connection is kept: where it ends the broker there may have. */
static bool kbr_link_share_wanted(struct kbr_link *link)
{
	return link->state == KBR_LINK_READY ||
	       kbr_share_waits(link->fetcher->broker, link->peer);
}

static bool kbr_link_put_share(struct kbr_link *link)
{
	struct kbr_wire_writer *w = &link->out;
	size_t at;

	if (link->letter)
		return false;
	at = kbr_link_begin_request(link, KBR_API_SHARE, KBR_SHARE_WIRE_VERSION);
	link->letter = kbr_share_next(link->fetcher->broker, link->peer, w);
	if (!link->letter) {
		w->len = at;
		link->correlation--;
		return false;
	}
	kbr_link_end_request(link, at);
	return true;
}

static int kbr_link_take_share(struct kbr_link *link, void *buf, size_t len)
{
	struct kbr_share_letter *letter = link->letter;
	struct kbr_wire_reader r;
	s16 code;

	kbr_wire_reader_init(&r, buf, len, false);
	if (kbr_get_s32(&r) != link->correlation || !letter)
		return -EPROTO;
	code = kbr_get_s16(&r);
	if (r.bad)
		return -EPROTO;
	link->in_flight--;
	link->moved = ktime_get();
	link->letter = NULL;
	kbr_share_answered(link->fetcher->broker, letter, code);
	return 0;
}

static long kbr_link_share_retry(struct kbr_link *link)
{
	return -1;	/* it is kicked when there is something */
}

static void kbr_link_share_closed(struct kbr_link *link)
{
	struct kbr_share_letter *letter = link->letter;

	link->letter = NULL;
	kbr_share_lost(link->fetcher->broker, link->peer, letter);
}

const struct kbr_link_ops kbr_share_ops = {
	.what = "shares partitions with",
	.wanted = kbr_link_share_wanted,
	.put = kbr_link_put_share,
	.take = kbr_link_take_share,
	.next_retry = kbr_link_share_retry,
	.closed = kbr_link_share_closed,
};
