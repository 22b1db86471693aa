/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file system that ours is compared with: what a careful programmer writes on Debian's libfuse3, low-level interface,
 * default loop and options, direct_io so that each read and write is a request. Data is plain memory. It has one level of
 * names less than a real one: a fixed table, looked up by walking it, which costs nothing beside a request.
 *
 * Usage: fuse3_floor [-f] DIR
 */
#define FUSE_USE_VERSION 34
#include <fuse_lowlevel.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NODES 64u
#define FILE_CAP (64u << 20) /* bytes of one file */
#define TIMEOUT_S 3600.0

struct node {
	fuse_ino_t parent; /* 0: free */
	char name[64];
	mode_t mode;
	size_t size; /* bytes */
	char *data; /* FILE_CAP bytes, regular files */
};

/*
 * Node 1 is the root; the index is the inode number. The lock is for names and sizes; data is not locked, as overwrites are
 * not.
 */
struct floor {
	pthread_mutex_t lock;
	struct node nodes[MAX_NODES];
};

static struct floor *floor_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct node *node_get(struct floor *fl, fuse_ino_t ino)
{
	return ino && ino < MAX_NODES && fl->nodes[ino].parent ? &fl->nodes[ino] : NULL;
}

static fuse_ino_t node_find(struct floor *fl, fuse_ino_t parent, const char *name)
{
	for (fuse_ino_t i = 2; i < MAX_NODES; i++)
		if (fl->nodes[i].parent == parent && !strcmp(fl->nodes[i].name, name))
			return i;
	return 0;
}

static void stat_fill(const struct floor *fl, fuse_ino_t ino, struct stat *st)
{
	const struct node *n = &fl->nodes[ino];

	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_mode = n->mode;
	st->st_nlink = S_ISDIR(n->mode) ? 2 : 1;
	st->st_size = (off_t)n->size;
	st->st_blksize = 4096;
	st->st_blocks = (blkcnt_t)(n->size / 512);
}

static void entry_fill(const struct floor *fl, fuse_ino_t ino, struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	e->ino = ino;
	e->attr_timeout = TIMEOUT_S;
	e->entry_timeout = TIMEOUT_S;
	stat_fill(fl, ino, &e->attr);
}

static void floor_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct floor *fl = floor_of(req);
	struct fuse_entry_param e;
	fuse_ino_t ino;

	pthread_mutex_lock(&fl->lock);
	ino = node_find(fl, parent, name);
	if (ino)
		entry_fill(fl, ino, &e);
	pthread_mutex_unlock(&fl->lock);
	if (ino)
		fuse_reply_entry(req, &e);
	else
		fuse_reply_err(req, ENOENT);
}

static void floor_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct floor *fl = floor_of(req);
	struct stat st;

	if (!node_get(fl, ino)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	stat_fill(fl, ino, &st);
	fuse_reply_attr(req, &st, TIMEOUT_S);
}

static void floor_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct floor *fl = floor_of(req);
	struct node *n = node_get(fl, ino);

	if (!n || ((to_set & FUSE_SET_ATTR_SIZE) && (attr->st_size < 0 || attr->st_size > (off_t)FILE_CAP))) {
		fuse_reply_err(req, n ? EFBIG : ESTALE);
		return;
	}
	if (to_set & FUSE_SET_ATTR_SIZE)
		n->size = (size_t)attr->st_size;
	if (to_set & FUSE_SET_ATTR_MODE)
		n->mode = (n->mode & S_IFMT) | (attr->st_mode & 07777);
	floor_getattr(req, ino, fi);
}

/* A new node; 0 and errno when there is no room. Call locked. */
static fuse_ino_t node_new_locked(struct floor *fl, fuse_ino_t parent, const char *name, mode_t mode)
{
	fuse_ino_t i = 2;

	errno = node_find(fl, parent, name) ? EEXIST : strlen(name) >= sizeof(fl->nodes[0].name) ? ENAMETOOLONG : 0;
	if (errno)
		return 0;
	while (i < MAX_NODES && fl->nodes[i].parent)
		i++;
	errno = ENOSPC;
	if (i == MAX_NODES)
		return 0;
	if (S_ISREG(mode) && !fl->nodes[i].data) {
		fl->nodes[i].data = calloc(1, FILE_CAP);
		if (!fl->nodes[i].data)
			return 0;
	}
	strcpy(fl->nodes[i].name, name);
	fl->nodes[i].mode = mode;
	fl->nodes[i].size = 0;
	fl->nodes[i].parent = parent;
	return i;
}

