// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Compression by zlib, liblz4 and libzstd, in the containers that Kafka's
 * clients read: a gzip member, a bare snappy block, an LZ4 frame, a Zstandard
 * frame.
 */
#include <errno.h>
#include <limits.h>
#include <lz4frame.h>
#include <lz4hc.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include <kbroker/batch.h>

#include "pack.h"

/**
 * struct kbl_packer - one codec's state; the member that belongs to @codec is used
 * @codec: enum kbroker_codec
 * @level: its level
 * @gzip: zlib's state, reset for each batch
 * @zstd: libzstd's
 * @snappy: table of the encoder
 */
struct kbl_packer {
	int codec;
	int level;
	z_stream gzip;
	ZSTD_CCtx *zstd;
	struct kbl_snappy_table *snappy;
};

/* the level, or @otherwise if none was asked for; -1 in *err if it is impossible */
static int kbl_level(int level, int least, int most, int otherwise, int *err)
{
	if (level == KBROKER_LEVEL_DEFAULT)
		return otherwise;
	if (level < least || level > most)
		*err = -EINVAL;
	return level;
}

static int kbl_packer_init(struct kbl_packer *packer, int level)
{
	int err = 0;

	switch (packer->codec) {
	case KBROKER_CODEC_GZIP:
		packer->level = kbl_level(level, 0, 9, Z_DEFAULT_COMPRESSION, &err);
		if (err)
			return err;
		/* 16 more than the window's bits: gzip's header and trailer */
		if (deflateInit2(&packer->gzip, packer->level, Z_DEFLATED, MAX_WBITS + 16, 8,
				 Z_DEFAULT_STRATEGY) != Z_OK)
			return -ENOMEM;
		return 0;
	case KBROKER_CODEC_SNAPPY:
		if (level != KBROKER_LEVEL_DEFAULT)
			return -EINVAL;
		packer->snappy = kbl_snappy_table_new();
		return packer->snappy ? 0 : -ENOMEM;
	case KBROKER_CODEC_LZ4:
		packer->level = kbl_level(level, 0, LZ4HC_CLEVEL_MAX, 0, &err);
		return err;
	case KBROKER_CODEC_ZSTD:
		packer->level = kbl_level(level, ZSTD_minCLevel(), ZSTD_maxCLevel(),
					  ZSTD_CLEVEL_DEFAULT, &err);
		if (err)
			return err;
		packer->zstd = ZSTD_createCCtx();
		return packer->zstd ? 0 : -ENOMEM;
	default:
		return -EINVAL;
	}
}

int kbl_packer_new(struct kbl_packer **packer, int codec, int level)
{
	struct kbl_packer *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->codec = codec;
	err = kbl_packer_init(p, level);
	if (err) {
		free(p);
		return err;
	}
	*packer = p;
	return 0;
}

void kbl_packer_free(struct kbl_packer *packer)
{
	if (!packer)
		return;
	if (packer->codec == KBROKER_CODEC_GZIP)
		deflateEnd(&packer->gzip);
	ZSTD_freeCCtx(packer->zstd);
	free(packer->snappy);
	free(packer);
}

static void kbl_lz4_preferences(const struct kbl_packer *packer, LZ4F_preferences_t *prefs)
{
	*prefs = (LZ4F_preferences_t){
		.frameInfo = {
			.blockSizeID = LZ4F_max64KB,
			.blockMode = LZ4F_blockIndependent,
		},
		.compressionLevel = packer->level,
	};
}

size_t kbl_pack_bound(const struct kbl_packer *packer, size_t len)
{
	LZ4F_preferences_t prefs;

	switch (packer->codec) {
	case KBROKER_CODEC_GZIP:
		/* as zlib's manual gives it for any settings, and the wrapper */
		return len + (len >> 5) + (len >> 7) + (len >> 11) + 7 + 18;
	case KBROKER_CODEC_SNAPPY:
		return kbl_snappy_bound(len);
	case KBROKER_CODEC_LZ4:
		kbl_lz4_preferences(packer, &prefs);
		return LZ4F_compressFrameBound(len, &prefs);
	default:
		return ZSTD_compressBound(len);
	}
}

static ssize_t kbl_pack_gzip(struct kbl_packer *packer, const u8 *src, size_t len, u8 *dst)
{
	z_stream *stream = &packer->gzip;

	if (deflateReset(stream) != Z_OK)
		return -ENOMEM;
	stream->next_in = (Bytef *)src;
	stream->avail_in = len;
	stream->next_out = dst;
	stream->avail_out = kbl_pack_bound(packer, len);
	if (deflate(stream, Z_FINISH) != Z_STREAM_END)
		return -ENOMEM;
	return stream->total_out;
}

ssize_t kbl_pack(struct kbl_packer *packer, const u8 *src, size_t len, u8 *dst)
{
	LZ4F_preferences_t prefs;
	size_t size = kbl_pack_bound(packer, len), ret;

	switch (packer->codec) {
	case KBROKER_CODEC_GZIP:
		return kbl_pack_gzip(packer, src, len, dst);
	case KBROKER_CODEC_SNAPPY:
		return kbl_snappy_encode(packer->snappy, src, len, dst);
	case KBROKER_CODEC_LZ4:
		kbl_lz4_preferences(packer, &prefs);
		ret = LZ4F_compressFrame(dst, size, src, len, &prefs);
		return LZ4F_isError(ret) ? -ENOMEM : (ssize_t)ret;
	default:
		ret = ZSTD_compressCCtx(packer->zstd, dst, size, src, len, packer->level);
		return ZSTD_isError(ret) ? -ENOMEM : (ssize_t)ret;
	}
}
