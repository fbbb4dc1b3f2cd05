// SPDX-License-Identifier: GPL-2.0-only
/* Dumps as a table for people or as JSON for programs; see objects.h. */
#include <errno.h>

#include "kbroker.h"
#include "objects.h"

/**
 * struct show - where the objects of one dump go
 * @list: what they are
 * @tab: table, or
 * @js: document, inside an array
 * @count: objects so far
 */
struct show {
	const struct kb_list *list;
	struct kb_table *tab;
	struct kb_json *js;
	size_t count;
};

static int show_one(const struct kb_nl_msg *msg, void *arg)
{
	struct show *show = arg;

	show->count++;
	if (show->tab) {
		show->list->row(show->tab, msg);
		return 0;
	}
	kb_json_object(show->js, NULL);
	if (show->list->json)
		show->list->json(show->js, msg);
	else
		kb_attrs_json(show->js, show->list->attrs, msg);
	kb_json_object_end(show->js);
	return 0;
}

static int call_in_order(struct kb_nl *nl, struct nl_msg *msg, struct show *show)
{
	int ret;

	nl->order = show->list->order;
	ret = kb_nl_call(nl, msg, show_one, show);
	nl->order = 0;
	return ret;
}

static int count_one(const struct kb_nl_msg *msg, void *arg)
{
	(void)msg;
	(*(size_t *)arg)++;
	return 0;
}

/* Nothing was found: is there a broker at all? 0, or -ENODEV as if the kernel had said so. */
static int check_broker(struct kb_nl *nl)
{
	size_t count = 0;
	int ret = kb_nl_call(nl, kb_nl_request(nl, KBROKER_CMD_BROKER_GET, NLM_F_DUMP), count_one, &count);

	if (ret || count)
		return ret;
	nl->text = kb_strdup("there is no broker in this network namespace");
	return -ENODEV;
}

/**
 * kb_list_table() - print a dump as a table
 * @nl: connection
 * @msg: request; freed
 * @list: what it is about
 *
 * Return: 0 or the kernel's negative errno; nothing is printed then.
 */
int kb_list_table(struct kb_nl *nl, struct nl_msg *msg, const struct kb_list *list)
{
	struct show show = { .list = list, .tab = kb_table_new(list->heads, list->columns) };
	int ret = call_in_order(nl, msg, &show);

	if (!ret && !show.count && list->of_broker)
		ret = check_broker(nl);
	if (ret || (!show.count && list->hide_empty))
		kb_table_free(show.tab);
	else
		kb_table_print(show.tab);
	return ret;
}

/**
 * kb_list_member() - write a dump as an array
 * @nl: connection
 * @msg: request; freed
 * @list: what it is about
 * @js: document
 * @key: member of the object that is open in @js; NULL: the document itself
 *
 * Return: 0 or the kernel's negative errno; the array is empty then.
 */
int kb_list_member(struct kb_nl *nl, struct nl_msg *msg, const struct kb_list *list,
		   struct kb_json *js, const char *key)
{
	struct show show = { .list = list, .js = js };
	int ret;

	kb_json_array(js, key);
	ret = call_in_order(nl, msg, &show);
	kb_json_array_end(js);
	if (!ret && !show.count && list->of_broker)
		ret = check_broker(nl);
	return ret;
}

/**
 * kb_list_print() - print a dump in the form that was asked for
 * @nl: connection
 * @msg: request; freed
 * @list: what it is about
 *
 * Return: 0 or the kernel's negative errno.
 */
int kb_list_print(struct kb_nl *nl, struct nl_msg *msg, const struct kb_list *list)
{
	struct kb_json js;
	int ret;

	if (!kb.json)
		return kb_list_table(nl, msg, list);
	kb_json_init(&js, stdout, true);
	ret = kb_list_member(nl, msg, list, &js, NULL);
	kb_json_finish(&js);
	return ret;
}
