// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wall-clock time behind one seam; see clock.h. Not responsible for timers.
 */
#include <linux/module.h>
#include <linux/timekeeping.h>

#include "base/clock.h"
#include "base/kunit.h"

static const s64 *kbr_clock_fake;

s64 kbr_clock_now_ms(void)
{
	const s64 *fake = READ_ONCE(kbr_clock_fake);

	if (unlikely(fake))
		return READ_ONCE(*fake);
	return ktime_get_real_ns() / NSEC_PER_MSEC;
}
KBR_EXPORT_IF_KUNIT(kbr_clock_now_ms);

s64 kbr_clock_mono_ms(void)
{
	const s64 *fake = READ_ONCE(kbr_clock_fake);

	if (unlikely(fake))
		return READ_ONCE(*fake);
	return ktime_to_ms(ktime_get());
}
KBR_EXPORT_IF_KUNIT(kbr_clock_mono_ms);

void kbr_clock_set_fake(const s64 *ms)
{
	WRITE_ONCE(kbr_clock_fake, ms);
}
KBR_EXPORT_IF_KUNIT(kbr_clock_set_fake);
