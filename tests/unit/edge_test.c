/* SPDX-License-Identifier: BSD-3-Clause */
/* What small trees, few threads and sound images do not meet: depth, runs of hundreds of GiB, writers among many readers. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "file_rig.h"
#include "pmfs2/mount.h"

#define DEPTH 66000u
#define READERS 6u
#define READ_S 4.0

static struct zus_name name_of(const char *text)
{
	return (struct zus_name){ text, (uint32_t)strlen(text) };
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void directory_of_great_depth_is_no_damage(void)
{
	struct zus_new new = { .mode = 040755 };
	uint64_t *nodes = calloc(DEPTH + 1, sizeof(*nodes));
	struct zus_attr attr;
	struct zus_statfs st;
	struct rig r;

	rig_new(&r, 768 * MIB, -1);
	nodes[0] = ZUS_NODE_ROOT;
	for (uint32_t i = 1; i <= DEPTH; i++) {
		CHECK_EQ(r.z->ops->create(r.z, nodes[i - 1], name_of("d"), &new, &attr), 0);
		nodes[i] = attr.node;
	}
	CHECK_EQ(r.z->ops->create(r.z, nodes[DEPTH], name_of("x"), &new, &attr), 0);
	r.z->ops->forget(r.z, attr.node, 1);
	CHECK_EQ(r.z->ops->rename(r.z, &(struct zus_rename){ nodes[DEPTH], ZUS_NODE_ROOT, name_of("x"), name_of("y") }), 0);
	/* Upside down: the root of the chain into its end. */
	CHECK_EQ(r.z->ops->rename(r.z, &(struct zus_rename){ ZUS_NODE_ROOT, nodes[DEPTH], name_of("d"), name_of("z") }), -EINVAL);
	CHECK_EQ(r.z->ops->statfs(r.z, &st), 0);
	CHECK(!atomic_load(&fs_of(r.z)->damaged));
	for (uint32_t i = DEPTH; i >= 1; i--) {
		CHECK_EQ(r.z->ops->rmdir(r.z, nodes[i - 1], name_of("d")), 0);
		r.z->ops->forget(r.z, nodes[i], 1);
	}
	free(nodes);
	fs_abandon(fs_of(r.z));
}

struct readers {
	struct rig *r;
	double end;
	_Atomic int stop;
};

static void *reader_main(void *arg)
{
	struct readers *rs = arg;

	while (!rs->stop && now_s() < rs->end) {
		struct zus_extent ext[4];
		struct zus_io io = { .node = rs->r->node, .len = 4096, .ext = ext, .ext_cap = 4 };

		CHECK_EQ(rs->r->z->ops->io_begin(rs->r->z, &io), 0);
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		CHECK_EQ(rs->r->z->ops->io_end(rs->r->z, &io, io.mapped), 0);
	}
	return NULL;
}

static void writer_is_not_kept_out_by_readers_in_turn(void)
{
	struct readers rs = { .end = now_s() + READ_S };
	struct zus_setattr set = { .valid = ZUS_SET_SIZE, .size = 100 };
	pthread_t threads[READERS];
	uint8_t bytes[4096] = { 1 };
	struct zus_attr attr;
	struct rig r;

	rig_new(&r, 32 * MIB, -1);
	CHECK_EQ(rig_write(&r, r.node, 0, bytes, sizeof(bytes)), sizeof(bytes));
	rs.r = &r;
	for (uint32_t i = 0; i < READERS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, reader_main, &rs), 0);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	CHECK_EQ(r.z->ops->setattr(r.z, r.node, &set, &attr), 0);
	CHECK(now_s() < rs.end);
	rs.stop = 1;
	for (uint32_t i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	rig_end(&r);
}

/* The first block of each GiB first, so that the nodes lie elsewhere; then everything between them, in one run on the device. */
static void file_with_a_run_of_hundreds_of_gib_can_be_removed(void)
{
	const uint64_t n_gib = 300;
	uint8_t bytes[4096] = { 1 };
	struct rig r;

	rig_new(&r, (n_gib + 4) * GIB, -1);
	for (uint64_t i = 0; i < n_gib; i++)
		CHECK_EQ(rig_write(&r, r.node, i * GIB, bytes, sizeof(bytes)), sizeof(bytes));
	for (uint64_t i = 0; i < n_gib; i++)
		CHECK_EQ(r.z->ops->fallocate(r.z, r.node, FALLOC_FL_KEEP_SIZE, i * GIB + 2 * MIB, GIB - 2 * MIB), 0);
	for (uint64_t i = 0; i < n_gib; i++)
		CHECK_EQ(r.z->ops->fallocate(r.z, r.node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, i * GIB, 2 * MIB), 0);
	rig_end(&r);
}

static void fixed_blocks_marked_free_are_never_given_out(void)
{
	struct zus_new new = { .mode = 0100644 };
	struct zus_attr attr;
	uint32_t bit;
	le64 *word;
	struct rig r;

	rig_new(&r, 32 * MIB, -1);
	rig_unlink(&r, "file", r.node);
	/* The next mount has no bitmap in DRAM yet. */
	r.pm = fs_detach(fs_of(r.z));
	rig_mount(&r);
	word = (le64 *)(uintptr_t)alloc_bitmap_word(fs_of(r.z), le64_get(fs_of(r.z)->sb->journal_block) + 1, &bit);
	*word = le64_of(le64_get(*word) & ~(1ull << bit));
	CHECK_EQ(r.z->ops->create(r.z, ZUS_NODE_ROOT, name_of("d"), &(struct zus_new){ .mode = 040755 }, &attr), -EUCLEAN);
	CHECK(atomic_load(&fs_of(r.z)->damaged));
	CHECK_EQ(r.z->ops->create(r.z, ZUS_NODE_ROOT, name_of("f"), &new, &attr), -EROFS);
	fs_abandon(fs_of(r.z));
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(directory_of_great_depth_is_no_damage),
		TAP_CASE(writer_is_not_kept_out_by_readers_in_turn),
		TAP_CASE(file_with_a_run_of_hundreds_of_gib_can_be_removed),
		TAP_CASE(fixed_blocks_marked_free_are_never_given_out),
	};

	return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
