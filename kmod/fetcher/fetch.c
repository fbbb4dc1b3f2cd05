// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fetch requests of a link and what comes of their answers. A leader is trusted
 * no more than a client: its answer is checked as a whole against the schema
 * before any of it has an effect, and each batch again where it is appended.
 *
 * A request lists only what has changed since the last one. A partition that the
 * leader refuses is taken out for a while, with a new session: in the old one it
 * would have every Fetch answered at once.
 */
#include <linux/jiffies.h>
#include <linux/string.h>

#include "base/error.h"
#include "base/kunit.h"
#include "codec/fetched.h"
#include "codec/proto.h"
#include "fetcher/fetcher.h"

static const struct kbr_broker_config *kbr_link_config(const struct kbr_link *link)
{
	return &link->fetcher->broker->config;
}

/* Does it catch up, faster than it may? Then it is left out for a while. */
static bool kbr_link_part_throttled(struct kbr_link *link, struct kbr_link_part *lp)
{
	s64 ms = kbr_replica_throttle_ms(lp->part, READ_ONCE(link->fetcher->broker->id), false);

	if (likely(!ms))
		return false;
	lp->waits = true;
	lp->retry_at = jiffies + msecs_to_jiffies(min_t(s64, ms, MSEC_PER_SEC)) + 1;
	lp->forget |= lp->in_session;
	lp->in_session = false;
	return true;
}

/* Does a Fetch have to list it? It is read into @pos. */
static bool kbr_link_part_changed(struct kbr_link *link, struct kbr_link_part *lp,
				  struct kbr_replica_position *pos)
{
	if (lp->waits && time_before(jiffies, lp->retry_at))
		return false;
	lp->waits = false;
	if (kbr_replica_get_position(lp->part, pos) || pos->leader != link->peer ||
	    kbr_link_part_throttled(link, lp))
		return false;
	return !link->session_epoch || !lp->in_session || pos->end != lp->offset ||
	       pos->synced != lp->synced || pos->leader_epoch != lp->epoch;
}

static void kbr_link_put_part(struct kbr_link *link, struct kbr_link_part *lp,
			      const struct kbr_replica_position *pos)
{
	struct kbr_wire_writer *w = &link->out;

	kbr_put_s32(w, (s32)lp->part->index);
	kbr_put_s32(w, pos->leader_epoch);
	kbr_put_s64(w, pos->end);
	kbr_put_s32(w, pos->last_epoch);
	kbr_put_s64(w, pos->start);
	kbr_put_s32(w, READ_ONCE(kbr_link_config(link)->replica_fetch_bytes_max));
	kbr_put_uvarint(w, 1);
	kbr_put_tag(w, KBR_TAG_FETCH_SYNCED, sizeof(s64));
	kbr_put_s64(w, pos->synced);
	lp->in_session = true;
	lp->forget = false;
	lp->offset = pos->end;
	lp->synced = pos->synced;
	lp->epoch = pos->leader_epoch;
}

/* All that changed; the number of partitions. */
static unsigned int kbr_link_put_parts(struct kbr_link *link)
{
	const struct kbr_topic *topic = NULL;
	struct kbr_wire_writer *w = &link->out;
	size_t topics_at = kbr_put_open_count(w), at = 0;
	struct kbr_replica_position pos;
	s32 topics = 0, parts = 0;
	struct kbr_link_part *lp;
	unsigned int all = 0;

	lockdep_assert_held(&link->lock);
	list_for_each_entry(lp, &link->parts, node) {
		if (all == KBR_FETCH_PARTITIONS_MAX || !kbr_link_part_changed(link, lp, &pos))
			continue;
		if (lp->part->topic != topic) {
			if (topic) {
				kbr_wire_writer_patch_count(w, at, parts);
				kbr_put_tags(w);
			}
			topic = lp->part->topic;
			kbr_put_string(w, topic->name);
			at = kbr_put_open_count(w);
			topics++;
			parts = 0;
		}
		kbr_link_put_part(link, lp, &pos);
		parts++;
		all++;
	}
	if (topic) {
		kbr_wire_writer_patch_count(w, at, parts);
		kbr_put_tags(w);
	}
	kbr_wire_writer_patch_count(w, topics_at, topics);
	return all;
}

