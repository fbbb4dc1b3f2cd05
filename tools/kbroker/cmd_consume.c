// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker consume": read the partitions of a topic and print their records.
 *
 * Each partition is an open device in batch format. What is there is printed
 * batch by batch, the partitions in turn; at the end of all of them the
 * command waits in epoll. Order holds inside a partition, as always.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "kbroker.h"
#include "logdir.h"
#include "printer.h"

#define READ_BYTES	(1u << 20)
#define EVENTS_MAX	64
/* how often to look for new partitions */
#define LOOK_MS		1000

enum start_kind { START_END, START_BEGINNING, START_OFFSET, START_BACK, START_TIME };

/**
 * struct source - one partition being read
 * @partition: its number
 * @fd: device, -1 once it is done
 * @next: next offset to print (records below it in a batch are skipped)
 * @stop: --exit: end as it was at the start; INT64_MAX otherwise
 * @ready: there may be something to read
 */
struct source {
	int32_t partition;
	int fd;
	int64_t next;
	int64_t stop;
	bool ready;
};

/**
 * struct consume - the state of the command
 * @dev: the topic
 * @sources: its partitions
 * @count: how many
 * @partitions: partitions that the topic had when last looked at
 * @all: partitions that are added are read, too
 * @open: how many aren't done
 * @epfd: epoll
 * @start: where to begin
 * @start_value: offset, distance or time, as @start says
 * @until: stop at records of this time (ms) or later; INT64_MAX none
 * @lost: times that retention overtook a reader
 * @printer: how to print
 * @walk: record walker
 * @buf: read buffer
 * @buf_size: its size
 */
struct consume {
	struct kb_topic_dev dev;
	struct source *sources;
	uint32_t count;
	uint32_t partitions;
	uint32_t open;
	bool all;
	int epfd;
	enum start_kind start;
	int64_t start_value;
	int64_t until;
	uint64_t lost;
	struct kb_printer printer;
	struct kb_batch_walk walk;
	char *buf;
	size_t buf_size;
};

static const struct kb_opt consume_opts[] = {
	{ "group", 'G', "CONSUMER-GROUP", "read as a member of this consumer group, and go on where it was" },
	{ "partition", 'p', "LIST", "only these partitions (0,2,5-7); default: all" },
	{ "from-beginning", 0, NULL, "begin with the oldest record" },
	{ "offset", 'o', "beginning|end|N|-N|@TIME",
	  "begin there: an offset, the last N records, or a time (ms, -2h, 2026-01-31T12:00Z)", true },
	{ "until", 0, "TIME", "stop at the first record of that time or later, in each partition" },
	{ "count", 'c', "N", "stop after N records" },
	{ "exit", 'e', NULL, "stop at what was the end when the command began" },
	{ "timeout-ms", 0, "MS", "stop when nothing came for so long" },
	{ "format", 'f', "FORMAT", "print records so: %s %S %R %k %K %h %t %p %o %T, as kcat does" },
	{ "key-separator", 'K', "TEXT", "print the key and this before each value" },
	{ "delimiter", 'D', "TEXT", "print this after each value (default: \\n)" },
	{ "null", 'Z', NULL, "print NULL for null keys and values" },
	{ "unbuffered", 'u', NULL, "write out each record at once" },
	{ 0 }
};

static void finish_source(struct consume *c, struct source *src)
{
	if (src->fd < 0)
		return;
	close(src->fd);
	src->fd = -1;
	src->ready = false;
	c->open--;
}

static int parse_offset(struct consume *c, const char *text)
{
	int64_t val;
	int ret;

	if (!strncmp(text, "e@", 2))
		return kb_parse_time("--offset e@", text + 2, &c->until);
	if (!strcmp(text, "beginning")) {
		c->start = START_BEGINNING;
		return KB_OK;
	}
	if (!strcmp(text, "end")) {
		c->start = START_END;
		return KB_OK;
	}
	if (text[0] == '@' || !strncmp(text, "s@", 2)) {
		c->start = START_TIME;
		return kb_parse_time("--offset @", strchr(text, '@') + 1, &c->start_value);
	}
	if (!strcmp(text, "stored"))
		return kb_usage("--offset: there are no stored offsets without a group");
	ret = kb_arg_s64("--offset", text, -INT64_MAX, INT64_MAX, &val);
	if (ret != KB_OK)
		return ret;
	c->start = val < 0 || text[0] == '-' ? START_BACK : START_OFFSET;
	c->start_value = val < 0 ? -val : val;
	return KB_OK;
}

