/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Single wrong bits.
 *
 * A CRC is linear: the difference that a flipped bit makes depends only on its distance from the end. So the differences are run
 * through from the last bit to the first, one step each, until the one that was observed comes up.
 */
#include "fsck/bits.h"

#include <string.h>

#include "base/crc32c.h"

#define POLYNOMIAL 0x82f63b78u

int bits_correct(void *buf, size_t len, size_t crc_off)
{
	return bits_correct_from(~0u, buf, len, crc_off);
}

int bits_correct_from(uint32_t start, void *buf, size_t len, size_t crc_off)
{
	static const uint8_t zeros[4];
	uint8_t *bytes = buf;
	uint32_t stored, crc, diff, delta = POLYNOMIAL;
	le32 field;

	memcpy(&field, bytes + crc_off, sizeof(field));
	stored = le32_get(field);
	crc = crc32c(start, bytes, crc_off);
	crc = crc32c(crc, zeros, sizeof(zeros));
	crc = ~crc32c(crc, bytes + crc_off + 4, len - crc_off - 4);
	diff = crc ^ stored;
	if (!diff)
		return 0;
	if (!(diff & (diff - 1))) {
		field = le32_of(crc);
		memcpy(bytes + crc_off, &field, sizeof(field));
		return 1;
	}
	for (size_t i = len; i-- > 0;)
		for (int bit = 7; bit >= 0; bit--) {
			if (delta == diff && (i < crc_off || i >= crc_off + 4)) {
				bytes[i] ^= (uint8_t)(1u << bit);
				return 1;
			}
			delta = delta >> 1 ^ (delta & 1 ? POLYNOMIAL : 0);
		}
	return 0;
}

int bits_correct_entry(const struct entry_pos *pos, uint64_t *word, bits_entry_ok ok, void *ctx)
{
	uint64_t right = 0;
	int n = 0;

	for (int bit = 0; bit < 64; bit++) {
		uint64_t candidate = *word ^ 1ull << bit;
		struct entry e;

		if (!candidate || !entry_unpack(pos, candidate, &e) || !ok(ctx, &e))
			continue;
		right = candidate;
		n++;
	}
	if (n != 1)
		return 0;
	*word = right;
	return 1;
}
