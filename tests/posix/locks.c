/* SPDX-License-Identifier: BSD-3-Clause */
/* flock, fcntl record locks, of processes and of open file descriptions: they exclude, wait, are given back. */
#include "posix.h"

#include <sys/file.h>

static struct flock lock_of(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

/* Runs fn in a child with descriptors of its own. */
static void in_child(void (*fn)(void))
{
	int status;

	fflush(stdout);
	if (!fork()) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	CHECK(wait(&status) > 0);
	CHECK_EQ(status, 0);
}

static void child_flock_blocked(void)
{
	int fd = posix_open("f", O_RDWR, 0);

	CHECK_ERRNO(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_ERRNO(flock(fd, LOCK_SH | LOCK_NB), EWOULDBLOCK);
}

static void child_flock_shared(void)
{
	int fd = posix_open("f", O_RDWR, 0);

	CHECK_EQ(flock(fd, LOCK_SH | LOCK_NB), 0);
	CHECK_ERRNO(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
}

static void child_flock_free(void)
{
	CHECK_EQ(flock(posix_open("f", O_RDWR, 0), LOCK_EX | LOCK_NB), 0);
}

static void locks_flock(void)
{
	int fd;

	ENTER();
	posix_make("f", 100, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(flock(fd, LOCK_EX), 0);
	in_child(child_flock_blocked);
	CHECK_EQ(flock(fd, LOCK_SH), 0);
	in_child(child_flock_shared);
	CHECK_EQ(flock(fd, LOCK_UN), 0);
	in_child(child_flock_free);
	CHECK_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	in_child(child_flock_free);
}

static void child_records(void)
{
	int fd = posix_open("f", O_RDWR, 0);
	struct flock fl = lock_of(F_WRLCK, 10, 10);

	CHECK_EQ(fcntl(fd, F_SETLK, &fl), -1);
	CHECK(errno == EAGAIN || errno == EACCES);
	CHECK_EQ(fcntl(fd, F_GETLK, &fl), 0);
	CHECK_EQ(fl.l_type, F_WRLCK);
	CHECK_EQ(fl.l_start, 0);
	CHECK_EQ(fl.l_len, 20);
	CHECK_EQ(fl.l_pid, getppid());
	fl = lock_of(F_WRLCK, 20, 0);
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), 0);
	fl = lock_of(F_RDLCK, 19, 1);
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), -1);
}

static void child_hole_in_middle(void)
{
	int fd = posix_open("f", O_RDWR, 0);
	struct flock fl = lock_of(F_WRLCK, 5, 5);

	CHECK_EQ(fcntl(fd, F_SETLK, &fl), 0);
	fl = lock_of(F_WRLCK, 4, 1);
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), -1);
	fl = lock_of(F_WRLCK, 10, 1);
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), -1);
}

static void child_all_free(void)
{
	int fd = posix_open("f", O_RDWR, 0);
	struct flock fl = lock_of(F_WRLCK, 0, 0);

	CHECK_EQ(fcntl(fd, F_SETLK, &fl), 0);
}

static void locks_fcntl_records(void)
{
	struct flock fl = lock_of(F_WRLCK, 0, 20);
	int fd;

	ENTER();
	posix_make("f", 100, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), 0);
	in_child(child_records);
	fl = lock_of(F_UNLCK, 5, 5);
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), 0);
	in_child(child_hole_in_middle);
	/* Closing any descriptor of the file gives up the process's locks. */
	close(posix_open("f", O_RDONLY, 0));
	in_child(child_all_free);
}

static void child_waits(void)
{
	int fd = posix_open("f", O_RDWR, 0);
	struct flock fl = lock_of(F_WRLCK, 0, 0);
	char c;

	CHECK_EQ(fcntl(fd, F_SETLKW, &fl), 0);
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	CHECK_EQ(c, 'D');
}

