/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is on a device already. libblkid reads through a descriptor; a device-DAX node has no read(2), so its first and last
 * megabytes, where every signature stands, are copied into a memory file of the same (sparse) size.
 */
#include "probe.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "pmfs2/media/super.h"
#include "tools/common/text.h"

#define COPY_BYTES (4ull << 20) /* each end */
#define ROUNDS_MAX 64u /* signatures wiped at most; a device holds a handful */

struct signature {
	char type[64];
	char label[128];
	uint64_t off; /* of its magic, bytes */
	uint64_t len;
	int is_table;
};

static int copy_range(const struct pmem *pm, int fd, uint64_t off, uint64_t len)
{
	while (len) {
		ssize_t n = pwrite(fd, pm->base + off, len, (off_t)off);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* A descriptor that libblkid can read. *out_own: to be closed. */
static int readable_fd(const struct pmem *pm, int *out_own)
{
	uint64_t len = u64_min(pm->size, COPY_BYTES);
	int fd, err;

	*out_own = 0;
	if (pm->kind != PMEM_KIND_DEVDAX)
		return pm->fd;
	fd = memfd_create("mkfs.pmfs2", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = ftruncate(fd, (off_t)pm->size) ? -errno : 0;
	if (!err)
		err = copy_range(pm, fd, 0, len);
	if (!err)
		err = copy_range(pm, fd, pm->size - len, len);
	if (err) {
		close(fd);
		return err;
	}
	*out_own = 1;
	return fd;
}

static void signature_fill(blkid_probe pr, struct signature *out)
{
	const char *type = NULL, *off = NULL, *magic = NULL, *label = NULL;
	size_t len = 0;

	memset(out, 0, sizeof(*out));
	if (blkid_probe_lookup_value(pr, "TYPE", &type, NULL)) {
		out->is_table = !blkid_probe_lookup_value(pr, "PTTYPE", &type, NULL);
		blkid_probe_lookup_value(pr, "PTMAGIC_OFFSET", &off, NULL);
		blkid_probe_lookup_value(pr, "PTMAGIC", &magic, &len);
	} else {
		blkid_probe_lookup_value(pr, "SBMAGIC_OFFSET", &off, NULL);
		blkid_probe_lookup_value(pr, "SBMAGIC", &magic, &len);
		blkid_probe_lookup_value(pr, "LABEL", &label, NULL);
	}
	snprintf(out->type, sizeof(out->type), "%s", type ? type : "unknown");
	snprintf(out->label, sizeof(out->label), "%s", label ? label : "");
	out->off = off ? strtoull(off, NULL, 10) : 0;
	out->len = off && magic ? len : 0;
}

/* The first signature that libblkid finds. 1, 0, -errno. */
static int blkid_first(int fd, struct signature *out)
{
	blkid_probe pr = blkid_new_probe();
	int rc;

	if (!pr)
		return -ENOMEM;
	if (blkid_probe_set_device(pr, fd, 0, 0)) {
		rc = errno ? -errno : -EIO;
		goto free_probe;
	}
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_BADCSUM);
	blkid_probe_enable_partitions(pr, 1);
	blkid_probe_set_partitions_flags(pr, BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);
	rc = blkid_do_probe(pr);
	if (!rc)
		signature_fill(pr, out);
	rc = rc == 0 ? 1 : rc == 1 ? 0 : -EIO;
free_probe:
	blkid_free_probe(pr);
	return rc;
}

/* Our magic in block 0 or in the last block, whole or damaged: somebody's files may hang on it. */
static int own_find(const struct pmem *pm, char *buf, size_t cap)
{
	uint64_t last = round_down_to(pm->size, PMFS2_BLOCK_SIZE) - PMFS2_BLOCK_SIZE, offs[] = { 0, last };
	char uuid[TEXT_UUID_LEN];
	struct pmfs2_super sb;

	for (size_t i = 0; i < ARRAY_SIZE(offs); i++) {
		memcpy(&sb, pmem_at(pm, offs[i]), sizeof(sb));
		if (le64_get(sb.magic) != PMFS2_MAGIC_SUPER)
			continue;
		snprintf(buf, cap, "a pmfs2 file system (%s%s)", i ? "only the copy of its superblock is left, uuid " : "uuid ",
			 text_uuid(sb.uuid, uuid));
		return 1;
	}
	return 0;
}

int probe_find(const struct pmem *pm, char *buf, size_t cap)
{
	struct signature sig;
	int own, fd, rc;

	if (own_find(pm, buf, cap))
		return 1;
	fd = readable_fd(pm, &own);
	if (fd < 0)
		return fd;
	rc = blkid_first(fd, &sig);
	if (own)
		close(fd);
	if (rc > 0 && sig.is_table)
		snprintf(buf, cap, "a partition table (%s)", sig.type);
	else if (rc > 0)
		snprintf(buf, cap, "%s%s%s%s%s", sig.type, !strcmp(sig.type, "swap") ? " space" : "",
			 sig.label[0] ? " (label " : "", sig.label, sig.label[0] ? ")" : "");
	return rc;
}

static int wipe_one(struct pmem *pm, const struct signature *sig)
{
	if (!sig->len || sig->off >= pm->size || sig->len > pm->size - sig->off)
		return -ENOTSUP;
	pmem_zero(pm, pmem_at(pm, sig->off), sig->len);
	pmem_fence(pm);
	return 0;
}

int probe_wipe(struct pmem *pm)
{
	for (uint32_t round = 0; round < ROUNDS_MAX; round++) {
		struct signature sig;
		int own, rc, fd = readable_fd(pm, &own);

		if (fd < 0)
			return fd;
		rc = blkid_first(fd, &sig);
		if (own)
			close(fd);
		if (rc <= 0)
			return rc;
		rc = wipe_one(pm, &sig);
		if (rc)
			return rc;
	}
	return 0;
}
