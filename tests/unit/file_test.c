/* SPDX-License-Identifier: BSD-3-Clause */
/* Regular files: random operations against a model in memory, fence counts, damage, a full device, parallel writers. */
#include <pthread.h>

#include "file_rig.h"

#define CAP (6 * MIB) /* bytes that the model holds, from base on; below base the file is a hole */

struct model {
	struct rig *r;
	uint64_t base;
	uint64_t size; /* bytes, at least base once something was written */
	uint8_t *bytes;
	uint8_t *buf;
	uint64_t rnd;
};

static uint64_t pick(struct model *m, uint64_t below)
{
	return below ? tap_rand(&m->rnd) % below : 0;
}

/* A length or offset: any, or a multiple of 4 KiB or 2 MiB. */
static uint64_t pick_bytes(struct model *m, uint64_t below)
{
	uint64_t v = pick(m, below);

	switch (pick(m, 5)) {
	case 0:
		return v & ~4095ull;
	case 1:
		return v & ~(2 * MIB - 1);
	case 2:
		return v & 8191;
	default:
		return v;
	}
}

/* Bytes of the model that lie inside the file. */
static uint64_t inside(const struct model *m)
{
	return m->size > m->base ? m->size - m->base : 0;
}

static void model_grow(struct model *m, uint64_t size)
{
	if (size > m->size)
		m->size = size;
}

static void op_write(struct model *m)
{
	uint64_t off = pick_bytes(m, CAP - 1), len = 1 + pick_bytes(m, pick(m, 8) ? 64 * KIB : 5 * MIB), keep = len;
	int64_t n;

	if (pick(m, 3) == 0)
		off = u64_min(inside(m), CAP - 1);
	len = u64_min(len, CAP - off);
	if (pick(m, 4) == 0)
		keep = pick(m, len + 1);
	for (uint64_t i = 0; i < len; i++)
		m->buf[i] = (uint8_t)(tap_rand(&m->rnd) >> 32 | 1);
	n = keep < len ? rig_write_once(m->r, m->r->node, m->base + off, m->buf, len, keep) :
			 rig_write(m->r, m->r->node, m->base + off, m->buf, len);
	CHECK(n >= 0 && (keep < len || n == (int64_t)len));
	memcpy(m->bytes + off, m->buf, (size_t)n);
	if (n)
		model_grow(m, m->base + off + (uint64_t)n);
}

static void op_truncate(struct model *m)
{
	uint64_t off = pick_bytes(m, CAP);

	CHECK_EQ(rig_truncate(m->r, m->r->node, m->base + off), 0);
	if (off < CAP)
		memset(m->bytes + off, 0, CAP - off);
	m->size = m->base + off;
}

static void op_range(struct model *m)
{
	static const uint32_t modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					  FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	uint64_t off = pick_bytes(m, CAP - 1), len = u64_min(1 + pick_bytes(m, 5 * MIB), CAP - off);
	uint32_t mode = modes[pick(m, ARRAY_SIZE(modes))];

	CHECK_EQ(rig_falloc(m->r, m->r->node, mode, m->base + off, len), 0);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(m->bytes + off, 0, len);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		model_grow(m, m->base + off + len);
}

static void op_collapse(struct model *m)
{
	uint64_t n = inside(m), off = pick_bytes(m, n) & ~4095ull, len = (pick_bytes(m, n) & ~4095ull) + (pick(m, 2) ? 4096 : 0);
	int err = rig_falloc(m->r, m->r->node, FALLOC_FL_COLLAPSE_RANGE, m->base + off, len);

	if (!len || off + len >= n) {
		CHECK_EQ(err, -EINVAL);
		return;
	}
	CHECK_EQ(err, 0);
	memmove(m->bytes + off, m->bytes + off + len, n - off - len);
	memset(m->bytes + n - len, 0, CAP - (n - len));
	m->size -= len;
}

static void op_insert(struct model *m)
{
	uint64_t n = inside(m), off = pick_bytes(m, n) & ~4095ull, len = pick_bytes(m, (CAP - n) / 2 + 1) & ~4095ull;
	int err = rig_falloc(m->r, m->r->node, FALLOC_FL_INSERT_RANGE, m->base + off, len);

	if (!len || !n || off >= n) {
		CHECK_EQ(err, m->base && !n && len && m->base + off < m->size ? 0 : -EINVAL);
		return;
	}
	CHECK_EQ(err, 0);
	memmove(m->bytes + off + len, m->bytes + off, n - off);
	memset(m->bytes + off, 0, len);
	m->size += len;
}

