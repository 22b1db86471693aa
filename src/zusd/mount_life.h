/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens to a mount: opening by its plug-in, start and end of its transport, closing, remount, unmounting at the server's
 * end. The states are mount_table.h's.
 */
#ifndef ZUSD_MOUNT_LIFE_H
#define ZUSD_MOUNT_LIFE_H

#include "zusd/loader.h"
#include "zusd/mount_table.h"

#define MOUNT_TEXT_MAX 6144u /* bytes of an error's text */

/*
 * Opens the device with the plug-in of its type. On success the mount is PREPARED, the caller's until mount_start or
 * mount_abandon. On failure text says what, where and what to do.
 */
int mount_open(struct mount_table *table, const struct loader *ld, const struct mount_spec *spec, char text[MOUNT_TEXT_MAX],
	       struct server_mount **out_m);
/*
 * Starts serving. devno: of the mounted file system. The mount goes over to a thread that closes it when the connection ends. On
 * failure it is closed, the mount is gone, and text says why. fuse_fd is taken over in both cases.
 */
int mount_start(struct server_mount *m, int fuse_fd, uint64_t devno, char text[MOUNT_TEXT_MAX]);
/* Over zuf: from PREPARED to ACTIVE, and from there to its end. invalidate: as host->invalidate. */
void mount_serve_zuf(struct server_mount *m, uint64_t devno, mount_invalidate_fn invalidate, mount_stats_fn stats);
void mount_end_zuf(struct server_mount *m);
/* How the kernel is reached, for people. */
const char *mount_channel_name(const struct server_mount *m);
/* Closes a PREPARED mount again. */
void mount_abandon(struct server_mount *m);
/* Tells the plug-in of other ZUS_MOUNT_* flags; m is pinned. */
int mount_remount(struct server_mount *m, uint32_t flags, char text[MOUNT_TEXT_MAX]);

/* Unmounts every mount, the busy ones too (their users get errors from then on), and waits for the images to be closed. */
int mount_table_shut_down(struct mount_table *table);

#endif
