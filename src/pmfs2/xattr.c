/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended attributes. A change gathers all records in DRAM, edits them there, and stores them where they fit: the inode's tail
 * (part of the image, one record) or a fresh block (written directly, fenced, then reached by the image's xattr word).
 */
#include "pmfs2/xattr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "pmfs2/alloc.h"

#define SET_MAX (PMFS2_XATTR_BLOCKS_MAX * PMFS2_BLOCK_SIZE - (uint32_t)sizeof(struct pmfs2_xattr_block))

/* All xattrs of an inode, as on media: records one behind the other. */
struct xset {
	const uint8_t *bytes;
	uint32_t used;
};

/* The same in memory of its own, heap, as a block of xattrs has it. */
struct new_set {
	struct set_block {
		struct pmfs2_xattr_block head; /* zero until it is stored in a block */
		uint8_t bytes[];
	} * block;
	uint32_t used; /* bytes */
};

/* A record, its lengths read once and checked. */
struct xrec {
	const uint8_t *at; /* the whole record */
	uint32_t len;
	uint32_t name_len;
	uint32_t value_len;
	uint8_t prefix;
};

struct xname {
	uint8_t prefix;
	uint8_t len;
	const char *str;
};

static const struct prefix {
	const char *str;
	uint32_t len;
	uint8_t number;
	int whole;
} prefixes[] = {
	{ "user.", 5, PMFS2_XATTR_USER, 0 },
	{ "trusted.", 8, PMFS2_XATTR_TRUSTED, 0 },
	{ "security.", 9, PMFS2_XATTR_SECURITY, 0 },
	{ "system.posix_acl_access", 23, PMFS2_XATTR_ACL_ACCESS, 1 },
	{ "system.posix_acl_default", 24, PMFS2_XATTR_ACL_DEFAULT, 1 },
};

static int name_split(struct zus_name name, struct xname *out)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		const struct prefix *p = &prefixes[i];

		if (name.len < p->len || memcmp(name.str, p->str, p->len) || (p->whole && name.len != p->len))
			continue;
		if (!p->whole && name.len == p->len)
			return -EINVAL;
		*out = (struct xname){ p->number, (uint8_t)(name.len - p->len), name.str + p->len };
		return name.len > ZUS_NAME_MAX ? -ERANGE : 0;
	}
	return -EOPNOTSUPP;
}

static const struct prefix *prefix_of(uint8_t number)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (prefixes[i].number == number)
			return &prefixes[i];
	return NULL;
}

static const uint8_t *rec_name(const struct xrec *rec)
{
	return rec->at + sizeof(struct pmfs2_xattr_rec);
}

static const uint8_t *rec_value(const struct xrec *rec)
{
	return rec_name(rec) + rec->name_len;
}

/* The record at *pos; advances. 1, 0 at the end, -EUCLEAN. */
static int rec_at(const struct xset *set, uint32_t *pos, struct xrec *out)
{
	struct pmfs2_xattr_rec head;

	if (*pos == set->used)
		return 0;
	if (set->used - *pos < sizeof(head))
		return -EUCLEAN;
	memcpy(&head, set->bytes + *pos, sizeof(head));
	*out = (struct xrec){
		.at = set->bytes + *pos,
		.len = le16_get(head.rec_words) * 8u,
		.name_len = head.name_len,
		.value_len = le32_get(head.value_len),
		.prefix = head.prefix,
	};
	if (out->len > set->used - *pos || out->value_len > ZUS_XATTR_SIZE_MAX || !prefix_of(head.prefix) ||
	    sizeof(head) + out->name_len + out->value_len > out->len)
		return -EUCLEAN;
	*pos += out->len;
	return 1;
}

/* Where the xattr block of an image is, and how long its run is by its header. 0, or -EUCLEAN. */
static int block_find(struct fs *fs, const struct pmfs2_inode *image, struct run *out)
{
	uint64_t ino = le64_get(image->ino);
	struct entry_pos pos = { .owner = ino };
	const struct pmfs2_xattr_block *blk;
	struct entry e;

	if (!entry_unpack(&pos, le64_get(image->xattr), &e) || e.kind != PMFS2_ENTRY_XATTR || !fs_block_ok(fs, e.block, 1))
		return fs_corrupt(fs, "inode %llu: damaged xattr pointer", (unsigned long long)ino);
	blk = fs_block(fs, e.block);
	*out = (struct run){ e.block, le32_get(blk->n_blocks) };
	if (!out->n || out->n > PMFS2_XATTR_BLOCKS_MAX || !fs_block_ok(fs, e.block, out->n))
		return fs_corrupt(fs, "inode %llu: damaged xattr block %llu", (unsigned long long)ino,
				  (unsigned long long)e.block);
	return 0;
}