static void check_zero(const struct model *m, uint64_t from, uint64_t to)
{
	for (uint64_t i = u64_max(from, m->base); i < to; i++)
		CHECK(!m->bytes[i - m->base]);
}

/* Walks data and holes; what is a hole has zeros in the model. */
static void check_seek(struct model *m)
{
	const struct zus_ops *ops = m->r->z->ops;
	uint64_t at = 0, data, hole;

	while (at < m->size) {
		int err = ops->seek(m->r->z, m->r->node, at, ZUS_SEEK_DATA, &data);

		CHECK(!err || err == -ENXIO);
		check_zero(m, at, err ? m->size : data);
		if (err)
			return;
		CHECK(data >= at && data < m->size && data >= round_down_to(m->base, 4096));
		CHECK_EQ(ops->seek(m->r->z, m->r->node, data, ZUS_SEEK_HOLE, &hole), 0);
		CHECK(hole > data && hole <= m->size);
		at = hole;
	}
	CHECK_EQ(ops->seek(m->r->z, m->r->node, at, ZUS_SEEK_HOLE, &hole), -ENXIO);
}

static void check_contents(struct model *m)
{
	struct zus_attr attr = rig_attr(m->r, m->r->node);

	CHECK_EQ(attr.size, m->size);
	CHECK_EQ(rig_read(m->r, m->r->node, m->base, m->buf, CAP + 4096), inside(m));
	CHECK(!memcmp(m->buf, m->bytes, inside(m)));
	check_seek(m);
}

static void model_begin(struct model *m, struct rig *r, uint64_t base)
{
	*m = (struct model){ .r = r, .base = base, .rnd = tap_seed() ^ base << 1 };
	m->bytes = calloc(1, CAP);
	m->buf = malloc(CAP + 8192);
	if (!m->rnd)
		m->rnd = 1;
}

static void model_run(struct rig *r, uint64_t base, int steps)
{
	struct model m;

	model_begin(&m, r, base);
	for (int i = 0; i < steps; i++) {
		switch (pick(&m, 8)) {
		case 0:
			op_truncate(&m);
			break;
		case 1:
		case 2:
			op_range(&m);
			break;
		case 3:
			op_collapse(&m);
			break;
		case 4:
			op_insert(&m);
			break;
		default:
			op_write(&m);
		}
		check_contents(&m);
	}
	CHECK_EQ(rig_truncate(r, r->node, 0), 0);
	CHECK_EQ(rig_attr(r, r->node).blocks, 0);
	free(m.bytes);
	free(m.buf);
}

static void model_at(uint64_t base, int steps)
{
	struct rig r;

	rig_new(&r, 64 * MIB, -1);
	model_run(&r, base, steps);
	rig_end(&r);
}

static void file_random_operations_agree_with_model(void)
{
	model_at(0, 600);
}

static void file_random_operations_at_2_mib_agree(void)
{
	model_at(2 * MIB - 64 * KIB, 300);
}

static void file_random_operations_at_1_gib_agree(void)
{
	model_at(GIB - 3 * MIB, 300);
}

static void file_random_operations_at_512_gib_agree(void)
{
	model_at(512 * GIB - 2 * MIB - 4096, 300);
}

static void file_random_operations_at_16_tib_agree(void)
{
	model_at(16 * TIB - MIB - 12288, 300);
}

static void file_limit_of_size_is_efbig(void)
{
	uint8_t byte = 7;
	struct rig r;

	rig_new(&r, 64 * MIB, -1);
	CHECK_EQ(rig_write(&r, r.node, PMFS2_FILE_SIZE_MAX - 1, &byte, 1), 1);
	CHECK_EQ(rig_write(&r, r.node, PMFS2_FILE_SIZE_MAX, &byte, 1), -EFBIG);
	CHECK_EQ(rig_truncate(&r, r.node, PMFS2_FILE_SIZE_MAX + 1), -EFBIG);
	CHECK_EQ(rig_falloc(&r, r.node, 0, PMFS2_FILE_SIZE_MAX, 4096), -EFBIG);
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_INSERT_RANGE, 0, 4096), -EFBIG);
	byte = 0;
	CHECK_EQ(rig_read(&r, r.node, PMFS2_FILE_SIZE_MAX - 1, &byte, 1), 1);
	CHECK_EQ(byte, 7);
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_COLLAPSE_RANGE, 0, 4 * TIB), 0);
	CHECK_EQ(rig_attr(&r, r.node).size, PMFS2_FILE_SIZE_MAX - 4 * TIB);
	rig_end(&r);
}

