// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker produce": cut input into records and hand them to libkbroker, which
 * batches, compresses and writes them.
 *
 * What was handed over is always finished: after Ctrl-C, a bad record or a
 * failed write, the command still waits for the acks of what is on
 * its way, and tells how many records are safe.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <kbroker/kbroker.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "input.h"
#include "kbroker.h"
#include "producer_opts.h"
#include "record.h"

static const struct kb_opt produce_opts[] = {
	{ "key-separator", 'K', "TEXT", "what stands between key and value; without it there are no keys" },
	{ "key", 'k', "KEY", "this key for all records" },
	{ "delimiter", 'D', "TEXT", "what ends a record (default: \\n)" },
	{ "header", 'H', "NAME=VALUE", "a header for all records; may be given often" },
	{ "partition", 'p', "N", "produce to this partition" },
	{ "timestamp", 0, "TIME", "timestamp of all records (default: now)" },
	KB_PRODUCER_OPTS,
	{ "null", 'Z', NULL, "empty values (and keys) are null" },
	{ "lines", 'l', NULL, "FILEs hold many records; without it a FILE is one record" },
	{ "count", 'c', "N", "stop after N records" },
	{ "tee", 'T', NULL, "copy what was accepted to standard output" },
	{ 0 }
};

/**
 * struct range - what went to one partition
 * @records: records acknowledged
 * @first: offset of the first
 * @last: offset of the last
 */
struct range {
	uint64_t records;
	int64_t first;
	int64_t last;
};

/**
 * struct produce - the state of the command
 * @dev: the topic
 * @producer: libkbroker's
 * @info: what the topic's device says
 * @in: input being read
 * @key_sep: --key-separator, unescaped; NULL none
 * @key_sep_len: its length
 * @delim: --delimiter, unescaped
 * @delim_len: its length
 * @message: template of every record
 * @headers: encoded headers of @message
 * @null: --null
 * @tee: --tee
 * @left: records that may still be taken (--count)
 * @accepted: records handed over
 * @bytes: bytes of their keys and values
 * @input_size: bytes of all regular input files, 0 if some are none
 * @input_done: bytes read
 * @safe: records acknowledged
 * @failed: records that were not
 * @error: errno of the first of these
 * @error_partition: its partition
 * @ranges: by partition; the producer's thread writes them
 */
struct produce {
	struct kb_topic_dev dev;
	struct kbroker_producer *producer;
	struct kbroker_info info;
	struct kb_input in;
	char *key_sep;
	size_t key_sep_len;
	char *delim;
	size_t delim_len;
	struct kbroker_message message;
	char *headers;
	bool null;
	bool tee;
	int64_t left;
	uint64_t accepted;
	uint64_t bytes;
	uint64_t input_size;
	uint64_t input_done;
	atomic_uint_fast64_t safe;
	atomic_uint_fast64_t failed;
	atomic_int error;
	atomic_int error_partition;
	struct range *ranges;
};

/* called by the producer's thread for each record */
static void delivered(void *arg, const struct kbroker_delivery *d)
{
	struct produce *p = arg;
	struct range *range;
	int none = 0;

	if (d->error) {
		atomic_fetch_add_explicit(&p->failed, 1, memory_order_relaxed);
		if (atomic_compare_exchange_strong(&p->error, &none, -d->error))
			atomic_store(&p->error_partition, d->partition);
		return;
	}
	atomic_fetch_add_explicit(&p->safe, 1, memory_order_relaxed);
	if (d->partition < 0 || (uint32_t)d->partition >= p->info.partitions)
		return;
	range = &p->ranges[d->partition];
	if (!range->records++)
		range->first = d->offset;
	range->last = d->offset;
}

static int add_headers(struct produce *p)
{
	struct kbroker_message_header head;
	const char *text, *eq;
	size_t room = 0, i;
	ssize_t n;

	for (i = 0; (text = kb_opt_nth("header", i)); i++)
		room += strlen(text) + 32;
	p->headers = kb_alloc(room);
	for (i = 0; (text = kb_opt_nth("header", i)); i++) {
		eq = strchr(text, '=');
		if (eq == text)
			return kb_usage("--header: '%s' has no name", text);
		head.key = text;
		head.key_len = eq ? (size_t)(eq - text) : strlen(text);
		/* as with kcat, a header without '=' has a null value */
		head.value = eq ? eq + 1 : NULL;
		head.value_len = eq ? strlen(eq + 1) : 0;
		n = kbroker_header_encode(p->headers + p->message.headers_len,
					  room - p->message.headers_len, &head);
		if (n < 0)
			return kb_usage("--header: '%s' can't be a header", text);
		p->message.headers_len += (size_t)n;
		p->message.headers_count++;
	}
	p->message.headers = p->message.headers_count ? p->headers : NULL;
	return KB_OK;
}

