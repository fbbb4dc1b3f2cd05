// SPDX-License-Identifier: GPL-2.0-only
/*
 * The share of a group: found or made when a member joins, with the positions
 * that the group has committed, and written back: every auto.commit.interval.ms
 * while something was counted, when a member leaves, and when one asks for it.
 *
 * A commit is appended under kbr_share.commit_lock, so that positions reach the log
 * in the order they were reached, and stays on kbr_share.commits until it is on disk
 * or has failed; what failed is to be written again. A share that all members have
 * left lives until then: as long as it lives its positions are exact.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/group_internal.h"
#include "broker/partition.h"
#include "broker/share_far.h"

/* How soon a share that everybody has left looks whether its last commit is on disk, ms */
#define KBR_SHARE_LINGER_MS	20
/* How soon a coordinator tries again what it could not write; and looks though nobody woke it, ms */
#define KBR_SHARE_LEAD_RETRY_MS	100
#define KBR_SHARE_LEAD_LOOK_MS	1000

/**
 * struct kbr_share_commit - positions on their way to the disk
 * @node: in kbr_share.commits, oldest first
 * @ref: the list's, and of who waits for it
 * @wait: what the group makes it wait for
 * @answered: the group has said what became of it
 * @number: of kbr_share_lead.appended
 * @err: errno of the first that could not be written
 * @count: entries
 * @parts: which parts
 * @offsets: their positions
 */
struct kbr_share_commit {
	struct list_head node;
	refcount_t ref;
	struct kbr_group_wait wait;
	bool answered;
	u64 number;
	int err;
	unsigned int count;
	struct kbr_share_part **parts;
	struct kbr_group_offset offsets[];
};

/* Kafka's codes, as far as groups answer with them to devices. */
int kbr_share_errno(s16 code)
{
	switch (code) {
	case KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
	case KBR_KAFKA_COORDINATOR_NOT_AVAILABLE:
		return -ENODEV;
	case KBR_KAFKA_NOT_COORDINATOR:
		return -EREMOTE;
	case KBR_KAFKA_INVALID_GROUP_ID:
		return -EINVAL;
	/* group.memory.max.bytes, or there is none at all */
	case KBR_KAFKA_GROUP_MAX_SIZE_REACHED:
	case KBR_KAFKA_INVALID_COMMIT_OFFSET_SIZE:
		return -ENOMEM;
	case KBR_KAFKA_UNKNOWN_TOPIC:
		return -ENODEV;
	default:
		return -EIO;
	}
}

static void kbr_share_commit_put(struct kbr_share_commit *commit)
{
	if (refcount_dec_and_test(&commit->ref))
		kvfree(commit);
}

static void kbr_share_end_now(struct kbr_share *share)
{
	struct kbr_group *group = share->group;

	WARN_ON_ONCE(!list_empty(&share->commits));
	kbr_group_lock(group);
	list_del(&share->node);
	if (!group->devices && group->kind == KBR_GROUP_DEVICE)
		kbr_group_set_kind_locked(group, KBR_GROUP_NONE);
	kbr_group_unlock(group);
	mutex_destroy(&share->commit_lock);
	kbr_share_free(share);
	kbr_group_put(group);
}

static void kbr_share_lead_end_work(struct work_struct *work)
{
	struct kbr_share *share = container_of(work, struct kbr_share_lead, end)->share;

	kbr_share_lead_free(share);
	kbr_share_end_now(share);
}

static void kbr_share_release(struct kref *ref)
{
	struct kbr_share *share = container_of(ref, struct kbr_share, ref);

	if (share->mirror) {
		kbr_share_mirror_free(share);
	} else if (share->lead) {
		INIT_WORK(&share->lead->end, kbr_share_lead_end_work);
		queue_work(share->topic->broker->work_wq, &share->lead->end);
	} else {
		kbr_share_end_now(share);
	}
}

