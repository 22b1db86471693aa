// SPDX-License-Identifier: GPL-2.0-only
/* File handles, for NFS and open_by_handle_at(2): the node, and the parent's where it is asked for. Nodes hold across servers. */
#include <linux/exportfs.h>

#include "zuf.h"

#define ZUF_FILEID_NODE 0x91
#define ZUF_FILEID_NODE_PARENT 0x92
#define WORDS_PER_NODE 2

static int zuf_encode_fh(struct inode *inode, __u32 *fh, int *max_len, struct inode *parent)
{
	int want = parent ? 2 * WORDS_PER_NODE : WORDS_PER_NODE, room = *max_len;
	u64 node;

	*max_len = want;
	if (room < want)
		return FILEID_INVALID;
	node = zuf_i(inode)->node;
	memcpy(fh, &node, sizeof(node));
	if (!parent)
		return ZUF_FILEID_NODE;
	node = zuf_i(parent)->node;
	memcpy(fh + WORDS_PER_NODE, &node, sizeof(node));
	return ZUF_FILEID_NODE_PARENT;
}

static struct dentry *node_to_dentry(struct super_block *sb, const __u32 *words)
{
	struct dentry *dentry;
	struct inode *inode;
	u64 node;

	memcpy(&node, words, sizeof(node));
	inode = zuf_iget_node(sb, node);
	if (IS_ERR(inode))
		return PTR_ERR(inode) == -ENOENT ? ERR_PTR(-ESTALE) : ERR_CAST(inode);
	ihold(inode);
	dentry = d_obtain_alias(inode);
	/* Only now: whoever unlinks it from here on finds the dentry in use. See unlink_is_last(). */
	if (!IS_ERR(dentry) && (!inode->i_nlink || test_bit(ZI_GONE, &zuf_i(inode)->flags))) {
		dput(dentry);
		dentry = ERR_PTR(-ESTALE);
	}
	iput(inode);
	return dentry;
}

static struct dentry *zuf_fh_to_dentry(struct super_block *sb, struct fid *fid, int len, int type)
{
	if ((type != ZUF_FILEID_NODE && type != ZUF_FILEID_NODE_PARENT) || len < WORDS_PER_NODE)
		return NULL;
	return node_to_dentry(sb, fid->raw);
}

static struct dentry *zuf_fh_to_parent(struct super_block *sb, struct fid *fid, int len, int type)
{
	if (type != ZUF_FILEID_NODE_PARENT || len < 2 * WORDS_PER_NODE)
		return NULL;
	return node_to_dentry(sb, fid->raw + WORDS_PER_NODE);
}

static struct dentry *zuf_get_parent(struct dentry *child)
{
	struct zuf_call call;
	struct inode *inode;
	int err;

	err = zuf_call_begin(&call, zuf_sb_of(child->d_sb), ZUF_OP_LOOKUP, zuf_i(d_inode(child))->node);
	if (err)
		return ERR_PTR(err);
	zuf_call_name(&call, "..", 2);
	err = zuf_call_send(&call);
	inode = err ? ERR_PTR(err) : zuf_call_inode(&call);
	zuf_call_end(&call);
	return d_obtain_alias(inode);
}

const struct export_operations zuf_export_ops = {
	.encode_fh = zuf_encode_fh,
	.fh_to_dentry = zuf_fh_to_dentry,
	.fh_to_parent = zuf_fh_to_parent,
	.get_parent = zuf_get_parent,
};
