/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libkbroker: what its files share.
 */
#ifndef _KB_LIB_LIB_H
#define _KB_LIB_LIB_H

#include <time.h>
#include <linux/kbroker.h>
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

/** kbl_message_to_record() - what the codec calls a message; -EINVAL for impossible lengths */
int kbl_message_to_record(const struct kbroker_message *message, struct kbr_record *rec);

/** kbl_batch_add_record() - kbroker_batch_add() of a converted message */
int kbl_batch_add_record(struct kbroker_batch *batch, const struct kbr_record *rec);

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
