// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is measured in the virtual machine: clients of kbroker and of what it is
 * compared with, each bracketed by markers of the instruction counter.
 *
 *	client produce TOPIC RECORDS ROUNDS	through libkbroker
 *	client consume TOPIC RECORDS ROUNDS
 *	client append PATH RECORDS ROUNDS	one write() a record (device or file)
 *	client wake PATH|- TIMES		write() to a blocked reader's return;
 *						- is a pipe
 *	client takeover PATH|- TIMES		SIGKILL of a member of a group to its
 *						successor's first record; -: of a
 *						pipe's writer to its reader's end of file
 *	client joins TOPIC MEMBERS TIMES	read() of records that are there, by members
 *						of a group with two partitions each, while
 *						nobody and while another one joins and leaves
 *	client sync PATH TIMES			write(), and fdatasync() unless PATH
 *						is a device
 *	client batches TOPIC PARTITIONS THREADS BATCHES
 *						acknowledged batches and the disk's
 *						flushes meanwhile
 *	client transfer BYTES ROUNDS		BYTES through a loopback connection, 64 KiB a time
 *	client commits TOPIC THREADS COMMITS	the same of offsets that as many groups
 *						commit at 127.0.0.1:9092
 *
 * Markers: 1 and 2 around each round, 3 before the write() or kill() that wakes, 4
 * after the read() it woke. Prints JSON. tests/bench/run makes sense of it.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kbroker/kbroker.h>
#include <linux/kbroker.h>

#include "icount.h"

#define RECORD_BYTES	100
#define BATCH_BYTES	1024

