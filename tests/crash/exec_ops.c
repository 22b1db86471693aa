/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each operation of a workload calls.
 *
 * Bytes that a step writes tell step and place: no 8-byte word is written twice with the same contents, none is zero.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "crash/exec_private.h"
#include "pmem/badpages.h"

#define EXTENTS_MAX 64u
#define WRITE_BYTES_MAX (64ull << 20)
#define ACL_ENTRIES_MAX 2000u

/* --- data ---------------------------------------------------------------------------------------------------------------- */

static uint64_t word_of(uint32_t step, uint64_t index)
{
	uint64_t x = ((uint64_t)step << 40 ^ index) + 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (x ^ x >> 31) | 0x0101010101010101ull;
}

static void bytes_fill(uint8_t *buf, uint32_t step, uint64_t off, uint64_t len)
{
	for (uint64_t i = 0; i < len;) {
		uint64_t word = word_of(step, (off + i) / 8), in = (off + i) % 8, n = u64_min(8 - in, len - i);

		memcpy(buf + i, (const uint8_t *)&word + in, n);
		i += n;
	}
}

/* buf NULL: no bytes are moved. At most limit bytes are said to be done. */
static int transfer(struct exec *x, uint64_t node, struct zus_io io, const uint8_t *buf, uint64_t limit)
{
	struct zus_extent ext[EXTENTS_MAX];
	uint64_t done = 0;
	int err;

	io.node = node;
	io.ext = ext;
	io.ext_cap = EXTENTS_MAX;
	err = x->fs->ops->io_begin(x->fs, &io);
	if (err)
		return err;
	for (uint32_t i = 0; buf && i < io.n_ext; i++) {
		x->fs->ops->dev_write(x->fs, ext[i].dev_off, buf + done, ext[i].len);
		done += ext[i].len;
	}
	done = u64_min(buf ? done : io.mapped, limit);
	err = x->fs->ops->io_end(x->fs, &io, done);
	return err ? err : (int)done;
}

static int node_write(struct exec *x, uint64_t node, struct zus_io io, uint32_t step)
{
	uint8_t *buf;
	int res = 0;

	if (io.off == WORKLOAD_OFF_END) {
		struct zus_attr attr;

		res = x->fs->ops->getattr(x->fs, node, &attr);
		if (res)
			return res;
		io.off = attr.size;
	}
	if (io.len > WRITE_BYTES_MAX)
		return -EINVAL;
	buf = malloc(io.len + 1);
	if (!buf)
		return -ENOMEM;
	bytes_fill(buf, step, io.off, io.len);
	for (uint64_t at = 0; at < io.len && res >= 0; at += (uint64_t)res) {
		struct zus_io part = { .off = io.off + at, .len = io.len - at, .flags = io.flags | ZUS_IO_WRITE };

		res = transfer(x, node, part, buf + at, UINT64_MAX);
		if (!res)
			res = -EIO;
	}
	free(buf);
	return res < 0 ? res : 0;
}

static int op_write(struct exec *x, uint64_t node, const struct workload_op *op, uint32_t step)
{
	uint32_t iter = x->w->steps[step].iter;
	struct zus_io io = { .off = op->arg[0], .len = op->arg[1] };

	/* As a caller without privileges, but for the one that goes past the page cache. */
	io.flags = op->kind == OP_DWRITE ? 0 : ZUS_IO_KILL_PRIV;
	if (op->kind == OP_WRITEN)
		io.off = iter * op->arg[2];
	return node_write(x, node, io, step);
}

/* As when whoever sends the bytes dies: all are stored, some count. */
static int op_cutwrite(struct exec *x, uint64_t node, const struct workload_op *op, uint32_t step)
{
	struct zus_io io = { .off = op->arg[0], .len = op->arg[1], .flags = ZUS_IO_WRITE };
	uint8_t *buf;
	int res;

	if (io.len > WRITE_BYTES_MAX)
		return -EINVAL;
	buf = malloc(io.len + 1);
	if (!buf)
		return -ENOMEM;
	bytes_fill(buf, step, io.off, io.len);
	res = transfer(x, node, io, buf, op->arg[2]);
	free(buf);
	return res < 0 ? res : 0;
}

