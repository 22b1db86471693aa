/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No space: at every allocation of every operation (the calls are made to fail), and on devices that are full. -ENOSPC and
 * nothing has changed, or it works without; what frees space works on a full device. Also: records that are too large;
 * truncations and shifts that fail half-way, and what meets the file next.
 */
#include <linux/falloc.h>

#include "base/log.h"
#include "base/util.h"
#include "faults/fault.h"
#include "faults/scene.h"
#include "faults/try_op.h"
#include "pmfs2/alloc.h"
#include "pmfs2/intent.h"

#define MIB (1024ull * 1024)
#define ROOT ZUS_NODE_ROOT

/* --- calls that fail -------------------------------------------------------------------------------------------------------- */

static void blocks_at_each_allocation_of_each_operation(void)
{
	trials_run((struct trial){ .kinds = FAULT_BLOCKS, .forever = 0, .error = -ENOSPC, .crash_every = 4 });
}

static void blocks_from_each_allocation_on_of_each_operation(void)
{
	trials_run((struct trial){ .kinds = FAULT_BLOCKS, .forever = 1, .error = -ENOSPC, .crash_every = 0 });
}

static void inodes_and_intents_at_each_call_of_each_operation(void)
{
	trials_run((struct trial){ .kinds = FAULT_INODES | FAULT_INTENTS, .forever = 0, .error = -ENOSPC, .crash_every = 4 });
}

/* --- devices that are full -------------------------------------------------------------------------------------------------- */

static void file_fill(struct rig *rig, uint64_t node)
{
	static uint8_t buf[MIB];
	uint64_t off = 0;
	int64_t n;

	memset(buf, 0x33, sizeof(buf));
	for (size_t len = sizeof(buf); len >= 4096; len /= 16)
		while ((n = rig_write(rig, node, off, buf, len)) > 0)
			off += (uint64_t)n;
	CHECK_EQ(rig_write(rig, node, off, buf, 4096), -ENOSPC);
}

static void full_build(struct image *img)
{
	struct scene sc;
	struct zus_statfs st;

	image_build(img, TRIALS_IMAGE_BYTES);
	scene_open(&sc, img);
	file_fill(&sc.rig, rig_mknod(&sc.rig, ROOT, "fill", S_IFREG | 0600));
	CHECK_EQ(sc.rig.fs->ops->statfs(sc.rig.fs, &st), 0);
	CHECK_EQ(st.bavail, 0);
	journal_checkpoint(fs_of(sc.rig.fs));
	memcpy(img->bytes, sc.rig.pm->base, img->size);
	scene_close(&sc);
}

/* 1 and why. */
static int full_op_differs(struct scene *sc, const struct scene_op *op, char why[WHY_LEN])
{
	struct tree before = { 0 }, after = { 0 };
	int res, bad = tree_take(&sc->rig, &before, why);

	if (bad)
		return bad;
	res = op->run(sc);
	if (res < 0 && (res != -ENOSPC || op->flags & OP_FULL_OK)) {
		snprintf(why, WHY_LEN, "%s", strerror(-res));
		bad = 1;
	}
	if (!bad)
		bad = tree_take(&sc->rig, &after, why);
	if (!bad && res == -ENOSPC)
		bad = tree_differs(&before, &after, op->flags & OP_PARTIAL ? op->part : NULL, why);
	scene_release(sc);
	tree_free(&after);
	if (!bad)
		bad = tree_take(&sc->rig, &after, why);
	if (!bad)
		bad = space_differs(&sc->rig, &after, why);
	if (!bad && getenv("FAULTS_LONG"))
		bad = crash_differs(&sc->rig, &after, why);
	tree_free(&before);
	tree_free(&after);
	return bad;
}

static void full_device_takes_what_frees(void)
{
	unsigned int n_ok = 0, n_full = 0;
	struct image img;
	int n_bad = 0;

	log_set_level(-1);
	full_build(&img);
	for (uint32_t i = 0; i < scene_n_ops; i++) {
		char why[WHY_LEN] = "";
		struct scene sc;

		scene_open(&sc, &img);
		if (!scene_ops[i].prepare || scene_ops[i].prepare(&sc) >= 0) {
			if (full_op_differs(&sc, &scene_ops[i], why)) {
				printf("# %s on a full device: %s\n", scene_ops[i].name, why);
				n_bad++;
			}
			n_ok += scene_ops[i].flags & OP_FULL_OK ? 1 : 0;
			n_full++;
		}
		scene_release(&sc);
		scene_close(&sc);
	}
	printf("# %u operations on a full device, of which %u must work\n", n_full, n_ok);
	image_free(&img);
	CHECK_EQ(n_bad, 0);
}

