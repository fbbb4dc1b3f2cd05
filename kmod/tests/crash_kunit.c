// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crash simulation: a log is driven at random on the RAM disk, loses power at
 * a random point with some of its unsynced writes torn, dropped and reordered,
 * is opened again, and must then hold what a model says: everything that was
 * synced, byte for byte at its offset; of the rest a prefix; nothing else.
 * Now and then some calls fail for want of memory, in appends as in closing
 * and opening: nothing synced may be lost by that either.
 *
 * A failure prints its seed. crash_seed=N runs that one alone, crash_seeds=N
 * more of them.
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "codec/crc32c.h"
#include "tests/log_fixture.h"

static unsigned long crash_seed;
module_param(crash_seed, ulong, 0444);
MODULE_PARM_DESC(crash_seed, "run this seed of the crash simulation only");

static unsigned int crash_seeds = 100;
module_param(crash_seeds, uint, 0444);
MODULE_PARM_DESC(crash_seeds, "how many seeds the crash simulation runs");

#define CRASH_MODEL_MAX		2048
#define CRASH_PRODUCERS		3
#define CRASH_LIVES		3

/* one batch that the log must or may hold */
struct crash_entry {
	s64 base;
	s64 last;
	s64 timestamp;		/* of its first record; one more each */
	u32 size;
	u32 crc;		/* over all of it, header included */
	s8 producer;
	s32 sequence;
};

/**
 * struct crash - one simulation
 * @fix: the log and its disk
 * @rnd: everything is drawn from here
 * @model: batches that were appended, oldest first
 * @count: how many
 * @maybe: so many behind them may be there, since their append failed halfway
 * @acked: all below was synced
 * @point: recovery point as the broker would have noted it
 * @start: log start that was asked for last
 * @next_sequence: per producer
 * @clock: fake time of the records
 * @short_of: there was no memory since it was opened
 * @dying: every call fails from some point on: what the disk is told then
 *	is what it has when the power goes
 * @what: what went wrong, NULL nothing
 * @detail: numbers to go with it
 */
struct crash {
	struct fix *fix;
	struct rnd_state rnd;
	struct crash_entry *model;
	unsigned int count;
	unsigned int maybe;
	s64 acked;
	s64 point;
	s64 start;
	s32 next_sequence[CRASH_PRODUCERS];
	s64 clock;
	bool short_of;
	bool dying;
	const char *what;
	s64 detail[2];
};

static u32 crash_below(struct crash *c, u32 n)
{
	return prandom_u32_state(&c->rnd) % n;
}

static bool crash_expect(struct crash *c, bool ok, const char *what, s64 a, s64 b)
{
	if (!ok && !c->what) {
		c->what = what;
		c->detail[0] = a;
		c->detail[1] = b;
	}
	return ok;
}

static s64 crash_model_end(const struct crash *c)
{
	return c->count ? c->model[c->count - 1].last + 1 : 0;
}

/* forget what begins at @end or later */
static void crash_cut_model(struct crash *c, s64 end)
{
	while (c->count && c->model[c->count - 1].last >= end)
		c->count--;
	c->maybe = 0;
}

/* sequences that the log must accept next: those after what the model holds */
static void crash_resume_producers(struct crash *c)
{
	unsigned int i;

	memset(c->next_sequence, 0, sizeof(c->next_sequence));
	for (i = 0; i < c->count; i++) {
		const struct crash_entry *e = &c->model[i];

		if (e->producer >= 0)
			c->next_sequence[e->producer] = e->sequence + (e->last - e->base) + 1;
	}
}

static void crash_note(struct crash *c, s64 base, const s8 *producer)
{
	const u8 *at = c->fix->buf;
	unsigned int i;

	c->maybe = 0;
	for (i = 0; i < c->fix->batches && c->count + c->maybe < CRASH_MODEL_MAX; i++) {
		const struct kbr_batch *b = &c->fix->verdicts[i].batch;
		struct crash_entry *e = &c->model[c->count + c->maybe++];

		e->base = base;
		e->last = base + b->last_offset_delta;
		e->timestamp = b->base_timestamp;
		e->size = b->size;
		e->crc = kbr_crc32c(0, at, b->size);
		e->producer = producer[i];
		e->sequence = b->base_sequence;
		base = e->last + 1;
		at += b->size;
	}
}

