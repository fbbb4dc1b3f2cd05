// SPDX-License-Identifier: GPL-2.0-only
/* UUIDs as Kafka writes them; see uuid.h. */
#include <linux/errno.h>
#include <linux/string.h>

#include "base/uuid.h"

static const char kbr_base64url[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void kbr_uuid_print(const u8 id[16], char text[KBR_UUID_TEXT_LEN + 1])
{
	unsigned int bits = 0, acc = 0, i, n = 0;

	for (i = 0; i < 16; i++) {
		acc = acc << 8 | id[i];
		for (bits += 8; bits >= 6; bits -= 6)
			text[n++] = kbr_base64url[acc >> (bits - 6) & 63];
	}
	text[n++] = kbr_base64url[acc << (6 - bits) & 63];
	text[n] = '\0';
}

int kbr_uuid_parse(const char *text, u8 id[16])
{
	unsigned int bits = 0, acc = 0, n = 0;

	if (strlen(text) != KBR_UUID_TEXT_LEN)
		return -EBADMSG;
	for (; *text; text++) {
		const char *digit = strchr(kbr_base64url, *text);

		if (!digit)
			return -EBADMSG;
		acc = acc << 6 | (digit - kbr_base64url);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			if (n < 16)
				id[n++] = acc >> bits;
		}
	}
	return 0;
}
