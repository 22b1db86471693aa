/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations on open descriptors of the model test, some of them on files without a name. Contents go into the shadow too. */
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static struct slot *random_slot(struct model *m, unsigned int *out_n)
{
	*out_n = (unsigned int)model_rand(m, MODEL_SLOTS);
	return &m->slots[*out_n];
}

/* Mostly small places; now and then far out, where another level of a tree, or a large leaf, is. */
static off_t random_off(struct model *m)
{
	switch (model_rand(m, 12)) {
	case 0: return (off_t)model_rand(m, 5u << 20);
	case 1: return (off_t)(2u << 20) - 100 + (off_t)model_rand(m, 200);
	case 2:
	case 3:
	case 4: return (off_t)model_rand(m, 40) * 4096;
	default: return (off_t)model_rand(m, 160000);
	}
}

static size_t random_len(struct model *m)
{
	static const size_t lens[] = { 0, 1, 7, 8, 100, 512, 4095, 4096, 4097, 8192, 65536, MODEL_IO_MAX };

	return model_rand(m, 2) ? lens[model_rand(m, 12)] : model_rand(m, 20000);
}

static void random_bytes(struct model *m, uint8_t *buf, size_t len)
{
	uint64_t x = model_rand(m, 1ull << 40) | 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		buf[i] = (uint8_t)(x >> 56);
	}
}

static int can_write(const struct slot *s)
{
	return s->fd[0] >= 0 && (s->flags & O_ACCMODE) != O_RDONLY;
}

