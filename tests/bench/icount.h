/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Markers for the instruction counter (icount.c): a no-op with a number in it,
 * for user space and kernel alike. The counts at two markers bracket what ran
 * between them, on the whole machine.
 */
#ifndef KBROKER_ICOUNT_H
#define KBROKER_ICOUNT_H

/* icount_mark(ID): ID is a constant from 0 to 127 */
#define icount_mark(id) \
	__asm__ volatile(".byte 0x0f, 0x1f, 0x80, %c0, 0x00, 0x57, 0x7e" : : "i" (id) : "memory")

#endif
