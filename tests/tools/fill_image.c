/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fill_image IMAGE clean|crash: puts one of everything into a fresh image by the engine, without a mount, for the tests of the
 * tools. "crash" leaves without a last checkpoint, so that the journal holds records.
 *
 *	/file		3 MiB + 5 bytes, first block a hole, then written, 2 MiB aligned
 *	/prealloc	64 KiB unwritten
 *	/dir/many-N	300 empty files
 *	/link		symlink of 9 bytes;  /long: one of 300
 *	/attr		a file with xattrs in the inode;  /attrs: in a block;  /attrs3: in three
 *	/dev		character device 5:1
 *	/orphan		unlinked while referenced: an intent after a crash; gone after a clean end
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "pmem/pmem.h"
#include "pmfs2/fs.h"
#include "pmfs2/mount.h"
#include "pmfs2/ops.h"

#define N_MANY 300

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "fill_image: %s: %s\n", what, strerror(-r));
	exit(1);
}

static struct zus_name name_of(const char *str)
{
	return (struct zus_name){ str, (uint32_t)strlen(str) };
}

static uint64_t make(struct zus_fs *fs, uint64_t dir, const char *name, struct zus_new new)
{
	struct zus_attr attr;

	must(fs->ops->create(fs, dir, name_of(name), &new, &attr), name);
	return attr.node;
}

static void write_at(struct zus_fs *fs, uint64_t node, uint64_t off, uint64_t len)
{
	static const char block[65536] = "data";

	while (len) {
		struct zus_extent ext[8];
		struct zus_io io = { .node = node, .off = off, .len = len, .flags = ZUS_IO_WRITE, .ext = ext, .ext_cap = 8 };

		must(fs->ops->io_begin(fs, &io), "io_begin");
		for (uint32_t i = 0; i < io.n_ext; i++)
			for (uint64_t done = 0; done < ext[i].len;) {
				uint64_t n = ext[i].len - done < sizeof(block) ? ext[i].len - done : sizeof(block);

				fs->ops->dev_write(fs, ext[i].dev_off + done, block, n);
				done += n;
			}
		must(fs->ops->io_end(fs, &io, io.mapped), "io_end");
		off += io.mapped;
		len -= io.mapped;
	}
}

static void set_xattr(struct zus_fs *fs, uint64_t node, const char *name, uint32_t len)
{
	static const char value[9000];
	struct zus_setxattr set = { .name = name_of(name), .value = { value, len } };

	must(fs->ops->setxattr(fs, node, &set), name);
}

static void fill_files(struct zus_fs *fs)
{
	struct zus_new file = { .mode = S_IFREG | 0644, .uid = 1000, .gid = 100 };
	uint64_t node = make(fs, ZUS_NODE_ROOT, "file", file);

	write_at(fs, node, 4096, (3ull << 20) - 4096 + 5);
	node = make(fs, ZUS_NODE_ROOT, "prealloc", file);
	must(fs->ops->fallocate(fs, node, 0, 0, 65536), "fallocate");
	node = make(fs, ZUS_NODE_ROOT, "attr", file);
	set_xattr(fs, node, "user.small", 20);
	node = make(fs, ZUS_NODE_ROOT, "attrs", file);
	set_xattr(fs, node, "user.large", 3000);
	set_xattr(fs, node, "trusted.other", 10);
	node = make(fs, ZUS_NODE_ROOT, "attrs3", file);
	set_xattr(fs, node, "user.large", 9000);
}

static void fill_others(struct zus_fs *fs)
{
	struct zus_new new = { .mode = S_IFLNK | 0777, .symlink = { "target/of", 9 } };
	char name[32], target[300];
	uint64_t dir;

	make(fs, ZUS_NODE_ROOT, "link", new);
	memset(target, 'x', sizeof(target));
	new.symlink = (struct zus_blob){ target, sizeof(target) };
	make(fs, ZUS_NODE_ROOT, "long", new);
	make(fs, ZUS_NODE_ROOT, "dev", (struct zus_new){ .mode = S_IFCHR | 0600, .rdev = makedev(5, 1) });
	make(fs, ZUS_NODE_ROOT, "orphan", (struct zus_new){ .mode = S_IFREG | 0600 });
	must(fs->ops->unlink(fs, ZUS_NODE_ROOT, name_of("orphan")), "unlink");
	dir = make(fs, ZUS_NODE_ROOT, "dir", (struct zus_new){ .mode = S_IFDIR | 0755 });
	for (int i = 0; i < N_MANY; i++) {
		snprintf(name, sizeof(name), "many-%d", i);
		make(fs, dir, name, (struct zus_new){ .mode = S_IFREG | 0600 });
	}
}

int main(int argc, char **argv)
{
	struct zus_fs *fs;
	struct pmem *pm;

	if (argc != 3 || (strcmp(argv[2], "clean") && strcmp(argv[2], "crash"))) {
		fprintf(stderr, "Usage: fill_image IMAGE clean|crash\n");
		return 2;
	}
	must(pmem_open(argv[1], 0, &pm), argv[1]);
	must(pmfs2_mount_pmem(pm, NULL, 0, &fs), "mount");
	fill_files(fs);
	fill_others(fs);
	if (!strcmp(argv[2], "crash"))
		fs_abandon(fs_of(fs));
	else
		fs->ops->unmount(fs);
	return 0;
}