static void crash_append(struct crash *c, bool single)
{
	unsigned int n = 1 + (single || crash_below(c, 4) ? 0 : crash_below(c, 5)), i;
	s32 sequence[CRASH_PRODUCERS];
	s8 producer[FIX_BATCHES_MAX];
	struct kbr_append append;
	int err;

	if (c->count + n >= CRASH_MODEL_MAX)
		return;
	memcpy(sequence, c->next_sequence, sizeof(sequence));
	fix_reset(c->fix);
	for (i = 0; i < n; i++) {
		struct fix_batch b = {
			.records = 1 + crash_below(c, crash_below(c, 3) ? 3 : 40),
			.value_len = crash_below(c, crash_below(c, 8) ? 200 : 4000),
			.timestamp = c->clock,
			.producer_id = -1,
			.fill = prandom_u32_state(&c->rnd),
		};

		producer[i] = crash_below(c, 2) ? crash_below(c, CRASH_PRODUCERS) : -1;
		if (producer[i] >= 0) {
			b.producer_id = 1000 + producer[i];
			b.sequence = sequence[producer[i]];
			sequence[producer[i]] += b.records;
		}
		c->clock += crash_below(c, 100);
		if (!crash_below(c, 6))
			c->clock -= min_t(s64, c->clock, 50);
		if (!fix_add(c->fix, &b))
			return;
	}
	err = fix_append(c->fix, &append);
	if (!err) {
		crash_expect(c, append.base_offset == crash_model_end(c), "append: base offset",
			     append.base_offset, crash_model_end(c));
		crash_note(c, append.base_offset, producer);
		c->count += c->maybe;
		c->maybe = 0;
		memcpy(c->next_sequence, sequence, sizeof(sequence));
		crash_expect(c, kbr_log_end(&c->fix->log) == crash_model_end(c), "append: end",
			     kbr_log_end(&c->fix->log), crash_model_end(c));
	} else if (c->fix->log.stopped && !c->maybe) {
		/* neither written nor cut back: a crash may keep some of it */
		crash_note(c, crash_model_end(c), producer);
	}
}

/* the last batch of a producer again: the log answers with the first time's offsets */
static void crash_repeat(struct crash *c)
{
	struct kbr_append append;
	unsigned int i = c->count;
	struct fix_batch b;
	s64 end;

	while (i && c->model[i - 1].producer < 0)
		i--;
	if (!i || c->fix->log.stopped)
		return;
	end = kbr_log_end(&c->fix->log);
	b = (struct fix_batch) {
		.records = c->model[i - 1].last - c->model[i - 1].base + 1,
		.value_len = 1,
		.timestamp = c->model[i - 1].timestamp,
		.producer_id = 1000 + c->model[i - 1].producer,
		.sequence = c->model[i - 1].sequence,
	};
	fix_reset(c->fix);
	if (!fix_add(c->fix, &b) || fix_append(c->fix, &append)) {
		crash_expect(c, false, "repeat: refused", i - 1, c->model[i - 1].base);
		return;
	}
	crash_expect(c, append.duplicate, "repeat: appended", append.base_offset, end);
	crash_expect(c, append.base_offset == c->model[i - 1].base, "repeat: offset",
		     append.base_offset, c->model[i - 1].base);
	crash_expect(c, kbr_log_end(&c->fix->log) == end, "repeat: end moved", end, 0);
	/* and one that leaves out a record is refused */
	fix_reset(c->fix);
	b.sequence = c->next_sequence[c->model[i - 1].producer] + 1;
	crash_expect(c, fix_add(c->fix, &b) && fix_append(c->fix, &append) == -EILSEQ,
		     "gap: accepted", b.sequence, 0);
}

static void crash_sync(struct crash *c)
{
	s64 end = kbr_log_end(&c->fix->log);

	/* as the syncer: what one sync lost the next would not find */
	if (c->fix->log.stopped || kbr_log_sync_now(&c->fix->log))
		return;
	crash_expect(c, kbr_log_synced(&c->fix->log) == end, "sync: synced end",
		     kbr_log_synced(&c->fix->log), end);
	c->acked = end;
}

