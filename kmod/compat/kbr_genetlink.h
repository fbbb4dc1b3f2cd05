/* SPDX-License-Identifier: GPL-2.0-only */
/* Generic netlink as the newest supported kernel has it. */
#ifndef _KBR_COMPAT_GENETLINK_H
#define _KBR_COMPAT_GENETLINK_H

#include <linux/version.h>
#include <net/genetlink.h>

/* Attributes of a dump's request; they moved into struct genl_info in 6.7. */
static inline struct nlattr **kbr_compat_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return genl_dumpit_info(cb)->info.attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

#endif /* _KBR_COMPAT_GENETLINK_H */
