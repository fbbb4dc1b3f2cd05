// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netlink front end's own checks, on messages put together here; what
 * needs a socket is a selftest.
 */
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "netlink/nl.h"

#define NL_TEST_ROOM	(256U << 10)

/**
 * struct nl_test - a request under construction
 * @skb: it
 * @info: what a handler gets
 * @extack: refusal
 * @set: configs with a value
 * @del: configs without
 */
struct nl_test {
	struct sk_buff *skb;
	struct genl_info info;
	struct netlink_ext_ack extack;
	struct kbr_config_set set;
	struct kbr_config_set del;
};

static int nl_test_init(struct kunit *test)
{
	struct nl_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct nlmsghdr *nlh;

	if (!t)
		return -ENOMEM;
	test->priv = t;
	t->skb = nlmsg_new(NL_TEST_ROOM, GFP_KERNEL);
	if (!t->skb)
		return -ENOMEM;
	nlh = nlmsg_put(t->skb, 0, 0, 0, GENL_HDRLEN, 0);
	t->info.nlhdr = nlh;
	t->info.extack = &t->extack;
	return 0;
}

static void nl_test_exit(struct kunit *test)
{
	struct nl_test *t = test->priv;

	if (!t)
		return;
	kbr_config_set_free(&t->set);
	kbr_config_set_free(&t->del);
	nlmsg_free(t->skb);
}

/* The request as it is now; @t->info then describes it. */
static const struct nlmsghdr *nl_test_end(struct nl_test *t)
{
	nlmsg_end(t->skb, nlmsg_hdr(t->skb));
	t->info.nlhdr = nlmsg_hdr(t->skb);
	memset(&t->extack, 0, sizeof(t->extack));
	return t->info.nlhdr;
}

static int nl_test_parse(struct nl_test *t, struct nlattr **tb, int max)
{
	const struct nlmsghdr *nlh = nl_test_end(t);

	return nla_parse(tb, max, nlmsg_attrdata(nlh, GENL_HDRLEN), nlmsg_attrlen(nlh, GENL_HDRLEN),
			 NULL, NULL);
}

static void nl_test_config(struct kunit *test, int type, const char *name, const char *value)
{
	struct nl_test *t = test->priv;
	struct nlattr *nest = nla_nest_start(t->skb, type);

	KUNIT_ASSERT_NOT_NULL(test, nest);
	if (name)
		KUNIT_ASSERT_EQ(test, nla_put_string(t->skb, KBROKER_A_CONFIG_NAME, name), 0);
	if (value)
		KUNIT_ASSERT_EQ(test, nla_put_string(t->skb, KBROKER_A_CONFIG_VALUE, value), 0);
	nla_nest_end(t->skb, nest);
}

static void nl_unique(struct kunit *test)
{
	struct nl_test *t = test->priv;
	const struct nlmsghdr *nlh;

	KUNIT_EXPECT_EQ(test, kbr_nl_check_unique(nl_test_end(t), 0, &t->extack), 0);
	KUNIT_ASSERT_EQ(test, nla_put_string(t->skb, KBROKER_A_TOPIC_NAME, "a"), 0);
	KUNIT_ASSERT_EQ(test, kbr_nl_put_u32(t->skb, KBROKER_A_TOPIC_PARTITIONS, 1), 0);
	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "a", "1");
	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "b", "1");
	nlh = nl_test_end(t);
	KUNIT_EXPECT_EQ(test, kbr_nl_check_unique(nlh, BIT_ULL(KBROKER_A_TOPIC_CONFIG), &t->extack), 0);
	/* the same with nothing that may be repeated */
	KUNIT_EXPECT_EQ(test, kbr_nl_check_unique(nlh, 0, &t->extack), -EINVAL);
	KUNIT_EXPECT_EQ(test, nla_type(t->extack.bad_attr), KBROKER_A_TOPIC_CONFIG);
}

/* The flag of a nest does not make it another attribute. */
static void nl_unique_flags(struct kunit *test)
{
	struct nl_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, nla_put_string(t->skb, KBROKER_A_TOPIC_NAME, "a"), 0);
	KUNIT_ASSERT_EQ(test, nla_put_string(t->skb, KBROKER_A_TOPIC_NAME | NLA_F_NESTED, "b"), 0);
	KUNIT_EXPECT_EQ(test, kbr_nl_check_unique(nl_test_end(t), 0, &t->extack), -EINVAL);
	KUNIT_EXPECT_STREQ(test, t->extack._msg ?: "", "this attribute must not be given twice");
}

