// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens that are members of a consumer group: G1 to G18 of the ABI. Such an open
 * has the reader of "all", with the partitions that its share gives it; this file
 * keeps the two together. Who gets which partition is the share's business
 * (broker/share.h).
 */
#include <linux/slab.h>

#include "chardev/open.h"

/**
 * kbr_member_join() - make an open a member of a group
 * @open: of "all", or fresh; nothing was read through it
 * @node: the group's node, whose reference is taken over on success; NULL none
 * @name: the group's
 *
 * Waits until the groups' offsets are loaded. Return: 0; -EBUSY Kafka's clients
 * are in the group, or the open was read or moved; -ERESTARTSYS; -ENODEV; -ENOMEM; -ENOSPC; -EIO.
 */
int kbr_member_join(struct kbr_open *open, struct kbr_node_group *node, const struct kbr_str *name)
{
	struct kbr_open_group *group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	int err;

	if (!group)
		return -ENOMEM;
	kbr_share_member_init(&group->member);
	group->node = node;
	err = kbr_share_join(&group->member, kbr_open_topic(open), name);
	if (err) {
		kfree(group);
		return err;
	}
	mutex_lock(&open->reader.lock);
	if (kbr_open_group(open) || kbr_reader_cursors(open)) {
		mutex_unlock(&open->reader.lock);
		kbr_share_leave(&group->member);
		kfree(group);
		return -EBUSY;	/* G2: it was read, moved, or joined meanwhile */
	}
	smp_store_release(&open->joined, group);	/* pairs with the acquire in kbr_open_group() */
	kbr_share_enter(&group->member, KBR_SHARE_LOOK);
	/* Without memory for it the first read tries again, and says so. */
	if (kbr_reader_adopt(open))
		kbr_share_changed_again(&group->member);
	kbr_share_exit(&group->member, NULL);
	mutex_unlock(&open->reader.lock);
	kbr_handle_set_member(&open->handle, &group->member);
	return 0;
}

/** kbr_member_leave() - the last close: its partitions go to the others; the handle is gone already */
void kbr_member_leave(struct kbr_open *open)
{
	struct kbr_open_group *group = kbr_open_group(open);

	kbr_share_leave(&group->member);
	if (group->node)
		kbr_node_put_group(group->node);
	kfree(group);
}

/**
 * kbr_member_enter() - begin to read as a member of a group
 * @open: the open
 * @how: what begins
 *
 * Context: reader lock held. Return: 0: kbr_member_exit() ends it; else it did
 * not begin: -ENODATA the broker stops; -ESTALE it sat on records for too long,
 * and lost what it had; -ENOMEM.
 */
int kbr_member_enter(struct kbr_open *open, enum kbr_share_entry how)
{
	struct kbr_share_member *member = &kbr_open_group(open)->member;
	unsigned int news = kbr_share_enter(member, how);
	int err = 0;

	if (likely(!news))
		return 0;
	if (news & KBR_SHARE_ENDED)
		err = -ENODATA;
	if (!err && (news & KBR_SHARE_CHANGED)) {
		err = kbr_reader_adopt(open);
		if (err)
			kbr_share_changed_again(member);
	}
	/* G13: a stream of lines goes on with what it has now */
	if (!err && (news & KBR_SHARE_STALE) && open->handle.format != KBROKER_FORMAT_LINES)
		err = -ESTALE;
	if (err)
		kbr_member_exit(open);
	return err;
}

/** kbr_member_exit() - the read has ended; reader lock held */
void kbr_member_exit(struct kbr_open *open)
{
	struct kbr_cursors *cursors = kbr_reader_cursors(open);
	struct kbr_reader *reader = &open->reader;
	struct kbr_share_part *begun = NULL;

	if (reader->done && !reader->orphan)
		begun = cursors->parts[reader->current_index];
	kbr_share_exit(&kbr_open_group(open)->member, begun);
}

/** kbr_member_look() - for poll(): have cursors for what it has now, unless somebody reads */
void kbr_member_look(struct kbr_open *open)
{
	struct kbr_open_group *group = kbr_open_group(open);

	if (!group || !kbr_share_ready(&group->member) || !mutex_trylock(&open->reader.lock))
		return;
	if (!kbr_member_enter(open, KBR_SHARE_LOOK))
		kbr_member_exit(open);
	mutex_unlock(&open->reader.lock);
}

/**
 * kbr_member_commit() - count what was read, and wait until that is on disk
 * @open: the open
 *
 * Context: process; sleeps. Return: 0; -ESTALE it had lost what it was given;
 * -ENODEV; -ENOSPC, -EIO; -ETIMEDOUT; -EINTR; -ERESTARTSYS.
 */
int kbr_member_commit(struct kbr_open *open)
{
	struct kbr_share_member *member = &kbr_open_group(open)->member;
	unsigned int news;

	if (kbr_topic_gone(kbr_open_topic(open)))
		return -ENODEV;
	if (mutex_lock_interruptible(&open->reader.lock))
		return -ERESTARTSYS;
	news = kbr_share_enter(member, KBR_SHARE_READ);
	if ((news & KBR_SHARE_CHANGED) && kbr_reader_adopt(open))
		kbr_share_changed_again(member);
	kbr_member_exit(open);
	mutex_unlock(&open->reader.lock);
	if (news & KBR_SHARE_ENDED)
		return -ENODEV;
	return news & KBR_SHARE_STALE ? -ESTALE : kbr_share_commit(member->share);
}
