// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker log dump": what is in a partition directory, batch by batch.
 * Damage is shown where it is, and does not stop the rest from being shown;
 * judging it is the work of log_check.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kbroker.h"
#include "logdir.h"

/**
 * struct dump - what was asked for, and where it stands
 * @js: the document, with --json
 * @format: --format, or NULL
 * @records: --records
 * @indexes: --indexes
 * @offset: --offset
 * @left: batches that may still be shown
 * @walk: walker, with its buffers
 */
struct dump {
	struct kb_json js;
	struct kb_format *format;
	bool records;
	bool indexes;
	int64_t offset;
	int64_t left;
	struct kb_batch_walk walk;
};

static void flags_text(const struct kbr_batch *b, bool crc_ok, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s%s%s", b->attributes & KBR_BATCH_APPEND_TIME ? "append-time " : "",
		 b->attributes & KBR_BATCH_TRANSACTIONAL ? "transactional " : "",
		 b->attributes & KBR_BATCH_CONTROL ? "control " : "",
		 b->attributes & KBR_BATCH_DELETE_HORIZON ? "delete-horizon " : "",
		 crc_ok ? "" : "BAD-CRC ");
	if (buf[0])
		buf[strlen(buf) - 1] = '\0';
	else
		snprintf(buf, size, "-");
}

static void batch_head(void)
{
	if (kb.out_tty)
		printf("%s%10s %10s %7s %9s %10s %5s %-6s %-24s %8s %6s %8s %-8s %s%s\n",
		       kb_color(KB_BOLD), "FIRST", "LAST", "RECORDS", "BYTES", "POSITION", "EPOCH",
		       "CODEC", "MAX-TIME", "PRODUCER", "PEPOCH", "SEQUENCE", "CRC", "FLAGS",
		       kb_color(KB_RESET));
	else
		printf("%s\n", "FIRST\tLAST\tRECORDS\tBYTES\tPOSITION\tEPOCH\tCODEC\tMAX-TIME\tPRODUCER\t"
		       "PEPOCH\tSEQUENCE\tCRC\tFLAGS");
}

static void batch_line(const struct kb_seg *seg, bool crc_ok)
{
	const struct kbr_batch *b = &seg->batch;
	char time[40], flags[80];

	flags_text(b, crc_ok, flags, sizeof(flags));
	if (!crc_ok)
		fputs(kb_color(KB_RED), stdout);
	printf(kb.out_tty ?
	       "%10" PRId64 " %10" PRId64 " %7d %9u %10lld %5d %-6s %-24s %8" PRId64 " %6d %8d %08x %s" :
	       "%" PRId64 "\t%" PRId64 "\t%d\t%u\t%lld\t%d\t%s\t%s\t%" PRId64 "\t%d\t%d\t%08x\t%s",
	       (int64_t)b->base_offset, (int64_t)kbr_batch_last_offset(b), b->records_count, b->size,
	       (long long)seg->pos, b->leader_epoch, kb_codec_name(kbr_batch_codec(b)),
	       kb_human_time(b->max_timestamp, time), (int64_t)b->producer_id, b->producer_epoch,
	       b->base_sequence, b->crc, flags);
	if (!crc_ok)
		fputs(kb_color(KB_RESET), stdout);
	putchar('\n');
}

static void batch_json(struct kb_json *js, const struct kb_seg *seg, bool crc_ok)
{
	const struct kbr_batch *b = &seg->batch;
	char crc[12];

	kb_json_object(js, NULL);
	kb_json_s64(js, "base_offset", b->base_offset);
	kb_json_s64(js, "last_offset", kbr_batch_last_offset(b));
	kb_json_s64(js, "records_count", b->records_count);
	kb_json_s64(js, "position", seg->pos);
	kb_json_s64(js, "bytes", b->size);
	kb_json_s64(js, "leader_epoch", b->leader_epoch);
	kb_json_string(js, "codec", kb_codec_name(kbr_batch_codec(b)));
	kb_json_string(js, "timestamp_type",
		       b->attributes & KBR_BATCH_APPEND_TIME ? "logappend" : "create");
	kb_json_s64(js, "base_timestamp", b->base_timestamp);
	kb_json_s64(js, "max_timestamp", b->max_timestamp);
	kb_json_s64(js, "producer_id", b->producer_id);
	kb_json_s64(js, "producer_epoch", b->producer_epoch);
	kb_json_s64(js, "base_sequence", b->base_sequence);
	kb_json_bool(js, "transactional", b->attributes & KBR_BATCH_TRANSACTIONAL);
	kb_json_bool(js, "control", b->attributes & KBR_BATCH_CONTROL);
	snprintf(crc, sizeof(crc), "%08x", b->crc);
	kb_json_string(js, "crc", crc);
	kb_json_bool(js, "crc_ok", crc_ok);
}

