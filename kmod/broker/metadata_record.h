/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The value of one record of the metadata log: a version, a type, netlink
 * attributes. Pure functions over one buffer.
 */
#ifndef _KBR_BROKER_METADATA_RECORD_H
#define _KBR_BROKER_METADATA_RECORD_H

#include "broker/metadata.h"

#define KBR_METADATA_VERSION	1

enum kbr_metadata_type {
	KBR_METADATA_TOPIC_PUT = 1,
	KBR_METADATA_TOPIC_DEL = 2,
	KBR_METADATA_BROKER_PUT = 3,
};

/* A topic or a broker with every config at its longest */
#define KBR_METADATA_VALUE_MAX	(96u << 10)

/**
 * struct kbr_metadata_buf - where a value is written
 * @buf: KBR_METADATA_VALUE_MAX bytes
 * @len: bytes written
 * @full: something did not fit; @buf is useless then
 */
struct kbr_metadata_buf {
	u8 *buf;
	size_t len;
	bool full;
};

void kbr_metadata_encode_topic(struct kbr_metadata_buf *out, const struct kbr_metadata_topic *topic);
void kbr_metadata_encode_deletion(struct kbr_metadata_buf *out, const char *name, const u8 id[16]);
void kbr_metadata_encode_broker(struct kbr_metadata_buf *out,
				const struct kbr_metadata_broker *broker);

/** kbr_metadata_topic_size() - bytes of the value that kbr_metadata_encode_topic() writes */
size_t kbr_metadata_topic_size(const struct kbr_metadata_topic *topic);

/**
 * struct kbr_metadata_value - a decoded value
 * @type: enum kbr_metadata_type
 * @name: of @topic, which points at it
 * @topic: topic or deletion; its configs are the caller's to free
 * @broker: likewise
 */
struct kbr_metadata_value {
	enum kbr_metadata_type type;
	char name[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_metadata_topic topic;
	struct kbr_metadata_broker broker;
};

/**
 * kbr_metadata_decode() - read one value, completely or not at all
 *
 * Return: 0; -EPROTONOSUPPORT an unknown version, type or attribute, named in
 * @why; -EBADMSG malformed; -ENOMEM.
 */
int kbr_metadata_decode(struct kbr_metadata_value *value, const void *buf, size_t len,
			struct kbr_refusal *why);

#endif /* _KBR_BROKER_METADATA_RECORD_H */
