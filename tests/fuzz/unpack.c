// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each decompressor over arbitrary bytes. The first byte chooses the codec and
 * how much may come out.
 */
#include <errno.h>
#include <string.h>

#include "codec/batch.h"
#include "codec/compress.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kbr_batch batch = { .attributes = 0 };
	size_t max, i;
	struct kbr_unpacked u;
	unsigned int sum = 0;
	u8 *buf;
	int ret;

	if (size < 1)
		return 0;
	batch.attributes = data[0] & KBR_BATCH_CODEC_MASK;
	max = 16u << (data[0] >> 4);
	size--;
	batch.size = KBR_BATCH_HEADER_LEN + size;
	buf = calloc(1, batch.size);
	memcpy(buf + KBR_BATCH_HEADER_LEN, data + 1, size);
	ret = kbr_unpack(&batch, buf, max, &u);
	FUZZ_HOLDS(!ret || ret == -EBADMSG || ret == -EFBIG || ret == -EOPNOTSUPP);
	if (!ret) {
		/* every byte was written and may be read */
		FUZZ_HOLDS(u.len <= max || !u.owned);
		for (i = 0; i < u.len; i++)
			sum += u.data[i];
		FUZZ_HOLDS(sum <= 255 * u.len);
		kbr_unpacked_release(&u);
	}
	free(buf);
	return 0;
}
