/* SPDX-License-Identifier: BSD-3-Clause */
/* Crashes in what is done to a device that is not mounted: each image of each scenario (tests/crash/scenario*.c). */
#include <stdio.h>

#include "base/log.h"
#include "base/util.h"
#include "crash/scenario.h"
#include "lib/tap.h"

static void run(const struct scenario *sc)
{
	struct scenario_result r;

	log_set_level(-1);
	CHECK_EQ(scenario_run(sc, &r), 0);
	printf("# %llu points, %llu images, %llu unique, %llu capped points\n", (unsigned long long)r.points,
	       (unsigned long long)r.images, (unsigned long long)r.unique, (unsigned long long)r.capped);
	if (r.failures)
		printf("# image %s: %s\n", r.image, r.why);
	CHECK_EQ(r.failures, 0);
	CHECK(r.unique > 100);
}

static void mkfs_when_cut_on_an_empty_device_leaves_none_or_all(void)
{
	run(&scenario_mkfs_empty);
}

static void mkfs_when_cut_over_another_leaves_old_none_or_new(void)
{
	run(&scenario_mkfs_over);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(mkfs_when_cut_on_an_empty_device_leaves_none_or_all),
		TAP_CASE(mkfs_when_cut_over_another_leaves_old_none_or_new),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
