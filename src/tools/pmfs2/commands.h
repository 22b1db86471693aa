/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of pmfs2(8), one a file. They print to stdout and return an exit code. */
#ifndef TOOLS_PMFS2_COMMANDS_H
#define TOOLS_PMFS2_COMMANDS_H

#include "image.h"

/* flags: IMAGE_*. Opens for itself: it has something to say about images that cannot be opened otherwise. */
int command_info(const char *path, unsigned int flags, int json);
/* new_label NULL: shows the label. */
int command_label(const char *path, const char *new_label, unsigned int flags);

/* dump: what is printed when the image is open. 0, or an exit code; damage is remembered in img. */
int dump_super(struct image *img);
int dump_inode(struct image *img, uint64_t ino);
int dump_dir(struct image *img, uint64_t ino);
int dump_map(struct image *img, uint64_t ino);
int dump_journal(struct image *img);
int dump_intents(struct image *img);
int dump_path(struct image *img, const char *path);

#endif
