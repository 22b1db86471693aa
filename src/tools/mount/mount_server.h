/* SPDX-License-Identifier: BSD-3-Clause */
/* Which server mount.pmfs2 talks to: the one that runs, systemd's, or one started on demand. */
#ifndef TOOLS_MOUNT_SERVER_H
#define TOOLS_MOUNT_SERVER_H

#include "zusd/control_client.h"

/* Prints what is wrong; an exit code of mount(8). */
int mount_server_connect(struct control_client *cl, const char *socket_path);

#endif