static int read_options(struct produce *p)
{
	const char *delim = kb_opt_get("delimiter"), *sep = kb_opt_get("key-separator");
	const char *key = kb_opt_get("key"), *time = kb_opt_get("timestamp");
	int64_t partition = KBROKER_PARTITION_ANY;
	int ret;

	p->message = (struct kbroker_message)KBROKER_MESSAGE_INIT;
	p->null = kb_opt_has("null");
	p->tee = kb_opt_has("tee");
	p->left = INT64_MAX;
	ret = kb_unescape("--delimiter", delim ? delim : "\\n", &p->delim, &p->delim_len);
	if (ret == KB_OK && !p->delim_len)
		ret = kb_usage("--delimiter: it is empty");
	if (ret == KB_OK && sep)
		ret = kb_unescape("--key-separator", sep, &p->key_sep, &p->key_sep_len);
	if (ret == KB_OK && sep && !p->key_sep_len)
		ret = kb_usage("--key-separator: it is empty");
	if (ret == KB_OK && sep && key)
		ret = kb_usage("--key and --key-separator exclude each other");
	if (ret == KB_OK && p->tee && kb.json)
		ret = kb_usage("--tee and --json exclude each other: both are for standard output");
	if (ret == KB_OK)
		ret = kb_opt_s64("partition", 0, INT32_MAX, &partition);
	if (ret == KB_OK)
		ret = kb_opt_s64("count", 0, INT64_MAX, &p->left);
	if (ret == KB_OK && time)
		ret = kb_parse_time("--timestamp", time, &p->message.timestamp);
	if (ret == KB_OK)
		ret = add_headers(p);
	if (key && (*key || !p->null)) {
		p->message.key = key;
		p->message.key_len = strlen(key);
	}
	p->message.partition = (int32_t)partition;
	return ret;
}

/* the topic, what it allows, and a producer for it */
static int open_topic(struct produce *p, const char *topic)
{
	struct kbroker_producer_config conf = KBROKER_PRODUCER_CONFIG_INIT;
	sigset_t block, old;
	char *root;
	int ret, fd;

	ret = kb_producer_config(&conf);
	if (ret == KB_OK)
		ret = kb_topic_dev_find(topic, &p->dev);
	if (ret == KB_OK)
		ret = kb_partition_open(&p->dev, -1, O_WRONLY, &fd);
	if (ret != KB_OK)
		return ret;
	ret = kb_device_info(&p->dev, fd, &p->info);
	close(fd);
	if (ret != KB_OK)
		return ret;
	if (p->message.partition >= 0 && (uint32_t)p->message.partition >= p->info.partitions)
		return kb_fail(ENOENT, NULL, "there is no partition %" PRId32 ": topic %s has %" PRIu32,
			       p->message.partition, topic, p->info.partitions);
	p->ranges = kb_alloc(p->info.partitions * sizeof(*p->ranges));
	root = kb_device_root();
	conf.mount = root;
	conf.delivered = delivered;
	conf.arg = p;
	/* signals are for this thread, not for the producer's */
	sigfillset(&block);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	ret = kbroker_producer_open(&p->producer, topic, &conf);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	free(root);
	if (ret)
		return kb_fail(-ret, NULL, "cannot produce to %s: %s", topic, strerror(-ret));
	return KB_OK;
}

static const char *why_failed(int err)
{
	switch (err) {
	case ENOSPC:
		return "the disk is full";
	case EIO:
		return "the disk failed";
	case ENODEV:
		return "the topic was deleted or its broker stopped";
	case ENOLINK:
		return "fewer replicas are in sync than min.insync.replicas asks for";
	case ETIMEDOUT:
		return "they were not committed in time, and may still be";
	case EINVAL:
		return "the topic refuses such records (a compacted one needs keys)";
	case ETIME:
		return "the timestamp is further from now than the topic allows";
	default:
		return strerror(err);
	}
}

static int too_long(const struct produce *p, const char *what)
{
	char *hint = kb_asprintf("'kbroker topic alter %s --config max.message.bytes=N' allows larger ones",
				 p->dev.topic);

	kb_fail(EMSGSIZE, hint, "record %" PRIu64 "%s is larger than a batch of %s may be (max.message.bytes=%" PRIu64
		"): it and what follows were not produced", p->accepted + 1, what, p->dev.topic,
		(uint64_t)p->info.batch_bytes_max);
	free(hint);
	return KB_REFUSED;
}

