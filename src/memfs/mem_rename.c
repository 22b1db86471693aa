/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rename in all its forms.
 *
 * Locks: rename_lock if the directories differ (so that the tree keeps its shape while ancestors are walked), then the content
 * locks of both directories and of a directory that is replaced, by rising inode number. Which one is replaced is known only
 * under the locks: so the locks are taken, and taken anew with the victim if there is one (-EAGAIN inside).
 * Everything that can fail comes before the first change.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "memfs/memfs.h"

struct rename_job {
	struct memfs *fs;
	const struct zus_rename *ren;
	struct mem_inode *old_dir;
	struct mem_inode *new_dir;
	struct mem_inode *victim; /* directory to be replaced, locked too; NULL: none known */
	struct mem_inode *whiteout;
	struct mem_dirent *spare; /* for the new name */
	struct mem_inode *dropped; /* lost its links, to be told after unlocking */
};

/* The distinct directories of a job, by rising inode number. */
static int job_dirs(const struct rename_job *job, struct mem_inode *dirs[3])
{
	struct mem_inode *all[3] = { job->old_dir, job->new_dir, job->victim };
	int n = 0;

	for (int i = 0; i < 3; i++) {
		int at = n;

		if (!all[i] || (i && all[i] == all[0]) || (i == 2 && all[i] == all[1]))
			continue;
		for (; at > 0 && dirs[at - 1]->ino > all[i]->ino; at--)
			dirs[at] = dirs[at - 1];
		dirs[at] = all[i];
		n++;
	}
	return n;
}

static void job_lock(const struct rename_job *job)
{
	struct mem_inode *dirs[3];
	int n = job_dirs(job, dirs);

	for (int i = 0; i < n; i++)
		pthread_rwlock_wrlock(&dirs[i]->content);
}

static void job_unlock(const struct rename_job *job)
{
	struct mem_inode *dirs[3];
	int n = job_dirs(job, dirs);

	while (n--)
		pthread_rwlock_unlock(&dirs[n]->content);
}

/* True if ancestor is dir or above it. rename_lock and dir's content lock are held, dir is not dead: so is nothing above it. */
static bool dir_is_below(struct memfs *fs, struct mem_inode *dir, const struct mem_inode *ancestor)
{
	struct mem_inode *at = dir, *up;
	bool found;

	mem_inode_ref(at);
	while (at != ancestor && at->ino != MEM_INO_ROOT) {
		if (mem_inode_get(fs, atomic_load(&at->parent), &up))
			break;
		mem_inode_put(fs, at);
		at = up;
	}
	found = at == ancestor;
	mem_inode_put(fs, at);
	return found;
}

static int job_check_target(struct rename_job *job, struct mem_inode *source, struct mem_inode *target)
{
	if (mem_inode_is_dir(source) && !mem_inode_is_dir(target))
		return -ENOTDIR;
	if (!mem_inode_is_dir(source) && mem_inode_is_dir(target))
		return -EISDIR;
	if (!mem_inode_is_dir(target))
		return 0;
	if (target == job->old_dir || target == job->new_dir)
		return -ENOTEMPTY;
	if (target != job->victim) {
		mem_inode_ref(target);
		job->dropped = target; /* the next victim to lock */
		return -EAGAIN;
	}
	return target->dir.n_live ? -ENOTEMPTY : 0;
}

static int job_check(struct rename_job *job, struct mem_dirent *from, struct mem_dirent *to)
{
	uint32_t flags = job->ren->flags;
	bool cross = job->old_dir != job->new_dir;

	if (mem_dir_may_change(job->old_dir, from->inode) || mem_dir_may_change(job->new_dir, to ? to->inode : NULL))
		return -EPERM;
	if (cross && mem_inode_is_dir(from->inode) && dir_is_below(job->fs, job->new_dir, from->inode))
		return -EINVAL;
	if (flags & ZUS_RENAME_EXCHANGE) {
		if (cross && mem_inode_is_dir(to->inode) && dir_is_below(job->fs, job->old_dir, to->inode))
			return -EINVAL;
		return 0;
	}
	return to ? job_check_target(job, from->inode, to->inode) : mem_dir_reserve(&job->new_dir->dir);
}

static void dir_touch(struct mem_inode *dir, int n_subdirs)
{
	pthread_mutex_lock(&dir->lock);
	dir->nlink += (uint32_t)n_subdirs;
	mem_inode_changed_locked(dir, true);
	pthread_mutex_unlock(&dir->lock);
}

static void move_to(struct mem_inode *inode, struct mem_inode *dir)
{
	if (mem_inode_is_dir(inode))
		atomic_store(&inode->parent, mem_inode_node(dir));
	mem_inode_changed(inode, false);
}

static void job_exchange(struct rename_job *job, struct mem_dirent *from, struct mem_dirent *to)
{
	struct mem_inode *source = from->inode, *target = to->inode;
	int n_subdirs = mem_inode_is_dir(source) - mem_inode_is_dir(target);

	if (job->old_dir == job->new_dir)
		n_subdirs = 0;
	from->inode = target;
	to->inode = source;
	move_to(source, job->new_dir);
	move_to(target, job->old_dir);
	dir_touch(job->old_dir, -n_subdirs);
	dir_touch(job->new_dir, n_subdirs);
}

