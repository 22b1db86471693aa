/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server that is honest but for one thing: type "oddfs", a root directory and the file "f" in it, whose bytes are the first of
 * the device. oddserver ROOT MODE [MNT]
 *
 *   honest  nothing is wrong
 *   store   stores to the lengths of its requests, all the time
 *   old     has slots left of a server that it was before, which begin to wait when there is a mount
 *   self    answers no lookup of "x", but makes a directory in its own mount (MNT) then
 *   fails   says ENOMEM to the first HOLDs and REMOUNTs, and EMFILE to a MOUNT of what it has mounted
 *   gone    has no file "f" any more when it is told to hold it
 *   bare    lets a file grow and be made longer, but its answers have no attributes but for GETATTR; the old ones stand there
 *   forgets does not let extents be kept
 *   ends    takes extents back and asks for windows all the time; of each two mounts one fails late
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
#include <unistd.h>

#include "uapi/zuf.h"

#define N_SLOTS 8
#define NODE_ROOT 1u
#define NODE_FILE 2u
#define FILE_BYTES 65536u

struct slot {
	int fd;
	uint8_t *buf;
};

static const char *root, *mode, *mnt;
static struct slot slots[N_SLOTS], old_slots[N_SLOTS];
static unsigned int n_mounts;
static int is_mounted;

static int mode_is(const char *name)
{
	return !strcmp(mode, name);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void thread_new(void *(*run)(void *arg), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg))
		die("pthread_create");
}

static int channel_open(void)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/" ZUF_FILE_CHANNEL, root);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

/* --- answers ---------------------------------------------------------------------------------- */

static uint64_t file_bytes = FILE_BYTES;

static int attr_fill(struct zuf_attr *attr, uint64_t node)
{
	memset(attr, 0, sizeof(*attr));
	if (node != NODE_ROOT && node != NODE_FILE)
		return -ESTALE;
	attr->node = attr->ino = node;
	attr->mode = node == NODE_ROOT ? S_IFDIR | 0777 : S_IFREG | 0666;
	attr->nlink = node == NODE_ROOT ? 2 : 1;
	attr->size = node == NODE_ROOT ? 0 : file_bytes;
	attr->blocks = attr->size / 512;
	attr->hints = ZUF_HINT_NO_ACL | ZUF_HINT_NO_DEFAULT_ACL | ZUF_HINT_NO_CAPABILITY;
	return 0;
}

static int answer_attr(struct zuf_reply *rep, uint64_t node)
{
	int err = attr_fill(&rep->attr, node);

	rep->has_attr = !err;
	return err;
}

static int answer_mount(struct slot *s, struct zuf_reply *rep)
{
	struct zuf_mount_info *info = (struct zuf_mount_info *)(s->buf + ZUF_OUT_OFF);

	memset(info, 0, sizeof(*info));
	info->max_file_size = 1ull << 40;
	info->flags = mode_is("forgets") ? 0 : ZUF_INFO_KEEP_EXTENTS;
	info->time_gran_ns = 1;
	rep->out_len = sizeof(*info);
	if (mode_is("fails") && is_mounted)
		return -EMFILE;
	is_mounted = 1;
	if (__atomic_fetch_add(&n_mounts, 1, __ATOMIC_RELEASE) % 2 && mode_is("ends"))
		return 0;
	return answer_attr(rep, NODE_ROOT);
}

/* Waits for the lock of the root directory, which the caller has to whom we say nothing. */
static void *self_run(void *arg)
{
	char path[512];

	(void)arg;
	snprintf(path, sizeof(path), "%s/y", mnt);
	mkdir(path, 0700);
	return NULL;
}

