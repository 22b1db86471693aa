/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What makes a run the same each time: the program has its own clock_gettime() (real-time clocks only), getrandom(), and
 * thread_id() of the engine, which the linker prefers to the library's. Time stands at a second of its own for each step; random
 * bytes are always the same; a thread has the number that it was given.
 */
#ifndef CRASH_CLOCK_H
#define CRASH_CLOCK_H

#include <stdint.h>

#define CRASH_CLOCK_EPOCH_S 1800000000ll
#define CRASH_CLOCK_RECOVERY_S 1900000000ll

/* Of this thread: step 0: the time of recovery (as at the start); others: so many seconds behind the epoch. */
void crash_clock_set(uint64_t step);
/* Of this thread: its number for the engine, from 1 on; at the start 1. */
void crash_thread_set(uint32_t number);

#endif
