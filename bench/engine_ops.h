/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plug-in operations by string names, for the engine's benches: each gives back the reference it got unless told otherwise.
 */
#ifndef BENCH_ENGINE_OPS_H
#define BENCH_ENGINE_OPS_H

#include <stdint.h>
#include <string.h>

#include "zus/plugin.h"

/* A name in a directory. */
struct engine_place {
	uint64_t dir;
	const char *name;
};

static inline struct zus_name bench_name(const char *str)
{
	return (struct zus_name){ str, (uint32_t)strlen(str) };
}

/*
 * A new inode of the given mode; type S_IFLNK gets a target. The reference is given back; *out_node may be NULL. 0 or -errno.
 */
int engine_make(struct zus_fs *fs, uint64_t dir, const char *name, uint32_t mode, uint64_t *out_node);
/* Looks a name up and gives the reference back. */
int engine_lookup(struct zus_fs *fs, uint64_t dir, const char *name, uint64_t *out_node);
int engine_rename(struct zus_fs *fs, struct engine_place from, struct engine_place to, uint32_t flags);
int engine_set_size(struct zus_fs *fs, uint64_t node, uint64_t size_bytes);
/* Writes len bytes of data at off as a transport does: io_begin, dev_write, io_end, until all is written. 0 or -errno. */
int engine_write(struct zus_fs *fs, uint64_t node, uint64_t off, const void *data, uint64_t len);

#endif
