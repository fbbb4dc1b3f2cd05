// SPDX-License-Identifier: GPL-2.0-only
/* Connections that carry frames; see frames.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "frames.h"

#define READ_SIZE	4096

/**
 * struct kbd_frames - a connection
 * @stream: malloc()ed
 * @ops: what comes of it
 * @arg: their argument
 * @in: what was read and not handled
 * @have: bytes of it
 * @room: bytes allocated
 * @unsent: bytes that are being written
 * @closing: it ends
 * @status: with what
 */
struct kbd_frames {
	uv_stream_t *stream;
	const struct kbd_frames_ops *ops;
	void *arg;
	u8 *in;
	size_t have;
	size_t room;
	size_t unsent;
	bool closing;
	int status;
};

/**
 * struct sending - a frame that is being written
 * @request: libuv's
 * @conn: whose
 * @len: bytes
 * @data: they
 */
struct sending {
	uv_write_t request;
	struct kbd_frames *conn;
	size_t len;
	u8 data[];
};

static void closed(uv_handle_t *handle)
{
	struct kbd_frames *conn = handle->data;

	conn->ops->closed(conn->arg, conn, conn->status);
	free(conn->in);
	free(conn);
	free(handle);
}

static void end(struct kbd_frames *conn, int status)
{
	if (conn->closing)
		return;
	conn->closing = true;
	conn->status = status;
	uv_close((uv_handle_t *)conn->stream, closed);
}

void kbd_frames_close(struct kbd_frames *conn)
{
	end(conn, 0);
}

/* Bytes of the frame that begins at @at, 0: not known yet */
static size_t frame_size(const u8 *at, size_t have)
{
	return have < 4 ? 0 : 4 + (size_t)kbd_get_be32(at);
}

static void alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	struct kbd_frames *conn = handle->data;
	size_t room = frame_size(conn->in, conn->have);
	u8 *in;

	(void)hint;
	if (room < conn->have + READ_SIZE)
		room = conn->have + READ_SIZE;
	in = room > conn->room ? realloc(conn->in, room) : conn->in;
	if (!in) {
		*buf = uv_buf_init(NULL, 0);
		return;
	}
	if (room > conn->room)
		conn->room = room;
	conn->in = in;
	*buf = uv_buf_init((char *)in + conn->have, conn->room - conn->have);
}

static void got(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct kbd_frames *conn = stream->data;
	size_t pos = 0, size;

	(void)buf;
	if (len < 0) {
		end(conn, len == UV_EOF ? 0 : (int)len);
		return;
	}
	conn->have += len;
	for (;;) {
		const u8 *at = conn->in + pos;

		size = frame_size(at, conn->have - pos);
		if (!size)
			break;
		if (size < KBD_FRAME_HEADER + KBD_HEADER_SIZE || size > KBD_FRAME_MAX) {
			end(conn, -EPROTO);
			return;
		}
		if (conn->have - pos < size)
			break;
		conn->ops->frame(conn->arg, conn, kbd_get_be64(at + 4), at[12],
				 at + KBD_FRAME_HEADER, size - KBD_FRAME_HEADER);
		if (conn->closing)
			return;
		pos += size;
	}
	conn->have -= pos;
	memmove(conn->in, conn->in + pos, conn->have);
	/* A large frame's room is not kept. */
	if (!conn->have) {
		free(conn->in);
		conn->in = NULL;
		conn->room = 0;
	}
}

struct kbd_frames *kbd_frames_new(uv_stream_t *stream, const struct kbd_frames_ops *ops, void *arg)
{
	struct kbd_frames *conn = calloc(1, sizeof(*conn));

	if (!conn)
		abort();
	conn->stream = stream;
	conn->ops = ops;
	conn->arg = arg;
	stream->data = conn;
	if (uv_read_start(stream, alloc, got)) {
		free(conn);
		uv_close((uv_handle_t *)stream, (uv_close_cb)free);
		return NULL;
	}
	return conn;
}

static void sent(uv_write_t *request, int status)
{
	struct sending *sending = request->data;

	sending->conn->unsent -= sending->len;
	if (status)
		end(sending->conn, status);
	free(sending);
}

void kbd_frames_send(struct kbd_frames *conn, u64 token, u8 flags, const void *data, size_t len)
{
	struct sending *sending;
	uv_buf_t buf;
	unsigned int i;

	if (conn->closing)
		return;
	if (len > KBD_FRAME_MAX - KBD_FRAME_HEADER || conn->unsent > KBD_UNSENT_MAX) {
		end(conn, -ENOBUFS);
		return;
	}
	sending = malloc(sizeof(*sending) + KBD_FRAME_HEADER + len);
	if (!sending)
		abort();
	sending->request.data = sending;
	sending->conn = conn;
	sending->len = KBD_FRAME_HEADER + len;
	for (i = 0; i < 4; i++)
		sending->data[i] = (sending->len - 4) >> (24 - 8 * i);
	for (i = 0; i < 8; i++)
		sending->data[4 + i] = token >> (56 - 8 * i);
	sending->data[12] = flags;
	memcpy(sending->data + KBD_FRAME_HEADER, data, len);
	buf = uv_buf_init((char *)sending->data, sending->len);
	if (uv_write(&sending->request, conn->stream, &buf, 1, sent)) {
		free(sending);
		end(conn, -EPIPE);
		return;
	}
	conn->unsent += sending->len;
}