static int read_options(struct consume *c)
{
	const char *text;
	int ret;
	size_t i;

	c->until = INT64_MAX;
	c->start = kb_opt_has("exit") || kb_opt_has("until") ? START_BEGINNING : START_END;
	if (kb_opt_has("from-beginning")) {
		c->start = START_BEGINNING;
		if (kb_opt_has("offset"))
			return kb_usage("--from-beginning and --offset exclude each other");
	}
	for (i = 0; (text = kb_opt_nth("offset", i)); i++) {
		ret = parse_offset(c, text);
		if (ret != KB_OK)
			return ret;
	}
	text = kb_opt_get("until");
	if (text) {
		ret = kb_parse_time("--until", text[0] == '@' ? text + 1 : text, &c->until);
		if (ret != KB_OK)
			return ret;
	}
	return kb_printer_init(&c->printer);
}

static int seek_failed(const struct consume *c, const struct source *src, int err)
{
	return kb_fail(err, NULL, "partition %" PRId32 " of %s: cannot go to the start: %s",
		       src->partition, c->dev.topic, strerror(err));
}

/* bring a fresh open to where reading begins */
static int seek_source(const struct consume *c, struct source *src)
{
	struct kbroker_position pos = { .partition = -1 };
	struct kbroker_seek_time time = { .timestamp = c->start_value, .partition = -1 };
	off_t reached = 0;

	if (ioctl(src->fd, KBROKER_IOC_GET_POSITION, &pos))
		return seek_failed(c, src, errno);
	src->stop = kb_opt_has("exit") ? pos.high_watermark : INT64_MAX;
	switch (c->start) {
	case START_BEGINNING:
		reached = lseek(src->fd, 0, SEEK_SET);
		break;
	case START_END:
		reached = lseek(src->fd, 0, SEEK_END);
		break;
	case START_OFFSET:
		reached = lseek(src->fd, c->start_value, SEEK_SET);
		if (reached > c->start_value)
			kb_warn("partition %" PRId32 ": offset %" PRId64 " is gone; the oldest is %lld",
				src->partition, c->start_value, (long long)reached);
		/* the device stops at the high watermark: what comes before is skipped */
		else if (reached >= 0 && reached < c->start_value)
			reached = c->start_value;
		break;
	case START_BACK:
		reached = pos.high_watermark - c->start_value;
		reached = lseek(src->fd, reached < pos.log_start ? pos.log_start : reached, SEEK_SET);
		break;
	case START_TIME:
		if (ioctl(src->fd, KBROKER_IOC_SEEK_TIME, &time))
			return seek_failed(c, src, errno);
		reached = time.offset;
		break;
	}
	if (reached < 0)
		return seek_failed(c, src, errno);
	src->next = reached;
	return KB_OK;
}

static int open_source(struct consume *c, int32_t partition)
{
	struct epoll_event ev = { .events = EPOLLIN };
	__u32 format = KBROKER_FORMAT_BATCH;
	struct source *src = &c->sources[c->count];
	int ret;

	src->partition = partition;
	ret = kb_partition_open(&c->dev, partition, O_RDONLY | O_NONBLOCK, &src->fd);
	if (ret != KB_OK)
		return ret;
	ev.data.u32 = c->count;
	c->count++;
	c->open++;
	src->ready = true;
	if (ioctl(src->fd, KBROKER_IOC_SET_FORMAT, &format))
		return kb_fail(errno, NULL, "partition %" PRId32 ": %s", partition, strerror(errno));
	ret = seek_source(c, src);
	if (ret != KB_OK)
		return ret;
	if (src->next >= src->stop) {
		finish_source(c, src);
		return KB_OK;
	}
	if (epoll_ctl(c->epfd, EPOLL_CTL_ADD, src->fd, &ev))
		return kb_fail(errno, NULL, "epoll: %s", strerror(errno));
	return KB_OK;
}

static int open_sources(struct consume *c)
{
	struct kbroker_info info;
	uint8_t *wanted;
	uint32_t i;
	int ret, fd;

	ret = kb_partition_open(&c->dev, -1, O_RDONLY | O_NONBLOCK, &fd);
	if (ret != KB_OK)
		return ret;
	ret = kb_device_info(&c->dev, fd, &info);
	close(fd);
	if (ret != KB_OK)
		return ret;
	c->partitions = info.partitions;
	c->all = !kb_opt_get("partition");
	wanted = kb_alloc(info.partitions);
	ret = kb_parse_partitions("partition", kb_opt_get("partition"), info.partitions, wanted);
	c->sources = kb_alloc(info.partitions * sizeof(*c->sources));
	for (i = 0; i < info.partitions && ret == KB_OK; i++)
		if (wanted[i])
			ret = open_source(c, (int32_t)i);
	free(wanted);
	return ret;
}

