/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), by the CPU's instruction where it has one. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * Continues crc over len bytes. Start with ~0u and invert the result for the standard value; crc32c_of does both.
 * Chaining: crc32c(crc32c(s, a), b) == crc32c(s, a || b).
 */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* The same two by table only: for machines without the instruction, and for tests. */
uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t len);
uint32_t crc32c_u64_by_table(uint32_t crc, uint64_t word);

/* Whether the CPU has the instruction; set before main() and before other constructors, constant from then on. */
extern int crc32c_has_instruction;

/* The CPU's instruction on 8 bytes. Only where crc32c_has_instruction says so. */
static inline uint32_t crc32c_u64_by_instruction(uint32_t crc, uint64_t word)
{
#if defined(__x86_64__)
	uint64_t wide = crc;

	__asm__("crc32q %1, %0" : "+r"(wide) : "rm"(word));
	return (uint32_t)wide;
#elif defined(__aarch64__)
	__asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
	return crc;
#else
	return crc32c_u64_by_table(crc, word);
#endif
}

/* Continues crc over one 64-bit word, as the 8 bytes of its little-endian form. */
static inline uint32_t crc32c_u64(uint32_t crc, uint64_t word)
{
	if (__builtin_expect(crc32c_has_instruction, 1))
		return crc32c_u64_by_instruction(crc, word);
	return crc32c_u64_by_table(crc, word);
}

static inline uint32_t crc32c_of(const void *data, size_t len)
{
	return ~crc32c(~0u, data, len);
}

#endif
