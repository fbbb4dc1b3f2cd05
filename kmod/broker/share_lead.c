// SPDX-License-Identifier: GPL-2.0-only
/*
 * The share of a coordinator: which node has which partitions; see share_far.h.
 */
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/group_internal.h"
#include "broker/replica.h"
#include "broker/share_far.h"

static struct kbr_share_node *kbr_share_node_of(struct kbr_share_member *member)
{
	return container_of(member, struct kbr_share_node, member);
}

static struct kbr_broker *kbr_share_broker(const struct kbr_share *share)
{
	return share->topic->broker;
}

bool kbr_share_lead_waits(const struct kbr_share *share)
{
	return share->lead->gathering;
}

bool kbr_share_node_has_replica(const struct kbr_share_member *member, struct kbr_partition *part)
{
	const struct kbr_share_node *node = container_of(member, struct kbr_share_node, member);
	enum kbroker_replica_role role;
	struct kbr_replica_state state;

	/* Of a partition that is new here nothing may be known yet. */
	return !kbr_replica_get(part, &state, &role) || kbr_id_set_has(&state.replicas, node->id);
}

unsigned int kbr_share_node_readers(const struct kbr_share_member *member)
{
	return container_of(member, struct kbr_share_node, member)->readers_count;
}

void kbr_share_node_describe(const struct kbr_share_member *member, unsigned int nth,
			     struct kbr_share_member_info *info)
{
	const struct kbr_share_node *node = container_of(member, struct kbr_share_node, member);

	info->node = node->id;
	info->pid = node->readers[nth].pid;
	strscpy(info->comm, node->readers[nth].comm, sizeof(info->comm));
}

/* ---- nodes ---- */

static void kbr_share_node_release(struct kref *ref)
{
	struct kbr_share_node *node = container_of(ref, struct kbr_share_node, ref);

	kvfree(node->readers);
	kbr_share_put(node->share);
	kfree(node);
}

static void kbr_share_node_put(struct kbr_share_node *node)
{
	kref_put(&node->ref, kbr_share_node_release);
}

static struct kbr_share_node *kbr_share_node_find(struct kbr_share *share, s32 id)
{
	struct kbr_share_member *member;

	lockdep_assert_held(&share->lock);
	list_for_each_entry(member, &share->members, node)
		if (kbr_share_node_of(member)->id == id)
			return kbr_share_node_of(member);
	return NULL;
}

/* So many devices more are in the group, or less. */
static void kbr_share_lead_count(struct kbr_share *share, int more)
{
	struct kbr_group *group = share->group;

	kbr_group_lock(group);
	group->devices += more;
	group->generation++;
	kbr_group_changed_locked(group);
	/* A group that was found with clients in it would not have come so far. */
	kbr_group_set_kind_locked(group, group->devices ? KBR_GROUP_DEVICE : KBR_GROUP_NONE);
	kbr_group_unlock(group);
}

static void kbr_share_node_weigh(struct kbr_share_node *node, unsigned int weight)
{
	int more = weight - node->member.weight;

	node->member.weight = weight;
	node->member.away = !weight;
	if (more)
		kbr_share_lead_count(node->share, more);
}

/*
 * It has left: what it had goes to the others. The reference of the share's list
 * is the caller's, to be put without the share's lock.
 */
static void kbr_share_node_drop(struct kbr_share_node *node)
{
	struct kbr_share_posts *posts = &kbr_share_broker(node->share)->share_posts;
	struct kbr_share *share = node->share;
	unsigned int i;

	lockdep_assert_held(&share->lock);
	kbr_share_node_weigh(node, 0);
	node->asked = false;
	for (i = 0; i < share->count; i++)
		if (share->parts[i]->owner == &node->member)
			kbr_share_part_release(share->parts[i]);
	kbr_share_balance(share);
	list_del_init(&node->member.node);
	share->members_count--;
	spin_lock(&posts->lock);
	list_del_init(&node->all);
	spin_unlock(&posts->lock);
}

