/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Power loss at every fence of short workloads, on the simulated device.
 *
 * For each fence, images are built from what was durable before it and a choice of the 8-byte words stored since: none, all, and
 * random subsets (stores that were not flushed take part: they may be on media all the same). Each image must mount, and show the
 * state before or after the operation that was under way; after an operation has returned, exactly the state after it. Then
 * everything is deleted and the space must be back.
 */
#include "lib/rig.h"

#include "base/crc32c.h"
#include "base/util.h"
#include "pmfs2/alloc.h"

#define SIZE (6ull << 20)
#define ROOT ZUS_NODE_ROOT
#define DEPTH_MAX 8

/* --- state of a tree as one number ------------------------------------------------------------------------------------------- */

struct listing {
	struct rig *rig;
	uint64_t sum; /* order of entries does not matter */
	uint64_t dirs[64];
	char names[64][64];
	int n_dirs;
};

static uint32_t content_crc(struct rig *rig, uint64_t node, uint64_t size)
{
	static char buf[65536];
	uint32_t crc = ~0u;

	for (uint64_t off = 0; off < size;) {
		int64_t n = rig_read(rig, node, off, buf, u64_min(sizeof(buf), size - off));

		CHECK(n > 0);
		crc = crc32c(crc, buf, (size_t)n);
		off += (uint64_t)n;
	}
	return crc;
}

static int list_emit(void *opaque, const struct zus_dirent *e, const struct zus_attr *attr)
{
	struct listing *ls = opaque;
	char line[512], target[128] = "", xattr[256] = "";
	int n;

	if (!attr)
		return 1;
	if (S_ISLNK(attr->mode)) {
		n = ls->rig->fs->ops->readlink(ls->rig->fs, attr->node, target, sizeof(target) - 1);
		CHECK(n > 0);
		target[n] = '\0';
	}
	n = ls->rig->fs->ops->getxattr(ls->rig->fs, attr->node, rig_name("user.a"), xattr, sizeof(xattr) - 1);
	CHECK(n >= 0 || n == -ENODATA);
	n = snprintf(line, sizeof(line), "%llu/%.*s mode %o nlink %u uid %u size %llu flags %x target %s xattr %.200s ino %llu",
		     (unsigned long long)ls->dirs[0], (int)e->name.len, e->name.str, attr->mode, attr->nlink, attr->uid,
		     S_ISDIR(attr->mode) ? 0ull : (unsigned long long)attr->size, attr->flags, target, xattr,
		     (unsigned long long)attr->ino);
	if (S_ISREG(attr->mode))
		snprintf(line + n, sizeof(line) - (size_t)n, " crc %x", content_crc(ls->rig, attr->node, attr->size));
	ls->sum += (uint64_t)crc32c_of(line, strlen(line)) * 0x9e3779b97f4a7c15ull;
	if (getenv("CRASH_VERBOSE"))
		printf("#   %s\n", line);
	if (S_ISDIR(attr->mode)) {
		CHECK(ls->n_dirs < 64);
		ls->dirs[ls->n_dirs++] = attr->node;
	}
	ls->rig->fs->ops->forget(ls->rig->fs, attr->node, 1);
	return 1;
}

static uint64_t state_of(struct rig *rig)
{
	struct listing ls = { .rig = rig, .dirs = { ROOT }, .n_dirs = 1 };

	while (ls.n_dirs) {
		struct listing one = { .rig = rig };

		one.dirs[0] = ls.dirs[--ls.n_dirs];
		one.n_dirs = 1;
		CHECK_EQ(rig->fs->ops->readdir(rig->fs, one.dirs[0], 0, 1, list_emit, &one), 0);
		ls.sum += one.sum;
		for (int i = 1; i < one.n_dirs; i++)
			ls.dirs[ls.n_dirs++] = one.dirs[i];
	}
	return ls.sum;
}

/* --- deleting everything ----------------------------------------------------------------------------------------------------- */

struct doomed {
	char name[256];
	uint64_t node;
	int is_dir, found;
};

static int doom_emit(void *opaque, const struct zus_dirent *e, const struct zus_attr *attr)
{
	struct doomed *d = opaque;

	(void)attr;
	if (e->name.str[0] == '.' && (e->name.len == 1 || (e->name.len == 2 && e->name.str[1] == '.')))
		return 1;
	memcpy(d->name, e->name.str, e->name.len);
	d->name[e->name.len] = '\0';
	d->is_dir = e->type == DT_DIR;
	d->found = 1;
	return 0;
}

