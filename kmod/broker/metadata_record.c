// SPDX-License-Identifier: GPL-2.0-only
/*
 * Encodes and checks the values of the metadata log. The attributes are those
 * of netlink (linux/kbroker_netlink.h), integers big-endian as there; the
 * attributes' own headers are little-endian on every machine. The log around
 * them is metadata.c's.
 */
#include <linux/kbroker_netlink.h>
#include <linux/netlink.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "broker/metadata_record.h"
#include "broker/topic.h"
#include "kbr_unaligned.h"

/* ---- encode ---- */

static u8 *kbr_attr_room(struct kbr_metadata_buf *out, size_t len)
{
	u8 *at = out->buf + out->len;

	if (out->full || len > KBR_METADATA_VALUE_MAX - out->len) {
		out->full = true;
		return NULL;
	}
	out->len += len;
	return at;
}

static void kbr_attr_put(struct kbr_metadata_buf *out, u16 type, const void *data, size_t len)
{
	u8 *at = kbr_attr_room(out, NLA_ALIGN(NLA_HDRLEN + len));

	if (!at)
		return;
	put_unaligned_le16(NLA_HDRLEN + len, at);
	put_unaligned_le16(type, at + 2);
	memcpy(at + NLA_HDRLEN, data, len);
	memset(at + NLA_HDRLEN + len, 0, NLA_ALIGN(len) - len);
}

static void kbr_attr_put_u16(struct kbr_metadata_buf *out, u16 type, u16 value)
{
	__be16 wire = cpu_to_be16(value);

	kbr_attr_put(out, type, &wire, sizeof(wire));
}

static void kbr_attr_put_u32(struct kbr_metadata_buf *out, u16 type, u32 value)
{
	__be32 wire = cpu_to_be32(value);

	kbr_attr_put(out, type, &wire, sizeof(wire));
}

static void kbr_attr_put_u64(struct kbr_metadata_buf *out, u16 type, u64 value)
{
	__be64 wire = cpu_to_be64(value);

	kbr_attr_put(out, type, &wire, sizeof(wire));
}

static void kbr_attr_put_string(struct kbr_metadata_buf *out, u16 type, const char *text)
{
	kbr_attr_put(out, type, text, strlen(text) + 1);
}

static void kbr_attr_put_configs(struct kbr_metadata_buf *out, u16 type,
				 const struct kbr_config_set *set)
{
	unsigned int i;

	for (i = 0; i < set->count; i++) {
		u8 *nest = kbr_attr_room(out, NLA_HDRLEN);
		size_t begin = out->len;

		kbr_attr_put_string(out, KBROKER_A_CONFIG_NAME, set->entries[i].name);
		kbr_attr_put_string(out, KBROKER_A_CONFIG_VALUE, set->entries[i].value);
		if (out->full)
			return;
		put_unaligned_le16(NLA_HDRLEN + out->len - begin, nest);
		put_unaligned_le16(type | NLA_F_NESTED, nest + 2);
	}
}

static void kbr_metadata_begin(struct kbr_metadata_buf *out, enum kbr_metadata_type type)
{
	u8 *at = kbr_attr_room(out, 4);

	if (!at)
		return;
	put_unaligned_be16(KBR_METADATA_VERSION, at);
	put_unaligned_be16(type, at + 2);
}

void kbr_metadata_encode_topic(struct kbr_metadata_buf *out, const struct kbr_metadata_topic *topic)
{
	kbr_metadata_begin(out, KBR_METADATA_TOPIC_PUT);
	kbr_attr_put_string(out, KBROKER_A_TOPIC_NAME, topic->name);
	kbr_attr_put(out, KBROKER_A_TOPIC_ID, topic->id, sizeof(topic->id));
	kbr_attr_put_u32(out, KBROKER_A_TOPIC_PARTITIONS, topic->partitions);
	kbr_attr_put_u16(out, KBROKER_A_TOPIC_REPLICATION_FACTOR, topic->replication_factor);
	kbr_attr_put_u32(out, KBROKER_A_TOPIC_UID, topic->uid);
	kbr_attr_put_u32(out, KBROKER_A_TOPIC_GID, topic->gid);
	kbr_attr_put_u16(out, KBROKER_A_TOPIC_MODE, topic->mode);
	kbr_attr_put_configs(out, KBROKER_A_TOPIC_CONFIG, &topic->configs);
}
KBR_EXPORT_IF_KUNIT(kbr_metadata_encode_topic);

size_t kbr_metadata_topic_size(const struct kbr_metadata_topic *topic)
{
	const struct kbr_config_set *set = &topic->configs;
	size_t size = 4 + NLA_ALIGN(NLA_HDRLEN + strlen(topic->name) + 1) +
		      NLA_HDRLEN + sizeof(topic->id) + 5 * (NLA_HDRLEN + 4);
	unsigned int i;

	for (i = 0; i < set->count; i++)
		size += NLA_HDRLEN +
			NLA_ALIGN(NLA_HDRLEN + strlen(set->entries[i].name) + 1) +
			NLA_ALIGN(NLA_HDRLEN + strlen(set->entries[i].value) + 1);
	return size;
}
KBR_EXPORT_IF_KUNIT(kbr_metadata_topic_size);

