/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A topic's devices in memory, for libkbroker's producer and consumer: the
 * linker puts these in the place of open(), read(), write(), ioctl(), ...
 * for paths below FAKE_MOUNT. They keep what Documentation/ABI/testing promises
 * of the batch format.
 */
#ifndef _KBR_UNIT_FAKE_DEVICE_H
#define _KBR_UNIT_FAKE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_MOUNT	"/fake-kbroker"
#define FAKE_TOPIC	"orders"

/**
 * struct fake_settings - how the devices behave; set by fake_reset()
 * @partitions: partitions of the topic
 * @batch_bytes_max: max.message.bytes
 * @commit_on_sync: records are committed by fsync(), not by write()
 * @async: nothing is ever synced, yet everything is committed
 * @write_error: errno that the next write fails with, once
 * @write_error_after: so many writes succeed before that
 * @write_again: so many writes are EAGAIN first
 * @sync_error: errno that the next fsync() fails with, once
 * @overtaken: the next read is EPIPE, and begins at @log_start
 * @log_start: where it begins then
 * @gone: the topic was deleted
 */
struct fake_settings {
	uint32_t partitions;
	uint64_t batch_bytes_max;
	bool commit_on_sync;
	bool async;
	int write_error;
	int write_error_after;
	int write_again;
	int sync_error;
	bool overtaken;
	int64_t log_start;
	bool gone;
};

extern struct fake_settings fake;

/* Empties everything and sets the defaults */
void fake_reset(uint32_t partitions);

/* what was done to the devices since then */
struct fake_counts {
	unsigned int writes;
	unsigned int syncs;
	unsigned int reads;
	unsigned int open;
};

extern struct fake_counts fake_counts;

/* The log of a partition: its bytes */
const uint8_t *fake_log(uint32_t partition, size_t *len);
/* Sets fake.write_again while devices are in use */
void fake_set_write_again(int times);
/* Flips a bit in it */
void fake_damage(uint32_t partition, size_t at);

#endif /* _KBR_UNIT_FAKE_DEVICE_H */
