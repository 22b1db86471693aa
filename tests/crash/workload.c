/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The language of workloads: a table of operations, a parser and a printer that both follow it.
 *
 * Invariant: printing what was parsed and parsing it again gives the same workload.
 */
#include "crash/workload.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "crash/workload_grammar.h"

#define COMPONENTS_MAX 24u
#define NAME_BYTES_MAX 255u

struct parser {
	const char *at;
	const char *start;
	struct workload *w;
	uint32_t cap_ops;
	uint32_t thread;
	int n_bars; /* | seen so far */
	char *why;
	size_t why_size;
};

static int parse_fail(const struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int parse_fail(const struct parser *p, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(p->why, p->why_size, "workload, at character %zu: %s", (size_t)(p->at - p->start) + 1, what);
	return -EINVAL;
}

static void skip_blanks(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

static int at_end_of_op(struct parser *p)
{
	skip_blanks(p);
	return !*p->at || *p->at == ';' || *p->at == '|';
}

/* The next word of an operation. */
static int word_take(struct parser *p, char *out, size_t size, const char *what)
{
	size_t n = 0;

	if (at_end_of_op(p))
		return parse_fail(p, "%s is missing", what);
	while (p->at[n] && !isspace((unsigned char)p->at[n]) && p->at[n] != ';' && p->at[n] != '|')
		n++;
	if (n >= size)
		return parse_fail(p, "%s is too long", what);
	memcpy(out, p->at, n);
	out[n] = '\0';
	p->at += n;
	return 0;
}

static int number_parse(const struct parser *p, const char *word, uint64_t *out)
{
	unsigned long long value;
	char *end;

	if (!strcmp(word, "end")) {
		*out = WORKLOAD_OFF_END;
		return 0;
	}
	if (!isdigit((unsigned char)word[0]))
		return parse_fail(p, "'%s' is no number", word);
	errno = 0;
	value = strtoull(word, &end, 0);
	if (*end == 'k' && value < 1ull << 50)
		value <<= 10, end++;
	else if (*end == 'M' && value < 1ull << 40)
		value <<= 20, end++;
	if (*end || errno)
		return parse_fail(p, "'%s' is no number", word);
	*out = value;
	return 0;
}

/* Every component has a name of 1..255 bytes once "%N" is filled up. */
static int path_check(const struct parser *p, const char *path)
{
	uint32_t n = 0;

	if (!strcmp(path, "."))
		return 0;
	for (const char *at = path;; at++) {
		size_t len = strcspn(at, "/"), plain = strcspn(at, "/%");
		unsigned long fill = len > plain ? strtoul(at + plain + 1, NULL, 10) : plain;

		if (!len || !plain || fill > NAME_BYTES_MAX || fill < plain || ++n > COMPONENTS_MAX)
			return parse_fail(p, "'%s' is no path", path);
		at += len;
		if (!*at)
			return 0;
	}
}

static int fd_parse(const struct parser *p, const char *word, int32_t *out)
{
	uint64_t fd;
	int err;

	if (word[0] != '$')
		return parse_fail(p, "'%s': a descriptor $N is wanted", word);
	err = number_parse(p, word + 1, &fd);
	if (!err && fd >= WORKLOAD_FDS_MAX)
		err = parse_fail(p, "descriptors are $0 to $%u", WORKLOAD_FDS_MAX - 1);
	if (!err)
		*out = (int32_t)fd;
	return err;
}

static int symbol_parse(const struct parser *p, const char *word, const char *const *symbols, uint64_t *out)
{
	for (uint64_t i = 0; symbols[i]; i++) {
		if (!strcmp(symbols[i], word)) {
			*out = i;
			return 0;
		}
	}
	return parse_fail(p, "'%s' is not known here", word);
}

/* One argument of the kind that the table asks for. */
static int argument_parse(struct parser *p, const struct grammar_arg *arg, struct workload_op *op)
{
	char word[WORKLOAD_PATH_MAX];
	int err = word_take(p, word, sizeof(word), arg->what);

	if (err)
		return err;
	switch (arg->kind) {
	case ARG_TARGET:
		if (word[0] == '$')
			return fd_parse(p, word, &op->target.fd);
		/* fall through */
	case ARG_PATH:
		strcpy(op->target.path, word);
		return path_check(p, word);
	case ARG_FD:
		return fd_parse(p, word, &op->target.fd);
	case ARG_TO:
		strcpy(op->to, word);
		return path_check(p, word);
	case ARG_NAME:
		strcpy(op->to, word);
		return 0;
	case ARG_SYMBOL:
		return symbol_parse(p, word, arg->symbols, &op->arg[arg->slot]);
	default:
		err = number_parse(p, word, &op->arg[arg->slot]);
		if (!err && op->arg[arg->slot] == WORKLOAD_OFF_END && strcmp(arg->what, "an offset"))
			err = parse_fail(p, "end is an offset");
		return err;
	}
}

static int op_parse(struct parser *p, struct workload_op *op)
{
	const struct grammar_op *g = grammar_ops;
	char word[32];
	int err = word_take(p, word, sizeof(word), "an operation");

	if (err)
		return err;
	while (g->name && strcmp(g->name, word))
		g++;
	if (!g->name)
		return parse_fail(p, "unknown operation '%s'", word);
	*op = (struct workload_op){ .kind = (enum workload_kind)(g - grammar_ops), .thread = p->thread, .n_steps = 1 };
	op->target.fd = -1;
	for (const struct grammar_arg *arg = g->args; arg->kind != ARG_NONE; arg++) {
		if (arg->kind >= ARG_SYMBOL)
			op->arg[arg->slot] = arg->preset;
		if (arg->optional && at_end_of_op(p))
			continue;
		err = argument_parse(p, arg, op);
		if (err)
			return err;
	}
	if (!at_end_of_op(p))
		return parse_fail(p, "%s takes no more arguments", g->name);
	if (g->loops) {
		if (!op->arg[0] || op->arg[0] > WORKLOAD_STEPS_MAX)
			return parse_fail(p, "%s: 1 to %u times", g->name, WORKLOAD_STEPS_MAX);
		op->n_steps = (uint32_t)op->arg[0];
	}
	return 0;
}

static int op_append(struct parser *p, const struct workload_op *op)
{
	struct workload *w = p->w;

	if (w->n_ops == WORKLOAD_OPS_MAX)
		return parse_fail(p, "too many operations");
	if (w->n_ops == p->cap_ops) {
		uint32_t cap = p->cap_ops ? 2 * p->cap_ops : 16;
		struct workload_op *ops = realloc(w->ops, cap * sizeof(*ops));

		if (!ops)
			return -ENOMEM;
		w->ops = ops;
		p->cap_ops = cap;
	}
	w->ops[w->n_ops] = *op;
	w->ops[w->n_ops++].text = NULL;
	w->ops[w->n_ops - 1].text = grammar_op_print(op);
	return w->ops[w->n_ops - 1].text ? 0 : -ENOMEM;
}

static int geometry_parse(struct parser *p)
{
	while (!isspace((unsigned char)*p->at) && *p->at) {
		size_t key = strcspn(p->at, "=, "), len = strcspn(p->at, ", ");
		char word[32] = "";
		uint64_t value;
		int err;

		if (p->at[key] != '=' || len - key - 1 >= sizeof(word))
			return parse_fail(p, "name=value is wanted");
		memcpy(word, p->at + key + 1, len - key - 1);
		err = number_parse(p, word, &value);
		if (err)
			return err;
		if (value > 65536)
			return parse_fail(p, "%s is too much", word);
		if (!strncmp(p->at, "mib=", 4))
			p->w->geo.mib = (uint32_t)value;
		else if (!strncmp(p->at, "rings=", 6))
			p->w->geo.rings = (uint32_t)value;
		else if (!strncmp(p->at, "ring=", 5))
			p->w->geo.ring_blocks = (uint32_t)value;
		else if (!strncmp(p->at, "chunks=", 7))
			p->w->geo.chunks = (uint32_t)value;
		else if (!strncmp(p->at, "intents=", 8))
			p->w->geo.intents = (uint32_t)value;
		else if (!strncmp(p->at, "keep=", 5))
			p->w->geo.keep = value != 0;
		else if (!strncmp(p->at, "sched=", 6))
			p->w->sched = (uint32_t)value;
		else if (!strncmp(p->at, "tick=", 5))
			p->w->tick = value ? (uint32_t)value : 1;
		else
			return parse_fail(p, "mib, rings, ring, chunks, intents, keep, sched or tick is wanted");
		p->at += len;
		if (*p->at == ',')
			p->at++;
	}
	return 0;
}

static int thread_parse(struct parser *p)
{
	if (p->at[1] != 't' || p->at[2] < '1' || p->at[2] >= (char)('1' + WORKLOAD_THREADS_MAX) || p->at[3] != ']')
		return parse_fail(p, "[t1] to [t%u] is wanted", WORKLOAD_THREADS_MAX);
	p->thread = (uint32_t)(p->at[2] - '1');
	p->at += 4;
	skip_blanks(p);
	return 0;
}

/* What stands between two operations: ; or |, and [tN]. */
static int separators_parse(struct parser *p)
{
	int err = 0;

	for (skip_blanks(p); !err && (*p->at == ';' || *p->at == '|' || *p->at == '['); skip_blanks(p)) {
		if (*p->at == '[') {
			err = thread_parse(p);
			continue;
		}
		if (*p->at == '|') {
			if (p->n_bars++ || p->thread)
				return parse_fail(p, "one | only, and before threads");
			p->w->n_setup_ops = p->w->n_ops;
		}
		p->at++;
	}
	return err;
}

/* Numbers the steps and names them. */
static int steps_make(struct workload *w)
{
	size_t names = 0, at = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_ops; i++) {
		n += w->ops[i].n_steps;
		names += (strlen(w->ops[i].text) + 24) * w->ops[i].n_steps;
		if (n > WORKLOAD_STEPS_MAX)
			return -EINVAL;
	}
	w->steps = calloc(n + 1, sizeof(*w->steps));
	w->names = malloc(names + 1);
	if (!w->steps || !w->names)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_ops; i++) {
		if (i == w->n_setup_ops)
			w->n_setup_steps = w->n_steps;
		for (uint32_t iter = 0; iter < w->ops[i].n_steps; iter++) {
			char *name = w->names + at;

			at += 1 + (size_t)snprintf(name, names - at, w->ops[i].n_steps > 1 ? "%u %s #%u" : "%u %s", w->n_steps,
						   w->ops[i].text, iter);
			w->steps[w->n_steps++] = (struct workload_step){ i, iter, w->ops[i].thread, name };
		}
	}
	if (w->n_setup_ops == w->n_ops)
		w->n_setup_steps = w->n_steps;
	return 0;
}

