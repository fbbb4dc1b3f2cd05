/* SPDX-License-Identifier: GPL-2.0-only */
/* Input cut into records by a delimiter, without waiting longer than asked. */
#ifndef KBROKER_TOOL_INPUT_H
#define KBROKER_TOOL_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kb_input_result {
	KB_INPUT_RECORD,	/* a record is there */
	KB_INPUT_END,		/* nothing more will come */
	KB_INPUT_IDLE,		/* nothing came in time */
	KB_INPUT_STOP,		/* a signal asked to finish */
	KB_INPUT_TOO_LONG,	/* no delimiter within the largest record */
	KB_INPUT_ERROR,		/* errno in @error */
};

/**
 * struct kb_input - one input file
 * @fd: file
 * @delim: delimiter
 * @delim_len: its length; 0: the whole file is one record
 * @max: longest record accepted, bytes
 * @buf: what was read and not yet handed out begins at @start
 * @start: see @buf
 * @end: end of what was read
 * @room: bytes allocated
 * @searched: no delimiter begins before this
 * @eof: the end of the file was read
 * @taken: bytes of the record handed out last, delimiter included
 * @count: records handed out
 * @error: errno of a failed read
 */
struct kb_input {
	int fd;
	const char *delim;
	size_t delim_len;
	size_t max;
	char *buf;
	size_t start;
	size_t end;
	size_t room;
	size_t searched;
	bool eof;
	size_t taken;
	uint64_t count;
	int error;
};

void kb_input_init(struct kb_input *in, int fd, const char *delim, size_t delim_len, size_t max);
enum kb_input_result kb_input_next(struct kb_input *in, int timeout_ms, const char **rec, size_t *len);
void kb_input_release(struct kb_input *in);

#endif /* KBROKER_TOOL_INPUT_H */
