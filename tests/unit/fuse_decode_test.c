/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FUSE request decoder with hostile messages: every operation cut short at every byte, names and lengths that lie, random
 * bytes. Each message lies at the end of its allocation, so that a sanitizer sees a read behind it.
 */
#include <linux/limits.h>

#include "base/util.h"
#include "lib/tap.h"
#include "transport/fuse/fuse_decode.h"

static const struct fuse_dialect dialect = { .setxattr_ext = 1 };

struct message {
	uint8_t buf[8192];
	size_t len;
};

static void message_start(struct message *m, uint32_t opcode, const void *fixed, size_t len)
{
	struct fuse_in_header header = { .opcode = opcode, .unique = 77, .nodeid = 5 };

	memcpy(m->buf, &header, sizeof(header));
	if (len)
		memcpy(m->buf + sizeof(header), fixed, len);
	m->len = sizeof(header) + len;
}

static void message_add(struct message *m, const void *data, size_t len)
{
	memcpy(m->buf + m->len, data, len);
	m->len += len;
}

/* The request's pointers are good until the next call. */
static int decode(const struct message *m, size_t len, struct fuse_request *out_req)
{
	static uint8_t *exact;
	struct fuse_pieces pieces;
	uint32_t len32 = (uint32_t)len;
	int err;

	free(exact);
	exact = malloc(len);
	memcpy(exact, m->buf, len);
	if (len >= sizeof(len32))
		memcpy(exact, &len32, sizeof(len32));
	err = fuse_split(exact, len, &dialect, &pieces);
	return err ? err : fuse_decode(&pieces, &dialect, out_req);
}

static int decode_name(uint32_t opcode, const char *name, size_t len)
{
	struct fuse_request req;
	struct message m;

	message_start(&m, opcode, NULL, 0);
	message_add(&m, name, len);
	return decode(&m, m.len, &req);
}

static void decode_lookup_names_are_checked(void)
{
	char longest[257];

	CHECK_EQ(decode_name(FUSE_LOOKUP, "a", 2), 0);
	CHECK_EQ(decode_name(FUSE_LOOKUP, ".", 2), 0);
	CHECK_EQ(decode_name(FUSE_LOOKUP, "..", 3), 0);
	CHECK_EQ(decode_name(FUSE_LOOKUP, "a", 1), -EINVAL); /* no NUL */
	CHECK_EQ(decode_name(FUSE_LOOKUP, "", 0), -EINVAL);
	CHECK_EQ(decode_name(FUSE_LOOKUP, "", 1), -ENOENT);
	CHECK_EQ(decode_name(FUSE_LOOKUP, "a/b", 4), -EINVAL);
	CHECK_EQ(decode_name(FUSE_UNLINK, ".", 2), -EINVAL);
	CHECK_EQ(decode_name(FUSE_RMDIR, "..", 3), -EINVAL);
	CHECK_EQ(decode_name(FUSE_UNLINK, "...", 4), 0);
	memset(longest, 'x', sizeof(longest));
	longest[255] = '\0';
	CHECK_EQ(decode_name(FUSE_LOOKUP, longest, 256), 0);
	longest[255] = 'x';
	longest[256] = '\0';
	CHECK_EQ(decode_name(FUSE_LOOKUP, longest, 257), -ENAMETOOLONG);
}

static void decode_short_messages_are_refused(void)
{
	struct fuse_request req;
	struct message m;

	memset(&m, 0, sizeof(m));
	for (uint32_t opcode = 0; opcode < 80; opcode++) {
		message_start(&m, opcode, NULL, 0);
		for (size_t len = 1; len < sizeof(struct fuse_in_header); len++)
			CHECK_EQ(decode(&m, len, &req), -EPROTO);
		/* Zeroes of any length: decoded or refused, but never read behind. */
		for (size_t len = sizeof(struct fuse_in_header); len < 400; len++)
			decode(&m, len, &req);
	}
}

