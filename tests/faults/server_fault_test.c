/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's sessions and mounts without memory or threads at each call: each request has one answer, the greeting included;
 * nothing is left of what failed, and the next one works. Plug-in and transport are the test's own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/log.h"
#include "base/util.h"
#include "faults/fault.h"
#include "lib/tap.h"
#include "zusd/control_msg.h"
#include "zusd/mount_life.h"
#include "zusd/session.h"

/* --- a transport that serves nothing until it is told to end ---------------------------------------------------------------- */

struct fuse_transport {
	int fuse_fd;
	int end;
};

static struct fuse_transport *running; /* the one there is */

int fuse_transport_start(const struct fuse_transport_args *args, struct fuse_transport **out_ft)
{
	struct fuse_transport *ft = calloc(1, sizeof(*ft));

	if (!ft)
		return -ENOMEM;
	ft->fuse_fd = args->fuse_fd;
	*out_ft = ft;
	__atomic_store_n(&running, ft, __ATOMIC_SEQ_CST);
	return 0;
}

void fuse_transport_wait(struct fuse_transport *ft)
{
	while (!__atomic_load_n(&ft->end, __ATOMIC_SEQ_CST))
		usleep(100);
}

void fuse_transport_free(struct fuse_transport *ft)
{
	__atomic_store_n(&running, NULL, __ATOMIC_SEQ_CST);
	close(ft->fuse_fd);
	free(ft);
}

const char *fuse_transport_channel_name(const struct fuse_transport *ft)
{
	(void)ft;
	return "test";
}

size_t fuse_transport_stats(struct fuse_transport *ft, char *buf, size_t cap)
{
	(void)ft;
	return (size_t)snprintf(buf, cap, "read 1 2 3 4 5\n");
}

/* --- a plug-in that opens everything ---------------------------------------------------------------------------------------- */

static void test_unmount(struct zus_fs *fs)
{
	free(fs);
}

static const struct zus_ops test_ops = { .unmount = test_unmount };

static int test_mount(const struct zus_mount_args *args, struct zus_fs **out_fs)
{
	(void)args;
	*out_fs = calloc(1, sizeof(**out_fs));
	if (!*out_fs)
		return -ENOMEM;
	(*out_fs)->ops = &test_ops;
	return 0;
}

static const struct zus_plugin test_plugin = {
	.abi = ZUS_PLUGIN_ABI, .flags = ZUS_PLUGIN_VOLATILE, .name = "test", .version = "1", .mount = test_mount
};

#define NO_SEND (-2) /* for ask(): only wait for the answer */

/* --- a client that goes through all requests -------------------------------------------------------------------------------- */

static struct loader loader;
static struct mount_table mounts;
static struct session_set sessions;
static struct control_msg *msg;

/* The type of the answer, or a negative errno. */
static int answer(int sock)
{
	int fd = -1, err = control_msg_recv(sock, msg, &fd);

	if (fd >= 0)
		close(fd);
	return err ? err : msg->type;
}

/* 1: answered with success, 0: with an error that says ENOMEM or EAGAIN; -1: the connection is closed; else the test ends. */
static int ask(int sock, int fd)
{
	int type;

	if (fd != NO_SEND && control_msg_send(sock, msg, fd))
		return -1;
	do
		type = answer(sock);
	while (type == CONTROL_ITEM);
	if (type == CONTROL_OK)
		return 1;
	if (type == CONTROL_ERROR) {
		int err = (int)control_msg_u64(msg, CONTROL_TAG_ERRNO, 0);

		if (err != ENOMEM && err != EAGAIN)
			printf("# an error of %d: %s\n", err, control_msg_str_or_empty(msg, CONTROL_TAG_MESSAGE));
		CHECK(err == ENOMEM || err == EAGAIN);
		return 0;
	}
	CHECK(type == -ECONNRESET);
	return -1;
}

static int ask_open(int sock)
{
	control_msg_begin(msg, CONTROL_OPEN);
	control_msg_put_str(msg, CONTROL_TAG_FSTYPE, "test");
	control_msg_put_str(msg, CONTROL_TAG_DEVICE, "none");
	control_msg_put_str(msg, CONTROL_TAG_SOURCE, "none");
	control_msg_put_str(msg, CONTROL_TAG_DIR, "/mnt");
	return ask(sock, -1);
}

static int ask_start(int sock, int fuse)
{
	uint64_t id = control_msg_u64(msg, CONTROL_TAG_ID, 0);

	control_msg_begin(msg, CONTROL_START);
	control_msg_put_u64(msg, CONTROL_TAG_ID, id);
	return ask(sock, fuse);
}

