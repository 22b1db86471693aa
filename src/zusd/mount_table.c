/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of mounts: identity of devices, search, waiting. */
#include "zusd/mount_table.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CLOSING_WAIT_MS 15000u

int mount_table_init(struct mount_table *table, int wake_fd)
{
	pthread_condattr_t attr;
	int err;

	memset(table, 0, sizeof(*table));
	table->wake_fd = wake_fd;
	pthread_mutex_init(&table->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	err = -pthread_cond_init(&table->changed, &attr);
	pthread_condattr_destroy(&attr);
	return err;
}

void mount_table_fini(struct mount_table *table)
{
	pthread_cond_destroy(&table->changed);
	pthread_mutex_destroy(&table->lock);
}

static struct timespec deadline_in(unsigned int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

static int ident_of_path(const char *path, struct mount_ident *out_ident)
{
	struct stat st;

	memset(out_ident, 0, sizeof(*out_ident));
	if (!path[0])
		return 0;
	if (stat(path, &st))
		return -errno;
	out_ident->kind = (int)(st.st_mode & S_IFMT);
	if (S_ISREG(st.st_mode)) {
		out_ident->dev = st.st_dev;
		out_ident->ino = st.st_ino;
	} else if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)) {
		out_ident->dev = st.st_rdev;
	} else {
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTBLK;
	}
	return 0;
}

static int ident_equal(const struct mount_ident *a, const struct mount_ident *b)
{
	return a->kind && a->kind == b->kind && a->dev == b->dev && a->ino == b->ino;
}

static void mount_free(struct server_mount *m)
{
	if (!m)
		return;
	free(m->fstype);
	free(m->device);
	free(m->source);
	free(m->dir);
	free(m->options);
	pthread_mutex_destroy(&m->text_lock);
	free(m);
}

static struct server_mount *mount_new(struct mount_table *table, const struct mount_spec *spec)
{
	struct server_mount *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	pthread_mutex_init(&m->text_lock, NULL);
	m->table = table;
	m->state = MOUNT_OPENING;
	m->fuse_fd = -1;
	m->flags = spec->flags;
	m->max_write = spec->max_write;
	m->cache = spec->cache;
	m->channel = spec->channel;
	m->fstype = strdup(spec->fstype);
	m->device = strdup(spec->device);
	m->source = strdup(spec->source);
	m->dir = strdup(spec->dir);
	m->options = strdup(spec->options);
	if (m->fstype && m->device && m->source && m->dir && m->options)
		return m;
	mount_free(m);
	return NULL;
}

static struct server_mount *table_find_ident_locked(struct mount_table *table, const struct mount_ident *ident)
{
	struct server_mount *m = table->first;

	while (m && !ident_equal(&m->ident, ident))
		m = m->next;
	return m;
}

/*
 * Is it there no more for the kernel? An ended FUSE connection polls as an error at once, before its server has noticed.
 */
static int mount_has_ended_locked(const struct server_mount *m)
{
	struct pollfd pfd = { .fd = m->fuse_fd };

	if (m->state != MOUNT_ACTIVE)
		return m->state == MOUNT_CLOSING;
	return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLERR | POLLHUP | POLLNVAL));
}

int mount_has_ended(struct server_mount *m)
{
	int ended;

	pthread_mutex_lock(&m->table->lock);
	ended = mount_has_ended_locked(m);
	pthread_mutex_unlock(&m->table->lock);
	return ended;
}

/* Returns 0 when the device is free. */
static int table_wait_free_locked(struct mount_table *table, const struct mount_ident *ident, char *why, size_t why_cap)
{
	struct timespec deadline = deadline_in(CLOSING_WAIT_MS);
	struct server_mount *m;

	while ((m = table_find_ident_locked(table, ident))) {
		if (!mount_has_ended_locked(m)) {
			snprintf(why, why_cap, m->state == MOUNT_ACTIVE ? "already mounted at %s" : "just being mounted at %s",
				 m->dir);
			return -EBUSY;
		}
		if (pthread_cond_timedwait(&table->changed, &table->lock, &deadline)) {
			snprintf(why, why_cap, "still being unmounted from %s", m->dir);
			return -EBUSY;
		}
	}
	return 0;
}

int mount_table_add(struct mount_table *table, const struct mount_spec *spec, char *why, size_t why_cap,
		    struct server_mount **out_m)
{
	struct server_mount *m;
	int err;

	m = mount_new(table, spec);
	if (!m)
		return -ENOMEM;
	err = ident_of_path(m->device, &m->ident);
	if (err)
		goto free_mount;
	pthread_mutex_lock(&table->lock);
	err = table_wait_free_locked(table, &m->ident, why, why_cap);
	if (!err) {
		m->id = ++table->last_id;
		m->next = table->first;
		table->first = m;
		table->n_mounts++;
	}
	pthread_mutex_unlock(&table->lock);
	if (err)
		goto free_mount;
	*out_m = m;
	return 0;
free_mount:
	mount_free(m);
	return err;
}

