/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding and loading of plug-ins.
 *
 * A list ("pmfs2,memfs", ZUFS_LIBFS_LIST) names them; each is tried as DIR/NAME.so and DIR/libNAME.so in the installed
 * directory, then as libNAME.so and NAME.so through the library path (LD_LIBRARY_PATH). A name with a slash is a path, and only
 * that. Without a list, every *.so of the installed directory is loaded.
 */
#ifndef ZUSD_LOADER_H
#define ZUSD_LOADER_H

#include <stddef.h>

#include "zus/plugin.h"

#define LOADER_PLUGINS_MAX 32u
#define LOADER_TYPE_MAX 31u /* bytes of a file-system type's name */

struct loader_plugin {
	const struct zus_plugin *plugin;
	void *handle; /* of dlopen(3) */
	char path[4096]; /* what was loaded */
};

struct loader {
	struct loader_plugin plugins[LOADER_PLUGINS_MAX];
	size_t n_plugins;
};

/*
 * Loads the plug-ins of list; NULL or "": every *.so of dir, where those that cannot be used are logged and left out. -ENOENT:
 * not found, or none at all; -ELIBBAD: not a plug-in; -ENOEXEC: of another ABI; -EEXIST: a type twice; -E2BIG. What is wrong is
 * logged.
 */
int loader_load(struct loader *ld, const char *list, const char *dir);
/* NULL: no such file-system type. */
const struct zus_plugin *loader_find(const struct loader *ld, const char *fstype);
/* "pmfs2, memfs" */
void loader_names(const struct loader *ld, char *buf, size_t cap);
void loader_fini(struct loader *ld);

#endif
