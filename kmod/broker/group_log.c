// SPDX-License-Identifier: GPL-2.0-only
/*
 * __consumer_offsets: what groups are kept in. A group's records are in the
 * partition that its name hashes to; the last one of each key holds.
 *
 * There is no cleaner: when dead bytes of a partition exceed live ones, all
 * that lives is appended again, synced, and the log start raised behind the
 * older copies. A crash in between only makes the next load longer.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uio.h>

#include "base/clock.h"
#include "broker/cluster.h"
#include "broker/group_internal.h"
#include "codec/compress.h"

/* Offsets are appended in batches of about so many bytes, and loaded in reads of so many */
#define KBR_GROUP_BATCH_BYTES	(256u << 10)
#define KBR_GROUP_READ_BYTES	(1u << 20)
/* Largest record of a group: its members' assignments and subscriptions, bytes */
#define KBR_GROUP_RECORD_MAX	(32u << 20)
/* Record framing: lengths, deltas, header count */
#define KBR_GROUP_FRAMING	32
/* A partition is written anew from so many dead bytes on */
#define KBR_GROUP_DEAD_BYTES_MIN	(1u << 20)

struct kbr_partition *kbr_group_log_part(const struct kbr_group *group)
{
	return kbr_topic_partition(group->groups->topic, group->partition);
}

/* ---- appending ---- */

/**
 * struct kbr_group_batch - a batch under construction
 * @group: whose records
 * @pending: what is in it; NULL before the first one
 * @buf: its bytes
 * @size: of @buf
 * @bld: builds it
 * @key: of the record that is added
 * @value: likewise
 * @now_ms: their timestamp
 */
struct kbr_group_batch {
	struct kbr_group *group;
	struct kbr_group_pending *pending;
	void *buf;
	size_t size;
	struct kbr_batch_builder bld;
	struct kbr_wire_writer key;
	struct kbr_wire_writer value;
	s64 now_ms;
};

static int kbr_group_batch_begin(struct kbr_group_batch *batch, size_t size)
{
	if (size > batch->size) {
		kvfree(batch->buf);
		batch->size = 0;
		batch->buf = kvmalloc(size, GFP_KERNEL_ACCOUNT);
		if (!batch->buf)
			return -ENOMEM;
		batch->size = size;
	}
	/* one that was begun with too little room is still empty */
	if (!batch->pending) {
		batch->pending = kzalloc(sizeof(*batch->pending), GFP_KERNEL_ACCOUNT);
		if (!batch->pending)
			return -ENOMEM;
		INIT_LIST_HEAD(&batch->pending->entries);
	}
	kbr_batch_builder_init(&batch->bld, batch->buf, batch->size);
	return 0;
}

/* Append what is in it; its records are pending then. On error all stays as it is. */
static int kbr_group_batch_flush(struct kbr_group_batch *batch)
{
	struct kbr_group *group = batch->group;
	struct kbr_broker *broker = group->groups->broker;
	struct kbr_group_pending *pending = batch->pending;
	struct kbr_produce produce = {
		.buf = batch->buf,
		.acks = KBR_ACKS_ALL,
		.trusted = true,
		.internal = true,
		/* A signal must not keep a member from telling how far it came. */
		.final = true,
		.now_ms = batch->now_ms,
		.verdict.record = -1,
		.verdict.max_timestamp = batch->now_ms,
	};
	struct kbr_group_entry *entry;
	int err;

	if (!pending || !batch->bld.count)
		return 0;
	/* A device that leaves must not forget how far it came. */
	if (group->kind != KBR_GROUP_DEVICE && !kbr_broker_has_room(broker))
		return -EAGAIN;
	produce.len = kbr_batch_builder_close(&batch->bld, &produce.verdict.batch);
	err = kbr_partition_produce(kbr_group_log_part(group), &produce);
	if (err)
		return err;
	list_for_each_entry(entry, &pending->entries, list)
		entry->record += produce.base_offset;
	pending->group_record += produce.base_offset;
	pending->last = produce.last_offset;
	pending->failures = produce.failures;
	pending->seq = ++group->seq;
	list_add_tail(&pending->node, &group->pending);
	batch->pending = NULL;
	return 0;
}

