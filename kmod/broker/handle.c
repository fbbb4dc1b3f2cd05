// SPDX-License-Identifier: GPL-2.0-only
/*
 * Open devices of a topic, for "partition describe". A handle is embedded in a
 * front end's per-open struct; this file only links and copies it.
 */
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "base/kunit.h"
#include "broker/handle.h"
#include "broker/partition.h"
#include "broker/share.h"

/**
 * kbr_handle_add() - register an open device
 * @handle: positions and format are set by the caller, the rest here
 * @topic: a reference is taken
 * @partition: index, -1 for "all"
 * @mode: FMODE_READ, FMODE_WRITE
 */
void kbr_handle_add(struct kbr_handle *handle, struct kbr_topic *topic, s32 partition, fmode_t mode)
{
	kbr_topic_get(topic);
	handle->topic = topic;
	handle->partition = partition;
	handle->mode = mode;
	/* A kernel thread has none of its own namespaces: take the global number. */
	handle->pid = task_tgid_nr(current);
	get_task_comm(handle->comm, current);
	atomic_inc(&topic->broker->handles);
	spin_lock(&topic->handles_lock);
	list_add_tail(&handle->node, &topic->handles);
	/* a dump that has seen the change sees that there was one */
	atomic_inc(&topic->broker->handles_changes);
	spin_unlock(&topic->handles_lock);
}
KBR_EXPORT_IF_KUNIT(kbr_handle_add);

/** kbr_handle_del() - forget it; drops the topic, perhaps the last reference. May sleep. */
void kbr_handle_del(struct kbr_handle *handle)
{
	struct kbr_topic *topic = handle->topic;

	spin_lock(&topic->handles_lock);
	list_del(&handle->node);
	atomic_inc(&topic->broker->handles_changes);
	spin_unlock(&topic->handles_lock);
	atomic_dec(&topic->broker->handles);
	handle->topic = NULL;
	kbr_topic_put(topic);
}
KBR_EXPORT_IF_KUNIT(kbr_handle_del);

void kbr_handle_set_member(struct kbr_handle *handle, struct kbr_share_member *member)
{
	spin_lock(&handle->topic->handles_lock);
	handle->member = member;
	spin_unlock(&handle->topic->handles_lock);
}

void kbr_handles_wake(struct kbr_topic *topic)
{
	struct kbr_handle *handle;

	spin_lock(&topic->handles_lock);
	list_for_each_entry(handle, &topic->handles, node)
		if (handle->member)
			wake_up_all(&handle->member->wait);
	spin_unlock(&topic->handles_lock);
}

/* Where a member of a group has @partition, -1 it has not. */
static int kbr_handle_find(const struct kbr_handle *handle, s32 partition)
{
	unsigned int low = 0, high = handle->positions_count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if ((s32)handle->parts[mid]->part->index < partition)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < handle->positions_count &&
	    (s32)handle->parts[low]->part->index == partition &&
	    kbr_share_owns(handle->member, handle->parts[low]))
		return low;
	return -1;
}

/* Does it read or write @partition? */
static bool kbr_handle_concerns(const struct kbr_handle *handle, s32 partition)
{
	if (partition < 0)
		return true;
	if (handle->parts)
		return kbr_handle_find(handle, partition) >= 0;
	return handle->partition < 0 || handle->partition == partition;
}

static s64 kbr_handle_position(const struct kbr_handle *handle, s32 partition)
{
	int index = 0;

	if (!(handle->mode & FMODE_READ) || !handle->positions)
		return -1;
	if (handle->parts)
		index = kbr_handle_find(handle, partition);
	else if (handle->partition < 0)
		index = max(partition, 0);
	if (index < 0 || (unsigned int)index >= handle->positions_count)
		return -1;
	return READ_ONCE(handle->positions[index]);
}

bool kbr_handle_nth(struct kbr_topic *topic, s32 partition, unsigned int n,
		    struct kbr_handle_info *info)
{
	struct kbr_handle *handle;
	bool found = false;

	spin_lock(&topic->handles_lock);
	list_for_each_entry(handle, &topic->handles, node) {
		if (!kbr_handle_concerns(handle, partition))
			continue;
		if (n--)
			continue;
		info->partition = handle->partition;
		info->pid = handle->pid;
		memcpy(info->comm, handle->comm, sizeof(info->comm));
		info->mode = handle->mode;
		info->format = READ_ONCE(handle->format);
		info->lost = READ_ONCE(handle->lost);
		info->position = kbr_handle_position(handle, partition);
		found = true;
		break;
	}
	spin_unlock(&topic->handles_lock);
	return found;
}
KBR_EXPORT_IF_KUNIT(kbr_handle_nth);
