// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the broker tells its fetcher: which partition to follow, which no more,
 * that something is to be forwarded, that a peer has changed, that something reached the disk, that all ends. See
 * fetcher.h.
 */
#include <linux/init.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "fetcher/fetcher.h"
#include "fetcher/init.h"

/* Over making a fetcher and taking it from its broker; outer to kbr_fetcher.lock */
static DEFINE_MUTEX(kbr_fetchers_lock);

/* ---- parts ---- */

static void kbr_fetcher_add(struct kbr_link *link, struct kbr_link_part *lp)
{
	struct kbr_link_part *at;

	mutex_lock(&link->lock);
	hash_add(link->table, &lp->by_part, (unsigned long)lp->part);
	list_for_each_entry_reverse(at, &link->parts, node)
		if (at->part->topic == lp->part->topic)
			break;
	/* Behind its topic's, or at the front. */
	list_add(&lp->node, &at->node);
	WRITE_ONCE(link->count, link->count + 1);
	mutex_unlock(&link->lock);
	set_bit(KBR_LINK_NEWS, &link->flags);
	kbr_link_kick(link);
}

/* Take @part out of @link. False: it is not in it. */
static bool kbr_fetcher_remove(struct kbr_link *link, struct kbr_partition *part)
{
	struct kbr_link_part *lp;

	mutex_lock(&link->lock);
	lp = kbr_link_find_locked(link, part);
	if (lp) {
		hash_del(&lp->by_part);
		list_del(&lp->node);
		WRITE_ONCE(link->count, link->count - 1);
		/* With the removal: no Fetch of this session lists it when it comes back. */
		set_bit(KBR_LINK_RESET, &link->flags);
	}
	mutex_unlock(&link->lock);
	if (!lp)
		return false;
	kfree(lp);
	kbr_link_kick(link);
	return true;
}

static struct kbr_link *kbr_fetcher_find_link(struct kbr_fetcher *fetcher,
					      const struct kbr_link_ops *ops, s32 peer)
{
	struct kbr_link *link;

	lockdep_assert_held(&fetcher->lock);
	list_for_each_entry(link, &fetcher->links, node)
		if (link->peer == peer && link->ops == ops)
			return link;
	return NULL;
}

/* ---- fetchers ---- */

static void kbr_fetcher_release(struct kref *ref)
{
	struct kbr_fetcher *fetcher = container_of(ref, struct kbr_fetcher, ref);

	mutex_destroy(&fetcher->lock);
	kfree_rcu(fetcher, rcu);
}

static void kbr_fetcher_put(struct kbr_fetcher *fetcher)
{
	kref_put(&fetcher->ref, kbr_fetcher_release);
}

static struct kbr_fetcher *kbr_fetcher_create(struct kbr_broker *broker)
{
	struct kbr_fetcher *fetcher = kzalloc(sizeof(*fetcher), GFP_KERNEL);

	if (!fetcher)
		return NULL;
	fetcher->wq = alloc_workqueue("kbr-fetcher/%s", WQ_UNBOUND, 0, broker->name);
	if (!fetcher->wq) {
		kfree(fetcher);
		return NULL;
	}
	kref_init(&fetcher->ref);
	fetcher->broker = broker;
	mutex_init(&fetcher->lock);
	INIT_LIST_HEAD(&fetcher->links);
	return fetcher;
}

/* The one of @broker with a reference, @make: made if there was none; NULL: none, or it stops. */
static struct kbr_fetcher *kbr_fetcher_get(struct kbr_broker *broker, bool make)
{
	struct kbr_fetcher *fetcher;

	mutex_lock(&kbr_fetchers_lock);
	fetcher = rcu_dereference_protected(broker->fetcher, lockdep_is_held(&kbr_fetchers_lock));
	if (!fetcher && make) {
		fetcher = kbr_fetcher_create(broker);
		rcu_assign_pointer(broker->fetcher, fetcher);
	}
	if (!IS_ERR_OR_NULL(fetcher))
		kref_get(&fetcher->ref);
	else
		fetcher = NULL;
	mutex_unlock(&kbr_fetchers_lock);
	return fetcher;
}

/* ---- hooks ---- */

static void kbr_fetcher_unfollow(struct kbr_partition *part)
{
	struct kbr_fetcher *fetcher = kbr_fetcher_get(part->topic->broker, false);
	struct kbr_link *link;

	if (!fetcher)
		return;
	mutex_lock(&fetcher->lock);
	list_for_each_entry(link, &fetcher->links, node)
		if (kbr_fetcher_remove(link, part))
			break;
	mutex_unlock(&fetcher->lock);
	kbr_fetcher_put(fetcher);
}

static struct kbr_link *kbr_fetcher_need_link(struct kbr_fetcher *fetcher,
					      const struct kbr_link_ops *ops, s32 peer)
{
	struct kbr_link *link;

	lockdep_assert_held(&fetcher->lock);
	if (fetcher->dead)
		return NULL;
	link = kbr_fetcher_find_link(fetcher, ops, peer);
	if (link)
		return link;
	link = kbr_link_create(fetcher, ops, peer);
	if (link)
		list_add_tail_rcu(&link->node, &fetcher->links);
	return link;
}

