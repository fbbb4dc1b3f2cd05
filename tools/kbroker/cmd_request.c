// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker request": what a broker asks of its cluster's controller. "answer"
 * does by hand what the cluster's daemon does: for tests and disasters.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "kbroker.h"
#include "objects.h"

static const struct kb_opt answer_opts[] = {
	{ "error", 0, "ERRNO", "refuse it, with this errno: its name or number" },
	{ "message", 0, "TEXT", "why it is refused" },
	{ 0 }
};

static struct nl_msg *open_request(struct kb_nl *nl, uint8_t cmd, int flags)
{
	struct nl_msg *msg = kb_nl_request(nl, cmd, flags);

	if (kb.broker)
		kb_put_text(msg, KBROKER_A_REQUEST_BROKER, kb.broker);
	return msg;
}

static void request_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	const char *topic = kb_attr_text(msg->attrs[KBROKER_A_REQUEST_TOPIC]);
	char span[24];

	kb_table_cell(tab, "%" PRIu64, kb_attr_u64(msg->attrs[KBROKER_A_REQUEST_ID]));
	kb_table_cell(tab, "%s", kb_attr_word(kb_request_attrs, msg, KBROKER_A_REQUEST_KIND));
	if (msg->attrs[KBROKER_A_REQUEST_PARTITION])
		kb_table_cell(tab, "%s-%" PRIu32, topic, kb_attr_u32(msg->attrs[KBROKER_A_REQUEST_PARTITION]));
	else
		kb_table_cell(tab, "%s", topic[0] ? topic : "-");
	kb_table_cell(tab, "%s",
		      kb_human_span((int64_t)kb_attr_u64(msg->attrs[KBROKER_A_REQUEST_AGE_MS]), span));
}

static int cmd_list(int argc, char **argv)
{
	static const char *const heads[] = { ">ID", "KIND", "OBJECT", ">OPEN" };
	static const struct kb_list requests = { heads, ARRAY_SIZE(heads), request_row, NULL,
		kb_request_attrs, .of_broker = true };
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_list_print(&nl, open_request(&nl, KBROKER_CMD_REQUEST_GET, NLM_F_DUMP), &requests);
	ret = ret ? kb_nl_refused(&nl, ret, NULL, "no open requests") : kb_out_check();
	kb_nl_close(&nl);
	return ret;
}

/* "EEXIST" or 17; 0: there is none such */
static uint32_t find_errno(const char *text)
{
	int64_t number;
	uint32_t err;

	for (err = 1; err < 134; err++)
		if (!strcmp(text, kb_errno_name((int)err)))
			return err;
	if (text[0] < '0' || text[0] > '9' || kb_arg_s64("--error", text, 1, 4095, &number) != KB_OK)
		return 0;
	return (uint32_t)number;
}

static int cmd_answer(int argc, char **argv)
{
	const char *error = kb_opt_get("error"), *message = kb_opt_get("message");
	uint32_t err = error ? find_errno(error) : 0;
	struct nl_msg *msg;
	struct kb_nl nl;
	int64_t id;
	int ret;

	(void)argc;
	ret = kb_arg_s64("ID", argv[0], 1, INT64_MAX, &id);
	if (ret != KB_OK)
		return ret;
	if (error && !err)
		return kb_usage("--error: '%s' is no errno", error);
	if (message && (!error || strlen(message) > 255))
		return kb_usage("--message goes with --error and has at most 255 bytes");
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = open_request(&nl, KBROKER_CMD_REQUEST_SET, 0);
	kb_put_u64(msg, KBROKER_A_REQUEST_ID, (uint64_t)id);
	if (error)
		kb_put_u32(msg, KBROKER_A_REQUEST_ERROR, err);
	if (message)
		kb_put_text(msg, KBROKER_A_REQUEST_MESSAGE, message);
	ret = kb_nl_call(&nl, msg, NULL, NULL);
	if (ret)
		ret = kb_nl_refused(&nl, ret, ret == -ENOENT ? "'kbroker request list' shows them" : NULL,
				    "the request was not answered");
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_request[] = {
	{ "list", NULL, "show what the broker asks of its cluster's controller", NULL, cmd_list },
	{ "answer", "ID", "answer in the controller's place", answer_opts, cmd_answer },
	{ 0 }
};
