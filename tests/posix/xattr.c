/* SPDX-License-Identifier: BSD-3-Clause */
/* Extended attributes: user, trusted and security, sizes, flags, lists, every errno. */
#include "posix.h"

#include <limits.h>
#include <linux/capability.h>
#include <sys/xattr.h>

static void do_set(const char *path, const char *name, const void *value, size_t len, int flags)
{
	if (lsetxattr(path, name, value, len, flags)) {
		if (errno == EOPNOTSUPP)
			posix_unsupported("xattr %s: %s", name, strerror(errno));
		printf("# setxattr %s %s %zu\n", path, name, len);
		CHECK(!"setxattr");
	}
}

static void expect_value(const char *path, const char *name, const void *value, size_t len)
{
	static char buf[XATTR_SIZE_MAX + 1];

	CHECK_EQ(lgetxattr(path, name, NULL, 0), len);
	CHECK_EQ(lgetxattr(path, name, buf, sizeof(buf)), len);
	CHECK(!memcmp(buf, value, len));
}

static bool list_has(const char *path, const char *name)
{
	static char list[XATTR_LIST_MAX];
	ssize_t len = llistxattr(path, list, sizeof(list));

	CHECK(len >= 0);
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(list + at) + 1)
		if (!strcmp(list + at, name))
			return true;
	return false;
}

static void xattr_set_get_replace_remove(void)
{
	ENTER();
	posix_make("f", 1, 1);
	do_set("f", "user.a", "one", 3, 0);
	expect_value("f", "user.a", "one", 3);
	do_set("f", "user.a", "longer value", 12, 0);
	expect_value("f", "user.a", "longer value", 12);
	do_set("f", "user.empty", "", 0, 0);
	expect_value("f", "user.empty", "", 0);
	CHECK(list_has("f", "user.a") && list_has("f", "user.empty"));
	CHECK_EQ(removexattr("f", "user.a"), 0);
	CHECK(!list_has("f", "user.a"));
	CHECK_ERRNO(getxattr("f", "user.a", NULL, 0), ENODATA);
}

static void xattr_flags_and_errors(void)
{
	char name[300] = "user.", small[2];

	ENTER();
	posix_make("f", 1, 1);
	do_set("f", "user.a", "one", 3, XATTR_CREATE);
	CHECK_ERRNO(setxattr("f", "user.a", "two", 3, XATTR_CREATE), EEXIST);
	CHECK_ERRNO(setxattr("f", "user.b", "two", 3, XATTR_REPLACE), ENODATA);
	do_set("f", "user.a", "two", 3, XATTR_REPLACE);
	CHECK_ERRNO(getxattr("f", "user.a", small, sizeof(small)), ERANGE);
	CHECK_ERRNO(listxattr("f", small, sizeof(small)), ERANGE);
	CHECK_ERRNO(removexattr("f", "user.no"), ENODATA);
	CHECK_ERRNO(setxattr("f", "nonsense.a", "x", 1, 0), EOPNOTSUPP);
	CHECK_ERRNO(setxattr("no", "user.a", "x", 1, 0), ENOENT);
	memset(name + 5, 'n', 251);
	CHECK_ERRNO(setxattr("f", name, "x", 1, 0), ERANGE);
	name[255] = '\0';
	do_set("f", name, "x", 1, 0);
	expect_value("f", name, "x", 1);
	expect_value("f", "user.a", "two", 3);
}

static void xattr_sizes(void)
{
	static const size_t sizes[] = { 1, 100, 1000, 3000 };
	char *value = malloc(XATTR_SIZE_MAX + 1);

	ENTER();
	posix_make("f", 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		posix_fill(value, sizes[i], (unsigned int)i, 0);
		do_set("f", "user.big", value, sizes[i], 0);
		expect_value("f", "user.big", value, sizes[i]);
	}
	CHECK_ERRNO(setxattr("f", "user.huge", value, XATTR_SIZE_MAX + 1, 0), E2BIG);
	expect_value("f", "user.big", value, 3000);
}

/* What stops at a block, as ext4 does without inodes for values, says ENOSPC or E2BIG and keeps the old value. */
static void xattr_of_64_kib(void)
{
	char name[256] = "user.", *value = malloc(XATTR_SIZE_MAX);

	ENTER();
	posix_make("f", 1, 1);
	do_set("f", "user.v", "old", 3, 0);
	posix_fill(value, XATTR_SIZE_MAX, 1, 0);
	if (setxattr("f", "user.v", value, XATTR_SIZE_MAX, 0)) {
		CHECK(errno == ENOSPC || errno == E2BIG);
		expect_value("f", "user.v", "old", 3);
		posix_unsupported("values of 64 KiB do not fit");
	}
	expect_value("f", "user.v", value, XATTR_SIZE_MAX);
	CHECK_EQ(removexattr("f", "user.v"), 0);
	memset(name + 5, 'n', 250);
	do_set("f", name, value, XATTR_SIZE_MAX, 0);
	expect_value("f", name, value, XATTR_SIZE_MAX);
}

static void xattr_many_names(void)
{
	char name[32], value[32];

	ENTER();
	posix_make("f", 1, 1);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "user.name%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		do_set("f", name, value, strlen(value), 0);
	}
	for (int i = 0; i < 50; i += 2) {
		snprintf(name, sizeof(name), "user.name%d", i);
		CHECK_EQ(removexattr("f", name), 0);
	}
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "user.name%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		CHECK_EQ(list_has("f", name), i % 2);
		if (i % 2)
			expect_value("f", name, value, strlen(value));
	}
}

