// SPDX-License-Identifier: GPL-2.0-only
/*
 * Roles of a partition in a cluster, and what a leader knows of its followers;
 * see replica.h. What a follower does with what it fetched is in
 * replica_follow.c.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/group.h"
#include "broker/remote.h"
#include "broker/replica.h"
#include "broker/request.h"

/* A replica that is lost asks again after so long: the others may have come back. */
#define KBR_REPLICA_LOST_MS	10000

static const struct kbr_follow_ops *kbr_follow_ops;

void kbr_follow_register(const struct kbr_follow_ops *ops)
{
	kbr_follow_ops = ops;
}
KBR_EXPORT_IF_KUNIT(kbr_follow_register);

const struct kbr_follow_ops *kbr_follow(void)
{
	return kbr_follow_ops;
}
KBR_EXPORT_IF_KUNIT(kbr_follow);

/* ---- sets ---- */

bool kbr_id_set_has(const struct kbr_id_set *set, s32 id)
{
	unsigned int i;

	for (i = 0; i < set->count; i++)
		if (set->id[i] == id)
			return true;
	return false;
}

static bool kbr_id_set_valid(const struct kbr_id_set *set)
{
	unsigned int i, j;

	if (set->count > KBROKER_REPLICAS_MAX)
		return false;
	for (i = 0; i < set->count; i++) {
		if (set->id[i] < 0)
			return false;
		for (j = 0; j < i; j++)
			if (set->id[j] == set->id[i])
				return false;
	}
	return true;
}

static bool kbr_id_set_within(const struct kbr_id_set *set, const struct kbr_id_set *in)
{
	unsigned int i;

	for (i = 0; i < set->count; i++)
		if (!kbr_id_set_has(in, set->id[i]))
			return false;
	return true;
}

/* ---- life ---- */

int kbr_replica_alloc(struct kbr_partition *part)
{
	struct kbr_replicas *reps = kzalloc(sizeof(*reps), GFP_KERNEL_ACCOUNT);

	if (!reps)
		return -ENOMEM;
	spin_lock_init(&reps->lock);
	reps->role = KBROKER_REPLICA_ROLE_NONE;
	reps->state.leader = -1;
	reps->state.leader_epoch = -1;
	reps->state.partition_epoch = -1;
	reps->resigned = -1;
	reps->lost = -1;
	reps->lost_asked = -1;
	part->replicas = reps;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_alloc);

void kbr_replica_free(struct kbr_partition *part)
{
	/* The fetcher has stopped before the topics go. */
	if (part->replicas) {
		kbr_forward_free(part->replicas);
		kbr_remote_free(part->replicas);
	}
	kfree(part->replicas);
	part->replicas = NULL;
}

/* ---- what is known ---- */

bool kbr_replica_get(struct kbr_partition *part, struct kbr_replica_state *state,
		     enum kbroker_replica_role *role)
{
	struct kbr_replicas *reps = part->replicas;

	if (!reps)
		return false;
	spin_lock(&reps->lock);
	*state = reps->state;
	*role = reps->role;
	spin_unlock(&reps->lock);
	return state->partition_epoch >= 0;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_get);

unsigned int kbr_replica_get_progress(struct kbr_partition *part, struct kbr_replica_progress *out)
{
	struct kbr_replicas *reps = part->replicas;
	unsigned int i, count = 0;

	if (!reps)
		return 0;
	spin_lock(&reps->lock);
	if (reps->role == KBROKER_REPLICA_ROLE_LEADER)
		for (i = 0; i < ARRAY_SIZE(reps->progress); i++)
			if (reps->progress[i].id >= 0)
				out[count++] = reps->progress[i];
	spin_unlock(&reps->lock);
	return count;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_get_progress);

struct kbr_replica_progress *kbr_replica_find(struct kbr_replicas *reps, s32 id)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reps->progress); i++)
		if (reps->progress[i].id == id)
			return &reps->progress[i];
	return NULL;
}

/* ---- the high watermark ---- */

