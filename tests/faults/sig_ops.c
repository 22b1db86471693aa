/* SPDX-License-Identifier: BSD-3-Clause */
/* See sig_ops.h. Every descriptor is opened in prepare() or in the step itself; what step() needs beside its call is tried again.
 */
#include "faults/sig_ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define N_BYTES 65536
#define N_ENTRIES 60
#define XATTR "user.state"

static uint8_t buf[N_BYTES];

/* Repeats what is not the call under test. */
#define SURELY(expr)                                                                                                             \
	({                                                                                                                       \
		__typeof__(expr) surely_;                                                                                        \
		do                                                                                                               \
			surely_ = (expr);                                                                                        \
		while (surely_ < 0 && errno == EINTR);                                                                           \
		surely_;                                                                                                         \
	})

static int result(int ret)
{
	return ret < 0 ? -errno : 0;
}

static int is_there(const char *name)
{
	struct stat st;

	if (!SURELY(lstat(name, &st)))
		return 1;
	return errno == ENOENT ? 0 : -1;
}

static int file_make(const char *name, uint8_t fill, size_t len)
{
	int fd = SURELY(open(name, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644));

	memset(buf, fill, len);
	if (fd < 0 || SURELY(pwrite(fd, buf, len, 0)) != (ssize_t)len)
		return -errno;
	close(fd);
	return 0;
}

/* 0 or 1: the whole file is this byte; -1: it is not. */
static int file_byte(const char *name, size_t len)
{
	int fd = SURELY(open(name, O_RDONLY | O_CLOEXEC)), same = 1;

	if (fd < 0)
		return -1;
	if (SURELY(pread(fd, buf, N_BYTES, 0)) != (ssize_t)len)
		same = 0;
	close(fd);
	for (size_t i = 1; i < len && same; i++)
		same = buf[i] == buf[0];
	return same && buf[0] <= 1 ? buf[0] : -1;
}

/* --- names ------------------------------------------------------------------------------------------------------------------ */

static int x_state(void)
{
	return is_there("x");
}

