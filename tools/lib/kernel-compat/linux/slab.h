/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stand-in: memory comes from malloc(). */
#ifndef _KBR_COMPAT_SLAB_H
#define _KBR_COMPAT_SLAB_H

#include <stdlib.h>

#define GFP_KERNEL_ACCOUNT	0

static inline void *kvmalloc(size_t size, unsigned int flags)
{
	(void)flags;
	return malloc(size);
}

static inline void kvfree(void *ptr)
{
	free(ptr);
}

#endif /* _KBR_COMPAT_SLAB_H */
