// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The kernel's half of the seam in unpack.h: its own decompressors and
 * checksums. User space has another file in this one's place.
 *
 * Workspaces are allocated per call and charged to the caller, so that nothing
 * stays behind for partitions that see no compressed batch.
 */
#include <linux/crc32.h>
#include <linux/errno.h>
#include <linux/lz4.h>
#include <linux/slab.h>
#include <linux/types.h>
#include <linux/xxhash.h>
#include <linux/zlib.h>
#include <linux/zstd.h>

#include "codec/unpack.h"

int kbr_lib_inflate(const u8 *src, size_t src_len, u8 *dst, size_t dst_len)
{
	struct z_stream_s stream = {
		.next_in = src,
		.avail_in = src_len,
		.next_out = dst,
		.avail_out = dst_len,
	};
	int ret;

	stream.workspace = kvmalloc(zlib_inflate_workspacesize(), GFP_KERNEL_ACCOUNT);
	if (!stream.workspace)
		return -ENOMEM;
	/* a negative window size means raw deflate */
	ret = zlib_inflateInit2(&stream, -MAX_WBITS);
	if (ret == Z_OK)
		ret = zlib_inflate(&stream, Z_FINISH);
	kvfree(stream.workspace);
	return ret == Z_STREAM_END && !stream.avail_in && !stream.avail_out ? 0 : -EBADMSG;
}

ssize_t kbr_lib_zstd(const u8 *src, size_t src_len, u8 *dst, size_t dst_size)
{
	size_t size = zstd_dctx_workspace_bound();
	void *workspace = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	zstd_dctx *dctx;
	size_t ret;

	if (!workspace)
		return -ENOMEM;
	dctx = zstd_init_dctx(workspace, size);
	if (!dctx) {
		kvfree(workspace);
		return -ENOMEM;
	}
	ret = zstd_decompress_dctx(dctx, dst, dst_size, src, src_len);
	kvfree(workspace);
	if (!zstd_is_error(ret))
		return ret;
	return zstd_get_error_code(ret) == ZSTD_error_dstSize_tooSmall ? -EFBIG : -EBADMSG;
}

ssize_t kbr_lib_lz4(const u8 *src, size_t src_len, u8 *dst, size_t dst_size, size_t history)
{
	int ret;

	ret = LZ4_decompress_safe_usingDict(src, dst, src_len, dst_size, dst - history, history);
	return ret < 0 ? -EBADMSG : ret;
}

u32 kbr_lib_crc32(const u8 *data, size_t len)
{
	return ~crc32_le(~0, data, len);
}

u32 kbr_lib_xxh32(const u8 *data, size_t len)
{
	return xxh32(data, len, 0);
}
