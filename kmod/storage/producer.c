// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of idempotent producers; see producer.h. Knows no files: the
 * snapshot's bytes are made and read here, written and found in log.c and
 * recovery.c.
 */
#include <linux/hash.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "base/limits.h"
#include "codec/crc32c.h"
#include "storage/producer.h"

#define KBR_PRODUCER_BITS_MIN	3
#define KBR_PRODUCER_BITS_MAX	15
#define KBR_SNAPSHOT_VERSION	1
#define KBR_SNAPSHOT_CRC_START	6

/** struct kbr_snapshot_head - start of a .snapshot file */
struct kbr_snapshot_head {
	__be16 version;
	__be32 crc;
	__be32 count;
} __packed;
static_assert(sizeof(struct kbr_snapshot_head) == 10);

/** struct kbr_snapshot_entry - one producer in it */
struct kbr_snapshot_entry {
	__be64 id;
	__be16 epoch;
	__be32 last_sequence;
	__be64 last_offset;
	__be32 offset_delta;
	__be64 timestamp;
	__be32 coordinator_epoch;
	__be64 txn_first_offset;
} __packed;
static_assert(sizeof(struct kbr_snapshot_entry) == 46);

/**
 * struct kbr_producer_batch - one remembered batch
 * @last_offset: offset of its last record
 * @timestamp: its max timestamp
 * @last_sequence: sequence of its last record
 * @delta: last minus first offset
 */
struct kbr_producer_batch {
	s64 last_offset;
	s64 timestamp;
	s32 last_sequence;
	s32 delta;
};

/**
 * struct kbr_producer - one producer
 * @node: in its bucket
 * @idle: in the table's list, latest append last
 * @id: producer id
 * @txn_first: first offset of the open transaction, -1 none
 * @epoch: its epoch
 * @checked_epoch: epoch after the batches checked in this append
 * @coordinator_epoch: of the last transaction marker, -1 none
 * @checked: append in which @checked_epoch and @checked_sequence were noted
 * @checked_sequence: last sequence after those batches
 * @count: remembered batches
 * @known: appended before; false: only checked so far
 * @batch: oldest first
 */
struct kbr_producer {
	struct hlist_node node;
	struct list_head idle;
	s64 id;
	s64 txn_first;
	s16 epoch;
	s16 checked_epoch;
	s32 coordinator_epoch;
	u32 checked;
	s32 checked_sequence;
	u8 count;
	bool known;
	struct kbr_producer_batch batch[KBR_PRODUCER_BATCHES];
};

/**
 * struct kbr_producer_table - all of one log
 * @count: producers
 * @bits: log2 of the buckets
 * @append: number of the append being checked
 * @idle: by last append, longest idle first
 * @bucket: hash table
 */
struct kbr_producer_table {
	unsigned int count;
	unsigned int bits;
	u32 append;
	struct list_head idle;
	struct hlist_head *bucket;
};

static struct hlist_head *kbr_producer_buckets(unsigned int bits)
{
	return kvcalloc(1U << bits, sizeof(struct hlist_head), GFP_KERNEL_ACCOUNT);
}

struct kbr_producer_table *kbr_producer_table_create(void)
{
	struct kbr_producer_table *table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);

	if (!table)
		return NULL;
	INIT_LIST_HEAD(&table->idle);
	table->bits = KBR_PRODUCER_BITS_MIN;
	table->bucket = kbr_producer_buckets(table->bits);
	if (!table->bucket) {
		kfree(table);
		return NULL;
	}
	return table;
}
KBR_EXPORT_IF_KUNIT(kbr_producer_table_create);

static void kbr_producer_forget(struct kbr_producer_table *table, struct kbr_producer *prod)
{
	hlist_del(&prod->node);
	list_del(&prod->idle);
	table->count--;
	kfree(prod);
}