/* min.insync.replicas, which nobody can want above the number of replicas; @reps->lock held. */
static unsigned int kbr_replica_min_isr(const struct kbr_partition *part)
{
	const struct kbr_replicas *reps = part->replicas;
	u32 min = READ_ONCE(part->topic->config.min_insync_replicas);

	return min_t(u32, min, reps->state.replicas.count);
}

/* What counts of follower @id; @reps->lock held. */
static s64 kbr_replica_counted(const struct kbr_partition *part, s32 id, bool async)
{
	const struct kbr_replica_progress *progress = kbr_replica_find(part->replicas, id);

	if (!progress)
		return -1;
	return async ? progress->end : progress->synced;
}

static s64 kbr_replica_min_end(const struct kbr_partition *part, const struct kbr_id_set *set,
			       bool async, s64 hw)
{
	s32 me = READ_ONCE(part->topic->broker->id);
	unsigned int i;

	for (i = 0; i < set->count; i++)
		if (set->id[i] != me)
			hw = min(hw, kbr_replica_counted(part, set->id[i], async));
	return hw;
}

s64 kbr_replica_hw(struct kbr_partition *part)
{
	bool async = READ_ONCE(part->topic->config.flush_async);
	struct kbr_replicas *reps = part->replicas;
	s64 hw = -1;

	spin_lock(&reps->lock);
	if (reps->role == KBROKER_REPLICA_ROLE_LEADER &&
	    reps->state.isr.count >= kbr_replica_min_isr(part)) {
		hw = async ? kbr_log_end(&part->log) : kbr_log_synced(&part->log);
		hw = kbr_replica_min_end(part, &reps->state.isr, async, hw);
		/* who was asked for may be in it already (A3) */
		hw = kbr_replica_min_end(part, &reps->wanted, async, hw);
	}
	spin_unlock(&reps->lock);
	return hw;
}

bool kbr_replica_hw_known(struct kbr_partition *part)
{
	struct kbr_replicas *reps = part->replicas;
	bool known;

	if (likely(!reps))
		return true;
	spin_lock(&reps->lock);
	known = reps->role != KBROKER_REPLICA_ROLE_LEADER ||
		kbr_partition_hw(part) >= reps->epoch_start;
	spin_unlock(&reps->lock);
	return known;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_hw_known);

int kbr_replica_check_isr(struct kbr_partition *part)
{
	struct kbr_replicas *reps = part->replicas;
	int err = 0;

	spin_lock(&reps->lock);
	if (reps->role != KBROKER_REPLICA_ROLE_LEADER)
		err = -EREMOTE;
	else if (reps->state.isr.count < kbr_replica_min_isr(part))
		err = -ENOLINK;
	spin_unlock(&reps->lock);
	return err;
}

s64 kbr_replica_epoch_start(struct kbr_partition *part)
{
	struct kbr_replicas *reps = part->replicas;
	s64 start;

	spin_lock(&reps->lock);
	start = reps->epoch_start;
	spin_unlock(&reps->lock);
	return start;
}

/* It leads no more; an in-sync set without the leader says so. @reps->lock held. */
static void kbr_replica_step_down(struct kbr_partition *part, struct kbr_isr_wish *wish)
{
	s32 me = READ_ONCE(part->topic->broker->id);
	struct kbr_replicas *reps = part->replicas;
	const struct kbr_replica_progress *progress;
	unsigned int i;

	WRITE_ONCE(reps->role, KBROKER_REPLICA_ROLE_FOLLOWER);
	reps->state.leader = -1;
	reps->wanted.count = 0;
	reps->resigned = reps->state.leader_epoch;
	wish->count = 0;
	wish->leader_epoch = reps->state.leader_epoch;
	wish->partition_epoch = reps->state.partition_epoch;
	for (i = 0; i < reps->state.isr.count; i++) {
		if (reps->state.isr.id[i] == me)
			continue;
		progress = kbr_replica_find(reps, reps->state.isr.id[i]);
		wish->id[wish->count] = reps->state.isr.id[i];
		wish->epoch[wish->count++] = progress ? progress->broker_epoch : -1;
	}
}

