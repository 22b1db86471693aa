// SPDX-License-Identifier: GPL-2.0-only
/* zuf: file systems in user space on persistent memory. Start and end of the module. */
#include <linux/module.h>
#include <linux/sizes.h>

#include "zuf.h"

static int __init zuf_init(void)
{
	int err;

	BUILD_BUG_ON(sizeof(struct zuf_request) != 128);
	BUILD_BUG_ON(sizeof(struct zuf_reply) != 160);
	BUILD_BUG_ON(ZUF_EXTENTS_OFF + ZUF_EXTENTS_MAX * sizeof(struct zuf_extent) > ZUF_IN_OFF);
	/* Extents are of blocks of 4 KiB, and kept in whole pages: in a larger one a neighbour's blocks would be seen. */
	if (PAGE_SIZE != SZ_4K) {
		pr_err("zuf: this kernel's pages are of %lu bytes: only 4096 will do\n", PAGE_SIZE);
		return -EOPNOTSUPP;
	}
	err = zuf_slots_init();
	if (err)
		return err;
	err = zuf_inodes_init();
	if (err)
		return err;
	err = zuf_extents_init();
	if (err)
		goto inodes_exit;
	err = zuf_stats_init();
	if (err)
		goto extents_exit;
	err = zuf_root_init();
	if (err)
		goto stats_exit;
	return 0;
stats_exit:
	zuf_stats_exit();
extents_exit:
	zuf_extents_exit();
inodes_exit:
	zuf_inodes_exit();
	return err;
}

static void __exit zuf_exit(void)
{
	zuf_types_exit();
	zuf_root_exit();
	zuf_stats_exit();
	zuf_inodes_exit();
	zuf_extents_exit();
}

module_init(zuf_init);
module_exit(zuf_exit);

MODULE_DESCRIPTION("File systems in user space on persistent memory");
MODULE_LICENSE("GPL");
MODULE_ALIAS_FS("zuf");
