/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening, closing, time, messages. */
#include "pmfs2/fs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "pmfs2/alloc.h"
#include "pmfs2/inode.h"
#include "pmfs2/intent.h"
#include "pmfs2/itable.h"
#include "pmfs2/journal.h"
#include "pmfs2/media/super.h"
#include "pmfs2/media_error.h"
#include "pmfs2/mount.h"
#include "pmfs2/refs.h"

void fs_log(struct fs *fs, int level, const char *fmt, ...)
{
	char msg[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (fs->host && fs->host->log)
		fs->host->log(fs->host->ctx, level, msg);
	else
		log_printf(level, "%s", msg);
}

/* What to call the device in a command for a person. */
static const char *device_name(const struct fs *fs, char buf[256])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fs->pm->fd);
	n = fs->pm->fd < 0 ? -1 : readlink(link, buf, 255);
	if (n <= 0)
		return "DEVICE";
	buf[n] = '\0';
	return buf;
}

int fs_corrupt(struct fs *fs, const char *fmt, ...)
{
	char msg[400], name[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (media_is_lost(fs))
		return media_corrupt(fs, msg);
	/* Without a journal it is not mounted yet, and will not be. */
	if (!atomic_exchange(&fs->damaged, 1))
		fs_log(fs, LOG_LEVEL_ERROR, "%s; %srun fsck.pmfs2 %s", msg,
		       fs->journal ? "read-only from now on: unmount, then " : "", device_name(fs, name));
	else
		fs_log(fs, LOG_LEVEL_ERROR, "%s", msg);
	return -EUCLEAN;
}

int fs_sync(struct fs *fs)
{
	int err = pmem_sync(fs->pm);
	char name[256];

	if (likely(!err) || atomic_exchange(&fs->sync_failed, 1))
		return err;
	atomic_store(&fs->damaged, 1);
	fs_log(fs, LOG_LEVEL_ERROR,
	       "the backing file cannot be written to its storage: %s: changes of any file may be lost. Read-only from now on: see "
	       "dmesg and df, unmount, then run fsck.pmfs2 %s",
	       strerror(-err), device_name(fs, name));
	return err;
}

uint64_t fs_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return fs_time_encode((struct zus_time){ ts.tv_sec, (uint32_t)ts.tv_nsec });
}

uint64_t fs_time_encode(struct zus_time t)
{
	if (t.sec < PMFS2_TIME_EPOCH_S)
		return 0;
	if (t.sec > (int64_t)(UINT64_MAX / 1000000000) - 1 + PMFS2_TIME_EPOCH_S)
		return UINT64_MAX;
	return (uint64_t)(t.sec - PMFS2_TIME_EPOCH_S) * 1000000000 + t.nsec;
}

struct zus_time fs_time_decode(uint64_t media_time)
{
	return (struct zus_time){ (int64_t)(media_time / 1000000000) + PMFS2_TIME_EPOCH_S, (uint32_t)(media_time % 1000000000) };
}

static int super_open(struct fs *fs)
{
	struct pmfs2_super *sb = malloc(sizeof(*sb));
	const char *why = "";
	int used_copy, err;

	if (!sb)
		return -ENOMEM;
	fs->sb = sb;
	err = super_read(fs->pm->base, fs->pm->size, sb, &used_copy, &why);
	if (err && media_is_lost(fs)) {
		fs_log(fs, LOG_LEVEL_ERROR,
		       "media error: the superblock (block 0) cannot be read, and its copy in the last block is not there or "
		       "cannot "
		       "be read either: run fsck.pmfs2");
		return -EIO;
	}
	if (err) {
		fs_log(fs, LOG_LEVEL_ERROR, "%s", why);
		return err;
	}
	if (used_copy)
		fs_log(fs, LOG_LEVEL_WARNING,
		       "superblock in block 0 is damaged, its copy in the last block is used (pmfs2 info shows both)");
	if (le64_get(sb->ro_compat) & ~PMFS2_RO_COMPAT_KNOWN) {
		fs_log(fs, LOG_LEVEL_NOTICE, "uses features that this version can only read: mounted read-only");
		atomic_fetch_or(&fs->mount_flags, ZUS_MOUNT_RDONLY);
	}
	fs->n_blocks = le64_get(sb->n_blocks);
	fs->data_block = le64_get(sb->data_block);
	fs->hash_key[0] = le64_get(sb->hash_seed[0]);
	fs->hash_key[1] = le64_get(sb->hash_seed[1]);
	fs->state = fs_block(fs, 1);
	return 0;
}

static void parts_free(struct fs *fs)
{
	intents_free(fs->intents);
	itable_free(fs->itable);
	inode_cache_free(fs->icache);
	refs_free(fs->refs);
	alloc_free(fs->alloc);
	mutex_fini(&fs->rename_lock);
	free((void *)(uintptr_t)fs->sb);
	free(fs);
}

