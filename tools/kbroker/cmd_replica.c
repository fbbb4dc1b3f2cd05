// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker replica": what the broker is to the partitions of its cluster. "set"
 * does by hand what the cluster's daemon does: for tests and disasters.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "objects.h"
#include "replica.h"

static const struct kb_opt set_opts[] = {
	{ "leader", 0, "ID", "who leads; -1: nobody (needed)" },
	{ "leader-epoch", 0, "N", "rises with each leader (needed)" },
	{ "partition-epoch", 0, "N", "rises with each change (needed)" },
	{ "replicas", 0, "ID,...", "the replicas, the preferred leader first (needed)" },
	{ "isr", 0, "ID,...", "those in sync (default: all)" },
	{ "elr", 0, "ID,...", "those that hold all that was committed, though not in sync" },
	{ "id", 0, "UUID", "id of the topic (default: of the one of that name)" },
	KB_OPT_NO_WAIT,
	{ 0 }
};

/* ---- list ---- */

static void open_follower(const struct nlattr *nest, struct nlattr **attrs)
{
	kb_attrs_parse(attrs, KBROKER_A_FOLLOWER_MAX, nest);
}

/* "2@150 3@148": where the logs end of those that copy from here */
static char *followers_text(const struct kb_nl_msg *msg)
{
	struct nlattr *of[KBROKER_A_FOLLOWER_MAX + 1], *attr;
	char *text = NULL, *longer;
	int rem;

	nla_for_each_attr(attr, msg->head, msg->len, rem) {
		if (nla_type(attr) != KBROKER_A_REPLICA_FOLLOWER)
			continue;
		open_follower(attr, of);
		longer = kb_asprintf("%s%s%" PRId32 "@%" PRId64, text ? text : "", text ? " " : "",
				     kb_attr_s32(of[KBROKER_A_FOLLOWER_ID]),
				     kb_attr_s64(of[KBROKER_A_FOLLOWER_LOG_END]));
		free(text);
		text = longer;
	}
	return text ? text : kb_strdup("-");
}

static void replica_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	bool told = msg->attrs[KBROKER_A_REPLICA_LEADER];
	char ids[KB_IDS_TEXT], *followers;

	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_REPLICA_TOPIC]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_REPLICA_PARTITION]));
	kb_table_cell(tab, "%s", kb_attr_word(kb_replica_attrs, msg, KBROKER_A_REPLICA_ROLE));
	if (told) {
		kb_table_cell(tab, "%" PRId32, kb_attr_s32(msg->attrs[KBROKER_A_REPLICA_LEADER]));
		kb_table_cell(tab, "%" PRId32, kb_attr_s32(msg->attrs[KBROKER_A_REPLICA_LEADER_EPOCH]));
		kb_table_cell(tab, "%" PRId32, kb_attr_s32(msg->attrs[KBROKER_A_REPLICA_PARTITION_EPOCH]));
	} else {
		kb_table_cell(tab, "?");
		kb_table_cell(tab, "?");
		kb_table_cell(tab, "?");
	}
	kb_table_cell(tab, "%s", kb_ids_attr_text(msg->attrs[KBROKER_A_REPLICA_REPLICAS], ids));
	kb_table_cell(tab, "%s", kb_ids_attr_text(msg->attrs[KBROKER_A_REPLICA_ISR], ids));
	kb_table_cell(tab, "%s", kb_ids_attr_text(msg->attrs[KBROKER_A_REPLICA_ELR], ids));
	followers = followers_text(msg);
	kb_table_cell(tab, "%s", followers);
	free(followers);
}

