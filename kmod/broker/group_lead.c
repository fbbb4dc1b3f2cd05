// SPDX-License-Identifier: GPL-2.0-only
/*
 * The coordinator of a member of a cluster: it has the groups of the partitions
 * of __consumer_offsets that this broker leads. Where a leadership begins they
 * are loaded, once all that the leaders before have committed is known to be;
 * where it ends they are forgotten, and who waits is sent to the other broker.
 */
#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/group_internal.h"
#include "broker/replica.h"
#include "broker/share_far.h"

/* A leadership that has not caught up is looked at again: at first, at last */
#define KBR_GROUPS_AGAIN_MIN_MS	20U
#define KBR_GROUPS_AGAIN_MAX_MS	1000U
/* So many groups are taken out of the table at a time */
#define KBR_GROUPS_FORGET_MAX	32

/* Which leadership of @part this broker holds, -1: none */
static s32 kbr_groups_leads(struct kbr_partition *part)
{
	enum kbroker_replica_role role;
	struct kbr_replica_state state;

	if (!kbr_replica_get(part, &state, &role) || role != KBROKER_REPLICA_ROLE_LEADER)
		return -1;
	return state.leader_epoch;
}

struct kbr_group_log *kbr_groups_log_of(struct kbr_groups *groups, const struct kbr_str *name)
{
	return &groups->logs[kbr_group_partition(name, groups->partitions)];
}

bool kbr_groups_log_is_here(struct kbr_groups *groups, u32 index)
{
	/* pairs with the release in kbr_groups_take() */
	return smp_load_acquire(&groups->logs[index].where) == KBR_GROUP_LOG_HERE;
}

s16 kbr_groups_check_here(struct kbr_groups *groups, const struct kbr_str *name)
{
	/* pairs with the release in kbr_groups_take() */
	switch (smp_load_acquire(&kbr_groups_log_of(groups, name)->where)) {
	case KBR_GROUP_LOG_HERE:
		return 0;
	case KBR_GROUP_LOG_LOADING:
		return KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
	default:
		return KBR_KAFKA_NOT_COORDINATOR;
	}
}
KBR_EXPORT_IF_KUNIT(kbr_groups_check_here);

/* Groups of partition @index, out of the table; how many */
static unsigned int kbr_groups_take_out(struct kbr_groups *groups, u32 index,
					struct kbr_group *gone[KBR_GROUPS_FORGET_MAX])
{
	struct rb_node *node, *next;
	struct kbr_group *group;
	unsigned int count = 0;

	down_write(&groups->lock);
	for (node = rb_first(&groups->tree); node && count < KBR_GROUPS_FORGET_MAX; node = next) {
		next = rb_next(node);
		group = rb_entry(node, struct kbr_group, node);
		if (group->partition != index)
			continue;
		rb_erase(node, &groups->tree);
		groups->count--;
		gone[count++] = group;
	}
	up_write(&groups->lock);
	return count;
}

static void kbr_groups_forget(struct kbr_groups *groups, u32 index)
{
	struct kbr_group *gone[KBR_GROUPS_FORGET_MAX];
	unsigned int count, i;

	do {
		count = kbr_groups_take_out(groups, index, gone);
		for (i = 0; i < count; i++) {
			kbr_group_get(gone[i]);
			kbr_group_end(gone[i], KBR_KAFKA_NOT_COORDINATOR);
			kbr_shares_end(gone[i]);
			kbr_group_put(gone[i]);
		}
		cond_resched();
	} while (count == KBR_GROUPS_FORGET_MAX);
}

/* Load partition @index, which this broker leads in @epoch; false: look again later. */
static bool kbr_groups_take(struct kbr_groups *groups, u32 index, s32 epoch)
{
	struct kbr_partition *part = kbr_topic_partition(groups->topic, index);
	struct kbr_group_log *log = &groups->logs[index];

	/* What the last leader has committed may be above what this one knows to be. */
	if (READ_ONCE(part->state) != KBR_PARTITION_LEADER ||
	    kbr_partition_hw(part) < kbr_replica_epoch_start(part))
		return false;
	if (kbr_groups_load_one(groups, index) || kbr_groups_leads(part) != epoch)
		return false;
	kbr_groups_arm(groups, index, index + 1);
	/* release: what was loaded is there for who sees HERE */
	smp_store_release(&log->where, KBR_GROUP_LOG_HERE);
	wake_up_all(&groups->wait);
	return true;
}

/* What becomes of the groups of partition @index; false: look again later */
static bool kbr_groups_move(struct kbr_groups *groups, u32 index)
{
	s32 epoch = kbr_groups_leads(kbr_topic_partition(groups->topic, index));
	struct kbr_group_log *log = &groups->logs[index];

	if (log->epoch == epoch && log->where != KBR_GROUP_LOG_LOADING)
		return true;
	WRITE_ONCE(log->where, epoch < 0 ? KBR_GROUP_LOG_AWAY : KBR_GROUP_LOG_LOADING);
	WRITE_ONCE(log->epoch, epoch);
	/* of the leadership before, or of a load that did not come to its end */
	kbr_groups_forget(groups, index);
	return epoch < 0 || kbr_groups_take(groups, index, epoch);
}

void kbr_groups_move_work(struct work_struct *work)
{
	struct kbr_groups *groups = container_of(to_delayed_work(work), struct kbr_groups, move);
	bool again = false;
	u32 i;

	for (i = 0; i < groups->partitions && !kbr_groups_stopped(groups); i++)
		again |= !kbr_groups_move(groups, i);
	if (!again || kbr_groups_stopped(groups))
		return;
	queue_delayed_work(groups->broker->work_wq, &groups->move,
			   msecs_to_jiffies(groups->again_ms));
	groups->again_ms = min(2 * groups->again_ms, KBR_GROUPS_AGAIN_MAX_MS);
}

void kbr_groups_move_now(struct kbr_groups *groups)
{
	WRITE_ONCE(groups->again_ms, KBR_GROUPS_AGAIN_MIN_MS);
	mod_delayed_work(groups->broker->work_wq, &groups->move, 0);
}

void kbr_groups_moved(struct kbr_partition *part)
{
	struct kbr_groups *groups = part->topic->broker->groups;

	if (!groups || strcmp(part->topic->name, KBR_OFFSETS_TOPIC))
		return;
	kbr_share_mirrors_moved(part->topic->broker);
	/* Before READY there is nothing to move; then all of it is looked at. */
	if (smp_load_acquire(&groups->state) == KBR_GROUPS_READY)
		kbr_groups_move_now(groups);
}

int kbr_groups_coordinator(struct kbr_broker *broker, const struct kbr_str *name, s32 *id)
{
	int err = kbr_groups_ready(broker, false);
	s32 epoch;

	*id = READ_ONCE(broker->id);
	if (err || !kbr_cluster_is_member(broker))
		return err;
	return kbr_groups_leadership(broker, name, id, &epoch);
}

int kbr_groups_leadership(struct kbr_broker *broker, const struct kbr_str *name, s32 *id,
			  s32 *epoch)
{
	struct kbr_groups *groups = broker->groups;
	enum kbroker_replica_role role;
	struct kbr_replica_state state;
	struct kbr_partition *part;

	if (kbr_groups_ready(broker, false))
		return -EAGAIN;
	part = kbr_topic_partition(groups->topic, kbr_group_partition(name, groups->partitions));
	if (!kbr_replica_get(part, &state, &role) || state.leader < 0)
		return -EAGAIN;
	*id = state.leader;
	*epoch = state.leader_epoch;
	return 0;
}
