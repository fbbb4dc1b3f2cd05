// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load for the listener, and the plain TCP programs that it is compared with.
 *
 * Clients:
 *	load produce HOST PORT TOPIC BATCH COUNT ACKS BUSY IDLE
 *		COUNT produce requests of one batch of about BATCH bytes with
 *		100-byte records, from BUSY connections in turn, while IDLE
 *		more are open
 *	load fetch HOST PORT TOPIC BYTES	in replies of 1 MiB, from offset 0
 *	load send HOST PORT CHUNK COUNT		to "sink", an answer awaited each
 *	load receive HOST PORT CHUNK COUNT	from "source"
 *	load idle HOST PORT COUNT ASK FILE	open connections, ask for the
 *		versions on each if ASK is 1, make FILE, wait to be killed
 * Servers, until they are killed:
 *	load sink PORT FILE	receive a chunk (its length goes before it),
 *				checksum it, append it to FILE, answer
 *	load source PORT FILE	sendfile() as much of FILE as is asked for
 *	load accept PORT	accept connections, do nothing with them
 *	load marks PORT		for each byte received, a marker of the
 *				instruction counter: 'b' 1, 'e' 2; answered
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kbroker/batch.h>
#include <kbroker/message.h>

#include "icount.h"

#define RECORD_BYTES	100
#define REPLY_BYTES	(1 << 20)

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void send_all(int fd, const void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(fd, (const char *)buf + done, len - done, MSG_NOSIGNAL);

		if (n <= 0)
			die("send");
		done += n;
	}
}

/* False at the end of the stream. */
static int receive_all(int fd, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = recv(fd, (char *)buf + done, len - done, 0);

		if (n < 0)
			die("receive");
		if (!n)
			return 0;
		done += n;
	}
	return 1;
}

static int dial(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	int fd, one = 1;

	if (getaddrinfo(host, port, &hints, &found))
		die(host);
	fd = socket(found->ai_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	freeaddrinfo(found);
	return fd;
}

static int serve(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 64))
		die("listen");
	return fd;
}

/* ---- requests ---- */

struct request {
	char *buf;
	size_t len;
};

static void put(struct request *req, const void *bytes, size_t len)
{
	req->buf = realloc(req->buf, req->len + len);
	if (!req->buf)
		die("memory");
	memcpy(req->buf + req->len, bytes, len);
	req->len += len;
}

static void put16(struct request *req, int16_t v) { v = htobe16(v); put(req, &v, 2); }
static void put32(struct request *req, int32_t v) { v = htobe32(v); put(req, &v, 4); }
static void put64(struct request *req, int64_t v) { v = htobe64(v); put(req, &v, 8); }
static void put_string(struct request *req, const char *s)
{
	put16(req, strlen(s));
	put(req, s, strlen(s));
}

static void begin(struct request *req, int key, int version)
{
	put32(req, 0);
	put16(req, key);
	put16(req, version);
	put32(req, 1);
	put_string(req, "load");
}

static void end(struct request *req)
{
	int32_t len = htobe32(req->len - 4);

	memcpy(req->buf, &len, 4);
}

static int32_t get32(const char *at)
{
	int32_t v;

	memcpy(&v, at, 4);
	return be32toh(v);
}

static int16_t get16(const char *at)
{
	int16_t v;

	memcpy(&v, at, 2);
	return be16toh(v);
}

/* Receive a reply into @buf of @size bytes; its length. */
static size_t reply(int fd, char *buf, size_t size)
{
	int32_t len;

	if (!receive_all(fd, &len, 4))
		die("the broker closed the connection");
	len = be32toh(len);
	if (len < 0 || (size_t)len > size || !receive_all(fd, buf, len))
		die("a bad reply");
	return len;
}

/* ---- clients ---- */

