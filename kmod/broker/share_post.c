// SPDX-License-Identifier: GPL-2.0-only
/*
 * Letters between brokers that share out partitions; see share_far.h. Who has a
 * connection to a broker, the fetcher, takes them one at a time. A letter is
 * written when it is taken, and again if there was more to say before it was
 * answered, or if no answer came. Those to this broker itself go the same way
 * but for the connection.
 */
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/broker.h"
#include "broker/cluster.h"
#include "codec/kafka_error.h"
#include "broker/replica.h"
#include "broker/share_far.h"

/* Most that one message can have: all partitions of a topic, and names */
#define KBR_SHARE_MESSAGE_MAX	(1u << 20)

static void kbr_share_queue_locked(struct kbr_share_posts *posts, struct kbr_share_letter *letter)
{
	lockdep_assert_held(&posts->lock);
	list_add_tail(&letter->node, &posts->letters);
}

void kbr_share_post(struct kbr_broker *broker, struct kbr_share_letter *letter, s32 to)
{
	struct kbr_share_posts *posts = &broker->share_posts;

	spin_lock(&posts->lock);
	if (posts->stopped || to < 0)
		goto out;
	letter->to = to;
	if (letter->under_way) {
		letter->again = true;
	} else if (list_empty(&letter->node)) {
		letter->ops->get(letter);
		kbr_share_queue_locked(posts, letter);
	}
	queue_work(broker->work_wq, &posts->work);
out:
	spin_unlock(&posts->lock);
}

u64 kbr_share_sequence(struct kbr_broker *broker)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	u64 sequence;

	spin_lock(&posts->lock);
	sequence = ++posts->sequence;
	spin_unlock(&posts->lock);
	return sequence;
}

bool kbr_share_is_idle(struct kbr_broker *broker, struct kbr_share_letter *letter)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	bool idle;

	spin_lock(&posts->lock);
	idle = posts->stopped || (list_empty(&letter->node) && !letter->under_way);
	spin_unlock(&posts->lock);
	return idle;
}

bool kbr_share_waits(struct kbr_broker *broker, s32 to)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	struct kbr_share_letter *letter;
	bool waits = false;

	spin_lock(&posts->lock);
	list_for_each_entry(letter, &posts->letters, node) {
		waits = letter->to == to;
		if (waits)
			break;
	}
	spin_unlock(&posts->lock);
	return waits;
}
KBR_EXPORT_IF_KUNIT(kbr_share_waits);

/* The oldest letter to @to, under way from now on, with its reference; or NULL. */
static struct kbr_share_letter *kbr_share_take(struct kbr_share_posts *posts, s32 to)
{
	struct kbr_share_letter *letter, *found = NULL;

	spin_lock(&posts->lock);
	list_for_each_entry(letter, &posts->letters, node) {
		if (letter->to != to)
			continue;
		list_del_init(&letter->node);
		letter->under_way = true;
		letter->again = false;
		found = letter;
		break;
	}
	spin_unlock(&posts->lock);
	return found;
}

/* It is under way no more; @again: it is to be written anew in any case. */
static void kbr_share_end_letter(struct kbr_broker *broker, struct kbr_share_letter *letter,
				 bool again)
{
	struct kbr_share_posts *posts = &broker->share_posts;

	spin_lock(&posts->lock);
	letter->under_way = false;
	again = (again || letter->again) && !posts->stopped;
	if (again) {
		kbr_share_queue_locked(posts, letter);
		queue_work(broker->work_wq, &posts->work);
	}
	spin_unlock(&posts->lock);
	if (!again)
		letter->ops->put(letter);
}

struct kbr_share_letter *kbr_share_next(struct kbr_broker *broker, s32 to,
					struct kbr_wire_writer *w)
{
	struct kbr_share_letter *letter;

	while ((letter = kbr_share_take(&broker->share_posts, to))) {
		if (letter->ops->write(letter, w))
			return letter;
		kbr_share_end_letter(broker, letter, false);
	}
	return NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_share_next);

void kbr_share_answered(struct kbr_broker *broker, struct kbr_share_letter *letter, s16 code)
{
	letter->ops->answered(letter, code);
	kbr_share_end_letter(broker, letter, false);
}
KBR_EXPORT_IF_KUNIT(kbr_share_answered);

/* Have the share look after its nodes in @ms. */
static void kbr_share_watch_locked(struct kbr_broker *broker, struct kbr_share_node *node,
				   unsigned int ms)
{
	struct kbr_share *share = node->share;

	kref_get(&share->ref);
	if (mod_delayed_work(broker->work_wq, &share->lead->watch, msecs_to_jiffies(ms)))
		kbr_share_put(share);	/* never the last: the node has one */
}

