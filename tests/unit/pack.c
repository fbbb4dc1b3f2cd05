// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compressing with the real libraries, in every form that clients may write.
 */
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "unit.h"

static const struct {
	const char *name;
	enum kbr_codec codec;
} unit_forms[UNIT_FORMS] = {
	[UNIT_GZIP] = { "gzip", KBR_CODEC_GZIP },
	[UNIT_GZIP_HEADER] = { "gzip with all header fields", KBR_CODEC_GZIP },
	[UNIT_GZIP_STORED] = { "gzip, stored", KBR_CODEC_GZIP },
	[UNIT_SNAPPY] = { "snappy, bare", KBR_CODEC_SNAPPY },
	[UNIT_SNAPPY_XERIAL] = { "snappy, xerial", KBR_CODEC_SNAPPY },
	[UNIT_LZ4] = { "lz4", KBR_CODEC_LZ4 },
	[UNIT_LZ4_LINKED] = { "lz4, linked blocks, all checksums", KBR_CODEC_LZ4 },
	[UNIT_LZ4_BIG] = { "lz4, 4 MiB blocks", KBR_CODEC_LZ4 },
	[UNIT_ZSTD] = { "zstd", KBR_CODEC_ZSTD },
	[UNIT_ZSTD_STREAM] = { "zstd, stream", KBR_CODEC_ZSTD },
	[UNIT_ZSTD_FRAMES] = { "zstd, several frames", KBR_CODEC_ZSTD },
};

const char *unit_form_name(enum unit_form form)
{
	return unit_forms[form].name;
}

enum kbr_codec unit_form_codec(enum unit_form form)
{
	return unit_forms[form].codec;
}

static void unit_need(int ok, const char *what)
{
	if (ok)
		return;
	/* the libraries can't refuse; without them there is nothing to test */
	fprintf(stderr, "Bail out! %s failed\n", what);
	exit(99);
}

static u8 *unit_alloc(size_t size)
{
	u8 *mem = malloc(size ? size : 1);

	unit_need(!!mem, "malloc");
	return mem;
}

static u8 *unit_gzip(const u8 *plain, size_t len, int level, int fields, size_t *packed_len)
{
	gz_header header = {
		.extra = (Bytef *)"extra", .extra_len = 5, .name = (Bytef *)"name",
		.comment = (Bytef *)"comment", .hcrc = 1,
	};
	z_stream stream = { .next_in = (Bytef *)plain, .avail_in = len };
	u8 *out;

	unit_need(deflateInit2(&stream, level, Z_DEFLATED, MAX_WBITS + 16, 8,
			       Z_DEFAULT_STRATEGY) == Z_OK, "deflateInit2");
	if (fields)
		deflateSetHeader(&stream, &header);
	stream.avail_out = deflateBound(&stream, len) + 64;
	out = unit_alloc(stream.avail_out);
	stream.next_out = out;
	unit_need(deflate(&stream, Z_FINISH) == Z_STREAM_END, "deflate");
	*packed_len = stream.total_out;
	deflateEnd(&stream);
	return out;
}

static void unit_put_be32(u8 *p, size_t val)
{
	p[0] = val >> 24;
	p[1] = val >> 16;
	p[2] = val >> 8;
	p[3] = val;
}

static u8 *unit_snappy(const u8 *plain, size_t len, size_t *packed_len)
{
	u8 *out = unit_alloc(snappy_max_compressed_length(len));

	*packed_len = snappy_max_compressed_length(len);
	unit_need(snappy_compress((const char *)plain, len, (char *)out, packed_len) == SNAPPY_OK,
		  "snappy_compress");
	return out;
}

static u8 *unit_xerial(const u8 *plain, size_t len, size_t *packed_len)
{
	static const u8 magic[] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1 };
	const size_t chunk_max = 32768;
	size_t at = sizeof(magic), pos = 0;
	u8 *out = unit_alloc(sizeof(magic) + (len / chunk_max + 1) *
			     (4 + snappy_max_compressed_length(chunk_max)));

	memcpy(out, magic, sizeof(magic));
	while (pos < len) {
		size_t chunk = len - pos < chunk_max ? len - pos : chunk_max;
		size_t packed = snappy_max_compressed_length(chunk);

		unit_need(snappy_compress((const char *)plain + pos, chunk, (char *)out + at + 4,
					  &packed) == SNAPPY_OK, "snappy_compress");
		unit_put_be32(out + at, packed);
		at += 4 + packed;
		pos += chunk;
	}
	*packed_len = at;
	return out;
}

