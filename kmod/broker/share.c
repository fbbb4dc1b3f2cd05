// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sharing a topic's partitions out among the members of a group; see share.h.
 * Knows nothing of groups and their log: share_group.c does.
 */
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/partition.h"
#include "broker/share.h"
#include "broker/share_far.h"

/*
 * In the wait queue of a partition, whose lock is held: there are news for its
 * owner. So only those are woken whose records they are.
 */
static int kbr_share_part_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct kbr_share_part *sp = container_of(wait, struct kbr_share_part, wait);

	/* The barrier orders what made the news before the look for sleepers, as the queue's own does. */
	if (sp->owner && wq_has_sleeper(&sp->owner->wait))
		wake_up_all(&sp->owner->wait);
	return 0;
}

static void kbr_share_part_set_owner(struct kbr_share_part *sp, struct kbr_share_member *member)
{
	struct wait_queue_head *queue = &sp->part->wait;

	spin_lock_irq(&queue->lock);
	WRITE_ONCE(sp->owner, member);
	spin_unlock_irq(&queue->lock);
}

void kbr_share_part_release(struct kbr_share_part *sp)
{
	struct kbr_share_member *owner = sp->owner;

	lockdep_assert_held(&sp->share->lock);
	kbr_share_part_set_owner(sp, NULL);
	sp->target = NULL;
	sp->grant = 0;
	sp->wanted = false;
	owner->owned--;
	owner->generation++;
	owner->notify = true;
}
KBR_EXPORT_IF_KUNIT(kbr_share_part_release);

void kbr_share_part_claim(struct kbr_share_part *sp, struct kbr_share_member *member, u64 grant)
{
	lockdep_assert_held(&sp->share->lock);
	if (sp->owner)
		kbr_share_part_release(sp);
	kbr_share_part_set_owner(sp, member);
	sp->target = member;
	sp->grant = grant;
	member->owned++;
	member->generation++;
}

static struct kbr_share_part *kbr_share_part_alloc(struct kbr_share *share, unsigned int index)
{
	struct kbr_share_part *sp = kzalloc(sizeof(*sp), GFP_KERNEL_ACCOUNT);

	if (!sp)
		return NULL;
	sp->share = share;
	sp->part = kbr_topic_partition(share->topic, index);
	INIT_LIST_HEAD(&sp->given);
	sp->next = -1;
	sp->counted = -1;
	sp->written = -1;
	init_waitqueue_func_entry(&sp->wait, kbr_share_part_wake);
	add_wait_queue(&sp->part->wait, &sp->wait);
	return sp;
}

static void kbr_share_part_free(struct kbr_share_part *sp)
{
	remove_wait_queue(&sp->part->wait, &sp->wait);
	kfree(sp);
}

/* Have a part for each partition there is now. 0 or -ENOMEM (then it is tried again). */
int kbr_share_grow(struct kbr_share *share)
{
	unsigned int count = kbr_topic_partitions(share->topic), i;
	struct kbr_share_part **parts;

	if (count == share->count)
		return 0;
	parts = kvcalloc(count, sizeof(*parts), GFP_KERNEL_ACCOUNT);
	if (!parts)
		return -ENOMEM;
	for (i = 0; i < share->count; i++)
		parts[i] = share->parts[i];
	for (; i < count; i++) {
		parts[i] = kbr_share_part_alloc(share, i);
		if (!parts[i])
			break;
	}
	if (i == share->count) {
		kvfree(parts);
		return -ENOMEM;
	}
	kvfree(share->parts);
	share->parts = parts;
	WRITE_ONCE(share->count, i);
	return i == count ? 0 : -ENOMEM;
}

struct kbr_share *kbr_share_alloc(struct kbr_topic *topic)
{
	struct kbr_share *share = kzalloc(sizeof(*share), GFP_KERNEL_ACCOUNT);

	if (!share)
		return NULL;
	kref_init(&share->ref);
	kbr_topic_get(topic);
	share->topic = topic;
	mutex_init(&share->lock);
	INIT_LIST_HEAD(&share->members);
	init_llist_head(&share->dirty);
	if (kbr_share_grow(share)) {
		kbr_share_free(share);
		return NULL;
	}
	return share;
}
KBR_EXPORT_IF_KUNIT(kbr_share_alloc);

