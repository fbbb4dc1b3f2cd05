/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The closed vocabulary of errnos used inside the module, and Kafka's codes.
 *
 * What a function refuses or fails with has an errno of the table in error.c;
 * the device shows it as it is, the wire shows Kafka's code. Beside these there
 * are the errnos that every system call knows and no peer is told apart: ENOMEM,
 * EINTR, EAGAIN, EFAULT, E2BIG and the like.
 */
#ifndef _KBR_BASE_ERROR_H
#define _KBR_BASE_ERROR_H

#include <linux/types.h>

/** kbr_error_to_kafka() - Kafka error code for negative errno @err (0 for 0) */
s16 kbr_error_to_kafka(int err);
/** kbr_error_from_kafka() - negative errno for Kafka error code @code */
int kbr_error_from_kafka(s16 code);
/** kbr_error_name() - Kafka's name of what @err means, for messages */
const char *kbr_error_name(int err);

#endif /* _KBR_BASE_ERROR_H */
