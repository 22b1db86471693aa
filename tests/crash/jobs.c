/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes take the next workload's number from shared memory, and leave their counts there. Failures go as text into one file
 * that all of them append to. A process that dies is replaced; its workload has failed.
 */
#include "crash/jobs.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#define JOBS_MAX 64u
#define TRACES_MAX (1u << 18)
#define WORKLOAD_SECONDS_MAX 900u /* then it hangs */
#define MINIMISED_MAX 3u /* workloads: each takes as long as many */
#define NO_WORKLOAD UINT64_MAX

struct job {
	pid_t pid; /* 0: not running */
	_Atomic uint64_t workload; /* at work on */
	struct explore_stats stats;
};

struct shared {
	_Atomic uint64_t next;
	_Atomic int stop;
	_Atomic uint32_t minimised;
	_Atomic uint64_t done, n_traces, failed;
	struct job jobs[JOBS_MAX];
	_Atomic uint64_t traces[TRACES_MAX];
	char first[4096];
};

struct crew {
	const struct plan *plan;
	const struct jobs_options *opt;
	struct shared *shared;
	FILE *log;
	struct timespec began;
};

/* Of the workload at hand, in a process of the crew. */
struct failing {
	char image[EXPLORE_IMAGE_MAX];
	char *text, *point, *why;
};

static double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

static void trace_note(struct shared *sh, uint64_t trace)
{
	uint64_t i = trace % TRACES_MAX;

	for (uint32_t tries = 0; trace && tries < 64; tries++, i = (i + 1) % TRACES_MAX) {
		uint64_t there = 0;

		if (atomic_compare_exchange_strong(&sh->traces[i], &there, trace)) {
			atomic_fetch_add(&sh->n_traces, 1);
			return;
		}
		if (there == trace)
			return;
	}
}

static void failing_fini(struct failing *f)
{
	free(f->text);
	free(f->point);
	free(f->why);
	*f = (struct failing){ 0 };
}

static void failing_note(void *ctx, const struct explore_failure *failure)
{
	struct failing *f = ctx;

	if (f->text)
		return;
	snprintf(f->image, sizeof(f->image), "%s", failure->image);
	f->text = strdup(failure->workload);
	f->point = strdup(failure->point);
	f->why = strdup(failure->why);
}

/* Quotes for a shell. */
static void print_quoted(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++)
		fputs(*text == '\'' ? "'\\''" : (char[]){ *text, '\0' }, out);
	fputc('\'', out);
}

static void failing_log(const struct crew *crew, const struct failing *f)
{
	char *block = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&block, &size);

	if (!out || !f->text)
		return;
	fprintf(out, "FAILED: %s\n  %s\n  crash-explore --workload ", f->point ? f->point : "", f->why ? f->why : "");
	print_quoted(out, f->text);
	if (f->image[0]) {
		fprintf(out, " --image ");
		print_quoted(out, f->image);
	}
	fprintf(out, "\n");
	fclose(out);
	/* One write: lines of several processes do not mix. */
	if (write(fileno(crew->log), block, size) < 0)
		_exit(3);
	if (!atomic_fetch_add(&crew->shared->failed, 1))
		snprintf(crew->shared->first, sizeof(crew->shared->first), "%.3000s%s%s", f->text,
			 f->image[0] ? " at image " : "", f->image);
	free(block);
}

static void workload_do(const struct crew *crew, struct job *job, uint64_t i)
{
	struct explore_options opt;
	struct failing failing = { .text = NULL };
	char *text = plan_workload(crew->plan, i, &opt);
	uint64_t trace = 0;

	if (!text)
		_exit(3);
	opt.failed = failing_note;
	opt.ctx = &failing;
	alarm(WORKLOAD_SECONDS_MAX);
	if (explore_workload(text, &opt, &job->stats, &trace)) {
		if (crew->opt->minimise && failing.text && atomic_fetch_add(&crew->shared->minimised, 1) < MINIMISED_MAX) {
			char *less = explore_minimise(text, &opt);
			struct explore_stats ignored = { 0 };

			if (less && strcmp(less, text)) {
				failing_fini(&failing);
				(void)explore_workload(less, &opt, &ignored, NULL);
			}
			free(less);
		}
		failing_log(crew, &failing);
		if (crew->opt->stop)
			atomic_store(&crew->shared->stop, 1);
	}
	alarm(0);
	failing_fini(&failing);
	free(text);
	trace_note(crew->shared, trace);
}

static void __attribute__((noreturn)) job_main(const struct crew *crew, struct job *job)
{
	while (!atomic_load(&crew->shared->stop)) {
		uint64_t i;

		if (crew->opt->seconds && seconds_since(&crew->began) > crew->opt->seconds)
			break;
		i = atomic_fetch_add(&crew->shared->next, 1);
		if (i >= crew->plan->total)
			break;
		atomic_store(&job->workload, i);
		workload_do(crew, job, i);
		atomic_store(&job->workload, NO_WORKLOAD);
		atomic_fetch_add(&crew->shared->done, 1);
	}
	_exit(0);
}

