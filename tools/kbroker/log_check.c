// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker log check": everything a partition directory claims, compared with
 * everything else in it.
 *
 * What the next start of the broker would repair by itself (a torn tail above
 * the recovery point after an unclean stop, an index that is rebuilt) is a
 * warning; anything else that isn't as it should be is an error.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/crc32c.h"
#include "kbroker.h"
#include "logdir.h"

/**
 * struct place - one batch, as the indexes must know it
 * @pos: where it begins
 * @first: its first offset
 * @last: its last offset
 * @time: its max timestamp
 */
struct place {
	int64_t pos;
	int64_t first;
	int64_t last;
	int64_t time;
};

/**
 * struct epoch - a line of leader-epoch-checkpoint
 * @epoch: epoch
 * @start: its first offset
 */
struct epoch {
	int64_t epoch;
	int64_t start;
};

/**
 * struct check - the check of one partition
 * @js: document, with --json
 * @dir: its directory
 * @recovery_point: everything below was synced; 0 if unknown
 * @errors: errors found
 * @warnings: warnings found
 * @batches: batches seen
 * @records: records seen
 * @bytes: bytes of batches seen
 * @start: first offset, -1 if empty
 * @next: offset expected next, -1 at the beginning
 * @epoch: epoch of the last batch
 * @stopped: damage: nothing after it was looked at
 * @places: batches of the present segment
 * @places_count: how many
 * @places_room: how many fit
 * @epochs: leader-epoch-checkpoint
 * @epochs_count: lines
 * @walk: record walker with its buffers
 */
struct check {
	struct kb_json *js;
	struct kb_logdir dir;
	int64_t recovery_point;
	unsigned int errors;
	unsigned int warnings;
	uint64_t batches;
	uint64_t records;
	uint64_t bytes;
	int64_t start;
	int64_t next;
	int32_t epoch;
	bool stopped;
	struct place *places;
	size_t places_count;
	size_t places_room;
	struct epoch *epochs;
	size_t epochs_count;
	struct kb_batch_walk walk;
};

#define PROBLEMS_SHOWN_MAX 100

static kb_printf(5, 6) void problem(struct check *c, bool error, const char *file, int64_t pos,
				    const char *fmt, ...)
{
	unsigned int *count = error ? &c->errors : &c->warnings;
	va_list ap;
	char *text;

	if (++*count > PROBLEMS_SHOWN_MAX)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	if (kb.json) {
		kb_json_object(c->js, NULL);
		kb_json_string(c->js, "severity", error ? "error" : "warning");
		kb_json_string(c->js, "file", file);
		if (pos >= 0)
			kb_json_s64(c->js, "position", pos);
		kb_json_string(c->js, "problem", text);
		kb_json_object_end(c->js);
	} else {
		printf("%s%s%s: %s", kb_color(error ? KB_RED : KB_YELLOW), error ? "error" : "warning",
		       kb_color(KB_RESET), file);
		if (pos >= 0)
			printf(" at %" PRId64, pos);
		printf(": %s\n", text);
	}
	free(text);
}

static void add_place(struct check *c, const struct kb_seg *seg)
{
	if (c->places_count == c->places_room) {
		c->places_room = c->places_room ? c->places_room * 2 : 1024;
		c->places = kb_realloc(c->places, c->places_room * sizeof(*c->places));
	}
	c->places[c->places_count++] = (struct place){
		.pos = seg->pos, .first = seg->batch.base_offset,
		.last = kbr_batch_last_offset(&seg->batch), .time = seg->batch.max_timestamp,
	};
}

/* the epoch that the checkpoint names for @offset, -1 if it names none */
static int64_t epoch_at(const struct check *c, int64_t offset)
{
	int64_t epoch = -1;
	size_t i;

	for (i = 0; i < c->epochs_count && c->epochs[i].start <= offset; i++)
		epoch = c->epochs[i].epoch;
	return epoch;
}

