/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LD_PRELOAD for a server that dies behind its work: when it has done a change whose (first) name has "die" in it, it kills
 * itself instead of answering. What the kernel makes of that: tests/guest/unsure.py
 */
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uapi/zuf.h"

#define FDS 1024
#define SHOWN __attribute__((visibility("default")))

static const uint8_t *buffers[FDS];

SHOWN void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *at = (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, off);

	if (at != MAP_FAILED && fd >= 0 && fd < FDS)
		buffers[fd] = len == ZUF_BUFFER_LEN ? at : NULL;
	return at;
}

static int is_change(uint32_t op)
{
	return op == ZUF_OP_CREATE || op == ZUF_OP_LINK || op == ZUF_OP_UNLINK || op == ZUF_OP_RMDIR || op == ZUF_OP_RENAME ||
	       op == ZUF_OP_SETXATTR || op == ZUF_OP_REMOVEXATTR;
}

static void maybe_die(const uint8_t *buf)
{
	const struct zuf_request *req = (const struct zuf_request *)(buf + ZUF_REQUEST_OFF);
	const struct zuf_reply *rep = (const struct zuf_reply *)(buf + ZUF_REPLY_OFF);

	if (is_change(req->op) && !rep->err && memmem(buf + ZUF_IN_OFF, req->name_len, "die", 3))
		kill(getpid(), SIGKILL);
}

SHOWN int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == ZUF_IOC_WAIT && fd >= 0 && fd < FDS && buffers[fd])
		maybe_die(buffers[fd]);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}
