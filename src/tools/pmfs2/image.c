/* SPDX-License-Identifier: BSD-3-Clause */
/* A pmfs2 that is looked at without mounting it: opening, visits, the way to an inode. */
#include "image.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "pmfs2/fs.h"
#include "pmfs2/media/super.h"
#include "tools/common/busy.h"
#include "tools/common/say.h"

#define ITABLE_HEIGHT_MAX 4u

static const char *super_advice(int err)
{
	switch (err) {
	case -EINVAL:
		return "; is this the right device? mkfs.pmfs2 makes a file system";
	case -EUCLEAN:
		return ", and so is its copy in the last block; 'pmfs2 info' shows both";
	case -ENOSPC:
		return "; give the file or device its full size back";
	default:
		return "";
	}
}

static const char *force_advice(unsigned int flags)
{
	return flags & IMAGE_WRITE ? "" : "; --force-while-mounted looks at it all the same";
}

/*
 * 0, or an exit code. A mount over zuf holds no lock that we would see: the kernel has the device, and maps it for its server.
 */
static int check_not_mounted(const char *path, unsigned int flags)
{
	char where[PATH_MAX];
	struct stat st;

	if (flags & IMAGE_WHILE_MOUNTED || stat(path, &st) || !busy_mounted(path, &st, where, sizeof(where)))
		return 0;
	say_error("%s: in use: %s; unmount it first%s", path, where, force_advice(flags));
	return EXIT_FAIL;
}

int image_open(const char *path, unsigned int flags, struct image *out)
{
	unsigned int pmem_flags = flags & IMAGE_WRITE ? 0 : PMEM_OPEN_RDONLY;
	struct image img = { .path = path };
	const char *why = "";
	int err;

	if (check_not_mounted(path, flags))
		return EXIT_FAIL;
	if (flags & IMAGE_WHILE_MOUNTED)
		pmem_flags |= PMEM_OPEN_NOLOCK;
	err = busy_open(path, pmem_flags, &img.pm);
	if (err) {
		say_error("%s: %s%s", path, say_open_error(err), err == -EBUSY ? force_advice(flags) : "");
		return EXIT_FAIL;
	}
	say_on_sigbus(path, NULL);
	err = super_read(img.pm->base, img.pm->size, &img.sb, &img.used_copy, &why);
	if (err) {
		say_error("%s: %s%s", path, why, super_advice(err));
		pmem_close(img.pm);
		return EXIT_FAIL;
	}
	if (img.used_copy)
		fprintf(stderr, "%s: superblock in block 0 is damaged, its copy in the last block is used\n", path);
	img.n_blocks = le64_get(img.sb.n_blocks);
	img.data_block = le64_get(img.sb.data_block);
	*out = img;
	return 0;
}

static uint64_t seen_bytes(const struct image *img)
{
	return round_up_to(img->n_blocks / 8 + 8, PMFS2_BLOCK_SIZE);
}

void image_close(struct image *img)
{
	image_visit_reset(img);
	pmem_close(img->pm);
	img->pm = NULL;
}

void image_visit_reset(struct image *img)
{
	if (img->seen)
		munmap(img->seen, seen_bytes(img));
	img->seen = NULL;
}

