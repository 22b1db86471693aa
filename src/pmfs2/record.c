/* SPDX-License-Identifier: BSD-3-Clause */
/* Entries of journal records: parsing, storing in place. Used by the commit and by recovery alike. */
#include <errno.h>

#include "pmfs2/journal.h"

int rec_next(const uint64_t *words, uint32_t n_words, uint32_t *pos, struct rec_entry *out)
{
	uint64_t head;

	if (*pos >= n_words)
		return 0;
	head = le64toh(words[*pos]);
	out->off = (head & ((1ull << PMFS2_REC_OFF_BITS) - 1)) * 8;
	out->count = (uint32_t)(head >> PMFS2_REC_OFF_BITS) & PMFS2_REC_COUNT_MAX;
	out->op = (enum pmfs2_rec_op)(head >> (PMFS2_REC_OFF_BITS + PMFS2_REC_COUNT_BITS));
	out->body = words + *pos + 1;
	switch (out->op) {
	case PMFS2_REC_WORDS:
		out->body_words = out->count;
		break;
	case PMFS2_REC_SET:
	case PMFS2_REC_CLEAR:
		if (out->count != 1)
			return -EUCLEAN;
		out->body_words = 1;
		break;
	case PMFS2_REC_FILL:
		out->body_words = 1;
		break;
	default:
		return -EUCLEAN;
	}
	if (!out->count || out->body_words > n_words - *pos - 1)
		return -EUCLEAN;
	*pos += 1 + out->body_words;
	return 1;
}

static void entry_apply(struct pmem *pm, const struct rec_entry *e)
{
	const le64 *dst = pmem_at(pm, e->off);

	switch (e->op) {
	case PMFS2_REC_WORDS:
		for (uint32_t i = 0; i < e->count; i++)
			pmem_store64(pm, dst + i, le64toh(e->body[i]));
		break;
	case PMFS2_REC_FILL:
		for (uint32_t i = 0; i < e->count; i++)
			pmem_store64(pm, dst + i, le64toh(e->body[0]));
		break;
	case PMFS2_REC_SET:
		pmem_or64(pm, dst, le64toh(e->body[0]));
		break;
	case PMFS2_REC_CLEAR:
		pmem_andnot64(pm, dst, le64toh(e->body[0]));
		break;
	}
	pmem_flush(pm, dst, (size_t)e->count * 8);
}

void rec_apply(struct pmem *pm, const uint64_t *words, uint32_t n_words)
{
	struct rec_entry e;
	uint32_t pos = 0;

	while (rec_next(words, n_words, &pos, &e) > 0)
		entry_apply(pm, &e);
}

void rec_flush_targets(struct pmem *pm, const uint64_t *words, uint32_t n_words)
{
	struct rec_entry e;
	uint32_t pos = 0;

	/* Read again from media, which may have been written to since. */
	while (rec_next(words, n_words, &pos, &e) > 0)
		if (e.off < pm->size && e.count * 8ull <= pm->size - e.off)
			pmem_flush(pm, pmem_at(pm, e.off), (size_t)e.count * 8);
}
