// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata log of a standalone broker, __cluster_metadata-0: opened,
 * replayed, appended to and shortened here. What is in a record is
 * metadata_record.c's; what the records mean for topics is their visitor's.
 *
 * Written by one at a time: the broker's start, then its ordered queue.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/metadata.h"
#include "broker/metadata_record.h"
#include "broker/topic.h"
#include "codec/record.h"

#define KBR_METADATA_DIR	KBR_METADATA_TOPIC "-0"
/* A batch of values: one of the largest, or many small ones */
#define KBR_METADATA_BATCH	(256u << 10)
/* History below this is not worth forgetting */
#define KBR_METADATA_DEAD_MIN	(64u << 10)

/**
 * struct kbr_metadata - the log
 * @log: itself
 * @config: how it is kept: for ever
 * @batch: where a batch is built or read, KBR_METADATA_BATCH bytes
 * @value: where a value is built, KBR_METADATA_VALUE_MAX bytes
 * @bytes: of all values since the log start
 * @check_at: look for history once @bytes is beyond
 * @doubt: a record that failed to sync may come back; see kbr_metadata_repair()
 */
struct kbr_metadata {
	struct kbr_log log;
	struct kbr_log_config config;
	void *batch;
	void *value;
	u64 bytes;
	u64 check_at;
	bool doubt;
};

static const u8 kbr_metadata_topic_id[16] = { [15] = 1 };	/* Kafka's id of that topic */

struct kbr_log *kbr_metadata_log(struct kbr_broker *broker)
{
	return broker->metadata ? &broker->metadata->log : NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_metadata_log);

/* ---- replay ---- */

/* A topic as the records read so far have it */
struct kbr_metadata_entry {
	struct rb_node node;
	bool deleted;
	struct kbr_metadata_topic topic;
	char name[KBR_TOPIC_NAME_MAX + 1];
};

/* The state of a replay */
struct kbr_metadata_replay {
	struct kbr_broker *broker;
	struct rb_root topics;
	bool has_own;
	struct kbr_metadata_broker own;
	struct kbr_refusal *why;
};

static struct kbr_metadata_entry *kbr_metadata_entry_get(struct kbr_metadata_replay *replay,
							 const char *name)
{
	struct rb_node **link = &replay->topics.rb_node, *parent = NULL;
	struct kbr_metadata_entry *entry;

	while (*link) {
		int order;

		parent = *link;
		entry = rb_entry(parent, struct kbr_metadata_entry, node);
		order = strcmp(name, entry->name);
		if (!order)
			return entry;
		link = order < 0 ? &parent->rb_left : &parent->rb_right;
	}
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return NULL;
	strscpy(entry->name, name, sizeof(entry->name));
	rb_link_node(&entry->node, parent, link);
	rb_insert_color(&entry->node, &replay->topics);
	return entry;
}

static void kbr_metadata_replay_free(struct kbr_metadata_replay *replay)
{
	struct kbr_metadata_entry *entry, *next;

	rbtree_postorder_for_each_entry_safe(entry, next, &replay->topics, node) {
		kbr_config_set_free(&entry->topic.configs);
		kfree(entry);
	}
	kbr_config_set_free(&replay->own.configs);
}

/* A record holds the whole state of its object: the last one counts. */
static int kbr_metadata_replay_value(struct kbr_metadata_replay *replay, const void *buf,
				     size_t len)
{
	struct kbr_metadata_value value;
	struct kbr_metadata_entry *entry;
	int err;

	err = kbr_metadata_decode(&value, buf, len, replay->why);
	if (err)
		return err;
	if (value.type == KBR_METADATA_BROKER_PUT) {
		kbr_config_set_free(&replay->own.configs);
		replay->own = value.broker;
		replay->has_own = true;
		return 0;
	}
	entry = kbr_metadata_entry_get(replay, value.topic.name);
	if (!entry) {
		kbr_config_set_free(&value.topic.configs);
		return -ENOMEM;
	}
	kbr_config_set_free(&entry->topic.configs);
	entry->topic = value.topic;
	entry->topic.name = entry->name;
	entry->deleted = value.type == KBR_METADATA_TOPIC_DEL;
	replay->broker->metadata->bytes += len;
	return 0;
}

