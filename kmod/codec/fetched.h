/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * The answer to a Fetch of version 12, as a follower reads it. It comes from
 * outside: kbr_fetched_open() checks all of it against the schema, after which
 * the parts are read in order and without error paths.
 *
 *	kbr_fetched_open()
 *	for each of kbr_get_count() topics: kbr_get_string()
 *		for each of kbr_get_count() partitions: kbr_fetched_get_part()
 *		kbr_get_tags()
 *
 * Pure.
 */
#ifndef _KBR_CODEC_FETCHED_H
#define _KBR_CODEC_FETCHED_H

#include <linux/types.h>

#include "codec/wire.h"

#define KBR_FETCHED_VERSION	12

/**
 * struct kbr_fetched_head - what is said of the whole
 * @correlation: of the request that it answers
 * @code: Kafka's error
 * @session: id of the fetch session
 */
struct kbr_fetched_head {
	s32 correlation;
	s16 code;
	s32 session;
};

/**
 * struct kbr_fetched_part - one partition
 * @index: its number
 * @code: Kafka's error
 * @hw: the leader's high watermark
 * @start: its log start
 * @diverges: our log is not its own up to where we fetch
 * @diverging_epoch: @diverges: the largest epoch up to our last one that it has
 * @diverging_end: @diverges: where that ends in its log
 * @records: batches back to back, the last one maybe cut off; inside the answer
 */
struct kbr_fetched_part {
	s32 index;
	s16 code;
	s64 hw;
	s64 start;
	bool diverges;
	s32 diverging_epoch;
	s64 diverging_end;
	struct kbr_str records;
};

/** kbr_fetched_open() - begin with the @len bytes of a frame; 0; -EPROTO it is no such answer */
int kbr_fetched_open(struct kbr_wire_reader *r, const void *buf, size_t len,
		     struct kbr_fetched_head *head);
void kbr_fetched_get_part(struct kbr_wire_reader *r, struct kbr_fetched_part *part);
/** kbr_fetched_trim() - take whole batches below offset @end off the beginning of @records */
void kbr_fetched_trim(struct kbr_str *records, s64 end);

#endif /* _KBR_CODEC_FETCHED_H */
