/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that cannot be had, at every call of every operation, of mount, of recovery and of unmount: -ENOMEM and nothing has
 * changed, or it works without; nothing leaks; the mount goes on.
 */
#include <sys/mman.h>

#include "base/log.h"
#include "base/util.h"
#include "faults/fault.h"
#include "faults/scene.h"
#include "faults/try_op.h"

#define MIB (1024ull * 1024)

static void memory_at_each_call_of_each_operation(void)
{
	trials_run((struct trial){ .kinds = FAULT_MEMORY, .forever = 0, .error = -ENOMEM, .crash_every = 5 });
}

static void memory_from_each_call_on_of_each_operation(void)
{
	trials_run((struct trial){ .kinds = FAULT_MEMORY, .forever = 1, .error = -ENOMEM, .crash_every = 0 });
}

static void commit_at_each_call_of_each_operation(void)
{
	trials_run((struct trial){ .kinds = FAULT_COMMIT, .forever = 0, .error = -ENOMEM, .crash_every = 5 });
}

/* An image as a crash leaves it: records to replay, an orphan, a truncation and a shift under way. */
static void crashed_build(struct image *img)
{
	struct scene sc;
	struct image full;

	image_build(&full, TRIALS_IMAGE_BYTES);
	*img = full;
	scene_open(&sc, &full);
	for (uint32_t i = 0; i < scene_n_ops; i++) {
		const char *name = scene_ops[i].name;

		if (!strcmp(name, "make_tmpfile") || !strcmp(name, "create_file"))
			CHECK_EQ(scene_ops[i].run(&sc), 0);
		if (strcmp(name, "truncate_in_steps") && strcmp(name, "collapse_huge"))
			continue;
		/* The last commit fails: the intent stays. */
		fault_arm(FAULT_COMMIT, 3, 1);
		scene_ops[i].run(&sc);
		CHECK(fault_disarm());
	}
	memcpy(img->bytes, sc.rig.pm->base, img->size);
	scene_release(&sc);
	scene_close(&sc);
}

static int image_of_file(const char *path, const struct image *img)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, img->bytes, img->size), img->size);
	return close(fd);
}

/* Through the plug-in's mount(), from a file: mmap fails too. */
static void mount_at_each_call(uint32_t kinds, int forever)
{
	char path[] = "/dev/shm/pmfs2-fault.XXXXXX", why[WHY_LEN] = "";
	struct zus_host host = { .abi = ZUS_PLUGIN_ABI };
	struct zus_mount_args args = { .device = path, .options = "", .host = &host };
	struct tree want = { 0 }, found = { 0 };
	struct image img;
	int n_refused = 0, fd = mkstemp(path);

	CHECK(fd >= 0);
	close(fd);
	log_set_level(-1);
	crashed_build(&img);
	for (uint64_t at = 1;; at++) {
		struct rig rig = { 0 };
		int64_t live = fault_live();
		int err, failed;

		CHECK_EQ(image_of_file(path, &img), 0);
		fault_arm(kinds, at, forever);
		err = zus_plugin.mount(&args, &rig.fs);
		failed = (int)fault_disarm();
		if (err) {
			CHECK(failed);
			CHECK_EQ(err, -ENOMEM);
			CHECK_EQ(fault_live(), live);
			n_refused++;
			/* The next mount does it. */
			CHECK_EQ(zus_plugin.mount(&args, &rig.fs), 0);
		}
		rig.pm = fs_of(rig.fs)->pm;
		CHECK_EQ(tree_take(&rig, &found, why), 0);
		if (!want.text)
			CHECK_EQ(tree_take(&rig, &want, why), 0);
		if (tree_differs(&want, &found, NULL, why) || space_differs(&rig, &found, why))
			printf("# call %llu: %s\n", (unsigned long long)at, why);
		CHECK(!why[0]);
		tree_free(&found);
		rig.fs->ops->unmount(rig.fs);
		CHECK_EQ(fault_live(), live + (at == 1 ? 1 : 0));
		if (!failed)
			break;
	}
	unlink(path);
	tree_free(&want);
	image_free(&img);
	printf("# mount refused %d times\n", n_refused);
	fault_sites_print();
	CHECK(n_refused > 0);
}

static void mount_with_recovery_at_each_allocation(void)
{
	mount_at_each_call(FAULT_MEMORY, 0);
}

static void mount_with_recovery_at_each_mapping(void)
{
	mount_at_each_call(FAULT_MMAP, 1);
}

static void device_at_each_call(void)
{
	struct pmem *pm;
	int err = -ENOMEM, n_refused = 0;

	for (uint64_t at = 1; err; at++) {
		fault_arm(FAULT_MEMORY | FAULT_MMAP, at, 0);
		err = pmem_open_anon(MIB, &pm);
		CHECK(fault_disarm() || !err);
		CHECK(!err || err == -ENOMEM);
		n_refused += err != 0;
	}
	pmem_close(pm);
	fault_sites_print();
	CHECK(n_refused >= 2);
}

/* An unmount cannot fail: what it could not finish, the next mount does. */
static void unmount_at_each_call(void)
{
	struct tree want = { 0 }, found = { 0 };
	struct image img;
	char why[WHY_LEN] = "";
	int failed = 1;

	log_set_level(-1);
	crashed_build(&img);
	for (uint64_t at = 1; failed; at++) {
		int64_t live = fault_live();
		struct scene sc;
		struct rig after;
		void *bytes;

		scene_open(&sc, &img);
		/* Work for the unmount: a file deleted while it is held. */
		CHECK_EQ(sc.rig.fs->ops->lookup(sc.rig.fs, ZUS_NODE_ROOT, rig_name("big"), &(struct zus_attr){ 0 }), 0);
		CHECK_EQ(sc.rig.fs->ops->unlink(sc.rig.fs, ZUS_NODE_ROOT, rig_name("big")), 0);
		bytes = sc.rig.pm->base;
		CHECK_EQ(pmem_open_external(bytes, sc.rig.pm->size, &after.pm), 0);
		fault_arm(FAULT_MEMORY, at, 0);
		/* Not pmem_close: the bytes are looked at. */
		fs_of(sc.rig.fs)->pm->kind = PMEM_KIND_EXTERNAL;
		sc.rig.fs->ops->unmount(sc.rig.fs);
		failed = (int)fault_disarm();
		CHECK_EQ(pmfs2_mount_pmem(after.pm, NULL, 0, &after.fs), 0);
		CHECK_EQ(tree_take(&after, &found, why), 0);
		CHECK_EQ(space_differs(&after, &found, why), 0);
		if (!want.text)
			want = found;
		else
			CHECK_EQ(tree_differs(&want, &found, NULL, why), 0);
		if (want.text != found.text)
			tree_free(&found);
		after.fs->ops->unmount(after.fs);
		CHECK_EQ(munmap(bytes, img.size), 0);
		CHECK_EQ(fault_live(), live + (at == 1 ? 1 : 0));
	}
	tree_free(&want);
	image_free(&img);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(memory_at_each_call_of_each_operation),
		TAP_CASE(memory_from_each_call_on_of_each_operation),
		TAP_CASE(commit_at_each_call_of_each_operation),
		TAP_CASE(mount_with_recovery_at_each_allocation),
		TAP_CASE(mount_with_recovery_at_each_mapping),
		TAP_CASE(unmount_at_each_call),
		TAP_CASE(device_at_each_call),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