/* Everything can be deleted from a full device, in any order, and then all space is there again. */
static void full_device_can_be_emptied(void)
{
	uint64_t rand = tap_seed(), before;
	struct rig rig = rig_new(16 * MIB, 0);
	uint32_t n = 0, left;
	char name[32];

	rig_mknod(&rig, ROOT, "x", S_IFREG);
	before = rig_free_blocks(&rig);
	for (;; n++) {
		struct zus_attr attr;

		snprintf(name, sizeof(name), "file%u", n);
		if (rig_create(&rig, ROOT, name, S_IFREG | 0644, &attr))
			break;
		rig.fs->ops->forget(rig.fs, attr.node, 1);
		if (rig_write(&rig, attr.node, (tap_rand(&rand) % 2000) * 4096, name, sizeof(name)) == -ENOSPC && n % 4 == 3)
			break;
	}
	CHECK(n > 10);
	for (left = n + 1; left;) {
		uint32_t i = (uint32_t)(tap_rand(&rand) % (n + 1));
		int err;

		snprintf(name, sizeof(name), "file%u", i);
		err = rig.fs->ops->unlink(rig.fs, ROOT, rig_name(name));
		if (err == -ENOENT && i == n)
			left--, n--;
		CHECK(!err || err == -ENOENT);
		left -= !err;
		if (err == -ENOENT && tap_rand(&rand) % 64 == 0) {
			/* Few are left: one after the other. */
			for (i = 0; i <= n; i++) {
				snprintf(name, sizeof(name), "file%u", i);
				err = rig.fs->ops->unlink(rig.fs, ROOT, rig_name(name));
				CHECK(!err || err == -ENOENT);
			}
			break;
		}
	}
	journal_checkpoint(fs_of(rig.fs));
	/* The inode table keeps its chunks. */
	CHECK(rig_free_blocks(&rig) + 16ull * PMFS2_CHUNK_BLOCKS + 4 >= before);
	rig.fs->ops->unmount(rig.fs);
}

/* --- too large -------------------------------------------------------------------------------------------------------------- */

static void record_when_too_large_changes_nothing(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	struct fs *fs = fs_of(rig.fs);
	uint64_t before = rig_free_blocks(&rig);
	struct pmfs2_state state = *fs->state;
	struct run run;
	struct tx tx;

	tx_begin(&tx, fs);
	CHECK_EQ(alloc_run(fs, 0, 3, 0, &run), 0);
	tx_use(&tx, run);
	for (uint32_t i = 0; i < TX_WORDS_MAX; i++)
		tx_put(&tx, &fs->state->itable_chunks, 77);
	CHECK_EQ(tx.err, -E2BIG);
	/* What comes behind it is not taken either, and given back. */
	CHECK_EQ(alloc_run(fs, 0, 1, 0, &run), 0);
	tx_use(&tx, run);
	CHECK_EQ(tx_commit(&tx), -E2BIG);
	CHECK(!memcmp(&state, fs->state, sizeof(state)));
	CHECK_EQ(rig_free_blocks(&rig), before);
	rig.fs->ops->unmount(rig.fs);
}

static void record_with_too_many_runs_changes_nothing(void)
{
	struct rig rig = rig_new(16 * MIB, 0);
	struct fs *fs = fs_of(rig.fs);
	struct tree tree = { 0 };
	char why[WHY_LEN] = "";
	struct run run;
	struct tx tx;

	tx_begin(&tx, fs);
	for (uint32_t i = 0; i < TX_RUNS_MAX + 2; i++) {
		CHECK_EQ(alloc_run(fs, 0, 1, 0, &run), 0);
		tx_use(&tx, run);
	}
	CHECK_EQ(tx_commit(&tx), -E2BIG);
	CHECK_EQ(tree_take(&rig, &tree, why), 0);
	if (space_differs(&rig, &tree, why))
		printf("# %s\n", why);
	CHECK(!why[0]);
	tree_free(&tree);
	rig.fs->ops->unmount(rig.fs);
}

