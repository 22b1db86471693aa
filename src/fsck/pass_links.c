/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pass "links". Proves: each inode that is in use has as many names as links (directories: two more than subdirectories), and at
 * least one, unless it is an orphan or the root.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "fsck/dir_check.h"

static void lost_add(struct fsck *fk, uint64_t ino)
{
	if (fk->n_lost == fk->cap_lost) {
		uint64_t cap = fk->cap_lost ? 2 * fk->cap_lost : 64;
		uint64_t *more = realloc(fk->lost, cap * sizeof(*more));

		if (!more) {
			fsck_fail(fk, -ENOMEM);
			return;
		}
		fk->lost = more;
		fk->cap_lost = cap;
	}
	fk->lost[fk->n_lost++] = ino;
}

static void nlink_check(struct fsck *fk, uint64_t ino, uint32_t right)
{
	struct pmfs2_inode image;
	uint32_t nlink;
	int fix;

	fsck_inode_image(fk, ino, &image);
	nlink = le32_get(image.nlink);
	/* Names may be in what is left damaged. */
	fk->hands_off = fk->fixing && fk->round_kept;
	fix = fsck_found(fk, FSCK_LINK_COUNT, "inode %llu: has %u links, should have %u", (unsigned long long)ino, nlink, right);
	fk->hands_off = 0;
	if (!fix)
		return;
	image.nlink = le32_of(right);
	fix_inode(fk, fsck_inode(fk, ino), &image);
}

static void unconnected(struct fsck *fk, uint64_t ino)
{
	/* Linking it needs an engine that can trust the rest: later, when nothing else is wrong; or not at all. */
	if (fk->fixing && fk->round_structure && fk->round_fixed)
		return;
	fk->hands_off = fk->fixing && (fk->round_structure || fk->engine_failed);
	if (fsck_found(fk, FSCK_UNCONNECTED, "inode %llu: has no name", (unsigned long long)ino))
		lost_add(fk, ino);
	fk->hands_off = 0;
}

static void links_of(struct fsck *fk, uint64_t ino)
{
	uint8_t state = fk->ino_state[ino], type = state & INO_TYPE;
	uint32_t left = fk->ino_links[ino], nlink, names;
	struct pmfs2_inode image;

	if (type == DT_DIR) {
		fsck_inode_image(fk, ino, &image);
		if (left)
			nlink_check(fk, ino, le32_get(image.nlink) - left);
		if (!(state & (INO_NAMED | INO_ORPHAN)))
			unconnected(fk, ino);
		return;
	}
	if (likely(!left))
		return;
	fsck_inode_image(fk, ino, &image);
	nlink = le32_get(image.nlink);
	names = (nlink || state & INO_ORPHAN ? nlink : 0x80000000u) - left;
	if (names)
		nlink_check(fk, ino, names);
	else
		unconnected(fk, ino);
}

static void links_check(struct fsck *fk, uint64_t first, uint64_t n, void *scratch)
{
	for (uint64_t ino = first; ino < first + n && !fk->err; ino++)
		if (fk->ino_state[ino] & INO_TYPE && (fk->ino_links[ino] || (fk->ino_state[ino] & INO_TYPE) == DT_DIR))
			links_of(fk, ino);
}

void pass_links(struct fsck *fk)
{
	struct work work = { .pass = FSCK_PASS_LINKS, .n = fsck_ino_end(fk), .step = 65536, .fn = links_check };

	/* One thread: it is the sweep over an array, and hands_off is not made for more. */
	for (uint64_t first = 0; first < work.n && !fk->err; first += work.step) {
		links_check(fk, first, u64_min(work.step, work.n - first), NULL);
		fsck_progress(fk, FSCK_PASS_LINKS, u64_min(first + work.step, work.n), work.n);
	}
}