void kbr_share_free(struct kbr_share *share)
{
	unsigned int i;

	WARN_ON_ONCE(share->members_count);
	for (i = 0; i < share->count; i++)
		kbr_share_part_free(share->parts[i]);
	kvfree(share->parts);
	mutex_destroy(&share->lock);
	kbr_topic_put(share->topic);
	kfree(share);
}
KBR_EXPORT_IF_KUNIT(kbr_share_free);

/* Who is to have what */

/* Is there @sp to be shared out? */
static bool kbr_share_offers(const struct kbr_share *share, const struct kbr_share_part *sp)
{
	return likely(!share->mirror) || (sp->grant && !sp->wanted && !sp->let_go);
}

/* Is it of any use to its owner? */
static bool kbr_share_keeps(const struct kbr_share_part *sp)
{
	return sp->owner && !sp->owner->away;
}

/* Equal quotas, give or take one; those that have more than others keep the odd ones. */
static void kbr_share_set_quotas(struct kbr_share *share, unsigned int present, unsigned int count)
{
	unsigned int each = count / present, odd = count % present, base, more;
	struct kbr_share_member *member;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		list_for_each_entry(member, &share->members, node) {
			base = each * member->weight;
			if (member->away)
				continue;
			if (!pass)
				member->quota = base;
			more = base + member->weight - member->quota;
			if (!pass)
				more = member->has > base ? min(more, member->has - base) : 0;
			more = min(more, odd);
			member->quota += more;
			odd -= more;
		}
	}
}

/*
 * Who each partition is meant for, as far as nothing needs to move; how many take
 * part, and how many partitions there are (@count).
 */
static unsigned int kbr_share_count_members(struct kbr_share *share, unsigned int *count)
{
	struct kbr_share_member *member;
	unsigned int present = 0, i;

	list_for_each_entry(member, &share->members, node) {
		member->has = 0;
		member->quota = 0;
		if (!member->away)
			present += member->weight;
	}
	*count = 0;
	for (i = 0; i < share->count; i++) {
		struct kbr_share_part *sp = share->parts[i];

		if (!kbr_share_offers(share, sp)) {
			sp->target = NULL;
			continue;
		}
		++*count;
		if (!sp->target || sp->target->away)
			sp->target = kbr_share_keeps(sp) ? sp->owner : NULL;
		if (sp->target)
			sp->target->has++;
	}
	return present;
}

/* What it costs to take a partition from whom it is meant for: the cheapest go first. */
enum { KBR_SHARE_ON_ITS_WAY, KBR_SHARE_IDLE, KBR_SHARE_IN_USE, KBR_SHARE_COSTS };

static unsigned int kbr_share_cost(const struct kbr_share_part *sp)
{
	if (sp->target != sp->owner)
		return KBR_SHARE_ON_ITS_WAY;
	/* A guess: by the time it moves it may be otherwise. */
	return list_empty_careful(&sp->given) ? KBR_SHARE_IDLE : KBR_SHARE_IN_USE;
}

/*
 * Who is to have @sp, that nobody has, of those that have too little: a node with
 * a replica of it if there is one, since others read it from its leader.
 */
static struct kbr_share_member *kbr_share_find_node(struct kbr_share *share,
						    const struct kbr_share_part *sp)
{
	struct kbr_share_member *member, *best = NULL;

	list_for_each_entry(member, &share->members, node) {
		if (member->has >= member->quota)
			continue;
		if (kbr_share_node_has_replica(member, sp->part))
			return member;
		best = best ?: member;
	}
	return best;
}

/* Give all that nobody is to have to those that have less than their quota. */
static void kbr_share_fill(struct kbr_share *share)
{
	struct kbr_share_member *member = list_first_entry(&share->members,
							   struct kbr_share_member, node);
	unsigned int i;

	for (i = 0; i < share->count; i++) {
		struct kbr_share_part *sp = share->parts[i];

		if (sp->target || !kbr_share_offers(share, sp))
			continue;
		if (unlikely(share->lead)) {
			member = kbr_share_find_node(share, sp);
			if (WARN_ON_ONCE(!member))
				continue;	/* the quotas have room for all */
		}
		while (likely(!share->lead) && member->has >= member->quota)
			member = list_next_entry(member, node);
		member->has++;
		sp->target = member;
	}
}

