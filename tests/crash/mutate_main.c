/* SPDX-License-Identifier: BSD-3-Clause */
/* crash-mutate: the mutation score of the crash tests. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crash/mutate.h"

static const char usage[] =
	"Usage: crash-mutate [OPTION...]\n"
	"Does one thing wrong at a time at each place of the engine that stores, flushes, fences or logs, "
	"and lets the crash explorer look\n"
	"for it. Prints a table; fails if something went unnoticed.\n"
	"\n"
	"  -c, --class NAME only workloads of this class, or of one of NAME,NAME...: mkfs, fsck, rare, ace1...\n"
	"  -j, --jobs N     processes at a time (default: one for each core)\n"
	"  -l, --list       only list the mutations\n"
	"  -o, --only TEXT  only mutations whose FILE:LINE:CALL:MUTATION has TEXT in it, or one of TEXT,TEXT...\n"
	"  -p, --plan       only explore the plan, and say how long each part of it takes\n"
	"  -s, --seed N     of sampled workloads (default 1)\n"
	"  -t, --time S     seconds of a CPU for each mutation (default 300)\n"
	"  -h, --help       this text\n"
	"\n"
	"Mutations: drop (not done), noflush (a copy whose lines nobody writes back), unlogged (stored in "
	"place by the commit, missing in\n"
	"its record), early (stored in place before the record).\n"
	"Exit status: 0 everything was noticed, 1 something was not, 2 trouble.\n";

static int number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 0);

	if (end == text || *end || value < min || value > max) {
		fprintf(stderr, "crash-mutate: '%s' is no number from %llu to %llu\n", text, (unsigned long long)min,
			(unsigned long long)max);
		return -1;
	}
	*out = value;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "class", required_argument, NULL, 'c' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "list", no_argument, NULL, 'l' },
		{ "only", required_argument, NULL, 'o' },
		{ "plan", no_argument, NULL, 'p' },
		{ "seed", required_argument, NULL, 's' },
		{ "time", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t jobs = cores > 0 ? (uint64_t)cores : 1, limit_s = 300;
	struct mutate_options opt = { .seed = 1 };
	int c, bad = 0;

	while ((c = getopt_long(argc, argv, "c:j:lo:ps:t:h", longs, NULL)) != -1) {
		if (c == 'j')
			bad |= number(optarg, 1, 1024, &jobs);
		else if (c == 'c')
			opt.classes = optarg;
		else if (c == 'l')
			opt.list = 1;
		else if (c == 'o')
			opt.only = optarg;
		else if (c == 'p')
			opt.plan = 1;
		else if (c == 's')
			bad |= number(optarg, 0, UINT64_MAX, &opt.seed);
		else if (c == 't')
			bad |= number(optarg, 1, 86400, &limit_s);
		else if (c == 'h')
			return fputs(usage, stdout) < 0;
		else
			bad = 1;
	}
	if (bad || optind < argc) {
		if (optind < argc)
			fprintf(stderr, "crash-mutate: what is '%s'?\n", argv[optind]);
		fputs("Try 'crash-mutate --help'.\n", stderr);
		return 2;
	}
	opt.jobs = (uint32_t)jobs;
	opt.limit_s = (uint32_t)limit_s;
	return mutate_run(&opt);
}