void mount_table_remove(struct server_mount *m)
{
	struct mount_table *table = m->table;
	struct server_mount **link = &table->first;
	uint64_t one = 1;

	pthread_mutex_lock(&table->lock);
	while (m->pins)
		pthread_cond_wait(&table->changed, &table->lock);
	while (*link != m)
		link = &(*link)->next;
	*link = m->next;
	table->n_mounts--;
	pthread_cond_broadcast(&table->changed);
	/* Under the lock: who finds the table empty may free it. A full eventfd is awake already. */
	if (write(table->wake_fd, &one, sizeof(one)) < 0)
		one = 0;
	pthread_mutex_unlock(&table->lock);
	mount_free(m);
}

void mount_set_state(struct server_mount *m, enum mount_state state)
{
	pthread_mutex_lock(&m->table->lock);
	m->state = state;
	pthread_cond_broadcast(&m->table->changed);
	pthread_mutex_unlock(&m->table->lock);
}

enum mount_state mount_get_state(struct server_mount *m)
{
	enum mount_state state;

	pthread_mutex_lock(&m->table->lock);
	state = m->state;
	pthread_mutex_unlock(&m->table->lock);
	return state;
}

const char *mount_state_name(enum mount_state state)
{
	static const char *const names[] = {
		[MOUNT_OPENING] = "opening", [MOUNT_PREPARED] = "mounting", [MOUNT_STARTING] = "starting",
		[MOUNT_ACTIVE] = "active",   [MOUNT_CLOSING] = "closing",
	};

	return names[state];
}

static int mount_has_name(const struct server_mount *m, const char *name)
{
	char id[32];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)m->id);
	return !strcmp(m->dir, name) || !strcmp(m->source, name) || (m->device[0] && !strcmp(m->device, name)) ||
	       !strcmp(id, name);
}

struct server_mount *mount_table_pin(struct mount_table *table, const char *name)
{
	struct server_mount *m;

	pthread_mutex_lock(&table->lock);
	for (m = table->first; m; m = m->next)
		if (m->state == MOUNT_ACTIVE && mount_has_name(m, name))
			break;
	if (m)
		m->pins++;
	pthread_mutex_unlock(&table->lock);
	return m;
}

struct server_mount *mount_table_pin_devno(struct mount_table *table, uint64_t devno)
{
	struct server_mount *m;

	pthread_mutex_lock(&table->lock);
	for (m = table->first; m; m = m->next)
		if (m->state == MOUNT_ACTIVE && m->devno == devno)
			break;
	if (m)
		m->pins++;
	pthread_mutex_unlock(&table->lock);
	return m;
}

struct server_mount *mount_table_pin_above(struct mount_table *table, uint64_t id)
{
	struct server_mount *best = NULL;

	pthread_mutex_lock(&table->lock);
	for (struct server_mount *m = table->first; m; m = m->next)
		if (m->id > id && (!best || m->id < best->id))
			best = m;
	if (best)
		best->pins++;
	pthread_mutex_unlock(&table->lock);
	return best;
}

struct server_mount *mount_table_pin_below(struct mount_table *table, uint64_t id)
{
	struct server_mount *best = NULL;

	pthread_mutex_lock(&table->lock);
	for (struct server_mount *m = table->first; m; m = m->next)
		if (m->id < id && (!best || m->id > best->id))
			best = m;
	if (best)
		best->pins++;
	pthread_mutex_unlock(&table->lock);
	return best;
}

void mount_unpin(struct server_mount *m)
{
	struct mount_table *table = m->table;

	pthread_mutex_lock(&table->lock);
	if (!--m->pins)
		pthread_cond_broadcast(&table->changed);
	pthread_mutex_unlock(&table->lock);
}

int mount_table_wait_closed(struct mount_table *table, uint64_t devno, unsigned int timeout_ms)
{
	struct timespec deadline = deadline_in(timeout_ms);
	struct server_mount *m;
	int err = 0;

	pthread_mutex_lock(&table->lock);
	for (;;) {
		for (m = table->first; m; m = m->next)
			if (devno && m->devno == devno)
				break;
		if (!m || err)
			break;
		if (m->state == MOUNT_ACTIVE && !mount_has_ended_locked(m))
			err = -EBUSY;
		else
			err = -pthread_cond_timedwait(&table->changed, &table->lock, &deadline);
	}
	pthread_mutex_unlock(&table->lock);
	return m ? err : 0;
}

int mount_table_wait_empty(struct mount_table *table, unsigned int timeout_ms)
{
	struct timespec deadline = deadline_in(timeout_ms);
	int err = 0;

	pthread_mutex_lock(&table->lock);
	while (table->first && !err)
		err = -pthread_cond_timedwait(&table->changed, &table->lock, &deadline);
	err = table->first ? err : 0;
	pthread_mutex_unlock(&table->lock);
	return err;
}

unsigned int mount_table_count(struct mount_table *table)
{
	unsigned int n;

	pthread_mutex_lock(&table->lock);
	n = table->n_mounts;
	pthread_mutex_unlock(&table->lock);
	return n;
}
