/* SPDX-License-Identifier: BSD-3-Clause *
 * Loops in the preparation bring the journal near to its end: a ring of 32 KiB holds about 250 records of chmod.
 */
/*
 * Named workloads: for each class of bugs that testers have found in file systems on persistent memory, and for each trap of our
 * own design, one that shows it. tests/crash/bugs/NAME.patch seeds such a bug, and tests/crash/seeded-bugs.sh proves that the
 * workload of the same name finds it.
 */
#include "crash/workload.h"

/* A file in as many pieces as make its removal larger than one record. */
#define FRAGMENTED "@mib=6 creat foo; fill full 0; punchn full 440 4k 8k; write foo 0 1700k"

const struct workload_named workload_bugs[] = {
	{ "missing-flush", "stores in place that nobody flushes",
	  "@rings=1,keep=1 creat foo; creat bar; chmodn foo 245 | chmodn foo 12; creat x" },
	{ "missing-fence-commit", "a record and the stores in place without a fence between",
	  "creat foo | creat bar; unlink foo" },
	{ "missing-fence-data", "data of new blocks and the record that shows them without a fence between",
	  "creat foo | write foo 0 5000; write foo end 9000" },
	{ "missing-fence-recovery", "recovery moves the horizon before what it replayed is durable",
	  "mkdir A; creat foo | creat A/x; rename foo A/y; unlink A/x" },
	{ "recovery-order", "recovery replays the rings one behind the other instead of by number",
	  "@sched=999 mkdir A; creat A/foo | chmod A/foo 0600; [t2] chmod A/foo 0640" },
	{ "rename-in-place", "rename stores the new entry before its record",
	  "mkdir A; creat A/foo; creat A/bar | rename A/foo A/bar" },
	{ "link-in-place", "link stores the entry and the count before its record", "mkdir A; creat foo | link foo A/bar" },
	{ "cross-directory-move", "the record of a move between directories leaves one of them out",
	  "mkdir A; mkdir B; mkdir A/d | rename A/d B/d" },
	{ "link-count", "the link count is not in the record of the name", "mkdir A; creat foo | link foo A/bar; unlink foo" },
	{ "rmdir-link-count", "the parent's link count is not in the record of rmdir",
	  "mkdir A; mkdir A/B | rmdir A/B; rmdir A" },
	{ "unaligned-edges", "the edge lines of a copy are not flushed",
	  "creat foo; write foo 0 10000 | write foo 1001 3000; write foo end 10" },
	{ "unlinked-descriptor", "a file that is unlinked while open has no intent",
	  "creat foo; write foo 0 9000; open $0 foo | unlink foo; write $0 4000 9000; truncate $0 100" },
	{ "tmpfile-link", "a file without a name gets one, and keeps its intent",
	  "mkdir A; tmpfile $0 A; write $0 0 5000 | link $0 A/foo; write $0 end 100" },
	{ "write-atomicity", "the size of an append is set before its blocks",
	  "creat foo; write foo 0 3000 | write foo end 9000" },
	{ "stale-tail", "a file grows over its old tail before zeros are durable",
	  "creat foo; write foo 0 10000; truncate foo 4100 | truncate foo 8000" },
	{ "repair-truncate", "recovery ends a truncation without freeing", FRAGMENTED " | truncate foo 5000" },
	{ "repair-orphan", "recovery forgets a file that was being removed", FRAGMENTED " | unlink foo" },
	{ "stale-replay", "records below the horizon are replayed",
	  "@keep=1,sched=1 creat foo; creat bar; chmodn bar 242 | chmod bar 0601; chmod foo 0640; chmodn bar 12; [t2] chmod foo "
	  "0600" },
	{ "revoke", "a directory's block is given to data while records store into it",
	  "mkdir A; creat A/x; creat foo; creat bar; write bar 0 80k; fill full 0 | creat A/y; unlink A/y; unlink A/x; rmdir A; "
	  "unlink bar; write foo 0 72k" },
	{ "torn-record", "a record is believed without its checksum",
	  "mkdir A; creat foo | creat A/bar; rename foo A/x; unlink A/bar" },
	{ "full-ring", "a ring starts anew without a checkpoint",
	  "@rings=1,keep=1 mkdir A; creatn A/f%60 92 | creatn A/g%60 14" },
	{ "thread-migration", "what another thread stored in place is not covered by a checkpoint",
	  "@rings=1,keep=1,sched=1 creat foo; creat bar; chmodn bar 240 | chmod foo 0600; [t2] chmodn bar 16" },
	{ "large-operation", "a removal larger than a record is cut without an intent",
	  FRAGMENTED "; creat bar | truncate foo 0; write bar 0 4k" },
	{ "directory-split", "a bucket is split in place", "mkdir A; creatn A/f%190 18 | creat A/x%190; creat A/y%190" },
	{ "shift-cursor", "a shift of extents is not resumed where it was cut",
	  "creat foo; write foo 0 40000 | falloc foo collapse 4k 8k; falloc foo insert 8k 4k" },
	{ "xattr-unfenced", "an xattr block is shown before it is durable",
	  "creat foo; fsetxattr foo user.a 3000 | fsetxattr foo user.a 2900" },
	{ NULL, NULL, NULL },
};
