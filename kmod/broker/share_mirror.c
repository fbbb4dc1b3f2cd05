// SPDX-License-Identifier: GPL-2.0-only
/*
 * The share of a node: its members have what the group's coordinator has granted
 * to the node; see share_far.h.
 */
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/group_internal.h"
#include "broker/replica.h"
#include "broker/share_far.h"

/* How soon a coordinator that would not hear is told again: at first, at last, ms */
#define KBR_SHARE_AGAIN_MIN_MS	20U
#define KBR_SHARE_AGAIN_MAX_MS	500U
/* How long a broker that stops waits for coordinators to hear what was consumed, ms */
#define KBR_SHARE_FAREWELL_MS	1000

static struct kbr_broker *kbr_mirror_broker(const struct kbr_share_mirror *mirror)
{
	return mirror->share->topic->broker;
}

static struct kbr_str kbr_mirror_group(const struct kbr_share_mirror *mirror)
{
	return (struct kbr_str) { .at = mirror->group, .len = strlen(mirror->group) };
}

/* There is something to be told, soon. */
static void kbr_mirror_tell(struct kbr_share_mirror *mirror)
{
	kbr_share_post(kbr_mirror_broker(mirror), &mirror->letter, READ_ONCE(mirror->leader));
}

/* Have the coordinator looked for, or told again, in @ms. */
static void kbr_mirror_look(struct kbr_share_mirror *mirror, unsigned int ms)
{
	kref_get(&mirror->share->ref);
	if (mod_delayed_work(kbr_mirror_broker(mirror)->work_wq, &mirror->work,
			     msecs_to_jiffies(ms)))
		kbr_share_put(mirror->share);	/* it was queued, with a reference of its own */
}

static void kbr_mirror_work(struct work_struct *work)
{
	struct kbr_share_mirror *mirror = container_of(to_delayed_work(work),
						       struct kbr_share_mirror, work);
	struct kbr_str name = kbr_mirror_group(mirror);
	struct kbr_share *share = mirror->share;
	s32 leader, epoch;

	if (!kbr_groups_leadership(kbr_mirror_broker(mirror), &name, &leader, &epoch)) {
		mutex_lock(&share->lock);
		/* One that is newer may have told so itself. */
		if (epoch >= mirror->leader_epoch) {
			WRITE_ONCE(mirror->leader, leader);
			mirror->leader_epoch = epoch;
		}
		mutex_unlock(&share->lock);
		kbr_mirror_tell(mirror);
	} else if (!READ_ONCE(share->ended)) {
		kbr_mirror_look(mirror, KBR_SHARE_AGAIN_MAX_MS);
	}
	kbr_share_put(share);
}

/* ---- what the coordinator is told ---- */

static struct kbr_share_mirror *kbr_mirror_by(struct kbr_share_letter *letter)
{
	return container_of(letter, struct kbr_share_mirror, letter);
}

static void kbr_mirror_put_readers(struct kbr_share *share, struct kbr_wire_writer *w)
{
	struct kbr_share_member *member;
	struct kbr_share_reader reader;
	size_t at = kbr_put_open_count(w);
	s32 count = 0;

	list_for_each_entry(member, &share->members, node) {
		member->index = KBR_SHARE_READERS_MAX;
		if (member->away || count == KBR_SHARE_READERS_MAX)
			continue;
		reader.pid = member->pid;
		strscpy(reader.comm, member->comm, sizeof(reader.comm));
		kbr_share_put_reader(w, &reader);
		member->index = count++;
	}
	kbr_wire_writer_patch_count(w, at, count);
}

static void kbr_mirror_put_items(struct kbr_share *share, struct kbr_wire_writer *w)
{
	size_t at = kbr_put_open_count(w);
	struct kbr_share_item item;
	unsigned int i;
	s32 count = 0;

	for (i = 0; i < share->count; i++) {
		const struct kbr_share_part *sp = share->parts[i];

		if (!sp->grant)
			continue;
		item = (struct kbr_share_item) {
			.partition = i,
			.grant = sp->grant,
			.flags = sp->let_go ? KBR_SHARE_LET_GO : 0,
			.offset = READ_ONCE(sp->counted),
			.reader = -1,
		};
		if (sp->owner && !sp->owner->away && sp->owner->index < KBR_SHARE_READERS_MAX)
			item.reader = sp->owner->index;
		kbr_share_put_item(w, &item);
		count++;
	}
	kbr_wire_writer_patch_count(w, at, count);
}

