// SPDX-License-Identifier: GPL-2.0-only
/* Sentences for refused requests; see refusal.h. */
#include <linux/kernel.h>

#include "base/kunit.h"
#include "base/refusal.h"

int kbr_refuse(struct kbr_refusal *why, int err, int attr, const char *fmt, ...)
{
	va_list args;

	if (why) {
		why->attr = attr;
		va_start(args, fmt);
		vscnprintf(why->text, sizeof(why->text), fmt, args);
		va_end(args);
	}
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_refuse);