/* hand one record over; KB_OK or KB_REFUSED (told) */
static int send_record(struct produce *p, const char *text, size_t len)
{
	struct kbroker_message m = p->message;
	const char *sep = NULL;
	int ret;

	m.value = text;
	m.value_len = len;
	if (p->key_sep)
		sep = memmem(text, len, p->key_sep, p->key_sep_len);
	if (sep) {
		m.key = text;
		m.key_len = (size_t)(sep - text);
		m.value = sep + p->key_sep_len;
		m.value_len = len - m.key_len - p->key_sep_len;
		if (p->null && !m.key_len)
			m.key = NULL;
	}
	if (p->null && !m.value_len)
		m.value = NULL;
	ret = kbroker_producer_send(p->producer, &m, NULL);
	if (ret == -EMSGSIZE)
		return too_long(p, "");
	if (ret)
		return kb_fail(-ret, NULL, "record %" PRIu64 " was not accepted: %s", p->accepted + 1,
			       strerror(-ret));
	p->accepted++;
	p->bytes += m.key_len + m.value_len;
	p->left--;
	if (p->tee && (fwrite_unlocked(text, 1, len, stdout) != len ||
		       fwrite_unlocked(p->delim, 1, p->delim_len, stdout) != p->delim_len))
		return kb_out_check();
	return KB_OK;
}

static void show_progress(struct produce *p, struct kb_progress *pr)
{
	char size[16];

	kb_progress_update(pr, p->input_size ? p->input_done : 0, p->input_size,
			   "%" PRIu64 " records, %s, %" PRIu64 " safe", p->accepted,
			   kb_human_bytes(p->bytes, size), (uint64_t)atomic_load(&p->safe));
}

/* all records of one open file; KB_OK also where a signal or a failed write ends it */
static int send_file(struct produce *p, int fd, const char *name, size_t delim_len, struct kb_progress *pr)
{
	enum kb_input_result got;
	const char *text;
	int ret = KB_OK;
	size_t len;

	kb_input_init(&p->in, fd, p->delim, delim_len, p->info.batch_bytes_max);
	while (p->left > 0 && !atomic_load_explicit(&p->error, memory_order_relaxed)) {
		got = kb_input_next(&p->in, -1, &text, &len);
		if (got == KB_INPUT_IDLE)
			continue;
		if (got == KB_INPUT_ERROR)
			ret = kb_fail(p->in.error, NULL, "cannot read %s: %s", name, strerror(p->in.error));
		else if (got == KB_INPUT_TOO_LONG)
			ret = too_long(p, delim_len ? " of the input" : "");
		else if (got == KB_INPUT_RECORD)
			ret = send_record(p, text, len);
		if (got != KB_INPUT_RECORD || ret != KB_OK)
			break;
		p->input_done += p->in.taken;
		/* not each time: the clock costs as much as a record */
		if (!(p->accepted & 255) && pr->on)
			show_progress(p, pr);
		if (kb_interrupted())
			break;
	}
	kb_input_release(&p->in);
	return ret;
}

static int send_named_file(struct produce *p, const char *path, struct kb_progress *pr)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	int ret, err;

	if (fd < 0) {
		err = errno;
		return kb_fail(err, NULL, "cannot open %s: %s", path, strerror(err));
	}
	ret = send_file(p, fd, path, kb_opt_has("lines") ? p->delim_len : 0, pr);
	close(fd);
	return ret;
}

static void measure_input(struct produce *p, int argc, char **argv)
{
	struct stat st;
	int i;

	if (!argc && !fstat(STDIN_FILENO, &st) && S_ISREG(st.st_mode))
		p->input_size = (uint64_t)st.st_size;
	for (i = 0; i < argc; i++) {
		if (stat(argv[i], &st) || !S_ISREG(st.st_mode)) {
			p->input_size = 0;
			return;
		}
		p->input_size += (uint64_t)st.st_size;
	}
}

static int send_all(struct produce *p, int files, char **paths)
{
	struct kb_progress pr;
	int ret = KB_OK, i;

	measure_input(p, files, paths);
	kb_progress_start(&pr, "producing");
	if (!files && isatty(STDIN_FILENO)) {
		kb_note("Each line is a record; Ctrl-D ends.");
		pr.on = false;
	}
	if (!files)
		ret = send_file(p, STDIN_FILENO, "standard input", p->delim_len, &pr);
	for (i = 0; i < files && ret == KB_OK && !kb_interrupted() && !atomic_load(&p->error); i++)
		ret = send_named_file(p, paths[i], &pr);
	/* finish what was accepted, in steps so that the terminal sees it */
	while (p->producer && kbroker_producer_flush(p->producer, 200) == -ETIMEDOUT)
		show_progress(p, &pr);
	kb_progress_end(&pr);
	return ret;
}