/* Members that take part */
static unsigned int kbr_mirror_weight(const struct kbr_share *share)
{
	const struct kbr_share_member *member;
	unsigned int weight = 0;

	if (share->ended)
		return 0;
	list_for_each_entry(member, &share->members, node)
		weight += !member->away;
	return weight;
}

static bool kbr_mirror_write(struct kbr_share_letter *letter, struct kbr_wire_writer *w)
{
	struct kbr_share_mirror *mirror = kbr_mirror_by(letter);
	struct kbr_share *share = mirror->share;
	const char *topic = share->topic->name;
	struct kbr_share_message message = {
		.kind = KBR_SHARE_STATE,
		.group = kbr_mirror_group(mirror),
		.topic = { .at = topic, .len = strlen(topic) },
		.sequence = kbr_share_sequence(kbr_mirror_broker(mirror)),
	};

	memcpy(message.topic_id, share->topic->id, sizeof(message.topic_id));
	mutex_lock(&share->lock);
	mirror->said = message.sequence;
	mirror->weight = kbr_mirror_weight(share);
	mirror->gone = !mirror->weight;
	message.members = mirror->weight;
	message.synced = mirror->sync > mirror->stored ? message.sequence : 0;
	kbr_share_put_head(w, &message);
	if (mirror->weight)
		kbr_mirror_put_readers(share, w);
	else
		kbr_put_count(w, 0);
	kbr_mirror_put_items(share, w);
	mutex_unlock(&share->lock);
	return true;
}

/* The coordinator knows that there are no members any more: forget it, unless some came. */
static void kbr_mirror_forget(struct kbr_share_mirror *mirror)
{
	struct kbr_share_posts *posts = &kbr_mirror_broker(mirror)->share_posts;
	struct kbr_share *share = mirror->share;
	bool gone;

	mutex_lock(&posts->mirrors_lock);
	mutex_lock(&share->lock);
	gone = mirror->gone && !share->members_count && !list_empty(&mirror->node);
	if (gone)
		list_del_init(&mirror->node);
	mutex_unlock(&share->lock);
	mutex_unlock(&posts->mirrors_lock);
	if (gone)
		kbr_share_put(share);
}

static void kbr_mirror_answered(struct kbr_share_letter *letter, s16 code)
{
	struct kbr_share_mirror *mirror = kbr_mirror_by(letter);

	switch (code) {
	case KBR_KAFKA_NONE:
		mirror->retry_ms = KBR_SHARE_AGAIN_MIN_MS;
		kbr_mirror_forget(mirror);
		return;
	case KBR_KAFKA_NOT_COORDINATOR:
	case KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
	case KBR_KAFKA_COORDINATOR_NOT_AVAILABLE:
	case KBR_KAFKA_STALE_BROKER_EPOCH:
	case KBR_KAFKA_UNKNOWN_TOPIC:
		break;
	case KBR_KAFKA_INCONSISTENT_GROUP_PROTOCOL:
		WRITE_ONCE(mirror->err, -EBUSY);
		break;
	default:
		WRITE_ONCE(mirror->err, kbr_share_errno(code));
		break;
	}
	wake_up_all(&mirror->wait);
	/* Its topic is gone there: it has nothing of this any more. */
	if (code == KBR_KAFKA_UNKNOWN_TOPIC && kbr_topic_gone(mirror->share->topic))
		kbr_mirror_forget(mirror);
	kbr_mirror_look(mirror, mirror->retry_ms);
	mirror->retry_ms = min(2 * mirror->retry_ms, KBR_SHARE_AGAIN_MAX_MS);
}

static void kbr_mirror_letter_get(struct kbr_share_letter *letter)
{
	kref_get(&kbr_mirror_by(letter)->share->ref);
}

static void kbr_mirror_letter_put(struct kbr_share_letter *letter)
{
	kbr_share_put(kbr_mirror_by(letter)->share);
}

static const struct kbr_share_letter_ops kbr_mirror_letter_ops = {
	.write = kbr_mirror_write,
	.answered = kbr_mirror_answered,
	.get = kbr_mirror_letter_get,
	.put = kbr_mirror_letter_put,
};

/* Partitions may have moved: what nobody has, and nobody is to have, is let go of. */
static void kbr_mirror_settled(struct kbr_share *share)
{
	struct kbr_share_mirror *mirror = share->mirror;
	unsigned int weight = kbr_mirror_weight(share), i;
	bool tell = weight != mirror->weight;
	struct kbr_share_member *member;

	/* Who reads what is told, too. */
	list_for_each_entry(member, &share->members, node)
		tell |= member->notify;
	for (i = 0; i < share->count; i++) {
		struct kbr_share_part *sp = share->parts[i];

		if (!sp->grant || sp->let_go || sp->owner || (!sp->wanted && weight))
			continue;
		sp->let_go = true;
		tell = true;
	}
	if (tell)
		kbr_mirror_tell(mirror);
}

