// SPDX-License-Identifier: GPL-2.0-only
/*
 * stress SECONDS SEED none|restart|full DIR: everybody at once. Writers of every format
 * and system call, readers that follow them, an administrator who creates,
 * grows, alters and deletes, signals and kills all the time; unless "none"
 * the broker is stopped and started, too; "full": somebody else fills the disk
 * now and then. Then, and again after a restart,
 * each record that was acknowledged must be there, once and in its order.
 *
 * A value says who wrote it, which of his it is and how long it is; its other
 * bytes follow from that. Prints TAP; stress.sh starts the broker.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/io_uring.h>
#include <linux/kbroker.h>

#define DEV		"/dev/kbroker/"
#define TOPICS		2	/* s0, s1: nothing of them is ever deleted */
#define PARTITIONS	3
#define WRITERS		24
#define SEQS		(1u << 18)
#define VALUE_MAX	40000
#define BUF		(1 << 20)

struct shared {
	volatile int stop;
	volatile int failed;
	volatile uint32_t next[WRITERS];
	volatile uint64_t written, read;
	uint8_t acked[WRITERS][SEQS];
};

static struct shared *shm;
static unsigned int seed;
static bool full;

static void fail(const char *format, ...)
{
	char text[512];
	va_list args;
	int n;

	va_start(args, format);
	n = snprintf(text, sizeof(text), "# %d: ", getpid());
	n += vsnprintf(text + n, sizeof(text) - n - 2, format, args);
	va_end(args);
	text[n++] = '\n';
	if (write(1, text, n) < 0)
		_exit(1);
	__sync_fetch_and_add(&shm->failed, 1);
}

static unsigned int rnd(unsigned int below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % below;
}

static void nap_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- values ---- */

static int value_make(char *buf, unsigned int id, unsigned int seq)
{
	unsigned int mix = (id * 7919 + seq) * 2654435761u, i;
	unsigned int len = mix % 64 == 0 ? mix % VALUE_MAX : mix % 200;
	int n = sprintf(buf, "%u %u %u ", id, seq, len);

	for (i = 0; i < len; i++)
		buf[n + i] = 'a' + (id + seq * 7 + i * 13) % 26;
	return n + len;
}

/* Is it one that somebody wrote? Then whose and which. */
static bool value_check(const char *value, size_t len, unsigned int *id, unsigned int *seq)
{
	static __thread char want[VALUE_MAX + 64];
	unsigned int said;
	char head[64];

	snprintf(head, sizeof(head), "%.*s", (int)(len < 60 ? len : 60), value);
	if (sscanf(head, "%u %u %u ", id, seq, &said) != 3)
		return false;
	return value_make(want, *id, *seq) == (int)len && !memcmp(want, value, len);
}

/* ---- batches ---- */

static uint32_t crc_table[256];

static uint32_t crc32c(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;

	while (len--)
		crc = crc_table[(crc ^ *p++) & 0xff] ^ crc >> 8;
	return ~crc;
}

