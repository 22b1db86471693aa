/* SPDX-License-Identifier: BSD-3-Clause */
/* Adding up and printing the statistics (see fuse_stats.h). */
#include "transport/fuse/fuse_stats.h"

#include <stdarg.h>
#include <stdio.h>

#include "transport/fuse/fuse_proto.h"

static const char *const op_names[FUSE_STATS_N_OPS] = {
	[0] = "unknown",
	[FUSE_LOOKUP] = "lookup",
	[FUSE_FORGET] = "forget",
	[FUSE_GETATTR] = "getattr",
	[FUSE_SETATTR] = "setattr",
	[FUSE_READLINK] = "readlink",
	[FUSE_SYMLINK] = "symlink",
	[FUSE_MKNOD] = "mknod",
	[FUSE_MKDIR] = "mkdir",
	[FUSE_UNLINK] = "unlink",
	[FUSE_RMDIR] = "rmdir",
	[FUSE_RENAME] = "rename",
	[FUSE_LINK] = "link",
	[FUSE_OPEN] = "open",
	[FUSE_READ] = "read",
	[FUSE_WRITE] = "write",
	[FUSE_STATFS] = "statfs",
	[FUSE_RELEASE] = "release",
	[FUSE_FSYNC] = "fsync",
	[FUSE_SETXATTR] = "setxattr",
	[FUSE_GETXATTR] = "getxattr",
	[FUSE_LISTXATTR] = "listxattr",
	[FUSE_REMOVEXATTR] = "removexattr",
	[FUSE_FLUSH] = "flush",
	[FUSE_INIT] = "init",
	[FUSE_OPENDIR] = "opendir",
	[FUSE_READDIR] = "readdir",
	[FUSE_RELEASEDIR] = "releasedir",
	[FUSE_FSYNCDIR] = "fsyncdir",
	[FUSE_GETLK] = "getlk",
	[FUSE_SETLK] = "setlk",
	[FUSE_SETLKW] = "setlkw",
	[FUSE_ACCESS] = "access",
	[FUSE_CREATE] = "create",
	[FUSE_INTERRUPT] = "interrupt",
	[FUSE_BMAP] = "bmap",
	[FUSE_DESTROY] = "destroy",
	[FUSE_IOCTL] = "ioctl",
	[FUSE_POLL] = "poll",
	[FUSE_BATCH_FORGET] = "batch_forget",
	[FUSE_FALLOCATE] = "fallocate",
	[FUSE_READDIRPLUS] = "readdirplus",
	[FUSE_RENAME2] = "rename2",
	[FUSE_LSEEK] = "lseek",
	[FUSE_COPY_FILE_RANGE] = "copy_file_range",
	[FUSE_SYNCFS] = "syncfs",
	[FUSE_TMPFILE] = "tmpfile",
	[FUSEX_STATX] = "statx",
	[FUSEX_COPY_FILE_RANGE_64] = "copy_file_range_64",
};

void fuse_stats_sum(struct fuse_stats *sum, const struct fuse_stats *from)
{
	for (uint32_t i = 0; i < FUSE_STATS_N_OPS; i++) {
		struct fuse_op_stats *to = &sum->ops[i];
		const struct fuse_op_stats *op = &from->ops[i];

		to->count += __atomic_load_n(&op->count, __ATOMIC_RELAXED);
		to->errors += __atomic_load_n(&op->errors, __ATOMIC_RELAXED);
		to->bytes += __atomic_load_n(&op->bytes, __ATOMIC_RELAXED);
		to->total_ns += __atomic_load_n(&op->total_ns, __ATOMIC_RELAXED);
		for (uint32_t b = 0; b < FUSE_STATS_N_BUCKETS; b++)
			to->buckets[b] += __atomic_load_n(&op->buckets[b], __ATOMIC_RELAXED);
	}
}

/* The middle of the bucket in which the per_mille-th part of the requests ends, in us. */
static double percentile_us(const struct fuse_op_stats *op, uint64_t per_mille)
{
	uint64_t target = op->count - op->count * (1000 - per_mille) / 1000, seen = 0;
	uint32_t b;

	for (b = 0; b < FUSE_STATS_N_BUCKETS - 1; b++) {
		seen += op->buckets[b];
		if (seen >= target)
			break;
	}
	return (double)(1ull << b) * 1.5 / 1000.0;
}

struct printer {
	char *buf;
	size_t cap;
	size_t len;
};

static void __attribute__((format(printf, 2, 3))) print_line(struct printer *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(p->len < p->cap ? p->buf + p->len : NULL, p->len < p->cap ? p->cap - p->len : 0, fmt, ap);
	va_end(ap);
	if (n > 0)
		p->len += (size_t)n;
}

size_t fuse_stats_print(const struct fuse_stats *sum, char *buf, size_t cap)
{
	struct printer p = { .buf = buf, .cap = cap };

	print_line(&p, "%-20s %12s %10s %16s %10s %10s %10s\n", "operation", "count", "errors", "bytes", "mean_us", "p50_us",
		   "p99_us");
	for (uint32_t i = 0; i < FUSE_STATS_N_OPS; i++) {
		const struct fuse_op_stats *op = &sum->ops[i];

		if (!op->count)
			continue;
		print_line(&p, "%-20s %12llu %10llu %16llu %10.2f %10.2f %10.2f\n", op_names[i] ? op_names[i] : "?",
			   (unsigned long long)op->count, (unsigned long long)op->errors, (unsigned long long)op->bytes,
			   (double)op->total_ns / (double)op->count / 1000.0, percentile_us(op, 500), percentile_us(op, 990));
	}
	return p.len;
}
