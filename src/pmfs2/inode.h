/* SPDX-License-Identifier: BSD-3-Clause */
/* Inodes in DRAM: locks and a pointer to the image on media. They hold nothing that media lacks, and are dropped at will. */
#ifndef PMFS2_INODE_H
#define PMFS2_INODE_H

#include "pmfs2/fs.h"
#include "pmfs2/range_lock.h"
#include "pmfs2/tx.h"

struct inode {
	uint64_t ino;
	uint32_t generation;
	const struct pmfs2_inode *media;
	/*
	 * LOCK_RANK_INODE, order 0. Directory: its entries. File: mapping and size; shared for reads and overwrites in place,
	 * exclusive for whatever changes the tree or the size. Parents before children; two directories at once only under
	 * fs->rename_lock or by rising inode number.
	 */
	struct rwlock lock;
	struct range_lock ranges; /* of a file: bytes being read or written under the shared lock */
	struct mutex meta; /* LOCK_RANK_META, order = ino: the image on media; held until the commit that changes it returned */
	uint64_t alloc_goal; /* hint: block behind the last one allocated; relaxed */
	/* cache bookkeeping, under the shard's lock */
	uint32_t users;
	int dead;
	int hashed;
	struct inode *hash_next;
	struct inode *lru_prev, *lru_next;
};

int inode_cache_new(struct inode_cache **out);
void inode_cache_free(struct inode_cache *ic);

static inline uint64_t inode_node(const struct inode *ip)
{
	return (uint64_t)(ip->generation & 0xffffff) << PMFS2_INO_BITS | ip->ino;
}
static inline int inode_is_dir(const struct inode *ip)
{
	return (le32_get(ip->media->mode) & 0170000) == 0040000;
}
static inline int inode_is_reg(const struct inode *ip)
{
	return (le32_get(ip->media->mode) & 0170000) == 0100000;
}

/* By node id, verified (magic, CRC, number, generation, in use). -ESTALE, -EUCLEAN. Pair with inode_put (NULL is fine). */
int inode_get(struct fs *fs, uint64_t node, struct inode **out_ip);
/* By number, any generation. */
int inode_get_ino(struct fs *fs, uint64_t ino, struct inode **out_ip);
void inode_put(struct fs *fs, struct inode *ip);
/*
 * Before the commit that frees an inode: from now on this generation is -ESTALE, and the number may come back as a new inode while
 * the caller still holds this one. dead 0 takes it back (the commit failed).
 */
void inode_mark_dead(struct fs *fs, struct inode *ip, int dead);

/*
 * A change of an inode: a copy of its image that the operation edits, logged at its end. The meta lock is held from begin until the
 * commit has returned.
 */
struct inode_edit {
	struct inode *ip;
	struct pmfs2_inode image;
};
void inode_edit_begin(struct inode_edit *edit, struct inode *ip);
/* Seals the CRC and logs what differs. Once per edit and transaction; after the commit, begin anew. */
void inode_edit_log(struct tx *tx, struct inode_edit *edit);
/* Sets mtime and/or ctime of the image to now. */
void inode_edit_touch(struct inode_edit *edit, int mtime, int ctime);

/* The image of a new inode: everything but mode, owner, size and tree. For create; sealed by inode_image_seal. */
void inode_image_init(struct pmfs2_inode *image, uint64_t ino, uint32_t generation);
void inode_image_log(struct tx *tx, const struct pmfs2_inode *media, const struct pmfs2_inode *image);
void inode_image_seal(struct pmfs2_inode *image);

/* Attributes for the server. The caller holds meta, or lives with single words of different age. */
void inode_attr(const struct inode *ip, struct zus_attr *out);
void inode_image_attr(const struct pmfs2_inode *image, struct zus_attr *out);

#endif
