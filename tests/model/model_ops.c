/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations by path of the model test. */
#include "model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

static mode_t random_mode(struct model *m)
{
	static const mode_t modes[] = { 0644, 0755, 0600, 0777, 0, 01777, 02755, 04755, 06711, 07777, 0444, 0070 };
	mode_t mode = modes[model_rand(m, sizeof(modes) / sizeof(modes[0]))];

	return m->is_root ? mode : (mode & 0777) | 0700;
}

/* The path's attributes must agree afterwards, whatever the operation said. */
static void check_path(struct model *m, const struct path *p)
{
	struct stat st[2];
	long result[2];
	int err[2];

	MODEL_BOTH(result, err, lstat(p->abs[side], &st[side]));
	if (model_same(m, result, err) == 1)
		model_compare_stat(m, p->rel, st);
}

static void op_mkdir(struct model *m)
{
	struct path p;
	mode_t mode = random_mode(m);
	long result[2];
	int err[2];

	model_path(m, &p);
	model_describe(m, "mkdir(%s, %o)", p.rel, mode);
	MODEL_BOTH(result, err, mkdir(p.abs[side], mode));
	if (model_same(m, result, err) >= 0)
		check_path(m, &p);
}

static void op_rmdir(struct model *m)
{
	struct path p;
	long result[2];
	int err[2];

	model_path(m, &p);
	model_describe(m, "rmdir(%s)", p.rel);
	MODEL_BOTH(result, err, rmdir(p.abs[side]));
	model_same(m, result, err);
}

static void op_unlink(struct model *m)
{
	struct path p;
	long result[2];
	int err[2];

	model_path(m, &p);
	model_describe(m, "unlink(%s)", p.rel);
	MODEL_BOTH(result, err, unlink(p.abs[side]));
	model_same(m, result, err);
}

static void op_link(struct model *m)
{
	struct path p, q;
	long result[2];
	int err[2], flags = model_rand(m, 4) ? 0 : AT_SYMLINK_FOLLOW;

	model_path(m, &p);
	model_path(m, &q);
	model_describe(m, "linkat(%s, %s, %x)", p.rel, q.rel, flags);
	MODEL_BOTH(result, err, linkat(AT_FDCWD, p.abs[side], AT_FDCWD, q.abs[side], flags));
	if (model_same(m, result, err) == 1)
		check_path(m, &q);
}

static void op_symlink(struct model *m)
{
	struct path p, target;
	long result[2];
	int err[2];

	model_path(m, &p);
	model_path(m, &target);
	model_describe(m, "symlink(%s, %s)", target.rel, p.rel);
	MODEL_BOTH(result, err, symlink(target.rel, p.abs[side]));
	model_same(m, result, err);
}

static void op_readlink(struct model *m)
{
	struct path p;
	char text[2][PATH_MAX];
	size_t cap = model_rand(m, 2) ? sizeof(text[0]) : 3;
	long result[2];
	int err[2];

	model_path(m, &p);
	model_describe(m, "readlink(%s, %zu)", p.rel, cap);
	MODEL_BOTH(result, err, readlink(p.abs[side], text[side], cap));
	if (model_same(m, result, err) == 1 && memcmp(text[0], text[1], (size_t)result[0]))
		model_fail(m, "targets differ");
}

static void op_rename(struct model *m)
{
	static const unsigned int all_flags[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE,
						  RENAME_EXCHANGE | RENAME_NOREPLACE };
	unsigned int flags = all_flags[model_rand(m, 6)];
	struct path p, q;
	long result[2];
	int err[2];

	model_path(m, &p);
	model_path(m, &q);
	model_describe(m, "renameat2(%s, %s, %x)", p.rel, q.rel, flags);
	MODEL_BOTH(result, err, renameat2(AT_FDCWD, p.abs[side], AT_FDCWD, q.abs[side], flags));
	if (model_same(m, result, err) < 0)
		return;
	check_path(m, &p);
	check_path(m, &q);
}

