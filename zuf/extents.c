// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is known of where a file's bytes are: extents in pages, by offset, in a tree of the inode. Filled by replies; dropped by
 * whatever changes the map. A read or a write in place that finds its bytes here makes no call.
 *
 * Invariants:
 *  1. Extents do not overlap; neighbours that continue each other are one.
 *  2. All is in whole pages; device memory that would not be is not kept and not used.
 *  3. A reply that was on its way while the map changed (seq) is used by nobody else: it is not kept.
 *  4. An extent is inside of the device: checked when it comes in.
 *  5. ZUF_EXT_UNWRITTEN is never without ZUF_EXT_HOLE: all but FIEMAP take it for a hole.
 */
#include <linux/slab.h>

#include "zuf.h"

/* Of one file. Beyond, all are dropped: a file in so many pieces is read through the server. */
#define EXTENTS_MAX 65536

struct extent {
	struct rb_node rb;
	u64 off;
	u64 end;
	u64 dev_off;
	u32 flags;
};

static struct kmem_cache *extent_cache;

/* Whether dev_off says something. */
static bool flags_have_blocks(u32 flags)
{
	return !(flags & ZUF_EXT_HOLE) || (flags & ZUF_EXT_UNWRITTEN);
}

int zuf_extents_init(void)
{
	extent_cache = KMEM_CACHE(extent, SLAB_RECLAIM_ACCOUNT);
	return extent_cache ? 0 : -ENOMEM;
}

void zuf_extents_exit(void)
{
	kmem_cache_destroy(extent_cache);
}

static struct extent *extent_of(struct rb_node *rb)
{
	return rb ? rb_entry(rb, struct extent, rb) : NULL;
}

/* The first that ends behind off. */
static struct extent *extent_first(struct zuf_inode *zi, u64 off)
{
	struct rb_node *rb = zi->extents.rb_node;
	struct extent *found = NULL;

	while (rb) {
		struct extent *e = extent_of(rb);

		if (e->end > off) {
			found = e;
			rb = rb->rb_left;
		} else {
			rb = rb->rb_right;
		}
	}
	return found;
}

bool zuf_extents_find(struct zuf_inode *zi, u64 off, struct zuf_map *out)
{
	struct extent *e;
	bool found;

	read_lock(&zi->ext_lock);
	e = extent_first(zi, off);
	found = e && e->off <= off;
	if (found) {
		out->off = off;
		out->len = e->end - off;
		out->dev_off = flags_have_blocks(e->flags) ? e->dev_off + (off - e->off) : 0;
		out->flags = e->flags;
	}
	read_unlock(&zi->ext_lock);
	return found;
}

bool zuf_extents_writable(struct zuf_inode *zi, u64 off, u64 len)
{
	u64 end = off + len;
	struct extent *e;

	read_lock(&zi->ext_lock);
	e = extent_first(zi, off);
	while (e && e->off <= off && !e->flags) {
		off = e->end;
		if (off >= end)
			break;
		e = extent_of(rb_next(&e->rb));
	}
	read_unlock(&zi->ext_lock);
	return off >= end;
}

u32 zuf_extents_seq(struct zuf_inode *zi)
{
	return READ_ONCE(zi->map_seq);
}

/* --- changing, under ext_lock ----------------------------------------------------------------- */

static void extent_erase(struct zuf_inode *zi, struct extent *e)
{
	rb_erase(&e->rb, &zi->extents);
	kmem_cache_free(extent_cache, e);
	zi->n_extents--;
}

static void extent_link(struct zuf_inode *zi, struct extent *new)
{
	struct rb_node **at = &zi->extents.rb_node, *parent = NULL;

	while (*at) {
		parent = *at;
		at = new->off < extent_of(parent)->off ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&new->rb, parent, at);
	rb_insert_color(&new->rb, &zi->extents);
	zi->n_extents++;
}

static void extent_cut_front(struct extent *e, u64 off)
{
	if (flags_have_blocks(e->flags))
		e->dev_off += off - e->off;
	e->off = off;
}

/* Takes [off, end) out. spare: for the case that one extent becomes two; without one, its rear part is lost. */
static void extents_cut(struct zuf_inode *zi, u64 off, u64 end, struct extent **spare)
{
	struct extent *e = extent_first(zi, off), *next;

	for (; e && e->off < end; e = next) {
		next = extent_of(rb_next(&e->rb));
		if (e->off < off && e->end > end) {
			if (*spare) {
				**spare = *e;
				extent_cut_front(*spare, end);
				extent_link(zi, *spare);
				*spare = NULL;
			}
			e->end = off;
		} else if (e->off < off) {
			e->end = off;
		} else if (e->end > end) {
			extent_cut_front(e, end);
		} else {
			extent_erase(zi, e);
		}
	}
}