/* Of a hole the block that a write would take now. Nothing on another file system than the one that is recorded. */
static int op_poison(struct exec *x, uint64_t node, const struct workload_op *op)
{
	struct zus_extent ext;
	struct zus_io io = { .node = node, .off = op->arg[0], .len = 1, .flags = ZUS_IO_WRITE, .ext = &ext, .ext_cap = 1 };
	int err;

	if (!x->sim)
		return 0;
	err = x->fs->ops->io_begin(x->fs, &io);
	if (!err)
		err = x->fs->ops->io_end(x->fs, &io, 0);
	if (!err)
		err = pmem_faults_catch();
	return err ? err : pmem_poison(x->sim, ext.dev_off, 1);
}

static int op_read(struct exec *x, uint64_t node, const struct workload_op *op)
{
	int res = transfer(x, node, (struct zus_io){ .off = op->arg[0], .len = op->arg[1] }, NULL, UINT64_MAX);

	return res < 0 ? res : 0;
}

static int op_falloc(struct exec *x, uint64_t node, const struct workload_op *op, uint32_t step)
{
	static const uint32_t modes[] = {
		[FALLOC_ALLOC] = 0,
		[FALLOC_KEEP] = FALLOC_FL_KEEP_SIZE,
		[FALLOC_PUNCH] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		[FALLOC_ZERO] = FALLOC_FL_ZERO_RANGE,
		[FALLOC_ZERO_KEEP] = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		[FALLOC_COLLAPSE] = FALLOC_FL_COLLAPSE_RANGE,
		[FALLOC_INSERT] = FALLOC_FL_INSERT_RANGE,
	};

	if (op->kind == OP_PUNCHN)
		return x->fs->ops->fallocate(x->fs, node, modes[FALLOC_PUNCH], x->w->steps[step].iter * op->arg[2], op->arg[1]);
	return x->fs->ops->fallocate(x->fs, node, modes[op->arg[0]], op->arg[1], op->arg[2]);
}

/* Writes until as many blocks are free as wanted. */
static int op_fill(struct exec *x, const struct workload_op *op, uint32_t step)
{
	struct zus_new new = { .mode = S_IFREG | 0600 };
	struct exec_place place;
	struct zus_attr attr;
	struct zus_statfs st;
	int err = exec_walk(x, op->target.path, "", &place);

	if (err)
		return err;
	err = x->fs->ops->create(x->fs, place.dir, place.name, &new, &attr);
	exec_place_put(x, &place);
	if (err)
		return err;
	for (uint64_t off = 0;;) {
		uint64_t n;

		err = x->fs->ops->statfs(x->fs, &st);
		if (err || st.bavail <= op->arg[0])
			break;
		n = u64_max(1, u64_min(256, (st.bavail - op->arg[0]) / 2)) * st.bsize;
		err = node_write(x, attr.node, (struct zus_io){ .off = off, .len = n }, step);
		if (err)
			break;
		off += n;
	}
	x->fs->ops->forget(x->fs, attr.node, 1);
	return err == -ENOSPC ? 0 : err;
}

/* --- attributes ---------------------------------------------------------------------------------------------------------- */

static int op_setattr(struct exec *x, uint64_t node, const struct workload_op *op, uint32_t step)
{
	struct zus_setattr set = { 0 };
	struct zus_attr attr;

	switch (op->kind) {
	case OP_TRUNCATE:
		set.valid = ZUS_SET_SIZE | ZUS_SET_MTIME_NOW | ZUS_SET_KILL_PRIV; /* as ftruncate(2) */
		set.size = op->arg[0];
		break;
	case OP_CHMOD:
	case OP_CHMODN:
		set.valid = ZUS_SET_MODE;
		set.mode = (uint32_t)(op->kind == OP_CHMOD ? op->arg[0] & 07777 : 0600 + x->w->steps[step].iter % 64);
		break;
	case OP_CHOWN:
		set.valid = ZUS_SET_UID | ZUS_SET_GID | ZUS_SET_KILL_PRIV;
		set.uid = (uint32_t)op->arg[0];
		set.gid = (uint32_t)op->arg[1];
		break;
	case OP_UTIMES:
		set.valid = ZUS_SET_ATIME | ZUS_SET_MTIME;
		set.atime = (struct zus_time){ (int64_t)op->arg[0], 123456789 };
		set.mtime = (struct zus_time){ (int64_t)op->arg[0] + 1, 987654321 };
		break;
	case OP_CHATTR:
		set.valid = ZUS_SET_FLAGS;
		set.flags = (uint32_t)op->arg[0] & ZUS_FL_USER;
		break;
	default:
		set.valid = ZUS_SET_PROJID;
		set.projid = (uint32_t)op->arg[0];
	}
	return x->fs->ops->setattr(x->fs, node, &set, &attr);
}

