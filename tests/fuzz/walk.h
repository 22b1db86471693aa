/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading all of a mounted file system as a hostile image would have it read: every name, attribute, xattr, target, extent.
 * Bounded, whatever the directories look like. What the engine promises of its answers (extents inside the device, lengths that
 * add up) is checked on the way, and a broken promise aborts.
 */
#ifndef TESTS_FUZZ_WALK_H
#define TESTS_FUZZ_WALK_H

#include <stddef.h>
#include <stdint.h>

#include "zus/plugin.h"

#define WALK_NODES 512u /* inodes looked at */
#define WALK_PATH_MAX 512u
#define WALK_FILE_WINDOWS 64u /* extents' transfers read of one file */

struct walk_item {
	uint64_t ino;
	uint64_t node;
	uint64_t digest; /* of attributes, xattrs and contents, but not of times */
	uint64_t times; /* digest of mtime, ctime and birth: recovery sets some to the time of now */
	uint64_t parent; /* inode number of the directory it was found in */
	uint64_t name_digest;
	uint32_t mode;
	uint32_t file_number; /* of regular files with data: the number in it; 0: none */
};

/* What one walk found. */
struct walk {
	struct zus_fs *fs;
	struct walk_item items[WALK_NODES];
	uint32_t n_items;
	uint32_t n_errors; /* of all kinds */
	uint32_t n_damage; /* -EUCLEAN, -EIO */
	uint32_t n_mixed; /* files with words of more than one number, or with words that no file has written */
	int full; /* bounded: not everything was seen */
};

/* 0, or the first error that the root gave. */
int walk_all(struct walk *w, struct zus_fs *fs);

/* For regular files: calls io_begin and io_end over the file and returns the number that its data carries. */
struct walk_data {
	uint64_t digest;
	uint32_t file_number;
	int mixed;
};
int walk_read(struct zus_fs *fs, uint64_t node, uint64_t size, struct walk_data *out);

#define WALK_MUST(cond)                                                                                                          \
	do {                                                                                                                     \
		if (!(cond))                                                                                                     \
			walk_die(#cond, __FILE__, __LINE__);                                                                     \
	} while (0)
void walk_die(const char *what, const char *file, int line) __attribute__((noreturn));

#endif