static int floor_make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_entry_param *e)
{
	struct floor *fl = floor_of(req);
	fuse_ino_t ino;
	int err = 0;

	pthread_mutex_lock(&fl->lock);
	ino = node_new_locked(fl, parent, name, mode);
	if (ino)
		entry_fill(fl, ino, e);
	else
		err = errno;
	pthread_mutex_unlock(&fl->lock);
	if (err)
		fuse_reply_err(req, err);
	return err;
}

static void floor_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fuse_entry_param e;

	if (!floor_make(req, parent, name, S_IFDIR | mode, &e))
		fuse_reply_entry(req, &e);
}

static void floor_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param e;

	fi->direct_io = 1;
	if (!floor_make(req, parent, name, S_IFREG | (mode & 07777), &e))
		fuse_reply_create(req, &e, fi);
}

static void floor_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct floor *fl = floor_of(req);
	fuse_ino_t ino;

	pthread_mutex_lock(&fl->lock);
	ino = node_find(fl, parent, name);
	if (ino)
		fl->nodes[ino].parent = 0;
	pthread_mutex_unlock(&fl->lock);
	fuse_reply_err(req, ino ? 0 : ENOENT);
}

static void floor_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

static void floor_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct node *n = node_get(floor_of(req), ino);

	if (!n || !n->data) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	if (off < 0 || (size_t)off >= n->size)
		size = 0;
	else if (size > n->size - (size_t)off)
		size = n->size - (size_t)off;
	fuse_reply_buf(req, size ? n->data + off : NULL, size);
}

static void floor_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct node *n = node_get(floor_of(req), ino);

	if (!n || !n->data || off < 0 || (size_t)off > FILE_CAP || size > FILE_CAP - (size_t)off) {
		fuse_reply_err(req, n && n->data ? EFBIG : EISDIR);
		return;
	}
	memcpy(n->data + off, buf, size);
	if ((size_t)off + size > n->size)
		n->size = (size_t)off + size;
	fuse_reply_write(req, size);
}

static const struct fuse_lowlevel_ops floor_ops = {
	.lookup = floor_lookup,
	.getattr = floor_getattr,
	.setattr = floor_setattr,
	.mkdir = floor_mkdir,
	.create = floor_create,
	.unlink = floor_remove,
	.rmdir = floor_remove,
	.open = floor_open,
	.read = floor_read,
	.write = floor_write,
};

static int floor_serve(struct fuse_session *se, const struct fuse_cmdline_opts *opts)
{
	/* What fuse_main() would use. */
	struct fuse_loop_config config = {
		.clone_fd = opts->clone_fd,
		.max_idle_threads = opts->max_idle_threads == UINT_MAX ? 10 : opts->max_idle_threads,
	};
	int rc = 1;

	if (fuse_set_signal_handlers(se))
		return 1;
	if (!fuse_session_mount(se, opts->mountpoint)) {
		fuse_daemonize(opts->foreground);
		rc = fuse_session_loop_mt(se, &config);
		fuse_session_unmount(se);
	}
	fuse_remove_signal_handlers(se);
	return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct fuse_cmdline_opts opts;
	struct fuse_session *se;
	struct floor *fl = calloc(1, sizeof(*fl));
	int rc = 1;

	if (!fl || fuse_parse_cmdline(&args, &opts) || !opts.mountpoint) {
		fprintf(stderr, "Usage: fuse3_floor [-f] DIR\n");
		return 2;
	}
	pthread_mutex_init(&fl->lock, NULL);
	fl->nodes[FUSE_ROOT_ID] = (struct node){ .parent = FUSE_ROOT_ID, .mode = S_IFDIR | 0755 };
	se = fuse_session_new(&args, &floor_ops, sizeof(floor_ops), fl);
	if (se) {
		rc = floor_serve(se, &opts);
		fuse_session_destroy(se);
	}
	for (size_t i = 0; i < MAX_NODES; i++)
		free(fl->nodes[i].data);
	free(fl);
	free(opts.mountpoint);
	fuse_opt_free_args(&args);
	return rc;
}