static int whole_check(const struct parser *p)
{
	const struct workload *w = p->w;

	for (uint32_t i = w->n_setup_ops; i < w->n_ops; i++)
		if (w->ops[i].kind == OP_FILL || w->ops[i].kind == OP_POISON)
			return parse_fail(p, "%s belongs into the preparation", grammar_ops[w->ops[i].kind].name);
	if (w->geo.mib < 4 || w->geo.mib > 1024 || !w->geo.rings || w->geo.rings > PMFS2_RINGS_MAX ||
	    w->geo.ring_blocks < PMFS2_RING_BLOCKS_MIN)
		return parse_fail(p, "mib=4.., rings=1..%u, ring=%u..", PMFS2_RINGS_MAX, PMFS2_RING_BLOCKS_MIN);
	return 0;
}

int workload_parse(const char *text, struct workload **out, char *why, size_t why_size)
{
	struct parser p = { .at = text, .start = text, .why = why, .why_size = why_size };
	int err = 0;

	snprintf(why, why_size, "no memory");
	p.w = calloc(1, sizeof(*p.w));
	if (!p.w)
		return -ENOMEM;
	p.w->geo = WORKLOAD_GEOMETRY_DEFAULT;
	p.w->n_threads = 1;
	p.w->tick = 1;
	skip_blanks(&p);
	if (*p.at == '@') {
		p.at++;
		err = geometry_parse(&p);
	}
	while (!err && !(err = separators_parse(&p)) && *p.at) {
		struct workload_op op;

		err = op_parse(&p, &op);
		if (!err)
			err = op_append(&p, &op);
		if (!err)
			p.w->n_threads = (uint32_t)u64_max(p.w->n_threads, op.thread + 1);
	}
	if (!err)
		err = whole_check(&p);
	if (!err && (err = steps_make(p.w)) == -EINVAL)
		err = parse_fail(&p, "more than %u steps", WORKLOAD_STEPS_MAX);
	if (err) {
		workload_free(p.w);
		return err;
	}
	*out = p.w;
	return 0;
}

