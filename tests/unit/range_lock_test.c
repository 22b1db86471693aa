/* SPDX-License-Identifier: BSD-3-Clause */
/* Range locks: who excludes whom, order of arrival, and a storm of threads over shared counters. */
#include <pthread.h>

#include "base/util.h"
#include "lib/tap.h"
#include "pmfs2/range_lock.h"

struct waiter {
	struct range_lock *rl;
	uint64_t start, end;
	int write;
	_Atomic int got;
	_Atomic int go;
	pthread_t thread;
};

static void *waiter_run(void *arg)
{
	struct waiter *w = arg;
	struct range r;

	range_lock(w->rl, &r, w->start, w->end, w->write);
	w->got = 1;
	while (!w->go)
		usleep(100);
	range_unlock(w->rl, &r);
	return NULL;
}

static uint32_t list_len(struct range_lock *rl)
{
	uint32_t n = 0;

	mutex_lock(&rl->mu);
	for (const struct range *r = rl->held; r; r = r->next)
		n++;
	mutex_unlock(&rl->mu);
	return n;
}

/* Starts a thread that asks for a range, and returns when it holds it or waits for it. */
static void waiter_start(struct waiter *w, struct range_lock *rl, uint64_t start, uint64_t end, int write)
{
	uint32_t before = list_len(rl);

	*w = (struct waiter){ .rl = rl, .start = start, .end = end, .write = write };
	CHECK_EQ(pthread_create(&w->thread, NULL, waiter_run, w), 0);
	while (list_len(rl) == before)
		usleep(100);
	usleep(5000);
}

static void waiter_end(struct waiter *w)
{
	w->go = 1;
	pthread_join(w->thread, NULL);
}

static void wait_for(struct waiter *w)
{
	while (!w->got)
		usleep(100);
}

static void range_lock_readers_share_writers_do_not(void)
{
	struct range_lock rl;
	struct waiter w[4];

	range_lock_init(&rl);
	waiter_start(&w[0], &rl, 0, 100, 0);
	waiter_start(&w[1], &rl, 50, 150, 0);
	waiter_start(&w[2], &rl, 99, 120, 1);
	waiter_start(&w[3], &rl, 150, 160, 1);
	wait_for(&w[0]);
	wait_for(&w[1]);
	wait_for(&w[3]);
	CHECK(!w[2].got);
	waiter_end(&w[0]);
	usleep(5000);
	CHECK(!w[2].got);
	waiter_end(&w[1]);
	wait_for(&w[2]);
	waiter_end(&w[2]);
	waiter_end(&w[3]);
	CHECK(!rl.held);
	CHECK_EQ(rl.waiters, 0);
	range_lock_fini(&rl);
}

static void range_lock_waiting_writer_is_not_overtaken(void)
{
	struct range_lock rl;
	struct waiter w[4];

	range_lock_init(&rl);
	waiter_start(&w[0], &rl, 0, 100, 0);
	waiter_start(&w[1], &rl, 0, 100, 1);
	waiter_start(&w[2], &rl, 10, 20, 0); /* could share with w[0], but comes behind w[1] */
	waiter_start(&w[3], &rl, 200, 300, 1);
	wait_for(&w[0]);
	wait_for(&w[3]);
	CHECK(!w[1].got && !w[2].got);
	waiter_end(&w[0]);
	wait_for(&w[1]);
	usleep(5000);
	CHECK(!w[2].got);
	waiter_end(&w[1]);
	wait_for(&w[2]);
	waiter_end(&w[2]);
	waiter_end(&w[3]);
	range_lock_fini(&rl);
}

static void range_lock_touching_and_empty_ranges_do_not_conflict(void)
{
	struct range_lock rl;
	struct range a, b, c;

	range_lock_init(&rl);
	range_lock(&rl, &a, 0, 100, 1);
	range_lock(&rl, &b, 100, 200, 1);
	range_lock(&rl, &c, 300, 300, 1);
	range_unlock(&rl, &b);
	range_unlock(&rl, &a);
	range_unlock(&rl, &c);
	CHECK(!rl.held);
	range_lock_fini(&rl);
}

#define STORM_CELLS 32u

struct storm {
	struct range_lock rl;
	uint64_t cells[STORM_CELLS]; /* under the range lock */
};
struct storm_arg {
	struct storm *storm;
	uint64_t rnd;
	uint64_t added;
};

static void *storm_run(void *arg)
{
	struct storm_arg *a = arg;

	for (int i = 0; i < 20000; i++) {
		uint64_t start = tap_rand(&a->rnd) % STORM_CELLS, end = start + 1 + tap_rand(&a->rnd) % (STORM_CELLS - start);
		int write = tap_rand(&a->rnd) % 2 == 0;
		uint64_t sum = 0;
		struct range r;

		range_lock(&a->storm->rl, &r, start, end, write);
		for (uint64_t k = start; k < end; k++) {
			if (write)
				a->storm->cells[k]++;
			else
				sum += a->storm->cells[k];
		}
		for (uint64_t k = start; !write && k < end; k++)
			sum -= a->storm->cells[k];
		range_unlock(&a->storm->rl, &r);
		CHECK_EQ(sum, 0);
		a->added += write ? end - start : 0;
	}
	return NULL;
}

static void range_lock_storm_loses_no_update(void)
{
	struct storm storm = { 0 };
	struct storm_arg args[4];
	pthread_t threads[4];
	uint64_t sum = 0, added = 0;

	range_lock_init(&storm.rl);
	for (uint64_t i = 0; i < 4; i++) {
		args[i] = (struct storm_arg){ &storm, tap_seed() + i * 31 + 1, 0 };
		CHECK_EQ(pthread_create(&threads[i], NULL, storm_run, &args[i]), 0);
	}
	for (uint64_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		added += args[i].added;
	}
	for (uint32_t i = 0; i < STORM_CELLS; i++)
		sum += storm.cells[i];
	CHECK_EQ(sum, added);
	CHECK(!storm.rl.held);
	range_lock_fini(&storm.rl);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(range_lock_readers_share_writers_do_not),
		TAP_CASE(range_lock_waiting_writer_is_not_overtaken),
		TAP_CASE(range_lock_touching_and_empty_ranges_do_not_conflict),
		TAP_CASE(range_lock_storm_loses_no_update),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
