/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A connection that carries frames (rpc.h), over TCP or a Unix socket. On the
 * thread of one libuv loop.
 */
#ifndef _KBROKERD_FRAMES_H
#define _KBROKERD_FRAMES_H

#include <uv.h>

#include "rpc.h"

/* Bytes that wait to be written; who does not read so much is hung up on */
#define KBD_UNSENT_MAX	(16U << 20)

struct kbd_frames;

/**
 * struct kbd_frames_ops - what comes of a connection
 * @frame: a frame came; @data valid during the call
 * @closed: it ended, with 0 or a negative errno; it is freed when this returns
 */
struct kbd_frames_ops {
	void (*frame)(void *arg, struct kbd_frames *conn, u64 token, u8 flags, const void *data,
		      size_t len);
	void (*closed)(void *arg, struct kbd_frames *conn, int status);
};

/**
 * kbd_frames_new() - a connection becomes one of frames
 * @stream: malloc()ed; the connection's from now on
 *
 * Return: NULL: it can't be read; @stream is closed, and @ops not called.
 */
struct kbd_frames *kbd_frames_new(uv_stream_t *stream, const struct kbd_frames_ops *ops, void *arg);

/** kbd_frames_send() - the bytes are copied; one that closes drops them */
void kbd_frames_send(struct kbd_frames *conn, u64 token, u8 flags, const void *data, size_t len);

/** kbd_frames_close() - @closed follows later */
void kbd_frames_close(struct kbd_frames *conn);

#endif /* _KBROKERD_FRAMES_H */
