// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes kmod/tests/codec_packed.h: real compressed data of every form, made by
 * the real libraries, for tests that can't call them (the kernel's).
 */
#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

/* Enough for two blocks where a form has blocks, yet short when compressed */
static const size_t packed_lens[UNIT_FORMS] = {
	[UNIT_GZIP] = 70000, [UNIT_GZIP_HEADER] = 5000, [UNIT_GZIP_STORED] = 500,
	[UNIT_SNAPPY] = 5000, [UNIT_SNAPPY_XERIAL] = 40000,
	[UNIT_LZ4] = 140000, [UNIT_LZ4_LINKED] = 140000, [UNIT_LZ4_BIG] = 70000,
	[UNIT_ZSTD] = 300000, [UNIT_ZSTD_STREAM] = 300000, [UNIT_ZSTD_FRAMES] = 5000,
};

static const char pattern[] = "In the beginning was the log, and the log was append-only.\n";

int main(void)
{
	size_t i, len, packed_len;
	u8 *plain, *packed;
	int form;

	printf("/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */\n"
	       "/*\n * Compressed by zlib, libsnappy, liblz4 and libzstd; written by\n"
	       " * \"make -C tests/unit packed\".\n */\n"
	       "#ifndef _KBR_TESTS_CODEC_PACKED_H\n#define _KBR_TESTS_CODEC_PACKED_H\n\n"
	       "#include <linux/types.h>\n\n#include \"codec/batch.h\"\n\n"
	       "/* Byte @i of what was compressed */\n"
	       "static inline u8 kbr_packed_plain(u32 i)\n{\n"
	       "\treturn \"%.*s\\n\"[(i + i / 509) %% %zu];\n}\n\n",
	       (int)sizeof(pattern) - 2, pattern, sizeof(pattern) - 1);
	for (form = 0; form < UNIT_FORMS; form++) {
		len = packed_lens[form];
		plain = malloc(len);
		for (i = 0; i < len; i++)
			plain[i] = pattern[(i + i / 509) % (sizeof(pattern) - 1)];
		packed = unit_pack(form, plain, len, &packed_len);
		printf("static const u8 kbr_packed_%d[] = {", form);
		for (i = 0; i < packed_len; i++)
			printf("%s0x%02x,", i % 16 ? " " : "\n\t", packed[i]);
		printf("\n};\n\n");
		free(packed);
		free(plain);
	}
	printf("struct kbr_packed {\n\tconst char *name;\n\tenum kbr_codec codec;\n"
	       "\tconst u8 *bytes;\n\tu32 len;\n\tu32 plain_len;\n};\n\n"
	       "static const struct kbr_packed kbr_packed[] = {\n");
	for (form = 0; form < UNIT_FORMS; form++)
		printf("\t{ \"%s\", %d, kbr_packed_%d, sizeof(kbr_packed_%d), %zu },\n",
		       unit_form_name(form), unit_form_codec(form), form, form, packed_lens[form]);
	printf("};\n\n#endif /* _KBR_TESTS_CODEC_PACKED_H */\n");
	return 0;
}
