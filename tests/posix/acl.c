/* SPDX-License-Identifier: BSD-3-Clause */
/* POSIX ACLs by their xattrs: enforced, tied to the mode, inherited, default ACLs instead of the umask. */
#include "posix.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

/* user::, user:USER_ID:, group::, mask::, other:: */
struct acl {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry entry[5];
};

static struct acl acl_of(unsigned int owner, unsigned int user, unsigned int group, unsigned int mask, unsigned int other)
{
	struct acl acl = {
		.head = { htole32(POSIX_ACL_XATTR_VERSION) },
		.entry = {
			{ htole16(ACL_USER_OBJ), htole16((uint16_t)owner), htole32((uint32_t)ACL_UNDEFINED_ID) },
			{ htole16(ACL_USER), htole16((uint16_t)user), htole32(USER_ID) },
			{ htole16(ACL_GROUP_OBJ), htole16((uint16_t)group), htole32((uint32_t)ACL_UNDEFINED_ID) },
			{ htole16(ACL_MASK), htole16((uint16_t)mask), htole32((uint32_t)ACL_UNDEFINED_ID) },
			{ htole16(ACL_OTHER), htole16((uint16_t)other), htole32((uint32_t)ACL_UNDEFINED_ID) },
		},
	};

	return acl;
}

static void set_acl(const char *path, const char *name, const struct acl *acl)
{
	if (setxattr(path, name, acl, sizeof(*acl), 0)) {
		if (errno == EOPNOTSUPP)
			posix_unsupported("%s: %s", name, strerror(errno));
		CHECK(!"setxattr of an ACL");
	}
}

static void expect_acl(const char *path, const char *name, const struct acl *want)
{
	struct acl got;

	CHECK_EQ(getxattr(path, name, &got, sizeof(got)), sizeof(got));
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(got.entry[i].e_tag, want->entry[i].e_tag);
		CHECK_EQ(got.entry[i].e_perm, want->entry[i].e_perm);
	}
}

static void user_has_acl(void)
{
	struct acl acl = acl_of(7, 7, 7, 7, 7);

	close(posix_open("f", O_RDWR, 0));
	CHECK_ERRNO(open("masked", O_RDWR), EACCES);
	close(posix_open("masked", O_RDONLY, 0));
	CHECK_ERRNO(open("none", O_RDONLY), EACCES);
	CHECK_ERRNO(setxattr("f", ACCESS, &acl, sizeof(acl), 0), EPERM);
	CHECK_ERRNO(removexattr("f", ACCESS), EPERM);
	/* Linux 6.1 looks at the form first. */
	CHECK_EQ(setxattr("f", ACCESS, "", 0, 0), -1);
	CHECK(errno == EPERM || errno == EINVAL);
}

static void acl_is_enforced(void)
{
	struct acl rw = acl_of(6, 6, 0, 7, 0), masked = acl_of(6, 6, 0, 4, 0), none = acl_of(6, 0, 4, 7, 4);

	ENTER();
	posix_need_root();
	posix_make("f", 1, 1);
	posix_make("masked", 1, 1);
	posix_make("none", 1, 1);
	set_acl("f", ACCESS, &rw);
	set_acl("masked", ACCESS, &masked);
	set_acl("none", ACCESS, &none);
	expect_acl("f", ACCESS, &rw);
	posix_as_user(user_has_acl);
	expect_acl("f", ACCESS, &rw);
}

static void user_of_group(void)
{
	close(posix_open("f", O_RDONLY, 0));
	CHECK_ERRNO(open("f", O_WRONLY), EACCES);
}

static void acl_group_class_uses_mask(void)
{
	struct acl acl = acl_of(6, 0, 6, 4, 0);

	ENTER();
	posix_need_root();
	posix_make("f", 1, 1);
	CHECK_EQ(chown("f", 0, 12345), 0);
	set_acl("f", ACCESS, &acl);
	posix_as(4321, 12345, user_of_group);
}

static void acl_and_mode_follow_each_other(void)
{
	struct acl acl = acl_of(7, 6, 5, 6, 1), after;

	ENTER();
	posix_make("f", 1, 1);
	set_acl("f", ACCESS, &acl);
	CHECK_EQ(posix_stat("f").st_mode, S_IFREG | 0761);
	CHECK_EQ(chmod("f", 0614), 0);
	after = acl_of(6, 6, 5, 1, 4);
	expect_acl("f", ACCESS, &after);
	CHECK_EQ(posix_stat("f").st_mode, S_IFREG | 0614);
	CHECK_EQ(removexattr("f", ACCESS), 0);
	CHECK_ERRNO(getxattr("f", ACCESS, NULL, 0), ENODATA);
}