static void user_sees_xattrs(void)
{
	CHECK_ERRNO(getxattr("f", "trusted.a", NULL, 0), ENODATA);
	CHECK_ERRNO(setxattr("f", "trusted.b", "x", 1, 0), EPERM);
	CHECK_ERRNO(setxattr("f", "security.b", "x", 1, 0), EPERM);
	CHECK_ERRNO(setxattr("f", "user.b", "x", 1, 0), EACCES);
	CHECK_ERRNO(removexattr("f", "user.a"), EACCES);
	CHECK_EQ(getxattr("f", "user.a", NULL, 0), 1);
	CHECK_ERRNO(getxattr("secret", "user.a", NULL, 0), EACCES);
	CHECK(!list_has("f", "trusted.a"));
	CHECK_ERRNO(setxattr("sticky", "user.a", "x", 1, 0), EPERM);
}

static void xattr_namespaces_and_permissions(void)
{
	ENTER();
	posix_need_root();
	posix_make("f", 1, 1);
	posix_make("secret", 1, 1);
	do_set("f", "user.a", "x", 1, 0);
	do_set("f", "trusted.a", "t", 1, 0);
	do_set("f", "security.pmfs2test", "s", 1, 0);
	do_set("secret", "user.a", "x", 1, 0);
	CHECK_EQ(chmod("secret", 0600), 0);
	CHECK_EQ(mkdir("sticky", 0777), 0);
	CHECK_EQ(chmod("sticky", 01777), 0);
	CHECK(list_has("f", "trusted.a"));
	CHECK(list_has("f", "security.pmfs2test"));
	expect_value("f", "security.pmfs2test", "s", 1);
	posix_as_user(user_sees_xattrs);
}

static void xattr_on_every_kind(void)
{
	ENTER();
	posix_need_root();
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_EQ(symlink("d", "l"), 0);
	CHECK_EQ(mkfifo("p", 0644), 0);
	do_set("d", "user.a", "dir", 3, 0);
	expect_value("d", "user.a", "dir", 3);
	do_set("l", "trusted.a", "lnk", 3, 0);
	expect_value("l", "trusted.a", "lnk", 3);
	CHECK_ERRNO(getxattr("d", "trusted.a", NULL, 0), ENODATA);
	CHECK_ERRNO(lsetxattr("l", "user.a", "x", 1, 0), EPERM);
	CHECK_ERRNO(setxattr("p", "user.a", "x", 1, 0), EPERM);
	do_set("p", "trusted.a", "fifo", 4, 0);
	expect_value("p", "trusted.a", "fifo", 4);
}

static void xattr_stays_with_inode(void)
{
	struct stat before;
	int fd;

	ENTER();
	posix_make("f", 100, 1);
	before = posix_stat("f");
	posix_tick();
	do_set("f", "user.a", "x", 1, 0);
	CHECK(posix_time_cmp(posix_stat("f").st_ctim, before.st_ctim) > 0);
	CHECK(!posix_time_cmp(posix_stat("f").st_mtim, before.st_mtim));
	CHECK_EQ(link("f", "g"), 0);
	expect_value("g", "user.a", "x", 1);
	CHECK_EQ(rename("f", "h"), 0);
	expect_value("h", "user.a", "x", 1);
	fd = posix_open("h", O_RDWR, 0);
	CHECK_EQ(ftruncate(fd, 0), 0);
	CHECK_EQ(unlink("g"), 0);
	CHECK_EQ(unlink("h"), 0);
	CHECK_EQ(fgetxattr(fd, "user.a", NULL, 0), 1);
	CHECK_EQ(fsetxattr(fd, "user.b", "y", 1, 0), 0);
	posix_make("f", 1, 1);
	CHECK(!list_has("f", "user.a"));
}

static void give_capability(const char *path)
{
	struct vfs_cap_data cap = { .magic_etc = htole32(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE) };

	cap.data[0].permitted = htole32(1u << CAP_CHOWN);
	do_set(path, "security.capability", &cap, sizeof(cap), 0);
}

static void user_writes(void)
{
	int fd = posix_open("f", O_WRONLY, 0);

	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
}

/* Whoever it is that changes the contents. */
static void xattr_capability_goes_with_a_change(void)
{
	int fd;

	ENTER();
	posix_need_root();
	posix_make("f", 100, 1);
	CHECK_EQ(chmod("f", 0666), 0);
	give_capability("f");
	posix_as_user(user_writes);
	CHECK_ERRNO(getxattr("f", "security.capability", NULL, 0), ENODATA);
	fd = posix_open("f", O_RDWR, 0);
	for (int off = 5; off < 200; off += 100) {
		give_capability("f");
		CHECK_EQ(pwrite(fd, "x", 1, off), 1);
		CHECK_ERRNO(getxattr("f", "security.capability", NULL, 0), ENODATA);
	}
	give_capability("f");
	CHECK_EQ(ftruncate(fd, 50), 0);
	CHECK_ERRNO(getxattr("f", "security.capability", NULL, 0), ENODATA);
}

POSIX_MAIN(TAP_CASE(xattr_set_get_replace_remove), TAP_CASE(xattr_flags_and_errors), TAP_CASE(xattr_sizes),
	   TAP_CASE(xattr_of_64_kib), TAP_CASE(xattr_many_names), TAP_CASE(xattr_namespaces_and_permissions),
	   TAP_CASE(xattr_on_every_kind), TAP_CASE(xattr_stays_with_inode), TAP_CASE(xattr_capability_goes_with_a_change))
