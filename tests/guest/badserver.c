/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server that lies: takes the control root, registers the type "badfs", opens mounts as it should, and answers everything else
 * with what is half sane and half noise; meanwhile it takes extents back, of inodes that are there or not, and of a mount that
 * comes and goes, and stores noise to the requests. The kernel must survive it: badserver ROOT SECONDS SEED
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "uapi/zuf.h"

#define N_SLOTS 8
#define NO_ROOM_OFF (1ull << 30) /* of a write that never gets any: liar_calls.py */

struct liar {
	int fd;
	uint8_t *buf;
	uint64_t rand;
};

static const char *root;
static uint32_t mount_id; /* atomic: the last that was mounted */
static int mounted; /* the first request is MOUNT; what it says of itself is not true for long */

static uint64_t rand_next(struct liar *l)
{
	l->rand ^= l->rand >> 12;
	l->rand ^= l->rand << 25;
	l->rand ^= l->rand >> 27;
	return l->rand * 0x2545f4914f6cdd1dull;
}

static int chance(struct liar *l, unsigned int one_in)
{
	return rand_next(l) % one_in == 0;
}

static int channel_open(void)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/" ZUF_FILE_CHANNEL, root);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static void noise(struct liar *l, void *at, size_t len)
{
	uint8_t *p = at;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rand_next(l);
}

static void attr_make(struct liar *l, struct zuf_attr *attr, uint64_t node)
{
	static const uint32_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFIFO, S_IFSOCK, S_IFBLK, 0 };

	memset(attr, 0, sizeof(*attr));
	if (chance(l, 10))
		noise(l, attr, sizeof(*attr));
	attr->node = node;
	attr->ino = node;
	attr->mode = types[chance(l, 2) ? 0 : chance(l, 2) ? 1 : rand_next(l) % 8] | 0777;
	attr->size = chance(l, 4) ? rand_next(l) : rand_next(l) % (1 << 24);
	attr->nlink = (uint32_t)(rand_next(l) % 4);
	attr->hints = (uint32_t)rand_next(l);
}

static void extents_make(struct liar *l, struct zuf_reply *rep)
{
	struct zuf_extent *ext = (struct zuf_extent *)(l->buf + ZUF_EXTENTS_OFF);

	rep->n_ext = (uint32_t)(chance(l, 8) ? rand_next(l) : rand_next(l) % (ZUF_EXTENTS_MAX + 2));
	for (uint32_t i = 0; i < ZUF_EXTENTS_MAX; i++) {
		ext[i].len = chance(l, 8) ? rand_next(l) : (1 + rand_next(l) % 64) << 12;
		ext[i].dev_off = chance(l, 8) ? rand_next(l) : (rand_next(l) % 100000) << 12;
		ext[i].flags = chance(l, 4) ? (uint32_t)rand_next(l) % 8 : 0;
	}
}

static void dirents_make(struct liar *l, struct zuf_reply *rep)
{
	uint8_t *at = l->buf + ZUF_OUT_OFF;

	rep->out_len = 0;
	for (unsigned int i = 0; i < 5; i++) {
		struct zuf_dirent *d = (struct zuf_dirent *)(at + rep->out_len);

		memset(d, 0, 64);
		d->ino = 1 + rand_next(l) % 50;
		d->next = chance(l, 10) ? rand_next(l) : 1 + rand_next(l) % 1000;
		d->name_len = (uint16_t)(chance(l, 10) ? rand_next(l) : 1);
		d->type = (uint8_t)rand_next(l);
		d->name[0] = chance(l, 10) ? '/' : (char)('a' + rand_next(l) % 8);
		rep->out_len += 32;
	}
	if (chance(l, 3))
		rep->out_len = 0;
}

static void mount_make(struct liar *l, struct zuf_reply *rep)
{
	struct zuf_mount_info *info = (struct zuf_mount_info *)(l->buf + ZUF_OUT_OFF);

	memset(info, 0, sizeof(*info));
	info->max_file_size = 1ull << 40;
	info->flags = ZUF_INFO_KEEP_EXTENTS | ZUF_INFO_FSYNC | ZUF_INFO_SYNC | ZUF_INFO_XATTR;
	info->time_gran_ns = 1;
	rep->out_len = sizeof(*info);
	attr_make(l, &rep->attr, 1);
	rep->attr.mode = S_IFDIR | 0777;
	rep->attr.size = 0;
	rep->attr.nlink = 2;
	rep->has_attr = 1;
}