void kbr_producer_table_destroy(struct kbr_producer_table *table)
{
	struct kbr_producer *prod, *next;

	if (!table)
		return;
	list_for_each_entry_safe(prod, next, &table->idle, idle)
		kbr_producer_forget(table, prod);
	kvfree(table->bucket);
	kfree(table);
}
KBR_EXPORT_IF_KUNIT(kbr_producer_table_destroy);

unsigned int kbr_producer_table_count(const struct kbr_producer_table *table)
{
	return table ? READ_ONCE(table->count) : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_producer_table_count);

static struct kbr_producer *kbr_producer_find(const struct kbr_producer_table *table, s64 id)
{
	struct kbr_producer *prod;

	hlist_for_each_entry(prod, &table->bucket[hash_64(id, table->bits)], node)
		if (prod->id == id)
			return prod;
	return NULL;
}

/* Twice the buckets; without memory the chains just get longer. */
static void kbr_producer_grow(struct kbr_producer_table *table)
{
	struct hlist_head *bucket;
	struct kbr_producer *prod;

	if (table->count < 2U << table->bits || table->bits >= KBR_PRODUCER_BITS_MAX)
		return;
	bucket = kbr_producer_buckets(table->bits + 1);
	if (!bucket)
		return;
	kvfree(table->bucket);
	table->bucket = bucket;
	table->bits++;
	list_for_each_entry(prod, &table->idle, idle)
		hlist_add_head(&prod->node, &bucket[hash_64(prod->id, table->bits)]);
}

static struct kbr_producer *kbr_producer_add(struct kbr_producer_table *table, s64 id)
{
	struct kbr_producer *prod, *victim;

	prod = kzalloc(sizeof(*prod), GFP_KERNEL_ACCOUNT);
	if (!prod)
		return NULL;
	if (table->count >= KBR_PRODUCERS_MAX) {
		/*
		 * Not one that this append has checked: those are last, and one
		 * append has fewer batches than the table has room.
		 */
		victim = list_first_entry(&table->idle, struct kbr_producer, idle);
		kbr_producer_forget(table, victim);
	}
	prod->id = id;
	prod->txn_first = -1;
	prod->coordinator_epoch = -1;
	prod->epoch = -1;
	table->count++;
	kbr_producer_grow(table);
	hlist_add_head(&prod->node, &table->bucket[hash_64(id, table->bits)]);
	list_add_tail(&prod->idle, &table->idle);
	return prod;
}

void kbr_producer_begin(struct kbr_producer_table *table)
{
	if (!++table->append)
		table->append = 1;
}
KBR_EXPORT_IF_KUNIT(kbr_producer_begin);

static s32 kbr_producer_last_sequence(const struct kbr_batch *batch)
{
	return ((u32)batch->base_sequence + (u32)batch->last_offset_delta) & S32_MAX;
}

/* what follows @sequence, which wraps to 0 */
static s32 kbr_producer_next_sequence(s32 sequence)
{
	return ((u32)sequence + 1) & S32_MAX;
}

static bool kbr_producer_repeats(const struct kbr_producer *prod, const struct kbr_batch *batch,
				 struct kbr_producer_hit *hit)
{
	unsigned int i;

	if (prod->epoch != batch->producer_epoch)
		return false;
	for (i = 0; i < prod->count; i++) {
		const struct kbr_producer_batch *b = &prod->batch[i];

		if (b->last_sequence != kbr_producer_last_sequence(batch) ||
		    b->delta != batch->last_offset_delta)
			continue;
		hit->base_offset = b->last_offset - b->delta;
		hit->last_offset = b->last_offset;
		hit->timestamp = b->timestamp;
		return true;
	}
	return false;
}

int kbr_producer_check(struct kbr_producer_table *table, const struct kbr_batch *batch,
		       struct kbr_producer_hit *hit)
{
	struct kbr_producer *prod = kbr_producer_find(table, batch->producer_id);
	s32 sequence = -1;
	bool known;
	s16 epoch;

