/* SPDX-License-Identifier: BSD-3-Clause */
/* pmfs2 dump DEVICE path /a/b: each step of a path, then the inode at its end. Symlinks are shown, not followed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "dir_view.h"
#include "tools/common/say.h"
#include "tools/common/text.h"

static int name_is(struct zus_name name, const char *str)
{
	return name.len == strlen(str) && !memcmp(name.str, str, name.len);
}

/* One step from *ino on. 0 or an exit code. */
static int path_step(struct image *img, struct zus_name name, uint64_t *ino)
{
	uint64_t off, next = 0;
	struct pmfs2_inode dir;
	uint32_t type = 0;
	int err = image_inode(img, *ino, &dir, &off);

	if (err == -EUCLEAN)
		return EXIT_DAMAGED;
	if (err || !S_ISDIR(le32_get(dir.mode))) {
		say_error("%s: inode %llu on the path is no directory but a %s", img->path, (unsigned long long)*ino,
			  err ? "missing one" : image_mode_name(le32_get(dir.mode)));
		return EXIT_FAIL;
	}
	if (name_is(name, "."))
		return 0;
	if (name_is(name, "..")) {
		*ino = le64_get(dir.parent_or_rdev);
		return 0;
	}
	err = dir_view_find(img, &dir, name, &next, &type);
	if (err == -EUCLEAN)
		return EXIT_DAMAGED;
	if (err) {
		fflush(stdout);
		fprintf(stderr, "pmfs2: %s: no ", img->path);
		text_print(stderr, name.str, name.len);
		fprintf(stderr, " in directory %llu\n", (unsigned long long)*ino);
		return EXIT_FAIL;
	}
	text_print(stdout, name.str, name.len);
	printf(": inode %llu, %s\n", (unsigned long long)next, image_type_name(type));
	*ino = next;
	return 0;
}

int dump_path(struct image *img, const char *path)
{
	uint64_t ino = PMFS2_INO_ROOT;

	for (size_t len; *path; path += len) {
		int rc;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len)
			break;
		if (len > ZUS_NAME_MAX) {
			say_error("%s: a name has at most %u bytes", img->path, ZUS_NAME_MAX);
			return EXIT_FAIL;
		}
		rc = path_step(img, (struct zus_name){ path, (uint32_t)len }, &ino);
		if (rc)
			return rc;
	}
	return dump_inode(img, ino);
}
