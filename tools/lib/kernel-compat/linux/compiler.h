/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: what the compiler is told. */
#ifndef _KBR_COMPAT_COMPILER_H
#define _KBR_COMPAT_COMPILER_H

#include <sys/cdefs.h>

#ifndef likely
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#endif
#ifndef noinline
#define noinline	__attribute__((__noinline__))
#endif
#ifndef __packed
#define __packed	__attribute__((packed))
#endif

#endif /* _KBR_COMPAT_COMPILER_H */
