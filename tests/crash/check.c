/* SPDX-License-Identifier: BSD-3-Clause */
/* Mount, fsck and use of an image. What the state must be is the oracle's part (run.h). */
#include "crash/check.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "fsck/fsck.h"
#include "pmfs2/alloc.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

#define NAME_OF_FILE "usable-after-a-crash"
#define BYTES_OF_FILE 5000u
#define DIRS_MAX 100000u

static int __attribute__((format(printf, 2, 3))) wrong(struct check_text why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why.buf, why.cap, fmt, ap);
	va_end(ap);
	return 1;
}

static void keep_error(void *ctx, int level, const char *msg)
{
	struct check_text *why = ctx;

	if (level == 0 && !why->buf[0])
		snprintf(why->buf, why->cap, "%s", msg);
}

int check_mount(struct pmem *pm, struct check_text why, struct zus_fs **out_fs)
{
	char text[400] = "";
	struct check_text log = { text, sizeof(text) };
	/* The mount outlives this function, the sink does not: the mount gets one of its own that is silent. */
	static const struct zus_host silent = { .abi = ZUS_PLUGIN_ABI };
	struct zus_host host = { .abi = ZUS_PLUGIN_ABI, .ctx = &log, .log = keep_error };
	int err = pmfs2_mount_pmem(pm, &host, ZUS_MOUNT_NOATIME, out_fs);

	if (!err && text[0])
		check_detach(*out_fs);
	if (!err && text[0])
		err = -EUCLEAN;
	if (err) {
		wrong(why, "the mount gives %d (%s): %s", err, strerror(-err), text);
		return err;
	}
	fs_of(*out_fs)->host = &silent;
	return 0;
}

void check_detach(struct zus_fs *fs)
{
	(void)fs_detach(fs_of(fs));
}

/* --- fsck ---------------------------------------------------------------------------------------------------------------- */

static void keep_problem(void *ctx, const struct fsck_report *report)
{
	struct check_text *why = ctx;
	size_t at = strlen(why->buf);

	if (at + 2 < why->cap)
		snprintf(why->buf + at, why->cap - at, "%s%s", at ? "; " : "", report->text);
}

int check_fsck(struct pmem *pm, struct check_text why)
{
	char text[600] = "";
	struct check_text found = { text, sizeof(text) };
	struct fsck_options opt = { .mode = FSCK_CHECK, .force = 1, .threads = 1, .ctx = &found, .report = keep_problem };
	struct fsck_result result;
	int err = fsck_run(pm, &opt, &result);

	if (err)
		return wrong(why, "fsck gives %d: %s", err, result.error);
	if (result.n_found || result.exit_bits)
		return wrong(why, "fsck finds %u problems: %s", result.n_found, text);
	return 0;
}

/* --- use ----------------------------------------------------------------------------------------------------------------- */

/* Directories met so far; those from done on were not looked at. Files of one directory are deleted as they are listed. */
struct sweep {
	struct zus_fs *fs;
	struct check_text why;
	struct dir {
		uint64_t node, parent;
		char name[ZUS_NAME_MAX + 1];
	} * dirs;
	uint32_t n_dirs, cap_dirs;
	uint64_t dir; /* that is listed */
	char name[ZUS_NAME_MAX + 1]; /* of the file to delete */
	int found, err;
};

