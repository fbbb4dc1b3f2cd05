/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: CRC-32C without inversion, as the kernel's; see crc32c_user.c. */
#ifndef _KBR_COMPAT_CRC32C_H
#define _KBR_COMPAT_CRC32C_H

#include <linux/types.h>

u32 kbr_user_crc32c(u32 crc, const void *data, size_t len);
/* the way that every machine has, for tests */
u32 kbr_user_crc32c_table(u32 crc, const void *data, size_t len);

#define crc32c(crc, data, len)	kbr_user_crc32c(crc, data, len)

#endif /* _KBR_COMPAT_CRC32C_H */