/* a stopped log is read back and goes on with what the disk has */
static void crash_mend(struct crash *c)
{
	s64 lost;
	int err;

	err = kbr_log_repair(&c->fix->log, &lost);
	crash_expect(c, !err, "repair", err, 0);
	if (err)
		return;
	crash_expect(c, lost < 0 || lost >= c->acked, "repair: lost what was synced", lost,
		     c->acked);
	crash_cut_model(c, kbr_log_end(&c->fix->log));
	crash_expect(c, kbr_log_end(&c->fix->log) == crash_model_end(c) || !c->count,
		     "repair: end", kbr_log_end(&c->fix->log), crash_model_end(c));
	crash_resume_producers(c);
	c->acked = kbr_log_synced(&c->fix->log);
	crash_expect(c, c->acked == kbr_log_end(&c->fix->log), "repair: synced", c->acked, 0);
}

static void crash_repair(struct crash *c)
{
	s64 end = kbr_log_end(&c->fix->log);
	int err;

	if (c->dying || c->fix->log.stopped || kbr_log_synced(&c->fix->log) == end)
		return;
	kbr_ram_fail(c->fix->dir, KBR_RAM_SYNC, 0, 0, -EIO, NULL);
	err = kbr_log_sync_now(&c->fix->log);
	crash_expect(c, err == -EIO && c->fix->log.stopped == -EIO, "failed sync", err, 0);
	kbr_ram_heal(c->fix->dir);
	crash_mend(c);
}

/* one write fails as on a full disk: nothing of it may be seen */
static void crash_full_disk(struct crash *c)
{
	s64 end = kbr_log_end(&c->fix->log);
	bool single;

	if (c->dying || c->fix->log.stopped)
		return;
	/*
	 * Of several batches the first may be whole on the disk, and come back if
	 * the power goes before the cut is synced: which is asked for at once.
	 */
	single = crash_below(c, 2);
	kbr_ram_fail(c->fix->dir, KBR_RAM_WRITE, 0, 0, -ENOSPC, ".log");
	crash_append(c, single);
	kbr_ram_heal(c->fix->dir);
	if (!single)
		crash_sync(c);
	crash_expect(c, kbr_log_end(&c->fix->log) == end && !c->fix->log.stopped, "full disk: end",
		     kbr_log_end(&c->fix->log), end);
}

static void crash_raise_start(struct crash *c)
{
	s64 span = c->acked - kbr_log_start(&c->fix->log), start;

	if (span <= 0)
		return;
	start = kbr_log_start(&c->fix->log) + crash_below(c, min_t(s64, span, U32_MAX - 1) + 1);
	if (!kbr_log_set_start(&c->fix->log, start))
		c->start = max(c->start, start);
}

static void crash_truncate(struct crash *c)
{
	s64 end = kbr_log_end(&c->fix->log), to;

	/* as a follower does: above what is committed */
	if (end <= c->acked || c->fix->log.stopped || c->dying)
		return;
	to = c->acked + crash_below(c, min_t(s64, end - c->acked, U32_MAX - 1) + 1);
	to = max(to, kbr_log_start(&c->fix->log));
	if (!crash_expect(c, !kbr_log_truncate(&c->fix->log, to), "truncate", to, end))
		return;
	crash_cut_model(c, kbr_log_end(&c->fix->log));
	crash_expect(c, kbr_log_end(&c->fix->log) <= to || to == end, "truncate: end",
		     kbr_log_end(&c->fix->log), to);
	crash_resume_producers(c);
}