static void acl_that_is_only_a_mode_becomes_the_mode(void)
{
	struct acl acl = acl_of(6, 0, 4, 0, 4);
	char small[sizeof(acl.head) + 3 * sizeof(acl.entry[0])];

	ENTER();
	posix_make("f", 1, 1);
	memcpy(small, &acl.head, sizeof(acl.head));
	memcpy(small + sizeof(acl.head), &acl.entry[0], sizeof(acl.entry[0]));
	memcpy(small + sizeof(acl.head) + sizeof(acl.entry[0]), &acl.entry[2], sizeof(acl.entry[0]));
	memcpy(small + sizeof(acl.head) + 2 * sizeof(acl.entry[0]), &acl.entry[4], sizeof(acl.entry[0]));
	CHECK_EQ(chmod("f", 0777), 0);
	if (setxattr("f", ACCESS, small, sizeof(small), 0))
		posix_unsupported("ACLs: %s", strerror(errno));
	CHECK_EQ(posix_stat("f").st_mode, S_IFREG | 0644);
}

static void acl_default_replaces_umask(void)
{
	struct acl acl = acl_of(7, 6, 5, 7, 4), want;

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	set_acl("d", DEFAULT, &acl);
	umask(077);
	close(posix_open("d/f", O_CREAT | O_RDWR, 0666));
	CHECK_EQ(posix_stat("d/f").st_mode, S_IFREG | 0664);
	want = acl_of(6, 6, 5, 6, 4);
	expect_acl("d/f", ACCESS, &want);
	CHECK_ERRNO(getxattr("d/f", DEFAULT, NULL, 0), ENODATA);
	CHECK_EQ(mkdir("d/sub", 0777), 0);
	CHECK_EQ(posix_stat("d/sub").st_mode, S_IFDIR | 0774);
	expect_acl("d/sub", DEFAULT, &acl);
	expect_acl("d/sub", ACCESS, &acl);
	close(posix_open("d/sub/private", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(posix_stat("d/sub/private").st_mode, S_IFREG | 0600);
	CHECK_EQ(mkfifo("d/p", 0666), 0);
	CHECK_EQ(posix_stat("d/p").st_mode, S_IFIFO | 0664);
	CHECK_EQ(symlink("x", "d/l"), 0);
	CHECK_ERRNO(lgetxattr("d/l", ACCESS, NULL, 0), EOPNOTSUPP);
}

static void acl_errors(void)
{
	struct acl acl = acl_of(7, 6, 5, 7, 4), bad;

	ENTER();
	posix_make("f", 1, 1);
	set_acl("f", ACCESS, &acl);
	bad = acl;
	bad.entry[0].e_tag = htole16(0x77);
	CHECK_ERRNO(setxattr("f", ACCESS, &bad, sizeof(bad), 0), EINVAL);
	bad = acl;
	bad.head.a_version = htole32(9);
	CHECK_ERRNO(setxattr("f", ACCESS, &bad, sizeof(bad), 0), EOPNOTSUPP);
	CHECK_ERRNO(setxattr("f", ACCESS, &acl, sizeof(acl) - 1, 0), EINVAL);
	CHECK_ERRNO(setxattr("f", DEFAULT, &acl, sizeof(acl), 0), EACCES);
	expect_acl("f", ACCESS, &acl);
}

static void acl_default_on_directory_and_removal(void)
{
	struct acl acl = acl_of(7, 6, 5, 7, 4);

	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	set_acl("d", DEFAULT, &acl);
	CHECK_EQ(posix_stat("d").st_mode, S_IFDIR | 0755);
	CHECK_EQ(removexattr("d", DEFAULT), 0);
	umask(022);
	close(posix_open("d/f", O_CREAT | O_RDWR, 0666));
	CHECK_EQ(posix_stat("d/f").st_mode, S_IFREG | 0644);
	CHECK_ERRNO(getxattr("d/f", ACCESS, NULL, 0), ENODATA);
}

POSIX_MAIN(TAP_CASE(acl_is_enforced), TAP_CASE(acl_group_class_uses_mask), TAP_CASE(acl_and_mode_follow_each_other),
	   TAP_CASE(acl_that_is_only_a_mode_becomes_the_mode), TAP_CASE(acl_default_replaces_umask), TAP_CASE(acl_errors),
	   TAP_CASE(acl_default_on_directory_and_removal))
