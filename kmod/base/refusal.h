/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a request was refused, in one sentence for its user.
 *
 * The broker layer knows the rule that was broken; the netlink layer turns the
 * sentence and the attribute into an extended ack.
 */
#ifndef _KBR_BASE_REFUSAL_H
#define _KBR_BASE_REFUSAL_H

#include <linux/types.h>

/**
 * struct kbr_refusal - a refused request
 * @attr: netlink attribute that broke the rule, 0 if none
 * @text: the sentence; empty if nothing was refused
 */
struct kbr_refusal {
	int attr;
	char text[192];
};

/** kbr_refuse() - fill @why (may be NULL) and return @err */
__printf(4, 5)
int kbr_refuse(struct kbr_refusal *why, int err, int attr, const char *fmt, ...);

#endif /* _KBR_BASE_REFUSAL_H */