static int dir_add(struct sweep *s, uint64_t node, struct zus_name name)
{
	struct dir *d;

	if (s->n_dirs == DIRS_MAX)
		return -E2BIG;
	if (s->n_dirs == s->cap_dirs) {
		uint32_t cap = s->cap_dirs ? 2 * s->cap_dirs : 16;
		struct dir *grown = realloc(s->dirs, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		s->dirs = grown;
		s->cap_dirs = cap;
	}
	d = &s->dirs[s->n_dirs++];
	d->node = node;
	d->parent = s->dir;
	memcpy(d->name, name.str, name.len);
	d->name[name.len] = '\0';
	return 0;
}

static struct zus_name name_of(const char *text)
{
	return (struct zus_name){ text, (uint32_t)strlen(text) };
}

static int is_dot(struct zus_name name)
{
	return name.str[0] == '.' && (name.len == 1 || (name.len == 2 && name.str[1] == '.'));
}

static int emit_dirs(void *ctx, const struct zus_dirent *e, const struct zus_attr *attr)
{
	struct sweep *s = ctx;

	if (e->type == DT_DIR && !is_dot(e->name))
		s->err = dir_add(s, 0, e->name);
	return !s->err;
}

/* Those found by the last listing get their nodes. */
static int dirs_lookup(struct sweep *s, uint32_t from)
{
	for (; from < s->n_dirs; from++) {
		struct zus_attr attr;
		int err = s->fs->ops->lookup(s->fs, s->dirs[from].parent, name_of(s->dirs[from].name), &attr);

		if (err)
			return err;
		s->dirs[from].node = attr.node;
		s->fs->ops->forget(s->fs, attr.node, 1);
	}
	return 0;
}

static int emit_first(void *ctx, const struct zus_dirent *e, const struct zus_attr *attr)
{
	struct sweep *s = ctx;

	if (is_dot(e->name) || e->type == DT_DIR)
		return 1;
	memcpy(s->name, e->name.str, e->name.len);
	s->name[e->name.len] = '\0';
	s->found = 1;
	return 0;
}

/* All directories, parents first. */
static int dirs_collect(struct sweep *s)
{
	s->err = dir_add(s, ZUS_NODE_ROOT, name_of(""));
	for (uint32_t i = 0; !s->err && i < s->n_dirs; i++) {
		uint32_t known = s->n_dirs;
		int err;

		s->dir = s->dirs[i].node;
		err = s->fs->ops->readdir(s->fs, s->dir, 0, 0, emit_dirs, s);
		if (!err && !s->err)
			err = dirs_lookup(s, known);
		s->err = s->err ? s->err : err;
	}
	return s->err ? wrong(s->why, "use: listing directories gives %d (%s)", s->err, strerror(-s->err)) : 0;
}

/* Immutable and append-only inodes could not be deleted. */
static int flags_clear(struct sweep *s, uint64_t node)
{
	struct zus_setattr set = { .valid = ZUS_SET_FLAGS };
	struct zus_attr attr;
	int err = s->fs->ops->getattr(s->fs, node, &attr);

	if (!err && attr.flags & (ZUS_FL_IMMUTABLE | ZUS_FL_APPEND))
		err = s->fs->ops->setattr(s->fs, node, &set, &attr);
	return err;
}

int check_write(struct zus_fs *fs, uint64_t node)
{
	static const uint8_t bytes[BYTES_OF_FILE] = "usable";
	uint64_t total = 0;

	while (total < BYTES_OF_FILE) {
		struct zus_extent ext[8];
		struct zus_io io = { .node = node, .off = total, .len = BYTES_OF_FILE - total, .flags = ZUS_IO_WRITE };
		int err;

		io.ext = ext;
		io.ext_cap = ARRAY_SIZE(ext);
		err = fs->ops->io_begin(fs, &io);
		if (err)
			return err;
		for (uint64_t i = 0, done = 0; i < io.n_ext; done += ext[i++].len)
			fs->ops->dev_write(fs, ext[i].dev_off, bytes + total + done, ext[i].len);
		err = fs->ops->io_end(fs, &io, io.mapped);
		if (err)
			return err;
		total += io.mapped;
	}
	return 0;
}

static int dir_use(struct sweep *s, const struct dir *d)
{
	struct zus_new new = { .mode = S_IFREG | 0600 };
	struct zus_attr attr;
	int err = flags_clear(s, d->node);

	if (!err)
		err = s->fs->ops->create(s->fs, d->node, name_of(NAME_OF_FILE), &new, &attr);
	if (!err) {
		err = check_write(s->fs, attr.node);
		s->fs->ops->forget(s->fs, attr.node, 1);
	}
	if (err && err != -ENOSPC)
		return wrong(s->why, "use: a new file in directory '%s' gives %d (%s)", d->name, err, strerror(-err));
	return 0;
}

static int file_delete(struct sweep *s)
{
	struct zus_attr attr;
	int err = s->fs->ops->lookup(s->fs, s->dir, name_of(s->name), &attr);

	if (!err) {
		err = flags_clear(s, attr.node);
		s->fs->ops->forget(s->fs, attr.node, 1);
	}
	if (!err)
		err = s->fs->ops->unlink(s->fs, s->dir, name_of(s->name));
	return err ? wrong(s->why, "use: deleting '%s' gives %d (%s)", s->name, err, strerror(-err)) : 0;
}

static int dir_empty(struct sweep *s, const struct dir *d)
{
	s->dir = d->node;
	do {
		int err;

		s->found = 0;
		err = s->fs->ops->readdir(s->fs, d->node, 0, 0, emit_first, s);
		if (err)
			return wrong(s->why, "use: listing '%s' gives %d (%s)", d->name, err, strerror(-err));
		if (s->found && file_delete(s))
			return 1;
	} while (s->found);
	return 0;
}

uint64_t check_kept_blocks(const struct fs *fs)
{
	uint64_t chunks = le64_load(&fs->state->itable_chunks), kept = (chunks - 1) * PMFS2_CHUNK_BLOCKS;
	uint32_t height = (uint32_t)(le64_load(&fs->state->itable_root) >> PMFS2_ENTRY_HEIGHT_SHIFT & 15);
	uint64_t block = le64_get(fs->sb->intent_block) + le32_get(fs->sb->n_intent_blocks) - 1;

	for (uint32_t level = 1; level <= height; level++)
		kept += (chunks + (1ull << (9 * level)) - 1) >> (9 * level);
	for (uint32_t i = 0; i < 65536; i++) {
		const struct pmfs2_intent_block *b = fs_block(fs, block);

		block = le64_load(&b->next);
		if (!block || block >= fs->n_blocks)
			break;
		kept++;
	}
	return kept;
}

int check_block_is_free(void *ctx, uint64_t block)
{
	uint32_t bit;
	uint64_t word = le64_load(alloc_bitmap_word(fs_of(ctx), block, &bit));

	return !(word >> bit & 1);
}

static uint64_t bitmap_free(const struct fs *fs)
{
	uint64_t n = 0;

	for (uint64_t b = 0; b < fs->n_blocks; b += 64) {
		uint32_t bit;
		uint64_t word = le64_load(alloc_bitmap_word(fs, b, &bit));

		if (fs->n_blocks - b < 64)
			word |= ~0ull << (fs->n_blocks - b);
		n += 64 - (uint64_t)__builtin_popcountll(word);
	}
	return n;
}

static int space_is_back(struct sweep *s, uint64_t empty_free)
{
	struct fs *fs = fs_of(s->fs);
	struct zus_statfs st;
	uint64_t kept = check_kept_blocks(fs), bits = bitmap_free(fs);
	int err = s->fs->ops->statfs(s->fs, &st);

	if (err)
		return wrong(s->why, "use: statfs gives %d", err);
	if (st.bfree != bits)
		return wrong(s->why, "use: statfs counts %llu free blocks, the bitmaps %llu", (unsigned long long)st.bfree,
			     (unsigned long long)bits);
	if (st.bfree + kept != empty_free)
		return wrong(s->why, "use: everything is deleted, and %lld blocks are not free",
			     (long long)(empty_free - kept - st.bfree));
	return 0;
}

int check_usable(struct zus_fs *fs, uint64_t empty_free, struct check_text why)
{
	struct sweep s = { .fs = fs, .why = why };
	int bad = dirs_collect(&s);

	for (uint32_t i = 0; !bad && i < s.n_dirs; i++)
		bad = dir_use(&s, &s.dirs[i]);
	for (uint32_t i = s.n_dirs; !bad && i-- > 0;) {
		bad = dir_empty(&s, &s.dirs[i]);
		if (!bad && i) {
			int err = fs->ops->rmdir(fs, s.dirs[i].parent, name_of(s.dirs[i].name));

			if (err)
				bad = wrong(why, "use: rmdir of '%s' gives %d (%s)", s.dirs[i].name, err, strerror(-err));
		}
	}
	if (!bad)
		bad = space_is_back(&s, empty_free);
	free(s.dirs);
	return bad;
}
