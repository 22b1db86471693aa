/* SPDX-License-Identifier: BSD-3-Clause */
/* The classic channel (see fuse_dev.h). */
#include "transport/fuse/fuse_dev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/fuse/fuse_polite.h"

/* A request is its header, a fixed part and the payload. */
#define REQUEST_HEAD_BYTES 4096u
/* Lazy reading: how long between looks, and how many empty looks before waiting for a first message again. */
#define LAZY_INTERVAL_NS 5000000
#define LAZY_EMPTY_LOOKS 20

struct fuse_dev {
	struct fuse_conn *conn;
	int fd;
	bool own_fd;
	size_t in_cap; /* bytes */
	uint8_t *in;
	uint8_t *out;
	size_t map_len; /* bytes of both */
	pthread_mutex_t drain_lock; /* fd and buffers, where more than one thread reads */
};

/* One request and the descriptor that its answer goes to. */
struct dev_task {
	struct fuse_task task;
	struct fuse_dev *dev;
};

static int clone_fd(int fd)
{
	uint32_t source = (uint32_t)fd;
	int clone = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (clone < 0)
		return -errno;
	if (ioctl(clone, FUSE_DEV_IOC_CLONE, &source)) {
		int err = -errno;

		close(clone);
		return err;
	}
	return clone;
}

static int set_nonblock(int fd, bool nonblock)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = nonblock ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) ? -errno : 0;
}