static void values_when_too_large_are_refused(void)
{
	static uint8_t value[ZUS_XATTR_SIZE_MAX + 1];
	struct rig rig = rig_new(16 * MIB, 0);
	uint64_t node = rig_mknod(&rig, ROOT, "f", S_IFREG | 0644), before = rig_free_blocks(&rig);
	struct zus_setxattr set = { .name = rig_name("user.x"), .value = { value, sizeof(value) } };
	struct zus_setattr size = { .valid = ZUS_SET_SIZE, .size = rig.fs->max_file_size + 1 };
	struct zus_new lnk = { .mode = S_IFLNK | 0777, .symlink = { value, 4096 } };
	struct zus_attr attr;

	CHECK_EQ(rig.fs->ops->setxattr(rig.fs, node, &set), -E2BIG);
	set.value.len = ZUS_XATTR_SIZE_MAX;
	CHECK_EQ(rig.fs->ops->setxattr(rig.fs, node, &set), 0);
	/* All values of an inode together have a bound too. */
	set.name = rig_name("user.y");
	CHECK_EQ(rig.fs->ops->setxattr(rig.fs, node, &set), -ENOSPC);
	CHECK_EQ(rig.fs->ops->removexattr(rig.fs, node, rig_name("user.x")), 0);
	CHECK_EQ(rig.fs->ops->setattr(rig.fs, node, &size, &attr), -EFBIG);
	CHECK_EQ(rig_write(&rig, node, rig.fs->max_file_size, "x", 1), -EFBIG);
	CHECK_EQ(rig.fs->ops->fallocate(rig.fs, node, 0, rig.fs->max_file_size, 1), -EFBIG);
	CHECK_EQ(rig.fs->ops->create(rig.fs, ROOT, rig_name("l"), &lnk, &attr), -ENAMETOOLONG);
	CHECK_EQ(rig_free_blocks(&rig), before);
	rig.fs->ops->unmount(rig.fs);
}

/* --- half-way --------------------------------------------------------------------------------------------------------------- */

/* What may meet a file that a truncation or a shift has left half-way. */
enum next_user {
	NEXT_READ,
	NEXT_WRITE,
	NEXT_GETATTR,
	NEXT_LOOKUP,
	NEXT_TRUNCATE,
	NEXT_CHMOD,
	NEXT_PUNCH,
	NEXT_SEEK,
	NEXT_LINK,
	NEXT_RENAME,
	NEXT_UNLINK,
	NEXT_UNMOUNT,
	NEXT_CRASH,
	N_NEXT,
};

static const char *const next_names[N_NEXT] = { "read", "write", "getattr", "lookup", "truncate", "chmod", "punch",
						"seek", "link",	 "rename",  "unlink", "unmount",  "crash" };

static int next_attr(struct scene *sc, uint64_t node, const struct zus_setattr *set)
{
	struct zus_attr attr;

	return sc->rig.fs->ops->setattr(sc->rig.fs, node, set, &attr);
}

/* long: one line for each kind. */
static int next_use(struct scene *sc, enum next_user who, uint64_t node, const char *name)
{
	struct zus_fs *fs = sc->rig.fs;
	uint8_t buf[100] = { 5 };
	struct zus_attr attr;
	uint64_t off;
	int err;

	switch (who) {
	case NEXT_READ:
		return (int)rig_read(&sc->rig, node, 0, buf, sizeof(buf));
	case NEXT_WRITE:
		return (int)rig_write(&sc->rig, node, 50, buf, sizeof(buf));
	case NEXT_GETATTR:
		return fs->ops->getattr(fs, node, &attr);
	case NEXT_LOOKUP:
		return rig_lookup(&sc->rig, ROOT, name, &attr);
	case NEXT_TRUNCATE:
		return next_attr(sc, node, &(struct zus_setattr){ .valid = ZUS_SET_SIZE, .size = 3 * MIB });
	case NEXT_CHMOD:
		return next_attr(sc, node, &(struct zus_setattr){ .valid = ZUS_SET_MODE, .mode = 0600 });
	case NEXT_PUNCH:
		return fs->ops->fallocate(fs, node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096);
	case NEXT_SEEK:
		err = fs->ops->seek(fs, node, 0, ZUS_SEEK_DATA, &off);
		return err == -ENXIO ? 0 : err;
	case NEXT_LINK:
		err = fs->ops->link(fs, node, ROOT, rig_name("another"), &attr);
		if (!err)
			sc->held[sc->n_held++] = attr.node;
		return err;
	case NEXT_RENAME:
		return rig_rename(&sc->rig, ROOT, name, ROOT, "renamed", 0);
	case NEXT_UNLINK:
		return fs->ops->unlink(fs, ROOT, rig_name(name));
	case NEXT_UNMOUNT:
		rig_remount(&sc->rig);
		return 0;
	default:
		rig_crash(&sc->rig);
		return 0;
	}
}