/* Have all nodes said what they have, or had their time to? */
static void kbr_share_lead_gathered(struct kbr_share *share)
{
	struct kbr_share_lead *lead = share->lead;
	struct kbr_share_member *member;

	if (!lead->gathering)
		return;
	list_for_each_entry(member, &share->members, node)
		if (kbr_share_node_of(member)->asked && time_before(jiffies, lead->gather_end))
			return;
	lead->gathering = false;
	kbr_share_balance(share);
}

/* Nodes that may have gone: @gone gets them. When to look again, in jiffies; 0 never */
static unsigned long kbr_share_lead_check(struct kbr_share *share, struct list_head *gone)
{
	struct kbr_broker *broker = kbr_share_broker(share);
	struct kbr_share_posts *posts = &broker->share_posts;
	struct kbr_share_member *member, *next;
	unsigned long again = 0, now = jiffies;
	struct kbr_peer peer;

	list_for_each_entry_safe(member, next, &share->members, node) {
		struct kbr_share_node *node = kbr_share_node_of(member);
		unsigned long end = node->lost_at + msecs_to_jiffies(KBR_SHARE_GRACE_MS);
		bool lost, left;

		spin_lock(&posts->lock);
		lost = node->lost;
		spin_unlock(&posts->lock);
		left = lost && time_after_eq(now, end);
		if (!left && node->id != READ_ONCE(broker->id))
			left = kbr_cluster_peer(broker, node->id, &peer) ||
			       peer.epoch > node->epoch;
		left |= node->asked && time_after_eq(now, share->lead->gather_end);
		if (left) {
			kbr_share_node_drop(node);
			list_add(&member->node, gone);
		} else if (lost && (!again || time_before(end, now + again))) {
			again = end - now;
		}
	}
	kbr_share_lead_gathered(share);
	if (share->lead->gathering)
		again = min(again ?: ULONG_MAX, share->lead->gather_end - now);
	return again;
}

static void kbr_share_lead_watch(struct work_struct *work)
{
	struct kbr_share_lead *lead = container_of(to_delayed_work(work), struct kbr_share_lead,
						   watch);
	struct kbr_share_member *member, *next;
	struct kbr_share *share = lead->share;
	unsigned long again = 0;
	LIST_HEAD(gone);

	mutex_lock(&share->lock);
	if (!share->ended)
		again = kbr_share_lead_check(share, &gone);
	mutex_unlock(&share->lock);
	list_for_each_entry_safe(member, next, &gone, node)
		kbr_share_node_put(kbr_share_node_of(member));
	if (again && queue_delayed_work(kbr_share_broker(share)->work_wq, &lead->watch, again))
		return;		/* with this run's reference */
	kbr_share_put(share);
}

/* ---- what nodes are told ---- */

static struct kbr_share_node *kbr_share_node_by(struct kbr_share_letter *letter)
{
	return container_of(letter, struct kbr_share_node, letter);
}

static bool kbr_share_node_write(struct kbr_share_letter *letter, struct kbr_wire_writer *w)
{
	struct kbr_share_node *node = kbr_share_node_by(letter);
	struct kbr_share *share = node->share;
	const char *topic = share->topic->name;
	struct kbr_share_message message = {
		.group = kbr_group_name(share->group),
		.topic = { .at = topic, .len = strlen(topic) },
		.epoch = share->lead->epoch,
	};
	unsigned int i;
	s32 count = 0;
	size_t at;

	mutex_lock(&share->lock);
	if (share->ended || list_empty(&node->all)) {
		mutex_unlock(&share->lock);
		return false;
	}
	memcpy(message.topic_id, share->topic->id, sizeof(message.topic_id));
	message.kind = node->asked ? KBR_SHARE_ASK : KBR_SHARE_GRANT;
	message.sequence = kbr_share_sequence(kbr_share_broker(share));
	message.synced = node->stored;
	node->told_heard = node->heard;
	kbr_share_put_head(w, &message);
	kbr_put_count(w, 0);
	at = kbr_put_open_count(w);
	for (i = 0; i < share->count; i++) {
		const struct kbr_share_part *sp = share->parts[i];
		struct kbr_share_item item = {
			.partition = i,
			.grant = sp->grant,
			.flags = sp->wanted ? KBR_SHARE_WANTED : 0,
			.offset = READ_ONCE(sp->counted),
			.reader = -1,
		};

		if (sp->owner != &node->member)
			continue;
		kbr_share_put_item(w, &item);
		count++;
	}
	kbr_wire_writer_patch_count(w, at, count);
	mutex_unlock(&share->lock);
	return true;
}

