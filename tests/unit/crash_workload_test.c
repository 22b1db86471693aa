/* SPDX-License-Identifier: BSD-3-Clause */
/* The crash explorer's workloads and oracle: language, generators, states, what is legal. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "crash/ace.h"
#include "crash/run.h"
#include "lib/tap.h"
#include "pmem/site.h"
#include "pmfs2/fs.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

static struct workload *parse(const char *text)
{
	struct workload *w;
	char why[200];
	int err = workload_parse(text, &w, why, sizeof(why));

	if (err)
		printf("# %s: %s\n", text, why);
	CHECK_EQ(err, 0);
	return w;
}

static void check_round_trip(const char *text)
{
	struct workload *w = parse(text), *again;
	char *printed = workload_print(w), *twice;

	CHECK(printed);
	again = parse(printed);
	twice = workload_print(again);
	CHECK(twice && !strcmp(printed, twice));
	CHECK_EQ(w->n_ops, again->n_ops);
	CHECK_EQ(w->n_steps, again->n_steps);
	CHECK_EQ(w->n_setup_steps, again->n_setup_steps);
	free(printed);
	free(twice);
	workload_free(w);
	workload_free(again);
}

static void workload_printed_and_parsed_is_the_same(void)
{
	struct workload *w = parse(
		"@mib=8,rings=1,sched=3 mkdir A; creat A/foo 0755| rename A/foo bar exchange; creatn x%90 3;[t2] write $3 4k 2M");
	char *printed = workload_print(w);

	CHECK(printed && !strcmp(printed, "@mib=8,rings=1,sched=3 mkdir A; creat A/foo 0755 | rename A/foo bar exchange; "
					  "creatn x%90 3; [t2] write $3 4k 2M"));
	CHECK_EQ(w->n_threads, 2);
	CHECK_EQ(w->n_setup_steps, 2);
	CHECK_EQ(w->n_steps, 7);
	CHECK(!strcmp(w->steps[4].name, "4 creatn x%90 3 #1"));
	free(printed);
	workload_free(w);
	check_round_trip("@mib=40,rings=1,chunks=512,intents=508,keep=1 creat foo");
	check_round_trip("creat foo");
	check_round_trip("creat foo |");
	check_round_trip("| creat foo;");
	check_round_trip("@keep=1,tick=3 creat foo; poison foo 4k | cutwrite foo 0 9000 5000; chmodacl foo 0640 3");
	for (uint32_t i = 0; workload_bugs[i].name; i++)
		check_round_trip(workload_bugs[i].text);
}

static void workload_that_makes_no_sense_is_refused(void)
{
	static const char *const bad[] = {
		"creat",
		"creat a b c",
		"nonsense a",
		"creat a//b",
		"creat a%300",
		"write $16 0 1",
		"write a 0",
		"write a x 1",
		"write a 0 end",
		"creat a | creat b | creat c",
		"creat a | poison a 0",
		"[t5] creat a",
		"creatn a 0",
		"| fill a 3",
		"@mib=1 creat a",
		"@foo=1 creat a",
		"rename a b c",
		"open a $1",
		"creatn a 99999",
		"[t2] creat a | creat b",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct workload *w;
		char why[200] = "";

		if (workload_parse(bad[i], &w, why, sizeof(why)) != -EINVAL || !why[0])
			printf("# taken: %s\n", bad[i]);
		CHECK(why[0]);
	}
}

static void workload_without_an_operation_keeps_the_others(void)
{
	struct workload *w = parse("mkdir A; creat B | creat A/x; [t2] unlink B"), *less;
	char *printed;

	CHECK_EQ(workload_without(w, 2, &less), 0);
	printed = workload_print(less);
	CHECK(printed && !strcmp(printed, "mkdir A; creat B | [t2] unlink B"));
	free(printed);
	workload_free(less);
	workload_free(w);
}

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void ace_makes_56_and_3136_different_workloads(void)
{
	static char *texts[ACE_OPS * ACE_OPS];

	for (uint64_t i = 0; i < ACE_OPS; i++)
		texts[i] = ace1_text(i, 0);
	CHECK_EQ(ACE_OPS, 56);
	CHECK(!ace1_text(ACE_OPS, 0));
	qsort(texts, ACE_OPS, sizeof(*texts), text_cmp);
	for (uint64_t i = 1; i < ACE_OPS; i++)
		CHECK(strcmp(texts[i - 1], texts[i]));
	for (uint64_t i = 0; i < ARRAY_SIZE(texts); i++)
		texts[i] = ace2_text(i, 0);
	CHECK_EQ(ARRAY_SIZE(texts), 3136);
	CHECK(!ace2_text(ARRAY_SIZE(texts), 0));
	qsort(texts, ARRAY_SIZE(texts), sizeof(*texts), text_cmp);
	for (uint64_t i = 1; i < ARRAY_SIZE(texts); i++)
		CHECK(strcmp(texts[i - 1], texts[i]));
	for (uint64_t i = 0; i < ARRAY_SIZE(texts); i += 7)
		check_round_trip(texts[i]);
}

/* Runs it without a crash: as memfs does it, step by step; and what a mount of the device as it is then shows is legal. */
static void check_run(const char *text)
{
	struct workload *w = parse(text);
	struct run_point end = { { 0 } };
	struct zus_fs *fs;
	struct pmem *pm;
	char why[1000];
	struct run *run;
	int err;

	CHECK_EQ(run_new(w, 0, &run, why, sizeof(why)), 0);
	if (run->failed)
		printf("# %s\n# %s\n", text, run->why);
	CHECK(!run->failed);
	for (uint32_t step = w->n_setup_steps; step < w->n_steps; step++)
		end.returned[w->steps[step].thread]++;
	CHECK_EQ(pmem_open_anon(run->pm->size, &pm), 0);
	memcpy(pm->base, run->pm->base, pm->size);
	CHECK_EQ(pmfs2_mount_pmem(pm, NULL, 0, &fs), 0);
	err = run_check(run, &end, fs, why, sizeof(why));
	if (err)
		printf("# %s\n# %s\n", text, why);
	CHECK_EQ(err, 0);
	fs_abandon(fs_of(fs));
	run_free(run);
	workload_free(w);
}

