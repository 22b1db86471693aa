/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capturing a state: a walk breadth first, directory by directory, each sorted by name.
 *
 * Cost: proportional to names and to blocks that files use; no allocation for a name or a block. Data is hashed where it lies, a
 * block of zeros counts like a hole.
 */
#include "crash/state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "crash/state_private.h"

#define BLOCK 4096u
#define INODES_MAX 1000000u
#define EXTENTS_MAX 64u
#define RUNS_MAX 1000000u
#define XATTR_LIST_MAX 65536u
#define NO_INODE UINT32_MAX

/* A name as read, not sorted yet. */
struct entry {
	struct zus_attr attr;
	uint32_t name; /* offset in text */
	uint32_t len;
};

struct capture {
	struct zus_fs *fs;
	struct state *s;
	unsigned int flags;
	char *why;
	size_t why_size;
	uint32_t dir; /* whose names are read */
	struct entry *entries; /* of it */
	size_t n_entries, cap_entries;
	int err;
	uint32_t *table; /* open addressing: index of inodes, NO_INODE: free */
	size_t table_size;
	uint8_t *value; /* ZUS_XATTR_SIZE_MAX bytes */
	char *list; /* XATTR_LIST_MAX bytes */
};

static int capture_fail(struct capture *c, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int capture_fail(struct capture *c, int err, const char *fmt, ...)
{
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, c->why_size, fmt, ap);
	va_end(ap);
	len = strlen(c->why);
	if (len < c->why_size)
		snprintf(c->why + len, c->why_size - len, ": %s", strerror(-err));
	c->err = err;
	return err;
}

/* --- growing arrays ------------------------------------------------------------------------------------------------------ */

static int room(void *array_of, size_t *cap, size_t n, size_t item)
{
	void **array = array_of;
	size_t want = *cap ? *cap : 64;
	void *grown;

	if (n <= *cap)
		return 0;
	while (want < n)
		want *= 2;
	grown = realloc(*array, want * item);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*cap = want;
	return 0;
}

static int text_add(struct state *s, const char *bytes, size_t len, uint32_t *out)
{
	int err = room(&s->text, &s->cap_text, s->n_text + len + 1, 1);

	if (err)
		return err;
	*out = (uint32_t)s->n_text;
	memcpy(s->text + s->n_text, bytes, len);
	s->text[s->n_text + len] = '\0';
	s->n_text += len + 1;
	return 0;
}

/* --- data ---------------------------------------------------------------------------------------------------------------- */

/* Of len bytes; 0 if they are all zeros. */
static uint64_t bytes_digest(const uint8_t *at, uint64_t len)
{
	uint64_t lane[4] = { 1, 2, 3, 4 }, any = 0, i = 0;

	for (; i + 32 <= len; i += 32) {
		uint64_t w[4];

		memcpy(w, at + i, 32);
		any |= w[0] | w[1] | w[2] | w[3];
		for (int k = 0; k < 4; k++)
			lane[k] = (lane[k] ^ w[k]) * 0x9fb21c651e98df25ull, lane[k] ^= lane[k] >> 29;
	}
	for (; i < len; i++) {
		any |= at[i];
		/* With its place: bytes of zeros behind count for nothing. */
		lane[i % 4] += at[i] ? digest_mix(at[i], i) : 0;
	}
	return any ? digest_mix(digest_mix(lane[0], lane[1]), digest_mix(lane[2], lane[3])) | 1 : 0;
}

/* Adds the blocks of a run to the digest of the file's contents: a sum, so that runs may be cut anywhere between blocks. */
static uint64_t run_digest(const struct state_run *run)
{
	uint64_t sum = 0;

	for (uint64_t at = 0; run->ptr && at < run->len;) {
		uint64_t n = u64_min(BLOCK - (run->off + at) % BLOCK, run->len - at), d = bytes_digest(run->ptr + at, n);

		if (d)
			sum += digest_mix(d, run->off + at);
		at += n;
	}
	return sum;
}

static int run_add(struct capture *c, struct state_inode *ino, struct state_run run)
{
	struct state *s = c->s;
	struct state_run *last = ino->n_runs ? &s->runs[s->n_runs - 1] : NULL;

	if (last && (last->ptr ? run.ptr == last->ptr + last->len : !run.ptr)) {
		last->len += run.len;
		return 0;
	}
	if (s->n_runs == RUNS_MAX || room(&s->runs, &s->cap_runs, s->n_runs + 1, sizeof(run)))
		return -ENOMEM;
	s->runs[s->n_runs++] = run;
	ino->n_runs++;
	return 0;
}