/* Which partitions the leader is to leave out from now on; a new session has none of them. */
static void kbr_link_put_forgotten(struct kbr_link *link)
{
	struct kbr_wire_writer *w = &link->out;
	size_t at = kbr_put_open_count(w);
	struct kbr_link_part *lp;
	s32 count = 0;

	lockdep_assert_held(&link->lock);
	list_for_each_entry(lp, &link->parts, node) {
		if (!lp->forget)
			continue;
		lp->forget = false;
		if (!link->session_epoch)
			continue;
		kbr_put_string(w, lp->part->topic->name);
		kbr_put_count(w, 1);
		kbr_put_s32(w, (s32)lp->part->index);
		kbr_put_tags(w);
		count++;
	}
	kbr_wire_writer_patch_count(w, at, count);
}

bool kbr_link_put_fetch(struct kbr_link *link, bool always)
{
	const struct kbr_broker_config *config = kbr_link_config(link);
	struct kbr_wire_writer *w = &link->out;
	s32 correlation = link->correlation;
	unsigned int count;
	size_t at;

	/* A partition that left and came back is listed only once this was seen. */
	mutex_lock(&link->lock);
	if (test_and_clear_bit(KBR_LINK_RESET, &link->flags))
		link->session_epoch = 0;
	/* A session begins when all answers of the last one have come. */
	if (link->in_flight && (link->opening || !link->session_epoch)) {
		mutex_unlock(&link->lock);
		return false;
	}
	at = kbr_link_begin_request(link, KBR_API_FETCH, KBR_FETCHED_VERSION);
	kbr_put_s32(w, link->fetcher->broker->id);
	kbr_put_s32(w, READ_ONCE(config->replica_fetch_wait_ms));
	kbr_put_s32(w, READ_ONCE(config->replica_fetch_bytes_min));
	kbr_put_s32(w, READ_ONCE(config->replica_fetch_response_max));
	kbr_put_s8(w, 0);
	kbr_put_s32(w, link->session);
	kbr_put_s32(w, link->session_epoch);
	count = kbr_link_put_parts(link);
	if (!count && (!always || !link->session_epoch)) {
		/* Nothing to say, or nothing to fetch. */
		mutex_unlock(&link->lock);
		w->len = at;
		link->correlation = correlation;
		return false;
	}
	kbr_link_put_forgotten(link);
	mutex_unlock(&link->lock);
	kbr_put_string(w, "");	/* rack */
	kbr_put_tags(w);
	kbr_link_end_request(link, at);
	link->opening = !link->session_epoch;
	if (link->session_epoch)
		link->session_epoch = link->session_epoch == S32_MAX ? 1 : link->session_epoch + 1;
	link->stats.fetches++;
	return true;
}
KBR_EXPORT_IF_KUNIT(kbr_link_put_fetch);

/* ---- answers ---- */

/* Who is told to cut and changes nothing would ask again for ever. */
static int kbr_link_truncate(struct kbr_link_part *lp, const struct kbr_fetched_part *fetched,
			     s64 end)
{
	struct kbr_replica_diverging diverging = {
		.epoch = fetched->diverging_epoch,
		.end = fetched->diverging_end,
		.start = fetched->start,
	};
	s64 start = kbr_log_start(&lp->part->log);
	int err;

	err = kbr_replica_truncate(lp->part, lp->epoch, &diverging);
	if (err || kbr_log_end(&lp->part->log) != end || kbr_log_start(&lp->part->log) != start)
		return err;
	return -EBADMSG;
}

