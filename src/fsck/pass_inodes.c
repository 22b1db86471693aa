/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pass "inodes". Proves, for each chunk: its header is right, what is reserved is zero, and its bits say which inodes are in use.
 * For each inode: checksum, number, type, flags, size against contents, unused fields, its intent, xattrs, and (files and long
 * symlinks) its tree and count of blocks. Directories' trees are the next pass's, which needs to know all inodes.
 *
 * Leaves for later passes: the state of each number, links as they should be found.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "fsck/bits.h"
#include "fsck/inode_view.h"
#include "pmfs2/inode.h"
#include "zus/plugin.h"

#define MODE_BITS 0177777u
#define LINKS_NONE 0x80000000u /* nlink 0 without being an orphan: must not look like what is right */
#define SYMLINK_MAX 4095u

struct chunk_view {
	struct fsck *fk;
	uint64_t number;
	const struct pmfs2_chunk *media; /* only the header slot: other slots may be in other copies of blocks */
	struct inode_scratch *scratch;
	uint64_t n_used, n_dirs;
};

static uint32_t type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return IFTODT(mode);
	default:
		return 0;
	}
}

static void header_check(struct chunk_view *cv)
{
	struct fsck *fk = cv->fk;
	struct pmfs2_chunk right = {
		.magic = le32_of(PMFS2_MAGIC_CHUNK),
		.index = le64_of(cv->number),
		.block = le64_of(fk->chunk_block[cv->number]),
	};
	struct pmfs2_chunk now = *cv->media;
	struct fix fix;

	memset(now.zero0, 0, sizeof(now.zero0));
	now.crc = le32_of(0);
	right.crc = le32_of(crc32c_of(&right, 64));
	if (memcmp(&right, cv->media, 64) &&
	    fsck_found(fk, FSCK_CHUNK_HEADER, "inode chunk %llu: damaged header", (unsigned long long)cv->number)) {
		fix_begin(&fix, fk);
		fix_put(&fix, cv->media, &right, 8);
		fix_commit(&fix);
	}
	if ((!(le64_get(cv->media->used[0]) & 1) || !pmem_is_zero(cv->media->zero1, sizeof(cv->media->zero1))) &&
	    fsck_found(fk, FSCK_CHUNK_RESERVED, "inode chunk %llu: reserved fields are not zero, or its first bit is clear",
		       (unsigned long long)cv->number)) {
		fix_begin(&fix, fk);
		now.used[0] = le64_of(le64_get(now.used[0]) | 1);
		fix_put(&fix, &cv->media->used[0], &now.used[0], 1);
		fix_fill(&fix, cv->media->zero1, 0, ARRAY_SIZE(cv->media->zero1));
		fix_commit(&fix);
	}
}

static int bit_test(const struct chunk_view *cv, uint32_t slot)
{
	return le64_get(cv->media->used[slot / 64]) >> (slot % 64) & 1;
}

static void bit_put(struct fix *fix, const struct chunk_view *cv, uint32_t slot, int used)
{
	uint64_t word = le64_get(cv->media->used[slot / 64]), mask = 1ull << (slot % 64);
	le64 now = le64_of(used ? word | mask : word & ~mask);

	fix_put(fix, &cv->media->used[slot / 64], &now, 1);
}

static int crc_ok(const struct pmfs2_inode *image)
{
	uint32_t zero = 0, crc = crc32c(~0u, image, offsetof(struct pmfs2_inode, crc));

	crc = crc32c(crc, &zero, sizeof(zero));
	return ~crc32c(crc, &image->ino, sizeof(*image) - offsetof(struct pmfs2_inode, ino)) == le32_get(image->crc);
}

static int sound(const struct pmfs2_inode *image, uint64_t ino)
{
	return le32_get(image->magic) == PMFS2_MAGIC_INODE && le64_get(image->ino) == ino && crc_ok(image);
}

/* The image of a free inode that keeps its generation. */
static void free_image(const struct pmfs2_inode *old, uint64_t ino, struct pmfs2_inode *out)
{
	memset(out, 0, sizeof(*out));
	out->magic = le32_of(PMFS2_MAGIC_INODE);
	out->ino = le64_of(ino);
	out->generation = le32_get(old->magic) == PMFS2_MAGIC_INODE ? old->generation : le32_of(0);
	inode_image_seal(out);
}

/* Bit clear: nothing was ever there, or the rest of a freed inode; or one that is in use, whose bit was lost. */
static void free_slot_check(struct chunk_view *cv, uint64_t ino, const struct pmfs2_inode *media)
{
	struct pmfs2_inode image = *media, right;
	struct fix fix;

	if (pmem_is_zero(&image, sizeof(image)))
		return;
	free_image(&image, ino, &right);
	if (!memcmp(&image, &right, sizeof(image)))
		return;
	/* One in use is told apart by its mode: a freed one has none. Its bit is mended by inode_check. */
	if (fsck_found(cv->fk, FSCK_INODE_FREE, "inode %llu: free, but not empty", (unsigned long long)ino)) {
		fix_begin(&fix, cv->fk);
		fix_put(&fix, media, &right, sizeof(right) / 8);
		fix_commit(&fix);
	}
}

