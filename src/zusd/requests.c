/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to the requests of the control socket. Messages were checked for shape by control_msg_parse(); what they mean is
 * checked here. Each handler answers exactly once and returns what sending gave.
 */
#include "zusd/requests.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/fuse/fuse_mount.h"
#include "zusd/control_socket.h"
#include "zusd/mount_life.h"

#define WAIT_CLOSED_MS 30000u
#define FUSE_DEV_MAJOR 10
#define FUSE_DEV_MINOR 229
#define MOUNT_FLAGS_ALL (ZUS_MOUNT_RDONLY | ZUS_MOUNT_NOATIME | ZUS_MOUNT_STRICTATIME | ZUS_MOUNT_NODIRATIME)
#define MAX_WRITE_LIMIT (16u << 20)

_Static_assert(CONTROL_MOUNT_RDONLY == ZUS_MOUNT_RDONLY && CONTROL_MOUNT_NOATIME == ZUS_MOUNT_NOATIME &&
		       CONTROL_MOUNT_STRICTATIME == ZUS_MOUNT_STRICTATIME && CONTROL_MOUNT_NODIRATIME == ZUS_MOUNT_NODIRATIME,
	       "same values");
_Static_assert((int)CONTROL_CACHE_AUTO == (int)FUSE_CACHE_AUTO && (int)CONTROL_CACHE_NONE == (int)FUSE_CACHE_NONE, "same values");
_Static_assert((int)CONTROL_CHANNEL_AUTO == (int)FUSE_CHANNEL_AUTO && (int)CONTROL_CHANNEL_URING == (int)FUSE_CHANNEL_URING &&
		       (int)CONTROL_CHANNEL_DEV == (int)FUSE_CHANNEL_DEV,
	       "same values");

static int answer_ok(struct session *s)
{
	control_msg_begin(s->out, CONTROL_OK);
	return control_msg_send(s->sock, s->out, -1);
}

static int __attribute__((format(printf, 3, 4))) answer_error(struct session *s, int err, const char *fmt, ...)
{
	char text[MOUNT_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	control_msg_begin(s->out, CONTROL_ERROR);
	control_msg_put_u64(s->out, CONTROL_TAG_ERRNO, (uint64_t)-err);
	control_msg_put_str(s->out, CONTROL_TAG_MESSAGE, text);
	return control_msg_send(s->sock, s->out, -1);
}

static int handle_hello(struct session *s, int *fd)
{
	char names[1024];

	loader_names(s->set->loader, names, sizeof(names));
	s->greeted = 1;
	control_msg_begin(s->out, CONTROL_OK);
	control_msg_put_str(s->out, CONTROL_TAG_VERSION, PMFS2_VERSION);
	control_msg_put_u64(s->out, CONTROL_TAG_PID, (uint64_t)getpid());
	control_msg_put_str(s->out, CONTROL_TAG_TEXT, names);
	return control_msg_send(s->sock, s->out, -1);
}

/* Numbers of the message that are out of their range give -EINVAL. */
static int spec_from_msg(const struct control_msg *in, struct mount_spec *out_spec)
{
	uint64_t flags = control_msg_u64(in, CONTROL_TAG_FLAGS, 0), max_write = control_msg_u64(in, CONTROL_TAG_MAX_WRITE, 0);
	uint64_t cache = control_msg_u64(in, CONTROL_TAG_CACHE, FUSE_CACHE_AUTO);
	uint64_t channel = control_msg_u64(in, CONTROL_TAG_CHANNEL, FUSE_CHANNEL_AUTO);

	if ((flags & ~(uint64_t)MOUNT_FLAGS_ALL) || max_write > MAX_WRITE_LIMIT || cache > FUSE_CACHE_NONE ||
	    channel > FUSE_CHANNEL_DEV)
		return -EINVAL;
	*out_spec = (struct mount_spec){
		.fstype = control_msg_str_or_empty(in, CONTROL_TAG_FSTYPE),
		.device = control_msg_str_or_empty(in, CONTROL_TAG_DEVICE),
		.source = control_msg_str_or_empty(in, CONTROL_TAG_SOURCE),
		.dir = control_msg_str_or_empty(in, CONTROL_TAG_DIR),
		.options = control_msg_str_or_empty(in, CONTROL_TAG_OPTIONS),
		.flags = (uint32_t)flags,
		.max_write = (uint32_t)max_write,
		.cache = (enum fuse_cache_mode)cache,
		.channel = (enum fuse_channel)channel,
	};
	if (!out_spec->fstype[0] || out_spec->dir[0] != '/' || strlen(out_spec->device) >= PATH_MAX ||
	    strlen(out_spec->source) >= PATH_MAX || strlen(out_spec->dir) >= PATH_MAX)
		return -EINVAL;
	return 0;
}

/* The plug-in's notice, then what it warned of while it opened the device. */
static void put_notice(struct control_msg *out, const struct server_mount *m)
{
	char text[MOUNT_MESSAGES_MAX + 512];

	snprintf(text, sizeof(text), "%.*s%s%s", (int)sizeof(m->fs->notice) - 1, m->fs->notice,
		 m->fs->notice[0] && m->messages[0] ? "\n" : "", m->messages);
	control_msg_put_str(out, CONTROL_TAG_NOTICE, text);
}

static int handle_open(struct session *s, int *fd)
{
	char text[MOUNT_TEXT_MAX] = "";
	struct mount_spec spec;
	int err;

	if (s->prepared)
		return answer_error(s, -EALREADY, "this connection is mounting already");
	err = spec_from_msg(s->in, &spec);
	if (err)
		return answer_error(s, err, "a mount request with bad values: server and client are of different versions");
	err = mount_open(s->set->mounts, s->set->loader, &spec, text, &s->prepared);
	if (err)
		return answer_error(s, err, "%s", text);
	control_msg_begin(s->out, CONTROL_OK);
	control_msg_put_u64(s->out, CONTROL_TAG_ID, s->prepared->id);
	control_msg_put_u64(s->out, CONTROL_TAG_FLAGS, s->prepared->fs->flags & MOUNT_FLAGS_ALL);
	put_notice(s->out, s->prepared);
	return control_msg_send(s->sock, s->out, -1);
}

static int is_fuse_dev(int fd)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == makedev(FUSE_DEV_MAJOR, FUSE_DEV_MINOR);
}