static int produce(char **argv)
{
	const char *host = argv[0], *port = argv[1], *topic = argv[2];
	long bytes = atol(argv[3]), count = atol(argv[4]), busy = atol(argv[6]), idle = atol(argv[7]);
	struct kbroker_message message = KBROKER_MESSAGE_INIT;
	struct rlimit limit = { 1 << 17, 1 << 17 };
	struct request req = { 0 };
	struct kbroker_batch *batch;
	char value[RECORD_BYTES], answer[512];
	int acks = atoi(argv[5]), *fds;
	const void *encoded;
	size_t len;
	long records = 0, i;

	setrlimit(RLIMIT_NOFILE, &limit);
	memset(value, 'x', sizeof(value));
	message.value = value;
	message.value_len = sizeof(value);
	if (kbroker_batch_new(&batch, bytes + 1024, 0, 0))
		die("memory");
	while (!records || (long)kbroker_batch_length(batch) < bytes) {
		if (kbroker_batch_add(batch, &message))
			break;
		records++;
	}
	if (kbroker_batch_finish(batch, &encoded, &len))
		die("batch");
	begin(&req, 0, 7);
	put16(&req, -1);
	put16(&req, acks);
	put32(&req, 30000);
	put32(&req, 1);
	put_string(&req, topic);
	put32(&req, 1);
	put32(&req, 0);
	put32(&req, len);
	put(&req, encoded, len);
	end(&req);

	fds = calloc(busy + idle, sizeof(*fds));
	for (i = 0; i < busy + idle; i++)
		fds[i] = dial(host, port);
	icount_mark(1);
	for (i = 0; i < count; i++) {
		int fd = fds[i % busy];

		send_all(fd, req.buf, req.len);
		len = reply(fd, answer, sizeof(answer));
		/* correlation, topics, name, partitions, index, error */
		if (len < 18 + strlen(topic) + 2 || get16(answer + 18 + strlen(topic)))
			die("the broker refused a batch");
	}
	icount_mark(2);
	printf("{\"requests\": %ld, \"records\": %ld, \"bytes\": %zu}\n", count, count * records,
	       count * req.len);
	return 0;
}

static int fetch(char **argv)
{
	const char *topic = argv[2];
	int fd = dial(argv[0], argv[1]);
	int64_t offset = 0, wanted = atoll(argv[3]), got = 0;
	size_t size = REPLY_BYTES + (2 << 20), name = strlen(topic);
	char *buf = malloc(size);
	long replies = 0;

	while (got < wanted) {
		struct request req = { 0 };
		const char *at = buf, *stop;
		int32_t records;

		begin(&req, 1, 11);
		put32(&req, -1);	/* replica */
		put32(&req, 1000);	/* wait */
		put32(&req, 1);		/* min bytes */
		put32(&req, REPLY_BYTES);
		put(&req, "", 1);	/* isolation */
		put32(&req, 0);		/* session */
		put32(&req, -1);	/* its epoch */
		put32(&req, 1);
		put_string(&req, topic);
		put32(&req, 1);
		put32(&req, 0);		/* partition */
		put32(&req, -1);	/* leader epoch */
		put64(&req, offset);
		put64(&req, -1);
		put32(&req, REPLY_BYTES);
		put32(&req, 0);		/* forgotten */
		put16(&req, 0);		/* rack */
		end(&req);
		send_all(fd, req.buf, req.len);
		free(req.buf);
		reply(fd, buf, size);
		/* correlation 4, throttle 4, error 2, session 4, topics 4, name, partitions 4, index 4 */
		at += 18 + 2 + name + 8;
		if (get16(at))
			die("the broker refused a fetch");
		at += 2 + 8 + 8 + 8 + 4 + 4;	/* error, three offsets, aborted (null), replica */
		records = get32(at);
		at += 4;
		if (records <= 0)
			break;
		/* The next offset is after the last batch. */
		for (stop = at + records; at + 61 <= stop && at + 12 + get32(at + 8) <= stop;
		     at += 12 + get32(at + 8)) {
			int64_t base;

			memcpy(&base, at, 8);
			offset = be64toh(base) + get32(at + 23) + 1;
		}
		got += records;
		replies++;
	}
	printf("{\"bytes\": %" PRId64 ", \"replies\": %ld}\n", got, replies);
	return 0;
}

static int send_chunks(char **argv)
{
	int fd = dial(argv[0], argv[1]);
	long chunk = atol(argv[2]), count = atol(argv[3]), i;
	char *buf = calloc(1, chunk), answer;
	int32_t len = htobe32(chunk);

	for (i = 0; i < count; i++) {
		send_all(fd, &len, 4);
		send_all(fd, buf, chunk);
		if (!receive_all(fd, &answer, 1))
			die("the sink is gone");
	}
	printf("{\"bytes\": %ld}\n", chunk * count);
	return 0;
}

