/* SPDX-License-Identifier: BSD-3-Clause */
/* The device of a workload. (Apart from run.h: the engine has a struct run too.) */
#ifndef CRASH_RUN_DEVICE_H
#define CRASH_RUN_DEVICE_H

#include "crash/workload.h"
#include "zus/plugin.h"

struct fs;

/* mkfs and mount, as the geometry says. */
int run_mount(const struct workload *w, struct pmem *pm, struct zus_fs **out);
/*
 * What stands between preparation and test: a checkpoint, unless the workload keeps the journal. Without it, replay of the
 * records of the preparation would put right what the tested operation stored too early.
 */
void run_prepared(const struct workload *w, struct zus_fs *fs);

/* run_large.c, for run_mount(): what is on a device that has grown, before the mount; and what others have taken, behind it. */
int run_widen(const struct workload *w, struct pmem *pm);
int run_occupy(const struct workload *w, struct fs *fs);

#endif
