/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mounts that come and go with the kernel's requests: the device's memory, the plug-in, the table.
 *
 * The kernel sends nothing for a mount before its MOUNT was answered, and nothing behind its UMOUNT, which it sends when all else
 * has returned: so the table needs no lock, and a mount no count of users.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/zuf/zuf_task.h"

#define HUGE_BYTES (2ull << 20)
#define PATH_BYTES_MAX 4096u
#define OPTIONS_BYTES_MAX 4096u

struct zuf_mount *zuf_mount_get(struct zuf_transport *zt, uint32_t id)
{
	for (uint32_t i = 0; i < ZUF_MOUNTS_MAX; i++) {
		uint32_t at = (id + i) % ZUF_MOUNTS_MAX;

		if (likely(__atomic_load_n(&zt->mount_ids[at], __ATOMIC_ACQUIRE) == id))
			return __atomic_load_n(&zt->mounts[at], __ATOMIC_ACQUIRE);
	}
	return NULL;
}

/* Sets a place aside. -EMFILE: there is none, or the number is in use. */
static int place_take(struct zuf_transport *zt, uint32_t id, uint32_t *out_at)
{
	if (!id || zuf_mount_get(zt, id))
		return -EMFILE;
	for (uint32_t i = 0; i < ZUF_MOUNTS_MAX; i++) {
		uint32_t at = (id + i) % ZUF_MOUNTS_MAX, none = 0;

		if (__atomic_compare_exchange_n(&zt->mount_ids[at], &none, id, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			*out_at = at;
			return 0;
		}
	}
	return -EMFILE;
}

static void place_free(struct zuf_transport *zt, uint32_t at)
{
	__atomic_store_n(&zt->mounts[at], NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&zt->mount_ids[at], 0, __ATOMIC_RELEASE);
}

/* Maps the device's memory, at an address that lets the kernel use pages of 2 MiB. */
static int device_map(struct zuf_transport *zt, struct zuf_mount *zm)
{
	struct zuf_device_arg arg = { .mount = zm->id };
	char path[sizeof(zt->root) + 16];
	uint64_t reserved;
	uint8_t *at;
	void *got;

	snprintf(path, sizeof(path), "%s/" ZUF_FILE_DEVICE, zt->root);
	zm->dev_fd = open(path, O_RDWR | O_CLOEXEC);
	if (zm->dev_fd < 0 || ioctl(zm->dev_fd, ZUF_IOC_DEVICE, &arg))
		return -errno;
	reserved = arg.size + HUGE_BYTES;
	at = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	zm->dev_base = (uint8_t *)(uintptr_t)round_up_to((uint64_t)(uintptr_t)at, HUGE_BYTES);
	if (zm->dev_base > at)
		munmap(at, (size_t)(zm->dev_base - at));
	munmap(zm->dev_base + arg.size, (size_t)(at + reserved - (zm->dev_base + arg.size)));
	zm->dev_size = arg.size;
	got = mmap(zm->dev_base, arg.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, zm->dev_fd, 0);
	return got == MAP_FAILED ? -errno : 0;
}

static void mount_free(struct zuf_mount *zm)
{
	vfs_free(zm->vfs);
	if (zm->dev_base)
		munmap(zm->dev_base, zm->dev_size);
	if (zm->dev_fd >= 0)
		close(zm->dev_fd);
	free(zm);
}

static void info_fill(const struct zuf_task *task, const struct zuf_mount *zm, const char *fstype, struct zuf_mount_info *out)
{
	const struct zuf_transport *zt = task->slot->zt;
	const struct zus_fs *fs = zm->fs;
	int keeps = zm->dev_base && zt->ops->keeps_extents(zt->ctx, fstype);

	memset(out, 0, sizeof(*out));
	out->max_file_size = fs->max_file_size;
	out->mount_flags = fs->flags & ZUF_MOUNT_RDONLY;
	out->flags = (keeps ? ZUF_INFO_KEEP_EXTENTS : 0) | (fs->ops->fsync ? ZUF_INFO_FSYNC : 0) |
		     (fs->ops->sync ? ZUF_INFO_SYNC : 0) | (fs->ops->getxattr ? ZUF_INFO_XATTR : 0);
	out->time_gran_ns = fs->time_gran_ns;
	for (size_t i = 0, n = 0; fs->uuid[i] && n < 2 * sizeof(out->uuid); i++) {
		unsigned int digit;

		if (sscanf((char[2]){ fs->uuid[i], 0 }, "%1x", &digit) != 1)
			continue;
		out->uuid[n / 2] |= (uint8_t)(digit << (n % 2 ? 0 : 4));
		n++;
	}
	snprintf(out->notice, sizeof(out->notice), "%s", fs->notice);
}

/* The answer's root and facts. +1 reference. */
static int mount_answer(struct zuf_task *task, struct zuf_mount *zm, const char *fstype)
{
	struct zus_fs *fs = zm->fs;
	struct zus_attr attr;
	int err;

	err = fs->ops->lookup(fs, ZUS_NODE_ROOT, (struct zus_name){ .str = ".", .len = 1 }, &attr);
	if (err)
		return err;
	task->mount = zm;
	zuf_task_attr(task, &attr);
	task->rep->attr.hints = zuf_hints(task, attr.node);
	info_fill(task, zm, fstype, (struct zuf_mount_info *)task->out);
	task->rep->out_len = sizeof(struct zuf_mount_info);
	return 0;
}

struct mount_words {
	char device[PATH_BYTES_MAX + 1];
	char options[OPTIONS_BYTES_MAX + 1];
	char fstype[ZUF_TYPE_MAX];
};

static int words_read(const struct zuf_task *task, struct mount_words *words)
{
	if (task->name.len > PATH_BYTES_MAX || task->name2.len > OPTIONS_BYTES_MAX || task->in_len < ZUF_TYPE_MAX)
		return -EINVAL;
	memset(words, 0, sizeof(*words));
	memcpy(words->device, task->name.str, task->name.len);
	memcpy(words->options, task->name2.str, task->name2.len);
	memcpy(words->fstype, task->in, ZUF_TYPE_MAX - 1);
	return 0;
}

static int plugin_open(struct zuf_task *task, struct zuf_mount *zm, const struct mount_words *words)
{
	struct zuf_transport *zt = task->slot->zt;
	const uint32_t flags = task->req->flags;
	const struct zuf_open_args args = {
		.fstype = words->fstype,
		.device = zm->dev_base ? words->device : "",
		.options = words->options,
		.flags = (flags & (ZUF_MOUNT_RDONLY | ZUF_MOUNT_NOATIME | ZUF_MOUNT_STRICTATIME | ZUF_MOUNT_NODIRATIME)) |
			 (flags & ZUF_MOUNT_REATTACH ? ZUS_MOUNT_KEEP_ORPHANS : 0),
		.devno = makedev((unsigned int)(task->req->rdev >> 20), (unsigned int)(task->req->rdev & 0xfffff)),
		.dev_base = zm->dev_base,
		.dev_size = zm->dev_size,
	};
	int err = zt->ops->open(zt->ctx, &args, &zm->fs, &zm->handle);

	if (err)
		return err;
	err = vfs_new(zm->fs, &zm->vfs);
	if (err)
		zt->ops->close(zt->ctx, zm->handle);
	return err;
}

int zuf_op_mount(struct zuf_task *task)
{
	struct zuf_transport *zt = task->slot->zt;
	struct mount_words *words = malloc(sizeof(*words));
	struct zuf_mount *zm = calloc(1, sizeof(*zm));
	int err = words && zm ? words_read(task, words) : -ENOMEM;

	if (err)
		goto free_words;
	zm->id = task->req->mount;
	zm->dev_fd = -1;
	err = place_take(zt, zm->id, &zm->place);
	if (err)
		goto free_words;
	if (task->req->len)
		err = device_map(zt, zm);
	if (!err)
		err = plugin_open(task, zm, words);
	if (err)
		goto free_mount;
	err = mount_answer(task, zm, words->fstype);
	if (err) {
		zt->ops->close(zt->ctx, zm->handle);
		goto free_mount;
	}
	__atomic_store_n(&zt->mounts[zm->place], zm, __ATOMIC_RELEASE);
	free(words);
	return 0;
free_mount:
	if (zm->dev_base || zm->dev_fd >= 0)
		log_error("zuf: cannot open %s: %s", words->device, strerror(-err));
	place_free(zt, zm->place);
	mount_free(zm);
	zm = NULL;
free_words:
	free(zm);
	free(words);
	return err;
}

static void mount_close(struct zuf_transport *zt, struct zuf_mount *zm)
{
	place_free(zt, zm->place);
	zt->ops->close(zt->ctx, zm->handle);
	mount_free(zm);
}

int zuf_op_umount(struct zuf_task *task)
{
	mount_close(task->slot->zt, task->mount);
	return 0;
}

void zuf_mounts_free(struct zuf_transport *zt)
{
	/* What is still mounted stays open: the process ends, and the next server recovers. */
	for (uint32_t i = 0; i < ZUF_MOUNTS_MAX; i++)
		if (zt->mounts[i])
			log_notice("zuf: a file system is left mounted for the next server");
}

void zuf_transport_invalidate(struct zuf_transport *zt, const void *handle, uint64_t node, uint64_t off, uint64_t len)
{
	struct zuf_invalidate_arg arg = { .node = node, .off = off, .len = len };

	if (zuf_slot_is_ours())
		return;
	for (uint32_t i = 0; i < ZUF_MOUNTS_MAX; i++) {
		const struct zuf_mount *zm = __atomic_load_n(&zt->mounts[i], __ATOMIC_ACQUIRE);

		if (!zm || zm->handle != handle)
			continue;
		arg.mount = zm->id;
		if (ioctl(zt->server_fd, ZUF_IOC_INVALIDATE, &arg))
			log_error("zuf: taking extents back: %s", strerror(errno));
	}
}

int zuf_op_remount(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;
	uint32_t flags = task->req->flags & (ZUF_MOUNT_RDONLY | ZUF_MOUNT_NOATIME | ZUF_MOUNT_STRICTATIME | ZUF_MOUNT_NODIRATIME);

	if (fs->ops->remount)
		return fs->ops->remount(fs, flags);
	return (flags ^ fs->flags) & ZUS_MOUNT_RDONLY ? -EOPNOTSUPP : 0;
}

int zuf_op_statfs(struct zuf_task *task)
{
	struct zuf_statfs *out = (struct zuf_statfs *)task->out;
	struct zus_fs *fs = task->mount->fs;
	struct zus_statfs st;
	int err = fs->ops->statfs(fs, &st);

	if (err)
		return err;
	*out = (struct zuf_statfs){
		.blocks = st.blocks,
		.bfree = st.bfree,
		.bavail = st.bavail,
		.files = st.files,
		.ffree = st.ffree,
		.fsid = st.fsid,
		.bsize = st.bsize,
		.namelen = st.namelen,
	};
	task->rep->out_len = sizeof(*out);
	return 0;
}

int zuf_op_sync(struct zuf_task *task)
{
	struct zus_fs *fs = task->mount->fs;

	return fs->ops->sync ? fs->ops->sync(fs) : 0;
}
