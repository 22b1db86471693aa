/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running the mutants. First every workload of the plan is explored as it is, each in a process of its own: it must pass, and
 * tells which sites it comes by. Then each mutant gets a process, which explores the workloads that come by its site, the
 * quickest first, until one fails.
 *
 * Both are brief: few images, no crash inside of recovery. That takes a tenth of the time and shows most mistakes. Only a mutant
 * that passes meets the same workloads again, as thoroughly as the quick level has them; those that have caught one then are
 * explored so without a mutation at the end, and count only if they pass.
 *
 * What the processes find lies in memory that they share; each writes only what is its own.
 */
#include "crash/mutate.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "crash/explore.h"
#include "crash/plan.h"
#include "crash/scenario.h"

#define PLAN_MAX 2000u
#define PLAN_LIMIT_S 300u
#define BRIEF_K 1u /* choices of so many stores in a brief exploration */
/* An exploration that takes so much longer than a brief one without a mutation hangs. On a busy machine processes wait. */
#define HANG_FACTOR 20.0
#define HANG_FACTOR_THOROUGH 1000.0
#define HANG_SLACK_S 30.0

struct planned {
	char *text; /* of a workload; the name of a scenario */
	struct scenario scenario; /* without a check: it is a workload */
	struct explore_options explore; /* how thoroughly, if not briefly */
	double seconds; /* briefly, unmutated; of a CPU */
};

struct mutation_run {
	const struct mutate_options *opt;
	void (*failed)(void *ctx, const struct explore_failure *failure);
	void *failed_ctx;
	struct planned plan[PLAN_MAX];
	uint32_t n_plan;
	uint32_t n_sites;
	/* shared with the processes */
	uint8_t *reach; /* [workload][site] */
	double *plan_seconds; /* [workload] */
	uint32_t *plan_failed; /* [workload] */
	uint8_t *plan_proven; /* [workload]: passes thoroughly */
	struct mutant_result *results; /* [mutant] */
	struct mutant *mutants;
	uint32_t n_mutants;
	uint32_t *order; /* workloads, the quickest first */
};

static double seconds_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *shared_alloc(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* One of the texts in only, which commas divide, is in text. */
static int is_wanted(const char *text, const char *only)
{
	for (const char *at = only; at && *at; at += strcspn(at, ","), at += *at == ',') {
		char part[128];

		snprintf(part, sizeof(part), "%.*s", (int)strcspn(at, ","), at);
		if (strstr(text, part))
			return 1;
	}
	return !only;
}

/* --- processes ----------------------------------------------------------------------------------------------------------- */

/* Calls work(run, i) for i of 0..n-1, each in a process of its own, some at a time; ended(run, i, status) here when it is over.
 */
struct farm {
	uint32_t n;
	uint32_t limit_s; /* for work; 0: it sees to that itself */
	const char *what;
	void (*work)(struct mutation_run *run, uint32_t i);
	void (*ended)(struct mutation_run *run, uint32_t i, int status); /* status -1: there was no process */
};

static void farm_start(struct mutation_run *run, const struct farm *farm, uint32_t i, pid_t *out_pid)
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(farm->limit_s);
		farm->work(run, i);
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0)
		farm->ended(run, i, -1);
	else
		*out_pid = pid;
}

static void farm_progress(const struct farm *farm, uint32_t done)
{
	if (isatty(2))
		fprintf(stderr, "\r%s: %u of %u ", farm->what, done, farm->n);
	if (isatty(2) && done == farm->n)
		fputc('\n', stderr);
}

static int farm_run(struct mutation_run *run, const struct farm *farm)
{
	pid_t *pids = calloc(farm->n + 1, sizeof(*pids));
	uint32_t next = 0, running = 0, done = 0;

	if (!pids)
		return -ENOMEM;
	fflush(stdout);
	while (done < farm->n) {
		int status;
		pid_t pid;

		for (; next < farm->n && running < run->opt->jobs; next++) {
			farm_start(run, farm, next, &pids[next]);
			running += pids[next] > 0;
			done += pids[next] <= 0;
		}
		pid = running ? waitpid(-1, &status, 0) : -1;
		if (pid < 0)
			break;
		for (uint32_t i = 0; i < next; i++) {
			if (pids[i] != pid)
				continue;
			pids[i] = 0;
			running--;
			farm->ended(run, i, status);
			farm_progress(farm, ++done);
		}
	}
	free(pids);
	return 0;
}

