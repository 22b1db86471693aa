/* SPDX-License-Identifier: BSD-3-Clause */
/* The table. */
#include "crash/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define RECOVERIES_PER_MINUTE 10000.0

enum bar { BAR_NONE, BAR_AT_LEAST, BAR_AT_MOST };

struct row {
	const char *what;
	double value;
	enum bar bar;
	double limit;
};

static int row_short(const struct row *r)
{
	return (r->bar == BAR_AT_LEAST && r->value < r->limit) || (r->bar == BAR_AT_MOST && r->value > r->limit);
}

static void row_print(const struct report_options *opt, const struct row *r, FILE *out)
{
	char bar[32] = "";

	if (r->bar != BAR_NONE)
		snprintf(bar, sizeof(bar), "%s %.0f", r->bar == BAR_AT_LEAST ? ">=" : "<=", r->limit);
	fprintf(out, "%s%-50s %14.0f  %-10s %s\n", opt->tap ? "# " : "", r->what, r->value, bar,
		r->bar == BAR_NONE ? ""
		: row_short(r)	   ? "short"
				   : "ok");
}

static void failures_print(const struct report_options *opt, const char *text, FILE *out)
{
	while (text && *text) {
		int len = (int)strcspn(text, "\n");

		fprintf(out, "%s%.*s\n", opt->tap ? "# " : "", len, text);
		text += len + (text[len] == '\n');
	}
}

int report_print(const struct report_options *opt, const struct jobs_result *result, FILE *out)
{
	const struct explore_stats *s = &result->stats;
	double minutes = result->seconds / 60;
	struct row rows[] = {
		{ "workloads", (double)s->workloads, BAR_AT_LEAST, (double)opt->planned },
		{ "operations", (double)s->operations, BAR_NONE, 0 },
		{ "unique traces", (double)result->traces, BAR_NONE, 0 },
		{ "crash points (fences, ends of operations)", (double)s->points, BAR_NONE, 0 },
		{ "images made", (double)s->images, BAR_NONE, 0 },
		{ "  unique (image and legal states)", (double)s->unique, BAR_NONE, 0 },
		{ "images made of crashes inside recovery", (double)s->second_images, BAR_NONE, 0 },
		{ "  unique", (double)s->second_unique, BAR_NONE, 0 },
		{ "recoveries run", (double)s->recovered, BAR_NONE, 0 },
		{ "  outcomes (each: fsck)", (double)s->states, BAR_NONE, 0 },
		{ "  without the rings (each: oracle, used to the end)", (double)s->used, BAR_NONE, 0 },
		{ "capped points (choices left out)", (double)s->capped, opt->no_caps ? BAR_AT_MOST : BAR_NONE, 0 },
		{ "failures", (double)s->failures, BAR_AT_MOST, 0 },
		{ "seconds", result->seconds, opt->seconds_max ? BAR_AT_MOST : BAR_NONE, opt->seconds_max },
		{ "recoveries per minute", minutes > 0 ? (double)s->recovered / minutes : 0, opt->rates ? BAR_AT_LEAST : BAR_NONE,
		  RECOVERIES_PER_MINUTE },
	};
	uint32_t n_bars = 0, n_short = 0;

	failures_print(opt, result->failures, out);
	fprintf(out, "%s%s\n%s%-50s %14s  %-10s\n", opt->tap ? "# " : "", opt->title, opt->tap ? "# " : "", "figure", "value",
		"bar");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row_print(opt, &rows[i], out);
		n_bars += rows[i].bar != BAR_NONE;
		n_short += (uint32_t)row_short(&rows[i]);
	}
	for (size_t i = 0, n = 0; opt->tap && i < ARRAY_SIZE(rows); i++)
		if (rows[i].bar != BAR_NONE)
			fprintf(out, "%sok %zu - %s\n", row_short(&rows[i]) ? "not " : "", ++n, rows[i].what);
	if (opt->tap)
		fprintf(out, "1..%u\n", n_bars);
	return n_short > 0;
}