static void decode_wrong_total_length_is_refused(void)
{
	struct fuse_in_header header = { .len = 41, .opcode = FUSE_STATFS };
	struct fuse_pieces pieces;

	CHECK_EQ(fuse_split(&header, sizeof(header), &dialect, &pieces), -EPROTO);
	header.len = 39;
	CHECK_EQ(fuse_split(&header, sizeof(header), &dialect, &pieces), -EPROTO);
	header.len = 40;
	CHECK_EQ(fuse_split(&header, sizeof(header), &dialect, &pieces), 0);
}

static void decode_write_size_must_match(void)
{
	struct fuse_write_in in = { .offset = 4096, .size = 10 };
	struct fuse_request req;
	struct message m;

	message_start(&m, FUSE_WRITE, &in, sizeof(in));
	message_add(&m, "0123456789", 10);
	CHECK_EQ(decode(&m, m.len, &req), 0);
	CHECK_EQ(req.data_len, 10);
	CHECK(!memcmp(req.data, "0123456789", 10));
	CHECK_EQ(req.node, 5);
	CHECK_EQ(req.unique, 77);
	CHECK_EQ(decode(&m, m.len - 1, &req), -EINVAL);
	message_add(&m, "x", 1);
	CHECK_EQ(decode(&m, m.len, &req), -EINVAL);
}

static void decode_offsets_are_bounded(void)
{
	struct fuse_copy_file_range_in copy = { .off_in = 1ull << 62, .len = 1ull << 62 };
	struct fuse_fallocate_in falloc = { .offset = INT64_MAX, .length = 1 };
	struct fuse_setattr_in setattr = { .valid = FATTR_SIZE, .size = 1ull << 63 };
	struct fuse_read_in read = { .offset = INT64_MAX, .size = 1 };
	struct fuse_request req;
	struct message m;

	message_start(&m, FUSE_READ, &read, sizeof(read));
	CHECK_EQ(decode(&m, m.len, &req), -EINVAL);
	read.size = 0;
	message_start(&m, FUSE_READ, &read, sizeof(read));
	CHECK_EQ(decode(&m, m.len, &req), 0);
	message_start(&m, FUSE_FALLOCATE, &falloc, sizeof(falloc));
	CHECK_EQ(decode(&m, m.len, &req), -EINVAL);
	message_start(&m, FUSE_SETATTR, &setattr, sizeof(setattr));
	CHECK_EQ(decode(&m, m.len, &req), -EFBIG);
	message_start(&m, FUSEX_COPY_FILE_RANGE_64, &copy, sizeof(copy));
	CHECK_EQ(decode(&m, m.len, &req), -EINVAL);
}

static void decode_rename_needs_two_names(void)
{
	struct fuse_rename2_in in = { .newdir = 9 };
	struct fuse_request req;
	struct message m;

	message_start(&m, FUSE_RENAME2, &in, sizeof(in));
	message_add(&m, "old\0new", 8);
	CHECK_EQ(decode(&m, m.len, &req), 0);
	CHECK(req.name.len == 3 && !memcmp(req.name.str, "old", 3));
	CHECK(req.name2.len == 3 && !memcmp(req.name2.str, "new", 3));
	CHECK_EQ(decode(&m, m.len - 1, &req), -EINVAL);
	CHECK_EQ(decode(&m, m.len - 4, &req), -EINVAL);
}

static void decode_symlink_target_is_bounded(void)
{
	char target[PATH_MAX + 1];
	struct fuse_request req;
	struct message m;

	memset(target, 't', sizeof(target));
	target[PATH_MAX] = '\0';
	message_start(&m, FUSE_SYMLINK, NULL, 0);
	message_add(&m, "s", 2);
	message_add(&m, target + 1, PATH_MAX);
	CHECK_EQ(decode(&m, m.len, &req), 0);
	CHECK_EQ(req.name2.len, PATH_MAX - 1);
	message_start(&m, FUSE_SYMLINK, NULL, 0);
	message_add(&m, "s", 2);
	message_add(&m, target, PATH_MAX + 1);
	CHECK_EQ(decode(&m, m.len, &req), -ENAMETOOLONG);
	message_start(&m, FUSE_SYMLINK, NULL, 0);
	message_add(&m, "s\0", 3);
	CHECK_EQ(decode(&m, m.len, &req), -ENOENT);
}