static void check_records(struct check *c, const struct kb_seg *seg)
{
	const struct kbr_batch *b = &seg->batch;
	struct kb_rec rec = { 0 };
	int64_t max = -1;
	int64_t count = 0;
	int ret;

	ret = kb_walk_start(&c->walk, b, seg->data);
	while (!ret && (ret = kb_walk_next(&c->walk, &rec)) > 0) {
		ret = 0;
		count++;
		if (rec.timestamp > max)
			max = rec.timestamp;
		if (rec.offset < b->base_offset || rec.offset > kbr_batch_last_offset(b))
			problem(c, true, seg->path, seg->pos, "record %" PRId64
				" is outside its batch", rec.offset);
	}
	kb_walk_end(&c->walk);
	c->records += (uint64_t)count;
	if (ret < 0)
		problem(c, true, seg->path, seg->pos,
			"batch at offset %" PRId64 ": record %" PRId64 " can't be read: %s",
			(int64_t)b->base_offset, count, strerror(-ret));
	else if (count != b->records_count)
		problem(c, true, seg->path, seg->pos,
			"batch at offset %" PRId64 " says %d records and holds %" PRId64,
			(int64_t)b->base_offset, b->records_count, count);
	else if (!(b->attributes & (KBR_BATCH_APPEND_TIME | KBR_BATCH_DELETE_HORIZON)) && count &&
		 max != b->max_timestamp)
		problem(c, true, seg->path, seg->pos,
			"batch at offset %" PRId64 " says max timestamp %" PRId64 ", its records %" PRId64,
			(int64_t)b->base_offset, (int64_t)b->max_timestamp, max);
}

static void check_batch(struct check *c, const struct kb_seg *seg, int64_t base)
{
	const struct kbr_batch *b = &seg->batch;
	int64_t epoch;

	if (b->base_offset < base)
		problem(c, true, seg->path, seg->pos, "offset %" PRId64 " is below the segment's base",
			(int64_t)b->base_offset);
	if (c->next >= 0 && b->base_offset < c->next)
		problem(c, true, seg->path, seg->pos,
			"offset %" PRId64 " comes again (%" PRId64 " was expected)",
			(int64_t)b->base_offset, c->next);
	else if (c->next >= 0 && b->base_offset > c->next)
		problem(c, false, seg->path, seg->pos,
			"offsets %" PRId64 " to %" PRId64 " are missing", c->next,
			(int64_t)b->base_offset - 1);
	if (b->leader_epoch < c->epoch)
		problem(c, true, seg->path, seg->pos, "leader epoch falls from %d to %d", c->epoch,
			b->leader_epoch);
	epoch = epoch_at(c, b->base_offset);
	if (c->epochs_count && epoch != b->leader_epoch)
		problem(c, true, seg->path, seg->pos,
			"batch at offset %" PRId64 " has leader epoch %d, leader-epoch-checkpoint says %" PRId64,
			(int64_t)b->base_offset, b->leader_epoch, epoch);
	c->epoch = b->leader_epoch;
	if (c->start < 0)
		c->start = b->base_offset;
	c->next = kbr_batch_last_offset(b) + 1;
	c->batches++;
	c->bytes += b->size;
	check_records(c, seg);
	add_place(c, seg);
}

/* whether what is wrong at @offset in segment @i is what recovery cuts by itself */
static bool repaired_by_start(const struct check *c, size_t i)
{
	int64_t offset = c->next >= 0 ? c->next : c->dir.segments[i];

	return i + 1 == c->dir.segments_count && !c->dir.clean && offset >= c->recovery_point;
}

static void check_end(struct check *c, const struct kb_seg *seg, size_t i)
{
	if (seg->end == KB_SEG_COMPLETE)
		return;
	problem(c, !repaired_by_start(c, i), seg->path, seg->pos,
		"%s (%lld bytes)%s", kb_seg_end_text(seg->end), (long long)(seg->size - seg->pos),
		repaired_by_start(c, i) ? "; the next start cuts it off" : "");
	c->stopped = true;
}

static const struct place *find_pos(const struct check *c, int64_t pos)
{
	size_t lo = 0, hi = c->places_count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->places[mid].pos < pos)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->places_count && c->places[lo].pos == pos ? &c->places[lo] : NULL;
}

static const struct place *find_offset(const struct check *c, int64_t offset)
{
	size_t lo = 0, hi = c->places_count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->places[mid].last < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->places_count && c->places[lo].first <= offset ? &c->places[lo] : NULL;
}

