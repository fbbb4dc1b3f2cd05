/* SPDX-License-Identifier: GPL-2.0-only */
/* The options of a producer that "produce" and "bench produce" share. */
#ifndef KBROKER_TOOL_PRODUCER_OPTS_H
#define KBROKER_TOOL_PRODUCER_OPTS_H

#include <kbroker/kbroker.h>

#define KB_PRODUCER_OPTS \
	{ "partitioner", 0, "murmur2|crc32|sticky|round-robin", \
	  "how partitions are chosen (default: murmur2, by the key as Java does)" }, \
	{ "compression", 'z', "none|gzip|snappy|lz4|zstd", "compress batches (default: none)" }, \
	{ "level", 0, "N", "level of the compression" }, \
	{ "acks", 0, "all|1|0|-1", "all: safe on disk (default); 1, 0: appended" }, \
	{ "linger-ms", 0, "MS", "how long a record may wait for others (default: 5)" }, \
	{ "batch-size", 0, "BYTES", "size of a full batch (default: 256k)" }

/* KB_OK or KB_USAGE (told) */
int kb_producer_config(struct kbroker_producer_config *conf);

#endif /* KBROKER_TOOL_PRODUCER_OPTS_H */
