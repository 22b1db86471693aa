/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our own generator of the ACE vocabulary (Automatic Crash Explorer; Chipmunk's form of it): sequences of one, two or three
 * operations out of 56, on the files foo, A/foo, bar, A/bar and the directories A, B. What an operation needs to succeed is made
 *by the preparation.
 *
 * How the 56 come about:
 *	creat		foo A/foo bar A/bar					 4
 *	mkdir		A B							 2
 *	falloc		4 modes (alloc, keep, punch, zero) x foo A/foo		 8
 *	write		append, overwrite x foo A/foo bar A/bar			 8
 *	dwrite		append, overwrite x foo A/foo				 4
 *	link		foo->bar foo->A/bar A/foo->bar A/foo->A/bar bar->A/foo	 5
 *	unlink		foo A/foo bar A/bar					 4
 *	remove		foo A/foo A B						 4
 *	rename		foo->bar foo->A/bar A/foo->bar A/foo->A/bar A->B B->A
 *			bar->A/foo (the first, the fourth and A->B over a target)	 7
 *	fsetxattr	foo A/foo A						 3
 *	removexattr	foo A/foo A						 3
 *	truncate	shorter, longer x foo A/foo				 4
 *									--------
 *									56, 56 x 56 = 3,136
 *
 * Preparation: the sequence is walked once with a list of what exists. What an operation wants to be there and is not known of
 *(the file to write, the parent of a name, the target of a rename that replaces) is made beforehand; what it wants not to be
 *there is not made. (A file below a directory that the sequence makes itself is made in the midst of it.) Where an operation
 *before has changed that, the operation is tested as one that fails, or that finds its target.
 */
#include "crash/ace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define SIZE 10000u /* bytes of a prepared file: three blocks, the last not whole */

enum name { FOO, A_FOO, BAR, A_BAR, A, B, NONE };

static const char *const names[] = { "foo", "A/foo", "bar", "A/bar", "A", "B" };

enum need {
	NEED_ABSENT, /* of the first name */
	NEED_THERE, /* a file or a directory, as the name says */
	NEED_XATTR, /* there, and it has one */
	NEED_BOTH, /* the second name too */
};

enum effect {
	EFFECT_NONE,
	EFFECT_MAKE, /* the first name comes */
	EFFECT_REMOVE, /* it goes */
	EFFECT_LINK, /* the second comes */
	EFFECT_MOVE, /* the first goes, the second comes */
};

struct ace_op {
	const char *format; /* %1$s, %2$s: the names */
	enum name first, second;
	enum need need;
	enum effect effect;
};

static const struct ace_op ops[] = {
	{ "creat %1$s", FOO, NONE, NEED_ABSENT, EFFECT_MAKE },
	{ "creat %1$s", A_FOO, NONE, NEED_ABSENT, EFFECT_MAKE },
	{ "creat %1$s", BAR, NONE, NEED_ABSENT, EFFECT_MAKE },
	{ "creat %1$s", A_BAR, NONE, NEED_ABSENT, EFFECT_MAKE },
	{ "mkdir %1$s", A, NONE, NEED_ABSENT, EFFECT_MAKE },
	{ "mkdir %1$s", B, NONE, NEED_ABSENT, EFFECT_MAKE },
	{ "falloc %1$s alloc 9000 20000", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "falloc %1$s alloc 9000 20000", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "falloc %1$s keep 9000 20000", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "falloc %1$s keep 9000 20000", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "falloc %1$s punch 100 9000", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "falloc %1$s punch 100 9000", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "falloc %1$s zero 5000 9000", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "falloc %1$s zero 5000 9000", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "write %1$s end 5000", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "write %1$s end 5000", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "write %1$s end 5000", BAR, NONE, NEED_THERE, EFFECT_NONE },
	{ "write %1$s end 5000", A_BAR, NONE, NEED_THERE, EFFECT_NONE },
	{ "write %1$s 1001 3000", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "write %1$s 1001 3000", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "write %1$s 1001 3000", BAR, NONE, NEED_THERE, EFFECT_NONE },
	{ "write %1$s 1001 3000", A_BAR, NONE, NEED_THERE, EFFECT_NONE },
	{ "dwrite %1$s 8k 8k", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "dwrite %1$s 8k 8k", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "dwrite %1$s 0 4k", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "dwrite %1$s 0 4k", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "link %1$s %2$s", FOO, BAR, NEED_THERE, EFFECT_LINK },
	{ "link %1$s %2$s", FOO, A_BAR, NEED_THERE, EFFECT_LINK },
	{ "link %1$s %2$s", A_FOO, BAR, NEED_THERE, EFFECT_LINK },
	{ "link %1$s %2$s", A_FOO, A_BAR, NEED_THERE, EFFECT_LINK },
	{ "link %1$s %2$s", BAR, A_FOO, NEED_THERE, EFFECT_LINK },
	{ "unlink %1$s", FOO, NONE, NEED_THERE, EFFECT_REMOVE },
	{ "unlink %1$s", A_FOO, NONE, NEED_THERE, EFFECT_REMOVE },
	{ "unlink %1$s", BAR, NONE, NEED_THERE, EFFECT_REMOVE },
	{ "unlink %1$s", A_BAR, NONE, NEED_THERE, EFFECT_REMOVE },
	{ "remove %1$s", FOO, NONE, NEED_THERE, EFFECT_REMOVE },
	{ "remove %1$s", A_FOO, NONE, NEED_THERE, EFFECT_REMOVE },
	{ "remove %1$s", A, NONE, NEED_THERE, EFFECT_REMOVE },
	{ "remove %1$s", B, NONE, NEED_THERE, EFFECT_REMOVE },
	{ "rename %1$s %2$s", FOO, BAR, NEED_BOTH, EFFECT_MOVE },
	{ "rename %1$s %2$s", FOO, A_BAR, NEED_THERE, EFFECT_MOVE },
	{ "rename %1$s %2$s", A_FOO, BAR, NEED_THERE, EFFECT_MOVE },
	{ "rename %1$s %2$s", A_FOO, A_BAR, NEED_BOTH, EFFECT_MOVE },
	{ "rename %1$s %2$s", BAR, A_FOO, NEED_THERE, EFFECT_MOVE },
	{ "rename %1$s %2$s", A, B, NEED_BOTH, EFFECT_MOVE },
	{ "rename %1$s %2$s", B, A, NEED_THERE, EFFECT_MOVE },
	{ "fsetxattr %1$s user.one 100", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "fsetxattr %1$s user.one 100", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "fsetxattr %1$s user.one 3000", A, NONE, NEED_THERE, EFFECT_NONE },
	{ "removexattr %1$s user.two", FOO, NONE, NEED_XATTR, EFFECT_NONE },
	{ "removexattr %1$s user.two", A_FOO, NONE, NEED_XATTR, EFFECT_NONE },
	{ "removexattr %1$s user.two", A, NONE, NEED_XATTR, EFFECT_NONE },
	{ "truncate %1$s 4000", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "truncate %1$s 4000", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "truncate %1$s 15000", FOO, NONE, NEED_THERE, EFFECT_NONE },
	{ "truncate %1$s 15000", A_FOO, NONE, NEED_THERE, EFFECT_NONE },
};
static_assert(ARRAY_SIZE(ops) == ACE_OPS, "the vocabulary");

/* What a walk over the sequence knows of each name. */
enum known { UNKNOWN, THERE, GONE };

struct walk {
	enum known now[NONE];
	int with_xattr[NONE]; /* in the preparation */
	int prepared[NONE];
	FILE *tested; /* the text of the tested operations */
};

static int is_dir(enum name n)
{
	return n == A || n == B;
}

/* n has to be there: if nothing is known of it, the preparation makes it. */
static void want(struct walk *w, enum name n)
{
	if (w->now[n] != UNKNOWN)
		return;
	if (n == A_FOO || n == A_BAR)
		want(w, A);
	w->now[n] = THERE;
	if ((n == A_FOO || n == A_BAR) && !w->prepared[A])
		fprintf(w->tested, " creat %s; write %s 0 %u;", names[n], names[n], SIZE); /* below what the sequence has made */
	else
		w->prepared[n] = 1;
}

/* The names below A that are there go with it, to wherever. */
static void below_is_gone(struct walk *w)
{
	w->now[A_FOO] = w->now[A_FOO] == UNKNOWN ? UNKNOWN : GONE;
	w->now[A_BAR] = w->now[A_BAR] == UNKNOWN ? UNKNOWN : GONE;
}

static void walk_op(struct walk *w, const struct ace_op *op)
{
	if (op->need == NEED_ABSENT) {
		if (op->first == A_FOO || op->first == A_BAR)
			want(w, A);
		if (w->now[op->first] == UNKNOWN)
			w->now[op->first] = GONE;
	} else {
		want(w, op->first);
	}
	if (op->need == NEED_BOTH)
		want(w, op->second);
	if (op->second == A_FOO || op->second == A_BAR)
		want(w, A);
	if (op->need == NEED_XATTR && w->prepared[op->first])
		w->with_xattr[op->first] = 1;
	switch (op->effect) {
	case EFFECT_MAKE:
		w->now[op->first] = THERE;
		break;
	case EFFECT_MOVE:
	case EFFECT_REMOVE:
		w->now[op->first] = GONE;
		if (op->first == A)
			below_is_gone(w);
		/* fall through */
	case EFFECT_LINK:
		if (op->second != NONE)
			w->now[op->second] = THERE;
		break;
	default:
		break;
	}
}

static void preparation_print(FILE *f, const struct walk *w)
{
	static const enum name order[] = { A, B, FOO, A_FOO, BAR, A_BAR };

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		enum name n = order[i];

		if (!w->prepared[n])
			continue;
		fprintf(f, is_dir(n) ? "mkdir %s; " : "creat %s; ", names[n]);
		if (!is_dir(n))
			fprintf(f, "write %s 0 %u; ", names[n], SIZE);
		if (w->with_xattr[n])
			fprintf(f, "fsetxattr %s user.two 200; ", names[n]);
	}
}