void kbr_share_put(struct kbr_share *share)
{
	kref_put(&share->ref, kbr_share_release);
}
KBR_EXPORT_IF_KUNIT(kbr_share_put);

/* Commits */

/* The group has answered: why something can't be written, if so. */
static void kbr_share_commit_answered(struct kbr_share_commit *commit)
{
	unsigned int i;

	commit->answered = true;
	for (i = 0; i < commit->count && !commit->err; i++)
		if (commit->offsets[i].code)
			commit->err = commit->wait.err ?: kbr_share_errno(commit->offsets[i].code);
}

static void kbr_share_commit_end(struct kbr_share *share, struct kbr_share_commit *commit)
{
	unsigned int i;

	for (i = 0; i < commit->count; i++) {
		if (!commit->offsets[i].code)
			continue;
		if (share->lead)
			share->lead->failed = true;
		/* Without members the group's own position counts, which others may move. */
		if (READ_ONCE(share->members_count) && !READ_ONCE(share->ended))
			kbr_share_part_dirty(commit->parts[i]);
	}
	/* What it waits on is the commit's to hold. */
	if (share->lead)
		kbr_waiter_drop(&share->lead->waiter);
	kbr_group_wait_drop(&commit->wait);
	list_del_init(&commit->node);
	kbr_share_commit_put(commit);
}

/* Take off what has been answered. commit_lock held. */
static void kbr_share_reap(struct kbr_share *share)
{
	struct kbr_share_commit *commit, *next;

	list_for_each_entry_safe(commit, next, &share->commits, node) {
		if (!commit->answered) {
			if (!kbr_group_commit_again(&commit->wait, commit->offsets, commit->count))
				break;
			kbr_share_commit_answered(commit);
		}
		kbr_share_commit_end(share, commit);
	}
}

/*
 * Take what was counted and not handed to the group; NULL nothing. -ENOMEM: it is
 * still to be written. commit_lock held.
 */
static struct kbr_share_commit *kbr_share_collect(struct kbr_share *share)
{
	struct kbr_str topic = { .at = share->topic->name, .len = strlen(share->topic->name) };
	struct llist_node *first = llist_del_all(&share->dirty), *node, *next;
	struct kbr_share_commit *commit;
	unsigned int count = 0;
	size_t size;

	if (!first)
		return NULL;
	llist_for_each(node, first)
		count++;
	size = struct_size(commit, offsets, count);
	commit = kvzalloc(size + count * sizeof(commit->parts[0]), GFP_KERNEL);
	if (!commit) {
		llist_for_each_safe(node, next, first)
			llist_add(node, &share->dirty);
		return ERR_PTR(-ENOMEM);
	}
	refcount_set(&commit->ref, 1);
	commit->parts = (void *)commit + size;
	llist_for_each_safe(node, next, first) {
		struct kbr_share_part *sp = llist_entry(node, struct kbr_share_part, dirty);

		/* What is counted from now on puts it there again. */
		clear_bit(KBR_SHARE_PART_DIRTY, &sp->flags);
		smp_mb__after_atomic();	/* pairs with test_and_set_bit() in kbr_share_part_dirty() */
		commit->parts[commit->count] = sp;
		commit->offsets[commit->count] = (struct kbr_group_offset) {
			.topic = topic,
			.partition = sp->part->index,
			.offset = READ_ONCE(sp->counted),
			.leader_epoch = -1,
			.metadata = { .at = "" },
			.expire_ms = -1,
		};
		commit->count++;
	}
	return commit;
}

