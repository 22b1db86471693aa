/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and end: the server's channel, types, slots and their threads, each pinned to the CPU whose callers it serves. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "transport/zuf/zuf_task.h"

#define SLOTS_PER_CPU_DEFAULT 4u
#define ROOT_MAGIC 0x7a756672

int zuf_root_present(const char *root)
{
	struct statfs sfs;

	return !statfs(root, &sfs) && sfs.f_type == ROOT_MAGIC;
}

static int channel_open(const struct zuf_transport *zt)
{
	char path[sizeof(zt->root) + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/" ZUF_FILE_CHANNEL, zt->root);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int server_open(struct zuf_transport *zt)
{
	struct zuf_server_arg arg = { .version = ZUF_ABI_VERSION, .features = ZUF_FEATURE_UNWRITTEN };

	zt->server_fd = channel_open(zt);
	if (zt->server_fd < 0)
		return zt->server_fd;
	if (!ioctl(zt->server_fd, ZUF_IOC_SERVER, &arg)) {
		zt->features = arg.features;
		return 0;
	}
	if (errno == EPROTONOSUPPORT)
		log_error("zuf: the kernel's module speaks version %u of the protocol, this server %u: use those of one release",
			  arg.version, ZUF_ABI_VERSION);
	return -errno;
}

static int types_register(const struct zuf_transport *zt, const struct zuf_transport_args *args)
{
	for (size_t i = 0; i < args->n_types; i++) {
		struct zuf_type_arg arg = { .flags = args->types[i].has_device ? ZUF_TYPE_DEVICE : 0 };

		snprintf(arg.name, sizeof(arg.name), "%s", args->types[i].name);
		if (ioctl(zt->server_fd, ZUF_IOC_TYPE, &arg)) {
			int err = -errno;

			/* One that the kernel has already, from elsewhere, is no reason to serve none. */
			log_warning("zuf: cannot register the file-system type %s: %s", arg.name, strerror(-err));
			if (err != -EBUSY && err != -EEXIST)
				return err;
		}
	}
	return 0;
}

/* --- threads ---------------------------------------------------------------------------------- */

/*
 * Above ordinary threads: who hands over a request goes on at once in the thread that serves it, and has its answer when it runs
 * again. Low again for work without a bound. The kernel keeps 5 % of a CPU for others in any case.
 */
void zuf_slot_rank(bool high)
{
	const struct sched_param param = { .sched_priority = high ? 1 : 0 };

	sched_setscheduler(0, (high ? SCHED_FIFO : SCHED_OTHER) | SCHED_RESET_ON_FORK, &param);
}

static void slot_main(void *arg)
{
	struct zuf_slot *slot = arg;

	zuf_slot_rank(true);
	zuf_slot_run(slot);
}

static int slot_open(struct zuf_slot *slot)
{
	struct zuf_channel_arg arg = { .cpu = (uint32_t)slot->cpu };
	void *buf;

	slot->fd = channel_open(slot->zt);
	if (slot->fd < 0)
		return slot->fd;
	if (ioctl(slot->fd, ZUF_IOC_CHANNEL, &arg))
		return -errno;
	buf = mmap(NULL, ZUF_BUFFER_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, slot->fd, 0);
	if (buf == MAP_FAILED)
		return -errno;
	slot->buf = buf;
	return 0;
}

static int slots_start(struct zuf_transport *zt, uint32_t per_cpu)
{
	long n_cpus = sysconf(_SC_NPROCESSORS_CONF);
	uint32_t n = (n_cpus > 0 ? (uint32_t)n_cpus : 1) * per_cpu;
	int err = 0;

	zt->slots = calloc(n, sizeof(*zt->slots));
	if (!zt->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !err; i++) {
		struct zuf_slot *slot = &zt->slots[i];
		char name[16];

		slot->zt = zt;
		slot->fd = -1;
		slot->cpu = (int)(i / per_cpu);
		zt->n_slots++;
		snprintf(name, sizeof(name), "zuf-%d", slot->cpu);
		err = slot_open(slot);
		if (!err)
			err = thread_start(&slot->thread, name, slot->cpu, slot_main, slot);
	}
	snprintf(zt->name, sizeof(zt->name), "zuf, %u threads", zt->n_slots);
	return err;
}

static void slot_stop(struct zuf_slot *slot)
{
	thread_stop(&slot->thread);
	if (slot->buf)
		munmap(slot->buf, ZUF_BUFFER_LEN);
	if (slot->fd >= 0)
		close(slot->fd);
}

int zuf_transport_start(const struct zuf_transport_args *args, struct zuf_transport **out_zt)
{
	struct zuf_transport *zt = calloc(1, sizeof(*zt));
	uint32_t per_cpu = args->slots_per_cpu ? args->slots_per_cpu : SLOTS_PER_CPU_DEFAULT;
	int err;

	if (!zt)
		return -ENOMEM;
	snprintf(zt->root, sizeof(zt->root), "%s", args->root);
	zt->ops = args->ops;
	zt->ctx = args->ctx;
	zt->server_fd = -1;
	err = zuf_root_present(zt->root) ? server_open(zt) : -ENOENT;
	if (!err)
		err = types_register(zt, args);
	if (!err)
		err = slots_start(zt, per_cpu < ZUF_SLOTS_PER_CPU_MAX ? per_cpu : ZUF_SLOTS_PER_CPU_MAX);
	if (!err && ioctl(zt->server_fd, ZUF_IOC_READY))
		err = -errno;
	if (err) {
		zuf_transport_free(zt);
		return err;
	}
	*out_zt = zt;
	return 0;
}

void zuf_transport_free(struct zuf_transport *zt)
{
	if (!zt)
		return;
	__atomic_store_n(&zt->stopping, 1, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < zt->n_slots; i++)
		slot_stop(&zt->slots[i]);
	if (zt->server_fd >= 0)
		close(zt->server_fd);
	zuf_mounts_free(zt);
	free(zt->slots);
	free(zt);
}

const char *zuf_transport_name(const struct zuf_transport *zt)
{
	return zt->name;
}
