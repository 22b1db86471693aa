/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For each problem that fsck knows, its golden image: the check says it, and stores nothing; preen repairs it or leaves it, as
 *the table says; a repair of everything leaves nothing, a second one finds nothing, and what a mount shows then is what
 *golden.txt says.
 *
 *	golden GOLDEN.TXT		the test (TAP)
 *	golden --write GOLDEN.TXT	writes the file anew, to be read before it is committed
 */
#include <errno.h>
#include <string.h>

#include "golden.h"

#define TEXT_MAX (1u << 20)

/* An image with what was said of it. */
struct trial {
	struct pmem *pm;
	struct golden g;
	struct fsck_result res;
	FILE *out; /* NULL: nobody wants to know */
	enum fsck_code code;
	int n_bad;
	enum fsck_code last; /* said last, and how often one after the other */
	uint32_t n_same;
};

#define SAME_MAX 3u /* lines of one kind that are written out */

static const char *bad(struct trial *t, const char *what)
{
	printf("# %s: %s\n", fsck_problem(t->code)->name, what);
	t->n_bad++;
	return what;
}

static void report(void *ctx, const struct fsck_report *report)
{
	struct trial *t = ctx;

	t->n_same = t->last == report->code ? t->n_same + 1 : 0;
	t->last = report->code;
	if (t->out && t->n_same == SAME_MAX)
		fprintf(t->out, "%s: ...\n", fsck_problem(t->last)->name);
	if (t->out && t->n_same < SAME_MAX)
		fprintf(t->out, "%s: %s%s\n", fsck_problem(report->code)->name, report->text,
			report->outcome == FSCK_REPAIRED ? " [repaired]" : "");
}

static void run(struct trial *t, enum fsck_mode mode, FILE *out)
{
	const struct fsck_options opt = { .mode = mode, .force = 1, .threads = 1, .ctx = t, .report = report };

	t->out = out;
	t->last = FSCK_N_CODES;
	if (fsck_run(t->pm, &opt, &t->res)) {
		bad(t, "fsck failed");
		bad(t, t->res.error);
	}
}

static void trial_start(struct trial *t, enum fsck_code code)
{
	t->code = code;
	if (pmem_open_anon(GOLDEN_BYTES, &t->pm))
		abort();
	golden_make(t->pm, GOLDEN_MANY, &t->g);
	if (code < FSCK_N_CODES)
		golden_recipe_find(code)(&t->g);
}

/* Check mode: says the problem, with the exit code for it, and stores nothing. */
static void try_check(struct trial *t, FILE *out)
{
	uint8_t *before = malloc(GOLDEN_BYTES);

	memcpy(before, t->pm->base, t->code == FSCK_MEDIA_ERROR ? 4096 : GOLDEN_BYTES);
	run(t, FSCK_CHECK, out);
	if (t->code < FSCK_N_CODES && !t->res.found[t->code])
		bad(t, "the check does not say it");
	if (t->res.exit_bits != (t->code < FSCK_N_CODES ? FSCK_EXIT_LEFT : 0))
		bad(t, "the check has a wrong exit code");
	if (memcmp(before, t->pm->base, t->code == FSCK_MEDIA_ERROR ? 4096 : GOLDEN_BYTES))
		bad(t, "the check has stored something");
	free(before);
}

/* Preen: repairs it if the table says so, and then nothing is left unless something else is. */
static void try_preen(enum fsck_code code, int *n_bad)
{
	int safe = fsck_problem(code)->safe;
	struct trial t = { 0 };

	trial_start(&t, code);
	run(&t, FSCK_PREEN, NULL);
	if (safe && (t.res.n_left || !(t.res.exit_bits & FSCK_EXIT_REPAIRED)))
		bad(&t, "preen does not repair it");
	if (!safe && !(t.res.exit_bits & FSCK_EXIT_LEFT))
		bad(&t, "preen repairs it, or says so");
	run(&t, FSCK_CHECK, NULL);
	if (!safe != !!t.res.n_found)
		bad(&t, "what preen has left is not what the check finds");
	*n_bad += t.n_bad;
	pmem_close(t.pm);
}

static void try_repair(struct trial *t, FILE *out)
{
	int lasting = t->code == FSCK_MEDIA_ERROR;

	run(t, FSCK_YES, out);
	if (lasting) {
		if (t->res.exit_bits != FSCK_EXIT_LEFT)
			bad(t, "a media error is said to be repaired");
		return;
	}
	if (t->res.n_left || t->res.exit_bits != (t->code < FSCK_N_CODES ? FSCK_EXIT_REPAIRED : 0))
		bad(t, "the repair leaves something, or has a wrong exit code");
	run(t, FSCK_YES, NULL);
	if (t->res.n_found || t->res.exit_bits)
		bad(t, "a second repair finds something");
	run(t, FSCK_CHECK, NULL);
	if (t->res.n_found || t->res.intents || t->res.records)
		bad(t, "a check of what was repaired finds something");
}

/* The lines of one walk that the other one does not have. Both are sorted. */
static void lines_diff(const char *a, const char *b, char sign, FILE *out)
{
	uint32_t n_many = 0, n_lost = 0;

	while (*a) {
		size_t len = strcspn(a, "\n") + 1;
		const char *p = b;

		while (*p && strncmp(p, a, len))
			p += strcspn(p, "\n") + 1;
		if (!*p && !strncmp(a, "/dir/many-", 10) && n_many++ >= SAME_MAX)
			p = a;
		else if (!*p && !strncmp(a, "/lost+found/#", 13) && n_lost++ >= SAME_MAX)
			p = a;
		if (!*p)
			fprintf(out, "%c %.*s\n", sign, (int)len - 1, a);
		a += len;
	}
	if (n_many > SAME_MAX)
		fprintf(out, "%c /dir/many-...: %u lines in all\n", sign, n_many);
	if (n_lost > SAME_MAX)
		fprintf(out, "%c /lost+found/#...: %u lines in all\n", sign, n_lost);
}

