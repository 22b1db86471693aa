/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Life of a connection: INIT, choice of the channel, threads, end.
 *
 * Order: INIT is received; rings and threads of the channel are made; only then INIT is answered, because the answer decides the
 * channel for good, and a kernel that was promised rings waits for them.
 */
#include "transport/fuse/fuse_transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/fuse/fuse_crew.h"
#include "transport/fuse/fuse_dev.h"
#include "transport/fuse/fuse_init.h"
#include "transport/fuse/fuse_uring.h"

#define MAX_WRITE_DEFAULT (1u << 20)
#define MAX_WRITE_LIMIT (16u << 20)
#define URING_DEPTH_DEFAULT 8u
#define URING_DEPTH_LIMIT 1024u
#define N_THREADS_LIMIT 1024u
/* Beside one thread per CPU: a few that go on while others are in a long operation. */
#define N_EXTRA_THREADS 2u

struct fuse_transport {
	struct fuse_conn conn;
	bool uring;
	struct fuse_crew *crew;
	uint32_t n_queues; /* uring: the crew's first threads; the one behind them reads lazily */
	struct fuse_uring_queue **queues;
	uint32_t n_devs;
	struct fuse_dev **devs;
	char name[64];
};

/* Why the kernel does not offer rings, for a person. */
static const char *uring_missing_reason(void)
{
	FILE *f = fopen("/sys/module/fuse/parameters/enable_uring", "re");
	int c = 0;

	if (!f)
		return "the kernel has no FUSE over io_uring (Linux 6.14 and later have)";
	c = fgetc(f);
	fclose(f);
	if (c == 'N' || c == '0')
		return "FUSE over io_uring is switched off: echo Y > /sys/module/fuse/parameters/enable_uring before mounting "
		       "(or mount with -o uring)";
	return "the kernel does not offer FUSE over io_uring for this mount";
}

static void uring_teardown(struct fuse_transport *ft)
{
	for (uint32_t i = 0; ft->queues && i < ft->n_queues; i++)
		fuse_uring_queue_free(ft->queues[i]);
	free(ft->queues);
	ft->queues = NULL;
	ft->n_queues = 0;
}

static void devs_teardown(struct fuse_transport *ft)
{
	ft->conn.lazy = NULL;
	for (uint32_t i = 0; ft->devs && i < ft->n_devs; i++)
		fuse_dev_free(ft->devs[i]);
	free(ft->devs);
	ft->devs = NULL;
	ft->n_devs = 0;
}

/* Ends the threads and frees them with what they use. */
static void channel_teardown(struct fuse_transport *ft)
{
	if (ft->crew)
		fuse_crew_stop(ft->crew);
	uring_teardown(ft);
	devs_teardown(ft);
	fuse_crew_free(ft->crew);
	ft->crew = NULL;
	ft->conn.stopping = 0;
}

static int devs_new(struct fuse_transport *ft, uint32_t n, bool nonblock)
{
	int err = 0;

	ft->devs = calloc(n, sizeof(*ft->devs));
	if (!ft->devs)
		return -ENOMEM;
	ft->n_devs = n;
	for (uint32_t i = 0; i < n && !err; i++)
		err = fuse_dev_new(&ft->conn, nonblock, &ft->devs[i]);
	return err;
}

static int uring_new(struct fuse_transport *ft, uint32_t depth)
{
	int n = fuse_uring_n_queues(), err;

	if (n < 0)
		return n;
	ft->queues = calloc((size_t)n, sizeof(*ft->queues));
	if (!ft->queues)
		return -ENOMEM;
	ft->n_queues = (uint32_t)n;
	err = fuse_crew_new(&ft->conn, ft->n_queues + 1, &ft->crew);
	for (uint32_t i = 0; i < ft->n_queues && !err; i++) {
		err = fuse_uring_queue_new(&ft->conn, i, depth, &ft->queues[i]);
		ft->crew->workers[i].cpu = (int)i;
		ft->crew->workers[i].index = i;
		ft->crew->workers[i].run = fuse_uring_run;
		ft->crew->workers[i].priv = ft->queues[i];
	}
	if (!err)
		err = devs_new(ft, 1, true);
	if (err)
		return err;
	ft->conn.lazy = ft->devs[0];
	ft->crew->workers[ft->n_queues].index = ft->n_queues;
	ft->crew->workers[ft->n_queues].run = fuse_dev_run_lazily;
	ft->crew->workers[ft->n_queues].priv = ft->devs[0];
	return 0;
}