static void kbr_replica_ask_resign(struct kbr_partition *part, const struct kbr_isr_wish *wish)
{
	if (kbr_cluster_isr_request(part, wish))
		pr_warn_ratelimited("%s: %s-%u: leads no more, and could not ask for another leader\n",
				    part->topic->broker->name, part->topic->name, part->index);
}

void kbr_replica_resign(struct kbr_partition *part)
{
	struct kbr_replicas *reps = part->replicas;
	struct kbr_isr_wish wish;
	bool led;

	spin_lock(&reps->lock);
	led = reps->role == KBROKER_REPLICA_ROLE_LEADER;
	if (led)
		kbr_replica_step_down(part, &wish);
	spin_unlock(&reps->lock);
	if (!led)
		return;
	kbr_forward_moved(part);
	kbr_remote_moved(part);
	kbr_replica_ask_resign(part, &wish);
}
KBR_EXPORT_IF_KUNIT(kbr_replica_resign);

/* ---- a log that is lost ---- */

/*
 * DOC: a replica that is lost
 *
 * A replica whose log is damaged, or is not there any more, may still be counted
 * as one that has all that was committed. It must not begin anew before nobody
 * counts it, so it asks the controller to be in no set. The controller refuses
 * that to the last one that has anything; else it takes it out and begins a new
 * leader epoch. What leaders know of their followers ends with the epoch they
 * learnt it in, so that a Fetch from before, or a change of the in-sync set asked
 * for before, can't bring it back. Told so, the replica drops its log and copies
 * the leader's.
 */

void kbr_replica_give_up(struct kbr_partition *part)
{
	struct kbr_replicas *reps = part->replicas;
	s64 now_ms = kbr_clock_mono_ms();
	struct kbr_isr_wish wish;
	bool ask;

	if (likely(!reps) || !kbr_partition_is_lost(part))
		return;
	spin_lock(&reps->lock);
	ask = reps->role != KBROKER_REPLICA_ROLE_NONE && reps->state.partition_epoch >= 0 &&
	      (reps->lost_asked != reps->state.partition_epoch ||
	       now_ms - reps->lost_ms >= KBR_REPLICA_LOST_MS);
	if (ask) {
		if (reps->lost < 0)
			reps->lost = reps->state.leader_epoch;
		reps->lost_asked = reps->state.partition_epoch;
		reps->lost_ms = now_ms;
		wish = (struct kbr_isr_wish) {
			.leader_epoch = reps->state.leader_epoch,
			.partition_epoch = reps->state.partition_epoch,
			.lost = true,
		};
	}
	spin_unlock(&reps->lock);
	if (ask && kbr_cluster_isr_request(part, &wish))
		pr_warn_ratelimited("%s: %s-%u: its log is lost, and it could not say so to the controller\n",
				    part->topic->broker->name, part->topic->name, part->index);
}
KBR_EXPORT_IF_KUNIT(kbr_replica_give_up);

/* Is @state one in which nobody counts what the lost log had? There is somebody to copy from. */
static bool kbr_replica_may_begin_anew(const struct kbr_partition *part,
				       const struct kbr_replica_state *state)
{
	s32 me = READ_ONCE(part->topic->broker->id);
	const struct kbr_replicas *reps = part->replicas;

	return kbr_partition_is_lost(part) && reps->lost >= 0 &&
	       state->leader_epoch > reps->lost && state->leader >= 0 && state->leader != me &&
	       kbr_id_set_has(&state->replicas, me) && !kbr_id_set_has(&state->isr, me) &&
	       !kbr_id_set_has(&state->elr, me);
}

static void kbr_replica_forget_lost(struct kbr_replicas *reps)
{
	spin_lock(&reps->lock);
	reps->lost = -1;
	reps->lost_asked = -1;
	spin_unlock(&reps->lock);
}

void kbr_replica_found(struct kbr_partition *part)
{
	if (!part->replicas)
		return;
	kbr_replica_forget_lost(part->replicas);
	kbr_cluster_isr_drop(part);
}

