/* SPDX-License-Identifier: BSD-3-Clause */
/* crash-explore: the command line of the crash explorer. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "crash/jobs.h"
#include "crash/site_names.h"
#include "crash/plan.h"
#include "crash/report.h"
#include "crash/workload.h"

static const char usage_text[] =
	"usage: crash-explore --level quick|long            the levels of the tests\n"
	"       crash-explore --class NAME [--count N]      one class of workloads\n"
	"       crash-explore --workload TEXT               one workload\n"
	"       crash-explore --name NAME                   one of the named workloads (class bugs)\n"
	"       crash-explore --workload TEXT --list        its crash points, and the stores in flight at each\n"
	"       crash-explore --workload TEXT --image ID    one image: what is lost in it, and what is wrong with it\n"
	"\n"
	"Runs workloads on a recorded simulated device, makes the images that a power failure could leave at each fence and at\n"
	"the end of each operation, and recovers each of them: it must mount, fsck must find nothing, the state must be that\n"
	"before or after the operation (after it, once it has returned), everything must be usable to the end. Then the power\n"
	"fails again inside of the recovery.\n"
	"\n"
	"  --seed N        of sampled classes (default 1)\n"
	"  --jobs N        processes (default: CPUs)\n"
	"  --time S        begin no workload after so many seconds\n"
	"  --k N, --k2 N   all choices of up to N stores; the same inside of recovery\n"
	"  --cap N         choices of a number of stores at a point, 0: all\n"
	"  --no-second     no crash inside of recovery\n"
	"  --first         stop at the first workload that fails\n"
	"  --minimise      drop operations from a workload that fails, while it fails\n"
	"  --mutate SITE   do a store, flush or fence wrong: FILE:LINE:[CALL:]KIND, KIND one of drop, noflush, unlogged, early;\n"
	"                  succeeds at the first failure (\"caught by\"), fails if there is none\n"
	"  --sites         list the call sites\n"
	"  --images        with --list: the names of all images too\n"
	"  --show          print the texts of the workloads instead of exploring them\n"
	"  --tap           report as TAP\n"
	"\n"
	"An image's ID is POINT:PICK, for a crash inside of its recovery POINT:PICK/POINT:PICK. A PICK begins with k (nothing "
	"is\n"
	"kept of what is in flight) or l (nothing is lost), then the stores that are kept or lost all the same, then perhaps a\n"
	"torn one: k3,7  l  l4;9=0-12 (of store 9 only the first 12 words)  l;9!3-4 (of store 9 all words but the fourth).\n";

struct command {
	const char *level, *class, *workload, *image, *mutate;
	struct plan_wish wish;
	struct plan plan;
	struct jobs_options jobs;
	int list, images, tap, show;
};

enum {
	OPT_LEVEL = 256,
	OPT_CLASS,
	OPT_COUNT,
	OPT_WORKLOAD,
	OPT_NAME,
	OPT_IMAGE,
	OPT_LIST,
	OPT_IMAGES,
	OPT_SEED,
	OPT_JOBS,
	OPT_TIME,
	OPT_K,
	OPT_K2,
	OPT_CAP,
	OPT_NO_SECOND,
	OPT_MINIMISE,
	OPT_FIRST,
	OPT_MUTATE,
	OPT_SITES,
	OPT_TAP,
	OPT_SHOW,
	OPT_HELP,
};

static const struct option options[] = {
	{ "level", required_argument, NULL, OPT_LEVEL },
	{ "class", required_argument, NULL, OPT_CLASS },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "workload", required_argument, NULL, OPT_WORKLOAD },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "image", required_argument, NULL, OPT_IMAGE },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "images", no_argument, NULL, OPT_IMAGES },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "k", required_argument, NULL, OPT_K },
	{ "k2", required_argument, NULL, OPT_K2 },
	{ "cap", required_argument, NULL, OPT_CAP },
	{ "no-second", no_argument, NULL, OPT_NO_SECOND },
	{ "first", no_argument, NULL, OPT_FIRST },
	{ "minimise", no_argument, NULL, OPT_MINIMISE },
	{ "mutate", required_argument, NULL, OPT_MUTATE },
	{ "sites", no_argument, NULL, OPT_SITES },
	{ "tap", no_argument, NULL, OPT_TAP },
	{ "show", no_argument, NULL, OPT_SHOW },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static void help_print(void)
{
	fputs(usage_text, stdout);
	printf("\nClasses of workloads:\n");
	for (const struct workload_class *c = workload_classes; c->name; c++)
		printf("  %-12s %s\n", c->name, c->what);
	printf("\nNamed workloads:\n");
	for (const struct workload_named *w = workload_bugs; w->name; w++)
		printf("  %-28s %s\n", w->name, w->what);
	printf("\nWorkloads, in one line: \"preparation; ... | tested; operations; [t2] of a second thread\". Operations:\n");
	workload_help_print(stdout);
}

/* A whole number, or the end of the program. */
static uint64_t number(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 0);

	if (*end || end == text || *text == '-') {
		fprintf(stderr, "crash-explore: '%s' is not a number\n", text);
		exit(2);
	}
	return value;
}

