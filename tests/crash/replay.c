/* SPDX-License-Identifier: BSD-3-Clause */
/* One image, or all points of a workload, in words. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crash/describe.h"
#include "crash/explorer.h"

#define WORDS_SHOWN 24u /* of a unit */

void replay_name(const struct explorer *ex, int level, char out[EXPLORE_IMAGE_MAX])
{
	char pick[PICK_TEXT_MAX];
	int at = 0;

	for (int i = 0; i <= level; i++) {
		image_pick_print(&ex->pick[i], pick);
		at += snprintf(out + at, EXPLORE_IMAGE_MAX - (size_t)at, "%s%llu:%s", i ? "/" : "",
			       (unsigned long long)ex->point[i], pick);
		if (at >= (int)EXPLORE_IMAGE_MAX)
			return;
	}
}

/* The structure at off: as it is at the end of the workload, where new blocks are reached, else as it is on this image. */
static void structure_at(const struct explorer *ex, uint64_t off, char *out, size_t cap)
{
	struct describe_image live = { ex->run->pm->base, ex->run->pm->size };
	struct describe_image here = { canvas_bytes(ex->canvas), ex->run->pm->size };

	if (!describe_off(&live, off, out, cap))
		(void)describe_off(&here, off, out, cap);
}

/* The first event of a unit. */
static const struct pmem_event *event_of(const struct explorer *ex, const struct flight *f, const struct image_unit *u, int level)
{
	const struct pmem_event *ev = ex->recovery;
	size_t n = level ? ex->n_recovery : pmem_sim_events(ex->run->pm, &ev), at = flight_unit_at(f, u->id)->event;

	return at < n ? &ev[at] : NULL;
}

static void unit_line(const struct explorer *ex, const struct flight *f, const struct image_unit *u, int level)
{
	static const char *const parts[] = { "first line of ", "first half of ", "middle line of ", "second half of ",
					     "last line of " };
	const struct pmem_event *e = event_of(ex, f, u, level);
	const struct flight_store *st;
	char what[160], site[200] = "unknown";

	(void)flight_stores(f, &st);
	st += u->first;
	structure_at(ex, st->off, what, sizeof(what));
	if (e)
		describe_site(e, site, sizeof(site));
	fprintf(ex->out, "%s%u word%s at 0x%llx, %s%s; %s, thread %u, by %s",
		e && e->len > (uint64_t)u->n * 8 ? parts[flight_unit_at(f, u->id)->part] : "", u->n, u->n == 1 ? "" : "s",
		(unsigned long long)st->off, what, u->n > 1 ? " on" : "",
		st->nt	       ? "non-temporal"
		: st->flushers ? "flushed"
			       : "not flushed",
		st->thread, site);
}

void replay_point(struct explorer *ex, const struct flight *f, const struct image_set *set, int level)
{
	const struct image_unit *units;
	uint32_t n = image_set_units(set, &units);
	char point[1024];

	if (level)
		return;
	run_point_print(ex->run, &ex->pt, point, sizeof(point));
	fprintf(ex->out, "point %llu: %s; %u in flight\n", (unsigned long long)ex->point[0], point, n);
	for (uint32_t i = 0; i < n; i++) {
		fprintf(ex->out, "  %3u  ", i);
		unit_line(ex, f, &units[i], level);
		fputc('\n', ex->out);
	}
}

static void words_print(const struct explorer *ex, const struct image_set *set, const struct flight *f, uint32_t unit)
{
	const struct image_unit *units;
	const struct flight_store *stores;
	uint32_t shown = 0;

	(void)image_set_units(set, &units);
	(void)flight_stores(f, &stores);
	for (uint32_t i = units[unit].first; i < units[unit].first + units[unit].n; i++) {
		uint64_t old = canvas_get(ex->canvas, stores[i].off);
		char what[160];

		if (old == stores[i].raw && stores[i].prev == FLIGHT_NONE)
			continue;
		if (shown++ == WORDS_SHOWN) {
			fprintf(ex->out, "         ...\n");
			return;
		}
		structure_at(ex, stores[i].off, what, sizeof(what));
		fprintf(ex->out, "         %s 0x%llx: %016llx -> %016llx  %s\n",
			image_keeps(set, &ex->pick[ex->wanted->met - 1], unit, i) ? "kept" : "LOST",
			(unsigned long long)stores[i].off, (unsigned long long)le64toh(old),
			(unsigned long long)le64toh(stores[i].raw), what);
	}
}