	if (!prod) {
		prod = kbr_producer_add(table, batch->producer_id);
		if (!prod)
			return -ENOMEM;
	}
	if (prod->checked == table->append) {
		known = true;
		epoch = prod->checked_epoch;
		sequence = prod->checked_sequence;
	} else {
		if (prod->known && kbr_producer_repeats(prod, batch, hit))
			return 1;
		known = prod->known;
		epoch = prod->epoch;
		if (prod->count)
			sequence = prod->batch[prod->count - 1].last_sequence;
	}
	if (known) {
		if (batch->producer_epoch < epoch)
			return -EKEYEXPIRED;
		if (batch->producer_epoch > epoch) {
			if (batch->base_sequence)
				return -EILSEQ;
		} else if (sequence >= 0 &&
			   batch->base_sequence != kbr_producer_next_sequence(sequence)) {
			return -EILSEQ;
		}
	}
	prod->checked = table->append;
	prod->checked_epoch = batch->producer_epoch;
	prod->checked_sequence = kbr_producer_last_sequence(batch);
	/* what this append uses is not what makes room for it */
	list_move_tail(&prod->idle, &table->idle);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_producer_check);

void kbr_producer_abort(struct kbr_producer_table *table)
{
	struct kbr_producer *prod, *next;

	list_for_each_entry_safe_reverse(prod, next, &table->idle, idle) {
		if (prod->checked != table->append)
			break;
		if (!prod->known)
			kbr_producer_forget(table, prod);
	}
	/* whatever stays was checked for an append that is over */
	kbr_producer_begin(table);
}
KBR_EXPORT_IF_KUNIT(kbr_producer_abort);

static void kbr_producer_remember(struct kbr_producer *prod, const struct kbr_batch *batch)
{
	struct kbr_producer_batch *b;

	if (prod->count == KBR_PRODUCER_BATCHES) {
		memmove(&prod->batch[0], &prod->batch[1],
			(KBR_PRODUCER_BATCHES - 1) * sizeof(*prod->batch));
		prod->count--;
	}
	b = &prod->batch[prod->count++];
	b->last_offset = kbr_batch_last_offset(batch);
	b->timestamp = batch->max_timestamp;
	b->last_sequence = kbr_producer_last_sequence(batch);
	b->delta = batch->last_offset_delta;
}

int kbr_producer_update(struct kbr_producer_table *table, const struct kbr_batch *batch)
{
	struct kbr_producer *prod = kbr_producer_find(table, batch->producer_id);

	if (!prod) {
		prod = kbr_producer_add(table, batch->producer_id);
		if (!prod)
			return -ENOMEM;
	}
	if (!prod->known || prod->epoch != batch->producer_epoch) {
		prod->known = true;
		prod->epoch = batch->producer_epoch;
		prod->count = 0;
	}
	if (batch->attributes & KBR_BATCH_CONTROL) {
		prod->txn_first = -1;
	} else {
		if ((batch->attributes & KBR_BATCH_TRANSACTIONAL) && prod->txn_first < 0)
			prod->txn_first = batch->base_offset;
		if (batch->base_sequence >= 0)
			kbr_producer_remember(prod, batch);
	}
	list_move_tail(&prod->idle, &table->idle);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_producer_update);

void kbr_producer_expire(struct kbr_producer_table *table, s64 now_ms, s64 expiration_ms)
{
	struct kbr_producer *prod, *next;

	list_for_each_entry_safe(prod, next, &table->idle, idle) {
		s64 last = prod->count ? prod->batch[prod->count - 1].timestamp : now_ms;

		if (prod->txn_first < 0 && now_ms - expiration_ms >= last)
			kbr_producer_forget(table, prod);
	}
}
KBR_EXPORT_IF_KUNIT(kbr_producer_expire);