/* --- fences ----------------------------------------------------------------------------------------------------------------- */

static uint64_t fences(struct rig *r)
{
	uint64_t n = pmem_sim_counts(r->pm).fences;

	pmem_sim_reset_counts(r->pm);
	return n;
}

static void file_operations_need_few_fences(void)
{
	static uint8_t data[64 * KIB];
	struct rig r;

	rig_new(&r, 64 * MIB, PMEM_SIM_RECORD);
	memset(data, 5, sizeof(data));
	for (uint64_t i = 0; i < 20; i++) {
		fences(&r);
		CHECK_EQ(rig_write(&r, r.node, i * 4096, data, 4096), 4096);
		CHECK_EQ(fences(&r), 2);
		CHECK_EQ(rig_write(&r, r.node, i * 4096, data, 4096), 4096);
		CHECK_EQ(fences(&r), 1);
		usleep(i % 4 ? 0 : 20000);
		CHECK_EQ(rig_write(&r, r.node, i * 2048 + 100, data, 333), 333);
		CHECK_EQ(fences(&r), 1);
	}
	CHECK_EQ(rig_write(&r, r.node, 20 * 4096, data, sizeof(data)), sizeof(data));
	CHECK_EQ(fences(&r), 2);
	CHECK_EQ(rig_read(&r, r.node, 0, data, sizeof(data)), sizeof(data));
	CHECK(fences(&r) <= 1);
	CHECK_EQ(rig_truncate(&r, r.node, 5000), 0);
	CHECK_EQ(fences(&r), 1);
	/* The tail behind 5000 is old data: it is zeroed, durably, before the size uncovers it. */
	CHECK_EQ(rig_truncate(&r, r.node, MIB), 0);
	CHECK_EQ(fences(&r), 2);
	CHECK_EQ(rig_truncate(&r, r.node, 2 * MIB), 0);
	CHECK_EQ(fences(&r), 1);
	CHECK_EQ(rig_truncate(&r, r.node, 0), 0);
	CHECK_EQ(fences(&r), 1);
	CHECK_EQ(rig_falloc(&r, r.node, 0, 0, 2 * MIB), 0);
	CHECK(fences(&r) <= 3);
	CHECK_EQ(pmem_sim_verify(r.pm, &(uint64_t){ 0 }), 0);
	rig_end(&r);
}

/* Extents of the whole file; of a hole only the length is compared. */
static void check_layout(struct rig *r, uint32_t io_flags, const struct zus_extent *want, uint32_t n_want)
{
	struct zus_extent ext[8];
	struct zus_io io = { .node = r->node, .len = 16 * MIB, .flags = io_flags, .ext = ext, .ext_cap = 8 };

	CHECK_EQ(r->z->ops->io_begin(r->z, &io), 0);
	CHECK_EQ(io.n_ext, n_want);
	for (uint32_t i = 0; i < n_want && i < io.n_ext; i++) {
		CHECK_EQ(ext[i].len, want[i].len);
		CHECK_EQ(ext[i].flags, want[i].flags);
		CHECK(ext[i].flags == ZUS_EXT_HOLE || ext[i].dev_off);
	}
	CHECK_EQ(r->z->ops->io_end(r->z, &io, io.mapped), 0);
}

static void file_preallocated_blocks_are_told_only_where_asked(void)
{
	const uint32_t pre = ZUS_EXT_HOLE | ZUS_EXT_UNWRITTEN;
	uint8_t data[4096] = { 1 };
	struct rig r;

	/* 8 blocks preallocated, one of them written; a hole; a huge leaf, preallocated, to the middle of a page. */
	rig_new(&r, 64 * MIB, 0);
	CHECK_EQ(rig_falloc(&r, r.node, 0, 0, 8 * 4096), 0);
	CHECK_EQ(rig_write(&r, r.node, 2 * 4096, data, 4096), 4096);
	CHECK_EQ(rig_falloc(&r, r.node, 0, 2 * MIB, 2 * MIB), 0);
	CHECK_EQ(rig_truncate(&r, r.node, 4 * MIB - 100), 0);
	check_layout(&r, ZUS_IO_UNWRITTEN,
		     (const struct zus_extent[]){ { .len = 2 * 4096, .flags = pre },
						  { .len = 4096 },
						  { .len = 5 * 4096, .flags = pre },
						  { .len = 2 * MIB - 8 * 4096, .flags = ZUS_EXT_HOLE },
						  { .len = 2 * MIB - 100, .flags = pre } },
		     5);
	check_layout(&r, 0,
		     (const struct zus_extent[]){ { .len = 2 * 4096, .flags = ZUS_EXT_HOLE },
						  { .len = 4096 },
						  { .len = 4 * MIB - 100 - 3 * 4096, .flags = ZUS_EXT_HOLE } },
		     3);
	rig_end(&r);
}

