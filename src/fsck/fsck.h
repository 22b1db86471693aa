/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The checker and repairer of pmfs2, as a library: fsck.pmfs2, the crash explorer and the fuzzers are built on it.
 *
 * fsck_run looks at a device that nobody has mounted. It prints nothing; problems go to a callback. It keeps no state between
 * calls and frees everything that it allocated.
 */
#ifndef FSCK_FSCK_H
#define FSCK_FSCK_H

#include <stdint.h>

#include "fsck/problems.h"
#include "pmem/pmem.h"

enum fsck_mode {
	FSCK_CHECK, /* stores nothing: a journal that is not empty is replayed into private memory */
	FSCK_PREEN, /* repairs what is safe to repair without being asked */
	FSCK_YES, /* repairs everything */
	FSCK_ASK, /* asks for each repair */
};

/* Bits of exit codes, as fsck(8) defines them. */
#define FSCK_EXIT_REPAIRED 1 /* problems were found and repaired */
#define FSCK_EXIT_LEFT 4 /* problems are left */
#define FSCK_EXIT_FAILED 8 /* could not be done */

enum fsck_outcome {
	FSCK_SEEN, /* only said: check mode */
	FSCK_REPAIRED,
	FSCK_LEFT, /* not repaired: not safe for preen, or the answer was no */
};

struct fsck_report {
	enum fsck_code code;
	enum fsck_outcome outcome;
	const char *text; /* one line without its end: where, and what is wrong */
};

enum fsck_pass {
	FSCK_PASS_SUPER,
	FSCK_PASS_JOURNAL,
	FSCK_PASS_ITABLE,
	FSCK_PASS_INODES,
	FSCK_PASS_DIRS,
	FSCK_PASS_BITMAPS,
	FSCK_PASS_LINKS,
	FSCK_PASS_MEDIA,
	FSCK_N_PASSES,
};

struct fsck_options {
	enum fsck_mode mode;
	int force; /* check also what was unmounted cleanly */
	int read_all; /* read every block in use, file contents too, for pages that the device cannot give back */
	uint32_t threads; /* 0: one for each CPU that this process may use; repairs are made by one in any case */
	uint64_t memory_bytes; /* mapped pages of the device are given back beyond this much in core; 0: 128 MiB */
	void *ctx; /* of the callbacks, each of which may be NULL; they are called by one thread at a time */
	void (*report)(void *ctx, const struct fsck_report *report);
	/* 1: repair this. Mode FSCK_ASK only. */
	int (*ask)(void *ctx, enum fsck_code code, const char *text);
	/* done of total units of a pass of this round over the device (round 0 is the first). */
	void (*progress)(void *ctx, enum fsck_pass pass, uint64_t done, uint64_t total);
	/* What is no problem, but worth a line: "journal: 12 records replayed". */
	void (*note)(void *ctx, const char *text);
};

struct fsck_result {
	uint32_t found[FSCK_N_CODES]; /* problems by code, each counted once */
	uint32_t n_found;
	uint32_t n_repaired;
	uint32_t n_left; /* what a further check finds: 0 after a repair that went well */
	int exit_bits; /* FSCK_EXIT_* */
	int was_clean; /* unmounted cleanly, and so not looked at: no force */
	uint64_t n_files; /* inodes in use, directories included */
	uint64_t n_dirs;
	uint64_t used_blocks; /* all but the free ones */
	uint64_t n_blocks;
	uint64_t records; /* of the journal, replayed */
	uint64_t intents; /* that are open (check) or were finished (repair) */
	char error[256]; /* why it could not be done, where the function failed */
};

/*
 * Checks, and in the other modes repairs. 0: done, whatever was found; *out says what. Otherwise out->error says why not, and
 * out->exit_bits is FSCK_EXIT_FAILED: -EINVAL: not a pmfs2; -EUCLEAN: damaged so that nothing can be trusted (both superblocks);
 * -EOPNOTSUPP: a newer format; -ENOSPC: the device is smaller than the file system; -EROFS: repair of a read-only mapping;
 * -ENOMEM. Durable on return: yes (on a backing file after pmem_sync).
 */
int fsck_run(struct pmem *pm, const struct fsck_options *opt, struct fsck_result *out);

#endif
