/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inode cache: shards, each with a hash that grows with what it holds and a list of idle inodes by age. Idle inodes beyond the
 * limit are dropped; they hold nothing that media lacks.
 */
#include "pmfs2/inode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "pmfs2/intent.h"
#include "pmfs2/itable.h"
#include "pmfs2/media_error.h"

#define SHARDS 64u
#define BUCKETS_FIRST 16u /* a shard */
#define BUCKETS_MAX (1u << 20) /* a shard */
#define IDLE_MAX 256u /* a shard */

struct shard {
	struct mutex mu; /* LOCK_RANK_CACHE */
	struct inode **buckets; /* n_buckets, a power of two; NULL before the first inode */
	uint32_t n_buckets;
	uint32_t n_hashed;
	struct inode lru; /* list head of idle inodes, oldest at lru_next */
	uint32_t n_idle;
} __attribute__((aligned(64)));

struct inode_cache {
	struct shard shards[SHARDS];
};

int inode_cache_new(struct inode_cache **out)
{
	struct inode_cache *ic = aligned_alloc(64, sizeof(*ic));

	if (!ic)
		return -ENOMEM;
	memset(ic, 0, sizeof(*ic));
	for (uint32_t i = 0; i < SHARDS; i++) {
		struct shard *sh = &ic->shards[i];

		mutex_init(&sh->mu, LOCK_RANK_CACHE, 0);
		sh->lru.lru_next = sh->lru.lru_prev = &sh->lru;
	}
	*out = ic;
	return 0;
}

static void inode_destroy(struct inode *ip)
{
	rwlock_fini(&ip->lock);
	range_lock_fini(&ip->ranges);
	mutex_fini(&ip->meta);
	free(ip);
}

void inode_cache_free(struct inode_cache *ic)
{
	if (!ic)
		return;
	for (uint32_t i = 0; i < SHARDS; i++) {
		for (uint32_t b = 0; b < ic->shards[i].n_buckets; b++) {
			struct inode *ip = ic->shards[i].buckets[b], *next;

			for (; ip; ip = next) {
				next = ip->hash_next;
				inode_destroy(ip);
			}
		}
		free(ic->shards[i].buckets);
		mutex_fini(&ic->shards[i].mu);
	}
	free(ic);
}

static uint64_t ino_hash(uint64_t ino)
{
	return ino * 0x9e3779b97f4a7c15ull;
}

static struct shard *shard_of(struct fs *fs, uint64_t ino)
{
	return &fs->icache->shards[ino_hash(ino) >> 58];
}

static struct inode **bucket_of(struct shard *sh, uint64_t ino)
{
	return &sh->buckets[ino_hash(ino) >> 32 & (sh->n_buckets - 1)];
}

/*
 * Twice the buckets, or the first ones: a mount does not pay for shards that it never uses. Without memory a table that is there
 * stays as it is, with longer chains.
 */
static int shard_grow(struct shard *sh)
{
	uint32_t n_old = sh->n_buckets, n = n_old ? 2 * n_old : BUCKETS_FIRST;
	struct inode **old = sh->buckets, **buckets;

	if (n > BUCKETS_MAX)
		return 0;
	buckets = calloc(n, sizeof(*buckets));
	if (!buckets)
		return old ? 0 : -ENOMEM;
	sh->buckets = buckets;
	sh->n_buckets = n;
	for (uint32_t b = 0; b < n_old; b++) {
		struct inode *ip = old[b], *next;

		for (; ip; ip = next) {
			next = ip->hash_next;
			ip->hash_next = *bucket_of(sh, ip->ino);
			*bucket_of(sh, ip->ino) = ip;
		}
	}
	free(old);
	return 0;
}

static void lru_remove(struct shard *sh, struct inode *ip)
{
	ip->lru_prev->lru_next = ip->lru_next;
	ip->lru_next->lru_prev = ip->lru_prev;
	sh->n_idle--;
}

static void lru_add(struct shard *sh, struct inode *ip)
{
	ip->lru_prev = sh->lru.lru_prev;
	ip->lru_next = &sh->lru;
	ip->lru_prev->lru_next = ip;
	sh->lru.lru_prev = ip;
	sh->n_idle++;
}

static void unhash(struct shard *sh, struct inode *ip)
{
	struct inode **p = bucket_of(sh, ip->ino);

	while (*p != ip)
		p = &(*p)->hash_next;
	*p = ip->hash_next;
	ip->hashed = 0;
	sh->n_hashed--;
}