/* --- attributes ------------------------------------------------------------------------------------------------------------- */

static void set_flags(struct rig *r, uint32_t flags)
{
	struct zus_setattr set = { .valid = ZUS_SET_FLAGS, .flags = flags };
	struct zus_attr attr;

	CHECK_EQ(r->z->ops->setattr(r->z, r->node, &set, &attr), 0);
}

static void file_flags_and_kinds_are_enforced(void)
{
	struct zus_extent ext;
	struct zus_io io = { .node = ZUS_NODE_ROOT, .len = 10, .ext = &ext, .ext_cap = 1 };
	uint8_t data[100] = "x";
	struct rig r;

	rig_new(&r, 64 * MIB, -1);
	CHECK_EQ(r.z->ops->io_begin(r.z, &io), -EISDIR);
	CHECK_EQ(rig_falloc(&r, ZUS_NODE_ROOT, 0, 0, 4096), -EISDIR);
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_PUNCH_HOLE, 0, 4096), -EOPNOTSUPP);
	CHECK_EQ(rig_falloc(&r, r.node, 0, 0, 0), -EINVAL);
	CHECK_EQ(rig_write(&r, r.node, 0, data, 100), 100);
	set_flags(&r, ZUS_FL_APPEND);
	CHECK_EQ(rig_write(&r, r.node, 50, data, 100), -EPERM);
	CHECK_EQ(rig_write(&r, r.node, 100, data, 100), 100);
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -EPERM);
	set_flags(&r, ZUS_FL_IMMUTABLE);
	CHECK_EQ(rig_write(&r, r.node, 200, data, 100), -EPERM);
	CHECK_EQ(rig_write(&r, r.node, 0, data, 100), -EPERM);
	CHECK_EQ(rig_falloc(&r, r.node, 0, 0, 4096), -EPERM);
	set_flags(&r, 0);
	CHECK_EQ(rig_write(&r, 12345678, 0, data, 100), -ESTALE);
	rig_end(&r);
}

/* Huge leaves move whole by multiples of 2 MiB, and one that is zeroed whole becomes unwritten. */
static void file_huge_leaves_move_whole(void)
{
	uint8_t *data = malloc(4 * MIB), *back = malloc(4 * MIB);
	uint64_t blocks, at;
	struct rig r;

	rig_new(&r, 64 * MIB, -1);
	for (uint64_t i = 0; i < 4 * MIB; i++)
		data[i] = (uint8_t)(i >> 12 | 1);
	CHECK_EQ(rig_write(&r, r.node, 4 * MIB, data, 4 * MIB), 4 * MIB);
	blocks = rig_attr(&r, r.node).blocks;
	CHECK_EQ(blocks, (2 * 512 + 1) * 8); /* two leaves and one node */
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_COLLAPSE_RANGE, 0, 2 * MIB), 0);
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_INSERT_RANGE, 2 * MIB, 8 * MIB), 0);
	CHECK_EQ(rig_attr(&r, r.node).blocks, blocks);
	CHECK_EQ(rig_read(&r, r.node, 10 * MIB, back, 4 * MIB), 4 * MIB);
	CHECK(!memcmp(back, data, 4 * MIB));
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_ZERO_RANGE, 10 * MIB, 2 * MIB), 0);
	CHECK_EQ(rig_attr(&r, r.node).blocks, blocks);
	CHECK_EQ(r.z->ops->seek(r.z, r.node, 0, ZUS_SEEK_DATA, &at), 0);
	CHECK_EQ(at, 12 * MIB);
	CHECK_EQ(rig_read(&r, r.node, 10 * MIB, back, 4 * MIB), 4 * MIB);
	CHECK(pmem_is_zero(back, 2 * MIB) && !memcmp(back + 2 * MIB, data + 2 * MIB, 2 * MIB));
	free(data);
	free(back);
	rig_end(&r);
}