static void workloads_of_each_class_run_without_a_crash(void)
{
	uint64_t seed = tap_seed();

	for (const struct workload_class *c = workload_classes; c->name; c++) {
		for (uint64_t i = 0; i < 56; i++) {
			char *text = c->text(i, seed);

			if (!text)
				break;
			check_run(text);
			free(text);
		}
	}
}

/* Growth steps of the table and of the chain, with their trees: that what the words of the geometry promise comes about. */
static void device_that_has_grown_grows_with_the_next_operation(void)
{
	struct workload *w = parse("@mib=40,chunks=512,intents=508 creatn f 254 | creat g; tmpfile $0 .");
	const struct pmfs2_intent_block *last;
	char why[1000];
	struct run *run;
	struct fs *fs;

	CHECK_EQ(run_new(w, 0, &run, why, sizeof(why)), 0);
	CHECK(!run->failed);
	fs = fs_of(run->fs);
	CHECK_EQ(le64_load(&fs->state->itable_chunks), 513);
	CHECK_EQ(le64_load(&fs->state->itable_root) >> PMFS2_ENTRY_HEIGHT_SHIFT & 15, 2);
	last = fs_block(fs, le64_get(fs->sb->intent_block) + le32_get(fs->sb->n_intent_blocks) - 1);
	CHECK(le64_load(&last->next));
	last = fs_block(fs, le64_load(&last->next));
	CHECK_EQ(le64_load(&last->slots[0].ino_kind) >> 56, PMFS2_INTENT_ORPHAN);
	run_free(run);
	workload_free(w);
}