/* --- the plan ------------------------------------------------------------------------------------------------------------ */

/* Repairs say something of the checker's sites only. */
static int wants_repairs(const struct mutation_run *run)
{
	for (uint32_t m = 0; m < run->n_mutants; m++)
		if (!strncmp(site_file(&__start_pmem_sites[run->mutants[m].site]), "src/fsck/", strlen("src/fsck/")))
			return 1;
	return 0;
}

static void plan_scenarios(struct mutation_run *run)
{
	const char *classes = run->opt->classes;
	int more = wants_repairs(run) && is_wanted("fsck", classes) ? 1 : -1;

	if (is_wanted("mkfs", classes)) {
		run->plan[run->n_plan++] =
			(struct planned){ .text = strdup("mkfs on an empty device"), .scenario = scenario_mkfs_empty };
		run->plan[run->n_plan++] =
			(struct planned){ .text = strdup("mkfs over another"), .scenario = scenario_mkfs_over };
	}
	for (uint32_t code = 0; more >= 0 && run->n_plan < PLAN_MAX; code++) {
		struct planned *p = &run->plan[run->n_plan];
		const char *name;
		char text[64];

		more = scenario_fsck(code, &p->scenario, &name);
		if (more <= 0)
			continue;
		snprintf(text, sizeof(text), "fsck -y of %s", name);
		p->text = strdup(text);
		run->n_plan++;
	}
}

/* The scenarios, and the quick level of the explorer. */
static int plan_new(struct mutation_run *run)
{
	const struct plan_wish wish = { .k = UINT32_MAX, .k2 = UINT32_MAX, .cap = UINT64_MAX };
	struct plan plan = { .seed = run->opt->seed };
	int err = plan_level("quick", &wish, &plan);

	plan_scenarios(run);
	for (uint64_t i = 0; !err && i < plan.total && run->n_plan < PLAN_MAX; i++) {
		struct planned *p = &run->plan[run->n_plan];

		if (!is_wanted(plan_class_name(&plan, i), run->opt->classes))
			continue;
		p->text = plan_workload(&plan, i, &p->explore);
		run->n_plan++;
	}
	for (uint32_t i = 0; i < run->n_plan; i++)
		err = run->plan[i].text ? err : -ENOMEM;
	return err;
}

static void plan_say(void *ctx, const struct explore_failure *failure)
{
	printf("# fails without any mutation: crash-explore --workload '%s' --image '%s': %s\n", failure->workload,
	       failure->image, failure->why);
}

/* A scenario is always the same. */
static int is_workload(const struct planned *p)
{
	return !p->scenario.check;
}

/* 1 if one entry of the plan fails; the first failure is said through run->failed. */
static int planned_explore(struct mutation_run *run, uint32_t i, int thorough)
{
	const struct planned *p = &run->plan[i];
	struct explore_options opt = p->explore;
	struct explore_stats stats = { 0 };
	struct scenario_result r;
	int err;

	if (!thorough) {
		opt.k = (uint32_t)u64_min(opt.k, BRIEF_K);
		opt.second = 0;
	}
	opt.failed = run->failed;
	opt.ctx = run->failed_ctx;
	if (is_workload(p))
		return explore_workload(p->text, &opt, &stats, NULL) != 0;
	err = scenario_run(&p->scenario, &r);
	if (err || r.failures)
		run->failed(run->failed_ctx, &(struct explore_failure){ p->text, r.image, "", r.why });
	return err || r.failures;
}