/*
 * Say who each partition is meant for. Only what somebody has too much of is
 * taken away, so no other way to be even moves fewer. Allocates nothing, since it
 * must not fail when a member leaves.
 */
static void kbr_share_plan(struct kbr_share *share)
{
	struct kbr_share_member *member;
	unsigned int present, count, cost, i;

	present = kbr_share_count_members(share, &count);
	if (!present || (share->lead && kbr_share_lead_waits(share)))
		return;
	kbr_share_set_quotas(share, present, count);
	for (cost = 0; cost < KBR_SHARE_COSTS; cost++) {
		for (i = 0; i < share->count; i++) {
			struct kbr_share_part *sp = share->parts[i];

			member = sp->target;
			if (!member || member->has <= member->quota || kbr_share_cost(sp) != cost)
				continue;
			member->has--;
			sp->target = NULL;
			/* It may stay where it still is. */
			member = sp->owner;
			if (kbr_share_keeps(sp) && member->has < member->quota) {
				member->has++;
				sp->target = member;
			}
		}
	}
	kbr_share_fill(share);
}

/* Can the owner of @sp spare it? With its lock. */
static bool kbr_share_is_spare(const struct kbr_share_part *sp)
{
	const struct kbr_share_member *owner = sp->owner;

	return !owner->proxy && !owner->busy && owner->begun != sp && list_empty(&sp->given);
}

/* Give @sp to whom it is meant for, if its owner can spare it: else that one does it when it can. */
static void kbr_share_move(struct kbr_share_part *sp)
{
	struct kbr_share_member *owner = sp->owner, *target = sp->target;

	if (owner) {
		spin_lock(&owner->lock);
		if (!kbr_share_is_spare(sp)) {
			owner->wanted = true;
			spin_unlock(&owner->lock);
			return;
		}
		kbr_share_part_set_owner(sp, NULL);
		owner->changed = true;
		spin_unlock(&owner->lock);
		owner->owned--;
		owner->generation++;
		owner->notify = true;
	}
	if (!target)
		return;
	if (target->proxy) {
		sp->grant = ++sp->share->grants;
		sp->reader = -1;
	}
	/* Before the owner is set it cannot look for the partition in vain. */
	sp->next = sp->counted;
	sp->moves++;
	kbr_share_part_set_owner(sp, target);
	spin_lock(&target->lock);
	target->changed = true;
	spin_unlock(&target->lock);
	target->owned++;
	target->generation++;
	target->notify = true;
}

/* Move what is to move and can; wake whom it concerns. */
static void kbr_share_settle(struct kbr_share *share)
{
	struct kbr_share_member *member;
	unsigned int i;

	for (i = 0; i < share->count; i++)
		if (share->parts[i]->target != share->parts[i]->owner)
			kbr_share_move(share->parts[i]);
	if (unlikely(share->settled))
		share->settled(share);
	list_for_each_entry(member, &share->members, node) {
		if (!member->notify)
			continue;
		member->notify = false;
		wake_up_all(&member->wait);
	}
}

void kbr_share_balance(struct kbr_share *share)
{
	/* Without memory for new partitions the old ones are still shared out. */
	kbr_share_grow(share);
	kbr_share_plan(share);
	kbr_share_settle(share);
}

/* Members */

/* Forget what was given and not counted. With the member's lock. */
static void kbr_share_forget(struct kbr_share_member *member)
{
	struct kbr_share_part *sp, *next;

	list_for_each_entry_safe(sp, next, &member->given, given)
		list_del_init(&sp->given);
	member->begun = NULL;
}