static int greeted_go_through(int sock, int fuse)
{
	int opened = ask_open(sock), started = 0, listed, told = 0;

	CHECK(opened >= 0);
	if (opened)
		started = ask_start(sock, fuse);
	CHECK(started >= 0);
	control_msg_begin(msg, CONTROL_LIST);
	listed = ask(sock, -1);
	CHECK(listed >= 0);
	if (started) {
		control_msg_begin(msg, CONTROL_STATS);
		control_msg_put_str(msg, CONTROL_TAG_NAME, "/mnt");
		told = ask(sock, -1);
	}
	CHECK(told >= 0);
	return opened + started + listed + told;
}

/* Number of requests that were answered with success. */
static int session_go_through(int fuse)
{
	int sock[2], res, n_ok = 0;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
	setsockopt(sock[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = 5 }, sizeof(struct timeval));
	/* The greeting is on its way when the server takes the connection. */
	control_msg_begin(msg, CONTROL_HELLO);
	CHECK_EQ(control_msg_send(sock[0], msg, -1), 0);
	session_new(&sessions, sock[1]);
	res = ask(sock[0], NO_SEND);
	CHECK(res >= 0);
	if (res)
		n_ok = greeted_go_through(sock[0], fuse) + 1;
	close(sock[0]);
	return n_ok;
}

static uint32_t dir_count(const char *path)
{
	DIR *dir = opendir(path);
	uint32_t n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Threads that end by themselves have five seconds to do so. */
static void wait_for(const char *what, int (*is_so)(int64_t arg), int64_t arg)
{
	for (int i = 0; i < 5000 && !is_so(arg); i++)
		usleep(1000);
	if (!is_so(arg))
		printf("# %s\n", what);
	CHECK(is_so(arg));
}

static int no_sessions(int64_t arg)
{
	return !session_set_count(&sessions) && (int64_t)dir_count("/proc/self/task") == arg;
}

static int no_mounts(int64_t arg)
{
	return !mount_table_count(&mounts) && (int64_t)dir_count("/proc/self/task") == arg;
}

static int live_is(int64_t arg)
{
	return fault_live() == arg;
}

static unsigned int round_run(uint32_t kinds, uint64_t at, int forever, int fuse)
{
	uint32_t n_tasks = dir_count("/proc/self/task"), n_fds = dir_count("/proc/self/fd");
	int64_t live = fault_live();
	struct fuse_transport *ft;
	unsigned int failed;
	int n_ok;

	fault_arm(kinds, at, forever);
	n_ok = session_go_through(fuse);
	failed = fault_disarm();
	CHECK(failed || n_ok == 5);
	ft = __atomic_load_n(&running, __ATOMIC_SEQ_CST);
	wait_for("sessions are left", no_sessions, n_tasks + (ft != NULL));
	if (ft)
		__atomic_store_n(&ft->end, 1, __ATOMIC_SEQ_CST);
	wait_for("a mount is left", no_mounts, n_tasks);
	wait_for("memory is left", live_is, live);
	CHECK_EQ(dir_count("/proc/self/fd"), n_fds);
	return failed;
}

static void requests_run(uint32_t kinds, int forever)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	unsigned int n = 0, failed = 1;

	if (fuse < 0)
		tap_skip("/dev/fuse cannot be opened");
	loader.plugins[0].plugin = &test_plugin;
	loader.n_plugins = 1;
	log_set_level(-1);
	CHECK_EQ(mount_table_init(&mounts, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), 0);
	session_set_init(&sessions, &mounts, &loader, mounts.wake_fd);
	msg = calloc(1, sizeof(*msg));
	CHECK(msg);
	round_run(kinds, UINT64_MAX, 0, fuse);
	for (uint64_t at = 1; failed; at++, n += failed ? 1 : 0)
		failed = round_run(kinds, at, forever, fuse);
	printf("# %u failed calls\n", n);
	fault_sites_print();
	CHECK(n > 1);
	free(msg);
}

static void requests_without_memory_at_each_call(void)
{
	requests_run(FAULT_MEMORY, 0);
}

static void requests_without_memory_from_each_call_on(void)
{
	requests_run(FAULT_MEMORY, 1);
}

static void requests_without_threads_at_each_call(void)
{
	requests_run(FAULT_THREAD, 0);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(requests_without_memory_at_each_call),
		TAP_CASE(requests_without_memory_from_each_call_on),
		TAP_CASE(requests_without_threads_at_each_call),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
