/* SPDX-License-Identifier: BSD-3-Clause */
/* Directory entries in memory: see mem_dir.h. */
#include "memfs/mem_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define SLOTS_MIN 16u
#define SLOTS_MAX (1u << 30)

void mem_dir_init(struct mem_dir *dir, uint32_t seed)
{
	memset(dir, 0, sizeof(*dir));
	dir->next_cookie = MEM_COOKIE_FIRST;
	dir->seed = seed;
}

void mem_dir_fini(struct mem_dir *dir)
{
	for (uint32_t i = 0; i < dir->n_slots; i++)
		free(dir->slots[i].entry);
	free(dir->slots);
	free(dir->buckets);
	dir->slots = NULL;
	dir->buckets = NULL;
	dir->n_slots = dir->cap_slots = dir->n_buckets = dir->n_live = 0;
}

/* Eight bytes a step. Seeded: a stranger cannot choose names that meet in one bucket. */
static uint32_t name_hash(const struct mem_dir *dir, struct zus_name name)
{
	uint64_t hash = dir->seed ^ (uint64_t)name.len << 32, word;
	uint32_t at = 0;

	for (; at + 8 <= name.len; at += 8) {
		memcpy(&word, name.str + at, 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, name.str + at, name.len - at);
	hash = (hash ^ word) * 0xd6e8feb86659fd93ull;
	hash ^= hash >> 32;
	hash *= 0xd6e8feb86659fd93ull;
	return (uint32_t)(hash >> 32);
}

struct mem_dirent *mem_dir_find(const struct mem_dir *dir, struct zus_name name)
{
	uint32_t hash = name_hash(dir, name);
	struct mem_dirent *entry;

	if (!dir->n_buckets)
		return NULL;
	for (entry = dir->buckets[hash & (dir->n_buckets - 1)]; entry; entry = entry->next)
		if (entry->hash == hash && entry->len == name.len && !memcmp(entry->name, name.str, name.len))
			return entry;
	return NULL;
}

static void bucket_push(struct mem_dir *dir, struct mem_dirent *entry)
{
	struct mem_dirent **bucket = &dir->buckets[entry->hash & (dir->n_buckets - 1)];

	entry->next = *bucket;
	*bucket = entry;
}

static int dir_rehash(struct mem_dir *dir, uint32_t n_buckets)
{
	struct mem_dirent **buckets = calloc(n_buckets, sizeof(struct mem_dirent *));

	if (!buckets)
		return -ENOMEM;
	free(dir->buckets);
	dir->buckets = buckets;
	dir->n_buckets = n_buckets;
	for (uint32_t i = 0; i < dir->n_slots; i++)
		if (dir->slots[i].entry)
			bucket_push(dir, dir->slots[i].entry);
	return 0;
}

static void dir_squeeze(struct mem_dir *dir)
{
	uint32_t to = 0;

	for (uint32_t from = 0; from < dir->n_slots; from++) {
		if (!dir->slots[from].entry)
			continue;
		dir->slots[to] = dir->slots[from];
		dir->slots[to].entry->slot = to;
		to++;
	}
	dir->n_slots = to;
}

int mem_dir_reserve(struct mem_dir *dir)
{
	struct mem_dir_slot *slots;
	uint32_t cap;

	if (dir->n_slots == dir->cap_slots && dir->n_live < dir->n_slots - dir->n_slots / 4)
		dir_squeeze(dir);
	if (dir->n_slots == dir->cap_slots) {
		cap = dir->cap_slots ? dir->cap_slots * 2 : SLOTS_MIN;
		if (cap > SLOTS_MAX)
			return -ENOSPC;
		slots = realloc(dir->slots, cap * sizeof(*slots));
		if (!slots)
			return -ENOMEM;
		dir->slots = slots;
		dir->cap_slots = cap;
	}
	if (dir->n_live < dir->n_buckets)
		return 0;
	cap = dir->n_buckets ? dir->n_buckets * 2 : SLOTS_MIN;
	/* A table that cannot grow still works. */
	return dir_rehash(dir, cap) && !dir->n_buckets ? -ENOMEM : 0;
}

struct mem_dirent *mem_dirent_new(struct zus_name name, struct mem_inode *inode)
{
	struct mem_dirent *entry = malloc(sizeof(*entry) + name.len);

	if (!entry)
		return NULL;
	entry->inode = inode;
	entry->len = name.len;
	memcpy(entry->name, name.str, name.len);
	return entry;
}

void mem_dir_insert(struct mem_dir *dir, struct mem_dirent *entry)
{
	entry->hash = name_hash(dir, (struct zus_name){ entry->name, entry->len });
	entry->slot = dir->n_slots;
	dir->slots[dir->n_slots++] = (struct mem_dir_slot){ dir->next_cookie++, entry };
	dir->n_live++;
	bucket_push(dir, entry);
}

void mem_dir_remove(struct mem_dir *dir, struct mem_dirent *entry)
{
	struct mem_dirent **link = &dir->buckets[entry->hash & (dir->n_buckets - 1)];

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	dir->slots[entry->slot].entry = NULL;
	free(entry);
	dir->n_live--;
	if (!dir->n_live && dir->cap_slots > SLOTS_MIN)
		mem_dir_fini(dir);
	else if (!dir->n_live)
		dir->n_slots = 0;
	else if (dir->n_slots > SLOTS_MIN && dir->n_live < dir->n_slots / 4)
		dir_squeeze(dir);
}

const struct mem_dirent *mem_dir_next(const struct mem_dir *dir, uint64_t cookie, uint64_t *out_cookie)
{
	uint32_t low = 0, high = dir->n_slots;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (dir->slots[mid].cookie <= cookie)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < dir->n_slots; low++) {
		if (dir->slots[low].entry) {
			*out_cookie = dir->slots[low].cookie;
			return dir->slots[low].entry;
		}
	}
	return NULL;
}
