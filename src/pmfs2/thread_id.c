/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers of threads. The counter is the one thing in the engine that is not part of a mount: threads are not either. */
#include "pmfs2/thread_id.h"

#include <stdatomic.h>

uint32_t thread_id(void)
{
	static _Atomic uint32_t last;
	static __thread uint32_t mine;

	if (!mine)
		mine = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
	return mine;
}