/* One transfer from off on. Bytes, or -errno. */
static int64_t data_map(struct capture *c, struct state_inode *ino, uint64_t off)
{
	struct zus_extent ext[EXTENTS_MAX];
	struct zus_io io = {
		.node = ino->attr.node, .off = off, .len = ino->attr.size - off, .flags = ZUS_IO_NOATIME, .ext = ext
	};
	int64_t done = 0;
	int err;

	io.ext_cap = EXTENTS_MAX;
	err = c->fs->ops->io_begin(c->fs, &io);
	if (err)
		return err;
	for (uint32_t i = 0; !err && i < io.n_ext; i++) {
		int hole = ext[i].flags & ZUS_EXT_HOLE;

		if (!hole && (ext[i].dev_off > c->fs->size || ext[i].len > c->fs->size - ext[i].dev_off))
			err = -EUCLEAN;
		else
			err = run_add(c, ino,
				      (struct state_run){ off + (uint64_t)done, ext[i].len,
							  hole ? NULL : (const uint8_t *)c->fs->base + ext[i].dev_off });
		done += (int64_t)ext[i].len;
	}
	if (!err && (uint64_t)done != io.mapped)
		err = -EUCLEAN;
	if (c->fs->ops->io_end(c->fs, &io, io.mapped) && !err)
		err = -EIO;
	return err ? err : done;
}

/* What seek() says of the first data and the first hole must be what the runs show. */
static int seek_check(struct capture *c, const struct state_inode *ino)
{
	const struct state_run *run = &c->s->runs[ino->first_run];
	uint64_t data = ino->attr.size, off = 0;
	int err;

	for (uint32_t i = ino->n_runs; i-- > 0;)
		if (run[i].ptr)
			data = run[i].off;
	err = c->fs->ops->seek(c->fs, ino->attr.node, 0, ZUS_SEEK_DATA, &off);
	if (err ? err != -ENXIO || data != ino->attr.size : off != data)
		return capture_fail(c, err && err != -ENXIO ? err : -EUCLEAN,
				    "%s: seek finds the first data at %llu, reads at %llu", c->s->text + ino->path,
				    (unsigned long long)off, (unsigned long long)data);
	return 0;
}

static int data_capture(struct capture *c, struct state_inode *ino)
{
	uint64_t off = 0;
	int64_t n = 0;

	ino->first_run = (uint32_t)c->s->n_runs;
	while (off < ino->attr.size) {
		n = data_map(c, ino, off);
		if (n <= 0)
			return capture_fail(c, n ? (int)n : -EIO, "%s: read at %llu", c->s->text + ino->path,
					    (unsigned long long)off);
		off += (uint64_t)n;
	}
	if (off != ino->attr.size)
		return capture_fail(c, -EUCLEAN, "%s: reads go to %llu, the size is %llu", c->s->text + ino->path,
				    (unsigned long long)off, (unsigned long long)ino->attr.size);
	for (uint32_t i = 0; i < ino->n_runs; i++) {
		const struct state_run *run = &c->s->runs[ino->first_run + i];

		ino->data_digest += run_digest(run);
		/* Runs of data are cut where blocks are not neighbours: only their holes are layout. */
		if (!run->ptr)
			ino->layout_digest += digest_mix(run->off, run->len);
	}
	return ino->attr.size && !(c->flags & STATE_FOREIGN) ? seek_check(c, ino) : 0;
}

/* --- xattrs, targets ----------------------------------------------------------------------------------------------------- */

static int xattr_add(struct capture *c, struct state_inode *ino, const char *name)
{
	struct state_xattr xa;
	struct state *s = c->s;
	int n = c->fs->ops->getxattr(c->fs, ino->attr.node, (struct zus_name){ name, (uint32_t)strlen(name) }, c->value,
				     ZUS_XATTR_SIZE_MAX);

	if (n < 0)
		return capture_fail(c, n, "%s: getxattr %s", s->text + ino->path, name);
	if (text_add(s, name, strlen(name), &xa.name) || room(&s->xattrs, &s->cap_xattrs, s->n_xattrs + 1, sizeof(xa)))
		return capture_fail(c, -ENOMEM, "xattrs");
	xa.len = (uint32_t)n;
	xa.digest = digest_mix(bytes_digest(c->value, (uint64_t)n), (uint64_t)n);
	s->xattrs[s->n_xattrs++] = xa;
	ino->n_xattrs++;
	/* A sum: the order of the list does not matter. */
	ino->xattr_digest += digest_mix(digest_text(name, strlen(name)), xa.digest);
	return 0;
}

