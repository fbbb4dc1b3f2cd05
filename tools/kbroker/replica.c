// SPDX-License-Identifier: GPL-2.0-only
/* Partitions and sets of brokers on the command line; see replica.h. */
#include <inttypes.h>
#include <string.h>

#include "device.h"
#include "kbroker.h"
#include "replica.h"

/**
 * kb_place_parse() - "TOPIC" or "TOPIC/PARTITION"
 * @text: what was typed
 * @place: result
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_place_parse(const char *text, struct kb_place *place)
{
	const char *slash = strchr(text, '/'), *problem;
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	place->partition = -1;
	if (len >= sizeof(place->topic))
		return kb_usage("'%s' can't be a topic: it is longer than %d characters", text,
				KBROKER_TOPIC_NAME_MAX);
	memcpy(place->topic, text, len);
	place->topic[len] = '\0';
	problem = kb_topic_name_problem(place->topic);
	if (problem)
		return kb_usage("'%s' can't be a topic: %s", place->topic, problem);
	return slash ? kb_arg_s64("PARTITION", slash + 1, 0, KBROKER_PARTITION_MAX, &place->partition) : KB_OK;
}

/**
 * kb_ids_parse() - ids of brokers with commas between them
 * @what: for the message: option's or argument's name
 * @text: what was typed; "" is none
 * @ids: result
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_ids_parse(const char *what, const char *text, struct kb_ids *ids)
{
	char number[24];
	int64_t id;
	size_t len, i;

	ids->count = 0;
	while (*text) {
		len = strcspn(text, ",");
		if (ids->count == ARRAY_SIZE(ids->id))
			return kb_usage("%s: a partition has at most %d replicas", what, KBROKER_REPLICAS_MAX);
		if (len >= sizeof(number) || (text[len] && !text[len + 1]))
			return kb_usage("%s: '%s' is no list such as 1,2,3", what, text);
		snprintf(number, sizeof(number), "%.*s", (int)len, text);
		if (kb_arg_s64(what, number, 0, KBROKER_ID_MAX, &id) != KB_OK)
			return KB_USAGE;
		for (i = 0; i < ids->count; i++)
			if (ids->id[i] == id)
				return kb_usage("%s: broker %" PRId64 " is there twice", what, id);
		ids->id[ids->count++] = (int32_t)id;
		text += len + (text[len] == ',');
	}
	return KB_OK;
}

/* ids back to back, big-endian, as the kernel writes them */
void kb_ids_read(const struct nlattr *attr, struct kb_ids *ids)
{
	const unsigned char *at = attr ? nla_data((struct nlattr *)attr) : NULL;
	int len = attr ? nla_len((struct nlattr *)attr) : 0;

	ids->count = 0;
	for (; len >= 4 && ids->count < ARRAY_SIZE(ids->id); at += 4, len -= 4)
		ids->id[ids->count++] = (int32_t)((uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]);
}

/** kb_ids_text() - "1,2,3"; "-" if there are none */
const char *kb_ids_text(const struct kb_ids *ids, char buf[KB_IDS_TEXT])
{
	size_t i, at = 0;

	if (!ids->count)
		return strcpy(buf, "-");
	for (i = 0; i < ids->count; i++)
		at += (size_t)snprintf(buf + at, KB_IDS_TEXT - at, "%s%" PRId32, i ? "," : "", ids->id[i]);
	return buf;
}

const char *kb_ids_attr_text(const struct nlattr *attr, char buf[KB_IDS_TEXT])
{
	struct kb_ids ids;

	kb_ids_read(attr, &ids);
	return kb_ids_text(&ids, buf);
}

struct nl_msg *kb_replica_request(struct kb_nl *nl, const char *topic, int64_t partition)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_REPLICA_GET, partition < 0 ? NLM_F_DUMP : 0);

	if (kb.broker)
		kb_put_text(msg, KBROKER_A_REPLICA_BROKER, kb.broker);
	if (topic)
		kb_put_text(msg, KBROKER_A_REPLICA_TOPIC, topic);
	if (partition >= 0)
		kb_put_u32(msg, KBROKER_A_REPLICA_PARTITION, (uint32_t)partition);
	return msg;
}