static void die(const char *what, int error)
{
	fprintf(stderr, "client: %s: %s\n", what, strerror(error));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void print_times(int64_t *ns, long n)
{
	qsort(ns, n, sizeof(*ns), by_value);
	printf("{\"n\": %ld, \"p50_ns\": %" PRId64 ", \"p99_ns\": %" PRId64 ", \"p999_ns\": %" PRId64 "}\n",
	       n, ns[n / 2], ns[n * 99 / 100], ns[n * 999 / 1000]);
}

static int produce(const char *topic, long records, int rounds)
{
	struct kbroker_producer_config config = KBROKER_PRODUCER_CONFIG_INIT;
	struct kbroker_message message = KBROKER_MESSAGE_INIT;
	struct kbroker_producer *producer;
	char value[RECORD_BYTES];
	int err, round;
	long i;

	memset(value, 'x', sizeof(value));
	config.batch_bytes = 64 * 1024;
	config.linger_ms = 100;
	err = kbroker_producer_open(&producer, topic, &config);
	if (err)
		die(topic, -err);
	message.value = value;
	message.value_len = sizeof(value);
	message.partition = 0;
	for (round = 0; round < rounds; round++) {
		icount_mark(1);
		for (i = 0; i < records; i++) {
			err = kbroker_producer_send(producer, &message, NULL);
			if (err)
				die("send", -err);
		}
		err = kbroker_producer_flush(producer, -1);
		icount_mark(2);
		if (err)
			die("flush", -err);
	}
	err = kbroker_producer_close(producer);
	return err ? 1 : 0;
}

static int consume(const char *topic, long records, int rounds)
{
	struct kbroker_consumer *consumer;
	struct kbroker_message message;
	unsigned long sum = 0;
	int err, round;
	long i;

	err = kbroker_consumer_open(&consumer, topic, NULL);
	if (err)
		die(topic, -err);
	err = kbroker_consumer_assign(consumer, 0, KBROKER_OFFSET_BEGIN);
	if (err)
		die("assign", -err);
	for (round = 0; round < rounds; round++) {
		icount_mark(1);
		for (i = 0; i < records; i++) {
			err = kbroker_consumer_poll(consumer, &message, 5000);
			if (err != 1)
				die("poll", err ? -err : ETIMEDOUT);
			sum += message.value_len;
		}
		icount_mark(2);
	}
	kbroker_consumer_close(consumer);
	return sum == (unsigned long)records * rounds * RECORD_BYTES ? 0 : 1;
}

static int append(const char *path, long records, int rounds)
{
	char line[RECORD_BYTES + 1];
	int fd, round;
	long i;

	memset(line, 'x', RECORD_BYTES);
	line[RECORD_BYTES] = '\n';
	/* O_CREAT is for plain files; a device is not created by a typo */
	fd = open(path, O_WRONLY | O_APPEND | (strncmp(path, "/dev/", 5) ? O_CREAT : 0), 0644);
	if (fd < 0)
		die(path, errno);
	for (round = 0; round < rounds; round++) {
		icount_mark(1);
		for (i = 0; i < records; i++)
			if (write(fd, line, sizeof(line)) != sizeof(line))
				die("write", errno);
		icount_mark(2);
	}
	close(fd);
	return 0;
}

struct wake {
	int fd;
	long times;
	int64_t *ns;
	int64_t sent;
	sem_t read;
};

static void *wake_reader(void *arg)
{
	struct wake *wake = arg;
	char line[RECORD_BYTES + 1];
	long i;

	for (i = 0; i < wake->times; i++) {
		if (read(wake->fd, line, sizeof(line)) != sizeof(line))
			die("read", errno);
		icount_mark(4);
		wake->ns[i] = now_ns() - __atomic_load_n(&wake->sent, __ATOMIC_ACQUIRE);
		sem_post(&wake->read);
	}
	return NULL;
}

static int wake(const char *path, long times)
{
	struct wake wake = { .times = times };
	char line[RECORD_BYTES + 1];
	int fds[2], fd;
	pthread_t thread;
	long i;

	memset(line, 'x', RECORD_BYTES);
	line[RECORD_BYTES] = '\n';
	if (!strcmp(path, "-")) {
		if (pipe(fds))
			die("pipe", errno);
		wake.fd = fds[0];
		fd = fds[1];
	} else {
		wake.fd = open(path, O_RDONLY);
		fd = open(path, O_WRONLY);
		if (wake.fd < 0 || fd < 0)
			die(path, errno);
	}
	wake.ns = calloc(times, sizeof(*wake.ns));
	sem_init(&wake.read, 0, 0);
	if (!wake.ns || pthread_create(&thread, NULL, wake_reader, &wake))
		die("thread", errno);
	for (i = 0; i < times; i++) {
		/* until the reader sleeps: it is the one that sleeps soonest */
		usleep(300);
		__atomic_store_n(&wake.sent, now_ns(), __ATOMIC_RELEASE);
		icount_mark(3);
		if (write(fd, line, sizeof(line)) != sizeof(line))
			die("write", errno);
		sem_wait(&wake.read);
	}
	pthread_join(thread, NULL);
	print_times(wake.ns, times);
	return 0;
}

/* Who is to die: has what the reader waits for. @fd: it is ready */
static void takeover_victim(const char *path, int fd, int writer)
{
	char line[RECORD_BYTES + 1];
	int device = -1;

	if (writer < 0) {
		device = open(path, O_RDONLY);
		if (device < 0 || read(device, line, sizeof(line)) != sizeof(line))
			die(path, errno);
	}
	if (write(fd, "", 1) != 1)
		die("write", errno);
	for (;;)
		pause();
}

static void *takeover_reader(void *arg)
{
	struct wake *wake = arg;
	char line[RECORD_BYTES + 1];

	if (read(wake->fd, line, sizeof(line)) < 0)
		die("read", errno);
	icount_mark(4);
	wake->ns[0] = now_ns() - __atomic_load_n(&wake->sent, __ATOMIC_ACQUIRE);
	return NULL;
}

static int64_t takeover_once(const char *path)
{
	struct wake wake = { .fd = -1 };
	int fds[2] = { -1, -1 }, ready[2];
	pthread_t thread;
	int64_t ns = 0;
	pid_t pid;
	char c;

	wake.ns = &ns;
	if (pipe(ready) || (!strcmp(path, "-") && pipe(fds)))
		die("pipe", errno);
	pid = fork();
	if (!pid) {
		if (fds[0] >= 0)
			close(fds[0]);
		takeover_victim(path, ready[1], fds[1]);
	}
	if (fds[1] >= 0)
		close(fds[1]);
	if (pid < 0 || read(ready[0], &c, 1) != 1)
		die("fork", errno);
	/* a member without a partition until the other one dies */
	wake.fd = fds[0] >= 0 ? fds[0] : open(path, O_RDONLY);
	if (wake.fd < 0)
		die(path, errno);
	if (pthread_create(&thread, NULL, takeover_reader, &wake))
		die("thread", errno);
	usleep(2000);	/* until it sleeps: it has nothing else to do */
	__atomic_store_n(&wake.sent, now_ns(), __ATOMIC_RELEASE);
	icount_mark(3);
	kill(pid, SIGKILL);
	pthread_join(thread, NULL);
	waitpid(pid, NULL, 0);
	close(wake.fd);
	close(ready[0]);
	close(ready[1]);
	return ns;
}

static int takeover(const char *path, long times)
{
	int64_t *ns = calloc(times, sizeof(*ns));
	char line[RECORD_BYTES + 1], node[128];
	int fd;
	long i;

	if (!ns)
		die("memory", ENOMEM);
	if (strcmp(path, "-")) {
		memset(line, 'x', RECORD_BYTES);
		line[RECORD_BYTES] = '\n';
		snprintf(node, sizeof(node), "%.*s/0", (int)(strrchr(path, '/') - path), path);
		fd = open(node, O_WRONLY);
		if (fd < 0 || write(fd, line, sizeof(line)) != sizeof(line))
			die(node, errno);
		close(fd);
	}
	for (i = 0; i < times; i++)
		ns[i] = takeover_once(path);
	print_times(ns, times);
	return 0;
}

static volatile int joins_end;

static void *joins_another(void *arg)
{
	int64_t count = 0;
	int fd;

	while (!joins_end) {
		fd = open(arg, O_RDONLY);
		if (fd < 0)
			die(arg, errno);
		close(fd);
		count++;
		usleep(1000);
	}
	return (void *)count;
}

/* One record to a partition of member @i, which reads it: the time of its read(). */
static int64_t joins_read(int *writers, int *members, int i, long *missed)
{
	struct kbroker_share share = { .room = 4 };
	char line[RECORD_BYTES + 1];
	uint64_t generation;
	uint32_t list[4];
	int64_t start;
	ssize_t len;

	share.partitions = (uintptr_t)list;
	memset(line, 'x', RECORD_BYTES);
	line[RECORD_BYTES] = '\n';
	if (ioctl(members[i], KBROKER_IOC_GET_SHARE, &share) || !share.count)
		die("GET_SHARE", errno);
	generation = share.generation;
	if (write(writers[list[0]], line, sizeof(line)) != sizeof(line))
		die("write", errno);
	start = now_ns();
	len = read(members[i], line, sizeof(line));
	start = now_ns() - start;
	if (len < 0 && errno != EAGAIN)
		die("read", errno);
	if (len < 0) {
		/* did it keep what it had? */
		if (ioctl(members[i], KBROKER_IOC_GET_SHARE, &share))
			die("GET_SHARE", errno);
		*missed += share.generation == generation;
	}
	return start;
}

static int joins(const char *topic, int count, long times)
{
	int *members = calloc(count, sizeof(int)), *writers = calloc(2 * count, sizeof(int));
	int64_t *ns = calloc(times, sizeof(*ns)), p50[2], p99[2];
	long missed = 0, i, round;
	void *joined = NULL;
	pthread_t thread;
	char path[128];

	if (!members || !writers || !ns)
		die("memory", ENOMEM);
	for (i = 0; i < 2 * count; i++) {
		snprintf(path, sizeof(path), "/dev/kbroker/%s/%ld", topic, i);
		writers[i] = open(path, O_WRONLY);
		if (writers[i] < 0)
			die(path, errno);
	}
	snprintf(path, sizeof(path), "/dev/kbroker/%s/@joins", topic);
	for (i = 0; i < count; i++) {
		members[i] = open(path, O_RDONLY | O_NONBLOCK);
		if (members[i] < 0)
			die(path, errno);
	}
	for (round = 0; round < 2; round++) {
		if (round && pthread_create(&thread, NULL, joins_another, path))
			die("thread", errno);
		for (i = 0; i < times; i++)
			ns[i] = joins_read(writers, members, i % count, &missed);
		qsort(ns, times, sizeof(*ns), by_value);
		p50[round] = ns[times / 2];
		p99[round] = ns[times * 99 / 100];
	}
	joins_end = 1;
	pthread_join(thread, &joined);
	printf("{\"members\": %d, \"reads\": %ld, \"joins\": %ld, \"missed\": %ld, \"p50_ns\": %" PRId64
	       ", \"p99_ns\": %" PRId64 ", \"p50_joins_ns\": %" PRId64 ", \"p99_joins_ns\": %" PRId64 "}\n",
	       count, times, (long)joined, missed, p50[0], p99[0], p50[1], p99[1]);
	return 0;
}

static int synced(const char *path, long times)
{
	int device = !strncmp(path, "/dev/", 5);
	char line[RECORD_BYTES + 1];
	int64_t *ns = calloc(times, sizeof(*ns)), start;
	long i;
	int fd;

	memset(line, 'x', RECORD_BYTES);
	line[RECORD_BYTES] = '\n';
	fd = open(path, O_WRONLY | O_APPEND | (device ? 0 : O_CREAT), 0644);
	if (fd < 0 || !ns)
		die(path, errno);
	for (i = 0; i < times; i++) {
		start = now_ns();
		if (write(fd, line, sizeof(line)) != sizeof(line) || (!device && fdatasync(fd)))
			die("write", errno);
		ns[i] = now_ns() - start;
	}
	print_times(ns, times);
	return 0;
}

/* Flushes completed by the disk: field 16 of its statistics. */
static long disk_flushes(void)
{
	long field[17] = { 0 };
	FILE *stat = fopen("/sys/block/vda/stat", "r");
	int i;

	if (!stat)
		die("/sys/block/vda/stat", errno);
	for (i = 0; i < 17; i++)
		if (fscanf(stat, "%ld", &field[i]) != 1)
			die("/sys/block/vda/stat", EINVAL);
	fclose(stat);
	return field[15];
}

struct writer {
	char path[128];
	long batches;
	pthread_barrier_t *start;
};

static void *write_batches(void *arg)
{
	struct writer *writer = arg;
	char line[BATCH_BYTES];
	int fd = open(writer->path, O_WRONLY);
	long i;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	if (fd < 0)
		die(writer->path, errno);
	pthread_barrier_wait(writer->start);
	for (i = 0; i < writer->batches; i++)
		if (write(fd, line, sizeof(line)) != sizeof(line))
			die("write", errno);
	close(fd);
	return NULL;
}

static int batches(const char *topic, int partitions, int threads, long total)
{
	const char *devices = getenv("KBROKER_DEVICES");
	struct writer *writer = calloc(threads, sizeof(*writer));
	pthread_t *thread = calloc(threads, sizeof(*thread));
	pthread_barrier_t begin;
	int64_t start;
	long before;
	int i;

	if (!writer || !thread || pthread_barrier_init(&begin, NULL, threads + 1))
		die("memory", ENOMEM);
	for (i = 0; i < threads; i++) {
		snprintf(writer[i].path, sizeof(writer[i].path), "%s/%s/%d", devices ?: "/dev/kbroker", topic,
			 i % partitions);
		writer[i].batches = total / threads;
		writer[i].start = &begin;
		if (pthread_create(&thread[i], NULL, write_batches, &writer[i]))
			die("thread", errno);
	}
	sync();
	before = disk_flushes();
	start = now_ns();
	pthread_barrier_wait(&begin);
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("{\"batches\": %ld, \"flushes\": %ld, \"seconds\": %.3f}\n", total / threads * threads,
	       disk_flushes() - before, (now_ns() - start) / 1e9);
	return 0;
}

static void *receive_all(void *arg)
{
	char *chunk = malloc(64 * 1024);
	int fd = *(int *)arg;

	if (!chunk)
		die("memory", ENOMEM);
	while (recv(fd, chunk, 64 * 1024, 0) > 0)
		;
	free(chunk);
	return NULL;
}

static void send_all(int fd, const char *chunk, long bytes)
{
	ssize_t sent;

	for (; bytes > 0; bytes -= sent) {
		sent = send(fd, chunk, bytes < 64 * 1024 ? bytes : 64 * 1024, 0);
		if (sent < 0)
			die("send", errno);
	}
}

static int transfer(long bytes, int rounds)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd, peer, round;
	char *chunk = calloc(1, 64 * 1024);
	socklen_t len = sizeof(to);
	pthread_t thread;

	if (!chunk || bind(listener, (struct sockaddr *)&to, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&to, &len))
		die("loopback", errno);
	for (round = 0; round < rounds; round++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
			die("connect", errno);
		peer = accept(listener, NULL, NULL);
		icount_mark(1);
		if (peer < 0 || pthread_create(&thread, NULL, receive_all, &peer))
			die("loopback", errno);
		send_all(fd, chunk, bytes);
		shutdown(fd, SHUT_WR);
		pthread_join(thread, NULL);
		icount_mark(2);
		close(fd);
		close(peer);
	}
	return 0;
}