static void delete_all(struct rig *rig, uint64_t dir, int depth)
{
	CHECK(depth < DEPTH_MAX);
	for (;;) {
		struct doomed d = { .found = 0 };
		struct zus_attr attr;

		CHECK_EQ(rig->fs->ops->readdir(rig->fs, dir, 0, 0, doom_emit, &d), 0);
		if (!d.found)
			return;
		if (!d.is_dir) {
			CHECK_EQ(rig->fs->ops->unlink(rig->fs, dir, rig_name(d.name)), 0);
			continue;
		}
		CHECK_EQ(rig_lookup(rig, dir, d.name, &attr), 0);
		delete_all(rig, attr.node, depth + 1);
		CHECK_EQ(rig->fs->ops->rmdir(rig->fs, dir, rig_name(d.name)), 0);
	}
}

static uint64_t bitmap_free(struct rig *rig)
{
	struct fs *fs = fs_of(rig->fs);
	uint64_t n = 0;

	for (uint64_t b = 0; b < fs->n_blocks; b++) {
		uint32_t bit;
		const le64 *word = alloc_bitmap_word(fs, b, &bit);

		n += !(le64_load(word) >> bit & 1);
	}
	return n;
}

/* --- workloads --------------------------------------------------------------------------------------------------------------- */

typedef void (*step_fn)(struct rig *rig, int i);

#define STEPS_MAX 512
struct workload {
	struct pmem *sim;
	struct rig rig;
	uint64_t states[STEPS_MAX + 1];
	uint64_t end_event[STEPS_MAX + 1]; /* events before this index belong to steps up to i */
	int n_steps;
};
struct explorer {
	struct workload *run;
	uint64_t images;
	uint64_t seed;
	uint64_t empty_free; /* free blocks of the empty file system */
};

static uint64_t node_of(struct rig *rig, uint64_t dir, const char *name)
{
	struct zus_attr attr;

	CHECK_EQ(rig_lookup(rig, dir, name, &attr), 0);
	return attr.node;
}

/* Old or new, whole tree; then usable to the end. */
static void image_check(struct explorer *ctx, const uint8_t *image, int step, int returned)
{
	struct rig rig = { .pm = rig_copy(image, SIZE) };
	uint64_t state;
	int err = pmfs2_mount_pmem(rig.pm, NULL, 0, &rig.fs);

	if (err)
		printf("# step %d: mount gives %d\n", step, err);
	CHECK_EQ(err, 0);
	state = state_of(&rig);
	if (state != ctx->run->states[step + 1] && (returned || state != ctx->run->states[step])) {
		printf("# step %d (%s): the state is neither old nor new; TAP_SEED=%llu\n", step, returned ? "returned" : "cut",
		       (unsigned long long)tap_seed());
		CHECK(0);
	}
	CHECK_EQ(bitmap_free(&rig), rig_free_blocks(&rig));
	delete_all(&rig, ROOT, 0);
	CHECK_EQ(bitmap_free(&rig), rig_free_blocks(&rig));
	/* What an empty file system may keep: inode chunks, a node of their tree, blocks of intents. */
	if (rig_free_blocks(&rig) + 3 * PMFS2_CHUNK_BLOCKS + 4 < ctx->empty_free) {
		printf("# step %d: %llu blocks leaked\n", step, (unsigned long long)(ctx->empty_free - rig_free_blocks(&rig)));
		CHECK(0);
	}
	fs_abandon(fs_of(rig.fs));
	ctx->images++;
}

/* Applies the words of pending events to image: each with the chance mode/16 (0 none, 16 all). */
static void words_apply(uint8_t *image, const struct pmem_event *ev, size_t from, size_t to, int chance, uint64_t *seed)
{
	for (size_t i = from; i < to; i++) {
		if (ev[i].kind != PMEM_EVENT_STORE && ev[i].kind != PMEM_EVENT_NT)
			continue;
		for (uint64_t at = 0; at < ev[i].len;) {
			uint64_t n = u64_min(8 - (ev[i].off + at) % 8, ev[i].len - at);

			if (chance == 16 || (int)(tap_rand(seed) % 16) < chance)
				memcpy(image + ev[i].off + at, ev[i].data + at, n);
			at += n;
		}
	}
}

/*
 * Walks the events. durable holds all words of before the last fence but those neither flushed nor non-temporal; to keep it simple
 * and strict at once, such words (dirty) are decided anew for each image together with the ones in flight.
 */
