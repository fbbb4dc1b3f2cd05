// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which copying is bound by the rates of catching up (throttle.h): that by
 * replicas which are not in sync, if the
 * topic's lists have this broker, as Kafka reads them. What keeps the
 * others in sync is never held up.
 */
#include "base/clock.h"
#include "base/kunit.h"
#include "broker/replica.h"
#include "broker/throttle.h"

/* The throttle for replica @id of @part and its rate, or NULL: there is none. */
static struct kbr_throttle *kbr_replica_throttle(struct kbr_partition *part, s32 id, bool leading,
						 s64 *rate)
{
	const struct kbr_topic_config *config = &part->topic->config;
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_replicas *reps = part->replicas;
	bool in_sync;

	*rate = leading ? READ_ONCE(broker->config.leader_throttle_rate) :
			  READ_ONCE(broker->config.follower_throttle_rate);
	if (likely(*rate == KBR_THROTTLE_NONE) || !reps ||
	    !kbr_throttled_has(leading ? &config->leader_throttled : &config->follower_throttled,
			       part->index, READ_ONCE(broker->id)))
		return NULL;
	spin_lock(&reps->lock);
	in_sync = kbr_id_set_has(&reps->state.isr, id);
	spin_unlock(&reps->lock);
	if (in_sync)
		return NULL;
	return leading ? &broker->leader_throttle : &broker->follower_throttle;
}

s64 kbr_replica_throttle_ms(struct kbr_partition *part, s32 id, bool leading)
{
	struct kbr_throttle *throttle;
	s64 rate;

	throttle = kbr_replica_throttle(part, id, leading, &rate);
	return throttle ? kbr_throttle_wait_ms(throttle, rate, kbr_clock_mono_ms()) : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_throttle_ms);

void kbr_replica_throttle_take(struct kbr_partition *part, s32 id, bool leading, s64 bytes)
{
	struct kbr_throttle *throttle;
	s64 rate;

	throttle = kbr_replica_throttle(part, id, leading, &rate);
	if (throttle)
		kbr_throttle_take(throttle, rate, bytes);
}
KBR_EXPORT_IF_KUNIT(kbr_replica_throttle_take);