struct committer {
	char request[256];
	size_t len;
	size_t offset_at;
	long commits;
	int fd;
	pthread_barrier_t *start;
};

static void put(struct committer *c, const void *data, size_t len)
{
	memcpy(c->request + c->len, data, len);
	c->len += len;
}

static void put16(struct committer *c, uint16_t number)
{
	number = htobe16(number);
	put(c, &number, sizeof(number));
}

static void put32(struct committer *c, uint32_t number)
{
	number = htobe32(number);
	put(c, &number, sizeof(number));
}

static void put64(struct committer *c, uint64_t number)
{
	number = htobe64(number);
	put(c, &number, sizeof(number));
}

static void put_string(struct committer *c, const char *text)
{
	put16(c, strlen(text));
	put(c, text, strlen(text));
}

/* OffsetCommit, version 2, of somebody who is no member */
static void make_commit(struct committer *c, const char *topic, int number)
{
	char group[24];

	snprintf(group, sizeof(group), "bench-%d", number);
	put32(c, 0);
	put16(c, 8);
	put16(c, 2);
	put32(c, 0);
	put_string(c, "bench");
	put_string(c, group);
	put32(c, -1);
	put_string(c, "");
	put64(c, -1);
	put32(c, 1);
	put_string(c, topic);
	put32(c, 1);
	put32(c, 0);
	c->offset_at = c->len;
	put64(c, 0);
	put_string(c, "");
	*(uint32_t *)c->request = htobe32(c->len - 4);
}

