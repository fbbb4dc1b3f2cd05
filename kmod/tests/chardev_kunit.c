// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens of devices, below the system calls, where a disk that fails and a log
 * start that moves come at the one moment that matters: the unfinished line,
 * positions that retention overtakes, losses that are told once. What the
 * calls themselves promise is tested by the selftests device_*.
 */
#include <kunit/test.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "broker_test.h"
#include "chardev/open.h"

#define KBR_CHARDEV_TEST_BUF	4096

/**
 * struct kbr_chardev_test - the fixture
 * @tb: a broker
 * @topic: topic "t"
 * @open: an open of its partition 0 or, if it has several, of "all"
 * @buf: what was read last, ended by a NUL
 */
struct kbr_chardev_test {
	struct kbr_test_broker *tb;
	struct kbr_topic *topic;
	struct kbr_open *open;
	char buf[KBR_CHARDEV_TEST_BUF];
};

static struct kbr_open *kbr_chardev_test_open(struct kunit *test, struct kbr_topic *topic)
{
	struct kbr_open *open = kunit_kzalloc(test, sizeof(*open), GFP_KERNEL);
	s32 partition = kbr_topic_partitions(topic) > 1 ? -1 : 0;

	KUNIT_ASSERT_NOT_NULL(test, open);
	if (!partition)
		open->part = kbr_topic_partition(topic, 0);
	kbr_open_init_writer(open);
	KUNIT_ASSERT_EQ(test, kbr_open_init_reader(open), 0);
	kbr_handle_add(&open->handle, topic, partition, FMODE_READ | FMODE_WRITE);
	return open;
}

static void kbr_chardev_test_close(struct kbr_open *open)
{
	kbr_handle_del(&open->handle);
	kbr_open_destroy_reader(open);
	kbr_open_destroy_writer(open);
}

static struct kbr_chardev_test *kbr_chardev_test_begin(struct kunit *test, s32 partitions,
						       const char *config, const char *value)
{
	struct kbr_chardev_test *ct = kunit_kzalloc(test, sizeof(*ct), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ct);
	ct->tb = kbr_test_init(test);
	KUNIT_ASSERT_EQ(test, kbr_test_start(ct->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(ct->tb, "t", partitions, config, value), 0);
	ct->topic = kbr_test_topic(ct->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, ct->topic);
	ct->open = kbr_chardev_test_open(test, ct->topic);
	return ct;
}

static void kbr_chardev_test_end(struct kbr_chardev_test *ct)
{
	kbr_chardev_test_close(ct->open);
	kbr_topic_put(ct->topic);
	kbr_test_exit(ct->tb);
}

/* A write of lines as write(2) makes it; its acks are waited for unless @detached. */
static ssize_t kbr_chardev_test_write(struct kbr_chardev_test *ct, const char *text, bool detached)
{
	struct kvec vec = { .iov_base = (void *)text, .iov_len = strlen(text) };
	struct kbr_write write = { .nowait = detached, .detached = detached };
	struct kbr_open *open = ct->open;
	struct iov_iter from;
	ssize_t ret;
	int err;

	iov_iter_kvec(&from, ITER_SOURCE, &vec, 1, vec.iov_len);
	mutex_lock(&open->writer.lock);
	ret = kbr_lines_write(open, &from, &write);
	mutex_unlock(&open->writer.lock);
	if (ret <= 0)
		return ret;
	err = kbr_writer_settle(open, &write, false);
	if (err)
		kbr_writer_drop_pending(open, &write);
	return err ?: ret;
}

static int kbr_chardev_test_finish(struct kbr_chardev_test *ct)
{
	struct kbr_write write = { };
	int err;

	mutex_lock(&ct->open->writer.lock);
	err = kbr_lines_finish(ct->open, &write);
	mutex_unlock(&ct->open->writer.lock);
	return err ?: kbr_writer_sync(ct->open);
}

static ssize_t kbr_chardev_test_read(struct kbr_chardev_test *ct, struct kbr_open *open,
				     size_t size)
{
	struct kvec vec = { .iov_base = ct->buf, .iov_len = size };
	struct iov_iter to;
	ssize_t ret;

	iov_iter_kvec(&to, ITER_DEST, &vec, 1, size);
	ret = kbr_open_try_read(open, &to, false, false);
	ct->buf[max_t(ssize_t, ret, 0)] = '\0';
	return ret;
}

static void kbr_chardev_test_expect(struct kunit *test, struct kbr_chardev_test *ct,
				    const char *text)
{
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_read(ct, ct->open, sizeof(ct->buf) - 1),
			(ssize_t)strlen(text));
	KUNIT_EXPECT_STREQ(test, ct->buf, text);
}

