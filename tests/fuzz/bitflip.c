/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flips bits of the metadata of small images, one at a time, and sees what mount, a walk over everything, and fsck make of each.
 *
 *	bitflip [--all | --sample N] [--image tree|dirty|shift] [--kind NAME] [--jobs N] [--repair N] [--list] [--bit N]
 *
 * --all: every bit of structures in use; of space that nothing uses every STRIDE-th. --sample: N bits, drawn with TAP_SEED.
 * --repair N: every N-th flip is repaired as well (0: none). --bit: one bit, in words. --list: what was wrong, each bit a line.
 *
 * TAP: a case for each bar. The table before it says for each kind of structure how many flips were caught by whom.
 *
 * Processes: a flip that crashes or hangs takes its process with it; the parent notes the bit and starts another behind it.
 */
#include <getopt.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/util.h"
#include "flip.h"
#include "lib/tap.h"

#define JOBS_MAX 8u
#define STRIDE 61u /* of bits that nothing uses; odd, so that all bits of a word have their turn */
#define FLIP_ALARM_S 30u
#define EXAMPLES_MAX 4096u

enum example_kind {
	EXAMPLE_CRASH,
	EXAMPLE_FOREIGN,
	EXAMPLE_MISSED, /* wrong answers, and fsck finds nothing */
	EXAMPLE_UNSEEN, /* of what is in use, harmless for the walk, but fsck does not see it */
	EXAMPLE_REPAIR,
	EXAMPLE_KINDS,
};

struct example {
	uint64_t bit;
	enum example_kind kind;
	int image;
	int repair_failed;
};

struct row {
	_Atomic uint64_t flips;
	_Atomic uint64_t outcomes[FLIP_OUTCOMES];
	_Atomic uint64_t fsck_found;
	_Atomic uint64_t wrong_found; /* wrong or foreign, found by fsck */
	_Atomic uint64_t unused; /* nobody has to find it (flip_is_unused), and fsck did not */
	_Atomic uint64_t as_crash; /* lost the last record of a ring, unnoticed */
	_Atomic uint64_t repairs;
};

/* Shared by all processes. */
struct shared {
	struct row rows[REGION_KINDS];
	_Atomic uint64_t in_work[JOBS_MAX]; /* number of the flip + 1 */
	_Atomic uint32_t n_examples;
	struct example examples[EXAMPLES_MAX];
	_Atomic uint64_t by_kind[EXAMPLE_KINDS];
};

struct options {
	int image; /* -1: all */
	int kind; /* -1: all */
	int all;
	uint64_t sample;
	uint32_t jobs;
	uint32_t repair;
	int list;
	int64_t bit; /* -1: none */
};

/* What is flipped: of each bit its number and its region's kind. */
struct plan {
	uint64_t n;
	uint64_t *bits;
	uint8_t *kinds;
};

static int is_unused(enum region_kind kind)
{
	return kind == REGION_RING || kind == REGION_INODE_FREE || kind == REGION_INTENT_FREE || kind == REGION_STATE_REST ||
	       kind == REGION_BITMAP_REST;
}

/* --- the plan ------------------------------------------------------------------------------------------------------------ */

static void plan_add(struct plan *plan, uint64_t bit, enum region_kind kind)
{
	plan->bits[plan->n] = bit;
	plan->kinds[plan->n++] = (uint8_t)kind;
}

static void plan_make(struct plan *plan, const struct image_map *map, const struct options *opt)
{
	uint64_t n = 0, left;

	for (uint32_t i = 0; i < map->n; i++)
		n += (uint64_t)map->regions[i].len * 8;
	*plan = (struct plan){ .bits = malloc(n * sizeof(plan->bits[0])), .kinds = malloc(n) };
	CHECK(plan->bits && plan->kinds);
	for (uint32_t i = 0; i < map->n; i++) {
		const struct region *r = &map->regions[i];

		if (r->kind == REGION_DATA || r->kind == REGION_TARGET || (opt->kind >= 0 && (int)r->kind != opt->kind))
			continue;
		for (uint64_t b = 0; b < r->len * 8ull; b += is_unused(r->kind) ? STRIDE : 1)
			plan_add(plan, r->off * 8 + b, r->kind);
	}
	if (opt->all || plan->n <= opt->sample)
		return;
	left = opt->sample;
	/* The first `left` of a shuffle. */
	for (uint64_t i = 0, rng = tap_seed(); i < left; i++) {
		uint64_t j = i + tap_rand(&rng) % (plan->n - i), bit = plan->bits[i];
		uint8_t kind = plan->kinds[i];

		plan->bits[i] = plan->bits[j];
		plan->kinds[i] = plan->kinds[j];
		plan->bits[j] = bit;
		plan->kinds[j] = kind;
	}
	plan->n = left;
}