/* a reader at a random place gets exactly what the model has there */
static void crash_read(struct crash *c, bool all)
{
	s64 start = kbr_log_start(&c->fix->log), end = kbr_log_end(&c->fix->log), limit = end;
	struct kbr_log_pos pos = { .offset = start };
	size_t max = 64 + crash_below(c, crash_below(c, 2) ? 2000 : 40000), at;
	unsigned int i = 0, rounds = all ? U32_MAX : 3;
	struct kbr_batch batch;
	ssize_t len;

	if (!all && end > start) {
		pos.offset += crash_below(c, min_t(s64, end - start, U32_MAX));
		limit = pos.offset + crash_below(c, min_t(s64, end - pos.offset, U32_MAX) + 1);
	}
	while (i < c->count && c->model[i].last < pos.offset)
		i++;
	while (rounds--) {
		len = fix_read(c->fix, &pos, limit, max);
		if (len == -EMSGSIZE) {
			max = FIX_BUF_SIZE;
			len = fix_read(c->fix, &pos, limit, max);
		}
		if (len <= 0)
			break;
		for (at = 0; at < len; at += batch.size, i++) {
			const struct crash_entry *e = &c->model[i];

			if (!crash_expect(c, i < c->count &&
					  !kbr_batch_decode(&batch, c->fix->out + at, len - at) &&
					  batch.size <= len - at, "read: a batch nobody wrote", i,
					  pos.offset) ||
			    !crash_expect(c, batch.base_offset == e->base &&
					  kbr_batch_last_offset(&batch) == e->last,
					  "read: offsets", batch.base_offset, e->base) ||
			    !crash_expect(c, kbr_crc32c(0, c->fix->out + at, batch.size) == e->crc,
					  "read: other bytes", e->base, batch.size) ||
			    !crash_expect(c, e->last < limit, "read: beyond the limit", e->last,
					  limit))
				return;
		}
		if (!crash_expect(c, i && pos.offset == c->model[i - 1].last + 1, "read: next offset",
				  pos.offset, i))
			return;
	}
	crash_expect(c, len >= 0, "read: failed", len, pos.offset);
	if (all)
		crash_expect(c, pos.offset == end, "read: stops early", pos.offset, end);
}

static void crash_find_time(struct crash *c)
{
	s64 target = crash_below(c, min_t(s64, c->clock, U32_MAX - 20) + 10), offset, found, want = -1;
	s64 start = kbr_log_start(&c->fix->log);
	unsigned int i;
	int err;

	for (i = 0; i < c->count && want < 0; i++) {
		const struct crash_entry *e = &c->model[i];
		s64 first = max(e->timestamp, target);

		first = max(first, e->timestamp + start - e->base);
		if (e->last >= start && first <= e->timestamp + (e->last - e->base))
			want = e->base + (first - e->timestamp);
	}
	err = fix_find_time(c->fix, target, S64_MAX, &offset, &found);
	if (c->dying && err)
		return;
	crash_expect(c, !err && offset == want, "time: offset", offset, want);
}

static void crash_open(struct crash *c, bool clean);

static void crash_reopen_clean(struct crash *c)
{
	s64 start = kbr_log_start(&c->fix->log), end = kbr_log_end(&c->fix->log);
	int err;

	if (c->dying || c->fix->log.stopped)
		return;
	err = fix_close(c->fix);
	/* nobody vouches for an index whose sync failed: this stop is no clean one */
	if (err && c->short_of) {
		c->point = kbr_log_recovery_point(&c->fix->log);
		crash_open(c, false);
		return;
	}
	if (!crash_expect(c, !err, "close", err, 0))
		return;
	err = fix_open(c->fix, true, end, start);
	if (!crash_expect(c, !err, "clean open", err, 0))
		return;
	crash_expect(c, c->fix->report.clean && !c->fix->report.scanned_bytes,
		     "clean open: read something", c->fix->report.scanned_bytes, 0);
	crash_expect(c, kbr_log_start(&c->fix->log) == start, "clean open: start",
		     kbr_log_start(&c->fix->log), start);
	crash_expect(c, kbr_log_end(&c->fix->log) == end, "clean open: end",
		     kbr_log_end(&c->fix->log), end);
	c->acked = end;
	c->point = end;
	c->start = start;
}

static void crash_retain(struct crash *c)
{
	int ret;

	c->fix->config.retention_bytes = crash_below(c, 2) ? crash_below(c, 60000) : -1;
	c->fix->config.file_delete_delay_ms = crash_below(c, 2) ? 0 : 1000;
	ret = kbr_log_retain(&c->fix->log, c->acked, c->clock + 1000 * crash_below(c, 5));
	if (!c->dying)
		crash_expect(c, ret >= 0, "retain", ret, 0);
	crash_expect(c, kbr_log_start(&c->fix->log) <= c->acked, "retain: start",
		     kbr_log_start(&c->fix->log), c->acked);
}

