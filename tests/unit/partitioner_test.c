// SPDX-License-Identifier: GPL-2.0-only
#include "tap.h"
const struct tap_case partitioner_cases[] = { { NULL, NULL } };
