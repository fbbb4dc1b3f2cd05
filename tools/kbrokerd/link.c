// SPDX-License-Identifier: GPL-2.0-only
/* Proved connections between daemons; see link.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "codec/proof.h"
#include "link.h"

/* The client's second message before its address: mac, purpose, length */
#define FINISH_SIZE	(KBR_PROOF_MAC_SIZE + 2)
#define BUF_SIZE	256

/**
 * struct kbd_link - a connection that is being proved
 * @tcp: malloc()ed; NULL once it is somebody else's
 * @timer: for KBD_LINK_MS
 * @connecting: the client's request
 * @writing: each side writes twice
 * @sent: how many times it has
 * @writes: how many of them are under way
 * @proved: only they are awaited
 * @self: who this daemon is
 * @purpose: the client's, for the client
 * @proof: what was said
 * @mac: that the other side must show
 * @peer: the other side
 * @step: reads what comes next once it is whole; 0, or a negative errno
 * @have: bytes of @in
 * @need: as many are awaited
 * @in: what is being read
 * @out: what is written by each
 * @done: to be called at the end; NULL: it was
 * @arg: its argument
 */
struct kbd_link {
	uv_tcp_t *tcp;
	uv_timer_t timer;
	uv_connect_t connecting;
	uv_write_t writing[2];
	unsigned int sent;
	unsigned int writes;
	bool proved;
	const struct kbd_identity *self;
	enum kbd_purpose purpose;
	struct kbr_proof proof;
	u8 mac[KBR_PROOF_MAC_SIZE];
	struct kbd_proved peer;
	int (*step)(struct kbd_link *link);
	size_t have;
	size_t need;
	u8 in[BUF_SIZE];
	u8 out[2][BUF_SIZE];
	kbd_link_done done;
	void *arg;
};

_Static_assert(FINISH_SIZE + KBD_DAEMON_ADDRESS_MAX <= BUF_SIZE, "a client's finish fits");
_Static_assert(KBR_PROOF_HELLO_SIZE <= BUF_SIZE && KBR_PROOF_ANSWER_SIZE <= BUF_SIZE,
	       "hello and answer fit");

static int hmac(const void *key, size_t key_len, const void *data, size_t len, u8 mac[32])
{
	unsigned int size = 32;

	return HMAC(EVP_sha256(), key, key_len, data, len, mac, &size) && size == 32 ? 0 : -EIO;
}

int kbd_link_key(const void *secret, size_t len, u8 key[32])
{
	static const char label[] = "kbrokerd";

	return hmac(secret, len, label, sizeof(label) - 1, key);
}

int kbd_address(const char *text, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	char host[KBD_DAEMON_ADDRESS_MAX + 1];
	const char *colon = strrchr(text, ':');
	unsigned long port;
	char *end;
	size_t len;

	memset(address, 0, sizeof(*address));
	if (!colon || (size_t)(colon - text) >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	port = strtoul(colon + 1, &end, 10);
	if (*end || !port || port > 65535)
		return -EINVAL;
	len = colon - text;
	memcpy(host, text, len);
	host[len] = '\0';
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -EINVAL;
}

/* ---- the end ---- */

static void timer_closed(uv_handle_t *timer)
{
	struct kbd_link *link = timer->data;

	free(link);
}

/* A write that was under way ends before its socket is closed. */
static void tcp_closed(uv_handle_t *tcp)
{
	struct kbd_link *link = tcp->data;

	free(tcp);
	uv_close((uv_handle_t *)&link->timer, timer_closed);
}

static void end(struct kbd_link *link, int status)
{
	kbd_link_done done = link->done;
	uv_tcp_t *tcp = link->tcp;

	if (!done)
		return;
	link->done = NULL;
	uv_timer_stop(&link->timer);
	uv_read_stop((uv_stream_t *)tcp);
	if (status) {
		done(link->arg, NULL, NULL, status);
		uv_close((uv_handle_t *)tcp, tcp_closed);
		return;
	}
	link->tcp = NULL;
	done(link->arg, tcp, &link->peer, 0);
	uv_close((uv_handle_t *)&link->timer, timer_closed);
}

void kbd_link_cancel(struct kbd_link *link)
{
	end(link, -ECANCELED);
}

static void too_late(uv_timer_t *timer)
{
	end(timer->data, -ETIMEDOUT);
}

/* ---- reading and writing ---- */

static void alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	struct kbd_link *link = handle->data;

	(void)size;
	*buf = uv_buf_init((char *)link->in + link->have, link->need - link->have);
}

