/* SPDX-License-Identifier: BSD-3-Clause */
/* Defects beyond those of tests/fsck, one for each way of repairing that those do not come by. */
#ifndef CRASH_SCENARIO_DAMAGE_H
#define CRASH_SCENARIO_DAMAGE_H

#include "fsck/golden.h"

#define SCENARIO_DAMAGES 6u

struct scenario_damage {
	const char *name;
	golden_fn damage;
};
extern const struct scenario_damage scenario_damages[SCENARIO_DAMAGES];

#endif
