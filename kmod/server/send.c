// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replies onto the socket: parts of a buffer, copied, and batches between them
 * straight from the page cache. What is not cached is read first, by the
 * connection's work, with no lock held. Which reply's turn it is, is conn.c's
 * business.
 */
#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/sock.h>

#include "kbr_socket.h"
#include "server/server.h"

/* Parts of pages given to the socket in one call */
#define KBR_SEND_PAGES		31
/* Bytes read into the cache, or copied, at a time */
#define KBR_SEND_PIECE		(256u << 10)

/* What the socket says of @len bytes. */
static int kbr_conn_sent(struct kbr_conn *conn, int ret)
{
	if (ret > 0) {
		WRITE_ONCE(conn->sent_bytes, conn->sent_bytes + ret);
		WRITE_ONCE(conn->active, jiffies);
	}
	return ret;
}

static int kbr_conn_send_bytes(struct kbr_conn *conn, const void *buf, size_t len, bool more)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0) };
	struct kvec vec = { .iov_base = (void *)buf, .iov_len = len };
	int ret = -ENOTCONN;

	mutex_lock(&conn->sock_lock);
	if (conn->sock)
		ret = kernel_sendmsg(conn->sock, &msg, &vec, 1, len);
	mutex_unlock(&conn->sock_lock);
	return kbr_conn_sent(conn, ret);
}

/* For files without a page cache: through a buffer. */
static int kbr_conn_send_copy(struct kbr_conn *conn, struct kbr_file *file, loff_t pos, size_t len,
			      bool more)
{
	size_t piece = min_t(size_t, len, KBR_SEND_PIECE);
	void *buf = kvmalloc(piece, GFP_KERNEL);
	ssize_t ret;

	if (!buf)
		return -ENOMEM;
	ret = kbr_file_read(file, buf, piece, pos);
	if (ret > 0)
		ret = kbr_conn_send_bytes(conn, buf, ret, more || ret < len);
	else if (!ret)
		ret = -EIO;
	kvfree(buf);
	return ret;
}

/* Bytes of a file: those at its beginning that are in the page cache. */
static int kbr_conn_send_file(struct kbr_conn *conn, struct kbr_file *file, loff_t pos, size_t len,
			      bool more)
{
	struct bio_vec vecs[KBR_SEND_PAGES];
	unsigned int i, count;
	size_t bytes = 0;
	ssize_t ret;

	count = kbr_file_get_pages(file, pos, len, vecs, ARRAY_SIZE(vecs));
	if (!count) {
		ret = kbr_file_fill_cache(file, pos, min_t(size_t, len, KBR_SEND_PIECE));
		if (ret < 0 && ret != -EOPNOTSUPP)
			return ret;
		count = kbr_file_get_pages(file, pos, len, vecs, ARRAY_SIZE(vecs));
	}
	if (!count)
		return kbr_conn_send_copy(conn, file, pos, len, more);
	for (i = 0; i < count; i++)
		bytes += vecs[i].bv_len;
	ret = -ENOTCONN;
	mutex_lock(&conn->sock_lock);
	if (conn->sock)
		ret = kbr_send_pages(conn->sock, vecs, count, bytes,
				     MSG_DONTWAIT | MSG_NOSIGNAL |
				     (more || bytes < len ? MSG_MORE : 0));
	mutex_unlock(&conn->sock_lock);
	kbr_file_put_pages(vecs, count);
	return kbr_conn_sent(conn, ret);
}

/* One call's worth of the reply. 0: there is nothing left of it. */
static int kbr_conn_send_some(struct kbr_conn *conn, struct kbr_request *req, bool more)
{
	const struct kbr_reply_slice *slice = NULL;
	size_t until = req->reply.len;
	bool last;
	int ret;

	if (conn->slice < req->slices_count) {
		slice = &req->slices[conn->slice];
		until = slice->at;
	}
	if (conn->sent < until) {
		ret = kbr_conn_send_bytes(conn, req->reply.buf + conn->sent, until - conn->sent,
					  more || slice);
		if (ret > 0)
			conn->sent += ret;
		return ret;
	}
	if (!slice)
		return 0;
	last = conn->slice + 1 == req->slices_count && slice->at == req->reply.len;
	ret = kbr_conn_send_file(conn, slice->slice.file, slice->slice.pos + conn->slice_sent,
				 slice->slice.len - conn->slice_sent, more || !last);
	if (ret <= 0)
		return ret;
	conn->slice_sent += ret;
	if (conn->slice_sent == slice->slice.len) {
		conn->slice++;
		conn->slice_sent = 0;
	}
	return ret;
}

int kbr_conn_send_reply(struct kbr_conn *conn, struct kbr_request *req, bool more)
{
	int ret;

	do {
		ret = kbr_conn_send_some(conn, req, more);
		cond_resched();
	} while (ret > 0);
	return ret;
}
