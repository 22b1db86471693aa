/* SPDX-License-Identifier: BSD-3-Clause */
/* open(2) with every flag, and what stays possible with a file that is open. */
#include "posix.h"

#include <sys/socket.h>
#include <sys/un.h>

static void open_missing_enoent(void)
{
	ENTER();
	CHECK_ERRNO(open("no", O_RDONLY), ENOENT);
	CHECK_ERRNO(open("no/x", O_RDWR | O_CREAT, 0644), ENOENT);
	CHECK_ERRNO(open("", O_RDONLY), ENOENT);
}

static void open_below_a_file_enotdir(void)
{
	ENTER();
	posix_make("f", 1, 1);
	CHECK_ERRNO(open("f/x", O_RDONLY), ENOTDIR);
	CHECK_ERRNO(open("f/x", O_RDWR | O_CREAT, 0644), ENOTDIR);
	CHECK_ERRNO(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERRNO(open("f/", O_RDONLY), ENOTDIR);
	CHECK_ERRNO(open("g/", O_RDWR | O_CREAT, 0644), EISDIR);
}

static void open_creat_excl_on_existing_eexist(void)
{
	ENTER();
	posix_make("f", 1, 1);
	CHECK_EQ(symlink("nowhere", "l"), 0);
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_ERRNO(open("f", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	CHECK_ERRNO(open("l", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	CHECK_ERRNO(open("d", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	CHECK(!posix_exists("nowhere"));
}

static void open_creat_through_dangling_symlink_makes_target(void)
{
	ENTER();
	CHECK_EQ(symlink("target", "l"), 0);
	close(posix_open("l", O_CREAT | O_RDWR, 0600));
	CHECK(S_ISREG(posix_stat("target").st_mode));
}

static void open_creat_applies_umask(void)
{
	struct stat st;

	ENTER();
	umask(027);
	close(posix_open("f", O_CREAT | O_RDWR, 0777));
	st = posix_stat("f");
	CHECK_EQ(st.st_mode, S_IFREG | 0750);
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_EQ(st.st_nlink, 1);
	CHECK_EQ(st.st_size, 0);
	umask(0);
	close(posix_open("g", O_CREAT | O_RDWR, 06777));
	CHECK_EQ(posix_stat("g").st_mode, S_IFREG | 06777);
}

static void open_creat_readonly_mode_is_writable_by_its_fd(void)
{
	int fd;

	ENTER();
	fd = posix_open("f", O_CREAT | O_RDWR, 0400);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(posix_stat("f").st_size, 3);
}

static void open_trunc_empties_and_updates_times(void)
{
	struct stat before, after;

	ENTER();
	posix_make("f", 10000, 1);
	before = posix_stat("f");
	posix_tick();
	close(posix_open("f", O_TRUNC | O_WRONLY, 0));
	after = posix_stat("f");
	CHECK_EQ(after.st_size, 0);
	CHECK_EQ(after.st_blocks, 0);
	CHECK(posix_time_cmp(after.st_mtim, before.st_mtim) > 0);
	CHECK(posix_time_cmp(after.st_ctim, before.st_ctim) > 0);
}

static void open_append_ignores_position(void)
{
	int fd;

	ENTER();
	posix_make("f", 5000, 3);
	fd = posix_open("f", O_APPEND | O_RDWR, 0);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(write(fd, "tail", 4), 4);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5004);
	CHECK_EQ(posix_stat("f").st_size, 5004);
	posix_expect(fd, 0, 5000, 3, 0);
}

static void open_directory_for_writing_eisdir(void)
{
	ENTER();
	CHECK_EQ(mkdir("d", 0755), 0);
	CHECK_ERRNO(open("d", O_WRONLY), EISDIR);
	CHECK_ERRNO(open("d", O_RDWR), EISDIR);
	CHECK_ERRNO(open("d", O_RDONLY | O_CREAT, 0644), EISDIR);
	close(posix_open("d", O_RDONLY | O_DIRECTORY, 0));
}

static void open_nofollow_symlink_eloop(void)
{
	int fd;

	ENTER();
	posix_make("f", 1, 1);
	CHECK_EQ(symlink("f", "l"), 0);
	CHECK_ERRNO(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	fd = posix_open("l", O_PATH | O_NOFOLLOW, 0);
	CHECK_ERRNO(read(fd, &fd, 1), EBADF);
}

static void open_wrong_direction_ebadf(void)
{
	char c = 'x';
	int rd, wr;

	ENTER();
	posix_make("f", 10, 1);
	rd = posix_open("f", O_RDONLY, 0);
	wr = posix_open("f", O_WRONLY, 0);
	CHECK_ERRNO(write(rd, &c, 1), EBADF);
	CHECK_ERRNO(read(wr, &c, 1), EBADF);
}

static void user_open_denied(void)
{
	CHECK_ERRNO(open("secret", O_RDONLY), EACCES);
	CHECK_ERRNO(open("readable", O_RDWR), EACCES);
	CHECK_ERRNO(open("closed/x", O_RDONLY), EACCES);
	CHECK_ERRNO(open("rodir/new", O_CREAT | O_RDWR, 0644), EACCES);
	CHECK_ERRNO(open("readable", O_RDONLY | O_NOATIME), EPERM);
	CHECK_ERRNO(open("readable", O_RDONLY | O_TRUNC), EACCES);
	close(posix_open("readable", O_RDONLY, 0));
	close(posix_open("mine", O_CREAT | O_RDWR, 0644));
	CHECK_EQ(posix_stat("mine").st_uid, USER_ID);
	CHECK_EQ(posix_stat("mine").st_gid, USER_ID);
}

static void open_without_permission_eacces(void)
{
	ENTER();
	posix_need_root();
	posix_make("secret", 1, 1);
	posix_make("readable", 1, 1);
	CHECK_EQ(chmod("secret", 0600), 0);
	CHECK_EQ(mkdir("closed", 0700), 0);
	posix_make("closed/x", 1, 1);
	CHECK_EQ(mkdir("rodir", 0755), 0);
	posix_as_user(user_open_denied);
}

static int open_tmpfile(const char *dir, int flags, mode_t mode)
{
	int fd = open(dir, O_TMPFILE | flags, mode);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		posix_unsupported("O_TMPFILE: %s", strerror(errno));
	CHECK(fd >= 0);
	return fd;
}

static void open_tmpfile_linkat_gives_a_name(void)
{
	char path[64];
	struct stat st;
	int fd;

	ENTER();
	fd = open_tmpfile(".", O_RDWR, 0640);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	CHECK_EQ(write(fd, "hello", 5), 5);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_EQ(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
	CHECK_EQ(posix_stat("named").st_nlink, 1);
	CHECK_EQ(posix_stat("named").st_size, 5);
	CHECK_EQ(linkat(AT_FDCWD, path, AT_FDCWD, "again", AT_SYMLINK_FOLLOW), 0);
	CHECK_EQ(posix_stat("named").st_nlink, 2);
	CHECK_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), EEXIST);
}

static void open_tmpfile_excl_cannot_be_linked(void)
{
	char path[64];
	int fd;

	ENTER();
	fd = open_tmpfile(".", O_WRONLY | O_EXCL, 0600);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), ENOENT);
	CHECK_ERRNO(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
}

static void open_tmpfile_unlinked_again_is_gone(void)
{
	char path[64];
	int fd;

	ENTER();
	fd = open_tmpfile(".", O_RDWR, 0600);
	CHECK_EQ(write(fd, "x", 1), 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_EQ(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
	CHECK_EQ(unlink("named"), 0);
	CHECK_EQ(pwrite(fd, "y", 1, 100000), 1);
	CHECK_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), ENOENT);
}

static void open_file_unlinked_still_works(void)
{
	struct stat st;
	char path[64];
	int fd, other;

	ENTER();
	posix_make("f", 10000, 5);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(unlink("f"), 0);
	CHECK(!posix_exists("f"));
	posix_make("f", 10, 6);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_size, 10000);
	posix_expect(fd, 0, 10000, 5, 0);
	CHECK_EQ(ftruncate(fd, 5000), 0);
	CHECK_EQ(pwrite(fd, "zzzz", 4, 70000), 4);
	posix_expect(fd, 0, 5000, 5, 0);
	posix_expect_zeros(fd, 5000, 65000);
	CHECK_EQ(fchmod(fd, 0600), 0);
	CHECK_EQ(fsync(fd), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = posix_open(path, O_RDWR, 0);
	posix_expect(other, 0, 5000, 5, 0);
	close(fd);
	CHECK_EQ(pwrite(other, "more", 4, 0), 4);
	CHECK_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "back", AT_SYMLINK_FOLLOW), ENOENT);
	CHECK_EQ(posix_stat("f").st_size, 10);
}

static void open_sync_flags_write_through(void)
{
	static const int flags[] = { O_SYNC, O_DSYNC, O_SYNC | O_APPEND };
	int fd;

	ENTER();
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		fd = posix_open("f", O_CREAT | O_TRUNC | O_RDWR | flags[i], 0644);
		CHECK_EQ(write(fd, "0123456789", 10), 10);
		CHECK_EQ(write(fd, "0123456789", 10), 10);
		CHECK_EQ(posix_stat("f").st_size, 20);
		close(fd);
	}
}

static void open_direct_aligned_io(void)
{
	size_t len = 256 * 1024;
	char *buf;
	int fd;

	ENTER();
	fd = open("f", O_CREAT | O_RDWR | O_DIRECT, 0644);
	if (fd < 0 && errno == EINVAL)
		posix_unsupported("O_DIRECT");
	CHECK(fd >= 0);
	CHECK(!posix_memalign((void **)&buf, 4096, len));
	posix_fill(buf, len, 9, 0);
	CHECK_EQ(pwrite(fd, buf, len, 0), len);
	CHECK_EQ(pwrite(fd, buf, 4096, 1 << 20), 4096);
	memset(buf, 0, len);
	CHECK_EQ(pread(fd, buf, len, 0), len);
	for (size_t i = 0; i < len; i++)
		CHECK_EQ((unsigned char)buf[i], posix_pattern(9, i));
	CHECK_EQ(pread(fd, buf, len, 512 * 1024), len);
	CHECK_EQ(buf[0], 0);
	CHECK_EQ(pread(fd, buf, len, (1 << 20) + 4096), 0);
	CHECK_EQ(posix_stat("f").st_size, (1 << 20) + 4096);
}

static void open_fifo_carries_data(void)
{
	char buf[8] = "";
	int rd, wr;

	ENTER();
	CHECK_EQ(mkfifo("p", 0644), 0);
	CHECK_ERRNO(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	rd = posix_open("p", O_RDONLY | O_NONBLOCK, 0);
	wr = posix_open("p", O_WRONLY | O_NONBLOCK, 0);
	CHECK_EQ(write(wr, "hi", 2), 2);
	CHECK_EQ(read(rd, buf, sizeof(buf)), 2);
	CHECK(!strcmp(buf, "hi"));
}

static void open_socket_enxio(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "s" };
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	ENTER();
	CHECK_EQ(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK(S_ISSOCK(posix_stat("s").st_mode));
	CHECK_ERRNO(open("s", O_RDWR), ENXIO);
	CHECK_EQ(listen(sock, 1), 0);
	CHECK_EQ(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static void open_for_writing_blocks_exec(void)
{
	char *argv[] = { (char *)"./prog", NULL };
	int from, to, fd;

	ENTER();
	from = posix_open("/bin/true", O_RDONLY, 0);
	to = posix_open("prog", O_CREAT | O_WRONLY, 0755);
	while (1) {
		char buf[65536];
		ssize_t n = read(from, buf, sizeof(buf));

		CHECK(n >= 0);
		if (!n)
			break;
		CHECK_EQ(write(to, buf, (size_t)n), n);
	}
	CHECK_ERRNO(execv("./prog", argv), ETXTBSY);
	close(to);
	fd = (int)fork();
	if (!fd) {
		execv("./prog", argv);
		_exit(errno == EACCES ? TAP_EXIT_SKIP : 1);
	}
	CHECK_EQ(waitpid(fd, &from, 0), fd);
	if (WEXITSTATUS(from) == TAP_EXIT_SKIP)
		tap_skip("mounted noexec");
	CHECK_EQ(from, 0);
}

POSIX_MAIN(TAP_CASE(open_missing_enoent), TAP_CASE(open_below_a_file_enotdir), TAP_CASE(open_creat_excl_on_existing_eexist),
	   TAP_CASE(open_creat_through_dangling_symlink_makes_target), TAP_CASE(open_creat_applies_umask),
	   TAP_CASE(open_creat_readonly_mode_is_writable_by_its_fd), TAP_CASE(open_trunc_empties_and_updates_times),
	   TAP_CASE(open_append_ignores_position), TAP_CASE(open_directory_for_writing_eisdir),
	   TAP_CASE(open_nofollow_symlink_eloop), TAP_CASE(open_wrong_direction_ebadf),
	   TAP_CASE(open_without_permission_eacces), TAP_CASE(open_tmpfile_linkat_gives_a_name),
	   TAP_CASE(open_tmpfile_excl_cannot_be_linked), TAP_CASE(open_tmpfile_unlinked_again_is_gone),
	   TAP_CASE(open_file_unlinked_still_works), TAP_CASE(open_sync_flags_write_through),
	   TAP_CASE(open_direct_aligned_io), TAP_CASE(open_fifo_carries_data), TAP_CASE(open_socket_enxio),
	   TAP_CASE(open_for_writing_blocks_exec))
