// SPDX-License-Identifier: GPL-2.0-only
/*
 * Committed offsets: in memory, by topic and partition. A commit is appended
 * to __consumer_offsets and is pending until it is on disk; only then it can
 * be seen. Whoever has the group's lock settles what is pending, in order.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/group_internal.h"

/* ---- entries ---- */

static struct kbr_str kbr_group_entry_topic(const struct kbr_group_entry *entry)
{
	return (struct kbr_str) { .at = entry->topic->text, .len = entry->topic->len };
}

static int kbr_group_entry_cmp(const struct kbr_str *topic, s32 partition,
			       const struct kbr_group_entry *entry)
{
	struct kbr_str other = kbr_group_entry_topic(entry);
	int diff = kbr_group_str_cmp(topic, &other);

	if (diff)
		return diff;
	return partition < entry->partition ? -1 : partition > entry->partition;
}

static struct kbr_group_entry *kbr_group_entry_find(struct kbr_group *group,
						    const struct kbr_str *topic, s32 partition)
{
	struct rb_node *node = group->offsets.rb_node;

	while (node) {
		struct kbr_group_entry *entry = rb_entry(node, struct kbr_group_entry, node);
		int diff = kbr_group_entry_cmp(topic, partition, entry);

		if (!diff)
			return entry;
		node = diff < 0 ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/* The first one behind (@topic, @partition) */
static struct kbr_group_entry *kbr_group_entry_after(struct kbr_group *group,
						     const struct kbr_str *topic, s32 partition)
{
	struct rb_node *node = group->offsets.rb_node;
	struct kbr_group_entry *found = NULL;

	while (node) {
		struct kbr_group_entry *entry = rb_entry(node, struct kbr_group_entry, node);

		if (kbr_group_entry_cmp(topic, partition, entry) < 0) {
			found = entry;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

/* Account for @bytes; @always: what makes room in the end is not kept from it by a limit. */
static bool kbr_group_charge_for(struct kbr_group *group, size_t bytes, bool always)
{
	if (!always)
		return kbr_group_charge(group, bytes);
	atomic64_add(bytes, &group->groups->bytes);
	group->bytes += bytes;
	return true;
}

static size_t kbr_group_text_size(u32 len)
{
	return sizeof(struct kbr_group_text) + len + 1;
}

/* A topic's name, which its offsets share, accounted for. */
static struct kbr_group_text *kbr_group_text_get(struct kbr_group *group,
						 const struct kbr_str *topic, bool always)
{
	struct kbr_group_entry *other = kbr_group_entry_after(group, topic, -1);
	struct kbr_group_text *text;
	struct kbr_str name;

	if (other) {
		name = kbr_group_entry_topic(other);
		if (kbr_group_str_same(&name, topic)) {
			other->topic->refs++;
			return other->topic;
		}
	}
	text = kmalloc(kbr_group_text_size(topic->len), GFP_KERNEL_ACCOUNT);
	if (!text)
		return ERR_PTR(-ENOMEM);
	if (!kbr_group_charge_for(group, kbr_group_text_size(topic->len), always)) {
		kfree(text);
		return ERR_PTR(-EDQUOT);
	}
	text->refs = 1;
	text->len = topic->len;
	memcpy(text->text, topic->at, topic->len);
	text->text[topic->len] = '\0';
	return text;
}

static void kbr_group_text_put(struct kbr_group *group, struct kbr_group_text *text)
{
	if (--text->refs)
		return;
	kbr_group_charge(group, -(ssize_t)kbr_group_text_size(text->len));
	kfree(text);
}

struct kbr_group_entry *kbr_group_entry_new(struct kbr_group *group,
					    const struct kbr_group_offset *offset, bool always)
{
	size_t len = max(offset->metadata.len, 0);
	struct kbr_group_entry *entry;
	int err;

	entry = kmalloc(struct_size(entry, metadata, len), GFP_KERNEL_ACCOUNT);
	if (!entry)
		return ERR_PTR(-ENOMEM);
	entry->topic = kbr_group_text_get(group, &offset->topic, always);
	if (IS_ERR(entry->topic)) {
		err = PTR_ERR(entry->topic);
		goto out_free;
	}
	err = -EDQUOT;
	if (!kbr_group_charge_for(group, struct_size(entry, metadata, len), always))
		goto out_text;
	INIT_LIST_HEAD(&entry->list);
	RB_CLEAR_NODE(&entry->node);
	entry->partition = offset->partition;
	entry->offset = offset->offset;
	entry->leader_epoch = offset->leader_epoch;
	entry->commit_ms = offset->commit_ms;
	entry->expire_ms = offset->expire_ms;
	entry->record = -1;
	entry->record_bytes = 0;
	entry->marked = false;
	entry->metadata_len = len;
	if (len)
		memcpy(entry->metadata, offset->metadata.at, len);
	return entry;

out_text:
	kbr_group_text_put(group, entry->topic);
out_free:
	kfree(entry);
	return ERR_PTR(err);
}

static void kbr_group_entry_free(struct kbr_group *group, struct kbr_group_entry *entry)
{
	kbr_group_charge(group, -(ssize_t)struct_size(entry, metadata, entry->metadata_len));
	kbr_group_text_put(group, entry->topic);
	kfree(entry);
}

static void kbr_group_entry_tell(const struct kbr_group_entry *entry, struct kbr_group_offset *to)
{
	*to = (struct kbr_group_offset) {
		.topic = kbr_group_entry_topic(entry),
		.partition = entry->partition,
		.offset = entry->offset,
		.leader_epoch = entry->leader_epoch,
		.metadata = { .at = entry->metadata, .len = entry->metadata_len },
		.commit_ms = entry->commit_ms,
		.expire_ms = entry->expire_ms,
	};
}

/* ---- what is on disk ---- */

static void kbr_group_live(struct kbr_group *group, s64 bytes)
{
	if (group->groups->logs)
		atomic64_add(bytes, &group->groups->logs[group->partition].live);
}

static void kbr_group_entry_remove(struct kbr_group *group, struct kbr_group_entry *entry)
{
	rb_erase(&entry->node, &group->offsets);
	group->offsets_count--;
	kbr_group_live(group, -(s64)entry->record_bytes);
	kbr_group_entry_free(group, entry);
}

static void kbr_group_entry_insert(struct kbr_group *group, struct kbr_group_entry *entry)
{
	struct rb_node **link = &group->offsets.rb_node, *parent = NULL;
	struct kbr_str topic = kbr_group_entry_topic(entry);

	while (*link) {
		struct kbr_group_entry *other = rb_entry(*link, struct kbr_group_entry, node);

		parent = *link;
		link = kbr_group_entry_cmp(&topic, entry->partition, other) < 0 ?
		       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&entry->node, parent, link);
	rb_insert_color(&entry->node, &group->offsets);
	group->offsets_count++;
	kbr_group_live(group, entry->record_bytes);
}

void kbr_group_apply_locked(struct kbr_group *group, struct kbr_group_entry *entry)
{
	struct kbr_str topic = kbr_group_entry_topic(entry);
	struct kbr_group_entry *old = kbr_group_entry_find(group, &topic, entry->partition);

	if (old && old->record > entry->record) {
		kbr_group_entry_free(group, entry);
		return;
	}
	if (old)
		kbr_group_entry_remove(group, old);
	if (entry->offset >= 0)
		kbr_group_entry_insert(group, entry);
	else
		kbr_group_entry_free(group, entry);
}

void kbr_group_apply_record_locked(struct kbr_group *group, s64 record, u32 bytes)
{
	if (group->record > record)
		return;
	kbr_group_live(group, (s64)bytes - group->record_bytes);
	group->record = bytes ? record : -1;
	group->record_bytes = bytes;
}

static void kbr_group_pending_free(struct kbr_group *group, struct kbr_group_pending *pending,
				   bool apply)
{
	struct kbr_group_entry *entry, *next;

	list_del(&pending->node);
	list_for_each_entry_safe(entry, next, &pending->entries, list) {
		list_del_init(&entry->list);
		if (apply)
			kbr_group_apply_locked(group, entry);
		else
			kbr_group_entry_free(group, entry);
	}
	if (apply && pending->has_group)
		kbr_group_apply_record_locked(group, pending->group_record, pending->group_bytes);
	kfree(pending);
}

struct kbr_group_pending *kbr_group_pending_locked(struct kbr_group *group, u32 seq)
{
	struct kbr_group_pending *pending;

	if (!seq || group->state == KBR_GROUP_DEAD)
		return NULL;
	list_for_each_entry(pending, &group->pending, node)
		if (pending->seq == seq)
			return pending;
	return NULL;
}

void kbr_group_settle_locked(struct kbr_group *group)
{
	struct kbr_group_pending *pending;
	struct kbr_partition *part;
	bool storing;
	int fate;

	if (list_empty(&group->pending) || group->state == KBR_GROUP_DEAD)
		return;
	part = kbr_group_log_part(group);
	while ((pending = list_first_entry_or_null(&group->pending, struct kbr_group_pending,
						   node))) {
		fate = kbr_partition_acked(part, pending->last, pending->failures);
		if (!fate)
			return;
		storing = pending->seq == group->storing;
		kbr_group_pending_free(group, pending, fate > 0);
		if (storing)
			kbr_group_stored_locked(group, fate > 0, kbr_clock_mono_ms());
	}
}

void kbr_group_forget_offsets_locked(struct kbr_group *group)
{
	struct kbr_group_pending *pending, *next;
	struct rb_node *node;

	list_for_each_entry_safe(pending, next, &group->pending, node)
		kbr_group_pending_free(group, pending, false);
	while ((node = rb_first(&group->offsets)))
		kbr_group_entry_remove(group, rb_entry(node, struct kbr_group_entry, node));
}

bool kbr_group_offset_locked(struct kbr_group *group, const struct kbr_str *topic, s32 partition,
			     struct kbr_group_offset *found)
{
	struct kbr_group_entry *entry;

	kbr_group_settle_locked(group);
	entry = kbr_group_entry_find(group, topic, partition);
	if (entry)
		kbr_group_entry_tell(entry, found);
	return entry;
}
KBR_EXPORT_IF_KUNIT(kbr_group_offset_locked);

bool kbr_group_offset_next_locked(struct kbr_group *group, const struct kbr_str *topic,
				  s32 partition, struct kbr_group_offset *found)
{
	struct kbr_group_entry *entry;

	kbr_group_settle_locked(group);
	entry = kbr_group_entry_after(group, topic, partition);
	if (entry)
		kbr_group_entry_tell(entry, found);
	return entry;
}
KBR_EXPORT_IF_KUNIT(kbr_group_offset_next_locked);

/* ---- commits ---- */

void kbr_group_free_entries_locked(struct kbr_group *group, struct list_head *entries)
{
	struct kbr_group_entry *entry, *next;

	list_for_each_entry_safe(entry, next, entries, list)
		kbr_group_entry_free(group, entry);
	INIT_LIST_HEAD(entries);
}

/* Kafka's error of an offset by itself. Takes no lock of the group. */
static s16 kbr_group_check_offset(struct kbr_broker *broker, const struct kbr_group_offset *offset)
{
	char name[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_topic *topic;
	s16 code = KBR_KAFKA_NONE;

	if (offset->offset < 0)
		return KBR_KAFKA_INVALID_REQUEST;
	if (offset->metadata.len > (s64)READ_ONCE(broker->config.offset_metadata_max))
		return KBR_KAFKA_OFFSET_METADATA_TOO_LARGE;
	if (kbr_str_copy(&offset->topic, name, sizeof(name)))
		return KBR_KAFKA_UNKNOWN_TOPIC;
	topic = kbr_topic_lookup(broker, name);
	if (!topic || offset->partition < 0 ||
	    (u32)offset->partition >= kbr_topic_partitions(topic))
		code = KBR_KAFKA_UNKNOWN_TOPIC;
	kbr_topic_put(topic);
	return code;
}

/* An entry for each of @offsets without a code; Kafka's error if that can't be. */
static s16 kbr_group_make_entries(struct kbr_group *group, struct kbr_group_offset *offsets,
				  unsigned int count, struct list_head *entries)
{
	struct kbr_group_entry *entry;
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (offsets[i].code)
			continue;
		entry = kbr_group_entry_new(group, &offsets[i], false);
		if (IS_ERR(entry))
			return PTR_ERR(entry) == -EDQUOT ? KBR_KAFKA_INVALID_COMMIT_OFFSET_SIZE :
							   KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
		list_add_tail(&entry->list, entries);
	}
	return 0;
}

static void kbr_group_set_codes(struct kbr_group_offset *offsets, unsigned int count, s16 code)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!offsets[i].code)
			offsets[i].code = code;
}

/* Append what has no code. True: nothing is to be waited for, each has its code. */
static bool kbr_group_commit_locked(struct kbr_group *group, struct kbr_group_offset *offsets,
				    unsigned int count, struct kbr_group_wait *wait)
{
	LIST_HEAD(entries);
	s16 code;

	if (group->state == KBR_GROUP_DEAD) {
		wait->err = -ENODEV;
		code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	} else {
		code = kbr_group_make_entries(group, offsets, count, &entries);
		if (code == KBR_KAFKA_COORDINATOR_NOT_AVAILABLE)
			wait->err = -ENOMEM;
	}
	if (!code && list_empty(&entries))
		return true;
	if (!code) {
		wait->err = kbr_group_append_locked(group, &entries, KBR_GROUP_PUT_NONE, wait);
		if (wait->err)
			code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	kbr_group_free_entries_locked(group, &entries);
	if (!code)
		return false;
	kbr_group_set_codes(offsets, count, code);
	return true;
}

static void kbr_group_check_offsets(struct kbr_group *group, struct kbr_group_offset *offsets,
				    unsigned int count, s64 now_ms)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		offsets[i].commit_ms = now_ms;
		if (!offsets[i].code)
			offsets[i].code = kbr_group_check_offset(group->groups->broker, &offsets[i]);
	}
}

bool kbr_group_commit(struct kbr_group *group, const struct kbr_group_id *id,
		      struct kbr_group_offset *offsets, unsigned int count, s64 now_ms,
		      struct kbr_group_wait *wait)
{
	s64 now = kbr_clock_mono_ms();
	bool done;
	s16 code;

	kbr_group_check_offsets(group, offsets, count, now_ms);
	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	code = kbr_group_check_commit_locked(group, id, now);
	kbr_group_set_codes(offsets, count, code);
	done = kbr_group_commit_locked(group, offsets, count, wait);
	kbr_group_arm_locked(group, now);
	mutex_unlock(&group->lock);
	return done || kbr_group_commit_again(wait, offsets, count);
}
KBR_EXPORT_IF_KUNIT(kbr_group_commit);

bool kbr_group_commit_device(struct kbr_group *group, struct kbr_group_offset *offsets,
			     unsigned int count, s64 now_ms, struct kbr_group_wait *wait)
{
	bool done;

	kbr_group_check_offsets(group, offsets, count, now_ms);
	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	done = kbr_group_commit_locked(group, offsets, count, wait);
	mutex_unlock(&group->lock);
	return done || kbr_group_commit_again(wait, offsets, count);
}
KBR_EXPORT_IF_KUNIT(kbr_group_commit_device);

/* What became of an append: 0 not known yet, 1 on disk, or an error. Settled by then. */
static int kbr_group_wait_fate(struct kbr_group_wait *wait)
{
	int fate = kbr_partition_acked(wait->part, wait->last, wait->failures);

	if (fate) {
		mutex_lock(&wait->group->lock);
		kbr_group_settle_locked(wait->group);
		kbr_group_wake_locked(wait->group);
		mutex_unlock(&wait->group->lock);
	}
	return fate;
}

bool kbr_group_commit_again(struct kbr_group_wait *wait, struct kbr_group_offset *offsets,
			    unsigned int count)
{
	int fate = kbr_group_wait_fate(wait);

	if (!fate)
		return false;
	if (fate < 0)
		kbr_group_set_codes(offsets, count, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	return true;
}
KBR_EXPORT_IF_KUNIT(kbr_group_commit_again);

bool kbr_group_delete_offsets(struct kbr_group *group, struct kbr_group_offset *offsets,
			      unsigned int count, s64 now_ms, struct kbr_group_wait *wait)
{
	struct kbr_group_offset found;
	unsigned int i;
	bool done;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	for (i = 0; i < count; i++) {
		struct kbr_group_offset *offset = &offsets[i];

		if (offset->code)
			continue;
		if (group->kind == KBR_GROUP_DEVICE)
			offset->code = KBR_KAFKA_NON_EMPTY_GROUP;
		else if (kbr_group_subscribed_locked(group, &offset->topic))
			offset->code = KBR_KAFKA_GROUP_SUBSCRIBED_TO_TOPIC;
		else if (!kbr_group_offset_locked(group, &offset->topic, offset->partition, &found))
			/* that nothing was committed is no error */
			offset->code = kbr_group_check_offset(group->groups->broker, offset);
		offset->offset = -1;
		offset->metadata.len = 0;
		offset->commit_ms = now_ms;
		offset->expire_ms = -1;
	}
	done = kbr_group_commit_locked(group, offsets, count, wait);
	mutex_unlock(&group->lock);
	return done || kbr_group_commit_again(wait, offsets, count);
}
KBR_EXPORT_IF_KUNIT(kbr_group_delete_offsets);

static bool kbr_group_bury_one(struct kbr_group *group, struct list_head *entries,
			       const struct kbr_group_entry *entry)
{
	struct kbr_group_entry *grave;
	struct kbr_group_offset offset;

	kbr_group_entry_tell(entry, &offset);
	offset.offset = -1;
	offset.metadata.len = 0;
	grave = kbr_group_entry_new(group, &offset, true);
	if (IS_ERR(grave))
		return false;
	list_add_tail(&grave->list, entries);
	return true;
}

/* Tombstones of those that @over says; true if there is memory for them */
static bool kbr_group_bury(struct kbr_group *group, struct list_head *entries, s64 now_ms,
			   bool (*over)(struct kbr_group *group, const struct kbr_group_entry *entry,
					s64 now_ms))
{
	struct rb_node *node;

	for (node = rb_first(&group->offsets); node; node = rb_next(node)) {
		struct kbr_group_entry *entry = rb_entry(node, struct kbr_group_entry, node);

		if (over(group, entry, now_ms) && !kbr_group_bury_one(group, entries, entry))
			return false;
	}
	return true;
}

/* The same of all, also of those that are not known to be on disk. */
static bool kbr_group_bury_all(struct kbr_group *group, struct list_head *entries)
{
	struct kbr_group_pending *pending;
	struct kbr_group_entry *entry;
	struct rb_node *node;

	for (node = rb_first(&group->offsets); node; node = rb_next(node))
		if (!kbr_group_bury_one(group, entries, rb_entry(node, struct kbr_group_entry, node)))
			return false;
	list_for_each_entry(pending, &group->pending, node)
		list_for_each_entry(entry, &pending->entries, list)
			if (entry->offset >= 0 && !kbr_group_bury_one(group, entries, entry))
				return false;
	return true;
}

bool kbr_group_delete(struct kbr_group *group, s64 now_ms, struct kbr_group_wait *wait, s16 *code)
{
	LIST_HEAD(entries);

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	*code = 0;
	if (group->state == KBR_GROUP_DEAD)
		*code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	else if (group->state != KBR_GROUP_EMPTY || group->kind != KBR_GROUP_NONE)
		*code = KBR_KAFKA_NON_EMPTY_GROUP;
	else if (!kbr_group_bury_all(group, &entries) ||
		 kbr_group_append_locked(group, &entries, KBR_GROUP_PUT_DEAD, wait))
		*code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	kbr_group_free_entries_locked(group, &entries);
	mutex_unlock(&group->lock);
	return *code || kbr_group_delete_again(wait, code);
}
KBR_EXPORT_IF_KUNIT(kbr_group_delete);

bool kbr_group_delete_again(struct kbr_group_wait *wait, s16 *code)
{
	int fate = kbr_group_wait_fate(wait);

	if (fate < 0)
		*code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	return fate;
}
KBR_EXPORT_IF_KUNIT(kbr_group_delete_again);

/* ---- writing anew ---- */

void kbr_group_mark_locked(struct kbr_group *group, const struct kbr_group_entry *entry,
			   bool marked)
{
	struct kbr_str topic = kbr_group_entry_topic(entry);
	struct kbr_group_entry *old = kbr_group_entry_find(group, &topic, entry->partition);

	if (old)
		old->marked = marked;
}

bool kbr_group_copy_old_locked(struct kbr_group *group, s64 to, struct list_head *entries)
{
	struct kbr_group_offset offset;
	struct kbr_group_entry *copy;
	struct rb_node *node;

	for (node = rb_first(&group->offsets); node; node = rb_next(node)) {
		struct kbr_group_entry *entry = rb_entry(node, struct kbr_group_entry, node);

		if (entry->marked || entry->record >= to)
			continue;
		kbr_group_entry_tell(entry, &offset);
		copy = kbr_group_entry_new(group, &offset, true);
		if (IS_ERR(copy))
			return false;
		list_add_tail(&copy->list, entries);
	}
	return true;
}

bool kbr_group_any_old_locked(struct kbr_group *group, s64 to)
{
	struct rb_node *node;

	for (node = rb_first(&group->offsets); node; node = rb_next(node))
		if (rb_entry(node, struct kbr_group_entry, node)->record < to)
			return true;
	return false;
}

/* ---- the end of topics ---- */

static bool kbr_group_entry_orphan(struct kbr_group *group, const struct kbr_group_entry *entry,
				   s64 now_ms)
{
	struct kbr_topic *topic = kbr_topic_lookup(group->groups->broker, entry->topic->text);

	kbr_topic_put(topic);
	return !topic;
}

static void kbr_group_drop_orphans(struct kbr_group *group)
{
	LIST_HEAD(entries);

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	/* What fails, or is being committed, expiry finds later. */
	kbr_group_bury(group, &entries, kbr_clock_now_ms(), kbr_group_entry_orphan);
	if (!list_empty(&entries))
		kbr_group_append_locked(group, &entries, KBR_GROUP_PUT_NONE, NULL);
	kbr_group_free_entries_locked(group, &entries);
	mutex_unlock(&group->lock);
}

void kbr_groups_topic_deleted(struct kbr_broker *broker)
{
	struct kbr_str none = { .len = -1 };
	struct kbr_group *group, *next;

	for (group = kbr_group_next(broker, &none); group; group = next) {
		kbr_group_drop_orphans(group);
		next = kbr_group_next(broker, &group->name);
		kbr_group_put(group);
		cond_resched();
	}
}

/* ---- expiry ---- */

static bool kbr_group_entry_over(struct kbr_group *group, const struct kbr_group_entry *entry,
				 s64 now_ms)
{
	struct kbr_broker *broker = group->groups->broker;
	s64 since;

	if (kbr_group_entry_orphan(group, entry, now_ms))
		return true;
	if (group->state != KBR_GROUP_EMPTY || group->kind != KBR_GROUP_NONE)
		return false;
	if (entry->expire_ms >= 0)
		return now_ms >= entry->expire_ms;
	/* Of a group that had members it is counted from when the last one left. */
	since = group->protocol_type.len > 0 ? max(group->state_ms, entry->commit_ms) :
					       entry->commit_ms;
	return now_ms - since >= READ_ONCE(broker->config.offsets_retention_minutes) * 60000LL;
}

bool kbr_group_expire_locked(struct kbr_group *group, s64 now_ms)
{
	bool record, done = false;
	LIST_HEAD(entries);

	if (group->state == KBR_GROUP_DEAD || !list_empty(&group->pending))
		return false;
	kbr_group_bury(group, &entries, now_ms, kbr_group_entry_over);
	/* An empty group whose last offset goes is no more. */
	record = group->record >= 0 && group->state == KBR_GROUP_EMPTY &&
		 group->kind == KBR_GROUP_NONE &&
		 list_count_nodes(&entries) == group->offsets_count;
	if (!list_empty(&entries) || record)
		done = !kbr_group_append_locked(group, &entries, record ? KBR_GROUP_PUT_DEAD :
						KBR_GROUP_PUT_NONE, NULL);
	kbr_group_free_entries_locked(group, &entries);
	return done;
}
