// SPDX-License-Identifier: GPL-2.0-only
/*
 * Encodes and checks the values of the metadata log. The attributes are those
 * of netlink, and the policies generated from its specification judge them
 * here, too; integers are big-endian as there, the attributes' own headers
 * little-endian on every machine. The log around them is metadata.c's.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/netlink.h>

#include "base/kunit.h"
#include "base/policy-gen.h"
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
 * struct kbr_record_kind - what records of one kind consist of
 * @name: for messages
 * @policy: of their attributes, as generated from the netlink specification
 * @max: largest attribute of @policy
 * @needed: attributes that must be there, BIT_ULL() of each
 */
struct kbr_record_kind {
	const char *name;
	const struct nla_policy *policy;
	int max;
	u64 needed;
};

#define KBR_TOPIC_KEY	(BIT_ULL(KBROKER_A_TOPIC_NAME) | BIT_ULL(KBROKER_A_TOPIC_ID))

static const struct kbr_record_kind kbr_record_kinds[] = {
	[KBR_METADATA_TOPIC_PUT] = {
		.name = "topic",
		.policy = kbroker_topic_record_nl_policy,
		.max = ARRAY_SIZE(kbroker_topic_record_nl_policy) - 1,
		.needed = KBR_TOPIC_KEY | BIT_ULL(KBROKER_A_TOPIC_PARTITIONS) |
			  BIT_ULL(KBROKER_A_TOPIC_REPLICATION_FACTOR) |
			  BIT_ULL(KBROKER_A_TOPIC_UID) | BIT_ULL(KBROKER_A_TOPIC_GID) |
			  BIT_ULL(KBROKER_A_TOPIC_MODE),
	},
	[KBR_METADATA_TOPIC_DEL] = {
		.name = "topic",
		.policy = kbroker_topic_record_nl_policy,
		.max = ARRAY_SIZE(kbroker_topic_record_nl_policy) - 1,
		.needed = KBR_TOPIC_KEY,
	},
	[KBR_METADATA_BROKER_PUT] = {
		.name = "broker",
		.policy = kbroker_broker_record_nl_policy,
		.max = ARRAY_SIZE(kbroker_broker_record_nl_policy) - 1,
		.needed = BIT_ULL(KBROKER_A_BROKER_UID) | BIT_ULL(KBROKER_A_BROKER_GID) |
			  BIT_ULL(KBROKER_A_BROKER_MODE),
	},
};

/* Room for the attributes of either kind */
#define KBR_RECORD_ATTRS	ARRAY_SIZE(kbroker_broker_record_nl_policy)
static_assert(ARRAY_SIZE(kbroker_topic_record_nl_policy) <= KBR_RECORD_ATTRS);

/* The attributes' own headers as this machine has them; what is cut is left for the parser to refuse. */
static void kbr_attrs_to_host(void *buf, size_t len, bool nested)
{
	while (len >= NLA_HDRLEN) {
		struct nlattr *attr = buf;
		size_t step;

		attr->nla_len = le16_to_cpu((__force __le16)attr->nla_len);
		attr->nla_type = le16_to_cpu((__force __le16)attr->nla_type);
		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > len)
			return;
		if (nested && (attr->nla_type & NLA_F_NESTED))
			kbr_attrs_to_host(nla_data(attr), nla_len(attr), false);
		step = min_t(size_t, NLA_ALIGN(attr->nla_len), len);
		buf += step;
		len -= step;
	}
}

static int kbr_record_check_known(const struct nlattr *attrs, int len,
				  const struct nla_policy *policy, int max, const char *of,
				  struct kbr_refusal *why)
{
	const struct nlattr *attr;
	int rem, err;

	nla_for_each_attr(attr, attrs, len, rem) {
		int type = nla_type(attr);

		if (type > max || policy[type].type == NLA_UNSPEC)
			return kbr_refuse(why, -EPROTONOSUPPORT, 0,
					  "it holds attribute %d of a %s, which this module does not know: it was written by a newer one",
					  type, of);
		if (policy[type].type != NLA_NESTED)
			continue;
		err = kbr_record_check_known(nla_data(attr), nla_len(attr),
					     policy[type].nested_policy, policy[type].len,
					     "config", why);
		if (err)
			return err;
	}
	return 0;
}

/* The generated policies decide, as they do for requests; unknown attributes are told by number. */
static int kbr_record_parse(struct nlattr **tb, const struct kbr_record_kind *kind,
			    const struct nlattr *attrs, int len, struct kbr_refusal *why)
{
	struct netlink_ext_ack extack = {};
	int err, type;

	err = kbr_record_check_known(attrs, len, kind->policy, kind->max, kind->name, why);
	if (err)
		return err;
	err = __nla_parse(tb, kind->max, attrs, len, kind->policy, NL_VALIDATE_STRICT, &extack);
	if (err)
		return kbr_refuse(why, -EBADMSG, 0, "it holds a %s that breaks a rule: %s", kind->name,
				  extack._msg ?: "it is cut");
	for (type = 1; type <= kind->max; type++)
		if ((kind->needed & BIT_ULL(type)) && !tb[type])
			return kbr_refuse(why, -EBADMSG, 0, "it holds a %s without attribute %d",
					  kind->name, type);
	return 0;
}

/* All attributes of @type into @set; they were validated. */
static int kbr_record_get_configs(const struct nlattr *attrs, int len, int type,
				  struct kbr_config_set *set)
{
	struct nlattr *tb[ARRAY_SIZE(kbroker_config_nl_policy)];
	const struct nlattr *attr;
	int rem, err;

