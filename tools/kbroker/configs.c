// SPDX-License-Identifier: GPL-2.0-only
/* The effective configs of a broker or a topic, and who gave them their values. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "objects.h"

static const char *const sources[] = { "default", "broker", "topic" };

static const char *source_of(const struct kb_nl_msg *msg)
{
	uint8_t val = kb_attr_u8(msg->attrs[KBROKER_A_CONFIG_ENTRY_SOURCE]);

	return val < ARRAY_SIZE(sources) ? sources[val] : "unknown";
}

static void config_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	const struct nlattr *def = msg->attrs[KBROKER_A_CONFIG_ENTRY_DEFAULT];

	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_CONFIG_ENTRY_NAME]));
	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_CONFIG_ENTRY_VALUE]));
	kb_table_cell(tab, "%s", source_of(msg));
	kb_table_cell(tab, "%s", def ? kb_attr_text(def) : "-");
}

static void config_json(struct kb_json *js, const struct kb_nl_msg *msg)
{
	const struct nlattr *def = msg->attrs[KBROKER_A_CONFIG_ENTRY_DEFAULT];

	kb_json_string(js, "name", kb_attr_text(msg->attrs[KBROKER_A_CONFIG_ENTRY_NAME]));
	kb_json_string(js, "value", kb_attr_text(msg->attrs[KBROKER_A_CONFIG_ENTRY_VALUE]));
	kb_json_string(js, "source", source_of(msg));
	if (def)
		kb_json_string(js, "default", kb_attr_text(def));
}

static const char *const config_heads[] = { "CONFIG", "VALUE", "SET-BY", "DEFAULT" };
static const struct kb_list configs = { config_heads, ARRAY_SIZE(config_heads), config_row, config_json };

static struct nl_msg *get_request(struct kb_nl *nl, const char *topic)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_CONFIG_GET, NLM_F_DUMP);

	if (topic)
		kb_put_text(msg, KBROKER_A_CONFIG_ENTRY_TOPIC, topic);
	return msg;
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
	int ret = kb_list_table(nl, get_request(nl, topic), &configs);

	return ret ? kb_nl_refused(nl, ret, NULL, "no configs") : KB_OK;
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
	int ret = kb_list_member(nl, get_request(nl, topic), &configs, js, "all_configs");

	return ret ? kb_nl_refused(nl, ret, NULL, "no configs") : KB_OK;
}

/**
 * struct wanted - the one config that is looked for
 * @name: its name
 * @value: its value
 */
struct wanted {
	const char *name;
	char *value;
};

static int take_wanted(const struct kb_nl_msg *msg, void *arg)
{
	struct wanted *want = arg;

	if (!want->value && !strcmp(kb_attr_text(msg->attrs[KBROKER_A_CONFIG_ENTRY_NAME]), want->name))
		want->value = kb_strdup(kb_attr_text(msg->attrs[KBROKER_A_CONFIG_ENTRY_VALUE]));
	return 0;
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
	struct wanted want = { .name = name };

	kb_nl_call(nl, get_request(nl, topic), take_wanted, &want);
	return want.value;
}
