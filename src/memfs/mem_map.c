/* SPDX-License-Identifier: BSD-3-Clause */
/* The radix tree of a file's blocks. Recursion goes down one level a call, at most MEM_MAP_HEIGHT_MAX deep. */
#include "memfs/mem_map.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/util.h"

/* Adjacent blocks that were cut, freed together. */
struct cut {
	struct mem_alloc *alloc;
	uint64_t first;
	uint64_t n_run;
	uint64_t n_total;
};

static mem_entry *node_child(const mem_entry *node, uint32_t slot)
{
	return (mem_entry *)(uintptr_t)node[slot];
}

/* Blocks that one entry of a node of this height stands for. */
static uint64_t entry_span(uint32_t height)
{
	return 1ull << MEM_MAP_BITS * (height - 1);
}

static uint64_t map_capacity(const struct mem_map *map)
{
	return map->root ? entry_span(map->height) << MEM_MAP_BITS : 0;
}

mem_entry *mem_map_leaf(const struct mem_map *map, uint64_t index)
{
	mem_entry *node = map->root;

	if (index >= map_capacity(map))
		return NULL;
	for (uint32_t h = map->height; h > 1 && node; h--)
		node = node_child(node, (uint32_t)(index / entry_span(h)) % MEM_MAP_FAN);
	return node;
}

static mem_entry *node_new(void)
{
	return calloc(MEM_MAP_FAN, sizeof(mem_entry));
}

static int map_grow(struct mem_map *map, uint64_t index)
{
	if (!map->root) {
		map->root = node_new();
		map->height = 1;
	}
	while (map->root && index >= map_capacity(map)) {
		mem_entry *node = node_new();

		if (!node)
			return -1;
		node[0] = (mem_entry)(uintptr_t)map->root;
		map->root = node;
		map->height++;
	}
	return map->root ? 0 : -1;
}

mem_entry *mem_map_leaf_create(struct mem_map *map, uint64_t index)
{
	mem_entry *node;

	if (index >= MEM_MAP_BLOCKS_MAX || map_grow(map, index))
		return NULL;
	node = map->root;
	for (uint32_t h = map->height; h > 1; h--) {
		mem_entry *slot = &node[(index / entry_span(h)) % MEM_MAP_FAN];

		if (!*slot)
			*slot = (mem_entry)(uintptr_t)node_new();
		if (!*slot)
			return NULL;
		node = (mem_entry *)(uintptr_t)*slot;
	}
	return node;
}

static mem_entry node_next(const mem_entry *node, uint32_t height, uint64_t index, uint64_t *out_index)
{
	uint64_t span = entry_span(height), rest = index % span;

	for (uint64_t slot = index / span; slot < MEM_MAP_FAN; slot++, rest = 0) {
		mem_entry found = node[slot];
		uint64_t below = 0;

		if (found && height > 1)
			found = node_next(node_child(node, (uint32_t)slot), height - 1, rest, &below);
		if (found) {
			*out_index = slot * span + below;
			return found;
		}
	}
	return 0;
}

mem_entry mem_map_next(const struct mem_map *map, uint64_t index, uint64_t *out_index)
{
	if (index >= map_capacity(map))
		return 0;
	return node_next(map->root, map->height, index, out_index);
}

static void cut_flush(struct cut *cut)
{
	if (cut->n_run)
		mem_alloc_free(cut->alloc, cut->first, cut->n_run);
	cut->n_run = 0;
}

static void cut_entry(struct cut *cut, mem_entry entry)
{
	uint64_t block = mem_entry_block(entry);

	if (cut->n_run && block != cut->first + cut->n_run)
		cut_flush(cut);
	if (!cut->n_run)
		cut->first = block;
	cut->n_run++;
	cut->n_total++;
}

/* [first, end) in blocks from the node's start. */
static void node_cut(mem_entry *node, uint32_t height, uint64_t first, uint64_t end, struct cut *cut)
{
	uint64_t span = entry_span(height);

	end = u64_min(end, span << MEM_MAP_BITS);
	for (uint64_t slot = first / span; slot * span < end; slot++) {
		uint64_t start = slot * span;

		if (!node[slot])
			continue;
		if (height == 1) {
			cut_entry(cut, node[slot]);
			node[slot] = 0;
			continue;
		}
		node_cut(node_child(node, (uint32_t)slot), height - 1, u64_max(first, start) - start, end - start, cut);
		if (first <= start && end >= start + span) {
			free(node_child(node, (uint32_t)slot));
			node[slot] = 0;
		}
	}
}

uint64_t mem_map_cut(struct mem_map *map, uint64_t first, uint64_t end, struct mem_alloc *alloc)
{
	struct cut cut = { .alloc = alloc };

	if (first >= end || first >= map_capacity(map))
		return 0;
	node_cut(map->root, map->height, first, end, &cut);
	cut_flush(&cut);
	if (!first && end >= map_capacity(map)) {
		free(map->root);
		map->root = NULL;
	}
	return cut.n_total;
}

static void node_drop(mem_entry *node, uint32_t height)
{
	for (uint32_t slot = 0; height > 1 && slot < MEM_MAP_FAN; slot++)
		if (node[slot])
			node_drop(node_child(node, slot), height - 1);
	free(node);
}

void mem_map_drop_nodes(struct mem_map *map)
{
	if (map->root)
		node_drop(map->root, map->height);
	map->root = NULL;
}