void workload_free(struct workload *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; i < w->n_ops; i++)
		free(w->ops[i].text);
	free(w->ops);
	free(w->steps);
	free(w->names);
	free(w);
}

static void geometry_print(FILE *f, const struct workload *w)
{
	const struct workload_geometry preset = WORKLOAD_GEOMETRY_DEFAULT;
	const char *sep = "@";

	if (w->geo.mib != preset.mib) {
		fprintf(f, "%smib=%u", sep, w->geo.mib);
		sep = ",";
	}
	if (w->geo.rings != preset.rings) {
		fprintf(f, "%srings=%u", sep, w->geo.rings);
		sep = ",";
	}
	if (w->geo.ring_blocks != preset.ring_blocks) {
		fprintf(f, "%sring=%u", sep, w->geo.ring_blocks);
		sep = ",";
	}
	if (w->geo.chunks) {
		fprintf(f, "%schunks=%u", sep, w->geo.chunks);
		sep = ",";
	}
	if (w->geo.intents) {
		fprintf(f, "%sintents=%u", sep, w->geo.intents);
		sep = ",";
	}
	if (w->geo.keep) {
		fprintf(f, "%skeep=1", sep);
		sep = ",";
	}
	if (w->sched) {
		fprintf(f, "%ssched=%u", sep, w->sched);
		sep = ",";
	}
	if (w->tick > 1) {
		fprintf(f, "%stick=%u", sep, w->tick);
		sep = ",";
	}
	if (*sep == ',')
		fputc(' ', f);
}