static struct zus_name xattr_name(const char *name)
{
	return (struct zus_name){ name, (uint32_t)strlen(name) };
}

static int op_setxattr(struct exec *x, uint64_t node, const struct workload_op *op, uint32_t step)
{
	struct zus_setxattr set = { .name = xattr_name(op->to) };
	uint8_t *value;
	int err;

	if (op->arg[0] > ZUS_XATTR_SIZE_MAX)
		return -E2BIG;
	value = malloc(op->arg[0] + 1);
	if (!value)
		return -ENOMEM;
	bytes_fill(value, step, 0, op->arg[0]);
	set.value = (struct zus_blob){ value, (uint32_t)op->arg[0] };
	err = x->fs->ops->setxattr(x->fs, node, &set);
	free(value);
	return err;
}

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

/* The owner, so many users, group, mask, others: as posix_acl_to_xattr() has them. Heap; data NULL: no memory. */
static struct zus_blob acl_new(uint64_t users)
{
	struct acl_entry *acl = calloc(users + 5, sizeof(*acl));
	uint64_t n = 0;

	if (!acl)
		return (struct zus_blob){ NULL, 0 };
	memcpy(&acl[0], "\2\0\0\0", 4); /* version; an entry is 8 bytes, the head 4 */
	acl[++n] = (struct acl_entry){ 0x01, 6, ~0u };
	for (uint32_t i = 0; i < users; i++)
		acl[++n] = (struct acl_entry){ 0x02, (uint16_t)(i % 7 + 1), 1000 + i };
	acl[++n] = (struct acl_entry){ 0x04, 5, ~0u };
	acl[++n] = (struct acl_entry){ 0x10, 7, ~0u };
	acl[++n] = (struct acl_entry){ 0x20, 4, ~0u };
	memmove((uint8_t *)acl + 4, acl + 1, n * sizeof(*acl));
	return (struct zus_blob){ acl, (uint32_t)(4 + n * sizeof(*acl)) };
}

static int op_setacl(struct exec *x, uint64_t node, const struct workload_op *op)
{
	const char *name = op->arg[0] == ACL_DEFAULT ? "system.posix_acl_default" : "system.posix_acl_access";
	struct zus_setxattr set = { .name = xattr_name(name) };
	uint64_t users = op->arg[1];
	int err;

	if (!users)
		return x->fs->ops->removexattr(x->fs, node, set.name);
	if (users > ACL_ENTRIES_MAX)
		return -EINVAL;
	set.value = acl_new(users);
	if (!set.value.data)
		return -ENOMEM;
	set.set_mode = op->arg[0] == ACL_ACCESS;
	set.mode = 0674;
	err = x->fs->ops->setxattr(x->fs, node, &set);
	free((void *)(uintptr_t)set.value.data);
	return err;
}

/* As chmod(2) of what has an ACL. */
static int op_chmodacl(struct exec *x, uint64_t node, const struct workload_op *op)
{
	struct zus_setattr set = { .valid = ZUS_SET_MODE | ZUS_SET_ACL, .mode = (uint32_t)op->arg[0] & 07777 };
	struct zus_attr attr;
	int err;

	if (op->arg[1] > ACL_ENTRIES_MAX)
		return -EINVAL;
	set.acl = acl_new(op->arg[1]);
	if (!set.acl.data)
		return -ENOMEM;
	err = x->fs->ops->setattr(x->fs, node, &set, &attr);
	free((void *)(uintptr_t)set.acl.data);
	return err;
}

