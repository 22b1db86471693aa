/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Life of a mount, from the plug-in's opening of the device to its closing.
 *
 * Order at the end of an ACTIVE mount: the transport's threads end, pins are given back, the transport is freed, the plug-in
 * closes the image, the mount leaves the table. Whoever waits for the mount to be gone can then open the device.
 */
#include "zusd/mount_life.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "transport/fuse/fuse_mount.h"

/* Another process may just be letting go of the device: a server that was killed, a check that ends. */
#define BUSY_RETRIES 10
#define BUSY_RETRY_MS 100
#define SHUT_DOWN_WAIT_MS 10000u
#define ABORT_WAIT_MS 5000u
/* What is written back has arrived when no request was on its way for so long; not waited for longer than that. */
#define QUIET_MS 200u
#define QUIET_WAIT_MS 5000u
#define QUIET_STEP_MS 20u

static void messages_clear(struct server_mount *m)
{
	pthread_mutex_lock(&m->text_lock);
	m->messages[0] = '\0';
	pthread_mutex_unlock(&m->text_lock);
}

static void messages_add(struct server_mount *m, const char *msg)
{
	size_t used;

	pthread_mutex_lock(&m->text_lock);
	used = strlen(m->messages);
	if (strlen(msg) + 2 < sizeof(m->messages) - used)
		snprintf(m->messages + used, sizeof(m->messages) - used, "%s%s", used ? "\n" : "", msg);
	pthread_mutex_unlock(&m->text_lock);
}

/* While the plug-in opens, what it has to complain about is kept for the person who mounts, and logged when it is done. */
static void host_log(void *ctx, int level, const char *msg)
{
	struct server_mount *m = ctx;

	if (level <= LOG_LEVEL_WARNING && __atomic_load_n(&m->keep_messages, __ATOMIC_RELAXED))
		messages_add(m, msg);
	else
		log_printf(level, "%s: %s", m->fstype, msg);
}

/* Only zuf keeps extents. */
static void host_invalidate(void *ctx, uint64_t node, uint64_t off, uint64_t len)
{
	struct server_mount *m = ctx;

	if (m->invalidate)
		m->invalidate(m, node, off, len);
}

static void messages_log(struct server_mount *m)
{
	char copy[MOUNT_MESSAGES_MAX], *rest = copy, *line;

	snprintf(copy, sizeof(copy), "%s", m->messages);
	while ((line = strsep(&rest, "\n")))
		if (line[0])
			log_warning("%s: %s", m->fstype, line);
}

static const char *what_to_do(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return "no such device or file; check the name";
	case -EACCES:
	case -EPERM:
		return "permission denied; mount as root, or as a user who may read and write it";
	case -EBUSY:
		return "in use by another server or tool, or mounted by another file system; unmount it or end that program "
		       "first";
	case -EISDIR:
	case -ENOTBLK:
		return "neither a device nor a regular file; name the device or the image that holds the file system";
	case -EROFS:
		return "read-only; mount with -o ro";
	case -EUCLEAN:
		return "the file system is damaged; check it with fsck.pmfs2";
	case -EINVAL:
		return "not a file system of this type, or an option it does not know";
	case -EIO:
		return "input/output error; the device may be failing";
	case -ENOMEM:
		return "not enough memory";
	default:
		return NULL;
	}
}

/* What the plug-in said comes first: it knows best. The name of the device is in the text in any case. */
static void explain_open(const struct server_mount *m, int err, char *text)
{
	const char *hint = what_to_do(err), *source = strstr(m->messages, m->source) ? "" : m->source;

	if (m->messages[0])
		snprintf(text, MOUNT_TEXT_MAX, "%s%s%s", source, source[0] ? ": " : "", m->messages);
	else
		snprintf(text, MOUNT_TEXT_MAX, "%s: cannot open %s: %s", m->fstype, m->source, hint ? hint : strerror(-err));
}

