/* SPDX-License-Identifier: BSD-3-Clause */
/* The device as fsck sees it: private copies of blocks, and giving mapped pages back. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fsck/disk.h"
#include "pmem/badpages.h"

void disk_fini(struct disk *disk)
{
	for (uint64_t i = 0; i < disk->cap_copies; i++)
		free(disk->copy_page[i]);
	free(disk->copy_block);
	free(disk->copy_page);
	disk->copy_block = NULL;
	disk->copy_page = NULL;
	disk->n_copies = disk->cap_copies = 0;
}

/* The place of a block, or the free one where it belongs. Block 0 is never copied. */
static uint64_t copy_place(const struct disk *disk, uint64_t block)
{
	uint64_t i = (block * 0x9e3779b97f4a7c15ull >> 20) & (disk->cap_copies - 1);

	while (disk->copy_block[i] && disk->copy_block[i] != block)
		i = (i + 1) & (disk->cap_copies - 1);
	return i;
}

static int copies_grow(struct disk *disk)
{
	struct disk old = *disk;
	uint64_t cap = old.cap_copies ? 2 * old.cap_copies : 64;

	disk->copy_block = calloc(cap, sizeof(*disk->copy_block));
	disk->copy_page = calloc(cap, sizeof(*disk->copy_page));
	if (!disk->copy_block || !disk->copy_page) {
		free(disk->copy_block);
		free(disk->copy_page);
		*disk = old;
		return 0;
	}
	disk->cap_copies = cap;
	for (uint64_t i = 0; i < old.cap_copies; i++) {
		uint64_t to;

		if (!old.copy_block[i])
			continue;
		to = copy_place(disk, old.copy_block[i]);
		disk->copy_block[to] = old.copy_block[i];
		disk->copy_page[to] = old.copy_page[i];
	}
	free(old.copy_block);
	free(old.copy_page);
	return 1;
}

uint8_t *disk_copy_block(struct disk *disk, uint64_t block)
{
	uint64_t i;
	uint8_t *page;

	if (2 * (disk->n_copies + 1) > disk->cap_copies && !copies_grow(disk))
		return NULL;
	i = copy_place(disk, block);
	if (disk->copy_block[i])
		return disk->copy_page[i];
	page = malloc(PMFS2_BLOCK_SIZE);
	if (!page)
		return NULL;
	memcpy(page, disk->pm->base + (block << PMFS2_BLOCK_SHIFT), PMFS2_BLOCK_SIZE);
	disk->copy_block[i] = block;
	disk->copy_page[i] = page;
	disk->n_copies++;
	return page;
}

const void *disk_block_copied(const struct disk *disk, uint64_t block)
{
	uint64_t i = copy_place(disk, block);

	return disk->copy_block[i] ? disk->copy_page[i] : disk->pm->base + (block << PMFS2_BLOCK_SHIFT);
}

/* Pages of this process in core, in bytes. 0 if that cannot be said. */
static uint64_t resident_bytes(void)
{
	unsigned long long total = 0, resident = 0;
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0 || sscanf(text, "%llu %llu", &total, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void disk_trim(const struct disk *disk, uint64_t bytes)
{
	const struct pmem *pm = disk->pm;

	/* Private memory would lose what was stored; a shared mapping only has to be faulted in again. So would the pages that
	 * stand for bad ones. */
	if (pm->sim || pmem_n_bad(pm) ||
	    (pm->kind != PMEM_KIND_FILE && pm->kind != PMEM_KIND_FSDAX && pm->kind != PMEM_KIND_DEVDAX))
		return;
	if (resident_bytes() > bytes)
		madvise(pm->base, pm->size, MADV_DONTNEED);
}