static int image_crc_ok(const struct pmfs2_inode *image)
{
	uint32_t zero = 0, crc = crc32c(~0u, image, offsetof(struct pmfs2_inode, crc));

	crc = crc32c(crc, &zero, sizeof(zero));
	crc = ~crc32c(crc, &image->ino, sizeof(*image) - offsetof(struct pmfs2_inode, ino));
	return crc == le32_get(image->crc);
}

/*
 * Under the shard's lock, with nobody holding the inode: its image is at rest, or a new one is just being stored; then the word
 * with the mode comes last (inode_image_log), and is looked at first.
 */
static int image_verify(struct fs *fs, const struct pmfs2_inode *media, uint64_t ino)
{
	uint64_t mode_word = le64_load((const le64 *)(const void *)&media->mode);

	if (!(uint32_t)mode_word)
		return -ESTALE;
	if (le32_get(media->magic) != PMFS2_MAGIC_INODE || le64_get(media->ino) != ino || !image_crc_ok(media))
		return fs_corrupt(fs, "inode %llu: damaged", (unsigned long long)ino);
	if (S_ISREG((uint32_t)mode_word) && le64_get(media->size) > PMFS2_FILE_SIZE_MAX)
		return fs_corrupt(fs, "inode %llu: a size of %llu bytes", (unsigned long long)ino,
				  (unsigned long long)le64_get(media->size));
	return 0;
}

static int inode_load(struct fs *fs, struct shard *sh, uint64_t ino, struct inode **out)
{
	const struct pmfs2_inode *media;
	struct inode *ip;
	int err = itable_find(fs, ino, &media);

	if (!err)
		err = image_verify(fs, media, ino);
	if (!err && le32_get(media->intent) && !intent_belongs(fs, le32_get(media->intent) - 1, ino))
		err = fs_corrupt(fs, "inode %llu: its intent is another inode's or none", (unsigned long long)ino);
	if (err)
		return err;
	ip = calloc(1, sizeof(*ip));
	if (!ip)
		return -ENOMEM;
	ip->ino = ino;
	ip->media = media;
	ip->generation = le32_get(media->generation);
	rwlock_init(&ip->lock, LOCK_RANK_INODE, 0);
	range_lock_init(&ip->ranges);
	mutex_init(&ip->meta, LOCK_RANK_META, ino);
	ip->users = 1;
	ip->hashed = 1;
	ip->hash_next = *bucket_of(sh, ino);
	*bucket_of(sh, ino) = ip;
	sh->n_hashed++;
	*out = ip;
	return 0;
}

/* gen24: wanted low bits of the generation, or -1 for whichever there is. */
static int cache_get(struct fs *fs, uint64_t ino, int64_t gen24, struct inode **out)
{
	struct shard *sh = shard_of(fs, ino);
	struct inode *ip;
	int err = 0;

	mutex_lock(&sh->mu);
	if (sh->n_hashed >= sh->n_buckets && shard_grow(sh)) {
		mutex_unlock(&sh->mu);
		return -ENOMEM;
	}
	for (ip = *bucket_of(sh, ino); ip && ip->ino != ino; ip = ip->hash_next)
		;
	if (ip && ip->dead) {
		if (gen24 == (int64_t)(ip->generation & 0xffffff) || le32_load(&ip->media->generation) == ip->generation) {
			mutex_unlock(&sh->mu);
			return -ESTALE;
		}
		/* The number lives again; whoever freed the old inode still holds the old structure. */
		unhash(sh, ip);
		ip = NULL;
	}
	if (!ip)
		err = inode_load(fs, sh, ino, &ip);
	else if (!ip->users++)
		lru_remove(sh, ip);
	mutex_unlock(&sh->mu);
	if (err)
		return err;
	/* It was verified when it was loaded; its page can have been lost since. */
	if (unlikely(pmem_is_bad(fs->pm, ip->media, sizeof(*ip->media))))
		err = media_lost(fs, ip->media);
	else if (gen24 >= 0 && gen24 != (int64_t)(ip->generation & 0xffffff))
		err = -ESTALE;
	if (err) {
		inode_put(fs, ip);
		return err;
	}
	*out = ip;
	return 0;
}

int inode_get(struct fs *fs, uint64_t node, struct inode **out_ip)
{
	return cache_get(fs, node & ((1ull << PMFS2_INO_BITS) - 1), (int64_t)(node >> PMFS2_INO_BITS), out_ip);
}