static char *walk_text(struct trial *t)
{
	char *text = calloc(1, TEXT_MAX);
	FILE *f = fmemopen(text, TEXT_MAX, "w");

	if (golden_walk(t->pm, f))
		bad(t, "the mount or the walk behind the repair fails");
	fclose(f);
	return text;
}

/* What is said of one problem, and what the repair has changed of what a mount shows. */
static void section(enum fsck_code code, const char *sound, FILE *out, int *n_bad)
{
	struct trial t = { 0 };
	char *text;

	trial_start(&t, code);
	fprintf(out, "== %s\n-- check\n", fsck_problem(code)->name);
	try_check(&t, out);
	fprintf(out, "-- repair\n");
	try_repair(&t, out);
	if (code != FSCK_MEDIA_ERROR) {
		fprintf(out, "-- changed\n");
		text = walk_text(&t);
		lines_diff(sound, text, '-', out);
		lines_diff(text, sound, '+', out);
		free(text);
	}
	*n_bad += t.n_bad;
	pmem_close(t.pm);
}

/* What a mount of the image without a defect shows. */
static char *sound_text(int *n_bad)
{
	struct trial t = { 0 };
	char *text;

	trial_start(&t, FSCK_N_CODES);
	run(&t, FSCK_CHECK, NULL);
	*n_bad += t.res.n_found != 0;
	text = walk_text(&t);
	pmem_close(t.pm);
	return text;
}

/* The section of a code in the golden text. */
static const char *expected(const char *golden, enum fsck_code code, size_t *out_len)
{
	char head[64];
	const char *at, *end;

	snprintf(head, sizeof(head), "== %s\n", fsck_problem(code)->name);
	at = strstr(golden, head);
	if (!at)
		return NULL;
	end = strstr(at + 1, "\n== ");
	*out_len = end ? (size_t)(end + 1 - at) : strlen(at);
	return at;
}

static void print_comment(const char *text, size_t len)
{
	while (len) {
		size_t line = strcspn(text, "\n");

		line = line < len ? line : len - 1;
		printf("#   %.*s\n", (int)line, text);
		text += line + 1;
		len -= line + 1;
	}
}

static int test_code(enum fsck_code code, const char *sound, const char *golden)
{
	char *text = calloc(1, TEXT_MAX);
	FILE *f = fmemopen(text, TEXT_MAX, "w");
	const char *want;
	size_t len = 0;
	int n_bad = 0;

	section(code, sound, f, &n_bad);
	fclose(f);
	if (code != FSCK_MEDIA_ERROR)
		try_preen(code, &n_bad);
	want = expected(golden, code, &len);
	if (!want || len != strlen(text) || memcmp(want, text, len)) {
		n_bad++;
		printf("# golden.txt has something else; now it is:\n");
		print_comment(text, strlen(text));
	}
	free(text);
	return n_bad;
}

static char *file_read(const char *path)
{
	char *text = calloc(1, TEXT_MAX);
	FILE *f = fopen(path, "re");

	if (!f || fread(text, 1, TEXT_MAX - 1, f) == 0) {
		perror(path);
		exit(1);
	}
	fclose(f);
	return text;
}

static int write_golden(const char *path)
{
	int n_bad = 0;
	char *sound = sound_text(&n_bad);
	FILE *f = fopen(path, "we");

	if (!f) {
		perror(path);
		return 1;
	}
	fprintf(f, "SPDX-License-Identifier: BSD-3-Clause\n"
		   "Written by 'golden --write': for each problem what a check says, what a repair says, and what it changes of\n"
		   "what a mount shows.\n");
	for (enum fsck_code code = 0; code < FSCK_N_CODES; code++)
		section(code, sound, f, &n_bad);
	free(sound);
	return fclose(f) || n_bad;
}

int main(int argc, char **argv)
{
	int n_bad = 0, failed = 0;
	char *golden, *sound;

	if (argc == 3 && !strcmp(argv[1], "--write"))
		return write_golden(argv[2]);
	if (argc != 2) {
		fprintf(stderr, "Usage: golden [--write] GOLDEN.TXT\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	golden = file_read(argv[1]);
	sound = sound_text(&n_bad);
	printf("1..%d\n", FSCK_N_CODES + 2);
	printf("%sok 1 - golden_image_without_a_defect_is_clean\n", n_bad ? "not " : "");
	failed += n_bad != 0;
	n_bad = 0;
	for (enum fsck_code code = 0; code < FSCK_N_CODES; code++)
		if (!golden_recipe_find(code))
			bad(&(struct trial){ .code = code, .n_bad = n_bad }, "no recipe"), n_bad++;
	printf("%sok 2 - golden_recipes_cover_the_table_of_problems\n", n_bad ? "not " : "");
	failed += n_bad != 0;
	for (enum fsck_code code = 0; code < FSCK_N_CODES; code++) {
		n_bad = golden_recipe_find(code) ? test_code(code, sound, golden) : 1;
		printf("%sok %d - golden_%s_is_found_and_repaired\n", n_bad ? "not " : "", (int)code + 3,
		       fsck_problem(code)->name);
		failed += n_bad != 0;
	}
	free(golden);
	free(sound);
	return failed != 0;
}