static void got(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct kbd_link *link = stream->data;
	int err;

	(void)buf;
	if (len < 0) {
		/* It hangs up on who has another secret. */
		end(link, len == UV_EOF ? -EACCES : (int)len);
		return;
	}
	link->have += len;
	if (link->have < link->need)
		return;
	uv_read_stop(stream);
	err = link->step(link);
	if (err)
		end(link, err);
}

static int expect(struct kbd_link *link, size_t need, int (*step)(struct kbd_link *link))
{
	link->need = need;
	link->step = step;
	return uv_read_start((uv_stream_t *)link->tcp, alloc, got);
}

/* The library's own part ends with the last write, which may be told after what was read. */
static void proved(struct kbd_link *link)
{
	link->proved = true;
	if (!link->writes)
		end(link, 0);
}

static void wrote(uv_write_t *request, int status)
{
	struct kbd_link *link = request->data;

	link->writes--;
	if (status)
		end(link, status);
	else if (link->proved)
		proved(link);
}

/* The next of @out */
static int send_out(struct kbd_link *link, size_t len)
{
	uv_write_t *request = &link->writing[link->sent];
	uv_buf_t buf = uv_buf_init((char *)link->out[link->sent++], len);
	int err;

	request->data = link;
	err = uv_write(request, (uv_stream_t *)link->tcp, &buf, 1, wrote);
	if (!err)
		link->writes++;
	return err;
}

static int make_mac(const struct kbd_link *link, bool server, u8 mac[32])
{
	u8 transcript[KBR_PROOF_TRANSCRIPT_SIZE];

	kbr_proof_transcript(&link->proof, server, transcript);
	return hmac(link->self->key, sizeof(link->self->key), transcript, sizeof(transcript), mac);
}

static int introduce(const struct kbd_link *link, struct kbr_proof_side *side)
{
	side->id = link->self->id;
	side->epoch = -1;
	return RAND_bytes(side->nonce, sizeof(side->nonce)) == 1 ? 0 : -EIO;
}

/* ---- the client ---- */

static int client_welcome(struct kbd_link *link)
{
	if (link->in[0])
		return -EPROTO;
	proved(link);
	return 0;
}

static int client_answer(struct kbd_link *link)
{
	size_t len = strlen(link->self->address);
	u8 claimed[KBR_PROOF_MAC_SIZE], mac[KBR_PROOF_MAC_SIZE];
	u8 *out = link->out[1];
	int err;

	err = kbr_proof_get_answer(&link->proof, link->in, link->have, claimed) ?:
	      make_mac(link, true, mac);
	if (err)
		return err;
	if (!kbr_proof_mac_equal(mac, claimed))
		return -EACCES;
	link->peer.id = link->proof.server.id;
	err = make_mac(link, false, out);
	if (err)
		return err;
	out[KBR_PROOF_MAC_SIZE] = link->purpose;
	out[KBR_PROOF_MAC_SIZE + 1] = len;
	memcpy(out + FINISH_SIZE, link->self->address, len);
	link->have = 0;
	return send_out(link, FINISH_SIZE + len) ?: expect(link, 1, client_welcome);
}

static void connected(uv_connect_t *request, int status)
{
	struct kbd_link *link = request->data;

	memcpy(link->proof.cluster, link->self->cluster, sizeof(link->proof.cluster));
	if (!status)
		status = introduce(link, &link->proof.client);
	if (!status) {
		kbr_proof_put_hello(&link->proof, link->out[0]);
		status = send_out(link, KBR_PROOF_HELLO_SIZE);
	}
	if (!status)
		status = expect(link, KBR_PROOF_ANSWER_SIZE, client_answer);
	if (status)
		end(link, status);
}

/* ---- the server ---- */

static int server_address(struct kbd_link *link)
{
	size_t len = link->need - FINISH_SIZE;

	memcpy(link->peer.address, link->in + FINISH_SIZE, len);
	link->peer.address[len] = '\0';
	if (strlen(link->peer.address) != len)
		return -EPROTO;
	link->peer.purpose = link->in[KBR_PROOF_MAC_SIZE];
	if (link->peer.purpose != KBD_FOR_REQUESTS && link->peer.purpose != KBD_FOR_RAFT)
		return -EPROTO;
	link->out[1][0] = 0;
	link->proved = true;
	return send_out(link, 1);
}

