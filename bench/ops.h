/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations metabench can time: one table, filled by meta_ops.c (names and attributes) and io_ops.c (data). */
#ifndef BENCH_OPS_H
#define BENCH_OPS_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_BATCH 256u /* names of one batch of a metadata operation */

/* What one client works with. */
struct bench_client {
	const char *dir; /* directory of this client alone, open as dirfd */
	int dirfd;
	const char *file; /* data file of this client, or of all where they share one */
	uint64_t file_size; /* bytes */
	int direct; /* open with O_DIRECT */
	int fd; /* data operations: the open file */
	uint8_t *buf; /* 1 MiB, page aligned */
	uint64_t rand; /* xorshift state */
	uint64_t serial; /* of names; never used twice */
	const struct bench_op *op;
};

/*
 * prepare and finish are not timed and may be NULL; run is called with 0..n-1 between them. All return 0 or -errno.
 * repeat: run may be called with any number of further values too; what it works on is the value modulo n.
 * need_file: a data file of file_size bytes is there and open.
 */
struct bench_op {
	const char *name;
	int need_file;
	int repeat;
	uint32_t arg;
	int (*prepare)(struct bench_client *c, uint32_t n);
	int (*run)(struct bench_client *c, uint32_t i);
	int (*finish)(struct bench_client *c, uint32_t n);
};

extern const struct bench_op bench_meta_ops[];
extern const size_t bench_n_meta_ops;
extern const struct bench_op bench_io_ops[];
extern const size_t bench_n_io_ops;

static inline uint64_t bench_rand(struct bench_client *c)
{
	c->rand ^= c->rand << 13;
	c->rand ^= c->rand >> 7;
	c->rand ^= c->rand << 17;
	return c->rand;
}

#endif
