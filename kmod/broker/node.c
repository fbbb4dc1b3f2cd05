// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device numbers: which minor is which partition, "all" or "@group". The device
 * itself is chardev's, its name the file system's.
 */
#include <linux/err.h>
#include <linux/kdev_t.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "broker/node.h"
#include "broker/partition.h"
#include "broker/topic.h"

/* What a minor points at: a group's node, a topic ("all") or a partition */
#define KBR_NODE_GROUP		0
#define KBR_NODE_ALL		1
#define KBR_NODE_PARTITION	3

dev_t kbr_node_devt;

/*
 * Entries are removed before the topic's table reference is dropped, so under
 * the xarray's lock the struct that an entry points at still exists.
 */
static DEFINE_XARRAY_ALLOC(kbr_nodes);
static u32 kbr_node_last;
static atomic_t kbr_nodes_groups = ATOMIC_INIT(0);

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

struct kbr_node_group *kbr_node_create_group(struct kbr_topic *topic, const char *name, size_t len)
{
	struct kbr_node_group *group;
	int err = -ENOSPC;

	if (atomic_inc_return(&kbr_nodes_groups) > KBR_GROUP_NODES_MAX)
		goto out_count;
	err = -ENOMEM;
	group = kmalloc(struct_size(group, name, len), GFP_KERNEL_ACCOUNT);
	if (!group)
		goto out_count;
	refcount_set(&group->ref, 1);
	kbr_topic_get(topic);
	group->topic = topic;
	group->len = len;
	memcpy(group->name, name, len);
	err = kbr_node_alloc(group, KBR_NODE_GROUP, &group->minor);
	if (!err)
		return group;
	kbr_topic_put(topic);
	kfree(group);
out_count:
	atomic_dec(&kbr_nodes_groups);
	return ERR_PTR(err);
}

void kbr_node_put_group(struct kbr_node_group *group)
{
	if (!refcount_dec_and_test(&group->ref))
		return;
	/* Whoever finds it until here sees that it has no reference left. */
	kbr_node_free(group->minor);
	kbr_topic_put(group->topic);
	kfree(group);
	atomic_dec(&kbr_nodes_groups);
}

void kbr_node_put_minor(u32 minor)
{
	kbr_node_put_group(xa_untag_pointer(xa_load(&kbr_nodes, minor)));
}

int kbr_node_lookup(u32 minor, struct kbr_node *node)
{
	struct kbr_partition *part;
	int err = -ENXIO;
	void *entry;

	*node = (struct kbr_node) { .partition = -1 };
	xa_lock(&kbr_nodes);
	entry = xa_load(&kbr_nodes, minor);
	if (!entry)
		goto out;
	switch (xa_pointer_tag(entry)) {
	case KBR_NODE_ALL:
		node->topic = xa_untag_pointer(entry);
		break;
	case KBR_NODE_PARTITION:
		part = xa_untag_pointer(entry);
		node->topic = part->topic;
		node->partition = part->index;
		break;
	default:
		node->group = xa_untag_pointer(entry);
		if (!refcount_inc_not_zero(&node->group->ref))
			goto out;
		node->topic = node->group->topic;
	}
	if (kbr_topic_get_unless_zero(node->topic))
		err = 0;
out:
	xa_unlock(&kbr_nodes);
	return err;
}
