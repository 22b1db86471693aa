/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations of an input: one byte says which, three what with. Results do not matter, only that there is one. */
#include "ops.h"

#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

#define WRITE_MAX 70000u

struct op {
	uint8_t code, a, b, c;
};

struct run {
	const struct walk *w;
	struct zus_fs *fs;
	struct op op;
};

static uint64_t node_of(const struct run *r, uint8_t n)
{
	return r->w->items[n % r->w->n_items].node;
}

/* A directory, if there is one at or behind place n. */
static uint64_t dir_of(const struct run *r, uint8_t n)
{
	for (uint32_t i = 0; i < r->w->n_items; i++) {
		const struct walk_item *item = &r->w->items[(n + i) % r->w->n_items];

		if (S_ISDIR(item->mode))
			return item->node;
	}
	return ZUS_NODE_ROOT;
}

static uint64_t off_of(uint8_t n)
{
	static const uint64_t offs[] = {
		0,
		1,
		4095,
		4096,
		5000,
		8192,
		20480,
		65536,
		1ull << 21,
		(1ull << 21) + 4096,
		3ull << 20,
		700ull << 12,
		1ull << 30,
		1ull << 45,
		(1ull << 57) - 4096,
		1ull << 57,
		1ull << 62,
	};

	return offs[n % ARRAY_SIZE(offs)];
}

/* Names of the seeds and new ones. */
static struct zus_name name_of(uint8_t n, char buf[256])
{
	static const char *const names[] = {
		"empty",  "one",    "some",  "hole",  "far",	 "unwritten", "huge",	"xattrs",   "fixed",
		"dir",	  "linked", "link",  "below", "leaf",	 "nothing",   "short",	"long",	    "fifo",
		"device", "many",   "split", "deep",  "other-0", "moved-0",   "theirs", "unlinked",
	};

	if (n < ARRAY_SIZE(names))
		return (struct zus_name){ names[n], (uint32_t)strlen(names[n]) };
	memset(buf, 'n', 256);
	buf[0] = (char)n;
	if (buf[0] == '/' || !buf[0])
		buf[0] = 'N';
	return (struct zus_name){ buf, n & 1 ? 255 : 9 };
}

static void op_create(struct run *r)
{
	static const uint32_t modes[] = { S_IFREG | 0644, S_IFDIR | 0755, S_IFLNK | 0777, S_IFIFO | 0600, S_IFCHR | 0600 };
	char target[4095];
	struct zus_new new = { .mode = modes[r->op.c % ARRAY_SIZE(modes)], .symlink = { target, r->op.c % 128u * 32u + 6u } };
	struct zus_attr attr;
	char buf[256];

	memset(target, 't', sizeof(target));
	if (r->op.c & 0x80 ? !r->fs->ops->tmpfile(r->fs, dir_of(r, r->op.a), &(struct zus_new){ .mode = S_IFREG | 0600 }, &attr)
			   : !r->fs->ops->create(r->fs, dir_of(r, r->op.a), name_of(r->op.b, buf), &new, &attr))
		r->fs->ops->forget(r->fs, attr.node, 1);
}

static void op_remove(struct run *r)
{
	char buf[256];
	struct zus_name name = name_of(r->op.b, buf);

	if (r->op.c & 1)
		(void)r->fs->ops->rmdir(r->fs, dir_of(r, r->op.a), name);
	else
		(void)r->fs->ops->unlink(r->fs, dir_of(r, r->op.a), name);
}

static void op_rename(struct run *r)
{
	char old_buf[256], new_buf[256];
	struct zus_rename ren = {
		.old_dir = r->op.c & 8 ? ZUS_NODE_ROOT : dir_of(r, r->op.a),
		.new_dir = dir_of(r, r->op.c >> 3),
		.old_name = name_of(r->op.a, old_buf),
		.new_name = name_of(r->op.b, new_buf),
		.flags = r->op.c & 7,
	};

	(void)r->fs->ops->rename(r->fs, &ren);
}

static void op_link(struct run *r)
{
	struct zus_attr attr;
	char buf[256];

	if (!r->fs->ops->link(r->fs, node_of(r, r->op.a), dir_of(r, r->op.c), name_of(r->op.b, buf), &attr))
		r->fs->ops->forget(r->fs, attr.node, 1);
}

static void op_write(struct run *r)
{
	static const uint8_t bytes[WRITE_MAX];
	uint64_t off = off_of(r->op.b), left = r->op.c * 273u + 1u;

	for (int i = 0; i < 8 && left; i++) {
		struct zus_extent ext[5];
		struct zus_io io = { .node = node_of(r, r->op.a), .off = off, .len = left, .flags = ZUS_IO_WRITE, .ext = ext };
		uint64_t done = 0;

		io.ext_cap = ARRAY_SIZE(ext);
		if (r->fs->ops->io_begin(r->fs, &io))
			return;
		WALK_MUST(io.n_ext <= io.ext_cap && io.mapped <= left);
		for (uint32_t e = 0; e < io.n_ext; e++) {
			WALK_MUST(!(ext[e].flags & ZUS_EXT_HOLE) && ext[e].len <= io.mapped - done);
			r->fs->ops->dev_write(r->fs, ext[e].dev_off, bytes, ext[e].len);
			done += ext[e].len;
		}
		if (r->fs->ops->io_end(r->fs, &io, done) || !done)
			return;
		off += done;
		left -= done;
	}
}

static void op_setattr(struct run *r)
{
	struct zus_setattr set = {
		.valid = r->op.c & 1   ? ZUS_SET_SIZE
			 : r->op.c & 2 ? ZUS_SET_MODE | ZUS_SET_UID
				       : ZUS_SET_FLAGS | ZUS_SET_PROJID,
		.size = off_of(r->op.b),
		.mode = r->op.b,
	};
	struct zus_attr attr;

	(void)r->fs->ops->setattr(r->fs, node_of(r, r->op.a), &set, &attr);
}

static void op_fallocate(struct run *r)
{
	static const uint32_t modes[] = {
		0,
		FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};

	(void)r->fs->ops->fallocate(r->fs, node_of(r, r->op.a), modes[r->op.c % ARRAY_SIZE(modes)], off_of(r->op.b),
				    off_of(r->op.c >> 3));
}

static void op_setxattr(struct run *r)
{
	static const char *const names[] = { "user.inline", "user.large", "trusted.other", "security.third", "user.new" };
	static const uint8_t value[65536];
	const char *str = names[r->op.b % ARRAY_SIZE(names)];
	struct zus_setxattr set = {
		.name = { str, (uint32_t)strlen(str) },
		.value = { value, (uint32_t)u64_min(r->op.c * 300u, sizeof(value)) },
	};

	if (r->op.b & 0x80)
		(void)r->fs->ops->removexattr(r->fs, node_of(r, r->op.a), set.name);
	else
		(void)r->fs->ops->setxattr(r->fs, node_of(r, r->op.a), &set);
}

void ops_run(const struct walk *w, struct input *in)
{
	static void (*const table[])(struct run * r) = {
		op_create, op_remove, op_rename, op_link, op_write, op_setattr, op_fallocate, op_setxattr,
	};
	struct run r = { .w = w, .fs = w->fs };

	if (!w->n_items)
		return;
	for (uint32_t i = 0; i < OPS_MAX && in->left; i++) {
		input_take(in, &r.op, sizeof(r.op));
		table[r.op.code % ARRAY_SIZE(table)](&r);
	}
}