/* a byte string on one line: control characters as \xHH, long ones shortened */
static void print_quoted(const struct kb_bytes *b)
{
	const unsigned char *p = b->data;
	size_t i, show = b->len > 120 ? 100 : b->len;

	if (!p) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (i = 0; i < show; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f || p[i] == '"' || p[i] == '\\')
			printf("\\x%02x", p[i]);
		else
			putchar(p[i]);
	}
	putchar('"');
	if (show < b->len)
		printf("... (%zu bytes)", b->len);
}

static void record_line(const struct kb_rec *rec)
{
	char time[40];
	size_t i;

	printf("    %" PRId64 " %s key=", rec->offset, kb_human_time(rec->timestamp, time));
	print_quoted(&rec->key);
	fputs(" value=", stdout);
	print_quoted(&rec->value);
	for (i = 0; i < rec->headers_count; i++) {
		printf(" header ");
		print_quoted(&rec->headers[2 * i]);
		putchar('=');
		print_quoted(&rec->headers[2 * i + 1]);
	}
	putchar('\n');
}

static void dump_records(struct dump *d, const struct kb_seg *seg, const char *topic, int32_t partition)
{
	struct kb_rec rec = { .topic = topic, .partition = partition };
	int ret;

	if (kb.json)
		kb_json_array(&d->js, "records");
	ret = kb_walk_start(&d->walk, &seg->batch, seg->data);
	while (!ret && (ret = kb_walk_next(&d->walk, &rec)) > 0) {
		if (kb.json)
			kb_rec_json(&d->js, &rec);
		else if (d->format)
			kb_format_print(d->format, &rec, stdout);
		else
			record_line(&rec);
		ret = 0;
	}
	kb_walk_end(&d->walk);
	if (kb.json)
		kb_json_array_end(&d->js);
	if (ret < 0) {
		if (kb.json)
			kb_json_string(&d->js, "records_error", strerror(-ret));
		else
			printf("    (the records can't be read: %s)\n", strerror(-ret));
	}
}

/* batches of one .log file */
static int dump_segment(struct dump *d, const char *path, const char *topic, int32_t partition)
{
	struct kb_seg seg;
	char size[16];
	int ret;

	ret = kb_seg_open(path, &seg);
	if (ret != KB_OK)
		return ret;
	if (kb.json) {
		kb_json_string(&d->js, "file", path);
		kb_json_s64(&d->js, "bytes", seg.size);
		kb_json_array(&d->js, "batches");
	} else if (!d->format) {
		kb_section("%s  %s", path, kb_human_bytes((uint64_t)seg.size, size));
		batch_head();
	}
	while ((ret = kb_seg_next(&seg)) > 0) {
		bool crc_ok;

		if (kbr_batch_last_offset(&seg.batch) < d->offset)
			continue;
		if (!d->left) {
			ret = 0;
			break;
		}
		d->left--;
		crc_ok = !kbr_batch_check_crc(seg.data, seg.batch.size);
		if (kb.json)
			batch_json(&d->js, &seg, crc_ok);
		else if (!d->format)
			batch_line(&seg, crc_ok);
		if (d->records)
			dump_records(d, &seg, topic, partition);
		if (kb.json)
			kb_json_object_end(&d->js);
		if (ferror(stdout))
			break;
	}
	if (kb.json) {
		kb_json_array_end(&d->js);
		kb_json_string(&d->js, "end", kb_seg_end_text(seg.end));
		kb_json_s64(&d->js, "end_position", seg.pos);
	} else if (!ret && seg.end != KB_SEG_COMPLETE && !d->format) {
		printf("  from position %lld on: %s (%lld bytes)\n", (long long)seg.pos,
		       kb_seg_end_text(seg.end), (long long)(seg.size - seg.pos));
	}
	if (ret < 0)
		ret = kb_fail(seg.error, NULL, "%s: %s", path, strerror(seg.error));
	else
		ret = KB_OK;
	kb_seg_close(&seg);
	return ret;
}

