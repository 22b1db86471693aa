/* SPDX-License-Identifier: BSD-3-Clause */
/* What a thread holds, for the order check of debug builds. */
#include "base/lock.h"

#if DEBUG_CHECKS
__thread struct lock_held lock_held_stack[LOCK_HELD_MAX];
__thread int lock_held_n;
#else
typedef int lock_c_is_empty_without_debug_checks;
#endif
