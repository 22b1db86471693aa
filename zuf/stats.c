// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters, in /sys/kernel/zuf: version, state, types, and for each mount (by the number of its st_dev) a folder's worth of text:
 * calls by operation, hits and misses of the extents, bytes, faults, and how long calls took. Counted by CPU, without locks.
 */
#include <linux/kobject.h>
#include <linux/log2.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "zuf.h"

struct zuf_stats {
	struct kobject kobj;
	struct zuf_stats_cpu __percpu *cpu;
	struct completion gone;
};

static struct kobject *zuf_kobj, *zuf_mounts_kobj;

static const char *const op_names[ZUF_OP_COUNT] = {
	[ZUF_OP_MOUNT] = "mount",	  [ZUF_OP_UMOUNT] = "umount",	    [ZUF_OP_REMOUNT] = "remount",
	[ZUF_OP_STATFS] = "statfs",	  [ZUF_OP_SYNC] = "sync",	    [ZUF_OP_LOOKUP] = "lookup",
	[ZUF_OP_GETATTR] = "getattr",	  [ZUF_OP_SETATTR] = "setattr",	    [ZUF_OP_CREATE] = "create",
	[ZUF_OP_LINK] = "link",		  [ZUF_OP_UNLINK] = "unlink",	    [ZUF_OP_RMDIR] = "rmdir",
	[ZUF_OP_RENAME] = "rename",	  [ZUF_OP_READLINK] = "readlink",   [ZUF_OP_READDIR] = "readdir",
	[ZUF_OP_FORGET] = "forget",	  [ZUF_OP_HOLD] = "hold",	    [ZUF_OP_GETXATTR] = "getxattr",
	[ZUF_OP_SETXATTR] = "setxattr",	  [ZUF_OP_LISTXATTR] = "listxattr", [ZUF_OP_REMOVEXATTR] = "removexattr",
	[ZUF_OP_READ] = "read",		  [ZUF_OP_WRITE] = "write",	    [ZUF_OP_MAP] = "map",
	[ZUF_OP_MAP_WRITE] = "map_write", [ZUF_OP_COMMIT] = "commit",	    [ZUF_OP_FILL] = "fill",
	[ZUF_OP_FALLOCATE] = "fallocate", [ZUF_OP_SEEK] = "seek",	    [ZUF_OP_FSYNC] = "fsync",
	[ZUF_OP_COPY] = "copy",		  [ZUF_OP_ATIME] = "atime",
};

static const char *const counter_names[ZUF_COUNTERS] = {
	[ZUF_COUNT_MAP_HIT] = "map_hits",      [ZUF_COUNT_MAP_MISS] = "map_misses",
	[ZUF_COUNT_BYTES_READ] = "bytes_read", [ZUF_COUNT_BYTES_WRITTEN] = "bytes_written",
	[ZUF_COUNT_FAULTS] = "faults",	       [ZUF_COUNT_HUGE_FAULTS] = "huge_faults",
};

void zuf_stats_call(struct zuf_sb *zsb, u32 op, u64 ns)
{
	unsigned int bucket = min_t(unsigned int, ilog2((ns >> 8) | 1), ZUF_LATENCY_BUCKETS - 1);

	if (unlikely(!zsb->stats))
		return;
	if (op < ZUF_OP_COUNT)
		this_cpu_inc(zsb->stats->cpu->calls[op]);
	this_cpu_inc(zsb->stats->cpu->latency[bucket]);
}

void zuf_stats_count(struct zuf_sb *zsb, enum zuf_counter counter, u64 n)
{
	this_cpu_add(zsb->stats->cpu->counters[counter], n);
}

static u64 stats_sum(struct zuf_stats *stats, size_t offset)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += *(u64 *)((void *)per_cpu_ptr(stats->cpu, cpu) + offset);
	return sum;
}

static ssize_t calls_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct zuf_stats *stats = container_of(kobj, struct zuf_stats, kobj);
	ssize_t len = 0;
	int i;

	for (i = 1; i < ZUF_OP_COUNT; i++)
		len += sysfs_emit_at(buf, len, "%s %llu\n", op_names[i],
				     stats_sum(stats, offsetof(struct zuf_stats_cpu, calls[0]) + i * sizeof(u64)));
	return len;
}

