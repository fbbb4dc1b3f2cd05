// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * CRC-32C: the kernel's (in user space: the stand-in's) function in the form
 * in which Kafka stores the checksum.
 */
#include <linux/limits.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "codec/crc32c.h"
#include "kbr_crc32c.h"

u32 kbr_crc32c(u32 crc, const void *data, size_t len)
{
	/* the kernel's does not invert; it takes the length as an unsigned int */
	while (len > INT_MAX) {
		crc = ~kbr_crc32c_update(~crc, data, INT_MAX);
		data += INT_MAX;
		len -= INT_MAX;
	}
	return ~kbr_crc32c_update(~crc, data, len);
}
KBR_EXPORT_IF_KUNIT(kbr_crc32c);