static int damaged(const struct consume *c, const struct source *src, const char *what)
{
	return kb_fail(EBADMSG, "'kbroker log check' on the partition's directory says more",
		       "partition %" PRId32 " of %s is damaged at offset %" PRId64 ": %s",
		       src->partition, c->dev.topic, src->next, what);
}

static int print_batch(struct consume *c, struct source *src, const struct kbr_batch *batch,
		       const void *data)
{
	struct kb_rec rec = { .topic = c->dev.topic, .partition = src->partition };
	int ret;

	if (kbr_batch_check_crc(data, batch->size))
		return damaged(c, src, "wrong checksum");
	/* transaction markers are nobody's records */
	if (batch->attributes & KBR_BATCH_CONTROL) {
		src->next = kbr_batch_last_offset(batch) + 1;
		return KB_OK;
	}
	ret = kb_walk_start(&c->walk, batch, data);
	while (!ret && (ret = kb_walk_next(&c->walk, &rec)) > 0) {
		ret = 0;
		if (rec.offset < src->next)
			continue;
		if (rec.offset >= src->stop || rec.timestamp >= c->until) {
			finish_source(c, src);
			break;
		}
		src->next = rec.offset + 1;
		if (!kb_printer_print(&c->printer, &rec))
			break;
	}
	kb_walk_end(&c->walk);
	if (ret < 0)
		return damaged(c, src, ret == -EBADMSG ? "a record can't be read" : strerror(-ret));
	if (src->fd >= 0 && src->next <= kbr_batch_last_offset(batch) && c->printer.left > 0)
		src->next = kbr_batch_last_offset(batch) + 1;
	if (src->next >= src->stop)
		finish_source(c, src);
	return KB_OK;
}

static int print_batches(struct consume *c, struct source *src, size_t len)
{
	struct kbr_batch batch;
	size_t pos = 0;
	int ret = KB_OK;

	while (pos < len && src->fd >= 0 && c->printer.left > 0 && ret == KB_OK && !ferror(stdout)) {
		if (kbr_batch_decode(&batch, c->buf + pos, len - pos) || batch.size > len - pos)
			return damaged(c, src, "not a record batch");
		ret = print_batch(c, src, &batch, c->buf + pos);
		pos += batch.size;
	}
	return ret;
}

static int grow_buffer(struct consume *c, struct source *src)
{
	struct kbroker_next next;

	if (ioctl(src->fd, KBROKER_IOC_NEXT, &next))
		return kb_fail(errno, NULL, "partition %" PRId32 ": %s", src->partition, strerror(errno));
	if (next.size > KBR_BATCH_BYTES_MAX)
		return damaged(c, src, "a batch larger than any may be");
	if (next.size > c->buf_size) {
		c->buf_size = next.size;
		c->buf = kb_realloc(c->buf, c->buf_size);
	}
	return KB_OK;
}

/* one read of one partition */
static int read_source(struct consume *c, struct source *src)
{
	ssize_t n = read(src->fd, c->buf, c->buf_size);
	int err = errno;

	if (n > 0)
		return print_batches(c, src, (size_t)n);
	if (!n) {
		kb_note("partition %" PRId32 " ended: the topic was deleted or its broker stopped",
			src->partition);
		finish_source(c, src);
		return KB_OK;
	}
	switch (err) {
	case EAGAIN:
		src->ready = false;
		return KB_OK;
	case EINTR:
		return KB_OK;
	case EMSGSIZE:
		return grow_buffer(c, src);
	case EPIPE:
		c->lost++;
		kb_warn("partition %" PRId32 ": retention removed records before they were read, from offset %"
			PRId64 " on", src->partition, src->next);
		return KB_OK;
	case EBADMSG:
		return damaged(c, src, "the broker stops there");
	default:
		return kb_fail(err, NULL, "partition %" PRId32 " of %s: %s", src->partition, c->dev.topic,
			       strerror(err));
	}
}

/* open partitions that the topic has got since: from their beginning, nothing is missed */
static int open_new_sources(struct consume *c)
{
	struct kbroker_info info = { .size = sizeof(info) };
	uint32_t i;
	int ret = KB_OK;

	for (i = 0; i < c->count && c->sources[i].fd < 0; i++)
		;
	if (!c->all || kb_opt_has("exit") || i == c->count ||
	    ioctl(c->sources[i].fd, KBROKER_IOC_GET_INFO, &info) < 0 || info.partitions <= c->partitions)
		return KB_OK;
	c->sources = kb_realloc(c->sources, info.partitions * sizeof(*c->sources));
	c->start = START_BEGINNING;
	for (i = c->partitions; i < info.partitions && ret == KB_OK; i++)
		ret = open_source(c, (int32_t)i);
	c->partitions = info.partitions;
	return ret;
}

