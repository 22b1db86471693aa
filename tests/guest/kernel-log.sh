#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Prints what in a kernel log must not be there, with some lines behind it, and fails if anything is: kernel-log.sh FILE
bad='BUG[: ]|WARNING: |Oops|general protection|Call Trace|KASAN|UBSAN|lockdep|possible circular|possible recursive|inconsistent lock|\
hung_task|blocked for more than|soft lockup|hard LOCKUP|rcu: INFO|Kernel panic|refcount_t|scheduling while atomic|sleeping function called|\
VFS: Busy inodes|slab error|list_(add|del) corruption'
bad=${bad//\\$'\n'/}
if grep -nE -A 25 "$bad" "$1"; then
	exit 1
fi
exit 0
