/* SPDX-License-Identifier: BSD-3-Clause */
/* What is left to the engine, once fsck has found the rest sound: finishing intents, and names in /lost+found. */
#ifndef FSCK_RECONNECT_H
#define FSCK_RECONNECT_H

#include "fsck/state.h"

/*
 * Mounts the file system in this process, which finishes the intents; links the inodes of fk->lost into /lost+found; leaves it
 * with an empty journal. 0 or -errno. What a crash leaves is what a crash of a mount leaves.
 */
int engine_session(struct fsck *fk);

#endif
