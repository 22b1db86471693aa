/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a crash may leave, as the crash explorer sees it: which words are in flight (flight.h), which images are made of them
 * (images.h), and that patching and undoing gives back what was there (canvas.h).
 */
#include "crash/canvas.h"
#include "crash/flight.h"
#include "crash/images.h"

#include "lib/tap.h"

#define SIZE (2ull << 20)
#define FINE_FROM 65536ull
#define FINE_TO 131072ull

struct rig {
	struct canvas *canvas;
	struct flight *flight;
	size_t n; /* events so far */
	uint64_t bytes[8192];
};

static struct rig rig_new(void)
{
	struct rig rig = { .n = 0 };
	uint8_t *zeros = calloc(1, SIZE);

	CHECK(zeros != NULL);
	CHECK_EQ(canvas_new(SIZE, &rig.canvas), 0);
	canvas_load(rig.canvas, zeros);
	CHECK_EQ(flight_new(rig.canvas, FINE_FROM, FINE_TO, &rig.flight), 0);
	free(zeros);
	return rig;
}

static void rig_free(struct rig *rig)
{
	flight_free(rig->flight);
	canvas_free(rig->canvas);
}

static void event(struct rig *rig, enum pmem_event_kind kind, uint32_t thread, uint64_t off, uint64_t len)
{
	struct pmem_event e = { .kind = kind, .thread = thread, .off = off, .len = len, .data = (const uint8_t *)rig->bytes };

	CHECK_EQ(flight_event(rig->flight, &e, rig->n++), 0);
}

static void store(struct rig *rig, uint32_t thread, uint64_t off, uint64_t value)
{
	rig->bytes[0] = value;
	event(rig, PMEM_EVENT_STORE, thread, off, 8);
}

static uint32_t in_flight(const struct rig *rig)
{
	const struct flight_store *stores;

	return flight_stores(rig->flight, &stores);
}

static void fence_covers_what_was_flushed(void)
{
	struct rig rig = rig_new();

	store(&rig, 0, 0, 1);
	event(&rig, PMEM_EVENT_FENCE, 0, 0, 0);
	CHECK_EQ(in_flight(&rig), 1);
	event(&rig, PMEM_EVENT_FLUSH, 0, 0, 64);
	CHECK_EQ(in_flight(&rig), 1);
	CHECK_EQ(canvas_get(rig.canvas, 0), 0);
	event(&rig, PMEM_EVENT_FENCE, 0, 0, 0);
	CHECK_EQ(in_flight(&rig), 0);
	CHECK_EQ(canvas_get(rig.canvas, 0), 1);
	rig_free(&rig);
}

static void flush_covers_only_what_was_stored_before(void)
{
	struct rig rig = rig_new();

	event(&rig, PMEM_EVENT_FLUSH, 0, 0, 64);
	store(&rig, 0, 0, 1);
	event(&rig, PMEM_EVENT_FENCE, 0, 0, 0);
	CHECK_EQ(in_flight(&rig), 1);
	rig_free(&rig);
}

static void fence_of_another_thread_covers_nothing(void)
{
	struct rig rig = rig_new();

	rig.bytes[0] = 7;
	event(&rig, PMEM_EVENT_NT, 1, 128, 8);
	store(&rig, 1, 0, 1);
	event(&rig, PMEM_EVENT_FLUSH, 1, 0, 64);
	event(&rig, PMEM_EVENT_FENCE, 2, 0, 0);
	CHECK_EQ(in_flight(&rig), 2);
	/* A line that another thread flushed is covered by that thread's fence, a non-temporal store is not. */
	event(&rig, PMEM_EVENT_FLUSH, 2, 0, 192);
	event(&rig, PMEM_EVENT_FENCE, 2, 0, 0);
	CHECK_EQ(in_flight(&rig), 1);
	CHECK_EQ(canvas_get(rig.canvas, 0), 1);
	event(&rig, PMEM_EVENT_FENCE, 1, 0, 0);
	CHECK_EQ(in_flight(&rig), 0);
	CHECK_EQ(canvas_get(rig.canvas, 128), 7);
	rig_free(&rig);
}

