/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What the test module (kbroker_kunit.ko) needs to reach inside kbroker.ko.
 * On kernels without KUnit, and in user-space builds, nothing is exported.
 */
#ifndef _KBR_BASE_KUNIT_H
#define _KBR_BASE_KUNIT_H

/* without __KERNEL__ there is no IS_ENABLED() to ask */
#ifdef __KERNEL__
#if IS_ENABLED(CONFIG_KUNIT)
#define KBR_HAVE_KUNIT
#endif
#endif

#ifdef KBR_HAVE_KUNIT
#include <linux/export.h>
#define KBR_EXPORT_IF_KUNIT(sym)	EXPORT_SYMBOL_NS_GPL(sym, KBROKER_KUNIT)
#define KBR_VISIBLE_IF_KUNIT
#else
#define KBR_EXPORT_IF_KUNIT(sym)	struct kbr_kunit_unused_##sym
#define KBR_VISIBLE_IF_KUNIT		static
#endif

#endif /* _KBR_BASE_KUNIT_H */