static int plugin_open(struct server_mount *m, const struct mount_spec *spec)
{
	const struct zus_mount_args args = {
		.device = m->plugin->flags & ZUS_PLUGIN_VOLATILE ? NULL : m->device,
		.options = m->options,
		.flags = m->flags,
		.host = &m->host,
		.dev_base = spec->dev_base,
		.dev_size = spec->dev_size,
	};
	const struct timespec pause = { .tv_nsec = BUSY_RETRY_MS * 1000000L };
	int err;

	__atomic_store_n(&m->keep_messages, 1, __ATOMIC_RELAXED);
	m->host = (struct zus_host){ .abi = ZUS_PLUGIN_ABI, .ctx = m, .log = host_log, .invalidate = host_invalidate };
	for (int i = 0; (err = m->plugin->mount(&args, &m->fs)) == -EBUSY && i < BUSY_RETRIES; i++) {
		messages_clear(m);
		nanosleep(&pause, NULL);
	}
	__atomic_store_n(&m->keep_messages, 0, __ATOMIC_RELAXED);
	messages_log(m);
	if (err > 0 || (!err && !m->fs))
		err = -EIO;
	return err;
}

static int explain_add(const struct mount_spec *spec, int err, const char *why, char *text)
{
	const char *hint = what_to_do(err);

	if (why[0])
		snprintf(text, MOUNT_TEXT_MAX, "%s is %s", spec->source, why);
	else
		snprintf(text, MOUNT_TEXT_MAX, "%s: %s", spec->source, hint ? hint : strerror(-err));
	return err;
}

int mount_open(struct mount_table *table, const struct loader *ld, const struct mount_spec *spec, char text[MOUNT_TEXT_MAX],
	       struct server_mount **out_m)
{
	const struct zus_plugin *plugin = loader_find(ld, spec->fstype);
	struct mount_spec add = *spec;
	char why[4200] = "", names[512];
	struct server_mount *m;
	int err;

	if (!plugin) {
		loader_names(ld, names, sizeof(names));
		snprintf(text, MOUNT_TEXT_MAX,
			 "file system '%s' is not known to this server, which has: %s; start zusd with its plug-in", spec->fstype,
			 names);
		return -ENODEV;
	}
	if (plugin->flags & ZUS_PLUGIN_VOLATILE) {
		add.device = "";
	} else if (spec->device[0] != '/') {
		return explain_add(spec, -ENOENT, "", text);
	}
	err = mount_table_add(table, &add, why, sizeof(why), &m);
	if (err)
		return explain_add(spec, err, why, text);
	m->plugin = plugin;
	err = plugin_open(m, spec);
	if (err) {
		explain_open(m, err, text);
		mount_table_remove(m);
		return err;
	}
	mount_set_state(m, MOUNT_PREPARED);
	*out_m = m;
	return 0;
}

/* The last steps of every mount that was opened. */
static void mount_close(struct server_mount *m)
{
	char *source = strdup(m->source);

	mount_set_state(m, MOUNT_CLOSING);
	m->fs->ops->unmount(m->fs);
	m->fs = NULL;
	mount_table_remove(m);
	log_info("%s is closed", source ? source : "an image");
	free(source);
}

void mount_abandon(struct server_mount *m)
{
	log_info("%s: mounting was given up", m->source);
	mount_close(m);
}

/* The transport of a mount that was ACTIVE is taken down. Nobody uses it any more: pins are given back first. */
static void transport_end(struct server_mount *m)
{
	struct mount_table *table = m->table;
	int fd;

	pthread_mutex_lock(&table->lock);
	m->state = MOUNT_CLOSING;
	pthread_cond_broadcast(&table->changed);
	while (m->pins)
		pthread_cond_wait(&table->changed, &table->lock);
	fd = m->fuse_fd;
	m->fuse_fd = -1;
	pthread_mutex_unlock(&table->lock);
	close(fd);
	fuse_transport_free(m->ft);
	m->ft = NULL;
}

/* One per ACTIVE mount: waits for its end and closes it. */
static void *mount_thread(void *ctx)
{
	struct server_mount *m = ctx;

	fuse_transport_wait(m->ft);
	log_notice("%s is unmounted from %s", m->source, m->dir);
	transport_end(m);
	mount_close(m);
	return NULL;
}

