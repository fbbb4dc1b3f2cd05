// SPDX-License-Identifier: GPL-2.0-only
/*
 * See fake_device.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kbroker.h>
#include <linux/limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "codec/batch.h"
#include "fake_device.h"
#include "tap.h"
#include "unit.h"

#define FAKE_PARTITIONS	16
#define FAKE_FDS	1024

struct fake_partition {
	uint8_t *log;
	size_t len;
	int64_t log_end;
	int64_t high_watermark;
};

struct fake_open {
	bool used;
	int partition;		/* -1: all */
	int format;
	int64_t position;
	struct kbroker_result result;
};

struct fake_settings fake;
struct fake_counts fake_counts;
static struct fake_partition fake_partitions[FAKE_PARTITIONS];
static struct fake_open fake_opens[FAKE_FDS];
static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;

int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __real_write(int fd, const void *buf, size_t len);
int __real_ioctl(int fd, unsigned long cmd, ...);
off_t __real_lseek(int fd, off_t offset, int whence);
int __real_fsync(int fd);
int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
int __wrap_ioctl(int fd, unsigned long cmd, ...);
off_t __wrap_lseek(int fd, off_t offset, int whence);
int __wrap_fsync(int fd);

void fake_reset(uint32_t partitions)
{
	int i;

	for (i = 0; i < FAKE_PARTITIONS; i++)
		free(fake_partitions[i].log);
	memset(fake_partitions, 0, sizeof(fake_partitions));
	memset(&fake_counts, 0, sizeof(fake_counts));
	fake = (struct fake_settings){ .partitions = partitions, .batch_bytes_max = 1048588 };
}

const uint8_t *fake_log(uint32_t partition, size_t *len)
{
	*len = fake_partitions[partition].len;
	return fake_partitions[partition].log;
}

void fake_set_write_again(int times)
{
	pthread_mutex_lock(&fake_lock);
	fake.write_again = times;
	pthread_mutex_unlock(&fake_lock);
}

void fake_damage(uint32_t partition, size_t at)
{
	fake_partitions[partition].log[at] ^= 1;
}

static struct fake_open *fake_find(int fd)
{
	return fd >= 0 && fd < FAKE_FDS && fake_opens[fd].used ? &fake_opens[fd] : NULL;
}

static int fake_fail(int err)
{
	errno = err;
	return -1;
}

int __wrap_open(const char *path, int flags, ...)
{
	static const char prefix[] = FAKE_MOUNT "/" FAKE_TOPIC "/";
	int fd, partition = -1;
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (strncmp(path, FAKE_MOUNT, strlen(FAKE_MOUNT)))
		return __real_open(path, flags, mode);
	if (strncmp(path, prefix, sizeof(prefix) - 1))
		return fake_fail(ENOENT);
	path += sizeof(prefix) - 1;
	if (strcmp(path, "all"))
		partition = atoi(path);
	if (partition >= (int)fake.partitions)
		return fake_fail(ENOENT);
	expect(flags & O_NONBLOCK && flags & O_CLOEXEC);
	/* always readable: whoever waits for it then finds out by reading */
	fd = eventfd(1, EFD_CLOEXEC);
	if (fd < 0 || fd >= FAKE_FDS)
		return fake_fail(EMFILE);
	pthread_mutex_lock(&fake_lock);
	fake_opens[fd] = (struct fake_open){ .used = true, .partition = partition,
					     .result.partition = -1 };
	fake_counts.open++;
	pthread_mutex_unlock(&fake_lock);
	return fd;
}

int __wrap_close(int fd)
{
	pthread_mutex_lock(&fake_lock);
	if (fake_find(fd)) {
		fake_opens[fd].used = false;
		fake_counts.open--;
	}
	pthread_mutex_unlock(&fake_lock);
	return __real_close(fd);
}

static ssize_t fake_append(struct fake_open *o, const void *buf, size_t len)
{
	struct fake_partition *p = &fake_partitions[o->partition];
	struct kbr_batch_rules rules = unit_rules;
	struct kbr_batch_verdict verdict;

	rules.batch_bytes_max = fake.batch_bytes_max;
	rules.before_max_ms = S64_MAX;
	rules.after_max_ms = S64_MAX;
	if (kbr_batch_validate(buf, len, &rules, &verdict) || verdict.batch.size != len)
		return fake_fail(EBADMSG);
	p->log = realloc(p->log, p->len + len);
	memcpy(p->log + p->len, buf, len);
	kbr_batch_stamp(p->log + p->len, p->log_end, 3);
	p->len += len;
	o->result = (struct kbroker_result){ .partition = o->partition,
		.records = verdict.batch.records_count, .base_offset = p->log_end,
		.log_append_time = -1 };
	p->log_end += verdict.batch.records_count;
	if (!fake.commit_on_sync)
		p->high_watermark = p->log_end;
	return len;
}

ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	struct fake_open *o;
	ssize_t ret;

	pthread_mutex_lock(&fake_lock);
	o = fake_find(fd);
	if (!o) {
		pthread_mutex_unlock(&fake_lock);
		return __real_write(fd, buf, len);
	}
	fake_counts.writes++;
	if (fake.write_again) {
		fake.write_again--;
		ret = fake_fail(EAGAIN);
	} else if (fake.write_error && !fake.write_error_after--) {
		fake.write_error_after = 0;
		ret = fake_fail(fake.write_error);
		fake.write_error = 0;
	} else {
		expect_eq(o->format, KBROKER_FORMAT_BATCH);
		ret = fake_append(o, buf, len);
	}
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

