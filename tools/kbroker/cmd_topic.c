// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker topic": create, delete, show and change topics. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "kbroker.h"
#include "objects.h"
#include "partitions.h"

#define KB_OPT_PARTITIONS { "partitions", 'p', "N", "number of partitions" }

#define KB_OPT_ID { "id", 0, "UUID", "a cluster has decided so: do it here, and ask nobody" }

static const struct kb_opt create_opts[] = {
	KB_OPT_PARTITIONS,
	{ "replication-factor", 'r', "N", "replicas of each partition" },
	KB_OPT_CONFIG,
	KB_OPT_OWNER,
	KB_OPT_GROUP,
	KB_OPT_MODE,
	KB_OPT_ID,
	{ "if-not-exists", 0, NULL, "it is no error if the topic is there already" },
	KB_OPT_NO_WAIT,
	{ 0 }
};

static const struct kb_opt delete_opts[] = {
	KB_OPT_ID,
	{ "if-exists", 0, NULL, "it is no error if a topic is not there" },
	KB_OPT_NO_WAIT,
	{ 0 }
};

static const struct kb_opt describe_opts[] = {
	{ "configs", 0, NULL, "all configs, not only those set" },
	{ 0 }
};

static const struct kb_opt alter_opts[] = {
	KB_OPT_PARTITIONS,
	KB_OPT_CONFIG,
	KB_OPT_DELETE_CONFIG,
	KB_OPT_OWNER,
	KB_OPT_GROUP,
	KB_OPT_MODE,
	KB_OPT_ID,
	KB_OPT_NO_WAIT,
	{ 0 }
};

static int check_topic(const char *topic)
{
	const char *problem = kb_topic_name_problem(topic);

	return problem ? kb_usage("'%s' can't be a topic: %s", topic, problem) : KB_OK;
}

static const char *topic_hint(int err)
{
	switch (-err) {
	case ENOENT:
		return "'kbroker topic list' shows the topics there are";
	case ENODEV:
		return "'kbroker broker start --dir DIR' starts one";
	case EEXIST:
		return "--if-not-exists makes that no error";
	default:
		return NULL;
	}
}

static int check_id(void)
{
	const char *text = kb_opt_get("id");
	unsigned char id[16];

	if (text && kb_uuid_parse(text, id))
		return kb_usage("--id: '%s' is no UUID of 22 characters", text);
	return KB_OK;
}

static void put_id(struct nl_msg *msg)
{
	const char *text = kb_opt_get("id");
	unsigned char id[16];

	if (text && !kb_uuid_parse(text, id))
		nla_put(msg, KBROKER_A_TOPIC_ID, sizeof(id), id);
}

static struct nl_msg *topic_request(struct kb_nl *nl, uint8_t cmd, int flags, const char *topic)
{
	struct nl_msg *msg = kb_nl_request(nl, cmd, flags);

	if (kb.broker)
		kb_put_text(msg, KBROKER_A_TOPIC_BROKER, kb.broker);
	if (topic)
		kb_put_text(msg, KBROKER_A_TOPIC_NAME, topic);
	return msg;
}

/* what a person should know who did not choose it */
static void explain_durability(struct kb_nl *nl, const char *topic)
{
	char *isr = kb_config_value(nl, topic, "min.insync.replicas");
	char *flush = kb_config_value(nl, topic, "flush.policy");

	if (flush && !strcmp(flush, "async"))
		kb_note("flush.policy=async: a write is acknowledged before the disk has it");
	else if (isr && !strcmp(isr, "1"))
		kb_note("min.insync.replicas=1: an acknowledged record is on this machine's disk, and on no other");
	free(isr);
	free(flush);
}

static int cmd_create(int argc, char **argv)
{
	int64_t partitions = -1, factor = -1;
	const char *topic = argv[0];
	uint32_t op = 0;
	struct nl_msg *msg;
	struct kb_nl nl;
	char *what;
	int ret;

	(void)argc;
	ret = check_topic(topic);
	if (ret == KB_OK)
		ret = check_id();
	if (ret == KB_OK)
		ret = kb_opt_s64("partitions", 1, KBROKER_TOPIC_PARTITIONS_MAX, &partitions);
	if (ret == KB_OK)
		ret = kb_opt_s64("replication-factor", 1, KBROKER_REPLICATION_FACTOR_MAX, &factor);
	if (ret == KB_OK)
		ret = kb_check_access();
	if (ret == KB_OK)
		ret = kb_check_configs();
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = topic_request(&nl, KBROKER_CMD_TOPIC_NEW, 0, topic);
	put_id(msg);
	if (partitions > 0)
		kb_put_u32(msg, KBROKER_A_TOPIC_PARTITIONS, (uint32_t)partitions);
	if (factor > 0)
		kb_put_u16(msg, KBROKER_A_TOPIC_REPLICATION_FACTOR, (uint16_t)factor);
	kb_put_access(msg, KBROKER_A_TOPIC_UID, KBROKER_A_TOPIC_GID, KBROKER_A_TOPIC_MODE);
	kb_put_configs(msg, KBROKER_A_TOPIC_CONFIG);
	ret = kb_nl_call(&nl, msg, kb_op_take_id, &op);
	if (ret == -EEXIST && kb_opt_has("if-not-exists")) {
		kb_note("topic %s is there already", topic);
		ret = KB_OK;
	} else if (ret) {
		ret = kb_nl_refused(&nl, ret, topic_hint(ret), "topic %s was not created", topic);
	} else {
		what = kb_asprintf("topic %s was not created", topic);
		ret = kb_op_finish(&nl, op, what);
		free(what);
		if (ret == KB_OK && !kb_opt_has("no-wait"))
			explain_durability(&nl, topic);
	}
	kb_nl_close(&nl);
	return ret;
}

