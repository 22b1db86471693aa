/* SPDX-License-Identifier: BSD-3-Clause */
/* Inode flags through ioctl: what is answered to bits that we do not have. */
#include <linux/fs.h>

#include "lib/tap.h"
#include "transport/fuse/fuse_ops.h"

static int fs_getattr(struct zus_fs *fs, uint64_t node, struct zus_attr *out_attr)
{
	(void)fs;
	*out_attr = (struct zus_attr){ .node = node };
	return 0;
}

static const struct zus_ops fs_ops = { .getattr = fs_getattr };

static int ioctl_of(uint32_t kernel_minor, uint32_t cmd, const void *data, uint32_t len)
{
	struct fuse_ioctl_in in = { .cmd = cmd, .in_size = len };
	struct zus_fs fs = { .ops = &fs_ops };
	struct fuse_conn conn = { .fs = &fs, .kernel_minor = kernel_minor };
	struct fuse_task task = { .conn = &conn, .req = { .node = 1, .arg = &in, .data = data, .data_len = len } };

	return fuse_op_ioctl(&task);
}

/* Linux 6.17 would send the call again, unchecked, and with other bits if the program has changed them. */
static void ioctl_of_unknown_flags_is_not_asked_for_again(void)
{
	struct fsxattr fsx = { .fsx_xflags = FS_XFLAG_DAX };
	uint32_t flags = FS_COMPR_FL;

	CHECK_EQ(ioctl_of(44, FS_IOC_SETFLAGS, &flags, sizeof(flags)), -EINVAL);
	CHECK_EQ(ioctl_of(44, FS_IOC_FSSETXATTR, &fsx, sizeof(fsx)), -EINVAL);
}

static void ioctl_of_unknown_flags_is_not_supported(void)
{
	struct fsxattr fsx = { .fsx_xflags = FS_XFLAG_DAX };
	uint32_t flags = FS_COMPR_FL;

	CHECK_EQ(ioctl_of(43, FS_IOC_SETFLAGS, &flags, sizeof(flags)), -EOPNOTSUPP);
	CHECK_EQ(ioctl_of(45, FS_IOC_SETFLAGS, &flags, sizeof(flags)), -EOPNOTSUPP);
	CHECK_EQ(ioctl_of(45, FS_IOC_FSSETXATTR, &fsx, sizeof(fsx)), -EOPNOTSUPP);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(ioctl_of_unknown_flags_is_not_asked_for_again),
		TAP_CASE(ioctl_of_unknown_flags_is_not_supported),
	};

	return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
