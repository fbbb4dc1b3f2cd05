/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: memory comes from malloc(). */
#ifndef _KBR_COMPAT_SLAB_H
#define _KBR_COMPAT_SLAB_H

#include <stdlib.h>

#define GFP_KERNEL_ACCOUNT	0

#define kvmalloc(size, flags)	malloc(size)
#define kvfree(ptr)		free(ptr)

#endif /* _KBR_COMPAT_SLAB_H */
