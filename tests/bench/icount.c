// SPDX-License-Identifier: GPL-2.0-only
/*
 * A QEMU plugin that counts executed instructions of user space, the kernel
 * and its modules, and reports the counts whenever the guest executes a marker
 * (icount.h). Emulated time means nothing; instructions repeat exactly.
 *
 * Use: tests/vm/run --smp 1 --plugin build/bench/icount.so,out=FILE ...
 * (one processor: the counters are not atomic). FILE gets a line per marker:
 * "ID USER KERNEL MODULES", counted since the machine started.
 *
 * Debian does not package QEMU's plugin header, so that the few prototypes
 * needed (interface version 1, QEMU 6 to 8) are declared here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;

typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*insn_cb)(unsigned int vcpu, void *data);

enum { INLINE_ADD_U64 = 0 };
enum { CB_NO_REGS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t n);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *counter, uint64_t add);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, insn_cb cb, int flags, void *data);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv);

enum where { USER, KERNEL, MODULES, WHERES };

static uint64_t counter[WHERES];
static FILE *out;

/* Where x86-64 has its module area; the kernel's text is below, user space far below. */
#define MODULES_START	0xffffffffc0000000ull
#define KERNEL_START	0x8000000000000000ull

static enum where where_is(uint64_t address)
{
	if (address >= MODULES_START)
		return MODULES;
	return address >= KERNEL_START ? KERNEL : USER;
}

static void marker_hit(unsigned int vcpu, void *data)
{
	(void)vcpu;
	fprintf(out, "%u %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", (unsigned int)(uintptr_t)data,
		counter[USER], counter[KERNEL], counter[MODULES]);
}

/* nopl 0x7e5700ID(%rax): does nothing on any processor, and no compiler writes it. */
static bool is_marker(const struct qemu_plugin_insn *insn, unsigned int *id)
{
	const uint8_t *b = qemu_plugin_insn_data(insn);

	if (qemu_plugin_insn_size(insn) != 7 || b[0] != 0x0f || b[1] != 0x1f || b[2] != 0x80 ||
	    b[4] != 0x00 || b[5] != 0x57 || b[6] != 0x7e)
		return false;
	*id = b[3];
	return true;
}

static void translated(qemu_plugin_id_t plugin, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), i;

	(void)plugin;
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		unsigned int id;

		qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64,
							   &counter[where_is(qemu_plugin_insn_vaddr(insn))], 1);
		if (is_marker(insn, &id))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marker_hit, CB_NO_REGS, (void *)(uintptr_t)id);
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	const char *path = NULL;
	int i;

	(void)info;
	for (i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			path = argv[i] + 4;
	if (!path) {
		fprintf(stderr, "icount: out=FILE is missing\n");
		return -1;
	}
	out = fopen(path, "w");
	if (!out) {
		perror(path);
		return -1;
	}
	/* whole lines, even if the machine is killed */
	setvbuf(out, NULL, _IOLBF, 4096);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