static u8 *unit_lz4(enum unit_form form, const u8 *plain, size_t len, size_t *packed_len)
{
	LZ4F_preferences_t prefs = { .frameInfo = { .blockSizeID = LZ4F_max64KB,
						    .blockMode = LZ4F_blockIndependent } };
	size_t size, packed;
	u8 *out;

	if (form == UNIT_LZ4_LINKED) {
		prefs.frameInfo.blockMode = LZ4F_blockLinked;
		prefs.frameInfo.blockChecksumFlag = LZ4F_blockChecksumEnabled;
		prefs.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
		prefs.frameInfo.contentSize = len;
	} else if (form == UNIT_LZ4_BIG) {
		prefs.frameInfo.blockSizeID = LZ4F_max4MB;
		prefs.compressionLevel = 9;
	}
	size = LZ4F_compressFrameBound(len, &prefs);
	out = unit_alloc(size);
	packed = LZ4F_compressFrame(out, size, plain, len, &prefs);
	unit_need(!LZ4F_isError(packed), "LZ4F_compressFrame");
	*packed_len = packed;
	return out;
}

static u8 *unit_zstd_stream(const u8 *plain, size_t len, size_t *packed_len)
{
	size_t size = ZSTD_compressBound(len) + 4096;
	u8 *out = unit_alloc(size);
	ZSTD_outBuffer output = { .dst = out, .size = size };
	ZSTD_inBuffer input = { .src = plain, .size = len / 2 };
	ZSTD_CStream *stream = ZSTD_createCStream();

	unit_need(!!stream, "ZSTD_createCStream");
	ZSTD_CCtx_setParameter(stream, ZSTD_c_checksumFlag, 1);
	unit_need(!ZSTD_compressStream2(stream, &output, &input, ZSTD_e_flush), "zstd flush");
	input.size = len;
	unit_need(!ZSTD_compressStream2(stream, &output, &input, ZSTD_e_end), "zstd end");
	ZSTD_freeCStream(stream);
	*packed_len = output.pos;
	return out;
}

static u8 *unit_zstd_frames(const u8 *plain, size_t len, size_t *packed_len)
{
	static const u8 skip[] = { 0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c' };
	size_t half = len / 2, size = 2 * ZSTD_compressBound(len) + sizeof(skip), at;
	u8 *out = unit_alloc(size);

	at = ZSTD_compress(out, size, plain, half, 1);
	unit_need(!ZSTD_isError(at), "ZSTD_compress");
	memcpy(out + at, skip, sizeof(skip));
	at += sizeof(skip);
	at += ZSTD_compress(out + at, size - at, plain + half, len - half, 5);
	*packed_len = at;
	return out;
}

u8 *unit_pack(enum unit_form form, const u8 *plain, size_t len, size_t *packed_len)
{
	u8 *out;

	switch (form) {
	case UNIT_GZIP:
		return unit_gzip(plain, len, Z_DEFAULT_COMPRESSION, 0, packed_len);
	case UNIT_GZIP_HEADER:
		return unit_gzip(plain, len, 9, 1, packed_len);
	case UNIT_GZIP_STORED:
		return unit_gzip(plain, len, 0, 0, packed_len);
	case UNIT_SNAPPY:
		return unit_snappy(plain, len, packed_len);
	case UNIT_SNAPPY_XERIAL:
		return unit_xerial(plain, len, packed_len);
	case UNIT_ZSTD_STREAM:
		return unit_zstd_stream(plain, len, packed_len);
	case UNIT_ZSTD_FRAMES:
		return unit_zstd_frames(plain, len, packed_len);
	case UNIT_ZSTD:
		out = unit_alloc(ZSTD_compressBound(len));
		*packed_len = ZSTD_compress(out, ZSTD_compressBound(len), plain, len, 3);
		unit_need(!ZSTD_isError(*packed_len), "ZSTD_compress");
		return out;
	default:
		return unit_lz4(form, plain, len, packed_len);
	}
}

u8 *unit_exact(const void *bytes, size_t len)
{
	u8 *copy = unit_alloc(len);

	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

u8 *unit_batch(u16 attributes, s32 count, const u8 *records, size_t len, size_t *size)
{
	const struct kbr_batch batch = {
		.size = KBR_BATCH_HEADER_LEN + len,
		.attributes = attributes,
		.last_offset_delta = count - 1,
		.base_timestamp = 1700000000000,
		.max_timestamp = 1700000000000,
		.producer_id = -1,
		.producer_epoch = -1,
		.base_sequence = -1,
		.records_count = count,
	};
	u8 *out = unit_alloc(batch.size);

	kbr_batch_encode_header(&batch, out);
	if (len)
		memcpy(out + KBR_BATCH_HEADER_LEN, records, len);
	kbr_batch_seal(out, batch.size);
	*size = batch.size;
	return out;
}
