// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a script can't do to a device: io_uring (W14, P5), memory that faults
 * (F5) and memory that changes while it is written (F6), EINTR without restart
 * (W4, W12), two threads and a seek. Prints TAP.
 *
 * Usage: device_calls NODE ALL ASYNC, on topics that nobody else uses; ASYNC
 * is a node of one with flush.policy=async.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/kbroker.h>

#define PATIENCE_MS	60000	/* what must come is waited for so long */

static int tests, failed;
static const char *node, *async_node;

static void say(bool good, const char *name)
{
	tests++;
	failed += !good;
	printf("%sok %d - %s\n", good ? "" : "not ", tests, name);
	fflush(stdout);
}

static void say_equal(long got, long wanted, const char *name)
{
	say(got == wanted, name);
	if (got != wanted)
		printf("#   wanted %ld, got %ld\n", wanted, got);
}

static long error_of(long result)
{
	return result < 0 ? -errno : result;
}

static int64_t log_end(int fd)
{
	struct kbroker_position pos = { .partition = -1 };

	return ioctl(fd, KBROKER_IOC_GET_POSITION, &pos) ? -1 : pos.log_end;
}

static bool committed(int fd)
{
	struct kbroker_position pos = { .partition = -1 };

	return !ioctl(fd, KBROKER_IOC_GET_POSITION, &pos) && pos.high_watermark == pos.log_end &&
	       pos.synced_end == pos.log_end;
}

/* --- io_uring, without a library ------------------------------------------ */

struct ring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static bool ring_open(struct ring *ring)
{
	struct io_uring_params params = { 0 };
	size_t size;
	char *map;

	ring->fd = syscall(__NR_io_uring_setup, 64, &params);
	if (ring->fd < 0)
		return false;
	size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
		   IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe),
			  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
			  IORING_OFF_SQES);
	if (map == MAP_FAILED || ring->sqes == MAP_FAILED)
		return false;
	ring->sq_tail = (void *)(map + params.sq_off.tail);
	ring->sq_mask = (void *)(map + params.sq_off.ring_mask);
	ring->sq_array = (void *)(map + params.sq_off.array);
	ring->cq_head = (void *)(map + params.cq_off.head);
	ring->cq_tail = (void *)(map + params.cq_off.tail);
	ring->cq_mask = (void *)(map + params.cq_off.ring_mask);
	ring->cqes = (void *)(map + params.cq_off.cqes);
	return true;
}

static void ring_submit(struct ring *ring, int op, int fd, void *buf, unsigned int len,
			uint64_t offset, unsigned int rw_flags, uint64_t data)
{
	unsigned int tail = *ring->sq_tail, index = tail & *ring->sq_mask;
	struct io_uring_sqe *sqe = &ring->sqes[index];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)buf;
	sqe->len = len;
	sqe->off = offset;
	sqe->rw_flags = rw_flags;
	sqe->user_data = data;
	ring->sq_array[index] = index;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	syscall(__NR_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0);
}

