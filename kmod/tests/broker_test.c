// SPDX-License-Identifier: GPL-2.0-only
/* The fixture of the broker layer's suites; see broker_test.h. Tests nothing itself. */
#include <linux/delay.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "broker/net.h"
#include "broker/op.h"
#include "broker_test.h"
#include "codec/record.h"

#define KBR_TEST_BUF	4096

/* Cases run one after the other: no lock. */
static LIST_HEAD(kbr_test_fixtures);

static void kbr_test_no_put(struct kbr_dir *dir)
{
}

/* The broker puts its directory when it stops; the test wants to look at it then. */
static void kbr_test_adopt(struct kbr_test_broker *tb, struct kbr_dir *dir)
{
	KUNIT_ASSERT_NOT_NULL(tb->test, dir);
	tb->dir = dir;
	tb->real_ops = dir->ops;
	tb->ops = *dir->ops;
	tb->ops.put = kbr_test_no_put;
	dir->ops = &tb->ops;
}

static void kbr_test_drop_disk(struct kbr_test_broker *tb)
{
	tb->dir->ops = tb->real_ops;
	kbr_dir_put(tb->dir);
	tb->dir = NULL;
}

struct kbr_test_broker *kbr_test_init(struct kunit *test)
{
	struct kbr_test_broker *tb = kunit_kzalloc(test, sizeof(*tb), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, tb);
	tb->test = test;
	tb->name = "kbrokertest";
	tb->id = -1;
	tb->knet = kbr_net_create(NULL);
	KUNIT_ASSERT_NOT_NULL(test, tb->knet);
	kbr_test_adopt(tb, kbr_ram_create(1));
	list_add(&tb->node, &kbr_test_fixtures);
	return tb;
}

void kbr_test_exit(struct kbr_test_broker *tb)
{
	list_del(&tb->node);
	kbr_ram_heal(tb->dir);
	kbr_ram_set_sync_delay(tb->dir, 0);
	kbr_test_stop(tb);
	kbr_net_destroy(tb->knet);
	kbr_config_set_free(&tb->configs);
	kbr_test_drop_disk(tb);
}

void kbr_test_cleanup(struct kunit *test)
{
	struct kbr_test_broker *tb, *next;

	list_for_each_entry_safe(tb, next, &kbr_test_fixtures, node)
		kbr_test_exit(tb);
}

int kbr_test_wait_op(struct kbr_test_broker *tb, int err, u32 id)
{
	struct kbr_op *op;

	if (err)
		return err;
	op = kbr_op_lookup(tb->knet, id);
	KUNIT_ASSERT_NOT_NULL(tb->test, op);
	err = kbr_op_wait(op, KBR_TEST_PATIENCE_MS);
	tb->why = op->why;
	kbr_op_put(op);
	return err;
}

int kbr_test_start(struct kbr_test_broker *tb)
{
	struct kbr_broker_params params = {
		.name = tb->name,
		.dir = "/test",
		.id = tb->id,
		.uid = GLOBAL_ROOT_UID,
		.gid = GLOBAL_ROOT_GID,
		.mode = 0660,
	};
	u32 id = 0;
	int err;

	tb->why.text[0] = '\0';
	err = kbr_config_set_copy(&params.configs, &tb->configs);
	KUNIT_ASSERT_EQ(tb->test, err, 0);
	err = kbr_broker_start_dir(tb->knet, &params, tb->dir, &id, &tb->why);
	kbr_config_set_free(&params.configs);
	return kbr_test_wait_op(tb, err, id);
}

void kbr_test_stop(struct kbr_test_broker *tb)
{
	u32 id = 0;
	int err;

	err = kbr_broker_stop(tb->knet, KBR_STOP_NOW, &id, NULL);
	if (err != -ENOENT)
		KUNIT_EXPECT_EQ(tb->test, kbr_test_wait_op(tb, err, id), 0);
}

void kbr_test_set_disk(struct kbr_test_broker *tb, struct kbr_dir *dir)
{
	kbr_test_drop_disk(tb);
	kbr_test_adopt(tb, dir);
}

void kbr_test_crash(struct kbr_test_broker *tb, u64 seed)
{
	struct kbr_dir *after = kbr_ram_crash(tb->dir, seed);

	kbr_ram_heal(tb->dir);
	kbr_test_stop(tb);
	kbr_test_set_disk(tb, after);
}

struct kbr_broker *kbr_test_get(struct kbr_test_broker *tb)
{
	struct kbr_broker *broker = kbr_broker_get_in(tb->knet);

	KUNIT_ASSERT_NOT_NULL(tb->test, broker);
	return broker;
}