/* Runs op, the commits from number at on failing (0: none), then the next user. The tree after both. 0: no commit failed. */
static int half_way(const struct image *img, const struct scene_op *op, uint64_t at, enum next_user who, struct tree *out)
{
	uint64_t node = img->node[strcmp(op->part, "/many") ? strcmp(op->part, "/big") ? NODE_SPARSE : NODE_BIG : NODE_MANY];
	char why[WHY_LEN] = "";
	struct scene sc;
	int res, failed, next, bad;

	scene_open(&sc, img);
	fault_arm(FAULT_COMMIT, at ? at : UINT64_MAX, 1);
	res = op->run(&sc);
	failed = (int)fault_disarm();
	/* One that was refused has changed nothing; one that is done is to be like one that never met a failure. */
	CHECK(!res || (res == -ENOMEM && failed));
	next = next_use(&sc, who, node, op->part + 1);
	bad = next < 0 || tree_take(&sc.rig, out, why) || space_differs(&sc.rig, out, why);
	if (!bad && res) {
		/* Refused: do it now, so that there is one tree to compare with; the next user came first then. */
		tree_free(out);
		out->text = NULL;
	}
	if (bad)
		printf("# %s, commit %llu fails, then %s (%d): %s\n", op->name, (unsigned long long)at, next_names[who], next,
		       why);
	CHECK(!bad);
	scene_release(&sc);
	scene_close(&sc);
	return failed;
}

static unsigned int half_way_all(const struct image *img, const struct scene_op *op)
{
	unsigned int n = 0;

	for (int who = 0; who < N_NEXT; who++) {
		struct tree want = { 0 }, found = { 0 };
		char why[WHY_LEN] = "";
		int failed = 1;

		half_way(img, op, 0, (enum next_user)who, &want);
		for (uint64_t at = 1; failed; at += getenv("FAULTS_LONG") ? 1 : 3) {
			failed = half_way(img, op, at, (enum next_user)who, &found);
			if (found.text && tree_differs(&want, &found, NULL, why))
				printf("# %s, commit %llu fails, then %s: %s\n", op->name, (unsigned long long)at,
				       next_names[who], why);
			CHECK(!why[0]);
			n += failed && found.text;
			tree_free(&found);
		}
		tree_free(&want);
	}
	return n;
}

static void half_way_is_finished_by_whoever_comes_next(void)
{
	static const struct {
		const char *name, *file;
	} picks[] = { { "truncate_in_steps", "/many" },
		      { "collapse_huge", "/big" },
		      { "collapse_sparse", "/sparse" },
		      { "insert_blocks", "/many" },
		      { "insert_huge", "/big" } };
	struct image img;
	unsigned int n = 0;

	log_set_level(-1);
	image_build(&img, TRIALS_IMAGE_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(picks); i++) {
		for (uint32_t k = 0; k < scene_n_ops; k++) {
			struct scene_op op = scene_ops[k];

			op.part = picks[i].file;
			if (!strcmp(op.name, picks[i].name))
				n += half_way_all(&img, &op);
		}
	}
	printf("# %u times half-way, each finished by the next one\n", n);
	image_free(&img);
	CHECK(n > 50);
}

/* The finishing fails too: an error to those who come, nothing lost, and it is tried again. */
static void half_way_when_finishing_fails_is_tried_again(void)
{
	struct zus_attr attr;
	struct image img;
	struct scene sc;
	uint64_t node, size;
	char byte;

	log_set_level(-1);
	image_build(&img, TRIALS_IMAGE_BYTES);
	scene_open(&sc, &img);
	node = img.node[NODE_MANY];
	CHECK_EQ(sc.rig.fs->ops->getattr(sc.rig.fs, node, &attr), 0);
	size = attr.size;
	fault_arm(FAULT_COMMIT, 3, 1);
	CHECK_EQ(sc.rig.fs->ops->fallocate(sc.rig.fs, node, FALLOC_FL_INSERT_RANGE, 4096, 8192), 0);
	CHECK_EQ(sc.rig.fs->ops->getattr(sc.rig.fs, node, &attr), -ENOMEM);
	CHECK_EQ(rig_read(&sc.rig, node, 0, &byte, 1), -ENOMEM);
	CHECK_EQ(rig_write(&sc.rig, node, 0, "x", 1), -ENOMEM);
	CHECK(fault_disarm() >= 3);
	CHECK_EQ(sc.rig.fs->ops->getattr(sc.rig.fs, node, &attr), 0);
	CHECK_EQ(attr.size, size + 8192);
	scene_close(&sc);
	image_free(&img);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(blocks_at_each_allocation_of_each_operation),
		TAP_CASE(blocks_from_each_allocation_on_of_each_operation),
		TAP_CASE(inodes_and_intents_at_each_call_of_each_operation),
		TAP_CASE(full_device_takes_what_frees),
		TAP_CASE(full_device_can_be_emptied),
		TAP_CASE(record_when_too_large_changes_nothing),
		TAP_CASE(record_with_too_many_runs_changes_nothing),
		TAP_CASE(values_when_too_large_are_refused),
		TAP_CASE(half_way_is_finished_by_whoever_comes_next),
		TAP_CASE(half_way_when_finishing_fails_is_tried_again),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