	nla_for_each_attr(attr, attrs, len, rem) {
		if (nla_type(attr) != type)
			continue;
		err = nla_parse_nested(tb, ARRAY_SIZE(tb) - 1, attr, kbroker_config_nl_policy, NULL);
		if (err || !tb[KBROKER_A_CONFIG_NAME] || !tb[KBROKER_A_CONFIG_VALUE])
			return -EBADMSG;
		err = kbr_config_set_put(set, nla_data(tb[KBROKER_A_CONFIG_NAME]),
					 nla_data(tb[KBROKER_A_CONFIG_VALUE]));
		if (err)
			return err == -ENOMEM ? err : -EBADMSG;
	}
	return 0;
}

static u32 kbr_record_get_u32(const struct nlattr *attr)
{
	return be32_to_cpu(nla_get_be32(attr));
}

static u16 kbr_record_get_u16(const struct nlattr *attr)
{
	return be16_to_cpu(nla_get_be16(attr));
}

/* What the policies can't say is checked here. */
static int kbr_record_get_topic(struct kbr_metadata_value *value, struct nlattr **tb,
				struct kbr_refusal *why)
{
	struct kbr_metadata_topic *topic = &value->topic;

	nla_strscpy(value->name, tb[KBROKER_A_TOPIC_NAME], sizeof(value->name));
	topic->name = value->name;
	nla_memcpy(topic->id, tb[KBROKER_A_TOPIC_ID], sizeof(topic->id));
	if (kbr_topic_name_check(topic->name, why))
		return -EBADMSG;
	if (value->type == KBR_METADATA_TOPIC_DEL)
		return 0;
	topic->partitions = kbr_record_get_u32(tb[KBROKER_A_TOPIC_PARTITIONS]);
	topic->replication_factor = kbr_record_get_u16(tb[KBROKER_A_TOPIC_REPLICATION_FACTOR]);
	topic->uid = kbr_record_get_u32(tb[KBROKER_A_TOPIC_UID]);
	topic->gid = kbr_record_get_u32(tb[KBROKER_A_TOPIC_GID]);
	topic->mode = kbr_record_get_u16(tb[KBROKER_A_TOPIC_MODE]);
	if (!topic->replication_factor || topic->replication_factor > KBROKER_REPLICAS_MAX)
		return kbr_refuse(why, -EBADMSG, 0,
				  "it holds topic %s with %u replicas; there are 1 to %d",
				  topic->name, topic->replication_factor, KBROKER_REPLICAS_MAX);
	return 0;
}

static int kbr_record_decode(struct kbr_metadata_value *value, const struct nlattr *attrs, int len,
			     struct kbr_refusal *why)
{
	struct nlattr *tb[KBR_RECORD_ATTRS];
	int err;

	err = kbr_record_parse(tb, &kbr_record_kinds[value->type], attrs, len, why);
	if (err)
		return err;
	if (value->type != KBR_METADATA_BROKER_PUT) {
		err = kbr_record_get_topic(value, tb, why);
		return err ?: kbr_record_get_configs(attrs, len, KBROKER_A_TOPIC_CONFIG,
						     &value->topic.configs);
	}
	value->broker.uid = kbr_record_get_u32(tb[KBROKER_A_BROKER_UID]);
	value->broker.gid = kbr_record_get_u32(tb[KBROKER_A_BROKER_GID]);
	value->broker.mode = kbr_record_get_u16(tb[KBROKER_A_BROKER_MODE]);
	if (tb[KBROKER_A_BROKER_PRODUCER_IDS])
		value->broker.producer_ids = be64_to_cpu(nla_get_be64(tb[KBROKER_A_BROKER_PRODUCER_IDS]));
	if (value->broker.producer_ids > S64_MAX)
		return kbr_refuse(why, -EBADMSG, 0, "it holds a producer id that is negative");
	return kbr_record_get_configs(attrs, len, KBROKER_A_BROKER_CONFIG, &value->broker.configs);
}

int kbr_metadata_decode(struct kbr_metadata_value *value, const void *buf, size_t len,
			struct kbr_refusal *why)
{
	const u8 *head = buf;
	void *attrs;
	int err;

	memset(value, 0, sizeof(*value));
	if (len < 4 || len > KBR_METADATA_VALUE_MAX)
		return -EBADMSG;
	if (get_unaligned_be16(head) != KBR_METADATA_VERSION)
		return kbr_refuse(why, -EPROTONOSUPPORT, 0,
				  "it holds a record of version %u, and this module knows version %u only",
				  get_unaligned_be16(head), KBR_METADATA_VERSION);
	value->type = get_unaligned_be16(head + 2);
	if (value->type < KBR_METADATA_TOPIC_PUT || value->type > KBR_METADATA_BROKER_PUT)
		return kbr_refuse(why, -EPROTONOSUPPORT, 0,
				  "it holds a record of type %u, which this module does not know",
				  value->type);
	len -= 4;
	/* aligned, and with headers of this machine */
	attrs = kvmalloc(max_t(size_t, len, 1), GFP_KERNEL);
	if (!attrs)
		return -ENOMEM;
	memcpy(attrs, head + 4, len);
	kbr_attrs_to_host(attrs, len, true);
	err = kbr_record_decode(value, attrs, len, why);
	kvfree(attrs);
	if (err) {
		kbr_config_set_free(&value->topic.configs);
		kbr_config_set_free(&value->broker.configs);
	}
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_metadata_decode);