static void file_write_kills_privileges_where_asked(void)
{
	struct zus_setattr set = { .valid = ZUS_SET_MODE, .mode = 06755 };
	struct zus_extent ext;
	struct zus_io io = { .len = 4, .flags = ZUS_IO_WRITE, .ext = &ext, .ext_cap = 1 };
	struct zus_attr attr;
	struct rig r;

	rig_new(&r, 64 * MIB, -1);
	io.node = r.node;
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(r.z->ops->setattr(r.z, r.node, &set, &attr), 0);
		io.flags = ZUS_IO_WRITE | (i ? ZUS_IO_KILL_PRIV : 0);
		CHECK_EQ(r.z->ops->io_begin(r.z, &io), 0);
		CHECK_EQ(r.z->ops->io_end(r.z, &io, 4), 0);
		CHECK_EQ(rig_attr(&r, r.node).mode & 07777, i ? 00755 : 06755);
	}
	io.off = 100;
	io.len = 0;
	CHECK_EQ(r.z->ops->io_begin(r.z, &io), 0);
	CHECK_EQ(io.mapped, 0);
	CHECK_EQ(r.z->ops->io_end(r.z, &io, 0), 0);
	CHECK_EQ(rig_attr(&r, r.node).size, 4);
	rig_end(&r);
}

static void file_long_symlink_reads_back(void)
{
	struct zus_new new = { .mode = 0120777 };
	struct zus_name name = { "link", 4 };
	char target[3000], back[4096];
	struct zus_attr attr;
	struct rig r;

	rig_new(&r, 64 * MIB, -1);
	memset(target, 't', sizeof(target));
	new.symlink = (struct zus_blob){ target, sizeof(target) };
	CHECK_EQ(r.z->ops->create(r.z, ZUS_NODE_ROOT, name, &new, &attr), 0);
	CHECK_EQ(r.z->ops->readlink(r.z, attr.node, back, sizeof(back)), sizeof(target));
	CHECK(!memcmp(back, target, sizeof(target)));
	rig_unlink(&r, "link", attr.node);
	rig_end(&r);
}

/* --- a full device ---------------------------------------------------------------------------------------------------------- */

static void file_on_full_device_stays_whole(void)
{
	static uint8_t data[512 * KIB], back[512 * KIB];
	uint64_t size = 0, other;
	int64_t n;
	struct rig r;

	rig_new(&r, 16 * MIB, -1);
	memset(data, 9, sizeof(data));
	other = rig_create(&r, "other");
	while ((n = rig_write(&r, r.node, size, data, sizeof(data))) > 0)
		size += (uint64_t)n;
	CHECK_EQ(n, -ENOSPC);
	CHECK_EQ(rig_attr(&r, r.node).size, size);
	CHECK(size > 8 * MIB);
	for (uint64_t at = 0; at < size; at += sizeof(back)) {
		n = rig_read(&r, r.node, at, back, sizeof(back));
		CHECK_EQ(n, u64_min(sizeof(back), size - at));
		CHECK(!memcmp(back, data, (size_t)n));
	}
	CHECK_EQ(rig_falloc(&r, other, 0, 0, 4 * MIB), -ENOSPC);
	CHECK_EQ(rig_attr(&r, other).size, 0);
	/* Freeing works, and what is freed comes back. */
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 3 * MIB), 0);
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_COLLAPSE_RANGE, 4096, 3 * MIB), 0);
	CHECK_EQ(rig_write(&r, other, 0, data, sizeof(data)), sizeof(data));
	rig_unlink(&r, "other", other);
	rig_end(&r);
}

/* --- damage ----------------------------------------------------------------------------------------------------------------- */

/* Flips bits of the file's nodes and of its root; every operation then gives the right bytes or -EUCLEAN. */
static void damage_once(uint64_t seed)
{
	static uint8_t data[300 * KIB];
	uint64_t rnd = seed, pos;
	struct inode *ip;
	struct rig r;
	int64_t n;

	rig_new(&r, 64 * MIB, -1);
	memset(data, 3, sizeof(data));
	for (uint64_t at = 0; at < 1024; at += 256)
		CHECK_EQ(rig_write(&r, r.node, at * MIB * 1024, data, sizeof(data)), sizeof(data));
	CHECK_EQ(rig_falloc(&r, r.node, 0, 8 * MIB, 4 * MIB), 0);
	CHECK_EQ(inode_get(fs_of(r.z), r.node, &ip), 0);
	pos = le64_get(ip->media->root) & PMFS2_ENTRY_BLOCK_MASK;
	for (int level = 4; level > 1 && tap_rand(&rnd) % 4; level--) {
		const le64 *node = fs_block(fs_of(r.z), pos);
		uint64_t next = le64_get(node[tap_rand(&rnd) % 2 * 256]) & PMFS2_ENTRY_BLOCK_MASK;

		if (next)
			pos = next;
	}
	for (int i = 0; i < 40; i++)
		r.pm->base[pos * 4096 + tap_rand(&rnd) % 4096] ^= (uint8_t)(1u << tap_rand(&rnd) % 8);
	inode_put(fs_of(r.z), ip);
	n = rig_read(&r, r.node, tap_rand(&rnd) % TIB, data, sizeof(data));
	CHECK(n >= 0 || n == -EUCLEAN);
	n = rig_falloc(&r, r.node, FALLOC_FL_INSERT_RANGE, 0, 4096);
	CHECK(n == 0 || n == -EUCLEAN || n == -EROFS);
	n = rig_truncate(&r, r.node, 4096);
	CHECK(n == 0 || n == -EUCLEAN || n == -EROFS);
	n = rig_write(&r, r.node, 0, data, sizeof(data));
	CHECK(n == sizeof(data) || n == -EUCLEAN || n == -EROFS);
	r.z->ops->unmount(r.z);
}