static void locks_fcntl_waits(void)
{
	struct flock fl = lock_of(F_WRLCK, 0, 0);
	int fd, status;

	ENTER();
	posix_make("f", 100, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), 0);
	if (!fork()) {
		child_waits();
		_exit(0);
	}
	usleep(100000);
	CHECK_EQ(pwrite(fd, "D", 1, 0), 1);
	fl.l_type = F_UNLCK;
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), 0);
	CHECK(wait(&status) > 0);
	CHECK_EQ(status, 0);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void child_interrupted(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	int fd = posix_open("f", O_RDWR, 0);
	struct flock fl = lock_of(F_WRLCK, 0, 0);

	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	CHECK_ERRNO(fcntl(fd, F_SETLKW, &fl), EINTR);
	alarm(1);
	CHECK_ERRNO(flock(fd, LOCK_EX), EINTR);
}

static void locks_wait_is_interruptible(void)
{
	struct flock fl = lock_of(F_WRLCK, 0, 0);
	int fd;

	ENTER();
	posix_make("f", 100, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(fcntl(fd, F_SETLK, &fl), 0);
	CHECK_EQ(flock(fd, LOCK_EX), 0);
	in_child(child_interrupted);
}

static void locks_of_descriptions(void)
{
	struct flock fl = lock_of(F_WRLCK, 0, 10);
	int a, b;

	ENTER();
	posix_make("f", 100, 1);
	a = posix_open("f", O_RDWR, 0);
	b = posix_open("f", O_RDWR, 0);
	CHECK_EQ(fcntl(a, F_OFD_SETLK, &fl), 0);
	CHECK_ERRNO(fcntl(b, F_OFD_SETLK, &fl), EAGAIN);
	fl.l_start = 10;
	CHECK_EQ(fcntl(b, F_OFD_SETLK, &fl), 0);
	close(a);
	fl.l_start = 0;
	CHECK_EQ(fcntl(b, F_OFD_SETLK, &fl), 0);
}

static void locks_errors(void)
{
	struct flock fl = lock_of(F_WRLCK, 0, 10);
	int rd, wr;

	ENTER();
	posix_make("f", 100, 1);
	rd = posix_open("f", O_RDONLY, 0);
	wr = posix_open("f", O_WRONLY, 0);
	CHECK_ERRNO(fcntl(rd, F_SETLK, &fl), EBADF);
	fl.l_type = F_RDLCK;
	CHECK_ERRNO(fcntl(wr, F_SETLK, &fl), EBADF);
	fl = lock_of(F_RDLCK, -5, 2);
	CHECK_ERRNO(fcntl(rd, F_SETLK, &fl), EINVAL);
	CHECK_ERRNO(flock(rd, 0), EINVAL);
}

static void locks_deadlock_edeadlk(void)
{
	struct flock first = lock_of(F_WRLCK, 0, 1), second = lock_of(F_WRLCK, 1, 1);
	int fd, status, ready[2];
	char c = 'c';

	ENTER();
	posix_make("f", 100, 1);
	fd = posix_open("f", O_RDWR, 0);
	CHECK_EQ(pipe(ready), 0);
	CHECK_EQ(fcntl(fd, F_SETLK, &first), 0);
	if (!fork()) {
		CHECK_EQ(fcntl(fd, F_SETLK, &second), 0);
		CHECK_EQ(write(ready[1], &c, 1), 1);
		CHECK_EQ(fcntl(fd, F_SETLKW, &first), 0);
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	usleep(200000);
	CHECK_ERRNO(fcntl(fd, F_SETLKW, &second), EDEADLK);
	first.l_type = F_UNLCK;
	CHECK_EQ(fcntl(fd, F_SETLK, &first), 0);
	CHECK(wait(&status) > 0);
	CHECK_EQ(status, 0);
}

POSIX_MAIN(TAP_CASE(locks_flock), TAP_CASE(locks_fcntl_records), TAP_CASE(locks_fcntl_waits),
	   TAP_CASE(locks_wait_is_interruptible), TAP_CASE(locks_of_descriptions), TAP_CASE(locks_errors),
	   TAP_CASE(locks_deadlock_edeadlk))
