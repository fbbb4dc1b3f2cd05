// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker consume --group": read a topic as a member of a consumer group of
 * devices, /dev/kbroker/TOPIC/@GROUP.
 *
 * The kernel counts as consumed what was read before the next read. So each
 * record is written out before the next one is read: what was printed and did
 * not arrive is read again by whoever comes after.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"
#include "kbroker.h"
#include "objects.h"
#include "printer.h"

#define READ_BYTES	(64u << 10)

/**
 * struct group_consume - the state of the command
 * @dev: the topic
 * @group: name of the group
 * @fd: device
 * @start: where a group begins of which nothing is committed, NULL: as the device does
 * @printer: how to print
 * @stop: --exit: ends of the partitions when it began, else NULL
 * @partitions: entries of @stop
 * @append_time: timestamps are the broker's
 * @headers: of one record
 * @headers_room: entries
 * @buf: one record
 * @buf_size: its size
 */
struct group_consume {
	struct kb_topic_dev dev;
	const char *group;
	int fd;
	const char *start;
	struct kb_printer printer;
	int64_t *stop;
	uint32_t partitions;
	bool append_time;
	struct kb_bytes *headers;
	size_t headers_room;
	char *buf;
	size_t buf_size;
};

/* ---- becoming a member ---- */

static int join(struct group_consume *g)
{
	__u32 format = KBROKER_FORMAT_RECORD;
	int ret;

	ret = kb_group_open(&g->dev, g->group, &g->fd);
	if (ret == KB_OK && ioctl(g->fd, KBROKER_IOC_SET_FORMAT, &format))
		ret = kb_fail(errno, NULL, "topic %s: %s", g->dev.topic, strerror(errno));
	return ret;
}

/*
 * Where it begins is set before anybody joins, and for partitions of which
 * nothing is committed alone, as auto.offset.reset of Kafka's clients.
 */
static int set_start(struct group_consume *g, struct kb_nl *nl)
{
	struct kb_groups now;
	int ret;

	ret = kb_groups_load(nl, g->group, true, &now);
	if (ret && ret != -ENOENT)
		ret = kb_nl_refused(nl, ret, NULL, "the start of group %s was not set", g->group);
	else if (!ret && now.list[0].members_count)
		kb_note("group %s has members already: --offset sets where a group begins", g->group);
	else
		ret = kb_group_set_start(nl, &now, g->group, g->dev.topic, g->start);
	kb_groups_free(&now);
	return ret;
}

/* what the device does not tell */
static int prepare(struct group_consume *g)
{
	struct kb_nl nl;
	char *type;
	int ret = KB_OK;

	if (g->start) {
		if (kb_nl_open(&nl))
			return KB_REFUSED;
	} else if (kb_nl_try_open(&nl)) {
		return KB_OK;
	}
	type = kb_config_value(&nl, g->dev.topic, "message.timestamp.type");
	g->append_time = type && !strcmp(type, "LogAppendTime");
	free(type);
	if (g->start)
		ret = set_start(g, &nl);
	kb_nl_close(&nl);
	return ret;
}

/* --exit: where the partitions end now */
static int note_ends(struct group_consume *g)
{
	struct kbroker_info info;
	uint32_t i;
	int ret;

	ret = kb_device_info(&g->dev, g->fd, &info);
	if (ret != KB_OK)
		return ret;
	g->partitions = info.partitions;
	g->stop = kb_alloc(info.partitions * sizeof(*g->stop));
	for (i = 0; i < info.partitions; i++) {
		struct kbroker_position pos = { .partition = (int32_t)i };

		if (ioctl(g->fd, KBROKER_IOC_GET_POSITION, &pos))
			return kb_fail(errno, NULL, "partition %" PRIu32 " of %s: %s", i, g->dev.topic,
				       strerror(errno));
		g->stop[i] = pos.high_watermark;
	}
	return KB_OK;
}

/* ---- records ---- */

static int bad_record(const struct group_consume *g)
{
	return kb_fail(EBADMSG, NULL, "topic %s: the device gave something that is no record", g->dev.topic);
}