static void file_with_damaged_map_gives_euclean(void)
{
	uint64_t rnd = tap_seed();

	for (int i = 0; i < 40; i++)
		damage_once(tap_rand(&rnd) | 1);
}

/* --- crashes ---------------------------------------------------------------------------------------------------------------- */

#define CRASH_FILE (3 * MIB)
#define CRASH_DEVICE (16 * MIB)

struct contents {
	uint64_t size;
	uint8_t *bytes;
};

static struct contents contents_of(struct rig *r)
{
	struct contents c = { .size = rig_attr(r, r->node).size, .bytes = calloc(1, 2 * CRASH_FILE + 4096) };

	CHECK_EQ(rig_read(r, r->node, 0, c.bytes, 2 * CRASH_FILE), c.size);
	return c;
}

static int contents_equal(const struct contents *a, const struct contents *b)
{
	return a->size == b->size && !memcmp(a->bytes, b->bytes, a->size);
}

/* Mounts an image as a crash left it; it holds the old file or the new one, and no block is lost. */
static void crash_check(const struct rig *from, const uint8_t *image, const struct contents *old, const struct contents *new)
{
	struct rig r = { .node = from->node, .free_blocks = from->free_blocks };
	struct contents is;

	CHECK_EQ(pmem_open_anon(CRASH_DEVICE, &r.pm), 0);
	memcpy(r.pm->base, image, CRASH_DEVICE);
	rig_mount(&r);
	is = contents_of(&r);
	CHECK(contents_equal(&is, old) || contents_equal(&is, new));
	CHECK_EQ(rig_truncate(&r, r.node, 0), 0);
	CHECK_EQ(rig_attr(&r, r.node).blocks, 0);
	CHECK_EQ(r.z->ops->unlink(r.z, ZUS_NODE_ROOT, (struct zus_name){ "file", 4 }), 0);
	r.z->ops->forget(r.z, r.node, 1);
	CHECK_EQ(rig_free(&r), r.free_blocks);
	r.z->ops->unmount(r.z);
	free(is.bytes);
}

static void event_apply(const struct pmem_event *ev, uint8_t *image, uint64_t *rnd)
{
	if (ev->kind != PMEM_EVENT_STORE && ev->kind != PMEM_EVENT_NT)
		return;
	/* A word at a time: each may have got to media or not. */
	for (uint64_t at = 0, n; at < ev->len; at += n) {
		n = u64_min(8 - (ev->off + at) % 8, ev->len - at);
		if (!rnd || tap_rand(rnd) >> 63)
			memcpy(image + ev->off + at, ev->data + at, n);
	}
}

/*
 * For each stretch between two fences: all that was stored before it, and of the stretch itself nothing, all, or any words of it.
 * (One thread, and every store is flushed before the next fence: so it is durable behind it.)
 */
static void crash_explore(struct rig *r, const struct contents *old, const struct contents *new)
{
	const struct pmem_event *ev;
	uint8_t *image = malloc(CRASH_DEVICE), *cut = malloc(CRASH_DEVICE);
	size_t n = pmem_sim_events(r->pm, &ev), from = 0;
	uint64_t rnd = tap_seed(), n_fences = 0;

	memcpy(image, pmem_sim_base_image(r->pm), CRASH_DEVICE);
	for (size_t i = 0; i < n; i++)
		n_fences += ev[i].kind == PMEM_EVENT_FENCE;
	for (size_t i = 0; i < n; i++) {
		if (ev[i].kind != PMEM_EVENT_FENCE && i + 1 < n)
			continue;
		if (tap_rand(&rnd) % n_fences < 300) {
			crash_check(r, image, old, new);
			memcpy(cut, image, CRASH_DEVICE);
			for (size_t k = from; k < i; k++)
				event_apply(&ev[k], cut, &rnd);
			crash_check(r, cut, old, new);
		}
		for (; from <= i; from++)
			event_apply(&ev[from], image, NULL);
	}
	crash_check(r, image, new, new);
	free(image);
	free(cut);
}

