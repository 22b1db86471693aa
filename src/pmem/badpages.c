/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The signal handler behind badpages.h, and the list of devices that it looks faults up in.
 *
 * Order, in the handler: the page's bit, n_bad, n_bad_meta, and only then the substitute. So a thread that reads substituted
 * bytes without a fault of its own finds the counters raised.
 *
 * The list: entries are added and reused under a mutex, never freed; the handler reads them without one. An entry's seq is odd
 * while it changes; the handler passes over such an entry, which cannot be that of the device whose memory is being touched.
 *
 * A handler has no argument of ours, so that this file keeps what belongs to the process: the list, the old handlers, and the
 * descriptor of the substitute page. Only plain system calls and atomics are used in it.
 */
#include "pmem/badpages.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

#define PATTERN_BYTES (64u << 10)
#define PATTERN_BYTE 0xff
#define WORD_PAGES 64u
#define SPARE_BYTES (3 * PMEM_BAD_PAGE)

struct device_slot {
	struct device_slot *next; /* fixed once it is in the list */
	uint64_t seq;
	uintptr_t base;
	uint64_t size;
	struct pmem *pm; /* NULL: free */
	int poisoned; /* pmem_poison was used: SIGSEGV counts too */
};

static struct {
	pthread_mutex_t lock;
	struct device_slot *slots;
	int pattern_fd;
	int caught;
	uint8_t *spare; /* SPARE_BYTES that count as some mappings, for when the kernel allows no more */
	struct sigaction old_bus, old_segv;
} faults = { .lock = PTHREAD_MUTEX_INITIALIZER, .pattern_fd = -1 };

_Thread_local struct pmem_thread pmem_thread_self;

/* --- the list ------------------------------------------------------------------------------------------------------------- */

static void slot_set(struct device_slot *slot, struct pmem *pm)
{
	__atomic_add_fetch(&slot->seq, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->base, pm ? (uintptr_t)pm->base : 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->size, pm ? pm->size : 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->poisoned, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->pm, pm, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&slot->seq, 1, __ATOMIC_SEQ_CST);
}

int pmem_faults_add(struct pmem *pm)
{
	struct device_slot *slot;

	pthread_mutex_lock(&faults.lock);
	for (slot = faults.slots; slot && slot->pm; slot = slot->next)
		;
	if (!slot) {
		slot = calloc(1, sizeof(*slot));
		if (!slot) {
			pthread_mutex_unlock(&faults.lock);
			return -ENOMEM;
		}
		slot->next = faults.slots;
		slot_set(slot, pm);
		__atomic_store_n(&faults.slots, slot, __ATOMIC_RELEASE);
	} else {
		slot_set(slot, pm);
	}
	pthread_mutex_unlock(&faults.lock);
	pm->bad_slot = slot;
	return 0;
}

void pmem_faults_remove(struct pmem *pm)
{
	if (pm->bad_slot) {
		pthread_mutex_lock(&faults.lock);
		slot_set(pm->bad_slot, NULL);
		pthread_mutex_unlock(&faults.lock);
	}
	pm->bad_slot = NULL;
	if (pm->bad_map)
		munmap(pm->bad_map, pm->size / PMEM_BAD_PAGE / 8 + 8);
	pm->bad_map = NULL;
}

/* The device that addr lies in, or NULL. */
static struct pmem *device_find(uintptr_t addr, int *out_poisoned)
{
	struct device_slot *slot = __atomic_load_n(&faults.slots, __ATOMIC_ACQUIRE);

	for (; slot; slot = slot->next) {
		uint64_t seq = __atomic_load_n(&slot->seq, __ATOMIC_SEQ_CST);
		uintptr_t base = __atomic_load_n(&slot->base, __ATOMIC_SEQ_CST);
		uint64_t size = __atomic_load_n(&slot->size, __ATOMIC_SEQ_CST);
		struct pmem *pm = __atomic_load_n(&slot->pm, __ATOMIC_SEQ_CST);

		*out_poisoned = __atomic_load_n(&slot->poisoned, __ATOMIC_SEQ_CST);
		if (pm && addr >= base && addr - base < size && !(seq & 1) &&
		    seq == __atomic_load_n(&slot->seq, __ATOMIC_SEQ_CST))
			return pm;
	}
	return NULL;
}

/* --- in the handler ------------------------------------------------------------------------------------------------------- */

static void *raw_mmap(void *addr, uint64_t len, int prot, int flags, int fd)
{
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, 0L);
}

