// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices' ioctls: format, acks, positions, times, what is next, groups. All
 * structs have the same layout for 32-bit programs, which needs 64-bit members
 * at multiples of eight bytes.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "broker/replica.h"
#include "chardev/open.h"

/* What a caller must have room for: everything before batch_bytes_max */
#define KBR_INFO_SIZE_MIN	24u

static const u64 kbr_ioctl_features =
	KBROKER_FEATURE_LINES | KBROKER_FEATURE_RECORD | KBROKER_FEATURE_BATCH |
	KBROKER_FEATURE_GZIP | KBROKER_FEATURE_SNAPPY | KBROKER_FEATURE_LZ4 |
	KBROKER_FEATURE_ZSTD | KBROKER_FEATURE_GROUP;

/* Index of partition @partition in what this open has, or -EINVAL. */
static int kbr_ioctl_index(struct kbr_open *open, s32 partition)
{
	if (open->part)
		return partition == -1 || partition == (s32)open->part->index ? 0 : -EINVAL;
	if (partition < 0 || partition >= kbr_topic_partitions(kbr_open_topic(open)))
		return -EINVAL;
	return partition;
}

static long kbr_ioctl_set_format(struct kbr_open *open, u32 format)
{
	struct kbr_reader *reader = &open->reader;
	struct kbr_writer *writer = &open->writer;
	long ret = 0;

	if (format > KBROKER_FORMAT_BATCH)
		return -EINVAL;
	if (mutex_lock_interruptible(&reader->lock))
		return -ERESTARTSYS;
	if (mutex_lock_interruptible(&writer->lock)) {
		ret = -ERESTARTSYS;
		goto out_reader;
	}
	kbr_lines_forget_killed(writer);
	if (format == open->handle.format)
		goto out_writer;
	if (writer->pending) {
		ret = -EBUSY;
		goto out_writer;
	}
	if (kbr_reader_cursors(open))
		kbr_reader_drop(open);
	/* A line that was begun does not keep its partition any more. */
	if (kbr_open_group(open) && !kbr_member_enter(open, KBR_SHARE_LOOK))
		kbr_member_exit(open);
	WRITE_ONCE(open->handle.format, format);
out_writer:
	mutex_unlock(&writer->lock);
out_reader:
	mutex_unlock(&reader->lock);
	return ret;
}

static long kbr_ioctl_set_acks(struct kbr_open *open, s32 acks)
{
	if (acks < KBR_ACKS_ALL || acks > KBR_ACKS_LEADER)
		return -EINVAL;
	if (mutex_lock_interruptible(&open->writer.lock))
		return -ERESTARTSYS;
	WRITE_ONCE(open->writer.acks, acks);
	mutex_unlock(&open->writer.lock);
	return 0;
}

static long kbr_ioctl_set_target(struct kbr_open *open, void __user *arg)
{
	struct kbroker_target target;

	if (open->part)
		return -ENOTTY;
	if (copy_from_user(&target, arg, sizeof(target)))
		return -EFAULT;
	if (target.flags || target.partition < -1 ||
	    (target.partition >= 0 && kbr_ioctl_index(open, target.partition) < 0))
		return -EINVAL;
	if (mutex_lock_interruptible(&open->writer.lock))
		return -ERESTARTSYS;
	open->writer.target = target.partition;
	mutex_unlock(&open->writer.lock);
	return 0;
}

static long kbr_ioctl_get_info(struct kbr_open *open, void __user *arg)
{
	struct kbr_topic *topic = kbr_open_topic(open);
	struct kbroker_info info = {
		.format = READ_ONCE(open->handle.format),
		.partition = open->handle.partition,
		.partitions = kbr_topic_partitions(topic),
		.acks = READ_ONCE(open->writer.acks),
		.batch_bytes_max = kbr_writer_batch_max(open),
		.lost = READ_ONCE(open->handle.lost),
		.features = kbr_ioctl_features,
	};
	u32 size;

	if (get_user(size, (u32 __user *)arg))
		return -EFAULT;
	if (size < KBR_INFO_SIZE_MIN)
		return -EINVAL;
	info.size = min_t(u32, size, sizeof(info));
	memcpy(info.topic_id, topic->id, sizeof(info.topic_id));
	return copy_to_user(arg, &info, info.size) ? -EFAULT : 0;
}