static void replica_json(struct kb_json *js, const struct kb_nl_msg *msg)
{
	struct nlattr *of[KBROKER_A_FOLLOWER_MAX + 1], *attr;
	int rem;

	kb_attrs_json(js, kb_replica_attrs, msg);
	kb_json_array(js, "followers");
	nla_for_each_attr(attr, msg->head, msg->len, rem) {
		if (nla_type(attr) != KBROKER_A_REPLICA_FOLLOWER)
			continue;
		open_follower(attr, of);
		kb_json_object(js, NULL);
		kb_json_s64(js, "id", kb_attr_s32(of[KBROKER_A_FOLLOWER_ID]));
		kb_json_bool(js, "in_sync", kb_attr_u8(of[KBROKER_A_FOLLOWER_IN_SYNC]));
		kb_json_s64(js, "log_end", kb_attr_s64(of[KBROKER_A_FOLLOWER_LOG_END]));
		kb_json_s64(js, "synced_end", kb_attr_s64(of[KBROKER_A_FOLLOWER_SYNCED_END]));
		kb_json_u64(js, "caught_up_ms", kb_attr_u64(of[KBROKER_A_FOLLOWER_CAUGHT_UP_MS]));
		kb_json_object_end(js);
	}
	kb_json_array_end(js);
}

static int cmd_list(int argc, char **argv)
{
	static const char *const heads[] = { "TOPIC", ">PARTITION", "ROLE", ">LEADER", ">LEADER-EPOCH",
		">PARTITION-EPOCH", "REPLICAS", "ISR", "ELR", "FOLLOWERS" };
	static const struct kb_list replicas = { heads, ARRAY_SIZE(heads), replica_row, replica_json,
		kb_replica_attrs, .of_broker = true };
	struct kb_place place = { .partition = -1 };
	struct kb_nl nl;
	int ret = argc ? kb_place_parse(argv[0], &place) : KB_OK;

	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_list_print(&nl, kb_replica_request(&nl, argc ? place.topic : NULL, place.partition),
			    &replicas);
	ret = ret ? kb_nl_refused(&nl, ret, ret == -ENOENT ? "'kbroker partition list' shows those there are" :
				  NULL, "no replicas") : kb_out_check();
	kb_nl_close(&nl);
	return ret;
}

/* ---- set ---- */

struct wanted {
	struct kb_place place;
	int64_t leader;
	int64_t leader_epoch;
	int64_t partition_epoch;
	struct kb_ids replicas;
	struct kb_ids isr;
	struct kb_ids elr;
	unsigned char id[16];
};

static int read_wanted(const char *text, struct wanted *w)
{
	static const char *const needed[] = { "leader", "leader-epoch", "partition-epoch", "replicas" };
	const char *isr = kb_opt_get("isr"), *elr = kb_opt_get("elr"), *id = kb_opt_get("id");
	size_t i;
	int ret = kb_place_parse(text, &w->place);

	if (ret == KB_OK && w->place.partition < 0)
		ret = kb_usage("'%s' is no TOPIC/PARTITION", text);
	for (i = 0; ret == KB_OK && i < ARRAY_SIZE(needed); i++)
		if (!kb_opt_has(needed[i]))
			ret = kb_usage("--%s is missing", needed[i]);
	if (ret == KB_OK)
		ret = kb_opt_s64("leader", -1, KBROKER_ID_MAX, &w->leader);
	if (ret == KB_OK)
		ret = kb_opt_s64("leader-epoch", 0, INT32_MAX, &w->leader_epoch);
	if (ret == KB_OK)
		ret = kb_opt_s64("partition-epoch", 0, INT32_MAX, &w->partition_epoch);
	if (ret == KB_OK)
		ret = kb_ids_parse("--replicas", kb_opt_get("replicas"), &w->replicas);
	w->isr = w->replicas;
	if (ret == KB_OK && isr)
		ret = kb_ids_parse("--isr", isr, &w->isr);
	if (ret == KB_OK && elr)
		ret = kb_ids_parse("--elr", elr, &w->elr);
	if (ret == KB_OK && id && kb_uuid_parse(id, w->id))
		ret = kb_usage("--id: '%s' is no UUID of 22 characters", id);
	return ret;
}