static int block_load(struct fs *fs, const struct pmfs2_inode *image, struct xset *set)
{
	struct pmfs2_xattr_block head;
	const uint8_t *at;
	struct run run;
	uint32_t crc;
	int err = block_find(fs, image, &run);

	if (err)
		return err;
	at = fs_block(fs, run.block);
	memcpy(&head, at, sizeof(head));
	set->bytes = at + sizeof(head);
	set->used = le32_get(head.used);
	crc = le32_get(head.crc);
	head.crc = le32_of(0);
	if (le32_get(head.magic) != PMFS2_MAGIC_XATTR || le64_get(head.owner) != le64_get(image->ino) ||
	    le64_get(head.block) != run.block || sizeof(head) + set->used > run.n * PMFS2_BLOCK_SIZE ||
	    crc != ~crc32c(crc32c(~0u, &head, sizeof(head)), set->bytes, set->used))
		return fs_corrupt(fs, "inode %llu: damaged xattr block %llu", (unsigned long long)le64_get(image->ino),
				  (unsigned long long)run.block);
	return 0;
}

/* The set as it stands in the image's tail or on media: valid while meta is held. */
static int set_load(struct fs *fs, const struct pmfs2_inode *image, struct xset *set)
{
	if (le64_get(image->xattr))
		return block_load(fs, image, set);
	*set = (struct xset){ image->tail, le16_get(image->inline_xattr_len) };
	if (set->used > PMFS2_INODE_TAIL)
		return fs_corrupt(fs, "inode %llu: inline xattrs too long", (unsigned long long)le64_get(image->ino));
	return 0;
}

/* 1 and the record, 0 if there is none, -EUCLEAN. */
static int set_find(struct fs *fs, const struct xset *set, const struct xname *name, struct xrec *out)
{
	uint32_t pos = 0;
	int r;

	while ((r = rec_at(set, &pos, out)) > 0)
		if (out->prefix == name->prefix && out->name_len == name->len && !memcmp(rec_name(out), name->str, name->len))
			return 1;
	return r ? fs_corrupt(fs, "damaged xattr record") : 0;
}

int xattr_get(struct fs *fs, struct inode *ip, struct zus_name name, void *buf, size_t cap)
{
	struct xset set;
	struct xname xn;
	struct xrec rec;
	int r = name_split(name, &xn);

	if (r)
		return r;
	if (!le64_get(ip->media->xattr) && !le16_get(ip->media->inline_xattr_len))
		return -ENODATA;
	r = set_load(fs, ip->media, &set);
	if (!r)
		r = set_find(fs, &set, &xn, &rec);
	if (r <= 0)
		return r ? r : -ENODATA;
	if (!cap)
		return (int)rec.value_len;
	if (rec.value_len > cap)
		return -ERANGE;
	memcpy(buf, rec_value(&rec), rec.value_len);
	return (int)rec.value_len;
}

int xattr_list(struct fs *fs, struct inode *ip, char *buf, size_t cap)
{
	uint32_t pos = 0;
	size_t total = 0;
	struct xset set;
	struct xrec rec;
	int r = set_load(fs, ip->media, &set);

	if (r)
		return r;
	while ((r = rec_at(&set, &pos, &rec)) > 0) {
		const struct prefix *p = prefix_of(rec.prefix);
		size_t len = p->len + rec.name_len + 1;

		if (cap) {
			if (total + len > cap)
				return -ERANGE;
			memcpy(buf + total, p->str, p->len);
			memcpy(buf + total + p->len, rec_name(&rec), rec.name_len);
			buf[total + len - 1] = '\0';
		}
		total += len;
	}
	return r ? fs_corrupt(fs, "inode %llu: damaged xattr record", (unsigned long long)ip->ino) : (int)total;
}

int xattr_free_all(struct tx *tx, struct inode_edit *edit)
{
	struct run run;
	int err;

	if (!le64_get(edit->image.xattr))
		return 0;
	err = block_find(tx->fs, &edit->image, &run);
	if (err)
		return err;
	tx_free(tx, run, 1);
	edit->image.xattr = le64_of(0);
	edit->image.blocks = le64_of(le64_get(edit->image.blocks) - run.n);
	return 0;
}

