/* SPDX-License-Identifier: BSD-3-Clause */
/* A small number for each thread, in order of first use: spreads threads over rings, groups and inode chunks. */
#ifndef PMFS2_THREAD_ID_H
#define PMFS2_THREAD_ID_H

#include <stdint.h>

/* From 1 on, never reused. */
uint32_t thread_id(void);

#endif