/* What open() may wait for or does not stand in for a file is left alone. */
static int is_openable(const struct path *p)
{
	struct stat st;

	return stat(p->abs[1], &st) || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

static void slot_take(struct model *m, struct slot *s, const long fd[2], int flags)
{
	struct stat st;

	model_close_slot(s);
	s->fd[0] = (int)fd[0];
	s->fd[1] = (int)fd[1];
	s->flags = flags;
	s->is_dir = !fstat(s->fd[1], &st) && S_ISDIR(st.st_mode);
	/* A new file, or one just truncated, whose inode number may have had another life. */
	if (!s->is_dir && !st.st_size)
		shadow_resize(model_shadow_fd(m, s), 0);
}

static void op_open(struct model *m)
{
	static const int modes[] = { O_RDWR, O_RDWR, O_RDONLY, O_WRONLY };
	static const int extra[] = { O_CREAT,  O_CREAT,	  O_CREAT,     O_EXCL | O_CREAT, O_TRUNC,
				     O_APPEND, O_NOFOLLOW, O_DIRECTORY, O_SYNC };
	int flags = modes[model_rand(m, 4)] | O_CLOEXEC | O_NONBLOCK, err[2];
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	struct path p;
	long fd[2], result[2];

	for (int i = 0; i < 3; i++)
		if (model_rand(m, 2))
			flags |= extra[model_rand(m, 9)];
	if ((flags & O_CREAT) && (flags & O_DIRECTORY))
		flags &= ~O_DIRECTORY;
	model_path(m, &p);
	if (!is_openable(&p))
		return;
	model_describe(m, "fd%u = open(%s, %x, 0640)", n, p.rel, flags);
	MODEL_BOTH(fd, err, open(p.abs[side], flags, 0640));
	result[0] = fd[0] < 0 ? -1 : 0;
	result[1] = fd[1] < 0 ? -1 : 0;
	if (model_same(m, result, err) == 1) {
		slot_take(m, s, fd, flags);
		return;
	}
	for (int side = 0; side < 2; side++)
		if (fd[side] >= 0)
			close((int)fd[side]);
}

static void op_tmpfile(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	struct path p;
	long fd[2], result[2];
	int err[2];

	model_path(m, &p);
	if (!is_openable(&p))
		return;
	model_describe(m, "fd%u = open(%s, O_TMPFILE)", n, p.rel);
	MODEL_BOTH(fd, err, open(p.abs[side], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	result[0] = fd[0] < 0 ? -1 : 0;
	result[1] = fd[1] < 0 ? -1 : 0;
	if (model_same(m, result, err) == 1)
		slot_take(m, s, fd, O_RDWR);
}

/* Gives an open file a name; works for those of O_TMPFILE, fails for unlinked ones. */
static void op_link_fd(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	struct path q;
	char proc[2][32];
	long result[2];
	int err[2];

	if (s->fd[0] < 0)
		return;
	model_path(m, &q);
	for (int side = 0; side < 2; side++)
		snprintf(proc[side], sizeof(proc[side]), "/proc/self/fd/%d", s->fd[side]);
	model_describe(m, "linkat(fd%u, %s)", n, q.rel);
	MODEL_BOTH(result, err, linkat(AT_FDCWD, proc[side], AT_FDCWD, q.abs[side], AT_SYMLINK_FOLLOW));
	model_same(m, result, err);
}

static void op_close(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);

	model_describe(m, "close(fd%u)", n);
	model_close_slot(s);
}

static void check_read(struct model *m, const struct slot *s, const long result[2], off_t off)
{
	const struct shadow_file *f;

	if (!result[0])
		return;
	if (memcmp(m->buf[0], m->buf[1], (size_t)result[0])) {
		model_fail(m, "contents differ");
		return;
	}
	f = model_shadow_fd(m, s);
	if (!f || off < 0)
		return;
	if ((size_t)off + (size_t)result[0] > f->size || memcmp(m->buf[0], f->data + off, (size_t)result[0]))
		model_fail(m, "both differ from the contents in memory");
}

static void op_pread(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	off_t off = random_off(m);
	size_t len = random_len(m);
	long result[2];
	int err[2];

	if (s->fd[0] < 0)
		return;
	model_describe(m, "pread(fd%u, %zu, %lld)", n, len, (long long)off);
	MODEL_BOTH(result, err, pread(s->fd[side], m->buf[side], len, off));
	if (model_same(m, result, err) == 1)
		check_read(m, s, result, off);
}

static void op_read(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	size_t len = random_len(m), first = len / 3;
	struct iovec iov[2][2];
	long result[2];
	int err[2];

	if (s->fd[0] < 0)
		return;
	for (int side = 0; side < 2; side++) {
		iov[side][0] = (struct iovec){ m->buf[side], first };
		iov[side][1] = (struct iovec){ m->buf[side] + first, len - first };
	}
	model_describe(m, "readv(fd%u, %zu + %zu)", n, first, len - first);
	MODEL_BOTH(result, err, readv(s->fd[side], iov[side], 2));
	if (model_same(m, result, err) == 1)
		check_read(m, s, result, s->is_dir ? -1 : lseek(s->fd[1], 0, SEEK_CUR) - result[1]);
}

static void op_pwrite(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	off_t off = random_off(m);
	size_t len = random_len(m);
	struct shadow_file *f;
	long result[2];
	int err[2];

	if (s->fd[0] < 0)
		return;
	random_bytes(m, m->buf[2], len);
	model_describe(m, "pwrite(fd%u, %zu, %lld)", n, len, (long long)off);
	MODEL_BOTH(result, err, pwrite(s->fd[side], m->buf[2], len, off));
	if (model_same(m, result, err) != 1)
		return;
	f = model_shadow_fd(m, s);
	if (f)
		shadow_write(f, s->flags & O_APPEND ? f->size : (size_t)off, m->buf[2], (size_t)result[0]);
}

static void op_write(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	size_t len = random_len(m), first = len / 2;
	struct iovec iov[2];
	struct shadow_file *f;
	long result[2];
	int err[2];

	f = s->fd[0] >= 0 && !s->is_dir ? model_shadow_fd(m, s) : NULL;
	if (s->fd[0] < 0 || (f && f->size > (6u << 20)))
		return;
	random_bytes(m, m->buf[2], len);
	iov[0] = (struct iovec){ m->buf[2], first };
	iov[1] = (struct iovec){ m->buf[2] + first, len - first };
	model_describe(m, "writev(fd%u, %zu + %zu)", n, first, len - first);
	MODEL_BOTH(result, err, writev(s->fd[side], iov, 2));
	if (model_same(m, result, err) == 1 && f)
		shadow_write(f, (size_t)(lseek(s->fd[1], 0, SEEK_CUR) - result[1]), m->buf[2], (size_t)result[0]);
}

static void op_lseek(struct model *m)
{
	static const int whences[] = { SEEK_SET, SEEK_CUR, SEEK_END };
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	int whence = whences[model_rand(m, 3)], err[2];
	off_t off = (off_t)model_rand(m, 100000) - (whence == SEEK_SET ? 10 : 50000);
	long result[2];

	if (s->fd[0] < 0 || s->is_dir)
		return;
	model_describe(m, "lseek(fd%u, %lld, %d)", n, (long long)off, whence);
	if (lseek(s->fd[1], 0, SEEK_CUR) > (4 << 20))
		off = 0, whence = SEEK_SET;
	MODEL_BOTH(result, err, lseek(s->fd[side], off, whence));
	model_same(m, result, err);
}

/* File systems may see holes differently, but what is said to be a hole reads as zeros, and the end of a file is one. */
static void op_seek_hole(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	off_t off = random_off(m), data, pos;
	struct shadow_file *f = s->fd[0] >= 0 && !s->is_dir ? model_shadow_fd(m, s) : NULL;

	if (!f)
		return;
	model_describe(m, "lseek(fd%u, %lld, SEEK_DATA)", n, (long long)off);
	pos = lseek(s->fd[0], 0, SEEK_CUR);
	errno = 0;
	data = lseek(s->fd[0], off, SEEK_DATA);
	if (data < 0 && (errno != ENXIO || lseek(s->fd[0], pos, SEEK_SET) != pos)) {
		model_fail(m, "SEEK_DATA: %s", strerror(errno));
		return;
	}
	for (size_t i = (size_t)off; i < f->size && (data < 0 || i < (size_t)data); i++) {
		if (f->data[i]) {
			model_fail(m, "SEEK_DATA from %lld gives %lld, but byte %zu is data", (long long)off, (long long)data, i);
			return;
		}
	}
	if ((size_t)off < f->size) {
		data = lseek(s->fd[0], off, SEEK_HOLE);
		if (data < off || (size_t)data > f->size)
			model_fail(m, "SEEK_HOLE from %lld gives %lld, the size is %zu", (long long)off, (long long)data,
				   f->size);
	}
	lseek(s->fd[0], pos, SEEK_SET);
}

static void op_ftruncate(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	off_t size = random_off(m);
	long result[2];
	int err[2];

	if (s->fd[0] < 0 || s->is_dir)
		return;
	model_describe(m, "ftruncate(fd%u, %lld)", n, (long long)size);
	MODEL_BOTH(result, err, ftruncate(s->fd[side], size));
	if (model_same(m, result, err) == 1)
		shadow_resize(model_shadow_fd(m, s), (size_t)size);
}

static void op_fallocate(struct model *m)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	int mode = modes[model_rand(m, 3)], err[2];
	off_t off = random_off(m), len = (off_t)random_len(m);
	struct shadow_file *f = can_write(s) && !s->is_dir ? model_shadow_fd(m, s) : NULL;
	long result[2];

	if (!f)
		return;
	model_describe(m, "fallocate(fd%u, %x, %lld, %lld)", n, mode, (long long)off, (long long)len);
	MODEL_BOTH(result, err, fallocate(s->fd[side], mode, off, len));
	if (model_same(m, result, err) != 1)
		return;
	if (mode & FALLOC_FL_PUNCH_HOLE)
		shadow_zero(f, (size_t)off, (size_t)len);
	else if (!mode && (size_t)(off + len) > f->size)
		shadow_resize(f, (size_t)(off + len));
}

/* The reference becomes what the shadow says. */
static void reference_rewrite(struct model *m, const struct slot *s, const struct shadow_file *f)
{
	if (ftruncate(s->fd[1], 0) || ftruncate(s->fd[1], (off_t)f->size) ||
	    (f->size && pwrite(s->fd[1], f->data, f->size, 0) != (ssize_t)f->size))
		model_fail(m, "the reference could not be rewritten: %s", strerror(errno));
}

/* Modes that tmpfs does not have: the result is made in memory, and the reference is given it. */
static void op_fallocate_more(struct model *m)
{
	static const int modes[] = { FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	int mode = modes[model_rand(m, 4)], is_zero = mode & FALLOC_FL_ZERO_RANGE, want = 0, got;
	size_t off = model_rand(m, 30) * 4096, len = (model_rand(m, 10) + 1) * 4096;
	struct shadow_file *f = can_write(s) && !s->is_dir ? model_shadow_fd(m, s) : NULL;

	if (!f || (s->flags & O_APPEND) || f->size > (6u << 20))
		return;
	if (is_zero)
		off += model_rand(m, 4096);
	else if ((mode == FALLOC_FL_COLLAPSE_RANGE && off + len >= f->size) || (mode == FALLOC_FL_INSERT_RANGE && off >= f->size))
		want = EINVAL;
	model_describe(m, "fallocate(fd%u, %x, %zu, %zu)", n, mode, off, len);
	got = fallocate(s->fd[0], mode, (off_t)off, (off_t)len) ? errno : 0;
	if (got == EOPNOTSUPP)
		return;
	if (got != want) {
		model_fail(m, "%s, not %s (size %zu)", strerror(got), strerror(want), f->size);
		return;
	}
	if (got)
		return;
	if (is_zero) {
		if (!(mode & FALLOC_FL_KEEP_SIZE) && off + len > f->size)
			shadow_resize(f, off + len);
		shadow_zero(f, off, len);
	} else if (mode == FALLOC_FL_COLLAPSE_RANGE) {
		shadow_collapse(f, off, len);
	} else {
		shadow_insert(f, off, len);
	}
	reference_rewrite(m, s, f);
}

static void op_copy_range(struct model *m)
{
	unsigned int n, k;
	struct slot *from = random_slot(m, &n), *to = random_slot(m, &k);
	off_t off_in = random_off(m), off_out = random_off(m), in[2] = { off_in, off_in }, out[2] = { off_out, off_out };
	size_t len = random_len(m);
	struct shadow_file *f, *g;
	long result[2];
	int err[2];

	if (from->fd[0] < 0 || from->is_dir || !can_write(to) || to->is_dir || (to->flags & O_APPEND))
		return;
	model_describe(m, "copy_file_range(fd%u, %lld, fd%u, %lld, %zu)", n, (long long)off_in, k, (long long)off_out, len);
	f = model_shadow_fd(m, from);
	g = model_shadow_fd(m, to);
	MODEL_BOTH(result, err, copy_file_range(from->fd[side], &in[side], to->fd[side], &out[side], len, 0));
	/* Either may stop early (and return less); then nothing can be said of the rest. */
	if (result[0] > 0 && result[1] > 0 && result[0] != result[1])
		model_fail(m, "copied %ld and %ld bytes", result[0], result[1]);
	else if (model_same(m, result, err) == 1 && result[0]) {
		memcpy(m->buf[2], f->data + off_in, (size_t)result[0]);
		shadow_write(g, (size_t)off_out, m->buf[2], (size_t)result[0]);
	}
}

/* Writes a few bytes through a shared mapping, inside the file. */
static void map_write(struct model *m, const struct slot *s, off_t page, size_t in_page, size_t len)
{
	for (int side = 0; side < 2; side++) {
		uint8_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd[side], page);

		if (p == MAP_FAILED) {
			model_fail(m, "side %d: mmap: %s", side, strerror(errno));
			return;
		}
		memcpy(p + in_page, m->buf[2], len);
		if (msync(p, 8192, MS_SYNC))
			model_fail(m, "side %d: msync: %s", side, strerror(errno));
		munmap(p, 8192);
	}
}

static void op_mmap(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	size_t in_page = model_rand(m, 4096), len = model_rand(m, 4000) + 1;
	off_t page = random_off(m) & ~(off_t)4095;
	struct shadow_file *f;

	if (s->fd[0] < 0 || s->is_dir || (s->flags & O_ACCMODE) != O_RDWR)
		return;
	f = model_shadow_fd(m, s);
	if ((size_t)page + in_page + len > f->size)
		return;
	random_bytes(m, m->buf[2], len);
	model_describe(m, "mmap(fd%u) and %zu bytes to %lld", n, len, (long long)page + (long long)in_page);
	map_write(m, s, page, in_page, len);
	shadow_write(f, (size_t)page + in_page, m->buf[2], len);
}

static void op_fstat(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	struct stat st[2];
	long result[2];
	int err[2];

	if (s->fd[0] < 0)
		return;
	model_describe(m, "fstat(fd%u)", n);
	MODEL_BOTH(result, err, fstat(s->fd[side], &st[side]));
	if (model_same(m, result, err) == 1)
		model_compare_stat(m, "descriptor", st);
}

static void op_fsync(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	long result[2];
	int err[2];

	if (s->fd[0] < 0)
		return;
	model_describe(m, "fsync(fd%u)", n);
	MODEL_BOTH(result, err, fsync(s->fd[side]));
	model_same(m, result, err);
}

static void op_fchmod(struct model *m)
{
	unsigned int n;
	struct slot *s = random_slot(m, &n);
	mode_t mode = (mode_t)model_rand(m, 01000) | 0600;
	long result[2];
	int err[2];

	if (s->fd[0] < 0)
		return;
	model_describe(m, "fchmod(fd%u, %o)", n, mode);
	MODEL_BOTH(result, err, fchmod(s->fd[side], s->is_dir ? mode | 0700 : mode));
	model_same(m, result, err);
}

const struct model_op model_fd_ops[] = {
	{ "open", 16, op_open },	    { "tmpfile", 2, op_tmpfile },   { "linkfd", 2, op_link_fd },
	{ "close", 4, op_close },	    { "pread", 8, op_pread },	    { "read", 5, op_read },
	{ "pwrite", 12, op_pwrite },	    { "write", 6, op_write },	    { "lseek", 4, op_lseek },
	{ "seekhole", 3, op_seek_hole },    { "ftruncate", 5, op_ftruncate }, { "fallocate", 5, op_fallocate },
	{ "falloc2", 3, op_fallocate_more }, { "copyrange", 3, op_copy_range }, { "mmap", 4, op_mmap },
	{ "fstat", 3, op_fstat },	    { "fsync", 1, op_fsync },	    { "fchmod", 1, op_fchmod },
};
const size_t model_n_fd_ops = sizeof(model_fd_ops) / sizeof(model_fd_ops[0]);
