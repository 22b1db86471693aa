/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Choices of what a crash keeps. See images.h.
 *
 * The hash of an image is found without making it: each word that is stored once adds its own change, whatever else is kept; only
 * words stored several times are looked at one by one.
 */
#include "crash/images.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define TEAR_WORDS_MAX 64u /* longer units outside of the fine area are torn at their ends only */

struct image_set {
	struct canvas *canvas;
	const struct flight *flight;
	const struct flight_store *stores;
	uint32_t n_stores;
	struct image_unit *units;
	uint32_t n_units;
	uint32_t *unit_of; /* for each store: unit of the set, or FLIGHT_NONE */
	uint64_t *sums; /* n_stores + 1: XOR of the changes of the words stored once, below this store */
	uint32_t *multi; /* newest stores of words that are stored several times */
	uint32_t n_multi;
};

void image_set_free(struct image_set *s)
{
	if (!s)
		return;
	free(s->units);
	free(s->unit_of);
	free(s->sums);
	free(s->multi);
	free(s);
}

/* For each store 1 if its word is stored more than once; newest: 1 if it is the last one of its word. */
static void multi_find(const struct image_set *s, uint8_t *many, uint8_t *newest)
{
	for (uint32_t i = 0; i < s->n_stores; i++) {
		uint32_t prev = s->stores[i].prev;

		newest[i] = 1;
		many[i] = prev != FLIGHT_NONE;
		if (prev != FLIGHT_NONE)
			newest[prev] = 0;
	}
	for (uint32_t i = s->n_stores; i-- > 0;)
		if (s->stores[i].prev != FLIGHT_NONE)
			many[s->stores[i].prev] = 1;
}

static uint64_t store_delta(const struct image_set *s, const struct flight_store *st)
{
	return canvas_hash_delta(st->off, canvas_get(s->canvas, st->off), st->raw);
}

/* Units by runs of stores; those that change nothing get no number. */
static void units_find(struct image_set *s, const uint8_t *many)
{
	for (uint32_t i = 0, next; i < s->n_stores; i = next) {
		int matters = 0;

		for (next = i; next < s->n_stores && s->stores[next].unit == s->stores[i].unit; next++)
			matters |= many[next] || store_delta(s, &s->stores[next]);
		for (uint32_t j = i; j < next; j++)
			s->unit_of[j] = matters ? s->n_units : FLIGHT_NONE;
		if (matters)
			s->units[s->n_units++] = (struct image_unit){ s->stores[i].unit, i, next - i };
	}
}

int image_set_new(const struct flight *f, struct image_set **out)
{
	struct image_set *s = calloc(1, sizeof(*s));
	uint8_t *many = NULL;

	if (!s)
		return -ENOMEM;
	s->flight = f;
	s->canvas = flight_canvas(f);
	s->n_stores = flight_stores(f, &s->stores);
	s->units = malloc((s->n_stores + 1) * sizeof(*s->units));
	s->unit_of = malloc((s->n_stores + 1) * sizeof(*s->unit_of));
	s->sums = malloc((s->n_stores + 1) * sizeof(*s->sums));
	s->multi = malloc((s->n_stores + 1) * sizeof(*s->multi));
	many = malloc(2 * (size_t)s->n_stores + 1);
	if (!s->units || !s->unit_of || !s->sums || !s->multi || !many) {
		free(many);
		image_set_free(s);
		return -ENOMEM;
	}
	multi_find(s, many, many + s->n_stores);
	units_find(s, many);
	s->sums[0] = 0;
	for (uint32_t i = 0; i < s->n_stores; i++) {
		s->sums[i + 1] = s->sums[i] ^ (many[i] ? 0 : store_delta(s, &s->stores[i]));
		if (many[i] && many[s->n_stores + i])
			s->multi[s->n_multi++] = i;
	}
	free(many);
	*out = s;
	return 0;
}

uint32_t image_set_units(const struct image_set *s, const struct image_unit **out)
{
	*out = s->units;
	return s->n_units;
}

static int is_listed(const struct image_pick *pick, uint32_t unit)
{
	for (uint32_t i = 0; i < pick->n; i++)
		if (pick->unit[i] == unit)
			return 1;
	return 0;
}

int image_keeps(const struct image_set *s, const struct image_pick *pick, uint32_t unit, uint32_t store)
{
	uint32_t word = store - s->units[unit].first;

	if (unit == pick->torn)
		return (word >= pick->from && word < pick->to) != pick->torn_lost;
	return is_listed(pick, unit) != pick->lost;
}

