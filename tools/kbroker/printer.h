/* SPDX-License-Identifier: GPL-2.0-only */
/* Records on standard output, as the options of "kbroker consume" say. */
#ifndef KBROKER_TOOL_PRINTER_H
#define KBROKER_TOOL_PRINTER_H

#include "record.h"

/**
 * struct kb_printer - how to print, and what was
 * @format: how
 * @unbuffered: --unbuffered
 * @left: --count: how many more
 * @printed: records printed
 * @bytes: bytes of their values
 */
struct kb_printer {
	struct kb_format *format;
	bool unbuffered;
	int64_t left;
	uint64_t printed;
	uint64_t bytes;
};

int kb_printer_init(struct kb_printer *printer);
bool kb_printer_print(struct kb_printer *printer, const struct kb_rec *rec);
void kb_printer_summary(const struct kb_printer *printer, int64_t ms);
void kb_printer_release(struct kb_printer *printer);

/* consume_group.c */
int kb_consume_group(const char *topic, int64_t timeout_ms);

#endif /* KBROKER_TOOL_PRINTER_H */