/* Some calls of the disk fail; what is under way then may fail, too. */
static void crash_fail_some(struct crash *c, u32 within)
{
	kbr_ram_fail(c->fix->dir, KBR_RAM_ANY, crash_below(c, within), 1 + crash_below(c, 4),
		     -ENOMEM, NULL);
}

static void crash_step(struct crash *c);

/* There is no memory for a while: the log may stop, and goes on afterwards. */
static void crash_shortage(struct crash *c)
{
	unsigned int steps = 1 + crash_below(c, 8);

	if (c->dying || c->fix->log.stopped)
		return;
	crash_fail_some(c, 10);
	c->short_of = true;
	c->dying = true;
	while (steps--)
		crash_step(c);
	c->dying = false;
	kbr_ram_heal(c->fix->dir);
	if (c->fix->log.stopped)
		crash_mend(c);
	/* until then a batch that was cut back may return with a crash */
	crash_sync(c);
}

static void crash_opened(struct crash *c)
{
	const struct kbr_log_report *report = &c->fix->report;
	s64 end = kbr_log_end(&c->fix->log);

	c->short_of = false;
	if (crash_seed)
		pr_info("open: log %lld..%lld, synced before to %lld, checkpoint %lld, read %llu bytes, cut %llu at %lld, %u segments removed\n",
			kbr_log_start(&c->fix->log), end, c->acked, c->point, report->scanned_bytes,
			report->cut_bytes, report->cut_offset, report->removed_segments);
	crash_expect(c, c->fix->report.damaged_offset < 0, "open: called damaged",
		     c->fix->report.damaged_offset, c->point);
	crash_expect(c, end >= c->acked, "open: lost what was synced", end, c->acked);
	crash_expect(c, kbr_log_start(&c->fix->log) >= c->start, "open: start",
		     kbr_log_start(&c->fix->log), c->start);
	crash_expect(c, kbr_log_synced(&c->fix->log) == end, "open: synced",
		     kbr_log_synced(&c->fix->log), end);
	/* what was half written by an append that failed may be whole */
	c->count += c->maybe;
	crash_cut_model(c, end);
	crash_expect(c, end == crash_model_end(c) || (!c->count && end == kbr_log_start(&c->fix->log)),
		     "open: end is no border", end, crash_model_end(c));
	crash_resume_producers(c);
	c->acked = end;
	crash_read(c, true);
	crash_find_time(c);
	crash_repeat(c);
	if (!c->what)
		c->what = fix_check_indexes(c->fix);
}

/* The first attempts may have no memory; the power may fail between them. */
static void crash_open(struct crash *c, bool clean)
{
	unsigned int tries = crash_below(c, 2) ? crash_below(c, 4) : 0;
	int err = -ENOMEM;

	for (; err && tries; tries--) {
		crash_fail_some(c, 60);
		err = fix_open(c->fix, clean, c->point, c->start);
		kbr_ram_heal(c->fix->dir);
		clean = false;
		if (err && !crash_below(c, 3) &&
		    fix_crash(c->fix, prandom_u32_state(&c->rnd) | 1ULL << 40))
			return;
	}
	if (err)
		err = fix_open(c->fix, clean, c->point, c->start);
	if (crash_expect(c, !err, "open", err, 0))
		crash_opened(c);
}

/* The broker stops for want of memory, or with it. */
static void crash_reopen_short(struct crash *c)
{
	s64 end = kbr_log_end(&c->fix->log);
	int err;

	if (c->dying || c->fix->log.stopped)
		return;
	crash_fail_some(c, 60);
	err = fix_close(c->fix);
	kbr_ram_heal(c->fix->dir);
	c->point = kbr_log_recovery_point(&c->fix->log);
	crash_expect(c, err || c->point == end, "close: checkpoint", c->point, end);
	if (!err)
		c->acked = end;
	crash_open(c, !err);
}

