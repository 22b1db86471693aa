/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated device: what it records, what it counts, and that it notices stores which bypass it. */
#include "pmem/sim.h"

#include <pthread.h>

#include "base/util.h"
#include "lib/tap.h"

#define MIB (1ull << 20)

static struct pmem *sim_new(unsigned int flags)
{
	struct pmem *pm;

	CHECK_EQ(pmem_sim_new(4 * MIB, flags, &pm), 0);
	CHECK_EQ(pm->kind, PMEM_KIND_SIM);
	CHECK_EQ(pm->size, 4 * MIB);
	return pm;
}

static void check_event(const struct pmem_event *e, enum pmem_event_kind kind, uint64_t off, uint64_t len)
{
	CHECK_EQ(e->kind, kind);
	CHECK_EQ(e->off, off);
	CHECK_EQ(e->len, len);
	CHECK(e->site != NULL);
}

static void sim_store64_flush_fence_record_in_order(void)
{
	struct pmem *pm = sim_new(PMEM_SIM_RECORD);
	const le64 *words = pmem_at(pm, 4096);
	const struct pmem_event *ev;
	uint64_t word;

	pmem_sim_begin(pm, "op");
	pmem_store64(pm, &words[1], 0x1122);
	pmem_or64(pm, &words[1], 0x4400);
	pmem_andnot64(pm, &words[1], 0x0022);
	pmem_flush(pm, &words[1], 8);
	pmem_fence(pm);
	pmem_sim_end(pm);
	CHECK_EQ(pmem_sim_events(pm, &ev), 7);
	CHECK_EQ(ev[0].kind, PMEM_EVENT_BEGIN);
	CHECK(!strcmp((const char *)ev[0].data, "op"));
	for (int i = 1; i <= 3; i++)
		check_event(&ev[i], PMEM_EVENT_STORE, 4104, 8);
	memcpy(&word, ev[2].data, 8);
	CHECK_EQ(le64toh(word), 0x5522);
	memcpy(&word, ev[3].data, 8);
	CHECK_EQ(le64toh(word), 0x5500);
	CHECK_EQ(le64_load(&words[1]), 0x5500);
	check_event(&ev[4], PMEM_EVENT_FLUSH, 4096, 64);
	check_event(&ev[5], PMEM_EVENT_FENCE, 0, 0);
	CHECK_EQ(ev[6].kind, PMEM_EVENT_END);
	pmem_close(pm);
}

static void sim_copy_unaligned_records_edges_as_store_and_flush_and_middle_as_nt(void)
{
	struct pmem *pm = sim_new(PMEM_SIM_RECORD);
	const struct pmem_event *ev;
	uint8_t src[300];

	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i + 1);
	pmem_copy(pm, pmem_at(pm, 60), src, 4 + 128 + 7);
	CHECK_EQ(pmem_sim_events(pm, &ev), 5);
	check_event(&ev[0], PMEM_EVENT_STORE, 60, 4);
	check_event(&ev[1], PMEM_EVENT_FLUSH, 0, 64);
	check_event(&ev[2], PMEM_EVENT_NT, 64, 128);
	check_event(&ev[3], PMEM_EVENT_STORE, 192, 7);
	check_event(&ev[4], PMEM_EVENT_FLUSH, 192, 64);
	CHECK(!memcmp(ev[2].data, src + 4, 128));
	CHECK(!memcmp(pm->base + 60, src, 139));
	CHECK(pmem_is_zero(pm->base, 60) && pmem_is_zero(pm->base + 199, 4096));
	pmem_sim_reset_events(pm);
	pmem_copy(pm, pmem_at(pm, 65), src, 5);
	CHECK_EQ(pmem_sim_events(pm, &ev), 2);
	check_event(&ev[0], PMEM_EVENT_STORE, 65, 5);
	check_event(&ev[1], PMEM_EVENT_FLUSH, 64, 64);
	pmem_sim_reset_events(pm);
	pmem_zero(pm, pmem_at(pm, 64), 64);
	CHECK_EQ(pmem_sim_events(pm, &ev), 1);
	check_event(&ev[0], PMEM_EVENT_NT, 64, 64);
	CHECK(pmem_is_zero(ev[0].data, 64));
	pmem_close(pm);
}

