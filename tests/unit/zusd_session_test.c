/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions of the control socket and the life of mounts, with a plug-in and a transport of the test's own: hostile clients,
 * clients that go away half-way, devices asked for twice.
 */
#include "zusd/session.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/log.h"
#include "lib/tap.h"
#include "transport/fuse/fuse_mount.h"
#include "zusd/control_msg.h"
#include "zusd/mount_life.h"

#define FUZZ_ROUNDS 2000
#define SHUT_DOWN_SECONDS 10 /* after which the server aborts connections */

/* --- a transport that serves nothing until it is told to end ------------------------------------------------------------------
 */

struct fuse_transport {
	int fuse_fd;
};

static int transport_result;
static unsigned int transports_alive;
static pthread_mutex_t end_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t end_cond = PTHREAD_COND_INITIALIZER;
static int end_all;

int fuse_transport_start(const struct fuse_transport_args *args, struct fuse_transport **out_ft)
{
	if (transport_result)
		return transport_result;
	*out_ft = calloc(1, sizeof(**out_ft));
	(*out_ft)->fuse_fd = args->fuse_fd;
	__atomic_add_fetch(&transports_alive, 1, __ATOMIC_SEQ_CST);
	return 0;
}

void fuse_transport_wait(struct fuse_transport *ft)
{
	(void)ft;
	pthread_mutex_lock(&end_lock);
	while (!end_all)
		pthread_cond_wait(&end_cond, &end_lock);
	pthread_mutex_unlock(&end_lock);
}

