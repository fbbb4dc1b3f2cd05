/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owner, group and mode as a request gives them, of a topic or of a broker.
 */
#ifndef _KBR_BROKER_OWNER_H
#define _KBR_BROKER_OWNER_H

#include <linux/types.h>
#include <linux/uidgid.h>

#include "base/refusal.h"

/**
 * struct kbr_owner - what a request says of them
 * @set_uid: @uid was given
 * @set_gid: @gid was given
 * @set_mode: @mode was given
 * @uid: owner
 * @gid: group
 * @mode: mode
 */
struct kbr_owner {
	bool set_uid;
	bool set_gid;
	bool set_mode;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
};

/** kbr_owner_check() - 0; -EINVAL an id is none, or the mode has strange bits */
int kbr_owner_check(const struct kbr_owner *owner, struct kbr_refusal *why);

/** kbr_owner_given() - does the request say anything of them? */
static inline bool kbr_owner_given(const struct kbr_owner *owner)
{
	return owner->set_uid || owner->set_gid || owner->set_mode;
}

#endif /* _KBR_BROKER_OWNER_H */