/* The lost log goes, and then what the disk still promises of it. */
static int kbr_replica_drop_lost(struct kbr_partition *part)
{
	int err;

	kbr_replica_unfollow(part);
	err = kbr_partition_clear(part);
	if (err)
		return err;
	kbr_replica_forget_lost(part->replicas);
	return kbr_broker_refresh_checkpoints(part->topic->broker);
}

/* ---- roles ---- */

static int kbr_replica_check(const struct kbr_partition *part,
			     const struct kbr_replica_state *state, struct kbr_refusal *why)
{
	if (!state->replicas.count || !kbr_id_set_valid(&state->replicas) ||
	    !kbr_id_set_valid(&state->isr) || !kbr_id_set_valid(&state->elr) ||
	    !kbr_id_set_within(&state->isr, &state->replicas) ||
	    !kbr_id_set_within(&state->elr, &state->replicas))
		return kbr_refuse(why, -EINVAL, 0,
				  "%s-%u: in-sync and eligible replicas are replicas, each once",
				  part->topic->name, part->index);
	if (state->leader < -1 || state->leader_epoch < 0 || state->partition_epoch < 0 ||
	    (state->leader >= 0 && !kbr_id_set_has(&state->isr, state->leader)))
		return kbr_refuse(why, -EINVAL, 0, "%s-%u: its leader is in sync, or there is none",
				  part->topic->name, part->index);
	return 0;
}

static enum kbroker_replica_role kbr_replica_role(const struct kbr_partition *part,
						  const struct kbr_replica_state *state)
{
	s32 me = READ_ONCE(part->topic->broker->id);

	if (!kbr_id_set_has(&state->replicas, me))
		return KBROKER_REPLICA_ROLE_NONE;
	return state->leader == me ? KBROKER_REPLICA_ROLE_LEADER : KBROKER_REPLICA_ROLE_FOLLOWER;
}

/* Nothing is known of the followers of a new leadership; they have time to show up. */
static void kbr_replica_reset_progress(struct kbr_partition *part, s64 now_ms, bool anew)
{
	struct kbr_replica_progress old[KBROKER_REPLICAS_MAX], *progress;
	struct kbr_replicas *reps = part->replicas;
	s32 me = READ_ONCE(part->topic->broker->id);
	unsigned int i, j, count = 0;

	memcpy(old, reps->progress, sizeof(old));
	for (i = 0; i < ARRAY_SIZE(reps->progress); i++)
		reps->progress[i].id = -1;
	for (i = 0; i < reps->state.replicas.count; i++) {
		if (reps->state.replicas.id[i] == me)
			continue;
		progress = &reps->progress[count++];
		*progress = (struct kbr_replica_progress) {
			.id = reps->state.replicas.id[i],
			.broker_epoch = -1,
			.end = -1,
			.synced = -1,
			.start = -1,
			.hw = -1,
			.caught_up_ms = now_ms,
			.fetched_ms = now_ms,
			.fetched_end = S64_MAX,
		};
		for (j = 0; !anew && j < ARRAY_SIZE(old); j++)
			if (old[j].id == progress->id)
				*progress = old[j];
	}
}

/* Take over @state; says whether the leadership or the role is another one. */
static bool kbr_replica_note(struct kbr_partition *part, const struct kbr_replica_state *state,
			     enum kbroker_replica_role role)
{
	struct kbr_replicas *reps = part->replicas;
	bool anew;

	spin_lock(&reps->lock);
	anew = reps->role != role || reps->state.leader_epoch != state->leader_epoch;
	reps->state = *state;
	reps->wanted.count = 0;
	if (anew)
		reps->epoch_start = role == KBROKER_REPLICA_ROLE_LEADER ? kbr_log_end(&part->log) : 0;
	if (role == KBROKER_REPLICA_ROLE_LEADER)
		kbr_replica_reset_progress(part, kbr_clock_mono_ms(), anew);
	WRITE_ONCE(reps->role, role);
	spin_unlock(&reps->lock);
	return anew;
}

