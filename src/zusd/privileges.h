/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the server keeps of root's privileges.
 *
 * Kept: CAP_SYS_ADMIN (unmounting at the end, cloning of FUSE channels), CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (images and
 * device nodes of others), CAP_SYS_RAWIO (device-DAX), CAP_IPC_LOCK and CAP_SYS_RESOURCE (io_uring's and the mappings' locked
 * memory), CAP_SYS_PTRACE (the groups of a calling process). Everything else is given up for good, and set-user-id programs gain
 * nothing.
 */
#ifndef ZUSD_PRIVILEGES_H
#define ZUSD_PRIVILEGES_H

/* Before any thread is started. Does nothing for an ordinary user. Failures are logged and harmless. */
void privileges_drop(void);
/* More descriptors; memory reclaim must not wait for us, who may be what it writes to. */
void privileges_set_limits(void);

#endif
