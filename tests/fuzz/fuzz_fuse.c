/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of FUSE requests: decoder, operations, and the engine behind them on a small device. An input is a sequence of requests,
 * each sent over a channel as /dev/fuse would be (all in one buffer) or as io_uring would be (names and data in the payload area,
 * where the answer goes too). What must hold beside "no crash": every answer fits its room and what was asked for, every error is
 * one that the kernel takes, entries of directories parse, and fsck (where it is linked) finds nothing afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "device.h"
#include "fsck/fsck.h"
#include "input.h"
#include "pmfs2/fs.h"
#include "pmfs2/ops.h"
#include "request.h"
#include "target.h"
#include "transport/fuse/fuse_ops.h"
#include "transport/fuse/fuse_stats.h"
#include "walk.h"

#define PAYLOAD_CAP (128u << 10)
#define NODES_MAX 64u
#define REQUESTS_MAX 64u
#define ERRNO_END 512 /* from here on the kernel does not take it */

/* The first byte. */
#define HEAD_TREE 0x01u /* on the seed with a tree in it, otherwise an empty one */
#define HEAD_CACHE_NONE 0x02u
#define HEAD_OLD_SETXATTR 0x04u
#define HEAD_OLD_KERNEL 0x08u

struct rig {
	struct device *devices[2];
	struct device *dev;
	struct fuse_conn conn;
	struct fuse_stats *stats;
	uint64_t nodes[NODES_MAX]; /* that were answered */
	uint32_t n_nodes;
};

/* One request, as the channel hands it over. */
struct message {
	uint8_t *buf; /* dev: header, fixed and variable part, to the byte; uring: header and fixed part */
	uint8_t *payload; /* uring: PAYLOAD_CAP bytes, variable part and answer */
	uint8_t *out;
};

static struct rig *rig_get(void)
{
	static struct rig *rig;

	if (!rig) {
		rig = calloc(1, sizeof(*rig));
		if (!rig)
			abort();
		log_set_level(getenv("FUZZ_LOG") ? LOG_LEVEL_DEBUG : -1);
		rig->devices[0] = device_new(SEED_EMPTY);
		rig->devices[1] = device_new(SEED_TREE);
		rig->stats = aligned_alloc(64, sizeof(*rig->stats));
		if (!rig->stats)
			abort();
	}
	return rig;
}

/* --- answers ------------------------------------------------------------------------------------------------------------- */

/* Sums all bytes, so that a sanitizer sees each one. */
static int gather_look(struct fuse_task *task, struct iovec *iov, int n_iov)
{
	const struct fuse_read_in *in = task->req.arg;
	uint64_t len = 0;
	volatile uint8_t sum = 0;

	for (int i = 1; i < n_iov; i++) {
		const uint8_t *p = iov[i].iov_base;

		len += iov[i].iov_len;
		for (size_t b = 0; b < iov[i].iov_len; b += 64)
			sum = (uint8_t)(sum + p[b]);
	}
	WALK_MUST(len <= in->size);
	return 0;
}

static void node_note(struct rig *rig, uint64_t node)
{
	if (rig->n_nodes < NODES_MAX)
		rig->nodes[rig->n_nodes++] = node;
}

static void dirents_look(struct rig *rig, const struct fuse_task *task, int plus)
{
	uint32_t at = 0, head = plus ? sizeof(struct fuse_entry_out) : 0;

	while (at < task->out_len) {
		const struct fuse_dirent *de = (const void *)(task->out + at + head);

		WALK_MUST(task->out_len - at >= head + FUSE_NAME_OFFSET);
		WALK_MUST(de->namelen && de->namelen <= ZUS_NAME_MAX && de->off);
		if (plus && ((const struct fuse_entry_out *)(task->out + at))->nodeid)
			node_note(rig, ((const struct fuse_entry_out *)(task->out + at))->nodeid);
		at += (uint32_t)FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + (size_t)de->namelen);
		WALK_MUST(at <= task->out_len);
	}
}

static uint32_t asked_for(const struct fuse_request *req)
{
	switch (req->opcode) {
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		return ((const struct fuse_read_in *)req->arg)->size;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		return (uint32_t)u64_max(((const struct fuse_getxattr_in *)req->arg)->size, sizeof(struct fuse_getxattr_out));
	default:
		return UINT32_MAX;
	}
}

static void answer_look(struct rig *rig, struct fuse_task *task, uint32_t asked, int err)
{
	WALK_MUST(err <= 0 && err > -ERRNO_END);
	if (err)
		return;
	WALK_MUST(task->out_len <= task->out_cap && task->out_len <= asked);
	if (task->ref_node)
		node_note(rig, task->ref_node);
	if (task->req.opcode == FUSE_READDIR || task->req.opcode == FUSE_READDIRPLUS)
		dirents_look(rig, task, task->req.opcode == FUSE_READDIRPLUS);
}

/* --- requests ------------------------------------------------------------------------------------------------------------ */

static uint64_t node_pick(const struct rig *rig, const struct request_head *head)
{
	if (head->flags & REQUEST_NODE_RAW)
		return (uint64_t)head->node << 40 | head->node;
	if (!head->node || !rig->n_nodes)
		return ZUS_NODE_ROOT;
	return rig->nodes[head->node % rig->n_nodes];
}