/* Takes an inode away: bit and image by one record. */
static void inode_clear(struct chunk_view *cv, const struct inode_view *iv)
{
	struct pmfs2_inode image;
	struct fix fix;

	free_image(&iv->image, iv->ino, &image);
	fix_begin(&fix, cv->fk);
	bit_put(&fix, cv, (uint32_t)(iv->ino % PMFS2_CHUNK_INODES), 0);
	fix_put(&fix, iv->media, &image, sizeof(image) / 8);
	fix_commit(&fix);
}

/* A damaged inode makes sense if its type, and where its contents are, hold up by themselves. */
static int makes_sense(const struct inode_view *iv)
{
	const struct pmfs2_inode *in = &iv->image;
	uint64_t root = le64_get(in->root);
	struct entry_pos pos = { .owner = iv->ino };
	uint32_t mode = le32_get(in->mode);
	struct entry e;

	if ((le32_get(in->magic) != PMFS2_MAGIC_INODE && le64_get(in->ino) != iv->ino) || !type_of(mode) || le32_get(in->zero))
		return 0;
	if (!S_ISDIR(mode))
		pos.level = (uint32_t)(root >> PMFS2_ENTRY_HEIGHT_SHIFT & 15);
	if (!root)
		return S_ISREG(mode) ? !le64_get(in->blocks) : 1;
	return entry_unpack(&pos, root, &e);
}

/* A wrong checksum, magic or number. 1: go on with iv->image. */
static int checksum_mend(struct chunk_view *cv, struct inode_view *iv)
{
	struct pmfs2_inode guess = iv->image;
	unsigned long long ino = iv->ino;

	if (bits_correct(&guess, sizeof(guess), offsetof(struct pmfs2_inode, crc)) && sound(&guess, ino)) {
		if (!inode_view_found(iv, FSCK_INODE_BIT, "inode %llu: one wrong bit", ino))
			return 0;
		iv->image = guess;
		return 1;
	}
	if (makes_sense(iv)) {
		if (!inode_view_found(iv, FSCK_INODE_CHECKSUM, "inode %llu: damaged, its fields make sense", ino))
			return 0;
		iv->image.magic = le32_of(PMFS2_MAGIC_INODE);
		iv->image.ino = le64_of(ino);
		return 1;
	}
	if (fsck_found(iv->fk, FSCK_INODE_CHECKSUM, "inode %llu: damaged", ino))
		inode_clear(cv, iv);
	return 0;
}

/* Fields that this type of inode does not use. */
static void reserved_check(struct inode_view *iv)
{
	struct pmfs2_inode *in = &iv->image, right = *in;
	uint32_t mode = le32_get(in->mode), inline_len = 0, tail;

	right.mode = le32_of(mode & MODE_BITS);
	right.zero = le32_of(0);
	if (S_ISLNK(mode))
		inline_len = (uint32_t)u64_min(le16_get(in->inline_len), PMFS2_INODE_TAIL);
	else
		right.inline_len = le16_of(0);
	if (S_ISLNK(mode))
		right.inline_xattr_len = le16_of(0);
	if (!S_ISDIR(mode) && !S_ISCHR(mode) && !S_ISBLK(mode))
		right.parent_or_rdev = le64_of(0);
	if (!S_ISDIR(mode) && !S_ISREG(mode) && !S_ISLNK(mode))
		right.root = le64_of(0);
	tail = inline_len + (uint32_t)u64_min(le16_get(right.inline_xattr_len), PMFS2_INODE_TAIL);
	if (tail < PMFS2_INODE_TAIL)
		memset(right.tail + tail, 0, PMFS2_INODE_TAIL - tail);
	if (memcmp(in, &right, sizeof(right)) &&
	    inode_view_found(iv, FSCK_INODE_RESERVED, "inode %llu: fields that it does not use are not zero",
			     (unsigned long long)iv->ino))
		*in = right;
}

