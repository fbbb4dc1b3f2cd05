// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test module's own head: licence and namespaces. The suites register
 * themselves (kunit_test_suite() in each tests/<area>_kunit.c).
 */
#include <linux/module.h>

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit suites of kbroker");
MODULE_IMPORT_NS(KBROKER_KUNIT);