int image_visit(struct image *img, uint64_t block, const char *what)
{
	uint64_t mask = 1ull << (block % 64);

	if (!img->seen) {
		img->seen =
			mmap(NULL, seen_bytes(img), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (img->seen == MAP_FAILED) {
			img->seen = NULL;
			say_error("%s: not enough address space for a walk; raise the limits (ulimit -v)", img->path);
			return 1;
		}
	}
	if (img->seen[block / 64] & mask) {
		image_damage(img, "%s in block %llu is reached a second time", what, (unsigned long long)block);
		return 1;
	}
	img->seen[block / 64] |= mask;
	return 0;
}

void image_damage(struct image *img, const char *fmt, ...)
{
	va_list ap;

	img->damaged = 1;
	printf("DAMAGED: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* The word of a node of the inode table; level 0: the root word. 1 and the entry, 0 if there is none, -EUCLEAN. */
static int itable_entry(struct image *img, uint64_t word, const struct entry_pos *pos, uint32_t below, struct entry *out)
{
	if (!word)
		return 0;
	if (entry_unpack(pos, word, out) && out->kind == (below ? PMFS2_ENTRY_NODE : PMFS2_ENTRY_CHUNK) &&
	    image_block_ok(img, out->block, below ? 1 : PMFS2_CHUNK_BLOCKS))
		return 1;
	image_damage(img, "inode table: entry 0x%016llx at level %u for chunk %llu", (unsigned long long)word, pos->level,
		     (unsigned long long)pos->index);
	return -EUCLEAN;
}

/* First block of a chunk. 0, -ENOENT, -EUCLEAN. */
static int chunk_find(struct image *img, uint64_t chunk, uint64_t *out_block)
{
	const struct pmfs2_state *state = image_block(img, 1);
	uint64_t word = le64_load(&state->itable_root);
	uint32_t height = (uint32_t)(word >> PMFS2_ENTRY_HEIGHT_SHIFT & 15);
	struct entry_pos pos = { .owner = PMFS2_INO_ITABLE, .level = height };
	struct entry e;
	int r;

	if (height > ITABLE_HEIGHT_MAX) {
		image_damage(img, "inode table: its root 0x%016llx has a height of %u", (unsigned long long)word, height);
		return -EUCLEAN;
	}
	r = itable_entry(img, word, &pos, height, &e);
	if (r <= 0)
		return r ? r : -ENOENT;
	if (chunk >> (9 * height))
		return -ENOENT;
	for (uint32_t level = height; level; level--) {
		uint32_t shift = 9 * (level - 1);
		const le64 *node = image_block(img, e.block);

		pos = (struct entry_pos){ .owner = PMFS2_INO_ITABLE, .level = level, .index = chunk >> shift << shift };
		r = itable_entry(img, le64_load(node + (chunk >> shift & 511)), &pos, level - 1, &e);
		if (r <= 0)
			return r ? r : -ENOENT;
	}
	*out_block = e.block;
	return 0;
}

static int inode_sound(const struct pmfs2_inode *media, uint64_t ino)
{
	struct pmfs2_inode copy = *media;

	copy.crc = le32_of(0);
	return le32_get(media->magic) == PMFS2_MAGIC_INODE && le64_get(media->ino) == ino &&
	       le32_get(media->crc) == crc32c_of(&copy, sizeof(copy));
}

int image_inode(struct image *img, uint64_t ino, struct pmfs2_inode *out, uint64_t *out_off)
{
	uint64_t block;
	int err;

	*out_off = 0;
	if (ino >> PMFS2_INO_BITS || !(ino % PMFS2_CHUNK_INODES))
		return -ENOENT;
	err = chunk_find(img, ino / PMFS2_CHUNK_INODES, &block);
	if (err)
		return err;
	*out_off = (block << PMFS2_BLOCK_SHIFT) + ino % PMFS2_CHUNK_INODES * PMFS2_INODE_SIZE;
	memcpy(out, pmem_at(img->pm, *out_off), sizeof(*out));
	if (pmem_is_zero(out, sizeof(*out)))
		return 0;
	if (inode_sound(out, ino))
		return 0;
	image_damage(img, "inode %llu at byte %llu: wrong magic, number or CRC", (unsigned long long)ino,
		     (unsigned long long)*out_off);
	return -EUCLEAN;
}

int image_xattrs(struct image *img, uint64_t ino, uint64_t word, struct image_xattrs *out)
{
	struct entry_pos pos = { .owner = ino };
	struct pmfs2_xattr_block blk;
	const uint8_t *at;
	struct entry e;
	uint32_t crc, n, used;

	if (!entry_unpack(&pos, word, &e) || e.kind != PMFS2_ENTRY_XATTR || !image_block_ok(img, e.block, 1)) {
		image_damage(img, "inode %llu: xattr pointer 0x%016llx", (unsigned long long)ino, (unsigned long long)word);
		return -EUCLEAN;
	}
	at = image_block(img, e.block);
	memcpy(&blk, at, sizeof(blk));
	crc = le32_get(blk.crc);
	n = le32_get(blk.n_blocks);
	used = le32_get(blk.used);
	blk.crc = le32_of(0);
	if (le32_get(blk.magic) != PMFS2_MAGIC_XATTR || le64_get(blk.owner) != ino || le64_get(blk.block) != e.block || !n ||
	    n > PMFS2_XATTR_BLOCKS_MAX || !image_block_ok(img, e.block, n) || used > n * PMFS2_BLOCK_SIZE - sizeof(blk) ||
	    crc != ~crc32c(crc32c(~0u, &blk, sizeof(blk)), at + sizeof(blk), used)) {
		image_damage(img, "inode %llu: xattr block %llu: wrong magic, CRC, owner, number or length",
			     (unsigned long long)ino, (unsigned long long)e.block);
		return -EUCLEAN;
	}
	*out = (struct image_xattrs){ .block = e.block, .n_blocks = n, .used = used, .records = at + sizeof(blk) };
	return 0;
}

const char *image_time(uint64_t media_time, char buf[IMAGE_TIME_LEN])
{
	struct zus_time t = fs_time_decode(media_time);
	time_t sec = t.sec;
	char date[40] = "?";
	struct tm tm;

	if (gmtime_r(&sec, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(buf, IMAGE_TIME_LEN, "%s.%09u UTC", date, t.nsec);
	return buf;
}

const char *image_mode_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return mode ? "unknown type" : "free";
	}
}

const char *image_type_name(uint32_t type)
{
	static const char *const names[] = {
		[1] = "fifo", [2] = "chr", [4] = "dir", [6] = "blk", [8] = "file", [10] = "link", [12] = "sock",
	};

	return type < ARRAY_SIZE(names) && names[type] ? names[type] : "?";
}