/* The next completion within @ms: its result, and whose it is; -ETIME none. */
static long ring_wait(struct ring *ring, int ms, uint64_t *data)
{
	struct timespec step = { .tv_nsec = 1000000 };
	unsigned int head = *ring->cq_head;
	struct io_uring_cqe *cqe;
	long result;

	while (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
		if (ms-- <= 0)
			return -ETIME;
		nanosleep(&step, NULL);
		/* lets the kernel run what waits for us */
		syscall(__NR_io_uring_enter, ring->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	}
	cqe = &ring->cqes[head & *ring->cq_mask];
	result = cqe->res;
	if (data)
		*data = cqe->user_data;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

/* Threads that io_uring made because a request could not wait without one. */
static int ring_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	while (dir && (entry = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(comm, sizeof(comm), file) && !strncmp(comm, "iou-wrk", 7))
			count++;
		fclose(file);
	}
	if (dir)
		closedir(dir);
	return count;
}

static void test_ring(void)
{
	int reader = open(node, O_RDONLY), writer = open(node, O_WRONLY), nonblock, i;
	unsigned int seen = 0;
	char buf[1024], lines[32][16];
	struct ring ring;
	uint64_t data;
	long end;

	if (!ring_open(&ring)) {
		printf("ok %d - W14: io_uring # SKIP not in this kernel\n", ++tests);
		close(reader);
		close(writer);
		return;
	}
	lseek(reader, 0, SEEK_END);
	ring_submit(&ring, IORING_OP_WRITE, writer, "one\n", 4, -1, 0, 1);
	say_equal(ring_wait(&ring, PATIENCE_MS, &data), 4, "W14: a write by io_uring");
	say(committed(writer), "W14: completes when it is committed");
	ring_submit(&ring, IORING_OP_READ, reader, buf, sizeof(buf), -1, 0, 2);
	say_equal(ring_wait(&ring, PATIENCE_MS, &data), 4, "W14: a read by io_uring");
	ring_submit(&ring, IORING_OP_READ, reader, buf, sizeof(buf), 12345, 0, 3);
	say_equal(ring_wait(&ring, 50, NULL), -ETIME, "W14: at the end it waits");
	ring_submit(&ring, IORING_OP_WRITE, writer, "three\n", 6, 777, 0, 4);
	for (i = 0; i < 2; i++) {
		long result = ring_wait(&ring, PATIENCE_MS, &data);

		if (result == 6 && (data == 3 || data == 4))
			seen |= 1u << data;
	}
	say(seen == 0x18 && !memcmp(buf, "three\n", 6), "W14: and is completed by a write; P5: the offset is ignored");

	ring_submit(&ring, IORING_OP_POLL_ADD, reader, NULL, 0, 0, POLLIN, 5);
	say_equal(ring_wait(&ring, 50, NULL), -ETIME, "W13: poll by io_uring waits");
	say_equal(write(writer, "poll\n", 5), 5, "W13: until something is written");
	say(ring_wait(&ring, PATIENCE_MS, &data) == POLLIN && data == 5, "W13: and says so");
	ring_submit(&ring, IORING_OP_READ, reader, buf, sizeof(buf), -1, 0, 6);
	say_equal(ring_wait(&ring, PATIENCE_MS, &data), 5, "W14: then the read");

	ring_submit(&ring, IORING_OP_READ, reader, buf, sizeof(buf), -1, 0, 7);
	ring_submit(&ring, IORING_OP_ASYNC_CANCEL, -1, (void *)7, 0, 0, 0, 8);
	for (seen = 0, i = 0; i < 2; i++) {
		long result = ring_wait(&ring, PATIENCE_MS, &data);

		if ((data == 7 && result == -ECANCELED) || (data == 8 && !result))
			seen++;
	}
	say_equal(seen, 2, "W14: a read that waits can be cancelled");

	end = log_end(writer);
	for (i = 0; i < 32; i++) {
		snprintf(lines[i], sizeof(lines[i]), "line %02d\n", i);
		ring_submit(&ring, IORING_OP_WRITE, writer, lines[i], 8, -1, 0, 100 + i);
	}
	for (seen = 0, i = 0; i < 32; i++)
		if (ring_wait(&ring, PATIENCE_MS, &data) == 8)
			seen++;
	say_equal(seen, 32, "W14: 32 writes at once");
	say(committed(writer) && log_end(writer) == end + 32, "W14: all are committed");
	say_equal(ring_threads(), 0, "W14: none of them needed a thread");
	ring_submit(&ring, IORING_OP_WRITE, writer, "dsync\n", 6, -1, RWF_DSYNC, 9);
	say_equal(ring_wait(&ring, PATIENCE_MS, &data), 6, "W2: RWF_DSYNC by io_uring");
	ring_submit(&ring, IORING_OP_FSYNC, writer, NULL, 0, 0, 0, 10);
	say_equal(ring_wait(&ring, PATIENCE_MS, &data), 0, "W3: fsync by io_uring");
	ring_submit(&ring, IORING_OP_WRITE, writer, buf, 0, -1, 0, 11);
	say_equal(ring_wait(&ring, PATIENCE_MS, &data), 0, "L8: an empty write by io_uring");
	ring_submit(&ring, IORING_OP_WRITE, writer, (void *)8, 10, -1, 0, 12);
	say_equal(ring_wait(&ring, PATIENCE_MS, &data), -EFAULT, "F5: a bad address by io_uring");

	lseek(reader, 0, SEEK_END);
	ring_submit(&ring, IORING_OP_READ, reader, buf, sizeof(buf), -1, RWF_NOWAIT, 13);
	say_equal(ring_wait(&ring, PATIENCE_MS, &data), -EAGAIN, "P8: RWF_NOWAIT by io_uring");
	nonblock = open(node, O_WRONLY | O_NONBLOCK);
	ring_submit(&ring, IORING_OP_WRITE, nonblock, "nonblock\n", 9, -1, 0, 13);
	say_equal(ring_wait(&ring, PATIENCE_MS, &data), 9, "W14: a write to an O_NONBLOCK file");
	close(nonblock);

	/* the ring goes away with a read and writes under way */
	lseek(reader, 0, SEEK_END);
	ring_submit(&ring, IORING_OP_READ, reader, buf, sizeof(buf), -1, 0, 14);
	ring_submit(&ring, IORING_OP_WRITE, writer, "last\n", 5, -1, 0, 15);
	close(ring.fd);
	close(reader);
	close(writer);
	say(true, "W14: a ring closed with requests under way");
}

/* A member of a group that waits is told of its own partitions, and of what it inherits. */
static void test_ring_group(const char *all)
{
	int a = open(all, O_RDONLY), b = open(all, O_RDONLY), writer = open(all, O_WRONLY);
	struct kbroker_group group = { .name = (uintptr_t)"ring", .len = 4 };
	struct kbroker_target target = { };
	uint32_t list[3] = { };
	struct kbroker_share share = { .partitions = (uintptr_t)list, .room = 3 };
	struct ring ring;
	uint64_t data;
	char buf[64];

	if (!ring_open(&ring)) {
		printf("ok %d - W14: io_uring # SKIP not in this kernel\n", ++tests);
		goto out;
	}
	say(!ioctl(a, KBROKER_IOC_JOIN_GROUP, &group) && !ioctl(b, KBROKER_IOC_JOIN_GROUP, &group) &&
	    !ioctl(a, KBROKER_IOC_GET_SHARE, &share), "G2: two members");
	target.partition = list[0];
	ioctl(writer, KBROKER_IOC_SET_TARGET, &target);
	ring_submit(&ring, IORING_OP_READ, a, buf, sizeof(buf), -1, 0, 1);
	ring_submit(&ring, IORING_OP_READ, b, buf, sizeof(buf), -1, 0, 2);
	say_equal(ring_wait(&ring, 50, NULL), -ETIME, "W14: members wait");
	say_equal(write(writer, "group\n", 6), 6, "W14: until there is a record");
	say(ring_wait(&ring, PATIENCE_MS, &data) == 6 && data == 1, "W14: which is its owner's");
	say_equal(ring_wait(&ring, 50, NULL), -ETIME, "W14: and nobody else's");
	close(a);
	a = -1;
	say(ring_wait(&ring, PATIENCE_MS, &data) == 6 && data == 2, "G5: until that one has left");
	close(ring.fd);
out:
	if (a >= 0)
		close(a);
	close(b);
	close(writer);
}

/* What wakes those who wait for the disk is no news for those who wait for records. */
static void test_ring_sync(void)
{
	int reader = open(async_node, O_RDONLY), writer = open(async_node, O_WRONLY);
	char buf[16];
	struct ring ring;
	uint64_t data;

	if (!ring_open(&ring)) {
		printf("ok %d - W13: io_uring # SKIP not in this kernel\n", ++tests);
	} else {
		say_equal(write(writer, "read\n", 5), 5, "W13: a write that waits for no sync");
		say_equal(read(reader, buf, sizeof(buf)), 5, "W13: is read");
		ring_submit(&ring, IORING_OP_POLL_ADD, reader, NULL, 0, 0, POLLIN, 1);
		say_equal(fsync(writer), 0, "W3: then synced");
		say_equal(ring_wait(&ring, 50, NULL), -ETIME, "W13: which is nothing to read");
		say_equal(write(writer, "more\n", 5), 5, "W13: as another record is");
		say(ring_wait(&ring, PATIENCE_MS, &data) == POLLIN && data == 1, "W13: and says so");
		close(ring.fd);
	}
	close(reader);
	close(writer);
}

/* --- memory ----------------------------------------------------------------- */

static void test_faults(void)
{
	char *volatile nowhere = NULL;
	long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(node, O_RDWR | O_NONBLOCK);
	char *edge = map + 2 * page;
	struct kbroker_record record = { .size = 48 + 100, .partition = -1, .timestamp = -1, .value_len = 100,
					 .flags = KBROKER_RECORD_NULL_KEY };
	uint32_t format;
	int64_t end = log_end(fd);
	long got;

	memset(map, 'x', 4 * page);
	munmap(edge, 2 * page);
	memset(edge - 20, 'a', 20);
	say_equal(error_of(write(fd, edge - 10, 20)), -EFAULT, "F5: a short write that runs into nothing");
	edge[-5] = '\n';
	say_equal(error_of(write(fd, edge - 10, 20)), -EFAULT, "F5: also with a whole line before it");
	say_equal(error_of(write(fd, map + 1, 2 * page)), -EFAULT, "F5: a longer one");
	say_equal(error_of(write(fd, edge - 10, 1 << 20)), -EFAULT, "F5: a huge one");
	say_equal(error_of(write(fd, nowhere, 10)), -EFAULT, "F5: nothing at all");
	say_equal(log_end(fd), end, "F5: nothing of these was appended");
	say_equal(write(fd, "kept ", 5), 5, "L3: an unfinished line");
	say_equal(error_of(write(fd, edge - 10, 20)), -EFAULT, "F5: a fault behind it");
	say_equal(write(fd, "whole\n", 6), 6, "F5: leaves it as it was");
	fsync(fd);
	lseek(fd, end, SEEK_SET);
	got = read(fd, map, page);
	say(got == 11 && !memcmp(map, "kept whole\n", 11), "F5: and it is completed");

	format = KBROKER_FORMAT_RECORD;
	ioctl(fd, KBROKER_IOC_SET_FORMAT, &format);
	memcpy(edge - 100, &record, 48);
	say_equal(error_of(write(fd, edge - 100, 148)), -EFAULT, "F5: a record cut by a fault");
	format = KBROKER_FORMAT_BATCH;
	ioctl(fd, KBROKER_IOC_SET_FORMAT, &format);
	say_equal(error_of(write(fd, edge - 100, 148)), -EFAULT, "F5: a batch cut by a fault");
	say_equal(log_end(fd), end + 1, "F5: nothing of these either");

	lseek(fd, end, SEEK_SET);
	say_equal(error_of(read(fd, edge - 10, 4096)), -EFAULT, "F5: a batch read that faults");
	format = KBROKER_FORMAT_RECORD;
	ioctl(fd, KBROKER_IOC_SET_FORMAT, &format);
	say_equal(error_of(read(fd, edge - 10, 4096)), -EFAULT, "F5: a record read that faults");
	format = KBROKER_FORMAT_LINES;
	ioctl(fd, KBROKER_IOC_SET_FORMAT, &format);
	say_equal(error_of(read(fd, nowhere, 4096)), -EFAULT, "F5: a lines read that faults");
	got = read(fd, edge - 4, 4096);
	say(got == 4 && !memcmp(edge - 4, "kept", 4), "F5: a lines read that faults later returns what it had");
	got = read(fd, map, page);
	say(got == 7 && !memcmp(map, " whole\n", 7), "F5: and goes on there");
	munmap(map, 2 * page);
	close(fd);
}

static struct {
	char *buf;
	size_t len;
	atomic_bool stop;
} changing;

static void *change(void *arg)
{
	unsigned int n = 1;

	while (!atomic_load(&changing.stop)) {
		n = n * 1103515245 + 12345;
		((volatile char *)changing.buf)[(n >> 8) % changing.len] = n >> 25 ? 'c' : '\n';
	}
	return NULL;
}

static void put32(unsigned char *at, uint32_t v)
{
	at[0] = v >> 24;
	at[1] = v >> 16;
	at[2] = v >> 8;
	at[3] = v;
}

/* Every batch of the log from @from on is whole and its records can be read. */
static bool log_is_sound(int64_t from)
{
	uint32_t format = KBROKER_FORMAT_RECORD;
	int fd = open(node, O_RDONLY | O_NONBLOCK);
	static char buf[1 << 21];
	int64_t next = from;
	long got;

	ioctl(fd, KBROKER_IOC_SET_FORMAT, &format);
	lseek(fd, from, SEEK_SET);
	while ((got = read(fd, buf, sizeof(buf))) > 0) {
		struct kbroker_record *record = (void *)buf;

		if (record->offset != next++)
			break;
	}
	close(fd);
	return got < 0 && errno == EAGAIN;
}

static void test_changing(void)
{
	int fd = open(node, O_WRONLY), batches = open(node, O_WRONLY), records = open(node, O_WRONLY), i, taken = 0;
	static char buf[30000];
	struct kbroker_record *record = (void *)buf;
	uint32_t format = KBROKER_FORMAT_BATCH;
	int64_t from = log_end(fd);
	int32_t acks = 1;
	pthread_t thread;
	long got;

	ioctl(fd, KBROKER_IOC_SET_ACKS, &acks);
	ioctl(records, KBROKER_IOC_SET_ACKS, &acks);
	ioctl(batches, KBROKER_IOC_SET_FORMAT, &format);
	format = KBROKER_FORMAT_RECORD;
	ioctl(records, KBROKER_IOC_SET_FORMAT, &format);
	memset(buf, 'c', sizeof(buf));
	changing.buf = buf;
	changing.len = sizeof(buf);
	atomic_store(&changing.stop, false);
	pthread_create(&thread, NULL, change, NULL);
	for (i = 0; i < 100; i++) {
		size_t len = 1 + (size_t)i * 297 % sizeof(buf);

		got = write(fd, buf, len);
		taken += got > 0;
		*record = (struct kbroker_record) { .size = len + 48, .partition = -1, .timestamp = -1,
						    .value_len = len, .flags = KBROKER_RECORD_NULL_KEY };
		if (len + 48 <= sizeof(buf))
			(void)!write(records, buf, len + 48);
		/* a header that is nearly one */
		memset(buf, 0, 61);
		put32((unsigned char *)buf + 8, 200);
		buf[16] = 2;
		(void)!write(batches, buf, 212);
	}
	atomic_store(&changing.stop, true);
	pthread_join(thread, NULL);
	fsync(fd);
	fsync(records);
	say(taken > 60, "F6: memory that changes while it is written");
	say(log_is_sound(from), "F6: every record in the log is sound");
	close(fd);
	close(batches);
	close(records);
}

/* --- signals without restart ------------------------------------------------ */

static atomic_int hits;

static void on_signal(int number)
{
	atomic_fetch_add(&hits, 1);
}

static void *tease(void *arg)
{
	struct timespec step = { .tv_nsec = 200000 };

	while (!atomic_load(&changing.stop)) {
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
		nanosleep(&step, NULL);
	}
	return NULL;
}

static void test_eintr(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int reader = open(node, O_RDONLY), writer = open(node, O_WRONLY), i, written = 0, interrupted = 0, wrong = 0;
	pthread_t thread, self = pthread_self();
	int64_t end = log_end(writer);
	char buf[64];
	long got;

	sigaction(SIGUSR1, &action, NULL);
	lseek(reader, 0, SEEK_END);
	atomic_store(&changing.stop, false);
	pthread_create(&thread, NULL, tease, &self);
	got = error_of(read(reader, buf, sizeof(buf)));
	say_equal(got, -EINTR, "W12: a read that waits ends with EINTR");
	for (i = 0; i < 500; i++) {
		got = error_of(write(writer, "signalled\n", 10));
		written += got == 10;
		interrupted += got == -EINTR;
		wrong += got != 10 && got != -EINTR;
	}
	atomic_store(&changing.stop, true);
	pthread_join(thread, NULL);
	/* one at least is there to be read, however slow this machine is */
	written += write(writer, "signalled\n", 10) == 10;
	say_equal(wrong, 0, "W4: a write is taken or EINTR");
	say_equal(log_end(writer), end + written, "W4: what was EINTR was not appended");
	printf("# %d signals, %d writes interrupted\n", atomic_load(&hits), interrupted);
	got = error_of(read(reader, buf, 10));
	say_equal(got, 10, "W12: a read that was interrupted took nothing");
	close(reader);
	close(writer);
}

/* --- one open, many callers -------------------------------------------------- */

static int shared;

static void *hammer(void *arg)
{
	static const uint32_t formats[] = {
		KBROKER_FORMAT_LINES, KBROKER_FORMAT_RECORD, KBROKER_FORMAT_BATCH
	};
	unsigned int n = (uintptr_t)arg;
	struct kbroker_next next;
	char buf[65536];
	int i;

	for (i = 0; i < 3000; i++) {
		n = n * 1103515245 + 12345;
		switch (n >> 16 & 7) {
		case 0:
			lseek(shared, n >> 20, SEEK_SET);
			break;
		case 1:
			ioctl(shared, KBROKER_IOC_SET_FORMAT, &formats[(n >> 20) % 3]);
			break;
		case 2:
			ioctl(shared, KBROKER_IOC_NEXT, &next);
			break;
		case 3:
			(void)!write(shared, "hammered\n", 9);
			break;
		case 4:
			log_end(shared);
			break;
		default:
			(void)!read(shared, buf, 1 + (n >> 16) % sizeof(buf));
		}
	}
	return NULL;
}

static void test_hammer(const char *path)
{
	pthread_t threads[4];
	int32_t acks = 1;
	uintptr_t i;

	shared = open(path, O_RDWR | O_NONBLOCK);
	ioctl(shared, KBROKER_IOC_SET_ACKS, &acks);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, hammer, (void *)(i + 1));
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	say(!fsync(shared) || errno == EBADMSG, "P14, W11: four threads do everything through one open");
	close(shared);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	node = argv[1];
	async_node = argv[3];
	alarm(280);
	test_faults();
	test_changing();
	test_eintr();
	test_ring();
	test_ring_sync();
	test_ring_group(argv[2]);
	test_hammer(node);
	test_hammer(argv[2]);
	say(log_is_sound(0), "the log is sound");
	printf("1..%d\n", tests);
	return failed > 0;
}
