/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices are private mappings of a file in memory: dropping their pages brings the file's contents back. */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD_BYTES (1u << 20)

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static void seed_store(int fd, enum seed_kind kind)
{
	uint8_t *image = seed_make(kind);
	uint64_t done = 0;

	must(!ftruncate(fd, SEED_BYTES), "ftruncate");
	while (done < SEED_BYTES) {
		ssize_t n = pwrite(fd, image + done, SEED_BYTES - done, (off_t)done);

		must(n > 0, "pwrite");
		done += (uint64_t)n;
	}
	seed_free(image);
}

struct device *device_new(enum seed_kind kind)
{
	struct device *dev = malloc(sizeof(*dev));
	uint8_t *area;

	must(dev != NULL, "malloc");
	dev->kind = kind;
	dev->fd = memfd_create("seed", MFD_CLOEXEC);
	must(dev->fd >= 0, "memfd_create");
	seed_store(dev->fd, kind);
	area = mmap(NULL, SEED_BYTES + 2 * GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(area != MAP_FAILED, "mmap");
	dev->base = mmap(area + GUARD_BYTES, SEED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, dev->fd, 0);
	must(dev->base != MAP_FAILED, "mmap");
	image_map_make(&dev->map, dev->base);
	return dev;
}

void device_free(struct device *dev)
{
	if (!dev)
		return;
	munmap(dev->base - GUARD_BYTES, SEED_BYTES + 2 * GUARD_BYTES);
	close(dev->fd);
	free(dev);
}

void device_reset(struct device *dev)
{
	must(!madvise(dev->base, SEED_BYTES, MADV_DONTNEED), "madvise");
}

struct pmem *device_open(struct device *dev)
{
	struct pmem *pm;

	must(!pmem_open_external(dev->base, SEED_BYTES, &pm), "pmem_open_external");
	return pm;
}