/* Add the record in @batch->key and ->value; its number in the batch, or an error. */
static int kbr_group_batch_put(struct kbr_group_batch *batch, bool tombstone, u32 *bytes)
{
	struct kbr_record rec = {
		.timestamp = batch->now_ms,
		.key = batch->key.buf,
		.key_len = batch->key.len,
		.value = tombstone ? NULL : batch->value.buf,
		.value_len = tombstone ? 0 : batch->value.len,
	};
	size_t size = batch->key.len + batch->value.len + KBR_GROUP_FRAMING;
	int err = batch->key.err ?: batch->value.err;

	*bytes = size;
	if (err)
		return err;
	if (batch->pending) {
		err = kbr_batch_builder_add(&batch->bld, &rec);
		if (!err)
			return batch->bld.count - 1;
		if (err != -ENOSPC)
			return err;
		err = kbr_group_batch_flush(batch);
		if (err)
			return err;
	}
	err = kbr_group_batch_begin(batch, max_t(size_t, size + KBR_BATCH_HEADER_LEN, batch->size));
	if (!err)
		err = kbr_batch_builder_add(&batch->bld, &rec);
	return err ?: batch->bld.count - 1;
}

static int kbr_group_batch_put_entry(struct kbr_group_batch *batch, struct kbr_group_entry *entry)
{
	const struct kbr_group_key key = {
		.kind = KBR_GROUP_RECORD_OFFSET,
		.group = batch->group->name,
		.topic = { .at = entry->topic->text, .len = entry->topic->len },
		.partition = entry->partition,
	};
	const struct kbr_offset_value value = {
		.offset = entry->offset,
		.leader_epoch = entry->leader_epoch,
		.metadata = { .at = entry->metadata, .len = entry->metadata_len },
		.commit_ms = entry->commit_ms,
		.expire_ms = entry->expire_ms,
	};
	u32 bytes;
	int at;

	batch->key.len = 0;
	batch->value.len = 0;
	kbr_group_key_encode(&batch->key, &key);
	if (entry->offset >= 0)
		kbr_offset_value_encode(&batch->value, &value);
	at = kbr_group_batch_put(batch, entry->offset < 0, &bytes);
	if (at < 0)
		return at;
	entry->record = at;
	entry->record_bytes = bytes;
	list_move_tail(&entry->list, &batch->pending->entries);
	return 0;
}

static void kbr_group_encode_members(struct kbr_wire_writer *w, const struct kbr_group *group)
{
	const struct kbr_group_member *member;
	struct kbr_group_member_info info;
	struct kbr_group_value_member value;

	list_for_each_entry(member, &group->members, node) {
		kbr_group_member_tell_locked(group, member, &info);
		value = (struct kbr_group_value_member) {
			.id = info.id,
			.instance_id = info.instance_id,
			.client_id = info.client_id,
			.client_host = info.client_host,
			.rebalance_timeout_ms = info.rebalance_timeout_ms,
			.session_timeout_ms = info.session_timeout_ms,
			.subscription = info.metadata,
			.assignment = info.assignment,
		};
		kbr_group_value_member_encode(w, &value);
	}
}

