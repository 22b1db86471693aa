/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the engine's benches get a mounted pmfs2: on the simulated device, or on a file, in this process and without a server.
 */
#ifndef BENCH_SIM_MOUNT_H
#define BENCH_SIM_MOUNT_H

#include <stdint.h>

struct pmem;
struct zus_fs;

/* A freshly formatted simulated device (counters only), mounted. fs->ops->unmount() closes both. 0 or -errno. */
int bench_mount_sim(struct pmem **out_pm, struct zus_fs **out_fs);
/* Makes a sparse file of size_bytes, formatted. 0 or -errno. */
int bench_format_file(const char *path, uint64_t size_bytes);
/* Mounts a file through the plug-in interface, as the server does. 0 or -errno. */
int bench_mount_file(const char *path, struct zus_fs **out_fs);

#endif
