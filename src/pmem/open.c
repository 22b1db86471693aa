/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening and closing of what is mapped: device-DAX nodes, files on DAX file systems, plain files, block devices, memory.
 *
 * Two locks keep a second user away: flock(2) on the file or device node (our own programs), and O_EXCL on block devices (the
 * kernel's mounts, md, lvm, ...). Both end with the process, whatever kills it. Through a loop device the file under it is locked
 * too, and a file that a loop device shows is not written.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "pmem/badpages.h"
#include "pmem/isa.h"
#include "pmem/loop.h"
#include "pmem/map.h"
#include "pmem/pmem.h"
#include "pmem/sim_record.h"

#define PAGE_BYTES 4096u
#define DEVICE_LOCK_TRIES 50 /* udev holds a shared lock on a device while it looks at it */
#define DEVICE_LOCK_WAIT_MS 10

/* A number in /sys/dev/TYPE/MAJOR:MINOR/attribute, TYPE "char" or "block"; decimal or 0x. */
static int sysfs_u64(const char *type, dev_t rdev, const char *attribute, uint64_t *out_value)
{
	char path[PATH_MAX], text[32] = "", *end;
	unsigned long long value;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/%s/%u:%u/%s", type, major(rdev), minor(rdev), attribute);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || (*end && *end != '\n'))
		return -EIO;
	*out_value = value;
	return 0;
}

/* True for /dev/pmem0 and its partitions: memory, which the kernel nevertheless maps through the page cache. */
static int is_dax_block_device(dev_t rdev)
{
	uint64_t dax = 0;

	if (sysfs_u64("block", rdev, "queue/dax", &dax))
		sysfs_u64("block", rdev, "../queue/dax", &dax);
	return dax == 1;
}

static int is_device_dax(dev_t rdev)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *name;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/subsystem", major(rdev), minor(rdev));
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return 0;
	target[n] = '\0';
	name = strrchr(target, '/');
	return !strcmp(name ? name + 1 : target, "dax");
}

/* Locks the open file; waits a little for udev on devices. */
static int lock_fd(int fd, mode_t type, int shared)
{
	const struct timespec wait = { .tv_nsec = DEVICE_LOCK_WAIT_MS * 1000000L };
	int tries = S_ISREG(type) ? 1 : DEVICE_LOCK_TRIES;

	while (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (--tries <= 0)
			return -EBUSY;
		nanosleep(&wait, NULL);
	}
	return 0;
}

/*
 * The lock of the file under a loop device, in *out_fd (unchanged where there is none, or none that we may open). A device that
 * shows a part of the file leaves the other parts to others.
 */
static int lock_backing(int fd, dev_t rdev, int rdonly, int *out_fd)
{
	int is_part, file, err;
	struct stat st;

	if (loop_open_backing(fd, rdev, rdonly ? O_RDONLY : O_RDWR, &is_part, &file))
		return 0;
	err = fstat(file, &st) ? -errno : lock_fd(file, st.st_mode, rdonly || is_part);
	if (err)
		close(file);
	else
		*out_fd = file;
	return err;
}

/* Keeps others away from pm->fd. The file is locked before loop devices over it are looked for: who opens one needs that lock. */
static int lock_all(struct pmem *pm, const struct stat *st)
{
	char name[LOOP_NAME_LEN];
	int err = lock_fd(pm->fd, st->st_mode, pm->rdonly);

	if (err)
		return err;
	if (S_ISBLK(st->st_mode))
		return lock_backing(pm->fd, st->st_rdev, pm->rdonly, &pm->backing_fd);
	return S_ISREG(st->st_mode) && !pm->rdonly && loop_over_file(st, name) ? -EBUSY : 0;
}

/* Opens path as pm->fd and locks it. out_st: of the open file. */
static int open_backing(struct pmem *pm, const char *path, unsigned int flags, struct stat *out_st)
{
	int lock = !(flags & PMEM_OPEN_NOLOCK);
	int oflags = (pm->rdonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;
	int err = 0;

	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode) && !(S_ISCHR(st.st_mode) && is_device_dax(st.st_rdev)))
		return -ENOTBLK;
	if (S_ISBLK(st.st_mode) && lock && !pm->rdonly)
		oflags |= O_EXCL;
	pm->fd = open(path, oflags);
	if (pm->fd < 0)
		return -errno;
	if (fstat(pm->fd, out_st))
		err = -errno;
	else if ((out_st->st_mode & S_IFMT) != (st.st_mode & S_IFMT) || out_st->st_rdev != st.st_rdev)
		err = -ENOTBLK; /* replaced between the two calls */
	else if (lock)
		err = lock_all(pm, out_st);
	if (err)
		close(pm->fd);
	return err;
}

