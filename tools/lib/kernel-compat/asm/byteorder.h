/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: the short names of byte order. */
#include_next <asm/byteorder.h>

#ifndef _KBR_COMPAT_BYTEORDER_H
#define _KBR_COMPAT_BYTEORDER_H

#define cpu_to_be16(x)	__cpu_to_be16(x)
#define cpu_to_be32(x)	__cpu_to_be32(x)
#define cpu_to_be64(x)	__cpu_to_be64(x)
#define be16_to_cpu(x)	__be16_to_cpu(x)
#define be32_to_cpu(x)	__be32_to_cpu(x)
#define be64_to_cpu(x)	__be64_to_cpu(x)

#endif /* _KBR_COMPAT_BYTEORDER_H */
