// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scrub: reads sealed segments in the rear, a few bytes a second, and
 * compares checksums, so that damage is found while something can be done. How
 * a segment is read is storage's business.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/printk.h>
#include <linux/srcu.h>
#include <linux/string.h>

#include "broker/broker.h"
#include "broker/partition.h"
#include "broker/replica.h"
#include "broker/topic.h"

/* At most so much in one run, however long the pause was */
#define KBR_SCRUB_BYTES_MAX	(64u << 20)
/* One call of storage, so that a deletion need not wait for long */
#define KBR_SCRUB_STEP_BYTES	(1u << 20)
/* Partitions looked at in one run when none has anything to read */
#define KBR_SCRUB_PARTITIONS	1000

static void kbr_scrub_damaged(struct kbr_partition *part, const struct kbr_log_damage *damage)
{
	struct kbr_broker *broker = part->topic->broker;

	pr_err("%s: %s-%u: the scrub found damage at offset %lld: stopped there; it goes on once the records up to offset %lld are deleted\n",
	       broker->name, part->topic->name, part->index, damage->offset, damage->end);
	part->damaged_end = damage->end;
	kbr_partition_fail(part, -EBADMSG, damage->offset);
	kbr_partition_raise(part);
	kbr_replica_give_up(part);
}

/* Read up to @budget bytes of @part; true once it is through. */
static bool kbr_scrub_step(struct kbr_partition *part, size_t budget)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_log_damage damage = { .offset = -1 };
	bool through = true;
	int idx;

	idx = srcu_read_lock(&broker->io);
	if (!kbr_topic_gone(part->topic) && READ_ONCE(part->opened) &&
	    kbr_partition_serves(part)) {
		if (!kbr_log_scrub(&part->log, &part->scrub, budget, &damage))
			through = part->scrub.offset == S64_MAX;
		/* What delete-records took out of the log may still be in the file. */
		if (damage.offset >= 0 && damage.end <= kbr_log_start(&part->log))
			damage.offset = -1;
	}
	srcu_read_unlock(&broker->io, idx);
	if (damage.offset >= 0)
		kbr_scrub_damaged(part, &damage);
	if (through)
		memset(&part->scrub, 0, sizeof(part->scrub));
	return through;
}

/*
 * The partition that the scrub is in, with its topic's reference in @topic; NULL: there is none.
 * @laps counts how often it began with the first one.
 */
static struct kbr_partition *kbr_scrub_current(struct kbr_broker *broker, struct kbr_topic **topic,
					       unsigned int *laps)
{
	struct kbr_partition *part;

	*topic = kbr_topic_lookup(broker, broker->scrub_topic);
	part = *topic ? kbr_topic_partition(*topic, broker->scrub_index) : NULL;
	if (part)
		return part;
	kbr_topic_put(*topic);
	*topic = kbr_topic_next(broker, broker->scrub_topic);
	if (!*topic) {
		++*laps;
		*topic = kbr_topic_next(broker, NULL);
	}
	if (!*topic)
		return NULL;
	strscpy(broker->scrub_topic, (*topic)->name, sizeof(broker->scrub_topic));
	broker->scrub_index = 0;
	return kbr_topic_partition(*topic, 0);
}

/**
 * kbr_scrub_run() - read what the time since the last run allows
 * @broker: whose logs
 * @now_ms: clock
 *
 * Context: upkeep's worker.
 */
void kbr_scrub_run(struct kbr_broker *broker, s64 now_ms)
{
	u64 rate = READ_ONCE(broker->config.scrub_bytes_per_s);
	s64 elapsed_ms = clamp_t(s64, now_ms - broker->scrub_ms, 0, 60 * MSEC_PER_SEC);
	u64 budget = min_t(u64, div_u64(rate * elapsed_ms, MSEC_PER_SEC), KBR_SCRUB_BYTES_MAX);
	unsigned int looked = 0, laps = 0;

	broker->scrub_ms = now_ms;
	while (budget && looked < KBR_SCRUB_PARTITIONS && !READ_ONCE(broker->dead)) {
		size_t step = min_t(u64, budget, KBR_SCRUB_STEP_BYTES);
		struct kbr_partition *part;
		struct kbr_topic *topic;

		part = kbr_scrub_current(broker, &topic, &laps);
		if (!part)
			break;
		/* all were looked at since the first lap ended: there is nothing more to read */
		if (laps > 1) {
			kbr_topic_put(topic);
			break;
		}
		if (kbr_scrub_step(part, step)) {
			broker->scrub_index++;
			looked++;
		} else {
			budget -= step;
		}
		kbr_topic_put(topic);
		cond_resched();
	}
}