static void serve(struct rig *rig, const struct fuse_pieces *pieces, struct message *msg, uint8_t flags)
{
	struct fuse_task task = { .conn = &rig->conn, .out = msg->out, .out_cap = PAYLOAD_CAP, .stats = rig->stats };
	uint32_t asked;
	int err;

	if (!msg->payload && !(flags & REQUEST_NO_GATHER))
		task.send_gather = gather_look;
	err = fuse_decode(pieces, &rig->conn.dialect, &task.req);
	if (err)
		return;
	asked = asked_for(&task.req);
	err = fuse_task_serve(&task);
	answer_look(rig, &task, asked, err);
	if (!err && flags & REQUEST_UNDELIVERED)
		fuse_task_undeliver(&task);
}

/* The message in one buffer of exactly its length. */
static void send_dev(struct rig *rig, const struct request *req, struct message *msg)
{
	size_t len = sizeof(req->header) + req->body_len;
	struct fuse_pieces pieces;

	msg->buf = malloc(len);
	msg->out = malloc(PAYLOAD_CAP);
	memcpy(msg->buf, &req->header, sizeof(req->header));
	memcpy(msg->buf + sizeof(req->header), req->body, req->body_len);
	if (!fuse_split(msg->buf, len, &rig->conn.dialect, &pieces))
		serve(rig, &pieces, msg, req->head.flags);
	free(msg->out);
}

/* The variable part in the payload area, the answer over it. */
static void send_uring(struct rig *rig, const struct request *req, struct message *msg)
{
	uint32_t fixed = req->fixed_len < req->body_len ? req->fixed_len : req->body_len;
	struct fuse_pieces pieces = { .fixed_len = fixed, .var_len = req->body_len - fixed };

	msg->buf = malloc(sizeof(req->header) + fixed);
	msg->payload = malloc(PAYLOAD_CAP);
	msg->out = msg->payload;
	memcpy(msg->buf, &req->header, sizeof(req->header));
	memcpy(msg->buf + sizeof(req->header), req->body, fixed);
	memcpy(msg->payload, req->body + fixed, req->body_len - fixed);
	pieces.header = (const void *)msg->buf;
	pieces.fixed = msg->buf + sizeof(req->header);
	pieces.var = msg->payload;
	serve(rig, &pieces, msg, req->head.flags);
	free(msg->payload);
}

/* Where the fixed part names another node: small numbers mean one that is known. */
static void node_in_body(const struct rig *rig, struct request *req)
{
	uint32_t off = 0;
	uint64_t node;

	switch (req->head.opcode) {
	case FUSE_COPY_FILE_RANGE:
	case FUSEX_COPY_FILE_RANGE_64:
		off = offsetof(struct fuse_copy_file_range_in, nodeid_out);
		break;
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK:
		break;
	default:
		return;
	}
	if (off + sizeof(node) > req->body_len)
		return;
	memcpy(&node, req->body + off, sizeof(node));
	if (node >= NODES_MAX)
		return;
	node = node && rig->n_nodes ? rig->nodes[node % rig->n_nodes] : ZUS_NODE_ROOT;
	memcpy(req->body + off, &node, sizeof(node));
}

static void request_send(struct rig *rig, struct request *req)
{
	struct message msg = { 0 };

	node_in_body(rig, req);
	req->header.nodeid = node_pick(rig, &req->head);
	if (req->head.flags & REQUEST_URING)
		send_uring(rig, req, &msg);
	else
		send_dev(rig, req, &msg);
	free(msg.buf);
}

static void report_say(void *ctx, const struct fsck_report *report)
{
	(void)ctx;
	log_info("fsck: %s", report->text);
}

static void fsck_look(struct device *dev)
{
	struct fsck_options opt = { .mode = FSCK_CHECK, .force = 1, .threads = 1, .report = report_say };
	struct fsck_result res = { 0 };
	struct pmem *pm = device_open(dev);

	WALK_MUST(!fsck_run(pm, &opt, &res));
	WALK_MUST(!res.n_found && "requests leave behind what fsck complains of");
	pmem_close(pm);
}

static void conn_open(struct rig *rig, uint8_t head)
{
	struct zus_fs *fs;
	struct vfs *vfs;

	rig->dev = rig->devices[head & HEAD_TREE];
	rig->n_nodes = 0;
	device_reset(rig->dev);
	if (pmfs2_mount_pmem(device_open(rig->dev), NULL, 0, &fs) || vfs_new(fs, &vfs))
		abort();
	rig->conn = (struct fuse_conn){
		.fs = fs,
		.vfs = vfs,
		.fd = -1,
		.cache = head & HEAD_CACHE_NONE ? FUSE_CACHE_NONE : FUSE_CACHE_AUTO,
		.dialect = { .setxattr_ext = !(head & HEAD_OLD_SETXATTR) },
		.kernel_minor = head & HEAD_OLD_KERNEL ? 31 : 45,
		.max_write = PAYLOAD_CAP,
		.payload_cap = PAYLOAD_CAP,
	};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct rig *rig = rig_get();
	uint8_t head = input_u8(&in);
	struct request req;

	conn_open(rig, head);
	for (uint32_t i = 0; i < REQUESTS_MAX && in.left; i++) {
		request_take(&in, &rig->conn.dialect, &req);
		request_send(rig, &req);
	}
	WALK_MUST(!atomic_load(&fs_of(rig->conn.fs)->damaged) && "requests damage nothing");
	vfs_free(rig->conn.vfs);
	rig->conn.fs->ops->unmount(rig->conn.fs);
	fsck_look(rig->dev);
	return 0;
}