/* Of a partition that is read at its leader: one that has not begun stands at the log start. */
static s64 kbr_ioctl_far_position(struct kbr_open *open, unsigned int index,
				  const struct kbr_remote_bounds *bounds)
{
	s64 position = kbr_reader_cursors(open)->positions[index];

	return position < 0 ? bounds->start : position;
}

static long kbr_ioctl_get_position(struct kbr_open *open, void __user *arg)
{
	struct kbr_open_group *group = kbr_open_group(open);
	struct kbr_remote_bounds bounds = { };
	struct kbroker_position pos;
	struct kbr_partition *part;
	int index, err;
	bool far;

	if (copy_from_user(&pos, arg, sizeof(pos)))
		return -EFAULT;
	index = kbr_ioctl_index(open, pos.partition);
	if (index < 0)
		return index;
	part = kbr_open_partition(open, index);
	far = kbr_replica_is_elsewhere(part);
	if (far) {
		err = kbr_reader_get_bounds(part, &bounds);
		if (err)
			return err;
	}
	if (mutex_lock_interruptible(&open->reader.lock))
		return -ERESTARTSYS;
	err = kbr_reader_grow(open);
	pos = (struct kbroker_position) {
		.partition = part->index,
		.leader_epoch = kbr_partition_leader_epoch(part),
	};
	if (!err)
		pos.position = group ? kbr_share_counted(group->member.share, index) :
				       kbr_reader_position(open, index);
	if (far && !err && !group)
		pos.position = kbr_ioctl_far_position(open, index, &bounds);
	mutex_unlock(&open->reader.lock);
	if (err)
		return err;
	if (mutex_lock_interruptible(&open->writer.lock))
		return -ERESTARTSYS;
	pos.written_end = kbr_writer_end(open, index);
	mutex_unlock(&open->writer.lock);
	if (far) {
		/* What lies above is the leader's secret. */
		pos.log_start = bounds.start;
		pos.high_watermark = bounds.hw;
		pos.synced_end = bounds.hw;
		pos.log_end = bounds.hw;
		return copy_to_user(arg, &pos, sizeof(pos)) ? -EFAULT : 0;
	}
	/* In this order, so that none is beyond the next one. */
	pos.log_start = kbr_log_start(&part->log);
	pos.high_watermark = kbr_partition_hw(part);
	pos.synced_end = kbr_log_synced(&part->log);
	pos.log_end = kbr_log_end(&part->log);
	return copy_to_user(arg, &pos, sizeof(pos)) ? -EFAULT : 0;
}

/* P6 for one partition: where it leads. */
static int kbr_ioctl_find_time(struct kbr_open *open, unsigned int index, s64 timestamp,
			       s64 *offset, s64 *found)
{
	struct kbr_partition *part = kbr_open_partition(open, index);
	struct kbr_remote_bounds bounds;
	int err;

	if (unlikely(kbr_replica_is_elsewhere(part)))
		err = kbr_remote_find_time(part, max(timestamp, 0LL), offset, found);
	else
		err = kbr_partition_find_time(part, timestamp, offset, found);
	if (!err && *offset < 0) {
		err = kbr_reader_get_bounds(part, &bounds);
		*offset = bounds.hw;
		*found = -1;
	}
	return err == -EINTR ? -ERESTARTSYS : err;
}

/* A5: all partitions. */
static int kbr_ioctl_seek_time_all(struct kbr_open *open, s64 timestamp)
{
	unsigned int i, count = kbr_reader_cursors(open)->count;
	s64 offset, found;
	int err;

	for (i = 0; i < count; i++) {
		if (signal_pending(current))
			return -ERESTARTSYS;
		err = kbr_ioctl_find_time(open, i, timestamp, &offset, &found);
		if (err)
			return err;
		kbr_reader_seek(open, i, offset);
	}
	return 0;
}

