/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's short integer names for codec files compiled in user space.
 *
 * The headers of this directory stand in for the kernel's of the same names
 * and hold no more than kmod/base and kmod/codec use.
 */
#include_next <linux/types.h>

#ifndef _KBR_COMPAT_TYPES_H
#define _KBR_COMPAT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/compiler.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef long long s64;

#endif /* _KBR_COMPAT_TYPES_H */