static void covered_value_drops_the_older_ones(void)
{
	struct rig rig = rig_new();
	const struct flight_store *stores;

	store(&rig, 0, 0, 1); /* not flushed by thread 0 */
	store(&rig, 1, 0, 2);
	event(&rig, PMEM_EVENT_FLUSH, 1, 0, 64);
	store(&rig, 0, 0, 3);
	CHECK_EQ(in_flight(&rig), 3);
	event(&rig, PMEM_EVENT_FENCE, 1, 0, 0);
	CHECK_EQ(flight_stores(rig.flight, &stores), 1);
	CHECK_EQ(stores[0].raw, 3);
	CHECK_EQ(stores[0].prev, FLIGHT_NONE);
	CHECK_EQ(canvas_get(rig.canvas, 0), 2);
	rig_free(&rig);
}

/* The word that each pick leaves at offset 0, as a set of values. */
static uint32_t values_seen(struct rig *rig, uint32_t k)
{
	struct image_set *set;
	struct image_iter it;
	struct image_pick pick;
	uint32_t seen = 0;

	CHECK_EQ(image_set_new(rig->flight, &set), 0);
	image_iter_init(&it, set, k, 0);
	while (image_iter_next(&it, &pick)) {
		size_t mark = canvas_mark(rig->canvas);
		uint64_t hash = image_hash(set, &pick), before = canvas_hash(rig->canvas);

		image_apply(set, &pick);
		CHECK_EQ(canvas_hash(rig->canvas), hash);
		seen |= 1u << canvas_get(rig->canvas, 0);
		canvas_undo(rig->canvas, mark);
		CHECK_EQ(canvas_hash(rig->canvas), before);
	}
	CHECK_EQ(it.capped, 0);
	image_set_free(set);
	return seen;
}

static void each_value_of_a_word_may_be_on_media(void)
{
	struct rig rig = rig_new();

	store(&rig, 0, 0, 1);
	store(&rig, 0, 512, 9);
	store(&rig, 0, 0, 2);
	store(&rig, 0, 1024, 9);
	store(&rig, 0, 0, 3);
	CHECK_EQ(values_seen(&rig, 1), 0xf);
	rig_free(&rig);
}

static void parts_of_a_word_keep_their_neighbours(void)
{
	struct rig rig = rig_new();

	rig.bytes[0] = 0x1111;
	event(&rig, PMEM_EVENT_STORE, 0, 0, 2);
	rig.bytes[0] = 0x22;
	event(&rig, PMEM_EVENT_STORE, 0, 3, 1);
	event(&rig, PMEM_EVENT_FLUSH, 0, 0, 64);
	event(&rig, PMEM_EVENT_FENCE, 0, 0, 0);
	CHECK_EQ(canvas_get(rig.canvas, 0), htole64(0x22001111));
	rig_free(&rig);
}

static uint64_t choose(uint64_t n, uint64_t k)
{
	return k ? choose(n - 1, k - 1) * n / k : 1;
}

/* Picks without a torn unit, and those with one. */
static void count_picks(const struct image_set *set, uint32_t k, uint64_t *out_whole, uint64_t *out_torn)
{
	struct image_iter it;
	struct image_pick pick;

	*out_whole = *out_torn = 0;
	image_iter_init(&it, set, k, 0);
	while (image_iter_next(&it, &pick)) {
		char text[PICK_TEXT_MAX];
		struct image_pick again;

		*(pick.torn == FLIGHT_NONE ? out_whole : out_torn) += 1;
		image_pick_print(&pick, text);
		CHECK_EQ(image_pick_parse(text, set, &again), 0);
		CHECK_EQ(image_hash(set, &pick), image_hash(set, &again));
	}
}

static void picks_are_all_choices_up_to_k(void)
{
	struct rig rig = rig_new();
	struct image_set *set;
	uint64_t whole, torn;

	for (uint64_t i = 0; i < 20; i++)
		store(&rig, 0, i * 128, i + 1);
	CHECK_EQ(image_set_new(rig.flight, &set), 0);
	count_picks(set, 2, &whole, &torn);
	CHECK_EQ(whole, 2 + 2 * (20 + choose(20, 2)));
	count_picks(set, 3, &whole, &torn);
	CHECK_EQ(whole, 2 + 2 * (20 + choose(20, 2) + choose(20, 3)));
	CHECK_EQ(torn, 0);
	image_set_free(set);
	rig_free(&rig);
}

