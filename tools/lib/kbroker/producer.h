/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkbroker: producing to a topic through its devices.
 *
 * Records are gathered into batches, one for each partition, and written by a
 * thread of the producer when a batch is full or has waited for linger_ms. A
 * producer may be used by many threads at once.
 *
 *	struct kbroker_producer *producer;
 *	struct kbroker_message message = KBROKER_MESSAGE_INIT;
 *
 *	err = kbroker_producer_open(&producer, "orders", NULL);
 *	message.value = "hello";
 *	message.value_len = 5;
 *	err = kbroker_producer_send(producer, &message, NULL);
 *	err = kbroker_producer_flush(producer, -1);
 *	kbroker_producer_close(producer);
 */
#ifndef _KBROKER_PRODUCER_H
#define _KBROKER_PRODUCER_H

#include <kbroker/batch.h>
#include <kbroker/message.h>
#include <kbroker/partitioner.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kbroker_producer;

/**
 * struct kbroker_delivery - what became of one record
 * @opaque: as given to kbroker_producer_send()
 * @error: 0, or a negative errno: then it is not known to be committed
 *	(-ETIMEDOUT: it may still be)
 * @partition: the partition it went to
 * @offset: its offset; -1 unknown
 */
struct kbroker_delivery {
	void *opaque;
	int error;
	int32_t partition;
	int64_t offset;
};

/**
 * struct kbroker_producer_config - settings; begin with KBROKER_PRODUCER_CONFIG_INIT
 * @size: sizeof(struct kbroker_producer_config)
 * @mount: where the broker's devices are; NULL: $KBROKER_DEVICES or "/dev/kbroker"
 * @acks: -1 (all: committed, the default), 1 (appended) or 0
 * @codec: enum kbroker_codec
 * @level: compression level or KBROKER_LEVEL_DEFAULT
 * @partitioner: enum kbroker_partitioner
 * @linger_ms: how long a record may wait for others to fill its batch; 0: no
 *	longer than the sender is busy
 * @batch_bytes: a batch of so many bytes is full (bounded by the topic's
 *	max.message.bytes)
 * @buffer_bytes: bytes in all batches that wait, beyond which a sender waits
 * @delivered: called once for each record, in the order of its partition, from
 *	the producer's thread; must not call kbroker_producer_flush() or
 *	kbroker_producer_close(). May be NULL.
 * @arg: first argument of @delivered
 */
struct kbroker_producer_config {
	size_t size;
	const char *mount;
	int acks;
	int codec;
	int level;
	int partitioner;
	int linger_ms;
	size_t batch_bytes;
	size_t buffer_bytes;
	void (*delivered)(void *arg, const struct kbroker_delivery *delivery);
	void *arg;
};

#define KBROKER_PRODUCER_CONFIG_INIT {					\
	.size = sizeof(struct kbroker_producer_config),			\
	.acks = -1,							\
	.level = KBROKER_LEVEL_DEFAULT,					\
	.linger_ms = 5,							\
	.batch_bytes = 256 * 1024,					\
	.buffer_bytes = 32 * 1024 * 1024,				\
}

/**
 * kbroker_producer_open() - open a topic to produce to
 * @producer: result
 * @topic: its name
 * @config: settings; NULL for the defaults
 *
 * Return: 0; -EINVAL for impossible settings; -ENOMEM; what open(2) of the
 * topic's devices refused with (-ENOENT no such topic, -EACCES, -EROFS).
 */
int kbroker_producer_open(struct kbroker_producer **producer, const char *topic,
			  const struct kbroker_producer_config *config);

/**
 * kbroker_producer_send() - hand over one record, which is copied
 * @producer: the producer
 * @message: the record; its partition may be chosen by the caller
 * @opaque: comes back in the delivery
 *
 * Waits only while buffer_bytes wait already.
 *
 * Return: 0; -EMSGSIZE if no batch of this topic can hold it; -EINVAL; -ENOMEM;
 * -ERANGE if there is no such partition; -EPIPE after kbroker_producer_close();
 * without a @delivered callback also the error of an earlier record, once.
 */
int kbroker_producer_send(struct kbroker_producer *producer, const struct kbroker_message *message,
			  void *opaque);

/**
 * kbroker_producer_flush() - send what waits, and wait until all of it is delivered
 * @producer: the producer
 * @timeout_ms: -1 without end
 *
 * Return: 0; -ETIMEDOUT; without a @delivered callback also the error of a
 * record since the last call, once.
 */
int kbroker_producer_flush(struct kbroker_producer *producer, int timeout_ms);

/**
 * kbroker_producer_close() - flush, stop the thread, free everything
 *
 * Return: as kbroker_producer_flush(). The producer is gone in any case.
 */
int kbroker_producer_close(struct kbroker_producer *producer);

/** kbroker_producer_partitions() - partitions of the topic */
uint32_t kbroker_producer_partitions(const struct kbroker_producer *producer);

/**
 * struct kbroker_producer_stats - counters since the producer was opened
 * @records: records delivered
 * @batches: batches delivered
 * @bytes: bytes of these batches as written
 * @failed: records whose delivery failed
 * @waiting: records not yet delivered
 */
struct kbroker_producer_stats {
	uint64_t records;
	uint64_t batches;
	uint64_t bytes;
	uint64_t failed;
	uint64_t waiting;
};

/** kbroker_producer_stats() - read the counters */
void kbroker_producer_stats(struct kbroker_producer *producer, struct kbroker_producer_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* _KBROKER_PRODUCER_H */