static void nl_text(struct kunit *test)
{
	struct nl_test *t = test->priv;
	const struct nlattr *attr;

	KUNIT_EXPECT_EQ(test, kbr_nl_check_text(NULL, &t->extack), 0);
	KUNIT_ASSERT_EQ(test, nla_put_string(t->skb, KBROKER_A_TOPIC_NAME, "orders"), 0);
	attr = nlmsg_attrdata(nl_test_end(t), GENL_HDRLEN);
	KUNIT_EXPECT_EQ(test, kbr_nl_check_text(attr, &t->extack), 0);
	KUNIT_ASSERT_EQ(test, nla_put(t->skb, KBROKER_A_TOPIC_NAME, 8, "or\0ders"), 0);
	attr = nlmsg_attrdata(nl_test_end(t), GENL_HDRLEN);
	attr = (const void *)attr + nla_total_size(nla_len(attr));
	KUNIT_EXPECT_EQ(test, kbr_nl_check_text(attr, &t->extack), -EINVAL);
	KUNIT_EXPECT_PTR_EQ(test, t->extack.bad_attr, attr);
}

static void nl_configs(struct kunit *test)
{
	struct nl_test *t = test->priv;

	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "segment.bytes", "1048576");
	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "retention.ms", NULL);
	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "flush.policy", "");
	nl_test_end(t);
	KUNIT_ASSERT_EQ(test, kbr_nl_get_configs(&t->info, KBROKER_A_TOPIC_CONFIG, &t->set, &t->del), 0);
	KUNIT_EXPECT_EQ(test, t->set.count, 2U);
	KUNIT_EXPECT_EQ(test, t->del.count, 1U);
	KUNIT_EXPECT_STREQ(test, kbr_config_set_get(&t->set, "segment.bytes") ?: "", "1048576");
	KUNIT_EXPECT_STREQ(test, kbr_config_set_get(&t->set, "flush.policy") ?: "none", "");
	KUNIT_EXPECT_NOT_NULL(test, kbr_config_set_get(&t->del, "retention.ms"));
}

/* Set and reset of one config in one request contradict each other. */
static void nl_configs_contradict(struct kunit *test)
{
	struct nl_test *t = test->priv;

	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "retention.ms", NULL);
	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "retention.ms", "1");
	nl_test_end(t);
	KUNIT_EXPECT_EQ(test, kbr_nl_get_configs(&t->info, KBROKER_A_TOPIC_CONFIG, &t->set, &t->del),
			-EINVAL);
	KUNIT_EXPECT_STREQ(test, t->extack._msg ?: "", "config retention.ms is given twice");
}

/* Where configs can't be reset one without a value is refused. */
static void nl_configs_need_values(struct kunit *test)
{
	struct nl_test *t = test->priv;

	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "retention.ms", NULL);
	nl_test_end(t);
	KUNIT_EXPECT_EQ(test, kbr_nl_get_configs(&t->info, KBROKER_A_TOPIC_CONFIG, &t->set, NULL),
			-EINVAL);
	KUNIT_EXPECT_STREQ(test, t->extack._msg ?: "", "config retention.ms needs a value");
}

static void nl_configs_bounded(struct kunit *test)
{
	struct nl_test *t = test->priv;
	char name[16];
	int i;

	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		nl_test_config(test, KBROKER_A_TOPIC_CONFIG, name, "1");
	}
	nl_test_end(t);
	KUNIT_EXPECT_EQ(test, kbr_nl_get_configs(&t->info, KBROKER_A_TOPIC_CONFIG, &t->set, &t->del),
			-E2BIG);
	KUNIT_EXPECT_LE(test, t->set.count, 64U);
}

/* Whatever is inside a nest: an answer, a sentence with every refusal, and bounds kept. */
static void nl_configs_garbage(struct kunit *test)
{
	struct nl_test *t = test->priv;
	struct rnd_state rnd;
	u8 bytes[48];
	int i;

	prandom_seed_state(&rnd, 7);
	for (i = 0; i < 5000; i++) {
		u32 len = prandom_u32_state(&rnd) % (sizeof(bytes) + 1);
		int err;

		prandom_bytes_state(&rnd, bytes, sizeof(bytes));
		/* often nearly right: a length that fits, a type that there is */
		if (i & 1) {
			bytes[0] = len;
			bytes[1] = 0;
			bytes[2] = 1 + (i >> 1 & 1);
			bytes[3] = 0;
		}
		skb_trim(t->skb, NLMSG_HDRLEN + GENL_HDRLEN);
		KUNIT_ASSERT_EQ(test, nla_put(t->skb, KBROKER_A_TOPIC_CONFIG | NLA_F_NESTED, len, bytes), 0);
		nl_test_end(t);
		err = kbr_nl_get_configs(&t->info, KBROKER_A_TOPIC_CONFIG, &t->set, &t->del);
		if (err)
			KUNIT_EXPECT_NOT_NULL(test, t->extack._msg);
		kbr_config_set_free(&t->set);
		kbr_config_set_free(&t->del);
		memset(&t->set, 0, sizeof(t->set));
		memset(&t->del, 0, sizeof(t->del));
	}
}