static void sim_empty_ranges_record_nothing(void)
{
	struct pmem *pm = sim_new(PMEM_SIM_RECORD);
	const struct pmem_event *ev;

	pmem_copy(pm, pmem_at(pm, 10), "", 0);
	pmem_zero(pm, pmem_at(pm, 10), 0);
	pmem_flush(pm, pmem_at(pm, 10), 0);
	CHECK_EQ(pmem_sim_events(pm, &ev), 0);
	pmem_close(pm);
}

static void sim_counts_lines_fences_and_bytes(void)
{
	for (unsigned int flags = 0; flags <= PMEM_SIM_RECORD; flags++) {
		struct pmem *pm = sim_new(flags);
		uint8_t page[4096] = { 1 };
		struct pmem_counts c;

		pmem_copy(pm, pmem_at(pm, 8192), page, 4096);
		pmem_store64(pm, (const le64 *)pmem_at(pm, 64), 7);
		pmem_flush(pm, pmem_at(pm, 120), 16); /* touches two lines */
		pmem_copy(pm, pmem_at(pm, 190), page, 4); /* crosses a line: two edges */
		pmem_fence(pm);
		c = pmem_sim_counts(pm);
		CHECK_EQ(c.fences, 1);
		CHECK_EQ(c.lines_nt, 64);
		CHECK_EQ(c.lines_flushed, 4);
		CHECK_EQ(c.stores, 3);
		CHECK_EQ(c.bytes, 4096 + 8 + 4);
		pmem_sim_reset_counts(pm);
		c = pmem_sim_counts(pm);
		CHECK_EQ(c.fences + c.lines_nt + c.lines_flushed + c.stores + c.bytes, 0);
		pmem_close(pm);
	}
}

static void sim_without_record_has_no_events_and_no_verify(void)
{
	struct pmem *pm = sim_new(0);
	const struct pmem_event *ev;
	uint64_t off;

	pmem_zero(pm, pm->base, 4096);
	CHECK_EQ(pmem_sim_events(pm, &ev), 0);
	CHECK(!pmem_sim_base_image(pm));
	CHECK_EQ(pmem_sim_verify(pm, &off), -EOPNOTSUPP);
	pmem_sim_reset_events(pm);
	pmem_close(pm);
}

static void sim_without_base_records_again_and_again(void)
{
	struct pmem *pm = sim_new(PMEM_SIM_RECORD | PMEM_SIM_NO_BASE);
	const struct pmem_event *ev;
	uint64_t off;

	CHECK(!pmem_sim_base_image(pm));
	for (uint64_t round = 1; round <= 3; round++) {
		pmem_zero(pm, pm->base, 3 << 20);
		pmem_store64(pm, (const le64 *)pmem_at(pm, 8 * round), round);
		CHECK_EQ(pmem_sim_events(pm, &ev), 2);
		CHECK_EQ(ev[1].off, 8 * round);
		CHECK_EQ(ev[1].data[0], round);
		pmem_sim_reset_events(pm);
		CHECK_EQ(pmem_sim_events(pm, &ev), 0);
	}
	CHECK_EQ(pmem_sim_verify(pm, &off), -EOPNOTSUPP);
	pmem_close(pm);
}

