/* SPDX-License-Identifier: BSD-3-Clause */
/* Single wrong bits: a CRC says which one it is, so that a flip does not cost the structure that it is in. */
#ifndef FSCK_BITS_H
#define FSCK_BITS_H

#include <stddef.h>
#include <stdint.h>

#include "pmfs2/media/entry.h"

/*
 * buf: len bytes whose CRC-32C, with the 4 bytes at crc_off taken as 0, is not the one stored there. If exactly one flipped bit
 * explains that, flips it in buf and returns 1. At most 2^28 bits.
 */
int bits_correct(void *buf, size_t len, size_t crc_off);
/* The same for a CRC that starts with another value than ~0. */
int bits_correct_from(uint32_t start, void *buf, size_t len, size_t crc_off);

/* The same for a map entry. ok says whether a candidate with right check bits may stand there. 1: *word is right now. */
typedef int (*bits_entry_ok)(void *ctx, const struct entry *e);
int bits_correct_entry(const struct entry_pos *pos, uint64_t *word, bits_entry_ok ok, void *ctx);

#endif
