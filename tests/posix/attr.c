/* SPDX-License-Identifier: BSD-3-Clause */
/* chmod, chown, utimensat, stat, statx, access: permissions, set-id bits, sticky, group inheritance, times. */
#include "posix.h"

#include <sys/statvfs.h>

static void attr_chmod_all_bits(void)
{
	struct stat before;

	ENTER();
	posix_need_root();
	posix_make("f", 10, 1);
	CHECK_EQ(mkdir("d", 0755), 0);
	before = posix_stat("f");
	posix_tick();
	for (unsigned int mode = 0; mode < 010000; mode += 0123) {
		CHECK_EQ(chmod("f", mode), 0);
		CHECK_EQ(posix_stat("f").st_mode, S_IFREG | mode);
		CHECK_EQ(chmod("d", mode), 0);
		CHECK_EQ(posix_stat("d").st_mode, S_IFDIR | mode);
	}
	CHECK(posix_time_cmp(posix_stat("f").st_ctim, before.st_ctim) > 0);
	CHECK(!posix_time_cmp(posix_stat("f").st_mtim, before.st_mtim));
	CHECK_ERRNO(chmod("no", 0644), ENOENT);
	CHECK_ERRNO(chmod("f/x", 0644), ENOTDIR);
}

static void user_changes_attrs(void)
{
	CHECK_ERRNO(chmod("roots", 0777), EPERM);
	CHECK_ERRNO(chown("roots", USER_ID, (gid_t)-1), EPERM);
	CHECK_ERRNO(chown("mine", 0, (gid_t)-1), EPERM);
	CHECK_ERRNO(chown("mine", (uid_t)-1, 0), EPERM);
	CHECK_EQ(chown("mine", USER_ID, USER_ID), 0);
	CHECK_ERRNO(utimensat(AT_FDCWD, "roots", NULL, 0), EACCES);
	CHECK_ERRNO(utimensat(AT_FDCWD, "writable", (struct timespec[]){ { 1, 0 }, { 1, 0 } }, 0), EPERM);
	CHECK_EQ(utimensat(AT_FDCWD, "writable", NULL, 0), 0);
	CHECK_EQ(chmod("mine", 0600), 0);
	/* Not a member of the file's group: the sgid bit does not stick. */
	CHECK_EQ(chmod("othergroup", 02755), 0);
	CHECK_EQ(posix_stat("othergroup").st_mode, S_IFREG | 0755);
}

static void attr_change_by_user(void)
{
	ENTER();
	posix_need_root();
	posix_make("roots", 1, 1);
	posix_make("writable", 1, 1);
	CHECK_EQ(chmod("writable", 0666), 0);
	posix_make("mine", 1, 1);
	CHECK_EQ(chown("mine", USER_ID, USER_ID), 0);
	posix_make("othergroup", 1, 1);
	CHECK_EQ(chown("othergroup", USER_ID, 12345), 0);
	posix_as_user(user_changes_attrs);
}

static void attr_chown_changes_ids(void)
{
	ENTER();
	posix_need_root();
	posix_make("f", 1, 1);
	CHECK_EQ(chown("f", 4000000000u, 12), 0);
	CHECK_EQ(posix_stat("f").st_uid, 4000000000u);
	CHECK_EQ(posix_stat("f").st_gid, 12);
	CHECK_EQ(chown("f", (uid_t)-1, 13), 0);
	CHECK_EQ(posix_stat("f").st_uid, 4000000000u);
	CHECK_EQ(posix_stat("f").st_gid, 13);
	CHECK_EQ(symlink("f", "l"), 0);
	CHECK_EQ(lchown("l", 5, 6), 0);
	CHECK_EQ(posix_stat("l").st_uid, 5);
	CHECK_EQ(posix_stat("f").st_gid, 13);
	CHECK_EQ(chown("l", 7, 8), 0);
	CHECK_EQ(posix_stat("f").st_uid, 7);
}

static void user_chowns_suid(void)
{
	CHECK_EQ(chown("u", (uid_t)-1, USER_ID), 0);
}