/* The tested operations, " a; b"; walk learns what they need. NULL: no memory. */
static char *tested_text(struct walk *walk, const uint32_t *sequence, uint32_t n)
{
	char *text = NULL;
	size_t size;

	walk->tested = open_memstream(&text, &size);
	if (!walk->tested)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		const struct ace_op *op = &ops[sequence[i]];

		if (i)
			fputc(';', walk->tested);
		walk_op(walk, op);
		fputc(' ', walk->tested);
		fprintf(walk->tested, op->format, names[op->first], op->second == NONE ? "" : names[op->second]);
	}
	if (fclose(walk->tested)) {
		free(text);
		return NULL;
	}
	return text;
}

char *ace_text(const uint32_t *sequence, uint32_t n)
{
	struct walk walk = { 0 };
	char *tested = tested_text(&walk, sequence, n), *text = NULL;
	size_t size;
	FILE *f = tested ? open_memstream(&text, &size) : NULL;

	if (f) {
		preparation_print(f, &walk);
		fprintf(f, "|%s", tested);
		if (fclose(f)) {
			free(text);
			text = NULL;
		}
	}
	free(tested);
	return text;
}

char *ace1_text(uint64_t i, uint64_t seed)
{
	uint32_t sequence[1] = { (uint32_t)i };

	(void)seed;
	return i < ACE_OPS ? ace_text(sequence, 1) : NULL;
}

char *ace2_text(uint64_t i, uint64_t seed)
{
	uint32_t sequence[2] = { (uint32_t)(i / ACE_OPS), (uint32_t)(i % ACE_OPS) };

	(void)seed;
	return i < ACE_OPS * ACE_OPS ? ace_text(sequence, 2) : NULL;
}

/* A sample: all 175,616 are numbered, and a step that has no divisor in common with them visits each once. */
char *ace3_text(uint64_t i, uint64_t seed)
{
	const uint64_t all = (uint64_t)ACE_OPS * ACE_OPS * ACE_OPS;
	uint64_t number = (seed % all + i % all * 104729) % all;
	uint32_t sequence[3] = { (uint32_t)(number / (ACE_OPS * ACE_OPS)), (uint32_t)(number / ACE_OPS % ACE_OPS),
				 (uint32_t)(number % ACE_OPS) };

	return i < all ? ace_text(sequence, 3) : NULL;
}
