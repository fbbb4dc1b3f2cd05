/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A writer of JSON: one value after the other, commas and quoting done here.
 *
 * Bytes that aren't UTF-8 can't be a JSON string: kb_json_bytes() writes them
 * as base64 under the key "<key>_base64" instead.
 */
#ifndef KBROKER_TOOL_JSON_H
#define KBROKER_TOOL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define KB_JSON_DEPTH_MAX 32

/**
 * struct kb_json - one document in the making
 * @out: where it goes
 * @depth: open objects and arrays
 * @members: bit per depth: something was written there already
 * @pretty: one member a line
 */
struct kb_json {
	FILE *out;
	unsigned int depth;
	uint32_t members;
	bool pretty;
};

void kb_json_init(struct kb_json *js, FILE *out, bool pretty);
/* @key is NULL inside arrays and for the document itself */
void kb_json_object(struct kb_json *js, const char *key);
void kb_json_object_end(struct kb_json *js);
void kb_json_array(struct kb_json *js, const char *key);
void kb_json_array_end(struct kb_json *js);
void kb_json_string(struct kb_json *js, const char *key, const char *val);
void kb_json_bytes(struct kb_json *js, const char *key, const void *val, size_t len);
void kb_json_s64(struct kb_json *js, const char *key, int64_t val);
void kb_json_u64(struct kb_json *js, const char *key, uint64_t val);
void kb_json_double(struct kb_json *js, const char *key, double val);
void kb_json_bool(struct kb_json *js, const char *key, bool val);
void kb_json_null(struct kb_json *js, const char *key);
/* ends the document's line */
void kb_json_finish(struct kb_json *js);

bool kb_utf8_valid(const void *val, size_t len);

#endif /* KBROKER_TOOL_JSON_H */