void kbr_metadata_encode_deletion(struct kbr_metadata_buf *out, const char *name, const u8 id[16])
{
	kbr_metadata_begin(out, KBR_METADATA_TOPIC_DEL);
	kbr_attr_put_string(out, KBROKER_A_TOPIC_NAME, name);
	kbr_attr_put(out, KBROKER_A_TOPIC_ID, id, 16);
}
KBR_EXPORT_IF_KUNIT(kbr_metadata_encode_deletion);

void kbr_metadata_encode_broker(struct kbr_metadata_buf *out,
				const struct kbr_metadata_broker *broker)
{
	kbr_metadata_begin(out, KBR_METADATA_BROKER_PUT);
	kbr_attr_put_u32(out, KBROKER_A_BROKER_UID, broker->uid);
	kbr_attr_put_u32(out, KBROKER_A_BROKER_GID, broker->gid);
	kbr_attr_put_u16(out, KBROKER_A_BROKER_MODE, broker->mode);
	kbr_attr_put_configs(out, KBROKER_A_BROKER_CONFIG, &broker->configs);
	/* left out while it is not used: older modules then know all that is there */
	if (broker->producer_ids)
		kbr_attr_put_u64(out, KBROKER_A_BROKER_PRODUCER_IDS, broker->producer_ids);
}
KBR_EXPORT_IF_KUNIT(kbr_metadata_encode_broker);

/* ---- decode ---- */

/**
 * struct kbr_attr - one attribute found
 * @type: its number
 * @data: its payload
 * @len: bytes of @data
 */
struct kbr_attr {
	u16 type;
	const u8 *data;
	size_t len;
};

/* The next attribute of @buf; 1, 0 at the end, -EBADMSG. */
static int kbr_attr_next(const u8 **buf, size_t *len, struct kbr_attr *attr)
{
	size_t size, step;

	if (!*len)
		return 0;
	if (*len < NLA_HDRLEN)
		return -EBADMSG;
	size = get_unaligned_le16(*buf);
	if (size < NLA_HDRLEN || size > *len)
		return -EBADMSG;
	attr->type = get_unaligned_le16(*buf + 2) & NLA_TYPE_MASK;
	attr->data = *buf + NLA_HDRLEN;
	attr->len = size - NLA_HDRLEN;
	step = min_t(size_t, NLA_ALIGN(size), *len);
	*buf += step;
	*len -= step;
	return 1;
}

static int kbr_attr_get_u16(const struct kbr_attr *attr, u16 *value)
{
	if (attr->len != 2)
		return -EBADMSG;
	*value = get_unaligned_be16(attr->data);
	return 0;
}

static int kbr_attr_get_u32(const struct kbr_attr *attr, u32 *value)
{
	if (attr->len != 4)
		return -EBADMSG;
	*value = get_unaligned_be32(attr->data);
	return 0;
}

static int kbr_attr_get_u64(const struct kbr_attr *attr, u64 *value)
{
	if (attr->len != 8)
		return -EBADMSG;
	*value = get_unaligned_be64(attr->data);
	return 0;
}

static int kbr_attr_get_string(const struct kbr_attr *attr, size_t max, const char **text)
{
	if (!attr->len || attr->len > max + 1 ||
	    strnlen((const char *)attr->data, attr->len) != attr->len - 1)
		return -EBADMSG;
	*text = (const char *)attr->data;
	return 0;
}

static int kbr_metadata_unknown(u16 type, const char *of, struct kbr_refusal *why)
{
	return kbr_refuse(why, -EPROTONOSUPPORT, 0,
			  "it holds attribute %u of a %s, which this module does not know: it was written by a newer one",
			  type, of);
}

static int kbr_attr_get_config(const struct kbr_attr *attr, struct kbr_config_set *set,
			       struct kbr_refusal *why)
{
	const char *name = NULL, *value = NULL;
	const u8 *buf = attr->data;
	size_t len = attr->len;
	struct kbr_attr inner;
	int err;

	while ((err = kbr_attr_next(&buf, &len, &inner)) > 0) {
		switch (inner.type) {
		case KBROKER_A_CONFIG_NAME:
			err = kbr_attr_get_string(&inner, KBR_CONFIG_NAME_MAX, &name);
			break;
		case KBROKER_A_CONFIG_VALUE:
			err = kbr_attr_get_string(&inner, KBR_CONFIG_VALUE_MAX, &value);
			break;
		default:
			return kbr_metadata_unknown(inner.type, "config", why);
		}
		if (err)
			return err;
	}
	if (err || !name || !value)
		return -EBADMSG;
	return kbr_config_set_put(set, name, value);
}

