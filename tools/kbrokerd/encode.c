// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages, entries and snapshots as bytes; see encode.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kbroker_netlink.h>

#include "encode.h"

#define ATTR_HEADER	4
#define ATTR_NESTED	0x8000
#define ATTR_MAX	65535
#define ATTR_ALIGN(len)	(((len) + 3) & ~(size_t)3)

/* ---- writing ---- */

/* Without memory a daemon ends, and its session passes. */
static u8 *buf_room(struct kbd_buf *buf, size_t len)
{
	u8 *at;

	if (len > buf->room - buf->len) {
		buf->room = (buf->len + len) * 2;
		buf->data = realloc(buf->data, buf->room);
		if (!buf->data)
			abort();
	}
	at = buf->data + buf->len;
	buf->len += len;
	return at;
}

static void put_header(u8 *at, u16 type, size_t len)
{
	at[0] = len;
	at[1] = len >> 8;
	at[2] = type;
	at[3] = type >> 8;
}

void kbd_begin(struct kbd_buf *buf, enum kbd_kind kind)
{
	u8 *at;

	buf->len = 0;
	buf->full = false;
	at = buf_room(buf, KBD_HEADER_SIZE);
	memset(at, 0, KBD_HEADER_SIZE);
	at[0] = KBD_VERSION;
	at[1] = kind;
}

void kbd_copy(struct kbd_buf *buf, const void *data, size_t len)
{
	u8 *at;

	buf->len = 0;
	buf->full = false;
	at = buf_room(buf, ATTR_ALIGN(len));
	memcpy(at, data, len);
	memset(at + len, 0, ATTR_ALIGN(len) - len);
}

void kbd_put(struct kbd_buf *buf, u16 type, const void *data, size_t len)
{
	u8 *at;

	if (len > ATTR_MAX - ATTR_HEADER) {
		buf->full = true;
		return;
	}
	at = buf_room(buf, ATTR_HEADER + ATTR_ALIGN(len));
	put_header(at, type, ATTR_HEADER + len);
	memset(at + ATTR_HEADER + len, 0, ATTR_ALIGN(len) - len);
	if (len)
		memcpy(at + ATTR_HEADER, data, len);
}

void kbd_put_raw(struct kbd_buf *buf, const void *attrs, size_t len)
{
	memcpy(buf_room(buf, len), attrs, len);
}

static void put_number(struct kbd_buf *buf, u16 type, u64 value, unsigned int size)
{
	u8 wire[8];
	unsigned int i;

	for (i = 0; i < size; i++)
		wire[i] = value >> (8 * (size - 1 - i));
	kbd_put(buf, type, wire, size);
}

void kbd_put_u8(struct kbd_buf *buf, u16 type, u8 value)
{
	put_number(buf, type, value, 1);
}

void kbd_put_u16(struct kbd_buf *buf, u16 type, u16 value)
{
	put_number(buf, type, value, 2);
}

void kbd_put_u32(struct kbd_buf *buf, u16 type, u32 value)
{
	put_number(buf, type, value, 4);
}

void kbd_put_u64(struct kbd_buf *buf, u16 type, u64 value)
{
	put_number(buf, type, value, 8);
}

void kbd_put_text(struct kbd_buf *buf, u16 type, const char *text)
{
	kbd_put(buf, type, text, strlen(text) + 1);
}

void kbd_put_set(struct kbd_buf *buf, u16 type, const struct kbd_set *set)
{
	u8 wire[4 * KBD_REPLICAS_MAX];
	unsigned int i, byte;

	for (i = 0; i < set->count; i++)
		for (byte = 0; byte < 4; byte++)
			wire[4 * i + byte] = (u32)set->id[i] >> (24 - 8 * byte);
	kbd_put(buf, type, wire, 4 * set->count);
}

size_t kbd_nest(struct kbd_buf *buf, u16 type)
{
	size_t nest = buf->len;

	put_header(buf_room(buf, ATTR_HEADER), type | ATTR_NESTED, ATTR_HEADER);
	return nest;
}

void kbd_nest_end(struct kbd_buf *buf, size_t nest)
{
	size_t len = buf->len - nest;

	if (len > ATTR_MAX) {
		buf->full = true;
		return;
	}
	buf->data[nest] = len;
	buf->data[nest + 1] = len >> 8;
}

void kbd_buf_free(struct kbd_buf *buf)
{
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}

/* ---- what may be there ---- */

enum kbd_form {
	FORM_NONE,
	FORM_BYTES,		/* min to max bytes */
	FORM_TEXT,		/* max characters and a NUL */
	FORM_IDS,		/* 32-bit numbers */
	FORM_NEST,
};

