/* SPDX-License-Identifier: BSD-3-Clause */
/* Comparison of the two trees of the model test. The walk keeps its own stack of directories, bounded by MAX_DIRS. */
#include "model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_DIRS 4096u
#define MAX_NAMES 256u

struct names {
	char *name[MAX_NAMES];
	size_t n;
};

struct dir_stack {
	char *rel[MAX_DIRS];
	size_t n;
};

int model_compare_stat(struct model *m, const char *what, const struct stat st[2])
{
	if (st[0].st_mode != st[1].st_mode)
		return model_fail(m, "%s: mode %o and %o", what, st[0].st_mode, st[1].st_mode);
	if (st[0].st_nlink != st[1].st_nlink)
		return model_fail(m, "%s: nlink %lu and %lu", what, (unsigned long)st[0].st_nlink, (unsigned long)st[1].st_nlink);
	if (st[0].st_uid != st[1].st_uid || st[0].st_gid != st[1].st_gid)
		return model_fail(m, "%s: owner %u:%u and %u:%u", what, st[0].st_uid, st[0].st_gid, st[1].st_uid, st[1].st_gid);
	if (st[0].st_rdev != st[1].st_rdev)
		return model_fail(m, "%s: device %lx and %lx", what, (unsigned long)st[0].st_rdev, (unsigned long)st[1].st_rdev);
	if (!S_ISDIR(st[0].st_mode) && st[0].st_size != st[1].st_size)
		return model_fail(m, "%s: size %lld and %lld", what, (long long)st[0].st_size, (long long)st[1].st_size);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_free(struct names *ns)
{
	while (ns->n)
		free(ns->name[--ns->n]);
}

/* Sorted names of a directory, each with the letter of its type in front. */
static int names_read(const char *path, struct names *out)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	char text[300];

	out->n = 0;
	if (!d)
		return -errno;
	while ((e = readdir(d)) && out->n < MAX_NAMES) {
		snprintf(text, sizeof(text), "%c%s", 'a' + e->d_type, e->d_name);
		out->name[out->n++] = strdup(text);
	}
	closedir(d);
	qsort(out->name, out->n, sizeof(out->name[0]), compare_names);
	return 0;
}

static int compare_contents(struct model *m, const char *rel, const char abs[2][PATH_MAX], const struct stat *ref)
{
	struct shadow_file *f = model_shadow_abs(m, abs[1]);
	int fd[2], err = 0;

	if (!f)
		return model_fail(m, "%s: lost on the reference side", rel);
	f->seen = 1;
	if (f->size != (size_t)ref->st_size)
		return model_fail(m, "%s: size %lld on both sides, %zu in memory", rel, (long long)ref->st_size, f->size);
	for (int side = 0; side < 2; side++)
		fd[side] = open(abs[side], O_RDONLY | O_CLOEXEC);
	if (fd[0] < 0 || fd[1] < 0)
		err = model_fail(m, "%s: open: %s", rel, strerror(errno));
	for (size_t off = 0; off < f->size && !err; off += MODEL_IO_MAX) {
		size_t len = f->size - off < MODEL_IO_MAX ? f->size - off : MODEL_IO_MAX;

		for (int side = 0; side < 2 && !err; side++)
			if (pread(fd[side], m->buf[side], MODEL_IO_MAX, (off_t)off) != (ssize_t)len ||
			    memcmp(m->buf[side], f->data + off, len))
				err = model_fail(m, "%s: contents of side %d differ from memory behind byte %zu", rel, side, off);
	}
	for (int side = 0; side < 2; side++)
		if (fd[side] >= 0)
			close(fd[side]);
	return err;
}

/* The names of the xattrs that the test uses, sorted, in one text. */
static void xattr_names(const char *path, char *text, size_t cap)
{
	char list[4096];
	struct names ns = { .n = 0 };
	ssize_t len = llistxattr(path, list, sizeof(list));

	text[0] = '\0';
	for (char *p = list; len > 0 && p < list + len && ns.n < MAX_NAMES; p += strlen(p) + 1)
		if (!strncmp(p, "user.", 5) || !strncmp(p, "trusted.", 8))
			ns.name[ns.n++] = strdup(p);
	qsort(ns.name, ns.n, sizeof(ns.name[0]), compare_names);
	for (size_t i = 0; i < ns.n; i++)
		snprintf(text + strlen(text), cap - strlen(text), "%s ", ns.name[i]);
	names_free(&ns);
}

