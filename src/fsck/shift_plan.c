/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocks of a file with an unfinished shift lie in up to three ranges, by its intent:
 *
 *	collapse, cursor == edge	[0, edge) stays		[edge, edge + n) is being freed		what follows moves down by
 *n collapse, later			[0, cursor - n) stays	[cursor - n, cursor) is a hole		what follows moves down by
 *n insert				[0, edge) stays		[edge, cursor) moves up by n [cursor, cursor + n) is a hole
 *what follows was moved
 */
#include "fsck/shift_plan.h"

#include "pmfs2/map.h"

int shift_plan_read(const struct pmfs2_intent *it, const struct pmfs2_inode *inode, struct shift_plan *out)
{
	uint64_t delta = le64_get(it->arg[1]), size = le64_get(inode->size), bytes;

	*out = (struct shift_plan){ .insert = !(delta >> 63), .edge = le64_get(it->arg[2]), .cursor = le64_get(it->arg[0]) };
	out->n = out->insert ? delta : 0 - delta;
	if (!out->n || out->n > MAP_BLOCKS_MAX || out->cursor > MAP_BLOCKS_MAX || out->edge > out->cursor)
		return 0;
	bytes = out->n << PMFS2_BLOCK_SHIFT;
	if (out->insert ? size > PMFS2_FILE_SIZE_MAX || bytes > PMFS2_FILE_SIZE_MAX - size : size < bytes)
		return 0;
	if (!out->insert && out->cursor != out->edge && out->cursor - out->edge < out->n)
		return 0;
	size = out->insert ? size + bytes : size - bytes;
	out->end = (size + PMFS2_BLOCK_SIZE - 1) >> PMFS2_BLOCK_SHIFT;
	return 1;
}

static int overlaps(uint64_t first, uint64_t n, uint64_t start, uint64_t end)
{
	return first < end && first + n > start;
}

int shift_plan_fits(const struct shift_plan *plan, uint64_t first, uint64_t n)
{
	int whole = n == 1 || !(plan->n % n);

	if (!plan->insert) {
		uint64_t hole = plan->cursor - plan->n;

		if (plan->cursor == plan->edge)
			return whole || first + n <= plan->edge + plan->n;
		return !overlaps(first, n, hole, plan->cursor) && (whole || first < hole);
	}
	if (overlaps(first, n, plan->cursor, plan->cursor + plan->n))
		return 0;
	if (!overlaps(first, n, plan->edge, plan->cursor))
		return 1;
	return whole && first >= plan->edge && first + n + plan->n <= MAP_BLOCKS_MAX;
}

uint64_t shift_plan_final(const struct shift_plan *plan, uint64_t at)
{
	if (plan->insert)
		return at >= plan->edge && at < plan->cursor ? at + plan->n : at;
	if (plan->cursor != plan->edge)
		return at >= plan->cursor ? at - plan->n : at;
	if (at < plan->edge)
		return at;
	return at < plan->edge + plan->n ? UINT64_MAX : at - plan->n;
}