static void sim_verify_after_random_stores_passes_and_finds_a_bypass(void)
{
	struct pmem *pm = sim_new(PMEM_SIM_RECORD);
	uint64_t state = tap_seed(), off = 0;
	uint8_t src[9000];

	for (int i = 0; i < 2000; i++) {
		uint64_t at = tap_rand(&state) % (4 * MIB - sizeof(src)), len = tap_rand(&state) % sizeof(src);

		memset(src, (int)tap_rand(&state), sizeof(src));
		if (i % 3)
			pmem_copy(pm, pmem_at(pm, at), src, i % 2 ? len : len % 100);
		else
			pmem_or64(pm, (const le64 *)pmem_at(pm, at & ~7ull), tap_rand(&state));
		if (i == 1000) {
			CHECK_EQ(pmem_sim_verify(pm, &off), 0);
			pmem_sim_reset_events(pm);
			CHECK(!memcmp(pmem_sim_base_image(pm), pm->base, pm->size));
		}
	}
	CHECK_EQ(pmem_sim_verify(pm, &off), 0);
	pm->base[123457] ^= 1;
	CHECK_EQ(pmem_sim_verify(pm, &off), -EUCLEAN);
	CHECK_EQ(off, 123457);
	pmem_sim_reset_events(pm);
	CHECK_EQ(pmem_sim_verify(pm, &off), 0);
	pmem_close(pm);
}

static void *thread_stores(void *arg)
{
	struct pmem *pm = arg;

	pmem_sim_begin(pm, "thread");
	for (uint64_t i = 0; i < 500; i++) {
		pmem_or64(pm, (const le64 *)pmem_at(pm, 64), 1ull << i % 64);
		pmem_zero(pm, pmem_at(pm, 4096 + i * 64), 100);
		pmem_fence(pm);
	}
	pmem_sim_end(pm);
	return NULL;
}

static void sim_from_four_threads_keeps_each_threads_order(void)
{
	struct pmem *pm = sim_new(PMEM_SIM_RECORD);
	const struct pmem_event *ev;
	uint64_t fences[4] = { 0 }, off;
	pthread_t threads[4];
	size_t n;

	for (int i = 0; i < 4; i++)
		CHECK(!pthread_create(&threads[i], NULL, thread_stores, pm));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	n = pmem_sim_events(pm, &ev);
	for (size_t i = 0; i < n; i++) {
		CHECK(ev[i].thread < 4);
		fences[ev[i].thread] += ev[i].kind == PMEM_EVENT_FENCE;
		if (ev[i].kind == PMEM_EVENT_END)
			CHECK_EQ(fences[ev[i].thread], 500);
	}
	CHECK_EQ(pmem_sim_counts(pm).fences, 2000);
	CHECK_EQ(pmem_sim_verify(pm, &off), 0);
	pmem_close(pm);
}

/* Runs fn in a child; true if that ended it (a sanitizer exits where we abort). */
static int dies(void (*fn)(struct pmem *pm), struct pmem *pm)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		close(2);
		fn(pm);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static void store_behind_the_end(struct pmem *pm)
{
	pmem_zero(pm, pm->base + pm->size - 8, 16);
}

static void store_before_the_start(struct pmem *pm)
{
	pmem_copy(pm, pm->base - 8, "x", 1);
}

static void store_misaligned(struct pmem *pm)
{
	pmem_store64(pm, (const le64 *)(const void *)(pm->base + 4), 1);
}

static void store_last_word(struct pmem *pm)
{
	pmem_store64(pm, (const le64 *)(const void *)(pm->base + pm->size - 8), 1);
}

static void sim_store_outside_or_misaligned_aborts(void)
{
	struct pmem *pm = sim_new(PMEM_SIM_RECORD);

	CHECK(dies(store_behind_the_end, pm));
	CHECK(dies(store_before_the_start, pm));
	CHECK(dies(store_misaligned, pm));
	CHECK(!dies(store_last_word, pm));
	pmem_close(pm);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(sim_store64_flush_fence_record_in_order),
		TAP_CASE(sim_copy_unaligned_records_edges_as_store_and_flush_and_middle_as_nt),
		TAP_CASE(sim_empty_ranges_record_nothing),
		TAP_CASE(sim_counts_lines_fences_and_bytes),
		TAP_CASE(sim_without_record_has_no_events_and_no_verify),
		TAP_CASE(sim_without_base_records_again_and_again),
		TAP_CASE(sim_verify_after_random_stores_passes_and_finds_a_bypass),
		TAP_CASE(sim_from_four_threads_keeps_each_threads_order),
		TAP_CASE(sim_store_outside_or_misaligned_aborts),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
