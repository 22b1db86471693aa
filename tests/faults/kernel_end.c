/* SPDX-License-Identifier: BSD-3-Clause */
/* See kernel_end.h. */
#include "faults/kernel_end.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/tap.h"

#define ANSWER_WAIT_MS 5000

void kernel_end_open(struct kernel_end *ke)
{
	int fds[2], size = 1 << 20;

	memset(ke, 0, sizeof(*ke));
	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	ke->fd = fds[0];
	ke->server_fd = fds[1];
	ke->unique = 100;
}

void kernel_end_close(struct kernel_end *ke)
{
	close(ke->fd);
}

static void message_send(struct kernel_end *ke, uint32_t opcode, uint64_t node)
{
	struct fuse_in_header header = { .len = (uint32_t)sizeof(header) + ke->len, .opcode = opcode, .nodeid = node };
	struct iovec iov[2] = { { &header, sizeof(header) }, { ke->body, ke->len } };

	ke->unique += 2;
	header.unique = ke->unique;
	header.pid = (uint32_t)getpid();
	CHECK_EQ(writev(ke->fd, iov, 2), header.len);
	ke->len = 0;
}

/* The answer to the last message. */
static int message_receive(struct kernel_end *ke)
{
	struct pollfd pfd = { .fd = ke->fd, .events = POLLIN };
	struct fuse_out_header header;
	struct iovec iov[2] = { { &header, sizeof(header) }, { ke->out, sizeof(ke->out) } };
	ssize_t n;

	if (poll(&pfd, 1, ANSWER_WAIT_MS) != 1)
		return -EPROTO;
	n = readv(ke->fd, iov, 2);
	if (n < (ssize_t)sizeof(header) || header.len != n || header.unique != ke->unique || header.error > 0)
		return -EPROTO;
	ke->out_len = (uint32_t)n - (uint32_t)sizeof(header);
	return header.error;
}

void kernel_end_say_init(struct kernel_end *ke, int uring)
{
	struct fuse_init_in in = { .major = FUSEX_MAJOR, .minor = FUSEX_MINOR, .flags = ~0u, .flags2 = 0 };

	if (uring)
		in.flags2 = (uint32_t)(FUSEX_OVER_IO_URING >> 32);
	kernel_end_put(ke, &in, sizeof(in));
	message_send(ke, FUSE_INIT, 0);
}

int kernel_end_hear_init(struct kernel_end *ke)
{
	return message_receive(ke);
}

void kernel_end_put(struct kernel_end *ke, const void *data, uint32_t len)
{
	CHECK(len <= sizeof(ke->body) - ke->len);
	memcpy(ke->body + ke->len, data, len);
	ke->len += len;
}

void kernel_end_put_str(struct kernel_end *ke, const char *str)
{
	kernel_end_put(ke, str, (uint32_t)strlen(str) + 1);
}

int kernel_end_call(struct kernel_end *ke, uint32_t opcode, uint64_t node)
{
	message_send(ke, opcode, node);
	return message_receive(ke);
}

void kernel_end_forget(struct kernel_end *ke, uint64_t node)
{
	struct fuse_forget_in in = { .nlookup = 1 };

	kernel_end_put(ke, &in, sizeof(in));
	message_send(ke, FUSE_FORGET, node);
}

int kernel_end_has_more(struct kernel_end *ke)
{
	struct pollfd pfd = { .fd = ke->fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}