static uint64_t range_sum(const struct image_set *s, uint32_t from, uint32_t to)
{
	return s->sums[from] ^ s->sums[to];
}

static uint64_t torn_sum(const struct image_set *s, const struct image_pick *pick)
{
	const struct image_unit *u = &s->units[pick->torn];
	uint64_t inside = range_sum(s, u->first + pick->from, u->first + pick->to);

	return pick->torn_lost ? inside ^ range_sum(s, u->first, u->first + u->n) : inside;
}

uint64_t image_hash(const struct image_set *s, const struct image_pick *pick)
{
	uint64_t hash = canvas_hash(s->canvas) ^ (pick->lost ? s->sums[s->n_stores] : 0);

	for (uint32_t i = 0; i < pick->n; i++)
		hash ^= range_sum(s, s->units[pick->unit[i]].first, s->units[pick->unit[i]].first + s->units[pick->unit[i]].n);
	if (pick->torn != FLIGHT_NONE) {
		const struct image_unit *u = &s->units[pick->torn];

		hash ^= torn_sum(s, pick) ^ (pick->lost ? range_sum(s, u->first, u->first + u->n) : 0);
	}
	for (uint32_t i = 0; i < s->n_multi; i++) {
		uint32_t at = s->multi[i];

		while (at != FLIGHT_NONE && !image_keeps(s, pick, s->unit_of[at], at))
			at = s->stores[at].prev;
		if (at != FLIGHT_NONE)
			hash ^= store_delta(s, &s->stores[at]);
	}
	return hash;
}

void image_apply(const struct image_set *s, const struct image_pick *pick)
{
	for (uint32_t u = 0; u < s->n_units; u++) {
		const struct image_unit *unit = &s->units[u];
		int whole = is_listed(pick, u) != pick->lost;

		if (u != pick->torn && !whole)
			continue;
		for (uint32_t i = unit->first; i < unit->first + unit->n; i++)
			if (u != pick->torn || image_keeps(s, pick, u, i))
				canvas_set(s->canvas, s->stores[i].off, s->stores[i].raw);
	}
}

/* --- which ones are made ------------------------------------------------------------------------------------------------- */

enum phase { PHASE_EMPTY, PHASE_CHOICES, PHASE_TEARS, PHASE_END };

/* Choices of size out of n, saturating. */
static uint64_t choices(uint64_t n, uint32_t size)
{
	uint64_t c = 1;

	for (uint32_t i = 0; i < size; i++) {
		if (c > UINT32_MAX)
			return UINT64_MAX;
		c = c * (n - i) / (i + 1);
	}
	return c;
}

static void choice_first(struct image_iter *it, uint32_t size)
{
	uint64_t total = choices(it->set->n_units, size);

	it->size = size;
	it->pick = (struct image_pick){ .n = (uint8_t)size, .torn = FLIGHT_NONE };
	for (uint32_t i = 0; i < size; i++)
		it->pick.unit[i] = i;
	/* Evenly spread over all choices of this size where there are too many. */
	it->skip = it->cap && size > 1 && total > it->cap ? (total + it->cap - 1) / it->cap : 1;
	it->capped |= it->skip > 1;
}

/* The next choice of the same size. 0: that was the last one. */
static int choice_step(struct image_iter *it)
{
	uint32_t n = it->set->n_units, i = it->size;

	while (i-- > 0) {
		if (it->pick.unit[i] + (it->size - i) >= n)
			continue;
		it->pick.unit[i]++;
		for (uint32_t j = i + 1; j < it->size; j++)
			it->pick.unit[j] = it->pick.unit[j - 1] + 1;
		return 1;
	}
	return 0;
}

static int choice_next(struct image_iter *it, struct image_pick *out)
{
	if (it->variant == 0) {
		*out = it->pick;
		it->variant = 1;
		return 1;
	}
	*out = it->pick;
	out->lost = 1;
	it->variant = 0;
	for (uint64_t i = 0; i < it->skip; i++) {
		if (choice_step(it))
			continue;
		if (it->size >= it->k || it->size >= it->set->n_units)
			it->phase = PHASE_TEARS;
		else
			choice_first(it, it->size + 1);
		break;
	}
	return 1;
}

static int tears_are_full(const struct image_iter *it, const struct image_unit *u)
{
	const struct image_set *s = it->set;

	if (it->few_tears)
		return 0;
	return u->n <= TEAR_WORDS_MAX || flight_is_fine(s->flight, s->stores[u->first].off);
}