/* Hand what was counted to the group. 0, or -ENOMEM. commit_lock held. */
static int kbr_share_append(struct kbr_share *share)
{
	struct kbr_share_commit *commit;

	/* A new topic of that name would have other records. */
	if (kbr_topic_gone(share->topic))
		return -ENODEV;
	/* Before it is collected: pairs with kbr_share_node_want(), where llist_add() orders it. */
	if (share->lead)
		WRITE_ONCE(share->lead->appended, share->lead->appended + 1);
	commit = kbr_share_collect(share);
	if (IS_ERR_OR_NULL(commit))
		return PTR_ERR_OR_ZERO(commit);
	if (share->lead)
		commit->number = share->lead->appended;
	list_add_tail(&commit->node, &share->commits);
	if (kbr_group_commit_device(share->group, commit->offsets, commit->count,
				    kbr_clock_now_ms(), &commit->wait))
		kbr_share_commit_answered(commit);
	return 0;
}

/* Is anything not known to be on disk? commit_lock held. */
static bool kbr_share_unwritten(struct kbr_share *share)
{
	return !list_empty(&share->commits) ||
	       (!llist_empty(&share->dirty) && !kbr_topic_gone(share->topic));
}

/* There is something to write: some time, so that others share the write. Any context. */
static void kbr_share_commit_soon(struct kbr_share *share)
{
	struct kbr_broker *broker = share->topic->broker;
	s64 ms = READ_ONCE(broker->config.auto_commit_ms);

	/* The caller's member holds the share; the work does so until it ends. */
	kref_get(&share->ref);
	if (!queue_delayed_work(broker->work_wq, &share->commit,
				msecs_to_jiffies(min_t(s64, ms, INT_MAX))))
		kbr_share_put(share);
}

/* What a coordinator's commits have come to; when to look again if nothing wakes it, ms. commit_lock held. */
static s64 kbr_share_lead_look(struct kbr_share *share)
{
	struct kbr_share_lead *lead = share->lead;
	struct kbr_share_commit *first, *before;
	u64 number = 0;

	kbr_waiter_drop(&lead->waiter);
	first = list_first_entry_or_null(&share->commits, struct kbr_share_commit, node);
	do {
		before = first;
		if (!first)
			break;
		kbr_group_wait_add(&first->wait, &lead->waiter);
		/* once more: it may have come before it was waited for */
		kbr_share_reap(share);
		first = list_first_entry_or_null(&share->commits, struct kbr_share_commit, node);
	} while (first != before);
	if (first)
		number = first->number;
	else if (!llist_empty(&share->dirty))
		number = lead->appended + 1;
	kbr_share_lead_stored(share, number);
	return first ? KBR_SHARE_LEAD_LOOK_MS : KBR_SHARE_LEAD_RETRY_MS;
}

static void kbr_share_commit_work(struct work_struct *work)
{
	struct kbr_share *share = container_of(to_delayed_work(work), struct kbr_share, commit);
	struct kbr_broker *broker = share->topic->broker;
	s64 ms = READ_ONCE(broker->config.auto_commit_ms);
	bool more;

	mutex_lock(&share->commit_lock);
	kbr_share_reap(share);
	kbr_share_append(share);
	kbr_share_reap(share);
	if (share->lead)
		ms = kbr_share_lead_look(share);
	more = kbr_share_unwritten(share);
	if (!READ_ONCE(share->members_count))
		ms = KBR_SHARE_LINGER_MS;
	mutex_unlock(&share->commit_lock);
	if (more && queue_delayed_work(broker->work_wq, &share->commit,
				       msecs_to_jiffies(min_t(s64, ms, INT_MAX))))
		return;		/* with this run's reference */
	kbr_share_put(share);
}

/*
 * What is on its way last, with a reference; NULL: nothing is. @wait is a copy of
 * what it waits for, with a reference on the topic of its partition. commit_lock
 * held.
 */
static struct kbr_share_commit *kbr_share_last(struct kbr_share *share, struct kbr_group_wait *wait)
{
	struct kbr_share_commit *commit;

	if (list_empty(&share->commits))
		return NULL;
	commit = list_last_entry(&share->commits, struct kbr_share_commit, node);
	refcount_inc(&commit->ref);
	*wait = (struct kbr_group_wait) {
		.part = commit->wait.part,
		.last = commit->wait.last,
		.failures = commit->wait.failures,
	};
	if (wait->part)
		kbr_topic_get(wait->part->topic);
	return commit;
}

