/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of operations, and the loop of a slot's thread: one system call a request. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/zuf/zuf_task.h"

typedef int (*zuf_op_fn)(struct zuf_task *task);

static const zuf_op_fn op_table[ZUF_OP_COUNT] = {
	[ZUF_OP_MOUNT] = zuf_op_mount,	       [ZUF_OP_UMOUNT] = zuf_op_umount,	      [ZUF_OP_REMOUNT] = zuf_op_remount,
	[ZUF_OP_STATFS] = zuf_op_statfs,       [ZUF_OP_SYNC] = zuf_op_sync,	      [ZUF_OP_LOOKUP] = zuf_op_lookup,
	[ZUF_OP_GETATTR] = zuf_op_getattr,     [ZUF_OP_SETATTR] = zuf_op_setattr,     [ZUF_OP_CREATE] = zuf_op_create,
	[ZUF_OP_LINK] = zuf_op_link,	       [ZUF_OP_UNLINK] = zuf_op_unlink,	      [ZUF_OP_RMDIR] = zuf_op_unlink,
	[ZUF_OP_RENAME] = zuf_op_rename,       [ZUF_OP_READLINK] = zuf_op_readlink,   [ZUF_OP_READDIR] = zuf_op_readdir,
	[ZUF_OP_FORGET] = zuf_op_forget,       [ZUF_OP_HOLD] = zuf_op_hold,	      [ZUF_OP_GETXATTR] = zuf_op_getxattr,
	[ZUF_OP_SETXATTR] = zuf_op_setxattr,   [ZUF_OP_LISTXATTR] = zuf_op_listxattr, [ZUF_OP_REMOVEXATTR] = zuf_op_removexattr,
	[ZUF_OP_READ] = zuf_op_read,	       [ZUF_OP_WRITE] = zuf_op_write,	      [ZUF_OP_MAP] = zuf_op_map,
	[ZUF_OP_MAP_WRITE] = zuf_op_map_write, [ZUF_OP_COMMIT] = zuf_op_commit,	      [ZUF_OP_FILL] = zuf_op_fill,
	[ZUF_OP_FALLOCATE] = zuf_op_fallocate, [ZUF_OP_SEEK] = zuf_op_seek,	      [ZUF_OP_FSYNC] = zuf_op_fsync,
	[ZUF_OP_COPY] = zuf_op_copy,	       [ZUF_OP_ATIME] = zuf_op_atime,
};

static int task_decode(struct zuf_slot *slot, struct zuf_task *task)
{
	const struct zuf_request *req = (const struct zuf_request *)(slot->buf + ZUF_REQUEST_OFF);
	const char *in = (const char *)slot->buf + ZUF_IN_OFF;
	uint64_t names_len = (uint64_t)req->name_len + req->name2_len;

	if (req->op >= ZUF_OP_COUNT || !op_table[req->op] || names_len > ZUF_IN_LEN)
		return -ENOSYS;
	task->slot = slot;
	task->req = req;
	task->rep = (struct zuf_reply *)(slot->buf + ZUF_REPLY_OFF);
	task->name = (struct zus_name){ .str = in, .len = req->name_len };
	task->name2 = (struct zus_name){ .str = in + req->name_len, .len = req->name2_len };
	task->in = (const uint8_t *)in + names_len;
	task->in_len = (uint32_t)(ZUF_IN_LEN - names_len);
	task->out = slot->buf + ZUF_OUT_OFF;
	task->extents = (struct zuf_extent *)(slot->buf + ZUF_EXTENTS_OFF);
	task->mount = NULL;
	if (req->op == ZUF_OP_MOUNT)
		return 0;
	task->mount = zuf_mount_get(slot->zt, req->mount);
	return task->mount ? 0 : -ESTALE;
}

/* Opening and closing recover, check, write back: as long as it takes, beside others. */
static int task_run(struct zuf_task *task)
{
	bool is_long = task->req->op == ZUF_OP_MOUNT || task->req->op == ZUF_OP_UMOUNT;
	int err;

	if (unlikely(is_long))
		zuf_slot_rank(false);
	err = op_table[task->req->op](task);
	if (unlikely(is_long))
		zuf_slot_rank(true);
	return err;
}

static void slot_serve(struct zuf_slot *slot)
{
	struct zuf_reply *rep = (struct zuf_reply *)(slot->buf + ZUF_REPLY_OFF);
	struct zuf_task task;
	int err;

	rep->n_ext = 0;
	rep->value = 0;
	rep->out_len = 0;
	rep->has_attr = 0;
	err = task_decode(slot, &task);
	if (unlikely(slot->io_open) && (err || task.req->op != ZUF_OP_COMMIT))
		zuf_slot_drop_io(slot);
	if (!err)
		err = task_run(&task);
	rep->err = err > 0 || err <= -512 ? -EIO : err;
}

/* Set once by each of our threads. */
static _Thread_local bool in_slot_thread;

bool zuf_slot_is_ours(void)
{
	return in_slot_thread;
}

void zuf_slot_run(struct zuf_slot *slot)
{
	in_slot_thread = true;
	/* What was done is answered before it ends: WAIT does so, and is interrupted when there is nothing more to do. */
	for (;;) {
		if (likely(!ioctl(slot->fd, ZUF_IOC_WAIT))) {
			slot_serve(slot);
		} else if (errno == EINTR) {
			if (__atomic_load_n(&slot->zt->stopping, __ATOMIC_ACQUIRE))
				break;
		} else {
			if (errno != ESHUTDOWN)
				log_error("zuf: waiting for requests: %s", strerror(errno));
			break;
		}
	}
	zuf_slot_drop_io(slot);
}
