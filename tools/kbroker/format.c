// SPDX-License-Identifier: GPL-2.0-only
/*
 * Printing of records in kcat's format language:
 *
 *	%s value  %S its length  %R its length as 4 bytes, big-endian
 *	%k key    %K its length  %h headers (name=value,...)
 *	%t topic  %p partition   %o offset  %T timestamp (ms)  %% a percent sign
 *
 * and the escapes \n \r \t \0 \\ \xHH. A length of null is -1. A format is
 * compiled once into a list of pieces, then applied to each record.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "record.h"

/**
 * struct piece - one part of a format
 * @token: letter after '%', or 0 for text
 * @text: the text
 * @len: its length
 */
struct piece {
	char token;
	char *text;
	size_t len;
};

/**
 * struct kb_format - a compiled format
 * @pieces: parts in order
 * @count: how many
 * @null_text: printed for a null key or value
 */
struct kb_format {
	struct piece *pieces;
	size_t count;
	char *null_text;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/**
 * kb_unescape() - resolve the backslashes of a delimiter or format
 * @what: option's name, for the message
 * @text: as typed
 * @out: result, to be freed; NUL-terminated, but may hold NULs
 * @len: its length
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_unescape(const char *what, const char *text, char **out, size_t *len)
{
	char *buf = kb_alloc(strlen(text) + 1);
	size_t n = 0;

	while (*text) {
		if (*text != '\\') {
			buf[n++] = *text++;
			continue;
		}
		text++;
		switch (*text) {
		case 'n':
			buf[n++] = '\n';
			break;
		case 'r':
			buf[n++] = '\r';
			break;
		case 't':
			buf[n++] = '\t';
			break;
		case '0':
			buf[n++] = '\0';
			break;
		case '\\':
			buf[n++] = '\\';
			break;
		case 'x':
			if (hex_digit(text[1]) >= 0) {
				int val = hex_digit(*++text);

				if (hex_digit(text[1]) >= 0)
					val = val * 16 + hex_digit(*++text);
				buf[n++] = (char)val;
				break;
			}
			/* fall through */
		default:
			free(buf);
			return kb_usage("%s: '\\%.1s' is no escape (there are \\n \\r \\t \\0 \\\\ \\xHH)",
					what, text);
		}
		text++;
	}
	buf[n] = '\0';
	*out = buf;
	*len = n;
	return KB_OK;
}

static struct piece *add_piece(struct kb_format *fmt)
{
	fmt->pieces = kb_realloc(fmt->pieces, (fmt->count + 1) * sizeof(*fmt->pieces));
	memset(&fmt->pieces[fmt->count], 0, sizeof(*fmt->pieces));
	return &fmt->pieces[fmt->count++];
}

static void add_text(struct kb_format *fmt, const char *text, size_t len)
{
	struct piece *piece;

	if (!len)
		return;
	piece = add_piece(fmt);
	piece->text = kb_alloc(len);
	memcpy(piece->text, text, len);
	piece->len = len;
}

/**
 * kb_format_compile() - make ready to print records
 * @text: the format
 * @null_text: what stands for a null key or value
 * @result: the compiled format
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_format_compile(const char *text, const char *null_text, struct kb_format **result)
{
	struct kb_format *fmt;
	size_t len, i, start = 0;
	char *plain;
	int ret;

	/* escapes first: "\x25s" is then a token, as it is for kcat */
	ret = kb_unescape("--format", text, &plain, &len);
	if (ret != KB_OK)
		return ret;
	fmt = kb_alloc(sizeof(*fmt));
	fmt->null_text = kb_strdup(null_text);
	for (i = 0; i < len; i++) {
		if (plain[i] != '%')
			continue;
		add_text(fmt, plain + start, i - start);
		i++;
		if (i == len || !strchr("sSRkKhtpoT%", plain[i]) || !plain[i]) {
			ret = kb_usage("--format: '%%%.1s' means nothing (see 'man kbroker-consume')",
				       i < len ? plain + i : "");
			free(plain);
			kb_format_free(fmt);
			return ret;
		}
		if (plain[i] == '%')
			add_text(fmt, "%", 1);
		else
			add_piece(fmt)->token = plain[i];
		start = i + 1;
	}
	add_text(fmt, plain + start, len - start);
	free(plain);
	*result = fmt;
	return KB_OK;
}

