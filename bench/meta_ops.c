/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metadata operations of metabench. Each works on BENCH_BATCH names of the client's own directory; what it needs is made, and
 * what it left is removed, outside the timed part. Names are absolute paths, as programs use them, and are new in each batch,
 * so that no kernel cache remembers them from the last one.
 */
#include "ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NAME_CAP (PATH_MAX + 32)

static int err_of(int rc)
{
	return rc < 0 ? -errno : 0;
}

/* Names of a batch: kind 'a' are the ones worked on, 'b' the targets. */
static const char *name_of(const struct bench_client *c, char kind, uint32_t i, char *buf)
{
	snprintf(buf, NAME_CAP, "%s/%c%llu.%u", c->dir, kind, (unsigned long long)c->serial, i % BENCH_BATCH);
	return buf;
}

static int make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	return err_of(close(fd));
}

/* Removes whatever stands under the names of a batch. */
static int sweep(struct bench_client *c, uint32_t n)
{
	char path[NAME_CAP];

	for (const char *kind = "ab"; *kind; kind++) {
		for (uint32_t i = 0; i < n; i++) {
			name_of(c, *kind, i, path);
			if (unlink(path) && errno == EISDIR)
				rmdir(path);
		}
	}
	return 0;
}

static int next_names(struct bench_client *c, uint32_t n)
{
	c->serial++;
	return 0;
}

static int make_files(struct bench_client *c, uint32_t n)
{
	char path[NAME_CAP];
	int err = 0;

	c->serial++;
	for (uint32_t i = 0; i < n && !err; i++)
		err = make_file(name_of(c, 'a', i, path));
	return err;
}

static int make_targets(struct bench_client *c, uint32_t n)
{
	char path[NAME_CAP];
	int err = make_files(c, n);

	for (uint32_t i = 0; i < n && !err; i++)
		err = make_file(name_of(c, 'b', i, path));
	return err;
}

static int make_dirs(struct bench_client *c, uint32_t n)
{
	char path[NAME_CAP];
	int err = 0;

	c->serial++;
	for (uint32_t i = 0; i < n && !err; i++)
		err = err_of(mkdir(name_of(c, 'a', i, path), 0755));
	return err;
}

/* Files of 64 KiB, for truncate. */
static int make_full_files(struct bench_client *c, uint32_t n)
{
	char path[NAME_CAP];
	int fd, err = 0;

	c->serial++;
	for (uint32_t i = 0; i < n && !err; i++) {
		fd = open(name_of(c, 'a', i, path), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0 || pwrite(fd, c->buf, 65536, 0) != 65536)
			err = errno ? -errno : -EIO;
		if (fd >= 0)
			close(fd);
	}
	return err;
}

/* Files with their names and attributes in the kernel's caches. */
static int make_warm_files(struct bench_client *c, uint32_t n)
{
	char path[NAME_CAP];
	struct stat st;
	int err = make_files(c, n);

	for (uint32_t i = 0; i < n && !err; i++)
		err = err_of(stat(name_of(c, 'a', i, path), &st));
	return err;
}

static int make_xattr_files(struct bench_client *c, uint32_t n)
{
	char path[NAME_CAP];
	int err = make_files(c, n);

	for (uint32_t i = 0; i < n && !err; i++)
		err = err_of(setxattr(name_of(c, 'a', i, path), "user.bench", "0123456789abcdef", 16, 0));
	return err;
}

static int run_create(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];

	return make_file(name_of(c, 'a', i, path));
}

static int run_mknod(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];

	return err_of(mknod(name_of(c, 'a', i, path), S_IFREG | 0644, 0));
}

static int run_mkdir(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];

	return err_of(mkdir(name_of(c, 'a', i, path), 0755));
}

static int run_symlink(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];

	return err_of(symlink("some/target/of/a/link", name_of(c, 'a', i, path)));
}

static int run_link(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP], target[NAME_CAP];

	return err_of(link(name_of(c, 'a', i, path), name_of(c, 'b', i, target)));
}

static int run_unlink(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];

	return err_of(unlink(name_of(c, 'a', i, path)));
}

static int run_rmdir(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];

	return err_of(rmdir(name_of(c, 'a', i, path)));
}

static int run_rename(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP], target[NAME_CAP];

	return err_of(rename(name_of(c, 'a', i, path), name_of(c, 'b', i, target)));
}

static int run_stat(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];
	struct stat st;

	return err_of(stat(name_of(c, 'a', i, path), &st));
}

static int run_open(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];
	int fd = open(name_of(c, 'a', i, path), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return err_of(close(fd));
}

static int run_chmod(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];

	return err_of(chmod(name_of(c, 'a', i, path), i / BENCH_BATCH % 2 ? 0644 : 0600));
}

static int run_utimes(struct bench_client *c, uint32_t i)
{
	const struct timespec times[2] = { { 1000000 + i, 5 }, { 2000000 + i, 7 } };
	char path[NAME_CAP];

	return err_of(utimensat(AT_FDCWD, name_of(c, 'a', i, path), times, 0));
}

static int run_truncate(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];

	return err_of(truncate(name_of(c, 'a', i, path), 4096));
}

static int run_setxattr(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP];

	return err_of(setxattr(name_of(c, 'a', i, path), "user.bench", "0123456789abcdef", 16, 0));
}

static int run_getxattr(struct bench_client *c, uint32_t i)
{
	char path[NAME_CAP], value[64];

	return err_of((int)getxattr(name_of(c, 'a', i, path), "user.bench", value, sizeof(value)));
}

/* One pass over a directory of BENCH_BATCH files; counts as one operation. */
static int run_readdir(struct bench_client *c, uint32_t i)
{
	DIR *d = opendir(c->dir);
	uint32_t n = 0;

	if (!d)
		return -errno;
	while (readdir(d))
		n++;
	closedir(d);
	return n >= BENCH_BATCH ? 0 : -ENODATA;
}

const struct bench_op bench_meta_ops[] = {
	{ "create", 0, 0, 0, next_names, run_create, sweep },
	{ "mknod", 0, 0, 0, next_names, run_mknod, sweep },
	{ "mkdir", 0, 0, 0, next_names, run_mkdir, sweep },
	{ "symlink", 0, 0, 0, next_names, run_symlink, sweep },
	{ "link", 0, 0, 0, make_files, run_link, sweep },
	{ "unlink", 0, 0, 0, make_files, run_unlink, sweep },
	{ "rmdir", 0, 0, 0, make_dirs, run_rmdir, sweep },
	{ "rename", 0, 0, 0, make_files, run_rename, sweep },
	{ "replace", 0, 0, 0, make_targets, run_rename, sweep },
	{ "stat", 0, 1, 0, make_warm_files, run_stat, sweep },
	{ "open", 0, 1, 0, make_warm_files, run_open, sweep },
	{ "chmod", 0, 1, 0, make_files, run_chmod, sweep },
	{ "utimes", 0, 1, 0, make_files, run_utimes, sweep },
	{ "truncate", 0, 0, 0, make_full_files, run_truncate, sweep },
	{ "setxattr", 0, 1, 0, make_files, run_setxattr, sweep },
	{ "getxattr", 0, 1, 0, make_xattr_files, run_getxattr, sweep },
	{ "readdir", 0, 1, 0, make_files, run_readdir, sweep },
};
const size_t bench_n_meta_ops = sizeof(bench_meta_ops) / sizeof(bench_meta_ops[0]);
