// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checkpoints: whatever fails and whenever the power goes, a reader finds the
 * old content or the new one, whole; and Kafka's text format is written as
 * Kafka does, and refused by reason when it is damaged.
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "base/limits.h"
#include "storage/checkpoint.h"
#include "tests/file_ram.h"

static int checkpoint_env_init(struct kunit *test)
{
	test->priv = kbr_ram_create(1);
	return test->priv ? 0 : -ENOMEM;
}

static void checkpoint_env_exit(struct kunit *test)
{
	kbr_dir_put(test->priv);
}

/* Which of the two contents @path has: 0 none, 1 the old, 2 the new, -1 neither. */
static int checkpoint_state(struct kbr_dir *dir, const char *path, const char *old,
			    const char *new)
{
	size_t len;
	char *buf;
	int ret;

	ret = kbr_checkpoint_read(dir, path, 1 << 20, &buf, &len);
	if (ret)
		return ret == -ENOENT ? 0 : -1;
	ret = -1;
	if (len == strlen(old) && !strcmp(buf, old))
		ret = 1;
	if (len == strlen(new) && !strcmp(buf, new))
		ret = 2;
	kvfree(buf);
	return ret;
}

/* Each call of a replacement fails in turn; power is lost after each. */
static void checkpoint_crash(struct kunit *test)
{
	char *old = kunit_kzalloc(test, 3001, GFP_KERNEL);
	char *new = kunit_kzalloc(test, 5001, GFP_KERNEL);
	struct kbr_ram_stats before, after;
	struct kbr_dir *dir = test->priv, *crashed;
	unsigned int seen[3] = {};
	int fail, calls, err, state;
	u64 seed;

	KUNIT_ASSERT_TRUE(test, old && new);
	memset(old, 'o', 3000);
	memset(new, 'n', 5000);
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(dir, "d"), 0);
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_replace(dir, "d/c", old, 3000), 0);
	KUNIT_EXPECT_EQ(test, checkpoint_state(dir, "d/c", old, new), 1);
	kbr_ram_get_stats(dir, &before);
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_replace(dir, "d/c", old, 3000), 0);
	kbr_ram_get_stats(dir, &after);
	calls = after.calls - before.calls;
	KUNIT_EXPECT_EQ(test, after.flushes - before.flushes, 2);

	for (fail = 0; fail <= calls; fail++) {
		KUNIT_ASSERT_EQ(test, kbr_checkpoint_replace(dir, "d/c", old, 3000), 0);
		KUNIT_ASSERT_TRUE(test, kbr_ram_fail(dir, KBR_RAM_ANY, fail, 0, -EIO, NULL));
		err = kbr_checkpoint_replace(dir, "d/c", new, 5000);
		KUNIT_EXPECT_EQ(test, err, fail < calls ? -EIO : 0);
		kbr_ram_heal(dir);
		for (seed = 0; seed < 60; seed++) {
			crashed = kbr_ram_crash(dir, seed);
			KUNIT_ASSERT_NOT_NULL(test, crashed);
			state = checkpoint_state(crashed, "d/c", old, new);
			kbr_dir_put(crashed);
			KUNIT_ASSERT_GE_MSG(test, state, 1, "call %d, seed %llu", fail, seed);
			if (!err)
				KUNIT_ASSERT_EQ(test, state, 2);
			seen[state]++;
		}
	}
	KUNIT_EXPECT_GT(test, seen[1], 0);
	KUNIT_EXPECT_GT(test, seen[2], 0);
}

static void checkpoint_read(struct kunit *test)
{
	struct kbr_dir *dir = test->priv;
	struct kbr_file *file;
	char path[600];
	size_t len;
	char *buf;

	KUNIT_EXPECT_EQ(test, kbr_checkpoint_read(dir, "c", 10, &buf, &len), -ENOENT);
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_replace(dir, "c", "", 0), 0);
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_read(dir, "c", 10, &buf, &len), 0);
	KUNIT_EXPECT_EQ(test, len, 0);
	KUNIT_EXPECT_EQ(test, buf[0], 0);
	kvfree(buf);
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_replace(dir, "c", "0123456789", 10), 0);
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_read(dir, "c", 9, &buf, &len), -EFBIG);
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_read(dir, "c", 10, &buf, &len), 0);
	KUNIT_EXPECT_STREQ(test, buf, "0123456789");
	kvfree(buf);
	/* No beginning of a replacement is left. */
	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, "c.tmp", 0, &file), -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_replace(dir, path, "", 0), -ENAMETOOLONG);
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(dir, KBR_RAM_READ, 0, 1, -EIO, NULL));
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_read(dir, "c", 10, &buf, &len), -EIO);
}