/* The config that a refusal speaks of is the attribute it points at. */
static void nl_refused_config(struct kunit *test)
{
	struct nl_test *t = test->priv;
	struct kbr_refusal why = {};
	const struct nlattr *second;

	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "retention.ms", "1");
	nl_test_config(test, KBROKER_A_TOPIC_CONFIG, "segment.bytes", "tiny");
	nl_test_end(t);
	second = nlmsg_attrdata(t->info.nlhdr, GENL_HDRLEN);
	second = (const void *)second + nla_total_size(nla_len(second));
	kbr_refuse(&why, -EINVAL, 0, "config %s must be a whole number", "segment.bytes");
	KUNIT_EXPECT_EQ(test, kbr_nl_refused(&t->info, -EINVAL, &why, NULL, KBROKER_A_TOPIC_CONFIG), -EINVAL);
	KUNIT_EXPECT_PTR_EQ(test, t->extack.bad_attr, second);
	KUNIT_EXPECT_STREQ(test, t->extack._msg, "config segment.bytes must be a whole number");
	/* without a sentence there is one for the errno */
	why.text[0] = '\0';
	kbr_nl_refused(&t->info, -EEXIST, &why, NULL, 0);
	KUNIT_EXPECT_STREQ(test, t->extack._msg, "it exists already");
}

/* A sentence stays while others are refused; a long one is cut, not overrun. */
static void nl_refuse_stays(struct kunit *test)
{
	struct nl_test *t = test->priv;
	struct netlink_ext_ack other = {};
	char *text = kunit_kzalloc(test, 1000, GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, text);
	KUNIT_EXPECT_EQ(test, kbr_nl_refuse(&t->extack, NULL, -EBUSY, "number %d", 42), -EBUSY);
	memset(text, 'x', 999);
	for (i = 0; i < 60; i++)
		kbr_nl_refuse(&other, NULL, -EINVAL, "%s", text);
	KUNIT_EXPECT_STREQ(test, t->extack._msg, "number 42");
	KUNIT_EXPECT_EQ(test, strlen(other._msg), sizeof_field(struct kbr_refusal, text) - 1);
	KUNIT_EXPECT_EQ(test, kbr_nl_refuse(NULL, NULL, -EPERM, "nobody listens"), -EPERM);
}

static void nl_op(struct kunit *test)
{
	struct nl_test *t = test->priv;
	struct kbr_op *op = kunit_kzalloc(test, sizeof(*op), GFP_KERNEL);
	struct nlattr *tb[KBROKER_A_OP_MAX + 1];

	KUNIT_ASSERT_NOT_NULL(test, op);
	op->id = 7;
	op->kind = KBR_OP_TOPIC_CREATE;
	op->state = KBR_OP_FAILED;
	op->error = -ENOSPC;
	op->done = 3;
	op->total = 9;
	strscpy(op->object, "orders", sizeof(op->object));
	strscpy(op->why.text, "the disk is full", sizeof(op->why.text));
	KUNIT_ASSERT_EQ(test, kbr_nl_op_fill(t->skb, op), 0);
	KUNIT_ASSERT_EQ(test, nl_test_parse(t, tb, KBROKER_A_OP_MAX), 0);
	KUNIT_ASSERT_NOT_NULL(test, tb[KBROKER_A_OP_ID]);
	KUNIT_ASSERT_NOT_NULL(test, tb[KBROKER_A_OP_ERROR]);
	KUNIT_ASSERT_NOT_NULL(test, tb[KBROKER_A_OP_TOTAL]);
	KUNIT_ASSERT_NOT_NULL(test, tb[KBROKER_A_OP_STATE]);
	KUNIT_ASSERT_NOT_NULL(test, tb[KBROKER_A_OP_MESSAGE]);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(nla_get_be32(tb[KBROKER_A_OP_ID])), 7U);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(nla_get_be32(tb[KBROKER_A_OP_ERROR])), (u32)ENOSPC);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(nla_get_be32(tb[KBROKER_A_OP_TOTAL])), 9U);
	KUNIT_EXPECT_EQ(test, nla_get_u8(tb[KBROKER_A_OP_STATE]), KBROKER_OP_STATE_FAILED);
	KUNIT_EXPECT_STREQ(test, nla_data(tb[KBROKER_A_OP_MESSAGE]), "the disk is full");

	/* While it runs there is no error, and its sentence may be half written. */
	op->state = KBR_OP_RUNNING;
	skb_trim(t->skb, NLMSG_HDRLEN + GENL_HDRLEN);
	KUNIT_ASSERT_EQ(test, kbr_nl_op_fill(t->skb, op), 0);
	KUNIT_ASSERT_EQ(test, nl_test_parse(t, tb, KBROKER_A_OP_MAX), 0);
	KUNIT_EXPECT_NULL(test, tb[KBROKER_A_OP_ERROR]);
	KUNIT_EXPECT_NULL(test, tb[KBROKER_A_OP_MESSAGE]);
}

