/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: find last set. */
#ifndef _KBR_COMPAT_BITOPS_H
#define _KBR_COMPAT_BITOPS_H

static inline int fls(unsigned int x)
{
	return x ? 32 - __builtin_clz(x) : 0;
}

static inline int fls64(unsigned long long x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

#endif /* _KBR_COMPAT_BITOPS_H */