static void fields_check(struct inode_view *iv)
{
	uint32_t flags = le32_get(iv->image.flags), slot = le32_get(iv->image.intent);
	unsigned long long ino = iv->ino;

	if (flags & ~ZUS_FL_USER && inode_view_found(iv, FSCK_INODE_FLAGS, "inode %llu: unknown flags %#x", ino, flags))
		iv->image.flags = le32_of(flags & ZUS_FL_USER);
	iv->intent = slot ? fsck_intent_of(iv->fk, slot - 1, iv->ino) : NULL;
	iv->intent_kind = iv->intent ? (uint32_t)(le64_get(iv->intent->ino_kind) >> 56) : 0;
	if (slot && !iv->intent && inode_view_found(iv, FSCK_INODE_INTENT, "inode %llu: intent %u is not its own", ino, slot - 1))
		iv->image.intent = le32_of(0);
	reserved_check(iv);
	/* The root's node id is made of number and generation, and is fixed. */
	if (iv->ino == PMFS2_INO_ROOT && le32_get(iv->image.generation) & 0xffffff &&
	    inode_view_found(iv, FSCK_INODE_RESERVED, "inode %llu: the root has a generation", ino))
		iv->image.generation = le32_of(0);
}

/* The size, as far as it can be said without the contents. */
static void size_check(struct inode_view *iv)
{
	uint32_t mode = le32_get(iv->image.mode), inline_len = le16_get(iv->image.inline_len);
	uint64_t size = le64_get(iv->image.size), right = size;

	if (S_ISREG(mode) && size > PMFS2_FILE_SIZE_MAX)
		right = PMFS2_FILE_SIZE_MAX;
	else if (S_ISLNK(mode) && inline_len && inline_len <= PMFS2_INODE_TAIL)
		right = inline_len;
	else if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode))
		right = 0;
	if (size != right && inode_view_found(iv, FSCK_INODE_SIZE, "inode %llu: size %llu cannot be", (unsigned long long)iv->ino,
					      (unsigned long long)size))
		iv->image.size = le64_of(right);
}

/* A symlink's target: 1 to 4095 bytes without a NUL, in the inode or in its block 0. */
static int symlink_ok(const struct inode_view *iv)
{
	const struct pmfs2_inode *in = &iv->image;
	uint64_t size = le64_get(in->size), word = le64_get(in->root);
	const struct entry_pos pos = { .owner = iv->ino };
	struct entry e;

	if (le16_get(in->inline_len))
		return le16_get(in->inline_len) <= PMFS2_INODE_TAIL && !word && !memchr(in->tail, 0, le16_get(in->inline_len));
	if (!size || size > SYMLINK_MAX || !entry_unpack(&pos, word, &e) || e.height || e.unwritten)
		return 0;
	return disk_block_ok(&iv->fk->disk, e.block, 1) && !memchr(disk_block(&iv->fk->disk, e.block), 0, size);
}

void inode_view_finish(struct inode_view *iv)
{
	inode_view_hold(iv);
	if (le64_get(iv->image.blocks) != iv->blocks &&
	    inode_view_found(iv, FSCK_INODE_BLOCKS, "inode %llu: %llu blocks are counted, it has %llu",
			     (unsigned long long)iv->ino, (unsigned long long)le64_get(iv->image.blocks),
			     (unsigned long long)iv->blocks))
		iv->image.blocks = le64_of(iv->blocks);
	inode_view_release(iv);
	if (iv->dirty)
		fix_inode(iv->fk, iv->media, &iv->image);
}

/* What later passes need to know of an inode that is in use. */
static void state_note(struct chunk_view *cv, const struct inode_view *iv, uint32_t type)
{
	struct fsck *fk = cv->fk;
	uint32_t nlink = le32_get(iv->image.nlink);
	int orphan = !nlink && iv->intent_kind == PMFS2_INTENT_ORPHAN;

	fk->ino_state[iv->ino] = (uint8_t)(type | (orphan ? INO_ORPHAN : 0));
	if (orphan)
		fk->ino_links[iv->ino] = 0;
	else if (type == DT_DIR)
		fk->ino_links[iv->ino] = nlink - 2;
	else
		fk->ino_links[iv->ino] = nlink ? nlink : LINKS_NONE;
	cv->n_used++;
	cv->n_dirs += type == DT_DIR;
}

static void contents_check(struct chunk_view *cv, struct inode_view *iv, uint32_t type)
{
	if (type == DT_DIR) {
		if (iv->dirty)
			fix_inode(iv->fk, iv->media, &iv->image);
		return;
	}
	if (type == DT_REG || (type == DT_LNK && le64_get(iv->image.root)))
		tree_check(iv, cv->scratch);
	if (le64_get(iv->image.xattr) || le16_get(iv->image.inline_xattr_len))
		xattr_check(iv, cv->scratch);
	inode_view_finish(iv);
}