/* --- names --------------------------------------------------------------------------------------------------------------- */

static void new_fill(struct zus_new *new, const struct workload_op *op, char *target)
{
	static const uint32_t types[] = {
		[NODE_FIFO] = S_IFIFO, [NODE_CHR] = S_IFCHR, [NODE_BLK] = S_IFBLK, [NODE_SOCK] = S_IFSOCK
	};

	*new = (struct zus_new){ .mode = S_IFREG | 0644 };
	switch (op->kind) {
	case OP_CREAT:
	case OP_TMPFILE:
		new->mode = S_IFREG | ((uint32_t)op->arg[0] & 07777);
		break;
	case OP_MKDIR:
		new->mode = S_IFDIR | ((uint32_t)op->arg[0] & 07777);
		break;
	case OP_MKDIRN:
		new->mode = S_IFDIR | 0755;
		break;
	case OP_MKNOD:
		new->mode = types[op->arg[0]] | 0600;
		new->rdev = op->arg[0] == NODE_CHR || op->arg[0] == NODE_BLK ? op->arg[1] : 0;
		break;
	case OP_SYMLINK:
		new->mode = S_IFLNK | 0777;
		memset(target, 't', op->arg[0]);
		new->symlink = (struct zus_blob){ target, (uint32_t)op->arg[0] };
		break;
	default:
		break;
	}
}

static int create_in(struct exec *x, const struct exec_place *place, const struct workload_op *op)
{
	struct zus_attr attr;
	struct zus_new new;
	char target[4096];
	int err;

	if (op->kind == OP_SYMLINK && (!op->arg[0] || op->arg[0] >= sizeof(target)))
		return -ENAMETOOLONG;
	new_fill(&new, op, target);
	err = x->fs->ops->create(x->fs, place->dir, place->name, &new, &attr);
	if (!err)
		x->fs->ops->forget(x->fs, attr.node, 1);
	return err;
}

static int remove_in(struct exec *x, const struct exec_place *place, const struct workload_op *op)
{
	struct zus_attr attr;
	int err, is_dir = op->kind == OP_RMDIR;

	if (op->kind == OP_REMOVE) {
		err = x->fs->ops->lookup(x->fs, place->dir, place->name, &attr);
		if (err)
			return err;
		is_dir = S_ISDIR(attr.mode);
		x->fs->ops->forget(x->fs, attr.node, 1);
	}
	return is_dir ? x->fs->ops->rmdir(x->fs, place->dir, place->name) : x->fs->ops->unlink(x->fs, place->dir, place->name);
}

static int link_in(struct exec *x, const struct exec_place *place, const struct workload_op *op)
{
	struct zus_attr attr;
	uint64_t node;
	int err = exec_target_get(x, &op->target, &node), fd = op->target.fd;

	if (err)
		return err;
	/* As the kernel has it: what has lost its last name gets no other; a file that never had one does. */
	if (fd >= 0 && !x->linkable[fd]) {
		err = x->fs->ops->getattr(x->fs, node, &attr);
		err = !err && !attr.nlink ? -ENOENT : err;
	}
	if (!err)
		err = x->fs->ops->link(x->fs, node, place->dir, place->name, &attr);
	if (!err)
		x->fs->ops->forget(x->fs, attr.node, 1);
	if (!err && fd >= 0)
		x->linkable[fd] = 0;
	exec_target_put(x, &op->target, node);
	return err;
}

static int rename_in(struct exec *x, const struct exec_place *place, const struct workload_op *op)
{
	struct exec_place from;
	int err = exec_walk(x, op->target.path, "", &from);

	if (err)
		return err;
	err = x->fs->ops->rename(x->fs, &(struct zus_rename){ .old_dir = from.dir,
							      .new_dir = place->dir,
							      .old_name = from.name,
							      .new_name = place->name,
							      .flags = (uint32_t)op->arg[0] });
	exec_place_put(x, &from);
	return err;
}

