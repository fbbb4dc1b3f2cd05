/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device numbers: one major, a minor for each partition and each "all".
 */
#ifndef _KBR_BROKER_NODE_H
#define _KBR_BROKER_NODE_H

#include <linux/types.h>

struct kbr_topic;
struct kbr_partition;

/** kbr_node_alloc_all() - a minor for @topic's "all" (sets topic->all_minor); 0 or -ENOSPC, -ENOMEM */
int kbr_node_alloc_all(struct kbr_topic *topic);
/** kbr_node_alloc_partition() - a minor for @part (sets part->minor) */
int kbr_node_alloc_partition(struct kbr_partition *part);
void kbr_node_free(u32 minor);

/**
 * kbr_node_lookup() - what minor @minor is
 * @topic: out: with a reference
 * @partition: out: index, or -1 for "all"
 * Return: 0; -ENXIO no such device.
 */
int kbr_node_lookup(u32 minor, struct kbr_topic **topic, s32 *partition);

/** The char device range: registered by chardev.c, shown by the file system */
extern dev_t kbr_node_devt;

#endif /* _KBR_BROKER_NODE_H */
