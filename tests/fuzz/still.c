/* SPDX-License-Identifier: BSD-3-Clause */
/* See still.h. These stand in for the C library's own: the linker takes them since still_begin is in the same file. */
#include "still.h"

#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STILL_TIME_S 1700000000

void still_begin(void)
{
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = (struct timespec){ .tv_sec = STILL_TIME_S };
	return 0;
}

ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	(void)flags;
	memset(buf, 0x5a, len);
	return (ssize_t)len;
}
