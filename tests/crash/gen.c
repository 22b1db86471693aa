/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fuzzer: workloads by chance, each from a number and a seed alone. A flavour gives the preparation, which must succeed, and
 * says which kinds of operations are likely; the tested operations are drawn over few names, so that they often meet, and may
 * fail.
 */
#include "crash/gen.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

struct gen {
	FILE *f;
	uint64_t rand;
};

typedef void (*gen_op_fn)(struct gen *g);

static uint64_t below(struct gen *g, uint64_t limit)
{
	return gen_rand(&g->rand, limit);
}

static const char *pick(struct gen *g, const char *const *from, size_t n)
{
	return from[below(g, n)];
}
#define PICK(g, ...) pick(g, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static const char *file_name(struct gen *g)
{
	return PICK(g, "foo", "bar", "A/foo", "A/bar", "A/B/foo", "B/foo", "A/long%200", "B/n");
}

static const char *dir_name(struct gen *g)
{
	return PICK(g, "A", "B", "A/B", "B/C", "D");
}

static const char *any_name(struct gen *g)
{
	return below(g, 3) ? file_name(g) : dir_name(g);
}

/* A file by name or descriptor. */
static const char *target(struct gen *g)
{
	return below(g, 4) ? file_name(g) : PICK(g, "$0", "$1", "$2");
}

/* Mostly small and odd, now and then on the edges of blocks, cache lines and leaves. */
static uint64_t length(struct gen *g)
{
	static const uint64_t edges[] = { 1, 7, 8, 63, 64, 65, 4095, 4096, 4097, 8192, 12287, 65536 };

	return below(g, 2) ? edges[below(g, ARRAY_SIZE(edges))] : 1 + below(g, 20000);
}

static uint64_t offset(struct gen *g)
{
	static const uint64_t edges[] = { 0, 1, 8, 60, 4000, 4090, 4096, 8192, 10000, 65536, 200000, (2 << 20) - 3000 };

	return below(g, 2) ? edges[below(g, ARRAY_SIZE(edges))] : below(g, 30000);
}

/* --- operations ---------------------------------------------------------------------------------------------------------- */

static void op_make(struct gen *g)
{
	switch (below(g, 6)) {
	case 0:
		fprintf(g->f, "mkdir %s", dir_name(g));
		break;
	case 1:
		fprintf(g->f, "symlink %s %llu", file_name(g),
			(unsigned long long)(below(g, 2) ? 1 + below(g, 140) : 129 + below(g, 3966)));
		break;
	case 2:
		fprintf(g->f, "mknod %s %s %llu", file_name(g), PICK(g, "fifo", "chr", "blk", "sock"),
			(unsigned long long)below(g, 70000));
		break;
	default:
		fprintf(g->f, "creat %s 0%llo", file_name(g), (unsigned long long)(below(g, 4) ? 0644 : 06755));
	}
}

static void op_drop(struct gen *g)
{
	fprintf(g->f, "%s %s", PICK(g, "unlink", "remove", "remove", "rmdir"), any_name(g));
}

static void op_rename(struct gen *g)
{
	int dirs = below(g, 3) == 0;
	const char *from = dirs ? dir_name(g) : file_name(g), *to = dirs && below(g, 2) ? dir_name(g) : any_name(g);

	fprintf(g->f, "rename %s %s%s", from, to, PICK(g, "", "", "", " exchange", " noreplace", " whiteout"));
}

static void op_link(struct gen *g)
{
	fprintf(g->f, "link %s %s", target(g), file_name(g));
}

static void op_fd(struct gen *g)
{
	const char *fd = PICK(g, "$0", "$1", "$2", "$3");

	switch (below(g, 4)) {
	case 0:
		fprintf(g->f, "tmpfile %s %s", fd, PICK(g, ".", "A", "B"));
		break;
	case 1:
		fprintf(g->f, "close %s", fd);
		break;
	default:
		fprintf(g->f, "open %s %s", fd, file_name(g));
	}
}