static int job_start(const struct crew *crew, struct job *job)
{
	pid_t pid;

	atomic_store(&job->workload, NO_WORKLOAD);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		/* Not without the parent, who counts. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		job_main(crew, job);
	}
	/* The job lies in memory that both have: only the parent writes this. */
	job->pid = pid > 0 ? pid : 0;
	return pid > 0 ? 0 : -errno;
}

/* A process ended. 1: it has to be replaced. */
static int job_ended(const struct crew *crew, struct job *job, int status)
{
	uint64_t i = atomic_load(&job->workload);
	struct explore_options opt;
	struct failing failing = { .text = NULL };
	char why[128];

	job->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && i == NO_WORKLOAD)
		return 0;
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "%s (signal %d)",
			 WTERMSIG(status) == SIGALRM ? "hangs" : "the engine or the explorer died", WTERMSIG(status));
	else
		snprintf(why, sizeof(why), "the explorer ended with status %d", WEXITSTATUS(status));
	job->stats.failures++;
	failing.text = i == NO_WORKLOAD ? strdup("?") : plan_workload(crew->plan, i, &opt);
	failing.why = strdup(why);
	failing_log(crew, &failing);
	failing_fini(&failing);
	if (crew->opt->stop)
		atomic_store(&crew->shared->stop, 1);
	return 1;
}

static void progress_print(const struct crew *crew, int last)
{
	struct explore_stats sum = { 0 };
	double seconds = seconds_since(&crew->began);

	if (!crew->opt->progress)
		return;
	for (uint32_t j = 0; j < crew->opt->jobs; j++)
		explore_stats_add(&sum, &crew->shared->jobs[j].stats);
	fprintf(stderr, "\r\033[K%llu of %llu workloads, %llu images, %llu recovered, %llu failures, %.0f s%s",
		(unsigned long long)atomic_load(&crew->shared->done), (unsigned long long)crew->plan->total,
		(unsigned long long)sum.unique, (unsigned long long)sum.recovered, (unsigned long long)sum.failures, seconds,
		last ? "\n" : "");
}

/* Until all have ended. */
static int crew_wait(const struct crew *crew)
{
	uint32_t running = crew->opt->jobs;
	int err = 0;

	while (running) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0)
			return -errno;
		if (!pid) {
			struct timespec wait = { .tv_nsec = 50000000 };

			progress_print(crew, 0);
			nanosleep(&wait, NULL);
			continue;
		}
		for (uint32_t j = 0; j < crew->opt->jobs; j++) {
			struct job *job = &crew->shared->jobs[j];

			if (job->pid != pid)
				continue;
			if (!job_ended(crew, job, status) || job_start(crew, job))
				running--;
		}
	}
	progress_print(crew, 1);
	return err;
}

static char *log_text(FILE *log)
{
	long size = fseek(log, 0, SEEK_END) ? -1 : ftell(log);
	char *text = size > 0 ? calloc(1, (size_t)size + 1) : NULL;

	rewind(log);
	if (text && fread(text, 1, (size_t)size, log) != (size_t)size)
		text[0] = '\0';
	return text;
}

int jobs_run(const struct plan *plan, const struct jobs_options *opt, struct jobs_result *out)
{
	struct jobs_options bounded = *opt;
	struct crew crew = { .plan = plan, .opt = &bounded, .log = tmpfile() };
	int err = 0;

	bounded.jobs = (uint32_t)u64_min(u64_min(u64_max(opt->jobs, 1), JOBS_MAX), plan->total);
	if (!crew.log)
		return -errno;
	crew.shared = mmap(NULL, sizeof(*crew.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crew.shared == MAP_FAILED) {
		err = -errno;
		goto close_log;
	}
	clock_gettime(CLOCK_MONOTONIC, &crew.began);
	for (uint32_t j = 0; !err && j < bounded.jobs; j++) {
		err = job_start(&crew, &crew.shared->jobs[j]);
		if (err)
			bounded.jobs = j;
	}
	if (bounded.jobs)
		err = crew_wait(&crew);
	*out = (struct jobs_result){ .seconds = seconds_since(&crew.began), .traces = atomic_load(&crew.shared->n_traces) };
	for (uint32_t j = 0; j < bounded.jobs; j++)
		explore_stats_add(&out->stats, &crew.shared->jobs[j].stats);
	memcpy(out->first, crew.shared->first, sizeof(out->first));
	out->failures = log_text(crew.log);
	munmap(crew.shared, sizeof(*crew.shared));
close_log:
	fclose(crew.log);
	return err;
}