static int answer_lookup(struct slot *s, const struct zuf_request *req, struct zuf_reply *rep)
{
	const char *name = (const char *)s->buf + ZUF_IN_OFF;

	if (mode_is("self") && *name == 'x') {
		thread_new(self_run, NULL);
		for (;;)
			pause();
	}
	if (mode_is("gone") && *name == 'f')
		return -ENOENT;
	if (req->name_len == 1 && *name == '.')
		return answer_attr(rep, req->node);
	return req->name_len == 1 && *name == 'f' ? answer_attr(rep, NODE_FILE) : -ENOENT;
}

static int answer_map(struct slot *s, const struct zuf_request *req, struct zuf_reply *rep)
{
	struct zuf_extent *ext = (struct zuf_extent *)(s->buf + ZUF_EXTENTS_OFF);

	if (req->off >= file_bytes)
		return 0;
	*ext = (struct zuf_extent){ .len = file_bytes - req->off, .dev_off = req->off };
	rep->n_ext = 1;
	rep->value = ext->len;
	return 0;
}

static int answer_remount(void)
{
	static unsigned int n;

	return mode_is("fails") && n++ < 2 ? -ENOMEM : 0;
}

/* With the attributes from before. */
static int answer_write(struct slot *s, const struct zuf_request *req, struct zuf_reply *rep)
{
	struct zuf_extent *ext = (struct zuf_extent *)(s->buf + ZUF_EXTENTS_OFF);

	if (!mode_is("bare"))
		return -EOPNOTSUPP;
	attr_fill(&rep->attr, NODE_FILE);
	*ext = (struct zuf_extent){ .len = req->len, .dev_off = req->off };
	rep->n_ext = 1;
	rep->value = req->len;
	if (file_bytes < req->off + req->len)
		file_bytes = req->off + req->len;
	return 0;
}

static int answer_setattr(const struct zuf_request *req, struct zuf_reply *rep)
{
	int err = answer_attr(rep, req->node);

	if (mode_is("bare") && (req->valid & ZUF_SET_SIZE)) {
		file_bytes = req->off;
		rep->has_attr = 0;
	}
	return err;
}

static int answer_hold(struct slot *s, const struct zuf_request *req, struct zuf_reply *rep)
{
	const uint64_t *nodes = (const uint64_t *)(const void *)(s->buf + ZUF_IN_OFF);
	struct zuf_attr *out = (struct zuf_attr *)(s->buf + ZUF_OUT_OFF);
	static unsigned int n;

	if (mode_is("fails") && n++ < 2)
		return -ENOMEM;
	for (uint64_t i = 0; i < req->len; i++)
		if (attr_fill(&out[i], nodes[i]) || (mode_is("gone") && nodes[i] == NODE_FILE))
			out[i].node = 0;
	rep->out_len = (uint32_t)(req->len * sizeof(*out));
	return 0;
}