/* A block that is lost between its record and the first look at it has no free slot: nothing is taken from nowhere. */
static void intent_block_without_a_free_slot_is_refused(void)
{
	struct workload *w = parse("@intents=508 creat foo | tmpfile $0 .");
	struct pmem_site *site = __start_pmem_sites;
	char why[1000];
	struct run *run;

	while (site < __stop_pmem_sites && (strcmp(site->func, "chain_grow") || strcmp(site->call, "pmem_copy")))
		site++;
	CHECK(site < __stop_pmem_sites);
	site->mutation = PMEM_MUT_DROP;
	CHECK_EQ(run_new(w, RUN_NO_MODEL, &run, why, sizeof(why)), 0);
	site->mutation = PMEM_MUT_NONE;
	CHECK_EQ(exec_result(run->exec, w->n_setup_steps), -EUCLEAN);
	run_free(run);
	workload_free(w);
}

static void seeds_give_the_same_text_again(void)
{
	for (const struct workload_class *c = workload_classes; c->name; c++) {
		char *a = c->text(5, 7), *b = c->text(5, 7);

		CHECK(a && b && !strcmp(a, b));
		free(a);
		free(b);
	}
}

/* The state behind a workload, data copied. */
static struct state *state_behind(const char *text)
{
	struct workload *w = parse(text);
	struct state *s;
	char why[500];
	struct run *run;

	CHECK_EQ(run_new(w, RUN_NO_MODEL, &run, why, sizeof(why)), 0);
	CHECK_EQ(state_capture(run->fs, 0, &s, why, sizeof(why)), 0);
	CHECK_EQ(state_own_data(s, NULL), 0);
	run_free(run);
	workload_free(w);
	return s;
}

static void check_differ(const char *a, const char *b, const char *word)
{
	struct state *sa = state_behind(a), *sb = state_behind(b);
	char diff[1000];

	CHECK(sa->digest != sb->digest);
	state_diff(sa, sb, diff, sizeof(diff));
	if (!strstr(diff, word))
		printf("# %s -> %s: %s\n", a, b, diff);
	CHECK(strstr(diff, word));
	state_free(sa);
	state_free(sb);
}

static void states_differ_where_anything_visible_does(void)
{
	check_differ("creat foo", "creat bar", "foo: missing");
	check_differ("creat foo; sync", "creat foo; creat bar", "bar: there, expected not to be");
	check_differ("creat foo; creat bar", "creat foo; link foo bar", "bar");
	check_differ("creat foo 0644", "creat foo 0600", "foo: mode");
	check_differ("creat foo; write foo 0 100", "creat foo; write foo 0 99", "foo: size 99, expected 100");
	check_differ("creat foo; write foo 0 9000; write foo 5000 1", "creat foo; write foo 0 9000; write foo 5001 1",
		     "foo: byte 5000");
	check_differ("creat foo; write foo 0 8k; falloc foo zero 0 4k", "creat foo; write foo 0 8k; falloc foo punch 0 4k",
		     "st_blocks");
	check_differ("creat foo; fsetxattr foo user.a 10", "creat foo; fsetxattr foo user.a 11",
		     "user.a has 11 bytes, expected 10");
	check_differ("creat foo; setacl foo access 2", "creat foo; setacl foo access 3", "posix_acl_access");
	check_differ("creat foo; utimes foo 1600000000", "creat foo; utimes foo 1600000001", "mtime");
	check_differ("symlink s 10", "symlink s 11", "s: size 11, expected 10");
	check_differ("mknod d chr 5", "mknod d chr 6", "rdev 6, expected 5");
	check_differ("creat foo; chattr foo 0x40", "creat foo; chattr foo 0x80", "flags");
	check_differ("creat foo; projid foo 4", "creat foo; projid foo 5", "projid 5, expected 4");
	check_differ("creat foo; falloc foo keep 0 4k", "creat foo; falloc foo keep 0 8k", "free blocks");
}

static void states_of_runs_on_different_mounts_are_equal(void)
{
	struct state *a = state_behind("mkdir A; creat A/x; link A/x y; write y 0 10000; fsetxattr A user.a 300");
	struct state *b = state_behind("mkdir A; creat A/x; link A/x y; write y 0 10000; fsetxattr A user.a 300");
	char diff[300];

	CHECK_EQ(a->digest, b->digest);
	state_diff(a, b, diff, sizeof(diff));
	CHECK(!diff[0]);
	state_free(a);
	state_free(b);
}

