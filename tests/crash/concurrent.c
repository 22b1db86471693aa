/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workloads of two threads: pairs of short sequences that meet in one name, one directory, one file, one ring or bitmap word,
 * each under many schedules. The schedule number says before which event of the record the first thread loses its turn (exec.h);
 * beyond the systematic ones, both threads lose theirs, by chance.
 *
 * A step walks its paths first, which orders of whole steps do not tell: where one thread takes a name away while the other still
 * has a use for the file behind it, that one names it by a descriptor.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "crash/gen.h"

#define SYSTEMATIC 36u /* the first thread stops before its event 1, 2, ...: few operations have more */

struct pair {
	const char *device; /* "" or "name=value," */
	const char *prepare, *first, *second;
};

#define TREE "mkdir A; mkdir B; creat A/foo; write A/foo 0 6000; creat B/bar; write B/bar 0 100"

static const struct pair pairs[] = {
	/* one name */
	{ "", TREE, "creat A/x", "creat A/x" },
	{ "", TREE, "creat A/x", "mkdir A/x" },
	{ "", TREE, "unlink A/foo", "unlink A/foo" },
	{ "", TREE, "creat A/x; unlink A/x", "creat A/x" },
	{ "", TREE, "unlink A/foo", "rename A/foo A/x" },
	{ "", TREE, "rename A/foo A/x", "rename A/foo A/y" },
	{ "", TREE, "rename A/foo A/x", "rename B/bar A/x" },
	{ "", TREE, "link A/foo A/x", "unlink A/foo" },
	{ "", TREE, "link A/foo A/x", "link B/bar A/x" },
	{ "", TREE, "rename A/foo B/bar exchange", "unlink B/bar" },
	/* one directory, other names */
	{ "", TREE, "creat A/x", "creat A/y" },
	{ "", TREE, "creat A/x", "unlink A/foo" },
	{ "", TREE, "mkdir A/x", "mkdir A/y" },
	{ "", TREE, "rename A/foo A/x", "creat A/y" },
	{ "", TREE "; creatn A/f%150 22", "creat A/x%200", "creat A/y%200" },
	{ "", TREE "; creatn A/f%150 22", "creat A/x%200; creat A/z%200", "unlink A/f0%150" },
	/* a directory that goes */
	{ "", "mkdir A; mkdir B", "rmdir A", "creat A/x" },
	{ "", "mkdir A; mkdir B", "rmdir A", "rename B A/B" },
	{ "", "mkdir A; mkdir B", "rename A B", "creat B/x" },
	{ "", TREE "; unlink B/bar", "rename A B", "mkdir A/d" },
	/* across directories, both ways */
	{ "", TREE, "rename A/foo B/x", "rename B/bar A/y" },
	{ "", TREE, "rename A/foo B/bar", "rename B/bar A/foo" },
	{ "", TREE "; mkdir A/d; mkdir B/e", "rename A/d B/d", "rename B/e A/e" },
	{ "", TREE "; mkdir A/d; mkdir B/e", "rename A B/e/A", "rename B A/d/B" },
	{ "", TREE "; mkdir A/d; mkdir B/e", "rename A/d B/e exchange", "rename B/e A/d exchange" },
	{ "", TREE, "link A/foo B/x", "link B/bar A/y" },
	{ "", TREE "; open $0 A/foo", "link A/foo B/x; unlink A/foo", "link $0 B/y; unlink B/y" },
	/* directories of their own */
	{ "", TREE, "creat A/x; write A/x 0 100", "creat B/x; write B/x 0 100" },
	{ "", TREE, "unlink A/foo; creat A/x", "unlink B/bar; creat B/y" },
	{ "", TREE, "mkdir A/x; rmdir A/x", "mkdir B/y; rmdir B/y" },
	/* one ring for both, and its end */
	{ "rings=1,", TREE, "creat A/x", "creat B/y" },
	{ "rings=1,", TREE, "rename A/foo A/x", "unlink B/bar" },
	{ "rings=1,keep=1,", TREE "; chmodn A/foo 240", "chmod A/foo 0600; creat A/x", "chmod B/bar 0600; unlink B/bar" },
	{ "keep=1,", TREE "; chmodn A/foo 240", "chmodn A/foo 3", "chmodn B/bar 3" },
	{ "keep=1,", TREE "; chmodn A/foo 240", "unlink A/foo; creat A/x", "creat B/y; write B/y 0 5000" },
	/* one file */
	{ "", TREE, "write A/foo 0 1000", "write A/foo 2000 1000" },
	{ "", TREE, "write A/foo 0 2000", "write A/foo 1000 2000" },
	{ "", TREE, "write A/foo 6000 5000", "write A/foo 11000 3000" },
	{ "", TREE, "write A/foo 5000 5000", "truncate A/foo 100" },
	{ "", TREE, "truncate A/foo 100", "truncate A/foo 9000" },
	{ "", TREE, "truncate A/foo 100; write A/foo 100 50", "truncate A/foo 7000" },
	{ "", TREE, "falloc A/foo punch 0 4096", "write A/foo 1000 4000" },
	{ "", TREE, "falloc A/foo collapse 0 4096", "write A/foo 4096 1000" },
	{ "", TREE, "falloc A/foo insert 0 4096", "truncate A/foo 1000" },
	{ "", TREE "; open $0 A/foo", "write $0 0 1000", "rename A/foo B/bar" },
	{ "", TREE "; open $0 A/foo", "write $0 0 9000", "unlink A/foo" },
	{ "", TREE "; open $0 A/foo", "unlink A/foo; close $0", "creat A/x; write A/x 0 9000" },
	{ "", TREE "; tmpfile $0 A; write $0 0 5000", "link $0 A/t", "link $0 B/t" },
	{ "", TREE "; tmpfile $0 A; write $0 0 5000", "link $0 A/t; close $0", "unlink A/t" },
	{ "", TREE, "fsetxattr A/foo user.a 3000", "fsetxattr A/foo user.b 2000" },
	{ "", TREE, "setacl A/foo access 5", "chmod A/foo 0600" },
	{ "", TREE, "chmod A/foo 0600", "chown A/foo 5 5" },
	{ "", TREE, "utimes A/foo 1700000000", "write A/foo 0 10" },
	/* blocks of one bitmap word: freed by one, taken by the other */
	{ "", TREE, "unlink A/foo", "write B/bar 4096 9000" },
	{ "", TREE "; fill full 3", "unlink A/foo", "write B/bar 4096 4096" },
	{ "", TREE "; fsetxattr A/foo user.a 3000", "removexattr A/foo user.a", "write B/bar 4096 5000" },
};

static_assert(ARRAY_SIZE(pairs) == CONCURRENT_PAIRS, "counted");

char *concurrent_text(uint64_t i, uint64_t seed)
{
	/* Neighbours are pairs, not schedules: a sample of the first numbers meets all pairs. */
	const struct pair *p = &pairs[i % ARRAY_SIZE(pairs)];
	uint64_t n = i / ARRAY_SIZE(pairs), rand = gen_rand_begin(i, seed), sched = 1 + n;
	char *text;

	if (i >= CONCURRENT_COUNT)
		return NULL;
	if (n >= SYSTEMATIC)
		sched = 1 + gen_rand(&rand, SYSTEMATIC) + 1000 * (1 + gen_rand(&rand, 30));
	if (asprintf(&text, "@%ssched=%llu %s | %s; [t2] %s", p->device, (unsigned long long)sched, p->prepare, p->first,
		     p->second) < 0)
		return NULL;
	return text;
}