static int receive_chunks(char **argv)
{
	int fd = dial(argv[0], argv[1]);
	long chunk = atol(argv[2]), count = atol(argv[3]), i;
	char *buf = malloc(chunk);
	int32_t len = htobe32(chunk);

	for (i = 0; i < count; i++) {
		send_all(fd, &len, 4);
		if (!receive_all(fd, buf, chunk))
			die("the source is gone");
	}
	printf("{\"bytes\": %ld}\n", chunk * count);
	return 0;
}

static int idle(char **argv)
{
	long count = atol(argv[2]), i;
	struct rlimit limit = { 1 << 17, 1 << 17 };
	struct request req = { 0 };
	char answer[4096];

	setrlimit(RLIMIT_NOFILE, &limit);
	begin(&req, 18, 0);
	end(&req);
	for (i = 0; i < count; i++) {
		int fd = dial(argv[0], argv[1]);

		if (atoi(argv[3])) {
			send_all(fd, req.buf, req.len);
			reply(fd, answer, sizeof(answer));
		}
	}
	close(open(argv[4], O_CREAT | O_WRONLY, 0600));
	pause();
	return 0;
}

/* ---- servers ---- */

static uint32_t crc32c(const unsigned char *at, size_t len)
{
	uint64_t crc = ~0u;

	for (; len >= 8; at += 8, len -= 8)
		__asm__("crc32q %1, %0" : "+r" (crc) : "rm" (*(const uint64_t *)at));
	for (; len; at++, len--)
		__asm__("crc32b %1, %k0" : "+r" (crc) : "rm" (*at));
	return ~(uint32_t)crc;
}

static void sink(int fd, int file)
{
	static uint32_t sum;
	size_t size = 0;
	char *buf = NULL;
	int32_t len;

	while (receive_all(fd, &len, 4)) {
		len = be32toh(len);
		if ((size_t)len > size) {
			size = len;
			buf = realloc(buf, size);
		}
		if (!receive_all(fd, buf, len))
			break;
		sum ^= crc32c((unsigned char *)buf, len);
		if (write(file, buf, len) != len)
			die("write");
		send_all(fd, &sum, 1);
	}
	free(buf);
}

static void source(int fd, int file)
{
	off_t size = lseek(file, 0, SEEK_END), at = 0;
	int32_t len;

	while (receive_all(fd, &len, 4)) {
		for (size_t left = be32toh(len); left;) {
			ssize_t n;

			if (at == size)
				at = 0;
			n = sendfile(fd, file, &at, left);
			if (n <= 0)
				die("sendfile");
			left -= n;
		}
	}
}

static void marks(int fd)
{
	char c;

	while (receive_all(fd, &c, 1)) {
		if (c == 'b') {
			send_all(fd, &c, 1);
			icount_mark(1);
		} else {
			icount_mark(2);
			send_all(fd, &c, 1);
		}
	}
}

static __attribute__((noreturn)) void server(const char *what, char **argv)
{
	int listener = serve(argv[0]), file = -1, one = 1;

	if (!strcmp(what, "sink"))
		file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	else if (!strcmp(what, "source"))
		file = open(argv[1], O_RDONLY);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		if (!strcmp(what, "accept"))
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (!strcmp(what, "sink"))
			sink(fd, file);
		else if (!strcmp(what, "source"))
			source(fd, file);
		else
			marks(fd);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "produce") && argc == 10)
		return produce(argv + 2);
	if (!strcmp(what, "fetch") && argc == 6)
		return fetch(argv + 2);
	if (!strcmp(what, "send") && argc == 6)
		return send_chunks(argv + 2);
	if (!strcmp(what, "receive") && argc == 6)
		return receive_chunks(argv + 2);
	if ((!strcmp(what, "sink") || !strcmp(what, "source")) && argc == 4)
		server(what, argv + 2);
	if (!strcmp(what, "idle") && argc == 7)
		return idle(argv + 2);
	if ((!strcmp(what, "marks") || !strcmp(what, "accept")) && argc == 3)
		server(what, argv + 2);
	fprintf(stderr, "load: see the head of load.c\n");
	return 2;
}