static int xattrs_capture(struct capture *c, struct state_inode *ino)
{
	int n = c->fs->ops->listxattr(c->fs, ino->attr.node, c->list, XATTR_LIST_MAX), err = 0;

	if (n < 0)
		return capture_fail(c, n, "%s: listxattr", c->s->text + ino->path);
	ino->first_xattr = (uint32_t)c->s->n_xattrs;
	for (const char *at = c->list; !err && at < c->list + n; at += strlen(at) + 1)
		err = xattr_add(c, ino, at);
	return err;
}

static int symlink_capture(struct capture *c, struct state_inode *ino)
{
	int n = c->fs->ops->readlink(c->fs, ino->attr.node, (char *)c->value, BLOCK);

	if (n < 0)
		return capture_fail(c, n, "%s: readlink", c->s->text + ino->path);
	if (text_add(c->s, (const char *)c->value, (size_t)n, &ino->symlink))
		return capture_fail(c, -ENOMEM, "symlink");
	ino->data_digest = digest_text((const char *)c->value, (size_t)n);
	return 0;
}

static uint64_t time_word(struct zus_time t)
{
	return digest_mix((uint64_t)t.sec, t.nsec);
}

/* Everything of an inode whose attributes and path are there. */
static int inode_capture(struct capture *c, struct state_inode *ino)
{
	const struct zus_attr *a = &ino->attr;
	uint64_t size = S_ISDIR(a->mode) ? 0 : a->size, d; /* that of a directory is a matter of space */
	int err = xattrs_capture(c, ino);

	if (!err && S_ISREG(a->mode))
		err = data_capture(c, ino);
	if (!err && S_ISLNK(a->mode))
		err = symlink_capture(c, ino);
	d = digest_mix((uint64_t)a->mode << 32 | a->nlink, (uint64_t)a->uid << 32 | a->gid);
	d = digest_mix(d, size);
	d = digest_mix(d, a->rdev);
	d = digest_mix(d, (uint64_t)a->flags << 32 | a->projid);
	d = digest_mix(d, time_word(a->atime));
	d = digest_mix(d, time_word(a->mtime));
	d = digest_mix(d, time_word(a->ctime));
	d = digest_mix(d, time_word(a->btime));
	d = digest_mix(d, ino->xattr_digest);
	ino->shape = S_ISREG(a->mode) ? d : digest_mix(d, ino->data_digest);
	ino->digest = digest_mix(d, ino->data_digest);
	return err;
}

/* --- names --------------------------------------------------------------------------------------------------------------- */

static size_t table_slot(const struct capture *c, uint64_t ino)
{
	size_t at = (size_t)digest_mix(ino, 77) & (c->table_size - 1);

	while (c->table[at] != NO_INODE && c->s->inodes[c->table[at]].attr.ino != ino)
		at = (at + 1) & (c->table_size - 1);
	return at;
}

static int table_grow(struct capture *c)
{
	size_t size = c->table_size ? 2 * c->table_size : 256;
	uint32_t *grown;

	if (c->s->n_inodes * 2 < c->table_size)
		return 0;
	grown = malloc(size * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown, 0xff, size * sizeof(*grown));
	free(c->table);
	c->table = grown;
	c->table_size = size;
	for (uint32_t i = 0; i < c->s->n_inodes; i++)
		c->table[table_slot(c, c->s->inodes[i].attr.ino)] = i;
	return 0;
}

/* A number for an inode that has none yet. */
static int inode_add(struct capture *c, const struct zus_attr *attr, uint32_t parent, uint32_t path)
{
	struct state *s = c->s;
	int err = s->n_inodes == INODES_MAX ? -EFBIG : room(&s->inodes, &s->cap_inodes, s->n_inodes + 1, sizeof(*s->inodes));

	if (!err)
		err = table_grow(c);
	if (err)
		return capture_fail(c, err, "inodes");
	s->inodes[s->n_inodes] = (struct state_inode){ .attr = *attr, .parent = parent, .path = path };
	c->table[table_slot(c, attr->ino)] = (uint32_t)s->n_inodes++;
	return inode_capture(c, &s->inodes[s->n_inodes - 1]);
}

static int dots_check(struct capture *c, const struct zus_dirent *e)
{
	const struct state_inode *dir = &c->s->inodes[c->dir];
	uint64_t want = e->name.len == 1 ? dir->attr.ino : c->s->inodes[dir->parent].attr.ino;

	if (e->ino != want)
		capture_fail(c, -EUCLEAN, "%s: %.*s is inode %llu, expected %llu", c->s->text + dir->path, (int)e->name.len,
			     e->name.str, (unsigned long long)e->ino, (unsigned long long)want);
	return !c->err;
}