/* It sat on what it was given for too long, perhaps. */
static void kbr_share_poll_work(struct work_struct *work)
{
	struct kbr_share_member *member = container_of(to_delayed_work(work),
						       struct kbr_share_member, poll_work);
	struct kbr_share *share = member->share;
	unsigned long limit, end;

	mutex_lock(&share->lock);
	spin_lock(&member->lock);
	limit = msecs_to_jiffies(READ_ONCE(member->poll_ms));
	end = member->read_at + limit;
	if (!limit || member->stale || (list_empty(&member->given) && !member->begun)) {
		/* Its next read begins anew. */
		spin_unlock(&member->lock);
	} else if (member->busy || time_before(jiffies, end)) {
		queue_delayed_work(system_wq, &member->poll_work,
				   member->busy ? limit : end - jiffies);
		spin_unlock(&member->lock);
	} else {
		kbr_share_forget(member);
		member->stale = true;
		spin_unlock(&member->lock);
		member->away = true;
		member->notify = true;
		kbr_share_balance(share);
	}
	mutex_unlock(&share->lock);
}

void kbr_share_member_init(struct kbr_share_member *member)
{
	*member = (struct kbr_share_member) { };
	INIT_LIST_HEAD(&member->node);
	init_waitqueue_head(&member->wait);
	spin_lock_init(&member->lock);
	INIT_LIST_HEAD(&member->given);
	INIT_DELAYED_WORK(&member->poll_work, kbr_share_poll_work);
	member->weight = 1;
}
KBR_EXPORT_IF_KUNIT(kbr_share_member_init);

