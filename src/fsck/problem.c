/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of problems, and what is done about one that was found: counted, said, decided. */
#include "fsck/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct fsck_problem *fsck_problem(enum fsck_code code)
{
	static const struct fsck_problem table[] = {
#define FSCK_PROBLEM_ROW(code, safe, what, repair) { #code, what, repair, safe },
		FSCK_PROBLEMS(FSCK_PROBLEM_ROW)
#undef FSCK_PROBLEM_ROW
	};

	return &table[code];
}

/* Under the lock. */
static int decide(struct fsck *fk, enum fsck_code code, const char *text)
{
	switch (fk->fixing ? fk->opt->mode : FSCK_CHECK) {
	case FSCK_PREEN:
		return fsck_problem(code)->safe;
	case FSCK_YES:
		return 1;
	case FSCK_ASK:
		return fk->opt->ask ? fk->opt->ask(fk->opt->ctx, code, text) : 0;
	default:
		return 0;
	}
}

/* Problems that a repair leaves alone without danger for the others. */
static int is_structure(enum fsck_code code)
{
	return code != FSCK_LINK_COUNT && code != FSCK_UNCONNECTED && code != FSCK_DAMAGE_MARK && code != FSCK_COUNT_INODES;
}

static uint64_t text_hash(enum fsck_code code, const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull + (uint64_t)code;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
	return hash;
}

/* Under the lock: was it refused in an earlier round? */
static int refused_before(const struct fsck *fk, uint64_t hash)
{
	for (uint32_t i = 0; i < fk->n_refused; i++)
		if (fk->refused[i] == hash)
			return 1;
	return 0;
}

static void refused_add(struct fsck *fk, uint64_t hash)
{
	if (fk->n_refused == fk->cap_refused) {
		uint32_t cap = fk->cap_refused ? 2 * fk->cap_refused : 64;
		uint64_t *more = realloc(fk->refused, cap * sizeof(*more));

		/* Without memory it is asked again, no worse. */
		if (!more)
			return;
		fk->refused = more;
		fk->cap_refused = cap;
	}
	fk->refused[fk->n_refused++] = hash;
}

/* Under the lock: counts and says a problem that was decided. */
static void say(struct fsck *fk, enum fsck_code code, const char *text, int fix)
{
	const struct fsck_report report = {
		.code = code,
		.outcome = fix		? FSCK_REPAIRED
			   : fk->fixing ? FSCK_LEFT
					: FSCK_SEEN,
		.text = text,
	};

	fk->res->found[code]++;
	fk->res->n_found++;
	if (fix) {
		fk->round_fixed++;
		fk->res->n_repaired++;
	}
	if (fk->opt->report)
		fk->opt->report(fk->opt->ctx, &report);
}

int fsck_found(struct fsck *fk, enum fsck_code code, const char *fmt, ...)
{
	char text[400];
	uint64_t hash;
	va_list ap;
	int fix = 0;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 32 || *c == 127)
			*c = '?';
	pthread_mutex_lock(&fk->lock);
	fk->round_found++;
	fk->round_structure += (uint32_t)is_structure(code);
	fk->round_unsafe += !fsck_problem(code)->safe;
	hash = text_hash(code, text);
	if (!fk->silent && !refused_before(fk, hash)) {
		fix = code != FSCK_MEDIA_ERROR && !fk->hands_off && decide(fk, code, text);
		say(fk, code, text, fix);
		if (fk->fixing && !fix)
			refused_add(fk, hash);
	}
	fk->round_kept += !fix && is_structure(code);
	pthread_mutex_unlock(&fk->lock);
	return fix;
}

void fsck_note(struct fsck *fk, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (fk->silent || !fk->opt->note)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&fk->lock);
	fk->opt->note(fk->opt->ctx, text);
	pthread_mutex_unlock(&fk->lock);
}

void fsck_fail(struct fsck *fk, int err)
{
	int none = 0;

	__atomic_compare_exchange_n(&fk->err, &none, err, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
