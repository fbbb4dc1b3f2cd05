// SPDX-License-Identifier: GPL-2.0-only
/* The effective configs of a broker or a topic, and who gave them their values. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "objects.h"

static const char *const sources[] = { "default", "broker", "topic" };

/**
 * struct show - where the configs of a dump go
 * @tab: table, or
 * @js: JSON document, or
 * @want: the one config that is looked for, and
 * @value: its value
 */
struct show {
	struct kb_table *tab;
	struct kb_json *js;
	const char *want;
	char *value;
};

static const char *source_of(const struct kb_nl_msg *msg)
{
	uint8_t val = kb_attr_u8(msg->attrs[KBROKER_A_CONFIG_ENTRY_SOURCE]);

	return val < ARRAY_SIZE(sources) ? sources[val] : "unknown";
}

static int take_config(const struct kb_nl_msg *msg, void *arg)
{
	const char *name = kb_attr_text(msg->attrs[KBROKER_A_CONFIG_ENTRY_NAME]);
	const char *value = kb_attr_text(msg->attrs[KBROKER_A_CONFIG_ENTRY_VALUE]);
	const struct nlattr *def = msg->attrs[KBROKER_A_CONFIG_ENTRY_DEFAULT];
	struct show *show = arg;

	if (show->tab) {
		kb_table_cell(show->tab, "%s", name);
		kb_table_cell(show->tab, "%s", value);
		kb_table_cell(show->tab, "%s", source_of(msg));
		kb_table_cell(show->tab, "%s", def ? kb_attr_text(def) : "-");
	} else if (show->js) {
		kb_json_object(show->js, NULL);
		kb_json_string(show->js, "name", name);
		kb_json_string(show->js, "value", value);
		kb_json_string(show->js, "source", source_of(msg));
		if (def)
			kb_json_string(show->js, "default", kb_attr_text(def));
		kb_json_object_end(show->js);
	} else if (!strcmp(name, show->want) && !show->value) {
		show->value = kb_strdup(value);
	}
	return 0;
}

static int dump(struct kb_nl *nl, const char *topic, struct show *show)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_CONFIG_GET, NLM_F_DUMP);

	if (topic)
		kb_put_text(msg, KBROKER_A_CONFIG_ENTRY_TOPIC, topic);
	return kb_nl_call(nl, msg, take_config, show);
}

/**
 * kb_configs_print() - print all configs as a table
 * @nl: connection
 * @topic: topic; NULL for those of the broker
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_configs_print(struct kb_nl *nl, const char *topic)
{
	static const char *const heads[] = { "CONFIG", "VALUE", "SET-BY", "DEFAULT" };
	struct show show = { .tab = kb_table_new(heads, ARRAY_SIZE(heads)) };
	int ret = dump(nl, topic, &show);

	if (ret)
		return kb_nl_refused(nl, ret, NULL, "no configs");
	return kb_table_print(show.tab);
}

/**
 * kb_configs_json() - the same as a JSON member "all_configs"
 * @nl: connection
 * @js: document, inside an object
 * @topic: topic; NULL for those of the broker
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_configs_json(struct kb_nl *nl, struct kb_json *js, const char *topic)
{
	struct show show = { .js = js };
	int ret;

	kb_json_array(js, "all_configs");
	ret = dump(nl, topic, &show);
	kb_json_array_end(js);
	return ret ? kb_nl_refused(nl, ret, NULL, "no configs") : KB_OK;
}

/**
 * kb_config_value() - the effective value of one config
 * @nl: connection
 * @topic: topic; NULL for the broker's
 * @name: config
 *
 * Return: its value, to be freed; NULL if there is none.
 */
char *kb_config_value(struct kb_nl *nl, const char *topic, const char *name)
{
	struct show show = { .want = name };

	if (dump(nl, topic, &show)) {
		free(show.value);
		return NULL;
	}
	return show.value;
}
