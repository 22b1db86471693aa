/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ways through the engine that neither ACE's vocabulary nor chance comes by often: structures of the second size, edges of loops.
 * Found by the mutation score: each was a call site that nothing reached, or whose loss nothing noticed.
 */
#include <string.h>

#include "crash/gen.h"
#include "crash/workload.h"

static const char *const texts[RARE_WORKLOADS] = {
	/* targets and ACLs that do not fit into the inode */
	"mkdir A | symlink A/l 3000; symlink l 2000; unlink A/l",
	"mkdir A; setacl A default 60 | creat A/foo; mkdir A/B; symlink A/l 900",
	"creat foo; fsetxattr foo user.a 100 | setacl foo access 60; setacl foo access 3; setacl foo access 0",
	"creat foo | fsetxattr foo user.a 9000; fsetxattr foo user.b 300; removexattr foo user.a",
	/* leaves of 2 MiB: written in part, cut, zeroed, moved */
	"@mib=12 creat foo; falloc foo alloc 0 2M | write foo 8k 4k; falloc foo punch 4k 4k; write foo 5000 100",
	"@mib=12 creat foo; falloc foo alloc 0 2M; write foo 0 40k | falloc foo zero 4k 16k; falloc foo zero 0 2M",
	"@mib=12 creat foo; falloc foo alloc 0 2M; write foo 0 40k | truncate foo 30000; truncate foo 1000000",
	"@mib=12 creat foo; falloc foo alloc 0 4M; write foo 0 8k | falloc foo collapse 0 2M; falloc foo insert 0 2M",
	"@mib=12 creat foo | falloc foo alloc 0 2M; unlink foo",
	/* shifts within one node, with overlap and without */
	"creat foo; write foo 0 12k; write foo 40k 9000 | falloc foo insert 4k 64k; falloc foo collapse 8k 4k",
	"creat foo; write foo 0 60k | falloc foo collapse 0 40k; falloc foo insert 0 4k; falloc foo insert 8k 40k",
	/* preallocation and zeroing over old tails */
	"creat foo; write foo 0 10000; truncate foo 4100 | falloc foo alloc 0 9000",
	"creat foo; write foo 0 20k | falloc foo zero 1000 18000; falloc foo zerokeep 0 40k; falloc foo punch 500 3000",
	"creat foo; write foo 0 20k | falloc foo punch 1000 15000; truncate foo 18000; write foo end 10",
	"creat foo | write foo 100 50; write foo 9000 100; write foo 30000 10",
	/* the second and the third chunk of inodes */
	"mkdir A; creatn A/f 250 | creatn A/g 6",
	"@chunks=2 creatn f 254 | creat g; creat h",
	/* failed operations: a device that is full half-way, bytes that do not come, a bad page */
	"creat foo; write foo 4k 300; write foo 400k 40k; fill full 0 | falloc foo zero 0 4200",
	"creat foo; write foo 0 5000; cutwrite foo 5000 3000 0 | cutwrite foo 20k 4k 0; truncate foo 7000",
	"creat foo; write foo 0 5000; cutwrite foo 5000 3000 0 | cutwrite foo 6000 9000 5000",
	"creat foo; write foo 0 5000; poison foo 30000; cutwrite foo 5000 3000 0 | write foo 30000 10; truncate foo 7000",
	"@mib=12 creat foo; falloc foo keep 0 2M; write foo 0 5000; poison foo 16k; cutwrite foo 5000 3000 0 | "
	"truncate foo 20000; truncate foo 7000",
	"@mib=12 creat foo; falloc foo keep 0 2M; write foo 0 5000; poison foo 16k; cutwrite foo 5000 3000 0 | "
	"write foo 30000 10; truncate foo 7000",
	"@mib=12 creat foo; falloc foo keep 0 2M; write foo 0 5000; poison foo 16k | falloc foo zerokeep 4000 12500",
	/* times that do not change within a tick, so that there is no record; two threads that set the same one */
	"@tick=99 creat foo; write foo 0 200 | write foo 64 16; falloc foo punch 32 16",
	"@sched=5,tick=2 creat foo; write foo 0 200 | write foo 64 16; [t2] write foo 128 16",
	/* a mode and an ACL in one step */
	"creat foo; setacl foo access 60 | chmodacl foo 0640 50; chmodacl foo 0600 3",
	/* by hash 14 names of one quarter: an empty half beside a new bucket, a name there, then a split with a gap */
	"mkdir A; creat A/b%255; creat A/ac%255; creat A/aj%255; creat A/bf%255; creat A/br%255; creat A/cb%255; creat A/cq%255; "
	"creat A/l%255; creat A/t%255; creat A/u%255; creat A/ah%255; creat A/ai%255; creat A/an%255; creat A/ar%255 | "
	"creat A/c%255; creat A/dj%255",
	/* a directory that loses and gets buckets */
	"mkdir A; creatn A/f%190 40; unlinkn A/f%190 38 | unlink A/f38%190; unlink A/f39%190; creat A/x",
	"mkdir A; creatn A/f%190 60; unlinkn A/f%190 60 | creatn A/g%190 10",
	"mkdir A; creatn A/f%190 40 | unlinkn A/f%190 12",

	/* a shift that cuts a leaf of 2 MiB, and one to where the tree has no node */
	"@mib=12 creat foo; falloc foo alloc 0 2M | falloc foo collapse 4k 8k",
	"creat foo; write foo 4M 8k | falloc foo collapse 0 3M",
	/* more intents than the chain had room for */
	"@intents=508 creat foo; open $0 foo | unlink foo; tmpfile $1 .; close $0",
	/* a table of inodes that gets a third level */
	"@mib=40,chunks=512 creatn f 254 | creat g",
};

char *rare_text(uint64_t i, uint64_t seed)
{
	(void)seed;
	return i < RARE_WORKLOADS ? strdup(texts[i]) : NULL;
}
