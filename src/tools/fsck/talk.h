/* SPDX-License-Identifier: BSD-3-Clause */
/* What fsck.pmfs2 says: problems, questions, the summary. */
#ifndef TOOLS_FSCK_TALK_H
#define TOOLS_FSCK_TALK_H

#include "options.h"
#include "progress.h"

struct talk {
	const struct options *opts;
	struct progress progress;
	int answer_all; /* 'a' was answered: yes to what follows */
	int answer_none; /* no more input: no to what follows */
};

/* Callbacks of struct fsck_options; ctx is the struct talk. */
void talk_report(void *ctx, const struct fsck_report *report);
int talk_ask(void *ctx, enum fsck_code code, const char *text);
void talk_progress(void *ctx, enum fsck_pass pass, uint64_t done, uint64_t total);
void talk_note(void *ctx, const char *text);

void talk_summary(struct talk *talk, const struct fsck_result *res);

#endif
