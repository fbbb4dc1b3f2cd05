// SPDX-License-Identifier: GPL-2.0-only
/*
 * error.c: the mapping between errnos and Kafka's codes is exhaustive, stable
 * and consistent both ways. The expected values are written out again here,
 * so that an edit of the table that changes what clients see is noticed.
 */
#include <kunit/test.h>
#include <linux/errno.h>

#include "base/error.h"

struct error_case {
	int err;
	s16 code;
	int back;
	const char *name;
};

static const struct error_case error_cases[] = {
	{ 0, 0, 0, "NONE" },
	{ -ERANGE, 1, -ERANGE, "OFFSET_OUT_OF_RANGE" },
	{ -EBADMSG, 2, -EBADMSG, "CORRUPT_MESSAGE" },
	{ -ENOENT, 3, -ENOENT, "UNKNOWN_TOPIC_OR_PARTITION" },
	{ -ENODEV, 3, -ENOENT, "UNKNOWN_TOPIC_OR_PARTITION" },
	{ -ENODATA, 3, -ENOENT, "UNKNOWN_TOPIC_OR_PARTITION" },
	{ -EHOSTDOWN, 5, -EHOSTDOWN, "LEADER_NOT_AVAILABLE" },
	{ -EREMOTE, 6, -EREMOTE, "NOT_LEADER_OR_FOLLOWER" },
	{ -ETIMEDOUT, 7, -ETIMEDOUT, "REQUEST_TIMED_OUT" },
	{ -EMSGSIZE, 10, -EMSGSIZE, "MESSAGE_TOO_LARGE" },
	{ -EROFS, 17, -EROFS, "INVALID_TOPIC_EXCEPTION" },
	{ -EFBIG, 18, -EFBIG, "RECORD_LIST_TOO_LARGE" },
	{ -ENOLINK, 19, -ENOLINK, "NOT_ENOUGH_REPLICAS" },
	{ -EDOM, 21, -EDOM, "INVALID_REQUIRED_ACKS" },
	{ -EBUSY, 23, -EBUSY, "INCONSISTENT_GROUP_PROTOCOL" },
	{ -EACCES, 29, -EACCES, "TOPIC_AUTHORIZATION_FAILED" },
	{ -EPERM, 31, -EPERM, "CLUSTER_AUTHORIZATION_FAILED" },
	{ -ETIME, 32, -ETIME, "INVALID_TIMESTAMP" },
	{ -EPROTONOSUPPORT, 35, -EPROTONOSUPPORT, "UNSUPPORTED_VERSION" },
	{ -EEXIST, 36, -EEXIST, "TOPIC_ALREADY_EXISTS" },
	{ -EPROTO, 42, -EPROTO, "INVALID_REQUEST" },
	{ -EILSEQ, 45, -EILSEQ, "OUT_OF_ORDER_SEQUENCE_NUMBER" },
	{ -EALREADY, 46, -EALREADY, "DUPLICATE_SEQUENCE_NUMBER" },
	{ -EKEYEXPIRED, 47, -EKEYEXPIRED, "INVALID_PRODUCER_EPOCH" },
	{ -EUNATCH, 48, -EUNATCH, "INVALID_TXN_STATE" },
	{ -EKEYREJECTED, 53, -EKEYREJECTED, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" },
	{ -EIO, 56, -EIO, "KAFKA_STORAGE_ERROR" },
	{ -ENOSPC, 56, -EIO, "KAFKA_STORAGE_ERROR" },
	{ -EBADF, 70, -EBADF, "FETCH_SESSION_ID_NOT_FOUND" },
	{ -EBADFD, 71, -EBADFD, "INVALID_FETCH_SESSION_EPOCH" },
	{ -ESTALE, 74, -ESTALE, "FENCED_LEADER_EPOCH" },
	{ -ESRCH, 75, -ESRCH, "UNKNOWN_LEADER_EPOCH" },
	{ -EOPNOTSUPP, 76, -EOPNOTSUPP, "UNSUPPORTED_COMPRESSION_TYPE" },
	{ -EINPROGRESS, 78, -EINPROGRESS, "OFFSET_NOT_AVAILABLE" },
	{ -EINVAL, 87, -EINVAL, "INVALID_RECORD" },
	{ -ENOMEM, -1, -EREMOTEIO, "UNKNOWN_SERVER_ERROR" },
};

static void error_case_desc(const struct error_case *c, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%d", c->err);
}

KUNIT_ARRAY_PARAM(error, error_cases, error_case_desc);

static void error_table(struct kunit *test)
{
	const struct error_case *c = test->param_value;

	KUNIT_EXPECT_EQ(test, kbr_error_to_kafka(c->err), c->code);
	KUNIT_EXPECT_EQ(test, kbr_error_from_kafka(c->code), c->back);
	KUNIT_EXPECT_STREQ(test, kbr_error_name(c->err), c->name);
}

/* Whatever number comes in, going there and back settles after one step. */
static void error_closed(struct kunit *test)
{
	int i, err;

	for (err = -1; err > -MAX_ERRNO; err--) {
		s16 code = kbr_error_to_kafka(err);
		bool listed = false;

		for (i = 0; i < ARRAY_SIZE(error_cases); i++)
			if (error_cases[i].err == err)
				listed = true;
		if (!listed)
			KUNIT_EXPECT_EQ_MSG(test, code, -1, "errno %d is not in the test's table", err);
		KUNIT_EXPECT_NE(test, code, 0);
		KUNIT_EXPECT_EQ(test, kbr_error_to_kafka(kbr_error_from_kafka(code)), code);
	}
	for (i = S16_MIN; i <= S16_MAX; i++) {
		err = kbr_error_from_kafka(i);
		if (!i) {
			KUNIT_EXPECT_EQ(test, err, 0);
		} else {
			KUNIT_EXPECT_LT(test, err, 0);
			if (err != -EREMOTEIO)
				KUNIT_EXPECT_EQ(test, kbr_error_to_kafka(err), (s16)i);
		}
	}
	KUNIT_EXPECT_EQ(test, kbr_error_to_kafka(17), 0);
}

static struct kunit_case error_tests[] = {
	KUNIT_CASE_PARAM(error_table, error_gen_params),
	KUNIT_CASE(error_closed),
	{}
};

static struct kunit_suite error_suite = {
	.name = "kbroker_error",
	.test_cases = error_tests,
};

kunit_test_suite(error_suite);