static int kbr_group_batch_put_group(struct kbr_group_batch *batch, enum kbr_group_put put)
{
	struct kbr_group *group = batch->group;
	const struct kbr_group_key key = {
		.kind = KBR_GROUP_RECORD_GROUP,
		.group = group->name,
	};
	struct kbr_group_value value = {
		.protocol_type = group->protocol_type,
		.generation = group->generation,
		.protocol = { .len = -1 },
		.leader = { .len = -1 },
		.state_ms = group->state_ms,
	};
	u32 bytes;
	int at;

	if (value.protocol_type.len < 0)
		value.protocol_type = (struct kbr_str) { .at = "" };
	if (put == KBR_GROUP_PUT_FULL) {
		value.protocol = group->protocol;
		if (group->leader)
			value.leader = group->leader->id;
		value.members = group->members_count;
	}
	batch->key.len = 0;
	batch->value.len = 0;
	kbr_group_key_encode(&batch->key, &key);
	if (put != KBR_GROUP_PUT_DEAD)
		kbr_group_value_encode(&batch->value, &value);
	if (value.members)
		kbr_group_encode_members(&batch->value, group);
	at = kbr_group_batch_put(batch, put == KBR_GROUP_PUT_DEAD, &bytes);
	if (at < 0)
		return at;
	batch->pending->has_group = true;
	batch->pending->group_record = at;
	batch->pending->group_bytes = put == KBR_GROUP_PUT_DEAD ? 0 : bytes;
	return 0;
}

/* About so many bytes will do for a batch of @entries. */
static size_t kbr_group_batch_estimate(struct kbr_group *group, struct list_head *entries)
{
	size_t size = KBR_BATCH_HEADER_LEN + 2 * KBR_GROUP_FRAMING + group->name.len;
	struct kbr_group_entry *entry;

	list_for_each_entry(entry, entries, list) {
		size += group->name.len + entry->topic->len + entry->metadata_len +
			2 * KBR_GROUP_FRAMING;
		if (size >= KBR_GROUP_BATCH_BYTES)
			return KBR_GROUP_BATCH_BYTES;
	}
	return size;
}

/* What did not get into the log goes back to the caller. */
static void kbr_group_batch_undo(struct kbr_group_batch *batch, struct list_head *entries)
{
	if (!batch->pending)
		return;
	list_splice(&batch->pending->entries, entries);
	kfree(batch->pending);
}

int kbr_group_append_locked(struct kbr_group *group, struct list_head *entries,
			    enum kbr_group_put put, struct kbr_group_wait *wait)
{
	struct kbr_group_batch batch = { .group = group, .now_ms = kbr_clock_now_ms() };
	struct kbr_group_entry *entry, *next;
	struct kbr_group_pending *last;
	int err;

	if (group->state == KBR_GROUP_DEAD)
		return -ENODEV;
	kbr_wire_writer_init(&batch.key, KBR_GROUP_BATCH_BYTES, false);
	kbr_wire_writer_init(&batch.value, KBR_GROUP_RECORD_MAX, false);
	err = kbr_group_batch_begin(&batch, kbr_group_batch_estimate(group, entries));
	if (err)
		goto out;
	list_for_each_entry_safe(entry, next, entries, list) {
		err = kbr_group_batch_put_entry(&batch, entry);
		if (err)
			goto out;
	}
	if (put != KBR_GROUP_PUT_NONE)
		err = kbr_group_batch_put_group(&batch, put);
	if (!err)
		err = kbr_group_batch_flush(&batch);
	if (err || !wait)
		goto out;
	last = list_last_entry(&group->pending, struct kbr_group_pending, node);
	wait->part = kbr_group_log_part(group);
	wait->last = last->last;
	wait->failures = last->failures;
	wait->seq = last->seq;
	wait->group = group;
	kbr_group_get(group);
	wait->topic = wait->part->topic;
	kbr_topic_get(wait->topic);
out:
	kbr_group_batch_undo(&batch, entries);
	kvfree(batch.buf);
	kbr_wire_writer_free(&batch.key);
	kbr_wire_writer_free(&batch.value);
	return err;
}

/* ---- loading ---- */

/**
 * struct kbr_group_load - a load under way
 * @groups: what is loaded
 * @part: partition that is read
 * @pos: where
 * @buf: whole batches
 * @size: of @buf
 * @skipped: records that could not be understood, or were in a wrong partition
 * @err: why something could not be kept in memory
 */