static void events_explore(struct explorer *ctx)
{
	struct workload *run = ctx->run;
	const struct pmem_event *ev;
	size_t n = pmem_sim_events(run->sim, &ev), base_from = 0;
	uint8_t *durable = malloc(SIZE), *image = malloc(SIZE);
	int step = 0;

	memcpy(durable, pmem_sim_base_image(run->sim), SIZE);
	for (size_t i = 0; i < n; i++) {
		if (ev[i].kind == PMEM_EVENT_END) {
			/* returned: in-place stores since the last fence may or may not be there */
			for (int c = 0; c <= 16; c += 8) {
				memcpy(image, durable, SIZE);
				words_apply(image, ev, base_from, i, c, &ctx->seed);
				image_check(ctx, image, step, 1);
			}
			step++;
			continue;
		}
		if (ev[i].kind != PMEM_EVENT_FENCE)
			continue;
		for (int c = 0; c < 6; c++) {
			static const int chances[] = { 0, 16, 4, 8, 12, 15 };

			memcpy(image, durable, SIZE);
			words_apply(image, ev, base_from, i, chances[c], &ctx->seed);
			image_check(ctx, image, step, 0);
		}
		/* Single thread, every store is non-temporal or flushed before the next fence: pmem_sim_verify and the
		 * mutation of flushes are the long explorer's work. */
		words_apply(durable, ev, base_from, i, 16, &ctx->seed);
		base_from = i + 1;
	}
	free(durable);
	free(image);
}

static void run_workload(step_fn prepare, step_fn step, int n_steps)
{
	struct mkfs_params params = { .label = "crash", .n_rings = 2, .ring_blocks = 8 };
	struct workload *run = calloc(1, sizeof(*run));
	struct explorer ctx = { .run = run, .seed = tap_seed() };

	CHECK(n_steps <= STEPS_MAX);
	CHECK_EQ(pmem_sim_new(SIZE, PMEM_SIM_RECORD, &run->sim), 0);
	CHECK_EQ(mkfs_format(run->sim, &params, NULL), 0);
	run->rig.pm = run->sim;
	CHECK_EQ(pmfs2_mount_pmem(run->sim, NULL, 0, &run->rig.fs), 0);
	ctx.empty_free = rig_free_blocks(&run->rig);
	if (prepare)
		prepare(&run->rig, 0);
	pmem_sim_reset_events(run->sim);
	run->states[0] = state_of(&run->rig);
	for (int i = 0; i < n_steps; i++) {
		pmem_sim_begin(run->sim, "step");
		step(&run->rig, i);
		pmem_sim_end(run->sim);
		run->states[i + 1] = state_of(&run->rig);
	}
	uint64_t off;
	CHECK_EQ(pmem_sim_verify(run->sim, &off), 0);
	events_explore(&ctx);
	printf("# %llu images\n", (unsigned long long)ctx.images);
	fs_abandon(fs_of(run->rig.fs));
}

static void tree_prepare(struct rig *rig, int i)
{
	uint64_t a, b, f;

	(void)i;
	a = rig_mknod(rig, ROOT, "A", S_IFDIR | 0755);
	b = rig_mknod(rig, ROOT, "B", S_IFDIR | 0755);
	f = rig_mknod(rig, ROOT, "foo", S_IFREG | 0644);
	CHECK_EQ(rig_write(rig, f, 0, "old contents of foo", 19), 19);
	f = rig_mknod(rig, a, "bar", S_IFREG | 0644);
	CHECK_EQ(rig_write(rig, f, 8192, "bar", 3), 3);
	rig_mknod(rig, b, "sub", S_IFDIR | 0700);
	rig_mknod(rig, ROOT, "link", S_IFLNK | 0777);
}