static bool extent_continues(const struct extent *a, u64 off, u64 dev_off, u32 flags)
{
	return a && a->end == off && a->flags == flags &&
	       (!flags_have_blocks(flags) || a->dev_off + (a->end - a->off) == dev_off);
}

/* The range is free. Uses *new where no neighbour can take it over. */
static void extents_add(struct zuf_inode *zi, const struct zuf_map *map, struct extent **new)
{
	struct extent *next = extent_first(zi, map->off), *prev;

	prev = next ? extent_of(rb_prev(&next->rb)) : extent_of(rb_last(&zi->extents));
	if (extent_continues(prev, map->off, map->dev_off, map->flags)) {
		prev->end += map->len;
		if (next && extent_continues(prev, next->off, next->dev_off, next->flags)) {
			prev->end = next->end;
			extent_erase(zi, next);
		}
		return;
	}
	if (!*new)
		return;
	(*new)->off = map->off;
	(*new)->end = map->off + map->len;
	(*new)->dev_off = map->dev_off;
	(*new)->flags = map->flags;
	extent_link(zi, *new);
	*new = NULL;
}

static void extents_clear(struct zuf_inode *zi)
{
	struct extent *e, *next;

	rbtree_postorder_for_each_entry_safe(e, next, &zi->extents, rb)
		kmem_cache_free(extent_cache, e);
	zi->extents = RB_ROOT;
	zi->n_extents = 0;
}

void zuf_extents_drop(struct zuf_inode *zi, u64 off, u64 end)
{
	struct extent *spare = NULL;

	write_lock(&zi->ext_lock);
	zi->map_seq++;
	if (!off && end == U64_MAX)
		extents_clear(zi);
	else
		extents_cut(zi, off, end, &spare);
	write_unlock(&zi->ext_lock);
}

void zuf_extents_kill(struct zuf_inode *zi)
{
	write_lock(&zi->ext_lock);
	zi->dead = true;
	zi->map_seq++;
	extents_clear(zi);
	write_unlock(&zi->ext_lock);
}

static void extents_set(struct zuf_inode *zi, const struct zuf_map *map, const u32 *seq)
{
	struct extent *new = kmem_cache_alloc(extent_cache, GFP_NOFS | __GFP_NOFAIL),
		      *spare = kmem_cache_alloc(extent_cache, GFP_NOFS | __GFP_NOFAIL);

	write_lock(&zi->ext_lock);
	if (!zi->dead && (!seq || *seq == zi->map_seq)) {
		if (zi->n_extents >= EXTENTS_MAX)
			extents_clear(zi);
		extents_cut(zi, map->off, map->off + map->len, &spare);
		extents_add(zi, map, &new);
	}
	write_unlock(&zi->ext_lock);
	if (new)
		kmem_cache_free(extent_cache, new);
	if (spare)
		kmem_cache_free(extent_cache, spare);
}

/* --- replies ---------------------------------------------------------------------------------- */

#define EXT_FLAGS (ZUF_EXT_HOLE | ZUF_EXT_SHARED | ZUF_EXT_UNWRITTEN)

/* Bounds and alignment: what comes from the server is not believed. */
static bool ext_is_sane(struct zuf_sb *zsb, const struct zuf_extent *ext, u64 off)
{
	u64 max = zsb->sb->s_maxbytes;

	if (!ext->len || ext->len > max || off > max - ext->len || (ext->flags & ~EXT_FLAGS))
		return false;
	if ((ext->flags & (ZUF_EXT_HOLE | ZUF_EXT_UNWRITTEN)) == ZUF_EXT_UNWRITTEN)
		return false;
	if (!flags_have_blocks(ext->flags))
		return true;
	return ext->dev_off < zsb->dev_size && ext->len <= zsb->dev_size - ext->dev_off &&
	       !((ext->dev_off ^ off) & (PAGE_SIZE - 1));
}

int zuf_extents_keep(struct zuf_inode *zi, struct zuf_call *call, u64 off, u64 end, const u32 *seq)
{
	const struct zuf_extent *exts = zuf_call_extents(call);
	struct zuf_sb *zsb = call->zsb;
	struct zuf_extent ext;
	struct zuf_map map;
	u32 i;

	for (i = 0; i < call->out.n_ext && off < end; i++) {
		memcpy(&ext, &exts[i], sizeof(ext));
		barrier_data(&ext);
		if (!ext_is_sane(zsb, &ext, off))
			return -EIO;
		ext.len = min(ext.len, end - off);
		map.off = round_down(off, PAGE_SIZE);
		map.len = round_up(off + ext.len, PAGE_SIZE) - map.off;
		map.dev_off = flags_have_blocks(ext.flags) ? round_down(ext.dev_off, PAGE_SIZE) : 0;
		map.flags = ext.flags;
		if (!flags_have_blocks(map.flags) || map.len <= zsb->dev_size - map.dev_off)
			extents_set(zi, &map, seq);
		off += ext.len;
	}
	return 0;
}
