// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leader epoch histories; see epoch.h. Pure but for memory: no locks, no files.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "storage/epoch.h"

static struct kbr_epoch_cache *kbr_epoch_alloc(unsigned int count)
{
	struct kbr_epoch_cache *cache;

	cache = kvmalloc(struct_size(cache, entry, count), GFP_KERNEL_ACCOUNT);
	if (!cache)
		return ERR_PTR(-ENOMEM);
	cache->count = count;
	return cache;
}

/* entries @from..@to of @old with room for @more behind them */
static struct kbr_epoch_cache *kbr_epoch_copy(const struct kbr_epoch_cache *old, unsigned int from,
					      unsigned int to, unsigned int more)
{
	struct kbr_epoch_cache *cache = kbr_epoch_alloc(to - from + more);

	if (!IS_ERR(cache) && to > from)
		memcpy(cache->entry, &old->entry[from], (to - from) * sizeof(*cache->entry));
	return cache;
}

struct kbr_epoch_cache *kbr_epoch_assign(struct kbr_epoch_cache *old, s32 epoch, s64 start)
{
	unsigned int keep = old ? old->count : 0, from = 0;
	struct kbr_epoch_cache *cache;

	if (epoch < 0 || epoch <= kbr_epoch_last(old))
		return old;
	while (keep && old->entry[keep - 1].start >= start)
		keep--;
	if (keep >= KBR_EPOCHS_MAX)
		from = keep - KBR_EPOCHS_MAX + 1;
	cache = kbr_epoch_copy(old, from, keep, 1);
	if (IS_ERR(cache))
		return cache;
	cache->entry[cache->count - 1].epoch = epoch;
	cache->entry[cache->count - 1].start = start;
	return cache;
}
KBR_EXPORT_IF_KUNIT(kbr_epoch_assign);

struct kbr_epoch_cache *kbr_epoch_cut_end(struct kbr_epoch_cache *old, s64 end)
{
	unsigned int keep = old ? old->count : 0;

	while (keep && old->entry[keep - 1].start >= end)
		keep--;
	if (!old || keep == old->count)
		return old;
	return keep ? kbr_epoch_copy(old, 0, keep, 0) : NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_epoch_cut_end);

struct kbr_epoch_cache *kbr_epoch_cut_start(struct kbr_epoch_cache *old, s64 start)
{
	struct kbr_epoch_cache *cache;
	unsigned int from = 0;

	if (!old || old->entry[0].start >= start)
		return old;
	while (from + 1 < old->count && old->entry[from + 1].start <= start)
		from++;
	cache = kbr_epoch_copy(old, from, old->count, 0);
	if (!IS_ERR(cache))
		cache->entry[0].start = start;
	return cache;
}
KBR_EXPORT_IF_KUNIT(kbr_epoch_cut_start);

void kbr_epoch_end(const struct kbr_epoch_cache *cache, s32 epoch, s64 log_end,
		   s32 *found, s64 *end)
{
	unsigned int i;

	*found = -1;
	*end = -1;
	if (!cache || epoch < 0 || epoch > kbr_epoch_last(cache))
		return;
	if (epoch == kbr_epoch_last(cache)) {
		*found = epoch;
		*end = log_end;
		return;
	}
	if (epoch < cache->entry[0].epoch) {
		*found = epoch;
		*end = cache->entry[0].start;
		return;
	}
	for (i = 0; cache->entry[i + 1].epoch <= epoch; i++)
		;
	*found = cache->entry[i].epoch;
	*end = cache->entry[i + 1].start;
}
KBR_EXPORT_IF_KUNIT(kbr_epoch_end);

s32 kbr_epoch_at(const struct kbr_epoch_cache *cache, s64 offset)
{
	unsigned int i;

	/* from the end: the tail is asked for most */
	for (i = cache ? cache->count : 0; i > 0; i--)
		if (cache->entry[i - 1].start <= offset)
			return cache->entry[i - 1].epoch;
	return -1;
}
KBR_EXPORT_IF_KUNIT(kbr_epoch_at);

int kbr_epoch_encode(const struct kbr_epoch_cache *cache, char **buf, size_t *len)
{
	unsigned int count = cache ? cache->count : 0, i;
	/* a line: epoch, blank, offset, newline */
	size_t size = 32 + (size_t)count * (11 + 1 + 20 + 1);

	*buf = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!*buf)
		return -ENOMEM;
	*len = scnprintf(*buf, size, "0\n%u\n", count);
	for (i = 0; i < count; i++)
		*len += scnprintf(*buf + *len, size - *len, "%d %lld\n", cache->entry[i].epoch,
				  cache->entry[i].start);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_epoch_encode);

/* a decimal number of at most 19 digits up to @stop; NULL if there is none */
static const char *kbr_epoch_number(const char *p, const char *end, char stop, s64 *val)
{
	unsigned int digits = 0;

	*val = 0;
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (++digits > 18)
			return NULL;
		*val = *val * 10 + (*p - '0');
	}
	if (!digits || p >= end || *p != stop)
		return NULL;
	return p + 1;
}

int kbr_epoch_decode(const char *buf, size_t len, struct kbr_epoch_cache **out)
{
	const char *p = buf, *end = buf + len;
	struct kbr_epoch_cache *cache;
	s64 version, count, epoch;
	unsigned int i;

	*out = NULL;
	p = kbr_epoch_number(p, end, '\n', &version);
	if (!p)
		return -EBADMSG;
	if (version)
		return -EPROTONOSUPPORT;
	p = kbr_epoch_number(p, end, '\n', &count);
	/* "0 0\n" is the shortest line: a count that lies is found before memory is taken */
	if (!p || count > (end - p) / 4 || count > KBR_EPOCHS_MAX)
		return -EBADMSG;
	if (!count)
		return p == end ? 0 : -EBADMSG;
	cache = kbr_epoch_alloc(count);
	if (IS_ERR(cache))
		return PTR_ERR(cache);
	for (i = 0; i < count; i++) {
		struct kbr_epoch_entry *e = &cache->entry[i];

		p = kbr_epoch_number(p, end, ' ', &epoch);
		if (p)
			p = kbr_epoch_number(p, end, '\n', &e->start);
		if (!p || epoch > S32_MAX ||
		    (i && (epoch <= e[-1].epoch || e->start <= e[-1].start)))
			goto damaged;
		e->epoch = epoch;
	}
	if (p != end)
		goto damaged;
	*out = cache;
	return 0;
damaged:
	kvfree(cache);
	return -EBADMSG;
}
KBR_EXPORT_IF_KUNIT(kbr_epoch_decode);
