// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker op": operations that the kernel works on, or has worked on. */
#include <inttypes.h>

#include "kbroker.h"
#include "objects.h"

static void op_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	uint32_t total = kb_attr_u32(msg->attrs[KBROKER_A_OP_TOTAL]);
	const struct nlattr *error = msg->attrs[KBROKER_A_OP_ERROR];
	const char *message = kb_attr_text(msg->attrs[KBROKER_A_OP_MESSAGE]);

	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_OP_ID]));
	kb_table_cell(tab, "%s", kb_attr_word(kb_op_attrs, msg, KBROKER_A_OP_KIND));
	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_OP_OBJECT]));
	kb_table_cell(tab, "%s", kb_attr_word(kb_op_attrs, msg, KBROKER_A_OP_STATE));
	if (total)
		kb_table_cell(tab, "%" PRIu32 "/%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_OP_DONE]), total);
	else
		kb_table_cell(tab, "-");
	if (error && kb_attr_u32(error))
		kb_table_cell(tab, "%s%s%s", kb_errno_name((int)kb_attr_u32(error)), message[0] ? ": " : "",
			      message);
	else
		kb_table_cell(tab, "%s", message[0] ? message : "-");
}

static int cmd_list(int argc, char **argv)
{
	static const char *const heads[] = { ">OP", "KIND", "OBJECT", "STATE", ">PROGRESS", "MESSAGE" };
	static const struct kb_list ops = { heads, ARRAY_SIZE(heads), op_row, NULL, kb_op_attrs };
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_list_print(&nl, kb_nl_request(&nl, KBROKER_CMD_OP_GET, NLM_F_DUMP), &ops);
	ret = ret ? kb_nl_refused(&nl, ret, NULL, "no operations") : kb_out_check();
	kb_nl_close(&nl);
	return ret;
}

static int cmd_wait(int argc, char **argv)
{
	struct kb_nl nl;
	int64_t id;
	int ret;

	(void)argc;
	ret = kb_arg_s64("ID", argv[0], 1, UINT32_MAX, &id);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_op_wait(&nl, (uint32_t)id, "the operation failed");
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_op[] = {
	{ "list", NULL, "show operations that run or ended lately", NULL, cmd_list },
	{ "wait", "ID", "wait until an operation has ended", NULL, cmd_wait },
	{ 0 }
};