int __wrap_fsync(int fd)
{
	struct fake_open *o;
	int ret = 0;

	pthread_mutex_lock(&fake_lock);
	o = fake_find(fd);
	if (!o) {
		pthread_mutex_unlock(&fake_lock);
		return __real_fsync(fd);
	}
	fake_counts.syncs++;
	if (fake.sync_error) {
		ret = fake_fail(fake.sync_error);
		fake.sync_error = 0;
	} else {
		fake_partitions[o->partition].high_watermark = fake_partitions[o->partition].log_end;
	}
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

/* The batch that holds the position, and its place in the log; false at the end */
static bool fake_at(const struct fake_open *o, size_t *at, struct kbr_batch *batch)
{
	const struct fake_partition *p = &fake_partitions[o->partition];

	for (*at = 0; *at < p->len; *at += batch->size) {
		kbr_batch_decode(batch, p->log + *at, p->len - *at);
		if (kbr_batch_last_offset(batch) >= o->position)
			return batch->base_offset < p->high_watermark;
	}
	return false;
}

static ssize_t fake_read(struct fake_open *o, void *buf, size_t len)
{
	struct kbr_batch batch;
	size_t at, done = 0;

	fake_counts.reads++;
	if (fake.gone)
		return 0;
	if (fake.overtaken) {
		fake.overtaken = false;
		o->position = fake.log_start;
		return fake_fail(EPIPE);
	}
	while (fake_at(o, &at, &batch)) {
		if (batch.size > len - done)
			return done ? (ssize_t)done : fake_fail(EMSGSIZE);
		memcpy((char *)buf + done, fake_partitions[o->partition].log + at, batch.size);
		done += batch.size;
		o->position = kbr_batch_last_offset(&batch) + 1;
	}
	return done ? (ssize_t)done : fake_fail(EAGAIN);
}

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
	struct fake_open *o;
	ssize_t ret;

	pthread_mutex_lock(&fake_lock);
	o = fake_find(fd);
	if (!o) {
		pthread_mutex_unlock(&fake_lock);
		return __real_read(fd, buf, len);
	}
	ret = fake_read(o, buf, len);
	pthread_mutex_unlock(&fake_lock);
	return ret;
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
	struct fake_open *o;
	int64_t end;

	pthread_mutex_lock(&fake_lock);
	o = fake_find(fd);
	if (!o) {
		pthread_mutex_unlock(&fake_lock);
		return __real_lseek(fd, offset, whence);
	}
	end = fake_partitions[o->partition].high_watermark;
	o->position = whence == SEEK_END || offset > end ? end : offset;
	if (o->position < fake.log_start)
		o->position = fake.log_start;
	offset = o->position;
	pthread_mutex_unlock(&fake_lock);
	return offset;
}

static void fake_seek_time(struct fake_open *o, struct kbroker_seek_time *seek)
{
	struct kbr_batch batch;
	size_t at;

	/* as exact as one record a batch needs */
	for (o->position = 0; fake_at(o, &at, &batch); o->position++)
		if (batch.max_timestamp >= seek->timestamp)
			break;
	seek->offset = o->position;
}

static int fake_ioctl(struct fake_open *o, unsigned long cmd, void *arg)
{
	struct fake_partition *p = &fake_partitions[o->partition < 0 ? 0 : o->partition];
	struct kbroker_position *position = arg;
	struct kbroker_info *info = arg;
	struct kbroker_next *next = arg;
	struct kbr_batch batch;
	size_t at;

	switch (cmd) {
	case KBROKER_IOC_SET_FORMAT:
		o->format = *(__u32 *)arg;
		return 0;
	case KBROKER_IOC_SET_ACKS:
		return 0;
	case KBROKER_IOC_GET_INFO:
		expect_eq(info->size, sizeof(*info));
		info->partitions = fake.partitions;
		info->batch_bytes_max = fake.batch_bytes_max;
		return sizeof(*info);
	case KBROKER_IOC_GET_POSITION:
		position->partition = o->partition;
		position->position = o->position;
		position->log_start = fake.log_start;
		position->log_end = p->log_end;
		position->high_watermark = p->high_watermark;
		position->synced_end = fake.async ? 0 : p->high_watermark;
		return 0;
	case KBROKER_IOC_SEEK_TIME:
		fake_seek_time(o, arg);
		return 0;
	case KBROKER_IOC_NEXT:
		next->partition = fake_at(o, &at, &batch) ? o->partition : -1;
		next->size = next->partition < 0 ? 0 : batch.size;
		return 0;
	case KBROKER_IOC_LAST_WRITE:
		*(struct kbroker_result *)arg = o->result;
		return 0;
	default:
		return fake_fail(ENOTTY);
	}
}

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	struct fake_open *o;
	va_list args;
	void *arg;
	int ret;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	pthread_mutex_lock(&fake_lock);
	o = fake_find(fd);
	if (!o) {
		pthread_mutex_unlock(&fake_lock);
		return __real_ioctl(fd, cmd, arg);
	}
	ret = fake_ioctl(o, cmd, arg);
	pthread_mutex_unlock(&fake_lock);
	return ret;
}
