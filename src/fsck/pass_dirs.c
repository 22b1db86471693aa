/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pass "directories": dir_check for each one, in parallel. Then, by one thread: a directory has one name, in the directory that
 * it notes as its parent, and the way up from each one that has a name ends at the root, or at one that has none.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "fsck/bits.h"
#include "fsck/dir_check.h"
#include "pmfs2/inode.h"

int fsck_inode_image(const struct fsck *fk, uint64_t ino, struct pmfs2_inode *out)
{
	struct pmfs2_inode sealed;

	*out = *fsck_inode(fk, ino);
	sealed = *out;
	inode_image_seal(&sealed);
	if (likely(le32_get(out->crc) == le32_get(sealed.crc)))
		return 1;
	return bits_correct(out, sizeof(*out), offsetof(struct pmfs2_inode, crc));
}

static void inode_dir_check(struct fsck *fk, uint64_t ino, struct dir_scratch *scratch)
{
	struct inode_view iv = { .fk = fk, .ino = ino, .media = fsck_inode(fk, ino) };

	inode_view_begin(&iv);
	fsck_inode_image(fk, ino, &iv.image);
	/* A root that is only assumed to be there has nothing to check. */
	if (!S_ISDIR(le32_get(iv.image.mode)))
		return;
	if (le64_get(iv.image.xattr) || le16_get(iv.image.inline_xattr_len))
		xattr_check(&iv, &scratch->inode);
	dir_check(&iv, scratch);
	inode_view_finish(&iv);
}

static void dirs_check(struct fsck *fk, uint64_t first, uint64_t n, void *scratch)
{
	for (uint64_t ino = first; ino < first + n && !fk->err; ino++)
		if ((__atomic_load_n(&fk->ino_state[ino], __ATOMIC_RELAXED) & INO_TYPE) == DT_DIR)
			inode_dir_check(fk, ino, scratch);
}

void pass_dirs(struct fsck *fk)
{
	const struct work work = {
		.pass = FSCK_PASS_DIRS,
		.n = fsck_ino_end(fk),
		.step = 256,
		.scratch_bytes = sizeof(struct dir_scratch),
		.fn = dirs_check,
	};

	workers_run(fk, &work);
}

static int odd_cmp(const void *a, const void *b)
{
	const struct odd_name *oa = a, *ob = b;

	if (oa->child != ob->child)
		return oa->child < ob->child ? -1 : 1;
	if (oa->dir != ob->dir)
		return oa->dir < ob->dir ? -1 : 1;
	return (oa->hash > ob->hash) - (oa->hash < ob->hash);
}

/* The child takes the directory that holds its only name as its parent. */
static void parent_set(struct fsck *fk, const struct odd_name *odd)
{
	struct pmfs2_inode image;

	fsck_inode_image(fk, odd->child, &image);
	image.parent_or_rdev = le64_of(odd->dir);
	fix_inode(fk, fsck_inode(fk, odd->child), &image);
}

/* Names of directories that their parents do not have. Those that became right are left in fk->odd. */
static void odd_resolve(struct fsck *fk, struct dir_scratch *scratch)
{
	uint64_t n = 0;

	if (fk->n_odd)
		qsort(fk->odd, fk->n_odd, sizeof(*fk->odd), odd_cmp);
	for (uint64_t i = 0; i < fk->n_odd; i++) {
		struct odd_name odd = fk->odd[i];
		unsigned long long dir = odd.dir, child = odd.child;

		if (fk->ino_state[child] & INO_NAMED) {
			if (fsck_found(fk, FSCK_DIR_SECOND_NAME, "directory %llu: inode %llu, a directory, has a second name",
				       dir, child))
				dir_drop_name(fk, &odd, scratch);
			continue;
		}
		if (fsck_found(fk, FSCK_DIR_PARENT, "directory %llu: its parent is %llu, but it notes another one", child, dir))
			parent_set(fk, &odd);
		fk->ino_state[child] |= INO_NAMED;
		fk->ino_links[dir]--;
		fk->odd[n++] = odd;
	}
	fk->n_odd = n;
}

/* Of a directory that has a name. */
static uint64_t parent_of(const struct fsck *fk, uint64_t ino)
{
	struct pmfs2_inode image;
	uint64_t lo = 0, hi = fk->n_odd;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (fk->odd[mid].child < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < fk->n_odd && fk->odd[lo].child == ino)
		return fk->odd[lo].dir;
	fsck_inode_image(fk, ino, &image);
	return le64_get(image.parent_or_rdev);
}

/* The hash of the child's name is not known: any of its names in its parent goes. */
static void loop_cut(struct fsck *fk, uint64_t child, uint64_t parent, struct dir_scratch *scratch)
{
	struct odd_name name = { .dir = parent, .child = child };

	dir_drop_name(fk, &name, scratch);
	fk->ino_state[child] &= (uint8_t)~INO_NAMED;
	fk->ino_links[parent]++;
}

/* Each directory is gone over once for the way up and once for marking it. */
static void way_up(struct fsck *fk, uint64_t ino, struct dir_scratch *scratch)
{
	uint64_t cur = ino;

	while ((fk->ino_state[cur] & (INO_NAMED | INO_REACHED | INO_ON_PATH)) == INO_NAMED) {
		fk->ino_state[cur] |= INO_ON_PATH;
		cur = parent_of(fk, cur);
	}
	if (fk->ino_state[cur] & INO_ON_PATH && !(fk->ino_state[cur] & INO_REACHED) &&
	    fsck_found(fk, FSCK_DIR_LOOP, "directory %llu: contains itself on some way", (unsigned long long)cur))
		loop_cut(fk, cur, parent_of(fk, cur), scratch);
	for (cur = ino; fk->ino_state[cur] & INO_ON_PATH;) {
		uint64_t up = parent_of(fk, cur);

		fk->ino_state[cur] = (uint8_t)((fk->ino_state[cur] & ~INO_ON_PATH) | INO_REACHED);
		cur = up;
	}
}

void pass_parents(struct fsck *fk)
{
	struct dir_scratch *scratch = NULL;

	if (fk->fixing) {
		scratch = malloc(sizeof(*scratch));
		if (!scratch) {
			fsck_fail(fk, -ENOMEM);
			return;
		}
	}
	odd_resolve(fk, scratch);
	for (uint64_t ino = 1; ino < fsck_ino_end(fk) && !fk->err; ino++)
		if ((fk->ino_state[ino] & (INO_TYPE | INO_NAMED | INO_REACHED)) == (DT_DIR | INO_NAMED))
			way_up(fk, ino, scratch);
	free(scratch);
}