struct kbr_group_load {
	struct kbr_groups *groups;
	struct kbr_partition *part;
	struct kbr_log_pos pos;
	void *buf;
	size_t size;
	u64 skipped;
	int err;
};

static int kbr_group_load_offset(struct kbr_group *group, const struct kbr_group_key *key,
				 const struct kbr_record *rec)
{
	struct kbr_group_offset offset = {
		.topic = key->topic,
		.partition = key->partition,
		.offset = -1,
	};
	struct kbr_offset_value value;
	struct kbr_group_entry *entry;
	int err;

	if (rec->value) {
		err = kbr_offset_value_decode(&value, rec->value, rec->value_len);
		if (err)
			return err;
		offset.offset = value.offset;
		offset.leader_epoch = value.leader_epoch;
		offset.metadata = value.metadata;
		offset.commit_ms = value.commit_ms;
		offset.expire_ms = value.expire_ms;
	}
	/* Tombstones make room. */
	entry = kbr_group_entry_new(group, &offset, !rec->value);
	if (IS_ERR(entry))
		return -ENOMEM;
	entry->record = rec->offset;
	entry->record_bytes = rec->key_len + rec->value_len + KBR_GROUP_FRAMING;
	kbr_group_apply_locked(group, entry);
	return 0;
}

static int kbr_group_load_group(struct kbr_group *group, const struct kbr_record *rec)
{
	struct kbr_group_value value;
	struct kbr_wire_reader r;
	int err = 0;

	if (rec->value) {
		err = kbr_group_value_decode(&value, &r, rec->value, rec->value_len);
		if (!err)
			err = kbr_group_load_members_locked(group, &value, &r,
							    kbr_clock_mono_ms());
		if (err == -EBADMSG || err == -EOPNOTSUPP)
			return err;
	} else {
		kbr_group_drop_members_locked(group, KBR_KAFKA_UNKNOWN_MEMBER_ID);
		group->kind = KBR_GROUP_NONE;
		group->state = KBR_GROUP_EMPTY;
	}
	kbr_group_apply_record_locked(group, rec->offset, rec->value ? rec->key_len +
				      rec->value_len + KBR_GROUP_FRAMING : 0);
	return err;
}

static void kbr_group_load_record(struct kbr_group_load *load, const struct kbr_record *rec)
{
	struct kbr_groups *groups = load->groups;
	struct kbr_group_key key;
	struct kbr_group *group;
	int err = -EBADMSG;
	s16 code;

	if (!rec->key || kbr_group_key_decode(&key, rec->key, rec->key_len) ||
	    key.kind == KBR_GROUP_RECORD_UNKNOWN || key.group.len > KBR_GROUP_NAME_MAX ||
	    kbr_group_partition(&key.group, groups->partitions) != load->part->index) {
		load->skipped++;
		return;
	}
	group = kbr_group_get_in(groups, &key.group, true, &code);
	if (!group) {
		load->err = -ENOMEM;
		return;
	}
	mutex_lock(&group->lock);
	if (key.kind == KBR_GROUP_RECORD_OFFSET)
		err = kbr_group_load_offset(group, &key, rec);
	else
		err = kbr_group_load_group(group, rec);
	mutex_unlock(&group->lock);
	kbr_group_put(group);
	if (err == -ENOMEM)
		load->err = err;
	else if (err)
		load->skipped++;
}

static void kbr_group_load_batch(struct kbr_group_load *load, const struct kbr_batch *batch,
				 const void *buf)
{
	struct kbr_unpacked records;
	struct kbr_record_iter it;
	struct kbr_record rec;
	int ret;

	if (batch->attributes & KBR_BATCH_CONTROL)
		return;
	ret = kbr_batch_check_crc(buf, batch->size);
	if (!ret)
		ret = kbr_unpack(batch, buf, KBR_UNPACKED_BYTES_MAX, &records);
	if (ret) {
		if (ret == -ENOMEM)
			load->err = ret;
		load->skipped += batch->records_count;
		return;
	}
	kbr_record_iter_init(&it, batch, records.data, records.len);
	while ((ret = kbr_record_next(&it, &rec)) > 0) {
		kbr_group_load_record(load, &rec);
		cond_resched();
	}
	if (ret)
		load->skipped += it.left;
	kbr_unpacked_release(&records);
}

