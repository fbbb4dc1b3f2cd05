// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a script can't do to a device: memory whose pages come late
 * (userfaultfd), memory that changes or goes away while it is written.
 *
 *	spec_calls late-write NODE TOPIC
 *	spec_calls late-read NODE TOPIC
 *	spec_calls changing NODE
 *	spec_calls vanishing NODE
 *
 * Exit status 0 as it should be, 1 with a sentence if not, 4 if this kernel
 * has no such thing.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kbroker.h>
#include <linux/userfaultfd.h>

#define SKIP 4
#define PAGE 4096ul

static void __attribute__((noreturn, format(printf, 1, 2))) bad(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf(" (errno %d: %s)\n", errno, strerror(errno));
	exit(1);
}

static int open_node(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		bad("cannot open %s", path);
	return fd;
}

/* ---- pages that come late ---- */

struct late {
	int uffd;
	char *area;	/* two pages; the second is not there yet */
};

static int late_begin(struct late *late)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	late->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (late->uffd < 0)
		return SKIP;
	if (ioctl(late->uffd, UFFDIO_API, &api))
		bad("UFFDIO_API");
	late->area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (late->area == MAP_FAILED)
		bad("mmap");
	memset(late->area, 'x', PAGE);
	range.range.start = (unsigned long)late->area + PAGE;
	range.range.len = PAGE;
	if (ioctl(late->uffd, UFFDIO_REGISTER, &range))
		bad("UFFDIO_REGISTER");
	return 0;
}

/* Somebody waits for the second page. */
static void late_wait(struct late *late)
{
	struct pollfd fault = { .fd = late->uffd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&fault, 1, 60000) != 1 || read(late->uffd, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_PAGEFAULT)
		bad("nobody touched the page that is not there");
}

static void late_end(struct late *late, const char *page)
{
	struct uffdio_copy copy = {
		.dst = (unsigned long)late->area + PAGE, .src = (unsigned long)page, .len = PAGE,
	};

	if (ioctl(late->uffd, UFFDIO_COPY, &copy))
		bad("UFFDIO_COPY");
}

struct call {
	int fd;
	char *at;
	size_t len;
	ssize_t ret;
	int error;
};

static void *late_writer(void *arg)
{
	struct call *call = arg;

	call->ret = write(call->fd, call->at, call->len);
	call->error = errno;
	return NULL;
}

static void *late_reader(void *arg)
{
	struct call *call = arg;

	call->ret = read(call->fd, call->at, call->len);
	call->error = errno;
	return NULL;
}

static void put(const char *node, const char *text)
{
	int fd = open_node(node, O_WRONLY);

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		bad("writing %s", text);
	close(fd);
}

static void expect(int fd, const char *text)
{
	char got[64] = "";

	if (read(fd, got, strlen(text)) != (ssize_t)strlen(text) || memcmp(got, text, strlen(text)))
		bad("read \"%s\", not \"%s\"", got, text);
}

static void delete_topic(const char *topic)
{
	char command[128];

	snprintf(command, sizeof(command), "kbroker topic delete %s >/dev/null", topic);
	if (system(command))
		bad("%s", command);
}

static int late_write(char **argv)
{
	char page[PAGE];
	struct late late;
	struct call call;
	pthread_t thread;
	int reader, i;

	if (late_begin(&late))
		return SKIP;
	memset(page, 'y', PAGE);
	page[PAGE - 1] = '\n';
	reader = open_node(argv[0], O_RDONLY);
	/* twice: the page comes, the topic goes */
	for (i = 0; i < 2; i++) {
		call = (struct call){ .fd = open_node(argv[0], O_WRONLY), .at = late.area, .len = 2 * PAGE };
		pthread_create(&thread, NULL, late_writer, &call);
		late_wait(&late);
		put(argv[0], "others write\n");
		expect(reader, "others write\n");
		if (i)
			delete_topic(argv[1]);
		late_end(&late, page);
		pthread_join(thread, NULL);
		if (i) {
			if (call.ret != -1 || call.error != ENODEV)
				bad("a write to a deleted topic returned %zd, errno %d", call.ret, call.error);
			break;
		}
		if (call.ret != 2 * PAGE)
			bad("the write returned %zd, errno %d", call.ret, call.error);
		if (read(reader, page, PAGE) != PAGE || page[0] != 'x' ||
		    read(reader, page, PAGE) != PAGE || page[PAGE - 1] != '\n')
			bad("the late line is not what was written");
		close(call.fd);
		madvise(late.area + PAGE, PAGE, MADV_DONTNEED);
	}
	return 0;
}

