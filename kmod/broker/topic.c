// SPDX-License-Identifier: GPL-2.0-only
/*
 * Topics as objects: names, references, the table, their partitions. How they
 * come, change and go is in topic_ops.c.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "broker/handle.h"
#include "broker/metadata.h"
#include "broker/node.h"
#include "broker/partition.h"
#include "broker/topic.h"

int kbr_topic_name_check(const char *name, struct kbr_refusal *why)
{
	size_t len = strnlen(name, KBR_TOPIC_NAME_MAX + 1);
	size_t i;

	if (!len)
		return kbr_refuse(why, -EINVAL, 0, "a topic name must not be empty");
	if (len > KBR_TOPIC_NAME_MAX)
		return kbr_refuse(why, -EINVAL, 0, "a topic name must not be longer than %d characters",
				  KBR_TOPIC_NAME_MAX);
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return kbr_refuse(why, -EINVAL, 0, "a topic must not be named \"%s\"", name);
	for (i = 0; i < len; i++) {
		char c = name[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    c == '.' || c == '_' || c == '-')
			continue;
		return kbr_refuse(why, -EINVAL, 0,
				  "a topic name holds letters, digits, \".\", \"_\" and \"-\" only; character %zu is another",
				  i + 1);
	}
	if (!strcmp(name, KBR_METADATA_TOPIC))
		return kbr_refuse(why, -EINVAL, 0, "%s is the broker's own", name);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_name_check);

bool kbr_topic_name_internal(const char *name)
{
	return !strncmp(name, "__", 2);
}

static void kbr_topic_release(struct kref *ref)
{
	struct kbr_topic *topic = container_of(ref, struct kbr_topic, ref);
	struct kbr_partition_array *array = rcu_dereference_protected(topic->partitions, true);
	unsigned int i;

	WARN_ON_ONCE(!list_empty(&topic->handles));
	for (i = 0; array && i < array->count; i++)
		kbr_partition_free(array->part[i]);
	kvfree(array);
	kbr_config_set_free(&topic->config_set);
	kbr_broker_put(topic->broker);
	kfree(topic->name);
	kfree(topic);
}

void kbr_topic_get(struct kbr_topic *topic)
{
	kref_get(&topic->ref);
}
KBR_EXPORT_IF_KUNIT(kbr_topic_get);

bool kbr_topic_get_unless_zero(struct kbr_topic *topic)
{
	return kref_get_unless_zero(&topic->ref);
}

/* May sleep: the last reference frees the partitions and drops the broker. */
void kbr_topic_put(struct kbr_topic *topic)
{
	if (topic)
		kref_put(&topic->ref, kbr_topic_release);
}
KBR_EXPORT_IF_KUNIT(kbr_topic_put);

struct kbr_topic *kbr_topic_alloc(struct kbr_broker *broker, struct kbr_metadata_topic *found,
				  struct kbr_refusal *why)
{
	struct kbr_partition_array *array;
	struct kbr_topic *topic;
	unsigned int i;

	topic = kzalloc(sizeof(*topic), GFP_KERNEL);
	if (!topic)
		return ERR_PTR(-ENOMEM);
	kref_init(&topic->ref);
	kbr_broker_get(broker);
	topic->broker = broker;
	memcpy(topic->id, found->id, sizeof(topic->id));
	topic->uid = make_kuid(&init_user_ns, found->uid);
	topic->gid = make_kgid(&init_user_ns, found->gid);
	topic->mode = found->mode;
	topic->replication_factor = found->replication_factor;
	topic->internal = kbr_topic_name_internal(found->name);
	topic->state = KBR_TOPIC_CREATING;
	init_waitqueue_head(&topic->wait);
	INIT_LIST_HEAD(&topic->handles);
	spin_lock_init(&topic->handles_lock);
	atomic_set(&topic->next_partition, 0);

	topic->name = kstrdup(found->name, GFP_KERNEL);
	array = kvzalloc(struct_size(array, part, found->partitions), GFP_KERNEL);
	RCU_INIT_POINTER(topic->partitions, array);
	if (!topic->name || !array)
		goto no_memory;
	for (i = 0; i < found->partitions; i++) {
		array->part[i] = kbr_partition_alloc(topic, i);
		if (!array->part[i])
			goto no_memory;
		array->count++;
	}
	if (kbr_topic_config_apply(&topic->config, &broker->config, &found->configs, why)) {
		kbr_topic_put(topic);
		return ERR_PTR(-EINVAL);
	}
	topic->config_set = found->configs;
	memset(&found->configs, 0, sizeof(found->configs));
	return topic;

no_memory:
	kbr_topic_put(topic);
	return ERR_PTR(-ENOMEM);
}