static void plan_free(struct plan *plan)
{
	free(plan->bits);
	free(plan->kinds);
}

/* --- the work ------------------------------------------------------------------------------------------------------------ */

static void example_add(struct shared *sh, const struct example *ex)
{
	uint32_t n = atomic_fetch_add(&sh->n_examples, 1);

	atomic_fetch_add(&sh->by_kind[ex->kind], 1);
	if (n < EXAMPLES_MAX)
		sh->examples[n] = *ex;
}

static void result_note(struct shared *sh, const struct flip_result *res, struct example ex, enum region_kind kind)
{
	int missed = !res->fsck_found && res->outcome != FLIP_RIGHT && !(res->last_record && res->outcome != FLIP_FOREIGN);
	struct row *row = &sh->rows[kind];
	int bad = res->outcome == FLIP_WRONG || res->outcome == FLIP_FOREIGN;

	atomic_fetch_add(&row->flips, 1);
	atomic_fetch_add(&row->outcomes[res->outcome], 1);
	atomic_fetch_add(&row->fsck_found, (uint64_t)res->fsck_found);
	atomic_fetch_add(&row->wrong_found, (uint64_t)(bad && res->fsck_found));
	atomic_fetch_add(&row->unused, (uint64_t)(res->unused && !res->fsck_found));
	atomic_fetch_add(&row->as_crash, (uint64_t)(res->last_record && !res->fsck_found));
	ex.kind = EXAMPLE_FOREIGN;
	if (res->outcome == FLIP_FOREIGN)
		example_add(sh, &ex);
	ex.kind = EXAMPLE_MISSED;
	if (missed)
		example_add(sh, &ex);
	ex.kind = EXAMPLE_UNSEEN;
	if (!res->fsck_found && res->outcome == FLIP_RIGHT && !res->unused && !res->last_record)
		example_add(sh, &ex);
	ex.kind = EXAMPLE_REPAIR;
	ex.repair_failed = res->repair_failed;
	if (res->repair_failed)
		example_add(sh, &ex);
}

/* Every jobs-th flip from number first on. Never returns. The device is a private mapping: each process has its own after a fork.
 */
static void job_run(struct shared *sh, const struct plan *plan, struct flip_bench *b, const struct options *opt, uint64_t first)
{
	uint32_t job = (uint32_t)(first % opt->jobs);

	for (uint64_t i = first; i < plan->n; i += opt->jobs) {
		int repair = opt->repair && i / opt->jobs % opt->repair == 0;
		struct example ex = { .bit = plan->bits[i], .image = (int)b->dev->kind };
		struct flip_result res;

		atomic_store(&sh->in_work[job], i + 1);
		alarm(FLIP_ALARM_S);
		flip_try(b, plan->bits[i], repair, &res);
		result_note(sh, &res, ex, (enum region_kind)plan->kinds[i]);
		atomic_fetch_add(&sh->rows[plan->kinds[i]].repairs, (uint64_t)repair);
	}
	atomic_store(&sh->in_work[job], 0);
	_exit(0);
}

/* Waits for one job; starts it again behind the flip that ended it. True if it goes on. */
static int job_wait(struct shared *sh, const struct plan *plan, struct flip_bench *b, const struct options *opt, pid_t *pids)
{
	int status, job = 0;
	pid_t pid = wait(&status);
	uint64_t at;

	if (pid < 0)
		return 0;
	while (job < (int)opt->jobs && pids[job] != pid)
		job++;
	if (job == (int)opt->jobs || (WIFEXITED(status) && !WEXITSTATUS(status)))
		return 1;
	at = atomic_load(&sh->in_work[job]);
	if (at) {
		printf("# image %s, bit %llu (%s): the process ends with wait status %d\n", seed_name(b->dev->kind),
		       (unsigned long long)plan->bits[at - 1], region_name((enum region_kind)plan->kinds[at - 1]), status);
		example_add(sh,
			    &(struct example){ .bit = plan->bits[at - 1], .kind = EXAMPLE_CRASH, .image = (int)b->dev->kind });
		fflush(stdout);
		pids[job] = fork();
		if (!pids[job])
			job_run(sh, plan, b, opt, at - 1 + opt->jobs);
	}
	return 1;
}