/* wait until some partition has something; false once waiting is over */
static bool wait_sources(struct consume *c, int timeout_ms, int *ret)
{
	struct epoll_event ev[EVENTS_MAX];
	int n, i;

	n = kb_wait_input(c->epfd, timeout_ms);
	if (n > 0)
		n = epoll_wait(c->epfd, ev, EVENTS_MAX, 0);
	if (n < 0 && errno == EPIPE)
		return false;
	if (n < 0 && errno != EINTR)
		*ret = kb_fail(errno, NULL, "epoll: %s", strerror(errno));
	for (i = 0; i < n; i++)
		c->sources[ev[i].data.u32].ready = true;
	return *ret == KB_OK;
}

/* one read of each partition that may have something; whether there was one */
static bool read_sources(struct consume *c, int *ret)
{
	bool any = false;
	uint32_t i;

	for (i = 0; i < c->count && c->printer.left > 0 && *ret == KB_OK; i++) {
		if (c->sources[i].fd < 0 || !c->sources[i].ready)
			continue;
		any = true;
		*ret = read_source(c, &c->sources[i]);
	}
	return any;
}

/* @timeout_ms: stop when nothing came for so long; -1 never */
static int consume(struct consume *c, int64_t timeout_ms)
{
	int64_t quiet = kb_mono_ms(), look = quiet + LOOK_MS, wait;
	struct kb_progress pr;
	int ret = KB_OK;

	kb_progress_start(&pr, "consuming");
	pr.on = pr.on && !kb.out_tty;
	while (c->open && c->printer.left > 0 && !kb_interrupted()) {
		uint64_t before = c->printer.printed;
		bool any;

		/* however much there is to read */
		if (kb_mono_ms() >= look) {
			ret = open_new_sources(c);
			if (ret != KB_OK)
				break;
			look = kb_mono_ms() + LOOK_MS;
		}
		any = read_sources(c, &ret);
		kb_progress_update(&pr, 0, 0, "%" PRIu64 " records", c->printer.printed);
		if (ret != KB_OK || ferror(stdout))
			break;
		if (c->printer.printed != before)
			quiet = kb_mono_ms();
		if (any)
			continue;
		/* all caught up: what was printed must be seen before the wait */
		if (fflush(stdout))
			break;
		wait = timeout_ms < 0 ? LOOK_MS : quiet + timeout_ms - kb_mono_ms();
		if (wait <= 0 || !wait_sources(c, wait < LOOK_MS ? (int)wait : LOOK_MS, &ret))
			break;
	}
	kb_progress_end(&pr);
	return ret;
}

static int cmd_consume(int argc, char **argv)
{
	struct consume c = { .epfd = -1, .buf_size = READ_BYTES };
	int64_t timeout_ms = -1, began = kb_mono_ms();
	uint32_t i;
	int ret;

	(void)argc;
	ret = kb_opt_s64("timeout-ms", 0, INT32_MAX, &timeout_ms);
	if (ret == KB_OK && kb_opt_has("group"))
		return kb_consume_group(argv[0], timeout_ms);
	if (ret == KB_OK)
		ret = read_options(&c);
	if (ret == KB_OK)
		ret = kb_topic_dev_find(argv[0], &c.dev);
	if (ret != KB_OK)
		goto out;
	kb_signals_catch();
	c.buf = kb_alloc(c.buf_size);
	c.epfd = epoll_create1(EPOLL_CLOEXEC);
	ret = c.epfd < 0 ? kb_fail(errno, NULL, "epoll: %s", strerror(errno)) : open_sources(&c);
	if (ret == KB_OK)
		ret = consume(&c, timeout_ms);
	if (ret == KB_OK)
		ret = kb_out_check();
	kb_printer_summary(&c.printer, kb_mono_ms() - began);
out:
	for (i = 0; i < c.count; i++)
		if (c.sources[i].fd >= 0)
			close(c.sources[i].fd);
	if (c.epfd >= 0)
		close(c.epfd);
	free(c.sources);
	free(c.buf);
	free(c.walk.headers);
	kb_printer_release(&c.printer);
	kb_topic_dev_release(&c.dev);
	return ret;
}

const struct kb_cmd kb_cmds_consume[] = {
	{ NULL, "TOPIC", "print the records of a topic, and wait for more", consume_opts, cmd_consume },
	{ 0 }
};