static void op_write(struct gen *g)
{
	unsigned long long len = length(g);

	if (below(g, 4) == 0)
		fprintf(g->f, "write %s end %llu", target(g), len);
	else
		fprintf(g->f, "%s %s %llu %llu", below(g, 4) ? "write" : "dwrite", target(g), (unsigned long long)offset(g), len);
}

static void op_truncate(struct gen *g)
{
	fprintf(g->f, "truncate %s %llu", target(g), (unsigned long long)(below(g, 5) ? offset(g) : 0));
}

static void op_falloc(struct gen *g)
{
	const char *mode = PICK(g, "alloc", "keep", "punch", "punch", "zero", "zerokeep", "collapse", "insert");
	unsigned long long off = offset(g), len = length(g);

	if (below(g, 3) == 0 || mode[0] == 'c' || mode[0] == 'i') {
		off = 4096 * below(g, 5);
		len = 4096 * (1 + below(g, 4));
	}
	fprintf(g->f, "falloc %s %s %llu %llu", target(g), mode, off, len);
}

static void op_attr(struct gen *g)
{
	const char *t = below(g, 3) ? target(g) : dir_name(g);

	switch (below(g, 6)) {
	case 0:
		fprintf(g->f, "chown %s %llu %llu", t, (unsigned long long)below(g, 3) * 1000,
			(unsigned long long)below(g, 3) * 100);
		break;
	case 1:
		fprintf(g->f, "utimes %s %llu", t, (unsigned long long)(1600000000 + below(g, 1000000)));
		break;
	case 2:
		fprintf(g->f, "chattr %s %s", t, PICK(g, "0x0", "0x10", "0x20", "0x40", "0x80", "0x20000000"));
		break;
	case 3:
		fprintf(g->f, "projid %s %llu", t, (unsigned long long)below(g, 100));
		break;
	case 4:
		fprintf(g->f, "read %s 0 100", file_name(g));
		break;
	default:
		fprintf(g->f, "chmod %s 0%llo", t, (unsigned long long)below(g, 010000));
	}
}

static void op_xattr(struct gen *g)
{
	static const unsigned int sizes[] = { 0, 1, 20, 60, 100, 128, 300, 3900, 4064, 4096, 20000, 65536 };
	const char *t = below(g, 3) ? target(g) : dir_name(g),
		   *name = PICK(g, "user.a", "user.b", "user.longer-name", "trusted.t");

	switch (below(g, 5)) {
	case 0:
		fprintf(g->f, "removexattr %s %s", t, name);
		break;
	case 1:
		fprintf(g->f, "setacl %s access %llu", t, (unsigned long long)(below(g, 3) ? below(g, 8) : below(g, 900)));
		break;
	case 2:
		fprintf(g->f, "setacl %s default %llu", dir_name(g), (unsigned long long)below(g, 20));
		break;
	default:
		fprintf(g->f, "fsetxattr %s %s %u", t, name, sizes[below(g, ARRAY_SIZE(sizes))]);
	}
}

static void op_huge(struct gen *g)
{
	const char *t = PICK(g, "foo", "foo", "$0");
	unsigned long long odd = below(g, 3) ? 0 : 1 + below(g, 100000);

	switch (below(g, 8)) {
	case 0:
		fprintf(g->f, "falloc %s %s 0 2M", t, PICK(g, "alloc", "keep"));
		break;
	case 1:
		fprintf(g->f, "falloc %s %s %llu %llu", t, PICK(g, "punch", "zero", "punch"), 1048576 + odd, 8192 + odd);
		break;
	case 2:
		fprintf(g->f, "falloc %s %s 0 2M", t, PICK(g, "punch", "zerokeep"));
		break;
	case 3:
		fprintf(g->f, "falloc %s %s %s %s", t, PICK(g, "collapse", "insert"), PICK(g, "0", "4k", "1M"),
			PICK(g, "4k", "64k"));
		break;
	case 4:
		fprintf(g->f, "truncate %s %llu", t, 1048576 + odd);
		break;
	case 5:
		fprintf(g->f, "write %s 2M %llu", t, 4096 + odd);
		break;
	default:
		fprintf(g->f, "write %s %llu %llu", t, 500000 + 2 * odd, 10000 + odd);
	}
}

