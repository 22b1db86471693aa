/* SPDX-License-Identifier: BSD-3-Clause */
/* Differences of two states, in words. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "crash/state.h"

#define LINES_MAX 6

struct words {
	char *out;
	size_t size, at;
	int lines;
};

static void say(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (w->lines++ >= LINES_MAX || w->at >= w->size)
		return;
	if (w->lines > 1)
		w->at += (size_t)snprintf(w->out + w->at, w->size - w->at, "; ");
	if (w->at >= w->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(w->out + w->at, w->size - w->at, fmt, ap);
	va_end(ap);
	w->at += (size_t)n;
}

const uint8_t *state_bytes(const struct state *s, const struct state_inode *ino, uint64_t off, uint64_t *out_left)
{
	uint32_t lo = 0, hi = ino->n_runs;

	*out_left = UINT64_MAX - off;
	if (off >= ino->attr.size)
		return NULL;
	/* The last run that begins at or below off. */
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->runs[ino->first_run + mid].off <= off)
			lo = mid;
		else
			hi = mid;
	}
	if (!ino->n_runs)
		return NULL;
	*out_left = s->runs[ino->first_run + lo].off + s->runs[ino->first_run + lo].len - off;
	if (!s->runs[ino->first_run + lo].ptr)
		return NULL;
	return s->runs[ino->first_run + lo].ptr + (off - s->runs[ino->first_run + lo].off);
}

static void data_diff(struct words *w, const struct state *want, const struct state_inode *a, const struct state *found,
		      const struct state_inode *b)
{
	uint64_t end = u64_max(a->attr.size, b->attr.size);

	for (uint64_t off = 0; off < end;) {
		uint64_t left_a, left_b, n;
		const uint8_t *pa = state_bytes(want, a, off, &left_a), *pb = state_bytes(found, b, off, &left_b);

		n = u64_min(u64_min(left_a, left_b), end - off);
		for (uint64_t i = 0; (pa || pb) && i < n; i++) {
			uint8_t va = pa ? pa[i] : 0, vb = pb ? pb[i] : 0;

			if (va == vb)
				continue;
			say(w, "%s: byte %llu is 0x%02x%s, expected 0x%02x%s", found->text + b->path,
			    (unsigned long long)(off + i), vb, pb ? "" : " (hole)", va, pa ? "" : " (hole)");
			return;
		}
		off += n;
	}
	if (!(want->flags & STATE_FOREIGN) && a->layout_digest != b->layout_digest)
		say(w, "%s: holes are elsewhere", found->text + b->path);
}

static void time_diff(struct words *w, const char *path, const char *what, struct zus_time want, struct zus_time found)
{
	if (want.sec != found.sec || want.nsec != found.nsec)
		say(w, "%s: %s %lld.%09u, expected %lld.%09u", path, what, (long long)found.sec, found.nsec, (long long)want.sec,
		    want.nsec);
}

static void number_diff(struct words *w, const char *path, const char *what, uint64_t want, uint64_t found)
{
	if (want != found)
		say(w, "%s: %s %llu, expected %llu", path, what, (unsigned long long)found, (unsigned long long)want);
}

static const struct state_xattr *xattr_of(const struct state *s, const struct state_inode *ino, const char *name)
{
	for (uint32_t i = 0; i < ino->n_xattrs; i++)
		if (!strcmp(s->text + s->xattrs[ino->first_xattr + i].name, name))
			return &s->xattrs[ino->first_xattr + i];
	return NULL;
}

static void xattr_diff(struct words *w, const struct state *want, const struct state_inode *a, const struct state *found,
		       const struct state_inode *b)
{
	const char *path = found->text + b->path;

	for (uint32_t i = 0; i < a->n_xattrs; i++) {
		const struct state_xattr *xa = &want->xattrs[a->first_xattr + i];
		const char *name = want->text + xa->name;
		const struct state_xattr *xb = xattr_of(found, b, name);

		if (!xb)
			say(w, "%s: xattr %s is missing", path, name);
		else if (xa->len != xb->len)
			say(w, "%s: xattr %s has %u bytes, expected %u", path, name, xb->len, xa->len);
		else if (xa->digest != xb->digest)
			say(w, "%s: xattr %s has another value", path, name);
	}
	for (uint32_t i = 0; i < b->n_xattrs; i++) {
		const char *name = found->text + found->xattrs[b->first_xattr + i].name;

		if (!xattr_of(want, a, name))
			say(w, "%s: xattr %s is there, expected none", path, name);
	}
}