/* L3, L4: what follows the last newline waits, and is completed or made a record. */
static void kbr_chardev_test_pending(struct kunit *test)
{
	struct kbr_chardev_test *ct = kbr_chardev_test_begin(test, 1, NULL, NULL);

	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "a", false), 1);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "b", false), 1);
	KUNIT_EXPECT_EQ(test, ct->open->writer.pending, 2);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_read(ct, ct->open, 10), -EAGAIN);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "c\n\nd", false), 4);
	kbr_chardev_test_expect(test, ct, "abc\n\n");
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_finish(ct), 0);
	KUNIT_EXPECT_EQ(test, ct->open->writer.pending, 0);
	kbr_chardev_test_expect(test, ct, "d\n");
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_finish(ct), 0);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_read(ct, ct->open, 10), -EAGAIN);
	kbr_chardev_test_end(ct);
}

/* A write that fails before its append leaves the unfinished line as it was. */
static void kbr_chardev_test_restored(struct kunit *test)
{
	struct kbr_chardev_test *ct = kbr_chardev_test_begin(test, 1, NULL, NULL);

	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "unfinished ", false), 11);
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(ct->tb->dir, KBR_RAM_WRITE, 0, 1, -ENOSPC, "t-0/"));
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "one\ntwo\nthree", false), -ENOSPC);
	KUNIT_EXPECT_EQ(test, ct->open->writer.pending, 11);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "line\n", false), 5);
	kbr_chardev_test_expect(test, ct, "unfinished line\n");
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "kept", false), 4);
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(ct->tb->dir, KBR_RAM_WRITE, 0, 1, -ENOSPC, "t-0/"));
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_finish(ct), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_finish(ct), 0);
	kbr_chardev_test_expect(test, ct, "kept\n");
	kbr_chardev_test_end(ct);
}

/* W9: a write that fails after its append drops the line at its end, and no later one. */
static void kbr_chardev_test_failed_acks(struct kunit *test)
{
	struct kbr_chardev_test *ct = kbr_chardev_test_begin(test, 1, NULL, NULL);

	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(ct->tb->dir, KBR_RAM_SYNC, 0, 1, -EIO, "t-0/"));
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "lost\nand this", false), -EIO);
	KUNIT_EXPECT_EQ(test, ct->open->writer.pending, 0);
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(ct->open->part, KBR_PARTITION_LEADER));
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "whole\n", false), 6);
	kbr_chardev_test_expect(test, ct, "whole\n");
	kbr_chardev_test_end(ct);
}

/* L7: a line that becomes too long is dropped with what was kept of it. */
static void kbr_chardev_test_too_long(struct kunit *test)
{
	struct kbr_chardev_test *ct = kbr_chardev_test_begin(test, 1, "max.message.bytes", "200");
	char text[120];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, text, false), sizeof(text) - 1);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, text, false), -EMSGSIZE);
	KUNIT_EXPECT_EQ(test, ct->open->writer.pending, 0);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "new\n", false), 4);
	kbr_chardev_test_expect(test, ct, "new\n");
	kbr_chardev_test_end(ct);
}

/* L6: a killed process loses the unfinished line that it wrote last, nobody else's. */
static void kbr_chardev_test_killed(struct kunit *test)
{
	struct kbr_chardev_test *ct = kbr_chardev_test_begin(test, 1, NULL, NULL);
	struct kbr_writer *writer = &ct->open->writer;

	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "of the living ", false), 14);
	WRITE_ONCE(writer->killed_tgid, task_tgid_nr(current) + 1);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "goes on", false), 7);
	KUNIT_EXPECT_EQ(test, writer->killed_tgid, 0);
	WRITE_ONCE(writer->killed_tgid, task_tgid_nr(current));
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "another\n", false), 8);
	kbr_chardev_test_expect(test, ct, "another\n");
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "half", false), 4);
	WRITE_ONCE(writer->killed_tgid, task_tgid_nr(current));
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_finish(ct), 0);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_read(ct, ct->open, 10), -EAGAIN);
	kbr_chardev_test_end(ct);
}