/* One entry as it is: does it pass, how long does it take, where does it come by? */
static void plan_try(struct mutation_run *run, uint32_t i)
{
	run->failed = plan_say;
	run->plan_failed[i] = (uint32_t)planned_explore(run, i, 0);
	run->plan_seconds[i] = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	for (uint32_t s = 0; s < run->n_sites; s++)
		run->reach[(size_t)i * run->n_sites + s] = __start_pmem_sites[s].hits > 0;
}

static void plan_ended(struct mutation_run *run, uint32_t i, int status)
{
	if (status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
		printf("# left out, more than %u s: %s\n", PLAN_LIMIT_S, run->plan[i].text);
		memset(run->reach + (size_t)i * run->n_sites, 0, run->n_sites);
	} else if (status) {
		run->plan_failed[i] = 1;
		printf("# died without any mutation (status %d): %s\n", status, run->plan[i].text);
	}
	run->plan[i].seconds = run->plan_seconds[i];
}

/* Workloads by time, shortest first. */
static int order_new(struct mutation_run *run)
{
	run->order = malloc((run->n_plan + 1) * sizeof(*run->order));
	if (!run->order)
		return -ENOMEM;
	for (uint32_t i = 0; i < run->n_plan; i++) {
		uint32_t at = i;

		for (; at > 0 && run->plan[run->order[at - 1]].seconds > run->plan[i].seconds; at--)
			run->order[at] = run->order[at - 1];
		run->order[at] = i;
	}
	return 0;
}

/* --- the mutants --------------------------------------------------------------------------------------------------------- */

static void mutant_caught(void *ctx, const struct explore_failure *failure)
{
	struct mutant_result *r = ctx;

	snprintf(r->image, sizeof(r->image), "%s", failure->image);
	snprintf(r->why, sizeof(r->why), "%s", failure->why);
}