void replay_image(struct explorer *ex, const struct flight *f, const struct image_set *set, int level)
{
	const struct image_unit *units;
	uint32_t n = image_set_units(set, &units);
	char point[1024];

	run_point_print(ex->run, &ex->pt, point, sizeof(point));
	if (level == 0)
		fprintf(ex->out, "crash at point %llu: %s\n", (unsigned long long)ex->point[0], point);
	else
		fprintf(ex->out, "then a crash at point %llu of the recovery and what is done behind it\n",
			(unsigned long long)ex->point[1]);
	for (uint32_t u = 0; u < n; u++) {
		uint32_t kept = 0;

		for (uint32_t i = units[u].first; i < units[u].first + units[u].n; i++)
			kept += (uint32_t)image_keeps(set, &ex->pick[level], u, i);
		fprintf(ex->out, "  %-4s %3u  ", kept == units[u].n ? "kept" : kept ? "TORN" : "LOST", u);
		unit_line(ex, f, &units[u], level);
		fputc('\n', ex->out);
		if (kept != units[u].n || units[u].n <= 2)
			words_print(ex, set, f, u);
	}
}

/* --- the two ways in ----------------------------------------------------------------------------------------------------- */

static int part_parse(const char *text, size_t len, uint64_t *out_point, char pick[PICK_TEXT_MAX])
{
	char *end;

	if (!len || *text < '0' || *text > '9')
		return -EINVAL;
	*out_point = strtoull(text, &end, 10);
	if (*end != ':' || end >= text + len || len - (size_t)(end + 1 - text) >= PICK_TEXT_MAX)
		return -EINVAL;
	memcpy(pick, end + 1, len - (size_t)(end + 1 - text));
	pick[len - (size_t)(end + 1 - text)] = '\0';
	return 0;
}

static int name_parse(const char *name, struct wanted *out)
{
	const char *slash = strchr(name, '/');
	int err = part_parse(name, slash ? (size_t)(slash - name) : strlen(name), &out->point[0], out->pick[0]);

	out->levels = slash ? 2 : 1;
	if (!err && slash)
		err = part_parse(slash + 1, strlen(slash + 1), &out->point[1], out->pick[1]);
	return err;
}

static void failure_print(void *ctx, const struct explore_failure *failure)
{
	fprintf(ctx, "FAILED%s%s: %s\n", failure->image[0] ? " at image " : "", failure->image, failure->why);
}

int explore_image(const char *text, const char *image, FILE *out)
{
	struct wanted wanted = { 0 };
	struct explore_options opt = { .failures_max = 1, .failed = failure_print, .ctx = out };
	struct explorer ex = { .opt = &opt, .text = text, .wanted = &wanted, .out = out };
	int err = name_parse(image, &wanted);

	if (err)
		return err;
	opt.second = wanted.levels > 1;
	err = explorer_run(&ex);
	if (!err && wanted.met < wanted.levels && !ex.stats.failures)
		err = -ENOENT;
	if (!err && !ex.stats.failures)
		fprintf(out, "passed: recovered, legal, fsck clean, usable\n");
	if (!err)
		err = ex.stats.failures > 0;
	explorer_fini(&ex);
	return err;
}

int explore_list(const char *text, const struct explore_options *opt, int images, FILE *out)
{
	struct explorer ex = { .opt = opt, .text = text, .out = out, .list = images ? 2 : 1 };
	int err = explorer_run(&ex);

	fprintf(out, "%llu points, %llu images made, %llu unique\n", (unsigned long long)ex.stats.points,
		(unsigned long long)ex.stats.images, (unsigned long long)ex.stats.unique);
	explorer_fini(&ex);
	return err;
}