/* The next whole batches into the buffer, which grows for a large one; bytes, 0 at the end. */
static ssize_t kbr_group_load_read(struct kbr_group_load *load)
{
	struct iov_iter to;
	struct kvec vec;
	size_t room = 0;
	ssize_t ret;

	for (;;) {
		vec = (struct kvec) { .iov_base = load->buf, .iov_len = load->size };
		iov_iter_kvec(&to, ITER_DEST, &vec, 1, load->size);
		ret = kbr_partition_read(load->part, &load->pos, &to, &room);
		if (ret != -EMSGSIZE)
			return ret;
		kvfree(load->buf);
		load->size = room;
		load->buf = kvmalloc(room, GFP_KERNEL);
		if (!load->buf) {
			load->size = 0;
			return -ENOMEM;
		}
	}
}

static void kbr_group_load_partition(struct kbr_group_load *load)
{
	struct kbr_batch batch;
	ssize_t len = 0;
	size_t at;

	load->pos = (struct kbr_log_pos) { .offset = kbr_log_start(&load->part->log) };
	while (!kbr_groups_stopped(load->groups)) {
		len = kbr_group_load_read(load);
		if (len <= 0)
			break;
		for (at = 0; at < len; at += batch.size) {
			if (kbr_batch_decode(&batch, load->buf + at, len - at) ||
			    batch.size > len - at) {
				/* where the next one begins is not known */
				load->skipped++;
				break;
			}
			kbr_group_load_batch(load, &batch, load->buf + at);
		}
	}
	if (len < 0 && len != -ENODATA)
		load->err = len;
}

void kbr_groups_arm(struct kbr_groups *groups, u32 first, u32 end)
{
	s64 now = kbr_clock_mono_ms();
	struct rb_node *node;

	down_read(&groups->lock);
	for (node = rb_first(&groups->tree); node; node = rb_next(node)) {
		struct kbr_group *group = rb_entry(node, struct kbr_group, node);

		if (group->partition < first || group->partition >= end)
			continue;
		mutex_lock(&group->lock);
		if (group->members_count)
			kbr_group_arm_locked(group, now);
		mutex_unlock(&group->lock);
	}
	up_read(&groups->lock);
}

/* Partitions @first to @end */
static int kbr_groups_load(struct kbr_groups *groups, u32 first, u32 end)
{
	struct kbr_group_load load = { .groups = groups };
	u64 before;
	int err = 0;
	u32 i;

	load.buf = kvmalloc(KBR_GROUP_READ_BYTES, GFP_KERNEL);
	if (!load.buf)
		return -ENOMEM;
	load.size = KBR_GROUP_READ_BYTES;
	for (i = first; i < end; i++) {
		load.part = kbr_topic_partition(groups->topic, i);
		load.err = 0;
		before = load.skipped;
		kbr_group_load_partition(&load);
		/* What was passed over may mean something to a newer version. */
		groups->logs[i].partial = load.err || load.skipped > before;
		err = err ?: load.err;
	}
	kvfree(load.buf);
	if (load.skipped)
		pr_warn("%s: %llu records of %s could not be understood and were passed over\n",
			groups->broker->name, load.skipped, KBR_OFFSETS_TOPIC);
	if (err)
		pr_err("%s: not all of %s could be loaded (%d): its groups may begin at older offsets\n",
		       groups->broker->name, KBR_OFFSETS_TOPIC, err);
	return 0;
}

int kbr_groups_load_one(struct kbr_groups *groups, u32 index)
{
	return kbr_groups_load(groups, index, index + 1);
}

