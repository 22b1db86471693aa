/* SPDX-License-Identifier: BSD-3-Clause */
/* Failing calls of the C library (see fault.h). */
#include "faults/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define N_SITES_MAX 512u

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
int __real_posix_memalign(void **out, size_t align, size_t n);
char *__real_strdup(const char *s);
void __real_free(void *p);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
int __wrap_posix_memalign(void **out, size_t align, size_t n);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

extern const char __executable_start;

/* The wrapped functions have no context that could be handed to them: the one state of the process. */
static struct {
	uint32_t kinds;
	int forever;
	uint64_t at;
	uint64_t n_calls;
	unsigned int n_failed;
	int64_t live;
	uint32_t n_sites;
	uintptr_t sites[N_SITES_MAX];
} state;

void fault_arm(uint32_t kinds, uint64_t at, int forever)
{
	state.forever = forever;
	state.at = at;
	state.n_calls = 0;
	state.n_failed = 0;
	__atomic_store_n(&state.kinds, kinds, __ATOMIC_SEQ_CST);
}

unsigned int fault_disarm(void)
{
	__atomic_store_n(&state.kinds, 0, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&state.n_failed, __ATOMIC_SEQ_CST);
}

static void site_note(const void *site)
{
	uintptr_t off = (uintptr_t)site - (uintptr_t)&__executable_start - 1;
	uint32_t n = __atomic_load_n(&state.n_sites, __ATOMIC_SEQ_CST);

	for (uint32_t i = 0; i < n && i < N_SITES_MAX; i++)
		if (state.sites[i] == off)
			return;
	n = __atomic_fetch_add(&state.n_sites, 1, __ATOMIC_SEQ_CST);
	if (n < N_SITES_MAX)
		state.sites[n] = off;
}

int fault_due(uint32_t kind, const void *site)
{
	uint64_t n;

	if (!(__atomic_load_n(&state.kinds, __ATOMIC_SEQ_CST) & kind))
		return 0;
	n = __atomic_add_fetch(&state.n_calls, 1, __ATOMIC_SEQ_CST);
	if (n != state.at && !(state.forever && n > state.at))
		return 0;
	__atomic_add_fetch(&state.n_failed, 1, __ATOMIC_SEQ_CST);
	site_note(site);
	return 1;
}

int64_t fault_live(void)
{
	return __atomic_load_n(&state.live, __ATOMIC_SEQ_CST);
}

void fault_sites_print(void)
{
	for (uint32_t i = 0; i < state.n_sites && i < N_SITES_MAX; i++)
		printf("# site %#lx\n", (unsigned long)state.sites[i]);
}

static void *counted(void *p)
{
	if (p)
		__atomic_add_fetch(&state.live, 1, __ATOMIC_SEQ_CST);
	return p;
}

static int no_memory(const void *site)
{
	if (!fault_due(FAULT_MEMORY, site))
		return 0;
	errno = ENOMEM;
	return 1;
}

void *__wrap_malloc(size_t n)
{
	return no_memory(__builtin_return_address(0)) ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory(__builtin_return_address(0)) ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t n)
{
	void *p;

	if (no_memory(__builtin_return_address(0)))
		return NULL;
	p = __real_realloc(old, n);
	return old ? p : counted(p);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
	return no_memory(__builtin_return_address(0)) ? NULL : counted(__real_aligned_alloc(align, n));
}

int __wrap_posix_memalign(void **out, size_t align, size_t n)
{
	int err;

	if (fault_due(FAULT_MEMORY, __builtin_return_address(0)))
		return ENOMEM;
	err = __real_posix_memalign(out, align, n);
	if (!err)
		counted(*out);
	return err;
}

char *__wrap_strdup(const char *s)
{
	return no_memory(__builtin_return_address(0)) ? NULL : counted(__real_strdup(s));
}

void __wrap_free(void *p)
{
	if (p)
		__atomic_sub_fetch(&state.live, 1, __ATOMIC_SEQ_CST);
	__real_free(p);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (!fault_due(FAULT_MMAP, __builtin_return_address(0)))
		return __real_mmap(addr, len, prot, flags, fd, off);
	errno = ENOMEM;
	return MAP_FAILED;
}

/* What mmap is called where files are large. */
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (!fault_due(FAULT_MMAP, __builtin_return_address(0)))
		return __real_mmap64(addr, len, prot, flags, fd, off);
	errno = ENOMEM;
	return MAP_FAILED;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	return fault_due(FAULT_THREAD, __builtin_return_address(0)) ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}