struct checkpoint_entries {
	unsigned int n;
	unsigned int at;
	unsigned int wrong;
	int stop;
};

static int checkpoint_next(void *arg, struct kbr_offset_entry *ent)
{
	static const char * const names[] = { "a", "orders", "x.y_z-0" };
	struct checkpoint_entries *e = arg;

	if (e->at == e->n)
		return e->stop;
	ent->topic = names[e->at % 3];
	ent->partition = e->at * 7;
	ent->offset = (s64)e->at << 40 | e->at;
	e->at++;
	return 1;
}

static int checkpoint_entry(void *arg, const struct kbr_offset_entry *ent)
{
	struct checkpoint_entries *e = arg;
	struct kbr_offset_entry want;

	if (checkpoint_next(e, &want) != 1 || strcmp(want.topic, ent->topic) ||
	    want.partition != ent->partition || want.offset != ent->offset)
		e->wrong++;
	return e->stop && e->at == e->n ? e->stop : 0;
}

static void checkpoint_offsets(struct kunit *test)
{
	struct checkpoint_entries e = { .n = 3 };
	struct kbr_dir *dir = test->priv;
	size_t len;
	char *buf;

	KUNIT_ASSERT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_next, &e), 0);
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_read(dir, "c", 1000, &buf, &len), 0);
	/* Byte for byte what Kafka writes. */
	KUNIT_EXPECT_STREQ(test, buf, "0\n3\na 0 0\norders 7 1099511627777\nx.y_z-0 14 2199023255554\n");
	kvfree(buf);

	e = (struct checkpoint_entries){ .n = 0 };
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_next, &e), 0);
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_read(dir, "c", 1000, &buf, &len), 0);
	KUNIT_EXPECT_STREQ(test, buf, "0\n0\n");
	kvfree(buf);

	e = (struct checkpoint_entries){ .n = 20000 };
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_next, &e), 0);
	e.at = 0;
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_read_offsets(dir, "c", checkpoint_entry, &e), 0);
	KUNIT_EXPECT_EQ(test, e.at, 20000);
	KUNIT_EXPECT_EQ(test, e.wrong, 0);

	/* The callback's error ends it, and nothing was replaced. */
	e = (struct checkpoint_entries){ .n = 5, .stop = -EINTR };
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_next, &e), -EINTR);
	e.at = 0;
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_read_offsets(dir, "c", checkpoint_entry, &e), -EINTR);
	KUNIT_EXPECT_EQ(test, e.at, 5);
	KUNIT_EXPECT_EQ(test, e.wrong, 0);
}

static int checkpoint_bad_name(void *arg, struct kbr_offset_entry *ent)
{
	*ent = (struct kbr_offset_entry){ .topic = arg };
	return 1;
}

static void checkpoint_names(struct kunit *test)
{
	struct kbr_dir *dir = test->priv;
	char name[251];

	memset(name, 'x', 250);
	name[250] = '\0';
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_bad_name, ""),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_bad_name, "a b"),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_bad_name, "a\n1"),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_bad_name, name),
			-EINVAL);
	/* Endless: more than there can be partitions. */
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_bad_name, "a"),
			-E2BIG);
}

struct checkpoint_text {
	const char *text;
	int err;
};

