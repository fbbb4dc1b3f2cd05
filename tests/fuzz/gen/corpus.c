// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the corpora that the fuzzers start from: the batches and messages of
 * other clients, the compressed data of every form, a message of every API and
 * version, records of groups, and words about shares. Argument: the directory.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/batch.h"
#include "codec/group_record.h"
#include "codec/group_wire.h"
#include "codec/proto.h"
#include "codec/share_wire.h"
#include "tests/codec_packed.h"
#include "tests/codec_vectors.h"
#include "tests/proto_vectors.h"
#include "tests/unit/message.h"

static int status;

static void save(const char *top, const char *target, int number, int first, const u8 *bytes, size_t len)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", top, target);
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/%03d", top, target, number);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		status = 1;
		return;
	}
	if (first >= 0)
		fputc(first, file);
	if (fwrite(bytes, 1, len, file) != len || fclose(file))
		status = 1;
}

/* Always the same numbers */
static uint64_t corpus_random(uint64_t below)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (state >> 33) % below;
}

/* @body of a message behind the head of a request; NULL: one by the schema */
static void save_message(const char *top, int number, const struct kbr_api *api, s16 version,
			 bool response, const char *body)
{
	static u8 buf[1 << 16];
	struct kbr_wire_writer w;
	size_t len;

	kbr_wire_writer_init(&w, SIZE_MAX, false);
	kbr_put_s16(&w, api->key);
	kbr_put_s16(&w, version);
	kbr_put_s32(&w, number);
	kbr_put_string(&w, "fuzz");
	w.flexible = version >= api->flexible;
	kbr_put_tags(&w);
	if (!body)
		message_write(&w, response ? api->response : api->request, version,
			      corpus_random);
	memcpy(buf, w.buf, w.len);
	len = w.len;
	if (body)
		len += kbr_vector_bytes(body, buf + len, sizeof(buf) - len);
	save(top, "proto", number, response, buf, len);
	kbr_wire_writer_free(&w);
}

#define TEXT(s) { .at = (s), .len = sizeof(s) - 1 }

/* The parts of records of __consumer_offsets */
static void save_groups(const char *top)
{
	const struct kbr_group_key keys[] = {
		{ .kind = KBR_GROUP_RECORD_OFFSET, .group = TEXT("group"), .topic = TEXT("topic"),
		  .partition = 3 },
		{ .kind = KBR_GROUP_RECORD_GROUP, .group = TEXT("gr\xc3\xbcppe") },
	};
	const struct kbr_offset_value offsets[] = {
		{ .offset = 7, .leader_epoch = 2, .metadata = TEXT("m"), .commit_ms = 9, .expire_ms = -1 },
		{ .offset = 7, .leader_epoch = -1, .metadata = TEXT(""), .commit_ms = 9, .expire_ms = 11 },
	};
	const struct kbr_group_value group = {
		.protocol_type = TEXT("consumer"), .generation = 5, .protocol = TEXT("range"),
		.leader = TEXT("a"), .state_ms = 8, .members = 1,
	};
	const struct kbr_group_value_member member = {
		.id = TEXT("a"), .instance_id = { .len = -1 }, .client_id = TEXT("c"),
		.client_host = TEXT("/192.0.2.1"), .session_timeout_ms = 10000,
		.rebalance_timeout_ms = 60000, .subscription = TEXT("s"), .assignment = TEXT("p"),
	};
	struct kbr_wire_writer w;
	int number;

	for (number = 0; number < 5; number++) {
		kbr_wire_writer_init(&w, SIZE_MAX, false);
		if (number < 2)
			kbr_group_key_encode(&w, &keys[number]);
		else if (number < 4)
			kbr_offset_value_encode(&w, &offsets[number - 2]);
		else
			kbr_group_value_encode(&w, &group);
		if (number == 4)
			kbr_group_value_member_encode(&w, &member);
		save(top, "group", number, number / 2, w.buf, w.len);
		kbr_wire_writer_free(&w);
	}
}

/* A leader's answer with @records, which may diverge, behind the offset that is fetched */
static void save_fetched(const char *top, int number, const u8 *records, size_t len)
{
	bool diverges = number % 2;
	struct kbr_wire_writer w;

	kbr_wire_writer_init(&w, SIZE_MAX, true);
	kbr_put_s64(&w, number);
	kbr_put_s32(&w, number);	/* correlation id */
	kbr_put_tags(&w);
	kbr_put_s32(&w, 0);
	kbr_put_s16(&w, 0);
	kbr_put_s32(&w, 7);		/* session */
	kbr_put_count(&w, 1);
	kbr_put_string(&w, "t");
	kbr_put_count(&w, 1);
	kbr_put_s32(&w, 0);
	kbr_put_s16(&w, 0);
	kbr_put_s64(&w, 9);
	kbr_put_s64(&w, 9);
	kbr_put_s64(&w, 0);
	kbr_put_count(&w, -1);		/* aborted transactions */
	kbr_put_s32(&w, -1);
	kbr_put_bytes(&w, records, len);
	kbr_put_uvarint(&w, diverges);
	if (diverges) {
		kbr_put_tag(&w, KBR_TAG_FETCH_DIVERGING_EPOCH, sizeof(s32) + sizeof(s64) + 1);
		kbr_put_s32(&w, 3);
		kbr_put_s64(&w, 5);
		kbr_put_tags(&w);
	}
	kbr_put_tags(&w);
	kbr_put_tags(&w);
	save(top, "fetched", number, -1, w.buf, w.len);
	kbr_wire_writer_free(&w);
}

