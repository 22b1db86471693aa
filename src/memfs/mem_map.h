/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which block of memory holds which block of a file: a radix tree with 512 entries a node, as high as the file needs.
 * Locks: the owner's content lock, shared for reading, exclusive for changes.
 */
#ifndef MEM_MAP_H
#define MEM_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "memfs/mem_alloc.h"

#define MEM_MAP_BITS 9
#define MEM_MAP_FAN (1u << MEM_MAP_BITS)
#define MEM_MAP_HEIGHT_MAX 4u
#define MEM_MAP_BLOCKS_MAX (1ull << (MEM_MAP_BITS * MEM_MAP_HEIGHT_MAX))
#define MEM_FILE_SIZE_MAX (MEM_MAP_BLOCKS_MAX << MEM_BLOCK_SHIFT)

/* An entry: 0 is a hole, otherwise block number + 1 above two marks. */
typedef uint64_t mem_entry;
#define MEM_ENTRY_UNWRITTEN 1ull /* allocated, reads as zeros */
#define MEM_ENTRY_NEW 2ull /* allocated by the transfer that holds the content lock exclusively */
#define MEM_ENTRY_MARKS 3ull

struct mem_map {
	mem_entry *root; /* node of 512; NULL: empty */
	uint32_t height; /* 1: root is a leaf */
};

static inline mem_entry mem_entry_of(uint64_t block, uint64_t marks)
{
	return (block + 1) << 2 | marks;
}
static inline uint64_t mem_entry_block(mem_entry entry)
{
	return (entry >> 2) - 1;
}
static inline bool mem_entry_is_data(mem_entry entry)
{
	return entry && !(entry & MEM_ENTRY_UNWRITTEN);
}

/* The leaf with the entry of block index (at index % 512). NULL: not there, or with create: no memory or index too large. */
mem_entry *mem_map_leaf(const struct mem_map *map, uint64_t index);
mem_entry *mem_map_leaf_create(struct mem_map *map, uint64_t index);
/* The first entry that is not a hole at or behind index; 0: none. */
mem_entry mem_map_next(const struct mem_map *map, uint64_t index, uint64_t *out_index);
/* Makes [first, end) holes, frees their blocks. Returns the number of blocks freed. */
uint64_t mem_map_cut(struct mem_map *map, uint64_t first, uint64_t end, struct mem_alloc *alloc);
/* Frees the nodes alone; the blocks belong to another map. */
void mem_map_drop_nodes(struct mem_map *map);

#endif