int inode_get_ino(struct fs *fs, uint64_t ino, struct inode **out_ip)
{
	return cache_get(fs, ino, -1, out_ip);
}

void inode_put(struct fs *fs, struct inode *ip)
{
	struct inode *victim = NULL;
	struct shard *sh;

	if (!ip)
		return;
	sh = shard_of(fs, ip->ino);
	mutex_lock(&sh->mu);
	if (--ip->users) {
		mutex_unlock(&sh->mu);
		return;
	}
	if (ip->dead || !ip->hashed) {
		if (ip->hashed)
			unhash(sh, ip);
		victim = ip;
	} else {
		lru_add(sh, ip);
		if (sh->n_idle > IDLE_MAX) {
			victim = sh->lru.lru_next;
			lru_remove(sh, victim);
			unhash(sh, victim);
		}
	}
	mutex_unlock(&sh->mu);
	if (victim)
		inode_destroy(victim);
}

void inode_mark_dead(struct fs *fs, struct inode *ip, int dead)
{
	struct shard *sh = shard_of(fs, ip->ino);

	mutex_lock(&sh->mu);
	ip->dead = dead;
	mutex_unlock(&sh->mu);
}

void inode_edit_begin(struct inode_edit *edit, struct inode *ip)
{
	edit->ip = ip;
	memcpy(&edit->image, ip->media, sizeof(edit->image));
}

void inode_image_seal(struct pmfs2_inode *image)
{
	image->crc = le32_of(0);
	image->crc = le32_of(crc32c_of(image, sizeof(*image)));
}

void inode_edit_log(struct tx *tx, struct inode_edit *edit)
{
	inode_image_seal(&edit->image);
	tx_put_diff(tx, edit->ip->media, &edit->image, sizeof(edit->image));
}

void inode_image_log(struct tx *tx, const struct pmfs2_inode *media, const struct pmfs2_inode *image)
{
	const uint32_t at = offsetof(struct pmfs2_inode, mode);

	tx_put_diff(tx, media, image, at);
	tx_put_diff(tx, (const uint8_t *)media + at + 8, (const uint8_t *)image + at + 8, (uint32_t)sizeof(*image) - at - 8);
	tx_put_words(tx, (const uint8_t *)media + at, (const uint8_t *)image + at, 1);
}

void inode_edit_touch(struct inode_edit *edit, int mtime, int ctime)
{
	le64 now = le64_of(fs_now());

	if (mtime)
		edit->image.mtime = now;
	if (ctime)
		edit->image.ctime = now;
}

void inode_image_init(struct pmfs2_inode *image, uint64_t ino, uint32_t generation)
{
	le64 now = le64_of(fs_now());

	memset(image, 0, sizeof(*image));
	image->magic = le32_of(PMFS2_MAGIC_INODE);
	image->ino = le64_of(ino);
	image->generation = le32_of(generation);
	image->mtime = image->ctime = image->atime = image->btime = now;
}

void inode_image_attr(const struct pmfs2_inode *image, struct zus_attr *out)
{
	uint32_t mode = le32_get(image->mode), gen = le32_get(image->generation);
	uint64_t ino = le64_get(image->ino), size = le64_get(image->size), blocks = le64_get(image->blocks);

	if (S_ISDIR(mode))
		size = u64_max(blocks, 1) << PMFS2_BLOCK_SHIFT;
	*out = (struct zus_attr){
		.node = (uint64_t)(gen & 0xffffff) << PMFS2_INO_BITS | ino,
		.ino = ino,
		.size = size,
		.blocks = blocks * (PMFS2_BLOCK_SIZE / 512),
		.rdev = S_ISBLK(mode) || S_ISCHR(mode) ? le64_get(image->parent_or_rdev) : 0,
		.generation = gen,
		.mode = mode,
		.nlink = le32_get(image->nlink),
		.uid = le32_get(image->uid),
		.gid = le32_get(image->gid),
		.blksize = PMFS2_BLOCK_SIZE,
		.flags = le32_get(image->flags),
		.projid = le32_get(image->projid),
		.atime = fs_time_decode(le64_get(image->atime)),
		.mtime = fs_time_decode(le64_get(image->mtime)),
		.ctime = fs_time_decode(le64_get(image->ctime)),
		.btime = fs_time_decode(le64_get(image->btime)),
	};
}

void inode_attr(const struct inode *ip, struct zus_attr *out)
{
	inode_image_attr(ip->media, out);
}
