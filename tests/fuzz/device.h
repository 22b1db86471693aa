/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A seed image as a device that can be had back unharmed in microseconds: a private mapping of the image in memory, between pages
 * that may not be touched. A read behind the device kills the process.
 */
#ifndef TESTS_FUZZ_DEVICE_H
#define TESTS_FUZZ_DEVICE_H

#include <stdint.h>

#include "image_map.h"
#include "pmem/pmem.h"
#include "seed.h"

struct device {
	enum seed_kind kind;
	int fd;
	uint8_t *base; /* SEED_BYTES, may be changed */
	struct image_map map;
};

/* Dies where it cannot be made. */
struct device *device_new(enum seed_kind kind);
void device_free(struct device *dev);
/* Forgets every change. */
void device_reset(struct device *dev);
/* For the engine; closing it leaves the device as it is. */
struct pmem *device_open(struct device *dev);

#endif