static void attr_chown_clears_set_ids(void)
{
	ENTER();
	posix_need_root();
	posix_make("f", 1, 1);
	CHECK_EQ(chmod("f", 06755), 0);
	CHECK_EQ(chown("f", 1, 1), 0);
	CHECK_EQ(posix_stat("f").st_mode, S_IFREG | 0755);
	posix_make("u", 1, 1);
	CHECK_EQ(chown("u", USER_ID, USER_ID), 0);
	CHECK_EQ(chmod("u", 06755), 0);
	posix_as_user(user_chowns_suid);
	CHECK_EQ(posix_stat("u").st_mode, S_IFREG | 0755);
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_EQ(chmod("d", 02755), 0);
	CHECK_EQ(chown("d", 1, 1), 0);
	CHECK_EQ(posix_stat("d").st_mode, S_IFDIR | 02755);
}

static void user_writes(void)
{
	int fd = posix_open("w", O_WRONLY, 0);

	CHECK_EQ(write(fd, "x", 1), 1);
	close(fd);
	CHECK_EQ(truncate("t", 5), 0);
	fd = posix_open("n", O_WRONLY, 0);
	CHECK_EQ(write(fd, "x", 1), 1);
}

static void attr_write_by_other_clears_set_ids(void)
{
	int fd;

	ENTER();
	posix_need_root();
	posix_make("w", 100, 1);
	posix_make("t", 100, 1);
	posix_make("n", 100, 1);
	CHECK_EQ(chmod("w", 06777), 0);
	CHECK_EQ(chmod("t", 06777), 0);
	CHECK_EQ(chmod("n", 06767), 0);
	posix_as_user(user_writes);
	CHECK_EQ(posix_stat("w").st_mode, S_IFREG | 0777);
	CHECK_EQ(posix_stat("t").st_mode, S_IFREG | 0777);
	/* sgid without group execute is not a set-id bit for an owner in the group; for others Linux clears it too. */
	CHECK_EQ(posix_stat("n").st_mode & S_ISUID, 0);
	CHECK_EQ(chmod("w", 06777), 0);
	fd = posix_open("w", O_WRONLY, 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(posix_stat("w").st_mode, S_IFREG | 06777);
}

/* The effective user of the program path, a copy of id(1). Nobody asks for its attributes on the way. */
static uid_t runs_as(const char *path)
{
	char text[32] = "";
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		dup2(fds[1], 1);
		execl(path, "id", "-u", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(n > 0 && !status);
	return (uid_t)strtoul(text, NULL, 10);
}

static void user_runs_program(void)
{
	CHECK_EQ(runs_as("./id"), 0);
}

static void user_writes_and_runs_program(void)
{
	int fd = posix_open("id", O_WRONLY, 0);

	CHECK_EQ(pwrite(fd, "\177", 1, 0), 1);
	close(fd);
	CHECK_EQ(runs_as("./id"), USER_ID);
}

static void attr_program_written_by_other_runs_without_set_id(void)
{
	struct statvfs sv;
	int status;

	ENTER();
	posix_need_root();
	CHECK_EQ(statvfs(".", &sv), 0);
	if (sv.f_flag & (ST_NOSUID | ST_NOEXEC))
		tap_skip("mounted with nosuid or noexec");
	status = system("cp \"$(command -v id)\" id");
	CHECK_EQ(status, 0);
	CHECK_EQ(chmod("id", 04777), 0);
	posix_as_user(user_runs_program);
	posix_as_user(user_writes_and_runs_program);
	CHECK_EQ(posix_stat("id").st_mode, S_IFREG | 0777);
}

static void user_makes_in_sgid(void)
{
	umask(022);
	CHECK_EQ(mkdir("sgid/dir", 0755), 0);
	close(posix_open("sgid/file", O_CREAT | O_RDWR, 0644));
	close(posix_open("sgid/exec", O_CREAT | O_RDWR, 02755));
	CHECK_EQ(symlink("x", "sgid/link"), 0);
	CHECK_EQ(mkfifo("sgid/fifo", 0644), 0);
}

static void attr_sgid_directory_gives_its_group(void)
{
	ENTER();
	posix_need_root();
	CHECK_EQ(mkdir("sgid", 0777), 0);
	CHECK_EQ(chown("sgid", 0, 12345), 0);
	CHECK_EQ(chmod("sgid", 02777), 0);
	posix_as_user(user_makes_in_sgid);
	CHECK_EQ(posix_stat("sgid/dir").st_mode, S_IFDIR | 02755);
	CHECK_EQ(posix_stat("sgid/dir").st_gid, 12345);
	CHECK_EQ(posix_stat("sgid/file").st_mode, S_IFREG | 0644);
	CHECK_EQ(posix_stat("sgid/file").st_gid, 12345);
	CHECK_EQ(posix_stat("sgid/file").st_uid, USER_ID);
	CHECK_EQ(posix_stat("sgid/link").st_gid, 12345);
	CHECK_EQ(posix_stat("sgid/fifo").st_gid, 12345);
	/* Not a member of that group: no sgid executable through the back door. */
	CHECK_EQ(posix_stat("sgid/exec").st_mode, S_IFREG | 0755);
}

static void attr_utimens_nanoseconds(void)
{
	static const struct timespec times[][2] = {
		{ { 1, 1 }, { 2, 2 } },
		{ { 1234567890, 123456789 }, { 1600000000, 999999999 } },
		{ { 0, 0 }, { 0, 0 } },
		{ { 4000000000, 5 }, { 5000000000, 6 } },
		{ { -1000, 500 }, { -2000000000, 1 } },
	};
	struct stat st;

	ENTER();
	posix_make("f", 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		CHECK_EQ(utimensat(AT_FDCWD, "f", times[i], 0), 0);
		st = posix_stat("f");
		CHECK(!posix_time_cmp(st.st_atim, times[i][0]));
		CHECK(!posix_time_cmp(st.st_mtim, times[i][1]));
	}
}

static void attr_utimens_now_and_omit(void)
{
	struct timespec set[2] = { { 1000, 1 }, { 2000, 2 } }, now;
	struct stat st;

	ENTER();
	posix_make("f", 1, 1);
	CHECK_EQ(utimensat(AT_FDCWD, "f", set, 0), 0);
	set[0].tv_nsec = UTIME_OMIT;
	set[1] = (struct timespec){ 3000, 3 };
	CHECK_EQ(utimensat(AT_FDCWD, "f", set, 0), 0);
	st = posix_stat("f");
	CHECK_EQ(st.st_atim.tv_sec, 1000);
	CHECK_EQ(st.st_mtim.tv_sec, 3000);
	set[0] = (struct timespec){ 0, UTIME_NOW };
	set[1] = (struct timespec){ 0, UTIME_OMIT };
	CHECK_EQ(utimensat(AT_FDCWD, "f", set, 0), 0);
	st = posix_stat("f");
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(now.tv_sec - st.st_atim.tv_sec < 60 && now.tv_sec - st.st_atim.tv_sec > -60);
	CHECK_EQ(st.st_mtim.tv_sec, 3000);
	CHECK(now.tv_sec - st.st_ctim.tv_sec < 60);
	CHECK_EQ(symlink("f", "l"), 0);
	set[0] = (struct timespec){ 77, 7 };
	set[1] = (struct timespec){ 88, 8 };
	CHECK_EQ(utimensat(AT_FDCWD, "l", set, AT_SYMLINK_NOFOLLOW), 0);
	CHECK_EQ(posix_stat("l").st_mtim.tv_sec, 88);
	CHECK_EQ(posix_stat("f").st_mtim.tv_sec, 3000);
	set[0].tv_nsec = 2000000000;
	CHECK_ERRNO(utimensat(AT_FDCWD, "f", set, 0), EINVAL);
}

static void attr_times_follow_operations(void)
{
	struct stat a, b;
	char c;
	int fd;

	ENTER();
	posix_make("f", 10, 1);
	a = posix_stat("f");
	posix_tick();
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	b = posix_stat("f");
	CHECK(posix_time_cmp(b.st_mtim, a.st_mtim) > 0);
	CHECK(posix_time_cmp(b.st_ctim, a.st_ctim) > 0);
	posix_tick();
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	a = posix_stat("f");
	CHECK(!posix_time_cmp(a.st_mtim, b.st_mtim));
	CHECK(!posix_time_cmp(a.st_ctim, b.st_ctim));
}

static void attr_statx_birth_and_fields(void)
{
	struct statx sx, later;
	int fd;

	ENTER();
	posix_make("f", 5000, 1);
	CHECK_EQ(statx(AT_FDCWD, "f", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &sx), 0);
	CHECK_EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	CHECK_EQ(sx.stx_size, 5000);
	CHECK_EQ(sx.stx_mode, S_IFREG | 0644);
	CHECK_EQ(sx.stx_nlink, 1);
	CHECK_EQ(sx.stx_ino, posix_stat("f").st_ino);
	CHECK(sx.stx_blksize >= 512);
	if (!(sx.stx_mask & STATX_BTIME))
		posix_unsupported("birth time");
	posix_tick();
	fd = posix_open("f", O_WRONLY, 0);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	CHECK_EQ(fchmod(fd, 0600), 0);
	CHECK_EQ(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &later), 0);
	CHECK_EQ(later.stx_btime.tv_sec, sx.stx_btime.tv_sec);
	CHECK_EQ(later.stx_btime.tv_nsec, sx.stx_btime.tv_nsec);
	CHECK_EQ(later.stx_mode, S_IFREG | 0600);
}

static void attr_stat_errors(void)
{
	struct stat st;

	ENTER();
	posix_make("f", 1, 1);
	CHECK_ERRNO(stat("no", &st), ENOENT);
	CHECK_ERRNO(stat("f/x", &st), ENOTDIR);
	CHECK_ERRNO(stat("f/", &st), ENOTDIR);
	CHECK_ERRNO(stat("", &st), ENOENT);
	CHECK_EQ(symlink("no", "l"), 0);
	CHECK_ERRNO(stat("l", &st), ENOENT);
	CHECK_EQ(lstat("l", &st), 0);
}

static void user_accesses(void)
{
	CHECK_ERRNO(access("f", R_OK), EACCES);
	CHECK_EQ(access("g", R_OK), 0);
	CHECK_ERRNO(access("g", W_OK), EACCES);
	CHECK_EQ(access("x", X_OK), 0);
	CHECK_ERRNO(access("own", R_OK), EACCES);
}

static void attr_access_checks_mode(void)
{
	ENTER();
	posix_need_root();
	posix_make("f", 1, 1);
	posix_make("g", 1, 1);
	posix_make("x", 1, 1);
	posix_make("own", 1, 1);
	CHECK_EQ(chmod("f", 0640), 0);
	CHECK_EQ(chmod("x", 0711), 0);
	/* The owner's bits decide for the owner, even if others have more. */
	CHECK_EQ(chown("own", USER_ID, USER_ID), 0);
	CHECK_EQ(chmod("own", 0077), 0);
	CHECK_EQ(access("f", R_OK | W_OK), 0);
	CHECK_ERRNO(access("f", X_OK), EACCES);
	posix_as_user(user_accesses);
}

static void attr_blocks_count_data(void)
{
	ENTER();
	posix_make("f", 1 << 20, 1);
	CHECK(posix_stat("f").st_blocks * 512 >= 1 << 20);
	CHECK(posix_stat("f").st_blocks * 512 < (1 << 20) + 100000);
	CHECK_EQ(truncate("f", 0), 0);
	CHECK_EQ(posix_stat("f").st_blocks, 0);
}

POSIX_MAIN(TAP_CASE(attr_chmod_all_bits), TAP_CASE(attr_change_by_user), TAP_CASE(attr_chown_changes_ids),
	   TAP_CASE(attr_chown_clears_set_ids), TAP_CASE(attr_write_by_other_clears_set_ids),
	   TAP_CASE(attr_program_written_by_other_runs_without_set_id), TAP_CASE(attr_sgid_directory_gives_its_group),
	   TAP_CASE(attr_utimens_nanoseconds), TAP_CASE(attr_utimens_now_and_omit), TAP_CASE(attr_times_follow_operations),
	   TAP_CASE(attr_statx_birth_and_fields), TAP_CASE(attr_stat_errors), TAP_CASE(attr_access_checks_mode),
	   TAP_CASE(attr_blocks_count_data))
