// SPDX-License-Identifier: GPL-2.0-only
/*
 * The replica that is nearest to a consumer (KIP-392), with
 * replica.selector.class=...RackAwareReplicaSelector: one of its rack. The
 * leader alone chooses; whoever is chosen serves what it knows to be committed.
 */
#include <linux/string.h>

#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/replica.h"

/* Is the @at-th follower in sync, has it @offset, and does it know that this is committed? */
static bool kbr_nearest_serves(struct kbr_partition *part, unsigned int at, s64 offset,
			       struct kbr_replica_progress *progress)
{
	struct kbr_replicas *reps = part->replicas;
	bool serves;

	spin_lock(&reps->lock);
	*progress = reps->progress[at];
	serves = reps->role == KBROKER_REPLICA_ROLE_LEADER && progress->id >= 0 &&
		 kbr_id_set_has(&reps->state.isr, progress->id) && progress->start <= offset &&
		 offset <= progress->hw;
	spin_unlock(&reps->lock);
	return serves;
}

/* Does the broker whose session fetches stand in @rack? */
static bool kbr_nearest_is_there(struct kbr_broker *broker,
				 const struct kbr_replica_progress *progress, const char *rack)
{
	struct kbr_peer peer;

	return !kbr_cluster_peer(broker, progress->id, &peer) && !peer.fenced &&
	       peer.epoch == progress->broker_epoch && !strcmp(peer.rack, rack);
}

s32 kbr_replica_nearest(struct kbr_partition *part, const char *rack, s64 offset)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_replica_progress progress;
	char own[KBROKER_RACK_MAX + 1];
	unsigned int i;
	s64 end = -1;
	s32 id = -1;

	if (!part->replicas)
		return -1;
	kbr_cluster_rack(broker, own);
	if (!strcmp(own, rack))
		return -1;
	for (i = 0; i < KBROKER_REPLICAS_MAX; i++) {
		if (!kbr_nearest_serves(part, i, offset, &progress) || progress.end <= end ||
		    !kbr_nearest_is_there(broker, &progress, rack))
			continue;
		end = progress.end;
		id = progress.id;
	}
	return id;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_nearest);
