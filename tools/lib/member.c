// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A member of a consumer group: one record a read, so that each counts by itself
 * and says where it comes from.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <kbroker/member.h>

#include "base/limits.h"
#include "lib.h"

#define KBL_MEMBER_BUF	65536

/**
 * struct kbroker_member - see <kbroker/member.h>
 * @fd: the open device
 * @buf: the record that was read
 * @size: bytes of @buf
 * @headers: its headers, as messages have them
 * @headers_size: bytes of @headers
 */
struct kbroker_member {
	int fd;
	u8 *buf;
	size_t size;
	u8 *headers;
	size_t headers_size;
};

/* Room for @size bytes; what was in it is lost */
static int kbl_member_reserve(u8 **buf, size_t *have, size_t size)
{
	u8 *fresh;

	if (*have >= size)
		return 0;
	fresh = malloc(size);
	if (!fresh)
		return -ENOMEM;
	free(*buf);
	*buf = fresh;
	*have = size;
	return 0;
}

static int kbl_member_join(struct kbroker_member *m, const char *topic, const char *group,
			   const struct kbroker_member_config *config)
{
	struct kbroker_group join = { .name = (uintptr_t)group, .len = strlen(group) };
	__u32 format = KBROKER_FORMAT_RECORD;
	__u64 ms = config->max_poll_ms;

	m->fd = kbl_device_open(config->mount, topic, -1, O_RDONLY);
	if (m->fd < 0)
		return m->fd;
	if (ioctl(m->fd, KBROKER_IOC_JOIN_GROUP, &join) ||
	    ioctl(m->fd, KBROKER_IOC_SET_FORMAT, &format) ||
	    (ms && ioctl(m->fd, KBROKER_IOC_SET_MAX_POLL, &ms)))
		return -errno;
	return kbl_member_reserve(&m->buf, &m->size, KBL_MEMBER_BUF);
}

int kbroker_member_open(struct kbroker_member **member, const char *topic, const char *group,
			const struct kbroker_member_config *config)
{
	static const struct kbroker_member_config defaults = KBROKER_MEMBER_CONFIG_INIT;
	struct kbroker_member *m;
	int err;

	if (!config)
		config = &defaults;
	if (config->size != sizeof(*config))
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	err = kbl_member_join(m, topic, group, config);
	if (err) {
		kbroker_member_close(m);
		return err;
	}
	*member = m;
	return 0;
}

void kbroker_member_close(struct kbroker_member *m)
{
	if (!m)
		return;
	if (m->fd >= 0)
		close(m->fd);
	free(m->buf);
	free(m->headers);
	free(m);
}

int kbroker_member_fd(const struct kbroker_member *m)
{
	return m->fd;
}

int kbroker_member_commit(struct kbroker_member *m)
{
	return ioctl(m->fd, KBROKER_IOC_COMMIT) ? -errno : 0;
}

/* A record larger than the buffer is next: make room for it */
static int kbl_member_grow(struct kbroker_member *m)
{
	struct kbroker_next next;

	if (ioctl(m->fd, KBROKER_IOC_NEXT, &next))
		return -errno;
	/* it may have gone to another member meanwhile */
	if (next.partition < 0)
		return 0;
	return kbl_member_reserve(&m->buf, &m->size, next.size);
}

/* The device's headers at @at as messages have them: shorter, since lengths are packed */
static int kbl_member_headers(struct kbroker_member *m, const struct kbroker_record *rec, const u8 *at,
			      struct kbroker_message *message)
{
	const u8 *end = at + rec->headers_len;
	struct kbroker_message_header header;
	struct kbroker_header user;
	size_t len = 0;
	ssize_t ret;
	u32 i;

	ret = kbl_member_reserve(&m->headers, &m->headers_size, (size_t)rec->headers_len + 1);
	if (ret)
		return ret;
	for (i = 0; i < rec->headers_count; i++) {
		if (end - at < (ptrdiff_t)sizeof(user))
			return -EIO;
		memcpy(&user, at, sizeof(user));
		at += sizeof(user);
		header.key = (const char *)at;
		header.key_len = user.key_len;
		header.value = user.value_len < 0 ? NULL : at + user.key_len;
		header.value_len = user.value_len < 0 ? 0 : user.value_len;
		if (header.key_len + header.value_len > (size_t)(end - at))
			return -EIO;
		at += header.key_len + header.value_len;
		ret = kbroker_header_encode(m->headers + len, m->headers_size - len, &header);
		if (ret < 0)
			return ret;
		len += ret;
	}
	message->headers = m->headers;
	message->headers_len = len;
	message->headers_count = rec->headers_count;
	return 0;
}

static int kbl_member_fill(struct kbroker_member *m, size_t len, struct kbroker_message *message)
{
	struct kbroker_record rec;
	const u8 *at = m->buf + sizeof(rec);

	if (len < sizeof(rec))
		return -EIO;
	memcpy(&rec, m->buf, sizeof(rec));
	if (rec.size != len ||
	    sizeof(rec) + (u64)rec.key_len + rec.value_len + rec.headers_len != len)
		return -EIO;
	*message = (struct kbroker_message) {
		.key = rec.flags & KBROKER_RECORD_NULL_KEY ? NULL : at,
		.key_len = rec.key_len,
		.value = rec.flags & KBROKER_RECORD_NULL_VALUE ? NULL : at + rec.key_len,
		.value_len = rec.value_len,
		.partition = rec.partition,
		.offset = rec.offset,
		.timestamp = rec.timestamp,
		.leader_epoch = rec.leader_epoch,
	};
	return kbl_member_headers(m, &rec, at + rec.key_len + rec.value_len, message);
}

/* 1, 0 nothing there, or an error */
static int kbl_member_read(struct kbroker_member *m, struct kbroker_message *message)
{
	ssize_t len;
	int err;

	for (;;) {
		len = read(m->fd, m->buf, m->size);
		if (len > 0) {
			err = kbl_member_fill(m, len, message);
			return err ? err : 1;
		}
		if (!len)
			return -ENODEV;
		if (errno == EAGAIN)
			return 0;
		if (errno != EMSGSIZE)
			return -errno;
		err = kbl_member_grow(m);
		if (err)
			return err;
	}
}

int kbroker_member_poll(struct kbroker_member *m, struct kbroker_message *message, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = m->fd, .events = POLLIN };
	s64 end = timeout_ms > 0 ? kbl_monotonic_ms() + timeout_ms : 0;
	int left = timeout_ms, ret;

	for (;;) {
		ret = kbl_member_read(m, message);
		if (ret || !left)
			return ret;
		ret = poll(&poll_fd, 1, left);
		if (ret < 0)
			return -errno;
		if (timeout_ms > 0) {
			s64 now = kbl_monotonic_ms();

			left = end > now ? (int)(end - now) : 0;
		}
	}
}
