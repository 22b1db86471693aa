/* SPDX-License-Identifier: BSD-3-Clause */
/* fsck.pmfs2: checks and repairs a pmfs2 that is not mounted. Works behind fsck(8) as "fsck -t pmfs2". */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"
#include "pmem/badpages.h"
#include "talk.h"
#include "tools/common/busy.h"
#include "tools/common/say.h"

/* A repair can be cut anywhere: what is half done is a record of the journal, or done again by the next run. */
static void canceled(int sig)
{
	static const char text[] = "\nfsck.pmfs2: canceled; what was under way is finished by the next run\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)n;
	_exit(EXIT_FSCK_CANCELED);
}

static int device_open(const struct options *opts, struct pmem **out_pm)
{
	char where[PATH_MAX];
	struct stat st;
	int err;

	if (!stat(opts->path, &st) && busy_where(opts->path, &st, where, sizeof(where))) {
		say_error("%s: in use: %s; unmount it first", opts->path, where);
		return FSCK_EXIT_FAILED;
	}
	err = busy_open(opts->path, opts->mode == FSCK_CHECK ? PMEM_OPEN_RDONLY : 0, out_pm);
	if (err) {
		say_error("%s: %s%s", opts->path, say_open_error(err),
			  err == -EROFS || err == -EACCES ? "; -n checks without writing" : "");
		return FSCK_EXIT_FAILED;
	}
	return 0;
}

static int check(struct talk *talk, struct pmem *pm)
{
	const struct options *opts = talk->opts;
	const struct fsck_options fo = {
		.mode = opts->mode,
		.force = opts->force || opts->read_all,
		.read_all = opts->read_all,
		.threads = opts->threads,
		.ctx = talk,
		.report = talk_report,
		.ask = talk_ask,
		.progress = talk->progress.out ? talk_progress : NULL,
		.note = talk_note,
	};
	struct fsck_result res;
	int err = fsck_run(pm, &fo, &res), synced;

	progress_hide(&talk->progress);
	if (err)
		say_error("%s: %s", opts->path, res.error);
	else
		talk_summary(talk, &res);
	synced = opts->mode == FSCK_CHECK ? 0 : pmem_sync(pm);
	if (synced && !err) {
		say_error("%s: cannot be written to its storage: %s; see dmesg and df", opts->path, strerror(-synced));
		res.exit_bits |= FSCK_EXIT_FAILED;
	}
	return res.exit_bits;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = canceled };
	struct talk talk = { 0 };
	struct options opts;
	struct pmem *pm;
	int rc = options_parse(argc, argv, &opts), err;

	if (rc >= 0)
		return rc;
	if (opts.mode == FSCK_ASK && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		say_error("nobody is there to be asked: give -n, -p or -y");
		return FSCK_EXIT_FAILED;
	}
	talk.opts = &opts;
	err = progress_init(&talk.progress, opts.path, opts.progress_fd);
	if (err) {
		say_error("-C %d: %s", opts.progress_fd, strerror(-err));
		return EXIT_FSCK_USAGE;
	}
	rc = device_open(&opts, &pm);
	if (!rc) {
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		(void)pmem_faults_catch();
		rc = check(&talk, pm);
		pmem_close(pm);
	}
	progress_fini(&talk.progress);
	if (fflush(stdout) && !(rc & FSCK_EXIT_FAILED))
		say_error("cannot write to standard output");
	return rc;
}
