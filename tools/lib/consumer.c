// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The consumer: reads batches of the assigned partitions in turn and gives out
 * their records.
 *
 * One buffer serves all partitions: what was read of one is given out before
 * another is read. Devices do not block; an epoll descriptor tells which have
 * something once all of them were found empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <kbroker/batch.h>
#include <kbroker/consumer.h>

#include "base/limits.h"
#include "lib.h"

#define KBL_CONSUMER_EVENTS	64

/**
 * struct kbl_cpartition - a partition of a consumer
 * @fd: its device; -1 if it is not assigned
 * @number: the partition
 * @ready: a read may give something
 * @position: offset that is given out next; of the current partition
 *	kbl_consumer_note() brings it up to date
 */
struct kbl_cpartition {
	int fd;
	u32 number;
	bool ready;
	s64 position;
};

/**
 * struct kbroker_consumer - see <kbroker/consumer.h>
 * @topic: name
 * @mount: where the devices are, or NULL
 * @partitions: the topic's partitions
 * @partitions_count: their number
 * @assigned: how many are assigned
 * @turn: partition whose turn it is
 * @current: partition whose batches are in @buf; NULL if none
 * @reader: walks @buf
 * @buf: what was read
 * @buf_size: bytes of @buf
 * @epoll: tells which devices are readable
 */
struct kbroker_consumer {
	char *topic;
	char *mount;
	struct kbl_cpartition *partitions;
	u32 partitions_count;
	u32 assigned;
	u32 turn;
	struct kbl_cpartition *current;
	struct kbroker_reader *reader;
	u8 *buf;
	size_t buf_size;
	int epoll;
};

static void kbl_consumer_free(struct kbroker_consumer *c)
{
	u32 i;

	for (i = 0; c->partitions && i < c->partitions_count; i++)
		if (c->partitions[i].fd >= 0)
			close(c->partitions[i].fd);
	if (c->epoll >= 0)
		close(c->epoll);
	kbroker_reader_free(c->reader);
	free(c->partitions);
	free(c->buf);
	free(c->topic);
	free(c->mount);
	free(c);
}

static int kbl_consumer_init(struct kbroker_consumer *c, const char *topic,
			     const struct kbroker_consumer_config *config)
{
	struct kbroker_info info;
	int fd, err;
	u32 i;

	c->topic = strdup(topic);
	if (config->mount)
		c->mount = strdup(config->mount);
	c->buf_size = config->read_bytes;
	c->buf = malloc(c->buf_size);
	if (!c->topic || (config->mount && !c->mount) || !c->buf)
		return -ENOMEM;
	err = kbroker_reader_new(&c->reader);
	if (err)
		return err;
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll < 0)
		return -errno;

	fd = kbl_device_open(c->mount, topic, -1, O_RDONLY);
	if (fd < 0)
		return fd;
	err = kbl_device_info(fd, &info);
	close(fd);
	if (err)
		return err;
	c->partitions = calloc(info.partitions, sizeof(*c->partitions));
	if (!c->partitions)
		return -ENOMEM;
	c->partitions_count = info.partitions;
	for (i = 0; i < c->partitions_count; i++) {
		c->partitions[i].fd = -1;
		c->partitions[i].number = i;
	}
	return 0;
}

int kbroker_consumer_open(struct kbroker_consumer **consumer, const char *topic,
			  const struct kbroker_consumer_config *config)
{
	static const struct kbroker_consumer_config defaults = KBROKER_CONSUMER_CONFIG_INIT;
	struct kbroker_consumer *c;
	int err;

	if (!config)
		config = &defaults;
	if (config->size != sizeof(*config) || !config->read_bytes ||
	    config->read_bytes > KBR_BATCH_BYTES_MAX)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->epoll = -1;
	err = kbl_consumer_init(c, topic, config);
	if (err) {
		kbl_consumer_free(c);
		return err;
	}
	*consumer = c;
	return 0;
}

void kbroker_consumer_close(struct kbroker_consumer *c)
{
	if (c)
		kbl_consumer_free(c);
}

uint32_t kbroker_consumer_partitions(const struct kbroker_consumer *c)
{
	return c->partitions_count;
}

int kbroker_consumer_fd(const struct kbroker_consumer *c)
{
	return c->epoll;
}

/* Where the current partition stands is known to the reader until it is asked */
static void kbl_consumer_note(struct kbroker_consumer *c)
{
	if (c->current)
		c->current->position = kbroker_reader_position(c->reader);
}