static void few_units_give_all_subsets(void)
{
	struct rig rig = rig_new();
	struct image_set *set;
	struct image_iter it;
	struct image_pick pick;
	uint8_t seen[64] = { 0 };
	uint32_t n = 0;

	for (uint64_t i = 0; i < 6; i++)
		store(&rig, 0, i * 128, 1);
	CHECK_EQ(image_set_new(rig.flight, &set), 0);
	image_iter_init(&it, set, 0, 0);
	while (image_iter_next(&it, &pick)) {
		size_t mark = canvas_mark(rig.canvas);
		uint64_t bits = 0;

		image_apply(set, &pick);
		for (uint64_t i = 0; i < 6; i++)
			bits |= canvas_get(rig.canvas, i * 128) << i;
		canvas_undo(rig.canvas, mark);
		n += !seen[bits];
		seen[bits] = 1;
	}
	CHECK_EQ(n, 64);
	image_set_free(set);
	rig_free(&rig);
}

static void tears_cut_records_at_every_word(void)
{
	struct rig rig = rig_new();
	struct image_set *set;
	uint64_t whole, torn;

	for (size_t i = 0; i < 100; i++)
		rig.bytes[i] = i + 1;
	event(&rig, PMEM_EVENT_NT, 0, FINE_FROM, 800);
	CHECK_EQ(image_set_new(rig.flight, &set), 0);
	count_picks(set, 2, &whole, &torn);
	CHECK_EQ(torn, 400);
	image_set_free(set);
	rig_free(&rig);
}

static void large_copies_are_five_units(void)
{
	struct rig rig = rig_new();
	const struct image_unit *units;
	struct image_set *set;

	for (size_t i = 0; i < 512; i++)
		rig.bytes[i] = i + 1;
	event(&rig, PMEM_EVENT_NT, 0, 4096, 4096);
	CHECK_EQ(image_set_new(rig.flight, &set), 0);
	CHECK_EQ(image_set_units(set, &units), 5);
	CHECK_EQ(units[0].n, 8);
	CHECK_EQ(units[2].n, 8);
	CHECK_EQ(units[4].n, 8);
	CHECK_EQ(units[1].n + units[3].n, 512 - 24);
	image_set_free(set);
	rig_free(&rig);
}

static void stores_of_the_same_value_are_no_units(void)
{
	struct rig rig = rig_new();
	const struct image_unit *units;
	struct image_set *set;

	store(&rig, 0, 0, 0);
	store(&rig, 0, 128, 5);
	CHECK_EQ(image_set_new(rig.flight, &set), 0);
	CHECK_EQ(image_set_units(set, &units), 1);
	image_set_free(set);
	rig_free(&rig);
}

static void words_in_a_row_at_one_site_are_one_unit(void)
{
	struct rig rig = rig_new();
	const struct image_unit *units;
	struct image_set *set;

	for (uint64_t i = 0; i < 5; i++)
		store(&rig, 0, i * 8, i + 1);
	store(&rig, 0, 512, 1);
	CHECK_EQ(image_set_new(rig.flight, &set), 0);
	CHECK_EQ(image_set_units(set, &units), 2);
	CHECK_EQ(units[0].n, 5);
	image_set_free(set);
	rig_free(&rig);
}

static void cap_thins_out_and_says_so(void)
{
	struct rig rig = rig_new();
	struct image_set *set;
	struct image_iter it;
	struct image_pick pick;
	uint64_t n = 0;

	for (uint64_t i = 0; i < 100; i++)
		store(&rig, 0, i * 128, i + 1);
	CHECK_EQ(image_set_new(rig.flight, &set), 0);
	image_iter_init(&it, set, 2, 500);
	while (image_iter_next(&it, &pick))
		n++;
	CHECK_EQ(it.capped, 1);
	CHECK(n >= 202 + 900 && n <= 202 + 1002);
	image_set_free(set);
	rig_free(&rig);
}

