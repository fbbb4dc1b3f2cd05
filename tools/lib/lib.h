/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libkbroker: what its files share.
 */
#ifndef _KB_LIB_LIB_H
#define _KB_LIB_LIB_H

#include <time.h>
#include <linux/kbroker.h>
#include <linux/limits.h>
#include <linux/types.h>

#include <kbroker/batch.h>

#include "codec/record.h"

/* the wall clock, ms since the epoch */
static inline s64 kbl_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (s64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* a clock that nobody sets, ms */
static inline s64 kbl_monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (s64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* the wall clock as of the last tick: cheap, some ms behind */
static inline s64 kbl_tick_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (s64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/**
 * struct kbroker_batch - a batch being built
 * @builder: the uncompressed batch
 * @buf: its memory
 * @size: bytes of @buf
 * @codec: enum kbroker_codec
 * @packer: compression; NULL for none
 * @packed: memory of the compressed batch, allocated when it is first needed
 */
struct kbroker_batch {
	struct kbr_batch_builder builder;
	u8 *buf;
	size_t size;
	int codec;
	struct kbl_packer *packer;
	u8 *packed;
};

/* What the codec calls a message, but for its time; false for impossible lengths */
static inline bool kbl_message_to_record(const struct kbroker_message *message,
					 struct kbr_record *rec)
{
	/* narrower fields below; the builder judges the rest */
	if (unlikely((message->key_len | message->value_len | message->headers_len) > S32_MAX))
		return false;
	rec->key = message->key;
	rec->value = message->value;
	rec->headers = message->headers;
	rec->key_len = (u32)message->key_len;
	rec->value_len = (u32)message->value_len;
	rec->headers_len = (u32)message->headers_len;
	rec->headers_count = message->headers_count;
	return true;
}

/**
 * kbl_device_open() - open a node of a topic in batch format, not blocking
 * @mount: where the devices are; NULL for the default
 * @topic: the topic
 * @partition: a partition, or -1 for "all"
 * @flags: O_RDONLY or O_WRONLY
 *
 * Return: a descriptor; -EINVAL for a name that can't be a topic's; what open(2)
 * or the device refused with.
 */
int kbl_device_open(const char *mount, const char *topic, int partition, int flags);

/** kbl_device_info() - KBROKER_IOC_GET_INFO; 0 or a negative errno */
int kbl_device_info(int fd, struct kbroker_info *info);

/** kbl_device_position() - KBROKER_IOC_GET_POSITION; 0 or a negative errno */
int kbl_device_position(int fd, int partition, struct kbroker_position *position);

#endif /* _KB_LIB_LIB_H */
