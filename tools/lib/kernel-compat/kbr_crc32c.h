/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: nothing to go round in user space; see kmod/compat/kbr_crc32c.h. */
#ifndef _KBR_COMPAT_CRC32C_UPDATE_H
#define _KBR_COMPAT_CRC32C_UPDATE_H

#include <linux/crc32c.h>

#define kbr_crc32c_update(seed, p, len)	crc32c(seed, p, len)

#endif /* _KBR_COMPAT_CRC32C_UPDATE_H */