static int receive(int fd, void *data, size_t len)
{
	return recv(fd, data, len, MSG_WAITALL) == (ssize_t)len ? 0 : -EPIPE;
}

/* What was committed, acknowledged; Kafka's error is at the end of the answer. */
static int commit(struct committer *c, uint64_t offset)
{
	unsigned char answer[256];
	uint32_t len;

	offset = htobe64(offset);
	memcpy(c->request + c->offset_at, &offset, sizeof(offset));
	if (send(c->fd, c->request, c->len, 0) != (ssize_t)c->len || receive(c->fd, &len, sizeof(len)))
		return -EPIPE;
	len = be32toh(len);
	if (len > sizeof(answer) || receive(c->fd, answer, len))
		return -EPIPE;
	return answer[len - 2] << 8 | answer[len - 1];
}

static void *write_commits(void *arg)
{
	struct committer *c = arg;
	long i;
	int err;

	/* the first one makes __consumer_offsets, and is refused until it is there */
	while ((err = commit(c, 0)) == 14 || err == 15 || err == 16)
		usleep(10000);
	pthread_barrier_wait(c->start);
	for (i = 1; i <= c->commits && !err; i++)
		err = commit(c, i);
	if (err)
		die("commit", err < 0 ? -err : EREMOTEIO);
	close(c->fd);
	return NULL;
}

