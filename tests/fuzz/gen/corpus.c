// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the corpora that the fuzzers start from: the batches of other clients
 * and the compressed data of every form. Argument: the directory.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/batch.h"
#include "tests/codec_packed.h"
#include "tests/codec_vectors.h"

static int status;

static void save(const char *top, const char *target, int number, int first, const u8 *bytes, size_t len)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", top, target);
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/%03d", top, target, number);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		status = 1;
		return;
	}
	if (first >= 0)
		fputc(first, file);
	if (fwrite(bytes, 1, len, file) != len || fclose(file))
		status = 1;
}

int main(int argc, char **argv)
{
	static u8 buf[1 << 16];
	size_t i, len;
	int number = 0;

	if (argc != 2)
		return 2;
	mkdir(argv[1], 0777);
	for (i = 0; i < sizeof(kbr_vectors) / sizeof(kbr_vectors[0]); i++, number++) {
		len = kbr_vector_bytes(kbr_vectors[i].batch, buf, sizeof(buf));
		save(argv[1], "header", number, -1, buf, len);
		save(argv[1], "records", number, -1, buf, len);
		save(argv[1], "validate", number, 0x80, buf, len);
		save(argv[1], "reader", number, 1, buf, len);
		save(argv[1], "unpack", number, 0xe0 | kbr_vectors[i].attributes % 8,
		     buf + KBR_BATCH_HEADER_LEN, len - KBR_BATCH_HEADER_LEN);
	}
	for (i = 0; i < sizeof(kbr_packed) / sizeof(kbr_packed[0]); i++, number++)
		if (kbr_packed[i].len < 4096)
			save(argv[1], "unpack", number, 0xf0 | kbr_packed[i].codec,
			     kbr_packed[i].bytes, kbr_packed[i].len);
	return status;
}
