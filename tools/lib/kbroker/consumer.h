/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkbroker: consuming a topic through its devices.
 *
 * A consumer reads any number of partitions of one topic, from positions of
 * its own; it is used by one thread at a time.
 *
 *	struct kbroker_consumer *consumer;
 *	struct kbroker_message message;
 *
 *	err = kbroker_consumer_open(&consumer, "orders", NULL);
 *	err = kbroker_consumer_assign(consumer, KBROKER_PARTITION_ALL, KBROKER_OFFSET_BEGIN);
 *	while (kbroker_consumer_poll(consumer, &message, 1000) == 1)
 *		fwrite(message.value, 1, message.value_len, stdout);
 *	kbroker_consumer_close(consumer);
 */
#ifndef _KBROKER_CONSUMER_H
#define _KBROKER_CONSUMER_H

#include <kbroker/message.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kbroker_consumer;
struct kbroker_position;

/** KBROKER_PARTITION_ALL - every partition of the topic */
#define KBROKER_PARTITION_ALL	(-1)

/** KBROKER_OFFSET_BEGIN - the first record that there is */
#define KBROKER_OFFSET_BEGIN	(-2)
/** KBROKER_OFFSET_END - the next record to come */
#define KBROKER_OFFSET_END	(-1)

/**
 * struct kbroker_consumer_config - settings; begin with KBROKER_CONSUMER_CONFIG_INIT
 * @size: sizeof(struct kbroker_consumer_config)
 * @mount: where the broker's devices are; NULL: $KBROKER_DEVICES or "/dev/kbroker"
 * @read_bytes: bytes asked for in one read of one partition; grows for a batch
 *	that is larger
 */
struct kbroker_consumer_config {
	size_t size;
	const char *mount;
	size_t read_bytes;
};

#define KBROKER_CONSUMER_CONFIG_INIT {					\
	.size = sizeof(struct kbroker_consumer_config),			\
	.read_bytes = 1024 * 1024,					\
}

/**
 * kbroker_consumer_open() - open a topic to consume; nothing is read yet
 * @consumer: result
 * @topic: its name
 * @config: settings; NULL for the defaults
 *
 * Return: 0; -EINVAL; -ENOMEM; what open(2) of the topic's devices refused with.
 */
int kbroker_consumer_open(struct kbroker_consumer **consumer, const char *topic,
			  const struct kbroker_consumer_config *config);
/** kbroker_consumer_close() - NULL is allowed */
void kbroker_consumer_close(struct kbroker_consumer *consumer);

/** kbroker_consumer_partitions() - partitions of the topic */
uint32_t kbroker_consumer_partitions(const struct kbroker_consumer *consumer);

/**
 * kbroker_consumer_assign() - begin to read a partition
 * @consumer: the consumer
 * @partition: which one, or KBROKER_PARTITION_ALL
 * @offset: where to begin: an offset, KBROKER_OFFSET_BEGIN or KBROKER_OFFSET_END
 *
 * A partition that is read already goes on from @offset.
 *
 * Return: 0; -ERANGE if there is no such partition; -ENOMEM; what the device
 * refused with.
 */
int kbroker_consumer_assign(struct kbroker_consumer *consumer, int32_t partition, int64_t offset);

/** kbroker_consumer_unassign() - read a partition no longer */
int kbroker_consumer_unassign(struct kbroker_consumer *consumer, int32_t partition);

/**
 * kbroker_consumer_assign_time() - begin to read a partition at a time
 * @consumer: the consumer
 * @partition: which one, or KBROKER_PARTITION_ALL
 * @timestamp: ms since the epoch: begin at the first record of that time or later
 *
 * Return: as kbroker_consumer_assign().
 */
int kbroker_consumer_assign_time(struct kbroker_consumer *consumer, int32_t partition,
				 int64_t timestamp);

/**
 * kbroker_consumer_poll() - the next record of any assigned partition
 * @consumer: the consumer
 * @message: result, valid until the next call on this consumer
 * @timeout_ms: how long to wait for one; 0 not at all, -1 without end
 *
 * An error concerns message->partition alone, and is reported once:
 * -EPIPE: retention removed records that were next; reading goes on after them.
 * -EBADMSG, -EFBIG: the batch at message->offset is damaged; the partition is
 * read no further until it is assigned again. Likewise -ENODEV: the topic was
 * deleted; and any other that its device answered.
 *
 * Return: 1; 0 if there was none in time; -EINTR after a signal, -EINVAL if no
 * partition is left to read, both with message->partition -1; or the above.
 */
int kbroker_consumer_poll(struct kbroker_consumer *consumer, struct kbroker_message *message,
			  int timeout_ms);

/**
 * kbroker_consumer_fd() - descriptor for poll(2): readable when records may have come
 *
 * Records that were read ahead do not show there: call kbroker_consumer_poll()
 * with timeout 0 until it returns 0, then wait.
 */
int kbroker_consumer_fd(const struct kbroker_consumer *consumer);

/**
 * kbroker_consumer_position() - where a partition stands
 * @consumer: the consumer
 * @partition: an assigned partition
 * @position: result; position is the offset that kbroker_consumer_poll() gives
 *	next, whatever was read ahead (struct of <linux/kbroker.h>)
 *
 * Return: 0; -ERANGE if it isn't assigned; what the device refused with.
 */
int kbroker_consumer_position(struct kbroker_consumer *consumer, int32_t partition,
			      struct kbroker_position *position);

#ifdef __cplusplus
}
#endif

#endif /* _KBROKER_CONSUMER_H */
