/* SPDX-License-Identifier: BSD-3-Clause */
/* The -o list of mount.pmfs2: mount(2) flags, ours, the plug-in's, and what is for others and passed over. */
#ifndef TOOLS_MOUNT_OPTIONS_H
#define TOOLS_MOUNT_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "zusd/control_msg.h"

#define MOUNT_OPTIONS_FSTYPE_MAX 32
#define MOUNT_OPTIONS_PLUGIN_MAX 4096

struct mount_options {
	unsigned long ms_flags; /* MS_* */
	uint32_t max_write; /* bytes, 0: default */
	enum control_cache cache;
	enum control_channel channel;
	int allow_other; /* -1: not said */
	int wait_s; /* seconds; -1: not said */
	int default_permissions;
	int enable_uring;
	int remount;
	char fstype[MOUNT_OPTIONS_FSTYPE_MAX];
	char plugin_options[MOUNT_OPTIONS_PLUGIN_MAX]; /* "name=value,..." that are neither ours nor the kernel's */
};

/* fstype: what to use where the list has no fstype=. */
void mount_options_init(struct mount_options *opts, const char *fstype);
/* Adds a list; later options win. -EINVAL: why says which option is wrong, and how. */
int mount_options_parse(struct mount_options *opts, const char *list, char *why, size_t why_cap);
/* CONTROL_MOUNT_* of ms_flags. */
uint32_t mount_options_control_flags(const struct mount_options *opts);

#endif
