// SPDX-License-Identifier: GPL-2.0-only
/* A bound on bytes a second; see throttle.h. */
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>

#include "base/kunit.h"
#include "broker/throttle.h"

/* So long a rest is saved */
#define KBR_THROTTLE_SAVED_MS	MSEC_PER_SEC
/* So long a one pays a debt; a product of it and a rate does not overflow */
#define KBR_THROTTLE_REST_MAX	(1LL << 22)
/* A debt is never larger, whatever is taken: it is paid some time, and nothing overflows */
#define KBR_THROTTLE_DEBT_MAX	(1LL << 40)
/* A higher rate bounds nothing on any machine */
#define KBR_THROTTLE_RATE_MAX	(1LL << 40)

void kbr_throttle_init(struct kbr_throttle *throttle)
{
	spin_lock_init(&throttle->lock);
	throttle->left = 0;
	throttle->filled_ms = -1;
}
KBR_EXPORT_IF_KUNIT(kbr_throttle_init);

static void kbr_throttle_fill(struct kbr_throttle *throttle, s64 rate, s64 now_ms)
{
	s64 rest_ms = throttle->filled_ms < 0 ? KBR_THROTTLE_SAVED_MS : now_ms - throttle->filled_ms;

	lockdep_assert_held(&throttle->lock);
	if (rest_ms <= 0)
		return;
	throttle->left += rate * min(rest_ms, KBR_THROTTLE_REST_MAX);
	throttle->left = min(throttle->left, rate * KBR_THROTTLE_SAVED_MS);
	throttle->filled_ms = now_ms;
}

s64 kbr_throttle_wait_ms(struct kbr_throttle *throttle, s64 rate, s64 now_ms)
{
	s64 left;

	if (rate > KBR_THROTTLE_RATE_MAX)
		return 0;
	spin_lock(&throttle->lock);
	kbr_throttle_fill(throttle, rate, now_ms);
	left = throttle->left;
	spin_unlock(&throttle->lock);
	return left > 0 ? 0 : div64_s64(rate - left, rate);
}
KBR_EXPORT_IF_KUNIT(kbr_throttle_wait_ms);

void kbr_throttle_take(struct kbr_throttle *throttle, s64 rate, s64 bytes)
{
	if (rate > KBR_THROTTLE_RATE_MAX)
		return;
	spin_lock(&throttle->lock);
	throttle->left -= min(bytes, KBR_THROTTLE_DEBT_MAX) * MSEC_PER_SEC;
	throttle->left = max(throttle->left, -KBR_THROTTLE_DEBT_MAX * MSEC_PER_SEC);
	spin_unlock(&throttle->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_throttle_take);