/* Bit set, or an image that says that it is in use. */
static void used_slot_check(struct chunk_view *cv, uint64_t ino, const struct pmfs2_inode *media, int marked)
{
	struct inode_view iv = { .fk = cv->fk, .ino = ino, .media = media, .image = *media };
	uint32_t type;
	struct fix fix;

	inode_view_begin(&iv);
	if (!marked &&
	    fsck_found(cv->fk, FSCK_INODE_UNMARKED, "inode %llu: in use, but not marked so", (unsigned long long)ino)) {
		fix_begin(&fix, cv->fk);
		bit_put(&fix, cv, (uint32_t)(ino % PMFS2_CHUNK_INODES), 1);
		fix_commit(&fix);
	}
	if (unlikely(!sound(&iv.image, ino)) && !checksum_mend(cv, &iv))
		return;
	type = type_of(le32_get(iv.image.mode));
	if (!type) {
		if (fsck_found(cv->fk, FSCK_INODE_MODE, "inode %llu: unknown type, mode %#o", (unsigned long long)ino,
			       le32_get(iv.image.mode)))
			inode_clear(cv, &iv);
		return;
	}
	fields_check(&iv);
	size_check(&iv);
	if (type == DT_LNK && !symlink_ok(&iv)) {
		if (fsck_found(cv->fk, FSCK_SYMLINK_TARGET, "inode %llu: a symlink without a whole target",
			       (unsigned long long)ino))
			inode_clear(cv, &iv);
		return;
	}
	state_note(cv, &iv, type);
	contents_check(cv, &iv, type);
}

static void slot_check(struct chunk_view *cv, uint32_t slot)
{
	uint64_t ino = cv->number * PMFS2_CHUNK_INODES + slot;
	const struct pmfs2_inode *media = fsck_inode(cv->fk, ino);
	int marked = bit_test(cv, slot), empty = !le32_get(media->mode);
	struct fix fix;

	if (!marked && (empty || !sound(media, ino))) {
		free_slot_check(cv, ino, media);
		return;
	}
	if (marked && empty && (pmem_is_zero(media, sizeof(*media)) || sound(media, ino))) {
		if (fsck_found(cv->fk, FSCK_INODE_MARKED, "inode %llu: marked as used, but empty", (unsigned long long)ino)) {
			fix_begin(&fix, cv->fk);
			bit_put(&fix, cv, slot, 0);
			fix_commit(&fix);
		}
		return;
	}
	used_slot_check(cv, ino, media, marked);
}

static void chunks_check(struct fsck *fk, uint64_t first, uint64_t n, void *scratch)
{
	struct chunk_view cv = { .fk = fk, .scratch = scratch };

	for (uint64_t i = first; i < first + n && !fk->err; i++) {
		if (!fk->chunk_block[i])
			continue;
		cv.number = i;
		cv.media = disk_block(&fk->disk, fk->chunk_block[i]);
		header_check(&cv);
		for (uint32_t slot = 1; slot < PMFS2_CHUNK_INODES; slot++)
			slot_check(&cv, slot);
	}
	__atomic_fetch_add(&fk->n_inodes, cv.n_used, __ATOMIC_RELAXED);
	__atomic_fetch_add(&fk->n_dirs, cv.n_dirs, __ATOMIC_RELAXED);
}

static void root_make(struct fsck *fk)
{
	const struct pmfs2_inode *media = fsck_inode(fk, PMFS2_INO_ROOT);
	struct chunk_view cv = { .fk = fk, .media = disk_block(&fk->disk, fk->chunk_block[0]) };
	struct pmfs2_inode image;
	struct fix fix;

	inode_image_init(&image, PMFS2_INO_ROOT, le32_get(media->magic) == PMFS2_MAGIC_INODE ? le32_get(media->generation) : 0);
	image.mode = le32_of(S_IFDIR | 0755);
	image.nlink = le32_of(2);
	image.parent_or_rdev = le64_of(PMFS2_INO_ROOT);
	fix_begin(&fix, fk);
	bit_put(&fix, &cv, PMFS2_INO_ROOT, 1);
	fix_put_inode(&fix, media, &image);
	fix_commit(&fix);
	fk->ino_state[PMFS2_INO_ROOT] = DT_DIR;
	fk->ino_links[PMFS2_INO_ROOT] = 0;
}

void pass_inodes(struct fsck *fk)
{
	const struct work work = {
		.pass = FSCK_PASS_INODES,
		.n = fk->n_chunks,
		.step = 16,
		.scratch_bytes = sizeof(struct inode_scratch),
		.fn = chunks_check,
	};

	workers_run(fk, &work);
	if (fk->err || !fk->chunk_block[0])
		return;
	if ((fk->ino_state[PMFS2_INO_ROOT] & (INO_TYPE | INO_ORPHAN)) != DT_DIR) {
		if (fsck_found(fk, FSCK_ROOT_MISSING, "inode 1: there is no root directory"))
			root_make(fk);
		else
			fk->ino_state[PMFS2_INO_ROOT] = DT_DIR;
	}
	fk->ino_state[PMFS2_INO_ROOT] |= INO_NAMED | INO_REACHED;
}