static void kbr_share_node_answered(struct kbr_share_letter *letter, s16 code)
{
	struct kbr_share_node *node = kbr_share_node_by(letter);
	struct kbr_share *share = node->share;
	struct kbr_share_posts *posts = &kbr_share_broker(share)->share_posts;
	bool left;

	spin_lock(&posts->lock);
	node->lost = false;
	spin_unlock(&posts->lock);
	mutex_lock(&share->lock);
	/* It has no members: unless it has said something else since. */
	left = code == KBR_KAFKA_UNKNOWN_MEMBER_ID && !list_empty(&node->all) &&
	       node->heard == node->told_heard;
	if (left) {
		kbr_share_node_drop(node);
		kbr_share_lead_gathered(share);
	}
	mutex_unlock(&share->lock);
	if (left)
		kbr_share_node_put(node);	/* the letter has another reference */
}

static void kbr_share_node_letter_get(struct kbr_share_letter *letter)
{
	kref_get(&kbr_share_node_by(letter)->ref);
}

static void kbr_share_node_letter_put(struct kbr_share_letter *letter)
{
	kbr_share_node_put(kbr_share_node_by(letter));
}

static const struct kbr_share_letter_ops kbr_share_node_letter_ops = {
	.write = kbr_share_node_write,
	.answered = kbr_share_node_answered,
	.get = kbr_share_node_letter_get,
	.put = kbr_share_node_letter_put,
};

static void kbr_share_node_tell(struct kbr_share_node *node)
{
	kbr_share_post(kbr_share_broker(node->share), &node->letter, node->id);
}

/* Partitions may have moved: tell those whom it concerns. */
static void kbr_share_lead_settled(struct kbr_share *share)
{
	struct kbr_share_member *member;
	unsigned int i;

	for (i = 0; i < share->count; i++) {
		struct kbr_share_part *sp = share->parts[i];
		bool wanted = sp->owner && sp->target != sp->owner;

		if (wanted == sp->wanted)
			continue;
		sp->wanted = wanted;
		if (sp->owner)
			sp->owner->notify = true;
	}
	list_for_each_entry(member, &share->members, node)
		if (member->notify)
			kbr_share_node_tell(kbr_share_node_of(member));
}

/* NULL on -ENOMEM. Its first reference is that of the share's list. */
static struct kbr_share_node *kbr_share_node_add(struct kbr_share *share, s32 id, s64 epoch)
{
	struct kbr_share_posts *posts = &kbr_share_broker(share)->share_posts;
	struct kbr_share_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	lockdep_assert_held(&share->lock);
	if (!node)
		return NULL;
	kref_init(&node->ref);
	kref_get(&share->ref);
	node->share = share;
	node->id = id;
	node->epoch = epoch;
	kbr_share_member_init(&node->member);
	node->member.share = share;
	node->member.proxy = true;
	node->member.weight = 0;
	node->member.away = true;
	INIT_LIST_HEAD(&node->letter.node);
	node->letter.ops = &kbr_share_node_letter_ops;
	list_add_tail(&node->member.node, &share->members);
	share->members_count++;
	spin_lock(&posts->lock);
	list_add(&node->all, &posts->nodes);
	spin_unlock(&posts->lock);
	return node;
}

/* ---- what nodes tell ---- */

/* The names of its members; without memory they are not known. */
static void kbr_share_node_take_readers(struct kbr_share_node *node, struct kbr_wire_reader *r)
{
	s32 count = kbr_get_count(r), i;
	struct kbr_share_reader reader;

	kvfree(node->readers);
	node->readers = count ? kvmalloc_array(count, sizeof(*node->readers), GFP_KERNEL) : NULL;
	node->readers_count = node->readers ? count : 0;
	for (i = 0; i < count; i++) {
		kbr_share_get_reader(r, &reader);
		if (node->readers)
			node->readers[i] = reader;
	}
}

