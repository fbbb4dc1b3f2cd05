// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker log compare": whether two partition directories hold the same
 * records. Batches may be cut differently; offsets, timestamps, keys, values
 * and headers may not differ.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "logdir.h"

/**
 * struct stream - the records of a partition directory in order
 * @dir: directory
 * @seg: segment being read, if @seg_open
 * @seg_open: see @seg
 * @segment: its number in @dir
 * @walk: batch being walked, if @in_batch
 * @in_batch: see @walk
 * @rec: current record
 * @count: records so far
 */
struct stream {
	struct kb_logdir dir;
	struct kb_seg seg;
	bool seg_open;
	size_t segment;
	struct kb_batch_walk walk;
	bool in_batch;
	struct kb_rec rec;
	uint64_t count;
};

static int damage(const struct stream *st, const char *what)
{
	return kb_fail(EBADMSG, "'kbroker log check' says more", "%s at %lld: %s", st->seg.path,
		       (long long)st->seg.pos, what);
}

/* the next batch of any segment; 1, 0 at the end, -1 after an error was told */
static int next_batch(struct stream *st)
{
	char *path;
	int ret;

	for (;;) {
		if (!st->seg_open) {
			if (st->segment == st->dir.segments_count)
				return 0;
			path = kb_logdir_file(&st->dir, st->dir.segments[st->segment], ".log");
			ret = kb_seg_open(path, &st->seg);
			free(path);
			if (ret != KB_OK)
				return -1;
			st->seg_open = true;
		}
		ret = kb_seg_next(&st->seg);
		if (ret > 0)
			break;
		if (ret < 0 || st->seg.end == KB_SEG_BAD || st->seg.end == KB_SEG_CUT) {
			damage(st, ret < 0 ? strerror(st->seg.error) : kb_seg_end_text(st->seg.end));
			return -1;
		}
		kb_seg_close(&st->seg);
		st->seg_open = false;
		st->segment++;
	}
	if (kbr_batch_check_crc(st->seg.data, st->seg.batch.size)) {
		damage(st, "wrong checksum");
		return -1;
	}
	ret = kb_walk_start(&st->walk, &st->seg.batch, st->seg.data);
	if (ret) {
		damage(st, strerror(-ret));
		return -1;
	}
	st->in_batch = true;
	return 1;
}

/* the next record; 1, 0 at the end, -1 after an error was told */
static int next_record(struct stream *st)
{
	int ret;

	for (;;) {
		if (!st->in_batch) {
			ret = next_batch(st);
			if (ret <= 0)
				return ret;
		}
		ret = kb_walk_next(&st->walk, &st->rec);
		if (ret > 0) {
			st->count++;
			return 1;
		}
		kb_walk_end(&st->walk);
		st->in_batch = false;
		if (ret < 0) {
			damage(st, "a record can't be read");
			return -1;
		}
	}
}

static bool same_bytes(const struct kb_bytes *a, const struct kb_bytes *b)
{
	if (!a->data || !b->data)
		return !a->data && !b->data;
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* what differs between two records, NULL if nothing does */
static const char *difference(const struct kb_rec *a, const struct kb_rec *b)
{
	size_t i;

	if (a->offset != b->offset)
		return "offset";
	if (a->timestamp != b->timestamp)
		return "timestamp";
	if (!same_bytes(&a->key, &b->key))
		return "key";
	if (!same_bytes(&a->value, &b->value))
		return "value";
	if (a->headers_count != b->headers_count)
		return "headers";
	for (i = 0; i < 2 * a->headers_count; i++)
		if (!same_bytes(&a->headers[i], &b->headers[i]))
			return "headers";
	return NULL;
}

static void release(struct stream *st)
{
	if (st->in_batch)
		kb_walk_end(&st->walk);
	if (st->seg_open)
		kb_seg_close(&st->seg);
	free(st->walk.headers);
	kb_logdir_release(&st->dir);
}

static int verdict(const struct stream *a, const struct stream *b, int more_a, int more_b,
		   const char *what)
{
	bool prefix = kb_opt_has("prefix");
	bool equal = !what && !more_a && !more_b;
	bool ok = equal || (prefix && !what && !more_a);
	/* where they part, the longer one has already been read one further */
	uint64_t same = a->count - (what || more_a ? 1 : 0);
	struct kb_json js;

	if (kb.json) {
		kb_json_init(&js, stdout, true);
		kb_json_object(&js, NULL);
		kb_json_bool(&js, "equal", equal);
		kb_json_bool(&js, "a_is_prefix", !what && !more_a);
		kb_json_u64(&js, "common_records", same);
		if (what)
			kb_json_string(&js, "difference", what);
		if (what || more_a)
			kb_json_s64(&js, "a_offset", a->rec.offset);
		if (what || more_b)
			kb_json_s64(&js, "b_offset", b->rec.offset);
		kb_json_object_end(&js);
		kb_json_finish(&js);
	} else if (equal) {
		printf("equal: %" PRIu64 " records\n", same);
	} else if (what) {
		printf("different: the %s after %" PRIu64 " equal records (offset %" PRId64
		       " in A, %" PRId64 " in B)\n", what, same, a->rec.offset, b->rec.offset);
	} else {
		printf("%s ends first: after %" PRIu64 " equal records; %s goes on with offset %" PRId64 "\n",
		       more_a ? "B" : "A", same, more_a ? "A" : "B",
		       more_a ? a->rec.offset : b->rec.offset);
	}
	return ok ? kb_out_check() : KB_REFUSED;
}

/**
 * kb_log_compare() - "kbroker log compare DIR DIR"
 * @argc: 2
 * @argv: the directories A and B
 */
int kb_log_compare(int argc, char **argv)
{
	struct stream a = { 0 }, b = { 0 };
	const char *what = NULL;
	int more_a, more_b, ret;

	(void)argc;
	ret = kb_logdir_open(argv[0], &a.dir);
	if (ret == KB_OK)
		ret = kb_logdir_open(argv[1], &b.dir);
	if (ret != KB_OK)
		goto out;
	do {
		more_a = next_record(&a);
		more_b = more_a < 0 ? 0 : next_record(&b);
		if (more_a > 0 && more_b > 0)
			what = difference(&a.rec, &b.rec);
	} while (more_a > 0 && more_b > 0 && !what);
	if (more_a < 0 || more_b < 0)
		ret = KB_REFUSED;
	else
		ret = verdict(&a, &b, more_a && !what, more_b && !what, what);
out:
	release(&a);
	release(&b);
	return ret;
}