/* Something was counted: it is told some time, so that others share the write. Any context. */
static void kbr_mirror_commit_soon(struct kbr_share *share)
{
	struct kbr_broker *broker = share->topic->broker;
	s64 ms = READ_ONCE(broker->config.auto_commit_ms);

	/* The caller's member holds the share; the work does so until it ends. */
	kref_get(&share->ref);
	if (!queue_delayed_work(broker->work_wq, &share->commit,
				msecs_to_jiffies(min_t(s64, ms, INT_MAX))))
		kbr_share_put(share);
}

/* What is counted from now on is told of again. */
static void kbr_mirror_clean(struct kbr_share *share)
{
	struct llist_node *first = llist_del_all(&share->dirty), *node, *next;

	llist_for_each_safe(node, next, first) {
		struct kbr_share_part *sp = llist_entry(node, struct kbr_share_part, dirty);

		clear_bit(KBR_SHARE_PART_DIRTY, &sp->flags);
		smp_mb__after_atomic();	/* pairs with test_and_set_bit() in kbr_share_part_dirty() */
	}
}

static void kbr_mirror_commit_work(struct work_struct *work)
{
	struct kbr_share *share = container_of(to_delayed_work(work), struct kbr_share, commit);

	mutex_lock(&share->commit_lock);
	kbr_mirror_clean(share);
	mutex_unlock(&share->commit_lock);
	kbr_mirror_tell(share->mirror);
	kbr_share_put(share);
}

/* ---- what the coordinator tells ---- */

/* It is not the node's any more, or not in this way: it goes once its owner can spare it. */
static void kbr_mirror_revoke(struct kbr_share_part *sp)
{
	sp->wanted = true;
	if (sp->let_go)
		sp->grant = 0;
}

static void kbr_mirror_grant(struct kbr_share_part *sp, const struct kbr_share_item *item)
{
	if (sp->grant == item->grant) {
		sp->wanted = item->flags & KBR_SHARE_WANTED;
		return;
	}
	if (sp->grant && !sp->let_go) {
		/* When that is over this word is heard again. */
		sp->wanted = true;
		return;
	}
	sp->grant = item->grant;
	sp->wanted = item->flags & KBR_SHARE_WANTED;
	sp->let_go = false;
	WRITE_ONCE(sp->counted, item->offset);
}

/* All that the node has is in @r. */
static void kbr_mirror_take(struct kbr_share *share, struct kbr_wire_reader *r)
{
	struct kbr_share_item item = { };
	unsigned int i = 0;
	s32 count;

	for (count = kbr_get_count(r); count > 0; count--) {
		kbr_share_get_item(r, &item);
		for (; i < item.partition && i < share->count; i++)
			if (share->parts[i]->grant)
				kbr_mirror_revoke(share->parts[i]);
		if (i < share->count)
			kbr_mirror_grant(share->parts[i++], &item);
	}
	for (; i < share->count; i++)
		if (share->parts[i]->grant)
			kbr_mirror_revoke(share->parts[i]);
}

static bool kbr_mirror_is_news(const struct kbr_share_mirror *mirror,
			       const struct kbr_share_message *message)
{
	if (message->epoch != mirror->heard_epoch)
		return message->epoch > mirror->heard_epoch;
	return message->sequence > mirror->heard;
}

static void kbr_mirror_hear(struct kbr_share_mirror *mirror, s32 from,
			    const struct kbr_share_message *message, struct kbr_wire_reader *r)
{
	struct kbr_share *share = mirror->share;
	bool tell = message->kind == KBR_SHARE_ASK;

	mutex_lock(&share->lock);
	if (!kbr_mirror_is_news(mirror, message))
		goto out;
	mirror->heard_epoch = message->epoch;
	mirror->heard = message->sequence;
	if (message->epoch >= mirror->leader_epoch) {
		mirror->leader_epoch = message->epoch;
		WRITE_ONCE(mirror->leader, from);
	}
	if (!tell) {
		kbr_get_count(r);	/* readers: none */
		kbr_share_grow(share);
		kbr_mirror_take(share, r);
		mirror->stored = max(mirror->stored, message->synced);
		mirror->welcome = true;
		mirror->err = 0;
		kbr_share_balance(share);
		wake_up_all(&mirror->wait);
	}
out:
	mutex_unlock(&share->lock);
	if (tell)
		kbr_mirror_tell(mirror);
}

