/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes and xattrs as operations on nodes (plugin.h). */
#ifndef PMFS2_ATTR_H
#define PMFS2_ATTR_H

#include "pmfs2/fs.h"

int attr_get(struct fs *fs, uint64_t node, struct zus_attr *out);
int attr_set(struct fs *fs, uint64_t node, const struct zus_setattr *set, struct zus_attr *out);
int attr_getxattr(struct fs *fs, uint64_t node, struct zus_name name, void *buf, size_t cap);
int attr_setxattr(struct fs *fs, uint64_t node, const struct zus_setxattr *set);
int attr_listxattr(struct fs *fs, uint64_t node, char *buf, size_t cap);
int attr_removexattr(struct fs *fs, uint64_t node, struct zus_name name);

#endif