/* The map of bad pages, made when the first one is met. NULL: no memory. */
static uint64_t *map_get(struct pmem *pm)
{
	uint64_t *map = __atomic_load_n(&pm->bad_map, __ATOMIC_ACQUIRE), len = pm->size / PMEM_BAD_PAGE / 8 + 8;
	uint64_t *expected = NULL;

	if (map)
		return map;
	map = raw_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (map == MAP_FAILED)
		return NULL;
	if (!__atomic_compare_exchange_n(&pm->bad_map, &expected, map, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		syscall(SYS_munmap, map, len);
		return expected;
	}
	return map;
}

/* off, len: whole pages. */
static int pages_note(struct pmem *pm, uint64_t off, uint64_t len)
{
	uint64_t *map = map_get(pm);

	if (!map)
		return 0;
	for (uint64_t page = off / PMEM_BAD_PAGE; page < (off + len) / PMEM_BAD_PAGE; page++) {
		uint64_t mask = 1ull << (page % WORD_PAGES);

		if (!(__atomic_fetch_or(&map[page / WORD_PAGES], mask, __ATOMIC_ACQ_REL) & mask))
			__atomic_add_fetch(&pm->n_bad, 1, __ATOMIC_ACQ_REL);
	}
	return 1;
}

/*
 * Puts the pattern in the place of [at, at + len). A unit larger than the pattern belongs to a mapping that can only be cut at
 * its borders: it is replaced whole first.
 */
static int pages_substitute(const struct pmem *pm, uint8_t *at, uint64_t len)
{
	int prot = pm->rdonly ? PROT_READ : PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_FIXED;

	if (len > PATTERN_BYTES && raw_mmap(at, len, prot, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1) == MAP_FAILED)
		return 0;
	for (uint64_t done = 0; done < len; done += PATTERN_BYTES)
		if (raw_mmap(at + done, u64_min(len - done, PATTERN_BYTES), prot, flags, faults.pattern_fd) == MAP_FAILED)
			return 0;
	return 1;
}

/* Three mappings that the kernel cannot merge. NULL: it has none. */
static uint8_t *spare_make(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint8_t *at = raw_mmap(NULL, SPARE_BYTES, PROT_NONE, flags, -1);

	if (at == MAP_FAILED)
		return NULL;
	raw_mmap(at + PMEM_BAD_PAGE, PMEM_BAD_PAGE, PROT_READ, flags | MAP_FIXED, -1);
	return at;
}

/*
 * More bad pages than the kernel lets us replace one by one (a process has 65530 mappings): all of the device counts as bad, so
 * that its bytes do not matter. Even that takes a mapping: the spare ones go for it.
 */
static int device_give_up(struct pmem *pm)
{
	int prot = pm->rdonly ? PROT_READ : PROT_READ | PROT_WRITE;
	uint8_t *spare = __atomic_exchange_n(&faults.spare, NULL, __ATOMIC_ACQ_REL);

	if (!pages_note(pm, 0, round_down_to(pm->size, PMEM_BAD_PAGE)))
		return 0;
	__atomic_add_fetch(&pm->n_bad_meta, 1, __ATOMIC_ACQ_REL);
	if (spare)
		syscall(SYS_munmap, spare, SPARE_BYTES);
	if (raw_mmap(pm->base, pm->size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1) == MAP_FAILED)
		return 0;
	spare = spare_make();
	if (spare)
		__atomic_store_n(&faults.spare, spare, __ATOMIC_RELEASE);
	return 1;
}

static int fault_take(int sig, const siginfo_t *info)
{
	struct pmem_thread *self = &pmem_thread_self;
	uintptr_t addr = (uintptr_t)info->si_addr;
	uint64_t off, len;
	struct pmem *pm;
	int poisoned;

	if (sig == SIGSEGV ? info->si_code != SEGV_ACCERR
			   : info->si_code != BUS_ADRERR && info->si_code != BUS_OBJERR && info->si_code != BUS_MCEERR_AR &&
				     info->si_code != BUS_MCEERR_AO)
		return 0;
	pm = device_find(addr, &poisoned);
	if (!pm || (sig == SIGSEGV && !poisoned))
		return 0;
	off = round_down_to((uint64_t)(addr - (uintptr_t)pm->base), pm->bad_unit);
	len = u64_min(pm->bad_unit, pm->size - off);
	if (!pages_note(pm, off, len))
		return 0;
	if (sig == SIGBUS && info->si_code == BUS_MCEERR_AO)
		return 1; /* nobody has touched it yet */
	self->off = (uint64_t)(addr - (uintptr_t)pm->base);
	/* A unit of many pages takes others with it that the caller does not check. */
	if (pm->bad_unit == PMEM_BAD_PAGE && (self->expecting || (addr >= self->store_lo && addr < self->store_hi))) {
		self->n_expected++;
	} else {
		self->n_meta++;
		__atomic_add_fetch(&pm->n_bad_meta, 1, __ATOMIC_ACQ_REL);
	}
	return pages_substitute(pm, pm->base + off, len) || device_give_up(pm);
}

/* To whoever would have had the signal without us. */
static void fault_pass_on(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *old = sig == SIGBUS ? &faults.old_bus : &faults.old_segv;

	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(sig, info, context);
		return;
	}
	if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
		old->sa_handler(sig);
		return;
	}
	/* The instruction is done again and meets the default, with a core dump of the right place; a sent signal is sent again.
	 */
	sigaction(sig, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	if (info->si_code <= 0 || (sig == SIGBUS && info->si_code == BUS_MCEERR_AO))
		raise(sig);
}