static int kbr_metadata_decode_topic_attr(struct kbr_metadata_topic *topic,
					  const struct kbr_attr *attr, struct kbr_refusal *why)
{
	u16 mode;
	int err;

	switch (attr->type) {
	case KBROKER_A_TOPIC_NAME:
		return kbr_attr_get_string(attr, KBR_TOPIC_NAME_MAX, &topic->name);
	case KBROKER_A_TOPIC_ID:
		if (attr->len != sizeof(topic->id))
			return -EBADMSG;
		memcpy(topic->id, attr->data, sizeof(topic->id));
		return 0;
	case KBROKER_A_TOPIC_PARTITIONS:
		return kbr_attr_get_u32(attr, &topic->partitions);
	case KBROKER_A_TOPIC_REPLICATION_FACTOR:
		return kbr_attr_get_u16(attr, &topic->replication_factor);
	case KBROKER_A_TOPIC_UID:
		return kbr_attr_get_u32(attr, &topic->uid);
	case KBROKER_A_TOPIC_GID:
		return kbr_attr_get_u32(attr, &topic->gid);
	case KBROKER_A_TOPIC_MODE:
		err = kbr_attr_get_u16(attr, &mode);
		topic->mode = mode;
		return err;
	case KBROKER_A_TOPIC_CONFIG:
		return kbr_attr_get_config(attr, &topic->configs, why);
	default:
		return kbr_metadata_unknown(attr->type, "topic", why);
	}
}

/* The rules that hold for every topic, wherever it comes from. */
static int kbr_metadata_check_topic(const struct kbr_metadata_value *value)
{
	const struct kbr_metadata_topic *topic = &value->topic;

	if (!topic->name || kbr_topic_name_check(topic->name, NULL))
		return -EBADMSG;
	if (value->type == KBR_METADATA_TOPIC_DEL)
		return 0;
	if (!topic->partitions || topic->partitions > KBR_TOPIC_PARTITIONS_MAX ||
	    topic->replication_factor != 1 || (topic->mode & ~0777))
		return -EBADMSG;
	return 0;
}

static int kbr_metadata_decode_broker_attr(struct kbr_metadata_broker *broker,
					   const struct kbr_attr *attr, struct kbr_refusal *why)
{
	u16 mode;
	u64 ids;
	int err;

	switch (attr->type) {
	case KBROKER_A_BROKER_UID:
		return kbr_attr_get_u32(attr, &broker->uid);
	case KBROKER_A_BROKER_GID:
		return kbr_attr_get_u32(attr, &broker->gid);
	case KBROKER_A_BROKER_MODE:
		err = kbr_attr_get_u16(attr, &mode);
		broker->mode = mode;
		return !err && (mode & ~0777) ? -EBADMSG : err;
	case KBROKER_A_BROKER_CONFIG:
		return kbr_attr_get_config(attr, &broker->configs, why);
	case KBROKER_A_BROKER_PRODUCER_IDS:
		err = kbr_attr_get_u64(attr, &ids);
		broker->producer_ids = ids;
		return !err && ids > S64_MAX ? -EBADMSG : err;
	default:
		return kbr_metadata_unknown(attr->type, "broker", why);
	}
}

int kbr_metadata_decode(struct kbr_metadata_value *value, const void *buf, size_t len,
			struct kbr_refusal *why)
{
	const u8 *at = buf;
	struct kbr_attr attr;
	int err;

	memset(value, 0, sizeof(*value));
	if (len < 4)
		return -EBADMSG;
	if (get_unaligned_be16(at) != KBR_METADATA_VERSION)
		return kbr_refuse(why, -EPROTONOSUPPORT, 0,
				  "it holds a record of version %u, and this module knows version %u only",
				  get_unaligned_be16(at), KBR_METADATA_VERSION);
	value->type = get_unaligned_be16(at + 2);
	at += 4;
	len -= 4;
	if (value->type < KBR_METADATA_TOPIC_PUT || value->type > KBR_METADATA_BROKER_PUT)
		return kbr_refuse(why, -EPROTONOSUPPORT, 0,
				  "it holds a record of type %u, which this module does not know",
				  value->type);
	while ((err = kbr_attr_next(&at, &len, &attr)) > 0) {
		if (value->type == KBR_METADATA_BROKER_PUT)
			err = kbr_metadata_decode_broker_attr(&value->broker, &attr, why);
		else
			err = kbr_metadata_decode_topic_attr(&value->topic, &attr, why);
		if (err)
			break;
	}
	if (!err && value->type != KBR_METADATA_BROKER_PUT)
		err = kbr_metadata_check_topic(value);
	if (err) {
		kbr_config_set_free(&value->topic.configs);
		kbr_config_set_free(&value->broker.configs);
	}
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_metadata_decode);