static void op_mknod(struct model *m)
{
	static const mode_t types[] = { S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
	mode_t mode = types[model_rand(m, m->is_root ? 5 : 3)] | random_mode(m);
	struct path p;
	long result[2];
	int err[2];

	model_path(m, &p);
	model_describe(m, "mknod(%s, %o)", p.rel, mode);
	MODEL_BOTH(result, err, mknod(p.abs[side], mode, S_ISCHR(mode) || S_ISBLK(mode) ? 0x12345 : 0));
	if (model_same(m, result, err) == 1)
		check_path(m, &p);
}

static void op_chmod(struct model *m)
{
	mode_t mode = random_mode(m);
	struct path p;
	long result[2];
	int err[2];

	model_path(m, &p);
	model_describe(m, "chmod(%s, %o)", p.rel, mode);
	MODEL_BOTH(result, err, chmod(p.abs[side], mode));
	if (model_same(m, result, err) == 1)
		check_path(m, &p);
}

static void op_chown(struct model *m)
{
	uid_t uid = model_rand(m, 3) ? (uid_t)model_rand(m, 4) * 1000 : (uid_t)-1;
	gid_t gid = model_rand(m, 3) ? (gid_t)model_rand(m, 4) * 1000 : (gid_t)-1;
	struct path p;
	long result[2];
	int err[2];

	model_path(m, &p);
	model_describe(m, "lchown(%s, %d, %d)", p.rel, (int)uid, (int)gid);
	MODEL_BOTH(result, err, lchown(p.abs[side], uid, gid));
	if (model_same(m, result, err) == 1)
		check_path(m, &p);
}

/* omit 0: the time of access was left alone, 1: that of modification, above: neither. */
static void check_times(struct model *m, const struct stat st[2], const struct timespec times[2], int omit)
{
	for (int side = 0; side < 2; side++) {
		if (omit != 0 && (st[side].st_atim.tv_sec != times[0].tv_sec || st[side].st_atim.tv_nsec != times[0].tv_nsec))
			model_fail(m, "side %d: atime is not what was set", side);
		if (omit != 1 && (st[side].st_mtim.tv_sec != times[1].tv_sec || st[side].st_mtim.tv_nsec != times[1].tv_nsec))
			model_fail(m, "side %d: mtime is not what was set", side);
	}
}

static void op_utimes(struct model *m)
{
	struct timespec times[2] = { { (time_t)model_rand(m, 1ull << 32), (long)model_rand(m, 1000000000) },
				     { (time_t)model_rand(m, 1ull << 32), (long)model_rand(m, 1000000000) } };
	int err[2], omit = (int)model_rand(m, 4), flags = model_rand(m, 2) ? AT_SYMLINK_NOFOLLOW : 0;
	struct path p;
	struct stat st[2];
	long result[2], fd[2];

	if (omit < 2)
		times[omit].tv_nsec = UTIME_OMIT;
	model_path(m, &p);
	model_describe(m, "utimensat(%s, %lld, %lld, omit %d, %x)", p.rel, (long long)times[0].tv_sec,
		       (long long)times[1].tv_sec, omit, flags);
	/* Opened before: a walk afterwards may go through the very link whose times were set, and so change them. */
	MODEL_BOTH(fd, err, open(p.abs[side], O_PATH | O_CLOEXEC | (flags ? O_NOFOLLOW : 0)));
	MODEL_BOTH(result, err, utimensat(AT_FDCWD, p.abs[side], times, flags));
	if (model_same(m, result, err) == 1) {
		MODEL_BOTH(result, err, fstat((int)fd[side], &st[side]));
		if (model_same(m, result, err) == 1)
			check_times(m, st, times, omit);
	}
	for (int side = 0; side < 2; side++) {
		if (fd[side] >= 0)
			close((int)fd[side]);
	}
}

static void op_truncate(struct model *m)
{
	off_t size = (off_t)model_rand(m, model_rand(m, 20) ? 200000 : 5u << 20);
	struct path p;
	long result[2];
	int err[2];

	model_path(m, &p);
	model_describe(m, "truncate(%s, %lld)", p.rel, (long long)size);
	MODEL_BOTH(result, err, truncate(p.abs[side], size));
	if (model_same(m, result, err) == 1)
		shadow_resize(model_shadow_path(m, &p), (size_t)size);
}

static void op_stat(struct model *m)
{
	struct path p;
	struct stat st[2];
	long result[2];
	int err[2];

	model_path(m, &p);
	model_describe(m, "stat(%s)", p.rel);
	MODEL_BOTH(result, err, stat(p.abs[side], &st[side]));
	if (model_same(m, result, err) == 1)
		model_compare_stat(m, p.rel, st);
}

static void op_access(struct model *m)
{
	int mode = (int)model_rand(m, 8), err[2];
	struct path p;
	long result[2];

	model_path(m, &p);
	model_describe(m, "access(%s, %d)", p.rel, mode);
	MODEL_BOTH(result, err, access(p.abs[side], mode));
	model_same(m, result, err);
}

static void op_setxattr(struct model *m)
{
	static const int all_flags[] = { 0, 0, XATTR_CREATE, XATTR_REPLACE };
	int flags = all_flags[model_rand(m, 4)], err[2];
	size_t len = model_rand(m, 300);
	struct path p;
	char name[16];
	long result[2];

	if (!m->has_xattr)
		return;
	model_path(m, &p);
	snprintf(name, sizeof(name), "%s.x%u", m->is_root && !model_rand(m, 4) ? "trusted" : "user",
		 (unsigned int)model_rand(m, 4));
	for (size_t i = 0; i < len; i++)
		m->buf[0][i] = (uint8_t)model_rand(m, 256);
	model_describe(m, "lsetxattr(%s, %s, %zu bytes, %d)", p.rel, name, len, flags);
	MODEL_BOTH(result, err, lsetxattr(p.abs[side], name, m->buf[0], len, flags));
	model_same(m, result, err);
}

static void op_getxattr(struct model *m)
{
	size_t cap = model_rand(m, 2) ? 1000 : model_rand(m, 50);
	struct path p;
	char name[16];
	long result[2];
	int err[2];

	if (!m->has_xattr)
		return;
	model_path(m, &p);
	snprintf(name, sizeof(name), "user.x%u", (unsigned int)model_rand(m, 4));
	model_describe(m, "lgetxattr(%s, %s, cap %zu)", p.rel, name, cap);
	MODEL_BOTH(result, err, lgetxattr(p.abs[side], name, m->buf[side], cap));
	if (model_same(m, result, err) == 1 && cap && memcmp(m->buf[0], m->buf[1], (size_t)result[0]))
		model_fail(m, "values differ");
}

static void op_removexattr(struct model *m)
{
	struct path p;
	char name[16];
	long result[2];
	int err[2];

	if (!m->has_xattr)
		return;
	model_path(m, &p);
	snprintf(name, sizeof(name), "user.x%u", (unsigned int)model_rand(m, 4));
	model_describe(m, "lremovexattr(%s, %s)", p.rel, name);
	MODEL_BOTH(result, err, lremovexattr(p.abs[side], name));
	model_same(m, result, err);
}

const struct model_op model_path_ops[] = {
	{ "mkdir", 8, op_mkdir },	    { "rmdir", 4, op_rmdir },	      { "unlink", 8, op_unlink },
	{ "link", 5, op_link },		    { "symlink", 3, op_symlink },     { "readlink", 2, op_readlink },
	{ "rename", 10, op_rename },	    { "mknod", 3, op_mknod },	      { "chmod", 3, op_chmod },
	{ "chown", 2, op_chown },	    { "utimes", 2, op_utimes },	      { "truncate", 5, op_truncate },
	{ "stat", 4, op_stat },		    { "access", 2, op_access },	      { "setxattr", 4, op_setxattr },
	{ "getxattr", 3, op_getxattr },	    { "removexattr", 2, op_removexattr },
};
const size_t model_n_path_ops = sizeof(model_path_ops) / sizeof(model_path_ops[0]);
