// SPDX-License-Identifier: GPL-2.0-only
/*
 * I1: a 32-bit program uses the ioctls and structs of <linux/kbroker.h> as a
 * 64-bit one does. Without a C library, so that no 32-bit one is needed.
 * Prints TAP.
 * Usage: device_ioctl32 NODE ALL, on new topics; ALL has three partitions
 *
 * gcc: -m32 -nostdlib -static -ffreestanding -fno-stack-protector -fno-pic -idirafter /usr/include/x86_64-linux-gnu
 */
#include <asm/unistd_32.h>
#include <stddef.h>
#include <linux/kbroker.h>

#define O_RDONLY 0
#define O_RDWR 2

_Static_assert(sizeof(void *) == 4, "this is a 32-bit program");

static int tests, failed;

static long call(long number, long a, long b, long c)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return ret;
}

void *memcpy(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;

	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int c, size_t n)
{
	char *t = to;

	while (n--)
		*t++ = c;
	return to;
}

static size_t length(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

static void print(const char *text)
{
	call(__NR_write, 1, (long)text, length(text));
}

static void print_number(long n)
{
	char digits[16], *p = digits + sizeof(digits) - 1;
	unsigned long left = n < 0 ? -n : n;

	*p = '\0';
	do {
		*--p = '0' + left % 10;
		left /= 10;
	} while (left);
	if (n < 0)
		*--p = '-';
	print(p);
}

static void say_equal(long long got, long long wanted, const char *name)
{
	tests++;
	failed += got != wanted;
	print(got == wanted ? "ok " : "not ok ");
	print_number(tests);
	print(" - I1: ");
	print(name);
	print("\n");
	if (got == wanted)
		return;
	print("#   wanted ");
	print_number(wanted);
	print(", got ");
	print_number(got);
	print("\n");
}

static long ioctl(long fd, unsigned int cmd, void *arg)
{
	return call(__NR_ioctl, fd, (long)cmd, (long)arg);
}

static void test_node(const char *path)
{
	struct kbroker_position pos = { .partition = -1 };
	struct kbroker_info info = { .size = sizeof(info) };
	struct kbroker_seek_time seek = { .timestamp = 2000, .partition = -1 };
	struct { struct kbroker_record head; char value[8]; } record;
	struct kbroker_result result;
	struct kbroker_next next;
	__u32 format = KBROKER_FORMAT_RECORD;
	__s32 acks = KBROKER_FORMAT_RECORD;	/* 1, too */
	long fd = call(__NR_open, (long)path, O_RDWR, 0);
	int i;

	say_equal(fd >= 0, 1, "open");
	say_equal(ioctl(fd, KBROKER_IOC_SET_FORMAT, &format), 0, "SET_FORMAT");
	say_equal(ioctl(fd, KBROKER_IOC_SET_ACKS, &acks), 0, "SET_ACKS");
	say_equal(ioctl(fd, KBROKER_IOC_GET_INFO, &info), 0, "GET_INFO");
	say_equal(info.size, sizeof(info), "GET_INFO: size");
	say_equal(info.format, KBROKER_FORMAT_RECORD, "GET_INFO: format");
	say_equal(info.acks, 1, "GET_INFO: acks");
	say_equal(info.batch_bytes_max, 200000, "GET_INFO: batch_bytes_max");
	say_equal(info.features & KBROKER_FEATURE_ZSTD, KBROKER_FEATURE_ZSTD, "GET_INFO: features");

	memset(&record, 0, sizeof(record));
	record.head.size = sizeof(record);
	record.head.flags = KBROKER_RECORD_NULL_KEY;
	record.head.partition = -1;
	record.head.value_len = sizeof(record.value);
	memcpy(record.value, "32 bits.", sizeof(record.value));
	for (i = 1; i <= 3; i++) {
		record.head.timestamp = 1000 * i;
		say_equal(call(__NR_write, fd, (long)&record, sizeof(record)), sizeof(record), "write()");
	}
	say_equal(ioctl(fd, KBROKER_IOC_LAST_WRITE, &result), 0, "LAST_WRITE");
	say_equal(result.records, 1, "LAST_WRITE: records");
	say_equal(result.base_offset, 2, "LAST_WRITE: base_offset");
	say_equal(result.log_append_time, -1, "LAST_WRITE: log_append_time");
	say_equal(call(__NR_fsync, fd, 0, 0), 0, "fsync()");
	say_equal(ioctl(fd, KBROKER_IOC_SEEK_TIME, &seek), 0, "SEEK_TIME");
	say_equal(seek.offset, 1, "SEEK_TIME: offset");
	say_equal(seek.found, 2000, "SEEK_TIME: found");
	say_equal(ioctl(fd, KBROKER_IOC_NEXT, &next), 0, "NEXT");
	say_equal(next.offset, 1, "NEXT: offset");
	say_equal(next.size, sizeof(record), "NEXT: size");
	memset(&record, 0, sizeof(record));
	say_equal(call(__NR_read, fd, (long)&record, sizeof(record)), sizeof(record), "read()");
	say_equal(record.head.offset, 1, "read(): offset");
	say_equal(record.head.timestamp, 2000, "read(): timestamp");
	say_equal(record.value[7], '.', "read(): value");
	say_equal(ioctl(fd, KBROKER_IOC_GET_POSITION, &pos), 0, "GET_POSITION");
	say_equal(pos.position, 2, "GET_POSITION: position");
	say_equal(pos.synced_end, 3, "GET_POSITION: synced_end");
	say_equal(pos.written_end, 3, "GET_POSITION: written_end");
	call(__NR_close, fd, 0, 0);
}

static void test_all(const char *path)
{
	struct kbroker_target target = { .partition = 2 };
	long fd = call(__NR_open, (long)path, O_RDWR, 0);
	struct kbroker_result result;

	say_equal(ioctl(fd, KBROKER_IOC_SET_TARGET, &target), 0, "SET_TARGET");
	say_equal(call(__NR_write, fd, (long)"there\n", 6), 6, "a line goes");
	say_equal(ioctl(fd, KBROKER_IOC_LAST_WRITE, &result), 0, "to the target");
	say_equal(result.partition, 2, "LAST_WRITE: partition");
	call(__NR_close, fd, 0, 0);
}

/* A member of a group: @path is "all". */
static void test_group(const char *path)
{
	struct kbroker_group group = { .name = (unsigned long)"32/bits", .len = 7 };
	struct kbroker_position pos = { .partition = 2 };
	__u32 list[4] = { 9, 9, 9, 9 };
	struct kbroker_share share = { .partitions = (unsigned long)list, .room = 3 };
	long fd = call(__NR_open, (long)path, O_RDONLY, 0);
	__u64 ms = 60000;
	char buf[64];

	say_equal(ioctl(fd, KBROKER_IOC_JOIN_GROUP, &group), 0, "JOIN_GROUP");
	say_equal(ioctl(fd, KBROKER_IOC_GET_SHARE, &share), 0, "GET_SHARE");
	say_equal(share.count, 3, "GET_SHARE: count");
	say_equal(share.members, 1, "GET_SHARE: members");
	say_equal(list[2], 2, "GET_SHARE: the partitions");
	say_equal(list[3], 9, "GET_SHARE: no more than there is room for");
	say_equal(ioctl(fd, KBROKER_IOC_SET_MAX_POLL, &ms), 0, "SET_MAX_POLL");
	say_equal(call(__NR_read, fd, (long)buf, sizeof(buf)), 6, "a line comes");
	say_equal(ioctl(fd, KBROKER_IOC_COMMIT, 0), 0, "COMMIT");
	say_equal(ioctl(fd, KBROKER_IOC_GET_POSITION, &pos), 0, "GET_POSITION");
	say_equal(pos.position, 1, "GET_POSITION: counted");
	call(__NR_close, fd, 0, 0);
}

__attribute__((used)) static void run(long *stack)
{
	char **argv = (char **)(stack + 1);

	if (stack[0] != 3)
		call(__NR_exit, 2, 0, 0);
	test_node(argv[1]);
	test_all(argv[2]);
	test_group(argv[2]);
	print("1..");
	print_number(tests);
	print("\n");
	call(__NR_exit, failed > 0, 0, 0);
}

/* argc and argv are on the stack, which the ABI wants aligned */
__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall run\n");
