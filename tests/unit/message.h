/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages made and read by their schemas.
 */
#ifndef _KBR_UNIT_MESSAGE_H
#define _KBR_UNIT_MESSAGE_H

#include <stdint.h>

#include "codec/proto.h"

/* Appends a message with these fields; @random gives what is left open, below its argument */
void message_write(struct kbr_wire_writer *w, const struct kbr_field *fields, s16 version,
		   uint64_t (*random)(uint64_t below));

/* Reads a message and writes it again; false if it could not be read */
bool message_copy(struct kbr_wire_writer *w, struct kbr_wire_reader *r, const struct kbr_field *fields,
		  s16 version);

#endif /* _KBR_UNIT_MESSAGE_H */