static int open_step(uint32_t i)
{
	int fd = i % 2 ? -1 : open("x", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	if (i % 2)
		return result(unlink("x"));
	if (fd >= 0)
		close(fd);
	return result(fd);
}
static int mkdir_step(uint32_t i)
{
	return result(i % 2 ? rmdir("x") : mkdir("x", 0755));
}
static int mknod_step(uint32_t i)
{
	return result(i % 2 ? unlink("x") : mknod("x", S_IFIFO | 0600, 0));
}
static int symlink_step(uint32_t i)
{
	return result(i % 2 ? unlink("x") : symlink("somewhere", "x"));
}
static int a_prepare(void)
{
	return file_make("a", 0, 4096);
}
static int link_step(uint32_t i)
{
	return result(i % 2 ? unlink("x") : link("a", "x"));
}
static int rename_step(uint32_t i)
{
	return result(i % 2 ? rename("x", "a") : rename("a", "x"));
}
static int rename_state(void)
{
	int a = is_there("a"), x = is_there("x");

	return a >= 0 && x >= 0 && a != x ? x : -1;
}
static int ab_prepare(void)
{
	int err = file_make("a", 0, 4096);

	return err ? err : file_make("b", 1, 4096);
}
static int exchange_step(uint32_t i)
{
	(void)i;
	return result(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
}
static int exchange_state(void)
{
	int a = file_byte("a", 4096), b = file_byte("b", 4096);

	return a >= 0 && a == !b ? a : -1;
}
static int replace_step(uint32_t i)
{
	int err = file_make("new", (uint8_t) !(i % 2), 4096);

	return err ? err : result(rename("new", "a"));
}
static int a_state(void)
{
	return file_byte("a", 4096);
}
static int tmpfile_step(uint32_t i)
{
	char path[64];
	int fd, err;

	if (i % 2)
		return result(unlink("x"));
	fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = result(linkat(AT_FDCWD, path, AT_FDCWD, "x", AT_SYMLINK_FOLLOW));
	close(fd);
	return err;
}

/* --- attributes ------------------------------------------------------------------------------------------------------------- */

static int a_stat(struct stat *st)
{
	return SURELY(stat("a", st));
}
static int chmod_step(uint32_t i)
{
	return result(chmod("a", i % 2 ? 0644 : 0600));
}
static int chmod_state(void)
{
	struct stat st;

	return a_stat(&st) ? -1 : (st.st_mode & 0777) == 0644 ? 0 : (st.st_mode & 0777) == 0600 ? 1 : -1;
}
static int chown_step(uint32_t i)
{
	return result(chown("a", i % 2 ? 0 : 7, i % 2 ? 0 : 8));
}
static int chown_state(void)
{
	struct stat st;

	return a_stat(&st) ? -1 : !st.st_uid && !st.st_gid ? 0 : st.st_uid == 7 && st.st_gid == 8 ? 1 : -1;
}
static int utimens_step(uint32_t i)
{
	struct timespec ts[2] = { { i % 2 ? 1000 : 2000, 0 }, { i % 2 ? 1000 : 2000, 0 } };

	return result(utimensat(AT_FDCWD, "a", ts, 0));
}
static int utimens_prepare(void)
{
	int err = a_prepare();

	return err ? err : utimens_step(1);
}
static int utimens_state(void)
{
	struct stat st;

	if (a_stat(&st) || st.st_mtim.tv_sec != st.st_atim.tv_sec)
		return -1;
	return st.st_mtim.tv_sec == 1000 ? 0 : st.st_mtim.tv_sec == 2000 ? 1 : -1;
}
static int truncate_step(uint32_t i)
{
	return result(truncate("a", i % 2 ? 4096 : 1));
}
static int truncate_state(void)
{
	struct stat st;

	return a_stat(&st) ? -1 : st.st_size == 4096 ? 0 : st.st_size == 1 ? 1 : -1;
}
static int setxattr_step(uint32_t i)
{
	uint8_t value[3000];

	memset(value, !(i % 2), sizeof(value));
	return result(setxattr("a", XATTR, value, i % 2 ? 10 : sizeof(value), 0));
}
static int setxattr_prepare(void)
{
	int err = a_prepare();

	return err ? err : setxattr_step(1);
}
static int setxattr_state(void)
{
	uint8_t value[4000];
	ssize_t n = SURELY(getxattr("a", XATTR, value, sizeof(value)));

	return n == 10 && !value[9] ? 0 : n == 3000 && value[2999] == 1 ? 1 : -1;
}
static int removexattr_step(uint32_t i)
{
	return result(i % 2 ? removexattr("a", XATTR) : setxattr("a", XATTR, "1", 1, XATTR_CREATE));
}
static int removexattr_state(void)
{
	ssize_t n = SURELY(getxattr("a", XATTR, NULL, 0));

	return n == 1 ? 1 : n < 0 && errno == ENODATA ? 0 : -1;
}
static int flags_of(int set, int *flags)
{
	int fd = SURELY(open("a", O_RDONLY | O_CLOEXEC)), err;

	if (fd < 0)
		return -errno;
	err = result(set ? ioctl(fd, FS_IOC_SETFLAGS, flags) : SURELY(ioctl(fd, FS_IOC_GETFLAGS, flags)));
	close(fd);
	return err;
}
static int ioctl_step(uint32_t i)
{
	int flags = i % 2 ? 0 : FS_NODUMP_FL;

	return flags_of(1, &flags);
}
static int ioctl_state(void)
{
	int flags;

	return flags_of(0, &flags) ? -1 : flags & FS_NODUMP_FL ? 1 : 0;
}

/* --- data ------------------------------------------------------------------------------------------------------------------- */

static int data_fd = -1;

static int data_prepare(void)
{
	int err = file_make("a", 0, N_BYTES);

	data_fd = SURELY(open("a", O_RDWR | O_CLOEXEC));
	return err ? err : result(data_fd);
}
static int data_state(void)
{
	return file_byte("a", N_BYTES);
}
static int write_step(uint32_t i)
{
	size_t done = 0;

	memset(buf, !(i % 2), sizeof(buf));
	/* A short count is an answer too: the rest follows. */
	while (done < sizeof(buf)) {
		ssize_t n = pwrite(data_fd, buf + done, sizeof(buf) - done, (off_t)done);

		if (n < 0 && errno == EINTR && done)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}
static int append_step(uint32_t i)
{
	int fd = SURELY(open("a", O_WRONLY | O_APPEND | O_CLOEXEC)), err;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = i % 2 ? SURELY(ftruncate(fd, 4096)) : write(fd, "0123456789", 10);
	err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}
static int append_state(void)
{
	struct stat st;

	return a_stat(&st) ? -1 : st.st_size == 4096 ? 0 : st.st_size == 4106 ? 1 : -1;
}
static int fallocate_step(uint32_t i)
{
	return result(i % 2 ? fallocate(data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, N_BYTES)
			    : fallocate(data_fd, FALLOC_FL_KEEP_SIZE, 1 << 20, N_BYTES));
}
static int fallocate_state(void)
{
	struct stat st;

	/* The node of the tree may stay. */
	return a_stat(&st) ? -1 : st.st_blocks >= 2 * N_BYTES / 512 ? 1 : st.st_blocks <= N_BYTES / 512 + 16 ? 0 : -1;
}
static int copy_prepare(void)
{
	int err = file_make("0", 0, N_BYTES);

	if (!err)
		err = file_make("1", 1, N_BYTES);
	return err ? err : data_prepare();
}
static int copy_step(uint32_t i)
{
	int fd = SURELY(open(i % 2 ? "0" : "1", O_RDONLY | O_CLOEXEC)), err = 0;
	loff_t in = 0, out = 0;

	while (fd >= 0 && in < N_BYTES) {
		ssize_t n = copy_file_range(fd, &in, data_fd, &out, N_BYTES - (size_t)in, 0);

		if (n < 0 && errno == EINTR && in)
			continue;
		if (n <= 0) {
			err = n ? -errno : -EIO;
			break;
		}
	}
	if (fd < 0)
		return -errno;
	close(fd);
	return err;
}
static int msync_step(uint32_t i)
{
	uint8_t *map = mmap(NULL, N_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, data_fd, 0);
	int err;

	if (map == MAP_FAILED)
		return -errno;
	memset(map, !(i % 2), N_BYTES);
	err = result(SURELY(msync(map, N_BYTES, MS_SYNC)));
	munmap(map, N_BYTES);
	return err;
}

/* --- calls that change nothing ---------------------------------------------------------------------------------------------- */

static int read_step(uint32_t i)
{
	ssize_t n = pread(data_fd, buf, 4096, (off_t)(i % 8) * 4096);

	if (n < 0)
		return -errno;
	for (ssize_t k = 0; k < n; k++)
		if (buf[k])
			return -EILSEQ;
	return n == 4096 ? 0 : -EIO;
}
static int fsync_step(uint32_t i)
{
	return result(i % 2 ? fdatasync(data_fd) : fsync(data_fd));
}
static int syncfs_step(uint32_t i)
{
	(void)i;
	return result(syncfs(data_fd));
}
static int lseek_step(uint32_t i)
{
	off_t off = lseek(data_fd, 0, i % 2 ? SEEK_DATA : SEEK_HOLE);

	if (off < 0)
		return -errno;
	return off == (i % 2 ? 0 : N_BYTES) ? 0 : -EILSEQ;
}
static int stat_step(uint32_t i)
{
	struct stat st;

	if (stat(i % 2 ? "a" : "none", &st))
		return i % 2 == 0 && errno == ENOENT ? 0 : -errno;
	return st.st_size == N_BYTES ? 0 : -EILSEQ;
}
static int statfs_step(uint32_t i)
{
	struct statvfs st;

	(void)i;
	return result(statvfs(".", &st));
}
static int lock_step(uint32_t i)
{
	return result(flock(data_fd, i % 2 ? LOCK_UN : LOCK_EX));
}
static int entries_prepare(void)
{
	char name[16];
	int err = 0;

	for (int i = 0; i < N_ENTRIES && !err; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		err = file_make(name, 0, 0);
	}
	return err ? err : symlink("target", "l") && errno != EEXIST ? -errno : 0;
}
static int readdir_step(uint32_t i)
{
	DIR *dir = opendir(".");
	int n = 0, err;

	(void)i;
	if (!dir)
		return -errno;
	errno = 0;
	while (readdir(dir))
		n++;
	err = -errno;
	closedir(dir);
	return err ? err : n == N_ENTRIES + 3 ? 0 : -EILSEQ;
}
static int readlink_step(uint32_t i)
{
	char target[16];
	ssize_t n = readlink("l", target, sizeof(target));

	(void)i;
	return n < 0 ? -errno : n == 6 ? 0 : -EILSEQ;
}
static int getxattr_step(uint32_t i)
{
	char names[100];
	ssize_t n = i % 2 ? listxattr("a", names, sizeof(names)) : getxattr("a", XATTR, names, sizeof(names));

	return n < 0 ? -errno : n == (i % 2 ? (ssize_t)sizeof(XATTR) : 10) ? 0 : -EILSEQ;
}

const struct sig_op sig_ops[] = {
	{ "open(O_CREAT), unlink", NULL, open_step, x_state, 0 },
	{ "mkdir, rmdir", NULL, mkdir_step, x_state, 0 },
	{ "mknod", NULL, mknod_step, x_state, 0 },
	{ "symlink", NULL, symlink_step, x_state, 0 },
	{ "link", a_prepare, link_step, x_state, 0 },
	{ "rename", a_prepare, rename_step, rename_state, 0 },
	{ "renameat2(EXCHANGE)", ab_prepare, exchange_step, exchange_state, 0 },
	{ "rename over a file", a_prepare, replace_step, a_state, 0 },
	{ "open(O_TMPFILE), linkat", NULL, tmpfile_step, x_state, 0 },
	{ "chmod", a_prepare, chmod_step, chmod_state, 0 },
	{ "chown", a_prepare, chown_step, chown_state, 0 },
	{ "utimensat", utimens_prepare, utimens_step, utimens_state, 0 },
	{ "truncate", a_prepare, truncate_step, truncate_state, 0 },
	{ "setxattr", setxattr_prepare, setxattr_step, setxattr_state, 0 },
	{ "removexattr", a_prepare, removexattr_step, removexattr_state, 0 },
	{ "ioctl(SETFLAGS)", a_prepare, ioctl_step, ioctl_state, 0 },
	{ "pwrite", data_prepare, write_step, data_state, 0 },
	{ "write(O_APPEND), ftruncate", a_prepare, append_step, append_state, 0 },
	{ "fallocate", data_prepare, fallocate_step, fallocate_state, 0 },
	{ "copy_file_range", copy_prepare, copy_step, data_state, 0 },
	{ "mmap, msync", data_prepare, msync_step, data_state, 1 },
	{ "pread", data_prepare, read_step, NULL, 0 },
	{ "fsync, fdatasync", data_prepare, fsync_step, NULL, 0 },
	{ "syncfs", data_prepare, syncfs_step, NULL, 0 },
	{ "lseek(DATA, HOLE)", data_prepare, lseek_step, NULL, 0 },
	{ "stat", data_prepare, stat_step, NULL, 0 },
	{ "statfs", NULL, statfs_step, NULL, 0 },
	{ "flock", data_prepare, lock_step, NULL, 0 },
	{ "getdents", entries_prepare, readdir_step, NULL, 0 },
	{ "readlink", entries_prepare, readlink_step, NULL, 0 },
	{ "getxattr, listxattr", setxattr_prepare, getxattr_step, NULL, 0 },
};
const uint32_t sig_n_ops = sizeof(sig_ops) / sizeof(sig_ops[0]);
