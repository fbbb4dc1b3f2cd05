// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker listener": where the broker listens for Kafka's clients. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "kbroker.h"
#include "listener.h"
#include "objects.h"

static const struct kb_opt add_opts[] = {
	KB_OPT_ADVERTISED,
	KB_OPT_LISTENER_USER,
	{ 0 }
};

static void address_text(const struct kb_nl_msg *msg, char *buf, size_t size)
{
	const char *address = kb_attr_text(msg->attrs[KBROKER_A_LISTENER_ADDRESS]);

	snprintf(buf, size, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address,
		 kb_attr_u16(msg->attrs[KBROKER_A_LISTENER_PORT]));
}

static void advertised_text(const struct kb_nl_msg *msg, char *buf, size_t size)
{
	const char *host = kb_attr_text(msg->attrs[KBROKER_A_LISTENER_ADVERTISED_HOST]);

	if (host[0])
		snprintf(buf, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
			 kb_attr_u16(msg->attrs[KBROKER_A_LISTENER_ADVERTISED_PORT]));
	else
		snprintf(buf, size, "-");
}

static void listener_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	char buf[KBROKER_HOST_MAX + 16];

	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_LISTENER_ID]));
	address_text(msg, buf, sizeof(buf));
	kb_table_cell(tab, "%s", buf);
	advertised_text(msg, buf, sizeof(buf));
	kb_table_cell(tab, "%s", buf);
	kb_table_cell(tab, "%s", kb_user_name(kb_attr_u32(msg->attrs[KBROKER_A_LISTENER_UID]), buf));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_LISTENER_CONNECTIONS]));
	kb_table_cell(tab, "%" PRIu64, kb_attr_u64(msg->attrs[KBROKER_A_LISTENER_ACCEPTED]));
	kb_table_cell(tab, "%" PRIu64, kb_attr_u64(msg->attrs[KBROKER_A_LISTENER_REFUSED]));
	kb_table_cell(tab, "%" PRIu64, kb_attr_u64(msg->attrs[KBROKER_A_LISTENER_MALFORMED]));
}

static int cmd_list(int argc, char **argv)
{
	static const char *const heads[] = { ">ID", "ADDRESS", "ADVERTISED", "USER", ">CONNECTIONS",
		">ACCEPTED", ">REFUSED", ">MALFORMED" };
	static const struct kb_list listeners = { heads, ARRAY_SIZE(heads), listener_row, NULL,
		kb_listener_attrs, .of_broker = true };
	struct nl_msg *msg;
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = kb_nl_request(&nl, KBROKER_CMD_LISTENER_GET, NLM_F_DUMP);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_LISTENER_BROKER, kb.broker);
	ret = kb_list_print(&nl, msg, &listeners);
	ret = ret ? kb_nl_refused(&nl, ret, NULL, "no listeners") : kb_out_check();
	kb_nl_close(&nl);
	return ret;
}

static int take_listener(const struct kb_nl_msg *msg, void *arg)
{
	char buf[KBROKER_HOST_MAX + 16];
	struct kb_json *js = arg;

	if (kb.json) {
		kb_attrs_json(js, kb_listener_attrs, msg);
		return 0;
	}
	address_text(msg, buf, sizeof(buf));
	kb_note("listener %" PRIu32 ": %s", kb_attr_u32(msg->attrs[KBROKER_A_LISTENER_ID]), buf);
	return 0;
}

static int add_one(struct kb_nl *nl, const struct kb_listeners *listeners, size_t n)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_LISTENER_NEW, 0);
	struct kb_json js;
	int ret;

	if (kb.broker)
		kb_put_text(msg, KBROKER_A_LISTENER_BROKER, kb.broker);
	kb_listener_put(msg, listeners, n);
	kb_json_init(&js, stdout, true);
	if (kb.json)
		kb_json_object(&js, NULL);
	ret = kb_nl_call(nl, msg, take_listener, &js);
	if (kb.json) {
		kb_json_object_end(&js);
		kb_json_finish(&js);
	}
	return ret ? kb_nl_refused(nl, ret, NULL, "the listener was not added") : KB_OK;
}

static int cmd_add(int argc, char **argv)
{
	struct kb_listeners listeners = { 0 };
	int ret = kb_listeners_check();
	struct kb_nl nl;
	size_t i;

	(void)argc;
	if (ret == KB_OK)
		ret = kb_listeners_add(&listeners, argv[0], 0);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	for (i = 0; i < listeners.count && ret == KB_OK; i++)
		ret = add_one(&nl, &listeners, i);
	if (ret == KB_OK)
		kb_listeners_warn(&nl, &listeners);
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

static int cmd_del(int argc, char **argv)
{
	struct nl_msg *msg;
	struct kb_nl nl;
	int64_t id;
	int ret;

	(void)argc;
	ret = kb_arg_s64("ID", argv[0], 1, UINT32_MAX, &id);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = kb_nl_request(&nl, KBROKER_CMD_LISTENER_DEL, 0);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_LISTENER_BROKER, kb.broker);
	kb_put_u32(msg, KBROKER_A_LISTENER_ID, (uint32_t)id);
	ret = kb_nl_call(&nl, msg, NULL, NULL);
	if (ret)
		ret = kb_nl_refused(&nl, ret, ret == -ENOENT ? "'kbroker listener list' shows those there are" : NULL,
				    "the listener was not deleted");
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_listener[] = {
	{ "list", NULL, "show where the broker listens", NULL, cmd_list },
	{ "add", "ADDRESS", "listen at an address, too", add_opts, cmd_add },
	{ "del", "ID", "close a listener and its connections", NULL, cmd_del },
	{ 0 }
};