int kbr_share_commit(struct kbr_share *share)
{
	s64 timeout_ms = READ_ONCE(share->topic->config.delivery_timeout_ms);
	struct kbr_share_commit *commit;
	struct kbr_group_wait wait;
	int err;

	if (unlikely(share->mirror))
		return kbr_share_mirror_commit(share);
	mutex_lock(&share->commit_lock);
	kbr_share_reap(share);
	err = kbr_share_append(share);
	commit = err ? NULL : kbr_share_last(share, &wait);
	mutex_unlock(&share->commit_lock);
	if (!commit)
		return err;
	if (wait.part) {
		err = kbr_partition_wait_acks(wait.part, wait.last, wait.failures, timeout_ms);
		kbr_topic_put(wait.part->topic);
	}
	mutex_lock(&share->commit_lock);
	kbr_share_reap(share);
	/* One that was answered may stand behind one that was not. */
	if (commit->answered)
		err = commit->err ? err ?: commit->err : 0;
	else
		err = err ?: -EIO;
	mutex_unlock(&share->commit_lock);
	kbr_share_commit_put(commit);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_share_commit);

/* Members */

/* Wait until groups can be used. 0; -ERESTARTSYS; why they cannot. */
static int kbr_share_wait_groups(struct kbr_broker *broker)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	wait_queue_head_t *head;
	int err;

	err = kbr_groups_ready(broker, true);
	if (err != -EAGAIN)
		return err;
	head = kbr_groups_wait_head(broker);
	add_wait_queue(head, &wait);
	while ((err = kbr_groups_ready(broker, true)) == -EAGAIN) {
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		wait_woken(&wait, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
	}
	remove_wait_queue(head, &wait);
	return err;
}

struct kbr_share *kbr_share_create(struct kbr_group *group, struct kbr_topic *topic)
{
	struct kbr_share *share = kbr_share_alloc(topic);

	if (!share)
		return NULL;
	mutex_init(&share->commit_lock);
	INIT_LIST_HEAD(&share->node);
	INIT_LIST_HEAD(&share->commits);
	INIT_DELAYED_WORK(&share->commit, kbr_share_commit_work);
	share->commit_soon = kbr_share_commit_soon;
	kbr_group_get(group);
	share->group = group;
	return share;
}

/* The group's share of @topic, with a reference, or NULL. Group locked. */
static struct kbr_share *kbr_share_find_locked(struct kbr_group *group, struct kbr_topic *topic)
{
	struct kbr_share *share;

	list_for_each_entry(share, &group->shares, node)
		if (share->topic == topic && kref_get_unless_zero(&share->ref))
			return share;
	return NULL;
}

/* What the group has committed is where a share that nobody reads stands. */
void kbr_share_load(struct kbr_share *share)
{
	struct kbr_str topic = { .at = share->topic->name, .len = strlen(share->topic->name) };
	struct kbr_group_offset found;
	unsigned int i;

	mutex_lock(&share->commit_lock);
	kbr_share_reap(share);
	mutex_lock(&share->lock);
	/* While something is on its way it knows better. */
	if (share->members_count || kbr_share_unwritten(share))
		goto out;
	kbr_group_lock(share->group);
	for (i = 0; i < share->count; i++)
		WRITE_ONCE(share->parts[i]->counted,
			   kbr_group_offset_locked(share->group, &topic, i, &found) ?
			   found.offset : -1);
	kbr_group_unlock(share->group);
out:
	mutex_unlock(&share->lock);
	mutex_unlock(&share->commit_lock);
}

