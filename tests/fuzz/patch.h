/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Patches of an image: what an input of fuzz_image begins with. See README.md for the bytes.
 */
#ifndef TESTS_FUZZ_PATCH_H
#define TESTS_FUZZ_PATCH_H

#include "image_map.h"
#include "input.h"

#define PATCHES_MAX 24u
#define PATCH_BYTES 8u /* of each one, without the payload of PATCH_BYTES_PUT */

enum patch_op {
	PATCH_FLIP, /* bit arg of the byte at off */
	PATCH_BYTES_PUT, /* arg % 32 + 1 bytes of payload */
	PATCH_WORD, /* an interesting value */
	PATCH_ADD, /* signed arg to the word */
	PATCH_COPY, /* arg words from another region of the kind */
	PATCH_ENTRY, /* a map entry that is right for its place: block of another region, kind and flags from arg */
	PATCH_ZERO, /* arg words */
	PATCH_FIELD, /* a field of the structure: an interesting value */
	PATCH_OPS,
};
#define PATCH_SEAL 0x80u /* in the byte of the operation: checksums are made right behind it */

struct patch_head {
	uint8_t op; /* enum patch_op, PATCH_SEAL */
	uint8_t kind; /* enum region_kind */
	uint16_t pick; /* which region of the kind */
	uint16_t off; /* in the region: byte, or number of the field */
	uint8_t arg;
	uint8_t arg2;
};
_Static_assert(sizeof(struct patch_head) == PATCH_BYTES, "patch_head has no padding");

/* Takes one patch and applies it. */
void patch_apply(uint8_t *image, const struct image_map *map, struct input *in);

#endif
