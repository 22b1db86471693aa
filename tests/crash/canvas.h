/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device on which images are made: one mapping that is patched word by word and put back, never copied whole.
 *
 * Two arrays of the same contents: the device, on which recovery runs, and a shadow. canvas_set() stores into both and notes the
 * old word. What a mount stores goes to the device alone and is recorded; canvas_revert() takes it back from the shadow.
 *
 * The hash of the contents is kept up with each word: XOR over all words that were ever different from the loaded image.
 */
#ifndef CRASH_CANVAS_H
#define CRASH_CANVAS_H

#include <stddef.h>
#include <stdint.h>

#include "pmem/pmem.h"
#include "pmem/sim.h"

struct canvas;

/* 0 or -ENOMEM. */
int canvas_new(uint64_t size, struct canvas **out);
void canvas_free(struct canvas *c);
/* The device: a simulated one that records events. Mounts of it must be given back with fs_detach(). */
struct pmem *canvas_pm(struct canvas *c);
/* Starts from an image of the device's size. Its hash is 0. */
void canvas_load(struct canvas *c, const uint8_t *image);

/* Words as they lie in memory; off: bytes, a multiple of 8. */
uint64_t canvas_get(const struct canvas *c, uint64_t off);
void canvas_set(struct canvas *c, uint64_t off, uint64_t raw);
/* The shadow: what the device holds without the stores of a mount. */
const uint8_t *canvas_bytes(const struct canvas *c);
/* A place in the history of canvas_set(), and the way back to it. */
size_t canvas_mark(const struct canvas *c);
void canvas_undo(struct canvas *c, size_t mark);
/* There is no way back behind this. No mark may be in use. */
void canvas_keep(struct canvas *c);

/* Of the shadow. */
uint64_t canvas_hash(const struct canvas *c);
/* What the hash changes by when the word goes from one value to the other. */
uint64_t canvas_hash_delta(uint64_t off, uint64_t from, uint64_t to);
/*
 * Of the device, with what was stored since the last revert; of blocks of 4096 bytes for which is_free(ctx, block) holds (NULL: of
 * none) only whether they changed, and how many more or fewer words are not 0, roughly. *out_rest (may be NULL): the same without
 * [skip_from, skip_to) of canvas_skip().
 */
uint64_t canvas_stored_hash(struct canvas *c, int (*is_free)(void *ctx, uint64_t block), void *ctx, uint64_t *out_rest);
/* Bytes that are left out of the second hash, multiples of 4096; right behind canvas_load(). */
void canvas_skip(struct canvas *c, uint64_t from, uint64_t to);
/* Takes back what was stored since the last revert, and forgets the events. */
void canvas_revert(struct canvas *c);

#endif