static bool all_zero(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static char *read_index(struct check *c, const char *path, size_t width, bool repaired, size_t *len)
{
	char *buf = kb_file_read(path, KB_SMALL_FILE_MAX, len);

	if (!buf) {
		problem(c, errno != ENOENT, path, -1, "%s%s", strerror(errno),
			errno == ENOENT ? "; the next start builds it anew" : "");
		return NULL;
	}
	if (*len % width)
		problem(c, !repaired, path, -1, "%zu bytes are not whole entries", *len);
	return buf;
}

static void check_offset_index(struct check *c, int64_t base, bool repaired)
{
	char *path = kb_logdir_file(&c->dir, base, ".index"), *buf;
	int64_t last = -1;
	size_t len, at;

	buf = read_index(c, path, KB_INDEX_ENTRY, repaired, &len);
	for (at = 0; buf && at + KB_INDEX_ENTRY <= len; at += KB_INDEX_ENTRY) {
		int64_t off = base + kb_be(buf + at, 4), pos = kb_be(buf + at + 4, 4);
		const struct place *place = find_pos(c, pos);

		/* Kafka leaves the room it had kept for entries behind */
		if (all_zero(buf + at, len - at))
			break;
		if (off <= last)
			problem(c, !repaired, path, (int64_t)at, "offset %" PRId64 " does not rise", off);
		else if (!place)
			problem(c, !repaired, path, (int64_t)at, "no batch begins at position %" PRId64, pos);
		else if (place->last != off)
			problem(c, !repaired, path, (int64_t)at,
				"says offset %" PRId64 " where the batch ends with %" PRId64, off,
				place->last);
		last = off;
	}
	free(buf);
	free(path);
}

static void check_time_index(struct check *c, int64_t base, bool repaired)
{
	char *path = kb_logdir_file(&c->dir, base, ".timeindex"), *buf;
	int64_t last = INT64_MIN;
	size_t len, at;

	buf = read_index(c, path, KB_TIMEINDEX_ENTRY, repaired, &len);
	for (at = 0; buf && at + KB_TIMEINDEX_ENTRY <= len; at += KB_TIMEINDEX_ENTRY) {
		int64_t time = kb_be(buf + at, 8), off = base + kb_be(buf + at + 8, 4);
		const struct place *place = find_offset(c, off);

		if (all_zero(buf + at, len - at))
			break;
		if (time <= last)
			problem(c, !repaired, path, (int64_t)at, "time %" PRId64 " does not rise", time);
		else if (!place)
			problem(c, !repaired, path, (int64_t)at, "no batch holds offset %" PRId64, off);
		else if (place->time != time)
			problem(c, !repaired, path, (int64_t)at,
				"says time %" PRId64 " for offset %" PRId64 ", its batch %" PRId64, time,
				off, place->time);
		last = time;
	}
	free(buf);
	free(path);
}

static int check_segment(struct check *c, size_t i)
{
	int64_t base = c->dir.segments[i];
	char *path = kb_logdir_file(&c->dir, base, ".log");
	bool repaired = i + 1 == c->dir.segments_count && !c->dir.clean;
	struct kb_seg seg;
	int ret;

	ret = kb_seg_open(path, &seg);
	free(path);
	if (ret != KB_OK)
		return ret;
	c->places_count = 0;
	if (c->next >= 0 && base < c->next)
		problem(c, true, seg.path, -1, "its base %" PRId64 " is below %" PRId64
			", where the segment before it ends", base, c->next);
	else if (c->next >= 0 && base > c->next)
		problem(c, false, seg.path, -1, "offsets %" PRId64 " to %" PRId64
			" before it are missing", c->next, base - 1);
	if (c->next < base)
		c->next = base;
	while ((ret = kb_seg_next(&seg)) > 0) {
		if (kbr_batch_check_crc(seg.data, seg.batch.size)) {
			seg.end = KB_SEG_BAD;
			problem(c, !repaired_by_start(c, i), seg.path, seg.pos,
				"batch at offset %" PRId64 " has a wrong checksum%s",
				(int64_t)seg.batch.base_offset,
				repaired_by_start(c, i) ? "; the next start cuts it off" : "");
			c->stopped = true;
			break;
		}
		check_batch(c, &seg, base);
	}
	if (!ret)
		check_end(c, &seg, i);
	if (ret < 0)
		ret = kb_fail(seg.error, NULL, "%s: %s", seg.path, strerror(seg.error));
	else
		ret = KB_OK;
	kb_seg_close(&seg);
	if (ret == KB_OK) {
		check_offset_index(c, base, repaired || c->stopped);
		check_time_index(c, base, repaired || c->stopped);
	}
	return ret;
}

static void check_snapshot(struct check *c, int64_t offset)
{
	char *path = kb_logdir_file(&c->dir, offset, ".snapshot"), *buf;
	size_t len;
	int64_t count;

	buf = kb_file_read(path, KB_SMALL_FILE_MAX, &len);
	if (!buf) {
		problem(c, true, path, -1, "%s", strerror(errno));
	} else if (len < KB_SNAPSHOT_HEADER || kb_be(buf, 2) != 1) {
		problem(c, true, path, 0, "not a producer snapshot of version 1");
	} else if (kbr_crc32c(0, buf + 6, len - 6) != (uint32_t)kb_be(buf + 2, 4)) {
		problem(c, true, path, 2, "wrong checksum");
	} else {
		count = kb_be(buf + 6, 4);
		if (count < 0 || (uint64_t)count != (len - KB_SNAPSHOT_HEADER) / KB_SNAPSHOT_ENTRY ||
		    (len - KB_SNAPSHOT_HEADER) % KB_SNAPSHOT_ENTRY)
			problem(c, true, path, 6, "says %" PRId64 " producers in %zu bytes", count, len);
		else if (!c->stopped && c->next >= 0 && offset > c->next)
			problem(c, false, path, -1, "is beyond the end of the log, %" PRId64, c->next);
	}
	free(buf);
	free(path);
}

static void read_epochs(struct check *c)
{
	char *path = kb_asprintf("%s/leader-epoch-checkpoint", c->dir.path);
	char *buf, *line, *save = NULL;
	long long version = -1, count = -1, epoch, start;
	size_t len, n = 0;

	buf = kb_file_read(path, KB_SMALL_FILE_MAX, &len);
	if (!buf) {
		if (errno != ENOENT)
			problem(c, true, path, -1, "%s", strerror(errno));
		free(path);
		return;
	}
	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
		if (n == 0) {
			version = strtoll(line, NULL, 10);
			continue;
		}
		if (n == 1) {
			count = strtoll(line, NULL, 10);
			continue;
		}
		if (sscanf(line, "%lld %lld", &epoch, &start) != 2) {
			problem(c, true, path, -1, "'%s' is not 'epoch offset'", line);
			break;
		}
		if (c->epochs_count && (c->epochs[c->epochs_count - 1].epoch >= epoch ||
					c->epochs[c->epochs_count - 1].start > start))
			problem(c, true, path, -1, "epochs and offsets do not rise at '%s'", line);
		c->epochs = kb_realloc(c->epochs, (c->epochs_count + 1) * sizeof(*c->epochs));
		c->epochs[c->epochs_count++] = (struct epoch){ epoch, start };
	}
	if (version != 0)
		problem(c, true, path, -1, "version %lld is not known", version);
	else if (count != (long long)c->epochs_count)
		problem(c, true, path, -1, "says %lld epochs and holds %zu", count, c->epochs_count);
	free(buf);
	free(path);
}

