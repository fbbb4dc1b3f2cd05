// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The producer's lower half: its thread, which writes batches to the partitions'
 * devices and learns what became of them.
 *
 * A round takes all batches that are due, writes them without waiting, and then
 * waits for all of them: so one sync of the broker's disk serves every
 * partition of the round, and records that come meanwhile fill the next one's
 * batches.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib.h"
#include "producer.h"

/* how long a device may refuse a write for want of room, ms */
#define KBL_SENDER_PATIENCE_MS	120000

static int kbl_sender_open(struct kbroker_producer *p, struct kbl_ppartition *part, u32 partition)
{
	__s32 acks = p->config.acks;
	int fd, err;

	if (part->fd >= 0)
		return 0;
	fd = kbl_device_open(p->mount, p->topic, partition, O_WRONLY);
	if (fd < 0)
		return fd;
	if (ioctl(fd, KBROKER_IOC_SET_ACKS, &acks)) {
		err = -errno;
		close(fd);
		return err;
	}
	part->fd = fd;
	return 0;
}

/* One whole batch, all or nothing */
static int kbl_sender_write(int fd, const void *data, size_t len)
{
	s64 end = kbl_monotonic_ms() + KBL_SENDER_PATIENCE_MS;

	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLOUT };
		ssize_t ret = write(fd, data, len);

		if (ret >= 0)
			return (size_t)ret == len ? 0 : -EPROTO;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (kbl_monotonic_ms() >= end)
			return -EAGAIN;
		/* a second at a time: what woke up others may have taken the room */
		poll(&pfd, 1, 1000);
	}
}

static void kbl_sender_send(struct kbroker_producer *p, struct kbl_pbatch *b,
			    struct kbl_ppartition **touched)
{
	struct kbl_ppartition *part = &p->partitions[b->partition];
	struct kbroker_result result;
	const void *data;
	size_t len;

	b->error = kbl_sender_open(p, part, b->partition);
	if (!b->error)
		b->error = kbroker_batch_finish(b->batch, &data, &len);
	if (!b->error)
		b->error = kbl_sender_write(part->fd, data, len);
	if (b->error)
		return;
	b->sent = len;
	if (!ioctl(part->fd, KBROKER_IOC_LAST_WRITE, &result)) {
		b->offset = result.base_offset;
		part->end = result.base_offset + result.records;
	} else {
		part->end = S64_MAX;
	}
	if (p->config.acks == -1 && !part->unconfirmed) {
		part->unconfirmed = true;
		part->touched = *touched;
		*touched = part;
	}
}

/* 0 once everything written to this partition is committed */
static int kbl_sender_confirm(struct kbl_ppartition *part)
{
	struct kbroker_position position;

	/*
	 * Committed, but not synced: a topic with flush.policy=async, whose
	 * writers do not ask for a sync. Elsewhere fsync() waits for the commit,
	 * and says what was lost.
	 */
	if (!kbl_device_position(part->fd, -1, &position) && position.high_watermark >= part->end &&
	    position.synced_end < part->end)
		return 0;
	return fsync(part->fd) ? -errno : 0;
}

/* The batches of @part in this round are not known to be committed */
static void kbl_sender_fail(struct kbroker_producer *p, struct kbl_pbatch *round,
			    const struct kbl_ppartition *part, int err)
{
	for (; round; round = round->next)
		if (&p->partitions[round->partition] == part && !round->error && round->sent)
			round->error = err;
}

/* Writes a round and waits for it; each batch's error is then final */
static void kbl_sender_round(struct kbroker_producer *p, struct kbl_pbatch *round)
{
	struct kbl_ppartition *touched = NULL, *part;
	struct kbl_pbatch *b;
	int err;

	for (b = round; b; b = b->next) {
		part = &p->partitions[b->partition];
		kbl_sender_send(p, b, &touched);
		/*
		 * The device tells once that earlier writes were lost, and may
		 * have done so here. Where the log ends by now proves nothing:
		 * others may have been given the same offsets.
		 */
		if (b->error == -EIO && part->unconfirmed)
			kbl_sender_fail(p, round, part, -EIO);
	}
	for (part = touched; part; part = part->touched) {
		err = kbl_sender_confirm(part);
		if (err)
			kbl_sender_fail(p, round, part, err);
		part->unconfirmed = false;
	}
}

static void kbl_sender_report(const struct kbroker_producer *p, const struct kbl_pbatch *b)
{
	u32 i, count = kbroker_batch_count(b->batch);
	struct kbroker_delivery delivery = {
		.error = b->error,
		.partition = (int32_t)b->partition,
		.offset = -1,
	};

	for (i = 0; i < count; i++) {
		delivery.opaque = b->opaques[i];
		if (!b->error && b->offset >= 0)
			delivery.offset = b->offset + i;
		p->config.delivered(p->config.arg, &delivery);
	}
}

/* Takes what is due; NULL if nothing is. Call with the lock. */
static struct kbl_pbatch *kbl_sender_take(struct kbroker_producer *p, s64 now)
{
	struct kbl_pbatch *b;

	/* who waits for room cannot fill what is open */
	while (p->open && (p->closing || p->blocked || p->open->deadline <= now))
		kbl_producer_seal(p, p->open);
	for (b = p->ready.head; b; b = b->next)
		if (b->number < p->sending)
			p->sending = b->number;
	b = p->ready.head;
	p->ready.head = NULL;
	p->ready.tail = NULL;
	return b;
}

/* Accounts a round that was reported. Call with the lock. */
static void kbl_sender_finish(struct kbroker_producer *p, struct kbl_pbatch *round)
{
	struct kbl_pbatch *b;

	while ((b = round)) {
		u32 count = kbroker_batch_count(b->batch);

		round = b->next;
		p->waiting_bytes -= kbroker_batch_length(b->batch) - KBR_BATCH_HEADER_LEN;
		p->stats.waiting -= count;
		if (b->error) {
			p->stats.failed += count;
			if (!p->config.delivered && !p->error)
				p->error = b->error;
		} else {
			p->stats.records += count;
			p->stats.batches++;
			p->stats.bytes += b->sent;
		}
		kbl_producer_recycle(p, b);
	}
	p->sending = U64_MAX;
	kbl_event_broadcast(&p->done);
}

static void kbl_sender_wait(struct kbroker_producer *p)
{
	kbl_event_wait(&p->work, &p->lock, p->open ? p->open->deadline : -1);
}

void *kbl_sender_run(void *producer)
{
	struct kbroker_producer *p = producer;
	struct kbl_pbatch *round, *b;

	kbl_lock(&p->lock);
	for (;;) {
		round = kbl_sender_take(p, kbl_monotonic_ms());
		if (!round) {
			if (p->closing)
				break;
			kbl_sender_wait(p);
			continue;
		}
		kbl_unlock(&p->lock);
		kbl_sender_round(p, round);
		for (b = round; p->config.delivered && b; b = b->next)
			kbl_sender_report(p, b);
		kbl_lock(&p->lock);
		kbl_sender_finish(p, round);
	}
	kbl_unlock(&p->lock);
	return NULL;
}
