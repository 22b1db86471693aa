/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memfs: the example of a plug-in, and the floor that others are measured against. Everything that the plug-in interface has
 * but durability: a mount begins empty and leaves nothing behind.
 *
 * Options: size=N[KMGT] or N% of RAM (default 50%), inodes=N (default one for each block).
 *
 *	memfs.c		mount, options, the table of operations
 *	mem_alloc.c	4 KiB blocks		mem_map.c	a file's blocks: radix tree
 *	mem_table.c	inodes by node id	mem_dir.c	a directory's entries: hash and order
 *	mem_attr.c mem_xattr.c mem_names.c mem_rename.c mem_readdir.c mem_data.c mem_range.c	the operations
 */
#include "memfs/memfs.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sysinfo.h>

#include "base/util.h"

#define SIZE_MIN (1ull << 20)
#define SIZE_MAX_BYTES (1ull << 44)
#define INODES_MAX (1ull << 31)

struct options {
	uint64_t size_bytes;
	uint64_t inodes;
};

static void host_log(const struct zus_host *host, int level, const char *msg)
{
	if (host && host->log)
		host->log(host->ctx, level, msg);
}

static uint64_t ram_bytes(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? 1ull << 30 : (uint64_t)info.totalram * info.mem_unit;
}

/* A number with K, M, G, T or %, which is of whole; 0 if it is none. */
static uint64_t parse_size(const char *text, uint64_t whole)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	uint64_t value;

	if (*text < '0' || *text > '9')
		return 0;
	value = strtoull(text, &end, 10);
	if (*end == '%' && !end[1])
		return value <= 100 ? whole / 100 * value : 0;
	unit = isalpha((unsigned char)*end) ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		unsigned int shift = 10 * (unsigned int)(unit - units + 1);

		if (value > UINT64_MAX >> shift)
			return 0;
		value <<= shift;
		end++;
	}
	return *end ? 0 : value;
}

