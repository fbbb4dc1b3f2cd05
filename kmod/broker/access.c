// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one rule of access, see access.h. Asked by each front end when something
 * is opened; produce and fetch do not ask again.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/user_namespace.h>

#include "base/kunit.h"
#include "broker/access.h"

static bool kbr_access_is_root(const struct cred *cred)
{
	return cred->user_ns == &init_user_ns && cap_raised(cred->cap_effective, CAP_DAC_OVERRIDE);
}

/* in_group_p() for credentials that need not be the caller's; gid[] is sorted. */
static bool kbr_access_in_group(const struct cred *cred, kgid_t gid)
{
	const struct group_info *info = cred->group_info;
	int low = 0, high = info->ngroups;

	if (gid_eq(cred->fsgid, gid))
		return true;
	while (low < high) {
		int mid = (low + high) / 2;

		if (gid_gt(gid, info->gid[mid]))
			low = mid + 1;
		else if (gid_lt(gid, info->gid[mid]))
			high = mid;
		else
			return true;
	}
	return false;
}

int kbr_owner_check(const struct kbr_owner *owner, struct kbr_refusal *why)
{
	if (owner->set_mode && (owner->mode & ~0777))
		return kbr_refuse(why, -EINVAL, 0, "a mode has no bits beyond 0777, not 0%ho",
				  owner->mode);
	if (owner->set_uid && !uid_valid(owner->uid))
		return kbr_refuse(why, -EINVAL, 0, "the owner is no valid user id");
	if (owner->set_gid && !gid_valid(owner->gid))
		return kbr_refuse(why, -EINVAL, 0, "the group is no valid group id");
	return 0;
}

int kbr_access_check(const struct kbr_topic *topic, const struct cred *cred, unsigned int what)
{
	umode_t mode = READ_ONCE(topic->mode);
	umode_t need = 0;

	if (topic->internal) {
		if (what & KBR_MAY_PRODUCE)
			return -EROFS;
		return kbr_access_is_root(cred) ? 0 : -EACCES;
	}
	if (kbr_access_is_root(cred))
		return 0;
	if (uid_eq(cred->fsuid, READ_ONCE(topic->uid)))
		mode >>= 6;
	else if (kbr_access_in_group(cred, READ_ONCE(topic->gid)))
		mode >>= 3;
	if (what & KBR_MAY_CONSUME)
		need |= 0004;
	if (what & KBR_MAY_PRODUCE)
		need |= 0002;
	return (mode & need) == need ? 0 : -EACCES;
}
KBR_EXPORT_IF_KUNIT(kbr_access_check);
