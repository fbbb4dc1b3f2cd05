/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One record as the commands see it, and how it is printed: kcat's %-formats,
 * plain values, or JSON.
 */
#ifndef KBROKER_TOOL_RECORD_H
#define KBROKER_TOOL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "json.h"

/**
 * struct kb_bytes - a byte string that may be null
 * @data: bytes, NULL for null
 * @len: how many
 */
struct kb_bytes {
	const void *data;
	size_t len;
};

/**
 * struct kb_rec - one record
 * @topic: its topic
 * @partition: its partition
 * @leader_epoch: epoch of the leader that appended it
 * @append_time: @timestamp is the broker's, not the producer's
 * @offset: its offset
 * @timestamp: ms since the epoch, -1 none
 * @key: key
 * @value: value; null is a tombstone
 * @headers: names and values in turn, 2 * @headers_count
 * @headers_count: headers
 */
struct kb_rec {
	const char *topic;
	int32_t partition;
	int32_t leader_epoch;
	bool append_time;
	int64_t offset;
	int64_t timestamp;
	struct kb_bytes key;
	struct kb_bytes value;
	const struct kb_bytes *headers;
	size_t headers_count;
};

struct kb_format;

int kb_unescape(const char *what, const char *text, char **out, size_t *len);
int kb_format_compile(const char *text, const char *null_text, struct kb_format **fmt);
void kb_format_free(struct kb_format *fmt);
void kb_format_print(const struct kb_format *fmt, const struct kb_rec *rec, FILE *out);
void kb_rec_json(struct kb_json *js, const struct kb_rec *rec);

#endif /* KBROKER_TOOL_RECORD_H */