static void names_step(struct rig *rig, int i)
{
	struct zus_setattr chmod = { .valid = ZUS_SET_MODE | ZUS_SET_UID, .mode = 0600, .uid = 7 };
	struct zus_setxattr xattr = { .name = rig_name("user.a"), .value = { "value", 5 } };
	static char big[1000];
	struct zus_attr attr;
	uint64_t a = node_of(rig, ROOT, "A"), b = node_of(rig, ROOT, "B");

	switch (i) {
	case 0:
		rig_mknod(rig, ROOT, "new", S_IFREG | 0600);
		break;
	case 1:
		rig_mknod(rig, a, "newdir", S_IFDIR | 0700);
		break;
	case 2:
		rig_mknod(rig, a, "newlink", S_IFLNK | 0777);
		break;
	case 3:
		CHECK_EQ(rig_rename(rig, ROOT, "foo", a, "foo", 0), 0);
		break;
	case 4:
		CHECK_EQ(rig_rename(rig, a, "foo", a, "bar", 0), 0);
		break;
	case 5:
		CHECK_EQ(rig_rename(rig, b, "sub", a, "newdir", 0), 0);
		break;
	case 6:
		CHECK_EQ(rig_rename(rig, a, "newdir", ROOT, "new", ZUS_RENAME_EXCHANGE), 0);
		break;
	case 7:
		CHECK_EQ(rig->fs->ops->link(rig->fs, node_of(rig, a, "bar"), b, rig_name("hard"), &attr), 0);
		rig->fs->ops->forget(rig->fs, attr.node, 1);
		break;
	case 8:
		CHECK_EQ(rig->fs->ops->setattr(rig->fs, node_of(rig, b, "hard"), &chmod, &attr), 0);
		break;
	case 9:
		CHECK_EQ(rig->fs->ops->setxattr(rig->fs, node_of(rig, b, "hard"), &xattr), 0);
		break;
	case 10:
		memset(big, 'x', sizeof(big));
		xattr.value = (struct zus_blob){ big, 200 };
		CHECK_EQ(rig->fs->ops->setxattr(rig->fs, node_of(rig, b, "hard"), &xattr), 0);
		break;
	case 11:
		CHECK_EQ(rig->fs->ops->removexattr(rig->fs, node_of(rig, b, "hard"), xattr.name), 0);
		break;
	case 12:
		CHECK_EQ(rig->fs->ops->unlink(rig->fs, b, rig_name("hard")), 0);
		break;
	case 13:
		CHECK_EQ(rig->fs->ops->unlink(rig->fs, a, rig_name("bar")), 0);
		break;
	case 14:
		CHECK_EQ(rig->fs->ops->rmdir(rig->fs, ROOT, rig_name("new")), 0);
		break;
	case 15:
		CHECK_EQ(rig->fs->ops->unlink(rig->fs, ROOT, rig_name("link")), 0);
		break;
	case 16:
		CHECK_EQ(rig_rename(rig, ROOT, "B", a, "B2", 0), 0);
		rig_mknod(rig, ROOT, "B", S_IFDIR | 0755);
		break;
	}
}

static void operations_on_names_are_old_or_new(void)
{
	run_workload(tree_prepare, names_step, 16);
}

static void many_step(struct rig *rig, int i)
{
	char name[32];

	snprintf(name, sizeof(name), "a-name-that-fills-%d", i % 200);
	if (i < 200)
		rig_mknod(rig, ROOT, name, S_IFREG | 0600);
	else
		CHECK_EQ(rig->fs->ops->unlink(rig->fs, ROOT, rig_name(name)), 0);
}

static void directory_splits_and_journal_wraps_are_old_or_new(void)
{
	run_workload(NULL, many_step, 400);
}

static void truncate_to(struct rig *rig, uint64_t node, uint64_t size)
{
	struct zus_setattr set = { .valid = ZUS_SET_SIZE, .size = size };
	struct zus_attr attr;

	CHECK_EQ(rig->fs->ops->setattr(rig->fs, node, &set, &attr), 0);
}

static void size_step(struct rig *rig, int i)
{
	static char buf[16384];
	uint64_t f = node_of(rig, ROOT, "foo");
	uint32_t collapse = FALLOC_FL_COLLAPSE_RANGE, insert = FALLOC_FL_INSERT_RANGE;

	memset(buf, 'a' + i % 26, sizeof(buf));
	switch (i) {
	case 0:
		CHECK_EQ(rig_write(rig, f, 19, buf, 4096), 4096);
		break;
	case 1:
		truncate_to(rig, f, 1000);
		break;
	case 2:
		truncate_to(rig, f, 9000);
		break;
	case 3:
		truncate_to(rig, f, 0);
		break;
	case 4:
		CHECK_EQ(rig_write(rig, f, 0, buf, 16384), 16384);
		break;
	case 5:
		CHECK_EQ(rig_write(rig, f, 3 << 20, buf, 4096), 4096);
		break;
	case 6:
		CHECK_EQ(rig->fs->ops->fallocate(rig->fs, f, collapse, 4096, 8192), 0);
		break;
	case 7:
		CHECK_EQ(rig->fs->ops->fallocate(rig->fs, f, insert, 4096, 4096), 0);
		break;
	case 8:
		CHECK_EQ(rig->fs->ops->fallocate(rig->fs, f, 0, 5 << 20, 65536), 0);
		break;
	case 9:
		CHECK_EQ(rig_write(rig, f, (5 << 20) + 100, buf, 10000), 10000);
		break;
	case 10:
		truncate_to(rig, f, 5000);
		break;
	case 11:
		truncate_to(rig, f, 12000);
		break;
	}
}

static void operations_on_size_and_mapping_are_old_or_new(void)
{
	run_workload(tree_prepare, size_step, 12);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(operations_on_names_are_old_or_new),
		TAP_CASE(operations_on_size_and_mapping_are_old_or_new),
		TAP_CASE(directory_splits_and_journal_wraps_are_old_or_new),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