/* A member loads what it leads, as it comes to lead it. */
static int kbr_groups_load_all(struct kbr_groups *groups)
{
	u32 i;

	if (kbr_cluster_is_member(groups->broker)) {
		for (i = 0; i < groups->partitions; i++)
			groups->logs[i].epoch = -1;
		return 0;
	}
	for (i = 0; i < groups->partitions; i++)
		groups->logs[i].where = KBR_GROUP_LOG_HERE;
	return kbr_groups_load(groups, 0, groups->partitions);
}

void kbr_groups_load_work(struct work_struct *work)
{
	struct kbr_groups *groups = container_of(work, struct kbr_groups, load);
	bool made = READ_ONCE(groups->state) == KBR_GROUPS_MAKING;
	struct kbr_topic *topic;
	int err;

	if (kbr_groups_stopped(groups))
		return;
	topic = kbr_topic_lookup(groups->broker, KBR_OFFSETS_TOPIC);
	if (!topic) {
		kbr_groups_set_state(groups, KBR_GROUPS_ABSENT, made ? -EIO : 0);
		return;
	}
	groups->partitions = kbr_topic_partitions(topic);
	groups->logs = kvcalloc(groups->partitions, sizeof(*groups->logs), GFP_KERNEL);
	if (!groups->logs) {
		kbr_topic_put(topic);
		kbr_groups_set_state(groups, KBR_GROUPS_ABSENT, -ENOMEM);
		return;
	}
	groups->topic = topic;
	err = kbr_groups_load_all(groups);
	if (err) {
		groups->topic = NULL;
		kvfree(groups->logs);
		groups->logs = NULL;
		kbr_topic_put(topic);
		kbr_groups_set_state(groups, KBR_GROUPS_ABSENT, err);
		return;
	}
	kbr_groups_arm(groups, 0, groups->partitions);
	kbr_groups_set_state(groups, KBR_GROUPS_READY, 0);
	if (kbr_cluster_is_member(groups->broker))
		kbr_groups_move_now(groups);
}

/* ---- writing anew ---- */

/* Is the newest record of something below @to, so that it must be written again? */
static bool kbr_group_record_old(s64 record, s64 to)
{
	return record >= 0 && record < to;
}

/* Offsets that a pending commit will replace need no other copy. */
static void kbr_group_mark_pending(struct kbr_group *group, bool marked)
{
	struct kbr_group_pending *pending;
	struct kbr_group_entry *entry;

	list_for_each_entry(pending, &group->pending, node)
		list_for_each_entry(entry, &pending->entries, list)
			kbr_group_mark_locked(group, entry, marked);
}

/* Append again what of @group lies below @to. */
static int kbr_group_rewrite(struct kbr_group *group, s64 to)
{
	enum kbr_group_put put = KBR_GROUP_PUT_NONE;
	LIST_HEAD(entries);
	int err = 0;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	kbr_group_mark_pending(group, true);
	if (!kbr_group_copy_old_locked(group, to, &entries))
		err = -ENOMEM;
	kbr_group_mark_pending(group, false);
	if (kbr_group_record_old(group->record, to))
		/* An assignment that is being stored must not be behind a record without it. */
		put = group->kind == KBR_GROUP_CLASSIC &&
		      (group->state == KBR_GROUP_STABLE || group->storing) ?
		      KBR_GROUP_PUT_FULL : KBR_GROUP_PUT_BARE;
	if (!err && (!list_empty(&entries) || put != KBR_GROUP_PUT_NONE))
		err = kbr_group_append_locked(group, &entries, put, NULL);
	kbr_group_free_entries_locked(group, &entries);
	mutex_unlock(&group->lock);
	return err;
}

/* Are all of @group's records at @to or above, and on disk? */
static int kbr_group_rewritten(struct kbr_group *group, s64 to)
{
	struct kbr_group_pending *pending;
	int err = 0;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	/* A commit that is on disk may not be below the high watermark yet. */
	pending = list_first_entry_or_null(&group->pending, struct kbr_group_pending, node);
	if ((pending && pending->last < to) || kbr_group_record_old(group->record, to) ||
	    kbr_group_any_old_locked(group, to))
		err = -EAGAIN;
	mutex_unlock(&group->lock);
	return err;
}