/* One workload that comes by the site of the mutant. */
static void mutant_meet(struct mutation_run *run, struct mutant_result *r, uint32_t i, int thorough)
{
	double factor = thorough ? HANG_FACTOR_THOROUGH : HANG_FACTOR;

	r->fate = MUTANT_RUNNING;
	r->workload = i;
	r->thorough = thorough;
	r->n_tried++;
	alarm((unsigned int)(factor * run->plan[i].seconds + HANG_SLACK_S));
	if (planned_explore(run, i, thorough))
		r->fate = MUTANT_CAUGHT;
	r->seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void mutant_try(struct mutation_run *run, uint32_t m)
{
	const struct mutant *mutant = &run->mutants[m];
	struct mutant_result *r = &run->results[m];

	r->fate = MUTANT_UNREACHED;
	run->failed = mutant_caught;
	run->failed_ctx = r;
	__start_pmem_sites[mutant->site].mutation = (uint32_t)mutant->mutation;
	for (uint32_t o = 0; o < 2 * run->n_plan && r->fate != MUTANT_CAUGHT; o++) {
		uint32_t i = run->order[o % run->n_plan];
		int thorough = o >= run->n_plan;

		if (!run->reach[(size_t)i * run->n_sites + mutant->site] || (thorough && !is_workload(&run->plan[i])))
			continue;
		if (r->seconds > run->opt->limit_s) {
			snprintf(r->why, sizeof(r->why), "out of time after %u explorations", r->n_tried);
			break;
		}
		mutant_meet(run, r, i, thorough);
	}
	if (r->fate == MUTANT_RUNNING)
		r->fate = MUTANT_MISSED;
}

static void mutant_ended(struct mutation_run *run, uint32_t m, int status)
{
	struct mutant_result *r = &run->results[m];
	int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (!status || r->fate == MUTANT_CAUGHT)
		return;
	r->fate = status == -1 ? MUTANT_MISSED : MUTANT_DIED;
	snprintf(r->why, sizeof(r->why), "%s", signal == SIGALRM ? "hangs" : signal ? strsignal(signal) : "exited");
}

/* --- proofs -------------------------------------------------------------------------------------------------------------- */

static int is_noticed(const struct mutation_run *run, uint32_t m)
{
	return run->results[m].fate == MUTANT_CAUGHT || run->results[m].fate == MUTANT_DIED;
}

/* A workload that caught a mutant by a thorough exploration: that one has not been made without a mutation yet. */
static void proof_try(struct mutation_run *run, uint32_t i)
{
	int wanted = 0;

	for (uint32_t m = 0; m < run->n_mutants; m++)
		wanted |= is_noticed(run, m) && run->results[m].thorough && run->results[m].workload == i;
	run->failed = plan_say;
	run->plan_proven[i] = wanted && !planned_explore(run, i, 1);
}

static void proof_ended(struct mutation_run *run, uint32_t i, int status)
{
	if (status)
		run->plan_proven[i] = 0;
}

static void proofs_apply(struct mutation_run *run)
{
	for (uint32_t m = 0; m < run->n_mutants; m++) {
		struct mutant_result *r = &run->results[m];

		if (!is_noticed(run, m) || !r->thorough || run->plan_proven[r->workload])
			continue;
		r->fate = MUTANT_MISSED;
		snprintf(r->why, sizeof(r->why), "caught by a workload that fails without any mutation");
	}
}

/* --- the table ----------------------------------------------------------------------------------------------------------- */

static void row_print(const struct mutation_run *run, uint32_t m)
{
	static const char *const fates[] = { "waiting", "running", "caught", "died", "MISSED", "UNREACHED" };
	const struct pmem_site *site = &__start_pmem_sites[run->mutants[m].site];
	const struct mutant_result *r = &run->results[m];
	int noticed = is_noticed(run, m);
	char where[64];

	snprintf(where, sizeof(where), "%s:%u", site_file(site) + strlen("src/"), site->line);
	printf("%-28s %-22s %-16s %-9s %-9s %4u %6.1f  %-5s %s%s%s\n", where, site->func, site->call,
	       mutation_name(run->mutants[m].mutation), fates[r->fate], r->n_tried, r->seconds, noticed ? "ok" : "short",
	       noticed ? run->plan[r->workload].text : "", r->why[0] ? " # " : "", r->why);
}

/* What is left to do: all mutations of one fate, by name. */
static void fate_list(const struct mutation_run *run, enum mutant_fate fate, const char *word)
{
	for (uint32_t m = 0; m < run->n_mutants; m++) {
		const struct pmem_site *site = &__start_pmem_sites[run->mutants[m].site];

		if (run->results[m].fate == fate)
			printf("%s: %s:%u:%s:%s\n", word, site_file(site), site->line, site->call,
			       mutation_name(run->mutants[m].mutation));
	}
}

static int table_print(const struct mutation_run *run, double seconds)
{
	uint32_t n_noticed = 0, n_sites = 0, n_good = 0;
	int good = 1;

	printf("%-28s %-22s %-16s %-9s %-9s %4s %6s  %-5s %s\n", "site", "function", "call", "mutation", "fate", "runs", "s", "",
	       "by");
	for (uint32_t m = 0; m < run->n_mutants; m++) {
		row_print(run, m);
		n_noticed += (uint32_t)is_noticed(run, m);
		if (m == 0 || run->mutants[m].site != run->mutants[m - 1].site) {
			n_sites++;
			n_good++;
			good = 1;
		}
		if (good && !is_noticed(run, m)) {
			n_good--;
			good = 0;
		}
	}
	printf("\n%u workloads and scenarios, %.0f seconds; %u of %u mutations noticed\n", run->n_plan, seconds, n_noticed,
	       run->n_mutants);
	fate_list(run, MUTANT_UNREACHED, "unreached");
	fate_list(run, MUTANT_MISSED, "missed");
	printf("mutation score: %u of %u call sites, %.1f %%, bar 100 %%: %s\n", n_good, n_sites,
	       n_sites ? 100.0 * n_good / n_sites : 0, n_good == n_sites ? "ok" : "short");
	return n_good == n_sites ? 0 : 1;
}

/* --- the whole ----------------------------------------------------------------------------------------------------------- */

/* Only those that are wanted. */
static void mutants_select(struct mutation_run *run, const char *only)
{
	uint32_t n = 0;

	for (uint32_t m = 0; m < run->n_mutants; m++) {
		const struct pmem_site *site = &__start_pmem_sites[run->mutants[m].site];
		char text[256];

		snprintf(text, sizeof(text), "%s:%u:%s:%s", site_file(site), site->line, site->call,
			 mutation_name(run->mutants[m].mutation));
		if (!is_wanted(text, only))
			continue;
		run->mutants[n++] = run->mutants[m];
		if (run->opt->list)
			puts(text);
	}
	run->n_mutants = n;
}

static int run_init(struct mutation_run *run, const struct mutate_options *opt)
{
	int err;

	run->opt = opt;
	run->n_sites = (uint32_t)(__stop_pmem_sites - __start_pmem_sites);
	run->mutants = mutants_list(&run->n_mutants);
	if (!run->mutants)
		return -ENOMEM;
	mutants_select(run, opt->only);
	if (opt->list)
		return 0;
	err = plan_new(run);
	if (err)
		return err;
	run->reach = shared_alloc((size_t)run->n_plan * run->n_sites);
	run->plan_seconds = shared_alloc(run->n_plan * sizeof(*run->plan_seconds));
	run->plan_failed = shared_alloc(run->n_plan * sizeof(*run->plan_failed));
	run->plan_proven = shared_alloc(run->n_plan * sizeof(*run->plan_proven));
	run->results = shared_alloc((run->n_mutants + 1) * sizeof(*run->results));
	return run->reach && run->plan_seconds && run->plan_failed && run->plan_proven && run->results ? 0 : -ENOMEM;
}

static void run_free(struct mutation_run *run)
{
	for (uint32_t i = 0; run && i < run->n_plan; i++)
		free(run->plan[i].text);
	if (run) {
		free(run->order);
		free(run->mutants);
	}
	free(run);
}

static int plan_run(struct mutation_run *run)
{
	const struct farm farm = { run->n_plan, PLAN_LIMIT_S, "workloads", plan_try, plan_ended };
	uint32_t n_failed = 0;
	int err = farm_run(run, &farm);

	for (uint32_t i = 0; !err && i < run->n_plan; i++)
		n_failed += run->plan_failed[i];
	if (n_failed) {
		printf("%u workloads fail without any mutation: that comes first\n", n_failed);
		return -ECANCELED;
	}
	return err ? err : order_new(run);
}

static void plan_print(const struct mutation_run *run)
{
	for (uint32_t o = 0; o < run->n_plan; o++) {
		const struct planned *p = &run->plan[run->order[o]];

		printf("%8.2f s  %s\n", p->seconds, p->text);
	}
}

static int mutants_run(struct mutation_run *run, double start)
{
	const struct farm mutants = { run->n_mutants, 0, "mutants", mutant_try, mutant_ended };
	const struct farm proofs = { run->n_plan, 0, "proofs", proof_try, proof_ended };
	int err = farm_run(run, &mutants);

	if (!err)
		err = farm_run(run, &proofs);
	if (err)
		return err;
	proofs_apply(run);
	return table_print(run, seconds_of(CLOCK_MONOTONIC) - start);
}

int mutate_run(const struct mutate_options *opt)
{
	struct mutation_run *run = calloc(1, sizeof(*run));
	double start = seconds_of(CLOCK_MONOTONIC);
	int rc = 0, err = run ? run_init(run, opt) : -ENOMEM;

	log_set_level(-1); /* what the engine says of damage is expected */
	if (!err && !opt->list)
		err = plan_run(run);
	if (!err && opt->plan)
		plan_print(run);
	else if (!err && !opt->list)
		rc = mutants_run(run, start);
	if (rc < 0)
		err = rc;
	if (err && err != -ECANCELED)
		fprintf(stderr, "crash-mutate: %s\n", strerror(-err));
	run_free(run);
	return err ? 2 : rc;
}