int kbr_topic_insert_locked(struct kbr_topic *topic)
{
	struct kbr_broker *broker = topic->broker;
	struct rb_node **link = &broker->topics.rb_node, *parent = NULL;

	lockdep_assert_held_write(&broker->topics_sem);
	while (*link) {
		struct kbr_topic *other = rb_entry(*link, struct kbr_topic, node);
		int order = strcmp(topic->name, other->name);

		if (!order)
			return -EEXIST;
		parent = *link;
		link = order < 0 ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&topic->node, parent, link);
	rb_insert_color(&topic->node, &broker->topics);
	broker->topics_count++;
	broker->partitions_count += kbr_topic_partitions(topic);
	return 0;
}

struct kbr_topic *kbr_topic_lookup(struct kbr_broker *broker, const char *name)
{
	struct rb_node *node;

	down_read(&broker->topics_sem);
	node = broker->topics.rb_node;
	while (node) {
		struct kbr_topic *topic = rb_entry(node, struct kbr_topic, node);
		int order = strcmp(name, topic->name);

		if (!order) {
			kbr_topic_get(topic);
			up_read(&broker->topics_sem);
			return topic;
		}
		node = order < 0 ? node->rb_left : node->rb_right;
	}
	up_read(&broker->topics_sem);
	return NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_lookup);

struct kbr_topic *kbr_topic_next(struct kbr_broker *broker, const char *after)
{
	struct kbr_topic *topic, *best = NULL;
	struct rb_node *node;

	down_read(&broker->topics_sem);
	node = broker->topics.rb_node;
	while (node) {
		topic = rb_entry(node, struct kbr_topic, node);
		if (!after || strcmp(after, topic->name) < 0) {
			best = topic;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	if (best)
		kbr_topic_get(best);
	up_read(&broker->topics_sem);
	return best;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_next);

struct kbr_topic *kbr_topic_walk_next(struct kbr_broker *broker, struct kbr_topic *topic)
{
	struct kbr_topic *next = kbr_topic_next(broker, topic->name);

	kbr_topic_put(topic);
	return next;
}

/* Operations only, or before the topic is published: nobody replaces it meanwhile. */
struct kbr_partition_array *kbr_topic_array(struct kbr_topic *topic)
{
	return rcu_dereference_protected(topic->partitions, true);
}

unsigned int kbr_topic_partitions(struct kbr_topic *topic)
{
	unsigned int count;

	rcu_read_lock();
	count = rcu_dereference(topic->partitions)->count;
	rcu_read_unlock();
	return count;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_partitions);

struct kbr_partition *kbr_topic_partition(struct kbr_topic *topic, unsigned int index)
{
	struct kbr_partition *part = NULL;
	struct kbr_partition_array *array;

	rcu_read_lock();
	array = rcu_dereference(topic->partitions);
	if (index < array->count)
		part = array->part[index];
	rcu_read_unlock();
	return part;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_partition);

struct kbr_partition *kbr_topic_pick(struct kbr_topic *topic)
{
	unsigned int turn = atomic_inc_return(&topic->next_partition) - 1;
	struct kbr_partition_array *array;
	struct kbr_partition *part;

	rcu_read_lock();
	array = rcu_dereference(topic->partitions);
	part = array->part[turn % array->count];
	rcu_read_unlock();
	return part;
}

bool kbr_topic_gone(const struct kbr_topic *topic)
{
	return READ_ONCE(topic->state) >= KBR_TOPIC_DELETING || READ_ONCE(topic->broker->dead);
}
KBR_EXPORT_IF_KUNIT(kbr_topic_gone);

int kbr_topic_alloc_minors(struct kbr_topic *topic, struct kbr_partition_array *array,
			   unsigned int from)
{
	unsigned int i;
	int err;

	if (!topic->has_all_minor) {
		err = kbr_node_alloc_all(topic);
		if (err)
			return err;
		topic->has_all_minor = true;
	}
	for (i = from; i < array->count; i++) {
		err = kbr_node_alloc_partition(array->part[i]);
		if (err)
			return err;
		array->part[i]->has_minor = true;
	}
	return 0;
}

void kbr_topic_free_minors(struct kbr_topic *topic)
{
	struct kbr_partition_array *array = kbr_topic_array(topic);
	unsigned int i;

	if (topic->has_all_minor)
		kbr_node_free(topic->all_minor);
	topic->has_all_minor = false;
	for (i = 0; i < array->count; i++) {
		if (array->part[i]->has_minor)
			kbr_node_free(array->part[i]->minor);
		array->part[i]->has_minor = false;
	}
}

void kbr_topic_wake(struct kbr_topic *topic)
{
	struct kbr_partition *part;
	unsigned int i;

	for (i = 0; (part = kbr_topic_partition(topic, i)); i++)
		kbr_partition_wake(part);
	wake_up_all(&topic->wait);
	kbr_handles_wake(topic);
}
