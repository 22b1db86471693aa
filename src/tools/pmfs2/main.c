/* SPDX-License-Identifier: BSD-3-Clause */
/* pmfs2: looks at a pmfs2 device or image without mounting it, and sets its label. Arguments only. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "commands.h"
#include "journal_view.h"
#include "tools/common/say.h"
#include "tools/common/text.h"

struct arguments {
	int json;
	unsigned int flags; /* IMAGE_* */
	int n_words;
	char **words; /* command, device, ... */
};

static void usage(FILE *f)
{
	fprintf(f, "Usage: pmfs2 [options] info DEVICE\n"
		   "       pmfs2 [options] dump DEVICE super|journal|intents\n"
		   "       pmfs2 [options] dump DEVICE inode|dir|map NUMBER\n"
		   "       pmfs2 [options] dump DEVICE path /PATH\n"
		   "       pmfs2 [options] label DEVICE [NEW]\n"
		   "Looks at a pmfs2 that is not mounted; 'label' with a text changes its label.\n\n"
		   "      --json                 info: one JSON object\n"
		   "      --force-while-mounted  look at a mounted one; what changes meanwhile may look damaged\n"
		   "  -h, --help                 this text\n"
		   "  -V, --version              version\n"
		   "Exit codes: 0 done, 1 failed, 2 wrong arguments, 4 done, but a structure is damaged.\n");
}

/* -1: go on; otherwise the exit code. */
static int arguments_parse(int argc, char **argv, struct arguments *out)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "force-while-mounted", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "hV", longs, NULL)) != -1) {
		switch (opt) {
		case 'j':
			out->json = 1;
			break;
		case 'm':
			out->flags |= IMAGE_WHILE_MOUNTED;
			break;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		case 'V':
			printf("pmfs2 %s\n", PMFS2_VERSION);
			return EXIT_OK;
		default:
			fprintf(stderr, "Try 'pmfs2 --help'.\n");
			return EXIT_USAGE;
		}
	}
	out->n_words = argc - optind;
	out->words = argv + optind;
	return -1;
}

static int wrong_arguments(const char *what)
{
	say_error("%s", what);
	fprintf(stderr, "Try 'pmfs2 --help'.\n");
	return EXIT_USAGE;
}

struct dump {
	const char *name;
	int (*plain)(struct image *img);
	int (*numbered)(struct image *img, uint64_t ino);
	int (*named)(struct image *img, const char *path);
};

static const struct dump *dump_find(const char *name)
{
	static const struct dump dumps[] = {
		{ .name = "super", .plain = dump_super },     { .name = "journal", .plain = dump_journal },
		{ .name = "intents", .plain = dump_intents }, { .name = "inode", .numbered = dump_inode },
		{ .name = "dir", .numbered = dump_dir },      { .name = "map", .numbered = dump_map },
		{ .name = "path", .named = dump_path },
	};

	for (size_t i = 0; i < ARRAY_SIZE(dumps); i++)
		if (!strcmp(name, dumps[i].name))
			return &dumps[i];
	return NULL;
}

static int run_dump(const struct arguments *args)
{
	const struct dump *dump = args->n_words >= 3 ? dump_find(args->words[2]) : NULL;
	uint64_t ino = 0;
	struct image img;
	int rc;

	if (!dump)
		return wrong_arguments(
			"dump: give a device, then what to show of it: super, inode, dir, map, journal, intents or path");
	if (args->n_words != (dump->plain ? 3 : 4))
		return wrong_arguments(dump->plain   ? "dump: too many arguments"
				       : dump->named ? "dump path: give one path from the root, as /a/b"
						     : "dump: give one inode number");
	if (dump->numbered && text_parse_u64(args->words[3], (1ull << PMFS2_INO_BITS) - 1, &ino))
		return wrong_arguments("dump: an inode number is a decimal number below 2^40; 'ls -i' shows them");
	rc = image_open(args->words[1], args->flags, &img);
	if (rc)
		return rc;
	if (dump->plain != dump_journal)
		journal_warn(&img);
	rc = dump->plain ? dump->plain(&img) : dump->named ? dump->named(&img, args->words[3]) : dump->numbered(&img, ino);
	if (!rc && img.damaged)
		rc = EXIT_DAMAGED;
	image_close(&img);
	return rc;
}

static int run(const struct arguments *args)
{
	const char *command = args->n_words ? args->words[0] : "";

	if (!strcmp(command, "info"))
		return args->n_words == 2 ? command_info(args->words[1], args->flags, args->json)
					  : wrong_arguments("info: give one device or image");
	if (!strcmp(command, "dump"))
		return run_dump(args);
	if (!strcmp(command, "label"))
		return args->n_words == 2 || args->n_words == 3
			       ? command_label(args->words[1], args->n_words == 3 ? args->words[2] : NULL, args->flags)
			       : wrong_arguments("label: give one device or image, and the new label if it shall change");
	return wrong_arguments(args->n_words ? "unknown command; there are info, dump and label" : "no command given");
}

int main(int argc, char **argv)
{
	struct arguments args = { 0 };
	int rc = arguments_parse(argc, argv, &args);

	if (rc < 0)
		rc = run(&args);
	if (fflush(stdout) && (rc == EXIT_OK || rc == EXIT_DAMAGED)) {
		say_error("cannot write to standard output");
		rc = EXIT_FAIL;
	}
	return rc;
}
