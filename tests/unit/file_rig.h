/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of files share: a mount on memory, one file, transfers as a transport does them. */
#ifndef TESTS_UNIT_FILE_RIG_H
#define TESTS_UNIT_FILE_RIG_H

#include <linux/falloc.h>

#include "base/util.h"
#include "lib/tap.h"
#include "pmem/sim.h"
#include "pmfs2/alloc.h"
#include "pmfs2/inode.h"
#include "pmfs2/mkfs.h"
#include "pmfs2/ops.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

struct rig {
	struct pmem *pm;
	struct zus_fs *z;
	struct zus_host host;
	uint64_t node;
	uint64_t free_blocks; /* before the file */
};

static inline void rig_log(void *ctx, int level, const char *msg)
{
}

static inline void rig_mount(struct rig *r)
{
	r->host = (struct zus_host){ .abi = ZUS_PLUGIN_ABI, .log = rig_log };
	CHECK_EQ(pmfs2_mount_pmem(r->pm, &r->host, 0, &r->z), 0);
}

static inline uint64_t rig_create(struct rig *r, const char *name)
{
	struct zus_new new = { .mode = 0100644 };
	struct zus_attr attr;

	CHECK_EQ(r->z->ops->create(r->z, ZUS_NODE_ROOT, (struct zus_name){ name, (uint32_t)strlen(name) }, &new, &attr), 0);
	return attr.node;
}

static inline void rig_unlink(struct rig *r, const char *name, uint64_t node)
{
	CHECK_EQ(r->z->ops->unlink(r->z, ZUS_NODE_ROOT, (struct zus_name){ name, (uint32_t)strlen(name) }), 0);
	r->z->ops->forget(r->z, node, 1);
}

static inline struct zus_attr rig_attr(struct rig *r, uint64_t node)
{
	struct zus_attr attr;

	CHECK_EQ(r->z->ops->getattr(r->z, node, &attr), 0);
	return attr;
}

static inline uint64_t rig_free(struct rig *r)
{
	return alloc_free_blocks(fs_of(r->z));
}

/* sim: a simulated device with these flags; -1: anonymous memory. */
static inline void rig_new(struct rig *r, uint64_t size, int sim)
{
	struct mkfs_params params = { .n_rings = 2 };

	memset(r, 0, sizeof(*r));
	CHECK_EQ(sim < 0 ? pmem_open_anon(size, &r->pm) : pmem_sim_new(size, (unsigned int)sim, &r->pm), 0);
	CHECK_EQ(mkfs_format(r->pm, &params, NULL), 0);
	rig_mount(r);
	/* The first file of all brings a chunk of inodes, which stays. */
	rig_unlink(r, "first", rig_create(r, "first"));
	r->free_blocks = rig_free(r);
	r->node = rig_create(r, "file");
}

static inline void rig_end(struct rig *r)
{
	rig_unlink(r, "file", r->node);
	CHECK_EQ(rig_free(r), r->free_blocks);
	r->z->ops->unmount(r->z);
}

/* One transfer of at most len bytes, of which at most done are kept. Returns what was kept, or an error. */
static inline int64_t rig_write_once(struct rig *r, uint64_t node, uint64_t off, const uint8_t *src, uint64_t len, uint64_t done)
{
	struct zus_extent ext[5];
	struct zus_io io = { .node = node, .off = off, .len = len, .flags = ZUS_IO_WRITE, .ext = ext, .ext_cap = 5 };
	int err = r->z->ops->io_begin(r->z, &io);
	uint64_t at = 0;

	if (err)
		return err;
	done = u64_min(done, io.mapped);
	for (uint32_t i = 0; i < io.n_ext; i++) {
		CHECK(!(ext[i].flags & ZUS_EXT_HOLE));
		if (at < done)
			r->z->ops->dev_write(r->z, ext[i].dev_off, src + at, u64_min(ext[i].len, done - at));
		at += ext[i].len;
	}
	CHECK_EQ(at, io.mapped);
	err = r->z->ops->io_end(r->z, &io, done);
	return err ? err : (int64_t)done;
}

/* Returns what was written, or the error if that is nothing. */
static inline int64_t rig_write(struct rig *r, uint64_t node, uint64_t off, const uint8_t *src, uint64_t len)
{
	uint64_t sum = 0;

	while (sum < len) {
		int64_t n = rig_write_once(r, node, off + sum, src + sum, len - sum, len);

		if (n < 0)
			return sum ? (int64_t)sum : n;
		CHECK(n > 0);
		sum += (uint64_t)n;
	}
	return (int64_t)sum;
}

static inline int64_t rig_read(struct rig *r, uint64_t node, uint64_t off, uint8_t *dst, uint64_t len)
{
	struct zus_extent ext[3];
	uint64_t sum = 0;

	while (sum < len) {
		struct zus_io io = { .node = node, .off = off + sum, .len = len - sum, .ext = ext, .ext_cap = ARRAY_SIZE(ext) };
		uint64_t at = sum;
		int err = r->z->ops->io_begin(r->z, &io);

		if (err)
			return err;
		for (uint32_t i = 0; i < io.n_ext; i++) {
			if (ext[i].flags & ZUS_EXT_HOLE)
				memset(dst + at, 0, ext[i].len);
			else
				memcpy(dst + at, (uint8_t *)r->z->base + ext[i].dev_off, ext[i].len);
			at += ext[i].len;
		}
		CHECK_EQ(at - sum, io.mapped);
		CHECK_EQ(r->z->ops->io_end(r->z, &io, io.mapped), 0);
		if (at == sum)
			break;
		sum = at;
	}
	return (int64_t)sum;
}

static inline int rig_truncate(struct rig *r, uint64_t node, uint64_t size)
{
	struct zus_setattr set = { .valid = ZUS_SET_SIZE, .size = size };
	struct zus_attr attr;

	return r->z->ops->setattr(r->z, node, &set, &attr);
}

static inline int rig_falloc(struct rig *r, uint64_t node, uint32_t mode, uint64_t off, uint64_t len)
{
	return r->z->ops->fallocate(r->z, node, mode, off, len);
}

#endif
