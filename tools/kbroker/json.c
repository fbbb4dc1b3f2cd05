// SPDX-License-Identifier: GPL-2.0-only
/* A writer of JSON; see json.h. It never fails: write errors stay in the FILE. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "json.h"

void kb_json_init(struct kb_json *js, FILE *out, bool pretty)
{
	*js = (struct kb_json){ .out = out, .pretty = pretty };
}

/* @len is what the sequence at @p takes if it is good UTF-8, else 0 */
static size_t utf8_sequence(const unsigned char *p, size_t len)
{
	unsigned int code;
	size_t n, i;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > len)
		return 0;
	code = p[0] & (0x7f >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	/* overlong forms, surrogates, beyond the end of Unicode */
	if ((n == 3 && code < 0x800) || (n == 4 && (code < 0x10000 || code > 0x10ffff)) ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return n;
}

/**
 * kb_utf8_valid() - whether @len bytes at @val can be a JSON string
 * @val: bytes
 * @len: how many
 */
bool kb_utf8_valid(const void *val, size_t len)
{
	const unsigned char *p = val;
	size_t n;

	while (len) {
		n = utf8_sequence(p, len);
		if (!n)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

static void quote(struct kb_json *js, const char *val, size_t len)
{
	size_t i, start = 0;

	putc_unlocked('"', js->out);
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)val[i];

		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
			continue;
		fwrite(val + start, 1, i - start, js->out);
		start = i + 1;
		switch (c) {
		case '"':
			fputs("\\\"", js->out);
			break;
		case '\\':
			fputs("\\\\", js->out);
			break;
		case '\n':
			fputs("\\n", js->out);
			break;
		case '\t':
			fputs("\\t", js->out);
			break;
		case '\r':
			fputs("\\r", js->out);
			break;
		default:
			fprintf(js->out, "\\u%04x", c);
		}
	}
	fwrite(val + start, 1, len - start, js->out);
	putc_unlocked('"', js->out);
}

static void indent(struct kb_json *js)
{
	unsigned int i;

	if (!js->pretty)
		return;
	putc_unlocked('\n', js->out);
	for (i = 0; i < js->depth; i++)
		fputs("  ", js->out);
}

/* what precedes a value: comma, line, key */
static void begin(struct kb_json *js, const char *key)
{
	if (js->members & (1u << js->depth))
		putc_unlocked(',', js->out);
	js->members |= 1u << js->depth;
	if (js->depth)
		indent(js);
	if (key) {
		quote(js, key, strlen(key));
		fputs(js->pretty ? ": " : ":", js->out);
	}
}

static void push(struct kb_json *js, const char *key, char c)
{
	begin(js, key);
	putc_unlocked(c, js->out);
	if (js->depth < KB_JSON_DEPTH_MAX - 1)
		js->depth++;
	js->members &= ~(1u << js->depth);
}

static void pop(struct kb_json *js, char c)
{
	bool members = js->members & (1u << js->depth);

	if (js->depth)
		js->depth--;
	if (members)
		indent(js);
	putc_unlocked(c, js->out);
}

void kb_json_object(struct kb_json *js, const char *key)
{
	push(js, key, '{');
}

void kb_json_object_end(struct kb_json *js)
{
	pop(js, '}');
}

void kb_json_array(struct kb_json *js, const char *key)
{
	push(js, key, '[');
}

void kb_json_array_end(struct kb_json *js)
{
	pop(js, ']');
}

static void base64(struct kb_json *js, const unsigned char *p, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	putc_unlocked('"', js->out);
	for (; len; p += 3, len -= len < 3 ? len : 3) {
		unsigned int v = (unsigned int)p[0] << 16;

		if (len > 1)
			v |= (unsigned int)p[1] << 8;
		if (len > 2)
			v |= p[2];
		putc_unlocked(digits[v >> 18], js->out);
		putc_unlocked(digits[v >> 12 & 63], js->out);
		putc_unlocked(len > 1 ? digits[v >> 6 & 63] : '=', js->out);
		putc_unlocked(len > 2 ? digits[v & 63] : '=', js->out);
	}
	putc_unlocked('"', js->out);
}

/**
 * kb_json_bytes() - a string member, or base64 where the bytes aren't UTF-8
 * @js: document
 * @key: member, NULL inside an array (then base64 is a plain string as well)
 * @val: bytes, NULL for null
 * @len: how many
 */
void kb_json_bytes(struct kb_json *js, const char *key, const void *val, size_t len)
{
	char name[80];

	if (!val) {
		kb_json_null(js, key);
	} else if (kb_utf8_valid(val, len)) {
		begin(js, key);
		quote(js, val, len);
	} else {
		if (key)
			snprintf(name, sizeof(name), "%s_base64", key);
		begin(js, key ? name : NULL);
		base64(js, val, len);
	}
}

void kb_json_string(struct kb_json *js, const char *key, const char *val)
{
	kb_json_bytes(js, key, val, val ? strlen(val) : 0);
}

void kb_json_s64(struct kb_json *js, const char *key, int64_t val)
{
	begin(js, key);
	fprintf(js->out, "%" PRId64, val);
}

void kb_json_u64(struct kb_json *js, const char *key, uint64_t val)
{
	begin(js, key);
	fprintf(js->out, "%" PRIu64, val);
}

void kb_json_double(struct kb_json *js, const char *key, double val)
{
	begin(js, key);
	if (isfinite(val))
		fprintf(js->out, "%.6g", val);
	else
		fputs("null", js->out);
}

void kb_json_bool(struct kb_json *js, const char *key, bool val)
{
	begin(js, key);
	fputs(val ? "true" : "false", js->out);
}

void kb_json_null(struct kb_json *js, const char *key)
{
	begin(js, key);
	fputs("null", js->out);
}

void kb_json_finish(struct kb_json *js)
{
	putc_unlocked('\n', js->out);
}