static void crc_init(void)
{
	uint32_t i, j, c;

	for (i = 0; i < 256; i++) {
		for (c = i, j = 0; j < 8; j++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
		crc_table[i] = c;
	}
}

static uint8_t *put(uint8_t *p, uint64_t v, int bytes)
{
	while (bytes--)
		*p++ = v >> bytes * 8;
	return p;
}

static uint8_t *put_varint(uint8_t *p, int32_t v)
{
	uint32_t u = (uint32_t)v << 1 ^ (uint32_t)(v >> 31);

	for (; u >= 128; u >>= 7)
		*p++ = u | 128;
	*p++ = u;
	return p;
}

static int varint_size(int32_t v)
{
	uint8_t scratch[8];

	return put_varint(scratch, v) - scratch;
}

/* Records first, first + 1, ... of writer id; producer -1 is none. */
static size_t batch_make(uint8_t *buf, unsigned int id, unsigned int first, int count,
			 int64_t producer, int32_t sequence)
{
	struct timespec now;
	int64_t ms;
	uint8_t *p = buf + 61;
	char value[VALUE_MAX + 64];
	int i;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = now.tv_sec * 1000ll + now.tv_nsec / 1000000;
	/* attributes, delta of the time, key, headers: 4 bytes */
	for (i = 0; i < count; i++) {
		int len = value_make(value, id, first + i);

		p = put_varint(p, 4 + varint_size(i) + varint_size(len) + len);
		*p++ = 0;
		p = put_varint(p, 0);
		p = put_varint(p, i);
		p = put_varint(p, -1);
		p = put_varint(p, len);
		memcpy(p, value, len);
		p += len;
		*p++ = 0;
	}
	put(buf, 0, 8);
	put(buf + 8, p - buf - 12, 4);
	put(buf + 12, -1, 4);
	buf[16] = 2;
	put(buf + 21, 0, 2);
	put(buf + 23, count - 1, 4);
	put(buf + 27, ms, 8);
	put(buf + 35, ms, 8);
	put(buf + 43, producer, 8);
	put(buf + 51, producer < 0 ? -1 : 0, 2);
	put(buf + 53, sequence, 4);
	put(buf + 57, count, 4);
	put(buf + 17, crc32c(buf + 21, p - buf - 21), 4);
	return p - buf;
}

static uint64_t get(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | *p++;
	return v;
}

/* ---- io_uring, one request at a time ---- */

struct ring {
	int fd;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
};

static bool ring_open(struct ring *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = syscall(__NR_io_uring_setup, 4, &r->p);
	if (r->fd < 0)
		return false;
	r->sq = mmap(NULL, r->p.sq_off.array + 4 * r->p.sq_entries, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, r->p.cq_off.cqes + sizeof(struct io_uring_cqe) * r->p.cq_entries,
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, sizeof(struct io_uring_sqe) * r->p.sq_entries, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	return r->sq != MAP_FAILED && r->cq != MAP_FAILED && r->sqes != MAP_FAILED;
}

static int ring_do(struct ring *r, int op, int fd, void *buf, unsigned int len)
{
	unsigned int *tail = (unsigned int *)(r->sq + r->p.sq_off.tail);
	unsigned int mask = *(unsigned int *)(r->sq + r->p.sq_off.ring_mask);
	unsigned int *array = (unsigned int *)(r->sq + r->p.sq_off.array);
	unsigned int *head = (unsigned int *)(r->cq + r->p.cq_off.head);
	unsigned int *done = (unsigned int *)(r->cq + r->p.cq_off.tail);
	unsigned int cmask = *(unsigned int *)(r->cq + r->p.cq_off.ring_mask);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(r->cq + r->p.cq_off.cqes);
	struct io_uring_sqe *sqe = &r->sqes[*tail & mask];
	int res;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)buf;
	sqe->len = len;
	sqe->off = -1;
	array[*tail & mask] = *tail & mask;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	res = syscall(__NR_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	while (*head == __atomic_load_n(done, __ATOMIC_ACQUIRE))
		syscall(__NR_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	res = cqes[*head & cmask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res;
}

static void ring_close(struct ring *r)
{
	munmap(r->sq, r->p.sq_off.array + 4 * r->p.sq_entries);
	munmap(r->cq, r->p.cq_off.cqes + sizeof(struct io_uring_cqe) * r->p.cq_entries);
	munmap(r->sqes, sizeof(struct io_uring_sqe) * r->p.sq_entries);
	close(r->fd);
}

/* ---- writers ---- */

enum mode { LINE, LINES, HALVES, RECORD, BATCHES, PRODUCER, PIPE, RING, NONBLOCK, VECTOR, MODES };

/* Does it mean that nobody knows what became of the write? A full disk is awaited by some runs only. */
static bool gone(int err)
{
	return (err == ENOSPC && full) || err == ENODEV || err == ENXIO || err == ENOENT ||
	       err == EIO || err == ETIMEDOUT;
}

static int node_open(unsigned int topic, int partition, int flags, unsigned int format)
{
	char path[64];
	int fd;

	if (partition < 0)
		sprintf(path, DEV "s%u/all", topic);
	else
		sprintf(path, DEV "s%u/%d", topic, partition);
	while ((fd = open(path, flags)) < 0) {
		if (errno == EINTR)
			continue;
		if (!gone(errno))
			fail("open %s: %s", path, strerror(errno));
		if (shm->stop)
			return -1;
		nap_ms(5);
	}
	if (format)
		while (ioctl(fd, KBROKER_IOC_SET_FORMAT, &format) < 0)
			if (errno != EINTR) {
				fail("format: %s", strerror(errno));
				break;
			}
	return fd;
}

/* Take the next n numbers; before they are written, so that no death reuses one. */
static unsigned int take(unsigned int id, unsigned int n)
{
	unsigned int seq = shm->next[id];

	shm->next[id] = seq + n;
	__sync_synchronize();
	return seq;
}

static void acked(unsigned int id, unsigned int seq, unsigned int n)
{
	__sync_fetch_and_add(&shm->written, n);
	while (n--)
		shm->acked[id][seq + n] = 1;
}

struct writer {
	unsigned int id, topic;
	enum mode mode;
	int partition, fd;
	struct ring ring;
	int pipe[2];
	int64_t producer;
	int32_t sequence;
	char *buf;
};

/* Write all; false: the node is gone, nobody knows what became of it. */
static bool write_all(struct writer *w, size_t len, size_t *taken)
{
	size_t done = 0;
	ssize_t n;

	*taken = 0;
	while (done < len) {
		struct iovec vec[3] = {
			{ w->buf + done, (len - done) / 2 },
			{ NULL, 0 },
			{ w->buf + done + (len - done) / 2, len - done - (len - done) / 2 },
		};

		if (w->mode == RING) {
			n = ring_do(&w->ring, IORING_OP_WRITE, w->fd, w->buf + done, len - done);
			if (n < 0) {
				errno = -n;
				n = -1;
			}
		} else if (w->mode == VECTOR) {
			n = writev(w->fd, vec, 3);
		} else {
			n = write(w->fd, w->buf + done, len - done);
		}
		if (n > 0) {
			done += n;
			*taken = done;
		} else if (n == 0) {
			fail("a write of %zu returned 0", len - done);
			return false;
		} else if (errno == EAGAIN) {
			struct pollfd p = { w->fd, POLLOUT, 0 };

			poll(&p, 1, 100);
		} else if (errno != EINTR && errno != ECANCELED) {
			if (!gone(errno))
				fail("writer %u mode %d: %s", w->id, w->mode, strerror(errno));
			return false;
		}
	}
	return true;
}

static bool write_pipe(struct writer *w, size_t len)
{
	size_t done = 0, out = 0;
	ssize_t n;

	while (done < len) {
		n = write(w->pipe[1], w->buf + done, len - done < 4096 ? len - done : 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += n;
		while (out < done) {
			n = splice(w->pipe[0], NULL, w->fd, NULL, done - out, 0);
			if (n > 0) {
				out += n;
			} else if (errno != EINTR) {
				if (!gone(errno))
					fail("splice: %s", strerror(errno));
				return false;
			}
		}
	}
	return true;
}

static bool write_some(struct writer *w)
{
	unsigned int n = 1, seq, i;
	size_t len, end, taken;

	switch (w->mode) {
	case LINE: case PIPE: case RING: case NONBLOCK: case VECTOR:
		seq = take(w->id, 1);
		len = value_make(w->buf, w->id, seq);
		w->buf[len++] = '\n';
		if (w->mode == PIPE) {
			if (!write_pipe(w, len))
				return false;
		} else if (!write_all(w, len, &taken)) {
			return false;
		}
		if (w->mode == NONBLOCK) {
			while (fsync(w->fd))
				if (errno != EINTR) {
					if (!gone(errno))
						fail("fsync: %s", strerror(errno));
					return false;
				}
		}
		acked(w->id, seq, 1);
		return true;
	case LINES:
		n = 1 + rnd(20);
		seq = take(w->id, n);
		for (i = 0, len = 0; i < n; i++) {
			len += value_make(w->buf + len, w->id, seq + i);
			w->buf[len++] = '\n';
		}
		write_all(w, len, &taken);
		/* what a write took is safe even if the next one failed */
		for (i = 0, end = 0; i < n; i++) {
			end = (char *)memchr(w->buf + end, '\n', len - end) - w->buf + 1;
			if (end > taken)
				return false;
			acked(w->id, seq + i, 1);
		}
		return true;
	case HALVES:
		seq = take(w->id, 1);
		len = value_make(w->buf, w->id, seq);
		w->buf[len] = '\n';
		if (!write_all(w, len / 2, &taken))
			return false;
		memmove(w->buf, w->buf + len / 2, len - len / 2 + 1);
		if (!write_all(w, len - len / 2 + 1, &taken))
			return false;
		acked(w->id, seq, 1);
		return true;
	case RECORD: {
		struct kbroker_record rec = { .partition = -1, .timestamp = -1, .key_len = 3 };

		seq = take(w->id, 1);
		memcpy(w->buf + sizeof(rec), "key", 3);
		rec.value_len = value_make(w->buf + sizeof(rec) + 3, w->id, seq);
		rec.size = sizeof(rec) + 3 + rec.value_len;
		memcpy(w->buf, &rec, sizeof(rec));
		if (!write_all(w, rec.size, &taken))
			return false;
		acked(w->id, seq, 1);
		return true;
	}
	default:
		n = 1 + rnd(12);
		seq = take(w->id, n);
		len = batch_make((uint8_t *)w->buf, w->id, seq, n, w->mode == PRODUCER ? w->producer : -1,
				 w->mode == PRODUCER ? w->sequence : -1);
		if (!write_all(w, len, &taken))
			return false;
		if (w->mode == PRODUCER) {
			w->sequence += n;
			/* a repeat succeeds and leaves nothing */
			if (!rnd(4) && !write_all(w, len, &taken))
				return false;
		}
		acked(w->id, seq, n);
		return true;
	}
}

static void *writer_run(void *arg)
{
	struct writer *w = arg;
	bool good = true;

	w->buf = malloc(BUF * 2);
	w->producer = (int64_t)getpid() << 16 | w->id;
	while (!shm->stop && shm->next[w->id] < SEQS - 100) {
		unsigned int format = w->mode == RECORD ? KBROKER_FORMAT_RECORD :
				      w->mode == BATCHES || w->mode == PRODUCER ?
				      KBROKER_FORMAT_BATCH : KBROKER_FORMAT_LINES;
		int i, turns = 1 + rnd(60);

		w->fd = node_open(w->topic, w->mode == PRODUCER || w->partition >= 0 ? w->partition : -1,
				  O_RDWR | (w->mode == NONBLOCK ? O_NONBLOCK : 0), format);
		if (w->fd < 0)
			break;
		if (w->mode == PIPE && pipe(w->pipe))
			break;
		if (w->mode == RING && !ring_open(&w->ring)) {
			w->mode = LINE;
			continue;
		}
		good = true;
		for (i = 0; i < turns && good && !shm->stop; i++)
			good = write_some(w);
		if (!good) {
			/* after a failure the sequence is not known */
			w->producer += 1ll << 40;
			w->sequence = 0;
		}
		close(w->fd);
		if (w->mode == PIPE) {
			close(w->pipe[0]);
			close(w->pipe[1]);
		}
		if (w->mode == RING)
			ring_close(&w->ring);
	}
	free(w->buf);
	return NULL;
}

/* Two threads with two names through one open. */
static void writer_main(unsigned int slot)
{
	struct writer w = {
		.id = slot,
		.topic = slot % TOPICS,
		/* a half line whose other half met a full disk is a line at the close: L5 */
		.mode = full && slot % MODES == HALVES ? LINE : slot % MODES,
		.partition = slot % MODES == PRODUCER ? (int)(slot % PARTITIONS) :
						 (int)rnd(PARTITIONS + 1) - 1,
	};

	writer_run(&w);
}

/* ---- readers ---- */

struct reader {
	int64_t next[PARTITIONS];
	int last[PARTITIONS][WRITERS];
	bool lossy;
};

static void reader_reset(struct reader *r)
{
	int i, j;

	for (i = 0; i < PARTITIONS; i++) {
		r->next[i] = 0;
		for (j = 0; j < WRITERS; j++)
			r->last[i][j] = -1;
	}
}

static void reader_value(struct reader *r, int part, const char *value, size_t len)
{
	unsigned int id, seq;

	__sync_fetch_and_add(&shm->read, 1);
	if (!value_check(value, len, &id, &seq) || id >= WRITERS) {
		fail("partition %d: nobody wrote %.*s... (%zu)", part, (int)(len < 60 ? len : 60), value, len);
		return;
	}
	if (part < 0)
		return;
	if ((int)seq <= r->last[part][id])
		fail("partition %d: writer %u: %u after %d", part, id, seq, r->last[part][id]);
	r->last[part][id] = seq;
}

static void reader_lines(struct reader *r, int part, char *buf, size_t *have)
{
	char *p = buf, *end;

	while ((end = memchr(p, '\n', buf + *have - p))) {
		reader_value(r, part, p, end - p);
		p = end + 1;
	}
	*have -= p - buf;
	memmove(buf, p, *have);
}

static void reader_record(struct reader *r, const char *buf, size_t len)
{
	struct kbroker_record rec;

	memcpy(&rec, buf, sizeof(rec));
	if (rec.size != len || rec.partition < 0 || rec.partition >= PARTITIONS) {
		fail("a record of %zu says %u, partition %d", len, rec.size, rec.partition);
		return;
	}
	if (rec.offset != r->next[rec.partition])
		fail("partition %d: offset %lld, not %lld", rec.partition, (long long)rec.offset,
		     (long long)r->next[rec.partition]);
	r->next[rec.partition] = rec.offset + 1;
	reader_value(r, rec.partition, buf + sizeof(rec) + rec.key_len, rec.value_len);
}

static void reader_batches(struct reader *r, int part, const uint8_t *buf, size_t len)
{
	while (len) {
		int64_t base = get(buf, 8);
		size_t size = get(buf + 8, 4) + 12;

		if (size > len || size < 61) {
			fail("a batch is cut");
			return;
		}
		if (crc32c(buf + 21, size - 21) != get(buf + 17, 4))
			fail("a batch's CRC");
		if (part >= 0 && base != r->next[part])
			fail("partition %d: batch at %lld, not %lld", part, (long long)base,
			     (long long)r->next[part]);
		if (part >= 0)
			r->next[part] = base + (int)get(buf + 57, 4);
		buf += size;
		len -= size;
	}
}

static void reader_main(unsigned int slot)
{
	static char buf[2 * BUF];
	static struct reader r;
	struct ring ring;
	int how = slot % 6, fd, pipes[2];
	unsigned int topic = rnd(TOPICS);
	int part = (int)rnd(PARTITIONS + 1) - 1;
	unsigned int format = rnd(3);
	size_t have;
	ssize_t n;

	if (how == 4 && !ring_open(&ring))
		how = 0;
	if (pipe(pipes))
		return;
	while (!shm->stop) {
		int turns = 50 + rnd(2000);

		fd = node_open(topic, part, O_RDONLY | (how == 1 ? O_NONBLOCK : 0), format);
		if (fd < 0)
			break;
		reader_reset(&r);
		have = 0;
		while (!shm->stop && turns--) {
			struct iovec vec[2] = { { buf + have, 100 }, { buf + have + 100, BUF - 100 } };

			if (how == 1) {
				struct pollfd p = { fd, POLLIN, 0 };

				poll(&p, 1, 20);
			}
			if (how == 2 && format != KBROKER_FORMAT_RECORD) {
				n = splice(fd, NULL, pipes[1], NULL, 65536, 0);
				if (n > 0)
					n = read(pipes[0], buf + have, n);
				else if (n < 0 && errno == EMSGSIZE)
					break;
			} else if (how == 3) {
				n = readv(fd, vec, 2);
			} else if (how == 4) {
				n = ring_do(&ring, IORING_OP_READ, fd, buf + have, BUF);
				if (n < 0) {
					errno = -n;
					n = -1;
				}
			} else {
				n = read(fd, buf + have, format == KBROKER_FORMAT_LINES ? 1 + rnd(BUF) : BUF);
			}
			if (n == 0)
				break;
			if (n < 0) {
				if (errno == EINTR || errno == EAGAIN || errno == ECANCELED)
					continue;
				if (!gone(errno))
					fail("reader how %d format %u: %s", how, format, strerror(errno));
				break;
			}
			if (format == KBROKER_FORMAT_LINES) {
				have += n;
				reader_lines(&r, part, buf, &have);
			} else if (format == KBROKER_FORMAT_RECORD) {
				reader_record(&r, buf, n);
			} else {
				reader_batches(&r, part, (uint8_t *)buf, n);
			}
		}
		close(fd);
	}
}

/* Polls everything, reads nothing, closes at random. */
static void poller_main(void)
{
	struct epoll_event ev, got[64];
	int fds[64], ep, i, n;

	while (!shm->stop) {
		ep = epoll_create1(0);
		for (i = 0; i < 64; i++) {
			fds[i] = node_open(rnd(TOPICS), (int)rnd(PARTITIONS + 1) - 1, O_RDWR | O_NONBLOCK, rnd(3));
			if (fds[i] < 0)
				continue;
			ev.events = EPOLLIN | (rnd(2) ? EPOLLOUT : 0) | (rnd(2) ? EPOLLET : 0);
			ev.data.fd = fds[i];
			epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev);
		}
		for (n = 0; n < 50 && !shm->stop; n++) {
			epoll_wait(ep, got, 64, 5);
			i = rnd(64);
			lseek(fds[i], 0, rnd(2) ? SEEK_SET : SEEK_END);
			if (!rnd(10)) {
				close(fds[i]);
				fds[i] = -1;
			}
		}
		for (i = 0; i < 64; i++)
			close(fds[i]);
		close(ep);
	}
}

/* Uses topics that come and go: only that nothing breaks, and that no value is another's. */
static void churner_main(void)
{
	static char buf[2 * BUF];
	char path[64], *nl;
	unsigned int id, seq, i, format = 0;
	size_t len;
	ssize_t n;
	int fd;

	for (seq = 0; !shm->stop; seq++) {
		sprintf(path, DEV "churn%u/%s", rnd(3), rnd(2) ? "0" : "all");
		fd = open(path, O_RDWR | O_NONBLOCK);
		if (fd < 0) {
			nap_ms(1);
			continue;
		}
		for (i = 0; i < 40 && !shm->stop; i++) {
			int flags = rnd(4) ? 0 : O_NONBLOCK;

			len = value_make(buf, 1000 + seq % 7, seq * 64 + i);
			buf[len++] = '\n';
			fcntl(fd, F_SETFL, flags);
			if (write(fd, buf, len) < 0 && errno == ENODEV)
				break;
			fcntl(fd, F_SETFL, O_NONBLOCK);
			n = read(fd, buf, BUF);
			nl = n > 0 && n < BUF ? memchr(buf, '\n', n) : NULL;
			if (nl && nl > buf && !value_check(buf, nl - buf, &id, &seq))
				fail("%s shows %.40s", path, buf);
			if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENODEV && errno != EIO)
				fail("%s: %s", path, strerror(errno));
		}
		format = 1 - format;
		fsync(fd);
		close(fd);
	}
}

static int sh(const char *format, ...)
{
	char command[512];
	va_list args;
	int n;

	va_start(args, format);
	command[0] = '{';
	command[1] = ' ';
	n = 2 + vsnprintf(command + 2, 400, format, args);
	va_end(args);
	strcpy(command + n, "; } >/dev/null 2>&1");
	return system(command);
}

static void admin_main(void)
{
	unsigned int grown = 1;

	while (!shm->stop) {
		unsigned int t = rnd(3);

		switch (rnd(12)) {
		case 0: case 1: case 2:
			sh("kbroker topic create churn%u --partitions %u --config retention.bytes=%u %s",
			   t, 1 + rnd(3), 20000 + rnd(50000),
			   "--config segment.bytes=16384 --config file.delete.delay.ms=0");
			break;
		case 3: case 4:
			sh("kbroker topic delete churn%u", t);
			break;
		case 5:
			sh("kbroker topic alter churn%u --config retention.bytes=%u --mode 0666",
			   t, 10000 + rnd(90000));
			break;
		case 6:
			sh("kbroker topic alter churn%u --partitions %u", t, 2 + ++grown % 5);
			break;
		case 7:
			sh("kbroker partition delete-records churn%u 0 --offset end", t);
			sh("kbroker partition delete-records churn%u --offset 5", t);
			break;
		case 8:
			sh("kbroker topic alter s%u --config flush.policy=sync --config segment.bytes=%u",
			   rnd(TOPICS), 65536 + rnd(100000));
			break;
		case 9:
			sh("kbroker partition describe s0; kbroker topic list; kbroker topic describe s1");
			break;
		case 10:
			sh("kbroker broker alter --config log.retention.check.interval.ms=%u", 1000 + rnd(1000));
			break;
		case 11:
			sh("mkdir -p /run/stress.mnt; mount -t kbroker %s /run/stress.mnt; "
			   "ls -lR /run/stress.mnt; umount -l /run/stress.mnt",
			   "kbroker");
			/* the user-mode kernel keeps KASAN's marks of a module that went away */
			if (!getenv("KBROKER_SELFTEST_UML"))
				sh("rmmod kbroker");
			break;
		}
	}
}

/* ---- who is there ---- */

/* The administrator's rmmod may have found its moment, and again. */
static void start_again(const char *dir)
{
	int tries;

	for (tries = 0; tries < 10; tries++) {
		sh("grep -q '^kbroker ' /proc/modules || modprobe kbroker || insmod $KBROKER_MODULES/kbroker.ko");
		if (!sh("kbroker broker start --dir %s", dir))
			return;
	}
	fail("the broker does not start again");
}

static void restarter_main(const char *dir)
{
	while (!shm->stop) {
		nap_ms(1500 + rnd(1500));
		if (shm->stop)
			break;
		sh("kbroker broker stop");
		start_again(dir);
	}
}

#define READERS	12
#define OTHERS	6
#define SLOTS	(WRITERS + READERS + OTHERS)

static void nothing(int number) { (void)number; }

static pid_t spawn(unsigned int slot, const char *restart)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	seed = seed * 31 + slot * 7919 + getpid();
	if (rnd(2)) {
		struct sigaction sa = { .sa_handler = nothing, .sa_flags = rnd(2) ? SA_RESTART : 0 };

		sigaction(SIGUSR1, &sa, NULL);
	} else {
		signal(SIGUSR1, nothing);
	}
	if (slot < WRITERS)
		writer_main(slot);
	else if (slot < WRITERS + READERS)
		reader_main(slot);
	else if (slot == WRITERS + READERS)
		poller_main();
	else if (slot < WRITERS + READERS + 3)
		churner_main();
	else if (slot < WRITERS + READERS + 5)
		admin_main();
	else if (restart)
		restarter_main(restart);
	_exit(0);
}

/* Everything of the lasting topics: once, in order, and all that was acknowledged. */
static bool verify(const char *when)
{
	static uint8_t seen[WRITERS][SEQS];
	static char buf[2 * BUF];
	int before = shm->failed;
	unsigned int format = KBROKER_FORMAT_RECORD, t, p, id, seq, missing = 0, twice = 0, extra = 0;
	static struct reader r;

	memset(seen, 0, sizeof(seen));
	for (t = 0; t < TOPICS; t++) {
		reader_reset(&r);
		for (p = 0; p < PARTITIONS; p++) {
			int fd = node_open(t, p, O_RDONLY | O_NONBLOCK, format);
			ssize_t n;

			while ((n = read(fd, buf, BUF)) > 0) {
				struct kbroker_record rec;

				memcpy(&rec, buf, sizeof(rec));
				reader_record(&r, buf, n);
				if (value_check(buf + sizeof(rec) + rec.key_len, rec.value_len, &id, &seq) &&
				    id < WRITERS && seen[id][seq]++ && !twice++)
					printf("# writer %u: %u is there twice\n", id, seq);
			}
			if (n == 0 || errno != EAGAIN)
				fail("s%u/%u ends with %zd, %s", t, p, n, strerror(errno));
			close(fd);
		}
	}
	for (id = 0; id < WRITERS; id++) {
		for (seq = 0; seq < shm->next[id]; seq++) {
			if (shm->acked[id][seq] && !seen[id][seq] && missing++ < 5)
				printf("# writer %u mode %u: %u was acknowledged and is lost\n", id, id % MODES, seq);
			extra += seen[id][seq] && !shm->acked[id][seq];
		}
	}
	printf("# %s: %u missing, %u twice, %u there though not acknowledged\n", when, missing, twice, extra);
	return !missing && !twice && shm->failed == before;
}

int main(int argc, char **argv)
{
	const char *dir = argc > 4 ? argv[4] : "/var/lib/kbroker/test";
	bool restart = argc > 3 && strcmp(argv[3], "none") && strcmp(argv[3], "eio"), good;
	unsigned int i, deaths = 0, left, n = 0;
	pid_t pids[SLOTS];
	time_t end;
	pid_t pid;
	int status;

	if (argc < 3)
		return 2;
	seed = atoi(argv[2]);
	signal(SIGUSR1, nothing);
	full = argc > 3 && (!strcmp(argv[3], "full") || !strcmp(argv[3], "eio"));
	crc_init();
	setvbuf(stdout, NULL, _IOLBF, 0);
	shm = mmap(NULL, sizeof(*shm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shm == MAP_FAILED)
		return 2;
	for (i = 0; i < SLOTS; i++)
		pids[i] = spawn(i, restart ? dir : NULL);
	end = time(NULL) + atoi(argv[1]);
	while (time(NULL) < end && shm->failed < 20) {
		nap_ms(2);
		for (i = 0; i < 3; i++) {
			pid = pids[rnd(WRITERS + READERS + 3)];
			if (pid > 0)
				kill(pid, SIGUSR1);
		}
		if (!rnd(50)) {
			i = rnd(WRITERS + READERS + 3);
			if (pids[i] > 0)
				kill(pids[i], SIGKILL);
		}
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			for (i = 0; i < SLOTS && pids[i] != pid; i++)
				;
			if (i == SLOTS)
				continue;
			if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
				fail("worker %u died of signal %d", i, WTERMSIG(status));
			deaths++;
			rnd(7);
			pids[i] = i < WRITERS + READERS + 5 ? spawn(i, NULL) : 0;
		}
	}
	shm->stop = 1;
	end = time(NULL) + 120;
	do {
		left = 0;
		nap_ms(20);
		while (waitpid(-1, &status, WNOHANG) > 0)
			;
		/* who waits for a record that nobody writes any more has to be killed */
		for (i = 0; i < SLOTS; i++)
			if (pids[i] > 0 && !kill(pids[i], time(NULL) > end - 117 && i < WRITERS + READERS + 3 ?
							  SIGKILL : SIGUSR1))
				left++;
	} while (left && time(NULL) < end);
	for (i = 0; i < SLOTS; i++)
		if (pids[i] > 0 && !kill(pids[i], SIGKILL))
			printf("# worker %u does not end\n", i);
	printf("# %llu records written, %llu read, %u workers killed\n", (unsigned long long)shm->written,
	       (unsigned long long)shm->read, deaths);
	printf("%sok %u - all workers end\n", left ? "not " : "", ++n);
	printf("%sok %u - what followers see is whole and in order\n", shm->failed ? "not " : "", ++n);
	printf("%sok %u - a good deal was written\n", shm->written < 100 ? "not " : "", ++n);
	good = verify("at the end");
	printf("%sok %u - all that was acknowledged is there, once and in order\n", good ? "" : "not ", ++n);
	sh("kbroker broker stop");
	start_again(dir);
	good = verify("after a restart");
	printf("%sok %u - and after a restart\n", good ? "" : "not ", ++n);
	printf("1..%u\n", n);
	return !good || shm->failed;
}
