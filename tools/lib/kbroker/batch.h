/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkbroker: record batches (Kafka's message format v2), built and read in
 * memory. The producer and the consumer stand on these; programs that move
 * batches themselves use them directly.
 */
#ifndef _KBROKER_BATCH_H
#define _KBROKER_BATCH_H

#include <kbroker/message.h>

#ifdef __cplusplus
extern "C" {
#endif

/** enum kbroker_codec - how a batch is compressed (Kafka's codec ids) */
enum kbroker_codec {
	KBROKER_CODEC_NONE = 0,
	KBROKER_CODEC_GZIP = 1,
	KBROKER_CODEC_SNAPPY = 2,
	KBROKER_CODEC_LZ4 = 3,
	KBROKER_CODEC_ZSTD = 4,
};

/** KBROKER_LEVEL_DEFAULT - the compression library's own choice of level */
#define KBROKER_LEVEL_DEFAULT	INT32_MIN

/** kbroker_codec_find() - codec of Kafka's name ("none", "gzip", "snappy", "lz4", "zstd"); -EINVAL */
int kbroker_codec_find(const char *name);
/** kbroker_codec_name() - Kafka's name of @codec; NULL if there is none */
const char *kbroker_codec_name(int codec);

/** struct kbroker_batch - a batch being built */
struct kbroker_batch;

/**
 * kbroker_batch_new() - an empty batch
 * @batch: result
 * @size: most bytes of the finished batch, header included, before compression
 *	(62 .. 100 MiB)
 * @codec: enum kbroker_codec
 * @level: the library's compression level, or KBROKER_LEVEL_DEFAULT
 *
 * Return: 0; -EINVAL; -ENOMEM.
 */
int kbroker_batch_new(struct kbroker_batch **batch, size_t size, int codec, int level);
/** kbroker_batch_free() - NULL is allowed */
void kbroker_batch_free(struct kbroker_batch *batch);
/** kbroker_batch_reset() - make it empty again, keeping its memory */
void kbroker_batch_reset(struct kbroker_batch *batch);

/**
 * kbroker_batch_add() - append one record, which is copied
 * @batch: the batch
 * @message: the record; partition, offset and leader epoch are ignored
 *
 * Return: 0; -ENOSPC if it does not fit (finish the batch, add to the next);
 * -EMSGSIZE if it does not fit an empty batch either; -EINVAL for lengths
 * beyond the format's.
 */
int kbroker_batch_add(struct kbroker_batch *batch, const struct kbroker_message *message);

/** kbroker_batch_count() - records in it */
uint32_t kbroker_batch_count(const struct kbroker_batch *batch);
/** kbroker_batch_length() - bytes it would take now, before compression */
size_t kbroker_batch_length(const struct kbroker_batch *batch);

/**
 * kbroker_batch_finish() - compress, write the header and the checksum
 * @batch: a batch with at least one record; reset it before it is used again
 * @data: result: the batch, owned by @batch and valid until it is reset or freed
 * @len: result: its bytes
 *
 * A batch that compression would enlarge stays uncompressed.
 *
 * Return: 0; -EINVAL if it is empty; -ENOMEM.
 */
int kbroker_batch_finish(struct kbroker_batch *batch, const void **data, size_t *len);

/** struct kbroker_reader - walks the records of batches in memory */
struct kbroker_reader;

/** kbroker_reader_new() - a reader over nothing; -ENOMEM */
int kbroker_reader_new(struct kbroker_reader **reader);
/** kbroker_reader_free() - NULL is allowed */
void kbroker_reader_free(struct kbroker_reader *reader);

/**
 * kbroker_reader_set() - read the batches at @data from the record @offset on
 * @reader: the reader
 * @data: batches back to back; must stay until the walk ends
 * @len: bytes of @data
 * @offset: records below it are passed over; 0 for all
 */
void kbroker_reader_set(struct kbroker_reader *reader, const void *data, size_t len, int64_t offset);

/**
 * kbroker_reader_next() - the next record
 * @reader: the reader
 * @message: result, valid until the next call; its partition is left alone
 *
 * Checksums are verified, all codecs are understood, control batches passed over.
 *
 * Return: 1; 0 at the end; -EBADMSG if a batch is damaged or cut (and so again
 * at each call); -EFBIG if one expands beyond 32 MiB; -EOPNOTSUPP for an
 * unknown codec; -ENOMEM.
 */
int kbroker_reader_next(struct kbroker_reader *reader, struct kbroker_message *message);

/** kbroker_reader_position() - offset after the last record or batch that was passed */
int64_t kbroker_reader_position(const struct kbroker_reader *reader);

#ifdef __cplusplus
}
#endif

#endif /* _KBROKER_BATCH_H */