static int compare_xattrs(struct model *m, const char *rel, const char abs[2][PATH_MAX])
{
	char text[2][1024], value[2][512], *save = NULL;

	if (!m->has_xattr)
		return 0;
	for (int side = 0; side < 2; side++)
		xattr_names(abs[side], text[side], sizeof(text[side]));
	if (strcmp(text[0], text[1]))
		return model_fail(m, "%s: xattrs '%s' and '%s'", rel, text[0], text[1]);
	for (const char *name = strtok_r(text[0], " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		ssize_t a = lgetxattr(abs[0], name, value[0], sizeof(value[0]));
		ssize_t b = lgetxattr(abs[1], name, value[1], sizeof(value[1]));

		if (a != b || (a > 0 && memcmp(value[0], value[1], (size_t)a)))
			return model_fail(m, "%s: xattr %s differs (%zd and %zd bytes)", rel, name, a, b);
	}
	return 0;
}

static int compare_node(struct model *m, const char *rel, struct dir_stack *stack)
{
	char abs[2][PATH_MAX], target[2][PATH_MAX];
	struct stat st[2];

	for (int side = 0; side < 2; side++) {
		snprintf(abs[side], PATH_MAX, "%.1000s/%.3000s", m->root[side], rel);
		if (lstat(abs[side], &st[side]))
			return model_fail(m, "%s: side %d: lstat: %s", rel, side, strerror(errno));
	}
	if (model_compare_stat(m, rel, st) || compare_xattrs(m, rel, abs))
		return -1;
	if (S_ISDIR(st[0].st_mode)) {
		if (stack->n == MAX_DIRS)
			return model_fail(m, "more than %u directories", MAX_DIRS);
		stack->rel[stack->n++] = strdup(rel);
		return 0;
	}
	if (S_ISREG(st[0].st_mode))
		return compare_contents(m, rel, abs, &st[1]);
	if (!S_ISLNK(st[0].st_mode))
		return 0;
	for (int side = 0; side < 2; side++) {
		ssize_t len = readlink(abs[side], target[side], PATH_MAX - 1);

		target[side][len < 0 ? 0 : len] = '\0';
	}
	return strcmp(target[0], target[1]) ? model_fail(m, "%s: targets '%s' and '%s'", rel, target[0], target[1]) : 0;
}

static int compare_dir(struct model *m, const char *rel, struct dir_stack *stack)
{
	static _Thread_local struct names names[2];
	char abs[PATH_MAX], child[PATH_MAX];
	int err = 0;

	for (int side = 0; side < 2; side++) {
		snprintf(abs, sizeof(abs), "%.1000s/%.3000s", m->root[side], rel);
		if (names_read(abs, &names[side]))
			err = model_fail(m, "%s: side %d: opendir: %s", rel, side, strerror(errno));
	}
	if (!err && names[0].n != names[1].n)
		err = model_fail(m, "%s: readdir gives %zu and %zu names", rel, names[0].n, names[1].n);
	for (size_t i = 0; i < names[0].n && !err; i++) {
		const char *name = names[0].name[i];

		if (strcmp(name, names[1].name[i]))
			err = model_fail(m, "%s: readdir gives '%s' and '%s' (letter: type)", rel, name, names[1].name[i]);
		else if (strcmp(name + 1, ".") && strcmp(name + 1, "..")) {
			snprintf(child, sizeof(child), "%.3800s/%.280s", rel, name + 1);
			err = compare_node(m, child, stack);
		}
	}
	names_free(&names[0]);
	names_free(&names[1]);
	return err;
}

int model_compare_trees(struct model *m)
{
	struct dir_stack *stack = calloc(1, sizeof(*stack));
	int err = 0;

	if (!stack)
		return model_fail(m, "out of memory");
	stack->rel[stack->n++] = strdup(".");
	while (stack->n) {
		char *rel = stack->rel[--stack->n];

		err = err ? err : compare_dir(m, rel, stack);
		free(rel);
	}
	free(stack);
	for (size_t i = 0; i < MODEL_SLOTS; i++) {
		struct shadow_file *f = m->slots[i].fd[0] >= 0 ? model_shadow_fd(m, &m->slots[i]) : NULL;

		if (f)
			f->seen = 1;
	}
	if (!err)
		shadow_sweep(&m->shadow);
	return err;
}