static void image_run(struct shared *sh, enum seed_kind kind, const struct options *opt)
{
	struct flip_bench *b = flip_bench_new(kind);
	pid_t pids[JOBS_MAX];
	struct plan plan;

	if (b->fsck_noise)
		printf("# fsck complains of the image %s as it is\n", seed_name(kind));
	plan_make(&plan, &b->dev->map, opt);
	printf("# image %s: %llu flips\n", seed_name(kind), (unsigned long long)plan.n);
	fflush(stdout);
	for (uint32_t j = 0; j < opt->jobs; j++) {
		pids[j] = fork();
		if (!pids[j])
			job_run(sh, &plan, b, opt, j);
	}
	while (job_wait(sh, &plan, b, opt, pids))
		;
	plan_free(&plan);
	flip_bench_free(b);
}

/* --- what comes out ------------------------------------------------------------------------------------------------------ */

static void table_print(const struct shared *sh)
{
	printf("# %-24s %8s %8s %8s %8s %6s %7s %8s %10s %8s %8s\n", "structure", "flips", "refused", "noticed", "right", "wrong",
	       "foreign", "fsck", "wrong&fsck", "unused", "crash");
	for (uint32_t k = 0; k < REGION_KINDS; k++) {
		const struct row *r = &sh->rows[k];

		if (!r->flips)
			continue;
		printf("# %-24s %8llu %8llu %8llu %8llu %6llu %7llu %8llu %10llu %8llu %8llu\n", region_name((enum region_kind)k),
		       (unsigned long long)r->flips, (unsigned long long)r->outcomes[FLIP_REFUSED],
		       (unsigned long long)r->outcomes[FLIP_NOTICED], (unsigned long long)r->outcomes[FLIP_RIGHT],
		       (unsigned long long)r->outcomes[FLIP_WRONG], (unsigned long long)r->outcomes[FLIP_FOREIGN],
		       (unsigned long long)r->fsck_found, (unsigned long long)r->wrong_found, (unsigned long long)r->unused,
		       (unsigned long long)r->as_crash);
	}
	printf("# refused: no mount; noticed: EUCLEAN, and read-only from then on; right: every answer as before; wrong: other "
	       "answers;\n"
	       "# foreign: data of another file; fsck: fsck -n finds it; unused: bits without a meaning, or that a record of the "
	       "journal\n"
	       "# stores anew; crash: the last record of a ring is lost, unnoticed, as by a crash before its fence.\n");
}

static void examples_print(const struct shared *sh, const struct options *opt)
{
	static const char *const texts[] = { "crash or hang", "another file's data", "not right, and fsck finds nothing",
					     "in use, and fsck finds nothing", "repair" };
	uint32_t n = sh->n_examples < EXAMPLES_MAX ? sh->n_examples : EXAMPLES_MAX, shown[EXAMPLE_KINDS] = { 0 };

	for (uint32_t i = 0; i < n; i++) {
		const struct example *ex = &sh->examples[i];

		if (!opt->list && shown[ex->kind]++ >= 5)
			continue;
		printf("# %s: --image %s --bit %llu%s%s\n", texts[ex->kind], seed_name((enum seed_kind)ex->image),
		       (unsigned long long)ex->bit, ex->kind == EXAMPLE_REPAIR ? ": " : "",
		       ex->kind == EXAMPLE_REPAIR ? flip_repair_text(ex->repair_failed) : "");
	}
}

