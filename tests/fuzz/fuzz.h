/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzz targets share.
 */
#ifndef _KBR_FUZZ_FUZZ_H
#define _KBR_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <linux/types.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input was: the fuzzer keeps the input that breaks it */
#define FUZZ_HOLDS(cond) \
	do { \
		if (!(cond)) \
			abort(); \
	} while (0)

#endif /* _KBR_FUZZ_FUZZ_H */
