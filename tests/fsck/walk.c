/* SPDX-License-Identifier: BSD-3-Clause */
/* What a mount shows: a line for each name, in order of the paths. Everything is read: contents, targets, attributes. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "golden.h"
#include "pmfs2/fs.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

#define LINES_MAX 4096
#define LINE_BYTES 400
#define DATA_MAX (16ull << 20) /* bytes of a file that are read: damage can make a size of anything */

struct walk {
	struct zus_fs *fs;
	char (*lines)[LINE_BYTES];
	uint32_t n;
	int err;
	/* directories that are still to be read: node and path */
	struct {
		uint64_t node;
		char path[128];
	} todo[256];
	uint32_t n_todo;
	uint64_t dir;
	char path[128];
	char names[1024][64]; /* of the directory that is being read */
	uint32_t n_names;
};

static uint32_t data_crc(struct walk *w, const struct zus_attr *attr)
{
	uint64_t size = attr->size < DATA_MAX ? attr->size : DATA_MAX;
	uint32_t crc = ~0u;

	for (uint64_t off = 0; off < size && !w->err;) {
		struct zus_extent ext[16];
		struct zus_io io = { .node = attr->node, .off = off, .len = size - off, .ext = ext, .ext_cap = 16 };
		static const uint8_t zeros[4096];

		w->err = w->fs->ops->io_begin(w->fs, &io);
		if (w->err)
			return 0;
		for (uint32_t i = 0; i < io.n_ext; i++)
			for (uint64_t at = 0; at < ext[i].len; at += 4096) {
				uint64_t n = ext[i].len - at < 4096 ? ext[i].len - at : 4096;

				crc = crc32c(crc,
					     ext[i].flags & ZUS_EXT_HOLE ? zeros : (uint8_t *)w->fs->base + ext[i].dev_off + at,
					     n);
			}
		w->err = w->fs->ops->io_end(w->fs, &io, io.mapped);
		off += io.mapped;
	}
	return ~crc;
}

/* Names and sizes of xattrs. */
static void xattrs_add(struct walk *w, const struct zus_attr *attr, char *line)
{
	char list[512], value[4096];
	int n = w->fs->ops->listxattr(w->fs, attr->node, list, sizeof(list));

	if (n < 0)
		w->err = n;
	for (int at = 0; at < n; at += (int)strlen(list + at) + 1) {
		struct zus_name name = { list + at, (uint32_t)strlen(list + at) };
		int len = w->fs->ops->getxattr(w->fs, attr->node, name, value, sizeof(value));
		size_t used = strlen(line);

		snprintf(line + used, LINE_BYTES - used, " %s=%d", list + at, len);
	}
}

static void line_add(struct walk *w, const char *path, const struct zus_attr *attr)
{
	char *line = w->lines[w->n++], target[4096] = "";

	snprintf(line, LINE_BYTES, "%s ino %llu mode %o nlink %u uid %u size %llu blocks %llu", path,
		 (unsigned long long)attr->ino, attr->mode, attr->nlink, attr->uid,
		 (unsigned long long)(S_ISDIR(attr->mode) ? 0 : attr->size), (unsigned long long)attr->blocks);
	if (S_ISREG(attr->mode))
		snprintf(line + strlen(line), LINE_BYTES - strlen(line), " crc %08x", data_crc(w, attr));
	if (S_ISLNK(attr->mode)) {
		int n = w->fs->ops->readlink(w->fs, attr->node, target, sizeof(target) - 1);

		if (n < 0)
			w->err = n;
		snprintf(line + strlen(line), LINE_BYTES - strlen(line), " to %.20s", n < 0 ? "?" : target);
	}
	xattrs_add(w, attr, line);
}

static int emit(void *ctx, const struct zus_dirent *de, const struct zus_attr *attr)
{
	struct walk *w = ctx;

	if ((de->name.len == 1 && de->name.str[0] == '.') || (de->name.len == 2 && !memcmp(de->name.str, "..", 2)))
		return 1;
	if (w->n_names < 1024)
		snprintf(w->names[w->n_names++], sizeof(w->names[0]), "%.*s", (int)de->name.len, de->name.str);
	return 1;
}

static void name_visit(struct walk *w, const char *name)
{
	struct zus_attr attr;
	char path[200];

	w->err = w->fs->ops->lookup(w->fs, w->dir, (struct zus_name){ name, (uint32_t)strlen(name) }, &attr);
	if (w->err)
		return;
	w->fs->ops->forget(w->fs, attr.node, 1);
	snprintf(path, sizeof(path), "%s/%s", w->path, name);
	if (w->n < LINES_MAX)
		line_add(w, path, &attr);
	if (S_ISDIR(attr.mode) && w->n_todo < 256) {
		w->todo[w->n_todo].node = attr.node;
		snprintf(w->todo[w->n_todo++].path, sizeof(w->path), "%s", path);
	}
}

/* Names first: readdir holds the directory's lock while it calls. */
static void dir_visit(struct walk *w)
{
	int err;

	w->dir = w->todo[--w->n_todo].node;
	snprintf(w->path, sizeof(w->path), "%s", w->todo[w->n_todo].path);
	w->n_names = 0;
	err = w->fs->ops->readdir(w->fs, w->dir, 0, 0, emit, w);
	w->err = err < 0 ? err : 0;
	for (uint32_t i = 0; i < w->n_names && !w->err; i++)
		name_visit(w, w->names[i]);
}

static int line_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

int golden_walk(struct pmem *pm, FILE *out)
{
	struct walk *w = calloc(1, sizeof(*w));
	int err;

	w->lines = calloc(LINES_MAX, LINE_BYTES);
	w->err = pmfs2_mount_pmem(pm, NULL, 0, &w->fs);
	if (!w->err) {
		w->todo[w->n_todo++].node = ZUS_NODE_ROOT;
		while (w->n_todo && !w->err)
			dir_visit(w);
		fs_detach(fs_of(w->fs));
	}
	qsort(w->lines, w->n, LINE_BYTES, line_cmp);
	for (uint32_t i = 0; i < w->n; i++)
		fprintf(out, "%s\n", w->lines[i]);
	err = w->err;
	free(w->lines);
	free(w);
	return err;
}
