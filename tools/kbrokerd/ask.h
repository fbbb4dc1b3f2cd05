/* SPDX-License-Identifier: GPL-2.0-only */
/* A question to a cluster by who is no member of it yet. */
#ifndef _KBROKERD_ASK_H
#define _KBROKERD_ASK_H

#include "link.h"

/**
 * kbd_ask_status() - print the brokers and daemons of a cluster
 * @self: cluster id and key; id -1
 * @address: of one of its daemons
 *
 * One line each, for scripts:
 *
 *	broker ID ADDRESS PORT alive|fenced
 *	daemon ID ADDRESS:PORT voter|spare [controller]
 *
 * Return: exit code: 0, or 1 after a message to standard error.
 */
int kbd_ask_status(const struct kbd_identity *self, const char *address);

#endif /* _KBROKERD_ASK_H */