static int handle_start(struct session *s, int *fd)
{
	uint64_t id = control_msg_u64(s->in, CONTROL_TAG_ID, 0), devno = control_msg_u64(s->in, CONTROL_TAG_DEVNO, 0);
	char text[MOUNT_TEXT_MAX] = "";
	struct server_mount *m = s->prepared;
	int err, dev_fd = *fd;

	if (!m || m->id != id)
		return answer_error(s, -ESRCH, "no such mount is being made by this connection");
	if (!is_fuse_dev(dev_fd))
		return answer_error(s, -EBADF, "no descriptor of " FUSE_MOUNT_DEV " came with the request");
	s->prepared = NULL;
	*fd = -1;
	err = mount_start(m, dev_fd, devno, text);
	return err ? answer_error(s, err, "%s", text) : answer_ok(s);
}

static int handle_remount(struct session *s, int *fd)
{
	uint64_t flags = control_msg_u64(s->in, CONTROL_TAG_FLAGS, 0);
	char text[MOUNT_TEXT_MAX] = "";
	struct server_mount *m;
	int err;

	if (flags & ~(uint64_t)MOUNT_FLAGS_ALL)
		return answer_error(s, -EINVAL, "a remount request with bad values: server and client are of different versions");
	m = mount_table_pin_devno(s->set->mounts, control_msg_u64(s->in, CONTROL_TAG_DEVNO, 0));
	if (!m)
		return answer_error(s, -ENOENT, "this server has no such mount");
	err = mount_remount(m, (uint32_t)flags, text);
	mount_unpin(m);
	return err ? answer_error(s, err, "%s", text) : answer_ok(s);
}

static int send_item(struct session *s, struct server_mount *m, struct fuse_mount_entry *entry)
{
	enum mount_state state = mount_get_state(m);
	int found = m->devno && !fuse_mount_find_devno(m->devno, entry);
	char show[512] = "";

	control_msg_begin(s->out, CONTROL_ITEM);
	control_msg_put_u64(s->out, CONTROL_TAG_ID, m->id);
	control_msg_put_str(s->out, CONTROL_TAG_FSTYPE, m->fstype);
	control_msg_put_str(s->out, CONTROL_TAG_SOURCE, m->source);
	control_msg_put_str(s->out, CONTROL_TAG_DIR, found ? entry->dir : m->dir);
	control_msg_put_str(s->out, CONTROL_TAG_STATE, mount_state_name(state));
	/* Over zuf there is nothing to choose. */
	if (!m->invalidate)
		control_msg_put_u64(s->out, CONTROL_TAG_CACHE, m->cache);
	control_msg_put_u64(s->out, CONTROL_TAG_FLAGS, m->flags);
	control_msg_put_u64(s->out, CONTROL_TAG_DEVNO, m->devno);
	if (state == MOUNT_ACTIVE) {
		control_msg_put_str(s->out, CONTROL_TAG_CHANNEL_NAME, mount_channel_name(m));
		control_msg_put_str(s->out, CONTROL_TAG_UUID, m->fs->uuid);
		if (m->fs->ops->show && m->fs->ops->show(m->fs, show, sizeof(show)) >= 0)
			control_msg_put_str(s->out, CONTROL_TAG_TEXT, show);
	}
	return control_msg_send(s->sock, s->out, -1);
}

