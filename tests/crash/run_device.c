/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and mounting the device of a workload, always the same for the same text. */
#include "crash/run_device.h"

#include <string.h>

#include "crash/clock.h"
#include "pmfs2/fs.h"
#include "pmfs2/journal.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

int run_mount(const struct workload *w, struct pmem *pm, struct zus_fs **out)
{
	struct mkfs_params params = workload_mkfs_params(w);
	int err;

	crash_clock_set(0);
	crash_thread_set(1);
	/* A device has had another life: what is not written is not zero. */
	memset(pm->base, 0xd7, pm->size);
	err = mkfs_format(pm, &params, NULL);
	if (!err)
		err = run_widen(w, pm);
	if (!err)
		err = pmfs2_mount_pmem(pm, NULL, 0, out);
	if (err)
		return err;
	err = run_occupy(w, fs_of(*out));
	if (err) {
		(void)fs_detach(fs_of(*out));
		*out = NULL;
	}
	return err;
}

void run_prepared(const struct workload *w, struct zus_fs *fs)
{
	if (!w->geo.keep)
		journal_checkpoint(fs_of(fs));
}
