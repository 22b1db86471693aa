/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mutexes and reader/writer locks with ranks. Debug builds check that a thread takes locks in rising rank; locks of equal rank in
 * rising order number, unless the order number is 0 (then the caller has a rule of its own, written where it takes them).
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The table of locks. A name says what it protects; docs stand where the lock is embedded. */
enum lock_rank {
	LOCK_RANK_RENAME = 10, /* struct fs: moves of directories to other parents */
	LOCK_RANK_INODE = 20, /* struct inode.lock: directory contents, file mapping and size. Parents before children */
	LOCK_RANK_RANGE = 30, /* struct inode.ranges: short, held for list work only */
	LOCK_RANK_META = 40, /* struct inode.meta: the inode's image; rising inode numbers */
	LOCK_RANK_ITABLE = 55, /* inode numbers: free slots */
	LOCK_RANK_INTENT = 60, /* intent slots */
	LOCK_RANK_CACHE = 65, /* inode cache shard, reference shard: short */
	LOCK_RANK_GROUP = 70, /* allocation group */
	LOCK_RANK_RING = 80, /* journal ring; rising ring numbers */
	LOCK_RANK_LIMBO = 90, /* freed metadata blocks that wait for the horizon */
	LOCK_RANK_LEAF = 100, /* anything under which no other lock is taken */
};

struct mutex {
	pthread_mutex_t m;
#if DEBUG_CHECKS
	int rank;
	uint64_t order;
#endif
};

struct rwlock {
	pthread_rwlock_t l;
#if DEBUG_CHECKS
	int rank;
	uint64_t order;
#endif
};

#if DEBUG_CHECKS
#define LOCK_HELD_MAX 96
struct lock_held {
	const void *lock;
	int rank;
	uint64_t order;
};
extern __thread struct lock_held lock_held_stack[LOCK_HELD_MAX];
extern __thread int lock_held_n;

static inline void lock_check_take(const void *lock, int rank, uint64_t order)
{
	for (int i = 0; i < lock_held_n; i++) {
		const struct lock_held *h = &lock_held_stack[i];

		if (h->lock == lock || h->rank > rank || (h->rank == rank && order && h->order && h->order >= order)) {
			fprintf(stderr, "lock order: rank %d order %llu taken under rank %d order %llu\n", rank,
				(unsigned long long)order, h->rank, (unsigned long long)h->order);
			abort();
		}
	}
	if (lock_held_n == LOCK_HELD_MAX)
		abort();
	lock_held_stack[lock_held_n++] = (struct lock_held){ lock, rank, order };
}

static inline void lock_check_drop(const void *lock)
{
	for (int i = lock_held_n - 1; i >= 0; i--) {
		if (lock_held_stack[i].lock == lock) {
			for (; i < lock_held_n - 1; i++)
				lock_held_stack[i] = lock_held_stack[i + 1];
			lock_held_n--;
			return;
		}
	}
	abort();
}
#define LOCK_CHECK_TAKE(lk) lock_check_take(lk, (lk)->rank, (lk)->order)
#define LOCK_CHECK_DROP(lk) lock_check_drop(lk)
#define LOCK_CHECK_INIT(lk, r, o) ((lk)->rank = (r), (lk)->order = (o))
#else
#define LOCK_CHECK_TAKE(lk) ((void)0)
#define LOCK_CHECK_DROP(lk) ((void)0)
#define LOCK_CHECK_INIT(lk, r, o) ((void)(r), (void)(o))
#endif

static inline void mutex_init(struct mutex *mu, enum lock_rank rank, uint64_t order)
{
	pthread_mutex_init(&mu->m, NULL);
	LOCK_CHECK_INIT(mu, rank, order);
}
static inline void mutex_fini(struct mutex *mu)
{
	pthread_mutex_destroy(&mu->m);
}
static inline void mutex_lock(struct mutex *mu)
{
	LOCK_CHECK_TAKE(mu);
	pthread_mutex_lock(&mu->m);
}
/* 1 if taken. Exempt from the order check: it cannot wait. */
static inline int mutex_trylock(struct mutex *mu)
{
	if (pthread_mutex_trylock(&mu->m))
		return 0;
#if DEBUG_CHECKS
	if (lock_held_n == LOCK_HELD_MAX)
		abort();
	lock_held_stack[lock_held_n++] = (struct lock_held){ mu, mu->rank, mu->order };
#endif
	return 1;
}
static inline void mutex_unlock(struct mutex *mu)
{
	LOCK_CHECK_DROP(mu);
	pthread_mutex_unlock(&mu->m);
}

/* Who waits to write goes before new readers: those of one file in turn would keep him out for ever. No thread reads twice. */
static inline void rwlock_init(struct rwlock *rw, enum lock_rank rank, uint64_t order)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&rw->l, &attr);
	pthread_rwlockattr_destroy(&attr);
	LOCK_CHECK_INIT(rw, rank, order);
}
static inline void rwlock_fini(struct rwlock *rw)
{
	pthread_rwlock_destroy(&rw->l);
}
static inline void rwlock_read(struct rwlock *rw)
{
	LOCK_CHECK_TAKE(rw);
	pthread_rwlock_rdlock(&rw->l);
}
static inline void rwlock_write(struct rwlock *rw)
{
	LOCK_CHECK_TAKE(rw);
	pthread_rwlock_wrlock(&rw->l);
}
static inline void rwlock_unlock(struct rwlock *rw)
{
	LOCK_CHECK_DROP(rw);
	pthread_rwlock_unlock(&rw->l);
}

#endif
