/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The netlink front end, as the rest of the module sees it.
 */
#ifndef _KBR_NETLINK_FAMILY_H
#define _KBR_NETLINK_FAMILY_H

/**
 * kbr_netlink_init() - register the family and listen to the broker's events
 *
 * The last step of loading: requests may come as soon as it returns.
 * Return: 0 or -errno.
 */
int kbr_netlink_init(void);
/** kbr_netlink_exit() - no handler runs and no event is sent any more */
void kbr_netlink_exit(void);

#endif /* _KBR_NETLINK_FAMILY_H */
