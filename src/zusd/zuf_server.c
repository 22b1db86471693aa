/* SPDX-License-Identifier: BSD-3-Clause */
/* Mounts over zuf: opened and closed as the kernel's requests say, kept in the table beside those over FUSE. */
#include "zusd/zuf_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "transport/fuse/fuse_mount.h"
#include "zusd/mount_life.h"

static void server_invalidate(struct server_mount *m, uint64_t node, uint64_t off, uint64_t len)
{
	struct zuf_server *zs = m->transport;

	if (zs->zt)
		zuf_transport_invalidate(zs->zt, m, node, off, len);
}

static size_t server_stats(struct server_mount *m, char *buf, size_t cap)
{
	return zuf_transport_stats(m->devno, buf, cap);
}

static int server_open(void *ctx, const struct zuf_open_args *args, struct zus_fs **out_fs, void **out_handle)
{
	struct zuf_server *zs = ctx;
	const struct mount_spec spec = {
		.fstype = args->fstype,
		.device = args->device,
		.source = args->device[0] ? args->device : args->fstype,
		.dir = "",
		.options = args->options,
		.flags = args->flags,
		.dev_base = args->dev_base,
		.dev_size = args->dev_size,
	};
	char text[MOUNT_TEXT_MAX] = "";
	struct server_mount *m;
	int err = mount_open(zs->mounts, zs->loader, &spec, text, &m);

	if (err) {
		log_error("%s", text);
		return err;
	}
	m->transport = zs;
	mount_serve_zuf(m, args->devno, server_invalidate, server_stats);
	*out_fs = m->fs;
	*out_handle = m;
	return 0;
}

static void server_close(void *ctx, void *handle)
{
	(void)ctx;
	mount_end_zuf(handle);
}

static int server_keeps_extents(void *ctx, const char *fstype)
{
	struct zuf_server *zs = ctx;
	const struct zus_plugin *plugin = loader_find(zs->loader, fstype);

	return plugin && (plugin->flags & ZUS_PLUGIN_KEEPS_EXTENTS);
}

static const struct zuf_server_ops server_ops = {
	.open = server_open,
	.close = server_close,
	.keeps_extents = server_keeps_extents,
};

int zuf_server_start(struct zuf_server *zs, struct mount_table *mounts, const struct loader *ld)
{
	const char *env = secure_getenv("ZUF_ROOT"), *root = env && env[0] ? env : ZUF_ROOT_DEFAULT;
	struct zuf_type_name types[LOADER_PLUGINS_MAX];
	const struct zuf_transport_args args = {
		.root = root,
		.types = types,
		.n_types = ld->n_plugins,
		.ops = &server_ops,
		.ctx = zs,
	};
	int err;

	*zs = (struct zuf_server){ .mounts = mounts, .loader = ld };
	if (!zuf_root_present(root)) {
		if (env && env[0])
			log_notice("no zuf root at %s (mount -t zuf nodev %s): only FUSE mounts", root, root);
		return 0;
	}
	for (size_t i = 0; i < ld->n_plugins; i++)
		types[i] = (struct zuf_type_name){ .name = ld->plugins[i].plugin->name,
						   .has_device = !(ld->plugins[i].plugin->flags & ZUS_PLUGIN_VOLATILE) };
	err = zuf_transport_start(&args, &zs->zt);
	if (err == -EBUSY)
		log_error("another server has the zuf root %s: end it first", root);
	else if (err)
		log_error("cannot take the zuf root %s: %s", root, strerror(-err));
	else
		log_info("serving the kernel's own types over %s", zuf_transport_name(zs->zt));
	return err;
}

void zuf_server_stop(struct zuf_server *zs)
{
	zuf_transport_free(zs->zt);
	zs->zt = NULL;
}