static int parts_new(struct fs *fs, const struct journal_state *st)
{
	int err = alloc_new(fs, st->free_blocks, &fs->alloc);

	if (!err)
		err = inode_cache_new(&fs->icache);
	if (!err)
		err = refs_new(&fs->refs);
	if (!err)
		err = itable_new(fs, &fs->itable);
	if (!err)
		err = intents_load(fs, &fs->intents);
	if (!err)
		err = journal_new(fs, st, &fs->journal);
	return err;
}

static void zus_fill(struct fs *fs)
{
	const uint8_t *u = fs->sb->uuid;
	size_t at = 0;

	fs->zus.base = fs->pm->base;
	fs->zus.size = fs->pm->size;
	fs->zus.max_file_size = PMFS2_FILE_SIZE_MAX;
	fs->zus.time_gran_ns = 1;
	fs->zus.flags = atomic_load(&fs->mount_flags);
	for (int i = 0; i < 16; i++)
		at += (size_t)snprintf(fs->zus.uuid + at, sizeof(fs->zus.uuid) - at, "%s%02x",
				       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
	snprintf(fs->zus.notice, sizeof(fs->zus.notice), "%s", pmem_notice(fs->pm));
}

static int root_check(struct fs *fs)
{
	struct inode *root;
	int err = inode_get(fs, ZUS_NODE_ROOT, &root);

	if (err)
		return err == -ESTALE ? fs_corrupt(fs, "no root directory") : err;
	if (!inode_is_dir(root))
		err = fs_corrupt(fs, "the root is not a directory");
	inode_put(fs, root);
	return err;
}

/*
 * What was damaged when it was last looked at must be repaired first; it can be read meanwhile, but nothing is finished or
 * changed, not after a remount either.
 */
static int mark_check(struct fs *fs, const struct journal_state *st)
{
	char name[256];

	if (!st->marked)
		return 0;
	if (atomic_load(&fs->mount_flags) & ZUS_MOUNT_RDONLY) {
		atomic_store(&fs->damaged, 1);
		fs_log(fs, LOG_LEVEL_WARNING, "an earlier mount has found damage: repair it with fsck.pmfs2 %s",
		       device_name(fs, name));
		return 0;
	}
	fs_log(fs, LOG_LEVEL_ERROR,
	       "an earlier mount has found damage, or a repair is not finished: run fsck.pmfs2 %s first (it can be mounted "
	       "read-only)",
	       device_name(fs, name));
	return -EUCLEAN;
}

int fs_open(struct pmem *pm, const struct zus_host *host, uint32_t flags, struct fs **out_fs)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	struct journal_state st;
	int err;

	if (!fs)
		return -ENOMEM;
	fs->pm = pm;
	fs->host = host;
	mutex_init(&fs->rename_lock, LOCK_RANK_RENAME, 0);
	atomic_init(&fs->mount_flags, flags | (pm->rdonly ? ZUS_MOUNT_RDONLY : 0));
	err = super_open(fs);
	if (!err)
		err = journal_recover(fs, &st);
	if (err == -EROFS)
		fs_log(fs, LOG_LEVEL_ERROR, "needs recovery, but the device is read-only: mount it once where it can be written");
	if (!err)
		err = mark_check(fs, &st);
	if (!err)
		err = parts_new(fs, &st);
	if (!err)
		err = root_check(fs);
	if (!err && !pm->rdonly && !media_is_lost(fs) && !atomic_load(&fs->damaged))
		err = flags & ZUS_MOUNT_KEEP_ORPHANS ? intents_finish_keep_orphans(fs) : intents_finish(fs);
	if (fs->n_blocks && media_is_lost(fs) && media_mount_check(fs))
		err = -EIO;
	if (err) {
		journal_free(fs->journal);
		parts_free(fs);
		return err;
	}
	if (st.replayed)
		fs_log(fs, LOG_LEVEL_NOTICE, "recovered: %llu journal records replayed", (unsigned long long)st.replayed);
	zus_fill(fs);
	*out_fs = fs;
	return 0;
}

void fs_close(struct fs *fs)
{
	struct pmem *pm = fs->pm;

	/* What the kernel has not forgotten by now it never will: orphans go. */
	refs_clear(fs->refs);
	if (!pm->rdonly && !atomic_load(&fs->damaged))
		(void)intents_finish(fs);
	journal_close(fs);
	parts_free(fs);
	pmem_close(pm);
}

struct pmem *fs_detach(struct fs *fs)
{
	struct pmem *pm = fs->pm;

	journal_free(fs->journal);
	parts_free(fs);
	return pm;
}

void fs_abandon(struct fs *fs)
{
	pmem_close(fs_detach(fs));
}