static int transport_start(struct server_mount *m, int fuse_fd)
{
	const struct fuse_transport_args args = {
		.fs = m->fs,
		.fuse_fd = fuse_fd,
		.cache = m->cache,
		.channel = m->channel,
		.max_write = m->max_write,
	};
	int err;

	m->fuse_fd = fcntl(fuse_fd, F_DUPFD_CLOEXEC, 0);
	if (m->fuse_fd < 0)
		return -errno;
	err = fuse_transport_start(&args, &m->ft);
	if (err) {
		close(m->fuse_fd);
		m->fuse_fd = -1;
	}
	return err;
}

static void explain_start(const struct server_mount *m, int err, char *text)
{
	if (m->channel == FUSE_CHANNEL_URING)
		snprintf(text, MOUNT_TEXT_MAX,
			 "%s: cannot serve it over io_uring: %s; mount with -o uring (turns it on in the kernel), or without "
			 "channel=uring",
			 m->source, strerror(-err));
	else
		snprintf(text, MOUNT_TEXT_MAX, "%s: cannot serve it: %s", m->source, strerror(-err));
}

int mount_start(struct server_mount *m, int fuse_fd, uint64_t devno, char text[MOUNT_TEXT_MAX])
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	mount_set_state(m, MOUNT_STARTING);
	m->devno = devno;
	err = transport_start(m, fuse_fd);
	if (err) {
		explain_start(m, err, text);
		close(fuse_fd);
		mount_close(m);
		return err;
	}
	log_notice("%s is mounted at %s: %s, %s", m->source, m->dir, m->fstype, fuse_transport_channel_name(m->ft));
	mount_set_state(m, MOUNT_ACTIVE);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = -pthread_create(&thread, &attr, mount_thread, m);
	pthread_attr_destroy(&attr);
	if (err) {
		explain_start(m, err, text);
		transport_end(m);
		mount_close(m);
	}
	return err;
}

void mount_serve_zuf(struct server_mount *m, uint64_t devno, mount_invalidate_fn invalidate, mount_stats_fn stats)
{
	pthread_mutex_lock(&m->table->lock);
	m->devno = devno;
	m->invalidate = invalidate;
	m->stats = stats;
	pthread_mutex_unlock(&m->table->lock);
	log_notice("%s is mounted: %s, zuf", m->source, m->fstype);
	mount_set_state(m, MOUNT_ACTIVE);
}

void mount_end_zuf(struct server_mount *m)
{
	struct mount_table *table = m->table;

	log_notice("%s is unmounted", m->source);
	pthread_mutex_lock(&table->lock);
	m->state = MOUNT_CLOSING;
	pthread_cond_broadcast(&table->changed);
	while (m->pins)
		pthread_cond_wait(&table->changed, &table->lock);
	pthread_mutex_unlock(&table->lock);
	mount_close(m);
}

const char *mount_channel_name(const struct server_mount *m)
{
	return m->ft ? fuse_transport_channel_name(m->ft) : m->invalidate ? "zuf" : "";
}

int mount_remount(struct server_mount *m, uint32_t flags, char text[MOUNT_TEXT_MAX])
{
	int err = 0;

	if (m->fs->ops->remount)
		err = m->fs->ops->remount(m->fs, flags);
	else if ((flags ^ m->flags) & ZUS_MOUNT_RDONLY)
		err = -EOPNOTSUPP;
	if (err) {
		snprintf(text, MOUNT_TEXT_MAX, "%s: the file system refuses the new options: %s%s", m->source, strerror(-err),
			 err == -EROFS || err == -EACCES ? "; it was opened read-only, unmount and mount it again" : "");
		return err;
	}
	pthread_mutex_lock(&m->table->lock);
	m->flags = flags;
	pthread_mutex_unlock(&m->table->lock);
	return 0;
}