static int answer_op(struct slot *s, const struct zuf_request *req, struct zuf_reply *rep)
{
	switch (req->op) {
	case ZUF_OP_MOUNT:
		return answer_mount(s, rep);
	case ZUF_OP_LOOKUP:
		return answer_lookup(s, req, rep);
	case ZUF_OP_GETATTR:
	case ZUF_OP_ATIME:
		return answer_attr(rep, req->node);
	case ZUF_OP_SETATTR:
		return answer_setattr(req, rep);
	case ZUF_OP_WRITE:
		return answer_write(s, req, rep);
	case ZUF_OP_MAP:
		return answer_map(s, req, rep);
	case ZUF_OP_HOLD:
		return answer_hold(s, req, rep);
	case ZUF_OP_REMOUNT:
		return answer_remount();
	case ZUF_OP_UMOUNT:
		is_mounted = 0;
		return 0;
	case ZUF_OP_FORGET:
	case ZUF_OP_READDIR:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void *slot_run(void *arg)
{
	struct slot *s = arg;
	struct zuf_reply *rep = (struct zuf_reply *)(s->buf + ZUF_REPLY_OFF);
	struct zuf_request req;

	for (;;) {
		if (!ioctl(s->fd, ZUF_IOC_WAIT)) {
			memcpy(&req, s->buf + ZUF_REQUEST_OFF, sizeof(req));
			memset(rep, 0, sizeof(*rep));
			rep->err = answer_op(s, &req, rep);
		} else if (errno != EINTR) {
			return NULL;
		}
	}
}

/* --- what is odd ------------------------------------------------------------------------------ */

static void *store_run(void *arg)
{
	(void)arg;
	for (;;) {
		for (unsigned int i = 0; i < N_SLOTS; i++) {
			struct zuf_request *req = (struct zuf_request *)(slots[i].buf + ZUF_REQUEST_OFF);

			__atomic_store_n(&req->name_len, 0x00f00000, __ATOMIC_RELAXED);
			__atomic_store_n(&req->name2_len, 0x00f00000, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

/* Of mounts that come and go, of which it knows no more than that their numbers are small. */
static void *invalidate_run(void *arg)
{
	struct zuf_invalidate_arg inval = { .node = NODE_FILE };
	const int fd = *(const int *)arg;
	uint64_t n = 0;

	for (;; n++) {
		inval.mount = (uint32_t)(n % 64);
		inval.off = n * 1001 % FILE_BYTES;
		inval.len = n % 7 ? n % 10000 : UINT64_MAX;
		ioctl(fd, ZUF_IOC_INVALIDATE, &inval);
		if (n % 64 == 0)
			usleep(5000);
	}
	return NULL;
}

static void *window_run(void *arg)
{
	char path[512];

	(void)arg;
	snprintf(path, sizeof(path), "%s/" ZUF_FILE_DEVICE, root);
	for (uint32_t n = 0;; n++) {
		struct zuf_device_arg device = { .mount = n % 64 };
		int fd = open(path, O_RDWR | O_CLOEXEC);

		usleep(ioctl(fd, ZUF_IOC_DEVICE, &device) ? 200 : 20000);
		close(fd);
	}
	return NULL;
}

static void *old_run(void *arg)
{
	while (!__atomic_load_n(&n_mounts, __ATOMIC_ACQUIRE))
		usleep(10000);
	usleep(500000);
	return slot_run(arg);
}

/* --- start ------------------------------------------------------------------------------------ */

static int server_new(void)
{
	struct zuf_server_arg server = { .version = ZUF_ABI_VERSION };
	struct zuf_type_arg type = { .name = "oddfs", .flags = ZUF_TYPE_DEVICE };
	int fd = channel_open();

	if (ioctl(fd, ZUF_IOC_SERVER, &server) || ioctl(fd, ZUF_IOC_TYPE, &type))
		die("server");
	return fd;
}

static void slot_new(struct slot *s, unsigned int cpu)
{
	struct zuf_channel_arg arg = { .cpu = cpu };

	s->fd = channel_open();
	if (ioctl(s->fd, ZUF_IOC_CHANNEL, &arg))
		die("channel");
	s->buf = mmap(NULL, ZUF_BUFFER_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->buf == MAP_FAILED)
		die("mmap");
}

int main(int argc, char **argv)
{
	static int fd;

	if (argc != 3 && argc != 4)
		return 2;
	root = argv[1];
	mode = argv[2];
	mnt = argv[3];
	fd = server_new();
	if (mode_is("old")) {
		for (unsigned int i = 0; i < N_SLOTS; i++) {
			slot_new(&old_slots[i], i % 2);
			thread_new(old_run, &old_slots[i]);
		}
		close(fd);
		fd = server_new();
	}
	for (unsigned int i = 0; i < N_SLOTS; i++) {
		slot_new(&slots[i], i % 2);
		thread_new(slot_run, &slots[i]);
	}
	if (ioctl(fd, ZUF_IOC_READY))
		die("ready");
	if (mode_is("store"))
		thread_new(store_run, NULL);
	if (mode_is("ends")) {
		thread_new(invalidate_run, &fd);
		thread_new(window_run, NULL);
	}
	for (;;)
		pause();
}
