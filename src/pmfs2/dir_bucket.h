/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One directory bucket: parsing, checking, searching and building. Knows nothing of the trie, of transactions or of a mounted file
 * system, so that checking tools can use it too.
 *
 * Layout (format.h): header of 64 bytes, 32-bit slots growing up, entries growing down from the end. What lies between the slots
 * and the tail is garbage, and so are the bodies of dead entries.
 *
 * Everything in a bucket is input. A function that finds it damaged returns a string that says what is wrong, NULL if all is well.
 */
#ifndef PMFS2_DIR_BUCKET_H
#define PMFS2_DIR_BUCKET_H

#include <stdint.h>

#include "base/util.h"
#include "pmfs2/media/format.h"
#include "zus/plugin.h"

#define BUCKET_DIRENT_MAX 280u /* bytes: an entry of the longest name */

/* The word pmfs2_bucket.dyn. */
struct bucket_dyn {
	uint32_t slots; /* used slots, dead ones included */
	uint32_t tail; /* byte offset of the lowest entry */
	uint32_t live; /* entries */
	uint32_t dead; /* bytes of dead entries at or above tail */
};

/* An entry, copied out and checked; name points to media. */
struct bucket_entry {
	uint64_t ino;
	uint64_t hash;
	uint32_t type;
	uint32_t len_bytes; /* of the whole entry */
	struct zus_name name;
};

/* Live entries of a bucket. */
struct bucket_item {
	uint64_t hash;
	uint16_t off; /* bytes from the bucket's start */
	uint16_t len_bytes;
};
struct bucket_list {
	uint32_t n;
	struct bucket_item items[PMFS2_BUCKET_SLOTS_MAX];
};

/* The first depth bits of a hash, the others 0. */
static inline uint64_t hash_prefix(uint64_t hash, uint32_t depth)
{
	return hash >> (PMFS2_HASH_BITS - depth) << (PMFS2_HASH_BITS - depth);
}

/* Bytes of an entry whose name has len bytes. */
static inline uint32_t dirent_bytes(uint32_t name_len)
{
	return (uint32_t)round_up_to(PMFS2_DIRENT_HEAD + name_len, 8);
}

static inline uint64_t bucket_dyn_pack(const struct bucket_dyn *dyn)
{
	return dyn->slots | (uint64_t)dyn->tail << 16 | (uint64_t)dyn->live << 32 | (uint64_t)dyn->dead << 48;
}

/* Where the slots end, in whole words. */
static inline uint32_t bucket_slots_end(uint32_t slots)
{
	return (uint32_t)round_up_to(PMFS2_BUCKET_SLOTS_OFF + 4 * slots, 8);
}

/* True if a further entry of len bytes fits. */
static inline int bucket_has_room(const struct bucket_dyn *dyn, uint32_t len_bytes)
{
	return dyn->slots < PMFS2_BUCKET_SLOTS_MAX && bucket_slots_end(dyn->slots + 1) + len_bytes <= dyn->tail;
}

/* Slots, as 64-bit words of two: slot s is the half (s & 1) of word s / 2. */
static inline const le64 *bucket_slot_word(const struct pmfs2_bucket *b, uint32_t slot)
{
	return (const le64 *)((const uint8_t *)b + PMFS2_BUCKET_SLOTS_OFF) + slot / 2;
}
static inline uint32_t bucket_slot_of(uint64_t word, uint32_t slot)
{
	return (uint32_t)(word >> (slot & 1 ? 32 : 0));
}
static inline uint64_t bucket_slot_set(uint64_t word, uint32_t slot, uint32_t value)
{
	return slot & 1 ? (word & 0xffffffffull) | (uint64_t)value << 32 : (word & ~0xffffffffull) | value;
}
static inline uint32_t bucket_slot_value(uint32_t off, uint64_t hash)
{
	return off / 8 | (uint32_t)(hash & 0xffff) << 16;
}
static inline uint32_t bucket_slot_off(uint32_t value)
{
	return (value & 0xffff) * 8;
}

static inline void bucket_prefetch(const void *b)
{
	for (uint32_t off = 0; off < 576; off += 64)
		__builtin_prefetch((const uint8_t *)b + off, 0, 3);
}

/* The static part: magic, CRC, owner, own block number, depth, prefix. */
const char *bucket_check_header(const struct pmfs2_bucket *b, uint64_t owner, uint64_t block, uint32_t *out_depth,
				uint64_t *out_prefix);
const char *bucket_dyn_unpack(uint64_t word, struct bucket_dyn *out);
/* What the word sum has to hold. */
uint32_t bucket_slots_sum(const struct pmfs2_bucket *b, uint32_t slots);
/* The entry at a slot's offset. owner: from the checked header. */
const char *bucket_entry_read(const struct pmfs2_bucket *b, uint64_t owner, const struct bucket_dyn *dyn, uint32_t off,
			      struct bucket_entry *out);

/* What bucket_find found. */
struct bucket_match {
	uint32_t slot;
	uint32_t off; /* 0: the name is not there */
	struct bucket_entry entry;
};
const char *bucket_find(const struct pmfs2_bucket *b, uint64_t owner, uint64_t hash, struct zus_name name,
			struct bucket_match *out);

/*
 * All live entries, in slot order, and everything that can be checked: entries, fingerprints, prefix, names, counts, sums.
 * The sum of the entries' lengths is right, so they fit into a new bucket.
 */
const char *bucket_collect(const struct pmfs2_bucket *b, uint64_t owner, struct bucket_list *out);

/* An image of an entry; words: room for BUCKET_DIRENT_MAX bytes. Returns its length in bytes. */
uint32_t dirent_build(le64 *words, uint64_t owner, uint64_t hash, struct zus_name name, uint64_t ino_type);
static inline uint64_t dirent_ino_type(uint64_t ino, uint32_t type, uint32_t name_len)
{
	return ino | (uint64_t)type << 40 | (uint64_t)name_len << 48;
}
/* CRC of an entry. */
uint32_t dirent_crc(uint64_t owner, uint64_t ino_type, uint64_t hash, struct zus_name name);

/* The header of an empty bucket, sealed. */
void bucket_header_build(struct pmfs2_bucket *header, uint64_t owner, uint64_t block, uint64_t prefix, uint32_t depth);
/* Appends an entry to a block-sized image in DRAM in which there is room for it. */
void bucket_image_append(void *image, const void *entry, uint32_t len_bytes, uint64_t hash);

#endif
