/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-32C: known values, instruction against table, chaining at every split, the 64-bit form. */
#include "base/crc32c.h"

#include "base/util.h"
#include "lib/tap.h"

static void fill_random(uint8_t *p, size_t len, uint64_t *state)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(tap_rand(state) >> 32);
}

/* Bit by bit from the definition. */
static uint32_t crc_of_definition(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void crc32c_of_known_strings_is_as_published(void)
{
	uint8_t buf[32];

	CHECK_EQ(crc32c_of("123456789", 9), 0xe3069283u);
	CHECK_EQ(crc32c_of("", 0), 0);
	memset(buf, 0, sizeof(buf)); /* the vectors of RFC 3720, B.4 */
	CHECK_EQ(crc32c_of(buf, 32), 0x8a9136aau);
	memset(buf, 0xff, sizeof(buf));
	CHECK_EQ(crc32c_of(buf, 32), 0x62a8ab43u);
	for (int i = 0; i < 32; i++)
		buf[i] = (uint8_t)i;
	CHECK_EQ(crc32c_of(buf, 32), 0x46dd794eu);
}

static void crc32c_of_any_length_and_alignment_equals_definition(void)
{
	uint64_t state = tap_seed();
	uint8_t buf[160];

	fill_random(buf, sizeof(buf), &state);
	for (size_t align = 0; align < 16; align++)
		for (size_t len = 0; len <= 128; len++) {
			uint32_t want = crc_of_definition(buf + align, len);

			CHECK_EQ(crc32c_of(buf + align, len), want);
			CHECK_EQ(~crc32c_by_table(~0u, buf + align, len), want);
		}
}

static void crc32c_chained_at_any_split_equals_whole(void)
{
	uint64_t state = tap_seed();
	uint8_t buf[100];

	fill_random(buf, sizeof(buf), &state);
	for (size_t split = 0; split <= sizeof(buf); split++)
		CHECK_EQ(~crc32c(crc32c(~0u, buf, split), buf + split, sizeof(buf) - split), crc32c_of(buf, sizeof(buf)));
}

static void crc32c_u64_of_random_words_equals_bytes(void)
{
	uint64_t state = tap_seed();

	for (int i = 0; i < 1000; i++) {
		uint64_t word = tap_rand(&state);
		uint32_t crc = (uint32_t)tap_rand(&state);
		uint8_t bytes[8];

		for (int b = 0; b < 8; b++)
			bytes[b] = (uint8_t)(word >> 8 * b);
		CHECK_EQ(crc32c_u64(crc, word), crc32c_by_table(crc, bytes, 8));
		CHECK_EQ(crc32c_u64_by_table(crc, word), crc32c_by_table(crc, bytes, 8));
	}
}

static void crc32c_without_instruction_gives_the_same(void)
{
	uint64_t state = tap_seed();
	uint8_t buf[64];
	uint32_t whole, word;

	fill_random(buf, sizeof(buf), &state);
	whole = crc32c_of(buf, sizeof(buf));
	word = crc32c_u64(1, 2);
	crc32c_has_instruction = 0;
	CHECK_EQ(crc32c_of(buf, sizeof(buf)), whole);
	CHECK_EQ(crc32c_u64(1, 2), word);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(crc32c_of_known_strings_is_as_published),
		TAP_CASE(crc32c_of_any_length_and_alignment_equals_definition),
		TAP_CASE(crc32c_chained_at_any_split_equals_whole),
		TAP_CASE(crc32c_u64_of_random_words_equals_bytes),
		TAP_CASE(crc32c_without_instruction_gives_the_same),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
