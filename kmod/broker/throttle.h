/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A bound on bytes a second, for traffic that may wait: replicas that are not
 * in sync and catch up (leader.replication.throttled.rate and
 * follower.replication.throttled.rate).
 *
 * What is not known before it has happened is taken afterwards, and may leave a
 * debt: then nothing goes until that is paid. So the rate holds on average, and
 * what is done at once is not cut to pieces. A second's worth may be saved.
 */
#ifndef _KBR_BROKER_THROTTLE_H
#define _KBR_BROKER_THROTTLE_H

#include <linux/limits.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* A rate without a bound */
#define KBR_THROTTLE_NONE	S64_MAX

/**
 * struct kbr_throttle - what may go now
 * @lock: all of it; nothing is taken inside. Any context but interrupts
 * @left: thousandths of bytes that may go, since rates are for seconds and the
 *	clock counts milliseconds; negative: a debt
 * @filled_ms: when @left was last right (monotonic), -1: it was never used
 */
struct kbr_throttle {
	spinlock_t lock;
	s64 left;
	s64 filled_ms;
};

void kbr_throttle_init(struct kbr_throttle *throttle);
/** kbr_throttle_wait_ms() - how long nothing may go, 0: something may; @rate: bytes a second, 1 at least */
s64 kbr_throttle_wait_ms(struct kbr_throttle *throttle, s64 rate, s64 now_ms);
/** kbr_throttle_take() - so many bytes have gone */
void kbr_throttle_take(struct kbr_throttle *throttle, s64 rate, s64 bytes);

#endif /* _KBR_BROKER_THROTTLE_H */