static void close_backing(struct pmem *pm)
{
	if (pm->backing_fd >= 0)
		close(pm->backing_fd);
	if (pm->fd >= 0)
		close(pm->fd);
}

/* Bytes that can be mapped, and the alignment that the mapping needs. */
static int backing_size(int fd, const struct stat *st, uint64_t *out_size, uint64_t *out_align)
{
	uint64_t size = 0, align = PMEM_MAP_ALIGN;
	int err = 0;

	if (S_ISREG(st->st_mode)) {
		size = (uint64_t)st->st_size;
	} else if (S_ISBLK(st->st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &size))
			err = -errno;
	} else {
		uint64_t dev_align;

		err = sysfs_u64("char", st->st_rdev, "size", &size);
		if (!sysfs_u64("char", st->st_rdev, "align", &dev_align) && dev_align > align && !(dev_align & (dev_align - 1)))
			align = dev_align;
	}
	if (err)
		return err;
	size = round_down_to(size, PAGE_BYTES);
	if (!size)
		return -EINVAL;
	*out_size = size;
	*out_align = align;
	return 0;
}

/* Maps pm->fd; finds out whether it is direct. */
static int map_backing(struct pmem *pm, mode_t type, uint64_t align)
{
	struct pmem_map_request req = {
		.len = pm->size,
		.align = align,
		.prot = pm->rdonly ? PROT_READ : PROT_READ | PROT_WRITE,
		.flags = MAP_SHARED,
		.fd = pm->fd,
	};
	struct statfs sfs;
	int err;

	if (S_ISCHR(type)) {
		pm->kind = PMEM_KIND_DEVDAX;
		return pmem_map(&req, &pm->base);
	}
	req.flags = MAP_SHARED_VALIDATE | MAP_SYNC;
	pm->kind = PMEM_KIND_FSDAX;
	if (!pmem_map(&req, &pm->base))
		return 0;
	req.flags = MAP_SHARED;
	pm->kind = PMEM_KIND_FILE;
	err = pmem_map(&req, &pm->base);
	if (!err && !fstatfs(pm->fd, &sfs) && sfs.f_type == TMPFS_MAGIC)
		madvise(pm->base, pm->size, MADV_HUGEPAGE);
	return err;
}

static struct pmem *pmem_alloc(enum pmem_kind kind)
{
	struct pmem *pm = calloc(1, sizeof(*pm));

	if (!pm)
		return NULL;
	pm->kind = kind;
	pm->fd = -1;
	pm->backing_fd = -1;
	pm->isa = pmem_isa_best();
	pm->bad_unit = PMEM_BAD_PAGE;
	pthread_mutex_init(&pm->sync_lock, NULL);
	return pm;
}

int pmem_open(const char *path, unsigned int flags, struct pmem **out_pm)
{
	struct pmem *pm;
	struct stat st;
	uint64_t align;
	int err;

	pm = pmem_alloc(PMEM_KIND_FILE);
	if (!pm)
		return -ENOMEM;
	pm->rdonly = (flags & PMEM_OPEN_RDONLY) != 0;
	err = open_backing(pm, path, flags, &st);
	if (err)
		goto free_pm;
	err = backing_size(pm->fd, &st, &pm->size, &align);
	if (err)
		goto close_fd;
	err = map_backing(pm, st.st_mode, align);
	if (err)
		goto close_fd;
	pm->block_dax = S_ISBLK(st.st_mode) && is_dax_block_device(st.st_rdev);
	/* The mapping of a device-DAX node can be cut at multiples of its alignment only. */
	if (pm->kind == PMEM_KIND_DEVDAX)
		pm->bad_unit = align;
	err = pmem_faults_add(pm);
	if (err)
		goto unmap;
	*out_pm = pm;
	return 0;
unmap:
	munmap(pm->base, pm->size);
close_fd:
	close_backing(pm);
free_pm:
	pthread_mutex_destroy(&pm->sync_lock);
	free(pm);
	return err;
}

