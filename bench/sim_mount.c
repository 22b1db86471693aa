/* SPDX-License-Identifier: BSD-3-Clause */
/* A mounted pmfs2 in this process, for benches of the engine. */
#include "sim_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "pmem/sim.h"
#include "pmfs2/mkfs.h"
#include "pmfs2/ops.h"
#include "zus/plugin.h"

#define SIM_BYTES (256ull << 20)

static const struct mkfs_params params = { .label = "bench" };

int bench_mount_sim(struct pmem **out_pm, struct zus_fs **out_fs)
{
	struct pmem *pm;
	int err = pmem_sim_new(SIM_BYTES, 0, &pm);

	if (err)
		return err;
	err = mkfs_format(pm, &params, NULL);
	if (!err)
		err = pmfs2_mount_pmem(pm, NULL, 0, out_fs);
	if (err) {
		pmem_close(pm);
		return err;
	}
	*out_pm = pm;
	return 0;
}

int bench_format_file(const char *path, uint64_t size_bytes)
{
	struct pmem *pm;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), err;

	if (fd < 0)
		return -errno;
	err = ftruncate(fd, (off_t)size_bytes) ? -errno : 0;
	close(fd);
	if (!err)
		err = pmem_open(path, 0, &pm);
	if (err)
		return err;
	err = mkfs_format(pm, &params, NULL);
	if (!err)
		err = pmem_sync(pm);
	pmem_close(pm);
	return err;
}

int bench_mount_file(const char *path, struct zus_fs **out_fs)
{
	struct pmem *pm;
	int err = pmem_open(path, 0, &pm);

	if (err)
		return err;
	err = pmfs2_mount_pmem(pm, NULL, 0, out_fs);
	if (err)
		pmem_close(pm);
	return err;
}
