/* SPDX-License-Identifier: BSD-3-Clause */
/* Digests of states: not for keeping, only for comparing inside of one build. */
#ifndef CRASH_STATE_PRIVATE_H
#define CRASH_STATE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t digest_mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15ull + (a << 6))) * 0xbf58476d1ce4e5b9ull;

	x = (x ^ x >> 29) * 0x94d049bb133111ebull;
	return x ^ x >> 32;
}

static inline uint64_t digest_text(const char *text, size_t len)
{
	uint64_t d = 0xcbf29ce484222325ull ^ len;

	for (size_t i = 0; i < len; i++)
		d = (d ^ (uint8_t)text[i]) * 0x100000001b3ull;
	return digest_mix(d, len);
}

#endif