static void op_many(struct gen *g)
{
	unsigned long long n = 1 + below(g, 40);

	switch (below(g, 5)) {
	case 0:
		fprintf(g->f, "unlinkn D/f%%90 %llu", n);
		break;
	case 1:
		fprintf(g->f, "mkdirn D/d%%120 %llu", n);
		break;
	case 2:
		fprintf(g->f, "chmodn %s %llu", any_name(g), 3 * n);
		break;
	case 3:
		fprintf(g->f, "writen %s %llu %llu %llu", target(g), 1 + n / 4, (unsigned long long)length(g),
			(unsigned long long)length(g));
		break;
	default:
		fprintf(g->f, "creatn D/%s%%%llu %llu", PICK(g, "g", "h"), 60ull + below(g, 190), n);
	}
}

/* --- flavours ------------------------------------------------------------------------------------------------------------ */

#define PREPARE_TREE                                                                                                             \
	"mkdir A; mkdir B; mkdir A/B; creat foo; write foo 0 10000; creat A/foo; write A/foo 4096 5000; creat A/B/foo; "         \
	"link foo B/n; open $0 foo; open $1 A/foo"

struct flavour {
	const char *device, *prepare;
	gen_op_fn often[6];
	unsigned int n_often, ops_max;
};

static const struct flavour flavours[] = {
	/* names */
	{ "", PREPARE_TREE, { op_make, op_drop, op_rename, op_rename, op_link }, 5, 10 },
	/* data */
	{ "", PREPARE_TREE, { op_write, op_write, op_truncate, op_falloc }, 4, 8 },
	/* descriptors */
	{ "", PREPARE_TREE "; tmpfile $2 A; write $2 0 9000", { op_fd, op_drop, op_write, op_link, op_truncate }, 5, 10 },
	/* xattrs, ACLs, attributes */
	{ "", PREPARE_TREE "; fsetxattr A user.a 50; fsetxattr foo user.a 300", { op_xattr, op_xattr, op_attr }, 3, 8 },
	/* 2 MiB leaves */
	{ "@mib=8 ", "creat foo; open $0 foo; falloc foo alloc 0 2M; write foo 300000 70000", { op_huge }, 1, 5 },
	/* large directories */
	{ "", PREPARE_TREE "; mkdir D; creatn D/f%90 34", { op_many, op_rename, op_make }, 3, 5 },
	/* a nearly full device */
	{ "",
	  PREPARE_TREE "; fill full 0; unlink B/n; truncate foo 4000",
	  { op_write, op_make, op_falloc, op_xattr, op_truncate },
	  5,
	  10 },
	{ "", PREPARE_TREE "; mkdir D; fill full 6", { op_many, op_write, op_rename, op_link, op_drop }, 5, 5 },
	/* the journal's end */
	{ "@rings=1,keep=1 ", PREPARE_TREE "; chmodn foo 232", { op_many, op_attr, op_rename, op_write }, 4, 6 },
	/* everything */
	{ "", PREPARE_TREE, { op_write, op_rename, op_fd, op_xattr, op_falloc, op_drop }, 6, 12 },
};

static const gen_op_fn all_ops[] = { op_make,  op_drop,	    op_rename, op_link, op_fd,
				     op_write, op_truncate, op_falloc, op_attr, op_xattr };

char *gen_text(uint64_t i, uint64_t seed)
{
	const struct flavour *fl = &flavours[i % ARRAY_SIZE(flavours)];
	struct gen g = { .rand = gen_rand_begin(i, seed) };
	uint64_t n = 2 + below(&g, fl->ops_max - 1);
	char *text = NULL;
	size_t size;

	g.f = open_memstream(&text, &size);
	if (!g.f)
		return NULL;
	fprintf(g.f, "%s%s | ", fl->device, fl->prepare);
	for (uint64_t k = 0; k < n; k++) {
		fputs(k ? "; " : "", g.f);
		if (below(&g, 4))
			fl->often[below(&g, fl->n_often)](&g);
		else
			all_ops[below(&g, ARRAY_SIZE(all_ops))](&g);
	}
	if (fclose(g.f)) {
		free(text);
		return NULL;
	}
	return text;
}