/* P9 to P11: the log start passes readers that are somewhere else each. */
static void kbr_chardev_test_overtaken(struct kunit *test)
{
	struct kbr_chardev_test *ct = kbr_chardev_test_begin(test, 1, NULL, NULL);
	struct kbr_open *record = kbr_chardev_test_open(test, ct->topic);
	struct kbr_open *batch = kbr_chardev_test_open(test, ct->topic);
	struct kbr_open *sought = kbr_chardev_test_open(test, ct->topic);
	struct kbr_open *fresh = kbr_chardev_test_open(test, ct->topic);
	const struct kbroker_record *got = (void *)ct->buf;
	ssize_t size;
	int i;

	record->handle.format = KBROKER_FORMAT_RECORD;
	batch->handle.format = KBROKER_FORMAT_BATCH;
	sought->handle.format = KBROKER_FORMAT_RECORD;
	fresh->handle.format = KBROKER_FORMAT_RECORD;
	for (i = 0; i < 6; i++) {
		snprintf(ct->buf, sizeof(ct->buf), "value %d\n", i);
		KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, ct->buf, false), 8);
	}
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_read(ct, ct->open, 3), 3);
	size = kbr_chardev_test_read(ct, record, KBR_CHARDEV_TEST_BUF - 1);
	KUNIT_EXPECT_EQ(test, size, (ssize_t)sizeof(*got) + 7);
	/* one batch fits, and not two */
	size = kbr_chardev_test_read(ct, batch, 100);
	KUNIT_EXPECT_GT(test, size, 0);
	mutex_lock(&sought->reader.lock);
	kbr_reader_seek(sought, 0, 2);
	mutex_unlock(&sought->reader.lock);

	KUNIT_ASSERT_EQ(test, kbr_test_delete_records(ct->tb, "t", 0, 4), 0);
	/* the line that was begun, then what is there; 1 to 3 are missing */
	kbr_chardev_test_expect(test, ct, "ue 0\nvalue 4\nvalue 5\n");
	KUNIT_EXPECT_EQ(test, ct->open->handle.lost, 3);

	KUNIT_EXPECT_EQ(test, kbr_chardev_test_read(ct, record, 4000), -EPIPE);
	KUNIT_EXPECT_GT(test, kbr_chardev_test_read(ct, record, 4000), 0);
	KUNIT_EXPECT_EQ(test, got->offset, 4);
	KUNIT_EXPECT_EQ(test, record->handle.lost, 3);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_read(ct, batch, 100), -EPIPE);
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_read(ct, batch, 100), size);
	KUNIT_EXPECT_EQ(test, READ_ONCE(batch->handle.positions[0]), 5);
	KUNIT_EXPECT_EQ(test, batch->handle.lost, 3);

	KUNIT_EXPECT_GT(test, kbr_chardev_test_read(ct, sought, 4000), 0);
	KUNIT_EXPECT_EQ(test, got->offset, 4);
	KUNIT_EXPECT_EQ(test, sought->handle.lost, 2);
	KUNIT_EXPECT_GT(test, kbr_chardev_test_read(ct, fresh, 4000), 0);
	KUNIT_EXPECT_EQ(test, got->offset, 4);
	KUNIT_EXPECT_EQ(test, fresh->handle.lost, 0);
	kbr_chardev_test_close(record);
	kbr_chardev_test_close(batch);
	kbr_chardev_test_close(sought);
	kbr_chardev_test_close(fresh);
	kbr_chardev_test_end(ct);
}

/* W5 on "all": one partition's loss is told by fsync, once, whatever the others say. */
static void kbr_chardev_test_loss(struct kunit *test)
{
	struct kbr_chardev_test *ct = kbr_chardev_test_begin(test, 2, NULL, NULL);
	struct kbr_partition *first = kbr_topic_partition(ct->topic, 0);
	struct kbr_open *open = ct->open;

	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(ct->tb->dir, KBR_RAM_SYNC, 0, 1, -EIO, "t-0/"));
	open->writer.target = 0;
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "lost\n", true), 5);
	open->writer.target = 1;
	KUNIT_EXPECT_EQ(test, kbr_chardev_test_write(ct, "kept\n", true), 5);
	KUNIT_EXPECT_EQ(test, kbr_writer_sync(open), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(kbr_topic_partition(ct->topic, 1)), 1);
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(first, KBR_PARTITION_LEADER));
	KUNIT_EXPECT_EQ(test, kbr_writer_sync(open), 0);
	mutex_lock(&open->writer.lock);
	KUNIT_EXPECT_EQ(test, kbr_writer_check(open), 0);
	KUNIT_EXPECT_EQ(test, kbr_writer_end(open, 0), -1);
	KUNIT_EXPECT_EQ(test, kbr_writer_end(open, 1), 1);
	mutex_unlock(&open->writer.lock);
	kbr_chardev_test_end(ct);
}

static struct kunit_case kbr_chardev_cases[] = {
	KUNIT_CASE(kbr_chardev_test_pending),
	KUNIT_CASE(kbr_chardev_test_restored),
	KUNIT_CASE(kbr_chardev_test_failed_acks),
	KUNIT_CASE(kbr_chardev_test_too_long),
	KUNIT_CASE(kbr_chardev_test_killed),
	KUNIT_CASE(kbr_chardev_test_overtaken),
	KUNIT_CASE(kbr_chardev_test_loss),
	{ }
};

static struct kunit_suite kbr_chardev_suite = {
	.name = "kbroker_chardev",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_chardev_cases,
};

kunit_test_suite(kbr_chardev_suite);
