/* SPDX-License-Identifier: BSD-3-Clause */
/* See clock.h. State is of threads, and there is nothing else: recovery runs at the same time in each process. */
#include "crash/clock.h"

#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pmfs2/thread_id.h"

static _Thread_local uint64_t clock_step;
static _Thread_local uint32_t thread_number = 1;

void crash_clock_set(uint64_t step)
{
	clock_step = step;
}

void crash_thread_set(uint32_t number)
{
	thread_number = number;
}

uint32_t thread_id(void)
{
	return thread_number;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = clock_step ? CRASH_CLOCK_EPOCH_S + (int64_t)clock_step : CRASH_CLOCK_RECOVERY_S;
	ts->tv_nsec = 0;
	return 0;
}

ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	(void)flags;
	memset(buf, 0x5a, len);
	return (ssize_t)len;
}
