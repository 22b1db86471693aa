/* SPDX-License-Identifier: BSD-3-Clause */
/* For LD_PRELOAD: while the file that FAULT_THREADS_FILE names is there, no thread can be made. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((visibility("default"))) int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
							  void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
	const char *file = getenv("FAULT_THREADS_FILE");

	if (file && !access(file, F_OK))
		return EAGAIN;
	return real(thread, attr, run, arg);
}
