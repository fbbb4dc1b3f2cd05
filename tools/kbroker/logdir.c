// SPDX-License-Identifier: GPL-2.0-only
/* Reading a partition directory offline; see logdir.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kbroker.h"
#include "logdir.h"

/* "00000000000000004711.log" -> 4711; -1 if it is no such name */
static int64_t offset_of(const char *name, const char *suffix)
{
	uint64_t val = 0;
	int i;

	for (i = 0; i < 20; i++) {
		if (name[i] < '0' || name[i] > '9' || val > INT64_MAX / 10)
			return -1;
		val = val * 10 + (uint64_t)(name[i] - '0');
	}
	if (strcmp(name + 20, suffix) || val > INT64_MAX)
		return -1;
	return (int64_t)val;
}

static void add_offset(int64_t **list, size_t *count, int64_t val)
{
	*list = kb_realloc(*list, (*count + 1) * sizeof(**list));
	(*list)[(*count)++] = val;
}

static int by_offset(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void sort(int64_t *list, size_t count)
{
	if (count)
		qsort(list, count, sizeof(*list), by_offset);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && !strcmp(name + n - m, suffix);
}

static void take_name(struct kb_logdir *dir, const char *name)
{
	int64_t off;

	off = offset_of(name, ".log");
	if (off >= 0)
		add_offset(&dir->segments, &dir->segments_count, off);
	off = offset_of(name, ".snapshot");
	if (off >= 0)
		add_offset(&dir->snapshots, &dir->snapshots_count, off);
	off = offset_of(name, ".index");
	if (off < 0)
		off = offset_of(name, ".timeindex");
	if (off >= 0)
		add_offset(&dir->indexes, &dir->indexes_count, off);
	if (has_suffix(name, ".deleted") || has_suffix(name, ".cleaned") ||
	    has_suffix(name, ".swap") || has_suffix(name, ".tmp"))
		dir->leftovers++;
}

/* topic and partition from "<topic>-<n>" */
static void take_path(struct kb_logdir *dir, const char *path)
{
	char real[PATH_MAX], *slash, *dash, *end;
	long n;

	dir->path = kb_strdup(path);
	dir->partition = -1;
	if (!realpath(path, real))
		snprintf(real, sizeof(real), "%s", path);
	slash = strrchr(real, '/');
	dir->topic = kb_strdup(slash ? slash + 1 : real);
	dash = strrchr(dir->topic, '-');
	if (dash && dash > dir->topic && dash[1] >= '0' && dash[1] <= '9') {
		errno = 0;
		n = strtol(dash + 1, &end, 10);
		if (!*end && !errno && n <= INT32_MAX) {
			dir->partition = (int32_t)n;
			*dash = '\0';
		}
	}
	if (slash) {
		char mark[PATH_MAX + 32];

		*slash = '\0';
		snprintf(mark, sizeof(mark), "%s/.kafka_cleanshutdown", real);
		dir->clean = access(mark, F_OK) == 0;
	}
}

/**
 * kb_logdir_open() - list a partition directory
 * @path: directory
 * @dir: result; release it with kb_logdir_release()
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_logdir_open(const char *path, struct kb_logdir *dir)
{
	struct dirent *ent;
	int err;
	DIR *d;

	memset(dir, 0, sizeof(*dir));
	d = opendir(path);
	if (!d) {
		err = errno;
		return kb_fail(err, NULL, "%s: cannot read the directory: %s", path, strerror(err));
	}
	take_path(dir, path);
	errno = 0;
	while ((ent = readdir(d)))
		take_name(dir, ent->d_name);
	err = errno;
	closedir(d);
	if (err) {
		kb_logdir_release(dir);
		return kb_fail(err, NULL, "%s: cannot read the directory: %s", path, strerror(err));
	}
	sort(dir->segments, dir->segments_count);
	sort(dir->snapshots, dir->snapshots_count);
	sort(dir->indexes, dir->indexes_count);
	return KB_OK;
}

void kb_logdir_release(struct kb_logdir *dir)
{
	free(dir->path);
	free(dir->topic);
	free(dir->segments);
	free(dir->snapshots);
	free(dir->indexes);
	memset(dir, 0, sizeof(*dir));
}

/**
 * kb_logdir_file() - path of one file of a segment
 * @dir: directory
 * @base: its offset
 * @suffix: ".log", ".index", ...
 *
 * Return: the path, to be freed.
 */
char *kb_logdir_file(const struct kb_logdir *dir, int64_t base, const char *suffix)
{
	return kb_asprintf("%s/%020" PRId64 "%s", dir->path, base, suffix);
}

/**
 * kb_seg_open() - begin to walk the batches of a .log file
 * @path: file
 * @seg: walk; end it with kb_seg_close()
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_seg_open(const char *path, struct kb_seg *seg)
{
	struct stat st;
	int err;

	memset(seg, 0, sizeof(*seg));
	seg->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (seg->fd < 0 || fstat(seg->fd, &st)) {
		err = errno;
		if (seg->fd >= 0)
			close(seg->fd);
		return kb_fail(err, NULL, "%s: %s", path, strerror(err));
	}
	posix_fadvise(seg->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	seg->path = kb_strdup(path);
	seg->size = st.st_size;
	return KB_OK;
}

void kb_seg_close(struct kb_seg *seg)
{
	close(seg->fd);
	free(seg->path);
	free(seg->data);
}

/* reads up to @len bytes at @pos; returns how many are there, -1 with seg->error */
static ssize_t read_at(struct kb_seg *seg, void *buf, size_t len, off_t pos)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(seg->fd, (char *)buf + done, len - done, pos + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			seg->error = errno;
			return -1;
		}
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static bool only_zeros(struct kb_seg *seg, off_t pos)
{
	static const char zeros[4096];
	char buf[4096];
	ssize_t n;

	while ((n = read_at(seg, buf, sizeof(buf), pos)) > 0) {
		if (memcmp(buf, zeros, (size_t)n))
			return false;
		pos += n;
	}
	return n == 0;
}

/**
 * kb_seg_next() - read the next batch
 * @seg: walk
 *
 * The CRC is not checked here.
 * Return: 1 with @seg->batch and @seg->data; 0 at the end, which @seg->end
 * explains; -1 if the file can't be read (@seg->error).
 */
int kb_seg_next(struct kb_seg *seg)
{
	unsigned char head[KBR_BATCH_HEADER_LEN];
	ssize_t n;
	int ret;

	seg->pos = seg->next;
	if (seg->pos >= seg->size) {
		seg->end = KB_SEG_COMPLETE;
		return 0;
	}
	n = read_at(seg, head, sizeof(head), seg->pos);
	if (n < 0)
		return -1;
	ret = kbr_batch_decode(&seg->batch, head, (size_t)n);
	if (ret) {
		if (only_zeros(seg, seg->pos))
			seg->end = KB_SEG_ZEROS;
		else
			seg->end = ret == -ENODATA ? KB_SEG_CUT : KB_SEG_BAD;
		return seg->error ? -1 : 0;
	}
	if ((off_t)seg->batch.size > seg->size - seg->pos) {
		seg->end = KB_SEG_CUT;
		return 0;
	}
	if (seg->room < seg->batch.size) {
		seg->room = seg->batch.size + 65536;
		free(seg->data);
		seg->data = kb_alloc(seg->room);
	}
	n = read_at(seg, seg->data, seg->batch.size, seg->pos);
	if (n < 0)
		return -1;
	if ((size_t)n < seg->batch.size) {
		seg->end = KB_SEG_CUT;
		return 0;
	}
	seg->next = seg->pos + seg->batch.size;
	return 1;
}

const char *kb_seg_end_text(enum kb_seg_end end)
{
	switch (end) {
	case KB_SEG_COMPLETE:
		return "complete";
	case KB_SEG_ZEROS:
		return "zero bytes to the end of the file";
	case KB_SEG_CUT:
		return "a batch that is not all there";
	case KB_SEG_BAD:
		break;
	}
	return "bytes that are no batch";
}

/**
 * kb_walk_start() - begin to walk the records of a batch
 * @walk: zeroed before its first use; end it with kb_walk_end()
 * @batch: header
 * @data: the whole batch
 *
 * Return: 0 or a negative errno of kbr_unpack().
 */
int kb_walk_start(struct kb_batch_walk *walk, const struct kbr_batch *batch, const void *data)
{
	int ret = kbr_unpack(batch, data, KBR_UNPACKED_BYTES_MAX, &walk->unpacked);

	if (ret)
		return ret;
	kbr_record_iter_init(&walk->it, batch, walk->unpacked.data, walk->unpacked.len);
	return 0;
}

/**
 * kb_walk_next() - the next record
 * @walk: walk
 * @rec: result; topic and partition are the caller's to set
 *
 * Return: 1, 0 at the end, or -EBADMSG.
 */
int kb_walk_next(struct kb_batch_walk *walk, struct kb_rec *rec)
{
	const uint8_t *pos, *end;
	struct kbr_header head;
	struct kbr_record r;
	size_t n = 0;
	int ret;

	ret = kbr_record_next(&walk->it, &r);
	if (ret <= 0)
		return ret;
	if (walk->room < r.headers_count) {
		walk->room = r.headers_count;
		walk->headers = kb_realloc(walk->headers, 2 * walk->room * sizeof(*walk->headers));
	}
	pos = r.headers;
	end = pos + r.headers_len;
	while (n < r.headers_count && (ret = kbr_header_next(&pos, end, &head)) > 0) {
		walk->headers[2 * n] = (struct kb_bytes){ head.key, head.key_len };
		walk->headers[2 * n + 1] = (struct kb_bytes){ head.value, head.value_len };
		n++;
	}
	if (ret < 0)
		return ret;
	rec->offset = r.offset;
	rec->timestamp = r.timestamp;
	rec->leader_epoch = walk->it.batch.leader_epoch;
	rec->append_time = walk->it.batch.attributes & KBR_BATCH_APPEND_TIME;
	rec->key = (struct kb_bytes){ r.key, r.key_len };
	rec->value = (struct kb_bytes){ r.value, r.value_len };
	rec->headers = walk->headers;
	rec->headers_count = n;
	return 1;
}

void kb_walk_end(struct kb_batch_walk *walk)
{
	kbr_unpacked_release(&walk->unpacked);
	memset(&walk->unpacked, 0, sizeof(walk->unpacked));
}

/**
 * kb_file_read() - a whole small file
 * @path: file
 * @max: most bytes accepted
 * @len: result: its length
 *
 * Return: its bytes and a NUL, to be freed; NULL with errno set.
 */
char *kb_file_read(const char *path, size_t max, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t done = 0;
	char *buf;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max) {
		close(fd);
		errno = EFBIG;
		return NULL;
	}
	buf = kb_alloc((size_t)st.st_size + 1);
	while (done < (size_t)st.st_size) {
		ssize_t n = read(fd, buf + done, (size_t)st.st_size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = errno;

			free(buf);
			close(fd);
			errno = err;
			return NULL;
		}
		if (!n)
			break;
		done += (size_t)n;
	}
	close(fd);
	*len = done;
	return buf;
}

/**
 * kb_be() - a signed big-endian integer
 * @p: first byte
 * @bytes: 2, 4 or 8
 */
int64_t kb_be(const void *p, unsigned int bytes)
{
	const unsigned char *b = p;
	uint64_t val = b[0] & 0x80 ? ~0ull : 0;
	unsigned int i;

	for (i = 0; i < bytes; i++)
		val = val << 8 | b[i];
	return (int64_t)val;
}

const char *kb_codec_name(enum kbr_codec codec)
{
	static const char *const names[] = { "none", "gzip", "snappy", "lz4", "zstd" };

	return (size_t)codec < ARRAY_SIZE(names) ? names[codec] : "unknown";
}