/* the headers behind key and value: names and values in turn */
static int decode_headers(struct group_consume *g, const struct kbroker_record *rec, const char *at,
			  const char *end)
{
	size_t i;

	if ((size_t)rec->headers_count * 2 > g->headers_room) {
		g->headers_room = (size_t)rec->headers_count * 2;
		g->headers = kb_realloc(g->headers, g->headers_room * sizeof(*g->headers));
	}
	for (i = 0; i < rec->headers_count; i++) {
		struct kbroker_header header;
		size_t len;

		if ((size_t)(end - at) < sizeof(header))
			return bad_record(g);
		memcpy(&header, at, sizeof(header));
		at += sizeof(header);
		len = header.value_len > 0 ? (size_t)header.value_len : 0;
		if (header.key_len > (size_t)(end - at) || len > (size_t)(end - at) - header.key_len)
			return bad_record(g);
		g->headers[2 * i] = (struct kb_bytes){ at, header.key_len };
		at += header.key_len;
		g->headers[2 * i + 1] = (struct kb_bytes){ header.value_len < 0 ? NULL : at, len };
		at += len;
	}
	return KB_OK;
}

/* print the record in the buffer; *@more false: enough */
static int print_record(struct group_consume *g, size_t len, struct kbroker_record *rec, bool *more)
{
	const char *key = g->buf + sizeof(*rec), *end = g->buf + len;
	struct kb_rec out;
	int ret;

	if (len < sizeof(*rec))
		return bad_record(g);
	memcpy(rec, g->buf, sizeof(*rec));
	if (rec->size != len || (uint64_t)rec->key_len + rec->value_len + rec->headers_len != len - sizeof(*rec))
		return bad_record(g);
	ret = decode_headers(g, rec, key + rec->key_len + rec->value_len, end);
	if (ret != KB_OK)
		return ret;
	out = (struct kb_rec){
		.topic = g->dev.topic,
		.partition = rec->partition,
		.leader_epoch = rec->leader_epoch,
		.append_time = g->append_time,
		.offset = rec->offset,
		.timestamp = rec->timestamp,
		.key = { rec->flags & KBROKER_RECORD_NULL_KEY ? NULL : key, rec->key_len },
		.value = { rec->flags & KBROKER_RECORD_NULL_VALUE ? NULL : key + rec->key_len, rec->value_len },
		.headers = g->headers,
		.headers_count = rec->headers_count,
	};
	*more = kb_printer_print(&g->printer, &out);
	return KB_OK;
}

/* --exit: is all that was there when it began behind every partition that it has? */
static bool reached_ends(const struct group_consume *g, const struct kbroker_record *last)
{
	struct kbroker_share share = { 0 };
	uint32_t *list, i;
	bool done = true;

	if (!g->stop || (uint32_t)last->partition >= g->partitions ||
	    last->offset + 1 < g->stop[last->partition])
		return false;
	list = kb_alloc(g->partitions * sizeof(*list));
	share.partitions = (uintptr_t)list;
	share.room = g->partitions;
	if (ioctl(g->fd, KBROKER_IOC_GET_SHARE, &share))
		share.count = 0;
	for (i = 0; i < share.count && i < share.room && done; i++) {
		struct kbroker_position pos = { .partition = (int32_t)list[i] };

		if ((int32_t)list[i] == last->partition || list[i] >= g->partitions)
			continue;
		done = !ioctl(g->fd, KBROKER_IOC_GET_POSITION, &pos) && pos.position >= g->stop[list[i]];
	}
	free(list);
	return done;
}

static int grow_buffer(struct group_consume *g)
{
	struct kbroker_next next;

	if (ioctl(g->fd, KBROKER_IOC_NEXT, &next))
		return kb_fail(errno, NULL, "topic %s: %s", g->dev.topic, strerror(errno));
	if (next.size > INT32_MAX)
		return bad_record(g);
	if (next.size > g->buf_size) {
		g->buf_size = next.size;
		g->buf = kb_realloc(g->buf, g->buf_size);
	}
	return KB_OK;
}

enum step { STEP_RECORD, STEP_WAIT, STEP_END, STEP_FAILED };

static enum step read_failed(struct group_consume *g, int err)
{
	switch (err) {
	case EAGAIN:
		return STEP_WAIT;
	case EINTR:
		return STEP_RECORD;
	case EMSGSIZE:
		return grow_buffer(g) == KB_OK ? STEP_RECORD : STEP_FAILED;
	case EPIPE:
		kb_warn("topic %s: retention removed records before they were read", g->dev.topic);
		return STEP_RECORD;
	case EBADMSG:
		kb_fail(err, "'kbroker partition list' and 'kbroker log check' say more",
			"topic %s is damaged; the broker stops there", g->dev.topic);
		return STEP_FAILED;
	default:
		kb_fail(err, NULL, "topic %s: %s", g->dev.topic, strerror(err));
		return STEP_FAILED;
	}
}