static void device_is_put_back_behind_a_mount(void)
{
	struct rig rig = rig_new();
	struct pmem *pm = canvas_pm(rig.canvas);
	uint64_t hash, rest;

	canvas_skip(rig.canvas, 4096, 8192);
	canvas_set(rig.canvas, 64, 1);
	hash = canvas_hash(rig.canvas);
	pmem_store64(pm, (const le64 *)pmem_at(pm, 64), 5);
	pmem_store64(pm, (const le64 *)pmem_at(pm, 64), 6);
	CHECK(canvas_stored_hash(rig.canvas, NULL, NULL, &rest) == (hash ^ canvas_hash_delta(64, htole64(1), htole64(6))));
	CHECK(rest == canvas_stored_hash(rig.canvas, NULL, NULL, NULL));
	pmem_store64(pm, (const le64 *)pmem_at(pm, 4096), 6);
	CHECK(rest != canvas_stored_hash(rig.canvas, NULL, NULL, NULL));
	canvas_revert(rig.canvas);
	CHECK_EQ(le64_load((const le64 *)pmem_at(pm, 64)), le64toh(1));
	CHECK(canvas_stored_hash(rig.canvas, NULL, NULL, NULL) == hash);
	rig_free(&rig);
}

static int is_block_1(void *ctx, uint64_t block)
{
	return block == 1;
}

static uint64_t hash_with(struct rig *rig, uint64_t off, uint64_t raw)
{
	size_t mark = canvas_mark(rig->canvas);
	uint64_t hash;

	canvas_set(rig->canvas, off, raw);
	hash = canvas_stored_hash(rig->canvas, is_block_1, NULL, NULL);
	canvas_undo(rig->canvas, mark);
	return hash;
}

static void contents_of_free_blocks_count_roughly(void)
{
	struct rig rig = rig_new();
	uint64_t one = hash_with(&rig, 4096, 1);

	CHECK(hash_with(&rig, 4096, 0) == 0);
	CHECK(one != 0);
	CHECK(one == hash_with(&rig, 4096, 2));
	CHECK(one == hash_with(&rig, 4104, 1));
	CHECK(hash_with(&rig, 8192, 1) != hash_with(&rig, 8192, 2));
	canvas_set(rig.canvas, 4096, 1);
	CHECK(one == hash_with(&rig, 4096, 5));
	CHECK(one != hash_with(&rig, 4104, 1));
	CHECK(hash_with(&rig, 4096, 0) == 0);
	rig_free(&rig);
}

static void names_that_are_none_are_refused(void)
{
	static const char *const bad[] = { "",	  "x",	   "k,",     "k1,",	"k9",	   "l0,", "k0;",
					   "k;0", "k;0=1", "k;0=1-", "k;0=2-1", "k;0=0-9", "k0 " };
	struct rig rig = rig_new();
	struct image_set *set;
	struct image_pick pick;

	for (uint64_t i = 0; i < 3; i++)
		store(&rig, 0, i * 8, i + 1);
	CHECK_EQ(image_set_new(rig.flight, &set), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_EQ(image_pick_parse(bad[i], set, &pick), -EINVAL);
	CHECK_EQ(image_pick_parse("l0;0!1-2", set, &pick), 0);
	image_set_free(set);
	rig_free(&rig);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(fence_covers_what_was_flushed),
		TAP_CASE(flush_covers_only_what_was_stored_before),
		TAP_CASE(fence_of_another_thread_covers_nothing),
		TAP_CASE(covered_value_drops_the_older_ones),
		TAP_CASE(each_value_of_a_word_may_be_on_media),
		TAP_CASE(parts_of_a_word_keep_their_neighbours),
		TAP_CASE(picks_are_all_choices_up_to_k),
		TAP_CASE(few_units_give_all_subsets),
		TAP_CASE(tears_cut_records_at_every_word),
		TAP_CASE(large_copies_are_five_units),
		TAP_CASE(stores_of_the_same_value_are_no_units),
		TAP_CASE(words_in_a_row_at_one_site_are_one_unit),
		TAP_CASE(cap_thins_out_and_says_so),
		TAP_CASE(device_is_put_back_behind_a_mount),
		TAP_CASE(contents_of_free_blocks_count_roughly),
		TAP_CASE(names_that_are_none_are_refused),
	};

	return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