static int handle_list(struct session *s, int *fd)
{
	struct fuse_mount_entry *entry = malloc(sizeof(*entry));
	struct server_mount *m;
	int err = 0;

	if (!entry)
		return answer_error(s, -ENOMEM, "not enough memory");
	for (uint64_t id = 0; !err && (m = mount_table_pin_above(s->set->mounts, id)); mount_unpin(m)) {
		id = m->id;
		err = send_item(s, m, entry);
	}
	free(entry);
	return err ? err : answer_ok(s);
}

static int handle_stats(struct session *s, int *fd)
{
	const char *name = control_msg_str_or_empty(s->in, CONTROL_TAG_NAME);
	uint64_t devno = control_msg_u64(s->in, CONTROL_TAG_DEVNO, 0);
	size_t cap = CONTROL_STR_MAX;
	struct server_mount *m;
	char *text;

	m = mount_table_pin(s->set->mounts, name);
	/* Over zuf the kernel alone knows the directory. */
	if (!m && devno)
		m = mount_table_pin_devno(s->set->mounts, devno);
	if (!m)
		return answer_error(s, -ENOENT,
				    "no mount '%s' in this server: give its directory, device or number as zusctl list prints it",
				    name);
	text = malloc(cap);
	if (text) {
		text[0] = '\0';
		if (m->ft)
			fuse_transport_stats(m->ft, text, cap);
		else if (m->stats)
			m->stats(m, text, cap);
		text[cap - 1] = '\0';
	}
	mount_unpin(m);
	if (!text)
		return answer_error(s, -ENOMEM, "not enough memory");
	control_msg_begin(s->out, CONTROL_OK);
	control_msg_put_str(s->out, CONTROL_TAG_TEXT, text);
	free(text);
	return control_msg_send(s->sock, s->out, -1);
}

static int handle_log_level(struct session *s, int *fd)
{
	uint64_t level = control_msg_u64(s->in, CONTROL_TAG_LEVEL, (uint64_t)log_get_level());

	if (level > LOG_LEVEL_DEBUG)
		return answer_error(s, -EINVAL, "log levels go from 0 to %d", LOG_LEVEL_DEBUG);
	log_set_level((int)level);
	control_msg_begin(s->out, CONTROL_OK);
	control_msg_put_u64(s->out, CONTROL_TAG_LEVEL, level);
	return control_msg_send(s->sock, s->out, -1);
}

static int handle_wait_closed(struct session *s, int *fd)
{
	int err = mount_table_wait_closed(s->set->mounts, control_msg_u64(s->in, CONTROL_TAG_DEVNO, 0), WAIT_CLOSED_MS);

	return err ? answer_error(s, err, "the image is still open: %s", strerror(-err)) : answer_ok(s);
}

static int handle_stop(struct session *s, int *fd)
{
	uint64_t one = 1;
	int err = answer_ok(s);

	log_notice("asked to end by a control connection");
	__atomic_store_n(&s->set->stop, 1, __ATOMIC_RELEASE);
	if (write(s->set->wake_fd, &one, sizeof(one)) < 0)
		one = 0;
	return err;
}

/* *fd is set to -1 by a handler that takes the descriptor over. */
static const struct {
	uint16_t type;
	int (*handle)(struct session *s, int *fd);
} handlers[] = {
	{ CONTROL_HELLO, handle_hello },	 { CONTROL_OPEN, handle_open },
	{ CONTROL_START, handle_start },	 { CONTROL_REMOUNT, handle_remount },
	{ CONTROL_LIST, handle_list },		 { CONTROL_STATS, handle_stats },
	{ CONTROL_LOG_LEVEL, handle_log_level }, { CONTROL_WAIT_CLOSED, handle_wait_closed },
	{ CONTROL_STOP, handle_stop },
};

int request_handle(struct session *s, int fd)
{
	int err = -EOPNOTSUPP;

	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (handlers[i].type != s->in->type)
			continue;
		err = s->greeted || s->in->type == CONTROL_HELLO ? handlers[i].handle(s, &fd) : -EPROTO;
		break;
	}
	if (fd >= 0)
		close(fd);
	if (err == -EOPNOTSUPP || err == -EPROTO)
		request_refuse(s, err);
	return err;
}

void request_refuse(struct session *s, int err)
{
	answer_error(s, err,
		     "message not understood (%s): this is zusd %s, control protocol %u; use the tools of the same release",
		     strerror(-err), PMFS2_VERSION, CONTROL_VERSION);
}

void request_session_end(struct session *s)
{
	if (s->prepared)
		mount_abandon(s->prepared);
	s->prepared = NULL;
}
