/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one seam to the clock.
 *
 * Everything that stamps records or ages segments asks here, so that a test
 * can drive it; so do the deadlines of consumer groups. Other deadlines and
 * timers use jiffies or ktime as usual.
 */
#ifndef _KBR_BASE_CLOCK_H
#define _KBR_BASE_CLOCK_H

#include <linux/types.h>

/** kbr_clock_now_ms() - wall clock, milliseconds since the epoch. Any context. */
s64 kbr_clock_now_ms(void);

/** kbr_clock_mono_ms() - a clock that is never set: for deadlines that tests drive, too. Any context. */
s64 kbr_clock_mono_ms(void);

/**
 * kbr_clock_set_fake() - drive the clock from a test
 * @ms: pointer to the fake time in ms; NULL gives the real clock back
 */
void kbr_clock_set_fake(const s64 *ms);

#endif /* _KBR_BASE_CLOCK_H */
