// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The producer's upper half: choosing partitions, gathering records into
 * batches, flushing. Writing them is sender.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kbroker/producer.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "lib.h"
#include "producer.h"

static u64 kbl_producer_random(struct kbroker_producer *p)
{
	/* xorshift: enough to spread partitions */
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return p->random;
}

/* Another sticky partition than this one, if there is another */
static void kbl_producer_unstick(struct kbroker_producer *p)
{
	if (p->partitions_count > 1)
		p->sticky = (p->sticky + 1 + kbl_producer_random(p) % (p->partitions_count - 1)) %
			    p->partitions_count;
}

void kbl_pbatch_free(struct kbl_pbatch *b)
{
	if (!b)
		return;
	kbroker_batch_free(b->batch);
	free(b->opaques);
	free(b);
}

/*
 * As many are kept as may wait: they were needed once, and memory that goes
 * back to the system and comes again costs more than filling it does.
 */
void kbl_producer_recycle(struct kbroker_producer *p, struct kbl_pbatch *b)
{
	if (p->free_count > p->config.buffer_bytes / p->batch_bytes || b->size != p->batch_bytes) {
		kbl_pbatch_free(b);
		return;
	}
	kbroker_batch_reset(b->batch);
	b->next = p->free;
	p->free = b;
	p->free_count++;
}

static struct kbl_pbatch *kbl_producer_get_batch(struct kbroker_producer *p, size_t size, int *err)
{
	struct kbl_pbatch *b = p->free;

	if (b && size == p->batch_bytes) {
		p->free = b->next;
		p->free_count--;
		return b;
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		*err = -ENOMEM;
		return NULL;
	}
	b->size = size;
	*err = kbroker_batch_new(&b->batch, size, p->config.codec, p->config.level);
	if (*err) {
		free(b);
		return NULL;
	}
	return b;
}

void kbl_producer_seal(struct kbroker_producer *p, struct kbl_pbatch *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		p->open = b->next;
	if (b->next)
		b->next->prev = b->prev;
	else
		p->open_tail = b->prev;
	b->prev = NULL;
	p->partitions[b->partition].open = NULL;
	if (p->sticky == b->partition)
		kbl_producer_unstick(p);
	kbl_queue_push(&p->ready, b);
}

static struct kbl_pbatch *kbl_producer_open_batch(struct kbroker_producer *p, u32 partition,
						  size_t size, int *err)
{
	struct kbl_pbatch *b = kbl_producer_get_batch(p, size, err);

	if (!b)
		return NULL;
	b->partition = partition;
	b->number = p->created++;
	b->deadline = kbl_monotonic_ms() + p->config.linger_ms;
	b->opened = kbl_now_ms();
	b->sent = 0;
	b->error = 0;
	b->offset = -1;
	b->next = NULL;
	b->prev = p->open_tail;
	if (p->open_tail)
		p->open_tail->next = b;
	else
		p->open = b;
	p->open_tail = b;
	p->partitions[partition].open = b;
	/* the thread may have been waiting for nothing, or for a later deadline */
	if (p->open == b)
		kbl_event_signal(&p->work);
	return b;
}

static bool kbl_producer_sticks(const struct kbroker_producer *p,
				const struct kbroker_message *message)
{
	return message->partition == KBROKER_PARTITION_ANY &&
	       (p->config.partitioner == KBROKER_PARTITIONER_STICKY ||
		(!message->key && p->config.partitioner != KBROKER_PARTITIONER_ROUND_ROBIN));
}

static int kbl_producer_choose(struct kbroker_producer *p, const struct kbroker_message *message,
			       u32 *partition)
{
	if (kbl_producer_sticks(p, message)) {
		*partition = p->sticky;
	} else if (message->partition != KBROKER_PARTITION_ANY) {
		if (message->partition < 0 || (u32)message->partition >= p->partitions_count)
			return -ERANGE;
		*partition = message->partition;
	} else if (p->config.partitioner == KBROKER_PARTITIONER_ROUND_ROBIN) {
		*partition = p->turn;
		p->turn = p->turn + 1 == p->partitions_count ? 0 : p->turn + 1;
	} else {
		*partition = kbroker_partition_of(p->config.partitioner, message->key,
						  message->key_len, p->partitions_count);
	}
	return 0;
}

static int kbl_pbatch_remember(struct kbl_pbatch *b, void *opaque)
{
	size_t count = b->batch->builder.count;

	if (count >= b->opaques_max) {
		size_t max = b->opaques_max ? 2 * b->opaques_max : 64;
		void **opaques = realloc(b->opaques, max * sizeof(*opaques));

		if (!opaques)
			return -ENOMEM;
		b->opaques = opaques;
		b->opaques_max = max;
	}
	b->opaques[count] = opaque;
	return 0;
}