struct kbd_rule {
	const char *name;
	const struct kbd_rule *nest;
	u16 nest_count;
	u16 min;
	u16 max;
	u8 form;
};

#define RULES(_rules)		.nest = (_rules), .nest_count = sizeof(_rules) / sizeof((_rules)[0])
#define NUMBER(_name, _size)	{ .name = (_name), .form = FORM_BYTES, .min = (_size), .max = (_size) }
#define BYTES(_name, _min, _max) { .name = (_name), .form = FORM_BYTES, .min = (_min), .max = (_max) }
#define TEXT(_name, _max)	{ .name = (_name), .form = FORM_TEXT, .max = (_max) }
#define IDS(_name)		{ .name = (_name), .form = FORM_IDS, .max = 4 * KBD_REPLICAS_MAX }
#define NEST(_name, _rules)	{ .name = (_name), .form = FORM_NEST, RULES(_rules) }
#define UUID(_name)		NUMBER(_name, 16)

static const struct kbd_rule config_rules[] = {
	[KBROKER_A_CONFIG_NAME]		= TEXT("config name", KBROKER_CONFIG_NAME_MAX),
	[KBROKER_A_CONFIG_VALUE]	= TEXT("config value", KBROKER_CONFIG_VALUE_MAX),
};

static const struct kbd_rule cluster_rules[] = {
	[KBROKER_A_CLUSTER_CLUSTER_ID]	= UUID("cluster-id"),
	[KBROKER_A_CLUSTER_DIRECTORY_ID] = UUID("directory-id"),
	[KBROKER_A_CLUSTER_CLEAN]	= NUMBER("clean", 1),
	[KBROKER_A_CLUSTER_PREVIOUS_EPOCH] = NUMBER("previous-epoch", 8),
	[KBROKER_A_CLUSTER_INCARNATION]	= UUID("incarnation"),
};

static const struct kbd_rule peer_rules[] = {
	[KBROKER_A_PEER_ID]		= NUMBER("peer id", 4),
	[KBROKER_A_PEER_EPOCH]		= NUMBER("peer epoch", 8),
	[KBROKER_A_PEER_FENCED]		= NUMBER("fenced", 1),
	[KBROKER_A_PEER_ADDRESS]	= TEXT("address", KBROKER_ADDRESS_MAX),
	[KBROKER_A_PEER_PORT]		= NUMBER("port", 2),
	[KBROKER_A_PEER_ADVERTISED_HOST] = TEXT("advertised-host", KBROKER_HOST_MAX),
	[KBROKER_A_PEER_ADVERTISED_PORT] = NUMBER("advertised-port", 2),
	[KBROKER_A_PEER_RACK]		= TEXT("rack", KBROKER_RACK_MAX),
};

static const struct kbd_rule topic_rules[] = {
	[KBROKER_A_TOPIC_NAME]		= TEXT("topic name", KBROKER_TOPIC_NAME_MAX),
	[KBROKER_A_TOPIC_ID]		= UUID("topic id"),
	[KBROKER_A_TOPIC_PARTITIONS]	= NUMBER("partitions", 4),
	[KBROKER_A_TOPIC_REPLICATION_FACTOR] = NUMBER("replication-factor", 2),
	[KBROKER_A_TOPIC_UID]		= NUMBER("uid", 4),
	[KBROKER_A_TOPIC_GID]		= NUMBER("gid", 4),
	[KBROKER_A_TOPIC_MODE]		= NUMBER("mode", 2),
	[KBROKER_A_TOPIC_CONFIG]	= NEST("config", config_rules),
};

static const struct kbd_rule replica_rules[] = {
	[KBROKER_A_REPLICA_TOPIC]	= TEXT("replica topic", KBROKER_TOPIC_NAME_MAX),
	[KBROKER_A_REPLICA_TOPIC_ID]	= UUID("replica topic-id"),
	[KBROKER_A_REPLICA_PARTITION]	= NUMBER("replica partition", 4),
	[KBROKER_A_REPLICA_LEADER]	= NUMBER("leader", 4),
	[KBROKER_A_REPLICA_LEADER_EPOCH] = NUMBER("replica leader-epoch", 4),
	[KBROKER_A_REPLICA_PARTITION_EPOCH] = NUMBER("replica partition-epoch", 4),
	[KBROKER_A_REPLICA_REPLICAS]	= IDS("replicas"),
	[KBROKER_A_REPLICA_ISR]		= IDS("replica isr"),
	[KBROKER_A_REPLICA_ELR]		= IDS("elr"),
};

