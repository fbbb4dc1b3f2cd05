/* SPDX-License-Identifier: GPL-2.0-only */
/* 6.12: get_unaligned_be16() and the like moved. */
#ifndef _KBR_COMPAT_UNALIGNED_H
#define _KBR_COMPAT_UNALIGNED_H

#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#endif /* _KBR_COMPAT_UNALIGNED_H */
