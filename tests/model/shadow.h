/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each file must contain, kept in memory: the third witness beside the two file systems. A file is known by a key
 * made of its inode number and its birth on the reference side. Not locked: one set per thread.
 */
#ifndef TESTS_MODEL_SHADOW_H
#define TESTS_MODEL_SHADOW_H

#include <stddef.h>
#include <stdint.h>

#define SHADOW_SIZE_MAX (8u << 20) /* bytes of one file */

struct shadow_file {
	uint64_t ino; /* the key */
	uint8_t *data;
	size_t size; /* bytes */
	size_t cap;
	int seen; /* mark of shadow_sweep() */
	struct shadow_file *next;
};

#define SHADOW_BUCKETS 256u

struct shadow {
	struct shadow_file *buckets[SHADOW_BUCKETS];
};

/* The file of this inode number; an unknown one is new and empty. Ends the process when memory is short. */
struct shadow_file *shadow_get(struct shadow *sh, uint64_t ino);
void shadow_resize(struct shadow_file *f, size_t size);
void shadow_write(struct shadow_file *f, size_t off, const void *data, size_t len);
void shadow_zero(struct shadow_file *f, size_t off, size_t len); /* inside the size only */
void shadow_collapse(struct shadow_file *f, size_t off, size_t len);
void shadow_insert(struct shadow_file *f, size_t off, size_t len);
/* Forgets all files that were not marked as seen, clears the marks. */
void shadow_sweep(struct shadow *sh);
void shadow_free(struct shadow *sh);

#endif
