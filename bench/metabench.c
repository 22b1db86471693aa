/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * metabench: rates of file operations on several directories, side by side in one run.
 *
 * What is compared is run in turns (A B C, C B A, A B C ...) in short runs, so that whatever else the machine does hits all
 * alike; a rate is the median over the rounds, a ratio the median of the ratios within each round. Clients are processes
 * pinned to one CPU each.
 */
#include "ops.h"
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_DIRS 16
#define MAX_CASES 256

struct dir_arg {
	char label[32];
	const char *path;
};

struct plan {
	struct dir_arg dirs[MAX_DIRS];
	size_t n_dirs;
	struct bench_case cases[MAX_CASES];
	size_t n_cases;
	uint32_t rounds;
	struct bench_run_args run;
	int raw;
};

static const char usage_text[] =
	"Usage: metabench [-r ROUNDS] [-t MS] [-p CLIENTS] [-S FILE_MIB] [-sDR] LABEL=DIR... [CASE...]\n"
	"CASE is OP[:CLIENTS[:same|free]]@LABEL; same: one data file, free: not pinned. Cases are timed in turns.\n"
	"Without cases: every operation on every directory.\n"
	"  -r ROUNDS    turns, median over them (5)     -t MS        timed part of one run (100)\n"
	"  -p CLIENTS   processes, one per CPU (1)      -S FILE_MIB  size of data files (64)\n"
	"  -s           clients share one data file     -D           O_DIRECT\n"
	"  -R           raw: a line per run: CASE ROUND RATE, or CASE error REASON\n";

static int plan_find_dir(const struct plan *p, const char *label)
{
	for (size_t i = 0; i < p->n_dirs; i++)
		if (!strcmp(p->dirs[i].label, label))
			return (int)i;
	return -1;
}

static int plan_add_dir(struct plan *p, const char *arg)
{
	const char *eq = strchr(arg, '=');
	struct dir_arg *d = &p->dirs[p->n_dirs];

	if (p->n_dirs == MAX_DIRS || eq == arg || (size_t)(eq - arg) >= sizeof(d->label))
		return -1;
	memcpy(d->label, arg, (size_t)(eq - arg));
	d->label[eq - arg] = '\0';
	d->path = eq + 1;
	p->n_dirs++;
	return 0;
}

static int plan_add_case(struct plan *p, const char *arg)
{
	struct bench_case *c = &p->cases[p->n_cases];
	char text[128], *at, *part, *save = NULL;
	int dir;

	if (p->n_cases == MAX_CASES || strlen(arg) >= sizeof(text) || strlen(arg) >= sizeof(c->name))
		return -1;
	strcpy(text, arg);
	strcpy(c->name, arg);
	at = strchr(text, '@');
	if (!at)
		return -1;
	*at = '\0';
	dir = plan_find_dir(p, at + 1);
	part = strtok_r(text, ":", &save);
	c->op = part ? bench_op_find(part) : NULL;
	if (dir < 0 || !c->op)
		return -1;
	c->dir = p->dirs[dir].path;
	part = strtok_r(NULL, ":", &save);
	c->clients = part ? (uint32_t)strtoul(part, NULL, 10) : 1;
	part = strtok_r(NULL, ":", &save);
	c->same_file = part && !strcmp(part, "same");
	c->not_pinned = part && !strcmp(part, "free");
	if (!c->clients || c->clients > BENCH_MAX_CLIENTS)
		return -1;
	p->n_cases++;
	return 0;
}

/* Every operation on every directory, as cases of one group each. */
static int plan_add_all(struct plan *p, uint32_t clients, int same)
{
	const struct bench_op *op;
	char arg[128];

	for (size_t i = 0; (op = bench_op_at(i)); i++) {
		for (size_t d = 0; d < p->n_dirs; d++) {
			snprintf(arg, sizeof(arg), "%s:%u%s@%s", op->name, clients, same ? ":same" : "", p->dirs[d].label);
			if (plan_add_case(p, arg))
				return -1;
		}
	}
	return 0;
}

static int plan_parse(struct plan *p, int argc, char **argv)
{
	uint32_t clients = 1;
	int opt, same = 0;

	while ((opt = getopt(argc, argv, "r:t:p:S:sDRh")) != -1) {
		switch (opt) {
		case 'r': p->rounds = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 't': p->run.run_ms = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'p': clients = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'S': p->run.file_size = strtoull(optarg, NULL, 10) << 20; break;
		case 's': same = 1; break;
		case 'D': p->run.direct = 1; break;
		case 'R': p->raw = 1; break;
		default: return -1;
		}
	}
	if (!p->rounds || p->rounds > BENCH_MAX_ROUNDS || !p->run.run_ms || p->run.file_size < 1u << 20)
		return -1;
	for (; optind < argc; optind++)
		if (strchr(argv[optind], '=') ? plan_add_dir(p, argv[optind]) : plan_add_case(p, argv[optind]))
			return -1;
	if (!p->n_dirs)
		return -1;
	return p->n_cases ? 0 : plan_add_all(p, clients, same);
}

/* One group: cases [first, first + n) in turns, forwards and backwards. */
static void plan_run_group(struct plan *p, size_t first, size_t n)
{
	for (uint32_t round = 0; round < p->rounds; round++) {
		p->run.round = round;
		for (size_t i = 0; i < n; i++)
			bench_case_run(&p->cases[first + (round % 2 ? n - 1 - i : i)], &p->run);
	}
}

static void plan_print_raw(const struct plan *p)
{
	for (size_t i = 0; i < p->n_cases; i++) {
		const struct bench_case *c = &p->cases[i];

		if (c->err)
			printf("%s\terror\t%s\n", c->name, strerror(-c->err));
		for (uint32_t r = 0; r < p->rounds && !c->err; r++)
			printf("%s\t%u\t%.1f\n", c->name, r, c->rates[r]);
	}
}

static void plan_print_group(const struct plan *p, size_t first, size_t n)
{
	const struct bench_case *base = &p->cases[first];

	for (size_t i = first; i < first + n; i++) {
		const struct bench_case *c = &p->cases[i];

		if (c->err)
			printf("%-32s %12s  %s\n", c->name, "-", strerror(-c->err));
		else if (base->err)
			printf("%-32s %12.0f\n", c->name, bench_median(c->rates, p->rounds));
		else
			printf("%-32s %12.0f %8.3f\n", c->name, bench_median(c->rates, p->rounds),
			       bench_median_ratio(c->rates, base->rates, p->rounds));
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct plan p = { .rounds = 5, .run = { .run_ms = 100, .file_size = 64u << 20 } };
	size_t group;
	int failed = 0;

	if (plan_parse(&p, argc, argv)) {
		fputs(usage_text, stderr);
		return 2;
	}
	/* Cases given by hand are one group; otherwise the directories of one operation are. */
	group = p.n_cases % p.n_dirs == 0 && p.cases[0].op != p.cases[p.n_cases - 1].op && !p.raw ? p.n_dirs : p.n_cases;
	if (!p.raw)
		printf("%-32s %12s %8s\n", "case", "op/s", "ratio");
	for (size_t i = 0; i < p.n_cases; i += group) {
		plan_run_group(&p, i, group);
		if (!p.raw)
			plan_print_group(&p, i, group);
	}
	if (p.raw)
		plan_print_raw(&p);
	for (size_t i = 0; i < p.n_cases; i++)
		failed |= p.cases[i].err != 0;
	return failed;
}