int kbr_share_join(struct kbr_share_member *member, struct kbr_topic *topic,
		   const struct kbr_str *name)
{
	struct kbr_broker *broker = topic->broker;
	struct kbr_share *share, *fresh;
	struct kbr_group *group;
	s16 code;
	int err;

	err = kbr_share_wait_groups(broker);
	if (err)
		return err;
	if (unlikely(kbr_cluster_is_member(broker)))
		return kbr_share_mirror_join(member, topic, name);
	group = kbr_group_find(broker, name, true, &code);
	if (!group)
		return kbr_share_errno(code);
	fresh = kbr_share_create(group, topic);
	err = -ENOMEM;
	if (!fresh)
		goto out;
	kbr_group_lock(group);
	/* From here on clients stay out. */
	err = kbr_group_set_kind_locked(group, KBR_GROUP_DEVICE);
	if (!err) {
		share = kbr_share_find_locked(group, topic);
		if (!share) {
			share = fresh;
			fresh = NULL;
			list_add_tail(&share->node, &group->shares);
		}
		group->devices++;
		group->generation++;
		kbr_group_changed_locked(group);
	}
	kbr_group_unlock(group);
	if (fresh)
		kbr_share_put(fresh);
	if (!err) {
		member->pid = task_tgid_nr(current);
		get_task_comm(member->comm, current);
		kbr_share_load(share);
		kbr_share_add(share, member);
	}
out:
	kbr_group_put(group);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_share_join);

void kbr_share_linger(struct kbr_share *share, unsigned int ms)
{
	kref_get(&share->ref);
	if (mod_delayed_work(share->topic->broker->work_wq, &share->commit, msecs_to_jiffies(ms)))
		kbr_share_put(share);	/* it was queued, with a reference of its own */
}

void kbr_share_leave(struct kbr_share_member *member)
{
	struct kbr_share *share = member->share;
	bool last;

	if (unlikely(share->mirror)) {
		kbr_share_mirror_leave(member);
		return;
	}
	/* First of all the successors go on. */
	kbr_share_remove(member);
	mutex_lock(&share->commit_lock);
	kbr_share_reap(share);
	kbr_share_append(share);
	kbr_share_reap(share);
	last = !READ_ONCE(share->members_count);
	/* What there was no memory to write is tried again, as what is not on disk is looked at. */
	if (last && kbr_share_unwritten(share))
		kbr_share_linger(share, KBR_SHARE_LINGER_MS);
	else if (last && cancel_delayed_work(&share->commit))
		kbr_share_put(share);
	mutex_unlock(&share->commit_lock);

	kbr_group_lock(share->group);
	share->group->generation++;
	kbr_group_changed_locked(share->group);
	if (!--share->group->devices)
		kbr_group_set_kind_locked(share->group, KBR_GROUP_NONE);
	kbr_group_unlock(share->group);
	kbr_share_put(share);
}
KBR_EXPORT_IF_KUNIT(kbr_share_leave);

/* For who shows groups */

/* The @nth share of the group, with a reference, or NULL. */
static struct kbr_share *kbr_share_nth(struct kbr_group *group, unsigned int nth)
{
	struct kbr_share *share, *found = NULL;

	kbr_group_lock(group);
	list_for_each_entry(share, &group->shares, node) {
		/* those that are about to be freed do not count */
		if (nth) {
			nth -= !!kref_read(&share->ref);
		} else if (kref_get_unless_zero(&share->ref)) {
			found = share;
			break;
		}
	}
	kbr_group_unlock(group);
	return found;
}

/* The @nth member of the share, NULL past the end: then @nth is less by all it has. */
static struct kbr_share_member *kbr_share_seek_member(struct kbr_share *share, unsigned int *nth,
						      struct kbr_share_member_info *info)
{
	struct kbr_share_member *member;
	unsigned int count;

	list_for_each_entry(member, &share->members, node) {
		count = share->lead ? kbr_share_node_readers(member) : 1;
		if (*nth < count) {
			info->node = -1;
			info->pid = member->pid;
			memcpy(info->comm, member->comm, sizeof(info->comm));
			if (share->lead)
				kbr_share_node_describe(member, *nth, info);
			return member;
		}
		*nth -= count;
	}
	return NULL;
}