/* The mirror of @name and a topic, with a reference, or NULL. mirrors_lock held. */
static struct kbr_share_mirror *kbr_mirror_find_locked(struct kbr_broker *broker,
						       const struct kbr_str *name,
						       const u8 topic_id[16])
{
	struct kbr_share_mirror *mirror;

	lockdep_assert_held(&broker->share_posts.mirrors_lock);
	list_for_each_entry(mirror, &broker->share_posts.mirrors, node) {
		if (!kbr_str_equal(name, mirror->group) ||
		    memcmp(mirror->share->topic->id, topic_id, sizeof(mirror->share->topic->id)))
			continue;
		kref_get(&mirror->share->ref);
		return mirror;
	}
	return NULL;
}

s16 kbr_share_mirror_receive(struct kbr_broker *broker, s32 from,
			     const struct kbr_share_message *message, struct kbr_wire_reader *r)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	struct kbr_share_mirror *mirror;

	mutex_lock(&posts->mirrors_lock);
	mirror = kbr_mirror_find_locked(broker, &message->group, message->topic_id);
	mutex_unlock(&posts->mirrors_lock);
	if (!mirror)
		return KBR_KAFKA_UNKNOWN_MEMBER_ID;
	kbr_mirror_hear(mirror, from, message, r);
	kbr_share_put(mirror->share);
	return 0;
}

/* ---- members ---- */

static struct kbr_share_mirror *kbr_mirror_create(struct kbr_topic *topic,
						  const struct kbr_str *name)
{
	struct kbr_share_mirror *mirror = kzalloc(sizeof(*mirror), GFP_KERNEL_ACCOUNT);
	struct kbr_share *share;

	if (!mirror)
		return NULL;
	share = kbr_share_alloc(topic);
	if (!share || kbr_str_copy(name, mirror->group, sizeof(mirror->group))) {
		if (share)
			kbr_share_free(share);
		kfree(mirror);
		return NULL;
	}
	mutex_init(&share->commit_lock);
	INIT_LIST_HEAD(&share->commits);
	INIT_DELAYED_WORK(&share->commit, kbr_mirror_commit_work);
	share->commit_soon = kbr_mirror_commit_soon;
	share->settled = kbr_mirror_settled;
	share->mirror = mirror;
	mirror->share = share;
	INIT_LIST_HEAD(&mirror->letter.node);
	mirror->letter.ops = &kbr_mirror_letter_ops;
	INIT_DELAYED_WORK(&mirror->work, kbr_mirror_work);
	mirror->retry_ms = KBR_SHARE_AGAIN_MIN_MS;
	mirror->leader = -1;
	mirror->leader_epoch = -1;
	mirror->heard_epoch = -1;
	init_waitqueue_head(&mirror->wait);
	return mirror;
}

void kbr_share_mirror_free(struct kbr_share *share)
{
	kfree(share->mirror);
	mutex_destroy(&share->commit_lock);
	kbr_share_free(share);
}

int kbr_share_mirror_join(struct kbr_share_member *member, struct kbr_topic *topic,
			  const struct kbr_str *name)
{
	struct kbr_share_posts *posts = &topic->broker->share_posts;
	struct kbr_share_mirror *mirror;
	struct kbr_share *share;
	int err;

	member->pid = task_tgid_nr(current);
	get_task_comm(member->comm, current);
	mutex_lock(&posts->mirrors_lock);
	if (posts->closed) {
		mutex_unlock(&posts->mirrors_lock);
		return -ENODEV;
	}
	mirror = kbr_mirror_find_locked(topic->broker, name, topic->id);
	if (!mirror) {
		mirror = kbr_mirror_create(topic, name);
		if (!mirror) {
			mutex_unlock(&posts->mirrors_lock);
			return -ENOMEM;
		}
		list_add_tail(&mirror->node, &posts->mirrors);
		kref_get(&mirror->share->ref);
	}
	share = mirror->share;
	WRITE_ONCE(mirror->err, 0);
	kbr_share_add(share, member);
	mutex_unlock(&posts->mirrors_lock);
	if (!READ_ONCE(mirror->welcome))
		kbr_mirror_look(mirror, 0);

	err = wait_event_interruptible(mirror->wait, READ_ONCE(mirror->welcome) ||
				       READ_ONCE(mirror->err) || READ_ONCE(share->ended) ||
				       kbr_topic_gone(topic));
	if (!err && !READ_ONCE(mirror->welcome))
		err = READ_ONCE(mirror->err) ?: -ENODEV;
	if (err)
		kbr_share_mirror_leave(member);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_share_mirror_join);