static int parse_option(const char *option, struct options *opt)
{
	if (!strncmp(option, "size=", 5)) {
		opt->size_bytes = parse_size(option + 5, ram_bytes());
		return opt->size_bytes >= SIZE_MIN && opt->size_bytes <= SIZE_MAX_BYTES ? 0 : -EINVAL;
	}
	if (!strncmp(option, "inodes=", 7)) {
		opt->inodes = parse_size(option + 7, 0);
		return opt->inodes && opt->inodes <= INODES_MAX ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static int parse_options(const struct zus_mount_args *args, struct options *opt)
{
	char *copy = strdup(args->options ? args->options : ""), *save = NULL, msg[256];
	int err = copy ? 0 : -ENOMEM;

	opt->size_bytes = ram_bytes() / 2;
	opt->inodes = 0;
	for (char *o = copy ? strtok_r(copy, ",", &save) : NULL; o && !err; o = strtok_r(NULL, ",", &save)) {
		err = parse_option(o, opt);
		if (err) {
			snprintf(msg, sizeof(msg),
				 "memfs: option '%.100s': expected size=N[KMGT] (1M to 16T), size=N%% or inodes=N", o);
			host_log(args->host, 0, msg);
		}
	}
	free(copy);
	opt->size_bytes = round_down_to(opt->size_bytes, MEM_BLOCK_SIZE);
	if (!opt->inodes)
		opt->inodes = u64_min(u64_max(opt->size_bytes >> MEM_BLOCK_SHIFT, 1024), INODES_MAX);
	return err;
}

static int memfs_make_root(struct memfs *fs)
{
	struct zus_new new = { .mode = S_IFDIR | 0755 };
	struct mem_inode *root;
	int err = mem_inode_new(fs, &new, &root);

	if (err)
		return err;
	root->nlink = 2; /* the reference of mem_inode_new becomes that of its links */
	atomic_store(&root->parent, ZUS_NODE_ROOT);
	return mem_inode_node(root) == ZUS_NODE_ROOT ? 0 : -EIO;
}

static void memfs_make_ids(struct memfs *fs)
{
	uint8_t id[16] = { 0 };
	char *out = fs->zus.uuid;

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		memcpy(id, &fs, sizeof(fs));
	id[6] = (id[6] & 0x0f) | 0x40;
	id[8] = (id[8] & 0x3f) | 0x80;
	memcpy(&fs->fsid, id, sizeof(fs->fsid));
	memcpy(&fs->hash_seed, id + 10, sizeof(fs->hash_seed));
	for (int i = 0; i < 16; i++)
		out += sprintf(out, "%02x%s", id[i], i == 3 || i == 5 || i == 7 || i == 9 ? "-" : "");
}

static void memfs_unmount(struct zus_fs *zus)
{
	struct memfs *fs = memfs_of(zus);

	mem_table_fini(fs);
	mem_alloc_fini(&fs->alloc);
	munmap(fs->zus.base, fs->zus.size);
	pthread_mutex_destroy(&fs->rename_lock);
	free(fs);
}

static int memfs_remount(struct zus_fs *zus, uint32_t flags)
{
	struct memfs *fs = memfs_of(zus);

	atomic_store_explicit(&fs->mount_flags, flags, memory_order_relaxed);
	zus->flags = flags;
	return 0;
}

static int memfs_statfs(struct zus_fs *zus, struct zus_statfs *out)
{
	struct memfs *fs = memfs_of(zus);
	int64_t n_free = atomic_load_explicit(&fs->alloc.n_free, memory_order_relaxed);
	uint64_t n_inodes = atomic_load_explicit(&fs->table.n_inodes, memory_order_relaxed);

	*out = (struct zus_statfs){
		.blocks = fs->alloc.n_blocks,
		.bfree = n_free > 0 ? (uint64_t)n_free : 0,
		.bavail = n_free > 0 ? (uint64_t)n_free : 0,
		.files = fs->max_inodes,
		.ffree = fs->max_inodes - u64_min(n_inodes, fs->max_inodes),
		.bsize = MEM_BLOCK_SIZE,
		.namelen = ZUS_NAME_MAX,
		.fsid = fs->fsid,
	};
	return 0;
}

static int memfs_sync(struct zus_fs *zus)
{
	(void)zus;
	return 0;
}

static int memfs_show(struct zus_fs *zus, char *buf, size_t cap)
{
	struct memfs *fs = memfs_of(zus);

	snprintf(buf, cap, "size=%llu,inodes=%llu", (unsigned long long)fs->zus.size, (unsigned long long)fs->max_inodes);
	return 0;
}

static const struct zus_ops memfs_ops = {
	.unmount = memfs_unmount,
	.remount = memfs_remount,
	.statfs = memfs_statfs,
	.sync = memfs_sync,
	.show = memfs_show,
	.lookup = memfs_lookup,
	.getattr = memfs_getattr,
	.setattr = memfs_setattr,
	.create = memfs_create,
	.tmpfile = memfs_tmpfile,
	.link = memfs_link,
	.unlink = memfs_unlink,
	.rmdir = memfs_rmdir,
	.rename = memfs_rename,
	.readlink = memfs_readlink,
	.readdir = memfs_readdir,
	.forget = memfs_forget,
	.getxattr = memfs_getxattr,
	.setxattr = memfs_setxattr,
	.listxattr = memfs_listxattr,
	.removexattr = memfs_removexattr,
	.io_begin = memfs_io_begin,
	.io_end = memfs_io_end,
	.dev_write = memfs_dev_write,
	.fallocate = memfs_fallocate,
	.seek = memfs_seek,
};

static int memfs_mount(const struct zus_mount_args *args, struct zus_fs **out_fs)
{
	struct options opt;
	struct memfs *fs;
	int err = parse_options(args, &opt);

	if (err)
		return err;
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return -ENOMEM;
	fs->host = args->host;
	fs->max_inodes = opt.inodes;
	atomic_init(&fs->mount_flags, args->flags);
	fs->zus = (struct zus_fs){ .ops = &memfs_ops, .size = opt.size_bytes, .max_file_size = MEM_FILE_SIZE_MAX,
				   .flags = args->flags, .time_gran_ns = 1 };
	fs->zus.base = mmap(NULL, opt.size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fs->zus.base == MAP_FAILED) {
		err = -errno;
		goto free_fs;
	}
	memfs_make_ids(fs);
	err = mem_alloc_init(&fs->alloc, fs->zus.base, opt.size_bytes >> MEM_BLOCK_SHIFT);
	if (err)
		goto unmap;
	err = mem_table_init(&fs->table, opt.inodes);
	if (err)
		goto fini_alloc;
	pthread_mutex_init(&fs->rename_lock, NULL);
	err = memfs_make_root(fs);
	if (err)
		goto fini_table;
	*out_fs = &fs->zus;
	return 0;
fini_table:
	pthread_mutex_destroy(&fs->rename_lock);
	mem_table_fini(fs);
fini_alloc:
	mem_alloc_fini(&fs->alloc);
unmap:
	munmap(fs->zus.base, fs->zus.size);
free_fs:
	free(fs);
	return err;
}

__attribute__((visibility("default"))) const struct zus_plugin zus_plugin = {
	.abi = ZUS_PLUGIN_ABI,
	.flags = ZUS_PLUGIN_VOLATILE,
	.name = "memfs",
	.version = PMFS2_VERSION,
	.mount = memfs_mount,
};