/* Four for each word: a prefix with and without all else, the word alone, the word missing. */
static int tear_next(struct image_iter *it, struct image_pick *out)
{
	const struct image_set *s = it->set;

	for (; it->unit < s->n_units; it->unit++, it->word = it->variant = 0) {
		const struct image_unit *u = &s->units[it->unit];
		uint32_t word = it->word, v = it->variant;

		if (u->n < 2 || word >= u->n)
			continue;
		*out = (struct image_pick){ .torn = it->unit, .lost = v & 1, .to = word + 1 };
		if (v == 2)
			out->from = word;
		if (v == 3) {
			out->from = word;
			out->torn_lost = 1;
		}
		it->variant = (v + 1) % 4;
		if (!it->variant && !tears_are_full(it, u) && word == 0)
			it->word = u->n - 2;
		if (!it->variant)
			it->word++;
		return 1;
	}
	it->phase = PHASE_END;
	return 0;
}

void image_iter_init(struct image_iter *it, const struct image_set *s, uint32_t k, uint64_t cap)
{
	*it = (struct image_iter){ .set = s, .cap = cap };
	it->k = s->n_units <= IMAGES_POWER_MAX ? s->n_units : k;
	it->k = (uint32_t)u64_min(it->k, PICK_UNITS_MAX);
}

int image_iter_next(struct image_iter *it, struct image_pick *out)
{
	switch ((enum phase)it->phase) {
	case PHASE_EMPTY:
		*out = (struct image_pick){ .torn = FLIGHT_NONE, .lost = it->variant == 1 };
		if (it->variant++ == 0 && it->set->n_units)
			return 1;
		it->variant = 0;
		it->phase = it->k && it->set->n_units ? PHASE_CHOICES : PHASE_TEARS;
		if (it->phase == PHASE_CHOICES)
			choice_first(it, 1);
		return 1;
	case PHASE_CHOICES:
		return choice_next(it, out);
	case PHASE_TEARS:
		return tear_next(it, out);
	case PHASE_END:
		break;
	}
	return 0;
}

/* --- text ---------------------------------------------------------------------------------------------------------------- */

void image_pick_print(const struct image_pick *pick, char out[PICK_TEXT_MAX])
{
	int at = snprintf(out, PICK_TEXT_MAX, "%c", pick->lost ? 'l' : 'k');

	for (uint32_t i = 0; i < pick->n && at < (int)PICK_TEXT_MAX; i++)
		at += snprintf(out + at, PICK_TEXT_MAX - (size_t)at, "%s%u", i ? "," : "", pick->unit[i]);
	if (pick->torn != FLIGHT_NONE && at < (int)PICK_TEXT_MAX)
		snprintf(out + at, PICK_TEXT_MAX - (size_t)at, ";%u%c%u-%u", pick->torn, pick->torn_lost ? '!' : '=', pick->from,
			 pick->to);
}

/* A decimal number. 0 or -EINVAL. */
static int number_parse(const char **at, uint32_t *out)
{
	unsigned long value;
	char *end;

	if (**at < '0' || **at > '9')
		return -EINVAL;
	value = strtoul(*at, &end, 10);
	if (value >= FLIGHT_NONE)
		return -EINVAL;
	*out = (uint32_t)value;
	*at = end;
	return 0;
}

static int tear_parse(const char *at, const struct image_set *s, struct image_pick *pick)
{
	if (number_parse(&at, &pick->torn) || pick->torn >= s->n_units || (*at != '=' && *at != '!'))
		return -EINVAL;
	pick->torn_lost = *at++ == '!';
	if (number_parse(&at, &pick->from) || *at++ != '-' || number_parse(&at, &pick->to) || *at)
		return -EINVAL;
	return pick->from > pick->to || pick->to > s->units[pick->torn].n ? -EINVAL : 0;
}

int image_pick_parse(const char *text, const struct image_set *s, struct image_pick *out)
{
	struct image_pick pick = { .torn = FLIGHT_NONE, .lost = *text == 'l' };
	const char *at = text;

	if (*at != 'k' && *at != 'l')
		return -EINVAL;
	at++;
	while (*at && *at != ';') {
		if (pick.n == PICK_UNITS_MAX || (pick.n && *at++ != ',') || number_parse(&at, &pick.unit[pick.n]) ||
		    pick.unit[pick.n] >= s->n_units)
			return -EINVAL;
		pick.n++;
	}
	if (*at == ';' && tear_parse(at + 1, s, &pick))
		return -EINVAL;
	*out = pick;
	return 0;
}