static int delete_topic(struct kb_nl *nl, const char *topic)
{
	struct nl_msg *msg;
	uint32_t op = 0;
	char *what;
	int ret;

	ret = check_topic(topic);
	if (ret == KB_OK)
		ret = check_id();
	if (ret != KB_OK)
		return ret;
	msg = topic_request(nl, KBROKER_CMD_TOPIC_DEL, 0, topic);
	put_id(msg);
	ret = kb_nl_call(nl, msg, kb_op_take_id, &op);
	if (ret == -ENOENT && kb_opt_has("if-exists"))
		return KB_OK;
	if (ret)
		return kb_nl_refused(nl, ret, topic_hint(ret), "topic %s was not deleted", topic);
	what = kb_asprintf("topic %s was not deleted", topic);
	ret = kb_op_finish(nl, op, what);
	free(what);
	return ret;
}

static int cmd_delete(int argc, char **argv)
{
	struct kb_nl nl;
	int ret = KB_OK, i;

	if (kb_nl_open(&nl))
		return KB_REFUSED;
	for (i = 0; i < argc && ret != KB_USAGE && !kb_interrupted(); i++) {
		int one = delete_topic(&nl, argv[i]);

		if (one != KB_OK)
			ret = one;
	}
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

static void topic_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	char user[32], group[32];

	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_TOPIC_NAME]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_TOPIC_PARTITIONS]));
	kb_table_cell(tab, "%u", kb_attr_u16(msg->attrs[KBROKER_A_TOPIC_REPLICATION_FACTOR]));
	kb_table_cell(tab, "%s", kb_attr_word(kb_topic_attrs, msg, KBROKER_A_TOPIC_STATE));
	kb_table_cell(tab, "%s", kb_user_name(kb_attr_u32(msg->attrs[KBROKER_A_TOPIC_UID]), user));
	kb_table_cell(tab, "%s", kb_group_name(kb_attr_u32(msg->attrs[KBROKER_A_TOPIC_GID]), group));
	kb_table_cell(tab, "%04o", kb_attr_u16(msg->attrs[KBROKER_A_TOPIC_MODE]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_TOPIC_HANDLES]));
}

static int cmd_list(int argc, char **argv)
{
	static const char *const heads[] = { "TOPIC", ">PARTITIONS", ">REPLICAS", "STATE", "OWNER", "GROUP",
		"MODE", ">OPEN" };
	static const struct kb_list topics = { heads, ARRAY_SIZE(heads), topic_row, NULL, kb_topic_attrs,
		.of_broker = true };
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_list_print(&nl, topic_request(&nl, KBROKER_CMD_TOPIC_GET, NLM_F_DUMP, NULL), &topics);
	if (ret)
		ret = kb_nl_refused(&nl, ret, topic_hint(ret), "no topics");
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

static int topic_text(const struct kb_nl_msg *msg, void *arg)
{
	struct nlattr *conf[KBROKER_A_CONFIG_MAX + 1], *attr;
	char user[32], group[32], id[24];
	int rem;

	(void)arg;
	kb_section("topic %s", kb_attr_text(msg->attrs[KBROKER_A_TOPIC_NAME]));
	kb_field("id", "%s", kb_uuid_text(msg->attrs[KBROKER_A_TOPIC_ID], id));
	kb_field("state", "%s%s", kb_attr_word(kb_topic_attrs, msg, KBROKER_A_TOPIC_STATE),
		 msg->attrs[KBROKER_A_TOPIC_INTERNAL] ? ", internal" : "");
	kb_field("partitions", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_TOPIC_PARTITIONS]));
	kb_field("replicas", "%u", kb_attr_u16(msg->attrs[KBROKER_A_TOPIC_REPLICATION_FACTOR]));
	kb_field("access", "%s:%s %04o", kb_user_name(kb_attr_u32(msg->attrs[KBROKER_A_TOPIC_UID]), user),
		 kb_group_name(kb_attr_u32(msg->attrs[KBROKER_A_TOPIC_GID]), group),
		 kb_attr_u16(msg->attrs[KBROKER_A_TOPIC_MODE]));
	kb_field("open devices", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_TOPIC_HANDLES]));
	nla_for_each_attr(attr, msg->head, msg->len, rem) {
		if (nla_type(attr) != KBROKER_A_TOPIC_CONFIG || kb_opt_has("configs"))
			continue;
		kb_attrs_parse(conf, KBROKER_A_CONFIG_MAX, attr);
		kb_field("config", "%s=%s", kb_attr_text(conf[KBROKER_A_CONFIG_NAME]),
			 kb_attr_text(conf[KBROKER_A_CONFIG_VALUE]));
	}
	return 0;
}