int kbr_test_create(struct kbr_test_broker *tb, const char *name, s32 partitions,
		    const char *config, const char *value)
{
	struct kbr_topic_params params = {
		.name = name,
		.partitions = partitions,
		.replication_factor = -1,
		.internal = !strncmp(name, "__", 2),
	};
	struct kbr_broker *broker = kbr_test_get(tb);
	u32 id = 0;
	int err = 0;

	tb->why.text[0] = '\0';
	if (config)
		err = kbr_config_set_put(&params.configs, config, value);
	KUNIT_ASSERT_EQ(tb->test, err, 0);
	err = kbr_topic_create(broker, &params, &id, &tb->why);
	kbr_config_set_free(&params.configs);
	kbr_broker_put(broker);
	return kbr_test_wait_op(tb, err, id);
}

int kbr_test_delete(struct kbr_test_broker *tb, const char *name)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	u32 id = 0;
	int err = kbr_topic_delete(broker, name, NULL, &id, &tb->why);

	kbr_broker_put(broker);
	return kbr_test_wait_op(tb, err, id);
}

int kbr_test_alter(struct kbr_test_broker *tb, const char *name,
		   const struct kbr_topic_change *change)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	u32 id = 0;
	int err = kbr_topic_alter(broker, name, change, &id, &tb->why);

	kbr_broker_put(broker);
	return kbr_test_wait_op(tb, err, id);
}

int kbr_test_delete_records(struct kbr_test_broker *tb, const char *name, u32 index, s64 offset)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	u32 id = 0;
	int err = kbr_topic_delete_records(broker, name, index, offset, &id, &tb->why);

	kbr_broker_put(broker);
	return kbr_test_wait_op(tb, err, id);
}

struct kbr_topic *kbr_test_topic(struct kbr_test_broker *tb, const char *name)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	struct kbr_topic *topic = kbr_topic_lookup(broker, name);

	kbr_broker_put(broker);
	return topic;
}

s64 kbr_test_produce(struct kbr_partition *part, const char *value, int acks)
{
	struct kbr_produce p = { .acks = acks };
	struct kbr_batch_builder bld;
	struct kbr_record rec = {
		.timestamp = 1700000000000,
		.value = value,
		.value_len = strlen(value),
	};
	int err = -ENOMEM;

	p.buf = kmalloc(KBR_TEST_BUF, GFP_KERNEL);
	if (!p.buf)
		return err;
	/* message.timestamp.before.max.ms has no bound by default: any time will do */
	kbr_batch_builder_init(&bld, p.buf, KBR_TEST_BUF);
	err = kbr_batch_builder_add(&bld, &rec);
	if (!err) {
		p.len = kbr_batch_builder_finish(&bld);
		err = kbr_partition_produce(part, &p);
	}
	if (!err && acks == KBR_ACKS_ALL)
		err = kbr_partition_wait_acks(part, p.last_offset, p.failures,
					      KBR_TEST_PATIENCE_MS);
	kfree(p.buf);
	return err ?: p.last_offset;
}

s64 kbr_test_read(struct kbr_partition *part, s64 offset, char *value, size_t size)
{
	struct kbr_log_pos pos = { .offset = offset };
	struct kbr_record_iter it;
	struct kbr_batch batch;
	struct kbr_record rec;
	struct iov_iter iter;
	struct kvec vec;
	ssize_t got;
	size_t room;
	s64 ret;

	vec.iov_len = 64 << 10;
	vec.iov_base = kvmalloc(vec.iov_len, GFP_KERNEL);
	if (!vec.iov_base)
		return -ENOMEM;
	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, vec.iov_len);
	got = kbr_partition_read(part, &pos, &iter, &room);
	ret = got ?: -ENODATA;
	if (got <= 0)
		goto out;
	ret = kbr_batch_decode(&batch, vec.iov_base, got);
	if (!ret)
		ret = kbr_batch_check_crc(vec.iov_base, batch.size);
	if (ret)
		goto out;
	kbr_record_iter_init(&it, &batch, vec.iov_base + KBR_BATCH_HEADER_LEN,
			     batch.size - KBR_BATCH_HEADER_LEN);
	ret = -EBADMSG;
	while (kbr_record_next(&it, &rec) > 0) {
		if (rec.offset < offset)
			continue;
		snprintf(value, size, "%.*s", (int)rec.value_len, rec.value);
		ret = rec.offset;
		break;
	}
out:
	kvfree(vec.iov_base);
	return ret;
}

bool kbr_test_wait_state(struct kbr_partition *part, enum kbr_partition_state state)
{
	unsigned int ms;

	for (ms = 0; ms < KBR_TEST_PATIENCE_MS; ms += 20) {
		if (READ_ONCE(part->state) == state)
			return true;
		msleep(20);
	}
	return false;
}
