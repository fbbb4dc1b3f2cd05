/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkbroker: produce to and consume from kbroker's topics.
 *
 * The library speaks to the devices of a broker on this machine, in batches; it
 * needs no other process. Functions return 0 or more, or a negative errno, and
 * print nothing.
 */
#ifndef _KBROKER_KBROKER_H
#define _KBROKER_KBROKER_H

#include <kbroker/batch.h>
#include <kbroker/consumer.h>
#include <kbroker/member.h>
#include <kbroker/message.h>
#include <kbroker/partitioner.h>
#include <kbroker/producer.h>

#endif /* _KBROKER_KBROKER_H */