/* @width: 8 for .index, 12 for .timeindex */
static int dump_index(struct dump *d, const char *path, int64_t base, size_t width)
{
	size_t len, pos;
	char time[40];
	char *buf;
	int err;

	buf = kb_file_read(path, KB_SMALL_FILE_MAX, &len);
	if (!buf && errno == ENOENT)
		return KB_OK;
	if (!buf) {
		err = errno;
		return kb_fail(err, NULL, "%s: %s", path, strerror(err));
	}
	if (kb.json)
		kb_json_array(&d->js, width == KB_INDEX_ENTRY ? "index" : "time_index");
	else
		kb_section("%s  %zu entries%s", path, len / width, len % width ? ", and a part of one" : "");
	for (pos = 0; pos + width <= len; pos += width) {
		const char *p = buf + pos;
		int64_t time_ms = width == KB_INDEX_ENTRY ? -1 : kb_be(p, 8);
		int64_t off = kb_be(width == KB_INDEX_ENTRY ? p : p + 8, 4);

		if (kb.json) {
			kb_json_object(&d->js, NULL);
			kb_json_s64(&d->js, "offset", base + off);
			if (width == KB_INDEX_ENTRY)
				kb_json_s64(&d->js, "position", kb_be(p + 4, 4));
			else
				kb_json_s64(&d->js, "timestamp", time_ms);
			kb_json_object_end(&d->js);
		} else if (width == KB_INDEX_ENTRY) {
			printf("  offset %" PRId64 "\tposition %" PRId64 "\n", base + off, kb_be(p + 4, 4));
		} else {
			printf("  time %s\toffset %" PRId64 "\n", kb_human_time(time_ms, time), base + off);
		}
	}
	if (kb.json)
		kb_json_array_end(&d->js);
	free(buf);
	return KB_OK;
}

static void snapshot_entry(struct dump *d, const char *p)
{
	static const struct { const char *name; unsigned int at, bytes; } fields[] = {
		{ "producer_id", 0, 8 }, { "producer_epoch", 8, 2 }, { "last_sequence", 10, 4 },
		{ "last_offset", 14, 8 }, { "offset_delta", 22, 4 }, { "timestamp", 26, 8 },
		{ "coordinator_epoch", 34, 4 }, { "current_txn_first_offset", 38, 8 },
	};
	size_t i;

	if (kb.json)
		kb_json_object(&d->js, NULL);
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		int64_t val = kb_be(p + fields[i].at, fields[i].bytes);

		if (kb.json)
			kb_json_s64(&d->js, fields[i].name, val);
		else
			printf("%s%s %" PRId64, i ? "\t" : "  ", fields[i].name, val);
	}
	if (kb.json)
		kb_json_object_end(&d->js);
	else
		putchar('\n');
}

static int dump_snapshot(struct dump *d, const char *path)
{
	size_t len, pos;
	int err;
	char *buf;

	buf = kb_file_read(path, KB_SMALL_FILE_MAX, &len);
	if (!buf) {
		err = errno;
		return kb_fail(err, NULL, "%s: %s", path, strerror(err));
	}
	if (kb.json) {
		kb_json_object(&d->js, NULL);
		kb_json_string(&d->js, "file", path);
		kb_json_s64(&d->js, "version", len >= 2 ? kb_be(buf, 2) : -1);
		kb_json_array(&d->js, "producers");
	} else {
		kb_section("%s  %zu producers", path,
			   len < KB_SNAPSHOT_HEADER ? 0 : (len - KB_SNAPSHOT_HEADER) / KB_SNAPSHOT_ENTRY);
	}
	for (pos = KB_SNAPSHOT_HEADER; pos + KB_SNAPSHOT_ENTRY <= len; pos += KB_SNAPSHOT_ENTRY)
		snapshot_entry(d, buf + pos);
	if (kb.json) {
		kb_json_array_end(&d->js);
		kb_json_object_end(&d->js);
	}
	free(buf);
	return KB_OK;
}

/* text files, line by line */
static int dump_text(struct dump *d, const char *path, const char *key, bool must)
{
	char *buf, *line, *save = NULL;
	size_t len;
	int err;

	buf = kb_file_read(path, KB_SMALL_FILE_MAX, &len);
	if (!buf && errno == ENOENT && !must)
		return KB_OK;
	if (!buf) {
		err = errno;
		return kb_fail(err, NULL, "%s: %s", path, strerror(err));
	}
	if (kb.json)
		kb_json_array(&d->js, key);
	else
		kb_section("%s", path);
	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (kb.json)
			kb_json_string(&d->js, NULL, line);
		else
			printf("  %s\n", line);
	}
	if (kb.json)
		kb_json_array_end(&d->js);
	free(buf);
	return KB_OK;
}

static int dump_one_segment(struct dump *d, const struct kb_logdir *dir, size_t i)
{
	int64_t base = dir->segments[i];
	char *path = kb_logdir_file(dir, base, ".log");
	int ret;

	if (kb.json) {
		kb_json_object(&d->js, NULL);
		kb_json_s64(&d->js, "base_offset", base);
	}
	ret = dump_segment(d, path, dir->topic, dir->partition);
	free(path);
	if (d->indexes) {
		path = kb_logdir_file(dir, base, ".index");
		ret |= dump_index(d, path, base, KB_INDEX_ENTRY);
		free(path);
		path = kb_logdir_file(dir, base, ".timeindex");
		ret |= dump_index(d, path, base, KB_TIMEINDEX_ENTRY);
		free(path);
	}
	if (kb.json)
		kb_json_object_end(&d->js);
	return ret;
}