static int bars_print(const struct shared *sh)
{
	static const char *const bars[] = {
		"no flip crashes, hangs or reads out of bounds",
		"no flip makes a file return another file's data",
		"fsck finds every flip that mount or walk trip over, or that changes an answer",
		"fsck finds every flip of what is in use",
		"fsck repairs what was flipped: a second check is clean, mount and walk work",
	};
	int failed = 0;

	printf("1..%d\n", EXAMPLE_KINDS);
	for (int k = 0; k < EXAMPLE_KINDS; k++) {
		uint64_t n = sh->by_kind[k];

		printf("%sok %d - %s (%llu, bar 0)\n", n ? "not " : "", k + 1, bars[k], (unsigned long long)n);
		failed |= n != 0;
	}
	return failed;
}

/* One bit in words. */
static int bit_show(const struct options *opt)
{
	static const char *const outcomes[] = { "refused", "noticed", "right", "wrong", "foreign data" };
	enum seed_kind kind = opt->image < 0 ? SEED_TREE : (enum seed_kind)opt->image;
	struct flip_bench *b = flip_bench_new(kind);
	uint64_t off = (uint64_t)opt->bit / 8;
	struct flip_result res;

	for (uint32_t i = 0; i < b->dev->map.n; i++) {
		const struct region *r = &b->dev->map.regions[i];

		if (off >= r->off && off < r->off + r->len)
			printf("block %llu byte %llu: %s, byte %llu of it, owner %llu, bit %d\n", (unsigned long long)(off >> 12),
			       (unsigned long long)(off & 4095), region_name(r->kind), (unsigned long long)(off - r->off),
			       (unsigned long long)r->owner, (int)(opt->bit % 8));
	}
	flip_try(b, (uint64_t)opt->bit, 1, &res);
	printf("mount and walk: %s; fsck: %s; repair: %s\n", outcomes[res.outcome], res.fsck_found ? "finds it" : "finds nothing",
	       flip_repair_text(res.repair_failed));
	flip_bench_free(b);
	return 0;
}

static int kind_parse(const char *name)
{
	for (int k = 0; k < REGION_KINDS; k++)
		if (!strcmp(name, region_name((enum region_kind)k)))
			return k;
	return -2;
}

static int image_parse(const char *name)
{
	for (int k = 0; k < SEED_KINDS; k++)
		if (!strcmp(name, seed_name((enum seed_kind)k)))
			return k;
	return -2;
}

static int options_parse(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "sample", required_argument, NULL, 's' },
		{ "image", required_argument, NULL, 'i' },
		{ "kind", required_argument, NULL, 'k' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "repair", required_argument, NULL, 'r' },
		{ "list", no_argument, NULL, 'l' },
		{ "bit", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*opt = (struct options){ .image = -1, .kind = -1, .sample = 20000, .jobs = 2, .repair = 16, .bit = -1 };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'a':
			opt->all = 1;
			break;
		case 's':
			opt->sample = strtoull(optarg, NULL, 0);
			break;
		case 'i':
			opt->image = image_parse(optarg);
			break;
		case 'k':
			opt->kind = kind_parse(optarg);
			break;
		case 'j':
			opt->jobs = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'r':
			opt->repair = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'l':
			opt->list = 1;
			break;
		case 'b':
			opt->bit = strtoll(optarg, NULL, 0);
			break;
		default:
			return -1;
		}
	}
	return optind == argc && opt->image >= -1 && opt->kind >= -1 && opt->jobs && opt->jobs <= JOBS_MAX ? 0 : -1;
}

static void seed_init(void)
{
	const char *seed = getenv("TAP_SEED");

	tap_seed_value = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	if (!tap_seed_value)
		tap_seed_value = 1;
	printf("# TAP_SEED=%llu\n", (unsigned long long)tap_seed_value);
}

int main(int argc, char **argv)
{
	struct options opt;
	struct shared *sh;

	if (options_parse(argc, argv, &opt)) {
		fprintf(stderr,
			"usage: bitflip [--all | --sample N] [--image tree|dirty|shift] [--kind NAME] [--jobs N] [--repair N] "
			"[--list] [--bit N]\n");
		return 2;
	}
	if (opt.bit >= 0)
		return bit_show(&opt);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(sh != MAP_FAILED);
	seed_init();
	for (int k = SEED_TREE; k < SEED_KINDS; k++)
		if (opt.image < 0 || opt.image == k)
			image_run(sh, (enum seed_kind)k, &opt);
	table_print(sh);
	examples_print(sh, &opt);
	return bars_print(sh);
}