/* All records of the batch at @buf, from offset @start on. */
static int kbr_metadata_replay_batch(struct kbr_metadata_replay *replay, const void *buf,
				     const struct kbr_batch *batch, s64 start)
{
	struct kbr_record_iter it;
	struct kbr_record rec;
	int err;

	err = kbr_batch_check_crc(buf, batch->size);
	if (err)
		return err;
	if (kbr_batch_codec(batch) != KBR_CODEC_NONE)
		return -EBADMSG;
	kbr_record_iter_init(&it, batch, buf + KBR_BATCH_HEADER_LEN,
			     batch->size - KBR_BATCH_HEADER_LEN);
	while ((err = kbr_record_next(&it, &rec)) > 0) {
		if (rec.offset < start)
			continue;
		if (!rec.value)
			return -EBADMSG;
		err = kbr_metadata_replay_value(replay, rec.value, rec.value_len);
		if (err) {
			pr_err("%s: %s: the record at offset %lld can't be used (%d)\n",
			       replay->broker->name, KBR_METADATA_DIR, rec.offset, err);
			return err;
		}
	}
	return err;
}

static int kbr_metadata_replay(struct kbr_metadata_replay *replay)
{
	struct kbr_metadata *meta = replay->broker->metadata;
	s64 start = kbr_log_start(&meta->log);
	struct kbr_log_pos pos = { .offset = start };
	struct kbr_batch batch;
	struct iov_iter iter;
	struct kvec vec;
	size_t room, at;
	ssize_t got;
	int err;

	for (;;) {
		vec.iov_base = meta->batch;
		vec.iov_len = KBR_METADATA_BATCH;
		iov_iter_kvec(&iter, ITER_DEST, &vec, 1, vec.iov_len);
		got = kbr_log_read(&meta->log, &pos, kbr_log_end(&meta->log), &iter, &room);
		if (got <= 0)
			return got == -EMSGSIZE ? -EBADMSG : got;
		for (at = 0; at < got; at += batch.size) {
			err = kbr_batch_decode(&batch, meta->batch + at, got - at);
			if (err || batch.size > got - at)
				return -EBADMSG;
			err = kbr_metadata_replay_batch(replay, meta->batch + at, &batch, start);
			if (err)
				return err;
		}
	}
}

/* Tell the visitor what is left; the broker first, since topics inherit from it. */
static int kbr_metadata_visit(struct kbr_metadata_replay *replay,
			      const struct kbr_metadata_visitor *visitor)
{
	struct kbr_broker *broker = replay->broker;
	struct rb_node *node;
	int err = 0;

	if (replay->has_own)
		err = visitor->broker(broker, &replay->own, replay->why);
	for (node = rb_first(&replay->topics); node && !err; node = rb_next(node)) {
		struct kbr_metadata_entry *entry = rb_entry(node, struct kbr_metadata_entry, node);

		if (entry->deleted)
			err = visitor->deleted(broker, entry->name, entry->topic.id);
		else
			err = visitor->topic(broker, &entry->topic, replay->why);
		cond_resched();
	}
	return err;
}

/* ---- open and close ---- */

static struct kbr_metadata *kbr_metadata_alloc(void)
{
	struct kbr_metadata *meta = kzalloc(sizeof(*meta), GFP_KERNEL);

	if (!meta)
		return NULL;
	meta->batch = kvmalloc(KBR_METADATA_BATCH, GFP_KERNEL);
	meta->value = kvmalloc(KBR_METADATA_VALUE_MAX, GFP_KERNEL);
	if (!meta->batch || !meta->value) {
		kvfree(meta->batch);
		kvfree(meta->value);
		kfree(meta);
		return NULL;
	}
	meta->config = kbr_log_config_default;
	meta->config.segment_bytes = 1 << 20;
	meta->config.retention_ms = -1;
	meta->config.retention_bytes = -1;
	meta->config.segment_ms = S64_MAX;
	meta->config.file_delete_delay_ms = 0;
	meta->config.retain = true;
	meta->check_at = KBR_METADATA_DEAD_MIN;
	return meta;
}