static long kbr_ioctl_seek_time(struct kbr_open *open, void __user *arg)
{
	struct kbroker_seek_time seek;
	int index = 0, err;
	bool all;

	if (kbr_open_group(open))
		return -ESPIPE;
	if (copy_from_user(&seek, arg, sizeof(seek)))
		return -EFAULT;
	if (seek.flags)
		return -EINVAL;
	all = !open->part && seek.partition == -1;
	if (!all) {
		index = kbr_ioctl_index(open, seek.partition);
		if (index < 0)
			return index;
	}
	seek.offset = 0;
	seek.found = -1;
	if (mutex_lock_interruptible(&open->reader.lock))
		return -ERESTARTSYS;
	/* it may have joined meanwhile */
	err = kbr_open_group(open) ? -ESPIPE : kbr_reader_grow(open);
	if (!err && !all)
		err = kbr_ioctl_find_time(open, index, seek.timestamp, &seek.offset, &seek.found);
	/* F5: before it moves */
	if (!err && copy_to_user(arg, &seek, sizeof(seek)))
		err = -EFAULT;
	if (!err && all)
		err = kbr_ioctl_seek_time_all(open, seek.timestamp);
	else if (!err)
		kbr_reader_seek(open, index, seek.offset);
	mutex_unlock(&open->reader.lock);
	return err;
}

static int kbr_ioctl_next_record(struct kbr_open *open, struct kbroker_next *next)
{
	struct kbr_reader *reader = &open->reader;
	u32 headers_len;
	size_t size;
	int ret;

	ret = kbr_reader_next(open);
	if (ret <= 0)
		return ret;
	if (open->handle.format == KBROKER_FORMAT_RECORD) {
		ret = kbr_record_user_size(&reader->rec, &size, &headers_len);
		if (ret)
			return ret;
	} else {
		size = (size_t)reader->rec.value_len + 1 - reader->done;
	}
	next->partition = reader->part->index;
	next->offset = reader->rec.offset;
	next->size = size;
	return 0;
}

static int kbr_ioctl_find_next(struct kbr_open *open, struct kbroker_next *next)
{
	bool overtaken = open->reader.overtaken;
	int err = 0;

	while (!kbr_topic_gone(kbr_open_topic(open))) {
		if (open->handle.format == KBROKER_FORMAT_BATCH)
			err = kbr_batch_next(open, next);
		else
			err = kbr_ioctl_next_record(open, next);
		if (err != -EPIPE)
			break;
		overtaken = true;	/* P9: it is read() that says so */
		err = 0;
	}
	open->reader.overtaken = overtaken;
	return err;
}

static long kbr_ioctl_next(struct kbr_open *open, void __user *arg)
{
	struct kbroker_next next = { .partition = -1 };
	int err = 0;

	if (mutex_lock_interruptible(&open->reader.lock))
		return -ERESTARTSYS;
	if (kbr_open_group(open))
		err = kbr_member_enter(open, KBR_SHARE_LOOK);
	if (!err) {
		err = kbr_ioctl_find_next(open, &next);
		if (kbr_open_group(open))
			kbr_member_exit(open);
	}
	mutex_unlock(&open->reader.lock);
	if (err == -ENODATA)
		err = 0;
	if (err)
		return err;
	return copy_to_user(arg, &next, sizeof(next)) ? -EFAULT : 0;
}

static long kbr_ioctl_last_write(struct kbr_open *open, void __user *arg)
{
	struct kbroker_result result;

	if (mutex_lock_interruptible(&open->writer.lock))
		return -ERESTARTSYS;
	result = open->writer.last;
	if (open->writer.last_forwarded &&
	    kbr_forwarded_fate(open->writer.last_forwarded) > 0) {
		result.base_offset = open->writer.last_forwarded->base_offset;
		result.log_append_time = open->writer.last_forwarded->log_append_time;
	}
	mutex_unlock(&open->writer.lock);
	return copy_to_user(arg, &result, sizeof(result)) ? -EFAULT : 0;
}

/* G2: by a name that no path can hold, too */
static long kbr_ioctl_join_group(struct file *file, void __user *arg)
{
	struct kbr_open *open = file->private_data;
	struct kbroker_group group;
	struct kbr_str name;
	long ret;

	if (open->part)
		return -ENOTTY;
	if (copy_from_user(&group, arg, sizeof(group)))
		return -EFAULT;
	if (group.flags || !group.len || group.len > KBR_GROUP_NAME_MAX)
		return -EINVAL;
	if (file->f_mode & FMODE_WRITE)
		return -EROFS;
	if (rcu_access_pointer(open->reader.cursors))
		return -EBUSY;
	name.at = memdup_user(u64_to_user_ptr(group.name), group.len);
	if (IS_ERR(name.at))
		return PTR_ERR(name.at);
	name.len = group.len;
	ret = kbr_member_join(open, NULL, &name);
	kfree(name.at);
	return ret;
}

