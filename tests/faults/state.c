/* SPDX-License-Identifier: BSD-3-Clause */
/* See state.h. Walks by the table of operations, as the server would; looks into the engine only for the sums. */
#include "faults/state.h"

#include <stdarg.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "fsck/fsck.h"
#include "pmfs2/alloc.h"
#include "pmfs2/media/entry.h"

#define N_DIRS_MAX 64u
#define N_LINKED_MAX 64u
#define PATH_LEN 600

struct walk {
	struct rig *rig;
	struct tree *tree;
	uint32_t n_dirs;
	struct {
		uint64_t node;
		char path[PATH_LEN];
	} dirs[N_DIRS_MAX]; /* found and not read yet, or being read */
	uint32_t n_linked;
	uint64_t linked[N_LINKED_MAX]; /* inodes with several names that were counted */
	const char *path; /* of the directory being read */
	char *why;
	int err;
};

static int why_set(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int why_set(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, WHY_LEN, fmt, ap);
	va_end(ap);
	return 1;
}

static void text_add(struct tree *tree, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void text_add(struct tree *tree, const char *fmt, ...)
{
	va_list ap;

	if (tree->cap - tree->len < 2 * PATH_LEN) {
		tree->cap = tree->cap * 2 + 65536;
		tree->text = realloc(tree->text, tree->cap);
		CHECK(tree->text);
	}
	va_start(ap, fmt);
	tree->len += (size_t)vsnprintf(tree->text + tree->len, tree->cap - tree->len, fmt, ap);
	va_end(ap);
}

/* Over what is not zero, so that holes and blocks of zeros are alike. */
static int data_crc(struct rig *rig, const struct zus_attr *attr, uint32_t *out_crc)
{
	uint64_t off = 0;
	uint8_t buf[4096];

	*out_crc = 0;
	while (off < attr->size) {
		int err = rig->fs->ops->seek(rig->fs, attr->node, off, ZUS_SEEK_DATA, &off);
		int64_t n;

		if (err)
			return err == -ENXIO ? 0 : err;
		off &= ~4095ull;
		n = rig_read(rig, attr->node, off, buf, sizeof(buf));
		if (n <= 0)
			return (int)n;
		for (int64_t i = 0; i < n; i++) {
			if (!buf[i])
				continue;
			*out_crc = crc32c(crc32c(*out_crc, &off, sizeof(off)), buf, (size_t)n);
			break;
		}
		off += sizeof(buf);
	}
	return 0;
}

static int xattrs_add(struct walk *w, const struct zus_attr *attr)
{
	struct zus_fs *fs = w->rig->fs;
	static char names[65536], value[65536];
	int len = fs->ops->listxattr(fs, attr->node, names, sizeof(names));

	for (int at = 0; at < len; at += (int)strlen(names + at) + 1) {
		int n = fs->ops->getxattr(fs, attr->node, rig_name(names + at), value, sizeof(value));

		if (n < 0)
			return n;
		text_add(w->tree, " %s=%d:%08x", names + at, n, crc32c(0, value, (size_t)n));
	}
	return len < 0 ? len : 0;
}

static int target_add(struct walk *w, const struct zus_attr *attr)
{
	char target[4096];
	int n = w->rig->fs->ops->readlink(w->rig->fs, attr->node, target, sizeof(target));

	if (n >= 0)
		text_add(w->tree, " -> %d:%08x", n, crc32c(0, target, (size_t)n));
	return n < 0 ? n : 0;
}

static void inode_count(struct walk *w, const struct zus_attr *attr)
{
	for (uint32_t i = 0; i < w->n_linked && !S_ISDIR(attr->mode) && attr->nlink > 1; i++)
		if (w->linked[i] == attr->ino)
			return;
	if (!S_ISDIR(attr->mode) && attr->nlink > 1 && w->n_linked < N_LINKED_MAX)
		w->linked[w->n_linked++] = attr->ino;
	w->tree->n_inodes++;
	w->tree->n_blocks += attr->blocks / 8;
}

static int node_add(struct walk *w, const char *path, const struct zus_attr *attr)
{
	uint32_t crc = 0;
	int err = 0;

	inode_count(w, attr);
	text_add(w->tree, "%s %06o %u %u:%u %llu", path, attr->mode, attr->nlink, attr->uid, attr->gid,
		 S_ISDIR(attr->mode) ? 0 : (unsigned long long)attr->size);
	if (S_ISREG(attr->mode)) {
		err = data_crc(w->rig, attr, &crc);
		text_add(w->tree, " %08x", crc);
	} else if (S_ISLNK(attr->mode)) {
		err = target_add(w, attr);
	} else if (S_ISDIR(attr->mode)) {
		if (w->n_dirs == N_DIRS_MAX)
			return -E2BIG;
		w->dirs[w->n_dirs].node = attr->node;
		snprintf(w->dirs[w->n_dirs++].path, PATH_LEN, "%s", path);
	}
	if (!err)
		err = xattrs_add(w, attr);
	text_add(w->tree, "\n");
	return err;
}

struct names {
	uint32_t n;
	char name[4096][256];
};

static int name_collect(void *opaque, const struct zus_dirent *entry, const struct zus_attr *attr)
{
	struct names *names = opaque;

	(void)attr;
	if (names->n == ARRAY_SIZE(names->name))
		return 0;
	if (entry->name.str[0] != '.')
		snprintf(names->name[names->n++], 256, "%.*s", (int)entry->name.len, entry->name.str);
	return 1;
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int dir_walk(struct walk *w, uint64_t node, const char *path)
{
	struct zus_fs *fs = w->rig->fs;
	static struct names names;
	char sub[PATH_LEN];
	int err;

	names.n = 0;
	err = fs->ops->readdir(fs, node, 0, 0, name_collect, &names);
	if (err)
		return err;
	qsort(names.name, names.n, sizeof(names.name[0]), name_cmp);
	for (uint32_t i = 0; i < names.n && !err; i++) {
		struct zus_attr attr;

		snprintf(sub, sizeof(sub), "%s/%s", path, names.name[i]);
		err = fs->ops->lookup(fs, node, rig_name(names.name[i]), &attr);
		if (!err)
			err = node_add(w, sub, &attr);
		if (err)
			why_set(w->why, "%s: %s", sub, strerror(-err));
		else
			fs->ops->forget(fs, attr.node, 1);
	}
	return err;
}

int tree_take(struct rig *rig, struct tree *out, char why[WHY_LEN])
{
	struct walk *w = calloc(1, sizeof(*w));
	struct zus_attr attr;
	int err;

	CHECK(w);
	memset(out, 0, sizeof(*out));
	*w = (struct walk){ .rig = rig, .tree = out, .why = why };
	err = rig->fs->ops->getattr(rig->fs, ZUS_NODE_ROOT, &attr);
	if (!err)
		err = node_add(w, "", &attr);
	if (err)
		why_set(why, "the root: %s", strerror(-err));
	for (uint32_t i = 0; i < w->n_dirs && !err; i++)
		err = dir_walk(w, w->dirs[i].node, w->dirs[i].path);
	free(w);
	return err;
}

void tree_free(struct tree *tree)
{
	free(tree->text);
	memset(tree, 0, sizeof(*tree));
}

/* Length of the line at text, 0 at the end. Lines of the path except are skipped. */
static size_t line_next(const char **text, const char *except)
{
	size_t n = strcspn(*text, "\n"), len = except ? strlen(except) : 0;

	while (except && **text && !strncmp(*text, except, len) && (*text)[len] == ' ') {
		*text += n + 1;
		n = strcspn(*text, "\n");
	}
	return n;
}

int tree_differs(const struct tree *a, const struct tree *b, const char *except, char why[WHY_LEN])
{
	const char *at = a->text, *bt = b->text;

	for (;;) {
		size_t an = line_next(&at, except), bn = line_next(&bt, except);

		if (an != bn || memcmp(at, bt, an))
			return why_set(why, "expected \"%.*s\", found \"%.*s\"", (int)u64_min(an, 250), at, (int)u64_min(bn, 250),
				       bt);
		if (!an)
			return 0;
		at += an + (at[an] != '\0');
		bt += bn + (bt[bn] != '\0');
	}
}

/* Nodes of the inode table's tree below the entry. */
static uint64_t itable_nodes(const struct fs *fs, uint64_t word)
{
	uint32_t height = (uint32_t)(word >> PMFS2_ENTRY_HEIGHT_SHIFT & 15);

	/* The tests' tables have at most 512 chunks. */
	CHECK(height <= 1);
	(void)fs;
	return height;
}

static uint64_t intent_blocks_chained(const struct fs *fs)
{
	uint64_t block = le64_get(fs->sb->intent_block) + le32_get(fs->sb->n_intent_blocks) - 1, n = 0;

	while ((block = le64_load(&((const struct pmfs2_intent_block *)fs_block(fs, block))->next)))
		n++;
	return n;
}

/* What can be allocated: takes all, gives it back. */
static uint64_t allocatable(struct fs *fs)
{
	static struct run runs[1u << 16];
	uint64_t n = 0, total = 0;

	while (n < ARRAY_SIZE(runs) && !alloc_run(fs, 0, PMFS2_GROUP_BLOCKS, ALLOC_RESERVE, &runs[n]))
		total += runs[n++].n;
	while (n)
		alloc_cancel(fs, runs[--n]);
	return total;
}

int space_differs(struct rig *rig, const struct tree *tree, char why[WHY_LEN])
{
	struct fs *fs = fs_of(rig->fs);
	uint64_t chunks = le64_load(&fs->state->itable_chunks), meta, can;
	struct zus_statfs st;

	rig->fs->ops->statfs(rig->fs, &st);
	meta = chunks * PMFS2_CHUNK_BLOCKS + itable_nodes(fs, le64_load(&fs->state->itable_root)) + intent_blocks_chained(fs);
	if (st.blocks - st.bfree != tree->n_blocks + meta)
		return why_set(why, "blocks: %llu in use, the tree has %llu and the tables %llu",
			       (unsigned long long)(st.blocks - st.bfree), (unsigned long long)tree->n_blocks,
			       (unsigned long long)meta);
	if (st.files - st.ffree != tree->n_inodes)
		return why_set(why, "inodes: %llu in use, the tree has %llu", (unsigned long long)(st.files - st.ffree),
			       (unsigned long long)tree->n_inodes);
	journal_checkpoint(fs);
	can = allocatable(fs);
	if (can != st.bfree)
		return why_set(why, "statfs tells of %llu free blocks, %llu can be had", (unsigned long long)st.bfree,
			       (unsigned long long)can);
	return 0;
}

static void problem_note(void *ctx, const struct fsck_report *report)
{
	snprintf(ctx, WHY_LEN, "after a crash: fsck: %s", report->text);
}

static int fsck_finds(struct pmem *pm, char why[WHY_LEN])
{
	struct fsck_options opt = { .mode = FSCK_CHECK, .force = 1, .threads = 1, .ctx = why, .report = problem_note };
	struct fsck_result res = { 0 };
	int err = fsck_run(pm, &opt, &res);

	if (err)
		return why_set(why, "after a crash: fsck: %s", res.error);
	return res.n_found != 0;
}

int crash_differs(struct rig *rig, const struct tree *tree, char why[WHY_LEN])
{
	struct rig copy = { .pm = rig_copy(rig->pm->base, rig->pm->size) };
	struct tree found = { 0 };
	int bad;

	if (fsck_finds(copy.pm, why)) {
		pmem_close(copy.pm);
		return 1;
	}
	bad = pmfs2_mount_pmem(copy.pm, NULL, 0, &copy.fs);
	if (bad)
		return why_set(why, "after a crash: mount: %s", strerror(-bad));
	bad = tree_take(&copy, &found, why);
	if (!bad)
		bad = tree_differs(tree, &found, NULL, why);
	if (!bad)
		bad = space_differs(&copy, &found, why);
	tree_free(&found);
	copy.fs->ops->unmount(copy.fs);
	return bad != 0;
}
