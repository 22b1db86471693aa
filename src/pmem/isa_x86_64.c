/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * x86-64: non-temporal stores of 64, 32 or 16 bytes; clwb, clflushopt or clflush; sfence.
 *
 * Non-temporal stores, clwb and clflushopt are ordered by sfence alone. clflush is ordered by itself against stores to the same
 * line, and the sfence behind it costs nothing that matters.
 */
#include "pmem/isa.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>

#include "pmem/pmem.h"

#define CPUID7_EBX_CLFLUSHOPT (1u << 23)
#define CPUID7_EBX_CLWB (1u << 24)

static void __attribute__((target("avx512f"))) copy_lines_avx512(void *dst, const void *src, size_t n_lines)
{
	const uint8_t *from = src;
	uint8_t *to = dst;

	for (; n_lines >= 4; n_lines -= 4, from += 256, to += 256) {
		__m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + 64);
		__m512i c = _mm512_loadu_si512(from + 128), d = _mm512_loadu_si512(from + 192);

		_mm512_stream_si512((__m512i *)to, a);
		_mm512_stream_si512((__m512i *)(to + 64), b);
		_mm512_stream_si512((__m512i *)(to + 128), c);
		_mm512_stream_si512((__m512i *)(to + 192), d);
	}
	for (; n_lines; n_lines--, from += 64, to += 64)
		_mm512_stream_si512((__m512i *)to, _mm512_loadu_si512(from));
}

static void __attribute__((target("avx512f"))) zero_lines_avx512(void *dst, size_t n_lines)
{
	__m512i zero = _mm512_setzero_si512();
	__m512i *to = dst;

	for (; n_lines; n_lines--)
		_mm512_stream_si512(to++, zero);
}

static void __attribute__((target("avx2"))) copy_lines_avx2(void *dst, const void *src, size_t n_lines)
{
	const __m256i *from = src;
	__m256i *to = dst;

	for (; n_lines >= 2; n_lines -= 2, from += 4, to += 4) {
		__m256i a = _mm256_loadu_si256(from), b = _mm256_loadu_si256(from + 1);
		__m256i c = _mm256_loadu_si256(from + 2), d = _mm256_loadu_si256(from + 3);

		_mm256_stream_si256(to, a);
		_mm256_stream_si256(to + 1, b);
		_mm256_stream_si256(to + 2, c);
		_mm256_stream_si256(to + 3, d);
	}
	if (n_lines) {
		__m256i a = _mm256_loadu_si256(from), b = _mm256_loadu_si256(from + 1);

		_mm256_stream_si256(to, a);
		_mm256_stream_si256(to + 1, b);
	}
}

static void __attribute__((target("avx2"))) zero_lines_avx2(void *dst, size_t n_lines)
{
	__m256i zero = _mm256_setzero_si256();
	__m256i *to = dst;

	for (; n_lines; n_lines--, to += 2) {
		_mm256_stream_si256(to, zero);
		_mm256_stream_si256(to + 1, zero);
	}
}

static void copy_lines_sse2(void *dst, const void *src, size_t n_lines)
{
	const __m128i *from = src;
	__m128i *to = dst;

	for (; n_lines; n_lines--, from += 4, to += 4) {
		__m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
		__m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);

		_mm_stream_si128(to, a);
		_mm_stream_si128(to + 1, b);
		_mm_stream_si128(to + 2, c);
		_mm_stream_si128(to + 3, d);
	}
}

static void zero_lines_sse2(void *dst, size_t n_lines)
{
	__m128i zero = _mm_setzero_si128();
	__m128i *to = dst;

	for (; n_lines; n_lines--, to += 4) {
		_mm_stream_si128(to, zero);
		_mm_stream_si128(to + 1, zero);
		_mm_stream_si128(to + 2, zero);
		_mm_stream_si128(to + 3, zero);
	}
}

static void __attribute__((target("clwb"))) flush_lines_clwb(const void *first, size_t n_lines)
{
	uint8_t *p = (uint8_t *)(uintptr_t)first;

	for (; n_lines; n_lines--, p += PMEM_LINE)
		_mm_clwb(p);
}

static void __attribute__((target("clflushopt"))) flush_lines_clflushopt(const void *first, size_t n_lines)
{
	uint8_t *p = (uint8_t *)(uintptr_t)first;

	for (; n_lines; n_lines--, p += PMEM_LINE)
		_mm_clflushopt(p);
}

static void flush_lines_clflush(const void *first, size_t n_lines)
{
	const uint8_t *p = first;

	for (; n_lines; n_lines--, p += PMEM_LINE)
		_mm_clflush(p);
}

static void fence_sfence(void)
{
	_mm_sfence();
}

#define ISA(store, back)                                                                                                         \
	{                                                                                                                        \
		.name = #store "+" #back, .writes_back = 1, .copy_lines = copy_lines_##store, .zero_lines = zero_lines_##store,  \
		.flush_lines = flush_lines_##back, .fence = fence_sfence                                                         \
	}

/* Rows: width of stores; columns: way of writing back. Best first in both. */
static const struct pmem_isa isa_x86_64[3][3] = {
	{ ISA(avx512, clwb), ISA(avx512, clflushopt), ISA(avx512, clflush) },
	{ ISA(avx2, clwb), ISA(avx2, clflushopt), ISA(avx2, clflush) },
	{ ISA(sse2, clwb), ISA(sse2, clflushopt), ISA(sse2, clflush) },
};

size_t pmem_isa_usable_x86_64(const struct pmem_isa **out_list, size_t cap)
{
	unsigned int eax, ebx = 0, ecx, edx;
	int has_store[3], has_back[3];
	size_t n = 0;

	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
		ebx = 0;
	__builtin_cpu_init(); /* its answers include whether the kernel saves the registers */
	has_store[0] = __builtin_cpu_supports("avx512f") != 0;
	has_store[1] = __builtin_cpu_supports("avx2") != 0;
	has_store[2] = 1;
	has_back[0] = (ebx & CPUID7_EBX_CLWB) != 0;
	has_back[1] = (ebx & CPUID7_EBX_CLFLUSHOPT) != 0;
	has_back[2] = 1;
	for (int store = 0; store < 3; store++)
		for (int back = 0; back < 3; back++)
			if (has_store[store] && has_back[back] && n < cap)
				out_list[n++] = &isa_x86_64[store][back];
	return n;
}

#endif
