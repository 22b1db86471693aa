/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mutator of fuzz_image's inputs: works on whole patches and operations (adds one, takes one away, changes one field of one), and
 * leaves every fourth input to libFuzzer's own mutations.
 */
#include <string.h>

#include "patch.h"
#include "target.h"

/* libFuzzer's, where it is linked. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak));

#define HEAD_BYTES 2u

static uint32_t next(uint32_t *rng)
{
	*rng = *rng * 1664525u + 1013904223u;
	return *rng >> 8;
}

/* Length of the patch at p, of which left bytes are there. */
static size_t patch_len(const uint8_t *p, size_t left)
{
	size_t len = PATCH_BYTES;

	if (left >= PATCH_BYTES && (p[0] & 0x7fu) % PATCH_OPS == PATCH_BYTES_PUT)
		len += p[6] % 32u + 1u;
	return len < left ? len : left;
}

static size_t patch_at(const uint8_t *data, size_t size, uint32_t number)
{
	size_t at = HEAD_BYTES;

	while (number-- && at < size)
		at += patch_len(data + at, size - at);
	return at;
}

static void patch_fill(struct patch_head *head, uint32_t *rng)
{
	*head = (struct patch_head){
		.op = (uint8_t)(next(rng) % PATCH_OPS | (next(rng) % 8 ? PATCH_SEAL : 0)),
		.kind = (uint8_t)(next(rng) % REGION_DATA),
		.pick = (uint16_t)next(rng),
		.off = (uint16_t)(next(rng) & 1 ? next(rng) : next(rng) % 64),
		.arg = (uint8_t)(next(rng) & 1 ? next(rng) : next(rng) % 4),
		.arg2 = (uint8_t)next(rng),
	};
	if (head->op % 128 == PATCH_BYTES_PUT)
		head->op = PATCH_FIELD | PATCH_SEAL;
}

static size_t patch_insert(uint8_t *data, size_t size, size_t max_size, uint32_t *rng)
{
	uint32_t n = data[1] % (PATCHES_MAX + 1);
	size_t at = patch_at(data, size, n ? next(rng) % (n + 1) : 0);
	struct patch_head head;

	if (size + sizeof(head) > max_size || n == PATCHES_MAX)
		return size;
	patch_fill(&head, rng);
	memmove(data + at + sizeof(head), data + at, size - at);
	memcpy(data + at, &head, sizeof(head));
	data[1] = (uint8_t)(n + 1);
	return size + sizeof(head);
}

static size_t patch_remove(uint8_t *data, size_t size, uint32_t *rng)
{
	uint32_t n = data[1] % (PATCHES_MAX + 1);
	size_t at, len;

	if (!n)
		return size;
	at = patch_at(data, size, next(rng) % n);
	len = at < size ? patch_len(data + at, size - at) : 0;
	memmove(data + at, data + at + len, size - at - len);
	data[1] = (uint8_t)(n - 1);
	return size - len;
}

/* One field of one patch gets another value. */
static size_t patch_change(uint8_t *data, size_t size, uint32_t *rng)
{
	uint32_t n = data[1] % (PATCHES_MAX + 1);
	struct patch_head old, fresh;
	size_t at;

	if (!n)
		return size;
	at = patch_at(data, size, next(rng) % n);
	if (at + sizeof(old) > size)
		return size;
	memcpy(&old, data + at, sizeof(old));
	patch_fill(&fresh, rng);
	switch (next(rng) % 5) {
	case 0:
		old.pick = fresh.pick;
		break;
	case 1:
		old.off = fresh.off;
		break;
	case 2:
		old.arg = fresh.arg;
		break;
	case 3:
		old.arg2 = fresh.arg2;
		break;
	default:
		old.op ^= PATCH_SEAL;
	}
	memcpy(data + at, &old, sizeof(old));
	return size;
}

static size_t op_append(uint8_t *data, size_t size, size_t max_size, uint32_t *rng)
{
	uint8_t op[4] = { (uint8_t)next(rng), (uint8_t)(next(rng) % 40), (uint8_t)(next(rng) % 40), (uint8_t)next(rng) };

	if (size + sizeof(op) > max_size)
		return size;
	memcpy(data + size, op, sizeof(op));
	return size + sizeof(op);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	uint32_t rng = seed;

	if (size < HEAD_BYTES) {
		memset(data, 0, HEAD_BYTES);
		size = HEAD_BYTES;
	}
	for (uint32_t n = next(&rng) % 4; n; n--)
		size = patch_insert(data, size, max_size, &rng);
	switch (next(&rng) % 8) {
	case 0:
	case 1:
		return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max_size) : size;
	case 2:
		data[0] = (uint8_t)next(&rng);
		return size;
	case 3:
		return patch_remove(data, size, &rng);
	case 4:
		return op_append(data, size, max_size, &rng);
	default:
		return patch_change(data, size, &rng);
	}
}
