/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libkbroker: compression. The broker never compresses, so that this is
 * not part of the codec.
 */
#ifndef _KB_LIB_PACK_H
#define _KB_LIB_PACK_H

#include <stddef.h>
#include <linux/types.h>

/* The state of one codec, kept from batch to batch */
struct kbl_packer;

/** kbl_packer_new() - 0; -EINVAL for an unknown codec or level; -ENOMEM */
int kbl_packer_new(struct kbl_packer **packer, int codec, int level);
void kbl_packer_free(struct kbl_packer *packer);

/** kbl_pack_bound() - room that @len bytes may need at most */
size_t kbl_pack_bound(const struct kbl_packer *packer, size_t len);

/**
 * kbl_pack() - compress @len bytes into @dst, of kbl_pack_bound(@len) bytes
 * Return: bytes written; -ENOMEM.
 */
ssize_t kbl_pack(struct kbl_packer *packer, const u8 *src, size_t len, u8 *dst);

/** kbl_snappy_bound() - room that one bare block of @len bytes may need */
size_t kbl_snappy_bound(size_t len);
/** struct kbl_snappy_table - where each hash was seen last in the current fragment */
struct kbl_snappy_table;
struct kbl_snappy_table *kbl_snappy_table_new(void);
/** kbl_snappy_encode() - one bare snappy block; returns bytes written */
size_t kbl_snappy_encode(struct kbl_snappy_table *table, const u8 *src, size_t len, u8 *dst);

#endif /* _KB_LIB_PACK_H */
