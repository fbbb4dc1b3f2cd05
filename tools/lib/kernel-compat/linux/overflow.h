/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: arithmetic that tells when it overflows. */
#ifndef _KBR_COMPAT_OVERFLOW_H
#define _KBR_COMPAT_OVERFLOW_H

#define check_add_overflow(a, b, d)	__builtin_add_overflow(a, b, d)
#define check_sub_overflow(a, b, d)	__builtin_sub_overflow(a, b, d)

#endif /* _KBR_COMPAT_OVERFLOW_H */
