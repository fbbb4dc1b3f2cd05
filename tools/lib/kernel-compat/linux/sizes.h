/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: powers of two. */
#ifndef _KBR_COMPAT_SIZES_H
#define _KBR_COMPAT_SIZES_H

#define SZ_64K	0x00010000
#define SZ_128K	0x00020000

#endif /* _KBR_COMPAT_SIZES_H */
