// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker connection": the Kafka clients that are connected. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "objects.h"

static void software_text(const struct kb_nl_msg *msg, char *buf, size_t size)
{
	const char *name = kb_attr_text(msg->attrs[KBROKER_A_CONNECTION_SOFTWARE]);
	const char *version = kb_attr_text(msg->attrs[KBROKER_A_CONNECTION_SOFTWARE_VERSION]);

	snprintf(buf, size, name[0] ? "%s %s" : "-", name, version);
}

/* "Produce:7 Fetch:11" */
static void versions_text(const struct kb_nl_msg *msg, char *buf, size_t size)
{
	struct nlattr *api[KBROKER_A_API_MAX + 1], *attr;
	size_t n = 0;
	int rem;

	snprintf(buf, size, "-");
	nla_for_each_attr(attr, msg->head, msg->len, rem) {
		if (nla_type(attr) != KBROKER_A_CONNECTION_API || n >= size)
			continue;
		kb_attrs_parse(api, KBROKER_A_API_MAX, attr);
		n += (size_t)snprintf(buf + n, size - n, "%s%s:%u", n ? " " : "",
				      kb_api_name(kb_attr_u16(api[KBROKER_A_API_KEY])),
				      kb_attr_u16(api[KBROKER_A_API_VERSION]));
	}
}

static void connection_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	const char *client = kb_attr_text(msg->attrs[KBROKER_A_CONNECTION_CLIENT_ID]);
	char buf[512], size[24];

	kb_table_cell(tab, "%" PRIu64, kb_attr_u64(msg->attrs[KBROKER_A_CONNECTION_ID]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_CONNECTION_LISTENER]));
	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_CONNECTION_PEER]));
	kb_table_cell(tab, "%s", client[0] ? client : "-");
	software_text(msg, buf, sizeof(buf));
	kb_table_cell(tab, "%s", buf);
	kb_table_cell(tab, "%" PRIu64, kb_attr_u64(msg->attrs[KBROKER_A_CONNECTION_REQUESTS]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_CONNECTION_IN_FLIGHT]));
	kb_table_cell(tab, "%s", kb_human_bytes(kb_attr_u64(msg->attrs[KBROKER_A_CONNECTION_RECEIVED_BYTES]), size));
	kb_table_cell(tab, "%s", kb_human_bytes(kb_attr_u64(msg->attrs[KBROKER_A_CONNECTION_SENT_BYTES]), size));
	kb_table_cell(tab, "%s", kb_human_bytes(kb_attr_u64(msg->attrs[KBROKER_A_CONNECTION_BUFFERED_BYTES]), size));
	kb_table_cell(tab, "%s", kb_human_span((int64_t)kb_attr_u64(msg->attrs[KBROKER_A_CONNECTION_AGE_MS]), size));
	kb_table_cell(tab, "%s", kb_human_span((int64_t)kb_attr_u64(msg->attrs[KBROKER_A_CONNECTION_IDLE_MS]), size));
	versions_text(msg, buf, sizeof(buf));
	kb_table_cell(tab, "%s", buf);
}

static int cmd_list(int argc, char **argv)
{
	static const char *const heads[] = { ">ID", ">LISTENER", "PEER", "CLIENT", "SOFTWARE", ">REQUESTS",
		">IN-FLIGHT", ">RECEIVED", ">SENT", ">BUFFERED", ">AGE", ">IDLE", "VERSIONS" };
	static const struct kb_list connections = { heads, ARRAY_SIZE(heads), connection_row, NULL,
		kb_connection_attrs, .of_broker = true };
	struct nl_msg *msg;
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = kb_nl_request(&nl, KBROKER_CMD_CONNECTION_GET, NLM_F_DUMP);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_CONNECTION_BROKER, kb.broker);
	ret = kb_list_print(&nl, msg, &connections);
	ret = ret ? kb_nl_refused(&nl, ret, NULL, "no connections") : kb_out_check();
	kb_nl_close(&nl);
	return ret;
}

static int cmd_close(int argc, char **argv)
{
	struct nl_msg *msg;
	struct kb_nl nl;
	int64_t id;
	int ret;

	(void)argc;
	ret = kb_arg_s64("ID", argv[0], 1, INT64_MAX, &id);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = kb_nl_request(&nl, KBROKER_CMD_CONNECTION_DEL, 0);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_CONNECTION_BROKER, kb.broker);
	kb_put_u64(msg, KBROKER_A_CONNECTION_ID, (uint64_t)id);
	ret = kb_nl_call(&nl, msg, NULL, NULL);
	if (ret)
		ret = kb_nl_refused(&nl, ret, ret == -ENOENT ? "'kbroker connection list' shows those there are" : NULL,
				    "the connection was not closed");
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_connection[] = {
	{ "list", NULL, "show the clients that are connected", NULL, cmd_list },
	{ "close", "ID", "close a connection; most clients come back", NULL, cmd_close },
	{ 0 }
};
