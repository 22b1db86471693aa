/* SPDX-License-Identifier: BSD-3-Clause */
/* Receiving INIT, from a pipe in place of /dev/fuse. */
#include "transport/fuse/fuse_init.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <time.h>

#include "lib/tap.h"

#define WAIT_MAX_S 20

static void init_send(int fd)
{
	struct {
		struct fuse_in_header header;
		struct fuse_init_in in;
	} msg = {
		.header = { .len = sizeof(msg), .opcode = FUSE_INIT, .unique = 2 },
		.in = { .major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = 4096, .flags = FUSE_ASYNC_READ },
	};

	CHECK_EQ(write(fd, &msg, sizeof(msg)), (ssize_t)sizeof(msg));
}

static void fuse_init_receive_when_waiting_takes_it(void)
{
	struct fuse_conn conn = { .max_write = 4096 };
	int end[2];

	CHECK(!pipe(end));
	init_send(end[1]);
	conn.fd = end[0];
	CHECK_EQ(fuse_init_receive(&conn), 0);
	CHECK_EQ(conn.kernel_minor, 31);
	CHECK(!(fcntl(end[0], F_GETFL) & O_NONBLOCK));
	close(end[1]);
	close(end[0]);
}

/* Another one has read it: the session that waits must come to an end, and the server with it. */
static void fuse_init_receive_when_none_comes_gives_up(void)
{
	struct fuse_conn conn = { .max_write = 4096 };
	time_t start = time(NULL);
	int end[2];

	CHECK(!pipe(end));
	conn.fd = end[0];
	alarm(WAIT_MAX_S);
	CHECK_EQ(fuse_init_receive(&conn), -ETIMEDOUT);
	CHECK(time(NULL) - start < WAIT_MAX_S);
	close(end[1]);
	close(end[0]);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(fuse_init_receive_when_waiting_takes_it),
		TAP_CASE(fuse_init_receive_when_none_comes_gives_up),
	};

	return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