/* It may have died: the next answer tells that it lives. */
static void kbr_share_miss_locked(struct kbr_broker *broker, struct kbr_share_node *node)
{
	struct kbr_share_posts *posts = &broker->share_posts;

	lockdep_assert_held(&posts->lock);
	if (node->lost)
		return;
	node->lost = true;
	node->lost_at = jiffies;
	kbr_share_watch_locked(broker, node, KBR_SHARE_GRACE_MS + 1);
	if (node->letter.under_way || !list_empty(&node->letter.node))
		return;
	kref_get(&node->ref);
	node->letter.to = node->id;
	kbr_share_queue_locked(posts, &node->letter);
	queue_work(broker->work_wq, &posts->work);
}

void kbr_share_lost(struct kbr_broker *broker, s32 peer, struct kbr_share_letter *letter)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	struct kbr_share_node *node;

	if (letter)
		kbr_share_end_letter(broker, letter, true);
	spin_lock(&posts->lock);
	list_for_each_entry(node, &posts->nodes, all) {
		if (node->id == peer && !posts->stopped)
			kbr_share_miss_locked(broker, node);
	}
	spin_unlock(&posts->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_share_lost);

void kbr_shares_peer_changed(struct kbr_broker *broker, s32 id)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	struct kbr_share_node *node;
	struct kbr_peer peer;
	bool fenced;

	if (id == READ_ONCE(broker->id))
		return;
	fenced = !kbr_cluster_peer(broker, id, &peer) && peer.fenced;
	spin_lock(&posts->lock);
	list_for_each_entry(node, &posts->nodes, all) {
		if (node->id != id || posts->stopped)
			continue;
		if (fenced)
			kbr_share_miss_locked(broker, node);
		else
			kbr_share_watch_locked(broker, node, 0);
	}
	spin_unlock(&posts->lock);
}

s16 kbr_share_receive(struct kbr_broker *broker, s32 from, s64 epoch, struct kbr_wire_reader *r)
{
	struct kbr_share_message message;

	kbr_share_get_head(r, &message);
	if (message.kind == KBR_SHARE_STATE)
		return kbr_share_lead_receive(broker, from, epoch, &message, r);
	return kbr_share_mirror_receive(broker, from, &message, r);
}
KBR_EXPORT_IF_KUNIT(kbr_share_receive);

/* What this broker has to say to itself. */
static void kbr_share_deliver(struct kbr_broker *broker)
{
	s32 me = READ_ONCE(broker->id);
	struct kbr_share_letter *letter;
	struct kbr_wire_writer w;
	struct kbr_wire_reader r;
	s16 code;

	kbr_wire_writer_init(&w, KBR_SHARE_MESSAGE_MAX, false);
	while ((letter = kbr_share_next(broker, me, &w))) {
		code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
		if (!w.err) {
			kbr_wire_reader_init(&r, w.buf, w.len, false);
			code = kbr_share_receive(broker, me, kbr_cluster_epoch(broker), &r);
		}
		kbr_share_answered(broker, letter, code);
		w.len = 0;
		w.err = 0;
		cond_resched();
	}
	kbr_wire_writer_free(&w);
}

/* The next broker above @after that something is to be said to; -1 none */
static s32 kbr_share_next_peer(struct kbr_share_posts *posts, s32 after)
{
	struct kbr_share_letter *letter;
	s32 next = -1;

	spin_lock(&posts->lock);
	list_for_each_entry(letter, &posts->letters, node)
		if (letter->to > after && (next < 0 || letter->to < next))
			next = letter->to;
	spin_unlock(&posts->lock);
	return next;
}

static void kbr_share_post_work(struct work_struct *work)
{
	struct kbr_share_posts *posts = container_of(work, struct kbr_share_posts, work);
	struct kbr_broker *broker = container_of(posts, struct kbr_broker, share_posts);
	s32 to = -1;

	while ((to = kbr_share_next_peer(posts, to)) >= 0) {
		if (to == READ_ONCE(broker->id))
			kbr_share_deliver(broker);
		else if (kbr_cluster_is_member(broker) && kbr_follow())
			kbr_follow()->share(broker, to);
	}
}

void kbr_share_posts_init(struct kbr_broker *broker)
{
	struct kbr_share_posts *posts = &broker->share_posts;

	spin_lock_init(&posts->lock);
	INIT_LIST_HEAD(&posts->letters);
	INIT_LIST_HEAD(&posts->nodes);
	INIT_WORK(&posts->work, kbr_share_post_work);
	mutex_init(&posts->mirrors_lock);
	INIT_LIST_HEAD(&posts->mirrors);
}

void kbr_share_posts_stop(struct kbr_broker *broker)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	struct kbr_share_letter *letter;

	spin_lock(&posts->lock);
	posts->stopped = true;
	spin_unlock(&posts->lock);
	cancel_work_sync(&posts->work);
	for (;;) {
		spin_lock(&posts->lock);
		letter = list_first_entry_or_null(&posts->letters, struct kbr_share_letter, node);
		if (letter)
			list_del_init(&letter->node);
		spin_unlock(&posts->lock);
		if (!letter)
			break;
		letter->ops->put(letter);
	}
}