/* Keeps an entry for sorting. */
static int entry_emit(void *ctx, const struct zus_dirent *e, const struct zus_attr *attr)
{
	struct capture *c = ctx;
	struct entry entry;

	if ((e->name.len == 1 && e->name.str[0] == '.') || (e->name.len == 2 && !memcmp(e->name.str, "..", 2)))
		return dots_check(c, e);
	if (!attr)
		return !capture_fail(c, -EUCLEAN, "%.*s: readdir without attributes", (int)e->name.len, e->name.str);
	/* The name stays while nobody removes it: no reference is needed. */
	c->fs->ops->forget(c->fs, attr->node, 1);
	if (attr->ino != e->ino || e->type != (attr->mode >> 12 & 15))
		return !capture_fail(c, -EUCLEAN, "%.*s: readdir says inode %llu type %u, its attributes %llu mode %o",
				     (int)e->name.len, e->name.str, (unsigned long long)e->ino, e->type,
				     (unsigned long long)attr->ino, attr->mode);
	entry = (struct entry){ .attr = *attr, .len = e->name.len };
	if (text_add(c->s, e->name.str, e->name.len, &entry.name) ||
	    room(&c->entries, &c->cap_entries, c->n_entries + 1, sizeof(entry)))
		return !capture_fail(c, -ENOMEM, "names");
	c->entries[c->n_entries++] = entry;
	return 1;
}

static int entry_cmp(const void *a, const void *b, void *text)
{
	const struct entry *ea = a, *eb = b;

	return strcmp((const char *)text + ea->name, (const char *)text + eb->name);
}

static int path_add(struct capture *c, const struct entry *e, uint32_t *out)
{
	struct state *s = c->s;
	uint32_t dir = s->inodes[c->dir].path;
	char path[4352];
	int n;

	if (!c->dir) {
		*out = e->name;
		return 0;
	}
	n = snprintf(path, sizeof(path), "%.4000s/%s", s->text + dir, s->text + e->name);
	return text_add(s, path, u64_min((uint64_t)n, sizeof(path) - 1), out) ? capture_fail(c, -ENOMEM, "names") : 0;
}

static int entry_take(struct capture *c, const struct entry *e)
{
	struct state *s = c->s;
	uint32_t known = c->table[table_slot(c, e->attr.ino)], path;
	int err = 0;

	if (known == NO_INODE) {
		known = (uint32_t)s->n_inodes;
		err = path_add(c, e, &path);
		if (!err)
			err = inode_add(c, &e->attr, c->dir, path);
	} else if (S_ISDIR(e->attr.mode)) {
		err = capture_fail(c, -EUCLEAN, "%s: a second name of directory %s", s->text + e->name,
				   s->text + s->inodes[known].path);
	}
	if (!err && room(&s->names, &s->cap_names, s->n_names + 1, sizeof(*s->names)))
		err = capture_fail(c, -ENOMEM, "names");
	if (err)
		return err;
	s->names[s->n_names++] = (struct state_name){ c->dir, known, e->name, e->len };
	s->names_digest = digest_mix(s->names_digest, digest_text(s->text + e->name, e->len));
	s->names_digest = digest_mix(s->names_digest, (uint64_t)c->dir << 32 | known);
	return 0;
}

static int dir_capture(struct capture *c, uint32_t dir)
{
	int err;

	c->dir = dir;
	c->n_entries = 0;
	err = c->fs->ops->readdir(c->fs, c->s->inodes[dir].attr.node, 0, 1, entry_emit, c);
	if (c->err)
		return c->err;
	if (err)
		return capture_fail(c, err, "%s: readdir", c->s->text + c->s->inodes[dir].path);
	if (c->n_entries)
		qsort_r(c->entries, c->n_entries, sizeof(*c->entries), entry_cmp, c->s->text);
	for (size_t i = 0; i < c->n_entries && !err; i++) {
		if (i && !strcmp(c->s->text + c->entries[i].name, c->s->text + c->entries[i - 1].name))
			err = capture_fail(c, -EUCLEAN, "%s: twice in its directory", c->s->text + c->entries[i].name);
		else
			err = entry_take(c, &c->entries[i]);
	}
	return err;
}

/* --- the whole ----------------------------------------------------------------------------------------------------------- */