static int take_topic_id(const struct kb_nl_msg *msg, void *arg)
{
	const struct nlattr *id = msg->attrs[KBROKER_A_TOPIC_ID];

	if (id && nla_len((struct nlattr *)id) == 16)
		memcpy(arg, nla_data((struct nlattr *)id), 16);
	return 0;
}

static int find_topic_id(struct kb_nl *nl, struct wanted *w)
{
	struct nl_msg *msg;

	if (kb_opt_has("id"))
		return 0;
	msg = kb_nl_request(nl, KBROKER_CMD_TOPIC_GET, 0);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_TOPIC_BROKER, kb.broker);
	kb_put_text(msg, KBROKER_A_TOPIC_NAME, w->place.topic);
	return kb_nl_call(nl, msg, take_topic_id, w->id);
}

static void put_ids(struct nl_msg *msg, int type, const struct kb_ids *ids)
{
	unsigned char wire[4 * KBROKER_REPLICAS_MAX];
	size_t i;

	for (i = 0; i < ids->count; i++) {
		uint32_t id = (uint32_t)ids->id[i];

		wire[4 * i] = (unsigned char)(id >> 24);
		wire[4 * i + 1] = (unsigned char)(id >> 16);
		wire[4 * i + 2] = (unsigned char)(id >> 8);
		wire[4 * i + 3] = (unsigned char)id;
	}
	if (nla_put(msg, type, (int)(4 * ids->count), wire))
		abort();
}

static struct nl_msg *set_request(struct kb_nl *nl, const struct wanted *w)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_REPLICA_SET, 0);
	struct nlattr *nest;

	if (kb.broker)
		kb_put_text(msg, KBROKER_A_REPLICA_LIST_BROKER, kb.broker);
	nest = nla_nest_start(msg, KBROKER_A_REPLICA_LIST_REPLICA);
	if (!nest)
		abort();
	kb_put_text(msg, KBROKER_A_REPLICA_ITEM_TOPIC, w->place.topic);
	nla_put(msg, KBROKER_A_REPLICA_ITEM_TOPIC_ID, sizeof(w->id), w->id);
	kb_put_u32(msg, KBROKER_A_REPLICA_ITEM_PARTITION, (uint32_t)w->place.partition);
	kb_put_u32(msg, KBROKER_A_REPLICA_ITEM_LEADER, (uint32_t)w->leader);
	kb_put_u32(msg, KBROKER_A_REPLICA_ITEM_LEADER_EPOCH, (uint32_t)w->leader_epoch);
	kb_put_u32(msg, KBROKER_A_REPLICA_ITEM_PARTITION_EPOCH, (uint32_t)w->partition_epoch);
	put_ids(msg, KBROKER_A_REPLICA_ITEM_REPLICAS, &w->replicas);
	put_ids(msg, KBROKER_A_REPLICA_ITEM_ISR, &w->isr);
	put_ids(msg, KBROKER_A_REPLICA_ITEM_ELR, &w->elr);
	nla_nest_end(msg, nest);
	return msg;
}

static int cmd_set(int argc, char **argv)
{
	struct wanted w = { 0 };
	uint32_t op = 0;
	struct kb_nl nl;
	char *what;
	int ret;

	(void)argc;
	ret = read_wanted(argv[0], &w);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	what = kb_asprintf("the replica of %s was not set", argv[0]);
	ret = find_topic_id(&nl, &w);
	if (!ret)
		ret = kb_nl_call(&nl, set_request(&nl, &w), kb_op_take_id, &op);
	ret = ret ? kb_nl_refused(&nl, ret, NULL, "%s", what) : kb_op_finish(&nl, op, what);
	free(what);
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_replica[] = {
	{ "list", "[TOPIC[/PARTITION]]", "show who leads, and who is in sync, as this broker knows it", NULL,
	  cmd_list },
	{ "set", "TOPIC/PARTITION", "tell this broker what it is to a partition", set_opts, cmd_set },
	{ 0 }
};