static const struct kbd_rule broker_rules[] = {
	[KBD_A_CLUSTER]			= NEST("cluster", cluster_rules),
	[KBD_A_PEER]			= NEST("peer", peer_rules),
	[KBD_A_STOPPING]		= NUMBER("stopping", 1),
	[KBD_A_INDEX]			= NUMBER("index", 8),
};

static const struct kbd_rule partition_rules[] = {
	[KBD_A_REPLICA]			= NEST("replica", replica_rules),
	[KBD_A_TARGET]			= IDS("target"),
	[KBD_A_FROM]			= IDS("from"),
};

static const struct kbd_rule daemon_rules[KBD_DAEMON_END] = {
	[KBD_DAEMON_ID]			= NUMBER("daemon id", 4),
	[KBD_DAEMON_ADDRESS]		= TEXT("daemon address", KBD_DAEMON_ADDRESS_MAX),
	[KBD_DAEMON_VOTER]		= NUMBER("voter", 1),
	[KBD_DAEMON_LEADER]		= NUMBER("controller", 1),
};

static const struct kbd_rule message_rules[KBD_A_END] = {
	[KBROKER_A_REQUEST_KIND]	= NUMBER("kind", 1),
	[KBROKER_A_REQUEST_TOPIC]	= TEXT("topic", KBROKER_TOPIC_NAME_MAX),
	[KBROKER_A_REQUEST_TOPIC_ID]	= UUID("topic-id"),
	[KBROKER_A_REQUEST_PARTITION]	= NUMBER("partition", 4),
	[KBROKER_A_REQUEST_LEADER_EPOCH] = NUMBER("leader-epoch", 4),
	[KBROKER_A_REQUEST_PARTITION_EPOCH] = NUMBER("partition-epoch", 4),
	[KBROKER_A_REQUEST_ISR]		= IDS("isr"),
	[KBROKER_A_REQUEST_ISR_EPOCHS]	= BYTES("isr-epochs", 0, 8 * KBD_REPLICAS_MAX),
	[KBROKER_A_REQUEST_LOST]	= NUMBER("lost", 1),
	[KBROKER_A_REQUEST_PARTITIONS]	= NUMBER("partitions", 4),
	[KBROKER_A_REQUEST_REPLICATION_FACTOR] = NUMBER("replication-factor", 2),
	[KBROKER_A_REQUEST_ASSIGNMENT]	= BYTES("assignment", 0, ATTR_MAX - ATTR_HEADER),
	[KBROKER_A_REQUEST_UID]		= NUMBER("uid", 4),
	[KBROKER_A_REQUEST_GID]		= NUMBER("gid", 4),
	[KBROKER_A_REQUEST_MODE]	= NUMBER("mode", 2),
	[KBROKER_A_REQUEST_CONFIG]	= NEST("config", config_rules),
	[KBD_A_CLUSTER]			= NEST("cluster", cluster_rules),
	[KBD_A_PEER]			= NEST("peer", peer_rules),
	[KBD_A_TOPIC]			= NEST("topic", topic_rules),
	[KBD_A_REPLICA]			= NEST("replica", replica_rules),
	[KBD_A_BROKER]			= NEST("broker", broker_rules),
	[KBD_A_PARTITION]		= NEST("partition", partition_rules),
	[KBD_A_UNCLEAN]			= NUMBER("unclean", 1),
	[KBD_A_EPOCH]			= NUMBER("epoch", 8),
	[KBD_A_INDEX]			= NUMBER("index", 8),
	[KBD_A_ERROR]			= NUMBER("error", 4),
	[KBD_A_MESSAGE]			= TEXT("message", 255),
	[KBD_A_DAEMON]			= NEST("daemon", daemon_rules),
};

/* ---- reading ---- */

bool kbd_each(const u8 *body, size_t len, size_t *pos, struct kbd_attr *attr)
{
	const u8 *at;
	size_t size;

	if (*pos >= len || len - *pos < ATTR_HEADER)
		return false;
	at = body + *pos;
	size = at[0] | at[1] << 8;
	if (size < ATTR_HEADER || size > len - *pos)
		return false;
	attr->type = (at[2] | at[3] << 8) & ~ATTR_NESTED;
	attr->data = at + ATTR_HEADER;
	attr->len = size - ATTR_HEADER;
	*pos += ATTR_ALIGN(size);
	return true;
}

