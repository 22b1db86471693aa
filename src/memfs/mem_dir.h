/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The entries of one directory: a hash table for names, and an array in order of insertion for readdir.
 *
 * A cookie is an entry's insertion number, never used twice in a directory: it stays good while other entries, or the entry
 * itself, go away; to resume is a binary search. The array is squeezed when most of it is empty, which keeps the order.
 * Locks: the owner's content lock, shared for reading, exclusive for changes.
 */
#ifndef MEM_DIR_H
#define MEM_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "zus/plugin.h"

#define MEM_COOKIE_DOT 1ull
#define MEM_COOKIE_DOTDOT 2ull
#define MEM_COOKIE_FIRST 3ull

struct mem_inode;

struct mem_dirent {
	struct mem_dirent *next; /* in the bucket */
	struct mem_inode *inode; /* kept alive by its link */
	uint32_t hash;
	uint32_t slot;
	uint32_t len;
	char name[];
};

struct mem_dir_slot {
	uint64_t cookie;
	struct mem_dirent *entry; /* NULL: removed */
};

struct mem_dir {
	struct mem_dirent **buckets;
	struct mem_dir_slot *slots;
	uint32_t n_buckets; /* a power of two, or 0 */
	uint32_t n_slots;
	uint32_t cap_slots;
	uint32_t n_live;
	uint64_t next_cookie;
	uint32_t seed;
	bool dead; /* removed: nothing is found or made here any more */
};

void mem_dir_init(struct mem_dir *dir, uint32_t seed);
void mem_dir_fini(struct mem_dir *dir);
struct mem_dirent *mem_dir_find(const struct mem_dir *dir, struct zus_name name);
/* Room for one more entry: the next mem_dir_insert cannot fail. -ENOMEM, -ENOSPC. */
int mem_dir_reserve(struct mem_dir *dir);
/* A new entry for name, not yet in a directory; NULL: no memory. Free it with free(3). */
struct mem_dirent *mem_dirent_new(struct zus_name name, struct mem_inode *inode);
/* After mem_dir_reserve; the name must not be there. */
void mem_dir_insert(struct mem_dir *dir, struct mem_dirent *entry);
/* Takes the entry out and frees it. */
void mem_dir_remove(struct mem_dir *dir, struct mem_dirent *entry);
/* The first entry behind cookie, NULL at the end; *out_cookie becomes its own. */
const struct mem_dirent *mem_dir_next(const struct mem_dir *dir, uint64_t cookie, uint64_t *out_cookie);

#endif