/* Call @what for each group of partition @index; the first error ends it. */
static int kbr_groups_for_partition(struct kbr_groups *groups, u32 index, s64 to,
				    int (*what)(struct kbr_group *group, s64 to))
{
	struct kbr_str none = { .len = -1 };
	struct kbr_group *group, *next;
	int err = 0;

	for (group = kbr_group_next(groups->broker, &none); group; group = next) {
		if (group->partition == index)
			err = what(group, to);
		next = err ? NULL : kbr_group_next(groups->broker, &group->name);
		kbr_group_put(group);
		cond_resched();
	}
	/* From then on no group is found: the others were not asked. */
	return err ?: kbr_groups_stopped(groups) ? -ENODEV : 0;
}

static int kbr_groups_rewrite_partition(struct kbr_groups *groups, struct kbr_partition *part)
{
	s64 to = kbr_log_end(&part->log);
	s32 epoch = READ_ONCE(groups->logs[part->index].epoch);
	int err;

	/* What is below is decided: on disk, and so in memory. */
	err = kbr_partition_sync(part, to, READ_ONCE(part->sync_failures));
	if (!err)
		err = kbr_groups_for_partition(groups, part->index, to, kbr_group_rewrite);
	if (!err)
		err = kbr_partition_sync(part, kbr_log_end(&part->log),
					 READ_ONCE(part->sync_failures));
	if (!err)
		err = kbr_groups_for_partition(groups, part->index, to, kbr_group_rewritten);
	/* Groups that were forgotten meanwhile were not asked. */
	if (!err && (!kbr_groups_log_is_here(groups, part->index) ||
		     READ_ONCE(groups->logs[part->index].epoch) != epoch))
		err = -EAGAIN;
	return err ?: kbr_partition_delete_records(part, to);
}

/* Bytes that a load would read */
static u64 kbr_groups_log_bytes(struct kbr_partition *part)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_log_lag lag = {};
	int idx = srcu_read_lock(&broker->io);

	if (!kbr_topic_gone(part->topic) && READ_ONCE(part->opened))
		kbr_log_get_lag(&part->log, kbr_log_start(&part->log), &lag);
	srcu_read_unlock(&broker->io, idx);
	return lag.bytes;
}

void kbr_groups_rewrite(struct kbr_groups *groups)
{
	struct kbr_partition *part;
	struct kbr_topic *topic;
	s64 live, bytes;
	u32 i;
	int err;

	/* The stop does not wait for this, and gives the topic away. */
	down_read(&groups->lock);
	topic = kbr_groups_stopped(groups) ? NULL : groups->topic;
	if (topic)
		kbr_topic_get(topic);
	up_read(&groups->lock);
	if (!topic)
		return;
	for (i = 0; i < groups->partitions && !kbr_groups_stopped(groups); i++) {
		part = kbr_topic_partition(topic, i);
		/* What is not in memory is in the log only: a restart may load it. */
		if (groups->logs[i].partial || READ_ONCE(part->state) != KBR_PARTITION_LEADER ||
		    !kbr_groups_log_is_here(groups, i))
			continue;
		bytes = kbr_groups_log_bytes(part);
		live = atomic64_read(&groups->logs[i].live);
		if (bytes - live <= max_t(s64, live, KBR_GROUP_DEAD_BYTES_MIN))
			continue;
		err = kbr_groups_rewrite_partition(groups, part);
		if (err && err != -EAGAIN && err != -ENODEV)
			pr_warn_ratelimited("%s: %s-%u can't be written anew (%d), tries again\n",
					    groups->broker->name, KBR_OFFSETS_TOPIC, i, err);
	}
	kbr_topic_put(topic);
}
