/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A log on the RAM disk, batches to append to it, and a model of what it must
 * hold, for the suites of storage.
 */
#ifndef _KBR_TESTS_LOG_FIXTURE_H
#define _KBR_TESTS_LOG_FIXTURE_H

#include <linux/prandom.h>
#include <linux/types.h>

#include "codec/batch.h"
#include "storage/log.h"
#include "storage/log_internal.h"
#include "tests/file_ram.h"

struct kunit;

#define FIX_NAME	"orders-0"
#define FIX_BATCHES_MAX	16
#define FIX_BUF_SIZE	(256U << 10)

extern const u8 fix_topic_id[16];

/**
 * struct fix_batch - a batch to make
 * @records: number of records
 * @value_len: bytes of each value
 * @timestamp: of the first record; each further one has 1 ms more
 * @producer_id: -1 none
 * @producer_epoch: of it
 * @sequence: of the first record
 * @fill: byte that values consist of
 */
struct fix_batch {
	unsigned int records;
	unsigned int value_len;
	s64 timestamp;
	s64 producer_id;
	s16 producer_epoch;
	s32 sequence;
	u8 fill;
};

/**
 * struct fix - a log under test
 * @dir: RAM disk
 * @env: environment, without a syncer
 * @config: the topic's
 * @log: the log, if @opened
 * @opened: it is
 * @report: of the last open
 * @buf: FIX_BUF_SIZE bytes: batches to append
 * @len: bytes used of it
 * @verdicts: of the batches in @buf
 * @batches: number of them
 * @out: FIX_BUF_SIZE bytes: what was read
 */
struct fix {
	struct kbr_dir *dir;
	struct kbr_log_env env;
	struct kbr_log_config config;
	struct kbr_log log;
	bool opened;
	struct kbr_log_report report;
	u8 *buf;
	size_t len;
	struct kbr_batch_verdict verdicts[FIX_BATCHES_MAX];
	unsigned int batches;
	u8 *out;
};

/** fix_alloc() - environment on a new RAM disk, small segments, nothing opened; NULL without memory */
struct fix *fix_alloc(u64 seed);
/** fix_free() - abandon the log, if any, and free all */
void fix_free(struct fix *fix);
/** fix_create() - make and open the log */
int fix_create(struct fix *fix);
/** fix_open() - open it again; @clean and the two checkpoints as the broker would have them */
int fix_open(struct fix *fix, bool clean, s64 recovery_point, s64 start);
/** fix_close() - close it cleanly */
int fix_close(struct fix *fix);
/** fix_crash() - loss of power: abandon the log, go on with what the disk has kept */
int fix_crash(struct fix *fix, u64 seed);

/** fix_reset() - no batches in the buffer */
void fix_reset(struct fix *fix);
/** fix_add() - one more batch in the buffer; false if it does not fit */
bool fix_add(struct fix *fix, const struct fix_batch *b);
/** fix_append() - append what is in the buffer */
int fix_append(struct fix *fix, struct kbr_append *append);
/** fix_append_one() - make and append one batch without a producer; returns its base offset or an error */
s64 fix_append_one(struct fix *fix, unsigned int records, unsigned int value_len, s64 timestamp);
/** fix_read() - kbr_log_read() into fix->out, at most @max bytes */
ssize_t fix_read(struct fix *fix, struct kbr_log_pos *pos, s64 limit, size_t max);
/** fix_walk() - read everything from the start to the end in pieces of @max bytes; returns records or an error */
s64 fix_walk(struct fix *fix, size_t max);
/** fix_find_time() - kbr_log_search_time() to its end */
int fix_find_time(struct fix *fix, s64 timestamp, s64 limit, s64 *offset, s64 *found);
/** fix_max_timestamp() - kbr_log_search_max_timestamp() to its end */
int fix_max_timestamp(struct fix *fix, s64 *max);
/** fix_exists() - is there a file of that name in the log's directory */
bool fix_exists(struct fix *fix, const char *file);
/** fix_check_indexes() - every index entry of every segment agrees with the log; NULL or what is wrong */
const char *fix_check_indexes(struct fix *fix);

#endif /* _KBR_TESTS_LOG_FIXTURE_H */