int fuse_dev_new(struct fuse_conn *conn, bool nonblock, struct fuse_dev **out_dev)
{
	struct fuse_dev *dev = calloc(1, sizeof(*dev));
	int err;

	if (!dev)
		return -ENOMEM;
	dev->conn = conn;
	dev->fd = clone_fd(conn->fd);
	dev->own_fd = dev->fd >= 0;
	if (!dev->own_fd)
		dev->fd = conn->fd; /* shared: slower, not wrong */
	err = set_nonblock(dev->fd, nonblock);
	if (err)
		goto close_fd;
	dev->in_cap = REQUEST_HEAD_BYTES + conn->payload_cap;
	dev->map_len = dev->in_cap + conn->payload_cap;
	dev->in = mmap(NULL, dev->map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (dev->in == MAP_FAILED) {
		err = -ENOMEM;
		goto close_fd;
	}
	dev->out = dev->in + dev->in_cap;
	pthread_mutex_init(&dev->drain_lock, NULL);
	*out_dev = dev;
	return 0;
close_fd:
	if (dev->own_fd)
		close(dev->fd);
	free(dev);
	return err;
}

void fuse_dev_free(struct fuse_dev *dev)
{
	if (!dev)
		return;
	pthread_mutex_destroy(&dev->drain_lock);
	munmap(dev->in, dev->map_len);
	if (dev->own_fd)
		close(dev->fd);
	free(dev);
}

/* One message. 0, or a negative errno: -ENOENT if nobody waits for it any more. */
static int write_answer(const struct fuse_dev *dev, struct fuse_out_header *header, struct iovec *iov, int n_iov)
{
	size_t len = sizeof(*header);
	ssize_t n;

	for (int i = 1; i < n_iov; i++)
		len += iov[i].iov_len;
	header->len = (uint32_t)len;
	iov[0].iov_base = header;
	iov[0].iov_len = sizeof(*header);
	do
		n = writev(dev->fd, iov, n_iov);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/*
 * Completes iov[0] with the header and sends. An answer that is not delivered gives its references back. -EFAULT: its bytes could
 * not be read (a media error under the mapping); the kernel has failed the request with EIO.
 */
static int send_answer(struct fuse_task *task, int error, struct iovec *iov, int n_iov)
{
	const struct dev_task *dt = container_of(task, struct dev_task, task);
	struct fuse_out_header header = { .error = error, .unique = task->req.unique };
	int err = write_answer(dt->dev, &header, iov, n_iov);

	if (!err)
		return 0;
	fuse_task_undeliver(task);
	if (err != -EFAULT && err != -ENOENT && err != -ENODEV && err != -ENOTCONN && err != -ECONNABORTED) {
		header.error = -EIO;
		write_answer(dt->dev, &header, iov, 1);
	}
	return err == -EFAULT ? err : 0;
}

static int send_gather(struct fuse_task *task, struct iovec *iov, int n_iov)
{
	return send_answer(task, 0, iov, n_iov);
}

/* Returns the time when the answer was ready. */
static uint64_t serve_message(struct fuse_dev *dev, size_t len, struct fuse_stats *stats, bool draining)
{
	struct dev_task dt = { .dev = dev };
	struct fuse_task *task = &dt.task;
	uint64_t start_ns = fuse_stats_now_ns();
	struct fuse_pieces pieces;
	struct iovec iov[2];
	uint64_t end_ns;
	int err;

	if (fuse_split(dev->in, len, &dev->conn->dialect, &pieces)) {
		log_error("fuse: a message of %zu bytes makes no sense; ignored", len);
		return start_ns;
	}
	task->conn = dev->conn;
	task->out = dev->out;
	task->out_cap = dev->conn->payload_cap;
	task->send_gather = send_gather;
	task->draining = draining;
	task->stats = stats;
	err = fuse_decode(&pieces, &dev->conn->dialect, &task->req);
	if (!err)
		err = fuse_task_serve(task);
	end_ns = fuse_stats_now_ns();
	fuse_stats_note(stats, task->req.opcode, end_ns - start_ns, task->n_bytes, err && err != -ENOSYS);
	if (!task->sent && !fuse_op_is_silent(task->req.opcode)) {
		iov[1].iov_base = task->out;
		iov[1].iov_len = task->out_len;
		send_answer(task, err, iov, !err && task->out_len ? 2 : 1);
	}
	return end_ns;
}

/* True if reading may go on: the error is of this moment, not of the connection. */
static bool error_is_passing(int err)
{
	return err == EINTR || err == EAGAIN || err == ENOENT;
}

void fuse_dev_run(struct fuse_worker *worker)
{
	const struct fuse_in_header *header;
	struct fuse_dev *dev = worker->priv;
	struct fuse_polite polite;

	fuse_polite_init(&polite, true);
	if (!fuse_worker_ready(worker, 0))
		goto forget_polite;
	header = (const struct fuse_in_header *)dev->in;
	while (!fuse_conn_stopping(dev->conn)) {
		ssize_t n = read(dev->fd, dev->in, dev->in_cap);

		if (n > 0) {
			fuse_polite_tick(&polite, serve_message(dev, (size_t)n, &worker->stats, false), header->pid);
		} else if (n < 0 && !error_is_passing(errno)) {
			if (errno != ENODEV && errno != ENOTCONN)
				log_error("fuse: reading requests: %s", strerror(errno));
			break;
		}
	}
forget_polite:
	fuse_polite_fini(&polite);
}

/* Number of messages, or a negative errno of the connection. */
static int drain_locked(struct fuse_dev *dev, struct fuse_stats *stats, bool draining)
{
	int n_messages = 0;

	for (;;) {
		ssize_t n = read(dev->fd, dev->in, dev->in_cap);

		if (n > 0) {
			serve_message(dev, (size_t)n, stats, draining);
			n_messages++;
		} else if (n < 0 && (errno == EINTR || errno == ENOENT)) {
			continue;
		} else if (n < 0 && errno != EAGAIN) {
			return -errno;
		} else {
			return n_messages;
		}
	}
}

unsigned int fuse_dev_drain(struct fuse_dev *dev, struct fuse_stats *stats)
{
	int n;

	pthread_mutex_lock(&dev->drain_lock);
	n = drain_locked(dev, stats, true);
	pthread_mutex_unlock(&dev->drain_lock);
	return n > 0 ? (unsigned int)n : 0;
}

void fuse_dev_run_lazily(struct fuse_worker *worker)
{
	struct timespec interval = { .tv_nsec = LAZY_INTERVAL_NS };
	struct fuse_dev *dev = worker->priv;
	struct pollfd pfd = { .fd = dev->fd, .events = POLLIN };
	int empty_looks = 0, n;

	if (!fuse_worker_ready(worker, 0))
		return;
	while (!fuse_conn_stopping(dev->conn)) {
		if (empty_looks == LAZY_EMPTY_LOOKS)
			poll(&pfd, 1, -1);
		nanosleep(&interval, NULL);
		pthread_mutex_lock(&dev->drain_lock);
		n = drain_locked(dev, &worker->stats, true);
		pthread_mutex_unlock(&dev->drain_lock);
		if (n < 0)
			break;
		empty_looks = n ? 0 : (int)u64_min((uint64_t)empty_looks + 1, LAZY_EMPTY_LOOKS);
	}
}