/* It has @sp by the word of an earlier coordinator, and nobody has it by mine. */
static bool kbr_share_node_claim(struct kbr_share_node *node, struct kbr_share_part *sp,
				 const struct kbr_share_item *item)
{
	if (item->grant >> 32 >= node->share->lead->epoch || sp->moves || item->grant <= sp->grant)
		return false;
	kbr_share_part_claim(sp, &node->member, item->grant);
	return true;
}

/* What it says of one partition. False: it does not know what it has. */
static bool kbr_share_node_take_item(struct kbr_share_node *node, const struct kbr_share_item *item)
{
	struct kbr_share *share = node->share;
	struct kbr_share_part *sp;

	if (item->partition >= share->count)
		return false;
	sp = share->parts[item->partition];
	if ((sp->owner != &node->member || sp->grant != item->grant) &&
	    !kbr_share_node_claim(node, sp, item))
		return false;
	if (item->offset > sp->counted) {
		WRITE_ONCE(sp->counted, item->offset);
		kbr_share_part_dirty(sp);
	}
	sp->seen = node->heard;
	sp->reader = item->reader;
	if (item->flags & KBR_SHARE_LET_GO)
		kbr_share_part_release(sp);
	return true;
}

/* It wants to be told when @sequence is on disk. */
static void kbr_share_node_want(struct kbr_share_node *node, u64 sequence)
{
	/* What was counted by now is in the next commit at the latest. */
	u64 commit = READ_ONCE(node->share->lead->appended) + 1;

	if (!node->sync) {
		node->sync = sequence;
		node->sync_commit = commit;
	} else {
		node->sync_next = sequence;
		node->sync_next_commit = commit;
	}
	kbr_share_linger(node->share, 0);
}

/* True: it has left. */
static bool kbr_share_node_take(struct kbr_share_node *node,
				const struct kbr_share_message *message, struct kbr_wire_reader *r)
{
	struct kbr_share *share = node->share;
	bool tell = !node->heard, has = false;
	struct kbr_share_item item;
	unsigned int i;
	s32 count;

	node->heard = message->sequence;
	node->asked = false;
	kbr_share_node_take_readers(node, r);
	for (count = kbr_get_count(r); count > 0; count--) {
		kbr_share_get_item(r, &item);
		tell |= !kbr_share_node_take_item(node, &item);
	}
	for (i = 0; i < share->count; i++)
		tell |= share->parts[i]->owner == &node->member &&
			share->parts[i]->seen != node->heard;
	kbr_share_node_weigh(node, message->members);
	kbr_share_balance(share);
	kbr_share_lead_gathered(share);
	for (i = 0; i < share->count; i++)
		has |= share->parts[i]->owner == &node->member;
	if (!message->members && !has) {
		kbr_share_node_drop(node);
		return true;
	}
	if (message->synced)
		kbr_share_node_want(node, message->sequence);
	if (tell)
		kbr_share_node_tell(node);
	return false;
}

static s16 kbr_share_lead_take(struct kbr_share *share, s32 from, s64 epoch,
			       const struct kbr_share_message *message, struct kbr_wire_reader *r)
{
	struct kbr_share_node *node, *gone = NULL, *former = NULL;
	s16 code = 0;

	mutex_lock(&share->lock);
	node = kbr_share_node_find(share, from);
	if (share->ended)
		code = KBR_KAFKA_NOT_COORDINATOR;
	else if (node && node->epoch > epoch)
		code = KBR_KAFKA_STALE_BROKER_EPOCH;
	if (code || (node && message->sequence <= node->heard && epoch == node->epoch))
		goto out;
	if (node && node->epoch < epoch) {
		/* What another life of it had is not this one's. */
		kbr_share_node_drop(node);
		former = node;
		node = NULL;
	}
	kbr_share_grow(share);
	if (!node)
		node = kbr_share_node_add(share, from, epoch);
	if (!node)
		code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	else if (kbr_share_node_take(node, message, r))
		gone = node;
out:
	mutex_unlock(&share->lock);
	if (gone)
		kbr_share_node_put(gone);
	if (former)
		kbr_share_node_put(former);
	return code;
}