void kbr_share_add(struct kbr_share *share, struct kbr_share_member *member)
{
	mutex_lock(&share->lock);
	member->share = share;
	list_add_tail(&member->node, &share->members);
	share->members_count++;
	kbr_share_balance(share);
	mutex_unlock(&share->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_share_add);

void kbr_share_remove(struct kbr_share_member *member)
{
	struct kbr_share *share = member->share;

	mutex_lock(&share->lock);
	spin_lock(&member->lock);
	kbr_share_forget(member);
	WRITE_ONCE(member->poll_ms, 0);
	spin_unlock(&member->lock);
	member->away = true;
	kbr_share_balance(share);
	list_del(&member->node);
	share->members_count--;
	mutex_unlock(&share->lock);
	cancel_delayed_work_sync(&member->poll_work);
}
KBR_EXPORT_IF_KUNIT(kbr_share_remove);

/* Reads */

void kbr_share_part_dirty(struct kbr_share_part *sp)
{
	struct kbr_share *share = sp->share;

	/* Ordered after @counted: who clears the bit looks at it then. */
	if (test_and_set_bit(KBR_SHARE_PART_DIRTY, &sp->flags))
		return;
	if (llist_add(&sp->dirty, &share->dirty) && share->commit_soon)
		share->commit_soon(share);
}

static void kbr_share_count(struct kbr_share_member *member)
{
	struct kbr_share_part *sp, *next;

	list_for_each_entry_safe(sp, next, &member->given, given) {
		list_del_init(&sp->given);
		WRITE_ONCE(sp->counted, sp->next);
		kbr_share_part_dirty(sp);
	}
}

static bool kbr_share_grown(const struct kbr_share *share)
{
	return unlikely(kbr_topic_partitions(share->topic) != READ_ONCE(share->count));
}

unsigned int kbr_share_enter(struct kbr_share_member *member, enum kbr_share_entry how)
{
	struct kbr_share *share = member->share;
	bool grown = kbr_share_grown(share);
	unsigned int news = 0;

	spin_lock(&member->lock);
	if (unlikely(READ_ONCE(share->ended))) {
		member->busy = true;
		spin_unlock(&member->lock);
		return KBR_SHARE_ENDED;
	}
	if (how == KBR_SHARE_READ)
		kbr_share_count(member);
	if (likely(!member->wanted && !member->changed && !member->stale && !grown)) {
		member->busy = true;
		spin_unlock(&member->lock);
		return 0;
	}
	spin_unlock(&member->lock);

	mutex_lock(&share->lock);
	spin_lock(&member->lock);
	if (member->stale && how != KBR_SHARE_LOOK) {
		news |= KBR_SHARE_STALE;
		member->stale = false;
		member->away = false;
		grown = true;
	}
	member->wanted = false;
	spin_unlock(&member->lock);
	if (grown)
		kbr_share_balance(share);
	else
		kbr_share_settle(share);
	spin_lock(&member->lock);
	member->busy = true;
	if (member->changed)
		news |= KBR_SHARE_CHANGED;
	member->changed = false;
	spin_unlock(&member->lock);
	mutex_unlock(&share->lock);
	return news;
}
KBR_EXPORT_IF_KUNIT(kbr_share_enter);

void kbr_share_exit(struct kbr_share_member *member, struct kbr_share_part *begun)
{
	struct kbr_share *share = member->share;
	u32 poll_ms = READ_ONCE(member->poll_ms);
	bool wanted;

	spin_lock(&member->lock);
	member->busy = false;
	member->begun = begun;
	wanted = member->wanted;
	if (poll_ms && (begun || !list_empty(&member->given))) {
		member->read_at = jiffies;
		queue_delayed_work(system_wq, &member->poll_work, msecs_to_jiffies(poll_ms));
	}
	spin_unlock(&member->lock);
	if (likely(!wanted))
		return;
	mutex_lock(&share->lock);
	spin_lock(&member->lock);
	member->wanted = false;
	spin_unlock(&member->lock);
	kbr_share_settle(share);
	mutex_unlock(&share->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_share_exit);

void kbr_share_give(struct kbr_share_member *member, struct kbr_share_part *sp, s64 offset)
{
	sp->next = offset;
	if (list_empty(&sp->given))
		list_add_tail(&sp->given, &member->given);
}
KBR_EXPORT_IF_KUNIT(kbr_share_give);

void kbr_share_changed_again(struct kbr_share_member *member)
{
	spin_lock(&member->lock);
	member->changed = true;
	spin_unlock(&member->lock);
}

unsigned int kbr_share_list(struct kbr_share_member *member, struct kbr_share_part **list,
			    unsigned int room)
{
	struct kbr_share *share = member->share;
	unsigned int i, found = 0;

	mutex_lock(&share->lock);
	for (i = 0; i < share->count; i++) {
		if (share->parts[i]->owner != member)
			continue;
		if (found < room)
			list[found] = share->parts[i];
		found++;
	}
	mutex_unlock(&share->lock);
	return found;
}
KBR_EXPORT_IF_KUNIT(kbr_share_list);

void kbr_share_describe(struct kbr_share_member *member, u32 *list, unsigned int room,
			struct kbr_share_info *info)
{
	struct kbr_share *share = member->share;
	unsigned int i;

	mutex_lock(&share->lock);
	*info = (struct kbr_share_info) {
		.members = share->members_count,
		.generation = member->generation,
	};
	for (i = 0; i < share->count; i++) {
		if (share->parts[i]->owner != member)
			continue;
		if (info->count < room)
			list[info->count] = i;
		info->count++;
	}
	mutex_unlock(&share->lock);
}

bool kbr_share_ready(const struct kbr_share_member *member)
{
	return READ_ONCE(member->changed) || READ_ONCE(member->stale) ||
	       READ_ONCE(member->share->ended) || kbr_share_grown(member->share);
}
KBR_EXPORT_IF_KUNIT(kbr_share_ready);

s64 kbr_share_counted(struct kbr_share *share, unsigned int index)
{
	struct kbr_share_part *sp = NULL;
	s64 counted;

	mutex_lock(&share->lock);
	if (index < share->count)
		sp = share->parts[index];
	mutex_unlock(&share->lock);
	counted = sp ? READ_ONCE(sp->counted) : -1;
	if (counted < 0)
		counted = kbr_log_start(&kbr_topic_partition(share->topic, index)->log);
	return counted;
}
KBR_EXPORT_IF_KUNIT(kbr_share_counted);

void kbr_share_set_poll(struct kbr_share_member *member, u32 ms)
{
	spin_lock(&member->lock);
	WRITE_ONCE(member->poll_ms, ms);
	/* What it sits on already counts from its last read on. */
	if (ms && !member->busy && (member->begun || !list_empty(&member->given)))
		mod_delayed_work(system_wq, &member->poll_work, 0);
	spin_unlock(&member->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_share_set_poll);