/* The old name goes, or becomes the whiteout's. */
static void job_take_away(struct rename_job *job, struct mem_dirent *from)
{
	if (job->whiteout) {
		from->inode = job->whiteout;
		job->whiteout = NULL;
	} else {
		mem_dir_remove(&job->old_dir->dir, from);
	}
}

static void job_move(struct rename_job *job, struct mem_dirent *from, struct mem_dirent *to)
{
	struct mem_inode *source = from->inode;
	int n_moved = mem_inode_is_dir(source), n_replaced = 0;

	if (to) {
		job->dropped = to->inode;
		n_replaced = mem_inode_is_dir(to->inode);
		if (n_replaced)
			to->inode->dir.dead = true;
		to->inode = source;
	} else {
		job->spare->inode = source;
		mem_dir_insert(&job->new_dir->dir, job->spare);
		job->spare = NULL;
	}
	job_take_away(job, from);
	move_to(source, job->new_dir);
	dir_touch(job->old_dir, -n_moved);
	dir_touch(job->new_dir, n_moved - n_replaced);
}

static int job_run_locked(struct rename_job *job)
{
	const struct zus_rename *ren = job->ren;
	struct mem_dirent *from, *to;
	int err;

	if (job->old_dir->dir.dead || job->new_dir->dir.dead)
		return -ENOENT;
	from = mem_dir_find(&job->old_dir->dir, ren->old_name);
	to = mem_dir_find(&job->new_dir->dir, ren->new_name);
	if (!from || (!to && ren->flags & ZUS_RENAME_EXCHANGE))
		return -ENOENT;
	if (to && ren->flags & ZUS_RENAME_NOREPLACE)
		return -EEXIST;
	if (to && to->inode == from->inode)
		return 0;
	err = job_check(job, from, to);
	if (err)
		return err;
	if (ren->flags & ZUS_RENAME_EXCHANGE)
		job_exchange(job, from, to);
	else
		job_move(job, from, to);
	return 0;
}

/* What lost its name is told after unlocking: its last reference may free a lot. */
static void job_drop(struct rename_job *job)
{
	if (job->dropped)
		mem_inode_unlink(job->fs, job->dropped, mem_inode_is_dir(job->dropped) ? 2 : 1);
	job->dropped = NULL;
}

static int job_run(struct rename_job *job)
{
	bool cross = job->old_dir != job->new_dir;
	int err;

	if (cross)
		pthread_mutex_lock(&job->fs->rename_lock);
	for (;;) {
		job_lock(job);
		err = job_run_locked(job);
		job_unlock(job);
		if (err != -EAGAIN)
			break;
		if (job->victim)
			mem_inode_put(job->fs, job->victim);
		job->victim = job->dropped;
		job->dropped = NULL;
	}
	if (cross)
		pthread_mutex_unlock(&job->fs->rename_lock);
	if (!err)
		job_drop(job);
	if (job->victim)
		mem_inode_put(job->fs, job->victim);
	return err;
}

static int job_prepare(struct rename_job *job)
{
	const struct zus_rename *ren = job->ren;
	struct zus_new new = { .mode = S_IFCHR, .uid = ren->whiteout_uid, .gid = ren->whiteout_gid };
	int err;

	job->spare = mem_dirent_new(ren->new_name, NULL);
	if (!job->spare)
		return -ENOMEM;
	if (!(ren->flags & ZUS_RENAME_WHITEOUT))
		return 0;
	err = mem_inode_new(job->fs, &new, &job->whiteout);
	if (err)
		return err;
	job->whiteout->linkable = true;
	err = mem_inode_link(job->whiteout);
	mem_inode_put(job->fs, job->whiteout);
	return err;
}

static int rename_check_args(struct memfs *fs, const struct zus_rename *ren)
{
	uint32_t exclusive = ren->flags & (ZUS_RENAME_NOREPLACE | ZUS_RENAME_WHITEOUT);

	if (memfs_is_rdonly(fs))
		return -EROFS;
	if (ren->flags & ~(ZUS_RENAME_NOREPLACE | ZUS_RENAME_EXCHANGE | ZUS_RENAME_WHITEOUT))
		return -EINVAL;
	if (ren->flags & ZUS_RENAME_EXCHANGE && exclusive)
		return -EINVAL;
	if (!ren->old_name.len || !ren->new_name.len)
		return -EINVAL;
	return ren->old_name.len > ZUS_NAME_MAX || ren->new_name.len > ZUS_NAME_MAX ? -ENAMETOOLONG : 0;
}

int memfs_rename(struct zus_fs *zus, const struct zus_rename *ren)
{
	struct rename_job job = { .fs = memfs_of(zus), .ren = ren };
	int err = rename_check_args(job.fs, ren);

	if (err)
		return err;
	err = mem_inode_get_dir(job.fs, ren->old_dir, &job.old_dir);
	if (err)
		return err;
	err = mem_inode_get_dir(job.fs, ren->new_dir, &job.new_dir);
	if (err)
		goto put_old;
	err = job_prepare(&job);
	if (!err)
		err = job_run(&job);
	if (job.whiteout)
		mem_inode_unlink(job.fs, job.whiteout, 1);
	free(job.spare);
	mem_inode_put(job.fs, job.new_dir);
put_old:
	mem_inode_put(job.fs, job.old_dir);
	return err;
}