/* In line: what each record passes through costs as much as what is done to it. */
static __always_inline int kbl_pbatch_add(struct kbroker_producer *p, struct kbl_pbatch *b,
					  const struct kbr_record *rec, void *opaque)
{
	struct kbr_batch_builder *builder = &b->batch->builder;
	size_t before = builder->len;
	int err;

	if (p->config.delivered) {
		err = kbl_pbatch_remember(b, opaque);
		if (unlikely(err))
			return err;
	}
	err = kbr_batch_builder_add(builder, rec);
	if (unlikely(err))
		return err;
	p->waiting_bytes += builder->len - before;
	p->stats.waiting++;
	return 0;
}

/* The batch that was open is full, or there was none: begin another one */
static int kbl_producer_add_new(struct kbroker_producer *p, u32 partition, struct kbr_record *rec,
				bool now, void *opaque)
{
	size_t need = KBR_BATCH_HEADER_LEN + kbr_record_size(rec, 0, 0);
	struct kbl_pbatch *b;
	int err;

	if (need > p->batch_bytes_max)
		return -EMSGSIZE;
	if (need < p->batch_bytes)
		need = p->batch_bytes;
	b = kbl_producer_open_batch(p, partition, need, &err);
	if (!b)
		return err;
	if (now)
		rec->timestamp = b->opened;
	err = kbl_pbatch_add(p, b, rec, opaque);
	/* one that holds nothing must not be sent */
	if (err) {
		p->open_tail = b->prev;
		if (b->prev)
			b->prev->next = NULL;
		else
			p->open = NULL;
		p->partitions[partition].open = NULL;
		kbl_producer_recycle(p, b);
	}
	return err;
}

/* Waits for room; an error if there is nothing to wait for any more */
static int kbl_producer_wait_room(struct kbroker_producer *p)
{
	while (p->waiting_bytes >= p->config.buffer_bytes && !p->closing) {
		p->blocked++;
		kbl_event_signal(&p->work);
		kbl_event_wait(&p->done, &p->lock, -1);
		p->blocked--;
	}
	return p->closing ? -EPIPE : 0;
}

static int kbl_producer_take_error(struct kbroker_producer *p)
{
	int err = p->error;

	p->error = 0;
	return err;
}

/* What a caller must know first: there is no room, an earlier record failed, it is closed */
static int kbl_producer_check(struct kbroker_producer *p)
{
	if (p->error)
		return kbl_producer_take_error(p);
	return kbl_producer_wait_room(p);
}

static int kbl_producer_add(struct kbroker_producer *p, const struct kbroker_message *message,
			    struct kbr_record *rec, void *opaque)
{
	const bool now = message->timestamp == KBROKER_TIME_NOW;
	struct kbl_pbatch *b;
	u32 partition;
	int err;

	err = kbl_producer_choose(p, message, &partition);
	if (unlikely(err))
		return err;
	for (;;) {
		b = p->partitions[partition].open;
		if (unlikely(!b))
			return kbl_producer_add_new(p, partition, rec, now, opaque);
		/* the clock of ticks may be behind the one that the batch began with */
		if (now && rec->timestamp < b->opened)
			rec->timestamp = b->opened;
		err = kbl_pbatch_add(p, b, rec, opaque);
		if (likely(err != -ENOSPC))
			return err;
		kbl_producer_seal(p, b);
		kbl_event_signal(&p->work);
		/* a sticky record goes where the next ones go */
		if (kbl_producer_sticks(p, message))
			partition = p->sticky;
	}
}

int kbroker_producer_send(struct kbroker_producer *p, const struct kbroker_message *message,
			  void *opaque)
{
	struct kbr_record rec;
	int err = 0;

	if (unlikely(!kbl_message_to_record(message, &rec)))
		return -EINVAL;
	rec.timestamp = message->timestamp == KBROKER_TIME_NOW ? kbl_tick_ms() : message->timestamp;
	kbl_lock(&p->lock);
	if (unlikely(p->error || p->closing || p->waiting_bytes >= p->config.buffer_bytes))
		err = kbl_producer_check(p);
	if (likely(!err))
		err = kbl_producer_add(p, message, &rec, opaque);
	kbl_unlock(&p->lock);
	return err;
}

/* Number of the oldest batch that was not delivered */
static u64 kbl_producer_oldest(const struct kbroker_producer *p)
{
	u64 oldest = p->sending;
	const struct kbl_pbatch *b;

	for (b = p->ready.head; b; b = b->next)
		if (b->number < oldest)
			oldest = b->number;
	/* open ones are in order */
	if (p->open && p->open->number < oldest)
		oldest = p->open->number;
	return oldest;
}

int kbroker_producer_flush(struct kbroker_producer *p, int timeout_ms)
{
	s64 end = timeout_ms < 0 ? -1 : kbl_monotonic_ms() + timeout_ms;
	int err = 0;
	u64 target;

	kbl_lock(&p->lock);
	target = p->created;
	while (p->open)
		kbl_producer_seal(p, p->open);
	kbl_event_signal(&p->work);
	while (!err && kbl_producer_oldest(p) < target)
		if (!kbl_event_wait(&p->done, &p->lock, end))
			err = -ETIMEDOUT;
	if (!err)
		err = kbl_producer_take_error(p);
	kbl_unlock(&p->lock);
	return err;
}

