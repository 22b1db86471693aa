/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plug-ins for the loader's tests: a good one and broken ones, chosen by the defines PLUGIN_NAME, PLUGIN_ABI, PLUGIN_NO_MOUNT,
 * PLUGIN_NO_SYMBOL.
 */
#include <errno.h>

#include "zus/plugin.h"

#ifndef PLUGIN_ABI
#define PLUGIN_ABI ZUS_PLUGIN_ABI
#endif

#ifdef PLUGIN_NO_MOUNT
#define PLUGIN_MOUNT NULL
#else
#define PLUGIN_MOUNT refuse_mount

static int refuse_mount(const struct zus_mount_args *args, struct zus_fs **out_fs)
{
	(void)args;
	(void)out_fs;
	return -ENODEV;
}
#endif

#ifdef PLUGIN_NO_SYMBOL
#define PLUGIN_VISIBILITY "hidden"
#else
#define PLUGIN_VISIBILITY "default"
#endif

__attribute__((visibility(PLUGIN_VISIBILITY), used)) const struct zus_plugin zus_plugin = {
	.abi = PLUGIN_ABI,
	.name = PLUGIN_NAME,
	.version = "test",
	.mount = PLUGIN_MOUNT,
};