void fuse_transport_free(struct fuse_transport *ft)
{
	close(ft->fuse_fd);
	free(ft);
	__atomic_sub_fetch(&transports_alive, 1, __ATOMIC_SEQ_CST);
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

/* --- a plug-in that opens everything, slowly if told so ------------------------------------------------------------------------
 */

static int plugin_result;
static unsigned int plugins_open;
static unsigned int plugin_slow_us;

static void test_unmount(struct zus_fs *fs)
{
	usleep(plugin_slow_us);
	free(fs);
	__atomic_sub_fetch(&plugins_open, 1, __ATOMIC_SEQ_CST);
}

static const struct zus_ops test_ops = { .unmount = test_unmount };

static int test_mount(const struct zus_mount_args *args, struct zus_fs **out_fs)
{
	if (plugin_result) {
		args->host->log(args->host->ctx, LOG_LEVEL_ERROR, "the test's plug-in refuses");
		return plugin_result;
	}
	*out_fs = calloc(1, sizeof(**out_fs));
	(*out_fs)->ops = &test_ops;
	(*out_fs)->flags = args->flags;
	strcpy((*out_fs)->notice, "a notice");
	__atomic_add_fetch(&plugins_open, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static const struct zus_plugin test_plugin = { .abi = ZUS_PLUGIN_ABI, .name = "test", .version = "1", .mount = test_mount };

/* --- the server around them ----------------------------------------------------------------------------------------------------
 */

static struct loader loader;
static struct mount_table mounts;
static struct session_set sessions;
static char device[64];
static struct control_msg *msg;

static void fixture_init(void)
{
	int wake_fd = eventfd(0, EFD_NONBLOCK), fd;

	loader.plugins[0].plugin = &test_plugin;
	loader.n_plugins = 1;
	CHECK_EQ(mount_table_init(&mounts, wake_fd), 0);
	session_set_init(&sessions, &mounts, &loader, wake_fd);
	log_set_level(-1);
	strcpy(device, "/tmp/zusd-session-XXXXXX");
	fd = mkstemp(device);
	CHECK(fd >= 0);
	close(fd);
	msg = calloc(1, sizeof(*msg));
}

static void fixture_fini(void)
{
	session_set_end(&sessions);
	pthread_mutex_lock(&end_lock);
	end_all = 1;
	pthread_cond_broadcast(&end_cond);
	pthread_mutex_unlock(&end_lock);
	CHECK_EQ(mount_table_wait_empty(&mounts, 5000), 0);
	CHECK_EQ(plugins_open, 0);
	CHECK_EQ(transports_alive, 0);
	unlink(device);
	free(msg);
}

static int client_new(void)
{
	struct timeval limit = { .tv_sec = 10 };
	int sock[2];

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
	setsockopt(sock[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	session_new(&sessions, sock[1]);
	return sock[0];
}

/* Sends msg; the type of the answer, or a negative errno. */
static int call(int sock, int fd)
{
	int err, got = -1;

	err = control_msg_send(sock, msg, fd);
	if (!err)
		err = control_msg_recv(sock, msg, &got);
	return err ? err : msg->type;
}

static int greeted_client(void)
{
	int sock = client_new();

	control_msg_begin(msg, CONTROL_HELLO);
	CHECK_EQ(call(sock, -1), CONTROL_OK);
	return sock;
}

static int call_open(int sock, const char *path)
{
	control_msg_begin(msg, CONTROL_OPEN);
	control_msg_put_str(msg, CONTROL_TAG_FSTYPE, "test");
	control_msg_put_str(msg, CONTROL_TAG_DEVICE, path);
	control_msg_put_str(msg, CONTROL_TAG_SOURCE, path);
	control_msg_put_str(msg, CONTROL_TAG_DIR, "/mnt/of the test");
	return call(sock, -1);
}

static int call_start_devno(int sock, uint64_t id, uint64_t devno, int fd)
{
	control_msg_begin(msg, CONTROL_START);
	control_msg_put_u64(msg, CONTROL_TAG_ID, id);
	control_msg_put_u64(msg, CONTROL_TAG_DEVNO, devno);
	return call(sock, fd);
}

static int call_start(int sock, uint64_t id, int fd)
{
	return call_start_devno(sock, id, 77, fd);
}

static int answer_errno(void)
{
	return (int)control_msg_u64(msg, CONTROL_TAG_ERRNO, 0);
}

static void session_when_client_goes_closes_the_image(void)
{
	int sock;

	fixture_init();
	sock = greeted_client();
	CHECK_EQ(call_open(sock, device), CONTROL_OK);
	CHECK(!strcmp(control_msg_str(msg, CONTROL_TAG_NOTICE), "a notice"));
	CHECK_EQ(plugins_open, 1);
	close(sock);
	CHECK_EQ(mount_table_wait_empty(&mounts, 5000), 0);
	fixture_fini();
}

static void session_open_when_device_taken_refuses(void)
{
	char dots[96];
	int a, b, fuse = open("/dev/fuse", O_RDWR);

	if (fuse < 0)
		tap_skip("/dev/fuse cannot be opened");
	fixture_init();
	a = greeted_client();
	b = greeted_client();
	CHECK_EQ(call_open(a, device), CONTROL_OK);
	uint64_t id = control_msg_u64(msg, CONTROL_TAG_ID, 0);
	snprintf(dots, sizeof(dots), "/tmp/../tmp/%s", strrchr(device, '/') + 1);
	CHECK_EQ(call_open(b, dots), CONTROL_ERROR);
	CHECK_EQ(answer_errno(), EBUSY);
	CHECK(strstr(control_msg_str(msg, CONTROL_TAG_MESSAGE), "just being mounted at /mnt/of the test"));
	CHECK_EQ(call_start(a, id, fuse), CONTROL_OK);
	/* the mount outlives the connection that made it */
	close(a);
	control_msg_begin(msg, CONTROL_STATS);
	control_msg_put_str(msg, CONTROL_TAG_NAME, device);
	CHECK_EQ(call(b, -1), CONTROL_OK);
	CHECK_EQ(mount_table_count(&mounts), 1);
	fixture_fini();
}

/* A device that is just being closed is waited for. */
static void session_open_when_closing_waits(void)
{
	int a, b;

	fixture_init();
	plugin_slow_us = 300000;
	a = greeted_client();
	b = greeted_client();
	CHECK_EQ(call_open(a, device), CONTROL_OK);
	close(a);
	for (int i = 0; i < 50 && call_open(b, device) != CONTROL_OK; i++)
		usleep(10000);
	CHECK_EQ(msg->type, CONTROL_OK);
	fixture_fini();
}

static void session_start_when_wrong_refuses(void)
{
	int sock, null_fd = open("/dev/null", O_RDWR), fuse = open("/dev/fuse", O_RDWR);
	uint64_t id;

	if (fuse < 0)
		tap_skip("/dev/fuse cannot be opened");
	fixture_init();
	sock = greeted_client();
	CHECK_EQ(call_start(sock, 1, fuse), CONTROL_ERROR);
	CHECK_EQ(call_open(sock, device), CONTROL_OK);
	id = control_msg_u64(msg, CONTROL_TAG_ID, 0);
	CHECK_EQ(call_open(sock, device), CONTROL_ERROR);
	CHECK_EQ(call_start(sock, id + 1, fuse), CONTROL_ERROR);
	CHECK_EQ(call_start(sock, id, -1), CONTROL_ERROR);
	CHECK_EQ(call_start(sock, id, null_fd), CONTROL_ERROR);
	transport_result = -EPROTO;
	CHECK_EQ(call_start(sock, id, fuse), CONTROL_ERROR);
	CHECK_EQ(answer_errno(), EPROTO);
	CHECK_EQ(mount_table_count(&mounts), 0);
	transport_result = 0;
	CHECK_EQ(call_open(sock, device), CONTROL_OK);
	CHECK_EQ(call_start(sock, control_msg_u64(msg, CONTROL_TAG_ID, 0), fuse), CONTROL_OK);
	fixture_fini();
}

static void session_open_when_wrong_says_why(void)
{
	int sock;

	fixture_init();
	sock = greeted_client();
	CHECK_EQ(call_open(sock, "/nonexistent/x"), CONTROL_ERROR);
	CHECK_EQ(answer_errno(), ENOENT);
	CHECK_EQ(call_open(sock, "relative"), CONTROL_ERROR);
	CHECK_EQ(call_open(sock, "/tmp"), CONTROL_ERROR);
	CHECK_EQ(answer_errno(), EISDIR);
	plugin_result = -EINVAL;
	CHECK_EQ(call_open(sock, device), CONTROL_ERROR);
	CHECK(strstr(control_msg_str(msg, CONTROL_TAG_MESSAGE), device));
	CHECK(strstr(control_msg_str(msg, CONTROL_TAG_MESSAGE), ": the test's plug-in refuses"));
	plugin_result = 0;
	control_msg_begin(msg, CONTROL_OPEN);
	control_msg_put_str(msg, CONTROL_TAG_FSTYPE, "test");
	control_msg_put_str(msg, CONTROL_TAG_DIR, "/x");
	control_msg_put_u64(msg, CONTROL_TAG_FLAGS, ~0ull);
	CHECK_EQ(call(sock, -1), CONTROL_ERROR);
	CHECK_EQ(answer_errno(), EINVAL);
	fixture_fini();
}

static void session_when_not_greeted_or_unknown_refuses(void)
{
	int sock;

	fixture_init();
	sock = client_new();
	CHECK_EQ(call_open(sock, device), CONTROL_ERROR);
	CHECK_EQ(answer_errno(), EPROTO);
	close(sock);
	sock = greeted_client();
	control_msg_begin(msg, (enum control_type)50);
	CHECK_EQ(call(sock, -1), CONTROL_ERROR);
	CHECK_EQ(control_msg_send(sock, msg, -1) ? -ECONNRESET : call(sock, -1), -ECONNRESET);
	fixture_fini();
}

/* Junk, mutants, cut connections; the server goes on for others. */
static void session_when_hostile_goes_on(void)
{
	uint64_t rng = tap_seed();
	char junk[512];
	int good, sock = -1;

	fixture_init();
	good = greeted_client();
	for (int i = 0; i < FUZZ_ROUNDS; i++) {
		size_t len = tap_rand(&rng) % sizeof(junk);

		sock = client_new();
		for (size_t b = 0; b < len; b++)
			junk[b] = (char)tap_rand(&rng);
		control_msg_begin(msg, (enum control_type)(tap_rand(&rng) % 12));
		for (uint32_t f = tap_rand(&rng) % 5; f; f--)
			control_msg_put_u64(msg, (enum control_tag)(CONTROL_TAG_NUMBER + tap_rand(&rng) % 10), tap_rand(&rng));
		if (msg->type == CONTROL_STOP || msg->type == CONTROL_WAIT_CLOSED)
			msg->type = CONTROL_LIST;
		CHECK_EQ(control_msg_finish(msg), 0);
		if (i & 1)
			msg->buf[tap_rand(&rng) % msg->len] = (uint8_t)tap_rand(&rng);
		if (send(sock, i & 2 ? (void *)junk : (void *)msg->buf, i & 2 ? len : msg->len, MSG_NOSIGNAL) < 0)
			CHECK(errno == EPIPE || errno == ECONNRESET);
		close(sock);
		while (session_set_count(&sessions) > SESSIONS_MAX / 2)
			usleep(1000);
	}
	CHECK_EQ(call_open(good, device), CONTROL_OK);
	fixture_fini();
}

static void session_new_when_too_many_refuses(void)
{
	int socks[SESSIONS_MAX], more;

	fixture_init();
	for (unsigned int i = 0; i < SESSIONS_MAX; i++)
		socks[i] = greeted_client();
	more = client_new();
	control_msg_begin(msg, CONTROL_HELLO);
	CHECK(call(more, -1) < 0);
	close(socks[3]);
	while (session_set_count(&sessions) == SESSIONS_MAX)
		usleep(1000);
	socks[3] = greeted_client();
	fixture_fini();
}

/* Another FUSE mount, in a mount namespace of our own that ends with us; its channel, or -1. */
static int others_mount(char dir[64], uint64_t *out_devno)
{
	static struct fuse_mount_entry entry;
	int fd = open(FUSE_MOUNT_DEV, O_RDWR | O_CLOEXEC);
	char data[100];

	if (fd < 0 || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	strcpy(dir, "/tmp/zusd-session-XXXXXX");
	CHECK(mkdtemp(dir));
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("none", dir, "fuse.test", 0, data)) {
		rmdir(dir);
		return -1;
	}
	if (access("/sys/fs/fuse/connections/.", F_OK) == 0)
		mount("none", "/sys/fs/fuse/connections", "fusectl", 0, NULL);
	CHECK_EQ(fuse_mount_find(dir, &entry), 0);
	*out_devno = entry.devno;
	return fd;
}

/* A transport that is held up in an operation while its mount has gone. */
static void *end_late(void *ctx)
{
	(void)ctx;
	sleep(SHUT_DOWN_SECONDS + 1);
	pthread_mutex_lock(&end_lock);
	end_all = 1;
	pthread_cond_broadcast(&end_cond);
	pthread_mutex_unlock(&end_lock);
	return NULL;
}

/* The kernel gives the number of a mount that has gone to the next one, whosever that is. */
static void shut_down_when_number_is_anothers_leaves_that_alone(void)
{
	int others, fuse = open(FUSE_MOUNT_DEV, O_RDWR), sock, err, there;
	struct pollfd pfd = { .events = POLLIN };
	static struct fuse_mount_entry entry;
	uint64_t devno;
	pthread_t late;
	char dir[64];

	others = fuse < 0 ? -1 : others_mount(dir, &devno);
	if (others < 0)
		tap_skip("no FUSE mount can be made here");
	fixture_init();
	sock = greeted_client();
	CHECK_EQ(call_open(sock, device), CONTROL_OK);
	CHECK_EQ(call_start_devno(sock, control_msg_u64(msg, CONTROL_TAG_ID, 0), devno, fuse), CONTROL_OK);
	CHECK(!pthread_create(&late, NULL, end_late, NULL));
	err = mount_table_shut_down(&mounts);
	pthread_join(late, NULL);
	there = !fuse_mount_find(dir, &entry);
	pfd.fd = others;
	poll(&pfd, 1, 0);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	CHECK_EQ(err, 0);
	CHECK(there);
	CHECK(!(pfd.revents & POLLERR));
	fixture_fini();
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(session_when_client_goes_closes_the_image),
		TAP_CASE(session_open_when_device_taken_refuses),
		TAP_CASE(session_open_when_closing_waits),
		TAP_CASE(session_start_when_wrong_refuses),
		TAP_CASE(session_open_when_wrong_says_why),
		TAP_CASE(session_when_not_greeted_or_unknown_refuses),
		TAP_CASE(session_when_hostile_goes_on),
		TAP_CASE(session_new_when_too_many_refuses),
		TAP_CASE(shut_down_when_number_is_anothers_leaves_that_alone),
	};

	return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