uint32_t kbroker_producer_partitions(const struct kbroker_producer *p)
{
	return p->partitions_count;
}

void kbroker_producer_stats(struct kbroker_producer *p, struct kbroker_producer_stats *stats)
{
	kbl_lock(&p->lock);
	*stats = p->stats;
	kbl_unlock(&p->lock);
}

static void kbl_producer_free(struct kbroker_producer *p)
{
	struct kbl_pbatch *b;
	u32 i;

	for (i = 0; p->partitions && i < p->partitions_count; i++)
		if (p->partitions[i].fd >= 0)
			close(p->partitions[i].fd);
	while ((b = p->free)) {
		p->free = b->next;
		kbl_pbatch_free(b);
	}
	free(p->partitions);
	free(p->topic);
	free(p->mount);
	free(p);
}

int kbroker_producer_close(struct kbroker_producer *p)
{
	int err;

	if (!p)
		return 0;
	err = kbroker_producer_flush(p, -1);
	kbl_lock(&p->lock);
	p->closing = true;
	kbl_event_broadcast(&p->done);
	kbl_event_signal(&p->work);
	kbl_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	kbl_producer_free(p);
	return err;
}

/* Learns what the topic is, and that it may be written to */
static int kbl_producer_ask(struct kbroker_producer *p)
{
	struct kbroker_info info;
	int fd, err;

	fd = kbl_device_open(p->mount, p->topic, -1, O_WRONLY);
	if (fd < 0)
		return fd;
	err = kbl_device_info(fd, &info);
	close(fd);
	if (err)
		return err;
	if (!info.partitions || info.batch_bytes_max <= KBR_BATCH_HEADER_LEN)
		return -EPROTO;
	p->partitions_count = info.partitions;
	p->batch_bytes_max = info.batch_bytes_max < KBR_BATCH_BYTES_MAX ? info.batch_bytes_max :
			     KBR_BATCH_BYTES_MAX;
	p->batch_bytes = p->config.batch_bytes < p->batch_bytes_max ? p->config.batch_bytes :
			 p->batch_bytes_max;
	return 0;
}

static int kbl_producer_init(struct kbroker_producer *p, const char *topic)
{
	struct kbl_pbatch *b;
	int err;
	u32 i;

	p->topic = strdup(topic);
	if (p->config.mount)
		p->mount = strdup(p->config.mount);
	if (!p->topic || (p->config.mount && !p->mount))
		return -ENOMEM;
	p->config.mount = NULL;
	err = kbl_producer_ask(p);
	if (err)
		return err;
	p->partitions = calloc(p->partitions_count, sizeof(*p->partitions));
	if (!p->partitions)
		return -ENOMEM;
	for (i = 0; i < p->partitions_count; i++)
		p->partitions[i].fd = -1;
	p->sending = U64_MAX;
	p->random = ((u64)kbl_now_ms() * 0x9e3779b97f4a7c15ull ^ (u64)getpid() << 32) | 1;
	p->sticky = kbl_producer_random(p) % p->partitions_count;

	/* an impossible codec or level is refused here, not with the first record */
	b = kbl_producer_get_batch(p, p->batch_bytes, &err);
	if (!b)
		return err;
	kbl_producer_recycle(p, b);
	return 0;
}

static int kbl_producer_start(struct kbroker_producer *p)
{
	sigset_t all, before;
	int err;

	/* signals are for the program's threads; this one must not be interrupted */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&p->thread, NULL, kbl_sender_run, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

static bool kbl_producer_config_ok(const struct kbroker_producer_config *c)
{
	return c->size == sizeof(*c) && c->acks >= -1 && c->acks <= 1 &&
	       kbroker_codec_name(c->codec) && kbroker_partitioner_name(c->partitioner) &&
	       c->linger_ms >= 0 && c->batch_bytes > KBR_BATCH_HEADER_LEN &&
	       c->batch_bytes <= KBR_BATCH_BYTES_MAX && c->buffer_bytes;
}

int kbroker_producer_open(struct kbroker_producer **producer, const char *topic,
			  const struct kbroker_producer_config *config)
{
	static const struct kbroker_producer_config defaults = KBROKER_PRODUCER_CONFIG_INIT;
	struct kbroker_producer *p;
	int err;

	if (!config)
		config = &defaults;
	if (!kbl_producer_config_ok(config))
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->config = *config;

	err = kbl_producer_init(p, topic);
	if (!err)
		err = kbl_producer_start(p);
	if (err) {
		kbl_producer_free(p);
		return err;
	}
	*producer = p;
	return 0;
}