/* Whole batches that begin where the log, which ends at @end, may go on. */
static int kbr_link_append(struct kbr_link *link, struct kbr_link_part *lp,
			   const struct kbr_fetched_part *fetched, s64 end)
{
	struct kbr_str records = fetched->records;
	s64 len;
	int err;

	kbr_fetched_trim(&records, end);
	len = max(records.len, 0);
	err = kbr_replica_append(lp->part, (void *)records.at, len, lp->epoch, fetched->hw,
				 fetched->start);
	if (err)
		return err;
	link->stats.bytes += len;
	kbr_replica_throttle_take(lp->part, READ_ONCE(link->fetcher->broker->id), false, len);
	/* Not even one was whole: it would be no more the next time. */
	return len && len == fetched->records.len && kbr_log_end(&lp->part->log) == end ? -EBADMSG : 0;
}

/* Append, truncate or begin anew, as the leader says. */
static int kbr_link_obey(struct kbr_link *link, struct kbr_link_part *lp,
			 const struct kbr_fetched_part *fetched)
{
	struct kbr_replica_position pos;
	int refused = kbr_error_from_kafka(fetched->code);
	int err;

	err = kbr_replica_get_position(lp->part, &pos);
	if (err)
		return err;
	/* It was asked in an epoch that has passed meanwhile. */
	if (pos.leader_epoch != lp->epoch || pos.leader != link->peer)
		return 0;
	/* Or from an end that was cut off meanwhile: two may be under way, and both say so. */
	if (pos.end < lp->offset ||
	    (pos.end > lp->offset && (fetched->diverges || refused == -ERANGE)))
		return 0;
	if (refused == -ERANGE && fetched->start > pos.end)
		return kbr_replica_restart(lp->part, lp->epoch, fetched->start);
	if (refused)
		return refused;
	if (fetched->diverges)
		return kbr_link_truncate(lp, fetched, pos.end);
	err = kbr_link_append(link, lp, fetched, pos.end);
	/* Told of by whoever changed it. */
	return err == -ESTALE ? 0 : err;
}

/*
 * The leader, or our own log, says no: not again for a while. A leader that was
 * just elected may only not know it yet, so at first for a short one.
 */
static void kbr_link_part_refused(struct kbr_link *link, struct kbr_link_part *lp)
{
	u32 most = READ_ONCE(kbr_link_config(link)->replica_fetch_backoff_ms);
	u32 ms = min_t(u32, KBR_LINK_RETRY_MS << min(lp->refusals, 16u), most);

	lp->refusals++;
	lp->waits = true;
	lp->retry_at = jiffies + msecs_to_jiffies(ms);
	lp->in_session = false;
	link->session_epoch = 0;
}

static void kbr_link_take_part(struct kbr_link *link, struct kbr_topic *topic,
			       const struct kbr_fetched_part *fetched)
{
	struct kbr_partition *part;
	struct kbr_link_part *lp;
	int err;

	part = fetched->index >= 0 ? kbr_topic_partition(topic, fetched->index) : NULL;
	mutex_lock(&link->lock);
	lp = part ? kbr_link_find_locked(link, part) : NULL;
	/* Else it is not followed any more, or was not asked for. */
	if (lp && lp->in_session) {
		err = kbr_link_obey(link, lp, fetched);
		if (err)
			kbr_link_part_refused(link, lp);
		else
			lp->refusals = 0;
	}
	mutex_unlock(&link->lock);
	cond_resched();
}

