/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments of fsck.pmfs2: those that fsck(8) passes on, and our own. Everything is checked before anything is opened. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tools/common/say.h"
#include "tools/common/text.h"

#define THREADS_MAX 64u
#define FD_MAX 65535u

enum {
	OPT_LIST = 256,
};

static void usage(FILE *f)
{
	fprintf(f, "Usage: fsck.pmfs2 [options] DEVICE|FILE\n"
		   "Checks a pmfs2 file system that is not mounted, and repairs it. Without -n, -p or -y it asks for each "
		   "repair.\n\n"
		   "  -n                    check only, store nothing\n"
		   "  -p, -a                repair what is safe to repair without being asked\n"
		   "  -y                    repair everything\n"
		   "  -f, --force           check also what was unmounted cleanly\n"
		   "  -c, --read-all        read every block in use, file contents too, for media errors; implies -f\n"
		   "  -v, --verbose         say more at the end\n"
		   "  -C, --progress[=FD]   progress bar; with FD other than 0: lines for a program (-C needs the FD)\n"
		   "  -j, --threads N       threads of the check, 1 to 64 (default: one for each CPU)\n"
		   "      --list-problems   the problems that it knows: code, safe for -p or not, what is wrong, what -y does\n"
		   "  -h, --help            this text\n"
		   "  -V, --version         version\n\n"
		   "Exit code, a sum: 0 no problems, 1 repaired, 4 problems are left, 8 could not be done, 16 usage, 32 "
		   "canceled.\n");
}

static void list_problems(void)
{
	printf("%-17s %-4s  %s\n%-17s %-4s  %s\n", "code", "safe", "what is wrong", "", "", "  repair");
	for (int i = 0; i < FSCK_N_CODES; i++) {
		const struct fsck_problem *p = fsck_problem((enum fsck_code)i);

		printf("%-17s %-4s  %s\n%-17s %-4s    %s\n", p->name, p->safe ? "yes" : "no", p->what, "", "", p->repair);
	}
}

static int mode_set(struct options *out, enum fsck_mode mode)
{
	if (out->mode != FSCK_ASK && out->mode != mode) {
		say_error("only one of -n, -p (or -a) and -y can be given");
		return EXIT_FSCK_USAGE;
	}
	out->mode = mode;
	return -1;
}

static int parse_progress(const char *text, struct options *out)
{
	uint64_t fd = 0;

	/* fsck(8) passes a negative number where another check has the bar. */
	if (text && text[0] == '-')
		return -1;
	if (text && text_parse_u64(text, FD_MAX, &fd)) {
		say_error("-C '%s': give the number of an open file, or 0 for a bar", text);
		return EXIT_FSCK_USAGE;
	}
	out->progress_fd = (int)fd;
	return -1;
}

static int parse_threads(const char *text, struct options *out)
{
	uint64_t n;

	if (text_parse_u64(text, THREADS_MAX, &n) || !n) {
		say_error("-j '%s': give a number from 1 to %u", text, THREADS_MAX);
		return EXIT_FSCK_USAGE;
	}
	out->threads = (uint32_t)n;
	return -1;
}

static int option_take(int opt, const char *arg, struct options *out)
{
	switch (opt) {
	case 'n':
		return mode_set(out, FSCK_CHECK);
	case 'p':
	case 'a':
		return mode_set(out, FSCK_PREEN);
	case 'y':
		return mode_set(out, FSCK_YES);
	case 'r':
		return -1; /* of fsck(8): ask, which is the default */
	case 'f':
		out->force = 1;
		return -1;
	case 'c':
		out->read_all = 1;
		return -1;
	case 'v':
		out->verbose = 1;
		return -1;
	case 'C':
		return parse_progress(arg, out);
	case 'j':
		return parse_threads(arg, out);
	case OPT_LIST:
		list_problems();
		return 0;
	case 'h':
		usage(stdout);
		return 0;
	case 'V':
		printf("fsck.pmfs2 %s\n", PMFS2_VERSION);
		return 0;
	default:
		fprintf(stderr, "Try 'fsck.pmfs2 --help'.\n");
		return EXIT_FSCK_USAGE;
	}
}

int options_parse(int argc, char **argv, struct options *out)
{
	static const struct option longs[] = {
		{ "force", no_argument, NULL, 'f' },
		{ "read-all", no_argument, NULL, 'c' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "progress", optional_argument, NULL, 'C' },
		{ "threads", required_argument, NULL, 'j' },
		{ "list-problems", no_argument, NULL, OPT_LIST },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int opt, rc;

	*out = (struct options){ .mode = FSCK_ASK, .progress_fd = PROGRESS_NONE };
	while ((opt = getopt_long(argc, argv, "npayrfcvC:j:hV", longs, NULL)) != -1) {
		rc = option_take(opt, optarg, out);
		if (rc >= 0)
			return rc;
	}
	if (optind + 1 != argc) {
		say_error(optind == argc ? "no device or file given" : "give one device or file only");
		fprintf(stderr, "Try 'fsck.pmfs2 --help'.\n");
		return EXIT_FSCK_USAGE;
	}
	out->path = argv[optind];
	return -1;
}
