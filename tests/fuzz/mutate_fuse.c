/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests that mean something, as seeds and for the mutator: fixed parts of interesting numbers, names from a short list. */
#include <string.h>

#include "base/util.h"
#include "request.h"
#include "target.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak));

#define OPCODES 56u

static uint32_t next(uint32_t *rng)
{
	*rng = *rng * 1664525u + 1013904223u;
	return *rng >> 8;
}

static uint32_t word32(uint32_t *rng)
{
	static const uint32_t values[] = {
		0,	 0,	 0,	  0,	      1,	  2,	      3,	  4,	      8,
		16,	 100,	 4095,	  4096,	      4097,	  65536,      131072,	  0x7fffffff, 0xffffffff,
		0100644, 040755, 0120777, 0x80086601, 0x40086602, 0x801c581f, 0x401c5820, 020,	      040,
	};

	return values[next(rng) % ARRAY_SIZE(values)];
}

static size_t name_put(uint8_t *out, uint32_t *rng)
{
	static const char *const names[] = {
		"a",
		"b",
		"c",
		"dir",
		"one",
		"huge",
		"split",
		"deep",
		"link",
		"some",
		".",
		"..",
		"user.a",
		"user.inline",
		"trusted.b",
		"system.posix_acl_access",
		"system.posix_acl_default",
		"security.capability",
		"a/b",
		"",
	};
	const char *name = names[next(rng) % ARRAY_SIZE(names)];
	size_t len = strlen(name) + 1;

	memcpy(out, name, len);
	return len;
}

/* ACLs are checked by the server: one that is right, so that the way behind the check is found. */
static size_t value_put(uint8_t *out, uint32_t *rng)
{
	static const uint8_t acl[] = {
		2, 0, 0,   0,	1,   0,	  7,  0, 255, 255, 255, 255, 2,	  0,   5,  0, 9, 0, 0,	 0,   4,   0,
		5, 0, 255, 255, 255, 255, 16, 0, 7,   0,   255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255,
	};
	size_t len = next(rng) & 1 ? sizeof(acl) : next(rng) % sizeof(acl);

	memcpy(out, acl, len);
	return len;
}

static size_t var_put(uint32_t opcode, uint8_t *out, uint32_t *rng)
{
	size_t len = 0;

	switch (opcode) {
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_GETATTR:
		break;
	case FUSE_WRITE:
	case FUSE_IOCTL:
	case FUSE_BATCH_FORGET:
		len = value_put(out, rng);
		break;
	case FUSE_SETXATTR:
		len = name_put(out, rng);
		len += value_put(out + len, rng);
		break;
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_SYMLINK:
		len = name_put(out, rng);
		len += name_put(out + len, rng);
		break;
	default:
		len = name_put(out, rng);
	}
	return len;
}

/* Writes a request of this operation; its length. Room for 256 bytes and more. */
static size_t request_put(uint32_t opcode, uint8_t *out, uint32_t *rng)
{
	static const struct fuse_dialect dialect = { .setxattr_ext = 1 };
	struct request_head head = {
		.opcode = (uint8_t)opcode,
		.node = (uint8_t)(next(rng) % 6),
		.flags = (uint8_t)(REQUEST_FIX | (next(rng) & 2) | (next(rng) % 8 ? 0 : next(rng) & 0x14)),
		.uid = (uint8_t)(next(rng) & 1),
	};
	uint32_t fixed = request_fixed_len(opcode, &dialect), value;
	uint8_t *body = out + sizeof(head);

	for (uint32_t i = 0; i < fixed; i += 4) {
		value = word32(rng);
		memcpy(body + i, &value, sizeof(value));
	}
	if (opcode == FUSE_MKNOD || opcode == FUSE_CREATE || opcode == FUSE_READ) {
		value = 0100644;
		memcpy(body + (opcode == FUSE_CREATE ? 4 : 0), &value, sizeof(value));
	}
	if (opcode == FUSE_RENAME || opcode == FUSE_RENAME2 || opcode == FUSE_LINK)
		memcpy(body, &(uint64_t){ next(rng) % 6 }, 8);
	if (opcode == FUSE_COPY_FILE_RANGE || opcode == FUSEX_COPY_FILE_RANGE_64)
		memcpy(body + 16, &(uint64_t){ next(rng) % 6 }, 8);
	head.body_len = (uint16_t)(fixed + var_put(opcode, body + fixed, rng));
	memcpy(out, &head, sizeof(head));
	return sizeof(head) + head.body_len;
}

/* Where request number n begins; size: there is none. */
static size_t request_at(const uint8_t *data, size_t size, uint32_t n)
{
	size_t at = 1;

	while (n-- && at < size) {
		struct request_head head = { 0 };

		memcpy(&head, data + at, size - at < sizeof(head) ? size - at : sizeof(head));
		at += sizeof(head) + head.body_len;
	}
	return at < size ? at : size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	uint8_t fresh[512];
	uint32_t rng = seed;
	size_t len, at;

	if (!size)
		data[size++] = 1;
	switch (next(&rng) % 4) {
	case 0:
		return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max_size) : size;
	case 1:
		at = request_at(data, size, next(&rng) % 16);
		len = request_at(data, size, 0) < at ? at : size;
		return len; /* what follows is cut off */
	default:
		at = next(&rng) & 1 ? size : request_at(data, size, next(&rng) % 16);
		len = request_put(next(&rng) % OPCODES, fresh, &rng);
		if (size + len > max_size)
			return size;
		memmove(data + at + len, data + at, size - at);
		memcpy(data + at, fresh, len);
		return size + len;
	}
}

/* Each operation after some that make files and find the seed's. */
size_t target_seed(uint32_t n, uint8_t *out, size_t cap)
{
	static const uint32_t before[] = { FUSE_READDIRPLUS, FUSE_LOOKUP, FUSE_CREATE, FUSE_MKDIR, FUSE_WRITE, FUSE_SETXATTR };
	uint32_t rng = n * 7919u + 1;
	size_t len = 1;

	if (n >= 4 * OPCODES || cap < 4096)
		return 0;
	out[0] = (uint8_t)(n % 16);
	for (size_t i = 0; i < ARRAY_SIZE(before); i++)
		len += request_put(before[i], out + len, &rng);
	len += request_put(n % OPCODES, out + len, &rng);
	len += request_put(n % OPCODES, out + len, &rng);
	return len;
}