static void lie(struct liar *l)
{
	const struct zuf_request *req = (const struct zuf_request *)(l->buf + ZUF_REQUEST_OFF);
	struct zuf_reply *rep = (struct zuf_reply *)(l->buf + ZUF_REPLY_OFF);

	memset(rep, 0, sizeof(*rep));
	if (!mounted || req->op == ZUF_OP_MOUNT) {
		mounted = 1;
		__atomic_store_n(&mount_id, req->mount, __ATOMIC_RELAXED);
		mount_make(l, rep);
		return;
	}
	if ((req->op == ZUF_OP_MAP_WRITE && req->off == NO_ROOM_OFF) || (req->op == ZUF_OP_COMMIT && !req->len))
		return;
	rep->err = chance(l, 4) ? -(int32_t)(rand_next(l) % 140) : 0;
	if (chance(l, 50))
		rep->err = (int32_t)rand_next(l);
	rep->has_attr = !chance(l, 10);
	attr_make(l, &rep->attr, chance(l, 2) ? 2 + rand_next(l) % 40 : req->node);
	rep->value = chance(l, 4) ? rand_next(l) : chance(l, 2) ? req->len : rand_next(l) % 65536;
	rep->out_len = (uint32_t)(chance(l, 10) ? rand_next(l) : rand_next(l) % 4096);
	extents_make(l, rep);
	if (req->op == ZUF_OP_READDIR)
		dirents_make(l, rep);
	else
		noise(l, l->buf + ZUF_OUT_OFF, 256);
	/* Changes its mind while the kernel looks. */
	if (chance(l, 3))
		rep->n_ext = (uint32_t)rand_next(l);
}

static void *liar_run(void *arg)
{
	struct liar *l = arg;

	for (;;) {
		if (!ioctl(l->fd, ZUF_IOC_WAIT))
			lie(l);
		else if (errno != EINTR)
			return NULL;
	}
}

static void take_back(struct liar *l, int fd)
{
	struct zuf_invalidate_arg arg = { .mount = __atomic_load_n(&mount_id, __ATOMIC_RELAXED), .node = 1 + rand_next(l) % 42 };

	arg.off = chance(l, 8) ? rand_next(l) : rand_next(l) % (1 << 24);
	arg.len = chance(l, 8) ? rand_next(l) : rand_next(l) % (1 << 24);
	ioctl(fd, ZUF_IOC_INVALIDATE, &arg);
}

/* Stores to what the kernel asks, while it asks. */
static void *scribble_run(void *arg)
{
	struct liar *liars = arg, rand = { .rand = 88172645463325252ull };

	for (;;) {
		for (unsigned int i = 0; i < N_SLOTS; i++) {
			struct zuf_request *req = (struct zuf_request *)(liars[i].buf + ZUF_REQUEST_OFF);
			uint32_t len = chance(&rand, 2) ? 0x00f00000 : (uint32_t)rand_next(&rand);

			__atomic_store_n(&req->name_len, len, __ATOMIC_RELAXED);
			__atomic_store_n(&req->name2_len, len, __ATOMIC_RELAXED);
			/* Most mounts are to come about. */
			if (__atomic_load_n(&req->op, __ATOMIC_RELAXED) != ZUF_OP_MOUNT)
				__atomic_store_n(&req->op, (uint32_t)rand_next(&rand) % (ZUF_OP_COUNT + 1), __ATOMIC_RELAXED);
		}
		if (chance(&rand, 1000))
			usleep(1000);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct zuf_server_arg server = { .version = ZUF_ABI_VERSION };
	struct zuf_type_arg type = { .name = "badfs", .flags = ZUF_TYPE_DEVICE };
	static struct liar liars[N_SLOTS];
	struct liar taker = { 0 };
	pthread_t thread;
	time_t end;
	int fd;

	if (argc != 4)
		return 2;
	root = argv[1];
	fd = channel_open();
	if (ioctl(fd, ZUF_IOC_SERVER, &server) || ioctl(fd, ZUF_IOC_TYPE, &type)) {
		perror("badserver");
		return 1;
	}
	for (unsigned int i = 0; i < N_SLOTS; i++) {
		struct zuf_channel_arg arg = { .cpu = i % 2 };

		liars[i].fd = channel_open();
		liars[i].rand = strtoull(argv[3], NULL, 0) + i + 1;
		if (ioctl(liars[i].fd, ZUF_IOC_CHANNEL, &arg))
			return 1;
		liars[i].buf = mmap(NULL, ZUF_BUFFER_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, liars[i].fd, 0);
		if (liars[i].buf == MAP_FAILED || pthread_create(&thread, NULL, liar_run, &liars[i]))
			return 1;
	}
	if (ioctl(fd, ZUF_IOC_READY) || pthread_create(&thread, NULL, scribble_run, liars))
		return 1;
	taker.rand = strtoull(argv[3], NULL, 0) + N_SLOTS + 1;
	for (end = time(NULL) + atoi(argv[2]); time(NULL) < end; usleep(500))
		take_back(&taker, fd);
	return 0;
}