static void decode_batch_forget_count_must_match(void)
{
	struct fuse_batch_forget_in in = { .count = 2 };
	struct fuse_forget_one one[2] = { { 3, 1 }, { 4, 2 } };
	struct fuse_request req;
	struct message m;

	message_start(&m, FUSE_BATCH_FORGET, &in, sizeof(in));
	message_add(&m, one, sizeof(one));
	CHECK_EQ(decode(&m, m.len, &req), 0);
	CHECK_EQ(req.count, 2);
	in.count = 0x10000001; /* times 16 is 16 in 32 bits */
	message_start(&m, FUSE_BATCH_FORGET, &in, sizeof(in));
	message_add(&m, one, sizeof(one[0]));
	CHECK_EQ(decode(&m, m.len, &req), -EINVAL);
	CHECK(fuse_op_is_silent(FUSE_BATCH_FORGET) && fuse_op_is_silent(FUSE_FORGET) && !fuse_op_is_silent(FUSE_READ));
}

static void decode_setxattr_both_dialects(void)
{
	const struct fuse_dialect old = { .setxattr_ext = 0 };
	struct fuse_setxattr_in in = { .size = 3 };
	struct fuse_pieces pieces;
	struct fuse_request req;
	struct message m;
	uint32_t len;

	message_start(&m, FUSE_SETXATTR, &in, sizeof(in));
	message_add(&m, "user.a\0val", 10);
	CHECK_EQ(decode(&m, m.len, &req), 0);
	CHECK(req.name.len == 6 && req.data_len == 3 && !memcmp(req.data, "val", 3));
	CHECK_EQ(decode(&m, m.len - 1, &req), -EINVAL);
	message_start(&m, FUSE_SETXATTR, &in, FUSE_COMPAT_SETXATTR_IN_SIZE);
	message_add(&m, "user.a\0val", 10);
	len = (uint32_t)m.len;
	memcpy(m.buf, &len, sizeof(len));
	CHECK_EQ(fuse_split(m.buf, m.len, &old, &pieces), 0);
	CHECK_EQ(fuse_decode(&pieces, &old, &req), 0);
	CHECK(req.data_len == 3 && !memcmp(req.data, "val", 3));
}

static void decode_unknown_operation_is_enosys(void)
{
	struct fuse_request req;
	struct message m;

	message_start(&m, 4711, NULL, 0);
	CHECK_EQ(decode(&m, m.len, &req), -ENOSYS);
	CHECK_EQ(req.unique, 77);
	message_start(&m, UINT32_MAX, NULL, 0);
	CHECK_EQ(decode(&m, m.len, &req), -ENOSYS);
}

/* Random fixed parts and strings: whatever is decoded must lie inside the message. */
static void decode_random_messages_stay_inside(void)
{
	uint64_t rng = tap_seed();
	struct fuse_request req;
	struct message m;

	for (int i = 0; i < 300000; i++) {
		size_t len = sizeof(struct fuse_in_header) + tap_rand(&rng) % 160;

		message_start(&m, (uint32_t)(tap_rand(&rng) % 60), NULL, 0);
		for (size_t b = sizeof(struct fuse_in_header); b < len; b++)
			m.buf[b] = (uint8_t)(tap_rand(&rng) % 5 ? 0 : tap_rand(&rng));
		if (decode(&m, len, &req))
			continue;
		CHECK(req.data_len <= len && req.name.len <= ZUS_NAME_MAX && req.name2.len < PATH_MAX);
		CHECK((uint64_t)req.count * sizeof(struct fuse_forget_one) <= len);
	}
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(decode_lookup_names_are_checked),
		TAP_CASE(decode_short_messages_are_refused),
		TAP_CASE(decode_wrong_total_length_is_refused),
		TAP_CASE(decode_write_size_must_match),
		TAP_CASE(decode_offsets_are_bounded),
		TAP_CASE(decode_rename_needs_two_names),
		TAP_CASE(decode_symlink_target_is_bounded),
		TAP_CASE(decode_batch_forget_count_must_match),
		TAP_CASE(decode_setxattr_both_dialects),
		TAP_CASE(decode_unknown_operation_is_enosys),
		TAP_CASE(decode_random_messages_stay_inside),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
