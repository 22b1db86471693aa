/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The io_uring channel (see fuse_uring.h).
 *
 * An entry is either with the kernel (registered, or its answer committed: waiting for a request) or with us (its completion was
 * seen, the answer is not submitted yet). Only its thread touches it then. The request's names and data lie in the payload area,
 * where the answer goes too.
 */
#include "transport/fuse/fuse_uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/fuse/fuse_polite.h"

#define N_CPUS_MAX 4096
#define REGISTER_RETRY_NS 1000000
/* After a request that took this long, its answer is submitted before the next of the same batch is served. */
#define SUBMIT_AT_ONCE_NS 20000u

struct uring_entry {
	struct fusex_uring_header *header;
	uint8_t *payload;
	struct iovec areas[2];
	uint64_t commit_id;
	bool registered; /* the kernel has taken it once */
	struct fuse_task task;
};

struct fuse_uring_queue {
	struct fuse_conn *conn;
	struct fuse_stats *stats;
	uint32_t qid;
	uint32_t depth;
	uint32_t n_alive; /* entries that the kernel may still complete */
	bool failed; /* an entry or the ring broke, and not because the connection ended */
	struct uring_entry *entries;
	uint8_t *areas; /* payloads, then headers */
	size_t areas_len; /* bytes */
	struct fuse_polite polite;
	struct io_uring ring;
};

/* "0-3,5": one more than the last number. */
int fuse_uring_n_queues(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	char line[256], *at;
	long last;

	if (!f)
		return -errno;
	at = fgets(line, sizeof(line), f);
	fclose(f);
	if (!at)
		return -EIO;
	line[strcspn(line, "\n")] = '\0';
	at = line + strcspn(line, "");
	while (at > line && at[-1] >= '0' && at[-1] <= '9')
		at--;
	last = strtol(at, NULL, 10);
	return last >= 0 && last < N_CPUS_MAX ? (int)last + 1 : -ERANGE;
}

static void entries_init(struct fuse_uring_queue *queue)
{
	uint8_t *headers = queue->areas + (size_t)queue->depth * queue->conn->payload_cap;

	for (uint32_t i = 0; i < queue->depth; i++) {
		struct uring_entry *entry = &queue->entries[i];

		entry->payload = queue->areas + (size_t)i * queue->conn->payload_cap;
		entry->header = (struct fusex_uring_header *)headers + i;
		entry->areas[0] = (struct iovec){ entry->header, sizeof(*entry->header) };
		entry->areas[1] = (struct iovec){ entry->payload, queue->conn->payload_cap };
		entry->task.conn = queue->conn;
		entry->task.out = entry->payload;
		entry->task.out_cap = queue->conn->payload_cap;
	}
}

int fuse_uring_queue_new(struct fuse_conn *conn, uint32_t qid, uint32_t depth, struct fuse_uring_queue **out_queue)
{
	struct fuse_uring_queue *queue = calloc(1, sizeof(*queue));
	void *areas;

	if (!queue)
		return -ENOMEM;
	queue->entries = calloc(depth, sizeof(*queue->entries));
	if (!queue->entries)
		goto free_queue;
	queue->conn = conn;
	queue->qid = qid;
	queue->depth = depth;
	queue->areas_len = (size_t)depth * (conn->payload_cap + sizeof(struct fusex_uring_header));
	areas = mmap(NULL, queue->areas_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (areas == MAP_FAILED)
		goto free_entries;
	queue->areas = areas;
	entries_init(queue);
	*out_queue = queue;
	return 0;
free_entries:
	free(queue->entries);
free_queue:
	free(queue);
	return -ENOMEM;
}

void fuse_uring_queue_free(struct fuse_uring_queue *queue)
{
	if (!queue)
		return;
	munmap(queue->areas, queue->areas_len);
	free(queue->entries);
	free(queue);
}

/* A submission for entry. There is room for one per entry, and none has two. */
static void submit_command(struct fuse_uring_queue *queue, struct uring_entry *entry, uint32_t op)
{
	struct fusex_uring_cmd_req cmd = { .qid = (uint16_t)queue->qid, .commit_id = entry->commit_id };
	struct io_uring_sqe *sqe = io_uring_get_sqe(&queue->ring);

	if (!sqe)
		abort();
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = 0; /* the only registered file */
	sqe->cmd_op = op;
	sqe->user_data = (uint64_t)(entry - queue->entries);
	if (op == FUSEX_URING_CMD_REGISTER) {
		sqe->addr = (uint64_t)(uintptr_t)entry->areas;
		sqe->len = 2;
	}
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
}

/* The ring belongs to the thread that makes it. */
static int ring_init(struct fuse_uring_queue *queue)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	int err = io_uring_queue_init_params(queue->depth, &queue->ring, &params);

	if (err)
		return err;
	err = io_uring_register_files(&queue->ring, &queue->conn->fd, 1);
	if (err) {
		io_uring_queue_exit(&queue->ring);
		return err;
	}
	io_uring_register_ring_fd(&queue->ring); /* saves a look-up per call; not everywhere */
	return 0;
}