/* opens the topic's object: where the kernel refuses, there is none */
static int describe_json(const struct kb_nl_msg *msg, void *arg)
{
	kb_json_object(arg, NULL);
	kb_attrs_json(arg, kb_topic_attrs, msg);
	return 0;
}

static int describe_topic(struct kb_nl *nl, const char *topic, struct kb_json *js)
{
	int ret = check_topic(topic);

	if (ret != KB_OK)
		return ret;
	ret = kb_nl_call(nl, topic_request(nl, KBROKER_CMD_TOPIC_GET, 0, topic),
			 kb.json ? describe_json : topic_text, js);
	if (ret)
		return kb_nl_refused(nl, ret, topic_hint(ret), "topic %s can't be shown", topic);
	if (kb.json)
		ret = kb_partitions_json(nl, js, topic);
	else
		ret = kb_partitions_print(nl, topic);
	if (ret == KB_OK && kb_opt_has("configs"))
		ret = kb.json ? kb_configs_json(nl, js, topic) : kb_configs_print(nl, topic);
	if (kb.json)
		kb_json_object_end(js);
	else if (ret == KB_OK)
		explain_durability(nl, topic);
	return ret;
}

static int cmd_describe(int argc, char **argv)
{
	struct kb_json js;
	struct kb_nl nl;
	int ret = KB_OK, i;

	if (kb_nl_open(&nl))
		return KB_REFUSED;
	kb_json_init(&js, stdout, true);
	if (kb.json)
		kb_json_array(&js, NULL);
	for (i = 0; i < argc; i++) {
		int one = describe_topic(&nl, argv[i], &js);

		if (one != KB_OK)
			ret = one;
	}
	if (kb.json) {
		kb_json_array_end(&js);
		kb_json_finish(&js);
	}
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

static bool something_to_alter(void)
{
	const struct kb_opt *opt;

	for (opt = alter_opts; opt->name; opt++)
		if (strcmp(opt->name, "no-wait") && strcmp(opt->name, "id") && kb_opt_has(opt->name))
			return true;
	return false;
}

static int cmd_alter(int argc, char **argv)
{
	const char *topic = argv[0];
	int64_t partitions = -1;
	uint32_t op = 0;
	struct nl_msg *msg;
	struct kb_nl nl;
	char *what;
	int ret;

	(void)argc;
	ret = check_topic(topic);
	if (ret == KB_OK)
		ret = check_id();
	if (ret == KB_OK)
		ret = kb_opt_s64("partitions", 1, KBROKER_TOPIC_PARTITIONS_MAX, &partitions);
	if (ret == KB_OK)
		ret = kb_check_access();
	if (ret == KB_OK)
		ret = kb_check_configs();
	if (ret != KB_OK)
		return ret;
	if (!something_to_alter())
		return kb_usage("nothing to change was given");
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = topic_request(&nl, KBROKER_CMD_TOPIC_SET, 0, topic);
	put_id(msg);
	if (partitions > 0)
		kb_put_u32(msg, KBROKER_A_TOPIC_PARTITIONS, (uint32_t)partitions);
	kb_put_access(msg, KBROKER_A_TOPIC_UID, KBROKER_A_TOPIC_GID, KBROKER_A_TOPIC_MODE);
	kb_put_configs(msg, KBROKER_A_TOPIC_CONFIG);
	ret = kb_nl_call(&nl, msg, kb_op_take_id, &op);
	if (ret) {
		ret = kb_nl_refused(&nl, ret, topic_hint(ret), "topic %s was not changed", topic);
	} else {
		what = kb_asprintf("topic %s was not changed", topic);
		ret = kb_op_finish(&nl, op, what);
		free(what);
	}
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_topic[] = {
	{ "create", "TOPIC", "create a topic", create_opts, cmd_create },
	{ "delete", "TOPIC...", "delete topics and their records", delete_opts, cmd_delete },
	{ "list", NULL, "show all topics", NULL, cmd_list },
	{ "describe", "TOPIC...", "show topics with their partitions", describe_opts, cmd_describe },
	{ "alter", "TOPIC", "change configs, owner, mode, or add partitions", alter_opts, cmd_alter },
	{ 0 }
};