/* what a partition directory holds beside its segments */
static int dump_others(struct dump *d, const struct kb_logdir *dir)
{
	int ret = KB_OK;
	char *file;
	size_t i;

	if (kb.json)
		kb_json_array(&d->js, "snapshots");
	for (i = 0; i < dir->snapshots_count; i++) {
		file = kb_logdir_file(dir, dir->snapshots[i], ".snapshot");
		ret |= dump_snapshot(d, file);
		free(file);
	}
	if (kb.json)
		kb_json_array_end(&d->js);
	file = kb_asprintf("%s/leader-epoch-checkpoint", dir->path);
	ret |= dump_text(d, file, "leader_epoch_checkpoint", false);
	free(file);
	file = kb_asprintf("%s/partition.metadata", dir->path);
	ret |= dump_text(d, file, "partition_metadata", false);
	free(file);
	return ret;
}

static int dump_dir(struct dump *d, const char *path)
{
	struct kb_logdir dir;
	size_t i;
	int ret;

	ret = kb_logdir_open(path, &dir);
	if (ret != KB_OK)
		return ret;
	if (!dir.segments_count) {
		kb_logdir_release(&dir);
		return kb_fail(ENOENT, "a partition directory is <broker directory>/<topic>-<number>",
			       "%s: no .log file in it", path);
	}
	if (kb.json) {
		kb_json_string(&d->js, "directory", path);
		kb_json_string(&d->js, "topic", dir.topic);
		kb_json_s64(&d->js, "partition", dir.partition);
		kb_json_array(&d->js, "segments");
	}
	for (i = 0; i < dir.segments_count; i++) {
		if (i + 1 < dir.segments_count && dir.segments[i + 1] <= d->offset)
			continue;
		if (!d->left)
			break;
		ret |= dump_one_segment(d, &dir, i);
	}
	if (kb.json)
		kb_json_array_end(&d->js);
	if (!d->format || kb.json)
		ret |= dump_others(d, &dir);
	kb_logdir_release(&dir);
	return ret ? KB_REFUSED : KB_OK;
}

static int dump_file(struct dump *d, const char *path)
{
	const char *name = strrchr(path, '/'), *dot = strrchr(path, '.');
	int64_t base;

	name = name ? name + 1 : path;
	base = strtoll(name, NULL, 10);
	if (dot && !strcmp(dot, ".log"))
		return dump_segment(d, path, "", -1);
	if (dot && !strcmp(dot, ".index"))
		return dump_index(d, path, base, KB_INDEX_ENTRY);
	if (dot && !strcmp(dot, ".timeindex"))
		return dump_index(d, path, base, KB_TIMEINDEX_ENTRY);
	if (dot && !strcmp(dot, ".snapshot")) {
		int ret;

		if (kb.json)
			kb_json_array(&d->js, "snapshots");
		ret = dump_snapshot(d, path);
		if (kb.json)
			kb_json_array_end(&d->js);
		return ret;
	}
	if (strstr(name, "checkpoint") || !strcmp(name, "partition.metadata") ||
	    !strcmp(name, "meta.properties"))
		return dump_text(d, path, "lines", true);
	return kb_fail(EINVAL, "it takes partition directories, and their files, checkpoints and meta.properties",
		       "%s: not a file of a log", path);
}

/**
 * kb_log_dump() - "kbroker log dump FILE..."
 * @argc: files
 * @argv: their paths
 */
int kb_log_dump(int argc, char **argv)
{
	struct dump d = { .left = INT64_MAX };
	int ret, i;

	d.records = kb_opt_has("records");
	d.indexes = kb_opt_has("indexes");
	ret = kb_opt_s64("offset", 0, INT64_MAX, &d.offset);
	if (ret == KB_OK)
		ret = kb_opt_s64("count", 1, INT64_MAX, &d.left);
	if (ret == KB_OK && kb_opt_get("format"))
		ret = kb_format_compile(kb_opt_get("format"), "", &d.format);
	if (ret != KB_OK)
		return ret;
	d.records = d.records || d.format;
	kb_json_init(&d.js, stdout, true);
	if (kb.json)
		kb_json_array(&d.js, NULL);
	for (i = 0; i < argc; i++) {
		struct stat st;
		int err;

		if (stat(argv[i], &st)) {
			err = errno;
			ret = kb_fail(err, NULL, "%s: %s", argv[i], strerror(err));
			continue;
		}
		if (kb.json)
			kb_json_object(&d.js, NULL);
		ret |= S_ISDIR(st.st_mode) ? dump_dir(&d, argv[i]) : dump_file(&d, argv[i]);
		if (kb.json)
			kb_json_object_end(&d.js);
	}
	if (kb.json) {
		kb_json_array_end(&d.js);
		kb_json_finish(&d.js);
	}
	free(d.walk.headers);
	kb_format_free(d.format);
	return ret ? KB_REFUSED : kb_out_check();
}