/* As text, without operation number skip (n_ops: with all). */
static char *print_without(const struct workload *w, uint32_t skip)
{
	const char *sep = "";
	uint32_t thread = 0;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	geometry_print(f, w);
	for (uint32_t i = 0; i < w->n_ops; i++) {
		const struct workload_op *op = &w->ops[i];

		if (i == w->n_setup_ops && i) {
			fprintf(f, *sep ? " | " : "| ");
			sep = "";
		}
		if (i == skip)
			continue;
		fputs(sep, f);
		if (op->thread != thread)
			fprintf(f, "[t%u] ", op->thread + 1);
		thread = op->thread;
		fputs(op->text, f);
		sep = "; ";
	}
	if (w->n_setup_ops && w->n_setup_ops == w->n_ops)
		fprintf(f, " |");
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

char *workload_print(const struct workload *w)
{
	return print_without(w, w->n_ops);
}

int workload_without(const struct workload *w, uint32_t op, struct workload **out)
{
	char *text = print_without(w, op), why[200];
	int err;

	if (!text)
		return -ENOMEM;
	err = workload_parse(text, out, why, sizeof(why));
	free(text);
	return err;
}

struct mkfs_params workload_mkfs_params(const struct workload *w)
{
	return (struct mkfs_params){
		.label = "crash", .uuid = "crash explorer", .n_rings = w->geo.rings, .ring_blocks = w->geo.ring_blocks
	};
}