static bool attr_fits(const struct kbd_rule *rule, const struct kbd_attr *attr)
{
	switch (rule->form) {
	case FORM_TEXT:
		return attr->len && attr->len <= rule->max + 1 && !attr->data[attr->len - 1] &&
		       strlen((const char *)attr->data) == attr->len - 1u;
	case FORM_IDS:
		return attr->len <= rule->max && !(attr->len % 4);
	case FORM_BYTES:
		return attr->len >= rule->min && attr->len <= rule->max;
	default:
		return true;
	}
}

/* The rules nest three deep, and so does what is checked. */
static int check_attrs(const u8 *body, size_t len, const struct kbd_rule *rules,
		       unsigned int count, char *why)
{
	struct kbd_attr attr;
	size_t pos = 0;

	while (kbd_each(body, len, &pos, &attr)) {
		const struct kbd_rule *rule = attr.type < count ? &rules[attr.type] : NULL;

		if (!rule || rule->form == FORM_NONE) {
			snprintf(why, KBD_WHY_SIZE,
				 "attribute %u is not known to this kbrokerd: a newer one sent it",
				 attr.type);
			return -EPROTO;
		}
		if (!attr_fits(rule, &attr)) {
			snprintf(why, KBD_WHY_SIZE, "attribute '%s' has a form that it can't have",
				 rule->name);
			return -EPROTO;
		}
		if (rule->form == FORM_NEST &&
		    check_attrs(attr.data, attr.len, rule->nest, rule->nest_count, why))
			return -EPROTO;
	}
	/* the last one's padding may be left out in a nest */
	if (pos < len) {
		snprintf(why, KBD_WHY_SIZE, "an attribute is longer than what holds it");
		return -EPROTO;
	}
	return 0;
}

static void open_attrs(const u8 *body, size_t len, struct kbd_attr *attrs, unsigned int count)
{
	struct kbd_attr attr;
	size_t pos = 0;

	memset(attrs, 0, count * sizeof(*attrs));
	while (kbd_each(body, len, &pos, &attr))
		if (attr.type < count)
			attrs[attr.type] = attr;
}

int kbd_decode(struct kbd_message *msg, const void *data, size_t len, char *why)
{
	const u8 *at = data;

	if (len < KBD_HEADER_SIZE) {
		snprintf(why, KBD_WHY_SIZE, "%zu bytes are no message", len);
		return -EPROTO;
	}
	if (at[0] != KBD_VERSION || at[2] || at[3]) {
		snprintf(why, KBD_WHY_SIZE, "version %u is not known to this kbrokerd", at[0]);
		return -EPROTO;
	}
	if (!at[1] || at[1] >= KBD_KINDS) {
		snprintf(why, KBD_WHY_SIZE, "kind %u is not known to this kbrokerd", at[1]);
		return -EPROTO;
	}
	msg->kind = at[1];
	msg->body = at + KBD_HEADER_SIZE;
	msg->len = len - KBD_HEADER_SIZE;
	if (check_attrs(msg->body, msg->len, message_rules, KBD_A_END, why))
		return -EPROTO;
	open_attrs(msg->body, msg->len, msg->attr, KBD_A_END);
	return 0;
}

void kbd_open(const struct kbd_attr *nest, struct kbd_attr *attrs, unsigned int count)
{
	open_attrs(nest->data, nest->len, attrs, count);
}

static u64 get_number(const struct kbd_attr *attr, unsigned int size)
{
	u64 value = 0;
	unsigned int i;

	if (!attr->data || attr->len != size)
		return 0;
	for (i = 0; i < size; i++)
		value = value << 8 | attr->data[i];
	return value;
}

u8 kbd_u8(const struct kbd_attr *attr)
{
	return get_number(attr, 1);
}

u16 kbd_u16(const struct kbd_attr *attr)
{
	return get_number(attr, 2);
}

u32 kbd_u32(const struct kbd_attr *attr)
{
	return get_number(attr, 4);
}

u64 kbd_u64(const struct kbd_attr *attr)
{
	return get_number(attr, 8);
}

const char *kbd_text(const struct kbd_attr *attr)
{
	return attr->data ? (const char *)attr->data : "";
}

u32 kbd_get_be32(const u8 *at)
{
	return (u32)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

u64 kbd_get_be64(const u8 *at)
{
	return (u64)kbd_get_be32(at) << 32 | kbd_get_be32(at + 4);
}

bool kbd_ids(const struct kbd_attr *attr, struct kbd_set *set)
{
	unsigned int i;

	set->count = 0;
	if (!attr->data)
		return true;
	for (i = 0; i < attr->len / 4u; i++) {
		s32 id = kbd_get_be32(attr->data + 4 * i);

		if (id < 0 || !kbd_set_add(set, id))
			return false;
	}
	return true;
}
