/* SPDX-License-Identifier: BSD-3-Clause */
/* pmfs2 behind the plug-in interface on memory that the caller has mapped: for tests and benchmarks (simulated devices). */
#ifndef PMFS2_OPS_H
#define PMFS2_OPS_H

#include "pmem/pmem.h"
#include "zus/plugin.h"

/* As fs_open; the operations are those of the plug-in. pm is taken over on success. */
int pmfs2_mount_pmem(struct pmem *pm, const struct zus_host *host, uint32_t flags, struct zus_fs **out_fs);

#endif
