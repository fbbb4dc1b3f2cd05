// SPDX-License-Identifier: GPL-2.0-only
/* The options of a producer; see producer_opts.h. */
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "producer_opts.h"

/**
 * kb_producer_config() - what the options say
 * @conf: defaults; changed where options were given
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_producer_config(struct kbroker_producer_config *conf)
{
	const char *acks = kb_opt_get("acks"), *codec = kb_opt_get("compression");
	const char *partitioner = kb_opt_get("partitioner");
	int64_t level = conf->level, linger = conf->linger_ms, batch = (int64_t)conf->batch_bytes;
	int ret;

	if (acks)
		conf->acks = strcmp(acks, "all") ? atoi(acks) : -1;
	if (codec)
		conf->codec = kbroker_codec_find(codec);
	if (partitioner)
		conf->partitioner = kbroker_partitioner_find(partitioner);
	if (kb_opt_has("level") && (!conf->codec || conf->codec == KBROKER_CODEC_SNAPPY))
		return kb_usage("--level: there is none without gzip, lz4 or zstd (--compression)");
	ret = kb_opt_s64("level", -100, 100, &level);
	if (ret == KB_OK)
		ret = kb_opt_s64("linger-ms", 0, 3600000, &linger);
	if (ret == KB_OK)
		ret = kb_opt_size("batch-size", 1, 100 << 20, &batch);
	conf->level = (int)level;
	conf->linger_ms = (int)linger;
	conf->batch_bytes = (size_t)batch < 256 ? 256 : (size_t)batch;
	return ret;
}