/* one read */
static enum step read_one(struct group_consume *g)
{
	struct kbroker_record rec;
	bool more = true;
	ssize_t n;

	/* reading on says that what was read arrived */
	if (fflush(stdout))
		return STEP_END;
	n = read(g->fd, g->buf, g->buf_size);
	if (n < 0)
		return read_failed(g, errno);
	if (!n) {
		kb_note("topic %s was deleted or its broker stopped", g->dev.topic);
		return STEP_END;
	}
	if (print_record(g, (size_t)n, &rec, &more) != KB_OK)
		return STEP_FAILED;
	return more && !reached_ends(g, &rec) ? STEP_RECORD : STEP_END;
}

/* @timeout_ms: stop when nothing came for so long; -1 never */
static int consume(struct group_consume *g, int64_t timeout_ms)
{
	struct kb_progress pr;
	enum step step = g->printer.left > 0 ? STEP_RECORD : STEP_END;

	kb_progress_start(&pr, "consuming");
	pr.on = pr.on && !kb.out_tty;
	while (step == STEP_RECORD && !kb_interrupted()) {
		step = read_one(g);
		kb_progress_update(&pr, 0, 0, "%" PRIu64 " records", g->printer.printed);
		if (step != STEP_WAIT)
			continue;
		if (g->stop)
			break;
		if (kb_wait_input(g->fd, (int)timeout_ms) > 0)
			step = STEP_RECORD;
	}
	kb_progress_end(&pr);
	return step == STEP_FAILED ? KB_REFUSED : KB_OK;
}

/* what was written out is consumed, and stays so when the broker's machine fails */
static int commit(struct group_consume *g)
{
	if (kb_out_check() != KB_OK)
		return KB_REFUSED;
	if (!ioctl(g->fd, KBROKER_IOC_COMMIT) || errno == ENODEV)
		return KB_OK;
	return kb_fail(errno, "what was printed may be given to the group again",
		       "group %s could not commit: %s", g->group, strerror(errno));
}

static int read_options(struct group_consume *g)
{
	static const char *const others[] = { "partition", "until" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (kb_opt_has(others[i]))
			return kb_usage("--group and --%s exclude each other", others[i]);
	if (kb_opt_has("from-beginning") && kb_opt_has("offset"))
		return kb_usage("--from-beginning and --offset exclude each other");
	if (!*g->group || strlen(g->group) > KBROKER_GROUP_NAME_MAX)
		return kb_usage("--group: a group's name has 1 to %d bytes", KBROKER_GROUP_NAME_MAX);
	g->start = kb_opt_get("offset");
	/* kcat's word for it; there is nothing to set */
	if (g->start && !strcmp(g->start, "stored"))
		g->start = NULL;
	return kb_printer_init(&g->printer);
}

/**
 * kb_consume_group() - "consume TOPIC --group GROUP"
 * @topic: the topic
 * @timeout_ms: --timeout-ms, -1 never
 */
int kb_consume_group(const char *topic, int64_t timeout_ms)
{
	struct group_consume g = { .fd = -1, .buf_size = READ_BYTES, .group = kb_opt_get("group") };
	int64_t began = kb_mono_ms();
	int ret;

	ret = read_options(&g);
	if (ret == KB_OK)
		ret = kb_topic_dev_find(topic, &g.dev);
	if (ret == KB_OK)
		ret = prepare(&g);
	if (ret == KB_OK) {
		kb_signals_catch();
		g.buf = kb_alloc(g.buf_size);
		ret = join(&g);
	}
	if (ret == KB_OK && kb_opt_has("exit"))
		ret = note_ends(&g);
	if (ret == KB_OK) {
		ret = consume(&g, timeout_ms);
		if (ret == KB_OK)
			ret = commit(&g);
		kb_printer_summary(&g.printer, kb_mono_ms() - began);
	}
	if (g.fd >= 0)
		close(g.fd);
	free(g.stop);
	free(g.headers);
	free(g.buf);
	kb_printer_release(&g.printer);
	kb_topic_dev_release(&g.dev);
	return ret;
}