static void inode_diff(struct words *w, const struct state *want, const struct state_inode *a, const struct state *found,
		       const struct state_inode *b)
{
	const char *path = found->text + b->path;

	if (a->attr.mode != b->attr.mode)
		say(w, "%s: mode 0%o, expected 0%o", path, b->attr.mode, a->attr.mode);
	number_diff(w, path, "nlink", a->attr.nlink, b->attr.nlink);
	if (!(S_ISDIR(a->attr.mode) && want->flags & STATE_FOREIGN))
		number_diff(w, path, "size", a->attr.size, b->attr.size);
	number_diff(w, path, "uid", a->attr.uid, b->attr.uid);
	number_diff(w, path, "gid", a->attr.gid, b->attr.gid);
	number_diff(w, path, "rdev", a->attr.rdev, b->attr.rdev);
	number_diff(w, path, "flags", a->attr.flags, b->attr.flags);
	number_diff(w, path, "projid", a->attr.projid, b->attr.projid);
	if (a->symlink && b->symlink && strcmp(want->text + a->symlink, found->text + b->symlink))
		say(w, "%s: another symlink target", path);
	if (S_ISREG(a->attr.mode) && S_ISREG(b->attr.mode) &&
	    (a->data_digest != b->data_digest || a->layout_digest != b->layout_digest))
		data_diff(w, want, a, found, b);
	if (a->xattr_digest != b->xattr_digest)
		xattr_diff(w, want, a, found, b);
	time_diff(w, path, "mtime", a->attr.mtime, b->attr.mtime);
	time_diff(w, path, "ctime", a->attr.ctime, b->attr.ctime);
	time_diff(w, path, "atime", a->attr.atime, b->attr.atime);
	time_diff(w, path, "btime", a->attr.btime, b->attr.btime);
	if (!(want->flags & STATE_FOREIGN))
		number_diff(w, path, "st_blocks", a->attr.blocks, b->attr.blocks);
}

/* Order of names, as of the capture: by directory, then by name. */
static int name_cmp(const struct state *sa, const struct state_name *a, const struct state *sb, const struct state_name *b)
{
	int c = strcmp(sa->text + sa->inodes[a->dir].path, sb->text + sb->inodes[b->dir].path);

	return a->dir != b->dir && c ? c : strcmp(sa->text + a->name, sb->text + b->name);
}

static void name_say(struct words *w, const struct state *s, const struct state_name *n, const char *what)
{
	const char *dir = n->dir ? s->text + s->inodes[n->dir].path : "";

	say(w, "%s%s%s: %s", dir, n->dir ? "/" : "", s->text + n->name, what);
}

/* Position of a name that is the same in directory and text, or -1. */
static int name_find(const struct state *s, const struct state *of, const struct state_name *name)
{
	for (size_t i = 0; i < s->n_names; i++)
		if (!name_cmp(s, &s->names[i], of, name) &&
		    !strcmp(s->text + s->inodes[s->names[i].dir].path, of->text + of->inodes[name->dir].path))
			return (int)i;
	return -1;
}

static void names_diff(struct words *w, const struct state *want, const struct state *found)
{
	for (size_t i = 0; i < want->n_names && w->lines < LINES_MAX; i++)
		if (name_find(found, want, &want->names[i]) < 0)
			name_say(w, want, &want->names[i], "missing");
	for (size_t i = 0; i < found->n_names && w->lines < LINES_MAX; i++)
		if (name_find(want, found, &found->names[i]) < 0)
			name_say(w, found, &found->names[i], "there, expected not to be");
	for (size_t i = 0; i < found->n_names && w->lines < LINES_MAX; i++) {
		int at = name_find(want, found, &found->names[i]);
		const struct state_inode *a = at < 0 ? NULL : &want->inodes[want->names[at].inode];
		const struct state_inode *b = &found->inodes[found->names[i].inode];

		if (a && strcmp(want->text + a->path, found->text + b->path))
			name_say(w, found, &found->names[i], "a name of another file than expected");
		else if (a && a->digest != b->digest)
			inode_diff(w, want, a, found, b);
	}
}

void state_diff(const struct state *want, const struct state *found, char *out, size_t out_size)
{
	struct words w = { .out = out, .size = out_size };

	out[0] = '\0';
	if (want->names_digest != found->names_digest) {
		names_diff(&w, want, found);
		if (!w.lines)
			say(&w, "names point to other inodes than expected");
	}
	for (size_t i = 0; want->names_digest == found->names_digest && i < want->n_inodes && w.lines < LINES_MAX; i++) {
		const struct state_inode *a = &want->inodes[i], *b = &found->inodes[i];

		if (a->digest != b->digest || (!(want->flags & STATE_FOREIGN) &&
					       (a->attr.blocks != b->attr.blocks || a->layout_digest != b->layout_digest)))
			inode_diff(&w, want, a, found, b);
	}
	if (want->flags & STATE_FOREIGN)
		return;
	number_diff(&w, "statfs", "free blocks", want->free_blocks, found->free_blocks);
	number_diff(&w, "statfs", "used inodes", want->used_inodes, found->used_inodes);
}