static void kbr_link_take_topics(struct kbr_link *link, struct kbr_wire_reader *r)
{
	char name[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_fetched_part fetched;
	struct kbr_topic *topic;
	struct kbr_str text;
	s32 topics, parts;

	for (topics = kbr_get_count(r); topics > 0; topics--) {
		text = kbr_get_string(r);
		topic = kbr_str_copy(&text, name, sizeof(name)) ? NULL :
			kbr_topic_lookup(link->fetcher->broker, name);
		for (parts = kbr_get_count(r); parts > 0; parts--) {
			kbr_fetched_get_part(r, &fetched);
			if (topic && !READ_ONCE(link->fetcher->dead))
				kbr_link_take_part(link, topic, &fetched);
		}
		kbr_get_tags(r);
		kbr_topic_put(topic);
	}
}

int kbr_link_take_fetch(struct kbr_link *link, void *buf, size_t len)
{
	s32 oldest = link->correlation - (s32)link->in_flight + 1;
	struct kbr_fetched_head head;
	struct kbr_wire_reader r;

	if (kbr_fetched_open(&r, buf, len, &head) || !link->in_flight || head.correlation != oldest)
		return -EPROTO;
	link->in_flight--;
	link->moved = ktime_get();
	if (head.code) {
		/* Of the session: begin a new one. All else is no answer to a broker. */
		link->session = 0;
		link->session_epoch = 0;
		link->opening = false;
		return head.code == 70 || head.code == 71 ? 0 : kbr_error_from_kafka(head.code);
	}
	if (link->opening) {
		link->opening = false;
		link->session = max(head.session, 0);
		link->session_epoch = head.session > 0;
	} else if (head.session != link->session) {
		/* The leader has left it, or says what nobody asked: begin a new one. */
		link->session = 0;
		link->session_epoch = 0;
	}
	kbr_link_take_topics(link, &r);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_link_take_fetch);

/* Is there something to be sent, or an answer to be awaited, before another Fetch may go out? */
static bool kbr_link_fetch_held(const struct kbr_link *link)
{
	if (link->out.len)
		return true;
	return link->in_flight && (link->opening || !link->session_epoch ||
				   link->in_flight >= KBR_LINK_FETCHES_MAX);
}

/* Jiffies until a partition that waits may be fetched again, -1: none does. */
static long kbr_link_fetch_retry(struct kbr_link *link)
{
	struct kbr_link_part *lp;
	long left, first = -1;

	/* The answer has it looked at. */
	if (kbr_link_fetch_held(link))
		return -1;
	mutex_lock(&link->lock);
	list_for_each_entry(lp, &link->parts, node) {
		if (!lp->waits)
			continue;
		left = max_t(long, (long)(lp->retry_at - jiffies), 0);
		if (first < 0 || left < first)
			first = left;
	}
	mutex_unlock(&link->lock);
	return first;
}

/* A Fetch, if one is due. */
static bool kbr_link_fetch(struct kbr_link *link)
{
	if (!link->in_flight) {
		clear_bit(KBR_LINK_NEWS, &link->flags);
		return kbr_link_put_fetch(link, true);
	}
	if (kbr_link_fetch_held(link) || (!test_and_clear_bit(KBR_LINK_NEWS, &link->flags) &&
					  kbr_link_fetch_retry(link)))
		return false;
	/* The one under way waits at the leader: this one has it answered. */
	return kbr_link_put_fetch(link, false);
}

static bool kbr_link_fetch_wanted(struct kbr_link *link)
{
	return READ_ONCE(link->count);
}

static void kbr_link_fetch_closed(struct kbr_link *link)
{
	struct kbr_link_part *lp;

	link->session = 0;
	link->session_epoch = 0;
	link->opening = false;
	mutex_lock(&link->lock);
	list_for_each_entry(lp, &link->parts, node)
		lp->in_session = false;
	mutex_unlock(&link->lock);
}

static void kbr_link_fetch_report(struct kbr_link *link)
{
	link->stats.connected = link->state == KBR_LINK_READY;
	link->stats.followed = READ_ONCE(link->count);
	kbr_cluster_peer_report(link->fetcher->broker, link->peer, &link->stats);
}

const struct kbr_link_ops kbr_fetch_ops = {
	.what = "fetches from",
	.wanted = kbr_link_fetch_wanted,
	.put = kbr_link_fetch,
	.take = kbr_link_take_fetch,
	.next_retry = kbr_link_fetch_retry,
	.closed = kbr_link_fetch_closed,
	.report = kbr_link_fetch_report,
};
KBR_EXPORT_IF_KUNIT(kbr_fetch_ops);