static long kbr_ioctl_set_max_poll(struct kbr_open_group *group, void __user *arg)
{
	u64 ms;

	if (get_user(ms, (u64 __user *)arg))
		return -EFAULT;
	if (ms > INT_MAX)
		return -EINVAL;
	kbr_share_set_poll(&group->member, ms);
	return 0;
}

static long kbr_ioctl_get_share(struct kbr_open_group *group, void __user *arg)
{
	struct kbr_share_info info;
	struct kbroker_share share;
	u32 *list = NULL;
	long ret = 0;

	if (copy_from_user(&share, arg, sizeof(share)))
		return -EFAULT;
	if (share.flags)
		return -EINVAL;
	share.room = min_t(u32, share.room, KBR_TOPIC_PARTITIONS_MAX);
	if (share.room) {
		list = kvmalloc_array(share.room, sizeof(*list), GFP_KERNEL_ACCOUNT);
		if (!list)
			return -ENOMEM;
	}
	kbr_share_describe(&group->member, list, share.room, &info);
	share.count = info.count;
	share.members = info.members;
	share.generation = info.generation;
	if (copy_to_user(u64_to_user_ptr(share.partitions), list,
			 min(share.room, share.count) * sizeof(*list)) ||
	    copy_to_user(arg, &share, sizeof(share)))
		ret = -EFAULT;
	kvfree(list);
	return ret;
}

/* I4: what only a member of a group understands */
static long kbr_ioctl_group(struct kbr_open *open, unsigned int cmd, void __user *arg)
{
	struct kbr_open_group *group = kbr_open_group(open);

	if (!group)
		return -ENOTTY;
	switch (cmd) {
	case KBROKER_IOC_COMMIT:
		return kbr_member_commit(open);
	case KBROKER_IOC_SET_MAX_POLL:
		return kbr_ioctl_set_max_poll(group, arg);
	default:
		return kbr_ioctl_get_share(group, arg);
	}
}

/* I3: what an ioctl needs the open to be for. */
static fmode_t kbr_ioctl_mode(unsigned int cmd)
{
	switch (cmd) {
	case KBROKER_IOC_SET_ACKS:
	case KBROKER_IOC_SET_TARGET:
	case KBROKER_IOC_LAST_WRITE:
		return FMODE_WRITE;
	case KBROKER_IOC_SEEK_TIME:
	case KBROKER_IOC_NEXT:
	case KBROKER_IOC_JOIN_GROUP:
		return FMODE_READ;
	default:
		return 0;
	}
}

/**
 * kbr_open_ioctl() - ioctl(2) on a device
 * @file: the open file
 * @cmd: KBROKER_IOC_*
 * @arg: pointer to what the command takes
 *
 * Return: 0 or -errno as the ABI says; -ENOTTY unknown.
 */
long kbr_open_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kbr_open *open = file->private_data;
	fmode_t mode = kbr_ioctl_mode(cmd);
	void __user *user = (void __user *)arg;
	u32 number;

	if (mode && !(file->f_mode & mode))
		return -EBADF;
	switch (cmd) {
	case KBROKER_IOC_SET_FORMAT:
		if (get_user(number, (u32 __user *)user))
			return -EFAULT;
		return kbr_ioctl_set_format(open, number);
	case KBROKER_IOC_SET_ACKS:
		if (get_user(number, (u32 __user *)user))
			return -EFAULT;
		return kbr_ioctl_set_acks(open, (s32)number);
	case KBROKER_IOC_SET_TARGET:
		return kbr_ioctl_set_target(open, user);
	case KBROKER_IOC_GET_INFO:
		return kbr_ioctl_get_info(open, user);
	case KBROKER_IOC_GET_POSITION:
		return kbr_ioctl_get_position(open, user);
	case KBROKER_IOC_SEEK_TIME:
		return kbr_ioctl_seek_time(open, user);
	case KBROKER_IOC_NEXT:
		return kbr_ioctl_next(open, user);
	case KBROKER_IOC_LAST_WRITE:
		return kbr_ioctl_last_write(open, user);
	case KBROKER_IOC_JOIN_GROUP:
		return kbr_ioctl_join_group(file, user);
	case KBROKER_IOC_COMMIT:
	case KBROKER_IOC_SET_MAX_POLL:
	case KBROKER_IOC_GET_SHARE:
		return kbr_ioctl_group(open, cmd, user);
	default:
		return -ENOTTY;
	}
}