int pmem_open_anon(uint64_t size, struct pmem **out_pm)
{
	struct pmem_map_request req = {
		.len = round_up_to(size, PMEM_MAP_ALIGN),
		.align = PMEM_MAP_ALIGN,
		.prot = PROT_READ | PROT_WRITE,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS,
		.fd = -1,
	};
	struct pmem *pm = pmem_alloc(PMEM_KIND_ANON);
	int err;

	if (!pm)
		return -ENOMEM;
	err = pmem_map(&req, &pm->base);
	if (err)
		goto free_pm;
	pm->size = req.len;
	err = pmem_faults_add(pm);
	if (err)
		goto unmap;
	*out_pm = pm;
	return 0;
unmap:
	munmap(pm->base, pm->size);
free_pm:
	free(pm);
	return err;
}

int pmem_open_external(void *base, uint64_t size, struct pmem **out_pm)
{
	struct pmem *pm;
	int err;

	if (!base || (uintptr_t)base % PAGE_BYTES || !size)
		return -EINVAL;
	pm = pmem_alloc(PMEM_KIND_EXTERNAL);
	if (!pm)
		return -ENOMEM;
	pm->base = base;
	pm->size = size;
	err = pmem_faults_add(pm);
	if (err) {
		free(pm);
		return err;
	}
	*out_pm = pm;
	return 0;
}

void pmem_close(struct pmem *pm)
{
	if (!pm)
		return;
	sim_free(pm->sim);
	pmem_faults_remove(pm);
	pthread_mutex_destroy(&pm->sync_lock);
	if (pm->base && pm->kind != PMEM_KIND_EXTERNAL)
		munmap(pm->base, pm->size);
	close_backing(pm);
	free(pm);
}

static int sync_fd(int fd)
{
	while (fdatasync(fd))
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* One at a time, so that no call can miss the error that another one was told. A sync that began after the call serves for it. */
int pmem_sync(struct pmem *pm)
{
	uint64_t enough;
	int err;

	if (pm->kind != PMEM_KIND_FILE || pm->rdonly)
		return 0;
	/* Written, not only read: what was stored before is seen by whoever counts on from here. */
	enough = __atomic_fetch_add(&pm->n_sync_begun, 0, __ATOMIC_SEQ_CST) + 1;
	pthread_mutex_lock(&pm->sync_lock);
	if (!pm->sync_err && pm->n_sync_done < enough) {
		uint64_t n = __atomic_add_fetch(&pm->n_sync_begun, 1, __ATOMIC_SEQ_CST);

		pm->sync_err = sync_fd(pm->fd);
		pm->n_sync_done = n;
	}
	err = pm->sync_err;
	pthread_mutex_unlock(&pm->sync_lock);
	return err;
}

const char *pmem_kind_name(enum pmem_kind kind)
{
	static const char *const names[] = {
		[PMEM_KIND_DEVDAX] = "devdax", [PMEM_KIND_FSDAX] = "fsdax",       [PMEM_KIND_FILE] = "file",
		[PMEM_KIND_ANON] = "memory",   [PMEM_KIND_EXTERNAL] = "external", [PMEM_KIND_SIM] = "simulated",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

const char *pmem_isa_name(const struct pmem *pm)
{
	return pm->sim ? "simulated" : pm->isa->name;
}

const char *pmem_notice(const struct pmem *pm)
{
	switch (pm->kind) {
	case PMEM_KIND_FILE:
		if (pm->block_dax)
			return "the kernel maps this pmem device through its page cache: after a power failure there is only "
			       "what fsync() wrote, and fsck.pmfs2 may be needed. For direct access use a "
			       "device-DAX node (ndctl create-namespace -m devdax) or a file on a DAX file system";
		return "backing file is not persistent memory: everything survives a crash of the server, but after a "
		       "power failure or kernel crash there is only what fsync() wrote, and the file system may need fsck.pmfs2";
	case PMEM_KIND_ANON:
	case PMEM_KIND_SIM:
		return "backing is memory of the server: nothing survives its end";
	default:
		if (!pm->isa->writes_back)
			return "no known instruction writes this CPU's caches back: a power failure may lose data";
		return "";
	}
}
