/* SPDX-License-Identifier: GPL-2.0-only */
/* Sending pages without a copy, as the newest supported kernel does it. */
#ifndef _KBR_COMPAT_SOCKET_H
#define _KBR_COMPAT_SOCKET_H

#include <linux/bvec.h>
#include <linux/minmax.h>
#include <linux/net.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <linux/version.h>

/* kbr_send_pages() - bytes that the socket took, or -errno; it takes references of its own */
static inline int kbr_send_pages(struct socket *sock, struct bio_vec *vecs, unsigned int count,
				 size_t len, int flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	struct msghdr msg = { .msg_flags = flags | MSG_SPLICE_PAGES };

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, vecs, count, len);
	return sock_sendmsg(sock, &msg);
#else
	size_t done = 0, part, at;
	unsigned int i;
	int ret;

	/* One page a call. */
	for (i = 0; i < count; i++) {
		for (at = 0; at < vecs[i].bv_len; at += part) {
			size_t offset = vecs[i].bv_offset + at;

			part = min_t(size_t, vecs[i].bv_len - at, PAGE_SIZE - offset_in_page(offset));
			ret = kernel_sendpage(sock, vecs[i].bv_page + (offset >> PAGE_SHIFT),
					      offset_in_page(offset), part,
					      flags | (done + part < len ? MSG_MORE : 0));
			if (ret < 0)
				return done ?: ret;
			done += ret;
			if (ret < part)
				return done;
		}
	}
	return done;
#endif
}

#endif /* _KBR_COMPAT_SOCKET_H */