static void crash_prepare(struct rig *r, uint64_t size)
{
	uint8_t *data = malloc(CRASH_FILE);
	uint64_t rnd = tap_seed();

	rig_new(r, CRASH_DEVICE, PMEM_SIM_RECORD);
	for (uint64_t i = 0; i < size; i++)
		data[i] = (uint8_t)tap_rand(&rnd);
	CHECK_EQ(rig_write(r, r->node, 0, data, size), size);
	CHECK_EQ(rig_falloc(r, r->node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, size / 3, size / 10), 0);
	free(data);
}

static void crash_falloc(uint32_t mode, uint64_t off, uint64_t len)
{
	struct contents old, new;
	struct rig r;

	crash_prepare(&r, CRASH_FILE - 1000);
	old = contents_of(&r);
	pmem_sim_reset_events(r.pm);
	CHECK_EQ(rig_falloc(&r, r.node, mode, off, len), 0);
	new = contents_of(&r);
	CHECK(!contents_equal(&old, &new));
	crash_explore(&r, &old, &new);
	rig_end(&r);
}

static void file_collapse_cut_anywhere_is_old_or_new(void)
{
	crash_falloc(FALLOC_FL_COLLAPSE_RANGE, 4096, 5 * 4096);
	crash_falloc(FALLOC_FL_COLLAPSE_RANGE, 40960, MIB);
	crash_falloc(FALLOC_FL_COLLAPSE_RANGE, 0, 2 * MIB);
}

static void file_insert_cut_anywhere_is_old_or_new(void)
{
	crash_falloc(FALLOC_FL_INSERT_RANGE, 4096, 5 * 4096);
	crash_falloc(FALLOC_FL_INSERT_RANGE, 0, 2 * MIB);
	crash_falloc(FALLOC_FL_INSERT_RANGE, 2 * MIB, MIB + 8192);
}

static void file_punch_in_blocks_cut_anywhere_is_old_or_new(void)
{
	crash_falloc(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 2 * MIB + 4096);
}

static void file_truncate_cut_anywhere_is_old_or_new(void)
{
	struct contents old, new;
	struct rig r;

	crash_prepare(&r, CRASH_FILE);
	/* Every second block goes, so that the rest takes more than one record. */
	for (uint64_t off = 4096; off < CRASH_FILE; off += 8192)
		CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, 4096), 0);
	old = contents_of(&r);
	pmem_sim_reset_events(r.pm);
	CHECK_EQ(rig_truncate(&r, r.node, 5000), 0);
	new = contents_of(&r);
	crash_explore(&r, &old, &new);
	rig_end(&r);
}

/* Down and up again: at no moment do old bytes show behind the cut. */
static void file_truncate_up_cut_anywhere_shows_zeros(void)
{
	struct contents old, new;
	struct rig r;

	crash_prepare(&r, 100000);
	CHECK_EQ(rig_truncate(&r, r.node, 90001), 0);
	old = contents_of(&r);
	pmem_sim_reset_events(r.pm);
	CHECK_EQ(rig_truncate(&r, r.node, 99000), 0);
	new = contents_of(&r);
	CHECK(pmem_is_zero(new.bytes + 90001, 8999));
	crash_explore(&r, &old, &new);
	rig_end(&r);
}

static void file_append_cut_anywhere_is_old_or_new(void)
{
	static uint8_t data[100000];
	struct contents old, new;
	struct rig r;

	crash_prepare(&r, 12345);
	memset(data, 77, sizeof(data));
	old = contents_of(&r);
	pmem_sim_reset_events(r.pm);
	CHECK_EQ(rig_write(&r, r.node, 12345, data, sizeof(data)), sizeof(data));
	new = contents_of(&r);
	crash_explore(&r, &old, &new);
	rig_end(&r);
}

/* --- parallel writers ------------------------------------------------------------------------------------------------------- */

#define PAR_THREADS 4
#define PAR_SLOT 8192u
#define PAR_SLOTS 16u
#define PAR_ROUNDS 4000

struct par {
	struct rig *r;
	uint64_t seed;
};