static int server_finish(struct kbd_link *link)
{
	size_t len = link->in[KBR_PROOF_MAC_SIZE + 1];

	if (!kbr_proof_mac_equal(link->mac, link->in))
		return -EACCES;
	if (len > KBD_DAEMON_ADDRESS_MAX)
		return -EPROTO;
	link->peer.id = link->proof.client.id;
	if (!len)
		return server_address(link);
	return expect(link, FINISH_SIZE + len, server_address);
}

static int server_hello(struct kbd_link *link)
{
	u8 mac[KBR_PROOF_MAC_SIZE];
	int err;

	err = kbr_proof_get_hello(&link->proof, link->in, link->have);
	if (err)
		return err;
	if (memcmp(link->proof.cluster, link->self->cluster, sizeof(link->proof.cluster)))
		return -EACCES;
	err = introduce(link, &link->proof.server) ?: make_mac(link, true, mac) ?:
	      make_mac(link, false, link->mac);
	if (err)
		return err;
	kbr_proof_put_answer(&link->proof, mac, link->out[0]);
	link->have = 0;
	return send_out(link, KBR_PROOF_ANSWER_SIZE) ?: expect(link, FINISH_SIZE, server_finish);
}

/* ---- the beginning ---- */

/*
 * What a cut link swallowed is sent again after twice the time of the cut, and who
 * only listens never learns that the other side is gone: a connection on which
 * nothing is acknowledged for a while ends, and another one is made.
 */
static int set_options(uv_tcp_t *tcp)
{
	const int on = 1, probe_s = 1, silence_ms = KBD_SILENCE_MS;
	int fd, err;

	err = uv_tcp_nodelay(tcp, 1) ?: uv_fileno((uv_handle_t *)tcp, &fd);
	if (err)
		return err;
	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &probe_s, sizeof(probe_s)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_s, sizeof(probe_s)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof(silence_ms)))
		return -errno;
	return 0;
}

static struct kbd_link *link_new(uv_loop_t *loop, const struct kbd_identity *self,
				 kbd_link_done done, void *arg)
{
	struct kbd_link *link = calloc(1, sizeof(*link));
	uv_tcp_t *tcp = malloc(sizeof(*tcp));

	if (!link || !tcp || uv_tcp_init(loop, tcp)) {
		free(link);
		free(tcp);
		return NULL;
	}
	uv_timer_init(loop, &link->timer);
	link->timer.data = link;
	tcp->data = link;
	link->tcp = tcp;
	link->self = self;
	link->done = done;
	link->arg = arg;
	uv_timer_start(&link->timer, too_late, KBD_LINK_MS, 0);
	return link;
}

/* Before anybody has heard of it */
static struct kbd_link *give_up(struct kbd_link *link)
{
	link->done = NULL;
	uv_close((uv_handle_t *)link->tcp, tcp_closed);
	return NULL;
}

struct kbd_link *kbd_link_connect(uv_loop_t *loop, const struct kbd_identity *self,
				  const char *address, enum kbd_purpose purpose,
				  kbd_link_done done, void *arg)
{
	struct sockaddr_storage to;
	struct kbd_link *link;

	if (kbd_address(address, &to))
		return NULL;
	link = link_new(loop, self, done, arg);
	if (!link)
		return NULL;
	link->purpose = purpose;
	link->peer.purpose = purpose;
	link->connecting.data = link;
	if (uv_tcp_connect(&link->connecting, link->tcp, (struct sockaddr *)&to, connected) ||
	    set_options(link->tcp))
		return give_up(link);
	return link;
}

struct kbd_link *kbd_link_accept(uv_stream_t *listener, const struct kbd_identity *self,
				 kbd_link_done done, void *arg)
{
	struct kbd_link *link = link_new(listener->loop, self, done, arg);

	if (!link)
		return NULL;
	if (uv_accept(listener, (uv_stream_t *)link->tcp) || set_options(link->tcp) ||
	    expect(link, KBR_PROOF_HELLO_SIZE, server_hello))
		return give_up(link);
	return link;
}
