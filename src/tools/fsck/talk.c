/* SPDX-License-Identifier: BSD-3-Clause */
/* What fsck.pmfs2 says. Texts of problems hold names from media: the library has taken control characters out of them. */
#include "talk.h"

#include <stdio.h>
#include <string.h>

#include "tools/common/text.h"

void talk_report(void *ctx, const struct fsck_report *report)
{
	const struct fsck_problem *problem = fsck_problem(report->code);
	struct talk *talk = ctx;

	progress_hide(&talk->progress);
	printf("%s: %s: ", talk->opts->path, problem->name);
	text_print(stdout, report->text, strlen(report->text));
	if (report->outcome == FSCK_REPAIRED)
		printf(" [repaired: %s]", problem->repair);
	else if (report->outcome == FSCK_LEFT)
		printf(" [left%s]", talk->opts->mode == FSCK_PREEN && !problem->safe ? ": not safe without being asked" : "");
	putchar('\n');
}

int talk_ask(void *ctx, enum fsck_code code, const char *text)
{
	const struct fsck_problem *problem = fsck_problem(code);
	struct talk *talk = ctx;
	char line[64];

	if (talk->answer_all || talk->answer_none)
		return talk->answer_all;
	progress_hide(&talk->progress);
	for (;;) {
		printf("%s: ", problem->name);
		text_print(stdout, text, strlen(text));
		printf("\n  Repair: %s. Do it (y, n, a: yes to all)? ", problem->repair);
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin)) {
			putchar('\n');
			talk->answer_none = 1;
			return 0;
		}
		if (line[0] == 'a' || line[0] == 'A')
			talk->answer_all = 1;
		if (line[0] == 'y' || line[0] == 'Y' || talk->answer_all)
			return 1;
		if (line[0] == 'n' || line[0] == 'N')
			return 0;
	}
}

void talk_progress(void *ctx, enum fsck_pass pass, uint64_t done, uint64_t total)
{
	struct talk *talk = ctx;

	progress_show(&talk->progress, pass, done, total);
}

void talk_note(void *ctx, const char *text)
{
	struct talk *talk = ctx;

	progress_hide(&talk->progress);
	printf("%s: %s\n", talk->opts->path, text);
}

/* How often each problem was met. */
static void print_counts(const struct talk *talk, const struct fsck_result *res)
{
	for (int i = 0; i < FSCK_N_CODES; i++)
		if (res->found[i])
			printf("%s: %8u %s\n", talk->opts->path, res->found[i], fsck_problem((enum fsck_code)i)->name);
}

void talk_summary(struct talk *talk, const struct fsck_result *res)
{
	const char *path = talk->opts->path;
	char used[TEXT_SIZE_LEN], all[TEXT_SIZE_LEN];

	progress_hide(&talk->progress);
	if (talk->opts->verbose) {
		print_counts(talk, res);
		printf("%s: %llu inodes, %llu of them directories; %s of %s in use\n", path, (unsigned long long)res->n_files,
		       (unsigned long long)res->n_dirs, text_size(res->used_blocks << 12, used),
		       text_size(res->n_blocks << 12, all));
	}
	if (res->intents)
		printf("%s: %llu unfinished deletions, truncations or shifts%s\n", path, (unsigned long long)res->intents,
		       talk->opts->mode == FSCK_CHECK ? "; a mount finishes them"
		       : res->n_left		      ? " are left"
						      : " finished");
	if (res->n_found)
		printf("%s: %u problems, %u repaired, %u left%s\n", path, res->n_found, res->n_repaired, res->n_left,
		       !res->n_left		      ? ""
		       : talk->opts->mode == FSCK_YES ? ""
						      : "; 'fsck.pmfs2 -y' repairs what can be repaired");
	printf("%s: %s, %llu files, %llu/%llu blocks\n", path, res->n_left ? "NOT CLEAN" : "clean",
	       (unsigned long long)res->n_files, (unsigned long long)res->used_blocks, (unsigned long long)res->n_blocks);
}