static void check_metadata(struct check *c)
{
	char *path = kb_asprintf("%s/partition.metadata", c->dir.path), *buf, *id;
	size_t len;

	buf = kb_file_read(path, KB_SMALL_FILE_MAX, &len);
	if (!buf) {
		problem(c, errno != ENOENT, path, -1, "%s", strerror(errno));
	} else {
		id = strstr(buf, "topic_id:");
		if (!strstr(buf, "version: 0") || !id)
			problem(c, true, path, -1, "no version 0 and topic_id in it");
		else if (strspn(id + 9, " ") + 22 != strcspn(id + 9, "\n\r"))
			problem(c, true, path, -1, "the topic_id is not 22 characters");
	}
	free(buf);
	free(path);
}

/* this partition's line of the broker's recovery points; 0 if there is none */
static int64_t recovery_point(const struct kb_logdir *dir)
{
	char *path = kb_asprintf("%s/../recovery-point-offset-checkpoint", dir->path);
	char *buf, *line, *save = NULL, topic[256];
	int64_t found = 0;
	long long offset;
	int partition;
	size_t len;

	buf = kb_file_read(path, KB_SMALL_FILE_MAX, &len);
	for (line = buf ? strtok_r(buf, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%255s %d %lld", topic, &partition, &offset) == 3 &&
		    partition == dir->partition && !strcmp(topic, dir->topic))
			found = offset;
	free(buf);
	free(path);
	return found;
}

static void check_strays(struct check *c)
{
	size_t i, j;

	for (i = 0; i < c->dir.indexes_count; i++) {
		for (j = 0; j < c->dir.segments_count; j++)
			if (c->dir.segments[j] == c->dir.indexes[i])
				break;
		if (j == c->dir.segments_count)
			problem(c, false, c->dir.path, -1,
				"the index of %" PRId64 " has no .log file beside it", c->dir.indexes[i]);
	}
	if (c->dir.leftovers)
		problem(c, false, c->dir.path, -1, "%zu files wait for deletion or replacement",
			c->dir.leftovers);
}

static void print_summary(const struct check *c)
{
	char size[16];

	if (kb.json) {
		kb_json_s64(c->js, "segments", (int64_t)c->dir.segments_count);
		kb_json_u64(c->js, "batches", c->batches);
		kb_json_u64(c->js, "records", c->records);
		kb_json_u64(c->js, "bytes", c->bytes);
		kb_json_s64(c->js, "start_offset", c->start);
		kb_json_s64(c->js, "end_offset", c->next);
		kb_json_s64(c->js, "recovery_point", c->recovery_point);
		kb_json_bool(c->js, "clean", c->dir.clean);
		kb_json_u64(c->js, "errors", c->errors);
		kb_json_u64(c->js, "warnings", c->warnings);
		return;
	}
	if (c->errors > PROBLEMS_SHOWN_MAX || c->warnings > PROBLEMS_SHOWN_MAX)
		printf("(only the first %d of each kind are shown)\n", PROBLEMS_SHOWN_MAX);
	printf("%s%s%s: %s: %zu segments, %" PRIu64 " batches, %" PRIu64 " records, %s",
	       kb_color(c->errors ? KB_RED : KB_GREEN), c->errors ? "BAD" : "good",
	       kb_color(KB_RESET), c->dir.path, c->dir.segments_count, c->batches, c->records,
	       kb_human_bytes(c->bytes, size));
	if (c->start >= 0)
		printf(", offsets %" PRId64 " to %" PRId64, c->start, c->next - 1);
	if (c->errors || c->warnings)
		printf(", %u errors, %u warnings", c->errors, c->warnings);
	putchar('\n');
}

/* returns KB_OK if the partition is good */
static int check_partition(const char *path, struct kb_json *js)
{
	struct check c = { .js = js, .start = -1, .next = -1, .epoch = -1 };
	size_t i;
	int ret;

	ret = kb_logdir_open(path, &c.dir);
	if (ret != KB_OK)
		return ret;
	if (!c.dir.segments_count) {
		kb_logdir_release(&c.dir);
		return kb_fail(ENOENT, "a partition directory is <broker directory>/<topic>-<number>",
			       "%s: no .log file in it", path);
	}
	if (kb.json) {
		kb_json_object(js, NULL);
		kb_json_string(js, "directory", path);
		kb_json_string(js, "topic", c.dir.topic);
		kb_json_s64(js, "partition", c.dir.partition);
		kb_json_array(js, "problems");
	}
	c.recovery_point = recovery_point(&c.dir);
	read_epochs(&c);
	for (i = 0; i < c.dir.segments_count && ret == KB_OK && !c.stopped; i++)
		ret = check_segment(&c, i);
	if (c.stopped && i < c.dir.segments_count)
		problem(&c, true, c.dir.path, -1, "%zu segments behind the damage were not looked at",
			c.dir.segments_count - i);
	for (i = 0; i < c.dir.snapshots_count; i++)
		check_snapshot(&c, c.dir.snapshots[i]);
	check_metadata(&c);
	check_strays(&c);
	if (kb.json)
		kb_json_array_end(js);
	print_summary(&c);
	if (kb.json)
		kb_json_object_end(js);
	if (c.errors || (c.warnings && kb_opt_has("strict")))
		ret = KB_REFUSED;
	free(c.places);
	free(c.epochs);
	free(c.walk.headers);
	kb_logdir_release(&c.dir);
	return ret;
}

static bool is_broker_dir(const char *path)
{
	char *meta = kb_asprintf("%s/meta.properties", path);
	bool is = access(meta, F_OK) == 0;

	free(meta);
	return is;
}

static int only_partitions(const struct dirent *ent)
{
	const char *dash = strrchr(ent->d_name, '-');

	return dash && dash != ent->d_name && dash[1] && !dash[1 + strspn(dash + 1, "0123456789")];
}

static int check_broker(const char *path, struct kb_json *js)
{
	struct dirent **list;
	int n = scandir(path, &list, only_partitions, versionsort);
	int ret = KB_OK, i;

	if (n < 0)
		return kb_fail(errno, NULL, "%s: %s", path, strerror(errno));
	for (i = 0; i < n; i++) {
		char *part = kb_asprintf("%s/%s", path, list[i]->d_name);

		ret |= check_partition(part, js);
		free(part);
		free(list[i]);
	}
	free(list);
	return ret;
}

/**
 * kb_log_check() - "kbroker log check DIR..."
 * @argc: directories
 * @argv: their paths
 */
int kb_log_check(int argc, char **argv)
{
	struct kb_json js;
	int ret = KB_OK, i;

	kb_json_init(&js, stdout, true);
	if (kb.json)
		kb_json_array(&js, NULL);
	for (i = 0; i < argc; i++)
		ret |= is_broker_dir(argv[i]) ? check_broker(argv[i], &js) : check_partition(argv[i], &js);
	if (kb.json) {
		kb_json_array_end(&js);
		kb_json_finish(&js);
	}
	return ret ? KB_REFUSED : kb_out_check();
}
