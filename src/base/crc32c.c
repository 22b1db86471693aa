/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CRC-32C: eight bytes at a time by the CPU's instruction, one table look-up per byte elsewhere.
 *
 * The constructor runs before any other of this program or plug-in (priority 101), so crc32c_has_instruction and the table are
 * constants for everybody else and need no synchronisation.
 */
#include "base/crc32c.h"

#include <endian.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#define POLYNOMIAL 0x82f63b78u
#define ARM64_HWCAP_CRC32 (1ul << 7)

int crc32c_has_instruction;

static uint32_t table[256];

static void __attribute__((constructor(101))) crc32c_choose(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[i] = crc;
	}
#if defined(__x86_64__)
	__builtin_cpu_init();
	crc32c_has_instruction = __builtin_cpu_supports("sse4.2") != 0;
#elif defined(__aarch64__)
	crc32c_has_instruction = (getauxval(AT_HWCAP) & ARM64_HWCAP_CRC32) != 0;
#endif
}

uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		crc = crc >> 8 ^ table[(uint8_t)(crc ^ p[i])];
	return crc;
}

uint32_t crc32c_u64_by_table(uint32_t crc, uint64_t word)
{
	for (int i = 0; i < 8; i++, word >>= 8)
		crc = crc >> 8 ^ table[(uint8_t)(crc ^ word)];
	return crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t word;

	if (!crc32c_has_instruction)
		return crc32c_by_table(crc, data, len);
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		crc = crc32c_u64_by_instruction(crc, le64toh(word));
	}
	return crc32c_by_table(crc, p, len);
}
