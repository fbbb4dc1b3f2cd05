// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device numbers: which minor is which partition or "all". The device itself
 * is chardev's, its name the file system's.
 */
#include <linux/types.h>
#include <linux/kdev_t.h>
#include <linux/xarray.h>

#include "broker/node.h"
#include "broker/partition.h"
#include "broker/topic.h"

/* What a minor points at: a topic ("all") or a partition */
#define KBR_NODE_ALL		1
#define KBR_NODE_PARTITION	3

dev_t kbr_node_devt;

/*
 * Entries are removed before the topic's table reference is dropped, so under
 * the xarray's lock the struct that an entry points at still exists.
 */
static DEFINE_XARRAY_ALLOC(kbr_nodes);
static u32 kbr_node_last;

static int kbr_node_alloc(void *object, unsigned int tag, u32 *minor)
{
	/* In turn, so that a stale device file does not soon mean another topic. */
	int err = xa_alloc_cyclic(&kbr_nodes, minor, xa_tag_pointer(object, tag),
				  XA_LIMIT(0, MINORMASK), &kbr_node_last, GFP_KERNEL);

	if (err == -EBUSY)
		return -ENOSPC;
	return min(err, 0);
}

int kbr_node_alloc_all(struct kbr_topic *topic)
{
	return kbr_node_alloc(topic, KBR_NODE_ALL, &topic->all_minor);
}

int kbr_node_alloc_partition(struct kbr_partition *part)
{
	return kbr_node_alloc(part, KBR_NODE_PARTITION, &part->minor);
}

void kbr_node_free(u32 minor)
{
	xa_erase(&kbr_nodes, minor);
}

int kbr_node_lookup(u32 minor, struct kbr_topic **topic, s32 *partition)
{
	struct kbr_partition *part;
	int err = -ENXIO;
	void *entry;

	xa_lock(&kbr_nodes);
	entry = xa_load(&kbr_nodes, minor);
	if (!entry)
		goto out;
	if (xa_pointer_tag(entry) == KBR_NODE_ALL) {
		*topic = xa_untag_pointer(entry);
		*partition = -1;
	} else {
		part = xa_untag_pointer(entry);
		*topic = part->topic;
		*partition = part->index;
	}
	if (kbr_topic_get_unless_zero(*topic))
		err = 0;
out:
	xa_unlock(&kbr_nodes);
	return err;
}