void kbr_replica_unfollow(struct kbr_partition *part)
{
	if (!part->replicas || !part->replicas->followed)
		return;
	if (kbr_follow())
		kbr_follow()->unfollow(part);
	part->replicas->followed = false;
}

/* Nothing of it is here any more. */
static void kbr_replica_leave(struct kbr_partition *part)
{
	kbr_partition_quiesce(part, KBR_PARTITION_REMOTE);
	kbr_partition_clear(part);
	kbr_replica_forget_lost(part->replicas);
}

static int kbr_replica_follow(struct kbr_partition *part, const struct kbr_replica_state *state)
{
	kbr_partition_set_role(part, KBR_PARTITION_FOLLOWER);
	if (state->leader >= 0 && kbr_follow()) {
		kbr_follow()->follow(part, state->leader);
		part->replicas->followed = true;
	}
	return 0;
}

static int kbr_replica_lead(struct kbr_partition *part, const struct kbr_replica_state *state)
{
	int err = kbr_log_set_epoch(&part->log, state->leader_epoch);

	if (err)
		return err;
	kbr_partition_set_role(part, KBR_PARTITION_LEADER);
	/* what it has must be on its disk to count */
	kbr_log_request_sync(&part->log, 1);
	kbr_partition_advance(part, 0);
	return 0;
}

/* 1: @state is to be applied; 0: it was told before; or an error */
static int kbr_replica_judge(struct kbr_partition *part, const struct kbr_replica_state *state,
			     struct kbr_refusal *why)
{
	struct kbr_replicas *reps = part->replicas;
	int err;

	if (!reps)
		return kbr_refuse(why, -EINVAL, 0, "the broker is in no cluster");
	err = kbr_replica_check(part, state, why);
	if (err)
		return err;
	if (kbr_topic_gone(part->topic))
		return -ENODEV;
	if (state->partition_epoch < reps->state.partition_epoch ||
	    state->leader_epoch < reps->state.leader_epoch)
		return kbr_refuse(why, -ESTALE, 0, "%s-%u: partition epoch %d is known already",
				  part->topic->name, part->index, reps->state.partition_epoch);
	/*
	 * Told again: what was asked for since may be in force already (A3), and
	 * who resigned leads in another epoch or not at all.
	 */
	if (state->partition_epoch == reps->state.partition_epoch)
		return 0;
	if (kbr_replica_role(part, state) == KBROKER_REPLICA_ROLE_LEADER &&
	    kbr_cluster_is_waiting(part->topic->broker))
		return kbr_refuse(why, -EAGAIN, 0, "the broker leads nothing before it has an epoch");
	return 1;
}

/*
 * The broker had no log of it when it started, though others count on what it has:
 * its directory is gone. Or the broker died before it made it: then it had nothing,
 * and loses nothing by being lost.
 */
static void kbr_replica_check_absent(struct kbr_partition *part,
				     const struct kbr_replica_state *state)
{
	s32 me = READ_ONCE(part->topic->broker->id);

	if (likely(!part->replicas->absent))
		return;
	part->replicas->absent = false;
	if (!kbr_id_set_has(&state->isr, me) && !kbr_id_set_has(&state->elr, me))
		return;
	pr_err("%s: %s-%u: its log is gone, though others count on it\n",
	       part->topic->broker->name, part->topic->name, part->index);
	kbr_partition_fail(part, -ENODATA, -1);
}

int kbr_replica_prepare(struct kbr_partition *part, const struct kbr_replica_state *state,
			struct kbr_refusal *why)
{
	int err = kbr_replica_judge(part, state, why);

	if (err <= 0)
		return err;
	kbr_replica_check_absent(part, state);
	if (READ_ONCE(part->opened) || kbr_partition_is_lost(part) ||
	    kbr_replica_role(part, state) == KBROKER_REPLICA_ROLE_NONE)
		return 0;
	err = kbr_partition_join(part);
	if (err)
		return kbr_refuse(why, err, 0, "%s-%u: its log can't be made", part->topic->name,
				  part->index);
	return 1;
}

/*
 * @state came about without what it asked for when it resigned: it still lacks
 * what its followers may have of this leadership. It asks again.
 */