/* What is found when the same steps but for some have been done is legal or not. Steps count from the first tested one. */
static int verdict(const char *text, uint32_t returned, int running, const char *found_text)
{
	struct workload *w = parse(text), *found = parse(found_text);
	struct run_point pt = { .returned = { returned }, .running = { (uint8_t)running } };
	struct run *run, *other;
	char why[1000];
	int res;

	CHECK_EQ(run_new(w, 0, &run, why, sizeof(why)), 0);
	CHECK_EQ(run_new(found, RUN_NO_MODEL, &other, why, sizeof(why)), 0);
	res = run_check(run, &pt, other->fs, why, sizeof(why));
	run_free(run);
	run_free(other);
	workload_free(w);
	workload_free(found);
	return res;
}

static void oracle_takes_before_and_behind_and_nothing_else(void)
{
	const char *w = "mkdir A; creat A/foo; write A/foo 0 100 | rename A/foo bar; unlink bar";

	CHECK_EQ(verdict(w, 0, 1, "mkdir A; creat A/foo; write A/foo 0 100"), 0);
	CHECK_EQ(verdict(w, 0, 1, "mkdir A; creat A/foo; write A/foo 0 100; rename A/foo bar"), 0);
	CHECK_EQ(verdict(w, 1, 0, "mkdir A; creat A/foo; write A/foo 0 100; rename A/foo bar"), 0);
	CHECK_EQ(verdict(w, 1, 0, "mkdir A; creat A/foo; write A/foo 0 100"), 1);
	CHECK_EQ(verdict(w, 0, 1, "mkdir A; creat A/foo; write A/foo 0 100; link A/foo bar"), 1);
	CHECK_EQ(verdict(w, 0, 0, "mkdir A; creat A/foo; write A/foo 0 100; rename A/foo bar"), 1);
	CHECK_EQ(verdict(w, 2, 0, "mkdir A; creat A/foo; write A/foo 0 100; rename A/foo bar; unlink bar"), 0);
}

static void oracle_takes_an_overwrite_word_by_word_only(void)
{
	const char *w = "creat foo; write foo 0 8k | write foo 0 8k; write foo end 8k";

	CHECK_EQ(verdict(w, 0, 1, "creat foo; write foo 0 8k; write foo 0 4k; sync"), 0);
	CHECK_EQ(verdict(w, 0, 1, "creat foo; write foo 0 8k; write foo 16 24"), 0);
	/* half a word */
	CHECK_EQ(verdict(w, 0, 1, "creat foo; write foo 0 8k; write foo 16 4"), 1);
	/* of another step */
	CHECK_EQ(verdict(w, 0, 1, "creat foo; write foo 0 8k; sync; write foo 16 8"), 1);
	/* an append is there as a whole, or not */
	CHECK_EQ(verdict(w, 1, 1, "creat foo; write foo 0 8k; write foo 0 8k; write foo end 4k"), 0);
	CHECK_EQ(verdict(w, 1, 1, "creat foo; write foo 0 8k; write foo 0 8k; write foo end 4000"), 1);
	CHECK_EQ(verdict(w, 1, 1, "creat foo; write foo 0 8k; write foo 0 8k; truncate foo 16k"), 1);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(workload_printed_and_parsed_is_the_same),
		TAP_CASE(workload_that_makes_no_sense_is_refused),
		TAP_CASE(workload_without_an_operation_keeps_the_others),
		TAP_CASE(ace_makes_56_and_3136_different_workloads),
		TAP_CASE(seeds_give_the_same_text_again),
		TAP_CASE(workloads_of_each_class_run_without_a_crash),
		TAP_CASE(device_that_has_grown_grows_with_the_next_operation),
		TAP_CASE(intent_block_without_a_free_slot_is_refused),
		TAP_CASE(states_of_runs_on_different_mounts_are_equal),
		TAP_CASE(states_differ_where_anything_visible_does),
		TAP_CASE(oracle_takes_before_and_behind_and_nothing_else),
		TAP_CASE(oracle_takes_an_overwrite_word_by_word_only),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