static void kbr_metadata_free(struct kbr_metadata *meta)
{
	kvfree(meta->batch);
	kvfree(meta->value);
	kfree(meta);
}

static int kbr_metadata_open_log(struct kbr_broker *broker, bool clean, s64 recovery_point,
				 s64 start, struct kbr_refusal *why)
{
	struct kbr_metadata *meta = broker->metadata;
	struct kbr_log_report report = { .damaged_offset = -1 };
	int err;

	err = kbr_log_open(&meta->log, &broker->env, KBR_METADATA_DIR, kbr_metadata_topic_id,
			   &meta->config, clean, recovery_point, start, &report);
	if (err == -ENOENT && recovery_point <= 0)
		err = kbr_log_create(&meta->log, &broker->env, KBR_METADATA_DIR,
				     kbr_metadata_topic_id, &meta->config, 0);
	if (err)
		return kbr_refuse(why, err, 0, "%s can't be opened", KBR_METADATA_DIR);
	if (report.damaged_offset >= 0) {
		kbr_log_abandon(&meta->log);
		return kbr_refuse(why, -EBADMSG, 0,
				  "%s is damaged at offset %lld, below what was synced: topics can't be known",
				  KBR_METADATA_DIR, report.damaged_offset);
	}
	if (!clean || meta->log.epoch < 0)
		err = kbr_log_set_epoch(&meta->log, max(kbr_log_last_epoch(&meta->log) + 1, 0));
	if (err)
		kbr_log_abandon(&meta->log);
	return err;
}

int kbr_metadata_open(struct kbr_broker *broker, bool clean, s64 recovery_point, s64 start,
		      const struct kbr_metadata_visitor *visitor, struct kbr_refusal *why)
{
	struct kbr_metadata_replay replay = {
		.broker = broker,
		.topics = RB_ROOT,
		.why = why,
	};
	int err;

	broker->metadata = kbr_metadata_alloc();
	if (!broker->metadata)
		return -ENOMEM;
	err = kbr_metadata_open_log(broker, clean, recovery_point, start, why);
	if (err)
		goto free;
	err = kbr_metadata_replay(&replay);
	if (err && why && !why->text[0])
		kbr_refuse(why, err, 0, "%s can't be read", KBR_METADATA_DIR);
	if (!err)
		err = kbr_metadata_visit(&replay, visitor);
	kbr_metadata_replay_free(&replay);
	if (!err)
		return 0;
	kbr_log_abandon(&broker->metadata->log);
free:
	kbr_metadata_free(broker->metadata);
	broker->metadata = NULL;
	return err;
}

int kbr_metadata_close(struct kbr_broker *broker, bool abandon)
{
	struct kbr_metadata *meta = broker->metadata;
	int err = 0;

	if (!meta)
		return 0;
	if (abandon)
		kbr_log_abandon(&meta->log);
	else
		err = kbr_log_close(&meta->log);
	broker->metadata = NULL;
	kbr_metadata_free(meta);
	return err;
}

/* ---- append ---- */

static int kbr_metadata_sync(struct kbr_broker *broker)
{
	struct kbr_log *log = &broker->metadata->log;

	kbr_log_request_sync(log, 1);
	kbr_syncer_flush(broker->env.syncer, &log->sync);
	return kbr_log_synced(log) >= kbr_log_end(log) ? 0 : -EIO;
}

/*
 * A sync failed: see what the disk has. If a record of an operation that was
 * told to have failed is there after all, the present state must outlive it.
 */
static int kbr_metadata_repair(struct kbr_broker *broker)
{
	struct kbr_log *log = &broker->metadata->log;
	s64 lost;
	int err;

	err = kbr_log_repair(log, &lost);
	if (!err)
		err = kbr_log_set_epoch(log, log->epoch + 1);
	if (!err)
		pr_info("%s: %s: read back from the disk, goes on at offset %lld\n", broker->name,
			KBR_METADATA_DIR, kbr_log_end(log));
	return err;
}