static void crash_step(struct crash *c)
{
	u32 dice = crash_below(c, 100);

	if (crash_seed)
		pr_info("step %u: log %lld..%lld, synced to %lld, stopped %d\n", dice,
			kbr_log_start(&c->fix->log), kbr_log_end(&c->fix->log),
			kbr_log_synced(&c->fix->log), c->fix->log.stopped);
	if (dice < 55) {
		crash_append(c, false);
	} else if (dice < 72) {
		crash_sync(c);
	} else if (dice < 76) {
		s64 point = kbr_log_checkpoint(&c->fix->log);

		crash_expect(c, point <= c->acked, "checkpoint: not synced", point, c->acked);
		c->point = point;
	} else if (dice < 79) {
		crash_raise_start(c);
	} else if (dice < 83) {
		crash_retain(c);
	} else if (dice < 85) {
		crash_repair(c);
	} else if (dice < 87) {
		crash_full_disk(c);
	} else if (dice < 89) {
		kbr_log_env_trim(&c->fix->env, 0);
	} else if (dice < 90) {
		crash_reopen_clean(c);
	} else if (dice < 91) {
		crash_truncate(c);
	} else if (dice < 92) {
		kbr_log_set_epoch(&c->fix->log, c->fix->log.epoch + 1);
	} else if (dice < 94) {
		if (!c->dying)
			crash_repeat(c);
	} else if (dice < 96) {
		crash_find_time(c);
	} else if (dice < 98) {
		crash_shortage(c);
	} else if (dice < 99) {
		crash_reopen_short(c);
	} else if (!c->dying) {
		crash_read(c, false);
	}
}

/* the disk comes back with less: find out what, and take the model along */
static void crash_recover(struct crash *c, u64 seed)
{
	if (!fix_crash(c->fix, seed))
		crash_open(c, false);
}

static void crash_life(struct crash *c)
{
	unsigned int steps = 5 + crash_below(c, 80), fatal = U32_MAX, i;

	/* half of them lose power in the middle of an operation */
	if (crash_below(c, 2))
		fatal = crash_below(c, steps);
	for (i = 0; i < steps && !c->what; i++) {
		if (i == fatal) {
			kbr_ram_fail(c->fix->dir, KBR_RAM_CHANGES | KBR_RAM_SYNC_MANY,
				     crash_below(c, 30), 0, -EIO, NULL);
			c->dying = true;
		}
		crash_step(c);
	}
	c->dying = false;
	if (!c->what)
		crash_recover(c, prandom_u32_state(&c->rnd) | 1ULL << 40);
}

static const char *crash_run(struct kunit *test, u64 seed)
{
	struct crash c = { .clock = 1000 };
	unsigned int life;

	prandom_seed_state(&c.rnd, seed);
	c.model = kvmalloc_array(CRASH_MODEL_MAX, sizeof(*c.model), GFP_KERNEL | __GFP_ZERO);
	c.fix = fix_alloc(seed);
	KUNIT_ASSERT_TRUE(test, c.model && c.fix);
	c.fix->config.segment_bytes = 4096U << crash_below(&c, 4);
	c.fix->config.index_interval_bytes = 64U << crash_below(&c, 7);
	c.fix->config.retention_ms = -1;
	KUNIT_ASSERT_EQ(test, fix_create(c.fix), 0);
	for (life = 0; life < CRASH_LIVES && !c.what; life++)
		crash_life(&c);
	if (c.what)
		kunit_err(test, "crash_seed=%llu: life %u: %s (%lld, %lld)\n", seed, life, c.what,
			  c.detail[0], c.detail[1]);
	fix_free(c.fix);
	kvfree(c.model);
	return c.what;
}

static void crash_test(struct kunit *test)
{
	unsigned int n, bad = 0;

	if (crash_seed) {
		KUNIT_EXPECT_NULL(test, crash_run(test, crash_seed));
		return;
	}
	for (n = 1; n <= crash_seeds && bad < 10; n++) {
		bad += !!crash_run(test, n);
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, bad, 0U);
}

static struct kunit_case crash_cases[] = {
	KUNIT_CASE(crash_test),
	{}
};

static struct kunit_suite crash_suite = {
	.name = "kbroker_crash",
	.test_cases = crash_cases,
};

kunit_test_suite(crash_suite);
