/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A daemon's talk with its kernel, over netlink.
 *
 * The kernel's operations may take long, and the daemon's thread never waits:
 * a thread of this file's own sends what is queued, in order, and looks at the
 * broker ten times a second and whenever it has news. What it finds is kept
 * until the daemon's thread asks; all functions here are for that thread.
 */
#ifndef _KBROKERD_KERNEL_H
#define _KBROKERD_KERNEL_H

#include "session.h"

struct kbd_kernel_io;

/**
 * kbd_kernel_new() - begin to look
 * @broker: its name
 * @cluster: UUID of the cluster that the broker is to be a member of
 * @secret: of that cluster, @len bytes; the kernel forgets it when a broker stops
 * @wake: is called from the other thread; kbd_kernel_handle() is to follow
 *
 * Return: NULL where there is no thread or memory.
 */
struct kbd_kernel_io *kbd_kernel_new(const char *broker, const u8 *cluster, const void *secret,
				     size_t len, void (*wake)(void *arg), void *arg);
void kbd_kernel_free(struct kbd_kernel_io *io);

/** kbd_kernel_look() - what the broker was a moment ago; -ENODEV: none, or no member; -EAGAIN: not known yet */
int kbd_kernel_look(struct kbd_kernel_io *io, struct kbd_kernel *kernel);
/** kbd_kernel_known() - topics and peers of the broker, into an empty state; -EAGAIN: ask again when woken */
int kbd_kernel_known(struct kbd_kernel_io *io, struct kbd_state *state);
/** kbd_kernel_requests() - kbd_kernel_handle() is to hand the open requests to the session */
void kbd_kernel_requests(struct kbd_kernel_io *io);
/** kbd_kernel_tell() - queue what the kernel is to be told */
void kbd_kernel_tell(struct kbd_kernel_io *io, enum kbd_tell what, const struct kbd_buf *attrs);
/** kbd_kernel_busy() - not all that was queued is done */
bool kbd_kernel_busy(struct kbd_kernel_io *io);
/** kbd_kernel_handle() - what happened since the last time, for the session and the log */
void kbd_kernel_handle(struct kbd_kernel_io *io, struct kbd_session *session);

#endif /* _KBROKERD_KERNEL_H */