static void print_json(const struct produce *p, int64_t ms)
{
	struct kb_json js;
	uint32_t i;

	kb_json_init(&js, stdout, true);
	kb_json_object(&js, NULL);
	kb_json_string(&js, "topic", p->dev.topic);
	kb_json_u64(&js, "accepted", p->accepted);
	kb_json_u64(&js, "safe", p->safe);
	kb_json_u64(&js, "failed", p->failed);
	kb_json_u64(&js, "bytes", p->bytes);
	kb_json_s64(&js, "ms", ms);
	kb_json_bool(&js, "interrupted", kb_interrupted());
	kb_json_array(&js, "partitions");
	for (i = 0; i < p->info.partitions; i++) {
		if (!p->ranges[i].records)
			continue;
		kb_json_object(&js, NULL);
		kb_json_u64(&js, "partition", i);
		kb_json_u64(&js, "records", p->ranges[i].records);
		kb_json_s64(&js, "first_offset", p->ranges[i].first);
		kb_json_s64(&js, "last_offset", p->ranges[i].last);
		kb_json_object_end(&js);
	}
	kb_json_array_end(&js);
	kb_json_object_end(&js);
	kb_json_finish(&js);
}

/* what a person must know at the end; returns the exit status */
static int report(const struct produce *p, int ret, int64_t ms)
{
	const char *safe = kb_opt_get("acks") && strcmp(kb_opt_get("acks"), "all") &&
			   strcmp(kb_opt_get("acks"), "-1") ? "appended" : "safe";
	char size[16], span[24];

	if (kb.json)
		print_json(p, ms);
	if (p->error)
		ret = kb_fail(p->error, p->error == ENOSPC ? "retention, or room on the disk, lets it go on" : NULL,
			      "%" PRIu64 " records were not produced to %s (first in partition %d): %s; %" PRIu64
			      " before them are %s", (uint64_t)p->failed, p->dev.topic, p->error_partition,
			      why_failed(p->error), (uint64_t)p->safe, safe);
	else if (kb_interrupted() && !kb.json && !kb.quiet)
		/* this is asked for in a pipe, too */
		fprintf(stderr, "%" PRIu64 " records are %s; stopped by %s\n", (uint64_t)p->safe, safe,
			strsignal(kb_signal_number()));
	else if (ret != KB_OK && !kb.json)
		fprintf(stderr, "  %" PRIu64 " records before it are %s\n", (uint64_t)p->safe, safe);
	else
		kb_note("%" PRIu64 " records, %s, in %s: all %s", (uint64_t)p->safe,
			kb_human_bytes(p->bytes, size), kb_human_span(ms, span), safe);
	if (kb_interrupted() && ret == KB_OK)
		ret = KB_REFUSED;
	return ret;
}

static int cmd_produce(int argc, char **argv)
{
	int64_t began = kb_mono_ms();
	struct produce p = { 0 };
	int ret, closed;

	ret = read_options(&p);
	if (ret == KB_OK && argc == 1 && kb_opt_has("lines"))
		ret = kb_usage("--lines is for FILEs; standard input is always cut at the delimiter");
	if (ret == KB_OK)
		ret = open_topic(&p, argv[0]);
	if (ret != KB_OK)
		goto out;
	if (p.tee)
		/* what was accepted is finished even if nobody reads the copy */
		signal(SIGPIPE, SIG_IGN);
	kb_signals_catch();
	ret = send_all(&p, argc - 1, argv + 1);
	closed = kbroker_producer_close(p.producer);
	p.producer = NULL;
	if (closed && !p.error && ret == KB_OK)
		ret = kb_fail(-closed, NULL, "the last records may not be safe: %s", strerror(-closed));
	ret = report(&p, ret, kb_mono_ms() - began);
	if (kb_out_check() != KB_OK)
		ret = KB_REFUSED;
out:
	free(p.ranges);
	free(p.headers);
	free(p.delim);
	free(p.key_sep);
	kb_topic_dev_release(&p.dev);
	return ret;
}

const struct kb_cmd kb_cmds_produce[] = {
	{ NULL, "TOPIC [FILE...]", "write records to a topic, from FILEs or standard input", produce_opts,
	  cmd_produce },
	{ 0 }
};