static void kbr_producer_encode_one(const struct kbr_producer *prod, struct kbr_snapshot_entry *e)
{
	const struct kbr_producer_batch *b = prod->count ? &prod->batch[prod->count - 1] : NULL;

	e->id = cpu_to_be64(prod->id);
	e->epoch = cpu_to_be16(prod->epoch);
	e->last_sequence = cpu_to_be32(b ? b->last_sequence : -1);
	e->last_offset = cpu_to_be64(b ? b->last_offset : -1);
	e->offset_delta = cpu_to_be32(b ? b->delta : 0);
	e->timestamp = cpu_to_be64(b ? b->timestamp : -1);
	e->coordinator_epoch = cpu_to_be32(prod->coordinator_epoch);
	e->txn_first_offset = cpu_to_be64(prod->txn_first);
}

static u32 kbr_producer_crc(const void *buf, size_t len)
{
	return kbr_crc32c(0, buf + KBR_SNAPSHOT_CRC_START, len - KBR_SNAPSHOT_CRC_START);
}

int kbr_producer_encode(const struct kbr_producer_table *table, void **buf, size_t *len)
{
	struct kbr_snapshot_head *head;
	struct kbr_snapshot_entry *e;
	const struct kbr_producer *prod;
	u32 count = 0;

	head = kvmalloc(sizeof(*head) + kbr_producer_table_count(table) * sizeof(*e),
			GFP_KERNEL_ACCOUNT);
	if (!head)
		return -ENOMEM;
	e = (struct kbr_snapshot_entry *)(head + 1);
	if (table)
		list_for_each_entry(prod, &table->idle, idle)
			if (prod->known)
				kbr_producer_encode_one(prod, &e[count++]);
	*len = sizeof(*head) + count * sizeof(*e);
	head->version = cpu_to_be16(KBR_SNAPSHOT_VERSION);
	head->count = cpu_to_be32(count);
	head->crc = cpu_to_be32(kbr_producer_crc(head, *len));
	*buf = head;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_producer_encode);

static int kbr_producer_decode_one(struct kbr_producer_table *table,
				   const struct kbr_snapshot_entry *e)
{
	s64 id = be64_to_cpu(e->id), last_offset = be64_to_cpu(e->last_offset);
	s32 sequence = be32_to_cpu(e->last_sequence), delta = be32_to_cpu(e->offset_delta);
	struct kbr_producer *prod;

	if (id < 0 || kbr_producer_find(table, id) || delta < 0 || delta > last_offset + 1)
		return -EBADMSG;
	prod = kbr_producer_add(table, id);
	if (!prod)
		return -ENOMEM;
	prod->known = true;
	prod->epoch = be16_to_cpu(e->epoch);
	prod->coordinator_epoch = be32_to_cpu(e->coordinator_epoch);
	prod->txn_first = be64_to_cpu(e->txn_first_offset);
	if (last_offset >= 0 && sequence >= 0) {
		prod->count = 1;
		prod->batch[0].last_offset = last_offset;
		prod->batch[0].timestamp = be64_to_cpu(e->timestamp);
		prod->batch[0].last_sequence = sequence;
		prod->batch[0].delta = delta;
	}
	return 0;
}

int kbr_producer_decode(struct kbr_producer_table *table, const void *buf, size_t len)
{
	const struct kbr_snapshot_head *head = buf;
	const struct kbr_snapshot_entry *e = (const void *)(head + 1);
	u32 count, i;
	int err;

	if (len < sizeof(*head) || be16_to_cpu(head->version) != KBR_SNAPSHOT_VERSION)
		return -EBADMSG;
	count = be32_to_cpu(head->count);
	if (count > KBR_PRODUCERS_MAX || len != sizeof(*head) + count * sizeof(*e) ||
	    be32_to_cpu(head->crc) != kbr_producer_crc(buf, len))
		return -EBADMSG;
	for (i = 0; i < count; i++) {
		err = kbr_producer_decode_one(table, &e[i]);
		if (err)
			return err;
	}
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_producer_decode);
