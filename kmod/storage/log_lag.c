// SPDX-License-Identifier: GPL-2.0-only
/*
 * How far an offset is from the end of its log, in bytes and in time: out of
 * what is in memory, without a lock and without the disk, and so an estimate
 * within the segment of the offset. For showing readers' lag, nothing else.
 */
#include <linux/math64.h>
#include <linux/rcupdate.h>

#include "base/kunit.h"
#include "storage/log_internal.h"

/* Part @n of @of, applied to @whole; @n <= @of, so that it can't overflow. */
static u64 kbr_lag_share(u64 whole, u64 n, u64 of)
{
	return of ? mul_u64_u64_div_u64(whole, n, of) : 0;
}

/* About when the record at @offset, @n records into @seg's @count, was made. */
static s64 kbr_lag_time(const struct kbr_segment *before, const struct kbr_segment *seg, u64 n, u64 count)
{
	s64 last = READ_ONCE(seg->max_timestamp);
	s64 first = READ_ONCE(seg->first_timestamp);

	if (last < 0)
		return -1;
	if (first < 0 && before)
		first = READ_ONCE(before->max_timestamp);
	if (first < 0 || first > last)
		return last;
	return first + (s64)kbr_lag_share(last - first, n, count);
}

/**
 * kbr_log_get_lag() - how far @offset is from the end
 * @log: an open log
 * @offset: an offset; below the log start counts as the log start
 * @lag: out
 *
 * Context: any that may read under RCU.
 */
void kbr_log_get_lag(struct kbr_log *log, s64 offset, struct kbr_log_lag *lag)
{
	const struct kbr_segment_list *list;
	s64 end = kbr_log_end(log);
	unsigned int i;

	lag->bytes = 0;
	lag->timestamp = -1;
	offset = max(offset, kbr_log_start(log));
	if (offset >= end)
		return;
	rcu_read_lock();
	list = rcu_dereference(log->segments);
	for (i = list ? list->count : 0; i > 0; i--) {
		const struct kbr_segment *seg = list->seg[i - 1];
		s64 next = i < list->count ? list->seg[i]->base : end;
		u64 size = kbr_segment_size(seg);
		s64 from = max(offset, seg->base);

		if (next <= seg->base)
			continue;
		lag->bytes += kbr_lag_share(size, next - min(from, next), next - seg->base);
		if (seg->base <= offset) {
			lag->timestamp = kbr_lag_time(i > 1 ? list->seg[i - 2] : NULL, seg,
						      offset - seg->base, next - seg->base);
			break;
		}
	}
	rcu_read_unlock();
}
KBR_EXPORT_IF_KUNIT(kbr_log_get_lag);