static void kbr_replica_insist(struct kbr_partition *part, const struct kbr_replica_state *state)
{
	struct kbr_replicas *reps = part->replicas;
	struct kbr_isr_wish wish;

	spin_lock(&reps->lock);
	reps->state = *state;
	kbr_replica_step_down(part, &wish);
	spin_unlock(&reps->lock);
	kbr_replica_ask_resign(part, &wish);
}

/* There is no log, and none is made: it might be taken for the one that was there. */
static int kbr_replica_note_lost(struct kbr_partition *part, const struct kbr_replica_state *state)
{
	struct kbr_replica_state told = *state;

	if (told.leader == READ_ONCE(part->topic->broker->id))
		told.leader = -1;
	kbr_replica_note(part, &told, KBROKER_REPLICA_ROLE_FOLLOWER);
	kbr_forward_moved(part);
	kbr_remote_moved(part);
	kbr_groups_moved(part);
	kbr_partition_wake(part);
	kbr_replica_give_up(part);
	return 0;
}

int kbr_replica_apply(struct kbr_partition *part, const struct kbr_replica_state *state,
		      struct kbr_refusal *why)
{
	enum kbroker_replica_role role = kbr_replica_role(part, state);
	struct kbr_replicas *reps = part->replicas;
	bool anew;
	int err;

	err = kbr_replica_judge(part, state, why);
	if (err <= 0)
		return err;
	err = 0;
	kbr_replica_check_absent(part, state);
	kbr_cluster_isr_drop(part);
	if (unlikely(kbr_replica_may_begin_anew(part, state))) {
		pr_warn("%s: %s-%u: its lost log is dropped, and copied anew from broker %d\n",
			part->topic->broker->name, part->topic->name, part->index, state->leader);
		err = kbr_replica_drop_lost(part);
		if (err)
			return kbr_refuse(why, err, 0, "%s-%u: its lost log can't be removed",
					  part->topic->name, part->index);
	}
	if (role != KBROKER_REPLICA_ROLE_NONE && kbr_partition_is_lost(part) &&
	    !READ_ONCE(part->opened))
		return kbr_replica_note_lost(part, state);
	if (role != KBROKER_REPLICA_ROLE_NONE && !READ_ONCE(part->opened)) {
		err = kbr_partition_join(part);
		if (!err) {
			err = kbr_dir_sync(part->topic->broker->dir, "");
			if (err)
				kbr_partition_remove(part);
		}
		if (err)
			return kbr_refuse(why, err, 0, "%s-%u: its log can't be made",
					  part->topic->name, part->index);
	}
	if (role == KBROKER_REPLICA_ROLE_LEADER && state->leader_epoch == reps->resigned) {
		kbr_replica_insist(part, state);
		return 0;
	}
	anew = reps->role != role || reps->state.leader_epoch != state->leader_epoch;
	if (anew) {
		/* First nobody appends, then the followers' ends mean nothing, then it begins. */
		kbr_replica_unfollow(part);
		if (READ_ONCE(part->opened))
			kbr_partition_quiesce(part, KBR_PARTITION_FOLLOWER);
	}
	kbr_replica_note(part, state, role);
	if (!anew) {
		kbr_partition_advance(part, 0);
		kbr_replica_give_up(part);
		return 0;
	}
	switch (role) {
	case KBROKER_REPLICA_ROLE_LEADER:
		err = kbr_replica_lead(part, state);
		break;
	case KBROKER_REPLICA_ROLE_FOLLOWER:
		err = kbr_replica_follow(part, state);
		break;
	case KBROKER_REPLICA_ROLE_NONE:
		kbr_replica_leave(part);
		break;
	}
	if (err)
		kbr_partition_fail(part, err, -1);
	kbr_forward_moved(part);
	kbr_remote_moved(part);
	kbr_groups_moved(part);
	kbr_partition_wake(part);
	wake_up_all(&part->topic->wait);
	kbr_partition_raise(part);
	kbr_replica_give_up(part);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_apply);
