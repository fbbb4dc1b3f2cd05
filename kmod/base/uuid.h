/* SPDX-License-Identifier: GPL-2.0-only */
/* UUIDs as Kafka writes them: base64 in the URL alphabet, without padding. */
#ifndef _KBR_BASE_UUID_H
#define _KBR_BASE_UUID_H

#include <linux/types.h>

/* Characters of such a text */
#define KBR_UUID_TEXT_LEN	22

/** kbr_uuid_print() - the text of @id, with a NUL behind it */
void kbr_uuid_print(const u8 id[16], char text[KBR_UUID_TEXT_LEN + 1]);
/** kbr_uuid_parse() - the id that @text stands for; 0 or -EBADMSG */
int kbr_uuid_parse(const char *text, u8 id[16]);

#endif /* _KBR_BASE_UUID_H */