/* ---- life ---- */

/* Something that was committed may be on disk. */
static void kbr_share_lead_acked(struct work_struct *work)
{
	struct kbr_share_lead *lead = container_of(work, struct kbr_share_lead, acked);

	/* Its end waits for this work. */
	if (!kref_get_unless_zero(&lead->share->ref))
		return;
	kbr_share_linger(lead->share, 0);
	kbr_share_put(lead->share);
}

static void kbr_share_lead_commit_soon(struct kbr_share *share)
{
	kbr_share_linger(share, 0);
}

static int kbr_share_lead_alloc(struct kbr_share *share, s32 epoch)
{
	struct kbr_share_lead *lead = kzalloc(sizeof(*lead), GFP_KERNEL);

	if (!lead)
		return -ENOMEM;
	lead->share = share;
	lead->epoch = epoch;
	lead->gathering = true;
	lead->gather_end = jiffies + msecs_to_jiffies(KBR_SHARE_GATHER_MS);
	INIT_DELAYED_WORK(&lead->watch, kbr_share_lead_watch);
	INIT_WORK(&lead->acked, kbr_share_lead_acked);
	kbr_waiter_init(&lead->waiter, kbr_share_broker(share)->work_wq, &lead->acked,
			lead->entries);
	share->lead = lead;
	share->grants = (u64)epoch << 32;
	share->commit_soon = kbr_share_lead_commit_soon;
	share->settled = kbr_share_lead_settled;
	return 0;
}

void kbr_share_lead_free(struct kbr_share *share)
{
	kbr_waiter_drop(&share->lead->waiter);
	cancel_work_sync(&share->lead->acked);
	kfree(share->lead);
	share->lead = NULL;
}

/* Ask all nodes what they have. */
static void kbr_share_lead_ask(struct kbr_share *share)
{
	struct kbr_broker *broker = kbr_share_broker(share);
	struct kbr_share_node *node;
	struct kbr_peer peer;
	s32 id = -1;

	mutex_lock(&share->lock);
	while (!kbr_cluster_next_peer(broker, id, &peer)) {
		id = peer.id;
		if (peer.fenced || kbr_share_node_find(share, id))
			continue;
		node = kbr_share_node_add(share, id, peer.epoch);
		if (!node)
			continue;	/* It is as one that does not answer. */
		node->asked = true;
		kbr_share_node_tell(node);
	}
	kref_get(&share->ref);
	if (!queue_delayed_work(broker->work_wq, &share->lead->watch,
				msecs_to_jiffies(KBR_SHARE_GATHER_MS) + 1))
		kbr_share_put(share);
	mutex_unlock(&share->lock);
}

/* The share of the group that leads for this topic, with a reference, or NULL. Group locked. */
static struct kbr_share *kbr_share_lead_find_locked(struct kbr_group *group, const u8 id[16])
{
	struct kbr_share *share;

	list_for_each_entry(share, &group->shares, node)
		if (!memcmp(share->topic->id, id, sizeof(share->topic->id)) &&
		    !share->ended && kref_get_unless_zero(&share->ref))
			return share;
	return NULL;
}