/* The areas as pieces. -EPROTO: lengths that contradict each other. */
static int entry_split(const struct uring_entry *entry, uint32_t payload_cap, struct fuse_pieces *out_pieces)
{
	const struct fuse_in_header *header = (const struct fuse_in_header *)entry->header->in_out;
	uint32_t payload_len = entry->header->payload_len;

	out_pieces->header = header;
	out_pieces->fixed = entry->header->op_in;
	out_pieces->fixed_len = 0;
	out_pieces->var = entry->payload;
	out_pieces->var_len = 0;
	if (payload_len > payload_cap || header->len < sizeof(*header) + payload_len)
		return -EPROTO;
	out_pieces->fixed_len = header->len - (uint32_t)sizeof(*header) - payload_len;
	out_pieces->var_len = payload_len;
	return out_pieces->fixed_len <= FUSEX_URING_AREA_LEN ? 0 : -EPROTO;
}

/* Writes the answer into the areas. */
static void entry_answer(struct uring_entry *entry, int error)
{
	struct fuse_out_header *out = (struct fuse_out_header *)entry->header->in_out;
	uint32_t len = error ? 0 : entry->task.out_len;

	out->unique = entry->task.req.unique;
	out->error = error;
	out->len = (uint32_t)sizeof(*out) + len;
	entry->header->payload_len = len;
}

static uint64_t serve_entry(struct fuse_uring_queue *queue, struct uring_entry *entry, uint64_t start_ns)
{
	struct fuse_task *task = &entry->task;
	struct fuse_pieces pieces;
	uint64_t end_ns;
	int err;

	entry->commit_id = entry->header->commit_id;
	task->ref_node = 0;
	task->out_len = 0;
	task->n_bytes = 0;
	err = entry_split(entry, queue->conn->payload_cap, &pieces);
	if (err) {
		task->req.opcode = pieces.header->opcode;
		task->req.unique = pieces.header->unique;
	} else {
		err = fuse_decode(&pieces, &queue->conn->dialect, &task->req);
	}
	if (!err)
		err = fuse_task_serve(task);
	entry_answer(entry, err);
	submit_command(queue, entry, FUSEX_URING_CMD_COMMIT_AND_FETCH);
	end_ns = fuse_stats_now_ns();
	fuse_stats_note(queue->stats, task->req.opcode, end_ns - start_ns, task->n_bytes, err && err != -ENOSYS);
	return end_ns;
}

/* The connection has ended, or is ending: nothing to report. */
static bool error_is_the_end(int err)
{
	return err == -ENOTCONN || err == -ECONNABORTED || err == -ECANCELED || err == -ENODEV;
}

/* A command that failed. Registering too early is tried again; anything else ends the entry. */
static void entry_failed(struct fuse_uring_queue *queue, struct uring_entry *entry, int err)
{
	struct timespec wait = { .tv_nsec = REGISTER_RETRY_NS };

	if (!entry->registered && err == -EAGAIN) {
		nanosleep(&wait, NULL);
		submit_command(queue, entry, FUSEX_URING_CMD_REGISTER);
		return;
	}
	if (!error_is_the_end(err)) {
		log_error("fuse: io_uring queue %u: %s failed: %s", queue->qid, entry->registered ? "an answer" : "registering",
			  strerror(-err));
		queue->failed = true;
	}
	/* At the end the last answer may have been delivered or not, and every reference goes with the connection. */
	if (!error_is_the_end(err) && entry->registered && entry->commit_id)
		fuse_task_undeliver(&entry->task);
	queue->n_alive--;
}

/* Everything that has been completed. */
static void serve_completions(struct fuse_uring_queue *queue)
{
	uint64_t start_ns = fuse_stats_now_ns();
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&queue->ring, &cqe) == 0) {
		struct uring_entry *entry = &queue->entries[cqe->user_data];
		int res = cqe->res;
		uint64_t end_ns;

		io_uring_cqe_seen(&queue->ring, cqe);
		if (res < 0) {
			entry_failed(queue, entry, res);
			continue;
		}
		entry->registered = true;
		end_ns = serve_entry(queue, entry, start_ns);
		if (end_ns - start_ns > SUBMIT_AT_ONCE_NS)
			io_uring_submit(&queue->ring);
		start_ns = end_ns;
	}
	fuse_polite_tick(&queue->polite, start_ns, 0);
}

static void serve_queue(struct fuse_uring_queue *queue)
{
	for (uint32_t i = 0; i < queue->depth; i++)
		submit_command(queue, &queue->entries[i], FUSEX_URING_CMD_REGISTER);
	queue->n_alive = queue->depth;
	while (queue->n_alive && !fuse_conn_stopping(queue->conn)) {
		int ret = io_uring_submit_and_wait(&queue->ring, 1);

		if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY) {
			log_error("fuse: io_uring queue %u: %s", queue->qid, strerror(-ret));
			queue->failed = true;
			break;
		}
		serve_completions(queue);
	}
	/* The kernel goes on giving requests to a queue that nobody serves: better that all of them fail than that some hang. */
	if (queue->failed && !fuse_conn_stopping(queue->conn))
		__atomic_store_n(&queue->conn->broken, 1, __ATOMIC_RELEASE);
}

void fuse_uring_run(struct fuse_worker *worker)
{
	struct fuse_uring_queue *queue = worker->priv;
	int err = ring_init(queue);

	queue->stats = &worker->stats;
	for (uint32_t i = 0; i < queue->depth; i++)
		queue->entries[i].task.stats = &worker->stats;
	fuse_polite_init(&queue->polite, false);
	if (fuse_worker_ready(worker, err))
		serve_queue(queue);
	fuse_polite_fini(&queue->polite);
	if (!err)
		io_uring_queue_exit(&queue->ring);
}