static ssize_t counters_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct zuf_stats *stats = container_of(kobj, struct zuf_stats, kobj);
	ssize_t len = 0;
	int i;

	for (i = 0; i < ZUF_COUNTERS; i++)
		len += sysfs_emit_at(buf, len, "%s %llu\n", counter_names[i],
				     stats_sum(stats, offsetof(struct zuf_stats_cpu, counters[0]) + i * sizeof(u64)));
	return len;
}

static ssize_t latency_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct zuf_stats *stats = container_of(kobj, struct zuf_stats, kobj);
	ssize_t len = 0;
	int i;

	for (i = 0; i < ZUF_LATENCY_BUCKETS; i++)
		len += sysfs_emit_at(buf, len, "below_ns %llu %llu\n", 512ULL << i,
				     stats_sum(stats, offsetof(struct zuf_stats_cpu, latency[0]) + i * sizeof(u64)));
	return len;
}

static struct kobj_attribute calls_attr = __ATTR_RO(calls);
static struct kobj_attribute counters_attr = __ATTR_RO(counters);
static struct kobj_attribute latency_attr = __ATTR_RO(latency);
static struct attribute *mount_attrs[] = {
	&calls_attr.attr,
	&counters_attr.attr,
	&latency_attr.attr,
	NULL,
};
ATTRIBUTE_GROUPS(mount);

static void mount_kobj_release(struct kobject *kobj)
{
	complete(&container_of(kobj, struct zuf_stats, kobj)->gone);
}

static const struct kobj_type mount_ktype = {
	.release = mount_kobj_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = mount_groups,
};

static void stats_free(struct zuf_stats *stats)
{
	free_percpu(stats->cpu);
	kfree(stats);
}

int zuf_stats_new(struct zuf_sb *zsb)
{
	struct zuf_stats *stats = kzalloc(sizeof(*stats), GFP_KERNEL);
	int err;

	if (!stats)
		return -ENOMEM;
	init_completion(&stats->gone);
	stats->cpu = alloc_percpu(struct zuf_stats_cpu);
	if (!stats->cpu) {
		kfree(stats);
		return -ENOMEM;
	}
	err = kobject_init_and_add(&stats->kobj, &mount_ktype, zuf_mounts_kobj, "%u:%u", MAJOR(zsb->sb->s_dev),
				   MINOR(zsb->sb->s_dev));
	if (err) {
		kobject_put(&stats->kobj);
		stats_free(stats);
		return err;
	}
	zsb->stats = stats;
	return 0;
}

void zuf_stats_free(struct zuf_sb *zsb)
{
	struct zuf_stats *stats = zsb->stats;

	if (!stats)
		return;
	zsb->stats = NULL;
	kobject_put(&stats->kobj);
	wait_for_completion(&stats->gone);
	stats_free(stats);
}

static ssize_t version_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", ZUF_ABI_VERSION);
}

static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", zuf_server_epoch() ? "served" : "no server");
}

static ssize_t types_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return zuf_types_show(buf);
}

static struct kobj_attribute version_attr = __ATTR_RO(version);
static struct kobj_attribute state_attr = __ATTR_RO(state);
static struct kobj_attribute types_attr = __ATTR_RO(types);
static const struct attribute *zuf_attrs[] = {
	&version_attr.attr,
	&state_attr.attr,
	&types_attr.attr,
	NULL,
};

int zuf_stats_init(void)
{
	int err = -ENOMEM;

	zuf_kobj = kobject_create_and_add("zuf", kernel_kobj);
	if (!zuf_kobj)
		return -ENOMEM;
	zuf_mounts_kobj = kobject_create_and_add("mounts", zuf_kobj);
	if (zuf_mounts_kobj)
		err = sysfs_create_files(zuf_kobj, zuf_attrs);
	if (err)
		zuf_stats_exit();
	return err;
}

void zuf_stats_exit(void)
{
	kobject_put(zuf_mounts_kobj);
	kobject_put(zuf_kobj);
}
