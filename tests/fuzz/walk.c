/* SPDX-License-Identifier: BSD-3-Clause */
/* The walk: breadth first, the list of items is the queue of directories still to be read. */
#include "walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "seed.h"

#define EXTENTS 7u /* few, so that transfers end early */
#define DIR_ENTRIES_MAX 2048u
#define SEEKS_MAX 64u
#define BLOCK_BYTES 4096u
#define LOOK_BYTES 32u
#define FNV_START 0xcbf29ce484222325ull

void walk_die(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: the engine broke a promise: %s\n", file, line, what);
	abort();
}

static uint64_t digest_add(uint64_t digest, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		digest = (digest ^ p[i]) * 0x100000001b3ull;
	return digest;
}

static uint64_t digest_u64(uint64_t digest, uint64_t v)
{
	return (digest ^ v) * 0x100000001b3ull + (v >> 29);
}

static void error_note(struct walk *w, int err)
{
	w->n_errors++;
	if (err == -EUCLEAN || err == -EIO)
		w->n_damage++;
}

/* --- data ---------------------------------------------------------------------------------------------------------------- */

/* The first words of each block: whose it is, they tell. */
static void words_look(struct walk_data *out, const uint8_t *p, uint64_t off, uint64_t len)
{
	out->digest = digest_u64(out->digest, off);
	for (uint64_t i = -off & 7; i + 8 <= len; i += 8) {
		uint64_t word;

		if ((off + i) % BLOCK_BYTES >= LOOK_BYTES) {
			i += BLOCK_BYTES - (off + i) % BLOCK_BYTES - 8;
			continue;
		}
		memcpy(&word, p + i, sizeof(word));
		out->digest = digest_u64(out->digest, word);
		if (!word)
			continue;
		if (word >> 32 != SEED_STAMP || (out->file_number && out->file_number != (uint32_t)word))
			out->mixed = 1;
		if (word >> 32 == SEED_STAMP)
			out->file_number = (uint32_t)word;
	}
}

/* Checks what io_begin promised, and looks at the bytes. */
static void extents_look(struct zus_fs *fs, const struct zus_io *io, struct walk_data *out)
{
	uint64_t sum = 0;

	WALK_MUST(io->n_ext <= io->ext_cap && io->mapped <= io->len);
	for (uint32_t i = 0; i < io->n_ext; i++) {
		const struct zus_extent *e = &io->ext[i];

		WALK_MUST(e->len && e->len <= io->mapped - sum);
		if (!(e->flags & ZUS_EXT_HOLE)) {
			WALK_MUST(e->dev_off <= fs->size && e->len <= fs->size - e->dev_off);
			words_look(out, (const uint8_t *)fs->base + e->dev_off, io->off + sum, e->len);
		}
		sum += e->len;
	}
	WALK_MUST(sum == io->mapped);
}

int walk_read(struct zus_fs *fs, uint64_t node, uint64_t size, struct walk_data *out)
{
	uint64_t off = 0;

	*out = (struct walk_data){ .digest = FNV_START };
	for (uint32_t i = 0; i < WALK_FILE_WINDOWS; i++) {
		struct zus_extent ext[EXTENTS];
		struct zus_io io = { .node = node, .off = off, .len = size - off, .ext = ext, .ext_cap = EXTENTS };
		int err = fs->ops->io_begin(fs, &io);

		if (err)
			return err;
		extents_look(fs, &io, out);
		err = fs->ops->io_end(fs, &io, io.mapped);
		if (err)
			return err;
		off += io.mapped;
		if (!io.mapped || off >= size)
			break;
	}
	return 0;
}

static void seeks_do(struct walk *w, uint64_t node, uint64_t *digest)
{
	uint64_t off = 0;
	int whence = ZUS_SEEK_DATA;

	for (uint32_t i = 0; i < SEEKS_MAX; i++) {
		uint64_t found;
		int err = w->fs->ops->seek(w->fs, node, off, whence, &found);

		if (err) {
			if (err != -ENXIO)
				error_note(w, err);
			return;
		}
		WALK_MUST(found >= off);
		*digest = digest_u64(*digest, found);
		off = found;
		whence = whence == ZUS_SEEK_DATA ? ZUS_SEEK_HOLE : ZUS_SEEK_DATA;
	}
}

/* --- one inode ----------------------------------------------------------------------------------------------------------- */

static uint64_t attr_digest(const struct zus_attr *a)
{
	uint64_t d = digest_u64(FNV_START, a->ino);

	d = digest_u64(d, a->size);
	d = digest_u64(d, a->blocks);
	d = digest_u64(d, a->rdev);
	d = digest_u64(d, a->generation);
	d = digest_u64(d, (uint64_t)a->mode << 32 | a->nlink);
	d = digest_u64(d, (uint64_t)a->uid << 32 | a->gid);
	return digest_u64(d, (uint64_t)a->flags << 32 | a->projid);
}

static uint64_t times_digest(const struct zus_attr *a)
{
	uint64_t d = digest_u64(FNV_START, (uint64_t)a->mtime.sec << 30 ^ a->mtime.nsec);
	d = digest_u64(d, (uint64_t)a->ctime.sec << 30 ^ a->ctime.nsec);
	return digest_u64(d, (uint64_t)a->btime.sec << 30 ^ a->btime.nsec);
}