static void option_number(struct command *cmd, int opt, uint64_t value)
{
	switch (opt) {
	case OPT_COUNT:
		cmd->wish.count = value;
		break;
	case OPT_SEED:
		cmd->plan.seed = value;
		break;
	case OPT_JOBS:
		cmd->jobs.jobs = (uint32_t)value;
		break;
	case OPT_TIME:
		cmd->jobs.seconds = (uint32_t)value;
		break;
	case OPT_K:
		cmd->wish.k = (uint32_t)value;
		break;
	case OPT_K2:
		cmd->wish.k2 = (uint32_t)value;
		break;
	case OPT_CAP:
		cmd->wish.cap = value;
		break;
	}
}

static void option_flag(struct command *cmd, int opt)
{
	cmd->list |= opt == OPT_LIST;
	cmd->images |= opt == OPT_IMAGES;
	cmd->tap |= opt == OPT_TAP;
	cmd->show |= opt == OPT_SHOW;
	cmd->wish.no_second |= opt == OPT_NO_SECOND;
	cmd->jobs.stop |= opt == OPT_FIRST;
	cmd->jobs.minimise |= opt == OPT_MINIMISE;
}

static const char *named_text(const char *name)
{
	for (const struct workload_named *w = workload_bugs; w->name; w++)
		if (!strcmp(w->name, name))
			return w->text;
	fprintf(stderr, "crash-explore: there is no workload '%s'\n", name);
	exit(2);
}

static void options_parse(int argc, char **argv, struct command *cmd)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case OPT_LEVEL:
			cmd->level = optarg;
			break;
		case OPT_CLASS:
			cmd->class = optarg;
			break;
		case OPT_WORKLOAD:
			cmd->workload = optarg;
			break;
		case OPT_NAME:
			cmd->workload = named_text(optarg);
			break;
		case OPT_IMAGE:
			cmd->image = optarg;
			break;
		case OPT_MUTATE:
			cmd->mutate = optarg;
			break;
		case OPT_SITES:
			site_list(stdout);
			exit(0);
		case OPT_HELP:
			help_print();
			exit(0);
		case '?':
			fprintf(stderr, "crash-explore --help says more\n");
			exit(2);
		default:
			if (optarg)
				option_number(cmd, opt, number(optarg));
			else
				option_flag(cmd, opt);
		}
	}
	if (optind < argc || !cmd->level + !cmd->class + !cmd->workload != 2 || ((cmd->image || cmd->list) && !cmd->workload)) {
		fputs(usage_text, stderr);
		exit(2);
	}
}

static int plan_make(struct command *cmd)
{
	int err = 0;

	if (cmd->level)
		err = plan_level(cmd->level, &cmd->wish, &cmd->plan);
	else if (cmd->class)
		err = plan_class(cmd->class, &cmd->wish, &cmd->plan);
	else
		plan_text(cmd->workload, &cmd->wish, &cmd->plan);
	if (err)
		fprintf(stderr, "crash-explore: there is no %s '%s'\n", cmd->level ? "level" : "class",
			cmd->level ? cmd->level : cmd->class);
	return err;
}

static int one_workload(const struct command *cmd)
{
	struct explore_options opt;
	char *text = plan_workload(&cmd->plan, 0, &opt);
	int err;

	if (cmd->image)
		err = explore_image(text, cmd->image, stdout);
	else
		err = explore_list(text, &opt, cmd->images, stdout);
	free(text);
	if (err < 0)
		fprintf(stderr, "crash-explore: %s\n",
			err == -EINVAL || err == -ENOENT ? "no such image (--list --images names them), or no workload"
							 : strerror(-err));
	return err < 0 ? 2 : err;
}

static int texts_show(const struct command *cmd)
{
	for (uint64_t i = 0; i < cmd->plan.total; i++) {
		struct explore_options opt;
		char *text = plan_workload(&cmd->plan, i, &opt);

		printf("%s\n", text ? text : "?");
		free(text);
	}
	return 0;
}

/* Exit status. */
static int explore(struct command *cmd)
{
	struct report_options report = { .title = "crash explorer", .planned = cmd->plan.total, .tap = cmd->tap };
	struct jobs_result result;
	int err;

	cmd->jobs.progress = isatty(2);
	cmd->jobs.stop |= cmd->mutate != NULL;
	err = jobs_run(&cmd->plan, &cmd->jobs, &result);
	if (err) {
		fprintf(stderr, "crash-explore: %s\n", strerror(-err));
		return 2;
	}
	if (cmd->mutate) {
		if (result.stats.failures)
			printf("%s: caught by %s\n", cmd->mutate, result.first);
		else
			printf("%s: NOT CAUGHT by %llu workloads\n", cmd->mutate, (unsigned long long)result.stats.workloads);
		free(result.failures);
		return !result.stats.failures;
	}
	report.no_caps = cmd->level && !strcmp(cmd->level, "quick");
	report.seconds_max = report.no_caps ? 300 : 0;
	report.rates = cmd->level != NULL;
	err = report_print(&report, &result, stdout);
	free(result.failures);
	return err;
}

int main(int argc, char **argv)
{
	struct command cmd = { .wish = { .k = UINT32_MAX, .k2 = UINT32_MAX, .cap = UINT64_MAX }, .plan = { .seed = 1 } };

	log_set_level(LOG_LEVEL_ERROR);
	cmd.jobs.jobs = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	options_parse(argc, argv, &cmd);
	if (plan_make(&cmd) || (cmd.mutate && site_mutate(cmd.mutate, stderr)))
		return 2;
	if (cmd.show)
		return texts_show(&cmd);
	if (cmd.image || cmd.list)
		return one_workload(&cmd);
	return explore(&cmd);
}
