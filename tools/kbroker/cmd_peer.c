// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker peer": the brokers of its cluster that a broker knows of. "set" and
 * "delete" do by hand what the cluster's daemon does: for tests and disasters.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "kbroker.h"
#include "listener.h"
#include "objects.h"

static const struct kb_opt set_opts[] = {
	KB_OPT_ADVERTISED,
	{ "fenced", 0, "yes|no", "the controller has taken its session" },
	{ "rack", 0, "NAME", "where it stands" },
	{ 0 }
};

static struct nl_msg *peer_request(struct kb_nl *nl, uint8_t cmd, int flags)
{
	struct nl_msg *msg = kb_nl_request(nl, cmd, flags);

	if (kb.broker)
		kb_put_text(msg, KBROKER_A_PEER_BROKER, kb.broker);
	return msg;
}

static void peer_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	const char *address = kb_attr_text(msg->attrs[KBROKER_A_PEER_ADDRESS]);
	uint32_t error = kb_attr_u32(msg->attrs[KBROKER_A_PEER_ERROR]);
	char size[16];

	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_PEER_ID]));
	kb_table_cell(tab, "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_PEER_EPOCH]));
	kb_table_cell(tab, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address,
		      kb_attr_u16(msg->attrs[KBROKER_A_PEER_PORT]));
	kb_table_cell(tab, "%s", kb_attr_u8(msg->attrs[KBROKER_A_PEER_FENCED]) ? "fenced" : "active");
	kb_table_cell(tab, "%s", kb_attr_u8(msg->attrs[KBROKER_A_PEER_CONNECTED]) ? "yes" :
		      error ? kb_errno_name((int)error) : "no");
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_PEER_FOLLOWED]));
	kb_table_cell(tab, "%" PRIu64, kb_attr_u64(msg->attrs[KBROKER_A_PEER_FETCHES]));
	kb_table_cell(tab, "%s", kb_human_bytes(kb_attr_u64(msg->attrs[KBROKER_A_PEER_BYTES]), size));
}

static int cmd_list(int argc, char **argv)
{
	static const char *const heads[] = { ">ID", ">EPOCH", "ADDRESS", "STATE", "CONNECTED",
		">FOLLOWED", ">FETCHES", ">BYTES" };
	static const struct kb_list peers = { heads, ARRAY_SIZE(heads), peer_row, NULL, kb_peer_attrs,
		.of_broker = true };
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_list_print(&nl, peer_request(&nl, KBROKER_CMD_PEER_GET, NLM_F_DUMP), &peers);
	ret = ret ? kb_nl_refused(&nl, ret, NULL, "no brokers of a cluster") : kb_out_check();
	kb_nl_close(&nl);
	return ret;
}

static int cmd_set(int argc, char **argv)
{
	struct kb_listeners where = { 0 };
	const char *fenced = kb_opt_get("fenced"), *rack = kb_opt_get("rack");
	int64_t id, epoch;
	struct nl_msg *msg;
	struct kb_nl nl;
	int ret;

	(void)argc;
	ret = kb_arg_s64("ID", argv[0], 0, INT32_MAX, &id);
	if (ret == KB_OK)
		ret = kb_arg_s64("EPOCH", argv[1], 0, INT64_MAX, &epoch);
	if (ret == KB_OK)
		ret = kb_listeners_add(&where, argv[2], 0);
	if (ret != KB_OK)
		return ret;
	if (where.count != 1 || !where.list[0].port)
		return kb_usage("'%s' is not the address of one broker", argv[2]);
	if (rack && (!rack[0] || strlen(rack) > KBROKER_RACK_MAX))
		return kb_usage("--rack: a name has 1 to %d bytes", KBROKER_RACK_MAX);
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = peer_request(&nl, KBROKER_CMD_PEER_NEW, 0);
	kb_put_u32(msg, KBROKER_A_PEER_ID, (uint32_t)id);
	kb_put_u64(msg, KBROKER_A_PEER_EPOCH, (uint64_t)epoch);
	kb_put_text(msg, KBROKER_A_PEER_ADDRESS, where.list[0].address);
	kb_put_u16(msg, KBROKER_A_PEER_PORT, where.list[0].port);
	if (fenced)
		nla_put_u8(msg, KBROKER_A_PEER_FENCED, !strcmp(fenced, "yes"));
	if (rack)
		kb_put_text(msg, KBROKER_A_PEER_RACK, rack);
	ret = kb_advertised_put(msg, 0, KBROKER_A_PEER_ADVERTISED_HOST, KBROKER_A_PEER_ADVERTISED_PORT);
	if (ret == KB_OK) {
		ret = kb_nl_call(&nl, msg, NULL, NULL);
		if (ret)
			ret = kb_nl_refused(&nl, ret, NULL, "the broker was not told of it");
	} else {
		nlmsg_free(msg);
	}
	kb_nl_close(&nl);
	return ret;
}

static int cmd_delete(int argc, char **argv)
{
	struct nl_msg *msg;
	struct kb_nl nl;
	int64_t id;
	int ret;

	(void)argc;
	ret = kb_arg_s64("ID", argv[0], 0, INT32_MAX, &id);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = peer_request(&nl, KBROKER_CMD_PEER_DEL, 0);
	kb_put_u32(msg, KBROKER_A_PEER_ID, (uint32_t)id);
	ret = kb_nl_call(&nl, msg, NULL, NULL);
	if (ret)
		ret = kb_nl_refused(&nl, ret, ret == -ENOENT ? "'kbroker peer list' shows those there are" : NULL,
				    "it was not forgotten");
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_peer[] = {
	{ "list", NULL, "show the brokers of the cluster, as this one knows them", NULL, cmd_list },
	{ "set", "ID EPOCH ADDRESS", "tell this broker of one", set_opts, cmd_set },
	{ "delete", "ID", "let this broker forget one", NULL, cmd_delete },
	{ 0 }
};
