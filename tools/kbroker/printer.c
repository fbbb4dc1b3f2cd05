// SPDX-License-Identifier: GPL-2.0-only
/* Printing records for "kbroker consume"; see printer.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "printer.h"

/* the format that --key-separator, --delimiter and --format ask for */
static int choose_format(struct kb_printer *printer)
{
	const char *sep = kb_opt_get("key-separator"), *delim = kb_opt_get("delimiter");
	const char *null_text = kb_opt_has("null") ? "NULL" : "";
	char *text, *at;
	size_t room;
	int ret;

	if (kb_opt_get("format")) {
		if (sep || delim)
			return kb_usage("--format and %s exclude each other",
					sep ? "--key-separator" : "--delimiter");
		return kb_format_compile(kb_opt_get("format"), null_text, &printer->format);
	}
	/* percent signs in a delimiter are meant as they are */
	room = 2 * ((sep ? strlen(sep) : 0) + (delim ? strlen(delim) : 2)) + 8;
	text = kb_alloc(room);
	at = text;
	if (sep) {
		at = stpcpy(at, "%k");
		for (; *sep; sep++) {
			if (*sep == '%')
				*at++ = '%';
			*at++ = *sep;
		}
	}
	at = stpcpy(at, "%s");
	for (delim = delim ? delim : "\\n"; *delim; delim++) {
		if (*delim == '%')
			*at++ = '%';
		*at++ = *delim;
	}
	ret = kb_format_compile(text, null_text, &printer->format);
	free(text);
	return ret;
}

/**
 * kb_printer_init() - what the options say
 * @printer: result; release it with kb_printer_release()
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_printer_init(struct kb_printer *printer)
{
	int ret;

	printer->left = INT64_MAX;
	ret = kb_opt_s64("count", 0, INT64_MAX, &printer->left);
	if (ret != KB_OK)
		return ret;
	printer->unbuffered = kb_opt_has("unbuffered");
	return choose_format(printer);
}

/* print one record; false once enough were printed, or no more can be */
bool kb_printer_print(struct kb_printer *printer, const struct kb_rec *rec)
{
	struct kb_json js;

	if (kb.json) {
		kb_json_init(&js, stdout, false);
		kb_rec_json(&js, rec);
		kb_json_finish(&js);
	} else {
		kb_format_print(printer->format, rec, stdout);
	}
	if (printer->unbuffered)
		fflush(stdout);
	printer->printed++;
	printer->bytes += rec->value.len;
	return --printer->left > 0 && !ferror(stdout);
}

/* @ms: how long it took */
void kb_printer_summary(const struct kb_printer *printer, int64_t ms)
{
	char size[16], span[24];

	if (!kb.out_tty || kb_interrupted())
		kb_note("%" PRIu64 " records, %s, in %s", printer->printed,
			kb_human_bytes(printer->bytes, size), kb_human_span(ms, span));
}

void kb_printer_release(struct kb_printer *printer)
{
	kb_format_free(printer->format);
	printer->format = NULL;
}