/* An object that does not fit is an error, whatever attribute was the last that did. */
static void nl_op_room(struct kunit *test)
{
	struct kbr_op *op = kunit_kzalloc(test, sizeof(*op), GFP_KERNEL);
	unsigned int room, full = 0;

	KUNIT_ASSERT_NOT_NULL(test, op);
	op->id = 1;
	op->state = KBR_OP_FAILED;
	op->error = -EIO;
	op->total = 1;
	strscpy(op->object, "orders", sizeof(op->object));
	strscpy(op->why.text, "why", sizeof(op->why.text));
	for (room = 0; room < 256; room++) {
		struct sk_buff *skb = alloc_skb(512, GFP_KERNEL);
		int err;

		KUNIT_ASSERT_NOT_NULL(test, skb);
		skb_reserve(skb, skb_tailroom(skb) - room);
		err = kbr_nl_op_fill(skb, op);
		if (!err && !full)
			full = room;
		KUNIT_EXPECT_EQ(test, err, full ? 0 : -EMSGSIZE);
		kfree_skb(skb);
	}
	KUNIT_EXPECT_GT(test, full, 40U);
}

/* Every command that changes something, and those that name processes, need privilege. */
static void nl_privilege(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < kbr_nl_family.n_ops; i++) {
		const struct genl_ops *op = &kbr_nl_family.ops[i];
		bool open = op->cmd == KBROKER_CMD_MODULE_GET || op->cmd == KBROKER_CMD_BROKER_GET ||
			    op->cmd == KBROKER_CMD_TOPIC_GET || op->cmd == KBROKER_CMD_PARTITION_GET ||
			    op->cmd == KBROKER_CMD_OP_GET || op->cmd == KBROKER_CMD_CONFIG_GET ||
			    op->cmd == KBROKER_CMD_LISTENER_GET || op->cmd == KBROKER_CMD_GROUP_GET ||
			    op->cmd == KBROKER_CMD_GROUP_OFFSET_GET ||
			    op->cmd == KBROKER_CMD_CLUSTER_GET || op->cmd == KBROKER_CMD_PEER_GET ||
			    op->cmd == KBROKER_CMD_REQUEST_GET ||
			    op->cmd == KBROKER_CMD_REPLICA_GET;

		KUNIT_EXPECT_EQ_MSG(test, !(op->flags & GENL_ADMIN_PERM), open, "command %u", op->cmd);
		/* strictly checked, and within what kbr_nl_check_unique() looks at */
		KUNIT_EXPECT_EQ(test, op->validate, 0);
		KUNIT_EXPECT_LT(test, op->maxattr, 64U);
		KUNIT_EXPECT_EQ(test, !op->dumpit, !op->start);
		KUNIT_EXPECT_EQ(test, !op->dumpit, !op->done);
	}
	KUNIT_EXPECT_TRUE(test, kbr_nl_family.parallel_ops);
	KUNIT_EXPECT_TRUE(test, kbr_nl_family.netnsok);
}

static struct kunit_case nl_cases[] = {
	KUNIT_CASE(nl_unique),
	KUNIT_CASE(nl_unique_flags),
	KUNIT_CASE(nl_text),
	KUNIT_CASE(nl_configs),
	KUNIT_CASE(nl_configs_contradict),
	KUNIT_CASE(nl_configs_need_values),
	KUNIT_CASE(nl_configs_bounded),
	KUNIT_CASE(nl_configs_garbage),
	KUNIT_CASE(nl_refused_config),
	KUNIT_CASE(nl_refuse_stays),
	KUNIT_CASE(nl_op),
	KUNIT_CASE(nl_op_room),
	KUNIT_CASE(nl_privilege),
	{ }
};

static struct kunit_suite nl_suite = {
	.name = "kbroker_netlink",
	.init = nl_test_init,
	.exit = nl_test_exit,
	.test_cases = nl_cases,
};

kunit_test_suite(nl_suite);