/* Operations on a name: that of the second path where there is one. */
static int op_on_name(struct exec *x, const struct workload_op *op, uint32_t step)
{
	const char *path = op->kind == OP_LINK || op->kind == OP_RENAME ? op->to : op->target.path;
	struct exec_place place;
	char number[16] = "";
	int err;

	if (op->kind == OP_CREATN || op->kind == OP_MKDIRN || op->kind == OP_UNLINKN)
		snprintf(number, sizeof(number), "%u", x->w->steps[step].iter);
	err = exec_walk(x, path, number, &place);
	if (err)
		return err;
	if (op->kind == OP_LINK)
		err = link_in(x, &place, op);
	else if (op->kind == OP_RENAME)
		err = rename_in(x, &place, op);
	else if (op->kind == OP_UNLINK || op->kind == OP_RMDIR || op->kind == OP_REMOVE || op->kind == OP_UNLINKN)
		err = remove_in(x, &place, op);
	else
		err = create_in(x, &place, op);
	exec_place_put(x, &place);
	return err;
}

/* --- descriptors --------------------------------------------------------------------------------------------------------- */

static int op_on_fd(struct exec *x, const struct workload_op *op)
{
	uint64_t *fd = &x->fds[op->target.fd];
	struct zus_attr dir, attr;
	struct zus_new new;
	int err;

	if (op->kind == OP_CLOSE) {
		if (!*fd)
			return -EBADF;
		if (*fd != ZUS_NODE_ROOT)
			x->fs->ops->forget(x->fs, *fd, 1);
		*fd = 0;
		return 0;
	}
	if (*fd)
		return -EBUSY;
	err = exec_lookup(x, op->to, &dir);
	if (err)
		return err;
	if (op->kind == OP_OPEN) {
		*fd = dir.node;
		x->linkable[op->target.fd] = 0;
		return 0;
	}
	new_fill(&new, op, NULL);
	err = x->fs->ops->tmpfile(x->fs, dir.node, &new, &attr);
	if (!err) {
		*fd = attr.node;
		x->linkable[op->target.fd] = 1;
	}
	if (dir.node != ZUS_NODE_ROOT)
		x->fs->ops->forget(x->fs, dir.node, 1);
	return err;
}

static int op_on_node(struct exec *x, uint64_t node, const struct workload_op *op, uint32_t step)
{
	switch (op->kind) {
	case OP_WRITE:
	case OP_DWRITE:
	case OP_WRITEN:
		return op_write(x, node, op, step);
	case OP_CUTWRITE:
		return op_cutwrite(x, node, op, step);
	case OP_POISON:
		return op_poison(x, node, op);
	case OP_READ:
		return op_read(x, node, op);
	case OP_FALLOC:
	case OP_PUNCHN:
		return op_falloc(x, node, op, step);
	case OP_FSYNC:
		return x->fs->ops->fsync ? x->fs->ops->fsync(x->fs, node, 0) : 0;
	case OP_SETXATTR:
		return op_setxattr(x, node, op, step);
	case OP_REMOVEXATTR:
		return x->fs->ops->removexattr(x->fs, node, xattr_name(op->to));
	case OP_SETACL:
		return op_setacl(x, node, op);
	case OP_CHMODACL:
		return op_chmodacl(x, node, op);
	default:
		return op_setattr(x, node, op, step);
	}
}

int exec_op(struct exec *x, const struct workload_op *op, uint32_t step)
{
	uint64_t node;
	int err;

	switch (op->kind) {
	case OP_SYNC:
		return x->fs->ops->sync ? x->fs->ops->sync(x->fs) : 0;
	case OP_FILL:
		return op_fill(x, op, step);
	case OP_TMPFILE:
	case OP_OPEN:
	case OP_CLOSE:
		return op_on_fd(x, op);
	case OP_CREAT:
	case OP_MKDIR:
	case OP_MKNOD:
	case OP_SYMLINK:
	case OP_LINK:
	case OP_UNLINK:
	case OP_RMDIR:
	case OP_REMOVE:
	case OP_RENAME:
	case OP_CREATN:
	case OP_MKDIRN:
	case OP_UNLINKN:
		return op_on_name(x, op, step);
	default:
		break;
	}
	err = exec_target_get(x, &op->target, &node);
	if (err)
		return err;
	err = op_on_node(x, node, op, step);
	exec_target_put(x, &op->target, node);
	return err;
}
