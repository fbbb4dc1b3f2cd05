/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The character devices, as the rest of the module sees them.
 */
#ifndef _KBR_CHARDEV_CHARDEV_H
#define _KBR_CHARDEV_CHARDEV_H

/**
 * kbr_chardev_init() - take a major number for all nodes; sets kbr_node_devt
 *
 * Context: module init, before a broker can start. Return: 0 or -errno.
 */
int kbr_chardev_init(void);
/** kbr_chardev_exit() - give it back; no node may be open any more (opens pin the module) */
void kbr_chardev_exit(void);

#endif /* _KBR_CHARDEV_CHARDEV_H */
