/* SPDX-License-Identifier: BSD-3-Clause */
/* The server's side of the zuf transport: mounts that the kernel asks for, in the server's table of mounts. */
#ifndef ZUSD_ZUF_SERVER_H
#define ZUSD_ZUF_SERVER_H

#include "transport/zuf/zuf_transport.h"
#include "zusd/loader.h"
#include "zusd/mount_table.h"

struct zuf_server {
	struct mount_table *mounts;
	const struct loader *loader;
	struct zuf_transport *zt;
};

/*
 * Takes the kernel's control root, $ZUF_ROOT or the usual place, where there is one; none is no error. -EBUSY: another server has
 * it (logged). Before privileges are dropped or not: it needs CAP_SYS_ADMIN, which is kept.
 */
int zuf_server_start(struct zuf_server *zs, struct mount_table *mounts, const struct loader *ld);
/* What is still mounted is left for the next server. */
void zuf_server_stop(struct zuf_server *zs);

#endif
