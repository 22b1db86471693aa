/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on names: lookup, create, link, unlink, rename, readdir; the life's end of an inode. Plug-in semantics (plugin.h). */
#ifndef PMFS2_NAMEI_H
#define PMFS2_NAMEI_H

#include "pmfs2/fs.h"
#include "pmfs2/inode.h"
#include "pmfs2/tx.h"

#define PMFS2_LINK_MAX 4000000000u

int namei_lookup(struct fs *fs, uint64_t dir, struct zus_name name, struct zus_attr *out);
int namei_create(struct fs *fs, uint64_t dir, struct zus_name name, const struct zus_new *new, struct zus_attr *out);
int namei_tmpfile(struct fs *fs, uint64_t dir, const struct zus_new *new, struct zus_attr *out);
int namei_link(struct fs *fs, uint64_t node, uint64_t dir, struct zus_name name, struct zus_attr *out);
int namei_unlink(struct fs *fs, uint64_t dir, struct zus_name name);
int namei_rmdir(struct fs *fs, uint64_t dir, struct zus_name name);
int namei_rename(struct fs *fs, const struct zus_rename *ren);
int namei_readdir(struct fs *fs, uint64_t dir, uint64_t cookie, int with_attr, zus_emit_fn emit, void *ctx);
int namei_readlink(struct fs *fs, uint64_t node, char *buf, size_t cap);
void namei_forget(struct fs *fs, uint64_t node, uint64_t n_refs);

/* A directory to change: found, locked exclusively, alive, neither immutable nor (with removing) append-only. */
int dir_get_locked(struct fs *fs, uint64_t node, int removing, struct inode **out);
void dir_put_locked(struct fs *fs, struct inode *dir);

/*
 * A link of edit's inode is gone: count, ctime. With the last one, frees the inode within tx if nobody refers to it and all fits;
 * otherwise logs an orphan intent. *out_more: 1 if inode_free has to finish after the commit. The caller holds the inode's lock
 * exclusively (if this was its last link) and meta. Last call before the commit (see itable_log_free); it logs the edit.
 */
struct drop_result {
	int more; /* unreferenced, but not all freed yet */
	int dead; /* freed in this transaction; inode_mark_dead was called */
	int has_slot;
	uint32_t slot;
};
int link_drop(struct tx *tx, struct inode_edit *edit, struct drop_result *out);
/* After the commit failed (err) or not (0). */
void link_drop_done(struct fs *fs, struct inode *ip, const struct drop_result *res, int err);

/* Frees an inode without links, in steps (orphan intent set). Takes its locks. -EUCLEAN. */
int inode_free(struct fs *fs, struct inode *ip);
/* The same where nobody can be told of a failure: what could not be freed is tried again (intents_retry). */
void inode_free_later(struct fs *fs, struct inode *ip);

/* meta locks of up to four different inodes (NULLs are skipped), by rising number. */
void meta_lock_all(struct inode *const *ips, int n);
void meta_unlock_all(struct inode *const *ips, int n);

/* Fills the image of the inode that slot reserved, from new (mode, owner, ACLs, symlink target). Logs blocks, not the image. */
struct ino_slot;
int inode_create(struct tx *tx, const struct zus_new *new, uint64_t parent, struct ino_slot *slot, struct pmfs2_inode *image);

static inline uint32_t mode_to_dt(uint32_t mode)
{
	return mode >> 12 & 15;
}

#endif
