/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading a partition directory offline: its segments, batches, indexes and
 * small files, from the module's own codec. Nothing is ever written.
 */
#ifndef KBROKER_TOOL_LOGDIR_H
#define KBROKER_TOOL_LOGDIR_H

#include <stdint.h>
#include <sys/types.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "codec/compress.h"
#include "codec/record.h"
#include "record.h"

/**
 * struct kb_logdir - what a partition directory holds
 * @path: the directory
 * @topic: name of the topic, from the directory's name
 * @partition: its number; -1 where the directory's name tells none
 * @segments: base offsets of the .log files, rising
 * @segments_count: how many
 * @snapshots: offsets of the .snapshot files, rising
 * @snapshots_count: how many
 * @indexes: base offsets of the .index and .timeindex files (both kinds)
 * @indexes_count: how many
 * @leftovers: .deleted, .cleaned, .swap and .tmp files
 * @clean: the broker directory above carries the mark of a clean stop
 */
struct kb_logdir {
	char *path;
	char *topic;
	int32_t partition;
	int64_t *segments;
	size_t segments_count;
	int64_t *snapshots;
	size_t snapshots_count;
	int64_t *indexes;
	size_t indexes_count;
	size_t leftovers;
	bool clean;
};

int kb_logdir_open(const char *path, struct kb_logdir *dir);
void kb_logdir_release(struct kb_logdir *dir);
char *kb_logdir_file(const struct kb_logdir *dir, int64_t base, const char *suffix);

/**
 * enum kb_seg_end - why a segment's batches ended
 */
enum kb_seg_end {
	KB_SEG_COMPLETE,	/* with the last byte */
	KB_SEG_ZEROS,		/* only zero bytes follow (space written ahead) */
	KB_SEG_CUT,		/* the last batch is not all there */
	KB_SEG_BAD,		/* what follows is no batch */
};

/**
 * struct kb_seg - walks the batches of one .log file
 * @path: file
 * @fd: open file
 * @size: its size at the time of opening
 * @pos: position of the current batch
 * @next: position of the batch after it
 * @batch: header of the current batch
 * @data: the whole current batch
 * @room: bytes allocated at @data
 * @end: why the walk ended
 * @error: errno of a failed read, 0 otherwise
 */
struct kb_seg {
	char *path;
	int fd;
	off_t size;
	off_t pos;
	off_t next;
	struct kbr_batch batch;
	void *data;
	size_t room;
	enum kb_seg_end end;
	int error;
};

int kb_seg_open(const char *path, struct kb_seg *seg);
int kb_seg_next(struct kb_seg *seg);
void kb_seg_close(struct kb_seg *seg);
const char *kb_seg_end_text(enum kb_seg_end end);

/**
 * struct kb_batch_walk - walks the records of one batch, unpacking it
 * @it: iterator of the codec
 * @unpacked: the records
 * @headers: room for the headers of the current record
 * @room: headers that fit
 */
struct kb_batch_walk {
	struct kbr_record_iter it;
	struct kbr_unpacked unpacked;
	struct kb_bytes *headers;
	size_t room;
};

int kb_walk_start(struct kb_batch_walk *walk, const struct kbr_batch *batch, const void *data);
int kb_walk_next(struct kb_batch_walk *walk, struct kb_rec *rec);
void kb_walk_end(struct kb_batch_walk *walk);

/* whole small file, NUL-terminated; NULL and errno */
char *kb_file_read(const char *path, size_t max, size_t *len);

int64_t kb_be(const void *p, unsigned int bytes);
const char *kb_codec_name(enum kbr_codec codec);

#define KB_INDEX_ENTRY 8
#define KB_TIMEINDEX_ENTRY 12
#define KB_SNAPSHOT_HEADER 10
#define KB_SNAPSHOT_ENTRY 46
#define KB_SMALL_FILE_MAX (64u << 20)

/* cmd_log_dump.c, cmd_log_check.c */
int kb_log_dump(int argc, char **argv);
int kb_log_check(int argc, char **argv);
int kb_log_compare(int argc, char **argv);

#endif /* KBROKER_TOOL_LOGDIR_H */
