// SPDX-License-Identifier: GPL-2.0-only
/*
 * libkbroker's reader over what a device may give: batches back to back. The
 * checksums of half of the inputs are put right first.
 */
#include <errno.h>
#include <string.h>

#include <kbroker/batch.h>

#include "codec/batch.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kbroker_message_header header;
	struct kbroker_message message = KBROKER_MESSAGE_INIT;
	struct kbroker_reader *reader;
	struct kbr_batch batch;
	int64_t last = -1;
	size_t at = 0;
	u8 *buf;
	int ret;

	if (size < 1 || kbroker_reader_new(&reader))
		return 0;
	size--;
	buf = malloc(size ? size : 1);
	memcpy(buf, data + 1, size);
	while (data[0] & 1 && !kbr_batch_decode(&batch, buf + at, size - at) &&
	       batch.size <= size - at) {
		kbr_batch_seal(buf + at, batch.size);
		at += batch.size;
	}
	kbroker_reader_set(reader, buf, size, data[0] >> 4);
	while ((ret = kbroker_reader_next(reader, &message)) == 1) {
		size_t pos = 0;

		FUZZ_HOLDS(message.offset >= data[0] >> 4);
		last = message.offset;
		while (kbroker_header_next(&message, &pos, &header) == 1)
			FUZZ_HOLDS(header.key);
		FUZZ_HOLDS(kbroker_reader_position(reader) == last + 1);
	}
	FUZZ_HOLDS(!ret || ret == -EBADMSG || ret == -EFBIG || ret == -EOPNOTSUPP);
	FUZZ_HOLDS(kbroker_reader_next(reader, &message) == ret);
	kbroker_reader_free(reader);
	free(buf);
	return 0;
}
