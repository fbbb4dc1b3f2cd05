/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one rule of access: a topic's owner, group and mode decide who may
 * produce (write) and consume (read), at every door.
 */
#ifndef _KBR_BROKER_ACCESS_H
#define _KBR_BROKER_ACCESS_H

#include <linux/cred.h>
#include "broker/topic.h"

#define KBR_MAY_CONSUME	0x1
#define KBR_MAY_PRODUCE	0x2

/**
 * kbr_access_check() - may @cred do @what with @topic?
 *
 * Root by CAP_DAC_OVERRIDE in the initial user namespace. Internal topics
 * ("__..."): read by root alone, produced to by nobody.
 * Return: 0; -EACCES; -EROFS produce to an internal topic.
 */
int kbr_access_check(const struct kbr_topic *topic, const struct cred *cred, unsigned int what);

#endif /* _KBR_BROKER_ACCESS_H */