static const struct checkpoint_text checkpoint_texts[] = {
	{ "0\n1\na 0 5\n", 0 },
	{ "0\n1\na 0 -1\n", 0 },
	{ "", -EBADMSG },
	{ "0", -EBADMSG },
	{ "0\n", -EBADMSG },
	{ "0\n1", -EBADMSG },
	{ "0\n1\n", -EBADMSG },
	{ "0\n1\na 0 5", -EBADMSG },
	{ "0\n2\na 0 5\n", -EBADMSG },
	{ "0\n0\na 0 5\n", -EBADMSG },
	{ "0\n1\na 0 5\nb 0 5\n", -EBADMSG },
	{ "0\n1\na 0\n", -EBADMSG },
	{ "0\n1\na 0 5 6\n", -EBADMSG },
	{ "0\n1\na  5\n", -EBADMSG },
	{ "0\n1\n 0 5\n", -EBADMSG },
	{ "0\n1\na 0 x\n", -EBADMSG },
	{ "0\n1\na 0 +5\n", -EBADMSG },
	{ "0\n1\na 0 -\n", -EBADMSG },
	{ "0\n1\na -1 5\n", -EBADMSG },
	{ "0\n1\na 2147483648 5\n", -EBADMSG },
	{ "0\n1\na 0 9223372036854775808\n", -EBADMSG },
	{ "0\n-1\n", -EBADMSG },
	{ "0\n4294967296\n", -EBADMSG },
	{ "x\n1\na 0 5\n", -EBADMSG },
	{ "1\nanything", -EPROTONOSUPPORT },
	{ "1\n", -EPROTONOSUPPORT },
};

static void checkpoint_text_desc(const struct checkpoint_text *t, char *desc)
{
	int i;

	strscpy(desc, t->text, KUNIT_PARAM_DESC_SIZE);
	for (i = 0; desc[i]; i++)
		if (desc[i] == '\n')
			desc[i] = ',';
}

KUNIT_ARRAY_PARAM(checkpoint_text, checkpoint_texts, checkpoint_text_desc);

static int checkpoint_count(void *arg, const struct kbr_offset_entry *ent)
{
	++*(int *)arg;
	return 0;
}

static void checkpoint_parse(struct kunit *test)
{
	const struct checkpoint_text *t = test->param_value;
	struct kbr_dir *dir = test->priv;
	int n = 0;

	KUNIT_ASSERT_EQ(test, kbr_checkpoint_replace(dir, "c", t->text, strlen(t->text)), 0);
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_read_offsets(dir, "c", checkpoint_count, &n), t->err);
	if (!t->err)
		KUNIT_EXPECT_EQ(test, n, 1);
	/* A hole, as a torn file has it, is damage wherever it is. */
	KUNIT_ASSERT_EQ(test, kbr_checkpoint_replace(dir, "c", "0\n0\n\0", 5), 0);
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_read_offsets(dir, "c", checkpoint_count, &n),
			-EBADMSG);
}

struct checkpoint_many {
	u32 next;
	u32 count;
};

static int checkpoint_next_of_many(void *arg, struct kbr_offset_entry *ent)
{
	struct checkpoint_many *many = arg;

	*ent = (struct kbr_offset_entry) { .topic = "t", .partition = many->next, .offset = 1 };
	return many->next++ < many->count;
}

/* A broker with all the partitions it may have writes them and its metadata log. */
static void checkpoint_most(struct kunit *test)
{
	struct checkpoint_many many = { .count = KBR_BROKER_PARTITIONS_MAX + 1 };
	struct kbr_dir *dir = test->priv;

	KUNIT_EXPECT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_next_of_many,
							   &many), 0);
	many.next = 0;
	many.count++;
	KUNIT_EXPECT_EQ(test, kbr_checkpoint_write_offsets(dir, "c", checkpoint_next_of_many,
							   &many), -E2BIG);
}

static struct kunit_case checkpoint_tests[] = {
	KUNIT_CASE(checkpoint_crash),
	KUNIT_CASE(checkpoint_read),
	KUNIT_CASE(checkpoint_offsets),
	KUNIT_CASE(checkpoint_names),
	KUNIT_CASE(checkpoint_most),
	KUNIT_CASE_PARAM(checkpoint_parse, checkpoint_text_gen_params),
	{}
};

static struct kunit_suite checkpoint_suite = {
	.name = "kbroker_checkpoint",
	.init = checkpoint_env_init,
	.exit = checkpoint_env_exit,
	.test_cases = checkpoint_tests,
};

kunit_test_suite(checkpoint_suite);
