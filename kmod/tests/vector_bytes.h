/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Bytes written in hexadecimal; spaces and semicolons are ignored.
 */
#ifndef _KBR_TESTS_VECTOR_BYTES_H
#define _KBR_TESTS_VECTOR_BYTES_H

#include <linux/types.h>

static inline int kbr_vector_nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes that @text stands for, at @buf (room for @size); returns how many */
static inline size_t kbr_vector_bytes(const char *text, u8 *buf, size_t size)
{
	size_t len = 0;

	for (; *text; text++) {
		if (*text == ' ' || *text == ';')
			continue;
		if (len < size && kbr_vector_nibble(text[0]) >= 0 && kbr_vector_nibble(text[1]) >= 0)
			buf[len] = kbr_vector_nibble(text[0]) << 4 | kbr_vector_nibble(text[1]);
		len++;
		text++;
	}
	return len;
}

#endif /* _KBR_TESTS_VECTOR_BYTES_H */