static int commits(const char *topic, int threads, long total)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9092), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct committer *committer = calloc(threads, sizeof(*committer));
	pthread_t *thread = calloc(threads, sizeof(*thread));
	pthread_barrier_t begin;
	int64_t start;
	long before;
	int i;

	if (!committer || !thread || pthread_barrier_init(&begin, NULL, threads + 1))
		die("memory", ENOMEM);
	for (i = 0; i < threads; i++) {
		make_commit(&committer[i], topic, i);
		committer[i].commits = total / threads;
		committer[i].start = &begin;
		committer[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(committer[i].fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		if (connect(committer[i].fd, (struct sockaddr *)&to, sizeof(to)))
			die("127.0.0.1:9092", errno);
		if (pthread_create(&thread[i], NULL, write_commits, &committer[i]))
			die("thread", errno);
	}
	pthread_barrier_wait(&begin);
	before = disk_flushes();
	start = now_ns();
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("{\"batches\": %ld, \"flushes\": %ld, \"seconds\": %.3f}\n", total / threads * threads,
	       disk_flushes() - before, (now_ns() - start) / 1e9);
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 5 && !strcmp(argv[1], "produce"))
		return produce(argv[2], atol(argv[3]), atoi(argv[4]));
	if (argc == 5 && !strcmp(argv[1], "consume"))
		return consume(argv[2], atol(argv[3]), atoi(argv[4]));
	if (argc == 5 && !strcmp(argv[1], "append"))
		return append(argv[2], atol(argv[3]), atoi(argv[4]));
	if (argc == 4 && !strcmp(argv[1], "wake"))
		return wake(argv[2], atol(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "takeover"))
		return takeover(argv[2], atol(argv[3]));
	if (argc == 5 && !strcmp(argv[1], "joins"))
		return joins(argv[2], atoi(argv[3]), atol(argv[4]));
	if (argc == 4 && !strcmp(argv[1], "sync"))
		return synced(argv[2], atol(argv[3]));
	if (argc == 6 && !strcmp(argv[1], "batches"))
		return batches(argv[2], atoi(argv[3]), atoi(argv[4]), atol(argv[5]));
	if (argc == 4 && !strcmp(argv[1], "transfer"))
		return transfer(atol(argv[2]), atoi(argv[3]));
	if (argc == 5 && !strcmp(argv[1], "commits"))
		return commits(argv[2], atoi(argv[3]), atol(argv[4]));
	fprintf(stderr, "usage: client produce|consume|append|wake|takeover|joins|sync|batches|transfer|commits ...\n");
	return 2;
}