static int late_read(char **argv)
{
	char page[PAGE] = "";
	struct late late;
	struct call call;
	pthread_t thread;
	int reader, i;

	if (late_begin(&late))
		return SKIP;
	for (i = 0; i < 1000; i++)
		put(argv[0], "0123456789\n");
	for (i = 0; i < 2; i++) {
		call = (struct call){ .fd = open_node(argv[0], O_RDONLY), .at = late.area, .len = 2 * PAGE };
		pthread_create(&thread, NULL, late_reader, &call);
		late_wait(&late);
		reader = open_node(argv[0], O_RDONLY);
		expect(reader, "0123456789\n");
		put(argv[0], "others write\n");
		lseek(reader, 1000 + i, SEEK_SET);
		expect(reader, "others write\n");
		close(reader);
		if (i)
			delete_topic(argv[1]);
		late_end(&late, page);
		pthread_join(thread, NULL);
		if (call.ret != 2 * PAGE || memcmp(late.area + PAGE, "456789\n0", 8))
			bad("the read returned %zd, errno %d, and %.8s", call.ret, call.error, late.area + PAGE);
		close(call.fd);
		madvise(late.area + PAGE, PAGE, MADV_DONTNEED);
	}
	return 0;
}

/* ---- memory that changes, or goes, while it is written ---- */

static volatile bool stop;

static void *change(void *arg)
{
	volatile char *area = arg;
	unsigned int at = 1;

	while (!stop) {
		at = at * 1103515245 + 12345;
		area[(at >> 8) % (PAGE - 1)] = at >> 30 ? 'a' : '\n';
	}
	return NULL;
}

static void *vanish(void *arg)
{
	while (!stop) {
		mprotect(arg, PAGE, PROT_NONE);
		mprotect(arg, PAGE, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

/* What went in comes out, to the byte, whatever the pages did meanwhile. */
static int wild(const char *node, void *(*how)(void *arg), int rounds)
{
	char *area = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), got[4096];
	int fd = open_node(node, O_WRONLY), reader = open_node(node, O_RDONLY | O_NONBLOCK);
	int done = 0, refused = 0, acks = 1;
	size_t in = 0, out = 0;
	pthread_t thread;
	ssize_t n;

	memset(area, 'a', PAGE);
	area[PAGE - 1] = '\n';
	ioctl(fd, KBROKER_IOC_SET_ACKS, &acks);
	pthread_create(&thread, NULL, how, area);
	/* until both were seen; a user-mode kernel never minds the protection */
	while (done < rounds || (how == vanish && !refused && done < 20 * rounds)) {
		n = write(fd, area, PAGE);
		if (n > 0) {
			in += n;
			done++;
		} else if (n < 0 && errno == EFAULT && how == vanish) {
			refused++;
		} else {
			bad("a write returned %zd", n);
		}
	}
	stop = true;
	pthread_join(thread, NULL);
	if (fsync(fd))
		bad("fsync");
	/* Of an unfinished line at the end fsync() has made a record. */
	while ((n = read(reader, got, sizeof(got))) > 0) {
		out += n;
		if (out == in + 1 && got[n - 1] == '\n')
			in++;
	}
	if (n < 0 && errno != EAGAIN)
		bad("reading back");
	if (in != out)
		bad("%zu bytes were written, %zu are there", in, out);
	return 0;
}

int main(int argc, char **argv)
{
	alarm(100);
	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "late-write"))
		return late_write(argv + 2);
	if (!strcmp(argv[1], "late-read"))
		return late_read(argv + 2);
	if (!strcmp(argv[1], "changing"))
		return wild(argv[2], change, 300);
	if (!strcmp(argv[1], "vanishing"))
		return wild(argv[2], vanish, 100);
	return 2;
}
