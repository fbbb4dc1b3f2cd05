// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker log": rows of the command table; the work is in log_dump.c and log_check.c. */
#include "kbroker.h"
#include "logdir.h"

static const struct kb_opt dump_opts[] = {
	{ "records", 'r', NULL, "show the records of each batch" },
	{ "format", 'f', "FORMAT", "show nothing but the records, in consume's format" },
	{ "indexes", 'i', NULL, "show the entries of the indexes" },
	{ "offset", 'o', "N", "begin with the batch that holds this offset" },
	{ "count", 'c', "N", "stop after so many batches" },
	{ 0 }
};

static const struct kb_opt check_opts[] = {
	{ "strict", 0, NULL, "warnings are failures too" },
	{ 0 }
};

static const struct kb_opt compare_opts[] = {
	{ "prefix", 0, NULL, "A may hold fewer records at its end than B" },
	{ 0 }
};

const struct kb_cmd kb_cmds_log[] = {
	{ "dump", "FILE...", "show partition directories or single files of them", dump_opts,
	  kb_log_dump },
	{ "check", "DIR...", "verify partition directories, or all of a broker directory",
	  check_opts, kb_log_check },
	{ "compare", "DIR DIR", "compare the records of two partition directories (A B)",
	  compare_opts, kb_log_compare },
	{ 0 }
};
