/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device numbers: one major, a minor for each partition, each "all", and each
 * "@group" that is open or looked at.
 */
#ifndef _KBR_BROKER_NODE_H
#define _KBR_BROKER_NODE_H

#include <linux/refcount.h>
#include <linux/types.h>

#include "base/limits.h"

struct kbr_topic;
struct kbr_partition;

/** kbr_node_alloc_all() - a minor for @topic's "all" (sets topic->all_minor); 0 or -ENOSPC, -ENOMEM */
int kbr_node_alloc_all(struct kbr_topic *topic);
/** kbr_node_alloc_partition() - a minor for @part (sets part->minor) */
int kbr_node_alloc_partition(struct kbr_partition *part);
void kbr_node_free(u32 minor);

/**
 * struct kbr_node_group - the node of a consumer group
 * @ref: whoever looks at it, each open
 * @minor: its number
 * @topic: a reference
 * @len: bytes of @name
 * @name: of the group, without "@"
 */
struct kbr_node_group {
	refcount_t ref;
	u32 minor;
	struct kbr_topic *topic;
	size_t len;
	char name[];
};

/**
 * kbr_node_create_group() - a node, and a minor for it, that lives until its last put
 * @name: 1 to KBR_GROUP_NAME_MAX bytes
 *
 * Return: it, or ERR_PTR: -ENOSPC there are KBR_GROUP_NODES_MAX, or no number is
 * left; -ENOMEM.
 */
struct kbr_node_group *kbr_node_create_group(struct kbr_topic *topic, const char *name, size_t len);
void kbr_node_put_group(struct kbr_node_group *group);
/** kbr_node_put_minor() - the same for who holds a reference and knows its minor */
void kbr_node_put_minor(u32 minor);

/**
 * struct kbr_node - what a minor is
 * @topic: with a reference
 * @partition: index, or -1 for "all" and groups
 * @group: with a reference; NULL: no group's
 */
struct kbr_node {
	struct kbr_topic *topic;
	s32 partition;
	struct kbr_node_group *group;
};

/** kbr_node_lookup() - what minor @minor is; 0, or -ENXIO no such device */
int kbr_node_lookup(u32 minor, struct kbr_node *node);

/** The char device range: registered by chardev.c, shown by the file system */
extern dev_t kbr_node_devt;

#endif /* _KBR_BROKER_NODE_H */
