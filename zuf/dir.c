// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading directories. The server fills its area with entries; they are copied to memory of our own before anything is looked at,
 * and before the slot is given back: copying to the application may fault.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "zuf.h"

#define DIR_BUF_LEN 32768

/* Entries at or behind cookie *pos. Bytes in buf, 0: the end. */
static int dir_fetch(struct inode *dir, loff_t pos, void *buf)
{
	struct zuf_call call;
	int err;

	err = zuf_call_begin(&call, zuf_sb_of(dir->i_sb), ZUF_OP_READDIR, zuf_i(dir)->node);
	if (err)
		return err;
	call.in->off = pos;
	call.in->len = DIR_BUF_LEN;
	err = zuf_call_send(&call);
	if (!err && call.out.out_len > DIR_BUF_LEN)
		err = -EIO;
	if (!err) {
		memcpy(buf, zuf_call_out(&call), call.out.out_len);
		err = call.out.out_len;
	}
	zuf_call_end(&call);
	return err;
}

static bool dirent_is_sane(const struct zuf_dirent *d, size_t left)
{
	return left >= sizeof(*d) && d->name_len && d->name_len <= ZUF_NAME_BYTES_MAX && sizeof(*d) + d->name_len <= left &&
	       d->next && d->next <= LLONG_MAX && !memchr(d->name, '/', d->name_len) && !memchr(d->name, 0, d->name_len);
}

/* 1: go on; 0: the application's buffer is full. */
static int dir_emit_all(struct dir_context *ctx, const void *buf, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const struct zuf_dirent *d = buf + at;

		if (!dirent_is_sane(d, len - at))
			return -EIO;
		if (!dir_emit(ctx, d->name, d->name_len, d->ino, d->type))
			return 0;
		ctx->pos = d->next;
		at += ALIGN(sizeof(*d) + d->name_len, 8);
	}
	return 1;
}

static int zuf_readdir(struct file *file, struct dir_context *ctx)
{
	void *buf = kvmalloc(DIR_BUF_LEN, GFP_KERNEL);
	int res;

	if (!buf)
		return -ENOMEM;
	do {
		res = dir_fetch(file_inode(file), ctx->pos, buf);
		if (res > 0)
			res = dir_emit_all(ctx, buf, res);
	} while (res > 0);
	kvfree(buf);
	return res;
}

/* Positions are the plug-in's cookies: any of them may be gone to. */
static loff_t dir_llseek(struct file *file, loff_t off, int whence)
{
	struct inode *inode = file_inode(file);

	inode_lock(inode);
	switch (whence) {
	case SEEK_CUR:
		off += file->f_pos;
		break;
	case SEEK_SET:
		break;
	case SEEK_END:
		off += i_size_read(inode);
		break;
	default:
		off = -1;
		break;
	}
	if (off >= 0)
		file->f_pos = off;
	inode_unlock(inode);
	return off >= 0 ? off : -EINVAL;
}

static int dir_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct zuf_sb *zsb = zuf_sb_of(file_inode(file)->i_sb);

	return zsb->info.flags & ZUF_INFO_FSYNC ? zuf_call_simple(zsb, ZUF_OP_FSYNC, zuf_i(file_inode(file))->node, NULL) : 0;
}

const struct file_operations zuf_dir_fops = {
	.llseek = dir_llseek,
	.read = generic_read_dir,
	.iterate_shared = zuf_readdir,
	.fsync = dir_fsync,
	.setlease = generic_setlease,
};
