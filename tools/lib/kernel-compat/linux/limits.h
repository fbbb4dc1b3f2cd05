/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: limits of the short integer names. */
#include_next <linux/limits.h>

#ifndef _KBR_COMPAT_LIMITS_H
#define _KBR_COMPAT_LIMITS_H

#ifndef INT_MAX
#define INT_MAX	__INT_MAX__
#endif
#define U32_MAX	((u32)~0u)
#define S32_MAX	((s32)(U32_MAX >> 1))
#define S32_MIN	((s32)(-S32_MAX - 1))
#define U64_MAX	((u64)~0ull)
#define S64_MAX	((s64)(U64_MAX >> 1))
#define S64_MIN	((s64)(-S64_MAX - 1))

#endif /* _KBR_COMPAT_LIMITS_H */
