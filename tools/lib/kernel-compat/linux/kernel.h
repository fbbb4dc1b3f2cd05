/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: the size of an array. */
#include_next <linux/kernel.h>

#ifndef _KBR_COMPAT_KERNEL_H
#define _KBR_COMPAT_KERNEL_H

#define ARRAY_SIZE(arr)	(sizeof(arr) / sizeof((arr)[0]))

#endif /* _KBR_COMPAT_KERNEL_H */
