/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device or file to format.
 *
 * The lock that pmem_open takes is held from before the first look at the contents until the end; a file that is resized is
 * mapped a second time behind that lock.
 */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pmfs2/media/super.h"
#include "tools/common/busy.h"
#include "tools/common/say.h"
#include "tools/common/text.h"

static int open_failed(const char *path, int err)
{
	say_error("%s: %s", path, say_open_error(err));
	return EXIT_FAIL;
}

/* Makes the file, sparse. The umask takes away from 0600, nothing adds to it. */
static int file_create(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), err;

	if (fd < 0) {
		say_error("%s: cannot create the file: %s", path, strerror(errno));
		return EXIT_FAIL;
	}
	err = ftruncate(fd, (off_t)size) ? errno : 0;
	close(fd);
	if (err) {
		say_error("%s: cannot make the file %llu bytes large: %s%s", path, (unsigned long long)size, strerror(err),
			  err == EFBIG ? "; choose another file system for it, or a smaller --size" : "");
		unlink(path);
		return EXIT_FAIL;
	}
	return 0;
}

/* An empty file holds nothing that a lock could protect; it must have a size to be mapped. */
static int file_fill_empty(const char *path, uint64_t size)
{
	if (!truncate(path, (off_t)size))
		return 0;
	say_error("%s: cannot make the file %llu bytes large: %s", path, (unsigned long long)size, strerror(errno));
	return EXIT_FAIL;
}

static int check_kind(const struct options *opts, const struct stat *st)
{
	char where[PATH_MAX];

	if (S_ISDIR(st->st_mode)) {
		say_error("%s: is a directory; give a device, or a file with --size", opts->path);
		return EXIT_FAIL;
	}
	if (!S_ISREG(st->st_mode) && opts->size) {
		say_error("%s: --size is for files; a device is formatted whole", opts->path);
		return EXIT_USAGE;
	}
	if (busy_where(opts->path, st, where, sizeof(where))) {
		say_error("%s: in use: %s; unmount or detach it first", opts->path, where);
		return EXIT_FAIL;
	}
	return 0;
}

/* A path that does not exist. */
static int target_create(const struct options *opts, struct target *tg)
{
	int rc;

	if (!opts->size) {
		say_error("%s: does not exist; give --size SIZE to create a file", opts->path);
		return EXIT_FAIL;
	}
	tg->size = opts->size;
	if (opts->dry_run)
		return 0;
	rc = file_create(opts->path, opts->size);
	tg->created = !rc;
	return rc;
}

static int check_size(const struct options *opts, struct target *tg)
{
	uint64_t now = tg->pm->size, want = opts->size ? opts->size : now;
	char a[TEXT_SIZE_LEN], b[TEXT_SIZE_LEN];

	if (want < now && !opts->force) {
		say_error("%s: has %s, --size says %s; -f shrinks it (what is behind is lost)", opts->path, text_size(now, a),
			  text_size(want, b));
		return EXIT_FAIL;
	}
	if (want >> PMFS2_BLOCK_SHIFT < PMFS2_BLOCKS_MIN) {
		say_error("%s: too small: %s, a pmfs2 needs at least 4 MiB; a file grows with --size", opts->path,
			  text_size(want, a));
		return EXIT_FAIL;
	}
	if (want >> PMFS2_BLOCK_SHIFT > PMFS2_BLOCKS_MAX) {
		say_error("%s: too large: %s, a pmfs2 has at most 4 PiB; make a smaller partition or namespace", opts->path,
			  text_size(want, a));
		return EXIT_FAIL;
	}
	tg->size = want;
	return 0;
}

int target_open(const struct options *opts, struct target *out)
{
	struct target tg = { .path = opts->path };
	struct stat st;
	int rc, err;

	if (stat(opts->path, &st)) {
		if (errno != ENOENT)
			return open_failed(opts->path, -errno);
		rc = target_create(opts, &tg);
		if (rc || opts->dry_run) {
			*out = tg;
			return rc;
		}
	} else {
		rc = check_kind(opts, &st);
		if (!rc && S_ISREG(st.st_mode) && !st.st_size && opts->size && !opts->dry_run)
			rc = file_fill_empty(opts->path, opts->size);
		if (rc)
			return rc;
	}
	err = busy_open(opts->path, opts->dry_run ? PMEM_OPEN_RDONLY : 0, &tg.pm);
	rc = err ? open_failed(opts->path, err) : check_size(opts, &tg);
	if (rc)
		target_close(&tg, 1);
	else
		*out = tg;
	return rc;
}

int target_resize(struct target *tg)
{
	char self[64];
	int err;

	if (tg->size == tg->pm->size)
		return 0;
	if (ftruncate(tg->pm->fd, (off_t)tg->size)) {
		say_error("%s: cannot make the file %llu bytes large: %s", tg->path, (unsigned long long)tg->size,
			  strerror(errno));
		return EXIT_FAIL;
	}
	/* By the descriptor, not by the name: it is the locked file whatever happens to the name meanwhile. */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", tg->pm->fd);
	tg->locked = tg->pm;
	err = pmem_open(self, PMEM_OPEN_NOLOCK, &tg->pm);
	if (err) {
		tg->pm = NULL;
		return open_failed(tg->path, err);
	}
	return 0;
}

void target_close(struct target *tg, int failed)
{
	pmem_close(tg->pm);
	pmem_close(tg->locked);
	if (failed && tg->created)
		unlink(tg->path);
	tg->pm = tg->locked = NULL;
}