/* Append the batch in @bld and wait until it is durable. */
static int kbr_metadata_append(struct kbr_broker *broker, struct kbr_batch_builder *bld,
			       bool use_reserve)
{
	struct kbr_metadata *meta = broker->metadata;
	struct kbr_batch_verdict verdict = { .record = -1 };
	struct kbr_append append = {
		.buf = meta->batch,
		.verdicts = &verdict,
		.batches = 1,
		.now_ms = kbr_clock_now_ms(),
	};
	int err;

	append.len = kbr_batch_builder_finish(bld);
	err = kbr_batch_decode(&verdict.batch, append.buf, append.len);
	if (WARN_ON_ONCE(err))
		return err;
	verdict.max_timestamp = verdict.batch.max_timestamp;
	err = kbr_log_append(&meta->log, &append, false);
	if (err == -ENOSPC && use_reserve && kbr_broker_dir_spend_reserve(broker))
		err = kbr_log_append(&meta->log, &append, false);
	if (err)
		return err;
	err = kbr_metadata_sync(broker);
	if (!err)
		return 0;
	pr_err("%s: %s: a sync failed (%d)\n", broker->name, KBR_METADATA_DIR, err);
	if (kbr_metadata_repair(broker)) {
		meta->doubt = true;
		return err;
	}
	/* Read back: it is either there, and durable, or gone. */
	return kbr_log_end(&meta->log) > append.last_offset ? 0 : err;
}

static void kbr_metadata_builder(struct kbr_metadata *meta, struct kbr_batch_builder *bld)
{
	kbr_batch_builder_init(bld, meta->batch, KBR_METADATA_BATCH);
}

static int kbr_metadata_add(struct kbr_metadata *meta, struct kbr_batch_builder *bld,
			    const struct kbr_metadata_buf *value)
{
	struct kbr_record rec = {
		.timestamp = kbr_clock_now_ms(),
		.value = value->buf,
		.value_len = value->len,
	};

	if (value->full)
		return -E2BIG;
	meta->bytes += value->len;
	return kbr_batch_builder_add(bld, &rec);
}

static int kbr_metadata_rewrite(struct kbr_broker *broker);

/* Before anything new: is the log usable, and free of what must not be in it? */
static int kbr_metadata_ready(struct kbr_broker *broker)
{
	struct kbr_metadata *meta = broker->metadata;
	int err = 0;

	if (READ_ONCE(meta->log.stopped))
		err = kbr_metadata_repair(broker);
	if (!err && meta->doubt) {
		err = kbr_metadata_rewrite(broker);
		if (!err)
			meta->doubt = false;
	}
	return err;
}

static int kbr_metadata_put(struct kbr_broker *broker, const struct kbr_metadata_buf *value,
			    bool use_reserve)
{
	struct kbr_metadata *meta = broker->metadata;
	struct kbr_batch_builder bld;
	int err;

	kbr_metadata_builder(meta, &bld);
	err = kbr_metadata_add(meta, &bld, value);
	if (!err)
		err = kbr_metadata_append(broker, &bld, use_reserve);
	return err;
}

int kbr_metadata_put_topic(struct kbr_broker *broker, const struct kbr_metadata_topic *topic)
{
	struct kbr_metadata_buf value = { .buf = broker->metadata->value };
	int err = kbr_metadata_ready(broker);

	if (err)
		return err;
	kbr_metadata_encode_topic(&value, topic);
	return kbr_metadata_put(broker, &value, false);
}

int kbr_metadata_del_topic(struct kbr_broker *broker, const char *name, const u8 id[16])
{
	struct kbr_metadata_buf value = { .buf = broker->metadata->value };
	int err = kbr_metadata_ready(broker);

	if (err)
		return err;
	kbr_metadata_encode_deletion(&value, name, id);
	return kbr_metadata_put(broker, &value, true);
}

int kbr_metadata_put_broker(struct kbr_broker *broker, const struct kbr_metadata_broker *found)
{
	struct kbr_metadata_buf value = { .buf = broker->metadata->value };
	int err = kbr_metadata_ready(broker);

	if (err)
		return err;
	kbr_metadata_encode_broker(&value, found);
	return kbr_metadata_put(broker, &value, false);
}

/* ---- forget history ---- */

