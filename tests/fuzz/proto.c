// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests and responses of Kafka: what passes its check can be read field by
 * field, and is then written as it was or, where a length or a boolean was in
 * a longer or another form, as something that passes again.
 *
 * The first byte of the input says whether a response follows, which then has
 * a request's head, too.
 */
#include <string.h>

#include "codec/proto.h"
#include "fuzz.h"
#include "tests/unit/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kbr_request_header header;
	const struct kbr_field *fields;
	struct kbr_wire_reader body, r;
	struct kbr_wire_writer w, again;
	bool readable;
	int ret;

	if (size < 1)
		return 0;
	kbr_wire_reader_init(&body, data + 1, size - 1, false);
	ret = kbr_request_decode_header(&body, &header);
	FUZZ_HOLDS(!ret == (header.api && !body.bad && header.version >= header.api->serve_min &&
			    header.version <= header.api->max));
	if (ret)
		return 0;
	fields = data[0] & 1 ? header.api->response : header.api->request;

	ret = kbr_message_check(&body, fields, header.version);
	r = body;
	kbr_wire_writer_init(&w, SIZE_MAX, body.flexible);
	readable = message_copy(&w, &r, fields, header.version);
	FUZZ_HOLDS(readable == !ret);
	if (readable && w.len) {
		FUZZ_HOLDS(!w.err);
		/* tags are dropped, and nothing else gets longer */
		FUZZ_HOLDS(w.len <= kbr_wire_reader_left(&body) - kbr_wire_reader_left(&r));
		kbr_wire_reader_init(&r, w.buf, w.len, body.flexible);
		FUZZ_HOLDS(!kbr_message_check(&r, fields, header.version));
		kbr_wire_writer_init(&again, SIZE_MAX, body.flexible);
		FUZZ_HOLDS(message_copy(&again, &r, fields, header.version));
		FUZZ_HOLDS(again.len == w.len && !memcmp(again.buf, w.buf, w.len));
		kbr_wire_writer_free(&again);
	}
	kbr_wire_writer_free(&w);
	return 0;
}
