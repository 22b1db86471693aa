/* SPDX-License-Identifier: BSD-3-Clause */
/* Data operations of metabench: reads and writes of one size at random places of a file that is there, and appends. */
#include "ops.h"

#include <errno.h>
#include <unistd.h>

static int io_full(ssize_t done, size_t want)
{
	if (done < 0)
		return -errno;
	return (size_t)done == want ? 0 : -ENODATA;
}

static off_t io_place(struct bench_client *c)
{
	uint64_t n_places = c->file_size / c->op->arg;

	return (off_t)(bench_rand(c) % n_places * c->op->arg);
}

static int io_read(struct bench_client *c, uint32_t i)
{
	return io_full(pread(c->fd, c->buf, c->op->arg, io_place(c)), c->op->arg);
}

static int io_write(struct bench_client *c, uint32_t i)
{
	return io_full(pwrite(c->fd, c->buf, c->op->arg, io_place(c)), c->op->arg);
}

static int io_append(struct bench_client *c, uint32_t i)
{
	return io_full(pwrite(c->fd, c->buf, c->op->arg, (off_t)((uint64_t)i * c->op->arg)), c->op->arg);
}

static int io_empty(struct bench_client *c, uint32_t n)
{
	return ftruncate(c->fd, 0) ? -errno : 0;
}

const struct bench_op bench_io_ops[] = {
	{ "read4k", 1, 1, 4096, NULL, io_read, NULL },
	{ "write4k", 1, 1, 4096, NULL, io_write, NULL },
	{ "read64k", 1, 1, 65536, NULL, io_read, NULL },
	{ "write64k", 1, 1, 65536, NULL, io_write, NULL },
	{ "read1m", 1, 1, 1u << 20, NULL, io_read, NULL },
	{ "write1m", 1, 1, 1u << 20, NULL, io_write, NULL },
	{ "append4k", 1, 0, 4096, io_empty, io_append, NULL },
};
const size_t bench_n_io_ops = sizeof(bench_io_ops) / sizeof(bench_io_ops[0]);
