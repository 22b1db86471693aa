/* SPDX-License-Identifier: BSD-3-Clause */
/* pmfs2 dump DEVICE inode N: every field, the target of a symlink, the names and sizes of the xattrs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "commands.h"
#include "report.h"
#include "tools/common/say.h"
#include "tools/common/text.h"

static void owner_dump(struct report *rep, const struct pmfs2_inode *in)
{
	uint32_t mode = le32_get(in->mode);
	char text[80];

	snprintf(text, sizeof(text), "%06o (%s, %04o)", mode, image_mode_name(mode), mode & 07777);
	report_str(rep, "mode", text);
	report_u64(rep, "generation", le32_get(in->generation));
	report_u64(rep, "links", le32_get(in->nlink));
	report_u64(rep, "uid", le32_get(in->uid));
	report_u64(rep, "gid", le32_get(in->gid));
	report_hex(rep, "flags", le32_get(in->flags));
	report_u64(rep, "project", le32_get(in->projid));
	if (S_ISDIR(mode)) {
		report_u64(rep, "parent", le64_get(in->parent_or_rdev));
		report_u64(rep, "entries", le64_get(in->size));
	} else {
		report_bytes(rep, "size", le64_get(in->size));
	}
	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		snprintf(text, sizeof(text), "%u:%u", major(le64_get(in->parent_or_rdev)), minor(le64_get(in->parent_or_rdev)));
		report_str(rep, "device_number", text);
	}
	report_u64(rep, "blocks", le64_get(in->blocks));
}

static void times_dump(struct report *rep, const struct pmfs2_inode *in)
{
	char text[IMAGE_TIME_LEN];

	report_str(rep, "accessed", image_time(le64_get(in->atime), text));
	report_str(rep, "modified", image_time(le64_get(in->mtime), text));
	report_str(rep, "changed", image_time(le64_get(in->ctime), text));
	report_str(rep, "born", image_time(le64_get(in->btime), text));
}

static const char *prefix_name(uint8_t prefix)
{
	switch (prefix) {
	case PMFS2_XATTR_USER:
		return "user.";
	case PMFS2_XATTR_TRUSTED:
		return "trusted.";
	case PMFS2_XATTR_SECURITY:
		return "security.";
	case PMFS2_XATTR_ACL_ACCESS:
		return "system.posix_acl_access";
	case PMFS2_XATTR_ACL_DEFAULT:
		return "system.posix_acl_default";
	default:
		return NULL;
	}
}

/* bytes: on media, checked by their CRC, or a copy. */
static void records_dump(struct image *img, uint64_t ino, const uint8_t *bytes, uint32_t used)
{
	struct pmfs2_xattr_rec rec;
	uint32_t len;

	for (uint32_t pos = 0; pos < used; pos += len) {
		const char *prefix;

		len = 0;
		if (used - pos >= sizeof(rec)) {
			memcpy(&rec, bytes + pos, sizeof(rec));
			len = le16_get(rec.rec_words) * 8u;
		}
		if (len < sizeof(rec) || len > used - pos || le32_get(rec.value_len) > len ||
		    sizeof(rec) + rec.name_len + le32_get(rec.value_len) > len) {
			image_damage(img, "inode %llu: xattr record at byte %u of %u", (unsigned long long)ino, pos, used);
			return;
		}
		prefix = prefix_name(rec.prefix);
		if (!prefix)
			image_damage(img, "inode %llu: xattr record at byte %u: unknown prefix %u", (unsigned long long)ino, pos,
				     rec.prefix);
		printf("xattr %s", prefix ? prefix : "?");
		text_print(stdout, (const char *)bytes + pos + sizeof(rec), rec.name_len);
		printf(" (%u bytes)\n", le32_get(rec.value_len));
	}
}

static void xattr_block_dump(struct image *img, uint64_t ino, uint64_t word)
{
	struct image_xattrs xattrs;

	if (image_xattrs(img, ino, word, &xattrs))
		return;
	printf("xattr block %llu (of %u), %u bytes used\n", (unsigned long long)xattrs.block, xattrs.n_blocks, xattrs.used);
	records_dump(img, ino, xattrs.records, xattrs.used);
}

static void tail_dump(struct image *img, const struct pmfs2_inode *in)
{
	uint32_t inline_len = le16_get(in->inline_len), xattr_len = le16_get(in->inline_xattr_len);
	uint64_t ino = le64_get(in->ino);

	if (inline_len > PMFS2_INODE_TAIL || xattr_len > PMFS2_INODE_TAIL || (inline_len && xattr_len)) {
		image_damage(img, "inode %llu: %u bytes of symlink and %u of xattrs in a tail of %u", (unsigned long long)ino,
			     inline_len, xattr_len, PMFS2_INODE_TAIL);
		return;
	}
	if (inline_len) {
		printf("symlink to ");
		text_print(stdout, (const char *)in->tail, inline_len);
		putchar('\n');
	}
	records_dump(img, ino, in->tail, xattr_len);
}

int dump_inode(struct image *img, uint64_t ino)
{
	struct pmfs2_inode in;
	struct report rep;
	uint64_t off;
	int err = image_inode(img, ino, &in, &off);

	if (err == -ENOENT) {
		say_error("%s: there is no inode %llu (a multiple of 256 never is one)", img->path, (unsigned long long)ino);
		return EXIT_FAIL;
	}
	if (!off)
		return EXIT_DAMAGED;
	report_begin(&rep, 0);
	report_u64(&rep, "inode", ino);
	report_hex(&rep, "at_byte", off);
	owner_dump(&rep, &in);
	times_dump(&rep, &in);
	report_hex(&rep, S_ISDIR(le32_get(in.mode)) ? "directory_root" : "map_root", le64_get(in.root));
	report_hex(&rep, "xattr_root", le64_get(in.xattr));
	report_u64(&rep, "intent_slot_+_1", le32_get(in.intent));
	report_end(&rep);
	tail_dump(img, &in);
	if (le64_get(in.xattr))
		xattr_block_dump(img, ino, le64_get(in.xattr));
	return 0;
}
