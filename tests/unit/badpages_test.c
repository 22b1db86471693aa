/* SPDX-License-Identifier: BSD-3-Clause */
/* Media errors at the level of the device: who gets a fault, what is read afterwards, what is told (pmem/badpages.h). */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/util.h"
#include "pmem/badpages.h"

#include "lib/tap.h"

#define MIB (1ull << 20)
#define PAGE 4096ull

static struct pmem *anon_new(uint64_t size)
{
	struct pmem *pm;

	CHECK_EQ(pmem_faults_catch(), 0);
	CHECK_EQ(pmem_open_anon(size, &pm), 0);
	return pm;
}

static uint8_t load(const struct pmem *pm, uint64_t off)
{
	return __atomic_load_n(pm->base + off, __ATOMIC_RELAXED);
}

/* A device on a file that others can make shorter. */
static struct pmem *file_new(uint64_t size, char path[64])
{
	struct pmem *pm;
	int fd;

	CHECK_EQ(pmem_faults_catch(), 0);
	snprintf(path, 64, "/tmp/pmfs2-badpages.XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, (off_t)size), 0);
	close(fd);
	CHECK_EQ(pmem_open(path, 0, &pm), 0);
	return pm;
}

static void load_of_a_bad_page_gives_ff_and_is_counted(void)
{
	struct pmem *pm = anon_new(4 * MIB);
	uint64_t at;

	pmem_zero(pm, pm->base, 4 * MIB);
	CHECK_EQ(pmem_n_bad(pm), 0);
	CHECK(!pmem_bad_find(pm, 0, pm->size, &at));
	CHECK_EQ(pmem_poison(pm, 5 * PAGE + 17, 1), 0);
	CHECK_EQ(load(pm, 5 * PAGE - 1), 0);
	CHECK_EQ(load(pm, 5 * PAGE), 0xff);
	CHECK_EQ(load(pm, 6 * PAGE - 1), 0xff);
	CHECK_EQ(load(pm, 6 * PAGE), 0);
	CHECK_EQ(pmem_n_bad(pm), 1);
	CHECK_EQ(pmem_n_bad_meta(pm), 1);
	CHECK_EQ(pmem_thread_self.n_meta, 1);
	CHECK_EQ(pmem_thread_self.off, 5 * PAGE);
	CHECK(pmem_bad_find(pm, 0, pm->size, &at));
	CHECK_EQ(at, 5 * PAGE);
	CHECK(pmem_bad_find(pm, 5 * PAGE + 8, 8, &at));
	CHECK_EQ(at, 5 * PAGE + 8);
	CHECK(!pmem_bad_find(pm, 0, 5 * PAGE, &at));
	CHECK(!pmem_bad_find(pm, 6 * PAGE, pm->size, &at));
	CHECK(!pmem_bad_find(pm, pm->size, 1, &at));
	CHECK(!pmem_is_bad(pm, pm->base + PAGE, PAGE));
	CHECK(pmem_is_bad(pm, pm->base + 5 * PAGE - 1, 2));
	pmem_close(pm);
}

static void expected_faults_are_the_callers(void)
{
	struct pmem *pm = anon_new(4 * MIB);
	uint8_t bytes[300];

	CHECK_EQ(pmem_poison(pm, 3 * PAGE, PAGE), 0);
	pmem_expect_begin();
	CHECK_EQ(load(pm, 3 * PAGE), 0xff);
	pmem_expect_end();
	CHECK_EQ(pmem_thread_self.n_expected, 1);
	memset(bytes, 7, sizeof(bytes));
	/* The destination of a copy, unaligned and over the border into the bad page; then of zeroing. */
	CHECK_EQ(pmem_poison(pm, 8 * PAGE, PAGE), 0);
	pmem_copy(pm, pm->base + 8 * PAGE - 150, bytes, sizeof(bytes));
	CHECK(pmem_is_bad(pm, pm->base + 8 * PAGE - 150, sizeof(bytes)));
	CHECK_EQ(load(pm, 8 * PAGE - 1), 7);
	CHECK_EQ(pmem_poison(pm, 10 * PAGE, PAGE), 0);
	pmem_zero(pm, pm->base + 10 * PAGE + 1, 5000);
	CHECK_EQ(pmem_n_bad(pm), 3);
	CHECK_EQ(pmem_n_bad_meta(pm), 0);
	/* Its source is not, and neither are loads behind it. */
	CHECK_EQ(pmem_poison(pm, 12 * PAGE, PAGE), 0);
	pmem_copy(pm, pm->base, pm->base + 12 * PAGE, 64);
	CHECK_EQ(pmem_n_bad_meta(pm), 1);
	CHECK_EQ(pmem_poison(pm, 14 * PAGE, PAGE), 0);
	pmem_store64(pm, (const le64 *)(const void *)(pm->base + 14 * PAGE), 1);
	CHECK_EQ(pmem_n_bad_meta(pm), 2);
	pmem_close(pm);
}

/* What lies beside the expected page is gone too, and may be metadata. */
static void expected_fault_that_takes_more_is_everybodys(void)
{
	struct pmem *pm = anon_new(4 * MIB);

	pm->bad_unit = 2 * MIB;
	CHECK_EQ(pmem_poison(pm, 3 * PAGE, PAGE), 0);
	pmem_expect_begin();
	CHECK_EQ(load(pm, 3 * PAGE), 0xff);
	pmem_expect_end();
	CHECK_EQ(pmem_n_bad(pm), 2 * MIB / PAGE);
	CHECK_EQ(load(pm, 2 * MIB - 1), 0xff);
	CHECK_EQ(load(pm, 2 * MIB), 0);
	CHECK_EQ(pmem_n_bad_meta(pm), 1);
	pmem_close(pm);
}

static void probe_finds_what_nobody_has_met(void)
{
	struct pmem *pm = anon_new(4 * MIB);
	uint64_t at;

	CHECK_EQ(pmem_poison(pm, 700 * PAGE, 2 * PAGE), 0);
	CHECK(!pmem_probe(pm, 0, 700 * PAGE, &at));
	CHECK(pmem_probe(pm, 1, pm->size, &at));
	CHECK_EQ(at, 700 * PAGE);
	CHECK(pmem_probe(pm, 701 * PAGE, 1, &at));
	CHECK_EQ(pmem_n_bad(pm), 2);
	CHECK_EQ(pmem_n_bad_meta(pm), 0);
	CHECK(!pmem_probe(pm, pm->size, PAGE, &at));
	pmem_close(pm);
}

static void file_cut_short_while_mapped(void)
{
	char path[64];
	struct pmem *pm = file_new(4 * MIB, path);
	uint64_t at;

	pmem_copy(pm, pm->base + MIB, "x", 1);
	CHECK_EQ(truncate(path, 2 * MIB), 0);
	CHECK_EQ(load(pm, MIB), 'x');
	CHECK_EQ(load(pm, 2 * MIB), 0xff);
	pmem_copy(pm, pm->base + 3 * MIB, "y", 1);
	CHECK(pmem_bad_find(pm, 0, pm->size, &at));
	CHECK_EQ(at, 2 * MIB);
	CHECK(pmem_is_bad(pm, pm->base + 3 * MIB, 1));
	CHECK_EQ(pmem_n_bad(pm), 2);
	CHECK_EQ(pmem_sync(pm), 0);
	pmem_close(pm);
	unlink(path);
}

/* More pages than a process may have mappings (65530): the whole device is given up, and the process goes on. */
static void more_bad_pages_than_mappings(void)
{
	char path[64];
	struct pmem *pm = file_new(320 * MIB, path);
	uint64_t n_pages = pm->size / PAGE;

	CHECK_EQ(truncate(path, 4 * PAGE), 0);
	for (uint64_t i = 4; i < n_pages; i++)
		load(pm, i * PAGE);
	CHECK(pmem_n_bad(pm) >= n_pages - 4);
	CHECK(pmem_is_bad(pm, pm->base + pm->size - PAGE, PAGE));
	pmem_close(pm);
	unlink(path);
}

static void *load_all(void *arg)
{
	struct pmem *pm = arg;

	for (uint64_t off = 0; off < pm->size; off += PAGE)
		load(pm, off);
	return NULL;
}

static void threads_meet_the_same_pages(void)
{
	struct pmem *pm = anon_new(8 * MIB);
	pthread_t threads[4];

	CHECK_EQ(pmem_poison(pm, 0, pm->size), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, load_all, pm), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(pmem_n_bad(pm), pm->size / PAGE);
	CHECK(pmem_n_bad_meta(pm) >= pm->size / PAGE);
	pmem_close(pm);
}

static void devices_come_and_go(void)
{
	struct pmem *other = anon_new(2 * MIB), *pm;

	CHECK_EQ(pmem_poison(other, 0, PAGE), 0);
	for (int i = 0; i < 50; i++) {
		pm = anon_new(2 * MIB);
		CHECK_EQ(pmem_poison(pm, PAGE, PAGE), 0);
		CHECK_EQ(load(pm, PAGE), 0xff);
		CHECK_EQ(load(pm, 0), 0);
		CHECK_EQ(pmem_n_bad(pm), 1);
		pmem_close(pm);
	}
	CHECK_EQ(pmem_n_bad(other), 0);
	CHECK_EQ(load(other, 0), 0xff);
	pmem_close(other);
}

/* How a process ends that does this: a signal's number. */
static int signal_of(void (*crime)(void))
{
	const struct rlimit no_core = { 0, 0 };
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGBUS, SIG_DFL); /* a sanitizer's report is not what is looked for */
		signal(SIGSEGV, SIG_DFL);
		crime();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void crime_null(void)
{
	struct pmem *pm = anon_new(2 * MIB);

	__atomic_store_n((volatile uint8_t *)(uintptr_t)(pm->fd + 17), 1, __ATOMIC_RELAXED);
}

static void crime_protected_device(void)
{
	struct pmem *pm = anon_new(2 * MIB);

	CHECK_EQ(mprotect(pm->base, PAGE, PROT_READ), 0);
	__atomic_store_n(pm->base, 1, __ATOMIC_RELAXED);
}

static void crime_bus_elsewhere(void)
{
	int fd = memfd_create("elsewhere", 0);
	volatile uint8_t *p;

	anon_new(2 * MIB);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	(void)*p;
}

static void crime_sent_signal(void)
{
	anon_new(2 * MIB);
	raise(SIGBUS);
}

static void other_faults_end_the_process_as_ever(void)
{
	CHECK_EQ(signal_of(crime_null), SIGSEGV);
	CHECK_EQ(signal_of(crime_protected_device), SIGSEGV);
	CHECK_EQ(signal_of(crime_bus_elsewhere), SIGBUS);
	CHECK_EQ(signal_of(crime_sent_signal), SIGBUS);
}

static void handler_before_us(int sig)
{
	_exit(sig == SIGBUS ? 42 : 43);
}

static void earlier_handlers_get_foreign_faults(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		signal(SIGBUS, handler_before_us);
		crime_bus_elsewhere();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 42);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(load_of_a_bad_page_gives_ff_and_is_counted),
		TAP_CASE(expected_faults_are_the_callers),
		TAP_CASE(expected_fault_that_takes_more_is_everybodys),
		TAP_CASE(probe_finds_what_nobody_has_met),
		TAP_CASE(file_cut_short_while_mapped),
		TAP_CASE(more_bad_pages_than_mappings),
		TAP_CASE(threads_meet_the_same_pages),
		TAP_CASE(devices_come_and_go),
		TAP_CASE(other_faults_end_the_process_as_ever),
		TAP_CASE(earlier_handlers_get_foreign_faults),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
