// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: configs as they are in effect, with where each comes from and what
 * it would be otherwise.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "netlink/nl.h"

/**
 * struct kbr_nl_config - one effective config, and room to find it out
 * @broker: name of the broker
 * @topic: name of the topic, NULL: a config of the broker
 * @name: its name
 * @value: its value
 * @otherwise: its value if it were not set on this object
 * @builtin: its value if it were set nowhere
 * @source: where the value comes from
 * @defaults: what is built in
 * @inherited: what a topic inherits from its broker
 */
struct kbr_nl_config {
	const char *broker;
	const char *topic;
	const char *name;
	char value[KBR_CONFIG_VALUE_MAX + 1];
	char otherwise[KBR_CONFIG_VALUE_MAX + 1];
	char builtin[KBR_CONFIG_VALUE_MAX + 1];
	u8 source;
	struct kbr_broker_config defaults;
	struct kbr_topic_config inherited;
};

/**
 * kbr_nl_config_set_fill() - one nest for each config that was set
 * @skb: message
 * @type: attribute of the nest
 * @set: what was set; the caller keeps it from changing
 *
 * Return: 0; -EMSGSIZE.
 */
int kbr_nl_config_set_fill(struct sk_buff *skb, int type, const struct kbr_config_set *set)
{
	unsigned int i;

	for (i = 0; i < set->count; i++) {
		struct nlattr *nest = nla_nest_start(skb, type);

		if (!nest || nla_put_string(skb, KBROKER_A_CONFIG_NAME, set->entries[i].name) ||
		    nla_put_string(skb, KBROKER_A_CONFIG_VALUE, set->entries[i].value))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

static int kbr_nl_config_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_config *config = obj;

	if (nla_put_string(skb, KBROKER_A_CONFIG_ENTRY_BROKER, config->broker) ||
	    (config->topic &&
	     nla_put_string(skb, KBROKER_A_CONFIG_ENTRY_TOPIC, config->topic)) ||
	    nla_put_string(skb, KBROKER_A_CONFIG_ENTRY_NAME, config->name) ||
	    nla_put_string(skb, KBROKER_A_CONFIG_ENTRY_VALUE, config->value) ||
	    nla_put_u8(skb, KBROKER_A_CONFIG_ENTRY_SOURCE, config->source) ||
	    nla_put_string(skb, KBROKER_A_CONFIG_ENTRY_DEFAULT, config->otherwise))
		return -EMSGSIZE;
	return 0;
}

/* The @index-th config of @broker; false past the last. Under its topics_sem. */
static bool kbr_nl_config_of_broker(struct kbr_nl_config *config, struct kbr_broker *broker,
				    unsigned int index)
{
	static const struct kbr_config_set nothing;
	bool is_default;

	kbr_broker_config_describe(&config->defaults, &nothing, index, config->otherwise, &is_default);
	config->name = kbr_broker_config_describe(&broker->config, &broker->config_set, index,
						  config->value, &is_default);
	config->source = is_default ? KBROKER_CONFIG_SOURCE_DEFAULT : KBROKER_CONFIG_SOURCE_BROKER;
	return config->name;
}

/* The @index-th config of @topic; false past the last. Under its broker's topics_sem. */
static bool kbr_nl_config_of_topic(struct kbr_nl_config *config, struct kbr_topic *topic,
				   unsigned int index)
{
	static const struct kbr_config_set nothing;
	bool is_default;

	config->inherited = topic->broker->config.topic;
	kbr_topic_config_describe(&config->defaults.topic, &nothing, index, config->builtin, &is_default);
	kbr_topic_config_describe(&config->inherited, &nothing, index, config->otherwise, &is_default);
	config->name = kbr_topic_config_describe(&topic->config, &topic->config_set, index,
						 config->value, &is_default);
	if (!is_default)
		config->source = KBROKER_CONFIG_SOURCE_TOPIC;
	else if (strcmp(config->otherwise, config->builtin))
		config->source = KBROKER_CONFIG_SOURCE_BROKER;
	else
		config->source = KBROKER_CONFIG_SOURCE_DEFAULT;
	return config->name;
}

/** kbroker_nl_config_dump_start() - begin a dump of configs */
int kbroker_nl_config_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_CONFIG_ENTRY_BROKER, KBROKER_A_CONFIG_ENTRY_TOPIC, 0);
}

/** kbroker_nl_config_get_dumpit() - configs of the broker or of one topic */
int kbroker_nl_config_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_topic *topic = NULL;
	struct kbr_nl_config *config;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	if (err || dump->done || !dump->broker)
		return err;
	config = kzalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return -ENOMEM;
	if (dump->one_topic) {
		topic = kbr_nl_dump_topic(dump);
		if (!topic)
			goto out;
		config->topic = topic->name;
	}
	config->broker = dump->broker->name;
	kbr_broker_config_default(&config->defaults);

	down_read(&dump->broker->topics_sem);
	while (!err) {
		if (!(topic ? kbr_nl_config_of_topic(config, topic, dump->nth) :
			      kbr_nl_config_of_broker(config, dump->broker, dump->nth))) {
			dump->done = true;
			break;
		}
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_CONFIG_GET, kbr_nl_config_fill, config);
		if (!err)
			dump->nth++;
	}
	up_read(&dump->broker->topics_sem);
out:
	kbr_topic_put(topic);
	kfree(config);
	return skb->len ?: err;
}