static struct kbr_topic *kbr_share_find_topic(struct kbr_broker *broker,
					      const struct kbr_share_message *message)
{
	char name[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_topic *topic;

	if (kbr_str_copy(&message->topic, name, sizeof(name)))
		return NULL;
	topic = kbr_topic_lookup(broker, name);
	if (!topic || !memcmp(topic->id, message->topic_id, sizeof(topic->id)))
		return topic;
	kbr_topic_put(topic);
	return NULL;
}

/* Make one, unless somebody else has; a reference, or NULL and *@code. */
static struct kbr_share *kbr_share_lead_make(struct kbr_group *group, struct kbr_topic *topic,
					     s16 *code)
{
	struct kbr_groups *groups = group->groups;
	struct kbr_share *fresh = kbr_share_create(group, topic), *share;
	int err;

	*code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (!fresh)
		return NULL;
	if (kbr_share_lead_alloc(fresh, READ_ONCE(groups->logs[group->partition].epoch))) {
		kbr_share_put(fresh);
		return NULL;
	}
	kbr_share_load(fresh);
	kbr_group_lock(group);
	/* From here on clients stay out. */
	err = kbr_group_set_kind_locked(group, KBR_GROUP_DEVICE);
	share = err ? NULL : kbr_share_lead_find_locked(group, topic->id);
	if (!err && !share) {
		share = fresh;
		list_add_tail(&share->node, &group->shares);
	}
	kbr_group_unlock(group);
	if (share == fresh)
		kbr_share_lead_ask(share);
	else
		kbr_share_put(fresh);
	if (err)
		*code = err == -EBUSY ? KBR_KAFKA_INCONSISTENT_GROUP_PROTOCOL :
					KBR_KAFKA_NOT_COORDINATOR;
	return share;
}

static struct kbr_share *kbr_share_lead_get(struct kbr_group *group,
					    const struct kbr_share_message *message, s16 *code)
{
	struct kbr_share *share;
	struct kbr_topic *topic;

	*code = 0;
	kbr_group_lock(group);
	share = kbr_share_lead_find_locked(group, message->topic_id);
	/* Clients may have come when all had left. */
	if (share && message->members && kbr_group_set_kind_locked(group, KBR_GROUP_DEVICE))
		*code = KBR_KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	kbr_group_unlock(group);
	if (*code) {
		kbr_share_put(share);
		return NULL;
	}
	if (share)
		kbr_share_load(share);	/* unless there are members */
	if (share || !message->members)
		return share;
	topic = kbr_share_find_topic(group->groups->broker, message);
	if (!topic) {
		*code = KBR_KAFKA_UNKNOWN_TOPIC;
		return NULL;
	}
	share = kbr_share_lead_make(group, topic, code);
	kbr_topic_put(topic);
	return share;
}

s16 kbr_share_lead_receive(struct kbr_broker *broker, s32 from, s64 epoch,
			   const struct kbr_share_message *message, struct kbr_wire_reader *r)
{
	struct kbr_group *group;
	struct kbr_share *share;
	s16 code;

	group = kbr_group_find(broker, &message->group, message->members > 0, &code);
	if (!group)
		return code == KBR_KAFKA_GROUP_ID_NOT_FOUND ? 0 : code;
	share = kbr_share_lead_get(group, message, &code);
	if (share) {
		code = kbr_share_lead_take(share, from, epoch, message, r);
		kbr_share_put(share);
	}
	kbr_group_put(group);
	return code;
}

void kbr_share_lead_stored(struct kbr_share *share, u64 first)
{
	struct kbr_share_lead *lead = share->lead;
	struct kbr_share_member *member;

	lockdep_assert_held(&share->commit_lock);
	mutex_lock(&share->lock);
	list_for_each_entry(member, &share->members, node) {
		struct kbr_share_node *node = kbr_share_node_of(member);
		u64 before = node->stored;

		if (lead->failed) {
			/* What could not be written is in the next one. */
			node->sync_commit = lead->appended + 1;
			node->sync_next_commit = lead->appended + 1;
		}
		while (node->sync && (!first || node->sync_commit < first)) {
			node->stored = node->sync;
			node->sync = node->sync_next;
			node->sync_commit = node->sync_next_commit;
			node->sync_next = 0;
		}
		if (node->stored != before)
			kbr_share_node_tell(node);
	}
	lead->failed = false;
	mutex_unlock(&share->lock);
}

void kbr_share_lead_end(struct kbr_share *share)
{
	struct kbr_share_node *node;

	if (cancel_delayed_work_sync(&share->lead->watch))
		kbr_share_put(share);
	for (;;) {
		mutex_lock(&share->lock);
		node = NULL;
		if (!list_empty(&share->members)) {
			node = kbr_share_node_of(list_first_entry(&share->members,
								  struct kbr_share_member, node));
			kbr_share_node_drop(node);
		}
		mutex_unlock(&share->lock);
		if (!node)
			return;
		kbr_share_node_put(node);
	}
}
