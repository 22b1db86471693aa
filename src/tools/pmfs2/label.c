/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pmfs2 label: shows or sets the label.
 *
 * Order: the copy in the last block, fence, then block 0, fence, then the backing file is synced.
 * If cut: one of the two is whole at any time; a torn one fails its CRC and the other one counts. Until block 0 is whole with the
 *	new label, the old one is in force if block 0 is whole, the new one otherwise.
 */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "pmfs2/media/super.h"
#include "tools/common/say.h"
#include "tools/common/text.h"

static int label_show(const char *path, unsigned int flags)
{
	struct image img;
	int rc = image_open(path, flags, &img);

	if (rc)
		return rc;
	text_print(stdout, img.sb.label, strnlen(img.sb.label, sizeof(img.sb.label)));
	putchar('\n');
	image_close(&img);
	return EXIT_OK;
}

static int supers_write(struct image *img)
{
	struct pmem *pm = img->pm;

	super_seal(&img->sb);
	pmem_copy(pm, image_block(img, img->n_blocks - 1), &img->sb, sizeof(img->sb));
	pmem_fence(pm);
	pmem_copy(pm, image_block(img, 0), &img->sb, sizeof(img->sb));
	pmem_fence(pm);
	return pmem_sync(pm);
}

int command_label(const char *path, const char *new_label, unsigned int flags)
{
	const char *bad = new_label ? text_label_check(new_label) : NULL;
	struct image img;
	int rc, err;

	if (!new_label)
		return label_show(path, flags);
	if (bad) {
		say_error("%s", bad);
		return EXIT_USAGE;
	}
	if (flags & IMAGE_WHILE_MOUNTED) {
		say_error("%s: a label is set only while the file system is not mounted", path);
		return EXIT_USAGE;
	}
	rc = image_open(path, IMAGE_WRITE, &img);
	if (rc)
		return rc;
	if (le64_get(img.sb.ro_compat) & ~PMFS2_RO_COMPAT_KNOWN) {
		say_error("%s: uses features that this program can only read; use a newer one", path);
		image_close(&img);
		return EXIT_FAIL;
	}
	memset(img.sb.label, 0, sizeof(img.sb.label));
	memcpy(img.sb.label, new_label, strlen(new_label));
	err = supers_write(&img);
	if (err)
		say_error("%s: cannot be written to its storage: %s; see dmesg and df", path, strerror(-err));
	image_close(&img);
	return err ? EXIT_FAIL : EXIT_OK;
}
