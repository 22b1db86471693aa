/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding and loading of plug-ins, and the check that what was found is one of ours. */
#include "zusd/loader.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define NAME_LEN_MAX 4000u

/* A type is used in mount tables and file names: letters, digits, '_', '-'. */
static int fstype_valid(const char *name)
{
	size_t len;

	if (!name)
		return 0;
	len = strnlen(name, LOADER_TYPE_MAX + 1);
	return len > 0 && len <= LOADER_TYPE_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len;
}

static int plugin_check(const struct loader *ld, const struct zus_plugin *plugin, const char *path)
{
	if (plugin->abi != ZUS_PLUGIN_ABI) {
		log_error("%s: plug-in of interface version %u, this server speaks %u: rebuild the plug-in against zus/plugin.h "
			  "of this server, or install the two of one release",
			  path, plugin->abi, ZUS_PLUGIN_ABI);
		return -ENOEXEC;
	}
	if (!fstype_valid(plugin->name) || !plugin->mount) {
		log_error("%s: not a usable plug-in: its zus_plugin has no valid name or no mount operation", path);
		return -ELIBBAD;
	}
	if (loader_find(ld, plugin->name)) {
		log_error("%s: file-system type '%s' is already provided by another plug-in: name only one of them", path,
			  plugin->name);
		return -EEXIST;
	}
	return 0;
}

/* Takes over handle. */
static int plugin_add(struct loader *ld, void *handle, const char *path)
{
	struct loader_plugin *slot = &ld->plugins[ld->n_plugins];
	const struct zus_plugin *plugin = dlsym(handle, "zus_plugin");
	int err;

	if (!plugin) {
		log_error("%s: not a plug-in: it exports no zus_plugin", path);
		err = -ELIBBAD;
		goto close_handle;
	}
	err = plugin_check(ld, plugin, path);
	if (err)
		goto close_handle;
	slot->plugin = plugin;
	slot->handle = handle;
	snprintf(slot->path, sizeof(slot->path), "%s", path);
	ld->n_plugins++;
	log_info("plug-in %s %s from %s", plugin->name, plugin->version ? plugin->version : "(no version)", path);
	return 0;
close_handle:
	dlclose(handle);
	return err;
}

static int plugin_load(struct loader *ld, const char *path)
{
	void *handle;

	if (ld->n_plugins == LOADER_PLUGINS_MAX) {
		log_error("%s: too many plug-ins, %u is the limit", path, LOADER_PLUGINS_MAX);
		return -E2BIG;
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		log_error("cannot load plug-in: %s", dlerror());
		return -ELIBBAD;
	}
	return plugin_add(ld, handle, path);
}

/* A file in the library path: 0, -ENOENT where there is none, or what plugin_load gives. */
static int plugin_load_by_soname(struct loader *ld, const char *soname)
{
	void *handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	const char *why;

	if (handle) {
		if (ld->n_plugins < LOADER_PLUGINS_MAX)
			return plugin_add(ld, handle, soname);
		dlclose(handle);
		return -E2BIG;
	}
	/* dlopen(3) has no error codes; a file that is there but broken must not be passed over. */
	why = dlerror();
	if (why && strstr(why, "cannot open shared object file"))
		return -ENOENT;
	log_error("cannot load plug-in: %s", why ? why : soname);
	return -ELIBBAD;
}

static int plugin_load_by_name(struct loader *ld, const char *name, const char *dir)
{
	char path[2 * NAME_LEN_MAX + 16];
	int err;

	if (strchr(name, '/'))
		return plugin_load(ld, name);
	for (int with_lib = 0; with_lib <= 1; with_lib++) {
		snprintf(path, sizeof(path), "%s/%s%s.so", dir, with_lib ? "lib" : "", name);
		if (!access(path, F_OK))
			return plugin_load(ld, path);
	}
	for (int with_lib = 1; with_lib >= 0; with_lib--) {
		snprintf(path, sizeof(path), "%s%s.so", with_lib ? "lib" : "", name);
		err = plugin_load_by_soname(ld, path);
		if (err != -ENOENT)
			return err;
	}
	/* Not in the current directory either: whoever may write there would choose what root's server runs. */
	log_error("plug-in '%s' not found: neither %s/%s.so nor %s/lib%s.so, nor lib%s.so or %s.so in the library path; check "
		  "ZUFS_LIBFS_LIST and LD_LIBRARY_PATH (a file is named with its path)",
		  name, dir, name, dir, name, name, name);
	return -ENOENT;
}

static int loader_load_list(struct loader *ld, const char *list, const char *dir)
{
	char *copy = strdup(list), *rest = copy, *name;
	int err = copy ? 0 : -ENOMEM;

	while (!err && (name = strsep(&rest, ","))) {
		name += strspn(name, " \t\n");
		name[strcspn(name, " \t\n")] = '\0';
		if (!name[0])
			continue;
		err = strlen(name) > NAME_LEN_MAX ? -ENAMETOOLONG : plugin_load_by_name(ld, name, dir);
	}
	free(copy);
	return err;
}

static int is_shared_object(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 3 && !strcmp(entry->d_name + len - 3, ".so");
}

static int loader_load_dir(struct loader *ld, const char *dir)
{
	char path[NAME_LEN_MAX + 300];
	struct dirent **entries;
	int n = scandir(dir, &entries, is_shared_object, alphasort);

	if (n < 0) {
		log_error("cannot read the plug-in directory %s: %s; install plug-ins there or name some in ZUFS_LIBFS_LIST", dir,
			  strerror(errno));
		return -errno;
	}
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		if (plugin_load(ld, path))
			log_warning("%s is left out", path);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

int loader_load(struct loader *ld, const char *list, const char *dir)
{
	int err;

	memset(ld, 0, sizeof(*ld));
	if (strlen(dir) > NAME_LEN_MAX)
		return -ENAMETOOLONG;
	err = list && list[0] ? loader_load_list(ld, list, dir) : loader_load_dir(ld, dir);
	if (!err && !ld->n_plugins) {
		log_error("no plug-in: none in %s%s", dir,
			  list ? ", none named in ZUFS_LIBFS_LIST" : " and ZUFS_LIBFS_LIST is not set");
		err = -ENOENT;
	}
	if (err)
		loader_fini(ld);
	return err;
}

const struct zus_plugin *loader_find(const struct loader *ld, const char *fstype)
{
	for (size_t i = 0; i < ld->n_plugins; i++)
		if (!strcmp(ld->plugins[i].plugin->name, fstype))
			return ld->plugins[i].plugin;
	return NULL;
}

void loader_names(const struct loader *ld, char *buf, size_t cap)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ld->n_plugins && used < cap; i++)
		used += (size_t)snprintf(buf + used, cap - used, "%s%s", i ? ", " : "", ld->plugins[i].plugin->name);
}

void loader_fini(struct loader *ld)
{
	while (ld->n_plugins)
		dlclose(ld->plugins[--ld->n_plugins].handle);
}