static int uring_start(struct fuse_transport *ft, uint32_t depth)
{
	int err = uring_new(ft, depth);

	if (!err)
		err = fuse_crew_start(ft->crew);
	if (err) {
		channel_teardown(ft);
		return err;
	}
	ft->uring = true;
	snprintf(ft->name, sizeof(ft->name), "io_uring, %u queue%s", ft->n_queues, ft->n_queues == 1 ? "" : "s");
	return 0;
}

static int dev_start(struct fuse_transport *ft, uint32_t n_threads)
{
	long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t n = n_threads ? n_threads : (n_cpus > 0 ? (uint32_t)n_cpus : 1) + N_EXTRA_THREADS;
	int err;

	n = (uint32_t)u64_min(n, N_THREADS_LIMIT);
	err = fuse_crew_new(&ft->conn, n, &ft->crew);
	if (!err)
		err = devs_new(ft, n, false);
	for (uint32_t i = 0; i < n && !err; i++) {
		ft->crew->workers[i].index = i;
		ft->crew->workers[i].run = fuse_dev_run;
		ft->crew->workers[i].priv = ft->devs[i];
	}
	if (!err)
		err = fuse_crew_start(ft->crew);
	if (err) {
		channel_teardown(ft);
		return err;
	}
	snprintf(ft->name, sizeof(ft->name), "/dev/fuse, %u thread%s", n, n == 1 ? "" : "s");
	return 0;
}

/* -EOPNOTSUPP: rings were demanded and there are none (logged). */
static int channel_start(struct fuse_transport *ft, const struct fuse_transport_args *args)
{
	uint32_t depth = args->uring_depth ? args->uring_depth : URING_DEPTH_DEFAULT;
	const char *reason = NULL;
	int err;

	if (args->channel != FUSE_CHANNEL_DEV) {
		if (!ft->conn.offers_uring) {
			reason = uring_missing_reason();
		} else {
			err = uring_start(ft, (uint32_t)u64_min(depth, URING_DEPTH_LIMIT));
			if (!err)
				return 0;
			reason = strerror(-err);
		}
	}
	if (args->channel == FUSE_CHANNEL_URING) {
		log_error("fuse: no io_uring channel: %s", reason);
		return -EOPNOTSUPP;
	}
	if (reason)
		log_notice("fuse: using /dev/fuse, which is several times slower per request: %s", reason);
	return dev_start(ft, args->n_threads);
}

static void conn_init(struct fuse_conn *conn, const struct fuse_transport_args *args)
{
	uint32_t max_write = args->max_write ? args->max_write : MAX_WRITE_DEFAULT;

	conn->fs = args->fs;
	conn->fd = args->fuse_fd;
	conn->cache = args->cache;
	conn->max_write = (uint32_t)u64_max(u64_min(max_write, MAX_WRITE_LIMIT), 4096);
}

int fuse_transport_start(const struct fuse_transport_args *args, struct fuse_transport **out_ft)
{
	struct fuse_transport *ft = calloc(1, sizeof(*ft));
	int err;

	if (!ft)
		return -ENOMEM;
	conn_init(&ft->conn, args);
	err = vfs_new(args->fs, &ft->conn.vfs);
	if (err)
		goto free_ft;
	err = fuse_init_receive(&ft->conn);
	if (err)
		goto free_vfs;
	err = channel_start(ft, args);
	if (err)
		goto free_vfs;
	err = fuse_init_answer(&ft->conn, ft->uring);
	if (err)
		goto stop_channel;
	fuse_crew_go(ft->crew);
	log_info("fuse: serving over %s", ft->name);
	*out_ft = ft;
	return 0;
stop_channel:
	channel_teardown(ft);
free_vfs:
	vfs_free(ft->conn.vfs);
free_ft:
	free(ft);
	return err;
}

void fuse_transport_wait(struct fuse_transport *ft)
{
	fuse_crew_wait(ft->crew);
}

void fuse_transport_free(struct fuse_transport *ft)
{
	if (!ft)
		return;
	channel_teardown(ft);
	close(ft->conn.fd);
	vfs_free(ft->conn.vfs);
	free(ft);
}

const char *fuse_transport_channel_name(const struct fuse_transport *ft)
{
	return ft->name;
}

size_t fuse_transport_stats(struct fuse_transport *ft, char *buf, size_t cap)
{
	struct fuse_stats *sum;
	size_t len;

	if (posix_memalign((void **)&sum, 64, sizeof(*sum)))
		return 0;
	memset(sum, 0, sizeof(*sum));
	for (uint32_t i = 0; i < ft->crew->n_workers; i++)
		fuse_stats_sum(sum, &ft->crew->workers[i].stats);
	len = fuse_stats_print(sum, buf, cap);
	free(sum);
	return len;
}