/* What was read of a partition and not given out is dropped */
static void kbl_consumer_drop(struct kbroker_consumer *c, const struct kbl_cpartition *part)
{
	if (c->current != part)
		return;
	kbroker_reader_set(c->reader, c->buf, 0, 0);
	c->current = NULL;
}

static void kbl_consumer_stop(struct kbroker_consumer *c, struct kbl_cpartition *part)
{
	kbl_consumer_drop(c, part);
	close(part->fd);
	part->fd = -1;
	c->assigned--;
}

static int kbl_consumer_start(struct kbroker_consumer *c, struct kbl_cpartition *part)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = part->number };
	int fd, err;

	if (part->fd >= 0) {
		kbl_consumer_drop(c, part);
		return 0;
	}
	fd = kbl_device_open(c->mount, c->topic, part->number, O_RDONLY);
	if (fd < 0)
		return fd;
	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event)) {
		err = -errno;
		close(fd);
		return err;
	}
	part->fd = fd;
	c->assigned++;
	return 0;
}

static int kbl_consumer_seek(struct kbl_cpartition *part, s64 offset)
{
	off_t reached;

	if (offset == KBROKER_OFFSET_END)
		reached = lseek(part->fd, 0, SEEK_END);
	else
		reached = lseek(part->fd, offset == KBROKER_OFFSET_BEGIN ? 0 : offset, SEEK_SET);
	if (reached < 0)
		return -errno;
	part->position = reached;
	return 0;
}

static int kbl_consumer_seek_time(struct kbl_cpartition *part, s64 timestamp)
{
	struct kbroker_seek_time seek = { .timestamp = timestamp, .partition = -1 };

	if (ioctl(part->fd, KBROKER_IOC_SEEK_TIME, &seek) < 0)
		return -errno;
	part->position = seek.offset;
	return 0;
}

/* Assigns one partition or all of them, at an offset, or at a time if @timed */
static int kbl_consumer_assign(struct kbroker_consumer *c, s32 partition, s64 where, bool timed)
{
	u32 i = partition, end = i + 1;
	int err;

	if (partition == KBROKER_PARTITION_ALL) {
		i = 0;
		end = c->partitions_count;
	} else if (partition < 0 || (u32)partition >= c->partitions_count) {
		return -ERANGE;
	}
	for (; i < end; i++) {
		struct kbl_cpartition *part = &c->partitions[i];

		err = kbl_consumer_start(c, part);
		if (err)
			return err;
		err = timed ? kbl_consumer_seek_time(part, where) : kbl_consumer_seek(part, where);
		if (err) {
			kbl_consumer_stop(c, part);
			return err;
		}
		part->ready = true;
	}
	return 0;
}

int kbroker_consumer_assign(struct kbroker_consumer *c, int32_t partition, int64_t offset)
{
	if (offset < KBROKER_OFFSET_BEGIN)
		return -EINVAL;
	return kbl_consumer_assign(c, partition, offset, false);
}

int kbroker_consumer_assign_time(struct kbroker_consumer *c, int32_t partition, int64_t timestamp)
{
	return kbl_consumer_assign(c, partition, timestamp, true);
}

int kbroker_consumer_unassign(struct kbroker_consumer *c, int32_t partition)
{
	u32 i;

	if (partition == KBROKER_PARTITION_ALL) {
		for (i = 0; i < c->partitions_count; i++)
			if (c->partitions[i].fd >= 0)
				kbl_consumer_stop(c, &c->partitions[i]);
		return 0;
	}
	if (partition < 0 || (u32)partition >= c->partitions_count ||
	    c->partitions[partition].fd < 0)
		return -ERANGE;
	kbl_consumer_stop(c, &c->partitions[partition]);
	return 0;
}

int kbroker_consumer_position(struct kbroker_consumer *c, int32_t partition,
			      struct kbroker_position *position)
{
	int err;

	if (partition < 0 || (u32)partition >= c->partitions_count ||
	    c->partitions[partition].fd < 0)
		return -ERANGE;
	err = kbl_device_position(c->partitions[partition].fd, -1, position);
	if (err)
		return err;
	kbl_consumer_note(c);
	position->partition = partition;
	position->position = c->partitions[partition].position;
	return 0;
}

/* A batch larger than the buffer is next: make room for it */
static int kbl_consumer_grow(struct kbroker_consumer *c, const struct kbl_cpartition *part)
{
	struct kbroker_next next;
	u8 *buf;

	if (ioctl(part->fd, KBROKER_IOC_NEXT, &next) < 0)
		return -errno;
	if (next.partition < 0 || next.size <= c->buf_size)
		return 0;
	if (next.size > KBR_BATCH_BYTES_MAX)
		return -EFBIG;
	/* nothing in the old one is needed: it would have been given out first */
	buf = malloc(next.size);
	if (!buf)
		return -ENOMEM;
	free(c->buf);
	c->buf = buf;
	c->buf_size = next.size;
	return 0;
}

