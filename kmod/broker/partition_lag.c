// SPDX-License-Identifier: GPL-2.0-only
/*
 * How far a position in a partition is behind its end: for showing readers' and
 * groups' lag, nothing else. See storage/log_lag.c for what is estimated.
 */
#include <linux/srcu.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/partition.h"

int kbr_partition_get_lag(struct kbr_partition *part, s64 position, struct kbr_partition_lag *lag)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_log *log = &part->log;
	struct kbr_log_lag found;
	int idx, err = -ENODATA;

	/* A log is closed after the last I/O section that may have seen it open. */
	idx = srcu_read_lock(&broker->io);
	if (kbr_topic_gone(part->topic) || !READ_ONCE(part->opened))
		goto out;
	err = 0;
	lag->hw = kbr_partition_hw(part);
	lag->start = kbr_log_start(log);
	/* What has not read yet begins at the log start, and so does what was overtaken. */
	lag->position = max(position, lag->start);
	kbr_log_get_lag(log, lag->position, &found);
	lag->records = max(lag->hw - lag->position, 0LL);
	lag->bytes = found.bytes;
	lag->ms = -1;
	if (!lag->records)
		lag->ms = 0;
	else if (found.timestamp >= 0)
		lag->ms = max(kbr_clock_now_ms() - found.timestamp, 0LL);
out:
	srcu_read_unlock(&broker->io, idx);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_partition_get_lag);
