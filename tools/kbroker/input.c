// SPDX-License-Identifier: GPL-2.0-only
/*
 * Input cut into records; see input.h. A record stays where it was read: it
 * is copied only when it crosses the end of the buffer.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "input.h"
#include "kbroker.h"

#define INPUT_BYTES (256u << 10)

/**
 * kb_input_init() - begin to read
 * @in: input
 * @fd: file, stays the caller's
 * @delim: what ends a record; must stay
 * @delim_len: its length, 0 to take the whole file as one record
 * @max: longest record accepted, bytes
 */
void kb_input_init(struct kb_input *in, int fd, const char *delim, size_t delim_len, size_t max)
{
	memset(in, 0, sizeof(*in));
	in->fd = fd;
	in->delim = delim;
	in->delim_len = delim_len;
	in->max = max;
	in->room = INPUT_BYTES;
	in->buf = kb_alloc(in->room);
}

void kb_input_release(struct kb_input *in)
{
	free(in->buf);
	in->buf = NULL;
}

static void make_room(struct kb_input *in)
{
	if (in->end < in->room)
		return;
	if (in->start) {
		memmove(in->buf, in->buf + in->start, in->end - in->start);
		in->searched -= in->start;
		in->end -= in->start;
		in->start = 0;
		/* less than half free: the next record would move it again */
		if (in->room - in->end > in->room / 2)
			return;
	}
	in->room *= 2;
	in->buf = kb_realloc(in->buf, in->room);
}

static enum kb_input_result fill(struct kb_input *in, int timeout_ms)
{
	struct pollfd pfd = { .fd = in->fd, .events = POLLIN };
	ssize_t n;

	n = kb_poll(&pfd, 1, timeout_ms);
	if (!n)
		return KB_INPUT_IDLE;
	if (n < 0 && errno == EINTR)
		return kb_interrupted() ? KB_INPUT_STOP : KB_INPUT_IDLE;
	if (n > 0) {
		make_room(in);
		n = read(in->fd, in->buf + in->end, in->room - in->end);
	}
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return kb_interrupted() ? KB_INPUT_STOP : KB_INPUT_IDLE;
	if (n < 0) {
		in->error = errno;
		return KB_INPUT_ERROR;
	}
	in->eof = !n;
	in->end += (size_t)n;
	return KB_INPUT_RECORD;
}

/* the delimiter at or after in->searched, or NULL */
static const char *find_delim(struct kb_input *in)
{
	const char *from = in->buf + in->searched;
	size_t len = in->end - in->searched;
	const char *at;

	if (!in->delim_len)
		return NULL;
	if (in->delim_len == 1)
		at = memchr(from, in->delim[0], len);
	else
		at = memmem(from, len, in->delim, in->delim_len);
	/* the last bytes may be the beginning of one */
	if (!at && len >= in->delim_len)
		in->searched = in->end - in->delim_len + 1;
	return at;
}

static enum kb_input_result hand_out(struct kb_input *in, size_t len, size_t delim_len,
				     const char **rec, size_t *rec_len)
{
	*rec = in->buf + in->start;
	*rec_len = len;
	in->taken = len + delim_len;
	in->start += in->taken;
	in->searched = in->start;
	in->count++;
	return len > in->max ? KB_INPUT_TOO_LONG : KB_INPUT_RECORD;
}

/**
 * kb_input_next() - the next record
 * @in: input
 * @timeout_ms: how long to wait for it, -1 for ever
 * @rec: result, valid until the next call
 * @len: its length, without the delimiter
 *
 * What follows the last delimiter is a record, unless it is empty.
 * Return: what happened; no wait is longer than @timeout_ms, but several may
 * follow one another while a record comes in pieces.
 */
enum kb_input_result kb_input_next(struct kb_input *in, int timeout_ms, const char **rec, size_t *len)
{
	enum kb_input_result ret;
	const char *at;

	for (;;) {
		at = find_delim(in);
		if (at)
			return hand_out(in, (size_t)(at - (in->buf + in->start)), in->delim_len, rec, len);
		if (in->eof) {
			if (in->end == in->start && (in->delim_len || in->count))
				return KB_INPUT_END;
			return hand_out(in, in->end - in->start, 0, rec, len);
		}
		if (in->end - in->start > in->max + in->delim_len)
			return KB_INPUT_TOO_LONG;
		if (in->start == in->end) {
			in->start = 0;
			in->end = 0;
			in->searched = 0;
		}
		ret = fill(in, timeout_ms);
		if (ret != KB_INPUT_RECORD)
			return ret;
	}
}
