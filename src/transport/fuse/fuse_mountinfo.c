/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading the mount table, /proc/self/mountinfo. The file systems themselves are not touched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "transport/fuse/fuse_mount.h"

/* Copies a field, with \040 and the like made one character again. Returns -EBADMSG if it does not fit. */
static int field_unescape(const char *src, size_t len, char *dst, size_t cap)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		char c = src[i];

		if (c == '\\' && len - i > 3 && src[i + 1] >= '0' && src[i + 1] <= '3' && src[i + 2] >= '0' &&
		    src[i + 2] <= '7' && src[i + 3] >= '0' && src[i + 3] <= '7') {
			c = (char)((src[i + 1] - '0') * 64 + (src[i + 2] - '0') * 8 + (src[i + 3] - '0'));
			i += 3;
		}
		if (used + 1 >= cap)
			return -EBADMSG;
		dst[used++] = c;
	}
	dst[used] = '\0';
	return 0;
}

/* The next field of the line; moves *pos behind it. NULL at the end. */
static const char *field_next(const char **pos, size_t *out_len)
{
	const char *start = *pos + strspn(*pos, " ");

	*out_len = strcspn(start, " \n");
	*pos = start + *out_len;
	return *out_len ? start : NULL;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" */
int fuse_mount_parse_line(const char *line, struct fuse_mount_entry *out_entry)
{
	unsigned int major_no, minor_no;
	const char *pos = line, *field;
	size_t len;

	for (int i = 0; i < 3; i++) {
		field = field_next(&pos, &len);
		if (!field)
			return -EBADMSG;
	}
	if (sscanf(field, "%u:%u", &major_no, &minor_no) != 2)
		return -EBADMSG;
	out_entry->devno = makedev(major_no, minor_no);
	if (!field_next(&pos, &len) || !(field = field_next(&pos, &len)) ||
	    field_unescape(field, len, out_entry->dir, sizeof(out_entry->dir)))
		return -EBADMSG;
	field = field_next(&pos, &len);
	if (!field || field_unescape(field, len, out_entry->options, sizeof(out_entry->options)))
		return -EBADMSG;
	do
		field = field_next(&pos, &len);
	while (field && !(len == 1 && *field == '-'));
	field = field ? field_next(&pos, &len) : NULL;
	if (!field || field_unescape(field, len, out_entry->type, sizeof(out_entry->type)))
		return -EBADMSG;
	/* An empty source leaves two spaces: then the options are where the source is looked for, which does no harm. */
	field = field_next(&pos, &len);
	if (!field || field_unescape(field, len, out_entry->source, sizeof(out_entry->source)))
		return -EBADMSG;
	field = field_next(&pos, &len);
	return field_unescape(field ? field : "", field ? len : 0, out_entry->sb_options, sizeof(out_entry->sb_options));
}

int fuse_mount_entry_is(const struct fuse_mount_entry *entry, const char *subtype, const char *source)
{
	return !strncmp(entry->type, "fuse.", 5) && !strcmp(entry->type + 5, subtype) && !strcmp(entry->source, source);
}

typedef int (*entry_match_fn)(const struct fuse_mount_entry *entry, const void *want);

static int match_dir(const struct fuse_mount_entry *entry, const void *want)
{
	return !strcmp(entry->dir, want);
}

static int match_devno(const struct fuse_mount_entry *entry, const void *want)
{
	return entry->devno == *(const uint64_t *)want;
}

/* Counts the entries that match; the last of them, which lies on top, is copied to *out_entry (may be NULL). */
static unsigned int mountinfo_search(entry_match_fn match, const void *want, struct fuse_mount_entry *out_entry)
{
	struct fuse_mount_entry *entry = malloc(sizeof(*entry));
	FILE *f = fopen("/proc/self/mountinfo", "re");
	unsigned int n = 0;
	char *line = NULL;
	size_t cap = 0;

	while (f && entry && getline(&line, &cap, f) > 0) {
		if (fuse_mount_parse_line(line, entry) || !match(entry, want))
			continue;
		n++;
		if (out_entry)
			*out_entry = *entry;
	}
	if (f)
		fclose(f);
	free(line);
	free(entry);
	return n;
}

int fuse_mount_find(const char *dir, struct fuse_mount_entry *out_entry)
{
	return mountinfo_search(match_dir, dir, out_entry) ? 0 : -ENOENT;
}

int fuse_mount_find_devno(uint64_t devno, struct fuse_mount_entry *out_entry)
{
	return mountinfo_search(match_devno, &devno, out_entry) ? 0 : -ENOENT;
}

unsigned int fuse_mount_count(uint64_t devno)
{
	return mountinfo_search(match_devno, &devno, NULL);
}
