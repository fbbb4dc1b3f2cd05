// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one table between errnos and Kafka's error codes; see error.h.
 *
 * A Kafka code has exactly one errno; an errno has exactly one code, and
 * several errnos may share one (storage failures). What is not listed is a
 * bug or an unmapped failure: UNKNOWN_SERVER_ERROR on the wire.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>

#include "base/error.h"
#include "base/kunit.h"

#define KBR_KAFKA_UNKNOWN_SERVER_ERROR	(-1)

/**
 * struct kbr_error_map - one row
 * @err: positive errno
 * @code: Kafka's code
 * @alias: only from errno to code; another row answers for the code
 * @name: Kafka's name
 */
struct kbr_error_map {
	int err;
	s16 code;
	bool alias;
	const char *name;
};

static const struct kbr_error_map kbr_errors[] = {
	{ ERANGE,		1, false, "OFFSET_OUT_OF_RANGE" },
	{ EBADMSG,		2, false, "CORRUPT_MESSAGE" },
	{ ENOENT,		3, false, "UNKNOWN_TOPIC_OR_PARTITION" },
	{ EHOSTDOWN,		5, false, "LEADER_NOT_AVAILABLE" },
	{ EREMOTE,		6, false, "NOT_LEADER_OR_FOLLOWER" },
	{ ETIMEDOUT,		7, false, "REQUEST_TIMED_OUT" },
	{ EMSGSIZE,		10, false, "MESSAGE_TOO_LARGE" },
	{ EROFS,		17, false, "INVALID_TOPIC_EXCEPTION" },
	{ EFBIG,		18, false, "RECORD_LIST_TOO_LARGE" },
	{ ENOLINK,		19, false, "NOT_ENOUGH_REPLICAS" },
	{ EDOM,			21, false, "INVALID_REQUIRED_ACKS" },
	{ EBUSY,		23, false, "INCONSISTENT_GROUP_PROTOCOL" },
	{ EACCES,		29, false, "TOPIC_AUTHORIZATION_FAILED" },
	{ EPERM,		31, false, "CLUSTER_AUTHORIZATION_FAILED" },
	{ ETIME,		32, false, "INVALID_TIMESTAMP" },
	{ EPROTONOSUPPORT,	35, false, "UNSUPPORTED_VERSION" },
	{ EEXIST,		36, false, "TOPIC_ALREADY_EXISTS" },
	{ EPROTO,		42, false, "INVALID_REQUEST" },
	{ EILSEQ,		45, false, "OUT_OF_ORDER_SEQUENCE_NUMBER" },
	{ EALREADY,		46, false, "DUPLICATE_SEQUENCE_NUMBER" },
	{ EKEYEXPIRED,		47, false, "INVALID_PRODUCER_EPOCH" },
	{ EUNATCH,		48, false, "INVALID_TXN_STATE" },
	{ EKEYREJECTED,		53, false, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" },
	{ EIO,			56, false, "KAFKA_STORAGE_ERROR" },
	{ ENOSPC,		56, true, "KAFKA_STORAGE_ERROR" },
	{ ENODEV,		3, true, "UNKNOWN_TOPIC_OR_PARTITION" },
	{ ENODATA,		3, true, "UNKNOWN_TOPIC_OR_PARTITION" },
	{ EBADF,		70, false, "FETCH_SESSION_ID_NOT_FOUND" },
	{ EBADFD,		71, false, "INVALID_FETCH_SESSION_EPOCH" },
	{ ESTALE,		74, false, "FENCED_LEADER_EPOCH" },
	{ ESRCH,		75, false, "UNKNOWN_LEADER_EPOCH" },
	{ EOPNOTSUPP,		76, false, "UNSUPPORTED_COMPRESSION_TYPE" },
	{ EINPROGRESS,		78, false, "OFFSET_NOT_AVAILABLE" },
	{ EINVAL,		87, false, "INVALID_RECORD" },
};

static const struct kbr_error_map *kbr_error_find(int err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kbr_errors); i++)
		if (kbr_errors[i].err == -err)
			return &kbr_errors[i];
	return NULL;
}

/**
 * kbr_error_to_kafka() - Kafka error code for an errno
 * @err: 0 or a negative errno
 *
 * Context: any.
 * Return: 0 for 0 (and for counts above), the code of the table, or -1
 * (UNKNOWN_SERVER_ERROR) for an errno outside the vocabulary.
 */
s16 kbr_error_to_kafka(int err)
{
	const struct kbr_error_map *map;

	if (err >= 0)
		return 0;
	map = kbr_error_find(err);
	return map ? map->code : KBR_KAFKA_UNKNOWN_SERVER_ERROR;
}
KBR_EXPORT_IF_KUNIT(kbr_error_to_kafka);

/**
 * kbr_error_from_kafka() - errno for a Kafka error code
 * @code: as a peer sent it
 *
 * Context: any.
 * Return: 0 for 0, a negative errno of the table, or -EREMOTEIO for a code
 * that has none.
 */
int kbr_error_from_kafka(s16 code)
{
	size_t i;

	if (!code)
		return 0;
	for (i = 0; i < ARRAY_SIZE(kbr_errors); i++)
		if (kbr_errors[i].code == code && !kbr_errors[i].alias)
			return -kbr_errors[i].err;
	return -EREMOTEIO;
}
KBR_EXPORT_IF_KUNIT(kbr_error_from_kafka);

/**
 * kbr_error_name() - Kafka's name of what an errno means, for messages
 * @err: 0 or a negative errno
 *
 * Context: any.
 * Return: a constant string, never NULL.
 */
const char *kbr_error_name(int err)
{
	const struct kbr_error_map *map;

	if (err >= 0)
		return "NONE";
	map = kbr_error_find(err);
	return map ? map->name : "UNKNOWN_SERVER_ERROR";
}
KBR_EXPORT_IF_KUNIT(kbr_error_name);