bool kbr_share_nth_member(struct kbr_group *group, unsigned int nth,
			  struct kbr_share_member_info *info, u32 *list, unsigned int room)
{
	struct kbr_share_member *member = NULL;
	struct kbr_share *share;
	unsigned int i, shares;

	for (shares = 0; !member && (share = kbr_share_nth(group, shares)); shares++) {
		mutex_lock(&share->lock);
		member = kbr_share_seek_member(share, &nth, info);
		strscpy(info->topic, share->topic->name, sizeof(info->topic));
		info->count = 0;
		for (i = 0; member && i < share->count; i++) {
			if (share->parts[i]->owner != member ||
			    (share->lead && share->parts[i]->reader != (s32)nth))
				continue;
			if (info->count < room)
				list[info->count] = i;
			info->count++;
		}
		mutex_unlock(&share->lock);
		kbr_share_put(share);
	}
	return member;
}

/* What the share has next behind (@topic, @partition); false: nothing. */
static bool kbr_share_place_behind(struct kbr_share *share, const char *topic, s32 partition,
				   struct kbr_share_place *place)
{
	int order = strcmp(share->topic->name, topic);
	u32 next = order > 0 ? 0 : partition + 1;

	if (order < 0 || next >= share->count || kbr_topic_gone(share->topic))
		return false;
	strscpy(place->topic, share->topic->name, sizeof(place->topic));
	place->partition = next;
	place->counted = READ_ONCE(share->parts[next]->counted);
	return true;
}

bool kbr_share_group_next(struct kbr_group *group, const char *topic, s32 partition,
			  struct kbr_share_place *place)
{
	struct kbr_share_place at;
	struct kbr_share *share;
	bool found = false;
	unsigned int i;

	for (i = 0; (share = kbr_share_nth(group, i)); i++) {
		mutex_lock(&share->lock);
		if (share->members_count && kbr_share_place_behind(share, topic, partition, &at) &&
		    (!found || strcmp(at.topic, place->topic) < 0)) {
			*place = at;
			found = true;
		}
		mutex_unlock(&share->lock);
		kbr_share_put(share);
	}
	return found;
}

/* A share of the group that has not been ended, with a reference, or NULL. */
static struct kbr_share *kbr_share_find_live(struct kbr_group *group)
{
	struct kbr_share *share, *found = NULL;

	kbr_group_lock(group);
	list_for_each_entry(share, &group->shares, node) {
		if (share->ended || !kref_get_unless_zero(&share->ref))
			continue;
		found = share;
		break;
	}
	kbr_group_unlock(group);
	return found;
}

static void kbr_share_end(struct kbr_share *share)
{
	struct kbr_share_member *member;

	mutex_lock(&share->lock);
	WRITE_ONCE(share->ended, true);
	list_for_each_entry(member, &share->members, node)
		wake_up_all(&member->wait);
	mutex_unlock(&share->lock);
	if (share->lead)
		kbr_share_lead_end(share);
	mutex_lock(&share->commit_lock);
	kbr_share_reap(share);
	kbr_share_append(share);
	mutex_unlock(&share->commit_lock);
	kbr_share_linger(share, 0);
}

void kbr_shares_end(struct kbr_group *group)
{
	struct kbr_share *share;

	while ((share = kbr_share_find_live(group))) {
		kbr_share_end(share);
		kbr_share_put(share);
	}
}
KBR_EXPORT_IF_KUNIT(kbr_shares_end);

void kbr_shares_stop(struct kbr_broker *broker)
{
	struct kbr_group *group, *next;
	struct kbr_str name = { .len = -1 };

	for (group = kbr_group_next(broker, &name); group; group = next) {
		kbr_shares_end(group);
		name = kbr_group_name(group);
		next = kbr_group_next(broker, &name);
		kbr_group_put(group);
	}
}
