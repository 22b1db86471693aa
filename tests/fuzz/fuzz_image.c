/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of images: patches a seed image, then mounts it, reads everything, changes something, unmounts, mounts again; or has it
 * checked and repaired. What must hold beside "no crash":
 *  1. The walk's checks of each answer (walk.c).
 *  2. After a repair a second check finds nothing, and neither mount nor walk meets damage, nor do changes behind them.
 *  3. Where the check finds nothing, the same holds without a repair.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device.h"
#include "fsck/fsck.h"
#include "ops.h"
#include "patch.h"
#include "pmfs2/fs.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"
#include "target.h"
#include "walk.h"

/* The first byte. */
#define HEAD_SEED 0x03u
#define HEAD_FSCK 0x04u /* check and repair, instead of a mount */
#define HEAD_RDONLY 0x08u /* mount read-only */
#define HEAD_PREEN 0x10u /* repair what is safe first */

struct bench {
	struct device *devices[SEED_KINDS];
	struct walk walk;
};

static struct bench *bench_get(void)
{
	static struct bench *bench;

	if (!bench) {
		bench = calloc(1, sizeof(*bench));
		if (!bench)
			abort();
		log_set_level(getenv("FUZZ_LOG") ? LOG_LEVEL_DEBUG : -1);
		for (uint32_t i = 0; i < SEED_KINDS; i++)
			bench->devices[i] = device_new((enum seed_kind)i);
	}
	return bench;
}

/* True if damage was met on the way. */
static int mount_and_use(struct bench *bench, struct device *dev, uint32_t flags, struct input *in)
{
	struct pmem *pm = device_open(dev);
	struct zus_fs *fs;
	int damaged;

	if (pmfs2_mount_pmem(pm, NULL, flags, &fs)) {
		pmem_close(pm);
		return 1;
	}
	damaged = walk_all(&bench->walk, fs) || bench->walk.n_damage;
	ops_run(&bench->walk, in);
	damaged |= atomic_load(&fs_of(fs)->damaged);
	fs->ops->unmount(fs);
	return damaged;
}

static void run_mount(struct bench *bench, struct device *dev, uint32_t flags, struct input *in)
{
	struct input nothing = { 0 };

	mount_and_use(bench, dev, flags, in);
	mount_and_use(bench, dev, 0, &nothing);
}

static void report_say(void *ctx, const struct fsck_report *report)
{
	static const char *const outcomes[] = { "seen", "repaired", "left" };

	(void)ctx;
	log_info("fsck: %s: %s", outcomes[report->outcome], report->text);
}

static int fsck_do(struct device *dev, enum fsck_mode mode, struct fsck_result *res)
{
	struct fsck_options opt = { .mode = mode, .force = 1, .threads = 1, .report = report_say };
	struct pmem *pm = device_open(dev);
	int err;

	memset(res, 0, sizeof(*res));
	log_info("fsck: mode %d", (int)mode);
	err = fsck_run(pm, &opt, res);
	pmem_close(pm);
	return err;
}

static void must_be_sound(struct bench *bench, struct device *dev, struct input *in)
{
	struct fsck_result res;

	WALK_MUST(!mount_and_use(bench, dev, 0, in) && "fsck finds nothing, the engine does");
	WALK_MUST(!fsck_do(dev, FSCK_CHECK, &res) && "after use");
	WALK_MUST(!res.n_found && "the engine leaves behind what fsck complains of");
}

static void run_fsck(struct bench *bench, struct device *dev, int preen, struct input *in)
{
	struct fsck_result res;
	int err = fsck_do(dev, FSCK_CHECK, &res);

	if (!err && !res.n_found) {
		must_be_sound(bench, dev, in);
		return;
	}
	if (preen)
		(void)fsck_do(dev, FSCK_PREEN, &res);
	err = fsck_do(dev, FSCK_YES, &res);
	if (err)
		return;
	WALK_MUST(!res.n_left && "a repair leaves nothing");
	WALK_MUST(!fsck_do(dev, FSCK_CHECK, &res) && "after the repair");
	WALK_MUST(!res.n_found && "a second run is clean");
	must_be_sound(bench, dev, in);
}

/* To look at with `pmfs2 dump` and fsck.pmfs2: the image of an input before anything is done with it. */
static void image_keep(const struct device *dev)
{
	const char *path = getenv("FUZZ_IMAGE");
	FILE *f = path ? fopen(path, "wb") : NULL;

	if (f && (fwrite(dev->base, 1, SEED_BYTES, f) != SEED_BYTES || fclose(f)))
		perror(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct bench *bench = bench_get();
	uint8_t head = input_u8(&in), n_patches = input_u8(&in) % (PATCHES_MAX + 1);
	struct device *dev = bench->devices[head & HEAD_SEED];

	device_reset(dev);
	while (n_patches-- && in.left)
		patch_apply(dev->base, &dev->map, &in);
	image_keep(dev);
	if (head & HEAD_FSCK)
		run_fsck(bench, dev, (head & HEAD_PREEN) != 0, &in);
	else
		run_mount(bench, dev, head & HEAD_RDONLY ? ZUS_MOUNT_RDONLY : 0, &in);
	return 0;
}

/* --- seeds --------------------------------------------------------------------------------------------------------------- */

/* Each seed image as it is, mounted and checked; then one patch for each kind of region and operation, sealed. */
size_t target_seed(uint32_t n, uint8_t *out, size_t cap)
{
	static const uint8_t ops[] = { 0, 0, 27, 0, 1, 0, 1, 0, 2, 0, 28, 1, 4, 2, 4,  20,
				       5, 3, 4,	 1, 6, 6, 2, 4, 7, 2, 1,  9, 3, 7, 30, 0 };
	struct patch_head *head = (void *)(out + 2);
	uint32_t kind, op;

	if (n >= 2 * SEED_KINDS + REGION_KINDS * PATCH_OPS || cap < 2 + sizeof(*head) + 32 + sizeof(ops))
		return 0;
	memset(out, 0, cap);
	if (n < 2 * SEED_KINDS) {
		out[0] = (uint8_t)n;
		memcpy(out + 2, ops, sizeof(ops));
		return 2 + sizeof(ops);
	}
	n -= 2 * SEED_KINDS;
	kind = n / PATCH_OPS;
	op = n % PATCH_OPS;
	out[0] = (uint8_t)((n % 3 + 1) | (n & 4));
	out[1] = 1;
	*head = (struct patch_head){ (uint8_t)(op | PATCH_SEAL), (uint8_t)kind,	   (uint16_t)(n * 7),
				     (uint16_t)(n * 3),		 (uint8_t)(n + 1), (uint8_t)(n * 5) };
	memcpy(out + 2 + sizeof(*head), ops, sizeof(ops));
	return 2 + sizeof(*head) + sizeof(ops);
}
