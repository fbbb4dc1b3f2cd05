/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkbroker: consuming a topic as a member of a consumer group.
 *
 * The kernel shares the partitions out among the members, which are open
 * descriptors; when one is closed, be it by the death of its process, the others
 * go on with its partitions at once. A member is used by one thread at a time.
 *
 *	struct kbroker_member *member;
 *	struct kbroker_message message;
 *
 *	err = kbroker_member_open(&member, "orders", "billing", NULL);
 *	while (kbroker_member_poll(member, &message, -1) == 1)
 *		bill(&message);
 *	kbroker_member_close(member);
 */
#ifndef _KBROKER_MEMBER_H
#define _KBROKER_MEMBER_H

#include <kbroker/message.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kbroker_member;

/**
 * struct kbroker_member_config - settings; begin with KBROKER_MEMBER_CONFIG_INIT
 * @size: sizeof(struct kbroker_member_config)
 * @mount: where the broker's devices are; NULL: $KBROKER_DEVICES or "/dev/kbroker"
 * @max_poll_ms: how long it may take from one kbroker_member_poll() to the next
 *	before others get its partitions; 0: as long as it likes
 */
struct kbroker_member_config {
	size_t size;
	const char *mount;
	uint32_t max_poll_ms;
};

#define KBROKER_MEMBER_CONFIG_INIT { .size = sizeof(struct kbroker_member_config) }

/**
 * kbroker_member_open() - become a member of a group
 * @member: result
 * @topic: name of the topic
 * @group: name of the group, 1 to 249 bytes; it need not exist
 * @config: settings; NULL for the defaults
 *
 * Return: 0; -EINVAL; -ENOMEM; -EBUSY if clients of the network are in the group;
 * what the devices refused with.
 */
int kbroker_member_open(struct kbroker_member **member, const char *topic, const char *group,
			const struct kbroker_member_config *config);
/** kbroker_member_close() - leave; what the last poll gave comes again to another one. NULL is allowed */
void kbroker_member_close(struct kbroker_member *member);

/**
 * kbroker_member_poll() - the next record; the one before it counts as consumed
 * @member: the member
 * @message: result, valid until the next call on this member
 * @timeout_ms: how long to wait for one; 0 not at all, -1 without end
 *
 * Return: 1; 0 if there was none in time; -EPIPE retention removed records that
 * were next, and reading goes on after them; -ESTALE max_poll_ms is over, others
 * have its partitions, and it goes on with new ones; -EBADMSG, -EFBIG,
 * -EOPNOTSUPP a batch cannot be read; -ENODEV the topic was deleted or the broker
 * stops; -EINTR after a signal; -ENOMEM.
 */
int kbroker_member_poll(struct kbroker_member *member, struct kbroker_message *message,
			int timeout_ms);

/**
 * kbroker_member_commit() - what was given counts, and is on disk afterwards
 *
 * Without it the broker writes what counts every auto.commit.interval.ms, and when
 * the member leaves. Return: 0; -ESTALE as kbroker_member_poll(); -ENOSPC, -EIO,
 * -ETIMEDOUT, -ENODEV it could not be written.
 */
int kbroker_member_commit(struct kbroker_member *member);

/** kbroker_member_fd() - descriptor for poll(2): readable when records may have come */
int kbroker_member_fd(const struct kbroker_member *member);

#ifdef __cplusplus
}
#endif

#endif /* _KBROKER_MEMBER_H */
