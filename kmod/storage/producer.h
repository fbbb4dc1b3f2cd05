/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Idempotent producers of one log: the last five batches of each, so that a
 * repeat is recognised and a gap refused; and Kafka's snapshot file of them.
 *
 * Everything here runs under the log's append lock.
 */
#ifndef _KBR_STORAGE_PRODUCER_H
#define _KBR_STORAGE_PRODUCER_H

#include <linux/types.h>
#include "codec/batch.h"

struct kbr_producer_table;

/* Batches remembered of each producer: clients keep at most so many in flight */
#define KBR_PRODUCER_BATCHES	5

/** struct kbr_producer_hit - a repeat: what the first time got */
struct kbr_producer_hit {
	s64 base_offset;
	s64 last_offset;
	s64 timestamp;
};

/** kbr_producer_table_create() - an empty table, or NULL */
struct kbr_producer_table *kbr_producer_table_create(void);
void kbr_producer_table_destroy(struct kbr_producer_table *table);
/** kbr_producer_table_count() - producers known; @table may be NULL */
unsigned int kbr_producer_table_count(const struct kbr_producer_table *table);

/** kbr_producer_begin() - the checks that follow belong to one append */
void kbr_producer_begin(struct kbr_producer_table *table);
/**
 * kbr_producer_check() - may @batch be appended?
 * @batch: a batch with a producer id
 * @hit: filled for a repeat
 *
 * Batches of one append are checked in order, each as if those before it had
 * been appended. Memory that kbr_producer_update() needs is taken here.
 *
 * Return: 0 append it; 1 a repeat; -EILSEQ out of order; -EKEYEXPIRED its
 * epoch is older than the known one; -ENOMEM.
 */
int kbr_producer_check(struct kbr_producer_table *table, const struct kbr_batch *batch,
		       struct kbr_producer_hit *hit);
/** kbr_producer_abort() - the append failed: forget what the checks noted */
void kbr_producer_abort(struct kbr_producer_table *table);
/**
 * kbr_producer_update() - @batch was appended (or is replayed) at its offsets
 *
 * Never fails for a batch that kbr_producer_check() let through; else -ENOMEM.
 * When the table is full the producer that was idle longest is forgotten.
 */
int kbr_producer_update(struct kbr_producer_table *table, const struct kbr_batch *batch);
/** kbr_producer_expire() - forget producers whose last batch is older than @expiration_ms */
void kbr_producer_expire(struct kbr_producer_table *table, s64 now_ms, s64 expiration_ms);

/**
 * kbr_producer_encode() - a snapshot, to be kvfree()d, in *@buf
 *
 * @table may be NULL; 0 or -ENOMEM.
 */
int kbr_producer_encode(const struct kbr_producer_table *table, void **buf, size_t *len);
/** kbr_producer_decode() - read a snapshot into an empty table; 0, -EBADMSG damaged, -ENOMEM */
int kbr_producer_decode(struct kbr_producer_table *table, const void *buf, size_t len);

#endif /* _KBR_STORAGE_PRODUCER_H */
