// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sparse indexes on disk; see index.h. They are read through the page cache,
 * a few small reads a lookup, and nothing of them is kept in memory.
 *
 * Not responsible for when entries are added (segment.c) nor for rebuilding
 * (recovery.c). Nothing here believes what a file says: callers verify against
 * the log what a lookup returns.
 */
#include <linux/kernel.h>
#include <linux/module.h>

#include "base/kunit.h"
#include "storage/index.h"

/* Entries read at once: covers 256 KiB of log and more */
#define KBR_INDEX_CHUNK	64
/* Entries read at once when a whole file is checked; on the stack */
#define KBR_INDEX_CHECK	32

static bool kbr_index_within(const struct kbr_index_disk *d, u32 offset_max, u32 pos_max)
{
	return be32_to_cpu(d->offset) <= offset_max && be32_to_cpu(d->pos) <= pos_max;
}

/* read @n whole entries of @size bytes; a file that is shorter is damage */
static int kbr_index_read(struct kbr_file *file, void *buf, u32 slot, u32 n, u32 size)
{
	ssize_t got = kbr_file_read(file, buf, (size_t)n * size, (loff_t)slot * size);

	if (got < 0)
		return got;
	return got == (ssize_t)n * size ? 0 : -EBADMSG;
}

int kbr_index_floor(struct kbr_file *file, u32 count, u32 offset_max, u32 pos_max, u32 guess,
		    struct kbr_index_entry *entry)
{
	struct kbr_index_disk chunk[KBR_INDEX_CHUNK];
	u32 lo = 0, hi = count, n;	/* entries below lo are within, from hi on not */
	int err;

	if (!count)
		return 0;
	if (count > KBR_INDEX_CHUNK) {
		/* a sequential reader knows about where it is: one read instead of a search */
		lo = min(guess - min_t(u32, guess, KBR_INDEX_CHUNK / 2), count - KBR_INDEX_CHUNK);
		err = kbr_index_read(file, chunk, lo, KBR_INDEX_CHUNK, sizeof(*chunk));
		if (err)
			return err;
		if (!kbr_index_within(&chunk[0], offset_max, pos_max)) {
			hi = lo;
			lo = 0;
		} else if (!kbr_index_within(&chunk[KBR_INDEX_CHUNK - 1], offset_max, pos_max)) {
			n = KBR_INDEX_CHUNK;
			goto scan;
		} else {
			lo += KBR_INDEX_CHUNK - 1;
		}
	}
	while (hi - lo > KBR_INDEX_CHUNK) {
		u32 mid = lo + (hi - lo) / 2;

		err = kbr_index_read(file, chunk, mid, 1, sizeof(*chunk));
		if (err)
			return err;
		if (kbr_index_within(&chunk[0], offset_max, pos_max))
			lo = mid;
		else
			hi = mid;
	}
	n = hi - lo;
	if (!n)
		return 0;
	err = kbr_index_read(file, chunk, lo, n, sizeof(*chunk));
	if (err)
		return err;
scan:
	while (n && !kbr_index_within(&chunk[n - 1], offset_max, pos_max))
		n--;
	if (!n)
		return 0;
	entry->offset = be32_to_cpu(chunk[n - 1].offset);
	entry->pos = be32_to_cpu(chunk[n - 1].pos);
	return 1;
}
KBR_EXPORT_IF_KUNIT(kbr_index_floor);

int kbr_time_index_read(struct kbr_file *file, u32 slot, struct kbr_time_entry *entry)
{
	struct kbr_time_disk d;
	int err = kbr_index_read(file, &d, slot, 1, sizeof(d));

	if (err)
		return err;
	entry->timestamp = be64_to_cpu(d.timestamp);
	entry->offset = be32_to_cpu(d.offset);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_time_index_read);

int kbr_time_index_floor(struct kbr_file *file, u32 count, s64 timestamp,
			 struct kbr_time_entry *entry)
{
	struct kbr_time_entry e;
	u32 lo = 0, hi = count;
	int found = 0;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		int err = kbr_time_index_read(file, mid, &e);

		if (err)
			return err;
		if (e.timestamp <= timestamp) {
			*entry = e;
			found = 1;
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return found;
}
KBR_EXPORT_IF_KUNIT(kbr_time_index_floor);

s64 kbr_index_check(struct kbr_file *file, u64 offset_end, u32 pos_end,
		    struct kbr_index_entry *last)
{
	struct kbr_index_disk chunk[KBR_INDEX_CHECK];
	s64 count = 0;
	bool any = false;

	last->offset = 0;
	last->pos = 0;
	for (;;) {
		ssize_t got = kbr_file_read(file, chunk, sizeof(chunk), count * sizeof(*chunk));
		unsigned int n, i;

		if (got < 0)
			return got;
		n = got / sizeof(*chunk);
		for (i = 0; i < n; i++) {
			u32 offset = be32_to_cpu(chunk[i].offset);
			u32 pos = be32_to_cpu(chunk[i].pos);

			/* no entry is ever made for the batch at position 0 */
			if (pos <= last->pos || pos >= pos_end || offset >= offset_end ||
			    (any && offset <= last->offset))
				return count;
			last->offset = offset;
			last->pos = pos;
			any = true;
			count++;
		}
		if (n < KBR_INDEX_CHECK)
			return count;
	}
}
KBR_EXPORT_IF_KUNIT(kbr_index_check);

s64 kbr_time_index_check(struct kbr_file *file, u64 offset_end, struct kbr_time_entry *last)
{
	struct kbr_time_disk chunk[KBR_INDEX_CHECK];
	s64 count = 0;

	last->timestamp = -1;
	last->offset = 0;
	for (;;) {
		ssize_t got = kbr_file_read(file, chunk, sizeof(chunk), count * sizeof(*chunk));
		unsigned int n, i;

		if (got < 0)
			return got;
		n = got / sizeof(*chunk);
		for (i = 0; i < n; i++) {
			s64 timestamp = be64_to_cpu(chunk[i].timestamp);
			u32 offset = be32_to_cpu(chunk[i].offset);

			if (timestamp <= last->timestamp || offset >= offset_end ||
			    (count && offset <= last->offset))
				return count;
			/* most likely never written; if it was, the walk makes it again */
			if (!timestamp && !offset)
				return count;
			last->timestamp = timestamp;
			last->offset = offset;
			count++;
		}
		if (n < KBR_INDEX_CHECK)
			return count;
	}
}
KBR_EXPORT_IF_KUNIT(kbr_time_index_check);