/* One of each kind, with members and partitions */
static void save_shares(const char *top)
{
	struct kbr_share_message message = {
		.group = TEXT("group"), .topic = TEXT("topic"), .topic_id = { 1, 2, 3 },
		.epoch = 4, .sequence = 5, .synced = 6, .members = 2,
	};
	const struct kbr_share_reader readers[] = { { 77, "cat" }, { 78, "fifteen letters" } };
	struct kbr_share_item item = { .grant = 1ull << 32, .offset = -1, .reader = -1 };
	struct kbr_wire_writer w;
	unsigned int i;

	for (message.kind = 0; message.kind < KBR_SHARE_KINDS; message.kind++) {
		kbr_wire_writer_init(&w, SIZE_MAX, false);
		kbr_share_put_head(&w, &message);
		kbr_put_count(&w, 2);
		for (i = 0; i < 2; i++)
			kbr_share_put_reader(&w, &readers[i]);
		kbr_put_count(&w, 2);
		for (i = 0; i < 2; i++) {
			item.partition = i;
			item.flags = i * KBR_SHARE_WANTED;
			item.reader = (s32)i - 1;
			kbr_share_put_item(&w, &item);
		}
		save(top, "share", message.kind, -1, w.buf, w.len);
		kbr_wire_writer_free(&w);
	}
}

/* A page of each kind */
static void save_views(const char *top)
{
	static const u32 partitions[] = { 1, 2 };
	struct kbr_group_place next = { .group = TEXT("group"), .topic = TEXT("topic"), .partition = 3 };
	const struct kbr_group_told group = { .name = TEXT("group"), .leader = TEXT("member") };
	struct kbr_group_member_told member = {
		.group = TEXT("group"), .id = TEXT("member"), .instance_id = { .len = -1 },
		.client_id = TEXT("client"), .client_host = TEXT("/192.0.2.1"), .assignment = TEXT("part"),
		.node = 1, .pid = 77, .comm = TEXT("cat"), .topic = TEXT("topic"), .count = 2,
		.partitions = partitions,
	};
	struct kbr_group_offset_told offset = { .group = TEXT("group"), .topic = TEXT("topic"), .offset = 7 };
	struct kbr_wire_writer w;

	for (next.kind = 0; next.kind < KBR_GROUP_VIEW_KINDS; next.kind++) {
		kbr_wire_writer_init(&w, SIZE_MAX, false);
		kbr_put_bool(&w, true);
		kbr_group_put_place(&w, &next);
		kbr_put_count(&w, 2);
		for (member.device = 0; ; member.device = offset.placed = true) {
			if (next.kind == KBR_GROUP_VIEW_GROUPS)
				kbr_group_put_told(&w, &group);
			else if (next.kind == KBR_GROUP_VIEW_MEMBERS)
				kbr_group_put_member(&w, &member);
			else
				kbr_group_put_offset(&w, &offset);
			if (member.device)
				break;
		}
		save(top, "groupview", next.kind, -1, w.buf, w.len);
		kbr_wire_writer_free(&w);
	}
}

int main(int argc, char **argv)
{
	static u8 buf[1 << 16];
	size_t i, len;
	int number = 0;

	if (argc != 2)
		return 2;
	mkdir(argv[1], 0777);
	for (i = 0; i < sizeof(kbr_vectors) / sizeof(kbr_vectors[0]); i++, number++) {
		len = kbr_vector_bytes(kbr_vectors[i].batch, buf, sizeof(buf));
		save(argv[1], "header", number, -1, buf, len);
		save(argv[1], "records", number, -1, buf, len);
		save(argv[1], "validate", number, 0x80, buf, len);
		save(argv[1], "reader", number, 1, buf, len);
		save_fetched(argv[1], number, buf, len);
		save(argv[1], "unpack", number, 0xe0 | kbr_vectors[i].attributes % 8,
		     buf + KBR_BATCH_HEADER_LEN, len - KBR_BATCH_HEADER_LEN);
	}
	for (i = 0; i < sizeof(kbr_packed) / sizeof(kbr_packed[0]); i++, number++)
		if (kbr_packed[i].len < 4096)
			save(argv[1], "unpack", number, 0xf0 | kbr_packed[i].codec,
			     kbr_packed[i].bytes, kbr_packed[i].len);
	for (i = 0; i < sizeof(kbr_proto_vectors) / sizeof(kbr_proto_vectors[0]); i++, number++)
		save_message(argv[1], number, kbr_api_find(kbr_proto_vectors[i].key),
			     kbr_proto_vectors[i].version, kbr_proto_vectors[i].response,
			     kbr_proto_vectors[i].body);
	for (i = 0; i < kbr_apis_count; i++) {
		s16 version;

		for (version = kbr_apis[i].serve_min; version <= kbr_apis[i].max; version++) {
			save_message(argv[1], number++, &kbr_apis[i], version, false, NULL);
			save_message(argv[1], number++, &kbr_apis[i], version, true, NULL);
		}
	}
	save_groups(argv[1]);
	save_shares(argv[1]);
	save_views(argv[1]);
	return status;
}
