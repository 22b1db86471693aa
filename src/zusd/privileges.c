/* SPDX-License-Identifier: BSD-3-Clause */
/* Giving up capabilities, by the kernel's own interface: no library is needed for two calls. */
#include "zusd/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#define CAP_BIT(cap) (1ull << (cap))

static const uint64_t caps_kept = CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) |
				  CAP_BIT(CAP_SYS_RAWIO) | CAP_BIT(CAP_IPC_LOCK) | CAP_BIT(CAP_SYS_RESOURCE) |
				  CAP_BIT(CAP_SYS_PTRACE) | CAP_BIT(CAP_SYS_NICE);

static int caps_reduce(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	for (int i = 0; i < 2; i++) {
		uint32_t kept = (uint32_t)(caps_kept >> (32 * i));

		data[i].permitted &= kept;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

void privileges_drop(void)
{
	int err;

	if (geteuid() != 0)
		return;
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(caps_kept & CAP_BIT(cap)))
			prctl(PR_CAPBSET_DROP, cap);
	err = caps_reduce();
	if (err)
		log_warning("cannot give up privileges: %s", strerror(-err));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		log_warning("cannot forbid new privileges: %s", strerror(errno));
}

void privileges_set_limits(void)
{
	struct rlimit lim;

	if (!getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	/* An ordinary user may not; the server then works as any program does. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}