void kbr_metadata_of_topic(struct kbr_topic *topic, struct kbr_metadata_topic *found)
{
	*found = (struct kbr_metadata_topic) {
		.name = topic->name,
		.partitions = kbr_topic_partitions(topic),
		.replication_factor = topic->replication_factor,
		.uid = from_kuid(&init_user_ns, topic->uid),
		.gid = from_kgid(&init_user_ns, topic->gid),
		.mode = topic->mode,
		.configs = topic->config_set,
	};
	memcpy(found->id, topic->id, sizeof(found->id));
}

/* Append one value, in as many batches as it takes. */
static int kbr_metadata_rewrite_value(struct kbr_broker *broker, struct kbr_batch_builder *bld,
				      const struct kbr_metadata_buf *value)
{
	struct kbr_metadata *meta = broker->metadata;
	int err = kbr_metadata_add(meta, bld, value);

	if (err != -ENOSPC)
		return err;
	err = kbr_metadata_append(broker, bld, false);
	if (err)
		return err;
	kbr_metadata_builder(meta, bld);
	return kbr_metadata_add(meta, bld, value);
}

/*
 * Append the whole present state, then let the log start there. A crash in
 * between leaves both copies, which say the same.
 */
static int kbr_metadata_rewrite(struct kbr_broker *broker)
{
	struct kbr_metadata *meta = broker->metadata;
	s64 start = kbr_log_end(&meta->log);
	struct kbr_metadata_broker own = {
		.uid = from_kuid(&init_user_ns, broker->uid),
		.gid = from_kgid(&init_user_ns, broker->gid),
		.mode = broker->mode,
		.producer_ids = broker->producer_ids.end,
		.configs = broker->config_set,
	};
	struct kbr_metadata_buf value = { .buf = meta->value };
	struct kbr_metadata_topic found;
	struct kbr_batch_builder bld;
	struct kbr_topic *topic;
	int err;

	meta->bytes = 0;
	kbr_metadata_builder(meta, &bld);
	kbr_metadata_encode_broker(&value, &own);
	err = kbr_metadata_rewrite_value(broker, &bld, &value);
	for (topic = kbr_topic_next(broker, NULL); topic && !err;
	     topic = kbr_topic_walk_next(broker, topic)) {
		value.len = 0;
		kbr_metadata_of_topic(topic, &found);
		kbr_metadata_encode_topic(&value, &found);
		err = kbr_metadata_rewrite_value(broker, &bld, &value);
	}
	kbr_topic_put(topic);
	if (!err)
		err = kbr_metadata_append(broker, &bld, false);
	if (!err)
		err = kbr_log_set_start(&meta->log, start);
	if (!err)
		err = kbr_broker_write_checkpoints(broker);
	if (!err)
		kbr_log_retain(&meta->log, kbr_log_end(&meta->log), kbr_clock_now_ms());
	return err;
}

static u64 kbr_metadata_live_bytes(struct kbr_broker *broker)
{
	struct kbr_metadata_topic found;
	struct kbr_topic *topic;
	u64 bytes = 0;

	for (topic = kbr_topic_next(broker, NULL); topic;
	     topic = kbr_topic_walk_next(broker, topic)) {
		kbr_metadata_of_topic(topic, &found);
		bytes += kbr_metadata_topic_size(&found);
	}
	return bytes;
}

void kbr_metadata_compact(struct kbr_broker *broker)
{
	struct kbr_metadata *meta = broker->metadata;
	u64 live;
	int err;

	if (meta->bytes < meta->check_at || READ_ONCE(meta->log.stopped))
		return;
	live = kbr_metadata_live_bytes(broker);
	if (meta->bytes > 2 * live + KBR_METADATA_DEAD_MIN) {
		err = kbr_metadata_rewrite(broker);
		if (err)
			pr_warn_ratelimited("%s: %s: its history can't be forgotten (%d); tries again\n",
					    broker->name, KBR_METADATA_DIR, err);
	}
	/* Counting takes a walk: not again before a good part is new. */
	meta->check_at = meta->bytes + max_t(u64, KBR_METADATA_DEAD_MIN, live / 2);
}
