/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The zuf transport: serves any number of mounts of our own kernel module's types through one set of threads, some on each CPU.
 * Mounts come and go with the kernel's requests; the server behind this is asked to open and close them. doc/zuf.md, uapi/zuf.h.
 */
#ifndef ZUF_TRANSPORT_H
#define ZUF_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include "zus/plugin.h"

#define ZUF_ROOT_DEFAULT "/sys/fs/zuf"

struct zuf_transport;

/* One mount that the kernel asks for. Strings live as long as the call. */
struct zuf_open_args {
	const char *fstype;
	const char *device; /* "" where the type has none */
	const char *options; /* for the plug-in */
	uint32_t flags; /* ZUS_MOUNT_* */
	uint64_t devno; /* st_dev of the mount */
	void *dev_base; /* the device's memory, or NULL */
	uint64_t dev_size; /* bytes */
};

/* What the server does. Called by the transport's threads. */
struct zuf_server_ops {
	/* *out_handle is the server's own, given back to close(). */
	int (*open)(void *ctx, const struct zuf_open_args *args, struct zus_fs **out_fs, void **out_handle);
	void (*close)(void *ctx, void *handle);
	/* Whether extents given out by file systems of this type stay valid (ZUS_PLUGIN_KEEPS_EXTENTS). */
	int (*keeps_extents)(void *ctx, const char *fstype);
};

struct zuf_type_name {
	const char *name;
	int has_device;
};

struct zuf_transport_args {
	const char *root; /* where the control root is mounted */
	const struct zuf_type_name *types;
	size_t n_types;
	const struct zuf_server_ops *ops;
	void *ctx;
	uint32_t slots_per_cpu; /* 0: default */
};

/* True if root is a mounted control root. */
int zuf_root_present(const char *root);
/* Takes the root, registers the types, starts the threads. -EBUSY: another server has it. -ENOENT: no root there. */
int zuf_transport_start(const struct zuf_transport_args *args, struct zuf_transport **out_zt);
/* Ends the threads. Mounts that are still there are left as they are: the next server finds them. NULL is fine. */
void zuf_transport_free(struct zuf_transport *zt);
/*
 * The kernel gives up the extents that it keeps of [off, off + len) of node in the file system that open() gave handle for.
 * Nothing is done in a slot's thread: there the plug-in works for the kernel, which gives up what its own request changes, and
 * holds the locks.
 */
void zuf_transport_invalidate(struct zuf_transport *zt, const void *handle, uint64_t node, uint64_t off, uint64_t len);
/* The module's counters of the mount with this st_dev, as text. Returns its length (as snprintf). */
size_t zuf_transport_stats(uint64_t devno, char *buf, size_t cap);
/* "zuf, 8 threads" */
const char *zuf_transport_name(const struct zuf_transport *zt);

#endif
