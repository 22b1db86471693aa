/* SPDX-License-Identifier: BSD-3-Clause */
/* When to be SCHED_IDLE (see fuse_polite.h). */
#include "transport/fuse/fuse_polite.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_INTERVAL_NS 2000000u
#define QUIET_LOOKS 3u
/* Waiting this long between two looks is starving; a core shared with the client alone costs microseconds. */
#define STARVED_NS 1500000u
#define HOLD_MIN_NS 100000000u
#define HOLD_MAX_NS 10000000000u
/* Number of blanks between the command's name and the core in /proc/PID/stat. */
#define STAT_CPU_FIELD 37

void fuse_polite_init(struct fuse_polite *polite, bool follows)
{
	long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);

	memset(polite, 0, sizeof(*polite));
	polite->schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	polite->loadavg_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	polite->n_cpus = n_cpus > 0 ? (uint32_t)n_cpus : 1;
	polite->hold_ns = HOLD_MIN_NS;
	polite->follows = follows;
	polite->bound_cpu = -1;
	if (sched_getaffinity(0, sizeof(polite->allowed), &polite->allowed))
		polite->follows = false;
	if (polite->schedstat_fd < 0 || polite->loadavg_fd < 0)
		polite->look_at_ns = UINT64_MAX;
}

void fuse_polite_fini(struct fuse_polite *polite)
{
	if (polite->schedstat_fd >= 0)
		close(polite->schedstat_fd);
	if (polite->loadavg_fd >= 0)
		close(polite->loadavg_fd);
}

static bool set_policy(int policy)
{
	struct sched_param param = { 0 };

	return sched_setscheduler(0, policy, &param) == 0;
}

/* The way back must be open before the way out is taken. */
static bool may_leave_idle(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &header, data) == 0 && (data[CAP_SYS_NICE / 32].effective & (1u << (CAP_SYS_NICE % 32)));
}

/* The number behind the n-th separator of a one-line file; 0 if there is none. */
static uint64_t read_field(int fd, char separator, int n)
{
	char line[128], *at = line;
	ssize_t len = pread(fd, line, sizeof(line) - 1, 0);

	if (len <= 0)
		return 0;
	line[len] = '\0';
	for (; n && at; n--) {
		at = strchr(at, separator);
		at = at ? at + 1 : NULL;
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

/* The core that a thread ran on last, or -1. Its name may hold anything. */
static int cpu_of(uint32_t tid)
{
	char path[64], line[1024], *at;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (len <= 0)
		return -1;
	line[len] = '\0';
	at = strrchr(line, ')');
	for (int i = 0; i < STAT_CPU_FIELD && at; i++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at ? atoi(at) : -1;
}

/* cpu -1: to wherever the administrator lets this thread run. */
static void bind_to(struct fuse_polite *polite, int cpu)
{
	cpu_set_t set = polite->allowed;

	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
	}
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		polite->bound_cpu = cpu;
}

/* Starving keeps a thread away for longer each time. */
static void leave(struct fuse_polite *polite, uint64_t now_ns, bool starved)
{
	if (!starved || now_ns - polite->since_ns > polite->hold_ns)
		polite->hold_ns = HOLD_MIN_NS;
	else if (polite->hold_ns < HOLD_MAX_NS)
		polite->hold_ns *= 2;
	set_policy(SCHED_OTHER);
	if (polite->bound_cpu >= 0)
		bind_to(polite, -1);
	polite->polite = false;
	polite->since_ns = starved ? now_ns + polite->hold_ns : now_ns;
	polite->n_quiet = 0;
}

static void enter(struct fuse_polite *polite, uint64_t now_ns)
{
	if (!may_leave_idle() || !set_policy(SCHED_IDLE)) {
		polite->look_at_ns = UINT64_MAX;
		return;
	}
	polite->polite = true;
	polite->since_ns = now_ns;
}

static void follow(struct fuse_polite *polite, uint32_t client)
{
	int cpu = cpu_of(client);

	if (cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, &polite->allowed) && cpu != polite->bound_cpu)
		bind_to(polite, cpu);
}

void fuse_polite_look(struct fuse_polite *polite, uint64_t now_ns, uint32_t client)
{
	uint64_t delay_ns = read_field(polite->schedstat_fd, ' ', 1); /* "run delay slices" */
	uint64_t waited_ns = delay_ns - polite->last_delay_ns;
	uint64_t n_running = read_field(polite->loadavg_fd, ' ', 3); /* "a b c running/all pid": this thread is one of them */
	bool free_core = n_running && n_running < polite->n_cpus;
	bool starved = waited_ns > STARVED_NS;

	polite->last_delay_ns = delay_ns;
	polite->look_at_ns = now_ns + LOOK_INTERVAL_NS;
	polite->n_quiet = free_core ? polite->n_quiet + 1 : 0;
	if (polite->polite) {
		/* A second client has a core of its own, where a thread that follows would not serve it. */
		if (starved || n_running > polite->n_cpus || (polite->follows && !free_core))
			leave(polite, now_ns, starved);
	} else if (polite->n_quiet >= QUIET_LOOKS && now_ns >= polite->since_ns) {
		enter(polite, now_ns);
	}
	if (polite->polite && polite->follows)
		follow(polite, client);
}