static void digests_make(struct state *s)
{
	uint64_t visible = s->names_digest, shape = s->names_digest, space;

	for (size_t i = 0; i < s->n_inodes; i++) {
		visible = digest_mix(visible, s->inodes[i].digest);
		shape = digest_mix(shape, s->inodes[i].shape);
	}
	s->visible = visible;
	space = digest_mix(s->free_blocks, s->used_inodes);
	for (size_t i = 0; i < s->n_inodes; i++) {
		const struct state_inode *ino = &s->inodes[i];

		space = digest_mix(space, digest_mix(ino->attr.blocks, ino->layout_digest));
		if (S_ISDIR(ino->attr.mode))
			space = digest_mix(space, ino->attr.size);
	}
	s->shape = digest_mix(shape, space);
	s->digest = digest_mix(visible, space);
}

static int root_capture(struct capture *c)
{
	struct zus_attr attr;
	uint32_t path;
	int err = c->fs->ops->getattr(c->fs, ZUS_NODE_ROOT, &attr);

	if (err)
		return capture_fail(c, err, "root: getattr");
	if (text_add(c->s, "", 0, &path) || text_add(c->s, ".", 1, &path))
		return capture_fail(c, -ENOMEM, "root");
	return inode_add(c, &attr, 0, path);
}

static int space_capture(struct capture *c)
{
	struct zus_statfs st;
	int err = c->fs->ops->statfs(c->fs, &st);

	if (err)
		return capture_fail(c, err, "statfs");
	c->s->free_blocks = st.bfree;
	c->s->used_inodes = st.files - st.ffree;
	return 0;
}

int state_capture(struct zus_fs *fs, unsigned int flags, struct state **out, char *why, size_t why_size)
{
	struct capture c = { .fs = fs, .flags = flags, .why = why, .why_size = why_size };
	int err;

	c.s = calloc(1, sizeof(*c.s));
	c.value = malloc(ZUS_XATTR_SIZE_MAX);
	c.list = malloc(XATTR_LIST_MAX);
	err = c.s && c.value && c.list ? 0 : capture_fail(&c, -ENOMEM, "capture");
	if (!err)
		err = root_capture(&c);
	for (uint32_t i = 0; !err && i < c.s->n_inodes; i++)
		if (S_ISDIR(c.s->inodes[i].attr.mode))
			err = dir_capture(&c, i);
	if (!err)
		err = space_capture(&c);
	if (!err) {
		c.s->flags = flags;
		digests_make(c.s);
	}
	free(c.value);
	free(c.list);
	free(c.table);
	free(c.entries);
	if (err)
		state_free(c.s);
	else
		*out = c.s;
	return err;
}

void state_free(struct state *s)
{
	if (!s)
		return;
	free(s->names);
	free(s->inodes);
	free(s->runs);
	free(s->xattrs);
	free(s->text);
	free(s->copy);
	free(s);
}

void state_add_free(struct state *s, uint64_t blocks, uint64_t inodes)
{
	s->free_blocks += blocks;
	s->used_inodes -= inodes;
	digests_make(s);
}

/* The inode of prev whose bytes are those of ino, or NULL. */
static const struct state_inode *same_data(const struct state *prev, const struct state_inode *ino, size_t index)
{
	for (size_t i = 0; prev && i < prev->n_inodes; i++) {
		const struct state_inode *old = &prev->inodes[(index + i) % prev->n_inodes];

		if (old->attr.ino == ino->attr.ino && old->data_digest == ino->data_digest && old->attr.size == ino->attr.size &&
		    old->layout_digest == ino->layout_digest)
			return old;
	}
	return NULL;
}

int state_own_data(struct state *s, const struct state *prev)
{
	size_t bytes = 0, at = 0;

	for (int copying = 0; copying < 2; copying++) {
		for (size_t i = 0; i < s->n_inodes; i++) {
			struct state_inode *ino = &s->inodes[i];
			const struct state_inode *old = ino->n_runs ? same_data(prev, ino, i) : NULL;

			if (old && old->n_runs == ino->n_runs) {
				if (copying)
					memcpy(&s->runs[ino->first_run], &prev->runs[old->first_run],
					       ino->n_runs * sizeof(*s->runs));
				continue;
			}
			for (uint32_t r = 0; r < ino->n_runs; r++) {
				struct state_run *run = &s->runs[ino->first_run + r];

				if (run->ptr && copying) {
					memcpy(s->copy + at, run->ptr, run->len);
					run->ptr = s->copy + at;
					at += run->len;
				}
				bytes += run->ptr && !copying ? run->len : 0;
			}
		}
		if (!copying && bytes && !(s->copy = malloc(bytes)))
			return -ENOMEM;
	}
	return 0;
}
