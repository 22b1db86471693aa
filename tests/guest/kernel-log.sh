#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Prints what in a kernel log must not be there, with some lines behind it, and fails if anything is: kernel-log.sh [-f] FILE
# -f: allocations were made to fail, which the kernel tells with a stack; a stack alone is no complaint then.
stacks='|Call Trace'
if [ "$1" = -f ]; then
	stacks=
	shift
fi
bad='BUG[: ]|WARNING:|Oops|general protection|KASAN|UBSAN|INFO: lockdep|possible circular|possible recursive|inconsistent lock|\
hung_task|blocked for more than|soft lockup|hard LOCKUP|rcu: INFO|Kernel panic|refcount_t|scheduling while atomic|sleeping function called|\
VFS: Busy inodes|slab error|list_(add|del) corruption|INFO: (possible|trying)|suspicious RCU|invalid wait context|ODEBUG|DEBUG_LOCKS|\
locking correctness validator|bad unlock balance|held lock freed|locks? (still )?held|Objects remaining|kmemleak: [0-9]+ new'
bad=${bad//\\$'\n'/}$stacks
if grep -nE -A 25 "$bad" "$1"; then
	exit 1
fi
exit 0