void kb_format_free(struct kb_format *fmt)
{
	size_t i;

	if (!fmt)
		return;
	for (i = 0; i < fmt->count; i++)
		free(fmt->pieces[i].text);
	free(fmt->pieces);
	free(fmt->null_text);
	free(fmt);
}

static void print_bytes(const struct kb_format *fmt, const struct kb_bytes *b, FILE *out)
{
	if (b->data)
		fwrite_unlocked(b->data, 1, b->len, out);
	else
		fputs_unlocked(fmt->null_text, out);
}

static void print_headers(const struct kb_format *fmt, const struct kb_rec *rec, FILE *out)
{
	size_t i;

	for (i = 0; i < rec->headers_count; i++) {
		if (i)
			putc_unlocked(',', out);
		print_bytes(fmt, &rec->headers[2 * i], out);
		putc_unlocked('=', out);
		if (rec->headers[2 * i + 1].data)
			print_bytes(fmt, &rec->headers[2 * i + 1], out);
		else
			fputs_unlocked("NULL", out);
	}
}

static long long length_of(const struct kb_bytes *b)
{
	return b->data ? (long long)b->len : -1;
}

/**
 * kb_format_print() - print one record
 * @fmt: format
 * @rec: record
 * @out: where to; errors stay in it
 */
void kb_format_print(const struct kb_format *fmt, const struct kb_rec *rec, FILE *out)
{
	uint32_t size;
	size_t i;

	for (i = 0; i < fmt->count; i++) {
		const struct piece *piece = &fmt->pieces[i];

		switch (piece->token) {
		case 0:
			fwrite_unlocked(piece->text, 1, piece->len, out);
			break;
		case 's':
			print_bytes(fmt, &rec->value, out);
			break;
		case 'k':
			print_bytes(fmt, &rec->key, out);
			break;
		case 'S':
			fprintf(out, "%lld", length_of(&rec->value));
			break;
		case 'K':
			fprintf(out, "%lld", length_of(&rec->key));
			break;
		case 'R':
			size = htonl((uint32_t)length_of(&rec->value));
			fwrite_unlocked(&size, 1, sizeof(size), out);
			break;
		case 'h':
			print_headers(fmt, rec, out);
			break;
		case 't':
			fputs_unlocked(rec->topic, out);
			break;
		case 'p':
			fprintf(out, "%" PRId32, rec->partition);
			break;
		case 'o':
			fprintf(out, "%" PRId64, rec->offset);
			break;
		case 'T':
			fprintf(out, "%" PRId64, rec->timestamp);
			break;
		}
	}
}

/**
 * kb_rec_json() - one record as a JSON object, with kcat's names
 * @js: document
 * @rec: record
 */
void kb_rec_json(struct kb_json *js, const struct kb_rec *rec)
{
	size_t i;

	kb_json_object(js, NULL);
	kb_json_string(js, "topic", rec->topic);
	kb_json_s64(js, "partition", rec->partition);
	kb_json_s64(js, "offset", rec->offset);
	kb_json_string(js, "tstype", rec->append_time ? "logappend" : "create");
	kb_json_s64(js, "ts", rec->timestamp);
	kb_json_s64(js, "leader_epoch", rec->leader_epoch);
	if (rec->headers_count) {
		kb_json_array(js, "headers");
		for (i = 0; i < 2 * rec->headers_count; i++)
			kb_json_bytes(js, NULL, rec->headers[i].data, rec->headers[i].len);
		kb_json_array_end(js);
	}
	kb_json_bytes(js, "key", rec->key.data, rec->key.len);
	kb_json_bytes(js, "payload", rec->value.data, rec->value.len);
	kb_json_object_end(js);
}