/* Reads of one partition: 1 if there is something, 0 if not, or an error */
static int kbl_consumer_read(struct kbroker_consumer *c, struct kbl_cpartition *part)
{
	ssize_t len = read(part->fd, c->buf, c->buf_size);
	int err;

	if (len > 0) {
		kbroker_reader_set(c->reader, c->buf, len, part->position);
		c->current = part;
		return 1;
	}
	if (!len)
		return -ENODEV;
	switch (errno) {
	case EAGAIN:
		part->ready = false;
		return 0;
	case EINTR:
		return 0;
	case EMSGSIZE:
		err = kbl_consumer_grow(c, part);
		return err == -EMSGSIZE ? -EIO : err;
	default:
		return -errno;
	}
}

/* An error of one partition: says where, and reads it no further unless it can go on */
static int kbl_consumer_error(struct kbroker_consumer *c, struct kbl_cpartition *part,
			      struct kbroker_message *message, int err)
{
	struct kbroker_position position;

	message->partition = part->number;
	message->offset = part->position;
	if (err == -EPIPE && !kbl_device_position(part->fd, -1, &position)) {
		/* retention was faster: what is left begins there */
		part->position = position.position;
		message->offset = position.position;
		return err;
	}
	kbl_consumer_stop(c, part);
	return err;
}

/* Finds a partition that has something: 1, 0 if none has, or an error of one */
static int kbl_consumer_fill(struct kbroker_consumer *c, struct kbroker_message *message)
{
	u32 i;

	for (i = 0; i < c->partitions_count; i++) {
		struct kbl_cpartition *part = &c->partitions[c->turn];
		int ret = 0;

		c->turn = c->turn + 1 == c->partitions_count ? 0 : c->turn + 1;
		/* grown buffers and signals: try again while it may give something */
		while (part->fd >= 0 && part->ready && !ret)
			ret = kbl_consumer_read(c, part);
		if (ret > 0)
			return 1;
		if (ret < 0)
			return kbl_consumer_error(c, part, message, ret);
	}
	return 0;
}

/* Waits until a device has something; 1, 0 at the end of the time, -EINTR */
static int kbl_consumer_wait(struct kbroker_consumer *c, int timeout_ms)
{
	struct epoll_event events[KBL_CONSUMER_EVENTS];
	int count, i;

	count = epoll_wait(c->epoll, events, KBL_CONSUMER_EVENTS, timeout_ms);
	if (count < 0)
		return -errno;
	for (i = 0; i < count; i++)
		c->partitions[events[i].data.u32].ready = true;
	return count > 0;
}

static inline int kbl_consumer_next(struct kbroker_consumer *c, struct kbroker_message *message)
{
	message->partition = c->current->number;
	return kbroker_reader_next(c->reader, message);
}

/* What was loaded holds no further record, or (@ret) a bad one; nothing is loaded at first. */
static noinline int kbl_consumer_poll_more(struct kbroker_consumer *c,
					   struct kbroker_message *message, int timeout_ms, int ret)
{
	s64 end = -1;
	int left = -1;

	for (;;) {
		if (c->current) {
			kbl_consumer_note(c);
			if (ret < 0)
				return kbl_consumer_error(c, c->current, message, ret);
			kbl_consumer_drop(c, c->current);
		}
		message->partition = -1;
		if (!c->assigned)
			return -EINVAL;
		ret = kbl_consumer_fill(c, message);
		if (ret < 0)
			return ret;
		if (ret) {
			ret = kbl_consumer_next(c, message);
			if (ret > 0)
				return 1;
			continue;
		}

		/* a device may say that it is readable and have nothing after all */
		if (!left)
			return 0;
		if (timeout_ms >= 0) {
			s64 now = kbl_monotonic_ms();

			if (end < 0)
				end = now + timeout_ms;
			left = end > now ? (int)(end - now) : 0;
		}
		ret = kbl_consumer_wait(c, left);
		if (ret <= 0)
			return ret;
	}
}

int kbroker_consumer_poll(struct kbroker_consumer *c, struct kbroker_message *message, int timeout_ms)
{
	int ret = 0;

	if (likely(c->current)) {
		ret = kbl_consumer_next(c, message);
		if (likely(ret > 0))
			return 1;
	}
	return kbl_consumer_poll_more(c, message, timeout_ms, ret);
}