static void xattrs_look(struct walk *w, struct walk_item *item)
{
	static char names[65536];
	static uint8_t value[65536];
	int len = w->fs->ops->listxattr(w->fs, item->node, names, sizeof(names)), size;

	size = w->fs->ops->listxattr(w->fs, item->node, NULL, 0);
	if (len < 0) {
		if (len != -ERANGE)
			error_note(w, len);
		return;
	}
	WALK_MUST(len == size && (!len || !names[len - 1]));
	for (int at = 0; at < len; at += (int)strlen(names + at) + 1) {
		struct zus_name name = { names + at, (uint32_t)strlen(names + at) };
		int n = w->fs->ops->getxattr(w->fs, item->node, name, value, sizeof(value));

		if (n < 0) {
			error_note(w, n);
			continue;
		}
		WALK_MUST((size_t)n <= sizeof(value));
		item->digest = digest_add(digest_add(item->digest, name.str, name.len), value, (size_t)n);
	}
}

static void target_look(struct walk *w, struct walk_item *item)
{
	char target[4096];
	int n = w->fs->ops->readlink(w->fs, item->node, target, sizeof(target));

	if (n < 0) {
		error_note(w, n);
		return;
	}
	WALK_MUST((size_t)n < sizeof(target));
	item->digest = digest_add(item->digest, target, (size_t)n);
}

static void item_look(struct walk *w, struct walk_item *item)
{
	struct walk_data data;
	struct zus_attr attr;
	int err = w->fs->ops->getattr(w->fs, item->node, &attr);

	if (err) {
		error_note(w, err);
		return;
	}
	WALK_MUST(attr.ino == item->ino && attr.node == item->node);
	item->mode = attr.mode;
	item->digest = attr_digest(&attr);
	item->times = times_digest(&attr);
	xattrs_look(w, item);
	if (S_ISLNK(attr.mode))
		target_look(w, item);
	if (!S_ISREG(attr.mode))
		return;
	seeks_do(w, item->node, &item->digest);
	err = walk_read(w->fs, item->node, attr.size, &data);
	if (err) {
		error_note(w, err);
		return;
	}
	item->digest = digest_u64(item->digest, data.digest);
	item->file_number = data.file_number;
	w->n_mixed += data.mixed;
}

/* --- directories --------------------------------------------------------------------------------------------------------- */

struct found_name {
	char str[ZUS_NAME_MAX];
	uint32_t len;
	uint64_t ino;
	uint64_t next_cookie;
};

static int emit_one(void *ctx, const struct zus_dirent *entry, const struct zus_attr *attr)
{
	struct found_name *found = ctx;

	(void)attr;
	if (found->len)
		return 0;
	WALK_MUST(entry->name.len && entry->name.len <= ZUS_NAME_MAX && entry->next_cookie && !(entry->next_cookie >> 63));
	memcpy(found->str, entry->name.str, entry->name.len);
	found->len = entry->name.len;
	found->ino = entry->ino;
	found->next_cookie = entry->next_cookie;
	return 1;
}

/* Takes nothing: the references of the attributes stay the engine's. */
static int emit_plus(void *ctx, const struct zus_dirent *entry, const struct zus_attr *attr)
{
	(void)ctx;
	WALK_MUST(!attr || attr->node == entry->node);
	return 0;
}

static void entry_add(struct walk *w, const struct walk_item *dir, const struct found_name *found)
{
	struct zus_name name = { found->str, found->len };
	struct walk_item *item;
	struct zus_attr attr;
	int err;

	if (found->str[0] == '.' && (found->len == 1 || (found->len == 2 && found->str[1] == '.')))
		return;
	err = w->fs->ops->lookup(w->fs, dir->node, name, &attr);
	if (err) {
		error_note(w, err);
		return;
	}
	if (w->n_items == WALK_NODES) {
		w->full = 1;
	} else {
		item = &w->items[w->n_items++];
		*item = (struct walk_item){ .ino = attr.ino, .node = attr.node, .parent = dir->ino };
		item->name_digest = digest_add(FNV_START, found->str, found->len);
		item_look(w, item);
	}
	w->fs->ops->forget(w->fs, attr.node, 1);
}

/* Entry by entry, as a kernel with a tiny buffer would, so that positions are used. */
static void dir_read(struct walk *w, const struct walk_item *dir)
{
	uint64_t cookie = 0;

	for (uint32_t i = 0; i < DIR_ENTRIES_MAX; i++) {
		struct found_name found = { .len = 0 };
		int err = w->fs->ops->readdir(w->fs, dir->node, cookie, 0, emit_one, &found);

		if (err)
			error_note(w, err);
		if (!found.len)
			break;
		WALK_MUST(found.next_cookie > cookie || found.next_cookie + 1 >= cookie);
		cookie = found.next_cookie;
		entry_add(w, dir, &found);
		if (err)
			return;
	}
	(void)w->fs->ops->readdir(w->fs, dir->node, 2, 1, emit_plus, NULL);
}

static int seen_before(const struct walk *w, uint32_t place)
{
	for (uint32_t i = 0; i < place; i++)
		if (w->items[i].ino == w->items[place].ino)
			return 1;
	return 0;
}

int walk_all(struct walk *w, struct zus_fs *fs)
{
	struct zus_statfs st;
	struct zus_attr root;
	int err = fs->ops->getattr(fs, ZUS_NODE_ROOT, &root);

	memset(w, 0, sizeof(*w));
	w->fs = fs;
	if (err)
		return err;
	WALK_MUST(!fs->ops->statfs(fs, &st));
	w->items[0] = (struct walk_item){ .ino = root.ino, .node = root.node, .parent = root.ino };
	w->n_items = 1;
	item_look(w, &w->items[0]);
	for (uint32_t i = 0; i < w->n_items; i++)
		if (S_ISDIR(w->items[i].mode) && !seen_before(w, i))
			dir_read(w, &w->items[i]);
	return 0;
}