/* The requests that the kernel has no answer to, queued ones too. 0 also where it does not say. */
static unsigned long requests_waiting(uint64_t devno)
{
	unsigned long n = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/waiting", minor(devno));
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

/* syncfs(2) of the kernel's FUSE starts the writing; only some versions wait for its end. */
static void wait_until_quiet(uint64_t devno)
{
	const struct timespec step = { .tv_nsec = QUIET_STEP_MS * 1000000L };
	unsigned int quiet_ms = 0;

	for (unsigned int ms = 0; ms < QUIET_WAIT_MS && quiet_ms < QUIET_MS; ms += QUIET_STEP_MS) {
		nanosleep(&step, NULL);
		quiet_ms = requests_waiting(devno) ? 0 : quiet_ms + QUIET_STEP_MS;
	}
}

/* What programs stored into mapped pages of a busy mount gets to the device before the connection is ended. */
static void write_back(const char *dir, uint64_t devno)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (syncfs(fd))
		log_warning("cannot write back %s: %s", dir, strerror(errno));
	close(fd);
	wait_until_quiet(devno);
}

/*
 * Every mount of one file system that this mount namespace shows, the last first. m NULL: over zuf, where a busy one waits for
 * the next server.
 */
static void unmount_devno(uint64_t devno, struct server_mount *m)
{
	struct fuse_mount_entry *entry = malloc(sizeof(*entry));
	unsigned int n = fuse_mount_count(devno);
	bool forced = false;
	int err;

	while (entry && n-- && !fuse_mount_find_devno(devno, entry)) {
		/* A living connection's number is nobody else's; when we have ended it, its other mounts keep it. */
		if (m && (!fuse_mount_entry_is(entry, m->fstype, m->source) || (!forced && mount_has_ended(m))))
			break;
		err = fuse_mount_unmount(entry->dir, 0);
		if (err && !m)
			break;
		if (err) {
			write_back(entry->dir, devno);
			err = fuse_mount_unmount(entry->dir, FUSE_UNMOUNT_LAZY | FUSE_UNMOUNT_ABORT);
			forced = true;
		}
		if (err)
			log_warning("cannot unmount %s: %s", entry->dir, strerror(-err));
	}
	free(entry);
}

/* Ends a connection that outlived its mounts (open files, another mount namespace), through the kernel's control file. */
static void mount_abort(struct server_mount *m)
{
	char path[64];
	int fd;

	if (m->invalidate || mount_has_ended(m))
		return;
	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort", minor(m->devno));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		log_warning("%s is still in use and cannot be ended: %s", m->source, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void table_for_each(struct mount_table *table, void (*fn)(struct server_mount *m))
{
	struct server_mount *m;

	for (uint64_t id = 0; (m = mount_table_pin_above(table, id));) {
		id = m->id;
		if (mount_get_state(m) == MOUNT_ACTIVE && m->devno)
			fn(m);
		mount_unpin(m);
	}
}

/*
 * The last first: a busy mount that is taken off takes those with it that stand below its directory. With nothing pinned: over
 * zuf, umount(2) returns when our own thread has closed the mount, which waits for pins.
 */
static void unmount_each(struct mount_table *table)
{
	struct server_mount *m;

	for (uint64_t id = UINT64_MAX; (m = mount_table_pin_below(table, id));) {
		uint64_t devno = mount_get_state(m) == MOUNT_ACTIVE ? m->devno : 0;
		bool over_zuf = m->invalidate;

		id = m->id;
		/* One over FUSE stays pinned: its descriptor tells whether it lives. */
		if (over_zuf)
			mount_unpin(m);
		if (devno)
			unmount_devno(devno, over_zuf ? NULL : m);
		if (!over_zuf)
			mount_unpin(m);
	}
}

int mount_table_shut_down(struct mount_table *table)
{
	if (!mount_table_count(table))
		return 0;
	unmount_each(table);
	if (!mount_table_wait_empty(table, SHUT_DOWN_WAIT_MS))
		return 0;
	table_for_each(table, mount_abort);
	return mount_table_wait_empty(table, ABORT_WAIT_MS);
}