/* Each write fills one slot with one byte value; each read must see a slot of one value. */
static void *par_run(void *arg)
{
	struct par *p = arg;
	uint64_t rnd = p->seed;
	uint8_t buf[PAR_SLOT];

	for (int i = 0; i < PAR_ROUNDS; i++) {
		uint64_t off = tap_rand(&rnd) % PAR_SLOTS * PAR_SLOT;

		if (tap_rand(&rnd) % 2) {
			memset(buf, (int)(tap_rand(&rnd) >> 40 | 1), sizeof(buf));
			CHECK_EQ(rig_write_once(p->r, p->r->node, off, buf, PAR_SLOT, PAR_SLOT), PAR_SLOT);
		} else {
			CHECK_EQ(rig_read(p->r, p->r->node, off, buf, PAR_SLOT), PAR_SLOT);
			CHECK(!memcmp(buf, buf + 1, PAR_SLOT - 1));
		}
	}
	return NULL;
}

static void file_parallel_overwrites_do_not_mix(void)
{
	static uint8_t zero[PAR_SLOT * PAR_SLOTS];
	pthread_t threads[PAR_THREADS];
	struct par par[PAR_THREADS];
	struct rig r;

	rig_new(&r, 64 * MIB, -1);
	CHECK_EQ(rig_write(&r, r.node, 0, zero, sizeof(zero)), sizeof(zero));
	for (int i = 0; i < PAR_THREADS; i++) {
		par[i] = (struct par){ &r, tap_seed() + (uint64_t)i * 7919 + 1 };
		CHECK_EQ(pthread_create(&threads[i], NULL, par_run, &par[i]), 0);
	}
	for (int i = 0; i < PAR_THREADS; i++)
		pthread_join(threads[i], NULL);
	rig_end(&r);
}

static void file_sparse_16_tib_is_quick(void)
{
	uint8_t byte = 1;
	uint64_t at;
	struct rig r;

	rig_new(&r, 64 * MIB, -1);
	CHECK_EQ(rig_truncate(&r, r.node, 16 * TIB), 0);
	CHECK_EQ(r.z->ops->seek(r.z, r.node, 0, ZUS_SEEK_DATA, &at), -ENXIO);
	CHECK_EQ(r.z->ops->seek(r.z, r.node, 5, ZUS_SEEK_HOLE, &at), 0);
	CHECK_EQ(at, 5);
	CHECK_EQ(rig_write(&r, r.node, 16 * TIB - 1, &byte, 1), 1);
	CHECK_EQ(r.z->ops->seek(r.z, r.node, 0, ZUS_SEEK_DATA, &at), 0);
	CHECK_EQ(at, 16 * TIB - 4096);
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_COLLAPSE_RANGE, 0, 15 * TIB), 0);
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_INSERT_RANGE, TIB / 2, 100 * TIB), 0);
	CHECK_EQ(r.z->ops->seek(r.z, r.node, 0, ZUS_SEEK_DATA, &at), 0);
	CHECK_EQ(at, 101 * TIB - 4096);
	CHECK_EQ(rig_falloc(&r, r.node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 200 * TIB), 0);
	CHECK_EQ(rig_attr(&r, r.node).blocks, 0);
	rig_end(&r);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(file_random_operations_agree_with_model),
		TAP_CASE(file_random_operations_at_2_mib_agree),
		TAP_CASE(file_random_operations_at_1_gib_agree),
		TAP_CASE(file_random_operations_at_512_gib_agree),
		TAP_CASE(file_random_operations_at_16_tib_agree),
		TAP_CASE(file_limit_of_size_is_efbig),
		TAP_CASE(file_sparse_16_tib_is_quick),
		TAP_CASE(file_operations_need_few_fences),
		TAP_CASE(file_preallocated_blocks_are_told_only_where_asked),
		TAP_CASE(file_flags_and_kinds_are_enforced),
		TAP_CASE(file_huge_leaves_move_whole),
		TAP_CASE(file_write_kills_privileges_where_asked),
		TAP_CASE(file_long_symlink_reads_back),
		TAP_CASE(file_on_full_device_stays_whole),
		TAP_CASE(file_with_damaged_map_gives_euclean),
		TAP_CASE(file_append_cut_anywhere_is_old_or_new),
		TAP_CASE(file_truncate_cut_anywhere_is_old_or_new),
		TAP_CASE(file_truncate_up_cut_anywhere_shows_zeros),
		TAP_CASE(file_punch_in_blocks_cut_anywhere_is_old_or_new),
		TAP_CASE(file_collapse_cut_anywhere_is_old_or_new),
		TAP_CASE(file_insert_cut_anywhere_is_old_or_new),
		TAP_CASE(file_parallel_overwrites_do_not_mix),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