void kbr_share_mirror_leave(struct kbr_share_member *member)
{
	struct kbr_share *share = member->share;

	/* First of all the successors go on, here and elsewhere: kbr_mirror_settled(). */
	kbr_share_remove(member);
	kbr_mirror_tell(share->mirror);
	kbr_share_put(share);
}
KBR_EXPORT_IF_KUNIT(kbr_share_mirror_leave);

int kbr_share_mirror_commit(struct kbr_share *share)
{
	s64 timeout_ms = READ_ONCE(share->topic->config.delivery_timeout_ms);
	struct kbr_share_mirror *mirror = share->mirror;
	bool nothing;
	long left;
	u64 sync;

	mutex_lock(&share->lock);
	/* Whatever is said from now on has it. */
	sync = mirror->said + 1;
	nothing = READ_ONCE(share->ended);
	mirror->sync = max(mirror->sync, sync);
	mutex_unlock(&share->lock);
	if (nothing)
		return -ENODEV;
	kbr_mirror_tell(mirror);
	left = wait_event_killable_timeout(mirror->wait, READ_ONCE(mirror->stored) >= sync ||
					   READ_ONCE(share->ended) || kbr_topic_gone(share->topic),
					   msecs_to_jiffies(min_t(s64, timeout_ms, INT_MAX)));
	if (left < 0)
		return -EINTR;
	if (READ_ONCE(mirror->stored) >= sync)
		return 0;
	return left ? -ENODEV : -ETIMEDOUT;
}

/* ---- the broker ---- */

void kbr_share_mirrors_moved(struct kbr_broker *broker)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	struct kbr_share_mirror *mirror;
	s32 leader, epoch;

	mutex_lock(&posts->mirrors_lock);
	list_for_each_entry(mirror, &posts->mirrors, node) {
		struct kbr_str name = kbr_mirror_group(mirror);

		if (kbr_groups_leadership(broker, &name, &leader, &epoch) ||
		    epoch != READ_ONCE(mirror->leader_epoch))
			kbr_mirror_look(mirror, 0);
	}
	mutex_unlock(&posts->mirrors_lock);
}

/* All that it has is let go of, whatever its members do: nothing counts any more. */
static void kbr_mirror_end(struct kbr_share *share)
{
	struct kbr_share_member *member;
	unsigned int i;

	mutex_lock(&share->lock);
	WRITE_ONCE(share->ended, true);
	for (i = 0; i < share->count; i++)
		share->parts[i]->let_go = share->parts[i]->grant;
	list_for_each_entry(member, &share->members, node)
		wake_up_all(&member->wait);
	wake_up_all(&share->mirror->wait);
	mutex_unlock(&share->lock);
	kbr_mirror_tell(share->mirror);
}

void kbr_share_mirrors_stop(struct kbr_broker *broker)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	unsigned long end = jiffies + msecs_to_jiffies(KBR_SHARE_FAREWELL_MS);
	struct kbr_share_mirror *mirror;
	bool idle;

	mutex_lock(&posts->mirrors_lock);
	/* Who joined later would wait for a coordinator that is asked no more. */
	posts->closed = true;
	list_for_each_entry(mirror, &posts->mirrors, node)
		kbr_mirror_end(mirror->share);
	mutex_unlock(&posts->mirrors_lock);
	if (broker->net_gone)
		return;
	do {
		idle = true;
		mutex_lock(&posts->mirrors_lock);
		list_for_each_entry(mirror, &posts->mirrors, node)
			idle &= READ_ONCE(mirror->leader) < 0 ||
				kbr_share_is_idle(broker, &mirror->letter);
		mutex_unlock(&posts->mirrors_lock);
		if (!idle)
			schedule_timeout_uninterruptible(1);
	} while (!idle && time_before(jiffies, end));
}
KBR_EXPORT_IF_KUNIT(kbr_share_mirrors_stop);

void kbr_share_mirrors_free(struct kbr_broker *broker)
{
	struct kbr_share_posts *posts = &broker->share_posts;
	struct kbr_share_mirror *mirror;

	for (;;) {
		mutex_lock(&posts->mirrors_lock);
		mirror = list_first_entry_or_null(&posts->mirrors, struct kbr_share_mirror, node);
		if (mirror)
			list_del_init(&mirror->node);
		mutex_unlock(&posts->mirrors_lock);
		if (!mirror)
			return;
		if (cancel_delayed_work_sync(&mirror->work))
			kbr_share_put(mirror->share);
		if (cancel_delayed_work_sync(&mirror->share->commit))
			kbr_share_put(mirror->share);
		kbr_share_put(mirror->share);
	}
}
