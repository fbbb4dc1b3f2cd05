// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Headers of messages: their encoded form is that of the record in its batch,
 * so that they go in and out without being taken apart.
 */
#include <errno.h>
#include <string.h>

#include <kbroker/message.h>

#include "base/limits.h"
#include "codec/record.h"
#include "codec/varint.h"

int kbroker_header_next(const struct kbroker_message *message, size_t *pos,
			struct kbroker_message_header *header)
{
	const u8 *start = message->headers, *p = start + *pos;
	struct kbr_header h;
	int ret;

	if (*pos >= message->headers_len)
		return 0;
	ret = kbr_header_next(&p, start + message->headers_len, &h);
	if (ret != 1)
		return ret;
	header->key = (const char *)h.key;
	header->key_len = h.key_len;
	header->value = h.value;
	header->value_len = h.value_len;
	*pos = p - start;
	return 1;
}

ssize_t kbroker_header_encode(void *buf, size_t size, const struct kbroker_message_header *header)
{
	size_t need;
	u8 *p = buf;

	if (!header->key || header->key_len > KBR_BATCH_BYTES_MAX ||
	    header->value_len > KBR_BATCH_BYTES_MAX || (!header->value && header->value_len))
		return -EINVAL;
	need = kbr_varint_size((s32)header->key_len) + header->key_len + header->value_len +
	       kbr_varint_size(header->value ? (s32)header->value_len : -1);
	if (!buf)
		return need;
	if (need > size)
		return -ENOSPC;
	p = kbr_varint_encode(p, (s32)header->key_len);
	memcpy(p, header->key, header->key_len);
	p = kbr_varint_encode(p + header->key_len, header->value ? (s32)header->value_len : -1);
	if (header->value_len)
		memcpy(p, header->value, header->value_len);
	return need;
}
