/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended attributes. A change gathers all records in DRAM, edits them there, and stores them where they fit: the inode's tail
 * (part of the image, one record) or a fresh block (written directly, fenced, then reached by the image's xattr word).
 */
#include "pmfs2/xattr.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "pmfs2/alloc.h"

#define SET_MAX (4096u - 32u)

/* All xattrs of an inode, as on media. */
struct xset {
	uint32_t used;
	uint8_t bytes[SET_MAX] __attribute__((aligned(8)));
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

/* The record at *pos, checked against used; advances. 1, 0 at the end, -EUCLEAN. */
static int rec_at(const uint8_t *bytes, uint32_t used, uint32_t *pos, const struct pmfs2_xattr_rec **out)
{
	const struct pmfs2_xattr_rec *rec = (const struct pmfs2_xattr_rec *)(const void *)(bytes + *pos);
	uint32_t len;

	if (*pos == used)
		return 0;
	if (used - *pos < sizeof(*rec))
		return -EUCLEAN;
	len = le16_get(rec->rec_len);
	if (len % 8 || len > used - *pos || sizeof(*rec) + rec->name_len + le16_get(rec->value_len) > len || !prefix_of(rec->prefix))
		return -EUCLEAN;
	*out = rec;
	*pos += len;
	return 1;
}

static int block_load(struct fs *fs, const struct pmfs2_inode *image, struct xset *set)
{
	uint64_t ino = le64_get(image->ino);
	struct entry_pos pos = { .owner = ino };
	struct pmfs2_xattr_block blk;
	struct entry e;
	uint32_t crc;

	if (!entry_unpack(&pos, le64_get(image->xattr), &e) || e.kind != PMFS2_ENTRY_XATTR || !fs_block_ok(fs, e.block, 1))
		return fs_corrupt(fs, "inode %llu: damaged xattr pointer", (unsigned long long)ino);
	memcpy(&blk, fs_block(fs, e.block), sizeof(blk));
	crc = le32_get(blk.crc);
	blk.crc = le32_of(0);
	if (le32_get(blk.magic) != PMFS2_MAGIC_XATTR || crc != crc32c_of(&blk, sizeof(blk)) || le64_get(blk.owner) != ino ||
	    le64_get(blk.block) != e.block || le32_get(blk.used) > SET_MAX)
		return fs_corrupt(fs, "inode %llu: damaged xattr block %llu", (unsigned long long)ino, (unsigned long long)e.block);
	set->used = le32_get(blk.used);
	memcpy(set->bytes, blk.records, set->used);
	return 0;
}

static int set_load(struct fs *fs, const struct pmfs2_inode *image, struct xset *set)
{
	uint32_t inl = le16_get(image->inline_xattr_len);

	set->used = 0;
	if (le64_get(image->xattr))
		return block_load(fs, image, set);
	if (inl > PMFS2_INODE_TAIL)
		return fs_corrupt(fs, "inode %llu: inline xattrs too long", (unsigned long long)le64_get(image->ino));
	set->used = inl;
	memcpy(set->bytes, image->tail, inl);
	return 0;
}

/* 1 and the record with its offset, 0 if there is none, -EUCLEAN. */
static int set_find(struct fs *fs, const struct xset *set, const struct xname *name, uint32_t *out_off)
{
	const struct pmfs2_xattr_rec *rec;
	uint32_t pos = 0, start = 0;
	int r;

	while ((r = rec_at(set->bytes, set->used, &pos, &rec)) > 0) {
		if (rec->prefix == name->prefix && rec->name_len == name->len && !memcmp(rec + 1, name->str, name->len)) {
			*out_off = start;
			return 1;
		}
		start = pos;
	}
	return r ? fs_corrupt(fs, "damaged xattr record") : 0;
}

int xattr_get(struct fs *fs, struct inode *ip, struct zus_name name, void *buf, size_t cap)
{
	const struct pmfs2_xattr_rec *rec;
	struct xset set;
	struct xname xn;
	uint32_t off, len;
	int r = name_split(name, &xn);

	if (r)
		return r;
	if (!le64_get(ip->media->xattr) && !le16_get(ip->media->inline_xattr_len))
		return -ENODATA;
	r = set_load(fs, ip->media, &set);
	if (!r)
		r = set_find(fs, &set, &xn, &off);
	if (r <= 0)
		return r ? r : -ENODATA;
	rec = (const struct pmfs2_xattr_rec *)(const void *)(set.bytes + off);
	len = le16_get(rec->value_len);
	if (!cap)
		return (int)len;
	if (len > cap)
		return -ERANGE;
	memcpy(buf, (const uint8_t *)(rec + 1) + rec->name_len, len);
	return (int)len;
}

int xattr_list(struct fs *fs, struct inode *ip, char *buf, size_t cap)
{
	const struct pmfs2_xattr_rec *rec;
	uint32_t pos = 0;
	size_t total = 0;
	struct xset set;
	int r = set_load(fs, ip->media, &set);

	if (r)
		return r;
	while ((r = rec_at(set.bytes, set.used, &pos, &rec)) > 0) {
		const struct prefix *p = prefix_of(rec->prefix);
		size_t len = p->len + rec->name_len + 1;

		if (cap) {
			if (total + len > cap)
				return -ERANGE;
			memcpy(buf + total, p->str, p->len);
			memcpy(buf + total + p->len, rec + 1, rec->name_len);
			buf[total + len - 1] = '\0';
		}
		total += len;
	}
	return r ? fs_corrupt(fs, "inode %llu: damaged xattr record", (unsigned long long)ip->ino) : (int)total;
}

static void set_remove(struct xset *set, uint32_t off)
{
	uint32_t len = le16_get(((const struct pmfs2_xattr_rec *)(const void *)(set->bytes + off))->rec_len);

	memmove(set->bytes + off, set->bytes + off + len, set->used - off - len);
	set->used -= len;
}

static int set_append(struct xset *set, const struct xname *name, const struct zus_blob *value)
{
	struct pmfs2_xattr_rec rec = { .prefix = name->prefix, .name_len = name->len };
	uint32_t len;

	if (value->len > SET_MAX)
		return -ENOSPC;
	len = (uint32_t)round_up_to(sizeof(rec) + name->len + value->len, 8);
	if (len > SET_MAX - set->used)
		return -ENOSPC;
	rec.rec_len = le16_of((uint16_t)len);
	rec.value_len = le16_of((uint16_t)value->len);
	memset(set->bytes + set->used, 0, len);
	memcpy(set->bytes + set->used, &rec, sizeof(rec));
	memcpy(set->bytes + set->used + sizeof(rec), name->str, name->len);
	if (value->len)
		memcpy(set->bytes + set->used + sizeof(rec) + name->len, value->data, value->len);
	set->used += len;
	return 0;
}

int xattr_free_all(struct tx *tx, struct inode_edit *edit)
{
	struct entry_pos pos = { .owner = edit->ip->ino };
	struct entry e;

	if (!le64_get(edit->image.xattr))
		return 0;
	if (!entry_unpack(&pos, le64_get(edit->image.xattr), &e) || e.kind != PMFS2_ENTRY_XATTR || !fs_block_ok(tx->fs, e.block, 1))
		return fs_corrupt(tx->fs, "inode %llu: damaged xattr pointer", (unsigned long long)edit->ip->ino);
	tx_free(tx, (struct run){ e.block, 1 }, 1);
	edit->image.xattr = le64_of(0);
	edit->image.blocks = le64_of(le64_get(edit->image.blocks) - 1);
	return 0;
}

/* Writes the set to a fresh block and points image at it. */
static int block_store(struct tx *tx, struct inode_edit *edit, const struct xset *set)
{
	struct entry_pos pos = { .owner = le64_get(edit->image.ino) };
	struct entry e = { .kind = PMFS2_ENTRY_XATTR };
	struct pmfs2_xattr_block blk = {
		.magic = le32_of(PMFS2_MAGIC_XATTR),
		.owner = edit->image.ino,
		.used = le32_of(set->used),
	};
	struct run run;
	int err = alloc_run(tx->fs, 0, 1, 0, &run);

	if (err)
		return err;
	memcpy(blk.records, set->bytes, set->used);
	blk.block = le64_of(run.block);
	blk.crc = le32_of(crc32c_of(&blk, sizeof(blk)));
	pmem_copy(tx->fs->pm, fs_block(tx->fs, run.block), &blk, sizeof(blk));
	tx_use(tx, run);
	e.block = run.block;
	edit->image.xattr = le64_of(entry_pack(&pos, &e));
	edit->image.blocks = le64_of(le64_get(edit->image.blocks) + 1);
	return 0;
}

static int set_store(struct tx *tx, struct inode_edit *edit, const struct xset *set, int *io_fence)
{
	struct pmfs2_inode *image = &edit->image;
	int inline_ok = !S_ISLNK(le32_get(image->mode)) && set->used <= PMFS2_INODE_TAIL;
	int err = xattr_free_all(tx, edit);

	if (err)
		return err;
	if (le16_get(image->inline_xattr_len)) {
		memset(image->tail, 0, sizeof(image->tail));
		image->inline_xattr_len = le16_of(0);
	}
	if (!set->used)
		return 0;
	if (inline_ok) {
		memset(image->tail, 0, sizeof(image->tail));
		memcpy(image->tail, set->bytes, set->used);
		image->inline_xattr_len = le16_of((uint16_t)set->used);
		return 0;
	}
	*io_fence = 1;
	return block_store(tx, edit, set);
}

int xattr_change(struct tx *tx, struct inode_edit *edit, struct zus_name name, const struct zus_blob *value, uint32_t flags,
		 int *io_fence)
{
	struct xset set;
	struct xname xn;
	uint32_t off = 0;
	int r = name_split(name, &xn);

	if (!r)
		r = set_load(tx->fs, &edit->image, &set);
	if (!r)
		r = set_find(tx->fs, &set, &xn, &off);
	if (r < 0)
		return r;
	if (r && (flags & ZUS_XATTR_CREATE))
		return -EEXIST;
	if (!r && (!value || (flags & ZUS_XATTR_REPLACE)))
		return -ENODATA;
	if (r)
		set_remove(&set, off);
	if (value) {
		r = set_append(&set, &xn, value);
		if (r)
			return r;
	}
	return set_store(tx, edit, &set, io_fence);
}
