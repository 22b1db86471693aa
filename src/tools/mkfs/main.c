/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mkfs.pmfs2: makes a pmfs2 file system.
 *
 * Order: look at what is there; resize; old signatures wiped; format (mkfs_format's own order); the backing file synced; success
 *is said only then. If cut: what was there before, or no file system, or the new one; never half of one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "options.h"
#include "pmfs2/mkfs.h"
#include "probe.h"
#include "report.h"
#include "target.h"
#include "tools/common/say.h"
#include "tools/common/text.h"

#define DEFAULTS_FIT_BYTES (256ull << 20)

static void format_failed(const char *path, int err)
{
	if (err == -EINVAL)
		say_error("%s: too small for this journal and at least one file; give more room, or fewer or smaller rings",
			  path);
	else
		say_error("%s: cannot format: %s", path, strerror(-err));
}

/* 0: may be overwritten. */
static int check_contents(const struct options *opts, const struct target *tg)
{
	char what[512];
	int r;

	if (!tg->pm || tg->created)
		return 0;
	r = probe_find(tg->pm, what, sizeof(what));
	if (!r || (r > 0 && opts->force))
		return 0;
	if (r < 0) {
		say_error("%s: cannot be read to see what is on it: %s", opts->path, strerror(-r));
		return EXIT_FAIL;
	}
	fprintf(stderr, "mkfs.pmfs2: %s: holds ", opts->path);
	text_print(stderr, what, strlen(what));
	fprintf(stderr, "; -f overwrites it, and everything on it is lost\n");
	return EXIT_FAIL;
}

static void print_state(const struct options *opts, const struct target *tg, const struct pmem *pm, const struct pmfs2_super *sb)
{
	const struct pmfs2_state *state = pmem_at(pm, PMFS2_BLOCK_SIZE);

	if (!opts->quiet)
		report_print(opts->path, tg->pm, sb, &state->horizon[0]);
}

/* The same format in memory that is not reserved: only the blocks that are written cost anything. show: print the result. */
static int trial(const struct options *opts, const struct target *tg, int show)
{
	void *base = mmap(NULL, tg->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct pmfs2_super sb;
	struct pmem *pm = NULL;
	int err;

	if (base == MAP_FAILED) {
		say_error("%s: not enough address space to try it", opts->path);
		return EXIT_FAIL;
	}
	err = pmem_open_external(base, tg->size, &pm);
	if (!err)
		err = mkfs_format(pm, &opts->params, &sb);
	if (err)
		format_failed(opts->path, err);
	else if (show)
		print_state(opts, tg, pm, &sb);
	pmem_close(pm);
	munmap(base, tg->size);
	return err ? EXIT_FAIL : EXIT_OK;
}

static int dry_run(const struct options *opts, const struct target *tg)
{
	int rc = trial(opts, tg, 1);

	if (!rc && !opts->quiet)
		printf("dry run   nothing was changed\n");
	return rc;
}

/* Whether everything fits is known before anything is lost; with the default journal it can only fail on small devices. */
static int check_fits(const struct options *opts, const struct target *tg)
{
	if (tg->size >= DEFAULTS_FIT_BYTES && !opts->params.n_rings && !opts->params.ring_blocks)
		return 0;
	return trial(opts, tg, 0);
}

static int format(const struct options *opts, struct target *tg)
{
	struct pmfs2_super sb;
	int err, rc = check_fits(opts, tg);

	if (!rc)
		rc = target_resize(tg);
	if (rc)
		return rc;
	say_on_sigbus(opts->path, tg->created ? opts->path : NULL);
	err = tg->created ? 0 : probe_wipe(tg->pm);
	if (err) {
		say_error("%s: cannot wipe what is on it: %s; use wipefs(8)", opts->path, strerror(-err));
		return EXIT_FAIL;
	}
	err = mkfs_format(tg->pm, &opts->params, &sb);
	if (err) {
		format_failed(opts->path, err);
		return EXIT_FAIL;
	}
	err = pmem_sync(tg->pm);
	if (err) {
		say_error("%s: cannot be written to its storage: %s; see dmesg and df", opts->path, strerror(-err));
		return EXIT_FAIL;
	}
	print_state(opts, tg, tg->pm, &sb);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	struct target tg = { 0 };
	struct options opts;
	int rc = options_parse(argc, argv, &opts);

	if (rc >= 0)
		return rc;
	rc = target_open(&opts, &tg);
	if (rc)
		return rc;
	say_on_sigbus(opts.path, NULL);
	rc = check_contents(&opts, &tg);
	if (!rc)
		rc = opts.dry_run ? dry_run(&opts, &tg) : format(&opts, &tg);
	target_close(&tg, rc != EXIT_OK);
	if (fflush(stdout) && !rc)
		say_error("cannot write to standard output");
	return rc;
}