/* Writes the set to a fresh run of blocks and points image at it. One copy: a header of its own would share a line. */
static int block_store(struct tx *tx, struct inode_edit *edit, struct new_set *set, uint32_t alloc_flags)
{
	struct entry_pos pos = { .owner = le64_get(edit->image.ino) };
	struct pmfs2_xattr_block *head = &set->block->head;
	struct fs *fs = tx->fs;
	struct run run;
	uint32_t len = (uint32_t)sizeof(*head) + set->used, n = (len + PMFS2_BLOCK_SIZE - 1) / PMFS2_BLOCK_SIZE;
	int err = alloc_run(fs, 0, n, ALLOC_EXACT | alloc_flags, &run);

	if (err)
		return err;
	*head = (struct pmfs2_xattr_block){
		.magic = le32_of(PMFS2_MAGIC_XATTR),
		.owner = edit->image.ino,
		.used = le32_of(set->used),
		.block = le64_of(run.block),
		.n_blocks = le32_of(n),
	};
	head->crc = le32_of(~crc32c(~0u, set->block, len));
	pmem_copy(fs->pm, fs_block(fs, run.block), set->block, len);
	tx_use(tx, run);
	edit->image.xattr = le64_of(entry_pack(&pos, &(struct entry){ .block = run.block, .kind = PMFS2_ENTRY_XATTR }));
	edit->image.blocks = le64_of(le64_get(edit->image.blocks) + n);
	return 0;
}

/* shrinks: what there was took no less; it works on a full device. */
static int set_store(struct tx *tx, struct inode_edit *edit, struct new_set *set, int shrinks, int *io_fence)
{
	struct pmfs2_inode *image = &edit->image;
	int err = xattr_free_all(tx, edit);

	if (err)
		return err;
	if (le16_get(image->inline_xattr_len)) {
		memset(image->tail, 0, sizeof(image->tail));
		image->inline_xattr_len = le16_of(0);
	}
	if (!set->used)
		return 0;
	if (!S_ISLNK(le32_get(image->mode)) && set->used <= PMFS2_INODE_TAIL) {
		memset(image->tail, 0, sizeof(image->tail));
		memcpy(image->tail, set->block->bytes, set->used);
		image->inline_xattr_len = le16_of((uint16_t)set->used);
		return 0;
	}
	*io_fence = 1;
	return block_store(tx, edit, set, shrinks ? ALLOC_RESERVE : 0);
}

/* The record of name and value at `to`, which is zeroed. Returns its length. */
static uint32_t rec_build(uint8_t *to, const struct xname *name, const struct zus_blob *value)
{
	struct pmfs2_xattr_rec head = { .prefix = name->prefix, .name_len = name->len, .value_len = le32_of(value->len) };
	uint32_t len = (uint32_t)round_up_to(sizeof(head) + name->len + value->len, 8);

	head.rec_words = le16_of((uint16_t)(len / 8));
	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), name->str, name->len);
	if (value->len)
		memcpy(to + sizeof(head) + name->len, value->data, value->len);
	return len;
}

/* The set without old (if at is not NULL) and with name and value (if value is not NULL), in memory of its own. */
static int set_build(const struct xset *set, const struct xrec *old, const struct xname *name, const struct zus_blob *value,
		     struct new_set *out)
{
	uint64_t add = value ? round_up_to(sizeof(struct pmfs2_xattr_rec) + name->len + (uint64_t)value->len, 8) : 0;
	uint32_t before = old->at ? (uint32_t)(old->at - set->bytes) : set->used, skip = old->at ? old->len : 0;
	struct set_block *block;

	if (value && value->len > ZUS_XATTR_SIZE_MAX)
		return -E2BIG;
	if (set->used - skip + add > SET_MAX)
		return -ENOSPC;
	block = calloc(1, sizeof(*block) + set->used - skip + add + 8);
	if (!block)
		return -ENOMEM;
	memcpy(block->bytes, set->bytes, before);
	memcpy(block->bytes + before, set->bytes + before + skip, set->used - before - skip);
	*out = (struct new_set){ block, set->used - skip };
	if (value)
		out->used += rec_build(block->bytes + out->used, name, value);
	return 0;
}

int xattr_change(struct tx *tx, struct inode_edit *edit, struct zus_name name, const struct zus_blob *value, uint32_t flags,
		 int *io_fence)
{
	struct xrec old = { 0 };
	struct new_set new;
	struct xset set;
	struct xname xn;
	int r = name_split(name, &xn);

	if (!r)
		r = set_load(tx->fs, &edit->image, &set);
	if (!r)
		r = set_find(tx->fs, &set, &xn, &old);
	if (r < 0)
		return r;
	if (r && (flags & ZUS_XATTR_CREATE))
		return -EEXIST;
	if (!r && (!value || (flags & ZUS_XATTR_REPLACE)))
		return -ENODATA;
	if (!r)
		old.at = NULL;
	r = set_build(&set, &old, &xn, value, &new);
	if (r)
		return r;
	r = set_store(tx, edit, &new, new.used <= set.used, io_fence);
	free(new.block);
	return r;
}