static void fault_handler(int sig, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	if (!fault_take(sig, info))
		fault_pass_on(sig, info, context);
	errno = saved_errno;
}

/* --- outside of it -------------------------------------------------------------------------------------------------------- */

static int pattern_make(int *out_fd)
{
	uint8_t bytes[PMEM_BAD_PAGE];
	int fd = memfd_create("pmem-bad-page", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	memset(bytes, PATTERN_BYTE, sizeof(bytes));
	for (uint32_t done = 0; done < PATTERN_BYTES; done += sizeof(bytes)) {
		if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes)) {
			close(fd);
			return -ENOMEM;
		}
	}
	*out_fd = fd;
	return 0;
}

int pmem_faults_catch(void)
{
	struct sigaction action = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO | SA_RESTART };
	int err = 0;

	sigemptyset(&action.sa_mask);
	pthread_mutex_lock(&faults.lock);
	if (!faults.caught) {
		err = pattern_make(&faults.pattern_fd);
		/* Known before the handler can be called. */
		if (!err && (sigaction(SIGBUS, NULL, &faults.old_bus) || sigaction(SIGSEGV, NULL, &faults.old_segv) ||
			     sigaction(SIGBUS, &action, NULL) || sigaction(SIGSEGV, &action, NULL)))
			err = -errno;
		if (!err)
			faults.spare = spare_make();
		faults.caught = !err;
	}
	pthread_mutex_unlock(&faults.lock);
	return err;
}

int pmem_bad_find(const struct pmem *pm, uint64_t off, uint64_t len, uint64_t *out_off)
{
	const uint64_t *map = __atomic_load_n(&pm->bad_map, __ATOMIC_ACQUIRE);
	uint64_t page = off / PMEM_BAD_PAGE, end;

	if (!map || !len || off >= pm->size)
		return 0;
	end = (off + u64_min(len, pm->size - off) + PMEM_BAD_PAGE - 1) / PMEM_BAD_PAGE;
	while (page < end) {
		uint64_t word = __atomic_load_n(&map[page / WORD_PAGES], __ATOMIC_ACQUIRE) >> (page % WORD_PAGES);

		if (!word) {
			page = (page / WORD_PAGES + 1) * WORD_PAGES;
			continue;
		}
		page += (uint64_t)__builtin_ctzll(word);
		if (page >= end)
			break;
		*out_off = u64_max(off, page * PMEM_BAD_PAGE);
		return 1;
	}
	return 0;
}

int pmem_is_bad_slow(const struct pmem *pm, const void *addr, uint64_t len)
{
	uint64_t at;

	return pmem_bad_find(pm, pmem_off(pm, addr), len, &at);
}

int pmem_probe(const struct pmem *pm, uint64_t off, uint64_t len, uint64_t *out_off)
{
	uint64_t end = off + len;

	if (off >= pm->size || !len)
		return 0;
	end = u64_min(end < off ? pm->size : end, pm->size);
	pmem_expect_begin();
	for (uint64_t at = off; at < end; at = round_down_to(at, PMEM_BAD_PAGE) + PMEM_BAD_PAGE)
		(void)__atomic_load_n(pm->base + at, __ATOMIC_RELAXED);
	pmem_expect_end();
	return pmem_bad_find(pm, off, end - off, out_off);
}

void pmem_bad_is_meta(struct pmem *pm)
{
	__atomic_add_fetch(&pm->n_bad_meta, 1, __ATOMIC_ACQ_REL);
}

int pmem_poison(struct pmem *pm, uint64_t off, uint64_t len)
{
	uint64_t first = round_down_to(off, PMEM_BAD_PAGE), end = round_up_to(off + len, PMEM_BAD_PAGE);
	struct device_slot *slot = pm->bad_slot;

	if (!slot || off > pm->size || len > pm->size - off)
		return -EINVAL;
	__atomic_store_n(&slot->poisoned, 1, __ATOMIC_SEQ_CST);
	return mprotect(pm->base + first, end - first, PROT_NONE) ? -errno : 0;
}