static void kbr_fetcher_follow(struct kbr_partition *part, s32 leader)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_fetcher *fetcher;
	struct kbr_link_part *lp;
	struct kbr_link *link;

	kbr_fetcher_unfollow(part);
	fetcher = kbr_fetcher_get(broker, true);
	if (!fetcher)
		return;
	lp = kzalloc(sizeof(*lp), GFP_KERNEL | __GFP_NOFAIL);
	lp->part = part;
	mutex_lock(&fetcher->lock);
	link = kbr_fetcher_need_link(fetcher, &kbr_fetch_ops, leader);
	if (link)
		kbr_fetcher_add(link, lp);
	else
		kfree(lp);
	mutex_unlock(&fetcher->lock);
	kbr_fetcher_put(fetcher);
}

/* There is something for @ops to do at @peer. Without memory for it the next time tries again. */
static void kbr_fetcher_use(struct kbr_broker *broker, const struct kbr_link_ops *ops, s32 peer)
{
	struct kbr_fetcher *fetcher = kbr_fetcher_get(broker, true);
	struct kbr_link *link;

	if (!fetcher)
		return;
	mutex_lock(&fetcher->lock);
	link = kbr_fetcher_need_link(fetcher, ops, peer);
	if (link)
		kbr_link_kick(link);
	mutex_unlock(&fetcher->lock);
	kbr_fetcher_put(fetcher);
}

static void kbr_fetcher_forward(struct kbr_broker *broker, s32 leader)
{
	kbr_fetcher_use(broker, &kbr_forward_ops, leader);
}

static void kbr_fetcher_share(struct kbr_broker *broker, s32 peer)
{
	kbr_fetcher_use(broker, &kbr_share_ops, peer);
}

static void kbr_fetcher_remote(struct kbr_broker *broker, s32 leader)
{
	kbr_fetcher_use(broker, &kbr_remote_ops, leader);
}

static void kbr_fetcher_call(struct kbr_broker *broker, s32 peer)
{
	kbr_fetcher_use(broker, &kbr_call_ops, peer);
}

static void kbr_fetcher_peer_changed(struct kbr_broker *broker, s32 id)
{
	struct kbr_fetcher *fetcher = kbr_fetcher_get(broker, false);
	struct kbr_link *link;

	if (!fetcher)
		return;
	mutex_lock(&fetcher->lock);
	list_for_each_entry(link, &fetcher->links, node) {
		if (link->peer != id && broker->id != id)
			continue;
		set_bit(KBR_LINK_ANEW, &link->flags);
		kbr_link_kick(link);
	}
	mutex_unlock(&fetcher->lock);
	kbr_fetcher_put(fetcher);
}

/* Any context. */
static void kbr_fetcher_synced(struct kbr_partition *part)
{
	struct kbr_fetcher *fetcher;
	struct kbr_link *link;

	rcu_read_lock();
	fetcher = rcu_dereference(part->topic->broker->fetcher);
	if (!IS_ERR_OR_NULL(fetcher)) {
		list_for_each_entry_rcu(link, &fetcher->links, node) {
			if (!READ_ONCE(link->count))
				continue;
			set_bit(KBR_LINK_NEWS, &link->flags);
			kbr_link_kick(link);
		}
	}
	rcu_read_unlock();
}

static void kbr_fetcher_kill(struct kbr_fetcher *fetcher)
{
	struct kbr_link *link;

	mutex_lock(&fetcher->lock);
	WRITE_ONCE(fetcher->dead, true);
	list_for_each_entry(link, &fetcher->links, node)
		kbr_link_abort(link);
	mutex_unlock(&fetcher->lock);
}

static void kbr_fetcher_abort(struct kbr_broker *broker)
{
	struct kbr_fetcher *fetcher = kbr_fetcher_get(broker, false);

	if (!fetcher)
		return;
	kbr_fetcher_kill(fetcher);
	kbr_fetcher_put(fetcher);
}

/*
 * Unpublish: none is made any more -> kill: no link is added or connects ->
 * wait for who kicks without a lock -> free the links, which waits for their
 * works. What may still run afterwards: a hook with a reference, which finds no
 * link.
 */
static void kbr_fetcher_stop(struct kbr_broker *broker)
{
	struct kbr_fetcher *fetcher = kbr_fetcher_get(broker, false);
	struct kbr_link *link, *next;

	mutex_lock(&kbr_fetchers_lock);
	rcu_assign_pointer(broker->fetcher, ERR_PTR(-ESHUTDOWN));
	mutex_unlock(&kbr_fetchers_lock);
	if (!fetcher)
		return;
	kbr_fetcher_kill(fetcher);
	synchronize_rcu();
	mutex_lock(&fetcher->lock);
	list_for_each_entry_safe(link, next, &fetcher->links, node) {
		list_del(&link->node);
		kbr_link_free(link);
	}
	mutex_unlock(&fetcher->lock);
	destroy_workqueue(fetcher->wq);
	/* Ours, and the broker's. */
	kbr_fetcher_put(fetcher);
	kbr_fetcher_put(fetcher);
}

static const struct kbr_follow_ops kbr_fetcher_ops = {
	.follow = kbr_fetcher_follow,
	.unfollow = kbr_fetcher_unfollow,
	.forward = kbr_fetcher_forward,
	.share = kbr_fetcher_share,
	.remote = kbr_fetcher_remote,
	.call = kbr_fetcher_call,
	.peer_changed = kbr_fetcher_peer_changed,
	.synced = kbr_fetcher_synced,
	.abort = kbr_fetcher_abort,
	.stop = kbr_fetcher_stop,
};

void __init kbr_fetcher_init(void)
{
	kbr_follow_register(&kbr_fetcher_ops);
}
