/* SPDX-License-Identifier: BSD-3-Clause */
/* See ack_state.h: operations on a real directory, and its comparison with a state. */
#include "ack_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR "user.ack"

static const char *slot_name(uint32_t slot, char buf[16])
{
	snprintf(buf, 16, "s%u", slot);
	return buf;
}

static void target_text(uint32_t stamp, char buf[32])
{
	snprintf(buf, 32, "target/%u", stamp);
}

static int err_of(long rc)
{
	return rc < 0 ? -errno : 0;
}

static int write_file(int dirfd, const char *name, const struct ack_op *op)
{
	uint8_t buf[ACK_FILE_MAX];
	int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC), err = 0;
	uint32_t done = 0;

	if (fd < 0)
		return -errno;
	ack_fill(buf, op->len, op->stamp, op->off);
	while (done < op->len && !err) {
		ssize_t n = pwrite(fd, buf + done, op->len - done, op->off + done);

		err = n < 0 ? -errno : n == 0 ? -EIO : 0;
		done += n > 0 ? (uint32_t)n : 0;
	}
	close(fd);
	return err;
}

/* truncate and xattrs have no *at form. */
static int by_descriptor(int dirfd, const char *name, const struct ack_op *op)
{
	int fd = openat(dirfd, name, (op->kind == ACK_OP_TRUNCATE ? O_WRONLY : O_RDONLY) | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	if (op->kind == ACK_OP_TRUNCATE)
		err = err_of(ftruncate(fd, op->len));
	else
		err = err_of(fsetxattr(fd, XATTR, &op->stamp, sizeof(op->stamp), 0));
	close(fd);
	return err;
}

static int create_file(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	close(fd); /* the name is there, whatever close says */
	return 0;
}

int ack_op_perform(int dirfd, const struct ack_op *op)
{
	char a[16], b[16], target[32];

	slot_name(op->a, a);
	slot_name(op->b, b);
	target_text(op->stamp, target);
	switch (op->kind) {
	case ACK_OP_CREATE: return create_file(dirfd, a);
	case ACK_OP_WRITE: return write_file(dirfd, a, op);
	case ACK_OP_UNLINK: return err_of(unlinkat(dirfd, a, 0));
	case ACK_OP_RENAME: return err_of(renameat(dirfd, a, dirfd, b));
	case ACK_OP_MKDIR: return err_of(mkdirat(dirfd, a, 0755));
	case ACK_OP_RMDIR: return err_of(unlinkat(dirfd, a, AT_REMOVEDIR));
	case ACK_OP_SYMLINK: return err_of(symlinkat(target, dirfd, a));
	case ACK_OP_LINK: return err_of(linkat(dirfd, a, dirfd, b, 0));
	case ACK_OP_CHMOD: return err_of(fchmodat(dirfd, a, 0400 | (op->stamp & 0377), 0));
	case ACK_OP_TRUNCATE:
	case ACK_OP_SETXATTR: return by_descriptor(dirfd, a, op);
	default: return -EINVAL;
	}
}

/* Each byte is the new one, or the old one where a write may be torn. */
static int compare_bytes(const uint8_t *got, const struct ack_inode *in, uint32_t size, const struct ack_inode *old,
			 char why[256])
{
	for (uint32_t i = 0; i < size; i++) {
		uint8_t was = old && i < old->size ? old->data[i] : 0;

		if ((i < in->size && got[i] == in->data[i]) || (old && got[i] == was))
			continue;
		snprintf(why, 256, "byte %u is %02x, not %02x", i, got[i], in->data[i]);
		return 1;
	}
	return 0;
}

static int compare_file(int dirfd, const char *name, const struct ack_inode *in, const struct ack_inode *old, char why[256])
{
	static _Thread_local uint8_t buf[ACK_FILE_MAX + 1];
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	uint32_t xattr = 0;
	ssize_t n;

	if (fd < 0) {
		snprintf(why, 256, "open: %s", strerror(errno));
		return 1;
	}
	n = pread(fd, buf, sizeof(buf), 0);
	if (fgetxattr(fd, XATTR, &xattr, sizeof(xattr)) < 0 && errno == ENODATA)
		xattr = 0;
	close(fd);
	if (n != in->size && !(old && n >= old->size && n < in->size)) {
		snprintf(why, 256, "size is %zd, not %u", n, in->size);
		return 1;
	}
	if (xattr != in->xattr) {
		snprintf(why, 256, "xattr is %u, not %u", xattr, in->xattr);
		return 1;
	}
	return compare_bytes(buf, in, (uint32_t)n, old, why);
}

static int compare_symlink(int dirfd, const char *name, const struct ack_inode *in, char why[256])
{
	char want[32], got[64];
	ssize_t n = readlinkat(dirfd, name, got, sizeof(got) - 1);

	target_text(in->target, want);
	got[n < 0 ? 0 : n] = '\0';
	if (!strcmp(want, got))
		return 0;
	snprintf(why, 256, "target is '%s', not '%s'", got, want);
	return 1;
}

static int compare_slot(int dirfd, const char *name, const struct ack_inode *in, const struct ack_inode *old, char why[256])
{
	static const mode_t types[] = { [ACK_FILE] = S_IFREG, [ACK_DIR] = S_IFDIR, [ACK_SYMLINK] = S_IFLNK };
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW)) {
		snprintf(why, 256, "%s", in ? strerror(errno) : "");
		return in || errno != ENOENT;
	}
	if (!in || (st.st_mode & S_IFMT) != types[in->kind]) {
		snprintf(why, 256, in ? "type is %o" : "is there (type %o)", st.st_mode & S_IFMT);
		return 1;
	}
	if (in->kind != ACK_SYMLINK && (st.st_mode & 07777) != in->mode) {
		snprintf(why, 256, "mode is %o, not %o", st.st_mode & 07777, in->mode);
		return 1;
	}
	if (in->kind != ACK_DIR && st.st_nlink != in->nlink) {
		snprintf(why, 256, "nlink is %lu, not %u", (unsigned long)st.st_nlink, in->nlink);
		return 1;
	}
	if (in->kind == ACK_FILE)
		return compare_file(dirfd, name, in, old, why);
	return in->kind == ACK_SYMLINK ? compare_symlink(dirfd, name, in, why) : 0;
}

/* No names but the state's. */
static int compare_names(int dirfd, const struct ack_state *s, char why[256])
{
	DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	uint32_t want = 0, got = 0;
	const struct dirent *e;

	if (!d) {
		snprintf(why, 256, "opendir: %s", strerror(errno));
		return 1;
	}
	while ((e = readdir(d)))
		got += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	for (uint32_t i = 0; i < ACK_SLOTS; i++)
		want += s->slots[i] >= 0;
	if (want == got)
		return 0;
	snprintf(why, 256, "readdir gives %u names, not %u", got, want);
	return 1;
}

int ack_state_compare(int dirfd, const struct ack_state *s, const struct ack_op *torn, const struct ack_state *old, char why[256])
{
	char name[16], reason[200];

	for (uint32_t i = 0; i < ACK_SLOTS; i++) {
		const struct ack_inode *in = s->slots[i] < 0 ? NULL : &s->inodes[s->slots[i]];
		const struct ack_inode *before = NULL;

		if (torn && s->slots[i] == s->slots[torn->a])
			before = &old->inodes[old->slots[torn->a]];
		if (!compare_slot(dirfd, slot_name(i, name), in, before, why))
			continue;
		snprintf(reason, sizeof(reason), "%.190s", why);
		snprintf(why, 256, "%s: %s", name, reason);
		return 1;
	}
	return compare_names(dirfd, s, why);
}
