/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Negotiation. What is asked for follows from two facts: this server is the only writer of its file system (so the kernel may
 * cache names and attributes for ever, and data too), and every change is durable when its request is answered (so no write-back
 * cache). Locks (flock, fcntl) stay with the kernel.
 */
#include "transport/fuse/fuse_init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define INIT_BUF_LEN (2u << 20)
/* The longest request that is no WRITE: SETXATTR with its name. The kernel does not check it against the area of a ring. */
#define PAYLOAD_MIN_BYTES (128u << 10)
#define MAX_BACKGROUND 128u
/* The kernel sends INIT when it mounts. Where none comes another one has taken it: a client that hands in a descriptor in use. */
#define INIT_WAIT_MS 10000

#define WANTED_FLAGS                                                                                                               \
	(FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_HAS_IOCTL_DIR | FUSE_DO_READDIRPLUS |     \
	 FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | FUSE_MAX_PAGES |  \
	 FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT |  \
	 FUSE_INIT_EXT | FUSEX_DIRECT_IO_ALLOW_MMAP)

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Reads one message from a descriptor with O_NONBLOCK. */
static ssize_t read_message(int fd, void *buf, size_t cap, int64_t deadline_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t left_ms;
	ssize_t n;

	for (;;) {
		n = read(fd, buf, cap);
		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		left_ms = deadline_ms - now_ms();
		if (left_ms <= 0)
			return -ETIMEDOUT;
		poll(&pfd, 1, (int)left_ms);
	}
}

/* The kernel's: it counts in them, and wants areas of that many in its rings. */
static uint32_t page_bytes(void)
{
	return (uint32_t)sysconf(_SC_PAGESIZE);
}

static void init_take(struct fuse_conn *conn, const struct fuse_init_in *in, uint32_t len)
{
	struct fuse_init_in full = { 0 };
	uint64_t flags;

	memcpy(&full, in, len < sizeof(full) ? len : sizeof(full));
	flags = full.flags;
	if (flags & FUSE_INIT_EXT)
		flags |= (uint64_t)full.flags2 << 32;
	conn->kernel_flags = flags;
	conn->kernel_minor = full.minor;
	conn->max_readahead = full.max_readahead;
	conn->offers_uring = !!(flags & FUSEX_OVER_IO_URING);
	conn->dialect.setxattr_ext = !!(flags & FUSE_SETXATTR_EXT);
	conn->no_open = conn->cache == FUSE_CACHE_AUTO && (flags & FUSE_NO_OPEN_SUPPORT);
	conn->no_opendir = !!(flags & FUSE_NO_OPENDIR_SUPPORT);
	conn->payload_cap = (uint32_t)u64_max(round_up_to(conn->max_write, page_bytes()), PAYLOAD_MIN_BYTES);
}

static int send_init(struct fuse_conn *conn, const struct fusex_init_out *init)
{
	struct fuse_out_header header = { .unique = conn->init_unique };
	struct iovec iov[2] = { { &header, sizeof(header) }, { (void *)init, sizeof(*init) } };
	ssize_t n;

	header.len = sizeof(header) + sizeof(*init);
	do
		n = writev(conn->fd, iov, 2);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* One message: 1: it was INIT and is taken; 0: another one is to come; or an error. */
static int init_message(struct fuse_conn *conn, const void *buf, size_t len)
{
	struct fusex_init_out hello = { .major = FUSEX_MAJOR, .minor = FUSEX_MINOR };
	struct fuse_pieces pieces;
	const struct fuse_init_in *in;
	int err;

	err = fuse_split(buf, len, &conn->dialect, &pieces);
	if (err)
		return err;
	in = pieces.var;
	if (pieces.header->opcode != FUSE_INIT || pieces.var_len < offsetof(struct fuse_init_in, flags2))
		return -EPROTO;
	conn->init_unique = pieces.header->unique;
	if (in->major > FUSEX_MAJOR)
		return send_init(conn, &hello); /* the kernel comes back with our version */
	if (in->major < FUSEX_MAJOR || in->minor < FUSEX_MINOR_OLDEST) {
		log_error("fuse: the kernel speaks FUSE %u.%u; at least %u.%u (Linux 5.4) is needed", in->major, in->minor,
			  FUSEX_MAJOR, FUSEX_MINOR_OLDEST);
		return -EPROTONOSUPPORT;
	}
	init_take(conn, in, pieces.var_len);
	return 1;
}

static int receive(struct fuse_conn *conn)
{
	int64_t deadline_ms = now_ms() + INIT_WAIT_MS;
	void *buf = malloc(INIT_BUF_LEN);
	ssize_t n;
	int ret;

	if (!buf)
		return -ENOMEM;
	do {
		n = read_message(conn->fd, buf, INIT_BUF_LEN, deadline_ms);
		ret = n < 0 ? (int)n : init_message(conn, buf, (size_t)n);
	} while (ret == 0);
	free(buf);
	return ret < 0 ? ret : 0;
}

int fuse_init_receive(struct fuse_conn *conn)
{
	int flags = fcntl(conn->fd, F_GETFL), err;

	if (flags < 0 || fcntl(conn->fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	err = receive(conn);
	/* Others may share the descriptor, and expect it as it was. */
	if (fcntl(conn->fd, F_SETFL, flags) && !err)
		err = -errno;
	return err;
}

int fuse_init_answer(struct fuse_conn *conn, bool use_uring)
{
	uint64_t flags = conn->kernel_flags & (WANTED_FLAGS | (use_uring ? FUSEX_OVER_IO_URING : 0));
	struct fusex_init_out out = {
		.major = FUSEX_MAJOR,
		.minor = (uint32_t)u64_min(FUSEX_MINOR, conn->kernel_minor),
		.max_readahead = conn->max_readahead,
		.flags = (uint32_t)flags,
		.flags2 = (uint32_t)(flags >> 32),
		.max_background = MAX_BACKGROUND,
		.congestion_threshold = MAX_BACKGROUND * 3 / 4,
		.max_write = conn->max_write,
		.time_gran = conn->fs->time_gran_ns ? conn->fs->time_gran_ns : 1,
		.max_pages = (uint16_t)u64_min(conn->payload_cap / page_bytes(), UINT16_MAX),
	};

	return send_init(conn, &out);
}
